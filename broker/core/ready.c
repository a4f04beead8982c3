/* ready.c - ready tasks in the order in which they are to run: a bucket for each (queue, priority, class).
 *
 * Order inside a bucket: (first_ready_ms, id). Nearly all tasks arrive in that order and are appended to a list. Those that do
 * not (retries, tasks that were delayed) go to a treap whose heap order is a hash of the id (Seidel, Aragon, "Randomized
 * search trees", 1996), suspects to one of their own, which not every worker may look at. All use the same two links, so none costs memory, and no operation walks the backlog.
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

static void list_append(struct jq_core *core, struct bucket *bucket, uint32_t ref) {
    struct task *task = task_at(core, ref);
    task->prev = bucket->tail;
    task->next = 0;
    if (bucket->tail != 0) {
        task_at(core, bucket->tail)->next = ref;
    } else {
        bucket->head = ref;
    }
    bucket->tail = ref;
}

static void list_remove(struct jq_core *core, struct bucket *bucket, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    if (task->prev != 0) {
        task_at(core, task->prev)->next = task->next;
    } else {
        bucket->head = task->next;
    }
    if (task->next != 0) {
        task_at(core, task->next)->prev = task->prev;
    } else {
        bucket->tail = task->prev;
    }
}

/* ---- buckets and levels ---- */

static uint64_t bucket_key(const struct task *task) {
    return (uint64_t)task->queue << 32 | (uint64_t)task->priority << 16 | task->class_index;
}

static void level_add(struct jq_core *core, const struct bucket *bucket, uint32_t ref) {
    struct queue *queue = &core->queues[bucket->queue];
    struct level *level = &queue->levels[bucket->priority];
    level->buckets = array_grow(level->buckets, level->count, &level->capacity, sizeof(*level->buckets));
    ((struct bucket *)jq_slab_at(&core->buckets, ref))->place = level->count;
    level->buckets[level->count++] = ref;
    queue->levels_used = (uint16_t)(queue->levels_used | 1u << bucket->priority);
}

static void level_remove(struct jq_core *core, const struct bucket *bucket) {
    struct queue *queue = &core->queues[bucket->queue];
    struct level *level = &queue->levels[bucket->priority];
    const uint32_t last = level->buckets[--level->count];
    level->buckets[bucket->place] = last;
    ((struct bucket *)jq_slab_at(&core->buckets, last))->place = bucket->place;
    if (level->count == 0) {
        queue->levels_used = (uint16_t)(queue->levels_used & ~(1u << bucket->priority));
    }
}

static uint32_t bucket_make(struct jq_core *core, const struct task *task) {
    const uint64_t key = bucket_key(task);
    uint32_t ref = jq_map_get(&core->bucket_map, key, 0);
    if (ref == 0) {
        ref = jq_slab_take(&core->buckets);
        struct bucket *bucket = jq_slab_at(&core->buckets, ref);
        bucket->queue = task->queue;
        bucket->class_index = task->class_index;
        bucket->priority = task->priority;
        JQ_CHECK(jq_map_put(&core->bucket_map, key, ref));
        level_add(core, bucket, ref);
    }
    return ref;
}

static void bucket_drop(struct jq_core *core, const struct task *task, uint32_t ref) {
    level_remove(core, jq_slab_at(&core->buckets, ref));
    JQ_CHECK(jq_map_remove(&core->bucket_map, bucket_key(task)));
    jq_slab_give(&core->buckets, ref);
}

void class_heat(struct jq_core *core, uint16_t class_index) {
    struct class_entry *entry = &core->classes[class_index];
    if (!entry->hot && core->started) {
        entry->hot = true;
        core->hot[core->hot_count++] = class_index;
    }
}

void ready_add(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    struct bucket *bucket = jq_slab_at(&core->buckets, bucket_make(core, task));
    const bool in_order = bucket->tail == 0 || task_before(task_at(core, bucket->tail), task);
    if (in_order && !task_suspect(core, task)) {
        task->flags = (uint8_t)(task->flags & ~TASK_FLAG_IN_TREE);
        list_append(core, bucket, ref);
    } else {
        task->flags |= TASK_FLAG_IN_TREE;
        treap_insert(core, task_suspect(core, task) ? &bucket->suspects : &bucket->root, ref);
    }
    bucket->count++;
    task->state = JQ_STATE_READY;
    core->classes[task->class_index].ready++;
    core->ready_count++;
    struct queue *queue = &core->queues[task->queue];
    if (queue->ready++ == 0 && queue->blocks == 0) {
        queue_activate(core, task->queue);
    }
    class_heat(core, task->class_index);
}

void ready_remove(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    const uint32_t bucket_ref = jq_map_get(&core->bucket_map, bucket_key(task), 0);
    JQ_CHECK(bucket_ref != 0 && task->state == JQ_STATE_READY);
    struct bucket *bucket = jq_slab_at(&core->buckets, bucket_ref);
    if (task->flags & TASK_FLAG_IN_TREE) {
        treap_remove(core, task_suspect(core, task) ? &bucket->suspects : &bucket->root, ref);
    } else {
        list_remove(core, bucket, ref);
    }
    task->prev = 0;
    task->next = 0;
    if (--bucket->count == 0) {
        bucket_drop(core, task, bucket_ref);
    }
    core->classes[task->class_index].ready--;
    core->ready_count--;
    struct queue *queue = &core->queues[task->queue];
    if (--queue->ready == 0 && queue->blocks == 0) {
        queue_deactivate(core, task->queue);
    }
}

static uint32_t earlier_of(const struct jq_core *core, uint32_t a, uint32_t b) {
    if (a == 0 || b == 0) {
        return a != 0 ? a : b;
    }
    return task_before(task_at(core, a), task_at(core, b)) ? a : b;
}

uint32_t bucket_first(const struct jq_core *core, const struct bucket *bucket, bool no_suspects) {
    const uint32_t first = earlier_of(core, bucket->head, treap_first(core, bucket->root));
    return no_suspects ? first : earlier_of(core, first, treap_first(core, bucket->suspects));
}
