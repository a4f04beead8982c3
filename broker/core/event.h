/* event.h - everything that can happen to the core: decoded requests, responses to surveys, news of the log, the passing of time.
 *
 * Ownership: all texts, bytes and arrays are borrowed for the one call of jq_core_step().
 * The shell has checked sizes, names and types (message table); the core checks what needs its state.
 */
#ifndef JQ_BROKER_CORE_EVENT_H
#define JQ_BROKER_CORE_EVENT_H

#include "broker/core/record.h"
#include "common/limit.h"
#include "common/types.h"
#include "common/vocab.h"
#include "common/where.h"

/* Requests that reach the core. Those marked W change something and go through the request window. */
#define JQ_OP_LIST(X)                                                                                                  \
    X(JQ_OP_NONE, 0, "none")                                                                                           \
    X(JQ_OP_SUBMIT, 1, "submit")     /* W */                                                                           \
    X(JQ_OP_REGISTER, 2, "register") /* W */                                                                           \
    X(JQ_OP_LEASE, 3, "lease")       /* W */                                                                           \
    X(JQ_OP_REPORT, 4, "report")     /* W */                                                                           \
    X(JQ_OP_WAIT, 5, "wait")                                                                                           \
    X(JQ_OP_TASK_SHOW, 6, "task.show")                                                                                 \
    X(JQ_OP_TASK_LS, 7, "task.ls")                                                                                     \
    X(JQ_OP_TASK_EXPLAIN, 8, "task.explain")                                                                           \
    X(JQ_OP_TASK_CANCEL, 9, "task.cancel")  /* W */                                                                    \
    X(JQ_OP_DEAD_REPLAY, 10, "dead.replay") /* W */                                                                    \
    X(JQ_OP_DEAD_RM, 11, "dead.rm")         /* W */                                                                    \
    X(JQ_OP_QUEUE_LS, 12, "queue.ls")                                                                                  \
    X(JQ_OP_QUEUE_SET, 13, "queue.set") /* W */                                                                        \
    X(JQ_OP_WORKER_LS, 14, "worker.ls")                                                                                \
    X(JQ_OP_WORKER_SHOW, 15, "worker.show")                                                                            \
    X(JQ_OP_WORKER_DRAIN, 16, "worker.drain") /* W */                                                                  \
    X(JQ_OP_SERVER_STATUS, 17, "server.status")                                                                        \
    X(JQ_OP_FLOW_BEGIN, 18, "flow.begin")   /* W */                                                                    \
    X(JQ_OP_FLOW_ADD, 19, "flow.add")       /* W */                                                                    \
    X(JQ_OP_FLOW_COMMIT, 20, "flow.commit") /* W */                                                                    \
    X(JQ_OP_FLOW_CANCEL, 21, "flow.cancel") /* W */                                                                    \
    X(JQ_OP_FLOW_SHOW, 22, "flow.show")                                                                                \
    X(JQ_OP_FLOW_LS, 23, "flow.ls")                                                                                    \
    X(JQ_OP_FLOW_WAIT, 24, "flow.wait")                                                                                \
    X(JQ_OP_BREAKER_LS, 25, "breaker.ls")                                                                              \
    X(JQ_OP_BREAKER_SHOW, 26, "breaker.show")                                                                          \
    X(JQ_OP_BREAKER_TRIP, 27, "breaker.trip")     /* W */                                                              \
    X(JQ_OP_BREAKER_RESET, 28, "breaker.reset")   /* W */                                                              \
    X(JQ_OP_DEAD_EDIT, 29, "dead.edit")           /* W */                                                              \
    X(JQ_OP_SCHEDULE_SET, 30, "schedule.set")     /* W */                                                              \
    X(JQ_OP_SCHEDULE_RM, 31, "schedule.rm")       /* W */                                                              \
    X(JQ_OP_SCHEDULE_PAUSE, 32, "schedule.pause") /* W */                                                              \
    X(JQ_OP_SCHEDULE_RUN, 33, "schedule.run")     /* W */                                                              \
    X(JQ_OP_SCHEDULE_LS, 34, "schedule.ls")                                                                            \
    X(JQ_OP_SCHEDULE_SHOW, 35, "schedule.show")                                                                        \
    X(JQ_OP_LIMIT_SET, 36, "limit.set") /* W */                                                                        \
    X(JQ_OP_LIMIT_LS, 37, "limit.ls")                                                                                  \
    X(JQ_OP_LIMIT_RM, 38, "limit.rm")         /* W */                                                                  \
    X(JQ_OP_TASK_HOLD, 39, "task.hold")       /* W */                                                                  \
    X(JQ_OP_TASK_RELEASE, 40, "task.release") /* W */                                                                  \
    X(JQ_OP_TASK_MOVE, 41, "task.move")       /* W */                                                                  \
    X(JQ_OP_TASK_RM, 42, "task.rm")           /* W */                                                                  \
    X(JQ_OP_EVENTS_READ, 43, "events.read")                                                                            \
    X(JQ_OP_BACKUP_BEGIN, 44, "backup.begin") /* answered by the shell */                                              \
    X(JQ_OP_BACKUP_READ, 45, "backup.read")   /* likewise */                                                           \
    X(JQ_OP_BLOB_PUT, 46, "blob.put")                                                                                  \
    X(JQ_OP_BLOB_GET, 47, "blob.get") /* the shell's alone */                                                          \
    X(JQ_OP_BLOB_STAT, 48, "blob.stat")                                                                                \
    X(JQ_OP_BLOB_LS, 49, "blob.ls")                                                                                    \
    X(JQ_OP_BLOB_GC, 50, "blob.gc")       /* W */                                                                      \
    X(JQ_OP_OUTPUT_PUT, 51, "output.put") /* the shell's alone */                                                      \
    X(JQ_OP_TASK_LOGS, 52, "task.logs")   /* the shell's alone */                                                      \
    X(JQ_OP_CACHE_STAT, 53, "cache.stat")                                                                              \
    X(JQ_OP_CACHE_PURGE, 54, "cache.purge") /* W */

