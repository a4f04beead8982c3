/* apply.c - the only mutator of durable state: one function per fact. Reads no clock and no configuration but table sizes. */
#include <stdlib.h>

#include "broker/core/apply_task.h"
#include "common/hash.h"

/* ---- the log itself ---- */

static void apply_prologue_begin(struct jq_core *core, const struct jq_record *record) {
    core->segments = array_grow(core->segments, core->segment_count, &core->segment_capacity, sizeof(*core->segments));
    core->segments[core->segment_count++] = (struct segment){.lsn = record->lsn};
    /* Segments that the log has left behind. The first one always stays. A replay that began too late to know all tasks keeps
     * them: a task that is introduced later may have its body or its report there. */
    uint32_t gone = 0;
    while (!core->partial && gone + 1 < core->segment_count && core->segments[gone].live == 0) {
        gone++;
    }
    core->segment_count -= gone;
    memmove(core->segments, core->segments + gone, core->segment_count * sizeof(*core->segments));
}

static enum jq_err apply_prologue_end(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    const bool comparable = !core->started && (!core->partial || record->u.prologue_end.needs_from >= core->replay_lsn);
    if (comparable && record->u.prologue_end.digest != core->digest) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "replay gives digest %016llx, the log says %016llx",
                       (unsigned long long)core->digest, (unsigned long long)record->u.prologue_end.digest);
    }
    if (comparable) {
        core->partial = false;
    }
    return JQ_OK;
}

static uint64_t ids_hash(const struct jq_core *core) {
    return jq_hash_combine(core->ids_limit, 4);
}

static void apply_ids_reserved(struct jq_core *core, const struct jq_record *record) {
    core->digest -= ids_hash(core);
    core->ids_limit = record->u.ids_reserved.limit;
    core->digest += ids_hash(core);
    if (!core->started) {
        core->next_id = core->ids_limit; /* what was left of the last reservation is never used */
    }
}

static uint64_t wall_hash(const struct jq_core *core) {
    return jq_hash_combine((uint64_t)core->wall_offset_ms, 5);
}

static void apply_wall_offset(struct jq_core *core, const struct jq_record *record) {
    core->digest -= wall_hash(core);
    core->wall_offset_ms = record->u.wall_offset.offset_ms;
    core->digest += wall_hash(core);
}

/* ---- workers ---- */

static struct jq_str uuid_key(const struct jq_uuid *id) {
    return (struct jq_str){(const char *)id->bytes, sizeof(id->bytes)};
}

uint64_t worker_hash(const struct jq_core *core, const struct worker *worker) {
    uint64_t hash =
        jq_hash_combine(jq_hash_bytes(worker->id.bytes, 16, 0), jq_hash_bytes(worker->session.bytes, 16, 0));
    hash = jq_hash_combine(hash, worker->incarnation);
    hash = jq_hash_combine(hash, jq_hash_bytes(worker->name.data, worker->name.size, 0));
    hash = jq_hash_combine(hash, (uint64_t)(worker - core->workers) << 1 | worker->draining);
    if (worker->doorbell.size == 0) {
        return hash;
    }
    hash = jq_hash_combine(hash, jq_hash_bytes(worker->doorbell.data, worker->doorbell.size, 0));
    return jq_hash_combine(hash, worker->asleep);
}

/* The worker of that index, made if it is the next new one or a free place. NULL: out of turn. */
static struct worker *worker_place(struct jq_core *core, uint32_t index) {
    if (index == 0 || index > core->worker_count) {
        return NULL;
    }
    if (index == core->worker_count) {
        core->workers = array_grow(core->workers, core->worker_count, &core->worker_capacity, sizeof(*core->workers));
        core->workers[core->worker_count++] = (struct worker){0};
    }
    return &core->workers[index];
}

