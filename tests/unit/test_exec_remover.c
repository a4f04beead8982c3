/* What tasks left in their folders goes, and the loop does not wait for it. */
#include "worker/exec/remover.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/exec/workdir.h"

enum { LARGE = 400, LITTLE = 50 };

struct place {
    struct jq_remover remover;
    char path[64];
    int fd;
};

static int set_up(void **state) {
    static struct place place;
    const bool memory = access("/dev/shm", W_OK | X_OK) == 0; /* sooner done */
    (void)snprintf(place.path, sizeof(place.path), "%s/jqmesh-gone-XXXXXX", memory ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(place.path));
    place.fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(place.fd >= 0);
    jq_remover_init(&place.remover, true);
    *state = &place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    assert_int_equal(close(place->fd), 0);
    return jq_workdir_remove(AT_FDCWD, place->path) ? 0 : -1;
}

static void fill(const struct place *place, const char *name, int count) {
    assert_int_equal(mkdirat(place->fd, name, 0700), 0);
    for (int i = 0; i < count; i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "%s/%d", name, i);
        const int fd = openat(place->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
    }
}

static int count_in(const struct place *place, const char *name) {
    const int fd = openat(place->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    int count = dir ? 0 : -1;
    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir)) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return count;
}

/* A few files are gone when the call returns: nothing of the task is left. */
static void little_goes_at_once(void **state) {
    struct place *place = *state;
    fill(place, "17.1", LITTLE);
    assert_true(jq_remover_take(&place->remover, place->fd, place->fd, "17.1"));
    assert_int_equal(count_in(place, "."), 0);
    jq_remover_close(&place->remover);
}

/* Of many only so many are removed before the call returns; the name is free at once; the rest goes behind. */
static void much_goes_behind_and_its_name_is_free_at_once(void **state) {
    struct place *place = *state;
    fill(place, "17.1", LARGE);
    assert_true(jq_remover_take(&place->remover, place->fd, place->fd, "17.1"));
    assert_int_equal(count_in(place, "17.1"), -1);
    assert_in_range(count_in(place, ".gone.0"), LARGE - 100, LARGE);
    fill(place, "17.1", 1);
    jq_remover_release(&place->remover);
    jq_remover_close(&place->remover);
    assert_int_equal(count_in(place, "."), 1);
    assert_int_equal(count_in(place, "17.1"), 1);
}

/* What waits is bounded: one directory more than that is removed by the caller. */
static void what_waits_is_bounded(void **state) {
    struct place *place = *state;
    for (int i = 0; i <= JQ_REMOVER_WAITING_MAX; i++) {
        fill(place, "17.1", LITTLE + 20);
        assert_true(jq_remover_take(&place->remover, place->fd, place->fd, "17.1"));
    }
    assert_int_equal(count_in(place, "."), JQ_REMOVER_WAITING_MAX);
    jq_remover_release(&place->remover);
    jq_remover_close(&place->remover);
    assert_int_equal(count_in(place, "."), 0);
}

/* What a worker that was killed left, half removed too, goes when the next one starts. */
static void what_was_left_goes_at_the_start(void **state) {
    struct place *place = *state;
    fill(place, ".gone.0", LARGE);
    fill(place, "17.1", LARGE);
    fill(place, "18.1", 1);
    jq_remover_take_all(&place->remover, place->fd);
    assert_int_equal(count_in(place, "."), 2);
    assert_int_equal(count_in(place, "17.1"), -1);
    jq_remover_release(&place->remover);
    jq_remover_close(&place->remover);
    assert_int_equal(count_in(place, "."), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(little_goes_at_once),
        TEST(much_goes_behind_and_its_name_is_free_at_once),
        TEST(what_waits_is_bounded),
        TEST(what_was_left_goes_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
