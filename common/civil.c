#include "common/civil.h"

#include <stdio.h>

enum {
    DAYS_PER_ERA = 146097, /* 400 years */
    YEARS_PER_ERA = 400,
    EPOCH_DAY = 719468, /* of 1970-01-01, counted from 0000-03-01 */
};

static bool is_leap(int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int jq_civil_month_days(int64_t year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days before a month of a year that begins in March (0): 153 days in every five months. */
static int64_t days_before(int64_t march_month) {
    return (153 * march_month + 2) / 5;
}

int64_t jq_civil_days(int64_t year, int month, int day) {
    const int64_t march_year = year - (month <= 2);
    const int64_t era = jq_floor_div(march_year, YEARS_PER_ERA);
    const int64_t of_era = march_year - era * YEARS_PER_ERA;
    const int64_t day_of_year = days_before((month + 9) % 12) + day - 1;
    return era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - EPOCH_DAY;
}

int jq_civil_weekday(int64_t days) {
    const int64_t thursday = 4; /* 1970-01-01 */
    return (int)(days + thursday - 7 * jq_floor_div(days + thursday, 7));
}

int64_t jq_civil_to_s(const struct jq_civil *civil) {
    return jq_civil_days(civil->year, civil->month, civil->day) * JQ_DAY_S + civil->hour * 3600 + civil->minute * 60 +
           civil->second;
}

struct jq_civil jq_civil_of_s(int64_t civil_s) {
    const int64_t days = jq_floor_div(civil_s, JQ_DAY_S), second = civil_s - days * JQ_DAY_S;
    const int64_t era = jq_floor_div(days + EPOCH_DAY, DAYS_PER_ERA);
    const int64_t day_of_era = days + EPOCH_DAY - era * DAYS_PER_ERA;
    const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t march_month = (5 * day_of_year + 2) / 153;
    const int month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    return (struct jq_civil){.year = era * YEARS_PER_ERA + year_of_era + (month <= 2),
                             .month = month,
                             .day = (int)(day_of_year - days_before(march_month)) + 1,
                             .hour = (int)(second / 3600),
                             .minute = (int)(second % 3600 / 60),
                             .second = (int)(second % 60)};
}

char *jq_civil_format(int64_t wall_ms, char place[JQ_CIVIL_TEXT_SIZE]) {
    const int64_t first_s = INT64_C(-62167219200), last_s = INT64_C(253402300799);
    int64_t wall_s = jq_floor_div(wall_ms, 1000);
    wall_s = wall_s < first_s ? first_s : wall_s > last_s ? last_s : wall_s;
    const struct jq_civil at = jq_civil_of_s(wall_s);
    snprintf(place, JQ_CIVIL_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)at.year % 10000U,
             (unsigned)at.month % 100U, (unsigned)at.day % 100U, (unsigned)at.hour % 100U, (unsigned)at.minute % 100U,
             (unsigned)at.second % 100U);
    return place;
}
