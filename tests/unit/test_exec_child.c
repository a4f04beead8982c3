/* Tasks as process trees, each test run twice: with the cgroups of this machine, and without any. */
#include "common/clock.h"
#include "tests/lib/exec_bed.h"
#include "worker/exec/workdir.h"

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

static const char *cgroup_root; /* for the group that runs */

static int set_up(void **state) {
    static struct exec_bed bed;
    bed = exec_bed_make(cgroup_root);
    *state = &bed;
    return 0;
}

static int tear_down(void **state) {
    exec_bed_remove(*state);
    return 0;
}

static void expect_text(struct jq_bytes bytes, const char *text) {
    assert_int_equal(bytes.size, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.size);
}

static size_t count_of(const char *text, const char *word) {
    size_t count = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        count++;
    }
    return count;
}

/* What a command prints is its result; it reads the payload on stdin, runs in an empty directory of its own, and in no session but
 * its own. */
static void command_reads_the_payload_and_its_stdout_is_the_result(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.payload = {(const uint8_t *)"part 7", 6}};
    struct jq_exec_child *child =
        exec_bed_run(bed, &spec,
                     "ls -A | wc -l; test \"$PWD\" = \"$TMPDIR\" && cat; echo \" $JQ_TASK.$JQ_ATTEMPT\"; "
                     "echo noise >&2; test $(ps -o sid= -p $$) -eq $$");
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_SUCCESS);
    expect_text(outcome->result, "0\npart 7 17.1\n");
    expect_text(outcome->stderr_tail, "noise\n");
    assert_string_equal(outcome->message, "");
    jq_exec_child_free(child);
}

/* Each variable is there once: what the caller gives is told instead of ours, and of two that it gives, the last. The task is told by
 * its name, as everywhere. */
static void each_variable_is_told_once(void **state) {
    struct exec_bed *bed = *state;
    static const char *const argv[] = {"/usr/bin/env", NULL};
    static const char *const env[] = {"LANG=C", "WHERE=lab", "PATH=/bin", "PATH=/usr/bin:/bin", "WHERE=home", NULL};
    struct jq_exec_spec spec = {.task = {(UINT64_C(1) << 56) + 7}, .attempt = 3, .argv = argv, .env = env};
    struct jq_exec_child *child = exec_bed_run(bed, &spec, NULL);
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_SUCCESS);
    char text[8192] = "\n";
    assert_true(outcome->result.size < sizeof(text) - 1);
    memcpy(text + 1, outcome->result.data, outcome->result.size);
    static const char *const lines[] = {"JQ_TASK=1-7", "JQ_ATTEMPT=3", "LANG=C", "PATH=/usr/bin:/bin", "WHERE=home"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "\n%s\n", lines[i]);
        assert_non_null(strstr(text, line));
    }
    assert_int_equal(count_of(text, "\nJQ_TASK="), 1);
    assert_int_equal(count_of(text, "\nJQ_ATTEMPT="), 1);
    assert_int_equal(count_of(text, "\nLANG="), 1);
    assert_int_equal(count_of(text, "\nPATH="), 1);
    assert_int_equal(count_of(text, "\nWHERE="), 1);
    jq_exec_child_free(child);
}

/* {input} and {output} are files: the payload, and the result whatever the command prints. */
static void files_stand_for_payload_and_result(void **state) {
    struct exec_bed *bed = *state;
    const char *const argv[] = {"cp", "{input}", "{output}", NULL};
    struct jq_exec_spec spec = {.payload = {(const uint8_t *)"as a file", 9}, .argv = argv};
    struct jq_exec_child *child = exec_bed_run(bed, &spec, NULL);
    assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_SUCCESS);
    expect_text(jq_exec_child_outcome(child)->result, "as a file");
    jq_exec_child_free(child);
}

/* A result file that is a link is the task's attempt to have us read what it may not: it is not followed. */
static void result_file_is_not_followed_through_a_link(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.attempt = 2};
    struct jq_exec_child *child = exec_bed_run(bed, &spec, "ln -s /etc/hostname \"$JQ_RESULT\"; echo printed");
    expect_text(jq_exec_child_outcome(child)->result, "printed\n");
    jq_exec_child_free(child);
}

/* Exit codes 65 and 75 have their meaning, any other failure is the process's, a signal is a crash besides. */
static void ends_are_classed(void **state) {
    struct exec_bed *bed = *state;
    static const struct {
        const char *script;
        enum jq_outcome outcome;
        bool crash;
        const char *message;
    } ends[] = {
        {"exit 65", JQ_OUTCOME_INVALID_INPUT, false, "exit 65"},
        {"exit 75", JQ_OUTCOME_RESOURCE_EXHAUSTED, false, "exit 75"},
        {"exit 3", JQ_OUTCOME_PROCESS_FAILURE, false, "exit 3"},
        {"kill -SEGV $$", JQ_OUTCOME_PROCESS_FAILURE, true, "signal 11 (SIGSEGV)"},
    };
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct jq_exec_spec spec = {.attempt = 1};
        struct jq_exec_child *child = exec_bed_run(bed, &spec, ends[i].script);
        const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
        assert_int_equal(outcome->verdict.outcome, ends[i].outcome);
        assert_int_equal(outcome->verdict.crash, ends[i].crash);
        assert_string_equal(outcome->message, ends[i].message);
        jq_exec_child_free(child);
    }
}

