#define _GNU_SOURCE
#include "broker/blob/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/blob/internal.h"
#include "common/crc32c.h"

enum { FLUSH_BYTES = 8 * 1024 * 1024, CRCS_MIN = 64 };

static size_t piece_size(const struct upload *upload, uint64_t index) {
    const uint64_t left = upload->size - index * JQ_BLOB_CHUNK_SIZE;
    return left < JQ_BLOB_CHUNK_SIZE ? (size_t)left : JQ_BLOB_CHUNK_SIZE;
}

static bool crcs_reach(struct upload *upload, uint64_t index) {
    uint64_t capacity = upload->crc_capacity > 0 ? upload->crc_capacity : CRCS_MIN;
    while (capacity <= index) {
        capacity *= 2;
    }
    if (capacity == upload->crc_capacity) {
        return true;
    }
    uint32_t *crcs = realloc(upload->crcs, capacity * sizeof(*crcs));
    if (!crcs) {
        return false;
    }
    upload->crcs = crcs;
    upload->crc_capacity = capacity;
    return true;
}

/* The first missing piece has come: the sum goes on over it. */
static void come_one(struct upload *upload, const uint8_t *data, size_t size) {
    jq_sha256_add(&upload->sum, data, size);
    upload->come++;
    upload->ahead >>= 1;
}

/* Pieces that came before their turn are read back: they lie in the page cache. */
static enum jq_err catch_up(struct upload *upload, struct jq_error *reterr) {
    uint8_t data[JQ_BLOB_CHUNK_SIZE];
    while (upload->ahead & 1) {
        const size_t size = piece_size(upload, upload->come);
        if (!blob_read_all(upload->fd, data, size, upload->come * JQ_BLOB_CHUNK_SIZE)) {
            return jq_fail_errno(reterr, errno ? errno : EIO, "blob that is coming");
        }
        come_one(upload, data, size);
    }
    return JQ_OK;
}

/* What an earlier run left: only its last UPLOAD_WINDOW pieces may have gaps. */
static enum jq_err resume(struct upload *upload, struct jq_error *reterr) {
    struct stat status;
    uint8_t data[JQ_BLOB_CHUNK_SIZE];
    if (fstat(upload->fd, &status) != 0) {
        return jq_fail_errno(reterr, errno, "blob that is coming");
    }
    const uint64_t length = (uint64_t)status.st_size < upload->size ? (uint64_t)status.st_size : upload->size;
    const uint64_t there = length / JQ_BLOB_CHUNK_SIZE;
    const uint64_t sure = there > UPLOAD_WINDOW ? there - UPLOAD_WINDOW : 0;
    while (upload->come < sure) {
        if (!crcs_reach(upload, upload->come)) {
            return jq_fail(reterr, JQ_ERR_NOMEM, "blob that is coming");
        }
        if (!blob_read_all(upload->fd, data, sizeof(data), upload->come * JQ_BLOB_CHUNK_SIZE)) {
            return jq_fail_errno(reterr, errno ? errno : EIO, "blob that is coming");
        }
        upload->crcs[upload->come] = htole32(jq_crc32c(0, data, sizeof(data)));
        come_one(upload, data, sizeof(data));
    }
    return JQ_OK;
}

enum jq_err upload_open(struct upload *upload, const char *path, const uint8_t *hash, uint64_t size,
                        struct jq_error *reterr) {
    *upload = (struct upload){.size = size, .chunk_count = blob_chunks(size)};
    memcpy(upload->hash, hash, sizeof(upload->hash));
    jq_sha256_init(&upload->sum);
    upload->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (upload->fd < 0) {
        return jq_fail_errno(reterr, errno, "%.200s", path);
    }
    const enum jq_err err = resume(upload, reterr);
    if (err != JQ_OK) {
        upload_close(upload);
    }
    return err;
}

void upload_rest(struct upload *upload) {
    jq_hasher_end(upload->hasher, &upload->sum);
    upload->hasher = NULL;
}

void upload_close(struct upload *upload) {
    upload_rest(upload);
    if (upload->fd >= 0) {
        (void)close(upload->fd);
    }
    free(upload->crcs);
    *upload = (struct upload){.fd = -1};
}

/* A little at a time, so that the sync at the end has little left to do. */
static void flush_some(struct upload *upload, uint64_t end) {
    if (end >= upload->flushed + FLUSH_BYTES) {
        (void)sync_file_range(upload->fd, (off_t)upload->flushed, (off_t)(end - upload->flushed),
                              SYNC_FILE_RANGE_WRITE);
        upload->flushed = end;
    }
}

