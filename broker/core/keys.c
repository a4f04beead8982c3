/* keys.c - keys of submits: while a key stands for a task, a second submit with it gets that task's id.
 *
 * How long it stands depends on the submit that took it (`unique`):
 *   none          for key_ttl, whatever becomes of the task
 *   throttle      for a window of its own, likewise
 *   while_queued  until the task is leased for the first time, or ends before
 *   until_done    until the task has ended
 *   debounce      as while_queued; and another submit of debounce replaces the task that waits
 * The last three are bound to their task: they go by the facts about it, and need none of their own. A key is recovered from the
 * submit record that carried it, so it pins that record's segment.
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

enum { EXPIRED_PER_STEP = 1000 };

static uint64_t key_text_hash(const struct jq_core *core, struct jq_str text) {
    return jq_hash_bytes(text.data, text.size, core->hash_seed);
}

uint32_t key_find(const struct jq_core *core, struct jq_str text) {
    uint32_t ref = jq_map_get(&core->key_map, key_text_hash(core, text), 0);
    while (ref != 0) {
        const struct key *key = key_at(core, ref);
        if (jq_str_equal(text, (struct jq_str){key->text, key->size})) {
            return ref;
        }
        ref = key->chain;
    }
    return 0;
}

uint64_t key_hash(const struct key *key) {
    const uint64_t hash = jq_hash_combine(jq_hash_bytes(key->text, key->size, key->unique), key->task);
    return jq_hash_combine(hash, (uint64_t)key->expires_ms);
}

struct jq_str key_scoped(struct jq_str queue, struct jq_str key, char out[KEY_SCOPED_SIZE_MAX]) {
    size_t scope = 0;
    JQ_CHECK(queue.size <= JQ_NAME_SIZE_MAX && key.size <= JQ_KEY_SIZE_MAX);
    while (scope < queue.size && queue.data[scope] != '.') {
        scope++;
    }
    memcpy(out, queue.data, scope);
    out[scope] = '\0';
    memcpy(out + scope + 1, key.data, key.size);
    return (struct jq_str){out, scope + 1 + key.size};
}

uint32_t key_of(const struct jq_core *core, struct jq_str queue, struct jq_str key) {
    char buffer[KEY_SCOPED_SIZE_MAX];
    return key_find(core, key_scoped(queue, key, buffer));
}

static void timer_moved(void *ctx, uint32_t ref, uint32_t position) {
    struct jq_core *core = ctx;
    key_at(core, ref)->newer = position;
}

void keys_init(struct jq_core *core) {
    jq_slab_init(&core->keys, sizeof(struct key));
    jq_map_init(&core->key_map);
    jq_map_init(&core->bound_keys);
    jq_heap_init(&core->key_timers, timer_moved, core);
}

static void unchain(struct jq_core *core, uint32_t ref) {
    const struct key *key = key_at(core, ref);
    const uint32_t first = jq_map_get(&core->key_map, key->hash, 0);
    if (first != ref) {
        struct key *before = key_at(core, first);
        while (before->chain != ref) {
            before = key_at(core, before->chain);
        }
        before->chain = key->chain;
    } else if (key->chain != 0) {
        JQ_CHECK(jq_map_put(&core->key_map, key->hash, key->chain));
    } else {
        JQ_CHECK(jq_map_remove(&core->key_map, key->hash));
    }
}

/* One that is in no order any more: neither in the list nor in the heap nor bound. */
static void drop(struct jq_core *core, uint32_t ref) {
    struct key *key = key_at(core, ref);
    core->digest -= key_hash(key);
    unchain(core, ref);
    segment_unpin(core, key->lsn, key->size);
    core->extra_bytes -= (uint64_t)key->size + 32;
    if (!CANARY(KEY_LEAK)) {
        free(key->text);
    }
    jq_slab_give(&core->keys, ref);
}

static void append_to_list(struct jq_core *core, uint32_t ref) {
    if (core->key_newest != 0) {
        key_at(core, core->key_newest)->newer = ref;
    } else {
        core->key_oldest = ref;
    }
    core->key_newest = ref;
}

