/* Control groups that serve one task after another. */
#include "tests/lib/exec_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

static bool has_limits_by_cgroup(const struct jq_exec_host *host) {
    struct jq_exec_feature features[JQ_EXEC_FEATURE_COUNT_MAX];
    const size_t count = jq_exec_host_describe(host, features);
    int found = 0;
    for (size_t i = 0; i < count; i++) {
        const bool wanted = strcmp(features[i].name, "memory") == 0 || strcmp(features[i].name, "pids") == 0;
        found += wanted && strncmp(features[i].detail, "cgroup", strlen("cgroup")) == 0 ? 1 : 0;
    }
    return found == 2;
}

static int set_up(void **state) {
    static struct exec_bed bed;
    bed = exec_bed_make(NULL);
    *state = &bed;
    return chmod(bed.dir, 0755);
}

static int tear_down(void **state) {
    exec_bed_remove(*state);
    return 0;
}

/* Of one that cannot change its groups. */
static struct jq_exec_spec spec_of(uint64_t memory_bytes_max) {
    return (struct jq_exec_spec){.attempt = 1,
                                 .memory_bytes_max = memory_bytes_max,
                                 .pids_max = 32,
                                 .switch_user = geteuid() == 0,
                                 .uid = NOBODY,
                                 .gid = NOBODY};
}

/* Runs it, and says in which groups it was. */
static char *groups_of(struct exec_bed *bed, uint64_t memory_bytes_max, const char *more) {
    char script[256];
    struct jq_exec_spec spec = spec_of(memory_bytes_max);
    (void)snprintf(script, sizeof(script), "cat /proc/self/cgroup; %s", more);
    struct jq_exec_child *child = exec_bed_run(bed, &spec, script);
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_SUCCESS);
    char *text = calloc(1, outcome->result.size + 1);
    assert_non_null(text);
    memcpy(text, outcome->result.data, outcome->result.size);
    jq_exec_child_free(child);
    assert_non_null(strstr(text, "slot-"));
    return text;
}

static void expect(struct exec_bed *bed, const char *before, uint64_t memory_bytes_max, const char *more, bool same) {
    char *now = groups_of(bed, memory_bytes_max, more);
    assert_int_equal(strcmp(before, now) == 0, same);
    free(now);
}

enum { SOME = 64 << 20, MORE = 128 << 20 };

/* A group that a task left as it was made serves the next one with the same limits; one with other limits never shares it. */
static void a_group_serves_the_next_task_with_its_limits(void **state) {
    struct exec_bed *bed = *state;
    if (!has_limits_by_cgroup(bed->host)) {
        skip();
    }
    char *first = groups_of(bed, SOME, "true");
    expect(bed, first, MORE, "true", false);
    expect(bed, first, SOME, "true", true);
    free(first);
}

/* What had to be killed to empty it, or what it still accounts for, makes a group unfit for the next task. */
static void a_group_that_is_not_as_new_is_not_used_again(void **state) {
    static const char *const scripts[] = {"sleep 60 & true", "head -c 8000000 /dev/zero >$BED/kept"};
    struct exec_bed *bed = *state;
    if (!has_limits_by_cgroup(bed->host)) {
        skip();
    }
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        assert_int_equal(chmod(bed->dir, 0777), 0);
        char *first = groups_of(bed, SOME, scripts[i]);
        expect(bed, first, SOME, "true", false);
        free(first);
    }
}

/* The peak of memory is the task's own, not that of one before it in the group. */
static void the_peak_is_of_one_task(void **state) {
    struct exec_bed *bed = *state;
    if (!has_limits_by_cgroup(bed->host)) {
        skip();
    }
    const uint64_t sizes[] = {24 << 20, 0};
    uint64_t peaks[2] = {0, 0};
    for (size_t i = 0; i < 2; i++) {
        char script[128];
        struct jq_exec_spec spec = spec_of(SOME);
        (void)snprintf(script, sizeof(script), "head -c %llu /dev/zero | tail -n 1 | wc -c",
                       (unsigned long long)sizes[i]);
        struct jq_exec_child *child = exec_bed_run(bed, &spec, script);
        peaks[i] = jq_exec_child_outcome(child)->memory_peak_bytes;
        jq_exec_child_free(child);
    }
    assert_true(peaks[0] >= sizes[0] && peaks[1] < sizes[0]);
}

/* What the kernel killed for its memory is told apart, in a group that served others before, and the group serves nobody after it. */
static void a_group_in_which_memory_ran_out_is_not_used_again(void **state) {
    struct exec_bed *bed = *state;
    if (!has_limits_by_cgroup(bed->host)) {
        skip();
    }
    char *first = groups_of(bed, SOME, "true");
    struct jq_exec_spec spec = spec_of(SOME);
    struct jq_exec_child *child = exec_bed_run(bed, &spec, "head -c 256000000 /dev/zero | tail -n 1 | wc -c");
    assert_string_equal(jq_exec_child_outcome(child)->message, "over its memory reservation");
    jq_exec_child_free(child);
    expect(bed, first, SOME, "true", false);
    free(first);
}

#define IN_BED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_BED(a_group_serves_the_next_task_with_its_limits),
        IN_BED(a_group_that_is_not_as_new_is_not_used_again),
        IN_BED(the_peak_is_of_one_task),
        IN_BED(a_group_in_which_memory_ran_out_is_not_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
