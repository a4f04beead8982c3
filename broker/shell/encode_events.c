/* encode_events.c - what has changed, row by row. */
#include "broker/shell/encode_internal.h"

struct event_map {
    struct jq_pack *pack;
    size_t hole, count;
};

static void put_uint(struct event_map *map, unsigned place, uint64_t value) {
    jq_pack_field_uint(map->pack, &jq_message_event, place, value);
    map->count++;
}

static void put_text(struct event_map *map, unsigned place, struct jq_str value) {
    if (value.size == 0)
        return;
    jq_pack_field_str(map->pack, &jq_message_event, place, value);
    map->count++;
}

static void pack_event(struct encoder *encoder, const struct jq_event_row *row) {
    struct event_map map = {.pack = &encoder->pack, .hole = jq_pack_map_begin(&encoder->pack)};
    put_uint(&map, JQ_AT_EVENT_SEQ, row->seq);
    put_uint(&map, JQ_AT_EVENT_TIME, row->wall_ms > 0 ? (uint64_t)row->wall_ms : 0);
    put_text(&map, JQ_AT_EVENT_EVENT, jq_str_of(row->event));
    if (row->task.value != 0)
        put_uint(&map, JQ_AT_EVENT_TASK, row->task.value);
    put_text(&map, JQ_AT_EVENT_QUEUE, row->queue);
    put_text(&map, JQ_AT_EVENT_HANDLER, row->handler);
    if (row->state != JQ_STATE_NONE) {
        put_text(&map, JQ_AT_EVENT_STATE, jq_str_of(jq_state_name(row->state)));
        put_text(&map, JQ_AT_EVENT_OUTCOME, jq_str_of(jq_outcome_name(row->outcome)));
        put_uint(&map, JQ_AT_EVENT_ATTEMPTS, row->attempts);
    }
    put_text(&map, JQ_AT_EVENT_WORKER, row->worker);
    put_text(&map, JQ_AT_EVENT_NAME, row->name);
    if (row->number > 0)
        put_uint(&map, JQ_AT_EVENT_NUMBER, (uint64_t)row->number);
    jq_pack_end(map.pack, map.hole, map.count);
}

/* The rows that the frame does not hold are asked for again: `next` is that of the last row that went in. */
void encode_events(struct encoder *encoder, const struct jq_reply_effect *reply) {
    const struct jq_message *message = &jq_message_events_reply;
    struct jq_pack *pack = &encoder->pack;
    const uint64_t gap = reply->u.events.gap;
    jq_pack_map(pack, gap > 0 ? 3 : 2);
    if (gap > 0)
        jq_pack_field_uint(pack, message, JQ_AT_EVENTS_REPLY_GAP, gap);
    jq_pack_key(pack, message, JQ_AT_EVENTS_REPLY_EVENTS);
    const size_t hole = jq_pack_array_begin(pack);
    size_t packed = 0;
    for (; packed < reply->u.events.count; packed++) {
        const size_t start = encoder->out->size;
        pack_event(encoder, &reply->u.events.rows[packed]);
        if (!encode_row_fits(encoder, start))
            break;
    }
    jq_pack_end(pack, hole, packed);
    const bool cut = packed < reply->u.events.count && packed > 0;
    jq_pack_field_uint(pack, message, JQ_AT_EVENTS_REPLY_NEXT,
                       cut ? reply->u.events.rows[packed - 1].seq : reply->u.events.next);
}
