#include "common/zone_rule.h"

#include "common/civil.h"

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct cursor {
    const char *at, *end;
    bool failed;
};

static char peek(const struct cursor *in) {
    return in->at < in->end ? *in->at : '\0';
}

static bool take(struct cursor *in, char c) {
    if (peek(in) != c)
        return false;
    in->at++;
    return true;
}

static void expect(struct cursor *in, char c) {
    in->failed |= !take(in, c);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int number(struct cursor *in, int min, int max) {
    int value = 0;
    in->failed |= !is_digit(peek(in));
    while (is_digit(peek(in)) && value <= max)
        value = value * 10 + (*in->at++ - '0');
    in->failed |= value < min || value > max;
    return in->failed ? min : value;
}

/* "CET" or "<+0530>": at least three characters. What it is called is of no use here. */
static void name(struct cursor *in) {
    const bool quoted = take(in, '<');
    const char *start = in->at;
    while (is_letter(peek(in)) || (quoted && (is_digit(peek(in)) || peek(in) == '+' || peek(in) == '-')))
        in->at++;
    in->failed |= in->at - start < 3;
    if (quoted)
        expect(in, '>');
}

/* "[+-]hh[:mm[:ss]]" */
static int32_t span(struct cursor *in, int hours_max) {
    const bool negative = take(in, '-');
    if (!negative)
        (void)take(in, '+');
    int32_t value_s = 3600 * number(in, 0, hours_max);
    if (take(in, ':'))
        value_s += 60 * number(in, 0, 59);
    if (take(in, ':'))
        value_s += number(in, 0, 59);
    return negative ? -value_s : value_s;
}

/* POSIX counts them west of Greenwich. */
static int32_t offset(struct cursor *in) {
    return -span(in, 24);
}

static struct jq_zone_when when(struct cursor *in) {
    struct jq_zone_when when = {.kind = JQ_ZONE_DAY_OF_YEAR, .time_s = 2 * 3600};
    expect(in, ',');
    if (take(in, 'J')) {
        when.kind = JQ_ZONE_DAY_JULIAN;
        when.day = number(in, 1, 365);
    } else if (take(in, 'M')) {
        when.kind = JQ_ZONE_DAY_OF_MONTH;
        when.month = number(in, 1, 12);
        expect(in, '.');
        when.week = number(in, 1, 5);
        expect(in, '.');
        when.day = number(in, 0, 6);
    } else {
        when.day = number(in, 0, 365);
    }
    if (take(in, '/'))
        when.time_s = span(in, 167);
    return when;
}

enum jq_err jq_zone_rule_parse(struct jq_str text, struct jq_zone_rule *ret_rule, struct jq_error *reterr) {
    struct cursor in = {.at = text.data, .end = text.data + text.size};
    struct jq_zone_rule rule = {.daylight = false};
    name(&in);
    rule.standard_s = offset(&in);
    if (in.at < in.end) {
        rule.daylight = true;
        name(&in);
        rule.daylight_s = peek(&in) == ',' ? rule.standard_s + 3600 : offset(&in);
        rule.begin = when(&in);
        rule.end = when(&in);
    }
    if (in.failed || in.at != in.end || text.size > JQ_ZONE_RULE_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_INVALID, "the rule of the time zone cannot be read at column %zu",
                       (size_t)(in.at - text.data) + 1);
    *ret_rule = rule;
    return JQ_OK;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static int64_t day_of_month(const struct jq_zone_when *when, int64_t year) {
    const int64_t first = jq_civil_days(year, when->month, 1);
    const int ahead = (when->day - jq_civil_weekday(first) + 7) % 7;
    int day = ahead + 7 * (when->week - 1);
    if (day >= jq_civil_month_days(year, when->month))
        day -= 7;
    return first + day;
}

static int64_t day_of(const struct jq_zone_when *when, int64_t year) {
    const int64_t first = jq_civil_days(year, 1, 1);
    switch (when->kind) {
    case JQ_ZONE_DAY_JULIAN: return first + when->day - 1 + (when->day >= 60 && jq_civil_month_days(year, 2) == 29);
    case JQ_ZONE_DAY_OF_YEAR: return first + when->day;
    case JQ_ZONE_DAY_OF_MONTH: return day_of_month(when, year);
    }
    return first;
}

static int64_t change_s(const struct jq_zone_when *when, int64_t year, int32_t offset_before_s) {
    return day_of(when, year) * JQ_DAY_S + when->time_s - offset_before_s;
}

struct edge {
    int64_t at_s;
    int32_t offset_s; /* from there on */
};

enum { YEARS_AROUND = 2, EDGES_COUNT = 2 * (2 * YEARS_AROUND + 1) };

/* Both changes of the years around, in the order of time; at one and the same moment in the order of years, so that daylight
 * time that lasts all year is never interrupted. A change may lie a week outside its year: so two years either way. */
static void edges_around(const struct jq_zone_rule *rule, int64_t year, struct edge edges[EDGES_COUNT]) {
    size_t count = 0;
    for (int64_t of = year - YEARS_AROUND; of <= year + YEARS_AROUND; of++) {
        const struct edge both[2] = {{change_s(&rule->begin, of, rule->standard_s), rule->daylight_s},
                                     {change_s(&rule->end, of, rule->daylight_s), rule->standard_s}};
        for (size_t i = 0; i < 2; i++) {
            size_t at = count++;
            for (; at > 0 && edges[at - 1].at_s > both[i].at_s; at--)
                edges[at] = edges[at - 1];
            edges[at] = both[i];
        }
    }
}

struct jq_zone_span jq_zone_rule_span(const struct jq_zone_rule *rule, int64_t at_s) {
    if (!rule->daylight)
        return (struct jq_zone_span){INT64_MIN, INT64_MAX, rule->standard_s};
    struct edge edges[EDGES_COUNT] = {{0, 0}};
    size_t next = 1;
    edges_around(rule, jq_civil_of_s(at_s + rule->standard_s).year, edges);
    while (next + 1 < EDGES_COUNT && edges[next].at_s <= at_s)
        next++;
    JQ_CHECK(edges[next - 1].at_s <= at_s && at_s < edges[next].at_s);
    return (struct jq_zone_span){edges[next - 1].at_s, edges[next].at_s, edges[next - 1].offset_s};
}
