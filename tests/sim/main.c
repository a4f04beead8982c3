/* jqsim - runs the simulator. Without arguments: a short fixed set of seeds, and a day and a half of mixed load.
 *
 *     jqsim [--seed N] [--seeds K] [--steps M] [--verbose]   the seeds N .. N+K-1, until one fails; then it is made small
 *     jqsim --swarm MINUTES [--jobs J] [--seed N] [--steps M]   fresh seeds on all cores for so long
 *     jqsim --hours HOURS [--seed N]   so long a mixed load without faults of the disk: how long the log is
 *     jqsim --seed N --steps M [--off KINDS] [--skip STRIKES]   a run that was made small, again (see sim_fault.h)
 *     jqsim-canary [--canary NAME ...]   each planted bug must be caught (broker/core/canary.h); or runs with one of them
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "tests/sim/sim_shrink.h"

enum { SEEDS = 40, STEPS = 2000, SHORT_HOURS = 36, SWARM_STEPS = 10000, SHRINK_SECONDS = 60 };

struct arguments {
    struct sim_options run;
    uint64_t seeds, jobs, steps, hours;
    double minutes;
    bool seeded, small;
};

static bool number(const char *text, uint64_t *ret_number) {
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0') {
        return false;
    }
    *ret_number = value;
    return true;
}

static bool minutes_parse(const char *text, double *ret_minutes) {
    char *end = NULL;
    *ret_minutes = strtod(text, &end);
    return end != text && *end == '\0' && *ret_minutes > 0 && *ret_minutes < 100000;
}

static bool option(const char *name, const char *value, struct arguments *arguments) {
    if (strcmp(name, "--seed") == 0) {
        arguments->seeded = true;
        return number(value, &arguments->run.seed);
    }
    if (strcmp(name, "--seeds") == 0) {
        return number(value, &arguments->seeds);
    }
    if (strcmp(name, "--steps") == 0) {
        return number(value, &arguments->steps);
    }
    if (strcmp(name, "--jobs") == 0) {
        return number(value, &arguments->jobs);
    }
    if (strcmp(name, "--swarm") == 0) {
        return minutes_parse(value, &arguments->minutes);
    }
    if (strcmp(name, "--hours") == 0) {
        return number(value, &arguments->hours) && arguments->hours > 0;
    }
    if (strcmp(name, "--canary") == 0) {
        return canary_choose(value);
    }
    arguments->small = true;
    if (strcmp(name, "--off") == 0) {
        return faults_parse_off(value, &arguments->run);
    }
    return strcmp(name, "--skip") == 0 && faults_parse_skips(value, &arguments->run);
}

static bool arguments_parse(int argc, char **argv, struct arguments *arguments) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            arguments->run.verbose = true;
        } else if (i + 1 < argc && option(argv[i], argv[i + 1], arguments)) {
            i++;
        } else {
            return false;
        }
    }
    if (arguments->seeds == 0) {
        arguments->seeds = arguments->seeded ? 1 : SEEDS;
    }
    return true;
}

/* Made small already, or wanted whole: run here, where a debugger sees it. */
static int run_here(struct arguments *arguments) {
    static struct sim_result result;
    sim_run(&arguments->run, &result);
    result.counts.seeds = 1;
    counts_print(&result.counts);
    printf("1 passed, 0 failed\n");
    return EXIT_SUCCESS;
}

static int run_seeds(struct arguments *arguments) {
    struct sim_result *result = shared_new(sizeof(*result));
    for (uint64_t i = 0; i < arguments->seeds; i++) {
        struct sim_options options = arguments->run;
        options.seed += i;
        child_run(&options, result);
        if (result->failed) {
            printf("seed %" PRIu64 " fails: jqsim --seed %" PRIu64 " --steps %" PRIu64 ": %s\n", options.seed,
                   options.seed, options.steps, result->message);
            (void)fflush(stdout);
            shrink(&options, result, SHRINK_SECONDS);
            failure_print(&options, result);
            printf("%" PRIu64 " passed, 1 failed\n", i);
            return EXIT_FAILURE;
        }
    }
    printf("%" PRIu64 " passed, 0 failed\n", arguments->seeds);
    return EXIT_SUCCESS;
}

static int run_swarm(struct arguments *arguments) {
    uint64_t first = arguments->run.seed;
    if (!arguments->seeded) {
        JQ_CHECK(getrandom(&first, sizeof(first), 0) == sizeof(first));
        first >>= 16;
    }
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const uint32_t jobs = arguments->jobs ? (uint32_t)arguments->jobs : cores > 0 ? (uint32_t)cores : 1;
    return swarm_run(first, arguments->run.steps, (int64_t)(arguments->minutes * 60000), jobs);
}

int main(int argc, char **argv) {
    static struct arguments arguments = {.run.seed = 1};
    if (argc == 1 && !strstr(argv[0], "canary")) {
        week_run(1, SHORT_HOURS);
    }
    if (argc == 1 && strstr(argv[0], "canary")) {
        return canaries_run();
    }
    if (!arguments_parse(argc, argv, &arguments)) {
        (void)fprintf(stderr,
                      "usage: jqsim [--seed N] [--seeds K] [--steps M] [--verbose] [--off KINDS] [--skip STRIKES]\n"
                      "       jqsim --swarm MINUTES [--jobs J] [--seed N] [--steps M]\n"
                      "       jqsim --hours HOURS [--seed N]\n");
        return 64;
    }
    if (arguments.hours > 0) {
        week_run(arguments.run.seed, arguments.hours);
        printf("1 passed, 0 failed\n");
        return EXIT_SUCCESS;
    }
    const uint64_t steps = arguments.minutes > 0 ? SWARM_STEPS : STEPS;
    arguments.run.steps = arguments.steps ? arguments.steps : steps;
    if (arguments.minutes > 0) {
        return run_swarm(&arguments);
    }
    if (arguments.seeds == 1 && (arguments.small || arguments.run.verbose)) {
        return run_here(&arguments);
    }
    return run_seeds(&arguments);
}
