/* cgroup_find.h - where this process's own control groups are, from the texts of /proc/self/mountinfo and /proc/self/cgroup
 * (proc_pid_mountinfo(5), cgroups(7)). Pure. */
#ifndef JQ_WORKER_EXEC_CGROUP_FIND_H
#define JQ_WORKER_EXEC_CGROUP_FIND_H

#include <stdbool.h>

enum { JQ_CGROUP_PLACE_COUNT_MAX = 16 };

struct jq_cgroup_place {
    bool v2;
    unsigned controllers; /* JQ_CGROUP_* that the v1 mount carries; 0 for v2, where the files tell */
    char mount[192];      /* the mount point */
    char own[192];        /* the directory of this process, mount point included */
};

/* Up to `count_max` hierarchies that are mounted and of which this process is a member; how many. Lines that cannot be read are
 * skipped. v1 mounts without a controller that we use are left out. */
unsigned jq_cgroup_find(const char *mountinfo, const char *own_groups, struct jq_cgroup_place *ret_places,
                        unsigned count_max);

#endif
