/* codec_client.h - the other side of the protocol: writing requests, and walking answers. For libjq, jqctl and the
 * worker.
 *
 * A request:
 *     struct jq_pack pack = jq_request_begin(&buf, &head, 2);
 *     jq_pack_field_str(&pack, &jq_message_queue_set, JQ_AT_QUEUE_SET_NAME, name);
 *     jq_pack_field_bool(&pack, &jq_message_queue_set, JQ_AT_QUEUE_SET_PAUSED, true);
 * To ask again after a lost answer, send the same bytes again: the same id gets the same answer.
 *
 * A view is a borrowed place in an unpacked answer. Views never fail: what is absent or of another type gives the value
 * named for that case. Where strictness is wanted, jq_fields_read() takes view.object.
 */
#ifndef JQ_COMMON_CODEC_CLIENT_H
#define JQ_COMMON_CODEC_CLIENT_H

#include "common/codec.h"

struct jq_request_head {
    struct jq_str op;
    struct jq_uuid sender;
    uint64_t id;         /* ascending per sender, from 1 */
    uint64_t done;       /* every id below has been answered; at most `id` */
    struct jq_str token; /* empty: none */
};

/* Clears `buf` and writes the envelope. The caller packs `field_count` pairs of the body behind it. */
struct jq_pack jq_request_begin(struct jq_buf *buf, const struct jq_request_head *head, size_t field_count);

/* ---- answers ----------------------------------------------------------------------------------------------------- */

struct jq_view {
    const msgpack_object *object; /* NULL: absent */
};

struct jq_reply_view {
    struct jq_unpacker unpacker;
    enum jq_reply status;
    uint64_t id; /* of the request */
    struct jq_view body;
    struct jq_str field, reason; /* of a refusal; empty: none */
    int64_t retry_after_ms;      /* of a refusal; 0: none */
};

/* init takes no memory yet. fini may be called twice, and on zeroed memory. */
void jq_reply_view_init(struct jq_reply_view *view);
void jq_reply_view_fini(struct jq_reply_view *view);

/* Unpacks an answer. Everything in it lives until the next read with this view, and as long as `frame`, into which it
 * points. JQ_ERR_PROTOCOL (also for another version), JQ_ERR_TOO_BIG, JQ_ERR_NOMEM. A refusal is read like any other
 * answer. */
enum jq_err jq_reply_view_read(struct jq_reply_view *view, struct jq_bytes frame, struct jq_error *reterr);

/* Elements of a list, pairs of a map; else 0. */
size_t jq_view_count(struct jq_view view);
/* Element of a list. */
struct jq_view jq_view_at(struct jq_view list, size_t index);
/* Value of a map's key; pair number `index` of a map. nil counts as absent. */
struct jq_view jq_view_get(struct jq_view map, const char *key);
struct jq_str jq_view_key_at(struct jq_view map, size_t index);
struct jq_view jq_view_value_at(struct jq_view map, size_t index);

static inline bool jq_view_given(struct jq_view view) {
    return view.object != NULL;
}

uint64_t jq_view_to_uint(struct jq_view view, uint64_t otherwise);
double jq_view_to_double(struct jq_view view, double otherwise);
bool jq_view_to_bool(struct jq_view view, bool otherwise);
struct jq_str jq_view_to_str(struct jq_view view);   /* else empty */
struct jq_bytes jq_view_to_bin(struct jq_view view); /* else empty */
struct jq_uuid jq_view_to_uuid(struct jq_view view); /* else all zero */

/* The same of a map's key. */
static inline uint64_t jq_view_uint(struct jq_view map, const char *key, uint64_t otherwise) {
    return jq_view_to_uint(jq_view_get(map, key), otherwise);
}
static inline double jq_view_double(struct jq_view map, const char *key, double otherwise) {
    return jq_view_to_double(jq_view_get(map, key), otherwise);
}
static inline bool jq_view_bool(struct jq_view map, const char *key, bool otherwise) {
    return jq_view_to_bool(jq_view_get(map, key), otherwise);
}
static inline struct jq_str jq_view_str(struct jq_view map, const char *key) {
    return jq_view_to_str(jq_view_get(map, key));
}
static inline struct jq_bytes jq_view_bin(struct jq_view map, const char *key) {
    return jq_view_to_bin(jq_view_get(map, key));
}
static inline struct jq_uuid jq_view_uuid(struct jq_view map, const char *key) {
    return jq_view_to_uuid(jq_view_get(map, key));
}

#endif
