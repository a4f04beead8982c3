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
 *            Threads that share a client share more than its connection: jq_submit() calls that come while one is under way go together
 *            in the next request, each with its own verdict, so that a busy program pays for a few requests and syncs, not for each.
 * Retries:   a request that got no answer is sent again under the same request id, with backoff and jitter, until the call's time
 *            is over; the broker answers the same request the same way, so nothing is done twice. JQ_ERR_TIMEOUT and
 *            JQ_ERR_UNAVAILABLE therefore mean: not answered in time, and possibly done.
 *            A queue that is full (`busy`) is tried again when the broker says so, and up to half as long more at random, within the
 *            same time; one whose policy is block holds the answer back instead. on_retry tells of each such wait.
 * Ownership: specs are borrowed for the call; results are freed by jq_result_free().
 * Errors:    enum jq_err, with one line of detail in *reterr (may be NULL).
 * Building:  cc program.c -ljq -lnng -lmsgpackc -lnettle (Debian: libnng-dev, libmsgpack-dev, nettle-dev). C++ reads the header, too.
 */
#ifndef JQ_COMMON_LIBJQ_JQ_H
#define JQ_COMMON_LIBJQ_JQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" { /* of the headers below, too */
#endif

#include "common/err.h"
#include "common/types.h"
#include "common/vocab.h"

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

/* Content in the broker's store: named by its SHA-256. */
struct jq_blob {
    uint8_t hash[JQ_BLOB_HASH_SIZE];
};

