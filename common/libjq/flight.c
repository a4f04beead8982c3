#include "common/libjq/flight.h"

#include <stdlib.h>
#include <time.h>

#include "common/clock.h"

int64_t jq_flight_now_ms(void) {
    return jq_clock_mono_ns() / 1000000;
}

/* ---- request ids ---- */

static uint64_t done_below(const struct jq_client *client) {
    uint64_t least = client->next_id;
    for (unsigned i = 0; i < client->open_count; i++) {
        least = client->open[i] < least ? client->open[i] : least;
    }
    return least;
}

static void wait_locked(struct jq_client *client, int64_t until_ms) {
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_cond_timedwait(&client->changed, &client->lock, &until);
}

static bool id_draw(struct jq_client *client, int64_t deadline_ms, uint64_t *ret_id, uint64_t *ret_done) {
    pthread_mutex_lock(&client->lock);
    while (client->open_count == JQ_FLIGHTS_MAX && jq_flight_now_ms() < deadline_ms) {
        wait_locked(client, deadline_ms);
    }
    const bool room = client->open_count < JQ_FLIGHTS_MAX;
    if (room) {
        *ret_id = client->next_id++;
        client->open[client->open_count++] = *ret_id;
        *ret_done = done_below(client);
    }
    pthread_mutex_unlock(&client->lock);
    return room;
}

static void id_close(struct jq_client *client, uint64_t id) {
    pthread_mutex_lock(&client->lock);
    for (unsigned i = 0; i < client->open_count; i++) {
        if (client->open[i] == id) {
            client->open[i] = client->open[--client->open_count];
            break;
        }
    }
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

/* ---- flying ---- */

enum jq_err jq_flight_begin(struct jq_client *client, struct jq_flight *flight, const char *op, size_t field_count,
                            int64_t deadline_ms, struct jq_pack *ret_pack, struct jq_error *reterr) {
    *flight = (struct jq_flight){.client = client, .retries = true, .try_timeout_ms = JQ_TRY_TIMEOUT_MS};
    uint64_t done = 0;
    if (!id_draw(client, deadline_ms, &flight->id, &done)) {
        flight->client = NULL;
        return jq_fail(reterr, JQ_ERR_TIMEOUT, "%s: too many requests of this client wait for an answer", op);
    }
    jq_buf_init(&flight->request, JQ_FRAME_SIZE_MAX);
    jq_reply_view_init(&flight->view);
    const struct jq_request_head head = {.op = jq_str_of(op),
                                         .sender = client->sender,
                                         .id = flight->id,
                                         .done = done,
                                         .token = jq_str_of(client->token)};
    *ret_pack = jq_request_begin(&flight->request, &head, field_count);
    return JQ_OK;
}

static void land(void *arg, enum jq_err err, struct jq_frame *answer) {
    struct jq_flight *flight = arg;
    struct jq_client *client = flight->client;
    void (*const on_landed)(void *) = flight->on_landed;
    void *const ctx = flight->ctx;
    pthread_mutex_lock(&client->lock);
    jq_frame_free(flight->answer);
    flight->answer = answer;
    flight->err = err;
    flight->flying = false;
    flight->landed = true;
    flight->calls += on_landed != NULL;
    client->landings++;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock); /* from here on the flight may be gone, unless it has somebody to call */
    if (on_landed) {
        on_landed(ctx);
        pthread_mutex_lock(&client->lock);
        flight->calls--;
        pthread_cond_broadcast(&client->changed);
        pthread_mutex_unlock(&client->lock);
    }
}

/* A frame that cannot be sent is freed. */
static void take_off(struct jq_flight *flight, struct jq_frame *frame) {
    pthread_mutex_lock(&flight->client->lock);
    flight->flying = true;
    flight->landed = false;
    pthread_mutex_unlock(&flight->client->lock);
    flight->tries++;
    enum jq_err err = flight->request.failed ? JQ_ERR_TOO_BIG : JQ_ERR_NOMEM;
    if (frame) {
        err = jq_conn_exchange_take(flight->client->conn, frame, flight->try_timeout_ms, land, flight, &flight->ticket);
    }
    if (err != JQ_OK) {
        jq_frame_free(frame);
        land(flight, err, NULL);
    }
}

void jq_flight_send(struct jq_flight *flight) {
    take_off(flight, flight->request.failed ? NULL : jq_frame_copy(jq_buf_bytes(&flight->request)));
}

void jq_flight_send_frame(struct jq_flight *flight, struct jq_frame *frame) {
    flight->retries = false;
    take_off(flight, frame);
}

static bool may_come_again(enum jq_err err) {
    return err == JQ_ERR_CLOSED || err == JQ_ERR_UNAVAILABLE || err == JQ_ERR_TIMEOUT || err == JQ_ERR_BUSY;
}

