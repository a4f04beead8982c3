/* jsonl.h - many tasks, one a line of JSON. */
#ifndef JQ_TOOLS_JQCTL_JSONL_H
#define JQ_TOOLS_JQCTL_JSONL_H

#include "tools/jqctl/jqctl.h"

/* Submits the tasks of a file ("-": stdin), batch after batch; `common` holds what their lines do not say. Prints their ids, one a
 * line (or the document `task.submitted.list`), refusals with their lines on stderr, and a summary. With --wait the outcomes instead
 * of the ids. JQCTL_FAILED if any was refused. */
int jqctl_submit_lines(struct jqctl *ctl, const char *path, const struct jq_task_spec *common);

#endif
