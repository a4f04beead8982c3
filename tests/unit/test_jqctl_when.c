#include "tools/jqctl/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A time is read as RFC 3339 writes it, wherever its zone is. */
static void times_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2024-02-29T12:00:00Z", INT64_C(1709208000000)},
        {"2024-02-29t12:00:00z", INT64_C(1709208000000)},
        {"2024-02-29 12:00:00Z", INT64_C(1709208000000)},
        {"2024-02-29T13:30:00+01:30", INT64_C(1709208000000)},
        {"2024-02-29T04:00:00-08:00", INT64_C(1709208000000)},
        {"2024-02-29T12:00:00.5Z", INT64_C(1709208000500)},
        {"2024-02-29T12:00:00.123456789Z", INT64_C(1709208000123)},
        {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = -1;
        assert_int_equal(jqctl_when_parse(jq_str_of(cases[i].text), &ms, NULL), JQ_OK);
        assert_true(ms == cases[i].ms);
    }
}

/* What is no time of the calendar, or leaves its zone open, is refused, and the text quoted. */
static void what_is_no_time_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "tomorrow",
        "2024-02-29",
        "2024-02-29T12:00:00",
        "2023-02-29T12:00:00Z",
        "2024-04-31T12:00:00Z",
        "2024-13-01T12:00:00Z",
        "2024-00-01T12:00:00Z",
        "2024-01-00T12:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T12:60:00Z",
        "2024-01-01T12:00:60Z",
        "2024-01-01T12:00:00.Z",
        "2024-01-01T12:00:00+0100",
        "2024-01-01T12:00:00Z ",
        " 2024-01-01T12:00:00Z",
        "+024-01-01T12:00:00Z",
        "1969-12-31T23:59:59Z",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        int64_t ms = -1;
        struct jq_error error;
        assert_int_equal(jqctl_when_parse(jq_str_of(texts[i]), &ms, &error), JQ_ERR_INVALID);
        assert_true(ms == -1);
        assert_non_null(strstr(error.message, "is no time such as"));
    }
}

/* Where a moment is wanted, a span from now will do: ahead, or back. */
static void spans_count_from_now(void **state) {
    (void)state;
    int64_t ms = 0;
    struct jq_error error;
    assert_int_equal(jqctl_when_parse_near(JQ_STR("1h30m"), 10000000, 1, &ms, NULL), JQ_OK);
    assert_true(ms == 15400000);
    assert_int_equal(jqctl_when_parse_near(JQ_STR("5s"), 10000000, -1, &ms, NULL), JQ_OK);
    assert_true(ms == 9995000);
    assert_int_equal(jqctl_when_parse_near(JQ_STR("2024-02-29T12:00:00Z"), 10000000, 1, &ms, NULL), JQ_OK);
    assert_true(ms == INT64_C(1709208000000));
    assert_int_equal(jqctl_when_parse_near(JQ_STR("soon"), 0, 1, &ms, &error), JQ_ERR_INVALID);
    assert_non_null(strstr(error.message, "a span such as 30m would do too"));
}

/* Times are written in the zone of the machine, so that what is written can be read again. */
static void times_are_written_in_the_local_zone(void **state) {
    (void)state;
    struct jq_buf text;
    int64_t ms = 0;
    assert_int_equal(setenv("TZ", "JQT-05:30", 1), 0);
    tzset();
    jq_buf_init(&text, 256);
    jqctl_when_append(&text, INT64_C(1709208000000));
    assert_true(jq_str_equal(jq_buf_str(&text), JQ_STR("2024-02-29T17:30:00+05:30")));
    assert_int_equal(jqctl_when_parse(jq_buf_str(&text), &ms, NULL), JQ_OK);
    assert_true(ms == INT64_C(1709208000000));
    jq_buf_fini(&text);
}

/* Spans are rounded down to what people say. */
static void spans_are_short(void **state) {
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "0s"},       {5, "5ms"},         {999, "999ms"},     {1000, "1s"},
        {1234, "1.2s"},  {12345, "12s"},     {60000, "1m"},      {61999, "1m1s"},
        {3600000, "1h"}, {5432100, "1h30m"}, {90061001, "1d1h"}, {INT64_C(8640000000), "100d"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char place[JQCTL_SPAN_TEXT_SIZE];
        assert_string_equal(jqctl_span_format(cases[i].ms, place), cases[i].text);
    }
}

/* An age is told from now, either way. */
static void ages_go_either_way(void **state) {
    (void)state;
    static const struct {
        int64_t wall_ms;
        const char *text;
    } cases[] = {{1000000, "now"}, {1000999, "now"}, {940000, "1m ago"}, {4600000, "in 1h"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct jq_buf text;
        jq_buf_init(&text, 64);
        jqctl_when_append_age(&text, cases[i].wall_ms, 1000000);
        assert_true(jq_str_equal(jq_buf_str(&text), jq_str_of(cases[i].text)));
        jq_buf_fini(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read),       cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(spans_count_from_now), cmocka_unit_test(times_are_written_in_the_local_zone),
        cmocka_unit_test(spans_are_short),      cmocka_unit_test(ages_go_either_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
