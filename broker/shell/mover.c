#include "broker/shell/mover.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/shell/log_slice.h"
#include "broker/shell/threads.h"
#include "common/list.h"
#include "common/log.h"

enum { NICENESS = 5 };

struct jq_mover {
    struct jq_mover_config config;
    struct jq_slicer *slicer;
    struct jq_log_slice slice;
    struct jq_inbound answer;

    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t changed;
    bool asked;
    bool answering; /* the core thread has the answer */
    uint64_t from_lsn, end_lsn;
};

static void answer_done(struct jq_inbound *inbound) {
    struct jq_mover *mover = JQ_CONTAINER_OF(inbound, struct jq_mover, answer);
    pthread_mutex_lock(&mover->lock);
    mover->answering = false;
    pthread_cond_signal(&mover->changed);
    pthread_mutex_unlock(&mover->lock);
}

static void bring(struct jq_mover *mover, uint64_t from_lsn, uint64_t end_lsn) {
    struct jq_log_slice *slice = &mover->slice;
    struct jq_error error;
    const enum jq_err err = jq_slicer_read(mover->slicer, from_lsn, end_lsn, slice, &error);
    jq_count(&mover->config.metrics->slices_read, 1);
    if (err != JQ_OK || slice->damaged > 0) {
        jq_count(&mover->config.metrics->slices_damaged, 1);
        JQ_LOG_ERROR("ALERT: a part of the journal is damaged or cannot be read, and is kept: the log grows until its "
                     "tasks have ended",
                     JQ_F_UINT("from_lsn", from_lsn), JQ_F_UINT("end_lsn", end_lsn),
                     JQ_F_ERR(err != JQ_OK ? &error : &slice->damage));
    }
    mover->answer = (struct jq_inbound){
        .event = {.type = JQ_EVENT_LOG_READ,
                  .u.log_read = {.from_lsn = from_lsn,
                                 .next_lsn = err == JQ_OK ? slice->next_lsn : from_lsn,
                                 .records = slice->records,
                                 .count = err == JQ_OK ? slice->count : 0}},
        .done = answer_done,
    };
    jq_inbox_push(mover->config.inbox, &mover->answer.item);
}

static void *mover_thread(void *arg) {
    struct jq_mover *mover = arg;
    jq_thread_name("jq-mover");
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
    while (true) {
        pthread_mutex_lock(&mover->lock);
        while (!mover->asked || mover->answering)
            pthread_cond_wait(&mover->changed, &mover->lock);
        mover->asked = false;
        mover->answering = true;
        const uint64_t from_lsn = mover->from_lsn, end_lsn = mover->end_lsn;
        pthread_mutex_unlock(&mover->lock);
        bring(mover, from_lsn, end_lsn);
    }
    return NULL;
}

void jq_mover_ask(struct jq_mover *mover, uint64_t from_lsn, uint64_t end_lsn) {
    pthread_mutex_lock(&mover->lock);
    mover->from_lsn = from_lsn;
    mover->end_lsn = end_lsn;
    mover->asked = true;
    pthread_cond_signal(&mover->changed);
    pthread_mutex_unlock(&mover->lock);
}

enum jq_err jq_mover_start(const struct jq_mover_config *config, struct jq_mover **ret_mover, struct jq_error *reterr) {
    struct jq_mover *mover = calloc(1, sizeof(*mover));
    if (mover == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "reader of the log");
    mover->config = *config;
    JQ_CHECK(pthread_mutex_init(&mover->lock, NULL) == 0);
    jq_thread_cond_init(&mover->changed);
    const enum jq_err err = jq_slicer_new(config->disk, config->dir, &mover->slicer, reterr);
    pthread_t thread;
    const int rv = err == JQ_OK ? pthread_create(&thread, NULL, mover_thread, mover) : 0;
    if (err != JQ_OK || rv != 0) {
        jq_slicer_free(mover->slicer);
        free(mover);
        return err != JQ_OK ? err : jq_fail_errno(reterr, rv, "thread of the log's reader");
    }
    (void)pthread_detach(thread);
    *ret_mover = mover;
    return JQ_OK;
}
