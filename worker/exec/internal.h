/* internal.h - what host.c, child_start.c and child.c share. Nobody else includes it. */
#ifndef JQ_WORKER_EXEC_INTERNAL_H
#define JQ_WORKER_EXEC_INTERNAL_H

#include "common/buf.h"
#include "common/list.h"
#include "common/text.h"
#include "worker/exec/cgroup.h"
#include "worker/exec/cgroup_slot.h"
#include "worker/exec/child.h"
#include "worker/exec/host.h"
#include "worker/exec/leftover.h"
#include "worker/exec/loop.h"
#include "worker/exec/procs.h"
#include "worker/exec/progress.h"
#include "worker/exec/remover.h"
#include "worker/exec/reply.h"
#include "worker/exec/sandbox.h"
#include "worker/exec/spawn.h"
#include "worker/exec/tail.h"
#include "worker/exec/workdir_slot.h"

#include <limits.h>

enum { JQ_CHILD_NAME_SIZE = 48, JQ_MARKER_SEED_SIZE = 17 };

struct jq_exec_host {
    struct jq_exec_loop loop;
    struct jq_spawner spawner;
    struct jq_cgroups cgroups;
    struct jq_cgroup_slots slots;
    struct jq_workdir_slots work_dirs;
    struct jq_remover remover;
    struct jq_procs procs; /* the last look at /proc */
    int64_t procs_read_ms;
    struct jq_list children;
    struct jq_list done;
    struct jq_list turned; /* warm ones that have something to tell */
    size_t count;
    size_t count_max;
    int lock_fd;
    struct jq_leftover_book book; /* of state_dir/children */
    int work_fd;
    int null_fd;
    pid_t self;
    bool root;
    bool subreaper;
    bool lists_children;               /* /proc/self/task/TID/children exists */
    struct jq_sandbox *sandbox;        /* NULL: switched off */
    struct jq_exec_timer orphan_timer; /* looks again for orphans that were about to die */
    unsigned orphan_looks;
    unsigned leftovers; /* processes of a predecessor that were killed */
    char marker_seed[JQ_MARKER_SEED_SIZE];
    char boot_id[JQ_BOOT_ID_SIZE];
    char work_path[PATH_MAX];
};

enum jq_child_phase {
    JQ_CHILD_WAITING, /* prepared; nobody has forked it yet */
    JQ_CHILD_RUNNING,
    JQ_CHILD_TERMINATING, /* SIGTERM was sent */
    JQ_CHILD_KILLING,     /* SIGKILL was sent */
    JQ_CHILD_SWEEPING,    /* the first process is gone, the rest is being killed */
    JQ_CHILD_DONE,
};

struct jq_child_stream {
    struct jq_exec_watch watch;
    struct jq_exec_child *child;
    struct jq_exec_tail tail;
    bool keeps_head; /* stdout, whose beginning may be the result */
};

/* What a warm process has besides: warm.c. */
struct jq_child_warm {
    struct jq_exec_child *child;
    struct jq_list turned; /* in host->turned while on_turn is to be called */
    void (*on_turn)(struct jq_exec_child *child, int64_t now_ms);
    bool in_turn;
    bool was_ready;
    bool peak_renewed;                  /* the group's peak of memory is that of the present turn */
    char turn_name[JQ_CHILD_NAME_SIZE]; /* of the folder of the present task in its work dir; "": none */
    unsigned process_count;             /* of its tree, when it said that it is ready */
    unsigned entry_count;               /* of its work dir, then */
    int64_t cpu_begin_ms;
    int64_t hangup_ms;   /* its channel has ended, and by then it shall have, too; INT64_MAX: not so */
    struct jq_buf words; /* for it, of which the first `sent` bytes have gone */
    size_t sent;
    struct jq_exec_watch write_watch;
};

/* Signs of life: child_stall.c. */
struct jq_child_stall {
    int64_t limit_ms; /* 0: none */
    int64_t look_ms;  /* the next look */
    unsigned quiet_count;
    bool heard; /* since the last look it has written or said something */
    int64_t looked_ms, cpu_us;
};

struct jq_exec_child {
    struct jq_list link;
    struct jq_exec_host *host;
    void *owner;
    void (*on_done)(struct jq_exec_child *child, int64_t now_ms);
    enum jq_child_phase phase;
    char name[JQ_CHILD_NAME_SIZE];
    char marker[JQ_MARKER_SIZE_MAX];
    char work_path[PATH_MAX];

    /* limits */
    uint64_t memory_bytes_max;
    uint64_t pids_max;
    uint64_t output_bytes_max;
    int64_t soft_limit_ms;
    int64_t hard_limit_ms;
    int64_t grace_ms;