static enum jq_err apply_worker_registered(struct jq_core *core, const struct jq_record *record,
                                           struct jq_error *reterr) {
    if (record->u.worker_registered.worker > core->config.workers_max) {
        return table_too_small(reterr, "workers_max", core->config.workers_max);
    }
    while (core->partial && core->worker_count < record->u.worker_registered.worker &&
           worker_place(core, core->worker_count)) {
        /* Those before it went long ago. */
    }
    struct worker *worker = worker_place(core, record->u.worker_registered.worker);
    if (!worker) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "worker %u registered out of turn", record->u.worker_registered.worker);
    }
    bool draining = false;
    if (worker->used) {
        draining = worker->draining;
        core->digest -= worker_hash(core, worker);
        JQ_CHECK(jq_strmap_remove(&core->worker_ids, uuid_key(&worker->id)));
        JQ_CHECK(jq_strmap_remove(&core->worker_sessions, uuid_key(&worker->session)));
        worker_name_remove(core, record->u.worker_registered.worker);
        sleeper_remove(core, record->u.worker_registered.worker);
        free((char *)(uintptr_t)worker->name.data);
        free((char *)(uintptr_t)worker->doorbell.data);
    }
    worker->doorbell = (struct jq_str){NULL, 0};
    worker->asleep = false;
    worker->used = true;
    worker->id = record->u.worker_registered.id;
    worker->tag = (uint32_t)jq_hash_bytes(worker->id.bytes, sizeof(worker->id.bytes), 0);
    worker->session = record->u.worker_registered.session;
    worker->incarnation = record->u.worker_registered.incarnation;
    worker->name = text_copy(record->u.worker_registered.name);
    worker->draining = draining;
    worker_name_add(core, record->u.worker_registered.worker);
    JQ_CHECK(jq_strmap_put(&core->worker_ids, uuid_key(&worker->id), record->u.worker_registered.worker));
    JQ_CHECK(jq_strmap_put(&core->worker_sessions, uuid_key(&worker->session), record->u.worker_registered.worker));
    core->digest += worker_hash(core, worker);
    breakers_worker_added(core, record->u.worker_registered.worker);
    return JQ_OK;
}

static bool worker_known(const struct jq_core *core, uint32_t index) {
    return index > 0 && index < core->worker_count && core->workers[index].used;
}

static enum jq_err apply_worker_set(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    if (!worker_known(core, record->u.worker_set.worker)) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "worker %u set but not registered", record->u.worker_set.worker);
    }
    struct worker *worker = worker_at(core, record->u.worker_set.worker);
    core->digest -= worker_hash(core, worker);
    worker->draining = record->u.worker_set.draining;
    core->digest += worker_hash(core, worker);
    worker_block(core, record->u.worker_set.worker, BLOCK_DRAIN, worker->draining);
    return JQ_OK;
}

static enum jq_err apply_worker_gone(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    const uint32_t index = record->u.worker_gone.worker;
    if (!worker_known(core, index) || worker_at(core, index)->lease_count > 0) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "worker %u gone, but unknown or with leases", index);
    }
    struct worker *worker = worker_at(core, index);
    core->digest -= worker_hash(core, worker);
    JQ_CHECK(jq_strmap_remove(&core->worker_ids, uuid_key(&worker->id)));
    JQ_CHECK(jq_strmap_remove(&core->worker_sessions, uuid_key(&worker->session)));
    worker_name_remove(core, index);
    sleeper_remove(core, index);
    free((char *)(uintptr_t)worker->name.data);
    free((char *)(uintptr_t)worker->doorbell.data);
    *worker =
        (struct worker){.refill = worker->refill, .commanded = worker->commanded}; /* it may be on this step's lists */
    return JQ_OK;
}

/* ---- all ---- */

