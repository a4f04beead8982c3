#include "broker/shell/policy.h"

static void limits(const struct jq_broker_settings *settings, struct jq_core_config *policy) {
    policy->depth_max = (uint64_t)settings->depth_max;
    policy->memory_max = (uint64_t)settings->memory_max_bytes;
    policy->disk_free_min = (uint64_t)settings->disk_free_min_bytes;
    policy->classes_max = (uint32_t)settings->classes_max;
    policy->queues_max = (uint32_t)settings->queues_max;
    policy->workers_max = (uint32_t)settings->workers_max;
    policy->senders_max = (uint32_t)settings->senders_max;
    policy->finished_max = (uint64_t)settings->finished_max;
    policy->parked_max = (uint32_t)settings->parked_max;
}

static void queues(const struct jq_broker_settings *settings, struct jq_core_config *policy) {
    const struct jq_queue_settings *items = settings->queues.data;
    const size_t max = sizeof(policy->queues) / sizeof(*policy->queues);
    for (size_t i = 0; i < settings->queues.count && i < max; i++) {
        policy->queues[i].name = items[i].item.name;
        policy->queues[i].depth_max = (uint64_t)items[i].depth_max;
        policy->queue_count = (uint32_t)i + 1;
    }
}

void jq_policy_of(const struct jq_broker_settings *settings, struct jq_core_config *ret_policy) {
    jq_core_config_init(ret_policy);
    limits(settings, ret_policy);
    queues(settings, ret_policy);
    ret_policy->heartbeat_ms = settings->heartbeat_ms;
    ret_policy->liveness_ms = settings->liveness_ms;
    ret_policy->crash_limit = (uint32_t)settings->crash_limit;
    ret_policy->lost_limit = (uint32_t)settings->lost_limit;
    ret_policy->shortage_limit = (uint32_t)settings->shortage_limit;
    ret_policy->aging_interval_ms = settings->aging_interval_ms;
    ret_policy->request_window_ms = settings->request_window_ms;
    ret_policy->key_ttl_ms = settings->key_ttl_ms;
    ret_policy->dead_ttl_ms = settings->dead_ttl_ms;
}
