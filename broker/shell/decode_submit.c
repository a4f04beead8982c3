/* decode_submit.c - the tasks of a submit. A bad one is marked and passed on: the others go their way. */
#include <stdlib.h>

#include "broker/shell/decode_internal.h"
#include "common/need.h"

/* What an id of `after`, and a byte of files, count for: as much as they may take in a lease answer. */
enum { AFTER_ID_SIZE = 9, FILE_BYTES_FACTOR = 2 };

/* The buffer was given room for the whole frame, so that what is in it stays where it is. */
bool jq_decode_pack_body(struct jq_decoder *decoder, const struct jq_value *payload, const struct jq_value *headers,
                         struct jq_bytes *ret_body) {
    struct jq_pack pack = jq_pack_of(&decoder->bodies);
    const size_t start = decoder->bodies.size;
    if (payload)
        jq_pack_bin(&pack, payload->bytes);
    else
        jq_pack_nil(&pack);
    const size_t headers_at = decoder->bodies.size;
    if (headers)
        msgpack_pack_object(&pack.packer, *headers->object);
    else
        jq_pack_nil(&pack);
    JQ_CHECK(!decoder->bodies.failed);
    const size_t headers_size = decoder->bodies.size - headers_at;
    if (headers_size > JQ_HEADERS_SIZE_MAX)
        return jq_fault_set(&decoder->fault, JQ_REPLY_TOO_BIG, "headers", "%zu bytes, at most %d", headers_size,
                            JQ_HEADERS_SIZE_MAX);
    *ret_body = (struct jq_bytes){decoder->bodies.data + start, decoder->bodies.size - start};
    return true;
}

static bool pack_body(struct jq_decoder *decoder, const struct jq_values *values, struct jq_bytes *ret_body) {
    return jq_decode_pack_body(decoder, jq_given(values, JQ_AT_TASK_PAYLOAD) ? &values->at[JQ_AT_TASK_PAYLOAD] : NULL,
                               jq_given(values, JQ_AT_TASK_HEADERS) ? &values->at[JQ_AT_TASK_HEADERS] : NULL, ret_body);
}

static bool read_times(struct jq_decoder *decoder, const struct jq_values *values, struct jq_submit_item *item) {
    item->delay_ms = (int64_t)jq_value_uint(values, JQ_AT_TASK_DELAY, 0);
    item->eta_wall_ms = (int64_t)jq_value_uint(values, JQ_AT_TASK_ETA, 0);
    item->expires_wall_ms = (int64_t)jq_value_uint(values, JQ_AT_TASK_EXPIRES, 0);
    item->soft_limit_ms = (int64_t)jq_value_uint(values, JQ_AT_TASK_SOFT_LIMIT, 0);
    item->hard_limit_ms = (int64_t)jq_value_uint(values, JQ_AT_TASK_HARD_LIMIT, 0);
    item->result_ttl_ms =
        (int64_t)jq_value_uint(values, JQ_AT_TASK_RESULT_TTL, (uint64_t)decoder->config.result_ttl_ms);
    if (item->delay_ms > 0 && item->eta_wall_ms > 0)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "eta_ms", "given together with delay_ms");
    return jq_decode_limits(decoder, (uint64_t)item->soft_limit_ms, (uint64_t)item->hard_limit_ms);
}

static bool read_retry(struct jq_decoder *decoder, const struct jq_values *values, struct jq_submit_item *item) {
    struct jq_values retry;
    retry.given = 0; /* Not {0}: that would clear a kilobyte for each task. */
    const msgpack_object *object = jq_value_object(values, JQ_AT_TASK_RETRY);
    if (object && !jq_fields_read(&jq_message_retry, object, &retry, &decoder->fault))
        return jq_fault_within(&decoder->fault, "retry");
    item->retry_max = (uint32_t)jq_value_uint(&retry, JQ_AT_RETRY_MAX, decoder->config.retry_max);
    item->retry_base_ms = (uint32_t)jq_value_uint(&retry, JQ_AT_RETRY_BASE, decoder->config.retry_base_ms);
    item->retry_cap_ms = (uint32_t)jq_value_uint(&retry, JQ_AT_RETRY_CAP, decoder->config.retry_cap_ms);
    return true;
}

