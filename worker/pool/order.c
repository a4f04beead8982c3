#include "worker/pool/order.h"

#include "common/codec.h"
#include "common/json.h"
#include "common/json_read.h"
#include "common/text.h"
#include "worker/exec/units.h"

#include <endian.h>

enum { PARAMS_SIZE_MAX = 512 * 1024, PARAMS_DEPTH_MAX = 16 };

/* --- the payload as JSON -------------------------------------------------------------------------------------------- */

static bool put_value(struct jq_json *json, const msgpack_object *value, unsigned depth);

static bool put_map(struct jq_json *json, const msgpack_object_map *map, unsigned depth) {
    bool good = true;
    jq_json_object_begin(json);
    for (uint32_t i = 0; i < map->size && good; i++) {
        const msgpack_object *key = &map->ptr[i].key;
        good = key->type == MSGPACK_OBJECT_STR && jq_text_utf8_valid(jq_object_str(key));
        jq_json_key(json, good ? jq_object_str(key) : JQ_STR(""));
        good = good && put_value(json, &map->ptr[i].val, depth + 1);
        if (!good) {
            return false;
        }
    }
    jq_json_object_end(json);
    return good;
}

static bool put_array(struct jq_json *json, const msgpack_object_array *array, unsigned depth) {
    jq_json_array_begin(json);
    for (uint32_t i = 0; i < array->size; i++) {
        if (!put_value(json, &array->ptr[i], depth + 1)) {
            return false;
        }
    }
    jq_json_array_end(json);
    return true;
}

static bool put_value(struct jq_json *json, const msgpack_object *value, unsigned depth) {
    if (depth > PARAMS_DEPTH_MAX) {
        return false;
    }
    switch (value->type) {
    case MSGPACK_OBJECT_NIL: jq_json_null(json); return true;
    case MSGPACK_OBJECT_BOOLEAN: jq_json_bool(json, value->via.boolean); return true;
    case MSGPACK_OBJECT_POSITIVE_INTEGER: jq_json_uint(json, value->via.u64); return true;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: jq_json_int(json, value->via.i64); return true;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: jq_json_double(json, value->via.f64); return true;
    case MSGPACK_OBJECT_STR: jq_json_str(json, jq_object_str(value)); return jq_text_utf8_valid(jq_object_str(value));
    case MSGPACK_OBJECT_BIN: jq_json_bytes(json, jq_object_bin(value)); return true;
    case MSGPACK_OBJECT_ARRAY: return put_array(json, &value->via.array, depth);
    case MSGPACK_OBJECT_MAP: return put_map(json, &value->via.map, depth);
    default: return false;
    }
}

static bool params_of_msgpack(struct jq_buf *params, struct jq_bytes payload) {
    struct jq_unpacker unpacker;
    msgpack_object object;
    struct jq_json json;
    jq_unpacker_init(&unpacker);
    jq_json_init(&json, params);
    const bool good = jq_unpack(&unpacker, payload, &object, NULL) == JQ_OK && object.type == MSGPACK_OBJECT_MAP &&
                      put_value(&json, &object, 0) && !params->failed;
    jq_unpacker_fini(&unpacker);
    return good;
}

static enum jq_err see_part(void *ctx, const struct jq_json_part *part, struct jq_error *reterr) {
    bool *is_object = ctx;
    *is_object = part->kind == JQ_JSON_OBJECT_BEGIN;
    return jq_fail(reterr, JQ_ERR_EXISTS, "seen"); /* the first part is enough: the whole was checked before */
}

/* In msgpack what JSON begins with is a number, no map. */
static bool params_of_json(struct jq_buf *params, struct jq_bytes payload) {
    const struct jq_str text = {(const char *)payload.data, payload.size};
    bool is_object = false;
    (void)jq_json_read(text, text.size, see_part, &is_object, NULL);
    jq_buf_append(params, text.data, is_object ? text.size : 0);
    return is_object && !params->failed;
}

bool jq_pool_params(struct jq_buf *params, struct jq_bytes payload) {
    jq_buf_init(params, PARAMS_SIZE_MAX);
    if (payload.size == 0) {
        jq_buf_append_text(params, JQ_STR("{}"));
        return !params->failed;
    }
    return params_of_json(params, payload) || (jq_buf_clear(params), params_of_msgpack(params, payload));
}

/* --- the frame ------------------------------------------------------------------------------------------------------ */

static void put_order(struct jq_json *json, const struct jq_pool_order *order) {
    char id[JQ_TASK_ID_TEXT_SIZE];
    jq_json_put_text(json, "type", "task");
    jq_json_put_text(json, "task", jq_text_format_task_id(order->task, id));
    jq_json_put_uint(json, "attempt", order->attempt);
    jq_json_put_text(json, "handler", order->handler);
    jq_json_put_text(json, "queue", order->queue);
    jq_json_put_text(json, "work_dir", order->work_dir);
    jq_json_put_text(json, "output_dir", order->output_dir);
    jq_json_put_text(json, "final_dir", order->final_dir);
    jq_json_put_int(json, "soft_limit_ms", order->soft_limit_ms);
    jq_json_put_int(json, "hard_limit_ms", order->hard_limit_ms);
    jq_exec_put_units(json, order->units);
}

void jq_pool_order_write(struct jq_buf *buf, const struct jq_pool_order *order) {
    struct jq_json json;
    struct jq_buf params;
    const size_t start = buf->size;
    jq_buf_append_u32(buf, 0);
    jq_json_init(&json, buf);
    jq_json_object_begin(&json);
    put_order(&json, order);
    jq_json_put_bytes(&json, "payload", order->payload);
    jq_json_object_end(&json);
    if (jq_pool_params(&params, order->payload) && !buf->failed) {
        buf->size--; /* the brace: one more member */
        jq_buf_append_text(buf, JQ_STR(",\"params\":"));
        jq_buf_append(buf, params.data, params.size);
        jq_buf_append_text(buf, JQ_STR("}"));
    }
    jq_buf_fini(&params);
    if (!buf->failed) {
        const uint32_t size = htole32((uint32_t)(buf->size - start - sizeof(size)));
        memcpy(buf->data + start, &size, sizeof(size));
    }
}
