/* rawpeer.h - a peer that speaks to a socket of NNG's by hand, as no client of NNG would, and what it may leave behind. */
#ifndef JQ_TESTS_LIB_RAWPEER_H
#define JQ_TESTS_LIB_RAWPEER_H

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/transport/address.h"
#include "tests/lib/event.h"

/* Where a test listens by ipc: no other process does. */
static inline void ipc_test_url(char *url, size_t size, const char *name) {
    snprintf(url, size, "ipc:///tmp/jq-test-%ld-%s.sock", (long)getpid(), name);
}

/* Small buffers, and segments as on a real network: the server finds the connection full soon. */
static inline void rawpeer_use_small_buffers(int fd) {
    const int segment = 1400;
    const int small = 16384;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
}

static inline int rawpeer_socket(const struct jq_address *address) {
    const bool ipc = address->kind == JQ_ADDRESS_IPC;
    const int fd = socket(ipc ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    JQ_CHECK(fd >= 0);
    return fd;
}

/* A connection to `url`: ipc, or tcp to this machine. Nothing is said yet. */
static inline int rawpeer_connect(const char *url, bool small_buffers) {
    struct jq_address address;
    JQ_CHECK(jq_address_parse(url, &address, NULL) == JQ_OK);
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in port = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = rawpeer_socket(&address);
    int rc = 0;
    if (address.kind == JQ_ADDRESS_IPC) {
        memcpy(path.sun_path, address.host, strlen(address.host) + 1);
        rc = connect(fd, (const struct sockaddr *)&path, sizeof path);
    } else {
        if (small_buffers) {
            rawpeer_use_small_buffers(fd);
        }
        port.sin_port = htons((uint16_t)strtoul(address.port, NULL, 10));
        rc = connect(fd, (const struct sockaddr *)&port, sizeof port);
    }
    JQ_CHECK(rc == 0);
    return fd;
}

static inline size_t open_fd_count(void) {
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    JQ_CHECK(folder != NULL);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

/* Waits until this process has no more than `expected` open: NNG closes descriptors on a thread of its own, soon. False: it still
 * has, after EVENT_WAIT_MAX_S. */
static inline bool open_fds_fall_to(size_t expected) {
    const int64_t deadline_ns = jq_clock_mono_ns() + EVENT_WAIT_MAX_S * INT64_C(1000000000);
    bool fell = open_fd_count() <= expected;
    while (!fell && jq_clock_mono_ns() < deadline_ns) {
        sched_yield();
        fell = open_fd_count() <= expected; /* A connection that is accepted late may raise it once more. */
    }
    return fell;
}

#endif
