/* child.h - one task as a process tree: started, limited, watched, ended, cleaned up after, and judged.
 *
 * A child is started in one of two ways. jq_exec_start() runs a program. jq_exec_prepare() makes everything but the process, which somebody
 * else forks (a zygote): that one calls jq_exec_child_begun() with the pid, and jq_exec_child_ended() with the exit status.
 *
 * Life:      start -> running -> [SIGTERM sent, grace] -> first process gone -> tree proven empty -> done (jq_exec_host_next_done).
 *            When the first process has gone, whatever is left of the tree is killed.
 * Ownership: the spec is borrowed until the call returns. The child is owned by the host until it is done, then by the caller.
 * Errors:    jq_exec_start() leaves nothing behind when it fails; jq_exec_judge_start() (outcome.h) classes the error.
 */
#ifndef JQ_WORKER_EXEC_CHILD_H
#define JQ_WORKER_EXEC_CHILD_H

#include "common/err.h"
#include "common/template.h"
#include "common/types.h"
#include "worker/exec/host.h"
#include "worker/exec/outcome.h"
#include "worker/exec/sandbox.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

enum {
    JQ_EXEC_ARGV_COUNT_MAX = 256,
    JQ_EXEC_ENV_COUNT_MAX = 128,
    JQ_EXEC_ARGV_SIZE_MAX = 128 * 1024,
    JQ_EXEC_REPLY_SIZE_MAX = 1024 * 1024, /* one frame on the reply channel */
};

/* Every limit: 0 is none. */
#define JQ_EXEC_PARENTS_FILE "parents.json"
#define JQ_EXEC_INPUTS_DIR   "inputs"

struct jq_exec_spec {
    jq_task_id task;
    uint32_t attempt;
    const char *label;        /* names the work dir and the cgroup of what is no task ("zygote-1"); else NULL */
    const char *const *argv;  /* ends with NULL; see argv.h for what is replaced in it. NULL for jq_exec_prepare() */
    jq_template_param *param; /* asked for each {param.X} of argv, while jq_exec_start() runs; NULL: none */
    void *param_ctx;
    const char *const
        *env; /* "NAME=value", ends with NULL; may be NULL. The worker's own environment is not inherited */
    struct jq_bytes payload;   /* the child's stdin, a file that can be read again */
    struct jq_bytes parents;   /* becomes JQ_EXEC_PARENTS_FILE in its work dir; empty: none */
    const char *inputs_dir;    /* a folder beside the work dirs: becomes JQ_EXEC_INPUTS_DIR in this one; NULL: none */
    uint64_t memory_bytes_max; /* of the whole tree */
    uint64_t cpu_milli_max;    /* thousandths of a cpu; only where a cgroup can */
    uint64_t pids_max;         /* processes and threads; without a cgroup, processes */
    uint64_t file_bytes_max;   /* largest file it may write */
    uint64_t fds_max;
    uint64_t output_bytes_max; /* of stdout and stderr together; above it the tree is killed */
    bool switch_user;          /* takes root */
    uid_t uid;
    gid_t gid;
    bool network;                  /* the sandbox lets it open sockets */
    bool trusted;                  /* no task but ours (a zygote): its files are not restricted */
    const char *output_dir;        /* a folder that it may change; NULL or empty: none */
    struct jq_sandbox_paths paths; /* what it may reach beside the system, its work dir and the files that argv names */
    bool reply;                    /* a reply channel is made (reply.h), and success takes a result frame on it */
    bool warm;                     /* with `reply`: it serves one task after the other (warm.h) */
    int extra_fd;                  /* becomes descriptor 3 of the program; 0: none. Not together with `reply` */
    int64_t
        soft_limit_ms; /* SIGTERM to the process group; SIGKILL to the tree at the hard limit, without one after grace_ms */
    int64_t hard_limit_ms; /* SIGKILL to the tree */
    int64_t grace_ms;
    int64_t
        stall_ms; /* as at the soft limit, once nothing was seen of it for so long: no output, no word, no cpu time */
    void *owner;  /* the caller's own: jq_exec_child_owner() */
    /* Called from jq_exec_host_run() instead of jq_exec_host_next_done(), for what is no task; it frees the child. NULL: none. */
    void (*on_done)(struct jq_exec_child *child, int64_t now_ms);
    void (*on_turn)(struct jq_exec_child *child, int64_t now_ms); /* of a warm one: see warm.h */
};

