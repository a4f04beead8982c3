/* reach.c - what an asker may name: tasks and flows of queues that a token does not allow are, for it, not there. */
#include "broker/core/state.h"

bool reach_has_queue(const struct jq_reach *reach, struct jq_str queue) {
    bool has = !reach->limited;
    for (size_t i = 0; i < reach->count && !has; i++) {
        has = jq_glob_match(jq_str_of(reach->globs[i]), queue);
    }
    return has;
}

bool reach_has_task(const struct jq_core *core, const struct jq_reach *reach, const struct task *task) {
    return reach_has_queue(reach, core->queues[task->queue].name);
}

uint32_t task_find_within(struct jq_core *core, const struct jq_reach *reach, jq_task_id id) {
    const uint32_t ref = task_find(core, id);
    return ref != 0 && reach_has_task(core, reach, task_at(core, ref)) ? ref : 0;
}

bool reach_has_flow(const struct jq_core *core, const struct jq_reach *reach, const struct flow *flow) {
    for (uint32_t i = 0; reach->limited && i < flow->queue_count; i++) {
        if (flow->queues[i].count > 0 && !reach_has_queue(reach, core->queues[flow->queues[i].queue].name)) {
            return false;
        }
    }
    return true;
}

struct flow *flow_find_within(const struct jq_core *core, const struct jq_reach *reach, uint64_t first) {
    struct flow *flow = flow_find(core, first, NULL);
    return flow && reach_has_flow(core, reach, flow) ? flow : NULL;
}

bool jq_core_task_within(struct jq_core *core, const struct jq_reach *reach, jq_task_id task) {
    return !reach->limited || task_find_within(core, reach, task) != 0;
}
