/* move.c - keeps the log's size bounded by what is live: what is still needed of its oldest part is written again at its head.
 *
 * When the part of the log that is needed is larger than twice what is live in it, and half a segment more, the core asks the shell for
 * a slice of the oldest segment (JQ_EFFECT_READ_LOG). The shell brings the records of it that carry a body or a key; those whose
 * task, report or key still stands there are emitted anew, the others are passed over. When nothing live stands in the segment any
 * more, needs_from moves on, and the next prologue lets its file go. Nothing but places changes, and nothing of the progress is
 * durable: whatever a crash cuts off is begun again with the oldest segment.
 *
 * A byte is moved only when half of the log or more is dead: at most one byte is moved for each that is freed.
 */
#include "broker/core/state.h"

enum { AGAIN_MS = 60000 /* until a segment in which something could not be read is looked at once more */ };

/* ---- one record of the oldest segment ---- */

static struct jq_bytes edges_pack(struct jq_core *core, const struct task *task) {
    const struct node *node = node_if(core, task);
    jq_buf_clear(&core->after);
    for (uint32_t ref = node ? node->edges : 0; ref != 0; ref = edge_at(core, ref)->next_of) {
        const struct edge *edge = edge_at(core, ref);
        jq_buf_append_varint(&core->after, (task->id - edge->parent) << 1 | (edge->verdict == JQ_EDGE_MET));
    }
    JQ_CHECK(!core->after.failed);
    return jq_buf_bytes(&core->after);
}

static struct jq_bytes verdicts_pack(const struct jq_core *core, const struct task *task,
                                     uint8_t out[JQ_AFTER_COUNT_MAX]) {
    const struct node *node = node_if(core, task);
    size_t count = 0;
    for (uint32_t ref = node ? node->edges : 0; ref != 0; ref = edge_at(core, ref)->next_of) {
        JQ_CHECK(count < JQ_AFTER_COUNT_MAX);
        out[count++] = edge_at(core, ref)->verdict;
    }
    return (struct jq_bytes){out, count};
}

/* What a submit says of the task. A new field of struct jq_submit_fields that outlives the submit is filled in here. */
static struct jq_submit_fields submit_of(struct jq_core *core, const struct task *task, struct jq_bytes body) {
    const struct side *side = task_side_if(core, task);
    const struct node *node = node_if(core, task);
    return (struct jq_submit_fields){
        .task = {task->id},
        .queue = task->queue,
        .class_index = task->class_index,
        .options = task->options,
        .priority = task->priority,
        .eta = task->flags & TASK_FLAG_ETA,
        .ready_at_ms = task->at_ms,
        .expires_wall_ms = side ? side->expires_wall_ms : 0,
        .body = body,
        .group = task->group ? group_at(core, task->group)->name : (struct jq_str){NULL, 0},
        .flow = node && node->flow ? flow_at(core, node->flow)->first : 0,
        .on = node ? node->on : 0,
        .after = edges_pack(core, task),
        .files = task_files(core, task),
        .cache = {task_cache_key(core, task), task->flags & TASK_FLAG_PURE ? JQ_CACHE_KEY_SIZE : 0}};
}

static void fill_side(const struct side *side, struct jq_record *record) {
    record->u.task_relocated.losses = side->losses;
    record->u.task_relocated.shortages = side->shortages;
    record->u.task_relocated.grace_ms = side->grace_ms;
    record->u.task_relocated.edits = side->edits;
    record->u.task_relocated.last_lsn = side->last_size ? side->last_lsn : 0;
    record->u.task_relocated.last_size = side->last_size;
    record->u.task_relocated.error = side->error ? jq_str_of(side->error) : (struct jq_str){NULL, 0};
}

static void fill_lease(const struct lease *lease, struct jq_record *record) {
    record->u.task_relocated.worker = lease->worker;
    record->u.task_relocated.token = (jq_lease_token){lease->token};
    record->u.task_relocated.alternative = lease->alternative;
    record->u.task_relocated.units = (struct jq_bytes){lease->units, lease->units_size};
}

/* `body` where the task's body stands at this place; else it stands elsewhere, and only the task is moved. */
static void move_task(struct jq_core *core, const struct task *task, struct jq_bytes body, bool here) {
    uint8_t verdicts[JQ_AFTER_COUNT_MAX];
    struct jq_record record = {.type = JQ_RECORD_TASK_RELOCATED,
                               .u.task_relocated = {.task = {task->id},
                                                    .submit = submit_of(core, task, body),
                                                    .state = task->state,
                                                    .outcome = task->outcome,
                                                    .attempts = CANARY(MOVED_FRESH) ? 0 : task->attempts,
                                                    .crashes = task->crashes,
                                                    .runs = task->runs,
                                                    .held = (task->flags & TASK_FLAG_HELD) != 0,
                                                    .first_ready_ms = task->first_ready_ms,
                                                    .body_lsn = here ? 0 : task->body_lsn,
                                                    .body_size = here ? 0 : task->body_size,
                                                    .verdicts = verdicts_pack(core, task, verdicts),
                                                    .made = task_made(core, task)}};
    if (task->side != 0) {
        fill_side(task_side_if(core, task), &record);
    }
    if (task->lease != 0) {
        fill_lease(lease_at(core, task->lease), &record);
    }
    emit(core, &record);
    core->totals.moved_total++;
}