#define JQ_OP_ENUM(name, number, text) name = (number),
enum jq_op { JQ_OP_LIST(JQ_OP_ENUM) JQ_OP_END };
#undef JQ_OP_ENUM

/* One task of a submit. `refused` != JQ_REPLY_OK: the shell found it invalid; the core passes the verdict on. */
struct jq_submit_item {
    enum jq_reply refused;
    const char *field;  /* static string: which field was refused */
    const char *reason; /* static string, or text that lives for the call */
    struct jq_str queue, handler;
    struct jq_str need;  /* canonical text (need.h) */
    struct jq_str want;  /* likewise; empty: none */
    struct jq_str key;   /* empty: none */
    struct jq_str group; /* empty: none */
    enum jq_unique unique;
    int64_t unique_ms; /* of throttle: the window; of debounce: the delay, which delay_ms says too */
    int priority;
    int64_t delay_ms;
    int64_t eta_wall_ms;     /* 0: none */
    int64_t expires_wall_ms; /* 0: never */
    uint32_t retry_max, retry_base_ms, retry_cap_ms;
    int64_t soft_limit_ms, hard_limit_ms; /* 0: the handler's */
    int64_t result_ttl_ms;
    struct jq_bytes body;    /* payload (msgpack bin or nil) and headers, encoded, as record and lease carry them */
    struct jq_bytes files;   /* files.h */
    bool no_cache;           /* runs, even where its result is cached */
    const jq_task_id *after; /* tasks that must have ended before; of a flow.add: earlier ones of the flow */
    size_t after_count;
    enum jq_on on; /* how; none: succeeded */
};

