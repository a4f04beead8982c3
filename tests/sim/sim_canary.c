/* sim_canary.c - the planted bugs, one after the other: seeds are run until one fails. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/core/canary.h"
#include "tests/sim/sim_shrink.h"

enum { SEEDS_MAX = 200, STEPS = 3000 };

enum jq_canary jq_canary; /* read by a core that was built with JQ_CANARIES */

static const struct {
    const char *name, *text;
} canaries[CANARY_END] = {[CANARY_NONE] = {"NONE", "no bug"},
#define SIM_CANARY_ROW(name, text) [CANARY_##name] = {#name, text},
                          JQ_CANARY_LIST(SIM_CANARY_ROW)
#undef SIM_CANARY_ROW
};

/* The number of seeds that it took; 0: none of them found it. */
static uint64_t seeds_to_catch(struct sim_result *result) {
    for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++) {
        static struct sim_options options;
        options = (struct sim_options){.seed = seed, .steps = STEPS};
        child_run(&options, result);
        if (result->failed) {
            return seed;
        }
    }
    return 0;
}

bool canary_choose(const char *name) {
    int at = CANARY_NONE + 1;
    while (at < CANARY_END && strcmp(canaries[at].name, name) != 0) {
        at++;
    }
    jq_canary = (enum jq_canary)(at % CANARY_END);
    return at < CANARY_END;
}

int canaries_run(void) {
    struct sim_result *result = shared_new(sizeof(*result));
    int missed = 0;
    for (int i = CANARY_NONE + 1; i < CANARY_END; i++) {
        jq_canary = (enum jq_canary)i;
        const uint64_t seeds = seeds_to_catch(result);
        missed += seeds == 0;
        printf("%-15s %s\n", canaries[i].name, canaries[i].text);
        if (seeds > 0) {
            printf("                caught by seed %" PRIu64 ": %s\n", seeds, result->message);
        } else {
            printf("                NOT CAUGHT by %d seeds\n", SEEDS_MAX);
        }
        (void)fflush(stdout);
    }
    printf("%d passed, %d failed\n", CANARY_END - 1 - missed, missed);
    return missed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
