/* where_parse.c - selections as people write them, term by term. */
#include "common/text.h"
#include "common/where.h"

enum { SHOWN_MAX = 40 };

enum kind { KIND_ID, KIND_NAME, KIND_STATE, KIND_PRIORITY, KIND_KEY, KIND_SPAN, KIND_TEXT, KIND_COUNT, KIND_OUTCOME };

#define OPS_EXACT (1U << JQ_WHERE_IS | 1U << JQ_WHERE_NOT)
#define OPS_GLOB  (1U << JQ_WHERE_LIKE | 1U << JQ_WHERE_UNLIKE)
#define OPS_ORDER (1U << JQ_WHERE_LT | 1U << JQ_WHERE_GT | 1U << JQ_WHERE_LE | 1U << JQ_WHERE_GE)

static const struct field_info {
    const char *name;
    enum kind kind;
} fields[JQ_WHERE_FIELD_COUNT] = {
#define FIELD_INFO(field, name, kind) [field] = {name, KIND_##kind},
    JQ_WHERE_FIELD_LIST(FIELD_INFO)
#undef FIELD_INFO
};

static const struct {
    unsigned ops;
    const char *text;
} allowed[] = {
    [KIND_ID] = {OPS_EXACT | OPS_ORDER, "= != < > <= >="},
    [KIND_NAME] = {OPS_EXACT | OPS_GLOB, "= != ~ !~"},
    [KIND_STATE] = {OPS_EXACT, "= !="},
    [KIND_PRIORITY] = {OPS_EXACT | OPS_ORDER, "= != < > <= >="},
    [KIND_KEY] = {1U << JQ_WHERE_IS, "="},
    [KIND_SPAN] = {OPS_ORDER, "< > <= >="},
    [KIND_TEXT] = {OPS_EXACT | OPS_GLOB, "= != ~ !~"},
    [KIND_COUNT] = {OPS_EXACT | OPS_ORDER, "= != < > <= >="},
    [KIND_OUTCOME] = {OPS_EXACT, "= !="},
};

/* One term as it stands in the text. */
struct piece {
    size_t column; /* from 1 */
    struct jq_str whole, field, value;
    enum jq_where_op op;
};

static enum jq_err wrong(const struct piece *piece, struct jq_error *reterr, const char *reason, const char *more) {
    const int shown = piece->whole.size < SHOWN_MAX ? (int)piece->whole.size : SHOWN_MAX;
    const enum jq_err err = jq_fail(reterr, JQ_ERR_INVALID, "where: column %zu: '%.*s': %s%s", piece->column, shown,
                                    piece->whole.data, reason, more);
    if (reterr)
        jq_text_make_line(reterr->message);
    return err;
}

/* ---- cutting ------------------------------------------------------------------------------------------------------ */

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\n';
}

static size_t field_size(struct jq_str word) {
    size_t size = 0;
    while (size < word.size && ((word.data[size] >= 'a' && word.data[size] <= 'z') || word.data[size] == '_'))
        size++;
    return size;
}

/* Bytes of the operator at the start; 0: none. */
static size_t op_of(struct jq_str text, enum jq_where_op *ret_op) {
    static const struct {
        const char *text;
        enum jq_where_op op;
    } ops[] = {{"!=", JQ_WHERE_NOT}, {"!~", JQ_WHERE_UNLIKE}, {"<=", JQ_WHERE_LE}, {">=", JQ_WHERE_GE},
               {"=", JQ_WHERE_IS},   {"~", JQ_WHERE_LIKE},    {"<", JQ_WHERE_LT},  {">", JQ_WHERE_GT}};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        const size_t size = strlen(ops[i].text);
        if (text.size >= size && memcmp(text.data, ops[i].text, size) == 0) {
            *ret_op = ops[i].op;
            return size;
        }
    }
    return 0;
}

