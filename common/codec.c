#include "common/codec.h"

#include <pthread.h>
#include <stdlib.h>

/* ---- packing ----------------------------------------------------------------------------------------------------- */

void jq_pack_field_uint(struct jq_pack *pack, const struct jq_message *message, unsigned place, uint64_t value) {
    jq_pack_key(pack, message, place);
    jq_pack_uint(pack, value);
}

void jq_pack_field_ms(struct jq_pack *pack, const struct jq_message *message, unsigned place, int64_t value) {
    jq_pack_key(pack, message, place);
    jq_pack_ms(pack, value);
}

void jq_pack_field_bool(struct jq_pack *pack, const struct jq_message *message, unsigned place, bool value) {
    jq_pack_key(pack, message, place);
    jq_pack_bool(pack, value);
}

void jq_pack_field_str(struct jq_pack *pack, const struct jq_message *message, unsigned place, struct jq_str value) {
    jq_pack_key(pack, message, place);
    jq_pack_str(pack, value);
}

void jq_pack_field_bin(struct jq_pack *pack, const struct jq_message *message, unsigned place, struct jq_bytes value) {
    jq_pack_key(pack, message, place);
    jq_pack_bin(pack, value);
}

void jq_pack_field_uuid(struct jq_pack *pack, const struct jq_message *message, unsigned place,
                        const struct jq_uuid *value) {
    jq_pack_key(pack, message, place);
    jq_pack_uuid(pack, value);
}

/* First bytes of the 16-bit forms. */
enum { ARRAY16 = 0xdc, MAP16 = 0xde };

static size_t begin(struct jq_pack *pack, uint8_t first) {
    const uint8_t header[3] = {first, 0, 0};
    const size_t hole = pack->buf->size + 1;
    jq_buf_append(pack->buf, header, sizeof(header));
    return hole;
}

size_t jq_pack_array_begin(struct jq_pack *pack) {
    return begin(pack, ARRAY16);
}

size_t jq_pack_map_begin(struct jq_pack *pack) {
    return begin(pack, MAP16);
}

void jq_pack_end(struct jq_pack *pack, size_t hole, size_t count) {
    if (pack->buf->failed)
        return;
    JQ_CHECK(count <= UINT16_MAX && hole + 2 <= pack->buf->size);
    pack->buf->data[hole] = (uint8_t)(count >> 8);
    pack->buf->data[hole + 1] = (uint8_t)count;
}

void jq_pack_rewind(struct jq_pack *pack, size_t size) {
    JQ_CHECK(size <= pack->buf->size);
    pack->buf->size = size;
    pack->buf->failed = false;
}

size_t jq_bin_size(size_t size) {
    if (size <= UINT8_MAX)
        return size + 2;
    return size <= UINT16_MAX ? size + 3 : size + 5;
}

/* ---- unpacking --------------------------------------------------------------------------------------------------- */

/* Holds the objects of a full submit, so that no second chunk is taken for each frame. */
enum { ZONE_CHUNK_SIZE = 120 * 1024 };

void jq_unpacker_init(struct jq_unpacker *unpacker) {
    unpacker->ready = false;
}

void jq_unpacker_fini(struct jq_unpacker *unpacker) {
    if (!unpacker || !unpacker->ready)
        return;
    msgpack_zone_destroy(&unpacker->zone);
    unpacker->ready = false;
}

static bool unpacker_clear(struct jq_unpacker *unpacker) {
    if (unpacker->ready)
        msgpack_zone_clear(&unpacker->zone);
    else
        unpacker->ready = msgpack_zone_init(&unpacker->zone, ZONE_CHUNK_SIZE);
    return unpacker->ready;
}

static enum jq_err unpack_checked(struct jq_unpacker *unpacker, struct jq_bytes frame, msgpack_object *ret_object,
                                  struct jq_error *reterr) {
    if (!unpacker || !unpacker_clear(unpacker))
        return jq_fail(reterr, JQ_ERR_NOMEM, "msgpack: out of memory");
    size_t offset = 0;
    msgpack_object object;
    switch (msgpack_unpack((const char *)frame.data, frame.size, &offset, &unpacker->zone, &object)) {
    case MSGPACK_UNPACK_SUCCESS: *ret_object = object; return JQ_OK;
    case MSGPACK_UNPACK_NOMEM_ERROR: return jq_fail(reterr, JQ_ERR_NOMEM, "msgpack: out of memory");
    default: return jq_fail(reterr, JQ_ERR_PROTOCOL, "msgpack: byte %zu: cannot be unpacked", offset);
    }
}

enum jq_err jq_unpack(struct jq_unpacker *unpacker, struct jq_bytes frame, msgpack_object *ret_object,
                      struct jq_error *reterr) {
    const enum jq_err err = jq_msgpack_check(frame, reterr);
    return err == JQ_OK ? unpack_checked(unpacker, frame, ret_object, reterr) : err;
}

enum jq_err jq_unpack_large(struct jq_unpacker *unpacker, struct jq_bytes frame, msgpack_object *ret_object,
                            struct jq_error *reterr) {
    const enum jq_err err = jq_msgpack_check_large(frame, reterr);
    return err == JQ_OK ? unpack_checked(unpacker, frame, ret_object, reterr) : err;
}

static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static bool thread_key_made;

static void thread_unpacker_free(void *unpacker) {
    jq_unpacker_fini(unpacker);
    free(unpacker);
}

static void make_thread_key(void) {
    thread_key_made = pthread_key_create(&thread_key, thread_unpacker_free) == 0;
}

struct jq_unpacker *jq_unpacker_of_thread(void) {
    pthread_once(&thread_key_once, make_thread_key);
    if (!thread_key_made)
        return NULL;
    struct jq_unpacker *unpacker = pthread_getspecific(thread_key);
    if (unpacker)
        return unpacker;
    unpacker = calloc(1, sizeof(*unpacker));
    if (unpacker && pthread_setspecific(thread_key, unpacker) != 0) {
        free(unpacker);
        return NULL;
    }
    return unpacker;
}
