/* sim_place.c - which worker may have a task: what it reserves there, the facts it asks for, what the worker accepts, what is kept
 * for another, and which of two tasks alike would rather be there. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/sim.h"

/* Needs that the clients of the simulator name, and what each alternative reserves in thousandths. */
static const struct sim_need {
    const char *need;
    uint8_t alternative;
    struct sim_amounts amounts;
    bool names_mem;
    const char *zone; /* that the worker must be in; NULL: any */
} needs[] = {
    {"", 0, {{[SIM_SLOTS] = 1000}}, false, NULL},
    {"cpu=1", 0, {{[SIM_SLOTS] = 1000, [SIM_CPU] = 1000}}, false, NULL},
    {"cpu=2 mem=2", 0, {{[SIM_SLOTS] = 1000, [SIM_CPU] = 2000, [SIM_MEM] = 2000}}, true, NULL},
    {"seat=1", 0, {{[SIM_SLOTS] = 1000, [SIM_SEAT] = 1000}}, false, NULL},
    {"cpu=4|mem=4", 0, {{[SIM_SLOTS] = 1000, [SIM_CPU] = 4000}}, false, NULL},
    {"cpu=4|mem=4", 1, {{[SIM_SLOTS] = 1000, [SIM_MEM] = 4000}}, true, NULL},
    {"gpu=1", 0, {{[SIM_SLOTS] = 1000, [SIM_GPU] = 1000}}, false, NULL},
    {"zone==z1", 0, {{[SIM_SLOTS] = 1000}}, false, "z1"},
};

static const char *const names[SIM_RESOURCES] = {"slots", "cpu", "mem", "seat", "gpu"};

static const struct sim_need *need_of(const struct sim_class *class_entry, uint8_t alternative) {
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if (strcmp(needs[i].need, class_entry->need) == 0 && needs[i].alternative == alternative) {
            return &needs[i];
        }
    }
    return NULL;
}

bool place_amounts(const struct sim_class *class_entry, uint8_t alternative, struct sim_amounts *ret_amounts) {
    const struct sim_need *need = need_of(class_entry, alternative);
    if (!need) {
        return false;
    }
    *ret_amounts = need->amounts;
    if (strcmp(class_entry->handler, "h1") == 0 && !need->names_mem) { /* the handler's own need */
        ret_amounts->of[SIM_MEM] += 1000;
    }
    return true;
}

/* ---- what a worker has ---- */

static uint32_t total_of(const struct sim_worker *worker, int resource) {
    for (size_t i = 0; i < worker->offer_count; i++) {
        if (jq_str_equal(worker->offers[i].name, jq_str_of(names[resource]))) {
            return (uint32_t)worker->offers[i].amount;
        }
    }
    return 0;
}

static void check_amounts(struct sim *sim, const struct sim_task *task, uint32_t index,
                          const struct sim_amounts *amounts) {
    const struct sim_holder *holder = &sim->oracle.holders[index];
    const struct sim_worker *worker = &sim->workers[holder->worker];
    for (int i = 0; i < SIM_RESOURCES; i++) {
        if (holder->taken.of[i] + amounts->of[i] > total_of(worker, i)) {
            sim_fail(sim, "%s has %" PRIu32 " of %s, %" PRIu32 " are taken, and task %" PRIu64 " gets %" PRIu32,
                     worker->name, total_of(worker, i), names[i], holder->taken.of[i], task->id, amounts->of[i]);
        }
    }
}

static void check_facts(struct sim *sim, const struct sim_task *task, uint32_t index, const struct sim_need *need,
                        const struct sim_amounts *amounts) {
    const struct sim_worker *worker = &sim->workers[sim->oracle.holders[index].worker];
    if (need->zone && strcmp(need->zone, worker->zone) != 0) {
        sim_fail(sim, "task %" PRIu64 " needs a worker in %s, and is leased to one in %s", task->id, need->zone,
                 worker->zone);
    }
    if (worker->choosy && amounts->of[SIM_SEAT] == 0) {
        sim_fail(sim, "task %" PRIu64 " is leased to %s, which accepts only what takes a seat", task->id, worker->name);
    }
}

/* ---- what is kept for another ---- */

/* The most that one of its alternatives takes of each offer; of alternatives that this worker could never give, nothing. */
static struct sim_amounts held_back(const struct sim *sim, const struct sim_task *task,
                                    const struct sim_worker *worker) {
    struct sim_amounts most = {{0}}, amounts;
    for (uint8_t a = 0; place_amounts(&sim->oracle.classes[task->class_index], a, &amounts); a++) {
        bool possible = true;
        for (int i = 0; i < SIM_RESOURCES; i++) {
            possible &= amounts.of[i] <= total_of(worker, i);
        }
        for (int i = 0; i < SIM_RESOURCES && possible; i++) {
            most.of[i] = amounts.of[i] > most.of[i] ? amounts.of[i] : most.of[i];
        }
    }
    return most;
}

