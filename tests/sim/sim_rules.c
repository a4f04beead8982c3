/* sim_rules.c - what must hold at every record, effect and step: the sentences of TESTING.md, each checked against the
 * oracle's own fold as it stands before the record is taken. */
#include <errno.h>
#include <inttypes.h>

#include "broker/record.h"
#include "common/hash.h"
#include "tests/sim/sim.h"

/* ---- order ---- */

static bool earlier(const struct sim_task *a, const struct sim_task *b) {
    return a->first_ready_ms != b->first_ready_ms ? a->first_ready_ms < b->first_ready_ms : a->id < b->id;
}

/* What the worker could have got just as well: the same queue, handler and need, and ready. */
static bool rivals(const struct sim_task *a, const struct sim_task *b, const struct sim_holder *holder,
                   int64_t now_ms) {
    return a != b && a->queue == b->queue && a->class_index == b->class_index && strcmp(a->group, b->group) == 0 &&
           !a->eta && !a->held && a->ready_ms <= now_ms && (a->losses == 0 || holder->suspects == 0);
}

/* Priority is strict in a queue, then the key decides; but for a task that is ready for longer than the aging interval, and for
 * one for which the worker is kept. */
static void check_order(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    const struct sim_oracle *oracle = &sim->oracle;
    const struct sim_holder *holder = &oracle->holders[record->u.task_leased.worker];
    const bool aged = record->time_ms - task->ready_ms >= sim->config.aging_interval_ms;
    if (jq_core_kept_for(sim->broker.core, record->u.task_leased.worker).value == task->id) {
        return;
    }
    for (uint32_t i = 0; i < oracle->places[SIM_QUEUED]; i++) {
        const struct sim_task *other = &oracle->tasks[oracle->queued[i]];
        if (!rivals(other, task, holder, record->time_ms)) {
            continue;
        }
        const bool above = other->priority > task->priority && !aged;
        if (above || (other->priority == task->priority && earlier(other, task))) {
            sim_fail(sim,
                     "task %" PRIu64 " (priority %u, ready %" PRId64 ", %u losses) is leased before task %" PRIu64
                     " (%u, %" PRId64 ", %u), which stands before it; its worker has %u suspects",
                     task->id, task->priority, task->first_ready_ms, task->losses, other->id, other->priority,
                     other->first_ready_ms, other->losses, holder->suspects);
        }
    }
    sim->counts.orders_checked++;
}

/* ---- one function per record ---- */

static void check_submitted(struct sim *sim, const struct jq_record *record) {
    struct sim_task *task = oracle_task(sim, record->u.task_submitted.task.value);
    if (task->issued) {
        sim_fail(sim, "task %" PRIu64 ": its id was issued before", task->id);
    }
    /* Nobody hears of a staged one, nor of one in the block that comes before serving: they may come again. */
    task->issued = record->u.task_submitted.flow == 0 && sim->broker.serving;
}

static void check_leased(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    const uint64_t token = record->u.task_leased.token.value;
    if (task->place == SIM_LEASED) {
        sim_fail(sim, "task %" PRIu64 " has two live leases", task->id);
    }
    if (task->place != SIM_QUEUED) {
        sim_fail(sim, "task %" PRIu64 " was leased, but is not queued", task->id);
    }
    if (token <= sim->oracle.token_max) {
        sim_fail(sim, "token %" PRIu64 " was issued before", token);
    }
    if (task->eta || task->ready_ms > record->time_ms) {
        sim_fail(sim, "task %" PRIu64 " is leased before its time", task->id);
    }
    if (task->expires_wall_ms > 0 && task->expires_wall_ms <= sim->now_ms + sim->wall_offset_ms) {
        sim_fail(sim, "task %" PRIu64 " is leased after it expired", task->id);
    }
    if (task->held) {
        sim_fail(sim, "task %" PRIu64 " is leased, and somebody holds it", task->id);
    }
    const struct jq_queue_set *set = &sim->oracle.sets[task->queue];
    if (set->paused &&
        (set->paused_until_wall_ms == 0 || set->paused_until_wall_ms > sim->now_ms + sim->wall_offset_ms)) {
        sim_fail(sim, "task %" PRIu64 " is leased from a paused queue", task->id);
    }
    place_check_leased(sim, task, record);
    check_order(sim, task, record);
    turns_check_leased(sim, task, record);
    ties_check_leased(sim, task);
    limits_check_leased(sim, task, record);
    cache_check_leased(sim, task);
    gates_check_leased(sim, task, record);
}

