/* entries.h - inside the core: its entries and who links to whom. Private to broker/core; what the files of the core do for each
 * other stands in state.h.
 *
 * Entries live in slabs or growing arrays and name each other by index; 0 is none. "D" marks durable state: changed by apply
 * (apply*.c) alone and part of the digest. "I" marks indexes over it, rebuilt by the same applies. "S" marks session state:
 * changed by step, empty after a start.
 */
#ifndef JQ_BROKER_CORE_ENTRIES_H
#define JQ_BROKER_CORE_ENTRIES_H

#include "broker/core/breaker.h"
#include "broker/core/canary.h"
#include "broker/core/core.h"
#include "broker/core/files.h"
#include "broker/core/flow.h"
#include "broker/core/schedules.h"
#include "broker/core/slab.h"
#include "common/buf.h"
#include "common/heap.h"
#include "common/map.h"
#include "common/need.h"

enum {
    RESOURCES_MAX = 32,            /* distinct offer names in one broker */
    SENDER_ANSWERS_MAX = 64,       /* answers kept per sender */
    SENDER_BYTES_MAX = 256 * 1024, /* of a sender's answers */
    PARKED_SCAN_MAX = 64,          /* parked workers looked at for one task */
    RESERVATIONS_MAX = 32,         /* workers kept for a task each */
    IDS_PER_RESERVATION = 65536,
    ID_PAGE_COUNT = 256,
    LEVEL_COUNT = JQ_PRIORITY_COUNT,
    LEASES_PER_ANSWER_MAX = 1024,
    SHUNS_MAX = 8,  /* of one worker at a time; beyond, the one that ends first is forgotten */
    AGING_TURN = 8, /* every eighth lease of a queue */
    JOBS_MAX = 16,  /* selections under way */
    TOKEN_COUNTER_BITS = 44,
};

enum task_flag {
    TASK_FLAG_ETA = 1,        /* D: at_ms is wall time */
    TASK_FLAG_IN_TREE = 2,    /* I: in its bucket's tree, not in its list */
    TASK_FLAG_WALL_TIMER = 4, /* I: its timer is in the wall heap */
    TASK_FLAG_PURE = 16,      /* I: it has a cache key, in its side's files */
    TASK_FLAG_KEYED = 128,    /* I: a key stands for it until something becomes of it, in core->bound_keys */
    TASK_FLAG_HELD = 8,       /* D: waiting, scheduled or ready, but handed out only when it is released */
};

/* Why something is not handed out now. What is blocked leaves the indexes that dispatch looks at: a search never walks over it.
 * Blocks are derived (I: from a durable pause or drain; S: by step) and in no record. Each cause has a bit of its own, so that
 * whoever sets one need not know of the others. */
enum block_reason {
    BLOCK_PAUSED = 1,          /* queue: an operator's word */
    BLOCK_LIMIT = 2,           /* queue, class or group: at its limit */
    BLOCK_HANDLER_BREAKER = 4, /* class */
    BLOCK_SERVICE_BREAKER = 8, /* class */
    BLOCK_WORKER_BREAKER = 16, /* worker */
    BLOCK_DRAIN = 32,          /* worker: an operator's word */
};

/* 80 bytes: there may be ten million. */
struct task {
    uint64_t id;            /* D */
    uint64_t body_lsn;      /* D, not in the digest: where the submit stands */
    int64_t first_ready_ms; /* D: the order key, with id */
    int64_t at_ms;          /* D: due (scheduled), ready since, leased at, ended at */
    uint32_t body_size;
    uint32_t prev, next;  /* I: list links (lane, retention, dead), or left and right in the lane's tree */
    uint32_t lease;       /* I: while running or cancelling; else 0 */
    uint32_t timer;       /* I: position in a heap + 1 */
    uint32_t options;     /* D */
    uint32_t side;        /* D: what few tasks have */
    uint32_t group;       /* D by its name: 0 none */
    uint32_t node;        /* D: of a task that waits, is waited for, or is in a flow (flow.h) */
    uint16_t queue;       /* D */
    uint16_t class_index; /* D */
    uint16_t runs;        /* D: leases so far */
    uint8_t state;        /* D: enum jq_state; scheduled and ready are one in the digest */
    uint8_t priority;     /* D */
    uint8_t attempts;     /* D: failed attempts that count */
    uint8_t crashes;      /* D */
    uint8_t outcome;      /* D: enum jq_outcome of the last attempt or of the end */
    uint8_t flags;
};

