/* encode_flow.c - answers about flows. */
#include "broker/shell/encode_internal.h"

void encode_ids(struct encoder *encoder, const jq_task_id *ids, size_t count) {
    jq_pack_array(&encoder->pack, count);
    for (size_t i = 0; i < count; i++)
        jq_pack_uint(&encoder->pack, ids[i].value);
}

void encode_stage(struct encoder *encoder, const struct jq_reply_effect *reply) {
    const struct jq_message *message = &jq_message_flow_stage_reply;
    jq_pack_map(&encoder->pack, reply->u.stage.unmatched ? 3 : 2);
    jq_pack_field_uint(&encoder->pack, message, JQ_AT_FLOW_STAGE_REPLY_FLOW, reply->u.stage.flow);
    jq_pack_field_uint(&encoder->pack, message, JQ_AT_FLOW_STAGE_REPLY_COUNT, reply->u.stage.count);
    if (reply->u.stage.unmatched)
        jq_pack_field_bool(&encoder->pack, message, JQ_AT_FLOW_STAGE_REPLY_UNMATCHED, true);
}

static void pack_flow(struct encoder *encoder, const struct jq_flow_row *row) {
    const struct jq_message *message = &jq_message_flow;
    struct jq_pack *pack = &encoder->pack;
    const struct {
        unsigned place;
        uint64_t count;
    } counts[] = {{JQ_AT_FLOW_TOTAL, row->total},     {JQ_AT_FLOW_WAITING, row->waiting},
                  {JQ_AT_FLOW_BLOCKED, row->blocked}, {JQ_AT_FLOW_QUEUED, row->queued},
                  {JQ_AT_FLOW_RUNNING, row->running}, {JQ_AT_FLOW_SUCCEEDED, row->succeeded},
                  {JQ_AT_FLOW_DEAD, row->dead},       {JQ_AT_FLOW_CANCELLED, row->cancelled},
                  {JQ_AT_FLOW_EXPIRED, row->expired}, {JQ_AT_FLOW_NOT_NEEDED, row->not_needed}};
    const size_t count = sizeof(counts) / sizeof(counts[0]);
    const int64_t wall_ms = row->at_ms + row->wall_offset_ms;
    jq_pack_map(pack, 2 + (row->name.size > 0 ? 1U : 0U) + (row->total > 0 ? 1U : 0U) + count);
    jq_pack_field_uint(pack, message, JQ_AT_FLOW_FLOW, row->flow);
    if (row->name.size > 0)
        jq_pack_field_str(pack, message, JQ_AT_FLOW_NAME, row->name);
    jq_pack_field_str(pack, message, JQ_AT_FLOW_STATE, jq_str_of(row->state));
    if (row->total > 0)
        jq_pack_field_ms(pack, message, JQ_AT_FLOW_AT, wall_ms > 0 ? wall_ms : 0);
    for (size_t i = 0; i < count; i++)
        jq_pack_field_uint(pack, message, counts[i].place, counts[i].count);
}

static void pack_member(struct encoder *encoder, const struct jq_member_row *row) {
    struct jq_pack *pack = &encoder->pack;
    jq_pack_array(pack, JQ_COUNT_member);
    jq_pack_uint(pack, row->id.value);
    jq_pack_str(pack, jq_str_of(jq_state_name(row->state)));
    jq_pack_str(pack, jq_str_of(jq_outcome_name(row->outcome)));
    jq_pack_str(pack, row->handler);
    if (row->after_count == 0) {
        jq_pack_nil(pack);
        jq_pack_nil(pack);
        return;
    }
    encode_ids(encoder, row->after, row->after_count);
    jq_pack_str(pack, jq_str_of(jq_on_name(row->on)));
}

/* Returns how many rows the frame held. */
static size_t pack_flow_rows(struct encoder *encoder, const struct jq_reply_effect *reply) {
    jq_pack_key(&encoder->pack, &jq_message_flows_reply, JQ_AT_FLOWS_REPLY_FLOWS);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    size_t packed = 0;
    for (; packed < reply->u.flows.count; packed++) {
        const size_t start = encoder->out->size;
        pack_flow(encoder, &reply->u.flows.rows[packed]);
        if (!encode_row_fits(encoder, start))
            break;
    }
    jq_pack_end(&encoder->pack, hole, packed);
    return packed;
}

static size_t pack_members(struct encoder *encoder, const struct jq_reply_effect *reply) {
    jq_pack_key(&encoder->pack, &jq_message_flows_reply, JQ_AT_FLOWS_REPLY_TASKS);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    size_t packed = 0;
    for (; packed < reply->u.flows.member_count; packed++) {
        const size_t start = encoder->out->size;
        pack_member(encoder, &reply->u.flows.members[packed]);
        if (!encode_row_fits(encoder, start))
            break;
    }
    jq_pack_end(&encoder->pack, hole, packed);
    return packed;
}

void encode_flows(struct encoder *encoder, const struct jq_reply_effect *reply) {
    const struct jq_message *message = &jq_message_flows_reply;
    const bool show = reply->op == JQ_OP_FLOW_SHOW;
    const size_t hole = jq_pack_map_begin(&encoder->pack);
    uint64_t next = reply->u.flows.next;
    const size_t rows = pack_flow_rows(encoder, reply);
    if (rows < reply->u.flows.count)
        next = rows > 0 ? reply->u.flows.rows[rows - 1].flow : 0;
    if (show) {
        const size_t members = pack_members(encoder, reply);
        if (members < reply->u.flows.member_count)
            next = reply->u.flows.members[members].id.value - reply->u.flows.rows[0].flow;
    }
    if (next != 0)
        jq_pack_field_uint(&encoder->pack, message, JQ_AT_FLOWS_REPLY_NEXT, next);
    jq_pack_end(&encoder->pack, hole, 1 + (show ? 1U : 0U) + (next != 0 ? 1U : 0U));
}
