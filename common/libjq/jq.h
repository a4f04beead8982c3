/* jq.h - libjq: submit tasks to a jqmesh broker, wait for them, and run them. The only header a program needs.
 *
 * A client:
 *     struct jq_client *client;
 *     struct jq_task_spec task = jq_task("resize");
 *     jq_task_id id;
 *     jq_connect(NULL, &client, &error);            // $JQ_SERVER, or the broker on this host
 *     jq_submit(client, &task, &id, &error);        // JQ_OK: it is on disk
 *     jq_wait(client, id, 60000, &result, &error);
 *
 * Threads:   every function may be called from any thread, but not from inside a handler with that handler's own worker.
 * Retries:   a request that got no answer is sent again under the same request id, with backoff and jitter, until the call's time
 *            is over; the broker answers the same request the same way, so nothing is done twice. JQ_ERR_TIMEOUT and
 *            JQ_ERR_UNAVAILABLE therefore mean: not answered in time, and possibly done.
 *            A queue that is full (`busy`) is tried again when the broker says so, within the same time.
 * Ownership: specs are borrowed for the call; results are freed by jq_result_free().
 * Errors:    enum jq_err, with one line of detail in *reterr (may be NULL).
 */
#ifndef JQ_COMMON_LIBJQ_JQ_H
#define JQ_COMMON_LIBJQ_JQ_H

#include "common/err.h"
#include "common/types.h"
#include "common/vocab.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- connecting ------------------------------------------------------------------------------------------------------- */

struct jq_client;

struct jq_connect_config {
    const char
        *server; /* URLs of request sockets of one broker, separated by commas; NULL: $JQ_SERVER, else the default */
    const char *token;  /* the secret of a principal; NULL: $JQ_TOKEN, else none */
    const char *name;   /* of this program, for logs; NULL: "libjq" */
    int64_t timeout_ms; /* how long a call may take in all, retries included; 0: 30000. Never above 300000. */
    /* Told before the library waits and tries again: JQ_ERR_BUSY or what went wrong. For messages to people. NULL: none. */
    void (*on_retry)(void *ctx, enum jq_err err, int64_t wait_ms);
    void *ctx;
};

#define JQ_SERVER_DEFAULT "tcp://127.0.0.1:7710"

/* Starts to connect and does not wait for it: the first call does. `config` may be NULL. JQ_ERR_ADDRESS for a bad URL. */
enum jq_err jq_connect(const struct jq_connect_config *config, struct jq_client **ret_client, struct jq_error *reterr);
void jq_disconnect(struct jq_client *client);

/* ---- submitting ------------------------------------------------------------------------------------------------------- */

struct jq_header {
    const char *name, *value;
};

struct jq_task_spec {
    const char *handler; /* what the worker runs: [a-z0-9_.-]{1,64} */
    const char *queue;   /* NULL: "default" */
    const void *payload;
    size_t payload_size; /* at most 48 KiB */
    int priority;        /* 0 .. 9, 9 first; -1: 5 */
    int64_t delay_ms;    /* earliest start from now; 0: at once */
    int64_t eta_ms;      /* earliest start, UTC; 0: none */
    int64_t expires_ms;  /* latest start, UTC; 0: never */
    const char *need;    /* placement ("cpu=2 mem=4G os==linux"); NULL: the handler's */
    const char *want;    /* which workers it would rather have ("zone==lab1:50 gpu:-20"); NULL: no matter */
    const char *key;     /* idempotency: a second submit with it within 24 h is the same task; NULL: none */
    int retry_max;       /* failed attempts before it is dead; -1: the broker's, 3 as shipped */
    int64_t retry_base_ms, retry_cap_ms;  /* backoff; 0: the broker's, 1000 and 600000 as shipped */
    int64_t soft_limit_ms, hard_limit_ms; /* 0: the handler's */
    int64_t result_ttl_ms;                /* how long the outcome is kept; 0: the broker's, a day as shipped */
    const struct jq_header *headers;
    size_t header_count;
};

/* A spec with nothing but a handler. */
struct jq_task_spec jq_task(const char *handler);

/* One task's fate in a batch. */
struct jq_submitted {
    jq_task_id id;        /* 0 where it was refused */
    enum jq_reply status; /* JQ_REPLY_OK: accepted */
    bool duplicate;       /* its key was known: `id` is the first submit's */
    bool unmatched;       /* no worker known now could ever run it, or another task that went with it */
    char reason[120];     /* of a refusal */
};

/* JQ_OK: accepted and as durable as the broker promises. JQ_ERR_INVALID, JQ_ERR_BUSY (still full when the time was over), ... */
enum jq_err jq_submit(struct jq_client *client, const struct jq_task_spec *task, jq_task_id *ret_id,
                      struct jq_error *reterr);

/* Many at once: cut into frames, several under way at a time. JQ_OK when every task got its verdict in `ret_submitted` (an array
 * of `count`); else some may have been accepted: those without a verdict have id 0 and JQ_REPLY_UNAVAILABLE. */
