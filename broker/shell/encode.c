#include "broker/shell/encode.h"

#include "broker/shell/encode_internal.h"

/* What follows the last row of a list: a count or an id with its key. */
enum { AFTER_ROWS_SIZE = 64 };

/* ---- envelope ---------------------------------------------------------------------------------------------------- */

static struct encoder begin(struct jq_buf *out, uint64_t request, enum jq_reply status,
                            const struct jq_encode_context *context) {
    JQ_CHECK(out->size_max == JQ_FRAME_SIZE_MAX);
    jq_buf_clear(out);
    struct encoder encoder = {.pack = jq_pack_of(out), .out = out, .context = context};
    jq_pack_array(&encoder.pack, JQ_COUNT_reply);
    jq_pack_uint(&encoder.pack, JQ_PROTOCOL_VERSION);
    jq_pack_uint(&encoder.pack, status);
    jq_pack_uint(&encoder.pack, request);
    return encoder;
}

static enum jq_err end(const struct encoder *encoder, struct jq_error *reterr) {
    if (!encoder->out->failed)
        return JQ_OK;
    return jq_fail(reterr, encoder->out->size > JQ_FRAME_SIZE_MAX / 2 ? JQ_ERR_TOO_BIG : JQ_ERR_NOMEM,
                   "answer: %zu bytes and more cannot be held", encoder->out->size);
}

static void pack_refusal(struct encoder *encoder, const char *field, const char *reason, int64_t retry_after_ms) {
    struct jq_pack *pack = &encoder->pack;
    jq_pack_map(pack, (field ? 1U : 0U) + (reason ? 1U : 0U) + (retry_after_ms > 0 ? 1U : 0U));
    if (field)
        jq_pack_field_str(pack, &jq_message_refusal, JQ_AT_REFUSAL_FIELD, jq_str_of(field));
    if (reason)
        jq_pack_field_str(pack, &jq_message_refusal, JQ_AT_REFUSAL_REASON, jq_str_of(reason));
    if (retry_after_ms > 0)
        jq_pack_field_ms(pack, &jq_message_refusal, JQ_AT_REFUSAL_RETRY_AFTER, retry_after_ms);
}

enum jq_err jq_encode_refusal(struct jq_buf *out, uint64_t request, enum jq_reply status, const char *field,
                              const char *reason, int64_t retry_after_ms, struct jq_error *reterr) {
    struct encoder encoder = begin(out, request, status, NULL);
    pack_refusal(&encoder, field, reason, retry_after_ms);
    return end(&encoder, reterr);
}

enum jq_err jq_encode_hello(struct jq_buf *out, uint64_t request, const struct jq_hello *hello,
                            struct jq_error *reterr) {
    const struct jq_message *message = &jq_message_hello_reply;
    struct encoder encoder = begin(out, request, JQ_REPLY_OK, NULL);
    struct jq_pack *pack = &encoder.pack;
    jq_pack_map(pack, message->count);
    jq_pack_field_uuid(pack, message, JQ_AT_HELLO_REPLY_BROKER, &hello->broker);
    jq_pack_field_str(pack, message, JQ_AT_HELLO_REPLY_VERSION, hello->version);
    jq_pack_field_uint(pack, message, JQ_AT_HELLO_REPLY_EPOCH, hello->epoch);
    jq_pack_field_uint(pack, message, JQ_AT_HELLO_REPLY_FRAME_MAX, JQ_FRAME_SIZE_MAX);
    jq_pack_field_uint(pack, message, JQ_AT_HELLO_REPLY_PAYLOAD_MAX, JQ_PAYLOAD_SIZE_MAX);
    jq_pack_field_ms(pack, message, JQ_AT_HELLO_REPLY_WAIT_MAX, hello->wait_ms_max);
    jq_pack_field_str(pack, message, JQ_AT_HELLO_REPLY_DURABILITY, jq_str_of(jq_durability_name(hello->durability)));
    jq_pack_field_ms(pack, message, JQ_AT_HELLO_REPLY_TIME, hello->wall_ms);
    return end(&encoder, reterr);
}

