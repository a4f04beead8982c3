/* record.h - the facts that the core journals. Durable state is the fold of these, in order, by jq_core_apply().
 *
 * A record carries absolute times and everything that apply needs: apply reads no clock and no configuration. Texts and bytes
 * are borrowed for the call. Queues, classes and option sets are named by small indices that a `*_defined` record introduced
 * before; broker/record.h turns a record into bytes and back. Adding a fact: a type here, its fields in the union, one case in
 * apply.c, one row in broker/record.c.
 */
#ifndef JQ_BROKER_CORE_RECORD_H
#define JQ_BROKER_CORE_RECORD_H

#include "common/limit.h"
#include "common/types.h"
#include "common/vocab.h"

enum jq_record_type {
    /* 1 is the clock record: broker/record.c makes and consumes it, the core never sees one. */
    JQ_RECORD_PROLOGUE_BEGIN = 2, /* a new segment starts: what follows re-states what is not tied to one task */
    JQ_RECORD_PROLOGUE_END = 3,
    JQ_RECORD_IDS_RESERVED = 4,
    JQ_RECORD_QUEUE_DEFINED = 5,
    JQ_RECORD_QUEUE_SET = 6,
    JQ_RECORD_CLASS_DEFINED = 7,
    JQ_RECORD_OPTIONS_DEFINED = 8,
    JQ_RECORD_WORKER_REGISTERED = 9,
    JQ_RECORD_WORKER_SET = 10,
    JQ_RECORD_WORKER_GONE = 11,
    JQ_RECORD_REQUEST_ANSWERED = 12,
    JQ_RECORD_SENDER_TRIMMED = 13,
    /* 14 is free. */
    JQ_RECORD_KEYS_FORGOTTEN = 15,
    JQ_RECORD_WALL_OFFSET = 16,
    JQ_RECORD_TASK_SUBMITTED = 17,
    JQ_RECORD_TASK_DUE = 18,
    JQ_RECORD_TASK_LEASED = 19,
    JQ_RECORD_TASK_RETRIED = 20,
    JQ_RECORD_TASK_CANCELLING = 21,
    JQ_RECORD_TASK_ENDED = 22,
    JQ_RECORD_TASK_REVIVED = 23,
    JQ_RECORD_TASK_FORGOTTEN = 24,
    JQ_RECORD_LIMIT_SET = 25,
    JQ_RECORD_LIMIT_REMOVED = 26,
    JQ_RECORD_BREAKER_SET = 34,
    JQ_RECORD_TASK_EDITED = 35,
    JQ_RECORD_TASK_REPLAYED = 36,
    JQ_RECORD_FLOW_SET = 40, /* what a flow is from now on: begun, committed, cancelled; re-stated as it stands */
    JQ_RECORD_FLOW_CUT = 41,
    JQ_RECORD_FLOW_FORGOTTEN = 42,
    JQ_RECORD_EDGE_DECIDED = 43,
    JQ_RECORD_TASK_FREED = 44,
    JQ_RECORD_SCHEDULE_SET = 48,
    JQ_RECORD_SCHEDULE_FORGOTTEN = 49,
    JQ_RECORD_SCHEDULE_MOVED = 50,
    JQ_RECORD_TASK_HELD = 52,
    JQ_RECORD_TASK_RELEASED = 53,
    JQ_RECORD_TASK_MOVED = 54,
    JQ_RECORD_TASK_RELOCATED =
        60, /* all of a task, as it stands: its record in the log's oldest part is needed no more */
    JQ_RECORD_REPORT_RELOCATED = 61,
    JQ_RECORD_KEY_RELOCATED = 62,
    JQ_RECORD_KEY_FORGOTTEN = 66,
    JQ_RECORD_TASK_RENEWED = 67,
    JQ_RECORD_BLOB_STORED = 75, /* its file is whole and on disk; also re-stated */
    JQ_RECORD_BLOB_DROPPED = 76,
    JQ_RECORD_CACHE_STORED = 78, /* the result of a pure handler; also where it is moved to the log's head */
    JQ_RECORD_CACHE_DROPPED = 79,
    JQ_RECORD_WORKER_DOORBELL = 85, /* where a worker is woken, and whether it sleeps */
    JQ_RECORD_TYPE_END              /* one past the last */
};

/* What of a task is alike for many and therefore interned. Times in ms, 0 = none for the two limits. */
struct jq_options {
    uint32_t retry_max;
    uint32_t retry_base_ms;
    uint32_t retry_cap_ms;
    int64_t soft_limit_ms;
    int64_t hard_limit_ms;
    int64_t result_ttl_ms;
};

/* The key under which the result of a task is cached: how it is to be used, in a byte, and a SHA-256. An entry's name is the
 * SHA-256 and the version of the handler that ran. */
