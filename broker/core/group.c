/* group.c - the groups of tasks inside a queue, and whose turn it is.
 *
 * A group is known while a task names it: its text stands in each task's submit record, here it is interned. A group that is
 * served goes behind all others of its queue, whatever the priority and class of what it got; one that comes goes behind those
 * that are there. Tasks that name no group take turns like one more group.
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

enum { GROUP_KEY_SIZE_MAX = 2 + JQ_KEY_SIZE_MAX, GROUP_OVERHEAD_BYTES = 96 };

static struct jq_str group_key(char out[GROUP_KEY_SIZE_MAX], uint16_t queue, struct jq_str name) {
    JQ_CHECK(name.size <= JQ_KEY_SIZE_MAX);
    out[0] = (char)(queue >> 8);
    out[1] = (char)(queue & 0xff);
    memcpy(out + 2, name.data, name.size);
    return (struct jq_str){out, 2 + name.size};
}

uint32_t group_find(const struct jq_core *core, uint16_t queue, struct jq_str name) {
    char buffer[GROUP_KEY_SIZE_MAX];
    return jq_strmap_get(&core->group_names, group_key(buffer, queue, name), 0);
}

static uint32_t group_make(struct jq_core *core, uint16_t queue, struct jq_str name) {
    char buffer[GROUP_KEY_SIZE_MAX];
    const uint32_t ref = jq_slab_take(&core->groups);
    *group_at(core, ref) = (struct group){
        .name = text_copy(name), .hash = jq_hash_bytes(name.data, name.size, 0), .queue = queue, .used = true};
    JQ_CHECK(jq_strmap_put(&core->group_names, group_key(buffer, queue, name), ref));
    core->queues[queue].group_count++;
    core->extra_bytes += 2 * name.size + sizeof(struct group) + GROUP_OVERHEAD_BYTES;
    limit_bind_group(core, ref);
    return ref;
}

static void group_forget(struct jq_core *core, uint32_t ref) {
    limit_unbind_group(core, ref);
    struct group *group = group_at(core, ref);
    char buffer[GROUP_KEY_SIZE_MAX];
    core->extra_bytes -= 2 * group->name.size + sizeof(struct group) + GROUP_OVERHEAD_BYTES;
    core->queues[group->queue].group_count--;
    JQ_CHECK(jq_strmap_remove(&core->group_names, group_key(buffer, group->queue, group->name)));
    free((char *)(uintptr_t)group->name.data);
    group->used = false;
    jq_slab_give(&core->groups, ref);
}

uint32_t group_take(struct jq_core *core, uint16_t queue, struct jq_str name) {
    uint32_t ref = group_find(core, queue, name);
    if (ref == 0) {
        ref = group_make(core, queue, name);
    } else if (group_at(core, ref)->refs == 0) {
        limit_bind_group(core, ref); /* it was kept for its rate alone */
    }
    group_at(core, ref)->refs++;
    return ref;
}

bool group_forget_unused(struct jq_core *core, uint32_t ref) {
    if (group_at(core, ref)->refs > 0 || limit_keeps_group(core, ref)) {
        return false;
    }
    group_forget(core, ref);
    return true;
}

void group_give(struct jq_core *core, uint32_t ref) {
    if (ref != 0 && --group_at(core, ref)->refs == 0) {
        (void)group_forget_unused(core, ref);
    }
}

/* The group of that name in another queue is another group. */
void group_move(struct jq_core *core, struct task *task, uint16_t queue) {
    if (task->group != 0 && queue != task->queue) {
        const uint32_t before = task->group;
        task->group = group_take(core, queue, group_at(core, before)->name);
        group_give(core, before);
    }
}

/* ---- turns ---- */

struct turn {
    uint64_t *last_served;
    uint32_t *ready;
};

static struct turn turn_of(struct jq_core *core, const struct task *task) {
    struct queue *queue = &core->queues[task->queue];
    if (task->group == 0) {
        return (struct turn){&queue->plain_turn, &queue->plain_ready};
    }
    struct group *group = group_at(core, task->group);
    return (struct turn){&group->turn, &group->ready};
}

void group_came(struct jq_core *core, const struct task *task) {
    const struct turn turn = turn_of(core, task);
    if ((*turn.ready)++ == 0) {
        *turn.last_served = ++core->queues[task->queue].turn_last; /* no credit for what it did not want before */
        core->queues[task->queue].groups_ready++;
    }
}

void group_went(struct jq_core *core, const struct task *task) {
    if (--*turn_of(core, task).ready == 0) {
        core->queues[task->queue].groups_ready--;
    }
}

/* One that is alone keeps its turn: nothing that is ordered by it has to move. */
void group_served(struct jq_core *core, const struct task *task) {
    if (core->queues[task->queue].groups_ready > 1 && !CANARY(GROUP_HOG)) {
        *turn_of(core, task).last_served = ++core->queues[task->queue].turn_last;
    }
}
