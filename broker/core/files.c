#include "broker/core/files.h"

static bool names_blob(enum jq_file_kind kind) {
    return kind != JQ_FILE_OUTPUT;
}

bool jq_files_next(struct jq_reader *in, struct jq_file *ret_file) {
    if (in->failed || in->at == in->end) {
        return false;
    }
    const uint8_t kind = jq_read_u8(in);
    if (kind < JQ_FILE_INPUT || kind > JQ_FILE_MADE) {
        jq_reader_fail(in);
        return false;
    }
    ret_file->kind = (enum jq_file_kind)kind;
    ret_file->name = jq_read_str(in, JQ_NAME_SIZE_MAX);
    ret_file->hash = NULL;
    if (names_blob(ret_file->kind)) {
        ret_file->hash = jq_read_bytes(in, JQ_BLOB_HASH_SIZE).data;
    }
    return !in->failed;
}

bool jq_files_valid(struct jq_bytes files) {
    struct jq_reader in = jq_reader_of(files);
    struct jq_file file;
    while (jq_files_next(&in, &file)) {
        /* Reading them is all. */
    }
    return !in.failed;
}

void jq_files_append(struct jq_buf *out, const struct jq_file *file) {
    jq_buf_append_u8(out, (uint8_t)file->kind);
    jq_buf_append_str(out, file->name);
    if (names_blob(file->kind)) {
        jq_buf_append(out, file->hash, JQ_BLOB_HASH_SIZE);
    }
}