enum jq_err apply_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    core->end_lsn = record->lsn + record->size;
    switch (record->type) {
    case JQ_RECORD_PROLOGUE_BEGIN: apply_prologue_begin(core, record); return JQ_OK;
    case JQ_RECORD_PROLOGUE_END: return apply_prologue_end(core, record, reterr);
    case JQ_RECORD_IDS_RESERVED: apply_ids_reserved(core, record); return JQ_OK;
    case JQ_RECORD_QUEUE_DEFINED:
    case JQ_RECORD_QUEUE_SET:
    case JQ_RECORD_CLASS_DEFINED:
    case JQ_RECORD_OPTIONS_DEFINED: return apply_intern_record(core, record, reterr);
    case JQ_RECORD_WORKER_REGISTERED: return apply_worker_registered(core, record, reterr);
    case JQ_RECORD_WORKER_SET: return apply_worker_set(core, record, reterr);
    case JQ_RECORD_WORKER_DOORBELL: return apply_worker_doorbell(core, record, reterr);
    case JQ_RECORD_WORKER_GONE: return apply_worker_gone(core, record, reterr);
    case JQ_RECORD_REQUEST_ANSWERED:
    case JQ_RECORD_SENDER_TRIMMED: return apply_sender_record(core, record, reterr);
    case JQ_RECORD_KEYS_FORGOTTEN: keys_forget_below(core, record->u.keys_forgotten.below_lsn); return JQ_OK;
    case JQ_RECORD_KEY_FORGOTTEN: return apply_key_forgotten(core, record, reterr);
    case JQ_RECORD_LIMIT_SET:
    case JQ_RECORD_LIMIT_REMOVED: return apply_limit_record(core, record, reterr);
    case JQ_RECORD_WALL_OFFSET: apply_wall_offset(core, record); return JQ_OK;
    case JQ_RECORD_TASK_RELOCATED:
    case JQ_RECORD_REPORT_RELOCATED:
    case JQ_RECORD_KEY_RELOCATED: return apply_moved_record(core, record, reterr);
    case JQ_RECORD_TASK_SUBMITTED:
    case JQ_RECORD_TASK_DUE:
    case JQ_RECORD_TASK_LEASED:
    case JQ_RECORD_TASK_RETRIED:
    case JQ_RECORD_TASK_CANCELLING:
    case JQ_RECORD_TASK_ENDED:
    case JQ_RECORD_TASK_REVIVED:
    case JQ_RECORD_TASK_FORGOTTEN:
    case JQ_RECORD_EDGE_DECIDED:
    case JQ_RECORD_TASK_FREED:
    case JQ_RECORD_TASK_EDITED:
    case JQ_RECORD_TASK_REPLAYED: return apply_task_record(core, record, reterr);
    case JQ_RECORD_BREAKER_SET: return apply_breaker_set(core, record, reterr);
    case JQ_RECORD_FLOW_SET:
    case JQ_RECORD_FLOW_CUT:
    case JQ_RECORD_FLOW_FORGOTTEN: return apply_flow_record(core, record, reterr);
    case JQ_RECORD_TASK_RENEWED: return apply_task_record(core, record, reterr);
    case JQ_RECORD_SCHEDULE_SET:
    case JQ_RECORD_SCHEDULE_FORGOTTEN:
    case JQ_RECORD_SCHEDULE_MOVED: return apply_schedule_record(core, record, reterr);
    case JQ_RECORD_TASK_HELD:
    case JQ_RECORD_TASK_RELEASED:
    case JQ_RECORD_TASK_MOVED: return apply_task_record(core, record, reterr);
    case JQ_RECORD_BLOB_STORED:
    case JQ_RECORD_BLOB_DROPPED: return apply_blob_record(core, record, reterr);
    case JQ_RECORD_CACHE_STORED:
    case JQ_RECORD_CACHE_DROPPED: return apply_cache_record(core, record, reterr);
    case JQ_RECORD_TYPE_END: break;
    }
    return jq_fail(reterr, JQ_ERR_VERSION, "record type %d is not known to this version", (int)record->type);
}

void emit(struct jq_core *core, struct jq_record *record) {
    record->time_ms = core->now_ms;
    core->output->record(core->output->ctx, record);
    core->emitted_lsn = record->lsn;
    struct jq_error error;
    const enum jq_err err = apply_record(core, record, &error);
    JQ_CHECK(err == JQ_OK);
}

/* Before the first prologue of a log that has lost its beginning, nothing can be understood. */
static bool replay_skips(struct jq_core *core, const struct jq_record *record) {
    core->prologue_begun |= record->type == JQ_RECORD_PROLOGUE_BEGIN;
    return core->partial && !core->prologue_begun;
}

void jq_core_replay_from(struct jq_core *core, uint64_t lsn) {
    core->replay_lsn = lsn;
    core->partial = lsn > 0;
}

enum jq_err jq_core_replay(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    JQ_CHECK(!core->started);
    if (record->time_ms > core->now_ms) {
        core->now_ms = record->time_ms;
    }
    if (core->partial && core->unknown_ms == 0) {
        unknown_until(core, record->time_ms);
    }
    if (replay_skips(core, record)) {
        unknown_until(core, record->time_ms);
        return JQ_OK;
    }
    return apply_record(core, record, reterr);
}
