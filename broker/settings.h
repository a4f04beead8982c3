/* settings.h - what can be configured of the broker: the struct, and the table that fills it (conf/jqbroker.conf).
 *
 * Defaults, bounds and a sentence on each key are in settings.c; the fields here carry their units in their names. A
 * count or size of 0 means "no limit" only where the table says so.
 */
#ifndef JQ_BROKER_SETTINGS_H
#define JQ_BROKER_SETTINGS_H

#include "common/conf.h"

enum jq_auth {
    JQ_AUTH_OFF,
    JQ_AUTH_TOKENS,
};

enum { JQ_SETTINGS_QUEUES_MAX = 1024, JQ_SETTINGS_URLS_MAX = 8 };

#define JQ_BROKER_CONF_FILE "/etc/jqmesh/jqbroker.conf"

/* [queue NAME]: what differs from [limits] for one queue. */
struct jq_queue_settings {
    struct jq_conf_item item;
    int64_t depth_max, bytes_max; /* 0: as [limits] */
    int64_t policy;               /* enum jq_queue_policy */
    int64_t weight;
    bool paused;         /* when it is first defined; later, what was said last counts */
    int64_t concurrency; /* 0: none */
    char *rate;          /* as jq_rate_parse() reads it; empty: none */
};

struct jq_broker_settings {
    /* [broker] */
    char *data_dir;
    int64_t durability; /* enum jq_durability; memory does not pass the check */
    struct jq_conf_list request_urls;
    struct jq_conf_list notice_urls;
    struct jq_conf_list survey_urls;
    char *http_address; /* empty: none */
    int64_t auth;       /* enum jq_auth */
    char *tokens_file;
    int64_t ipc_mode;
    int64_t log_level; /* enum jq_log_level */
    bool queues_declared;
    int64_t drain_ms;

    /* [limits] */
    int64_t depth_max, bytes_max, withheld_max, withheld_bytes_max;
    int64_t memory_max_bytes, disk_free_min_bytes, in_flight_max_bytes, output_max_bytes;
    int64_t flows_max;
    int64_t blobs_max, blob_bytes_max;
    int64_t cache_max, cache_bytes_max, cache_output_bytes_max;
    int64_t classes_max, queues_max, groups_max, limits_max, workers_max, senders_max;
    int64_t finished_max, parked_max, connections_max, wait_max_ms;

    /* [liveness] */
    int64_t heartbeat_ms, liveness_ms;

    /* [retry]: the first three of tasks that do not say it themselves; the limits are for all */
    int64_t retry_max, retry_base_ms, retry_cap_ms;
    int64_t crash_limit, lost_limit, shortage_limit;

    /* [breaker] */
    bool breaker_enabled;
    int64_t breaker_window_ms, breaker_min_calls, breaker_failure_ratio; /* ratio in per cent */
    int64_t breaker_cool_down_ms, breaker_cool_down_max_ms, breaker_probes;

    /* [order] */
    int64_t aging_interval_ms;
    int64_t reserve_after_ms; /* 0: never */

    /* [window] */
    int64_t request_window_ms, key_ttl_ms, result_ttl_ms, dead_ttl_ms, blob_grace_ms;

    /* [journal] */
    int64_t segment_size_bytes, first_segment_size_bytes;
    int64_t retention_ms, retention_bytes;
    char *archive_dir; /* empty: none */
    struct jq_conf_list archive_command;
    int64_t archive_command_ms, archive_keep_ms, archive_bytes_max;

    struct jq_conf_items queues; /* of struct jq_queue_settings */
};

extern const struct jq_conf_schema jq_broker_schema;

/* Defaults, file and --set, then jq_broker_settings_check(). `settings` is zeroed memory; freed by
 * jq_broker_settings_fini(). */
enum jq_err jq_broker_settings_load(const struct jq_conf_args *args, struct jq_broker_settings *settings,
                                    struct jq_error *reterr);
void jq_broker_settings_fini(struct jq_broker_settings *settings);

/* What no single key can tell: liveness of at least 3 heartbeats, no listening beyond loopback without tokens, and the
 * like. */
enum jq_err jq_broker_settings_check(const struct jq_broker_settings *settings, struct jq_error *reterr);

/* The section of that queue, or NULL. */
const struct jq_queue_settings *jq_broker_settings_queue(const struct jq_broker_settings *settings, struct jq_str name);

#endif
