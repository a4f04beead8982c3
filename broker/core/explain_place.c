/* explain_place.c - of an explanation the task's place in its queue, and the time it can expect. */
#include "broker/core/explain.h"

enum { DRAIN_STALE_MS = 60000 };

/* Tasks that go before it in its queue: whole buckets of higher priority, and an estimate inside its own. */
static int64_t tasks_before(const struct jq_core *core, const struct task *task) {
    const struct queue *queue = &core->queues[task->queue];
    int64_t before = 0;
    for (int priority = LEVEL_COUNT - 1; priority > task->priority; priority--) {
        for (uint32_t i = 0; i < queue->levels[priority].count; i++) {
            const struct bucket *bucket = jq_slab_at(&core->buckets, queue->levels[priority].buckets[i]);
            before += (int64_t)bucket->count;
        }
    }
    const struct level *level = &queue->levels[task->priority];
    for (uint32_t i = 0; i < level->count; i++) {
        const struct bucket *bucket = jq_slab_at(&core->buckets, level->buckets[i]);
        const uint32_t first = bucket_first(core, bucket, false);
        if (first != 0 && task_before(task_at(core, first), task)) {
            const uint64_t ahead = task->id - task_at(core, first)->id; /* ids and order mostly agree */
            before += (int64_t)(ahead < bucket->count ? ahead : bucket->count);
        }
    }
    return before;
}

/* Where the queue has handed out nothing of late its rate says nothing about tomorrow. */
static void expected(const struct jq_core *core, const struct task *task, int64_t before, struct explanation *out) {
    const struct queue *queue = &core->queues[task->queue];
    if (queue->drain_per_s <= 0) {
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
    if (before > 0) {
        explain_add(out, JQ_WHY_BEHIND, JQ_STR(""), before);
    }
    expected(core, task, before, out);
}
