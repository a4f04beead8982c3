/* apply_task.c - what each fact about a task changes. Every change of an entry is bracketed by taking its hash out of the digest
 * and putting the new one in; queues, buckets, timers and the leases' owners follow as indexes. */
#include <stdlib.h>

#include "broker/core/apply_task.h"
#include "common/hash.h"

/* ---- leaving one state and entering another ---- */

static void lease_end(struct jq_core *core, struct task *task) {
    const uint32_t ref = task->lease;
    struct lease *lease = lease_at(core, ref);
    struct worker *worker = worker_at(core, lease->worker);
    if (lease->prev) {
        lease_at(core, lease->prev)->next = lease->next;
    } else {
        worker->lease_head = lease->next;
    }
    if (lease->next) {
        lease_at(core, lease->next)->prev = lease->prev;
    } else {
        worker->lease_tail = lease->prev;
    }
    worker->lease_count--;
    worker->suspects -= lease->suspect;
    worker->held_sum -= jq_hash_u64(lease->token);
    worker->stable_since_survey = core->surveys_sent + 1;
    worker_reserve(core, worker, lease, false);
    task->lease = 0;
    free(lease->units);
    lease->units = NULL; /* what is freed at the end looks at all that ever were */
    jq_slab_give(&core->leases, ref);
}

/* Staged tasks are counted when their flow is committed. */
static void wait_count(struct jq_core *core, const struct task *task, int by) {
    struct queue *queue = &core->queues[task->queue];
    if (task_is_staged(core, task)) {
        return;
    }
    uint64_t *of_queue = task->state == JQ_STATE_BLOCKED ? &queue->blocked : &queue->waiting;
    uint64_t *of_core = task->state == JQ_STATE_BLOCKED ? &core->blocked_count : &core->waiting_count;
    *of_queue = (uint64_t)((int64_t)*of_queue + by);
    *of_core = (uint64_t)((int64_t)*of_core + by);
}

/* Takes the task out of every index of its present state. Its hash is out of the digest already. */
static void leave(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    struct queue *queue = &core->queues[task->queue];
    task_clear_timer(core, ref);
    switch ((enum jq_state)task->state) {
    case JQ_STATE_SCHEDULED:
        queue->scheduled--;
        queue->held -= (task->flags & TASK_FLAG_HELD) != 0;
        core->scheduled_count--;
        queued_remove(core, ref);
        break;
    case JQ_STATE_READY:
        ready_remove(core, ref);
        queued_remove(core, ref);
        break;
    case JQ_STATE_RUNNING:
    case JQ_STATE_CANCELLING:
        queue->running--;
        core->running_count--;
        limits_ended(core, task);
        lease_end(core, task);
        break;
    case JQ_STATE_DEAD:
    case JQ_STATE_SUCCEEDED:
    case JQ_STATE_CANCELLED:
    case JQ_STATE_EXPIRED: finished_remove(core, ref); break;
    case JQ_STATE_WAITING:
    case JQ_STATE_BLOCKED:
        wait_count(core, task, -1);
        queued_remove(core, ref);
        roots_remove(core, ref);
        break;
    case JQ_STATE_HELD:
    case JQ_STATE_NONE: break;
    }
}

/* Waiting, or blocked by one that is dead. */
void task_enter_wait(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    const struct side *side = task_side_if(core, task);
    task->state = node_if(core, task)->blocked > 0 ? JQ_STATE_BLOCKED : JQ_STATE_WAITING;
    wait_count(core, task, 1);
    queued_add(core, ref);
    if (side && side->expires_wall_ms > 0) {
        task_set_timer(core, ref, side->expires_wall_ms, true);
    }
}

/* Held: scheduled, with no time at which it would become ready; but it may expire. */
static void enter_held(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    const struct side *side = task_side_if(core, task);
    task->state = JQ_STATE_SCHEDULED;
    core->queues[task->queue].scheduled++;
    core->queues[task->queue].held++;
    core->scheduled_count++;
    queued_add(core, ref);
    if (side && side->expires_wall_ms > 0) {
        task_set_timer(core, ref, side->expires_wall_ms, true);
    }
}

