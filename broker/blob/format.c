/* format.c - names and bytes of the files of blobs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/blob/internal.h"
#include "common/crc32c.h"
#include "common/text.h"

static const char magic[8] = "JQBLOB1";
enum { SUMMED_SIZE = 16 };

#define DRAFT_SUFFIX ".draft"

bool blob_path(const char *dir, const uint8_t *hash, char path[BLOB_PATH_SIZE]) {
    char hex[BLOB_HEX_SIZE + 1];
    jq_text_format_hex((struct jq_bytes){hash, JQ_BLOB_HASH_SIZE}, hex);
    const int size = snprintf(path, BLOB_PATH_SIZE, "%s/%.2s/%s", dir, hex, hex);
    return size > 0 && size < BLOB_PATH_SIZE;
}

bool blob_tmp_path(const char *dir, const struct coming *coming, char path[BLOB_PATH_SIZE]) {
    char hex[BLOB_HEX_SIZE + 1];
    jq_text_format_hex((struct jq_bytes){coming->hash, JQ_BLOB_HASH_SIZE}, hex);
    const int length = snprintf(path, BLOB_PATH_SIZE, "%s/tmp/%s.%llu%s", dir, hex, (unsigned long long)coming->size,
                                coming->draft ? DRAFT_SUFFIX : "");
    return length > 0 && length < BLOB_PATH_SIZE;
}

bool blob_tmp_parse(const char *file, uint64_t *ret_size, bool *ret_draft) {
    const char *dot = strchr(file, '.');
    char *end = NULL;
    *ret_size = dot ? strtoull(dot + 1, &end, 10) : 0;
    *ret_draft = dot && strcmp(end, DRAFT_SUFFIX) == 0;
    return dot != NULL;
}

void blob_footer_write(uint64_t size, uint8_t out[BLOB_FOOTER_SIZE]) {
    const uint64_t le_size = htole64(size);
    memcpy(out, magic, sizeof(magic));
    memcpy(out + sizeof(magic), &le_size, sizeof(le_size));
    const uint32_t crc = htole32(jq_crc32c(0, out, SUMMED_SIZE));
    memcpy(out + SUMMED_SIZE, &crc, sizeof(crc));
}

bool blob_footer_read(const uint8_t in[BLOB_FOOTER_SIZE], uint64_t *ret_size) {
    uint32_t crc = 0;
    memcpy(&crc, in + SUMMED_SIZE, sizeof(crc));
    if (memcmp(in, magic, sizeof(magic)) != 0 || le32toh(crc) != jq_crc32c(0, in, SUMMED_SIZE)) {
        return false;
    }
    memcpy(ret_size, in + sizeof(magic), sizeof(*ret_size));
    *ret_size = le64toh(*ret_size);
    return true;
}

bool blob_read_all(int fd, void *data, size_t size, uint64_t offset) {
    uint8_t *at = data;
    while (size > 0) {
        const ssize_t count = pread(fd, at, size, (off_t)offset);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            errno = count == 0 ? 0 : errno;
            return false;
        }
        at += count;
        offset += (uint64_t)count;
        size -= (size_t)count;
    }
    return true;
}

bool blob_write_all(int fd, const void *data, size_t size, uint64_t offset) {
    const uint8_t *at = data;
    while (size > 0) {
        const ssize_t count = pwrite(fd, at, size, (off_t)offset);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return false;
        }
        at += count;
        offset += (uint64_t)count;
        size -= (size_t)count;
    }
    return true;
}

enum jq_err blob_size_of(int fd, uint64_t *ret_size, struct jq_error *reterr) {
    struct stat status;
    uint8_t footer[BLOB_FOOTER_SIZE];
    uint64_t size = 0;
    if (fstat(fd, &status) != 0) {
        return jq_fail_errno(reterr, errno, "blob");
    }
    if (status.st_size < BLOB_FOOTER_SIZE) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "blob: its file is too short");
    }
    const uint64_t file_size = (uint64_t)status.st_size;
    if (!blob_read_all(fd, footer, sizeof(footer), file_size - BLOB_FOOTER_SIZE)) {
        return errno ? jq_fail_errno(reterr, errno, "blob") : jq_fail(reterr, JQ_ERR_CORRUPT, "blob: cut short");
    }
    if (!blob_footer_read(footer, &size) || size > file_size || blob_file_size(size) != file_size) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "blob: its file does not end as it should");
    }
    *ret_size = size;
    return JQ_OK;
}
