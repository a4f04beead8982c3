/* effect.h - what the core wants done: answers, surveys, notices, and news for people.
 *
 * Each effect names the durability it needs; the shell releases it when the log has come that far beyond everything that was
 * emitted before the effect. Ownership: everything is borrowed for the one call of jq_output.effect().
 */
#ifndef JQ_BROKER_CORE_EFFECT_H
#define JQ_BROKER_CORE_EFFECT_H

#include "broker/core/event.h"
#include "broker/core/record.h"

enum jq_effect_level {
    JQ_EFFECT_AT_ONCE, /* surveys, news, metrics */
    JQ_EFFECT_WRITTEN, /* lease answers */
    JQ_EFFECT_DURABLE  /* everything else that answers somebody */
};

/* A place in the log whose record holds a body. size 0: none. */
struct jq_body_ref {
    uint64_t lsn;
    uint32_t size; /* of the whole record */
};

/* Item `index` of a submit, or report `index`, that was not simply accepted. */
struct jq_exception {
    uint32_t index;
    enum jq_reply status; /* OK: a duplicate key, `task` is the first submit's id */
    jq_task_id task;
    int64_t retry_after_ms; /* with busy */
    const char *field;      /* NULL where the status says all */
    const char *reason;
};

struct jq_lease_item {
    jq_task_id task;
    jq_lease_token token;
    uint32_t attempt; /* 1 for the first */
    struct jq_str queue, handler;
    int64_t soft_limit_ms, hard_limit_ms; /* effective; 0: none */
    const struct jq_amount *reserved;     /* what the account holds for it */
    size_t reserved_count;
    struct jq_bytes units; /* units.h: which are its own until it ends */
    struct jq_body_ref body;
    const jq_task_id *after; /* the tasks that it waited for */
    size_t after_count;
    struct jq_bytes files; /* files.h */
};

enum jq_command_type { JQ_COMMAND_CANCEL = 1, JQ_COMMAND_KILL = 2, JQ_COMMAND_DRAIN = 3, JQ_COMMAND_SEND_HELD = 4 };
struct jq_command {
    enum jq_command_type type;
    jq_task_id task;
    jq_lease_token token;
    uint32_t grace_ms;
};

/* One task as ls, show and wait tell it. */
struct jq_task_row {
    jq_task_id id;
    enum jq_state state;
    enum jq_outcome outcome; /* of the last attempt, or of the end */
    struct jq_str queue, handler, need, want, group;
    int priority;
    uint32_t attempts, crashes, losses;
    int64_t first_ready_ms, at_ms; /* core time; at: due, ready, leased or ended since, by state */
    int64_t wall_offset_ms;        /* add to show as UTC */
    int64_t expires_wall_ms;
    struct jq_options options;
    struct jq_str worker;  /* while running */
    int progress_permille; /* -1: none */
    struct jq_str progress;
    struct jq_str error;     /* of the attempt that `outcome` is about */
    uint64_t version;        /* goes up by one with each edit */
    struct jq_body_ref body; /* payload and headers */
    struct jq_body_ref last; /* report of the last attempt: result, error, tails */
    uint64_t flow;           /* show; 0: none */
    enum jq_on on;           /* show: how those of `after` must end */
    const jq_task_id *after; /* show */
    size_t after_count;
    struct jq_bytes files; /* files.h; show */
};

/* One flow. The counts are of the tasks that are remembered: `total` less their sum have been forgotten. */
struct jq_flow_row {
    uint64_t flow; /* id of its first task; the others follow */
    struct jq_str name;
    const char *state; /* static */
    int64_t at_ms, wall_offset_ms;
    uint32_t total, waiting, blocked, queued, running, succeeded, dead, cancelled, expired, not_needed;
};

/* A task of a flow. */
struct jq_member_row {
    jq_task_id id;
    enum jq_state state;
    enum jq_outcome outcome;
    enum jq_on on;
    struct jq_str handler;
    const jq_task_id *after;
    size_t after_count;
};