/* Scheduled, or ready at once when its time has come. `now_ms` is the record's time. */
void task_enter_queue(struct jq_core *core, uint32_t ref, int64_t now_ms) {
    struct task *task = task_at(core, ref);
    const bool eta = task->flags & TASK_FLAG_ETA;
    if (task->flags & TASK_FLAG_HELD && !CANARY(HELD_RUNS)) {
        enter_held(core, ref);
        return;
    }
    if (!eta && task->at_ms <= now_ms) {
        task_make_ready(core, ref);
        return;
    }
    task->state = JQ_STATE_SCHEDULED;
    core->queues[task->queue].scheduled++;
    core->scheduled_count++;
    queued_add(core, ref);
    int64_t at_ms = task->at_ms;
    const struct side *side = task_side_if(core, task);
    if (eta && side && side->expires_wall_ms > 0 && side->expires_wall_ms < at_ms) {
        at_ms = side->expires_wall_ms;
    }
    task_set_timer(core, ref, at_ms, eta);
}

void task_make_ready(struct jq_core *core, uint32_t ref) {
    const struct side *side = task_side_if(core, task_at(core, ref));
    if (side && side->expires_wall_ms > 0) {
        task_set_timer(core, ref, side->expires_wall_ms, true);
    }
    ready_add(core, ref);
    queued_add(core, ref);
}

void task_wake(struct jq_core *core, uint32_t ref) {
    leave(core, ref);
    task_make_ready(core, ref);
}

static void keep_report(struct jq_core *core, struct task *task, const struct jq_record *record, struct jq_bytes body) {
    if (body.size == 0) {
        return;
    }
    struct side *side = task_side(core, task);
    if (side->last_size != 0) {
        segment_unpin(core, side->last_lsn, side->last_size);
    }
    side->last_lsn = record->lsn;
    side->last_size = record->size;
    segment_pin(core, record->lsn, record->size);
}

/* It waits for nobody any more. */
static void enter_free(struct jq_core *core, uint32_t ref, int64_t now_ms) {
    struct task *task = task_at(core, ref);
    if (!(task->flags & TASK_FLAG_ETA)) {
        task->at_ms = task->at_ms > now_ms ? task->at_ms : now_ms;
        task->first_ready_ms = task->at_ms;
    }
    task_enter_queue(core, ref, now_ms);
}

/* ---- one function per fact ---- */

/* What a new task waits for, and its flow. */
static enum jq_err apply_ties(struct jq_core *core, uint32_t ref, const struct jq_record *record,
                              struct jq_error *reterr) {
    const uint64_t flow = record->u.task_submitted.flow;
    const uint8_t on = record->u.task_submitted.on;
    if (on > 0 && !edges_add(core, ref, on, record->u.task_submitted.after)) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "task %llu: waits for a task that never was",
                       (unsigned long long)record->u.task_submitted.task.value);
    }
    const enum jq_err err = flow > 0 ? flow_join(core, ref, flow, reterr) : JQ_OK;
    const struct node *node = node_if(core, task_at(core, ref));
    if (err == JQ_OK && node && (flow > 0 || node->undecided > 0)) {
        task_enter_wait(core, ref);
    } else if (err == JQ_OK) {
        task_enter_queue(core, ref, record->time_ms);
    }
    return err;
}

enum jq_err task_introduce(struct jq_core *core, const struct jq_record *record, uint32_t *ret_ref,
                           struct jq_error *reterr) {
    const jq_task_id id = record->u.task_submitted.task;
    const uint16_t queue = record->u.task_submitted.queue, class_index = record->u.task_submitted.class_index;
    const uint32_t options = record->u.task_submitted.options;
    if (queue >= core->queue_count || class_index >= core->class_count || options >= core->options_count ||
        record->u.task_submitted.priority >= JQ_PRIORITY_COUNT) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "task %llu: its queue, class, options or priority are not defined",
                       (unsigned long long)id.value);
    }
    if (task_find_any(core, id) != 0) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "task %llu: submitted twice", (unsigned long long)id.value);
    }
    const uint32_t ref = task_add(core, id);
    struct task *task = task_at(core, ref);
    task->body_lsn = record->lsn;
    task->body_size = record->size;
    task->at_ms = record->u.task_submitted.ready_at_ms;
    task->first_ready_ms = record->u.task_submitted.eta ? 0 : task->at_ms;
    task->options = options;
    task->queue = queue;
    core->queues[queue].refs++;
    task->class_index = class_index;
    task->priority = record->u.task_submitted.priority;
    task->group = record->u.task_submitted.group.size ? group_take(core, queue, record->u.task_submitted.group) : 0;
    task->flags = record->u.task_submitted.eta ? TASK_FLAG_ETA : 0;
    if (record->u.task_submitted.expires_wall_ms > 0) {
        task_side(core, task)->expires_wall_ms = record->u.task_submitted.expires_wall_ms;
    }
    task_set_files(core, task, record->u.task_submitted.files);
    task_set_cache(core, task, record->u.task_submitted.cache);
    segment_pin(core, record->lsn, record->size);
    core->classes[class_index].refs++;
    core->options[options].refs++;
    *ret_ref = ref;
    return JQ_OK;
}

