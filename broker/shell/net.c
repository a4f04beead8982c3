#include "broker/shell/net.h"

#include <stdlib.h>

#include "broker/shell/parcels.h"
#include "common/clock.h"
#include "common/entropy.h"
#include "common/list.h"
#include "common/log.h"

enum {
    POOL_MAX = 128,         /* requests whose memory is kept */
    REQUEST_OVERHEAD = 512, /* bytes of a request beside its frame */
    BLOB_RETRY_MS = 100,
    REFUSAL_RETRY_MS = 1000, /* too many calls, or the broker stops */
};

struct gone {
    struct jq_inbound inbound;
};

struct jq_net {
    struct jq_net_config config;
    struct jq_server *server;
    struct jq_parcels parcels;
};

/* ---- answers without the core ---- */

static void answer(struct jq_call *call, struct jq_buf *frame) {
    if (frame->failed || jq_call_reply(call, jq_buf_bytes(frame)) != JQ_OK)
        jq_call_drop(call);
    jq_buf_fini(frame);
}

static void refuse(struct jq_net *net, struct jq_call *call, const struct jq_refusal *refusal, int64_t retry_after_ms) {
    struct jq_buf frame;
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    jq_count(&net->config.metrics->replies[JQ_OP_NONE][refusal->status], 1);
    (void)jq_encode_refusal(&frame, refusal->request, refusal->status, refusal->field, refusal->reason, retry_after_ms,
                            NULL);
    answer(call, &frame);
}

static void refuse_invalid(struct jq_net *net, struct jq_call *call, const struct jq_parcel *request,
                           const struct jq_error *error) {
    jq_count(&net->config.metrics->frames_invalid, 1);
    JQ_LOG_DEBUG("frame refused", JQ_F_STR("peer", jq_call_peer(call)->address), JQ_F_ERR(error));
    refuse(net, call, jq_decoder_refusal(request->decoder), 0);
}

static void say_hello(struct jq_net *net, struct jq_call *call, uint64_t request_id) {
    struct jq_buf frame;
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    struct jq_hello hello = net->config.hello;
    hello.wall_ms = jq_clock_wall_ms();
    jq_count(&net->config.metrics->replies[JQ_OP_NONE][JQ_REPLY_OK], 1);
    (void)jq_encode_hello(&frame, request_id, &hello, NULL);
    answer(call, &frame);
}

/* ---- requests ---- */

/* False: answered. */
static bool permitted(struct jq_net *net, struct jq_call *call, const struct jq_envelope *envelope,
                      struct jq_request *body) {
    struct jq_principal principal;
    struct jq_refusal refusal = {.request = body->id, .status = JQ_REPLY_UNAUTHORIZED, .field = "token"};
    const bool known = jq_auth_identify(net->config.authority, jq_call_peer(call), envelope->token, &principal);
    if (known)
        refusal.status = jq_auth_permit(&principal, envelope->op, body, &refusal.field, &refusal.reason);
    else
        refusal.reason = envelope->token.size > 0 ? "unknown token" : "a token is needed";
    if (refusal.status == JQ_REPLY_OK)
        return true;
    jq_count(&net->config.metrics->frames_denied, 1);
    JQ_LOG_INFO("request denied", JQ_F_STR("peer", jq_call_peer(call)->address), JQ_F_STR("op", envelope->op->name),
                JQ_F_STR("reason", refusal.reason));
    refuse(net, call, &refusal, 0);
    return false;
}

/* False: answered. */
static bool admitted(struct jq_net *net, struct jq_call *call, struct jq_parcel *request, size_t frame_size) {
    const size_t size = frame_size + REQUEST_OVERHEAD;
    if (jq_inbox_admit(jq_engine_inbox(net->config.engine), size)) {
        request->inbound.admitted_bytes = size;
        return true;
    }
    const struct jq_refusal refusal = {.request = request->inbound.event.u.request.id,
                                       .status = JQ_REPLY_BUSY,
                                       .field = "in_flight_max",
                                       .reason = "too many bytes in flight"};
    jq_count(&net->config.metrics->frames_busy, 1);
    refuse(net, call, &refusal, jq_inbox_retry_ms(jq_engine_inbox(net->config.engine)));
    return false;
}

/* News of a lost connection may overtake its last request: what nobody listens to must not be parked. Its reports come again. */
static bool unwanted(struct jq_inbound *inbound) {
    const enum jq_op op = inbound->event.u.request.op;
    const bool parks =
        op == JQ_OP_LEASE || op == JQ_OP_WAIT || (op == JQ_OP_SUBMIT && inbound->event.u.request.u.submit.wait_ms > 0);
    if (!parks || !jq_call_peer_gone(inbound->call))
        return false;
    jq_call_drop(inbound->call);
    return true;
}

/* Who may put and get blobs may have them in large pieces. */
static void enlarge(struct jq_call *call, const struct jq_request *body) {
    if (body->op == JQ_OP_BLOB_PUT || (body->op == JQ_OP_BLOB_GET && body->u.blob.piece_max > JQ_BLOB_CHUNK_SIZE))
        jq_call_enlarge(call);
}

/* True: the store has it. */
static bool stored(struct jq_net *net, struct jq_call *call, struct jq_parcel *request) {
    const struct jq_refusal refusal = {.request = request->inbound.event.u.request.id,
                                       .status = JQ_REPLY_BUSY,
                                       .field = "hash",
                                       .reason = "too many pieces of blobs wait"};
    enlarge(call, &request->inbound.event.u.request);
    if (jq_call_frame(call).size <= JQ_FRAME_SIZE_MAX)
        jq_call_release_frame(call);
    request->inbound.unwanted = NULL;
    if (jq_blobs_take(net->config.blobs, &request->inbound))
        return true;
    jq_count(&net->config.metrics->frames_busy, 1);
    refuse(net, call, &refusal, BLOB_RETRY_MS);
    return false;
}

