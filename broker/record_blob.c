/* record_blob.c - the records of blobs, and the files of tasks in theirs. */
#include "broker/core/files.h"
#include "broker/record_internal.h"

void put_files(struct jq_buf *out, struct jq_bytes files) {
    jq_buf_append_varint(out, files.size);
    jq_buf_append(out, files.data, files.size);
}

struct jq_bytes get_files(struct jq_reader *in) {
    const struct jq_bytes files = jq_read_bytes(in, (size_t)get_bounded(in, JQ_FRAME_SIZE_MAX));
    in->failed |= !jq_files_valid(files);
    return files;
}

/* Where damaged bytes end too early there is still something to point at. */
static const uint8_t *get_hash(struct jq_reader *in) {
    static const uint8_t none[JQ_BLOB_HASH_SIZE];
    const struct jq_bytes hash = jq_read_bytes(in, JQ_BLOB_HASH_SIZE);
    return hash.size == JQ_BLOB_HASH_SIZE ? hash.data : none;
}

void encode_blob_stored(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append(out, record->u.blob_stored.hash, JQ_BLOB_HASH_SIZE);
    jq_buf_append_varint(out, record->u.blob_stored.size);
}
void decode_blob_stored(struct jq_reader *in, struct jq_record *record) {
    record->u.blob_stored.hash = get_hash(in);
    record->u.blob_stored.size = jq_read_varint(in);
}

void encode_blob_dropped(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append(out, record->u.blob_dropped.hash, JQ_BLOB_HASH_SIZE);
}
void decode_blob_dropped(struct jq_reader *in, struct jq_record *record) {
    record->u.blob_dropped.hash = get_hash(in);
}
