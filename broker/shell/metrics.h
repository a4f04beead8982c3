/* metrics.h - what the broker counts, and its text for Prometheus (exposition format 0.0.4).
 *
 * Two sources: counters and histograms that any thread adds to (relaxed atomics, no lock), and a snapshot that the core thread
 * takes when somebody asks. Names are `jqmesh_*`, times in seconds, sizes in bytes.
 */
#ifndef JQ_BROKER_SHELL_METRICS_H
#define JQ_BROKER_SHELL_METRICS_H

#include <stdatomic.h>

#include "broker/core/effect.h"
#include "common/buf.h"

enum { JQ_HISTOGRAM_BUCKET_COUNT = 16 };

/* Buckets from 50 microseconds to 5 seconds; the last one takes what is longer. */
struct jq_histogram {
    atomic_uint_fast64_t counts[JQ_HISTOGRAM_BUCKET_COUNT + 1];
    atomic_uint_fast64_t sum_ns;
};

void jq_histogram_observe(struct jq_histogram *histogram, int64_t duration_ns);
int64_t jq_histogram_bound_ns(size_t bucket); /* upper bound, inclusive */

/* Zeroed memory is a fresh one. */
struct jq_metrics {
    struct jq_histogram submit; /* frame received .. answer handed to the transport */
    struct jq_histogram commit; /* write and sync of one block */
    struct jq_histogram sync;   /* the sync alone */
    atomic_uint_fast64_t replies[JQ_OP_END][JQ_REPLY_UNAVAILABLE + 1];
    atomic_uint_fast64_t retries[JQ_OUTCOME_END];
    atomic_uint_fast64_t ends[JQ_OUTCOME_END];
    atomic_uint_fast64_t slices_read, slices_damaged; /* of the log, read to be moved */
    atomic_uint_fast64_t frames_invalid;              /* could not be decoded */
    atomic_uint_fast64_t frames_denied;               /* no, or not this, permission */
    atomic_uint_fast64_t frames_busy;                 /* above the mark of bytes in flight */
    atomic_uint_fast64_t surveys;                     /* sent */
    atomic_uint_fast64_t survey_responses;
    atomic_uint_fast64_t survey_invalid;
    atomic_uint_fast64_t blocks, block_bytes, records; /* committed */
    atomic_uint_fast64_t rotations, segments_deleted, segments_archived, segments_stuck, segments_pruned;
    atomic_uint_fast64_t segment_failures; /* not a counter: tries in vain, so far, of the one that is to leave next */
    atomic_uint_fast64_t bodies_memory, bodies_disk, bodies_damaged;
    atomic_uint_fast64_t workers_dead;
    atomic_uint_fast64_t blob_bytes_max; /* as the settings have it */
    atomic_uint_fast64_t breaker_changes[JQ_BREAKER_KIND_COUNT][JQ_BREAKER_STATE_COUNT];
};

static inline void jq_count(atomic_uint_fast64_t *counter, uint64_t by) {
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* A queue, as it was when the snapshot was taken. `name` is in `names` of the snapshot. */
struct jq_metrics_queue {
    size_t name_at, name_size;
    bool paused;
    uint64_t scheduled, ready, running, dead, finished, depth_max, submitted_total, ended_total;
    uint64_t bytes, bytes_max, full, withheld, shed_total;
    double drain_per_s;
    int64_t oldest_ready_ms;
};

/* A breaker that is not closed. */
struct jq_metrics_breaker {
    char name[JQ_NAME_SIZE_MAX + 1]; /* of the handler, worker or service */
    enum jq_breaker_kind kind;
    enum jq_breaker_state state;
};

enum { JQ_METRICS_BREAKERS_MAX = 256 };

struct jq_metrics_snapshot {
    struct jq_server_row server;
    uint64_t end_lsn, durable_lsn; /* of the log */
    uint64_t effects_waiting, in_flight_bytes, in_flight_max;
    uint64_t connections, calls_open;
    double uptime_s;
    struct jq_metrics_queue *queues;
    size_t queue_count, queue_capacity;
    struct jq_buf names;
    struct jq_metrics_breaker *breakers;
    size_t breaker_count;
};

void jq_metrics_snapshot_init(struct jq_metrics_snapshot *snapshot);
void jq_metrics_snapshot_fini(struct jq_metrics_snapshot *snapshot);
/* Copies rows. Rows for which there is no memory are left out. */
void jq_metrics_snapshot_queues(struct jq_metrics_snapshot *snapshot, const struct jq_queue_row *rows, size_t count);

/* Copies those that are not closed, JQ_METRICS_BREAKERS_MAX at most. */
void jq_metrics_snapshot_breakers(struct jq_metrics_snapshot *snapshot, const struct jq_breaker_row *rows,
                                  size_t count);

/* Appends all metrics. `version` and `commit` are of the build. */
void jq_metrics_render(const struct jq_metrics *metrics, const struct jq_metrics_snapshot *snapshot,
                       const char *version, struct jq_buf *out);

#endif
