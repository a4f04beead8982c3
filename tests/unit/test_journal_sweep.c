/* Every bit of a small log damaged in turn, then random damage: nothing acknowledged is lost unnoticed, no clean log
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/journal/block.h"
#include "broker/journal/scan.h"
#include "tests/lib/logkit.h"
#include "tests/lib/rounds.h"

#include <stdio.h>
#include <stdlib.h>

enum { SEGMENT_SIZE = 10 * 1024, BLOCKS_MAX = 64, RANDOM_ROUNDS = ROUNDS(4000) };

/* A block that counts, and where it stands. */
struct place {
    char path[64];
    uint64_t offset;
    uint32_t payload_size;
    uint32_t size; /* with padding */
    uint64_t first_record;
    uint64_t end_record;
    bool covered; /* a later block, a later segment or a recovery proves that it was acknowledged */
};

struct sweep {
    struct logkit *kit;
    struct place places[BLOCKS_MAX];
    size_t count;
};

/* A log of several segments: rotated, recovered to, recovered to again without a write in between, and a last block
 * that nothing covers. */
static void build_log(struct sweep *sweep) {
    static const uint32_t sizes[] = {8, 15, 40, 127, 500};
    struct logkit *kit = sweep->kit = logkit_new(jq_simdisk_new(7), 7);
    kit->segment_size = kit->first_segment_size = SEGMENT_SIZE;
    assert_int_equal(logkit_open(kit), JQ_OK);
    for (uint32_t i = 0; i < 15; i++)
        assert_int_equal(logkit_commit(kit, i % 4, sizes[i % 5] + (i > 5 ? 700 : 0)), JQ_OK);
    for (int i = 0; i < 2; i++) {
        logkit_close(kit);
        assert_int_equal(logkit_open(kit), JQ_OK);
    }
    assert_int_equal(logkit_commit(kit, 1, 33), JQ_OK);
    logkit_close(kit);
    assert_int_equal(logkit_open(kit), JQ_OK);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(logkit_commit(kit, 2, sizes[i]), JQ_OK);
    logkit_close(kit);
}

static void find_places(struct sweep *sweep) {
    struct jq_segment_list list;
    struct jq_log_scan *scan = NULL;
    struct jq_scan_item item;
    uint64_t record = 0;
    const struct jq_disk *disk = jq_simdisk_disk(sweep->kit->sim);
    assert_int_equal(jq_segment_list_load(disk, LOGKIT_DIR, &list, NULL), JQ_OK);
    assert_int_equal(jq_log_scan_new(disk, LOGKIT_DIR, &list, &scan, NULL), JQ_OK);
    for (;;) {
        assert_int_equal(jq_log_scan_next(scan, &item, NULL), JQ_OK);
        if (item.kind == JQ_SCAN_END)
            break;
        assert_int_equal(item.kind, JQ_SCAN_BLOCK);
        struct place *place = &sweep->places[sweep->count++];
        snprintf(place->path, sizeof(place->path), "%s/%s", LOGKIT_DIR, item.segment->name);
        place->offset = item.offset;
        place->payload_size = item.block.payload_size;
        place->size = jq_block_size(item.block.payload_size);
        place->first_record = record;
        place->end_record = record += item.block.record_count;
        place->covered = true;
    }
    sweep->places[sweep->count - 1].covered = false;
    assert_int_equal(record, sweep->kit->written);
    assert_true(list.count >= 4);
    jq_log_scan_free(scan);
    jq_segment_list_fini(&list);
}

static int set_up(void **state) {
    struct sweep *sweep = calloc(1, sizeof(*sweep));
    build_log(sweep);
    find_places(sweep);
    *state = sweep;
    return 0;
}

static int tear_down(void **state) {
    struct sweep *sweep = *state;
    logkit_free(sweep->kit);
    free(sweep);
    return 0;
}

/* Recovers a copy of the (damaged) disk. Returns what open() said; the kit keeps what was seen. */
static enum jq_err recover_copy(struct sweep *sweep, uint64_t least) {
    struct logkit *kit = sweep->kit;
    struct jq_simdisk *original = kit->sim;
    const uint64_t written = kit->written;
    kit->sim = jq_simdisk_clone(original, 1);
    kit->acked = least;
    kit->epoch = 0;
    const enum jq_err result = logkit_open(kit);
    logkit_close(kit);
    jq_simdisk_free(kit->sim);
    kit->sim = original;
    kit->written = written;
    return result;
}

enum verdict { REFUSED, ALL_THERE, LAST_DROPPED };

static void expect(struct sweep *sweep, enum verdict expected, const char *path, uint64_t offset) {
    struct logkit *kit = sweep->kit;
    const uint64_t uncovered = sweep->places[sweep->count - 1].first_record;
    const enum jq_err result = recover_copy(sweep, expected == LAST_DROPPED ? uncovered : kit->written);
    const bool right = expected == REFUSED ? result != JQ_OK : result == JQ_OK && !kit->wrong;
    if (!right || (expected == LAST_DROPPED && kit->seen != uncovered))
        fail_msg("%s offset %llu: expected %d, got %d (%s), records %llu", path, (unsigned long long)offset,
                 (int)expected, (int)result, kit->error.message, (unsigned long long)kit->seen);
}

static const struct place *place_at(const struct sweep *sweep, const char *path, uint64_t offset) {
    for (size_t i = 0; i < sweep->count; i++) {
        const struct place *place = &sweep->places[i];
        if (strcmp(place->path, path) == 0 && offset >= place->offset && offset < place->offset + place->size)
            return place;
    }
    return NULL;
}

