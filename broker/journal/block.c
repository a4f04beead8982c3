#include "broker/journal/block.h"

#include "broker/journal/le.h"
#include "common/crc32c.h"

static const uint8_t MAGIC[4] = {'J', 'Q', 'B', 'K'};

enum {
    CRC_AT = 4,
    PAYLOAD_SIZE_AT = 8,
    RECORD_COUNT_AT = 12,
    LSN_AT = 16,
    EPOCH_AT = 24,
    TIME_MS_AT = 32,
    PREV_CRC_AT = 40,
    PAYLOAD_CRC_AT = 44,
    RECORD_SIZE_MIN = 2, /* size and type, empty body */
};

void jq_block_header_put(const struct jq_block_header *header, uint8_t ret_bytes[JQ_BLOCK_HEADER_SIZE]) {
    memcpy(ret_bytes, MAGIC, sizeof(MAGIC));
    jq_le32_put(ret_bytes + CRC_AT, 0);
    jq_le32_put(ret_bytes + PAYLOAD_SIZE_AT, header->payload_size);
    jq_le32_put(ret_bytes + RECORD_COUNT_AT, header->record_count);
    jq_le64_put(ret_bytes + LSN_AT, header->lsn);
    jq_le64_put(ret_bytes + EPOCH_AT, header->epoch);
    jq_le64_put(ret_bytes + TIME_MS_AT, (uint64_t)header->time_ms);
    jq_le32_put(ret_bytes + PREV_CRC_AT, header->prev_crc);
    jq_le32_put(ret_bytes + PAYLOAD_CRC_AT, header->payload_crc);
}

static uint32_t header_crc(const uint8_t *bytes, uint32_t salt) {
    return jq_crc32c(salt, bytes + PAYLOAD_SIZE_AT, JQ_BLOCK_HEADER_SIZE - PAYLOAD_SIZE_AT);
}

bool jq_block_header_decode(const uint8_t bytes[JQ_BLOCK_HEADER_SIZE], uint32_t salt,
                            struct jq_block_header *ret_header) {
    if (memcmp(bytes, MAGIC, sizeof(MAGIC)) != 0 || jq_le32_get(bytes + CRC_AT) != header_crc(bytes, salt))
        return false;
    const struct jq_block_header header = {
        .payload_size = jq_le32_get(bytes + PAYLOAD_SIZE_AT),
        .record_count = jq_le32_get(bytes + RECORD_COUNT_AT),
        .lsn = jq_le64_get(bytes + LSN_AT),
        .epoch = jq_le64_get(bytes + EPOCH_AT),
        .time_ms = (int64_t)jq_le64_get(bytes + TIME_MS_AT),
        .prev_crc = jq_le32_get(bytes + PREV_CRC_AT),
        .payload_crc = jq_le32_get(bytes + PAYLOAD_CRC_AT),
    };
    if (header.payload_size > JQ_BLOCK_PAYLOAD_SIZE_MAX ||
        header.record_count > header.payload_size / RECORD_SIZE_MIN || header.lsn > JQ_LSN_MAX)
        return false;
    *ret_header = header;
    return true;
}

uint32_t jq_block_stamp(uint8_t *block, uint32_t salt, uint32_t prev_crc) {
    const uint32_t payload_crc = jq_crc32c(0, block + JQ_BLOCK_HEADER_SIZE, jq_le32_get(block + PAYLOAD_SIZE_AT));
    jq_le32_put(block + PREV_CRC_AT, prev_crc);
    jq_le32_put(block + PAYLOAD_CRC_AT, payload_crc);
    jq_le32_put(block + CRC_AT, header_crc(block, salt));
    return payload_crc;
}

static uint32_t varint_size(uint32_t value) {
    return value < (1U << 7) ? 1 : value < (1U << 14) ? 2 : 3;
}

uint32_t jq_record_size(uint32_t body_size) {
    return varint_size(body_size + 1) + 1 + body_size;
}

uint32_t jq_record_put(uint8_t *at, uint8_t type, uint32_t body_size) {
    uint32_t value = body_size + 1;
    uint32_t size = 0;
    while (value >= 0x80) {
        at[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    at[size++] = (uint8_t)value;
    at[size++] = type;
    return size;
}

struct jq_record_cursor jq_record_cursor_of(const struct jq_block_header *header, const uint8_t *payload) {
    return (struct jq_record_cursor){
        .payload = payload,
        .payload_size = header->payload_size,
        .left = header->record_count,
        .payload_lsn = header->lsn + JQ_BLOCK_HEADER_SIZE,
    };
}

/* The shortest form of a size only, of at most 3 bytes. Returns its length, or 0. */
static uint32_t varint_get(const uint8_t *at, uint32_t left, uint32_t *ret_value) {
    uint32_t value = 0;
    for (uint32_t i = 0; i < 3 && i < left; i++) {
        value |= (uint32_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] < 0x80) {
            *ret_value = value;
            return varint_size(value) == i + 1 ? i + 1 : 0;
        }
    }
    return 0;
}

bool jq_record_next(struct jq_record_cursor *cursor, struct jq_log_record *ret_record) {
    const uint32_t left = cursor->payload_size - cursor->at;
    if (cursor->left == 0 || cursor->failed) {
        cursor->failed = cursor->failed || left != 0;
        return false;
    }
    uint32_t size = 0;
    const uint32_t size_size = varint_get(cursor->payload + cursor->at, left, &size);
    if (size_size == 0 || size == 0 || size > left - size_size) {
        cursor->failed = true;
        return false;
    }
    const uint8_t *type = cursor->payload + cursor->at + size_size;
    *ret_record = (struct jq_log_record){
        .lsn = cursor->payload_lsn + cursor->at,
        .type = *type,
        .body = {type + 1, size - 1},
    };
    cursor->at += size_size + size;
    cursor->left--;
    return true;
}
