/* pressure.c - what is full: queues at depth_max or bytes_max, the broker at its marks; and what is shed to make room.
 *
 * Every mark has hysteresis: what is full stays so until it has come down to the low mark, nine tenths of it. A queue whose policy is
 * shed_lowest keeps what waits in it in a treap by (priority, youngest first), over nodes that other queues do not pay for.
 */
#include "broker/core/state.h"
#include "common/hash.h"

enum { RETRY_AFTER_UNKNOWN_MS = 1000, SHEDS_PER_TASK_MAX = 64 };
static const double retry_after_min_ms = 50, retry_after_max_ms = 60000;

/* ---- shed_lowest: what goes first ---- */

static struct shed_node *node_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->shed_nodes, ref);
}

static bool sheds_before(const struct task *a, const struct task *b) {
    if (a->priority != b->priority) {
        return (a->priority < b->priority) != CANARY(SHED_HIGH);
    }
    return a->id > b->id;
}

static const struct task *task_of_node(const struct jq_core *core, uint32_t ref) {
    return task_at(core, node_at(core, ref)->task);
}

static uint64_t weight_of(const struct jq_core *core, uint32_t ref) {
    return jq_hash_u64(task_of_node(core, ref)->id);
}

/* Cuts `root` into what is shed before `task` and the rest. */
static void shed_split(struct jq_core *core, uint32_t root, const struct task *task, uint32_t *left, uint32_t *right) {
    while (root != 0) {
        struct shed_node *node = node_at(core, root);
        if (sheds_before(task_at(core, node->task), task)) {
            *left = root;
            left = &node->right;
            root = node->right;
        } else {
            *right = root;
            right = &node->left;
            root = node->left;
        }
    }
    *left = 0;
    *right = 0;
}

static uint32_t shed_join(struct jq_core *core, uint32_t left, uint32_t right) {
    uint32_t root = 0;
    uint32_t *open = &root;
    while (left != 0 && right != 0) {
        const bool left_first = weight_of(core, left) > weight_of(core, right);
        struct shed_node *node = node_at(core, left_first ? left : right);
        *open = left_first ? left : right;
        open = left_first ? &node->right : &node->left;
        *(left_first ? &left : &right) = *open;
    }
    *open = left != 0 ? left : right;
    return root;
}

/* The link that names the node of `task`, or, with `weight`, the first node on the way that is lighter. */
static uint32_t *shed_find(struct jq_core *core, uint32_t *root, const struct task *task, const uint64_t *weight) {
    while (*root != 0 && task_of_node(core, *root) != task && (!weight || weight_of(core, *root) > *weight)) {
        struct shed_node *node = node_at(core, *root);
        root = sheds_before(task_at(core, node->task), task) ? &node->right : &node->left;
    }
    return root;
}

static void shed_insert(struct jq_core *core, struct queue *queue, uint32_t task_ref) {
    const uint32_t ref = jq_slab_take(&core->shed_nodes);
    const struct task *task = task_at(core, task_ref);
    const uint64_t weight = jq_hash_u64(task->id);
    uint32_t *place = shed_find(core, &queue->shed_root, task, &weight);
    uint32_t left = 0, right = 0;
    shed_split(core, *place, task, &left, &right);
    *node_at(core, ref) = (struct shed_node){.task = task_ref, .left = left, .right = right};
    *place = ref;
}

static void shed_remove(struct jq_core *core, struct queue *queue, const struct task *task) {
    uint32_t *place = shed_find(core, &queue->shed_root, task, NULL);
    const uint32_t ref = *place;
    JQ_CHECK(ref != 0);
    *place = shed_join(core, node_at(core, ref)->left, node_at(core, ref)->right);
    jq_slab_give(&core->shed_nodes, ref);
}

static uint32_t shed_first(const struct jq_core *core, const struct queue *queue) {
    uint32_t ref = queue->shed_root;
    while (ref != 0 && node_at(core, ref)->left != 0) {
        ref = node_at(core, ref)->left;
    }
    return ref ? node_at(core, ref)->task : 0;
}

/* ---- what waits in a queue ---- */

/* What waits for others stays: those may be running. */
static bool can_be_shed(const struct queue *queue, const struct task *task) {
    return queue->policy == JQ_POLICY_SHED && (task->state == JQ_STATE_SCHEDULED || task->state == JQ_STATE_READY);
}

void queued_add(struct jq_core *core, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    struct queue *queue = &core->queues[task->queue];
    queue->queued_bytes += task->body_size;
    if (can_be_shed(queue, task)) {
        shed_insert(core, queue, ref);
    }
}

void queued_remove(struct jq_core *core, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    struct queue *queue = &core->queues[task->queue];
    queue->queued_bytes -= task->body_size;
    if (can_be_shed(queue, task)) {
        shed_remove(core, queue, task);
    }
    if (core->started && (queue->full || queue->withheld_head != 0)) {
        queue_roomy(core, task->queue);
    }
}

static void shed_everything_in(struct jq_core *core, uint16_t at) {
    uint64_t cursor = 0, page = 0;
    uint32_t place = 0;
    while (jq_map_next(&core->id_pages, &cursor, &page, &place)) {
        for (int i = 0; i < ID_PAGE_COUNT; i++) {
            const uint32_t ref = core->id_page_at[place][i];
            const struct task *task = ref ? task_at(core, ref) : NULL;
            if (task && task->queue == at && can_be_shed(&core->queues[at], task)) {
                shed_insert(core, &core->queues[at], ref);
            }
        }
    }
}

/* Costs a walk over all tasks where a queue with tasks in it becomes one that sheds: at the start, or by an operator's word. */
void queue_policy_set(struct jq_core *core, uint16_t at, enum jq_queue_policy policy) {
    struct queue *queue = &core->queues[at];
    if (queue->policy == policy) {
        return;
    }
    while (queue->shed_root != 0) {
        shed_remove(core, queue, task_of_node(core, queue->shed_root));
    }
    queue->policy = (uint8_t)policy;
    if (policy == JQ_POLICY_SHED && queue->scheduled + queue->ready > 0) {
        shed_everything_in(core, at);
    }
    if (queue->withheld_head != 0) {
        queue_roomy(core, at);
    }
}

/* ---- a queue's marks ---- */

uint64_t queue_depth(const struct queue *queue) {
    return queue->scheduled + queue->ready + queue->waiting + queue->blocked;
}

uint64_t queue_depth_max(const struct jq_core *core, const struct queue *queue) {
    const uint64_t configured = queue->depth_max ? queue->depth_max : core->config.depth_max;
    return queue->set.depth_max ? queue->set.depth_max : configured;
}

uint64_t queue_bytes_max(const struct jq_core *core, const struct queue *queue) {
    return queue->bytes_max ? queue->bytes_max : core->config.bytes_max;
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
                           core->shed_nodes.used_count * (uint64_t)core->shed_nodes.item_size_bytes +
                           window_memory_bytes(core) + core->extra_bytes;
    const uint64_t high = core->config.memory_max;
    mark_set(core, &core->memory_busy, core->memory_busy ? bytes > high / 8 * 7 : bytes >= high, JQ_STR("memory_max"));
    const uint64_t low = core->config.disk_free_min;
    mark_set(core, &core->disk_busy,
             core->disk_busy ? core->disk_free_bytes < low / 8 * 9 : core->disk_free_bytes < low,
             JQ_STR("disk_free_min"));
}
