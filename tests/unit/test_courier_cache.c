/* The worker's cache of blobs: who may use what, and the quota, which holds while several are on their way. */
#include "worker/shell/courier.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/exec/workdir.h"

enum { QUOTA = 1000 };

static struct jq_courier courier;
static struct jq_files jobs[3];

static struct jq_blob blob_of(uint8_t first) {
    return (struct jq_blob){.hash = {first}};
}

static void path_of(uint8_t first, const char *suffix, char path[WORKER_PATH_MAX + 80]) {
    char hex[JQ_BLOB_TEXT_SIZE];
    const struct jq_blob blob = blob_of(first);
    (void)snprintf(path, WORKER_PATH_MAX + 80, "%s/%s%s", courier.cache, jq_blob_format(&blob, hex), suffix);
}

/* The last of them was used last. */
static void put(uint8_t first, const char *suffix, off_t size) {
    static int64_t second;
    char path[WORKER_PATH_MAX + 80];
    path_of(first, suffix, path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    second++;
    const struct timespec times[] = {{.tv_sec = second}, {.tv_sec = second}};
    assert_int_equal(futimens(fd, times), 0);
    assert_int_equal(close(fd), 0);
}

static void expect(uint8_t first, const char *suffix, bool there) {
    char path[WORKER_PATH_MAX + 80];
    path_of(first, suffix, path);
    assert_int_equal(access(path, F_OK) == 0, there);
}

static int set_up(void **state) {
    (void)state;
    courier = (struct jq_courier){.cache = "/tmp/jqmesh-cache-XXXXXX", .cache_bytes_max = QUOTA, .hand_count = 3};
    assert_non_null(mkdtemp(courier.cache));
    pthread_mutex_init(&courier.lock, NULL);
    pthread_mutex_init(&courier.cache_lock, NULL);
    pthread_cond_init(&courier.released, NULL);
    for (unsigned i = 0; i < 3; i++) {
        jobs[i] = (struct jq_files){.storing = false};
        courier.hands[i] = (struct jq_courier_hand){.courier = &courier, .files = &jobs[i]};
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return jq_workdir_remove(AT_FDCWD, courier.cache) ? 0 : -1;
}

static enum jq_err room(unsigned hand, const struct jq_blob *blob, uint64_t size) {
    assert_int_equal(jq_cache_claim(&courier.hands[hand], blob, NULL), JQ_OK);
    return jq_cache_make_room(&courier.hands[hand], size, NULL);
}

/* What was used longest ago goes first, before the new one comes, and no more than is needed. */
static void oldest_gives_way_before_the_new_one_comes(void **state) {
    (void)state;
    const struct jq_blob fresh = blob_of(9);
    put(1, "", 400);
    put(2, ".part", 300);
    put(3, "", 300);
    assert_int_equal(room(0, &fresh, 500), JQ_OK);
    expect(1, "", false);
    expect(2, ".part", false);
    expect(3, "", true);
}

/* What another courier takes from the cache stays there, and what another one fetches counts as large as it will be. */
static void what_others_use_is_not_touched(void **state) {
    (void)state;
    const struct jq_blob used = blob_of(1), coming = blob_of(2), fresh = blob_of(9);
    put(1, "", 400);
    put(2, ".part", 10);
    assert_int_equal(jq_cache_claim(&courier.hands[0], &used, NULL), JQ_OK);
    assert_int_equal(room(1, &coming, 500), JQ_OK);
    assert_int_equal(room(2, &fresh, 101), JQ_ERR_TOO_BIG);
    expect(1, "", true);
    expect(2, ".part", true);
    assert_int_equal(jq_cache_make_room(&courier.hands[2], 100, NULL), JQ_OK);
    jq_cache_release(&courier.hands[2]);
    jq_cache_release(&courier.hands[0]);
    assert_int_equal(room(2, &fresh, 101), JQ_OK);
    expect(1, "", false);
    expect(2, ".part", true);
}

/* What is larger than the quota has no room, and drives nothing out. */
static void too_large_drives_nothing_out(void **state) {
    (void)state;
    const struct jq_blob large = blob_of(9);
    put(1, "", QUOTA);
    assert_int_equal(room(0, &large, QUOTA + 1), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_cache_make_room(&courier.hands[0], UINT64_MAX, NULL), JQ_ERR_TOO_BIG);
    expect(1, "", true);
}

static void *claim_late(void *arg) {
    struct jq_courier_hand *hand = arg;
    static const struct jq_blob blob = {.hash = {1}};
    const enum jq_err err = jq_cache_claim(hand, &blob, NULL);
    return (void *)(uintptr_t)err;
}

/* Two tasks that read the same wait for one fetch; one of which nobody wants the outcome any more does not wait on. */
static void one_at_a_time_and_no_longer_than_wanted(void **state) {
    (void)state;
    const struct jq_blob blob = blob_of(1);
    pthread_t waiting[2];
    void *err = NULL;
    assert_int_equal(jq_cache_claim(&courier.hands[0], &blob, NULL), JQ_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&waiting[i], NULL, claim_late, &courier.hands[i + 1]), 0);
    }
    jobs[1].under_way = true; /* else it would be freed */
    jq_courier_abandon(&courier, &jobs[1]);
    assert_int_equal(pthread_join(waiting[0], &err), 0);
    assert_int_equal((uintptr_t)err, JQ_ERR_CANCELED);
    jq_cache_release(&courier.hands[0]);
    assert_int_equal(pthread_join(waiting[1], &err), 0);
    assert_int_equal((uintptr_t)err, JQ_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(oldest_gives_way_before_the_new_one_comes),
        TEST(what_others_use_is_not_touched),
        TEST(too_large_drives_nothing_out),
        TEST(one_at_a_time_and_no_longer_than_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
