/* decode_blob.c - blobs, and the files of tasks: what is text on the wire is files.h's bytes from here on. */
#include "broker/core/files.h"
#include "broker/shell/decode_internal.h"
#include "common/text.h"

/* ---- files of tasks ---------------------------------------------------------------------------------------------- */

/* The buffer was given room for twice the frame, in which each entry takes more than half of what it takes here. */
static bool add_file(struct jq_decoder *decoder, const char *field, const struct jq_file *file, size_t start) {
    struct jq_reader in = jq_reader_of((struct jq_bytes){decoder->bodies.data + start, decoder->bodies.size - start});
    struct jq_file other;
    if (!jq_name_valid(file->name))
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, field, "'%.*s' is not a name: [a-z0-9_.-]{1,64}",
                            JQ_STR_ARG(file->name));
    if (file->name.data[0] == '.')
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, field, "'%.*s' begins with a dot",
                            JQ_STR_ARG(file->name));
    while (jq_files_next(&in, &other)) {
        if (other.kind == file->kind && jq_str_equal(other.name, file->name))
            return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, field, "'%.*s' stands twice",
                                JQ_STR_ARG(file->name));
    }
    jq_files_append(&decoder->bodies, file);
    JQ_CHECK(!decoder->bodies.failed);
    return true;
}

/* Pairs of a name and a blob. */
static bool add_blobs(struct jq_decoder *decoder, const char *field, const msgpack_object *object,
                      enum jq_file_kind kind, size_t start) {
    for (uint32_t i = 0; object && i < object->via.map.size; i++) {
        uint8_t hash[JQ_BLOB_HASH_SIZE];
        const struct jq_file file = {kind, jq_object_str(&object->via.map.ptr[i].key), hash};
        if (jq_text_parse_hex(jq_object_str(&object->via.map.ptr[i].val), hash, sizeof(hash), NULL) != JQ_OK)
            return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, field, "'%.*s': not a SHA-256 in 64 hex digits",
                                JQ_STR_ARG(file.name));
        if (!add_file(decoder, field, &file, start))
            return false;
    }
    return true;
}

static bool add_outputs(struct jq_decoder *decoder, const msgpack_object *object, size_t start) {
    for (uint32_t i = 0; object && i < object->via.array.size; i++) {
        const struct jq_file file = {JQ_FILE_OUTPUT, jq_object_str(&object->via.array.ptr[i]), NULL};
        if (!add_file(decoder, "outputs", &file, start))
            return false;
    }
    return true;
}

static void take_files(const struct jq_decoder *decoder, size_t start, struct jq_bytes *ret_files) {
    const size_t size = decoder->bodies.size - start;
    *ret_files = size > 0 ? (struct jq_bytes){decoder->bodies.data + start, size} : (struct jq_bytes){NULL, 0};
}

bool jq_decode_files(struct jq_decoder *decoder, const struct jq_values *values, struct jq_submit_item *item) {
    const size_t start = decoder->bodies.size;
    if (!add_blobs(decoder, "inputs", jq_value_object(values, JQ_AT_TASK_INPUTS), JQ_FILE_INPUT, start) ||
        !add_outputs(decoder, jq_value_object(values, JQ_AT_TASK_OUTPUTS), start))
        return false;
    take_files(decoder, start, &item->files);
    if (item->files.size > 0 && item->unique == JQ_UNIQUE_DEBOUNCE)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "inputs", "a task of debounce has no files");
    return true;
}

bool jq_decode_made(struct jq_decoder *decoder, const struct jq_values *detail, struct jq_report *report) {
    const size_t start = decoder->bodies.size;
    const msgpack_object *outputs = jq_value_object(detail, JQ_AT_DETAIL_OUTPUTS);
    if (outputs && report->outcome != JQ_OUTCOME_SUCCESS)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "detail.outputs", "given without success");
    if (!add_blobs(decoder, "detail.outputs", outputs, JQ_FILE_MADE, start))
        return false;
    take_files(decoder, start, &report->made);
    return true;
}

/* ---- blob.* ------------------------------------------------------------------------------------------------------ */

_Static_assert(JQ_AT_BLOB_GET_HASH == 0 && JQ_AT_BLOB_STAT_HASH == 0, "jq_decode_blob_stat() reads both");

bool jq_decode_blob_stat(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.blob.hash = values->at[JQ_AT_BLOB_STAT_HASH].bytes.data;
    return true;
}

static bool check_offset(struct jq_decoder *decoder, const struct jq_request *request) {
    if (request->u.blob.offset % JQ_BLOB_CHUNK_SIZE == 0)
        return true;
    return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "offset", "not a multiple of %d", JQ_BLOB_CHUNK_SIZE);
}

bool jq_decode_blob_get(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    const uint64_t piece_max = jq_value_uint(values, JQ_AT_BLOB_GET_PIECE_MAX, JQ_BLOB_CHUNK_SIZE);
    request->u.blob.offset = jq_value_uint(values, JQ_AT_BLOB_GET_OFFSET, 0);
    request->u.blob.piece_max = (size_t)(piece_max - piece_max % JQ_BLOB_CHUNK_SIZE);
    return jq_decode_blob_stat(decoder, values, request) && check_offset(decoder, request);
}

/* Whole chunks, but for the last of the blob. Of an empty blob the only one is empty. */
static bool check_piece(struct jq_decoder *decoder, uint64_t size, uint64_t left) {
    if (size == left || (size > 0 && size < left && size % JQ_BLOB_CHUNK_SIZE == 0))
        return true;
    return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "data", "%llu bytes: neither a multiple of %d nor the rest",
                        (unsigned long long)size, JQ_BLOB_CHUNK_SIZE);
}

/* By its hash, or as a draft, or which blob a draft is. */
static bool read_name(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    const bool hash = jq_given(values, JQ_AT_BLOB_PUT_HASH), draft = jq_given(values, JQ_AT_BLOB_PUT_DRAFT);
    if (!hash && !draft)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "hash", "missing");
    if (hash && draft && request->u.blob.data_given)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "data", "given with both hash and draft");
    request->u.blob.draft = !hash;
    request->u.blob.hash = values->at[hash ? JQ_AT_BLOB_PUT_HASH : JQ_AT_BLOB_PUT_DRAFT].bytes.data;
    request->u.blob.named = hash && draft ? values->at[JQ_AT_BLOB_PUT_DRAFT].bytes.data : NULL;
    return true;
}

bool jq_decode_blob_put(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    const uint64_t size = values->at[JQ_AT_BLOB_PUT_SIZE].u;
    const uint64_t offset = jq_value_uint(values, JQ_AT_BLOB_PUT_OFFSET, 0);
    request->u.blob.size = size;
    request->u.blob.offset = offset;
    request->u.blob.data_given = jq_given(values, JQ_AT_BLOB_PUT_DATA);
    request->u.blob.data = jq_value_bytes(values, JQ_AT_BLOB_PUT_DATA);
    if (!read_name(decoder, values, request) || !check_offset(decoder, request))
        return false;
    if (!request->u.blob.data_given)
        return true;
    if (offset > size || (offset == size && size > 0))
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "offset", "behind the end");
    return check_piece(decoder, request->u.blob.data.size, size - offset);
}

bool jq_decode_blob_ls(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.blob.after = jq_value_uint(values, JQ_AT_BLOB_LS_AFTER, 0);
    request->u.blob.limit = (uint32_t)jq_value_uint(values, JQ_AT_BLOB_LS_LIMIT, JQ_LIST_COUNT_DEFAULT);
    return true;
}
