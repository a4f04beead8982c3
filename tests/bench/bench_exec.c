/* What it costs to run a program as an isolated task: worker/exec beside a bare loop of posix_spawn, in one run.
 *
 *     bench_exec spawn COUNT [ROUNDS]    ROUNDS (5) times, in turns: COUNT x /bin/true by posix_spawn and waitpid, and as tasks with
 *                                        everything that a worker does to them (cgroup, user, sandbox, work dir, limits, pipes)
 *     bench_exec cancel ROUNDS           from the order to end a tree of 20 processes that ignore SIGTERM, beyond its grace, until
 *                                        its cgroup is proven empty
 *
 * Two are in flight. Prints a line a round: "spawn_rate= task_rate= overhead_us= " per second and microseconds a task; "beyond_ms=".
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/exec/child.h"
#include "worker/exec/workdir.h"

enum { IN_FLIGHT = 2, ROUNDS_DEFAULT = 5, COUNT_MAX = 10000000, GRACE_MS = 100, EXIT_USAGE_ERROR = 64 };

struct bench {
    struct jq_exec_host *host;
    const struct passwd *user; /* NULL: we are no root, and tasks stay who we are */
    jq_task_id next;
};

static _Noreturn void die(const char *what, const char *why) {
    fprintf(stderr, "bench_exec: %s: %s\n", what, why);
    _exit(1);
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- bare ---- */

static void spawn_one(void) {
    static char *const argv[] = {"/bin/true", NULL};
    static char *const env[] = {NULL};
    pid_t pid = 0;
    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, env) != 0) {
        die("posix_spawn", argv[0]);
    }
}

static double spawn_rate(long count) {
    const double begin = seconds_now();
    long begun = 0;
    while (begun < IN_FLIGHT && begun < count) {
        spawn_one();
        begun++;
    }
    for (long ended = 0; ended < count; ended++) {
        (void)waitpid(-1, NULL, 0);
        if (begun < count) {
            spawn_one();
            begun++;
        }
    }
    return (double)count / (seconds_now() - begin);
}

/* ---- isolated ---- */

static struct jq_exec_child *start(struct bench *bench, const char *const *argv, int64_t grace_ms) {
    struct jq_exec_child *child = NULL;
    struct jq_error error;
    const struct jq_exec_spec spec = {.task = {++bench->next.value},
                                      .attempt = 1,
                                      .argv = argv,
                                      .memory_bytes_max = UINT64_C(256) << 20,
                                      .cpu_milli_max = 1000,
                                      .pids_max = 256,
                                      .file_bytes_max = UINT64_C(1) << 30,
                                      .output_bytes_max = UINT64_C(1) << 20,
                                      .switch_user = bench->user != NULL,
                                      .uid = bench->user != NULL ? bench->user->pw_uid : 0,
                                      .gid = bench->user != NULL ? bench->user->pw_gid : 0,
                                      .hard_limit_ms = 60000,
                                      .grace_ms = grace_ms};
    if (jq_exec_start(bench->host, &spec, jq_clock_boot_ms(), &child, &error) != JQ_OK) {
        die("start", error.message);
    }
    return child;
}

static struct jq_exec_child *next_ended(const struct bench *bench) {
    for (;;) {
        struct jq_exec_child *child = jq_exec_host_next_done(bench->host);
        if (child != NULL) {
            return child;
        }
        const int64_t deadline_ms = jq_exec_host_deadline_ms(bench->host);
        const int64_t left_ms = deadline_ms == INT64_MAX ? 1000 : deadline_ms - jq_clock_boot_ms();
        struct pollfd fd = {.fd = jq_exec_host_fd(bench->host), .events = POLLIN};
        (void)poll(&fd, 1, left_ms > 0 ? (int)(left_ms < 1000 ? left_ms : 1000) : 0);
        jq_exec_host_run(bench->host, jq_clock_boot_ms());
    }
}

