#include "worker/agent/tie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A broker that cannot be reached is told of once it is no short restart, once, and told of again when it is back. */
static void a_broker_that_is_away_is_told_of_once(void **state) {
    (void)state;
    struct jq_tie tie = {0};
    assert_int_equal(jq_tie_look(&tie, 1000, false, false, false), JQ_TIE_NOTHING);
    assert_int_equal(jq_tie_look(&tie, 1000 + JQ_TIE_APART_MS - 1, false, false, false), JQ_TIE_NOTHING);
    assert_int_equal(jq_tie_look(&tie, 1000 + JQ_TIE_APART_MS, false, false, false), JQ_TIE_APART);
    assert_int_equal(jq_tie_look(&tie, 1000000, false, false, false), JQ_TIE_NOTHING);
    assert_int_equal(jq_tie_look(&tie, 1000001, true, false, false), JQ_TIE_TOGETHER);
    assert_int_equal(jq_tie_look(&tie, 1000002, true, true, true), JQ_TIE_NOTHING);
    assert_int_equal(jq_tie_look(&tie, 2000000, false, true, true), JQ_TIE_NOTHING);
    assert_int_equal(jq_tie_look(&tie, 2000000 + JQ_TIE_APART_MS, false, true, true), JQ_TIE_APART);
}

/* A short restart of the broker is nothing to be told of. */
static void a_short_absence_is_not_told_of(void **state) {
    (void)state;
    struct jq_tie tie = {0};
    for (int64_t at_ms = 1000; at_ms < 100000; at_ms += JQ_TIE_APART_MS) {
        assert_int_equal(jq_tie_look(&tie, at_ms, false, true, true), JQ_TIE_NOTHING);
        assert_int_equal(jq_tie_look(&tie, at_ms + JQ_TIE_APART_MS - 1, true, true, true), JQ_TIE_NOTHING);
    }
}

/* A worker that registers and hears no survey is told of once, however often it registers again; one that is surveyed never. */
static void a_worker_that_is_not_surveyed_is_told_of_once(void **state) {
    (void)state;
    struct jq_tie tie = {0};
    assert_int_equal(jq_tie_look(&tie, 1000, true, true, false), JQ_TIE_NOTHING);
    assert_int_equal(jq_tie_look(&tie, 1000 + JQ_TIE_SILENT_MS, true, true, false), JQ_TIE_SILENT);
    assert_int_equal(jq_tie_look(&tie, 2 * JQ_TIE_SILENT_MS, true, false, false), JQ_TIE_NOTHING);
    assert_int_equal(jq_tie_look(&tie, 3 * JQ_TIE_SILENT_MS, true, true, false), JQ_TIE_NOTHING);
    assert_int_equal(jq_tie_look(&tie, 9 * JQ_TIE_SILENT_MS, true, true, false), JQ_TIE_NOTHING);
    assert_int_equal(jq_tie_look(&tie, 9 * JQ_TIE_SILENT_MS + 1, true, true, true), JQ_TIE_NOTHING);
    assert_int_equal(jq_tie_look(&tie, 99 * JQ_TIE_SILENT_MS, true, true, true), JQ_TIE_NOTHING);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_that_is_away_is_told_of_once),
        cmocka_unit_test(a_short_absence_is_not_told_of),
        cmocka_unit_test(a_worker_that_is_not_surveyed_is_told_of_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
