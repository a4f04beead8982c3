/* bucket.c - what of a queue can be handed out: lanes in buckets, buckets in levels, classes in queues.
 *
 * A search goes the same way down: which classes can hand out anything at all (open_classes), in which queue first (the seats of
 * a class), which bucket of a level, which lane of a bucket. Each of these holds only what is not blocked. Turns, ages and
 * virtual times only grow, so a heap may keep an old value as a lower bound until it comes to the top: a lease touches its own
 * bucket and no other.
 */
#include "broker/core/state.h"

/* ---- classes in queues ---- */

static uint64_t seat_key(uint16_t queue, uint16_t class_index) {
    return (uint64_t)queue << 16 | class_index;
}

static void seat_moved(void *ctx, uint32_t ref, uint32_t position) {
    seat_at(ctx, ref)->place = position;
}

void class_seats_init(struct jq_core *core, uint16_t at) {
    jq_heap_init(&core->classes[at].seats, seat_moved, core);
}

void class_note_open(struct jq_core *core, uint16_t at) {
    bit_set(core->open_classes, at, core->classes[at].blocks == 0 && core->classes[at].seats.count > 0);
}

static void seat_set_aside(struct jq_core *core, uint32_t ref) {
    struct seat *seat = seat_at(core, ref);
    struct queue *queue = &core->queues[seat->queue];
    seat->prev = 0;
    seat->next = queue->seats_aside;
    if (seat->next != 0) {
        seat_at(core, seat->next)->prev = ref;
    }
    queue->seats_aside = ref;
}

static void seat_place(struct jq_core *core, uint32_t ref) {
    const struct seat *seat = seat_at(core, ref);
    const struct queue *queue = &core->queues[seat->queue];
    if (queue->blocks != 0) {
        seat_set_aside(core, ref);
        return;
    }
    JQ_CHECK(jq_heap_put(&core->classes[seat->class_index].seats, queue->virtual_time, ref));
    class_note_open(core, seat->class_index);
}

static void seat_remove(struct jq_core *core, uint32_t ref) {
    struct seat *seat = seat_at(core, ref);
    if (seat->place != 0) {
        jq_heap_remove(&core->classes[seat->class_index].seats, seat->place);
        class_note_open(core, seat->class_index);
        return;
    }
    if (seat->prev != 0) {
        seat_at(core, seat->prev)->next = seat->next;
    } else {
        core->queues[seat->queue].seats_aside = seat->next;
    }
    if (seat->next != 0) {
        seat_at(core, seat->next)->prev = seat->prev;
    }
}

static uint32_t seat_take(struct jq_core *core, const struct bucket *bucket) {
    const uint64_t key = seat_key(bucket->queue, bucket->class_index);
    uint32_t ref = jq_map_get(&core->seat_map, key, 0);
    if (ref == 0) {
        ref = jq_slab_take(&core->seats);
        *seat_at(core, ref) = (struct seat){.queue = bucket->queue, .class_index = bucket->class_index};
        JQ_CHECK(jq_map_put(&core->seat_map, key, ref));
        seat_place(core, ref);
    }
    seat_at(core, ref)->buckets++;
    return ref;
}

static void seat_give(struct jq_core *core, uint32_t ref) {
    struct seat *seat = seat_at(core, ref);
    if (--seat->buckets == 0) {
        seat_remove(core, ref);
        JQ_CHECK(jq_map_remove(&core->seat_map, seat_key(seat->queue, seat->class_index)));
        jq_slab_give(&core->seats, ref);
    }
}

/* Blocked queues are taken out when they are met here, not when they are blocked: a queue with many classes that reaches its
 * limit again and again would pay for all of them each time. */
uint32_t class_next_seat(struct jq_core *core, uint16_t at) {
    struct jq_heap *seats = &core->classes[at].seats;
    while (seats->count > 0) {
        const struct jq_heap_entry *first = jq_heap_min(seats);
        const uint32_t ref = first->ref;
        const struct queue *queue = &core->queues[seat_at(core, ref)->queue];
        if (queue->blocks != 0) {
            jq_heap_remove(seats, 1);
            seat_set_aside(core, ref);
        } else if (first->key != queue->virtual_time) {
            jq_heap_update(seats, 1, queue->virtual_time);
        } else {
            return ref;
        }
    }
    class_note_open(core, at);
    return 0;
}

