#include "common/hasher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>

enum { PIECES = 50, PIECE_SIZE = 1000 };

static uint8_t data[PIECES * PIECE_SIZE];
static atomic_uint released;

/* In the order in which they were given. */
static void release(void *ctx) {
    assert_int_equal(atomic_fetch_add(&released, 1), (unsigned)(uintptr_t)ctx);
}

/* The sum of what was there before and of all pieces, in their order, and every piece is given back once. */
static void the_sum_is_that_of_the_whole(void **state) {
    (void)state;
    struct jq_hasher *hasher = NULL;
    struct jq_sha256 whole, sum;
    uint8_t expected[JQ_BLOB_HASH_SIZE], got[JQ_BLOB_HASH_SIZE];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 13 + i / 251);
    }
    jq_sha256_init(&whole);
    jq_sha256_init(&sum);
    jq_sha256_add(&whole, "begun", 5);
    jq_sha256_add(&sum, "begun", 5);
    jq_sha256_add(&whole, data, sizeof(data));
    assert_int_equal(jq_hasher_new(&sum, &hasher, NULL), JQ_OK);
    for (size_t i = 0; i < PIECES; i++) {
        jq_hasher_add(hasher, (struct jq_bytes){data + i * PIECE_SIZE, PIECE_SIZE}, release, (void *)(uintptr_t)i);
    }
    jq_hasher_end(hasher, &sum);
    assert_int_equal(atomic_load(&released), PIECES);
    jq_sha256_end(&whole, expected);
    jq_sha256_end(&sum, got);
    assert_memory_equal(got, expected, sizeof(got));
    jq_hasher_end(NULL, NULL);
}

/* Who has waited may do with all that he gave what he likes: it has been added up. Without anything given there is no wait. */
static void who_has_waited_has_it_back(void **state) {
    (void)state;
    struct jq_hasher *hasher = NULL;
    struct jq_sha256 whole, sum;
    uint8_t expected[JQ_BLOB_HASH_SIZE], got[JQ_BLOB_HASH_SIZE], piece[PIECE_SIZE];
    jq_sha256_init(&whole);
    jq_sha256_init(&sum);
    assert_int_equal(jq_hasher_new(&sum, &hasher, NULL), JQ_OK);
    atomic_store(&released, 0);
    jq_hasher_wait(hasher);
    for (size_t i = 0; i < PIECES; i++) {
        memset(piece, (int)i, sizeof(piece));
        jq_sha256_add(&whole, piece, sizeof(piece));
        jq_hasher_add(hasher, (struct jq_bytes){piece, sizeof(piece)}, release, (void *)(uintptr_t)i);
        jq_hasher_wait(hasher);
        assert_int_equal(atomic_load(&released), i + 1);
    }
    jq_hasher_end(hasher, &sum);
    jq_sha256_end(&whole, expected);
    jq_sha256_end(&sum, got);
    assert_memory_equal(got, expected, sizeof(got));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_sum_is_that_of_the_whole),
                                       cmocka_unit_test(who_has_waited_has_it_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