    /* the process */
    bool adopted; /* forked by somebody else: its status comes from there */
    bool gone;    /* the first process has ended */
    bool status_known;
    pid_t pid;
    int record_fd; /* its file in the book; -1: none */
    int wait_status;
    struct rusage usage;
    struct jq_cgroup group;
    struct jq_workdir work;
    struct jq_sandbox_rules *rules;               /* of its sandbox; NULL: none */
    int handover_fds[JQ_EXEC_HANDOVER_COUNT_MAX]; /* the other side's ends, until it has begun */
    unsigned handover_count;
    unsigned join_count;     /* of them, from FD_JOIN on: the cgroup's own */
    const char *result_file; /* "output" or "result" */
    bool lost;               /* the process that forked it is gone */
    char lost_why[96];

    /* what is watched */
    struct jq_exec_watch exit_watch;
    struct jq_child_stream streams[2]; /* stdout, stderr */
    struct jq_exec_watch reply_watch;
    bool has_reply;
    struct jq_exec_reply reply;
    struct jq_exec_progress progress; /* of stderr, without a reply channel */
    struct jq_exec_timer timer;
    struct jq_child_stall stall;
    struct jq_child_warm *warm; /* NULL: it serves one task */

    /* times */
    int64_t start_ms;
    int64_t end_ms;
    int64_t kill_at_ms; /* INT64_MAX: not set */
    int64_t look_at_ms; /* next look at memory and number of processes; INT64_MAX: never */
    int64_t retry_ms;   /* pause before the next try to sweep */

    uint64_t rss_peak_bytes;
    struct jq_buf result;
    struct jq_exec_end end;
    struct jq_exec_outcome outcome;
};

/* child_start.c: closes and removes what a start that failed had made. */
void jq_child_discard(struct jq_exec_child *child);

/* child_start.c: closes our ends of its channels. */
void jq_child_stop_watching(struct jq_exec_child *child);

/* child_confine.c: the rules of its sandbox into child->rules. `program` is what it will run, or NULL. */
enum jq_err jq_child_confine(struct jq_exec_child *child, const struct jq_exec_spec *spec, const char *program,
                             struct jq_error *reterr);

/* child_files.c: the result file into child->result, if there is one; and everything that lies on disk, removed. */
bool jq_child_take_result_file(struct jq_exec_child *child);
void jq_child_remove_files(struct jq_exec_child *child);

/* child.c: the callbacks of its watches and its timer. */
void jq_child_on_exit(struct jq_exec_watch *watch, uint32_t events, int64_t now_ms);
void jq_child_on_output(struct jq_exec_watch *watch, uint32_t events, int64_t now_ms);
void jq_child_on_reply(struct jq_exec_watch *watch, uint32_t events, int64_t now_ms);
void jq_child_on_due(struct jq_exec_timer *timer, int64_t now_ms);
/* Sets the timer to the next moment at which something is due. */
void jq_child_plan(struct jq_exec_child *child, int64_t now_ms);
/* The process runs since now. */
void jq_child_set_running(struct jq_exec_child *child, pid_t pid, int64_t now_ms);

/* child_start.c: the next look at its tree, if its limits need one. */
void jq_child_look_from(struct jq_exec_child *child, int64_t now_ms);
/* child_stall.c: begins to watch it; the next look (INT64_MAX: none); true when a look finds that it has stalled. */
void jq_child_stall_from(struct jq_exec_child *child, int64_t limit_ms, int64_t now_ms);
int64_t jq_child_stall_due_ms(const struct jq_exec_child *child);
bool jq_child_stalled(struct jq_exec_child *child, int64_t now_ms);
/* child_start.c: a file of the task's in its work dir. */
enum jq_err jq_child_write_file(int work_fd, const char *name, struct jq_bytes bytes,
                                const struct jq_workdir_owner *owner, struct jq_error *reterr);

/* child.c: reads once from the reply channel. False when nothing is there now, or it has ended. */
bool jq_child_read_reply(struct jq_exec_child *child);
/* child.c: takes what lies in the pipes; the outcome from all that is known. */
void jq_child_drain(struct jq_exec_child *child);
void jq_child_fill_outcome(struct jq_exec_child *child);

/* warm.c. */
enum jq_err jq_warm_new(struct jq_exec_child *child, const struct jq_exec_spec *spec, struct jq_error *reterr);
void jq_warm_stop_watching(struct jq_exec_child *child);
void jq_warm_free(struct jq_exec_child *child);
/* Something came on its channel, or the channel ended. */
void jq_warm_on_reply(struct jq_exec_child *child, int64_t now_ms);
/* It has ended: what it still said of its task counts. */
void jq_warm_on_exit(struct jq_exec_child *child, int64_t now_ms);
/* Calls on_turn of those that have something to tell. */
void jq_warm_tell(struct jq_exec_host *host, int64_t now_ms);

/* host.c: /proc read at most `age_ms` ago; false if it cannot be read. */
bool jq_host_read_procs(struct jq_exec_host *host, int64_t now_ms, int64_t age_ms);
/* host.c: reaps orphans of ended tasks. True if live ones are left, or might be; it looks again by itself then. */
bool jq_host_reap_orphans(struct jq_exec_host *host, int64_t now_ms);

#endif