/* What a change of the byte must lead to: the recovery table, seen from the byte. */
static enum verdict verdict_for(const struct sweep *sweep, const char *path, uint64_t offset) {
    if (offset < JQ_SEGMENT_HEADER_SIZE)
        return REFUSED;
    const struct place *place = place_at(sweep, path, offset);
    if (place == NULL || offset >= place->offset + JQ_BLOCK_HEADER_SIZE + place->payload_size)
        return ALL_THERE; /* behind the end, beyond the next base, or padding */
    return place->covered ? REFUSED : LAST_DROPPED;
}

static void sweep_file(struct sweep *sweep, const char *path) {
    uint64_t size = 0;
    assert_non_null(jq_simdisk_peek(sweep->kit->sim, path, &size));
    for (uint64_t offset = 0; offset < size; offset++) {
        const bool block = place_at(sweep, path, offset) != NULL;
        const bool sparse =
            !block && offset >= 64 && offset < size - 8; /* one bit of every byte, of every 16th behind the end */
        if (sparse && offset > JQ_SEGMENT_HEADER_SIZE && offset % 16 != 5)
            continue;
        const bool one_bit = sparse || ROUNDS(8) < 8;
        for (unsigned bit = one_bit ? (unsigned)offset % 8 : 0; bit < 8; bit += one_bit ? 8 : 1) {
            const uint8_t mask = (uint8_t)(1U << bit);
            jq_simdisk_flip(sweep->kit->sim, path, offset, mask);
            expect(sweep, verdict_for(sweep, path, offset), path, offset);
            jq_simdisk_flip(sweep->kit->sim, path, offset, mask);
        }
    }
}

/* One flipped bit, anywhere: a covered block is never lost in silence, the uncovered one is dropped alone, and a flip
 * in bytes that carry nothing harms nothing. */
static void no_flipped_bit_loses_an_acknowledged_record(void **state) {
    struct sweep *sweep = *state;
    struct jq_segment_list list;
    expect(sweep, ALL_THERE, "undamaged", 0);
    assert_int_equal(jq_segment_list_load(jq_simdisk_disk(sweep->kit->sim), LOGKIT_DIR, &list, NULL), JQ_OK);
    for (size_t i = 0; i < list.count; i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/%s", LOGKIT_DIR, list.entries[i].name);
        sweep_file(sweep, path);
    }
    jq_segment_list_fini(&list);
}

/* Overwrites `size` bytes with zeros, ones, noise or a piece of the log from elsewhere. */
static void overwrite(struct sweep *sweep, const char *path, uint64_t offset, size_t size) {
    struct jq_rng *rng = &sweep->kit->rng;
    uint8_t bytes[2048];
    const uint64_t kind = jq_rng_below(rng, 4);
    memset(bytes, kind == 1 ? 0xff : 0, sizeof(bytes));
    for (size_t i = 0; kind == 2 && i < size; i++)
        bytes[i] = (uint8_t)jq_rng_next(rng);
    if (kind == 3) {
        uint64_t file_size = 0;
        const struct place *other = &sweep->places[jq_rng_below(rng, sweep->count)];
        const uint8_t *data = jq_simdisk_peek(sweep->kit->sim, other->path, &file_size);
        memcpy(bytes, data + other->offset, size < other->size ? size : other->size);
    }
    jq_simdisk_poke(sweep->kit->sim, path, offset, bytes, size);
}

/* Records up to the last block that is as it was: what a recovery must find if it accepts the log. */
static uint64_t least_records(struct sweep *sweep, const char *path, uint64_t offset, size_t size,
                              const uint8_t *before) {
    uint64_t file_size = 0;
    uint64_t least = 0;
    for (size_t i = 0; i < sweep->count; i++) {
        const struct place *place = &sweep->places[i];
        const uint64_t end = place->offset + JQ_BLOCK_HEADER_SIZE + place->payload_size;
        bool same = strcmp(place->path, path) != 0 || end <= offset || place->offset >= offset + size;
        const uint8_t *now = jq_simdisk_peek(sweep->kit->sim, place->path, &file_size);
        same = same || memcmp(now + place->offset, before + place->offset, (size_t)(end - place->offset)) == 0;
        if (same || place->covered)
            least = same ? place->end_record : least;
    }
    return least;
}

/* Damage of up to 2 KiB anywhere: a recovery either refuses, or finds every record up to the last block that is still
 * whole. */
static void no_damaged_stretch_hides_behind_a_whole_block(void **state) {
    struct sweep *sweep = *state;
    struct logkit *kit = sweep->kit;
    struct jq_simdisk *original = kit->sim;
    unsigned refused = 0;
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        uint64_t file_size = 0;
        const struct place *place = &sweep->places[jq_rng_below(&kit->rng, sweep->count)];
        const uint8_t *before = jq_simdisk_peek(original, place->path, &file_size);
        const uint64_t offset = place->offset + jq_rng_below(&kit->rng, place->size);
        const size_t size = 1 + (size_t)jq_rng_below(&kit->rng, file_size - offset < 2048 ? file_size - offset : 2048);
        kit->sim = jq_simdisk_clone(original, (uint64_t)round);
        overwrite(sweep, place->path, offset, size);
        const uint64_t least = least_records(sweep, place->path, offset, size, before);
        const enum jq_err result = recover_copy(sweep, least);
        if (result == JQ_OK && kit->wrong)
            fail_msg("round %d: %s offset %llu size %zu: accepted with %llu of %llu records", round, place->path,
                     (unsigned long long)offset, size, (unsigned long long)kit->seen, (unsigned long long)least);
        refused += result != JQ_OK;
        jq_simdisk_free(kit->sim);
    }
    kit->sim = original;
    assert_true(refused > RANDOM_ROUNDS / 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_flipped_bit_loses_an_acknowledged_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_damaged_stretch_hides_behind_a_whole_block, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