static enum jq_err put_chunk(struct upload *upload, uint64_t index, struct jq_bytes data, struct jq_error *reterr) {
    if (index < upload->come || index - upload->come >= UPLOAD_WINDOW ||
        (upload->ahead >> (index - upload->come) & 1)) {
        return JQ_OK; /* known, or too far ahead */
    }
    if (!crcs_reach(upload, index)) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "blob that is coming");
    }
    const uint64_t offset = index * JQ_BLOB_CHUNK_SIZE;
    if (!blob_write_all(upload->fd, data.data, data.size, offset)) {
        return jq_fail_errno(reterr, errno, "blob that is coming");
    }
    upload->crcs[index] = htole32(jq_crc32c(0, data.data, data.size));
    if (index > upload->come) {
        upload->ahead |= UINT64_C(1) << (index - upload->come);
        return JQ_OK;
    }
    come_one(upload, data.data, data.size);
    flush_some(upload, offset);
    return catch_up(upload, reterr);
}

/* Piece by piece of a chunk: what comes out of its turn, or is not to be kept. */
static enum jq_err put_chunks(struct upload *upload, uint64_t index, struct jq_bytes data, struct jq_error *reterr) {
    enum jq_err err = JQ_OK;
    upload_rest(upload);
    for (size_t at = 0; err == JQ_OK && at < data.size; at += JQ_BLOB_CHUNK_SIZE) {
        const size_t left = data.size - at;
        const size_t size = left < JQ_BLOB_CHUNK_SIZE ? left : JQ_BLOB_CHUNK_SIZE;
        err = put_chunk(upload, index++, (struct jq_bytes){data.data + at, size}, reterr);
    }
    return err;
}

/* In its turn, with nothing known ahead. */
static enum jq_err put_beside(struct upload *upload, const struct jq_store_piece *piece, bool *ret_kept,
                              struct jq_error *reterr) {
    const struct jq_bytes data = piece->data;
    const uint64_t count = blob_chunks(data.size);
    if (!crcs_reach(upload, upload->come + count - 1)) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "blob that is coming");
    }
    if (!blob_write_all(upload->fd, data.data, data.size, piece->offset)) {
        return jq_fail_errno(reterr, errno, "blob that is coming");
    }
    for (size_t at = 0; at < data.size; at += JQ_BLOB_CHUNK_SIZE) {
        const size_t left = data.size - at;
        const size_t size = left < JQ_BLOB_CHUNK_SIZE ? left : JQ_BLOB_CHUNK_SIZE;
        upload->crcs[upload->come++] = htole32(jq_crc32c(0, data.data + at, size));
    }
    flush_some(upload, piece->offset);
    *ret_kept = true; /* It may be gone from here on. */
    jq_hasher_add(upload->hasher, data, piece->release, piece->ctx);
    return JQ_OK;
}

enum jq_err upload_put(struct upload *upload, const struct jq_store_piece *piece, bool beside, bool *ret_kept,
                       struct jq_error *reterr) {
    const uint64_t index = piece->offset / JQ_BLOB_CHUNK_SIZE;
    const bool in_turn = index == upload->come && upload->ahead == 0;
    if (!beside || !in_turn || (!upload->hasher && jq_hasher_new(&upload->sum, &upload->hasher, NULL) != JQ_OK)) {
        return put_chunks(upload, index, piece->data, reterr);
    }
    return put_beside(upload, piece, ret_kept, reterr);
}

enum jq_err upload_finish(struct upload *upload, struct jq_error *reterr) {
    uint8_t hash[JQ_BLOB_HASH_SIZE], footer[BLOB_FOOTER_SIZE];
    upload_rest(upload);
    jq_sha256_end(&upload->sum, hash);
    if (memcmp(hash, upload->hash, sizeof(hash)) != 0) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "what came has another SHA-256");
    }
    const uint64_t table_size = upload->chunk_count * BLOB_CRC_SIZE;
    blob_footer_write(upload->size, footer);
    if (!blob_write_all(upload->fd, upload->crcs, table_size, upload->size) ||
        !blob_write_all(upload->fd, footer, sizeof(footer), upload->size + table_size) ||
        ftruncate(upload->fd, (off_t)blob_file_size(upload->size)) != 0 || fdatasync(upload->fd) != 0) {
        return jq_fail_errno(reterr, errno, "blob that is coming");
    }
    return JQ_OK;
}
