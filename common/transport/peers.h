/* peers.h - who is connected: a table from pipe id to what is known of the peer. Internal to common/transport.
 *
 * A peer is counted by reference: the table holds one, and every call that came from it another, so that a call can ask at any
 * time whether its requester is still there. Threads: any; the table has a lock of its own, held for a look-up only.
 */
#ifndef JQ_COMMON_TRANSPORT_PEERS_H
#define JQ_COMMON_TRANSPORT_PEERS_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/transport/internal.h"
#include "common/transport/peer.h"

enum { JQ_PEER_BUCKET_COUNT = 1024 };

struct jq_peer_entry {
    struct jq_peer peer;
    struct jq_peer_entry *next;
    atomic_uint refs;
    atomic_uint calls;             /* requests of this peer that are not answered yet */
    atomic_uint untaken;           /* of them, answers that wait until the peer has read earlier ones */
    atomic_int_least64_t taken_ns; /* CLOCK_MONOTONIC: when it last took one, or the first began to wait */
    atomic_bool gone;
    atomic_size_t large_waiting;   /* bytes of large answers of which NNG has not said that they are sent */
    atomic_int_least64_t large_ns; /* CLOCK_MONOTONIC: when it was last enlarged, see server.h; 0: it is not */
    bool ready; /* under the lock of the table: its handshake was fine and it takes part in the protocol */
};

struct jq_peers {
    pthread_mutex_t lock;
    size_t count;
    size_t ready_count;
    size_t large_count;
    struct jq_peer_entry *buckets[JQ_PEER_BUCKET_COUNT];
};

void jq_peers_init(struct jq_peers *peers);

/* What NNG knows of a pipe that is being added. */
void jq_peer_describe(nng_pipe pipe, struct jq_peer *ret_peer);

/* NNG_PIPE_EV_ADD_PRE, before the peer's first message. JQ_ERR_BUSY: `count_max` (0: no limit) are there already. JQ_ERR_NOMEM. */
enum jq_err jq_peers_add(struct jq_peers *peers, const struct jq_peer *peer, size_t count_max);
/* NNG_PIPE_EV_ADD_POST. It is left out for a peer of another protocol, and may come after the peer was removed. */
void jq_peers_set_ready(struct jq_peers *peers, uint32_t pipe_id);
/* NNG_PIPE_EV_REM_POST, which follows every ADD_PRE. Takes the peer out of the table and marks it gone. False: it was not there. */
bool jq_peers_remove(struct jq_peers *peers, uint32_t pipe_id);

/* A reference for the caller, or NULL: nobody by this id. */
struct jq_peer_entry *jq_peers_get(struct jq_peers *peers, uint32_t pipe_id);
void jq_peer_release(struct jq_peer_entry *entry);

/* An answer to this peer begins to wait, or waits no more. */
void jq_peer_answer_waits(struct jq_peer_entry *entry, int64_t now_ns);
void jq_peer_answer_taken(struct jq_peer_entry *entry, int64_t now_ns);

/* The ids of up to `id_count_max` peers for which answers wait and which have taken none since `since_ns`. Returns their number. */
size_t jq_peers_stalled(struct jq_peers *peers, int64_t since_ns, uint32_t *ret_ids, size_t id_count_max);

/* Enlarges a peer's connection, or notes that it is still wanted so. False: it is gone, or `count_max` are enlarged already. */
bool jq_peers_enlarge(struct jq_peers *peers, struct jq_peer_entry *entry, int64_t now_ns, size_t count_max);
/* Takes it back from up to `id_count_max` peers that were not enlarged anew since `since_ns`. Returns their number. */
size_t jq_peers_shrink(struct jq_peers *peers, int64_t since_ns, uint32_t *ret_ids, size_t id_count_max);

/* Peers that take part. */
size_t jq_peers_ready_count(struct jq_peers *peers);

/* Has all three events of a socket's pipes reported. Returns an NNG error or 0. */
int jq_socket_notify(nng_socket socket, nng_pipe_cb on_event, void *ctx);

/* For sockets that want to know of their peers only how many there are. */
struct jq_peer_watch {
    struct jq_peers peers;
    size_t count_max;             /* beyond: closed at once; 0: no limit */
    void (*on_change)(void *ctx); /* after the number may have changed; may be NULL */
    void *ctx;
};

/* Returns an NNG error or 0. The watch must live as long as the socket. */
int jq_peer_watch_start(struct jq_peer_watch *watch, nng_socket socket, size_t count_max, void (*on_change)(void *ctx),
                        void *ctx);

#endif
