/* sim.h - a broker, its clients and workers, their network, disk and clock, all simulated and driven by one seed.
 *
 * Real: core, record codec, journal, release rule, worker agent. Simulated: the disk below the journal, time, messages, and who
 * sends them. Nothing depends on addresses or on the machine: a seed gives the same run. What may go wrong: sim_fault.h.
 *
 * `steps` events run with faults; then the faults stop and every task must reach a final state or wait for a reason that has a
 * name. What must hold is checked by sim_oracle.c and sim_rules.c; a breach ends the process with 1, its words in the result.
 */
#ifndef JQ_TESTS_SIM_SIM_H
#define JQ_TESTS_SIM_SIM_H

#include "broker/core/core.h"
#include "broker/journal/journal.h"
#include "broker/shell/log_slice.h"
#include "common/buf.h"
#include "common/map.h"
#include "common/rng.h"
#include "tests/lib/kept.h"
#include "tests/lib/simdisk.h"
#include "tests/sim/sim_fault.h"
#include "worker/agent/agent.h"

enum {
    SIM_CLIENTS = 4,
    SIM_WORKERS = 4,
    SIM_ACTORS = SIM_CLIENTS + SIM_WORKERS,
    SIM_ITEMS_MAX = 4,
    SIM_REPORTS_MAX = 8,
    SIM_HELD_MAX = 64,
    SIM_RUNS_MAX = 256,
    SIM_AFTER_MAX = 3,
    SIM_BODY_BASE = 19, /* of each task: its payload, and what is before and behind that (sim_cache.c) */
    SIM_WAIT_MS = 3000,
    SIM_RESULT_SIZE = 14,
};

/* ---- what comes of a run ---- */
struct sim_counts { /* only numbers: they are added up */
    uint64_t seeds, events, simulated_s, submitted, leased, finished, starts, refused_starts, crashes, resent,
        rots_caught, bodies_read, orders_checked, turns_checked, holds_checked, wants_checked, moved, selections,
        selected, fired, missed, kept_results, cached, made;
};
struct sim_result {
    bool failed;
    uint64_t signature; /* of the invariant: equal for failures by the same one */
    uint64_t step;
    int64_t now_ms;
    uint64_t struck[SIM_FAULT_COUNT];
    struct sim_counts counts;
    char message[240];
};

/* ---- what a seed chooses besides faults ---- */
struct sim_swarm {
    uint32_t operators; /* of 100 requests of clients */
    uint32_t pause_ms;  /* between two looks of a client */
    int64_t run_max_ms, commit_max_ms;
    uint32_t segment_bytes, body_bytes;
    uint32_t tick_ms; /* between two looks of a worker */
    int64_t delay_max_ms;
    bool choosy;    /* a worker accepts only some tasks */
    bool forgetful; /* results and keys are kept so short that the log loses its beginning again and again */
    bool pure;      /* workers call the handler h0 pure, mostly */
};

/* ---- messages and events ---- */
struct sim_request {
    struct jq_request r;
    struct jq_submit_item items[SIM_ITEMS_MAX];
    char keys[SIM_ITEMS_MAX][8];
    struct jq_where where;
    bool selects; /* by where, not by ids */
    uint8_t bodies[SIM_ITEMS_MAX][SIM_BODY_BASE + 1024 + JQ_SCHEDULE_DUE_SIZE];
    jq_task_id after[SIM_ITEMS_MAX][SIM_AFTER_MAX];
    struct jq_report reports[SIM_REPORTS_MAX];
    uint8_t results[SIM_REPORTS_MAX][SIM_RESULT_SIZE];
    uint32_t putting; /* blob */
    struct jq_held held[SIM_HELD_MAX];
    jq_task_id ids[SIM_ITEMS_MAX];
    uint32_t actor;
};

