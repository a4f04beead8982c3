/* dispatch.c - handing out.
 *
 * A worker that asks (worker_fill) gets what choose.c finds for it, until its answer is full. A task that becomes ready
 * (dispatch_hot) makes the best of the parked workers ask: the one whose scarcest offer has the least left over.
 */
#include "broker/core/state.h"

enum { STRIDE = 1 << 20, ITEM_BYTES = 64, AMOUNT_BYTES = 11, UNIT_BYTES = 3, PARENT_BYTES = 9, FILE_BYTES_FACTOR = 2 };

/* ---- queues with something to hand out ---- */

void queue_activate(struct jq_core *core, uint16_t at) {
    struct queue *queue = &core->queues[at];
    if (queue->virtual_time < core->virtual_now) {
        queue->virtual_time = core->virtual_now; /* no credit for having been idle */
    }
    JQ_CHECK(jq_heap_put(&core->active, queue->virtual_time, at));
}

void queue_deactivate(struct jq_core *core, uint16_t at) {
    jq_heap_remove(&core->active, core->queues[at].active_position);
}

static void queue_charge(struct jq_core *core, uint16_t at) {
    struct queue *queue = &core->queues[at];
    core->virtual_now = queue->virtual_time;
    queue->virtual_time += CANARY(WEIGHT_UPSIDE) ? STRIDE * queue_weight(queue) : STRIDE / queue_weight(queue);
    queue->leases_since_aging = (queue->leases_since_aging + 1) % AGING_TURN;
    jq_heap_update(&core->active, queue->active_position, queue->virtual_time);
    queue->drain_count++;
    if (core->now_ms - queue->drain_mark_ms >= 1000) {
        const double rate = 1000.0 * (double)queue->drain_count / (double)(core->now_ms - queue->drain_mark_ms);
        queue->drain_per_s = queue->drain_per_s > 0 ? 0.5 * queue->drain_per_s + 0.5 * rate : rate;
        queue->drain_mark_ms = core->now_ms;
        queue->drain_count = 0;
    }
}

/* ---- handing out ---- */

/* What the task takes of an answer, at most: an answer that is cut would leave a lease that its worker never hears of. */
static uint32_t item_bytes(struct jq_core *core, const struct worker *worker, struct choice choice) {
    const struct task *task = task_at(core, choice.ref);
    const struct plan *plan = profile_plan(core, worker->profile, task->class_index);
    const struct plan_alternative *alternative = &plan->alternatives[choice.alternative];
    uint32_t bytes = task->body_size + ITEM_BYTES + (uint32_t)core->queues[task->queue].name.size +
                     (uint32_t)core->classes[task->class_index].handler.size;
    const struct node *node = node_if(core, task);
    bytes += node ? PARENT_BYTES * node->edge_count : 0;
    bytes += FILE_BYTES_FACTOR * (uint32_t)task_files(core, task).size;
    for (uint32_t i = 0; i < alternative->count; i++) {
        const struct plan_amount *amount = &plan->amounts[alternative->first + i];
        const uint32_t name_size = (uint32_t)plan->named[alternative->first + i].name.size;
        bytes += AMOUNT_BYTES + name_size;
        if (worker->profile->indexed[amount->resource]) {
            bytes += AMOUNT_BYTES + name_size + UNIT_BYTES * (uint32_t)(amount->amount / JQ_AMOUNT_UNIT);
        }
    }
    return bytes;
}

static bool wants_more(const struct jq_core *core, const struct worker *worker) {
    return worker->poll.call != 0 && worker->gather_count < worker->poll.want && worker->blocks == 0 &&
           worker->gather_count < LEASES_PER_ANSWER_MAX && !core->stopping;
}

static void assign(struct jq_core *core, uint32_t index, struct choice choice, uint32_t bytes) {
    struct worker *worker = worker_at(core, index);
    struct task *task = task_at(core, choice.ref);
    queue_charge(core, task->queue);
    const struct plan *plan = profile_plan(core, worker->profile, task->class_index);
    units_choose(worker, plan, &plan->alternatives[choice.alternative], &core->units);
    group_served(core, task);
    struct jq_record record = {
        .type = JQ_RECORD_TASK_LEASED,
        .u.task_leased = {.task = {task->id},
                          .token = {(CANARY(NO_EPOCH) ? 1 : core->epoch) << TOKEN_COUNTER_BITS | ++core->next_token},
                          .worker = index,
                          .alternative = (uint8_t)choice.alternative,
                          .units = jq_buf_bytes(&core->units)}};
    JQ_CHECK(!core->units.failed && core->next_token >> TOKEN_COUNTER_BITS == 0);
    emit(core, &record);
    if (worker->gather_count == 0) {
        worker->gather_first = worker->lease_tail;
        core->gathering =
            array_grow(core->gathering, core->gathering_count, &core->gathering_capacity, sizeof(*core->gathering));
        core->gathering[core->gathering_count++] = index;
    }
    worker->gather_count++;
    worker->gather_bytes += bytes;
    core->totals.leased_total++;
    breakers_lease_given(core, index, task->class_index);
    news_task(core, JQ_NEWS_TASK_LEASED, task);
}

/* True while the disk has no room for one more outcome: when it has, those who ask are looked at again (disk_note). */
static bool disk_holds_back(struct jq_core *core) {
    core->disk_short |= !disk_has_room(core);
    return core->disk_short;
}

/* One more task for the worker's poll; false when there is none for it or the answer is full. */
static bool take_one(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    if (!wants_more(core, worker) || disk_holds_back(core)) {
        return false;
    }
    const struct choice choice = choose(core, worker);
    if (choice.ref == 0) {
        return false;
    }
    if (task_at(core, choice.ref)->flags & TASK_FLAG_PURE && cache_answers(core, choice.ref, false)) {
        return true; /* it has its result: the worker has room for another */
    }
    const uint32_t bytes = item_bytes(core, worker, choice);
    if (worker->gather_count > 0 && worker->gather_bytes + bytes > worker->poll.bytes_max) {
        return false;
    }
    assign(core, index, choice, bytes);
    return true;
}

