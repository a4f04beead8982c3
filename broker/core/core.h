/* core.h - the broker's core: a pure, deterministic state machine. An event goes in; records and effects come out.
 *
 * No clock, socket, file, thread, randomness or log of its own. `step` decides, emits records and changes durable state only by
 * applying what it emitted; `apply` is the only mutator of durable state, so recovery is: apply every record of the log, then
 * jq_core_start(). Session state (parked polls, last-seen times, load, progress) is changed by step, is empty after a start,
 * and is neither in the digest nor in the journal.
 *
 * Ownership: the core copies what it keeps. One thread owns a core.
 * Errors:    what outsiders can cause is answered in an effect. Memory that runs out in spite of `memory_max` stops the process.
 */
#ifndef JQ_BROKER_CORE_CORE_H
#define JQ_BROKER_CORE_CORE_H

#include "broker/core/effect.h"
#include "broker/core/event.h"
#include "broker/core/record.h"
#include "common/err.h"
#include "common/limit.h"

struct jq_zone;

/* What the operator says of one queue. */
struct jq_queue_config {
    const char *name;
    uint64_t depth_max; /* 0: the broker's */
    uint64_t bytes_max; /* 0: the broker's */
    enum jq_queue_policy policy;
    uint32_t weight;      /* its share of the leases beside other queues; 0: 1 */
    bool paused;          /* when it is first defined; a resume holds over restarts */
    uint32_t concurrency; /* 0: none; with `rate`, a limit that holds unless an operator sets another */
    struct jq_rate rate;  /* count 0: none */
};

/* When circuit breakers open, and how they come back. */
struct jq_breaker_config {
    bool enabled;             /* else none opens by itself */
    int64_t window_ms;        /* calls are counted for so long, to a twelfth of it */
    uint32_t min_calls;       /* fewer of them prove nothing */
    uint32_t failure_percent; /* of them */
    int64_t cool_down_ms;     /* of the first opening; each one that follows a failed probe is twice as long */
    int64_t cool_down_max_ms;
    uint32_t probes; /* let through by a half-open one */
};

/* Policy. Read by step only: changing it never changes what an old log means. */
struct jq_core_config {
    uint64_t depth_max;     /* queued tasks per queue; busy from here down to 9/10 of it, like bytes_max */
    uint64_t bytes_max;     /* of the records of queued tasks, per queue; 0: none */
    uint64_t memory_max;    /* bytes of core memory at which submits are refused; resumed at 7/8 of it */
    uint64_t disk_free_min; /* bytes; below: submits are refused; resumed at 9/8 of it */
    uint32_t classes_max, queues_max, groups_max, limits_max, options_max, workers_max, senders_max, answers_max;
    uint64_t
        window_bytes_max; /* of the answers kept for resends; clients get three quarters of it, and of answers_max */
    uint64_t finished_max;
    uint32_t parked_max;         /* parked polls and waits */
    uint64_t log_slack_bytes;    /* what the log may hold beyond twice what is live in it: half a segment */
    uint32_t withheld_max;       /* submits that wait for room in a queue whose policy is block */
    uint64_t withheld_bytes_max; /* of them in all */
    int64_t heartbeat_ms, liveness_ms;
    uint32_t crash_limit, lost_limit, shortage_limit;
    int64_t aging_interval_ms;
    int64_t reserve_after_ms; /* 0: no worker is ever kept for a task */
    int64_t request_window_ms;
    int64_t key_ttl_ms;
    uint32_t flows_max; /* flows of which some task is remembered */
    uint64_t blobs_max;
    uint64_t cache_entries_max;      /* results of pure handlers; 0: none are kept */
    uint64_t cache_bytes_max;        /* of memory */
    uint64_t cache_output_bytes_max; /* of blobs that they hold fast */
    int64_t blob_grace_ms;           /* a blob that nobody refers to is kept so long after it was last asked for */
    int64_t flow_stage_ms;           /* after which a flow that was begun and not committed is dropped */
    struct jq_breaker_config breaker;
    uint32_t slice_tasks;                 /* tasks that a selection looks at in one step */
    uint32_t events_max;                  /* of the last events, kept for those who follow; 0: none */
    int64_t dead_ttl_ms;                  /* 0: dead letters stay until removed */
    const struct jq_queue_config *queues; /* borrowed for the core's life */
    uint32_t queue_count;
    /* The time zone of that name, NULL if there is none; lent until the next JQ_EVENT_ZONES. `zone` may be NULL: UTC alone. */
    const struct jq_zone *(*zone)(void *ctx, struct jq_str name);
    void *zone_ctx;
    bool queues_declared; /* tasks go to queues of `queues` alone; else the first use makes a queue */
};