struct side { /* D */
    int64_t expires_wall_ms;
    uint64_t last_lsn;   /* the record with the last report */
    uint64_t submit_lsn; /* of a task whose body was edited: where its submit stands; else 0 */
    uint32_t last_size;
    uint32_t grace_ms;
    uint32_t edits; /* how often its dead letter was edited; not in the digest, which older logs have without it */
    uint8_t losses, shortages;
    uint16_t progress_permille; /* S: 1 + permille; 0 none */
    char *progress;             /* S */
    char *error;                /* what went wrong in the attempt that the outcome is about; NULL: nothing is known */
    struct side_files *files;   /* owned; NULL: none */
};

/* Encoded as files.h says, owned. */
struct side_files {
    struct jq_bytes given;            /* D: with the submit */
    struct jq_bytes made;             /* D: by the attempt that succeeded */
    uint8_t cache[JQ_CACHE_KEY_SIZE]; /* D: of a task with TASK_FLAG_PURE; the first byte 0: none */
};

/* A result that answers tasks of its name. */
struct cached {
    struct jq_str name;    /* D, owned: SHA-256 and version */
    jq_task_id task;       /* D: that ran */
    int64_t at_ms;         /* D: when */
    uint64_t output_bytes; /* D: of the blobs that it holds fast */
    struct jq_bytes body;  /* D, owned: as reported */
    struct jq_bytes made;  /* D, owned: files.h */
    uint64_t lsn;          /* I: of its record */
    uint32_t size;         /* I */
    uint32_t prev, next;   /* S: by last use; after a start by their records */
};

/* Content that is stored, or that a task refers to. */
struct blob {
    uint8_t hash[JQ_BLOB_HASH_SIZE]; /* D */
    uint64_t size;                   /* D */
    bool used;
    bool stored;         /* D: its file is on disk; else it is only referred to */
    uint32_t refs;       /* I: files of tasks that name it */
    uint32_t version;    /* S: of its file; 0: from before this start */
    uint32_t prev, next; /* I: while nobody refers to it: by idle_ms */
    int64_t idle_ms;     /* S: when it was last touched */
};

struct lease {
    uint32_t task, worker; /* D */
    uint64_t token;        /* D */
    uint64_t lsn;          /* I: of the record that granted it */
    uint32_t prev, next;   /* I: the worker's leases in the order of granting */
    uint8_t alternative;   /* D */
    bool suspect;          /* I: its task was lost before */
    uint16_t units_size;   /* D */
    uint8_t *units;        /* D: units.h, owned; NULL: none */
};

/* So many at a time, so many in so long: for one queue, handler or group, or for each group of a queue. */
struct limit {
    struct jq_str scope;   /* D: "group:cad/acme", owned */
    struct jq_rate rate;   /* D */
    uint32_t concurrency;  /* D: 0 none */
    uint32_t burst;        /* D: with a rate, at least 1 */
    uint32_t meter;        /* I: its own; 0: each group has one */
    uint32_t group_count;  /* I: groups that have one by it */
    uint32_t closed_count; /* S: its meters that allow nothing now */
    int64_t unknown_us;    /* S: of each group: until then its rate may have been used up before the log begins */
    uint8_t kind;          /* D: enum jq_scope_kind */
    bool configured;       /* D: by the configuration */
    bool used;             /* D: set; false: gone, but some groups do not know yet */
};

