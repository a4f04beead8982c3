#include "broker/journal/segment.h"

#include "broker/journal/block.h"
#include "broker/journal/le.h"
#include "common/crc32c.h"

#include <stdio.h>

static const uint8_t MAGIC[7] = {'J', 'Q', 'L', 'O', 'G', 0, 0};

enum {
    VERSION_AT = 7,
    BASE_LSN_AT = 8,
    LOG_ID_AT = 16,
    EPOCH_AT = 32,
    WALL_MS_AT = 40,
    SALT_AT = 48,
    CHAIN_CRC_AT = 52,
    CARRIED_SIZE_AT = 56,
    CRC_AT = 4092,
    NAME_DIGITS = 20,
};

void jq_segment_header_encode(const struct jq_segment_header *header, uint8_t ret_bytes[JQ_SEGMENT_HEADER_SIZE]) {
    memset(ret_bytes, 0, JQ_SEGMENT_HEADER_SIZE);
    memcpy(ret_bytes, MAGIC, sizeof(MAGIC));
    ret_bytes[VERSION_AT] = JQ_SEGMENT_VERSION;
    jq_le64_put(ret_bytes + BASE_LSN_AT, header->base_lsn);
    memcpy(ret_bytes + LOG_ID_AT, header->log_id.bytes, sizeof(header->log_id.bytes));
    jq_le64_put(ret_bytes + EPOCH_AT, header->epoch);
    jq_le64_put(ret_bytes + WALL_MS_AT, (uint64_t)header->wall_ms);
    jq_le32_put(ret_bytes + SALT_AT, header->salt);
    jq_le32_put(ret_bytes + CHAIN_CRC_AT, header->chain_crc);
    jq_le32_put(ret_bytes + CARRIED_SIZE_AT, header->carried_size);
    jq_le32_put(ret_bytes + CRC_AT, jq_crc32c(0, ret_bytes, CRC_AT));
}

enum jq_err jq_segment_header_decode(const uint8_t bytes[JQ_SEGMENT_HEADER_SIZE], const char *name,
                                     struct jq_segment_header *ret_header, struct jq_error *reterr) {
    if (memcmp(bytes, MAGIC, sizeof(MAGIC)) != 0)
        return jq_fail(reterr, JQ_ERR_CORRUPT, "%s: offset 0: not the header of a journal segment", name);
    /* A newer version may keep its CRC elsewhere, so the version is looked at first. */
    if (bytes[VERSION_AT] > JQ_SEGMENT_VERSION)
        return jq_fail(reterr, JQ_ERR_VERSION,
                       "%s: made by a newer jqmesh: format version %u, this one reads version %d", name,
                       bytes[VERSION_AT], JQ_SEGMENT_VERSION);
    if (jq_le32_get(bytes + CRC_AT) != jq_crc32c(0, bytes, CRC_AT) || bytes[VERSION_AT] == 0)
        return jq_fail(reterr, JQ_ERR_CORRUPT, "%s: offset 0: segment header is damaged (checksum)", name);
    struct jq_segment_header header = {
        .base_lsn = jq_le64_get(bytes + BASE_LSN_AT),
        .epoch = jq_le64_get(bytes + EPOCH_AT),
        .wall_ms = (int64_t)jq_le64_get(bytes + WALL_MS_AT),
        .salt = jq_le32_get(bytes + SALT_AT),
        .chain_crc = jq_le32_get(bytes + CHAIN_CRC_AT),
        .carried_size = jq_le32_get(bytes + CARRIED_SIZE_AT),
    };
    memcpy(header.log_id.bytes, bytes + LOG_ID_AT, sizeof(header.log_id.bytes));
    uint64_t named_lsn = 0;
    if (jq_segment_name_parse(name, &named_lsn) && named_lsn != header.base_lsn)
        return jq_fail(reterr, JQ_ERR_CORRUPT, "%s: the segment's first lsn is %llu: the file was renamed", name,
                       (unsigned long long)header.base_lsn);
    if (header.base_lsn % JQ_BLOCK_ALIGN != 0 || header.base_lsn > JQ_LSN_MAX ||
        header.carried_size > JQ_BLOCK_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_CORRUPT, "%s: offset 0: segment header is out of its bounds", name);
    *ret_header = header;
    return JQ_OK;
}

void jq_segment_name(uint64_t base_lsn, char ret_name[JQ_SEGMENT_NAME_SIZE]) {
    snprintf(ret_name, JQ_SEGMENT_NAME_SIZE, "%020llu.jql", (unsigned long long)base_lsn);
}

bool jq_segment_name_parse(const char *name, uint64_t *ret_base_lsn) {
    if (strlen(name) != JQ_SEGMENT_NAME_SIZE - 1 || strcmp(name + NAME_DIGITS, ".jql") != 0)
        return false;
    uint64_t lsn = 0;
    for (size_t i = 0; i < NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9' || lsn > JQ_LSN_MAX / 10)
            return false;
        lsn = lsn * 10 + (uint64_t)(name[i] - '0');
    }
    if (lsn > JQ_LSN_MAX)
        return false;
    *ret_base_lsn = lsn;
    return true;
}
