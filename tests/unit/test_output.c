#include "worker/shell/output.h"

#include <errno.h>
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

#include "tests/lib/exec_bed.h"

enum { OTHER_USER = 65534 };

/* As much of a worker as its output folders need. */
struct place {
    struct exec_bed bed;
    struct jq_worker_shell worker;
    struct jq_worker_settings settings;
    struct jq_handler_settings handler;
    char dir[80];
};

static int set_up(void **state) {
    struct place *place = calloc(1, sizeof(*place));
    assert_non_null(place);
    place->bed = exec_bed_make(NULL);
    (void)snprintf(place->dir, sizeof(place->dir), "%s/output", place->bed.dir);
    assert_int_equal(mkdir(place->dir, 0755), 0);
    place->settings.output_dir = place->dir;
    place->handler.output_files_max_bytes = 1 << 20;
    place->worker.settings = &place->settings;
    place->worker.host = place->bed.host;
    *state = place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    exec_bed_remove(&place->bed);
    free(place);
    return 0;
}

static struct jq_run *attempt_of(struct place *place, uint64_t task, unsigned attempt) {
    struct jq_run *run = calloc(1, sizeof(*run));
    assert_non_null(run);
    run->worker = &place->worker;
    run->handler = &place->handler;
    run->task.value = task;
    run->attempt = attempt;
    return run;
}

