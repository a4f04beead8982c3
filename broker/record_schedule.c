/* record_schedule.c - facts about schedules as bytes. */
#include "broker/record_internal.h"

enum { DEFINITION_SIZE_MAX = 32 * 1024 };

static void put_state(struct jq_buf *out, const struct jq_schedule_state *state, int64_t base_ms) {
    put_time(out, state->anchor_wall_ms, base_ms);
    put_time(out, state->settled_wall_ms, base_ms);
    jq_buf_append_svarint(out, state->last_due_wall_ms);
    jq_buf_append_varint(out, state->last_task.value);
    jq_buf_append_varint(out, state->fired);
    jq_buf_append_varint(out, state->missed);
    jq_buf_append_varint(out, state->skipped);
    jq_buf_append_u8(out, state->paused);
}
static void get_state(struct jq_reader *in, struct jq_schedule_state *state, int64_t base_ms) {
    state->anchor_wall_ms = get_time(in, base_ms);
    state->settled_wall_ms = get_time(in, base_ms);
    state->last_due_wall_ms = jq_read_svarint(in);
    state->last_task = (jq_task_id){jq_read_varint(in)};
    state->fired = jq_read_varint(in);
    state->missed = jq_read_varint(in);
    state->skipped = jq_read_varint(in);
    state->paused = jq_read_u8(in) != 0;
}

void encode_schedule_set(const struct jq_record *record, struct jq_buf *out) {
    const struct jq_bytes definition = record->u.schedule_set.definition;
    jq_buf_append_varint(out, record->u.schedule_set.schedule);
    put_state(out, &record->u.schedule_set.state, record->time_ms);
    jq_buf_append_varint(out, definition.size);
    jq_buf_append(out, definition.data, definition.size);
}
void decode_schedule_set(struct jq_reader *in, struct jq_record *record) {
    record->u.schedule_set.schedule = (uint32_t)get_bounded(in, UINT32_MAX);
    get_state(in, &record->u.schedule_set.state, record->time_ms);
    record->u.schedule_set.definition = jq_read_bytes(in, (size_t)get_bounded(in, DEFINITION_SIZE_MAX));
}

void encode_schedule_moved(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.schedule_moved.schedule);
    put_state(out, &record->u.schedule_moved.state, record->time_ms);
}
void decode_schedule_moved(struct jq_reader *in, struct jq_record *record) {
    record->u.schedule_moved.schedule = (uint32_t)get_bounded(in, UINT32_MAX);
    get_state(in, &record->u.schedule_moved.state, record->time_ms);
}

void encode_schedule_forgotten(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.schedule_forgotten.schedule);
}
void decode_schedule_forgotten(struct jq_reader *in, struct jq_record *record) {
    record->u.schedule_forgotten.schedule = (uint32_t)get_bounded(in, UINT32_MAX);
}
