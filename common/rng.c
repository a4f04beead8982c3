#include "common/rng.h"

#include "common/err.h"
#include "common/hash.h"

static inline uint64_t rotate(uint64_t value, unsigned bits) {
    return (value << bits) | (value >> (64 - bits));
}

void jq_rng_init(struct jq_rng *rng, uint64_t seed) {
    /* SplitMix64: a Weyl sequence through its finaliser. Never four zeros: the finaliser is a bijection. */
    for (int i = 0; i < 4; i++)
        rng->state[i] = jq_hash_u64(seed += UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t jq_rng_next(struct jq_rng *rng) {
    uint64_t *s = rng->state;
    const uint64_t result = rotate(s[1] * 5, 7) * 9;
    const uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t jq_rng_below(struct jq_rng *rng, uint64_t bound) {
    JQ_CHECK(bound > 0);
    /* 2^64 mod bound values at the lower end are thrown away: what is left divides evenly. */
    const uint64_t excess = (0 - bound) % bound;
    uint64_t value = jq_rng_next(rng);
    while (value < excess)
        value = jq_rng_next(rng);
    return value % bound;
}

bool jq_rng_chance(struct jq_rng *rng, uint64_t numerator, uint64_t denominator) {
    return jq_rng_below(rng, denominator) < numerator;
}
