/* intern.c - queues, classes and option sets: named once in the log, then by a small index.
 *
 * A table that is full gives the place of an entry that no task uses any more to the newcomer; only when all are in use is the
 * newcomer refused (`busy`).
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

enum { CLASS_KEY_SIZE_MAX = JQ_NAME_SIZE_MAX + 1 + JQ_NEED_SIZE_MAX + 1 + JQ_NEED_SIZE_MAX };

struct jq_str text_copy(struct jq_str text) {
    char *copy = malloc(text.size + 1);
    JQ_CHECK(copy != NULL);
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    copy[text.size] = '\0';
    return (struct jq_str){copy, text.size};
}

static uint64_t text_hash(struct jq_str text) {
    return jq_hash_bytes(text.data, text.size, 0);
}

/* ---- queues ---- */

int queue_find(const struct jq_core *core, struct jq_str name) {
    const uint32_t at = jq_strmap_get(&core->queue_names, name, UINT32_MAX);
    return at == UINT32_MAX ? -1 : (int)at;
}

/* A queue that nobody would miss. */
static bool queue_idle(const struct queue *queue) {
    return queue->used && !queue_is_set(queue) && !queue->declared && queue->withheld_head == 0 &&
           queue->group_count == 0 && queue->refs == 0;
}

static int queue_place(const struct jq_core *core) {
    if (core->queue_count < core->config.queues_max) {
        return (int)core->queue_count;
    }
    for (uint32_t i = 0; i < core->queue_count; i++) {
        if (queue_idle(&core->queues[i])) {
            return (int)i;
        }
    }
    return -1;
}

const struct jq_queue_config *queue_config(const struct jq_core *core, struct jq_str name) {
    for (uint32_t i = 0; i < core->config.queue_count; i++) {
        if (jq_str_equal(name, jq_str_of(core->config.queues[i].name))) {
            return &core->config.queues[i];
        }
    }
    return NULL;
}

void queue_configure(struct jq_core *core, uint16_t at, const struct jq_queue_config *config) {
    core->queues[at].depth_max = config->depth_max;
    core->queues[at].bytes_max = config->bytes_max;
    core->queues[at].policy_configured = (uint8_t)config->policy;
    queue_policy_follow(core, at);
    core->queues[at].weight = config->weight;
    core->queues[at].declared = true;
}

/* The pause is a fact of its own in the log: a resume that follows it there holds, whatever the configuration says. */
static void queue_define(struct jq_core *core, uint16_t at, struct jq_str name, const struct jq_queue_config *config) {
    struct jq_record record = {.type = JQ_RECORD_QUEUE_DEFINED, .u.queue_defined = {.queue = at, .name = name}};
    emit(core, &record);
    if (config) {
        queue_configure(core, at, config);
    }
    if (config && config->paused) {
        queue_put(core, at, &(struct jq_queue_set){.paused = true});
    }
}

enum jq_reply queue_intern(struct jq_core *core, struct jq_str name, uint16_t *ret_queue) {
    int at = queue_find(core, name);
    if (at < 0) {
        const struct jq_queue_config *config = queue_config(core, name);
        if (core->config.queues_declared && !config) {
            return JQ_REPLY_NOT_FOUND;
        }
        at = queue_place(core);
        if (at < 0) {
            return JQ_REPLY_BUSY;
        }
        queue_define(core, (uint16_t)at, name, config);
    }
    *ret_queue = (uint16_t)at;
    return JQ_REPLY_OK;
}

uint64_t queue_hash(const struct jq_core *core, uint16_t at) {
    const struct queue *queue = &core->queues[at];
    const struct jq_queue_set *set = &queue->set;
    uint64_t hash = jq_hash_combine(text_hash(queue->name), (uint64_t)at << 8 | (uint64_t)set->paused << 1 | 1);
    if (set->draining || set->weight || set->depth_max || set->paused_until_wall_ms) {
        hash = jq_hash_combine(hash, (uint64_t)set->weight << 1 | set->draining);
        hash = jq_hash_combine(hash, set->depth_max);
        hash = jq_hash_combine(hash, (uint64_t)set->paused_until_wall_ms);
    }
    if (set->bytes_max || set->policy) {
        hash = jq_hash_combine(hash, set->bytes_max << 2 | set->policy);
    }
    return hash;
}

