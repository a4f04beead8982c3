/* Headers and records as bytes, and the ring in which blocks are built. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/journal/block.h"
#include "broker/journal/le.h"
#include "broker/journal/ring.h"
#include "broker/journal/segment.h"
#include "common/crc32c.h"
#include "common/rng.h"

#include <stdlib.h>

static const struct jq_segment_header SEGMENT = {
    .base_lsn = 0x0102030405060708,
    .log_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
    .epoch = 77,
    .wall_ms = 1700000000000,
    .salt = 0xdeadbeef,
    .chain_crc = 0xcafe,
    .carried_size = 4096,
};

/* The header of a segment reads back as it was written, and its bytes stand where JOURNAL.md says. */
static void segment_header_has_the_documented_bytes(void **state) {
    (void)state;
    uint8_t bytes[JQ_SEGMENT_HEADER_SIZE];
    struct jq_segment_header header;
    char name[JQ_SEGMENT_NAME_SIZE];
    jq_segment_header_encode(&SEGMENT, bytes);
    jq_segment_name(SEGMENT.base_lsn, name);
    assert_string_equal(name, "00072623859790382856.jql");
    assert_int_equal(jq_segment_header_decode(bytes, name, &header, NULL), JQ_OK);
    assert_memory_equal(&header.log_id, &SEGMENT.log_id, sizeof(header.log_id));
    assert_int_equal(header.base_lsn, SEGMENT.base_lsn);
    assert_int_equal(header.epoch, 77);
    assert_int_equal(header.wall_ms, 1700000000000);
    assert_int_equal(header.salt, 0xdeadbeef);
    assert_int_equal(header.chain_crc, 0xcafe);
    assert_int_equal(header.carried_size, 4096);
    assert_memory_equal(bytes, "JQLOG\0\0\1", 8);
    assert_int_equal(jq_le64_get(bytes + 8), SEGMENT.base_lsn);
    assert_int_equal(jq_le64_get(bytes + 32), 77);
    assert_int_equal(jq_le32_get(bytes + 48), 0xdeadbeef);
    assert_int_equal(jq_le32_get(bytes + 56), 4096);
    assert_int_equal(jq_le32_get(bytes + 4092), jq_crc32c(0, bytes, 4092));
}

/* No flipped bit of a segment header goes unnoticed. */
static void every_bit_of_a_segment_header_is_covered(void **state) {
    (void)state;
    uint8_t bytes[JQ_SEGMENT_HEADER_SIZE];
    struct jq_segment_header header;
    jq_segment_header_encode(&SEGMENT, bytes);
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_not_equal(jq_segment_header_decode(bytes, "x", &header, NULL), JQ_OK);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

/* Only names that a journal gives are names of segments. */
static void only_names_of_segments_parse(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "LOCK",
                                      "spare.tmp",
                                      "0.jql",
                                      "0000000000000000000.jql",
                                      "000000000000000000000.jql",
                                      "00000000000000000000.jql~",
                                      "00000000000000000000.JQL",
                                      "0000000000000000000x.jql",
                                      "99999999999999999999.jql",
                                      "-0000000000000000001.jql"};
    uint64_t lsn = 5;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(jq_segment_name_parse(bad[i], &lsn));
    assert_int_equal(lsn, 5);
    assert_true(jq_segment_name_parse("00000000000000000512.jql", &lsn));
    assert_int_equal(lsn, 512);
}

static size_t make_block(uint8_t *block) {
    const struct jq_block_header header = {
        .payload_size = 10, .record_count = 2, .lsn = 4096, .epoch = 3, .time_ms = 1234567890123};
    memset(block, 0, 64);
    jq_block_header_put(&header, block);
    const uint32_t first = jq_record_put(block + JQ_BLOCK_HEADER_SIZE, 7, 4);
    memcpy(block + JQ_BLOCK_HEADER_SIZE + first, "abcd", 4);
    jq_record_put(block + JQ_BLOCK_HEADER_SIZE + 6, 255, 2);
    memcpy(block + JQ_BLOCK_HEADER_SIZE + 8, "ef", 2);
    jq_block_stamp(block, 0x5a17, 0xc4a1);
    return jq_block_size(header.payload_size);
}

