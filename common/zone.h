/* zone.h - time zones: a TZif file's bytes become a table of what a clock on the wall shows there.
 *
 * Source:    RFC 8536 (TZif, version 2 and above) and the TZ variable of POSIX, with the extensions of section 3.3.1 of the
 *            RFC, for the times behind a file's last change. Files with leap seconds ("right/") are refused.
 * Units:     `at_s` is UTC in seconds since 1970; `civil_s` what the clock on the wall shows, in the same form (civil.h);
 *            offset_s = civil_s - at_s. Times asked for lie within JQ_ZONE_AT_MAX_S of 1970.
 * Errors:    JQ_ERR_INVALID (no TZif, or damaged), JQ_ERR_VERSION (version 1), JQ_ERR_UNSUPPORTED (leap seconds),
 *            JQ_ERR_TOO_BIG, JQ_ERR_NOMEM. The bytes may be anything: every size is checked before it is believed.
 *
 * Everything here is pure: who has the files reads them (zone_file.h).
 */
#ifndef JQ_COMMON_ZONE_H
#define JQ_COMMON_ZONE_H

#include "common/err.h"
#include "common/types.h"

enum {
    JQ_ZONE_FILE_SIZE_MAX = 64 * 1024,
    JQ_ZONE_OFFSET_MAX_S = 26 * 3600, /* either way; RFC 8536 asks for -25 h to 26 h */
    JQ_ZONE_RULE_SIZE_MAX = 255,      /* of a POSIX rule */
};
#define JQ_ZONE_AT_MAX_S (INT64_C(1) << 40) /* some 35,000 years */

struct jq_zone; /* Opaque, read-only: jq_zone_parse() .. jq_zone_free(). */

extern const struct jq_zone jq_zone_utc;

enum jq_err jq_zone_parse(struct jq_bytes tzif, struct jq_zone **ret_zone, struct jq_error *reterr);
/* A zone that is nothing but a rule: "CET-1CEST,M3.5.0,M10.5.0/3". */
enum jq_err jq_zone_of_rule(struct jq_str rule, struct jq_zone **ret_zone, struct jq_error *reterr);
void jq_zone_free(struct jq_zone *zone);

/* A stretch of time, [begin_s, end_s), within which the offset stays. INT64_MIN and INT64_MAX: without end. */
struct jq_zone_span {
    int64_t begin_s, end_s;
    int64_t offset_s;
};
struct jq_zone_span jq_zone_span_at(const struct jq_zone *zone, int64_t at_s);

/* The first moment at which the clock on the wall shows `civil_s` or more: of a time that exists twice the first, of one that
 * does not exist the end of the gap. */
int64_t jq_zone_first_s(const struct jq_zone *zone, int64_t civil_s);

#endif
