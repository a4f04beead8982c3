#include "common/transport/server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/transport/guard.h"
#include "common/transport/internal.h"
#include "common/transport/peers.h"

enum {
    IDLE_MIN = 16,
    IDLE_SPREAD = 4, /* a context that has answered rests in the pool once idle_min * IDLE_SPREAD stand ready */
    CALLS_MAX = 100000,
    PEER_CALLS_MAX = 4096,
    STALL_MS_MAX = 60000,
    DRAIN_STALL_MS = 2000, /* while the server is drained */
    DRAIN_SLICE_MS = 100,
    SWEPT_MAX = 256, /* at a time */
    LARGE_PEERS_MAX = 256,
    LARGE_IDLE_MS = 60000,
    LARGE_WAITING_MAX = 64 * 1024 * 1024, /* bytes of large answers that wait for peers to read earlier ones */
    LARGE_PEER_WAITING_MAX = 8 * 1024 * 1024,
};

enum call_state {
    CALL_RESTING,   /* in the pool */
    CALL_RECEIVING, /* stands ready; NNG owns it */
    CALL_OPEN,      /* the receiver owns it */
    CALL_SENDING,   /* NNG owns it */
};

struct jq_call {
    struct jq_server *server;
    nng_ctx context;
    nng_aio *aio;
    enum call_state state;
    nng_msg *request;
    struct jq_peer_entry *peer;
    size_t large_size;    /* of the answer that is being sent, if it is a large one; else 0 */
    struct jq_call *next; /* in the pool */
};

struct jq_server {
    nng_socket socket;
    struct jq_endpoints endpoints;
    struct jq_peers peers;
    struct jq_server_config config; /* with the defaults filled in */
    uint8_t *refusal;               /* what config.refusal points to */

    pthread_mutex_t lock; /* of the pool */
    struct jq_call *pool;

    pthread_cond_t drained; /* no call under way; told only while draining */
    bool takes_large;       /* large requests, of those who may send them */
    atomic_bool draining;
    atomic_bool stopped;
    atomic_size_t calls;
    atomic_size_t idle;
    atomic_size_t large_waiting; /* bytes of large answers that NNG has */
    atomic_uint_fast64_t requests;
    atomic_uint_fast64_t refused;
    atomic_uint_fast64_t orphaned;
};

static void call_cb(void *arg);

/* ---- contexts: opened when needed, rested in a pool, never closed ---- */

static struct jq_call *call_new(struct jq_server *server) {
    struct jq_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        return NULL;
    }
    call->server = server;
    if (nng_aio_alloc(&call->aio, call_cb, call) != 0) {
        free(call);
        return NULL;
    }
    if (nng_ctx_open(&call->context, server->socket) != 0) {
        nng_aio_free(call->aio);
        free(call);
        return NULL;
    }
    return call;
}

static void pool_push(struct jq_server *server, struct jq_call *call) {
    call->state = CALL_RESTING;
    pthread_mutex_lock(&server->lock);
    call->next = server->pool;
    server->pool = call;
    pthread_mutex_unlock(&server->lock);
}

static struct jq_call *pool_pop(struct jq_server *server) {
    pthread_mutex_lock(&server->lock);
    struct jq_call *call = server->pool;
    if (call != NULL) {
        server->pool = call->next;
    }
    pthread_mutex_unlock(&server->lock);
    return call != NULL ? call : call_new(server);
}

static void receive(struct jq_call *call) {
    call->state = CALL_RECEIVING;
    atomic_fetch_add(&call->server->idle, 1);
    nng_ctx_recv(call->context, call->aio);
}

/* Out of memory is no error here: fewer contexts stand ready, and the next reply makes up for it. */
static void keep_enough_idle(struct jq_server *server) {
    while (atomic_load(&server->idle) < server->config.contexts_idle_min) {
        struct jq_call *call = pool_pop(server);
        if (call == NULL) {
            return;
        }
        receive(call);
    }
}

