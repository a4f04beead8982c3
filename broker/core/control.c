/* control.c - what operators do: cancel, replay and remove dead letters, pause queues, drain workers. */
#include "broker/core/state.h"

enum { GRACE_DEFAULT_MS = 10000 };
#define REPLAY_AHEAD_US_MAX (INT64_C(366) * 24 * 3600 * 1000 * 1000) /* a year */

/* The part that all of them share: the window, one verdict an item, the answer. */
void many_reply(struct jq_core *core, const struct jq_request *request, uint32_t count) {
    const struct jq_reply_effect reply = {
        .call = request->call,
        .request = request->id,
        .op = request->op,
        .u.many = {.exceptions = core->exceptions, .exception_count = core->exception_count, .count = count}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

bool answered_before(struct jq_core *core, const struct jq_request *request) {
    const struct answer *answer = NULL;
    const enum window_verdict seen = window_look(core, request, &answer);
    core->exception_count = 0;
    if (seen == WINDOW_NEW) {
        return false;
    }
    if (window_refuses(core, request, seen)) {
        return true;
    }
    core->totals.duplicate_total++;
    exceptions_unpack(core, answer->verdict.exceptions);
    many_reply(core, request, answer->verdict.count);
    return true;
}

void many_done(struct jq_core *core, const struct jq_request *request, uint32_t count) {
    if (count > 0) {
        const struct jq_verdict verdict = {.op = (uint8_t)request->op,
                                           .count = count,
                                           .exceptions =
                                               exceptions_pack(core, core->exceptions, core->exception_count)};
        window_record(core, &request->sender, request->id, request->done, &verdict);
    }
    many_reply(core, request, count);
}

static bool except(struct jq_core *core, uint32_t index, jq_task_id task, enum jq_reply status, const char *reason) {
    exception_add(
        core, (struct jq_exception){.index = index, .status = status, .task = task, .reason = reason, .field = "id"});
    return false;
}

typedef bool (*task_action)(struct jq_core *core, const struct jq_request *request, uint32_t index, uint32_t ref);

static void for_each_task(struct jq_core *core, const struct jq_request *request, task_action action) {
    if (answered_before(core, request)) {
        return;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < request->u.tasks.count; i++) {
        const uint32_t ref = task_find(core, request->u.tasks.ids[i]);
        if (ref == 0) {
            except(core, i, request->u.tasks.ids[i], JQ_REPLY_NOT_FOUND, "no such task: never submitted, or forgotten");
        } else {
            count += action(core, request, i, ref);
        }
    }
    many_done(core, request, count);
}

/* ---- cancel ---- */

static void cancel_running(struct jq_core *core, uint32_t ref, uint32_t grace_ms) {
    struct task *task = task_at(core, ref);
    const uint32_t worker = lease_at(core, task->lease)->worker;
    struct jq_record record = {
        .type = JQ_RECORD_TASK_CANCELLING,
        .u.task_cancelling = {.task = {task->id}, .grace_ms = grace_ms ? grace_ms : GRACE_DEFAULT_MS}};
    emit(core, &record);
    news_task(core, JQ_NEWS_TASK_CANCELLING, task);
    worker_command_cancel(core, worker, (jq_task_id){task->id});
    const struct jq_effect notice = {
        .type = JQ_EFFECT_NOTICE, .level = JQ_EFFECT_WRITTEN, .u.notice_worker = worker_at(core, worker)->name};
    core->output->effect(core->output->ctx, &notice);
}

bool task_cancel(struct jq_core *core, uint32_t ref, uint32_t grace_ms) {
    switch ((enum jq_state)task_at(core, ref)->state) {
    case JQ_STATE_RUNNING: cancel_running(core, ref, grace_ms); return true;
    case JQ_STATE_CANCELLING: return true;
    case JQ_STATE_WAITING:
    case JQ_STATE_BLOCKED:
    case JQ_STATE_SCHEDULED:
    case JQ_STATE_READY: task_end(core, ref, JQ_STATE_CANCELLED, JQ_OUTCOME_CANCELLED); return true;
    default: return false;
    }
}

static bool cancel_one(struct jq_core *core, const struct jq_request *request, uint32_t index, uint32_t ref) {
    return task_cancel(core, ref, request->u.tasks.grace_ms) ||
           except(core, index, (jq_task_id){task_at(core, ref)->id}, JQ_REPLY_CONFLICT, "the task has ended");
}

void cancel_request(struct jq_core *core, const struct jq_request *request) {
    for_each_task(core, request, cancel_one);
}

/* ---- dead letters ---- */

const char *not_dead_reason(enum jq_state state) {
    switch (state) {
    case JQ_STATE_RUNNING:
    case JQ_STATE_CANCELLING: return "it is running: replayed already, or never a dead letter";
    case JQ_STATE_WAITING:
    case JQ_STATE_BLOCKED:
    case JQ_STATE_SCHEDULED:
    case JQ_STATE_READY: return "it waits in its queue: replayed already, or never a dead letter";
    default: return "it has ended, and not as a dead letter";
    }
}

/* False: it is none, and has its verdict. */
static bool is_dead_letter(struct jq_core *core, uint32_t index, const struct task *task) {
    return task->state == JQ_STATE_DEAD ||
           except(core, index, (jq_task_id){task->id}, JQ_REPLY_CONFLICT, not_dead_reason((enum jq_state)task->state));
}

/* When the next dead letter of a replay at a rate is ready: all such replays take their places in one line. */
static int64_t replay_at_ms(struct jq_core *core, int64_t interval_us) {
    const int64_t now_us = core->now_ms * 1000;
    const int64_t at_us = interval_us > 0 && core->replay_next_us > now_us ? core->replay_next_us : now_us;
    if (interval_us > 0) {
        core->replay_next_us = at_us + interval_us;
    }
    return at_us / 1000;
}

static bool replay_one(struct jq_core *core, const struct jq_request *request, uint32_t index, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    const int64_t interval_us = request->u.tasks.interval_us;
    if (!is_dead_letter(core, index, task)) {
        return false;
    }
    if (interval_us > 0 && core->replay_next_us > core->now_ms * 1000 + REPLAY_AHEAD_US_MAX) {
        return except(core, index, (jq_task_id){task->id}, JQ_REPLY_BUSY,
                      "at these rates the replays before it take more than a year");
    }
    struct jq_record record = {.type = interval_us > 0 ? JQ_RECORD_TASK_REPLAYED : JQ_RECORD_TASK_REVIVED,
                               .u.task_replayed = {.task = {task->id}, .ready_at_ms = replay_at_ms(core, interval_us)}};
    emit(core, &record);
    news_task(core, JQ_NEWS_TASK_REVIVED, task);
    return true;
}

static bool rm_one(struct jq_core *core, const struct jq_request *request, uint32_t index, uint32_t ref) {
    (void)request;
    const struct task *task = task_at(core, ref);
    if (!is_dead_letter(core, index, task)) {
        return false;
    }
    dead_remove(core, ref);
    return true;
}

void dead_replay_request(struct jq_core *core, const struct jq_request *request) {
    for_each_task(core, request, replay_one);
}

void dead_rm_request(struct jq_core *core, const struct jq_request *request) {
    for_each_task(core, request, rm_one);
}

/* ---- queues and workers ---- */

void queue_set_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    uint16_t at = 0;
    const enum jq_reply verdict = queue_intern(core, request->u.named.name, &at);
    if (verdict == JQ_REPLY_NOT_FOUND) {
        reply_refuse(core, request, verdict, "name", "not declared");
        return;
    }
    if (verdict != JQ_REPLY_OK) {
        reply_refuse(core, request, verdict, "limits", "queues_max reached");
        return;
    }
    struct jq_record record = {.type = JQ_RECORD_QUEUE_SET,
                               .u.queue_set = {.queue = at, .paused = request->u.named.on}};
    emit(core, &record);
    news_name(core, JQ_NEWS_QUEUE_SET, core->queues[at].name, request->u.named.on);
    many_done(core, request, 1);
}

void worker_drain_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    const uint32_t index = worker_of_name(core, request->u.named.name);
    if (index == 0) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "name", "no such worker");
        return;
    }
    struct jq_record record = {.type = JQ_RECORD_WORKER_SET,
                               .u.worker_set = {.worker = index, .draining = request->u.named.on}};
    emit(core, &record);
    struct worker *worker = worker_at(core, index);
    worker->drain_told = false;
    news_name(core, JQ_NEWS_WORKER_DRAINING, worker->name, request->u.named.on);
    if (!worker->profile && !request->u.named.on) {
        worker_heard(core, index); /* it may be dead, kept only for being drained: it has one liveness to come back */
    }
    if (worker->poll.call != 0 && worker_has_commands(core, worker)) {
        poll_answer(core, index, 0);
    }
    many_done(core, request, 1);
}