/* What a limit has counted. */
struct meter {
    int64_t
        due_us; /* when the next start is due by the rate; D of a limit's own, I of a group's under a limit of each */
    uint32_t limit;   /* I */
    uint32_t target;  /* I: queue; group; of a handler its first class + 1, by meter_next the others */
    uint32_t running; /* I */
    uint32_t timer;   /* S: in core->limit_timers, + 1 */
    uint8_t kind;     /* enum jq_scope_kind */
    bool used, bound; /* bound: its target exists */
    bool closed;      /* S: it allows nothing now, and what it is bound to is blocked */
};

/* What the tasks of one queue that name the same group share. Known while a task names it, or its own rate remembers it. */
struct group {
    struct jq_str name; /* owned, in core->group_names as well */
    uint64_t hash;      /* of the name */
    uint64_t turn;      /* S: when it was last served, or came: the least is next */
    uint32_t refs;      /* I: tasks that name it */
    uint32_t ready;     /* I */
    uint32_t running;   /* I */
    uint32_t lanes;     /* I: the first of them */
    uint32_t meter;     /* I: of the limit that holds for it; 0 none */
    uint16_t queue;
    uint8_t blocks; /* S: enum block_reason */
    bool used;
};

/* The ready tasks of one (queue, priority, class, group): a list in key order, and a tree for those that came out of order. */
struct lane {
    uint32_t bucket, group; /* group 0: tasks that name none take turns like one */
    uint32_t head, tail, root, suspects;
    uint32_t count;
    uint32_t prev, next; /* lanes of its group */
};

/* Where a lane stands in its bucket's heaps, + 1; 0: its group is blocked. Apart from the lanes, and therefore dense: a heap that moves
 * its entries about touches these, not the lanes. */
struct lane_place {
    uint32_t turn, age;
};

/* The lanes of one (queue, priority, class). The keys of both heaps are lower bounds, for turns and ages only grow: they are set
 * right when they come to the top and are looked at. */
struct bucket {
    uint16_t queue, class_index;
    uint8_t priority;
    uint32_t lanes;       /* also those of blocked groups, which stand in neither heap */
    uint32_t place;       /* in its level's array, + 1; 0: all its groups are blocked */
    uint32_t seat;        /* of its class in its queue */
    uint64_t count;       /* tasks */
    struct jq_heap turns; /* lanes by their group's turn */
    struct jq_heap ages;  /* lanes by first_ready_ms of their first task */
};

/* What a search must know of a bucket before it looks there. */
struct level_entry {
    uint64_t turn;          /* lower bound */
    int64_t first_ready_ms; /* with id: the first task of the lane that has that turn, or a lower bound too */
    uint64_t id;
    int64_t oldest_ms; /* lower bound of first_ready_ms over all its lanes */
    uint32_t bucket;
    uint16_t class_index;
};

struct level {
    struct level_entry *entries; /* buckets with something to hand out, in no order */
    uint32_t count, capacity;
};

/* A class that has something to hand out in a queue: stands among the queues of its class by their virtual time (a lower bound),
 * or, found there while its queue is blocked, is set aside until the queue is free. */
struct seat {
    uint16_t queue, class_index;
    uint32_t buckets;    /* with a place in their level */
    uint32_t place;      /* in its class's heap, + 1; 0: set aside */
    uint32_t prev, next; /* set aside by its queue */
};

