/* civil.h - dates of the proleptic Gregorian calendar as numbers, and back. Pure; time zones are zone.h's business.
 *
 * Units: `days` since 1970-01-01; `civil_s` is seconds since 1970-01-01 00:00:00 as a clock on the wall shows them, without
 *        leap seconds.
 * Source: the calendar repeats every 400 years, which have 146,097 days; a year is counted from March, so that the leap day
 *        is its last.
 */
#ifndef JQ_COMMON_CIVIL_H
#define JQ_COMMON_CIVIL_H

#include "common/types.h"

enum { JQ_DAY_S = 86400, JQ_CIVIL_TEXT_SIZE = 21 /* "2024-02-29T12:00:00Z" and a NUL */ };

struct jq_civil {
    int64_t year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
    int hour, minute, second;
};

int64_t jq_civil_days(int64_t year, int month, int day);
int jq_civil_month_days(int64_t year, int month);
int jq_civil_weekday(int64_t days); /* 0 is Sunday */

int64_t jq_civil_to_s(const struct jq_civil *civil);
struct jq_civil jq_civil_of_s(int64_t civil_s);

/* UTC to the second (RFC 3339), of the years 0 to 9999; times beyond are cut to those. Exactly JQ_CIVIL_TEXT_SIZE - 1
 * characters. Returns `place`. */
char *jq_civil_format(int64_t wall_ms, char place[JQ_CIVIL_TEXT_SIZE]);

/* Division that rounds down, for times before 1970 too. */
static inline int64_t jq_floor_div(int64_t value, int64_t by) {
    return value / by - (value % by < 0);
}

#endif
