/* The simulated disk keeps, loses and fails as its header says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/simdisk.h"

#include <errno.h>
#include <stdio.h>

#define PATH "dir/file"

static struct jq_file *create(struct jq_simdisk *sim, const char *path) {
    const struct jq_disk *disk = jq_simdisk_disk(sim);
    struct jq_file *file = NULL;
    assert_int_equal(disk->open(disk->ctx, path, JQ_DISK_CREATE, &file, NULL), JQ_OK);
    return file;
}

static enum jq_err put(struct jq_simdisk *sim, struct jq_file *file, const char *text, uint64_t offset) {
    const struct jq_disk *disk = jq_simdisk_disk(sim);
    return disk->write(disk->ctx, file, text, strlen(text), offset, NULL);
}

static void save(struct jq_simdisk *sim, struct jq_file *file) {
    const struct jq_disk *disk = jq_simdisk_disk(sim);
    assert_int_equal(disk->sync(disk->ctx, file, NULL), JQ_OK);
    assert_int_equal(disk->sync_dir(disk->ctx, "dir", NULL), JQ_OK);
}

static void shut(struct jq_simdisk *sim, struct jq_file *file) {
    const struct jq_disk *disk = jq_simdisk_disk(sim);
    disk->close(disk->ctx, file);
}

static bool holds(const struct jq_simdisk *sim, const char *path, const char *text) {
    uint64_t size = 0;
    const uint8_t *data = jq_simdisk_peek(sim, path, &size);
    return data != NULL && size == strlen(text) && memcmp(data, text, size) == 0;
}

/* What was synced survives a power failure; what was not is lost, or kept, as the test wants. */
static void only_synced_bytes_survive(void **state) {
    (void)state;
    for (int keep = 0; keep < 2; keep++) {
        struct jq_simdisk *sim = jq_simdisk_new(1);
        struct jq_file *file = create(sim, PATH);
        put(sim, file, "saved", 0);
        save(sim, file);
        put(sim, file, "unsav", 0);
        put(sim, file, "+more", 5);
        assert_true(holds(sim, PATH, "unsav+more"));
        jq_simdisk_crash(sim, keep ? JQ_SIMDISK_KEEP : JQ_SIMDISK_LOSE);
        assert_true(holds(sim, PATH, keep ? "unsav+more" : "saved"));
        assert_int_equal(put(sim, file, "x", 0), JQ_ERR_IO); /* the file died with its process */
        shut(sim, file);
        jq_simdisk_free(sim);
    }
}

/* A file exists after a power failure only if its folder was synced; a rename is all or nothing. */
static void names_survive_only_with_their_folder(void **state) {
    (void)state;
    const struct jq_simdisk_loss lose = JQ_SIMDISK_LOSE;
    struct jq_simdisk *sim = jq_simdisk_new(1);
    const struct jq_disk *disk = jq_simdisk_disk(sim);
    struct jq_file *file = create(sim, PATH);
    put(sim, file, "x", 0);
    assert_int_equal(disk->sync(disk->ctx, file, NULL), JQ_OK);
    shut(sim, file);
    struct jq_simdisk *copy = jq_simdisk_clone(sim, 1);
    jq_simdisk_crash(copy, lose);
    assert_false(holds(copy, PATH, "x"));
    jq_simdisk_free(copy);
    assert_int_equal(disk->sync_dir(disk->ctx, "dir", NULL), JQ_OK);
    assert_int_equal(disk->rename(disk->ctx, PATH, "dir/new", NULL), JQ_OK);
    assert_true(holds(sim, "dir/new", "x"));
    jq_simdisk_crash(sim, lose);
    assert_true(holds(sim, PATH, "x"));
    assert_false(holds(sim, "dir/new", "x"));
    assert_int_equal(disk->unlink(disk->ctx, PATH, NULL), JQ_OK);
    assert_int_equal(disk->sync_dir(disk->ctx, "dir", NULL), JQ_OK);
    jq_simdisk_crash(sim, lose);
    assert_false(holds(sim, PATH, "x"));
    jq_simdisk_free(sim);
}

