/* outputs.h - output of running tasks, from their workers to whoever reads: output.put and task.logs. No business of the core but to say
 * whose a task is.
 *
 * Workers tell of tasks that run long enough, at first seldom, and often while the answer says that somebody follows; followers ask again
 * and again. Nobody waits for anybody: what a slow follower misses is gone, and told as gone.
 *
 * Threads: ask() from any; the rest on the core thread.
 */
#ifndef JQ_BROKER_SHELL_OUTPUTS_H
#define JQ_BROKER_SHELL_OUTPUTS_H

#include "broker/shell/engine.h"
#include "broker/shell/metrics.h"
#include "common/transport/server.h"

struct jq_outputs; /* Opaque: jq_outputs_new() .. end of the process. */

enum jq_err jq_outputs_new(struct jq_engine *engine, struct jq_metrics *metrics, uint64_t bytes_max,
                           struct jq_outputs **ret_outputs, struct jq_error *reterr);

/* True: the request is one of these, and the call is answered sooner or later. See jq_net_config.aside. */
bool jq_outputs_ask(struct jq_outputs *outputs, struct jq_call *call, const struct jq_request *request);

#endif
