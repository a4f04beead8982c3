#include "common/transport/survey.h"

#include <stdatomic.h>

#include "common/clock.h"
#include "common/transport/internal.h"
#include "common/transport/peers.h"

/* ---- the asking side ---- */

/* The bit that marks the last word of an SP header. Source: SP surveyor protocol, as NNG's raw sockets speak it. */
#define SP_HEADER_END UINT32_C(0x80000000)

/* Without a queue of its own the raw socket takes no survey while the one before is handed to the connections. */
enum { SURVEY_BUFFER_COUNT = 16 };

struct jq_survey_server {
    nng_socket socket;
    struct jq_endpoints endpoints;
    struct jq_survey_server_config config;
    nng_aio *aio;
    struct jq_peer_watch watch;
};

/* NNG has moved the header off the body: the id of the pipe, then that of the survey. */
static void deliver(struct jq_survey_server *server, nng_msg *msg) {
    uint32_t survey_id = 0;
    if (nng_msg_header_chop_u32(msg, &survey_id) == 0) {
        const uint32_t pipe_id = (uint32_t)nng_pipe_id(nng_msg_get_pipe(msg));
        server->config.on_response(server->config.ctx, survey_id & ~SP_HEADER_END, jq_msg_bytes(msg), pipe_id);
    }
}

static void response_cb(void *arg) {
    struct jq_survey_server *server = arg;
    const int rv = nng_aio_result(server->aio);
    if (rv == 0) {
        nng_msg *msg = nng_aio_get_msg(server->aio);
        nng_aio_set_msg(server->aio, NULL);
        deliver(server, msg);
        nng_msg_free(msg);
    }
    if (rv != NNG_ECLOSED && rv != NNG_ECANCELED) {
        nng_recv_aio(server->socket, server->aio);
    }
}

static enum jq_err server_open_socket(struct jq_survey_server *server, struct jq_error *reterr) {
    int rv = nng_surveyor0_open_raw(&server->socket);
    if (rv == 0) {
        rv = nng_socket_set_int(server->socket, NNG_OPT_RECVBUF, JQ_NNG_BUFFER_COUNT);
    }
    if (rv == 0) {
        rv = nng_socket_set_int(server->socket, NNG_OPT_SENDBUF, SURVEY_BUFFER_COUNT);
    }
    if (rv == 0) {
        rv = nng_aio_alloc(&server->aio, response_cb, server);
    }
    if (rv == 0) {
        rv = jq_peer_watch_start(&server->watch, server->socket, server->config.peers_max, NULL, NULL);
    }
    return rv == 0 ? jq_socket_prepare(server->socket, server->config.frame_size_max, reterr)
                   : jq_nng_fail(reterr, rv, "survey socket");
}

enum jq_err jq_survey_server_open(const struct jq_survey_server_config *config, struct jq_survey_server **ret_server,
                                  struct jq_error *reterr) {
    struct jq_survey_server *server = jq_alloc_forever(sizeof *server);
    if (server == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "survey server");
    }
    JQ_CHECK(config->on_response != NULL);
    server->config = *config;
    server->config.urls = NULL; /* Borrowed only while the server is being opened. */
    server->config.frame_size_max = jq_frame_limit(config->frame_size_max);
    enum jq_err err = server_open_socket(server, reterr);
    if (err == JQ_OK) {
        nng_recv_aio(server->socket, server->aio);
        err = jq_endpoints_listen(&server->endpoints, server->socket, config->urls, config->url_count, config->ipc_mode,
                                  reterr);
    }
    if (err == JQ_OK) {
        *ret_server = server;
    }
    return err;
}

void jq_survey_server_stop(struct jq_survey_server *server) {
    jq_endpoints_close(&server->endpoints);
    nng_aio_stop(server->aio);
}

const char *jq_survey_server_url(const struct jq_survey_server *server, size_t index) {
    return jq_endpoints_url(&server->endpoints, index);
}

size_t jq_survey_server_peer_count(struct jq_survey_server *server) {
    return jq_peers_ready_count(&server->watch.peers);
}

