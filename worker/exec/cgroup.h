/* cgroup.h - one control group per task: limits, the list of its processes, the kill of all of them.
 *
 * Works with v2 (one hierarchy), v1 (one per controller, or several on one mount), both (hybrid), or none. The worker's own sub-tree
 * is `jqmesh-NAME` below its own cgroup; a task's is a `slot-N` below that (cgroup_slot.h). Kernel documentation: admin-guide/cgroup-v2.rst,
 * admin-guide/cgroup-v1/{memory,pids}.rst.
 *
 * On v1 a child joins by writing "0" into `tasks`: moving only the calling thread takes no lock of the whole system, while
 * `cgroup.procs` waits for one (tens of milliseconds when it was not taken lately). On v2 clone3(CLONE_INTO_CGROUP) is used.
 */
#ifndef JQ_WORKER_EXEC_CGROUP_H
#define JQ_WORKER_EXEC_CGROUP_H

#include "common/err.h"
#include "common/types.h"

#include <stdbool.h>
#include <stdint.h>

enum { JQ_CGROUP_MEMORY = 1, JQ_CGROUP_PIDS = 2, JQ_CGROUP_CPU = 4 };
enum { JQ_CGROUP_HIERARCHY_COUNT_MAX = 4 };

struct jq_cgroup_hierarchy {
    int dir_fd;           /* of jqmesh-NAME */
    bool v2;              /* else v1 */
    bool kill_file;       /* v2, and the kernel has cgroup.kill (5.14) */
    unsigned controllers; /* JQ_CGROUP_* that limit there */
    char path[224];       /* of jqmesh-NAME, for messages */
};

/* The worker's sub-tree. count == 0: no cgroups can be used here. */
struct jq_cgroups {
    struct jq_cgroup_hierarchy list[JQ_CGROUP_HIERARCHY_COUNT_MAX];
    unsigned count;
    unsigned controllers; /* of all together */
};

/* Limits of one task. 0: none. */
struct jq_cgroup_limits {
    uint64_t memory_bytes_max;
    uint64_t pids_max;
    uint64_t cpu_milli_max; /* thousandths of one cpu */
};

/* One task's group. dir_fds[i] belongs to hierarchy i; -1 where the task needs none. */
struct jq_cgroup {
    int dir_fds[JQ_CGROUP_HIERARCHY_COUNT_MAX];
    int join_fds[JQ_CGROUP_HIERARCHY_COUNT_MAX]; /* opened when they are asked for */
    int pids_fd, usage_fd, peak_fd, oom_fd;      /* of cgroup_slot.c; -1: none */
    struct jq_cgroup_limits limits;
    char name[48];
    bool made;
    bool killed;   /* jq_cgroup_kill() was called */
    bool reusable; /* of cgroup_slot.c */
};

#define JQ_CGROUP_NONE                                                                                                 \
    ((struct jq_cgroup){.dir_fds = {-1, -1, -1, -1},                                                                   \
                        .join_fds = {-1, -1, -1, -1},                                                                  \
                        .pids_fd = -1,                                                                                 \
                        .usage_fd = -1,                                                                                \
                        .peak_fd = -1,                                                                                 \
                        .oom_fd = -1})

/* Finds and makes the worker's sub-tree. `root`: NULL, "" or "auto" to find it, "none" for none, else a directory of a v2 hierarchy that is ours.
 * Finding nothing is no error. What an earlier worker of this name left in it is killed and removed (waits at most 5 s). */
enum jq_err jq_cgroups_open(const char *name, const char *root, struct jq_cgroups *ret_groups, struct jq_error *reterr);

/* Closes, and removes the sub-tree if it is empty. */
void jq_cgroups_close(struct jq_cgroups *groups);

/* Makes `name` with its limits. A limit whose controller is missing is skipped: see groups->controllers. */
enum jq_err jq_cgroup_make(const struct jq_cgroups *groups, const char *name, const struct jq_cgroup_limits *limits,
                           struct jq_cgroup *ret_group, struct jq_error *reterr);

/* Other limits for what runs in it; 0 lifts one. False where what it holds already is above the new limit of memory, or the kernel
 * refuses: then nothing is promised of the limits, and what runs there must not go on. */
bool jq_cgroup_set(const struct jq_cgroups *groups, const struct jq_cgroup *group,
                   const struct jq_cgroup_limits *limits);

/* How many processes are in it; -1: not known. */
long jq_cgroup_process_count(const struct jq_cgroups *groups, const struct jq_cgroup *group);

/* The directory to give to clone3 as `cgroup` (v2), or -1. */
int jq_cgroup_clone_fd(const struct jq_cgroups *groups, const struct jq_cgroup *group);

/* The files into which a child writes "0" to join; with `all` also those that clone3 serves. Returns how many (the group keeps
 * them open), or -1 with errno set. */
int jq_cgroup_join_fds(const struct jq_cgroups *groups, struct jq_cgroup *group, bool all,
                       int ret_fds[JQ_CGROUP_HIERARCHY_COUNT_MAX]);

/* Sends SIGKILL to every process in it, and on v1 forbids new ones. Call again until jq_cgroup_remove() succeeds. */
void jq_cgroup_kill(const struct jq_cgroups *groups, struct jq_cgroup *group);

/* True once every directory is gone, which proves that no process is left. */
bool jq_cgroup_remove(const struct jq_cgroups *groups, struct jq_cgroup *group);

/* Forgets the group without touching it. */
void jq_cgroup_release(struct jq_cgroup *group);

/* How often the kernel killed in it for its own limit; greatest use of memory so far; cpu time, of which only v2 keeps
 * an account everywhere. -1: not known here. */
int64_t jq_cgroup_oom_kills(const struct jq_cgroups *groups, const struct jq_cgroup *group);
int64_t jq_cgroup_cpu_us(const struct jq_cgroups *groups, const struct jq_cgroup *group);
int64_t jq_cgroup_memory_peak(const struct jq_cgroups *groups, const struct jq_cgroup *group);

#endif
