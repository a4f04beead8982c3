/* spawn.h - starts one program as a child process with everything set that the kernel sets before execve().
 *
 * The child shares the worker's memory until it calls execve (clone with CLONE_VM | CLONE_VFORK, as posix_spawn does), or, to be born in
 * a v2 cgroup, gets a copy of it (clone3 with CLONE_INTO_CGROUP). In both cases it makes system calls only: no lock, no malloc, no
 * handler of pthread_atfork runs in it, so that it cannot disturb NNG or the allocator. The caller waits until execve succeeded
 * or failed.
 *
 * Order in the child: cgroup, own session, default signals, work dir, descriptors, rlimits, oom_score_adj, user, PDEATHSIG,
 * no_new_privs, Landlock, seccomp, execve.
 */
#ifndef JQ_WORKER_EXEC_SPAWN_H
#define JQ_WORKER_EXEC_SPAWN_H

#include "common/err.h"
#include "worker/exec/cgroup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { JQ_SPAWN_FD_COUNT_MAX = 4 };

struct sock_fprog;

/* What the child is to become. Everything is borrowed until jq_spawn() returns. */
struct jq_spawn_spec {
    const char *path;               /* absolute, or relative to the work dir */
    const char *const *argv;        /* ends with NULL */
    const char *const *env;         /* ends with NULL */
    int fds[JQ_SPAWN_FD_COUNT_MAX]; /* become 0, 1, 2, 3 */
    unsigned fd_count;              /* at least 3; every other descriptor is closed */
    int work_dir_fd;                /* -1: stays where the worker is */
    int clone_cgroup_fd;            /* from jq_cgroup_clone_fd(), or -1 */
    int join_fds[JQ_CGROUP_HIERARCHY_COUNT_MAX];
    unsigned join_count;
    uint64_t file_bytes_max;  /* RLIMIT_FSIZE; 0: as the worker */
    uint64_t cpu_seconds_max; /* RLIMIT_CPU; 0: as the worker */
    uint64_t fds_max;         /* RLIMIT_NOFILE; 0: as the worker */
    int oom_score_adj;        /* 0 .. 1000; the task is to die before the worker */
    bool switch_user;
    uid_t uid;
    gid_t gid;
    bool may_outlive_parent;         /* no PDEATHSIG */
    int rules_fd;                    /* from jq_sandbox_rules_fd(), or -1 */
    const struct sock_fprog *filter; /* from jq_sandbox_filter(), or NULL */
};

/* Memory that is used again by every start of one worker. Not for two threads at once. */
struct jq_spawner {
    void *stack;
    struct jq_spawn_report *report;
    pid_t parent;
};

enum jq_err jq_spawner_init(struct jq_spawner *spawner, struct jq_error *reterr);
void jq_spawner_fini(struct jq_spawner *spawner);

/* Starts the child; the caller reaps it (wait4) and closes *ret_pidfd. On failure nothing is left of it. */
enum jq_err jq_spawn(struct jq_spawner *spawner, const struct jq_spawn_spec *spec, pid_t *ret_pid, int *ret_pidfd,
                     struct jq_error *reterr);

#endif