struct jq_queue_row {
    struct jq_str name;
    uint32_t place; /* where a page that ends with it goes on */
    struct jq_queue_set set;
    uint32_t weight; /* in force */
    uint64_t scheduled, ready, running, dead, finished;
    uint64_t waiting, blocked;
    uint64_t held;                        /* of those scheduled */
    uint64_t depth_max, bytes, bytes_max; /* bytes_max 0: none */
    enum jq_queue_policy policy;
    bool full;
    uint32_t withheld; /* submits that wait for room */
    uint64_t submitted_total, ended_total, shed_total;
    double drain_per_s;
    int64_t oldest_ready_ms; /* age; -1: none */
};

struct jq_worker_row {
    struct jq_str name;
    uint32_t place; /* as of a queue */
    struct jq_uuid id;
    bool draining, registered, alive, asleep;
    struct jq_str doorbell; /* empty: none */
    uint32_t leases, parked;
    int64_t seen_ms_ago;
    uint32_t load_permille, memory_permille;
    const struct jq_amount *totals; /* `amount` of offers */
    const uint64_t *free;           /* parallel to totals */
    size_t offer_count;
    const struct jq_name_value *facts;
    size_t fact_count;
    const struct jq_handler_def *handlers;
    size_t handler_count;
    const struct jq_units *units; /* of offers whose units are told apart */
    const struct jq_units *units_free;
    size_t unit_count; /* of both */
    const struct jq_str *accept;
    size_t accept_count;
    jq_task_id kept_for; /* 0: no task */
};

struct jq_limit_row {
    uint64_t number; /* to go on behind it */
    struct jq_str scope;
    uint32_t concurrency; /* 0: none */
    struct jq_rate rate;  /* count 0: none */
    uint32_t burst;
    bool configured;     /* by the queue's section of the configuration */
    uint32_t running;    /* not of group:QUEUE/<star> */
    uint32_t held;       /* what it lets nothing of start now: 1, or so many groups */
    uint32_t groups;     /* of group:QUEUE/<star>: that it counts for */
    int64_t opens_in_ms; /* by its rate; 0: now */
};

struct jq_blob_row {
    uint64_t number; /* to go on behind it */
    const uint8_t *hash;
    uint64_t size; /* 0 while it is not stored */
    uint64_t have; /* stat: bytes that have come */
    bool stored;
    uint32_t refs;   /* files of tasks that name it */
    int64_t idle_ms; /* since nobody refers to it or asked for it; -1: somebody refers to it */
};

/* Why a task is not running: one line each, the first is the most decisive. Constant, word. In the order in which a page has
 * them; a new one goes where it is read (the numbers are nobody's), and gets its sentence in tools/jqctl/explain.c. */
