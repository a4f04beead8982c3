/* broker_http.c - what the broker tells over HTTP: whether it lives, whether it serves, and its numbers. */
#include "broker/shell/broker_internal.h"
#include "common/log.h"
#include "common/version.h"

enum {
    SILENT_MS_MAX = 10000, /* the core thread was not seen for so long: a commit that takes so long is no health */
    SNAPSHOT_MS_MAX = 2000,
};

static const char *health(void *ctx) {
    struct jq_broker *broker = ctx;
    if (atomic_load(&broker->state) == JQ_BROKER_STARTING)
        return NULL; /* Recovery takes its time. */
    return jq_engine_silent_ms(broker->engine) > SILENT_MS_MAX ? "the core thread hangs" : NULL;
}

static const char *readiness(void *ctx) {
    struct jq_broker *broker = ctx;
    switch (atomic_load(&broker->state)) {
    case JQ_BROKER_STARTING: return "starting";
    case JQ_BROKER_DRAINING: return "draining";
    case JQ_BROKER_SERVING: break;
    }
    return health(ctx);
}

static bool metrics(void *ctx, struct jq_buf *out) {
    struct jq_broker *broker = ctx;
    struct jq_metrics_snapshot snapshot;
    if (atomic_load(&broker->state) == JQ_BROKER_STARTING)
        return false;
    jq_metrics_snapshot_init(&snapshot);
    const bool filled = jq_engine_snapshot(broker->engine, SNAPSHOT_MS_MAX, &snapshot);
    if (filled) {
        struct jq_server_stats stats;
        jq_server_stats(jq_net_server(broker->net), &stats);
        snapshot.connections = stats.peers;
        snapshot.calls_open = stats.calls;
        snapshot.uptime_s = (double)(jq_clock_mono_ns() - broker->begin_ns) / 1e9;
        jq_metrics_render(&broker->metrics, &snapshot, JQ_VERSION, out);
    }
    jq_metrics_snapshot_fini(&snapshot);
    return filled;
}

static bool may_observe(void *ctx, struct jq_str token) {
    struct jq_broker *broker = ctx;
    const struct jq_token *found = jq_tokens_find(&broker->tokens, token);
    return found != NULL && jq_role_allows(found->role, JQ_ROLE_OBSERVER);
}

enum jq_exit jq_broker_open_http(struct jq_broker *broker) {
    const char *address = broker->settings->http_address;
    const struct jq_http_config config = {.address = address,
                                          .ctx = broker,
                                          .health = health,
                                          .readiness = readiness,
                                          .metrics = metrics,
                                          .may_observe = may_observe};
    struct jq_error error;
    bool loopback = false;
    if (address[0] == '\0')
        return JQ_EXIT_OK;
    if (jq_http_address_check(address, &loopback, &error) != JQ_OK) {
        JQ_LOG_ERROR("cannot start", JQ_F_ERR(&error));
        return JQ_EXIT_CONFIG;
    }
    if (!loopback && broker->authority.off) {
        JQ_LOG_ERROR(
            "cannot start: [broker] listen_http is open to other machines: set auth = tokens and tokens_file first",
            JQ_F_STR("listen_http", address));
        return JQ_EXIT_CONFIG;
    }
    if (jq_http_open(&config, &broker->http, &error) == JQ_OK)
        return JQ_EXIT_OK;
    JQ_LOG_ERROR("cannot start", JQ_F_ERR(&error));
    return jq_broker_exit_of(&error, JQ_EXIT_SOFTWARE);
}
