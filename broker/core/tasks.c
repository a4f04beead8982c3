/* tasks.c - the table of tasks: by reference, by id, by time; their hashes; which segments of the log they pin. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

/* ---- id -> reference: pages of consecutive ids, 4 bytes a task ---- */

static bool page_find(struct jq_core *core, uint64_t number, uint32_t *ret_at) {
    if (core->id_page_cached == number + 1) {
        *ret_at = core->id_page_cached_at;
        return true;
    }
    const uint32_t at = jq_map_get(&core->id_pages, number, UINT32_MAX);
    if (at == UINT32_MAX) {
        return false;
    }
    core->id_page_cached = number + 1;
    core->id_page_cached_at = at;
    *ret_at = at;
    return true;
}

static uint32_t page_add(struct jq_core *core, uint64_t number) {
    uint32_t at = core->id_page_free;
    if (at != UINT32_MAX) {
        core->id_page_free = core->id_page_at[at][0]; /* a free page is linked through its first entry */
        memset(core->id_page_at[at], 0, ID_PAGE_COUNT * sizeof(uint32_t));
    } else {
        uint32_t capacity = core->id_page_capacity;
        core->id_page_at = array_grow(core->id_page_at, core->id_page_count, &capacity, sizeof(*core->id_page_at));
        core->id_page_live =
            array_grow(core->id_page_live, core->id_page_count, &core->id_page_capacity, sizeof(*core->id_page_live));
        at = core->id_page_count++;
        core->id_page_at[at] = calloc(ID_PAGE_COUNT, sizeof(uint32_t));
        JQ_CHECK(core->id_page_at[at] != NULL);
    }
    core->id_page_live[at] = 0;
    JQ_CHECK(jq_map_put(&core->id_pages, number, at));
    return at;
}

static void page_clear(struct jq_core *core, uint64_t id) {
    const uint64_t number = id / ID_PAGE_COUNT;
    uint32_t at = 0;
    JQ_CHECK(page_find(core, number, &at));
    core->id_page_at[at][id % ID_PAGE_COUNT] = 0;
    if (--core->id_page_live[at] == 0) {
        JQ_CHECK(jq_map_remove(&core->id_pages, number));
        core->id_page_cached = 0;
        core->id_page_at[at][0] = core->id_page_free;
        core->id_page_free = at;
    }
}

uint32_t task_find_any(struct jq_core *core, jq_task_id id) {
    uint32_t at = 0;
    return page_find(core, id.value / ID_PAGE_COUNT, &at) ? core->id_page_at[at][id.value % ID_PAGE_COUNT] : 0;
}

uint32_t task_find(struct jq_core *core, jq_task_id id) {
    const uint32_t ref = task_find_any(core, id);
    return ref != 0 && task_is_staged(core, task_at(core, ref)) ? 0 : ref;
}

uint32_t task_add(struct jq_core *core, jq_task_id id) {
    uint32_t at = 0;
    if (!page_find(core, id.value / ID_PAGE_COUNT, &at)) {
        at = page_add(core, id.value / ID_PAGE_COUNT);
    }
    const uint32_t ref = jq_slab_take(&core->tasks);
    core->id_page_at[at][id.value % ID_PAGE_COUNT] = ref;
    core->id_page_live[at]++;
    task_at(core, ref)->id = id.value;
    return ref;
}

static void side_set_error(struct jq_core *core, struct side *side, struct jq_str error) {
    if (side->error) {
        core->extra_bytes -= strlen(side->error) + 1;
        free(side->error);
    }
    side->error = error.size > 0 ? (char *)(uintptr_t)text_copy(error).data : NULL;
    core->extra_bytes += side->error ? error.size + 1 : 0;
}

