/* files.h - the files of tasks: inputs are fetched before the handler starts, outputs stored when it has succeeded.
 *
 * Couriers, a few threads, do both, so that the loop never waits for a file, and a large file of one task delays no other's. Inputs are staged in a folder
 * that becomes `inputs` in the task's work dir; blobs that were fetched are kept in a cache within a quota, and checked anew each
 * time they are taken from there. What a task has left is opened without following links.
 *
 * Threads:   all functions are the loop's; a courier touches jobs that are under way alone.
 */
#ifndef JQ_WORKER_SHELL_FILES_H
#define JQ_WORKER_SHELL_FILES_H

#include "worker/shell/worker.h"

struct jq_courier;

/* After the link: wakes it when a job is done. `token`: for the broker; empty: none. */
enum jq_err jq_courier_open(struct jq_worker_shell *worker, const char *token, struct jq_courier **ret_courier,
                            struct jq_error *reterr);
/* Jobs under way are left to the end of the process. */
void jq_courier_close(struct jq_courier *courier);

void jq_files_take(struct jq_run *run, const struct jq_link_task *task);
void jq_files_free(struct jq_run *run);

/* False: there is nothing (more) to fetch. Else serve() goes on with jq_launch() when all is here. */
bool jq_files_begin(struct jq_run *run);
/* The folder with the inputs; NULL: none. */
const char *jq_files_inputs(const struct jq_run *run);
/* The child has ended. False: there is nothing to store. Else serve() ends the run when that is done. */
bool jq_files_store(struct jq_run *run);
/* It was asked for outputs, which are stored as blobs. */
bool jq_files_asked(const struct jq_run *run);
/* What became of storing, into the report of a child that succeeded. */
void jq_files_report(const struct jq_run *run, struct jq_link_report *report);

/* A courier has them: fetching before the child, or storing after it. jq_files_free() gives that up. */
bool jq_files_under_way(const struct jq_run *run);

void jq_files_serve(struct jq_worker_shell *worker);

#endif
