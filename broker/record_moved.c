/* record_moved.c - the records of what is moved to the log's head. That of a task is its state, and then its submit as a submit record has
 * it: what a submit gains, this gains with it, and broker/core/move.c fills it in. */
#include "broker/record_internal.h"

/* Which of the parts that few tasks have follow. */
enum {
    MOVED_COUNTS = 1, /* losses, shortages, grace */
    MOVED_BODY = 2,   /* the body stands elsewhere */
    MOVED_LAST = 4,
    MOVED_LEASE = 8,
    MOVED_VERDICTS = 16,
    MOVED_ERROR = 32,
    MOVED_HELD = 64, /* nothing follows */
    MOVED_EDITS = 128,
};

/* Beside the state, in its byte: outputs that were stored follow. */
enum { STATE_MADE = 0x80 };

static void put_bytes(struct jq_buf *out, struct jq_bytes bytes) {
    jq_buf_append_varint(out, bytes.size);
    jq_buf_append(out, bytes.data, bytes.size);
}

static struct jq_bytes get_bytes(struct jq_reader *in, size_t size_max) {
    return jq_read_bytes(in, (size_t)get_bounded(in, size_max));
}

static uint8_t parts_of(const struct jq_record *record) {
    const bool counts =
        record->u.task_relocated.losses || record->u.task_relocated.shortages || record->u.task_relocated.grace_ms;
    return (uint8_t)((counts ? MOVED_COUNTS : 0) | (record->u.task_relocated.body_size ? MOVED_BODY : 0) |
                     (record->u.task_relocated.last_size ? MOVED_LAST : 0) |
                     (record->u.task_relocated.worker ? MOVED_LEASE : 0) |
                     (record->u.task_relocated.verdicts.size ? MOVED_VERDICTS : 0) |
                     (record->u.task_relocated.error.size ? MOVED_ERROR : 0) |
                     (record->u.task_relocated.held ? MOVED_HELD : 0) |
                     (record->u.task_relocated.edits ? MOVED_EDITS : 0));
}

static void encode_parts(const struct jq_record *record, uint8_t parts, struct jq_buf *out) {
    if (parts & MOVED_COUNTS) {
        jq_buf_append_u8(out, record->u.task_relocated.losses);
        jq_buf_append_u8(out, record->u.task_relocated.shortages);
        jq_buf_append_varint(out, record->u.task_relocated.grace_ms);
    }
    if (parts & MOVED_BODY) {
        jq_buf_append_varint(out, record->u.task_relocated.body_lsn);
        jq_buf_append_varint(out, record->u.task_relocated.body_size);
    }
    if (parts & MOVED_LAST) {
        jq_buf_append_varint(out, record->u.task_relocated.last_lsn);
        jq_buf_append_varint(out, record->u.task_relocated.last_size);
    }
    if (parts & MOVED_LEASE) {
        jq_buf_append_varint(out, record->u.task_relocated.worker);
        jq_buf_append_varint(out, record->u.task_relocated.token.value);
        jq_buf_append_u8(out, record->u.task_relocated.alternative);
        put_bytes(out, record->u.task_relocated.units);
    }
    if (parts & MOVED_VERDICTS) {
        put_bytes(out, record->u.task_relocated.verdicts);
    }
    if (parts & MOVED_ERROR) {
        jq_buf_append_str(out, record->u.task_relocated.error);
    }
    if (parts & MOVED_EDITS) {
        jq_buf_append_varint(out, record->u.task_relocated.edits);
    }
}