/* Exponential, with full jitter above a half: many clients of a broker that restarts do not come back at once. */
static int64_t backoff_ms(struct jq_client *client, unsigned tries) {
    int64_t most = JQ_BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < tries && most < JQ_BACKOFF_LAST_MS; i++) {
        most *= 2;
    }
    pthread_mutex_lock(&client->lock);
    const int64_t wait_ms = most / 2 + (int64_t)jq_rng_below(&client->rng, (uint64_t)most / 2 + 1);
    pthread_mutex_unlock(&client->lock);
    return wait_ms;
}

/* Says so, too. */
static int64_t pause_before_retry(struct jq_flight *flight, enum jq_err err) {
    const int64_t wait_ms = backoff_ms(flight->client, flight->tries);
    if (flight->client->on_retry) {
        flight->client->on_retry(flight->client->ctx, err, wait_ms);
    }
    return wait_ms;
}

static enum jq_err give_up(const struct jq_flight *flight, enum jq_err err, struct jq_error *reterr) {
    if (err == JQ_ERR_TOO_BIG) {
        return jq_fail(reterr, err, "request: larger than %d bytes", JQ_FRAME_SIZE_MAX);
    }
    if (!jq_conn_connected(flight->client->conn)) {
        struct jq_error why = {.message = "no connection"};
        (void)jq_conn_wait(flight->client->conn, 0, &why);
        return jq_fail(reterr, err == JQ_ERR_TIMEOUT ? JQ_ERR_UNAVAILABLE : err, "no answer from the broker: %s",
                       why.message);
    }
    return jq_fail(reterr, err, "no answer from the broker: %s", jq_err_text(err));
}

/* It landed without an answer: plans the next try, or gives up. */
static enum jq_err try_again(struct jq_flight *flight, enum jq_err err, int64_t deadline_ms, int64_t *ret_wake_ms,
                             struct jq_error *reterr) {
    const int64_t now_ms = jq_flight_now_ms();
    if (!flight->retries || !may_come_again(err) || now_ms >= deadline_ms) {
        return give_up(flight, err, reterr);
    }
    if (flight->again_ms == 0) {
        flight->again_ms = now_ms + pause_before_retry(flight, err);
    }
    if (now_ms >= flight->again_ms) {
        flight->again_ms = 0;
        jq_flight_send(flight);
        *ret_wake_ms = deadline_ms;
    } else {
        *ret_wake_ms = flight->again_ms < deadline_ms ? flight->again_ms : deadline_ms;
    }
    return JQ_ERR_BUSY;
}

enum jq_err jq_flight_poll(struct jq_flight *flight, int64_t deadline_ms, int64_t *ret_wake_ms,
                           struct jq_error *reterr) {
    pthread_mutex_lock(&flight->client->lock);
    const bool landed = flight->landed;
    const enum jq_err err = flight->err;
    pthread_mutex_unlock(&flight->client->lock);
    if (!landed) {
        *ret_wake_ms = deadline_ms;
        return jq_flight_now_ms() < deadline_ms ? JQ_ERR_BUSY : give_up(flight, JQ_ERR_TIMEOUT, reterr);
    }
    if (err == JQ_OK) {
        return jq_reply_view_read(&flight->view, jq_frame_bytes(flight->answer), reterr);
    }
    return try_again(flight, err, deadline_ms, ret_wake_ms, reterr);
}

enum jq_err jq_flight_finish(struct jq_flight *flight, int64_t deadline_ms, struct jq_error *reterr) {
    for (;;) {
        int64_t wake_ms = deadline_ms;
        const enum jq_err err = jq_flight_poll(flight, deadline_ms, &wake_ms, reterr);
        if (err != JQ_ERR_BUSY) {
            return err;
        }
        pthread_mutex_lock(&flight->client->lock);
        if (flight->flying || flight->again_ms > 0) {
            wait_locked(flight->client, wake_ms);
        }
        pthread_mutex_unlock(&flight->client->lock);
    }
}

/* One try in the calling thread. */
static enum jq_err try_here(struct jq_flight *flight, int64_t deadline_ms, struct jq_error *reterr) {
    const int64_t left_ms = deadline_ms - jq_flight_now_ms();
    if (flight->request.failed) {
        return JQ_ERR_TOO_BIG;
    }
    jq_frame_free(flight->answer);
    flight->answer = NULL;
    flight->tries++;
    return jq_conn_call(flight->client->conn, jq_buf_bytes(&flight->request),
                        left_ms < flight->try_timeout_ms ? left_ms : flight->try_timeout_ms, &flight->answer, reterr);
}

enum jq_err jq_flight_fly(struct jq_flight *flight, int64_t deadline_ms, struct jq_error *reterr) {
    for (;;) {
        const enum jq_err err = try_here(flight, deadline_ms, reterr);
        if (err == JQ_OK) {
            return jq_reply_view_read(&flight->view, jq_frame_bytes(flight->answer), reterr);
        }
        const int64_t now_ms = jq_flight_now_ms();
        if (!flight->retries || !may_come_again(err) || now_ms >= deadline_ms) {
            return give_up(flight, err, reterr);
        }
        int64_t again_ms = now_ms + pause_before_retry(flight, err);
        again_ms = again_ms < deadline_ms ? again_ms : deadline_ms;
        jq_client_pause(flight->client, again_ms);
    }
}

