/* flow_wait.c - clients that wait for flows: a long poll, answered when nothing of the flow will move by itself any more. */
#include "broker/core/state.h"

/* A flow that is not known has a row of state "none". */
static void wait_reply(struct jq_core *core, const struct flow_wait *wait, enum jq_reply status) {
    const struct flow *flow = flow_find_within(core, &wait->reach, wait->flow);
    struct jq_flow_row row = {.flow = wait->flow, .state = "none"};
    if (flow && flow->phase > JQ_FLOW_DROPPED) {
        flow_row(core, flow, &row);
    }
    const struct jq_reply_effect reply = {.call = wait->call,
                                          .request = wait->request,
                                          .op = JQ_OP_FLOW_WAIT,
                                          .status = status,
                                          .u.flows = {.rows = &row, .count = 1}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

static bool is_over(const struct flow *flow) {
    return flow->phase != JQ_FLOW_CANCELLING && flow_has_ended(flow);
}

void flow_wait_request(struct jq_core *core, const struct jq_request *request) {
    struct flow *flow = flow_find_within(core, &request->reach, request->u.flow.flow);
    const struct flow_wait wait = {.call = request->call,
                                   .request = request->id,
                                   .pipe = request->pipe,
                                   .flow = request->u.flow.flow,
                                   .reach = request->reach,
                                   .deadline_ms = core->now_ms + request->u.flow.wait_ms};
    const bool known = flow && flow->phase > JQ_FLOW_DROPPED;
    if (!known || is_over(flow) || request->u.flow.wait_ms <= 0 || core->stopping ||
        core->flow_wait_count >= core->config.parked_max) {
        wait_reply(core, &wait, JQ_REPLY_OK);
        return;
    }
    core->flow_waits =
        array_grow(core->flow_waits, core->flow_wait_count, &core->flow_wait_capacity, sizeof(*core->flow_waits));
    core->flow_waits[core->flow_wait_count++] = wait;
    flow->waits++;
    if (core->flow_wait_count == 1 || wait.deadline_ms < core->flow_wait_next_ms) {
        core->flow_wait_next_ms = wait.deadline_ms;
    }
}

static void wait_remove(struct jq_core *core, uint32_t at) {
    struct flow *flow = flow_find(core, core->flow_waits[at].flow, NULL);
    if (flow) {
        flow->waits--;
    }
    core->flow_waits[at] = core->flow_waits[--core->flow_wait_count];
}

static void wait_answer(struct jq_core *core, uint32_t at, enum jq_reply status) {
    wait_reply(core, &core->flow_waits[at], status);
    wait_remove(core, at);
}

/* Looks at the waits only in a step in which a flow that somebody waits for has changed, or some time is up. */
static void waits_look(struct jq_core *core) {
    int64_t next_ms = INT64_MAX;
    for (uint32_t i = core->flow_wait_count; i > 0; i--) {
        const struct flow_wait *wait = &core->flow_waits[i - 1];
        const struct flow *flow = flow_find(core, wait->flow, NULL);
        if (!flow || is_over(flow) || wait->deadline_ms <= core->now_ms) {
            wait_answer(core, i - 1, JQ_REPLY_OK);
        } else if (wait->deadline_ms < next_ms) {
            next_ms = wait->deadline_ms;
        }
    }
    core->flow_wait_next_ms = next_ms;
}

static bool some_are_over(struct jq_core *core) {
    bool over = false;
    for (uint32_t i = 0; i < core->flows_changed_count; i++) {
        struct flow *flow = flow_find(core, core->flows_changed[i], NULL);
        if (flow) {
            flow->changed = false;
        }
        over |= !flow || is_over(flow);
    }
    core->flows_changed_count = 0;
    return over;
}

void flow_waits_step(struct jq_core *core) {
    if (core->flow_wait_count > 0 && (some_are_over(core) || flow_waits_deadline_ms(core) <= core->now_ms)) {
        waits_look(core);
    }
}

void flow_waits_drop_pipe(struct jq_core *core, uint64_t pipe) {
    for (uint32_t i = core->flow_wait_count; i > 0; i--) {
        if (core->flow_waits[i - 1].pipe == pipe) {
            call_drop(core, core->flow_waits[i - 1].call);
            wait_remove(core, i - 1);
        }
    }
}

void flow_waits_stop(struct jq_core *core) {
    while (core->flow_wait_count > 0) {
        wait_answer(core, 0, JQ_REPLY_DRAINING);
    }
}

/* At the latest: the wait that it belongs to may have gone. */
int64_t flow_waits_deadline_ms(const struct jq_core *core) {
    return core->flow_wait_count > 0 ? core->flow_wait_next_ms : INT64_MAX;
}
