/* Each operation of the disk fails once, wherever the journal is at work: it says so, and nothing that was acknowledged is lost by it. And
 * what only a fault of whoever wrote it could have put into a log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/journal/archive.h"
#include "broker/journal/block.h"
#include "broker/journal/repair.h"
#include "broker/journal/scan.h"
#include "broker/journal/segment.h"
#include "tests/lib/logkit.h"

#include <errno.h>

enum { BODY = 700, OPS_MAX = 400 };

#define SEGMENT_0 LOGKIT_DIR "/00000000000000000000.jql"

static void fill_random(void *ctx, void *data, size_t size) {
    struct logkit *kit = ctx;
    uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)jq_rng_next(&kit->rng);
}

static struct jq_journal_config config_of(struct logkit *kit) {
    return (struct jq_journal_config){.disk = jq_simdisk_disk(kit->sim),
                                      .dir = JQ_STR(LOGKIT_DIR),
                                      .segment_size_bytes = kit->segment_size,
                                      .first_segment_size_bytes = kit->first_segment_size,
                                      .random = fill_random,
                                      .random_ctx = kit};
}

/* Several segments, one recovery among them, and an end that is covered. */
static struct logkit *kit_with_segments(void) {
    struct logkit *kit = logkit_new(jq_simdisk_new(3), 3);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(logkit_open(kit), JQ_OK);
        for (int i = 0; i < 20; i++)
            assert_int_equal(logkit_commit(kit, 2, BODY), JQ_OK);
        logkit_close(kit);
    }
    return kit;
}

/* ---- what is done while the disk fails ---- */

static enum jq_err do_open(struct logkit *kit) {
    const enum jq_err err = logkit_open(kit);
    logkit_close(kit);
    return err;
}

static enum jq_err do_verify(struct logkit *kit) {
    struct jq_journal_verdict verdict;
    return jq_journal_verify(jq_simdisk_disk(kit->sim), LOGKIT_DIR, NULL, NULL, &verdict, &kit->error);
}

static enum jq_err do_repair(struct logkit *kit) {
    const struct jq_journal_config config = config_of(kit);
    struct jq_repair_report report;
    return jq_journal_repair(&config, "copy", &report, &kit->error);
}

static enum jq_err archive_oldest(struct logkit *kit) {
    struct jq_journal_segment segment;
    enum jq_err err = jq_journal_segment_from(kit->journal, 0, &segment, &kit->error);
    if (err == JQ_OK)
        err = jq_archive_segment(jq_simdisk_disk(kit->sim), LOGKIT_DIR, &segment, "archive", &kit->error);
    return err == JQ_OK ? jq_archive_tidy(jq_simdisk_disk(kit->sim), "archive", &kit->error) : err;
}

static enum jq_err do_archive(struct logkit *kit) {
    enum jq_err err = logkit_open(kit);
    if (err == JQ_OK)
        err = archive_oldest(kit);
    logkit_close(kit);
    return err;
}

static enum jq_err do_read(struct logkit *kit) {
    enum jq_err err = logkit_open(kit);
    for (uint64_t i = 0; err == JQ_OK && i < 40; i += 13)
        err = logkit_reads_back(kit, i, BODY) ? JQ_OK : kit->error.code;
    logkit_close(kit);
    return err;
}

/* Runs it on copies of the disk, the n-th operation failing, for each n; afterwards the log opens with all that was in it. `silent`: how
 * often at most the failure may pass for nothing. */
