#include "common/cron.h"

#include "common/civil.h"

/* ---- reading ----------------------------------------------------------------------------------------------------- */

enum { NAME_SIZE = 3 };

struct field {
    const char *name;
    int min, max;
    const char *names; /* of the values from `min` on, NAME_SIZE letters each; NULL: none */
};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELD_COUNT };

static const struct field fields[FIELD_COUNT] = {
    [MINUTE] = {"minute", 0, 59, NULL},
    [HOUR] = {"hour", 0, 23, NULL},
    [DAY] = {"day", 1, 31, NULL},
    [MONTH] = {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    [WEEKDAY] = {"weekday", 0, 7, "sunmontuewedthufrisat"},
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The next word, or an empty text. */
static struct jq_str next_word(struct jq_str *rest) {
    while (rest->size > 0 && is_blank(rest->data[0])) {
        rest->data++;
        rest->size--;
    }
    struct jq_str word = {rest->data, 0};
    while (rest->size > 0 && !is_blank(rest->data[0])) {
        rest->data++;
        rest->size--;
        word.size++;
    }
    return word;
}

/* Cuts off what stands before `separator`; *ret_more tells whether there was one. */
static struct jq_str cut(struct jq_str *rest, char separator, bool *ret_more) {
    const char *at = rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
    const struct jq_str head = {rest->data, at ? (size_t)(at - rest->data) : rest->size};
    *ret_more = at != NULL;
    rest->data += head.size + (at != NULL);
    rest->size -= head.size + (at != NULL);
    return head;
}

static bool same_letters(const char *name, struct jq_str text) {
    for (size_t i = 0; i < text.size; i++) {
        if (lower(text.data[i]) != name[i])
            return false;
    }
    return true;
}

/* -1: none. */
static int value_of_name(const struct field *field, struct jq_str text) {
    if (!field->names || text.size != NAME_SIZE)
        return -1;
    for (int i = 0; field->names[NAME_SIZE * i] != '\0'; i++) {
        if (same_letters(field->names + (size_t)NAME_SIZE * (size_t)i, text))
            return field->min + i;
    }
    return -1;
}

static enum jq_err read_number(const char *name, struct jq_str text, int min, int max, int *ret_value,
                               struct jq_error *reterr) {
    int value = 0;
    bool digits = text.size > 0;
    for (size_t i = 0; i < text.size && digits; i++) {
        digits = is_digit(text.data[i]);
        value = value > max ? value : value * 10 + (text.data[i] - '0');
    }
    if (!digits)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: '%.*s' is no number", name, (int)text.size, text.data);
    if (value < min)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: %.*s is below %d", name, (int)text.size, text.data, min);
    if (value > max)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: %.*s is above %d", name, (int)text.size, text.data, max);
    *ret_value = value;
    return JQ_OK;
}

static enum jq_err read_value(const struct field *field, struct jq_str text, int *ret_value, struct jq_error *reterr) {
    const int named = value_of_name(field, text);
    if (named < 0)
        return read_number(field->name, text, field->min, field->max, ret_value, reterr);
    *ret_value = named;
    return JQ_OK;
}

static enum jq_err read_range(const struct field *field, struct jq_str text, int *ret_first, int *ret_last,
                              struct jq_error *reterr) {
    bool ranged = false;
    struct jq_str rest = text;
    const struct jq_str first = cut(&rest, '-', &ranged);
    enum jq_err err = read_value(field, first, ret_first, reterr);
    *ret_last = *ret_first;
    if (err != JQ_OK || !ranged)
        return err;
    err = read_value(field, rest, ret_last, reterr);
    if (err == JQ_OK && field == &fields[WEEKDAY] && *ret_last == 0 && *ret_first > 0)
        *ret_last = 7; /* a week that ends on Sunday */
    if (err == JQ_OK && *ret_last < *ret_first)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: the range %.*s runs backwards", field->name, (int)text.size,
                       text.data);
    return err;
}

static enum jq_err read_part(const struct field *field, struct jq_str text, uint64_t *mask, struct jq_error *reterr) {
    bool stepped = false;
    struct jq_str step_text = text;
    const struct jq_str what = cut(&step_text, '/', &stepped);
    const bool all = jq_str_equal(what, JQ_STR("*"));
    int first = field->min, last = field->max, step = 1;
    enum jq_err err = all ? JQ_OK : read_range(field, what, &first, &last, reterr);
    if (err == JQ_OK && stepped && !all && !memchr(what.data, '-', what.size))
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: the step of %.*s needs * or a range before it", field->name,
                       (int)text.size, text.data);
    if (err == JQ_OK && stepped)
        err = read_number(field->name, step_text, 1, field->max, &step, reterr);
    for (int value = first; err == JQ_OK && value <= last; value += step)
        *mask |= UINT64_C(1) << value;
    return err;
}

