#define _GNU_SOURCE
#include "common/hasher.h"

#include <pthread.h>
#include <stdlib.h>

struct given {
    struct jq_bytes data;
    void (*release)(void *ctx);
    void *ctx;
};

struct jq_hasher {
    struct jq_sha256 sum; /* the thread's until it ends */
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool ended;
    unsigned first, count;
    struct given waiting[JQ_HASHER_WAITING_MAX];
};

/* The next, left in its place until it is added up; NULL: that was all. */
static const struct given *await_given(struct jq_hasher *hasher) {
    pthread_mutex_lock(&hasher->lock);
    while (hasher->count == 0 && !hasher->ended) {
        pthread_cond_wait(&hasher->changed, &hasher->lock);
    }
    const struct given *given = hasher->count > 0 ? &hasher->waiting[hasher->first] : NULL;
    pthread_mutex_unlock(&hasher->lock);
    return given;
}

static void drop_first(struct jq_hasher *hasher) {
    pthread_mutex_lock(&hasher->lock);
    hasher->first = (hasher->first + 1) % JQ_HASHER_WAITING_MAX;
    hasher->count--;
    pthread_cond_signal(&hasher->changed);
    pthread_mutex_unlock(&hasher->lock);
}

static void *hasher_thread(void *arg) {
    struct jq_hasher *hasher = arg;
    for (const struct given *given = await_given(hasher); given; given = await_given(hasher)) {
        jq_sha256_add(&hasher->sum, given->data.data, given->data.size);
        given->release(given->ctx);
        drop_first(hasher);
    }
    return NULL;
}

enum jq_err jq_hasher_new(const struct jq_sha256 *begun, struct jq_hasher **ret_hasher, struct jq_error *reterr) {
    struct jq_hasher *hasher = calloc(1, sizeof(*hasher));
    if (!hasher) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "hasher");
    }
    hasher->sum = *begun;
    pthread_mutex_init(&hasher->lock, NULL);
    pthread_cond_init(&hasher->changed, NULL);
    if (pthread_create(&hasher->thread, NULL, hasher_thread, hasher) != 0) {
        free(hasher);
        return jq_fail(reterr, JQ_ERR_NOMEM, "hasher: no thread can be had");
    }
    *ret_hasher = hasher;
    return JQ_OK;
}

void jq_hasher_add(struct jq_hasher *hasher, struct jq_bytes data, void (*release)(void *ctx), void *ctx) {
    pthread_mutex_lock(&hasher->lock);
    while (hasher->count == JQ_HASHER_WAITING_MAX) {
        pthread_cond_wait(&hasher->changed, &hasher->lock);
    }
    hasher->waiting[(hasher->first + hasher->count) % JQ_HASHER_WAITING_MAX] = (struct given){data, release, ctx};
    hasher->count++;
    pthread_cond_signal(&hasher->changed);
    pthread_mutex_unlock(&hasher->lock);
}

void jq_hasher_wait(struct jq_hasher *hasher) {
    pthread_mutex_lock(&hasher->lock);
    while (hasher->count > 0) {
        pthread_cond_wait(&hasher->changed, &hasher->lock);
    }
    pthread_mutex_unlock(&hasher->lock);
}

void jq_hasher_end(struct jq_hasher *hasher, struct jq_sha256 *ret_sum) {
    if (!hasher) {
        return;
    }
    pthread_mutex_lock(&hasher->lock);
    hasher->ended = true;
    pthread_cond_signal(&hasher->changed);
    pthread_mutex_unlock(&hasher->lock);
    pthread_join(hasher->thread, NULL);
    if (ret_sum) {
        *ret_sum = hasher->sum;
    }
    pthread_cond_destroy(&hasher->changed);
    pthread_mutex_destroy(&hasher->lock);
    free(hasher);
}
