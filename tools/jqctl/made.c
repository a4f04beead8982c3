/* made.c - a map of jqctl's own. */
#include "tools/jqctl/made.h"

void jqctl_made_init(struct jqctl_made *made) {
    memset(made, 0, sizeof(*made));
    jq_buf_init(&made->buf, JQ_FRAME_SIZE_MAX);
    jq_unpacker_init(&made->unpacker);
}

void jqctl_made_fini(struct jqctl_made *made) {
    jq_unpacker_fini(&made->unpacker);
    jq_buf_fini(&made->buf);
}

void jqctl_made_begin(struct jqctl_made *made) {
    jq_buf_clear(&made->buf);
    made->pack = jq_pack_of(&made->buf);
    made->hole = jq_pack_map_begin(&made->pack);
    made->count = 0;
}

struct jq_pack *jqctl_made_key(struct jqctl_made *made, const char *key) {
    made->count++;
    jq_pack_str(&made->pack, jq_str_of(key));
    return &made->pack;
}

void jqctl_made_uint(struct jqctl_made *made, const char *key, uint64_t value) {
    jq_pack_uint(jqctl_made_key(made, key), value);
}

void jqctl_made_bool(struct jqctl_made *made, const char *key, bool value) {
    jq_pack_bool(jqctl_made_key(made, key), value);
}

void jqctl_made_str(struct jqctl_made *made, const char *key, struct jq_str value) {
    jq_pack_str(jqctl_made_key(made, key), value);
}

void jqctl_made_text(struct jqctl_made *made, const char *key, const char *value) {
    jq_pack_str(jqctl_made_key(made, key), jq_str_of(value));
}

void jqctl_made_bin(struct jqctl_made *made, const char *key, struct jq_bytes value) {
    jq_pack_bin(jqctl_made_key(made, key), value);
}

void jqctl_made_uuid(struct jqctl_made *made, const char *key, const struct jq_uuid *value) {
    jq_pack_uuid(jqctl_made_key(made, key), value);
}

void jqctl_made_copy(struct jqctl_made *made, struct jq_view map) {
    for (size_t i = 0; i < jq_view_count(map); i++) {
        made->count++;
        jq_pack_str(&made->pack, jq_view_key_at(map, i));
        msgpack_pack_object(&made->pack.packer, map.object->via.map.ptr[i].val);
    }
}

struct jq_view jqctl_made_end(struct jqctl_made *made) {
    jq_pack_end(&made->pack, made->hole, made->count);
    if (made->buf.failed || jq_unpack(&made->unpacker, jq_buf_bytes(&made->buf), &made->root, NULL) != JQ_OK)
        return (struct jq_view){NULL};
    return (struct jq_view){&made->root};
}
