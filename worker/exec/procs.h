/* procs.h - the processes of this machine as /proc shows them, and which of them belong to one task.
 *
 * Used where no cgroup does it. A process belongs to a task if it is the task's first process, is in its session, descends from a process
 * of the task, or carries the task's marker (an environment variable) and has lost its parent. The first process is kept as a
 * zombie until the others are gone, so that its number cannot be given to a stranger meanwhile.
 */
#ifndef JQ_WORKER_EXEC_PROCS_H
#define JQ_WORKER_EXEC_PROCS_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { JQ_PROCS_COUNT_MAX = 128 * 1024, JQ_MARKER_SIZE_MAX = 80 };

struct jq_proc {
    pid_t pid;
    pid_t parent;
    pid_t session;
    bool zombie;
    bool member; /* of the tree that was asked for last */
    uint64_t rss_bytes;
    uint64_t cpu_ticks;   /* of the process, and of those it has waited for */
    uint64_t start_ticks; /* since boot: with the pid, names a process for ever */
};

/* A snapshot, ascending by pid. */
struct jq_procs {
    struct jq_proc *list;
    size_t count;
    size_t capacity;
};

/* What is counted of one task. Zombies count in nothing. */
struct jq_procs_tree {
    unsigned count;
    unsigned
        dying_count; /* orphans that have given up their memory but are not yet zombies: whose they were cannot be seen */
    uint64_t rss_bytes;
    uint64_t cpu_ticks;
};

/* Reads /proc anew. fini may be called on zeroed memory. */
enum jq_err jq_procs_read(struct jq_procs *procs, struct jq_error *reterr);
void jq_procs_fini(struct jq_procs *procs);

/* Marks the processes of the task whose first process is (or was) `first`. `marker`: "NAME=value", or NULL. `reaper`: the process to
 * which orphans are handed. Zombie orphans among them are reaped; `first` itself is not. */
struct jq_procs_tree jq_procs_mark(struct jq_procs *procs, pid_t first, const char *marker, pid_t reaper);

/* Sends `number` to every process marked, `first` included. */
void jq_procs_signal(const struct jq_procs *procs, int number);

/* When `pid` started, in ticks since boot; 0 if there is no such process. */
uint64_t jq_procs_start_ticks(pid_t pid);

/* True if the environment with which `pid` was started has `marker` ("NAME=value"). */
bool jq_procs_has_marker(pid_t pid, const char *marker);

/* Reads one line of /proc/PID/stat (proc_pid_stat(5)). False if it is not one. */
bool jq_procs_parse_stat(const char *text, uint64_t page_size_bytes, struct jq_proc *ret_proc);

#endif