#define JQ_WHY_LIST(X)                                                                                                 \
    X(JQ_WHY_NONE, "none")                                                                                             \
    X(JQ_WHY_ENDED, "ended")                         /* detail: the outcome */                                         \
    X(JQ_WHY_RUNNING, "running")                     /* worker; number: ms so far */                                   \
    X(JQ_WHY_PARENT_DEAD, "parent_dead")             /* detail: a task that is dead, and may be replayed */            \
    X(JQ_WHY_WAITS_FOR, "waits_for")                 /* detail: a task that must end before, and its state */          \
    X(JQ_WHY_MORE_PARENTS, "more_parents")           /* number: of further tasks that it waits for */                  \
    X(JQ_WHY_HELD, "held")                           /* somebody holds it */                                           \
    X(JQ_WHY_NOT_DUE, "not_due")                     /* detail: delay, eta or backoff; number: ms to go */             \
    X(JQ_WHY_QUEUE_PAUSED, "queue_paused")           /* detail: the queue */                                           \
    X(JQ_WHY_DISK_FULL, "disk_full")                 /* number: bytes that are free: no room for more outcomes */      \
    X(JQ_WHY_LIMIT_FULL, "limit_full")               /* detail: its scope; number: how many may run, and do */         \
    X(JQ_WHY_LIMIT_RATE, "limit_rate")               /* detail: scope and rate; number: ms until it lets one start */  \
    X(JQ_WHY_BREAKER_OPEN, "breaker_open")           /* detail: "handler:work"; number: ms until probes go through */  \
    X(JQ_WHY_BREAKER_TRIPPED, "breaker_tripped")     /* the same, by an operator; 0: until it is reset */              \
    X(JQ_WHY_BREAKER_PROBING, "breaker_probing")     /* the same, half-open: its probes are out */                     \
    X(JQ_WHY_NO_WORKER_CAN, "no_worker_can")         /* no registered worker could ever run it */                      \
    X(JQ_WHY_NO_WORKER_FREE, "no_worker_free")       /* some could, none has room now */                               \
    X(JQ_WHY_NEXT, "next")                           /* nothing stands in its way */                                   \
    X(JQ_WHY_HOLDS_WORKER, "holds_worker")           /* worker; detail: the offer short there; number: thousandths */  \
    X(JQ_WHY_HOLDS_ROOM, "holds_room")               /* worker: has room for it, and has not asked yet */              \
    X(JQ_WHY_WORKER_RESERVED, "worker_reserved")     /* detail: the task for which it is kept */                       \
    X(JQ_WHY_WORKER_NO_ROOM, "worker_no_room")       /* detail: the offer; number: thousandths short, the least */     \
    X(JQ_WHY_WORKER_NOT_ASKING, "worker_not_asking") /* no poll is parked, or it wants nothing */                      \
    X(JQ_WHY_WORKER_SUSPECT, "worker_suspect")       /* runs a suspect alone, or would */                              \
    X(JQ_WHY_WORKER_SHORT, "worker_short")           /* number: ms; its host ran out of something under such a task */ \
    X(JQ_WHY_WORKER_BREAKER, "worker_breaker") /* number: ms, as above; 0: its probes are out, or it is tripped */     \
    X(JQ_WHY_WORKER_DRAINING, "worker_draining")                                                                       \
    X(JQ_WHY_WORKER_ASLEEP, "worker_asleep")   /* number: how often its doorbell was rung since it went to sleep */    \
    X(JQ_WHY_WORKER_ACCEPTS, "worker_accepts") /* detail: the offers one of which a task must reserve there */         \
    X(JQ_WHY_WORKER_FAILS_TERM, "worker_fails_term")       /* detail: the term */                                      \
    X(JQ_WHY_WORKER_LACKS_HANDLER, "worker_lacks_handler") /* detail: the handler */                                   \
    X(JQ_WHY_WORKER_SILENT, "worker_silent")               /* registered before, not heard since the start or dead */  \
    X(JQ_WHY_WORKERS_MORE, "workers_more")                 /* count: workers that the lines above do not speak of */   \
    X(JQ_WHY_GROUP_TURN, "group_turn") /* detail: its group; number: groups whose turn may come before, at most */     \
    X(JQ_WHY_BEHIND, "behind")         /* number: tasks that stand before it */                                        \
    X(JQ_WHY_EXPECTED, "expected")     /* number: ms until it may start, by the queue's rate of late */                \
    X(JQ_WHY_EXPECTED_UNKNOWN, "expected_unknown") /* detail: why that cannot be told */

#define JQ_WHY_ENUM(name, word) name,
enum jq_why { JQ_WHY_LIST(JQ_WHY_ENUM) JQ_WHY_END };
#undef JQ_WHY_ENUM

/* Workers that fail alike share a line. */
struct jq_why_line {
    enum jq_why why;
    struct jq_str worker; /* of the WORKER lines: one of them, for NO_ROOM the one that is the least short */
    struct jq_str detail;
    int64_t number;
    uint32_t count; /* of the WORKER lines: workers of which it is true */
};

