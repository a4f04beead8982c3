#include "broker/shell/ringer.h"

#include <pthread.h>
#include <stdlib.h>

#include "broker/shell/threads.h"
#include "common/log.h"
#include "common/transport/address.h"

enum { WAITING_MAX = 64, TIMEOUT_MS = 1000 };

struct ring {
    char worker[JQ_NAME_SIZE_MAX + 1];
    char doorbell[JQ_DOORBELL_SIZE_MAX + 1];
};

struct jq_ringer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct ring waiting[WAITING_MAX]; /* a circle */
    unsigned first, count;
};

static void next_ring(struct jq_ringer *ringer, struct ring *ret_ring) {
    pthread_mutex_lock(&ringer->lock);
    while (ringer->count == 0)
        (void)pthread_cond_wait(&ringer->changed, &ringer->lock);
    *ret_ring = ringer->waiting[ringer->first];
    ringer->first = (ringer->first + 1) % WAITING_MAX;
    ringer->count--;
    pthread_mutex_unlock(&ringer->lock);
}

static void *ringer_thread(void *arg) {
    struct jq_ringer *ringer = arg;
    jq_thread_name("jq-ringer");
    while (true) {
        struct ring ring;
        struct jq_error error;
        next_ring(ringer, &ring);
        if (jq_address_knock(ring.doorbell, TIMEOUT_MS, &error) != JQ_OK)
            JQ_LOG_WARN("doorbell not reached", JQ_F_STR("worker", ring.worker), JQ_F_ERR(&error));
    }
    return NULL;
}

static void copy_text(char *out, size_t size_max, struct jq_str text) {
    JQ_CHECK(text.size <= size_max);
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
}

void jq_ringer_ring(struct jq_ringer *ringer, struct jq_str worker, struct jq_str doorbell) {
    pthread_mutex_lock(&ringer->lock);
    if (ringer->count < WAITING_MAX) {
        struct ring *ring = &ringer->waiting[(ringer->first + ringer->count++) % WAITING_MAX];
        copy_text(ring->worker, JQ_NAME_SIZE_MAX, worker);
        copy_text(ring->doorbell, JQ_DOORBELL_SIZE_MAX, doorbell);
        pthread_cond_signal(&ringer->changed);
    }
    pthread_mutex_unlock(&ringer->lock);
}

enum jq_err jq_ringer_start(struct jq_ringer **ret_ringer, struct jq_error *reterr) {
    struct jq_ringer *ringer = calloc(1, sizeof(*ringer));
    if (ringer == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "doorbells");
    JQ_CHECK(pthread_mutex_init(&ringer->lock, NULL) == 0);
    jq_thread_cond_init(&ringer->changed);
    pthread_t thread;
    const int rv = pthread_create(&thread, NULL, ringer_thread, ringer);
    if (rv != 0) {
        free(ringer);
        return jq_fail_errno(reterr, rv, "thread of doorbells");
    }
    (void)pthread_detach(thread);
    *ret_ringer = ringer;
    return JQ_OK;
}
