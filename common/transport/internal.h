/* internal.h - what the files of this folder share. Nobody outside of common/transport includes it.
 *
 * This is the one header of jqmesh that includes NNG's.
 */
#ifndef JQ_COMMON_TRANSPORT_INTERNAL_H
#define JQ_COMMON_TRANSPORT_INTERNAL_H

#include <nng/nng.h>

#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/protocol/survey0/respond.h>
#include <nng/protocol/survey0/survey.h>
#include <pthread.h>
#include <time.h>

#include "common/err.h"
#include "common/transport/frame.h"
#include "common/types.h"

enum {
    JQ_SP_HEADER_SIZE = 4, /* a request or survey id travels before the body and counts towards NNG_OPT_RECVMAXSZ */
    JQ_NNG_BUFFER_COUNT = 8192, /* the deepest queue that NNG allows */
};

/* A frame is an NNG message under another name: there is nothing to wrap. */
static inline nng_msg *jq_frame_msg(struct jq_frame *frame) {
    return (nng_msg *)frame;
}
static inline struct jq_frame *jq_frame_of(nng_msg *msg) {
    return (struct jq_frame *)msg;
}
static inline struct jq_bytes jq_msg_bytes(nng_msg *msg) {
    return (struct jq_bytes){nng_msg_body(msg), nng_msg_len(msg)};
}

/* Zeroed memory that is never freed, for what NNG may call back into until the process ends. NULL: out of memory. */
void *jq_alloc_forever(size_t size);

/* The code for an NNG error; 0 becomes JQ_OK. Fails fills *reterr with "what: reason". */
enum jq_err jq_nng_err(int rv);
enum jq_err jq_nng_fail(struct jq_error *reterr, int rv, const char *what);

/* The size limit of a frame as configured: 0 stands for JQ_FRAME_SIZE_MAX. */
static inline size_t jq_frame_limit(size_t configured) {
    return configured == 0 ? (size_t)JQ_FRAME_SIZE_MAX : configured;
}

/* Ends a connection. The pipe closes once NNG has noticed, on its own threads. It may be gone already. */
void jq_pipe_end(nng_pipe pipe);

/* Options that every socket needs before it listens or dials. */
enum jq_err jq_socket_prepare(nng_socket socket, size_t frame_size_max, struct jq_error *reterr);

enum { JQ_URLS_MAX = 8 };

/* JQ_ERR_ADDRESS: too few, too many, or one that cannot be (see address.h). */
enum jq_err jq_urls_check(const char *const *urls, size_t url_count, struct jq_error *reterr);

/* What a socket listens on. */
struct jq_endpoints {
    size_t count;
    nng_listener listeners[JQ_URLS_MAX];
    char urls[JQ_URLS_MAX][136]; /* as they can be dialled: port 0 replaced by the one that was given out */
};

/* Listens on every URL, or on none. `ipc_mode` is the mode of ipc sockets (0: 0600). JQ_ERR_ADDRESS names URL and reason. */
enum jq_err jq_endpoints_listen(struct jq_endpoints *endpoints, nng_socket socket, const char *const *urls,
                                size_t url_count, unsigned ipc_mode, struct jq_error *reterr);
/* Takes no new connection any more, closes those there are, and removes ipc sockets from the file system. Idempotent. */
void jq_endpoints_close(struct jq_endpoints *endpoints);

/* The URL `index` as it can be dialled, or NULL. */
const char *jq_endpoints_url(const struct jq_endpoints *endpoints, size_t index);

/* Waiting with a limit. Deadlines are of CLOCK_MONOTONIC; `timeout_ms` < 0 is none: INT64_MAX ns. */
int64_t jq_deadline_ns(int64_t timeout_ms);
struct timespec jq_monotonic_deadline(int64_t timeout_ms);
void jq_monotonic_cond_init(pthread_cond_t *cond);

/* One URL that is dialled. */
struct jq_dialer {
    nng_dialer dialer;
    nng_pipe pipe;    /* id 0: there is no connection */
    bool ready;       /* its handshake was fine and it takes part in the protocol */
    bool ended;       /* by us; NNG has still to notice */
    int64_t alone_ns; /* CLOCK_MONOTONIC: since when there is no connection */
    char url[128];
};

/* What a socket dials. Any thread. It has the notices of the socket's pipes for itself. */
struct jq_dialers {
    nng_socket socket;
    void (*on_change)(void *ctx); /* after a connection may have come or gone; may be NULL */
    void *ctx;
    pthread_mutex_t lock;
    bool closed;
    size_t count;
    struct jq_dialer dialers[JQ_URLS_MAX];
};

struct jq_dialers_config {
    const char *const *urls; /* borrowed for the time of the call */
    size_t url_count;
    int reconnect_min_ms; /* the pause before dialling again, which grows from this .. */
    int reconnect_max_ms; /* .. to this; 0: 10 and 1000 */
    void (*on_change)(void *ctx);
    void *ctx;
};

/* Starts to dial every URL and to dial again for ever. Never waits. The dialers must live as long as the process. */
enum jq_err jq_dialers_start(struct jq_dialers *dialers, nng_socket socket, const struct jq_dialers_config *config,
                             struct jq_error *reterr);
/* Ends the connections, soon, and dials anew; an attempt to connect that is young goes on. */
void jq_dialers_redial(struct jq_dialers *dialers);
/* Ends the connections, soon, and dials no more. Never waits. Idempotent. */
void jq_dialers_close(struct jq_dialers *dialers);
/* Connections that take part. */
size_t jq_dialers_ready_count(struct jq_dialers *dialers);

#endif
