/* sim_shrink.c - a failing run made small, by leaving things out while it goes on failing by the same invariant (Zeller,
 * Hildebrandt, "Simplifying and isolating failure-inducing input", 2002, for the strikes of one kind). */
#include "tests/sim/sim_shrink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

enum { CHILD_SECONDS_MAX = 40, TRACE_LINES = 60, LINE_SIZE = 256 };

void *shared_new(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    JQ_CHECK(memory != MAP_FAILED);
    return memory;
}

static _Noreturn void child_main(const struct sim_options *options, struct sim_result *result, int out) {
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0) {
        _exit(EXIT_FAILURE);
    }
    (void)alarm(CHILD_SECONDS_MAX);
    sim_run(options, result);
    exit(EXIT_SUCCESS); /* not _exit: a sanitizer looks for leaks then */
}

static void child_ended(pid_t child, struct sim_result *result) {
    int status = 0;
    JQ_CHECK(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) {
        result->failed = true;
        result->signature = (uint64_t)WTERMSIG(status);
        (void)snprintf(result->message, sizeof(result->message), "died of signal %d%s", WTERMSIG(status),
                       WTERMSIG(status) == SIGALRM ? ": it did not come to an end" : "");
    }
}

void child_run(const struct sim_options *options, struct sim_result *result) {
    FILE *nowhere = fopen("/dev/null", "w");
    JQ_CHECK(nowhere != NULL);
    *result = (struct sim_result){0};
    (void)fflush(stdout);
    const pid_t child = fork();
    JQ_CHECK(child >= 0);
    if (child == 0) {
        child_main(options, result, fileno(nowhere));
    }
    (void)fclose(nowhere);
    child_ended(child, result);
}

/* ---- leaving things out ---- */

struct shrinking {
    struct sim_options *best;
    struct sim_result *result; /* of best */
    struct sim_result *trial;  /* shared with the child */
    int64_t until_ms;
};

static bool over(const struct shrinking *shrinking) {
    return jq_clock_boot_ms() >= shrinking->until_ms;
}

/* Keeps `options` if it fails in the same way. */
static bool try(struct shrinking *shrinking, const struct sim_options *options) {
    if (over(shrinking)) {
        return false;
    }
    child_run(options, shrinking->trial);
    if (!shrinking->trial->failed || shrinking->trial->signature != shrinking->result->signature) {
        return false;
    }
    *shrinking->best = *options;
    *shrinking->result = *shrinking->trial;
    return true;
}

/* What was going to happen behind the failure plays no part, unless it takes the calm to show it. */
static void shrink_steps(struct shrinking *shrinking) {
    if (shrinking->result->step < shrinking->best->steps) {
        shrinking->best->steps = shrinking->result->step;
    }
    for (uint64_t cut = shrinking->best->steps / 2; cut > 0 && !over(shrinking); cut /= 2) {
        struct sim_options options = *shrinking->best;
        options.steps -= cut < options.steps ? cut : 0;
        (void)try(shrinking, &options);
    }
}

static void shrink_kinds(struct shrinking *shrinking) {
    for (uint32_t kind = 0; kind < SIM_REQUEST; kind++) {
        if (shrinking->result->struck[kind] > 0) {
            struct sim_options options = *shrinking->best;
            options.off |= 1u << kind;
            (void)try(shrinking, &options);
        }
    }
}

static bool left_out(const struct sim_options *options, enum sim_fault kind, uint64_t number) {
    for (size_t i = 0; i < options->skip_count; i++) {
        const struct sim_skip *skip = &options->skips[i];
        if (skip->kind == kind && skip->from <= number && number <= skip->to) {
            return true;
        }
    }
    return false;
}

/* Leaves out one more stretch; what touches it or lies in it becomes one with it. False: there is no room. */
static bool leave_out(struct sim_options *options, enum sim_fault kind, uint64_t from, uint64_t to) {
    size_t kept = 0;
    for (size_t i = 0; i < options->skip_count; i++) {
        const struct sim_skip skip = options->skips[i];
        if (skip.kind == kind && skip.from <= to + 1 && from <= skip.to + 1) {
            from = skip.from < from ? skip.from : from;
            to = skip.to > to ? skip.to : to;
        } else {
            options->skips[kept++] = skip;
        }
    }
    if (kept == SIM_SKIPS_MAX) {
        return false;
    }
    options->skips[kept++] = (struct sim_skip){kind, from, to};
    options->skip_count = kept;
    return true;
}

/* Strikes of one kind, in runs of `size`. */
static void shrink_strikes(struct shrinking *shrinking, enum sim_fault kind, uint64_t size) {
    for (uint64_t from = 1; from <= shrinking->result->struck[kind] && !over(shrinking); from += size) {
        struct sim_options options = *shrinking->best;
        uint64_t first = from;
        while (first < from + size && left_out(&options, kind, first)) {
            first++;
        }
        if (first < from + size && leave_out(&options, kind, first, from + size - 1)) {
            (void)try(shrinking, &options);
        }
    }
}

static void shrink_strikes_of(struct shrinking *shrinking, enum sim_fault kind) {
    for (uint64_t size = (shrinking->result->struck[kind] + 1) / 2; size > 0; size /= 2) {
        shrink_strikes(shrinking, kind, size);
    }
}

void shrink(struct sim_options *options, struct sim_result *result, int seconds) {
    struct shrinking shrinking = {.best = options,
                                  .result = result,
                                  .trial = shared_new(sizeof(*result)),
                                  .until_ms = jq_clock_boot_ms() + 1000 * (int64_t)seconds};
    shrink_steps(&shrinking);
    shrink_kinds(&shrinking);
    for (uint32_t kind = SIM_FAULT_COUNT; kind > 0; kind--) {
        shrink_strikes_of(&shrinking, (enum sim_fault)(kind - 1));
    }
    shrink_steps(&shrinking);
    (void)munmap(shrinking.trial, sizeof(*result));
}

/* ---- telling ---- */

/* The last lines of what the run says. */
static void trace_print(FILE *trace) {
    static char lines[TRACE_LINES][LINE_SIZE];
    uint64_t count = 0;
    while (fgets(lines[count % TRACE_LINES], LINE_SIZE, trace)) {
        count++;
    }
    for (uint64_t i = count > TRACE_LINES ? count - TRACE_LINES : 0; i < count; i++) {
        printf("    %s", lines[i % TRACE_LINES]);
    }
}

static void trace_run(const struct sim_options *options, struct sim_result *again) {
    int ends[2];
    struct sim_options loud = *options;
    loud.verbose = true;
    (void)fflush(stdout);
    JQ_CHECK(pipe(ends) == 0);
    const pid_t child = fork();
    JQ_CHECK(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        child_main(&loud, again, ends[1]);
    }
    (void)close(ends[1]);
    FILE *trace = fdopen(ends[0], "r");
    JQ_CHECK(trace != NULL);
    trace_print(trace);
    (void)fclose(trace);
    child_ended(child, again);
}

void failure_print(const struct sim_options *options, const struct sim_result *result) {
    struct sim_result *again = shared_new(sizeof(*again));
    *again = (struct sim_result){0};
    printf("FAILED at step %" PRIu64 ", %" PRId64 " ms: %s\n", result->step, result->now_ms, result->message);
    printf("the last lines of its trace:\n");
    trace_run(options, again);
    printf("again: jqsim ");
    faults_print(options);
    printf(" --verbose\n");
    if (again->signature != result->signature || again->step != result->step) {
        printf("NOT THE SAME AGAIN: it came to step %" PRIu64 ", %s\n", again->step, again->message);
    }
    (void)munmap(again, sizeof(*again));
}
