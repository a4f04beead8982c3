#include "common/where.h"

#include "common/need.h"

static struct jq_str value_of(const struct jq_where *where, const struct jq_where_term *term) {
    return (struct jq_str){where->text + term->at, term->size};
}

static bool is_glob(struct jq_str text) {
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '*' || text.data[i] == '?')
            return true;
    }
    return false;
}

/* Takes the first of the names between commas off *list. */
static struct jq_str take_name(struct jq_str *list) {
    const char *comma = list->size > 0 ? memchr(list->data, ',', list->size) : NULL;
    const struct jq_str name = {list->data, comma ? (size_t)(comma - list->data) : list->size};
    const size_t taken = name.size + (comma != NULL);
    *list = (struct jq_str){list->data + taken, list->size - taken};
    return name;
}

static bool name_is(struct jq_str name, struct jq_str text) {
    return is_glob(name) ? jq_glob_match(name, text) : jq_str_equal(name, text);
}

/* `list` is empty: the text must be. */
static bool any_name_is(struct jq_str list, struct jq_str text) {
    do {
        if (name_is(take_name(&list), text))
            return true;
    } while (list.size > 0);
    return false;
}

static bool match_names(const struct jq_where *where, const struct jq_where_term *term, struct jq_str text) {
    const struct jq_str value = value_of(where, term);
    switch ((enum jq_where_op)term->op) {
    case JQ_WHERE_IS: return any_name_is(value, text);
    case JQ_WHERE_NOT: return !any_name_is(value, text);
    case JQ_WHERE_LIKE: return jq_glob_match(value, text);
    default: return !jq_glob_match(value, text);
    }
}

static bool match_text(const struct jq_where *where, const struct jq_where_term *term, struct jq_str text) {
    const struct jq_str value = value_of(where, term);
    switch ((enum jq_where_op)term->op) {
    case JQ_WHERE_IS: return jq_str_equal(value, text);
    case JQ_WHERE_NOT: return !jq_str_equal(value, text);
    case JQ_WHERE_LIKE: return jq_glob_match(value, text);
    default: return !jq_glob_match(value, text);
    }
}

static bool match_number(const struct jq_where_term *term, uint64_t number) {
    switch ((enum jq_where_op)term->op) {
    case JQ_WHERE_IS: return number == term->number;
    case JQ_WHERE_NOT: return number != term->number;
    case JQ_WHERE_LT: return number < term->number;
    case JQ_WHERE_GT: return number > term->number;
    case JQ_WHERE_LE: return number <= term->number;
    default: return number >= term->number;
    }
}

static bool match_word(const struct jq_where_term *term, unsigned word) {
    const bool among = term->number >> word & 1;
    return term->op == JQ_WHERE_IS ? among : !among;
}

static uint64_t at_least_0(int64_t number) {
    return number > 0 ? (uint64_t)number : 0;
}

static bool match_term(const struct jq_where *where, const struct jq_where_term *term,
                       const struct jq_where_subject *subject) {
    switch ((enum jq_where_field)term->field) {
    case JQ_WHERE_ID: return match_number(term, subject->id);
    case JQ_WHERE_FLOW: return match_number(term, subject->flow);
    case JQ_WHERE_PRIORITY: return match_number(term, at_least_0(subject->priority));
    case JQ_WHERE_ATTEMPTS: return match_number(term, subject->attempts);
    case JQ_WHERE_AGE: return match_number(term, at_least_0(subject->age_ms));
    case JQ_WHERE_STATE: return match_word(term, subject->state);
    case JQ_WHERE_OUTCOME: return match_word(term, subject->outcome);
    case JQ_WHERE_QUEUE: return match_names(where, term, subject->queue);
    case JQ_WHERE_HANDLER: return match_names(where, term, subject->handler);
    case JQ_WHERE_GROUP: return match_names(where, term, subject->group);
    case JQ_WHERE_WORKER: return match_names(where, term, subject->worker);
    case JQ_WHERE_EVENT: return match_names(where, term, subject->event);
    case JQ_WHERE_KEY: return match_text(where, term, subject->key);
    case JQ_WHERE_ERROR: return match_text(where, term, subject->error);
    case JQ_WHERE_FIELD_COUNT: break;
    }
    return false;
}

bool jq_where_match(const struct jq_where *where, const struct jq_where_subject *subject) {
    for (uint16_t i = 0; i < where->count; i++) {
        if (!match_term(where, &where->terms[i], subject))
            return false;
    }
    return true;
}

/* ---- what an index can use --------------------------------------------------------------------------------------- */

bool jq_where_exact(const struct jq_where *where, enum jq_where_field field, struct jq_str *ret_text) {
    for (uint16_t i = 0; i < where->count; i++) {
        const struct jq_where_term *term = &where->terms[i];
        const struct jq_str value = value_of(where, term);
        const bool literal = field == JQ_WHERE_KEY || field == JQ_WHERE_ERROR ||
                             (!is_glob(value) && !(value.size > 0 && memchr(value.data, ',', value.size)));
        if (term->field == field && term->op == JQ_WHERE_IS && literal) {
            *ret_text = value;
            return true;
        }
    }
    return false;
}

uint32_t jq_where_states(const struct jq_where *where) {
    uint32_t states = UINT32_MAX;
    for (uint16_t i = 0; i < where->count; i++) {
        const struct jq_where_term *term = &where->terms[i];
        if (term->field == JQ_WHERE_STATE)
            states &= term->op == JQ_WHERE_IS ? (uint32_t)term->number : ~(uint32_t)term->number;
    }
    return states;
}

static void narrow(const struct jq_where_term *term, uint64_t *from, uint64_t *last) {
    const uint64_t number = term->number; /* never 0; of the greatest there is, all are looked at */
    const bool is = term->op == JQ_WHERE_IS;
    const uint64_t low = is || term->op == JQ_WHERE_GE ? number : term->op == JQ_WHERE_GT ? number + 1 : 0;
    const uint64_t high = is || term->op == JQ_WHERE_LE ? number : (term->op == JQ_WHERE_LT ? number - 1 : UINT64_MAX);
    *from = low > *from ? low : *from;
    *last = high < *last ? high : *last;
}

void jq_where_ids(const struct jq_where *where, uint64_t *ret_from, uint64_t *ret_last) {
    *ret_from = 0;
    *ret_last = UINT64_MAX;
    for (uint16_t i = 0; i < where->count; i++) {
        if (where->terms[i].field == JQ_WHERE_ID)
            narrow(&where->terms[i], ret_from, ret_last);
    }
}
