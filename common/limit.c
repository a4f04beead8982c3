#include "common/limit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

enum { BURST_WINDOW_US = 10000, QUOTED_MAX = 80 };

/* ---- scopes ---- */

static bool strip(struct jq_str *text, struct jq_str prefix) {
    if (text->size < prefix.size || memcmp(text->data, prefix.data, prefix.size) != 0)
        return false;
    *text = (struct jq_str){text->data + prefix.size, text->size - prefix.size};
    return true;
}

static int quoted_size(struct jq_str text) {
    return (int)(text.size < QUOTED_MAX ? text.size : QUOTED_MAX);
}

static enum jq_err check_name(struct jq_str name, const char *what, struct jq_error *reterr) {
    if (jq_name_valid(name))
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_INVALID, "\"%.*s\" is no name of a %s: [a-z0-9_.-], 1 to %d characters",
                   quoted_size(name), name.data ? name.data : "", what, JQ_NAME_SIZE_MAX);
}

static enum jq_err parse_group(struct jq_str rest, struct jq_scope *scope, struct jq_error *reterr) {
    const char *slash = rest.size > 0 ? memchr(rest.data, '/', rest.size) : NULL;
    if (!slash)
        return jq_fail(reterr, JQ_ERR_INVALID, "\"group:%.*s\" lacks the / between queue and group", quoted_size(rest),
                       rest.data ? rest.data : "");
    scope->name = (struct jq_str){rest.data, (size_t)(slash - rest.data)};
    scope->group = (struct jq_str){slash + 1, rest.size - scope->name.size - 1};
    scope->kind = JQ_SCOPE_GROUP;
    if (jq_str_equal(scope->group, JQ_STR("*"))) {
        scope->kind = JQ_SCOPE_EACH_GROUP;
        scope->group = JQ_STR("");
    } else if (scope->group.size == 0 || scope->group.size > JQ_KEY_SIZE_MAX) {
        return jq_fail(reterr, JQ_ERR_INVALID, "the name of the group has %zu bytes, not 1 to %d", scope->group.size,
                       JQ_KEY_SIZE_MAX);
    }
    return check_name(scope->name, "queue", reterr);
}

enum jq_err jq_scope_parse(struct jq_str text, struct jq_scope *ret_scope, struct jq_error *reterr) {
    struct jq_scope scope = {.name = text, .group = JQ_STR("")};
    enum jq_err err;
    if (strip(&scope.name, JQ_STR("queue:"))) {
        scope.kind = JQ_SCOPE_QUEUE;
        err = check_name(scope.name, "queue", reterr);
    } else if (strip(&scope.name, JQ_STR("handler:"))) {
        scope.kind = JQ_SCOPE_HANDLER;
        err = check_name(scope.name, "handler", reterr);
    } else if (strip(&scope.name, JQ_STR("group:"))) {
        err = parse_group(scope.name, &scope, reterr);
    } else {
        err = jq_fail(reterr, JQ_ERR_INVALID,
                      "\"%.*s\" is none of queue:NAME, handler:NAME, group:QUEUE/NAME, group:QUEUE/*",
                      quoted_size(text), text.data ? text.data : "");
    }
    if (err == JQ_OK)
        *ret_scope = scope;
    return err;
}

/* ---- rates ---- */

static const struct {
    char letter;
    int64_t ms;
} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
enum { UNITS_COUNT = sizeof(units) / sizeof(units[0]) };

static enum jq_err parse_period(struct jq_str text, int64_t *ret_ms, struct jq_error *reterr) {
    for (size_t i = 0; text.size == 1 && i < UNITS_COUNT; i++) {
        if (units[i].letter == text.data[0]) {
            *ret_ms = units[i].ms;
            return JQ_OK;
        }
    }
    return jq_text_parse_duration(text, ret_ms, reterr);
}

static enum jq_err check_rate(struct jq_rate rate, struct jq_str text, struct jq_error *reterr) {
    if (rate.count == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "\"%.*s\": a rate of zero lets nothing run; pause the queue instead",
                       quoted_size(text), text.data);
    if (rate.period_ms <= 0 || rate.period_ms > JQ_RATE_PERIOD_MS_MAX)
        return jq_fail(reterr, JQ_ERR_INVALID, "\"%.*s\": the period is not between 1ms and 366d", quoted_size(text),
                       text.data);
    if ((int64_t)rate.count > rate.period_ms * 1000)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "\"%.*s\": more than a million in a second", quoted_size(text),
                       text.data);
    return JQ_OK;
}

enum jq_err jq_rate_parse(struct jq_str text, struct jq_rate *ret_rate, struct jq_error *reterr) {
    const char *slash = text.size > 0 ? memchr(text.data, '/', text.size) : NULL;
    struct jq_rate rate = {0};
    uint64_t count = 0;
    if (!slash)
        return jq_fail(reterr, JQ_ERR_INVALID, "\"%.*s\" is no rate such as 5/s, 100/m, 100/h, 3/d or 1/90s",
                       quoted_size(text), text.data ? text.data : "");
    const struct jq_str number = {text.data, (size_t)(slash - text.data)};
    const struct jq_str period = {slash + 1, text.size - number.size - 1};
    enum jq_err err = jq_text_parse_uint(number, JQ_RATE_COUNT_MAX, &count, reterr);
    if (err == JQ_OK)
        err = parse_period(period, &rate.period_ms, reterr);
    rate.count = (uint32_t)count;
    if (err == JQ_OK)
        err = check_rate(rate, text, reterr);
    if (err == JQ_OK)
        *ret_rate = rate;
    return err;
}

char *jq_rate_format(struct jq_rate rate, char place[JQ_RATE_TEXT_SIZE]) {
    char duration[JQ_DURATION_TEXT_SIZE];
    for (size_t i = 0; i < UNITS_COUNT; i++) {
        if (units[i].ms == rate.period_ms) {
            snprintf(place, JQ_RATE_TEXT_SIZE, "%" PRIu32 "/%c", rate.count, units[i].letter);
            return place;
        }
    }
    snprintf(place, JQ_RATE_TEXT_SIZE, "%" PRIu32 "/%s", rate.count, jq_text_format_duration(rate.period_ms, duration));
    return place;
}

int64_t jq_rate_interval_us(struct jq_rate rate) {
    JQ_CHECK(rate.count > 0);
    return (rate.period_ms * 1000 + rate.count - 1) / rate.count;
}

uint32_t jq_rate_burst_default(struct jq_rate rate) {
    const int64_t interval_us = jq_rate_interval_us(rate);
    return (uint32_t)((BURST_WINDOW_US + interval_us - 1) / interval_us);
}

enum jq_err jq_rate_check_burst(struct jq_rate rate, uint32_t burst, struct jq_error *reterr) {
    if ((int64_t)burst <= JQ_RATE_REFILL_US_MAX / jq_rate_interval_us(rate))
        return JQ_OK;
    char text[JQ_RATE_TEXT_SIZE];
    return jq_fail(reterr, JQ_ERR_TOO_BIG, "%" PRIu32 " at %s take more than ten years to come back", burst,
                   jq_rate_format(rate, text));
}
