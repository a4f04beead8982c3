/* record_internal.h - what the files of the record codec share. Nobody else includes it. */
#ifndef JQ_BROKER_RECORD_INTERNAL_H
#define JQ_BROKER_RECORD_INTERNAL_H

#include "broker/record.h"
#include "common/crc32c.h"

/* Both wrap instead of overflowing: damaged bytes must not be undefined behaviour. */
static inline void put_time(struct jq_buf *out, int64_t at_ms, int64_t base_ms) {
    jq_buf_append_svarint(out, (int64_t)((uint64_t)at_ms - (uint64_t)base_ms));
}
static inline int64_t get_time(struct jq_reader *in, int64_t base_ms) {
    return (int64_t)((uint64_t)jq_read_svarint(in) + (uint64_t)base_ms);
}

static inline uint64_t get_bounded(struct jq_reader *in, uint64_t max) {
    const uint64_t value = jq_read_varint(in);
    if (value > max) {
        in->failed = true;
        return 0;
    }
    return value;
}

static inline void put_uuid(struct jq_buf *out, const struct jq_uuid *id) {
    jq_buf_append(out, id->bytes, sizeof(id->bytes));
}

static inline struct jq_uuid get_uuid(struct jq_reader *in) {
    struct jq_uuid id = {{0}};
    const struct jq_bytes bytes = jq_read_bytes(in, sizeof(id.bytes));
    if (bytes.size == sizeof(id.bytes)) {
        memcpy(id.bytes, bytes.data, sizeof(id.bytes));
    }
    return id;
}

/* What stays of the record: the body, and its CRC in the last four bytes. Written last, read last. */
static inline void put_body(struct jq_buf *out, struct jq_bytes body) {
    jq_buf_append_varint(out, body.size);
    jq_buf_append(out, body.data, body.size);
    jq_buf_append_u32(out, jq_crc32c(0, body.data, body.size));
}

/* The block's CRC covers it during a replay; jq_record_body() checks the body's own. */
static inline struct jq_bytes get_body(struct jq_reader *in) {
    const uint64_t size = jq_read_varint(in);
    const struct jq_bytes body = size <= JQ_FRAME_SIZE_MAX ? jq_read_bytes(in, (size_t)size) : (struct jq_bytes){0};
    (void)jq_read_u32(in);
    in->failed |= size > JQ_FRAME_SIZE_MAX;
    return body;
}

/* ---- record.c ---- */
void encode_submitted(const struct jq_record *record, struct jq_buf *out);
void decode_submitted(struct jq_reader *in, struct jq_record *record);

/* ---- record_moved.c ---- */
void encode_task_relocated(const struct jq_record *record, struct jq_buf *out);
void decode_task_relocated(struct jq_reader *in, struct jq_record *record);
void encode_report_relocated(const struct jq_record *record, struct jq_buf *out);
void decode_report_relocated(struct jq_reader *in, struct jq_record *record);
void encode_key_relocated(const struct jq_record *record, struct jq_buf *out);
void decode_key_relocated(struct jq_reader *in, struct jq_record *record);

/* ---- record_key.c ---- */
void encode_key_forgotten(const struct jq_record *record, struct jq_buf *out);
void decode_key_forgotten(struct jq_reader *in, struct jq_record *record);
void encode_renewed(const struct jq_record *record, struct jq_buf *out);
void decode_renewed(struct jq_reader *in, struct jq_record *record);

/* ---- record_schedule.c ---- */
void encode_schedule_set(const struct jq_record *record, struct jq_buf *out);
void decode_schedule_set(struct jq_reader *in, struct jq_record *record);
void encode_schedule_moved(const struct jq_record *record, struct jq_buf *out);
void decode_schedule_moved(struct jq_reader *in, struct jq_record *record);
void encode_schedule_forgotten(const struct jq_record *record, struct jq_buf *out);
void decode_schedule_forgotten(struct jq_reader *in, struct jq_record *record);

/* ---- record_flow.c ---- */
void encode_edge_decided(const struct jq_record *record, struct jq_buf *out);
void decode_edge_decided(struct jq_reader *in, struct jq_record *record);
void encode_flow_set(const struct jq_record *record, struct jq_buf *out);
void decode_flow_set(struct jq_reader *in, struct jq_record *record);
void encode_flow_cut(const struct jq_record *record, struct jq_buf *out);
void decode_flow_cut(struct jq_reader *in, struct jq_record *record);
void encode_flow_forgotten(const struct jq_record *record, struct jq_buf *out);
void decode_flow_forgotten(struct jq_reader *in, struct jq_record *record);

/* ---- record_blob.c ---- */
void put_files(struct jq_buf *out, struct jq_bytes files);
struct jq_bytes get_files(struct jq_reader *in);
void encode_blob_stored(const struct jq_record *record, struct jq_buf *out);
void decode_blob_stored(struct jq_reader *in, struct jq_record *record);
void encode_blob_dropped(const struct jq_record *record, struct jq_buf *out);
void decode_blob_dropped(struct jq_reader *in, struct jq_record *record);

/* ---- record_cache.c ---- */
struct jq_bytes get_cache_key(struct jq_reader *in);
void encode_cache_stored(const struct jq_record *record, struct jq_buf *out);
void decode_cache_stored(struct jq_reader *in, struct jq_record *record);
void encode_cache_dropped(const struct jq_record *record, struct jq_buf *out);
void decode_cache_dropped(struct jq_reader *in, struct jq_record *record);

/* ---- record_limit.c ---- */
void encode_queue_set(const struct jq_record *record, struct jq_buf *out);
void decode_queue_set(struct jq_reader *in, struct jq_record *record);
void encode_limit_set(const struct jq_record *record, struct jq_buf *out);
void decode_limit_set(struct jq_reader *in, struct jq_record *record);
void encode_limit_removed(const struct jq_record *record, struct jq_buf *out);
void decode_limit_removed(struct jq_reader *in, struct jq_record *record);

#endif