enum {
    JQ_CACHE_KEY_SIZE = 1 + JQ_BLOB_HASH_SIZE,
    JQ_CACHE_VERSION_SIZE_MAX = 64,
    JQ_CACHE_NAME_SIZE_MAX = JQ_BLOB_HASH_SIZE + JQ_CACHE_VERSION_SIZE_MAX
};
/* The numbers are the journal's. */
enum jq_cache_use {
    JQ_CACHE_LOOK = 1, /* answered from the cache, if it can be; else its result is kept there */
    JQ_CACHE_RUN = 2   /* runs in any case; its result is kept there */
};

enum { JQ_LEASE_UNITS_SIZE_MAX = 16384 }; /* encoded units of one lease */
/* Where a flow is in its life. The numbers are the journal's. */
enum jq_flow_phase {
    JQ_FLOW_STAGED = 1,     /* its tasks come in; nobody sees them */
    JQ_FLOW_DROPPED = 2,    /* they will be forgotten, the last first */
    JQ_FLOW_COMMITTED = 3,  /* they are tasks like any */
    JQ_FLOW_CANCELLING = 4, /* one after the other is being cancelled */
    JQ_FLOW_CANCELLED = 5
};

/* What a task knows of another that it waits for. The numbers are the journal's. */
enum jq_edge_verdict {
    JQ_EDGE_OPEN = 0,
    JQ_EDGE_MET = 1,    /* the other ended as wanted, for good */
    JQ_EDGE_BLOCKED = 2 /* the other is dead, and may be replayed */
};

/* What the request window keeps of an answer: enough to give it again, never bytes of a task. */
struct jq_verdict {
    uint8_t op;     /* enum jq_op */
    uint8_t status; /* enum jq_reply */
    uint64_t first; /* submit: id of the first task accepted; lease: first token; else a count or an id */
    uint32_t count; /* submit: items in the request; lease: tokens given */
    struct jq_bytes
        exceptions; /* encoded by window.c: items that were not simply accepted, reports that were refused */
};

/* How far a schedule has come. Times are wall time: a due time is what the clock on the wall says. */
struct jq_schedule_state {
    int64_t anchor_wall_ms;   /* what @every counts from */
    int64_t settled_wall_ms;  /* due times up to it are done with */
    int64_t last_due_wall_ms; /* of the last that was fired; 0: none */
    jq_task_id last_task;     /* 0: none */
    uint64_t fired, missed, skipped;
    bool paused;
};

/* What operators have set of a queue: it stays over restarts and comes before the configuration. All zero: nothing. */
struct jq_queue_set {
    bool paused;                  /* nothing of it is leased */
    bool draining;                /* it takes no new tasks */
    int64_t paused_until_wall_ms; /* 0: until somebody resumes it */
    uint64_t depth_max;           /* 0: as configured */
    uint32_t weight;              /* 0: as configured */
    uint64_t bytes_max;           /* 0: as configured */
    uint8_t policy;               /* 1 + enum jq_queue_policy; 0: as configured */
};
/* Which of them is meant, or set: in requests and in the record's bytes. */
enum jq_queue_setting {
    JQ_QUEUE_SETTING_PAUSED = 1,
    JQ_QUEUE_SETTING_DRAINING = 2,
    JQ_QUEUE_SETTING_UNTIL = 4,
    JQ_QUEUE_SETTING_DEPTH_MAX = 8,
    JQ_QUEUE_SETTING_WEIGHT = 16,
    JQ_QUEUE_SETTING_BYTES_MAX = 32,
    JQ_QUEUE_SETTING_POLICY = 64,
    JQ_QUEUE_SETTING_END = 128 /* one past the last */
};