/* Everything that the core is to learn from the shell beside the frame. False: answered. */
static bool complete(struct jq_net *net, struct jq_call *call, struct jq_request *body) {
    body->call = (uint64_t)(uintptr_t)call;
    body->pipe = jq_call_peer(call)->pipe_id;
    if (body->op != JQ_OP_REGISTER || jq_random_bytes(&body->u.reg.session, sizeof(body->u.reg.session), NULL) == JQ_OK)
        return true;
    const struct jq_refusal refusal = {.request = body->id, .status = JQ_REPLY_UNAVAILABLE, .reason = "no entropy"};
    refuse(net, call, &refusal, REFUSAL_RETRY_MS);
    return false;
}

/* True: the request is on its way to the core, which owns the call now. */
static bool accept_request(struct jq_net *net, struct jq_call *call, struct jq_bytes frame, struct jq_parcel *request) {
    struct jq_envelope envelope;
    struct jq_error error;
    struct jq_request *body = &request->inbound.event.u.request;
    request->inbound.event.type = JQ_EVENT_REQUEST;
    request->inbound.call = call;
    request->inbound.unwanted = unwanted;
    request->inbound.arrived_ns = jq_clock_mono_ns();
    const enum jq_err err = frame.size > JQ_FRAME_SIZE_MAX
                                ? jq_decode_large_request(request->decoder, frame, body, &envelope, &error)
                                : jq_decode_request(request->decoder, frame, body, &envelope, &error);
    if (err != JQ_OK) {
        refuse_invalid(net, call, request, &error);
        return false;
    }
    if (!permitted(net, call, &envelope, body))
        return false;
    if (envelope.op->number == JQ_OP_NONE) {
        say_hello(net, call, body->id);
        return false;
    }
    if (net->config.aside != NULL && net->config.aside(net->config.ctx, call, body))
        return false;
    if (jq_blobs_serve(body->op))
        return complete(net, call, body) && stored(net, call, request);
    if (!complete(net, call, body) || !admitted(net, call, request, frame.size))
        return false;
    jq_call_release_frame(call);
    jq_engine_bring(net->config.engine, &request->inbound.item);
    return true;
}

static void on_request(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    struct jq_net *net = ctx;
    (void)peer;
    struct jq_parcel *request = jq_parcels_take(&net->parcels);
    if (request == NULL)
        jq_call_drop(call);
    else if (!accept_request(net, call, frame, request))
        jq_parcels_give(request);
}

/* ---- connections ---- */

static void gone_done(struct jq_inbound *inbound) {
    free(JQ_CONTAINER_OF(inbound, struct gone, inbound));
}

/* Without memory the news is lost, and parked polls of that peer end by their time. */
static void on_gone(void *ctx, uint32_t pipe_id) {
    struct jq_net *net = ctx;
    struct gone *gone = calloc(1, sizeof(*gone));
    if (gone == NULL)
        return;
    gone->inbound =
        (struct jq_inbound){.event = {.type = JQ_EVENT_PIPE_GONE, .u.pipe_gone.pipe = pipe_id}, .done = gone_done};
    jq_inbox_push(jq_engine_inbox(net->config.engine), &gone->inbound.item);
}

/* ---- the socket ---- */

enum jq_err jq_net_open(const struct jq_net_config *config, struct jq_net **ret_net, struct jq_error *reterr) {
    struct jq_net *net = calloc(1, sizeof(*net));
    if (net == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "request socket");
    net->config = *config;
    jq_parcels_init(&net->parcels, &config->decode, POOL_MAX);
    struct jq_buf busy;
    jq_buf_init(&busy, JQ_FRAME_SIZE_MAX);
    (void)jq_encode_refusal(&busy, 0, JQ_REPLY_BUSY, NULL, "too many requests, or the broker stops", REFUSAL_RETRY_MS,
                            NULL);
    const struct jq_server_config server = {
        .urls = config->urls,
        .url_count = config->url_count,
        .ipc_mode = config->ipc_mode,
        .peers_max = config->connections_max,
        .large_size_max = JQ_LARGE_FRAME_SIZE_MAX,
        .refusal = jq_buf_bytes(&busy),
        .ctx = net,
        .on_request = on_request,
        .on_gone = on_gone,
    };
    const enum jq_err err = jq_server_open(&server, &net->server, reterr);
    jq_buf_fini(&busy);
    if (err == JQ_OK)
        *ret_net = net;
    return err; /* A net that failed to open is left to the end of the process: NNG may still call back. */
}

void jq_net_sweep(struct jq_net *net) {
    const size_t count = jq_server_sweep(net->server, jq_clock_mono_ns());
    if (count > 0)
        JQ_LOG_WARN("connections closed: their peers do not read their answers", JQ_F_UINT("count", count));
}

void jq_net_drain(struct jq_net *net, int64_t timeout_ms) {
    if (jq_server_drain(net->server, timeout_ms) != JQ_OK)
        JQ_LOG_WARN("some requests were not answered in time");
}

void jq_net_stop(struct jq_net *net) {
    jq_server_stop(net->server);
}

struct jq_server *jq_net_server(struct jq_net *net) {
    return net->server;
}
