/* limit.h - how limits are written: what they hold for, and how fast is fast enough.
 *
 *     queue:NAME  handler:NAME  group:QUEUE/NAME  group:QUEUE/ and a star  (the last: each group of the queue that has no limit of its own)
 *     5/s  100/m  100/h  3/d  1/90s                             (so many starts in so long)
 *
 * Parsers take the whole text or refuse it with JQ_ERR_INVALID or JQ_ERR_TOO_BIG; the message quotes it and names the reason.
 * Formatters write at most the size of `place`, a NUL included, and return it. Pure.
 */
#ifndef JQ_COMMON_LIMIT_H
#define JQ_COMMON_LIMIT_H

#include "common/err.h"
#include "common/types.h"

enum {
    JQ_SCOPE_SIZE_MAX = sizeof("handler:") + JQ_NAME_SIZE_MAX + JQ_KEY_SIZE_MAX,
    JQ_RATE_TEXT_SIZE = 64,
    JQ_RATE_COUNT_MAX = 1000000,
    JQ_BURST_MAX = 1000000,
};
#define JQ_RATE_PERIOD_MS_MAX (INT64_C(366) * 24 * 3600 * 1000)
#define JQ_RATE_REFILL_US_MAX (INT64_C(10) * 366 * 24 * 3600 * 1000000) /* until a whole burst has come back */

enum jq_scope_kind { JQ_SCOPE_QUEUE = 1, JQ_SCOPE_HANDLER, JQ_SCOPE_GROUP, JQ_SCOPE_EACH_GROUP };

/* Both texts are lent by the parsed text. */
struct jq_scope {
    enum jq_scope_kind kind;
    struct jq_str name;  /* of the queue or the handler */
    struct jq_str group; /* of JQ_SCOPE_GROUP; else empty */
};
enum jq_err jq_scope_parse(struct jq_str text, struct jq_scope *ret_scope, struct jq_error *reterr);

struct jq_rate {
    uint32_t count; /* 0: no rate */
    int64_t period_ms;
};
enum jq_err jq_rate_parse(struct jq_str text, struct jq_rate *ret_rate, struct jq_error *reterr);
char *jq_rate_format(struct jq_rate rate, char place[JQ_RATE_TEXT_SIZE]);

/* Time between two starts at that rate, in microseconds, rounded up: at least 1. */
int64_t jq_rate_interval_us(struct jq_rate rate);

/* What a rate allows at once where nobody says: the starts that fall into 10 ms, at least one. So 100/h is one every 36 s,
 * and a rate of thousands a second is not held back by the grain of the clock. */
uint32_t jq_rate_burst_default(struct jq_rate rate);

/* JQ_ERR_TOO_BIG where a burst of that size would take more than ten years to come back. */
enum jq_err jq_rate_check_burst(struct jq_rate rate, uint32_t burst, struct jq_error *reterr);

#endif