struct queue {
    struct jq_str name;             /* D, owned */
    bool used;                      /* D */
    struct jq_queue_set set;        /* D */
    uint8_t blocks;                 /* I: enum block_reason */
    bool hot;                       /* S: in core->hot_queues */
    uint16_t levels_used;           /* I: bit per priority */
    uint32_t active_position;       /* I: in core->active, + 1 */
    uint32_t seats_aside;           /* I: the first seat set aside */
    uint32_t open_count;            /* I: buckets with a place in their level */
    uint32_t leases_since_aging;    /* S */
    int64_t virtual_time;           /* S */
    uint64_t turn_last, plain_turn; /* S: of groups; of the tasks that name none */
    uint32_t plain_ready;           /* I: tasks of no group */
    uint32_t groups_ready;          /* I: groups with ready tasks, those of no group among them */
    uint32_t group_count;           /* I */
    uint32_t meter;                 /* I: of its limit; 0 none */
    struct level levels[LEVEL_COUNT];
    uint64_t scheduled, ready, running, dead, finished; /* I */
    uint64_t waiting, blocked;                          /* I: staged ones are not counted */
    uint64_t refs;                                      /* I: tasks of it in any state, staged ones too */
    uint64_t held;                                      /* I: of those scheduled */
    uint64_t submitted_total, ended_total;              /* S */
    uint64_t queued_bytes;                              /* I: records of its tasks that have not begun */
    uint64_t depth_max, bytes_max;                      /* S: as configured; 0: the broker's */
    uint8_t policy;                                     /* S: enum jq_queue_policy, the one in force */
    uint8_t policy_configured;                          /* S */
    bool full;                                          /* S: above a mark, and not yet down at the low one */
    bool roomy;                                         /* S: in core->roomy */
    uint32_t shed_root;                                 /* I: its scheduled and ready tasks from an id on: */
    uint64_t shed_from;                                 /* I: 0 once it sheds, UINT64_MAX else; between: on its way */
    uint64_t shed_total;                                /* S */
    uint32_t withheld_head, withheld_tail;              /* S: submits in the order in which they came */
    uint32_t withheld_count;                            /* S */
    uint32_t weight;                                    /* S: as configured; 0: 1 */
    bool declared;                                      /* S: the configuration names it */
    int64_t drain_mark_ms;                              /* S: start of the window in which drain_count counts */
    uint64_t drain_count;
    double drain_per_s;
};

struct class_entry {
    struct jq_str handler, need, want; /* D, owned */
    struct jq_need parsed;             /* I */
    struct jq_want wanted;             /* I: without items where there is no want */
    bool used;                         /* D */
    uint64_t refs;                     /* I: tasks of it */
    uint64_t ready;                    /* I */
    struct jq_heap seats;              /* I: queues where it has something to hand out, by virtual time */
    uint8_t blocks;                    /* S: enum block_reason */
    uint32_t running;                  /* I */
    uint32_t meter, meter_next;        /* I: of its handler's limit, 0 none; the next class of that handler, + 1 */
    uint8_t reserved;                  /* S: workers kept for its tasks */
    int64_t reserve_next_ms;           /* S: not tried before */
    uint64_t possible_at;              /* S: profiles_changed when `possible` was worked out */
    bool possible;                     /* S: some registered worker could run it */
    struct jq_str pure_version; /* S, of the same time: on which all workers with its handler agree; empty: none */
    bool hot;                   /* S: got ready tasks in this step */
    uint32_t breaker;           /* I: of its handler; 0: none yet */
};

struct options_entry {
    struct jq_options options; /* D */
    bool used;
    uint64_t refs;            /* I */
    uint32_t head, tail;      /* I: finished tasks, the oldest first */
    uint32_t retain_position; /* I: in core->retain, + 1 */
};

struct answer { /* D */
    uint64_t request;
    struct jq_verdict verdict; /* exceptions owned */
};

struct sender {
    struct jq_uuid id; /* D */
    bool used;
    uint64_t floor;         /* D: ids below are forgotten */
    struct answer *answers; /* D: ascending */
    uint32_t count, capacity;
    uint64_t bytes;              /* I: of its answers */
    int64_t used_ms;             /* I */
    uint32_t lru_prev, lru_next; /* I: by last recorded use */
};

struct key { /* D */
    char *text;
    uint16_t size;
    uint8_t unique; /* enum jq_unique */
    uint32_t chain; /* I: next with the same hash */
    uint64_t hash;
    uint64_t task;
    uint64_t lsn;       /* of the submit: pins its segment */
    int64_t expires_ms; /* none, throttle; debounce: when the task is ready at the latest */
    uint32_t newer;     /* I: none: the next in the order of records; throttle: in core->key_timers, + 1 */
};

