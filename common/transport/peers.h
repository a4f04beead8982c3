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
    atomic_uint calls; /* requests of this peer that are not answered yet */
    atomic_bool gone;
};

struct jq_peers {
    pthread_mutex_t lock;
    size_t count;
    struct jq_peer_entry *buckets[JQ_PEER_BUCKET_COUNT];
};

void jq_peers_init(struct jq_peers *peers);

/* What NNG knows of a pipe that is being added. */
void jq_peer_describe(nng_pipe pipe, struct jq_peer *ret_peer);

/* JQ_ERR_BUSY: `count_max` (0: no limit) are there already. JQ_ERR_NOMEM. */
enum jq_err jq_peers_add(struct jq_peers *peers, const struct jq_peer *peer, size_t count_max);
/* A reference for the caller, or NULL: nobody by this id. */
struct jq_peer_entry *jq_peers_get(struct jq_peers *peers, uint32_t pipe_id);
/* Takes the peer out of the table and marks it gone. False: it was not there. */
bool jq_peers_remove(struct jq_peers *peers, uint32_t pipe_id);
size_t jq_peers_count(struct jq_peers *peers);

void jq_peer_release(struct jq_peer_entry *entry);

#endif
