/* Power failures, dying processes and failing disks at every step of the journal's life: what was acknowledged
 * stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/logkit.h"
#include "tests/lib/rounds.h"

#include <errno.h>
#include <stdio.h>

enum { BODY = 300, LIFE_SEEDS = ROUNDS(300), LIFE_STEPS = 60 };

static const struct jq_simdisk_loss LOSSES[] = {
    {.keep = 1},
    {.lose = 1},
    {.keep = 1, .lose = 1},
    {.keep = 9, .lose = 1},
    {.keep = 1, .lose = 1, .unordered = true},
    {.keep = 1, .lose = 1, .garble = 1},
    {.keep = 1, .lose = 1, .garble = 1, .unordered = true},
};
enum { LOSS_COUNT = sizeof(LOSSES) / sizeof(LOSSES[0]) };

/* A short life: birth, commits over two rotations (with a spare and without), deletion, a restart, commits, a second
 * restart. Ends at the first failure. */
static enum jq_err live(struct logkit *kit) {
    enum jq_err result = logkit_open(kit);
    for (uint32_t i = 0; i < 8 && result == JQ_OK; i++)
        result = logkit_commit(kit, 2 + i % 2, BODY);
    if (result == JQ_OK)
        result = logkit_fill_spare(kit);
    for (uint32_t i = 0; i < 24 && result == JQ_OK; i++)
        result = logkit_commit(kit, 3, BODY);
    if (result == JQ_OK)
        result = logkit_delete_below(kit, kit->written - 10);
    logkit_close(kit);
    for (uint32_t restart = 0; restart < 2 && result == JQ_OK; restart++) {
        result = logkit_open(kit);
        for (uint32_t i = 0; i < 2 && result == JQ_OK; i++)
            result = logkit_commit(kit, 1, BODY);
        logkit_close(kit);
    }
    return result;
}

static void expect_sound(struct logkit *kit, const char *when, uint64_t step, unsigned loss) {
    const enum jq_err result = logkit_open(kit);
    if (result != JQ_OK || kit->wrong)
        fail_msg("%s, change %llu, loss %u: %s; records %llu to %llu, acknowledged %llu", when,
                 (unsigned long long)step, loss, result != JQ_OK ? kit->error.message : "wrong records",
                 (unsigned long long)kit->first_seen, (unsigned long long)kit->seen, (unsigned long long)kit->acked);
}

/* The power fails after the n-th change of the disk, for every n: recovery finds all that was acknowledged, and the log
 * lives on. */
static void power_may_fail_after_any_change(void **state) {
    (void)state;
    for (unsigned loss = 0; loss < LOSS_COUNT; loss++) {
        bool cut = true;
        for (uint64_t change = 0; cut; change++) {
            struct logkit *kit = logkit_new(jq_simdisk_new(change), change);
            jq_simdisk_power_off_after(kit->sim, change);
            live(kit);
            logkit_close(kit);
            cut = jq_simdisk_power_is_off(kit->sim);
            jq_simdisk_crash(kit->sim, LOSSES[loss]);
            expect_sound(kit, "after the crash", change, loss);
            assert_int_equal(logkit_commit(kit, 2, BODY), JQ_OK);
            logkit_close(kit);
            jq_simdisk_crash(kit->sim, JQ_SIMDISK_LOSE);
            expect_sound(kit, "after a commit and a second crash", change, loss);
            logkit_free(kit);
        }
    }
}

/* The power fails a second time while the recovery from the first failure is at work, at each of its steps. */
static void power_may_fail_during_recovery(void **state) {
    (void)state;
    for (unsigned loss = 0; loss < LOSS_COUNT; loss++) {
        for (uint64_t first = 0; first < 120; first += 9) {
            bool cut = true;
            for (uint64_t second = 0; cut; second++) {
                struct logkit *kit = logkit_new(jq_simdisk_new(first * 100 + second), first);
                jq_simdisk_power_off_after(kit->sim, first);
                live(kit);
                logkit_close(kit);
                jq_simdisk_crash(kit->sim, LOSSES[loss]);
                jq_simdisk_power_off_after(kit->sim, second);
                const enum jq_err result = logkit_open(kit);
                logkit_close(kit);
                cut = jq_simdisk_power_is_off(kit->sim);
                assert_true(cut || result == JQ_OK);
                jq_simdisk_crash(kit->sim, LOSSES[loss]);
                expect_sound(kit, "after a crash in a recovery", first * 1000 + second, loss);
                logkit_free(kit);
            }
        }
    }
}

