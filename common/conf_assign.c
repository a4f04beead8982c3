#include <stdio.h>
#include <stdlib.h>

#include "common/conf_internal.h"

/* ---- sections ---------------------------------------------------------------------------------------------------- */

static bool has_names(const struct jq_conf_section *section) {
    return section->item_size > 0;
}

/* "queue cad.step" in its two parts; the second may be empty. */
struct title {
    struct jq_str kind;
    struct jq_str name;
};

static struct title split_title(struct jq_str text) {
    const struct jq_str trimmed = jq_conf_trim(text);
    size_t size = 0;
    while (size < trimmed.size && trimmed.data[size] != ' ' && trimmed.data[size] != '\t')
        size++;
    return (struct title){
        .kind = {trimmed.data, size},
        .name = jq_conf_trim((struct jq_str){trimmed.data + size, trimmed.size - size}),
    };
}

static const struct jq_conf_section *find_section(const struct jq_conf_schema *schema, struct jq_str kind) {
    for (size_t i = 0; i < schema->section_count; i++)
        if (jq_str_equal(kind, jq_str_of(schema->sections[i].name)))
            return &schema->sections[i];
    return NULL;
}

void jq_conf_where(const struct jq_conf_source *source, char *out, size_t size) {
    if (source->line > 0)
        (void)snprintf(out, size, "%s:%d", source->origin, source->line);
    else
        (void)snprintf(out, size, "%s", source->origin);
}

enum { WHERE_SIZE = 160 };

static enum jq_err fail_unknown_section(const struct jq_conf_schema *schema, const struct jq_conf_source *source,
                                        struct jq_str kind, struct jq_error *reterr) {
    const char *names[JQ_CONF_SECTIONS_MAX];
    char where[WHERE_SIZE];
    for (size_t i = 0; i < schema->section_count; i++)
        names[i] = schema->sections[i].name;
    const char *const meant = jq_conf_suggest(kind, names, schema->section_count);
    jq_conf_where(source, where, sizeof where);
    if (kind.size == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: a key before the first section", where);
    if (meant != NULL)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: [%.*s]: unknown section, did you mean [%s]?", where,
                       JQ_STR_ARG(kind), meant);
    return jq_fail(reterr, JQ_ERR_INVALID, "%s: [%.*s]: unknown section", where, JQ_STR_ARG(kind));
}

static enum jq_err check_section(const struct jq_conf_schema *schema, const struct jq_conf_source *source,
                                 const struct title *title, const struct jq_conf_section **ret_section,
                                 struct jq_error *reterr) {
    const struct jq_conf_section *const section = find_section(schema, title->kind);
    char where[WHERE_SIZE];
    if (section == NULL)
        return fail_unknown_section(schema, source, title->kind, reterr);
    jq_conf_where(source, where, sizeof where);
    if (has_names(section) && title->name.size == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: [%s]: a name is missing: [%s NAME]", where, section->name,
                       section->name);
    if (has_names(section) && !jq_name_valid(title->name))
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: [%s %.*s]: a name is 1 to %d of a-z 0-9 _ . -", where,
                       section->name, JQ_STR_ARG(title->name), JQ_NAME_SIZE_MAX);
    if (!has_names(section) && title->name.size > 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: [%s %.*s]: [%s] takes no name", where, section->name,
                       JQ_STR_ARG(title->name), section->name);
    *ret_section = section;
    return JQ_OK;
}

/* ---- items ------------------------------------------------------------------------------------------------------- */

static struct jq_conf_items *items_of(const struct jq_conf_section *section, void *settings) {
    return (struct jq_conf_items *)(void *)((char *)settings + section->offset);
}

static struct jq_conf_item *item_at(const struct jq_conf_items *items, size_t item_size, size_t index) {
    return (struct jq_conf_item *)(void *)((char *)items->data + index * item_size);
}

void *jq_conf_find_item(const struct jq_conf_items *items, size_t item_size, struct jq_str name) {
    /* From the end: keys of one section follow each other. */
    for (size_t i = items->count; i > 0; i--) {
        struct jq_conf_item *const item = item_at(items, item_size, i - 1);
        if (jq_str_equal(jq_str_of(item->name), name))
            return item;
    }
    return NULL;
}

static enum jq_err init_keys(const struct jq_conf_section *section, void *base, struct jq_error *reterr) {
    enum jq_err err = JQ_OK;
    JQ_CHECK(section->key_count <= 64);
    for (size_t i = 0; err == JQ_OK && i < section->key_count; i++) {
        struct jq_error why = {0};
        err = jq_conf_value_set(&section->keys[i], base, jq_str_of(section->keys[i].standard), &why);
        JQ_CHECK(err == JQ_OK || err == JQ_ERR_NOMEM);
        if (err != JQ_OK)
            (void)jq_fail(reterr, err, "configuration: out of memory");
    }
    return err;
}