enum jq_err jq_survey_send(struct jq_survey_server *server, uint32_t survey_id, struct jq_bytes survey) {
    JQ_CHECK(survey_id <= JQ_SURVEY_ID_MAX);
    if (survey.size > server->config.frame_size_max) {
        return JQ_ERR_TOO_BIG;
    }
    struct jq_frame *frame = jq_frame_copy(survey);
    if (frame == NULL) {
        return JQ_ERR_NOMEM;
    }
    int rv = nng_msg_header_append_u32(jq_frame_msg(frame), SP_HEADER_END | survey_id);
    if (rv == 0) {
        rv = nng_sendmsg(server->socket, jq_frame_msg(frame), NNG_FLAG_NONBLOCK);
    }
    if (rv != 0) {
        jq_frame_free(frame);
    }
    return jq_nng_err(rv);
}

/* ---- the answering side ---- */

enum { SILENCE_MAX_MS = 8000 };

enum turn_state {
    TURN_RECEIVING, /* NNG owns it */
    TURN_OPEN,      /* the receiver owns it */
    TURN_SENDING,   /* NNG owns it */
};

struct jq_survey_turn {
    struct jq_survey_respondent *respondent;
    nng_ctx context;
    nng_aio *aio;
    enum turn_state state;
    nng_msg *survey;
};

struct jq_survey_respondent {
    nng_socket socket;
    struct jq_dialers dialers;
    struct jq_survey_respondent_config config; /* with the defaults filled in */
    atomic_int_least64_t heard_ns;             /* when a survey last came, or the dialers were renewed */
    struct jq_survey_turn turns[JQ_SURVEY_TURN_COUNT];
};

static void turn_receive(struct jq_survey_turn *turn) {
    turn->state = TURN_RECEIVING;
    nng_aio_set_timeout(turn->aio, turn->respondent->config.silence_max_ms);
    nng_ctx_recv(turn->context, turn->aio);
}

static void turn_release_survey(struct jq_survey_turn *turn) {
    if (turn->survey != NULL) {
        nng_msg_free(turn->survey);
        turn->survey = NULL;
    }
}

/* All turns find the silence at about the same time: the first one acts. */
static void break_silence(struct jq_survey_respondent *respondent) {
    const int64_t now_ns = jq_clock_mono_ns();
    const int64_t silence_max_ns = respondent->config.silence_max_ms * INT64_C(1000000);
    int64_t heard_ns = atomic_load(&respondent->heard_ns);
    if (now_ns - heard_ns >= silence_max_ns &&
        atomic_compare_exchange_strong(&respondent->heard_ns, &heard_ns, now_ns)) {
        jq_dialers_redial(&respondent->dialers);
    }
}

static void turn_received(struct jq_survey_turn *turn) {
    const struct jq_survey_respondent_config *config = &turn->respondent->config;
    atomic_store(&turn->respondent->heard_ns, jq_clock_mono_ns());
    turn->survey = nng_aio_get_msg(turn->aio);
    nng_aio_set_msg(turn->aio, NULL);
    turn->state = TURN_OPEN;
    config->on_survey(config->ctx, turn, jq_msg_bytes(turn->survey));
}

static void turn_answered(struct jq_survey_turn *turn, int rv) {
    if (rv != 0) {
        nng_msg_free(nng_aio_get_msg(turn->aio));
        nng_aio_set_msg(turn->aio, NULL);
    }
    turn_receive(turn);
}

static void turn_cb(void *arg) {
    struct jq_survey_turn *turn = arg;
    const int rv = nng_aio_result(turn->aio);
    if (turn->state == TURN_SENDING) {
        turn_answered(turn, rv);
    } else if (rv == 0) {
        turn_received(turn);
    } else if (rv != NNG_ECLOSED) {
        if (rv == NNG_ETIMEDOUT) {
            break_silence(turn->respondent);
        }
        turn_receive(turn);
    }
}

