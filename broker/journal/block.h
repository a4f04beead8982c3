/* block.h - a block of the log and the records in it, as bytes. Byte format: broker/JOURNAL.md, "Block" and "Record".
 *
 * A block is one group commit: 48 bytes of header, then records, then zeros up to a multiple of 8. It is valid as a
 * whole or not at all. A record is opaque here: a type and a body. An LSN is a byte offset in the log since its birth,
 * in which the headers of segments do not count. The LSN of a record is that of its first byte, so none is 0.
 *
 * A block is built without knowing where it will be written. Only when its segment is known, the writer stamps it: the
 * two CRCs, and the chain to the block before it.
 */
#ifndef JQ_BROKER_JOURNAL_BLOCK_H
#define JQ_BROKER_JOURNAL_BLOCK_H

#include "common/types.h"

enum {
    JQ_BLOCK_ALIGN = 8,
    JQ_BLOCK_HEADER_SIZE = 48,
    JQ_BLOCK_PAYLOAD_SIZE_MAX = 1044480, /* so that a block fits a message of 1 MiB */
    JQ_BLOCK_SIZE_MAX = JQ_BLOCK_HEADER_SIZE + JQ_BLOCK_PAYLOAD_SIZE_MAX,
    JQ_RECORD_OVERHEAD_SIZE_MAX = 4, /* size (varint of at most 3 bytes) and type */
    JQ_RECORD_BODY_SIZE_MAX = JQ_BLOCK_PAYLOAD_SIZE_MAX - JQ_RECORD_OVERHEAD_SIZE_MAX,
};

#define JQ_LSN_MAX (UINT64_C(1) << 62) /* no log grows beyond; keeps sums of LSNs and sizes from wrapping */

struct jq_block_header {
    uint32_t payload_size; /* bytes of records, without the padding */
    uint32_t record_count;
    uint64_t lsn;
    uint64_t epoch;
    int64_t time_ms; /* of the block's first batch */
    uint32_t prev_crc;
    uint32_t payload_crc;
};

/* What a reader of the log is told of the block that a record stands in. */
struct jq_block_info {
    uint64_t lsn;
    uint64_t epoch;
    int64_t time_ms;
    uint32_t record_count;
    uint32_t size_bytes; /* header and padding included: the next block's LSN is lsn + size_bytes */
};

struct jq_log_record {
    uint64_t lsn;
    uint8_t type;
    struct jq_bytes body;
};

/* Bytes of a block with that payload: header, payload, padding. */
static inline uint32_t jq_block_size(uint32_t payload_size) {
    return JQ_BLOCK_HEADER_SIZE + ((payload_size + JQ_BLOCK_ALIGN - 1) & ~(uint32_t)(JQ_BLOCK_ALIGN - 1));
}

static inline struct jq_block_info jq_block_info_of(const struct jq_block_header *header) {
    return (struct jq_block_info){
        .lsn = header->lsn,
        .epoch = header->epoch,
        .time_ms = header->time_ms,
        .record_count = header->record_count,
        .size_bytes = jq_block_size(header->payload_size),
    };
}

/* Writes all of the header but its CRC: jq_block_stamp() adds that. */
void jq_block_header_put(const struct jq_block_header *header, uint8_t ret_bytes[JQ_BLOCK_HEADER_SIZE]);

/* True if the header's magic, CRC (seeded with the salt) and bounds hold. *ret_header is set only then. */
bool jq_block_header_decode(const uint8_t bytes[JQ_BLOCK_HEADER_SIZE], uint32_t salt,
                            struct jq_block_header *ret_header);

/* Puts the block under a segment's salt and behind the block whose payload CRC is `prev_crc`. `block` holds header and
 * payload. Returns the CRC of this block's payload. */
uint32_t jq_block_stamp(uint8_t *block, uint32_t salt, uint32_t prev_crc);

/* Bytes that a record with that body takes. */
uint32_t jq_record_size(uint32_t body_size);
/* Writes size and type of a record; its body follows at once. Returns the bytes written. */
uint32_t jq_record_put(uint8_t *at, uint8_t type, uint32_t body_size);

/* The records of one block, in order. The body points into `payload`. */
struct jq_record_cursor {
    const uint8_t *payload;
    uint32_t payload_size;
    uint32_t at;
    uint32_t left; /* records that the header still promises */
    uint64_t payload_lsn;
    bool failed; /* the records do not fill the payload exactly: a checksum that holds over nonsense */
};

struct jq_record_cursor jq_record_cursor_of(const struct jq_block_header *header, const uint8_t *payload);
/* False at the end, or with `failed` set. */
bool jq_record_next(struct jq_record_cursor *cursor, struct jq_log_record *ret_record);

#endif
