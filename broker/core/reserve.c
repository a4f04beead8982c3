/* reserve.c - a worker kept for a task that is too large for what is left over now and then.
 *
 * choose.c finds a task whose turn it is, but for which the worker has no room, while one behind it would get what room there is.
 * Once such a task has been ready for reserve_after and fits nowhere, the worker that lacks the least is reserved for it: what the
 * task needs there is held back from all others, and the worker drains towards it. It is given to the task as soon as there is
 * room, or the task to any other worker that has room before.
 *
 * Others still get what the hold leaves, and that delays the task by nothing. Let F be free of an offer and H held: another is
 * given X only if X <= max(0, F - H). So of an offer that is short (F < H) nothing is given away, and of one that is not there
 * stays enough. Until the task is leased F only grows by what ends; so it has room at the same moment as if nothing had been given.
 * H is the most of what its alternatives need: none of them is delayed.
 */
#include "broker/core/state.h"

enum { TRY_AGAIN_MS = 1000, TRY_PAUSE_MS = 20 };

static bool in_use(const struct reservation *reservation) {
    return reservation->worker != 0;
}

const struct reservation *reservation_of_task(const struct jq_core *core, uint32_t ref) {
    for (uint32_t i = 0; core->reservation_count > 0 && i < RESERVATIONS_MAX; i++) {
        if (in_use(&core->reservations[i]) && core->reservations[i].task == ref) {
            return &core->reservations[i];
        }
    }
    return NULL;
}

const struct reservation *reservation_of_worker(const struct jq_core *core, uint32_t index) {
    for (uint32_t i = 0; core->reservation_count > 0 && i < RESERVATIONS_MAX; i++) {
        if (core->reservations[i].worker == index && index != 0) {
            return &core->reservations[i];
        }
    }
    return NULL;
}

jq_task_id jq_core_kept_for(const struct jq_core *core, uint32_t worker) {
    const struct reservation *reservation = reservation_of_worker(core, worker);
    return (jq_task_id){reservation ? task_at(core, reservation->task)->id : 0};
}

/* ---- making one ---- */

/* The most that one of the alternatives lacks of one offer, in thousandths of its total; INT64_MAX: it could never run there. */
static int64_t shortage(const struct worker *worker, const struct plan *plan) {
    int64_t best = INT64_MAX;
    for (int a = 0; a < plan->alternative_count; a++) {
        const struct plan_alternative *alternative = &plan->alternatives[a];
        int64_t most = 0;
        for (uint32_t i = 0; i < alternative->count; i++) {
            const struct plan_amount *amount = &plan->amounts[alternative->first + i];
            const int64_t lacks = (int64_t)amount->amount - worker_room_whole(worker, amount->resource);
            const int64_t share = lacks / (worker->profile->totals[amount->resource] / 1000 + 1);
            most = share > most ? share : most;
        }
        best = alternative->possible && most < best ? most : best;
    }
    return best;
}

struct candidate {
    uint32_t worker; /* 0: none */
    int64_t lacks;
    bool fits; /* some worker has room, and will ask: nothing to reserve */
};

static bool asks_for_nothing(const struct worker *worker) {
    return worker->poll.call != 0 && worker->poll.want == 0;
}

static void weigh(struct jq_core *core, uint32_t index, uint16_t class_index, struct candidate *best) {
    const struct worker *worker = worker_at(core, index);
    if (!worker->used || !worker->profile || worker->asleep || worker->blocks != 0 || asks_for_nothing(worker) ||
        worker_shuns_until_ms(core, worker, class_index) != 0) {
        return;
    }
    const struct plan *plan = profile_plan(core, worker->profile, class_index);
    if (!plan->possible) {
        return;
    }
    if (plan_fits(worker, plan) >= 0) {
        best->fits = true;
        return;
    }
    /* Where nothing runs nothing will end: what is short there is short by the worker's own word. */
    const int64_t lacks = worker->hold || worker->lease_count == 0 ? INT64_MAX : shortage(worker, plan);
    if (lacks < INT64_MAX &&
        (best->worker == 0 || lacks < best->lacks ||
         (lacks == best->lacks && worker->lease_count < worker_at(core, best->worker)->lease_count))) {
        best->worker = index;
        best->lacks = lacks;
    }
}

static void hold_make(struct jq_core *core, struct reservation *reservation) {
    struct worker *worker = worker_at(core, reservation->worker);
    const struct plan *plan = profile_plan(core, worker->profile, task_at(core, reservation->task)->class_index);
    for (int a = 0; a < plan->alternative_count; a++) {
        const struct plan_alternative *alternative = &plan->alternatives[a];
        for (uint32_t i = 0; alternative->possible && i < alternative->count; i++) {
            const struct plan_amount *amount = &plan->amounts[alternative->first + i];
            int64_t *held = &reservation->hold[amount->resource];
            *held = (int64_t)amount->amount > *held ? (int64_t)amount->amount : *held;
        }
    }
    worker->hold = reservation->hold;
}

