/* json_read.h - reads one JSON document (RFC 8259) and tells what is in it, part by part, in order.
 *
 * Reading is done by libjansson; this is the bound around it. Only programs that read JSON link it.
 * Refused, with line and column: what is not JSON, not UTF-8, followed by more text; a member named twice in one
 * object; U+0000 within a string; numbers beyond int64_t that are written as whole numbers, and beyond double
 * otherwise.
 */
#ifndef JQ_COMMON_JSON_READ_H
#define JQ_COMMON_JSON_READ_H

#include "common/err.h"
#include "common/types.h"

enum { JQ_JSON_READ_DEPTH_MAX = 32 }; /* objects and arrays inside each other */

enum jq_json_kind {
    JQ_JSON_NULL,
    JQ_JSON_BOOL,
    JQ_JSON_INT,
    JQ_JSON_DOUBLE,
    JQ_JSON_STR,
    JQ_JSON_OBJECT_BEGIN, /* `count` members follow, each a key and a value; then the end */
    JQ_JSON_KEY,
    JQ_JSON_OBJECT_END,
    JQ_JSON_ARRAY_BEGIN, /* `count` values follow; then the end */
    JQ_JSON_ARRAY_END,
};

struct jq_json_part {
    enum jq_json_kind kind;
    union {
        bool boolean;
        int64_t number;
        double real;
        struct jq_str text; /* of a string or key; UTF-8; lent for the call */
        size_t count;
    };
};

/* Reads `text`, at most `size_max` bytes, any value at the top, and calls `visit` for each part. The whole document is
 * checked before the first call. Anything but JQ_OK from `visit` stops the reading, and is what jq_json_read() returns.
 * JQ_ERR_TOO_BIG: too long or too deep. JQ_ERR_INVALID: not JSON. JQ_ERR_NOMEM. */
enum jq_err jq_json_read(struct jq_str text, size_t size_max,
                         enum jq_err (*visit)(void *ctx, const struct jq_json_part *part, struct jq_error *reterr),
                         void *ctx, struct jq_error *reterr);

#endif