/* A file of a task: a name ([a-z0-9_.-]{1,64}, not beginning with a dot), and what it holds. */
struct jq_named_blob {
    const char *name;
    struct jq_blob blob;
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
    const char *group; /* of tasks that take turns with other groups of the queue, a customer or project; NULL: none */
    const char *key;   /* idempotency: a second submit with it within 24 h is the same task; NULL: none */
    int retry_max;     /* failed attempts before it is dead; -1: the broker's, 3 as shipped */
    int64_t retry_base_ms, retry_cap_ms;  /* backoff; 0: the broker's, 1000 and 600000 as shipped */
    int64_t soft_limit_ms, hard_limit_ms; /* 0: the handler's */
    int64_t result_ttl_ms;                /* how long the outcome is kept; 0: the broker's, a day as shipped */
    const struct jq_header *headers;
    size_t header_count;
    const jq_task_id *after; /* tasks that must end before it may run, at most 1000; see jq_flow for more than a few */
    size_t after_count;
    enum jq_on on;      /* how those must end; 0: JQ_ON_SUCCEEDED */
    const char *unique; /* how long the key stands for it: while_queued, until_done, throttle, debounce; NULL: 24 h */
    int64_t unique_ms;  /* window of throttle, quiet time of debounce */
    const struct jq_named_blob
        *inputs; /* files that its handler reads, at most 64, stored before: jq_blob_put_file() */
    size_t input_count;
    const char *const *outputs; /* names of files that it makes, at most 64: stored when it has succeeded */
    size_t output_count;
    bool no_cache; /* it runs, though the result of a pure handler is cached */
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

/* Waits until all of them have ended, any number, and calls `on_ended` for each, once, as they end. */
enum jq_err jq_wait_all(struct jq_client *client, const jq_task_id *ids, size_t count, int64_t timeout_ms,
                        void (*on_ended)(void *ctx, const struct jq_result *result), void *ctx,
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

/* ---- blobs --------------------------------------------------------------------------------------------------------------
 *
 * Files that travel with tasks lie in the broker's store, named by the SHA-256 of what they hold: the same content is stored once. What no
 * task refers to is dropped some time (an hour, as shipped) after it was put or asked for last.
 * The time of a call (timeout_ms of the client) begins anew with each piece that has come over.
 */

/* Stores the file. What is there already is not sent again; a put that was cut off goes on where it was. JQ_ERR_NO_SPACE: the store is
 * full. JQ_ERR_CONFLICT: the file changed while it was read. */
enum jq_err jq_blob_put_file(struct jq_client *client, const char *path, struct jq_blob *ret_blob,
                             struct jq_error *reterr);
/* Writes it to `path`, which appears when it is whole and its SHA-256 is right; until then PATH.part grows, and is gone on with by the
 * next call. JQ_ERR_NOT_FOUND: not stored, or its file is damaged. JQ_ERR_CORRUPT: what came is not what was asked for. */
enum jq_err jq_blob_get_file(struct jq_client *client, const struct jq_blob *blob, const char *path,
                             struct jq_error *reterr);

/* 64 hexadecimal digits. */
enum { JQ_BLOB_TEXT_SIZE = 2 * JQ_BLOB_HASH_SIZE + 1 };
char *jq_blob_format(const struct jq_blob *blob, char place[JQ_BLOB_TEXT_SIZE]);
enum jq_err jq_blob_parse(const char *text, struct jq_blob *ret_blob, struct jq_error *reterr);

/* ---- flows -------------------------------------------------------------------------------------------------------------
 *
 * A flow is a graph of tasks that the broker takes as a whole, or not at all. Build one, submit it, look at it by the id of its first
 * task:
 *     struct jq_flow *flow;
 *     size_t parts, sum;
 *     jq_flow_new("report", &flow, &error);
 *     jq_flow_group(flow, pages, 20, &parts, &error);        // side by side
 *     jq_flow_add(flow, NULL, &total, &sum, &error);
 *     jq_flow_after_group(flow, sum, parts, 20, &error);     // a chord: when all of them have ended
 *     jq_flow_submit(client, flow, &id, &error);
 *     jq_flow_wait(client, id, -1, &info, &error);
 *
 * Order:     tasks may be added in any order; the library sorts them, and names the members of a circle (JQ_ERR_INVALID).
 * Ownership: texts and payloads of specs are borrowed until jq_flow_free(); the specs themselves are copied.
 * When a task of a flow is dead, those that need its success are `blocked` until it is replayed; what was cancelled or has expired
 * takes them with it. `spec.on` says what a task needs: success (0), an end in any way, or a failure.
 */

struct jq_flow;

/* `name` is for people: [a-z0-9_.-]{1,64}, or NULL. */
enum jq_err jq_flow_new(const char *name, struct jq_flow **ret_flow, struct jq_error *reterr);
enum jq_err jq_flow_rename(struct jq_flow *flow, const char *name, struct jq_error *reterr);
void jq_flow_free(struct jq_flow *flow);

/* One more task; *ret_place (may be NULL) names it below. `label` (may be NULL) names it in messages. Its `after` and `key` must be
 * empty. */
enum jq_err jq_flow_add(struct jq_flow *flow, const char *label, const struct jq_task_spec *task, size_t *ret_place,
                        struct jq_error *reterr);
/* `task` comes after `parent`, both places. */
enum jq_err jq_flow_after(struct jq_flow *flow, size_t task, size_t parent, struct jq_error *reterr);
/* `task` comes after the `count` tasks from the place `first` on: at most 1000. */
enum jq_err jq_flow_after_group(struct jq_flow *flow, size_t task, size_t first, size_t count, struct jq_error *reterr);

/* Many tasks at once, at consecutive places from *ret_first (may be NULL) on: side by side, or each after the one before. */
enum jq_err jq_flow_group(struct jq_flow *flow, const struct jq_task_spec *tasks, size_t count, size_t *ret_first,
                          struct jq_error *reterr);
enum jq_err jq_flow_chain(struct jq_flow *flow, const struct jq_task_spec *tasks, size_t count, size_t *ret_first,
                          struct jq_error *reterr);
/* A group, and a task that runs when all of it have ended as its `on` says: it is told their ids, see jq_job_parents(). */
enum jq_err jq_flow_chord(struct jq_flow *flow, const struct jq_task_spec *tasks, size_t count,
                          const struct jq_task_spec *callback, size_t *ret_callback, struct jq_error *reterr);
/* A group of a task for each line of a file: like `task`, with the line (without its end) as its payload. Empty lines are passed over. */
enum jq_err jq_flow_map_file(struct jq_flow *flow, const char *path, const struct jq_task_spec *task, size_t *ret_first,
                             size_t *ret_count, struct jq_error *reterr);

size_t jq_flow_count(const struct jq_flow *flow);

/* Takes it to the broker, frame by frame, and has it taken there. A queue without room for all of it is asked again within the
 * call's time. */
enum jq_err jq_flow_submit(struct jq_client *client, struct jq_flow *flow, jq_task_id *ret_flow,
                           struct jq_error *reterr);
/* The id of a task of a flow that was submitted. */
jq_task_id jq_flow_task_id(const struct jq_flow *flow, size_t place);

struct jq_flow_info {
    jq_task_id id;
    char name[JQ_NAME_SIZE_MAX + 1]; /* "": none */
    char state[17];                  /* running, blocked, cancelling; succeeded, failed, cancelled */
    uint32_t total;                  /* tasks; of those that are remembered: */
    uint32_t waiting, blocked, queued, running, succeeded, dead, cancelled, expired, not_needed;
    int64_t committed_ms; /* UTC */
};

/* Waits until nothing of the flow is queued or running any more: it has ended, or is blocked. JQ_ERR_TIMEOUT after `timeout_ms`
 * (< 0: for ever). JQ_ERR_NOT_FOUND: no such flow, or forgotten. */
enum jq_err jq_flow_wait(struct jq_client *client, jq_task_id flow, int64_t timeout_ms, struct jq_flow_info *ret_info,
                         struct jq_error *reterr);
/* Ends all of it that waits, and stops what runs (grace_ms as in jq_cancel()). It is answered before all of that is done. */
enum jq_err jq_flow_cancel(struct jq_client *client, jq_task_id flow, int64_t grace_ms, struct jq_error *reterr);

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
/* A handler whose result follows from payload and need alone: the same question is then answered from the broker's cache, without a run, while
 * all workers that have the handler call it pure under the same version (1 to 64 characters, a new one with every change of what it
 * does). After jq_worker_handle(). JQ_ERR_NOT_FOUND: no such handler. JQ_ERR_INVALID: the version. */
enum jq_err jq_worker_pure(struct jq_worker *worker, const char *handler, const char *version, struct jq_error *reterr);
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
/* The tasks that it waited for: their results are to be had by jq_wait_all() of a client. */
const jq_task_id *jq_job_parents(const struct jq_job *job, size_t *ret_count);
/* True once somebody has cancelled the task: a handler that runs for long looks now and then. */
bool jq_job_cancelled(const struct jq_job *job);
/* The result (copied, at most 48 KiB), or a line about what went wrong. */
enum jq_err jq_job_result(struct jq_job *job, const void *data, size_t size);
void jq_job_message(struct jq_job *job, const char *text);
/* For a handler that returns JQ_OUTCOME_NETWORK: the service that failed. Its circuit breaker counts that, and holds back the tasks of
 * those who use it while it is open. At most 64 bytes of `name`. */
void jq_job_service(struct jq_job *job, const char *name);
void jq_job_progress(struct jq_job *job, double fraction, const char *text);

#ifdef __cplusplus
}
#endif

#endif
