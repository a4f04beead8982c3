/* events.h - one event, as `events follow` and `events past` print it. */
#ifndef JQ_TOOLS_JQCTL_EVENTS_H
#define JQ_TOOLS_JQCTL_EVENTS_H

#include "tools/jqctl/print.h"

/* A JSON object a line, or a line for people. `line` is scratch, empty before and afterwards. */
void jqctl_event_print(const struct jqctl *ctl, struct jq_buf *line, struct jq_view row);

#endif