enum jq_err jq_survey_answer(struct jq_survey_turn *turn, struct jq_bytes response) {
    if (response.size > turn->respondent->config.frame_size_max) {
        return JQ_ERR_TOO_BIG;
    }
    struct jq_frame *frame = jq_frame_copy(response);
    if (frame == NULL) {
        return JQ_ERR_NOMEM;
    }
    return jq_survey_answer_take(turn, frame);
}

enum jq_err jq_survey_answer_take(struct jq_survey_turn *turn, struct jq_frame *response) {
    JQ_CHECK(turn->state == TURN_OPEN);
    if (jq_frame_size(response) > turn->respondent->config.frame_size_max) {
        return JQ_ERR_TOO_BIG;
    }
    turn_release_survey(turn);
    turn->state = TURN_SENDING;
    nng_aio_set_timeout(turn->aio, NNG_DURATION_INFINITE);
    nng_aio_set_msg(turn->aio, jq_frame_msg(response));
    nng_ctx_send(turn->context, turn->aio);
    return JQ_OK;
}

void jq_survey_skip(struct jq_survey_turn *turn) {
    JQ_CHECK(turn->state == TURN_OPEN);
    turn_release_survey(turn);
    turn_receive(turn);
}

static int respondent_open_turns(struct jq_survey_respondent *respondent) {
    int rv = 0;
    for (size_t i = 0; rv == 0 && i < JQ_SURVEY_TURN_COUNT; i++) {
        struct jq_survey_turn *turn = &respondent->turns[i];
        turn->respondent = respondent;
        rv = nng_ctx_open(&turn->context, respondent->socket);
        if (rv == 0) {
            rv = nng_aio_alloc(&turn->aio, turn_cb, turn);
        }
        if (rv == 0) {
            turn_receive(turn);
        }
    }
    return rv;
}

static enum jq_err respondent_open_socket(struct jq_survey_respondent *respondent, struct jq_error *reterr) {
    int rv = nng_respondent0_open(&respondent->socket);
    if (rv != 0) {
        return jq_nng_fail(reterr, rv, "survey socket");
    }
    const enum jq_err err = jq_socket_prepare(respondent->socket, respondent->config.frame_size_max, reterr);
    if (err != JQ_OK) {
        return err;
    }
    rv = respondent_open_turns(respondent);
    return rv == 0 ? JQ_OK : jq_nng_fail(reterr, rv, "survey contexts");
}

static void respondent_fill_defaults(struct jq_survey_respondent_config *config) {
    config->urls = NULL; /* Borrowed only while the respondent is being opened. */
    config->frame_size_max = jq_frame_limit(config->frame_size_max);
    config->silence_max_ms = config->silence_max_ms == 0 ? SILENCE_MAX_MS : config->silence_max_ms;
    if (config->silence_max_ms < 0) {
        config->silence_max_ms = NNG_DURATION_INFINITE;
    }
}

enum jq_err jq_survey_respondent_open(const struct jq_survey_respondent_config *config,
                                      struct jq_survey_respondent **ret_respondent, struct jq_error *reterr) {
    struct jq_survey_respondent *respondent = jq_alloc_forever(sizeof *respondent);
    if (respondent == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "survey respondent");
    }
    JQ_CHECK(config->on_survey != NULL);
    respondent->config = *config;
    respondent_fill_defaults(&respondent->config);
    atomic_store(&respondent->heard_ns, jq_clock_mono_ns());
    const struct jq_dialers_config dialled = {
        .urls = config->urls,
        .url_count = config->url_count,
        .reconnect_min_ms = config->reconnect_min_ms,
        .reconnect_max_ms = config->reconnect_max_ms,
    };
    enum jq_err err = respondent_open_socket(respondent, reterr);
    if (err == JQ_OK) {
        err = jq_dialers_start(&respondent->dialers, respondent->socket, &dialled, reterr);
    }
    if (err == JQ_OK) {
        *ret_respondent = respondent;
    }
    return err;
}

void jq_survey_respondent_stop(struct jq_survey_respondent *respondent) {
    jq_dialers_close(&respondent->dialers);
}