enum jq_err jq_encode_blob_head(struct jq_buf *out, uint64_t request, uint64_t size, size_t data_size,
                                struct jq_error *reterr) {
    struct encoder encoder = begin(out, request, JQ_REPLY_OK, NULL);
    encode_blob_get_head(&encoder, size, data_size);
    JQ_CHECK(out->failed || out->size <= JQ_BLOB_HEAD_SIZE_MAX);
    return end(&encoder, reterr);
}

enum jq_err jq_encode_backup_point(struct jq_buf *out, uint64_t request, const struct jq_backup_point *point,
                                   struct jq_error *reterr) {
    const struct jq_message *message = &jq_message_backup_point;
    struct encoder encoder = begin(out, request, JQ_REPLY_OK, NULL);
    struct jq_pack *pack = &encoder.pack;
    jq_pack_map(pack, message->count);
    jq_pack_field_uint(pack, message, JQ_AT_BACKUP_POINT_END, point->end_lsn);
    jq_pack_field_uint(pack, message, JQ_AT_BACKUP_POINT_DIGEST, point->digest);
    jq_pack_field_uint(pack, message, JQ_AT_BACKUP_POINT_EPOCH, point->epoch);
    jq_pack_field_ms(pack, message, JQ_AT_BACKUP_POINT_TIME, point->wall_ms);
    return end(&encoder, reterr);
}

enum jq_err jq_encode_backup_data(struct jq_buf *out, uint64_t request, const struct jq_backup_data *data,
                                  struct jq_error *reterr) {
    const struct jq_message *message = &jq_message_backup_data;
    struct encoder encoder = begin(out, request, JQ_REPLY_OK, NULL);
    struct row_map map = row_begin(&encoder.pack, message);
    row_uint(&map, JQ_AT_BACKUP_DATA_SEGMENT, data->segment);
    row_uint(&map, JQ_AT_BACKUP_DATA_SIZE, data->size);
    if (data->next != 0)
        row_uint(&map, JQ_AT_BACKUP_DATA_NEXT, data->next);
    row_key(&map, JQ_AT_BACKUP_DATA_DATA);
    jq_pack_bin(&encoder.pack, data->data);
    row_end(&map);
    return end(&encoder, reterr);
}

enum jq_err jq_encode_output_taken(struct jq_buf *out, uint64_t request, bool followed, struct jq_error *reterr) {
    struct encoder encoder = begin(out, request, JQ_REPLY_OK, NULL);
    jq_pack_map(&encoder.pack, jq_message_output_taken.count);
    jq_pack_field_bool(&encoder.pack, &jq_message_output_taken, JQ_AT_OUTPUT_TAKEN_FOLLOWED, followed);
    return end(&encoder, reterr);
}

static void put_stream(struct encoder *encoder, struct row_map *map, const struct jq_logs_data *data, int stream,
                       unsigned place) {
    row_uint(map, place, data->at[stream]);
    if (data->bytes[stream].size > 0) {
        row_key(map, place + 1);
        jq_pack_bin(&encoder->pack, data->bytes[stream]);
    }
    row_uint(map, place + 2, data->end[stream]);
}

enum jq_err jq_encode_logs(struct jq_buf *out, uint64_t request, const struct jq_logs_data *data,
                           struct jq_error *reterr) {
    struct encoder encoder = begin(out, request, JQ_REPLY_OK, NULL);
    struct row_map map = row_begin(&encoder.pack, &jq_message_logs);
    row_key(&map, JQ_AT_LOGS_KNOWN);
    jq_pack_bool(&encoder.pack, data->known);
    if (data->known) {
        row_uint(&map, JQ_AT_LOGS_TOKEN, data->token.value);
        put_stream(&encoder, &map, data, 0, JQ_AT_LOGS_STDOUT_AT);
        put_stream(&encoder, &map, data, 1, JQ_AT_LOGS_STDERR_AT);
    }
    row_end(&map);
    return end(&encoder, reterr);
}

