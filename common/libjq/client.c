/* client.c - connecting and disconnecting. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/entropy.h"
#include "common/libjq/flight.h"
#include "common/transport/guard.h"

enum { URLS_MAX = 8, URL_TEXT_MAX = 1024, TIMEOUT_DEFAULT_MS = 30000, TIMEOUT_MAX_MS = 300000, RECONNECT_MAX_MS = 200 };

static const char *first_of(const char *given, const char *variable, const char *otherwise) {
    if (given && given[0] != '\0') {
        return given;
    }
    const char *from_environment = getenv(variable);
    return from_environment && from_environment[0] != '\0' ? from_environment : otherwise;
}

/* Cuts a list at its commas, in place. 0: too many. */
static size_t cut_list(char *text, const char *urls[URLS_MAX]) {
    size_t count = 0;
    for (char *at = text; at && count < URLS_MAX;) {
        char *comma = strchr(at, ',');
        if (comma) {
            *comma = '\0';
        }
        urls[count++] = at;
        at = comma ? comma + 1 : NULL;
        if (at && count == URLS_MAX) {
            return 0;
        }
    }
    return count;
}

static enum jq_err open_conn(const char *server, struct jq_client *client, struct jq_error *reterr) {
    char text[URL_TEXT_MAX];
    const char *urls[URLS_MAX];
    const size_t size = strlen(server);
    if (size >= sizeof(text)) {
        return jq_fail(reterr, JQ_ERR_ADDRESS, "server: longer than %d bytes", URL_TEXT_MAX - 1);
    }
    memcpy(text, server, size + 1);
    const size_t count = cut_list(text, urls);
    if (count == 0) {
        return jq_fail(reterr, JQ_ERR_ADDRESS, "server: more than %d URLs", URLS_MAX);
    }
    const struct jq_conn_config config = {.urls = urls,
                                          .url_count = count,
                                          .frame_size_max = JQ_LARGE_FRAME_SIZE_MAX,
                                          .outstanding_max = 4 * JQ_FLIGHTS_MAX,
                                          .reconnect_max_ms = RECONNECT_MAX_MS};
    client->one_url = count == 1;
    jq_guard_quicken();
    return jq_conn_open(&config, &client->conn, reterr);
}

static enum jq_err take_token(const char *token, struct jq_client *client, struct jq_error *reterr) {
    const size_t size = strlen(token);
    if (size >= sizeof(client->token)) {
        return jq_fail(reterr, JQ_ERR_INVALID, "token: longer than %zu bytes", sizeof(client->token) - 1);
    }
    memcpy(client->token, token, size + 1);
    return JQ_OK;
}

static enum jq_err draw_sender(struct jq_client *client, struct jq_error *reterr) {
    uint64_t seed = 0;
    enum jq_err err = jq_random_bytes(client->sender.bytes, sizeof(client->sender.bytes), reterr);
    if (err == JQ_OK) {
        err = jq_random_bytes(&seed, sizeof(seed), reterr);
    }
    jq_rng_init(&client->rng, seed);
    client->next_id = 1;
    return err;
}

static void init_locks(struct jq_client *client) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&client->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&client->lock, NULL);
    pthread_mutex_init(&client->gathering.lock, NULL);
}

enum jq_err jq_connect(const struct jq_connect_config *given, struct jq_client **ret_client, struct jq_error *reterr) {
    static const struct jq_connect_config none;
    const struct jq_connect_config *config = given ? given : &none;
    struct jq_client *client = calloc(1, sizeof(*client));
    if (!client) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "client");
    }
    client->timeout_ms = config->timeout_ms > 0 ? config->timeout_ms : TIMEOUT_DEFAULT_MS;
    client->timeout_ms = client->timeout_ms > TIMEOUT_MAX_MS ? TIMEOUT_MAX_MS : client->timeout_ms;
    client->on_retry = config->on_retry;
    client->ctx = config->ctx;
    client->gathering.patience_ms = JQ_GATHER_MS;
    init_locks(client);
    enum jq_err err = take_token(first_of(config->token, "JQ_TOKEN", ""), client, reterr);
    if (err == JQ_OK) {
        err = draw_sender(client, reterr);
    }
    if (err == JQ_OK) {
        err = open_conn(first_of(config->server, "JQ_SERVER", JQ_SERVER_DEFAULT), client, reterr);
    }
    if (err != JQ_OK) {
        jq_disconnect(client);
        return err;
    }
    *ret_client = client;
    return JQ_OK;
}

void jq_disconnect(struct jq_client *client) {
    if (!client) {
        return;
    }
    if (client->conn) {
        jq_conn_stop(client->conn); /* lives on, empty, until the process ends: see transport/client.h */
    }
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->gathering.lock);
    pthread_mutex_destroy(&client->lock);
    free(client);
}