/* The defaults of conf/jqbroker.conf. */
void jq_core_config_init(struct jq_core_config *config);

/* Where a step's output goes. `record` gives the record its place (sets lsn and size) and keeps its bytes; it must not fail:
 * the shell stops the broker if the log cannot take it. `effect` is called after the records it depends on. */
struct jq_output {
    void *ctx;
    void (*record)(void *ctx, struct jq_record *record);
    void (*effect)(void *ctx, const struct jq_effect *effect);
};

struct jq_core;

/* `hash_seed` only spreads keys over tables (take it from the log's id); it changes no decision. */
enum jq_err jq_core_new(const struct jq_core_config *config, uint64_t hash_seed, struct jq_core **ret_core,
                        struct jq_error *reterr);
void jq_core_free(struct jq_core *core);

/* Before the first record, when the log's oldest byte is not its birth (LSN 0): tasks older than it are unknown. */
void jq_core_replay_from(struct jq_core *core, uint64_t lsn);

/* Recovery: each record of the log in order. Returns an error for a record that contradicts the state (a damaged or foreign log);
 * records about tasks that a shortened log no longer introduces are skipped. */
enum jq_err jq_core_replay(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);

/* After the last record: the session begins. `epoch` is that of this run, durable already. Every lease gets a full liveness. */
void jq_core_start(struct jq_core *core, uint64_t epoch, int64_t now_ms, int64_t wall_ms,
                   const struct jq_output *output);

/* Decides. now_ms must not be below that of the step before. */
void jq_core_step(struct jq_core *core, const struct jq_event *event, const struct jq_output *output);

/* When the core next wants to be stepped (JQ_EVENT_TIME), in core time. INT64_MAX: not by itself. */
int64_t jq_core_deadline_ms(const struct jq_core *core);

/* Sum of hashes of durable entries: equal states have equal digests, whatever their history. Kept up to date: O(1). */
uint64_t jq_core_digest(const struct jq_core *core);
/* The same, computed from all entries: for tests of the former. */
uint64_t jq_core_digest_slow(const struct jq_core *core);

/* Every log record from this LSN on is needed; segments wholly below may be deleted once a later prologue is durable. */
uint64_t jq_core_needs_from(const struct jq_core *core);
/* True when so much is needed no more that a prologue (JQ_EVENT_SEGMENT) is worth it, though no new segment begins: a quarter of a
 * segment, and eight times its size. */
bool jq_core_prologue_is_due(const struct jq_core *core);

/* The task for which the worker of that index (as records name it) is kept; 0: none. For tests of Order. */
jq_task_id jq_core_kept_for(const struct jq_core *core, uint32_t worker);

/* True while that lease of the task is current, and is that session's. */
bool jq_core_holds(struct jq_core *core, const struct jq_uuid *session, jq_task_id task, jq_lease_token token);

/* The task is there, for who may name so much; where that is all, known or not. */
bool jq_core_task_within(struct jq_core *core, const struct jq_reach *reach, jq_task_id task);

/* Rows of queues without a request, from *at (0: the first) on: how many, at most `max`; *at is moved on. For reading a log. */
size_t jq_core_queue_rows(struct jq_core *core, uint32_t *at, struct jq_queue_row *ret_rows, size_t max);

/* Blobs that are stored, from *at (0: the first) on; false: that was all. And: is this one? */
bool jq_core_blob_next(const struct jq_core *core, uint32_t *at, struct jq_blob_row *ret_row);
bool jq_core_blob_known(const struct jq_core *core, const uint8_t *hash);

/* A few numbers without a request: for metrics. */
void jq_core_status(const struct jq_core *core, struct jq_server_row *ret_row);

#endif
