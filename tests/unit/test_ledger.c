#include "broker/shell/ledger.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/record.h"
#include "broker/shell/bodies.h"
#include "common/list.h"

enum { RECORDS_MAX = 400000, EFFECTS_MAX = 64 };

struct effect {
    struct jq_release_item item;
    uint64_t lsn; /* end of the log when it was made */
};

/* What a replay of the folder finds. */
struct replayed {
    int64_t time_ms;
    size_t count;
    struct {
        uint64_t lsn, task;
        int64_t time_ms;
    } * records;
};

struct bench {
    char dir[64];
    struct jq_journal *journal;
    struct jq_metrics metrics;
    struct jq_ledger *ledger;
    struct effect effects[EFFECTS_MAX];
    size_t effect_count;
    pthread_mutex_t lock;
    size_t released_count;
};

static struct bench bench;

static void on_release(void *ctx, struct jq_release_item *items) {
    (void)ctx;
    pthread_mutex_lock(&bench.lock);
    for (; items != NULL; items = items->next) {
        const struct effect *effect = JQ_CONTAINER_OF(items, struct effect, item);
        /* Never before the durability that it names. */
        assert_true(jq_journal_durable_lsn(bench.journal) >= effect->lsn);
        bench.released_count++;
    }
    pthread_mutex_unlock(&bench.lock);
}

static void on_done(void *ctx) {
    (void)ctx;
}

static void on_failed(void *ctx, const struct jq_error *error) {
    (void)ctx;
    fail_msg("commit failed: %s", error->message);
}

static void fixed_random(void *ctx, void *data, size_t size) {
    (void)ctx;
    memset(data, 7, size);
}

static enum jq_err on_block(void *ctx, const struct jq_block_info *info, struct jq_error *reterr) {
    struct replayed *replayed = ctx;
    (void)reterr;
    replayed->time_ms = info->time_ms;
    return JQ_OK;
}

static enum jq_err on_record(void *ctx, const struct jq_block_info *info, const struct jq_log_record *bytes,
                             struct jq_error *reterr) {
    struct replayed *replayed = ctx;
    struct jq_record record;
    bool clock = false;
    (void)info;
    const enum jq_err err = jq_record_decode(bytes->type, bytes->body, &replayed->time_ms, &record, &clock, reterr);
    if (err != JQ_OK || clock)
        return err;
    replayed->records[replayed->count].lsn = bytes->lsn;
    replayed->records[replayed->count].time_ms = record.time_ms;
    replayed->records[replayed->count++].task = record.u.task_due.task.value;
    return JQ_OK;
}

static void open_journal(struct replayed *replayed) {
    const struct jq_journal_config config = {
        .disk = jq_disk_posix(),
        .dir = jq_str_of(bench.dir),
        .segment_size_bytes = 4 << 20,
        .first_segment_size_bytes = 1 << 20,
        .random = fixed_random,
    };
    const struct jq_journal_replay replay = {.ctx = replayed, .on_block = on_block, .on_record = on_record};
    struct jq_recovery_report report;
    struct jq_error error;
    assert_int_equal(jq_journal_open(&config, &replay, &report, &bench.journal, &error), JQ_OK);
}

static int begin(void **state) {
    (void)state;
    struct replayed nothing = {.count = 0};
    memset(&bench, 0, sizeof(bench));
    pthread_mutex_init(&bench.lock, NULL);
    memcpy(bench.dir, "/tmp/jqtest-ledger-XXXXXX", sizeof("/tmp/jqtest-ledger-XXXXXX"));
    assert_non_null(mkdtemp(bench.dir));
    open_journal(&nothing);
    const struct jq_commit_config config = {.journal = bench.journal,
                                            .metrics = &bench.metrics,
                                            .release = on_release,
                                            .done = on_done,
                                            .failed = on_failed};
    struct jq_error error;
    assert_int_equal(jq_ledger_new(&config, JQ_LOG_RING_SIZE_MIN, &bench.ledger, &error), JQ_OK);
    return 0;
}

static enum jq_err remove_entry(void *ctx, const char *name) {
    char path[JQ_DISK_PATH_SIZE_MAX];
    (void)ctx;
    assert_int_equal(jq_disk_path(path, bench.dir, name, NULL), JQ_OK);
    return unlink(path) == 0 ? JQ_OK : JQ_ERR_IO;
}

static int end(void **state) {
    (void)state;
    jq_ledger_free(bench.ledger);
    jq_journal_free(bench.journal);
    jq_disk_posix()->list(NULL, bench.dir, remove_entry, NULL, NULL);
    return rmdir(bench.dir);
}