void task_remove(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    JQ_CHECK(task->timer == 0 && task->lease == 0);
    segment_unpin(core, task->body_lsn, task->body_size);
    if (task->side != 0) {
        struct side *side = jq_slab_at(&core->sides, task->side);
        if (side->last_size != 0) {
            segment_unpin(core, side->last_lsn, side->last_size);
        }
        if (side->submit_lsn != 0) {
            segment_unpin(core, side->submit_lsn, 0);
        }
        side_drop_files(core, side);
        free(side->progress);
        side->progress = NULL;
        side_set_error(core, side, (struct jq_str){NULL, 0});
        jq_slab_give(&core->sides, task->side);
    }
    flow_leave(core, ref);
    node_remove(core, ref);
    core->queues[task->queue].refs--;
    core->classes[task->class_index].refs--;
    core->options[task->options].refs--;
    group_give(core, task->group);
    page_clear(core, task->id);
    jq_slab_give(&core->tasks, ref);
}

/* ---- what few tasks have ---- */

struct side *task_side(struct jq_core *core, struct task *task) {
    if (task->side == 0) {
        task->side = jq_slab_take(&core->sides);
    }
    return jq_slab_at(&core->sides, task->side);
}

void task_set_error(struct jq_core *core, struct task *task, struct jq_str error) {
    if (error.size > 0 || task->side != 0) {
        side_set_error(core, task_side(core, task), error);
    }
}

enum jq_state task_shown(const struct task *task) {
    const enum jq_state state = (enum jq_state)task->state;
    return task->flags & TASK_FLAG_HELD ? JQ_STATE_HELD : state;
}

bool task_suspect(const struct jq_core *core, const struct task *task) {
    const struct side *side = task_side_if(core, task);
    return side && side->losses > 0;
}

/* ---- hashes ---- */

/* Fields are spread by odd constants (bits of the golden ratio and of square roots of primes), added, and mixed once: the digest
 * is to notice differences, not to withstand an adversary. */
#define SPREAD_AT      UINT64_C(0x9e3779b97f4a7c15)
#define SPREAD_READY   UINT64_C(0x6a09e667f3bcc909)
#define SPREAD_SMALL   UINT64_C(0xbb67ae8584caa73b)
#define SPREAD_PLACE   UINT64_C(0x3c6ef372fe94f82b)
#define SPREAD_TOKEN   UINT64_C(0xa54ff53a5f1d36f1)
#define SPREAD_LEASE   UINT64_C(0x510e527fade682d1)
#define SPREAD_EXPIRES UINT64_C(0x9b05688c2b3e6c1f)
#define SPREAD_GROUP   UINT64_C(0x428a2f98d728ae23)
#define SPREAD_SIDE    UINT64_C(0x1f83d9abfb41bd6b)
#define SPREAD_FLOW    UINT64_C(0x5be0cd19137e2179)

/* 0 for a side that holds nothing but a report. */
static uint64_t side_sum(const struct side *side) {
    const uint64_t small = (uint64_t)side->grace_ms << 16 | (uint64_t)side->losses << 8 | side->shortages;
    const uint64_t error = side->error ? jq_hash_bytes(side->error, strlen(side->error), 0) : 0;
    return (uint64_t)side->expires_wall_ms * SPREAD_EXPIRES + small * SPREAD_SIDE + error + side_files_sum(side);
}

