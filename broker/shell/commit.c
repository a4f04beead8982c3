#include "broker/shell/commit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "broker/shell/inbox.h"
#include "common/clock.h"

struct jq_commit {
    struct jq_commit_config config;

    pthread_mutex_t lock;   /* of release */
    pthread_cond_t settled; /* no block is under way any more */
    struct jq_release release;

    pthread_t thread;
    struct jq_inbox jobs; /* to the thread: `job`, when `block` is set */
    struct jq_inbox_item job;
    struct jq_sealed_block block;
    atomic_bool stopping;

    atomic_bool under_way;
    atomic_uint_fast64_t durable_lsn, released_lsn;
    atomic_uint rotations;
    uint64_t room_bytes; /* in the current segment; whoever commits owns it */
};

/* ---- one block ---- */

static void advance(struct jq_commit *commit, uint64_t written_lsn, uint64_t durable_lsn) {
    pthread_mutex_lock(&commit->lock);
    jq_release_advance(&commit->release, written_lsn, durable_lsn);
    struct jq_release_item *due = jq_release_take_all(&commit->release);
    pthread_mutex_unlock(&commit->lock);
    if (due != NULL)
        commit->config.release(commit->config.ctx, due);
}

static void check(struct jq_commit *commit, enum jq_err err, const struct jq_error *error) {
    if (err != JQ_OK) {
        commit->config.failed(commit->config.ctx, error);
        abort(); /* failed() must not return. */
    }
}

static void note_rotation(struct jq_commit *commit, uint32_t size_bytes) {
    struct jq_journal_stat stat;
    jq_journal_stat(commit->config.journal, &stat);
    if (stat.room_bytes + size_bytes != commit->room_bytes) {
        atomic_fetch_add(&commit->rotations, 1);
        jq_count(&commit->config.metrics->rotations, 1);
    }
    commit->room_bytes = stat.room_bytes;
}

static void count_block(struct jq_commit *commit, const struct jq_sealed_block *block, int64_t commit_ns,
                        int64_t sync_ns) {
    struct jq_metrics *metrics = commit->config.metrics;
    jq_count(&metrics->blocks, 1);
    jq_count(&metrics->block_bytes, block->size_bytes);
    jq_count(&metrics->records, block->record_count);
    jq_histogram_observe(&metrics->commit, commit_ns);
    jq_histogram_observe(&metrics->sync, sync_ns);
}

/* Until the block is synced. What waits for the sync is the caller's to release: another block may begin first. */
static void commit_block(struct jq_commit *commit, const struct jq_sealed_block *block) {
    struct jq_journal *journal = commit->config.journal;
    const uint64_t begin_lsn = block->lsn;
    const uint64_t end_lsn = block->lsn + block->size_bytes;
    struct jq_error error = {.code = JQ_OK};
    const int64_t begin_ns = jq_clock_mono_ns();
    check(commit, jq_journal_write_block(journal, block, &error), &error);
    const int64_t written_ns = jq_clock_mono_ns();
    advance(commit, end_lsn, commit->config.durable_when_written ? end_lsn : begin_lsn);
    const int64_t sync_ns = jq_clock_mono_ns();
    check(commit, jq_journal_sync(journal, &error), &error);
    const int64_t end_ns = jq_clock_mono_ns();
    count_block(commit, block, written_ns - begin_ns + end_ns - sync_ns, end_ns - sync_ns);
    note_rotation(commit, block->size_bytes);
}

void jq_commit_run(struct jq_commit *commit, const struct jq_sealed_block *block) {
    const uint64_t end_lsn = block->lsn + block->size_bytes;
    JQ_CHECK(jq_commit_idle(commit));
    commit_block(commit, block);
    atomic_store(&commit->durable_lsn, end_lsn);
    advance(commit, end_lsn, end_lsn);
    atomic_store(&commit->released_lsn, end_lsn);
}

/* ---- the thread ---- */