/* ---- classes ---- */

static size_t key_append(char *out, size_t size, char before, struct jq_str text, size_t text_size_max) {
    JQ_CHECK(text.size <= text_size_max);
    out[size] = before;
    if (text.size > 0) {
        memcpy(out + size + 1, text.data, text.size);
    }
    return size + 1 + text.size;
}

/* handler " " need, and "\n" want where there is one. */
static struct jq_str class_key(char *out, struct jq_str handler, struct jq_str need, struct jq_str want) {
    JQ_CHECK(handler.size <= JQ_NAME_SIZE_MAX);
    memcpy(out, handler.data, handler.size);
    size_t size = key_append(out, handler.size, ' ', need, JQ_NEED_SIZE_MAX);
    if (want.size > 0) {
        size = key_append(out, size, '\n', want, JQ_NEED_SIZE_MAX);
    }
    return (struct jq_str){out, size};
}

static int class_place(const struct jq_core *core) {
    if (core->class_count < core->config.classes_max) {
        return (int)core->class_count;
    }
    for (uint32_t i = 0; i < core->class_count; i++) {
        if (core->classes[i].refs == 0) {
            return (int)i;
        }
    }
    return -1;
}

enum jq_reply class_intern(struct jq_core *core, struct jq_str handler, struct jq_str need, struct jq_str want,
                           uint16_t *ret_class) {
    char buffer[CLASS_KEY_SIZE_MAX];
    const struct jq_str key = class_key(buffer, handler, need, want);
    uint32_t at = jq_strmap_get(&core->class_names, key, UINT32_MAX);
    if (at == UINT32_MAX) {
        const int place = class_place(core);
        if (place < 0) {
            return JQ_REPLY_BUSY;
        }
        at = (uint32_t)place;
        struct jq_record record = {
            .type = JQ_RECORD_CLASS_DEFINED,
            .u.class_defined = {.class_index = (uint16_t)at, .handler = handler, .need = need, .want = want}};
        emit(core, &record);
    }
    *ret_class = (uint16_t)at;
    return JQ_REPLY_OK;
}

uint64_t class_hash(const struct jq_core *core, uint16_t at) {
    const struct class_entry *entry = &core->classes[at];
    uint64_t hash = jq_hash_combine(text_hash(entry->handler), text_hash(entry->need));
    if (entry->want.size > 0) {
        hash = jq_hash_combine(hash, text_hash(entry->want));
    }
    return jq_hash_combine(hash, (uint64_t)at << 8 | 2);
}

/* ---- option sets ---- */

static struct jq_str options_key(const struct jq_options *options, int64_t packed[6]) {
    packed[0] = options->retry_max;
    packed[1] = options->retry_base_ms;
    packed[2] = options->retry_cap_ms;
    packed[3] = options->soft_limit_ms;
    packed[4] = options->hard_limit_ms;
    packed[5] = options->result_ttl_ms;
    return (struct jq_str){(const char *)packed, 6 * sizeof(packed[0])};
}

static int64_t options_place(const struct jq_core *core) {
    if (core->options_count < core->config.options_max) {
        return core->options_count;
    }
    for (uint32_t i = 0; i < core->options_count; i++) {
        if (core->options[i].refs == 0) {
            return i;
        }
    }
    return -1;
}

