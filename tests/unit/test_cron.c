#include "common/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/civil.h"
#include "common/rng.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BERLIN       "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK     "EST5EDT,M3.2.0,M11.1.0"
#define LORD_HOWE    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
#define UTC          "UTC0"

static struct jq_zone *zone_of(const char *rule) {
    struct jq_zone *zone = NULL;
    assert_int_equal(jq_zone_of_rule(jq_str_of(rule), &zone, NULL), JQ_OK);
    return zone;
}

static struct jq_cron cron_of(const char *text) {
    struct jq_cron cron;
    struct jq_error error;
    if (jq_cron_parse(jq_str_of(text), &cron, &error) != JQ_OK)
        fail_msg("%s: %s", text, error.message);
    return cron;
}

/* "2026-03-29 01:00:00", UTC. */
static int64_t ms_of(const char *text) {
    int year, month, day, hour, minute, second;
    assert_int_equal(sscanf(text, "%d-%d-%d %d:%d:%d", &year, &month, &day, &hour, &minute, &second), 6); /* NOLINT */
    const struct jq_civil civil = {year, month, day, hour, minute, second};
    return jq_civil_to_s(&civil) * 1000;
}

struct times {
    const char *zone, *text, *after;
    const char *due[6]; /* UTC, one after the other */
};

static void expect_times(const struct times *times) {
    struct jq_zone *zone = zone_of(times->zone);
    const struct jq_cron cron = cron_of(times->text);
    int64_t at_ms = ms_of(times->after);
    for (size_t i = 0; i < 6 && times->due[i]; i++) {
        char place[JQ_CIVIL_TEXT_SIZE];
        assert_true(jq_cron_next(&cron, zone, 0, at_ms, &at_ms));
        jq_civil_format(at_ms, place);
        place[10] = ' ';
        place[19] = '\0';
        if (strcmp(place, times->due[i]) != 0)
            fail_msg("%s in %s after %s: %zu: %s, not %s", times->text, times->zone, times->after, i, place,
                     times->due[i]);
    }
    jq_zone_free(zone);
}