/* A torn write keeps some of its 512-byte sectors; a garbled one spoils only bytes that were written. */
static void torn_writes_touch_only_what_was_written(void **state) {
    (void)state;
    enum { SIZE = 8192, FROM = 700, UNTIL = 6000 };
    unsigned kept = 0;
    unsigned lost = 0;
    unsigned garbled = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        static uint8_t old[SIZE];
        static uint8_t new[UNTIL - FROM];
        uint64_t size = 0;
        struct jq_simdisk *sim = jq_simdisk_new(seed);
        const struct jq_disk *disk = jq_simdisk_disk(sim);
        struct jq_file *file = create(sim, PATH);
        memset(old, 1, sizeof(old));
        memset(new, 2, sizeof(new));
        disk->write(disk->ctx, file, old, sizeof(old), 0, NULL);
        save(sim, file);
        disk->write(disk->ctx, file, new, sizeof(new), FROM, NULL);
        jq_simdisk_crash(sim, JQ_SIMDISK_GARBLE);
        const uint8_t *data = jq_simdisk_peek(sim, PATH, &size);
        assert_int_equal(size, SIZE);
        for (size_t i = 0; i < SIZE; i++)
            if (i < FROM || i >= UNTIL)
                assert_int_equal(data[i], 1);
        for (size_t i = 1024; i + 512 <= UNTIL; i += 512) {
            kept += data[i] == 2 && memcmp(data + i, data + i + 1, 511) == 0;
            lost += data[i] == 1 && memcmp(data + i, data + i + 1, 511) == 0;
            garbled += memcmp(data + i, data + i + 1, 511) != 0;
        }
        shut(sim, file);
        jq_simdisk_free(sim);
    }
    assert_true(kept > 20 && lost > 20 && garbled > 20);
}

/* A failed sync loses its data for good while reads go on showing it: a later sync that succeeds does not save it. */
static void failed_sync_loses_what_the_cache_still_shows(void **state) {
    (void)state;
    struct jq_simdisk *sim = jq_simdisk_new(1);
    const struct jq_disk *disk = jq_simdisk_disk(sim);
    struct jq_file *file = create(sim, PATH);
    put(sim, file, "old", 0);
    save(sim, file);
    put(sim, file, "new", 0);
    jq_simdisk_fail(sim, JQ_SIMDISK_SYNC, 0, EIO);
    assert_int_equal(disk->sync(disk->ctx, file, NULL), JQ_ERR_IO);
    assert_int_equal(disk->sync(disk->ctx, file, NULL), JQ_OK);
    shut(sim, file);
    jq_simdisk_kill(sim);
    assert_true(holds(sim, PATH, "new"));
    jq_simdisk_crash(sim, JQ_SIMDISK_KEEP);
    assert_true(holds(sim, PATH, "old"));
    jq_simdisk_free(sim);
}