/* min(base * 2^(n - 1), cap), times a factor in [0.5, 1). */
static void check_backoff(struct sim *sim, const struct sim_task *task, const struct jq_record *record,
                          uint32_t failures) {
    const struct jq_options *options = &sim->oracle.options[task->options];
    int64_t most_ms = (int64_t)options->retry_base_ms << (failures < 30 ? failures - 1 : 29);
    most_ms = most_ms < options->retry_cap_ms ? most_ms : options->retry_cap_ms;
    const int64_t wait_ms = record->u.task_retried.ready_at_ms - record->time_ms;
    if (wait_ms < most_ms / 2 || wait_ms > most_ms) {
        sim_fail(sim, "task %" PRIu64 " waits %" PRId64 " ms after failure %" PRIu32 ", of at most %" PRId64, task->id,
                 wait_ms, failures, most_ms);
    }
}

static bool lossless(const struct sim *sim, const struct sim_task *task) {
    const struct sim_worker *worker = &sim->workers[sim->oracle.holders[task->worker].worker];
    const bool answered = worker->mute_ms == 0 || sim->now_ms - worker->mute_ms > 2 * sim->config.liveness_ms;
    return sim->chances.rates[SIM_LOSS] == 0 && worker->faultless && answered;
}

static void check_retried(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    const enum jq_outcome outcome = (enum jq_outcome)record->u.task_retried.outcome;
    const uint32_t attempts = record->u.task_retried.attempts, shortages = record->u.task_retried.shortages;
    if (task->place != SIM_LEASED) {
        sim_fail(sim, "task %" PRIu64 " is retried, but nobody had it", task->id);
    }
    if (attempts >= sim->oracle.options[task->options].retry_max && attempts != task->attempts) {
        sim_fail(sim, "task %" PRIu64 " failed %" PRIu32 " times, and is retried", task->id, attempts);
    }
    if (record->u.task_retried.crashes >= sim->config.crash_limit ||
        record->u.task_retried.losses >= sim->config.lost_limit || shortages > sim->config.shortage_limit) {
        sim_fail(sim, "task %" PRIu64 " is past its limit of crashes, losses or shortages, and is retried", task->id);
    }
    switch (outcome) {
    case JQ_OUTCOME_PROCESS_FAILURE:
    case JQ_OUTCOME_NETWORK:
    case JQ_OUTCOME_TIMEOUT: check_backoff(sim, task, record, attempts); break;
    case JQ_OUTCOME_RESOURCE_EXHAUSTED: check_backoff(sim, task, record, shortages); break;
    case JQ_OUTCOME_LOST:
        if (lossless(sim, task)) {
            sim_fail(sim, "task %" PRIu64 " is lost, but its worker answered all surveys", task->id);
        }
        break;
    default: break;
    }
    const bool counts = outcome >= JQ_OUTCOME_PROCESS_FAILURE && outcome <= JQ_OUTCOME_TIMEOUT;
    if (attempts != task->attempts + counts) {
        sim_fail(sim, "task %" PRIu64 " has %" PRIu32 " attempts after %s, and had %" PRIu32, task->id, attempts,
                 jq_outcome_name(outcome), task->attempts);
    }
}

static void check_ended(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    const enum jq_state state = (enum jq_state)record->u.task_ended.state;
    if (task->place == SIM_FINAL && (task->state != JQ_STATE_DEAD || state != JQ_STATE_CANCELLED)) {
        sim_fail(sim, "task %" PRIu64 " ended twice", task->id);
    }
    if (state == JQ_STATE_SUCCEEDED && task->place != SIM_LEASED && record->u.task_ended.outcome != JQ_OUTCOME_CACHED) {
        sim_fail(sim, "task %" PRIu64 " succeeded without a lease", task->id);
    }
    if (state == JQ_STATE_EXPIRED && record->u.task_ended.outcome != JQ_OUTCOME_SHED &&
        ((task->place != SIM_QUEUED && task->place != SIM_WAITING) || task->expires_wall_ms == 0 ||
         task->expires_wall_ms > sim->now_ms + sim->wall_offset_ms)) {
        sim_fail(sim, "task %" PRIu64 " (%d) expired (%s) %" PRId64 " ms before its time", task->id, (int)task->place,
                 jq_outcome_name((enum jq_outcome)record->u.task_ended.outcome),
                 task->expires_wall_ms - sim->now_ms - sim->wall_offset_ms);
    }
}

