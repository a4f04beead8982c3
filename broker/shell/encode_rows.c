/* encode_rows.c - what people ask for: tasks, explanations, queues, workers, the broker's numbers. */
#include "broker/shell/encode_internal.h"

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

static void pack_retry(struct jq_pack *pack, const struct jq_options *options) {
    jq_pack_map(pack, JQ_COUNT_retry);
    jq_pack_field_uint(pack, &jq_message_retry, JQ_AT_RETRY_MAX, options->retry_max);
    jq_pack_field_uint(pack, &jq_message_retry, JQ_AT_RETRY_BASE, options->retry_base_ms);
    jq_pack_field_uint(pack, &jq_message_retry, JQ_AT_RETRY_CAP, options->retry_cap_ms);
}

static void pack_state(struct row_map *map, const struct jq_task_row *row) {
    row_uint(map, JQ_AT_ROW_ID, row->id.value);
    row_str(map, JQ_AT_ROW_STATE, jq_str_of(jq_state_name(row->state)));
    row_str(map, JQ_AT_ROW_OUTCOME, jq_str_of(jq_outcome_name(row->outcome)));
    row_str(map, JQ_AT_ROW_QUEUE, row->queue);
    row_str(map, JQ_AT_ROW_HANDLER, row->handler);
    row_str(map, JQ_AT_ROW_NEED, row->need);
    if (row->want.size > 0)
        row_str(map, JQ_AT_ROW_WANT, row->want);
    if (row->group.size > 0)
        row_str(map, JQ_AT_ROW_GROUP, row->group);
    row_ms(map, JQ_AT_ROW_PRIORITY, row->priority);
    row_uint(map, JQ_AT_ROW_ATTEMPTS, row->attempts);
    row_uint(map, JQ_AT_ROW_CRASHES, row->crashes);
    row_uint(map, JQ_AT_ROW_LOSSES, row->losses);
}

static void pack_times(struct row_map *map, const struct jq_task_row *row) {
    row_ms(map, JQ_AT_ROW_FIRST_READY, row->first_ready_ms + row->wall_offset_ms);
    row_ms(map, JQ_AT_ROW_AT, row->at_ms + row->wall_offset_ms);
    if (row->expires_wall_ms > 0)
        row_ms(map, JQ_AT_ROW_EXPIRES, row->expires_wall_ms);
    row_key(map, JQ_AT_ROW_RETRY);
    pack_retry(map->pack, &row->options);
    row_ms(map, JQ_AT_ROW_SOFT_LIMIT, row->options.soft_limit_ms);
    row_ms(map, JQ_AT_ROW_HARD_LIMIT, row->options.hard_limit_ms);
    row_ms(map, JQ_AT_ROW_RESULT_TTL, row->options.result_ttl_ms);
}

static void pack_run(struct row_map *map, const struct jq_task_row *row) {
    if (row->worker.size > 0)
        row_str(map, JQ_AT_ROW_WORKER, row->worker);
    if (row->progress_permille >= 0)
        row_ms(map, JQ_AT_ROW_PROGRESS, row->progress_permille);
    if (row->progress.size > 0)
        row_str(map, JQ_AT_ROW_PROGRESS_TEXT, row->progress);
    if (row->error.size > 0)
        row_str(map, JQ_AT_ROW_ERROR, row->error);
}

/* Payload and headers stand behind each other. False: they cannot be read. */
static bool pack_body(const struct encoder *encoder, struct row_map *map, struct jq_body_ref ref) {
    struct jq_bytes body;
    if (ref.size == 0)
        return true;
    if (!encoder->context->body(encoder->context->ctx, ref, &body))
        return false;
    const size_t payload = jq_msgpack_first_size(body);
    if (payload == 0 || payload == body.size)
        return false;
    row_key(map, JQ_AT_ROW_PAYLOAD);
    jq_pack_raw(map->pack, (struct jq_bytes){body.data, payload});
    row_key(map, JQ_AT_ROW_HEADERS);
    jq_pack_raw(map->pack, (struct jq_bytes){body.data + payload, body.size - payload});
    return true;
}

