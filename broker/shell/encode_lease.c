/* encode_lease.c - lease answers, the hot ones. Bodies are spliced in as they are: payload and headers, packed. */
#include "broker/core/units.h"
#include "broker/shell/encode_internal.h"

void encode_amounts(struct encoder *encoder, const struct jq_amount *amounts, size_t count) {
    jq_pack_map(&encoder->pack, count);
    for (size_t i = 0; i < count; i++) {
        jq_pack_str(&encoder->pack, amounts[i].name);
        jq_pack_uint(&encoder->pack, amounts[i].amount);
    }
}

void encode_units(struct jq_pack *pack, const struct jq_units *units) {
    jq_pack_str(pack, units->name);
    jq_pack_array(pack, units->count);
    for (size_t i = 0; i < units->count; i++)
        jq_pack_uint(pack, units->indexes[i]);
}

static void pack_units(struct jq_pack *pack, struct jq_bytes encoded) {
    struct jq_reader in = jq_reader_of(encoded);
    uint16_t indexes[JQ_OFFER_INDEXES_MAX];
    struct jq_units units;
    if (encoded.size == 0) {
        jq_pack_nil(pack);
        return;
    }
    const size_t hole = jq_pack_map_begin(pack);
    size_t count = 0;
    for (; jq_units_next(&in, indexes, &units); count++)
        encode_units(pack, &units);
    JQ_CHECK(!in.failed);
    jq_pack_end(pack, hole, count);
}

/* False: the body cannot be read. */
static bool pack_item(struct encoder *encoder, const struct jq_lease_item *item) {
    struct jq_pack *pack = &encoder->pack;
    struct jq_bytes body = {NULL, 0};
    if (item->body.size > 0 && !encoder->context->body(encoder->context->ctx, item->body, &body))
        return false;
    jq_pack_array(pack, item->files.size > 0 ? JQ_COUNT_leased : JQ_AT_LEASED_INPUTS);
    jq_pack_uint(pack, item->task.value);
    jq_pack_uint(pack, item->token.value);
    jq_pack_uint(pack, item->attempt);
    jq_pack_str(pack, item->queue);
    jq_pack_str(pack, item->handler);
    jq_pack_ms(pack, item->soft_limit_ms);
    jq_pack_ms(pack, item->hard_limit_ms);
    if (item->reserved_count > 0)
        encode_amounts(encoder, item->reserved, item->reserved_count);
    else
        jq_pack_nil(pack);
    if (body.size > 0) {
        jq_pack_raw(pack, body);
    } else {
        jq_pack_nil(pack);
        jq_pack_nil(pack);
    }
    pack_units(pack, item->units);
    if (item->after_count > 0)
        encode_ids(encoder, item->after, item->after_count);
    else
        jq_pack_nil(pack);
    if (item->files.size > 0) {
        encode_inputs(pack, item->files);
        encode_outputs(pack, item->files);
    }
    return true;
}

static void tell_unsent(const struct encoder *encoder, size_t item, enum jq_err why) {
    if (encoder->context->unsent)
        encoder->context->unsent(encoder->context->ctx, item, why);
}

/* `room_after`: bytes of the frame that are not for tasks. */
static void pack_items(struct encoder *encoder, const struct jq_reply_effect *reply, size_t room_after) {
    jq_pack_key(&encoder->pack, &jq_message_lease_reply, JQ_AT_LEASE_REPLY_TASKS);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    size_t packed = 0;
    for (size_t i = 0; i < reply->u.lease.count; i++) {
        const size_t start = encoder->out->size;
        if (!pack_item(encoder, &reply->u.lease.items[i])) {
            tell_unsent(encoder, i, JQ_ERR_CORRUPT);
        } else if (encoder->out->failed || encode_room(encoder) < room_after) {
            jq_pack_rewind(&encoder->pack, start);
            tell_unsent(encoder, i, JQ_ERR_TOO_BIG);
        } else {
            packed++;
        }
    }
    jq_pack_end(&encoder->pack, hole, packed);
}

/* Those that fit: the core repeats commands that have no effect. */
static void pack_commands(struct encoder *encoder, const struct jq_reply_effect *reply) {
    jq_pack_key(&encoder->pack, &jq_message_lease_reply, JQ_AT_LEASE_REPLY_COMMANDS);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    size_t packed = 0;
    for (size_t i = 0; i < reply->u.lease.command_count; i++) {
        const struct jq_command *command = &reply->u.lease.commands[i];
        const size_t start = encoder->out->size;
        jq_pack_array(&encoder->pack, JQ_COUNT_command);
        jq_pack_uint(&encoder->pack, command->type);
        jq_pack_uint(&encoder->pack, command->task.value);
        jq_pack_uint(&encoder->pack, command->token.value);
        jq_pack_uint(&encoder->pack, command->grace_ms);
        if (!encode_row_fits(encoder, start))
            break;
        packed++;
    }
    jq_pack_end(&encoder->pack, hole, packed);
}

void encode_lease(struct encoder *encoder, const struct jq_reply_effect *reply) {
    const size_t tasks = reply->u.lease.count;
    const size_t verdicts = reply->u.lease.verdict_count;
    const size_t commands = reply->u.lease.command_count;
    const size_t verdicts_size = verdicts * JQ_VERDICT_SIZE_MAX;
    jq_pack_map(&encoder->pack, (tasks > 0 ? 1U : 0U) + (verdicts > 0 ? 1U : 0U) + (commands > 0 ? 1U : 0U));
    if (tasks > 0)
        pack_items(encoder, reply, verdicts_size + JQ_LEASE_REPLY_OVERHEAD / 2);
    if (verdicts > 0) {
        jq_pack_key(&encoder->pack, &jq_message_lease_reply, JQ_AT_LEASE_REPLY_VERDICTS);
        encode_exceptions(encoder, reply->u.lease.verdicts, verdicts, verdicts_size);
    }
    if (commands > 0)
        pack_commands(encoder, reply);
}
