/* step.c - one event: first what time has brought, then the event itself, then what became possible by both. */
#include "broker/core/state.h"

enum { TIMERS_PER_STEP_MAX = 2000, WALL_DRIFT_MS = 500, STAGED_AGAIN_MS = 1000 };

/* ---- what time has brought ---- */

static void wake_due(struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->timers);
    for (int i = 0; first && first->key <= core->now_ms && i < TIMERS_PER_STEP_MAX; i++) {
        const uint32_t ref = first->ref;
        task_wake(core, ref);
        news_task(core, JQ_NEWS_TASK_READY, task_at(core, ref));
        first = jq_heap_min(&core->timers);
    }
}

/* Wall time has reached an eta or an expiry. */
static void wake_wall(struct jq_core *core, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    const struct side *side = task_side_if(core, task);
    if (task_is_staged(core, task)) { /* nobody knows of it yet */
        task_clear_timer(core, ref);
        task_set_timer(core, ref, core->wall_ms + STAGED_AGAIN_MS, true);
        return;
    }
    if (side && side->expires_wall_ms > 0 && side->expires_wall_ms <= core->wall_ms) {
        task_end(core, ref, JQ_STATE_EXPIRED, JQ_OUTCOME_EXPIRED);
        return;
    }
    struct jq_record record = {.type = JQ_RECORD_TASK_DUE, .u.task_due = {{task->id}}};
    emit(core, &record);
    news_task(core, JQ_NEWS_TASK_READY, task);
}

static void wake_wall_due(struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->wall_timers);
    for (int i = 0; first && first->key <= core->wall_ms && i < TIMERS_PER_STEP_MAX; i++) {
        wake_wall(core, first->ref);
        first = jq_heap_min(&core->wall_timers);
    }
}

/* A gap between steps means that this process slept: nobody is blamed for what it could not hear. */
static void note_gap(struct jq_core *core) {
    if (core->now_ms - core->stepped_ms > 2 * core->config.heartbeat_ms) {
        core->awake_ms = core->now_ms;
        core->awake_survey = core->surveys_sent;
    }
    core->stepped_ms = core->now_ms;
}

static void note_wall(struct jq_core *core) {
    const int64_t offset_ms = core->wall_ms - core->now_ms;
    const int64_t drift_ms = offset_ms - core->wall_offset_ms;
    if (drift_ms > WALL_DRIFT_MS || drift_ms < -WALL_DRIFT_MS) {
        struct jq_record record = {.type = JQ_RECORD_WALL_OFFSET, .u.wall_offset = {offset_ms}};
        emit(core, &record);
    }
    if (drift_ms < -WALL_DRIFT_MS) {
        schedules_set_back(core);
    }
}

static void time_passes(struct jq_core *core) {
    note_gap(core);
    note_wall(core);
    marks_note(core);
    workers_check_liveness(core);
    survey_send(core);
    breakers_expire(core);
    wake_due(core);
    wake_wall_due(core);
    queues_wake(core);
    sheds_find(core);
    schedules_fire(core);
    limits_sweep(core);
    limits_expire(core);
    finished_expire(core);
    keys_expire(core);
    window_expire(core);
    blobs_expire(core);
}

/* ---- the event ---- */