/* Of much output the first 48 KiB are the result, and said to be cut; of both streams the last 64 KiB are kept. */
static void long_output_is_cut_and_its_tail_kept(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.attempt = 1};
    struct jq_exec_child *child = exec_bed_run(bed, &spec, "seq 100000; seq 100000 >&2");
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_SUCCESS);
    assert_true(outcome->output_truncated);
    assert_int_equal(outcome->result.size, JQ_PAYLOAD_SIZE_MAX);
    assert_memory_equal(outcome->result.data, "1\n2\n3\n", 6);
    assert_int_equal(outcome->stderr_tail.size, JQ_OUTPUT_KEPT_MAX);
    assert_memory_equal(outcome->stderr_tail.data + JQ_OUTPUT_KEPT_MAX - 13, "99999\n100000\n", 13);
    assert_int_equal(outcome->stdout_bytes, 588895);
    jq_exec_child_free(child);
}

/* A task that prints without end is ended. */
static void output_has_a_limit(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.output_bytes_max = 1000000};
    struct jq_exec_child *child = exec_bed_run(bed, &spec, "yes");
    assert_int_equal(jq_exec_child_outcome(child)->end.reason, JQ_EXEC_REASON_OUTPUT);
    assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_PROCESS_FAILURE);
    jq_exec_child_free(child);
}

enum { HOUR_MS = 3600 * 1000 };

/* At the soft limit a task is asked to end; one that does has timed out, but did not crash. */
static void soft_limit_is_a_request(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.soft_limit_ms = HOUR_MS, .hard_limit_ms = 2 * HOUR_MS};
    struct jq_exec_child *child = exec_bed_start(
        bed, &spec, "trap 'echo saved; exit 0' TERM; echo ready; touch $BED/ready; while :; do sleep 0.02; done");
    exec_bed_wait_for_file(bed, "ready");
    bed->ahead_ms = HOUR_MS;
    assert_ptr_equal(exec_bed_wait(bed), child);
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_TIMEOUT);
    assert_false(outcome->verdict.crash);
    expect_text(outcome->stdout_tail, "ready\nsaved\n");
    assert_in_range(outcome->duration_ms, HOUR_MS, 2 * HOUR_MS - 1);
    jq_exec_child_free(child);
}

/* One that ignores the request is killed at the hard limit, not before, and that counts as a crash. */
static void hard_limit_kills_what_ignored_the_soft_one(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.soft_limit_ms = HOUR_MS, .hard_limit_ms = 2 * HOUR_MS};
    struct jq_exec_child *child = exec_bed_start(
        bed, &spec,
        "trap 'touch $BED/heard' TERM; touch $BED/ready; while ! test -e $BED/heard; do sleep 0.02; done; "
        "trap '' TERM; sleep 100 & wait");
    exec_bed_wait_for_file(bed, "ready");
    bed->ahead_ms = HOUR_MS;
    exec_bed_wait_for_file(bed, "heard");
    assert_null(jq_exec_host_next_done(bed->host));
    bed->ahead_ms = 2 * HOUR_MS;
    assert_ptr_equal(exec_bed_wait(bed), child);
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_TIMEOUT);
    assert_true(outcome->verdict.crash);
    assert_in_range(outcome->duration_ms, 2 * HOUR_MS, 3 * HOUR_MS);
    jq_exec_child_free(child);
}

/* A hard limit alone kills without a word before. */
static void hard_limit_alone_is_no_crash(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.hard_limit_ms = 50};
    struct jq_exec_child *child = exec_bed_run(bed, &spec, "sleep 100");
    assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_TIMEOUT);
    assert_false(jq_exec_child_outcome(child)->verdict.crash);
    jq_exec_child_free(child);
}

