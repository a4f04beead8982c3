/* outputs.h - what tasks write, told to the broker (output.put) for `jqctl task logs`.
 *
 * A task that runs long enough is told of at growing distances, and often while the broker says that somebody follows. The last 64 KiB of
 * stdout and of stderr of one that ended go ahead of its report where the report cannot hold them (4 KiB of each): the report waits for
 * that, but not long.
 */
#ifndef JQ_WORKER_SHELL_OUTPUTS_H
#define JQ_WORKER_SHELL_OUTPUTS_H

#include "worker/shell/worker.h"

/* Its process has ended: told to the agent now, or as soon as what it wrote has been told. `lent`: the child is somebody else's once this
 * returns. */
void jq_outputs_ended(struct jq_run *run, const struct jq_exec_outcome *outcome, bool lent);
void jq_outputs_serve(struct jq_worker_shell *worker, int64_t now_ms);
int64_t jq_outputs_deadline_ms(const struct jq_worker_shell *worker); /* INT64_MAX: none */
void jq_outputs_forget(struct jq_run *run);

/* Of a run that has ended; NULL: it never had a process. */
const struct jq_exec_outcome *jq_run_outcome(const struct jq_run *run);

#endif
