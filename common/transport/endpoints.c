/* endpoints.c - listening, and what every NNG socket of ours has in common. */
#include "common/transport/internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/transport/address.h"
#include "common/transport/guard.h"

enum {
    IPC_MODE = 0600,
};

static const struct {
    int rv;
    enum jq_err err;
} ERRORS[] = {
    {0, JQ_OK},
    {NNG_ENOMEM, JQ_ERR_NOMEM},
    {NNG_ETIMEDOUT, JQ_ERR_TIMEOUT},
    {NNG_ECLOSED, JQ_ERR_CLOSED},
    {NNG_ECONNRESET, JQ_ERR_CLOSED},
    {NNG_ECONNABORTED, JQ_ERR_CLOSED},
    {NNG_ECONNSHUT, JQ_ERR_CLOSED},
    {NNG_ECONNREFUSED, JQ_ERR_UNAVAILABLE},
    {NNG_EUNREACHABLE, JQ_ERR_UNAVAILABLE},
    {NNG_ECANCELED, JQ_ERR_CANCELED},
    {NNG_EMSGSIZE, JQ_ERR_TOO_BIG},
    {NNG_EAGAIN, JQ_ERR_BUSY},
    {NNG_EPERM, JQ_ERR_DENIED},
    {NNG_EADDRINUSE, JQ_ERR_ADDRESS},
    {NNG_EADDRINVAL, JQ_ERR_ADDRESS},
    {NNG_EINVAL, JQ_ERR_INVALID},
    {NNG_EPROTO, JQ_ERR_PROTOCOL},
    {NNG_ENOTSUP, JQ_ERR_UNSUPPORTED},
    {NNG_ENOENT, JQ_ERR_NOT_FOUND},
};

enum jq_err jq_nng_err(int rv) {
    for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
        if (ERRORS[i].rv == rv) {
            return ERRORS[i].err;
        }
    }
    return JQ_ERR_IO;
}

enum jq_err jq_nng_fail(struct jq_error *reterr, int rv, const char *what) {
    return jq_fail(reterr, jq_nng_err(rv), "%s: %s", what, nng_strerror(rv));
}

void jq_pipe_end(nng_pipe pipe) {
    if (!jq_guard_end(pipe)) {
        nng_pipe_close(pipe);
    }
}

/* Without the limit a stranger could announce a message of any size, and NNG would allocate it. */
enum jq_err jq_socket_prepare(nng_socket socket, size_t frame_size_max, struct jq_error *reterr) {
    const int rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, frame_size_max + JQ_SP_HEADER_SIZE);
    return rv == 0 ? JQ_OK : jq_nng_fail(reterr, rv, "limit of received frames");
}

enum jq_err jq_urls_check(const char *const *urls, size_t url_count, struct jq_error *reterr) {
    if (url_count == 0 || url_count > JQ_URLS_MAX) {
        return jq_fail(reterr, JQ_ERR_ADDRESS, "%zu addresses given: from 1 to %d are possible", url_count,
                       JQ_URLS_MAX);
    }
    for (size_t i = 0; i < url_count; i++) {
        struct jq_address ignored;
        const enum jq_err err = jq_address_parse(urls[i], &ignored, reterr);
        if (err != JQ_OK) {
            return err;
        }
    }
    return JQ_OK;
}

static const char *listen_reason(int rv) {
    switch (rv) {
    case NNG_EADDRINUSE: return "in use by another process";
    case NNG_EADDRINVAL: return "no address of this machine";
    case NNG_ENOENT: return "its folder does not exist";
    case NNG_EPERM: return "permission denied";
    default: return nng_strerror(rv);
    }
}

/* NNG takes any file that nobody answers at for a stale socket and removes it. */
static enum jq_err check_path_is_free(const char *url, const char *path, struct jq_error *reterr) {
    struct stat found;
    if (lstat(path, &found) != 0 || S_ISSOCK(found.st_mode)) {
        return JQ_OK;
    }
    return jq_fail(reterr, JQ_ERR_ADDRESS, "%s: a file that is no socket stands there", url);
}

static int start_listener(nng_socket socket, const char *url, bool ipc, unsigned ipc_mode, nng_listener *ret_listener) {
    nng_listener listener;
    int rv = nng_listener_create(&listener, socket, url);
    if (rv != 0) {
        return rv;
    }
    if (ipc) {
        rv = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS,
                                  (int)(ipc_mode == 0 ? (unsigned)IPC_MODE : ipc_mode));
    }
    if (rv == 0) {
        rv = nng_listener_start(listener, 0);
    }
    if (rv != 0) {
        nng_listener_close(listener);
        return rv;
    }
    *ret_listener = listener;
    return 0;
}

/* Notes the URL under which the listener can be dialled. */
static void note_url(struct jq_endpoints *endpoints, nng_listener listener, const struct jq_address *address,
                     const char *url) {
    char *text = endpoints->urls[endpoints->count];
    const size_t text_size = sizeof endpoints->urls[0];
    int port = 0;
    if (address->kind == JQ_ADDRESS_TCP && strcmp(address->port, "0") == 0 &&
        nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port) == 0) {
        snprintf(text, text_size, "%.*s:%d", (int)(strrchr(url, ':') - url), url, port);
    } else {
        snprintf(text, text_size, "%s", url);
    }
    endpoints->listeners[endpoints->count++] = listener;
}

static enum jq_err listen_on(struct jq_endpoints *endpoints, nng_socket socket, const char *url, unsigned ipc_mode,
                             struct jq_error *reterr) {
    struct jq_address address;
    enum jq_err err = jq_address_parse(url, &address, reterr);
    if (err == JQ_OK && address.kind == JQ_ADDRESS_IPC) {
        err = check_path_is_free(url, address.host, reterr);
    }
    if (err != JQ_OK) {
        return err;
    }
    nng_listener listener;
    const int rv = start_listener(socket, url, address.kind == JQ_ADDRESS_IPC, ipc_mode, &listener);
    if (rv != 0) {
        err = jq_fail(reterr, rv == NNG_ENOMEM ? JQ_ERR_NOMEM : JQ_ERR_ADDRESS, "%s: %s", url, listen_reason(rv));
        if (reterr != NULL && rv == NNG_EADDRINUSE) {
            reterr->sys_errno = EADDRINUSE;
        }
        return err;
    }
    note_url(endpoints, listener, &address, url);
    return JQ_OK;
}

enum jq_err jq_endpoints_listen(struct jq_endpoints *endpoints, nng_socket socket, const char *const *urls,
                                size_t url_count, unsigned ipc_mode, struct jq_error *reterr) {
    enum jq_err err = jq_urls_check(urls, url_count, reterr);
    endpoints->count = 0;
    for (size_t i = 0; err == JQ_OK && i < url_count; i++) {
        err = listen_on(endpoints, socket, urls[i], ipc_mode, reterr);
    }
    if (err != JQ_OK) {
        jq_endpoints_close(endpoints);
    }
    return err;
}

void jq_endpoints_close(struct jq_endpoints *endpoints) {
    while (endpoints->count > 0) {
        nng_listener_close(endpoints->listeners[--endpoints->count]);
    }
}

const char *jq_endpoints_url(const struct jq_endpoints *endpoints, size_t index) {
    return index < endpoints->count ? endpoints->urls[index] : NULL;
}