/* Ends the process that wrote the log, and reads what it left. The caller frees `records`. */
static struct replayed reopen(void) {
    struct replayed replayed = {.count = 0};
    jq_ledger_free(bench.ledger);
    bench.ledger = NULL;
    jq_journal_free(bench.journal);
    replayed.records = calloc(RECORDS_MAX, sizeof(*replayed.records));
    assert_non_null(replayed.records);
    open_journal(&replayed);
    return replayed;
}

static struct jq_record record_due(uint64_t task, int64_t time_ms) {
    struct jq_record record = {.type = JQ_RECORD_TASK_DUE, .time_ms = time_ms, .u.task_due.task = {task}};
    jq_ledger_record(bench.ledger, &record);
    return record;
}

static struct jq_record record_submit(uint64_t task, int64_t time_ms, const uint8_t *body, size_t size) {
    struct jq_record record = {.type = JQ_RECORD_TASK_SUBMITTED,
                               .time_ms = time_ms,
                               .u.task_submitted = {.task = {task}, .ready_at_ms = time_ms, .body = {body, size}}};
    jq_ledger_record(bench.ledger, &record);
    return record;
}

static void effect(void) {
    struct effect *made = &bench.effects[bench.effect_count++ % EFFECTS_MAX];
    made->lsn = jq_ledger_end_lsn(bench.ledger);
    jq_ledger_effect(bench.ledger, JQ_EFFECT_DURABLE, &made->item);
}

/* What was recorded is found again at the places that were given, in order, at the times of its batches: a clock record stands
 * where the time differs from the block's. */
static void records_are_found_again(void **state) {
    (void)state;
    struct jq_record made[6];
    jq_ledger_begin(bench.ledger);
    made[0] = record_due(1, 1000);
    made[1] = record_due(2, 1000);
    made[2] = record_due(3, 1005);
    jq_ledger_end(bench.ledger);
    jq_ledger_sync(bench.ledger);
    jq_ledger_begin(bench.ledger);
    made[3] = record_due(4, 2000);
    made[4] = record_due(5, 2001);
    made[5] = record_due(6, 2001);
    jq_ledger_end(bench.ledger);
    jq_ledger_sync(bench.ledger);
    const struct replayed replayed = reopen();
    assert_int_equal(replayed.count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(replayed.records[i].task, i + 1);
        assert_int_equal(replayed.records[i].lsn, made[i].lsn);
        assert_int_equal(replayed.records[i].time_ms, made[i].time_ms);
    }
    free(replayed.records);
}

/* A batch larger than a block, and than all blocks that may queue up, is cut at record borders; nothing is lost, no effect comes before
 * its records are durable, and each comes once. */
static void large_batches_are_cut(void **state) {
    (void)state;
    static uint8_t body[30000];
    const uint64_t count = 1000; /* 30 MB: more than the ring holds */
    jq_ledger_begin(bench.ledger);
    for (uint64_t task = 1; task <= count; task++) {
        record_submit(task, 1000, body, sizeof(body));
        if (task % 20 == 0)
            effect();
    }
    jq_ledger_end(bench.ledger);
    jq_ledger_sync(bench.ledger);
    assert_true(jq_ledger_quiet(bench.ledger));
    assert_int_equal(bench.released_count, count / 20);
    const struct replayed replayed = reopen();
    assert_int_equal(replayed.count, count);
    free(replayed.records);
}

/* A small batch that nothing follows is durable, and its effects are out, when its end returns: no other thread is waited for. */
static void lone_batch_is_durable_at_its_end(void **state) {
    (void)state;
    for (uint64_t task = 1; task <= 20; task++) {
        jq_ledger_begin(bench.ledger);
        record_due(task, 1000);
        effect();
        jq_ledger_end_here(bench.ledger);
        assert_int_equal(bench.released_count, task);
        assert_true(jq_ledger_quiet(bench.ledger));
    }
    const struct replayed replayed = reopen();
    assert_int_equal(replayed.count, 20);
    free(replayed.records);
}

