/* flow_stage.c - a flow comes in: begun, staged frame by frame, committed as a whole; or cancelled. */
#include "broker/core/submit.h"

static void stage_reply(struct jq_core *core, const struct jq_request *request, uint64_t flow, uint32_t count,
                        bool unmatched) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .u.stage = {.flow = flow, .count = count, .unmatched = unmatched}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

static void stage_done(struct jq_core *core, const struct jq_request *request, uint64_t flow, uint32_t count,
                       bool unmatched) {
    const struct jq_verdict verdict = {.op = (uint8_t)request->op, .first = flow, .count = count};
    window_record(core, &request->sender, request->id, request->done, &verdict);
    stage_reply(core, request, flow, count, unmatched);
}

/* True: the request has had its answer. */
static bool staged_before(struct jq_core *core, const struct jq_request *request) {
    const struct answer *answer = NULL;
    const enum window_verdict seen = window_look(core, request, &answer);
    if (seen == WINDOW_AGAIN) {
        core->totals.duplicate_total++;
        stage_reply(core, request, answer->verdict.first, answer->verdict.count, false);
        return true;
    }
    if (window_refuses(core, request, seen)) {
        return true;
    }
    if (core->stopping) {
        reply_refuse(core, request, JQ_REPLY_DRAINING, NULL, "the broker is stopping");
        return true;
    }
    return false;
}

static bool broker_is_full(struct jq_core *core, const struct jq_request *request) {
    const char *reason = NULL, *mark = broker_refuses(core, &reason);
    if (mark) {
        reply_refuse(core, request, JQ_REPLY_BUSY, mark, reason);
    }
    return mark != NULL;
}

void flow_begin_request(struct jq_core *core, const struct jq_request *request) {
    if (staged_before(core, request) || broker_is_full(core, request)) {
        return;
    }
    if (core->flows.used_count >= core->config.flows_max) {
        reply_refuse(core, request, JQ_REPLY_BUSY, "limits", "flows_max reached");
        return;
    }
    const struct flow flow = {.first = ids_draw(core, request->u.flow.count).value,
                              .name = request->u.flow.name,
                              .sender = request->sender,
                              .at_ms = core->now_ms,
                              .room = request->u.flow.count,
                              .phase = JQ_FLOW_STAGED};
    struct jq_record record = flow_record(&flow);
    emit(core, &record);
    stage_done(core, request, flow.first, flow.room, false);
}

/* The sender's own staged flow; NULL after a refusal. */
static struct flow *staged_flow(struct jq_core *core, const struct jq_request *request, uint64_t first) {
    struct flow *flow = flow_find(core, first, NULL);
    if (!flow || flow->phase != JQ_FLOW_STAGED || !jq_uuid_equal(&flow->sender, &request->sender)) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "flow",
                     "not staged by this sender: never begun, committed, or dropped after its time");
        return NULL;
    }
    return flow;
}

/* ---- adding ---- */

static bool refuse_add(struct jq_core *core, const struct jq_request *request, size_t index, enum jq_reply status,
                       const char *field, const char *reason) {
    jq_buf_clear(&core->reasons);
    jq_buf_append_format(&core->reasons, "tasks[%zu]%s%s", index, field ? "." : "", field ? field : "");
    jq_buf_append_u8(&core->reasons, '\0');
    JQ_CHECK(!core->reasons.failed);
    reply_refuse(core, request, status, (const char *)core->reasons.data, reason);
    return false;
}

/* All queues of a flow are of one namespace, that of its first task. */
static bool queue_fits(const struct jq_core *core, const struct flow *flow, struct jq_str first, uint16_t queue) {
    for (uint32_t i = 0; i < flow->queue_count; i++) {
        if (flow->queues[i].queue == queue) {
            return true;
        }
    }
    const struct jq_str space = flow->queue_count > 0 ? core->queues[flow->queues[0].queue].name : first;
    return flow->queue_count < FLOW_QUEUES_MAX && same_namespace(space, core->queues[queue].name);
}

/* A task comes after earlier ones of its flow alone: there is no way to write a circle. */
static bool after_fits(const struct jq_submit_item *item, const struct flow *flow, uint64_t id) {
    for (size_t i = 0; i < item->after_count; i++) {
        if (item->after[i].value < flow->first || item->after[i].value >= id) {
            return false;
        }
    }
    return true;
}

static bool check_item(struct jq_core *core, const struct jq_request *request, const struct flow *flow, size_t index,
                       struct batch *batch) {
    const struct jq_submit_item *item = &request->u.submit.items[index];
    if (item->refused != JQ_REPLY_OK) {
        return refuse_add(core, request, index, item->refused, item->field, item->reason);
    }
    if (item->key.size > 0) {
        return refuse_add(core, request, index, JQ_REPLY_INVALID, "key", "the tasks of a flow have none");
    }
    if (!after_fits(item, flow, flow->first + request->u.submit.at + index)) {
        return refuse_add(core, request, index, JQ_REPLY_INVALID, "after", "not only earlier tasks of the flow");
    }
    struct jq_file missing;
    if (!files_are_stored(core, item->files, &missing)) {
        return refuse_add(core, request, index, JQ_REPLY_NOT_FOUND, "inputs", "the blob of one is not stored");
    }
    core->exception_count = 0;
    if (!batch_intern(core, item, (uint32_t)index, batch)) {
        const struct jq_exception *exception = &core->exceptions[0];
        return refuse_add(core, request, index, exception->status, exception->field, exception->reason);
    }
    if (!queue_fits(core, flow, request->u.submit.items[0].queue, batch->queue)) {
        return refuse_add(core, request, index, JQ_REPLY_INVALID, "queue",
                          "of another namespace than the first task's, or one queue more than a flow may have");
    }
    return true;
}

