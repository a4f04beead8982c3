/* guard.c - see guard.h. */
#define _GNU_SOURCE
#include "common/transport/guard.h"

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION < 6

#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/transport/guard_calls.h"
#include "common/transport/guard_handover.h"
#include "common/transport/guard_stream.h"

/* Set before main(), read-only afterwards. */
static bool active;
static bool hands_over; /* by guard_handover.h */

bool jq_guard_active(void) {
    return active;
}

void jq_guard_begin_batch(void) {
    if (hands_over) {
        guard_handover_begin_batch();
    }
}

void jq_guard_end_batch(bool answered) {
    if (hands_over) {
        guard_handover_end_batch(answered);
    }
}

/* ---- what NNG calls instead ---- */

/* On ERR or HUP, NNG's poller would fail the queued write first and close the pipe under a read that is under way: the second
 * defect again. It is shown a readable and writable socket instead, and the read finds the error. NNG's poller knows nothing but
 * its own sockets, and an event counter whose data is null. */
static int guard_epoll_wait(int epoll_fd, struct epoll_event *events, int event_count_max, int timeout_ms) {
    guard_stream_before_poll();
    jq_guard_end_batch(false);
    const int count = epoll_wait(epoll_fd, events, event_count_max, timeout_ms);
    jq_guard_begin_batch();
    const uint32_t lost = EPOLLERR | EPOLLHUP;
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr != NULL && (events[i].events & lost) != 0) {
            events[i].events = (events[i].events & ~lost) | EPOLLIN | EPOLLOUT;
        }
    }
    return count;
}

/* NNG does not tell which descriptor a pipe has, but for some options of a pipe it asks the system, on the thread that asks NNG,
 * and keeps the pipe from being freed meanwhile. So the guard asks for such an option, and does inside what is to be done. */
struct errand {
    bool under_way, done;
    size_t limit; /* 0: end it */
};
static _Thread_local struct errand errand;

static void do_errand(int fd) {
    if (errand.limit > 0) {
        errand.done = guard_stream_limit(fd, errand.limit);
    } else {
        errand.done = guard_stream_end(fd);
    }
}

static int guard_getsockopt(int fd, int level, int name, void *value, socklen_t *size) {
    if (errand.under_way) {
        do_errand(fd);
    }
    return getsockopt(fd, level, name, value, size);
}

static long guard_sysconf(int name) {
    return name == _SC_NPROCESSORS_ONLN ? 1 : sysconf(name);
}

static bool run_errand(nng_pipe pipe, size_t limit) {
    bool ignored_flag = false;
    uint64_t ignored_uid = 0;
    errand = (struct errand){.under_way = active, .limit = limit};
    if (active) {
        (void)nng_pipe_get_bool(pipe, NNG_OPT_TCP_KEEPALIVE, &ignored_flag);
        (void)nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &ignored_uid);
    }
    errand.under_way = false;
    return errand.done;
}

bool jq_guard_end(nng_pipe pipe) {
    return run_errand(pipe, 0);
}

bool jq_guard_limit(nng_pipe pipe, size_t size_max) {
    return run_errand(pipe, size_max);
}

void jq_guard_close_dialer(nng_dialer dialer) {
    if (active) {
        guard_stream_quiet_begin();
    }
    nng_dialer_close(dialer);
    if (active) {
        guard_stream_quiet_end();
    }
}

/* ---- NNG's table ---- */

static const struct guard_stand_in FOR_CONNECTIONS[] = {
    {"sendmsg", (void (*)(void))guard_stream_send},    {"readv", (void (*)(void))guard_stream_read},
    {"connect", (void (*)(void))guard_stream_connect}, {"shutdown", (void (*)(void))guard_stream_shutdown},
    {"close", (void (*)(void))guard_stream_close},     {"epoll_wait", (void (*)(void))guard_epoll_wait},
    {"getsockopt", (void (*)(void))guard_getsockopt},
};
static const struct guard_stand_in FOR_HANDOVER[] = {
    {"pthread_setname_np", (void (*)(void))guard_handover_set_name},
    {"pthread_mutex_lock", (void (*)(void))guard_handover_lock},
    {"pthread_mutex_unlock", (void (*)(void))guard_handover_unlock},
    {"pthread_cond_signal", (void (*)(void))guard_handover_signal},
    {"pthread_cond_wait", (void (*)(void))guard_handover_wait},
    {"pthread_cond_timedwait", (void (*)(void))guard_handover_timed_wait},
};
static const struct guard_stand_in FOR_OWN_PROCESS[] = {
    {"accept", (void (*)(void))guard_stream_accept},
    {"sysconf", (void (*)(void))guard_sysconf},
};
enum {
    FOR_CONNECTIONS_COUNT = sizeof FOR_CONNECTIONS / sizeof FOR_CONNECTIONS[0],
    FOR_HANDOVER_COUNT = sizeof FOR_HANDOVER / sizeof FOR_HANDOVER[0],
    FOR_OWN_PROCESS_COUNT = sizeof FOR_OWN_PROCESS / sizeof FOR_OWN_PROCESS[0],
};

static bool nng_is_defective(void) {
    char *rest = NULL;
    const unsigned long major = strtoul(nng_version(), &rest, 10);
    const unsigned long minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;
    return major == 1 && minor < 6;
}

__attribute__((constructor)) static void guard_start(void) {
    active = nng_is_defective() && guard_calls_redirect(FOR_CONNECTIONS, FOR_CONNECTIONS_COUNT);
    hands_over = active && guard_calls_redirect(FOR_HANDOVER, FOR_HANDOVER_COUNT);
}

void jq_guard_quicken(void) {
    if (active) {
        guard_stream_begin_ahead();
    }
    if (hands_over) {
        guard_handover_begin_late();
    }
}

void jq_guard_own_process(void) {
    jq_guard_quicken();
    if (active) {
        (void)guard_calls_redirect(FOR_OWN_PROCESS, FOR_OWN_PROCESS_COUNT);
    }
    if (hands_over) {
        guard_handover_begin_keeping();
    }
}

void jq_guard_hand_over(void) {
    if (hands_over) {
        guard_handover_now();
    }
}

#else

bool jq_guard_active(void) {
    return false;
}

void jq_guard_quicken(void) {
}

void jq_guard_own_process(void) {
}

void jq_guard_hand_over(void) {
}

void jq_guard_begin_batch(void) {
}

void jq_guard_end_batch(bool answered) {
    (void)answered;
}

bool jq_guard_end(nng_pipe pipe) {
    (void)pipe;
    return false;
}

bool jq_guard_limit(nng_pipe pipe, size_t size_max) {
    (void)pipe;
    (void)size_max;
    return false;
}

void jq_guard_close_dialer(nng_dialer dialer) {
    nng_dialer_close(dialer);
}

#endif
