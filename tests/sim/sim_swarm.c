/* sim_swarm.c - fresh seeds on all cores for some minutes. A failing one ends the swarm: it is made small, and told. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/sim/sim_shrink.h"

enum { JOBS_MAX = 256, SHRINK_SECONDS = 60, SEED_SECONDS_MAX = 40 };

struct job { /* shared with its process */
    uint64_t seed;
    struct sim_result result; /* of the seed under way */
    struct sim_counts counts;
    uint64_t struck[SIM_FAULT_COUNT];
};

static void counts_add(struct sim_counts *sum, const struct sim_counts *more) {
    uint64_t *numbers = (uint64_t *)sum;
    const uint64_t *others = (const uint64_t *)more;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++) {
        numbers[i] += others[i];
    }
}

static _Noreturn void job_main(struct job *job, const struct sim_options *first, uint32_t jobs, int64_t until_ms) {
    struct sim_options options = *first;
    if (!freopen("/dev/null", "w", stdout)) {
        _exit(EXIT_FAILURE);
    }
    for (; jq_clock_boot_ms() < until_ms; options.seed += jobs) {
        job->seed = options.seed;
        job->result = (struct sim_result){0};
        (void)alarm(SEED_SECONDS_MAX);
        sim_run(&options, &job->result);
        job->result.counts.seeds = 1;
        counts_add(&job->counts, &job->result.counts);
        for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
            job->struck[i] += job->result.struck[i];
        }
    }
    _exit(EXIT_SUCCESS);
}

static void jobs_start(struct job *jobs, pid_t *pids, uint32_t count, const struct sim_options *options,
                       int64_t until_ms) {
    for (uint32_t i = 0; i < count; i++) {
        struct sim_options first = *options;
        first.seed += i;
        pids[i] = fork();
        JQ_CHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            job_main(&jobs[i], &first, count, until_ms);
        }
    }
}

/* Waits for all; the first that fails ends the others. */
static struct job *jobs_wait(struct job *jobs, const pid_t *pids, uint32_t count) {
    struct job *failed = NULL;
    int status = 0;
    for (pid_t ended = wait(&status); ended > 0; ended = wait(&status)) {
        for (uint32_t i = 0; i < count && status != 0 && !failed; i++) {
            failed = pids[i] == ended ? &jobs[i] : NULL;
        }
        for (uint32_t i = 0; i < count && failed; i++) {
            if (pids[i] != ended) {
                (void)kill(pids[i], SIGTERM);
            }
        }
    }
    return failed;
}

static void survey_print(const struct job *jobs, uint32_t count, double seconds) {
    struct sim_counts sum = {0};
    uint64_t struck[SIM_FAULT_COUNT] = {0};
    for (uint32_t i = 0; i < count; i++) {
        counts_add(&sum, &jobs[i].counts);
        for (uint32_t kind = 0; kind < SIM_FAULT_COUNT; kind++) {
            struck[kind] += jobs[i].struck[kind];
        }
    }
    counts_print(&sum);
    printf("struck:");
    for (uint32_t kind = 0; kind < SIM_FAULT_COUNT; kind++) {
        printf(" %s %" PRIu64, fault_word((enum sim_fault)kind), struck[kind]);
    }
    printf("\n%.0f seeds a minute\n", 60 * (double)sum.seeds / seconds);
    printf("%" PRIu64 " passed, 0 failed\n", sum.seeds);
}

int swarm_run(uint64_t first, uint64_t steps, int64_t milliseconds, uint32_t count) {
    struct sim_options options = {.seed = first, .steps = steps};
    count = count < 1 ? 1 : count > JOBS_MAX ? JOBS_MAX : count;
    struct job *jobs = shared_new(count * sizeof(*jobs));
    pid_t pids[JOBS_MAX];
    printf("swarm: seeds from %" PRIu64 " on, %" PRIu64 " steps each, %u at a time\n", first, steps, count);
    (void)fflush(stdout);
    const int64_t begin_ms = jq_clock_boot_ms();
    jobs_start(jobs, pids, count, &options, begin_ms + milliseconds);
    const struct job *failed = jobs_wait(jobs, pids, count);
    if (!failed) {
        survey_print(jobs, count, (double)(jq_clock_boot_ms() - begin_ms) / 1000);
        return EXIT_SUCCESS;
    }
    struct sim_result *result = shared_new(sizeof(*result));
    options.seed = failed->seed;
    child_run(&options, result);
    printf("seed %" PRIu64 " fails: jqsim --seed %" PRIu64 " --steps %" PRIu64 ": %s\n", failed->seed, failed->seed,
           steps, result->message);
    (void)fflush(stdout);
    if (result->failed) {
        shrink(&options, result, SHRINK_SECONDS);
        failure_print(&options, result);
    }
    printf("0 passed, 1 failed\n");
    return EXIT_FAILURE;
}
