#include "worker/exec/outputs.h"

#include <errno.h>
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

static const jq_task_id task = {17};

static int set_up(void **state) {
    static char dir[64];
    (void)snprintf(dir, sizeof(dir), "/tmp/jqmesh-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    *state = dir;
    return 0;
}

static int tear_down(void **state) {
    assert_true(jq_workdir_remove(AT_FDCWD, *state));
    return 0;
}

static void begin(const char *dir, uint32_t attempt, const char *text) {
    char path[128];
    char name[160];
    assert_int_equal(jq_outputs_begin(dir, task, attempt, NULL, path, sizeof(path), NULL), JQ_OK);
    if (text == NULL) {
        return;
    }
    (void)snprintf(name, sizeof(name), "%s/part.stl", path);
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void expect_file(const char *dir, const char *text) {
    char path[128];
    char name[160];
    char got[64] = "";
    assert_int_equal(jq_outputs_final(dir, task, path, sizeof(path), NULL), JQ_OK);
    (void)snprintf(name, sizeof(name), "%s/part.stl", path);
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    assert_non_null(fgets(got, sizeof(got), file));
    (void)fclose(file);
    assert_string_equal(got, text);
}

/* Two attempts, of which one is the late one of a worker that was thought dead: the accepted one's files stand, whole and alone. */
static void only_the_accepted_attempt_shows(void **state) {
    const char *dir = *state;
    begin(dir, 1, "first");
    begin(dir, 2, "second");
    assert_int_equal(jq_outputs_end(dir, task, 2, true, NULL), JQ_OK);
    assert_int_equal(jq_outputs_end(dir, task, 1, false, NULL), JQ_OK);
    expect_file(dir, "second");
    assert_int_equal(jq_outputs_end(dir, task, 2, true, NULL), JQ_OK); /* told again */
    expect_file(dir, "second");
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/.17.1", dir);
    assert_int_equal(access(path, F_OK), -1);
}

/* What stands is never written over. */
static void accepted_outputs_are_not_replaced(void **state) {
    const char *dir = *state;
    struct jq_error error;
    begin(dir, 1, "first");
    assert_int_equal(jq_outputs_end(dir, task, 1, true, NULL), JQ_OK);
    begin(dir, 2, "second");
    assert_int_equal(jq_outputs_end(dir, task, 2, true, &error), JQ_ERR_EXISTS);
    assert_string_equal(error.message, "outputs of task 17 are there already");
    expect_file(dir, "first");
}

/* A task without files leaves no folder; a rest of the same attempt, from before a crash, is not taken for its own. */
static void empty_folders_go_and_rests_are_cleared(void **state) {
    const char *dir = *state;
    begin(dir, 1, "from before the crash");
    begin(dir, 1, NULL);
    assert_int_equal(jq_outputs_end(dir, task, 1, true, NULL), JQ_OK);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
}

/* A directory that is not there is named. */
static void missing_directory_is_named(void **state) {
    (void)state;
    char path[128];
    struct jq_error error;
    assert_int_equal(jq_outputs_begin("/no/such", task, 1, NULL, path, sizeof(path), &error), JQ_ERR_NOT_FOUND);
    assert_string_equal(error.message, "output_dir /no/such: No such file or directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_the_accepted_attempt_shows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(accepted_outputs_are_not_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_folders_go_and_rests_are_cleared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_directory_is_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