static void expect_every_failure_told(struct logkit *kit, enum jq_err (*run)(struct logkit *kit), int silent) {
    struct jq_simdisk *original = kit->sim;
    const uint64_t written = kit->written;
    bool struck = true;
    for (uint64_t n = 0; struck; n++) {
        assert_true(n < OPS_MAX);
        kit->sim = jq_simdisk_clone(original, n);
        kit->epoch = 0;
        kit->error = (struct jq_error){.code = JQ_OK};
        jq_simdisk_fail(kit->sim, JQ_SIMDISK_ANY, n, EIO);
        const enum jq_err err = run(kit);
        struck = jq_simdisk_op_count(kit->sim, JQ_SIMDISK_ANY) > n;
        silent -= struck && err == JQ_OK;
        if ((struck && silent < 0) || (!struck && err != JQ_OK) || (err != JQ_OK && kit->error.message[0] == '\0'))
            fail_msg("operation %llu: %s, %s", (unsigned long long)n, jq_err_text(err), kit->error.message);
        jq_simdisk_crash(kit->sim, JQ_SIMDISK_TORN);
        kit->acked = kit->written = written;
        assert_int_equal(logkit_open(kit), JQ_OK);
        assert_false(kit->wrong);
        assert_int_equal(kit->seen, written);
        logkit_close(kit);
        jq_simdisk_free(kit->sim);
        kit->sim = original;
    }
}

/* A start whose disk fails says so, and harms nothing. */
static void a_failing_start_is_told(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments();
    expect_every_failure_told(kit, do_open, 0);
    logkit_free(kit);
}

/* verify does not take a failing disk for damage, nor for an end. */
static void a_failing_verify_is_told(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments();
    expect_every_failure_told(kit, do_verify, 0);
    logkit_free(kit);
}

/* A repair whose disk fails has changed nothing yet, or leaves a log that opens. */
static void a_failing_repair_is_told(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments();
    expect_every_failure_told(kit, do_repair, 0);
    logkit_free(kit);
}

/* A segment whose way into the archive fails stays in the log. */
static void a_failing_archive_is_told(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments();
    expect_every_failure_told(kit, do_archive, 0);
    logkit_free(kit);
}

/* A body that the disk does not give is an error, not other bytes. */
static void a_failing_read_is_told(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments();
    expect_every_failure_told(kit, do_read, 0);
    logkit_free(kit);
}

/* Bytes are read from one segment: a piece that crosses into the next, or that its file no longer has, is refused. */
static void reads_stay_inside_their_segment(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments();
    struct jq_journal_segment segment;
    uint8_t bytes[64];
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_int_equal(jq_journal_segment_from(kit->journal, 0, &segment, NULL), JQ_OK);
    assert_int_equal(jq_journal_read(kit->journal, segment.end_lsn - 8, sizeof(bytes), bytes, &kit->error),
                     JQ_ERR_INVALID);
    assert_non_null(strstr(kit->error.message, "cross the border"));
    assert_true(jq_simdisk_truncate(kit->sim, SEGMENT_0, JQ_SEGMENT_HEADER_SIZE + 1000));
    assert_int_equal(jq_journal_read(kit->journal, 1016, sizeof(bytes), bytes, &kit->error), JQ_ERR_CORRUPT);
    assert_non_null(strstr(kit->error.message, "ends early"));
    logkit_free(kit);
}

/* A folder name that is none, segments that hold no block: refused before anything is touched. */
static void settings_that_cannot_be_are_refused(void **state) {
    (void)state;
    static char name[JQ_JOURNAL_DIR_SIZE_MAX + 1];
    memset(name, 'd', sizeof(name) - 1);
    struct logkit *kit = logkit_new(jq_simdisk_new(1), 1);
    const struct jq_journal_replay nothing = {.ctx = NULL};
    struct jq_recovery_report report;
    struct jq_repair_report repaired;
    struct jq_journal *journal = NULL;
    struct jq_journal_config config = config_of(kit);
    config.segment_size_bytes = JQ_SEGMENT_SIZE_MIN - 1;
    assert_int_equal(jq_journal_open(&config, &nothing, &report, &journal, &kit->error), JQ_ERR_INVALID);
    config = config_of(kit);
    config.first_segment_size_bytes = JQ_SEGMENT_SIZE_MIN - 1;
    assert_int_equal(jq_journal_open(&config, &nothing, &report, &journal, &kit->error), JQ_ERR_INVALID);
    config = config_of(kit);
    config.dir = jq_str_of(name);
    assert_int_equal(jq_journal_open(&config, &nothing, &report, &journal, &kit->error), JQ_ERR_INVALID);
    assert_int_equal(jq_journal_repair(&config, "copy", &repaired, &kit->error), JQ_ERR_INVALID);
    config.dir = JQ_STR("");
    assert_int_equal(jq_journal_open(&config, &nothing, &report, &journal, &kit->error), JQ_ERR_INVALID);
    assert_int_equal(jq_simdisk_op_count(kit->sim, JQ_SIMDISK_ANY), 0);
    logkit_free(kit);
}