void queue_seats_back(struct jq_core *core, uint16_t at) {
    while (core->queues[at].seats_aside != 0) {
        const uint32_t ref = core->queues[at].seats_aside;
        seat_remove(core, ref);
        seat_place(core, ref);
    }
}

void queue_note_open(struct jq_core *core, uint16_t at) {
    const struct queue *queue = &core->queues[at];
    const bool open = queue->blocks == 0 && queue->open_count > 0;
    if (open && queue->active_position == 0) {
        queue_activate(core, at);
    } else if (!open && queue->active_position != 0) {
        queue_deactivate(core, at);
    }
}

/* ---- buckets in levels ---- */

static struct level *level_of(const struct jq_core *core, const struct bucket *bucket) {
    return &core->queues[bucket->queue].levels[bucket->priority];
}

static struct level_entry *entry_of(const struct jq_core *core, const struct bucket *bucket) {
    return &level_of(core, bucket)->entries[bucket->place - 1];
}

static void level_add(struct jq_core *core, uint32_t ref) {
    struct bucket *bucket = bucket_at(core, ref);
    struct queue *queue = &core->queues[bucket->queue];
    struct level *level = level_of(core, bucket);
    level->entries = array_grow(level->entries, level->count, &level->capacity, sizeof(*level->entries));
    level->entries[level->count++] = (struct level_entry){.bucket = ref, .class_index = bucket->class_index};
    bucket->place = level->count;
    bucket->seat = seat_take(core, bucket);
    queue->levels_used = (uint16_t)(queue->levels_used | 1u << bucket->priority);
    queue->open_count++;
    queue_note_open(core, bucket->queue);
}

static void level_remove(struct jq_core *core, struct bucket *bucket) {
    struct queue *queue = &core->queues[bucket->queue];
    struct level *level = level_of(core, bucket);
    const struct level_entry last = level->entries[--level->count];
    level->entries[bucket->place - 1] = last;
    bucket_at(core, last.bucket)->place = bucket->place;
    bucket->place = 0;
    seat_give(core, bucket->seat);
    if (level->count == 0) {
        queue->levels_used = (uint16_t)(queue->levels_used & ~(1u << bucket->priority));
    }
    queue->open_count--;
    queue_note_open(core, bucket->queue);
}

/* ---- lanes in buckets ---- */

uint64_t lane_turn(const struct jq_core *core, const struct lane *lane) {
    return lane->group != 0 ? group_at(core, lane->group)->turn
                            : core->queues[bucket_at(core, lane->bucket)->queue].plain_turn;
}

static int64_t lane_age(const struct jq_core *core, const struct lane *lane) {
    return task_at(core, lane_first(core, lane, false))->first_ready_ms;
}

static void turn_moved(void *ctx, uint32_t ref, uint32_t position) {
    ((struct jq_core *)ctx)->lane_places[ref].turn = position;
}

static void age_moved(void *ctx, uint32_t ref, uint32_t position) {
    ((struct jq_core *)ctx)->lane_places[ref].age = position;
}

static uint64_t bucket_key(const struct bucket *bucket) {
    return (uint64_t)bucket->queue << 32 | (uint64_t)bucket->priority << 16 | bucket->class_index;
}

uint32_t bucket_take(struct jq_core *core, const struct task *task) {
    const struct bucket wanted = {.queue = task->queue, .class_index = task->class_index, .priority = task->priority};
    uint32_t ref = jq_map_get(&core->bucket_map, bucket_key(&wanted), 0);
    if (ref == 0) {
        ref = jq_slab_take(&core->buckets);
        struct bucket *bucket = bucket_at(core, ref);
        *bucket = wanted;
        jq_heap_init(&bucket->turns, turn_moved, core);
        jq_heap_init(&bucket->ages, age_moved, core);
        JQ_CHECK(jq_map_put(&core->bucket_map, bucket_key(bucket), ref));
    }
    bucket_at(core, ref)->lanes++;
    return ref;
}

