/* many.h - what is done to many tasks: to those whose ids are given, or to all that a --where selects. */
#ifndef JQ_TOOLS_JQCTL_MANY_H
#define JQ_TOOLS_JQCTL_MANY_H

#include "tools/jqctl/jqctl.h"

struct jqctl_many {
    const char *op;                   /* on the wire */
    const char *verb;                 /* "Cancel", for the question */
    const char *done;                 /* "cancelled", for the summary */
    const char *kind;                 /* of the document */
    const struct jq_message *message; /* its first field holds the ids; others are `where` and `dry_run` */
    int64_t grace_ms;                 /* of task.cancel; 0: none is named */
    int64_t interval_us;              /* of dead.replay; 0: none is named */
    const char *queue;                /* of task.move; else NULL */
};

/* Asks for all of them, a frame's worth at a time, tells of those that were refused, and sums up. JQCTL_FAILED if any was. */
int jqctl_do_many(struct jqctl *ctl, const struct jqctl_many *many, const jq_task_id *ids, size_t count);

/* The fields that all such requests share, but for the tasks themselves. */
size_t jqctl_many_fields(const struct jqctl_many *many);
void jqctl_fill_many(struct jq_pack *pack, const struct jqctl_many *many);

/* To all that `where` selects: counts them and asks first, unless --yes is given; with --dry-run only counts them. The command must
 * have both options. */
int jqctl_do_where(struct jqctl *ctl, const struct jqctl_many *many, const char *where);

/* By the command's operands, or by its --where. */
int jqctl_do_tasks(struct jqctl *ctl, const struct jqctl_many *many);

#endif
