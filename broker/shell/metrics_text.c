#include "broker/shell/metrics.h"

#include <inttypes.h>
#include <sys/resource.h>

static uint64_t value_of(const atomic_uint_fast64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void head(struct jq_buf *out, const char *name, const char *type, const char *help) {
    jq_buf_append_format(out, "# HELP jqmesh_%s %s\n# TYPE jqmesh_%s %s\n", name, help, name, type);
}

static void gauge(struct jq_buf *out, const char *name, const char *help, uint64_t value) {
    head(out, name, "gauge", help);
    jq_buf_append_format(out, "jqmesh_%s %" PRIu64 "\n", name, value);
}

static void counter(struct jq_buf *out, const char *name, const char *help, uint64_t value) {
    head(out, name, "counter", help);
    jq_buf_append_format(out, "jqmesh_%s %" PRIu64 "\n", name, value);
}

static void histogram(struct jq_buf *out, const char *name, const char *help, const struct jq_histogram *values) {
    const double ns_per_s = 1e9;
    uint64_t count = 0;
    head(out, name, "histogram", help);
    for (size_t i = 0; i < JQ_HISTOGRAM_BUCKET_COUNT; i++) {
        count += value_of(&values->counts[i]);
        jq_buf_append_format(out, "jqmesh_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                             (double)jq_histogram_bound_ns(i) / ns_per_s, count);
    }
    count += value_of(&values->counts[JQ_HISTOGRAM_BUCKET_COUNT]);
    jq_buf_append_format(out, "jqmesh_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    jq_buf_append_format(out, "jqmesh_%s_sum %.9f\n", name, (double)value_of(&values->sum_ns) / ns_per_s);
    jq_buf_append_format(out, "jqmesh_%s_count %" PRIu64 "\n", name, count);
}

static void render_tasks(struct jq_buf *out, const struct jq_server_row *row) {
    head(out, "tasks", "gauge", "Tasks that the broker knows, by state.");
    const struct {
        const char *state;
        uint64_t count;
    } states[] = {
        {"waiting", row->waiting}, {"blocked", row->blocked}, {"scheduled", row->scheduled},    {"ready", row->ready},
        {"running", row->running}, {"dead", row->dead},       {"finished", row->tasks_finished}};
    for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
        jq_buf_append_format(out, "jqmesh_tasks{state=\"%s\"} %" PRIu64 "\n", states[i].state, states[i].count);
    counter(out, "tasks_submitted_total", "Tasks accepted.", row->submitted_total);
    counter(out, "tasks_refused_total", "Tasks refused.", row->refused_total);
    counter(out, "tasks_duplicate_total", "Submits that named the key of an earlier task.", row->duplicate_total);
    counter(out, "tasks_leased_total", "Leases given.", row->leased_total);
    counter(out, "leases_lost_total", "Leases that ended with their worker.", row->lost_total);
    counter(out, "attempts_crashed_total", "Attempts that crashed.", row->crashed_total);
    counter(out, "log_moved_total", "Tasks and reports written again at the log's head.", row->moved_total);
    counter(out, "tasks_shed_total", "Tasks dropped by full queues for others of higher priority.", row->shed_total);
    counter(out, "cache_hits_total", "Tasks answered with a result that was kept.", row->cache_hits_total);
    counter(out, "cache_misses_total", "Tasks looked up in vain.", row->cache_misses_total);
    counter(out, "cache_stored_total", "Results that were kept.", row->cache_stored_total);
    counter(out, "cache_evicted_total", "Results that made room for others.", row->cache_evicted_total);
    counter(out, "submits_withheld_total", "Submits that waited for room in a full queue.", row->withheld_total);
    counter(out, "reports_stale_total", "Reports under a lease that was no longer current.", row->stale_total);
    head(out, "tasks_ended_total", "counter", "Tasks that came to their end, by final state.");
    for (int state = JQ_STATE_SUCCEEDED; state <= JQ_STATE_EXPIRED; state++)
        jq_buf_append_format(out, "jqmesh_tasks_ended_total{state=\"%s\"} %" PRIu64 "\n",
                             jq_state_name((enum jq_state)state), row->ended_total[state]);
}

static void render_outcomes(struct jq_buf *out, const char *name, const char *help,
                            const atomic_uint_fast64_t *counts) {
    head(out, name, "counter", help);
    for (int outcome = JQ_OUTCOME_SUCCESS; outcome < JQ_OUTCOME_END; outcome++) {
        if (value_of(&counts[outcome]) > 0)
            jq_buf_append_format(out, "jqmesh_%s{outcome=\"%s\"} %" PRIu64 "\n", name,
                                 jq_outcome_name((enum jq_outcome)outcome), value_of(&counts[outcome]));
    }
}

static void render_broker(struct jq_buf *out, const struct jq_metrics_snapshot *snapshot) {
    const struct jq_server_row *row = &snapshot->server;
    gauge(out, "epoch", "Number of this run of the broker on its journal.", row->epoch);
    gauge(out, "queues", "Queues.", row->queues);
    gauge(out, "classes", "Interned pairs of need and handler.", row->classes);
    gauge(out, "workers", "Workers registered.", row->workers);
    gauge(out, "workers_alive", "Workers that answer surveys.", row->workers_alive);
    gauge(out, "polls_parked", "Lease polls that wait for a task.", row->parked_polls);
    gauge(out, "waits_parked", "Clients that wait for an outcome.", row->parked_waits);
    gauge(out, "submits_withheld", "Submits that wait for room in a full queue.", row->withheld);
    gauge(out, "senders", "Senders in the request window.", row->senders);
    gauge(out, "keys", "Idempotency keys remembered.", row->keys);
    gauge(out, "schedules", "Schedules.", row->schedules);
    gauge(out, "schedules_troubled", "Schedules that cannot submit, such as for want of a time zone.",
          row->schedules_troubled);
    gauge(out, "cache_entries", "Results of pure handlers that are kept.", row->cache_entries);
    gauge(out, "cache_bytes", "Memory that they take.", row->cache_bytes);
    gauge(out, "cache_output_bytes", "Bytes of blobs that they hold fast.", row->cache_output_bytes);
    gauge(out, "memory_bytes", "Memory of the core.", row->memory_bytes);
    gauge(out, "memory_max_bytes", "Memory of the core at which submits are refused.", row->memory_max);
    gauge(out, "memory_busy", "1 while submits are refused for memory.", row->memory_busy);
    gauge(out, "disk_busy", "1 while submits are refused for disk space.", row->disk_busy);
    gauge(out, "draining", "1 while the broker drains.", row->draining);
    gauge(out, "disk_free_bytes", "Free space where the journal lies.", row->disk_free_bytes);
    gauge(out, "log_bytes", "Size of the journal.", row->log_bytes);
    gauge(out, "log_end_lsn", "Where the log ends.", snapshot->end_lsn);
    gauge(out, "log_durable_lsn", "How far the log is durable.", snapshot->durable_lsn);
    gauge(out, "log_needed_lsn", "From where on the log is needed.", row->needs_from_lsn);
    gauge(out, "log_stuck_tries", "Tries in vain, so far, to archive or delete the segment that is to leave next.",
          row->stuck_tries);
    gauge(out, "blobs", "Blobs stored.", row->blobs);
    gauge(out, "blob_bytes", "Bytes of the blobs stored.", row->blob_bytes);
    gauge(out, "effects_waiting", "Answers that wait for the disk.", snapshot->effects_waiting);
    gauge(out, "in_flight_bytes", "Bytes of requests that are not decided yet.", snapshot->in_flight_bytes);
    gauge(out, "in_flight_max_bytes", "Bytes in flight at which requests are refused.", snapshot->in_flight_max);
    gauge(out, "connections", "Connections to the request socket.", snapshot->connections);
    gauge(out, "calls_open", "Requests that are not answered yet.", snapshot->calls_open);
    head(out, "uptime_seconds", "gauge", "Time since the start of the process.");
    jq_buf_append_format(out, "jqmesh_uptime_seconds %.3f\n", snapshot->uptime_s);
}

static void render_counters(struct jq_buf *out, const struct jq_metrics *metrics) {
    counter(out, "frames_invalid_total", "Frames that are not the protocol.", value_of(&metrics->frames_invalid));
    counter(out, "frames_denied_total", "Requests without permission.", value_of(&metrics->frames_denied));
    counter(out, "frames_busy_total", "Requests refused for bytes in flight.", value_of(&metrics->frames_busy));
    counter(out, "surveys_total", "Surveys sent.", value_of(&metrics->surveys));
    counter(out, "survey_responses_total", "Responses to surveys.", value_of(&metrics->survey_responses));
    counter(out, "survey_responses_invalid_total", "Responses that are not the protocol.",
            value_of(&metrics->survey_invalid));
    counter(out, "workers_dead_total", "Workers declared dead.", value_of(&metrics->workers_dead));
    counter(out, "log_blocks_total", "Blocks committed.", value_of(&metrics->blocks));
    counter(out, "log_written_bytes_total", "Bytes of blocks committed.", value_of(&metrics->block_bytes));
    counter(out, "log_records_total", "Records committed.", value_of(&metrics->records));
    counter(out, "log_rotations_total", "Segments begun since the start.", value_of(&metrics->rotations));
    counter(out, "log_segments_deleted_total", "Segments deleted.", value_of(&metrics->segments_deleted));
    counter(out, "log_segments_archived_total", "Segments put into the archive.",
            value_of(&metrics->segments_archived));
    counter(out, "log_segments_stuck_total", "Times that an old segment could not be archived or deleted.",
            value_of(&metrics->segments_stuck));
    counter(out, "log_segments_pruned_total", "Segments removed from the old end of the archive.",
            value_of(&metrics->segments_pruned));
    gauge(out, "blob_bytes_max", "Bytes of blobs at which puts are refused.", value_of(&metrics->blob_bytes_max));
    counter(out, "log_slices_read_total", "Slices of the log's oldest part read, to move what is live in it.",
            value_of(&metrics->slices_read));
    counter(out, "log_slices_damaged_total", "Such slices that could not be read whole.",
            value_of(&metrics->slices_damaged));
    counter(out, "bodies_memory_total", "Bodies handed out from memory.", value_of(&metrics->bodies_memory));
    counter(out, "bodies_disk_total", "Bodies read back from the journal.", value_of(&metrics->bodies_disk));
    counter(out, "bodies_damaged_total", "Bodies whose checksum did not hold.", value_of(&metrics->bodies_damaged));
    render_outcomes(out, "attempts_retried_total", "Attempts that led to a retry, by outcome.", metrics->retries);
    render_outcomes(out, "attempts_final_total", "Attempts that ended their task, by outcome.", metrics->ends);
    histogram(out, "submit_seconds", "Time from a submit's arrival to its answer.", &metrics->submit);
    histogram(out, "commit_seconds", "Time to write and sync one block.", &metrics->commit);
    histogram(out, "sync_seconds", "Time to sync one block.", &metrics->sync);
}

static void render_replies(struct jq_buf *out, const struct jq_metrics *metrics) {
    head(out, "replies_total", "counter", "Answers, by operation and status.");
    for (int op = JQ_OP_NONE; op < JQ_OP_END; op++) {
        for (int status = 0; status <= JQ_REPLY_UNAVAILABLE; status++) {
            const uint64_t count = value_of(&metrics->replies[op][status]);
            if (count > 0)
                jq_buf_append_format(out, "jqmesh_replies_total{op=\"%s\",status=\"%s\"} %" PRIu64 "\n",
                                     jq_op_name((enum jq_op)op), jq_reply_name((enum jq_reply)status), count);
        }
    }
}

/* A metric with one line for each queue. Names of queues hold no character that would need escaping. */
static void queue_lines(struct jq_buf *out, const struct jq_metrics_snapshot *snapshot, const char *name,
                        size_t offset) {
    for (size_t i = 0; i < snapshot->queue_count; i++) {
        const struct jq_metrics_queue *queue = &snapshot->queues[i];
        uint64_t value;
        memcpy(&value, (const char *)queue + offset, sizeof(value));
        jq_buf_append_format(out, "jqmesh_%s{queue=\"%.*s\"} %" PRIu64 "\n", name, (int)queue->name_size,
                             (const char *)snapshot->names.data + queue->name_at, value);
    }
}

static void render_queue_states(struct jq_buf *out, const struct jq_metrics_snapshot *snapshot) {
    const char *names = (const char *)snapshot->names.data;
    head(out, "queue_paused", "gauge", "1 while a queue is paused.");
    for (size_t i = 0; i < snapshot->queue_count; i++) {
        const struct jq_metrics_queue *queue = &snapshot->queues[i];
        jq_buf_append_format(out, "jqmesh_queue_paused{queue=\"%.*s\"} %d\n", (int)queue->name_size,
                             names + queue->name_at, queue->paused);
    }
    head(out, "queue_oldest_ready_seconds", "gauge", "Age of the longest-ready task of a queue; 0: none is ready.");
    for (size_t i = 0; i < snapshot->queue_count; i++) {
        const struct jq_metrics_queue *queue = &snapshot->queues[i];
        const int64_t age_ms = queue->oldest_ready_ms > 0 ? queue->oldest_ready_ms : 0;
        jq_buf_append_format(out, "jqmesh_queue_oldest_ready_seconds{queue=\"%.*s\"} %.3f\n", (int)queue->name_size,
                             names + queue->name_at, (double)age_ms / 1000.0);
    }
}

static void render_queues(struct jq_buf *out, const struct jq_metrics_snapshot *snapshot) {
    static const struct {
        const char *name, *type, *help;
        size_t offset;
    } rows[] = {
        {"queue_scheduled", "gauge", "Tasks of a queue that are not due.",
         offsetof(struct jq_metrics_queue, scheduled)},
        {"queue_ready", "gauge", "Tasks of a queue that are ready.", offsetof(struct jq_metrics_queue, ready)},
        {"queue_running", "gauge", "Tasks of a queue that run.", offsetof(struct jq_metrics_queue, running)},
        {"queue_dead", "gauge", "Dead letters of a queue.", offsetof(struct jq_metrics_queue, dead)},
        {"queue_depth_max", "gauge", "Depth at which a queue refuses.", offsetof(struct jq_metrics_queue, depth_max)},
        {"queue_bytes", "gauge", "Bytes of the tasks that wait in a queue.", offsetof(struct jq_metrics_queue, bytes)},
        {"queue_bytes_max", "gauge", "Bytes at which a queue refuses; 0 for none.",
         offsetof(struct jq_metrics_queue, bytes_max)},
        {"queue_full", "gauge", "1 from a queue's mark down to nine tenths of it.",
         offsetof(struct jq_metrics_queue, full)},
        {"queue_withheld", "gauge", "Submits that wait for room in a queue.",
         offsetof(struct jq_metrics_queue, withheld)},
        {"queue_shed_total", "counter", "Tasks dropped for others of higher priority.",
         offsetof(struct jq_metrics_queue, shed_total)},
        {"queue_submitted_total", "counter", "Tasks accepted.", offsetof(struct jq_metrics_queue, submitted_total)},
        {"queue_ended_total", "counter", "Tasks ended.", offsetof(struct jq_metrics_queue, ended_total)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        head(out, rows[i].name, rows[i].type, rows[i].help);
        queue_lines(out, snapshot, rows[i].name, rows[i].offset);
    }
    render_queue_states(out, snapshot);
}

/* Names of handlers, workers and services hold no character that would need escaping. */
static void render_breakers(struct jq_buf *out, const struct jq_metrics *metrics,
                            const struct jq_metrics_snapshot *snapshot) {
    head(out, "breaker_state", "gauge", "1 for each circuit breaker that is not closed.");
    for (size_t i = 0; i < snapshot->breaker_count; i++) {
        const struct jq_metrics_breaker *breaker = &snapshot->breakers[i];
        jq_buf_append_format(out, "jqmesh_breaker_state{kind=\"%s\",name=\"%s\",state=\"%s\"} 1\n",
                             jq_breaker_kind_name(breaker->kind), breaker->name, jq_breaker_state_name(breaker->state));
    }
    head(out, "breaker_changes_total", "counter", "Changes of circuit breakers, by kind and by what they became.");
    for (int kind = 0; kind < JQ_BREAKER_KIND_COUNT; kind++) {
        for (int state = 0; state < JQ_BREAKER_STATE_COUNT; state++) {
            jq_buf_append_format(out, "jqmesh_breaker_changes_total{kind=\"%s\",state=\"%s\"} %" PRIu64 "\n",
                                 jq_breaker_kind_name((enum jq_breaker_kind)kind),
                                 jq_breaker_state_name((enum jq_breaker_state)state),
                                 value_of(&metrics->breaker_changes[kind][state]));
        }
    }
}

static void render_process(struct jq_buf *out) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return;
    const double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    jq_buf_append_format(out,
                         "# HELP process_cpu_seconds_total CPU time of the process.\n"
                         "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n",
                         cpu_s);
    jq_buf_append_format(out,
                         "# HELP process_resident_memory_peak_bytes Most memory that the process ever held.\n"
                         "# TYPE process_resident_memory_peak_bytes gauge\n"
                         "process_resident_memory_peak_bytes %ld\n",
                         usage.ru_maxrss * 1024L);
}

void jq_metrics_render(const struct jq_metrics *metrics, const struct jq_metrics_snapshot *snapshot,
                       const char *version, struct jq_buf *out) {
    head(out, "build_info", "gauge", "Always 1; the labels tell the build.");
    jq_buf_append_format(out, "jqmesh_build_info{version=\"%s\"} 1\n", version);
    render_broker(out, snapshot);
    render_tasks(out, &snapshot->server);
    render_queues(out, snapshot);
    render_breakers(out, metrics, snapshot);
    render_replies(out, metrics);
    render_counters(out, metrics);
    render_process(out);
}