void bucket_give(struct jq_core *core, uint32_t ref) {
    struct bucket *bucket = bucket_at(core, ref);
    if (--bucket->lanes == 0) {
        JQ_CHECK(bucket->place == 0);
        JQ_CHECK(jq_map_remove(&core->bucket_map, bucket_key(bucket)));
        jq_heap_fini(&bucket->turns);
        jq_heap_fini(&bucket->ages);
        jq_slab_give(&core->buckets, ref);
    }
}

/* The level's entry says what stands first in the bucket. Where groups take turns the turn decides: the task itself, which would
 * have to be fetched from afar, is left to be looked at when its turn has come. */
static void entry_set_turn(struct jq_core *core, const struct bucket *bucket) {
    const struct jq_heap_entry *next = jq_heap_min(&bucket->turns);
    struct level_entry *entry = entry_of(core, bucket);
    entry->turn = (uint64_t)next->key;
    entry->first_ready_ms = INT64_MIN;
    entry->id = 0;
    if (bucket->turns.count == 1) {
        const struct task *first = task_at(core, lane_first(core, lane_at(core, next->ref), false));
        entry->first_ready_ms = first->first_ready_ms;
        entry->id = first->id;
    }
}

static void entry_set_oldest(struct jq_core *core, const struct bucket *bucket) {
    entry_of(core, bucket)->oldest_ms = jq_heap_min(&bucket->ages)->key;
}

void bucket_open_lane(struct jq_core *core, uint32_t ref) {
    const struct lane *lane = lane_at(core, ref);
    struct bucket *bucket = bucket_at(core, lane->bucket);
    JQ_CHECK(jq_heap_put(&bucket->turns, (int64_t)lane_turn(core, lane), ref));
    JQ_CHECK(jq_heap_put(&bucket->ages, lane_age(core, lane), ref));
    if (bucket->place == 0) {
        level_add(core, lane->bucket);
    }
    if (core->lane_places[ref].turn == 1) {
        entry_set_turn(core, bucket);
    }
    entry_set_oldest(core, bucket);
}

void bucket_close_lane(struct jq_core *core, uint32_t ref) {
    const struct lane *lane = lane_at(core, ref);
    struct bucket *bucket = bucket_at(core, lane->bucket);
    const bool was_next = core->lane_places[ref].turn == 1;
    jq_heap_remove(&bucket->turns, core->lane_places[ref].turn);
    jq_heap_remove(&bucket->ages, core->lane_places[ref].age);
    if (bucket->turns.count == 0) {
        level_remove(core, bucket);
        return;
    }
    if (was_next) {
        entry_set_turn(core, bucket);
    }
    entry_set_oldest(core, bucket);
}

void bucket_head_changed(struct jq_core *core, uint32_t ref) {
    const struct lane *lane = lane_at(core, ref);
    struct bucket *bucket = bucket_at(core, lane->bucket);
    if (!lane_open(core, ref)) {
        return;
    }
    const int64_t age = lane_age(core, lane);
    if (age < bucket->ages.entries[core->lane_places[ref].age - 1].key) {
        jq_heap_update(&bucket->ages, core->lane_places[ref].age, age);
        entry_set_oldest(core, bucket);
    }
    if (core->lane_places[ref].turn == 1) {
        entry_set_turn(core, bucket);
    }
}

uint32_t bucket_next_lane(struct jq_core *core, struct bucket *bucket) {
    bool moved = false;
    for (;;) {
        const struct jq_heap_entry *next = jq_heap_min(&bucket->turns);
        const uint32_t ref = next->ref;
        const int64_t turn = (int64_t)lane_turn(core, lane_at(core, ref));
        if (next->key == turn) {
            if (moved) {
                entry_set_turn(core, bucket);
            }
            return ref;
        }
        jq_heap_update(&bucket->turns, 1, turn);
        moved = true;
    }
}

uint32_t bucket_oldest_lane(struct jq_core *core, struct bucket *bucket) {
    for (;;) {
        const struct jq_heap_entry *oldest = jq_heap_min(&bucket->ages);
        const uint32_t ref = oldest->ref;
        const int64_t age = lane_age(core, lane_at(core, ref));
        if (oldest->key == age) {
            entry_set_oldest(core, bucket);
            return ref;
        }
        jq_heap_update(&bucket->ages, 1, age);
    }
}
