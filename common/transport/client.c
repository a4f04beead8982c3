#include "common/transport/client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/transport/address.h"
#include "common/transport/guard.h"
#include "common/transport/internal.h"

enum {
    OUTSTANDING_MAX = 1024,
    REQUEST_SPARE = 64, /* requests whose callback still runs, while the callback has made the next one */
    REASON_TIMEOUT_MS = 200,
    SEND_SLICE_MS = 250, /* how long NNG may look for a connection before we look after NNG */
    STALLED_MS = 10000,  /* nothing sent for so long, with something to send: dial anew */
    LOST_MS = 500,       /* the same after a loss; doubles with every attempt */
    LOST_DOUBLINGS_MAX = 6,
};

enum request_state {
    REQUEST_RESTING, /* in the pool */
    REQUEST_SENDING, /* waits for a connection that takes it */
    REQUEST_WAITING, /* for the answer */
};

/* An aio with a callback runs it on a thread of NNG's; one without wakes the waiting thread straight away, which saves the blocking
 * form a hop. So there are two kinds of request, each with a pool of its own. */
enum request_kind {
    REQUEST_ASYNC,
    REQUEST_BLOCKING,
    REQUEST_KIND_COUNT,
};

struct request {
    struct jq_conn *conn;
    enum request_kind kind;
    uint32_t index; /* in conn->requests */
    nng_ctx context;
    nng_aio *aio;
    struct request *next; /* in the pool */

    pthread_mutex_t lock; /* guards what follows: a cancel may meet any state */
    enum request_state state;
    uint32_t generation; /* one up at every end, so that an old ticket means nothing */
    bool canceled;
    int64_t deadline_ns;        /* CLOCK_MONOTONIC; INT64_MAX: none */
    jq_conn_reply_fn *on_reply; /* or on_frame; the other is NULL */
    jq_conn_frame_fn *on_frame;
    void *ctx;
};

struct jq_conn {
    nng_socket socket;
    struct jq_dialers dialers;
    struct jq_conn_config config;
    char first_url[JQ_ADDRESS_SIZE_MAX + 1];
    size_t frame_size_max;

    atomic_int_least64_t progress_ns; /* when a request was last sent, or the dialers renewed */
    atomic_uint doubt; /* 0: all is well; 1: a connection was lost since; one more for every renewal since */

    pthread_mutex_t lock; /* guards what follows; held for moments only */
    pthread_cond_t connected;
    bool stopped;
    uint32_t outstanding;
    uint32_t request_count;
    struct request *pools[REQUEST_KIND_COUNT];
    struct request **requests; /* outstanding_max + REQUEST_SPARE */

    pthread_mutex_t state_lock; /* held over on_state, so that events come one at a time and in order */
    bool state_told;
};

static void request_cb(void *arg);

/* ---- requests: made when needed, rested in a pool, never freed ---- */

static struct request *request_new(struct jq_conn *conn, enum request_kind kind) {
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        return NULL;
    }
    if (nng_aio_alloc(&request->aio, kind == REQUEST_ASYNC ? request_cb : NULL, request) != 0) {
        free(request);
        return NULL;
    }
    if (nng_ctx_open(&request->context, conn->socket) != 0) {
        nng_aio_free(request->aio);
        free(request);
        return NULL;
    }
    JQ_CHECK(pthread_mutex_init(&request->lock, NULL) == 0);
    request->conn = conn;
    request->kind = kind;
    request->generation = 1;
    return request;
}

/* With conn->lock held. */
static enum jq_err request_from_pool(struct jq_conn *conn, enum request_kind kind, struct request **ret_request) {
    struct request *request = conn->pools[kind];
    if (request != NULL) {
        conn->pools[kind] = request->next;
        *ret_request = request;
        return JQ_OK;
    }
    if (conn->request_count == conn->config.outstanding_max + REQUEST_SPARE) {
        return JQ_ERR_BUSY;
    }
    request = request_new(conn, kind);
    if (request == NULL) {
        return JQ_ERR_NOMEM;
    }
    request->index = conn->request_count++;
    conn->requests[request->index] = request;
    *ret_request = request;
    return JQ_OK;
}