/* The last report, as it was encoded when it came. `optional`: rather leave it out than let the row not fit. */
static bool pack_detail(const struct encoder *encoder, struct row_map *map, struct jq_body_ref ref, bool optional) {
    struct jq_bytes detail;
    if (ref.size == 0)
        return true;
    if (!encoder->context->body(encoder->context->ctx, ref, &detail))
        return false;
    if (detail.size == 0)
        return true;
    if (optional && detail.size + 256 > encode_room(encoder)) {
        row_bool(map, JQ_AT_ROW_DETAIL_LEFT_OUT, true);
        return true;
    }
    row_key(map, JQ_AT_ROW_DETAIL);
    jq_pack_raw(map->pack, detail);
    return true;
}

/* A task that a wait asked for and that nobody knows: forgotten, or never there. */
static void pack_unknown(struct encoder *encoder, const struct jq_task_row *row) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_row);
    row_uint(&map, JQ_AT_ROW_ID, row->id.value);
    row_str(&map, JQ_AT_ROW_STATE, jq_str_of(jq_state_name(row->state)));
    row_end(&map);
}

static void pack_ties(struct encoder *encoder, struct row_map *map, const struct jq_task_row *row) {
    if (row->flow > 0)
        row_uint(map, JQ_AT_ROW_FLOW, row->flow);
    if (row->after_count > 0) {
        row_key(map, JQ_AT_ROW_AFTER);
        encode_ids(encoder, row->after, row->after_count);
        row_str(map, JQ_AT_ROW_ON, jq_str_of(jq_on_name(row->on)));
    }
}

static void pack_task(struct encoder *encoder, const struct jq_task_row *row, enum jq_op op) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_row);
    bool readable = true;
    pack_state(&map, row);
    pack_times(&map, row);
    pack_run(&map, row);
    if (op == JQ_OP_TASK_SHOW) {
        row_uint(&map, JQ_AT_ROW_VERSION, row->version);
        readable = pack_body(encoder, &map, row->body);
    }
    if (op == JQ_OP_TASK_SHOW || op == JQ_OP_WAIT)
        readable = pack_detail(encoder, &map, row->last, op == JQ_OP_TASK_SHOW) && readable;
    if (!readable)
        row_bool(&map, JQ_AT_ROW_DAMAGED, true);
    pack_ties(encoder, &map, row);
    if (op == JQ_OP_TASK_SHOW && row->files.size > 0) {
        row_key(&map, JQ_AT_ROW_INPUTS);
        encode_inputs(map.pack, row->files);
        row_key(&map, JQ_AT_ROW_OUTPUTS);
        encode_outputs(map.pack, row->files);
    }
    row_end(&map);
}

/* A page of rows stops at the first that does not fit; the answer to a wait only leaves it out. */
void encode_tasks(struct encoder *encoder, const struct jq_reply_effect *reply) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_tasks_reply);
    row_key(&map, JQ_AT_TASKS_REPLY_TASKS);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    size_t packed = 0, left_out = 0;
    uint64_t next = reply->u.tasks.next;
    for (size_t i = 0; i < reply->u.tasks.count; i++) {
        const size_t start = encoder->out->size;
        if (reply->u.tasks.rows[i].state == JQ_STATE_NONE)
            pack_unknown(encoder, &reply->u.tasks.rows[i]);
        else
            pack_task(encoder, &reply->u.tasks.rows[i], reply->op);
        if (encode_row_fits(encoder, start)) {
            packed++;
        } else if (reply->op == JQ_OP_TASK_LS) {
            next = i > 0 ? reply->u.tasks.rows[i - 1].id.value : 0;
            break;
        } else {
            left_out++;
        }
    }
    jq_pack_end(&encoder->pack, hole, packed);
    if (next != 0)
        row_uint(&map, JQ_AT_TASKS_REPLY_NEXT, next);
    if (left_out > 0)
        row_uint(&map, JQ_AT_TASKS_REPLY_LEFT_OUT, left_out);
    row_end(&map);
}

/* ---- explanations ------------------------------------------------------------------------------------------------ */

const char *jq_why_name(enum jq_why why) {
#define WHY_WORD(name, word) [name] = (word),
    static const char *const names[] = {JQ_WHY_LIST(WHY_WORD)};
#undef WHY_WORD
    return (size_t)why < sizeof(names) / sizeof(names[0]) ? names[why] : "?";
}

