/* flow.c - flows as the records have them: the table, their tasks, what is counted of them. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

/* ---- the table ---- */

struct flow *flow_find(const struct jq_core *core, uint64_t first, uint32_t *ret_ref) {
    const uint32_t ref = jq_map_get(&core->flow_map, first, 0);
    if (ret_ref) {
        *ret_ref = ref;
    }
    return ref ? flow_at(core, ref) : NULL;
}

uint64_t flow_hash(const struct flow *flow) {
    uint64_t hash = jq_hash_combine(flow->first, jq_hash_bytes(flow->sender.bytes, 16, 0));
    hash = jq_hash_combine(hash, jq_hash_bytes(flow->name.data, flow->name.size, 0));
    hash = jq_hash_combine(hash, (uint64_t)flow->at_ms);
    hash = jq_hash_combine(hash, (uint64_t)flow->room << 32 | flow->total);
    return jq_hash_combine(hash, (uint64_t)flow->grace_ms << 8 | flow->phase);
}

struct jq_record flow_record(const struct flow *flow) {
    return (struct jq_record){.type = JQ_RECORD_FLOW_SET,
                              .u.flow_set = {.flow = flow->first,
                                             .phase = flow->phase,
                                             .room = flow->room,
                                             .total = flow->total,
                                             .at_ms = flow->at_ms,
                                             .grace_ms = flow->grace_ms,
                                             .sender = flow->sender,
                                             .name = flow->name}};
}

static uint32_t flow_make(struct jq_core *core, const struct jq_record *record) {
    const uint32_t ref = jq_slab_take(&core->flows);
    struct flow *flow = flow_at(core, ref);
    flow->first = record->u.flow_set.flow;
    flow->name = text_copy(record->u.flow_set.name);
    flow->prev = core->flow_tail;
    if (core->flow_tail != 0) {
        flow_at(core, core->flow_tail)->next = ref;
    } else {
        core->flow_head = ref;
    }
    core->flow_tail = ref;
    core->extra_bytes += flow->name.size;
    JQ_CHECK(jq_map_put(&core->flow_map, flow->first, ref));
    return ref;
}

static void flow_free(struct flow *flow) {
    free((char *)(uintptr_t)flow->name.data);
    free(flow->queues);
}

static void flow_remove(struct jq_core *core, uint32_t ref) {
    struct flow *flow = flow_at(core, ref);
    if (flow->prev != 0) {
        flow_at(core, flow->prev)->next = flow->next;
    } else {
        core->flow_head = flow->next;
    }
    if (flow->next != 0) {
        flow_at(core, flow->next)->prev = flow->prev;
    } else {
        core->flow_tail = flow->prev;
    }
    core->extra_bytes -= flow->name.size;
    JQ_CHECK(jq_map_remove(&core->flow_map, flow->first));
    flow_free(flow);
    jq_slab_give(&core->flows, ref);
}

void flows_free(struct jq_core *core) {
    for (uint32_t ref = core->flow_head; ref != 0; ref = flow_at(core, ref)->next) {
        flow_free(flow_at(core, ref));
    }
}

/* ---- flows with something to do ---- */

static bool has_work(const struct flow *flow) {
    switch ((enum jq_flow_phase)flow->phase) {
    case JQ_FLOW_STAGED: return false;
    case JQ_FLOW_DROPPED:
    case JQ_FLOW_CANCELLING: return true;
    case JQ_FLOW_COMMITTED:
    case JQ_FLOW_CANCELLED: break;
    }
    return flow->remembered == 0 || flow->root_head != 0;
}

static void due_add(struct jq_core *core, uint32_t ref, struct flow *flow) {
    flow->due_prev = core->flows_due.tail;
    flow->due_next = 0;
    if (core->flows_due.tail != 0) {
        flow_at(core, core->flows_due.tail)->due_next = ref;
    } else {
        core->flows_due.head = ref;
    }
    core->flows_due.tail = ref;
    flow->due = true;
}

static void due_remove(struct jq_core *core, struct flow *flow) {
    if (flow->due_prev != 0) {
        flow_at(core, flow->due_prev)->due_next = flow->due_next;
    } else {
        core->flows_due.head = flow->due_next;
    }
    if (flow->due_next != 0) {
        flow_at(core, flow->due_next)->due_prev = flow->due_prev;
    } else {
        core->flows_due.tail = flow->due_prev;
    }
    flow->due = false;
}

static void flow_note(struct jq_core *core, uint32_t ref) {
    struct flow *flow = flow_at(core, ref);
    const bool due = has_work(flow);
    if (due && !flow->due) {
        due_add(core, ref, flow);
    } else if (!due && flow->due) {
        due_remove(core, flow);
    }
}

/* ---- its tasks ---- */

