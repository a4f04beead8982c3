/* record.h - core records as bytes. JOURNAL.md holds blocks of these; what each field means is core/record.h's business.
 *
 * A record is encoded without knowing those before it, but for the time: records carry none; a clock record (type 1: the new
 * core time, svarint of the difference to the time so far) stands before the first record of a batch whose time differs from
 * the block's so far. Absolute times inside a record are svarint differences to the record's own time. Integers are LEB128
 * varints, texts are a varint length and bytes. A record with a body (submit, edited, retried, ended) ends with it: the body's bytes and
 * their CRC-32C (4 bytes, little-endian), so that a body reader needs nothing else.
 *
 * Errors: JQ_ERR_CORRUPT for bytes that are no record, JQ_ERR_VERSION for a type that this version does not know.
 */
#ifndef JQ_BROKER_RECORD_H
#define JQ_BROKER_RECORD_H

#include "broker/core/record.h"
#include "common/buf.h"
#include "common/err.h"

enum { JQ_RECORD_CLOCK = 1 };

/* Appends the record's bytes (without type and framing) to `out`. record->time_ms is its time. */
void jq_record_encode(const struct jq_record *record, struct jq_buf *out);

/* The clock record that takes the time of the log from `from_ms` to `to_ms`. */
void jq_record_encode_clock(int64_t from_ms, int64_t to_ms, struct jq_buf *out);

/* `bytes` is a record's body in the log, `*time_ms` the time so far (the block's, at its start). A clock record only moves it:
 * *ret_clock is true and *ret_record untouched. Texts and bytes of *ret_record are lent by `bytes`. lsn and size are the
 * caller's to set. */
enum jq_err jq_record_decode(uint8_t type, struct jq_bytes bytes, int64_t *time_ms, struct jq_record *ret_record,
                             bool *ret_clock, struct jq_error *reterr);

/* The opaque body inside a record's bytes, its own CRC checked. An empty body for types that have none. */
enum jq_err jq_record_body(uint8_t type, struct jq_bytes bytes, struct jq_bytes *ret_body, struct jq_error *reterr);

/* "task_leased", for dumps. "?" for an unknown type. */
const char *jq_record_type_name(uint8_t type);

#endif
