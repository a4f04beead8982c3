/* lease.c - the long poll of a worker: parked until a task fits, a command waits, or its time is up. */
#include <stdlib.h>

#include "broker/core/state.h"

enum { BYTES_MAX = 60 * 1024, COMMANDS_PER_ANSWER_MAX = 500, COMMAND_REPEAT_MS = 1000 };

/* ---- parking ---- */

static void park(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    core->parked = array_grow(core->parked, core->parked_count, &core->parked_capacity, sizeof(*core->parked));
    core->parked[core->parked_count++] = index;
    worker->parked_place = core->parked_count;
    profile_park(core, index);
    JQ_CHECK(jq_heap_put(&core->poll_timers, worker->poll.deadline_ms, index));
}

static void unpark(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    if (worker->parked_place != 0) {
        const uint32_t last = core->parked[--core->parked_count];
        core->parked[worker->parked_place - 1] = last;
        worker_at(core, last)->parked_place = worker->parked_place;
        worker->parked_place = 0;
        profile_unpark(core, index);
        jq_heap_remove(&core->poll_timers, worker->poll_timer);
    }
    worker->poll.call = 0;
}

void poll_drop(struct jq_core *core, uint32_t index) {
    const struct worker *worker = worker_at(core, index);
    if (worker->poll.call != 0) {
        call_drop(core, worker->poll.call);
        unpark(core, index);
    }
}

/* ---- commands ---- */

static void commanded(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    if (!worker->commanded) {
        worker->commanded = true;
        core->commanded =
            array_grow(core->commanded, core->commanded_count, &core->commanded_capacity, sizeof(*core->commanded));
        core->commanded[core->commanded_count++] = index;
    }
}

void commands_flush(struct jq_core *core) {
    for (uint32_t i = 0; i < core->commanded_count; i++) {
        const uint32_t index = core->commanded[i];
        worker_at(core, index)->commanded = false;
        if (worker_at(core, index)->parked_place != 0 && worker_has_commands(core, worker_at(core, index))) {
            poll_answer(core, index, 0);
        }
    }
    core->commanded_count = 0;
}

void worker_command_cancel(struct jq_core *core, uint32_t index, jq_task_id task) {
    struct worker *worker = worker_at(core, index);
    worker->cancels =
        array_grow(worker->cancels, worker->cancel_count, &worker->cancel_capacity, sizeof(*worker->cancels));
    worker->cancels[worker->cancel_count++] = task;
    worker->commands_sent_ms = INT64_MIN;
    commanded(core, index);
}

void worker_command_kill(struct jq_core *core, uint32_t index, const struct jq_held *held) {
    struct worker *worker = worker_at(core, index);
    if (worker->kill_count < COMMANDS_PER_ANSWER_MAX) { /* the rest shows at the next survey */
        worker->kills = array_grow(worker->kills, worker->kill_count, &worker->kill_capacity, sizeof(*worker->kills));
        worker->kills[worker->kill_count++] = *held;
    }
}

/* Tasks that have ended meanwhile need no word any more. */
static void cancels_prune(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < worker->cancel_count; i++) {
        const uint32_t ref = task_find(core, worker->cancels[i]);
        const struct task *task = ref ? task_at(core, ref) : NULL;
        if (task && task->state == JQ_STATE_CANCELLING && lease_at(core, task->lease)->worker == index) {
            worker->cancels[kept++] = worker->cancels[i];
        }
    }
    worker->cancel_count = kept;
}

static bool cancels_are_due(const struct jq_core *core, const struct worker *worker) {
    return worker->cancel_count > 0 &&
           (worker->commands_sent_ms == INT64_MIN || core->now_ms - worker->commands_sent_ms >= COMMAND_REPEAT_MS);
}

bool worker_has_commands(const struct jq_core *core, const struct worker *worker) {
    return cancels_are_due(core, worker) || worker->kill_count > 0 || worker->held_wanted ||
           (worker->draining && !worker->drain_told);
}

static size_t commands_make(struct jq_core *core, uint32_t index, struct jq_command *out) {
    struct worker *worker = worker_at(core, index);
    size_t count = 0;
    if (cancels_are_due(core, worker)) {
        cancels_prune(core, index);
        for (uint32_t i = 0; i < worker->cancel_count && count < COMMANDS_PER_ANSWER_MAX; i++) {
            const struct task *task = task_at(core, task_find(core, worker->cancels[i]));
            const struct side *side = task_side_if(core, task);
            out[count++] = (struct jq_command){.type = JQ_COMMAND_CANCEL,
                                               .task = worker->cancels[i],
                                               .token = {lease_at(core, task->lease)->token},
                                               .grace_ms = side ? side->grace_ms : 0};
        }
        worker->commands_sent_ms = core->now_ms;
    }
    for (uint32_t i = 0; i < worker->kill_count; i++) {
        out[count++] = (struct jq_command){
            .type = JQ_COMMAND_KILL, .task = worker->kills[i].task, .token = worker->kills[i].token};
    }
    worker->kill_count = 0;
    if (worker->draining && !worker->drain_told) {
        worker->drain_told = true;
        out[count++] = (struct jq_command){.type = JQ_COMMAND_DRAIN};
    }
    if (worker->held_wanted) {
        worker->held_wanted = false;
        worker->held_asked = true;
        worker->held_asked_token = core->epoch << TOKEN_COUNTER_BITS | core->next_token;
        out[count++] = (struct jq_command){.type = JQ_COMMAND_SEND_HELD};
    }
    return count;
}