static void fini_keys(const struct jq_conf_section *section, void *base) {
    for (size_t i = 0; i < section->key_count; i++)
        jq_conf_value_fini(&section->keys[i], base);
}

static enum jq_err add_item(const struct jq_conf_section *section, struct jq_conf_items *items, const char *where,
                            struct jq_str name, void **ret_item, struct jq_error *reterr) {
    if (items->count == section->count_max)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "%s: [%s %.*s]: more than %zu of them", where, section->name,
                       JQ_STR_ARG(name), section->count_max);
    void *const data = realloc(items->data, (items->count + 1) * section->item_size);
    if (data == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "configuration: out of memory");
    items->data = data;
    struct jq_conf_item *const item = item_at(items, section->item_size, items->count);
    memset(item, 0, section->item_size);
    items->count++;
    item->name = strndup(name.data, name.size);
    item->origin = strdup(where);
    if (item->name == NULL || item->origin == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "configuration: out of memory");
    *ret_item = item;
    return init_keys(section, item, reterr);
}

/* An item belongs to one file: two that define the same thing would overwrite each other in silence. */
static bool is_of_source(const struct jq_conf_item *item, const struct jq_conf_source *source) {
    const size_t size = strlen(source->origin);
    return source->seen == NULL || (strncmp(item->origin, source->origin, size) == 0 && item->origin[size] == ':');
}

static enum jq_err obtain_item(const struct jq_conf_section *section, void *settings,
                               const struct jq_conf_source *source, struct jq_str name, void **ret_item,
                               struct jq_error *reterr) {
    struct jq_conf_items *const items = items_of(section, settings);
    char where[WHERE_SIZE];
    jq_conf_where(source, where, sizeof where);
    struct jq_conf_item *const item = jq_conf_find_item(items, section->item_size, name);
    if (item == NULL)
        return add_item(section, items, where, name, ret_item, reterr);
    if (!is_of_source(item, source))
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: [%s %s]: stands in %s already", where, section->name, item->name,
                       item->origin);
    *ret_item = item;
    return JQ_OK;
}

enum jq_err jq_conf_begin_section(const struct jq_conf_schema *schema, void *settings,
                                  const struct jq_conf_source *source, struct jq_str title, struct jq_error *reterr) {
    const struct title parts = split_title(title);
    const struct jq_conf_section *section = schema->sections;
    void *base = settings;
    const enum jq_err err = check_section(schema, source, &parts, &section, reterr);
    return err == JQ_OK && has_names(section) ? obtain_item(section, settings, source, parts.name, &base, reterr) : err;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static const struct jq_conf_key *find_key(const struct jq_conf_section *section, struct jq_str name) {
    for (size_t i = 0; i < section->key_count; i++)
        if (jq_str_equal(name, jq_str_of(section->keys[i].name)))
            return &section->keys[i];
    return NULL;
}

/* Another section that has the key, or NULL. */
static const struct jq_conf_section *find_elsewhere(const struct jq_conf_schema *schema, struct jq_str name) {
    for (size_t i = 0; i < schema->section_count; i++)
        if (find_key(&schema->sections[i], name) != NULL)
            return &schema->sections[i];
    return NULL;
}

static enum jq_err fail_unknown_key(const struct jq_conf_schema *schema, const struct jq_conf_section *section,
                                    const char *where, struct jq_str title, struct jq_str name,
                                    struct jq_error *reterr) {
    const char *names[64];
    for (size_t i = 0; i < section->key_count; i++)
        names[i] = section->keys[i].name;
    const char *const meant = jq_conf_suggest(name, names, section->key_count);
    const struct jq_conf_section *const elsewhere = find_elsewhere(schema, name);
    if (elsewhere != NULL)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: [%.*s] %.*s: unknown key, did you mean that of [%s]?", where,
                       JQ_STR_ARG(title), JQ_STR_ARG(name), elsewhere->name);
    if (meant != NULL)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: [%.*s] %.*s: unknown key, did you mean '%s'?", where,
                       JQ_STR_ARG(title), JQ_STR_ARG(name), meant);
    return jq_fail(reterr, JQ_ERR_INVALID, "%s: [%.*s] %.*s: unknown key", where, JQ_STR_ARG(title), JQ_STR_ARG(name));
}

/* Marks the key as set. False if it was. */
static bool mark_seen(const struct jq_conf_section *section, const struct jq_conf_key *key, uint64_t *seen) {
    const uint64_t bit = UINT64_C(1) << (key - section->keys);
    const bool first = (*seen & bit) == 0;
    *seen |= bit;
    return first;
}

static uint64_t *seen_of(const struct jq_conf_schema *schema, const struct jq_conf_section *section,
                         const struct jq_conf_source *source, void *base) {
    return has_names(section) ? &((struct jq_conf_item *)base)->seen : &source->seen[section - schema->sections];
}