static void pack_why(struct encoder *encoder, const struct jq_why_line *line) {
    struct jq_pack *pack = &encoder->pack;
    jq_pack_map(pack, 1 + (line->worker.size > 0 ? 1U : 0U) + (line->detail.size > 0 ? 1U : 0U) +
                          (line->number > 0 ? 1U : 0U) + (line->count > 0 ? 1U : 0U));
    jq_pack_field_str(pack, &jq_message_why, JQ_AT_WHY_WHY, jq_str_of(jq_why_name(line->why)));
    if (line->worker.size > 0)
        jq_pack_field_str(pack, &jq_message_why, JQ_AT_WHY_WORKER, line->worker);
    if (line->detail.size > 0)
        jq_pack_field_str(pack, &jq_message_why, JQ_AT_WHY_DETAIL, line->detail);
    if (line->number > 0)
        jq_pack_field_ms(pack, &jq_message_why, JQ_AT_WHY_NUMBER, line->number);
    if (line->count > 0)
        jq_pack_field_uint(pack, &jq_message_why, JQ_AT_WHY_COUNT, line->count);
}

/* How a list ends: with the number of rows that did not fit, where there are any. */
static void finish_list(struct row_map *map, size_t hole, size_t packed, size_t count, unsigned left_out_place) {
    jq_pack_end(map->pack, hole, packed);
    if (packed < count)
        row_uint(map, left_out_place, count - packed);
    row_end(map);
}

/* How a page ends: with the place to go on behind, where there is more. */
static void finish_page(struct row_map *map, size_t hole, size_t packed, uint64_t next, unsigned next_place) {
    jq_pack_end(map->pack, hole, packed);
    if (next > 0)
        row_uint(map, next_place, next);
    row_end(map);
}

void encode_explain(struct encoder *encoder, const struct jq_reply_effect *reply) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_explain_reply);
    row_key(&map, JQ_AT_EXPLAIN_REPLY_TASK);
    pack_task(encoder, reply->u.explain.row, reply->op);
    row_key(&map, JQ_AT_EXPLAIN_REPLY_LINES);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    size_t packed = 0;
    for (; packed < reply->u.explain.count; packed++) {
        const size_t start = encoder->out->size;
        pack_why(encoder, &reply->u.explain.lines[packed]);
        if (!encode_row_fits(encoder, start))
            break;
    }
    finish_list(&map, hole, packed, reply->u.explain.count, JQ_AT_EXPLAIN_REPLY_LEFT_OUT);
}

/* ---- queues ------------------------------------------------------------------------------------------------------ */

static void pack_queue(struct encoder *encoder, const struct jq_queue_row *queue) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_queue);
    row_str(&map, JQ_AT_QUEUE_NAME, queue->name);
    row_bool(&map, JQ_AT_QUEUE_PAUSED, queue->set.paused);
    row_uint(&map, JQ_AT_QUEUE_SCHEDULED, queue->scheduled);
    row_uint(&map, JQ_AT_QUEUE_READY, queue->ready);
    row_uint(&map, JQ_AT_QUEUE_RUNNING, queue->running);
    row_uint(&map, JQ_AT_QUEUE_DEAD, queue->dead);
    row_uint(&map, JQ_AT_QUEUE_FINISHED, queue->finished);
    row_uint(&map, JQ_AT_QUEUE_DEPTH_MAX, queue->depth_max);
    row_uint(&map, JQ_AT_QUEUE_BYTES, queue->bytes);
    row_uint(&map, JQ_AT_QUEUE_BYTES_MAX, queue->bytes_max);
    row_str(&map, JQ_AT_QUEUE_POLICY, jq_str_of(jq_policy_name(queue->policy)));
    row_bool(&map, JQ_AT_QUEUE_FULL, queue->full);
    row_uint(&map, JQ_AT_QUEUE_WITHHELD, queue->withheld);
    row_uint(&map, JQ_AT_QUEUE_SHED, queue->shed_total);
    row_uint(&map, JQ_AT_QUEUE_SUBMITTED, queue->submitted_total);
    row_uint(&map, JQ_AT_QUEUE_ENDED, queue->ended_total);
    row_key(&map, JQ_AT_QUEUE_DRAIN);
    jq_pack_double(map.pack, queue->drain_per_s);
    if (queue->oldest_ready_ms >= 0)
        row_ms(&map, JQ_AT_QUEUE_OLDEST, queue->oldest_ready_ms);
    row_uint(&map, JQ_AT_QUEUE_WAITING, queue->waiting);
    row_uint(&map, JQ_AT_QUEUE_BLOCKED, queue->blocked);
    if (queue->set.paused_until_wall_ms > 0)
        row_ms(&map, JQ_AT_QUEUE_UNTIL, queue->set.paused_until_wall_ms);
    row_bool(&map, JQ_AT_QUEUE_DRAINING, queue->set.draining);
    row_uint(&map, JQ_AT_QUEUE_WEIGHT, queue->weight);
    row_uint(&map, JQ_AT_QUEUE_HELD, queue->held);
    row_end(&map);
}

