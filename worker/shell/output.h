/* output.h - where a task's files go: a folder of its own in output_dir.
 *
 * An attempt writes into output_dir/.TASK.ATTEMPT, made empty for it; once the broker accepted its success that becomes output_dir/TASK. Two
 * attempts never write into one place, and what stands under TASK is whole: files of an earlier success (the task was replayed) give way in
 * one step. output_dir is one worker's alone, which holds a lock on it: at its start it removes what attempts left there.
 */
#ifndef JQ_WORKER_SHELL_OUTPUT_H
#define JQ_WORKER_SHELL_OUTPUT_H

#include "worker/shell/worker.h"

/* Makes output_dir if it is missing, and takes it for this worker, until jq_output_close() or the end of the process. JQ_ERR_LOCKED:
 * another worker runs on it. Where the file system has no locks, that is said in the log, and nothing is held. */
enum jq_err jq_output_open(struct jq_worker_shell *worker, struct jq_error *reterr);
void jq_output_close(struct jq_worker_shell *worker);

/* Makes the attempt's folder and sets run->output, unless the handler makes no files (output_files_max = 0). On failure nothing is left. */
enum jq_err jq_output_make(struct jq_run *run, struct jq_error *reterr);

/* The outcome was accepted: the folder becomes output_dir/TASK; an empty one goes. May be told again. */
void jq_output_keep(struct jq_run *run);

/* It was not, or the attempt failed: the folder goes with all that is in it. May be told again. */
void jq_output_discard(struct jq_run *run);

/* output_dir/TASK, where the files are after success. JQ_ERR_INVALID: the path is too long. */
enum jq_err jq_output_final(const struct jq_run *run, char ret_path[WORKER_PATH_MAX], struct jq_error *reterr);

/* Removes what attempts of a worker that was killed left: nobody else writes here, and their outcome was never accepted. */
void jq_output_clear_old(struct jq_worker_shell *worker);

#endif
