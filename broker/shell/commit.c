#include "broker/shell/commit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "broker/shell/inbox.h"
#include "broker/shell/threads.h"
#include "common/clock.h"

enum { DIRECT_MAX = 2 }; /* effects that the commit thread itself sends by a write; more are left to the core thread */

struct jq_commit {
    struct jq_commit_config config;

    pthread_mutex_t lock;   /* of release */
    pthread_cond_t settled; /* no block is under way any more */
    struct jq_release release;
    struct jq_release_item *due; /* left to the core thread */

    pthread_t thread;
    struct jq_inbox jobs; /* to the thread: `job`, when `block` is set */
    struct jq_inbox_item job;
    struct jq_sealed_block block;
    atomic_bool stopping;

    atomic_bool under_way;
    atomic_uint_fast64_t durable_lsn;
    atomic_uint rotations;
    uint64_t room_bytes; /* in the current segment; whoever commits owns it */
};

/* ---- one block ---- */

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

static bool longer_than(const struct jq_release_item *items, size_t count) {
    while (items != NULL && count > 0) {
        items = items->next;
        count--;
    }
    return items != NULL;
}

static void append_due(struct jq_commit *commit, struct jq_release_item *due) {
    struct jq_release_item **last = &commit->due;
    while (*last != NULL)
        last = &(*last)->next;
    *last = due;
}

static void leave_to_core(struct jq_commit *commit, struct jq_release_item *due) {
    pthread_mutex_lock(&commit->lock);
    append_due(commit, due);
    pthread_mutex_unlock(&commit->lock);
}

static struct jq_release_item *advance(struct jq_commit *commit, uint64_t written_lsn, uint64_t durable_lsn) {
    pthread_mutex_lock(&commit->lock);
    jq_release_advance(&commit->release, written_lsn, durable_lsn);
    struct jq_release_item *due = jq_release_take_all(&commit->release);
    pthread_mutex_unlock(&commit->lock);
    return due;
}

/* A few leave from here, which is soonest; for many the sync would have to wait. On the core thread (`here`) all leave at once:
 * nobody else would send them before the sync is done. */
static void write_and_release(struct jq_commit *commit, const struct jq_sealed_block *block, bool here) {
    const uint64_t end_lsn = block->lsn + block->size_bytes;
    struct jq_error error = {.code = JQ_OK};
    check(commit, jq_journal_write_block(commit->config.journal, block, &error), &error);
    struct jq_release_item *due = advance(commit, end_lsn, commit->config.durable_when_written ? end_lsn : block->lsn);
    if (!here && longer_than(due, DIRECT_MAX)) {
        leave_to_core(commit, due);
        commit->config.done(commit->config.ctx);
    } else if (due != NULL) {
        commit->config.release(commit->config.ctx, due);
    }
}

/* True: *ret_next is to be committed next. The core thread is told last: what it then sees as durable has been sent. To send first
 * costs the disk little and gains much: the answered ask again, and what they ask then goes into the next block. */
static bool finish(struct jq_commit *commit, const struct jq_sealed_block *block, struct jq_sealed_block *ret_next) {
    const uint64_t end_lsn = block->lsn + block->size_bytes;
    struct jq_release_item *due = advance(commit, end_lsn, end_lsn);
    if (due != NULL)
        commit->config.release(commit->config.ctx, due);
    const bool more = commit->config.next(commit->config.next_ctx, ret_next);
    pthread_mutex_lock(&commit->lock);
    atomic_store(&commit->durable_lsn, end_lsn);
    atomic_store(&commit->under_way, more);
    if (!more)
        pthread_cond_signal(&commit->settled);
    pthread_mutex_unlock(&commit->lock);
    commit->config.done(commit->config.ctx);
    return more;
}

static bool commit_block(struct jq_commit *commit, const struct jq_sealed_block *block, bool here,
                         struct jq_sealed_block *ret_next) {
    struct jq_error error = {.code = JQ_OK};
    const int64_t begin_ns = jq_clock_mono_ns();
    write_and_release(commit, block, here);
    const int64_t sync_ns = jq_clock_mono_ns();
    check(commit, jq_journal_sync(commit->config.journal, &error), &error);
    const int64_t end_ns = jq_clock_mono_ns();
    count_block(commit, block, end_ns - begin_ns, end_ns - sync_ns);
    note_rotation(commit, block->size_bytes);
    return finish(commit, block, ret_next);
}

/* ---- the thread ---- */

static void *commit_thread(void *arg) {
    struct jq_commit *commit = arg;
    jq_thread_name("jq-commit");
    const int64_t long_us = INT64_C(3600) * 1000 * 1000;
    while (!atomic_load(&commit->stopping) || !jq_inbox_empty(&commit->jobs)) {
        jq_inbox_wait(&commit->jobs, long_us);
        bool more = jq_inbox_take_all(&commit->jobs) != NULL;
        for (struct jq_sealed_block block = commit->block, next; more; block = next)
            more = commit_block(commit, &block, false, &next);
    }
    return NULL;
}

void jq_commit_start(struct jq_commit *commit, const struct jq_sealed_block *block) {
    JQ_CHECK(jq_commit_idle(commit));
    commit->block = *block;
    atomic_store(&commit->under_way, true);
    jq_inbox_push(&commit->jobs, &commit->job);
}

void jq_commit_run(struct jq_commit *commit, const struct jq_sealed_block *block) {
    struct jq_sealed_block current = *block, next;
    JQ_CHECK(jq_commit_idle(commit));
    atomic_store(&commit->under_way, true);
    while (commit_block(commit, &current, true, &next))
        current = next;
}

/* ---- the core thread's side ---- */

void jq_commit_release_due(struct jq_commit *commit) {
    pthread_mutex_lock(&commit->lock);
    struct jq_release_item *due = commit->due;
    commit->due = NULL;
    pthread_mutex_unlock(&commit->lock);
    if (due != NULL)
        commit->config.release(commit->config.ctx, due);
}

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
    append_due(commit, jq_release_take_all(&commit->release));
    pthread_mutex_unlock(&commit->lock);
}

bool jq_commit_idle(const struct jq_commit *commit) {
    return !atomic_load(&commit->under_way);
}

uint64_t jq_commit_durable_lsn(const struct jq_commit *commit) {
    return atomic_load(&commit->durable_lsn);
}

uint32_t jq_commit_rotations(const struct jq_commit *commit) {
    return atomic_load(&commit->rotations);
}

size_t jq_commit_waiting(struct jq_commit *commit) {
    pthread_mutex_lock(&commit->lock);
    const size_t waiting = commit->release.waiting + (commit->due != NULL ? 1 : 0);
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
