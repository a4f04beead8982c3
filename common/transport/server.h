/* server.h - answers requests: an NNG REP socket with one context for every request that is under way.
 *
 * A request arrives as a `struct jq_call`. It may be answered at once, or be parked and answered by any thread at any later time;
 * ten thousand parked calls cost about 1.1 KiB each and nothing while they wait. At least `contexts_idle_min` contexts always
 * stand ready: NNG notices neither requests nor departures on a connection when none does.
 *
 * Threads:   on_request, on_gone and on_peer run on NNG's threads, several at a time, and may run before jq_server_open() has
 *            returned. They must not block. All functions here may be called from any thread, inside the callbacks too.
 * Ownership: a call is its receiver's from on_request until exactly one jq_call_reply(), jq_call_reply_take() that returned
 *            JQ_OK, or jq_call_drop(). Its frame and its peer live as long.
 * Lifetime:  a server lives as long as its process. NNG before 1.6 may hang for ever when a socket is closed, so there is no
 *            _free: jq_server_stop() is the end, and the exit of the process does not wait for NNG. After fork() only exec or
 *            _exit() is possible.
 * Errors:    JQ_ERR_ADDRESS names the URL and the reason (in use: sys_errno is EADDRINUSE; permission, no such folder, a file
 *            that is no socket).
 */
#ifndef JQ_COMMON_TRANSPORT_SERVER_H
#define JQ_COMMON_TRANSPORT_SERVER_H

#include "common/err.h"
#include "common/transport/frame.h"
#include "common/transport/peer.h"
#include "common/types.h"

struct jq_server; /* Opaque: jq_server_open() .. end of the process. */
struct jq_call;   /* Opaque: one request that waits for its answer. */

struct jq_server_config {
    const char *const *urls; /* 1 to 8; see address.h */
    size_t url_count;
    size_t
        frame_size_max; /* bytes, in both directions; 0: JQ_FRAME_SIZE_MAX. A peer that sends more loses its connection */
    size_t large_size_max;  /* the same for connections that were enlarged: see jq_call_enlarge(); 0: none ever is */
    size_t large_peers_max; /* of them at a time; 0: 256 */
    unsigned contexts_idle_min; /* 0: 16 */
    size_t calls_max;           /* received and not yet answered; 0: 100,000. Beyond: `refusal` */
    size_t peer_calls_max;      /* the same for one peer; 0: 4096. Beyond: its connection is closed */
    size_t peers_max;           /* connections; 0: no limit. Beyond: closed at once */
    int64_t stall_ms_max;       /* see jq_server_sweep(); 0: 60,000 */
    unsigned ipc_mode;          /* of ipc sockets in the file system; 0: 0600 */
    struct jq_bytes refusal;    /* the answer beyond calls_max, copied; empty: such requests are dropped */
    void *ctx;                  /* first argument of the callbacks */

    /* A request. `frame` is borrowed and lives until the call is answered or jq_call_release_frame(). Required. */
    void (*on_request)(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer);
    /* A connection is no more. May come before a last request of that peer: ask jq_call_peer_gone(). NULL: not wanted. */
    void (*on_gone)(void *ctx, uint32_t pipe_id);
    /* A connection is new; false refuses it. NULL: all are welcome. */
    bool (*on_peer)(void *ctx, const struct jq_peer *peer);
};

enum jq_err jq_server_open(const struct jq_server_config *config, struct jq_server **ret_server,
                           struct jq_error *reterr);

/* Refuses every request and connection from now on, and waits until no call is under way, at most `timeout_ms`: the last answers
 * are then in the kernel's hands. Who takes no answer for 2 s meanwhile is not waited for: his connection is closed. JQ_ERR_TIMEOUT:
 * some call is still open. Blocks; not inside a callback. */
enum jq_err jq_server_drain(struct jq_server *server, int64_t timeout_ms);

/* Closes all connections, takes no new one, and removes ipc sockets from the file system. Calls under way still have to be
 * answered or dropped, though nobody hears the answers. Idempotent. */
void jq_server_stop(struct jq_server *server);

/* The URL `index` as it can be dialled: a port 0 has become the one that the system gave. NULL: no such index. */
const char *jq_server_url(const struct jq_server *server, size_t index);

struct jq_server_stats {
    size_t peers;      /* connections */
    size_t calls;      /* received, not yet answered */
    size_t idle;       /* contexts that stand ready */
    uint64_t requests; /* received since the start */
    uint64_t refused;  /* of them, beyond a limit or after jq_server_drain() */
    uint64_t orphaned; /* of them, from a peer that was gone already */
};
void jq_server_stats(struct jq_server *server, struct jq_server_stats *ret_stats);

/* Closes a connection, soon. It may be gone already. */
void jq_server_disconnect(struct jq_server *server, uint32_t pipe_id);

/* Closes the connections of peers that have taken no answer for `stall_ms_max`, though answers wait for them: who asks and does not
 * read would otherwise keep his share of `calls_max` for good. Who reads, however slowly, takes one now and then. To be called
 * about once a second; `now_ns` is of CLOCK_MONOTONIC. Returns how many. */
size_t jq_server_sweep(struct jq_server *server, int64_t now_ns);

struct jq_bytes jq_call_frame(const struct jq_call *call);
const struct jq_peer *jq_call_peer(const struct jq_call *call);

/* True once the requester's connection is known to be no more: an answer would reach nobody. */
bool jq_call_peer_gone(const struct jq_call *call);

/* Large frames. Whoever can connect makes the server hold a frame that he never ends, and answers that he never takes: so frames are
 * small until the requester is known to be somebody who may ask for much, and the connections that carry large ones are few. What
 * they can make the server hold beside the small is large_peers_max * large_size_max bytes of frames that are coming, as many of answers
 * that are going, and LARGE_WAITING_MAX of answers that wait (server.c).
 *
 * Enlarges the requester's connection, if that can be. It stays so while it is used: until no call has enlarged it for a minute, of
 * which jq_server_sweep() takes care; after that a large request ends the connection again. */
void jq_call_enlarge(struct jq_call *call);
/* Bytes of a request that this connection may carry now; more than frame_size_max only where the guard is at work (see guard.h), which
 * knows a size before NNG takes memory for it. */
size_t jq_call_request_max(const struct jq_call *call);
/* Bytes of the answer that may be given now. Large ones only while not too many others wait for their peers. */
size_t jq_call_reply_max(const struct jq_call *call);

/* Takes the request's frame, with all that the call's bytes point to. NULL: it has been released. */
struct jq_frame *jq_call_take_frame(struct jq_call *call);
/* Frees the request's bytes early, for a call that will be parked. */
void jq_call_release_frame(struct jq_call *call);

/* Answers. JQ_OK also when the requester is gone. JQ_ERR_TOO_BIG, JQ_ERR_NOMEM: the call is still open. */
enum jq_err jq_call_reply(struct jq_call *call, struct jq_bytes frame);
enum jq_err jq_call_reply_take(struct jq_call *call, struct jq_frame *frame);

/* Ends the call without an answer. */
void jq_call_drop(struct jq_call *call);

#endif