enum sim_event_type {
    SIM_TO_BROKER,
    SIM_SURVEY_RESPONSE,
    SIM_TO_ACTOR,
    SIM_SURVEY,
    SIM_ACTOR_TIME,
    SIM_WRITTEN,
    SIM_SYNCED,
    SIM_START_BROKER,
    SIM_DAMAGED,   /* the body of a lease could not be read */
    SIM_STOPPED,   /* a broker that was asked to stop is gone */
    SIM_BLOB_LOST, /* somebody finds that a blob has no file; `actor` is its number */
    SIM_LOG_READ,  /* the reader of the log comes to what it was asked for */
    SIM_DISK_WELL  /* there is room again */
};
struct sim_event {
    int64_t at_ms;
    uint64_t order;
    enum sim_event_type type;
    uint32_t actor;
    uint64_t number; /* survey; run of the broker; timer's generation */
    struct sim_request *request;
    struct kept *kept;
    struct jq_survey_response response;
    struct jq_held held; /* damaged */
};

/* ---- actors ---- */
struct sim_link {
    int64_t cut_until_ms;
    bool cut_there, cut_back; /* to the broker, from it */
    int64_t slow_until_ms;    /* everything its actor says takes `lag_ms` more */
    int64_t lag_ms;
};
struct sim_staging { /* a flow that it is about to commit; flow 0: none */
    uint64_t flow;
    uint32_t room, added;
};
struct sim_client {
    struct sim_staging staging;
    struct jq_uuid sender;
    uint64_t next_id;
    struct sim_request *waiting; /* for its answer; NULL: none */
    int64_t resend_ms, asked_ms;
};

struct sim_run { /* a lease as its worker knows it, from the answer to the verdict */
    jq_task_id task;
    jq_lease_token token;
    bool running, reported;
    int64_t ends_ms;
    enum jq_outcome outcome;
    bool crashed;
    bool makes;              /* it is to leave outputs */
    uint32_t made, unstored; /* bit per blob: what it left, and what of that the broker has not taken yet */
};
struct sim_worker {
    struct sim *sim;
    uint32_t index;
    char name[16];
    struct jq_uuid id, sender, session;
    uint64_t incarnation, next_id;
    bool registered;
    struct jq_agent *agent;
    unsigned want;
    struct sim_run runs[SIM_RUNS_MAX];
    uint32_t run_count;
    bool held_asked;
    struct sim_request *waiting;
    int64_t resend_ms, silent_until_ms;
    bool faultless;  /* so far it was never silent, slow, cut off or reborn */
    int64_t mute_ms; /* when it last left a survey without an answer: registering takes as long as its messages do */
    struct jq_amount offers[4];
    size_t offer_count;
    const char *zone;
    bool choosy;            /* it accepts only what takes a seat */
    struct jq_held old[32]; /* leases it once had: for lies */
    uint32_t old_count;
};

/* ---- the broker ---- */
struct sim_digest {
    uint64_t end_lsn, digest;
};
struct sim_reader { /* of the log's oldest part, for what is moved */
    struct jq_slicer *slicer;
    struct jq_log_slice *slice;
    bool asked;
    uint64_t from_lsn, end_lsn;
    int64_t again_ms; /* after a failure the core waits until then */
};
struct sim_broker {
    bool up, serving; /* serving: what its start emitted is on disk */
    uint64_t run;     /* counts starts */
    int64_t started_ms;
    uint64_t live_most;    /* tasks, keys and flows at once, since the start */
    uint64_t tasks_before; /* this step */
    struct jq_core *core, *shadow;
    struct jq_journal *journal;
    struct jq_log_ring *ring;
    struct jq_release release;
    struct kept *steps_effects, **last_effect; /* of this step */
    struct jq_buf body;
    int64_t clock_ms;
    struct jq_sealed_block block; /* under way */
    bool committing;
    uint64_t room_bytes, durable_lsn;
    uint64_t prologue_end_lsn, prologue_needs_lsn;
    int64_t asleep_until_ms;
    struct sim_digest *digests; /* after each record, from the last durable one on */
    size_t digest_count, digest_capacity;
    const struct sim_request *request; /* that is being decided; NULL: another event */
    uint64_t calls;
    struct jq_map call_actor; /* open calls */
    struct sim_request **call_requests;
    size_t call_capacity;
    uint64_t steps;
    bool spare_failed; /* there is no room for the next segment */
    bool stopping;
    uint64_t prologue_bytes; /* of the last */
    uint64_t told_lsn;       /* how far the core knows the log to be on the disk */
    uint64_t deleted_lsn;    /* what stands below may be gone, and is, but for a part of a segment */
    struct sim_reader reader;
};

