#include "broker/shell/metrics.h"

#include <stdlib.h>

enum { NAMES_SIZE_MAX = 1024 * 1024 };

/* ---- counting ---- */

static const int64_t bounds_ns[JQ_HISTOGRAM_BUCKET_COUNT] = {
    50000,    100000,   200000,    500000,    1000000,   2000000,    5000000,    10000000,
    20000000, 50000000, 100000000, 200000000, 500000000, 1000000000, 2000000000, 5000000000,
};

int64_t jq_histogram_bound_ns(size_t bucket) {
    return bounds_ns[bucket];
}

void jq_histogram_observe(struct jq_histogram *histogram, int64_t duration_ns) {
    size_t bucket = 0;
    while (bucket < JQ_HISTOGRAM_BUCKET_COUNT && duration_ns > bounds_ns[bucket])
        bucket++;
    jq_count(&histogram->counts[bucket], 1);
    jq_count(&histogram->sum_ns, duration_ns > 0 ? (uint64_t)duration_ns : 0);
}

/* ---- the snapshot ---- */

void jq_metrics_snapshot_init(struct jq_metrics_snapshot *snapshot) {
    *snapshot = (struct jq_metrics_snapshot){.queue_count = 0};
    jq_buf_init(&snapshot->names, NAMES_SIZE_MAX);
}

void jq_metrics_snapshot_fini(struct jq_metrics_snapshot *snapshot) {
    free(snapshot->queues);
    snapshot->queues = NULL;
    free(snapshot->breakers);
    snapshot->breakers = NULL;
    jq_buf_fini(&snapshot->names);
}

static bool snapshot_room(struct jq_metrics_snapshot *snapshot, size_t count) {
    if (snapshot->queue_count + count <= snapshot->queue_capacity)
        return true;
    struct jq_metrics_queue *queues = realloc(snapshot->queues, (snapshot->queue_count + count) * sizeof(*queues));
    if (queues == NULL)
        return false;
    snapshot->queues = queues;
    snapshot->queue_capacity = snapshot->queue_count + count;
    return true;
}

void jq_metrics_snapshot_queues(struct jq_metrics_snapshot *snapshot, const struct jq_queue_row *rows, size_t count) {
    if (!snapshot_room(snapshot, count))
        return;
    for (size_t i = 0; i < count; i++) {
        const size_t name_at = snapshot->names.size;
        jq_buf_append_text(&snapshot->names, rows[i].name);
        if (snapshot->names.failed)
            return;
        snapshot->queues[snapshot->queue_count++] = (struct jq_metrics_queue){
            .name_at = name_at,
            .name_size = rows[i].name.size,
            .paused = rows[i].set.paused,
            .scheduled = rows[i].scheduled,
            .ready = rows[i].ready,
            .running = rows[i].running,
            .dead = rows[i].dead,
            .finished = rows[i].finished,
            .depth_max = rows[i].depth_max,
            .bytes = rows[i].bytes,
            .bytes_max = rows[i].bytes_max,
            .full = rows[i].full,
            .withheld = rows[i].withheld,
            .shed_total = rows[i].shed_total,
            .submitted_total = rows[i].submitted_total,
            .ended_total = rows[i].ended_total,
            .drain_per_s = rows[i].drain_per_s,
            .oldest_ready_ms = rows[i].oldest_ready_ms,
        };
    }
}

static void breaker_copy(struct jq_metrics_breaker *out, const struct jq_breaker_row *row) {
    const char *colon = memchr(row->name.data, ':', row->name.size);
    const size_t prefix = colon ? (size_t)(colon - row->name.data) + 1 : 0;
    const size_t size = row->name.size - prefix < JQ_NAME_SIZE_MAX ? row->name.size - prefix : JQ_NAME_SIZE_MAX;
    *out = (struct jq_metrics_breaker){.kind = row->kind, .state = row->state};
    memcpy(out->name, row->name.data + prefix, size);
}

void jq_metrics_snapshot_breakers(struct jq_metrics_snapshot *snapshot, const struct jq_breaker_row *rows,
                                  size_t count) {
    free(snapshot->breakers);
    snapshot->breaker_count = 0;
    snapshot->breakers = calloc(JQ_METRICS_BREAKERS_MAX, sizeof(*snapshot->breakers));
    for (size_t i = 0; snapshot->breakers && i < count && snapshot->breaker_count < JQ_METRICS_BREAKERS_MAX; i++) {
        if (rows[i].state != JQ_BREAKER_CLOSED)
            breaker_copy(&snapshot->breakers[snapshot->breaker_count++], &rows[i]);
    }
}
