/* pool.h - the warm processes of one handler: started on demand, given one task at a time, renewed.
 *
 * A task takes the process that rested last, or a new one. Each of its ends is an outcome of child.h: what kills a task kills its process,
 * and another one takes its place. A process is renewed after tasks_max tasks, above rss_bytes_max after a task, when it is older
 * than age_ms_max and rests, and when a task left processes or files behind that could not be removed.
 *
 * Life of a process: STARTING until it says that it is ready -> BUSY or RESTING -> ENDING. A task may come with its start: then its
 * limits cover that too, and a process that ends before it is ready is the task's failure.
 *
 * Files: the task writes into output_dir/.LABEL/TASK.ATTEMPT, for its sandbox was closed when the process started; at the end that becomes
 * output_dir/.TASK.ATTEMPT, as of any other task (worker/shell/output.c).
 *
 * Everything runs on the host's loop; no call waits. Times are CLOCK_BOOTTIME milliseconds.
 */
#ifndef JQ_WORKER_POOL_POOL_H
#define JQ_WORKER_POOL_POOL_H

#include "common/need.h"
#include "worker/exec/child.h"
#include "worker/exec/warm.h"

struct jq_pool;

/* How a task ended. Borrowed for the call of on_ended. */
struct jq_pool_end {
    void *owner;
    struct jq_exec_child *child; /* its outcome */
    const char *output;          /* the folder with its files; "": none */
};

/* Texts and lists are borrowed for the pool's life. 0 of a number: no limit. */
struct jq_pool_config {
    const char *name;         /* of the handler */
    const char *output_dir;   /* NULL: none */
    struct jq_exec_spec spec; /* of a process: argv, env, user, pids, files, network, paths */
    uint64_t tasks_max;
    uint64_t rss_bytes_max;
    int64_t age_ms_max;
    int64_t start_ms; /* how soon it has to be ready */
    void *ctx;
    void (*on_ended)(void *ctx, const struct jq_pool_end *end);
    /* A process that served nobody came to its end by itself, for the log. NULL: not wanted. */
    void (*on_lost)(void *ctx, const char *name, const char *why);
};

struct jq_pool_task {
    void *owner;
    struct jq_exec_turn turn;
    const char *queue;
    struct jq_bytes payload;
    const struct jq_offers *units; /* NULL: none */
};

enum jq_err jq_pool_new(struct jq_exec_host *host, const struct jq_pool_config *config, struct jq_pool **ret_pool,
                        struct jq_error *reterr);

/* *ret_child: the process, to kill and to ask for progress until on_ended; not to be freed. The end is told from
 * jq_exec_host_run(). Errors as of jq_exec_start(). */
enum jq_err jq_pool_run(struct jq_pool *pool, const struct jq_pool_task *task, int64_t now_ms,
                        struct jq_exec_child **ret_child, struct jq_error *reterr);

/* The task's owner goes away: the process is killed, and nobody is told. */
void jq_pool_forget(struct jq_pool *pool, const void *owner, int64_t now_ms);

/* Processes that are not being ended; since when the one that rests longest does (INT64_MAX: none); and its end. */
size_t jq_pool_count(const struct jq_pool *pool);
int64_t jq_pool_rests_since_ms(const struct jq_pool *pool);
void jq_pool_end_rested(struct jq_pool *pool, int64_t now_ms);

struct jq_pool_status {
    unsigned starting, busy, resting, ending;
    unsigned starts; /* since jq_pool_new() */
};
struct jq_pool_status jq_pool_status(const struct jq_pool *pool);

/* Kills its processes, which end through the host, which must live on until then. NULL is fine. */
void jq_pool_free(struct jq_pool *pool, int64_t now_ms);

#endif