/* All of an attempt that is worth telling. Lives as long as the child. */
struct jq_exec_outcome {
    struct jq_exec_verdict verdict;
    struct jq_exec_end end;
    char message[256];                  /* the handler's own words, else the verdict's cause; "" on success */
    char service[JQ_NAME_SIZE_MAX + 1]; /* which service failed, if the handler named one (class network) */
    struct jq_bytes
        result; /* result frame, or file `output`/`result`, or the first JQ_PAYLOAD_SIZE_MAX bytes of stdout */
    bool output_truncated;       /* `result` is stdout, and there was more of it */
    struct jq_bytes stdout_tail; /* the last JQ_OUTPUT_KEPT_MAX bytes */
    struct jq_bytes stderr_tail;
    uint64_t stdout_bytes; /* written in all */
    uint64_t stderr_bytes;
    int64_t duration_ms;
    int64_t cpu_ms; /* of the first process and what it waited for */
    uint64_t
        memory_peak_bytes; /* of the tree by its cgroup, else the largest sum seen, else of the largest process. Of a warm one: of its turn */
};

enum jq_err jq_exec_start(struct jq_exec_host *host, const struct jq_exec_spec *spec, int64_t now_ms,
                          struct jq_exec_child **ret_child, struct jq_error *reterr);

/* Why it is to end; SIGTERM now, SIGKILL after grace_ms (0: at once). The first reason stays, a shorter grace wins. */
void jq_exec_kill(struct jq_exec_child *child, enum jq_exec_reason reason, int64_t grace_ms, int64_t now_ms);

/* Borrowed; complete once the child is done. */
const struct jq_exec_outcome *jq_exec_child_outcome(const struct jq_exec_child *child);
void *jq_exec_child_owner(const struct jq_exec_child *child);
void jq_exec_child_set_owner(struct jq_exec_child *child, void *owner);
pid_t jq_exec_child_pid(const struct jq_exec_child *child); /* 0 before it runs */
/* Latest progress on the reply channel, else by a line on stderr (progress.h): 0 .. 1000 thousandths, -1 while there is none; and its text. */
int32_t jq_exec_child_progress(const struct jq_exec_child *child, const char **ret_text);

/* The last JQ_OUTPUT_KEPT_MAX bytes of stdout (0) or stderr (1); *ret_total: written in all. Borrowed until the host is served again. */
struct jq_bytes jq_exec_child_output(const struct jq_exec_child *child, int stream, uint64_t *ret_total);

/* RLIMIT_CPU for a hard limit (0: none): on all cpus, and some. Ends only what outlived both us and the limit. */
uint64_t jq_exec_cpu_seconds_max(int64_t hard_limit_ms);

/* NULL is fine. A child that is not done is killed, without waiting. */
void jq_exec_child_free(struct jq_exec_child *child);

/* For zygotes. What the process that forks needs, in the order in which runner.py takes it; borrowed from the child, who closes
 * its copies in jq_exec_child_begun(). */
enum { JQ_EXEC_HANDOVER_COUNT_MAX = 9 };
struct jq_exec_handover {
    /* Reply, stdin, stdout, stderr, then join_count cgroup files to write "0" into, then the sandbox's rules, if any. */
    int fds[JQ_EXEC_HANDOVER_COUNT_MAX];
    unsigned fd_count;
    unsigned join_count;
    bool confined;        /* the last descriptor is for landlock_restrict_self() */
    const char *work_dir; /* absolute */
    const char *marker;   /* "JQ_CHILD=...", for the environment of what the task starts */
};
enum jq_err jq_exec_prepare(struct jq_exec_host *host, const struct jq_exec_spec *spec, int64_t now_ms,
                            struct jq_exec_child **ret_child, struct jq_exec_handover *ret_handover,
                            struct jq_error *reterr);
/* pidfd may be -1 (then it is opened here); it is owned by the child from now on. */
void jq_exec_child_begun(struct jq_exec_child *child, pid_t pid, int pidfd, int64_t now_ms);
/* wait status as of wait4(); usage may be NULL. */
void jq_exec_child_ended(struct jq_exec_child *child, int wait_status, const struct rusage *usage, int64_t now_ms);
/* The process that forked it is gone, and no status will come from there. Unless it had ended by itself, the outcome is
 * RESOURCE_EXHAUSTED with `why`: it is no fault of the task. */
void jq_exec_child_orphaned(struct jq_exec_child *child, const char *why, int64_t now_ms);

#endif