static enum jq_err request_take(struct jq_conn *conn, enum request_kind kind, struct request **ret_request) {
    enum jq_err err = JQ_OK;
    pthread_mutex_lock(&conn->lock);
    if (conn->stopped) {
        err = JQ_ERR_CLOSED;
    } else if (conn->outstanding >= conn->config.outstanding_max) {
        err = JQ_ERR_BUSY;
    } else {
        err = request_from_pool(conn, kind, ret_request);
    }
    if (err == JQ_OK) {
        conn->outstanding++;
    }
    pthread_mutex_unlock(&conn->lock);
    return err;
}

/* From here on the request counts no more and its ticket is void. */
static void request_end(struct request *request) {
    pthread_mutex_lock(&request->lock);
    request->state = REQUEST_RESTING;
    request->generation++;
    request->canceled = false;
    pthread_mutex_unlock(&request->lock);
    pthread_mutex_lock(&request->conn->lock);
    request->conn->outstanding--;
    pthread_mutex_unlock(&request->conn->lock);
}

static void request_rest(struct request *request) {
    struct jq_conn *conn = request->conn;
    pthread_mutex_lock(&conn->lock);
    request->next = conn->pools[request->kind];
    conn->pools[request->kind] = request;
    pthread_mutex_unlock(&conn->lock);
}

/* ---- the two stages of a request ---- */

static nng_duration remaining_ms(int64_t deadline_ns) {
    if (deadline_ns == INT64_MAX) {
        return NNG_DURATION_INFINITE;
    }
    const int64_t left_ms = (deadline_ns - jq_clock_mono_ns() + 999999) / 1000000;
    return left_ms < 0 ? 0 : left_ms > INT32_MAX ? INT32_MAX : (nng_duration)left_ms;
}

static nng_duration stage_timeout_ms(const struct request *request, enum request_state stage) {
    const nng_duration left_ms = remaining_ms(request->deadline_ns);
    const bool sliced = stage == REQUEST_SENDING && (left_ms == NNG_DURATION_INFINITE || left_ms > SEND_SLICE_MS);
    return sliced ? SEND_SLICE_MS : left_ms;
}

/* False: canceled before. The lock makes a cancel either come first or meet an operation that it can cancel. */
static bool stage_start(struct request *request, enum request_state stage) {
    pthread_mutex_lock(&request->lock);
    const bool start = !request->canceled;
    if (start) {
        request->state = stage;
        nng_aio_set_timeout(request->aio, stage_timeout_ms(request, stage));
        if (stage == REQUEST_SENDING) {
            nng_ctx_send(request->context, request->aio);
        } else {
            nng_ctx_recv(request->context, request->aio);
        }
    }
    pthread_mutex_unlock(&request->lock);
    return start;
}

static void free_unsent(struct request *request) {
    nng_msg *msg = nng_aio_get_msg(request->aio);
    if (msg != NULL) {
        nng_msg_free(msg);
        nng_aio_set_msg(request->aio, NULL);
    }
}

/* What the end of a stage means. Before it was sent, running out of time and losing the connection are the same. */
static enum jq_err stage_err(enum request_state stage, int rv) {
    const enum jq_err err = jq_nng_err(rv);
    return stage == REQUEST_SENDING && (err == JQ_ERR_TIMEOUT || err == JQ_ERR_CLOSED) ? JQ_ERR_UNAVAILABLE : err;
}

static int64_t patience_ns(unsigned doubt) {
    const unsigned doublings = doubt > LOST_DOUBLINGS_MAX ? (unsigned)LOST_DOUBLINGS_MAX : doubt - (doubt > 0 ? 1 : 0);
    return (doubt == 0 ? STALLED_MS : (int64_t)LOST_MS << doublings) * INT64_C(1000000);
}