static enum jq_err apply_submitted(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    uint32_t ref = 0;
    enum jq_err err = task_introduce(core, record, &ref, reterr);
    if (err != JQ_OK) {
        return err;
    }
    struct task *task = task_at(core, ref);
    if (record->u.task_submitted.key_expires_ms > 0) {
        task->flags |= key_add(core, record) ? TASK_FLAG_KEYED : 0;
    }
    err = apply_ties(core, ref, record, reterr);
    if (err == JQ_OK) {
        flow_count(core, task, 1);
        core->digest += task_hash(core, task);
    }
    return err == JQ_OK && record->u.task_submitted.schedule ? apply_schedule_fired(core, record, reterr) : err;
}

static void apply_edge(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    const struct task *task = task_at(core, ref);
    leave(core, ref);
    edge_set(core, edge_find(core, task, record->u.edge_decided.parent), record->u.edge_decided.verdict);
    if (node_if(core, task)->undecided == 0) {
        enter_free(core, ref, record->time_ms);
    } else {
        task_enter_wait(core, ref);
    }
}

static void apply_freed(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    leave(core, ref);
    enter_free(core, ref, record->time_ms);
}

static void apply_due(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    struct task *task = task_at(core, ref);
    leave(core, ref);
    task->flags = (uint8_t)(task->flags & ~TASK_FLAG_ETA);
    task->at_ms = record->time_ms;
    task->first_ready_ms = record->time_ms;
    task_make_ready(core, ref);
}

static void units_keep(struct lease *lease, struct jq_bytes units) {
    if (units.size > 0) {
        lease->units = malloc(units.size);
        JQ_CHECK(lease->units != NULL);
        memcpy(lease->units, units.data, units.size);
        lease->units_size = (uint16_t)units.size;
    }
}

/* Leased, or ended: its key may stand for it no longer. */
static void release_key(struct jq_core *core, struct task *task, bool ended) {
    if ((task->flags & TASK_FLAG_KEYED) && !key_outlives(core, task, ended)) {
        task->flags = (uint8_t)(task->flags & ~TASK_FLAG_KEYED);
    }
}

void task_attach_lease(struct jq_core *core, uint32_t ref, const struct jq_record *record, bool starts) {
    struct task *task = task_at(core, ref);
    const uint32_t lease_ref = jq_slab_take(&core->leases);
    struct lease *lease = lease_at(core, lease_ref);
    struct worker *worker = worker_at(core, record->u.task_leased.worker);
    *lease = (struct lease){.task = ref,
                            .worker = record->u.task_leased.worker,
                            .token = record->u.task_leased.token.value,
                            .lsn = record->lsn,
                            .prev = worker->lease_tail,
                            .alternative = record->u.task_leased.alternative,
                            .suspect = task_suspect(core, task)};
    units_keep(lease, record->u.task_leased.units);
    if (worker->lease_tail) {
        lease_at(core, worker->lease_tail)->next = lease_ref;
    } else {
        worker->lease_head = lease_ref;
    }
    worker->lease_tail = lease_ref;
    worker->lease_count++;
    worker->suspects += lease->suspect;
    worker->held_sum += jq_hash_u64(lease->token);
    worker->grant_lsn = record->lsn;
    worker->stable_since_survey = core->surveys_sent + 1;
    worker_reserve(core, worker, lease, true);
    task->lease = lease_ref;
    task->state = JQ_STATE_RUNNING;
    core->queues[task->queue].running++;
    core->running_count++;
    limits_leased(core, task, record->time_ms, starts);
}