struct jq_breaker_row {
    struct jq_str name; /* "handler:work" */
    enum jq_breaker_kind kind;
    enum jq_breaker_state state;
    bool by_operator;
    uint32_t calls, failures; /* in the window, while it is closed */
    uint32_t probes_good;     /* while it is half-open */
    int64_t since_ms;         /* core time; 0: it was never anything but closed */
    int64_t until_ms;         /* of an open one; 0: until it is reset */
    int64_t wall_offset_ms;   /* add to show as UTC */
    int64_t cool_down_ms;
    struct jq_str handlers; /* of a service: those that it holds back, between blanks */
};

enum { JQ_SCHEDULE_TIMES = 5 };
struct jq_schedule_row {
    uint32_t place; /* schedule.ls: ask on with after = place */
    struct jq_schedule_def def;
    struct jq_schedule_state state;
    int64_t next_wall_ms; /* 0: not as it stands */
    const char *trouble;  /* why it does not fire; NULL: nothing */
    int64_t times[JQ_SCHEDULE_TIMES];
    size_t time_count; /* schedule.show */
};

struct jq_server_row {
    uint64_t epoch, digest, tasks_live, tasks_finished, scheduled, ready, running, dead;
    uint64_t waiting, blocked;
    uint32_t flows;
    uint64_t submitted_total, leased_total, ended_total[JQ_STATE_EXPIRED + 1], refused_total, duplicate_total,
        stale_total;
    uint64_t retried_total, lost_total, crashed_total, shed_total, withheld_total, moved_total;
    uint64_t cache_entries, cache_bytes, cache_output_bytes;
    uint64_t cache_hits_total, cache_misses_total, cache_stored_total, cache_evicted_total;
    uint32_t queues, classes, workers, workers_alive, parked_polls, parked_waits, withheld, senders;
    uint32_t breakers_open; /* or half-open */
    uint32_t schedules, schedules_troubled;
    uint64_t schedules_missed_total;
    uint64_t keys, memory_bytes, memory_max, disk_free_bytes, log_bytes, needs_from_lsn, stuck_tries;
    uint64_t blobs, blob_bytes;
    bool draining, memory_busy, disk_busy;
};

/* The cache of results, as a whole. */
struct jq_cache_row {
    uint64_t entries, entries_max;
    uint64_t bytes, bytes_max;                                      /* of memory */
    uint64_t output_bytes, output_bytes_max;                        /* of blobs that entries hold fast */
    uint64_t hits_total, misses_total, stored_total, evicted_total; /* since the start */
};

struct jq_event_row; /* below, with the news */

