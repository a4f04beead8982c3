#include "broker/blob/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/blob/internal.h"
#include "common/crc32c.h"

enum { FILES_MAX = 16 };

struct open_file {
    uint8_t hash[JQ_BLOB_HASH_SIZE];
    int fd; /* -1: free */
    uint64_t size, inode;
    uint64_t used; /* when it was last read, by the reader's count */
};

struct jq_blob_reader {
    char dir[BLOB_PATH_SIZE];
    uint64_t count;
    struct open_file files[FILES_MAX];
    uint32_t crcs[JQ_BLOB_PIECE_MAX / JQ_BLOB_CHUNK_SIZE]; /* of the piece that is read */
};

enum jq_err jq_blob_reader_new(const char *dir, struct jq_blob_reader **ret_reader, struct jq_error *reterr) {
    struct jq_blob_reader *reader = calloc(1, sizeof(*reader));
    if (!reader) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "reader of blobs");
    }
    for (int i = 0; i < FILES_MAX; i++) {
        reader->files[i].fd = -1;
    }
    if (snprintf(reader->dir, sizeof(reader->dir), "%s", dir) >= (int)sizeof(reader->dir)) {
        free(reader);
        return jq_fail(reterr, JQ_ERR_INVALID, "%.200s: path too long", dir);
    }
    *ret_reader = reader;
    return JQ_OK;
}

static void file_close(struct open_file *file) {
    if (file->fd >= 0) {
        (void)close(file->fd);
        file->fd = -1;
    }
}

void jq_blob_reader_rest(struct jq_blob_reader *reader) {
    for (int i = 0; i < FILES_MAX; i++) {
        file_close(&reader->files[i]);
    }
}

void jq_blob_reader_free(struct jq_blob_reader *reader) {
    if (reader) {
        jq_blob_reader_rest(reader);
        free(reader);
    }
}

static struct open_file *file_find(struct jq_blob_reader *reader, const uint8_t *hash) {
    for (int i = 0; i < FILES_MAX; i++) {
        if (reader->files[i].fd >= 0 && memcmp(reader->files[i].hash, hash, JQ_BLOB_HASH_SIZE) == 0) {
            return &reader->files[i];
        }
    }
    return NULL;
}

static struct open_file *file_place(struct jq_blob_reader *reader) {
    struct open_file *oldest = &reader->files[0];
    for (int i = 0; i < FILES_MAX; i++) {
        if (reader->files[i].fd < 0) {
            return &reader->files[i];
        }
        oldest = reader->files[i].used < oldest->used ? &reader->files[i] : oldest;
    }
    file_close(oldest);
    return oldest;
}

static enum jq_err file_open(struct jq_blob_reader *reader, const uint8_t *hash, struct open_file **ret_file,
                             uint64_t *ret_inode, struct jq_error *reterr) {
    char path[BLOB_PATH_SIZE];
    struct stat status;
    struct open_file *file = file_place(reader);
    if (!blob_path(reader->dir, hash, path)) {
        return jq_fail(reterr, JQ_ERR_IO, "%.200s: path too long", reader->dir);
    }
    file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &status) != 0) {
        const int failed = errno;
        file_close(file);
        return jq_fail_errno(reterr, failed, "blob");
    }
    *ret_inode = status.st_ino;
    file->inode = status.st_ino;
    memcpy(file->hash, hash, JQ_BLOB_HASH_SIZE);
    const enum jq_err err = blob_size_of(file->fd, &file->size, reterr);
    if (err != JQ_OK) {
        file_close(file);
    }
    *ret_file = file;
    return err;
}

static enum jq_err check_chunks(const struct jq_blob_reader *reader, const struct jq_blob_span *span, size_t size,
                                struct jq_error *reterr) {
    for (size_t at = 0; at < size; at += JQ_BLOB_CHUNK_SIZE) {
        const size_t count = size - at < JQ_BLOB_CHUNK_SIZE ? size - at : JQ_BLOB_CHUNK_SIZE;
        if (le32toh(reader->crcs[at / JQ_BLOB_CHUNK_SIZE]) != jq_crc32c(0, span->into + at, count)) {
            return jq_fail(reterr, JQ_ERR_CORRUPT, "blob: damaged at offset %llu",
                           (unsigned long long)(span->offset + at));
        }
    }
    return JQ_OK;
}

static enum jq_err read_span(struct jq_blob_reader *reader, const struct open_file *file,
                             const struct jq_blob_span *span, size_t *ret_count, struct jq_error *reterr) {
    const uint64_t left = file->size - span->offset;
    const size_t size = left < span->size ? (size_t)left : span->size;
    const uint64_t crcs_at = file->size + span->offset / JQ_BLOB_CHUNK_SIZE * BLOB_CRC_SIZE;
    if (!blob_read_all(file->fd, span->into, size, span->offset) ||
        !blob_read_all(file->fd, reader->crcs, (size_t)blob_chunks(size) * BLOB_CRC_SIZE, crcs_at)) {
        return errno ? jq_fail_errno(reterr, errno, "blob") : jq_fail(reterr, JQ_ERR_CORRUPT, "blob: cut short");
    }
    *ret_count = size;
    return check_chunks(reader, span, size, reterr);
}

enum jq_err jq_blob_reader_read(struct jq_blob_reader *reader, const struct jq_blob_span *span, uint64_t *ret_size,
                                size_t *ret_count, uint64_t *ret_inode, struct jq_error *reterr) {
    JQ_CHECK(span->size <= JQ_BLOB_PIECE_MAX && span->offset % JQ_BLOB_CHUNK_SIZE == 0);
    struct open_file *file = file_find(reader, span->hash);
    const bool kept = file != NULL;
    enum jq_err err = file ? JQ_OK : file_open(reader, span->hash, &file, ret_inode, reterr);
    if (err != JQ_OK) {
        return err;
    }
    file->used = ++reader->count;
    *ret_inode = file->inode;
    if (span->offset > file->size) {
        return jq_fail(reterr, JQ_ERR_INVALID, "%llu bytes, and nothing at %llu", (unsigned long long)file->size,
                       (unsigned long long)span->offset);
    }
    err = read_span(reader, file, span, ret_count, reterr);
    if (err != JQ_OK) {
        file_close(file);
        /* A file that was kept open may have been replaced by a whole one since. */
        return kept ? jq_blob_reader_read(reader, span, ret_size, ret_count, ret_inode, reterr) : err;
    }
    *ret_size = file->size;
    return JQ_OK;
}