static void queue_count(struct flow *flow, uint16_t queue, int by) {
    for (uint32_t i = 0; i < flow->queue_count; i++) {
        if (flow->queues[i].queue == queue) {
            flow->queues[i].count = (uint32_t)((int64_t)flow->queues[i].count + by);
            return;
        }
    }
    JQ_CHECK(by > 0);
    flow->queues = array_grow(flow->queues, flow->queue_count, &flow->queue_capacity, sizeof(*flow->queues));
    flow->queues[flow->queue_count++] = (struct flow_queue){queue, 1};
}

static void root_add(struct jq_core *core, struct flow *flow, uint32_t ref) {
    struct node *node = node_if(core, task_at(core, ref));
    node->prev = flow->root_tail;
    node->next = 0;
    if (flow->root_tail != 0) {
        node_if(core, task_at(core, flow->root_tail))->next = ref;
    } else {
        flow->root_head = ref;
    }
    flow->root_tail = ref;
    node->root = true;
}

void roots_remove(struct jq_core *core, uint32_t ref) {
    struct node *node = node_if(core, task_at(core, ref));
    if (!node || !node->root) {
        return;
    }
    struct flow *flow = flow_at(core, node->flow);
    if (node->prev != 0) {
        node_if(core, task_at(core, node->prev))->next = node->next;
    } else {
        flow->root_head = node->next;
    }
    if (node->next != 0) {
        node_if(core, task_at(core, node->next))->prev = node->prev;
    } else {
        flow->root_tail = node->prev;
    }
    node->prev = 0;
    node->next = 0;
    node->root = false;
    flow_note(core, node->flow);
}

enum jq_err flow_join(struct jq_core *core, uint32_t ref, uint64_t first, struct jq_error *reterr) {
    const struct task *task = task_at(core, ref);
    uint32_t flow_ref = 0;
    struct flow *flow = flow_find(core, first, &flow_ref);
    if (!flow || flow->phase != JQ_FLOW_STAGED || task->id != first + flow->total || flow->total == flow->room) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "task %llu: not the next of a flow that is staged",
                       (unsigned long long)task->id);
    }
    node_make(core, ref);
    node_if(core, task)->flow = flow_ref;
    core->digest -= flow_hash(flow);
    flow->total++;
    core->digest += flow_hash(flow);
    flow->remembered++;
    if (node_if(core, task)->undecided == 0) {
        root_add(core, flow, ref);
    }
    return JQ_OK;
}

/* A task that was moved in the log, and that a replay sees for the first time. `waits`: it has not been freed. */
enum jq_err flow_rejoin(struct jq_core *core, uint32_t ref, uint64_t first, bool waits, struct jq_error *reterr) {
    const struct task *task = task_at(core, ref);
    uint32_t flow_ref = 0;
    struct flow *flow = flow_find(core, first, &flow_ref);
    if (!flow || task->id < first || task->id - first >= flow->total) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "task %llu: moved, but not of that flow", (unsigned long long)task->id);
    }
    node_make(core, ref);
    node_if(core, task)->flow = flow_ref;
    flow->remembered++;
    if (waits && node_if(core, task)->undecided == 0) {
        root_add(core, flow, ref);
    }
    flow_note(core, flow_ref);
    return JQ_OK;
}

static enum flow_count count_of(const struct task *task) {
    switch ((enum jq_state)task->state) {
    case JQ_STATE_NONE:
    case JQ_STATE_WAITING: return FLOW_COUNT_WAITING;
    case JQ_STATE_BLOCKED: return FLOW_COUNT_BLOCKED;
    case JQ_STATE_HELD:
    case JQ_STATE_SCHEDULED:
    case JQ_STATE_READY: return FLOW_COUNT_QUEUED;
    case JQ_STATE_RUNNING:
    case JQ_STATE_CANCELLING: return FLOW_COUNT_RUNNING;
    case JQ_STATE_SUCCEEDED: return FLOW_COUNT_SUCCEEDED;
    case JQ_STATE_DEAD: return FLOW_COUNT_DEAD;
    case JQ_STATE_EXPIRED: return FLOW_COUNT_EXPIRED;
    case JQ_STATE_CANCELLED: break;
    }
    return task->outcome == JQ_OUTCOME_NOT_NEEDED ? FLOW_COUNT_NOT_NEEDED : FLOW_COUNT_CANCELLED;
}

/* Those who wait for it are to be looked at after this step. */
static void flow_changed(struct jq_core *core, struct flow *flow) {
    if (flow->waits > 0 && !flow->changed) {
        flow->changed = true;
        core->flows_changed = array_grow(core->flows_changed, core->flows_changed_count, &core->flows_changed_capacity,
                                         sizeof(*core->flows_changed));
        core->flows_changed[core->flows_changed_count++] = flow->first;
    }
}

