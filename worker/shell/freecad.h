/* freecad.h - the worker's zygotes: started on demand of the configuration, probed for facts, asked to fork a child per task. */
#ifndef JQ_WORKER_SHELL_FREECAD_H
#define JQ_WORKER_SHELL_FREECAD_H

#include "worker/shell/worker.h"

/* Nothing (JQ_OK, worker->zygotes stays NULL) where no handler is of kind freecad. Otherwise probes the installation, writes its
 * facts ("freecad.version=0.20.2 ...") and starts the zygote. A FreeCAD that is missing or broken is an error that says so. */
enum jq_err jq_freecad_open(struct jq_worker_shell *worker, char *ret_facts, size_t facts_size,
                            struct jq_error *reterr);
void jq_freecad_close(struct jq_zygotes *zygotes);

/* Makes run->child and hands it to the zygote. JQ_ERR_BUSY while none is up: a shortage of the host. */
enum jq_err jq_freecad_launch(struct jq_run *run, struct jq_error *reterr);

/* A child without a run ended: it is a zygote. */
void jq_freecad_child_done(struct jq_zygotes *zygotes, struct jq_exec_child *child);

/* launch.c: limits and identity of a run, for all kinds. */
struct jq_exec_spec jq_launch_spec(struct jq_run *run);

#endif
