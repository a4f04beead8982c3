/* sim_keys.c - keys of submits and the marks of queues: which task a key stands for, and how long; who may still come in. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/sim.h"

static bool bound(const struct sim_key *key) {
    return key->unique != JQ_UNIQUE_NONE && key->unique != JQ_UNIQUE_THROTTLE;
}

static bool of_text(const struct sim_key *key, struct jq_str text) {
    return text.size == key->text_size && memcmp(key->text, text.data, text.size) == 0;
}

/* ---- fold ---- */

static void add(struct sim *sim, struct jq_str text, struct sim_key key) {
    struct sim_oracle *oracle = &sim->oracle;
    JQ_CHECK(text.size < sizeof(key.text));
    memcpy(key.text, text.data, text.size);
    key.text_size = text.size;
    oracle->keys = oracle_grown(oracle->keys, oracle->key_count, &oracle->key_capacity, sizeof(*oracle->keys));
    oracle->keys[oracle->key_count++] = key;
}

static void take(struct sim *sim, const struct jq_record *record) {
    if (record->u.task_submitted.key_expires_ms > 0) {
        add(sim, record->u.task_submitted.key,
            (struct sim_key){.task = record->u.task_submitted.task.value,
                             .lsn = record->lsn,
                             .expires_ms = record->u.task_submitted.key_expires_ms,
                             .unique = record->u.task_submitted.unique});
    }
}

/* It stands elsewhere; to a replay that did not see its submit it is new. */
static void moved(struct sim *sim, const struct jq_record *record) {
    const struct jq_str text = record->u.key_relocated.key;
    for (uint32_t i = 0; i < sim->oracle.key_count; i++) {
        struct sim_key *key = &sim->oracle.keys[i];
        if (of_text(key, text) && key->task == record->u.key_relocated.task.value) {
            key->lsn = record->lsn;
            return;
        }
    }
    add(sim, text,
        (struct sim_key){.task = record->u.key_relocated.task.value,
                         .lsn = record->lsn,
                         .expires_ms = record->u.key_relocated.expires_ms,
                         .unique = record->u.key_relocated.unique});
}

/* Does the key stop standing for its task by this record? */
static bool ends(const struct sim_key *key, const struct jq_record *record) {
    switch (record->type) {
    case JQ_RECORD_KEYS_FORGOTTEN:
        return key->unique == JQ_UNIQUE_NONE && key->lsn < record->u.keys_forgotten.below_lsn;
    case JQ_RECORD_KEY_FORGOTTEN: return key->unique == JQ_UNIQUE_THROTTLE && of_text(key, record->u.key_forgotten.key);
    case JQ_RECORD_TASK_LEASED:
        return bound(key) && key->unique != JQ_UNIQUE_UNTIL_DONE && key->task == record->u.task_leased.task.value;
    case JQ_RECORD_TASK_ENDED: return bound(key) && key->task == record->u.task_ended.task.value;
    default: return false;
    }
}

void keys_record(struct sim *sim, const struct jq_record *record) {
    struct sim_oracle *oracle = &sim->oracle;
    uint32_t kept = 0;
    if (record->type == JQ_RECORD_TASK_SUBMITTED) {
        take(sim, record);
        return;
    }
    if (record->type == JQ_RECORD_KEY_RELOCATED) {
        moved(sim, record);
        return;
    }
    for (uint32_t i = 0; i < oracle->key_count; i++) {
        if (!ends(&oracle->keys[i], record)) {
            oracle->keys[kept++] = oracle->keys[i];
        }
    }
    oracle->key_count = kept;
}

/* ---- what must hold ---- */

/* While a key stands for a task, no other is made for it: within its time, while it waits, or until it is done. */
static void check_key(struct sim *sim, const struct jq_record *record) {
    for (uint32_t i = 0; i < sim->oracle.key_count && record->u.task_submitted.key_expires_ms > 0; i++) {
        const struct sim_key *key = &sim->oracle.keys[i];
        if (of_text(key, record->u.task_submitted.key) && (bound(key) || key->expires_ms > record->time_ms)) {
            sim_fail(sim, "task %" PRIu64 " is made for a key that stands for task %" PRIu64 " (%s)",
                     record->u.task_submitted.task.value, key->task, jq_unique_name((enum jq_unique)key->unique));
        }
    }
}

static uint64_t depth_max(const struct sim *sim, uint32_t queue) {
    if (sim->oracle.sets[queue].depth_max > 0) {
        return sim->oracle.sets[queue].depth_max;
    }
    for (uint32_t i = 0; i < sim->config.queue_count; i++) {
        if (strcmp(sim->config.queues[i].name, sim->oracle.queues[queue]) == 0 && sim->config.queues[i].depth_max > 0) {
            return sim->config.queues[i].depth_max;
        }
    }
    return sim->config.depth_max;
}

/* A queue that is full takes no more. Flows come in whole: as much as there is room for. */
static void check_depth(struct sim *sim, const struct jq_record *record) {
    const uint32_t queue = record->u.task_submitted.queue;
    if (sim->oracle.sets[queue].draining && record->u.task_submitted.flow == 0 &&
        record->u.task_submitted.schedule == 0) {
        sim_fail(sim, "task %" PRIu64 " is taken into queue %s, which is being drained",
                 record->u.task_submitted.task.value, sim->oracle.queues[queue]);
    }
    if (record->u.task_submitted.flow == 0 && sim->oracle.depth[queue] >= depth_max(sim, queue)) {
        sim_fail(sim, "task %" PRIu64 " is taken into queue %s, which is full with %" PRIu32 " tasks",
                 record->u.task_submitted.task.value, sim->oracle.queues[queue], sim->oracle.depth[queue]);
    }
}

/* What is shed has the lowest priority of all that could be, and is the youngest of those. */
static void check_shed(struct sim *sim, const struct jq_record *record) {
    const struct sim_oracle *oracle = &sim->oracle;
    const struct sim_task *task = oracle_task(sim, record->u.task_ended.task.value);
    for (uint32_t i = 0; i < oracle->places[SIM_QUEUED]; i++) {
        const struct sim_task *other = &oracle->tasks[oracle->queued[i]];
        if (other->queue == task->queue && other->priority < task->priority) {
            sim_fail(sim, "task %" PRIu64 " of priority %u is shed, and task %" PRIu64 " of %u stays", task->id,
                     task->priority, other->id, other->priority);
        }
    }
    if (task->place != SIM_QUEUED || strcmp(oracle->queues[task->queue], "a") != 0) {
        sim_fail(sim, "task %" PRIu64 " is shed, and could not be", task->id);
    }
}

void keys_check(struct sim *sim, const struct jq_record *record) {
    if (record->type == JQ_RECORD_TASK_SUBMITTED) {
        check_key(sim, record);
        check_depth(sim, record);
    } else if (record->type == JQ_RECORD_TASK_ENDED && record->u.task_ended.outcome == JQ_OUTCOME_SHED) {
        check_shed(sim, record);
    } else if (record->type == JQ_RECORD_TASK_RENEWED) {
        const struct sim_task *task = oracle_task(sim, record->u.task_renewed.task.value);
        if (task->place != SIM_QUEUED) {
            sim_fail(sim, "task %" PRIu64 " is renewed, but does not wait in its queue", task->id);
        }
    }
}