static bool add_fits(struct jq_core *core, const struct jq_request *request, const struct flow *flow) {
    if (request->u.submit.at != flow->total) {
        reply_refuse(core, request, JQ_REPLY_CONFLICT, "at", "not the next place of the flow");
        return false;
    }
    if (request->u.submit.count > flow->room - flow->total) {
        reply_refuse(core, request, JQ_REPLY_INVALID, "tasks", "more than the flow was begun for");
        return false;
    }
    return true;
}

static void stage_item(struct jq_core *core, const struct jq_submit_item *item, const struct batch *batch,
                       const struct flow *flow) {
    struct jq_record record = batch_record(core, item, batch, (jq_task_id){flow->first + flow->total});
    record.u.task_submitted.flow = flow->first;
    emit(core, &record);
}

/* The first pass only looks (and interns), the second stages. A frame that could be staged in part alone, because a table is full, is
 * refused, and its flow cannot be committed any more. */
void flow_add_request(struct jq_core *core, const struct jq_request *request) {
    if (staged_before(core, request) || broker_is_full(core, request)) {
        return;
    }
    const struct flow *flow = staged_flow(core, request, request->u.submit.flow);
    if (!flow || !add_fits(core, request, flow)) {
        return;
    }
    struct batch batch = {0};
    for (size_t i = 0; i < request->u.submit.count; i++) {
        if (!check_item(core, request, flow, i, &batch)) {
            return;
        }
    }
    for (size_t i = 0; i < request->u.submit.count; i++) {
        const struct jq_submit_item *item = &request->u.submit.items[i];
        if (!batch_intern(core, item, (uint32_t)i, &batch)) {
            (void)refuse_add(core, request, i, JQ_REPLY_BUSY, "limits", "a table is full");
            return;
        }
        stage_item(core, item, &batch, flow);
    }
    stage_done(core, request, flow->first, flow->total, batch.unmatched);
}

/* ---- committing ---- */

/* The first queue that has no room for its share, and the mark that it would cross; NULL: all have. What is staged counts by its bytes
 * already. */
static const char *full_queue(struct jq_core *core, const struct flow *flow, uint16_t *ret_queue) {
    const char *mark = NULL;
    for (uint32_t i = 0; i < flow->queue_count && !mark; i++) {
        mark = queue_refuses_many(core, flow->queues[i].queue, flow->queues[i].count);
        *ret_queue = flow->queues[i].queue;
    }
    return mark;
}

static void refuse_full(struct jq_core *core, const struct jq_request *request, const struct queue *queue,
                        const char *mark) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .status = JQ_REPLY_BUSY,
                                          .field = mark,
                                          .reason = "a queue has no room for the whole flow",
                                          .retry_after_ms = queue_retry_ms(core, queue)};
    core->totals.refused_total++;
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

static void submitted(struct jq_core *core, const struct flow *flow) {
    core->totals.submitted_total += flow->total;
    for (uint32_t i = 0; i < flow->queue_count; i++) {
        core->queues[flow->queues[i].queue].submitted_total += flow->queues[i].count;
        (void)queue_note_full(core, flow->queues[i].queue);
    }
}

void flow_commit_request(struct jq_core *core, const struct jq_request *request) {
    if (staged_before(core, request)) {
        return;
    }
    const struct flow *flow = staged_flow(core, request, request->u.flow.flow);
    if (!flow) {
        return;
    }
    if (flow->total == 0 || flow->total != request->u.flow.count) {
        reply_refuse(core, request, JQ_REPLY_CONFLICT, "count",
                     flow->total == 0 ? "the flow has no task" : "not as many as were added");
        return;
    }
    uint16_t full = 0;
    const char *mark = full_queue(core, flow, &full);
    if (mark) {
        refuse_full(core, request, &core->queues[full], mark);
        return;
    }
    struct jq_record record = flow_record(flow);
    record.u.flow_set.phase = JQ_FLOW_COMMITTED;
    record.u.flow_set.at_ms = core->now_ms;
    emit(core, &record);
    submitted(core, flow);
    news_flow(core, JQ_NEWS_FLOW_COMMITTED, flow);
    stage_done(core, request, flow->first, flow->total, false);
}

/* ---- cancelling ---- */

static bool all_final(const struct flow *flow) {
    return flow->counts[FLOW_COUNT_WAITING] + flow->counts[FLOW_COUNT_BLOCKED] + flow->counts[FLOW_COUNT_QUEUED] +
               flow->counts[FLOW_COUNT_RUNNING] ==
           0;
}

void flow_cancel_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    const struct flow *flow = flow_find_within(core, &request->reach, request->u.flow.flow);
    if (!flow || flow->phase == JQ_FLOW_DROPPED) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "flow", "no such flow: never committed, or forgotten");
        return;
    }
    if (flow->phase == JQ_FLOW_STAGED && !jq_uuid_equal(&flow->sender, &request->sender)) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "flow", "no such flow: never committed, or forgotten");
        return;
    }
    if (flow->phase != JQ_FLOW_STAGED && (all_final(flow) || flow->phase == JQ_FLOW_CANCELLED)) {
        reply_refuse(core, request, JQ_REPLY_CONFLICT, "flow", "the flow has ended");
        return;
    }
    struct jq_record record = flow_record(flow);
    record.u.flow_set.phase = (uint8_t)(flow->phase == JQ_FLOW_STAGED ? JQ_FLOW_DROPPED : JQ_FLOW_CANCELLING);
    record.u.flow_set.grace_ms = request->u.flow.grace_ms;
    if (flow->phase != JQ_FLOW_CANCELLING) {
        emit(core, &record);
        news_flow(core, JQ_NEWS_FLOW_CANCELLING, flow);
    }
    many_done(core, request, 1);
}
