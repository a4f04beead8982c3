/* wait.c - waiting with a limit, by the clock that nobody sets. */
#include "common/clock.h"
#include "common/transport/internal.h"

int64_t jq_deadline_ns(int64_t timeout_ms) {
    const int64_t limit_ms = INT64_MAX / 2000000;
    return timeout_ms < 0 || timeout_ms > limit_ms ? INT64_MAX : jq_clock_mono_ns() + timeout_ms * 1000000;
}

struct timespec jq_monotonic_deadline(int64_t timeout_ms) {
    const int64_t ns = jq_deadline_ns(timeout_ms);
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

void jq_monotonic_cond_init(pthread_cond_t *cond) {
    pthread_condattr_t attr;
    JQ_CHECK(pthread_condattr_init(&attr) == 0);
    JQ_CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    JQ_CHECK(pthread_cond_init(cond, &attr) == 0);
    pthread_condattr_destroy(&attr);
}
