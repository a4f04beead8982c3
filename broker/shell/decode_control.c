/* decode_control.c - what operators ask of dead letters and circuit breakers. */
#include "broker/shell/decode_internal.h"

/* ---- dead.edit --------------------------------------------------------------------------------------------------- */

static void mark(struct jq_request *request, const struct jq_values *values, unsigned place, enum jq_edit_field field) {
    if (jq_given(values, place))
        request->u.edit.given |= (uint32_t)field;
}

static bool read_retry(struct jq_decoder *decoder, const msgpack_object *object, struct jq_request *request) {
    struct jq_values retry;
    if (!object)
        return true;
    if (!jq_fields_read(&jq_message_retry, object, &retry, &decoder->fault))
        return jq_fault_within(&decoder->fault, "retry");
    request->u.edit.item.retry_max = (uint32_t)jq_value_uint(&retry, JQ_AT_RETRY_MAX, 0);
    request->u.edit.item.retry_base_ms = (uint32_t)jq_value_uint(&retry, JQ_AT_RETRY_BASE, 0);
    request->u.edit.item.retry_cap_ms = (uint32_t)jq_value_uint(&retry, JQ_AT_RETRY_CAP, 0);
    mark(request, &retry, JQ_AT_RETRY_MAX, JQ_EDIT_RETRY_MAX);
    mark(request, &retry, JQ_AT_RETRY_BASE, JQ_EDIT_RETRY_BASE);
    mark(request, &retry, JQ_AT_RETRY_CAP, JQ_EDIT_RETRY_CAP);
    return true;
}

static bool read_body(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    const bool payload = jq_given(values, JQ_AT_DEAD_EDIT_PAYLOAD), headers = jq_given(values, JQ_AT_DEAD_EDIT_HEADERS);
    if (!payload && !headers)
        return true;
    request->u.edit.given |= JQ_EDIT_BODY;
    return jq_decode_pack_body(decoder, payload ? &values->at[JQ_AT_DEAD_EDIT_PAYLOAD] : NULL,
                               headers ? &values->at[JQ_AT_DEAD_EDIT_HEADERS] : NULL, &request->u.edit.item.body);
}

bool jq_decode_dead_edit(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    struct jq_submit_item *item = &request->u.edit.item;
    request->u.edit.id.value = values->at[JQ_AT_DEAD_EDIT_ID].u;
    request->u.edit.version = jq_value_uint(values, JQ_AT_DEAD_EDIT_VERSION, 0);
    item->queue = jq_value_text(values, JQ_AT_DEAD_EDIT_QUEUE);
    item->handler = jq_value_text(values, JQ_AT_DEAD_EDIT_HANDLER);
    item->priority = (int)jq_value_uint(values, JQ_AT_DEAD_EDIT_PRIORITY, 0);
    item->soft_limit_ms = (int64_t)jq_value_uint(values, JQ_AT_DEAD_EDIT_SOFT_LIMIT, 0);
    item->hard_limit_ms = (int64_t)jq_value_uint(values, JQ_AT_DEAD_EDIT_HARD_LIMIT, 0);
    item->result_ttl_ms = (int64_t)jq_value_uint(values, JQ_AT_DEAD_EDIT_RESULT_TTL, 0);
    mark(request, values, JQ_AT_DEAD_EDIT_QUEUE, JQ_EDIT_QUEUE);
    mark(request, values, JQ_AT_DEAD_EDIT_HANDLER, JQ_EDIT_HANDLER);
    mark(request, values, JQ_AT_DEAD_EDIT_NEED, JQ_EDIT_NEED);
    mark(request, values, JQ_AT_DEAD_EDIT_WANT, JQ_EDIT_WANT);
    mark(request, values, JQ_AT_DEAD_EDIT_PRIORITY, JQ_EDIT_PRIORITY);
    mark(request, values, JQ_AT_DEAD_EDIT_SOFT_LIMIT, JQ_EDIT_SOFT_LIMIT);
    mark(request, values, JQ_AT_DEAD_EDIT_HARD_LIMIT, JQ_EDIT_HARD_LIMIT);
    mark(request, values, JQ_AT_DEAD_EDIT_RESULT_TTL, JQ_EDIT_RESULT_TTL);
    return jq_decode_need(decoder, jq_value_text(values, JQ_AT_DEAD_EDIT_NEED), "need", &item->need) &&
           jq_decode_want(decoder, jq_value_text(values, JQ_AT_DEAD_EDIT_WANT), &item->want) &&
           read_retry(decoder, jq_value_object(values, JQ_AT_DEAD_EDIT_RETRY), request) &&
           read_body(decoder, values, request);
}

/* ---- breakers ---------------------------------------------------------------------------------------------------- */

bool jq_decode_breaker_ls(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.breaker.not_closed = jq_value_bool(values, JQ_AT_BREAKER_LS_NOT_CLOSED);
    return true;
}

_Static_assert(JQ_AT_BREAKER_NAME_NAME == 0 && JQ_AT_BREAKER_TRIP_NAME == 0, "jq_decode_breaker() reads both");

/* "handler:work" is the breaker of the handler `work`. */
bool jq_decode_breaker(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    const struct jq_str text = values->at[JQ_AT_BREAKER_TRIP_NAME].text;
    const char *colon = memchr(text.data, ':', text.size);
    const size_t size = colon ? (size_t)(colon - text.data) : text.size;
    const struct jq_str name = {text.data + size + (colon != NULL), text.size - size - (colon != NULL)};
    if (!jq_breaker_kind_of_name((struct jq_str){text.data, size}, &request->u.breaker.kind))
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "name",
                            "a breaker is handler:NAME, worker:NAME or service:NAME");
    if (!jq_name_valid(name))
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "name", "'%.*s' is not a name: [a-z0-9_.-]{1,64}",
                            JQ_STR_ARG(name));
    request->u.breaker.name = name;
    request->u.breaker.for_ms =
        request->op == JQ_OP_BREAKER_TRIP ? (int64_t)jq_value_uint(values, JQ_AT_BREAKER_TRIP_FOR, 0) : 0;
    return true;
}
