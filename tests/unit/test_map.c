#include "common/map.h"

#include "common/rng.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define NONE UINT32_MAX
enum { KEY_COUNT = 20000 };

/* A model that cannot be wrong: value + 1 of each key of a small range, 0 for absent. */
static uint64_t model[KEY_COUNT];

static void expect_same_as_model(const struct jq_map *map, size_t count) {
    assert_int_equal(jq_map_count(map), count);
    for (uint64_t key = 0; key < KEY_COUNT; key++) {
        const uint32_t expected = model[key] ? (uint32_t)(model[key] - 1) : NONE;
        assert_int_equal(jq_map_get(map, key, NONE), expected);
    }
}

static size_t change_at_random(struct jq_map *map, struct jq_rng *rng, size_t count, bool mostly_put) {
    const uint64_t key = jq_rng_below(rng, KEY_COUNT);
    if (jq_rng_chance(rng, mostly_put ? 3 : 1, 4)) {
        const uint32_t value = (uint32_t)jq_rng_below(rng, 1000);
        assert_true(jq_map_put(map, key, value));
        count += model[key] ? 0 : 1;
        model[key] = value + UINT64_C(1);
        return count;
    }
    assert_int_equal(jq_map_remove(map, key), model[key] != 0);
    count -= model[key] ? 1 : 0;
    model[key] = 0;
    return count;
}

/* Whatever is put and removed, in whatever order, while parts grow, are cut and shrink: the map holds what a plain array would. */
static void map_agrees_with_a_plain_array(void **state) {
    (void)state;
    struct jq_map map;
    struct jq_rng rng;
    jq_map_init(&map);
    jq_rng_init(&rng, 1);
    memset(model, 0, sizeof(model));
    size_t count = 0;
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < 30000; i++)
            count = change_at_random(&map, &rng, count, round % 4 < 2);
        expect_same_as_model(&map, count);
    }
    jq_map_fini(&map);
    jq_map_fini(&map);
}

/* An iteration gives each key once, key 0 included, and no key that was removed. */
static void iteration_gives_each_key_once(void **state) {
    (void)state;
    struct jq_map map;
    jq_map_init(&map);
    uint64_t cursor = 0, key = 0;
    uint32_t value = 0;
    assert_false(jq_map_next(&map, &cursor, &key, &value));
    memset(model, 0, sizeof(model));
    for (uint64_t i = 0; i < KEY_COUNT; i++)
        assert_true(jq_map_put(&map, i, (uint32_t)i + 1));
    for (uint64_t i = 0; i < KEY_COUNT; i += 2)
        assert_true(jq_map_remove(&map, i == 0 ? 1 : i));
    size_t seen = 0;
    for (cursor = 0; jq_map_next(&map, &cursor, &key, &value); seen++) {
        assert_true(key < KEY_COUNT && model[key]++ == 0);
        assert_int_equal(value, key + 1);
    }
    assert_int_equal(seen, KEY_COUNT / 2);
    assert_int_equal(model[0], 1);
    assert_false(jq_map_next(&map, &cursor, &key, &value));
    jq_map_fini(&map);
}

/* Memory follows the number of keys, up and down: at most 24 bytes a key while growing, little when empty again. */
static void memory_follows_the_count(void **state) {
    (void)state;
    struct jq_map map;
    jq_map_init(&map);
    for (uint64_t key = 1; key <= 300000; key++) {
        assert_true(jq_map_put(&map, key << 20, 7));
        if (key % 50000 == 0)
            assert_true(jq_map_memory_bytes(&map) < key * 24 + 20000);
    }
    for (uint64_t key = 1; key <= 300000; key++)
        assert_true(jq_map_remove(&map, key << 20));
    assert_int_equal(jq_map_count(&map), 0);
    assert_true(jq_map_memory_bytes(&map) < 150000);
    jq_map_fini(&map);
}

