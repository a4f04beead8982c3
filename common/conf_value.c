#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/conf_internal.h"

static void *field_of(const struct jq_conf_key *key, void *base) {
    return (char *)base + key->offset;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

struct jq_str jq_conf_trim(struct jq_str text) {
    while (text.size > 0 && is_blank(text.data[0]))
        text.data++, text.size--;
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

struct splitter {
    struct jq_str text;
    size_t pos;
    bool quotes;
    char *out; /* where the bytes of words go, each word ended by a NUL */
};

static bool is_separator(const struct splitter *splitter, char c) {
    return is_blank(c) || (c == ',' && !splitter->quotes);
}

/* Copies up to the closing quote. Inside double quotes a backslash keeps a quote or a backslash. False if it never
 * closes. */
static bool copy_quoted(struct splitter *splitter, char quote) {
    const struct jq_str text = splitter->text;
    for (; splitter->pos < text.size; splitter->pos++) {
        char c = text.data[splitter->pos];
        if (c == quote) {
            splitter->pos++;
            return true;
        }
        const bool escape = c == '\\' && quote == '"' && splitter->pos + 1 < text.size;
        if (escape && (text.data[splitter->pos + 1] == '"' || text.data[splitter->pos + 1] == '\\'))
            c = text.data[++splitter->pos];
        *splitter->out++ = c;
    }
    return false;
}

/* One word at splitter->pos. False if a quote never closes. */
static bool copy_word(struct splitter *splitter) {
    const struct jq_str text = splitter->text;
    while (splitter->pos < text.size && !is_separator(splitter, text.data[splitter->pos])) {
        const char c = text.data[splitter->pos++];
        if (splitter->quotes && (c == '"' || c == '\'')) {
            if (!copy_quoted(splitter, c))
                return false;
        } else {
            *splitter->out++ = c;
        }
    }
    *splitter->out++ = '\0';
    return true;
}

static enum jq_err split(struct splitter *splitter, struct jq_conf_list *list, struct jq_error *reterr) {
    for (;;) {
        while (splitter->pos < splitter->text.size && is_separator(splitter, splitter->text.data[splitter->pos]))
            splitter->pos++;
        list->items[list->count] = NULL;
        if (splitter->pos == splitter->text.size)
            return JQ_OK;
        if (list->count == JQ_CONF_WORDS_MAX)
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "more than %d words", JQ_CONF_WORDS_MAX);
        list->items[list->count++] = splitter->out;
        if (!copy_word(splitter))
            return jq_fail(reterr, JQ_ERR_INVALID, "a quote is not closed");
    }
}

enum jq_err jq_conf_list_parse(struct jq_str text, bool quotes, struct jq_conf_list *ret_list,
                               struct jq_error *reterr) {
    /* A word is at least one byte and its separator; a last one has none. Each takes a NUL. */
    size_t words_max = text.size / 2 + 1;
    if (words_max > JQ_CONF_WORDS_MAX)
        words_max = JQ_CONF_WORDS_MAX;
    struct jq_conf_list list = {.items = malloc((words_max + 1) * sizeof(char *) + text.size + 1)};
    if (list.items == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "out of memory");
    struct splitter splitter = {.text = text, .quotes = quotes, .out = (char *)(list.items + words_max + 1)};
    const enum jq_err err = split(&splitter, &list, reterr);
    if (err != JQ_OK) {
        free(list.items);
        return err;
    }
    *ret_list = list;
    return JQ_OK;
}

void jq_conf_list_fini(struct jq_conf_list *list) {
    if (list == NULL)
        return;
    free(list->items);
    *list = (struct jq_conf_list){0};
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static enum jq_err parse_mode(struct jq_str text, int64_t *ret_value, struct jq_error *reterr) {
    int64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '7')
            return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is not an octal number", JQ_STR_ARG(text));
        value = value * 8 + (text.data[i] - '0');
        if (value > 07777)
            return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is above 7777", JQ_STR_ARG(text));
    }
    if (text.size == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "'' is not an octal number");
    *ret_value = value;
    return JQ_OK;
}

static enum jq_err parse_size(struct jq_str text, int64_t *ret_value, struct jq_error *reterr) {
    uint64_t bytes = 0;
    const enum jq_err err = jq_text_parse_size(text, &bytes, reterr);
    if (err != JQ_OK)
        return err;
    if (bytes > INT64_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "'%.*s' is too large", JQ_STR_ARG(text));
    *ret_value = (int64_t)bytes;
    return JQ_OK;
}

static enum jq_err parse_choice(const struct jq_conf_key *key, struct jq_str text, int64_t *ret_value,
                                struct jq_error *reterr) {
    char names[160] = "";
    size_t size = 0;
    for (int64_t i = 0; key->choices[i] != NULL; i++) {
        if (jq_str_equal(text, jq_str_of(key->choices[i]))) {
            *ret_value = i;
            return JQ_OK;
        }
        const int added = snprintf(names + size, sizeof names - size, "%s%s", i == 0 ? "" : ", ", key->choices[i]);
        size += added > 0 && (size_t)added < sizeof names - size ? (size_t)added : 0;
    }
    return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is not one of: %s", JQ_STR_ARG(text), names);
}

