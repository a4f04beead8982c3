/* blobs.h - the content store as the broker serves it: pieces come and go here, past the core, which only hears of what is whole.
 *
 * Threads:   two of its own. One writes pieces, syncs and removes files; the other reads pieces. Neither the core nor the callbacks of
 *            the transport ever wait for them: what is asked goes into a bounded queue. A put that is done, and a question, go on to
 *            the core, which answers.
 * Ownership: take() has the request from then on, unless it says false.
 */
#ifndef JQ_BROKER_SHELL_BLOBS_H
#define JQ_BROKER_SHELL_BLOBS_H

#include "broker/core/core.h"
#include "broker/shell/inbound.h"
#include "broker/shell/metrics.h"

struct jq_blobs; /* Opaque: jq_blobs_open() .. end of the process. */

struct jq_blobs_config {
    const char *data_dir; /* the store is its folder `blobs` */
    uint64_t bytes_max;
    uint64_t disk_free_min;     /* what it leaves of the disk to the journal */
    int64_t idle_ms;            /* of puts that nobody goes on with */
    const struct jq_core *core; /* recovered, not started: asked during the opening alone */
    struct jq_inbox *inbox;
    struct jq_metrics *metrics;
};

/* Removes files that the core does not know, and tells the core (by the inbox) of blobs whose files are gone. */
enum jq_err jq_blobs_open(const struct jq_blobs_config *config, struct jq_blobs **ret_blobs, struct jq_error *reterr);

/* Bytes of data that the next blob.put of that connection may carry. */
size_t jq_blobs_piece_max(const struct jq_call *call);

/* Is it for the store? */
bool jq_blobs_serve(enum jq_op op);
/* A request of such an op, decoded and permitted. False: too many wait; answer busy. Any thread. */
bool jq_blobs_take(struct jq_blobs *blobs, struct jq_inbound *request);

/* JQ_EFFECT_DROP_BLOB, released. Any thread. */
void jq_blobs_drop(struct jq_blobs *blobs, const uint8_t hash[JQ_BLOB_HASH_SIZE], uint32_t version);

#endif