/* Few tasks have one: no cache as for needs. */
bool jq_decode_want(struct jq_decoder *decoder, struct jq_str text, struct jq_str *ret_canonical) {
    char canonical[JQ_NEED_SIZE_MAX + 1];
    struct jq_want want;
    struct jq_error error;
    *ret_canonical = (struct jq_str){NULL, 0};
    if (text.size == 0)
        return true;
    const enum jq_err err = jq_want_parse(text, &want, &error);
    if (err == JQ_ERR_NOMEM)
        return jq_fault_set(&decoder->fault, JQ_REPLY_UNAVAILABLE, "want", "out of memory");
    if (err != JQ_OK)
        return jq_fault_set(&decoder->fault, err == JQ_ERR_TOO_BIG ? JQ_REPLY_TOO_BIG : JQ_REPLY_INVALID, "want", "%s",
                            jq_decode_reason(&error, "want"));
    const size_t size = jq_want_format(&want, canonical, sizeof(canonical));
    jq_want_fini(&want);
    if (size >= sizeof(canonical))
        return jq_fault_set(&decoder->fault, JQ_REPLY_TOO_BIG, "want", "%zu bytes in its canonical form, at most %d",
                            size, JQ_NEED_SIZE_MAX);
    *ret_canonical = jq_arena_text(&decoder->arena, (struct jq_str){canonical, size});
    return ret_canonical->data ? true : jq_fault_set(&decoder->fault, JQ_REPLY_UNAVAILABLE, "want", "out of memory");
}

static int compare_ids(const void *left, const void *right) {
    const jq_task_id *a = left, *b = right;
    return a->value < b->value ? -1 : a->value > b->value;
}

/* Ascending, and each once. */
static bool read_after(struct jq_decoder *decoder, const struct jq_values *values, struct jq_submit_item *item) {
    const msgpack_object *object = jq_value_object(values, JQ_AT_TASK_AFTER);
    const struct jq_str on = jq_value_text(values, JQ_AT_TASK_ON);
    item->after_count = 0;
    item->on = JQ_ON_SUCCEEDED;
    if (on.size > 0 && !jq_on_of_name(on, &item->on))
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "on", "'%.*s' is not succeeded, finished or failed",
                            JQ_STR_ARG(on));
    if (!object || object->via.array.size == 0)
        return true;
    if (!jq_decode_ids(decoder, object, &item->after, &item->after_count))
        return false;
    jq_task_id *ids = (jq_task_id *)(uintptr_t)item->after;
    qsort(ids, item->after_count, sizeof(*ids), compare_ids);
    size_t kept = 1;
    for (size_t i = 1; i < item->after_count; i++) {
        if (ids[i].value != ids[kept - 1].value)
            ids[kept++] = ids[i];
    }
    item->after_count = kept;
    return true;
}

static bool check_size(struct jq_decoder *decoder, const struct jq_submit_item *item) {
    const size_t size = AFTER_ID_SIZE * item->after_count + FILE_BYTES_FACTOR * item->files.size + item->body.size +
                        item->need.size + item->want.size + item->key.size + item->group.size + item->queue.size +
                        item->handler.size;
    if (size <= JQ_TASK_SIZE_MAX)
        return true;
    return jq_fault_set(&decoder->fault, JQ_REPLY_TOO_BIG, "", "the task has %zu bytes, at most %d", size,
                        JQ_TASK_SIZE_MAX);
}

