/* guard.c - see guard.h. Libraries find these sendmsg(), readv(), epoll_wait() and so on before those of the C library. */
#define _GNU_SOURCE
#include "common/transport/guard.h"

#include "common/transport/guard_stream.h"
#include "common/transport/internal.h"

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION < 6

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

typedef long sysconf_fn(int name);
typedef int epoll_wait_fn(int epoll_fd, struct epoll_event *events, int event_count_max, int timeout_ms);
typedef int getsockopt_fn(int fd, int level, int name, void *value, socklen_t *size);

/* Set before main(), read-only afterwards. */
static guard_sendmsg_fn *real_sendmsg;
static epoll_wait_fn *real_epoll_wait;
static guard_readv_fn *real_readv;
guard_accept_fn *guard_real_accept;
static getsockopt_fn *real_getsockopt;
#ifndef __SANITIZE_THREAD__
static sysconf_fn *real_sysconf;
#endif
static uintptr_t nng_code_start; /* both 0: the guard idles */
static uintptr_t nng_code_end;

struct code_search {
    uintptr_t address; /* any address inside the object that is looked for */
    uintptr_t start;
    uintptr_t end;
};

/* The executable segment in which `address` lies. */
static int search_object(struct dl_phdr_info *object, size_t size, void *arg) {
    struct code_search *search = arg;
    (void)size;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        const uintptr_t start = object->dlpi_addr + segment->p_vaddr;
        const bool executable = segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0;
        if (executable && search->address - start < segment->p_memsz) {
            search->start = start;
            search->end = start + segment->p_memsz;
            return 1;
        }
    }
    return 0;
}

static bool nng_is_defective(void) {
    unsigned long major = 0;
    unsigned long minor = 0;
    char *rest = NULL;
    major = strtoul(nng_version(), &rest, 10);
    minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;
    return major == 1 && minor < 6;
}

/* Object and function pointers are told apart by ISO C, but not by dlsym(): `function` points to a function pointer. */
static void look_up(const char *name, void *function) {
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) {
        abort(); /* A process without a C library; there is nobody yet to tell. */
    }
    memcpy(function, &symbol, sizeof symbol);
}

static void look_up_all(void) {
    look_up("sendmsg", &real_sendmsg);
    look_up("epoll_wait", &real_epoll_wait);
    look_up("readv", &real_readv);
    look_up("accept", &guard_real_accept);
    look_up("getsockopt", &real_getsockopt);
#ifndef __SANITIZE_THREAD__
    look_up("sysconf", &real_sysconf);
#endif
}

static bool hang_up(nng_pipe pipe);
static bool limit(nng_pipe pipe, size_t size_max);

__attribute__((constructor)) static void guard_start(void) {
    look_up_all();
    struct code_search search = {.address = (uintptr_t)dlsym(RTLD_DEFAULT, "nng_version")};
    if (search.address != 0 && nng_is_defective() && dl_iterate_phdr(search_object, &search) == 1) {
        nng_code_start = search.start;
        nng_code_end = search.end;
        jq_pipe_hang_up = hang_up;
        jq_pipe_limit = limit;
    }
}

bool jq_guard_active(void) {
    return nng_code_end != 0;
}

bool guard_called_by_nng(const void *return_address) {
    return (uintptr_t)return_address - nng_code_start < nng_code_end - nng_code_start;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    if (guard_called_by_nng(__builtin_return_address(0))) {
        return guard_stream_send(real_sendmsg, fd, message, flags);
    }
    return real_sendmsg(fd, message, flags);
}

ssize_t readv(int fd, const struct iovec *parts, int part_count) {
    if (guard_called_by_nng(__builtin_return_address(0))) {
        return guard_stream_read(real_readv, fd, parts, part_count);
    }
    return real_readv(fd, parts, part_count);
}

/* On ERR or HUP, NNG's poller would fail the queued write first and close the pipe under a read that is under way: the second
 * defect again. It is shown a readable and writable socket instead, and the read finds the error. NNG's poller knows nothing but
 * its own sockets, and an event counter whose data is null. */
int epoll_wait(int epoll_fd, struct epoll_event *events, int event_count_max, int timeout_ms) {
    const int count = real_epoll_wait(epoll_fd, events, event_count_max, timeout_ms);
    if (count <= 0 || !guard_called_by_nng(__builtin_return_address(0))) {
        return count;
    }
    const uint32_t lost = EPOLLERR | EPOLLHUP;
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr != NULL && (events[i].events & lost) != 0) {
            events[i].events = (events[i].events & ~lost) | EPOLLIN | EPOLLOUT;
        }
    }
    return count;
}

/* ---- what is done to one connection ---- */

/* NNG does not tell which descriptor a pipe has, but for some options of a pipe it asks the system, on the thread that asks NNG,
 * and keeps the pipe from being freed meanwhile. So the guard asks for such an option, and does inside what is to be done. */
struct errand {
    bool under_way, done;
    size_t limit; /* 0: end it */
};
static _Thread_local struct errand errand;

static bool run_errand(nng_pipe pipe, size_t limit) {
    bool ignored_flag = false;
    uint64_t ignored_uid = 0;
    errand = (struct errand){.under_way = true, .limit = limit};
    (void)nng_pipe_get_bool(pipe, NNG_OPT_TCP_KEEPALIVE, &ignored_flag);
    (void)nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &ignored_uid);
    errand.under_way = false;
    return errand.done;
}

static bool hang_up(nng_pipe pipe) {
    return run_errand(pipe, 0);
}

static bool limit(nng_pipe pipe, size_t size_max) {
    return run_errand(pipe, size_max);
}

static void do_errand(int fd) {
    if (errand.limit > 0) {
        errand.done = guard_stream_limit(fd, errand.limit);
    } else {
        guard_stream_end(fd);
        errand.done = true;
    }
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size) {
    if (errand.under_way && guard_called_by_nng(__builtin_return_address(0))) {
        do_errand(fd);
    }
    return real_getsockopt(fd, level, name, value, size);
}

/* ---- threads ---- */

#ifndef __SANITIZE_THREAD__ /* whose runtime calls it before anything can be looked up */

/* NNG makes two threads a processor for its callbacks. In a process with one socket under load they mostly wait for that socket's
 * lock and for each other: two serve more requests a second than four, let alone 64. */
long sysconf(int name) {
    if (real_sysconf == NULL) { /* called by another constructor */
        look_up_all();
    }
    if (name == _SC_NPROCESSORS_ONLN && guard_called_by_nng(__builtin_return_address(0))) {
        return 1;
    }
    return real_sysconf(name);
}

#endif

#else

bool jq_guard_active(void) {
    return false;
}

#endif
