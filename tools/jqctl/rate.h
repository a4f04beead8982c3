/* rate.h - rates as people write them: "10/s", "100/h". */
#ifndef JQ_TOOLS_JQCTL_RATE_H
#define JQ_TOOLS_JQCTL_RATE_H

#include "common/err.h"
#include "common/types.h"

/* NUMBER/UNIT, with the units s, m, h and d; the number is whole and not 0, at most a million a second and at least one a day.
 * Gives the time between two, in microseconds. JQ_ERR_INVALID quotes the text and says what is wrong. */
enum jq_err jqctl_rate_parse(struct jq_str text, int64_t *ret_interval_us, struct jq_error *reterr);

#endif
