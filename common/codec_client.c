#include "common/codec_client.h"

#include <inttypes.h>

#include "common/codec_fields.h"

struct jq_pack jq_request_begin(struct jq_buf *buf, const struct jq_request_head *head, size_t field_count) {
    jq_buf_clear(buf);
    struct jq_pack pack = jq_pack_of(buf);
    jq_pack_array(&pack, JQ_COUNT_request);
    jq_pack_uint(&pack, JQ_PROTOCOL_VERSION);
    jq_pack_str(&pack, head->op);
    jq_pack_uuid(&pack, &head->sender);
    jq_pack_uint(&pack, head->id);
    jq_pack_uint(&pack, head->done);
    if (head->token.size > 0)
        jq_pack_str(&pack, head->token);
    else
        jq_pack_nil(&pack);
    jq_pack_map(&pack, field_count);
    return pack;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

void jq_reply_view_init(struct jq_reply_view *view) {
    memset(view, 0, sizeof(*view));
    jq_unpacker_init(&view->unpacker);
}

void jq_reply_view_fini(struct jq_reply_view *view) {
    if (view)
        jq_unpacker_fini(&view->unpacker);
}

enum jq_err jq_reply_view_read(struct jq_reply_view *view, struct jq_bytes frame, struct jq_error *reterr) {
    msgpack_object root;
    struct jq_values values;
    struct jq_fault fault;
    const enum jq_err err = jq_unpack_large(&view->unpacker, frame, &root, reterr);
    if (err != JQ_OK)
        return err;
    if (!jq_fields_read(&jq_message_reply, &root, &values, &fault))
        return jq_fail(reterr, JQ_ERR_PROTOCOL, "answer: %s%s%s", fault.field, fault.field[0] ? ": " : "",
                       fault.reason);
    view->status = (enum jq_reply)values.at[JQ_AT_REPLY_STATUS].u;
    view->id = values.at[JQ_AT_REPLY_ID].u;
    view->body.object = values.at[JQ_AT_REPLY_BODY].object;
    const struct jq_view refusal = {view->status == JQ_REPLY_OK ? NULL : view->body.object};
    view->field = jq_view_str(refusal, "field");
    view->reason = jq_view_str(refusal, "reason");
    view->retry_after_ms = (int64_t)(jq_view_uint(refusal, "retry_after_ms", 0) & INT64_MAX);
    return JQ_OK;
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

static bool is(struct jq_view view, msgpack_object_type type) {
    return view.object && view.object->type == type;
}

static struct jq_view view_of(const msgpack_object *object) {
    return (struct jq_view){object->type == MSGPACK_OBJECT_NIL ? NULL : object};
}

size_t jq_view_count(struct jq_view view) {
    if (is(view, MSGPACK_OBJECT_ARRAY))
        return view.object->via.array.size;
    return is(view, MSGPACK_OBJECT_MAP) ? view.object->via.map.size : 0;
}

struct jq_view jq_view_at(struct jq_view list, size_t index) {
    if (!is(list, MSGPACK_OBJECT_ARRAY) || index >= list.object->via.array.size)
        return (struct jq_view){NULL};
    return view_of(&list.object->via.array.ptr[index]);
}

struct jq_str jq_view_key_at(struct jq_view map, size_t index) {
    if (!is(map, MSGPACK_OBJECT_MAP) || index >= map.object->via.map.size)
        return (struct jq_str){NULL, 0};
    return jq_view_to_str(view_of(&map.object->via.map.ptr[index].key));
}

struct jq_view jq_view_value_at(struct jq_view map, size_t index) {
    if (!is(map, MSGPACK_OBJECT_MAP) || index >= map.object->via.map.size)
        return (struct jq_view){NULL};
    return view_of(&map.object->via.map.ptr[index].val);
}

struct jq_view jq_view_get(struct jq_view map, const char *key) {
    const struct jq_str wanted = jq_str_of(key);
    for (size_t i = 0; i < jq_view_count(map); i++) {
        if (is(map, MSGPACK_OBJECT_MAP) && jq_str_equal(jq_view_key_at(map, i), wanted))
            return jq_view_value_at(map, i);
    }
    return (struct jq_view){NULL};
}

uint64_t jq_view_to_uint(struct jq_view view, uint64_t otherwise) {
    return is(view, MSGPACK_OBJECT_POSITIVE_INTEGER) ? view.object->via.u64 : otherwise;
}

double jq_view_to_double(struct jq_view view, double otherwise) {
    if (is(view, MSGPACK_OBJECT_FLOAT32) || is(view, MSGPACK_OBJECT_FLOAT64))
        return view.object->via.f64;
    if (is(view, MSGPACK_OBJECT_NEGATIVE_INTEGER))
        return (double)view.object->via.i64;
    return is(view, MSGPACK_OBJECT_POSITIVE_INTEGER) ? (double)view.object->via.u64 : otherwise;
}

bool jq_view_to_bool(struct jq_view view, bool otherwise) {
    return is(view, MSGPACK_OBJECT_BOOLEAN) ? view.object->via.boolean : otherwise;
}

struct jq_str jq_view_to_str(struct jq_view view) {
    return is(view, MSGPACK_OBJECT_STR) ? jq_object_str(view.object) : (struct jq_str){NULL, 0};
}

struct jq_bytes jq_view_to_bin(struct jq_view view) {
    return is(view, MSGPACK_OBJECT_BIN) ? jq_object_bin(view.object) : (struct jq_bytes){NULL, 0};
}

struct jq_uuid jq_view_to_uuid(struct jq_view view) {
    struct jq_uuid uuid = {{0}};
    const struct jq_bytes bytes = jq_view_to_bin(view);
    if (bytes.size == sizeof(uuid.bytes))
        memcpy(uuid.bytes, bytes.data, sizeof(uuid.bytes));
    return uuid;
}
