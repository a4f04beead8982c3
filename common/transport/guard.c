/* guard.c - see guard.h. Libraries find these sendmsg(), epoll_wait() and sysconf() before those of the C library. */
#define _GNU_SOURCE
#include "common/transport/guard.h"

#include <nng/nng.h>

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

typedef ssize_t sendmsg_fn(int fd, const struct msghdr *message, int flags);
typedef long sysconf_fn(int name);
typedef int epoll_wait_fn(int epoll_fd, struct epoll_event *events, int event_count_max, int timeout_ms);

/* Set before main(), read-only afterwards. */
static sendmsg_fn *real_sendmsg;
static epoll_wait_fn *real_epoll_wait;
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

/* Object and function pointers are told apart by ISO C, but not by dlsym(). */
static void *next_symbol(const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) {
        abort(); /* A process without a C library; there is nobody yet to tell. */
    }
    return symbol;
}

__attribute__((constructor)) static void guard_start(void) {
    void *symbol = next_symbol("sendmsg");
    memcpy(&real_sendmsg, &symbol, sizeof symbol);
    symbol = next_symbol("epoll_wait");
    memcpy(&real_epoll_wait, &symbol, sizeof symbol);
#ifndef __SANITIZE_THREAD__
    symbol = next_symbol("sysconf");
    memcpy(&real_sysconf, &symbol, sizeof symbol);
#endif

    struct code_search search = {.address = (uintptr_t)dlsym(RTLD_DEFAULT, "nng_version")};
    if (search.address != 0 && nng_is_defective() && dl_iterate_phdr(search_object, &search) == 1) {
        nng_code_start = search.start;
        nng_code_end = search.end;
    }
}

bool jq_guard_active(void) {
    return nng_code_end != 0;
}

static bool called_by_nng(const void *return_address) {
    return (uintptr_t)return_address - nng_code_start < nng_code_end - nng_code_start;
}

static bool is_stream(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* The first 8 bytes on every connection: 0 'S' 'P' 0, protocol (2 bytes), 0 0. */
static bool is_hello(const struct msghdr *message) {
    return message->msg_iovlen == 1 && message->msg_iov[0].iov_len == 8 &&
           memcmp(message->msg_iov[0].iov_base, "\0SP\0", 4) == 0;
}

static size_t message_size(const struct msghdr *message) {
    size_t size = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        size += message->msg_iov[i].iov_len;
    }
    return size;
}

/* To a peer that is gone, a hello fails with the error that NNG takes for the loss of this one connection, and a message reads as
 * sent: the read side then finds the end of the connection and closes the pipe, alone. */
static ssize_t lost_peer(const struct msghdr *message) {
    if (is_hello(message)) {
        errno = ECONNRESET;
        return -1;
    }
    return (ssize_t)message_size(message);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    const ssize_t sent = real_sendmsg(fd, message, flags);
    if (sent >= 0 || (errno != EPIPE && errno != ECONNRESET)) {
        return sent;
    }
    const int reason = errno;
    if (called_by_nng(__builtin_return_address(0)) && is_stream(fd)) {
        return lost_peer(message);
    }
    errno = reason;
    return -1;
}

/* On ERR or HUP, NNG's poller would fail the queued write first and close the pipe under a read that is under way: the second
 * defect again. It is shown a readable and writable socket instead, and the read finds the error. NNG's poller knows nothing but
 * its own sockets, and an event counter whose data is null. */
int epoll_wait(int epoll_fd, struct epoll_event *events, int event_count_max, int timeout_ms) {
    const int count = real_epoll_wait(epoll_fd, events, event_count_max, timeout_ms);
    if (count <= 0 || !called_by_nng(__builtin_return_address(0))) {
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

#ifndef __SANITIZE_THREAD__ /* whose runtime calls it before anything can be looked up */

/* NNG makes two threads a processor for its callbacks. In a process with one socket under load they mostly wait for that socket's
 * lock and for each other: two serve more requests a second than four, let alone 64. */
long sysconf(int name) {
    if (real_sysconf == NULL) { /* called by another constructor */
        void *symbol = next_symbol("sysconf");
        memcpy(&real_sysconf, &symbol, sizeof symbol);
    }
    if (name == _SC_NPROCESSORS_ONLN && called_by_nng(__builtin_return_address(0))) {
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
