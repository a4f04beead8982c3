/* zone.c - what the clock shows: the table of a TZif file, then its rule. */
#include "common/zone.h"

#include <stdlib.h>

#include "common/civil.h"
#include "common/zone_rule.h"

struct change {
    int64_t at_s;
    int32_t offset_s; /* from there on */
};

struct jq_zone {
    int32_t first_offset_s; /* before the first change */
    bool ruled;             /* behind the last change the rule holds; else the last offset */
    struct jq_zone_rule rule;
    size_t count;
    struct change changes[];
};

const struct jq_zone jq_zone_utc = {.first_offset_s = 0};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

enum {
    HEADER_SIZE = 44,
    COUNTS_AT = 20,
    TYPE_SIZE = 6,
    TYPES_MAX = 256,
};

/* The counts of a header, in its order. */
struct counts {
    uint32_t is_ut, is_standard, leap, time, type, chars;
};

static uint64_t big_endian(const uint8_t *bytes, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

static enum jq_err read_header(struct jq_bytes rest, struct counts *ret_counts, uint8_t *ret_version,
                               struct jq_error *reterr) {
    if (rest.size < HEADER_SIZE || memcmp(rest.data, "TZif", 4) != 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "not a TZif file");
    uint32_t numbers[6];
    for (size_t i = 0; i < 6; i++) {
        numbers[i] = (uint32_t)big_endian(rest.data + COUNTS_AT + 4 * i, 4);
        if (numbers[i] > JQ_ZONE_FILE_SIZE_MAX)
            return jq_fail(reterr, JQ_ERR_INVALID, "a count of its header is larger than the file");
    }
    *ret_counts = (struct counts){numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]};
    *ret_version = rest.data[4];
    return JQ_OK;
}

/* Of the block behind a header; its counts are at most 64 Ki each, so that nothing here can overflow. */
static size_t block_size(const struct counts *counts, size_t time_size) {
    return counts->time * (time_size + 1) + (size_t)counts->type * TYPE_SIZE + counts->chars +
           counts->leap * (time_size + 4) + counts->is_standard + counts->is_ut;
}

static struct jq_bytes skip(struct jq_bytes bytes, size_t size) {
    return (struct jq_bytes){bytes.data + size, bytes.size - size};
}

/* From the whole file to the block of 64-bit times. */
static enum jq_err find_block(struct jq_bytes tzif, struct counts *ret_counts, struct jq_bytes *ret_block,
                              struct jq_error *reterr) {
    struct counts counts;
    uint8_t version = 0;
    enum jq_err err = read_header(tzif, &counts, &version, reterr);
    if (err != JQ_OK)
        return err;
    if (version < '2')
        return jq_fail(reterr, JQ_ERR_VERSION, "TZif of version 1, which ends in 2038");
    const size_t first_size = HEADER_SIZE + block_size(&counts, 4);
    if (first_size > tzif.size)
        return jq_fail(reterr, JQ_ERR_INVALID, "the TZif file is cut off");
    const struct jq_bytes rest = skip(tzif, first_size);
    err = read_header(rest, &counts, &version, reterr);
    if (err != JQ_OK)
        return err;
    if (block_size(&counts, 8) > rest.size - HEADER_SIZE)
        return jq_fail(reterr, JQ_ERR_INVALID, "the TZif file is cut off");
    *ret_counts = counts;
    *ret_block = skip(rest, HEADER_SIZE);
    return JQ_OK;
}

static enum jq_err check_counts(const struct counts *counts, struct jq_error *reterr) {
    if (counts->leap > 0)
        return jq_fail(reterr, JQ_ERR_UNSUPPORTED, "a time zone with leap seconds");
    if (counts->type == 0 || counts->type > TYPES_MAX)
        return jq_fail(reterr, JQ_ERR_INVALID, "the TZif file has %u kinds of local time", counts->type);
    return JQ_OK;
}

static enum jq_err read_offset(const uint8_t *types, uint32_t type, int32_t *ret_offset_s, struct jq_error *reterr) {
    const int32_t offset_s = (int32_t)(uint32_t)big_endian(types + (size_t)type * TYPE_SIZE, 4);
    if (offset_s > JQ_ZONE_OFFSET_MAX_S || offset_s < -JQ_ZONE_OFFSET_MAX_S)
        return jq_fail(reterr, JQ_ERR_INVALID, "an offset of %d s from UTC", offset_s);
    *ret_offset_s = offset_s;
    return JQ_OK;
}

/* Some files begin with the big bang. */
static int64_t read_time(const uint8_t *bytes) {
    const int64_t at_s = (int64_t)big_endian(bytes, 8);
    return at_s < -JQ_ZONE_AT_MAX_S ? -JQ_ZONE_AT_MAX_S : at_s;
}

