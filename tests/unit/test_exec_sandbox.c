/* What a task may reach, on this machine's kernel; where the kernel lacks a part, its tests are skipped and say so. */
#define _GNU_SOURCE
#include "tests/lib/exec_bed.h"
#include "worker/exec/sandbox.h"
#include "worker/exec/sandbox_places.h"

#include <sched.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int set_up(void **state) {
    static struct exec_bed bed;
    bed = exec_bed_make_confined(NULL);
    *state = &bed;
    return 0;
}

static int tear_down(void **state) {
    exec_bed_remove(*state);
    return 0;
}

static void needs(const struct exec_bed *bed, const char *name) {
    struct jq_exec_feature features[JQ_EXEC_FEATURE_COUNT_MAX];
    const size_t count = jq_exec_host_describe(bed->host, features);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(features[i].name, name) == 0 && !features[i].in_force) {
            print_message("skipped: %s\n", features[i].detail);
            skip();
        }
    }
}

/* The script's exit code is 0 when what it tries is refused, or allowed, as it expects. */
static void expect_success(struct exec_bed *bed, struct jq_exec_spec *spec, const char *script) {
    struct jq_exec_child *child = exec_bed_run(bed, spec, script);
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    if (outcome->verdict.outcome != JQ_OUTCOME_SUCCESS) {
        fail_msg("%s: %s: %.*s", script, outcome->message, (int)outcome->stderr_tail.size,
                 (const char *)outcome->stderr_tail.data);
    }
    jq_exec_child_free(child);
}

static char *path_in(const struct exec_bed *bed, const char *name) {
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", bed->dir, name) > 0);
    return path;
}

static char *make_file(const struct exec_bed *bed, const char *name) {
    char *path = path_in(bed, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("content", file) >= 0 && fclose(file) == 0 && chmod(path, 0666) == 0);
    return path;
}

/* A task reads programs and the configuration they need, but nothing else of /etc, and no file that nobody named, even as root. */
static void task_reads_what_programs_need(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.attempt = 1};
    needs(bed, "landlock");
    char *secret = make_file(bed, "somebody.else");
    char *variable = NULL;
    assert_true(asprintf(&variable, "SECRET=%s", secret) > 0);
    const char *const env[] = {variable, NULL};
    spec.env = env;
    expect_success(bed, &spec,
                   "cat /etc/passwd /usr/bin/env >/dev/null && ! cat /etc/shadow && ! cat /etc/fstab && ! ls /etc && "
                   "! cat \"$SECRET\" && ! ls /root");
    free(variable);
    free(secret);
}

static size_t rules_about(const struct jq_sandbox_places *places, const char *path) {
    size_t count = 0;
    for (size_t i = 0; i < places->count; i++) {
        const char *place = places->list[i].path;
        const size_t size = place != NULL ? strlen(place) : 0;
        count += size > 0 && strncmp(path, place, size) == 0 && (path[size] == '/' || path[size] == '\0') ? 1U : 0U;
    }
    return count;
}

/* One rule speaks of each place: what lies in a folder that is read whole, as links of /etc into /usr do, has none of its own. A task
 * reads it all the same. */
static void each_place_has_one_rule(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec spec = {.attempt = 1};
    struct jq_sandbox_places *places = calloc(1, sizeof(*places));
    assert_non_null(places);
    jq_sandbox_places_find(places);
    assert_int_equal(rules_about(places, "/usr/bin/env"), 1);
    for (size_t i = 0; i < places->count; i++) {
        const char *path = places->list[i].path;
        if (path != NULL && rules_about(places, path) != 1) {
            fail_msg("%zu rules about %s", rules_about(places, path), path);
        }
    }
    jq_sandbox_places_close(places);
    free(places);
    needs(bed, "landlock");
    expect_success(bed, &spec, "ls /bin/ /lib/ >/dev/null && cat /etc/os-release /etc/mtab >/dev/null");
}

static bool copy(const char *from, const char *to) {
    const char *const argv[] = {"cp", "-a", from, to, NULL};
    pid_t pid = 0;
    int status = 0;
    return posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ) == 0 &&
           waitpid(pid, &status, 0) == pid && status == 0;
}

/* A copy of /etc in place of it, for this process and its children alone. False: this user, or this kernel, may not. */
static bool own_etc(const struct exec_bed *bed) {
    char *etc = path_in(bed, "etc");
    const bool done = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                      copy("/etc", etc) && mount(etc, "/etc", NULL, MS_BIND, NULL) == 0;
    free(etc);
    return done;
}

static void replace(const char *path, const char *words) {
    FILE *file = fopen("/etc/new~", "w");
    assert_non_null(file);
    assert_true(fputs(words, file) >= 0 && fclose(file) == 0 && chmod("/etc/new~", 0644) == 0);
    assert_int_equal(rename("/etc/new~", path), 0);
}

