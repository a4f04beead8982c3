#include "broker/shell/commit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/list.h"

enum { RING_SIZE = JQ_LOG_RING_SIZE_MIN };

/* A disk that stops at every sync until the test lets it pass, once the gate is shut. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut;
    int passes;  /* syncs that may pass */
    int waiting; /* threads that stand at the gate */
};

struct effect {
    struct jq_release_item item;
    char name;
};

struct bench {
    char dir[64];
    struct gate gate;
    struct jq_disk disk;
    struct jq_journal *journal;
    struct jq_log_ring *ring;
    struct jq_metrics metrics;
    struct jq_commit *commit;
    struct effect effects[16];
    size_t effect_count;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    char released[32];
    size_t released_count;
    int done_count;

    bool has_next; /* what `next` finds */
    struct jq_sealed_block next;
};

static struct bench bench;

static enum jq_err gated_sync(void *ctx, struct jq_file *file, struct jq_error *reterr) {
    struct gate *gate = &bench.gate;
    pthread_mutex_lock(&gate->lock);
    gate->waiting++;
    pthread_cond_broadcast(&gate->changed);
    while (gate->shut && gate->passes == 0)
        pthread_cond_wait(&gate->changed, &gate->lock);
    gate->waiting--;
    if (gate->shut)
        gate->passes--;
    pthread_mutex_unlock(&gate->lock);
    return jq_disk_posix()->sync(ctx, file, reterr);
}

static void wait_at_gate(void) {
    pthread_mutex_lock(&bench.gate.lock);
    while (bench.gate.waiting == 0)
        pthread_cond_wait(&bench.gate.changed, &bench.gate.lock);
    pthread_mutex_unlock(&bench.gate.lock);
}

static void let_pass(void) {
    pthread_mutex_lock(&bench.gate.lock);
    bench.gate.passes++;
    pthread_cond_broadcast(&bench.gate.changed);
    pthread_mutex_unlock(&bench.gate.lock);
}

static void on_release(void *ctx, struct jq_release_item *items) {
    (void)ctx;
    pthread_mutex_lock(&bench.lock);
    for (; items != NULL; items = items->next)
        bench.released[bench.released_count++] = JQ_CONTAINER_OF(items, struct effect, item)->name;
    pthread_cond_broadcast(&bench.changed);
    pthread_mutex_unlock(&bench.lock);
}

static void on_done(void *ctx) {
    (void)ctx;
    pthread_mutex_lock(&bench.lock);
    bench.done_count++;
    pthread_cond_broadcast(&bench.changed);
    pthread_mutex_unlock(&bench.lock);
}

static bool on_next(void *next_ctx, struct jq_sealed_block *ret_block) {
    (void)next_ctx;
    pthread_mutex_lock(&bench.lock);
    const bool has_next = bench.has_next;
    *ret_block = bench.next;
    bench.has_next = false;
    pthread_mutex_unlock(&bench.lock);
    return has_next;
}

static void on_failed(void *ctx, const struct jq_error *error) {
    (void)ctx;
    fail_msg("commit failed: %s", error->message);
}

static void fixed_random(void *ctx, void *data, size_t size) {
    (void)ctx;
    memset(data, 7, size);
}

static void open_journal(void) {
    bench.disk = *jq_disk_posix();
    bench.disk.sync = gated_sync;
    const struct jq_journal_config config = {
        .disk = &bench.disk,
        .dir = jq_str_of(bench.dir),
        .segment_size_bytes = 1 << 20,
        .first_segment_size_bytes = 1 << 20,
        .random = fixed_random,
    };
    struct jq_recovery_report report;
    struct jq_error error;
    const struct jq_journal_replay replay = {.ctx = NULL};
    assert_int_equal(jq_journal_open(&config, &replay, &report, &bench.journal, &error), JQ_OK);
    assert_int_equal(jq_log_ring_new(RING_SIZE, report.end_lsn, &bench.ring, &error), JQ_OK);
}

static void begin(bool durable_when_written) {
    memset(&bench, 0, sizeof(bench));
    pthread_mutex_init(&bench.lock, NULL);
    pthread_cond_init(&bench.changed, NULL);
    pthread_mutex_init(&bench.gate.lock, NULL);
    pthread_cond_init(&bench.gate.changed, NULL);
    memcpy(bench.dir, "/tmp/jqtest-commit-XXXXXX", sizeof("/tmp/jqtest-commit-XXXXXX"));
    assert_non_null(mkdtemp(bench.dir));
    open_journal();
    bench.gate.shut = true;
    const struct jq_commit_config config = {
        .journal = bench.journal,
        .metrics = &bench.metrics,
        .durable_when_written = durable_when_written,
        .release = on_release,
        .done = on_done,
        .next = on_next,
        .failed = on_failed,
    };
    struct jq_error error;
    assert_int_equal(jq_commit_new(&config, &bench.commit, &error), JQ_OK);
}

static int begin_fsync(void **state) {
    (void)state;
    begin(false);
    return 0;
}

static int begin_write(void **state) {
    (void)state;
    begin(true);
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
    jq_commit_free(bench.commit);
    jq_log_ring_free(bench.ring);
    jq_journal_free(bench.journal);
    jq_disk_posix()->list(NULL, bench.dir, remove_entry, NULL, NULL);
    return rmdir(bench.dir);
}

/* A block of one record; the effects then held wait for its end. */
static struct jq_sealed_block decide(void) {
    assert_true(jq_log_ring_begin(bench.ring, jq_journal_epoch(bench.journal), 1));
    assert_true(jq_log_ring_append(bench.ring, 2, (struct jq_bytes){(const uint8_t *)"fact", 4}) != 0);
    return jq_log_ring_seal(bench.ring);
}