static struct reservation *free_place(struct jq_core *core) {
    for (uint32_t i = 0; i < RESERVATIONS_MAX; i++) {
        if (!in_use(&core->reservations[i])) {
            return &core->reservations[i];
        }
    }
    return NULL;
}

int64_t reserve_by_ms(const struct jq_core *core) {
    const bool may = core->config.reserve_after_ms > 0 && core->reservation_count < RESERVATIONS_MAX &&
                     core->now_ms >= core->reserve_next_ms;
    return may ? core->now_ms - core->config.reserve_after_ms : INT64_MIN;
}

bool reservation_wanted(const struct jq_core *core, uint16_t class_index) {
    const struct class_entry *entry = &core->classes[class_index];
    return entry->reserved == 0 && core->now_ms >= entry->reserve_next_ms;
}

bool reservation_try(struct jq_core *core, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    struct class_entry *entry = &core->classes[task->class_index];
    struct reservation *place = free_place(core);
    struct candidate best = {0};
    if (!place || task_suspect(core, task) || core->now_ms - task->at_ms < core->config.reserve_after_ms) {
        return false;
    }
    for (uint32_t i = 1; i < core->worker_count && !best.fits; i++) {
        weigh(core, i, task->class_index, &best);
    }
    core->reserve_next_ms = core->now_ms + TRY_PAUSE_MS;
    entry->reserve_next_ms = core->now_ms + TRY_AGAIN_MS;
    if (best.worker == 0 || best.fits) {
        return false;
    }
    *place = (struct reservation){.task = ref, .worker = best.worker, .since_ms = core->now_ms};
    hold_make(core, place);
    core->reservation_count++;
    entry->reserved++;
    return true;
}

/* ---- ending one ---- */

static void end(struct jq_core *core, struct reservation *reservation) {
    const uint32_t index = reservation->worker;
    core->classes[task_at(core, reservation->task)->class_index].reserved--;
    worker_at(core, index)->hold = NULL;
    *reservation = (struct reservation){0};
    core->reservation_count--;
    worker_refill(core, index); /* others may have what was held */
}

void reservation_task_left(struct jq_core *core, uint32_t ref) {
    struct reservation *reservation = (struct reservation *)(uintptr_t)reservation_of_task(core, ref);
    if (reservation) {
        end(core, reservation);
    }
}

void reservation_worker_left(struct jq_core *core, uint32_t index) {
    struct reservation *reservation = (struct reservation *)(uintptr_t)reservation_of_worker(core, index);
    if (reservation) {
        end(core, reservation);
    }
}

static bool group_blocked(const struct jq_core *core, const struct task *task) {
    return task->group != 0 && group_at(core, task->group)->blocks != 0;
}

/* It has drained, and yet there is no room. */
static bool is_in_vain(struct jq_core *core, const struct worker *worker, const struct task *task) {
    return worker->lease_count == 0 &&
           plan_fits_whole(worker, profile_plan(core, worker->profile, task->class_index)) < 0;
}

/* A task that may not run does not keep a worker from others, nor is a worker kept that is given nothing. */
static bool is_void(struct jq_core *core, const struct reservation *reservation) {
    const struct task *task = task_at(core, reservation->task);
    const struct worker *worker = worker_at(core, reservation->worker);
    return is_in_vain(core, worker, task) || worker_shuns_until_ms(core, worker, task->class_index) != 0 ||
           worker->blocks != 0 || asks_for_nothing(worker) || core->queues[task->queue].blocks != 0 ||
           core->classes[task->class_index].blocks != 0 || group_blocked(core, task) || task_suspect(core, task);
}

void reservations_check(struct jq_core *core) {
    for (uint32_t i = 0; core->reservation_count > 0 && i < RESERVATIONS_MAX; i++) {
        if (in_use(&core->reservations[i]) && is_void(core, &core->reservations[i])) {
            end(core, &core->reservations[i]);
        }
    }
}

/* ---- using it ---- */

struct choice reservation_choice(struct jq_core *core, const struct worker *worker) {
    const struct reservation *reservation = reservation_of_worker(core, (uint32_t)(worker - core->workers));
    const struct choice none = {0};
    if (!reservation || is_void(core, reservation)) {
        return none;
    }
    const struct task *task = task_at(core, reservation->task);
    const struct plan *plan = profile_plan(core, worker->profile, task->class_index);
    const int alternative = plan_fits_whole(worker, plan);
    return alternative < 0 ? none : (struct choice){.ref = reservation->task, .alternative = alternative};
}