static void recycle(struct jq_call *call) {
    struct jq_server *server = call->server;
    if (atomic_load(&server->idle) < (size_t)server->config.contexts_idle_min * IDLE_SPREAD) {
        receive(call);
    } else {
        pool_push(server, call);
    }
}

/* ---- the life of a call ---- */

/* Forgets the requester, when NNG is done with the answer: a peer that reads no answers is held to its number of calls. */
static void call_settle(struct jq_call *call) {
    struct jq_server *server = call->server;
    jq_call_release_frame(call);
    atomic_fetch_sub(&call->peer->calls, 1);
    jq_peer_release(call->peer);
    call->peer = NULL;
    if (atomic_fetch_sub(&server->calls, 1) == 1 && atomic_load(&server->draining)) {
        pthread_mutex_lock(&server->lock);
        pthread_cond_broadcast(&server->drained);
        pthread_mutex_unlock(&server->lock);
    }
}

static void call_send(struct jq_call *call, nng_msg *msg) {
    const size_t size = nng_msg_len(msg);
    jq_call_release_frame(call);
    call->state = CALL_SENDING;
    call->large_size = size > call->server->config.frame_size_max ? size : 0;
    atomic_fetch_add(&call->server->large_waiting, call->large_size);
    atomic_fetch_add(&call->peer->large_waiting, call->large_size);
    jq_peer_answer_waits(call->peer, jq_clock_mono_ns());
    nng_aio_set_msg(call->aio, msg);
    nng_ctx_send(call->context, call->aio);
}

static void call_refuse(struct jq_call *call) {
    const struct jq_bytes refusal = call->server->config.refusal;
    atomic_fetch_add(&call->server->refused, 1);
    if (refusal.size == 0 || jq_call_reply(call, refusal) != JQ_OK) {
        jq_call_drop(call);
    }
}

static void call_deliver(struct jq_call *call) {
    struct jq_server *server = call->server;
    const struct jq_server_config *config = &server->config;
    const size_t calls = atomic_fetch_add(&server->calls, 1) + 1;
    const unsigned peer_calls = atomic_fetch_add(&call->peer->calls, 1) + 1;
    call->state = CALL_OPEN;
    if (peer_calls > config->peer_calls_max) {
        jq_server_disconnect(server, call->peer->peer.pipe_id);
        atomic_fetch_add(&server->refused, 1);
        jq_call_drop(call);
    } else if (calls > config->calls_max || atomic_load(&server->draining)) {
        call_refuse(call);
    } else {
        config->on_request(config->ctx, call, jq_msg_bytes(call->request), &call->peer->peer);
    }
}

static void call_received(struct jq_call *call) {
    struct jq_server *server = call->server;
    atomic_fetch_sub(&server->idle, 1);
    const int rv = nng_aio_result(call->aio);
    if (rv == NNG_ECLOSED) {
        pool_push(server, call); /* Only at the end of the process. */
        return;
    }
    keep_enough_idle(server);
    if (rv != 0) {
        recycle(call);
        return;
    }
    call->request = nng_aio_get_msg(call->aio);
    nng_aio_set_msg(call->aio, NULL);
    atomic_fetch_add(&server->requests, 1);
    call->peer = jq_peers_get(&server->peers, (uint32_t)nng_pipe_id(nng_msg_get_pipe(call->request)));
    if (call->peer == NULL) {
        atomic_fetch_add(&server->orphaned, 1);
        jq_call_release_frame(call);
        recycle(call);
        return;
    }
    call_deliver(call);
}

static void call_sent(struct jq_call *call) {
    if (nng_aio_result(call->aio) != 0) {
        nng_msg_free(nng_aio_get_msg(call->aio));
        nng_aio_set_msg(call->aio, NULL);
    }
    jq_peer_answer_taken(call->peer, jq_clock_mono_ns());
    atomic_fetch_sub(&call->server->large_waiting, call->large_size);
    atomic_fetch_sub(&call->peer->large_waiting, call->large_size);
    call_settle(call);
    recycle(call);
}

