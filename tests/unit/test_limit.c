/* How limits are written: scopes and rates, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/limit.h"

/* A scope names a queue, a handler, a group of a queue, or each group of it. */
static void scopes_are_read(void **state) {
    static const struct {
        const char *text;
        enum jq_scope_kind kind;
        const char *name, *group;
    } cases[] = {
        {"queue:cad.step", JQ_SCOPE_QUEUE, "cad.step", ""},  {"handler:zstd", JQ_SCOPE_HANDLER, "zstd", ""},
        {"group:mail/acme", JQ_SCOPE_GROUP, "mail", "acme"}, {"group:mail/A b/c", JQ_SCOPE_GROUP, "mail", "A b/c"},
        {"group:mail/*", JQ_SCOPE_EACH_GROUP, "mail", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jq_scope scope;
        assert_int_equal(jq_scope_parse(jq_str_of(cases[i].text), &scope, NULL), JQ_OK);
        assert_int_equal(scope.kind, cases[i].kind);
        assert_true(jq_str_equal(scope.name, jq_str_of(cases[i].name)));
        assert_true(jq_str_equal(scope.group, jq_str_of(cases[i].group)));
    }
}

/* What is no scope is refused with the forms there are, or with what is wrong in it. */
static void bad_scopes_are_refused(void **state) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "\"\" is none of queue:NAME, handler:NAME, group:QUEUE/NAME, group:QUEUE/*"},
        {"worker:w1", "\"worker:w1\" is none of queue:NAME, handler:NAME, group:QUEUE/NAME, group:QUEUE/*"},
        {"queue:", "\"\" is no name of a queue: [a-z0-9_.-], 1 to 64 characters"},
        {"handler:A", "\"A\" is no name of a handler: [a-z0-9_.-], 1 to 64 characters"},
        {"group:mail", "\"group:mail\" lacks the / between queue and group"},
        {"group:mail/", "the name of the group has 0 bytes, not 1 to 255"},
        {"group:/acme", "\"\" is no name of a queue: [a-z0-9_.-], 1 to 64 characters"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jq_scope scope;
        struct jq_error error;
        assert_int_equal(jq_scope_parse(jq_str_of(cases[i].text), &scope, &error), JQ_ERR_INVALID);
        assert_string_equal(error.message, cases[i].message);
    }
}

/* A rate is a number of starts and a period; it is written back in the same form, and spaces starts evenly. */
static void rates_are_read(void **state) {
    static const struct {
        const char *text, *back;
        int64_t interval_us;
        uint32_t burst;
    } cases[] = {
        {"5/s", "5/s", 200000, 1},         {"100/m", "100/m", 600000, 1},
        {"100/h", "100/h", 36000000, 1},   {"3/d", "3/d", INT64_C(28800000000), 1},
        {"1/90s", "1/1m30s", 90000000, 1}, {"3/s", "3/s", 333334, 1},
        {"1000/s", "1000/s", 1000, 10},    {"1000000/1s", "1000000/s", 1, 10000},
        {"7/250ms", "7/250ms", 35715, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jq_rate rate;
        char place[JQ_RATE_TEXT_SIZE];
        assert_int_equal(jq_rate_parse(jq_str_of(cases[i].text), &rate, NULL), JQ_OK);
        assert_string_equal(jq_rate_format(rate, place), cases[i].back);
        assert_int_equal(jq_rate_interval_us(rate), cases[i].interval_us);
        assert_int_equal(jq_rate_burst_default(rate), cases[i].burst);
    }
}

/* A rate of zero, one that no clock can keep, a period beyond a year, and what is no rate at all are refused. */
static void bad_rates_are_refused(void **state) {
    static const struct {
        const char *text;
        enum jq_err err;
        const char *message;
    } cases[] = {
        {"0/s", JQ_ERR_INVALID, "\"0/s\": a rate of zero lets nothing run; pause the queue instead"},
        {"1000/1ms", JQ_OK, NULL},
        {"1001/1ms", JQ_ERR_TOO_BIG, "\"1001/1ms\": more than a million in a second"},
        {"1/367d", JQ_ERR_INVALID, "\"1/367d\": the period is not between 1ms and 366d"},
        {"1/0s", JQ_ERR_INVALID, "\"1/0s\": the period is not between 1ms and 366d"},
        {"fast", JQ_ERR_INVALID, "\"fast\" is no rate such as 5/s, 100/m, 100/h, 3/d or 1/90s"},
        {"", JQ_ERR_INVALID, "\"\" is no rate such as 5/s, 100/m, 100/h, 3/d or 1/90s"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jq_rate rate;
        struct jq_error error;
        assert_int_equal(jq_rate_parse(jq_str_of(cases[i].text), &rate, &error), cases[i].err);
        if (cases[i].message) {
            assert_string_equal(error.message, cases[i].message);
        }
    }
    struct jq_rate rate;
    assert_int_not_equal(jq_rate_parse(JQ_STR("-1/s"), &rate, NULL), JQ_OK);
    assert_int_not_equal(jq_rate_parse(JQ_STR("1000001/s"), &rate, NULL), JQ_OK);
    assert_int_not_equal(jq_rate_parse(JQ_STR("1/x"), &rate, NULL), JQ_OK);
}

/* A burst that would take more than ten years to come back is refused: its times could not be counted. */
static void absurd_bursts_are_refused(void **state) {
    struct jq_error error;
    (void)state;
    assert_int_equal(jq_rate_check_burst((struct jq_rate){1, 86400000}, 3660, &error), JQ_OK);
    assert_int_equal(jq_rate_check_burst((struct jq_rate){1, 86400000}, 3661, &error), JQ_ERR_TOO_BIG);
    assert_string_equal(error.message, "3661 at 1/d take more than ten years to come back");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_are_read),
        cmocka_unit_test(bad_scopes_are_refused),
        cmocka_unit_test(rates_are_read),
        cmocka_unit_test(bad_rates_are_refused),
        cmocka_unit_test(absurd_bursts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
