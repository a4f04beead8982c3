/* control.c - what requests that change something by name or by id share: the window, one verdict an item, the answer. And workers. */
#include "broker/core/state.h"

static void reply_with(struct jq_core *core, const struct jq_request *request, uint32_t count, bool selection,
                       uint64_t matched) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .u.many = {.exceptions = core->exceptions,
                                                     .exception_count = core->exception_count,
                                                     .count = count,
                                                     .selection = selection,
                                                     .matched = matched}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

void many_reply(struct jq_core *core, const struct jq_request *request, uint32_t count) {
    reply_with(core, request, count, false, 0);
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
    const bool selection = answer->verdict.op != JQ_OP_QUEUE_SET && answer->verdict.first > 0;
    reply_with(core, request, answer->verdict.count, selection, answer->verdict.first);
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

/* ---- workers ---- */

static void worker_drain(struct jq_core *core, uint32_t index, bool on) {
    struct jq_record record = {.type = JQ_RECORD_WORKER_SET, .u.worker_set = {.worker = index, .draining = on}};
    emit(core, &record);
    struct worker *worker = worker_at(core, index);
    worker->drain_told = false;
    news_name(core, JQ_NEWS_WORKER_DRAINING, worker->name, on);
    if (!worker->profile && !worker->asleep && !on) {
        worker_heard(core, index); /* it may be dead, kept only for being drained: it has one liveness to come back */
    }
    if (worker->poll.call != 0 && worker_has_commands(core, worker)) {
        poll_answer(core, index, 0);
    }
}

/* Of that name there should be one, but machines are cloned: the operator means all of them. */
void worker_drain_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    uint32_t index = worker_of_name(core, request->u.named.name);
    if (index == 0) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "name", "no such worker");
        return;
    }
    uint32_t count = 0;
    for (; index != 0; index = worker_at(core, index)->name_next, count++) {
        worker_drain(core, index, request->u.named.on);
    }
    many_done(core, request, count);
}
