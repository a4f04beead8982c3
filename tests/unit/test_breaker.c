/* The circuit breaker by itself: counts in, changes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/core/breaker.h"

static const struct jq_breaker_config config = {.enabled = true,
                                                .window_ms = 60000,
                                                .min_calls = 10,
                                                .failure_percent = 50,
                                                .cool_down_ms = 30000,
                                                .cool_down_max_ms = 600000,
                                                .probes = 3};

static bool call(struct breaker *breaker, int64_t now_ms, enum breaker_call how, struct breaker_change *change) {
    return breaker_call_ended(breaker, &config, now_ms, how, breaker->state == JQ_BREAKER_HALF_OPEN, change);
}

/* As the table of breakers does when a change was journalled. */
static void become(struct breaker *breaker, const struct breaker_change *change) {
    *breaker = (struct breaker){
        .state = (uint8_t)change->state, .until_ms = change->until_ms, .cool_down_ms = change->cool_down_ms};
}

/* Nine failures prove nothing; the tenth call that ends, failed like half of them, opens it for cool_down. */
static void tenth_call_opens_it_if_half_failed(void **state) {
    struct breaker breaker = {.state = JQ_BREAKER_CLOSED};
    struct breaker_change change;
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_false(call(&breaker, 1000, BREAKER_CALL_GOOD, &change));
    }
    for (int i = 0; i < 4; i++) {
        assert_false(call(&breaker, 2000, BREAKER_CALL_BAD, &change));
    }
    assert_true(call(&breaker, 3000, BREAKER_CALL_BAD, &change));
    assert_int_equal(change.state, JQ_BREAKER_OPEN);
    assert_int_equal(change.until_ms, 33000);
    assert_int_equal(change.cool_down_ms, 30000);
    assert_false(change.by_operator);
}

/* One failure less than half, however many calls: it stays closed. */
static void fewer_than_half_do_not_open_it(void **state) {
    struct breaker breaker = {.state = JQ_BREAKER_CLOSED};
    struct breaker_change change;
    (void)state;
    assert_false(call(&breaker, 0, BREAKER_CALL_GOOD, &change));
    for (int i = 0; i < 1000; i++) {
        assert_false(call(&breaker, i, BREAKER_CALL_GOOD, &change));
        assert_false(call(&breaker, i, BREAKER_CALL_BAD, &change));
    }
}

/* Calls that say nothing are not counted at all. */
static void neutral_calls_are_not_counted(void **state) {
    struct breaker breaker = {.state = JQ_BREAKER_CLOSED};
    struct breaker_change change;
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_false(call(&breaker, 0, BREAKER_CALL_NEUTRAL, &change));
    }
    assert_int_equal(breaker.window.calls_sum, 0);
}

/* What is older than the window is forgotten, what is not is counted, whenever one looks. */
static void window_holds_a_minute(void **state) {
    struct breaker breaker = {.state = JQ_BREAKER_CLOSED};
    struct breaker_change change;
    (void)state;
    for (int i = 0; i < 9; i++) {
        assert_false(call(&breaker, 5000 * i, BREAKER_CALL_BAD, &change));
    }
    breaker_window_move(&breaker.window, &config, 59999);
    assert_int_equal(breaker.window.calls_sum, 9);
    breaker_window_move(&breaker.window, &config, 60000);
    assert_int_equal(breaker.window.calls_sum, 8);
    assert_int_equal(breaker.window.bad_sum, 8);
    assert_false(call(&breaker, 64999, BREAKER_CALL_BAD, &change)); /* the ninth */
    breaker_window_move(&breaker.window, &config, INT64_C(1) << 50);
    assert_int_equal(breaker.window.calls_sum, 0);
    assert_int_equal(breaker.window.bad_sum, 0);
    for (int i = 0; i < BREAKER_SLICE_COUNT; i++) {
        assert_int_equal(breaker.window.calls[i], 0);
    }
}

/* An open one lets nothing through until its time, and takes no notice of calls that began before. */
static void open_one_waits_for_its_time(void **state) {
    struct breaker breaker = {.state = JQ_BREAKER_OPEN, .until_ms = 30000, .cool_down_ms = 30000};
    struct breaker_change change;
    (void)state;
    assert_false(breaker_lets_through(&breaker, &config));
    assert_false(call(&breaker, 1, BREAKER_CALL_BAD, &change));
    assert_false(call(&breaker, 1, BREAKER_CALL_GOOD, &change));
    assert_false(breaker_is_due(&breaker, 29999));
    assert_true(breaker_is_due(&breaker, 30000));
    breaker.until_ms = 0; /* tripped: until it is reset */
    assert_false(breaker_is_due(&breaker, INT64_MAX));
}