/* A user is added, a name server changes, while the worker runs: the next task reads what is there now, and still nothing else. */
static void task_reads_etc_as_it_is_now(void **state) {
    struct exec_bed *bed = *state;
    struct jq_exec_spec first = {.attempt = 1}, second = {.attempt = 2};
    needs(bed, "landlock");
    if (!own_etc(bed)) {
        print_message("skipped: no mount of our own\n");
        skip();
    }
    expect_success(bed, &first, "cat /etc/passwd >/dev/null && ! cat /etc/late-release");
    replace("/etc/late-release", "late\n");
    replace("/etc/late", "private\n");
    replace("/etc/hosts", "here\n");
    replace("/etc/shadow", "secret\n");
    expect_success(bed, &second,
                   "test \"$(cat /etc/late-release /etc/hosts | tr -d '\\n')\" = latehere && ! cat /etc/shadow && "
                   "! cat /etc/late");
    assert_int_equal(umount2("/etc", MNT_DETACH), 0);
}

/* A task writes to its work dir and what its handler names, and nowhere else. */
static void task_writes_where_it_may(void **state) {
    struct exec_bed *bed = *state;
    needs(bed, "landlock");
    char *out = path_in(bed, "out"), *other = make_file(bed, "other"), *variables[2] = {NULL, NULL};
    assert_int_equal(mkdir(out, 0777), 0);
    assert_true(asprintf(&variables[0], "OUT=%s", out) > 0 && asprintf(&variables[1], "OTHER=%s", other) > 0);
    const char *const env[] = {variables[0], variables[1], NULL};
    const char *const read[] = {other, NULL};
    struct jq_exec_spec spec = {.env = env, .output_dir = out, .paths = {.read = read}};
    expect_success(bed, &spec,
                   "echo x > here && mkdir d && mv here d/there && echo y > \"$OUT/file\" && cat \"$OTHER\" && "
                   "! echo z > \"$OTHER\" && ! echo z > /var/tmp/jq-sandbox-test && ! rm \"$OTHER\"");
    const char *const write[] = {other, NULL};
    struct jq_exec_spec may = {.env = env, .paths = {.write = write}};
    expect_success(bed, &may, "echo z > \"$OTHER\"");
    free(variables[0]);
    free(variables[1]);
    free(out);
    free(other);
}

static const char opens_socket[] =
    "exec /usr/bin/python3 -c \"import socket; socket.socket(); import os; r = socket.socketpair()\"";

/* No socket without network = yes; pairs of sockets inside the task are no network. */
static void network_is_only_for_those_who_have_it(void **state) {
    struct exec_bed *bed = *state;
    needs(bed, "seccomp");
    struct jq_exec_spec without = {.attempt = 1}, with = {.attempt = 2, .network = true};
    struct jq_exec_child *child = exec_bed_run(bed, &without, opens_socket);
    assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_PROCESS_FAILURE);
    jq_exec_child_free(child);
    struct jq_exec_spec pair = {.attempt = 3};
    expect_success(bed, &pair, "exec /usr/bin/python3 -c \"import socket; socket.socketpair()\"");
    expect_success(bed, &with, opens_socket);
}

/* What reaches into other processes or the kernel is refused; threads and processes are not. */
static void calls_into_others_and_the_kernel_are_refused(void **state) {
    struct exec_bed *bed = *state;
    needs(bed, "seccomp");
    struct jq_exec_spec spec = {.attempt = 1};
    expect_success(bed, &spec,
                   "! unshare -U true && ! mount -t tmpfs none . && "
                   "/usr/bin/python3 -c \"import threading; t = threading.Thread(target=print); t.start(); t.join()\"");
}

/* A task cannot signal the worker, though it may be its own user. */
static void worker_is_out_of_reach(void **state) {
    struct exec_bed *bed = *state;
    needs(bed, "landlock");
    char *script = NULL;
    assert_true(asprintf(&script, "! kill -0 %d && sleep 100 & kill $!", (int)getpid()) > 0);
    struct jq_exec_spec spec = {.attempt = 1};
    struct jq_sandbox *sandbox = NULL;
    assert_int_equal(jq_sandbox_new(NULL, &sandbox, NULL), JQ_OK);
    const bool scoped = jq_sandbox_landlock_abi(sandbox) >= 6;
    jq_sandbox_free(sandbox);
    if (scoped) {
        expect_success(bed, &spec, script);
    }
    free(script);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(task_reads_what_programs_need, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_place_has_one_rule, set_up, tear_down),
        cmocka_unit_test_setup_teardown(task_writes_where_it_may, set_up, tear_down),
        cmocka_unit_test_setup_teardown(network_is_only_for_those_who_have_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(calls_into_others_and_the_kernel_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(worker_is_out_of_reach, set_up, tear_down),
        cmocka_unit_test_setup_teardown(task_reads_etc_as_it_is_now, set_up,
                                        tear_down), /* the last: this process leaves its mounts */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