/* A block reads back as it was written, and its bytes stand where JOURNAL.md says. */
static void block_has_the_documented_bytes(void **state) {
    (void)state;
    uint8_t block[64];
    struct jq_block_header header;
    assert_int_equal(make_block(block), 64);
    assert_true(jq_block_header_decode(block, 0x5a17, &header));
    assert_int_equal(header.lsn, 4096);
    assert_int_equal(header.epoch, 3);
    assert_int_equal(header.time_ms, 1234567890123);
    assert_int_equal(header.prev_crc, 0xc4a1);
    assert_memory_equal(block, "JQBK", 4);
    assert_int_equal(jq_le32_get(block + 4), jq_crc32c(0x5a17, block + 8, 40));
    assert_int_equal(jq_le32_get(block + 8), 10);
    assert_int_equal(jq_le32_get(block + 12), 2);
    assert_int_equal(jq_le64_get(block + 16), 4096);
    assert_int_equal(jq_le32_get(block + 40), 0xc4a1);
    assert_int_equal(jq_le32_get(block + 44), jq_crc32c(0, block + 48, 10));
    assert_memory_equal(block + 48, "\5\7abcd\3\377ef", 10);
}

/* No flipped bit of a block header goes unnoticed, nor another salt. */
static void every_bit_of_a_block_header_is_covered(void **state) {
    (void)state;
    uint8_t block[64];
    struct jq_block_header header;
    make_block(block);
    for (size_t bit = 0; bit < 8 * JQ_BLOCK_HEADER_SIZE; bit++) {
        block[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(jq_block_header_decode(block, 0x5a17, &header));
        block[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(jq_block_header_decode(block, 0x5a17 ^ (1U << bit % 32), &header));
    }
}

/* A header whose checksum holds over a size or a count beyond the limits is refused all the same. */
static void header_out_of_bounds_is_refused(void **state) {
    (void)state;
    static const struct jq_block_header bad[] = {
        {.payload_size = JQ_BLOCK_PAYLOAD_SIZE_MAX + 1},
        {.payload_size = 9, .record_count = 5},
        {.lsn = JQ_LSN_MAX + 1},
    };
    uint8_t *block = calloc(1, JQ_BLOCK_SIZE_MAX + 8);
    struct jq_block_header header;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        jq_block_header_put(&bad[i], block);
        jq_block_stamp(block, 1, 0);
        assert_false(jq_block_header_decode(block, 1, &header));
    }
    free(block);
}

/* Records of every size at which the form of the size changes read back; an empty body is a body. */
static void records_of_all_sizes_read_back(void **state) {
    (void)state;
    static const uint32_t sizes[] = {0, 1, 125, 126, 127, 16381, 16382, 16383, JQ_RECORD_BODY_SIZE_MAX};
    uint8_t *payload = calloc(1, JQ_BLOCK_PAYLOAD_SIZE_MAX);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const uint32_t size = jq_record_size(sizes[i]);
        assert_int_equal(jq_record_put(payload, 9, sizes[i]), size - sizes[i]);
        const struct jq_block_header header = {.payload_size = size, .record_count = 1, .lsn = 1000};
        struct jq_record_cursor cursor = jq_record_cursor_of(&header, payload);
        struct jq_log_record record;
        assert_true(jq_record_next(&cursor, &record));
        assert_int_equal(record.lsn, 1048);
        assert_int_equal(record.type, 9);
        assert_int_equal(record.body.size, sizes[i]);
        assert_ptr_equal(record.body.data, payload + size - sizes[i]);
        assert_false(jq_record_next(&cursor, &record));
        assert_false(cursor.failed);
    }
    free(payload);
}

/* Records that do not fill their block exactly are refused, wherever the lie is. */
static void malformed_records_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        uint32_t size;
        uint32_t count;
    } bad[] = {
        {"", 0, 1},                        /* promised, not there */
        {"\2a", 2, 1},                     /* longer than the payload */
        {"\0\0", 2, 1},                    /* no type */
        {"\1a\1b", 4, 1},                  /* bytes left over */
        {"\1a", 2, 2},                     /* a second one promised */
        {"\200", 1, 1},                    /* a size cut off */
        {"\200\200\200\0a", 5, 1},         /* a size of four bytes */
        {"\201\0a", 3, 1},                 /* a size not in its shortest form */
        {"\377\377\177aaaaaaaaaa", 13, 1}, /* a size beyond everything */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct jq_block_header header = {.payload_size = bad[i].size, .record_count = bad[i].count};
        struct jq_record_cursor cursor = jq_record_cursor_of(&header, (const uint8_t *)bad[i].bytes);
        struct jq_log_record record;
        while (jq_record_next(&cursor, &record))
            continue;
        if (!cursor.failed)
            fail_msg("case %zu was accepted", i);
    }
}