/* A window that has passed, and was not cleared away yet. */
static void drop_throttle(struct jq_core *core, struct jq_str text) {
    const uint32_t ref = key_find(core, text);
    if (ref != 0 && key_at(core, ref)->unique == JQ_UNIQUE_THROTTLE) {
        jq_heap_remove(&core->key_timers, key_at(core, ref)->newer);
        drop(core, ref);
    }
}

static bool add(struct jq_core *core, const struct jq_record *submitted) {
    const struct jq_str text = submitted->u.task_submitted.key;
    const uint64_t hash = key_text_hash(core, text);
    const uint32_t ref = jq_slab_take(&core->keys);
    struct key *key = key_at(core, ref);
    *key = (struct key){.text = (char *)(uintptr_t)text_copy(text).data,
                        .size = (uint16_t)text.size,
                        .unique = submitted->u.task_submitted.unique,
                        .chain = jq_map_get(&core->key_map, hash, 0),
                        .hash = hash,
                        .task = submitted->u.task_submitted.task.value,
                        .lsn = submitted->lsn,
                        .expires_ms = submitted->u.task_submitted.key_expires_ms};
    JQ_CHECK(jq_map_put(&core->key_map, hash, ref));
    core->extra_bytes += text.size + 32;
    segment_pin(core, submitted->lsn, key->size);
    core->digest += key_hash(key);
    if (key->unique == JQ_UNIQUE_NONE) {
        append_to_list(core, ref);
    } else if (key->unique == JQ_UNIQUE_THROTTLE) {
        JQ_CHECK(jq_heap_put(&core->key_timers, key->expires_ms, ref));
    } else {
        JQ_CHECK(jq_map_put(&core->bound_keys, key->task, ref));
    }
    return key->unique != JQ_UNIQUE_NONE && key->unique != JQ_UNIQUE_THROTTLE;
}

uint32_t key_of_task(const struct jq_core *core, struct jq_str text, jq_task_id task) {
    uint32_t ref = jq_map_get(&core->key_map, key_text_hash(core, text), 0);
    while (ref != 0) {
        const struct key *key = key_at(core, ref);
        if (key->task == task.value && jq_str_equal(text, (struct jq_str){key->text, key->size})) {
            break;
        }
        ref = key->chain;
    }
    return ref;
}

/* Out of the list, in which it is the first, or nearly: keys are moved in their order. */
static void remove_from_list(struct jq_core *core, uint32_t ref) {
    uint32_t before = 0, at = core->key_oldest;
    while (at != ref) {
        JQ_CHECK(at != 0);
        before = at;
        at = key_at(core, at)->newer;
    }
    const uint32_t newer = key_at(core, ref)->newer;
    if (before != 0) {
        key_at(core, before)->newer = newer;
    } else {
        core->key_oldest = newer;
    }
    if (newer == 0) {
        core->key_newest = before;
    }
    key_at(core, ref)->newer = 0;
}

/* Its place in the log is another from now on; the list stays in the order of places. */
void key_move(struct jq_core *core, uint32_t ref, uint64_t lsn) {
    struct key *key = key_at(core, ref);
    if (key->unique == JQ_UNIQUE_NONE) {
        remove_from_list(core, ref);
        append_to_list(core, ref);
    }
    segment_unpin(core, key->lsn, key->size);
    key->lsn = lsn;
    segment_pin(core, key->lsn, key->size);
}

bool key_outlives(struct jq_core *core, const struct task *task, bool ended) {
    const uint32_t ref = jq_map_get(&core->bound_keys, task->id, 0);
    JQ_CHECK(ref != 0);
    if (!ended && key_at(core, ref)->unique == JQ_UNIQUE_UNTIL_DONE && !CANARY(UNTIL_LEASED)) {
        return true;
    }
    JQ_CHECK(jq_map_remove(&core->bound_keys, task->id));
    drop(core, ref);
    return false;
}

void key_outlives_unknown(struct jq_core *core, jq_task_id task, enum jq_record_type type) {
    const bool ended = type == JQ_RECORD_TASK_ENDED || type == JQ_RECORD_TASK_FORGOTTEN;
    if ((ended || type == JQ_RECORD_TASK_LEASED) && jq_map_get(&core->bound_keys, task.value, 0) != 0) {
        (void)key_outlives(core, &(struct task){.id = task.value}, ended);
    }
}

