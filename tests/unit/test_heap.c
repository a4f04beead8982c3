#include "common/heap.h"

#include "common/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { REF_COUNT = 500 };

static uint32_t positions[REF_COUNT]; /* as told by the heap */
static int64_t keys[REF_COUNT];

static void note_position(void *ctx, uint32_t ref, uint32_t position) {
    assert_ptr_equal(ctx, positions);
    positions[ref] = position;
}

static void heap_with_positions(struct jq_heap *heap) {
    memset(positions, 0, sizeof(positions));
    jq_heap_init(heap, note_position, positions);
}

static void expect_positions_true(const struct jq_heap *heap) {
    uint32_t held = 0;
    for (uint32_t ref = 0; ref < REF_COUNT; ref++) {
        if (positions[ref] == 0)
            continue;
        held++;
        assert_true(positions[ref] <= heap->count);
        assert_int_equal(heap->entries[positions[ref] - 1].ref, ref);
        assert_int_equal(heap->entries[positions[ref] - 1].key, keys[ref]);
    }
    assert_int_equal(heap->count, held);
}

/* The minimum by search through everything: least key, then least ref. */
static void expect_minimum_true(const struct jq_heap *heap) {
    uint32_t least = REF_COUNT;
    for (uint32_t ref = 0; ref < REF_COUNT; ref++) {
        if (positions[ref] != 0 && (least == REF_COUNT || keys[ref] < keys[least]))
            least = ref;
    }
    const struct jq_heap_entry *min = jq_heap_min(heap);
    if (least == REF_COUNT) {
        assert_null(min);
        return;
    }
    assert_int_equal(min->ref, least);
    assert_int_equal(positions[least], 1);
}

static void change_at_random(struct jq_heap *heap, struct jq_rng *rng) {
    const uint32_t ref = (uint32_t)jq_rng_below(rng, REF_COUNT);
    const int64_t key = (int64_t)jq_rng_below(rng, 50) - 25;
    if (positions[ref] == 0) {
        keys[ref] = key;
        assert_true(jq_heap_put(heap, key, ref));
    } else if (jq_rng_chance(rng, 1, 2)) {
        keys[ref] = key;
        jq_heap_update(heap, positions[ref], key);
    } else {
        jq_heap_remove(heap, positions[ref]);
        assert_int_equal(positions[ref], 0);
    }
}

/* After any history of puts, updates and removals the owner knows where each ref lies, and the minimum is the least of all. */
static void positions_and_minimum_hold_through_any_history(void **state) {
    (void)state;
    struct jq_heap heap;
    struct jq_rng rng;
    heap_with_positions(&heap);
    jq_rng_init(&rng, 3);
    for (int i = 0; i < 20000; i++) {
        change_at_random(&heap, &rng);
        expect_minimum_true(&heap);
        if (i % 100 == 0)
            expect_positions_true(&heap);
    }
    expect_positions_true(&heap);
    jq_heap_fini(&heap);
    jq_heap_fini(&heap);
}

/* Entries leave in the order of key, then ref, in whatever order they came: two hosts with the same entries do the same. */
static void order_of_leaving_does_not_depend_on_order_of_coming(void **state) {
    (void)state;
    struct jq_heap heap;
    heap_with_positions(&heap);
    for (uint32_t i = 0; i < REF_COUNT; i++) {
        const uint32_t ref = (i * 7) % REF_COUNT;
        keys[ref] = ref / 10;
        assert_true(jq_heap_put(&heap, keys[ref], ref));
    }
    for (uint32_t ref = 0; ref < REF_COUNT; ref++) {
        assert_int_equal(jq_heap_min(&heap)->ref, ref);
        jq_heap_remove(&heap, 1);
    }
    assert_null(jq_heap_min(&heap));
    jq_heap_fini(&heap);
}

/* A heap serves without a callback, and at the ends of the range of keys. */
static void extreme_keys_sort(void **state) {
    (void)state;
    struct jq_heap heap;
    jq_heap_init(&heap, NULL, NULL);
    assert_true(jq_heap_put(&heap, INT64_MAX, 1));
    assert_true(jq_heap_put(&heap, INT64_MIN, 2));
    assert_true(jq_heap_put(&heap, 0, 3));
    assert_int_equal(jq_heap_min(&heap)->ref, 2);
    jq_heap_remove(&heap, 1);
    assert_int_equal(jq_heap_min(&heap)->ref, 3);
    jq_heap_remove(&heap, 1);
    assert_int_equal(jq_heap_min(&heap)->ref, 1);
    jq_heap_fini(&heap);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_and_minimum_hold_through_any_history),
        cmocka_unit_test(order_of_leaving_does_not_depend_on_order_of_coming),
        cmocka_unit_test(extreme_keys_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