static void call_cb(void *arg) {
    struct jq_call *call = arg;
    if (call->state == CALL_RECEIVING) {
        call_received(call);
    } else {
        JQ_CHECK(call->state == CALL_SENDING);
        call_sent(call);
    }
}

struct jq_bytes jq_call_frame(const struct jq_call *call) {
    return call->request != NULL ? jq_msg_bytes(call->request) : (struct jq_bytes){NULL, 0};
}

const struct jq_peer *jq_call_peer(const struct jq_call *call) {
    return &call->peer->peer;
}

bool jq_call_peer_gone(const struct jq_call *call) {
    return atomic_load(&call->peer->gone);
}

struct jq_frame *jq_call_take_frame(struct jq_call *call) {
    nng_msg *request = call->request;
    call->request = NULL;
    return request != NULL ? jq_frame_of(request) : NULL;
}

void jq_call_release_frame(struct jq_call *call) {
    if (call->request != NULL) {
        nng_msg_free(call->request);
        call->request = NULL;
    }
}

enum jq_err jq_call_reply(struct jq_call *call, struct jq_bytes frame) {
    if (frame.size > call->server->config.large_size_max) {
        return JQ_ERR_TOO_BIG;
    }
    struct jq_frame *copy = jq_frame_copy(frame);
    if (copy == NULL) {
        return JQ_ERR_NOMEM;
    }
    return jq_call_reply_take(call, copy);
}

enum jq_err jq_call_reply_take(struct jq_call *call, struct jq_frame *frame) {
    JQ_CHECK(call->state == CALL_OPEN);
    if (jq_frame_size(frame) > call->server->config.large_size_max) {
        return JQ_ERR_TOO_BIG;
    }
    call_send(call, jq_frame_msg(frame));
    return JQ_OK;
}

void jq_call_drop(struct jq_call *call) {
    JQ_CHECK(call->state == CALL_OPEN);
    call_settle(call);
    recycle(call);
}

/* ---- large frames ---- */

void jq_call_enlarge(struct jq_call *call) {
    struct jq_server *server = call->server;
    const struct jq_server_config *config = &server->config;
    const nng_pipe pipe = {.id = call->peer->peer.pipe_id};
    if (config->large_size_max > config->frame_size_max &&
        jq_peers_enlarge(&server->peers, call->peer, jq_clock_mono_ns(), config->large_peers_max) &&
        server->takes_large) {
        jq_guard_limit(pipe, config->large_size_max + JQ_SP_HEADER_SIZE);
    }
}

size_t jq_call_request_max(const struct jq_call *call) {
    const struct jq_server_config *config = &call->server->config;
    const bool large = call->server->takes_large && atomic_load(&call->peer->large_ns) != 0;
    return large ? config->large_size_max : config->frame_size_max;
}

size_t jq_call_reply_max(const struct jq_call *call) {
    const struct jq_server_config *config = &call->server->config;
    const bool large = atomic_load(&call->peer->large_ns) != 0 &&
                       atomic_load(&call->peer->large_waiting) + config->large_size_max <= LARGE_PEER_WAITING_MAX &&
                       atomic_load(&call->server->large_waiting) + config->large_size_max <= LARGE_WAITING_MAX;
    return large ? config->large_size_max : config->frame_size_max;
}

/* Who does not use it any more makes room for others. */
static void shrink_idle(struct jq_server *server, int64_t since_ns) {
    uint32_t pipe_ids[SWEPT_MAX];
    const size_t count = jq_peers_shrink(&server->peers, since_ns, pipe_ids, SWEPT_MAX);
    for (size_t i = 0; server->takes_large && i < count; i++) {
        const nng_pipe pipe = {.id = pipe_ids[i]};
        jq_guard_limit(pipe, server->config.frame_size_max + JQ_SP_HEADER_SIZE);
    }
}

/* ---- connections ---- */

