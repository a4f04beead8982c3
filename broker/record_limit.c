/* record_limit.c - limits as bytes. */
#include "broker/record_internal.h"

/* A bit beside the burst: the queue's section of the configuration has set it, not an operator. */
#define CONFIGURED (UINT64_C(1) << 32)

void encode_limit_set(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_str(out, record->u.limit_set.scope);
    jq_buf_append_varint(out, record->u.limit_set.concurrency);
    jq_buf_append_varint(out, record->u.limit_set.rate.count);
    jq_buf_append_varint(out, (uint64_t)record->u.limit_set.rate.period_ms);
    jq_buf_append_varint(out, record->u.limit_set.burst | (record->u.limit_set.configured ? CONFIGURED : 0));
    jq_buf_append_svarint(out, record->u.limit_set.due_us);
}
void decode_limit_set(struct jq_reader *in, struct jq_record *record) {
    record->u.limit_set.scope = jq_read_str(in, JQ_SCOPE_SIZE_MAX);
    record->u.limit_set.concurrency = (uint32_t)get_bounded(in, UINT32_MAX);
    record->u.limit_set.rate.count = (uint32_t)get_bounded(in, JQ_RATE_COUNT_MAX);
    record->u.limit_set.rate.period_ms = (int64_t)get_bounded(in, JQ_RATE_PERIOD_MS_MAX);
    const uint64_t burst = get_bounded(in, CONFIGURED | JQ_BURST_MAX);
    if ((burst & ~CONFIGURED) > JQ_BURST_MAX) {
        jq_reader_fail(in);
    }
    record->u.limit_set.burst = (uint32_t)(burst & ~CONFIGURED);
    record->u.limit_set.configured = (burst & CONFIGURED) != 0;
    record->u.limit_set.due_us = jq_read_svarint(in);
}

void encode_limit_removed(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_str(out, record->u.limit_removed.scope);
}
void decode_limit_removed(struct jq_reader *in, struct jq_record *record) {
    record->u.limit_removed.scope = jq_read_str(in, JQ_SCOPE_SIZE_MAX);
}
