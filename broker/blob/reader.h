/* reader.h - hands out pieces of stored blobs, each checked against its CRC.
 *
 * Threads:   a reader belongs to one thread; the store may be another's.
 * Errors:    JQ_ERR_NOT_FOUND: no such file. JQ_ERR_CORRUPT: the piece, or the file's end, is not what was written. JQ_ERR_INVALID: the
 *            offset lies behind the end. JQ_ERR_IO.
 */
#ifndef JQ_BROKER_BLOB_READER_H
#define JQ_BROKER_BLOB_READER_H

#include "common/err.h"
#include "common/types.h"

struct jq_blob_reader; /* Opaque: jq_blob_reader_new() .. jq_blob_reader_free(). Keeps the last few files open. */

enum jq_err jq_blob_reader_new(const char *dir, struct jq_blob_reader **ret_reader, struct jq_error *reterr);
void jq_blob_reader_free(struct jq_blob_reader *reader);

/* What is asked for, and where it is to be written. */
struct jq_blob_span {
    const uint8_t *hash;
    uint64_t offset; /* a multiple of JQ_BLOB_CHUNK_SIZE */
    size_t size;     /* bytes at most, whole chunks, JQ_BLOB_PIECE_MAX at most; less comes where the blob ends */
    uint8_t *into;
};

/* `ret_size`: of the blob. `ret_count`: bytes written, which may be anything where an error is told. `ret_inode`: of the file that is not
 * what it should be; set with JQ_ERR_CORRUPT, too. */
enum jq_err jq_blob_reader_read(struct jq_blob_reader *reader, const struct jq_blob_span *span, uint64_t *ret_size,
                                size_t *ret_count, uint64_t *ret_inode, struct jq_error *reterr);

/* Closes all files: what was removed meanwhile gives its space back. */
void jq_blob_reader_rest(struct jq_blob_reader *reader);

#endif