/* What the key stands for. Debounce says when the task starts. */
static bool read_unique(struct jq_decoder *decoder, const struct jq_values *values, struct jq_submit_item *item) {
    const struct jq_str name = jq_value_text(values, JQ_AT_TASK_UNIQUE);
    item->unique = JQ_UNIQUE_NONE;
    item->unique_ms = (int64_t)jq_value_uint(values, JQ_AT_TASK_UNIQUE_MS, 0);
    if (name.size > 0 && !jq_unique_of_name(name, &item->unique))
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "unique",
                            "'%.*s' is none of none, while_queued, until_done, throttle, debounce", JQ_STR_ARG(name));
    const bool timed = item->unique == JQ_UNIQUE_THROTTLE || item->unique == JQ_UNIQUE_DEBOUNCE;
    if (item->unique != JQ_UNIQUE_NONE && item->key.size == 0)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "unique", "given without key");
    if (timed != (item->unique_ms > 0))
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "unique_ms", "%s",
                            timed ? "missing" : "only throttle and debounce have one");
    if (item->unique != JQ_UNIQUE_DEBOUNCE)
        return true;
    if (item->delay_ms > 0 || item->eta_wall_ms > 0 || item->after_count > 0)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "unique",
                            "debounce says itself when the task starts: no delay_ms, eta_ms or after beside it");
    item->delay_ms = item->unique_ms;
    return true;
}

bool jq_decode_task(struct jq_decoder *decoder, const struct jq_values *values, struct jq_submit_item *item) {
    item->handler = values->at[JQ_AT_TASK_HANDLER].text;
    item->queue = jq_given(values, JQ_AT_TASK_QUEUE) ? values->at[JQ_AT_TASK_QUEUE].text : JQ_STR("default");
    item->key = jq_value_text(values, JQ_AT_TASK_KEY);
    item->group = jq_value_text(values, JQ_AT_TASK_GROUP);
    item->priority = (int)jq_value_uint(values, JQ_AT_TASK_PRIORITY, JQ_PRIORITY_DEFAULT);
    item->no_cache = jq_value_bool(values, JQ_AT_TASK_NO_CACHE);
    return read_times(decoder, values, item) && read_retry(decoder, values, item) &&
           jq_decode_need(decoder, jq_value_text(values, JQ_AT_TASK_NEED), "need", &item->need) &&
           jq_decode_want(decoder, jq_value_text(values, JQ_AT_TASK_WANT), &item->want) &&
           read_after(decoder, values, item) && read_unique(decoder, values, item) &&
           pack_body(decoder, values, &item->body) && jq_decode_files(decoder, values, item) &&
           check_size(decoder, item);
}

static bool read_task(struct jq_decoder *decoder, const msgpack_object *object, struct jq_submit_item *item) {
    struct jq_values values;
    return jq_fields_read(&jq_message_task, object, &values, &decoder->fault) && jq_decode_task(decoder, &values, item);
}

/* False: out of memory. */
static bool mark_refused(struct jq_decoder *decoder, struct jq_submit_item *item) {
    const struct jq_fault *fault = &decoder->fault;
    if (fault->status == JQ_REPLY_UNAVAILABLE)
        return false;
    const struct jq_str field = jq_arena_text(&decoder->arena, jq_str_of(fault->field));
    const struct jq_str reason = jq_arena_text(&decoder->arena, jq_str_of(fault->reason));
    if (!field.data || !reason.data)
        return jq_fault_set(&decoder->fault, JQ_REPLY_UNAVAILABLE, "", "out of memory");
    *item = (struct jq_submit_item){
        .refused = fault->status, .field = field.size > 0 ? field.data : NULL, .reason = reason.data};
    return true;
}

bool jq_decode_submit(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.submit.wait_ms = jq_decode_wait_ms(decoder, values, JQ_AT_SUBMIT_WAIT);
    return jq_decode_items(decoder, values->at[JQ_AT_SUBMIT_TASKS].object, request);
}

bool jq_decode_items(struct jq_decoder *decoder, const msgpack_object *object, struct jq_request *request) {
    const msgpack_object_array *tasks = &object->via.array;
    struct jq_submit_item *items = jq_decode_array(decoder, tasks->size, sizeof(*items));
    if (!items)
        return false;
    for (uint32_t i = 0; i < tasks->size; i++) {
        items[i].refused = JQ_REPLY_OK;
        items[i].field = items[i].reason = NULL;
        if (!read_task(decoder, &tasks->ptr[i], &items[i]) && !mark_refused(decoder, &items[i]))
            return false;
    }
    request->u.submit.items = items;
    request->u.submit.count = tasks->size;
    return true;
}
