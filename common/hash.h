/* hash.h - hashes that give the same on every machine: they end up in digests and in the journal's decisions.
 *
 * Sources: jq_hash_u64 is the finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", 2014, with Stafford's "variant 13" constants). jq_siphash is SipHash-c-d (Aumasson, Bernstein, "SipHash:
 * a fast short-input PRF", 2012).
 */
#ifndef JQ_COMMON_HASH_H
#define JQ_COMMON_HASH_H

#include <stddef.h>
#include <stdint.h>

/* A bijection: every bit of the input moves about half the bits of the output. 0 maps to 0. */
static inline uint64_t jq_hash_u64(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* Order matters: combine(a, b) != combine(b, a). Fold a row of values with the result as `a`. */
static inline uint64_t jq_hash_combine(uint64_t a, uint64_t b) {
    return jq_hash_u64(jq_hash_u64(a + UINT64_C(0x9e3779b97f4a7c15)) + b);
}

/* SipHash-1-3 keyed by `seed`. With a secret seed nobody outside can choose texts that collide. */
uint64_t jq_hash_bytes(const void *data, size_t size, uint64_t seed);

/* SipHash with c compression and d finalisation rounds, under the 128-bit key k0 (low half), k1. */
uint64_t jq_siphash(const void *data, size_t size, uint64_t k0, uint64_t k1, unsigned c, unsigned d);

#endif