struct jq_reply_effect {
    uint64_t call;
    uint64_t request;
    enum jq_op op;
    enum jq_reply status;
    const char *field;  /* of a refusal; NULL: none */
    const char *reason; /* NULL: none */
    int64_t retry_after_ms;
    union {
        struct {
            uint64_t first; /* ids of accepted items count up from here, in order, exceptions left out */
            uint32_t count; /* items in the request */
            const struct jq_exception *exceptions;
            size_t exception_count;
            uint64_t depth; /* of the last item's queue, afterwards */
            bool unmatched; /* no known worker could ever run one of them */
        } submit;           /* and schedule.run */
        struct {
            struct jq_uuid session;
        } reg;
        struct {
            const struct jq_lease_item *items;
            size_t count;
            const struct jq_exception *verdicts; /* reports refused */
            size_t verdict_count;
            uint32_t report_count;
            const struct jq_command *commands;
            size_t command_count;
        } lease; /* lease and report */
        struct {
            const struct jq_task_row *rows;
            size_t count;
            uint64_t next; /* task.ls: ask on with after = next; 0: that was all */
        } tasks;           /* wait, show, ls */
        struct {
            const struct jq_task_row *row;
            const struct jq_why_line *lines;
            size_t count;
        } explain;
        struct {
            const struct jq_exception *exceptions;
            size_t exception_count;
            uint32_t count; /* items that were done */
            bool selection; /* a where was given; then no exceptions: */
            uint64_t matched;
            const char *why;           /* of the first that matched and could not be done; NULL: none */
            const jq_task_id *samples; /* the first that matched */
            size_t sample_count;
        } many; /* what is done to tasks, and the sets with count 1 */
        struct {
            const struct jq_queue_row *rows;
            size_t count;
            uint32_t next; /* queue.ls: ask on with after = next; 0: that was all */
        } queues;
        struct {
            const struct jq_worker_row *rows;
            size_t count;
            uint32_t next; /* worker.ls: likewise */
        } workers;
        struct {
            const struct jq_breaker_row *rows;
            size_t count;
            size_t left_out; /* rows that the core did not give */
        } breakers;
        struct {
            const struct jq_schedule_row *rows;
            size_t count;
            uint64_t next; /* schedule.ls: ask on with after = next; 0: that was all */
        } schedules;
        struct {
            uint64_t have;        /* put: bytes that have come from the start on; get: the size of the whole */
            bool whole;           /* put: it is stored */
            bool draft;           /* put: the draft may come */
            struct jq_bytes data; /* get */
        } blob;
        struct {
            const struct jq_blob_row *rows;
            size_t count;
            uint64_t next; /* ask on with after = next; 0: that was all */
            uint64_t total, total_bytes;
        } blobs; /* blob.ls, blob.stat */
        struct {
            const struct jq_limit_row *rows;
            size_t count;
            uint64_t next; /* ask on with after = next; 0: that was all */
        } limits;
        struct {
            const struct jq_event_row *rows;
            size_t count;
            uint64_t next; /* ask on with after = next */
            uint64_t gap;  /* events behind `after` up to this one are gone; 0: none */
        } events;
        struct jq_server_row server;
        struct jq_cache_row cache; /* cache.stat */
        struct {
            uint64_t flow;
            uint32_t count; /* begin: ids drawn; add: tasks staged so far; commit: tasks */
            bool unmatched; /* add: no known worker could ever run one of them */
        } stage;            /* flow.begin, add, commit */
        struct {
            const struct jq_flow_row *rows;
            size_t count;
            const struct jq_member_row *members; /* show */
            size_t member_count;
            uint64_t next; /* ls: ask on after it; show: ask on from this place; 0: that was all */
        } flows;           /* flow.show, ls, wait */
    } u;
};

