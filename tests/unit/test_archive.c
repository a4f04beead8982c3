/* When segments leave the journal, and where they go: retention, and the archive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/journal/archive.h"
#include "broker/journal/segment.h"
#include "broker/shell/remover.h"
#include "tests/lib/logkit.h"

#define ARCHIVE "archive"
enum { BODY = 400, PER_BLOCK = 4, BLOCKS = 60, CHANGES_MAX = 200 };

static struct logkit *kit_with_segments(uint64_t seed) {
    struct logkit *kit = logkit_new(jq_simdisk_new(seed), seed);
    assert_int_equal(logkit_open(kit), JQ_OK);
    for (int i = 0; i < BLOCKS; i++)
        assert_int_equal(logkit_commit(kit, PER_BLOCK, BODY), JQ_OK);
    return kit;
}

/* The oldest segment into the archive, then out of the log. */
static enum jq_err move_oldest(struct logkit *kit) {
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    struct jq_journal_segment segment;
    enum jq_err err = jq_journal_segment_from(kit->journal, 0, &segment, NULL);
    assert_int_equal(err, JQ_OK);
    assert_false(segment.current);
    err = jq_archive_segment(disk, LOGKIT_DIR, &segment, ARCHIVE, &kit->error);
    return err == JQ_OK ? jq_journal_delete_below(kit->journal, segment.end_lsn, NULL, &kit->error) : err;
}

static struct jq_journal_verdict verify(struct logkit *kit, const char *dir, const char *archive_dir) {
    struct jq_archive_disk *archive = NULL;
    struct jq_journal_verdict verdict;
    assert_int_equal(jq_archive_disk_new(jq_simdisk_disk(kit->sim), archive_dir, &archive, NULL), JQ_OK);
    assert_int_equal(jq_journal_verify(jq_archive_disk(archive), dir, NULL, NULL, &verdict, &kit->error), JQ_OK);
    jq_archive_disk_free(archive);
    return verdict;
}

