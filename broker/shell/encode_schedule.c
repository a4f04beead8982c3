/* encode_schedule.c - schedules as people ask for them. */
#include "broker/shell/encode_internal.h"

static void pack_retry(struct jq_pack *pack, const struct jq_submit_item *task) {
    jq_pack_map(pack, JQ_COUNT_retry);
    jq_pack_field_uint(pack, &jq_message_retry, JQ_AT_RETRY_MAX, task->retry_max);
    jq_pack_field_uint(pack, &jq_message_retry, JQ_AT_RETRY_BASE, task->retry_base_ms);
    jq_pack_field_uint(pack, &jq_message_retry, JQ_AT_RETRY_CAP, task->retry_cap_ms);
}

/* The time it is due is the body's end: empty room as long as there is no task. */
static void pack_body(struct row_map *map, struct jq_bytes body) {
    const size_t payload = jq_msgpack_first_size(body);
    const uint8_t nil = 0xc0;
    if (body.data[0] != nil) {
        row_key(map, JQ_AT_TASK_PAYLOAD);
        jq_pack_raw(map->pack, (struct jq_bytes){body.data, payload});
    }
    row_key(map, JQ_AT_TASK_HEADERS);
    jq_pack_raw(map->pack, (struct jq_bytes){body.data + payload, body.size - payload});
}

static void pack_task(struct encoder *encoder, const struct jq_submit_item *task) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_task);
    row_str(&map, JQ_AT_TASK_HANDLER, task->handler);
    row_str(&map, JQ_AT_TASK_QUEUE, task->queue);
    row_ms(&map, JQ_AT_TASK_PRIORITY, task->priority);
    row_ms(&map, JQ_AT_TASK_DELAY, task->delay_ms);
    row_str(&map, JQ_AT_TASK_NEED, task->need);
    row_str(&map, JQ_AT_TASK_WANT, task->want);
    if (task->group.size > 0)
        row_str(&map, JQ_AT_TASK_GROUP, task->group);
    row_key(&map, JQ_AT_TASK_RETRY);
    pack_retry(map.pack, task);
    row_ms(&map, JQ_AT_TASK_SOFT_LIMIT, task->soft_limit_ms);
    row_ms(&map, JQ_AT_TASK_HARD_LIMIT, task->hard_limit_ms);
    row_ms(&map, JQ_AT_TASK_RESULT_TTL, task->result_ttl_ms);
    pack_body(&map, task->body);
    if (task->files.size > 0) {
        row_key(&map, JQ_AT_TASK_INPUTS);
        encode_inputs(map.pack, task->files);
        row_key(&map, JQ_AT_TASK_OUTPUTS);
        encode_outputs(map.pack, task->files);
    }
    row_end(&map);
}

static void pack_definition(struct row_map *map, const struct jq_schedule_def *def, bool paused) {
    row_str(map, JQ_AT_SCHEDULE_NAME, def->name);
    row_str(map, JQ_AT_SCHEDULE_WHEN, def->when);
    row_str(map, JQ_AT_SCHEDULE_ZONE, def->zone);
    row_str(map, JQ_AT_SCHEDULE_CATCH_UP, jq_str_of(jq_catch_up_name(def->catch_up)));
    row_str(map, JQ_AT_SCHEDULE_OVERLAP, def->skip_overlap ? JQ_STR("skip") : JQ_STR("allow"));
    row_ms(map, JQ_AT_SCHEDULE_JITTER, def->jitter_ms);
    row_bool(map, JQ_AT_SCHEDULE_PAUSED, paused);
    row_str(map, JQ_AT_SCHEDULE_QUEUE, def->task.queue);
    row_str(map, JQ_AT_SCHEDULE_HANDLER, def->task.handler);
}

static void pack_history(struct row_map *map, const struct jq_schedule_row *row) {
    if (row->next_wall_ms > 0)
        row_ms(map, JQ_AT_SCHEDULE_NEXT, row->next_wall_ms);
    if (row->state.last_due_wall_ms > 0)
        row_ms(map, JQ_AT_SCHEDULE_LAST_DUE, row->state.last_due_wall_ms);
    if (row->state.last_task.value > 0)
        row_uint(map, JQ_AT_SCHEDULE_LAST_TASK, row->state.last_task.value);
    row_uint(map, JQ_AT_SCHEDULE_FIRED, row->state.fired);
    row_uint(map, JQ_AT_SCHEDULE_MISSED, row->state.missed);
    row_uint(map, JQ_AT_SCHEDULE_SKIPPED, row->state.skipped);
    if (row->trouble)
        row_str(map, JQ_AT_SCHEDULE_TROUBLE, jq_str_of(row->trouble));
}

static void pack_schedule(struct encoder *encoder, const struct jq_schedule_row *row, bool whole) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_schedule);
    pack_definition(&map, &row->def, row->state.paused);
    pack_history(&map, row);
    if (whole) {
        row_key(&map, JQ_AT_SCHEDULE_TIMES);
        jq_pack_array(map.pack, row->time_count);
        for (size_t i = 0; i < row->time_count; i++)
            jq_pack_ms(map.pack, row->times[i]);
        row_key(&map, JQ_AT_SCHEDULE_TASK);
        pack_task(encoder, &row->def.task);
    }
    row_end(&map);
}

/* A page stops at the first row that does not fit. */
void encode_schedules(struct encoder *encoder, const struct jq_reply_effect *reply) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_schedules_reply);
    row_key(&map, JQ_AT_SCHEDULES_REPLY_SCHEDULES);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    uint64_t next = reply->u.schedules.next;
    size_t packed = 0;
    for (; packed < reply->u.schedules.count; packed++) {
        const size_t start = encoder->out->size;
        pack_schedule(encoder, &reply->u.schedules.rows[packed], reply->op == JQ_OP_SCHEDULE_SHOW);
        if (!encode_row_fits(encoder, start)) {
            next = packed > 0 ? reply->u.schedules.rows[packed - 1].place : 0;
            break;
        }
    }
    jq_pack_end(&encoder->pack, hole, packed);
    if (next != 0)
        row_uint(&map, JQ_AT_SCHEDULES_REPLY_NEXT, next);
    row_end(&map);
}
