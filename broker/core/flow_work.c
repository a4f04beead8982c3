/* flow_work.c - what follows from the end of a task for those that wait for it, and all else that is done to flows in slices. */
#include "broker/core/state.h"

/* ---- edges ---- */

enum wish { WISH_MET, WISH_BLOCKED, WISH_OPEN, WISH_END };

/* What a parent in this state means to those that wait for it `on`. */
static enum wish wish_of(const struct task *parent, uint8_t on) {
    if (!jq_state_is_final(parent->state)) {
        return WISH_OPEN; /* it was dead, and has been replayed */
    }
    if (on == JQ_ON_FINISHED || CANARY(PARENT_IGNORED)) {
        return WISH_MET;
    }
    const bool succeeded = parent->state == JQ_STATE_SUCCEEDED;
    if (on == JQ_ON_FAILED) {
        const bool not_needed = parent->state == JQ_STATE_CANCELLED && parent->outcome == JQ_OUTCOME_NOT_NEEDED;
        return succeeded || not_needed ? WISH_END : WISH_MET;
    }
    if (succeeded) {
        return WISH_MET;
    }
    return parent->state == JQ_STATE_DEAD ? WISH_BLOCKED : WISH_END;
}

bool parent_is_met(const struct task *parent, uint8_t on) {
    return wish_of(parent, on) == WISH_MET;
}

static enum jq_outcome end_of(const struct task *parent, uint8_t on) {
    if (on == JQ_ON_FAILED || parent->outcome == JQ_OUTCOME_NOT_NEEDED) {
        return JQ_OUTCOME_NOT_NEEDED;
    }
    return JQ_OUTCOME_PARENT_FAILED;
}

static void tell_child(struct jq_core *core, const struct task *child, const struct task *parent, enum wish wish) {
    if (child->state == JQ_STATE_READY || child->state == JQ_STATE_SCHEDULED) {
        news_task(core, JQ_NEWS_TASK_READY, child);
    } else if (wish == WISH_BLOCKED) {
        news_parent(core, JQ_NEWS_TASK_BLOCKED, child, parent);
    } else if (wish == WISH_OPEN) {
        news_parent(core, JQ_NEWS_TASK_UNBLOCKED, child, parent);
    }
}

static void decide_edge(struct jq_core *core, const struct task *parent, uint32_t edge_ref) {
    const struct edge *edge = edge_at(core, edge_ref);
    const struct task *child = task_at(core, edge->child);
    const uint8_t on = node_if(core, child)->on;
    const enum wish wish = wish_of(parent, on);
    if (wish == WISH_END) {
        task_end(core, edge->child, JQ_STATE_CANCELLED, end_of(parent, on));
        return;
    }
    static const uint8_t verdicts[] = {
        [WISH_MET] = JQ_EDGE_MET, [WISH_BLOCKED] = JQ_EDGE_BLOCKED, [WISH_OPEN] = JQ_EDGE_OPEN};
    struct jq_record record = {
        .type = JQ_RECORD_EDGE_DECIDED,
        .u.edge_decided = {.task = {child->id}, .parent = parent->id, .verdict = verdicts[wish]}};
    emit(core, &record);
    tell_child(core, child, parent, wish);
}

/* The next edge of the first parent that has work. */
static void decide_next(struct jq_core *core) {
    const struct task *parent = task_at(core, core->nodes_due.head);
    const struct node *node = node_if(core, parent);
    const bool open = jq_state_is_final(parent->state) && node->out_open.head != 0;
    decide_edge(core, parent, open ? node->out_open.head : node->out_blocked.head);
}

/* ---- flows ---- */

static void free_root(struct jq_core *core, uint32_t ref) {
    struct jq_record record = {.type = JQ_RECORD_TASK_FREED, .u.task_freed = {{task_at(core, ref)->id}}};
    emit(core, &record);
    news_task(core, JQ_NEWS_TASK_READY, task_at(core, ref));
    if (task_at(core, ref)->flags & TASK_FLAG_PURE) {
        (void)cache_answers(core, ref, true);
    }
}

/* From the last task to the first: so hardly one is started by the end of another that it waits for. */
static void cancel_next(struct jq_core *core, struct flow *flow) {
    if (flow->cancel_left == 0) {
        struct jq_record record = flow_record(flow);
        record.u.flow_set.phase = JQ_FLOW_CANCELLED;
        emit(core, &record);
        return;
    }
    const uint32_t ref = task_find(core, (jq_task_id){flow->first + --flow->cancel_left});
    if (ref != 0) {
        (void)task_cancel(core, ref, flow->grace_ms);
    }
}

static void forget_flow(struct jq_core *core, const struct flow *flow) {
    news_flow(core, JQ_NEWS_FLOW_FORGOTTEN, flow);
    struct jq_record record = {.type = JQ_RECORD_FLOW_FORGOTTEN, .u.flow_forgotten = {flow->first}};
    emit(core, &record);
}

static void drop_some(struct jq_core *core, const struct flow *flow) {
    if (flow->total == 0) {
        forget_flow(core, flow);
        return;
    }
    const uint32_t keep = flow->total > FLOW_SLICE_COUNT ? flow->total - FLOW_SLICE_COUNT : 0;
    struct jq_record record = {.type = JQ_RECORD_FLOW_CUT, .u.flow_cut = {flow->first, keep}};
    emit(core, &record);
}

/* Returns how much of the slice it took. */
static int work_on_flow(struct jq_core *core, struct flow *flow) {
    if (flow->phase == JQ_FLOW_DROPPED) {
        drop_some(core, flow);
        return FLOW_SLICE_COUNT;
    }
    if (flow->remembered == 0) {
        forget_flow(core, flow);
    } else if (flow->phase == JQ_FLOW_CANCELLING) {
        cancel_next(core, flow);
    } else {
        free_root(core, flow->root_head);
    }
    return 1;
}

/* What was begun and never committed. */
static void stages_expire(struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->flow_timers);
    for (int i = 0; first && first->key <= core->now_ms && i < FLOW_SLICE_COUNT; i++) {
        struct jq_record record = flow_record(flow_at(core, first->ref));
        record.u.flow_set.phase = JQ_FLOW_DROPPED;
        emit(core, &record);
        first = jq_heap_min(&core->flow_timers);
    }
}

void flows_work(struct jq_core *core) {
    stages_expire(core);
    for (int done = 0; core->nodes_due.head != 0 && done < FLOW_SLICE_COUNT; done++) {
        decide_next(core);
    }
    for (int done = 0; core->flows_due.head != 0 && done < FLOW_SLICE_COUNT;) {
        done += work_on_flow(core, flow_at(core, core->flows_due.head));
    }
}

int64_t flows_deadline_ms(const struct jq_core *core) {
    if (core->nodes_due.head != 0 || core->flows_due.head != 0) {
        return core->now_ms;
    }
    const struct jq_heap_entry *first = jq_heap_min(&core->flow_timers);
    return first ? first->key : INT64_MAX;
}
