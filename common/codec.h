/* codec.h - msgpack on and off the wire: packing onto a jq_buf, and unpacking bytes that nobody has looked at yet.
 *
 * The bytes are packed and unpacked by msgpack-c. It allocates by the counts that a frame announces, so no frame
 * reaches it before jq_msgpack_check() has walked it: one object and nothing after it, containers no deeper than
 * JQ_FRAME_DEPTH_MAX and never longer than the bytes that are left, no ext types. Source: the MessagePack specification
 * of 2017.
 *
 * Errors:    packing fails as the buffer does (buf.h): look at `failed` at the end. Unpacking: JQ_ERR_PROTOCOL naming
 *            the byte, JQ_ERR_TOO_BIG above JQ_FRAME_SIZE_MAX, JQ_ERR_NOMEM.
 */
#ifndef JQ_COMMON_CODEC_H
#define JQ_COMMON_CODEC_H

#include <msgpack.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/message.h"
#include "common/types.h"

/* ---- packing ----------------------------------------------------------------------------------------------------- */

struct jq_pack {
    msgpack_packer packer;
    struct jq_buf *buf;
};

/* The write callback of msgpack-c; `data` is the buffer. It comes here for each head of an object: sizes that are known
 * to the compiler are copied without a call. */
static inline int jq_pack_write(void *data, const char *bytes, size_t size) {
    struct jq_buf *buf = data;
    switch (size) {
    case 1: jq_buf_append_u8(buf, (uint8_t)*bytes); break;
    case 2: jq_buf_append(buf, bytes, 2); break;
    case 3: jq_buf_append(buf, bytes, 3); break;
    case 5: jq_buf_append(buf, bytes, 5); break;
    case 9: jq_buf_append(buf, bytes, 9); break;
    default: jq_buf_append(buf, bytes, size);
    }
    return buf->failed ? -1 : 0;
}

static inline struct jq_pack jq_pack_of(struct jq_buf *buf) {
    return (struct jq_pack){.packer = {.data = buf, .callback = jq_pack_write}, .buf = buf};
}

static inline void jq_pack_nil(struct jq_pack *pack) {
    msgpack_pack_nil(&pack->packer);
}

static inline void jq_pack_bool(struct jq_pack *pack, bool value) {
    if (value)
        msgpack_pack_true(&pack->packer);
    else
        msgpack_pack_false(&pack->packer);
}

static inline void jq_pack_uint(struct jq_pack *pack, uint64_t value) {
    msgpack_pack_uint64(&pack->packer, value);
}

/* A time or a span: what is below 0 is written as 0. */
static inline void jq_pack_ms(struct jq_pack *pack, int64_t value) {
    msgpack_pack_uint64(&pack->packer, value > 0 ? (uint64_t)value : 0);
}

static inline void jq_pack_double(struct jq_pack *pack, double value) {
    msgpack_pack_double(&pack->packer, value);
}

static inline void jq_pack_array(struct jq_pack *pack, size_t count) {
    msgpack_pack_array(&pack->packer, count);
}

static inline void jq_pack_map(struct jq_pack *pack, size_t count) {
    msgpack_pack_map(&pack->packer, count);
}

static inline void jq_pack_str(struct jq_pack *pack, struct jq_str text) {
    msgpack_pack_str(&pack->packer, text.size);
    jq_buf_append_text(pack->buf, text);
}

static inline void jq_pack_bin(struct jq_pack *pack, struct jq_bytes bytes) {
    msgpack_pack_bin(&pack->packer, bytes.size);
    jq_buf_append(pack->buf, bytes.data, bytes.size);
}

static inline void jq_pack_uuid(struct jq_pack *pack, const struct jq_uuid *uuid) {
    jq_pack_bin(pack, (struct jq_bytes){uuid->bytes, sizeof(uuid->bytes)});
}

/* Objects that are packed already. */
static inline void jq_pack_raw(struct jq_pack *pack, struct jq_bytes objects) {
    jq_buf_append(pack->buf, objects.data, objects.size);
}

/* The key of a map's field. */
static inline void jq_pack_key(struct jq_pack *pack, const struct jq_message *message, unsigned place) {
    const struct jq_field *field = &message->fields[place];
    jq_pack_str(pack, (struct jq_str){field->name, field->name_size});
}

/* Key and value at once. */
void jq_pack_field_uint(struct jq_pack *pack, const struct jq_message *message, unsigned place, uint64_t value);
void jq_pack_field_ms(struct jq_pack *pack, const struct jq_message *message, unsigned place, int64_t value);
void jq_pack_field_bool(struct jq_pack *pack, const struct jq_message *message, unsigned place, bool value);
void jq_pack_field_str(struct jq_pack *pack, const struct jq_message *message, unsigned place, struct jq_str value);
void jq_pack_field_bin(struct jq_pack *pack, const struct jq_message *message, unsigned place, struct jq_bytes value);
void jq_pack_field_uuid(struct jq_pack *pack, const struct jq_message *message, unsigned place,
                        const struct jq_uuid *value);

/* An array or a map whose length is known only at its end: begin, pack the elements or the pairs, end with their
 * number, at most 65,535. `hole` is what begin gave. */
size_t jq_pack_array_begin(struct jq_pack *pack);
size_t jq_pack_map_begin(struct jq_pack *pack);
void jq_pack_end(struct jq_pack *pack, size_t hole, size_t count);

/* Back to an earlier size of the buffer, also after it failed over its bound. */
void jq_pack_rewind(struct jq_pack *pack, size_t size);

/* Bytes that a bin of this size takes, header and all. */
size_t jq_bin_size(size_t size);

/* ---- unpacking --------------------------------------------------------------------------------------------------- */

enum jq_err jq_msgpack_check(struct jq_bytes frame, struct jq_error *reterr);
/* The same of a frame that may be large. It may hold no more objects than a small one. */
enum jq_err jq_msgpack_check_large(struct jq_bytes frame, struct jq_error *reterr);

/* The size of the first object of `bytes`, which somebody has checked before; 0 if there is none. */
size_t jq_msgpack_first_size(struct jq_bytes bytes);

/* Memory for unpacked objects, used again and again. */
struct jq_unpacker {
    msgpack_zone zone;
    bool ready;
};

/* init takes no memory yet. fini may be called twice, and on zeroed memory. */
void jq_unpacker_init(struct jq_unpacker *unpacker);
void jq_unpacker_fini(struct jq_unpacker *unpacker);

/* This thread's own, freed when the thread ends. NULL: out of memory. */
struct jq_unpacker *jq_unpacker_of_thread(void);

/* Checks and unpacks. The object lives until the next call with this unpacker, and as long as `frame`, into which it
 * points. */
enum jq_err jq_unpack(struct jq_unpacker *unpacker, struct jq_bytes frame, msgpack_object *ret_object,
                      struct jq_error *reterr);

/* The same of a frame that may be large: up to JQ_LARGE_FRAME_SIZE_MAX. */
enum jq_err jq_unpack_large(struct jq_unpacker *unpacker, struct jq_bytes frame, msgpack_object *ret_object,
                            struct jq_error *reterr);

static inline struct jq_str jq_object_str(const msgpack_object *object) {
    return (struct jq_str){object->via.str.ptr, object->via.str.size};
}
static inline struct jq_bytes jq_object_bin(const msgpack_object *object) {
    return (struct jq_bytes){(const uint8_t *)object->via.bin.ptr, object->via.bin.size};
}

#endif
