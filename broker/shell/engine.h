/* engine.h - the core thread: takes all events that wait, reads the clock once, steps the core for each, and hands records and effects to
 * the ledger; besides, all that goes by time: the core's deadlines, idle marks, prologues of new segments.
 *
 * Threads:   one of its own, the core thread; while that sleeps, a thread that brings a request stands in for it (jq_engine_bring()).
 *            From jq_engine_start() on the core is touched by the one of them whose turn it is, and "core thread" means that one
 *            everywhere. Everything here may be called from any thread. The callbacks `survey` and `effect` run on the core thread,
 *            `release` on that or on the commit thread.
 * Errors:    a log that fails ends in `failed`, which does not return.
 */
#ifndef JQ_BROKER_SHELL_ENGINE_H
#define JQ_BROKER_SHELL_ENGINE_H

#include "broker/core/core.h"
#include "broker/shell/inbound.h"
#include "broker/shell/ledger.h"
#include "broker/shell/metrics.h"
#include "common/clock.h"

struct jq_engine; /* Opaque: jq_engine_new() .. end of the process. */

struct jq_engine_config {
    struct jq_core *core;       /* recovered, not started */
    struct jq_journal *journal; /* open */
    struct jq_metrics *metrics;
    struct jq_core_clock clock;
    size_t ring_size_bytes;
    size_t in_flight_max; /* bytes of requests */
    bool durable_when_written;
    void *ctx; /* first argument of the callbacks */

    void (*survey)(void *ctx, uint32_t survey);
    void (*read_log)(void *ctx, uint64_t from_lsn, uint64_t end_lsn);
    void (*news)(void *ctx, const struct jq_news *news);
    void (*ring)(void *ctx, struct jq_str worker, struct jq_str doorbell);
    /* A reply, a drop or a notice. Returns what shall come out of `release` when the log has come far enough. `inbound`: the request
     * whose step made it, or NULL. */
    struct jq_release_item *(*effect)(void *ctx, const struct jq_effect *effect, const struct jq_inbound *inbound);
    void (*release)(void *ctx, struct jq_release_item *items);
    /* Lease answers whose bodies are still being read from disk: no record of theirs lies below this LSN. UINT64_MAX: there are none. */
    uint64_t (*unsent_lsn)(void *ctx);
    void (*rotated)(void *ctx); /* a new segment has begun */
    /* The prologue of a new segment is durable: nothing below this LSN is needed any more. */
    void (*disposable)(void *ctx, uint64_t below_lsn);
    void (*failed)(void *ctx, const struct jq_error *error);
    /* While stopping: true when every call was answered. */
    bool (*all_answered)(void *ctx);
};

enum jq_err jq_engine_new(const struct jq_engine_config *config, struct jq_engine **ret_engine,
                          struct jq_error *reterr);

/* Starts the core's session and its thread. Returns when the new segment's prologue is durable: then requests may come. */
enum jq_err jq_engine_start(struct jq_engine *engine, struct jq_error *reterr);

/* Where events go. */
struct jq_inbox *jq_engine_inbox(struct jq_engine *engine);

/* As jq_inbox_push(). If the core thread sleeps, this thread takes its turn at once, and may write and sync a small block: a request alone
 * is answered sooner than the core thread would wake. Not with a lock held that a callback or an event takes. */
void jq_engine_bring(struct jq_engine *engine, struct jq_inbox_item *item);

/* The bytes of a whole record, while they are in memory; NULL: read them from the journal. Core thread only, inside `effect`. */
const uint8_t *jq_engine_find(const struct jq_engine *engine, uint64_t lsn, size_t size);

/* Where the log ended when the step under way began: its records lie at or above. Core thread only, inside `effect`. */
uint64_t jq_engine_step_lsn(const struct jq_engine *engine);

/* A moment of the core that is the end of a block, too. Core thread only, inside an errand. */
struct jq_commit_point {
    uint64_t end_lsn; /* of the log: of the block */
    uint64_t digest;  /* of the state */
    int64_t wall_ms;
};
struct jq_commit_point jq_engine_commit_point(struct jq_engine *engine);
/* Core thread only, inside an errand. */
struct jq_core *jq_engine_core(struct jq_engine *engine);
/* `item` comes out of `release` when everything decided so far is durable. Core thread only, inside an errand. */
void jq_engine_release_durable(struct jq_engine *engine, struct jq_release_item *item);

/* No new work: parked calls are answered `draining`; then everything decided becomes durable and is answered, and the thread ends. Once. */
void jq_engine_stop(struct jq_engine *engine);
/* Waits for that. False: not within `timeout_ms`. */
bool jq_engine_wait_end(struct jq_engine *engine, int64_t timeout_ms);

/* Milliseconds since the core thread was last seen alive. */
int64_t jq_engine_silent_ms(const struct jq_engine *engine);

/* Asks the core thread for its numbers. False: no answer within `timeout_ms`. */
bool jq_engine_snapshot(struct jq_engine *engine, int64_t timeout_ms, struct jq_metrics_snapshot *ret_snapshot);

#endif
