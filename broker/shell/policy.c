#include "broker/shell/policy.h"

#include <stdlib.h>

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void limits(const struct jq_broker_settings *settings, struct jq_core_config *policy) {
    policy->depth_max = (uint64_t)settings->depth_max;
    policy->bytes_max = (uint64_t)settings->bytes_max;
    policy->withheld_max = (uint32_t)settings->withheld_max;
    policy->withheld_bytes_max = (uint64_t)settings->withheld_bytes_max;
    policy->memory_max = (uint64_t)settings->memory_max_bytes;
    policy->log_slack_bytes = (uint64_t)settings->segment_size_bytes / 2;
    policy->disk_free_min = (uint64_t)settings->disk_free_min_bytes;
    policy->blobs_max = (uint64_t)settings->blobs_max;
    policy->cache_entries_max = (uint64_t)settings->cache_max;
    policy->cache_bytes_max = (uint64_t)settings->cache_bytes_max;
    policy->cache_output_bytes_max = (uint64_t)settings->cache_output_bytes_max;
    policy->blob_grace_ms = settings->blob_grace_ms;
    policy->flows_max = (uint32_t)settings->flows_max;
    policy->classes_max = (uint32_t)settings->classes_max;
    policy->queues_max = (uint32_t)settings->queues_max;
    policy->groups_max = (uint32_t)settings->groups_max;
    policy->limits_max = (uint32_t)settings->limits_max;
    policy->workers_max = (uint32_t)settings->workers_max;
    policy->senders_max = (uint32_t)settings->senders_max;
    policy->window_bytes_max = least(policy->memory_max / 8, policy->window_bytes_max);
    policy->finished_max = (uint64_t)settings->finished_max;
    policy->parked_max = (uint32_t)settings->parked_max;
}

/* The settings have passed their check. */
static struct jq_rate rate_of(const char *text) {
    struct jq_rate rate = {0};
    struct jq_error error;
    return jq_rate_parse(jq_str_of(text), &rate, &error) == JQ_OK ? rate : (struct jq_rate){0};
}

static enum jq_err queues(const struct jq_broker_settings *settings, struct jq_core_config *policy,
                          struct jq_error *reterr) {
    const struct jq_queue_settings *items = settings->queues.data;
    const size_t count = settings->queues.count;
    struct jq_queue_config *queues = calloc(count + 1, sizeof(*queues));
    if (queues == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "%zu queues", count);
    for (size_t i = 0; i < count; i++)
        queues[i] = (struct jq_queue_config){.name = items[i].item.name,
                                             .depth_max = (uint64_t)items[i].depth_max,
                                             .bytes_max = (uint64_t)items[i].bytes_max,
                                             .policy = (enum jq_queue_policy)items[i].policy,
                                             .weight = (uint32_t)items[i].weight,
                                             .paused = items[i].paused,
                                             .concurrency = (uint32_t)items[i].concurrency,
                                             .rate = rate_of(items[i].rate)};
    policy->queues = queues;
    policy->queue_count = (uint32_t)count;
    policy->queues_declared = settings->queues_declared;
    return JQ_OK;
}

static struct jq_breaker_config breakers(const struct jq_broker_settings *settings) {
    return (struct jq_breaker_config){.enabled = settings->breaker_enabled,
                                      .window_ms = settings->breaker_window_ms,
                                      .min_calls = (uint32_t)settings->breaker_min_calls,
                                      .failure_percent = (uint32_t)settings->breaker_failure_ratio,
                                      .cool_down_ms = settings->breaker_cool_down_ms,
                                      .cool_down_max_ms = settings->breaker_cool_down_max_ms,
                                      .probes = (uint32_t)settings->breaker_probes};
}

enum jq_err jq_policy_of(const struct jq_broker_settings *settings, struct jq_core_config *ret_policy,
                         struct jq_error *reterr) {
    jq_core_config_init(ret_policy);
    limits(settings, ret_policy);
    ret_policy->heartbeat_ms = settings->heartbeat_ms;
    ret_policy->liveness_ms = settings->liveness_ms;
    ret_policy->crash_limit = (uint32_t)settings->crash_limit;
    ret_policy->lost_limit = (uint32_t)settings->lost_limit;
    ret_policy->shortage_limit = (uint32_t)settings->shortage_limit;
    ret_policy->aging_interval_ms = settings->aging_interval_ms;
    ret_policy->reserve_after_ms = settings->reserve_after_ms;
    ret_policy->request_window_ms = settings->request_window_ms;
    ret_policy->key_ttl_ms = settings->key_ttl_ms;
    ret_policy->dead_ttl_ms = settings->dead_ttl_ms;
    ret_policy->breaker = breakers(settings);
    return queues(settings, ret_policy, reterr);
}

void jq_policy_fini(struct jq_core_config *policy) {
    free((void *)(uintptr_t)policy->queues);
    policy->queues = NULL;
    policy->queue_count = 0;
}

struct jq_decode_config jq_policy_decode(const struct jq_broker_settings *settings) {
    return (struct jq_decode_config){.retry_max = (uint32_t)settings->retry_max,
                                     .retry_base_ms = (uint32_t)settings->retry_base_ms,
                                     .retry_cap_ms = (uint32_t)settings->retry_cap_ms,
                                     .result_ttl_ms = settings->result_ttl_ms,
                                     .wait_ms_max = settings->wait_max_ms};
}
