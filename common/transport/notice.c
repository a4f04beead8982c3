#include "common/transport/notice.h"

#include "common/transport/internal.h"
#include "common/transport/peers.h"

struct jq_notice_server {
    nng_socket socket;
    struct jq_endpoints endpoints;
    size_t frame_size_max;
    size_t peers_max;
    struct jq_peer_watch watch;
};

struct jq_notice_client {
    nng_socket socket;
    struct jq_dialers dialers;
    struct jq_notice_client_config config;
    nng_aio *aio;
};

static bool topic_valid(struct jq_str topic) {
    return topic.size > 0 && topic.size <= JQ_TOPIC_SIZE_MAX && memchr(topic.data, '\0', topic.size) == NULL;
}

/* ---- the publishing side ---- */

static enum jq_err server_open_socket(struct jq_notice_server *server, struct jq_error *reterr) {
    int rv = nng_pub0_open(&server->socket);
    if (rv == 0) {
        rv = nng_socket_set_int(server->socket, NNG_OPT_SENDBUF, JQ_NNG_BUFFER_COUNT);
    }
    if (rv == 0) {
        rv = jq_peer_watch_start(&server->watch, server->socket, server->peers_max, NULL, NULL);
    }
    return rv == 0 ? jq_socket_prepare(server->socket, server->frame_size_max, reterr)
                   : jq_nng_fail(reterr, rv, "notice socket");
}

enum jq_err jq_notice_server_open(const struct jq_notice_server_config *config, struct jq_notice_server **ret_server,
                                  struct jq_error *reterr) {
    struct jq_notice_server *server = jq_alloc_forever(sizeof *server);
    if (server == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "notice server");
    }
    server->frame_size_max = jq_frame_limit(config->frame_size_max);
    server->peers_max = config->peers_max;
    enum jq_err err = server_open_socket(server, reterr);
    if (err == JQ_OK) {
        err = jq_endpoints_listen(&server->endpoints, server->socket, config->urls, config->url_count, config->ipc_mode,
                                  reterr);
    }
    if (err == JQ_OK) {
        *ret_server = server;
    }
    return err;
}

void jq_notice_server_stop(struct jq_notice_server *server) {
    jq_endpoints_close(&server->endpoints);
}

const char *jq_notice_server_url(const struct jq_notice_server *server, size_t index) {
    return jq_endpoints_url(&server->endpoints, index);
}

size_t jq_notice_server_peer_count(struct jq_notice_server *server) {
    return jq_peers_ready_count(&server->watch.peers);
}

enum jq_err jq_notice_publish(struct jq_notice_server *server, struct jq_str topic, struct jq_bytes payload) {
    if (!topic_valid(topic)) {
        return JQ_ERR_INVALID;
    }
    const size_t head_size = topic.size + 1;
    if (payload.size > server->frame_size_max || payload.size + head_size > server->frame_size_max) {
        return JQ_ERR_TOO_BIG;
    }
    struct jq_frame *frame = jq_frame_new(head_size + payload.size);
    if (frame == NULL) {
        return JQ_ERR_NOMEM;
    }
    uint8_t *data = jq_frame_data(frame);
    memcpy(data, topic.data, topic.size);
    data[topic.size] = 0;
    if (payload.size > 0) {
        memcpy(data + head_size, payload.data, payload.size);
    }
    const int rv = nng_sendmsg(server->socket, jq_frame_msg(frame), NNG_FLAG_NONBLOCK);
    if (rv != 0) {
        jq_frame_free(frame);
    }
    return jq_nng_err(rv);
}

/* ---- the subscribing side ---- */

static void deliver(struct jq_notice_client *client, nng_msg *msg) {
    const struct jq_bytes frame = jq_msg_bytes(msg);
    const uint8_t *zero = memchr(frame.data, 0, frame.size);
    if (zero == NULL) {
        return; /* Not ours: nothing is promised of notices. */
    }
    const size_t topic_size = (size_t)(zero - frame.data);
    const struct jq_str topic = {(const char *)frame.data, topic_size};
    const struct jq_bytes payload = {zero + 1, frame.size - topic_size - 1};
    client->config.on_notice(client->config.ctx, topic, payload);
}