/* ---- the oracle ---- */
enum sim_place { SIM_UNKNOWN, SIM_STAGED, SIM_WAITING, SIM_QUEUED, SIM_LEASED, SIM_FINAL, SIM_GONE, SIM_PLACES };
enum sim_resource { SIM_SLOTS, SIM_CPU, SIM_MEM, SIM_SEAT, SIM_GPU, SIM_RESOURCES };
struct sim_amounts {
    uint32_t of[SIM_RESOURCES];
};
struct sim_task {
    uint64_t id;
    enum sim_place place; /* by the records, as all of this */
    enum jq_state state;  /* of a final one */
    uint32_t place_at;    /* in oracle->queued or oracle->leased */
    uint16_t queue, class_index;
    uint8_t priority;
    uint32_t options;
    bool issued; /* by a record of the run, not of a replay */
    bool eta;    /* waits for wall time `ready_ms` */
    int64_t ready_ms, first_ready_ms, expires_wall_ms, ended_ms;
    uint32_t attempts, crashes, losses, shortages;
    uint64_t token;
    uint32_t worker;
    uint8_t alternative;
    struct sim_amounts taken; /* while leased */
    uint32_t units;           /* of gpu, bit per number, while leased */
    uint64_t parents[SIM_AFTER_MAX];
    uint32_t parent_count, met; /* met: bit per parent */
    uint8_t on;
    uint64_t flow;
    char group[4];
    uint64_t touched;   /* number of the last record about it */
    uint64_t looked_at; /* the look at which `stuck` was found out */
    bool stuck;
    bool held, rm_asked; /* an operator wanted it gone */
    uint32_t ended_as;   /* bit per final state that it ever was in, over all lives of the broker */
    uint64_t body_hash;
    uint64_t body_before, body_until; /* what it was to the leases up to this token */
    uint32_t files, made;             /* bit per blob; of `files` one more: it is to leave outputs */
    uint64_t question;                /* what it asks: equal for those of which one's result answers the other */
    bool asks, no_cache;              /* it has a cache key; it runs in any case */
    uint32_t body_size, report_size;  /* of the records that hold its body and its last report; 0: no report */
    bool acknowledged, forgotten_once, succeeded; /* what the outside was told; never taken back */
    uint64_t success_token;
};
struct sim_answer {
    struct jq_uuid sender;
    uint64_t request, first;
    uint32_t count, exceptions;
    int64_t at_ms; /* last given */
};
enum { SIM_CLASSES_MAX = 128, SIM_OPTIONS_MAX = 128, SIM_HOLDERS_MAX = 64 };
struct sim_holder {  /* a worker as the records name it */
    uint32_t worker; /* of sim->workers */
    uint32_t leases, suspects, units;
    struct sim_amounts taken;
    bool short_of[SIM_CLASSES_MAX]; /* its host once ran out of something under such a task */
    uint64_t incarnation;
    bool declared; /* it has said in this session what it can do */
    bool draining; /* an operator wants it to get nothing more */
    bool unsure;   /* it is being drained: if it dies, no record says so */
};
struct sim_class {
    char handler[8], need[24], want[16];
};
struct sim_key {
    char text[32]; /* scope, 0 byte, key */
    size_t text_size;
    uint64_t task, lsn;
    int64_t expires_ms;
    uint8_t unique;
};
struct sim_cached { /* a result that is kept */
    uint64_t name, question, task, body_hash, output_bytes;
    int64_t at_ms;
    uint32_t version, made, held_bytes, record_size;
};
struct sim_flow {
    uint64_t id;
    uint32_t total, phase;
    bool acknowledged; /* never taken back */
};
struct sim_breaker {
    uint8_t kind, state;
    char name[8], handlers[24];
    int64_t until_ms;
    uint64_t token; /* leases from here on are probes */
};
struct sim_call { /* an attempt of a handler that ended */
    int64_t at_ms;
    char handler[8];
    bool bad;
};
struct sim_schedule {
    bool used, skip_overlap;
    bool counted_from_anchor; /* @every; else from the full hour */
    int64_t every_ms;
    uint8_t catch_up;
    struct jq_schedule_state state;
};
struct sim_limit {
    char scope[24];
    bool set;
    uint32_t concurrency, burst;
    int64_t interval_us; /* between two starts; 0: no rate */
    uint32_t since;      /* of `started`: those before do not count */
};
struct sim_start { /* of a task */
    int64_t at_ms;
    uint16_t queue;
    char handler[8], group[4];
};
struct sim_order { /* of an operator: to all that a selection names */
    uint64_t id;   /* of the request */
    struct jq_uuid sender;
    enum jq_op op;
    struct jq_where where;
    struct jq_str to; /* of a move: static text */
    bool dry_run;
    uint64_t began;  /* after so many records */
    bool open, done; /* under way; answered */
    bool unsure;     /* a crash came between: it may have been done before */
};
enum { SIM_LIMITS_MAX = 32, SIM_ORDERS_MAX = 64 };
enum { SIM_BREAKERS_MAX = 16, SIM_SCHEDULES_MAX = 64 };
enum { SIM_QUEUES_MAX = 8, SIM_GROUPS = 4 /* with that of tasks that name none */ };
struct sim_turns {                                 /* what is known of who has had more than others */
    int64_t ahead[SIM_QUEUES_MAX][SIM_QUEUES_MAX]; /* at least so much is the one's virtual time above the other's */
    bool behind[SIM_QUEUES_MAX][SIM_GROUPS][SIM_GROUPS];
};
struct sim_oracle {
    struct jq_map by_id;
    struct sim_task *tasks;
    uint32_t task_count, task_capacity;
    uint32_t *queued, *leased; /* tasks in queues, under lease: so many as in that place */
    uint32_t queued_capacity, leased_capacity;
    uint32_t places[SIM_PLACES], dead;
    uint32_t depth[SIM_QUEUES_MAX];
    struct jq_queue_set sets[SIM_QUEUES_MAX];
    char queues[SIM_QUEUES_MAX][8];
    struct sim_class classes[SIM_CLASSES_MAX];
    struct jq_options options[SIM_OPTIONS_MAX];
    struct sim_holder holders[SIM_HOLDERS_MAX];
    struct sim_flow *flows;
    uint32_t flow_count, flow_capacity;
    struct sim_breaker breakers[SIM_BREAKERS_MAX];
    uint32_t breaker_count;
    struct sim_call *calls;
    uint32_t call_count, call_capacity;
    struct sim_limit limits[SIM_LIMITS_MAX];
    uint32_t limit_count;
    struct sim_start *started;
    uint32_t started_count, started_capacity;
    struct sim_schedule schedules[SIM_SCHEDULES_MAX];
    uint64_t schedule_records, schedule_mark; /* the second: up to the last step */
    struct sim_key *keys;
    uint32_t key_count, key_capacity;
    struct sim_cached *cached;
    uint32_t cached_count, cached_capacity;
    uint64_t cached_held_bytes, cached_output_bytes;
    uint64_t answer_due;                 /* this task is to be answered from the cache by the next record; 0: none */
    uint32_t answers_in_step;            /* that many were */
    struct jq_map questions, cache_keys; /* question -> its key's first bytes, and the other way round */
    struct sim_turns turns;
    struct sim_order orders[SIM_ORDERS_MAX];
    uint32_t order_next;
    uint64_t record_count, looks;
    uint64_t token_max;
    uint64_t end_lsn;    /* of the last record */
    uint64_t live_bytes; /* of the records that are still needed */
    uint64_t *segments;  /* where each prologue begins */
    uint32_t segment_count, segment_capacity;
    struct sim_answer *answers;
    uint32_t answer_count, answer_capacity;
    struct jq_map answer_map; /* hash of sender and request -> at + 1 */
};