static void apply_leased(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    struct task *task = task_at(core, ref);
    leave(core, ref);
    release_key(core, task, false);
    task_attach_lease(core, ref, record, true);
    task->at_ms = record->time_ms;
    task->runs = (uint16_t)(task->runs + (task->runs < UINT16_MAX));
}

static void apply_retried(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    struct task *task = task_at(core, ref);
    leave(core, ref);
    task->outcome = record->u.task_retried.outcome;
    task->attempts = record->u.task_retried.attempts;
    task->crashes = record->u.task_retried.crashes;
    task->at_ms = record->u.task_retried.ready_at_ms;
    if (record->u.task_retried.losses || record->u.task_retried.shortages || task->side) {
        struct side *side = task_side(core, task);
        side->losses = record->u.task_retried.losses;
        side->shortages = record->u.task_retried.shortages;
        side->grace_ms = 0;
    }
    keep_report(core, task, record, record->u.task_retried.body);
    task_set_error(core, task, record->u.task_retried.error);
    task_enter_queue(core, ref, record->time_ms);
}

static void apply_ended(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    struct task *task = task_at(core, ref);
    leave(core, ref);
    release_key(core, task, true);
    edges_unlink(core, ref);
    task->flags = (uint8_t)(task->flags & ~(TASK_FLAG_ETA | TASK_FLAG_HELD));
    task->state = record->u.task_ended.state;
    task->outcome = record->u.task_ended.outcome;
    task->attempts = record->u.task_ended.attempts;
    task->crashes = record->u.task_ended.crashes;
    task->at_ms = record->time_ms;
    if (record->u.task_ended.losses > 0) {
        task_side(core, task)->losses = record->u.task_ended.losses;
    }
    keep_report(core, task, record, record->u.task_ended.body);
    task_set_error(core, task, record->u.task_ended.error);
    task_set_made(core, task, record->u.task_ended.made);
    if (task->state != JQ_STATE_DEAD) {
        task_set_cache(core, task, (struct jq_bytes){NULL, 0}); /* it will never run again */
    }
    finished_add(core, ref);
}

/* Dead, again in its queue with fresh counters, ready at `ready_at_ms`. */
static void revive(struct jq_core *core, uint32_t ref, int64_t ready_at_ms, int64_t now_ms) {
    struct task *task = task_at(core, ref);
    leave(core, ref);
    task->attempts = 0;
    task->crashes = 0;
    task->at_ms = ready_at_ms;
    task->first_ready_ms = ready_at_ms;
    if (task->side) {
        struct side *side = task_side(core, task);
        side->losses = 0;
        side->shortages = 0;
        side->grace_ms = 0;
        side->expires_wall_ms = 0;
    }
    task_enter_queue(core, ref, now_ms);
}

/* The body that it has from now on stands elsewhere. Its submit is what brings it into being, so that record stays needed. */
static void move_body(struct jq_core *core, struct task *task, const struct jq_record *record) {
    struct side *side = task_side(core, task);
    segment_unpin(core, task->body_lsn, task->body_size);
    if (side->submit_lsn == 0) {
        side->submit_lsn = task->body_lsn;
        segment_pin(core, side->submit_lsn, 0);
    }
    task->body_lsn = record->lsn;
    task->body_size = record->size;
    segment_pin(core, record->lsn, record->size);
}

static void apply_edited(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    struct task *task = task_at(core, ref);
    core->classes[task->class_index].refs--;
    core->options[task->options].refs--;
    core->queues[task->queue].dead--;
    group_move(core, task, record->u.task_edited.queue);
    core->queues[task->queue].refs--;
    task->queue = record->u.task_edited.queue;
    core->queues[task->queue].refs++;
    task->class_index = record->u.task_edited.class_index;
    task->options = record->u.task_edited.options;
    task->priority = record->u.task_edited.priority;
    core->classes[task->class_index].refs++;
    core->options[task->options].refs++;
    core->queues[task->queue].dead++;
    task_side(core, task)->edits++;
    task_set_cache(core, task, (struct jq_bytes){NULL, 0}); /* of what it was */
    if (record->u.task_edited.body.size > 0) {
        move_body(core, task, record);
    }
}

