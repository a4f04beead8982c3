/* wait.h - waiting for tasks to end. */
#ifndef JQ_TOOLS_JQCTL_WAIT_H
#define JQ_TOOLS_JQCTL_WAIT_H

#include "tools/jqctl/task.h"

/* Waits until all have ended or --timeout is over (EX_TEMPFAIL), with a progress bar on a terminal; a broker that goes away meanwhile is
 * waited for, too.
 * Prints those that ended, as a table or as the document `task.outcomes`. Gives JQCTL_FAILED unless all of them succeeded. */
int jqctl_wait_all(struct jqctl *ctl, const jq_task_id *ids, size_t count);

/* Waits for one and prints its result on stdout: JSON where it is msgpack, else its bytes. */
int jqctl_wait_result(struct jqctl *ctl, jq_task_id id);

/* The same; `on_success` (lent a row, gives an exit code) is told of one that has succeeded. */
int jqctl_wait_result_then(struct jqctl *ctl, jq_task_id id, int (*on_success)(void *then_ctx, struct jq_view row),
                           void *then_ctx);

#endif