enum { SIM_BLOBS = 5 };
struct sim_blob {
    bool on_disk, lost; /* its file; lost: gone, and the core has not heard of it */
    uint32_t version;
    bool stored; /* by the records */
    uint32_t refs;
    int64_t idle_ms; /* since when nobody refers to it, or asked for it */
};

struct sim {
    const struct sim_options *options;
    struct sim_result *result;
    bool calm;
    struct jq_rng rng;
    struct sim_chances chances;
    struct sim_swarm swarm;
    int64_t now_ms, wall_offset_ms, calm_ms; /* when the calm began */
    uint64_t step, order;
    struct sim_event *events; /* a heap by time, then order */
    size_t event_count, event_capacity;
    struct jq_simdisk *disk;
    bool disk_faulty, disk_full; /* an operation is to fail; there is no room */
    struct jq_core_config config;
    struct jq_queue_config queue_configs[3];
    struct sim_broker broker;
    struct sim_oracle oracle;
    struct sim_client clients[SIM_CLIENTS];
    struct sim_worker workers[SIM_WORKERS];
    struct sim_link links[SIM_ACTORS];
    struct sim_counts counts;
    struct sim_blob blobs[SIM_BLOBS];
    uint32_t blob_versions, blob_losing; /* the second: number + 1 of the one that the core hears of just now */
};

