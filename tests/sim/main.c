/* jqsim - runs the simulator: jqsim [--seed N] [--seeds K] [--steps M] [--verbose]. Without arguments: a short fixed set. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

struct options {
    uint64_t seed, seeds, steps;
    bool verbose;
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

static bool option(const char *name, const char *value, struct options *options) {
    uint64_t *target = strcmp(name, "--seed") == 0    ? &options->seed
                       : strcmp(name, "--seeds") == 0 ? &options->seeds
                       : strcmp(name, "--steps") == 0 ? &options->steps
                                                      : NULL;
    return target && value && number(value, target);
}

static bool options_parse(int argc, char **argv, struct options *options) {
    bool counted = false, seeded = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            options->verbose = true;
        } else if (option(argv[i], i + 1 < argc ? argv[i + 1] : NULL, options)) {
            counted |= strcmp(argv[i], "--seeds") == 0;
            seeded |= strcmp(argv[i], "--seed") == 0;
            i++;
        } else {
            return false;
        }
    }
    if (seeded && !counted) {
        options->seeds = 1;
    }
    return true;
}

int main(int argc, char **argv) {
    struct options options = {.seed = 1, .seeds = 40, .steps = 2000};
    if (!options_parse(argc, argv, &options)) {
        (void)fprintf(stderr, "usage: jqsim [--seed N] [--seeds K] [--steps M] [--verbose]\n");
        return 64;
    }
    for (uint64_t i = 0; i < options.seeds; i++) {
        sim_run_seed(options.seed + i, options.steps, options.verbose);
    }
    printf("%" PRIu64 " passed, 0 failed\n", options.seeds);
    return EXIT_SUCCESS;
}
