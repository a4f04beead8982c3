/* How many FreeCAD tasks a second: forked from one zygote, and each in a FreeCAD of its own, by the same worker code, in one run.
 *
 *     bench_freecad SCRIPTS_DIR BENCH_DIR [RUNS [FREECADCMD]]
 *
 * SCRIPTS_DIR holds runner.py, BENCH_DIR freecad_box.py. Two tasks are in flight. The two ways take turns, so that what else the machine
 * does meets both; for each of RUNS (5) rounds, and then for all of them (median, least, most), it prints:
 *
 *     freecad run=1 in_flight=2 zygote=27.71 process=1.92 ratio=14.4
 *     freecad way=zygote rate=27.70 rate_min=26.93 rate_max=28.12
 *     freecad way=process rate=1.91 rate_min=1.88 rate_max=1.97
 *
 * Rates are tasks per second. Exit 77 if there is no FreeCAD.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/exec/workdir.h"
#include "worker/freecad/zygote.h"

#include <fcntl.h>
#include <limits.h>

enum { RUNS_DEFAULT = 5, RUNS_MAX = 100, IN_FLIGHT = 2, ZYGOTE_TASKS = 60, PROCESS_TASKS = 6, EXIT_SKIPPED = 77 };

struct bench {
    struct jq_exec_host *host;
    struct jq_zygote *zygote;
    const char *program;
    char script[PATH_MAX];
    char code[PATH_MAX + 128];
    uint64_t task;
};

static _Noreturn void die(const char *what, const char *message) {
    fprintf(stderr, "bench_freecad: %s: %s\n", what, message);
    exit(1);
}

static struct jq_exec_spec next_spec(struct bench *bench) {
    return (struct jq_exec_spec){.task = {++bench->task},
                                 .attempt = 1,
                                 .memory_bytes_max = UINT64_C(1) << 30,
                                 .pids_max = 64,
                                 .hard_limit_ms = 60000};
}

static void start_forked(struct bench *bench) {
    struct jq_zygote_order order = {.spec = next_spec(bench), .script = bench->script};
    struct jq_exec_child *child = NULL;
    struct jq_error error;
    order.spec.reply = true;
    if (jq_zygote_run(bench->zygote, &order, jq_clock_boot_ms(), &child, &error) != JQ_OK) {
        die("zygote", error.message);
    }
}

static void start_process(struct bench *bench) {
    const char *const argv[] = {bench->program, "-c", bench->code, NULL};
    struct jq_exec_spec spec = next_spec(bench);
    struct jq_exec_child *child = NULL;
    struct jq_error error;
    spec.argv = argv;
    if (jq_exec_start(bench->host, &spec, jq_clock_boot_ms(), &child, &error) != JQ_OK) {
        die("process", error.message);
    }
}

static unsigned reap(struct bench *bench) {
    unsigned count = 0;
    for (struct jq_exec_child *child = jq_exec_host_next_done(bench->host); child != NULL;
         child = jq_exec_host_next_done(bench->host)) {
        const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
        if (outcome->verdict.outcome != JQ_OUTCOME_SUCCESS) {
            fprintf(stderr, "%.*s\n", (int)outcome->stderr_tail.size, (const char *)outcome->stderr_tail.data);
            die("task", outcome->message);
        }
        jq_exec_child_free(child);
        count++;
    }
    return count;
}

static double rate_of(struct bench *bench, void (*start)(struct bench *), unsigned total) {
    const int64_t start_ns = jq_clock_mono_ns();
    unsigned started = 0;
    unsigned done = 0;
    while (done < total) {
        while (started < total && started - done < IN_FLIGHT) {
            start(bench);
            started++;
        }
        const int64_t left_ms = jq_exec_host_deadline_ms(bench->host) - jq_clock_boot_ms();
        struct pollfd fd = {.fd = jq_exec_host_fd(bench->host), .events = POLLIN};
        (void)poll(&fd, 1, left_ms > 1000 ? 1000 : left_ms > 0 ? (int)left_ms : 0);
        jq_exec_host_run(bench->host, jq_clock_boot_ms());
        done += reap(bench);
    }
    return total * 1e9 / (double)(jq_clock_mono_ns() - start_ns);
}

static int by_size(const void *left, const void *right) {
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a > b) - (a < b);
}

static void print_way(const char *way, double *rates, size_t runs) {
    qsort(rates, runs, sizeof(rates[0]), by_size);
    printf("freecad way=%s rate=%.2f rate_min=%.2f rate_max=%.2f\n", way, rates[runs / 2], rates[0], rates[runs - 1]);
}

static void measure(struct bench *bench, size_t runs) {
    double forked[RUNS_MAX];
    double processes[RUNS_MAX];
    (void)rate_of(bench, start_forked, IN_FLIGHT);
    (void)rate_of(bench, start_process, IN_FLIGHT);
    for (size_t i = 0; i < runs; i++) {
        forked[i] = rate_of(bench, start_forked, ZYGOTE_TASKS);
        processes[i] = rate_of(bench, start_process, PROCESS_TASKS);
        printf("freecad run=%zu in_flight=%d zygote=%.2f process=%.2f ratio=%.1f\n", i + 1, IN_FLIGHT, forked[i],
               processes[i], forked[i] / processes[i]);
        fflush(stdout);
    }
    print_way("zygote", forked, runs);
    print_way("process", processes, runs);
}

static void set_up(struct bench *bench, const char *state_dir, char **argv) {
    struct jq_error error;
    char runner[PATH_MAX];
    const char *const command[] = {bench->program, "-c", "exec(open('{runner}').read())", NULL};
    (void)snprintf(runner, sizeof(runner), "%s/runner.py", argv[1]);
    (void)snprintf(bench->script, sizeof(bench->script), "%s/freecad_box.py", argv[2]);
    (void)snprintf(bench->code, sizeof(bench->code),
                   "import os, sys, traceback\n"
                   "sys.dont_write_bytecode = True\n"
                   "sys.path.insert(0, '%s')\n"
                   "try:\n import freecad_box; freecad_box.work(); os._exit(0)\n"
                   "except BaseException:\n traceback.print_exc(); os._exit(1)\n",
                   argv[2]);
    const struct jq_exec_config host = {.name = "bench-freecad", .state_dir = state_dir, .child_count_max = 8};
    if (jq_exec_host_new(&host, &bench->host, &error) != JQ_OK) {
        die("host", error.message);
    }
    const struct jq_zygote_config zygote = {
        .name = "zygote", .command = command, .runner = runner, .requires_freecad = true};
    if (jq_zygote_new(bench->host, &zygote, &bench->zygote, &error) != JQ_OK) {
        die("zygote", error.message);
    }
}

int main(int argc, char **argv) {
    struct bench bench = {.program = argc > 4 ? argv[4] : "freecadcmd"};
    char state_dir[] = "/tmp/jqmesh-bench-XXXXXX";
    struct jq_error error;
    const size_t runs = argc > 3 ? strtoul(argv[3], NULL, 10) : RUNS_DEFAULT;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_freecad SCRIPTS_DIR BENCH_DIR [RUNS [FREECADCMD]]\n");
        return 64;
    }
    if (mkdtemp(state_dir) == NULL) {
        die("state", "mkdtemp");
    }
    set_up(&bench, state_dir, argv);
    const enum jq_err started = jq_zygote_start(bench.zygote, jq_clock_boot_ms(), &error);
    if (started == JQ_OK) {
        measure(&bench, runs > 0 && runs <= RUNS_MAX ? runs : RUNS_DEFAULT);
    }
    jq_zygote_free(bench.zygote, jq_clock_boot_ms());
    jq_exec_host_free(bench.host);
    (void)jq_workdir_remove(AT_FDCWD, state_dir);
    if (started != JQ_OK) {
        fprintf(stderr, "bench_freecad: skipped: %s\n", error.message);
        return EXIT_SKIPPED;
    }
    return 0;
}
