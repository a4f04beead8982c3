/* choose.c - which task for a worker that asks.
 *
 * Among the queues that have something for it, the one with the least virtual time (stride scheduling: Waldspurger, Weihl,
 * 1995); there the highest priority, then the next group in turn, then the first task in key order. Every eighth lease of a queue
 * goes to its oldest task, once that is old enough.
 *
 * A search begins with the classes that can hand out anything now and that this kind of worker can ever run, a bit each; a
 * class that does not fit now loses its bit when that is found out, so none is tried twice. When no bit is left there is
 * nothing for the worker, whatever waits in whatever queue.
 */
#include "broker/core/state.h"

enum { LANES_LOOKED_AT_MAX = 64 }; /* of a bucket whose lane in turn has nothing for this worker */

/* Within a priority: the next group in turn; of one group the task that was ready first; of those alike the one that would
 * rather have this worker; then the id. */
struct rank {
    uint64_t turn;
    int64_t first_ready_ms;
    int want;
    uint64_t id;
};

/* Of a task that goes before the best but has no room: where it stands. */
struct passed {
    uint32_t bucket; /* 0: none */
    struct rank rank;
    bool aged; /* by its age, whatever its priority */
};

struct search {
    struct jq_core *core;
    const struct worker *worker;
    uint64_t *classes; /* that may fit */
    struct choice best;
    uint64_t turn; /* of the best */
    struct passed passed;
    int64_t reserve_by_ms; /* only a task that is ready since then is noted as passed */
};

/* ---- does it fit? ---- */

int64_t worker_room(const struct worker *worker, uint8_t resource) {
    const int64_t whole = worker_room_whole(worker, resource);
    const int64_t held = worker->hold && !CANARY(HOLD_LEAK) ? worker->hold[resource] : 0;
    return whole > held ? whole - held : (held > 0 ? 0 : whole);
}

