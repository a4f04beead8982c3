#include "common/transport/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static enum jq_err refuse(const char *url, const char *reason, struct jq_error *reterr) {
    return jq_fail(reterr, JQ_ERR_ADDRESS, "%.*s: %s", JQ_ADDRESS_SIZE_MAX, url, reason);
}

static const char *after_prefix(const char *text, const char *prefix) {
    const size_t size = strlen(prefix);
    return strncmp(text, prefix, size) == 0 ? text + size : NULL;
}

static bool port_valid(const char *port) {
    const size_t size = strspn(port, "0123456789");
    if (size == 0 || size > 5 || port[size] != '\0') {
        return false;
    }
    unsigned value = 0;
    for (const char *digit = port; *digit != '\0'; digit++) {
        value = value * 10 + (unsigned)(*digit - '0');
    }
    return value <= 65535;
}

/* A name is taken at its word only if it is `localhost`: 127.example.org is no loopback address. */
static bool host_is_loopback(const char *host) {
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, host, &four) == 1) {
        return ntohl(four.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, host, &six) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&six);
    }
    return strcmp(host, "localhost") == 0;
}

static enum jq_err parse_tcp(const char *url, const char *rest, struct jq_address *address, struct jq_error *reterr) {
    const char *colon = strrchr(rest, ':');
    if (colon == NULL || !port_valid(colon + 1)) {
        return refuse(url, "a tcp address needs a port from 0 to 65535 at its end", reterr);
    }
    const char *host = rest;
    size_t host_size = (size_t)(colon - rest);
    if (host_size >= 2 && host[0] == '[' && host[host_size - 1] == ']') {
        host++;
        host_size -= 2;
    } else if (memchr(host, ':', host_size) != NULL) {
        return refuse(url, "an IPv6 address needs brackets", reterr);
    }
    if (host_size == 0 || strcspn(host, "/?#@ ") < host_size) {
        return refuse(url, "not a host name or address", reterr);
    }
    memcpy(address->host, host, host_size);
    memcpy(address->port, colon + 1, strlen(colon + 1));
    address->kind = JQ_ADDRESS_TCP;
    address->loopback = host_is_loopback(address->host);
    return JQ_OK;
}

static enum jq_err parse_ipc(const char *url, const char *path, struct jq_address *address, struct jq_error *reterr) {
    if (path[0] != '/' || path[1] == '\0') {
        return refuse(url, "an ipc address needs an absolute path: ipc:///run/name.sock", reterr);
    }
    if (strlen(path) > JQ_ADDRESS_PATH_MAX) {
        return refuse(url, "the path of an ipc address has at most 107 bytes", reterr);
    }
    memcpy(address->host, path, strlen(path));
    address->kind = JQ_ADDRESS_IPC;
    address->loopback = true;
    return JQ_OK;
}

static enum jq_err parse_inproc(const char *url, const char *name, struct jq_address *address,
                                struct jq_error *reterr) {
    if (name[0] == '\0') {
        return refuse(url, "an inproc address needs a name", reterr);
    }
    memcpy(address->host, name, strlen(name));
    address->kind = JQ_ADDRESS_INPROC;
    address->loopback = true;
    return JQ_OK;
}

enum jq_err jq_address_parse(const char *url, struct jq_address *ret_address, struct jq_error *reterr) {
    if (strlen(url) > JQ_ADDRESS_SIZE_MAX) {
        return refuse(url, "an address has at most 127 bytes", reterr);
    }
    struct jq_address address = {0};
    enum jq_err err = JQ_OK;
    const char *rest = NULL;
    if ((rest = after_prefix(url, "tcp://")) != NULL) {
        err = parse_tcp(url, rest, &address, reterr);
    } else if ((rest = after_prefix(url, "ipc://")) != NULL) {
        err = parse_ipc(url, rest, &address, reterr);
    } else if ((rest = after_prefix(url, "inproc://")) != NULL) {
        err = parse_inproc(url, rest, &address, reterr);
    } else {
        err = refuse(url, "not an address: use tcp://HOST:PORT or ipc:///PATH", reterr);
    }
    if (err == JQ_OK) {
        *ret_address = address;
    }
    return err;
}

/* Returns 0 or the errno of the attempt. */
static int try_connect(const struct sockaddr *target, socklen_t target_size, int timeout_ms) {
    const int fd = socket(target->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return errno;
    }
    int reason = connect(fd, target, target_size) == 0 ? 0 : errno;
    if (reason == EINPROGRESS) {
        struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
        socklen_t size = sizeof reason;
        if (poll(&pollfd, 1, timeout_ms) != 1) {
            reason = ETIMEDOUT;
        } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size) != 0) {
            reason = errno;
        }
    }
    close(fd);
    return reason;
}

static int try_ipc(const struct jq_address *address, int timeout_ms) {
    struct sockaddr_un target = {.sun_family = AF_UNIX};
    memcpy(target.sun_path, address->host, strlen(address->host));
    return try_connect((const struct sockaddr *)&target, sizeof target, timeout_ms);
}

/* Returns 0, or why nobody answers, in `reterr`. */
static enum jq_err try_tcp(const char *url, const struct jq_address *address, int timeout_ms, struct jq_error *reterr) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int rc = getaddrinfo(address->host, address->port, &hints, &found);
    if (rc != 0) {
        return jq_fail(reterr, JQ_ERR_UNAVAILABLE, "%s: %s", url, gai_strerror(rc));
    }
    int reason = 0;
    for (const struct addrinfo *entry = found; entry != NULL; entry = entry->ai_next) {
        reason = try_connect(entry->ai_addr, entry->ai_addrlen, timeout_ms);
        if (reason == 0) {
            break;
        }
    }
    freeaddrinfo(found);
    return reason == 0 ? JQ_OK : jq_fail(reterr, JQ_ERR_UNAVAILABLE, "%s: %s", url, strerror(reason));
}

enum jq_err jq_address_knock(const char *url, int timeout_ms, struct jq_error *reterr) {
    struct jq_address address;
    const enum jq_err err = jq_address_parse(url, &address, reterr);
    if (err != JQ_OK) {
        return err;
    }
    if (address.kind == JQ_ADDRESS_TCP) {
        return try_tcp(url, &address, timeout_ms, reterr);
    }
    const int reason = address.kind == JQ_ADDRESS_IPC ? try_ipc(&address, timeout_ms) : 0;
    return reason == 0 ? JQ_OK : jq_fail(reterr, JQ_ERR_UNAVAILABLE, "%s: %s", url, strerror(reason));
}

enum jq_err jq_address_reason(const char *url, int timeout_ms, struct jq_error *reterr) {
    const enum jq_err err = jq_address_knock(url, timeout_ms, reterr);
    return err != JQ_OK ? err : jq_fail(reterr, JQ_ERR_UNAVAILABLE, "%s: no answer", url);
}
