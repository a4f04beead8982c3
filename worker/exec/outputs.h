/* outputs.h - where a task's output files go, until files travel through the broker: a folder of its own in a configured directory.
 *
 * An attempt writes into output_dir/.TASK.ATTEMPT; once the broker accepted its success that becomes output_dir/TASK. Two attempts never
 * write into one place, and what stands under TASK is whole. Several workers may share the directory.
 */
#ifndef JQ_WORKER_EXEC_OUTPUTS_H
#define JQ_WORKER_EXEC_OUTPUTS_H

#include "common/err.h"
#include "common/types.h"

#include <stdbool.h>
#include <sys/types.h>

struct jq_outputs_owner {
    uid_t uid;
    gid_t gid;
};

/* Makes output_dir/.TASK.ATTEMPT, empty, for `owner` (NULL: the worker's user), and gives its path. output_dir must exist. */
enum jq_err jq_outputs_begin(const char *output_dir, jq_task_id task, uint32_t attempt,
                             const struct jq_outputs_owner *owner, char *ret_path, size_t path_size,
                             struct jq_error *reterr);

/* accepted: renames it to TASK, unless it is empty, which goes. Not accepted: removes it. What is done already is JQ_OK, so that it can be
 * asked for twice. JQ_ERR_EXISTS if TASK stands already while the attempt's does too. */
enum jq_err jq_outputs_end(const char *output_dir, jq_task_id task, uint32_t attempt, bool accepted,
                           struct jq_error *reterr);

/* output_dir/TASK, where the files are after success. */
enum jq_err jq_outputs_final(const char *output_dir, jq_task_id task, char *ret_path, size_t path_size,
                             struct jq_error *reterr);

#endif