/* The process dies at any step, the machine does not: the same rule, with the cache intact. */
static void process_may_die_after_any_change(void **state) {
    (void)state;
    uint64_t changes = 1;
    for (uint64_t change = 0; change < changes; change++) {
        struct logkit *kit = logkit_new(jq_simdisk_new(change), change);
        jq_simdisk_fail(kit->sim, JQ_SIMDISK_CHANGE, change, EIO);
        const enum jq_err result = live(kit);
        jq_simdisk_kill(kit->sim);
        logkit_close(kit);
        changes = jq_simdisk_op_count(kit->sim, JQ_SIMDISK_CHANGE) > changes
                      ? jq_simdisk_op_count(kit->sim, JQ_SIMDISK_CHANGE)
                      : changes;
        assert_true(result == JQ_OK || result == JQ_ERR_IO);
        expect_sound(kit, "after the process died", change, 0);
        logkit_free(kit);
    }
}

/* After a failed sync the cache still shows the lost block. A recovery that finds it there and serves it must have put
 * it on the medium: power may fail right after. */
static void failed_sync_then_restart_then_power_failure_keeps_what_was_served(void **state) {
    (void)state;
    struct logkit *kit = logkit_new(jq_simdisk_new(3), 3);
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_int_equal(logkit_commit(kit, 2, BODY), JQ_OK);
    assert_int_equal(logkit_write(kit, 2, BODY), JQ_OK);
    jq_simdisk_fail(kit->sim, JQ_SIMDISK_SYNC, 0, EIO);
    assert_int_equal(logkit_sync(kit), JQ_ERR_IO);
    jq_simdisk_kill(kit->sim);
    logkit_close(kit);
    expect_sound(kit, "after the failed sync", 0, 0);
    assert_int_equal(kit->seen, 4);
    jq_simdisk_crash(kit->sim, JQ_SIMDISK_LOSE);
    logkit_close(kit);
    expect_sound(kit, "after the power failure", 0, 0);
    assert_int_equal(kit->seen, 4);
    logkit_free(kit);
}

/* A lost fsync is never retried: from the first failure on every write and every sync fails, and nothing becomes
 * durable. */
static void failed_sync_is_for_ever(void **state) {
    (void)state;
    struct logkit *kit = logkit_new(jq_simdisk_new(4), 4);
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_int_equal(logkit_write(kit, 1, BODY), JQ_OK);
    jq_simdisk_fail(kit->sim, JQ_SIMDISK_SYNC, 0, EIO);
    assert_int_equal(logkit_sync(kit), JQ_ERR_IO);
    assert_int_equal(logkit_sync(kit), JQ_ERR_IO);
    assert_non_null(strstr(kit->error.message, "journal failed before: "));
    assert_int_equal(logkit_write(kit, 1, BODY), JQ_ERR_IO);
    assert_int_equal(jq_journal_durable_lsn(kit->journal), 0);
    struct jq_journal_stat stat;
    jq_journal_stat(kit->journal, &stat);
    assert_true(stat.failed);
    logkit_free(kit);
}

/* The same for a write, whatever part of it was done. */
static void failed_write_is_for_ever(void **state) {
    (void)state;
    struct logkit *kit = logkit_new(jq_simdisk_new(5), 5);
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_int_equal(logkit_commit(kit, 1, BODY), JQ_OK);
    jq_simdisk_fail(kit->sim, JQ_SIMDISK_WRITE, 0, ENOSPC);
    assert_int_equal(logkit_write(kit, 1, BODY), JQ_ERR_NO_SPACE);
    assert_int_equal(logkit_sync(kit), JQ_ERR_NO_SPACE);
    logkit_close(kit);
    expect_sound(kit, "after the failed write", 0, 0);
    logkit_free(kit);
}

/* A full disk is met when the spare is made, which fails nothing; a spare that is there lets a rotation pass on a full
 * disk. */
