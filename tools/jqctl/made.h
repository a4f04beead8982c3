/* made.h - a map of jqctl's own, packed as if it were an answer, so that columns.h can show it. */
#ifndef JQ_TOOLS_JQCTL_MADE_H
#define JQ_TOOLS_JQCTL_MADE_H

#include "common/codec_client.h"

struct jqctl_made {
    struct jq_buf buf;
    struct jq_unpacker unpacker;
    msgpack_object root;
    struct jq_pack pack;
    size_t hole, count;
};

/* begin may be called again and again; fini once. Keys are static strings. */
void jqctl_made_init(struct jqctl_made *made);
void jqctl_made_fini(struct jqctl_made *made);
void jqctl_made_begin(struct jqctl_made *made);
void jqctl_made_uint(struct jqctl_made *made, const char *key, uint64_t value);
void jqctl_made_bool(struct jqctl_made *made, const char *key, bool value);
void jqctl_made_str(struct jqctl_made *made, const char *key, struct jq_str value);
void jqctl_made_text(struct jqctl_made *made, const char *key, const char *value);
void jqctl_made_bin(struct jqctl_made *made, const char *key, struct jq_bytes value);
void jqctl_made_uuid(struct jqctl_made *made, const char *key, const struct jq_uuid *value);
/* All pairs of another map. */
void jqctl_made_copy(struct jqctl_made *made, struct jq_view map);
/* The key of a value that the caller packs. */
struct jq_pack *jqctl_made_key(struct jqctl_made *made, const char *key);

/* The map; absent if it became too big. Lives until the next begin or fini. */
struct jq_view jqctl_made_end(struct jqctl_made *made);

#endif