void worker_fill(struct jq_core *core, uint32_t index) {
    while (take_one(core, index)) {
    }
}

/* What the scarcest offer would have left, in thousandths of its total. */
static int64_t left_over(const struct worker *worker, const struct plan *plan, int at) {
    const struct plan_alternative *alternative = &plan->alternatives[at];
    int64_t least = 1000;
    for (uint32_t i = 0; i < alternative->count; i++) {
        const struct plan_amount *amount = &plan->amounts[alternative->first + i];
        const int64_t total = worker->profile->totals[amount->resource];
        const int64_t left = worker_room(worker, amount->resource) - (int64_t)amount->amount;
        const int64_t share = total > 0 ? left / (total / 1000 + 1) : 0;
        least = share < least ? share : least;
    }
    return least;
}

/* By fit, wants, load. */
struct rating {
    int64_t left;
    int want;
    uint32_t leases;
};

static bool rates_better(const struct rating *a, const struct rating *b) {
    if (a->left != b->left) {
        return a->left < b->left;
    }
    return a->want != b->want ? a->want > b->want : a->leases < b->leases;
}

struct fit {
    uint32_t worker; /* 0: none */
    struct rating rating;
    uint32_t eligible; /* looked at so far */
};

static void weigh(struct jq_core *core, uint32_t index, const struct plan *plan, struct fit *best) {
    const struct worker *worker = worker_at(core, index);
    if (!wants_more(core, worker) || worker->tried_stamp == core->dispatch_stamp) {
        return;
    }
    const int alternative = plan_fits(worker, plan);
    if (alternative < 0) {
        return;
    }
    best->eligible++;
    const struct rating rating = {left_over(worker, plan, alternative), plan->want, worker->lease_count};
    if (best->worker == 0 || rates_better(&rating, &best->rating)) {
        best->worker = index;
        best->rating = rating;
    }
}

/* The parked worker that fits best; 0: none. Goes by kinds of worker, so that those which cannot run the class cost nothing each;
 * begins at another place each time, and weighs no more than PARKED_SCAN_MAX. */
static uint32_t best_parked(struct jq_core *core, uint16_t class_index) {
    struct fit best = {0};
    core->parked_turn++;
    for (uint32_t i = 0; i < core->asking_count && best.eligible < PARKED_SCAN_MAX; i++) {
        struct profile *profile = core->asking[(core->parked_turn + i) % core->asking_count];
        const struct plan *plan = profile_plan(core, profile, class_index);
        for (uint32_t k = 0; plan->possible && k < profile->parked_count && best.eligible < PARKED_SCAN_MAX; k++) {
            weigh(core, profile->parked[(core->parked_turn + k) % profile->parked_count], plan, &best);
        }
    }
    return best.worker;
}

static void dispatch_class(struct jq_core *core, uint16_t class_index) {
    core->dispatch_stamp++;
    while (core->parked_count > 0 && bit_test(core->open_classes, class_index) && !disk_holds_back(core)) {
        const uint32_t index = best_parked(core, class_index);
        if (index == 0) {
            return;
        }
        if (!take_one(core, index)) {
            worker_at(core, index)->tried_stamp = core->dispatch_stamp;
        }
    }
}

/* ---- what became possible in a step ---- */

void class_heat(struct jq_core *core, uint16_t class_index) {
    struct class_entry *entry = &core->classes[class_index];
    if (!entry->hot && core->started) {
        entry->hot = true;
        core->hot[core->hot_count++] = class_index;
    }
}

void queue_heat(struct jq_core *core, uint16_t at) {
    if (!core->queues[at].hot && core->started) {
        core->queues[at].hot = true;
        core->hot_queues[core->hot_queue_count++] = at;
    }
}

/* Its classes in Order, until it has handed out all, or as much as it may. */
static void dispatch_queue(struct jq_core *core, uint16_t at) {
    struct queue *queue = &core->queues[at];
    for (int priority = LEVEL_COUNT - 1; priority >= 0; priority--) {
        const struct level *level = &queue->levels[priority];
        for (uint32_t i = 0; i < level->count && queue->blocks == 0 && core->parked_count > 0;) {
            const uint32_t bucket = level->entries[i].bucket;
            dispatch_class(core, level->entries[i].class_index);
            i += i < level->count && level->entries[i].bucket == bucket; /* else the last has come to its place */
        }
    }
}

void worker_refill(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    if (!worker->refill && worker->poll.call != 0 && core->started) {
        worker->refill = true;
        core->refills = array_grow(core->refills, core->refill_count, &core->refill_capacity, sizeof(*core->refills));
        core->refills[core->refill_count++] = index;
    }
}

static void dispatch_refills(struct jq_core *core) {
    for (uint32_t i = 0; i < core->refill_count; i++) {
        worker_at(core, core->refills[i])->refill = false;
        worker_fill(core, core->refills[i]);
    }
    core->refill_count = 0;
}

void dispatch_hot(struct jq_core *core) {
    dispatch_refills(core);
    for (uint32_t i = 0; i < core->hot_count; i++) {
        core->classes[core->hot[i]].hot = false;
        dispatch_class(core, core->hot[i]);
    }
    core->hot_count = 0;
    for (uint32_t i = 0; i < core->hot_queue_count; i++) {
        core->queues[core->hot_queues[i]].hot = false;
        dispatch_queue(core, core->hot_queues[i]);
    }
    core->hot_queue_count = 0;
}