/* ---- what only a faulty writer could have made: the checksums hold ---- */

/* Rewrites the first block of segment 0: another payload size, or other payload bytes; its checksums hold. */
static void forge_block(struct logkit *kit, uint32_t payload_size, const uint8_t *payload, size_t size) {
    struct jq_segment_header segment;
    struct jq_block_header header;
    uint64_t file_size = 0;
    const uint8_t *file = jq_simdisk_peek(kit->sim, SEGMENT_0, &file_size);
    static uint8_t block[JQ_BLOCK_SIZE_MAX];
    memset(block, 0, sizeof(block));
    assert_int_equal(jq_segment_header_decode(file, "segment", &segment, NULL), JQ_OK);
    assert_true(jq_block_header_decode(file + JQ_SEGMENT_HEADER_SIZE, segment.salt, &header));
    memcpy(block, file + JQ_SEGMENT_HEADER_SIZE, jq_block_size(header.payload_size));
    if (size > 0)
        memcpy(block + JQ_BLOCK_HEADER_SIZE, payload, size);
    header.payload_size = payload_size;
    jq_block_header_put(&header, block);
    (void)jq_block_stamp(block, segment.salt, header.prev_crc);
    assert_true(jq_simdisk_poke(kit->sim, SEGMENT_0, JQ_SEGMENT_HEADER_SIZE, block, 2048));
}

static struct logkit *kit_with_a_block(void) {
    struct logkit *kit = logkit_new(jq_simdisk_new(1), 1);
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_int_equal(logkit_commit(kit, 2, 100), JQ_OK);
    logkit_close(kit);
    return kit;
}

/* Records that do not fill their block are damage, though every checksum holds: a start refuses, verify names it. */
static void records_that_do_not_fill_their_block_are_damage(void **state) {
    (void)state;
    static const uint8_t too_long[] = {0xff, 0x7f};
    struct logkit *kit = kit_with_a_block();
    struct jq_journal_verdict verdict;
    forge_block(kit, 2 * jq_record_size(100), too_long, sizeof(too_long));
    assert_int_equal(logkit_open(kit), JQ_ERR_CORRUPT);
    assert_non_null(strstr(kit->error.message, "do not fill their block"));
    assert_int_equal(jq_journal_verify(jq_simdisk_disk(kit->sim), LOGKIT_DIR, NULL, NULL, &verdict, NULL), JQ_OK);
    assert_int_equal(verdict.damage_count, 1);
    logkit_free(kit);
}

/* A header that claims more than its file has is no block: a torn end, if nothing follows. */
static void a_block_beyond_its_file_is_none(void **state) {
    (void)state;
    struct logkit *kit = kit_with_a_block();
    forge_block(kit, 1000000, NULL, 0);
    kit->acked = 0;
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_int_equal(kit->seen, 0);
    assert_true(kit->report.torn_bytes > 0);
    logkit_free(kit);
}

/* A segment header whose numbers no segment can have is damage, whatever its checksum says. */
static void segment_headers_out_of_bounds_are_damage(void **state) {
    (void)state;
    static const struct jq_segment_header headers[] = {
        {.base_lsn = 4}, {.base_lsn = UINT64_MAX - 7}, {.carried_size = UINT32_MAX}};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        uint8_t bytes[JQ_SEGMENT_HEADER_SIZE];
        struct jq_segment_header header;
        struct jq_error error;
        jq_segment_header_encode(&headers[i], bytes);
        assert_int_equal(jq_segment_header_decode(bytes, "a.jql", &header, &error), JQ_ERR_CORRUPT);
        assert_string_equal(error.message, "a.jql: offset 0: segment header is out of its bounds");
    }
}

