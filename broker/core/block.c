/* block.c - what is not handed out now: paused and limited queues, groups at their limit, classes behind
 * an open breaker, workers that drain.
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
    if (turns(&core->classes[at].blocks, reason, on)) {
        class_note_open(core, at);
        if (!on) {
            class_heat(core, at);
        }
    }
}

void queue_block(struct jq_core *core, uint16_t at, enum block_reason reason, bool on) {
    if (!turns(&core->queues[at].blocks, reason, on)) {
        return;
    }
    if (!on) {
        queue_seats_back(core, at);
        queue_heat(core, at); /* parked workers may take what waits */
    }
    queue_note_open(core, at);
}

void group_block(struct jq_core *core, uint32_t ref, enum block_reason reason, bool on) {
    if (!turns(&group_at(core, ref)->blocks, reason, on)) {
        return;
    }
    for (uint32_t at = group_at(core, ref)->lanes; at != 0; at = lane_at(core, at)->next) {
        if (on) {
            bucket_close_lane(core, at);
        } else {
            bucket_open_lane(core, at);
            class_heat(core, bucket_at(core, lane_at(core, at)->bucket)->class_index);
        }
    }
}

void worker_block(struct jq_core *core, uint32_t index, enum block_reason reason, bool on) {
    if (!turns(&worker_at(core, index)->blocks, reason, on)) {
        return;
    }
    worker_note_able(core, index);
    if (!on) {
        worker_refill(core, index);
    }
}
