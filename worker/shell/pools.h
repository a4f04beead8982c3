/* pools.h - the worker's warm processes: a pool for each handler of kind pool. At most as many processes as the worker has slots: for one
 * more, the one that rests longest gives way. */
#ifndef JQ_WORKER_SHELL_POOLS_H
#define JQ_WORKER_SHELL_POOLS_H

#include "worker/shell/worker.h"

/* Nothing (worker->pools stays NULL) where no handler is of kind pool. Processes start with the first tasks. */
enum jq_err jq_pools_open(struct jq_worker_shell *worker, struct jq_error *reterr);
void jq_pools_close(struct jq_pools *pools);

/* Gives it to a warm process; run->child is that process until the end is told to the agent. */
enum jq_err jq_pools_launch(struct jq_run *run, struct jq_error *reterr);
/* A run that has a process goes away. */
void jq_pools_forget(struct jq_run *run);

#endif
