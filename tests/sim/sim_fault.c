/* sim_fault.c - the streams of chance, and their words. */
#include "tests/sim/sim_fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

struct kind {
    const char *word;
    uint32_t chances, most;
};
static const struct kind kinds[SIM_FAULT_COUNT] = {
#define SIM_FAULT_KIND(name, word, chances, most) {word, chances, most},
    SIM_FAULT_LIST(SIM_FAULT_KIND)
#undef SIM_FAULT_KIND
};

void chances_init(struct sim_chances *chances, const struct sim_options *options) {
    *chances = (struct sim_chances){.seed = options->seed, .skips = options->skips, .skip_count = options->skip_count};
    struct jq_rng rng;
    jq_rng_init(&rng, jq_hash_combine(options->seed, 1));
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        const bool on = i == SIM_REQUEST || jq_rng_below(&rng, 2) == 0;
        const uint32_t rate = 1 + (uint32_t)jq_rng_below(&rng, kinds[i].most);
        chances->rates[i] = on && !(options->off >> i & 1) ? rate : 0;
        jq_rng_init(&chances->streams[i], jq_hash_combine(options->seed, 100 + i));
    }
    jq_rng_init(&chances->detail, options->seed);
}

static bool skipped(const struct sim_chances *chances, enum sim_fault kind, uint64_t number) {
    for (size_t i = 0; i < chances->skip_count; i++) {
        const struct sim_skip *skip = &chances->skips[i];
        if (skip->kind == kind && skip->from <= number && number <= skip->to) {
            return true;
        }
    }
    return false;
}

bool chances_strike(struct sim_chances *chances, enum sim_fault kind) {
    if (chances->rates[kind] == 0 ||
        !jq_rng_chance(&chances->streams[kind], chances->rates[kind], kinds[kind].chances)) {
        return false;
    }
    const uint64_t number = ++chances->struck[kind];
    if (skipped(chances, kind, number)) {
        return false;
    }
    jq_rng_init(&chances->detail, jq_hash_combine(jq_hash_combine(chances->seed, kind), number));
    return true;
}

uint64_t chances_detail(struct sim_chances *chances, uint64_t bound) {
    return bound > 1 ? jq_rng_below(&chances->detail, bound) : 0;
}

/* ---- words ---- */

const char *fault_word(enum sim_fault kind) {
    return kinds[kind].word;
}

/* The kind whose word `text` begins with, up to `end`. SIM_FAULT_COUNT: none. */
static enum sim_fault kind_of(const char *text, size_t size) {
    uint32_t kind = 0;
    while (kind < SIM_FAULT_COUNT && (strlen(kinds[kind].word) != size || memcmp(kinds[kind].word, text, size) != 0)) {
        kind++;
    }
    return (enum sim_fault)kind;
}

bool faults_parse_off(const char *text, struct sim_options *options) {
    while (*text) {
        const size_t size = strcspn(text, ",");
        const enum sim_fault kind = kind_of(text, size);
        if (kind == SIM_FAULT_COUNT) {
            return false;
        }
        options->off |= 1u << kind;
        text += size + (text[size] == ',');
    }
    return true;
}

/* "3" or "3-7" at *text, which is moved behind it. */
static bool parse_range(const char **text, struct sim_skip *skip) {
    char *end = NULL;
    skip->from = skip->to = strtoull(*text, &end, 10);
    if (end != *text && *end == '-') {
        *text = end + 1;
        skip->to = strtoull(*text, &end, 10);
    }
    const bool good = end != *text && (*end == ',' || *end == '\0');
    *text = end + (*end == ',');
    return good;
}

bool faults_parse_skips(const char *text, struct sim_options *options) {
    while (*text) {
        const size_t size = strcspn(text, ":");
        struct sim_skip skip = {.kind = kind_of(text, size)};
        text += size + (text[size] == ':');
        if (skip.kind == SIM_FAULT_COUNT || options->skip_count == SIM_SKIPS_MAX || !parse_range(&text, &skip)) {
            return false;
        }
        options->skips[options->skip_count++] = skip;
    }
    return true;
}

void faults_print(const struct sim_options *options) {
    if (options->hours > 0) {
        printf("--seed %" PRIu64 " --hours %" PRIu64, options->seed, options->hours);
        return;
    }
    printf("--seed %" PRIu64 " --steps %" PRIu64, options->seed, options->steps);
    const char *between = " --off ";
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        if (options->off >> i & 1) {
            printf("%s%s", between, kinds[i].word);
            between = ",";
        }
    }
    between = " --skip ";
    for (size_t i = 0; i < options->skip_count; i++) {
        const struct sim_skip *skip = &options->skips[i];
        printf("%s%s:%" PRIu64, between, kinds[skip->kind].word, skip->from);
        if (skip->to != skip->from) {
            printf("-%" PRIu64, skip->to);
        }
        between = ",";
    }
}
