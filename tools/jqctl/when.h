/* when.h - times as people read and type them. */
#ifndef JQ_TOOLS_JQCTL_WHEN_H
#define JQ_TOOLS_JQCTL_WHEN_H

#include "common/buf.h"
#include "common/err.h"
#include "common/types.h"

enum { JQCTL_SPAN_TEXT_SIZE = 48 };

/* RFC 3339: "2024-02-29T12:00:00Z", with fractions (cut to ms) and offsets; 't', 'z' and a blank for the T too. UTC ms. */
enum jq_err jqctl_when_parse(struct jq_str text, int64_t *ret_wall_ms, struct jq_error *reterr);

/* The same, or a span such as "30m", which counts from `now_wall_ms`: ahead of it (`direction` 1) or back (-1). */
enum jq_err jqctl_when_parse_near(struct jq_str text, int64_t now_wall_ms, int direction, int64_t *ret_wall_ms,
                                  struct jq_error *reterr);

/* RFC 3339 in the zone of this machine: "2024-02-29T13:00:00+01:00". */
void jqctl_when_append(struct jq_buf *buf, int64_t wall_ms);

/* "now", "3m ago", "in 2h". */
void jqctl_when_append_age(struct jq_buf *buf, int64_t wall_ms, int64_t now_ms);

/* A span as people say it: its two largest units, "1h30m", "12s", "350ms". */
char *jqctl_span_format(int64_t ms, char place[JQCTL_SPAN_TEXT_SIZE]);

#endif
