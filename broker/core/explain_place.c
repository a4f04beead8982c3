/* explain_place.c - of an explanation the task's place in its queue, and the time it can expect. */
#include "broker/core/explain.h"

enum { DRAIN_STALE_MS = 60000 };

static int64_t level_tasks(const struct jq_core *core, const struct level *level) {
    int64_t count = 0;
    for (uint32_t i = 0; i < level->count; i++) {
        count += (int64_t)bucket_at(core, level->entries[i].bucket)->count;
    }
    return count;
}

/* Tasks of its own lane that go before it: an estimate, for ids and order mostly agree. */
static int64_t lane_tasks_before(const struct jq_core *core, const struct task *task, const struct lane *lane) {
    const struct task *first = task_at(core, lane_first(core, lane, false));
    if (!task_before(first, task)) {
        return 0;
    }
    const int64_t ahead = (int64_t)(task->id - first->id);
    return ahead > 0 && ahead < (int64_t)lane->count ? ahead : (int64_t)lane->count - 1;
}

/* Groups whose turn comes before that of the task's, at most: turns are given out one by one. */
static int64_t groups_before(const struct jq_core *core, const struct task *task, const struct lane *lane) {
    const struct queue *queue = &core->queues[task->queue];
    const struct bucket *bucket = bucket_at(core, lane->bucket);
    if (bucket->turns.count == 0) {
        return 0;
    }
    const int64_t turns = (int64_t)lane_turn(core, lane) - jq_heap_min(&bucket->turns)->key;
    return turns < (int64_t)queue->groups_ready - 1 ? turns : (int64_t)queue->groups_ready - 1;
}

/* Of the other classes at its priority, where all tasks are of one group. */
static int64_t plain_tasks_before(const struct jq_core *core, const struct task *task) {
    const struct level *level = &core->queues[task->queue].levels[task->priority];
    int64_t before = 0;
    for (uint32_t i = 0; i < level->count; i++) {
        const struct level_entry *entry = &level->entries[i];
        if (entry->class_index != task->class_index && entry->id < task->id) {
            const uint64_t ahead = task->id - entry->id;
            const uint64_t count = bucket_at(core, entry->bucket)->count;
            before += (int64_t)(ahead < count ? ahead : count);
        }
    }
    return before;
}

/* Tasks that go before it in its queue: those of higher priority, those of its own group, and as many of each other group. */
static int64_t tasks_before(const struct jq_core *core, const struct task *task) {
    const struct queue *queue = &core->queues[task->queue];
    const struct lane *lane = lane_at(core, lane_of(core, task));
    int64_t before = lane_tasks_before(core, task, lane);
    int64_t of_others = level_tasks(core, &queue->levels[task->priority]) - (int64_t)lane->count;
    const int64_t by_turns = before * (int64_t)(queue->groups_ready - 1) + groups_before(core, task, lane);
    if (queue->groups_ready > 1 && by_turns < of_others) {
        of_others = by_turns;
    } else if (queue->groups_ready == 1) {
        of_others = plain_tasks_before(core, task);
    }
    before += of_others > 0 ? of_others : 0;
    for (int priority = LEVEL_COUNT - 1; priority > task->priority; priority--) {
        before += level_tasks(core, &queue->levels[priority]);
    }
    return before;
}

/* Paused, or behind an open breaker: what the queue did before says nothing of when that ends. */
static bool halted(const struct jq_core *core, const struct task *task) {
    return (core->queues[task->queue].blocks & BLOCK_PAUSED) != 0 ||
           (core->classes[task->class_index].blocks & (BLOCK_HANDLER_BREAKER | BLOCK_SERVICE_BREAKER)) != 0;
}

/* Where the queue has handed out nothing of late its rate says nothing about tomorrow. */
static void expected(const struct jq_core *core, const struct task *task, int64_t before, enum explain_verdict verdict,
                     struct explanation *out) {
    const struct queue *queue = &core->queues[task->queue];
    if (halted(core, task) || verdict == EXPLAIN_STOPPED) {
        explain_add(out, JQ_WHY_EXPECTED_UNKNOWN, JQ_STR("not before what holds it up has gone"), 0);
    } else if (queue->drain_per_s <= 0) {
        explain_add(out, JQ_WHY_EXPECTED_UNKNOWN, JQ_STR("its queue has not been worked on since the broker's start"),
                    0);
    } else if (core->now_ms - queue->drain_mark_ms > DRAIN_STALE_MS) {
        explain_add(out, JQ_WHY_EXPECTED_UNKNOWN, JQ_STR("nothing has left its queue in the last minute"), 0);
    } else {
        const double wait_ms = 1000.0 * ((double)before + 1) / queue->drain_per_s;
        explain_add(out, JQ_WHY_EXPECTED, JQ_STR(""), wait_ms < 1e15 ? (int64_t)wait_ms + 1 : INT64_MAX);
    }
}

void explain_place(struct jq_core *core, const struct task *task, enum explain_verdict verdict,
                   struct explanation *out) {
    if (task->state != JQ_STATE_READY || verdict == EXPLAIN_NEVER) {
        return;
    }
    const int64_t before = tasks_before(core, task);
    const int64_t others = groups_before(core, task, lane_at(core, lane_of(core, task)));
    if (task->group != 0 && others > 0 && group_at(core, task->group)->blocks == 0) {
        explain_add(out, JQ_WHY_GROUP_TURN, group_at(core, task->group)->name, others);
    }
    if (before > 0) {
        explain_add(out, JQ_WHY_BEHIND, JQ_STR(""), before);
    }
    expected(core, task, before, verdict, out);
}