/* A fault hits the operation that it names, once; a full disk takes no more than it has room for. */
static void faults_hit_once_where_they_should(void **state) {
    (void)state;
    struct jq_simdisk *sim = jq_simdisk_new(1);
    const struct jq_disk *disk = jq_simdisk_disk(sim);
    struct jq_file *file = create(sim, PATH);
    uint64_t bytes = 0;
    jq_simdisk_fail(sim, JQ_SIMDISK_WRITE, 1, ENOSPC);
    assert_int_equal(put(sim, file, "a", 0), JQ_OK);
    assert_int_equal(put(sim, file, "b", 1), JQ_ERR_NO_SPACE);
    assert_int_equal(put(sim, file, "c", 1), JQ_OK);
    jq_simdisk_set_capacity(sim, 4);
    assert_int_equal(put(sim, file, "abcde", 0), JQ_ERR_NO_SPACE);
    assert_int_equal(put(sim, file, "abcd", 0), JQ_OK);
    assert_int_equal(disk->free_space(disk->ctx, "dir", &bytes, NULL), JQ_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(disk->allocate(disk->ctx, file, 5, NULL), JQ_ERR_NO_SPACE);
    assert_int_equal(jq_simdisk_op_count(sim, JQ_SIMDISK_WRITE), 5);
    shut(sim, file);
    jq_simdisk_free(sim);
}

/* Without power nothing works, until the crash that brings it back. */
static void power_stays_off_until_the_crash(void **state) {
    (void)state;
    struct jq_simdisk *sim = jq_simdisk_new(1);
    const struct jq_disk *disk = jq_simdisk_disk(sim);
    struct jq_file *file = create(sim, PATH);
    put(sim, file, "x", 0);
    save(sim, file);
    jq_simdisk_power_off_after(sim, 1);
    assert_int_equal(put(sim, file, "y", 0), JQ_OK);
    assert_false(jq_simdisk_power_is_off(sim));
    assert_int_equal(disk->sync(disk->ctx, file, NULL), JQ_ERR_IO);
    assert_true(jq_simdisk_power_is_off(sim));
    assert_int_equal(put(sim, file, "z", 0), JQ_ERR_IO);
    shut(sim, file);
    assert_int_equal(disk->open(disk->ctx, PATH, JQ_DISK_READ, &file, NULL), JQ_ERR_IO);
    jq_simdisk_crash(sim, JQ_SIMDISK_LOSE);
    assert_true(holds(sim, PATH, "x") || holds(sim, PATH, "y")); /* the interrupted sync may have been done */
    assert_int_equal(disk->open(disk->ctx, PATH, JQ_DISK_READ, &file, NULL), JQ_OK);
    shut(sim, file);
    jq_simdisk_free(sim);
}

/* A lock ends with its file, its process, or the power. */
static void lock_ends_with_its_holder(void **state) {
    (void)state;
    struct jq_simdisk *sim = jq_simdisk_new(1);
    const struct jq_disk *disk = jq_simdisk_disk(sim);
    struct jq_file *first = NULL;
    struct jq_file *second = NULL;
    assert_int_equal(disk->lock(disk->ctx, "dir/LOCK", &first, NULL), JQ_OK);
    assert_int_equal(disk->lock(disk->ctx, "dir/LOCK", &second, NULL), JQ_ERR_LOCKED);
    jq_simdisk_kill(sim);
    assert_int_equal(disk->lock(disk->ctx, "dir/LOCK", &second, NULL), JQ_OK);
    shut(sim, first);
    shut(sim, second);
    jq_simdisk_free(sim);
}

/* The same seed and the same calls leave the same bytes. */
static void same_seed_gives_the_same_disk(void **state) {
    (void)state;
    enum { SIZE = 4096 };
    static uint8_t left[SIZE];
    static uint8_t data[SIZE];
    for (int run = 0; run < 2; run++) {
        uint64_t size = 0;
        struct jq_simdisk *sim = jq_simdisk_new(42);
        const struct jq_disk *disk = jq_simdisk_disk(sim);
        struct jq_file *file = create(sim, PATH);
        assert_int_equal(disk->allocate(disk->ctx, file, SIZE, NULL), JQ_OK);
        save(sim, file);
        memset(data, 7, sizeof(data));
        disk->write(disk->ctx, file, data, sizeof(data), 0, NULL);
        jq_simdisk_crash(sim, JQ_SIMDISK_GARBLE);
        const uint8_t *after = jq_simdisk_peek(sim, PATH, &size);
        if (run == 0)
            memcpy(left, after, sizeof(left));
        else
            assert_memory_equal(left, after, sizeof(left));
        shut(sim, file);
        jq_simdisk_free(sim);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_synced_bytes_survive),
        cmocka_unit_test(names_survive_only_with_their_folder),
        cmocka_unit_test(torn_writes_touch_only_what_was_written),
        cmocka_unit_test(failed_sync_loses_what_the_cache_still_shows),
        cmocka_unit_test(faults_hit_once_where_they_should),
        cmocka_unit_test(power_stays_off_until_the_crash),
        cmocka_unit_test(lock_ends_with_its_holder),
        cmocka_unit_test(same_seed_gives_the_same_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