enum jq_reply options_intern(struct jq_core *core, const struct jq_options *options, uint32_t *ret_options) {
    int64_t packed[6];
    uint32_t at = jq_strmap_get(&core->options_names, options_key(options, packed), UINT32_MAX);
    if (at == UINT32_MAX) {
        const int64_t place = options_place(core);
        if (place < 0) {
            return JQ_REPLY_BUSY;
        }
        at = (uint32_t)place;
        struct jq_record record = {.type = JQ_RECORD_OPTIONS_DEFINED,
                                   .u.options_defined = {.index = at, .options = *options}};
        emit(core, &record);
    }
    *ret_options = at;
    return JQ_REPLY_OK;
}

uint64_t options_hash(const struct jq_core *core, uint32_t at) {
    int64_t packed[6];
    return jq_hash_combine(text_hash(options_key(&core->options[at].options, packed)), (uint64_t)at << 8 | 3);
}

/* ---- the applies ---- */

enum jq_err table_too_small(struct jq_error *reterr, const char *key, uint32_t max) {
    return jq_fail(reterr, JQ_ERR_TOO_BIG, "%s is %u, and the log holds more", key, max);
}

static enum jq_err apply_queue_defined(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    const uint16_t at = record->u.queue_defined.queue;
    if (at > core->queue_count) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "queue %u defined out of turn", at);
    }
    if (at >= core->config.queues_max) {
        return table_too_small(reterr, "queues_max", core->config.queues_max);
    }
    struct queue *queue = &core->queues[at];
    if (queue->used) {
        if (jq_str_equal(queue->name, record->u.queue_defined.name)) {
            return JQ_OK; /* re-stated by a prologue */
        }
        limit_unbind_queue(core, at);
        events_forget(core);
        core->digest -= queue_hash(core, at);
        JQ_CHECK(jq_strmap_remove(&core->queue_names, queue->name));
        free((char *)(uintptr_t)queue->name.data);
        for (int i = 0; i < LEVEL_COUNT; i++) {
            free(queue->levels[i].entries);
        }
        *queue = (struct queue){.hot = queue->hot}; /* it may be on this step's list already */
    } else {
        core->queue_count++;
    }
    queue->used = true;
    queue->shed_from = UINT64_MAX;
    queue->name = text_copy(record->u.queue_defined.name);
    JQ_CHECK(jq_strmap_put(&core->queue_names, queue->name, at));
    limit_bind_queue(core, at);
    core->digest += queue_hash(core, at);
    return JQ_OK;
}

static enum jq_err apply_queue_set(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    const uint16_t at = record->u.queue_set.queue;
    if (at >= core->queue_count) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "queue %u set but not defined", at);
    }
    if (record->u.queue_set.set.policy > 1 + JQ_POLICY_BLOCK) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "queue %u set to a policy that there is not", at);
    }
    core->digest -= queue_hash(core, at);
    core->queues[at].set = record->u.queue_set.set;
    core->digest += queue_hash(core, at);
    queue_policy_follow(core, at);
    queue_block(core, at, BLOCK_PAUSED, record->u.queue_set.set.paused);
    const int64_t until_ms = record->u.queue_set.set.paused_until_wall_ms;
    if (until_ms > 0 && until_ms < core->queue_wake_wall_ms) {
        core->queue_wake_wall_ms = until_ms;
    }
    return JQ_OK;
}

void class_free(struct class_entry *entry) {
    free((char *)(uintptr_t)entry->handler.data);
    free((char *)(uintptr_t)entry->need.data);
    free((char *)(uintptr_t)entry->want.data);
    jq_need_fini(&entry->parsed);
    jq_want_fini(&entry->wanted);
}

static void class_clear(struct jq_core *core, uint16_t at) {
    events_forget(core);
    struct class_entry *entry = &core->classes[at];
    char buffer[CLASS_KEY_SIZE_MAX];
    limit_unbind_class(core, at);
    core->digest -= class_hash(core, at);
    JQ_CHECK(jq_strmap_remove(&core->class_names, class_key(buffer, entry->handler, entry->need, entry->want)));
    class_free(entry);
    jq_heap_fini(&entry->seats);
    *entry = (struct class_entry){.hot = entry->hot}; /* its index may be on this step's list already */
    profiles_drop_class(core, at);
}

