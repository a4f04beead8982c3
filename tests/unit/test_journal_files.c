/* The journal on the files of the operating system, and its use from several threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/journal/journal.h"
#include "broker/journal/le.h"
#include "broker/journal/verify.h"
#include "common/rng.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BODY = 500, THREAD_BLOCKS = 3000, LSNS_MAX = 65536 };

struct fixture {
    char dir[64];
    struct jq_rng rng;
    struct jq_journal *journal;
    struct jq_log_ring *ring;
    struct jq_recovery_report report;
    struct jq_error error;
    uint64_t records; /* replayed */
    _Atomic uint64_t lsns[LSNS_MAX];
    _Atomic uint64_t committed;
};

static void random_bytes(void *ctx, void *data, size_t size) {
    uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)jq_rng_next(ctx);
}

static enum jq_err on_record(void *ctx, const struct jq_block_info *info, const struct jq_log_record *record,
                             struct jq_error *reterr) {
    (void)info;
    (void)reterr;
    struct fixture *fixture = ctx;
    assert_int_equal(jq_le64_get(record->body.data), fixture->records);
    fixture->records++;
    return JQ_OK;
}

static enum jq_err open_journal(struct fixture *fixture) {
    const struct jq_journal_config config = {
        .disk = jq_disk_posix(),
        .dir = jq_str_of(fixture->dir),
        .segment_size_bytes = 256 * 1024,
        .first_segment_size_bytes = 64 * 1024,
        .wall_ms = 1,
        .random = random_bytes,
        .random_ctx = &fixture->rng,
    };
    const struct jq_journal_replay replay = {.ctx = fixture, .on_record = on_record};
    fixture->records = 0;
    const enum jq_err result = jq_journal_open(&config, &replay, &fixture->report, &fixture->journal, &fixture->error);
    if (result == JQ_OK)
        assert_int_equal(jq_log_ring_new(JQ_LOG_RING_SIZE_MIN, fixture->report.end_lsn, &fixture->ring, NULL), JQ_OK);
    return result;
}

static void close_journal(struct fixture *fixture) {
    jq_journal_free(fixture->journal);
    jq_log_ring_free(fixture->ring);
    fixture->journal = NULL;
    fixture->ring = NULL;
}

static void commit(struct fixture *fixture, uint64_t number, bool sync) {
    uint8_t body[BODY];
    memset(body, (int)(number & 0xff), sizeof(body));
    jq_le64_put(body, number);
    assert_true(jq_log_ring_begin(fixture->ring, fixture->report.epoch, 1));
    const uint64_t lsn = jq_log_ring_append(fixture->ring, 1, (struct jq_bytes){body, sizeof(body)});
    const struct jq_sealed_block block = jq_log_ring_seal(fixture->ring);
    assert_int_equal(jq_journal_write_block(fixture->journal, &block, &fixture->error), JQ_OK);
    if (sync)
        assert_int_equal(jq_journal_sync(fixture->journal, &fixture->error), JQ_OK);
    jq_log_ring_release(fixture->ring, block.lsn + block.size_bytes);
    atomic_store(&fixture->lsns[number], lsn);
    atomic_store(&fixture->committed, number + 1);
}

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/jqtest-XXXXXX");
    jq_rng_init(&fixture->rng, 1);
    *state = fixture;
    return mkdtemp(fixture->dir) != NULL ? 0 : -1;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    close_journal(fixture);
    DIR *stream = opendir(fixture->dir);
    for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream))
        unlinkat(dirfd(stream), entry->d_name, 0);
    closedir(stream);
    rmdir(fixture->dir);
    free(fixture);
    return 0;
}

/* On real files, too: what was committed over many rotations and restarts is replayed in order. */
static void committed_records_come_back_from_files(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t run = 0; run < 4; run++) {
        assert_int_equal(open_journal(fixture), JQ_OK);
        assert_int_equal(fixture->records, run * 200);
        for (uint64_t i = 0; i < 200; i++)
            commit(fixture, run * 200 + i, true);
        close_journal(fixture);
    }
    struct jq_journal_verdict verdict;
    assert_int_equal(jq_journal_verify(jq_disk_posix(), fixture->dir, NULL, NULL, &verdict, NULL), JQ_OK);
    assert_int_equal(verdict.damage_count, 0);
    assert_int_equal(verdict.record_count, 800);
    assert_true(verdict.segment_count >= 5);
}

/* The folder has one owner; the other one is told its pid. A folder without an owner, after kill -9 too, is free. */
static void folder_is_locked_by_its_owner(void **state) {
    struct fixture *fixture = *state;
    struct fixture *second = calloc(1, sizeof(*second));
    char expected[128];
    memcpy(second->dir, fixture->dir, sizeof(second->dir));
    jq_rng_init(&second->rng, 2);
    assert_int_equal(open_journal(fixture), JQ_OK);
    assert_int_equal(open_journal(second), JQ_ERR_LOCKED);
    snprintf(expected, sizeof(expected), "data directory %s is owned by a running broker (pid %ld)", fixture->dir,
             (long)getpid());
    assert_string_equal(second->error.message, expected);
    close_journal(fixture);
    assert_int_equal(open_journal(second), JQ_OK);
    close_journal(second);
    free(second);
}

