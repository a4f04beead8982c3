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
    uint8_t piece[JQ_BLOB_CHUNK_SIZE];
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

static enum jq_err read_piece(struct jq_blob_reader *reader, const struct open_file *file, uint64_t offset,
                              struct jq_bytes *ret_data, struct jq_error *reterr) {
    const uint64_t left = file->size - offset;
    const size_t size = left < JQ_BLOB_CHUNK_SIZE ? (size_t)left : JQ_BLOB_CHUNK_SIZE;
    uint32_t crc = 0;
    if (size > 0 &&
        (!blob_read_all(file->fd, reader->piece, size, offset) ||
         !blob_read_all(file->fd, &crc, sizeof(crc), file->size + offset / JQ_BLOB_CHUNK_SIZE * BLOB_CRC_SIZE))) {
        return errno ? jq_fail_errno(reterr, errno, "blob") : jq_fail(reterr, JQ_ERR_CORRUPT, "blob: cut short");
    }
    if (size > 0 && le32toh(crc) != jq_crc32c(0, reader->piece, size)) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "blob: damaged at offset %llu", (unsigned long long)offset);
    }
    *ret_data = (struct jq_bytes){reader->piece, size};
    return JQ_OK;
}

enum jq_err jq_blob_reader_read(struct jq_blob_reader *reader, const uint8_t *hash, uint64_t offset, uint64_t *ret_size,
                                struct jq_bytes *ret_data, uint64_t *ret_inode, struct jq_error *reterr) {
    struct open_file *file = file_find(reader, hash);
    const bool kept = file != NULL;
    enum jq_err err = file ? JQ_OK : file_open(reader, hash, &file, ret_inode, reterr);
    if (err != JQ_OK) {
        return err;
    }
    file->used = ++reader->count;
    *ret_inode = file->inode;
    if (offset > file->size) {
        return jq_fail(reterr, JQ_ERR_INVALID, "%llu bytes, and nothing at %llu", (unsigned long long)file->size,
                       (unsigned long long)offset);
    }
    err = read_piece(reader, file, offset, ret_data, reterr);
    if (err != JQ_OK) {
        file_close(file);
        /* A file that was kept open may have been replaced by a whole one since. */
        return kept ? jq_blob_reader_read(reader, hash, offset, ret_size, ret_data, ret_inode, reterr) : err;
    }
    *ret_size = file->size;
    return JQ_OK;
}