static void on_request(struct jq_core *core, const struct jq_request *request) {
    static void (*const handlers[JQ_OP_END])(struct jq_core *, const struct jq_request *) = {
        [JQ_OP_SUBMIT] = submit_request,
        [JQ_OP_REGISTER] = worker_register,
        [JQ_OP_LEASE] = lease_request,
        [JQ_OP_REPORT] = report_request,
        [JQ_OP_WAIT] = wait_request,
        [JQ_OP_TASK_SHOW] = task_show_request,
        [JQ_OP_TASK_LS] = task_ls_request,
        [JQ_OP_TASK_EXPLAIN] = explain_request,
        [JQ_OP_TASK_CANCEL] = tasks_request,
        [JQ_OP_DEAD_REPLAY] = tasks_request,
        [JQ_OP_DEAD_RM] = tasks_request,
        [JQ_OP_QUEUE_LS] = queue_ls_request,
        [JQ_OP_QUEUE_SET] = queue_set_request,
        [JQ_OP_WORKER_LS] = worker_ls_request,
        [JQ_OP_WORKER_SHOW] = worker_ls_request,
        [JQ_OP_WORKER_DRAIN] = worker_drain_request,
        [JQ_OP_SERVER_STATUS] = server_status_request,
        [JQ_OP_FLOW_BEGIN] = flow_begin_request,
        [JQ_OP_FLOW_ADD] = flow_add_request,
        [JQ_OP_FLOW_COMMIT] = flow_commit_request,
        [JQ_OP_FLOW_CANCEL] = flow_cancel_request,
        [JQ_OP_FLOW_SHOW] = flow_show_request,
        [JQ_OP_FLOW_LS] = flow_ls_request,
        [JQ_OP_FLOW_WAIT] = flow_wait_request,
        [JQ_OP_BREAKER_LS] = breaker_ls_request,
        [JQ_OP_BREAKER_SHOW] = breaker_ls_request,
        [JQ_OP_BREAKER_TRIP] = breaker_set_request,
        [JQ_OP_BREAKER_RESET] = breaker_set_request,
        [JQ_OP_DEAD_EDIT] = dead_edit_request,
        [JQ_OP_SCHEDULE_SET] = schedule_set_request,
        [JQ_OP_SCHEDULE_RM] = schedule_rm_request,
        [JQ_OP_SCHEDULE_PAUSE] = schedule_pause_request,
        [JQ_OP_SCHEDULE_RUN] = schedule_run_request,
        [JQ_OP_SCHEDULE_LS] = schedule_ls_request,
        [JQ_OP_SCHEDULE_SHOW] = schedule_show_request,
        [JQ_OP_LIMIT_SET] = limit_set_request,
        [JQ_OP_LIMIT_LS] = limit_ls_request,
        [JQ_OP_LIMIT_RM] = limit_rm_request,
        [JQ_OP_TASK_HOLD] = tasks_request,
        [JQ_OP_TASK_RELEASE] = tasks_request,
        [JQ_OP_TASK_MOVE] = tasks_request,
        [JQ_OP_TASK_RM] = tasks_request,
        [JQ_OP_EVENTS_READ] = events_request,
        [JQ_OP_BLOB_PUT] = blob_put_request,
        [JQ_OP_BLOB_STAT] = blob_stat_request,
        [JQ_OP_BLOB_LS] = blob_ls_request,
        [JQ_OP_BLOB_GC] = blob_gc_request,
        [JQ_OP_CACHE_STAT] = cache_stat_request,
        [JQ_OP_CACHE_PURGE] = cache_purge_request,
    };
    if (request->op > JQ_OP_NONE && request->op < JQ_OP_END && handlers[request->op]) {
        handlers[request->op](core, request);
    } else {
        reply_refuse(core, request, JQ_REPLY_INVALID, "op", "unknown");
    }
}

/* Nobody listens there any more. Its workers are asked soon whether they live. */
static void on_pipe_gone(struct jq_core *core, uint64_t pipe) {
    for (uint32_t i = 0; i < core->parked_count; i++) {
        if (worker_at(core, core->parked[i])->poll.pipe == pipe) {
            poll_drop(core, core->parked[i]);
            i--;
            if (core->next_survey_ms > core->now_ms + core->config.heartbeat_ms / 4) {
                core->next_survey_ms = core->now_ms + core->config.heartbeat_ms / 4;
            }
        }
    }
    waits_drop_pipe(core, pipe);
    flow_waits_drop_pipe(core, pipe);
    withheld_drop_pipe(core, pipe);
    jobs_drop_pipe(core, pipe);
    events_drop_pipe(core, pipe);
}

static void on_stop(struct jq_core *core) {
    core->stopping = true;
    while (core->parked_count > 0) {
        poll_answer(core, core->parked[0], 0);
    }
    waits_stop(core);
    flow_waits_stop(core);
    withheld_stop(core);
    jobs_stop(core);
    events_stop(core);
}