/* Dials anew if nothing moves: an attempt to connect may hang where packets are lost. And without the guard (see guard.h), NNG
 * before 1.6 can lose the thread that would dial again when a server is killed with traffic in flight; a new dialer connects without
 * it. */
static void conn_look_after(struct jq_conn *conn) {
    const int64_t now_ns = jq_clock_mono_ns();
    int64_t progress_ns = atomic_load(&conn->progress_ns);
    if (now_ns - progress_ns > patience_ns(atomic_load(&conn->doubt)) &&
        atomic_compare_exchange_strong(&conn->progress_ns, &progress_ns, now_ns)) {
        atomic_fetch_add(&conn->doubt, 1);
        jq_dialers_redial(&conn->dialers);
    }
}

static void conn_note_sent(struct jq_conn *conn) {
    atomic_store(&conn->progress_ns, jq_clock_mono_ns());
    if (atomic_load(&conn->doubt) != 0) {
        atomic_store(&conn->doubt, 0);
    }
}

/* After the wait for an answer has ended with `rv`. */
static void conn_note_end(struct jq_conn *conn, int rv) {
    unsigned none = 0;
    if (rv == NNG_ECONNRESET) {
        atomic_compare_exchange_strong(&conn->doubt, &none, 1);
    }
}

/* After the send stage has ended with `rv`: is there time left for another slice? */
static bool keeps_sending(struct request *request, int rv) {
    if (rv == 0) {
        conn_note_sent(request->conn);
        return false;
    }
    if (rv != NNG_ETIMEDOUT || remaining_ms(request->deadline_ns) == 0 || nng_aio_get_msg(request->aio) == NULL) {
        return false;
    }
    conn_look_after(request->conn);
    return true;
}

static void request_finish(struct request *request, enum jq_err err, nng_msg *reply) {
    jq_conn_reply_fn *on_reply = request->on_reply;
    jq_conn_frame_fn *on_frame = request->on_frame;
    void *ctx = request->ctx;
    request_end(request);
    if (on_frame != NULL) {
        on_frame(ctx, err, reply != NULL ? jq_frame_of(reply) : NULL);
    } else {
        on_reply(ctx, err, reply != NULL ? jq_msg_bytes(reply) : (struct jq_bytes){NULL, 0});
        jq_frame_free(jq_frame_of(reply));
    }
    request_rest(request);
}

static void request_sent(struct request *request, int rv) {
    const bool again = keeps_sending(request, rv);
    if (again || rv == 0) {
        if (!stage_start(request, again ? REQUEST_SENDING : REQUEST_WAITING)) {
            free_unsent(request);
            request_finish(request, JQ_ERR_CANCELED, NULL);
        }
        return;
    }
    free_unsent(request);
    request_finish(request, stage_err(REQUEST_SENDING, rv), NULL);
}

static nng_msg *take_reply(struct request *request) {
    nng_msg *reply = nng_aio_get_msg(request->aio);
    nng_aio_set_msg(request->aio, NULL);
    return reply;
}

static void request_cb(void *arg) {
    struct request *request = arg;
    const int rv = nng_aio_result(request->aio);
    if (request->state == REQUEST_SENDING) {
        request_sent(request, rv);
        return;
    }
    conn_note_end(request->conn, rv);
    if (rv != 0) {
        request_finish(request, stage_err(REQUEST_WAITING, rv), NULL);
    } else {
        request_finish(request, JQ_OK, take_reply(request));
    }
}

static jq_conn_ticket request_arm(struct request *request, nng_msg *msg, int64_t timeout_ms) {
    pthread_mutex_lock(&request->lock);
    request->deadline_ns = jq_deadline_ns(timeout_ms);
    nng_aio_set_msg(request->aio, msg);
    const jq_conn_ticket ticket = {(uint64_t)request->generation << 32 | request->index};
    pthread_mutex_unlock(&request->lock);
    return ticket;
}