static enum jq_err read_field(const struct field *field, struct jq_str text, uint64_t *ret_mask,
                              struct jq_error *reterr) {
    uint64_t mask = 0;
    bool more = true;
    while (more) {
        const struct jq_str part = cut(&text, ',', &more);
        if (part.size == 0)
            return jq_fail(reterr, JQ_ERR_INVALID, "%s: empty", field->name);
        const enum jq_err err = read_part(field, part, &mask, reterr);
        if (err != JQ_OK)
            return err;
    }
    *ret_mask = mask;
    return JQ_OK;
}

static enum jq_err read_fields(struct jq_str text, struct jq_cron *ret_cron, struct jq_error *reterr) {
    uint64_t masks[FIELD_COUNT] = {0};
    struct jq_str words[FIELD_COUNT + 1];
    int count = 0;
    for (struct jq_str word = next_word(&text); word.size > 0 && count <= FIELD_COUNT; word = next_word(&text))
        words[count++] = word;
    if (count != FIELD_COUNT)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s five fields: minute hour day month weekday",
                       count < FIELD_COUNT ? "fewer than" : "more than");
    for (int i = 0; i < FIELD_COUNT; i++) {
        const enum jq_err err = read_field(&fields[i], words[i], &masks[i], reterr);
        if (err != JQ_OK)
            return err;
    }
    *ret_cron = (struct jq_cron){.minutes = masks[MINUTE],
                                 .hours = (uint32_t)masks[HOUR],
                                 .days = (uint32_t)masks[DAY],
                                 .months = (uint16_t)masks[MONTH],
                                 .weekdays = (uint8_t)((masks[WEEKDAY] | masks[WEEKDAY] >> 7) & 0x7f)};
    return JQ_OK;
}

static enum jq_err bad_span(struct jq_str text, struct jq_error *reterr) {
    return jq_fail(reterr, JQ_ERR_INVALID, "@every: '%.*s' is no span such as 90s or 1h30m", (int)text.size, text.data);
}

/* "1h30m" */
static enum jq_err read_every(struct jq_str text, struct jq_cron *ret_cron, struct jq_error *reterr) {
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'d', 86400000}, {'h', 3600000}, {'m', 60000}, {'s', 1000}};
    int64_t every_ms = 0;
    size_t at = 0, unit = 0;
    while (at < text.size) {
        int64_t value = 0;
        const size_t start = at;
        for (; at < text.size && is_digit(text.data[at]); at++)
            value = value > JQ_CRON_EVERY_MS_MAX ? value : value * 10 + (text.data[at] - '0');
        while (unit < 4 && (at == text.size || units[unit].unit != text.data[at]))
            unit++;
        if (at == start || unit == 4)
            return bad_span(text, reterr);
        every_ms += (value > JQ_CRON_EVERY_MS_MAX ? JQ_CRON_EVERY_MS_MAX : value) * units[unit++].ms;
        at++;
    }
    if (text.size == 0)
        return bad_span(text, reterr);
    if (every_ms < 1000 || every_ms > JQ_CRON_EVERY_MS_MAX)
        return jq_fail(reterr, JQ_ERR_INVALID, "@every: '%.*s' is not between 1s and 366d", (int)text.size, text.data);
    *ret_cron = (struct jq_cron){.every_ms = every_ms};
    return JQ_OK;
}

static enum jq_err read_named(struct jq_str word, struct jq_str rest, struct jq_cron *ret_cron,
                              struct jq_error *reterr) {
    static const struct {
        const char *name, *text;
    } named[] = {{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
                 {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
                 {"@hourly", "0 * * * *"}};
    const struct jq_str operand = next_word(&rest);
    if (next_word(&rest).size > 0 || (operand.size > 0 && !jq_str_equal(word, JQ_STR("@every"))))
        return jq_fail(reterr, JQ_ERR_INVALID, "%.*s: something stands behind it", (int)word.size, word.data);
    if (jq_str_equal(word, JQ_STR("@every")))
        return read_every(operand, ret_cron, reterr);
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        if (jq_str_equal(word, jq_str_of(named[i].name)))
            return read_fields(jq_str_of(named[i].text), ret_cron, reterr);
    }
    return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is none of @yearly, @monthly, @weekly, @daily, @hourly, @every",
                   (int)word.size, word.data);
}

enum jq_err jq_cron_parse(struct jq_str text, struct jq_cron *ret_cron, struct jq_error *reterr) {
    struct jq_str rest = text;
    if (text.size > JQ_CRON_TEXT_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_INVALID, "%zu bytes, at most %d", text.size, JQ_CRON_TEXT_SIZE_MAX);
    const struct jq_str word = next_word(&rest);
    return word.size > 0 && word.data[0] == '@' ? read_named(word, rest, ret_cron, reterr)
                                                : read_fields(text, ret_cron, reterr);
}

/* ---- the clock on the wall --------------------------------------------------------------------------------------- */

enum { YEARS_AHEAD = 9 };

static bool takes_day(const struct jq_cron *cron, int64_t year, int month, int day) {
    const bool by_day = cron->days >> day & 1;
    const bool by_weekday = cron->weekdays >> jq_civil_weekday(jq_civil_days(year, month, day)) & 1;
    const uint32_t every_day = 0xfffffffe;
    return cron->days != every_day && cron->weekdays != 0x7f ? by_day || by_weekday : by_day && by_weekday;
}