/* Changes that leave the offset what it is (of the name alone, say) are left out. */
static enum jq_err read_changes(const struct counts *counts, struct jq_bytes block, struct jq_zone *zone,
                                struct jq_error *reterr) {
    const uint8_t *kinds = block.data + (size_t)counts->time * 8, *types = kinds + counts->time;
    enum jq_err err = read_offset(types, 0, &zone->first_offset_s, reterr);
    int32_t last_offset_s = zone->first_offset_s;
    int64_t before_s = INT64_MIN;
    for (uint32_t i = 0; i < counts->time && err == JQ_OK; i++) {
        const int64_t at_s = read_time(block.data + (size_t)i * 8);
        int32_t offset_s = 0;
        if (kinds[i] >= counts->type || at_s > JQ_ZONE_AT_MAX_S || at_s <= before_s)
            return jq_fail(reterr, JQ_ERR_INVALID, "change %u of the TZif file is out of order", i);
        before_s = at_s;
        err = read_offset(types, kinds[i], &offset_s, reterr);
        if (err == JQ_OK && offset_s != last_offset_s)
            zone->changes[zone->count++] = (struct change){at_s, offset_s};
        last_offset_s = offset_s;
    }
    return err;
}

/* The footer: a line with the rule for the times behind the last change; an empty one says nothing of them. */
static enum jq_err read_footer(struct jq_bytes rest, struct jq_zone *zone, struct jq_error *reterr) {
    if (rest.size < 2 || rest.data[0] != '\n')
        return jq_fail(reterr, JQ_ERR_INVALID, "the TZif file has no footer");
    const uint8_t *end = memchr(rest.data + 1, '\n', rest.size - 1);
    if (!end)
        return jq_fail(reterr, JQ_ERR_INVALID, "the footer of the TZif file has no end");
    const struct jq_str rule = {(const char *)rest.data + 1, (size_t)(end - rest.data) - 1};
    if (rule.size == 0)
        return JQ_OK;
    zone->ruled = true;
    return jq_zone_rule_parse(rule, &zone->rule, reterr);
}

static struct jq_zone *new_zone(size_t count) {
    return calloc(1, sizeof(struct jq_zone) + count * sizeof(struct change));
}

enum jq_err jq_zone_parse(struct jq_bytes tzif, struct jq_zone **ret_zone, struct jq_error *reterr) {
    struct counts counts;
    struct jq_bytes block;
    if (tzif.size > JQ_ZONE_FILE_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "a TZif file of %zu bytes, at most %d", tzif.size,
                       JQ_ZONE_FILE_SIZE_MAX);
    enum jq_err err = find_block(tzif, &counts, &block, reterr);
    if (err == JQ_OK)
        err = check_counts(&counts, reterr);
    if (err != JQ_OK)
        return err;
    struct jq_zone *zone = new_zone(counts.time);
    if (!zone)
        return jq_fail(reterr, JQ_ERR_NOMEM, "time zone");
    err = read_changes(&counts, block, zone, reterr);
    if (err == JQ_OK)
        err = read_footer(skip(block, block_size(&counts, 8)), zone, reterr);
    if (err != JQ_OK) {
        free(zone);
        return err;
    }
    *ret_zone = zone;
    return JQ_OK;
}

enum jq_err jq_zone_of_rule(struct jq_str rule, struct jq_zone **ret_zone, struct jq_error *reterr) {
    struct jq_zone *zone = new_zone(0);
    if (!zone)
        return jq_fail(reterr, JQ_ERR_NOMEM, "time zone");
    const enum jq_err err = jq_zone_rule_parse(rule, &zone->rule, reterr);
    if (err != JQ_OK) {
        free(zone);
        return err;
    }
    zone->ruled = true;
    *ret_zone = zone;
    return JQ_OK;
}

void jq_zone_free(struct jq_zone *zone) {
    free(zone);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* The number of changes up to `at_s`. */
static size_t changes_until(const struct jq_zone *zone, int64_t at_s) {
    size_t low = 0, high = zone->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (zone->changes[middle].at_s <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct jq_zone_span jq_zone_span_at(const struct jq_zone *zone, int64_t at_s) {
    const size_t until = changes_until(zone, at_s);
    const int64_t begin_s = until > 0 ? zone->changes[until - 1].at_s : INT64_MIN;
    if (until < zone->count || !zone->ruled)
        return (struct jq_zone_span){.begin_s = begin_s,
                                     .end_s = until < zone->count ? zone->changes[until].at_s : INT64_MAX,
                                     .offset_s = until > 0 ? zone->changes[until - 1].offset_s : zone->first_offset_s};
    struct jq_zone_span span = jq_zone_rule_span(&zone->rule, at_s);
    if (span.begin_s < begin_s)
        span.begin_s = begin_s;
    return span;
}

/* Before civil_s - JQ_ZONE_OFFSET_MAX_S no clock can have come so far. */
int64_t jq_zone_first_s(const struct jq_zone *zone, int64_t civil_s) {
    struct jq_zone_span span = jq_zone_span_at(zone, civil_s - JQ_ZONE_OFFSET_MAX_S - 1);
    for (;;) {
        const int64_t shown_s = civil_s - span.offset_s;
        const int64_t at_s = shown_s > span.begin_s ? shown_s : span.begin_s;
        if (at_s < span.end_s)
            return at_s;
        span = jq_zone_span_at(zone, span.end_s);
    }
}
