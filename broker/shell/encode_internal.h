/* encode_internal.h - what the files of the encoder share. Nobody else includes it. */
#ifndef JQ_BROKER_SHELL_ENCODE_INTERNAL_H
#define JQ_BROKER_SHELL_ENCODE_INTERNAL_H

#include "broker/shell/encode.h"
#include "common/codec.h"

struct encoder {
    struct jq_pack pack;
    struct jq_buf *out;
    const struct jq_encode_context *context;
};

/* Each writes the body of the answers to some ops. */
void encode_lease(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_tasks(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_explain(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_queues(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_workers(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_stage(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_flows(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_breakers(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_schedules(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_limits(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_events(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_blob_put(struct encoder *encoder, const struct jq_reply_effect *reply);
/* All of the answer but the data, `data_size` bytes, which are to follow at once. */
void encode_blob_get_head(struct encoder *encoder, uint64_t size, size_t data_size);
void encode_blob_get(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_cache(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_blobs(struct encoder *encoder, const struct jq_reply_effect *reply);
void encode_server(struct encoder *encoder, const struct jq_reply_effect *reply);

/* The list of exceptions, in at most about `budget` bytes: longer reasons are shortened, then left out. */
void encode_exceptions(struct encoder *encoder, const struct jq_exception *exceptions, size_t count, size_t budget);

/* A list of task ids. */
void encode_ids(struct encoder *encoder, const jq_task_id *ids, size_t count);

/* Of files.h: names with their blobs; names. */
void encode_inputs(struct jq_pack *pack, struct jq_bytes files);
void encode_outputs(struct jq_pack *pack, struct jq_bytes files);

void encode_amounts(struct encoder *encoder, const struct jq_amount *amounts, size_t count);
void encode_units(struct jq_pack *pack, const struct jq_units *units); /* name and numbers: a pair of a map */

/* Bytes that the frame still holds. */
static inline size_t encode_room(const struct encoder *encoder) {
    return JQ_FRAME_SIZE_MAX - encoder->out->size;
}

/* A map that is being written: how many pairs it has so far. */
struct row_map {
    struct jq_pack *pack;
    const struct jq_message *message;
    size_t hole, count;
};

static inline struct row_map row_begin(struct jq_pack *pack, const struct jq_message *message) {
    return (struct row_map){.pack = pack, .message = message, .hole = jq_pack_map_begin(pack)};
}

static inline void row_end(struct row_map *map) {
    jq_pack_end(map->pack, map->hole, map->count);
}

static inline void row_key(struct row_map *map, unsigned place) {
    jq_pack_key(map->pack, map->message, place);
    map->count++;
}

static inline void row_uint(struct row_map *map, unsigned place, uint64_t value) {
    row_key(map, place);
    jq_pack_uint(map->pack, value);
}

static inline void row_ms(struct row_map *map, unsigned place, int64_t value) {
    row_key(map, place);
    jq_pack_ms(map->pack, value);
}

static inline void row_bool(struct row_map *map, unsigned place, bool value) {
    row_key(map, place);
    jq_pack_bool(map->pack, value);
}

static inline void row_str(struct row_map *map, unsigned place, struct jq_str value) {
    row_key(map, place);
    jq_pack_str(map->pack, value);
}

/* A row of a list has been packed from `start` on. False: it does not fit beside what must follow, it was taken back. */
bool encode_row_fits(struct encoder *encoder, size_t start);

#endif
