/* payload.h - payloads and results: JSON into msgpack, and msgpack into JSON where bytes are msgpack.
 *
 * Objects become maps, arrays arrays; whole numbers that int64_t holds become integers, others doubles; and so on, one to one.
 * The way back: a bin becomes base64, an ext {"ext": TYPE, "data": base64}, the key of a map that is no text the JSON of it as text;
 * NaN and infinities become null.
 */
#ifndef JQ_TOOLS_JQCTL_PAYLOAD_H
#define JQ_TOOLS_JQCTL_PAYLOAD_H

#include "common/codec.h"
#include "common/json.h"
#include "common/json_read.h"

enum {
    JQCTL_PAYLOAD_DEPTH_MAX = 24,          /* containers inside each other */
    JQCTL_PAYLOAD_JSON_SIZE_MAX = 1 << 18, /* of JSON: it may be longer than what it becomes */
};

/* Appends the msgpack of one JSON document. JQ_ERR_INVALID with line and column; JQ_ERR_TOO_BIG where `out` is full, or too deep. */
enum jq_err jqctl_payload_pack(struct jq_str text, struct jq_buf *out, struct jq_error *reterr);

/* The same of a document that is being read: give it every part of one value. */
enum jq_err jqctl_payload_part(struct jq_pack *pack, const struct jq_json_part *part, struct jq_error *reterr);

/* True if the bytes are taken for msgpack: one object of it and nothing more, and not one byte of ASCII text. */
bool jqctl_payload_is_msgpack(struct jq_bytes bytes);

/* Bytes of the first object; 0: there is none. */
size_t jqctl_payload_first_size(struct jq_bytes bytes);

/* Writes the value of bytes that are msgpack. */
void jqctl_payload_write(struct jq_bytes bytes, struct jq_json *json);

#endif
