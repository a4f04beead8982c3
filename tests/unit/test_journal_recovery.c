/* The recovery table of broker/JOURNAL.md, row by row, on a simulated disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/journal/block.h"
#include "broker/journal/repair.h"
#include "broker/journal/segment.h"
#include "tests/lib/logkit.h"

#include <errno.h>

enum { BODY = 100 };

#define SEGMENT_0 LOGKIT_DIR "/00000000000000000000.jql"

static void fill_random(void *ctx, void *data, size_t size) {
    struct logkit *kit = ctx;
    uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)jq_rng_next(&kit->rng);
}

static struct logkit *new_kit(void) {
    struct logkit *kit = logkit_new(jq_simdisk_new(1), 1);
    assert_int_equal(logkit_open(kit), JQ_OK);
    return kit;
}

static void commit_blocks(struct logkit *kit, int count) {
    for (int i = 0; i < count; i++)
        assert_int_equal(logkit_commit(kit, 2, BODY), JQ_OK);
}

static void reopen(struct logkit *kit) {
    logkit_close(kit);
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_false(kit->wrong);
}

static void expect_refusal(struct logkit *kit, enum jq_err code, const char *words) {
    logkit_close(kit);
    assert_int_equal(logkit_open(kit), code);
    if (strstr(kit->error.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", kit->error.message, words);
}

static void path_of(uint64_t base_lsn, char path[64]) {
    char name[JQ_SEGMENT_NAME_SIZE];
    jq_segment_name(base_lsn, name);
    memcpy(path, LOGKIT_DIR "/", sizeof(LOGKIT_DIR));
    memcpy(path + sizeof(LOGKIT_DIR), name, sizeof(name));
}

/* Offset in segment 0 of the record with that number. */
static uint64_t offset_of(const struct logkit *kit, uint64_t record) {
    return JQ_SEGMENT_HEADER_SIZE + kit->lsns[record];
}

/* An empty folder becomes a log with epoch 1 that begins at 0. */
static void log_is_born_with_epoch_1(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    assert_true(kit->report.born);
    assert_int_equal(kit->report.epoch, 1);
    assert_int_equal(kit->report.end_lsn, 0);
    reopen(kit);
    assert_false(kit->report.born);
    assert_int_equal(kit->report.epoch, 2);
    logkit_free(kit);
}

/* Zeros behind the last block are a clean end: everything is there, nothing is reported as torn. */
static void clean_end_loses_nothing(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 3);
    reopen(kit);
    assert_int_equal(kit->seen, 6);
    assert_int_equal(kit->report.torn_bytes, 0);
    assert_int_equal(kit->report.block_count, 3);
    assert_int_equal(kit->report.record_count, 6);
    assert_int_equal(kit->report.last_time_ms, 5004);
    logkit_free(kit);
}

/* A log that ends exactly with its file is a clean end too. */
static void end_of_file_is_a_clean_end(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 3);
    assert_true(jq_simdisk_truncate(
        kit->sim, SEGMENT_0, JQ_SEGMENT_HEADER_SIZE + kit->report.end_lsn + jq_journal_durable_lsn(kit->journal)));
    reopen(kit);
    assert_int_equal(kit->seen, 6);
    assert_int_equal(kit->report.torn_bytes, 0);
    logkit_free(kit);
}

/* A bad block with nothing behind it, at the end, was never acknowledged (or not covered yet): it is dropped, and
 * said. */
static void torn_tail_is_dropped_and_reported(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 3);
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 4) + 10, 1);
    kit->acked = 4;
    reopen(kit);
    assert_int_equal(kit->seen, 4);
    assert_int_equal(kit->report.torn_bytes, jq_block_size(2 * jq_record_size(BODY)));
    commit_blocks(kit, 2);
    reopen(kit);
    assert_int_equal(kit->seen, 8);
    assert_int_equal(kit->report.torn_bytes, 0);
    logkit_free(kit);
}