/* A record that brought the task into being, or a body of it. */
static void consider_task(struct jq_core *core, uint64_t lsn, jq_task_id id, struct jq_bytes body) {
    const uint32_t ref = task_find_any(core, id);
    const struct task *task = ref ? task_at(core, ref) : NULL;
    const struct side *side = task ? task_side_if(core, task) : NULL;
    if (task && task->body_lsn == lsn) {
        move_task(core, task, body, true);
    } else if (side && side->submit_lsn == lsn) {
        move_task(core, task, (struct jq_bytes){NULL, 0}, false);
    }
}

static void consider_report(struct jq_core *core, uint64_t lsn, jq_task_id id, struct jq_bytes body) {
    const uint32_t ref = task_find_any(core, id);
    const struct side *side = ref ? task_side_if(core, task_at(core, ref)) : NULL;
    if (side && side->last_size != 0 && side->last_lsn == lsn) {
        struct jq_record record = {.type = JQ_RECORD_REPORT_RELOCATED,
                                   .u.report_relocated = {.task = id, .body = body}};
        emit(core, &record);
        core->totals.moved_total++;
    }
}

static void consider_key(struct jq_core *core, uint64_t lsn, jq_task_id id, struct jq_str text) {
    const uint32_t ref = text.size > 0 ? key_of_task(core, text, id) : 0;
    const struct key *key = ref ? key_at(core, ref) : NULL;
    if (key && key->lsn == lsn) {
        struct jq_record record = {
            .type = JQ_RECORD_KEY_RELOCATED,
            .u.key_relocated = {.task = id, .unique = key->unique, .expires_ms = key->expires_ms, .key = text}};
        emit(core, &record);
    }
}

static void consider(struct jq_core *core, const struct jq_record *old) {
    switch (old->type) {
    case JQ_RECORD_TASK_SUBMITTED:
        consider_task(core, old->lsn, old->u.task_submitted.task, old->u.task_submitted.body);
        consider_key(core, old->lsn, old->u.task_submitted.task, old->u.task_submitted.key);
        break;
    case JQ_RECORD_TASK_RELOCATED:
        consider_task(core, old->lsn, old->u.task_relocated.task, old->u.task_relocated.submit.body);
        break;
    case JQ_RECORD_TASK_EDITED: consider_task(core, old->lsn, old->u.task_edited.task, old->u.task_edited.body); break;
    case JQ_RECORD_TASK_RENEWED:
        consider_task(core, old->lsn, old->u.task_renewed.task, old->u.task_renewed.body);
        break;
    case JQ_RECORD_TASK_RETRIED:
        consider_report(core, old->lsn, old->u.task_retried.task, old->u.task_retried.body);
        break;
    case JQ_RECORD_TASK_ENDED: consider_report(core, old->lsn, old->u.task_ended.task, old->u.task_ended.body); break;
    case JQ_RECORD_REPORT_RELOCATED:
        consider_report(core, old->lsn, old->u.report_relocated.task, old->u.report_relocated.body);
        break;
    case JQ_RECORD_KEY_RELOCATED:
        consider_key(core, old->lsn, old->u.key_relocated.task, old->u.key_relocated.key);
        break;
    case JQ_RECORD_CACHE_STORED: cache_moved(core, old); break;
    default: break;
    }
}

/* ---- the oldest segment ---- */

/* Index of the oldest in which something live stands; that of the newest if there is none. */
static uint32_t oldest_needed(const struct jq_core *core) {
    uint32_t i = 0;
    while (i + 1 < core->segment_count && core->segments[i].live == 0) {
        i++;
    }
    return i;
}

static bool too_long(const struct jq_core *core, uint64_t needs_from) {
    const uint64_t most = 2 * core->live_bytes + core->config.log_slack_bytes;
    return core->end_lsn - needs_from > most && !CANARY(NEVER_MOVED);
}

void move_work(struct jq_core *core) {
    struct move *move = &core->move;
    if (move->asked || core->stopping || core->now_ms < move->again_ms || core->segment_count < 2) {
        return;
    }
    const uint32_t at = oldest_needed(core);
    const struct segment *segment = &core->segments[at];
    if (at + 1 == core->segment_count || !too_long(core, segment->lsn) || segment[1].lsn > core->written_lsn) {
        return;
    }
    if (move->next < segment->lsn || move->next > segment[1].lsn) {
        move->next = segment->lsn;
    }
    if (move->next == segment[1].lsn) { /* looked through, and yet something stands there */
        move->next = 0;
        move->again_ms = core->now_ms + AGAIN_MS;
        return;
    }
    move->asked = true;
    move->end = segment[1].lsn;
    const struct jq_effect effect = {.type = JQ_EFFECT_READ_LOG,
                                     .level = JQ_EFFECT_AT_ONCE,
                                     .u.read_log = {.from_lsn = move->next, .end_lsn = move->end}};
    core->output->effect(core->output->ctx, &effect);
}

void move_read(struct jq_core *core, const struct jq_event *event) {
    struct move *move = &core->move;
    if (!move->asked || event->u.log_read.from_lsn != move->next) {
        return;
    }
    move->asked = false;
    move->next = event->u.log_read.next_lsn;
    if (move->next <= event->u.log_read.from_lsn) { /* it could not be read */
        move->next = 0;
        move->again_ms = core->now_ms + AGAIN_MS;
    }
    for (size_t i = 0; i < event->u.log_read.count; i++) {
        consider(core, &event->u.log_read.records[i]);
    }
}

int64_t move_deadline_ms(const struct jq_core *core) {
    return core->move.again_ms > core->now_ms ? core->move.again_ms : INT64_MAX;
}