static void check_forgotten(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    const struct sim_oracle *oracle = &sim->oracle;
    if (task->place != SIM_FINAL) {
        sim_fail(sim, "task %" PRIu64 " is forgotten before it ended", task->id);
    }
    const uint32_t finished = oracle->places[SIM_FINAL] - oracle->dead;
    if (task->state != JQ_STATE_DEAD && !task->rm_asked && finished <= sim->config.finished_max &&
        record->time_ms - task->ended_ms < oracle->options[task->options].result_ttl_ms) {
        sim_fail(sim, "task %" PRIu64 " is forgotten before its result's time", task->id);
    }
}

static void check_task(struct sim *sim, const struct jq_record *record) {
    const struct sim_task *task = oracle_task(sim, record->u.task_due.task.value);
    if (task->place == SIM_UNKNOWN) {
        sim_fail(sim, "task %" PRIu64 ": a record about a task that is not there", task->id);
    }
    switch (record->type) {
    case JQ_RECORD_TASK_DUE:
        if (!task->eta || task->ready_ms > sim->now_ms + sim->wall_offset_ms) {
            sim_fail(sim, "task %" PRIu64 " is due before its time", task->id);
        }
        break;
    case JQ_RECORD_TASK_LEASED: check_leased(sim, task, record); break;
    case JQ_RECORD_TASK_RETRIED: check_retried(sim, task, record); break;
    case JQ_RECORD_TASK_CANCELLING:
        if (task->place != SIM_LEASED) {
            sim_fail(sim, "task %" PRIu64 " is being cancelled, but does not run", task->id);
        }
        break;
    case JQ_RECORD_TASK_ENDED: check_ended(sim, task, record); break;
    case JQ_RECORD_TASK_REVIVED:
    case JQ_RECORD_TASK_REPLAYED:
    case JQ_RECORD_TASK_EDITED:
        if (task->place != SIM_FINAL || task->state != JQ_STATE_DEAD || task->succeeded) {
            sim_fail(sim, "task %" PRIu64 " is revived or edited, but was not dead", task->id);
        }
        break;
    case JQ_RECORD_TASK_FORGOTTEN: check_forgotten(sim, task, record); break;
    case JQ_RECORD_TASK_HELD:
    case JQ_RECORD_TASK_MOVED:
        if (task->place != SIM_QUEUED && (task->place != SIM_WAITING || record->type == JQ_RECORD_TASK_MOVED)) {
            sim_fail(sim, "task %" PRIu64 " is held or moved, but does not wait", task->id);
        }
        break;
    default: break;
    }
}

void rules_record(struct sim *sim, const struct jq_record *record) {
    if (record->type == JQ_RECORD_TASK_SUBMITTED) {
        check_submitted(sim, record);
    } else if ((record->type > JQ_RECORD_TASK_SUBMITTED && record->type <= JQ_RECORD_TASK_FORGOTTEN) ||
               record->type == JQ_RECORD_TASK_REPLAYED || record->type == JQ_RECORD_TASK_EDITED ||
               record->type == JQ_RECORD_TASK_HELD || record->type == JQ_RECORD_TASK_MOVED) {
        check_task(sim, record);
    }
    cache_check(sim, record);
    blobs_check(sim, record);
    keys_check(sim, record);
    ties_check(sim, record);
    gates_check(sim, record);
    schedules_check(sim, record);
    move_check(sim, record);
    orders_check(sim, record);
    bounds_check(sim, record);
}

/* ---- effects ---- */

static enum sim_place place_of(enum jq_state state) {
    switch (state) {
    case JQ_STATE_RUNNING:
    case JQ_STATE_CANCELLING: return SIM_LEASED;
    case JQ_STATE_NONE: return SIM_UNKNOWN;
    case JQ_STATE_WAITING:
    case JQ_STATE_BLOCKED: return SIM_WAITING;
    default: return jq_state_is_final(state) ? SIM_FINAL : SIM_QUEUED;
    }
}

