/* pool_output.h - where the tasks of a warm process put their files: within its own folder output_dir/.LABEL, until each task ends.
 *
 * output_dir "" is none: everything does nothing, and paths are "". The folder is writable by the tasks, output_dir is not: what was
 * moved out of reach is looked at again before it counts.
 */
#ifndef JQ_WORKER_POOL_POOL_OUTPUT_H
#define JQ_WORKER_POOL_POOL_OUTPUT_H

#include "worker/exec/child.h"
#include "worker/exec/warm.h"

#include <limits.h>

/* output_dir/.LABEL, made for the user of `spec`. */
enum jq_err jq_pool_output_open(const char *output_dir, const char *label, const struct jq_exec_spec *spec,
                                char *ret_path, size_t size, struct jq_error *reterr);
/* Removes it. */
void jq_pool_output_close(const char *output_dir, const char *label);

/* output_dir/.LABEL/TASK.ATTEMPT, made; and output_dir/TASK, where that is found after success. */
enum jq_err jq_pool_output_make(const char *output_dir, const char *label, const struct jq_exec_turn *turn,
                                const struct jq_exec_spec *spec, char ret_path[PATH_MAX], char ret_final[PATH_MAX],
                                struct jq_error *reterr);
/* Moves it to output_dir/.TASK.ATTEMPT; "" if there is no folder any more. */
void jq_pool_output_take(const char *output_dir, const char *label, const struct jq_exec_turn *turn,
                         char ret_path[PATH_MAX]);
/* Removes what was taken. */
void jq_pool_output_drop(const char *output_dir, const struct jq_exec_turn *turn);

#endif
