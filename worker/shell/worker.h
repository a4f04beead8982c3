/* worker.h - jqworker put together: the link to the broker, the agent that decides, the host that runs children. One thread.
 *
 * worker.c runs the loop; launch.c turns a lease into a process (pools.c gives it to a warm one); output.c keeps or throws away what it wrote; facts.c finds out what
 * this machine is; pressure.c watches its memory; identity.c remembers who this worker is. A new kind of handler is a case in
 * launch.c.
 */
#ifndef JQ_WORKER_SHELL_WORKER_H
#define JQ_WORKER_SHELL_WORKER_H

#include "common/libjq/link.h"
#include "common/map.h"
#include "worker/agent/agent.h"
#include "worker/agent/tie.h"
#include "worker/exec/child.h"
#include "worker/exec/host.h"
#include "worker/settings.h"

enum { WORKER_PATH_MAX = 4096, WORKER_TEXT_MAX = 64 * 1024 };

struct jq_zygotes; /* worker/shell/freecad.h */
struct jq_pools;   /* worker/shell/pools.h */
struct jq_pool;
struct jq_run_output; /* outputs.c */
struct jq_reload;
struct jq_retired;
struct jq_parents; /* parents.c */
struct jq_files;   /* files.h */
struct jq_courier;

/* One attempt, from its lease to its verdict. */
struct jq_run {
    struct jq_worker_shell *worker;
    jq_task_id task;
    jq_lease_token token;
    unsigned attempt;
    const struct jq_worker_settings *settings; /* that were in force when it came; of these is `handler` */
    const struct jq_handler_settings *handler; /* NULL: not defined here */
    char *queue;
    int64_t soft_limit_ms, hard_limit_ms;
    uint64_t memory_bytes, cpu_thousandths;
    struct jq_offers units;       /* of offers like gpu=[0,1]: the numbers that are its own */
    struct jq_bytes payload;      /* behind the struct */
    struct jq_exec_child *child;  /* while it runs */
    struct jq_pool *pool;         /* whose process `child` is; NULL: `child` is its own */
    struct jq_error start_error;  /* why there never was one */
    char output[WORKER_PATH_MAX]; /* output_dir/.TASK.ATTEMPT, made when it starts; empty: none */
    struct jq_run_output *told;   /* of what it writes; NULL: nothing */
    int64_t begun_ms;             /* when it was leased */
    int32_t progress_told;
    char progress_text_told[JQ_PROGRESS_TEXT_SIZE_MAX + 1];
    struct jq_parents *parents; /* NULL: it waited for nobody */
    struct jq_files *files;     /* NULL: it has none */
    enum jq_outcome given_up;   /* before its process, or after it: what is reported then; NONE: it was not */
    bool fetching;              /* what it waited for; then it is launched */
};

struct jq_output_lock {
    int fd;
    bool held;
};

struct jq_worker_shell {
    const struct jq_conf_args *args;
    const struct jq_worker_settings *settings; /* in force */
    struct jq_worker_settings *reloaded;       /* the same, if not those of the start */
    struct jq_retired *retired;                /* reload.c */
    char name[JQ_NAME_SIZE_MAX + 1];
    struct jq_uuid id;
    char *offers, *facts; /* texts, as registered */
    struct jq_link_handler *handlers;
    struct jq_exec_host *host;
    struct jq_agent *agent;
    struct jq_link *link;
    struct jq_courier *courier; /* bring files and take them away */
    struct jq_zygotes *zygotes; /* NULL: no handler wants FreeCAD */
    char lacks[128];            /* " sandbox.lacks=..", what of the sandbox is not in force; empty: nothing */
    char *freecad_facts;        /* of the installation, once they were found out; NULL: not yet */
    struct jq_pools *pools;     /* NULL: no handler is of kind pool */
    struct jq_map runs;         /* token -> index in run_at */
    struct jq_run **run_at;
    uint32_t run_capacity, run_used;
    unsigned slots;
    uid_t uid;
    gid_t gid;
    bool switch_user;
    bool exiting;
    struct jq_error refused;                 /* the broker will not have this worker */
    struct jq_reload *reload;                /* NULL: facts are not being found out anew */
    int doorbell_fd;                         /* -1: none was handed over */
    char doorbell[JQ_DOORBELL_SIZE_MAX + 1]; /* "": it cannot be woken */
    int64_t watchdog_every_ms, watchdog_next_ms;
    int64_t pressure_next_ms;
    int64_t progress_next_ms;
    int64_t output_next_ms, output_due_ms;
    struct jq_output_lock output_lock; /* output.c: of output_dir */
    unsigned output_flights;           /* requests that tell of output */
    unsigned output_endings;           /* reports that wait for them */
    bool pressure_high;
    struct jq_tie tie;
};

