/* doorbell.c - the socket by which a worker that sleeps is woken: handed over by the service manager (sd_listen_fds(3)), which starts us when
 * somebody connects. Who rings says nothing; while we are awake it is enough to hang up. */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/shell/worker.h"

enum { LEAVE_WAIT_MS = 1000, RINGS_MAX = 1024 };

union any_address {
    struct sockaddr any;
    struct sockaddr_un path;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool is_everywhere(const union any_address *address) {
    return address->any.sa_family == AF_INET ? address->v4.sin_addr.s_addr == htonl(INADDR_ANY)
                                             : IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

/* Where that socket is reached; "" where that cannot be told from the socket. */
static void url_of(int fd, char out[JQ_DOORBELL_SIZE_MAX + 1]) {
    union any_address address = {.any.sa_family = AF_UNSPEC};
    socklen_t size = sizeof(address);
    char host[INET6_ADDRSTRLEN] = "";
    out[0] = '\0';
    if (getsockname(fd, &address.any, &size) != 0) {
        return;
    }
    if (address.any.sa_family == AF_UNIX && address.path.sun_path[0] == '/') {
        (void)snprintf(out, JQ_DOORBELL_SIZE_MAX + 1, "ipc://%.107s", address.path.sun_path);
    } else if (address.any.sa_family == AF_INET && !is_everywhere(&address)) {
        (void)inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof(host));
        (void)snprintf(out, JQ_DOORBELL_SIZE_MAX + 1, "tcp://%s:%u", host, (unsigned)ntohs(address.v4.sin_port));
    } else if (address.any.sa_family == AF_INET6 && !is_everywhere(&address)) {
        (void)inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof(host));
        (void)snprintf(out, JQ_DOORBELL_SIZE_MAX + 1, "tcp://[%s]:%u", host, (unsigned)ntohs(address.v6.sin6_port));
    }
}

static enum jq_err take_socket(struct jq_worker_shell *worker, struct jq_error *reterr) {
    const int count = sd_listen_fds(1);
    worker->doorbell_fd = -1;
    if (count == 0) {
        return JQ_OK;
    }
    if (count != 1 || sd_is_socket(SD_LISTEN_FDS_START, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
        return jq_fail(reterr, JQ_ERR_INVALID, "doorbell: one listening stream socket is wanted, not %d descriptors",
                       count);
    }
    worker->doorbell_fd = SD_LISTEN_FDS_START;
    if (fcntl(worker->doorbell_fd, F_SETFL, O_NONBLOCK) != 0) {
        return jq_fail_errno(reterr, errno, "doorbell");
    }
    url_of(worker->doorbell_fd, worker->doorbell);
    return JQ_OK;
}

enum jq_err jq_doorbell_open(struct jq_worker_shell *worker, struct jq_error *reterr) {
    const enum jq_err err = take_socket(worker, reterr);
    if (err != JQ_OK) {
        return err;
    }
    if (worker->settings->doorbell[0] != '\0') {
        (void)snprintf(worker->doorbell, sizeof(worker->doorbell), "%s", worker->settings->doorbell);
    }
    if (worker->doorbell_fd >= 0 && worker->doorbell[0] == '\0') {
        return jq_fail(reterr, JQ_ERR_INVALID,
                       "[worker] doorbell: needed, since the socket does not tell at which address it is reached");
    }
    jq_doorbell_answer(worker);
    return JQ_OK;
}

void jq_doorbell_answer(const struct jq_worker_shell *worker) {
    for (int i = 0; worker->doorbell_fd >= 0 && i < RINGS_MAX; i++) {
        const int fd = accept4(worker->doorbell_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        (void)close(fd);
    }
}

void jq_worker_leave(struct jq_worker_shell *worker) {
    if (worker->refused.code) {
        return;
    }
    jq_doorbell_answer(worker); /* who rings from now on is to start us again: once too often rather than too late */
    if (!jq_link_leave(worker->link, LEAVE_WAIT_MS)) {
        JQ_LOG_INFO("gone without a word: the broker does not answer");
    } else if (worker->doorbell[0] != '\0') {
        JQ_LOG_INFO("asleep", JQ_F_STR("doorbell", worker->doorbell));
    }
}
