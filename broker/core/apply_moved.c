/* apply_moved.c - what is moved to the log's head: a task whole, a report, a key. Nothing of it changes but where it stands; to a replay
 * that began too late to know it, it is introduced here as it stood then. So the digest is the same before and after. */
#include "broker/core/apply_task.h"

/* ---- a task ---- */

static bool has_not_begun(const struct task *task) {
    return task->state == JQ_STATE_SCHEDULED || task->state == JQ_STATE_READY || task->state == JQ_STATE_WAITING ||
           task->state == JQ_STATE_BLOCKED;
}

static void body_moved(struct jq_core *core, struct task *task, const struct jq_record *record) {
    struct side *side = task->side ? task_side(core, task) : NULL;
    if (side && side->submit_lsn != 0) {
        segment_unpin(core, side->submit_lsn, 0);
        side->submit_lsn = 0;
    }
    if (has_not_begun(task)) {
        core->queues[task->queue].queued_bytes += record->size;
        core->queues[task->queue].queued_bytes -= task->body_size;
    }
    segment_unpin(core, task->body_lsn, task->body_size);
    task->body_lsn = record->lsn;
    task->body_size = record->size;
    segment_pin(core, task->body_lsn, task->body_size);
}

/* Its body was replaced later and stands in another record: this one only brings the task into being. */
static void submit_moved(struct jq_core *core, struct task *task, const struct jq_record *record) {
    struct side *side = task_side(core, task);
    if (side->submit_lsn != 0) {
        segment_unpin(core, side->submit_lsn, 0);
    }
    side->submit_lsn = record->lsn;
    segment_pin(core, side->submit_lsn, 0);
}

static void body_elsewhere(struct jq_core *core, struct task *task, const struct jq_record *record) {
    segment_unpin(core, task->body_lsn, task->body_size);
    task->body_lsn = record->u.task_relocated.body_lsn;
    task->body_size = record->u.task_relocated.body_size;
    segment_pin(core, task->body_lsn, task->body_size);
    submit_moved(core, task, record);
}

static void side_restore(struct jq_core *core, struct task *task, const struct jq_record *record) {
    if (record->u.task_relocated.losses || record->u.task_relocated.shortages || record->u.task_relocated.grace_ms) {
        struct side *side = task_side(core, task);
        side->losses = record->u.task_relocated.losses;
        side->shortages = record->u.task_relocated.shortages;
        side->grace_ms = record->u.task_relocated.grace_ms;
    }
    if (record->u.task_relocated.edits > 0) {
        task_side(core, task)->edits = record->u.task_relocated.edits;
    }
    if (record->u.task_relocated.last_size > 0) {
        struct side *side = task_side(core, task);
        side->last_lsn = record->u.task_relocated.last_lsn;
        side->last_size = record->u.task_relocated.last_size;
        segment_pin(core, side->last_lsn, side->last_size);
    }
    if (record->u.task_relocated.body_size > 0) {
        body_elsewhere(core, task, record);
    }
    task_set_error(core, task, record->u.task_relocated.error);
    task_set_made(core, task, record->u.task_relocated.made);
}

static enum jq_err state_restore(struct jq_core *core, uint32_t ref, const struct jq_record *record,
                                 struct jq_error *reterr) {
    struct task *task = task_at(core, ref);
    const uint8_t state = record->u.task_relocated.state;
    const uint32_t worker = record->u.task_relocated.worker;
    const bool leased = state == JQ_STATE_RUNNING || state == JQ_STATE_CANCELLING;
    if (leased && (worker == 0 || worker >= core->worker_count || !core->workers[worker].used ||
                   !units_valid(record->u.task_relocated.units))) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "task %llu: moved with a lease that cannot be",
                       (unsigned long long)task->id);
    }
    if (leased) {
        const struct jq_record lease = {.type = JQ_RECORD_TASK_LEASED,
                                        .time_ms = record->time_ms,
                                        .lsn = record->lsn,
                                        .u.task_leased = {.task = record->u.task_relocated.task,
                                                          .token = record->u.task_relocated.token,
                                                          .worker = worker,
                                                          .alternative = record->u.task_relocated.alternative,
                                                          .units = record->u.task_relocated.units}};
        task_attach_lease(core, ref, &lease, false);
        task->state = state;
    } else if (jq_state_is_final(state)) {
        edges_unlink(core, ref);
        task->state = state;
        finished_add(core, ref);
    } else if (state == JQ_STATE_WAITING || state == JQ_STATE_BLOCKED) {
        task_enter_wait(core, ref);
    } else {
        task_enter_queue(core, ref, record->time_ms);
    }
    return JQ_OK;
}