/* What waits is to be what a later submit says, as if it had come with that. */
static void apply_renewed(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    struct task *task = task_at(core, ref);
    leave(core, ref);
    core->classes[task->class_index].refs--;
    core->options[task->options].refs--;
    const uint32_t group = task->group;
    const struct jq_str name = record->u.task_renewed.group;
    task->group = name.size > 0 ? group_take(core, record->u.task_renewed.queue, name) : 0;
    group_give(core, group);
    core->queues[task->queue].refs--;
    task->queue = record->u.task_renewed.queue;
    core->queues[task->queue].refs++;
    task->class_index = record->u.task_renewed.class_index;
    task->options = record->u.task_renewed.options;
    task->priority = record->u.task_renewed.priority;
    core->classes[task->class_index].refs++;
    core->options[task->options].refs++;
    task->at_ms = record->u.task_renewed.ready_at_ms;
    task->first_ready_ms = record->u.task_renewed.ready_at_ms;
    move_body(core, task, record);
    task_set_cache(core, task, (struct jq_bytes){NULL, 0}); /* of what it was */
    task_side(core, task)->expires_wall_ms = record->u.task_renewed.expires_wall_ms;
    task_enter_queue(core, ref, record->time_ms);
}

static void apply_cancelling(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    struct task *task = task_at(core, ref);
    task->state = JQ_STATE_CANCELLING;
    if (record->u.task_cancelling.grace_ms > 0) {
        task_side(core, task)->grace_ms = record->u.task_cancelling.grace_ms;
    }
}

void task_drop(struct jq_core *core, uint32_t ref) {
    core->digest -= task_hash(core, task_at(core, ref));
    flow_count(core, task_at(core, ref), -1);
    leave(core, ref);
    release_key(core, task_at(core, ref), true);
    edges_unlink(core, ref);
    task_remove(core, ref);
}

static bool waits(const struct task *task) {
    return task->state == JQ_STATE_WAITING || task->state == JQ_STATE_BLOCKED;
}

/* A task that waits for others stays where it is: the flag counts when it would enter its queue. */
static void apply_held(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    const bool waiting = waits(task);
    if (!waiting) {
        leave(core, ref);
    }
    task->flags |= TASK_FLAG_HELD;
    if (!waiting) {
        enter_held(core, ref);
    }
}

static void apply_released(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    struct task *task = task_at(core, ref);
    const bool waiting = waits(task);
    if (!waiting) {
        leave(core, ref);
    }
    task->flags = (uint8_t)(task->flags & ~TASK_FLAG_HELD);
    if (!waiting) {
        task_enter_queue(core, ref, record->time_ms);
    }
}

static void apply_moved(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    struct task *task = task_at(core, ref);
    leave(core, ref);
    group_move(core, task, record->u.task_moved.queue);
    core->queues[task->queue].refs--;
    task->queue = record->u.task_moved.queue;
    core->queues[task->queue].refs++;
    task_enter_queue(core, ref, record->time_ms);
}

/* ---- which fact fits which state ---- */

/* A dead letter that others wait for ends as cancelled when it is removed. */
static bool may_end(const struct task *task, const struct jq_record *record) {
    const uint8_t end = record->u.task_ended.state;
    if (!jq_state_is_final(end)) {
        return false;
    }
    return !jq_state_is_final(task->state) || (task->state == JQ_STATE_DEAD && end == JQ_STATE_CANCELLED);
}

