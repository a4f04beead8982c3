/* snapshot.c - numbers of the core for other threads: asked by an errand, answered between two steps. */
#include <stdlib.h>

#include "broker/shell/engine_internal.h"
#include "broker/shell/threads.h"

/* Freed by whoever comes last: the core thread that has filled it, or the asker who gave up. */
struct job {
    struct jq_inbound inbound;
    struct jq_engine *engine;
    struct jq_metrics_snapshot *snapshot;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool filled, abandoned;
};

static void job_free(struct job *job) {
    pthread_cond_destroy(&job->changed);
    pthread_mutex_destroy(&job->lock);
    free(job);
}

void jq_engine_snapshot_reply(struct jq_engine *engine, const struct jq_reply_effect *reply) {
    if (engine->snapshot != NULL && reply->op == JQ_OP_QUEUE_LS && reply->status == JQ_REPLY_OK)
        jq_metrics_snapshot_queues(engine->snapshot, reply->u.queues.rows, reply->u.queues.count);
    if (engine->snapshot != NULL && reply->op == JQ_OP_BREAKER_LS && reply->status == JQ_REPLY_OK)
        jq_metrics_snapshot_breakers(engine->snapshot, reply->u.breakers.rows, reply->u.breakers.count);
}

static void fill(struct jq_engine *engine, struct jq_metrics_snapshot *snapshot) {
    struct jq_event event = {.type = JQ_EVENT_REQUEST, .u.request = {.call = JQ_CALL_SNAPSHOT, .op = JQ_OP_QUEUE_LS}};
    engine->snapshot = snapshot;
    jq_engine_step(engine, &event);
    event.u.request =
        (struct jq_request){.call = JQ_CALL_SNAPSHOT, .op = JQ_OP_BREAKER_LS, .u.breaker.not_closed = true};
    jq_engine_step(engine, &event);
    engine->snapshot = NULL;
    jq_core_status(engine->config.core, &snapshot->server);
    snapshot->end_lsn = jq_ledger_end_lsn(engine->ledger);
    snapshot->durable_lsn = jq_commit_durable_lsn(jq_ledger_commit(engine->ledger));
    snapshot->effects_waiting = jq_commit_waiting(jq_ledger_commit(engine->ledger));
    snapshot->in_flight_bytes = jq_inbox_in_flight_bytes(&engine->inbox);
    snapshot->in_flight_max = engine->inbox.in_flight_max;
}

static void job_run(struct jq_inbound *inbound) {
    struct job *job = JQ_CONTAINER_OF(inbound, struct job, inbound);
    pthread_mutex_lock(&job->lock);
    if (!job->abandoned)
        fill(job->engine, job->snapshot); /* Under the lock: the asker's snapshot must not go away meanwhile. */
    pthread_mutex_unlock(&job->lock);
}

static void job_done(struct jq_inbound *inbound) {
    struct job *job = JQ_CONTAINER_OF(inbound, struct job, inbound);
    pthread_mutex_lock(&job->lock);
    const bool abandoned = job->abandoned;
    job->filled = true;
    pthread_cond_signal(&job->changed);
    pthread_mutex_unlock(&job->lock);
    if (abandoned)
        job_free(job);
}

bool jq_engine_snapshot(struct jq_engine *engine, int64_t timeout_ms, struct jq_metrics_snapshot *ret_snapshot) {
    struct job *job = calloc(1, sizeof(*job));
    if (job == NULL)
        return false;
    *job = (struct job){.inbound = {.errand = job_run, .done = job_done}, .engine = engine, .snapshot = ret_snapshot};
    JQ_CHECK(pthread_mutex_init(&job->lock, NULL) == 0);
    jq_thread_cond_init(&job->changed);
    const struct timespec end = jq_thread_deadline(timeout_ms);
    jq_inbox_push(&engine->inbox, &job->inbound.item);
    pthread_mutex_lock(&job->lock);
    int rv = 0;
    while (!job->filled && rv == 0)
        rv = pthread_cond_timedwait(&job->changed, &job->lock, &end);
    const bool filled = job->filled;
    job->abandoned = !filled;
    pthread_mutex_unlock(&job->lock);
    if (filled)
        job_free(job);
    return filled;
}
