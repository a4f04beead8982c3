#include "common/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/civil.h"
#include "common/rng.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- making TZif files ------------------------------------------------------------------------------------------- */

struct made {
    int64_t at_s[4];
    uint8_t kinds[4];
    size_t time_count;
    int32_t offsets_s[4];
    uint32_t type_count, leap_count;
    const char *footer;
    char version;
};

static void append_big(struct jq_buf *out, uint64_t value, int size) {
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8)
        jq_buf_append_u8(out, (uint8_t)(value >> shift));
}

static void append_header(struct jq_buf *out, const struct made *made, uint32_t times) {
    static const uint8_t reserved[15] = {0};
    const uint32_t counts[] = {0, 0, made->leap_count, times, made->type_count, 4};
    jq_buf_append(out, "TZif", 4);
    jq_buf_append_u8(out, (uint8_t)made->version);
    jq_buf_append(out, reserved, sizeof(reserved));
    for (size_t i = 0; i < COUNT(counts); i++)
        append_big(out, counts[i], 4);
}

static void append_types(struct jq_buf *out, const struct made *made) {
    for (size_t i = 0; i < made->type_count; i++) {
        append_big(out, (uint32_t)made->offsets_s[i], 4);
        append_big(out, 0, 2);
    }
    jq_buf_append(out, "ABC", 4);
}

/* Version 2: an old block without times, then the real one, then the footer. */
static struct jq_buf file_of(const struct made *made) {
    struct jq_buf out;
    jq_buf_init(&out, JQ_ZONE_FILE_SIZE_MAX);
    append_header(&out, made, 0);
    append_types(&out, made);
    append_header(&out, made, (uint32_t)made->time_count);
    for (size_t i = 0; i < made->time_count; i++)
        append_big(&out, (uint64_t)made->at_s[i], 8);
    jq_buf_append(&out, made->kinds, made->time_count);
    append_types(&out, made);
    jq_buf_append_format(&out, "\n%s\n", made->footer);
    return out;
}

static enum jq_err parse(const struct made *made, struct jq_zone **ret_zone, struct jq_error *reterr) {
    struct jq_buf file = file_of(made);
    const enum jq_err err = jq_zone_parse(jq_buf_bytes(&file), ret_zone, reterr);
    jq_buf_fini(&file);
    return err;
}

