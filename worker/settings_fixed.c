/* What of a configuration cannot change while the worker runs. */
#include <stdio.h>

#include "worker/settings.h"

/* All else of [worker], and [freecad], is read once at the start. */
static const char *const changeable[] = {"offers",          "facts",        "accept", "slots", "slots_min",
                                         "slots_max",       "handlers_dir", "drain",  "grace", "idle_exit",
                                         "memory_pressure", "psi_pressure", NULL};

static bool is_changeable(const char *name) {
    for (size_t i = 0; changeable[i] != NULL; i++)
        if (strcmp(changeable[i], name) == 0)
            return true;
    return false;
}

static bool lists_equal(const struct jq_conf_list *left, const struct jq_conf_list *right) {
    if (left->count != right->count)
        return false;
    for (size_t i = 0; i < left->count; i++)
        if (strcmp(left->items[i], right->items[i]) != 0)
            return false;
    return true;
}

/* `left` and `right` are the structs that have the key. */
static bool values_equal(const struct jq_conf_key *key, const void *left, const void *right) {
    const void *const a = (const char *)left + key->offset;
    const void *const b = (const char *)right + key->offset;
    switch (key->type) {
    case JQ_CONF_STRING:
    case JQ_CONF_PATH: return strcmp(*(char *const *)a, *(char *const *)b) == 0;
    case JQ_CONF_BOOL: return *(const bool *)a == *(const bool *)b;
    case JQ_CONF_LIST:
    case JQ_CONF_WORDS: return lists_equal(a, b);
    default: return *(const int64_t *)a == *(const int64_t *)b;
    }
}

static const struct jq_conf_section *section_of(const char *name) {
    for (size_t i = 0; i < jq_worker_schema.section_count; i++)
        if (strcmp(jq_worker_schema.sections[i].name, name) == 0)
            return &jq_worker_schema.sections[i];
    JQ_CHECK(false);
    return NULL;
}

static enum jq_err refuse(const char *section, const char *key, struct jq_error *reterr) {
    return jq_fail(reterr, JQ_ERR_INVALID, "[%s] %s: cannot change while the worker runs; restart it", section, key);
}

static enum jq_err check_section(const char *name, const struct jq_worker_settings *now,
                                 const struct jq_worker_settings *then, struct jq_error *reterr) {
    const struct jq_conf_section *const section = section_of(name);
    for (size_t i = 0; i < section->key_count; i++) {
        const struct jq_conf_key *const key = &section->keys[i];
        const bool may = strcmp(name, "worker") == 0 && is_changeable(key->name);
        if (!may && !values_equal(key, now, then))
            return refuse(name, key->name, reterr);
    }
    return JQ_OK;
}

static bool handlers_equal(const struct jq_handler_settings *left, const struct jq_handler_settings *right) {
    const struct jq_conf_section *const section = section_of("handler");
    for (size_t i = 0; i < section->key_count; i++)
        if (!values_equal(&section->keys[i], left, right))
            return false;
    return true;
}

/* Each warm process of `left` is there in `right`, and the same. */
static enum jq_err check_pools(const struct jq_worker_settings *left, const struct jq_worker_settings *right,
                               struct jq_error *reterr) {
    for (size_t i = 0; i < jq_worker_settings_handler_count(left); i++) {
        const struct jq_handler_settings *const handler = jq_worker_settings_handler(left, i);
        const struct jq_handler_settings *const other =
            jq_worker_settings_find_handler(right, jq_str_of(handler->item.name));
        if (handler->kind == JQ_HANDLER_POOL && (other == NULL || !handlers_equal(handler, other)))
            return jq_fail(
                reterr, JQ_ERR_INVALID,
                "[handler %s]: a handler of kind pool cannot come, change or go while the worker runs; restart it",
                handler->item.name);
    }
    return JQ_OK;
}

/* What of FreeCAD's handlers all of them share: that there is one, and whether it may open connections. */
static unsigned freecad_traits(const struct jq_worker_settings *settings) {
    unsigned traits = 0;
    for (size_t i = 0; i < jq_worker_settings_handler_count(settings); i++) {
        const struct jq_handler_settings *const handler = jq_worker_settings_handler(settings, i);
        if (handler->kind == JQ_HANDLER_FREECAD)
            traits |= handler->network ? 3U : 1U;
    }
    return traits;
}

enum jq_err jq_worker_settings_may_become(const struct jq_worker_settings *now, const struct jq_worker_settings *then,
                                          struct jq_error *reterr) {
    enum jq_err err = check_section("worker", now, then, reterr);
    err = err == JQ_OK ? check_section("freecad", now, then, reterr) : err;
    err = err == JQ_OK ? check_pools(now, then, reterr) : err;
    err = err == JQ_OK ? check_pools(then, now, reterr) : err;
    if (err == JQ_OK && freecad_traits(now) != freecad_traits(then))
        return jq_fail(reterr, JQ_ERR_INVALID,
                       "the first or last handler of kind freecad, or with network = yes, cannot come or go while the "
                       "worker runs; restart it");
    return err;
}
