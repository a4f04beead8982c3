#include "common/json.h"

#include "common/err.h"
#include "common/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void jq_json_init(struct jq_json *json, struct jq_buf *buf) {
    *json = (struct jq_json){.buf = buf};
}

static bool in_object(const struct jq_json *json) {
    return json->depth > 0 && (json->objects >> (json->depth - 1) & 1);
}

/* Before each value: a comma if one stands before it. In an object a value follows its key, which has seen to the
 * comma. */
static void before_value(struct jq_json *json) {
    JQ_CHECK(json->wants_value == in_object(json));
    if (json->wants_comma && !json->wants_value)
        jq_buf_append_u8(json->buf, ',');
    json->wants_value = false;
    json->wants_comma = true;
}

static void begin(struct jq_json *json, char bracket, bool is_object) {
    JQ_CHECK(json->depth < JQ_JSON_DEPTH_MAX);
    before_value(json);
    jq_buf_append_u8(json->buf, (uint8_t)bracket);
    const uint32_t bit = UINT32_C(1) << json->depth;
    json->objects = is_object ? json->objects | bit : json->objects & ~bit;
    json->depth++;
    json->wants_comma = false;
}

static void end(struct jq_json *json, char bracket, bool is_object) {
    JQ_CHECK(json->depth > 0 && !json->wants_value && in_object(json) == is_object);
    jq_buf_append_u8(json->buf, (uint8_t)bracket);
    json->depth--;
    json->wants_comma = true;
}

void jq_json_object_begin(struct jq_json *json) {
    begin(json, '{', true);
}

void jq_json_object_end(struct jq_json *json) {
    end(json, '}', true);
}

void jq_json_array_begin(struct jq_json *json) {
    begin(json, '[', false);
}

void jq_json_array_end(struct jq_json *json) {
    end(json, ']', false);
}

/* Length of the start of `text` that needs no escape: printable ASCII but quote and backslash. */
static size_t plain_size(struct jq_str text) {
    size_t size = 0;
    while (size < text.size && text.data[size] >= 0x20 && text.data[size] < 0x7f && text.data[size] != '"' &&
           text.data[size] != '\\')
        size++;
    return size;
}

static void append_string(struct jq_buf *buf, struct jq_str text) {
    jq_buf_append_u8(buf, '"');
    while (text.size > 0 && !buf->failed) {
        const size_t plain = plain_size(text);
        jq_buf_append(buf, text.data, plain);
        text = (struct jq_str){text.data + plain, text.size - plain};
        if (text.size == 0)
            break;
        char escaped[JQ_ESCAPE_SIZE_MAX];
        const size_t size = jq_text_escape(&text, escaped);
        jq_buf_append(buf, escaped, size);
    }
    jq_buf_append_u8(buf, '"');
}

void jq_json_key(struct jq_json *json, struct jq_str key) {
    JQ_CHECK(in_object(json) && !json->wants_value);
    if (json->wants_comma)
        jq_buf_append_u8(json->buf, ',');
    append_string(json->buf, key);
    jq_buf_append_u8(json->buf, ':');
    json->wants_value = true;
}

void jq_json_null(struct jq_json *json) {
    before_value(json);
    jq_buf_append_text(json->buf, JQ_STR("null"));
}

void jq_json_bool(struct jq_json *json, bool value) {
    before_value(json);
    jq_buf_append_text(json->buf, value ? JQ_STR("true") : JQ_STR("false"));
}

void jq_json_int(struct jq_json *json, int64_t value) {
    before_value(json);
    jq_buf_append_format(json->buf, "%" PRId64, value);
}

void jq_json_uint(struct jq_json *json, uint64_t value) {
    before_value(json);
    jq_buf_append_format(json->buf, "%" PRIu64, value);
}

/* 17 significant digits tell any two doubles apart; fewer often do. */
static void append_shortest(struct jq_buf *buf, double value) {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    /* A program may have set a locale whose decimal point is a comma. */
    char *comma = strchr(text, ',');
    if (comma)
        *comma = '.';
    jq_buf_append_text(buf, jq_str_of(text));
}

void jq_json_double(struct jq_json *json, double value) {
    if (!isfinite(value)) {
        jq_json_null(json);
        return;
    }
    before_value(json);
    append_shortest(json->buf, value);
}

void jq_json_str(struct jq_json *json, struct jq_str value) {
    before_value(json);
    append_string(json->buf, value);
}

void jq_json_bytes(struct jq_json *json, struct jq_bytes value) {
    before_value(json);
    jq_buf_append_u8(json->buf, '"');
    jq_text_append_base64(json->buf, value);
    jq_buf_append_u8(json->buf, '"');
}

void jq_json_put_object(struct jq_json *json, const char *key) {
    jq_json_key(json, jq_str_of(key));
    jq_json_object_begin(json);
}

void jq_json_put_array(struct jq_json *json, const char *key) {
    jq_json_key(json, jq_str_of(key));
    jq_json_array_begin(json);
}

void jq_json_put_null(struct jq_json *json, const char *key) {
    jq_json_key(json, jq_str_of(key));
    jq_json_null(json);
}

void jq_json_put_bool(struct jq_json *json, const char *key, bool value) {
    jq_json_key(json, jq_str_of(key));
    jq_json_bool(json, value);
}

void jq_json_put_int(struct jq_json *json, const char *key, int64_t value) {
    jq_json_key(json, jq_str_of(key));
    jq_json_int(json, value);
}

void jq_json_put_uint(struct jq_json *json, const char *key, uint64_t value) {
    jq_json_key(json, jq_str_of(key));
    jq_json_uint(json, value);
}

void jq_json_put_double(struct jq_json *json, const char *key, double value) {
    jq_json_key(json, jq_str_of(key));
    jq_json_double(json, value);
}

void jq_json_put_str(struct jq_json *json, const char *key, struct jq_str value) {
    jq_json_key(json, jq_str_of(key));
    jq_json_str(json, value);
}

void jq_json_put_text(struct jq_json *json, const char *key, const char *value) {
    jq_json_key(json, jq_str_of(key));
    if (value)
        jq_json_str(json, jq_str_of(value));
    else
        jq_json_null(json);
}

void jq_json_put_bytes(struct jq_json *json, const char *key, struct jq_bytes value) {
    jq_json_key(json, jq_str_of(key));
    jq_json_bytes(json, value);
}

bool jq_json_complete(const struct jq_json *json) {
    return json->depth == 0 && json->wants_comma;
}