/* Many small batches, by either thread, one after the other while the disk works: every effect is released after its durability (see on_release). */
static void batches_overlap_commits(void **state) {
    (void)state;
    const uint64_t count = 2000;
    for (uint64_t task = 1; task <= count; task++) {
        jq_ledger_begin(bench.ledger);
        record_due(task, (int64_t)(1000 + task / 100));
        if (task % (count / EFFECTS_MAX + 1) == 0)
            effect();
        if (task % 3 == 0)
            jq_ledger_end_here(bench.ledger);
        else
            jq_ledger_end(bench.ledger);
    }
    jq_ledger_sync(bench.ledger);
    assert_int_equal(bench.released_count, bench.effect_count);
    assert_true(atomic_load(&bench.metrics.blocks) <= count);
    const struct replayed replayed = reopen();
    assert_int_equal(replayed.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(replayed.records[i].task, i + 1);
    free(replayed.records);
}

/* A body is at hand in memory at once, before anything was written, and is checked when it is handed out. */
static void fresh_body_is_in_memory(void **state) {
    (void)state;
    struct jq_bodies bodies;
    struct jq_bytes found;
    jq_bodies_init(&bodies);
    jq_ledger_begin(bench.ledger);
    const struct jq_record record = record_submit(1, 1000, (const uint8_t *)"payload", 7);
    const struct jq_body_ref ref = {record.lsn, record.size};
    const uint8_t *bytes = jq_ledger_find(bench.ledger, record.lsn, record.size);
    assert_non_null(bytes);
    assert_true(jq_bodies_add(&bodies, ref, bytes));
    assert_true(jq_bodies_find(&bodies, ref, &found));
    assert_int_equal(found.size, 7);
    assert_memory_equal(found.data, "payload", 7);
    jq_ledger_end(bench.ledger);
    jq_bodies_fini(&bodies);
}

/* Old bodies are read back from the files, and a body whose bytes have changed on disk is not handed out. */
static void old_body_is_read_and_checked(void **state) {
    (void)state;
    struct jq_bodies bodies;
    struct jq_bytes found;
    struct jq_error error;
    struct jq_body_ref refs[300];
    jq_bodies_init(&bodies);
    jq_ledger_begin(bench.ledger);
    for (size_t i = 0; i < 300; i++) {
        static uint8_t body[1000];
        memset(body, (int)i, sizeof(body));
        const struct jq_record record = record_submit(i + 1, 1000, body, sizeof(body));
        refs[i] = (struct jq_body_ref){record.lsn, record.size};
    }
    jq_ledger_end(bench.ledger);
    jq_ledger_sync(bench.ledger);
    assert_true(jq_bodies_reserve(&bodies, 400 * 1000));
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(jq_bodies_read(&bodies, bench.journal, refs[i], &error), JQ_OK);
        assert_true(jq_bodies_find(&bodies, refs[i], &found));
        assert_int_equal(found.size, 1000);
        assert_int_equal(found.data[999], (uint8_t)i);
    }
    const struct jq_body_ref wrong = {refs[5].lsn, refs[5].size - 1};
    jq_bodies_clear(&bodies);
    assert_int_equal(jq_bodies_read(&bodies, bench.journal, wrong, &error), JQ_ERR_CORRUPT);
    assert_false(jq_bodies_find(&bodies, wrong, &found));
    const struct jq_body_ref beyond = {jq_ledger_end_lsn(bench.ledger) + 8, 100};
    assert_int_equal(jq_bodies_read(&bodies, bench.journal, beyond, &error), JQ_ERR_NOT_FOUND);
    jq_bodies_fini(&bodies);
}

/* An idle log ends in one empty block that covers the last one, and then stays as it is. */
static void idle_log_is_marked_once(void **state) {
    (void)state;
    jq_ledger_begin(bench.ledger);
    record_due(1, 1000);
    jq_ledger_end(bench.ledger);
    jq_ledger_sync(bench.ledger);
    const uint64_t before = jq_journal_durable_lsn(bench.journal);
    for (int64_t now_ms = 2000; now_ms <= 4000; now_ms += 1000) {
        jq_ledger_begin(bench.ledger);
        jq_ledger_mark_idle(bench.ledger, now_ms);
        jq_ledger_end(bench.ledger);
        jq_ledger_sync(bench.ledger);
        assert_int_equal(jq_journal_durable_lsn(bench.journal), before + JQ_BLOCK_HEADER_SIZE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_are_found_again, begin, end),
        cmocka_unit_test_setup_teardown(large_batches_are_cut, begin, end),
        cmocka_unit_test_setup_teardown(batches_overlap_commits, begin, end),
        cmocka_unit_test_setup_teardown(lone_batch_is_durable_at_its_end, begin, end),
        cmocka_unit_test_setup_teardown(fresh_body_is_in_memory, begin, end),
        cmocka_unit_test_setup_teardown(old_body_is_read_and_checked, begin, end),
        cmocka_unit_test_setup_teardown(idle_log_is_marked_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
