/* dialers.c - what a socket dials.
 *
 * NNG before 1.6 is wedged by closing a pipe while it reads (see guard.h), and closing a dialer closes its pipe. So where the guard is
 * at work a connection is ended by the guard, NNG closes the pipe itself when its read finds the end, and then dials again; or the
 * dialer is closed at that moment, when it has no pipe.
 *
 * Closing a dialer waits for the notices of a connection that has just come: never with the lock held.
 */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/transport/guard.h"
#include "common/transport/internal.h"
#include "common/transport/peers.h"

enum {
    RECONNECT_MIN_MS = 10,
    RECONNECT_MAX_MS = 1000,
    CONNECT_MS_MAX = 5000, /* no handshake takes so long where somebody answers */
};

/* ---- connections come and go ---- */

/* With the lock held, as the next ones. A dialer that was replaced is not found any more. */
static struct jq_dialer *dialer_of(struct jq_dialers *dialers, nng_pipe pipe) {
    const int id = nng_dialer_id(nng_pipe_dialer(pipe));
    for (size_t i = 0; i < dialers->count; i++) {
        if (nng_dialer_id(dialers->dialers[i].dialer) == id) {
            return &dialers->dialers[i];
        }
    }
    return NULL;
}

static struct jq_dialer *connected_by(struct jq_dialers *dialers, nng_pipe pipe) {
    for (size_t i = 0; i < dialers->count; i++) {
        if (dialers->dialers[i].pipe.id == pipe.id) {
            return &dialers->dialers[i];
        }
    }
    return NULL;
}

static void pipe_comes(struct jq_dialers *dialers, nng_pipe pipe) {
    struct jq_dialer *dialer = dialer_of(dialers, pipe);
    if (dialer == NULL || dialers->closed) {
        nng_pipe_close(pipe);
        return;
    }
    dialer->pipe = pipe;
    dialer->ready = dialer->ended = false;
}

static void pipe_ready(struct jq_dialers *dialers, nng_pipe pipe) {
    struct jq_dialer *dialer = connected_by(dialers, pipe);
    if (dialer != NULL) {
        dialer->ready = true;
    }
}

/* Returns the dialer that is to be closed now; id 0: none. */
static nng_dialer pipe_goes(struct jq_dialers *dialers, nng_pipe pipe) {
    const nng_dialer none = NNG_DIALER_INITIALIZER;
    struct jq_dialer *dialer = connected_by(dialers, pipe);
    if (dialer == NULL) {
        return none;
    }
    dialer->pipe = (nng_pipe)NNG_PIPE_INITIALIZER;
    dialer->ready = dialer->ended = false;
    dialer->alone_ns = jq_clock_mono_ns();
    return dialers->closed ? dialer->dialer : none;
}

static void pipe_event(nng_pipe pipe, nng_pipe_ev event, void *arg) {
    struct jq_dialers *dialers = arg;
    nng_dialer over = NNG_DIALER_INITIALIZER;
    pthread_mutex_lock(&dialers->lock);
    switch (event) {
    case NNG_PIPE_EV_ADD_PRE: pipe_comes(dialers, pipe); break;
    case NNG_PIPE_EV_ADD_POST: pipe_ready(dialers, pipe); break;
    default: over = pipe_goes(dialers, pipe); break;
    }
    pthread_mutex_unlock(&dialers->lock);
    if (over.id != 0) {
        jq_guard_close_dialer(over);
    }
    if (dialers->on_change != NULL) {
        dialers->on_change(dialers->ctx);
    }
}

size_t jq_dialers_ready_count(struct jq_dialers *dialers) {
    size_t count = 0;
    pthread_mutex_lock(&dialers->lock);
    for (size_t i = 0; i < dialers->count; i++) {
        count += dialers->dialers[i].ready ? 1 : 0;
    }
    pthread_mutex_unlock(&dialers->lock);
    return count;
}

/* ---- dialling ---- */

static int prepare(struct jq_dialers *dialers, const struct jq_dialers_config *config) {
    const int min_ms = config->reconnect_min_ms > 0 ? config->reconnect_min_ms : RECONNECT_MIN_MS;
    const int max_ms = config->reconnect_max_ms > 0 ? config->reconnect_max_ms : RECONNECT_MAX_MS;
    int rv = nng_socket_set_ms(dialers->socket, NNG_OPT_RECONNMINT, min_ms);
    if (rv == 0) {
        rv = nng_socket_set_ms(dialers->socket, NNG_OPT_RECONNMAXT, max_ms);
    }
    return rv != 0 ? rv : jq_socket_notify(dialers->socket, pipe_event, dialers);
}