/* Where the value that starts at `at` ends; it may be in quotes, with blanks in it. SIZE_MAX: a quote is missing. */
static size_t value_end(struct jq_str text, size_t at) {
    if (at < text.size && text.data[at] == '"') {
        const char *quote = memchr(text.data + at + 1, '"', text.size - at - 1);
        return quote ? (size_t)(quote - text.data) + 1 : SIZE_MAX;
    }
    while (at < text.size && !is_blank(text.data[at]))
        at++;
    return at;
}

static void unquote(struct jq_str *value) {
    if (value->size >= 2 && value->data[0] == '"')
        *value = (struct jq_str){value->data + 1, value->size - 2};
}

/* The term at *pos, which must not be a blank; *pos moves behind it. */
static enum jq_err cut(struct jq_str text, size_t *pos, struct piece *piece, struct jq_error *reterr) {
    const size_t start = *pos;
    const struct jq_str rest = {text.data + start, text.size - start};
    const size_t name = field_size(rest);
    *piece = (struct piece){.column = start + 1, .field = {rest.data, name}};
    const size_t op = op_of((struct jq_str){rest.data + name, rest.size - name}, &piece->op);
    const size_t end = value_end(text, start + name + op);
    piece->whole = (struct jq_str){rest.data, (end == SIZE_MAX ? text.size : end) - start};
    if (end == SIZE_MAX)
        return wrong(piece, reterr, "a quote is missing", "");
    if (name == 0 || op == 0)
        return wrong(piece, reterr, "not of the form FIELD=VALUE", "; the ops are = != ~ !~ < > <= >=");
    piece->value = (struct jq_str){rest.data + name + op, piece->whole.size - name - op};
    unquote(&piece->value);
    *pos = end;
    if (*pos < text.size && !is_blank(text.data[*pos]))
        return wrong(piece, reterr, "a blank must follow the closing quote", "");
    return JQ_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------------- */

static enum jq_err read_words(const struct piece *piece, bool states, uint64_t *ret_bits, struct jq_error *reterr) {
    struct jq_str list = piece->value;
    uint64_t bits = 0;
    while (list.size > 0) {
        const char *comma = memchr(list.data, ',', list.size);
        const struct jq_str word = {list.data, comma ? (size_t)(comma - list.data) : list.size};
        enum jq_state state = JQ_STATE_NONE;
        enum jq_outcome outcome = JQ_OUTCOME_NONE;
        if (states ? !jq_state_of_name(word, &state) || state == JQ_STATE_NONE : !jq_outcome_of_name(word, &outcome))
            return wrong(piece, reterr, "no such ", states ? "state" : "outcome");
        bits |= UINT64_C(1) << (states ? (unsigned)state : (unsigned)outcome);
        list.data += word.size + (comma != NULL);
        list.size -= word.size + (comma != NULL);
    }
    *ret_bits = bits;
    return bits ? JQ_OK : wrong(piece, reterr, "a word is missing", "");
}

static enum jq_err read_id(const struct piece *piece, uint64_t *ret_number, struct jq_error *reterr) {
    jq_task_id id;
    struct jq_error error;
    if (jq_text_parse_task_id(piece->value, &id, &error) != JQ_OK)
        return wrong(piece, reterr, "not an id: ", error.message);
    *ret_number = id.value;
    return JQ_OK;
}

static enum jq_err read_span(const struct piece *piece, uint64_t *ret_number, struct jq_error *reterr) {
    int64_t span_ms;
    struct jq_error error;
    if (jq_text_parse_duration(piece->value, &span_ms, &error) != JQ_OK)
        return wrong(piece, reterr, "not a span of time: ", error.message);
    *ret_number = (uint64_t)span_ms;
    return JQ_OK;
}

static enum jq_err read_count(const struct piece *piece, uint64_t *ret_number, struct jq_error *reterr) {
    struct jq_error error;
    if (jq_text_parse_uint(piece->value, UINT32_MAX, ret_number, &error) != JQ_OK)
        return wrong(piece, reterr, "not a number: ", error.message);
    return JQ_OK;
}

static enum jq_err read_priority(const struct piece *piece, uint64_t *ret_number, struct jq_error *reterr) {
    const int priority = jq_priority_of_name(piece->value);
    if (priority < 0)
        return wrong(piece, reterr, "not a priority: 0 to 9, urgent, high, normal, low or background", "");
    *ret_number = (uint64_t)priority;
    return JQ_OK;
}

static enum jq_err read_value(const struct piece *piece, enum kind kind, uint64_t *ret_number,
                              struct jq_error *reterr) {
    switch (kind) {
    case KIND_STATE: return read_words(piece, true, ret_number, reterr);
    case KIND_OUTCOME: return read_words(piece, false, ret_number, reterr);
    case KIND_ID: return read_id(piece, ret_number, reterr);
    case KIND_SPAN: return read_span(piece, ret_number, reterr);
    case KIND_COUNT: return read_count(piece, ret_number, reterr);
    case KIND_PRIORITY: return read_priority(piece, ret_number, reterr);
    case KIND_NAME:
    case KIND_KEY:
    case KIND_TEXT: break;
    }
    return JQ_OK;
}

/* ---- terms -------------------------------------------------------------------------------------------------------- */

static int field_of(struct jq_str name) {
    for (int i = 0; i < JQ_WHERE_FIELD_COUNT; i++) {
        if (jq_str_equal(name, jq_str_of(fields[i].name)))
            return i;
    }
    return -1;
}

static void keep(struct jq_where *where, struct jq_str text) {
    memcpy(where->text + where->text_size, text.data, text.size);
    where->text_size = (uint16_t)(where->text_size + text.size);
}

/* The value as it is compared: an error is looked through from end to end. */
static void keep_value(struct jq_where *where, struct jq_where_term *term, struct jq_str value) {
    const bool anywhere = term->field == JQ_WHERE_ERROR && (term->op == JQ_WHERE_LIKE || term->op == JQ_WHERE_UNLIKE);
    term->at = where->text_size;
    if (anywhere)
        keep(where, JQ_STR("*"));
    if (value.size > 0)
        keep(where, value);
    if (anywhere)
        keep(where, JQ_STR("*"));
    term->size = (uint16_t)(where->text_size - term->at);
}

static enum jq_err add_term(struct jq_where *where, const struct piece *piece, struct jq_error *reterr) {
    const int field = field_of(piece->field);
    if (field < 0)
        return wrong(piece, reterr,
                     "no such field; there are id queue state handler priority group key age error attempts worker "
                     "flow outcome event",
                     "");
    if (where->count == JQ_WHERE_TERMS_MAX)
        return wrong(piece, reterr, "more than 16 terms", "");
    const enum kind kind = fields[field].kind;
    if (!(allowed[kind].ops & 1U << piece->op))
        return wrong(piece, reterr, "the ops of this field are ", allowed[kind].text);
    struct jq_where_term *term = &where->terms[where->count];
    *term = (struct jq_where_term){.field = (uint8_t)field, .op = (uint8_t)piece->op};
    const enum jq_err err = read_value(piece, kind, &term->number, reterr);
    if (err != JQ_OK)
        return err;
    keep_value(where, term, piece->value);
    where->fields |= UINT32_C(1) << field;
    where->count++;
    return JQ_OK;
}

static size_t skip_blanks(struct jq_str text, size_t pos) {
    while (pos < text.size && is_blank(text.data[pos]))
        pos++;
    return pos;
}

enum jq_err jq_where_parse(struct jq_str text, struct jq_where *ret_where, struct jq_error *reterr) {
    struct jq_where where;
    if (text.size > JQ_WHERE_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "where: %zu bytes, at most %d", text.size, JQ_WHERE_SIZE_MAX);
    memset(&where, 0, sizeof(where));
    for (size_t pos = skip_blanks(text, 0); pos < text.size; pos = skip_blanks(text, pos)) {
        struct piece piece;
        enum jq_err err = cut(text, &pos, &piece, reterr);
        err = err == JQ_OK ? add_term(&where, &piece, reterr) : err;
        if (err != JQ_OK)
            return err;
    }
    if (where.count == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "where: no term; everything is priority>=0");
    *ret_where = where;
    return JQ_OK;
}