/* A torn tail whose header never reached the disk, while its payload did, is a torn tail as well. */
static void tail_without_header_is_torn(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    static const uint8_t zeros[JQ_BLOCK_HEADER_SIZE];
    commit_blocks(kit, 2);
    jq_simdisk_poke(kit->sim, SEGMENT_0, offset_of(kit, 2) - JQ_BLOCK_HEADER_SIZE, zeros, sizeof(zeros));
    kit->acked = 2;
    reopen(kit);
    assert_int_equal(kit->seen, 2);
    assert_true(kit->report.torn_bytes > JQ_BLOCK_HEADER_SIZE);
    logkit_free(kit);
}

/* A bad block that a valid one follows was acknowledged: its successor was written only after its sync. */
static void damage_before_a_valid_block_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 3);
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 2) + 10, 1);
    expect_refusal(kit, JQ_ERR_CORRUPT,
                   "00000000000000000000.jql: offset 4352, lsn 256: a block with a damaged payload");
    expect_refusal(kit, JQ_ERR_CORRUPT, "yet a valid block header follows; 256 bytes in doubt");
    logkit_free(kit);
}

/* The same if its header has become zeros: that looks like an end, but the log goes on behind it. */
static void wiped_header_before_a_valid_block_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    static const uint8_t zeros[300];
    commit_blocks(kit, 4);
    jq_simdisk_poke(kit->sim, SEGMENT_0, JQ_SEGMENT_HEADER_SIZE, zeros, sizeof(zeros));
    expect_refusal(kit, JQ_ERR_CORRUPT, "offset 4096, lsn 0: no valid block header");
    logkit_free(kit);
}

/* A refusal changes nothing: the next attempt sees the same log, and the damage undone, all of it. */
static void refusal_leaves_the_log_alone(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 3);
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 2) + 10, 1);
    const uint64_t changes = jq_simdisk_op_count(kit->sim, JQ_SIMDISK_CHANGE);
    expect_refusal(kit, JQ_ERR_CORRUPT, "in doubt");
    assert_int_equal(jq_simdisk_op_count(kit->sim, JQ_SIMDISK_CHANGE), changes);
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 2) + 10, 1);
    reopen(kit);
    assert_int_equal(kit->seen, 6);
    logkit_free(kit);
}

/* One empty block covers the block before it: damage to that is now told from a torn tail. */
static void empty_block_covers_the_last_one(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 1);
    assert_int_equal(logkit_commit(kit, 0, BODY), JQ_OK);
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 1), 0x80);
    expect_refusal(kit, JQ_ERR_CORRUPT, "offset 4096, lsn 0");
    logkit_free(kit);
}

/* What a recovery found last is acknowledged by serving it: the copy that it wrote is covered at once. */
static void carried_block_is_covered_without_a_successor(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 1);
    reopen(kit);
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 1), 0x80);
    expect_refusal(kit, JQ_ERR_CORRUPT, "where recovery had put the last block");
    logkit_free(kit);
}

/* A file cut off within the carried block is damage, however little of it is left. */
static void cut_carried_block_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 1);
    reopen(kit);
    jq_simdisk_truncate(kit->sim, SEGMENT_0, JQ_SEGMENT_HEADER_SIZE + 8);
    expect_refusal(kit, JQ_ERR_CORRUPT, "where recovery had put the last block");
    logkit_free(kit);
}

/* Fills segment 0 until the log goes on in a second one. Returns the second one's base. */
static uint64_t rotate_once(struct logkit *kit) {
    struct jq_journal_stat stat;
    do {
        commit_blocks(kit, 1);
        jq_journal_stat(kit->journal, &stat);
    } while (stat.segment_count < 2);
    return jq_journal_durable_lsn(kit->journal) - jq_block_size(2 * jq_record_size(BODY));
}

/* The last block of a segment was synced before the next segment was begun: below its base nothing may be missing. */
static void bad_last_block_of_an_older_segment_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    rotate_once(kit);
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, kit->written - 3), 1);
    expect_refusal(kit, JQ_ERR_CORRUPT, "yet the next segment follows");
    logkit_free(kit);
}

