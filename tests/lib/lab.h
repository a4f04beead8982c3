/* lab.h - one core on a bench: named clients and workers, a clock that only the test moves, a log in memory, a shadow core.
 *
 * After every step the shadow, fed with the bytes of what the core emitted, must have the core's digest. Time starts at 0 ms,
 * the wall clock at LAB_WALL_MS. Workers answer surveys at once until they are told to stop. Replies are remembered until
 * lab_free(). A worker that is named for the first time registers: 4 slots, 4 cpu, 8G of memory, the handlers work, mail, build.
 */
#ifndef JQ_TESTS_LIB_LAB_H
#define JQ_TESTS_LIB_LAB_H

#include "tests/lib/corelog.h"
#include "tests/lib/kept.h"
#include "tests/lib/trace.h"

#define LAB_WALL_MS INT64_C(1700000000000)

enum { LAB_WORKERS_MAX = 16, LAB_HELD_MAX = 64, LAB_OFFERS_MAX = 8, LAB_LEASES_MAX = 64, LAB_SLICES_MAX = 10000 };

struct lab_worker {
    char name[JQ_NAME_SIZE_MAX + 1];
    struct jq_uuid id, session, sender;
    uint64_t incarnation, pipe;
    uint64_t request; /* of its last request */
    bool silent;
    struct jq_held held[LAB_HELD_MAX]; /* leases it knows of: what it says in a survey */
    size_t held_count;
    struct jq_amount offers[LAB_OFFERS_MAX];
    size_t offer_count;
    struct jq_units units[LAB_OFFERS_MAX]; /* the numbers are borrowed */
    size_t unit_count;
    struct jq_str accept[LAB_OFFERS_MAX];
    size_t accept_count;
    struct jq_name_value facts[LAB_OFFERS_MAX];
    size_t fact_count;
    struct jq_handler_def handlers[LAB_OFFERS_MAX];
    size_t handler_count;
    const char *doorbell; /* borrowed; NULL: none */
};

struct lab {
    struct jq_core_config config;
    struct jq_core *core;
    struct corelog log;
    struct jq_buf trace;
    bool quiet; /* no trace is kept, and the slow digest is not compared: for many tasks */
    int64_t now_ms, wall_offset_ms;
    uint64_t epoch, steps;
    uint64_t calls; /* the last call handed out */
    uint64_t client_request;
    struct jq_uuid client;
    struct kept *replies;         /* the newest first */
    uint64_t read_from, read_end; /* of the log, to be brought after this step; 0: none */
    uint64_t read_count;          /* slices brought */
    uint64_t damaged_below;       /* what stands before it in the log cannot be read, and is left out of slices */
    uint32_t survey;              /* to be answered after this step */
    bool survey_wanted;
    uint32_t notices, rings;
    uint32_t drops; /* files of blobs that may go */
    struct lab_worker workers[LAB_WORKERS_MAX];
    size_t worker_count;
};

struct lab *lab_new(void);
struct lab *lab_new_with(const struct jq_core_config *config);
void lab_free(struct lab *lab);

/* ---- time, restarts, the log ---- */

void advance_ms(struct lab *lab, int64_t ms);      /* stepping whenever the core wants to be */
void sleep_broker_ms(struct lab *lab, int64_t ms); /* the broker does not run meanwhile */
void move_wall_ms(struct lab *lab, int64_t ms);
void restart_broker(struct lab *lab); /* replays the log into a new core, with the next epoch */
void lab_prologue(struct lab *lab);   /* a new segment begins */
void lab_step(struct lab *lab, struct jq_event *event);

/* ---- requests: `call` is set, the reply is NULL while parked ---- */

/* From the lab's client under a fresh request id, unless one is given. */
struct jq_request lab_request(struct lab *lab, enum jq_op op);
const struct jq_reply_effect *lab_ask(struct lab *lab, struct jq_request *request);
const struct jq_reply_effect *lab_reply_to(const struct lab *lab, uint64_t call);
bool lab_dropped(const struct lab *lab, uint64_t call);

/* ---- clients ---- */

/* Queue `default`, handler `work`, priority 5, 3 retries of 1000 ms .. 600000 ms. */
struct jq_submit_item lab_item(void);
jq_task_id submit_task(struct lab *lab, const char *queue);
jq_task_id submit_item(struct lab *lab, const struct jq_submit_item *item);
jq_task_id submit_to_group(struct lab *lab, const char *queue, const char *group);
const struct jq_reply_effect *submit_items(struct lab *lab, const struct jq_submit_item *items, size_t count);
enum jq_reply cancel_task(struct lab *lab, jq_task_id task);
enum jq_reply ask_about_task(struct lab *lab, enum jq_op op, jq_task_id task);      /* dead.replay, dead.rm */
enum jq_reply set_named(struct lab *lab, enum jq_op op, const char *name, bool on); /* queue.set, worker.drain */
enum jq_reply set_limit(struct lab *lab, const char *scope, uint32_t concurrency, const char *rate); /* 0, NULL: none */
enum jq_reply remove_limit(struct lab *lab, const char *scope);
struct jq_task_row task_row_of(struct lab *lab,
                               jq_task_id task); /* state NONE: not found; texts live until lab_free() */
enum jq_state task_state(struct lab *lab, jq_task_id task);
const struct jq_reply_effect *explain_task(struct lab *lab, jq_task_id task);

/* ---- workers ---- */

struct lab_worker *lab_worker(struct lab *lab, const char *name); /* made and registered if new */
struct lab_worker *lab_worker_unregistered(struct lab *lab, const char *name);
void lab_offer(struct lab_worker *worker, const char *name, uint64_t thousandths); /* replaces one of that name */
void lab_fact(struct lab_worker *worker, const char *name, const char *value);
/* Offers so many units, told apart by these numbers (borrowed). */
void lab_units(struct lab_worker *worker, const char *name, const uint16_t *indexes, size_t count);
void lab_accept(struct lab_worker *worker, const char *offer);
void register_worker(struct lab *lab, struct lab_worker *worker);
void restart_worker(struct lab *lab, const char *name); /* a new incarnation, which holds nothing, registers */
void stop_answering_surveys(struct lab *lab, const char *name);
void start_answering_surveys(struct lab *lab, const char *name);

/* A poll of the worker that takes one task and does not park. Token 0: there was none. The worker holds what it gets. */
jq_lease_token lease_task(struct lab *lab, const char *worker);
jq_task_id lease_task_id(struct lab *lab, const char *worker, jq_lease_token *ret_token);
struct jq_request poll_of(struct lab *lab, const char *worker, uint32_t want, int64_t wait_ms);
/* Takes the leases of an answer into the worker's hands. */
void take_leases(struct lab_worker *worker, const struct jq_reply_effect *reply);

/* Reports under a token that some worker got; the verdict. By the worker that got it. */
enum jq_reply report_success(struct lab *lab, jq_lease_token token);
enum jq_reply report_failure(struct lab *lab, jq_lease_token token, enum jq_outcome outcome, bool crashed);
enum jq_reply report_as(struct lab *lab, jq_lease_token token,
                        struct jq_report report); /* task and token are set here */
enum jq_reply report_by(struct lab *lab, const char *worker, jq_task_id task, jq_lease_token token,
                        enum jq_outcome outcome, bool crashed);

/* ---- what must hold (cmocka) ---- */

#define expect_trace(lab, text) expect_trace_at(lab, text, __FILE__, __LINE__)
void expect_trace_at(struct lab *lab, const char *text, const char *file, int line); /* since the last one */
void expect_replay_matches_live(struct lab *lab);

#endif