void encode_queues(struct encoder *encoder, const struct jq_reply_effect *reply) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_queues_reply);
    row_key(&map, JQ_AT_QUEUES_REPLY_QUEUES);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    size_t packed = 0;
    for (; packed < reply->u.queues.count; packed++) {
        const size_t start = encoder->out->size;
        pack_queue(encoder, &reply->u.queues.rows[packed]);
        if (!encode_row_fits(encoder, start))
            break;
    }
    const bool cut = packed > 0 && packed < reply->u.queues.count;
    finish_page(&map, hole, packed, cut ? reply->u.queues.rows[packed - 1].place : reply->u.queues.next,
                JQ_AT_QUEUES_REPLY_NEXT);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void row_some(struct row_map *map, unsigned place, uint64_t value) {
    if (value > 0)
        row_uint(map, place, value);
}

static void pack_limit(struct encoder *encoder, const struct jq_limit_row *limit) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_limit);
    char rate[JQ_RATE_TEXT_SIZE];
    row_str(&map, JQ_AT_LIMIT_SCOPE, limit->scope);
    row_some(&map, JQ_AT_LIMIT_CONCURRENCY, limit->concurrency);
    if (limit->rate.count > 0) {
        row_str(&map, JQ_AT_LIMIT_RATE, jq_str_of(jq_rate_format(limit->rate, rate)));
        row_uint(&map, JQ_AT_LIMIT_BURST, limit->burst);
    }
    row_some(&map, JQ_AT_LIMIT_RUNNING, limit->running);
    if (limit->opens_in_ms > 0)
        row_ms(&map, JQ_AT_LIMIT_OPENS, limit->opens_in_ms);
    row_some(&map, JQ_AT_LIMIT_GROUPS, limit->groups);
    row_uint(&map, JQ_AT_LIMIT_HELD, limit->held);
    if (limit->configured)
        row_bool(&map, JQ_AT_LIMIT_CONFIGURED, true);
    row_end(&map);
}

/* Stops at the first row that does not fit. */
void encode_limits(struct encoder *encoder, const struct jq_reply_effect *reply) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_limits_reply);
    row_key(&map, JQ_AT_LIMITS_REPLY_LIMITS);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    uint64_t next = reply->u.limits.next;
    size_t packed = 0;
    for (; packed < reply->u.limits.count; packed++) {
        const size_t start = encoder->out->size;
        pack_limit(encoder, &reply->u.limits.rows[packed]);
        if (!encode_row_fits(encoder, start)) {
            next = packed > 0 ? reply->u.limits.rows[packed - 1].number : 0;
            break;
        }
    }
    jq_pack_end(&encoder->pack, hole, packed);
    row_some(&map, JQ_AT_LIMITS_REPLY_NEXT, next);
    row_end(&map);
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static void pack_free(struct encoder *encoder, const struct jq_worker_row *worker) {
    jq_pack_map(&encoder->pack, worker->offer_count);
    for (size_t i = 0; i < worker->offer_count; i++) {
        jq_pack_str(&encoder->pack, worker->totals[i].name);
        jq_pack_uint(&encoder->pack, worker->free[i]);
    }
}

static void pack_facts(struct encoder *encoder, const struct jq_worker_row *worker) {
    jq_pack_map(&encoder->pack, worker->fact_count);
    for (size_t i = 0; i < worker->fact_count; i++) {
        jq_pack_str(&encoder->pack, worker->facts[i].name);
        jq_pack_str(&encoder->pack, worker->facts[i].value);
    }
}