static int dial_next(struct jq_dialers *dialers, const char *url) {
    pthread_mutex_lock(&dialers->lock);
    struct jq_dialer *dialer = &dialers->dialers[dialers->count];
    snprintf(dialer->url, sizeof dialer->url, "%s", url);
    const int rv = nng_dialer_create(&dialer->dialer, dialers->socket, dialer->url);
    const nng_dialer made = dialer->dialer;
    dialer->alone_ns = jq_clock_mono_ns();
    dialers->count += rv == 0 ? 1 : 0;
    pthread_mutex_unlock(&dialers->lock);
    return rv == 0 ? nng_dialer_start(made, NNG_FLAG_NONBLOCK) : rv;
}

enum jq_err jq_dialers_start(struct jq_dialers *dialers, nng_socket socket, const struct jq_dialers_config *config,
                             struct jq_error *reterr) {
    JQ_CHECK(pthread_mutex_init(&dialers->lock, NULL) == 0);
    dialers->socket = socket;
    dialers->on_change = config->on_change;
    dialers->ctx = config->ctx;
    dialers->count = 0;
    const enum jq_err err = jq_urls_check(config->urls, config->url_count, reterr);
    if (err != JQ_OK) {
        return err;
    }
    int rv = prepare(dialers, config);
    if (rv != 0) {
        return jq_nng_fail(reterr, rv, "dialling");
    }
    for (size_t i = 0; rv == 0 && i < config->url_count; i++) {
        rv = dial_next(dialers, config->urls[i]);
        if (rv != 0) {
            jq_nng_fail(reterr, rv, config->urls[i]);
            jq_dialers_close(dialers);
        }
    }
    return jq_nng_err(rv);
}

/* ---- ending ---- */

/* With the lock held. One that was ended before, or that NNG is just closing, is left to NNG, however long that takes: its read may
 * still be under way. False: there is no connection, or none that the guard watches over. */
static bool end_connection(struct jq_dialer *dialer) {
    if (dialer->pipe.id != 0 && !dialer->ended && jq_guard_active() && strncmp(dialer->url, "inproc:", 7) != 0) {
        (void)jq_guard_end(dialer->pipe);
        dialer->ended = true;
    }
    return dialer->ended;
}

/* With the lock held. Where the guard is at work NNG dials again itself. */
static bool may_be_connecting(const struct jq_dialer *dialer) {
    return jq_guard_active() && dialer->pipe.id == 0 &&
           jq_clock_mono_ns() - dialer->alone_ns < CONNECT_MS_MAX * INT64_C(1000000);
}

/* With the lock held. An attempt to connect may hang for minutes where packets are lost, and NNG before 1.6, in a process without
 * the guard, may never dial again after a loss: a new dialer helps. Returns the old one, to be closed. Out of memory, that one stays,
 * closed, and is found again by its number at the next attempt, which does no harm. */
static nng_dialer replace(struct jq_dialers *dialers, struct jq_dialer *dialer) {
    const nng_dialer old = dialer->dialer;
    (void)nng_dialer_create(&dialer->dialer, dialers->socket, dialer->url);
    dialer->pipe = (nng_pipe)NNG_PIPE_INITIALIZER;
    dialer->ready = dialer->ended = false;
    dialer->alone_ns = jq_clock_mono_ns();
    return old;
}

static void redial(struct jq_dialers *dialers, struct jq_dialer *dialer) {
    nng_dialer old = NNG_DIALER_INITIALIZER;
    pthread_mutex_lock(&dialers->lock);
    const bool dialled = dialer < dialers->dialers + dialers->count && !dialers->closed;
    if (dialled && !end_connection(dialer) && !may_be_connecting(dialer)) {
        old = replace(dialers, dialer);
    }
    const nng_dialer made = dialer->dialer;
    pthread_mutex_unlock(&dialers->lock);
    if (old.id != 0) {
        jq_guard_close_dialer(old);
        (void)nng_dialer_start(made, NNG_FLAG_NONBLOCK);
    }
}

void jq_dialers_redial(struct jq_dialers *dialers) {
    for (size_t i = 0; i < JQ_URLS_MAX; i++) {
        redial(dialers, &dialers->dialers[i]);
    }
}

void jq_dialers_close(struct jq_dialers *dialers) {
    nng_dialer idle[JQ_URLS_MAX];
    size_t idle_count = 0;
    pthread_mutex_lock(&dialers->lock);
    for (size_t i = 0; !dialers->closed && i < dialers->count; i++) {
        struct jq_dialer *dialer = &dialers->dialers[i];
        if (!end_connection(dialer)) {
            idle[idle_count++] = dialer->dialer;
        }
    }
    dialers->closed = true;
    pthread_mutex_unlock(&dialers->lock);
    for (size_t i = 0; i < idle_count; i++) {
        jq_guard_close_dialer(idle[i]);
    }
}