/* What people are told of a task is what it is when the core says it. */
static void check_rows(struct sim *sim, const struct jq_reply_effect *reply) {
    for (size_t i = 0; i < reply->u.tasks.count; i++) {
        const struct jq_task_row *row = &reply->u.tasks.rows[i];
        const struct sim_task *task = oracle_task(sim, row->id.value);
        if (row->state == JQ_STATE_NONE) {
            continue;
        }
        if (row->state == JQ_STATE_HELD && task->held && (task->place == SIM_QUEUED || task->place == SIM_WAITING)) {
            continue;
        }
        if (place_of(row->state) != task->place || (task->place == SIM_FINAL && row->state != task->state)) {
            sim_fail(sim, "task %" PRIu64 " is shown as %s, and is not", task->id, jq_state_name(row->state));
        }
    }
}

void rules_effect(struct sim *sim, const struct jq_effect *effect) {
    if (effect->type != JQ_EFFECT_REPLY || effect->u.reply.status != JQ_REPLY_OK) {
        return;
    }
    switch (effect->u.reply.op) {
    case JQ_OP_WAIT:
    case JQ_OP_TASK_SHOW:
    case JQ_OP_TASK_LS: check_rows(sim, &effect->u.reply); break;
    default: break;
    }
}

/* ---- after a step ---- */

/* No task is in limbo: the broker's own numbers are those of the records. */
static void check_counts(struct sim *sim, const struct jq_server_row *status) {
    const struct sim_oracle *oracle = &sim->oracle;
    if (status->scheduled + status->ready != oracle->places[SIM_QUEUED] ||
        status->waiting + status->blocked != oracle->places[SIM_WAITING] ||
        status->running != oracle->places[SIM_LEASED] || status->dead != oracle->dead ||
        status->tasks_finished != oracle->places[SIM_FINAL] - oracle->dead) {
        sim_fail(sim,
                 "%" PRIu64 " tasks queued, %" PRIu64 " leased, %" PRIu64 " dead, but by the records %" PRIu32
                 ", %" PRIu32 ", %" PRIu32,
                 status->scheduled + status->ready, status->running, status->dead, oracle->places[SIM_QUEUED],
                 oracle->places[SIM_LEASED], oracle->dead);
    }
}

void rules_step(struct sim *sim) {
    struct jq_server_row status;
    jq_core_status(sim->broker.core, &status);
    check_counts(sim, &status);
    bounds_step(sim, &status);
    place_step(sim);
    schedules_step(sim, &status);
    move_step(sim);
    blobs_step(sim);
    cache_step(sim, &status);
}

/* ---- bodies ---- */

/* The bytes of a record as the shell gets them: from memory while they are young, else from the files. False: a fault of the disk. */
static bool read_record(struct sim *sim, const struct jq_body_ref *ref, uint8_t *out) {
    struct jq_error error;
    const uint8_t *young = jq_log_ring_find(sim->broker.ring, ref->lsn, ref->size);
    if (young) {
        memcpy(out, young, ref->size);
        return true;
    }
    if (jq_journal_read(sim->broker.journal, ref->lsn, ref->size, out, &error) == JQ_OK) {
        return true;
    }
    if (!log_may_fail(sim, &error)) {
        sim_fail(sim, "the body at lsn %" PRIu64 " cannot be read: %s", ref->lsn, error.message);
    }
    sim->disk_faulty = sim->disk_faulty && error.sys_errno != EIO;
    return false;
}

/* The body as it was when the token was issued. Of a token older than the change before last nobody knows any more. */
static bool is_body(const struct sim_task *task, uint64_t token, struct jq_bytes body) {
    const uint64_t hash = jq_hash_bytes(body.data, body.size, 0);
    return token < task->body_until || hash == (token == task->body_until ? task->body_before : task->body_hash);
}

void rules_body(struct sim *sim, const struct jq_lease_item *item) {
    uint8_t bytes[4096];
    struct jq_record_cursor cursor = {.payload = bytes, .payload_size = item->body.size, .left = 1};
    struct jq_log_record record;
    struct jq_bytes body;
    JQ_CHECK(item->body.size <= sizeof(bytes));
    if (!read_record(sim, &item->body, bytes)) {
        return;
    }
    if (!jq_record_next(&cursor, &record) || jq_record_body(record.type, record.body, &body, NULL) != JQ_OK ||
        !is_body(oracle_task(sim, item->task.value), item->token.value, body)) {
        sim_fail(sim, "task %" PRIu64 " is handed out with another body than it had when it was leased",
                 item->task.value);
    }
    sim->counts.bodies_read++;
}