/* Lists, ranges, steps and names mean what crontab(5) says; where both day fields leave out days, either of them makes a day. */
static void fields_mean_what_crontab_says(void **state) {
    (void)state;
    static const struct times cases[] = {
        {UTC, "0 0 * * *", "2024-02-28 12:00:00", {"2024-02-29 00:00:00", "2024-03-01 00:00:00"}},
        {UTC,
         "*/20 8-9 * * *",
         "2024-01-01 08:05:00",
         {"2024-01-01 08:20:00", "2024-01-01 08:40:00", "2024-01-01 09:00:00", "2024-01-01 09:20:00",
          "2024-01-01 09:40:00", "2024-01-02 08:00:00"}},
        {UTC,
         "5,1-3 * * * *",
         "2024-01-01 00:01:00",
         {"2024-01-01 00:02:00", "2024-01-01 00:03:00", "2024-01-01 00:05:00", "2024-01-01 01:01:00"}},
        {UTC,
         "0 12 1-31/10 FEB,apr *",
         "2024-02-12 00:00:00",
         {"2024-02-21 12:00:00", "2024-04-01 12:00:00", "2024-04-11 12:00:00"}},
        {UTC, "30 6 * * mon-fri", "2024-03-01 07:00:00", {"2024-03-04 06:30:00", "2024-03-05 06:30:00"}},
        {UTC,
         "0 0 * * fri-sun",
         "2024-03-01 00:00:00",
         {"2024-03-02 00:00:00", "2024-03-03 00:00:00", "2024-03-08 00:00:00"}},
        {UTC, "0 0 * * 7", "2024-03-01 00:00:00", {"2024-03-03 00:00:00", "2024-03-10 00:00:00"}},
        {UTC, "0 0 * * 0-0", "2024-03-01 00:00:00", {"2024-03-03 00:00:00", "2024-03-10 00:00:00"}},
        {UTC,
         "0 0 13 * fri",
         "2024-09-01 00:00:00",
         {"2024-09-06 00:00:00", "2024-09-13 00:00:00", "2024-09-20 00:00:00", "2024-09-27 00:00:00",
          "2024-10-04 00:00:00", "2024-10-11 00:00:00"}},
        {UTC, "0 0 29 2 *", "2096-03-01 00:00:00", {"2104-02-29 00:00:00"}},
        {UTC, "@weekly", "2024-03-01 00:00:00", {"2024-03-03 00:00:00"}},
        {UTC, "@yearly", "2024-03-01 00:00:00", {"2025-01-01 00:00:00"}},
        {UTC, " 59\t23 31 12 * ", "2024-12-31 23:59:00", {"2025-12-31 23:59:00"}},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_times(&cases[i]);
}

/* In spring the clock leaves out an hour (on Lord Howe Island half of one): what was due in it is due once, at the end of the gap.
 * A schedule of every hour goes by time as it passes: nothing is added for what does not exist. */
static void what_does_not_exist_is_due_at_the_end_of_the_gap(void **state) {
    (void)state;
    static const struct times cases[] = {
        {BERLIN, "30 2 * * *", "2026-03-28 01:30:00", {"2026-03-29 01:00:00", "2026-03-30 00:30:00"}},
        {BERLIN,
         "*/15 2 * * *",
         "2026-03-28 02:00:00",
         {"2026-03-29 01:00:00", "2026-03-30 00:00:00", "2026-03-30 00:15:00"}},
        {BERLIN, "30 2,3 * * *", "2026-03-28 12:00:00", {"2026-03-29 01:00:00", "2026-03-29 01:30:00"}},
        {BERLIN, "0 3 * * *", "2026-03-28 12:00:00", {"2026-03-29 01:00:00", "2026-03-30 01:00:00"}},
        {BERLIN,
         "30 * * * *",
         "2026-03-29 00:00:00",
         {"2026-03-29 00:30:00", "2026-03-29 01:30:00", "2026-03-29 02:30:00"}},
        {NEW_YORK, "30 2 * * *", "2026-03-08 00:00:00", {"2026-03-08 07:00:00", "2026-03-09 06:30:00"}},
        {LORD_HOWE, "15 2 * * *", "2026-10-03 00:00:00", {"2026-10-03 15:30:00", "2026-10-04 15:15:00"}},
        {LORD_HOWE, "45 2 * * *", "2026-10-03 00:00:00", {"2026-10-03 15:45:00"}},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_times(&cases[i]);
}

/* In autumn the clock repeats an hour: what is due in it is due once, in its first run, but for a schedule of every hour. */
static void what_exists_twice_is_due_the_first_time(void **state) {
    (void)state;
    static const struct times cases[] = {
        {BERLIN, "30 2 * * *", "2026-10-24 12:00:00", {"2026-10-25 00:30:00", "2026-10-26 01:30:00"}},
        {BERLIN,
         "*/30 2-3 * * *",
         "2026-10-24 12:00:00",
         {"2026-10-25 00:00:00", "2026-10-25 00:30:00", "2026-10-25 02:00:00", "2026-10-25 02:30:00"}},
        {BERLIN, "30 2 * * *", "2026-10-25 01:10:00", {"2026-10-26 01:30:00"}},
        {BERLIN,
         "30 * * * *",
         "2026-10-24 23:45:00",
         {"2026-10-25 00:30:00", "2026-10-25 01:30:00", "2026-10-25 02:30:00"}},
        {NEW_YORK, "30 1 * * *", "2026-11-01 00:00:00", {"2026-11-01 05:30:00", "2026-11-02 06:30:00"}},
        {LORD_HOWE, "45 1 * * *", "2026-04-04 00:00:00", {"2026-04-04 14:45:00", "2026-04-05 15:15:00"}},
        {LORD_HOWE,
         "45 * * * *",
         "2026-04-04 14:00:00",
         {"2026-04-04 14:45:00", "2026-04-04 15:15:00", "2026-04-04 16:15:00"}},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_times(&cases[i]);
}

/* An interval counts from its anchor, whatever the zone, and from before the anchor the first is one span behind it. */
static void an_interval_counts_from_its_anchor(void **state) {
    (void)state;
    const struct jq_cron cron = cron_of("@every 1m30s");
    int64_t at_ms = 0;
    assert_true(cron.every_ms == 90000);
    assert_true(jq_cron_next(&cron, &jq_zone_utc, 500, 0, &at_ms) && at_ms == 90500);
    assert_true(jq_cron_next(&cron, &jq_zone_utc, 500, 90500, &at_ms) && at_ms == 180500);
    assert_true(jq_cron_next(&cron, &jq_zone_utc, 500, 180499, &at_ms) && at_ms == 180500);
    assert_true(cron_of("@every 1d2h3m4s").every_ms == 93784000);
}

/* What the calendar never has is found out, and not looked for for ever. */
static void what_never_comes_is_never_due(void **state) {
    (void)state;
    static const char *const texts[] = {"0 0 30 2 *", "* * 31 4,6,9,11 *", "0 0 30-31 feb *"};
    int64_t at_ms = 7;
    for (size_t i = 0; i < COUNT(texts); i++) {
        const struct jq_cron cron = cron_of(texts[i]);
        struct jq_zone *zone = zone_of(BERLIN);
        assert_false(jq_cron_next(&cron, zone, 0, ms_of("2026-01-01 00:00:00"), &at_ms));
        assert_true(at_ms == 7);
        jq_zone_free(zone);
    }
    const struct jq_cron either = cron_of("0 0 30 2 mon"); /* Mondays in February */
    assert_true(jq_cron_next(&either, &jq_zone_utc, 0, ms_of("2026-01-01 00:00:00"), &at_ms));
    assert_true(at_ms == ms_of("2026-02-02 00:00:00"));
}

/* What cannot be read is refused, naming the field and the reason. */
static void bad_schedules_name_the_field_and_the_reason(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "fewer than five fields: minute hour day month weekday"},
        {"* * * *", "fewer than five fields: minute hour day month weekday"},
        {"* * * * * *", "more than five fields: minute hour day month weekday"},
        {"60 * * * *", "minute: 60 is above 59"},
        {"* 24 * * *", "hour: 24 is above 23"},
        {"* * 0 * *", "day: 0 is below 1"},
        {"* * * 13 *", "month: 13 is above 12"},
        {"* * * * 8", "weekday: 8 is above 7"},
        {"* * * foo *", "month: 'foo' is no number"},
        {"* * * * JAN", "weekday: 'JAN' is no number"},
        {"99999999999999999999 * * * *", "minute: 99999999999999999999 is above 59"},
        {"-1 * * * *", "minute: '' is no number"},
        {"1,,2 * * * *", "minute: empty"},
        {"1, * * * *", "minute: empty"},
        {"*/0 * * * *", "minute: 0 is below 1"},
        {"*/60 * * * *", "minute: 60 is above 59"},
        {"5/10 * * * *", "minute: the step of 5/10 needs * or a range before it"},
        {"* 22-6 * * *", "hour: the range 22-6 runs backwards"},
        {"* 1-2-3 * * *", "hour: '2-3' is no number"},
        {"@reboot", "'@reboot' is none of @yearly, @monthly, @weekly, @daily, @hourly, @every"},
        {"@daily 5", "@daily: something stands behind it"},
        {"@every", "@every: '' is no span such as 90s or 1h30m"},
        {"@every 90", "@every: '90' is no span such as 90s or 1h30m"},
        {"@every 1m1h", "@every: '1m1h' is no span such as 90s or 1h30m"},
        {"@every 0s", "@every: '0s' is not between 1s and 366d"},
        {"@every 367d", "@every: '367d' is not between 1s and 366d"},
        {"@every 99999999999999999999d", "@every: '99999999999999999999d' is not between 1s and 366d"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct jq_cron cron;
        struct jq_error error;
        assert_int_equal(jq_cron_parse(jq_str_of(cases[i].text), &cron, &error), JQ_ERR_INVALID);
        assert_string_equal(error.message, cases[i].message);
    }
}

/* Whatever is typed, the parser says yes or no; and of what it takes, times come later and later. */
static void any_text_is_taken_or_refused(void **state) {
    (void)state;
    static const char letters[] = "0123456789*/-, @everyhdmsmonjan\t\xff";
    struct jq_zone *zone = zone_of(LORD_HOWE);
    struct jq_rng rng;
    jq_rng_init(&rng, 3);
    unsigned taken = 0;
    for (int i = 0; i < 20000; i++) {
        char text[64];
        size_t size = 0;
        for (int field = 0; field < 5; field++) { /* mostly of the right shape */
            for (uint64_t left = jq_rng_below(&rng, 2) + 1; left > 0; left--)
                text[size++] = letters[jq_rng_below(&rng, jq_rng_chance(&rng, 1, 10) ? sizeof(letters) - 1 : 11)];
            text[size++] = ' ';
        }
        struct jq_cron cron;
        if (jq_cron_parse((struct jq_str){text, size}, &cron, NULL) != JQ_OK)
            continue;
        int64_t at_ms = (int64_t)jq_rng_below(&rng, UINT64_C(4000000000000));
        taken++;
        for (int times = 0; times < 3; times++) {
            const int64_t before_ms = at_ms;
            if (!jq_cron_next(&cron, zone, 0, at_ms, &at_ms))
                break;
            assert_true(at_ms > before_ms);
        }
    }
    assert_in_range(taken, 100, 19000);
    jq_zone_free(zone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_mean_what_crontab_says),
        cmocka_unit_test(what_does_not_exist_is_due_at_the_end_of_the_gap),
        cmocka_unit_test(what_exists_twice_is_due_the_first_time),
        cmocka_unit_test(an_interval_counts_from_its_anchor),
        cmocka_unit_test(what_never_comes_is_never_due),
        cmocka_unit_test(bad_schedules_name_the_field_and_the_reason),
        cmocka_unit_test(any_text_is_taken_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
