/* json.h - writes JSON (RFC 8259) onto a buffer, value by value.
 *
 * The caller begins and ends objects and arrays and names each member; commas and escapes are the writer's. Text that
 * is not UTF-8 has each bad byte replaced by U+FFFD; control characters are escaped, C1 and DEL too, so that output is
 * safe on a terminal.
 * Errors: those of the buffer (`buf->failed`). Ending what was not begun, a key outside an object, more than
 *         JQ_JSON_DEPTH_MAX levels are programming errors.
 */
#ifndef JQ_COMMON_JSON_H
#define JQ_COMMON_JSON_H

#include "common/buf.h"
#include "common/types.h"

enum { JQ_JSON_DEPTH_MAX = 32 };

struct jq_json {
    struct jq_buf *buf;
    uint32_t objects; /* bit per level: 1 for an object, 0 for an array */
    uint8_t depth;    /* levels open */
    bool wants_comma; /* a value stands before, at this level */
    bool wants_value; /* a key was just written */
};

/* Writes behind what `buf` holds. */
void jq_json_init(struct jq_json *json, struct jq_buf *buf);

void jq_json_object_begin(struct jq_json *json);
void jq_json_object_end(struct jq_json *json);
void jq_json_array_begin(struct jq_json *json);
void jq_json_array_end(struct jq_json *json);

/* The name of the next member of the present object. */
void jq_json_key(struct jq_json *json, struct jq_str key);

void jq_json_null(struct jq_json *json);
void jq_json_bool(struct jq_json *json, bool value);
void jq_json_int(struct jq_json *json, int64_t value);
void jq_json_uint(struct jq_json *json, uint64_t value);
/* The shortest form that reads back as the same number; null for infinities and NaN, which JSON does not know. */
void jq_json_double(struct jq_json *json, double value);
void jq_json_str(struct jq_json *json, struct jq_str value);
/* Bytes as a string in base64. */
void jq_json_bytes(struct jq_json *json, struct jq_bytes value);

/* A member in one call. */
void jq_json_put_object(struct jq_json *json, const char *key); /* begins it */
void jq_json_put_array(struct jq_json *json, const char *key);  /* begins it */
void jq_json_put_null(struct jq_json *json, const char *key);
void jq_json_put_bool(struct jq_json *json, const char *key, bool value);
void jq_json_put_int(struct jq_json *json, const char *key, int64_t value);
void jq_json_put_uint(struct jq_json *json, const char *key, uint64_t value);
void jq_json_put_double(struct jq_json *json, const char *key, double value);
void jq_json_put_str(struct jq_json *json, const char *key, struct jq_str value);
void jq_json_put_text(struct jq_json *json, const char *key, const char *value); /* NULL: null */
void jq_json_put_bytes(struct jq_json *json, const char *key, struct jq_bytes value);

/* True when every object and array has been ended. */
bool jq_json_complete(const struct jq_json *json);

#endif