/* Which fields of an item an edit gives. */
enum jq_edit_field {
    JQ_EDIT_QUEUE = 1,
    JQ_EDIT_HANDLER = 2,
    JQ_EDIT_NEED = 4,
    JQ_EDIT_PRIORITY = 8,
    JQ_EDIT_BODY = 16,
    JQ_EDIT_RETRY_MAX = 32,
    JQ_EDIT_RETRY_BASE = 64,
    JQ_EDIT_RETRY_CAP = 128,
    JQ_EDIT_SOFT_LIMIT = 256,
    JQ_EDIT_HARD_LIMIT = 512,
    JQ_EDIT_RESULT_TTL = 1024,
    JQ_EDIT_WANT = 2048
};

enum {
    JQ_SCHEDULE_DUE_SIZE = 20, /* "2024-02-29T12:00:00Z" */
    JQ_SCHEDULE_BODY_SIZE_MAX = 8 * 1024,
};

/* A task that is submitted again and again. The last JQ_SCHEDULE_DUE_SIZE bytes of the task's body are room for the time it is
 * due, which the core writes there in each. The task has no key, and no absolute times. */
struct jq_schedule_def {
    struct jq_str name;
    struct jq_str when; /* cron.h */
    struct jq_str zone;
    enum jq_catch_up catch_up;
    bool skip_overlap; /* not while its last task has not ended */
    int64_t jitter_ms; /* the task is ready that much later at most */
    struct jq_submit_item task;
};

struct jq_name_value {
    struct jq_str name, value;
};
struct jq_amount {
    struct jq_str name;
    uint64_t amount; /* thousandths */
};

/* Of an offer whose units are told apart: their numbers. */
struct jq_units {
    struct jq_str name;
    const uint16_t *indexes;
    size_t count;
};

struct jq_handler_def {
    struct jq_str name, version;
    struct jq_str need;                   /* canonical */
    int64_t soft_limit_ms, hard_limit_ms; /* 0: none */
    bool pure;
};

/* The end of one attempt, as its worker tells it. */
struct jq_report {
    jq_task_id task;
    jq_lease_token token;
    enum jq_outcome outcome; /* success, an error class, cancelled or handed_back */
    bool crashed;            /* a signal, out of memory, or the soft limit ignored */
    struct jq_bytes body;    /* the report, encoded, kept with the task */
    struct jq_str
        error; /* what went wrong, one line of at most JQ_ERROR_TEXT_SIZE_MAX bytes; empty: nothing is known */
    struct jq_str service; /* with network: the name of the service that failed; empty: none was named */
    struct jq_bytes made;  /* files.h: outputs that were stored */
    struct jq_str version; /* of the handler that ran, if it is pure; empty: not known */
};

/* One lease a worker says it holds. */
struct jq_held {
    jq_task_id task;
    jq_lease_token token;
};

/* Of which queues the asker may name tasks. The globs are lent for as long as the core lives: parked requests keep them. */
struct jq_reach {
    bool limited; /* else all */
    const char *const *globs;
    size_t count;
};