int64_t worker_room_whole(const struct worker *worker, uint8_t resource) {
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

typedef int64_t room_function(const struct worker *worker, uint8_t resource);

static inline int first_fitting(const struct worker *worker, const struct plan *plan, room_function *room) {
    for (int a = 0; a < plan->alternative_count; a++) {
        const struct plan_alternative *alternative = &plan->alternatives[a];
        bool fits = alternative->possible;
        for (uint32_t i = 0; fits && i < alternative->count; i++) {
            const struct plan_amount *amount = &plan->amounts[alternative->first + i];
            fits = room(worker, amount->resource) >= (int64_t)amount->amount;
        }
        if (fits) {
            return a;
        }
    }
    return -1;
}

int plan_fits(const struct worker *worker, const struct plan *plan) {
    return first_fitting(worker, plan, worker_room);
}

int plan_fits_whole(const struct worker *worker, const struct plan *plan) {
    return first_fitting(worker, plan, worker_room_whole);
}

/* The alternative by which the class would run there, or -1: then it is out of this search. */
static int class_fits(struct search *search, uint16_t class_index) {
    if (!bit_test(search->classes, class_index)) {
        return -1;
    }
    const struct plan *plan = profile_plan(search->core, search->worker->profile, class_index);
    const int alternative = plan_fits(search->worker, plan);
    bit_set(search->classes, class_index, alternative >= 0);
    return alternative;
}

/* ---- the classes that may fit ---- */

static void plans_make(struct jq_core *core, struct profile *profile, uint32_t word) {
    for (uint64_t left = core->open_classes[word] & ~profile->known[word]; left != 0; left &= left - 1) {
        (void)profile_plan(core, profile, (uint16_t)(word * 64 + (uint32_t)__builtin_ctzll(left)));
    }
}

/* False: there is nothing for this worker. */
static bool search_begin(struct search *search) {
    struct jq_core *core = search->core;
    const struct worker *worker = search->worker;
    uint64_t any = 0;
    for (uint32_t word = 0; word < bit_words(core->class_count); word++) {
        plans_make(core, worker->profile, word);
        search->classes[word] = core->open_classes[word] & worker->profile->possible[word];
        any |= search->classes[word];
    }
    for (int i = 0; core->now_ms < worker->shuns_until_ms && i < SHUNS_MAX; i++) {
        if (worker->shuns[i].class_place != 0 && core->now_ms < worker->shuns[i].until_ms) {
            bit_set(search->classes, worker->shuns[i].class_place - 1, false);
        }
    }
    return any != 0;
}

/* ---- one queue ---- */

static bool rank_before(const struct rank *a, const struct rank *b) {
    if (a->turn != b->turn) {
        return a->turn < b->turn;
    }
    if (a->first_ready_ms != b->first_ready_ms) {
        return a->first_ready_ms < b->first_ready_ms;
    }
    if (CANARY(WANT_UPSIDE) && a->want != b->want) {
        return a->want < b->want;
    }
    return a->want != b->want ? a->want > b->want : a->id < b->id;
}

static struct rank rank_of_best(const struct search *search) {
    const struct task *best = task_at(search->core, search->best.ref);
    return (struct rank){search->turn, best->first_ready_ms, search->best.want, best->id};
}

static bool beats(const struct search *search, const struct rank *rank) {
    if (search->best.ref == 0) {
        return true;
    }
    const struct rank best = rank_of_best(search);
    return rank_before(rank, &best);
}

/* ---- whom a worker may have to be kept for: reserve.c ---- */

static bool has_no_room(const struct search *search, uint16_t class_index) {
    const struct jq_core *core = search->core;
    const struct worker *worker = search->worker;
    return bit_test(core->open_classes, class_index) && bit_test(worker->profile->possible, class_index) &&
           worker_shuns_until_ms(core, worker, class_index) == 0;
}

/* Of an entry whose class does not fit. The first of the highest priority is noted. */
static void note_passed(struct search *search, const struct level_entry *entry, struct rank rank, bool aged) {
    const struct jq_core *core = search->core;
    struct passed *passed = &search->passed;
    if (rank.first_ready_ms > search->reserve_by_ms || !reservation_wanted(core, entry->class_index) ||
        !has_no_room(search, entry->class_index)) {
        return;
    }
    const bool alike = passed->bucket != 0 && !passed->aged &&
                       bucket_at(core, passed->bucket)->priority == bucket_at(core, entry->bucket)->priority &&
                       bucket_at(core, passed->bucket)->queue == bucket_at(core, entry->bucket)->queue;
    if (passed->bucket == 0 || (alike && rank_before(&rank, &passed->rank))) {
        *passed = (struct passed){entry->bucket, rank, aged};
    }
}

/* The task noted, if it goes before what was found in the end; 0: none. */
static uint32_t task_passed(struct search *search) {
    struct jq_core *core = search->core;
    const struct passed *passed = &search->passed;
    if (passed->bucket == 0 || search->best.ref == 0) {
        return 0;
    }
    struct bucket *bucket = bucket_at(core, passed->bucket);
    const struct task *best = task_at(core, search->best.ref);
    const struct rank rank = rank_of_best(search);
    bool goes_before = core->queues[bucket->queue].virtual_time <= core->queues[best->queue].virtual_time;
    if (passed->aged) {
        goes_before = goes_before && passed->rank.first_ready_ms < best->first_ready_ms;
    } else if (bucket->queue == best->queue) {
        goes_before = bucket->priority > best->priority ||
                      (bucket->priority == best->priority && rank_before(&passed->rank, &rank));
    }
    const uint32_t lane = passed->aged ? bucket_oldest_lane(core, bucket) : bucket_next_lane(core, bucket);
    return goes_before ? lane_first(core, lane_at(core, lane), false) : 0;
}

/* The lane in turn has only suspects for a worker that runs one: another lane then, of those that come soon. There may be a million;
 * the worker asks again. */
static uint32_t first_without_suspects(const struct jq_core *core, const struct bucket *bucket, uint64_t *ret_turn) {
    uint32_t best = 0;
    for (uint32_t i = 0; i < bucket->turns.count && i < LANES_LOOKED_AT_MAX; i++) {
        const struct lane *lane = lane_at(core, bucket->turns.entries[i].ref);
        const uint32_t first = lane_first(core, lane, true);
        if (first != 0 && (best == 0 || lane_turn(core, lane) < *ret_turn)) {
            best = first;
            *ret_turn = lane_turn(core, lane);
        }
    }
    return best;
}

static void consider(struct search *search, const struct level_entry *entry) {
    struct jq_core *core = search->core;
    if (!bit_test(search->classes, entry->class_index)) {
        const struct rank rank = {entry->turn, entry->first_ready_ms, 0, entry->id};
        note_passed(search, entry, rank, false);
        return;
    }
    const int want = profile_plan(core, search->worker->profile, entry->class_index)->want;
    struct rank rank = {entry->turn, entry->first_ready_ms, want, entry->id};
    if (!beats(search, &rank)) {
        return;
    }
    const int alternative = class_fits(search, entry->class_index);
    if (alternative < 0) {
        note_passed(search, entry, rank, false);
        return;
    }
    struct bucket *bucket = bucket_at(core, entry->bucket);
    const struct lane *lane = lane_at(core, bucket_next_lane(core, bucket));
    rank.turn = lane_turn(core, lane);
    uint32_t first = lane_first(core, lane, search->worker->suspects > 0);
    if (first == 0) {
        first = first_without_suspects(core, bucket, &rank.turn);
    }
    if (first != 0) {
        rank.first_ready_ms = task_at(core, first)->first_ready_ms;
        rank.id = task_at(core, first)->id;
        if (beats(search, &rank)) {
            search->best = (struct choice){first, alternative, want};
            search->turn = rank.turn;
        }
    }
}

static void consider_age(struct search *search, const struct level_entry *entry) {
    struct jq_core *core = search->core;
    const int64_t ready_by_ms = core->now_ms - core->config.aging_interval_ms;
    const struct task *best = search->best.ref ? task_at(core, search->best.ref) : NULL;
    if (entry->oldest_ms > ready_by_ms || (best && entry->oldest_ms > best->first_ready_ms)) {
        return;
    }
    const int alternative = class_fits(search, entry->class_index);
    if (alternative < 0) {
        note_passed(search, entry, (struct rank){.first_ready_ms = entry->oldest_ms}, true);
        return;
    }
    struct bucket *bucket = bucket_at(core, entry->bucket);
    const struct lane *lane = lane_at(core, bucket_oldest_lane(core, bucket));
    const uint32_t first = lane_first(core, lane, search->worker->suspects > 0);
    const struct task *task = first ? task_at(core, first) : NULL;
    if (task && task->at_ms <= ready_by_ms && (!best || task_before(task, best))) {
        search->best = (struct choice){first, alternative, 0};
    }
}

static void search_aged(struct search *search, const struct queue *queue) {
    for (int priority = 0; priority < LEVEL_COUNT; priority++) {
        for (uint32_t i = 0; i < queue->levels[priority].count; i++) {
            consider_age(search, &queue->levels[priority].entries[i]);
        }
    }
}

static void search_queue(struct search *search, const struct queue *queue) {
    if (queue->leases_since_aging + 1 >= AGING_TURN) {
        search_aged(search, queue);
    }
    for (int turn = LEVEL_COUNT - 1; turn >= 0 && search->best.ref == 0; turn--) {
        const int priority = CANARY(ORDER) ? LEVEL_COUNT - 1 - turn : turn;
        for (uint32_t i = 0; i < queue->levels[priority].count; i++) {
            consider(search, &queue->levels[priority].entries[i]);
        }
    }
}

/* ---- all queues ---- */

/* The fairest queue that has something that fits: by the classes, for there may be thousands of queues that have nothing. */
static const struct queue *queue_by_class(struct search *search) {
    struct jq_core *core = search->core;
    const struct queue *best = NULL;
    for (uint32_t word = 0; word < bit_words(core->class_count); word++) {
        for (uint64_t left = search->classes[word]; left != 0; left &= left - 1) {
            const uint16_t class_index = (uint16_t)(word * 64 + (uint32_t)__builtin_ctzll(left));
            const uint32_t seat = class_next_seat(core, class_index);
            const struct queue *queue = seat ? &core->queues[seat_at(core, seat)->queue] : NULL;
            if (queue && (!best || queue->virtual_time < best->virtual_time) && class_fits(search, class_index) >= 0) {
                best = queue;
            }
        }
    }
    return best;
}

/* A worker that runs a suspect takes no other: where suspects stand first, what is behind them must be found by looking. */
static void search_every_queue(struct search *search) {
    const struct jq_heap *active = &search->core->active;
    struct choice best = {0};
    int64_t least = 0;
    for (uint32_t i = 0; i < active->count; i++) {
        if (best.ref == 0 || active->entries[i].key < least) {
            search->best.ref = 0;
            search_queue(search, &search->core->queues[active->entries[i].ref]);
            if (search->best.ref != 0) {
                best = search->best;
                least = active->entries[i].key;
            }
        }
    }
    search->best = best;
}

static void search_all(struct search *search) {
    struct jq_core *core = search->core;
    const struct jq_heap_entry *fairest = jq_heap_min(&core->active);
    if (!fairest || !search_begin(search)) {
        return;
    }
    search_queue(search, &core->queues[fairest->ref]); /* the usual case: it has something */
    if (search->best.ref == 0) {
        const struct queue *other = queue_by_class(search);
        if (other) {
            search_queue(search, other);
        }
        if (other && search->best.ref == 0) {
            search_every_queue(search);
        }
    }
}

struct choice choose(struct jq_core *core, const struct worker *worker) {
    struct search search = {
        .core = core, .worker = worker, .classes = core->searched, .reserve_by_ms = reserve_by_ms(core)};
    if (worker->hold) {
        const struct choice kept = reservation_choice(core, worker);
        if (kept.ref != 0) {
            return kept;
        }
    }
    search_all(&search);
    const uint32_t passed = task_passed(&search);
    if (passed != 0 && reservation_try(core, passed) &&
        worker->hold) { /* this worker: what was found may be held now */
        search = (struct search){.core = core, .worker = worker, .classes = core->searched, .reserve_by_ms = INT64_MIN};
        search_all(&search);
    }
    return search.best;
}