static struct jq_log_ring *new_ring(uint64_t lsn) {
    struct jq_log_ring *ring = NULL;
    assert_int_equal(jq_log_ring_new(JQ_LOG_RING_SIZE_MIN, lsn, &ring, NULL), JQ_OK);
    return ring;
}

/* A record in the ring, for the shadow log. */
struct kept {
    uint64_t lsn;
    size_t size;
};

/* Looks up some of the `count` records: what is found is right, and what is recent is found. */
static void look_up(const struct jq_log_ring *ring, const uint8_t *shadow, const struct kept *kept, size_t count,
                    struct jq_rng *rng) {
    const uint64_t recent = JQ_LOG_RING_SIZE_MIN - 3 * (uint64_t)JQ_BLOCK_SIZE_MAX;
    for (int i = 0; i < 4 && count > 0; i++) {
        const struct kept *record = &kept[count - 1 - jq_rng_below(rng, count < 1000 ? count : 1000)];
        const uint8_t *bytes = jq_log_ring_find(ring, record->lsn, record->size);
        if (bytes != NULL)
            assert_memory_equal(bytes, shadow + record->lsn, record->size);
        else
            assert_true(jq_log_ring_end_lsn(ring) - record->lsn > recent);
    }
}

/* What went into the ring is found under its LSN, at once and after sealing, until it was overwritten; and the sealed
 * bytes are those records. Shadow: the whole log in plain memory. */
static void ring_gives_back_what_went_in(void **state) {
    (void)state;
    enum { LOG_SIZE = 40 * 1024 * 1024, KEPT_MAX = 100000 };
    uint8_t *shadow = calloc(1, LOG_SIZE + JQ_BLOCK_SIZE_MAX);
    uint8_t *body = malloc(1 << 18);
    struct kept *kept = calloc(KEPT_MAX, sizeof(*kept));
    struct jq_log_ring *ring = new_ring(0);
    struct jq_rng rng;
    size_t count = 0;
    jq_rng_init(&rng, 1);
    for (uint64_t end_lsn = 0; end_lsn < LOG_SIZE;) {
        assert_true(jq_log_ring_begin(ring, 1, 2));
        for (uint64_t left = jq_rng_below(&rng, 12); left > 0; left--) {
            const size_t size = (size_t)jq_rng_below(&rng, UINT64_C(1) << jq_rng_below(&rng, 18));
            memset(body, (int)jq_rng_below(&rng, 256), size);
            kept[count].lsn = jq_log_ring_append(ring, 3, (struct jq_bytes){body, size});
            kept[count].size = jq_record_size((uint32_t)size);
            const uint8_t *bytes = jq_log_ring_find(ring, kept[count].lsn, kept[count].size);
            assert_non_null(bytes);
            memcpy(shadow + kept[count].lsn, bytes, kept[count].size);
            assert_memory_equal(bytes + kept[count].size - size, body, size);
            count++;
        }
        look_up(ring, shadow, kept, count, &rng);
        const struct jq_sealed_block sealed = jq_log_ring_seal(ring);
        assert_int_equal(sealed.lsn, end_lsn);
        assert_memory_equal(sealed.data + JQ_BLOCK_HEADER_SIZE, shadow + end_lsn + JQ_BLOCK_HEADER_SIZE,
                            sealed.size_bytes - JQ_BLOCK_HEADER_SIZE);
        end_lsn += sealed.size_bytes;
        jq_log_ring_release(ring, end_lsn);
        look_up(ring, shadow, kept, count, &rng);
    }
    jq_log_ring_free(ring);
    free(kept);
    free(body);
    free(shadow);
}

/* The newest megabytes stay: a record is found, whole and right, long after its block was sealed, also across the end
 * of the ring. */
