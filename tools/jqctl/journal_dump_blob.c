#include "tools/jqctl/journal_dump_blob.h"

#include "broker/core/files.h"
#include "common/text.h"

static void made_hash(struct jqctl_made *made, const uint8_t *hash) {
    char hex[2 * JQ_BLOB_HASH_SIZE + 1];
    jqctl_made_text(made, "blob", jq_text_format_hex((struct jq_bytes){hash, JQ_BLOB_HASH_SIZE}, hex));
}

void jqctl_dump_blob(struct jqctl_made *made, const struct jq_record *record) {
    if (record->type == JQ_RECORD_BLOB_STORED) {
        made_hash(made, record->u.blob_stored.hash);
        jqctl_made_uint(made, "size", record->u.blob_stored.size);
    } else if (record->type == JQ_RECORD_BLOB_DROPPED) {
        made_hash(made, record->u.blob_dropped.hash);
    }
}

void jqctl_dump_files(struct jqctl_made *made, struct jq_bytes files) {
    struct jq_reader in = jq_reader_of(files);
    struct jq_file file;
    uint64_t counts[JQ_FILE_MADE + 1] = {0};
    while (jq_files_next(&in, &file))
        counts[file.kind]++;
    if (counts[JQ_FILE_INPUT] > 0)
        jqctl_made_uint(made, "inputs", counts[JQ_FILE_INPUT]);
    if (counts[JQ_FILE_OUTPUT] > 0)
        jqctl_made_uint(made, "outputs", counts[JQ_FILE_OUTPUT]);
    if (counts[JQ_FILE_MADE] > 0)
        jqctl_made_uint(made, "made", counts[JQ_FILE_MADE]);
}