static bool fits(struct jq_core *core, const struct task *task, const struct jq_record *record) {
    const enum jq_state state = task->state;
    const bool queued = state == JQ_STATE_SCHEDULED || state == JQ_STATE_READY;
    const bool leased = state == JQ_STATE_RUNNING || state == JQ_STATE_CANCELLING;
    const bool held = task->flags & TASK_FLAG_HELD;
    switch (record->type) {
    case JQ_RECORD_TASK_DUE: return state == JQ_STATE_SCHEDULED && (task->flags & TASK_FLAG_ETA) && !held;
    case JQ_RECORD_TASK_LEASED:
        return queued && !held && units_valid(record->u.task_leased.units) && record->u.task_leased.worker > 0 &&
               record->u.task_leased.worker < core->worker_count && core->workers[record->u.task_leased.worker].used;
    case JQ_RECORD_TASK_RETRIED: return leased;
    case JQ_RECORD_TASK_CANCELLING: return state == JQ_STATE_RUNNING;
    case JQ_RECORD_TASK_ENDED: return may_end(task, record);
    case JQ_RECORD_TASK_REVIVED:
    case JQ_RECORD_TASK_REPLAYED: return state == JQ_STATE_DEAD;
    case JQ_RECORD_TASK_EDITED:
        return state == JQ_STATE_DEAD && record->u.task_edited.queue < core->queue_count &&
               record->u.task_edited.class_index < core->class_count &&
               record->u.task_edited.options < core->options_count &&
               record->u.task_edited.priority < JQ_PRIORITY_COUNT;
    case JQ_RECORD_TASK_RENEWED: /* its key may have stood before the log's beginning: given up since, or moved behind this */
        return queued && (task->flags & TASK_FLAG_KEYED || core->partial) &&
               record->u.task_renewed.queue < core->queue_count &&
               record->u.task_renewed.class_index < core->class_count &&
               record->u.task_renewed.options < core->options_count &&
               record->u.task_renewed.priority < JQ_PRIORITY_COUNT;
    case JQ_RECORD_TASK_FORGOTTEN: return jq_state_is_final(state) && !node_is_waited_for(core, task);
    case JQ_RECORD_EDGE_DECIDED: return waits(task) && edge_find(core, task, record->u.edge_decided.parent) != 0;
    case JQ_RECORD_TASK_FREED: return waits(task) && node_if(core, task)->undecided == 0;
    case JQ_RECORD_TASK_HELD: return (queued || waits(task)) && !held;
    case JQ_RECORD_TASK_RELEASED: return held;
    case JQ_RECORD_TASK_MOVED: return queued && record->u.task_moved.queue < core->queue_count;
    default: return false;
    }
}

static void apply_fact(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    switch (record->type) {
    case JQ_RECORD_TASK_DUE: apply_due(core, ref, record); break;
    case JQ_RECORD_TASK_LEASED: apply_leased(core, ref, record); break;
    case JQ_RECORD_TASK_RETRIED: apply_retried(core, ref, record); break;
    case JQ_RECORD_TASK_CANCELLING: apply_cancelling(core, ref, record); break;
    case JQ_RECORD_TASK_ENDED: apply_ended(core, ref, record); break;
    case JQ_RECORD_TASK_REVIVED: revive(core, ref, record->time_ms, record->time_ms); break;
    case JQ_RECORD_TASK_REPLAYED: revive(core, ref, record->u.task_replayed.ready_at_ms, record->time_ms); break;
    case JQ_RECORD_TASK_EDITED: apply_edited(core, ref, record); break;
    case JQ_RECORD_TASK_RENEWED: apply_renewed(core, ref, record); break;
    case JQ_RECORD_EDGE_DECIDED: apply_edge(core, ref, record); break;
    case JQ_RECORD_TASK_FREED: apply_freed(core, ref, record); break;
    case JQ_RECORD_TASK_HELD: apply_held(core, ref); break;
    case JQ_RECORD_TASK_RELEASED: apply_released(core, ref, record); break;
    case JQ_RECORD_TASK_MOVED: apply_moved(core, ref, record); break;
    default: break;
    }
}

enum jq_err apply_task_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    if (record->type == JQ_RECORD_TASK_SUBMITTED) {
        return apply_submitted(core, record, reterr);
    }
    const jq_task_id id = record->u.task_due.task; /* the first field of all of them */
    const uint32_t ref = task_find(core, id);
    if (ref == 0 && core->partial) {
        key_outlives_unknown(core, id, record->type);
        if (record->type == JQ_RECORD_TASK_LEASED) {
            unknown_until(core, record->time_ms);
        }
        return JQ_OK;
    }
    if (ref == 0 || !fits(core, task_at(core, ref), record)) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "record type %d does not fit task %llu (%s)", (int)record->type,
                       (unsigned long long)id.value,
                       ref ? jq_state_name((enum jq_state)task_at(core, ref)->state) : "unknown");
    }
    if (record->type == JQ_RECORD_TASK_FORGOTTEN) {
        task_drop(core, ref);
        return JQ_OK;
    }
    const struct task *task = task_at(core, ref);
    core->digest -= task_hash(core, task);
    flow_count(core, task, -1);
    apply_fact(core, ref, record);
    flow_count(core, task, 1);
    core->digest += task_hash(core, task);
    node_note(core, ref);
    return JQ_OK;
}