/* The first block of a rotated segment may be torn: it was never acknowledged. The log goes on from the older segment,
 * and the empty newer one disappears. */
static void torn_first_block_after_a_rotation_is_dropped(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    char path[64];
    uint64_t size = 0;
    const uint64_t base_lsn = rotate_once(kit);
    path_of(base_lsn, path);
    jq_simdisk_flip(kit->sim, path, JQ_SEGMENT_HEADER_SIZE + 60, 1);
    kit->acked -= 2;
    reopen(kit);
    assert_int_equal(kit->report.end_lsn, base_lsn);
    assert_null(jq_simdisk_peek(kit->sim, path, &size));
    commit_blocks(kit, 1);
    reopen(kit);
    assert_int_equal(kit->report.epoch, 3);
    logkit_free(kit);
}

/* Where two segments overlap, the later one counts, and that is told by the epoch: should the empty segment of above
 * come back from the dead, it ends nothing. */
static void segment_of_an_older_epoch_ends_no_newer_one(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    char path[64];
    uint64_t size = 0;
    uint8_t bytes[JQ_SEGMENT_HEADER_SIZE];
    struct jq_file *file = NULL;
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    path_of(rotate_once(kit), path);
    memcpy(bytes, jq_simdisk_peek(kit->sim, path, &size), sizeof(bytes));
    jq_simdisk_flip(kit->sim, path, JQ_SEGMENT_HEADER_SIZE + 60, 1);
    kit->acked -= 2;
    reopen(kit);
    commit_blocks(kit, 3);
    logkit_close(kit);
    assert_int_equal(disk->open(disk->ctx, path, JQ_DISK_CREATE, &file, NULL), JQ_OK);
    assert_int_equal(disk->write(disk->ctx, file, bytes, sizeof(bytes), 0, NULL), JQ_OK);
    assert_int_equal(disk->allocate(disk->ctx, file, size, NULL), JQ_OK);
    disk->close(disk->ctx, file);
    reopen(kit);
    assert_null(jq_simdisk_peek(kit->sim, path, &size));
    logkit_free(kit);
}

/* A segment that is missing in the middle is a gap, not an end. */
static void missing_segment_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    char path[64];
    path_of(rotate_once(kit), path);
    reopen(kit);
    commit_blocks(kit, 200);
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    assert_int_equal(disk->unlink(disk->ctx, path, NULL), JQ_OK);
    expect_refusal(kit, JQ_ERR_CORRUPT, "yet the next segment follows");
    logkit_free(kit);
}

/* The oldest segments may be missing: that is what deletion leaves. */
static void missing_oldest_segment_is_no_damage(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    rotate_once(kit);
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    assert_int_equal(disk->unlink(disk->ctx, SEGMENT_0, NULL), JQ_OK);
    kit->deleted = kit->written;
    reopen(kit);
    assert_true(kit->first_seen > 0);
    logkit_free(kit);
}

/* Bytes of an older segment behind the base of the next one are never read. */
static void bytes_beyond_the_next_base_do_not_count(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 2);
    reopen(kit); /* its segment begins at the second block, which segment 0 holds as well */
    commit_blocks(kit, 1);
    assert_true(jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 2) + 5, 0xff));
    reopen(kit);
    assert_int_equal(kit->seen, 6);
    logkit_free(kit);
}

/* A valid block that does not continue the block before it is damage, whatever its own checksums say. */
static void broken_chain_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    struct jq_segment_header header;
    uint64_t size = 0;
    commit_blocks(kit, 2);
    const uint8_t *bytes = jq_simdisk_peek(kit->sim, SEGMENT_0, &size);
    uint8_t block[1024];
    const uint64_t offset = offset_of(kit, 2) - JQ_BLOCK_HEADER_SIZE;
    const uint32_t block_size = jq_block_size(2 * jq_record_size(BODY));
    assert_int_equal(jq_segment_header_decode(bytes, "x", &header, NULL), JQ_OK);
    memcpy(block, bytes + offset, block_size);
    jq_block_stamp(block, header.salt, 12345);
    jq_simdisk_poke(kit->sim, SEGMENT_0, offset, block, block_size);
    expect_refusal(kit, JQ_ERR_CORRUPT, "does not follow the one before it (chain)");
    logkit_free(kit);
}

