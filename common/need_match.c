#include "common/need.h"
#include "common/need_lex.h"

/* ---- globs ------------------------------------------------------------------------------------------------------- */

/* After a mismatch only the last star is stretched by one byte: earlier stars have matched as little as they can, which
 * leaves most to the later ones. */
bool jq_glob_match(struct jq_str pattern, struct jq_str text) {
    size_t p = 0;
    size_t t = 0;
    size_t after_star = 0; /* 0: no star yet */
    size_t star_text = 0;
    while (t < text.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            after_star = ++p;
            star_text = t;
        } else if (p < pattern.size && (pattern.data[p] == '?' || pattern.data[p] == text.data[t])) {
            p++;
            t++;
        } else if (after_star > 0) {
            p = after_star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*')
        p++;
    return p == pattern.size;
}

/* ---- order of values --------------------------------------------------------------------------------------------- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* "1.0.0" is "1". */
static struct jq_str without_trailing_zeros(struct jq_str text) {
    for (;;) {
        size_t size = text.size;
        while (size > 0 && text.data[size - 1] == '0')
            size--;
        if (size == text.size || size < 2 || text.data[size - 1] != '.' || !is_digit(text.data[size - 2]))
            return text;
        text.size = size - 1;
    }
}

/* Takes a run of digits off the text; leading zeros are not part of it. */
static struct jq_str take_digits(struct jq_str *text) {
    size_t start = 0;
    while (start < text->size && text->data[start] == '0')
        start++;
    size_t end = start;
    while (end < text->size && is_digit(text->data[end]))
        end++;
    const struct jq_str run = {text->data + start, end - start};
    *text = (struct jq_str){text->data + end, text->size - end};
    return run;
}

static int compare_numbers(struct jq_str a, struct jq_str b) {
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return jq_word_compare(a, b);
}

static int compare_bytes(char a, char b) {
    return ((unsigned char)a > (unsigned char)b) - ((unsigned char)a < (unsigned char)b);
}

int jq_need_value_compare(struct jq_str a, struct jq_str b) {
    a = without_trailing_zeros(a);
    b = without_trailing_zeros(b);
    while (a.size > 0 && b.size > 0) {
        int order;
        if (is_digit(a.data[0]) && is_digit(b.data[0])) {
            const struct jq_str run = take_digits(&a);
            order = compare_numbers(run, take_digits(&b));
        } else {
            order = compare_bytes(*a.data++, *b.data++);
            a.size--;
            b.size--;
        }
        if (order != 0)
            return order;
    }
    return (a.size > 0) - (b.size > 0);
}

/* ---- terms ------------------------------------------------------------------------------------------------------- */

static uint64_t total_of(const struct jq_offers *totals, struct jq_str name) {
    const struct jq_offer *const offer = jq_offers_find(totals, name);
    return offer != NULL ? offer->amount : 0;
}

static bool test_holds(const struct jq_need_term *term, struct jq_str text) {
    if (term->op == JQ_NEED_GLOB)
        return jq_glob_match(term->value, text);
    const int order = jq_need_value_compare(text, term->value);
    switch (term->op) {
    case JQ_NEED_EQ: return order == 0;
    case JQ_NEED_NE: return order != 0;
    case JQ_NEED_LT: return order < 0;
    case JQ_NEED_LE: return order <= 0;
    case JQ_NEED_GT: return order > 0;
    default: return order >= 0;
    }
}

bool jq_need_term_holds(const struct jq_need_term *term, const struct jq_facts *facts, const struct jq_offers *totals) {
    if (term->op == JQ_NEED_RESERVE)
        return total_of(totals, term->name) >= term->amount;
    const struct jq_fact *const fact = jq_facts_find(facts, term->name);
    if (term->op == JQ_NEED_PRESENT || term->op == JQ_NEED_ABSENT) {
        const bool present = fact != NULL || total_of(totals, term->name) > 0;
        return present == (term->op == JQ_NEED_PRESENT);
    }
    return fact != NULL && test_holds(term, fact->text);
}

bool jq_need_group_holds(const struct jq_need_group *group, const struct jq_facts *facts,
                         const struct jq_offers *totals) {
    for (size_t i = 0; i < group->count; i++)
        if (!jq_need_term_holds(&group->terms[i], facts, totals))
            return false;
    return true;
}

size_t jq_need_first_holding(const struct jq_need *need, const struct jq_facts *facts, const struct jq_offers *totals) {
    size_t index = 0;
    while (index < need->count && !jq_need_group_holds(&need->groups[index], facts, totals))
        index++;
    return index;
}

uint64_t jq_need_group_amount(const struct jq_need_group *group, struct jq_str name) {
    const struct jq_str canonical = jq_name_canonical(name);
    for (size_t i = 0; i < group->count; i++)
        if (group->terms[i].op == JQ_NEED_RESERVE && jq_str_equal(group->terms[i].name, canonical))
            return group->terms[i].amount;
    return 0;
}

int jq_want_score(const struct jq_want *want, const struct jq_facts *facts, const struct jq_offers *totals) {
    int score = 0;
    for (size_t i = 0; want != NULL && i < want->count; i++)
        if (jq_need_term_holds(&want->items[i].term, facts, totals))
            score += want->items[i].weight;
    return score;
}
