/* ring.c - layout: `size` bytes of ring, in which the byte at an LSN stands at lsn % size, and one block of slack
 * behind it.
 *
 * A block is contiguous, so the one that meets the end of the ring runs on into the slack; sealing it copies that part
 * to the front, where the rule puts it. So a record that begins before the end of the ring is whole in ring and slack,
 * and one that begins behind it is whole at the front. The copy costs at most one block a lap.
 */
#include "broker/journal/ring.h"

#include <stdlib.h>

struct jq_log_ring {
    uint8_t *memory; /* size + JQ_BLOCK_SIZE_MAX bytes */
    size_t size;
    uint64_t first_lsn;    /* nothing below was ever in here */
    uint64_t released_lsn; /* room of what is below may be used again */
    uint64_t gone_lsn;     /* what is below has been, or may just now be, overwritten */
    uint64_t block_lsn;    /* of the block under construction, else of the next one */
    uint8_t *block;        /* the block under construction, or NULL */
    struct jq_block_header header;
};

enum jq_err jq_log_ring_new(size_t size_bytes, uint64_t lsn, struct jq_log_ring **ret_ring, struct jq_error *reterr) {
    JQ_CHECK(size_bytes >= JQ_LOG_RING_SIZE_MIN && size_bytes % JQ_BLOCK_ALIGN == 0 && lsn % JQ_BLOCK_ALIGN == 0);
    struct jq_log_ring *ring = calloc(1, sizeof(*ring));
    if (ring != NULL)
        ring->memory = malloc(size_bytes + JQ_BLOCK_SIZE_MAX);
    if (ring == NULL || ring->memory == NULL) {
        free(ring);
        return jq_fail(reterr, JQ_ERR_NOMEM, "ring of %zu bytes for the newest blocks: out of memory", size_bytes);
    }
    ring->size = size_bytes;
    ring->first_lsn = ring->released_lsn = ring->block_lsn = lsn;
    *ret_ring = ring;
    return JQ_OK;
}

void jq_log_ring_free(struct jq_log_ring *ring) {
    if (ring == NULL)
        return;
    free(ring->memory);
    free(ring);
}

/* Everything below may be overwritten by the block that begins at block_lsn: its own room, and all of the slack, which
 * an earlier block may still hold whose end is at most one block above the same place one lap ago. */
static uint64_t overwritten_lsn(const struct jq_log_ring *ring) {
    const uint64_t reach = ring->block_lsn + 2 * (uint64_t)JQ_BLOCK_SIZE_MAX;
    return reach > ring->size ? reach - ring->size : 0;
}

bool jq_log_ring_begin(struct jq_log_ring *ring, uint64_t epoch, int64_t time_ms) {
    JQ_CHECK(ring->block == NULL);
    const uint64_t overwritten = overwritten_lsn(ring);
    if (overwritten > ring->released_lsn)
        return false;
    ring->gone_lsn = overwritten;
    ring->block = ring->memory + ring->block_lsn % ring->size;
    ring->header = (struct jq_block_header){.lsn = ring->block_lsn, .epoch = epoch, .time_ms = time_ms};
    return true;
}

uint8_t *jq_log_ring_reserve(struct jq_log_ring *ring, uint8_t type, size_t body_size, uint64_t *ret_lsn) {
    JQ_CHECK(ring->block != NULL);
    if (body_size > JQ_RECORD_BODY_SIZE_MAX)
        return NULL;
    const uint32_t at = ring->header.payload_size;
    if (jq_record_size((uint32_t)body_size) > JQ_BLOCK_PAYLOAD_SIZE_MAX - at)
        return NULL;
    uint8_t *record = ring->block + JQ_BLOCK_HEADER_SIZE + at;
    const uint32_t prefix_size = jq_record_put(record, type, (uint32_t)body_size);
    ring->header.payload_size = at + prefix_size + (uint32_t)body_size;
    ring->header.record_count++;
    *ret_lsn = ring->block_lsn + JQ_BLOCK_HEADER_SIZE + at;
    return record + prefix_size;
}

uint64_t jq_log_ring_append(struct jq_log_ring *ring, uint8_t type, struct jq_bytes body) {
    uint64_t lsn = 0;
    uint8_t *room = jq_log_ring_reserve(ring, type, body.size, &lsn);
    if (room != NULL && body.size > 0)
        memcpy(room, body.data, body.size);
    return lsn;
}

struct jq_sealed_block jq_log_ring_seal(struct jq_log_ring *ring) {
    JQ_CHECK(ring->block != NULL);
    const uint32_t used = JQ_BLOCK_HEADER_SIZE + ring->header.payload_size;
    const uint32_t size = jq_block_size(ring->header.payload_size);
    jq_block_header_put(&ring->header, ring->block);
    memset(ring->block + used, 0, size - used);
    const size_t end = (size_t)(ring->block - ring->memory) + size;
    if (end > ring->size)
        memcpy(ring->memory, ring->memory + ring->size, end - ring->size);
    const struct jq_sealed_block sealed = {
        .data = ring->block,
        .lsn = ring->block_lsn,
        .size_bytes = size,
        .record_count = ring->header.record_count,
        .time_ms = ring->header.time_ms,
    };
    ring->block = NULL;
    ring->block_lsn += size;
    return sealed;
}

void jq_log_ring_release(struct jq_log_ring *ring, uint64_t lsn) {
    JQ_CHECK(lsn >= ring->released_lsn && lsn <= ring->block_lsn);
    ring->released_lsn = lsn;
}

const uint8_t *jq_log_ring_find(const struct jq_log_ring *ring, uint64_t lsn, size_t size) {
    const uint64_t end_lsn = jq_log_ring_end_lsn(ring);
    if (lsn < ring->first_lsn || lsn < ring->gone_lsn || size > JQ_BLOCK_SIZE_MAX || lsn > end_lsn ||
        size > end_lsn - lsn)
        return NULL;
    if (ring->block != NULL && lsn >= ring->block_lsn)
        return ring->block + (lsn - ring->block_lsn);
    return ring->memory + lsn % ring->size;
}

bool jq_log_ring_building(const struct jq_log_ring *ring) {
    return ring->block != NULL;
}

uint64_t jq_log_ring_end_lsn(const struct jq_log_ring *ring) {
    if (ring->block == NULL)
        return ring->block_lsn;
    return ring->block_lsn + JQ_BLOCK_HEADER_SIZE + ring->header.payload_size;
}

uint32_t jq_log_ring_record_count(const struct jq_log_ring *ring) {
    return ring->block != NULL ? ring->header.record_count : 0;
}

uint32_t jq_log_ring_payload_size(const struct jq_log_ring *ring) {
    return ring->block != NULL ? ring->header.payload_size : 0;
}