void flow_count_node(struct jq_core *core, const struct task *task, int by) {
    const struct node *node = node_if(core, task);
    if (node->flow == 0) {
        return;
    }
    struct flow *flow = flow_at(core, node->flow);
    uint32_t *count = &flow->counts[count_of(task)];
    *count = (uint32_t)((int64_t)*count + by);
    queue_count(flow, task->queue, by);
    flow_changed(core, flow);
}

void flow_leave(struct jq_core *core, uint32_t ref) {
    struct node *node = node_if(core, task_at(core, ref));
    if (node && node->flow != 0) {
        const uint32_t flow = node->flow;
        flow_at(core, flow)->remembered--;
        node->flow = 0;
        flow_note(core, flow);
    }
}

bool flow_has_ended(const struct flow *flow) {
    const uint32_t *counts = flow->counts;
    if (counts[FLOW_COUNT_QUEUED] + counts[FLOW_COUNT_RUNNING] > 0) {
        return false;
    }
    return counts[FLOW_COUNT_BLOCKED] > 0 || counts[FLOW_COUNT_WAITING] == 0;
}

/* ---- records ---- */

/* Its tasks are seen from now on: they wait in their queues. */
static void flow_uncover(struct jq_core *core, const struct flow *flow) {
    for (uint32_t i = 0; i < flow->queue_count; i++) {
        core->queues[flow->queues[i].queue].waiting += flow->queues[i].count;
        core->waiting_count += flow->queues[i].count;
    }
}

static void timer_follow(struct jq_core *core, uint32_t ref) {
    const struct flow *flow = flow_at(core, ref);
    if (flow->phase == JQ_FLOW_STAGED && flow->timer == 0) {
        JQ_CHECK(jq_heap_put(&core->flow_timers, flow->at_ms + core->config.flow_stage_ms, ref));
    } else if (flow->phase != JQ_FLOW_STAGED && flow->timer != 0) {
        jq_heap_remove(&core->flow_timers, flow->timer);
    }
}

static enum jq_err apply_set(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    uint32_t ref = 0;
    const bool known = flow_find(core, record->u.flow_set.flow, &ref) != NULL;
    if (!known && !core->partial && (record->u.flow_set.phase != JQ_FLOW_STAGED || record->u.flow_set.total > 0)) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "flow %llu: set but never begun",
                       (unsigned long long)record->u.flow_set.flow);
    }
    ref = known ? ref : flow_make(core, record);
    struct flow *flow = flow_at(core, ref);
    core->digest -= known ? flow_hash(flow) : 0;
    const uint8_t before = flow->phase;
    flow->phase = record->u.flow_set.phase;
    flow->sender = record->u.flow_set.sender;
    flow->at_ms = record->u.flow_set.at_ms;
    flow->room = record->u.flow_set.room;
    flow->total = record->u.flow_set.total;
    flow->grace_ms = record->u.flow_set.grace_ms;
    core->digest += flow_hash(flow);
    if (before == JQ_FLOW_STAGED && flow->phase == JQ_FLOW_COMMITTED) {
        flow_uncover(core, flow);
    }
    if (before != JQ_FLOW_CANCELLING && flow->phase == JQ_FLOW_CANCELLING) {
        flow->cancel_left = flow->total;
    }
    flow_changed(core, flow);
    timer_follow(core, ref);
    flow_note(core, ref);
    return JQ_OK;
}

static void apply_cut(struct jq_core *core, struct flow *flow, uint32_t keep) {
    core->digest -= flow_hash(flow);
    while (flow->total > keep) {
        const uint32_t ref = task_find_any(core, (jq_task_id){flow->first + --flow->total});
        if (ref != 0) {
            task_drop(core, ref);
        }
    }
    core->digest += flow_hash(flow);
}

enum jq_err apply_flow_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    if (record->type == JQ_RECORD_FLOW_SET) {
        return apply_set(core, record, reterr);
    }
    uint32_t ref = 0;
    struct flow *flow = flow_find(core, record->u.flow_cut.flow, &ref); /* the first field of both */
    const bool cut = record->type == JQ_RECORD_FLOW_CUT;
    if (!flow && core->partial) {
        return JQ_OK;
    }
    if (!flow || (cut ? flow->phase != JQ_FLOW_DROPPED : flow->remembered > 0 || flow->phase == JQ_FLOW_STAGED)) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "record type %d does not fit flow %llu", (int)record->type,
                       (unsigned long long)record->u.flow_cut.flow);
    }
    if (cut) {
        apply_cut(core, flow, record->u.flow_cut.keep);
        return JQ_OK;
    }
    core->digest -= flow_hash(flow);
    if (flow->due) {
        due_remove(core, flow);
    }
    flow_changed(core, flow);
    flow_remove(core, ref);
    return JQ_OK;
}