/* worker.c. Returns when the worker has drained, with an exit code of sysexits.h. */
int jq_worker_shell_run(const struct jq_conf_args *args, const struct jq_worker_settings *settings);
struct jq_link_handler *jq_worker_link_handlers(const struct jq_worker_settings *settings); /* to be freed */
/* host_open.c. JQ_ERR_UNSUPPORTED: `sandbox = require`, and something is not in force. */
enum jq_err jq_worker_open_host(struct jq_worker_shell *worker, struct jq_error *reterr);
void jq_run_ended(struct jq_run *run, enum jq_outcome outcome);

/* tie.c: says in the log when the broker is out of reach, or does not reach this worker. */
void jq_tie_serve(struct jq_worker_shell *worker);

/* launch.c: START of the agent. The end is told to the agent, also of what could not be started. */
void jq_launch(struct jq_run *run);
/* Where a run's child could not be made: its outcome is judged from run->start_error. */
void jq_launch_failed(struct jq_run *run);

/* parents.c: what a task waited for. begin: false when there is nothing (more) to fetch; else serve() launches it when all is here. */
void jq_parents_take(struct jq_run *run, const jq_task_id *ids, size_t count);
bool jq_parents_begin(struct jq_run *run);
void jq_parents_serve(struct jq_worker_shell *worker);
struct jq_bytes jq_parents_document(const struct jq_run *run); /* parents.json; empty: none */
void jq_parents_free(struct jq_run *run);

/* purity.c: under which version the result of one that succeeded is cached; empty: it is not. */
struct jq_str jq_run_version(const struct jq_run *run);

/* output.c (see output.h): a folder, with those above it that are missing. */
enum jq_err jq_make_dirs(const char *path, unsigned mode, struct jq_error *reterr);

/* facts.c: texts of need.h's grammar, to be freed. */
enum jq_err jq_machine_facts(const struct jq_worker_settings *settings, const char *more, char **ret_facts,
                             struct jq_error *reterr);
/* Of `more`, NAME=TEXT between blanks, what `known` does not name already. */
void jq_facts_add_new(struct jq_buf *buf, const char *known, const char *more);
enum jq_err jq_machine_offers(const struct jq_worker_settings *settings, char **ret_offers, unsigned *ret_slots,
                              struct jq_error *reterr);

/* reload.c: the configuration read and facts found out anew, in a thread of their own: a probe may take its time, and tasks go on. */
void jq_reload_begin(struct jq_worker_shell *worker);
int jq_reload_fd(const struct jq_worker_shell *worker); /* readable when they are there; -1: nothing is under way */
void jq_reload_end(struct jq_worker_shell *worker); /* waits for them; they are registered unless the worker stops */
void jq_reload_free(struct jq_worker_shell *worker);
/* What FreeCAD is has been found out while the worker was up already: registered beside what it said before. */
void jq_reload_freecad(struct jq_worker_shell *worker);

/* doorbell.c: how a worker that sleeps is woken. */
enum jq_err jq_doorbell_open(struct jq_worker_shell *worker, struct jq_error *reterr);
void jq_doorbell_answer(const struct jq_worker_shell *worker); /* who rings while we are awake is hung up on */
void jq_worker_leave(struct jq_worker_shell *worker); /* tells the broker that it goes; before the process ends */

/* pressure.c: thousandths of the memory in use, and of the time waited for memory (PSI some avg10; 0 where the kernel has none). */
void jq_pressure_read(unsigned *ret_memory_permille, unsigned *ret_stall_permille);
/* Thousandths of the time that somebody waited for a cpu (PSI some avg10; by the load average where the kernel has none). */
unsigned jq_cpu_wait_read(void);
unsigned jq_load_read(void); /* load average over 1 min, thousandths of a cpu */

/* identity.c: from state_dir/id, made at the first start. */
enum jq_err jq_identity_load(const char *state_dir, struct jq_uuid *ret_id, struct jq_error *reterr);

#endif