static void pack_units(struct row_map *map, unsigned place, const struct jq_units *units, size_t count) {
    row_key(map, place);
    jq_pack_map(map->pack, count);
    for (size_t i = 0; i < count; i++)
        encode_units(map->pack, &units[i]);
}

static void pack_accept(struct row_map *map, const struct jq_worker_row *worker) {
    row_key(map, JQ_AT_WORKER_ACCEPT);
    jq_pack_array(map->pack, worker->accept_count);
    for (size_t i = 0; i < worker->accept_count; i++)
        jq_pack_str(map->pack, worker->accept[i]);
}

static void pack_handler(struct encoder *encoder, const struct jq_handler_def *handler) {
    const struct jq_message *message = &jq_message_handler;
    jq_pack_map(&encoder->pack, JQ_COUNT_handler);
    jq_pack_field_str(&encoder->pack, message, JQ_AT_HANDLER_NAME, handler->name);
    jq_pack_field_str(&encoder->pack, message, JQ_AT_HANDLER_VERSION, handler->version);
    jq_pack_field_str(&encoder->pack, message, JQ_AT_HANDLER_NEED, handler->need);
    jq_pack_field_ms(&encoder->pack, message, JQ_AT_HANDLER_SOFT_LIMIT, handler->soft_limit_ms);
    jq_pack_field_ms(&encoder->pack, message, JQ_AT_HANDLER_HARD_LIMIT, handler->hard_limit_ms);
    jq_pack_field_bool(&encoder->pack, message, JQ_AT_HANDLER_PURE, handler->pure);
}

/* Twice the room after a row: the list of workers has its own end to write. */
static void pack_handlers(struct encoder *encoder, struct row_map *map, const struct jq_worker_row *worker) {
    row_key(map, JQ_AT_WORKER_HANDLERS);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    size_t packed = 0;
    for (; packed < worker->handler_count; packed++) {
        const size_t start = encoder->out->size;
        pack_handler(encoder, &worker->handlers[packed]);
        if (!encoder->out->failed && encode_room(encoder) >= 256)
            continue;
        jq_pack_rewind(&encoder->pack, start);
        break;
    }
    jq_pack_end(&encoder->pack, hole, packed);
    if (packed < worker->handler_count)
        row_uint(map, JQ_AT_WORKER_LEFT_OUT, worker->handler_count - packed);
}

static void pack_worker(struct encoder *encoder, const struct jq_worker_row *worker, bool whole) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_worker);
    row_str(&map, JQ_AT_WORKER_NAME, worker->name);
    row_key(&map, JQ_AT_WORKER_ID);
    jq_pack_uuid(map.pack, &worker->id);
    row_bool(&map, JQ_AT_WORKER_REGISTERED, worker->registered);
    row_bool(&map, JQ_AT_WORKER_ALIVE, worker->alive);
    row_bool(&map, JQ_AT_WORKER_DRAINING, worker->draining);
    row_uint(&map, JQ_AT_WORKER_LEASES, worker->leases);
    row_uint(&map, JQ_AT_WORKER_PARKED, worker->parked);
    row_ms(&map, JQ_AT_WORKER_SEEN, worker->seen_ms_ago);
    row_uint(&map, JQ_AT_WORKER_LOAD, worker->load_permille);
    row_uint(&map, JQ_AT_WORKER_MEMORY, worker->memory_permille);
    row_key(&map, JQ_AT_WORKER_OFFERS);
    encode_amounts(encoder, worker->totals, worker->offer_count);
    row_key(&map, JQ_AT_WORKER_FREE);
    pack_free(encoder, worker);
    if (worker->asleep)
        row_bool(&map, JQ_AT_WORKER_ASLEEP, true);
    if (worker->doorbell.size > 0)
        row_str(&map, JQ_AT_WORKER_DOORBELL, worker->doorbell);
    if (worker->kept_for.value != 0)
        row_uint(&map, JQ_AT_WORKER_KEPT_FOR, worker->kept_for.value);
    if (whole && worker->unit_count > 0) {
        pack_units(&map, JQ_AT_WORKER_UNITS, worker->units, worker->unit_count);
        pack_units(&map, JQ_AT_WORKER_UNITS_FREE, worker->units_free, worker->unit_count);
    }
    if (whole && worker->accept_count > 0)
        pack_accept(&map, worker);
    if (whole) {
        row_key(&map, JQ_AT_WORKER_FACTS);
        pack_facts(encoder, worker);
        pack_handlers(encoder, &map, worker);
    }
    row_end(&map);
}

