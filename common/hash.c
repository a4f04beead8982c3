#include "common/hash.h"

#include <endian.h>
#include <string.h>

/* The state, with the names of the paper. */
struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t value, unsigned bits) {
    return (value << bits) | (value >> (64 - bits));
}

static inline void sip_rounds(struct sip *s, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static inline void sip_word(struct sip *s, uint64_t word, unsigned c) {
    s->v3 ^= word;
    sip_rounds(s, c);
    s->v0 ^= word;
}

/* The last word: the bytes that are left, and the length modulo 256 at the top. */
static inline uint64_t sip_tail(const uint8_t *at, size_t left, size_t size) {
    uint64_t word = 0;
    if (left > 0)
        memcpy(&word, at, left);
    return le64toh(word) | (uint64_t)size << 56;
}

static inline uint64_t sip_hash(const void *data, size_t size, uint64_t k0, uint64_t k1, unsigned c, unsigned d) {
    /* "somepseudorandomlygeneratedbytes" */
    struct sip s = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                    k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    const uint8_t *at = data;
    size_t left = size;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        sip_word(&s, le64toh(word), c);
    }
    sip_word(&s, sip_tail(at, left, size), c);
    s.v2 ^= 0xff;
    sip_rounds(&s, d);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t jq_siphash(const void *data, size_t size, uint64_t k0, uint64_t k1, unsigned c, unsigned d) {
    return sip_hash(data, size, k0, k1, c, d);
}

uint64_t jq_hash_bytes(const void *data, size_t size, uint64_t seed) {
    return sip_hash(data, size, seed, jq_hash_u64(~seed), 1, 3);
}
