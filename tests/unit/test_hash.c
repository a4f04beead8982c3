#include "common/entropy.h"
#include "common/hash.h"
#include "common/rng.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* SipHash is the published one: the example of the paper's appendix A (2-4, key 00..0f, text 00..0e). */
static void siphash_gives_the_published_value(void **state) {
    (void)state;
    uint8_t text[15];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)i;
    const uint64_t hash =
        jq_siphash(text, sizeof(text), UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908), 2, 4);
    assert_true(hash == UINT64_C(0xa129ca6149be45e5));
}

/* What a hash is never changes: it is in digests and in decisions that replay must repeat. */
static void hashes_never_change(void **state) {
    (void)state;
    assert_true(jq_siphash("", 0, UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908), 1, 3) ==
                UINT64_C(0xabac0158050fc4dc));
    assert_true(jq_hash_u64(UINT64_C(0x9e3779b97f4a7c15)) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(jq_hash_bytes("jqmesh", 6, 1) == UINT64_C(0x3a596245a853a679));
    assert_true(jq_hash_combine(1, 2) == UINT64_C(0x81a5c1377856b73));
}

/* The seed, the length and every bit count; so does the order in a combination. */
static void hashes_depend_on_everything(void **state) {
    (void)state;
    const char text[] = "0123456789abcdef0123456789abcdef";
    for (size_t size = 0; size < 32; size++) {
        const uint64_t hash = jq_hash_bytes(text, size, 1);
        assert_true(hash != jq_hash_bytes(text, size, 2));
        assert_true(hash != jq_hash_bytes(text, size + 1, 1));
        char copy[sizeof(text)];
        memcpy(copy, text, sizeof(text));
        copy[size] ^= 1;
        assert_true(hash == jq_hash_bytes(copy, size, 1));
        assert_true(jq_hash_bytes(text, size + 1, 1) != jq_hash_bytes(copy, size + 1, 1));
    }
    assert_true(jq_hash_combine(1, 2) != jq_hash_combine(2, 1));
    assert_true(jq_hash_combine(0, 0) != 0);
}

/* The generators are the published ones: the first numbers of xoshiro256** from the state 1, 2, 3, 4, and of SplitMix64. */
static void generator_gives_the_published_numbers(void **state) {
    (void)state;
    struct jq_rng rng = {{1, 2, 3, 4}};
    assert_true(jq_rng_next(&rng) == 11520);
    assert_true(jq_rng_next(&rng) == 0);
    assert_true(jq_rng_next(&rng) == 1509978240);
    assert_true(jq_rng_next(&rng) == UINT64_C(1215971899390074240));
    jq_rng_init(&rng, 1234567);
    assert_true(rng.state[0] == UINT64_C(6457827717110365317));
    assert_true(rng.state[1] == UINT64_C(3203168211198807973));
}

/* Numbers below a bound stay below it, reach all of it, and about equally often; a chance comes true as often as it says. */
static void numbers_below_a_bound_are_even(void **state) {
    (void)state;
    struct jq_rng rng;
    jq_rng_init(&rng, 5);
    unsigned hits[7] = {0}, trues = 0;
    for (int i = 0; i < 70000; i++) {
        hits[jq_rng_below(&rng, 7)]++;
        trues += jq_rng_chance(&rng, 1, 10) ? 1 : 0;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(hits[i], 9600, 10400);
    assert_in_range(trues, 6700, 7300);
    assert_int_equal(jq_rng_below(&rng, 1), 0);
    /* A bound of 3/4 of the range: a plain remainder would give the lower third twice as often. */
    unsigned low = 0;
    for (int i = 0; i < 30000; i++)
        low += jq_rng_below(&rng, UINT64_C(3) << 62) < (UINT64_C(1) << 62) ? 1 : 0;
    assert_in_range(low, 9600, 10400);
}

/* The kernel's numbers differ from call to call, and fill exactly what was asked for. */
static void entropy_fills_what_was_asked_for(void **state) {
    (void)state;
    uint8_t first[40] = {0}, second[40] = {0};
    assert_int_equal(jq_random_bytes(first, 32, NULL), JQ_OK);
    assert_int_equal(jq_random_bytes(second, 32, NULL), JQ_OK);
    assert_memory_not_equal(first, second, 32);
    for (size_t i = 32; i < sizeof(first); i++)
        assert_int_equal(first[i], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_gives_the_published_value), cmocka_unit_test(hashes_never_change),
        cmocka_unit_test(hashes_depend_on_everything),       cmocka_unit_test(generator_gives_the_published_numbers),
        cmocka_unit_test(numbers_below_a_bound_are_even),    cmocka_unit_test(entropy_fills_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