/* Inside this process nobody is a stranger. */
static bool limit_requests(const struct jq_server *server, nng_pipe pipe, const struct jq_peer *peer) {
    return !server->takes_large || strcmp(peer->address, "inproc") == 0 ||
           jq_guard_limit(pipe, server->config.frame_size_max + JQ_SP_HEADER_SIZE);
}

/* Before the first request can arrive. */
static void pipe_added(struct jq_server *server, nng_pipe pipe) {
    struct jq_peer peer;
    jq_peer_describe(pipe, &peer);
    const bool welcome = !atomic_load(&server->draining) && limit_requests(server, pipe, &peer) &&
                         (server->config.on_peer == NULL || server->config.on_peer(server->config.ctx, &peer));
    if (!welcome || jq_peers_add(&server->peers, &peer, server->config.peers_max) != JQ_OK) {
        nng_pipe_close(pipe);
    }
}

static void pipe_event(nng_pipe pipe, nng_pipe_ev event, void *arg) {
    struct jq_server *server = arg;
    const uint32_t pipe_id = (uint32_t)nng_pipe_id(pipe);
    if (event == NNG_PIPE_EV_ADD_PRE) {
        pipe_added(server, pipe);
    } else if (event == NNG_PIPE_EV_ADD_POST) {
        jq_peers_set_ready(&server->peers, pipe_id);
    } else if (jq_peers_remove(&server->peers, pipe_id) && server->config.on_gone != NULL) {
        server->config.on_gone(server->config.ctx, pipe_id);
    }
}

void jq_server_disconnect(struct jq_server *server, uint32_t pipe_id) {
    (void)server;
    const nng_pipe pipe = {.id = pipe_id};
    jq_pipe_end(pipe);
}

static size_t end_stalled(struct jq_server *server, int64_t since_ns) {
    uint32_t pipe_ids[SWEPT_MAX];
    const size_t count = jq_peers_stalled(&server->peers, since_ns, pipe_ids, SWEPT_MAX);
    for (size_t i = 0; i < count; i++) {
        jq_server_disconnect(server, pipe_ids[i]);
    }
    return count;
}

size_t jq_server_sweep(struct jq_server *server, int64_t now_ns) {
    shrink_idle(server, now_ns - (int64_t)LARGE_IDLE_MS * 1000000);
    return end_stalled(server, now_ns - server->config.stall_ms_max * 1000000);
}

/* ---- the server ---- */

static void fill_defaults(struct jq_server_config *config) {
    config->frame_size_max = jq_frame_limit(config->frame_size_max);
    config->large_size_max =
        config->large_size_max > config->frame_size_max ? config->large_size_max : config->frame_size_max;
    config->large_peers_max = config->large_peers_max > 0 ? config->large_peers_max : LARGE_PEERS_MAX;
    config->contexts_idle_min = config->contexts_idle_min > 0 ? config->contexts_idle_min : IDLE_MIN;
    config->calls_max = config->calls_max > 0 ? config->calls_max : CALLS_MAX;
    config->peer_calls_max = config->peer_calls_max > 0 ? config->peer_calls_max : PEER_CALLS_MAX;
    config->stall_ms_max = config->stall_ms_max > 0 ? config->stall_ms_max : STALL_MS_MAX;
    config->urls = NULL; /* Borrowed only while the server is being opened. */
    config->url_count = 0;
}

static enum jq_err copy_refusal(struct jq_server *server, struct jq_error *reterr) {
    struct jq_bytes *refusal = &server->config.refusal;
    if (refusal->size == 0) {
        return JQ_OK;
    }
    server->refusal = malloc(refusal->size);
    if (server->refusal == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "refusal");
    }
    memcpy(server->refusal, refusal->data, refusal->size);
    refusal->data = server->refusal;
    return JQ_OK;
}