/* Errors of the system name the file and the reason. */
static void errors_name_the_file(void **state) {
    struct fixture *fixture = *state;
    char dir[sizeof(fixture->dir)];
    memcpy(dir, fixture->dir, sizeof(dir));
    memcpy(fixture->dir + strlen(dir), "/none/deeper", sizeof("/none/deeper"));
    assert_int_equal(open_journal(fixture), JQ_ERR_NOT_FOUND);
    assert_non_null(strstr(fixture->error.message, "none/deeper: make folder: No such file"));
    memcpy(fixture->dir, "/dev/null", 10);
    assert_int_equal(open_journal(fixture), JQ_ERR_IO);
    assert_string_equal(fixture->error.message, "/dev/null: make folder: Not a directory");
    fixture->dir[0] = '\0';
    assert_int_equal(open_journal(fixture), JQ_ERR_INVALID);
    memcpy(fixture->dir, dir, sizeof(dir));
}

static void *read_bodies(void *argument) {
    struct fixture *fixture = argument;
    struct jq_rng rng;
    uint8_t body[BODY];
    jq_rng_init(&rng, 3);
    for (uint64_t done = 0; done < THREAD_BLOCKS;) {
        done = atomic_load(&fixture->committed);
        if (done == 0)
            continue;
        const uint64_t number = jq_rng_below(&rng, done);
        const enum jq_err result =
            jq_journal_read(fixture->journal, atomic_load(&fixture->lsns[number]) + 3, BODY, body, NULL);
        /* Deleted meanwhile, or right. */
        if (result != JQ_ERR_NOT_FOUND &&
            (result != JQ_OK || jq_le64_get(body) != number || body[BODY - 1] != (uint8_t)number))
            return "wrong body";
    }
    return NULL;
}

static void *fill_spares(void *argument) {
    struct fixture *fixture = argument;
    struct jq_journal_stat stat;
    bool ready = false;
    while (atomic_load(&fixture->committed) < THREAD_BLOCKS) {
        if (jq_journal_fill_spare_step(fixture->journal, 64 * 1024, &ready, NULL) != JQ_OK)
            return "no spare";
        jq_journal_stat(fixture->journal, &stat);
        if (stat.written_lsn > 512 * 1024 &&
            jq_journal_delete_below(fixture->journal, stat.written_lsn - 512 * 1024, NULL, NULL) != JQ_OK)
            return "no deletion";
    }
    return NULL;
}

/* One thread commits, one reads bodies, one fills spares, deletes and asks for figures: each sees whole records
 * only. */
static void threads_do_not_meet(void **state) {
    struct fixture *fixture = *state;
    pthread_t reader;
    pthread_t filler;
    void *reader_says = NULL;
    void *filler_says = NULL;
    assert_int_equal(open_journal(fixture), JQ_OK);
    assert_int_equal(pthread_create(&reader, NULL, read_bodies, fixture), 0);
    assert_int_equal(pthread_create(&filler, NULL, fill_spares, fixture), 0);
    for (uint64_t i = 0; i < THREAD_BLOCKS; i++)
        commit(fixture, i, true);
    pthread_join(reader, &reader_says);
    pthread_join(filler, &filler_says);
    assert_null(reader_says);
    assert_null(filler_says);
}

/* More segments than files may stay open: all of them can be read, again and again. */
static void more_segments_than_open_files_can_be_read(void **state) {
    struct fixture *fixture = *state;
    uint8_t body[BODY];
    uint64_t count = 0;
    for (int run = 0; run < 40; run++) {
        assert_int_equal(open_journal(fixture), JQ_OK);
        for (int i = 0; i < 2; i++)
            commit(fixture, count++, true);
        if (run < 39)
            close_journal(fixture);
    }
    struct jq_journal_stat stat;
    jq_journal_stat(fixture->journal, &stat);
    assert_true(stat.segment_count > 32);
    for (uint64_t i = 0; i < 3 * count; i++) {
        const uint64_t number = i * 7 % count;
        assert_int_equal(jq_journal_read(fixture->journal, fixture->lsns[number] + 3, BODY, body, NULL), JQ_OK);
        assert_int_equal(jq_le64_get(body), number);
    }
}

/* Segments grow: each is twice as long as the one before, from the first, which is short, to their full size. */
static void segments_grow_to_their_full_size(void **state) {
    struct fixture *fixture = *state;
    struct jq_journal_stat stat;
    uint64_t size_expected = 64 * 1024;
    uint64_t count = 0;
    assert_int_equal(open_journal(fixture), JQ_OK);
    for (uint64_t segment = 1; segment <= 4; segment++) {
        jq_journal_stat(fixture->journal, &stat);
        assert_int_equal(stat.segment_count, segment);
        assert_int_equal(stat.segment_bytes, size_expected);
        size_expected = size_expected < 256 * 1024 ? 2 * size_expected : size_expected;
        for (; stat.segment_count == segment; jq_journal_stat(fixture->journal, &stat))
            commit(fixture, count++, true);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(committed_records_come_back_from_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folder_is_locked_by_its_owner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_name_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_do_not_meet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(segments_grow_to_their_full_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_segments_than_open_files_can_be_read, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
