/* block.c - what is not handed out now: paused and limited queues, classes behind an open breaker, workers that drain.
 *
 * Blocking takes the thing out of what dispatch looks at, unblocking puts it back and lets parked workers ask again. None of it
 * is durable: whoever blocks derives it from a durable fact, again after each start.
 */
#include "broker/core/state.h"

/* True when the change made something blocked that was free, or free that was blocked. */
static bool turns(uint8_t *blocks, enum block_reason reason, bool on) {
    const uint8_t before = *blocks;
    *blocks = (uint8_t)(on ? before | (unsigned)reason : before & ~(unsigned)reason);
    return (before == 0) != (*blocks == 0);
}

void class_block(struct jq_core *core, uint16_t at, enum block_reason reason, bool on) {
    if (turns(&core->classes[at].blocks, reason, on) && !on && core->classes[at].ready > 0) {
        class_heat(core, at);
    }
}

static void queue_heat(struct jq_core *core, const struct queue *queue) {
    for (int priority = 0; priority < LEVEL_COUNT; priority++) {
        const struct level *level = &queue->levels[priority];
        for (uint32_t i = 0; i < level->count; i++) {
            const struct bucket *bucket = jq_slab_at(&core->buckets, level->buckets[i]);
            class_heat(core, bucket->class_index);
        }
    }
}

void queue_block(struct jq_core *core, uint16_t at, enum block_reason reason, bool on) {
    struct queue *queue = &core->queues[at];
    if (!turns(&queue->blocks, reason, on) || queue->ready == 0) {
        return;
    }
    if (on) {
        queue_deactivate(core, at);
    } else {
        queue_activate(core, at);
        queue_heat(core, queue); /* parked workers may take what waits */
    }
}

void worker_block(struct jq_core *core, uint32_t index, enum block_reason reason, bool on) {
    if (turns(&worker_at(core, index)->blocks, reason, on) && !on) {
        worker_refill(core, index);
    }
}
