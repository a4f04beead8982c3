#include "broker/shell/remover.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/journal/segment.h"
#include "broker/shell/archive_command.h"
#include "broker/shell/threads.h"
#include "common/clock.h"
#include "common/log.h"

enum { PERIOD_MS = 1000, PAUSE_MIN_MS = 1000, PAUSE_MAX_MS = 600000, PRUNE_MS = 60000, NICENESS = 10 };

struct jq_remover {
    struct jq_remover_config config;
    pthread_mutex_t lock; /* of the next two */
    pthread_cond_t changed;
    uint64_t disposable_lsn;
    atomic_int_fast64_t hold_until_ms; /* boot clock: nothing is deleted until then */
    pthread_mutex_t deleting;          /* held while a segment is deleted */

    /* The thread's, times by the boot clock. */
    uint32_t failures;        /* in a row */
    int64_t again_ms;         /* not before, after a failure */
    int64_t prune_ms;         /* not before */
    bool prune_failed;        /* said so already */
    uint64_t unreadable_lsn;  /* of a segment whose header cannot be read, */
    int64_t unreadable_since; /* and since when, UTC; 0: none */
};

bool jq_retention_is_over(const struct jq_retention *retention, uint64_t disposable_lsn, uint64_t end_lsn,
                          int64_t next_begun_ms, int64_t now_ms) {
    if (end_lsn > disposable_lsn)
        return false;
    if (retention->time_ms == 0 && retention->bytes == 0)
        return true;
    if (retention->bytes > 0 && disposable_lsn - end_lsn >= retention->bytes)
        return true;
    return retention->time_ms > 0 && now_ms - next_begun_ms >= retention->time_ms;
}

int64_t jq_remover_pause_ms(uint32_t failures) {
    const uint32_t doublings = failures < 1 ? 0 : failures - 1;
    return doublings < 10 && PAUSE_MIN_MS << doublings < PAUSE_MAX_MS ? PAUSE_MIN_MS << doublings : PAUSE_MAX_MS;
}

/* When that segment was begun; INT64_MAX if its header cannot be read. */
static int64_t header_ms(const struct jq_remover *remover, uint64_t base_lsn) {
    const struct jq_disk *disk = remover->config.disk;
    uint8_t bytes[JQ_SEGMENT_HEADER_SIZE];
    char name[JQ_SEGMENT_NAME_SIZE], path[JQ_DISK_PATH_SIZE_MAX];
    struct jq_segment_header header;
    struct jq_file *file = NULL;
    size_t got = 0;
    jq_segment_name(base_lsn, name);
    if (jq_disk_path(path, remover->config.dir, name, NULL) != JQ_OK ||
        disk->open(disk->ctx, path, JQ_DISK_READ, &file, NULL) != JQ_OK)
        return INT64_MAX;
    const enum jq_err err = disk->read(disk->ctx, file, bytes, sizeof(bytes), 0, &got, NULL);
    disk->close(disk->ctx, file);
    if (err != JQ_OK || got < sizeof(bytes) || jq_segment_header_decode(bytes, name, &header, NULL) != JQ_OK)
        return INT64_MAX;
    return header.wall_ms;
}

/* One that cannot be asked is as old as it has been known to be so. */
static int64_t begun_ms(struct jq_remover *remover, uint64_t base_lsn, int64_t now_ms) {
    const int64_t header = header_ms(remover, base_lsn);
    if (header != INT64_MAX)
        return header;
    if (remover->unreadable_lsn != base_lsn || remover->unreadable_since == 0) {
        remover->unreadable_lsn = base_lsn;
        remover->unreadable_since = now_ms;
    }
    return remover->unreadable_since;
}

