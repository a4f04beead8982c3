/* sha256.h - the SHA-256 of bytes (FIPS 180-4), by nettle: the name of a blob. */
#ifndef JQ_COMMON_SHA256_H
#define JQ_COMMON_SHA256_H

#include "common/types.h"

#include <nettle/sha2.h>

struct jq_sha256 {
    struct sha256_ctx context;
};

static inline void jq_sha256_init(struct jq_sha256 *sum) {
    sha256_init(&sum->context);
}

static inline void jq_sha256_add(struct jq_sha256 *sum, const void *data, size_t size) {
    sha256_update(&sum->context, size, data);
}

static inline void jq_sha256_end(struct jq_sha256 *sum, uint8_t ret_hash[JQ_BLOB_HASH_SIZE]) {
    sha256_digest(&sum->context, JQ_BLOB_HASH_SIZE, ret_hash);
}

#endif