static enum jq_err parse_number(const struct jq_conf_key *key, struct jq_str text, int64_t *ret_value,
                                struct jq_error *reterr) {
    switch (key->type) {
    case JQ_CONF_SIZE: return parse_size(text, ret_value, reterr);
    case JQ_CONF_DURATION: return jq_text_parse_duration(text, ret_value, reterr);
    case JQ_CONF_MODE: return parse_mode(text, ret_value, reterr);
    case JQ_CONF_ENUM: return parse_choice(key, text, ret_value, reterr);
    default: return jq_text_parse_int(text, INT64_MIN, INT64_MAX, ret_value, reterr);
    }
}

void jq_conf_number_format(enum jq_conf_type type, int64_t value, char out[JQ_CONF_NUMBER_TEXT_SIZE_MAX]) {
    if (type == JQ_CONF_SIZE)
        (void)jq_text_format_size((uint64_t)value, out);
    else if (type == JQ_CONF_DURATION)
        (void)jq_text_format_duration(value, out);
    else if (type == JQ_CONF_MODE)
        (void)snprintf(out, JQ_CONF_NUMBER_TEXT_SIZE_MAX, "%04" PRIo64, (uint64_t)value);
    else
        (void)snprintf(out, JQ_CONF_NUMBER_TEXT_SIZE_MAX, "%" PRId64, value);
}

static enum jq_err check_bounds(const struct jq_conf_key *key, int64_t value, struct jq_error *reterr) {
    char min[JQ_CONF_NUMBER_TEXT_SIZE_MAX];
    char max[JQ_CONF_NUMBER_TEXT_SIZE_MAX];
    if ((key->min == 0 && key->max == 0) || (value >= key->min && value <= key->max))
        return JQ_OK;
    jq_conf_number_format(key->type, key->min, min);
    jq_conf_number_format(key->type, key->max, max);
    if (key->max == INT64_MAX)
        return jq_fail(reterr, JQ_ERR_INVALID, "must be at least %s", min);
    return jq_fail(reterr, JQ_ERR_INVALID, "must be from %s to %s", min, max);
}

/* ---- setters ----------------------------------------------------------------------------------------------------- */

static enum jq_err set_number(const struct jq_conf_key *key, void *field, struct jq_str text, struct jq_error *reterr) {
    int64_t value = 0;
    enum jq_err err = parse_number(key, text, &value, reterr);
    if (err == JQ_OK)
        err = check_bounds(key, value, reterr);
    if (err == JQ_OK)
        *(int64_t *)field = value;
    return err;
}

static enum jq_err set_bool(void *field, struct jq_str text, struct jq_error *reterr) {
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (jq_str_equal(text, jq_str_of(words[i]))) {
            *(bool *)field = i % 2 == 1;
            return JQ_OK;
        }
    return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is neither yes nor no", JQ_STR_ARG(text));
}

static enum jq_err set_string(const struct jq_conf_key *key, void *field, struct jq_str text, struct jq_error *reterr) {
    if (key->type == JQ_CONF_PATH && text.size > 0 && text.data[0] != '/')
        return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is not an absolute path", JQ_STR_ARG(text));
    char *const copy = malloc(text.size + 1);
    if (copy == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "out of memory");
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    free(*(char **)field);
    *(char **)field = copy;
    return JQ_OK;
}

static enum jq_err set_list(const struct jq_conf_key *key, void *field, struct jq_str text, struct jq_error *reterr) {
    struct jq_conf_list list = {0};
    enum jq_err err = jq_conf_list_parse(text, key->type == JQ_CONF_WORDS, &list, reterr);
    if (err != JQ_OK)
        return err;
    if (check_bounds(key, (int64_t)list.count, NULL) != JQ_OK)
        err = jq_fail(reterr, JQ_ERR_INVALID, "%zu words, must be from %" PRId64 " to %" PRId64, list.count, key->min,
                      key->max);
    if (err != JQ_OK) {
        jq_conf_list_fini(&list);
        return err;
    }
    jq_conf_list_fini(field);
    *(struct jq_conf_list *)field = list;
    return JQ_OK;
}

static enum jq_err check_text(const struct jq_conf_key *key, struct jq_str text, struct jq_error *reterr) {
    for (size_t i = 0; i < text.size; i++) {
        const unsigned byte = (unsigned char)text.data[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f)
            return jq_fail(reterr, JQ_ERR_INVALID, "byte 0x%02x cannot be part of a value", byte);
    }
    return key->check != NULL && text.size > 0 ? key->check(text, reterr) : JQ_OK;
}

enum jq_err jq_conf_value_set(const struct jq_conf_key *key, void *base, struct jq_str text, struct jq_error *reterr) {
    void *const field = field_of(key, base);
    const enum jq_err err = check_text(key, text, reterr);
    if (err != JQ_OK)
        return err;
    switch (key->type) {
    case JQ_CONF_STRING:
    case JQ_CONF_PATH: return set_string(key, field, text, reterr);
    case JQ_CONF_LIST:
    case JQ_CONF_WORDS: return set_list(key, field, text, reterr);
    case JQ_CONF_BOOL: return set_bool(field, text, reterr);
    default: return set_number(key, field, text, reterr);
    }
}

void jq_conf_value_fini(const struct jq_conf_key *key, void *base) {
    void *const field = field_of(key, base);
    if (key->type == JQ_CONF_LIST || key->type == JQ_CONF_WORDS)
        jq_conf_list_fini(field);
    if (key->type != JQ_CONF_STRING && key->type != JQ_CONF_PATH)
        return;
    free(*(char **)field);
    *(char **)field = NULL;
}