static enum jq_err ties_restore(struct jq_core *core, uint32_t ref, const struct jq_record *record,
                                struct jq_error *reterr) {
    const struct jq_submit_fields *submit = &record->u.task_relocated.submit;
    const bool waits =
        record->u.task_relocated.state == JQ_STATE_WAITING || record->u.task_relocated.state == JQ_STATE_BLOCKED;
    if (submit->on > 0 && (!edges_add(core, ref, submit->on, submit->after) ||
                           !edges_restore(core, ref, record->u.task_relocated.verdicts))) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "task %llu: moved with edges that cannot be",
                       (unsigned long long)submit->task.value);
    }
    if (waits && !node_if(core, task_at(core, ref)) && submit->flow == 0) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "task %llu: moved, and waits for nobody",
                       (unsigned long long)submit->task.value);
    }
    return submit->flow > 0 ? flow_rejoin(core, ref, submit->flow, waits, reterr) : JQ_OK;
}

/* Only a replay that began behind its submit comes here. */
static enum jq_err task_restore(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    uint32_t ref = 0;
    const struct jq_record submit = {.type = JQ_RECORD_TASK_SUBMITTED,
                                     .time_ms = record->time_ms,
                                     .lsn = record->lsn,
                                     .size = record->size,
                                     .u.task_submitted = record->u.task_relocated.submit};
    if (record->u.task_relocated.state == JQ_STATE_NONE || record->u.task_relocated.state > JQ_STATE_BLOCKED) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "task %llu: moved in state %u",
                       (unsigned long long)submit.u.task_submitted.task.value, record->u.task_relocated.state);
    }
    enum jq_err err = task_introduce(core, &submit, &ref, reterr);
    if (err != JQ_OK) {
        return err;
    }
    struct task *task = task_at(core, ref);
    task->first_ready_ms = record->u.task_relocated.first_ready_ms;
    task->outcome = record->u.task_relocated.outcome;
    task->attempts = record->u.task_relocated.attempts;
    task->crashes = record->u.task_relocated.crashes;
    task->runs = record->u.task_relocated.runs;
    task->flags |= jq_map_get(&core->bound_keys, task->id, 0) ? TASK_FLAG_KEYED : 0;
    task->flags |= record->u.task_relocated.held ? TASK_FLAG_HELD : 0;
    side_restore(core, task, record);
    err = ties_restore(core, ref, record, reterr);
    if (err == JQ_OK) {
        err = state_restore(core, ref, record, reterr);
    }
    if (err == JQ_OK) {
        flow_count(core, task, 1);
        core->digest += task_hash(core, task);
    }
    return err;
}

static enum jq_err apply_task_relocated(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    const uint32_t ref = task_find_any(core, record->u.task_relocated.task);
    if (ref == 0 && core->partial) {
        return task_restore(core, record, reterr);
    }
    if (ref == 0) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "task %llu: moved, but unknown",
                       (unsigned long long)record->u.task_relocated.task.value);
    }
    struct task *task = task_at(core, ref);
    if (record->u.task_relocated.body_size > 0) {
        submit_moved(core, task, record);
    } else {
        body_moved(core, task, record);
    }
    return JQ_OK;
}

/* ---- a report, a key ---- */

static enum jq_err apply_report_relocated(struct jq_core *core, const struct jq_record *record,
                                          struct jq_error *reterr) {
    const uint32_t ref = task_find_any(core, record->u.report_relocated.task);
    struct side *side = ref && task_at(core, ref)->side ? task_side(core, task_at(core, ref)) : NULL;
    if ((ref == 0 || !side || side->last_size == 0) && core->partial) {
        return JQ_OK;
    }
    if (!side || side->last_size == 0) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "task %llu: its report was moved, but it has none",
                       (unsigned long long)record->u.report_relocated.task.value);
    }
    segment_unpin(core, side->last_lsn, side->last_size);
    side->last_lsn = record->lsn;
    side->last_size = record->size;
    segment_pin(core, side->last_lsn, side->last_size);
    return JQ_OK;
}

static enum jq_err apply_key_relocated(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    const uint32_t key = key_of_task(core, record->u.key_relocated.key, record->u.key_relocated.task);
    if (key != 0) {
        key_move(core, key, record->lsn);
        return JQ_OK;
    }
    if (!core->partial || record->u.key_relocated.unique > JQ_UNIQUE_DEBOUNCE) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "a key was moved that is not known");
    }
    const struct jq_record submitted = {.lsn = record->lsn,
                                        .time_ms = record->time_ms,
                                        .u.task_submitted = {.task = record->u.key_relocated.task,
                                                             .unique = record->u.key_relocated.unique,
                                                             .key = record->u.key_relocated.key,
                                                             .key_expires_ms = record->u.key_relocated.expires_ms}};
    const bool bound = key_restore(core, &submitted);
    const uint32_t ref = bound ? task_find_any(core, record->u.key_relocated.task) : 0;
    if (ref != 0) {
        task_at(core, ref)->flags |= TASK_FLAG_KEYED;
    }
    return JQ_OK;
}

enum jq_err apply_moved_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    switch (record->type) {
    case JQ_RECORD_TASK_RELOCATED: return apply_task_relocated(core, record, reterr);
    case JQ_RECORD_REPORT_RELOCATED: return apply_report_relocated(core, record, reterr);
    default: return apply_key_relocated(core, record, reterr);
    }
}
