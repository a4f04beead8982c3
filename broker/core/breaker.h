/* breaker.h - one circuit breaker: what it counts, when it opens, how it comes back. Private to broker/core.
 *
 *     closed --[in the last window_ms at least min_calls ended, failure_percent of them failed]--> open for cool_down_ms
 *     open --[cool_down_ms is over]--> half-open: `probes` calls are let through
 *     half-open --[all of them succeeded]--> closed        --[one failed]--> open, for twice as long, at most cool_down_max_ms
 *
 * There is one for each handler, each worker and each named service, made when its first call ends. What a call says:
 *
 *     outcome                    handler  worker   service
 *     success                    good     good     good for each service that its handler has named
 *     invalid_input              -        -        -              the input is at fault
 *     resource_exhausted         -        bad      -              the host is
 *     process_failure, timeout   bad      bad *    -
 *     network, naming a service  -        -        bad            each of the workers sees the same service
 *     network, naming none       bad      bad *    -
 *     lost, handed_back, cancelled, ..
 *                                -        -        -              nobody knows how it would have ended
 *
 * (*) Not while the handler's own breaker is not closed: a handler that fails everywhere would take all workers with it. Only calls
 * that say something are counted. A probe that says nothing makes room for another one.
 *
 * A service's breaker holds back the tasks of the handlers that have named it: an association learned from their reports, at most
 * HANDLERS_PER_SERVICE for a service and SERVICES_PER_HANDLER for a handler. It is forgotten with a closed breaker at a restart.
 *
 * State, until, cool-down and a service's handlers are durable while the breaker is not closed (D); a closed one is nothing but its
 * counts (S): it is in no record, not in the digest, and may be forgotten when it has been idle for a window.
 */
#ifndef JQ_BROKER_CORE_BREAKER_H
#define JQ_BROKER_CORE_BREAKER_H

#include "broker/core/core.h"
#include "common/map.h"

enum {
    BREAKER_SLICE_COUNT = 12, /* a window is counted in so many slices: it moves on by one at a time */
    BREAKER_NAME_SIZE_MAX = JQ_NAME_SIZE_MAX + 8,
    SERVICES_MAX = 1024,
    SERVICES_PER_HANDLER = 8,
    HANDLERS_PER_SERVICE = 32,
    BREAKER_HANDLERS_SIZE_MAX = HANDLERS_PER_SERVICE * (JQ_NAME_SIZE_MAX + 1),
};

enum breaker_call { BREAKER_CALL_NEUTRAL, BREAKER_CALL_GOOD, BREAKER_CALL_BAD };

struct breaker_window {
    int64_t slice; /* number of the newest one: time over its length */
    uint32_t calls[BREAKER_SLICE_COUNT], bad[BREAKER_SLICE_COUNT];
    uint32_t calls_sum, bad_sum;
};

struct breaker {
    bool used;
    uint8_t kind;                            /* enum jq_breaker_kind */
    uint8_t state;                           /* D: enum jq_breaker_state */
    bool by_operator;                        /* D: tripped by one */
    struct jq_str name;                      /* D, owned: "handler:work" */
    int64_t since_ms;                        /* D: of this state */
    int64_t until_ms;                        /* D: of an open one; 0: until it is reset */
    int64_t cool_down_ms;                    /* D: of this opening */
    struct jq_str handlers;                  /* D, owned: of a service, between blanks */
    struct breaker_window window;            /* S */
    uint32_t probes, probes_good;            /* S: out or good; good */
    uint64_t probe_token;                    /* S: leases from this one on are probes */
    uint32_t services[SERVICES_PER_HANDLER]; /* I: of a handler: those whose `handlers` name it */
    uint32_t service_count;
};

/* What a breaker is to become. */
struct breaker_change {
    enum jq_breaker_state state;
    bool by_operator;
    int64_t until_ms, cool_down_ms;
};

/* ---- breaker.c: one breaker ---- */

/* Drops what the window no longer holds. */
void breaker_window_move(struct breaker_window *window, const struct jq_breaker_config *config, int64_t now_ms);
/* True: the breaker is to change. `probe`: it is half-open, and let the call through. */
bool breaker_call_ended(struct breaker *breaker, const struct jq_breaker_config *config, int64_t now_ms,
                        enum breaker_call call, bool probe, struct breaker_change *ret_change);
/* True while calls may begin. */
bool breaker_lets_through(const struct breaker *breaker, const struct jq_breaker_config *config);
/* True: the time of an open one is over. */
bool breaker_is_due(const struct breaker *breaker, int64_t now_ms);

/* ---- breakers.c: the table of them, and what they hold back ---- */

struct breakers {
    struct breaker *items; /* index 0 is none */
    uint32_t count, capacity, free_count, hand;
    uint32_t kind_counts[JQ_BREAKER_KIND_COUNT];
    struct jq_strmap names;
    uint32_t not_closed, half_open; /* I */
    int64_t due_ms;                 /* I: when the next open one becomes half-open; INT64_MAX: none */
};

struct task;
struct worker;

void breakers_init(struct jq_core *core);
void breakers_fini(struct jq_core *core);
/* The breaker of that kind and name ("work"); 0: none. */
uint32_t breaker_find(const struct jq_core *core, enum jq_breaker_kind kind, struct jq_str name);
static inline struct breaker *breaker_at(const struct breakers *breakers, uint32_t index) {
    return &breakers->items[index];
}

/* A class, or a worker, was defined: it may be held back from the start. */
void breakers_class_added(struct jq_core *core, uint16_t class_index);
void breakers_worker_added(struct jq_core *core, uint32_t worker);

/* A worker that has leases changes its name: they are probes of its old breaker no more, and, before its next lease, may be
 * some of the new one. */
void breakers_worker_leaves(struct jq_core *core, uint32_t worker);
void breakers_worker_joins(struct jq_core *core, uint32_t worker);

/* A lease was given: probes are counted. */
void breakers_lease_given(struct jq_core *core, uint32_t worker, uint16_t class_index);
/* What a lease was, for breakers_attempt_ended() when it is gone. */
struct breaker_attempt {
    uint16_t class_index;
    uint32_t worker;
    uint64_t token;
};
struct breaker_attempt breakers_attempt(const struct jq_core *core, const struct task *task);
void breakers_attempt_ended(struct jq_core *core, const struct breaker_attempt *attempt, enum jq_outcome outcome,
                            struct jq_str service);

/* Emits the change, and tells of it. */
void breaker_change(struct jq_core *core, uint32_t index, const struct breaker_change *change);
/* The breaker of that kind and name, made if there is none; 0: the table is full. */
uint32_t breaker_make(struct jq_core *core, enum jq_breaker_kind kind, struct jq_str name);

void breakers_start(struct jq_core *core);
/* Open ones whose time is over become half-open. */
void breakers_expire(struct jq_core *core);
int64_t breakers_deadline_ms(const struct jq_core *core);

enum jq_err apply_breaker_set(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
void breakers_say(struct jq_core *core); /* in a prologue */
uint64_t breakers_hash(const struct jq_core *core);

/* ---- breaker_ops.c: what operators ask ---- */
void breaker_ls_request(struct jq_core *core, const struct jq_request *request);
void breaker_set_request(struct jq_core *core, const struct jq_request *request); /* trip, reset */

#endif