void encode_workers(struct encoder *encoder, const struct jq_reply_effect *reply) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_workers_reply);
    row_key(&map, JQ_AT_WORKERS_REPLY_WORKERS);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    size_t packed = 0;
    for (; packed < reply->u.workers.count; packed++) {
        const size_t start = encoder->out->size;
        pack_worker(encoder, &reply->u.workers.rows[packed], reply->op == JQ_OP_WORKER_SHOW);
        if (!encode_row_fits(encoder, start))
            break;
    }
    const bool cut = packed > 0 && packed < reply->u.workers.count;
    finish_page(&map, hole, packed, cut ? reply->u.workers.rows[packed - 1].place : reply->u.workers.next,
                JQ_AT_WORKERS_REPLY_NEXT);
}

/* ---- breakers ---------------------------------------------------------------------------------------------------- */

static void pack_breaker(struct encoder *encoder, const struct jq_breaker_row *breaker) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_breaker);
    row_str(&map, JQ_AT_BREAKER_NAME, breaker->name);
    row_str(&map, JQ_AT_BREAKER_STATE, jq_str_of(jq_breaker_state_name(breaker->state)));
    row_uint(&map, JQ_AT_BREAKER_CALLS, breaker->calls);
    row_uint(&map, JQ_AT_BREAKER_FAILURES, breaker->failures);
    row_bool(&map, JQ_AT_BREAKER_OPERATOR, breaker->by_operator);
    if (breaker->since_ms > 0)
        row_ms(&map, JQ_AT_BREAKER_SINCE, breaker->since_ms + breaker->wall_offset_ms);
    if (breaker->until_ms > 0)
        row_ms(&map, JQ_AT_BREAKER_UNTIL, breaker->until_ms + breaker->wall_offset_ms);
    if (breaker->state != JQ_BREAKER_CLOSED)
        row_ms(&map, JQ_AT_BREAKER_COOL_DOWN, breaker->cool_down_ms);
    if (breaker->state == JQ_BREAKER_HALF_OPEN)
        row_uint(&map, JQ_AT_BREAKER_PROBES, breaker->probes_good);
    if (breaker->handlers.size > 0)
        row_str(&map, JQ_AT_BREAKER_HANDLERS, breaker->handlers);
    row_end(&map);
}

void encode_breakers(struct encoder *encoder, const struct jq_reply_effect *reply) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_breakers_reply);
    row_key(&map, JQ_AT_BREAKERS_REPLY_BREAKERS);
    const size_t hole = jq_pack_array_begin(&encoder->pack);
    size_t packed = 0;
    for (; packed < reply->u.breakers.count; packed++) {
        const size_t start = encoder->out->size;
        pack_breaker(encoder, &reply->u.breakers.rows[packed]);
        if (!encode_row_fits(encoder, start))
            break;
    }
    finish_list(&map, hole, packed, reply->u.breakers.count + reply->u.breakers.left_out,
                JQ_AT_BREAKERS_REPLY_LEFT_OUT);
}

/* ---- the broker -------------------------------------------------------------------------------------------------- */

static void pack_server_tasks(struct row_map *map, const struct jq_server_row *server) {
    row_uint(map, JQ_AT_SERVER_TASKS_LIVE, server->tasks_live);
    row_uint(map, JQ_AT_SERVER_TASKS_FINISHED, server->tasks_finished);
    row_uint(map, JQ_AT_SERVER_SCHEDULED, server->scheduled);
    row_uint(map, JQ_AT_SERVER_READY, server->ready);
    row_uint(map, JQ_AT_SERVER_RUNNING, server->running);
    row_uint(map, JQ_AT_SERVER_DEAD, server->dead);
}