/* What one kind of worker can do: shared by all workers that registered alike. */
struct plan_amount {
    uint8_t resource;
    uint64_t amount;
};
struct plan_alternative {
    uint32_t first, count; /* into amounts and named */
    bool possible;         /* facts and totals allow it */
};
struct plan { /* how a class would run there */
    bool known, possible;
    uint8_t alternative_count;
    int16_t want;     /* how much the class would like it */
    uint32_t handler; /* place among the profile's handlers; UINT32_MAX: it has none of that name */
    struct plan_alternative *alternatives;
    struct plan_amount *amounts;
    struct jq_amount *named; /* the same, as a lease carries them */
};
struct profile {             /* S */
    struct jq_buf signature; /* offers, facts and handlers as text: equal for equal workers */
    uint32_t refs;
    uint32_t able_count; /* workers of this kind that are awake and may be given tasks */
    struct jq_offers offers;
    struct jq_facts facts;
    int64_t totals[RESOURCES_MAX];
    const struct jq_offer *indexed[RESOURCES_MAX]; /* of `offers`, where its units are told apart; else NULL */
    uint32_t accept;                 /* bit per resource: takes only tasks that reserve one of them; 0: all */
    struct jq_handler_def *handlers; /* texts owned */
    struct jq_need *handler_needs;
    size_t handler_count;
    struct jq_strmap handler_names;
    struct plan *plans; /* by class */
    uint32_t plan_count;
    uint32_t *parked; /* workers of this kind with a parked poll */
    uint32_t parked_count, parked_capacity;
    uint32_t asking_place;      /* in core->asking, + 1 */
    uint64_t *known, *possible; /* a bit per class: its plan is made; and allows it */
};

/* A worker that is kept for a task, reserve.c. */
struct reservation {       /* S */
    uint32_t task, worker; /* worker 0: not in use */
    int64_t since_ms;
    int64_t hold[RESOURCES_MAX]; /* of each offer what others do not get */
};

struct parked { /* a lease poll */
    uint64_t call, request, pipe;
    uint32_t want, bytes_max;
    int64_t deadline_ms;
};

/* A worker takes no task of the class until then: its host ran out of something under one. */
struct shun {
    uint32_t class_place; /* its index + 1 */
    int64_t until_ms;
};

