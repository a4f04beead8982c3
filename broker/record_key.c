/* record_key.c - facts about keys as bytes. */
#include "broker/record_internal.h"

void encode_key_forgotten(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_str(out, record->u.key_forgotten.key);
}
void decode_key_forgotten(struct jq_reader *in, struct jq_record *record) {
    record->u.key_forgotten.key = jq_read_str(in, 2 * JQ_KEY_SIZE_MAX);
}

void encode_renewed(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.task_renewed.task.value);
    jq_buf_append_varint(out, record->u.task_renewed.queue);
    jq_buf_append_varint(out, record->u.task_renewed.class_index);
    jq_buf_append_varint(out, record->u.task_renewed.options);
    jq_buf_append_u8(out, record->u.task_renewed.priority);
    put_time(out, record->u.task_renewed.ready_at_ms, record->time_ms);
    jq_buf_append_svarint(out, record->u.task_renewed.expires_wall_ms);
    jq_buf_append_str(out, record->u.task_renewed.group);
    put_body(out, record->u.task_renewed.body);
}
void decode_renewed(struct jq_reader *in, struct jq_record *record) {
    record->u.task_renewed.task = (jq_task_id){jq_read_varint(in)};
    record->u.task_renewed.queue = (uint16_t)get_bounded(in, UINT16_MAX);
    record->u.task_renewed.class_index = (uint16_t)get_bounded(in, UINT16_MAX);
    record->u.task_renewed.options = (uint32_t)get_bounded(in, UINT32_MAX);
    record->u.task_renewed.priority = jq_read_u8(in);
    record->u.task_renewed.ready_at_ms = get_time(in, record->time_ms);
    record->u.task_renewed.expires_wall_ms = jq_read_svarint(in);
    record->u.task_renewed.group = jq_read_str(in, JQ_KEY_SIZE_MAX);
    record->u.task_renewed.body = get_body(in);
}
