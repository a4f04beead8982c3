/* sim.h - a broker, its clients and workers, their network, disk and clock, all simulated and driven by one seed.
 *
 * Real: core, record codec, journal, release rule, worker agent. Simulated: the disk below the journal, time, messages (lost,
 * doubled, late, out of order), and who sends them. Nothing depends on addresses or on the machine: a seed gives the same run.
 *
 * `steps` events run with faults, chosen swarm-style by the seed; then the faults stop and every task must reach a final state.
 * What must hold is checked by sim_oracle.c; a breach prints the seed and ends the process with 1.
 */
#ifndef JQ_TESTS_SIM_SIM_H
#define JQ_TESTS_SIM_SIM_H

#include "broker/core/core.h"
#include "broker/journal/journal.h"
#include "common/buf.h"
#include "common/map.h"
#include "common/rng.h"
#include "tests/lib/kept.h"
#include "tests/lib/simdisk.h"
#include "worker/agent/agent.h"

enum {
    SIM_CLIENTS = 4,
    SIM_WORKERS = 4,
    SIM_ACTORS = SIM_CLIENTS + SIM_WORKERS,
    SIM_ITEMS_MAX = 4,
    SIM_REPORTS_MAX = 8,
    SIM_HELD_MAX = 64,
    SIM_RUNS_MAX = 256,
};

/* ---- what a seed chooses ---- */
struct sim_swarm {
    uint32_t drop, twice; /* of 1000 messages */
    int64_t delay_max_ms;
    uint32_t crash, power;          /* crashes per 10,000 events; how many of 10 are power failures */
    uint32_t torn;                  /* power fails in the middle of a write: of 10 power failures */
    uint32_t silence, reborn, lies; /* per 10,000 events */
    uint32_t wall, sleep, disk;     /* per 10,000 events */
    uint32_t fail, crashed;         /* of 100 attempts */
    uint32_t operators;             /* of 100 requests of clients */
    int64_t run_max_ms, commit_max_ms;
    uint32_t segment_bytes, body_bytes;
    bool forgetful; /* results and keys are kept so short that the log loses its beginning again and again */
};

/* ---- messages and events ---- */
struct sim_request {
    struct jq_request r;
    struct jq_submit_item items[SIM_ITEMS_MAX];
    char keys[SIM_ITEMS_MAX][8];
    struct jq_report reports[SIM_REPORTS_MAX];
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
};

/* ---- actors ---- */
struct sim_client {
    struct jq_uuid sender;
    uint64_t next_id;
    struct sim_request *waiting; /* for its answer; NULL: none */
    int64_t resend_ms;
    uint64_t born;
};

struct sim_run { /* a lease as its worker knows it, from the answer to the verdict */
    jq_task_id task;
    jq_lease_token token;
    bool running, reported;
    int64_t ends_ms;
    enum jq_outcome outcome;
    bool crashed;
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
    struct jq_amount offers[4];
    size_t offer_count;
    struct jq_held old[32]; /* leases it once had: for lies */
    uint32_t old_count;
};

/* ---- the broker ---- */
struct sim_digest {
    uint64_t end_lsn, digest;
};
struct sim_broker {
    bool up;
    uint64_t run; /* counts starts */
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
    uint64_t calls;
    struct jq_map call_actor; /* open calls */
    struct sim_request **call_requests;
    size_t call_capacity;
    uint64_t starts, steps;
};

/* ---- the oracle ---- */
enum sim_place { SIM_UNKNOWN, SIM_QUEUED, SIM_LEASED, SIM_FINAL, SIM_GONE };
struct sim_task {
    uint64_t id;
    enum sim_place place; /* by the records */
    enum jq_state state;
    uint64_t token;
    uint32_t worker;
    bool acknowledged, forgotten_once, succeeded; /* what the outside was told; never taken back */
    uint64_t success_token;
};
struct sim_answer {
    struct jq_uuid sender;
    uint64_t request, first;
    uint32_t count, exceptions;
};
struct sim_oracle {
    struct jq_map by_id;
    struct sim_task *tasks;
    uint32_t task_count, task_capacity;
    uint64_t token_max;
    struct sim_answer *answers;
    uint32_t answer_count, answer_capacity;
    uint32_t leases[64]; /* by worker index in records */
};

struct sim {
    uint64_t seed, steps_max;
    bool verbose, calm;
    struct jq_rng rng;
    struct sim_swarm swarm;
    int64_t now_ms, wall_offset_ms;
    uint64_t step, order;
    struct sim_event *events; /* a heap by time, then order */
    size_t event_count, event_capacity;
    struct jq_simdisk *disk;
    struct jq_core_config config;
    struct sim_broker broker;
    struct sim_oracle oracle;
    struct sim_client clients[SIM_CLIENTS];
    struct sim_worker workers[SIM_WORKERS];
    uint64_t submitted, leased, finished, crashes, resent; /* for the summary */
};

/* sim.c */
void sim_run_seed(uint64_t seed, uint64_t steps, bool verbose);
_Noreturn void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_say(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool sim_of(struct sim *sim, uint32_t numerator, uint32_t denominator); /* a fault; never in a calm */
uint64_t sim_below(struct sim *sim, uint64_t bound);
struct sim_event *sim_add(struct sim *sim, enum sim_event_type type, int64_t at_ms);
struct jq_uuid sim_uuid(struct sim *sim);

/* sim_net.c: takes the request; sends the reply */
void net_send_request(struct sim *sim, const struct sim_request *request);
void net_send_reply(struct sim *sim, uint32_t actor, struct kept *kept);
void net_send_survey(struct sim *sim, uint64_t survey);
void net_send_response(struct sim *sim, const struct jq_survey_response *response);

/* sim_broker.c */
void broker_start(struct sim *sim);
void broker_crash(struct sim *sim, bool power);
void broker_free(struct sim *sim);
void broker_event(struct sim *sim, struct jq_event *event); /* a step, its records, its effects */
void broker_deliver(struct sim *sim, struct sim_request *request);
void broker_written(struct sim *sim);
void broker_synced(struct sim *sim);
int64_t broker_deadline_ms(const struct sim *sim);

/* sim_actors.c */
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

/* sim_oracle.c */
void oracle_fini(struct sim *sim);
void oracle_forget_records(struct sim *sim); /* a new broker replays: what records say begins anew */
void oracle_record(struct sim *sim, const struct jq_record *record, bool replay);
void oracle_reply(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply);
void oracle_promises(struct sim *sim); /* after a recovery and at the end */
bool oracle_all_final(const struct sim *sim, uint64_t *ret_open);
uint64_t oracle_some_task(struct sim *sim); /* 0: none yet */

#endif