struct jq_request {
    uint64_t call; /* names the parked call to the shell; every request is answered or dropped exactly once */
    uint64_t pipe; /* the connection it came by */
    struct jq_uuid sender;
    uint64_t id;   /* ascending per sender */
    uint64_t done; /* every id below has been answered */
    enum jq_op op;
    struct jq_reach reach;
    union {
        struct {
            const struct jq_submit_item *items;
            size_t count;
            uint64_t flow;   /* flow.add */
            uint32_t at;     /* flow.add: the place in the flow of the first of them */
            int64_t wait_ms; /* how long the answer may be held back where a full queue does that; 0: not at all */
        } submit;            /* also of flow.add */
        struct {
            uint64_t flow;      /* id of its first task */
            uint32_t count;     /* begin: ids to draw; commit: tasks that were added */
            struct jq_str name; /* begin; may be empty */
            uint32_t grace_ms;  /* cancel */
            int64_t wait_ms;    /* wait */
            uint32_t at, limit; /* show: rows from this place on; ls: limit */
        } flow;                 /* begin, commit, cancel, show, wait, ls (flow: those after it) */
        struct {
            struct jq_uuid id;
            struct jq_uuid session; /* 16 fresh random bytes by the shell */
            uint64_t incarnation;
            struct jq_str name;
            const struct jq_amount *offers;
            size_t offer_count;
            const struct jq_name_value *facts;
            size_t fact_count;
            const struct jq_handler_def *handlers;
            size_t handler_count;
            const struct jq_units *units; /* of some of the offers */
            size_t unit_count;
            const struct jq_str *accept; /* names of offers: it takes only tasks that reserve one of them; none: all */
            size_t accept_count;
            struct jq_str doorbell; /* where it is woken when it sleeps; empty: nowhere */
        } reg;
        struct {
            struct jq_uuid session;
            uint32_t want;                /* tasks it would take now; 0: only commands */
            uint32_t bytes_max;           /* of bodies in the answer */
            int64_t wait_ms;              /* how long the poll may be parked */
            bool sleep;                   /* it holds nothing, and goes until its doorbell is rung */
            const struct jq_amount *free; /* offers left by its own account: can only lower the broker's */
            size_t free_count;
            const struct jq_report *reports;
            size_t report_count;
            const struct jq_held *held; /* the answer to `send_held` */
            size_t held_count;
            bool held_given; /* held answers send_held: ascending by token */
            bool held_whole; /* held is all; else the newest of it */
        } lease;             /* also of JQ_OP_REPORT: session and reports only */
        struct {
            const jq_task_id *ids;
            size_t count;
            int64_t wait_ms;
        } wait; /* answered as soon as one of them has ended */
        struct {
            jq_task_id id;
        } task; /* show, explain */
        struct {
            bool oldest; /* of all segments; else that of `segment` */
            uint64_t segment, offset, end_lsn;
        } backup; /* backup.read */
        struct {
            struct jq_uuid session;
            jq_task_id task;
            jq_lease_token token;
            uint64_t at[2]; /* of stdout, of stderr */
            struct jq_bytes bytes[2];
        } output; /* output.put, task.logs */
        struct {
            jq_task_id after; /* rows with a greater id */
            uint32_t limit;
            struct jq_str queue, handler; /* empty: any */
            uint32_t states;              /* bit per enum jq_state; 0: any */
            const struct jq_where *where; /* NULL: any */
        } list;
        struct {
            const jq_task_id *ids;
            size_t count;
            uint32_t grace_ms;
            int64_t interval_us;          /* dead.replay: they become ready one by one, so far apart; 0: all at once */
            const struct jq_where *where; /* instead of ids; NULL: those of ids */
            bool dry_run;                 /* with where: only count */
            struct jq_str to;             /* the queue of a move */
        } tasks;                          /* cancel, hold, release, move, rm, dead.replay, dead.rm */
        struct {
            jq_task_id id;
            uint64_t version;           /* of the body that was seen, as jq_task_row.body.lsn; 0: whatever it is */
            uint32_t given;             /* enum jq_edit_field */
            struct jq_submit_item item; /* the fields given */
        } edit;
        struct {
            enum jq_breaker_kind kind;
            struct jq_str name; /* of the handler, worker or service */
            int64_t for_ms;     /* trip: open for so long; 0: until it is reset */
            bool not_closed;    /* ls: only those */
        } breaker;
        struct {
            uint64_t after; /* events behind this one; 0: from now on */
            uint32_t limit;
            int64_t wait_ms;
            const struct jq_where *where; /* NULL: all */
        } events;
        struct {
            struct jq_str name;
            bool on;        /* worker.drain: draining */
            uint32_t after; /* queue.ls, worker.ls: go on behind this place */
        } named; /* queue.ls (name may be empty), worker.ls, worker.show, worker.drain, schedule.* but set and ls */
        struct {
            struct jq_schedule_def def;
            bool pause_given, paused; /* not given: as it was */
        } schedule;
        struct {
            struct jq_str scope;  /* valid, common/limit.h */
            uint32_t concurrency; /* 0: none */
            struct jq_rate rate;  /* count 0: none */
            uint32_t burst;
        } limit; /* limit.set; limit.rm: the scope alone */
        struct {
            uint64_t after; /* rows behind the one of that number */
        } page;             /* limit.ls */
        struct {
            const uint8_t *hash;  /* SHA-256; of a draft: its name */
            const uint8_t *named; /* put: name of the draft that is this blob; NULL: none is */
            bool draft;           /* put: `hash` is the name of a draft */
            uint64_t size;        /* put: of the whole */
            uint64_t offset;
            struct jq_bytes data;
            bool data_given;
            size_t piece_max; /* get: bytes of the answer's data, whole chunks */
            /* What the shell found out: */
            uint64_t have;    /* bytes that have come so far */
            uint32_t version; /* of its file, never 0 */
            bool on_disk;     /* its file is there */
            bool draft_taken; /* put: the draft may come */
            bool arrived;     /* put: with this request it is whole, checked, and on disk */
            uint64_t after;   /* ls: rows behind the one of that number */
            uint32_t limit;   /* ls */
        } blob;               /* blob.* */
        struct {
            struct jq_str name;
            uint32_t given; /* bits of enum jq_queue_setting: the others stay as they are */
            struct jq_queue_set set;
        } queue_set;
    } u;
};

