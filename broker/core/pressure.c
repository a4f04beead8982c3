/* pressure.c - what is full: queues at depth_max or bytes_max, the broker at its marks; and what is shed to make room.
 *
 * Every mark has hysteresis: what is full stays so until it has come down to the low mark, nine tenths of it.
 */
#include "broker/core/state.h"

enum { RETRY_AFTER_UNKNOWN_MS = 1000, SHEDS_PER_TASK_MAX = 64 };
static const double retry_after_min_ms = 50, retry_after_max_ms = 60000;

/* ---- a queue's marks ---- */

uint64_t queue_depth(const struct queue *queue) {
    return queue->scheduled + queue->ready + queue->waiting + queue->blocked;
}

uint64_t queue_depth_max(const struct jq_core *core, const struct queue *queue) {
    const uint64_t configured = queue->depth_max ? queue->depth_max : core->config.depth_max;
    return queue->set.depth_max ? queue->set.depth_max : configured;
}

uint64_t queue_bytes_max(const struct jq_core *core, const struct queue *queue) {
    const uint64_t configured = queue->bytes_max ? queue->bytes_max : core->config.bytes_max;
    return queue->set.bytes_max ? queue->set.bytes_max : configured;
}

/* Nine tenths, and always below the mark. */
static uint64_t low_mark(uint64_t high) {
    return high - high / 10 - (high < 10 && high > 0);
}

static bool deep(const struct jq_core *core, const struct queue *queue) {
    return queue_depth(queue) >= queue_depth_max(core, queue);
}

static bool heavy(const struct jq_core *core, const struct queue *queue) {
    const uint64_t most = queue_bytes_max(core, queue);
    return most > 0 && queue->queued_bytes >= most;
}

static bool below_low_marks(const struct jq_core *core, const struct queue *queue) {
    const uint64_t most = queue_bytes_max(core, queue);
    return queue_depth(queue) <= low_mark(queue_depth_max(core, queue)) &&
           (most == 0 || queue->queued_bytes <= low_mark(most));
}

bool queue_note_full(struct jq_core *core, uint16_t at) {
    struct queue *queue = &core->queues[at];
    const bool full = queue->full ? !below_low_marks(core, queue) : deep(core, queue) || heavy(core, queue);
    if (full != queue->full) {
        queue->full = full;
        news_name(core, JQ_NEWS_QUEUE_FULL, queue->name, full);
    }
    return full;
}

/* How long the queue takes down to its low mark at the rate measured. */
int64_t queue_retry_ms(const struct jq_core *core, const struct queue *queue) {
    const uint64_t depth = queue_depth(queue), low = low_mark(queue_depth_max(core, queue));
    const uint64_t bytes_low = low_mark(queue_bytes_max(core, queue));
    double tasks = depth > low ? (double)(depth - low) : 1;
    if (heavy(core, queue) && depth > 0) {
        const double by_bytes = (double)(queue->queued_bytes - bytes_low) * (double)depth / (double)queue->queued_bytes;
        tasks = by_bytes > tasks ? by_bytes : tasks;
    }
    if (queue->drain_per_s <= 0) {
        return RETRY_AFTER_UNKNOWN_MS;
    }
    const double wait_ms = 1000.0 * tasks / queue->drain_per_s;
    return (int64_t)(wait_ms < retry_after_min_ms   ? retry_after_min_ms
                     : wait_ms > retry_after_max_ms ? retry_after_max_ms
                                                    : wait_ms);
}

/* ---- a newcomer ---- */

/* Drops what is less than `priority` until the newcomer fits. False: there is nothing less. */
static bool shed_below(struct jq_core *core, uint16_t at, int priority) {
    struct queue *queue = &core->queues[at];
    for (int i = 0; i < SHEDS_PER_TASK_MAX && (deep(core, queue) || heavy(core, queue)); i++) {
        const uint32_t ref = shed_first(core, queue);
        if (ref == 0 || task_at(core, ref)->priority >= priority) {
            return false;
        }
        queue->shed_total++;
        core->totals.shed_total++;
        task_end(core, ref, JQ_STATE_EXPIRED, JQ_OUTCOME_SHED);
    }
    return !deep(core, queue) && !heavy(core, queue);
}