/* One of `on_reply` and `on_frame` is NULL. */
static enum jq_err request_start(struct jq_conn *conn, struct jq_frame *frame, int64_t timeout_ms,
                                 jq_conn_reply_fn *on_reply, jq_conn_frame_fn *on_frame, void *ctx,
                                 jq_conn_ticket *ret_ticket) {
    struct request *request = NULL;
    if (jq_frame_size(frame) > conn->frame_size_max) {
        return JQ_ERR_TOO_BIG;
    }
    const enum jq_err err = request_take(conn, REQUEST_ASYNC, &request);
    if (err != JQ_OK) {
        return err;
    }
    request->on_reply = on_reply;
    request->on_frame = on_frame;
    request->ctx = ctx;
    const jq_conn_ticket ticket = request_arm(request, jq_frame_msg(frame), timeout_ms);
    if (ret_ticket != NULL) {
        *ret_ticket = ticket;
    }
    if (!stage_start(request, REQUEST_SENDING)) {
        free_unsent(request);
        request_finish(request, JQ_ERR_CANCELED, NULL);
    }
    return JQ_OK;
}

enum jq_err jq_conn_request_take(struct jq_conn *conn, struct jq_frame *frame, int64_t timeout_ms,
                                 jq_conn_reply_fn *on_reply, void *ctx, jq_conn_ticket *ret_ticket) {
    return request_start(conn, frame, timeout_ms, on_reply, NULL, ctx, ret_ticket);
}

enum jq_err jq_conn_exchange_take(struct jq_conn *conn, struct jq_frame *frame, int64_t timeout_ms,
                                  jq_conn_frame_fn *on_frame, void *ctx, jq_conn_ticket *ret_ticket) {
    return request_start(conn, frame, timeout_ms, NULL, on_frame, ctx, ret_ticket);
}

enum jq_err jq_conn_request(struct jq_conn *conn, struct jq_bytes frame, int64_t timeout_ms, jq_conn_reply_fn *on_reply,
                            void *ctx, jq_conn_ticket *ret_ticket) {
    if (frame.size > conn->frame_size_max) {
        return JQ_ERR_TOO_BIG;
    }
    struct jq_frame *copy = jq_frame_copy(frame);
    if (copy == NULL) {
        return JQ_ERR_NOMEM;
    }
    const enum jq_err err = jq_conn_request_take(conn, copy, timeout_ms, on_reply, ctx, ret_ticket);
    if (err != JQ_OK) {
        jq_frame_free(copy);
    }
    return err;
}

/* ---- the blocking form ---- */

static enum jq_err call_send(struct request *request) {
    int rv = 0;
    do {
        if (!stage_start(request, REQUEST_SENDING)) {
            free_unsent(request);
            return JQ_ERR_CANCELED;
        }
        nng_aio_wait(request->aio);
        rv = nng_aio_result(request->aio);
    } while (keeps_sending(request, rv));
    if (rv != 0) {
        free_unsent(request);
    }
    return stage_err(REQUEST_SENDING, rv);
}

static enum jq_err call_run(struct request *request, nng_msg **ret_reply) {
    const enum jq_err err = call_send(request);
    if (err != JQ_OK) {
        return err;
    }
    if (!stage_start(request, REQUEST_WAITING)) {
        return JQ_ERR_CANCELED;
    }
    nng_aio_wait(request->aio);
    const int rv = nng_aio_result(request->aio);
    conn_note_end(request->conn, rv);
    if (rv == 0) {
        *ret_reply = take_reply(request);
    }
    return stage_err(REQUEST_WAITING, rv);
}

