/* ready.c - ready tasks in the order in which they are to run: a lane for each (queue, priority, class, group).
 *
 * Order inside a lane: (first_ready_ms, id). Nearly all tasks arrive in that order and are appended to a list. Those that do
 * not (retries, tasks that were delayed) go to a treap whose heap order is a hash of the id (Seidel, Aragon, "Randomized
 * search trees", 1996), suspects to one of their own, which not every worker may look at. All use the same two links, so none costs
 * memory, and no operation walks the backlog.
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

bool task_before(const struct task *a, const struct task *b) {
    return a->first_ready_ms != b->first_ready_ms ? a->first_ready_ms < b->first_ready_ms : a->id < b->id;
}

/* ---- treap over prev (left) and next (right) ---- */

/* Cuts `root` into tasks before `task` and the rest. Iterative: `left` and `right` are the open ends of both halves. */
static void treap_split(struct jq_core *core, uint32_t root, const struct task *task, uint32_t *left, uint32_t *right) {
    while (root != 0) {
        struct task *node = task_at(core, root);
        if (task_before(node, task)) {
            *left = root;
            left = &node->next;
            root = node->next;
        } else {
            *right = root;
            right = &node->prev;
            root = node->prev;
        }
    }
    *left = 0;
    *right = 0;
}

static uint32_t treap_join(struct jq_core *core, uint32_t left, uint32_t right) {
    uint32_t root = 0;
    uint32_t *open = &root;
    while (left != 0 && right != 0) {
        struct task *a = task_at(core, left);
        struct task *b = task_at(core, right);
        if (jq_hash_u64(a->id) > jq_hash_u64(b->id)) {
            *open = left;
            open = &a->next;
            left = a->next;
        } else {
            *open = right;
            open = &b->prev;
            right = b->prev;
        }
    }
    *open = left != 0 ? left : right;
    return root;
}

static void treap_insert(struct jq_core *core, uint32_t *root, uint32_t ref) {
    struct task *task = task_at(core, ref);
    const uint64_t weight = jq_hash_u64(task->id);
    while (*root != 0 && jq_hash_u64(task_at(core, *root)->id) > weight) {
        struct task *node = task_at(core, *root);
        root = task_before(node, task) ? &node->next : &node->prev;
    }
    uint32_t left = 0, right = 0;
    treap_split(core, *root, task, &left, &right);
    task->prev = left;
    task->next = right;
    *root = ref;
}

static void treap_remove(struct jq_core *core, uint32_t *root, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    while (*root != ref) {
        JQ_CHECK(*root != 0);
        struct task *node = task_at(core, *root);
        root = task_before(node, task) ? &node->next : &node->prev;
    }
    *root = treap_join(core, task->prev, task->next);
}

static uint32_t treap_first(const struct jq_core *core, uint32_t root) {
    while (root != 0 && task_at(core, root)->prev != 0) {
        root = task_at(core, root)->prev;
    }
    return root;
}

/* ---- list ---- */

static void list_append(struct jq_core *core, struct lane *lane, uint32_t ref) {
    struct task *task = task_at(core, ref);
    task->prev = lane->tail;
    task->next = 0;
    if (lane->tail != 0) {
        task_at(core, lane->tail)->next = ref;
    } else {
        lane->head = ref;
    }
    lane->tail = ref;
}

static void list_remove(struct jq_core *core, struct lane *lane, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    if (task->prev != 0) {
        task_at(core, task->prev)->next = task->next;
    } else {
        lane->head = task->next;
    }
    if (task->next != 0) {
        task_at(core, task->next)->prev = task->prev;
    } else {
        lane->tail = task->prev;
    }
}

/* ---- lanes ---- */

#define LANE_OF_NO_GROUP (UINT64_C(1) << 63)

static uint64_t lane_key(const struct task *task) {
    const uint64_t whose = task->group != 0 ? task->group : LANE_OF_NO_GROUP >> 20 | task->queue;
    return whose << 20 | (uint64_t)task->class_index << 4 | task->priority;
}

uint32_t lane_of(const struct jq_core *core, const struct task *task) {
    return jq_map_get(&core->lane_map, lane_key(task), 0);
}

