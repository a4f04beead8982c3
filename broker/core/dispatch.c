/* dispatch.c - which task for which worker.
 *
 * A worker that asks (worker_fill) gets, among the queues that have something for it, the one with the least virtual time
 * (stride scheduling: Waldspurger, Weihl, 1995), and there the first task in Order. A task that becomes ready (dispatch_hot)
 * makes the best of the parked workers ask: the one whose scarcest offer has the least left over.
 */
#include "broker/core/state.h"

enum { STRIDE = 1 << 20, ITEM_BYTES = 64, AMOUNT_BYTES = 11, UNIT_BYTES = 3, PARENT_BYTES = 9 };

/* ---- queues with ready tasks ---- */

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
    queue->virtual_time += STRIDE / (queue->weight ? queue->weight : 1);
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

/* ---- does it fit? ---- */

int64_t worker_room(const struct worker *worker, uint8_t resource) {
    const int64_t account = worker->free[resource], told = worker->told[resource];
    const int64_t room = told < account ? told : account;
    const struct jq_offer *indexed = worker->profile->indexed[resource];
    if (!indexed) {
        return room;
    }
    /* A unit is one lease's, whatever the amounts say: what a handler needs may have changed meanwhile. */
    const int64_t units = (int64_t)(indexed->index_count - worker->taken_count[resource]) * (int64_t)JQ_AMOUNT_UNIT;
    return units < room ? units : room;
}

static bool alternative_fits(const struct worker *worker, const struct plan *plan,
                             const struct plan_alternative *alternative) {
    for (uint32_t i = 0; i < alternative->count; i++) {
        const struct plan_amount *amount = &plan->amounts[alternative->first + i];
        if (worker_room(worker, amount->resource) < (int64_t)amount->amount) {
            return false;
        }
    }
    return alternative->possible;
}

int plan_fits(const struct worker *worker, const struct plan *plan) {
    for (int i = 0; i < plan->alternative_count; i++) {
        if (alternative_fits(worker, plan, &plan->alternatives[i])) {
            return i;
        }
    }
    return -1;
}

static bool class_allowed(const struct jq_core *core, const struct worker *worker, uint16_t class_index) {
    return core->classes[class_index].blocks == 0 && worker_shuns_until_ms(core, worker, class_index) == 0;
}

/* ---- the first task of a queue that the worker can take ---- */

struct choice {
    uint32_t ref; /* 0: none */
    int alternative;
    int want; /* how much it would like the worker */
};

/* Order inside a level: the time of being ready first; of those alike, wants break the tie, and then the id. */
static bool goes_before(const struct task *a, int want_a, const struct task *b, int want_b) {
    if (a->first_ready_ms != b->first_ready_ms || want_a == want_b) {
        return task_before(a, b);
    }
    return want_a > want_b;
}

static void consider(struct jq_core *core, const struct worker *worker, uint32_t bucket_ref, struct choice *best) {
    const struct bucket *bucket = jq_slab_at(&core->buckets, bucket_ref);
    const struct plan *plan = profile_plan(core, worker->profile, bucket->class_index);
    if (!plan->possible || !class_allowed(core, worker, bucket->class_index)) {
        return;
    }
    const int alternative = plan_fits(worker, plan);
    const uint32_t first = alternative < 0 ? 0 : bucket_first(core, bucket, worker->suspects > 0);
    if (first != 0 &&
        (best->ref == 0 || goes_before(task_at(core, first), plan->want, task_at(core, best->ref), best->want))) {
        *best = (struct choice){first, alternative, plan->want};
    }
}

static void consider_level(struct jq_core *core, const struct worker *worker, const struct level *level,
                           struct choice *best) {
    for (uint32_t i = 0; i < level->count; i++) {
        consider(core, worker, level->buckets[i], best);
    }
}

/* Every eighth lease goes to the task that has been ready for longest, if that is long enough. */
static bool choose_aged(struct jq_core *core, const struct worker *worker, struct queue *queue, struct choice *best) {
    if (queue->leases_since_aging + 1 < AGING_TURN) {
        return false;
    }
    for (int priority = 0; priority < LEVEL_COUNT; priority++) {
        consider_level(core, worker, &queue->levels[priority], best);
    }
    if (best->ref != 0 && core->now_ms - task_at(core, best->ref)->at_ms >= core->config.aging_interval_ms) {
        return true;
    }
    best->ref = 0;
    return false;
}

static struct choice choose_in_queue(struct jq_core *core, const struct worker *worker, struct queue *queue) {
    struct choice best = {0};
    if (choose_aged(core, worker, queue, &best)) {
        return best;
    }
    for (int turn = LEVEL_COUNT - 1; turn >= 0 && best.ref == 0; turn--) {
        const int priority = CANARY(ORDER) ? LEVEL_COUNT - 1 - turn : turn;
        if (queue->levels_used & 1u << priority) {
            consider_level(core, worker, &queue->levels[priority], &best);
        }
    }
    return best;
}

static struct choice choose(struct jq_core *core, const struct worker *worker) {
    const struct jq_heap *active = &core->active;
    struct choice best = {0};
    if (active->count == 0) {
        return best;
    }
    best = choose_in_queue(core, worker, &core->queues[active->entries[0].ref]);
    if (best.ref != 0) {
        return best; /* the fairest queue has something: the usual case */
    }
    int64_t least = 0;
    for (uint32_t i = 1; i < active->count; i++) {
        const struct jq_heap_entry *entry = &active->entries[i];
        if (best.ref == 0 || entry->key < least) {
            const struct choice found = choose_in_queue(core, worker, &core->queues[entry->ref]);
            if (found.ref != 0) {
                best = found;
                least = entry->key;
            }
        }
    }
    return best;
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

/* One more task for the worker's poll; false when there is none for it or the answer is full. */
static bool take_one(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    if (!wants_more(core, worker)) {
        return false;
    }
    const struct choice choice = choose(core, worker);
    if (choice.ref == 0) {
        return false;
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

/* The parked worker that fits best; 0: none. Begins at another place each time, looks at no more than PARKED_SCAN_MAX. */
static uint32_t best_parked(struct jq_core *core, uint16_t class_index) {
    uint32_t best = 0, eligible = 0;
    struct rating best_rating = {0};
    core->parked_turn++;
    for (uint32_t i = 0; i < core->parked_count && eligible < PARKED_SCAN_MAX; i++) {
        const uint32_t index = core->parked[(core->parked_turn + i) % core->parked_count];
        struct worker *worker = worker_at(core, index);
        if (!wants_more(core, worker) || worker->tried_stamp == core->dispatch_stamp) {
            continue;
        }
        const struct plan *plan = profile_plan(core, worker->profile, class_index);
        const int alternative = plan->possible ? plan_fits(worker, plan) : -1;
        if (alternative < 0) {
            continue;
        }
        eligible++;
        const struct rating rating = {left_over(worker, plan, alternative), plan->want, worker->lease_count};
        if (best == 0 || rates_better(&rating, &best_rating)) {
            best = index;
            best_rating = rating;
        }
    }
    return best;
}

static void dispatch_class(struct jq_core *core, uint16_t class_index) {
    core->dispatch_stamp++;
    while (core->classes[class_index].ready > 0 && core->classes[class_index].blocks == 0) {
        const uint32_t index = best_parked(core, class_index);
        if (index == 0) {
            return;
        }
        if (!take_one(core, index)) {
            worker_at(core, index)->tried_stamp = core->dispatch_stamp;
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
        if (core->parked_count > 0) {
            dispatch_class(core, core->hot[i]);
        }
    }
    core->hot_count = 0;
}