static enum jq_err call_fail(const struct jq_conn *conn, enum jq_err err, struct jq_error *reterr) {
    switch (err) {
    case JQ_OK: return JQ_OK;
    case JQ_ERR_TOO_BIG: return jq_fail(reterr, err, "request: larger than a frame of %zu bytes", conn->frame_size_max);
    case JQ_ERR_BUSY:
        return jq_fail(reterr, err, "%s: %u requests are under way", conn->first_url, conn->config.outstanding_max);
    case JQ_ERR_UNAVAILABLE: return jq_fail(reterr, err, "%s: no connection", conn->first_url);
    case JQ_ERR_CLOSED: return jq_fail(reterr, err, "%s: connection lost before the answer came", conn->first_url);
    case JQ_ERR_TIMEOUT: return jq_fail(reterr, err, "%s: no answer in time", conn->first_url);
    default: return jq_fail(reterr, err, "%s: %s", conn->first_url, jq_err_text(err));
    }
}

enum jq_err jq_conn_call_take(struct jq_conn *conn, struct jq_frame *frame, int64_t timeout_ms,
                              struct jq_frame **ret_reply, struct jq_error *reterr) {
    struct request *request = NULL;
    nng_msg *reply = NULL;
    enum jq_err err = jq_frame_size(frame) > conn->frame_size_max ? JQ_ERR_TOO_BIG : JQ_OK;
    if (err == JQ_OK) {
        err = request_take(conn, REQUEST_BLOCKING, &request);
    }
    if (err != JQ_OK) {
        return call_fail(conn, err, reterr);
    }
    request_arm(request, jq_frame_msg(frame), timeout_ms);
    jq_guard_begin_batch();
    err = call_run(request, &reply);
    jq_guard_end_batch(err == JQ_OK);
    request_end(request);
    request_rest(request);
    if (err == JQ_OK) {
        *ret_reply = jq_frame_of(reply);
    }
    return call_fail(conn, err, reterr);
}

enum jq_err jq_conn_call(struct jq_conn *conn, struct jq_bytes frame, int64_t timeout_ms, struct jq_frame **ret_reply,
                         struct jq_error *reterr) {
    if (frame.size > conn->frame_size_max) {
        return call_fail(conn, JQ_ERR_TOO_BIG, reterr);
    }
    struct jq_frame *copy = jq_frame_copy(frame);
    if (copy == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "request");
    }
    return jq_conn_call_take(conn, copy, timeout_ms, ret_reply, reterr);
}

/* ---- cancel and stop ---- */

/* `generation` 0: whichever it is in. */
static void request_cancel(struct request *request, uint32_t generation) {
    pthread_mutex_lock(&request->lock);
    if (generation == 0 || generation == request->generation) {
        request->canceled = true;
        if (request->state != REQUEST_RESTING) {
            nng_aio_cancel(request->aio);
        }
    }
    pthread_mutex_unlock(&request->lock);
}

static struct request *request_at(struct jq_conn *conn, uint32_t index) {
    pthread_mutex_lock(&conn->lock);
    struct request *request = index < conn->request_count ? conn->requests[index] : NULL;
    pthread_mutex_unlock(&conn->lock);
    return request;
}

void jq_conn_cancel(struct jq_conn *conn, jq_conn_ticket ticket) {
    struct request *request = request_at(conn, (uint32_t)ticket.value);
    if (request != NULL && ticket.value >> 32 != 0) {
        request_cancel(request, (uint32_t)(ticket.value >> 32));
    }
}

void jq_conn_stop(struct jq_conn *conn) {
    pthread_mutex_lock(&conn->lock);
    const bool first = !conn->stopped;
    conn->stopped = true;
    pthread_mutex_unlock(&conn->lock);
    if (!first) {
        return;
    }
    struct request *request = NULL;
    for (uint32_t i = 0; (request = request_at(conn, i)) != NULL; i++) {
        request_cancel(request, 0);
    }
    jq_dialers_close(&conn->dialers);
}

/* ---- the connection ---- */

