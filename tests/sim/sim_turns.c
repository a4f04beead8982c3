/* sim_turns.c - whose turn it is: fair share over queues, round robin over the groups of a queue.
 *
 * The oracle does not keep the core's virtual times. It keeps what follows from what was handed out: where queue B went before A
 * although both had such a task, A's time is not below B's; from then on each lease adds its share to its queue's time, and A may
 * not go before B while that says that its time is above B's. A queue that runs empty may come back with a later time, never with
 * an earlier one: then what is known of others beside it is forgotten. Turns of groups likewise: who was served stands behind all
 * that were waiting.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/sim.h"

enum { SHARE = 1 << 20, NO_GROUP = SIM_GROUPS - 1 };
#define UNKNOWN (INT64_MIN / 2)

static uint32_t group_of(const struct sim_task *task) {
    return task->group[0] == '\0' ? NO_GROUP : (uint32_t)(task->group[1] - '0') % NO_GROUP;
}

static uint32_t weight_of(const struct sim *sim, uint32_t queue) {
    if (sim->oracle.sets[queue].weight > 0) {
        return sim->oracle.sets[queue].weight;
    }
    for (uint32_t i = 0; i < sim->config.queue_count; i++) {
        if (strcmp(sim->config.queues[i].name, sim->oracle.queues[queue]) == 0 && sim->config.queues[i].weight > 0) {
            return sim->config.queues[i].weight;
        }
    }
    return 1;
}

/* ---- what could be handed out ---- */

struct openness {
    bool queue, groups; /* whether nothing stands before the queue, before its groups */
};

static struct openness openness_of(const struct sim *sim, uint32_t queue) {
    struct openness open = {!sim->oracle.sets[queue].paused, true};
    char own[24], groups[24];
    (void)snprintf(own, sizeof(own), "queue:%s", sim->oracle.queues[queue]);
    (void)snprintf(groups, sizeof(groups), "group:%s/", sim->oracle.queues[queue]);
    for (uint32_t i = 0; i < sim->oracle.limit_count; i++) {
        const struct sim_limit *limit = &sim->oracle.limits[i];
        open.queue &= !limit->set || strcmp(limit->scope, own) != 0;
        open.groups &= !limit->set || strncmp(limit->scope, groups, strlen(groups)) != 0;
    }
    return open;
}

static bool is_ready(const struct sim_task *task, int64_t now_ms) {
    return !task->eta && !task->held && task->ready_ms <= now_ms;
}

static bool may_go(const struct sim_task *task, struct openness open) {
    return open.queue && (open.groups || task->group[0] == '\0');
}

/* Queues and groups that have such a task, which this worker could have got just as well. */
struct rivals {
    bool queues[SIM_QUEUES_MAX];
    bool groups[SIM_GROUPS];  /* of the task's own queue and priority */
    bool waiting[SIM_GROUPS]; /* with anything ready, of the task's own queue */
};

static void find_rivals(const struct sim *sim, const struct sim_task *task, const struct jq_record *record,
                        struct rivals *ret_rivals) {
    const struct sim_oracle *oracle = &sim->oracle;
    const bool no_suspects = oracle->holders[record->u.task_leased.worker].suspects > 0;
    struct openness open[SIM_QUEUES_MAX];
    bool known[SIM_QUEUES_MAX] = {false};
    *ret_rivals = (struct rivals){.queues = {false}};
    for (uint32_t i = 0; i < oracle->places[SIM_QUEUED]; i++) {
        const struct sim_task *other = &oracle->tasks[oracle->queued[i]];
        if (other == task || !is_ready(other, record->time_ms)) {
            continue;
        }
        const bool mine = other->queue == task->queue;
        ret_rivals->waiting[group_of(other)] |= mine;
        if (other->class_index != task->class_index || (no_suspects && other->losses > 0)) {
            continue;
        }
        if (!known[other->queue]) {
            known[other->queue] = true;
            open[other->queue] = openness_of(sim, other->queue);
        }
        if (may_go(other, open[other->queue])) {
            ret_rivals->queues[other->queue] |= !mine;
            ret_rivals->groups[group_of(other)] |= mine && other->priority == task->priority;
        }
    }
}

/* ---- queues ---- */

static void check_queues(struct sim *sim, const struct sim_task *task, const struct rivals *rivals) {
    for (uint32_t other = 0; other < SIM_QUEUES_MAX; other++) {
        if (rivals->queues[other] && sim->oracle.turns.ahead[task->queue][other] > 0) {
            sim_fail(sim, "task %" PRIu64 " of queue %s is leased, and queue %s has had less than its share", task->id,
                     sim->oracle.queues[task->queue], sim->oracle.queues[other]);
        }
        sim->counts.turns_checked += rivals->queues[other];
    }
}

static void charge(struct sim *sim, uint32_t queue, const struct rivals *rivals) {
    const int64_t share = SHARE / weight_of(sim, queue);
    struct sim_turns *turns = &sim->oracle.turns;
    for (uint32_t other = 0; other < SIM_QUEUES_MAX; other++) {
        int64_t *behind = &turns->ahead[other][queue];
        if (rivals->queues[other] && *behind < 0) {
            *behind = 0; /* it would have gone first, were its time the lesser */
        }
        if (other != queue) {
            *behind -= *behind == UNKNOWN ? 0 : share;
            turns->ahead[queue][other] += turns->ahead[queue][other] == UNKNOWN ? 0 : share;
        }
    }
}