enum jq_err jq_submit_many(struct jq_client *client, const struct jq_task_spec *tasks, size_t count,
                           struct jq_submitted *ret_submitted, struct jq_error *reterr);

/* ---- outcomes --------------------------------------------------------------------------------------------------------- */

struct jq_result {
    jq_task_id id;
    enum jq_state state;     /* JQ_STATE_NONE: not known, or forgotten */
    enum jq_outcome outcome; /* of the last attempt, or why it ended */
    unsigned attempts, crashes;
    int exit_code, signal_number; /* of the last attempt; -1: none */
    int64_t duration_ms;
    int progress_permille; /* -1: none */
    struct jq_bytes data;  /* the handler's result */
    struct jq_str message; /* what went wrong */
    struct jq_bytes stdout_tail, stderr_tail;
};

/* Waits until the task has ended. JQ_ERR_TIMEOUT after `timeout_ms` (< 0: for ever). */
enum jq_err jq_wait(struct jq_client *client, jq_task_id id, int64_t timeout_ms, struct jq_result **ret_result,
                    struct jq_error *reterr);

/* Waits until at least one of up to 1000 tasks has ended and calls `on_ended` for each of those that have, a frame's worth at most;
 * the result is lent for the call. */
enum jq_err jq_wait_any(struct jq_client *client, const jq_task_id *ids, size_t count, int64_t timeout_ms,
                        void (*on_ended)(void *ctx, const struct jq_result *result), void *ctx,
                        struct jq_error *reterr);

/* How a task stands now. */
enum jq_err jq_status(struct jq_client *client, jq_task_id id, struct jq_result **ret_result, struct jq_error *reterr);
void jq_result_free(struct jq_result *result);

/* Ends tasks that wait, stops those that run (SIGTERM, and SIGKILL to the whole tree after `grace_ms`; 0: the default).
 * JQ_ERR_CONFLICT names the first that had ended, JQ_ERR_NOT_FOUND the first unknown; the others are cancelled all the same. */
enum jq_err jq_cancel(struct jq_client *client, const jq_task_id *ids, size_t count, int64_t grace_ms,
                      struct jq_error *reterr);

/* ---- working ---------------------------------------------------------------------------------------------------------- */

struct jq_worker;
struct jq_job; /* one attempt, lent to its handler */

struct jq_worker_config {
    struct jq_connect_config connect;
    const char *survey_url; /* NULL: $JQ_SURVEY, else the default */
    const char *name;       /* [a-z0-9_.-]{1,64}; NULL: host name and process id */
    const char *offers;     /* "cpu=2 mem=4G gpu=[0,1]"; NULL: nothing but slots */
    const char *facts;      /* "os=linux zone=lab1"; NULL: none */
    const char *accept;     /* "gpu": takes only tasks that reserve one of these offers; NULL: all tasks */
    unsigned slots;         /* tasks leased at a time; 0: 1. They are run by `threads` in turn. */
    unsigned threads;       /* 0: 1 */
};

#define JQ_SURVEY_DEFAULT "tcp://127.0.0.1:7712"

/* Runs in a thread of the worker. JQ_OUTCOME_SUCCESS, or one of the error classes. */
typedef enum jq_outcome jq_handler_fn(struct jq_job *job, void *ctx);

enum jq_err jq_worker_new(const struct jq_worker_config *config, struct jq_worker **ret_worker,
                          struct jq_error *reterr);
/* `need` may be NULL. Before jq_worker_run(). */
enum jq_err jq_worker_handle(struct jq_worker *worker, const char *handler, const char *need, jq_handler_fn *fn,
                             void *ctx, struct jq_error *reterr);
/* Runs tasks until jq_worker_stop() and all that were begun are reported. Survives the broker's restarts. */
enum jq_err jq_worker_run(struct jq_worker *worker, struct jq_error *reterr);
/* From any thread, and from a signal handler. */
void jq_worker_stop(struct jq_worker *worker);
void jq_worker_free(struct jq_worker *worker);

jq_task_id jq_job_id(const struct jq_job *job);
unsigned jq_job_attempt(const struct jq_job *job);
struct jq_str jq_job_handler(const struct jq_job *job);
struct jq_bytes jq_job_payload(const struct jq_job *job);
/* Of an offer like gpu=[0,1]: the numbers that are this job's own until it ends, and how many; NULL: none. */
const uint16_t *jq_job_units(const struct jq_job *job, const char *offer, size_t *ret_count);
/* True once somebody has cancelled the task: a handler that runs for long looks now and then. */
bool jq_job_cancelled(const struct jq_job *job);
/* The result (copied, at most 48 KiB), or a line about what went wrong. */
enum jq_err jq_job_result(struct jq_job *job, const void *data, size_t size);
void jq_job_message(struct jq_job *job, const char *text);
void jq_job_progress(struct jq_job *job, double fraction, const char *text);

#ifdef __cplusplus
}
#endif

#endif