/* ---- answering ---- */

/* The task's own limits; the handler's are the default of the one and the most of the other. */
static void limits_of(const struct jq_core *core, const struct jq_handler_def *handler, const struct task *task,
                      struct jq_lease_item *item) {
    const struct jq_options *options = &core->options[task->options].options;
    item->soft_limit_ms = options->soft_limit_ms;
    item->hard_limit_ms = options->hard_limit_ms;
    if (!handler) {
        return;
    }
    if (item->soft_limit_ms == 0) {
        item->soft_limit_ms = handler->soft_limit_ms;
    }
    if (handler->hard_limit_ms > 0 && (item->hard_limit_ms == 0 || item->hard_limit_ms > handler->hard_limit_ms)) {
        item->hard_limit_ms = handler->hard_limit_ms;
    }
    if (item->hard_limit_ms > 0 && item->soft_limit_ms > item->hard_limit_ms) {
        item->soft_limit_ms = item->hard_limit_ms;
    }
}

static void item_of(struct jq_core *core, const struct worker *worker, const struct lease *lease,
                    struct jq_lease_item *item) {
    const struct task *task = task_at(core, lease->task);
    const struct plan *plan = profile_plan(core, worker->profile, task->class_index);
    *item = (struct jq_lease_item){.task = {task->id},
                                   .token = {lease->token},
                                   .attempt = task->runs,
                                   .queue = core->queues[task->queue].name,
                                   .handler = core->classes[task->class_index].handler,
                                   .body = {task->body_lsn, task->body_size}};
    if (lease->alternative < plan->alternative_count) {
        item->reserved = plan->named + plan->alternatives[lease->alternative].first;
        item->reserved_count = plan->alternatives[lease->alternative].count;
    }
    item->units = units_of(lease);
    item->files = task_files(core, task);
    limits_of(core, plan->handler != UINT32_MAX ? &worker->profile->handlers[plan->handler] : NULL, task, item);
    const struct node *node = node_if(core, task);
    item->after_count = node ? node->edge_count : 0;
}

/* What the tasks of an answer waited for. */
static void items_tell_parents(struct jq_core *core, struct jq_lease_item *items, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += items[i].after_count;
    }
    if (total == 0) {
        return;
    }
    jq_task_id *next = parents_room(core, total);
    for (size_t i = 0; i < count; i++) {
        items[i].after = next;
        next += node_parents(core, task_at(core, task_find(core, items[i].task)), next);
    }
}

/* Leases of the worker from `ref` on with tokens from `first` to `last`. After a restart those that were moved in the log stand
 * behind newer ones: the list has no order. */
static size_t items_make(struct jq_core *core, const struct worker *worker, uint32_t ref, uint64_t first, uint64_t last,
                         struct jq_lease_item *items) {
    size_t count = 0;
    for (; ref != 0 && count < LEASES_PER_ANSWER_MAX; ref = lease_at(core, ref)->next) {
        const uint64_t token = lease_at(core, ref)->token;
        if (token >= first && token <= last) {
            item_of(core, worker, lease_at(core, ref), &items[count++]);
        }
    }
    items_tell_parents(core, items, count);
    return count;
}

static void record_answer(struct jq_core *core, const struct worker *worker, uint32_t report_count) {
    if (worker->gather_count == 0 && report_count == 0) {
        return; /* nothing has changed: asked again, it is simply asked again */
    }
    struct jq_verdict verdict = {.op = JQ_OP_LEASE,
                                 .exceptions = exceptions_pack(core, core->exceptions, core->exception_count)};
    if (worker->gather_count > 0) {
        verdict.first = lease_at(core, worker->gather_first)->token;
        verdict.count = (uint32_t)(lease_at(core, worker->lease_tail)->token - verdict.first + 1);
    }
    window_record(core, &worker->sender, worker->poll.request, worker->poll_done, &verdict);
}

