/* sim_ties.c - tasks that wait for others, and flows: the oracle's fold of their records, and what must hold of them. */
#include <inttypes.h>

#include "common/buf.h"
#include "tests/sim/sim.h"

enum { ENDED_SUCCEEDED = 1u << JQ_STATE_SUCCEEDED };

/* ---- fold ---- */

static struct sim_flow *flow_of(struct sim *sim, uint64_t id) {
    struct sim_oracle *oracle = &sim->oracle;
    for (uint32_t i = oracle->flow_count; i > 0; i--) {
        if (oracle->flows[i - 1].id == id) {
            return &oracle->flows[i - 1];
        }
    }
    oracle->flows = oracle_grown(oracle->flows, oracle->flow_count, &oracle->flow_capacity, sizeof(*oracle->flows));
    oracle->flows[oracle->flow_count] = (struct sim_flow){.id = id};
    return &oracle->flows[oracle->flow_count++];
}

void ties_submitted(struct sim *sim, struct sim_task *task, const struct jq_record *record) {
    struct jq_reader in = jq_reader_of(record->u.task_submitted.after);
    task->on = record->u.task_submitted.on;
    task->flow = record->u.task_submitted.flow;
    task->parent_count = task->met = 0;
    while (!in.failed && in.at < in.end && task->parent_count < SIM_AFTER_MAX) {
        const uint64_t packed = jq_read_varint(&in);
        task->met |= (uint32_t)(packed & 1) << task->parent_count;
        task->parents[task->parent_count++] = task->id - (packed >> 1);
    }
    const bool waits = task->met != (1u << task->parent_count) - 1;
    oracle_enter(sim, task, task->flow != 0 ? SIM_STAGED : waits ? SIM_WAITING : SIM_QUEUED);
}

static void set_free(struct sim *sim, struct sim_task *task, int64_t now_ms) {
    oracle_leave(sim, task);
    if (!task->eta) {
        task->ready_ms = task->ready_ms > now_ms ? task->ready_ms : now_ms;
        task->first_ready_ms = task->ready_ms;
    }
    oracle_enter(sim, task, SIM_QUEUED);
}

/* A word on what it waits for comes only when its flow is committed, be that before the log's beginning. */
static void committed_before(struct sim *sim, struct sim_task *task) {
    if (task->place == SIM_STAGED) {
        oracle_leave(sim, task);
        oracle_enter(sim, task, SIM_WAITING);
    }
}

static void edge_decided(struct sim *sim, const struct jq_record *record) {
    struct sim_task *task = oracle_task(sim, record->u.edge_decided.task.value);
    committed_before(sim, task);
    for (uint32_t i = 0; i < task->parent_count; i++) {
        if (task->parents[i] == record->u.edge_decided.parent) {
            const bool met = record->u.edge_decided.verdict == JQ_EDGE_MET;
            task->met = (task->met & ~(1u << i)) | (uint32_t)met << i;
        }
    }
    if (task->place == SIM_WAITING && task->met == (1u << task->parent_count) - 1) {
        set_free(sim, task, record->time_ms);
    }
}

/* The tasks of a flow from `from` on. */
static void members(struct sim *sim, uint64_t flow, uint64_t from, enum sim_place place) {
    for (uint32_t i = 0; i < sim->oracle.task_count; i++) {
        struct sim_task *task = &sim->oracle.tasks[i];
        if (task->flow == flow && task->place == SIM_STAGED && task->id >= from) {
            oracle_leave(sim, task);
            if (place == SIM_GONE) {
                move_gone(sim, task);
            }
            oracle_enter(sim, task, place);
        }
    }
}

bool ties_committed(struct sim *sim, uint64_t flow) {
    return flow_of(sim, flow)->phase >= JQ_FLOW_COMMITTED;
}

static void flow_set(struct sim *sim, const struct jq_record *record) {
    struct sim_flow *flow = flow_of(sim, record->u.flow_set.flow);
    const bool was_committed = flow->phase >= JQ_FLOW_COMMITTED;
    flow->phase = record->u.flow_set.phase;
    flow->total = record->u.flow_set.total;
    if (flow->phase >= JQ_FLOW_COMMITTED && !was_committed) {
        members(sim, flow->id, 0, SIM_WAITING);
    }
}