static void full_disk_is_met_by_the_spare_first(void **state) {
    (void)state;
    struct logkit *kit = logkit_new(jq_simdisk_new(6), 6);
    struct jq_journal_stat stat;
    assert_int_equal(logkit_open(kit), JQ_OK);
    jq_simdisk_set_capacity(kit->sim, 20 * 1024);
    assert_int_equal(logkit_fill_spare(kit), JQ_ERR_NO_SPACE);
    assert_int_equal(logkit_commit(kit, 1, BODY), JQ_OK);
    jq_simdisk_set_capacity(kit->sim, 24 * 1024);
    assert_int_equal(logkit_fill_spare(kit), JQ_OK);
    jq_journal_stat(kit->journal, &stat);
    assert_true(stat.spare_ready);
    assert_int_equal(stat.spare_bytes, kit->segment_size);
    assert_int_equal(stat.file_bytes, 24 * 1024);
    do {
        assert_int_equal(logkit_commit(kit, 1, BODY), JQ_OK);
        jq_journal_stat(kit->journal, &stat);
    } while (stat.segment_count < 2);
    while (logkit_commit(kit, 1, BODY) == JQ_OK)
        continue;
    assert_int_equal(kit->error.code, JQ_ERR_NO_SPACE);
    logkit_close(kit);
    jq_simdisk_set_capacity(kit->sim, UINT64_MAX);
    expect_sound(kit, "after the full disk", 0, 0);
    logkit_free(kit);
}

/* A start on a full disk is refused and harms nothing. */
static void start_on_a_full_disk_is_refused(void **state) {
    (void)state;
    struct logkit *kit = logkit_new(jq_simdisk_new(7), 7);
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_int_equal(logkit_commit(kit, 2, BODY), JQ_OK);
    logkit_close(kit);
    jq_simdisk_set_capacity(kit->sim, 10 * 1024);
    assert_int_equal(logkit_open(kit), JQ_ERR_NO_SPACE);
    jq_simdisk_set_capacity(kit->sim, UINT64_MAX);
    expect_sound(kit, "after the full disk", 0, 0);
    logkit_free(kit);
}

/* Only whole segments leave, from the old end, and never the one with the last durable block; what is left reads
 * back. */
static void deletion_takes_whole_segments_from_the_old_end(void **state) {
    (void)state;
    struct logkit *kit = logkit_new(jq_simdisk_new(8), 8);
    struct jq_journal_stat stat;
    uint32_t count = 0;
    assert_int_equal(logkit_open(kit), JQ_OK);
    for (int i = 0; i < 60; i++)
        assert_int_equal(logkit_commit(kit, 2, BODY), JQ_OK);
    assert_int_equal(logkit_delete_below(kit, 1), JQ_OK);
    assert_true(logkit_reads_back(kit, 0, BODY));
    jq_journal_stat(kit->journal, &stat);
    const uint64_t segments = stat.segment_count;
    assert_int_equal(logkit_delete_below(kit, 60), JQ_OK);
    jq_journal_stat(kit->journal, &stat);
    assert_true(stat.segment_count < segments && stat.segment_count > 1);
    assert_true(stat.first_lsn <= kit->lsns[60]);
    for (uint64_t record = 60; record < kit->written; record++)
        assert_true(logkit_reads_back(kit, record, BODY));
    assert_false(logkit_reads_back(kit, 0, BODY));
    assert_int_equal(kit->error.code, JQ_ERR_NOT_FOUND);
    kit->deleted = kit->written;
    assert_int_equal(jq_journal_delete_below(kit->journal, JQ_LSN_MAX, &count, NULL), JQ_OK);
    assert_true(count > 0);
    logkit_close(kit);
    expect_sound(kit, "after the deletion", 0, 0);
    assert_true(kit->seen > kit->first_seen);
    logkit_free(kit);
}

/* What is not written yet cannot be read. */
static void bytes_not_written_yet_are_not_found(void **state) {
    (void)state;
    struct logkit *kit = logkit_new(jq_simdisk_new(9), 9);
    uint8_t data[8];
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_int_equal(logkit_commit(kit, 1, BODY), JQ_OK);
    const uint64_t end_lsn = jq_journal_written_lsn(kit->journal);
    assert_int_equal(jq_journal_read(kit->journal, end_lsn - 8, 8, data, NULL), JQ_OK);
    assert_int_equal(jq_journal_read(kit->journal, end_lsn - 7, 8, data, NULL), JQ_ERR_NOT_FOUND);
    assert_int_equal(jq_journal_read(kit->journal, end_lsn, 1, data, NULL), JQ_ERR_NOT_FOUND);
    logkit_free(kit);
}