/* Copies the block at that LSN of segment 0 to the end of the log there: as it is, or as one that belongs there, but
 * for the salt. */
static void put_behind_the_end(struct logkit *kit, uint64_t block_lsn, bool right_lsn, uint32_t salt_flip) {
    struct jq_segment_header segment;
    struct jq_block_header header;
    uint8_t block[1024];
    uint64_t size = 0;
    const uint64_t end_lsn = jq_journal_durable_lsn(kit->journal);
    const uint8_t *bytes = jq_simdisk_peek(kit->sim, SEGMENT_0, &size);
    assert_int_equal(jq_segment_header_decode(bytes, "x", &segment, NULL), JQ_OK);
    assert_true(jq_block_header_decode(bytes + JQ_SEGMENT_HEADER_SIZE + block_lsn, segment.salt, &header));
    memcpy(block, bytes + JQ_SEGMENT_HEADER_SIZE + block_lsn, jq_block_size(header.payload_size));
    header.lsn = right_lsn ? end_lsn : header.lsn;
    jq_block_header_put(&header, block);
    jq_block_stamp(block, segment.salt ^ salt_flip, right_lsn ? header.payload_crc : header.prev_crc);
    jq_simdisk_poke(kit->sim, SEGMENT_0, JQ_SEGMENT_HEADER_SIZE + end_lsn, block, jq_block_size(header.payload_size));
}

/* What a recycled segment still holds of its former life bears another salt: it is not a part of this log, however well
 * it fits. */
static void block_of_another_salt_does_not_count(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 1);
    const uint64_t end_lsn = jq_journal_durable_lsn(kit->journal);
    put_behind_the_end(kit, 0, true, 1);
    reopen(kit);
    assert_int_equal(kit->seen, 2);
    assert_int_equal(kit->report.end_lsn, end_lsn);
    logkit_free(kit);
}

/* A write that went to the wrong place is no block there, though checksums and (for empty blocks) even the chain
 * hold. */
static void block_of_another_place_does_not_count(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    assert_int_equal(logkit_commit(kit, 0, BODY), JQ_OK);
    assert_int_equal(logkit_commit(kit, 0, BODY), JQ_OK);
    put_behind_the_end(kit, JQ_BLOCK_HEADER_SIZE, false, 0);
    reopen(kit);
    assert_int_equal(kit->report.block_count, 2);
    assert_in_range(kit->report.torn_bytes, 1, JQ_BLOCK_HEADER_SIZE);
    logkit_free(kit);
}

/* Rewrites the header of segment 0 as `change` wants it, with a good checksum. */
static void change_header(struct logkit *kit, const char *path, void (*change)(struct jq_segment_header *)) {
    uint64_t size = 0;
    uint8_t bytes[JQ_SEGMENT_HEADER_SIZE];
    struct jq_segment_header header;
    assert_int_equal(jq_segment_header_decode(jq_simdisk_peek(kit->sim, path, &size), "x", &header, NULL), JQ_OK);
    change(&header);
    jq_segment_header_encode(&header, bytes);
    jq_simdisk_poke(kit->sim, path, 0, bytes, sizeof(bytes));
}

static void break_chain(struct jq_segment_header *header) {
    header->chain_crc ^= 1;
}

static void change_log_id(struct jq_segment_header *header) {
    header->log_id.bytes[15] ^= 1;
}

/* The chain holds from segment to segment, too. */
static void broken_chain_between_segments_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    char path[64];
    path_of(rotate_once(kit), path);
    change_header(kit, path, break_chain);
    expect_refusal(kit, JQ_ERR_CORRUPT, "does not follow the last block of the one before it");
    logkit_free(kit);
}

