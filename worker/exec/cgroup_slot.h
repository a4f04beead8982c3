/* cgroup_slot.h - control groups that serve one task after another: making and removing one costs as much as starting a program.
 *
 * A group is used again when it is as good as new: proven empty by its counter of processes (which also counts what has ended and was not
 * reaped), without groups below it, nothing was ever killed in it, it accounts for next to no memory any more, and its peak could be
 * set back. Any other is removed, which proves it empty as well, and the next task gets a new one. Limits are never changed: a task
 * takes an idle group that has just its limits.
 *
 * Without the controllers of pids and memory, or where the kernel cannot set a peak back (v2 before 6.12), each task has a group of its
 * own.
 */
#ifndef JQ_WORKER_EXEC_CGROUP_SLOT_H
#define JQ_WORKER_EXEC_CGROUP_SLOT_H

#include "worker/exec/cgroup.h"

enum { JQ_CGROUP_IDLE_COUNT_MAX = 64 };

/* Zeroed is empty. */
struct jq_cgroup_slots {
    struct jq_cgroup idle[JQ_CGROUP_IDLE_COUNT_MAX]; /* the longest idle first */
    unsigned idle_count;
    uint64_t made_count;
};

/* An idle group with these limits, else a new one. `single`: a task that could leave it behind otherwise than empty (root): not to be used
 * again. */
enum jq_err jq_cgroup_slots_take(struct jq_cgroup_slots *slots, const struct jq_cgroups *groups,
                                 const struct jq_cgroup_limits *limits, bool single, struct jq_cgroup *ret_group,
                                 struct jq_error *reterr);

/* True once no process is left in it: then it is idle, or gone, and group->made is false. Call again until then. */
bool jq_cgroup_slots_give(struct jq_cgroup_slots *slots, const struct jq_cgroups *groups, struct jq_cgroup *group);

/* From now on its peak of memory is counted anew. False: the kernel cannot (v2 before 6.12), and the peak is that of its whole life. */
bool jq_cgroup_renew_peak(const struct jq_cgroups *groups, struct jq_cgroup *group);

/* Removes what is idle. */
void jq_cgroup_slots_fini(struct jq_cgroup_slots *slots, const struct jq_cgroups *groups);

#endif
