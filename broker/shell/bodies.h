/* bodies.h - the bodies that one reply carries: found in the newest log in memory, or read back from the journal, and checked.
 *
 * A body ends in its own CRC-32C (broker/record.h), looked at here each time: what does not hold is not handed out.
 * Ownership: a set is used again and again; what it lends lives until the next clear. Bodies found in memory are borrowed from the ring.
 * Threads:   one at a time.
 */
#ifndef JQ_BROKER_SHELL_BODIES_H
#define JQ_BROKER_SHELL_BODIES_H

#include "broker/core/effect.h"
#include "broker/journal/journal.h"
#include "common/buf.h"

struct jq_body_entry {
    struct jq_body_ref ref;
    struct jq_bytes body; /* data NULL: damaged or not to be had */
};

struct jq_bodies {
    struct jq_body_entry *entries;
    size_t count, capacity;
    size_t next;         /* where the next look-up most likely hits */
    struct jq_buf bytes; /* of records read from the journal; reserved before, so that it does not move */
    /* The last stretch read: bodies are mostly asked for in the order in which they were submitted. */
    uint8_t *window;
    uint64_t window_lsn;
    size_t window_size;
};

void jq_bodies_init(struct jq_bodies *bodies);
void jq_bodies_fini(struct jq_bodies *bodies);
void jq_bodies_clear(struct jq_bodies *bodies);

/* Adds a body whose whole record is in memory, which must stay until the set is cleared. False: damaged, or out of memory. */
bool jq_bodies_add(struct jq_bodies *bodies, struct jq_body_ref ref, const uint8_t *record);

/* Room for records of `size` bytes in all, which may be read by jq_bodies_read() until the next clear. */
bool jq_bodies_reserve(struct jq_bodies *bodies, size_t size);
/* Adds a body from the journal. Otherwise an entry without data is added, and *reterr says why. */
enum jq_err jq_bodies_read(struct jq_bodies *bodies, struct jq_journal *journal, struct jq_body_ref ref,
                           struct jq_error *reterr);

/* The body of a place in the log that was added before; empty, and false, if it could not be had. */
bool jq_bodies_find(struct jq_bodies *bodies, struct jq_body_ref ref, struct jq_bytes *ret_body);

/* Calls `visit` for every body that the reply names, with the task whose it is. Refs of size 0 are left out. */
typedef void jq_bodies_visit(void *ctx, jq_task_id task, struct jq_body_ref ref);
void jq_bodies_each(const struct jq_reply_effect *reply, jq_bodies_visit *visit, void *ctx);

#endif