/* A change that people and metrics want to hear of; the scenario tests' traces are made of these. */
enum jq_news_type {
    JQ_NEWS_TASK_SUBMITTED = 1,
    JQ_NEWS_TASK_READY,
    JQ_NEWS_TASK_LEASED,
    JQ_NEWS_TASK_RETRIED,
    JQ_NEWS_TASK_CANCELLING,
    JQ_NEWS_TASK_ENDED,
    JQ_NEWS_TASK_REVIVED,
    JQ_NEWS_TASK_FORGOTTEN,
    JQ_NEWS_WORKER_REGISTERED,
    JQ_NEWS_WORKER_DEAD,
    JQ_NEWS_WORKER_DRAINING,
    JQ_NEWS_QUEUE_SET,
    JQ_NEWS_MARK,           /* a watermark was crossed: text names it, number 1 above, 0 below */
    JQ_NEWS_TASK_BLOCKED,   /* number: the task that it waits for, which is dead */
    JQ_NEWS_TASK_UNBLOCKED, /* number: that task, which was replayed */
    JQ_NEWS_FLOW_COMMITTED, /* task: the flow's first; number: its tasks; name: the flow's */
    JQ_NEWS_FLOW_CANCELLING,
    JQ_NEWS_FLOW_FORGOTTEN,
    JQ_NEWS_TASK_EDITED,
    JQ_NEWS_BREAKER_SET,
    JQ_NEWS_SCHEDULE_SET, /* number 1 on, 0 paused */
    JQ_NEWS_SCHEDULE_GONE,
    JQ_NEWS_TASK_RENEWED,    /* a later submit of its key took its place */
    JQ_NEWS_SCHEDULE_MISSED, /* number: due times that were passed over */
    JQ_NEWS_QUEUE_FULL,      /* a queue has reached a mark of its own (number 1), or is down at the low one (0) */
    JQ_NEWS_LIMIT_SET,       /* name: its scope; number 1 set, 0 removed */
    JQ_NEWS_QUEUE_DRAINING,  /* number 1: it takes no new tasks, 0: it does again */
    JQ_NEWS_QUEUE_TUNED,     /* its weight or its depth */
    JQ_NEWS_TASK_HELD,
    JQ_NEWS_TASK_RELEASED,
    JQ_NEWS_TASK_MOVED,    /* name: the queue it is in now */
    JQ_NEWS_TASK_PROGRESS, /* number: thousandths; name: the handler's text */
    JQ_NEWS_WORKER_ASLEEP, /* it went, or died, and can be woken */
    JQ_NEWS_WORKER_RUNG    /* number: how often since */
};
struct jq_news {
    enum jq_news_type type;
    jq_task_id task;
    struct jq_str name; /* queue, worker, mark, breaker ("handler:work") or limit ("queue:mail") */
    enum jq_state state;
    enum jq_outcome outcome;
    int64_t
        number; /* RETRIED, REVIVED: ready in ms; WORKER_DEAD: surveys unanswered; BREAKER_SET: half-open in ms, or 0 */
    uint32_t attempts, crashes, losses;
    enum jq_breaker_kind breaker_kind;
    enum jq_breaker_state breaker_state;
    bool by_operator; /* BREAKER_SET: open because one said so */
};

/* "task.ended"; for those that say on or off, a name each. `number` is that of the news, or the state of a breaker. */
const char *jq_news_name(enum jq_news_type type, int64_t number);

/* One line of events.read. Texts that do not belong to it are empty. */
struct jq_event_row {
    uint64_t seq; /* ascending; goes on over restarts */
    int64_t wall_ms;
    const char *event;
    jq_task_id task; /* of a flow: its first */
    struct jq_str queue, handler, worker;
    struct jq_str name; /* of what is neither task, queue nor worker */
    enum jq_state state;
    enum jq_outcome outcome;
    int priority;
    uint32_t attempts;
    int64_t number;
};

enum jq_effect_type {
    JQ_EFFECT_REPLY,
    JQ_EFFECT_DROP,   /* the call is no longer wanted: free it without an answer */
    JQ_EFFECT_SURVEY, /* ask all workers */
    JQ_EFFECT_NOTICE, /* tell a worker by PUB that a command waits */
    JQ_EFFECT_NEWS,
    JQ_EFFECT_DROP_BLOB, /* its file may go */
    JQ_EFFECT_RING,      /* connect to a sleeping worker's doorbell, and close: a hint, harmless when lost */
    JQ_EFFECT_READ_LOG   /* bring the records of the log from here on, a slice of them: JQ_EVENT_LOG_READ */
};

struct jq_effect {
    enum jq_effect_type type;
    enum jq_effect_level level;
    union {
        struct jq_reply_effect reply;
        uint64_t drop_call;
        uint32_t survey;
        struct jq_str notice_worker;
        struct jq_news news;
        struct {
            struct jq_str worker, doorbell;
        } ring;
        struct {
            uint64_t from_lsn, end_lsn; /* not beyond end_lsn */
        } read_log;
        struct {
            const uint8_t *hash;
            uint32_t version; /* only this one */
        } drop_blob;
    } u;
};

#endif