static void pack_server_totals(struct row_map *map, const struct jq_server_row *server) {
    row_uint(map, JQ_AT_SERVER_SUBMITTED, server->submitted_total);
    row_uint(map, JQ_AT_SERVER_LEASED, server->leased_total);
    row_uint(map, JQ_AT_SERVER_SUCCEEDED, server->ended_total[JQ_STATE_SUCCEEDED]);
    row_uint(map, JQ_AT_SERVER_DIED, server->ended_total[JQ_STATE_DEAD]);
    row_uint(map, JQ_AT_SERVER_CANCELLED, server->ended_total[JQ_STATE_CANCELLED]);
    row_uint(map, JQ_AT_SERVER_EXPIRED, server->ended_total[JQ_STATE_EXPIRED]);
    row_uint(map, JQ_AT_SERVER_REFUSED, server->refused_total);
    row_uint(map, JQ_AT_SERVER_DUPLICATE, server->duplicate_total);
    row_uint(map, JQ_AT_SERVER_STALE, server->stale_total);
    row_uint(map, JQ_AT_SERVER_RETRIED, server->retried_total);
    row_uint(map, JQ_AT_SERVER_LOST, server->lost_total);
    row_uint(map, JQ_AT_SERVER_CRASHED, server->crashed_total);
    row_uint(map, JQ_AT_SERVER_SHED, server->shed_total);
    row_uint(map, JQ_AT_SERVER_WITHHELD_TOTAL, server->withheld_total);
    row_uint(map, JQ_AT_SERVER_WITHHELD, server->withheld);
}

static void pack_server_tables(struct row_map *map, const struct jq_server_row *server) {
    row_uint(map, JQ_AT_SERVER_QUEUES, server->queues);
    row_uint(map, JQ_AT_SERVER_CLASSES, server->classes);
    row_uint(map, JQ_AT_SERVER_WORKERS, server->workers);
    row_uint(map, JQ_AT_SERVER_WORKERS_ALIVE, server->workers_alive);
    row_uint(map, JQ_AT_SERVER_PARKED_POLLS, server->parked_polls);
    row_uint(map, JQ_AT_SERVER_PARKED_WAITS, server->parked_waits);
    row_uint(map, JQ_AT_SERVER_SENDERS, server->senders);
    row_uint(map, JQ_AT_SERVER_KEYS, server->keys);
    row_uint(map, JQ_AT_SERVER_BREAKERS_OPEN, server->breakers_open);
}

static void pack_server_room(struct row_map *map, const struct jq_server_row *server) {
    row_uint(map, JQ_AT_SERVER_MEMORY, server->memory_bytes);
    row_uint(map, JQ_AT_SERVER_MEMORY_MAX, server->memory_max);
    row_uint(map, JQ_AT_SERVER_DISK_FREE, server->disk_free_bytes);
    row_uint(map, JQ_AT_SERVER_LOG, server->log_bytes);
    row_uint(map, JQ_AT_SERVER_NEEDS_FROM, server->needs_from_lsn);
    row_bool(map, JQ_AT_SERVER_IS_DRAINING, server->draining);
    row_bool(map, JQ_AT_SERVER_MEMORY_BUSY, server->memory_busy);
    row_bool(map, JQ_AT_SERVER_DISK_BUSY, server->disk_busy);
    row_uint(map, JQ_AT_SERVER_WAITING, server->waiting);
    row_uint(map, JQ_AT_SERVER_BLOCKED, server->blocked);
    row_uint(map, JQ_AT_SERVER_FLOWS, server->flows);
    row_uint(map, JQ_AT_SERVER_SCHEDULES, server->schedules);
    row_uint(map, JQ_AT_SERVER_TROUBLED, server->schedules_troubled);
    row_uint(map, JQ_AT_SERVER_MISSED, server->schedules_missed_total);
    row_uint(map, JQ_AT_SERVER_STUCK, server->stuck_tries);
}

void encode_server(struct encoder *encoder, const struct jq_reply_effect *reply) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_server);
    const struct jq_server_row *server = &reply->u.server;
    row_uint(&map, JQ_AT_SERVER_EPOCH, server->epoch);
    row_uint(&map, JQ_AT_SERVER_DIGEST, server->digest);
    pack_server_tasks(&map, server);
    pack_server_totals(&map, server);
    pack_server_tables(&map, server);
    pack_server_room(&map, server);
    row_end(&map);
    JQ_CHECK(map.count == JQ_COUNT_server);
}
