/* spawn_child.h - the part of spawn.h that runs in the child, between clone and execve: system calls only. */
#ifndef JQ_WORKER_EXEC_SPAWN_CHILD_H
#define JQ_WORKER_EXEC_SPAWN_CHILD_H

#include "worker/exec/spawn.h"

enum jq_spawn_step {
    JQ_SPAWN_STEP_NONE,
    JQ_SPAWN_STEP_CGROUP,
    JQ_SPAWN_STEP_SESSION,
    JQ_SPAWN_STEP_WORK_DIR,
    JQ_SPAWN_STEP_FDS,
    JQ_SPAWN_STEP_RLIMITS,
    JQ_SPAWN_STEP_USER,
    JQ_SPAWN_STEP_PRCTL,
    JQ_SPAWN_STEP_SANDBOX,
    JQ_SPAWN_STEP_EXEC,
};

/* Lives in memory that both processes see. */
struct jq_spawn_report {
    int step; /* where it failed; JQ_SPAWN_STEP_NONE while it did not */
    int sys_errno;
};

struct jq_spawn_call {
    const struct jq_spawn_spec *spec;
    struct jq_spawn_report *report;
    pid_t parent;
};

/* Does not return. `call` is a struct jq_spawn_call. */
int jq_spawn_child_main(void *call);

#endif