static struct made small(void) {
    return (struct made){.at_s = {1000, 2000, 3000},
                         .kinds = {1, 0, 2},
                         .time_count = 3,
                         .offsets_s = {3600, 7200, -1800},
                         .type_count = 3,
                         .footer = "",
                         .version = '2'};
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* A file's changes are read in order; before the first its first kind of time holds, behind the last, without a rule, the last. */
static void a_table_of_changes_is_followed(void **state) {
    (void)state;
    const struct made made = small();
    struct jq_zone *zone = NULL;
    assert_int_equal(parse(&made, &zone, NULL), JQ_OK);
    static const struct {
        int64_t at_s, begin_s, end_s, offset_s;
    } cases[] = {{-5, INT64_MIN, 1000, 3600},      {999, INT64_MIN, 1000, 3600}, {1000, 1000, 2000, 7200},
                 {1999, 1000, 2000, 7200},         {2500, 2000, 3000, 3600},     {3000, 3000, INT64_MAX, -1800},
                 {1 << 30, 3000, INT64_MAX, -1800}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct jq_zone_span span = jq_zone_span_at(zone, cases[i].at_s);
        assert_true(span.begin_s == cases[i].begin_s && span.end_s == cases[i].end_s);
        assert_true(span.offset_s == cases[i].offset_s);
    }
    jq_zone_free(zone);
}

/* Behind the last change the footer's rule holds, and before it does not. */
static void behind_the_table_the_rule_holds(void **state) {
    (void)state;
    struct made made = small();
    made.at_s[2] = 1767225600; /* 2026-01-01 */
    made.kinds[2] = 0;
    made.kinds[1] = 2;
    made.footer = "CET-1CEST,M3.5.0,M10.5.0/3";
    struct jq_zone *zone = NULL;
    assert_int_equal(parse(&made, &zone, NULL), JQ_OK);
    assert_true(jq_zone_span_at(zone, 1000000000).offset_s == -1800); /* September 2001 */
    const struct jq_zone_span winter = jq_zone_span_at(zone, 1767225600), summer = jq_zone_span_at(zone, 1774746000);
    assert_true(winter.begin_s == 1767225600 && winter.end_s == 1774746000 && winter.offset_s == 3600);
    assert_true(summer.begin_s == 1774746000 && summer.end_s == 1792890000 && summer.offset_s == 7200);
    jq_zone_free(zone);
}

/* Rules of every form give the changes that the zones of the world have had: computed with another implementation. */
static void rules_give_known_moments(void **state) {
    (void)state;
    static const struct {
        const char *rule;
        int64_t at_s, offset_s, end_s;
    } cases[] = {
        {"IST-5:30", 0, 19800, INT64_MAX},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1774745999, 3600, 1774746000},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1774746000, 7200, 1792890000},
        {"EST5EDT,M3.2.0,M11.1.0", 1772953199, -18000, 1772953200},
        {"EST5EDT,M3.2.0,M11.1.0", 1772953200, -14400, 1793512800},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 1775314799, 39600, 1775314800}, /* summer over New Year */
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 1775314800, 37800, 1791041400},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 1774746000, 3600, 1792890000}, /* winter time is its daylight time */
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1774745999, -7200, 1774746000},
        {"XXX3EDT4,0/0,J365/23", 1767236400, -14400, 1798772400}, /* daylight time all year */
        {"AAA0BBB,J60,J61", 1709256000, 0, 1709258400},           /* J60 is 1 March, in leap years too */
        {"AAA0BBB,59,60", 1709160000, 0, 1709172000},             /* 59 is 29 February there */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct jq_zone *zone = NULL;
        struct jq_error error;
        if (jq_zone_of_rule(jq_str_of(cases[i].rule), &zone, &error) != JQ_OK)
            fail_msg("%s: %s", cases[i].rule, error.message);
        const struct jq_zone_span span = jq_zone_span_at(zone, cases[i].at_s);
        if (span.offset_s != cases[i].offset_s || span.end_s != cases[i].end_s)
            fail_msg("%s at %lld: %lld until %lld", cases[i].rule, (long long)cases[i].at_s, (long long)span.offset_s,
                     (long long)span.end_s);
        jq_zone_free(zone);
    }
}

/* What the clock shows twice is its first moment, what it leaves out the end of the gap. */
static void the_first_moment_of_a_time_on_the_clock(void **state) {
    (void)state;
    struct jq_zone *zone = NULL;
    assert_int_equal(jq_zone_of_rule(JQ_STR("CET-1CEST,M3.5.0,M10.5.0/3"), &zone, NULL), JQ_OK);
    const struct jq_civil spring = {2026, 3, 29, 2, 30, 0}, autumn = {2026, 10, 25, 2, 30, 0},
                          noon = {2026, 7, 1, 12, 0, 0};
    assert_true(jq_zone_first_s(zone, jq_civil_to_s(&spring)) == 1774746000);
    assert_true(jq_zone_first_s(zone, jq_civil_to_s(&autumn)) == 1792888200);
    assert_true(jq_zone_first_s(zone, jq_civil_to_s(&noon)) == 1782900000);
    jq_zone_free(zone);
}