bool encode_row_fits(struct encoder *encoder, size_t start) {
    if (!encoder->out->failed && encode_room(encoder) >= AFTER_ROWS_SIZE)
        return true;
    jq_pack_rewind(&encoder->pack, start);
    return false;
}

/* ---- exceptions -------------------------------------------------------------------------------------------------- */

/* Bytes of an exception without its two texts but with their headers. */
enum { EXCEPTION_SIZE = 34 };

/* At most `size` bytes of it, and no half character at the end (UTF-8: RFC 3629). */
static struct jq_str shorten(struct jq_str text, size_t size) {
    if (text.size <= size)
        return text;
    while (size > 0 && ((uint8_t)text.data[size] & 0xc0) == 0x80)
        size--;
    return (struct jq_str){text.data, size};
}

static void pack_text_or_nil(struct jq_pack *pack, struct jq_str text) {
    if (text.size > 0)
        jq_pack_str(pack, text);
    else
        jq_pack_nil(pack);
}

static void pack_exception(struct jq_pack *pack, const struct jq_exception *exception, size_t texts_size) {
    const struct jq_str field = jq_str_of(exception->field);
    const bool field_fits = field.size <= texts_size;
    jq_pack_array(pack, JQ_COUNT_exception);
    jq_pack_uint(pack, exception->index);
    jq_pack_uint(pack, exception->status);
    jq_pack_uint(pack, exception->task.value);
    jq_pack_ms(pack, exception->retry_after_ms);
    pack_text_or_nil(pack, field_fits ? field : JQ_STR(""));
    pack_text_or_nil(pack, field_fits ? shorten(jq_str_of(exception->reason), texts_size - field.size) : JQ_STR(""));
}

void encode_exceptions(struct encoder *encoder, const struct jq_exception *exceptions, size_t count, size_t budget) {
    const size_t each = count > 0 ? budget / count : 0;
    jq_pack_array(&encoder->pack, count);
    for (size_t i = 0; i < count; i++)
        pack_exception(&encoder->pack, &exceptions[i], each > EXCEPTION_SIZE ? each - EXCEPTION_SIZE : 0);
}

/* The last field of an answer: whatever room there is is theirs. */
static void pack_last_exceptions(struct encoder *encoder, const struct jq_message *message, unsigned place,
                                 const struct jq_exception *exceptions, size_t count) {
    if (count == 0)
        return;
    jq_pack_key(&encoder->pack, message, place);
    encode_exceptions(encoder, exceptions, count, encode_room(encoder));
}

/* ---- small answers ----------------------------------------------------------------------------------------------- */

static void encode_submit(struct encoder *encoder, const struct jq_reply_effect *reply) {
    const struct jq_message *message = &jq_message_submit_reply;
    struct jq_pack *pack = &encoder->pack;
    const size_t exceptions = reply->u.submit.exception_count;
    jq_pack_map(pack, 4 + (exceptions > 0 ? 1U : 0U) + (reply->u.submit.unmatched ? 1U : 0U));
    jq_pack_field_uint(pack, message, JQ_AT_SUBMIT_REPLY_FIRST, reply->u.submit.first);
    jq_pack_field_uint(pack, message, JQ_AT_SUBMIT_REPLY_COUNT, reply->u.submit.count);
    jq_pack_field_uint(pack, message, JQ_AT_SUBMIT_REPLY_DEPTH, reply->u.submit.depth);
    jq_pack_field_str(pack, message, JQ_AT_SUBMIT_REPLY_DURABILITY,
                      jq_str_of(jq_durability_name(encoder->context->durability)));
    if (reply->u.submit.unmatched)
        jq_pack_field_bool(pack, message, JQ_AT_SUBMIT_REPLY_UNMATCHED, true);
    pack_last_exceptions(encoder, message, JQ_AT_SUBMIT_REPLY_EXCEPTIONS, reply->u.submit.exceptions, exceptions);
}

