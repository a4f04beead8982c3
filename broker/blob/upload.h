/* upload.h - one blob that is coming: its file in DIR/tmp, which pieces of it are there, its SHA-256 so far.
 *
 * Pieces may come out of order within UPLOAD_WINDOW; the sum follows the first gap. Of a file that an earlier run left, what cannot have
 * a gap is read again and taken as having come; whether it is right its sum will tell.
 */
#ifndef JQ_BROKER_BLOB_UPLOAD_H
#define JQ_BROKER_BLOB_UPLOAD_H

#include "broker/blob/store.h"
#include "common/err.h"
#include "common/hasher.h"

enum { UPLOAD_WINDOW = 64 }; /* pieces ahead of the first that is missing */

struct upload {
    uint8_t hash[JQ_BLOB_HASH_SIZE]; /* of a draft: its name */
    uint64_t size;
    int fd;     /* -1: free */
    bool draft; /* what its SHA-256 is to be is not known yet */
    uint64_t chunk_count;
    uint64_t come;            /* pieces, from the start on without a gap */
    uint64_t ahead;           /* bit i: piece come + i is there, too; bit 0 is never set */
    struct jq_sha256 sum;     /* of what has come, unless the hasher has it */
    struct jq_hasher *hasher; /* NULL: none */
    uint32_t *crcs;           /* of each piece, little-endian */
    uint64_t crc_capacity;
    uint64_t flushed; /* bytes that the kernel was asked to write */
    int64_t used_ms;
};

/* Opens or makes the file. */
enum jq_err upload_open(struct upload *upload, const char *path, const uint8_t *hash, uint64_t size,
                        struct jq_error *reterr);
void upload_close(struct upload *upload);
/* `beside`: it may be added up beside the writing, where it comes in its turn; `ret_kept` is set if it is, which means that the piece is
 * released later. */
enum jq_err upload_put(struct upload *upload, const struct jq_store_piece *piece, bool beside, bool *ret_kept,
                       struct jq_error *reterr);
/* Ends what goes on beside. */
void upload_rest(struct upload *upload);
static inline bool upload_is_whole(const struct upload *upload) {
    return upload->come == upload->chunk_count;
}
static inline uint64_t upload_have(const struct upload *upload) {
    return upload_is_whole(upload) ? upload->size : upload->come * JQ_BLOB_CHUNK_SIZE;
}
/* Of a whole one: checks the sum, writes the trailer, syncs. JQ_ERR_CORRUPT: another sum. */
enum jq_err upload_finish(struct upload *upload, struct jq_error *reterr);

#endif