/* Each kind of damage has its reason. */
static void bad_files_are_refused(void **state) {
    (void)state;
    struct jq_zone *zone = NULL;
    struct jq_error error;
    struct made made = small();
    made.version = '\0';
    assert_int_equal(parse(&made, &zone, &error), JQ_ERR_VERSION);
    made = small();
    made.leap_count = 1;
    assert_int_not_equal(parse(&made, &zone, &error), JQ_OK);
    made = small();
    made.type_count = 0;
    assert_int_equal(parse(&made, &zone, &error), JQ_ERR_INVALID);
    made = small();
    made.at_s[1] = 1000;
    assert_int_equal(parse(&made, &zone, &error), JQ_ERR_INVALID);
    assert_string_equal(error.message, "change 1 of the TZif file is out of order");
    made = small();
    made.kinds[0] = 3;
    assert_int_equal(parse(&made, &zone, &error), JQ_ERR_INVALID);
    made = small();
    made.offsets_s[1] = 100000;
    assert_int_equal(parse(&made, &zone, &error), JQ_ERR_INVALID);
    assert_string_equal(error.message, "an offset of 100000 s from UTC");
    made = small();
    made.footer = "CET-1CEST"; /* daylight time, but when? */
    assert_int_equal(parse(&made, &zone, &error), JQ_ERR_INVALID);
    static const char *const rules[] = {"",
                                        "C1",
                                        "CET",
                                        "CET-1CEST,M13.1.0,M1.1.0",
                                        "CET-25",
                                        "CET-1:60",
                                        "<+05>5x",
                                        "CET-1CEST,M3.6.0,M10.5.0",
                                        "CET-1CEST",
                                        "CET0B,0,J1",
                                        "CET-1CEST,J0,J1",
                                        "CET-1CEST,0/168,1",
                                        "<ab>1",
                                        "CET99999999999999999999"};
    for (size_t i = 0; i < COUNT(rules); i++)
        assert_int_equal(jq_zone_of_rule(jq_str_of(rules[i]), &zone, &error), JQ_ERR_INVALID);
    assert_null(zone);
}

static void walk(const struct jq_zone *zone, struct jq_rng *rng) {
    for (int i = 0; i < 4; i++) {
        const int64_t at_s = (int64_t)jq_rng_below(rng, UINT64_C(8000000000)) - INT64_C(2000000000);
        const struct jq_zone_span span = jq_zone_span_at(zone, at_s);
        assert_true(span.begin_s <= at_s && at_s < span.end_s);
        assert_true(span.offset_s <= JQ_ZONE_OFFSET_MAX_S && span.offset_s >= -JQ_ZONE_OFFSET_MAX_S);
        const int64_t first_s = jq_zone_first_s(zone, at_s);
        assert_true(first_s + jq_zone_span_at(zone, first_s).offset_s >= at_s);
        assert_true(first_s - 1 + jq_zone_span_at(zone, first_s - 1).offset_s < at_s);
    }
}

/* Bytes from anywhere are refused or give a zone that answers; none is read beyond their end (the sanitizers look). */
static void any_bytes_are_a_zone_or_refused(void **state) {
    (void)state;
    struct jq_rng rng;
    jq_rng_init(&rng, 5);
    unsigned taken = 0;
    for (int i = 0; i < 20000; i++) {
        struct made made = small();
        made.footer = i % 2 ? "CET-1CEST,M3.5.0,M10.5.0/3" : "<+1030>-10:30<+11>-11,J100/167,300/-167";
        struct jq_buf file = file_of(&made);
        for (uint64_t left = jq_rng_below(&rng, 4); left > 0; left--)
            file.data[jq_rng_below(&rng, file.size)] = (uint8_t)jq_rng_next(&rng);
        const size_t size = jq_rng_chance(&rng, 1, 4) ? jq_rng_below(&rng, file.size) : file.size;
        uint8_t *exact = malloc(size + 1); /* of its own, so that a read beyond it is seen */
        assert_non_null(exact);
        memcpy(exact, file.data, size);
        struct jq_zone *zone = NULL;
        if (jq_zone_parse((struct jq_bytes){exact, size}, &zone, NULL) == JQ_OK) {
            taken++;
            walk(zone, &rng);
        }
        jq_zone_free(zone);
        free(exact);
        jq_buf_fini(&file);
    }
    assert_in_range(taken, 1000, 19000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_of_changes_is_followed), cmocka_unit_test(behind_the_table_the_rule_holds),
        cmocka_unit_test(rules_give_known_moments),       cmocka_unit_test(the_first_moment_of_a_time_on_the_clock),
        cmocka_unit_test(bad_files_are_refused),          cmocka_unit_test(any_bytes_are_a_zone_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