/* The core thread is told before the answers go out: it prepares the next block meanwhile. */
static void commit_job(struct jq_commit *commit) {
    const struct jq_sealed_block block = commit->block;
    const uint64_t end_lsn = block.lsn + block.size_bytes;
    commit_block(commit, &block);
    pthread_mutex_lock(&commit->lock);
    jq_release_advance(&commit->release, end_lsn, end_lsn);
    struct jq_release_item *due = jq_release_take_all(&commit->release);
    atomic_store(&commit->durable_lsn, end_lsn);
    atomic_store(&commit->under_way, false);
    pthread_cond_signal(&commit->settled);
    pthread_mutex_unlock(&commit->lock);
    commit->config.done(commit->config.ctx);
    if (due != NULL)
        commit->config.release(commit->config.ctx, due);
    atomic_store(&commit->released_lsn, end_lsn);
}

static void *commit_thread(void *arg) {
    struct jq_commit *commit = arg;
    const int64_t long_us = INT64_C(3600) * 1000 * 1000;
    while (true) {
        jq_inbox_wait(&commit->jobs, long_us);
        if (jq_inbox_take_all(&commit->jobs) != NULL)
            commit_job(commit);
        else if (atomic_load(&commit->stopping))
            return NULL;
    }
}

void jq_commit_start(struct jq_commit *commit, const struct jq_sealed_block *block) {
    JQ_CHECK(jq_commit_idle(commit));
    commit->block = *block;
    atomic_store(&commit->under_way, true);
    jq_inbox_push(&commit->jobs, &commit->job);
}

/* ---- the core thread's side ---- */

void jq_commit_wait(struct jq_commit *commit) {
    pthread_mutex_lock(&commit->lock);
    while (!jq_commit_idle(commit))
        pthread_cond_wait(&commit->settled, &commit->lock);
    pthread_mutex_unlock(&commit->lock);
}

void jq_commit_hold(struct jq_commit *commit, struct jq_release_item *items) {
    pthread_mutex_lock(&commit->lock);
    while (items != NULL) {
        struct jq_release_item *next = items->next;
        jq_release_push(&commit->release, items);
        items = next;
    }
    struct jq_release_item *due = jq_release_take_all(&commit->release);
    pthread_mutex_unlock(&commit->lock);
    if (due != NULL)
        commit->config.release(commit->config.ctx, due);
}

bool jq_commit_idle(const struct jq_commit *commit) {
    return !atomic_load(&commit->under_way);
}

uint64_t jq_commit_durable_lsn(const struct jq_commit *commit) {
    return atomic_load(&commit->durable_lsn);
}

uint64_t jq_commit_released_lsn(const struct jq_commit *commit) {
    return atomic_load(&commit->released_lsn);
}

uint32_t jq_commit_rotations(const struct jq_commit *commit) {
    return atomic_load(&commit->rotations);
}

size_t jq_commit_waiting(struct jq_commit *commit) {
    pthread_mutex_lock(&commit->lock);
    const size_t waiting = commit->release.waiting;
    pthread_mutex_unlock(&commit->lock);
    return waiting;
}

enum jq_err jq_commit_new(const struct jq_commit_config *config, struct jq_commit **ret_commit,
                          struct jq_error *reterr) {
    struct jq_commit *commit = calloc(1, sizeof(*commit));
    if (commit == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "commit thread");
    struct jq_journal_stat stat;
    jq_journal_stat(config->journal, &stat);
    commit->config = *config;
    commit->room_bytes = stat.room_bytes;
    atomic_store(&commit->durable_lsn, stat.durable_lsn);
    atomic_store(&commit->released_lsn, stat.durable_lsn);
    jq_release_init(&commit->release, stat.durable_lsn);
    jq_inbox_init(&commit->jobs, SIZE_MAX);
    JQ_CHECK(pthread_mutex_init(&commit->lock, NULL) == 0 && pthread_cond_init(&commit->settled, NULL) == 0);
    const int rv = pthread_create(&commit->thread, NULL, commit_thread, commit);
    if (rv != 0) {
        free(commit);
        return jq_fail_errno(reterr, rv, "commit thread");
    }
    *ret_commit = commit;
    return JQ_OK;
}

void jq_commit_free(struct jq_commit *commit) {
    if (commit == NULL)
        return;
    atomic_store(&commit->stopping, true);
    jq_inbox_ring(&commit->jobs);
    pthread_join(commit->thread, NULL);
    pthread_cond_destroy(&commit->settled);
    pthread_mutex_destroy(&commit->lock);
    free(commit);
}