/* A rotation whose first block was lost leaves an empty segment. The recovery goes on below it, and its own death at
 * any step, with the empty segment still there or gone, changes nothing. */
static void recovery_below_an_empty_segment_may_die_at_any_step(void **state) {
    (void)state;
    for (unsigned loss = 0; loss < LOSS_COUNT; loss++) {
        bool cut = true;
        for (uint64_t change = 0; cut; change++) {
            struct logkit *kit = logkit_new(jq_simdisk_new(change), 11);
            struct jq_journal_stat stat;
            assert_int_equal(logkit_open(kit), JQ_OK);
            assert_int_equal(logkit_commit(kit, 8, BODY), JQ_OK);
            assert_int_equal(logkit_write(kit, 8, BODY), JQ_OK);
            jq_journal_stat(kit->journal, &stat);
            assert_int_equal(stat.segment_count, 2);
            logkit_close(kit);
            jq_simdisk_crash(kit->sim, JQ_SIMDISK_LOSE);
            jq_simdisk_power_off_after(kit->sim, change);
            logkit_open(kit);
            logkit_close(kit);
            cut = jq_simdisk_power_is_off(kit->sim);
            jq_simdisk_crash(kit->sim, LOSSES[loss]);
            expect_sound(kit, "after a crash in the recovery", change, loss);
            assert_int_equal(kit->seen, 8);
            logkit_free(kit);
        }
    }
}

/* A segment is not deleted for a successor in which nothing is durable yet: the last durable block would go with it. */
static void deletion_spares_the_last_durable_block(void **state) {
    (void)state;
    struct logkit *kit = logkit_new(jq_simdisk_new(12), 12);
    uint32_t count = 9;
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_int_equal(logkit_commit(kit, 8, BODY), JQ_OK);
    assert_int_equal(logkit_write(kit, 8, BODY), JQ_OK);
    assert_int_equal(jq_journal_delete_below(kit->journal, JQ_LSN_MAX, &count, NULL), JQ_OK);
    assert_int_equal(count, 0);
    assert_int_equal(logkit_sync(kit), JQ_OK);
    assert_int_equal(jq_journal_delete_below(kit->journal, JQ_LSN_MAX, &count, NULL), JQ_OK);
    assert_int_equal(count, 1);
    logkit_free(kit);
}

/* A block that no segment is large enough for gets one that is. */
static void large_block_gets_a_large_segment(void **state) {
    (void)state;
    struct logkit *kit = logkit_new(jq_simdisk_new(10), 10);
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_int_equal(logkit_commit(kit, 1, BODY), JQ_OK);
    assert_int_equal(logkit_commit(kit, 2, 60000), JQ_OK);
    assert_int_equal(logkit_commit(kit, 1, BODY), JQ_OK);
    assert_true(logkit_reads_back(kit, 2, 60000));
    logkit_close(kit);
    expect_sound(kit, "after large blocks", 0, 0);
    assert_int_equal(kit->seen, 4);
    logkit_free(kit);
}

/* If the very first block is too large for the first segment, a larger one takes its place and name; the deleter must not take
 * them for two. */
static void first_block_too_large_for_the_first_segment_stays(void **state) {
    (void)state;
    struct logkit *kit = logkit_new(jq_simdisk_new(13), 13);
    uint32_t count = 9;
    assert_int_equal(logkit_open(kit), JQ_OK);
    assert_int_equal(logkit_commit(kit, 1, 12000), JQ_OK);
    assert_int_equal(jq_journal_delete_below(kit->journal, JQ_LSN_MAX, &count, NULL), JQ_OK);
    assert_int_equal(count, 0);
    assert_true(logkit_reads_back(kit, 0, 12000));
    logkit_close(kit);
    expect_sound(kit, "after a large first block", 0, 0);
    assert_int_equal(kit->seen, 1);
    logkit_free(kit);
}