/* The mark by which a full queue is full. */
static const char *mark_of(const struct jq_core *core, const struct queue *queue) {
    const bool by_depth = queue_depth(queue) > low_mark(queue_depth_max(core, queue));
    return by_depth || queue_bytes_max(core, queue) == 0 ? "depth_max" : "bytes_max";
}

const char *queue_refuses(struct jq_core *core, uint16_t at, int priority, bool woken) {
    struct queue *queue = &core->queues[at];
    const char *mark = mark_of(core, queue);
    if (queue->policy == JQ_POLICY_SHED) {
        return shed_below(core, at, priority) ? NULL : mark;
    }
    return queue_note_full(core, at) || (queue->withheld_head != 0 && !woken) ? mark : NULL;
}

/* Nothing is shed for many: they come or wait as a whole. */
const char *queue_refuses_many(struct jq_core *core, uint16_t at, uint64_t count) {
    const struct queue *queue = &core->queues[at];
    const uint64_t bytes_most = queue_bytes_max(core, queue);
    if (queue_note_full(core, at) || (bytes_most > 0 && queue->queued_bytes > bytes_most)) {
        return mark_of(core, queue);
    }
    return queue_depth(queue) + count > queue_depth_max(core, queue) ? "depth_max" : NULL;
}

bool queue_withholds(struct jq_core *core, uint16_t at) {
    const struct queue *queue = &core->queues[at];
    return queue->policy == JQ_POLICY_BLOCK &&
           (core->memory_busy || core->disk_busy || queue->withheld_head != 0 || queue_note_full(core, at));
}

/* ---- the broker's marks ---- */

static void mark_set(struct jq_core *core, bool *mark, bool busy, struct jq_str name) {
    if (*mark != busy) {
        *mark = busy;
        news_name(core, JQ_NEWS_MARK, name, busy);
        if (!busy) {
            withheld_look_again(core);
        }
    }
}

const char *broker_refuses(const struct jq_core *core, const char **ret_reason) {
    *ret_reason = core->memory_busy ? "the broker's memory is full" : "the broker's disk is full";
    return core->memory_busy ? "memory_max" : core->disk_busy ? "disk_free_min" : NULL;
}

void marks_note(struct jq_core *core) {
    const uint64_t bytes = core->tasks.used_count * (uint64_t)(core->tasks.item_size_bytes + sizeof(uint32_t)) +
                           core->sides.used_count * (uint64_t)core->sides.item_size_bytes +
                           core->nodes.used_count * (uint64_t)core->nodes.item_size_bytes +
                           core->edges.used_count * (uint64_t)core->edges.item_size_bytes +
                           core->flows.used_count * (uint64_t)core->flows.item_size_bytes +
                           core->keys.used_count * (uint64_t)core->keys.item_size_bytes +
                           core->blobs.used_count * (uint64_t)core->blobs.item_size_bytes +
                           core->shed_nodes.used_count * (uint64_t)core->shed_nodes.item_size_bytes +
                           window_memory_bytes(core) + core->extra_bytes;
    const uint64_t high = CANARY(MEMORY_BLIND) ? UINT64_MAX : core->config.memory_max;
    mark_set(core, &core->memory_busy, core->memory_busy ? bytes > high / 8 * 7 : bytes >= high, JQ_STR("memory_max"));
    const uint64_t low = core->config.disk_free_min;
    mark_set(core, &core->disk_busy,
             core->disk_busy ? core->disk_free_bytes < low / 8 * 9 : core->disk_free_bytes < low,
             JQ_STR("disk_free_min"));
}

/* Space for outcomes is kept by handing out no more than it holds: below the mark, too, what runs can end. */
bool disk_has_room(const struct jq_core *core) {
    return core->disk_free_bytes / JQ_FRAME_SIZE_MAX > core->running_count;
}

void disk_note(struct jq_core *core, const struct jq_event *event) {
    core->disk_free_bytes = event->u.disk.free_bytes;
    core->log_bytes = event->u.disk.log_bytes;
    core->stuck_tries = event->u.disk.stuck_tries;
    if (!core->disk_short || !disk_has_room(core)) {
        return;
    }
    core->disk_short = false;
    for (uint32_t i = 0; i < core->parked_count; i++) {
        worker_refill(core, core->parked[i]);
    }
}
