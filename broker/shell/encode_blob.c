/* encode_blob.c - answers about blobs, and the files of tasks in other answers. */
#include "broker/core/files.h"
#include "broker/shell/encode_internal.h"
#include "common/text.h"

static size_t count_of(struct jq_bytes files, enum jq_file_kind kind) {
    struct jq_reader in = jq_reader_of(files);
    struct jq_file file;
    size_t count = 0;
    while (jq_files_next(&in, &file))
        count += file.kind == kind;
    JQ_CHECK(!in.failed);
    return count;
}

void encode_inputs(struct jq_pack *pack, struct jq_bytes files) {
    struct jq_reader in = jq_reader_of(files);
    struct jq_file file;
    char hex[2 * JQ_BLOB_HASH_SIZE + 1];
    jq_pack_map(pack, count_of(files, JQ_FILE_INPUT));
    while (jq_files_next(&in, &file)) {
        if (file.kind != JQ_FILE_INPUT)
            continue;
        jq_text_format_hex((struct jq_bytes){file.hash, JQ_BLOB_HASH_SIZE}, hex);
        jq_pack_str(pack, file.name);
        jq_pack_str(pack, (struct jq_str){hex, 2 * JQ_BLOB_HASH_SIZE});
    }
}

void encode_outputs(struct jq_pack *pack, struct jq_bytes files) {
    struct jq_reader in = jq_reader_of(files);
    struct jq_file file;
    jq_pack_array(pack, count_of(files, JQ_FILE_OUTPUT));
    while (jq_files_next(&in, &file)) {
        if (file.kind == JQ_FILE_OUTPUT)
            jq_pack_str(pack, file.name);
    }
}

void encode_blob_put(struct encoder *encoder, const struct jq_reply_effect *reply) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_blob_put_reply);
    row_uint(&map, JQ_AT_BLOB_PUT_REPLY_HAVE, reply->u.blob.have);
    row_bool(&map, JQ_AT_BLOB_PUT_REPLY_WHOLE, reply->u.blob.whole);
    if (encoder->context->blob_piece_max > JQ_BLOB_CHUNK_SIZE)
        row_uint(&map, JQ_AT_BLOB_PUT_REPLY_PIECE_MAX, encoder->context->blob_piece_max);
    if (reply->u.blob.draft)
        row_bool(&map, JQ_AT_BLOB_PUT_REPLY_DRAFT, true);
    row_end(&map);
}

_Static_assert(JQ_AT_BLOB_GET_REPLY_DATA == JQ_COUNT_blob_get_reply - 1, "the data follow the head");

void encode_blob_get_head(struct encoder *encoder, uint64_t size, size_t data_size) {
    jq_pack_map(&encoder->pack, JQ_COUNT_blob_get_reply);
    jq_pack_field_uint(&encoder->pack, &jq_message_blob_get_reply, JQ_AT_BLOB_GET_REPLY_SIZE, size);
    jq_pack_key(&encoder->pack, &jq_message_blob_get_reply, JQ_AT_BLOB_GET_REPLY_DATA);
    msgpack_pack_bin(&encoder->pack.packer, data_size);
}

void encode_blob_get(struct encoder *encoder, const struct jq_reply_effect *reply) {
    encode_blob_get_head(encoder, reply->u.blob.have, reply->u.blob.data.size);
    jq_pack_raw(&encoder->pack, reply->u.blob.data);
}

static void pack_row(struct jq_pack *pack, const struct jq_blob_row *row, bool stat) {
    struct row_map map = row_begin(pack, &jq_message_blob);
    row_key(&map, JQ_AT_BLOB_HASH);
    jq_pack_bin(pack, (struct jq_bytes){row->hash, JQ_BLOB_HASH_SIZE});
    row_uint(&map, JQ_AT_BLOB_SIZE, row->size);
    row_bool(&map, JQ_AT_BLOB_STORED, row->stored);
    row_uint(&map, JQ_AT_BLOB_REFS, row->refs);
    if (stat)
        row_uint(&map, JQ_AT_BLOB_HAVE, row->have);
    if (row->idle_ms >= 0)
        row_ms(&map, JQ_AT_BLOB_IDLE, row->idle_ms);
    row_end(&map);
}

/* 200 rows at most, of about 80 bytes: they fit into any frame. */
void encode_blobs(struct encoder *encoder, const struct jq_reply_effect *reply) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_blobs_reply);
    row_key(&map, JQ_AT_BLOBS_REPLY_BLOBS);
    jq_pack_array(&encoder->pack, reply->u.blobs.count);
    for (size_t i = 0; i < reply->u.blobs.count; i++)
        pack_row(&encoder->pack, &reply->u.blobs.rows[i], reply->op == JQ_OP_BLOB_STAT);
    row_uint(&map, JQ_AT_BLOBS_REPLY_TOTAL, reply->u.blobs.total);
    row_uint(&map, JQ_AT_BLOBS_REPLY_BYTES, reply->u.blobs.total_bytes);
    if (reply->u.blobs.next > 0)
        row_uint(&map, JQ_AT_BLOBS_REPLY_NEXT, reply->u.blobs.next);
    row_end(&map);
}

void encode_cache(struct encoder *encoder, const struct jq_reply_effect *reply) {
    struct row_map map = row_begin(&encoder->pack, &jq_message_cache_reply);
    const struct jq_cache_row *row = &reply->u.cache;
    row_uint(&map, JQ_AT_CACHE_ENTRIES, row->entries);
    row_uint(&map, JQ_AT_CACHE_ENTRIES_MAX, row->entries_max);
    row_uint(&map, JQ_AT_CACHE_BYTES, row->bytes);
    row_uint(&map, JQ_AT_CACHE_BYTES_MAX, row->bytes_max);
    row_uint(&map, JQ_AT_CACHE_OUTPUT_BYTES, row->output_bytes);
    row_uint(&map, JQ_AT_CACHE_OUTPUT_BYTES_MAX, row->output_bytes_max);
    row_uint(&map, JQ_AT_CACHE_HITS, row->hits_total);
    row_uint(&map, JQ_AT_CACHE_MISSES, row->misses_total);
    row_uint(&map, JQ_AT_CACHE_STORED, row->stored_total);
    row_uint(&map, JQ_AT_CACHE_EVICTED, row->evicted_total);
    row_end(&map);
}