struct worker {
    bool used;                                    /* D */
    struct jq_uuid id;                            /* D */
    struct jq_uuid session;                       /* D */
    uint64_t incarnation;                         /* D */
    struct jq_str name;                           /* D, owned */
    uint32_t tag;                                 /* I: a hash of its id */
    bool draining;                                /* D */
    bool asleep;                                  /* D */
    struct jq_str doorbell;                       /* D, owned: where it is woken; empty: nowhere */
    uint8_t blocks;                               /* I: enum block_reason */
    bool refill;                                  /* S: in core->refills */
    bool commanded;                               /* S: in core->commanded */
    uint32_t name_next;                           /* I: another worker of the same name */
    uint32_t lease_head, lease_tail, lease_count; /* I */
    uint32_t suspects;                            /* I */
    uint64_t held_sum;                            /* I */
    struct profile *profile;                      /* S: NULL until it registered in this session */
    int64_t free[RESOURCES_MAX];        /* S: totals - needs of leases; below 0 after a smaller re-registration */
    int64_t told[RESOURCES_MAX];        /* S: what it said is free, at its last poll */
    uint64_t taken[RESOURCES_MAX];      /* S: units that leases have: bit per place in the profile's indexes */
    uint8_t taken_count[RESOURCES_MAX]; /* S */
    const int64_t *hold;                /* S: of its reservation; NULL: none */
    struct jq_uuid sender;              /* S: of its parked poll */
    uint64_t poll_done;
    struct parked poll;     /* S: call 0: none */
    uint32_t parked_place;  /* S: in core->parked, + 1 */
    uint32_t profile_place; /* S: in its profile's parked, + 1 */
    uint32_t poll_timer;    /* S: in core->poll_timers, + 1 */
    uint32_t gather_first;  /* S: the first of them */
    uint32_t gather_count, gather_bytes;
    int64_t seen_ms;
    uint64_t seen_survey;          /* S: surveys sent when it was last heard */
    uint32_t seen_prev, seen_next; /* S: by seen_ms */
    uint64_t stable_since_survey;  /* S: its leases have not changed since this survey */
    uint64_t grant_lsn;            /* S: of its last lease */
    uint32_t mismatches;           /* S */
    bool held_wanted, held_asked, drain_told;
    uint64_t held_asked_token; /* S: leases up to this token are judged by the list */
    int64_t commands_sent_ms;
    jq_task_id *cancels; /* S: cancelling tasks it must be told of */
    uint32_t cancel_count, cancel_capacity;
    struct jq_held *kills; /* S: tokens it holds that are unknown here */
    uint32_t kill_count, kill_capacity;
    struct shun shuns[SHUNS_MAX]; /* S: classes that it was short of something for */
    int64_t shuns_until_ms;       /* S: when the last of them ends */
    uint32_t load_permille, memory_permille;
    uint64_t tried_stamp;   /* S: had nothing to take in this round of dispatch */
    uint32_t breaker;       /* I: 0: none yet */
    uint32_t sleeper_place; /* I: in core->sleepers, + 1 */
    bool able;              /* S: counted in its profile's able_count */
    uint32_t ring_count;    /* S: rings since it was last here */
    int64_t ring_next_ms;   /* S: not before */
};

struct waiter { /* S: a parked wait */
    uint64_t call, request, pipe;
    struct jq_reach reach;
    jq_task_id *ids;
    uint32_t count;
    uint32_t timer;
    bool due; /* one of its tasks ended in this step */
    uint32_t prev, next;
};
struct wait_link { /* S: a task's waiters */
    uint32_t waiter, next;
};

struct withheld {              /* S: a submit that meets full queues */
    struct jq_request request; /* items owned */
    size_t bytes;
    uint16_t queue; /* whose room it waits for */
    uint32_t timer;
    uint32_t prev, next;   /* in its queue's line */
    uint32_t older, newer; /* of all */
};

struct move {         /* S: see move.c */
    bool asked;       /* a slice is being read */
    uint64_t next;    /* where it begins */
    uint64_t end;     /* of the segment */
    int64_t again_ms; /* not before */
};

struct shed_node { /* I: of a task that may be shed: see pressure.c */
    uint32_t task, left, right;
};

struct segment {
    uint64_t lsn;  /* of its prologue */
    uint64_t live; /* bodies and keys that stand in it */
    uint64_t live_bytes;
};

struct jq_core {
    struct jq_core_config config;
    uint64_t hash_seed;
    const struct jq_output *output; /* during a step */
    int64_t now_ms, wall_ms;
    uint64_t epoch;
    bool partial, prologue_begun, started, stopping;
    uint64_t replay_lsn;             /* of the log's oldest byte when it was replayed */
    int64_t unknown_ms;              /* until then tasks started of which the log has nothing; 0: it has lost none */
    uint64_t end_lsn;                /* one past the last record */
    uint64_t said_needs, said_bytes; /* S: needs_from by the last prologue, and how long that was */
    uint64_t written_lsn;
    uint64_t digest;        /* D */
    int64_t wall_offset_ms; /* D */

    uint64_t next_id, ids_limit; /* limit: D */
    struct jq_slab tasks, sides, leases, keys, waiters, wait_links, buckets, lanes, seats, groups, limits, meters;
    struct jq_map id_pages; /* id / ID_PAGE_COUNT -> index in id_page_at */
    uint32_t **id_page_at;
    uint16_t *id_page_live;
    uint32_t id_page_count, id_page_capacity, id_page_free;
    uint64_t id_page_cached; /* page number + 1 */
    uint32_t id_page_cached_at;

