/* act.c - what people do to tasks: each named by its id, or all that a selection finds (select.c).
 *
 * Every action looks at the task as it is at this moment, and does nothing where there is nothing left to do: who does it twice, or
 * at the same time as somebody else, changes nothing more. What cannot be done is a verdict about that task, not of the request.
 */
#include "broker/core/submit.h"

enum { GRACE_DEFAULT_MS = 10000 };

#define REPLAY_AHEAD_US_MAX (INT64_C(366) * 24 * 3600 * 1000 * 1000) /* a year */

static const char has_ended[] = "the task has ended";
static const char replay_line_full[] = "at these rates the replays before it take more than a year";

/* ---- one function per action: NULL, or why not ---- */

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
    const enum jq_state state = (enum jq_state)task_at(core, ref)->state;
    if (state == JQ_STATE_RUNNING) {
        cancel_running(core, ref, grace_ms);
    } else if (state != JQ_STATE_CANCELLING && !jq_state_is_final(state)) {
        task_end(core, ref, JQ_STATE_CANCELLED, JQ_OUTCOME_CANCELLED);
    }
    return !jq_state_is_final(state);
}

static const char *cancel(struct jq_core *core, const struct act *act, uint32_t ref) {
    return task_cancel(core, ref, act->grace_ms) ? NULL : has_ended;
}

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

/* When the next dead letter of a replay at a rate is ready: all such replays take their places in one line. */
static int64_t replay_at_ms(struct jq_core *core, int64_t interval_us) {
    const int64_t now_us = core->now_ms * 1000;
    const int64_t at_us = interval_us > 0 && core->replay_next_us > now_us ? core->replay_next_us : now_us;
    if (interval_us > 0) {
        core->replay_next_us = at_us + interval_us;
    }
    return at_us / 1000;
}

static const char *replay(struct jq_core *core, const struct act *act, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    const int64_t interval_us = act->interval_us;
    if (task->state != JQ_STATE_DEAD) {
        return not_dead_reason((enum jq_state)task->state);
    }
    if (interval_us > 0 && core->replay_next_us > core->now_ms * 1000 + REPLAY_AHEAD_US_MAX) {
        return replay_line_full;
    }
    struct jq_record record = {.type = interval_us > 0 ? JQ_RECORD_TASK_REPLAYED : JQ_RECORD_TASK_REVIVED,
                               .u.task_replayed = {.task = {task->id}, .ready_at_ms = replay_at_ms(core, interval_us)}};
    emit(core, &record);
    news_task(core, JQ_NEWS_TASK_REVIVED, task);
    return NULL;
}

static const char *forget(struct jq_core *core, const struct act *act, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    if (act->op == JQ_OP_DEAD_RM && task->state != JQ_STATE_DEAD) {
        return not_dead_reason((enum jq_state)task->state);
    }
    if (!jq_state_is_final((enum jq_state)task->state)) {
        return "the task has not ended: cancel it first";
    }
    if (task->state == JQ_STATE_DEAD) {
        dead_remove(core, ref);
        return NULL;
    }
    if (node_is_waited_for(core, task)) {
        return "others have still to hear of its end";
    }
    task_forget(core, ref);
    return NULL;
}

static const char *not_queued(const struct task *task) {
    return jq_state_is_final((enum jq_state)task->state) ? has_ended : task->lease != 0 ? "the task is running" : NULL;
}

static const char *hold(struct jq_core *core, const struct act *act, uint32_t ref) {
    (void)act;
    const struct task *task = task_at(core, ref);
    const char *why = not_queued(task);
    if (why || task->flags & TASK_FLAG_HELD) {
        return why;
    }
    struct jq_record record = {.type = JQ_RECORD_TASK_HELD, .u.task_held = {{task->id}}};
    emit(core, &record);
    news_task(core, JQ_NEWS_TASK_HELD, task);
    return NULL;
}

