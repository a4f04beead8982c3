/* keys.c - idempotency keys: a second submit with a key that is remembered gets the first task's id.
 *
 * A key outlives its task (key_ttl). It is recovered from the submit record that carried it, so it pins that record's segment;
 * keys are forgotten in the order of those records.
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

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
    const uint64_t hash = jq_hash_combine(jq_hash_bytes(key->text, key->size, 0), key->task);
    return jq_hash_combine(hash, (uint64_t)key->expires_ms);
}

void key_add(struct jq_core *core, struct jq_str text, jq_task_id task, uint64_t lsn, int64_t expires_ms) {
    const uint32_t ref = jq_slab_take(&core->keys);
    struct key *key = key_at(core, ref);
    const uint64_t hash = key_text_hash(core, text);
    *key = (struct key){.text = (char *)(uintptr_t)text_copy(text).data,
                        .size = (uint32_t)text.size,
                        .chain = jq_map_get(&core->key_map, hash, 0),
                        .hash = hash,
                        .task = task.value,
                        .lsn = lsn,
                        .expires_ms = expires_ms};
    JQ_CHECK(jq_map_put(&core->key_map, hash, ref));
    core->extra_bytes += text.size + 32;
    if (core->key_newest != 0) {
        key_at(core, core->key_newest)->newer = ref;
    } else {
        core->key_oldest = ref;
    }
    core->key_newest = ref;
    segment_pin(core, lsn);
    core->digest += key_hash(key);
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

void keys_forget_below(struct jq_core *core, uint64_t lsn) {
    while (core->key_oldest != 0 && key_at(core, core->key_oldest)->lsn < lsn) {
        const uint32_t ref = core->key_oldest;
        struct key *key = key_at(core, ref);
        core->digest -= key_hash(key);
        unchain(core, ref);
        segment_unpin(core, key->lsn);
        core->key_oldest = key->newer;
        if (core->key_oldest == 0) {
            core->key_newest = 0;
        }
        core->extra_bytes -= (uint64_t)key->size + 32;
        free(key->text);
        jq_slab_give(&core->keys, ref);
    }
}

/* At most a thousand at a time: the next step goes on. */
void keys_expire(struct jq_core *core) {
    uint32_t ref = core->key_oldest;
    uint64_t below = 0;
    for (int i = 0; i < 1000 && ref != 0 && key_at(core, ref)->expires_ms <= core->now_ms; i++) {
        below = key_at(core, ref)->lsn + 1;
        ref = key_at(core, ref)->newer;
    }
    if (below != 0) {
        struct jq_record record = {.type = JQ_RECORD_KEYS_FORGOTTEN, .u.keys_forgotten = {.below_lsn = below}};
        emit(core, &record);
    }
}

int64_t keys_deadline_ms(const struct jq_core *core) {
    return core->key_oldest ? key_at(core, core->key_oldest)->expires_ms : INT64_MAX;
}
