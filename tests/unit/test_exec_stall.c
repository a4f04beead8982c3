/* Signs of life, each test run with the cgroups of this machine, without any, and with v2 where it can be had. The clock of the host is moved: a
 * look is due whenever the test says so. */
#include "common/clock.h"
#include "tests/lib/exec_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum { LOOK_MS = 10000, STALL_MS = 4 * LOOK_MS, GRACE_MS = 3600 * 1000 };

static const char *cgroup_root;

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

static void allow(const struct exec_bed *bed, const char *name) {
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", bed->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static struct jq_exec_child *start(struct exec_bed *bed, const char *script) {
    struct jq_exec_spec spec = {.stall_ms = STALL_MS, .grace_ms = GRACE_MS};
    struct jq_exec_child *child = exec_bed_start(bed, &spec, script);
    exec_bed_wait_for_file(bed, "ready");
    return child;
}

/* The next thing due of one that was asked to end is the end of its grace; else it is the next look. */
static void look(struct exec_bed *bed, bool asked) {
    bed->ahead_ms += LOOK_MS;
    exec_bed_serve(bed, 0);
    const int64_t left_ms = jq_exec_host_deadline_ms(bed->host) - jq_clock_boot_ms() - bed->ahead_ms;
    if (!asked) {
        assert_in_range(left_ms, 0, LOOK_MS);
    }
}

static void look_in_vain(struct exec_bed *bed, int count) {
    for (int i = 0; i < count; i++) {
        look(bed, false);
    }
}

static void expect_end(struct exec_bed *bed, struct jq_exec_child *child, bool crash, const char *message) {
    assert_ptr_equal(exec_bed_wait(bed), child);
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->end.reason, JQ_EXEC_REASON_STALL);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_TIMEOUT);
    assert_int_equal(outcome->verdict.crash, crash);
    assert_string_equal(outcome->message, message);
    jq_exec_child_free(child);
}

/* Of a task that hangs nothing is seen for its whole `stall`: it is asked to end, and has timed out. The first look sees its start. */
static void silence_is_a_stall(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_child *child =
        start(bed, "trap 'touch $BED/asked; exit 0' TERM; touch $BED/ready; sleep 1000 & wait");
    look_in_vain(bed, 4);
    look(bed, true);
    expect_end(bed, child, false, "stalled: no output, progress or cpu time");
}

/* One that ignores the request is killed after the grace, and that is a crash. */
static void stall_that_ignores_the_request_is_a_crash(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_child *child = start(bed, "trap '' TERM; touch $BED/ready; sleep 1000");
    look_in_vain(bed, 4);
    look(bed, true);
    assert_null(jq_exec_host_next_done(bed->host));
    bed->ahead_ms += GRACE_MS;
    expect_end(bed, child, true, "stalled, SIGTERM ignored, killed");
}

/* A line of output is a sign of life: the time counts anew. */
static void output_is_a_sign_of_life(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_child *child =
        start(bed, "touch $BED/ready; until test -e $BED/go; do sleep 0.01; done; echo alive; "
                   "touch $BED/said; sleep 1000");
    look_in_vain(bed, 4);
    allow(bed, "go");
    exec_bed_wait_for_file(bed, "said");
    exec_bed_serve(bed, 0);
    look_in_vain(bed, 4);
    look(bed, true);
    expect_end(bed, child, false, "stalled: no output, progress or cpu time");
}

/* What computes in silence does not hang: cpu time of any process of its tree counts, also of those that have ended. */
static void work_is_a_sign_of_life(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_child *child =
        start(bed, "touch $BED/ready; until test -e $BED/go; do sleep 0.01; done; "
                   "python3 -c 'import time\nwhile time.process_time() < 0.25: pass'; touch $BED/worked; sleep 1000");
    look_in_vain(bed, 4);
    allow(bed, "go");
    exec_bed_wait_for_file(bed, "worked");
    look_in_vain(bed, 4);
    look(bed, true);
    expect_end(bed, child, false, "stalled: no output, progress or cpu time");
}

/* While the worker itself did not run (a machine that slept) nobody has looked, so nothing is known of the task. */
static void time_that_nobody_watched_does_not_count(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_child *child = start(bed, "touch $BED/ready; sleep 1000");
    look_in_vain(bed, 1);
    bed->ahead_ms += 100 * STALL_MS;
    exec_bed_serve(bed, 0);
    look_in_vain(bed, 2);
    look(bed, true);
    expect_end(bed, child, false, "stalled: no output, progress or cpu time");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(silence_is_a_stall),     TEST(stall_that_ignores_the_request_is_a_crash), TEST(output_is_a_sign_of_life),
        TEST(work_is_a_sign_of_life), TEST(time_that_nobody_watched_does_not_count),
    };
    cgroup_root = NULL;
    const int with_cgroups = cmocka_run_group_tests_name("cgroups of this machine", tests, NULL, NULL);
    cgroup_root = "none";
    const int without = cmocka_run_group_tests_name("no cgroups", tests, NULL, NULL);
    int with_v2 = 0;
    if (access("/sys/fs/cgroup/unified/cgroup.procs", W_OK) == 0) {
        cgroup_root = "/sys/fs/cgroup/unified";
        with_v2 = cmocka_run_group_tests_name("cgroup v2 without controllers", tests, NULL, NULL);
    }
    return with_cgroups + without + with_v2;
}