/* `report_count` > 0 only while the request itself is being answered: then core->exceptions are its reports' verdicts. */
void poll_answer(struct jq_core *core, uint32_t index, uint32_t report_count) {
    struct worker *worker = worker_at(core, index);
    struct jq_lease_item items[LEASES_PER_ANSWER_MAX];
    struct jq_command commands[2 * COMMANDS_PER_ANSWER_MAX + 2];
    if (report_count == 0) {
        core->exception_count = 0;
    }
    record_answer(core, worker, report_count);
    const size_t count =
        worker->gather_count ? items_make(core, worker, worker->gather_first, 0, UINT64_MAX, items) : 0;
    const struct jq_reply_effect reply = {.call = worker->poll.call,
                                          .request = worker->poll.request,
                                          .op = JQ_OP_LEASE,
                                          .status = core->stopping ? JQ_REPLY_DRAINING : JQ_REPLY_OK,
                                          .u.lease = {.items = items,
                                                      .count = count,
                                                      .verdicts = core->exceptions,
                                                      .verdict_count = core->exception_count,
                                                      .report_count = report_count,
                                                      .commands = commands,
                                                      .command_count = commands_make(core, index, commands)}};
    worker->gather_count = 0;
    worker->gather_bytes = 0;
    unpark(core, index);
    reply_send(core, &reply, report_count > 0 ? JQ_EFFECT_DURABLE : JQ_EFFECT_WRITTEN);
}

void gathered_flush(struct jq_core *core) {
    for (uint32_t i = 0; i < core->gathering_count; i++) {
        if (worker_at(core, core->gathering[i])->gather_count > 0) {
            poll_answer(core, core->gathering[i], 0);
        }
    }
    core->gathering_count = 0;
}

void polls_expire(struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->poll_timers);
    while (first && first->key <= core->now_ms) {
        poll_answer(core, first->ref, 0);
        first = jq_heap_min(&core->poll_timers);
    }
}

/* ---- the request ---- */

/* The same request again: the leases that it was given and that still stand, and the same verdicts. */
static void lease_again(struct jq_core *core, const struct jq_request *request, uint32_t index,
                        const struct answer *answer) {
    const struct worker *worker = worker_at(core, index);
    struct jq_lease_item items[LEASES_PER_ANSWER_MAX];
    const uint64_t first = answer->verdict.first, last = first + answer->verdict.count;
    const size_t count =
        answer->verdict.count > 0 ? items_make(core, worker, worker->lease_head, first, last - 1, items) : 0;
    core->totals.duplicate_total++;
    exceptions_unpack(core, answer->verdict.exceptions);
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = JQ_OP_LEASE,
                                          .u.lease = {.items = items,
                                                      .count = count,
                                                      .verdicts = core->exceptions,
                                                      .verdict_count = core->exception_count,
                                                      .report_count = (uint32_t)request->u.lease.report_count}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

/* What the worker says is free can only lower the broker's account. */
static void told_take(struct jq_core *core, struct worker *worker, const struct jq_request *request) {
    memcpy(worker->told, worker->profile->totals, sizeof(worker->told));
    for (size_t i = 0; i < request->u.lease.free_count; i++) {
        const uint32_t resource = jq_strmap_get(&core->resource_names, request->u.lease.free[i].name, UINT32_MAX);
        if (resource != UINT32_MAX) {
            worker->told[resource] = (int64_t)request->u.lease.free[i].amount;
        }
    }
}

static void poll_begin(struct jq_core *core, const struct jq_request *request, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    poll_drop(core, index);
    const uint32_t bytes_max = request->u.lease.bytes_max;
    worker->sender = request->sender;
    worker->poll_done = request->done;
    worker->poll = (struct parked){.call = request->call,
                                   .request = request->id,
                                   .pipe = request->pipe,
                                   .want = request->u.lease.want,
                                   .bytes_max = bytes_max > 0 && bytes_max < BYTES_MAX ? bytes_max : BYTES_MAX,
                                   .deadline_ms = core->now_ms + request->u.lease.wait_ms};
    told_take(core, worker, request);
}

/* The worker of a lease or report request; 0 after a refusal. */
uint32_t worker_asking(struct jq_core *core, const struct jq_request *request) {
    const uint32_t index = worker_of_session(core, &request->u.lease.session);
    if (index == 0 || !worker_at(core, index)->profile || worker_at(core, index)->asleep) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "session", "unknown session: register again");
        return 0;
    }
    worker_heard(core, index);
    return index;
}

void lease_request(struct jq_core *core, const struct jq_request *request) {
    const uint32_t index = worker_asking(core, request);
    if (index == 0) {
        return;
    }
    const struct answer *answer = NULL;
    const enum window_verdict seen = window_look(core, request, &answer);
    if (seen == WINDOW_AGAIN) {
        lease_again(core, request, index, answer);
        return;
    }
    if (window_refuses(core, request, seen)) {
        return;
    }
    core->exception_count = 0;
    reports_process(core, index, request->u.lease.reports, request->u.lease.report_count);
    if (request->u.lease.held_given) {
        held_list_check(core, index, request);
    }
    poll_begin(core, request, index);
    if (request->u.lease.sleep) {
        poll_answer(core, index, (uint32_t)request->u.lease.report_count);
        worker_goes(core, index);
        return;
    }
    worker_fill(core, index);
    const struct worker *worker = worker_at(core, index);
    if (worker->gather_count > 0 || request->u.lease.report_count > 0 || core->stopping ||
        request->u.lease.wait_ms <= 0 || worker_has_commands(core, worker) ||
        core->parked_count >= core->config.parked_max) {
        poll_answer(core, index, (uint32_t)request->u.lease.report_count);
    } else {
        park(core, index);
    }
}