static void decode_parts(struct jq_reader *in, uint8_t parts, struct jq_record *record) {
    if (parts & MOVED_COUNTS) {
        record->u.task_relocated.losses = jq_read_u8(in);
        record->u.task_relocated.shortages = jq_read_u8(in);
        record->u.task_relocated.grace_ms = (uint32_t)get_bounded(in, UINT32_MAX);
    }
    if (parts & MOVED_BODY) {
        record->u.task_relocated.body_lsn = jq_read_varint(in);
        record->u.task_relocated.body_size = (uint32_t)get_bounded(in, UINT32_MAX);
    }
    if (parts & MOVED_LAST) {
        record->u.task_relocated.last_lsn = jq_read_varint(in);
        record->u.task_relocated.last_size = (uint32_t)get_bounded(in, UINT32_MAX);
    }
    if (parts & MOVED_LEASE) {
        record->u.task_relocated.worker = (uint32_t)get_bounded(in, UINT32_MAX);
        record->u.task_relocated.token = (jq_lease_token){jq_read_varint(in)};
        record->u.task_relocated.alternative = jq_read_u8(in);
        record->u.task_relocated.units = get_bytes(in, JQ_LEASE_UNITS_SIZE_MAX);
    }
    if (parts & MOVED_VERDICTS) {
        record->u.task_relocated.verdicts = get_bytes(in, JQ_AFTER_COUNT_MAX);
    }
    if (parts & MOVED_ERROR) {
        record->u.task_relocated.error = jq_read_str(in, JQ_ERROR_TEXT_SIZE_MAX);
    }
    if (parts & MOVED_EDITS) {
        record->u.task_relocated.edits = (uint32_t)get_bounded(in, UINT32_MAX);
    }
}

void encode_task_relocated(const struct jq_record *record, struct jq_buf *out) {
    const uint8_t parts = parts_of(record);
    jq_buf_append_u8(out, parts);
    const bool made = record->u.task_relocated.made.size > 0;
    jq_buf_append_u8(out, (uint8_t)(record->u.task_relocated.state | (made ? STATE_MADE : 0)));
    jq_buf_append_u8(out, record->u.task_relocated.outcome);
    jq_buf_append_u8(out, record->u.task_relocated.attempts);
    jq_buf_append_u8(out, record->u.task_relocated.crashes);
    jq_buf_append_varint(out, record->u.task_relocated.runs);
    put_time(out, record->u.task_relocated.first_ready_ms, record->time_ms);
    encode_parts(record, parts, out);
    if (made) {
        put_files(out, record->u.task_relocated.made);
    }
    const struct jq_record submit = {.type = JQ_RECORD_TASK_SUBMITTED,
                                     .time_ms = record->time_ms,
                                     .u.task_submitted = record->u.task_relocated.submit};
    encode_submitted(&submit, out);
}

void decode_task_relocated(struct jq_reader *in, struct jq_record *record) {
    const uint8_t parts = jq_read_u8(in);
    const uint8_t state = jq_read_u8(in);
    record->u.task_relocated.state = state & (uint8_t)~STATE_MADE;
    record->u.task_relocated.outcome = jq_read_u8(in);
    record->u.task_relocated.attempts = jq_read_u8(in);
    record->u.task_relocated.crashes = jq_read_u8(in);
    record->u.task_relocated.runs = (uint16_t)get_bounded(in, UINT16_MAX);
    record->u.task_relocated.first_ready_ms = get_time(in, record->time_ms);
    record->u.task_relocated.held = parts & MOVED_HELD;
    decode_parts(in, parts, record);
    if (state & STATE_MADE) {
        record->u.task_relocated.made = get_files(in);
    }
    struct jq_record submit = {.type = JQ_RECORD_TASK_SUBMITTED, .time_ms = record->time_ms};
    decode_submitted(in, &submit);
    record->u.task_relocated.submit = submit.u.task_submitted;
    record->u.task_relocated.task = submit.u.task_submitted.task;
}

void encode_report_relocated(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.report_relocated.task.value);
    put_body(out, record->u.report_relocated.body);
}
void decode_report_relocated(struct jq_reader *in, struct jq_record *record) {
    record->u.report_relocated.task = (jq_task_id){jq_read_varint(in)};
    record->u.report_relocated.body = get_body(in);
}

void encode_key_relocated(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.key_relocated.task.value);
    jq_buf_append_u8(out, record->u.key_relocated.unique);
    put_time(out, record->u.key_relocated.expires_ms, record->time_ms);
    jq_buf_append_str(out, record->u.key_relocated.key);
}
void decode_key_relocated(struct jq_reader *in, struct jq_record *record) {
    record->u.key_relocated.task = (jq_task_id){jq_read_varint(in)};
    record->u.key_relocated.unique = jq_read_u8(in);
    record->u.key_relocated.expires_ms = get_time(in, record->time_ms);
    record->u.key_relocated.key = jq_read_str(in, 2 * JQ_KEY_SIZE_MAX);
}