/* A segment of another log among ours is a foreign file, and named. */
static void foreign_segment_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    char path[64];
    path_of(rotate_once(kit), path);
    change_header(kit, path, change_log_id);
    expect_refusal(kit, JQ_ERR_FOREIGN, path + sizeof(LOGKIT_DIR));
    logkit_free(kit);
}

/* A newer format is not guessed at: the message names both versions. */
static void newer_version_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 1);
    jq_simdisk_poke(kit->sim, SEGMENT_0, 7, "\x02", 1);
    expect_refusal(kit, JQ_ERR_VERSION, "format version 2, this one reads version 1");
    logkit_free(kit);
}

/* A damaged segment header is damage; so is a file that is too short to have one. */
static void damaged_segment_header_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 1);
    jq_simdisk_flip(kit->sim, SEGMENT_0, 2000, 1);
    expect_refusal(kit, JQ_ERR_CORRUPT, "segment header is damaged");
    jq_simdisk_truncate(kit->sim, SEGMENT_0, 100);
    expect_refusal(kit, JQ_ERR_CORRUPT, "shorter than the header");
    logkit_free(kit);
}

/* A segment under the name of another place is not taken for what it says. */
static void renamed_segment_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 1);
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    disk->rename(disk->ctx, SEGMENT_0, LOGKIT_DIR "/00000000000000000512.jql", NULL);
    expect_refusal(kit, JQ_ERR_CORRUPT, "the file was renamed");
    logkit_free(kit);
}

/* A log that begins in the middle and holds no valid block has lost what it was for. */
static void log_without_any_block_is_refused_unless_newborn(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    char path[64];
    path_of(rotate_once(kit), path);
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    assert_int_equal(disk->unlink(disk->ctx, SEGMENT_0, NULL), JQ_OK);
    jq_simdisk_flip(kit->sim, path, JQ_SEGMENT_HEADER_SIZE + 8, 1);
    expect_refusal(kit, JQ_ERR_CORRUPT, "no valid block in a log that begins at lsn");
    logkit_free(kit);
}

/* A disk that cannot read says so; it is not taken for the end of the log. */
static void read_error_is_no_end_of_the_log(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 3);
    logkit_close(kit);
    for (uint64_t skip = 0; skip < 3; skip++) {
        jq_simdisk_fail(kit->sim, JQ_SIMDISK_READ, skip, EIO);
        assert_int_equal(logkit_open(kit), JQ_ERR_IO);
    }
    reopen(kit);
    assert_int_equal(kit->seen, 6);
    logkit_free(kit);
}

/* Restarts without a write go on for ever: each takes the place of the one before, and nothing piles up. */
static void idle_restarts_leave_one_segment(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 1);
    for (uint64_t i = 0; i < 20; i++) {
        reopen(kit);
        assert_int_equal(kit->report.segment_count, 1);
        assert_int_equal(kit->report.epoch, i + 2);
        assert_int_equal(kit->seen, 2);
    }
    logkit_free(kit);
}

/* One broker owns the folder: a second one is told so, and the first goes on undisturbed. */
static void second_broker_is_refused(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    struct logkit *second = logkit_new(kit->sim, 2);
    assert_int_equal(logkit_open(second), JQ_ERR_LOCKED);
    commit_blocks(kit, 1);
    second->sim = NULL;
    logkit_free(second);
    logkit_free(kit);
}

static enum jq_err refuse_record(void *ctx, const struct jq_block_info *info, const struct jq_log_record *record,
                                 struct jq_error *reterr) {
    (void)ctx;
    (void)info;
    return jq_fail(reterr, JQ_ERR_CORRUPT, "record at lsn %llu makes no sense", (unsigned long long)record->lsn);
}