static void notice_cb(void *arg) {
    struct jq_notice_client *client = arg;
    const int rv = nng_aio_result(client->aio);
    if (rv == 0) {
        nng_msg *msg = nng_aio_get_msg(client->aio);
        nng_aio_set_msg(client->aio, NULL);
        deliver(client, msg);
        nng_msg_free(msg);
    }
    if (rv != NNG_ECLOSED && rv != NNG_ECANCELED) {
        nng_recv_aio(client->socket, client->aio);
    }
}

static enum jq_err client_open_socket(struct jq_notice_client *client, struct jq_error *reterr) {
    int rv = nng_sub0_open(&client->socket);
    if (rv == 0) {
        rv = nng_socket_set_int(client->socket, NNG_OPT_RECVBUF, JQ_NNG_BUFFER_COUNT);
    }
    if (rv == 0) {
        rv = nng_aio_alloc(&client->aio, notice_cb, client);
    }
    return rv == 0 ? jq_socket_prepare(client->socket, jq_frame_limit(client->config.frame_size_max), reterr)
                   : jq_nng_fail(reterr, rv, "notice socket");
}

enum jq_err jq_notice_client_open(const struct jq_notice_client_config *config, struct jq_notice_client **ret_client,
                                  struct jq_error *reterr) {
    struct jq_notice_client *client = jq_alloc_forever(sizeof *client);
    if (client == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "notice client");
    }
    JQ_CHECK(config->on_notice != NULL);
    client->config = *config;
    client->config.urls = NULL; /* Borrowed only while the client is being opened. */
    const struct jq_dialers_config dialled = {
        .urls = config->urls,
        .url_count = config->url_count,
        .reconnect_min_ms = config->reconnect_min_ms,
        .reconnect_max_ms = config->reconnect_max_ms,
    };
    enum jq_err err = client_open_socket(client, reterr);
    if (err == JQ_OK) {
        err = jq_dialers_start(&client->dialers, client->socket, &dialled, reterr);
    }
    if (err == JQ_OK) {
        nng_recv_aio(client->socket, client->aio);
        *ret_client = client;
    }
    return err;
}

void jq_notice_client_redial(struct jq_notice_client *client) {
    jq_dialers_redial(&client->dialers);
}

void jq_notice_client_stop(struct jq_notice_client *client) {
    jq_dialers_close(&client->dialers);
    nng_aio_stop(client->aio);
}

/* A topic that must match to its end is a prefix that includes the zero byte. */
static enum jq_err set_subscription(struct jq_notice_client *client, const char *option, struct jq_str topic) {
    char prefix[JQ_TOPIC_SIZE_MAX + 1];
    if (!topic_valid(topic)) {
        return JQ_ERR_INVALID;
    }
    memcpy(prefix, topic.data, topic.size);
    prefix[topic.size] = '\0';
    return jq_nng_err(nng_socket_set(client->socket, option, prefix, topic.size + 1));
}

enum jq_err jq_notice_subscribe(struct jq_notice_client *client, struct jq_str topic) {
    return set_subscription(client, NNG_OPT_SUB_SUBSCRIBE, topic);
}

enum jq_err jq_notice_unsubscribe(struct jq_notice_client *client, struct jq_str topic) {
    return set_subscription(client, NNG_OPT_SUB_UNSUBSCRIBE, topic);
}

enum jq_err jq_notice_subscribe_prefix(struct jq_notice_client *client, struct jq_str prefix) {
    if (prefix.size != 0 && !topic_valid(prefix)) {
        return JQ_ERR_INVALID;
    }
    return jq_nng_err(nng_socket_set(client->socket, NNG_OPT_SUB_SUBSCRIBE, prefix.data, prefix.size));
}
