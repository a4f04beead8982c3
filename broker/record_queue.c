/* record_queue.c - what is set of a queue, as bytes: which of it is, and then those that have a value. */
#include "broker/record_internal.h"

/* A bit for each setting, then the values of those that have one, in the order of the bits. */
static uint32_t settings_of(const struct jq_queue_set *set) {
    return (set->paused ? JQ_QUEUE_SETTING_PAUSED : 0u) | (set->draining ? JQ_QUEUE_SETTING_DRAINING : 0u) |
           (set->paused_until_wall_ms ? JQ_QUEUE_SETTING_UNTIL : 0u) |
           (set->depth_max ? JQ_QUEUE_SETTING_DEPTH_MAX : 0u) | (set->weight ? JQ_QUEUE_SETTING_WEIGHT : 0u) |
           (set->bytes_max ? JQ_QUEUE_SETTING_BYTES_MAX : 0u) | (set->policy ? JQ_QUEUE_SETTING_POLICY : 0u);
}

void encode_queue_set(const struct jq_record *record, struct jq_buf *out) {
    const struct jq_queue_set *set = &record->u.queue_set.set;
    const uint32_t given = settings_of(set);
    jq_buf_append_varint(out, record->u.queue_set.queue);
    jq_buf_append_varint(out, given);
    if (given & JQ_QUEUE_SETTING_UNTIL) {
        put_time(out, set->paused_until_wall_ms, record->time_ms);
    }
    if (given & JQ_QUEUE_SETTING_DEPTH_MAX) {
        jq_buf_append_varint(out, set->depth_max);
    }
    if (given & JQ_QUEUE_SETTING_WEIGHT) {
        jq_buf_append_varint(out, set->weight);
    }
    if (given & JQ_QUEUE_SETTING_BYTES_MAX) {
        jq_buf_append_varint(out, set->bytes_max);
    }
    if (given & JQ_QUEUE_SETTING_POLICY) {
        jq_buf_append_u8(out, set->policy);
    }
}

void decode_queue_set(struct jq_reader *in, struct jq_record *record) {
    struct jq_queue_set *set = &record->u.queue_set.set;
    record->u.queue_set.queue = (uint16_t)get_bounded(in, UINT16_MAX);
    const uint64_t given = get_bounded(in, JQ_QUEUE_SETTING_END - 1);
    set->paused = given & JQ_QUEUE_SETTING_PAUSED;
    set->draining = given & JQ_QUEUE_SETTING_DRAINING;
    if (given & JQ_QUEUE_SETTING_UNTIL) {
        set->paused_until_wall_ms = get_time(in, record->time_ms);
    }
    if (given & JQ_QUEUE_SETTING_DEPTH_MAX) {
        set->depth_max = jq_read_varint(in);
    }
    if (given & JQ_QUEUE_SETTING_WEIGHT) {
        set->weight = (uint32_t)get_bounded(in, UINT32_MAX);
    }
    if (given & JQ_QUEUE_SETTING_BYTES_MAX) {
        set->bytes_max = jq_read_varint(in);
    }
    if (given & JQ_QUEUE_SETTING_POLICY) {
        set->policy = (uint8_t)get_bounded(in, 1 + JQ_POLICY_BLOCK);
    }
}
