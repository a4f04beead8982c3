/* record_flow.c - the records of tasks that wait for others, and of flows. */
#include "broker/record_internal.h"

void encode_edge_decided(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.edge_decided.task.value);
    jq_buf_append_varint(out, record->u.edge_decided.task.value - record->u.edge_decided.parent);
    jq_buf_append_u8(out, record->u.edge_decided.verdict);
}
void decode_edge_decided(struct jq_reader *in, struct jq_record *record) {
    record->u.edge_decided.task = (jq_task_id){jq_read_varint(in)};
    record->u.edge_decided.parent = record->u.edge_decided.task.value - jq_read_varint(in);
    record->u.edge_decided.verdict = jq_read_u8(in);
    in->failed |= record->u.edge_decided.verdict > JQ_EDGE_BLOCKED;
}

void encode_flow_set(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.flow_set.flow);
    jq_buf_append_u8(out, record->u.flow_set.phase);
    jq_buf_append_varint(out, record->u.flow_set.room);
    jq_buf_append_varint(out, record->u.flow_set.total);
    put_time(out, record->u.flow_set.at_ms, record->time_ms);
    jq_buf_append_varint(out, record->u.flow_set.grace_ms);
    put_uuid(out, &record->u.flow_set.sender);
    jq_buf_append_str(out, record->u.flow_set.name);
}
void decode_flow_set(struct jq_reader *in, struct jq_record *record) {
    record->u.flow_set.flow = jq_read_varint(in);
    record->u.flow_set.phase = jq_read_u8(in);
    record->u.flow_set.room = (uint32_t)get_bounded(in, UINT32_MAX);
    record->u.flow_set.total = (uint32_t)get_bounded(in, record->u.flow_set.room);
    record->u.flow_set.at_ms = get_time(in, record->time_ms);
    record->u.flow_set.grace_ms = (uint32_t)get_bounded(in, UINT32_MAX);
    record->u.flow_set.sender = get_uuid(in);
    record->u.flow_set.name = jq_read_str(in, JQ_NAME_SIZE_MAX);
    in->failed |= record->u.flow_set.phase < JQ_FLOW_STAGED || record->u.flow_set.phase > JQ_FLOW_CANCELLED;
}

void encode_flow_cut(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.flow_cut.flow);
    jq_buf_append_varint(out, record->u.flow_cut.keep);
}
void decode_flow_cut(struct jq_reader *in, struct jq_record *record) {
    record->u.flow_cut.flow = jq_read_varint(in);
    record->u.flow_cut.keep = (uint32_t)get_bounded(in, UINT32_MAX);
}

void encode_flow_forgotten(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.flow_forgotten.flow);
}
void decode_flow_forgotten(struct jq_reader *in, struct jq_record *record) {
    record->u.flow_forgotten.flow = jq_read_varint(in);
}
