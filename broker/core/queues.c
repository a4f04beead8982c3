/* queues.c - what operators set of a queue at run time: pauses, also such that end by themselves, draining, weight,
 * how much it takes and what it does when it is full.
 *
 * All of it is durable and comes before the configuration, which is asked again where a number is set to 0.
 */
#include "broker/core/state.h"

enum { RESUMED_PER_STEP_MAX = 1000 };

bool queue_is_set(const struct queue *queue) {
    const struct jq_queue_set *set = &queue->set;
    return set->paused || set->draining || set->weight > 0 || set->depth_max > 0 || set->bytes_max > 0 ||
           set->policy > 0;
}

uint32_t queue_weight(const struct queue *queue) {
    const uint32_t configured = queue->weight ? queue->weight : 1;
    return queue->set.weight ? queue->set.weight : configured;
}

void queue_put(struct jq_core *core, uint16_t at, const struct jq_queue_set *set) {
    const struct jq_queue_set before = core->queues[at].set;
    struct jq_record record = {.type = JQ_RECORD_QUEUE_SET, .u.queue_set = {.queue = at, .set = *set}};
    emit(core, &record);
    const struct jq_str name = core->queues[at].name;
    if (before.draining != set->draining) {
        news_name(core, JQ_NEWS_QUEUE_DRAINING, name, set->draining);
    }
    if (before.weight != set->weight || before.depth_max != set->depth_max || before.bytes_max != set->bytes_max ||
        before.policy != set->policy) {
        news_name(core, JQ_NEWS_QUEUE_TUNED, name, 0);
        queue_roomy(core, at); /* it may be full no more, or full now */
    }
    if (before.paused != set->paused || before.paused_until_wall_ms != set->paused_until_wall_ms) {
        news_name(core, JQ_NEWS_QUEUE_SET, name, set->paused);
    }
}

/* What the queue is set to when the request's changes are made. */
static struct jq_queue_set changed(const struct queue *queue, uint32_t given, const struct jq_queue_set *to) {
    struct jq_queue_set set = queue->set;
    if (given & JQ_QUEUE_SETTING_PAUSED) {
        set.paused = to->paused;
        set.paused_until_wall_ms = to->paused && given & JQ_QUEUE_SETTING_UNTIL ? to->paused_until_wall_ms : 0;
    }
    if (given & JQ_QUEUE_SETTING_DRAINING) {
        set.draining = to->draining;
    }
    if (given & JQ_QUEUE_SETTING_DEPTH_MAX) {
        set.depth_max = to->depth_max;
    }
    if (given & JQ_QUEUE_SETTING_WEIGHT) {
        set.weight = to->weight;
    }
    if (given & JQ_QUEUE_SETTING_BYTES_MAX) {
        set.bytes_max = to->bytes_max;
    }
    if (given & JQ_QUEUE_SETTING_POLICY) {
        set.policy = to->policy;
    }
    return set;
}

void queue_set_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    const struct jq_queue_set *to = &request->u.queue_set.set;
    if (request->u.queue_set.given & JQ_QUEUE_SETTING_UNTIL && to->paused_until_wall_ms <= core->wall_ms) {
        reply_refuse(core, request, JQ_REPLY_INVALID, "until_ms", "that time has passed");
        return;
    }
    uint16_t at = 0;
    const enum jq_reply verdict = queue_intern(core, request->u.queue_set.name, &at);
    if (verdict == JQ_REPLY_NOT_FOUND) {
        reply_refuse(core, request, verdict, "name", "not declared");
        return;
    }
    if (verdict != JQ_REPLY_OK) {
        reply_refuse(core, request, verdict, "limits", "queues_max reached");
        return;
    }
    const struct jq_queue_set set = changed(&core->queues[at], request->u.queue_set.given, to);
    queue_put(core, at, &set);
    many_done(core, request, 1);
}

/* ---- pauses that end by themselves ---- */

static bool pause_is_over(const struct jq_core *core, const struct queue *queue) {
    return queue->set.paused_until_wall_ms > 0 && queue->set.paused_until_wall_ms <= core->wall_ms;
}

void queues_wake(struct jq_core *core) {
    if (core->queue_wake_wall_ms > core->wall_ms) {
        return;
    }
    int64_t next_ms = INT64_MAX;
    int resumed = 0;
    for (uint32_t i = 0; i < core->queue_count; i++) {
        if (resumed < RESUMED_PER_STEP_MAX && pause_is_over(core, &core->queues[i])) {
            struct jq_queue_set set = core->queues[i].set;
            set.paused = false;
            set.paused_until_wall_ms = 0;
            queue_put(core, (uint16_t)i, &set);
            resumed++;
        }
        const int64_t until_ms = core->queues[i].set.paused_until_wall_ms;
        next_ms = until_ms > 0 && until_ms < next_ms ? until_ms : next_ms;
    }
    core->queue_wake_wall_ms = next_ms;
}

int64_t queues_deadline_ms(const struct jq_core *core) {
    const int64_t wall_ms = core->queue_wake_wall_ms;
    return wall_ms == INT64_MAX ? INT64_MAX : wall_ms - (core->wall_ms - core->now_ms);
}