/* True if the oldest segment may leave. */
static bool find_removable(struct jq_remover *remover, struct jq_journal_segment *segment) {
    const struct jq_retention *retention = &remover->config.retention;
    pthread_mutex_lock(&remover->lock);
    const uint64_t disposable_lsn = remover->disposable_lsn;
    pthread_mutex_unlock(&remover->lock);
    if (jq_journal_segment_from(remover->config.journal, 0, segment, NULL) != JQ_OK || segment->current ||
        segment->end_lsn > disposable_lsn || segment->end_lsn >= jq_journal_durable_lsn(remover->config.journal))
        return false;
    const int64_t now_ms = jq_clock_wall_ms();
    const int64_t next_ms = retention->time_ms > 0 ? begun_ms(remover, segment->end_lsn, now_ms) : now_ms;
    return jq_retention_is_over(retention, disposable_lsn, segment->end_lsn, next_ms < now_ms ? next_ms : now_ms,
                                now_ms);
}

/* The command gets what is in the folder, if there is one. */
static enum jq_err run_command(const struct jq_remover_config *config, const struct jq_journal_segment *segment,
                               struct jq_error *reterr) {
    const bool packed = config->archive_dir[0] != '\0';
    char plain[JQ_SEGMENT_NAME_SIZE], name[JQ_SEGMENT_NAME_SIZE + sizeof(JQ_ARCHIVE_SUFFIX)];
    char path[JQ_DISK_PATH_SIZE_MAX];
    if (config->command->count == 0)
        return JQ_OK;
    jq_segment_name(segment->base_lsn, plain);
    (void)snprintf(name, sizeof(name), "%s%s", plain, packed ? JQ_ARCHIVE_SUFFIX : "");
    const enum jq_err err = jq_disk_path(path, packed ? config->archive_dir : config->dir, name, reterr);
    return err == JQ_OK ? jq_archive_command_run(config->command, path, name, config->command_ms, reterr) : err;
}

static bool archive(struct jq_remover *remover, const struct jq_journal_segment *segment, struct jq_error *reterr) {
    const struct jq_remover_config *config = &remover->config;
    if (config->archive_dir[0] == '\0' && config->command->count == 0)
        return true;
    enum jq_err err = JQ_OK;
    if (config->archive_dir[0] != '\0')
        err = jq_archive_segment(config->disk, config->dir, segment, config->archive_dir, reterr);
    if (err == JQ_OK)
        err = run_command(config, segment, reterr);
    if (err == JQ_OK)
        jq_count(&config->metrics->segments_archived, 1);
    return err == JQ_OK;
}

/* False: not now. */
static bool drop(struct jq_remover *remover, const struct jq_journal_segment *segment, struct jq_error *reterr) {
    uint32_t count = 0;
    pthread_mutex_lock(&remover->deleting);
    enum jq_err err = JQ_OK;
    if (jq_clock_boot_ms() >= atomic_load(&remover->hold_until_ms))
        err = jq_journal_delete_below(remover->config.journal, segment->end_lsn, &count, reterr);
    else
        reterr->code = JQ_OK;
    pthread_mutex_unlock(&remover->deleting);
    jq_count(&remover->config.metrics->segments_deleted, count);
    return err == JQ_OK && count > 0;
}

/* A segment is much work to do in vain: less and less often. */
static void note_failure(struct jq_remover *remover, const struct jq_error *error) {
    if (error->code == JQ_OK)
        return; /* a backup reads */
    jq_count(&remover->config.metrics->segments_stuck, 1);
    remover->failures += remover->failures < UINT32_MAX;
    const int64_t pause_ms = jq_remover_pause_ms(remover->failures);
    remover->again_ms = jq_clock_boot_ms() + pause_ms;
    atomic_store(&remover->config.metrics->segment_failures, remover->failures);
    if (remover->failures == 1)
        JQ_LOG_ERROR("ALERT: an old segment cannot leave the journal: the log grows", JQ_F_ERR(error));
    else
        JQ_LOG_WARN("an old segment still cannot leave the journal", JQ_F_ERR(error),
                    JQ_F_UINT("tries", remover->failures), JQ_F_INT("again_ms", pause_ms));
}

static void note_success(struct jq_remover *remover) {
    if (remover->failures > 0)
        JQ_LOG_INFO("old segments leave the journal again", JQ_F_UINT("tries", remover->failures));
    remover->failures = 0;
    atomic_store(&remover->config.metrics->segment_failures, 0);
}