/* Its texts parsed. On an error nothing is left behind. */
static enum jq_err class_parse(struct class_entry *entry, struct jq_str need, struct jq_str want,
                               struct jq_error *reterr) {
    enum jq_err err = jq_need_parse(need, &entry->parsed, reterr);
    if (err == JQ_OK && want.size > 0) {
        err = jq_want_parse(want, &entry->wanted, reterr);
        if (err != JQ_OK) {
            jq_need_fini(&entry->parsed);
        }
    }
    return err;
}

static bool class_is(const struct class_entry *entry, const struct jq_record *record) {
    return entry->used && jq_str_equal(entry->handler, record->u.class_defined.handler) &&
           jq_str_equal(entry->need, record->u.class_defined.need) &&
           jq_str_equal(entry->want, record->u.class_defined.want);
}

static enum jq_err apply_class_defined(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    const uint16_t at = record->u.class_defined.class_index;
    const struct jq_str handler = record->u.class_defined.handler, need = record->u.class_defined.need;
    const struct jq_str want = record->u.class_defined.want;
    if (at > core->class_count || handler.size > JQ_NAME_SIZE_MAX) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "class %u defined out of turn", at);
    }
    if (at >= core->config.classes_max) {
        return table_too_small(reterr, "classes_max", core->config.classes_max);
    }
    struct class_entry *entry = &core->classes[at];
    struct class_entry made = {.used = true, .hot = entry->hot};
    if (class_is(entry, record)) {
        return JQ_OK; /* re-stated by a prologue */
    }
    struct jq_error error;
    if (class_parse(&made, need, want, &error) != JQ_OK) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "class %u: %s", at, error.message);
    }
    if (entry->used) {
        class_clear(core, at);
    } else {
        core->class_count++;
    }
    made.handler = text_copy(handler);
    made.need = text_copy(need);
    made.want = text_copy(want);
    *entry = made;
    class_seats_init(core, at);
    char buffer[CLASS_KEY_SIZE_MAX];
    JQ_CHECK(jq_strmap_put(&core->class_names, class_key(buffer, handler, need, want), at));
    limit_bind_class(core, at);
    core->digest += class_hash(core, at);
    breakers_class_added(core, at);
    return JQ_OK;
}

static enum jq_err apply_options_defined(struct jq_core *core, const struct jq_record *record,
                                         struct jq_error *reterr) {
    const uint32_t at = record->u.options_defined.index;
    if (at > core->options_count || at >= core->config.options_max) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "option set %u defined out of turn", at);
    }
    struct options_entry *entry = &core->options[at];
    int64_t packed[6];
    if (entry->used) {
        core->digest -= options_hash(core, at);
        (void)jq_strmap_remove(&core->options_names, options_key(&entry->options, packed));
    } else {
        core->options_count++;
    }
    entry->used = true;
    entry->options = record->u.options_defined.options;
    JQ_CHECK(jq_strmap_put(&core->options_names, options_key(&entry->options, packed), at));
    core->digest += options_hash(core, at);
    return JQ_OK;
}

enum jq_err apply_intern_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    switch (record->type) {
    case JQ_RECORD_QUEUE_DEFINED: return apply_queue_defined(core, record, reterr);
    case JQ_RECORD_QUEUE_SET: return apply_queue_set(core, record, reterr);
    case JQ_RECORD_CLASS_DEFINED: return apply_class_defined(core, record, reterr);
    default: return apply_options_defined(core, record, reterr);
    }
}

uint32_t resource_intern(struct jq_core *core, struct jq_str name) {
    const uint32_t at = jq_strmap_get(&core->resource_names, name, UINT32_MAX);
    if (at != UINT32_MAX) {
        return at;
    }
    JQ_CHECK(core->resource_count < RESOURCES_MAX);
    core->resources[core->resource_count] = text_copy(name);
    JQ_CHECK(jq_strmap_put(&core->resource_names, name, core->resource_count));
    return core->resource_count++;
}
