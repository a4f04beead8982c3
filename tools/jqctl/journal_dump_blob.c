#include "tools/jqctl/journal_dump_blob.h"

#include "broker/core/files.h"
#include "common/text.h"

static void made_hash(struct jqctl_made *made, const char *key, const uint8_t *hash) {
    char hex[2 * JQ_BLOB_HASH_SIZE + 1];
    jqctl_made_text(made, key, jq_text_format_hex((struct jq_bytes){hash, JQ_BLOB_HASH_SIZE}, hex));
}

void jqctl_dump_blob(struct jqctl_made *made, const struct jq_record *record) {
    if (record->type == JQ_RECORD_BLOB_STORED) {
        made_hash(made, "blob", record->u.blob_stored.hash);
        jqctl_made_uint(made, "size", record->u.blob_stored.size);
    } else if (record->type == JQ_RECORD_BLOB_DROPPED) {
        made_hash(made, "blob", record->u.blob_dropped.hash);
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

void jqctl_dump_cache_key(struct jqctl_made *made, struct jq_bytes key) {
    if (key.size == JQ_CACHE_KEY_SIZE) {
        made_hash(made, "cache_key", key.data + 1);
        if (key.data[0] == JQ_CACHE_RUN)
            jqctl_made_bool(made, "no_cache", true);
    }
}

void jqctl_dump_cached(struct jqctl_made *made, const struct jq_record *record) {
    const bool stored = record->type == JQ_RECORD_CACHE_STORED;
    const struct jq_str name = stored ? record->u.cache_stored.name : record->u.cache_dropped.name;
    made_hash(made, "cache_key", (const uint8_t *)name.data);
    jqctl_made_str(made, "version", (struct jq_str){name.data + JQ_BLOB_HASH_SIZE, name.size - JQ_BLOB_HASH_SIZE});
    if (stored) {
        jqctl_made_uint(made, "output_bytes", record->u.cache_stored.output_bytes);
        jqctl_dump_files(made, record->u.cache_stored.made);
    }
}
