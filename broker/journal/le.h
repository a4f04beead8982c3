/* le.h - little-endian integers at fixed offsets, for the headers of segments and blocks. */
#ifndef JQ_BROKER_JOURNAL_LE_H
#define JQ_BROKER_JOURNAL_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void jq_le32_put(uint8_t *at, uint32_t value) {
    const uint32_t bytes = htole32(value);
    memcpy(at, &bytes, sizeof(bytes));
}

static inline void jq_le64_put(uint8_t *at, uint64_t value) {
    const uint64_t bytes = htole64(value);
    memcpy(at, &bytes, sizeof(bytes));
}

static inline uint32_t jq_le32_get(const uint8_t *at) {
    uint32_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
    return le32toh(bytes);
}

static inline uint64_t jq_le64_get(const uint8_t *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
    return le64toh(bytes);
}

#endif