static void forget_queue(struct sim *sim, uint32_t queue) {
    for (uint32_t other = 0; other < SIM_QUEUES_MAX; other++) {
        sim->oracle.turns.ahead[other][queue] = UNKNOWN;
    }
}

/* ---- groups ---- */

static void check_groups(struct sim *sim, const struct sim_task *task, const struct rivals *rivals) {
    const uint32_t own = group_of(task);
    for (uint32_t group = 0; group < SIM_GROUPS; group++) {
        if (group != own && rivals->groups[group] && sim->oracle.turns.behind[task->queue][own][group]) {
            sim_fail(sim, "task %" PRIu64 " of group \"%s\" is leased, and it is the turn of another group of queue %s",
                     task->id, task->group, sim->oracle.queues[task->queue]);
        }
        sim->counts.turns_checked += group != own && rivals->groups[group];
    }
}

static void serve(struct sim *sim, const struct sim_task *task, const struct rivals *rivals) {
    const uint32_t own = group_of(task);
    for (uint32_t group = 0; group < SIM_GROUPS; group++) {
        if (group != own) {
            sim->oracle.turns.behind[task->queue][own][group] |= rivals->waiting[group];
            sim->oracle.turns.behind[task->queue][group][own] = false;
        }
    }
}

static void forget_group(struct sim *sim, uint32_t queue, uint32_t group) {
    for (uint32_t other = 0; other < SIM_GROUPS; other++) {
        sim->oracle.turns.behind[queue][other][group] = false;
    }
}

/* ---- fold ---- */

void turns_forget(struct sim *sim) {
    struct sim_turns *turns = &sim->oracle.turns;
    memset(turns->behind, 0, sizeof(turns->behind));
    for (uint32_t queue = 0; queue < SIM_QUEUES_MAX; queue++) {
        forget_queue(sim, queue);
    }
}

/* Who has nothing left that is ready may come back at another place. */
static void settle(struct sim *sim, int64_t now_ms) {
    const struct sim_oracle *oracle = &sim->oracle;
    bool queues[SIM_QUEUES_MAX] = {false}, groups[SIM_QUEUES_MAX][SIM_GROUPS] = {{false}};
    bool known[SIM_QUEUES_MAX] = {false};
    struct openness open[SIM_QUEUES_MAX];
    for (uint32_t i = 0; i < oracle->places[SIM_QUEUED]; i++) {
        const struct sim_task *task = &oracle->tasks[oracle->queued[i]];
        if (is_ready(task, now_ms)) {
            groups[task->queue][group_of(task)] = true;
            if (!known[task->queue]) {
                open[task->queue] = openness_of(sim, task->queue);
                known[task->queue] = true;
            }
            queues[task->queue] |= may_go(task, open[task->queue]);
        }
    }
    for (uint32_t queue = 0; queue < SIM_QUEUES_MAX; queue++) {
        if (!queues[queue]) {
            forget_queue(sim, queue);
        }
        for (uint32_t group = 0; group < SIM_GROUPS; group++) {
            if (!groups[queue][group]) {
                forget_group(sim, queue, group);
            }
        }
    }
}

/* It left its queue, which may have run empty by that, before it came again. */
static void renewed(struct sim *sim, const struct sim_task *task, int64_t now_ms) {
    settle(sim, now_ms);
    forget_queue(sim, task->queue);
    forget_group(sim, task->queue, group_of(task));
}

void turns_record(struct sim *sim, const struct jq_record *record, bool replay) {
    switch (record->type) {
    case JQ_RECORD_TASK_LEASED:
    case JQ_RECORD_TASK_ENDED:
    case JQ_RECORD_TASK_HELD:
    case JQ_RECORD_TASK_MOVED:
    case JQ_RECORD_QUEUE_SET:
    case JQ_RECORD_LIMIT_SET:
    case JQ_RECORD_LIMIT_REMOVED:
        if (!replay) {
            settle(sim, record->time_ms);
        }
        break;
    case JQ_RECORD_TASK_RENEWED:
        renewed(sim, oracle_task(sim, record->u.task_renewed.task.value), record->time_ms);
        break;
    case JQ_RECORD_QUEUE_DEFINED: forget_queue(sim, record->u.queue_defined.queue); break;
    default: break;
    }
}

/* ---- what must hold ---- */

void turns_check_leased(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    const bool kept = jq_core_kept_for(sim->broker.core, record->u.task_leased.worker).value == task->id;
    const bool aged = record->time_ms - task->ready_ms >= sim->config.aging_interval_ms;
    struct rivals rivals;
    find_rivals(sim, task, record, &rivals);
    if (kept) {
        memset(rivals.queues, 0, sizeof(rivals.queues)); /* nobody was asked whose turn it is */
    } else {
        check_queues(sim, task, &rivals);
    }
    if (!kept && !aged) {
        check_groups(sim, task, &rivals);
    }
    charge(sim, task->queue, &rivals);
    serve(sim, task, &rivals);
}