    struct queue *queues;
    uint32_t queue_count;
    int64_t queue_wake_wall_ms; /* I: no pause ends before it */
    struct class_entry *classes;
    uint32_t class_count;
    struct options_entry *options;
    uint32_t options_count;
    struct jq_strmap queue_names, class_names, options_names, resource_names, profile_names;
    struct jq_str resources[RESOURCES_MAX];
    uint32_t resource_count;
    struct jq_map bucket_map, lane_map, seat_map;
    struct jq_strmap group_names; /* queue's index in two bytes, name */
    struct jq_strmap limit_names; /* scope */
    uint32_t limit_count, group_limits;
    struct jq_slab blobs;
    struct jq_strmap blob_hashes;
    uint32_t idle_blob_head, idle_blob_tail; /* I: blobs that nobody refers to */
    uint64_t blob_count, blob_bytes;         /* I: those that are stored */
    struct jq_slab cached;
    struct jq_strmap cached_names;
    uint32_t cached_oldest, cached_newest;      /* S: by last use */
    uint64_t cached_bytes, cached_output_bytes; /* I */
    uint32_t cache_answered;                    /* S: in this step */
    uint32_t group_sweep;                       /* S: the next group that may have to change its meter; 0: none */
    struct lane_place *lane_places;             /* by lane */
    uint32_t lane_place_capacity;
    uint64_t *open_classes;             /* a bit per class: not blocked, and something to hand out */
    uint64_t *searched;                 /* scratch of a search: a bit per class */
    struct jq_heap timers, wall_timers; /* tasks, by core and by wall time */
    struct jq_heap retain;              /* option sets with finished tasks, by when the first is forgotten */
    struct jq_heap limit_timers;        /* meters, by when they allow something again */
    struct jq_heap active;              /* queues with something to hand out, by virtual time */
    int64_t virtual_now;
    uint64_t finished_count, dead_count, ready_count, scheduled_count, running_count, waiting_count, blocked_count;
    uint32_t dead_head, dead_tail; /* by time of death */

    struct jq_slab nodes, edges, flows;
    struct jq_map flow_map;        /* id of the first task -> flow */
    uint32_t flow_head, flow_tail; /* all, in the order of their beginning */
    struct edge_list nodes_due;    /* I: tasks with edges to decide */
    struct edge_list flows_due;    /* I: flows with tasks to free, cancel or forget */
    struct jq_heap flow_timers;    /* I: staged flows, by when they are dropped */
    uint64_t *flows_changed;       /* S: that somebody waits for */
    uint32_t flows_changed_count, flows_changed_capacity;
    struct flow_wait *flow_waits; /* S */
    uint32_t flow_wait_count, flow_wait_capacity;
    int64_t flow_wait_next_ms; /* S: the time of none is up before */

    struct sender *senders;
    uint32_t sender_count, sender_capacity, sender_free, senders_used;
    uint32_t lru_head, lru_tail;
    uint64_t answer_count, window_bytes; /* I */
    struct jq_strmap sender_ids;
    struct jq_map key_map;           /* hash -> first key */
    uint32_t key_oldest, key_newest; /* of none: they all live equally long */
    struct jq_heap key_timers;       /* of throttle: each has its own window */
    struct jq_map bound_keys;        /* of the others: task id -> key */

