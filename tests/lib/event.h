/* event.h - how a test waits for something that another thread does: a counter with a condition variable. No test sleeps. */
#ifndef JQ_TESTS_LIB_EVENT_H
#define JQ_TESTS_LIB_EVENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Long enough for the slowest machine; only a test that fails waits for so long. */
enum { EVENT_WAIT_MAX_S = 90 };

struct event {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t count;
};

#define EVENT_INIT                                                                                                     \
    { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER }

static inline void event_add(struct event *event) {
    pthread_mutex_lock(&event->lock);
    event->count++;
    pthread_cond_broadcast(&event->changed);
    pthread_mutex_unlock(&event->lock);
}

static inline uint64_t event_count(struct event *event) {
    pthread_mutex_lock(&event->lock);
    const uint64_t count = event->count;
    pthread_mutex_unlock(&event->lock);
    return count;
}

/* Waits until event_add() was called `count` times in all. False: it was not, for EVENT_WAIT_MAX_S seconds. */
static inline bool event_wait(struct event *event, uint64_t count) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += EVENT_WAIT_MAX_S;
    int rc = 0;
    pthread_mutex_lock(&event->lock);
    while (event->count < count && rc == 0) {
        rc = pthread_cond_timedwait(&event->changed, &event->lock, &deadline);
    }
    const bool reached = event->count >= count;
    pthread_mutex_unlock(&event->lock);
    return reached;
}

#endif
