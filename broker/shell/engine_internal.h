/* engine_internal.h - the struct of the core thread, shared by engine.c and snapshot.c. */
#ifndef JQ_BROKER_SHELL_ENGINE_INTERNAL_H
#define JQ_BROKER_SHELL_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/shell/engine.h"
#include "common/list.h"

/* The call that stands for a snapshot's question about queues. Others are addresses of calls. */
#define JQ_CALL_SNAPSHOT UINT64_C(1)

struct jq_engine {
    struct jq_engine_config config;
    struct jq_inbox inbox;
    struct jq_ledger *ledger;
    struct jq_output output;

    /* The core thread's. */
    int64_t now_ms, wall_ms;
    int64_t moved_ms; /* when the log last moved */
    const struct jq_inbound *current;
    uint64_t step_lsn; /* end of the log when the step under way began */
    uint64_t seen_durable_lsn;
    uint64_t written_lsn; /* that the core was told */
    uint32_t rotations;
    uint64_t prologue_end_lsn; /* of a prologue that is not durable yet; 0: none */
    uint64_t prologue_needs_lsn;
    bool stopping;
    struct jq_metrics_snapshot *snapshot; /* that is being filled */

    atomic_int_fast64_t beat_ns;
    struct jq_inbound stop;

    pthread_mutex_t lock; /* of the flags */
    pthread_cond_t changed;
    bool started, ended;
};

/* Steps the core at the time of this turn. */
void jq_engine_step(struct jq_engine *engine, struct jq_event *event);

/* The answer to a snapshot's question. */
void jq_engine_snapshot_reply(struct jq_engine *engine, const struct jq_reply_effect *reply);

#endif