/* What replay refuses, recovery refuses, before it changes anything. */
static void error_of_a_replay_ends_the_recovery(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 1);
    logkit_close(kit);
    const struct jq_journal_config config = {.disk = jq_simdisk_disk(kit->sim),
                                             .dir = JQ_STR(LOGKIT_DIR),
                                             .segment_size_bytes = 16384,
                                             .first_segment_size_bytes = 16384};
    const struct jq_journal_replay replay = {.on_record = refuse_record};
    struct jq_journal *journal = NULL;
    struct jq_recovery_report report;
    struct jq_error error;
    const uint64_t changes = jq_simdisk_op_count(kit->sim, JQ_SIMDISK_CHANGE);
    assert_int_equal(jq_journal_open(&config, &replay, &report, &journal, &error), JQ_ERR_CORRUPT);
    assert_string_equal(error.message, "record at lsn 48 makes no sense");
    assert_int_equal(jq_simdisk_op_count(kit->sim, JQ_SIMDISK_CHANGE), changes);
    logkit_free(kit);
}

static struct jq_journal_config config_of(struct logkit *kit) {
    return (struct jq_journal_config){.disk = jq_simdisk_disk(kit->sim),
                                      .dir = JQ_STR(LOGKIT_DIR),
                                      .segment_size_bytes = kit->segment_size,
                                      .first_segment_size_bytes = kit->first_segment_size,
                                      .random = fill_random,
                                      .random_ctx = kit};
}

static enum jq_err repair(struct logkit *kit, const char *copy_dir) {
    const struct jq_journal_config config = config_of(kit);
    struct jq_repair_report report;
    logkit_close(kit);
    const enum jq_err result = jq_journal_repair(&config, copy_dir, &report, &kit->error);
    if (result == JQ_OK) {
        assert_true(report.recovery.cut);
        assert_true(report.file_count > 0);
    }
    return result;
}

/* What was acknowledged before the damage: no more is asked of a repaired log. */
static void expect_records(struct logkit *kit, uint64_t count) {
    kit->acked = count;
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_false(kit->wrong);
    assert_int_equal(kit->seen, count);
    commit_blocks(kit, 1);
    reopen(kit);
    assert_int_equal(kit->seen, count + 2);
}

/* Repair ends the log before the damage, with a higher epoch than any before: no token is issued twice. */
static void repair_keeps_what_stands_before_the_damage(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 5);
    reopen(kit);
    commit_blocks(kit, 3);
    const uint64_t epoch = kit->epoch;
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 4) + 10, 1);
    expect_refusal(kit, JQ_ERR_CORRUPT, "in doubt");
    assert_int_equal(repair(kit, "copy"), JQ_OK);
    expect_records(kit, 4);
    assert_true(kit->epoch > epoch + 1);
    logkit_free(kit);
}

/* Segments behind the damage are void, one with an unreadable header too, and its epoch is not used again. */
static void repair_voids_later_segments(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    char path[64];
    commit_blocks(kit, 2);
    path_of(rotate_once(kit), path);
    reopen(kit);
    const uint64_t epoch = kit->epoch;
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 2) + 10, 1);
    jq_simdisk_flip(kit->sim, path, 2000, 1);
    expect_refusal(kit, JQ_ERR_CORRUPT, "segment header is damaged");
    assert_int_equal(repair(kit, "copy"), JQ_OK);
    expect_records(kit, 2);
    assert_true(kit->epoch > epoch);
    logkit_free(kit);
}

/* The copy holds the bytes as they were: put back, it is refused as before. A folder with something in it is not used. */
static void repair_keeps_a_copy(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    commit_blocks(kit, 3);
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 2) + 10, 1);
    assert_int_equal(repair(kit, "copy"), JQ_OK);
    assert_int_equal(repair(kit, "copy"), JQ_ERR_EXISTS);
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    struct jq_journal_verdict verdict;
    assert_int_equal(jq_journal_verify(disk, "copy", NULL, NULL, &verdict, NULL), JQ_OK);
    assert_int_equal(verdict.damage_count, 1);
    assert_int_equal(jq_journal_verify(disk, LOGKIT_DIR, NULL, NULL, &verdict, NULL), JQ_OK);
    assert_int_equal(verdict.damage_count, 0);
    logkit_free(kit);
}