static enum jq_err live_one_step(struct logkit *kit) {
    struct jq_rng *rng = &kit->rng;
    switch (jq_rng_below(rng, 12)) {
    case 0: return logkit_fill_spare(kit);
    case 1: return kit->written > 0 ? logkit_delete_below(kit, jq_rng_below(rng, kit->written)) : JQ_OK;
    case 2: jq_simdisk_fail(kit->sim, JQ_SIMDISK_CHANGE, jq_rng_below(rng, 6), EIO); return JQ_OK;
    case 3: jq_simdisk_power_off_after(kit->sim, jq_rng_below(rng, 12)); return JQ_OK;
    case 4: return logkit_write(kit, 1, BODY) == JQ_OK ? JQ_ERR_CLOSED : JQ_ERR_IO; /* dies between write and sync */
    default: break;
    }
    const uint32_t count = (uint32_t)jq_rng_below(rng, 4);
    return logkit_commit(kit, count, 8 + (uint32_t)jq_rng_below(rng, 1500));
}

/* Opens with segments of sizes drawn anew. */
static enum jq_err begin_life(struct logkit *kit) {
    kit->segment_size = JQ_SEGMENT_SIZE_MIN + (uint32_t)jq_rng_below(&kit->rng, 20000);
    kit->first_segment_size = JQ_SEGMENT_SIZE_MIN + (uint32_t)jq_rng_below(&kit->rng, 8000);
    return logkit_open(kit);
}

/* Ends this life as the dice want: killed, or without power. A disk that is off needs the latter. */
static void die(struct logkit *kit, uint64_t seed, unsigned *ret_loss) {
    const bool crash = jq_simdisk_power_is_off(kit->sim) || jq_rng_chance(&kit->rng, 1, 2);
    *ret_loss = (unsigned)((seed + jq_rng_next(&kit->rng)) % LOSS_COUNT);
    jq_simdisk_kill(kit->sim);
    logkit_close(kit);
    if (crash)
        jq_simdisk_crash(kit->sim, LOSSES[*ret_loss]);
}

/* Long lives of commits, rotations, deletions, faults and deaths, drawn by a seed: every recovery keeps the rule of the
 * kit. */
static void random_lives_lose_nothing(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < LIFE_SEEDS; seed++) {
        struct logkit *kit = logkit_new(jq_simdisk_new(seed), seed);
        unsigned loss = 0;
        for (int step = 0; step < LIFE_STEPS; step++) {
            enum jq_err result = kit->journal == NULL ? begin_life(kit) : live_one_step(kit);
            if (kit->wrong || (result != JQ_OK && result != JQ_ERR_IO && result != JQ_ERR_CLOSED))
                fail_msg("seed %llu, step %d, loss %u: %s, records %llu to %llu, acknowledged %llu, deleted %llu",
                         (unsigned long long)seed, step, loss, kit->error.message, (unsigned long long)kit->first_seen,
                         (unsigned long long)kit->seen, (unsigned long long)kit->acked,
                         (unsigned long long)kit->deleted);
            if (result != JQ_OK)
                die(kit, seed, &loss);
        }
        logkit_free(kit);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_may_fail_after_any_change),
        cmocka_unit_test(power_may_fail_during_recovery),
        cmocka_unit_test(process_may_die_after_any_change),
        cmocka_unit_test(failed_sync_then_restart_then_power_failure_keeps_what_was_served),
        cmocka_unit_test(failed_sync_is_for_ever),
        cmocka_unit_test(failed_write_is_for_ever),
        cmocka_unit_test(full_disk_is_met_by_the_spare_first),
        cmocka_unit_test(start_on_a_full_disk_is_refused),
        cmocka_unit_test(deletion_takes_whole_segments_from_the_old_end),
        cmocka_unit_test(bytes_not_written_yet_are_not_found),
        cmocka_unit_test(recovery_below_an_empty_segment_may_die_at_any_step),
        cmocka_unit_test(deletion_spares_the_last_durable_block),
        cmocka_unit_test(large_block_gets_a_large_segment),
        cmocka_unit_test(first_block_too_large_for_the_first_segment_stays),
        cmocka_unit_test(random_lives_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
