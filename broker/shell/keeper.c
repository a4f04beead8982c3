#include "broker/shell/keeper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/shell/threads.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/log.h"

enum {
    PERIOD_MS = 1000,
    SLICE_BYTES = 256 * 1024, /* of zeros, each synced: short enough not to hold up a commit for long */
    SLICE_PAUSE_MS = 10,
    WAIT_MS = 50, /* for a reason to go on filling */
    NICENESS = 10,
};

struct jq_keeper {
    struct jq_keeper_config config;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool woken;

    /* The thread's own. */
    int64_t next_ms;   /* of the next turn, by the boot clock */
    uint64_t seen_lsn; /* what was written when it was last looked at */
    bool spare_ready;
    bool spare_failed; /* said so already */
    struct jq_inbound report;
    atomic_bool report_under_way;
};

/* ---- the spare ---- */

static void fill_slice(struct jq_keeper *keeper) {
    struct jq_error error;
    const enum jq_err err =
        jq_journal_fill_spare_step(keeper->config.journal, SLICE_BYTES, &keeper->spare_ready, &error);
    if (err != JQ_OK && err != JQ_ERR_NO_SPACE)
        keeper->config.failed(NULL, &error);
    if (err != JQ_OK) {
        keeper->spare_ready = true; /* Not again before the next period. */
        if (!keeper->spare_failed)
            JQ_LOG_ERROR("no space is set aside for the next segment: new tasks are refused", JQ_F_ERR(&error));
    }
    keeper->spare_failed = err != JQ_OK;
}

static bool spare_whole(struct jq_keeper *keeper) {
    struct jq_journal_stat stat;
    jq_journal_stat(keeper->config.journal, &stat);
    return stat.spare_ready;
}

/* Every slice holds up who waits for a sync. So the spare is filled while nobody writes, else in step with the current segment, but
 * twice as fast. */
static bool time_to_fill(struct jq_keeper *keeper) {
    struct jq_journal_stat stat;
    jq_journal_stat(keeper->config.journal, &stat);
    const bool quiet = stat.written_lsn == keeper->seen_lsn;
    const double used = 1 - (double)stat.room_bytes / (double)stat.segment_bytes;
    const double due = 2 * used * (double)stat.spare_bytes;
    keeper->seen_lsn = stat.written_lsn;
    return quiet || stat.spare_bytes == 0 || (double)stat.spare_filled_bytes < due;
}

/* ---- the disk ---- */

static void report_done(struct jq_inbound *inbound) {
    struct jq_keeper *keeper = JQ_CONTAINER_OF(inbound, struct jq_keeper, report);
    atomic_store(&keeper->report_under_way, false);
}

static void report_disk(struct jq_keeper *keeper) {
    struct jq_journal_stat stat;
    struct jq_error error;
    uint64_t free_bytes = 0;
    if (atomic_load(&keeper->report_under_way))
        return; /* The core thread waits for the disk. */
    jq_journal_stat(keeper->config.journal, &stat);
    const struct jq_disk *disk = keeper->config.disk;
    if (disk->free_space(disk->ctx, keeper->config.dir, &free_bytes, &error) != JQ_OK)
        JQ_LOG_WARN("free space cannot be measured", JQ_F_ERR(&error));
    keeper->report = (struct jq_inbound){
        .event = {.type = JQ_EVENT_DISK,
                  .u.disk = {.free_bytes = keeper->spare_failed ? 0 : free_bytes,
                             .log_bytes = stat.file_bytes,
                             .stuck_tries = atomic_load(&keeper->config.metrics->segment_failures)}},
        .done = report_done,
    };
    atomic_store(&keeper->report_under_way, true);
    jq_inbox_push(keeper->config.inbox, &keeper->report.item);
}

/* ---- the thread ---- */

/* Until something changes, or so long. */
static void pause_ms(struct jq_keeper *keeper, int64_t ms) {
    const struct timespec end = jq_thread_deadline(ms);
    pthread_mutex_lock(&keeper->lock);
    if (!keeper->woken)
        (void)pthread_cond_timedwait(&keeper->changed, &keeper->lock, &end);
    pthread_mutex_unlock(&keeper->lock);
}

/* True once a period, and whenever there is news. */
static bool take_turn(struct jq_keeper *keeper) {
    const int64_t now_ms = jq_clock_boot_ms();
    pthread_mutex_lock(&keeper->lock);
    const bool turn = keeper->woken || now_ms >= keeper->next_ms;
    keeper->woken = false;
    pthread_mutex_unlock(&keeper->lock);
    if (turn)
        keeper->next_ms = now_ms + PERIOD_MS;
    return turn;
}

static void *keeper_thread(void *arg) {
    struct jq_keeper *keeper = arg;
    jq_thread_name("jq-keeper");
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
    while (true) {
        const bool turn = take_turn(keeper);
        if (turn)
            keeper->spare_ready = spare_whole(keeper);
        const bool fill = !keeper->spare_ready && time_to_fill(keeper);
        if (fill)
            fill_slice(keeper);
        if (turn)
            report_disk(keeper);
        const int64_t rest_ms = keeper->spare_ready ? PERIOD_MS : WAIT_MS;
        pause_ms(keeper, fill && !keeper->spare_ready ? SLICE_PAUSE_MS : rest_ms);
    }
    return NULL;
}

void jq_keeper_rotated(struct jq_keeper *keeper) {
    pthread_mutex_lock(&keeper->lock);
    keeper->woken = true;
    pthread_cond_signal(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
}

enum jq_err jq_keeper_start(const struct jq_keeper_config *config, struct jq_keeper **ret_keeper,
                            struct jq_error *reterr) {
    struct jq_keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "housekeeping");
    keeper->config = *config;
    JQ_CHECK(pthread_mutex_init(&keeper->lock, NULL) == 0);
    jq_thread_cond_init(&keeper->changed);
    pthread_t thread;
    const int rv = pthread_create(&thread, NULL, keeper_thread, keeper);
    if (rv != 0) {
        free(keeper);
        return jq_fail_errno(reterr, rv, "housekeeping thread");
    }
    (void)pthread_detach(thread);
    *ret_keeper = keeper;
    return JQ_OK;
}