static void encode_register(struct encoder *encoder, const struct jq_reply_effect *reply) {
    jq_pack_map(&encoder->pack, 1);
    jq_pack_field_uuid(&encoder->pack, &jq_message_register_reply, JQ_AT_REGISTER_REPLY_SESSION, &reply->u.reg.session);
}

static void encode_report(struct encoder *encoder, const struct jq_reply_effect *reply) {
    const size_t verdicts = reply->u.lease.verdict_count;
    jq_pack_map(&encoder->pack, verdicts > 0 ? 2 : 1);
    jq_pack_field_uint(&encoder->pack, &jq_message_report_reply, JQ_AT_REPORT_REPLY_COUNT, reply->u.lease.report_count);
    pack_last_exceptions(encoder, &jq_message_report_reply, JQ_AT_REPORT_REPLY_VERDICTS, reply->u.lease.verdicts,
                         verdicts);
}

static void encode_selection(struct encoder *encoder, const struct jq_reply_effect *reply) {
    const struct jq_message *message = &jq_message_many_reply;
    struct jq_pack *pack = &encoder->pack;
    jq_pack_map(pack, 2 + (reply->u.many.why ? 1U : 0U) + (reply->u.many.sample_count > 0 ? 1U : 0U));
    jq_pack_field_uint(pack, message, JQ_AT_MANY_REPLY_COUNT, reply->u.many.count);
    jq_pack_field_uint(pack, message, JQ_AT_MANY_REPLY_MATCHED, reply->u.many.matched);
    if (reply->u.many.why)
        jq_pack_field_str(pack, message, JQ_AT_MANY_REPLY_WHY, jq_str_of(reply->u.many.why));
    if (reply->u.many.sample_count == 0)
        return;
    jq_pack_key(pack, message, JQ_AT_MANY_REPLY_SAMPLES);
    jq_pack_array(pack, reply->u.many.sample_count);
    for (size_t i = 0; i < reply->u.many.sample_count; i++)
        jq_pack_uint(pack, reply->u.many.samples[i].value);
}

static void encode_many(struct encoder *encoder, const struct jq_reply_effect *reply) {
    const size_t exceptions = reply->u.many.exception_count;
    if (reply->u.many.selection) {
        encode_selection(encoder, reply);
        return;
    }
    jq_pack_map(&encoder->pack, exceptions > 0 ? 2 : 1);
    jq_pack_field_uint(&encoder->pack, &jq_message_many_reply, JQ_AT_MANY_REPLY_COUNT, reply->u.many.count);
    pack_last_exceptions(encoder, &jq_message_many_reply, JQ_AT_MANY_REPLY_EXCEPTIONS, reply->u.many.exceptions,
                         exceptions);
}

/* ---- all answers ------------------------------------------------------------------------------------------------- */

typedef void encode_body(struct encoder *encoder, const struct jq_reply_effect *reply);