static void on_event(struct jq_core *core, const struct jq_event *event) {
    switch (event->type) {
    case JQ_EVENT_TIME: jobs_step(core); break;
    case JQ_EVENT_REQUEST: on_request(core, &event->u.request); break;
    case JQ_EVENT_PIPE_GONE: on_pipe_gone(core, event->u.pipe_gone.pipe); break;
    case JQ_EVENT_SURVEY_RESPONSE: survey_response(core, &event->u.survey); break;
    case JQ_EVENT_WRITTEN: core->written_lsn = event->u.written.lsn; break;
    case JQ_EVENT_SEGMENT: prologue_write(core); break;
    case JQ_EVENT_DISK: disk_note(core, event); break;
    case JQ_EVENT_ZONES: schedules_plan(core); break;
    case JQ_EVENT_LOG_READ: move_read(core, event); break;
    case JQ_EVENT_DAMAGED: attempt_damaged(core, &event->u.damaged); break;
    case JQ_EVENT_BLOB_LOST: blob_lost(core, event->u.blob_lost.hash, event->u.blob_lost.version); break;
    case JQ_EVENT_STOP: on_stop(core); break;
    }
}

/* ---- */

void jq_core_step(struct jq_core *core, const struct jq_event *event, const struct jq_output *output) {
    JQ_CHECK(core->started && event->now_ms >= core->now_ms);
    core->output = output;
    core->now_ms = event->now_ms;
    core->wall_ms = event->wall_ms;
    core->cache_answered = 0;
    time_passes(core);
    on_event(core, event);
    flows_work(core);
    withheld_expire(core);
    withheld_serve(core);
    reservations_check(core);
    dispatch_hot(core);
    gathered_flush(core);
    commands_flush(core);
    polls_expire(core);
    waiters_flush(core);
    waits_expire(core);
    flow_waits_step(core);
    sleepers_wake(core);
    events_flush(core);
    move_work(core);
    core->output = NULL;
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t heap_key(const struct jq_heap *heap) {
    const struct jq_heap_entry *first = jq_heap_min(heap);
    return first ? first->key : INT64_MAX;
}

int64_t jq_core_deadline_ms(const struct jq_core *core) {
    int64_t deadline_ms = least(heap_key(&core->timers), heap_key(&core->poll_timers));
    deadline_ms = least(deadline_ms, heap_key(&core->wait_timers));
    const int64_t wall_ms = least(heap_key(&core->wall_timers), schedules_deadline_wall_ms(core));
    deadline_ms = least(deadline_ms, core->roomy_count > 0 ? core->now_ms : heap_key(&core->withheld_timers));
    if (wall_ms != INT64_MAX) {
        deadline_ms = least(deadline_ms, wall_ms - (core->wall_ms - core->now_ms));
    }
    deadline_ms = least(deadline_ms, queues_deadline_ms(core));
    deadline_ms = least(deadline_ms, sheds_deadline_ms(core));
    deadline_ms = least(deadline_ms, jobs_deadline_ms(core));
    deadline_ms = least(deadline_ms, events_deadline_ms(core));
    deadline_ms = least(deadline_ms, liveness_deadline_ms(core));
    deadline_ms = least(deadline_ms, limits_deadline_ms(core));
    deadline_ms = least(deadline_ms, finished_deadline_ms(core));
    deadline_ms = least(deadline_ms, keys_deadline_ms(core));
    deadline_ms = least(deadline_ms, move_deadline_ms(core));
    deadline_ms = least(deadline_ms, flows_deadline_ms(core));
    deadline_ms = least(deadline_ms, flow_waits_deadline_ms(core));
    deadline_ms = least(deadline_ms, breakers_deadline_ms(core));
    deadline_ms = least(deadline_ms, blobs_deadline_ms(core));
    deadline_ms = least(deadline_ms, sleepers_deadline_ms(core));
    return least(deadline_ms, window_deadline_ms(core));
}
