/* store.h - blobs on disk: files named by the SHA-256 of what they hold.
 *
 * A blob comes in pieces of JQ_BLOB_CHUNK_SIZE, somewhat out of order if need be, into DIR/tmp/HASH.SIZE. When all of it is there and
 * its SHA-256 is right, a trailer is written behind it, the file is synced and renamed to DIR/XX/HASH (XX: the first two digits), and
 * the folder is synced: what has that name is whole. A put that was interrupted goes on where it was, after a restart too.
 *
 * A draft is a blob whose putter does not know its SHA-256 yet: he sends it under a name of his choice, in DIR/tmp/NAME.SIZE.draft, while
 * he adds it up, and tells in the end which blob it is. What he sends so might be stored already; so a draft is only taken while no file
 * of that size is.
 *
 * A file: the content; for each piece its CRC-32C (4 bytes, little-endian); a footer: "JQBLOB1\0", the content's size (8 bytes), the
 * CRC-32C of those 16 bytes (4 bytes). Each piece that is read is checked against its CRC: what has changed on disk is not handed out.
 *
 * Units:     sizes and offsets are bytes.
 * Threads:   a store belongs to one thread, which writes; a reader (reader.h) to another. What it may keep (`release`) is added up in
 *            threads of its own, SUMS_MAX at most, beside the writing.
 * Errors:    JQ_ERR_NO_SPACE: the quota, or the disk. JQ_ERR_BUSY: too many puts at a time, or too little left of the disk. JQ_ERR_CORRUPT: what came has another
 *            SHA-256 than it was said to have; it is thrown away. JQ_ERR_NOT_FOUND: a piece of a draft that has not begun. JQ_ERR_IO.
 */
#ifndef JQ_BROKER_BLOB_STORE_H
#define JQ_BROKER_BLOB_STORE_H

#include "common/err.h"
#include "common/types.h"

struct jq_store; /* Opaque: jq_store_open() .. jq_store_close(). */

struct jq_store_config {
    const char *dir;        /* made if it is not there */
    uint64_t bytes_max;     /* of blobs, and of what is announced of those that are coming */
    uint64_t disk_free_min; /* room on the disk that blobs leave to the journal */
    int64_t idle_ms;        /* a put that was begun and not gone on with for so long is thrown away */
    void *ctx;
    /* Asked for each blob found in `dir` at the start: false, and its file is removed. */
    bool (*known)(void *ctx, const uint8_t *hash);
};

enum jq_err jq_store_open(const struct jq_store_config *config, struct jq_store **ret_store, struct jq_error *reterr);
void jq_store_close(struct jq_store *store);

/* How much of it has come: bytes from the start on. `ret_on_disk`: its file is there, whole. Begins the put of one that is not,
 * where `size` is not UINT64_MAX. `now_ms`: of any clock that does not go back. */
enum jq_err jq_store_have(struct jq_store *store, const uint8_t *hash, uint64_t size, int64_t now_ms,
                          uint64_t *ret_have, bool *ret_on_disk, struct jq_error *reterr);

/* Whole chunks, but for the last of the blob. */
struct jq_store_piece {
    uint64_t offset;
    struct jq_bytes data;
    bool draft; /* it is put under the name of a draft, which has begun */
    /* Called once, soon, in whatever thread, when the data are needed no more. NULL: they are lent for the time of the call. */
    void (*release)(void *ctx);
    void *ctx;
};

/* Chunks too far ahead are passed over: go on at *ret_have. `ret_version`, if it was the last
 * one that was missing: of the file that stands now, not 0; else 0. 0 and all of it in *ret_have: it was there before. */
enum jq_err jq_store_put(struct jq_store *store, const uint8_t *hash, uint64_t size, const struct jq_store_piece *piece,
                         int64_t now_ms, uint64_t *ret_have, uint32_t *ret_version, struct jq_error *reterr);

/* Begins a draft, or asks how much of it has come. `ret_taken`: false where a file of that size is stored, or coming under its hash: the
 * draft is not begun then. */
enum jq_err jq_store_draft(struct jq_store *store, const uint8_t *name, uint64_t size, int64_t now_ms,
                           uint64_t *ret_have, bool *ret_taken, struct jq_error *reterr);
/* The draft is the blob of that hash, and is no draft any more. Where the blob is stored, or is coming, the draft is thrown away; a draft
 * that never was is no error: on_disk and have are those of the blob. `ret_version`: as that of jq_store_put(). */
enum jq_err jq_store_name(struct jq_store *store, const uint8_t *name, const uint8_t *hash, uint64_t size,
                          int64_t now_ms, uint64_t *ret_have, bool *ret_on_disk, uint32_t *ret_version,
                          struct jq_error *reterr);

/* Version of the file that stands under that name; 0: from before the store was opened, or none. */
uint32_t jq_store_version(const struct jq_store *store, const uint8_t *hash);

/* Removes the file, if it is that version. */
enum jq_err jq_store_drop(struct jq_store *store, const uint8_t *hash, uint32_t version, struct jq_error *reterr);
/* Removes the file, if it is that inode: true. */
bool jq_store_drop_inode(struct jq_store *store, const uint8_t *hash, uint64_t inode);
/* Is it there, with that size? */
bool jq_store_holds(const struct jq_store *store, const uint8_t *hash, uint64_t size);

/* Throws away puts that nobody has gone on with. `wall_ms`: what the clocks of files are compared with. */
void jq_store_sweep(struct jq_store *store, int64_t now_ms, int64_t wall_ms);
uint64_t jq_store_used_bytes(const struct jq_store *store);

#endif