static enum jq_err open_socket(struct jq_server *server, struct jq_error *reterr) {
    int rv = nng_rep0_open(&server->socket);
    if (rv != 0) {
        return jq_nng_fail(reterr, rv, "request socket");
    }
    rv = jq_socket_notify(server->socket, pipe_event, server);
    if (rv != 0) {
        return jq_nng_fail(reterr, rv, "notices of connections");
    }
    server->takes_large = jq_guard_active() && server->config.large_size_max > server->config.frame_size_max;
    return jq_socket_prepare(
        server->socket, server->takes_large ? server->config.large_size_max : server->config.frame_size_max, reterr);
}

/* All contexts stand before the first connection can come. */
static enum jq_err serve(struct jq_server *server, const struct jq_server_config *config, struct jq_error *reterr) {
    keep_enough_idle(server);
    if (atomic_load(&server->idle) < server->config.contexts_idle_min) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "request contexts");
    }
    return jq_endpoints_listen(&server->endpoints, server->socket, config->urls, config->url_count, config->ipc_mode,
                               reterr);
}

enum jq_err jq_server_open(const struct jq_server_config *config, struct jq_server **ret_server,
                           struct jq_error *reterr) {
    struct jq_server *server = jq_alloc_forever(sizeof *server);
    if (server == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "server");
    }
    JQ_CHECK(config->on_request != NULL);
    server->config = *config;
    fill_defaults(&server->config);
    jq_peers_init(&server->peers);
    jq_monotonic_cond_init(&server->drained);
    JQ_CHECK(pthread_mutex_init(&server->lock, NULL) == 0);

    enum jq_err err = copy_refusal(server, reterr);
    if (err == JQ_OK) {
        err = open_socket(server, reterr);
    }
    if (err == JQ_OK) {
        err = serve(server, config, reterr);
    }
    if (err != JQ_OK) {
        jq_server_stop(server);
        return err;
    }
    *ret_server = server;
    return JQ_OK;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Waits for the last call to end, at most `timeout_ms`. */
static void await_drained(struct jq_server *server, int64_t timeout_ms) {
    const struct timespec deadline = jq_monotonic_deadline(timeout_ms);
    int rc = 0;
    pthread_mutex_lock(&server->lock);
    while (atomic_load(&server->calls) > 0 && rc == 0) {
        rc = pthread_cond_timedwait(&server->drained, &server->lock, &deadline);
    }
    pthread_mutex_unlock(&server->lock);
}

enum jq_err jq_server_drain(struct jq_server *server, int64_t timeout_ms) {
    const int64_t stall_ms = smaller(server->config.stall_ms_max, DRAIN_STALL_MS);
    const int64_t deadline_ns = jq_deadline_ns(timeout_ms);
    atomic_store(&server->draining, true);
    int64_t now_ns = jq_clock_mono_ns();
    while (atomic_load(&server->calls) > 0 && now_ns < deadline_ns) {
        await_drained(server, smaller((deadline_ns - now_ns) / 1000000 + 1, DRAIN_SLICE_MS));
        now_ns = jq_clock_mono_ns();
        (void)end_stalled(server, now_ns - stall_ms * 1000000);
    }
    return atomic_load(&server->calls) == 0 ? JQ_OK : JQ_ERR_TIMEOUT;
}

void jq_server_stop(struct jq_server *server) {
    atomic_store(&server->draining, true);
    if (!atomic_exchange(&server->stopped, true)) {
        jq_endpoints_close(&server->endpoints);
    }
}

const char *jq_server_url(const struct jq_server *server, size_t index) {
    return jq_endpoints_url(&server->endpoints, index);
}

void jq_server_stats(struct jq_server *server, struct jq_server_stats *ret_stats) {
    *ret_stats = (struct jq_server_stats){
        .peers = jq_peers_ready_count(&server->peers),
        .calls = atomic_load(&server->calls),
        .idle = atomic_load(&server->idle),
        .requests = atomic_load(&server->requests),
        .refused = atomic_load(&server->refused),
        .orphaned = atomic_load(&server->orphaned),
    };
}