struct jq_progress {
    jq_task_id task;
    uint16_t permille;
    struct jq_str text; /* <= 120 bytes */
};

struct jq_survey_response {
    uint32_t survey;
    struct jq_uuid session;
    uint64_t incarnation;
    uint32_t held_count;
    uint64_t held_sum; /* sum of jq_hash_u64(token) over the leases held, modulo 2^64 */
    uint32_t load_permille, memory_permille;
    const struct jq_progress *progress;
    size_t progress_count;
};

enum jq_event_type {
    JQ_EVENT_TIME, /* nothing but the passing of time: deadlines */
    JQ_EVENT_REQUEST,
    JQ_EVENT_PIPE_GONE, /* a connection closed: its parked calls are dropped */
    JQ_EVENT_SURVEY_RESPONSE,
    JQ_EVENT_WRITTEN,   /* the log is written up to an LSN: lease answers before it have gone out */
    JQ_EVENT_SEGMENT,   /* a new segment starts: write a prologue */
    JQ_EVENT_DISK,      /* free space and size of the log */
    JQ_EVENT_ZONES,     /* what the configuration's zones say has changed */
    JQ_EVENT_LOG_READ,  /* the answer to JQ_EFFECT_READ_LOG */
    JQ_EVENT_DAMAGED,   /* what was leased cannot be handed out: its body in the log does not hold */
    JQ_EVENT_BLOB_LOST, /* the file of a blob is gone, or damaged */
    JQ_EVENT_STOP       /* no new work; parked calls are answered `draining` */
};

struct jq_event {
    enum jq_event_type type;
    int64_t now_ms;  /* core time; never goes back */
    int64_t wall_ms; /* UTC */
    union {
        struct jq_request request;
        struct {
            uint64_t pipe;
        } pipe_gone;
        struct jq_survey_response survey;
        struct {
            uint64_t lsn;
        } written;
        struct {
            uint64_t free_bytes, log_bytes;
            uint64_t stuck_tries; /* in vain, to let the oldest segment go */
        } disk;
        struct {
            uint64_t from_lsn;               /* as asked */
            uint64_t next_lsn;               /* where to read on; from_lsn: it cannot be read */
            const struct jq_record *records; /* with lsn and size: those that carry a body or a key */
            size_t count;
        } log_read;
        struct jq_held damaged;
        struct {
            const uint8_t *hash;
            uint32_t version; /* as of a put */
        } blob_lost;
    } u;
};

/* "task.show" of JQ_OP_TASK_SHOW; "?" outside the list. */
const char *jq_op_name(enum jq_op op);

#endif
