/* rng.h - small seeded generator of pseudorandom numbers: the same seed gives the same numbers on every machine.
 *
 * xoshiro256** (Blackman, Vigna, "Scrambled linear pseudorandom number generators", 2018), its state filled by
 * SplitMix64, as its authors recommend. Not for secrets: see entropy.h.
 */
#ifndef JQ_COMMON_RNG_H
#define JQ_COMMON_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct jq_rng {
    uint64_t state[4];
};

void jq_rng_init(struct jq_rng *rng, uint64_t seed);

/* 64 bits, all equally likely. */
uint64_t jq_rng_next(struct jq_rng *rng);

/* 0 .. bound - 1, all exactly equally likely. A bound of 0 is a programming error. */
uint64_t jq_rng_below(struct jq_rng *rng, uint64_t bound);

/* True in `numerator` of `denominator` cases: jq_rng_chance(rng, 1, 20). The denominator must not be 0. */
bool jq_rng_chance(struct jq_rng *rng, uint64_t numerator, uint64_t denominator);

#endif