/* Cancel takes the whole tree: children in the background, and those that made a session of their own to get away. */
static void cancel_leaves_no_process(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.attempt = 1};
    struct jq_exec_child *child = exec_bed_start(
        bed, &spec,
        "trap '' TERM; sleep 100 & echo $! > $BED/near; setsid sh -c 'trap \"\" TERM; sleep 100 & "
        "echo $! > $BED/far; setsid sleep 100 & echo $! >$BED/farther; touch $BED/ready; wait' & wait; wait");
    exec_bed_wait_for_file(bed, "ready");
    jq_exec_kill(child, JQ_EXEC_REASON_CANCEL, 50, jq_clock_boot_ms());
    assert_ptr_equal(exec_bed_wait(bed), child);
    assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_CANCELLED);
    assert_true(exec_bed_ends(exec_bed_read_number(bed, "near")));
    assert_true(exec_bed_ends(exec_bed_read_number(bed, "far")));
    assert_true(exec_bed_ends(exec_bed_read_number(bed, "farther")));
    jq_exec_child_free(child);
}

/* A task that succeeds leaves nothing running either: what it put into the background ends with it, daemons too. */
static void background_processes_end_with_the_task(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.attempt = 1};
    struct jq_exec_child *child =
        exec_bed_run(bed, &spec,
                     "sleep 100 & echo $! > $BED/near; setsid sh -c 'sleep 100 & echo $! > $BED/far' & "
                     "while ! test -s $BED/far; do sleep 0.01; done; echo fine");
    assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_SUCCESS);
    expect_text(jq_exec_child_outcome(child)->result, "fine\n");
    assert_true(exec_bed_ends(exec_bed_read_number(bed, "near")));
    assert_true(exec_bed_ends(exec_bed_read_number(bed, "far")));
    jq_exec_child_free(child);
}

/* A cancel that comes when the task has ended changes nothing: the outcome stands. */
static void cancel_after_the_end_is_too_late(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.attempt = 1};
    struct jq_exec_child *child = exec_bed_start(bed, &spec, "echo done");
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)jq_exec_child_pid(child));
    for (char text[256] = ""; strstr(text, ") Z ") == NULL;) {
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        const ssize_t size = read(fd, text, sizeof(text) - 1);
        text[size > 0 ? size : 0] = '\0';
        (void)close(fd);
    }
    jq_exec_kill(child, JQ_EXEC_REASON_CANCEL, 0, jq_clock_boot_ms());
    assert_ptr_equal(exec_bed_wait(bed), child);
    assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_SUCCESS);
    expect_text(jq_exec_child_outcome(child)->result, "done\n");
    jq_exec_child_free(child);
}

/* What is reserved is enforced: over its memory a task is killed with all it started, also when a child of it took the memory and the
 * parent would go on. */
static void memory_over_the_reservation_kills_the_tree(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.memory_bytes_max = 48 << 20};
    struct jq_exec_child *child = exec_bed_run(
        bed, &spec, "python3 -c 'import time; x = bytearray(200 << 20); time.sleep(100)'; sleep 100; echo went on");
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_PROCESS_FAILURE);
    assert_true(outcome->verdict.crash);
    assert_string_equal(outcome->message, "over its memory reservation");
    assert_int_equal(outcome->result.size, 0);
    jq_exec_child_free(child);
}

/* A fork bomb stays small and ends at the limit. */
static void processes_have_a_limit(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.pids_max = 12, .hard_limit_ms = 400};
    struct jq_exec_child *child =
        exec_bed_run(bed, &spec, "i=0; while test $i -lt 60; do sleep 100 & i=$((i+1)); done; wait");
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_true(outcome->verdict.outcome != JQ_OUTCOME_SUCCESS);
    jq_exec_child_free(child);
}

/* Whatever a task leaves in its work dir goes: depth, odd modes and links outwards, behind which nothing is touched. */
static void work_dir_goes_whatever_is_in_it(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.attempt = 1};
    struct jq_exec_child *child = exec_bed_run(
        bed, &spec,
        "mkdir $BED/outside; touch $BED/outside/kept; ln -s $BED/outside link; mkdir locked; touch locked/x; "
        "chmod 000 locked; mkfifo fifo; i=0; while test $i -lt 90; do mkdir d; cd d; touch f; i=$((i+1)); done; pwd "
        "-P");
    assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_SUCCESS);
    jq_exec_child_free(child);
    exec_bed_wait_for_file(bed, "outside/kept");
    /* tear_down checks that the parent of the work dirs is empty */
}

/* A command that is not there is an error of the start that names it, and leaves nothing behind. */
static void missing_command_is_named(void **state) {
    struct exec_bed *bed = *state;
    static const char *const missing[] = {"no-such-command", NULL};
    static const char *const no_program[] = {"/dev/null", NULL};
    struct jq_exec_spec spec = {.task = {18}, .attempt = 1, .argv = missing};
    struct jq_exec_child *child = NULL;
    struct jq_error error;
    assert_int_equal(jq_exec_start(bed->host, &spec, 0, &child, &error), JQ_ERR_NOT_FOUND);
    assert_string_equal(error.message, "command not found in PATH: no-such-command");
    spec.argv = no_program;
    assert_int_equal(jq_exec_start(bed->host, &spec, 0, &child, &error), JQ_ERR_DENIED);
    assert_string_equal(error.message, "start /dev/null: execute: Permission denied");
    assert_null(child);
}

