#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Core time starts at the wall clock, or at the last block where the wall clock is behind it, and then follows the boot clock. */
static void core_time_starts_at_the_later_and_follows_boot_time(void **state) {
    (void)state;
    struct jq_core_clock clock;
    jq_core_clock_init(&clock, 500, 1000, 70);
    assert_int_equal(jq_core_clock_at_ms(&clock, 70), 1000);
    assert_int_equal(jq_core_clock_at_ms(&clock, 95), 1025);

    jq_core_clock_init(&clock, 5000, 1000, 70);
    assert_int_equal(jq_core_clock_at_ms(&clock, 70), 5000);
    assert_int_equal(jq_core_clock_at_ms(&clock, 71), 5001);
}

/* Against the clocks of this machine: core time never goes back, and the offset leads from it to the wall clock. */
static void core_time_of_this_machine(void **state) {
    (void)state;
    struct jq_core_clock clock;
    const int64_t ahead_ms = 3600000;
    const int64_t wall_ms = jq_clock_wall_ms();
    jq_core_clock_init(&clock, wall_ms + ahead_ms, wall_ms, jq_clock_boot_ms());
    const int64_t first = jq_core_clock_now_ms(&clock);
    const int64_t second = jq_core_clock_now_ms(&clock);
    assert_true(first >= wall_ms + ahead_ms);
    assert_true(second >= first);
    assert_true(llabs(jq_core_clock_wall_offset_ms(&clock) + ahead_ms) < 60000);
}

/* The clock for measuring never goes back. */
static void monotonic_clock_never_goes_back(void **state) {
    (void)state;
    int64_t last = jq_clock_mono_ns();
    for (int i = 0; i < 1000; i++) {
        const int64_t now = jq_clock_mono_ns();
        assert_true(now >= last);
        last = now;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(core_time_starts_at_the_later_and_follows_boot_time),
        cmocka_unit_test(core_time_of_this_machine),
        cmocka_unit_test(monotonic_clock_never_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