/* Others get what that delays by nothing. */
static void check_hold(struct sim *sim, const struct sim_task *task, uint32_t index,
                       const struct sim_amounts *amounts) {
    const uint64_t kept_for = jq_core_kept_for(sim->broker.core, index).value;
    if (kept_for == 0 || kept_for == task->id) {
        return;
    }
    const struct sim_holder *holder = &sim->oracle.holders[index];
    const struct sim_worker *worker = &sim->workers[holder->worker];
    const struct sim_amounts held = held_back(sim, oracle_task(sim, kept_for), worker);
    for (int i = 0; i < SIM_RESOURCES; i++) {
        const uint32_t whole = total_of(worker, i) - holder->taken.of[i];
        const uint32_t left = whole > held.of[i] ? whole - held.of[i] : 0;
        if (held.of[i] > 0 && amounts->of[i] > left) {
            sim_fail(sim, "%s is kept for task %" PRIu64 ", and task %" PRIu64 " takes of the %s that it needs",
                     worker->name, kept_for, task->id, names[i]);
        }
    }
    sim->counts.holds_checked++;
}

/* A worker is kept for one task that waits, and that has waited long; nobody else is kept for the same. */
void place_step(struct sim *sim) {
    uint64_t seen[SIM_HOLDERS_MAX];
    uint32_t count = 0;
    for (uint32_t index = 1; index < SIM_HOLDERS_MAX; index++) {
        const uint64_t id = jq_core_kept_for(sim->broker.core, index).value;
        if (id == 0) {
            continue;
        }
        const struct sim_task *task = oracle_task(sim, id);
        for (uint32_t i = 0; i < count; i++) {
            if (seen[i] == id) {
                sim_fail(sim, "two workers are kept for task %" PRIu64, id);
            }
        }
        if (task->place != SIM_QUEUED || task->held || task->eta ||
            sim->now_ms - task->ready_ms < sim->config.reserve_after_ms) {
            sim_fail(sim, "a worker is kept for task %" PRIu64 ", which does not wait, or not for long", id);
        }
        seen[count++] = id;
    }
}

/* ---- wants ---- */

static int score_of(const struct sim_class *entry, const struct sim_worker *worker) {
    return strcmp(entry->want, "zone==z1:10") == 0   ? (strcmp(worker->zone, "z1") == 0 ? 10 : 0)
           : strcmp(entry->want, "zone==z1:-5") == 0 ? (strcmp(worker->zone, "z1") == 0 ? -5 : 0)
                                                     : 0;
}

/* Alike but for what they want: of one group, ready at one time, with one need. */
static bool alike(const struct sim *sim, const struct sim_task *a, const struct sim_task *b) {
    const struct sim_class *one = &sim->oracle.classes[a->class_index], *other = &sim->oracle.classes[b->class_index];
    return a != b && a->queue == b->queue && a->priority == b->priority && strcmp(a->group, b->group) == 0 &&
           a->first_ready_ms == b->first_ready_ms && strcmp(one->handler, other->handler) == 0 &&
           strcmp(one->need, other->need) == 0;
}

static void check_wants(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    const struct sim_oracle *oracle = &sim->oracle;
    const struct sim_holder *holder = &oracle->holders[record->u.task_leased.worker];
    const struct sim_worker *worker = &sim->workers[holder->worker];
    const int score = score_of(&oracle->classes[task->class_index], worker);
    const bool aged = record->time_ms - task->ready_ms >= sim->config.aging_interval_ms;
    for (uint32_t i = 0; i < oracle->places[SIM_QUEUED] && !aged; i++) {
        const struct sim_task *other = &oracle->tasks[oracle->queued[i]];
        if (!alike(sim, task, other) || other->eta || other->held || other->ready_ms > record->time_ms ||
            (other->losses > 0 && holder->suspects > 0) || holder->short_of[other->class_index]) {
            continue;
        }
        sim->counts.wants_checked++;
        if (score_of(&oracle->classes[other->class_index], worker) > score) {
            sim_fail(sim, "task %" PRIu64 " is leased to %s before task %" PRIu64 ", which would rather be there",
                     task->id, worker->name, other->id);
        }
    }
}

/* ---- */

void place_check_leased(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    const struct sim_class *entry = &sim->oracle.classes[task->class_index];
    const uint32_t index = record->u.task_leased.worker;
    const struct sim_need *need = need_of(entry, record->u.task_leased.alternative);
    struct sim_amounts amounts;
    if (!need || !place_amounts(entry, record->u.task_leased.alternative, &amounts)) {
        sim_fail(sim, "task %" PRIu64 " is leased under an alternative that its need does not have", task->id);
    }
    check_amounts(sim, task, index, &amounts);
    check_facts(sim, task, index, need, &amounts);
    check_hold(sim, task, index, &amounts);
    if (jq_core_kept_for(sim->broker.core, index).value != task->id) {
        check_wants(sim, task, record);
    }
}
