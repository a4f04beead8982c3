/* flow_query.c - reading: flows, and the tasks of one. */
#include <stdlib.h>

#include "broker/core/state.h"

enum { MEMBERS_MAX = 500, PARENTS_MAX = 4000, FLOW_ROWS_MAX = 200, FLOWS_SCANNED_MAX = 10000 };

static const char *state_of(const struct flow *flow) {
    const uint32_t *counts = flow->counts;
    if (flow->phase <= JQ_FLOW_DROPPED) {
        return "staged";
    }
    if (flow->phase == JQ_FLOW_CANCELLING) {
        return "cancelling";
    }
    if (!flow_has_ended(flow)) {
        return "running";
    }
    if (counts[FLOW_COUNT_BLOCKED] > 0) {
        return "blocked";
    }
    if (flow->phase == JQ_FLOW_CANCELLED) {
        return "cancelled";
    }
    const bool failed = counts[FLOW_COUNT_DEAD] + counts[FLOW_COUNT_CANCELLED] + counts[FLOW_COUNT_EXPIRED] > 0;
    return failed ? "failed" : "succeeded";
}

void flow_row(const struct jq_core *core, const struct flow *flow, struct jq_flow_row *ret_row) {
    *ret_row = (struct jq_flow_row){.flow = flow->first,
                                    .name = flow->name,
                                    .state = state_of(flow),
                                    .at_ms = flow->at_ms,
                                    .wall_offset_ms = core->wall_ms - core->now_ms,
                                    .total = flow->total,
                                    .waiting = flow->counts[FLOW_COUNT_WAITING],
                                    .blocked = flow->counts[FLOW_COUNT_BLOCKED],
                                    .queued = flow->counts[FLOW_COUNT_QUEUED],
                                    .running = flow->counts[FLOW_COUNT_RUNNING],
                                    .succeeded = flow->counts[FLOW_COUNT_SUCCEEDED],
                                    .dead = flow->counts[FLOW_COUNT_DEAD],
                                    .cancelled = flow->counts[FLOW_COUNT_CANCELLED],
                                    .expired = flow->counts[FLOW_COUNT_EXPIRED],
                                    .not_needed = flow->counts[FLOW_COUNT_NOT_NEEDED]};
}

/* ---- flow.show: a page of its tasks, in their order ---- */

struct page {
    struct jq_member_row *members;
    size_t count;
    size_t parents;
    uint32_t next; /* place behind the last */
};

static void member_row(const struct jq_core *core, const struct task *task, struct jq_member_row *row) {
    const struct node *node = node_if(core, task);
    *row = (struct jq_member_row){.id = {task->id},
                                  .state = (enum jq_state)task->state,
                                  .outcome = (enum jq_outcome)task->outcome,
                                  .on = node->on,
                                  .handler = core->classes[task->class_index].handler,
                                  .after_count = node->edge_count};
}

static void page_fill(struct jq_core *core, const struct flow *flow, uint32_t limit, struct page *page) {
    for (; page->next < flow->total && page->count < limit && page->parents < PARENTS_MAX; page->next++) {
        const uint32_t ref = task_find(core, (jq_task_id){flow->first + page->next});
        if (ref != 0) {
            struct jq_member_row *row = &page->members[page->count++];
            member_row(core, task_at(core, ref), row);
            page->parents += row->after_count;
        }
    }
    jq_task_id *next = parents_room(core, page->parents);
    for (size_t i = 0; i < page->count; i++) {
        page->members[i].after = next;
        next += node_parents(core, task_at(core, task_find(core, page->members[i].id)), next);
    }
}

static const struct flow *visible_flow(struct jq_core *core, const struct jq_request *request) {
    const struct flow *flow = flow_find_within(core, &request->reach, request->u.flow.flow);
    if (!flow || flow->phase <= JQ_FLOW_DROPPED) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "flow", "no such flow: never committed, or forgotten");
        return NULL;
    }
    return flow;
}

static void flows_reply(struct jq_core *core, const struct jq_request *request, const struct jq_flow_row *rows,
                        size_t count, const struct page *page, uint64_t next) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .u.flows = {.rows = rows,
                                                      .count = count,
                                                      .members = page ? page->members : NULL,
                                                      .member_count = page ? page->count : 0,
                                                      .next = next}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

void flow_show_request(struct jq_core *core, const struct jq_request *request) {
    const struct flow *flow = visible_flow(core, request);
    if (!flow) {
        return;
    }
    struct jq_member_row members[MEMBERS_MAX];
    const uint32_t limit = request->u.flow.limit < MEMBERS_MAX ? request->u.flow.limit : MEMBERS_MAX;
    struct page page = {.members = members, .next = request->u.flow.at};
    struct jq_flow_row row;
    page_fill(core, flow, limit, &page);
    flow_row(core, flow, &row);
    flows_reply(core, request, &row, 1, &page, limit > 0 && page.next < flow->total ? page.next : 0);
}

/* ---- flow.ls: in the order of their ids ---- */

static uint32_t first_after(const struct jq_core *core, uint64_t after) {
    uint32_t ref = 0;
    if (after != 0 && flow_find(core, after, &ref)) {
        return flow_at(core, ref)->next;
    }
    for (ref = core->flow_head; ref != 0 && flow_at(core, ref)->first <= after;) {
        ref = flow_at(core, ref)->next; /* rare: that flow was forgotten between two pages */
    }
    return ref;
}

void flow_ls_request(struct jq_core *core, const struct jq_request *request) {
    struct jq_flow_row rows[FLOW_ROWS_MAX];
    const uint32_t asked = request->u.flow.limit;
    const size_t limit = asked > 0 && asked < FLOW_ROWS_MAX ? asked : FLOW_ROWS_MAX;
    size_t count = 0;
    uint64_t last = 0;
    uint32_t ref = first_after(core, request->u.flow.flow);
    for (int scanned = 0; ref != 0 && count < limit && scanned < FLOWS_SCANNED_MAX; scanned++) {
        const struct flow *flow = flow_at(core, ref);
        if (flow->phase > JQ_FLOW_DROPPED && reach_has_flow(core, &request->reach, flow)) {
            flow_row(core, flow, &rows[count++]);
        }
        last = flow->first;
        ref = flow->next;
    }
    flows_reply(core, request, rows, count, NULL, ref != 0 ? last : 0);
}
