/* host.h - what this machine lets us do to a child, and the place where all children of one worker live.
 *
 * A worker makes one host at its start, starts children on it (child.h), and drives all of them through three calls:
 *
 *     wait for jq_exec_host_fd() to be readable, at most until jq_exec_host_deadline_ms()
 *     jq_exec_host_run(host, jq_clock_boot_ms())
 *     while ((child = jq_exec_host_next_done(host)) != NULL) report jq_exec_child_outcome(child), then jq_exec_child_free(child)
 *
 * One thread owns a host and everything on it, and it must be the thread that made it: a child dies with the thread that started it
 * (PDEATHSIG). Children of the process that were not started through the host may be reaped by it.
 */
#ifndef JQ_WORKER_EXEC_HOST_H
#define JQ_WORKER_EXEC_HOST_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Texts are borrowed until jq_exec_host_new() returns. */
struct jq_exec_config {
    const char *name;      /* of the worker; names its cgroup, with a hash of state_dir */
    const char *state_dir; /* absolute; made if missing; one running worker at a time */
    const char
        *work_dir; /* absolute; NULL: state_dir. Work dirs lie in a jqmesh-NAME-HASH of it, cleared at the start. */
    const char *cgroup_root; /* NULL or "auto": to be found; "none"; or a cgroup v2 directory that is ours */
    size_t child_count_max;  /* tasks, and warm processes, at a time */
    bool sandbox;            /* confine children as far as the kernel can (sandbox.h) */
    const char *const
        *read; /* absolute paths that every task may read, beside the system; ends with NULL; NULL: none */
};

/* One line of what is in force. `name`s are stable: memory, pids, cpu, kill, orphans, user, landlock, seccomp, leftovers. */
struct jq_exec_feature {
    const char *name;
    bool in_force;
    char detail[192]; /* how, or why not */
};
enum { JQ_EXEC_FEATURE_COUNT_MAX = 9 };

struct jq_exec_host;
struct jq_exec_child;

/* Detects, makes the directories, takes the lock (JQ_ERR_LOCKED if another worker has it), kills what a predecessor left. */
enum jq_err jq_exec_host_new(const struct jq_exec_config *config, struct jq_exec_host **ret_host,
                             struct jq_error *reterr);

/* Kills what still runs, waits for it (at most 5 s), frees every child. NULL is fine. */
void jq_exec_host_free(struct jq_exec_host *host);

/* Fills ret_features and returns how many. To be logged at start and shown by `jqctl worker show`. */
size_t jq_exec_host_describe(const struct jq_exec_host *host,
                             struct jq_exec_feature ret_features[JQ_EXEC_FEATURE_COUNT_MAX]);

int jq_exec_host_fd(const struct jq_exec_host *host);
int64_t jq_exec_host_deadline_ms(const struct jq_exec_host *host);
void jq_exec_host_run(struct jq_exec_host *host, int64_t now_ms);

/* A child that ended, its tree proven empty; the caller frees it. NULL: none. */
struct jq_exec_child *jq_exec_host_next_done(struct jq_exec_host *host);

/* The loop that all of it runs on, for others who live with the host (a zygote's control socket). */
struct jq_exec_loop;
struct jq_exec_loop *jq_exec_host_loop(struct jq_exec_host *host);

/* The parent of all work dirs; a child's is NAME below it. */
const char *jq_exec_host_work_path(const struct jq_exec_host *host);

/* Removes a directory with all that is in it; if it is large, behind, under another name in dir_fd (remover.h). False: it is still there. */
bool jq_exec_host_remove(struct jq_exec_host *host, int dir_fd, const char *name);

/* Children that have not been freed. */
size_t jq_exec_host_count(const struct jq_exec_host *host);

#endif