static struct jq_str key_text(char *place, size_t size, uint64_t key) {
    const int length = snprintf(place, size, "order-%llu", (unsigned long long)key);
    return (struct jq_str){place, (size_t)length};
}

static void run_texts_against_model(struct jq_strmap *map, uint64_t key_count, int steps) {
    struct jq_rng rng;
    char place[64];
    jq_rng_init(&rng, 2);
    memset(model, 0, sizeof(model));
    for (int i = 0; i < steps; i++) {
        const uint64_t key = jq_rng_below(&rng, key_count);
        const struct jq_str text = key_text(place, sizeof(place), key);
        const uint32_t expected = model[key] ? (uint32_t)model[key] : NONE;
        assert_int_equal(jq_strmap_get(map, text, NONE), expected);
        if (jq_rng_chance(&rng, 1, 2)) {
            assert_true(jq_strmap_put(map, text, (uint32_t)i + 1));
            model[key] = (uint64_t)i + 1;
        } else {
            assert_int_equal(jq_strmap_remove(map, text), model[key] != 0);
            model[key] = 0;
        }
    }
}

static void expect_texts_same_as_model(const struct jq_strmap *map, uint64_t key_count) {
    size_t held = 0, seen = 0;
    for (uint64_t key = 0; key < key_count; key++)
        held += model[key] ? 1 : 0;
    struct jq_str text;
    uint32_t value, cursor = 0;
    while (jq_strmap_next(map, &cursor, &text, &value)) {
        char number[64] = {0};
        assert_true(text.size > 6 && text.size < sizeof(number) && memcmp(text.data, "order-", 6) == 0);
        memcpy(number, text.data + 6, text.size - 6);
        assert_int_equal(model[strtoull(number, NULL, 10)], value);
        seen++;
    }
    assert_int_equal(seen, held);
    assert_int_equal(jq_strmap_count(map), held);
}

/* The map of texts holds what a plain array would, and its keys are its own copies. */
static void texts_agree_with_a_plain_array(void **state) {
    (void)state;
    struct jq_strmap map;
    jq_strmap_init(&map, 99);
    run_texts_against_model(&map, KEY_COUNT, 60000);
    expect_texts_same_as_model(&map, KEY_COUNT);
    jq_strmap_fini(&map);
    jq_strmap_fini(&map);
}

/* Two different texts with the same hash are two keys all the same. */
static void texts_with_one_hash_stay_apart(void **state) {
    (void)state;
    struct jq_strmap map;
    jq_strmap_init(&map, 99);
    map.hash_mask = 3;
    run_texts_against_model(&map, 100, 5000);
    expect_texts_same_as_model(&map, 100);
    jq_strmap_fini(&map);
}

/* A text may hold NUL bytes or be empty: texts are compared by their bytes and length. */
static void texts_are_bytes(void **state) {
    (void)state;
    struct jq_strmap map;
    jq_strmap_init(&map, 0);
    assert_true(jq_strmap_put(&map, (struct jq_str){"a\0b", 3}, 1));
    assert_true(jq_strmap_put(&map, (struct jq_str){"a\0c", 3}, 2));
    assert_true(jq_strmap_put(&map, (struct jq_str){NULL, 0}, 3));
    assert_int_equal(jq_strmap_get(&map, (struct jq_str){"a\0b", 3}, NONE), 1);
    assert_int_equal(jq_strmap_get(&map, (struct jq_str){"a\0c", 3}, NONE), 2);
    assert_int_equal(jq_strmap_get(&map, JQ_STR("a"), NONE), NONE);
    assert_int_equal(jq_strmap_get(&map, JQ_STR(""), NONE), 3);
    jq_strmap_fini(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_agrees_with_a_plain_array),  cmocka_unit_test(iteration_gives_each_key_once),
        cmocka_unit_test(memory_follows_the_count),       cmocka_unit_test(texts_agree_with_a_plain_array),
        cmocka_unit_test(texts_with_one_hash_stay_apart), cmocka_unit_test(texts_are_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
