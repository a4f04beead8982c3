#include "broker/shell/service.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "common/types.h"

static void signals_of_interest(sigset_t *ret_set) {
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGHUP);
}

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void jq_service_prepare(void) {
    const int arenas_max = 2; /* one for each of the many threads would hold memory that nobody uses */
    /* Large frames come and go: taken from the system for each alone, they would cost more than all that is done with them. */
    const int mmap_threshold = JQ_LARGE_FRAME_SIZE_MAX + 64 * 1024;
    const int trim_threshold = 4 * 1024 * 1024; /* of each arena; given back above this */
    sigset_t set;
    signals_of_interest(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    (void)mallopt(M_ARENA_MAX, arenas_max);
    (void)mallopt(M_TRIM_THRESHOLD, trim_threshold);
    (void)mallopt(M_MMAP_THRESHOLD, mmap_threshold);
}

enum jq_service_signal jq_service_wait(int64_t timeout_ms) {
    const struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000};
    sigset_t set;
    signals_of_interest(&set);
    const int number = sigtimedwait(&set, NULL, &timeout);
    if (number == SIGHUP)
        return JQ_SERVICE_HANGUP;
    return number > 0 ? JQ_SERVICE_STOP : JQ_SERVICE_TIMEOUT;
}

void jq_service_notify_ready(const char *status) {
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void jq_service_notify_status(const char *status) {
    (void)sd_notifyf(0, "STATUS=%s", status);
}

void jq_service_notify_stopping(const char *status) {
    (void)sd_notifyf(0, "STOPPING=1\nSTATUS=%s", status);
}

void jq_service_notify_alive(void) {
    (void)sd_notify(0, "WATCHDOG=1");
}

int64_t jq_service_watchdog_ms(void) {
    uint64_t interval_us = 0;
    return sd_watchdog_enabled(0, &interval_us) > 0 ? (int64_t)(interval_us / 2000) : 0;
}
