/* cron.h - when something is due again and again: five fields as crontab(5) has them, names for common ones, or every so often.
 *
 *     schedule := minute hour day month weekday | "@" name | "@every " duration
 *     field    := part { "," part }        a part is taken where any of them is
 *     part     := ( "*" | value | value "-" value ) [ "/" step ]        a step needs "*" or a range
 *     value    := number | a name of a month or a weekday: JAN, mon
 *     name     := yearly annually monthly weekly daily midnight hourly
 *     duration := 90s, 1h30m: units d h m s, each at most once, largest first; 1 s to 366 days
 *
 * Fields:    minute 0-59, hour 0-23, day 1-31, month 1-12, weekday 0-7 (0 and 7 are Sunday). If both day and weekday leave
 *            out days, a day that either of them takes is taken; else one that both take.
 * Zones:     the fields are what a clock on the wall shows. Where that clock jumps,
 *              - a time that does not exist becomes the end of the gap, once, however many fall into it;
 *              - a time that exists twice is its first;
 *              - but a schedule that takes every hour (`*`) goes by time as it passes: it leaves out what does not exist, and
 *                takes what exists twice both times.
 *            `@every` knows no zone: it counts from an anchor.
 * Units:     times are UTC in ms.
 * Errors:    JQ_ERR_INVALID; messages name the field and the reason: "hour: 24 is above 23".
 *
 * Everything here is pure.
 */
#ifndef JQ_COMMON_CRON_H
#define JQ_COMMON_CRON_H

#include "common/zone.h"

enum { JQ_CRON_TEXT_SIZE_MAX = 255 };
#define JQ_CRON_EVERY_MS_MAX (INT64_C(366) * 86400000)

struct jq_cron {
    int64_t every_ms; /* above 0: @every, and the masks are not looked at */
    uint64_t minutes; /* bit per value, as the other masks */
    uint32_t hours, days;
    uint16_t months;
    uint8_t weekdays;
};

enum jq_err jq_cron_parse(struct jq_str text, struct jq_cron *ret_cron, struct jq_error *reterr);

/* The first time it is due after `after_ms`. `anchor_ms` is of @every alone: it is due at the anchor plus each multiple of its
 * span, the first of them 1. False: never (30 February); it looks nine years ahead, one more than any leap day is away. */
bool jq_cron_next(const struct jq_cron *cron, const struct jq_zone *zone, int64_t anchor_ms, int64_t after_ms,
                  int64_t *ret_ms);

#endif
