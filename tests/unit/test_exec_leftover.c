/* What a worker that was killed leaves behind, and what the next one does about it. */
#include "common/clock.h"
#include "tests/lib/exec_bed.h"
#include "worker/exec/leftover.h"
#include "worker/exec/workdir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *cgroup_root;

/* A worker in a process of its own: starts a task with a near and a far child, then dies by SIGKILL. */
static void run_and_die(const struct jq_exec_config *config) {
    struct jq_exec_host *host = NULL;
    struct jq_exec_child *child = NULL;
    char script[512];
    (void)snprintf(script, sizeof(script),
                   "sleep 100 & echo $! > %s/near; setsid sh -c 'sleep 100 & echo $! > %s/far; wait' & "
                   "while ! test -s %s/far; do sleep 0.01; done; touch left; echo up; wait",
                   config->state_dir, config->state_dir, config->state_dir);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const struct jq_exec_spec spec = {.task = {5}, .attempt = 1, .argv = argv, .output_bytes_max = 2};
    if (jq_exec_host_new(config, &host, NULL) != JQ_OK || jq_exec_start(host, &spec, 0, &child, NULL) != JQ_OK) {
        _exit(1);
    }
    struct stat status;
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/5.1/left", jq_exec_host_work_path(host));
    while (stat(path, &status) != 0) {
    }
    (void)raise(SIGKILL);
}

static int read_pid(const char *dir, const char *name) {
    const struct exec_bed bed = {.host = NULL};
    struct exec_bed named = bed;
    (void)snprintf(named.dir, sizeof(named.dir), "%s", dir);
    return exec_bed_read_number(&named, name);
}

static void expect_dead(int pid) {
    /* Its new parent, the machine's init or a subreaper above us, has yet to reap it: a zombie runs no more. */
    struct jq_procs procs = {.list = NULL};
    assert_int_equal(jq_procs_read(&procs, NULL), JQ_OK);
    for (size_t i = 0; i < procs.count; i++) {
        assert_false(procs.list[i].pid == pid && !procs.list[i].zombie);
    }
    jq_procs_fini(&procs);
}

/* A worker that starts where another was killed ends what that one's tasks left, daemons in sessions of their own included, and
 * clears their work dirs. */
static void next_worker_ends_what_the_last_one_left(void **state) {
    (void)state;
    char dir[] = "/tmp/jqmesh-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const struct jq_exec_config config = {
        .name = "leftover", .state_dir = dir, .cgroup_root = cgroup_root, .child_count_max = 2};
    const pid_t worker = fork();
    if (worker == 0) {
        run_and_die(&config);
    }
    int status = 0;
    assert_int_equal(waitpid(worker, &status, 0), worker);
    assert_true(WIFSIGNALED(status));

    struct jq_exec_host *host = NULL;
    assert_int_equal(jq_exec_host_new(&config, &host, NULL), JQ_OK);
    expect_dead(read_pid(dir, "near"));
    expect_dead(read_pid(dir, "far"));
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/5.1", jq_exec_host_work_path(host));
    assert_int_equal(access(path, F_OK), -1);
    jq_exec_host_free(host);
    assert_true(jq_workdir_remove(AT_FDCWD, dir));
}

/* As a worker that was killed leaves it. */
static void write_down(int dir_fd, const struct jq_leftover_record *record) {
    struct jq_leftover_book book = {.children_fd = dir_fd};
    const int fd = jq_leftover_book_write(&book, record);
    assert_true(fd >= 0);
    (void)close(fd);
    free(book.spare);
}

static pid_t new_process(void) {
    const pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            (void)pause();
        }
    }
    return pid;
}

static void expect_killed(pid_t pid) {
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

/* A number that was given to a stranger since is left alone: the start time tells. So is one of an earlier run of the machine. */
static void strangers_are_left_alone(void **state) {
    (void)state;
    char dir[] = "/tmp/jqmesh-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const pid_t stranger = new_process();
    struct jq_leftover_record record = {.pid = stranger, .start_ticks = jq_procs_start_ticks(stranger) - 1};
    (void)snprintf(record.marker, sizeof(record.marker), "JQ_CHILD=nobody");
    jq_leftover_boot_id(record.boot_id);
    write_down(dir_fd, &record);
    assert_int_equal(jq_leftover_kill(dir_fd), 0);
    record.start_ticks++;
    record.boot_id[0] = record.boot_id[0] == '0' ? '1' : '0';
    write_down(dir_fd, &record);
    assert_int_equal(jq_leftover_kill(dir_fd), 0);
    assert_int_equal(kill(stranger, 0), 0);

    /* The same record, true, does end it; and in both cases the file is gone. */
    jq_leftover_boot_id(record.boot_id);
    write_down(dir_fd, &record);
    assert_int_equal(jq_leftover_kill(dir_fd), 1);
    expect_killed(stranger);
    (void)close(dir_fd);
    assert_int_equal(rmdir(dir), 0);
}

/* The file of a child that has ended serves the next one, and nothing that is left in it of the former is taken for a record. */
static void file_of_an_ended_child_serves_the_next(void **state) {
    (void)state;
    char dir[] = "/tmp/jqmesh-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct jq_leftover_book book = {.children_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    const pid_t ended = new_process(), lives = new_process();
    struct jq_leftover_record record = {.pid = ended, .start_ticks = jq_procs_start_ticks(ended)};
    jq_leftover_boot_id(record.boot_id);
    (void)snprintf(record.marker, sizeof(record.marker), "JQ_CHILD=one.with.a.longer.name");
    const int first = jq_leftover_book_write(&book, &record);
    jq_leftover_book_erase(&book, first);
    record.pid = lives;
    record.start_ticks = jq_procs_start_ticks(lives);
    (void)snprintf(record.marker, sizeof(record.marker), "JQ_CHILD=one");
    const int second = jq_leftover_book_write(&book, &record);
    assert_true(first >= 0 && second == first);
    assert_int_equal(jq_leftover_kill(book.children_fd), 1);
    expect_killed(lives);
    assert_int_equal(kill(ended, SIGKILL), 0);
    expect_killed(ended);

    /* Erased, none of them is killed for what the file says, and the book leaves nothing. */
    jq_leftover_book_erase(&book, second);
    assert_int_equal(jq_leftover_kill(book.children_fd), 0);
    jq_leftover_book_fini(&book);
    (void)close(book.children_fd);
    assert_int_equal(rmdir(dir), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_of_an_ended_child_serves_the_next),
        cmocka_unit_test(next_worker_ends_what_the_last_one_left),
        cmocka_unit_test(strangers_are_left_alone),
    };
    cgroup_root = NULL;
    const int with_cgroups = cmocka_run_group_tests_name("cgroups of this machine", tests, NULL, NULL);
    cgroup_root = "none";
    return with_cgroups + cmocka_run_group_tests_name("no cgroups", tests, NULL, NULL);
}
