#include "common/need_build.h"

#include <stdlib.h>

#include "common/need_lex.h"

enum jq_err jq_need_builder_init(struct jq_need_builder *builder, size_t groups_max, size_t terms_max,
                                 size_t text_size_max) {
    const size_t groups_size = groups_max * sizeof(struct jq_need_group);
    const size_t terms_size = terms_max * sizeof(struct jq_need_term);
    char *const block = malloc(groups_size + terms_size + text_size_max + 1);
    if (block == NULL)
        return JQ_ERR_NOMEM;
    *builder = (struct jq_need_builder){
        .groups = (struct jq_need_group *)(void *)block,
        .terms = (struct jq_need_term *)(void *)(block + groups_size),
        .text = block + groups_size + terms_size,
    };
    return JQ_OK;
}

void jq_need_builder_fini(struct jq_need_builder *builder) {
    free(builder->groups);
    builder->groups = NULL;
}

static struct jq_str copy_text(struct jq_need_builder *builder, struct jq_str text) {
    char *const copy = builder->text + builder->text_size;
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    builder->text_size += text.size;
    return (struct jq_str){copy, text.size};
}

void jq_need_builder_add(struct jq_need_builder *builder, const struct jq_need_term *term) {
    struct jq_need_term copy = *term;
    copy.name = copy_text(builder, term->name);
    copy.value = copy_text(builder, term->value);
    builder->terms[builder->term_count++] = copy;
}

struct jq_need_group jq_need_builder_group(const struct jq_need_builder *builder) {
    return (struct jq_need_group){builder->terms + builder->group_start, builder->term_count - builder->group_start};
}

static int compare_terms(const struct jq_need_term *a, const struct jq_need_term *b) {
    int order = jq_word_compare(a->name, b->name);
    if (order == 0)
        order = (a->op > b->op) - (a->op < b->op);
    if (order == 0)
        order = (a->amount > b->amount) - (a->amount < b->amount);
    return order != 0 ? order : jq_word_compare(a->value, b->value);
}

/* By insertion: a group has at most JQ_NEED_MERGED_TERMS_MAX terms. */
static void sort_terms(struct jq_need_term *terms, size_t count) {
    for (size_t i = 1; i < count; i++) {
        const struct jq_need_term moving = terms[i];
        size_t place = i;
        for (; place > 0 && compare_terms(&terms[place - 1], &moving) > 0; place--)
            terms[place] = terms[place - 1];
        terms[place] = moving;
    }
}

/* Of sorted terms. Returns how many are left. */
static size_t drop_equal_terms(struct jq_need_term *terms, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare_terms(&terms[kept - 1], &terms[i]) != 0)
            terms[kept++] = terms[i];
    return kept;
}

static bool groups_equal(const struct jq_need_group *a, const struct jq_need_group *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (compare_terms(&a->terms[i], &b->terms[i]) != 0)
            return false;
    return true;
}

void jq_need_builder_end_group(struct jq_need_builder *builder) {
    struct jq_need_term *const terms = builder->terms + builder->group_start;
    size_t count = builder->term_count - builder->group_start;
    sort_terms(terms, count);
    count = drop_equal_terms(terms, count);
    const struct jq_need_group group = {terms, count};
    bool known = false;
    for (size_t i = 0; i < builder->group_count && !known; i++)
        known = groups_equal(&builder->groups[i], &group);
    if (!known) {
        builder->groups[builder->group_count++] = group;
        builder->group_start += count;
    }
    builder->term_count = builder->group_start;
}

void jq_need_builder_take(struct jq_need_builder *builder, struct jq_need *ret_need) {
    *ret_need = (struct jq_need){builder->groups, builder->group_count, builder->groups};
    builder->groups = NULL;
}

void jq_need_fini(struct jq_need *need) {
    if (need == NULL)
        return;
    free(need->storage);
    *need = (struct jq_need){0};
}

bool jq_need_equal(const struct jq_need *a, const struct jq_need *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!groups_equal(&a->groups[i], &b->groups[i]))
            return false;
    return true;
}

size_t jq_need_term_format(const struct jq_need_term *term, char *out, size_t size) {
    struct jq_sink sink = {.out = out, .size = size};
    jq_sink_term(&sink, term);
    return jq_sink_end(&sink);
}

size_t jq_need_format(const struct jq_need *need, char *out, size_t size) {
    struct jq_sink sink = {.out = out, .size = size};
    for (size_t g = 0; g < need->count; g++) {
        if (g > 0)
            jq_sink_text(&sink, JQ_STR("|"));
        for (size_t t = 0; t < need->groups[g].count; t++) {
            if (t > 0)
                jq_sink_text(&sink, JQ_STR(" "));
            jq_sink_term(&sink, &need->groups[g].terms[t]);
        }
    }
    return jq_sink_end(&sink);
}

/* ---- effective need ---------------------------------------------------------------------------------------------- */

static const struct jq_need_term slot_term = {.name = {"slots", 5}, .amount = JQ_AMOUNT_UNIT, .op = JQ_NEED_RESERVE};
static const struct jq_need_group empty_group = {NULL, 0};
static const struct jq_need empty_need = {&empty_group, 1, NULL};

static bool mentions(const struct jq_need_group *group, struct jq_str name) {
    for (size_t i = 0; i < group->count; i++)
        if (jq_str_equal(group->terms[i].name, name))
            return true;
    return false;
}

static void merge_groups(struct jq_need_builder *builder, const struct jq_need_group *task,
                         const struct jq_need_group *handler) {
    for (size_t i = 0; i < task->count; i++)
        jq_need_builder_add(builder, &task->terms[i]);
    for (size_t i = 0; i < handler->count; i++)
        if (!mentions(task, handler->terms[i].name))
            jq_need_builder_add(builder, &handler->terms[i]);
    if (!mentions(task, slot_term.name) && !mentions(handler, slot_term.name))
        jq_need_builder_add(builder, &slot_term);
    jq_need_builder_end_group(builder);
}

struct extent {
    size_t term_count;
    size_t text_size;
};

static struct extent measure(const struct jq_need *need) {
    struct extent extent = {0};
    for (size_t g = 0; g < need->count; g++) {
        extent.term_count += need->groups[g].count;
        for (size_t t = 0; t < need->groups[g].count; t++)
            extent.text_size += need->groups[g].terms[t].name.size + need->groups[g].terms[t].value.size;
    }
    return extent;
}

enum jq_err jq_need_merge(const struct jq_need *task, const struct jq_need *handler, struct jq_need *ret_need) {
    const struct jq_need *const a = task != NULL && task->count > 0 ? task : &empty_need;
    const struct jq_need *const b = handler != NULL && handler->count > 0 ? handler : &empty_need;
    const size_t group_count = a->count * b->count;
    if (group_count > JQ_NEED_MERGED_GROUPS_MAX)
        return JQ_ERR_TOO_BIG;
    const struct extent of_a = measure(a);
    const struct extent of_b = measure(b);
    struct jq_need_builder builder;
    const enum jq_err err = jq_need_builder_init(
        &builder, group_count, of_a.term_count * b->count + of_b.term_count * a->count + group_count,
        of_a.text_size * b->count + of_b.text_size * a->count + slot_term.name.size * group_count);
    if (err != JQ_OK)
        return err;
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            merge_groups(&builder, &a->groups[i], &b->groups[j]);
    jq_need_builder_take(&builder, ret_need);
    return JQ_OK;
}