bool key_add(struct jq_core *core, const struct jq_record *submitted) {
    drop_throttle(core, submitted->u.task_submitted.key);
    return add(core, submitted);
}

/* It has just been put before all others of its hash. */
static void move_behind(struct jq_core *core, uint64_t hash) {
    const uint32_t ref = jq_map_get(&core->key_map, hash, 0);
    struct key *key = key_at(core, ref);
    uint32_t last = key->chain;
    if (last == 0) {
        return;
    }
    JQ_CHECK(jq_map_put(&core->key_map, hash, last));
    while (key_at(core, last)->chain != 0) {
        last = key_at(core, last)->chain;
    }
    key_at(core, last)->chain = ref;
    key->chain = 0;
}

bool key_restore(struct jq_core *core, const struct jq_record *submitted) {
    const bool bound = add(core, submitted);
    move_behind(core, key_text_hash(core, submitted->u.task_submitted.key));
    return bound;
}

void keys_forget_below(struct jq_core *core, uint64_t lsn) {
    while (core->key_oldest != 0 && key_at(core, core->key_oldest)->lsn < lsn) {
        const uint32_t ref = core->key_oldest;
        core->key_oldest = key_at(core, ref)->newer;
        if (core->key_oldest == 0) {
            core->key_newest = 0;
        }
        drop(core, ref);
    }
}

enum jq_err apply_key_forgotten(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    const uint32_t ref = key_find(core, record->u.key_forgotten.key);
    if (ref == 0 && core->partial) {
        return JQ_OK;
    }
    if (ref == 0 || key_at(core, ref)->unique != JQ_UNIQUE_THROTTLE) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "a key is forgotten that is not known");
    }
    drop_throttle(core, record->u.key_forgotten.key);
    return JQ_OK;
}

/* ---- all of them ---- */

uint64_t keys_digest(const struct jq_core *core) {
    uint64_t sum = 0, cursor = 0, hash = 0;
    uint32_t ref = 0;
    while (jq_map_next(&core->key_map, &cursor, &hash, &ref)) {
        for (; ref != 0; ref = key_at(core, ref)->chain) {
            sum += key_hash(key_at(core, ref));
        }
    }
    return sum;
}

void keys_fini(struct jq_core *core) {
    uint64_t cursor = 0, hash = 0;
    uint32_t ref = 0;
    while (jq_map_next(&core->key_map, &cursor, &hash, &ref)) {
        for (; ref != 0; ref = key_at(core, ref)->chain) {
            free(key_at(core, ref)->text);
        }
    }
    jq_slab_fini(&core->keys);
    jq_map_fini(&core->key_map);
    jq_map_fini(&core->bound_keys);
    jq_heap_fini(&core->key_timers);
}

/* ---- time ---- */

static void expire_list(struct jq_core *core) {
    uint32_t ref = core->key_oldest;
    uint64_t below = 0;
    for (int i = 0; i < EXPIRED_PER_STEP && ref != 0 && key_at(core, ref)->expires_ms <= core->now_ms; i++) {
        below = key_at(core, ref)->lsn + 1;
        ref = key_at(core, ref)->newer;
    }
    if (below != 0) {
        struct jq_record record = {.type = JQ_RECORD_KEYS_FORGOTTEN, .u.keys_forgotten = {.below_lsn = below}};
        emit(core, &record);
    }
}

static void expire_windows(struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->key_timers);
    for (int i = 0; i < EXPIRED_PER_STEP && first && first->key <= core->now_ms; i++) {
        const struct key *key = key_at(core, first->ref);
        struct jq_record record = {.type = JQ_RECORD_KEY_FORGOTTEN, .u.key_forgotten = {.key = {key->text, key->size}}};
        emit(core, &record);
        first = jq_heap_min(&core->key_timers);
    }
}

/* At most a thousand at a time: the next step goes on. */
void keys_expire(struct jq_core *core) {
    expire_list(core);
    expire_windows(core);
}

int64_t keys_deadline_ms(const struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->key_timers);
    const int64_t window_ms = first ? first->key : INT64_MAX;
    const int64_t list_ms = core->key_oldest ? key_at(core, core->key_oldest)->expires_ms : INT64_MAX;
    return window_ms < list_ms ? window_ms : list_ms;
}
