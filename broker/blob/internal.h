/* internal.h - what the files of the store share: names and the trailer. Nobody else includes it. */
#ifndef JQ_BROKER_BLOB_INTERNAL_H
#define JQ_BROKER_BLOB_INTERNAL_H

#include "broker/blob/store.h"
#include "common/buf.h"

enum {
    BLOB_PATH_SIZE = 1024,
    BLOB_HEX_SIZE = 2 * JQ_BLOB_HASH_SIZE,
    BLOB_CRC_SIZE = 4,
    BLOB_FOOTER_SIZE = 20,
};

/* DIR/XX/HASH; false: DIR is too long. */
bool blob_path(const char *dir, const uint8_t *hash, char path[BLOB_PATH_SIZE]);

/* What is coming, as its putter names it. */
struct coming {
    const uint8_t *hash; /* of a draft: its name */
    uint64_t size;
    bool draft;
};

/* DIR/tmp/HASH.SIZE, of a draft DIR/tmp/NAME.SIZE.draft; false: DIR is too long. */
bool blob_tmp_path(const char *dir, const struct coming *coming, char path[BLOB_PATH_SIZE]);
/* Size and kind of what has such a name in DIR/tmp. False: nothing of ours has. */
bool blob_tmp_parse(const char *file, uint64_t *ret_size, bool *ret_draft);

static inline uint64_t blob_chunks(uint64_t size) {
    return (size + JQ_BLOB_CHUNK_SIZE - 1) / JQ_BLOB_CHUNK_SIZE;
}
static inline uint64_t blob_file_size(uint64_t size) {
    return size + blob_chunks(size) * BLOB_CRC_SIZE + BLOB_FOOTER_SIZE;
}

void blob_footer_write(uint64_t size, uint8_t out[BLOB_FOOTER_SIZE]);
/* False: it is no footer. */
bool blob_footer_read(const uint8_t in[BLOB_FOOTER_SIZE], uint64_t *ret_size);

/* All of it, or false with errno (0: the file is shorter). */
bool blob_read_all(int fd, void *data, size_t size, uint64_t offset);
bool blob_write_all(int fd, const void *data, size_t size, uint64_t offset);

/* Size of the content of the open file, by its footer. */
enum jq_err blob_size_of(int fd, uint64_t *ret_size, struct jq_error *reterr);

#endif
