/* segment.h - the header of a segment file, and its name. Byte format: broker/JOURNAL.md, "Segment header".
 *
 * A segment is one file of the log: 4,096 bytes of header, then blocks, then zeros. It is named by the LSN of its
 * first block (20 decimal digits and ".jql"). The block at `lsn` stands at offset 4096 + lsn - base_lsn.
 */
#ifndef JQ_BROKER_JOURNAL_SEGMENT_H
#define JQ_BROKER_JOURNAL_SEGMENT_H

#include "common/err.h"
#include "common/types.h"

enum {
    JQ_SEGMENT_VERSION = 1,
    JQ_SEGMENT_HEADER_SIZE = 4096,
    JQ_SEGMENT_NAME_SIZE = 25, /* 20 digits, ".jql", NUL */
};

struct jq_segment_header {
    uint64_t base_lsn;     /* of the first block */
    struct jq_uuid log_id; /* random at the log's birth */
    uint64_t epoch;        /* of the broker run that made the segment */
    int64_t wall_ms;       /* when */
    uint32_t salt;         /* random per segment; seeds the CRC of every block header in it */
    uint32_t chain_crc;    /* CRC of the payload of the block before base_lsn; 0 at the log's birth */
    uint32_t
        carried_size; /* bytes of the block that recovery wrote here again before the segment got its name; else 0 */
};

void jq_segment_header_encode(const struct jq_segment_header *header, uint8_t ret_bytes[JQ_SEGMENT_HEADER_SIZE]);

/* `name` is for the message. JQ_ERR_VERSION: made by a newer jqmesh. JQ_ERR_CORRUPT: magic, CRC or a bound does not
 * hold. */
enum jq_err jq_segment_header_decode(const uint8_t bytes[JQ_SEGMENT_HEADER_SIZE], const char *name,
                                     struct jq_segment_header *ret_header, struct jq_error *reterr);

void jq_segment_name(uint64_t base_lsn, char ret_name[JQ_SEGMENT_NAME_SIZE]);
/* False, and *ret_base_lsn untouched, for the name of anything but a segment. */
bool jq_segment_name_parse(const char *name, uint64_t *ret_base_lsn);

#endif
