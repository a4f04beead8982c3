/* shed.c - queues whose policy is shed_lowest: what waits in them, in the order in which it would be dropped.
 *
 * It stands in a treap by (priority, youngest first), over nodes that other queues do not pay for. A queue that has tasks when it
 * becomes one that sheds, at a start or by an operator's word, finds them a stretch of ids at a time, from the newest down: what
 * it has not found yet it does not drop. One that ceases to shed lets go of them likewise, from the oldest up.
 */
#include "broker/core/state.h"
#include "common/hash.h"

enum { FOUND_PER_STEP = 16384 /* tasks looked at, or pages of ids that are gone */ };

/* ---- the treap ---- */

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

uint32_t shed_first(const struct jq_core *core, const struct queue *queue) {
    uint32_t ref = queue->shed_root;
    while (ref != 0 && node_at(core, ref)->left != 0) {
        ref = node_at(core, ref)->left;
    }
    return ref ? node_at(core, ref)->task : 0;
}

/* ---- what waits in a queue ---- */

/* What waits for others stays: those may be running. */
static bool can_be_shed(const struct queue *queue, const struct task *task) {
    return task->id >= queue->shed_from && (task->state == JQ_STATE_SCHEDULED || task->state == JQ_STATE_READY);
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

/* ---- a queue that becomes one that sheds, or ceases to be ---- */

static bool settled(const struct queue *queue) {
    return queue->shed_from == (queue->policy == JQ_POLICY_SHED ? 0 : UINT64_MAX);
}

/* Takes the task of that id in, or out. */
static void pass(struct jq_core *core, uint16_t at, uint64_t id, uint32_t ref, bool in) {
    struct queue *queue = &core->queues[at];
    const struct task *task = ref != 0 && task_at(core, ref)->queue == at ? task_at(core, ref) : NULL;
    if (!in && task && can_be_shed(queue, task)) {
        shed_remove(core, queue, task);
    }
    queue->shed_from = in ? id : id + 1;
    if (in && task && can_be_shed(queue, task)) {
        shed_insert(core, queue, ref);
    }
}

/* The next page on the way: down to the first id where the queue sheds, else up. */
static void find_page(struct jq_core *core, uint16_t at, int *budget) {
    struct queue *queue = &core->queues[at];
    const bool in = queue->policy == JQ_POLICY_SHED;
    const uint64_t page = (in ? queue->shed_from - 1 : queue->shed_from) / ID_PAGE_COUNT;
    const uint64_t first = page * ID_PAGE_COUNT, end = first + ID_PAGE_COUNT;
    const uint32_t place = jq_map_get(&core->id_pages, page, UINT32_MAX);
    *budget -= place != UINT32_MAX ? ID_PAGE_COUNT : 1;
    if (place == UINT32_MAX) {
        queue->shed_from = in ? first : end;
    }
    while (place != UINT32_MAX && (in ? queue->shed_from > first : queue->shed_from < end)) {
        const uint64_t id = in ? queue->shed_from - 1 : queue->shed_from;
        pass(core, at, id, core->id_page_at[place][id % ID_PAGE_COUNT], in);
    }
}

static void find_some(struct jq_core *core, uint16_t at, int *budget) {
    struct queue *queue = &core->queues[at];
    while (!settled(queue) && *budget > 0) {
        if (queue->policy == JQ_POLICY_SHED && queue->shed_from > core->next_id) {
            queue->shed_from = core->next_id;
        } else if (queue->policy != JQ_POLICY_SHED && (queue->shed_root == 0 || queue->shed_from >= core->next_id)) {
            queue->shed_from = UINT64_MAX;
        } else {
            find_page(core, at, budget);
        }
    }
}

void sheds_find(struct jq_core *core) {
    int budget = FOUND_PER_STEP;
    for (uint32_t at = 0; core->sheds_unsettled && at < core->queue_count; at++) {
        find_some(core, (uint16_t)at, &budget);
        if (budget <= 0) {
            return;
        }
    }
    core->sheds_unsettled = false;
}

int64_t sheds_deadline_ms(const struct jq_core *core) {
    return core->sheds_unsettled ? core->now_ms : INT64_MAX;
}

/* What an operator has set, or else what is configured. */
void queue_policy_follow(struct jq_core *core, uint16_t at) {
    struct queue *queue = &core->queues[at];
    const uint8_t policy = queue->set.policy ? (uint8_t)(queue->set.policy - 1) : queue->policy_configured;
    if (queue->policy == policy) {
        return;
    }
    queue->policy = policy;
    core->sheds_unsettled = true;
    if (core->started) {
        sheds_find(core); /* most have few tasks */
    }
    if (queue->withheld_head != 0) {
        queue_roomy(core, at);
    }
}