static const char *release(struct jq_core *core, const struct act *act, uint32_t ref) {
    (void)act;
    const struct task *task = task_at(core, ref);
    if (!(task->flags & TASK_FLAG_HELD)) {
        return "the task is not held";
    }
    struct jq_record record = {.type = JQ_RECORD_TASK_RELEASED, .u.task_held = {{task->id}}};
    emit(core, &record);
    news_task(core, JQ_NEWS_TASK_RELEASED, task);
    return NULL;
}

static const char *move(struct jq_core *core, const struct act *act, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    const char *why = not_queued(task);
    if (!why && (task->state == JQ_STATE_WAITING || task->state == JQ_STATE_BLOCKED)) {
        why = "the task waits for others";
    }
    if (!why && node_if(core, task) && !same_namespace(core->queues[task->queue].name, core->queues[act->queue].name)) {
        why = "what depends on others stays inside its namespace";
    }
    if (why || task->queue == act->queue) {
        return why;
    }
    if (!group_has_room(core, task->group ? group_at(core, task->group)->name : JQ_STR(""), act->queue)) {
        return "groups_max reached";
    }
    struct jq_record record = {.type = JQ_RECORD_TASK_MOVED, .u.task_moved = {.task = {task->id}, .queue = act->queue}};
    emit(core, &record);
    news_task(core, JQ_NEWS_TASK_MOVED, task);
    return NULL;
}

const char *task_act(struct jq_core *core, const struct act *act, uint32_t ref) {
    switch (act->op) {
    case JQ_OP_TASK_CANCEL: return cancel(core, act, ref);
    case JQ_OP_DEAD_REPLAY: return replay(core, act, ref);
    case JQ_OP_TASK_HOLD: return hold(core, act, ref);
    case JQ_OP_TASK_RELEASE: return release(core, act, ref);
    case JQ_OP_TASK_MOVE: return move(core, act, ref);
    default: return forget(core, act, ref);
    }
}

/* ---- before and after ---- */

enum jq_reply act_prepare(struct jq_core *core, struct act *act, struct jq_str to, const char **ret_reason) {
    if (act->op != JQ_OP_TASK_MOVE) {
        return JQ_REPLY_OK;
    }
    const enum jq_reply verdict = queue_intern(core, to, &act->queue);
    *ret_reason = verdict == JQ_REPLY_NOT_FOUND ? "not declared" : "queues_max reached";
    return verdict;
}

/* ---- by their ids ---- */

static void except(struct jq_core *core, uint32_t index, jq_task_id task, enum jq_reply status, const char *reason) {
    exception_add(
        core, (struct jq_exception){.index = index, .status = status, .task = task, .reason = reason, .field = "id"});
}

static uint32_t act_on_ids(struct jq_core *core, const struct jq_request *request, const struct act *act) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < request->u.tasks.count; i++) {
        const jq_task_id id = request->u.tasks.ids[i];
        const uint32_t ref = task_find_within(core, &request->reach, id);
        const char *why = ref ? task_act(core, act, ref) : "no such task: never submitted, or forgotten";
        if (why) {
            except(core, i, id,
                   ref == 0                  ? JQ_REPLY_NOT_FOUND
                   : why == replay_line_full ? JQ_REPLY_BUSY
                                             : JQ_REPLY_CONFLICT,
                   why);
        } else {
            count++;
        }
    }
    return count;
}

void tasks_request(struct jq_core *core, const struct jq_request *request) {
    if (request->u.tasks.where) {
        select_request(core, request);
        return;
    }
    if (answered_before(core, request)) {
        return;
    }
    struct act act = {
        .op = request->op, .grace_ms = request->u.tasks.grace_ms, .interval_us = request->u.tasks.interval_us};
    const char *reason = NULL;
    const enum jq_reply verdict = act_prepare(core, &act, request->u.tasks.to, &reason);
    if (verdict != JQ_REPLY_OK) {
        reply_refuse(core, request, verdict, "queue", reason);
        return;
    }
    many_done(core, request, act_on_ids(core, request, &act));
}