/* The next bit from `from` on, or -1. */
static int next_bit(uint64_t mask, int from) {
    const uint64_t left = from < 64 ? mask >> from : 0;
    return left ? from + __builtin_ctzll(left) : -1;
}

static void begin_month(struct jq_civil *at) {
    const bool last = at->month == 12;
    *at = (struct jq_civil){.year = at->year + last, .month = last ? 1 : at->month + 1, .day = 1};
}

static void begin_day(struct jq_civil *at, int day) {
    at->day = day;
    at->hour = at->minute = 0;
}

/* Moves on to a day of this month that is taken. False: there is none left. */
static bool find_day(const struct jq_cron *cron, struct jq_civil *at) {
    const int last = jq_civil_month_days(at->year, at->month);
    for (int day = at->day; day <= last; day++) {
        if (takes_day(cron, at->year, at->month, day)) {
            if (day != at->day)
                begin_day(at, day);
            return true;
        }
    }
    return false;
}

/* Likewise within the day. */
static bool find_minute(const struct jq_cron *cron, struct jq_civil *at) {
    for (int hour = next_bit(cron->hours, at->hour); hour >= 0; hour = next_bit(cron->hours, hour + 1)) {
        if (hour != at->hour)
            at->minute = 0;
        at->hour = hour;
        const int minute = next_bit(cron->minutes, at->minute);
        if (minute >= 0) {
            at->minute = minute;
            return true;
        }
        at->minute = 0;
    }
    return false;
}

/* Moves on to the first time from `at` on that the fields take. False: none up to the end of `last_year`. */
static bool find_time(const struct jq_cron *cron, struct jq_civil *at, int64_t last_year) {
    while (at->year <= last_year) {
        if (!(cron->months >> at->month & 1) || !find_day(cron, at))
            begin_month(at);
        else if (find_minute(cron, at))
            return true;
        else
            begin_day(at, at->day + 1); /* beyond the month there is no day: find_day() says so */
    }
    return false;
}

/* The first full minute that the clock shows at `civil_s` or later. */
static struct jq_civil minute_from(int64_t civil_s) {
    return jq_civil_of_s(-jq_floor_div(-civil_s, 60) * 60);
}

/* ---- next -------------------------------------------------------------------------------------------------------- */

/* Each time on the clock is one moment. Those that come later on the clock never come earlier in time, so the search may begin
 * with what the clock shows now; in an hour that the clock repeats it passes over what was due in its first run. */
static bool next_fixed(const struct jq_cron *cron, const struct jq_zone *zone, int64_t after_s, int64_t *ret_s) {
    struct jq_civil at = minute_from(after_s + jq_zone_span_at(zone, after_s).offset_s);
    const int64_t last_year = at.year + YEARS_AHEAD;
    while (find_time(cron, &at, last_year)) {
        const int64_t found_s = jq_zone_first_s(zone, jq_civil_to_s(&at));
        if (found_s > after_s) {
            *ret_s = found_s;
            return true;
        }
        at.minute++; /* 60 is no minute: find_minute() goes on to the next hour */
    }
    return false;
}

/* Every moment at which the clock shows a time that is taken: one stretch of constant offset after the other. */
static bool next_hourly(const struct jq_cron *cron, const struct jq_zone *zone, int64_t after_s, int64_t *ret_s) {
    const int64_t last_year = jq_civil_of_s(after_s).year + YEARS_AHEAD;
    for (int64_t from_s = after_s + 1;;) {
        const struct jq_zone_span span = jq_zone_span_at(zone, from_s);
        struct jq_civil at = minute_from(from_s + span.offset_s);
        const bool found = find_time(cron, &at, last_year);
        const int64_t found_s = found ? jq_civil_to_s(&at) - span.offset_s : INT64_MAX;
        if (found_s < span.end_s) {
            *ret_s = found_s;
            return true;
        }
        if (span.end_s == INT64_MAX || jq_civil_of_s(span.end_s).year > last_year)
            return false;
        from_s = span.end_s;
    }
}

static bool next_every(const struct jq_cron *cron, int64_t anchor_ms, int64_t after_ms, int64_t *ret_ms) {
    const int64_t passed = after_ms < anchor_ms ? 0 : (after_ms - anchor_ms) / cron->every_ms;
    *ret_ms = anchor_ms + (passed + 1) * cron->every_ms;
    return true;
}

bool jq_cron_next(const struct jq_cron *cron, const struct jq_zone *zone, int64_t anchor_ms, int64_t after_ms,
                  int64_t *ret_ms) {
    const uint32_t every_hour = 0xffffff;
    int64_t found_s = 0;
    if (cron->every_ms > 0)
        return next_every(cron, anchor_ms, after_ms, ret_ms);
    const int64_t after_s = jq_floor_div(after_ms, 1000);
    const bool found = cron->hours == every_hour ? next_hourly(cron, zone, after_s, &found_s)
                                                 : next_fixed(cron, zone, after_s, &found_s);
    if (found)
        *ret_ms = found_s * 1000;
    return found;
}
