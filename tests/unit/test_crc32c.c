#include "common/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SIZE_MAX_TESTED = 20000, ALIGNMENTS = 9 };

static uint8_t bytes[SIZE_MAX_TESTED + ALIGNMENTS];

static int fill_bytes(void **state) {
    (void)state;
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        x = x * 1664525U + 1013904223U;
        bytes[i] = (uint8_t)(x >> 24);
    }
    return 0;
}

/* The crc is the one of the standards: the check value of the catalogues, and the examples of RFC 3720 B.4. */
static void known_values(void **state) {
    (void)state;
    uint8_t block[32];
    assert_int_equal(jq_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(jq_crc32c(0, "", 0), 0);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = 0;
    assert_int_equal(jq_crc32c(0, block, sizeof(block)), 0x8a9136aa);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = 0xff;
    assert_int_equal(jq_crc32c(0, block, sizeof(block)), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (uint8_t)i;
    assert_int_equal(jq_crc32c(0, block, sizeof(block)), 0x46dd794e);
}

/* A journal written on one machine is valid on every other: instruction and tables agree at every length and alignment. */
static void hardware_agrees_with_tables(void **state) {
    (void)state;
    for (size_t size = 0; size < SIZE_MAX_TESTED; size += size < 2000 ? 1 : 611) {
        for (size_t offset = 0; offset < ALIGNMENTS; offset += size < 300 ? 1 : 4)
            assert_int_equal(jq_crc32c(7, bytes + offset, size), jq_crc32c_portable(7, bytes + offset, size));
    }
}

/* A crc may be taken piece by piece: wherever a text is cut, the chain gives the crc of the whole. */
static void a_chain_equals_the_whole(void **state) {
    (void)state;
    const uint32_t whole = jq_crc32c(0, bytes, SIZE_MAX_TESTED);
    for (size_t cut = 0; cut <= SIZE_MAX_TESTED; cut += 97)
        assert_int_equal(jq_crc32c(jq_crc32c(0, bytes, cut), bytes + cut, SIZE_MAX_TESTED - cut), whole);
}

/* Any one flipped bit is seen. */
static void one_flipped_bit_changes_the_crc(void **state) {
    (void)state;
    const uint32_t before = jq_crc32c(0, bytes, 900);
    for (size_t bit = 0; bit < 900 * 8; bit += 13) {
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_not_equal(jq_crc32c(0, bytes, 900), before);
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(hardware_agrees_with_tables),
        cmocka_unit_test(a_chain_equals_the_whole),
        cmocka_unit_test(one_flipped_bit_changes_the_crc),
    };
    return cmocka_run_group_tests(tests, fill_bytes, NULL);
}