static void tell_state(struct jq_conn *conn) {
    pthread_mutex_lock(&conn->state_lock);
    const bool now = jq_conn_connected(conn);
    if (now != conn->state_told) {
        conn->state_told = now;
        conn->config.on_state(conn->config.ctx, now);
    }
    pthread_mutex_unlock(&conn->state_lock);
}

static void peers_changed(void *ctx) {
    struct jq_conn *conn = ctx;
    pthread_mutex_lock(&conn->lock);
    pthread_cond_broadcast(&conn->connected);
    pthread_mutex_unlock(&conn->lock);
    if (conn->config.on_state != NULL) {
        tell_state(conn);
    }
}

bool jq_conn_connected(struct jq_conn *conn) {
    return jq_dialers_ready_count(&conn->dialers) > 0;
}

enum jq_err jq_conn_wait(struct jq_conn *conn, int64_t timeout_ms, struct jq_error *reterr) {
    const struct timespec deadline = jq_monotonic_deadline(timeout_ms);
    int rc = 0;
    pthread_mutex_lock(&conn->lock);
    while (!jq_conn_connected(conn) && rc == 0) {
        rc = pthread_cond_timedwait(&conn->connected, &conn->lock, &deadline);
    }
    pthread_mutex_unlock(&conn->lock);
    return jq_conn_connected(conn) ? JQ_OK : jq_address_reason(conn->first_url, REASON_TIMEOUT_MS, reterr);
}

static struct jq_conn *conn_new(const struct jq_conn_config *config) {
    struct jq_conn *conn = jq_alloc_forever(sizeof *conn);
    if (conn == NULL) {
        return NULL;
    }
    conn->config = *config;
    conn->config.outstanding_max = config->outstanding_max > 0 ? config->outstanding_max : OUTSTANDING_MAX;
    conn->config.urls = NULL; /* Borrowed only while the connection is being opened. */
    conn->frame_size_max = jq_frame_limit(config->frame_size_max);
    atomic_store(&conn->progress_ns, jq_clock_mono_ns());
    conn->requests = calloc(conn->config.outstanding_max + (size_t)REQUEST_SPARE, sizeof *conn->requests);
    if (conn->requests == NULL) {
        return NULL;
    }
    jq_monotonic_cond_init(&conn->connected);
    JQ_CHECK(pthread_mutex_init(&conn->lock, NULL) == 0);
    JQ_CHECK(pthread_mutex_init(&conn->state_lock, NULL) == 0);
    return conn;
}

static enum jq_err conn_open_socket(struct jq_conn *conn, struct jq_error *reterr) {
    int rv = nng_req0_open(&conn->socket);
    if (rv == 0) {
        rv = nng_socket_set_ms(conn->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    }
    return rv == 0 ? jq_socket_prepare(conn->socket, conn->frame_size_max, reterr)
                   : jq_nng_fail(reterr, rv, "request socket");
}

enum jq_err jq_conn_open(const struct jq_conn_config *config, struct jq_conn **ret_conn, struct jq_error *reterr) {
    enum jq_err err = jq_urls_check(config->urls, config->url_count, reterr);
    if (err != JQ_OK) {
        return err;
    }
    struct jq_conn *conn = conn_new(config);
    if (conn == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "connection");
    }
    const struct jq_dialers_config dialled = {
        .urls = config->urls,
        .url_count = config->url_count,
        .reconnect_min_ms = config->reconnect_min_ms,
        .reconnect_max_ms = config->reconnect_max_ms,
        .on_change = peers_changed,
        .ctx = conn,
    };
    snprintf(conn->first_url, sizeof conn->first_url, "%s", config->urls[0]);
    err = conn_open_socket(conn, reterr);
    if (err == JQ_OK) {
        err = jq_dialers_start(&conn->dialers, conn->socket, &dialled, reterr);
    }
    if (err == JQ_OK) {
        *ret_conn = conn;
    }
    return err;
}
