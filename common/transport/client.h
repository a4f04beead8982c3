/* client.h - asks requests: an NNG REQ socket with one context for every request that is under way.
 *
 * A connection is dialled in the background and dialled again for ever when it is lost. A request waits for a connection, goes out
 * once, and ends with its answer or with one of
 *     JQ_ERR_UNAVAILABLE  no connection within its time: it was never sent;
 *     JQ_ERR_CLOSED       the connection was lost after it was sent, known at once: it may have been executed;
 *     JQ_ERR_TIMEOUT      no answer within its time: it may have been executed;
 *     JQ_ERR_CANCELED     jq_conn_cancel() or jq_conn_stop(): it may have been executed.
 * NNG's own resending is off: the layer above sends again, under the same request id.
 *
 * A connection also comes back after its server was killed with requests under way, and whatever a server does costs nothing that
 * lasts (see guard.h). Where neither the guard is at work nor NNG is 1.6 or newer (NNG linked statically), it comes back in about a
 * second, but descriptors leak, and the word that the old connection is gone may be missing: on_state and jq_conn_connected() are for
 * people, not for decisions.
 *
 * Threads:   any function from any thread. Callbacks run on NNG's threads, several at a time, must not block, and may run before
 *            the function that made the request has returned; they may make requests themselves.
 * Lifetime:  a connection lives as long as its process, for the reason given in server.h; jq_conn_stop() is the end. Contexts are
 *            reused: at most `outstanding_max` exist. An idle connection takes no CPU.
 */
#ifndef JQ_COMMON_TRANSPORT_CLIENT_H
#define JQ_COMMON_TRANSPORT_CLIENT_H

#include "common/err.h"
#include "common/transport/frame.h"
#include "common/types.h"

struct jq_conn; /* Opaque: jq_conn_open() .. end of the process. */

/* A request under way; never reused within a process. 0 is none. */
typedef struct {
    uint64_t value;
} jq_conn_ticket;

struct jq_conn_config {
    const char *const *urls; /* 1 to 8, all of them dialled; requests go to whichever is free. See address.h */
    size_t url_count;
    size_t frame_size_max;    /* bytes, in both directions; 0: JQ_FRAME_SIZE_MAX. A server may take less */
    uint32_t outstanding_max; /* requests under way at a time; 0: 1024 */
    int reconnect_min_ms;     /* pause before the first attempt to dial again; 0: 10 */
    int reconnect_max_ms;     /* to which it grows; 0: 1000 */
    void *ctx;
    /* The first connection came, or the last one went. Events come in order, one at a time. NULL: not wanted. */
    void (*on_state)(void *ctx, bool connected);
};

/* The end of a request. `reply` is borrowed for the time of the call, and empty unless `err` is JQ_OK. */
typedef void jq_conn_reply_fn(void *ctx, enum jq_err err, struct jq_bytes reply);

/* Starts to dial; does not wait for a connection. JQ_ERR_ADDRESS names the URL and what is wrong with it. */
enum jq_err jq_conn_open(const struct jq_conn_config *config, struct jq_conn **ret_conn, struct jq_error *reterr);

/* Closes the connection, soon, dials no more, and cancels all requests under way; later ones fail with JQ_ERR_CLOSED. Does not wait for
 * the server. Idempotent. */
void jq_conn_stop(struct jq_conn *conn);

bool jq_conn_connected(struct jq_conn *conn);

/* Waits until there is a connection. JQ_ERR_UNAVAILABLE names the first URL and the reason, as connect() tells it. */
enum jq_err jq_conn_wait(struct jq_conn *conn, int64_t timeout_ms, struct jq_error *reterr);

/* Sends a request; `on_reply` is called exactly once if this returns JQ_OK, else never. `timeout_ms` < 0: no limit. `ret_ticket`
 * may be NULL; it is set before the callback can run. JQ_ERR_TOO_BIG, JQ_ERR_BUSY (outstanding_max), JQ_ERR_NOMEM, JQ_ERR_CLOSED. */
enum jq_err jq_conn_request(struct jq_conn *conn, struct jq_bytes frame, int64_t timeout_ms, jq_conn_reply_fn *on_reply,
                            void *ctx, jq_conn_ticket *ret_ticket);
enum jq_err jq_conn_request_take(struct jq_conn *conn, struct jq_frame *frame, int64_t timeout_ms,
                                 jq_conn_reply_fn *on_reply, void *ctx, jq_conn_ticket *ret_ticket);

/* As jq_conn_request_take(), with the answer in a frame that the callback owns; NULL unless `err` is JQ_OK. */
typedef void jq_conn_frame_fn(void *ctx, enum jq_err err, struct jq_frame *reply);
enum jq_err jq_conn_exchange_take(struct jq_conn *conn, struct jq_frame *frame, int64_t timeout_ms,
                                  jq_conn_frame_fn *on_frame, void *ctx, jq_conn_ticket *ret_ticket);

/* Ends a request soon, by its callback with JQ_ERR_CANCELED, unless it ends otherwise first. A ticket that has ended is ignored. */
void jq_conn_cancel(struct jq_conn *conn, jq_conn_ticket ticket);

/* The same in one: waits for the answer, which the caller frees. Never inside a callback. */
enum jq_err jq_conn_call(struct jq_conn *conn, struct jq_bytes frame, int64_t timeout_ms, struct jq_frame **ret_reply,
                         struct jq_error *reterr);
enum jq_err jq_conn_call_take(struct jq_conn *conn, struct jq_frame *frame, int64_t timeout_ms,
                              struct jq_frame **ret_reply, struct jq_error *reterr);

#endif