/* Keeps the archive as short as it is to be: now and then, for it goes by time, and when it has grown. */
static void prune(struct jq_remover *remover, bool grown) {
    const struct jq_remover_config *config = &remover->config;
    const int64_t now_ms = jq_clock_boot_ms();
    struct jq_error error = {.code = JQ_OK};
    uint32_t count = 0;
    if (config->archive_dir[0] == '\0' || (!grown && now_ms < remover->prune_ms))
        return;
    remover->prune_ms = now_ms + PRUNE_MS;
    const enum jq_err err = jq_archive_prune(config->disk, config->archive_dir, &config->log_id, &config->keep,
                                             jq_clock_wall_ms(), &count, &error);
    jq_count(&config->metrics->segments_pruned, count);
    if (err != JQ_OK && !remover->prune_failed)
        JQ_LOG_ERROR("ALERT: the archive cannot be made shorter", JQ_F_ERR(&error));
    remover->prune_failed = err != JQ_OK;
}

static void remove_segments(struct jq_remover *remover) {
    struct jq_journal_segment segment;
    struct jq_error error = {.code = JQ_OK};
    while (jq_clock_boot_ms() >= atomic_load(&remover->hold_until_ms) && jq_clock_boot_ms() >= remover->again_ms &&
           find_removable(remover, &segment)) {
        if (!archive(remover, &segment, &error) || !drop(remover, &segment, &error)) {
            note_failure(remover, &error);
            return;
        }
        note_success(remover);
        prune(remover, true);
        JQ_LOG_DEBUG("a segment has left the journal", JQ_F_UINT("lsn", segment.base_lsn),
                     JQ_F_UINT("end_lsn", segment.end_lsn));
    }
}

/* ---- the thread ---- */

static void *remover_thread(void *arg) {
    struct jq_remover *remover = arg;
    jq_thread_name("jq-remover");
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
    while (true) {
        remove_segments(remover);
        prune(remover, false);
        const struct timespec end = jq_thread_deadline(PERIOD_MS);
        pthread_mutex_lock(&remover->lock);
        (void)pthread_cond_timedwait(&remover->changed, &remover->lock, &end);
        pthread_mutex_unlock(&remover->lock);
    }
    return NULL;
}

void jq_remover_disposable(struct jq_remover *remover, uint64_t lsn) {
    pthread_mutex_lock(&remover->lock);
    remover->disposable_lsn = lsn;
    pthread_cond_signal(&remover->changed);
    pthread_mutex_unlock(&remover->lock);
}

void jq_remover_hold(struct jq_remover *remover, int64_t ms) {
    const int_fast64_t until_ms = jq_clock_boot_ms() + ms;
    int_fast64_t now_ms = atomic_load(&remover->hold_until_ms);
    while (now_ms < until_ms && !atomic_compare_exchange_weak(&remover->hold_until_ms, &now_ms, until_ms))
        continue;
}

void jq_remover_settle(struct jq_remover *remover) {
    pthread_mutex_lock(&remover->deleting);
    pthread_mutex_unlock(&remover->deleting);
}

enum jq_err jq_remover_start(const struct jq_remover_config *config, struct jq_remover **ret_remover,
                             struct jq_error *reterr) {
    if (config->archive_dir[0] != '\0') {
        const enum jq_err err = jq_archive_tidy(config->disk, config->archive_dir, reterr);
        if (err != JQ_OK)
            return err;
    }
    struct jq_remover *remover = calloc(1, sizeof(*remover));
    if (remover == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "remover of segments");
    remover->config = *config;
    JQ_CHECK(pthread_mutex_init(&remover->lock, NULL) == 0 && pthread_mutex_init(&remover->deleting, NULL) == 0);
    jq_thread_cond_init(&remover->changed);
    pthread_t thread;
    const int rv = pthread_create(&thread, NULL, remover_thread, remover);
    if (rv != 0) {
        free(remover);
        return jq_fail_errno(reterr, rv, "thread that removes segments");
    }
    (void)pthread_detach(thread);
    *ret_remover = remover;
    return JQ_OK;
}
