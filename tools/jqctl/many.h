/* many.h - requests about many tasks: cancel, and what is done to dead letters. */
#ifndef JQ_TOOLS_JQCTL_MANY_H
#define JQ_TOOLS_JQCTL_MANY_H

#include "tools/jqctl/jqctl.h"

struct jqctl_many {
    const char *op;                   /* on the wire */
    const char *done;                 /* "cancelled", for the summary */
    const char *kind;                 /* of the document */
    const struct jq_message *message; /* its first field holds the ids */
    int64_t grace_ms;                 /* of task.cancel; 0: none is named */
    int64_t interval_us;              /* of dead.replay; 0: none is named */
};

/* Asks for all of them, a frame's worth at a time, tells of those that were refused, and sums up. JQCTL_FAILED if any was. */
int jqctl_do_many(struct jqctl *ctl, const struct jqctl_many *many, const jq_task_id *ids, size_t count);

#endif
