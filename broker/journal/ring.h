/* ring.h - the newest bytes of the log in memory, addressed by LSN, and the builder of blocks, which builds inside it.
 *
 *     begin -> append ... append -> seal -> (the commit thread stamps, writes and syncs the block) -> release
 *
 * Sizes are bytes. Sealed blocks may queue up; begin() gives false when the ring is full of blocks not yet released.
 *
 * Threads: one thread (the broker's core thread) owns the ring and calls every function here. What another one may touch
 * are the bytes of a sealed block, which are the commit thread's from the hand-over until it reports the block as done: it
 * stamps the 48 bytes of the header and reads the rest. The owner meanwhile reads records of that block (find), never
 * its header, and writes elsewhere. The hand-over both ways is a synchronising one (a queue under a lock, or release
 * and acquire). Other threads that need a body read it from the files (jq_journal_read).
 */
#ifndef JQ_BROKER_JOURNAL_RING_H
#define JQ_BROKER_JOURNAL_RING_H

#include "broker/journal/block.h"
#include "common/err.h"

enum { JQ_LOG_RING_SIZE_MIN = 8 * 1024 * 1024 };

struct jq_log_ring; /* Opaque. */

/* A block that is whole but for what jq_block_stamp() puts in: lent by the ring until release(lsn + size_bytes). */
struct jq_sealed_block {
    uint8_t *data;
    uint64_t lsn;
    uint32_t size_bytes;
    uint32_t record_count;
    int64_t time_ms;
};

/* `size_bytes` (at least JQ_LOG_RING_SIZE_MIN, a multiple of 8) of log are kept; `lsn` is where the next block goes. */
enum jq_err jq_log_ring_new(size_t size_bytes, uint64_t lsn, struct jq_log_ring **ret_ring, struct jq_error *reterr);
void jq_log_ring_free(struct jq_log_ring *ring);

/* Begins the block at end_lsn. No block may be under construction. False when older blocks must be released first. */
bool jq_log_ring_begin(struct jq_log_ring *ring, uint64_t epoch, int64_t time_ms);

/* Copies a record into the block under construction. Returns its LSN, or 0 when the block has no room for it: seal it
 * and begin another. A body of up to JQ_RECORD_BODY_SIZE_MAX fits an empty block; a larger one fits none. */
uint64_t jq_log_ring_append(struct jq_log_ring *ring, uint8_t type, struct jq_bytes body);

/* The same without the copy: room for `body_size` bytes that the caller fills before the next call, or NULL. */
uint8_t *jq_log_ring_reserve(struct jq_log_ring *ring, uint8_t type, size_t body_size, uint64_t *ret_lsn);

/* Ends the block under construction; one without records is a block too (it covers the block before it). */
struct jq_sealed_block jq_log_ring_seal(struct jq_log_ring *ring);

/* The blocks below `lsn` are written and synced: their room may be used again. They can be found until that happens. */
void jq_log_ring_release(struct jq_log_ring *ring, uint64_t lsn);

/* The bytes [lsn, lsn + size) of a record, or NULL if they are not (or no longer) here. Valid until the next
 * begin(). */
const uint8_t *jq_log_ring_find(const struct jq_log_ring *ring, uint64_t lsn, size_t size);

bool jq_log_ring_building(const struct jq_log_ring *ring);
/* Where the log ends, the block under construction included: the LSN of the next record or, outside a block, of the
 * next block. */
uint64_t jq_log_ring_end_lsn(const struct jq_log_ring *ring);
/* Records and bytes of records in the block under construction. */
uint32_t jq_log_ring_record_count(const struct jq_log_ring *ring);
uint32_t jq_log_ring_payload_size(const struct jq_log_ring *ring);

#endif
