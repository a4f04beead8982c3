/* threads.h - small helpers of threads: waiting on a condition with an end (CLOCK_MONOTONIC), and names for people. */
#ifndef JQ_BROKER_SHELL_THREADS_H
#define JQ_BROKER_SHELL_THREADS_H

#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>

#include "common/err.h"

/* Names the calling thread, as ps and top show it: at most 15 characters. */
static inline void jq_thread_name(const char *name) {
    (void)prctl(PR_SET_NAME, name);
}

static inline void jq_thread_cond_init(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    JQ_CHECK(pthread_condattr_init(&attributes) == 0);
    JQ_CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    JQ_CHECK(pthread_cond_init(condition, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
}

/* For pthread_cond_timedwait() on such a condition: so many milliseconds from now. */
static inline struct timespec jq_thread_deadline(int64_t ms) {
    const long ns_per_s = 1000000000;
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)(ms / 1000);
    end.tv_nsec += (long)(ms % 1000) * 1000000;
    if (end.tv_nsec >= ns_per_s) {
        end.tv_sec++;
        end.tv_nsec -= ns_per_s;
    }
    return end;
}

#endif