static void hold(char name, enum jq_effect_level level) {
    struct effect *effect = &bench.effects[bench.effect_count++];
    effect->name = name;
    effect->item = (struct jq_release_item){.level = level, .lsn = jq_log_ring_end_lsn(bench.ring)};
    jq_commit_hold(bench.commit, &effect->item);
    jq_commit_release_due(bench.commit);
}

static void expect_released(const char *names) {
    const size_t count = strlen(names);
    pthread_mutex_lock(&bench.lock);
    while (bench.released_count < count)
        pthread_cond_wait(&bench.changed, &bench.lock);
    assert_int_equal(bench.released_count, count);
    assert_memory_equal(bench.released, names, count);
    pthread_mutex_unlock(&bench.lock);
}

static void offer(struct jq_sealed_block block) {
    pthread_mutex_lock(&bench.lock);
    bench.next = block;
    bench.has_next = true;
    pthread_mutex_unlock(&bench.lock);
}

static void wait_done(int count) {
    pthread_mutex_lock(&bench.lock);
    while (bench.done_count < count)
        pthread_cond_wait(&bench.changed, &bench.lock);
    pthread_mutex_unlock(&bench.lock);
}

static void expect_done(int count) {
    wait_done(count);
    assert_true(jq_commit_idle(bench.commit));
}

/* durability = fsync: a lease answer leaves when its block is written, a submit's answer only when it is synced. */
static void answers_wait_for_what_they_name(void **state) {
    (void)state;
    const struct jq_sealed_block block = decide();
    hold('s', JQ_EFFECT_DURABLE);
    hold('l', JQ_EFFECT_WRITTEN);
    hold('n', JQ_EFFECT_AT_ONCE);
    expect_released("n");
    jq_commit_start(bench.commit, &block);
    wait_at_gate();
    expect_released("nl");
    assert_false(jq_commit_idle(bench.commit));
    let_pass();
    expect_released("nls");
    expect_done(1);
    assert_int_equal(jq_commit_durable_lsn(bench.commit), block.lsn + block.size_bytes);
    assert_int_equal(jq_commit_waiting(bench.commit), 0);
}

/* durability = write: both leave when the block is written; the sync follows all the same before the block is done. */
static void durability_write_does_not_wait_for_the_sync(void **state) {
    (void)state;
    const struct jq_sealed_block block = decide();
    hold('s', JQ_EFFECT_DURABLE);
    jq_commit_start(bench.commit, &block);
    wait_at_gate();
    expect_released("s");
    assert_false(jq_commit_idle(bench.commit));
    let_pass();
    expect_done(1);
}

/* What is held while a block is under way waits for the next one; what has no record of its own waits for the one under way. The
 * commit thread takes the next block by itself. */
static void effects_of_the_next_block_stay(void **state) {
    (void)state;
    const struct jq_sealed_block first = decide();
    hold('a', JQ_EFFECT_DURABLE);
    jq_commit_start(bench.commit, &first);
    wait_at_gate();
    hold('r', JQ_EFFECT_DURABLE);
    const struct jq_sealed_block second = decide();
    hold('b', JQ_EFFECT_DURABLE);
    offer(second);
    let_pass();
    wait_done(1);
    assert_int_equal(jq_commit_durable_lsn(bench.commit), first.lsn + first.size_bytes);
    assert_false(jq_commit_idle(bench.commit));
    expect_released("ar");
    let_pass();
    expect_done(2);
    expect_released("arb");
    hold('q', JQ_EFFECT_DURABLE);
    expect_released("arbq");
}

/* The core is told of a new segment, so that it writes a prologue. */
static void rotation_is_noticed(void **state) {
    (void)state;
    bench.gate.shut = false;
    for (int i = 0; i < 3; i++) {
        assert_true(jq_log_ring_begin(bench.ring, 1, 1));
        uint64_t lsn;
        uint8_t *room = jq_log_ring_reserve(bench.ring, 2, 600000, &lsn);
        assert_non_null(room);
        memset(room, 'x', 600000);
        const struct jq_sealed_block block = jq_log_ring_seal(bench.ring);
        jq_commit_start(bench.commit, &block);
        jq_commit_wait(bench.commit);
        jq_log_ring_release(bench.ring, block.lsn + block.size_bytes);
        assert_int_equal(jq_commit_rotations(bench.commit), i);
    }
}

/* Many answers that are due by the write are left to the core thread: the sync goes on meanwhile. */
static void many_answers_do_not_hold_up_the_sync(void **state) {
    (void)state;
    const struct jq_sealed_block block = decide();
    for (char name = 'a'; name <= 'f'; name++)
        hold(name, JQ_EFFECT_WRITTEN);
    expect_released("");
    jq_commit_start(bench.commit, &block);
    wait_at_gate();
    expect_released("");
    jq_commit_release_due(bench.commit);
    expect_released("abcdef");
    let_pass();
    expect_done(2); /* Told once of what is due, and once of the end. */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_wait_for_what_they_name, begin_fsync, end),
        cmocka_unit_test_setup_teardown(durability_write_does_not_wait_for_the_sync, begin_write, end),
        cmocka_unit_test_setup_teardown(effects_of_the_next_block_stay, begin_fsync, end),
        cmocka_unit_test_setup_teardown(many_answers_do_not_hold_up_the_sync, begin_fsync, end),
        cmocka_unit_test_setup_teardown(rotation_is_noticed, begin_fsync, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
