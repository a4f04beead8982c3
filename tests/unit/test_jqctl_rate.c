#include "tools/jqctl/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A rate is a whole number in a second, a minute, an hour or a day; what it gives is the time between two. */
static void rates_are_read(void **state) {
    static const struct {
        const char *text;
        int64_t interval_us;
    } cases[] = {{"10/s", 100000},     {"1/s", 1000000}, {"60/m", 1000000}, {"100/h", 36000000},
                 {"1/d", 86400000000}, {"1000000/s", 1}, {"3/s", 333333}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t interval_us = 0;
        assert_int_equal(jqctl_rate_parse(jq_str_of(cases[i].text), &interval_us, NULL), JQ_OK);
        assert_int_equal(interval_us, cases[i].interval_us);
    }
}

/* What is none is refused with its reason: a rate of zero never ends, more than a million a second is none. */
static void what_is_no_rate_is_refused(void **state) {
    static const struct {
        const char *text, *message;
    } cases[] = {{"0/s", "\"0/s\" would never end"},
                 {"1000001/s", "\"1000001/s\" is more than a million a second"},
                 {"10", "\"10\" is no rate: NUMBER/UNIT, such as 10/s or 100/h"},
                 {"", "\"\" is no rate: NUMBER/UNIT, such as 10/s or 100/h"},
                 {"/s", "\"/s\" is no rate: NUMBER/UNIT, such as 10/s or 100/h"},
                 {"10/", "\"10/\" is no rate: NUMBER/UNIT, such as 10/s or 100/h"},
                 {"10/x", "\"10/x\" is no rate: NUMBER/UNIT, such as 10/s or 100/h"},
                 {"-1/s", "\"-1/s\" is no rate: NUMBER/UNIT, such as 10/s or 100/h"},
                 {"1.5/s", "\"1.5/s\" is no rate: NUMBER/UNIT, such as 10/s or 100/h"},
                 {"10/sec", "\"10/sec\" is no rate: NUMBER/UNIT, such as 10/s or 100/h"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t interval_us = 7;
        struct jq_error error;
        assert_int_equal(jqctl_rate_parse(jq_str_of(cases[i].text), &interval_us, &error), JQ_ERR_INVALID);
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(interval_us, 7);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_read),
        cmocka_unit_test(what_is_no_rate_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