/* More children than the host was made for are refused. */
static void children_are_bounded(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_child *children[8];
    static const char *const sleeper[] = {"sleep", "100", NULL};
    struct jq_exec_spec spec = {.attempt = 1, .argv = sleeper};
    for (uint64_t i = 0; i < 8; i++) {
        spec.task.value = i + 1;
        assert_int_equal(jq_exec_start(bed->host, &spec, jq_clock_boot_ms(), &children[i], NULL), JQ_OK);
    }
    struct jq_exec_child *one_more = NULL;
    spec.task.value = 9;
    assert_int_equal(jq_exec_start(bed->host, &spec, 0, &one_more, NULL), JQ_ERR_BUSY);
    for (size_t i = 0; i < 8; i++) {
        jq_exec_kill(children[i], JQ_EXEC_REASON_DRAIN, 0, jq_clock_boot_ms());
    }
    for (size_t i = 0; i < 8; i++) {
        struct jq_exec_child *done = exec_bed_wait(bed);
        assert_int_equal(jq_exec_child_outcome(done)->verdict.outcome, JQ_OUTCOME_HANDED_BACK);
        jq_exec_child_free(done);
    }
}

/* A root worker's tasks need not be root: their work dir is theirs, nothing of root's is. */
static void task_runs_as_another_user(void **state) {
    struct exec_bed *bed = *state;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(chmod(bed->dir, 0711), 0);
    struct jq_exec_spec spec = {.switch_user = true, .uid = 65534, .gid = 65534};
    struct jq_exec_child *child = exec_bed_run(
        bed, &spec,
        "id -u; id -G; touch mine && ls -A; test -w / || echo not root; grep NoNewPrivs: /proc/self/status");
    expect_text(jq_exec_child_outcome(child)->result, "65534\n65534\nmine\nnot root\nNoNewPrivs:\t1\n");
    jq_exec_child_free(child);
}

/* A program is born with no descriptor of the worker's but the three it is given. */
static void no_descriptor_is_inherited(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.attempt = 1};
    const int leaky = dup(0);                                                        /* without CLOEXEC */
    struct jq_exec_child *child = exec_bed_run(bed, &spec, "exec ls /proc/self/fd"); /* 3 is ls's own */
    expect_text(jq_exec_child_outcome(child)->result, "0\n1\n2\n3\n");
    jq_exec_child_free(child);
    (void)close(leaky);
}

/* Two workers on one state directory would kill each other's children: the second is refused. */
static void state_directory_has_one_owner(void **state) {
    struct exec_bed *bed = *state;
    const struct jq_exec_config config = {.name = "second", .state_dir = bed->dir, .child_count_max = 1};
    struct jq_exec_host *second = NULL;
    struct jq_error error;
    assert_int_equal(jq_exec_host_new(&config, &second, &error), JQ_ERR_LOCKED);
    assert_null(second);
}

#define BOTH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(command_reads_the_payload_and_its_stdout_is_the_result),
        BOTH(each_variable_is_told_once),
        BOTH(files_stand_for_payload_and_result),
        BOTH(result_file_is_not_followed_through_a_link),
        BOTH(ends_are_classed),
        BOTH(long_output_is_cut_and_its_tail_kept),
        BOTH(output_has_a_limit),
        BOTH(soft_limit_is_a_request),
        BOTH(hard_limit_kills_what_ignored_the_soft_one),
        BOTH(hard_limit_alone_is_no_crash),
        BOTH(cancel_leaves_no_process),
        BOTH(background_processes_end_with_the_task),
        BOTH(cancel_after_the_end_is_too_late),
        BOTH(memory_over_the_reservation_kills_the_tree),
        BOTH(processes_have_a_limit),
        BOTH(work_dir_goes_whatever_is_in_it),
        BOTH(missing_command_is_named),
        BOTH(children_are_bounded),
        BOTH(task_runs_as_another_user),
        BOTH(no_descriptor_is_inherited),
        BOTH(state_directory_has_one_owner),
    };
    cgroup_root = NULL;
    const int with_cgroups = cmocka_run_group_tests_name("cgroups of this machine", tests, NULL, NULL);
    cgroup_root = "none";
    const int without = cmocka_run_group_tests_name("no cgroups", tests, NULL, NULL);
    /* Here v2 can be had beside v1 only by name: it has no controllers, but births in a group and cgroup.kill. */
    int with_v2 = 0;
    if (access("/sys/fs/cgroup/unified/cgroup.procs", W_OK) == 0) {
        cgroup_root = "/sys/fs/cgroup/unified";
        with_v2 = cmocka_run_group_tests_name("cgroup v2 without controllers", tests, NULL, NULL);
    }
    return with_cgroups + without + with_v2;
}
