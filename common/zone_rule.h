/* zone_rule.h - the POSIX rule of a time zone: "CET-1CEST,M3.5.0,M10.5.0/3". For zone.c alone.
 *
 * Source: POSIX.1-2017, XBD 8.3, TZ; times from -167 to 167 hours as RFC 8536, section 3.3.1, allows. A rule with daylight
 *         time must say when it begins and ends.
 */
#ifndef JQ_COMMON_ZONE_RULE_H
#define JQ_COMMON_ZONE_RULE_H

#include "common/zone.h"

enum jq_zone_day {
    JQ_ZONE_DAY_JULIAN,   /* Jn: 1 to 365, 29 February is never counted */
    JQ_ZONE_DAY_OF_YEAR,  /* n: 0 to 365, 29 February is counted */
    JQ_ZONE_DAY_OF_MONTH, /* Mm.w.d: the w-th weekday d of the month m; w = 5: the last */
};

struct jq_zone_when {
    enum jq_zone_day kind;
    int month, week, day;
    int32_t time_s; /* of the local time that holds before the change */
};

struct jq_zone_rule {
    int32_t standard_s, daylight_s; /* offsets */
    bool daylight;
    struct jq_zone_when begin, end; /* of daylight time */
};

enum jq_err jq_zone_rule_parse(struct jq_str text, struct jq_zone_rule *ret_rule, struct jq_error *reterr);

struct jq_zone_span jq_zone_rule_span(const struct jq_zone_rule *rule, int64_t at_s);

#endif