/* sim.c */
void sim_run(const struct sim_options *options, struct sim_result *result);
struct sim *sim_open(const struct sim_options *options, struct sim_result *result); /* a broker, and who talks to it */
void sim_next(struct sim *sim);                                                     /* the next event */
void sim_close(struct sim *sim);                                                    /* calm, restart, end */
_Noreturn void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_say(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool sim_strikes(struct sim *sim, enum sim_fault kind); /* never in a calm */
uint64_t sim_detail(struct sim *sim, uint64_t bound);   /* of the strike */
uint64_t sim_below(struct sim *sim, uint64_t bound);    /* of the run: 0 .. bound - 1 */
struct sim_event *sim_add(struct sim *sim, enum sim_event_type type, int64_t at_ms);
struct jq_uuid sim_uuid(struct sim *sim);
void counts_print(const struct sim_counts *counts);

/* sim_week.c: what it chooses besides faults, where it runs */
void week_choose(struct sim *sim);

/* sim_net.c: takes the request; sends the reply */
void net_send_request(struct sim *sim, const struct sim_request *request);
void net_send_reply(struct sim *sim, uint32_t actor, struct kept *kept);
void net_send_survey(struct sim *sim, uint64_t survey);
void net_send_response(struct sim *sim, uint32_t actor, const struct jq_survey_response *response);
void net_cut(struct sim *sim);

/* sim_broker.c: the shell around the core */
void broker_event(struct sim *sim, struct jq_event *event); /* a step, its records, its effects */
void broker_deliver(struct sim *sim, struct sim_request *request);
void broker_release(struct sim *sim);
int64_t broker_deadline_ms(const struct sim *sim);
struct jq_output broker_output(struct sim *sim);
void broker_note_digest(struct sim *sim, uint64_t end_lsn);

/* sim_log.c: group commit, rotation, the disk's faults */
void log_commit(struct sim *sim);
void log_commit_start(struct sim *sim);
void log_written(struct sim *sim);
void log_synced(struct sim *sim);
void log_prologue(struct sim *sim);
void log_failed(struct sim *sim, const struct jq_error *error);
bool log_may_fail(const struct sim *sim, const struct jq_error *error); /* a fault that was planted */
void disk_fail(struct sim *sim);
void disk_fill(struct sim *sim);
void disk_well(struct sim *sim);

/* sim_move.c: what is live leaves the log's oldest part: the reader, what a move may change, the log's size */
void reader_asked(struct sim *sim, uint64_t from_lsn, uint64_t end_lsn);
void reader_reads(struct sim *sim);
void reader_start(struct sim *sim);
void reader_free(struct sim_broker *broker);
void move_record(struct sim *sim, const struct jq_record *record);
void move_check(struct sim *sim, const struct jq_record *record);
uint64_t move_live_bytes(const struct sim *sim);
void move_gone(struct sim *sim, struct sim_task *task);
void move_forget(struct sim *sim);
void move_step(struct sim *sim);  /* the log is as short as it should be */
void move_files(struct sim *sim); /* and so are its files */
void move_settled(struct sim *sim);

/* sim_blobs.c: the content store, and who refers to what is in it */
void blobs_init(void);
void blobs_ask(struct sim *sim, struct sim_request *request);
struct jq_bytes blobs_files(struct sim *sim);
void blobs_arrive(struct sim *sim, struct jq_request *request); /* before the core gets it */
struct jq_effect blobs_keep(const struct jq_effect *effect);
void blobs_drop(struct sim *sim, const struct jq_effect *effect);
void blobs_lose(struct sim *sim);
void blobs_lost(struct sim *sim, uint32_t number);
void blobs_open(struct sim *sim);
void blobs_tell(struct sim *sim);
void blobs_forget(struct sim *sim);
void blobs_record(struct sim *sim, const struct jq_record *record, bool replay);
void blobs_check(struct sim *sim, const struct jq_record *record);
void blobs_gone(struct sim *sim, struct sim_task *task);
void blobs_step(struct sim *sim);
void blobs_put(struct jq_request *request, uint32_t number);
void blobs_answered(struct sim *sim, const struct sim_request *request);
struct jq_bytes blobs_made(uint32_t mask); /* as a report names them */
uint32_t blobs_mask(struct jq_bytes files);
void blobs_refer(struct sim *sim, uint32_t *kept, uint32_t mask);
bool blobs_stored(const struct sim *sim, uint32_t mask);
uint64_t blobs_size(uint32_t mask);

/* sim_cache.c: results of a pure handler, and who is answered from them */
struct jq_bytes cache_body(struct sim *sim, struct sim_request *request, size_t at, bool asked_often);
enum { SIM_HANDLERS = 2 };
const struct jq_handler_def *cache_handlers(const struct sim *sim, uint64_t incarnation);
struct jq_str cache_version(const struct sim *sim, uint64_t incarnation, jq_lease_token token);
struct jq_bytes cache_result(jq_lease_token token, uint8_t out[SIM_RESULT_SIZE]);
void cache_record(struct sim *sim, const struct jq_record *record, bool replay);
void cache_check(struct sim *sim, const struct jq_record *record);
void cache_check_leased(struct sim *sim, const struct sim_task *task);
void cache_step(struct sim *sim, const struct jq_server_row *status);
void cache_forget(struct sim *sim);

/* sim_start.c: starts, crashes */
void broker_start(struct sim *sim);
void broker_crash(struct sim *sim, bool power);
void broker_free(struct sim *sim);
struct jq_core *core_make(struct sim *sim, uint64_t hash_seed);
void core_end(struct jq_core *core);

/* sim_rot.c: a flipped bit in a copy of the log must be found, or mean nothing */
struct sim_rot {
    bool tried, opened;
    uint64_t end_lsn, digest, blocks;
    char file[64];
    uint64_t offset;
};
void rot_try(struct sim *sim, struct sim_rot *rot);
void rot_check(struct sim *sim, const struct sim_rot *rot, uint64_t end_lsn, uint64_t blocks);
/* Replays the log on `disk` into cores of `replaying`. */
struct sim_replay {
    struct sim *sim;
    struct jq_core *core, *shadow; /* shadow may be NULL */
    bool told;                     /* the oracle hears of every record */
    int64_t time_ms;
    bool begun;
    uint64_t end_lsn; /* of the last record */
};
enum jq_err replay_open(struct sim_replay *replaying, struct jq_simdisk *disk, struct jq_recovery_report *report,
                        struct jq_journal **ret_journal, struct jq_error *reterr);

/* sim_ask.c */
struct sim_request *ask_new(struct sim *sim, uint32_t actor);
void ask_answered(struct sim_client *client, const struct jq_reply_effect *reply);
void ask_aim(struct sim_request *request);

/* sim_client.c */
void actors_init(struct sim *sim);
void actors_fini(struct sim *sim);
void actor_reply(struct sim *sim, uint32_t actor, const struct jq_reply_effect *reply);
void actor_time(struct sim *sim, uint32_t actor);

/* sim_worker.c */
void worker_init(struct sim *sim, uint32_t index);
void worker_fini(struct sim_worker *worker);
void worker_time(struct sim *sim, struct sim_worker *worker);
void worker_reply(struct sim *sim, struct sim_worker *worker, const struct jq_reply_effect *reply);
void worker_survey(struct sim *sim, struct sim_worker *worker, uint64_t survey);

/* sim_oracle.c: what the records say, folded again, and what the outside was told */
void oracle_fini(struct sim *sim);
void oracle_forget_records(struct sim *sim); /* a new broker replays: what records say begins anew */
void oracle_record(struct sim *sim, const struct jq_record *record, bool replay);
void oracle_asked(struct sim *sim, const struct sim_request *request);
void oracle_reply(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply);
void oracle_promises(struct sim *sim); /* after a recovery and at the end */
bool oracle_all_final(struct sim *sim, uint64_t *ret_open);
uint64_t oracle_some_task(struct sim *sim); /* 0: none yet */
uint64_t oracle_some_flow(struct sim *sim);
struct sim_task *oracle_task(struct sim *sim, uint64_t id);

void oracle_leave(struct sim *sim, struct sim_task *task);
void oracle_enter(struct sim *sim, struct sim_task *task, enum sim_place place);
void *oracle_grown(void *array, uint32_t count, uint32_t *capacity, size_t item_size);

/* sim_keys.c: keys of submits, marks of queues */
void keys_record(struct sim *sim, const struct jq_record *record);
void keys_check(struct sim *sim, const struct jq_record *record);

/* sim_limits.c: limits of concurrency and rate */
void limits_record(struct sim *sim, const struct jq_record *record);
void limits_check_leased(struct sim *sim, const struct sim_task *task, const struct jq_record *record);
void limits_forget(struct sim *sim);

/* sim_place.c: which worker may have it */
bool place_amounts(const struct sim_class *class_entry, uint8_t alternative, struct sim_amounts *ret_amounts);
void place_check_leased(struct sim *sim, const struct sim_task *task, const struct jq_record *record);
void place_step(struct sim *sim);

/* sim_orders.c: what operators do to tasks */
void orders_asked(struct sim *sim, const struct sim_request *request);
void orders_check(struct sim *sim, const struct jq_record *record);
void orders_answered(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply);
void orders_forget(struct sim *sim);

/* sim_turns.c: shares of queues, turns of groups */
void turns_record(struct sim *sim, const struct jq_record *record, bool replay);
void turns_check_leased(struct sim *sim, const struct sim_task *task, const struct jq_record *record);
void turns_forget(struct sim *sim);

/* sim_ties.c: tasks that wait for others, and flows of tasks */
void ties_submitted(struct sim *sim, struct sim_task *task, const struct jq_record *record); /* places it */
void ties_record(struct sim *sim, const struct jq_record *record);
void ties_check(struct sim *sim, const struct jq_record *record);
void ties_check_leased(struct sim *sim, const struct sim_task *task);
bool ties_committed(struct sim *sim, uint64_t flow);
bool ties_stuck(struct sim *sim, struct sim_task *task); /* it waits for no task that is dead */
void ties_acknowledged(struct sim *sim, uint64_t flow, uint32_t count);
void ties_promises(struct sim *sim);

/* sim_bounds.c: what the broker may hold */
void bounds_step(struct sim *sim, const struct jq_server_row *status);
void bounds_check(struct sim *sim, const struct jq_record *record);
void bounds_ended(struct sim *sim);

/* sim_heap.c: what the cores hold of the heap */
bool heap_enter(
    bool core); /* before a call into a core, and before one that it makes; gives what was, to be put back */
int64_t heap_bytes(void);
void heap_reset(void);

/* sim_schedules.c: due times */
void schedules_record(struct sim *sim, const struct jq_record *record);
void schedules_check(struct sim *sim, const struct jq_record *record);
void schedules_step(struct sim *sim, const struct jq_server_row *status);
void schedules_forget(struct sim *sim);

/* sim_gates.c: circuit breakers, units of offers */
void gates_record(struct sim *sim, const struct jq_record *record);
void gates_check(struct sim *sim, const struct jq_record *record);
void gates_check_leased(struct sim *sim, const struct sim_task *task, const struct jq_record *record);
void gates_forget(struct sim *sim);
uint32_t gates_units(struct jq_bytes encoded); /* bit per number; UINT32_MAX: not to be read */

/* sim_rules.c: what must hold at a record and after a step */
void rules_record(struct sim *sim, const struct jq_record *record); /* before the oracle has taken it */
void rules_effect(struct sim *sim, const struct jq_effect *effect);
void rules_step(struct sim *sim);
void rules_body(struct sim *sim, const struct jq_lease_item *item); /* when its answer goes out */

#endif
