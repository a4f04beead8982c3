/* Output of tasks in the broker's memory: the last of each, bounded in all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/shell/output_store.h"

static const jq_task_id task = {7};
static const jq_lease_token first = {1}, second = {2};

static void put(struct jq_output_store *store, jq_lease_token token, uint64_t at, const char *text) {
    jq_output_store_put(store, task, token, JQ_OUTPUT_STDOUT, at,
                        (struct jq_bytes){(const uint8_t *)text, strlen(text)});
}

static void expect(struct jq_output_store *store, uint64_t from, uint64_t at, const char *text, uint64_t end) {
    struct jq_bytes bytes;
    uint64_t found_end = 0;
    assert_true(jq_output_store_get(store, task, JQ_OUTPUT_STDOUT, 1000, &from, &bytes, &found_end));
    assert_int_equal(from, at);
    assert_int_equal(bytes.size, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.size);
    assert_int_equal(found_end, end);
}

/* Pieces become one stream: what is told twice is there once, what was lost on the way is a gap, another attempt begins anew. */
static void pieces_become_one_stream(void **state) {
    (void)state;
    struct jq_output_store *store = jq_output_store_new(1 << 20);
    struct jq_bytes bytes;
    uint64_t at = 0, end = 0;
    assert_false(jq_output_store_get(store, task, JQ_OUTPUT_STDOUT, 1000, &at, &bytes, &end));
    put(store, first, 0, "one ");
    put(store, first, 4, "two ");
    expect(store, 0, 0, "one two ", 8);
    expect(store, 4, 4, "two ", 8);
    put(store, first, 0, "one two three "); /* sent again, with more */
    put(store, first, 4, "two ");           /* late */
    expect(store, 0, 0, "one two three ", 14);
    put(store, first, 100, "after a gap");
    expect(store, 8, 100, "after a gap", 111);
    assert_int_equal(jq_output_store_token(store, task).value, first.value);
    put(store, second, 0, "again");
    expect(store, 0, 0, "again", 5);
    expect(store, 111, 0, "again", 5); /* a reader who was further, in the attempt before */
    assert_int_equal(jq_output_store_token(store, task).value, second.value);
    jq_output_store_free(store);
}

/* Of each stream 64 KiB are kept, whatever comes. */
static void the_last_of_a_stream_is_kept(void **state) {
    (void)state;
    static uint8_t block[24 * 1024];
    struct jq_output_store *store = jq_output_store_new(1 << 20);
    struct jq_bytes bytes;
    uint64_t at = 0, end = 0;
    for (size_t i = 0; i < 10; i++) {
        memset(block, (int)i, sizeof(block));
        jq_output_store_put(store, task, first, JQ_OUTPUT_STDERR, i * sizeof(block),
                            (struct jq_bytes){block, sizeof(block)});
    }
    assert_true(jq_output_store_get(store, task, JQ_OUTPUT_STDERR, SIZE_MAX, &at, &bytes, &end));
    assert_int_equal(end, 10 * sizeof(block));
    assert_int_equal(bytes.size, JQ_OUTPUT_KEPT_MAX);
    assert_int_equal(at, end - JQ_OUTPUT_KEPT_MAX);
    assert_int_equal(bytes.data[bytes.size - 1], 9);
    assert_int_equal(bytes.data[0], 7);
    assert_true(jq_output_store_bytes(store) < 200 * 1024);
    jq_output_store_free(store);
}

/* All together stay below the bound: the task that was told of longest ago goes first. */
static void memory_is_bounded(void **state) {
    (void)state;
    static uint8_t block[10000];
    enum { BYTES_MAX = 200000 };
    struct jq_output_store *store = jq_output_store_new(BYTES_MAX);
    struct jq_bytes bytes;
    uint64_t at = 0, end = 0;
    for (uint64_t i = 1; i <= 1000; i++) {
        jq_output_store_put(store, (jq_task_id){i}, first, JQ_OUTPUT_STDOUT, 0,
                            (struct jq_bytes){block, sizeof(block)});
        jq_output_store_put(store, (jq_task_id){1}, first, JQ_OUTPUT_STDERR, i, (struct jq_bytes){block, 1});
        assert_true(jq_output_store_bytes(store) <= BYTES_MAX);
    }
    assert_true(jq_output_store_get(store, (jq_task_id){1000}, JQ_OUTPUT_STDOUT, 1, &at, &bytes, &end));
    assert_true(jq_output_store_get(store, (jq_task_id){1}, JQ_OUTPUT_STDERR, 1, &at, &bytes, &end));
    assert_false(jq_output_store_get(store, (jq_task_id){2}, JQ_OUTPUT_STDOUT, 1, &at, &bytes, &end));
    jq_output_store_free(store);

    store = jq_output_store_new(0);
    jq_output_store_put(store, task, first, JQ_OUTPUT_STDOUT, 0, (struct jq_bytes){block, 10});
    assert_int_equal(jq_output_store_bytes(store), 0);
    jq_output_store_free(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_become_one_stream),
        cmocka_unit_test(the_last_of_a_stream_is_kept),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
