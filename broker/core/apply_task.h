/* apply_task.h - what the files that apply facts about tasks share. Private to broker/core. */
#ifndef JQ_BROKER_CORE_APPLY_TASK_H
#define JQ_BROKER_CORE_APPLY_TASK_H

#include "broker/core/state.h"

/* The entry of a task as its submit has it (u.task_submitted), in no state and no index yet; its key, edges and flow come by themselves. */
enum jq_err task_introduce(struct jq_core *core, const struct jq_record *submitted, uint32_t *ret_ref,
                           struct jq_error *reterr);
void task_enter_wait(struct jq_core *core, uint32_t ref);                  /* waiting, or blocked */
void task_enter_queue(struct jq_core *core, uint32_t ref, int64_t now_ms); /* scheduled, or ready */
/* Running under the lease that u.task_leased grants; at_ms and runs are the caller's. `starts`: it was not running before. */
void task_attach_lease(struct jq_core *core, uint32_t ref, const struct jq_record *leased, bool starts);

/* apply_moved.c */
enum jq_err apply_moved_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);

#endif
