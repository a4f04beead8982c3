/* flight.h - one request on its way, and the client that sends it. Private to libjq, jqctl and the worker's shell.
 *
 * A flight keeps its bytes until it is answered: whatever gets lost is sent again as it was. Life: flight_begin (draws the
 * request id, gives a pack for the body), flight_send, flight_poll or flight_finish, flight_end. The memory of a flight is the
 * caller's; it must not move between begin and end.
 */
#ifndef JQ_COMMON_LIBJQ_FLIGHT_H
#define JQ_COMMON_LIBJQ_FLIGHT_H

#include <pthread.h>

#include "common/codec_client.h"
#include "common/libjq/jq.h"
#include "common/rng.h"
#include "common/transport/client.h"

enum {
    JQ_FLIGHTS_MAX = 48,       /* requests of one sender under way: fewer than the broker's window keeps */
    JQ_TRY_TIMEOUT_MS = 10000, /* of one try of a request that is answered at once */
    JQ_POLL_EXTRA_MS = 5000,   /* what a long poll may take beyond its wait_ms */
    JQ_BACKOFF_FIRST_MS = 20,
    JQ_BACKOFF_LAST_MS = 2000,
    JQ_GATHER_MS = 50, /* how long a submit waits for others to go with */
};

/* Callers of jq_submit() that wait for a request to go with: see gather.c. */
struct jq_gathering {
    pthread_mutex_t lock; /* of what follows */
    struct jq_caller *first, *last;
    size_t waiting;   /* how many they are */
    unsigned lanes;   /* requests under way that others may follow */
    int patience_ms;  /* how long a caller waits for company, and a lane may stand still */
    int64_t moved_ms; /* when the last of them began; mono clock */
};

struct jq_client {
    struct jq_conn *conn;
    struct jq_uuid sender;
    char token[128];
    int64_t timeout_ms;
    bool one_url; /* all requests take the same connection */
    void (*on_retry)(void *ctx, enum jq_err err, int64_t wait_ms);
    void *ctx;
    pthread_mutex_t lock;   /* of everything below, and of the `landed` of all flights */
    pthread_cond_t changed; /* on CLOCK_MONOTONIC */
    uint64_t next_id;
    uint64_t open[JQ_FLIGHTS_MAX]; /* ids of flights that have begun and not ended */
    unsigned open_count;
    uint64_t landings; /* of flights, so far */
    struct jq_rng rng;
    struct jq_gathering gathering;
};

struct jq_flight {
    struct jq_client *client;
    uint64_t id;
    bool retries;           /* send again what was lost */
    int64_t try_timeout_ms; /* of one try */
    struct jq_buf request;
    struct jq_frame *answer; /* owned; NULL: none yet */
    /* Under the client's lock: */
    bool flying, landed;
    jq_conn_ticket ticket;
    enum jq_err err;
    void (*on_landed)(void *ctx); /* called on a thread of the transport, without the lock; NULL: none */
    void *ctx;
    unsigned calls; /* of on_landed, under way: its ctx is in use */
    /* The caller's alone: */
    unsigned tries;
    int64_t again_ms; /* when to send again; mono clock */
    struct jq_reply_view view;
};

/* Milliseconds of the monotonic clock. */
int64_t jq_flight_now_ms(void);

/* Waits for a free place among the sender's requests until `deadline_ms`. JQ_ERR_TIMEOUT, JQ_ERR_NOMEM. */
enum jq_err jq_flight_begin(struct jq_client *client, struct jq_flight *flight, const char *op, size_t field_count,
                            int64_t deadline_ms, struct jq_pack *ret_pack, struct jq_error *reterr);

/* Sends, or sends again. Its end is told by `landed`. */
void jq_flight_send(struct jq_flight *flight);

/* Sends `frame`, and takes it, instead of what was packed. It is not sent again: what became of it may be an error that passes. */
void jq_flight_send_frame(struct jq_flight *flight, struct jq_frame *frame);

/* What became of it: JQ_ERR_BUSY while it flies or waits to be sent again (it is sent when its time has come), JQ_OK with
 * flight->view read, or the error that ended it. `ret_wake_ms`: when to look again at the latest. */
enum jq_err jq_flight_poll(struct jq_flight *flight, int64_t deadline_ms, int64_t *ret_wake_ms,
                           struct jq_error *reterr);

/* Waits for its end. JQ_OK: flight->view is the answer (which may be a refusal). */
enum jq_err jq_flight_finish(struct jq_flight *flight, int64_t deadline_ms, struct jq_error *reterr);

/* Sends it and waits for its end in the calling thread, which spares the two changes of threads that a callback costs. */
enum jq_err jq_flight_fly(struct jq_flight *flight, int64_t deadline_ms, struct jq_error *reterr);

/* How many flights of the client have landed so far. Ask before you look at flights, and wait for more than that: what lands between
 * the look and the wait is not missed. */
uint64_t jq_client_landings(struct jq_client *client);
/* Waits until more than `seen` flights have landed, or until `until_ms`. */
void jq_client_wait(struct jq_client *client, uint64_t seen, int64_t until_ms);
/* Waits until then, whatever lands. */
void jq_client_pause(struct jq_client *client, int64_t until_ms);

/* Frees it; a flight that still flies is cancelled and waited for, and so is its on_landed, which therefore must not call this. */
void jq_flight_end(struct jq_flight *flight);

/* Turns a refusal into an error: JQ_OK for status ok. */
enum jq_err jq_refusal(const struct jq_reply_view *view, struct jq_error *reterr);
enum jq_err jq_err_of_reply(enum jq_reply status);

/* Begin, pack by `fill`, send, wait: for requests with one answer. On JQ_OK the view is in *flight, which the caller ends. */
enum jq_err jq_client_call(struct jq_client *client, struct jq_flight *flight, const char *op, size_t field_count,
                           void (*fill)(struct jq_pack *pack, void *ctx), void *ctx, int64_t timeout_ms,
                           struct jq_error *reterr);

/* The same for one that the broker may leave unanswered for a while: an answer to each try is waited for `try_ms`. */
enum jq_err jq_client_poll(struct jq_client *client, struct jq_flight *flight, const char *op, size_t field_count,
                           void (*fill)(struct jq_pack *pack, void *ctx), void *ctx, int64_t try_ms,
                           int64_t deadline_ms, struct jq_error *reterr);

#endif
