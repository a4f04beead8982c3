#include "common/need_lex.h"

static const struct {
    char letter;
    unsigned shift;
} units[] = {{'k', 10}, {'M', 20}, {'G', 30}, {'T', 40}};
enum { UNIT_COUNT = sizeof units / sizeof units[0] };

/* Longer operators first: `<=` is not `<` with the value `=`. */
static const struct {
    const char *text;
    enum jq_need_op op;
} operators[] = {
    {"==", JQ_NEED_EQ}, {"!=", JQ_NEED_NE}, {"<=", JQ_NEED_LE},  {">=", JQ_NEED_GE},
    {"<", JQ_NEED_LT},  {">", JQ_NEED_GT},  {"~", JQ_NEED_GLOB}, {"=", JQ_NEED_RESERVE},
};
enum { OPERATOR_COUNT = sizeof operators / sizeof operators[0] };

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_printable(char c) {
    return c >= ' ' && c <= '~';
}

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_' || c == '.' || c == '-';
}

char jq_word_show(char byte) {
    return is_printable(byte) ? byte : '?';
}

bool jq_word_next(const char *what, struct jq_str text, size_t *pos, struct jq_word *ret_word) {
    size_t start = *pos;
    while (start < text.size && is_blank(text.data[start]))
        start++;
    if (start == text.size)
        return false;
    size_t end = start;
    if (text.data[end] == '|')
        end++;
    else
        while (end < text.size && !is_blank(text.data[end]) && text.data[end] != '|')
            end++;
    *ret_word = (struct jq_word){.what = what, .column = start + 1, .text = {text.data + start, end - start}};
    *pos = end;
    return true;
}

struct jq_word jq_word_from(const struct jq_word *word, size_t offset) {
    return (struct jq_word){
        .what = word->what,
        .column = word->column + offset,
        .text = {word->text.data + offset, word->text.size - offset},
    };
}

size_t jq_word_count(struct jq_str text) {
    struct jq_word word;
    size_t count = 0;
    for (size_t pos = 0; jq_word_next("", text, &pos, &word);)
        count += word.text.data[0] != '|';
    return count;
}

struct jq_str jq_name_canonical(struct jq_str name) {
    return jq_str_equal(name, JQ_STR("memory")) ? JQ_STR("mem") : name;
}

