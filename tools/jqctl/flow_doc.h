/* flow_doc.h - a flow as a document, of JSON or msgpack:
 *
 *     {"name": "nightly", "defaults": {"queue": "cad"}, "tasks": [
 *         {"name": "fetch", "handler": "fetch"},
 *         {"name": "report", "handler": "report", "after": ["fetch"], "on": "finished"}]}
 *
 * A task has the fields of spec.h, but no key; `after` names tasks of the document, before or behind it. `defaults` are a task's
 * fields, hold for all, and stand before the tasks. Names of tasks are needed only where they are named.
 *
 * Ownership: the flow's texts and payloads lie in the memory that it was made with.
 */
#ifndef JQ_TOOLS_JQCTL_FLOW_DOC_H
#define JQ_TOOLS_JQCTL_FLOW_DOC_H

#include "tools/jqctl/spec.h"

enum { JQCTL_FLOW_SIZE_MAX = 256 * 1024 * 1024 };

/* JQ_ERR_INVALID names the task and the field, or the name that is not in the document, or is there twice. */
enum jq_err jqctl_flow_read(struct jq_bytes document, struct jqctl_memory *memory, struct jq_flow **ret_flow,
                            struct jq_error *reterr);

#endif