struct jq_record {
    enum jq_record_type type;
    int64_t time_ms; /* core time of the step that made it */
    uint64_t lsn;    /* set by the emitter (or by the reader on replay): where the record stands in the log */
    uint32_t size;   /* likewise: bytes of the whole record, as a body reader fetches them */
    union {
        struct {
            uint64_t needs_from; /* LSN of the segment that holds the oldest live body */
            uint64_t digest;     /* jq_core_digest() when everything before this record was applied */
        } prologue_end;
        struct {
            uint64_t limit; /* ids below this one may be in use */
        } ids_reserved;
        struct {
            uint16_t queue;
            struct jq_str name;
        } queue_defined;
        struct {
            uint16_t queue;
            struct jq_queue_set set; /* all of it */
        } queue_set;
        struct {
            uint16_t class_index;
            struct jq_str handler;
            struct jq_str need; /* canonical text */
            struct jq_str want; /* likewise; empty: none */
        } class_defined;
        struct {
            uint32_t index;
            struct jq_options options;
        } options_defined;
        struct {
            uint32_t worker;
            struct jq_uuid id;      /* of the worker: stays over its restarts */
            struct jq_uuid session; /* 128 random bits */
            uint64_t incarnation;   /* random at the worker's start */
            struct jq_str name;
        } worker_registered;
        struct {
            uint32_t worker;
            bool draining;
        } worker_set;
        struct {
            uint32_t worker;
        } worker_gone;
        struct {
            uint32_t worker;
            bool asleep;
            struct jq_str doorbell; /* an address, not empty */
        } worker_doorbell;
        struct {
            struct jq_uuid sender;
            uint64_t request;
            uint64_t done; /* ids below were answered: forgotten */
            struct jq_verdict verdict;
        } request_answered;
        struct {
            struct jq_uuid sender;
            uint64_t floor; /* ids below are forgotten */
            bool whole;     /* the sender is forgotten altogether */
        } sender_trimmed;
        struct {
            struct jq_str key; /* scope, 0 byte, key; of throttle */
        } key_forgotten;
        struct {
            jq_task_id task; /* waits under a key of debounce: a later submit takes its place */
            uint16_t queue;
            uint16_t class_index;
            uint32_t options;
            uint8_t priority;
            int64_t ready_at_ms;
            int64_t expires_wall_ms; /* 0: never */
            struct jq_str group;     /* empty: none */
            struct jq_bytes body;    /* opaque, as in task_submitted */
        } task_renewed;
        struct {
            uint64_t below_lsn; /* keys whose submit stands below are forgotten */
        } keys_forgotten;
        struct {
            int64_t offset_ms; /* wall time - core time */
        } wall_offset;
        struct jq_submit_fields {
            jq_task_id task;
            uint16_t queue;
            uint16_t class_index;
            uint32_t options;
            uint8_t priority;
            bool eta;                /* ready_at_ms is wall time: a `due` record will follow */
            int64_t ready_at_ms;     /* core time (or wall, see eta) */
            int64_t expires_wall_ms; /* 0: never */
            int64_t key_expires_ms;  /* 0: no key; 1: not by time but by what becomes of the task, see unique */
            uint8_t unique;          /* enum jq_unique: how long the key stands for the task */
            struct jq_str key;       /* scope, 0 byte, key */
            struct jq_str group;     /* empty: none */
            struct jq_bytes body;    /* opaque: payload and headers as the shell encoded them */
            uint64_t flow;           /* id of the first task of its flow, which is staged; 0: none */
            uint8_t on;              /* enum jq_on; 0: it waits for nobody */
            struct jq_bytes after; /* varints, one a parent: (its id's distance below this task's) << 1 | met already */
            uint32_t schedule;     /* 0: of none */
            int64_t due_wall_ms;   /* of a schedule: for which time; 0: by hand. All times up to it are settled */
            struct jq_bytes files; /* files.h */
            struct jq_bytes cache; /* JQ_CACHE_KEY_SIZE bytes; empty: its result is not cached */
        } task_submitted;
        struct {
            jq_task_id task;
        } task_due; /* an eta has come: ready since time_ms */
        struct {
            jq_task_id task;
            jq_lease_token token;
            uint32_t worker;
            uint8_t alternative;   /* which of the alternatives of its effective need was reserved */
            struct jq_bytes units; /* encoded by units.c: which units of indexed offers are its own; empty: none */
        } task_leased;
        struct {
            jq_task_id task;
            uint8_t outcome;                              /* enum jq_outcome of the attempt that ended */
            uint8_t attempts, crashes, losses, shortages; /* the counters from now on */
            int64_t ready_at_ms;
            struct jq_bytes body; /* opaque: the report as the shell encoded it; empty keeps the one before */
            struct jq_str error; /* what went wrong, in at most JQ_ERROR_TEXT_SIZE_MAX bytes; empty: nothing is known */
        } task_retried;
        struct {
            jq_task_id task;
            uint32_t grace_ms;
        } task_cancelling;
        struct {
            jq_task_id task;
            uint8_t state;   /* a final enum jq_state */
            uint8_t outcome; /* enum jq_outcome: why */
            uint8_t attempts, crashes;
            struct jq_bytes body; /* opaque: result or last report; empty keeps the one before */
            struct jq_str error;  /* as in task_retried */
            uint8_t losses;       /* 0: as before */
            struct jq_bytes made; /* files.h: outputs that were stored; empty: as before */
        } task_ended;
        struct {
            jq_task_id task; /* dead, again in its queue with fresh counters, ready at time_ms */
        } task_revived;
        struct {
            jq_task_id task;
        } task_forgotten;
        struct {
            jq_task_id task; /* the one that waits */
            uint64_t parent;
            uint8_t verdict; /* enum jq_edge_verdict */
        } edge_decided;
        struct {
            jq_task_id task; /* of a committed flow, waits for nobody: may run */
        } task_freed;
        struct {
            uint64_t flow;         /* id of its first task */
            uint8_t phase;         /* enum jq_flow_phase */
            uint32_t room;         /* ids that are its own */
            uint32_t total;        /* tasks, as long as none is cut */
            int64_t at_ms;         /* begun, or once committed: committed */
            uint32_t grace_ms;     /* of its cancel */
            struct jq_uuid sender; /* who stages it */
            struct jq_str name;
        } flow_set;
        struct {
            jq_task_id task;
            struct jq_submit_fields submit; /* what it is; ready_at_ms: its at_ms; never a key, which moves by itself */
            uint8_t state, outcome, attempts, crashes, losses, shortages;
            uint16_t runs;
            bool held;
            int64_t first_ready_ms;
            uint64_t body_lsn; /* where its body stands, and the size of that record; 0: here */
            uint32_t body_size;
            uint64_t last_lsn; /* the record with its last report; size 0: none */
            uint32_t last_size;
            uint32_t grace_ms;
            uint32_t edits;
            uint32_t worker; /* while it is leased: as in task_leased; else 0 */
            uint8_t alternative;
            jq_lease_token token;
            struct jq_bytes units;
            struct jq_bytes verdicts; /* enum jq_edge_verdict of each of submit.after, in a byte */
            struct jq_str error;      /* as in task_ended */
            struct jq_bytes made;     /* likewise */
        } task_relocated;
        struct {
            jq_task_id task;
            struct jq_bytes body; /* of its last report */
        } report_relocated;
        struct {
            jq_task_id task;
            uint8_t unique;
            int64_t expires_ms;
            struct jq_str key; /* scope, 0 byte, key */
        } key_relocated;
        struct {
            uint64_t flow;
            uint32_t keep; /* of its tasks: those behind are forgotten */
        } flow_cut;
        struct {
            uint64_t flow; /* none of its tasks is remembered any more */
        } flow_forgotten;
        struct {
            jq_task_id task; /* as task_revived, but ready at a time of its own */
            int64_t ready_at_ms;
        } task_replayed;
        struct {
            jq_task_id task; /* dead: what it is to be when it is replayed */
            uint16_t queue;
            uint16_t class_index;
            uint32_t options;
            uint8_t priority;
            struct jq_bytes body; /* opaque, as in task_submitted; empty keeps the one before */
        } task_edited;
        struct {
            uint8_t kind;  /* enum jq_breaker_kind */
            uint8_t state; /* enum jq_breaker_state */
            bool by_operator;
            struct jq_str name; /* of the handler, worker or service */
            int64_t since_ms;
            int64_t until_ms; /* 0: by itself it stays as it is */
            int64_t cool_down_ms;
            struct jq_str handlers; /* of a service: those that have named it, between blanks; empty: as before */
        } breaker_set;
        struct {
            uint32_t schedule; /* new, or another definition for it */
            struct jq_schedule_state state;
            struct jq_bytes definition; /* encoded by schedule_code.c */
        } schedule_set;
        struct {
            uint32_t schedule;
        } schedule_forgotten;
        struct {
            uint32_t schedule;
            struct jq_schedule_state state;
        } schedule_moved;
        struct {
            struct jq_str scope;  /* as common/limit.h writes it */
            uint32_t concurrency; /* 0: none */
            struct jq_rate rate;  /* count 0: none */
            uint32_t burst;
            int64_t due_us;  /* core time of the next start by the rate; not of group:QUEUE/<star> */
            bool configured; /* by the queue's section of the configuration, not by an operator */
        } limit_set;         /* new, changed, or re-stated by a prologue */
        struct {
            struct jq_str scope;
        } limit_removed;
        struct {
            const uint8_t *hash; /* SHA-256 of its content */
            uint64_t size;
        } blob_stored;
        struct {
            const uint8_t *hash;
        } blob_dropped; /* collected, or found lost */
        struct {
            struct jq_str name;    /* SHA-256, and the version that ran */
            jq_task_id task;       /* that ran */
            int64_t at_ms;         /* when it ended */
            uint64_t output_bytes; /* of the blobs in `made` */
            struct jq_bytes made;  /* files.h */
            struct jq_bytes body;  /* opaque, as in task_ended */
        } cache_stored;
        struct {
            struct jq_str name;
        } cache_dropped; /* driven out, purged, or a blob of it was found lost */
        struct {
            jq_task_id task;
        } task_held; /* also of TASK_RELEASED */
        struct {
            jq_task_id task;
            uint16_t queue; /* where it waits from now on; its order key, priority and id stay */
        } task_moved;
    } u;
};

#endif