static void ring_keeps_the_newest_records(void **state) {
    (void)state;
    enum { COUNT = 3000, KEPT = 400, BODY = 10000 };
    static uint64_t lsns[COUNT];
    static uint8_t body[BODY];
    struct jq_log_ring *ring = new_ring(8 * 1000);
    for (size_t i = 0; i < COUNT; i++) {
        memset(body, (int)(i % 251), sizeof(body));
        assert_true(jq_log_ring_begin(ring, 1, 2));
        assert_int_not_equal(jq_log_ring_append(ring, 1, (struct jq_bytes){body, i % 7}), 0);
        lsns[i] = jq_log_ring_append(ring, 1, (struct jq_bytes){body, sizeof(body)});
        const struct jq_sealed_block sealed = jq_log_ring_seal(ring);
        jq_log_ring_release(ring, sealed.lsn + sealed.size_bytes);
        for (size_t back = 0; back <= i && back < KEPT; back += 37) {
            const uint8_t *bytes = jq_log_ring_find(ring, lsns[i - back], BODY + 3);
            assert_non_null(bytes);
            assert_int_equal(bytes[3], (i - back) % 251);
            assert_memory_equal(bytes + 3, bytes + 4, BODY - 1);
        }
    }
    assert_null(jq_log_ring_find(ring, lsns[0], BODY + 3));
    assert_null(jq_log_ring_find(ring, jq_log_ring_end_lsn(ring), 1));
    assert_null(jq_log_ring_find(ring, 0, 1));
    jq_log_ring_free(ring);
}

/* A full block says so by 0 and stays as it is; the largest record fits an empty block exactly, one byte more fits
 * none. */
static void full_block_takes_no_more(void **state) {
    (void)state;
    struct jq_log_ring *ring = new_ring(0);
    uint8_t *body = calloc(1, JQ_RECORD_BODY_SIZE_MAX + 1);
    assert_true(jq_log_ring_begin(ring, 1, 2));
    assert_int_equal(jq_log_ring_append(ring, 1, (struct jq_bytes){body, (size_t)JQ_RECORD_BODY_SIZE_MAX + 1}), 0);
    assert_int_equal(jq_log_ring_append(ring, 1, (struct jq_bytes){body, JQ_RECORD_BODY_SIZE_MAX}),
                     JQ_BLOCK_HEADER_SIZE);
    assert_int_equal(jq_log_ring_append(ring, 1, (struct jq_bytes){body, 0}), 0);
    assert_int_equal(jq_log_ring_record_count(ring), 1);
    assert_int_equal(jq_log_ring_seal(ring).size_bytes, JQ_BLOCK_SIZE_MAX);
    free(body);
    jq_log_ring_free(ring);
}

/* A block that is not released is never overwritten: begin refuses until it is. */
static void unreleased_blocks_are_not_overwritten(void **state) {
    (void)state;
    struct jq_log_ring *ring = new_ring(0);
    uint8_t *body = calloc(1, JQ_RECORD_BODY_SIZE_MAX);
    struct jq_sealed_block first = {.data = NULL};
    int count = 0;
    for (; jq_log_ring_begin(ring, 1, 2); count++) {
        memset(body, count, JQ_RECORD_BODY_SIZE_MAX);
        jq_log_ring_append(ring, 1, (struct jq_bytes){body, JQ_RECORD_BODY_SIZE_MAX});
        const struct jq_sealed_block sealed = jq_log_ring_seal(ring);
        first = count == 0 ? sealed : first;
    }
    assert_true(count >= 4);
    assert_int_equal(first.data[JQ_BLOCK_HEADER_SIZE + 100], 0);
    assert_int_equal(first.data[JQ_BLOCK_SIZE_MAX - 1], 0);
    jq_log_ring_release(ring, first.lsn + 2 * (uint64_t)first.size_bytes);
    assert_true(jq_log_ring_begin(ring, 1, 2));
    free(body);
    jq_log_ring_free(ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_header_has_the_documented_bytes),
        cmocka_unit_test(every_bit_of_a_segment_header_is_covered),
        cmocka_unit_test(only_names_of_segments_parse),
        cmocka_unit_test(block_has_the_documented_bytes),
        cmocka_unit_test(every_bit_of_a_block_header_is_covered),
        cmocka_unit_test(header_out_of_bounds_is_refused),
        cmocka_unit_test(records_of_all_sizes_read_back),
        cmocka_unit_test(malformed_records_are_refused),
        cmocka_unit_test(ring_gives_back_what_went_in),
        cmocka_unit_test(ring_keeps_the_newest_records),
        cmocka_unit_test(full_block_takes_no_more),
        cmocka_unit_test(unreleased_blocks_are_not_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