/* Half-open: three are let through, and no fourth; when all three have succeeded it is closed. */
static void three_good_probes_close_it(void **state) {
    struct breaker breaker = {.state = JQ_BREAKER_HALF_OPEN, .cool_down_ms = 60000};
    struct breaker_change change;
    (void)state;
    for (breaker.probes = 0; breaker.probes < 3; breaker.probes++) {
        assert_true(breaker_lets_through(&breaker, &config));
    }
    assert_false(breaker_lets_through(&breaker, &config));
    assert_false(call(&breaker, 1, BREAKER_CALL_GOOD, &change));
    assert_false(call(&breaker, 2, BREAKER_CALL_GOOD, &change));
    assert_false(breaker_lets_through(&breaker, &config)); /* two of three said yes: nobody goes after them */
    assert_true(call(&breaker, 3, BREAKER_CALL_GOOD, &change));
    assert_int_equal(change.state, JQ_BREAKER_CLOSED);
}

/* A probe that says nothing makes room for another. */
static void probe_that_says_nothing_is_replaced(void **state) {
    struct breaker breaker = {.state = JQ_BREAKER_HALF_OPEN, .probes = 3};
    struct breaker_change change;
    (void)state;
    assert_false(call(&breaker, 1, BREAKER_CALL_NEUTRAL, &change));
    assert_true(breaker_lets_through(&breaker, &config));
}

/* What was let through before it opened is no probe: it neither closes nor opens anything. */
static void late_calls_are_no_probes(void **state) {
    struct breaker breaker = {.state = JQ_BREAKER_HALF_OPEN, .probes = 3};
    struct breaker_change change;
    (void)state;
    assert_false(breaker_call_ended(&breaker, &config, 1, BREAKER_CALL_BAD, false, &change));
    assert_false(breaker_call_ended(&breaker, &config, 1, BREAKER_CALL_GOOD, false, &change));
    assert_int_equal(breaker.probes_good, 0);
    assert_int_equal(breaker.probes, 3);
}

/* Each probe that fails opens it for twice as long: 30 s, 60 s, .. 480 s, and never more than 10 min. */
static void cool_down_doubles_to_ten_minutes(void **state) {
    static const int64_t expected_ms[] = {60000, 120000, 240000, 480000, 600000, 600000};
    struct breaker breaker = {.state = JQ_BREAKER_HALF_OPEN, .cool_down_ms = 30000};
    struct breaker_change change;
    (void)state;
    for (size_t i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++) {
        assert_true(call(&breaker, 1000, BREAKER_CALL_BAD, &change));
        assert_int_equal(change.state, JQ_BREAKER_OPEN);
        assert_int_equal(change.cool_down_ms, expected_ms[i]);
        assert_int_equal(change.until_ms, 1000 + expected_ms[i]);
        become(&breaker, &change);
        breaker.state = JQ_BREAKER_HALF_OPEN;
    }
}

/* Switched off, it counts and never opens by itself. */
static void disabled_one_does_not_open(void **state) {
    struct jq_breaker_config off = config;
    struct breaker breaker = {.state = JQ_BREAKER_CLOSED};
    struct breaker_change change;
    (void)state;
    off.enabled = false;
    for (int i = 0; i < 100; i++) {
        assert_false(breaker_call_ended(&breaker, &off, 0, BREAKER_CALL_BAD, false, &change));
    }
    assert_int_equal(breaker.window.bad_sum, 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tenth_call_opens_it_if_half_failed),  cmocka_unit_test(fewer_than_half_do_not_open_it),
        cmocka_unit_test(neutral_calls_are_not_counted),       cmocka_unit_test(window_holds_a_minute),
        cmocka_unit_test(open_one_waits_for_its_time),         cmocka_unit_test(three_good_probes_close_it),
        cmocka_unit_test(probe_that_says_nothing_is_replaced), cmocka_unit_test(late_calls_are_no_probes),
        cmocka_unit_test(cool_down_doubles_to_ten_minutes),    cmocka_unit_test(disabled_one_does_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