static void write_part(const struct jq_run *run, const char *text) {
    char name[WORKER_PATH_MAX + 16];
    (void)snprintf(name, sizeof(name), "%s/part.stl", run->output);
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* An attempt at task 17; `text`: what it writes, NULL: nothing. */
static struct jq_run *begin(struct place *place, unsigned attempt, const char *text) {
    struct jq_run *run = attempt_of(place, 17, attempt);
    assert_int_equal(jq_output_make(run, NULL), JQ_OK);
    if (text != NULL) {
        write_part(run, text);
    }
    return run;
}

static void keep(struct jq_run *run) {
    jq_output_keep(run);
    jq_output_keep(run); /* told again */
    assert_string_equal(run->output, "");
    free(run);
}

static void discard(struct jq_run *run) {
    jq_output_discard(run);
    jq_output_discard(run); /* told again */
    assert_string_equal(run->output, "");
    free(run);
}

static void expect_file(struct place *place, const char *text) {
    char path[WORKER_PATH_MAX];
    char name[WORKER_PATH_MAX + 16];
    char got[64] = "";
    struct jq_run *run = attempt_of(place, 17, 1);
    assert_int_equal(jq_output_final(run, path, NULL), JQ_OK);
    free(run);
    (void)snprintf(name, sizeof(name), "%s/part.stl", path);
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    assert_non_null(fgets(got, sizeof(got), file));
    (void)fclose(file);
    assert_string_equal(got, text);
}

/* output_dir holds the folder of task 17 and nothing else, visible or hidden. */
static void expect_only_final(const struct place *place) {
    char final[96];
    (void)snprintf(final, sizeof(final), "%s/17", place->dir);
    char aside[96];
    (void)snprintf(aside, sizeof(aside), "%s/aside", place->bed.dir);
    assert_int_equal(rename(final, aside), 0);
    assert_int_equal(rmdir(place->dir), 0);
    assert_int_equal(mkdir(place->dir, 0755), 0);
    assert_int_equal(rename(aside, final), 0);
}

static void expect_nothing(const struct place *place) {
    assert_int_equal(rmdir(place->dir), 0);
    assert_int_equal(mkdir(place->dir, 0755), 0);
}

/* Two attempts, of which one is the late one of a worker that was thought dead: the accepted one's files stand, whole and alone. */
static void only_the_accepted_attempt_shows(void **state) {
    struct place *place = *state;
    struct jq_run *first = begin(place, 1, "first");
    struct jq_run *second = begin(place, 2, "second");
    keep(second);
    discard(first);
    expect_file(place, "second");
    expect_only_final(place);
}

/* A task that succeeded and was replayed: the later success takes the place of the earlier, of which nothing is left. */
static void later_success_takes_the_place_of_the_earlier(void **state) {
    struct place *place = *state;
    keep(begin(place, 1, "first"));
    keep(begin(place, 2, "second"));
    expect_file(place, "second");
    expect_only_final(place);
}

/* What stands stays while a later attempt writes, fails, or makes no file. */
static void what_stands_stays_until_files_were_accepted(void **state) {
    struct place *place = *state;
    keep(begin(place, 1, "first"));
    struct jq_run *second = begin(place, 2, "second");
    expect_file(place, "first");
    discard(second);
    keep(begin(place, 3, NULL));
    expect_file(place, "first");
    expect_only_final(place);
}

/* A task without files leaves no folder; a rest of the same attempt, from before a crash, is not taken for its own. */
static void empty_folders_go_and_rests_are_cleared(void **state) {
    struct place *place = *state;
    struct jq_run *crashed = begin(place, 1, "from before the crash");
    keep(begin(place, 1, NULL));
    expect_nothing(place);
    free(crashed);
}

/* A worker that starts removes what attempts of a killed one left, and nothing that was accepted. */
static void start_removes_what_a_killed_worker_left(void **state) {
    struct place *place = *state;
    keep(begin(place, 1, "accepted"));
    struct jq_run *killed = begin(place, 2, "half");
    jq_output_clear_old(&place->worker);
    expect_file(place, "accepted");
    expect_only_final(place);
    free(killed);
}

/* The folder is its task's user's, and everybody may read what comes of it. */
static void folder_belongs_to_the_user_of_the_task(void **state) {
    struct place *place = *state;
    struct stat status;
    if (geteuid() != 0) {
        skip();
    }
    place->worker.switch_user = true;
    place->worker.uid = OTHER_USER;
    place->worker.gid = OTHER_USER;
    struct jq_run *run = begin(place, 1, NULL);
    assert_int_equal(stat(run->output, &status), 0);
    assert_int_equal(status.st_uid, OTHER_USER);
    assert_int_equal(status.st_gid, OTHER_USER);
    assert_int_equal(status.st_mode & 0777, 0755);
    discard(run);
    expect_nothing(place);
}

/* A handler that makes no files (output_files_max = 0) gets no folder. */
static void handler_without_files_gets_no_folder(void **state) {
    struct place *place = *state;
    place->handler.output_files_max_bytes = 0;
    struct jq_run *run = begin(place, 1, NULL);
    assert_string_equal(run->output, "");
    keep(run);
    expect_nothing(place);
}

/* Folders bear the name that people call the task by. */
static void folder_has_the_name_of_the_task(void **state) {
    struct place *place = *state;
    char path[WORKER_PATH_MAX];
    struct jq_run *run = attempt_of(place, (UINT64_C(3) << 56) + 17, 1);
    assert_int_equal(jq_output_final(run, path, NULL), JQ_OK);
    assert_string_equal(strrchr(path, '/') + 1, "3-17");
    free(run);
}

/* A directory that is not there is named, and so is one whose name is too long. */
static void directory_that_cannot_be_used_is_named(void **state) {
    struct place *place = *state;
    char name[WORKER_PATH_MAX];
    struct jq_error error;
    struct jq_run *run = attempt_of(place, 17, 1);
    place->settings.output_dir = (char *)"/no/such";
    assert_int_equal(jq_output_make(run, &error), JQ_ERR_NOT_FOUND);
    assert_string_equal(error.message, "output folder /no/such/.17.1: No such file or directory");
    assert_string_equal(run->output, "");
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    place->settings.output_dir = name;
    assert_int_equal(jq_output_make(run, &error), JQ_ERR_INVALID);
    assert_string_equal(run->output, "");
    free(run);
}

/* Two workers on one directory would take each other's attempts for rests of a crash: the second is refused, and may have it when the
 * first has ended. */
static void directory_is_one_workers_alone(void **state) {
    struct place *place = *state;
    struct jq_worker_shell second = {.settings = &place->settings};
    struct jq_error error;
    char expected[160];
    assert_int_equal(jq_output_open(&place->worker, NULL), JQ_OK);
    assert_int_equal(jq_output_open(&second, &error), JQ_ERR_LOCKED);
    (void)snprintf(expected, sizeof(expected), "[worker] output_dir: another worker runs on %s", place->dir);
    assert_string_equal(error.message, expected);
    jq_output_close(&second);
    assert_int_equal(jq_output_open(&second, NULL), JQ_ERR_LOCKED);
    jq_output_close(&place->worker);
    assert_int_equal(jq_output_open(&second, NULL), JQ_OK);
    jq_output_close(&second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_the_accepted_attempt_shows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(later_success_takes_the_place_of_the_earlier, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_stands_stays_until_files_were_accepted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_folders_go_and_rests_are_cleared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(start_removes_what_a_killed_worker_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folder_belongs_to_the_user_of_the_task, set_up, tear_down),
        cmocka_unit_test_setup_teardown(handler_without_files_gets_no_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folder_has_the_name_of_the_task, set_up, tear_down),
        cmocka_unit_test_setup_teardown(directory_is_one_workers_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(directory_that_cannot_be_used_is_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