int jq_word_compare(struct jq_str a, struct jq_str b) {
    const size_t common = a.size < b.size ? a.size : b.size;
    const int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

enum jq_err jq_word_name(const struct jq_word *word, struct jq_str *ret_name, size_t *ret_size,
                         struct jq_error *reterr) {
    size_t size = 0;
    while (size < word->text.size && is_name_byte(word->text.data[size]))
        size++;
    if (size == 0 && word->text.size == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: a name is missing", word->what, word->column);
    if (size == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: a name was expected, not '%c'", word->what,
                       word->column, jq_word_show(word->text.data[0]));
    if (size > JQ_NAME_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "%s: column %zu: a name of more than %d bytes", word->what, word->column,
                       JQ_NAME_SIZE_MAX);
    *ret_name = (struct jq_str){word->text.data, size};
    *ret_size = size;
    return JQ_OK;
}

/* Reads digits into *value, at most `max`. False when there are none, or too many. */
static bool read_digits(struct jq_str text, size_t *pos, uint64_t max, uint64_t *value) {
    const size_t start = *pos;
    for (; *pos < text.size && is_digit(text.data[*pos]); (*pos)++) {
        const uint64_t digit = (uint64_t)(text.data[*pos] - '0');
        if (*value > (max - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return *pos > start;
}

/* Up to three digits after a point, as thousandths. */
static bool read_thousandths(struct jq_str text, size_t *pos, uint64_t *value) {
    const size_t start = *pos;
    if (!read_digits(text, pos, 999, value))
        return false;
    const size_t count = *pos - start;
    if (count > 3)
        return false;
    for (size_t i = count; i < 3; i++)
        *value *= 10;
    return true;
}

/* NULL when the quantity is good. */
static const char *read_amount(struct jq_str text, uint64_t *ret_amount, char *ret_unit) {
    size_t pos = 0;
    uint64_t whole = 0;
    uint64_t thousandths = 0;
    if (text.size == 0 || !is_digit(text.data[0]))
        return "not a number";
    if (!read_digits(text, &pos, JQ_AMOUNT_MAX / JQ_AMOUNT_UNIT, &whole))
        return "too large";
    if (pos < text.size && text.data[pos] == '.' && (pos++, !read_thousandths(text, &pos, &thousandths)))
        return "one to three digits follow a point";
    unsigned shift = 0;
    for (size_t i = 0; i < UNIT_COUNT && pos < text.size; i++)
        if (text.data[pos] == units[i].letter)
            shift = units[i].shift;
    pos += shift != 0;
    if (pos < text.size) {
        *ret_unit = text.data[pos];
        return "unknown unit";
    }
    const uint64_t amount = whole * JQ_AMOUNT_UNIT + thousandths;
    if (amount > JQ_AMOUNT_MAX >> shift)
        return "too large";
    *ret_amount = amount << shift;
    return NULL;
}

enum jq_err jq_word_amount(const struct jq_word *word, struct jq_str name, uint64_t *ret_amount,
                           struct jq_error *reterr) {
    char unit = 0;
    const char *const reason = read_amount(word->text, ret_amount, &unit);
    if (reason == NULL)
        return JQ_OK;
    if (unit != 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: quantity of %.*s: %s '%c' (k, M, G or T)", word->what,
                       word->column, JQ_STR_ARG(name), reason, jq_word_show(unit));
    return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: quantity of %.*s: %s", word->what, word->column,
                   JQ_STR_ARG(name), reason);
}

enum jq_err jq_amount_parse(struct jq_str text, uint64_t *ret_amount, struct jq_error *reterr) {
    char unit = 0;
    uint64_t amount = 0;
    const char *const reason = read_amount(text, &amount, &unit);
    if (reason != NULL && unit != 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "quantity: %s '%c' (k, M, G or T)", reason, jq_word_show(unit));
    if (reason != NULL)
        return jq_fail(reterr, JQ_ERR_INVALID, "quantity: %s", reason);
    *ret_amount = amount;
    return JQ_OK;
}

enum jq_err jq_word_value(const struct jq_word *word, struct jq_str name, struct jq_error *reterr) {
    if (word->text.size == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: %.*s: a value is missing", word->what, word->column,
                       JQ_STR_ARG(name));
    for (size_t i = 0; i < word->text.size; i++)
        if (!is_printable(word->text.data[i]))
            return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: %.*s: byte 0x%02x is not printable ASCII",
                           word->what, word->column + i, JQ_STR_ARG(name), (unsigned)(unsigned char)word->text.data[i]);
    return JQ_OK;
}

/* `a=>b` and `a<>b` are slips, not values. */
static enum jq_err check_test_value(const struct jq_word *value, struct jq_str name, struct jq_error *reterr) {
    const enum jq_err err = jq_word_value(value, name, reterr);
    if (err == JQ_OK && memchr("=<>~!", value->text.data[0], 5) != NULL)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: %.*s: unknown operator (= == != < <= > >= ~)",
                       value->what, value->column, JQ_STR_ARG(name));
    return err;
}

/* The operator at the start of the word, or -1. */
static int find_operator(struct jq_str text) {
    for (int i = 0; i < OPERATOR_COUNT; i++) {
        const struct jq_str candidate = jq_str_of(operators[i].text);
        if (text.size >= candidate.size && memcmp(text.data, candidate.data, candidate.size) == 0)
            return i;
    }
    return -1;
}

static enum jq_err read_test(const struct jq_word *rest, struct jq_need_term *term, struct jq_error *reterr) {
    const int index = find_operator(rest->text);
    if (index < 0)
        return jq_fail(reterr, JQ_ERR_INVALID,
                       "%s: column %zu: '%c' is neither part of a name (a-z 0-9 _ . -) nor an operator", rest->what,
                       rest->column, jq_word_show(rest->text.data[0]));
    const struct jq_word value = jq_word_from(rest, strlen(operators[index].text));
    term->op = operators[index].op;
    if (term->op == JQ_NEED_RESERVE)
        return jq_word_amount(&value, term->name, &term->amount, reterr);
    term->value = value.text;
    return check_test_value(&value, term->name, reterr);
}

/* A task that occupied no slot could be leased without end. */
static enum jq_err check_slots(const struct jq_word *word, const struct jq_need_term *term, struct jq_error *reterr) {
    if (!jq_str_equal(term->name, JQ_STR("slots")))
        return JQ_OK;
    if (term->op == JQ_NEED_RESERVE && term->amount >= JQ_AMOUNT_UNIT && term->amount % JQ_AMOUNT_UNIT == 0)
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: slots can only be reserved, whole ones, 1 or more",
                   word->what, word->column);
}

enum jq_err jq_word_term(const struct jq_word *word, struct jq_need_term *ret_term, struct jq_error *reterr) {
    const bool absent = word->text.data[0] == '!';
    const struct jq_word named = jq_word_from(word, absent);
    struct jq_need_term term = {.op = absent ? JQ_NEED_ABSENT : JQ_NEED_PRESENT};
    size_t size = 0;
    enum jq_err err = jq_word_name(&named, &term.name, &size, reterr);
    if (err != JQ_OK)
        return err;
    const struct jq_word rest = jq_word_from(&named, size);
    if (rest.text.size > 0 && absent)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: only a name follows '!'", rest.what, rest.column);
    if (rest.text.size > 0)
        err = read_test(&rest, &term, reterr);
    if (err == JQ_OK)
        err = check_slots(word, &term, reterr);
    if (err != JQ_OK)
        return err;
    term.name = jq_name_canonical(term.name);
    *ret_term = term;
    return JQ_OK;
}

void jq_sink_text(struct jq_sink *sink, struct jq_str text) {
    for (size_t i = 0; i < text.size; i++, sink->length++)
        if (sink->length + 1 < sink->size)
            sink->out[sink->length] = text.data[i];
}

size_t jq_sink_end(struct jq_sink *sink) {
    if (sink->size > 0)
        sink->out[sink->length < sink->size ? sink->length : sink->size - 1] = '\0';
    return sink->length;
}

/* Writes thousandths as a decimal number, without zeros at the end. Returns the size. */
static size_t write_thousandths(uint64_t thousandths, char *out) {
    char digits[JQ_AMOUNT_TEXT_SIZE_MAX];
    size_t count = 0;
    for (uint64_t whole = thousandths / JQ_AMOUNT_UNIT; whole > 0 || count == 0; whole /= 10)
        digits[count++] = (char)('0' + whole % 10);
    size_t size = 0;
    while (count > 0)
        out[size++] = digits[--count];
    unsigned rest = (unsigned)(thousandths % JQ_AMOUNT_UNIT);
    if (rest > 0)
        out[size++] = '.';
    for (unsigned scale = 100; rest > 0; rest %= scale, scale /= 10)
        out[size++] = (char)('0' + rest / scale);
    return size;
}

size_t jq_amount_format(uint64_t amount, char out[JQ_AMOUNT_TEXT_SIZE_MAX]) {
    size_t size = write_thousandths(amount, out);
    for (size_t i = 0; i < UNIT_COUNT && amount > 0; i++) {
        if ((amount & ((UINT64_C(1) << units[i].shift) - 1)) != 0)
            break;
        char scaled[JQ_AMOUNT_TEXT_SIZE_MAX];
        const size_t scaled_size = write_thousandths(amount >> units[i].shift, scaled);
        if (scaled_size + 1 >= size)
            continue;
        memcpy(out, scaled, scaled_size);
        out[scaled_size] = units[i].letter;
        size = scaled_size + 1;
    }
    out[size] = '\0';
    return size;
}

void jq_sink_amount(struct jq_sink *sink, uint64_t amount) {
    char text[JQ_AMOUNT_TEXT_SIZE_MAX];
    const size_t size = jq_amount_format(amount, text);
    jq_sink_text(sink, (struct jq_str){text, size});
}

static struct jq_str operator_text(enum jq_need_op op) {
    for (size_t i = 0; i < OPERATOR_COUNT; i++)
        if (operators[i].op == op)
            return jq_str_of(operators[i].text);
    return JQ_STR("");
}

void jq_sink_term(struct jq_sink *sink, const struct jq_need_term *term) {
    if (term->op == JQ_NEED_ABSENT)
        jq_sink_text(sink, JQ_STR("!"));
    jq_sink_text(sink, term->name);
    jq_sink_text(sink, operator_text(term->op));
    if (term->op == JQ_NEED_RESERVE)
        jq_sink_amount(sink, term->amount);
    else
        jq_sink_text(sink, term->value);
}