void ties_record(struct sim *sim, const struct jq_record *record) {
    switch (record->type) {
    case JQ_RECORD_EDGE_DECIDED: edge_decided(sim, record); break;
    case JQ_RECORD_TASK_FREED: {
        struct sim_task *task = oracle_task(sim, record->u.task_freed.task.value);
        committed_before(sim, task);
        if (task->place == SIM_WAITING) {
            set_free(sim, task, record->time_ms);
        }
        break;
    }
    case JQ_RECORD_FLOW_SET: flow_set(sim, record); break;
    case JQ_RECORD_FLOW_CUT:
        members(sim, record->u.flow_cut.flow, record->u.flow_cut.flow + record->u.flow_cut.keep, SIM_GONE);
        break;
    default: break;
    }
}

/* ---- what must hold ---- */

/* Each parent has ended as the task wants it, at some time. */
void ties_check_leased(struct sim *sim, const struct sim_task *task) {
    for (uint32_t i = 0; i < task->parent_count; i++) {
        const uint32_t ended_as = oracle_task(sim, task->parents[i])->ended_as;
        const bool good = task->on == JQ_ON_SUCCEEDED ? ended_as & ENDED_SUCCEEDED
                          : task->on == JQ_ON_FAILED  ? ended_as & ~(uint32_t)ENDED_SUCCEEDED
                                                      : ended_as != 0;
        if (!good) {
            sim_fail(sim, "task %" PRIu64 " is leased before task %" PRIu64 ", which it waits for, has %s", task->id,
                     task->parents[i], jq_on_name((enum jq_on)task->on));
        }
    }
}

static void check_flow_set(struct sim *sim, const struct jq_record *record) {
    const struct sim_flow *flow = flow_of(sim, record->u.flow_set.flow);
    const uint32_t phase = record->u.flow_set.phase;
    const bool was_committed = flow->phase >= JQ_FLOW_COMMITTED, is_committed = phase >= JQ_FLOW_COMMITTED;
    if (flow->phase != 0 && was_committed && !is_committed) {
        sim_fail(sim, "flow %" PRIu64 " was committed, and is taken back", flow->id);
    }
    if (flow->phase == JQ_FLOW_DROPPED && is_committed) {
        sim_fail(sim, "flow %" PRIu64 " was dropped, and is committed", flow->id);
    }
}

void ties_check(struct sim *sim, const struct jq_record *record) {
    if (record->type == JQ_RECORD_FLOW_SET) {
        check_flow_set(sim, record);
    } else if (record->type == JQ_RECORD_FLOW_CUT && flow_of(sim, record->u.flow_cut.flow)->acknowledged) {
        sim_fail(sim, "flow %" PRIu64 " was committed and acknowledged, and loses tasks", record->u.flow_cut.flow);
    } else if (record->type == JQ_RECORD_TASK_FREED || record->type == JQ_RECORD_EDGE_DECIDED) {
        const struct sim_task *task = oracle_task(sim, record->u.task_freed.task.value);
        if (task->place != SIM_WAITING) {
            sim_fail(sim, "task %" PRIu64 " does not wait, but a word comes on what it waits for", task->id);
        }
    }
}

/* Nothing it waits for is dead (that has a name: blocked): then something must still happen to it. */
static bool find_stuck(struct sim *sim, const struct sim_task *task) {
    for (uint32_t i = 0; i < task->parent_count; i++) {
        const uint32_t at = jq_map_get(&sim->oracle.by_id, task->parents[i], UINT32_MAX);
        struct sim_task *parent = at != UINT32_MAX ? &sim->oracle.tasks[at] : NULL;
        const bool dead = parent && parent->place == SIM_FINAL && parent->state == JQ_STATE_DEAD;
        const bool blocked = parent && parent->place == SIM_WAITING && !ties_stuck(sim, parent);
        if (dead || blocked) {
            return false;
        }
    }
    return true;
}

/* Found out once a look: there are more ways through a mesh of tasks than tasks. */
bool ties_stuck(struct sim *sim, struct sim_task *task) {
    if (task->looked_at != sim->oracle.looks) {
        task->stuck = find_stuck(sim, task);
        task->looked_at = sim->oracle.looks;
    }
    return task->stuck;
}

void ties_acknowledged(struct sim *sim, uint64_t flow, uint32_t count) {
    flow_of(sim, flow)->acknowledged = true;
    for (uint64_t i = 0; i < count; i++) {
        oracle_task(sim, flow + i)->acknowledged = true;
    }
}

void ties_promises(struct sim *sim) {
    for (uint32_t i = 0; i < sim->oracle.flow_count; i++) {
        const struct sim_flow *flow = &sim->oracle.flows[i];
        if (flow->acknowledged && (flow->phase == JQ_FLOW_STAGED || flow->phase == JQ_FLOW_DROPPED)) {
            sim_fail(sim, "flow %" PRIu64 " was committed and acknowledged, and is not", flow->id);
        }
    }
}