uint64_t task_hash(const struct jq_core *core, const struct task *task) {
    const uint8_t state = task->state == JQ_STATE_READY ? (uint8_t)JQ_STATE_SCHEDULED : task->state;
    const uint64_t small = (uint64_t)state << 56 | (uint64_t)task->priority << 48 | (uint64_t)task->attempts << 40 |
                           (uint64_t)task->crashes << 32 | (uint64_t)task->outcome << 24 | (uint64_t)task->runs << 8 |
                           (uint64_t)(task->flags & (TASK_FLAG_ETA | TASK_FLAG_HELD));
    const uint64_t place = (uint64_t)task->options << 32 | (uint64_t)task->queue << 16 | task->class_index;
    uint64_t sum = task->id + (uint64_t)task->at_ms * SPREAD_AT + (uint64_t)task->first_ready_ms * SPREAD_READY +
                   small * SPREAD_SMALL + place * SPREAD_PLACE;
    const struct side *side = task_side_if(core, task);
    if (side) {
        sum += side_sum(side);
    }
    const struct node *node = node_if(core, task);
    if (node && node->flow != 0) {
        sum += flow_at(core, node->flow)->first * SPREAD_FLOW;
    }
    if (task->group != 0) {
        sum += group_at(core, task->group)->hash * SPREAD_GROUP;
    }
    if (task->lease != 0) {
        const struct lease *lease = lease_at(core, task->lease);
        sum += lease->token * SPREAD_TOKEN + ((uint64_t)lease->worker << 8 | lease->alternative) * SPREAD_LEASE;
        sum += lease->units_size ? jq_hash_bytes(lease->units, lease->units_size, 0) : 0;
    }
    return jq_hash_u64(sum);
}

/* ---- timers ---- */

void task_set_timer(struct jq_core *core, uint32_t ref, int64_t at_ms, bool wall) {
    struct task *task = task_at(core, ref);
    JQ_CHECK(task->timer == 0);
    task->flags = (uint8_t)(wall ? task->flags | TASK_FLAG_WALL_TIMER : task->flags & ~TASK_FLAG_WALL_TIMER);
    JQ_CHECK(jq_heap_put(wall ? &core->wall_timers : &core->timers, at_ms, ref));
}

void task_clear_timer(struct jq_core *core, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    if (task->timer != 0) {
        jq_heap_remove(task->flags & TASK_FLAG_WALL_TIMER ? &core->wall_timers : &core->timers, task->timer);
    }
}

/* ---- segments: how many live bodies stand in each ---- */

static struct segment *segment_of(struct jq_core *core, uint64_t lsn) {
    uint32_t low = 0, high = core->segment_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (core->segments[middle].lsn <= lsn) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &core->segments[low];
}

void segment_pin(struct jq_core *core, uint64_t lsn, uint64_t bytes) {
    struct segment *segment = segment_of(core, lsn);
    segment->live++;
    segment->live_bytes += bytes;
    core->live_bytes += bytes;
}

void segment_unpin(struct jq_core *core, uint64_t lsn, uint64_t bytes) {
    struct segment *segment = segment_of(core, lsn);
    JQ_CHECK(segment->live > 0 && segment->live_bytes >= bytes);
    segment->live--;
    segment->live_bytes -= bytes;
    core->live_bytes -= bytes;
}

uint64_t jq_core_needs_from(const struct jq_core *core) {
    for (uint32_t i = 0; i + 1 < core->segment_count; i++) {
        if (core->segments[i].live > 0) {
            return core->segments[i].lsn;
        }
    }
    return core->segments[core->segment_count - 1].lsn;
}

uint64_t tasks_memory_bytes(const struct jq_core *core) {
    return jq_slab_bytes(&core->tasks) + jq_slab_bytes(&core->sides) + jq_slab_bytes(&core->leases) +
           jq_slab_bytes(&core->nodes) + jq_slab_bytes(&core->edges) + jq_slab_bytes(&core->flows) +
           jq_slab_bytes(&core->keys) + jq_slab_bytes(&core->waiters) + jq_slab_bytes(&core->wait_links) +
           (uint64_t)core->id_page_count * ID_PAGE_COUNT * sizeof(uint32_t) + jq_map_memory_bytes(&core->key_map) +
           (uint64_t)(core->timers.capacity + core->wall_timers.capacity) * sizeof(struct jq_heap_entry) +
           jq_slab_bytes(&core->lanes) + jq_slab_bytes(&core->buckets) + jq_map_memory_bytes(&core->lane_map) +
           core->breakers.capacity * sizeof(struct breaker) + window_memory_bytes(core) + jq_slab_bytes(&core->blobs) +
           core->extra_bytes;
}
