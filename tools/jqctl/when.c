/* when.c - times as people read and type them. */
#include "tools/jqctl/when.h"

#include <stdio.h>
#include <time.h>

#include "common/text.h"

/* ---- reading ----------------------------------------------------------------------------------------------------------- */

struct cursor {
    struct jq_str left;
    bool failed;
};

static int digits(struct cursor *at, size_t count, int max) {
    int value = 0;
    if (at->left.size < count) {
        at->failed = true;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        const char c = at->left.data[i];
        at->failed |= c < '0' || c > '9';
        value = value * 10 + (c - '0');
    }
    at->left.data += count;
    at->left.size -= count;
    at->failed |= value > max;
    return value;
}

/* One character of `set`; 0, and failed, if it is none of them. */
static char one_of(struct cursor *at, const char *set) {
    if (at->left.size == 0 || !strchr(set, at->left.data[0])) {
        at->failed = true;
        return 0;
    }
    at->left.size--;
    return *at->left.data++;
}

static int64_t fraction_ms(struct cursor *at) {
    int64_t ms = 0, unit = 100;
    if (at->left.size == 0 || at->left.data[0] != '.')
        return 0;
    (void)one_of(at, ".");
    do {
        ms += unit * digits(at, 1, 9);
        unit /= 10;
    } while (!at->failed && at->left.size > 0 && at->left.data[0] >= '0' && at->left.data[0] <= '9');
    return ms;
}

static int64_t offset_ms(struct cursor *at) {
    const char sign = one_of(at, "Zz+-");
    if (sign != '+' && sign != '-')
        return 0;
    const int64_t hours = digits(at, 2, 23);
    (void)one_of(at, ":");
    const int64_t minutes = digits(at, 2, 59);
    return (sign == '-' ? -1 : 1) * (hours * 60 + minutes) * 60000;
}

/* False where the calendar does not know such a day. */
static bool seconds_of(const struct tm *given, int64_t *ret_seconds) {
    struct tm copy = *given;
    const time_t seconds = timegm(&copy);
    *ret_seconds = (int64_t)seconds;
    return copy.tm_mday == given->tm_mday && copy.tm_mon == given->tm_mon;
}

enum jq_err jqctl_when_parse(struct jq_str text, int64_t *ret_wall_ms, struct jq_error *reterr) {
    struct cursor at = {.left = text};
    struct tm tm = {.tm_isdst = 0};
    int64_t seconds = 0;
    tm.tm_year = digits(&at, 4, 9999) - 1900;
    (void)one_of(&at, "-");
    tm.tm_mon = digits(&at, 2, 12) - 1;
    (void)one_of(&at, "-");
    tm.tm_mday = digits(&at, 2, 31);
    (void)one_of(&at, "Tt ");
    tm.tm_hour = digits(&at, 2, 23);
    (void)one_of(&at, ":");
    tm.tm_min = digits(&at, 2, 59);
    (void)one_of(&at, ":");
    tm.tm_sec = digits(&at, 2, 59);
    const int64_t ms = fraction_ms(&at);
    const int64_t offset = offset_ms(&at);
    if (at.failed || at.left.size > 0 || tm.tm_year < 70 || !seconds_of(&tm, &seconds))
        return jq_fail(reterr, JQ_ERR_INVALID, "\"%.*s\" is no time such as 2024-02-29T12:00:00Z",
                       (int)(text.size < 64 ? text.size : 64), text.data);
    *ret_wall_ms = seconds * 1000 + ms - offset;
    return JQ_OK;
}

enum jq_err jqctl_when_parse_near(struct jq_str text, int64_t now_wall_ms, int direction, int64_t *ret_wall_ms,
                                  struct jq_error *reterr) {
    int64_t span_ms = 0;
    if (jq_text_parse_duration(text, &span_ms, NULL) == JQ_OK) {
        *ret_wall_ms = now_wall_ms + direction * span_ms;
        return JQ_OK;
    }
    struct jq_error error;
    if (jqctl_when_parse(text, ret_wall_ms, &error) == JQ_OK)
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_INVALID, "%s; a span such as 30m would do too", error.message);
}

/* ---- writing ----------------------------------------------------------------------------------------------------------- */

void jqctl_when_append(struct jq_buf *buf, int64_t wall_ms) {
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char text[40] = "";
    if (!localtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &tm) < 5) {
        jq_buf_append_format(buf, "%lld", (long long)wall_ms);
        return;
    }
    const size_t size = strlen(text); /* strftime() knows no colon within the offset */
    jq_buf_append(buf, text, size - 2);
    jq_buf_append_format(buf, ":%s", text + size - 2);
}

char *jqctl_span_format(int64_t ms, char place[JQCTL_SPAN_TEXT_SIZE]) {
    static const int64_t units[] = {86400000, 3600000, 60000, 1000, 1};
    char exact[JQ_DURATION_TEXT_SIZE];
    for (size_t i = 0; i + 2 < sizeof(units) / sizeof(units[0]); i++) {
        if (ms >= units[i]) {
            ms -= ms % units[i + 1];
            break;
        }
    }
    if (ms >= 1000 && ms < 60000 && ms % 1000 != 0) /* 12.3s, not 12s345ms */
        snprintf(place, JQCTL_SPAN_TEXT_SIZE, ms < 10000 ? "%.1fs" : "%.0fs", (double)(ms - ms % 100) / 1000);
    else
        snprintf(place, JQCTL_SPAN_TEXT_SIZE, "%s", jq_text_format_duration(ms, exact));
    return place;
}

void jqctl_when_append_age(struct jq_buf *buf, int64_t wall_ms, int64_t now_ms) {
    char place[JQCTL_SPAN_TEXT_SIZE];
    const int64_t ago_ms = now_ms - wall_ms;
    if (ago_ms >= 1000)
        jq_buf_append_format(buf, "%s ago", jqctl_span_format(ago_ms, place));
    else if (ago_ms <= -1000)
        jq_buf_append_format(buf, "in %s", jqctl_span_format(-ago_ms, place));
    else
        jq_buf_append_format(buf, "now");
}