    struct worker *workers;
    uint32_t worker_count, worker_capacity;
    struct jq_strmap worker_ids, worker_sessions;
    struct jq_strmap worker_names; /* to the first of that name */
    struct profile **profiles;
    uint32_t profile_count, profile_capacity;
    uint64_t profiles_changed; /* counts registrations and losses */
    uint32_t *sleepers;        /* I: workers that are asleep */
    uint32_t sleeper_count, sleeper_capacity;
    uint64_t *wake_looked;              /* S: a bit per class: looked at in this round, wake.c */
    int64_t wake_look_ms, wake_from_ms; /* S: of the next round; of the first of all */
    bool wake_wanted, wake_again;       /* S: tasks wait; the round is not at its end */
    uint64_t dispatch_stamp;
    struct reservation reservations[RESERVATIONS_MAX];
    uint32_t reservation_count;
    int64_t reserve_next_ms;
    uint32_t seen_oldest, seen_newest;
    uint32_t *parked;
    uint32_t parked_count, parked_capacity, parked_turn;
    struct profile **asking; /* kinds of workers with a parked poll */
    uint32_t asking_count, asking_capacity;
    struct jq_heap poll_timers, wait_timers;
    uint32_t *gathering;
    uint32_t gathering_count, gathering_capacity;
    uint16_t *hot;
    uint32_t hot_count;
    uint16_t *hot_queues; /* may hand out again */
    uint32_t hot_queue_count;
    uint32_t *refills; /* workers whose parked poll may take something again */
    uint32_t refill_count, refill_capacity;
    uint32_t *commanded; /* workers that got a command in this step */
    uint32_t commanded_count, commanded_capacity;
    uint64_t next_token;

    uint64_t surveys_sent; /* the last survey's number */
    int64_t next_survey_ms;
    uint64_t survey_written_lsn; /* written_lsn when it was sent */
    int64_t awake_ms, stepped_ms;
    uint64_t awake_survey;

    struct jq_map wait_map; /* task id -> first wait_link */
    uint32_t waiter_head, waiter_tail;
    uint32_t *waiters_due;
    uint32_t waiters_due_count, waiters_due_capacity;

    struct schedules schedules;
    struct event *events;                /* S: a ring of config.events_max; NULL: none are kept */
    uint64_t events_oldest, events_end;  /* S: positions, which only grow */
    uint64_t event_seq, events_gone_seq; /* S: of the last; of the last that is gone */
    uint64_t emitted_lsn;                /* I: of the last record */
    struct event_reader **readers;       /* S */
    uint32_t reader_count, reader_capacity;
    struct job *jobs[JOBS_MAX]; /* S */
    uint32_t job_count, job_turn;

    struct segment *segments;
    uint32_t segment_count, segment_capacity;
    uint64_t live_bytes; /* I: of all of them */
    struct move move;

    struct breakers breakers;
    int64_t replay_next_us; /* S: when the next dead letter of a replay with a rate is ready */
    struct jq_slab shed_nodes, withheld;
    struct jq_heap withheld_timers;
    struct jq_strmap withheld_ids; /* sender and request id: a resend takes over */
    uint32_t withheld_oldest, withheld_newest;
    uint64_t withheld_bytes;
    uint16_t *roomy; /* queues that may have room for what is withheld, or are full no more */
    uint32_t roomy_count, roomy_capacity;
    bool sheds_unsettled; /* I: some queue has yet to find the tasks that it could shed, or to let go of them */

    bool memory_busy, disk_busy;
    bool disk_short; /* S: somebody was handed nothing because the disk has no room for one more outcome */
    uint64_t disk_free_bytes, log_bytes, stuck_tries;
    uint64_t extra_bytes; /* texts and arrays outside the slabs */
    struct jq_server_row totals;

    /* Scratch of one step. */
    struct jq_buf units;
    struct jq_exception *exceptions;
    uint32_t exception_count, exception_capacity;
    uint8_t *verdict_bytes;
    size_t verdict_capacity;
    struct jq_buf after;                  /* of one record */
    struct jq_buf reasons;                /* texts of refusals and of explanations, of one request */
    uint8_t cache_key[JQ_CACHE_KEY_SIZE]; /* of one submit */
    jq_task_id *parents;                  /* of the tasks of one answer */
    size_t parents_capacity;
};

#endif