uint64_t jq_client_landings(struct jq_client *client) {
    pthread_mutex_lock(&client->lock);
    const uint64_t landings = client->landings;
    pthread_mutex_unlock(&client->lock);
    return landings;
}

void jq_client_wait(struct jq_client *client, uint64_t seen, int64_t until_ms) {
    pthread_mutex_lock(&client->lock);
    while (client->landings == seen && jq_flight_now_ms() < until_ms) {
        wait_locked(client, until_ms);
    }
    pthread_mutex_unlock(&client->lock);
}

void jq_client_pause(struct jq_client *client, int64_t until_ms) {
    pthread_mutex_lock(&client->lock);
    while (jq_flight_now_ms() < until_ms) {
        wait_locked(client, until_ms);
    }
    pthread_mutex_unlock(&client->lock);
}

void jq_flight_end(struct jq_flight *flight) {
    struct jq_client *client = flight->client;
    if (!client) {
        return;
    }
    pthread_mutex_lock(&client->lock);
    if (flight->flying) {
        pthread_mutex_unlock(&client->lock);
        jq_conn_cancel(client->conn, flight->ticket);
        pthread_mutex_lock(&client->lock);
    }
    while (flight->flying || flight->calls > 0) {
        pthread_cond_wait(&client->changed, &client->lock);
    }
    pthread_mutex_unlock(&client->lock);
    id_close(client, flight->id);
    jq_buf_fini(&flight->request);
    jq_reply_view_fini(&flight->view);
    jq_frame_free(flight->answer);
    flight->client = NULL;
}

/* ---- refusals ---- */

enum jq_err jq_err_of_reply(enum jq_reply status) {
    switch (status) {
    case JQ_REPLY_OK: return JQ_OK;
    case JQ_REPLY_BUSY: return JQ_ERR_BUSY;
    case JQ_REPLY_UNAUTHORIZED:
    case JQ_REPLY_FORBIDDEN: return JQ_ERR_DENIED;
    case JQ_REPLY_INVALID: return JQ_ERR_INVALID;
    case JQ_REPLY_NOT_FOUND: return JQ_ERR_NOT_FOUND;
    case JQ_REPLY_CONFLICT:
    case JQ_REPLY_STALE_LEASE: return JQ_ERR_CONFLICT;
    case JQ_REPLY_TOO_BIG: return JQ_ERR_TOO_BIG;
    default: return JQ_ERR_UNAVAILABLE;
    }
}

enum jq_err jq_refusal(const struct jq_reply_view *view, struct jq_error *reterr) {
    if (view->status == JQ_REPLY_OK) {
        return JQ_OK;
    }
    const char *name = jq_reply_name(view->status);
    const enum jq_err err = jq_err_of_reply(view->status);
    if (view->field.size && view->reason.size) {
        return jq_fail(reterr, err, "%s: %.*s: %.*s", name, JQ_STR_ARG(view->field), JQ_STR_ARG(view->reason));
    }
    const struct jq_str detail = view->reason.size ? view->reason : view->field;
    return jq_fail(reterr, err, "%s%s%.*s", name, detail.size ? ": " : "", JQ_STR_ARG(detail));
}

enum jq_err jq_client_call(struct jq_client *client, struct jq_flight *flight, const char *op, size_t field_count,
                           void (*fill)(struct jq_pack *pack, void *ctx), void *ctx, int64_t timeout_ms,
                           struct jq_error *reterr) {
    const int64_t within_ms = timeout_ms > 0 ? timeout_ms : client->timeout_ms;
    return jq_client_poll(client, flight, op, field_count, fill, ctx,
                          within_ms < JQ_TRY_TIMEOUT_MS ? within_ms : JQ_TRY_TIMEOUT_MS, jq_flight_now_ms() + within_ms,
                          reterr);
}

enum jq_err jq_client_poll(struct jq_client *client, struct jq_flight *flight, const char *op, size_t field_count,
                           void (*fill)(struct jq_pack *pack, void *ctx), void *ctx, int64_t try_ms,
                           int64_t deadline_ms, struct jq_error *reterr) {
    struct jq_pack pack;
    enum jq_err err = jq_flight_begin(client, flight, op, field_count, deadline_ms, &pack, reterr);
    if (err != JQ_OK) {
        return err;
    }
    if (fill) {
        fill(&pack, ctx);
    }
    flight->try_timeout_ms = try_ms;
    err = jq_flight_fly(flight, deadline_ms, reterr);
    if (err == JQ_OK) {
        err = jq_refusal(&flight->view, reterr);
    }
    if (err != JQ_OK) {
        jq_flight_end(flight);
    }
    return err;
}