/* Archive and journal together are the whole log; the archive alone is its beginning, whole; both by their chains and checksums. */
static void archived_segments_read_as_if_they_had_stayed(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments(1);
    struct jq_journal_stat stat;
    jq_journal_stat(kit->journal, &stat);
    assert_true(stat.segment_count > 4);
    const struct jq_journal_verdict before = verify(kit, LOGKIT_DIR, NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(move_oldest(kit), JQ_OK);
    const struct jq_journal_verdict both = verify(kit, LOGKIT_DIR, ARCHIVE);
    assert_int_equal(both.damage_count, 0);
    assert_int_equal(both.record_count, BLOCKS * PER_BLOCK);
    assert_int_equal(both.segment_count, before.segment_count);
    assert_int_equal(both.block_bytes, before.block_bytes);
    const struct jq_journal_verdict archive = verify(kit, ARCHIVE, NULL);
    const struct jq_journal_verdict rest = verify(kit, LOGKIT_DIR, NULL);
    assert_int_equal(archive.damage_count, 0);
    assert_int_equal(archive.torn_bytes, 0);
    assert_int_equal(archive.segment_count, 3);
    assert_int_equal(archive.record_count + rest.record_count, BLOCKS * PER_BLOCK);
    assert_int_equal(archive.end_lsn, rest.first_lsn);
    logkit_free(kit);
}

/* The power may fail at any change of the disk while segments are archived and deleted: every record is in the one place or the other. */
static void a_crash_loses_nothing_on_the_way(void **state) {
    (void)state;
    static const struct jq_simdisk_loss losses[] = {
        {.keep = 1}, {.lose = 1}, {.keep = 1, .lose = 1}, {.keep = 1, .lose = 1, .garble = 1, .unordered = true}};
    bool through = false;
    uint64_t changes = 0;
    for (; changes < CHANGES_MAX && !through; changes++) {
        struct logkit *kit = kit_with_segments(changes);
        jq_simdisk_power_off_after(kit->sim, changes);
        through = move_oldest(kit) == JQ_OK && move_oldest(kit) == JQ_OK;
        kit->deleted = kit->written; /* What of it may be gone is checked here, not by the kit. */
        logkit_close(kit);
        jq_simdisk_crash(kit->sim, losses[changes % 4]);
        const struct jq_journal_verdict verdict = verify(kit, LOGKIT_DIR, ARCHIVE);
        if (verdict.damage_count > 0 || verdict.record_count != BLOCKS * PER_BLOCK)
            fail_msg("after %llu changes: %llu records, %s", (unsigned long long)changes,
                     (unsigned long long)verdict.record_count, verdict.damages[0].error.message);
        assert_int_equal(jq_archive_tidy(jq_simdisk_disk(kit->sim), ARCHIVE, &kit->error), JQ_OK);
        kit->deleted = 0;
        logkit_free(kit);
    }
    assert_true(through && changes > 10);
}

/* Any operation of the disk may fail while segments are archived and deleted, or read from the archive: that is said, nothing is lost, and
 * the next try comes through. */
static void a_failing_disk_loses_nothing(void **state) {
    (void)state;
    uint64_t failed = 0, operations = 1;
    for (uint64_t skipped = 0; skipped < operations; skipped++) {
        struct logkit *kit = kit_with_segments(1);
        const uint64_t before = jq_simdisk_op_count(kit->sim, JQ_SIMDISK_ANY);
        if (skipped > 0)
            jq_simdisk_fail(kit->sim, JQ_SIMDISK_ANY, skipped - 1, EIO);
        kit->error.code = JQ_OK;
        const enum jq_err err = move_oldest(kit);
        assert_true(err == JQ_OK || err == kit->error.code);
        failed += err != JQ_OK;
        if (skipped == 0)
            operations = jq_simdisk_op_count(kit->sim, JQ_SIMDISK_ANY) - before + 1;
        if (err != JQ_OK)
            assert_int_equal(move_oldest(kit), JQ_OK);
        assert_int_equal(verify(kit, LOGKIT_DIR, ARCHIVE).record_count, BLOCKS * PER_BLOCK);
        logkit_free(kit);
    }
    assert_true(failed > 5);
}

/* Nor does one that fails while the archive is read: it is said. */
static void a_failing_read_is_told(void **state) {
    (void)state;
    for (uint64_t skipped = 0; skipped < 30; skipped++) {
        struct logkit *kit = kit_with_segments(1);
        struct jq_archive_disk *archive = NULL;
        struct jq_journal_verdict verdict;
        assert_int_equal(move_oldest(kit), JQ_OK);
        assert_int_equal(jq_archive_disk_new(jq_simdisk_disk(kit->sim), ARCHIVE, &archive, NULL), JQ_OK);
        jq_simdisk_fail(kit->sim, JQ_SIMDISK_READ, skipped, EIO);
        const enum jq_err err =
            jq_journal_verify(jq_archive_disk(archive), LOGKIT_DIR, NULL, NULL, &verdict, &kit->error);
        if (err == JQ_OK) /* it came after the last read */
            assert_int_equal(verdict.record_count, BLOCKS * PER_BLOCK);
        else
            assert_int_equal(err, JQ_ERR_IO);
        assert_true(err != JQ_OK || skipped > 5);
        jq_archive_disk_free(archive);
        logkit_free(kit);
    }
}

/* A name that another log has in the archive is not overwritten, and the segment stays where it is. */
static void another_logs_segment_is_left_alone(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments(1);
    struct logkit *other = kit_with_segments(2);
    uint8_t header[JQ_SEGMENT_HEADER_SIZE];
    struct jq_file *file = NULL;
    size_t got = 0;
    const struct jq_disk *from = jq_simdisk_disk(other->sim), *to = jq_simdisk_disk(kit->sim);
    assert_int_equal(from->open(from->ctx, LOGKIT_DIR "/00000000000000000000.jql", JQ_DISK_READ, &file, NULL), JQ_OK);
    assert_int_equal(from->read(from->ctx, file, header, sizeof(header), 0, &got, NULL), JQ_OK);
    from->close(from->ctx, file);
    file = NULL;
    assert_int_equal(to->open(to->ctx, ARCHIVE "/00000000000000000000.jql", JQ_DISK_CREATE, &file, NULL), JQ_OK);
    assert_int_equal(to->write(to->ctx, file, header, sizeof(header), 0, NULL), JQ_OK);
    to->close(to->ctx, file);
    assert_int_equal(move_oldest(kit), JQ_ERR_FOREIGN);
    assert_non_null(strstr(kit->error.message, "another log"));
    assert_int_equal(verify(kit, LOGKIT_DIR, NULL).record_count, BLOCKS * PER_BLOCK);
    logkit_free(kit);
    logkit_free(other);
}

/* A damaged archive is found out by the frame's own checksum, or by the segment's. */
static void damage_in_the_archive_is_found(void **state) {
    (void)state;
    for (uint64_t offset = 0; offset < 8000; offset += 97) {
        struct logkit *kit = kit_with_segments(1);
        struct jq_archive_disk *archive = NULL;
        struct jq_journal_verdict verdict;
        assert_int_equal(move_oldest(kit), JQ_OK);
        const bool there = jq_simdisk_flip(kit->sim, ARCHIVE "/00000000000000000000.jql.zst", offset, 0x10);
        assert_int_equal(jq_archive_disk_new(jq_simdisk_disk(kit->sim), ARCHIVE, &archive, NULL), JQ_OK);
        const enum jq_err err =
            jq_journal_verify(jq_archive_disk(archive), LOGKIT_DIR, NULL, NULL, &verdict, &kit->error);
        if (there && err == JQ_OK && verdict.damage_count == 0)
            assert_int_equal(verdict.record_count, BLOCKS * PER_BLOCK); /* a bit that means nothing */
        jq_archive_disk_free(archive);
        logkit_free(kit);
        if (!there)
            break;
    }
}

/* ---- pruning ---- */

struct archive_state {
    size_t count;
    uint64_t first_lsn, last_lsn;
};

static enum jq_err measure_name(void *ctx, const char *name) {
    struct archive_state *archive = ctx;
    uint64_t lsn = 0;
    assert_true(jq_segment_name_parse(name, &lsn));
    if (archive->count++ == 0)
        archive->first_lsn = lsn;
    archive->last_lsn = lsn;
    return JQ_OK;
}

static struct archive_state measure(struct logkit *kit) {
    struct archive_state state = {.count = 0};
    struct jq_archive_disk *archive = NULL;
    assert_int_equal(jq_archive_disk_new(jq_simdisk_disk(kit->sim), NULL, &archive, NULL), JQ_OK);
    const struct jq_disk *disk = jq_archive_disk(archive);
    assert_int_equal(disk->list(disk->ctx, ARCHIVE, measure_name, &state, NULL), JQ_OK);
    jq_archive_disk_free(archive);
    return state;
}

static struct jq_segment_header header_of(struct logkit *kit, const char *dir, uint64_t lsn) {
    uint8_t bytes[JQ_SEGMENT_HEADER_SIZE];
    char name[JQ_SEGMENT_NAME_SIZE], path[JQ_DISK_PATH_SIZE_MAX];
    struct jq_archive_disk *archive = NULL;
    struct jq_segment_header header;
    struct jq_file *file = NULL;
    size_t got = 0;
    assert_int_equal(jq_archive_disk_new(jq_simdisk_disk(kit->sim), NULL, &archive, NULL), JQ_OK);
    const struct jq_disk *disk = jq_archive_disk(archive);
    jq_segment_name(lsn, name);
    assert_int_equal(jq_disk_path(path, dir, name, NULL), JQ_OK);
    assert_int_equal(disk->open(disk->ctx, path, JQ_DISK_READ, &file, NULL), JQ_OK);
    assert_int_equal(disk->read(disk->ctx, file, bytes, sizeof(bytes), 0, &got, NULL), JQ_OK);
    disk->close(disk->ctx, file);
    jq_archive_disk_free(archive);
    assert_int_equal(jq_segment_header_decode(bytes, name, &header, NULL), JQ_OK);
    return header;
}

static uint32_t prune(struct logkit *kit, const struct jq_uuid *log_id, struct jq_archive_keep keep, int64_t now_ms) {
    uint32_t count = 0;
    assert_int_equal(jq_archive_prune(jq_simdisk_disk(kit->sim), ARCHIVE, log_id, &keep, now_ms, &count, &kit->error),
                     JQ_OK);
    return count;
}

/* An archive loses its old end, one segment after the other: by time when the next was begun so long ago, by size until it is small
 * enough; never the newest, and nothing without either bound. What is left is read as before. */
static void an_archive_loses_its_old_end(void **state) {
    (void)state;
    enum { MOVED = 5 };
    struct logkit *kit = kit_with_segments(1);
    const struct jq_uuid log_id = header_of(kit, LOGKIT_DIR, 0).log_id;
    for (int i = 0; i < MOVED; i++)
        assert_int_equal(move_oldest(kit), JQ_OK);
    const int64_t now_ms = header_of(kit, ARCHIVE, measure(kit).last_lsn).wall_ms + 1000000;
    assert_int_equal(prune(kit, &log_id, (struct jq_archive_keep){0, 0}, now_ms), 0);
    assert_int_equal(prune(kit, &log_id, (struct jq_archive_keep){2000000, 0}, now_ms), 0);
    assert_int_equal(prune(kit, &log_id, (struct jq_archive_keep){0, UINT64_C(1) << 40}, now_ms), 0);
    assert_int_equal(measure(kit).count, MOVED);

    uint64_t most = 60000;
    while (prune(kit, &log_id, (struct jq_archive_keep){0, most}, now_ms) == 0)
        most -= 100;
    const struct archive_state left = measure(kit);
    assert_int_equal(left.count, MOVED - 1);
    assert_true(left.first_lsn > 0);
    assert_int_equal(verify(kit, ARCHIVE, NULL).damage_count, 0);
    assert_int_equal(prune(kit, &log_id, (struct jq_archive_keep){1000000, 0}, now_ms), MOVED - 2);
    assert_int_equal(prune(kit, &log_id, (struct jq_archive_keep){1, 1}, now_ms), 0);
    assert_int_equal(measure(kit).count, 1);
    assert_int_equal(verify(kit, LOGKIT_DIR, ARCHIVE).damage_count, 0);
    logkit_free(kit);
}

/* What another log has there, or what cannot be read, is left alone, and ours goes all the same. */
static void only_its_own_log_is_pruned(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments(1);
    const struct jq_uuid log_id = header_of(kit, LOGKIT_DIR, 0).log_id, other = {{1}};
    for (int i = 0; i < 4; i++)
        assert_int_equal(move_oldest(kit), JQ_OK);
    assert_int_equal(prune(kit, &other, (struct jq_archive_keep){1, 1}, INT64_MAX / 2), 0);
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    struct jq_file *file = NULL;
    assert_int_equal(disk->open(disk->ctx, ARCHIVE "/00000000000000000000.jql.zst", JQ_DISK_CREATE, &file, NULL),
                     JQ_OK);
    assert_int_equal(disk->write(disk->ctx, file, "rubbish", 7, 0, NULL), JQ_OK);
    disk->close(disk->ctx, file);
    assert_int_equal(prune(kit, &log_id, (struct jq_archive_keep){0, 1}, 0), 2);
    const struct archive_state left = measure(kit);
    assert_int_equal(left.count, 2);
    assert_int_equal(left.first_lsn, 0);
    logkit_free(kit);
}

/* ---- retention ---- */

/* Without retention a segment goes as soon as nobody needs it. By size so many bytes of such are kept; by time each until what follows it
 * is old enough; where both are set, the size is the most. */
static void retention_says_when(void **state) {
    (void)state;
    enum { DISPOSABLE = 1000, NOW = 100000 };
    static const struct {
        struct jq_retention retention;
        uint64_t end_lsn;
        int64_t next_begun_ms;
        bool over;
    } rows[] = {
        {{0, 0}, 1000, NOW, true},
        {{0, 0}, 1001, 0, false},
        {{0, 300}, 700, NOW, true},
        {{0, 300}, 701, 0, false},
        {{0, 300}, 1001, 0, false},
        {{60000, 0}, 500, NOW - 60000, true},
        {{60000, 0}, 500, NOW - 59999, false},
        {{60000, 0}, 1001, 0, false},
        {{60000, 300}, 500, NOW, true},
        {{60000, 300}, 800, NOW - 60000, true},
        {{60000, 300}, 800, NOW - 1, false},
        {{60000, 0}, 500, NOW + 5, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const bool over =
            jq_retention_is_over(&rows[i].retention, DISPOSABLE, rows[i].end_lsn, rows[i].next_begun_ms, NOW);
        if (over != rows[i].over)
            fail_msg("row %zu", i);
    }
}

static void make_file(struct logkit *kit, const char *path, const char *text) {
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    struct jq_file *file = NULL;
    assert_int_equal(disk->open(disk->ctx, path, JQ_DISK_CREATE, &file, NULL), JQ_OK);
    assert_int_equal(disk->write(disk->ctx, file, text, strlen(text), 0, NULL), JQ_OK);
    disk->close(disk->ctx, file);
}

/* What else lies in the archive's folder is nobody's: by the form of its name, or by none. An archive may be empty. */
static void other_files_in_the_archive_are_passed_over(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments(1);
    const struct jq_journal_verdict before = verify(kit, LOGKIT_DIR, NULL);
    assert_int_equal(verify(kit, ARCHIVE, NULL).segment_count, 0);
    struct jq_journal_segment none;
    const uint64_t behind = jq_journal_written_lsn(kit->journal) + 1000;
    assert_int_equal(jq_journal_segment_from(kit->journal, behind, &none, NULL), JQ_ERR_NOT_FOUND);
    char name[JQ_SEGMENT_NAME_SIZE], path[100];
    jq_segment_name(1, name);
    name[0] = 'x';
    (void)snprintf(path, sizeof(path), ARCHIVE "/%s", name);
    make_file(kit, path, "?");
    memset(name, '9', strcspn(name, "."));
    (void)snprintf(path, sizeof(path), ARCHIVE "/%s", name); /* no such lsn */
    make_file(kit, path, "?");
    make_file(kit, ARCHIVE "/notes" JQ_ARCHIVE_SUFFIX, "?");
    make_file(kit, ARCHIVE "/lost+found", "?");
    assert_int_equal(move_oldest(kit), JQ_OK);
    const struct jq_journal_verdict after = verify(kit, LOGKIT_DIR, ARCHIVE);
    assert_int_equal(after.damage_count, 0);
    assert_int_equal(after.segment_count, before.segment_count);
    logkit_free(kit);
}

/* A compressed segment reads like the file that it was, at any offset and in any order, wherever the reader stands. */
static void an_archived_segment_reads_backwards(void **state) {
    enum { PIECE = 1000 };
    (void)state;
    struct logkit *kit = kit_with_segments(1);
    struct jq_journal_segment segment;
    struct jq_archive_disk *archive = NULL;
    struct jq_file *file = NULL;
    char name[JQ_SEGMENT_NAME_SIZE], path[100];
    uint8_t plain[4 * PIECE], piece[PIECE];
    uint64_t size = 0;
    size_t got = 0;
    assert_int_equal(jq_journal_segment_from(kit->journal, 0, &segment, NULL), JQ_OK);
    jq_segment_name(segment.base_lsn, name);
    (void)snprintf(path, sizeof(path), LOGKIT_DIR "/%s", name);
    const uint8_t *content = jq_simdisk_peek(kit->sim, path, &size);
    assert_true(size >= sizeof(plain));
    memcpy(plain, content, sizeof(plain));
    assert_int_equal(move_oldest(kit), JQ_OK);
    assert_int_equal(jq_archive_disk_new(jq_simdisk_disk(kit->sim), ARCHIVE, &archive, NULL), JQ_OK);
    const struct jq_disk *disk = jq_archive_disk(archive);
    assert_int_equal(disk->open(disk->ctx, name, JQ_DISK_READ, &file, NULL),
                     JQ_OK); /* a name alone: here, then there */
    for (int i = 3; i >= 0; i--) {
        assert_int_equal(disk->read(disk->ctx, file, piece, PIECE, (uint64_t)i * PIECE, &got, NULL), JQ_OK);
        assert_int_equal(got, PIECE);
        assert_memory_equal(piece, plain + (size_t)i * PIECE, PIECE);
    }
    disk->close(disk->ctx, file);
    jq_archive_disk_free(archive);
    logkit_free(kit);
}

/* A segment whose file is shorter than the log says is not archived as if it were whole; nor one that has lost its header. */
static void a_segment_that_is_cut_off_is_not_archived(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments(1);
    const struct jq_disk *disk = jq_simdisk_disk(kit->sim);
    struct jq_journal_segment segment;
    char name[JQ_SEGMENT_NAME_SIZE], path[100];
    uint64_t size = 0;
    assert_int_equal(jq_journal_segment_from(kit->journal, 0, &segment, NULL), JQ_OK);
    jq_segment_name(segment.base_lsn, name);
    (void)snprintf(path, sizeof(path), LOGKIT_DIR "/%s", name);
    (void)jq_simdisk_peek(kit->sim, path, &size);
    assert_int_equal(jq_archive_segment(disk, LOGKIT_DIR, &segment, ARCHIVE, &kit->error), JQ_OK);
    assert_true(jq_simdisk_truncate(kit->sim, path, size / 4));
    assert_int_equal(jq_archive_segment(disk, LOGKIT_DIR, &segment, "other", &kit->error), JQ_ERR_CORRUPT);
    assert_non_null(strstr(kit->error.message, "ends early"));
    assert_true(jq_simdisk_truncate(kit->sim, path, 10));
    assert_int_equal(jq_archive_segment(disk, LOGKIT_DIR, &segment, ARCHIVE, &kit->error), JQ_ERR_CORRUPT);
    assert_non_null(strstr(kit->error.message, "shorter than the header"));
    assert_int_equal(verify(kit, ARCHIVE, NULL).damage_count, 0);
    logkit_free(kit);
}

/* A sync when nothing was written since the last one asks nothing of the disk; one that failed is the end of the journal, whoever
 * wants to know why or not. */
static void a_sync_of_nothing_is_free(void **state) {
    (void)state;
    struct logkit *kit = kit_with_segments(1);
    const uint64_t syncs = jq_simdisk_op_count(kit->sim, JQ_SIMDISK_SYNC);
    assert_int_equal(jq_journal_sync(kit->journal, NULL), JQ_OK);
    assert_int_equal(jq_simdisk_op_count(kit->sim, JQ_SIMDISK_SYNC), syncs);
    assert_int_equal(logkit_write(kit, PER_BLOCK, BODY), JQ_OK);
    jq_simdisk_fail(kit->sim, JQ_SIMDISK_SYNC, 0, EIO);
    assert_int_equal(jq_journal_sync(kit->journal, NULL), JQ_ERR_IO);
    assert_int_equal(jq_journal_sync(kit->journal, NULL), JQ_ERR_IO);
    logkit_free(kit);
}

/* An archive, or a journal, whose folder is not there is no empty one: that is said. */
static void a_folder_that_is_missing_is_no_empty_archive(void **state) {
    (void)state;
    static const char nowhere[] = "/nonexistent/jqmesh";
    struct jq_archive_disk *archive = NULL;
    struct jq_journal_verdict verdict;
    struct jq_error error = {.code = JQ_OK};
    assert_int_equal(jq_archive_disk_new(jq_disk_posix(), nowhere, &archive, NULL), JQ_OK);
    assert_int_equal(jq_journal_verify(jq_archive_disk(archive), nowhere, NULL, NULL, &verdict, &error),
                     JQ_ERR_NOT_FOUND);
    assert_non_null(strstr(error.message, nowhere));
    jq_archive_disk_free(archive);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archived_segments_read_as_if_they_had_stayed),
        cmocka_unit_test(a_crash_loses_nothing_on_the_way),
        cmocka_unit_test(a_failing_disk_loses_nothing),
        cmocka_unit_test(a_failing_read_is_told),
        cmocka_unit_test(another_logs_segment_is_left_alone),
        cmocka_unit_test(damage_in_the_archive_is_found),
        cmocka_unit_test(an_archive_loses_its_old_end),
        cmocka_unit_test(only_its_own_log_is_pruned),
        cmocka_unit_test(retention_says_when),
        cmocka_unit_test(other_files_in_the_archive_are_passed_over),
        cmocka_unit_test(an_archived_segment_reads_backwards),
        cmocka_unit_test(a_segment_that_is_cut_off_is_not_archived),
        cmocka_unit_test(a_sync_of_nothing_is_free),
        cmocka_unit_test(a_folder_that_is_missing_is_no_empty_archive),
    };
    return cmocka_run_group_tests_name("archive", tests, NULL, NULL);
}