/* Only what a segment can be called is one: a number above every LSN, or one that is too short, is another's file. */
static void names_of_other_files_are_left_alone(void **state) {
    (void)state;
    uint64_t lsn = 0;
    assert_true(jq_segment_name_parse("00000000000000000064.jql", &lsn));
    assert_int_equal(lsn, 64);
    assert_false(jq_segment_name_parse("18446744073709551615.jql", &lsn));
    assert_false(jq_segment_name_parse("99999999999999999999.jql", &lsn));
    assert_false(jq_segment_name_parse("0000000000000000064.jql", &lsn));
    assert_false(jq_segment_name_parse("0000000000000000006x.jql", &lsn));
}

/* verify counts all damage, and describes as much as there is room for. */
static void damage_beyond_the_list_is_counted(void **state) {
    (void)state;
    struct logkit *kit = logkit_new(jq_simdisk_new(1), 1);
    struct jq_journal_verdict verdict;
    kit->first_segment_size = 256 * 1024;
    assert_int_equal(logkit_open(kit), JQ_OK);
    for (int i = 0; i < 2 * JQ_VERIFY_DAMAGE_COUNT_MAX + 20; i++)
        assert_int_equal(logkit_commit(kit, 1, 100), JQ_OK);
    logkit_close(kit);
    for (uint64_t i = 1; i < 2 * JQ_VERIFY_DAMAGE_COUNT_MAX + 10; i += 2)
        assert_true(jq_simdisk_flip(kit->sim, SEGMENT_0, JQ_SEGMENT_HEADER_SIZE + kit->lsns[i] + 20, 1));
    assert_int_equal(jq_journal_verify(jq_simdisk_disk(kit->sim), LOGKIT_DIR, NULL, NULL, &verdict, NULL), JQ_OK);
    assert_int_equal(verdict.damage_count, JQ_VERIFY_DAMAGE_COUNT_MAX + 5);
    logkit_free(kit);
}

/* A file that grows between the look at the folder and the scan is scanned as far as it was seen: nothing runs over. */
static void a_file_that_grows_meanwhile_is_read_in_bounds(void **state) {
    (void)state;
    static const uint8_t more[512 * 1024];
    struct logkit *kit = kit_with_a_block();
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    struct jq_segment_list list;
    struct jq_log_scan *scan = NULL;
    struct jq_scan_item item;
    struct jq_file *file = NULL;
    assert_int_equal(jq_segment_list_load(disk, LOGKIT_DIR, &list, NULL), JQ_OK);
    assert_int_equal(disk->open(disk->ctx, SEGMENT_0, JQ_DISK_WRITE, &file, NULL), JQ_OK);
    assert_int_equal(disk->write(disk->ctx, file, more, sizeof(more), 8192, NULL), JQ_OK);
    disk->close(disk->ctx, file);
    assert_int_equal(jq_log_scan_new(disk, LOGKIT_DIR, &list, &scan, NULL), JQ_OK);
    assert_int_equal(jq_log_scan_next(scan, &item, NULL), JQ_OK);
    assert_int_equal(item.kind, JQ_SCAN_BLOCK);
    assert_int_equal(jq_log_scan_next(scan, &item, NULL), JQ_OK);
    assert_int_equal(item.kind, JQ_SCAN_END);
    jq_log_scan_free(scan);
    jq_segment_list_fini(&list);
    logkit_free(kit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_start_is_told),
        cmocka_unit_test(a_failing_verify_is_told),
        cmocka_unit_test(a_failing_repair_is_told),
        cmocka_unit_test(a_failing_archive_is_told),
        cmocka_unit_test(a_failing_read_is_told),
        cmocka_unit_test(reads_stay_inside_their_segment),
        cmocka_unit_test(settings_that_cannot_be_are_refused),
        cmocka_unit_test(records_that_do_not_fill_their_block_are_damage),
        cmocka_unit_test(a_block_beyond_its_file_is_none),
        cmocka_unit_test(segment_headers_out_of_bounds_are_damage),
        cmocka_unit_test(names_of_other_files_are_left_alone),
        cmocka_unit_test(damage_beyond_the_list_is_counted),
        cmocka_unit_test(a_file_that_grows_meanwhile_is_read_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
