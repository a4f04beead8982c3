/* sim_orders.c - what operators do to tasks, by ids or by a selection: nothing is held, released, moved or replayed that nobody named,
 * and a selection that says it is done has left nobody out. */
#include <inttypes.h>

#include "tests/sim/sim.h"

/* ---- what a selection sees of a task ---- */

static enum jq_state state_of(const struct sim_task *task, int64_t now_ms) {
    if (task->place == SIM_FINAL) {
        return task->state;
    }
    if (task->place == SIM_LEASED) {
        return JQ_STATE_RUNNING;
    }
    if (task->held) {
        return JQ_STATE_HELD;
    }
    if (task->place == SIM_WAITING) {
        return JQ_STATE_WAITING;
    }
    return task->eta || task->ready_ms > now_ms ? JQ_STATE_SCHEDULED : JQ_STATE_READY;
}

static bool matches(const struct sim *sim, const struct sim_task *task, const struct jq_where *where) {
    const struct sim_oracle *oracle = &sim->oracle;
    if (task->place < SIM_WAITING || task->place > SIM_FINAL) {
        return false;
    }
    const struct jq_where_subject subject = {.id = task->id,
                                             .flow = task->flow,
                                             .state = state_of(task, sim->now_ms),
                                             .priority = task->priority,
                                             .attempts = task->attempts,
                                             .queue = jq_str_of(oracle->queues[task->queue]),
                                             .handler = jq_str_of(oracle->classes[task->class_index].handler),
                                             .group = jq_str_of(task->group)};
    return jq_where_match(where, &subject);
}

/* ---- orders ---- */

static struct sim_order *order_of(struct sim *sim, const struct jq_request *request) {
    for (uint32_t i = 0; i < SIM_ORDERS_MAX; i++) {
        struct sim_order *order = &sim->oracle.orders[i];
        if (order->id == request->id && jq_uuid_equal(&order->sender, &request->sender)) {
            return order;
        }
    }
    return NULL;
}

void orders_asked(struct sim *sim, const struct sim_request *request) {
    struct sim_oracle *oracle = &sim->oracle;
    struct sim_order *order = request->selects ? order_of(sim, &request->r) : NULL;
    if (!request->selects || order) {
        if (order && !order->done &&
            !order->open) { /* after a crash, or an answer that nothing was done: it begins anew */
            order->open = true;
            order->began = oracle->record_count;
        }
        return;
    }
    for (uint32_t i = 0; i < SIM_ORDERS_MAX && (i == 0 || order->open); i++) { /* the oldest that is over */
        order = &oracle->orders[oracle->order_next++ % SIM_ORDERS_MAX];
    }
    *order = (struct sim_order){.id = request->r.id,
                                .sender = request->r.sender,
                                .op = request->r.op,
                                .where = request->where,
                                .dry_run = request->r.u.tasks.dry_run,
                                .to = request->r.u.tasks.to,
                                .began = oracle->record_count,
                                .open = true};
}

/* A crash ends what was under way; whether what was done is still done, and will not be done again, is not known here. */
void orders_forget(struct sim *sim) {
    for (uint32_t i = 0; i < SIM_ORDERS_MAX; i++) {
        sim->oracle.orders[i].unsure = true;
        sim->oracle.orders[i].open = sim->oracle.orders[i].done = false;
    }
}

/* ---- what must hold of a record ---- */

static bool named(const struct sim *sim, uint64_t id, enum jq_op op) {
    const struct sim_request *request = sim->broker.request;
    for (size_t i = 0; request && request->r.op == op && !request->selects && i < request->r.u.tasks.count; i++) {
        if (request->ids[i].value == id) {
            return true;
        }
    }
    return false;
}

static bool selected(const struct sim *sim, const struct sim_task *task, enum jq_op op, const char *to) {
    for (uint32_t i = 0; i < SIM_ORDERS_MAX; i++) {
        const struct sim_order *order = &sim->oracle.orders[i];
        if (order->open && order->op == op && !order->dry_run && matches(sim, task, &order->where) &&
            (!to || jq_str_equal(order->to, jq_str_of(to)))) {
            return true;
        }
    }
    return false;
}

static enum jq_op op_of(enum jq_record_type type) {
    switch (type) {
    case JQ_RECORD_TASK_HELD: return JQ_OP_TASK_HOLD;
    case JQ_RECORD_TASK_RELEASED: return JQ_OP_TASK_RELEASE;
    case JQ_RECORD_TASK_MOVED: return JQ_OP_TASK_MOVE;
    case JQ_RECORD_TASK_REVIVED:
    case JQ_RECORD_TASK_REPLAYED: return JQ_OP_DEAD_REPLAY;
    default: return JQ_OP_NONE;
    }
}

void orders_check(struct sim *sim, const struct jq_record *record) {
    const enum jq_op op = op_of(record->type);
    if (op == JQ_OP_NONE) {
        return;
    }
    const struct sim_task *task = oracle_task(sim, record->u.task_held.task.value);
    const char *to = op == JQ_OP_TASK_MOVE ? sim->oracle.queues[record->u.task_moved.queue] : NULL;
    if (!named(sim, task->id, op) && !selected(sim, task, op, to)) {
        sim_fail(sim, "task %" PRIu64 ": a %s that nobody asked for", task->id, jq_op_name(op));
    }
    sim->counts.selected += !named(sim, task->id, op);
}

/* ---- what must hold of an answer ---- */

/* Time alone changes nothing of what these see. */
static bool lasting(const struct jq_where *where) {
    const uint32_t states = jq_where_states(where);
    const uint32_t passing = 1u << JQ_STATE_READY | 1u << JQ_STATE_SCHEDULED;
    return !jq_where_names(where, JQ_WHERE_AGE) && ((states & passing) == 0 || (states & passing) == passing);
}

/* Whatever matched from the beginning on, and is as it was, was left out. */
static void check_whole(struct sim *sim, const struct sim_order *order) {
    const bool holds = order->op == JQ_OP_TASK_HOLD;
    for (uint32_t i = 0; i < sim->oracle.task_count; i++) {
        const struct sim_task *task = &sim->oracle.tasks[i];
        if ((task->place == SIM_QUEUED || task->place == SIM_WAITING) && task->touched <= order->began &&
            task->held != holds && matches(sim, task, &order->where)) {
            sim_fail(sim, "a %s by selection is done, and has left out task %" PRIu64, jq_op_name(order->op), task->id);
        }
    }
    sim->counts.selections++;
}

void orders_answered(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply) {
    struct sim_order *order = request->selects ? order_of(sim, &request->r) : NULL;
    if (!order || !order->open) {
        return;
    }
    if (reply->status == JQ_REPLY_OK && !order->unsure && !order->dry_run && lasting(&order->where) &&
        (order->op == JQ_OP_TASK_HOLD || order->op == JQ_OP_TASK_RELEASE)) {
        check_whole(sim, order);
    }
    order->done |= reply->status == JQ_REPLY_OK && reply->u.many.count > 0;
    order->open = false;
}
