#include "tools/jqctl/rate.h"

#include "common/text.h"

#define SECOND_US INT64_C(1000000)

static int64_t unit_us(struct jq_str unit) {
    if (unit.size != 1)
        return 0;
    switch (unit.data[0]) {
    case 's': return SECOND_US;
    case 'm': return 60 * SECOND_US;
    case 'h': return 3600 * SECOND_US;
    case 'd': return 24 * 3600 * SECOND_US;
    default: return 0;
    }
}

enum jq_err jqctl_rate_parse(struct jq_str text, int64_t *ret_interval_us, struct jq_error *reterr) {
    const char *slash = text.size > 0 ? memchr(text.data, '/', text.size) : NULL;
    const size_t size = slash ? (size_t)(slash - text.data) : text.size;
    const int64_t us = slash ? unit_us((struct jq_str){slash + 1, text.size - size - 1}) : 0;
    const int shown = (int)(text.size < 40 ? text.size : 40);
    uint64_t number = 0;
    if (us == 0 || jq_text_parse_uint((struct jq_str){text.data, size}, UINT64_MAX / 2, &number, NULL) != JQ_OK)
        return jq_fail(reterr, JQ_ERR_INVALID, "\"%.*s\" is no rate: NUMBER/UNIT, such as 10/s or 100/h", shown,
                       text.data);
    if (number == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "\"%.*s\" would never end", shown, text.data);
    if (number > (uint64_t)us)
        return jq_fail(reterr, JQ_ERR_INVALID, "\"%.*s\" is more than a million a second", shown, text.data);
    *ret_interval_us = us / (int64_t)number;
    return JQ_OK;
}
