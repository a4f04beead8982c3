/* files.h - the files of a task, as records, requests and lease answers carry them: which blobs it reads, which outputs it is asked for,
 * and which blobs an attempt has left.
 *
 * Encoded: entries, one behind the other. Each is its kind in a byte, a name (varint size, bytes; empty where the kind has none), and
 * for the kinds that name a blob its SHA-256. Empty: no files.
 */
#ifndef JQ_BROKER_CORE_FILES_H
#define JQ_BROKER_CORE_FILES_H

#include "common/buf.h"
#include "common/types.h"

/* The numbers are the journal's. */
enum jq_file_kind {
    JQ_FILE_INPUT = 1,  /* name, blob: fetched before the handler starts */
    JQ_FILE_OUTPUT = 2, /* name: to be stored when the handler has succeeded */
    JQ_FILE_MADE = 3    /* name, blob: an output that was stored */
};

struct jq_file {
    enum jq_file_kind kind;
    struct jq_str name;  /* [a-z0-9_.-]{1,64} */
    const uint8_t *hash; /* NULL: names no blob */
};

/* The next entry. False at the end, and at bytes that are no files: then in->failed is set. */
bool jq_files_next(struct jq_reader *in, struct jq_file *ret_file);
/* Bytes that can be read to their end. */
bool jq_files_valid(struct jq_bytes files);
void jq_files_append(struct jq_buf *out, const struct jq_file *file);

#endif
