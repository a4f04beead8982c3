/* zygote.h - one warm FreeCAD (runner.py) that forks a child per task.
 *
 * The zygote is started at the first need or by jq_zygote_start(), restarted with growing pauses when it dies, asked for a sign of life every
 * ping_interval, and renewed when it is older than recycle_ms or its program changed. Tasks that come while it starts wait for it.
 *
 * Everything runs on the host's loop (host.h): no call here waits. Times are CLOCK_BOOTTIME milliseconds.
 *
 * A task of a zygote is an ordinary child (child.h): the same limits, the same kill, the same outcome; it comes out of
 * jq_exec_host_next_done(). Should its zygote die first, its outcome is RESOURCE_EXHAUSTED: no fault of the task.
 */
#ifndef JQ_WORKER_FREECAD_ZYGOTE_H
#define JQ_WORKER_FREECAD_ZYGOTE_H

#include "common/err.h"
#include "common/need.h"
#include "worker/exec/child.h"

#include <stdbool.h>
#include <stdint.h>

enum { JQ_ZYGOTE_IN_FLIGHT_MAX = 64 };

enum jq_zygote_state {
    JQ_ZYGOTE_STOPPED,  /* not started yet, or stopped by us */
    JQ_ZYGOTE_STARTING, /* until its hello */
    JQ_ZYGOTE_READY,
    JQ_ZYGOTE_RETIRING, /* finishes what it runs, then a new one is started */
    JQ_ZYGOTE_ENDING,   /* told to go, or being killed */
    JQ_ZYGOTE_FAILED,   /* could not start; waits before the next try */
};

/* Texts are copied. 0 for a time takes the default in brackets. */
struct jq_zygote_config {
    const char *name;           /* of the zygote, at most 24 bytes: names its home */
    const char *const *command; /* ends with NULL; {runner} in a word stands for the path of runner.py */
    const char *runner;         /* absolute */
    int64_t start_ms;           /* how long it may take to start [60000] */
    int64_t ping_ms;            /* how soon it has to answer [2000] */
    int64_t ping_interval_ms;   /* [10000] */
    int64_t recycle_ms;         /* how old it gets [86400000] */
    bool network;               /* the sandbox lets it and its tasks open sockets */
    bool requires_freecad;      /* without it a zygote that loaded no FreeCAD serves too (tests) */
};

struct jq_zygote;

enum jq_err jq_zygote_new(struct jq_exec_host *host, const struct jq_zygote_config *config,
                          struct jq_zygote **ret_zygote, struct jq_error *reterr);

/* The folder that is its home since its last start, in which it keeps compiled modules: its tasks read there. Absolute; cut to `size`. */
void jq_zygote_home(const struct jq_zygote *zygote, char *ret_path, size_t size);

/* Kills it; its tasks end as told above, through the host, which must live on until then. NULL is fine. */
void jq_zygote_free(struct jq_zygote *zygote, int64_t now_ms);

/* Starts it ahead of the first task. JQ_OK if it runs or starts already. */
enum jq_err jq_zygote_start(struct jq_zygote *zygote, int64_t now_ms, struct jq_error *reterr);

/* No task waits or runs in it, or it is stopped: it is told to go, and comes back with the next task. */
void jq_zygote_stop(struct jq_zygote *zygote, int64_t now_ms);

/* Renews it as soon as it runs nothing, as after a change of the package. */
void jq_zygote_retire(struct jq_zygote *zygote, int64_t now_ms);

/* What to run: `script` is the absolute path of a handler's Python file. spec.argv must be NULL and spec.reply true. output_dir and final_dir
 * may be NULL. JQ_ERR_UNAVAILABLE while it is FAILED (the message says why), JQ_ERR_BUSY above JQ_ZYGOTE_IN_FLIGHT_MAX. */
struct jq_zygote_order {
    struct jq_exec_spec spec;
    const char *script;
    const char *output_dir;
    const char *final_dir;
    const struct jq_offers *units; /* of indexed offers: what is the task's own; NULL: none */
};
enum jq_err jq_zygote_run(struct jq_zygote *zygote, const struct jq_zygote_order *order, int64_t now_ms,
                          struct jq_exec_child **ret_child, struct jq_error *reterr);

struct jq_zygote_status {
    enum jq_zygote_state state;
    unsigned in_flight; /* waiting ones included */
    unsigned restarts;  /* since jq_zygote_new, the first start not counted */
    int64_t pid;
    int64_t age_ms;         /* of the present one; 0 if there is none */
    const char *version;    /* of FreeCAD, as it told; "" before the first hello */
    const char *last_error; /* why it last died or failed to start; "" if never */
};
void jq_zygote_status(const struct jq_zygote *zygote, int64_t now_ms, struct jq_zygote_status *ret_status);

#endif