static encode_body *const body_writers[JQ_OP_END] = {
    [JQ_OP_SUBMIT] = encode_submit,
    [JQ_OP_REGISTER] = encode_register,
    [JQ_OP_LEASE] = encode_lease,
    [JQ_OP_REPORT] = encode_report,
    [JQ_OP_WAIT] = encode_tasks,
    [JQ_OP_TASK_SHOW] = encode_tasks,
    [JQ_OP_TASK_LS] = encode_tasks,
    [JQ_OP_TASK_EXPLAIN] = encode_explain,
    [JQ_OP_TASK_CANCEL] = encode_many,
    [JQ_OP_DEAD_REPLAY] = encode_many,
    [JQ_OP_DEAD_RM] = encode_many,
    [JQ_OP_QUEUE_LS] = encode_queues,
    [JQ_OP_QUEUE_SET] = encode_many,
    [JQ_OP_WORKER_LS] = encode_workers,
    [JQ_OP_WORKER_SHOW] = encode_workers,
    [JQ_OP_WORKER_DRAIN] = encode_many,
    [JQ_OP_SERVER_STATUS] = encode_server,
    [JQ_OP_FLOW_BEGIN] = encode_stage,
    [JQ_OP_FLOW_ADD] = encode_stage,
    [JQ_OP_FLOW_COMMIT] = encode_stage,
    [JQ_OP_FLOW_CANCEL] = encode_many,
    [JQ_OP_FLOW_SHOW] = encode_flows,
    [JQ_OP_FLOW_LS] = encode_flows,
    [JQ_OP_FLOW_WAIT] = encode_flows,
    [JQ_OP_BREAKER_LS] = encode_breakers,
    [JQ_OP_BREAKER_SHOW] = encode_breakers,
    [JQ_OP_BREAKER_TRIP] = encode_many,
    [JQ_OP_BREAKER_RESET] = encode_many,
    [JQ_OP_DEAD_EDIT] = encode_many,
    [JQ_OP_SCHEDULE_SET] = encode_many,
    [JQ_OP_SCHEDULE_RM] = encode_many,
    [JQ_OP_SCHEDULE_PAUSE] = encode_many,
    [JQ_OP_SCHEDULE_RUN] = encode_submit,
    [JQ_OP_SCHEDULE_LS] = encode_schedules,
    [JQ_OP_SCHEDULE_SHOW] = encode_schedules,
    [JQ_OP_LIMIT_SET] = encode_many,
    [JQ_OP_LIMIT_LS] = encode_limits,
    [JQ_OP_LIMIT_RM] = encode_many,
    [JQ_OP_TASK_HOLD] = encode_many,
    [JQ_OP_TASK_RELEASE] = encode_many,
    [JQ_OP_TASK_MOVE] = encode_many,
    [JQ_OP_TASK_RM] = encode_many,
    [JQ_OP_EVENTS_READ] = encode_events,
    [JQ_OP_BLOB_PUT] = encode_blob_put,
    [JQ_OP_BLOB_GET] = encode_blob_get,
    [JQ_OP_BLOB_STAT] = encode_blobs,
    [JQ_OP_BLOB_LS] = encode_blobs,
    [JQ_OP_BLOB_GC] = encode_many,
    [JQ_OP_CACHE_STAT] = encode_cache,
    [JQ_OP_CACHE_PURGE] = encode_many,
};

enum jq_err jq_encode_reply(struct jq_buf *out, const struct jq_reply_effect *reply,
                            const struct jq_encode_context *context, struct jq_error *reterr) {
    struct encoder encoder = begin(out, reply->request, reply->status, context);
    if (reply->status != JQ_REPLY_OK) {
        pack_refusal(&encoder, reply->field, reply->reason, reply->retry_after_ms);
        return end(&encoder, reterr);
    }
    JQ_CHECK(reply->op < JQ_OP_END && body_writers[reply->op]);
    body_writers[reply->op](&encoder, reply);
    return end(&encoder, reterr);
}

static bool lease_has_bodies(const struct jq_reply_effect *reply) {
    for (size_t i = 0; i < reply->u.lease.count; i++) {
        if (reply->u.lease.items[i].body.size > 0)
            return true;
    }
    return false;
}

static bool rows_have_bodies(const struct jq_reply_effect *reply) {
    for (size_t i = 0; i < reply->u.tasks.count; i++) {
        const struct jq_task_row *row = &reply->u.tasks.rows[i];
        if (row->last.size > 0 || (reply->op == JQ_OP_TASK_SHOW && row->body.size > 0))
            return true;
    }
    return false;
}

bool jq_reply_has_bodies(const struct jq_reply_effect *reply) {
    if (reply->status != JQ_REPLY_OK)
        return false;
    if (reply->op == JQ_OP_LEASE)
        return lease_has_bodies(reply);
    return (reply->op == JQ_OP_WAIT || reply->op == JQ_OP_TASK_SHOW) && rows_have_bodies(reply);
}