enum jq_err jq_conf_assign(const struct jq_conf_schema *schema, void *settings, const struct jq_conf_source *source,
                           struct jq_str title, struct jq_str name, struct jq_str value, struct jq_error *reterr) {
    const struct title parts = split_title(title);
    const struct jq_conf_section *section = schema->sections;
    void *base = settings;
    char where[WHERE_SIZE];
    enum jq_err err = check_section(schema, source, &parts, &section, reterr);
    if (err == JQ_OK && has_names(section))
        err = obtain_item(section, settings, source, parts.name, &base, reterr);
    if (err != JQ_OK)
        return err;
    jq_conf_where(source, where, sizeof where);
    const struct jq_conf_key *const key = find_key(section, name);
    if (key == NULL)
        return fail_unknown_key(schema, section, where, title, name, reterr);
    if (source->seen != NULL && !mark_seen(section, key, seen_of(schema, section, source, base)))
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: [%.*s] %s: set twice", where, JQ_STR_ARG(title), key->name);
    struct jq_error why = {0};
    err = jq_conf_value_set(key, base, value, &why);
    if (err != JQ_OK)
        return jq_fail(reterr, err, "%s: [%.*s] %s: %s", where, JQ_STR_ARG(title), key->name, why.message);
    return JQ_OK;
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

enum jq_err jq_conf_init(const struct jq_conf_schema *schema, void *settings, struct jq_error *reterr) {
    enum jq_err err = JQ_OK;
    JQ_CHECK(schema->section_count <= JQ_CONF_SECTIONS_MAX);
    for (size_t i = 0; err == JQ_OK && i < schema->section_count; i++)
        if (!has_names(&schema->sections[i]))
            err = init_keys(&schema->sections[i], settings, reterr);
    if (err != JQ_OK)
        jq_conf_fini(schema, settings);
    return err;
}

static void fini_items(const struct jq_conf_section *section, struct jq_conf_items *items) {
    for (size_t i = 0; i < items->count; i++) {
        struct jq_conf_item *const item = item_at(items, section->item_size, i);
        fini_keys(section, item);
        free(item->name);
        free(item->origin);
    }
    free(items->data);
    *items = (struct jq_conf_items){0};
}

void jq_conf_fini(const struct jq_conf_schema *schema, void *settings) {
    for (size_t i = 0; settings != NULL && i < schema->section_count; i++) {
        const struct jq_conf_section *const section = &schema->sections[i];
        if (has_names(section))
            fini_items(section, items_of(section, settings));
        else
            fini_keys(section, settings);
    }
}

/* "queue.cad.step.weight": the section ends at the first point, the key begins after the last one. */
static void split_path(const struct jq_conf_schema *schema, struct jq_str path, struct jq_str *ret_title,
                       struct jq_str *ret_key, char *title, size_t title_size) {
    size_t last = path.size;
    while (last > 0 && path.data[last - 1] != '.')
        last--;
    *ret_key = (struct jq_str){path.data + last, path.size - last};
    *ret_title = (struct jq_str){path.data, last > 0 ? last - 1 : 0};
    for (size_t i = 0; i < ret_title->size; i++) {
        const struct jq_conf_section *const section = find_section(schema, (struct jq_str){path.data, i});
        if (path.data[i] != '.' || section == NULL || !has_names(section))
            continue;
        const int size =
            snprintf(title, title_size, "%s %.*s", section->name, (int)(ret_title->size - i - 1), path.data + i + 1);
        *ret_title = (struct jq_str){title, (size_t)size < title_size ? (size_t)size : title_size - 1};
        return;
    }
}

enum jq_err jq_conf_set(const struct jq_conf_schema *schema, void *settings, struct jq_str assignment,
                        struct jq_error *reterr) {
    const struct jq_conf_source source = {.origin = "--set"};
    struct jq_str title;
    struct jq_str key;
    char text[256];
    const char *const equals = assignment.size > 0 ? memchr(assignment.data, '=', assignment.size) : NULL;
    if (equals == NULL)
        return jq_fail(reterr, JQ_ERR_INVALID, "--set %.*s: SECTION.KEY=VALUE was expected", JQ_STR_ARG(assignment));
    const struct jq_str path = jq_conf_trim((struct jq_str){assignment.data, (size_t)(equals - assignment.data)});
    const struct jq_str value = {equals + 1, assignment.size - (size_t)(equals + 1 - assignment.data)};
    split_path(schema, path, &title, &key, text, sizeof text);
    if (title.size == 0 || key.size == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "--set %.*s: SECTION.KEY=VALUE was expected", JQ_STR_ARG(assignment));
    if (value.size > JQ_CONF_VALUE_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "--set %.*s: a value of more than %d bytes", JQ_STR_ARG(path),
                       JQ_CONF_VALUE_SIZE_MAX);
    return jq_conf_assign(schema, settings, &source, title, key, jq_conf_trim(value), reterr);
}