static double task_rate(struct bench *bench, long count) {
    static const char *const argv[] = {"/bin/true", NULL};
    const double begin = seconds_now();
    long begun = 0;
    while (begun < IN_FLIGHT && begun < count) {
        (void)start(bench, argv, 0);
        begun++;
    }
    for (long ended = 0; ended < count; ended++) {
        struct jq_exec_child *child = next_ended(bench);
        const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
        if (outcome->verdict.outcome != JQ_OUTCOME_SUCCESS) {
            die("task", outcome->message);
        }
        jq_exec_child_free(child);
        if (begun < count) {
            (void)start(bench, argv, 0);
            begun++;
        }
    }
    return (double)count / (seconds_now() - begin);
}

static void measure_spawn(struct bench *bench, long count, long rounds) {
    for (long i = 0; i < rounds; i++) {
        const double bare = spawn_rate(count);
        const double task = task_rate(bench, count);
        printf("spawn_rate=%.0f task_rate=%.0f overhead_us=%.0f\n", bare, task, 1e6 / task - 1e6 / bare);
        fflush(stdout);
    }
}

/* ---- cancel ---- */

static void measure_cancel(struct bench *bench, long rounds) {
    static const char script[] = "trap '' TERM; i=0; while [ $i -lt 19 ]; do sleep 60 & i=$((i+1)); done; >up; wait";
    static const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    char up[PATH_MAX];
    for (long i = 0; i < rounds; i++) {
        struct jq_exec_child *child = start(bench, argv, GRACE_MS);
        (void)snprintf(up, sizeof(up), "%.4000s/%llu.1/up", jq_exec_host_work_path(bench->host),
                       (unsigned long long)bench->next.value);
        while (access(up, F_OK) != 0) {
            struct pollfd fd = {.fd = jq_exec_host_fd(bench->host), .events = POLLIN};
            (void)poll(&fd, 1, 5);
            jq_exec_host_run(bench->host, jq_clock_boot_ms());
        }
        const double begin = seconds_now();
        jq_exec_kill(child, JQ_EXEC_REASON_CANCEL, GRACE_MS, jq_clock_boot_ms());
        if (next_ended(bench) != child) {
            die("cancel", "something else ended");
        }
        printf("beyond_ms=%.2f\n", (seconds_now() - begin) * 1e3 - (double)GRACE_MS);
        jq_exec_child_free(child);
    }
}

/* ---- */

static long number(const char *text) {
    char *end = NULL;
    const long value = text != NULL ? strtol(text, &end, 10) : 0;
    return value > 0 && *end == '\0' && value <= COUNT_MAX ? value : 0;
}

int main(int argc, char **argv) {
    struct bench bench = {.user = geteuid() == 0 ? getpwnam("nobody") : NULL};
    char folder[] = "/tmp/jqmesh-bench-XXXXXX";
    struct jq_error error;
    const long count = argc > 2 ? number(argv[2]) : 0;
    const bool cancel = argc > 1 && strcmp(argv[1], "cancel") == 0;
    if (count == 0 || (!cancel && strcmp(argv[1], "spawn") != 0)) {
        fprintf(stderr, "usage: bench_exec spawn COUNT [ROUNDS] | cancel ROUNDS\n");
        return EXIT_USAGE_ERROR;
    }
    if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0) {
        die("state", folder);
    }
    const struct jq_exec_config config = {
        .name = "bench-exec", .state_dir = folder, .child_count_max = 8, .sandbox = true};
    if (jq_exec_host_new(&config, &bench.host, &error) != JQ_OK) {
        die("host", error.message);
    }
    if (cancel) {
        measure_cancel(&bench, count);
    } else {
        measure_spawn(&bench, count, argc > 3 && number(argv[3]) > 0 ? number(argv[3]) : ROUNDS_DEFAULT);
    }
    jq_exec_host_free(bench.host);
    (void)jq_workdir_remove(AT_FDCWD, folder);
    return 0;
}