static uint32_t lane_make(struct jq_core *core, const struct task *task) {
    const uint32_t ref = jq_slab_take(&core->lanes);
    struct lane *lane = lane_at(core, ref);
    core->lane_places = array_grow(core->lane_places, ref, &core->lane_place_capacity, sizeof(*core->lane_places));
    core->lane_places[ref] = (struct lane_place){0, 0};
    *lane = (struct lane){.bucket = bucket_take(core, task), .group = task->group};
    if (lane->group != 0) {
        struct group *group = group_at(core, lane->group);
        lane->next = group->lanes;
        if (lane->next != 0) {
            lane_at(core, lane->next)->prev = ref;
        }
        group->lanes = ref;
    }
    JQ_CHECK(jq_map_put(&core->lane_map, lane_key(task), ref));
    return ref;
}

static void lane_drop(struct jq_core *core, const struct task *task, uint32_t ref) {
    const struct lane *lane = lane_at(core, ref);
    if (lane_open(core, ref)) {
        bucket_close_lane(core, ref);
    }
    if (lane->prev != 0) {
        lane_at(core, lane->prev)->next = lane->next;
    } else if (lane->group != 0) {
        group_at(core, lane->group)->lanes = lane->next;
    }
    if (lane->next != 0) {
        lane_at(core, lane->next)->prev = lane->prev;
    }
    JQ_CHECK(jq_map_remove(&core->lane_map, lane_key(task)));
    bucket_give(core, lane->bucket);
    jq_slab_give(&core->lanes, ref);
}

static uint32_t earlier_of(const struct jq_core *core, uint32_t a, uint32_t b) {
    if (a == 0 || b == 0) {
        return a != 0 ? a : b;
    }
    return task_before(task_at(core, a), task_at(core, b)) ? a : b;
}

uint32_t lane_first(const struct jq_core *core, const struct lane *lane, bool no_suspects) {
    const uint32_t first = earlier_of(core, lane->head, treap_first(core, lane->root));
    return no_suspects ? first : earlier_of(core, first, treap_first(core, lane->suspects));
}

static uint32_t *tree_of(const struct jq_core *core, struct lane *lane, const struct task *task) {
    return task_suspect(core, task) ? &lane->suspects : &lane->root;
}

static void lane_insert(struct jq_core *core, struct lane *lane, uint32_t ref) {
    struct task *task = task_at(core, ref);
    const bool in_order = lane->tail == 0 || task_before(task_at(core, lane->tail), task);
    if (in_order && !task_suspect(core, task)) {
        task->flags = (uint8_t)(task->flags & ~TASK_FLAG_IN_TREE);
        list_append(core, lane, ref);
    } else {
        task->flags |= TASK_FLAG_IN_TREE;
        treap_insert(core, tree_of(core, lane, task), ref);
    }
    lane->count++;
}

static bool lane_blocked(const struct jq_core *core, const struct lane *lane) {
    return lane->group != 0 && group_at(core, lane->group)->blocks != 0;
}

/* ---- tasks ---- */

void ready_add(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    const uint32_t known = lane_of(core, task);
    const uint32_t lane_ref = known != 0 ? known : lane_make(core, task);
    struct lane *lane = lane_at(core, lane_ref);
    lane_insert(core, lane, ref);
    group_came(core, task); /* before its lane stands among others by its turn */
    if (known == 0 && !lane_blocked(core, lane)) {
        bucket_open_lane(core, lane_ref);
    } else if (known != 0 && (task->flags & TASK_FLAG_IN_TREE) && lane_first(core, lane, false) == ref) {
        bucket_head_changed(core, lane_ref);
    }
    bucket_at(core, lane->bucket)->count++;
    task->state = JQ_STATE_READY;
    core->classes[task->class_index].ready++;
    core->ready_count++;
    core->queues[task->queue].ready++;
    if (lane_open(core, lane_ref) && core->queues[task->queue].blocks == 0) {
        class_heat(core, task->class_index);
    }
}

void ready_remove(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    const uint32_t lane_ref = lane_of(core, task);
    JQ_CHECK(lane_ref != 0 && task->state == JQ_STATE_READY);
    if (core->reservation_count > 0) {
        reservation_task_left(core, ref);
    }
    struct lane *lane = lane_at(core, lane_ref);
    const bool was_first = lane_first(core, lane, false) == ref;
    if (task->flags & TASK_FLAG_IN_TREE) {
        treap_remove(core, tree_of(core, lane, task), ref);
    } else {
        list_remove(core, lane, ref);
    }
    task->prev = 0;
    task->next = 0;
    bucket_at(core, lane->bucket)->count--;
    if (--lane->count == 0) {
        lane_drop(core, task, lane_ref);
    } else if (was_first) {
        bucket_head_changed(core, lane_ref);
    }
    group_went(core, task);
    core->classes[task->class_index].ready--;
    core->ready_count--;
    core->queues[task->queue].ready--;
}
