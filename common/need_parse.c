#include <stdlib.h>

#include "common/need.h"
#include "common/need_build.h"
#include "common/need_lex.h"

/* ---- need -------------------------------------------------------------------------------------------------------- */

static bool is_bar(const struct jq_word *word) {
    return word->text.data[0] == '|';
}

static size_t count_bars(struct jq_str text) {
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '|';
    return count;
}

static enum jq_err add_term(struct jq_need_builder *builder, const struct jq_word *word, struct jq_error *reterr) {
    struct jq_need_term term = {0};
    const struct jq_need_group group = jq_need_builder_group(builder);
    const enum jq_err err = jq_word_term(word, &term, reterr);
    if (err != JQ_OK)
        return err;
    if (group.count == JQ_NEED_TERMS_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "%s: column %zu: more than %d terms in one alternative", word->what,
                       word->column, JQ_NEED_TERMS_MAX);
    if (term.op == JQ_NEED_RESERVE)
        for (size_t i = 0; i < group.count; i++)
            if (group.terms[i].op == JQ_NEED_RESERVE && jq_str_equal(group.terms[i].name, term.name))
                return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: %.*s is reserved twice", word->what,
                               word->column, JQ_STR_ARG(term.name));
    jq_need_builder_add(builder, &term);
    return JQ_OK;
}

/* Ends the open group at `column`, which must not be empty if there is another. */
static enum jq_err end_group(struct jq_need_builder *builder, size_t column, bool alone, struct jq_error *reterr) {
    if (jq_need_builder_group(builder).count == 0 && !alone)
        return jq_fail(reterr, JQ_ERR_INVALID, "need: column %zu: an empty alternative", column);
    jq_need_builder_end_group(builder);
    return JQ_OK;
}

static enum jq_err read_need(struct jq_str text, struct jq_need_builder *builder, struct jq_error *reterr) {
    struct jq_word word;
    bool alone = true;
    enum jq_err err = JQ_OK;
    for (size_t pos = 0; err == JQ_OK && jq_word_next("need", text, &pos, &word);) {
        if (!is_bar(&word)) {
            err = add_term(builder, &word, reterr);
            continue;
        }
        alone = false;
        err = end_group(builder, word.column, alone, reterr);
    }
    return err != JQ_OK ? err : end_group(builder, text.size + 1, alone, reterr);
}

enum jq_err jq_need_parse(struct jq_str text, struct jq_need *ret_need, struct jq_error *reterr) {
    if (text.size > JQ_NEED_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "need: %zu bytes, at most %d", text.size, JQ_NEED_SIZE_MAX);
    const size_t group_count = count_bars(text) + 1;
    if (group_count > JQ_NEED_GROUPS_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "need: %zu alternatives, at most %d", group_count, JQ_NEED_GROUPS_MAX);
    struct jq_need_builder builder;
    if (jq_need_builder_init(&builder, group_count, jq_word_count(text), text.size) != JQ_OK)
        return jq_fail(reterr, JQ_ERR_NOMEM, "need: out of memory");
    const enum jq_err err = read_need(text, &builder, reterr);
    if (err == JQ_OK)
        jq_need_builder_take(&builder, ret_need);
    jq_need_builder_fini(&builder);
    return err;
}

/* ---- want -------------------------------------------------------------------------------------------------------- */

/* The weight after the last colon of a word: "-100" .. "100". */
static bool read_weight(struct jq_str text, int *ret_weight) {
    const bool negative = text.size > 0 && text.data[0] == '-';
    const size_t start = negative ? 1 : 0;
    int weight = 0;
    if (text.size == start || text.size > start + 3)
        return false;
    for (size_t i = start; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        weight = weight * 10 + (text.data[i] - '0');
    }
    *ret_weight = negative ? -weight : weight;
    return weight <= JQ_WANT_WEIGHT_MAX;
}

static enum jq_err read_preference(const struct jq_word *word, struct jq_want_item *ret_item, struct jq_error *reterr) {
    if (is_bar(word))
        return jq_fail(reterr, JQ_ERR_INVALID, "want: column %zu: a want has no alternatives", word->column);
    size_t colon = word->text.size;
    while (colon > 0 && word->text.data[colon - 1] != ':')
        colon--;
    if (colon < 2)
        return jq_fail(reterr, JQ_ERR_INVALID, "want: column %zu: a preference is written term:weight", word->column);
    const struct jq_word weight = jq_word_from(word, colon);
    struct jq_word term = *word;
    term.text.size = colon - 1;
    if (!read_weight(weight.text, &ret_item->weight))
        return jq_fail(reterr, JQ_ERR_INVALID, "want: column %zu: the weight is not a number from -%d to %d",
                       weight.column, JQ_WANT_WEIGHT_MAX, JQ_WANT_WEIGHT_MAX);
    return jq_word_term(&term, &ret_item->term, reterr);
}

static struct jq_str copy_text(char **end, struct jq_str text) {
    if (text.size > 0)
        memcpy(*end, text.data, text.size);
    *end += text.size;
    return (struct jq_str){*end - text.size, text.size};
}

static enum jq_err read_want(struct jq_str text, struct jq_want_item *items, char *copies, struct jq_error *reterr) {
    struct jq_word word;
    size_t count = 0;
    for (size_t pos = 0; jq_word_next("want", text, &pos, &word); count++) {
        const enum jq_err err = read_preference(&word, &items[count], reterr);
        if (err != JQ_OK)
            return err;
        items[count].term.name = copy_text(&copies, items[count].term.name);
        items[count].term.value = copy_text(&copies, items[count].term.value);
    }
    return JQ_OK;
}

enum jq_err jq_want_parse(struct jq_str text, struct jq_want *ret_want, struct jq_error *reterr) {
    if (text.size > JQ_NEED_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "want: %zu bytes, at most %d", text.size, JQ_NEED_SIZE_MAX);
    /* A bar is refused when it is met; until then it takes a place. */
    const size_t count = jq_word_count(text) + count_bars(text);
    if (count > JQ_NEED_TERMS_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "want: %zu preferences, at most %d", count, JQ_NEED_TERMS_MAX);
    char *const block = calloc(1, count * sizeof(struct jq_want_item) + text.size + 1);
    if (block == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "want: out of memory");
    struct jq_want_item *const items = (struct jq_want_item *)(void *)block;
    const enum jq_err err = read_want(text, items, block + count * sizeof *items, reterr);
    if (err != JQ_OK) {
        free(block);
        return err;
    }
    *ret_want = (struct jq_want){items, count, block};
    return JQ_OK;
}

void jq_want_fini(struct jq_want *want) {
    if (want == NULL)
        return;
    free(want->storage);
    *want = (struct jq_want){0};
}

static void sink_weight(struct jq_sink *sink, int weight) {
    char digits[4];
    size_t size = 0;
    for (int rest = weight < 0 ? -weight : weight; (rest > 0 || size == 0) && size < sizeof digits; rest /= 10)
        digits[size++] = (char)('0' + rest % 10);
    jq_sink_text(sink, weight < 0 ? JQ_STR(":-") : JQ_STR(":"));
    while (size > 0)
        jq_sink_text(sink, (struct jq_str){&digits[--size], 1});
}

size_t jq_want_format(const struct jq_want *want, char *out, size_t size) {
    struct jq_sink sink = {.out = out, .size = size};
    for (size_t i = 0; i < want->count; i++) {
        if (i > 0)
            jq_sink_text(&sink, JQ_STR(" "));
        jq_sink_term(&sink, &want->items[i].term);
        sink_weight(&sink, want->items[i].weight);
    }
    return jq_sink_end(&sink);
}