/* verify counts what is there, and goes on behind damage to name all of it. */
static void verify_names_every_damage(void **state) {
    (void)state;
    struct logkit *kit = new_kit();
    struct jq_journal_verdict verdict;
    commit_blocks(kit, 6);
    logkit_close(kit);
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    assert_int_equal(jq_journal_verify(disk, LOGKIT_DIR, NULL, NULL, &verdict, NULL), JQ_OK);
    assert_int_equal(verdict.damage_count, 0);
    assert_int_equal(verdict.block_count, 6);
    assert_int_equal(verdict.record_count, 12);
    assert_int_equal(verdict.end_lsn, verdict.block_bytes);
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 2), 1);
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 6), 1);
    jq_simdisk_flip(kit->sim, SEGMENT_0, offset_of(kit, 10), 1);
    assert_int_equal(jq_journal_verify(disk, LOGKIT_DIR, NULL, NULL, &verdict, NULL), JQ_OK);
    assert_int_equal(verdict.damage_count, 2);
    assert_int_equal(verdict.block_count, 3);
    assert_int_equal(verdict.damages[0].offset, offset_of(kit, 2) - JQ_BLOCK_HEADER_SIZE);
    assert_int_equal(verdict.damages[1].lsn, kit->lsns[6] - JQ_BLOCK_HEADER_SIZE);
    assert_int_equal(verdict.damages[1].size_bytes, jq_block_size(2 * jq_record_size(BODY)));
    assert_int_equal(verdict.torn_bytes, verdict.damages[1].size_bytes);
    logkit_free(kit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_is_born_with_epoch_1),
        cmocka_unit_test(clean_end_loses_nothing),
        cmocka_unit_test(end_of_file_is_a_clean_end),
        cmocka_unit_test(torn_tail_is_dropped_and_reported),
        cmocka_unit_test(tail_without_header_is_torn),
        cmocka_unit_test(damage_before_a_valid_block_is_refused),
        cmocka_unit_test(wiped_header_before_a_valid_block_is_refused),
        cmocka_unit_test(refusal_leaves_the_log_alone),
        cmocka_unit_test(empty_block_covers_the_last_one),
        cmocka_unit_test(carried_block_is_covered_without_a_successor),
        cmocka_unit_test(cut_carried_block_is_refused),
        cmocka_unit_test(bad_last_block_of_an_older_segment_is_refused),
        cmocka_unit_test(torn_first_block_after_a_rotation_is_dropped),
        cmocka_unit_test(segment_of_an_older_epoch_ends_no_newer_one),
        cmocka_unit_test(missing_segment_is_refused),
        cmocka_unit_test(missing_oldest_segment_is_no_damage),
        cmocka_unit_test(bytes_beyond_the_next_base_do_not_count),
        cmocka_unit_test(broken_chain_is_refused),
        cmocka_unit_test(broken_chain_between_segments_is_refused),
        cmocka_unit_test(block_of_another_salt_does_not_count),
        cmocka_unit_test(block_of_another_place_does_not_count),
        cmocka_unit_test(foreign_segment_is_refused),
        cmocka_unit_test(newer_version_is_refused),
        cmocka_unit_test(damaged_segment_header_is_refused),
        cmocka_unit_test(renamed_segment_is_refused),
        cmocka_unit_test(log_without_any_block_is_refused_unless_newborn),
        cmocka_unit_test(read_error_is_no_end_of_the_log),
        cmocka_unit_test(idle_restarts_leave_one_segment),
        cmocka_unit_test(second_broker_is_refused),
        cmocka_unit_test(error_of_a_replay_ends_the_recovery),
        cmocka_unit_test(repair_keeps_what_stands_before_the_damage),
        cmocka_unit_test(repair_voids_later_segments),
        cmocka_unit_test(repair_keeps_a_copy),
        cmocka_unit_test(verify_names_every_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
