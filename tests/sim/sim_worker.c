/* sim_worker.c - a worker: the real agent, and in place of processes a table of when each attempt ends and how. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/hash.h"
#include "tests/sim/sim.h"

enum { POLL_WAIT_MS = 5000, PATIENCE_MS = 4000 };

static const uint16_t gpu_numbers[] = {0, 1};
static const struct jq_units gpus = {{"gpu", 3}, gpu_numbers, 2};
static const struct jq_name_value zones[] = {{{"zone", 4}, {"z0", 2}}, {{"zone", 4}, {"z1", 2}}};
static const struct jq_str seat_only = {"seat", 4};

/* ---- attempts ---- */

static struct sim_run *run_of(struct sim_worker *worker, jq_lease_token token) {
    for (uint32_t i = 0; i < worker->run_count; i++) {
        if (worker->runs[i].token.value == token.value) {
            return &worker->runs[i];
        }
    }
    return NULL;
}

static void run_remove(struct sim_worker *worker, jq_lease_token token) {
    struct sim_run *run = run_of(worker, token);
    if (run) {
        *run = worker->runs[--worker->run_count];
    }
}

/* Tasks that bring down whoever runs them, as long as there are crashes at all. */
static bool poisonous(const struct sim *sim, jq_task_id task) {
    return !sim->calm && sim->chances.rates[SIM_CRASH] > 0 && task.value % 7 == 0;
}

static void run_start(struct sim_worker *worker, struct sim_run *run) {
    static const enum jq_outcome failures[] = {JQ_OUTCOME_INVALID_INPUT, JQ_OUTCOME_RESOURCE_EXHAUSTED,
                                               JQ_OUTCOME_PROCESS_FAILURE, JQ_OUTCOME_NETWORK, JQ_OUTCOME_TIMEOUT};
    struct sim *sim = worker->sim;
    const uint64_t most_ms = sim->calm ? 50 : (uint64_t)sim->swarm.run_max_ms;
    run->running = true;
    run->ends_ms = sim->now_ms + 1 + (int64_t)sim_below(sim, most_ms);
    run->outcome = sim_strikes(sim, SIM_FAIL) ? failures[sim_detail(sim, 5)] : JQ_OUTCOME_SUCCESS;
    run->crashed = run->outcome != JQ_OUTCOME_SUCCESS && sim_strikes(sim, SIM_CRASH);
    if (poisonous(sim, run->task)) {
        run->outcome = JQ_OUTCOME_PROCESS_FAILURE;
        run->crashed = true;
    }
}

/* It has left some of what it was asked for: the broker must have it before it is told of it. */
static void run_makes(struct sim_run *run) {
    if (run->makes && run->outcome == JQ_OUTCOME_SUCCESS) {
        run->made = run->unstored = (uint32_t)(jq_hash_u64(run->token.value) % (1u << SIM_BLOBS));
    }
}

static void on_agent(void *ctx, const struct jq_agent_effect *effect) {
    struct sim_worker *worker = ctx;
    struct sim_run *run = effect->type <= JQ_AGENT_DISCARD ? run_of(worker, effect->token) : NULL;
    switch (effect->type) {
    case JQ_AGENT_START: run_start(worker, run); break;
    case JQ_AGENT_KILL:
        run->outcome = effect->why == JQ_AGENT_DRAINED ? JQ_OUTCOME_HANDED_BACK : JQ_OUTCOME_CANCELLED;
        run->ends_ms = worker->sim->now_ms + 1 + effect->grace_ms / 100;
        break;
    case JQ_AGENT_REPORT:
        run->reported = true;
        run->running = false;
        run->outcome = effect->outcome != JQ_OUTCOME_NONE ? effect->outcome : run->outcome;
        run_makes(run);
        break;
    case JQ_AGENT_KEEP:
    case JQ_AGENT_DISCARD: break;
    case JQ_AGENT_WANT: worker->want = effect->want; break;
    case JQ_AGENT_EXIT: break;
    }
}

static void runs_end(struct sim *sim, struct sim_worker *worker) {
    for (uint32_t i = 0; i < worker->run_count; i++) {
        struct sim_run *run = &worker->runs[i];
        if (run->running && run->ends_ms <= sim->now_ms) {
            jq_agent_ended(worker->agent, run->token, run->outcome, sim->now_ms);
        }
    }
}

/* ---- lives ---- */

static void born(struct sim *sim, struct sim_worker *worker) {
    const struct jq_agent_config config = {
        .slots = 4, .grace_ms = 5000, .drain_ms = 20000, .ctx = worker, .effect = on_agent};
    jq_agent_free(worker->agent);
    worker->agent = jq_agent_new(&config, sim->now_ms);
    JQ_CHECK(worker->agent != NULL);
    worker->incarnation = jq_rng_next(&sim->rng);
    worker->sender = sim_uuid(sim);
    /* Its ids go on: an answer to the process before it must not be taken for one to this one. */
    worker->registered = false;
    worker->run_count = 0;
    worker->held_asked = false;
    worker->faultless = false;
    free(worker->waiting);
    worker->waiting = NULL;
}

static void offer(struct sim_worker *worker, const char *name, uint64_t amount) {
    worker->offers[worker->offer_count++] = (struct jq_amount){jq_str_of(name), amount};
}

void worker_init(struct sim *sim, uint32_t index) {
    struct sim_worker *worker = &sim->workers[index];
    worker->sim = sim;
    worker->index = index;
    (void)snprintf(worker->name, sizeof(worker->name), "w%u", index);
    worker->id = sim_uuid(sim);
    worker->zone = index % 2 ? "z1" : "z0";
    worker->choosy = index == 0 && sim->swarm.choosy;
    offer(worker, "slots", 4000);
    offer(worker, "cpu", 2000 + 1000 * index);
    offer(worker, "mem", 4000);
    if (index == 0) {
        offer(worker, "seat", 1000);
    } else if (index == 1) {
        offer(worker, "gpu", 2000); /* two, told apart */
    }
    born(sim, worker);
    worker->faultless = true;
    sim_add(sim, SIM_ACTOR_TIME, sim->now_ms + 1 + index)->actor = SIM_CLIENTS + index;
}

void worker_fini(struct sim_worker *worker) {
    jq_agent_free(worker->agent);
    free(worker->waiting);
}

/* ---- asking ---- */

static struct sim_request *request_new(struct sim *sim, struct sim_worker *worker, enum jq_op op) {
    struct sim_request *request = calloc(1, sizeof(*request));
    JQ_CHECK(request != NULL);
    request->actor = SIM_CLIENTS + worker->index;
    request->r = (struct jq_request){.op = op,
                                     .sender = worker->sender,
                                     .id = ++worker->next_id,
                                     .done = worker->next_id,
                                     .pipe = 100 + worker->index};
    (void)sim;
    return request;
}

static void ask(struct sim *sim, struct sim_worker *worker, struct sim_request *request) {
    worker->waiting = request;
    worker->resend_ms = sim->now_ms + PATIENCE_MS + (request->r.op == JQ_OP_LEASE ? request->r.u.lease.wait_ms : 0);
    net_send_request(sim, request);
}

static void ask_register(struct sim *sim, struct sim_worker *worker) {
    struct sim_request *request = request_new(sim, worker, JQ_OP_REGISTER);
    request->r.u.reg.id = worker->id;
    request->r.u.reg.session = sim_uuid(sim);
    request->r.u.reg.incarnation = worker->incarnation;
    request->r.u.reg.name = jq_str_of(worker->name);
    request->r.u.reg.offers = worker->offers;
    request->r.u.reg.offer_count = worker->offer_count;
    request->r.u.reg.units = &gpus;
    request->r.u.reg.unit_count = worker->index == 1;
    request->r.u.reg.facts = &zones[worker->index % 2];
    request->r.u.reg.fact_count = 1;
    request->r.u.reg.accept = &seat_only;
    request->r.u.reg.accept_count = worker->choosy;
    request->r.u.reg.handlers = cache_handlers(sim, worker->incarnation);
    request->r.u.reg.handler_count = SIM_HANDLERS;
    ask(sim, worker, request);
}

/* Half of the failures of the network name a service. */
static struct jq_str service_of(const struct sim_run *run) {
    static const char *const services[] = {"s0", "s1"};
    const bool named = run->outcome == JQ_OUTCOME_NETWORK && run->token.value % 2;
    return jq_str_of(named ? services[run->task.value % 2] : "");
}

static uint32_t reports_take(struct sim *sim, struct sim_worker *worker, struct sim_request *request) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < worker->run_count && count < SIM_REPORTS_MAX; i++) {
        const struct sim_run *run = &worker->runs[i];
        if (run->reported && run->unstored == 0) {
            const jq_lease_token token = run->token;
            request->reports[count] = (struct jq_report){.task = run->task,
                                                         .token = run->token,
                                                         .outcome = run->outcome,
                                                         .crashed = run->crashed,
                                                         .service = service_of(run),
                                                         .body = cache_result(token, request->results[count]),
                                                         .made = blobs_made(run->made),
                                                         .version = cache_version(sim, worker->incarnation, token)};
            count++;
        }
    }
    return count;
}

static void held_take(struct sim_worker *worker, struct sim_request *request) {
    request->r.u.lease.held_given = true;
    request->r.u.lease.held_whole = worker->run_count <= SIM_HELD_MAX;
    for (uint32_t i = 0; i < worker->run_count && i < SIM_HELD_MAX; i++) {
        uint32_t at = i; /* ascending by token */
        while (at > 0 && request->held[at - 1].token.value > worker->runs[i].token.value) {
            request->held[at] = request->held[at - 1];
            at--;
        }
        request->held[at] = (struct jq_held){worker->runs[i].task, worker->runs[i].token};
        request->r.u.lease.held_count++;
    }
    worker->held_asked = false;
}

static void ask_lease(struct sim *sim, struct sim_worker *worker) {
    struct sim_request *request = request_new(sim, worker, JQ_OP_LEASE);
    const uint32_t running = (uint32_t)jq_agent_running_count(worker->agent);
    request->r.u.lease.session = worker->session;
    request->r.u.lease.want = worker->want > running ? worker->want - running : 0;
    request->r.u.lease.wait_ms = POLL_WAIT_MS;
    request->r.u.lease.report_count = reports_take(sim, worker, request);
    if (worker->held_asked) {
        held_take(worker, request);
    }
    ask(sim, worker, request);
}

/* One of the outputs that the broker has not got yet. False: there is none. */
static bool ask_put(struct sim *sim, struct sim_worker *worker) {
    for (uint32_t i = 0; i < worker->run_count; i++) {
        if (worker->runs[i].reported && worker->runs[i].unstored != 0) {
            struct sim_request *request = request_new(sim, worker, JQ_OP_BLOB_PUT);
            request->putting = (uint32_t)__builtin_ctz(worker->runs[i].unstored);
            blobs_put(&request->r, request->putting);
            ask(sim, worker, request);
            return true;
        }
    }
    return false;
}

static void take_put(struct sim_worker *worker, const struct sim_request *request) {
    for (uint32_t i = 0; i < worker->run_count; i++) {
        worker->runs[i].unstored &= ~(1u << request->putting);
    }
}

/* ---- lies: reports nobody waits for ---- */

static void lie(struct sim *sim, struct sim_worker *worker) {
    struct sim_request *request = request_new(sim, worker, JQ_OP_REPORT);
    worker->next_id--;                                          /* of another sender */
    const uint64_t nobody = sim_detail(sim, UINT64_C(1) << 48); /* a sender that never asked anything */
    memcpy(request->r.sender.bytes, &nobody, sizeof(nobody));
    request->r.sender.bytes[15] = 0xff;
    request->r.id = 1 + sim_detail(sim, 3);
    request->r.done = 0;
    request->r.u.lease.session = worker->session;
    const struct sim_worker *victim = sim_detail(sim, 2) ? worker : &sim->workers[sim_detail(sim, SIM_WORKERS)];
    struct jq_held held = {{oracle_some_task(sim)}, {1 + sim_detail(sim, UINT64_C(1) << 46)}};
    if (victim->old_count > 0 && sim_detail(sim, 4) > 0) {
        held = victim->old[sim_detail(sim, victim->old_count)];
    }
    if (worker->run_count > 0 && sim_detail(sim, 4) == 0) { /* its own task, under a token that is another's */
        held.task = worker->runs[sim_detail(sim, worker->run_count)].task;
    }
    request->reports[0] = (struct jq_report){.task = held.task,
                                             .token = held.token,
                                             .outcome = JQ_OUTCOME_SUCCESS,
                                             .body = cache_result(held.token, request->results[0]),
                                             .made = blobs_made((uint32_t)sim_detail(sim, 1u << SIM_BLOBS)),
                                             .version = cache_version(sim, worker->incarnation, held.token)};
    request->reports[1] = request->reports[0]; /* twice */
    memcpy(request->results[1], request->results[0], sizeof(request->results[1]));
    request->r.u.lease.report_count = 2;
    net_send_request(sim, request);
    free(request);
}

/* ---- answers ---- */

static bool verdict_on(const struct jq_reply_effect *reply, uint32_t index) {
    for (size_t i = 0; i < reply->u.lease.verdict_count; i++) {
        if (reply->u.lease.verdicts[i].index == index) {
            return false;
        }
    }
    return true;
}

static void take_verdicts(struct sim *sim, struct sim_worker *worker, const struct sim_request *request,
                          const struct jq_reply_effect *reply) {
    for (uint32_t i = 0; i < request->r.u.lease.report_count; i++) {
        jq_agent_verdict(worker->agent, request->reports[i].token, verdict_on(reply, i), sim->now_ms);
        run_remove(worker, request->reports[i].token);
    }
}

static void take_lease(struct sim *sim, struct sim_worker *worker, const struct jq_lease_item *item) {
    if (run_of(worker, item->token)) {
        return;
    }
    if (worker->run_count == SIM_RUNS_MAX) {
        sim_fail(sim, "worker %s holds more leases than its slots could ever run", worker->name);
    }
    const bool makes = blobs_mask(item->files) >> SIM_BLOBS != 0;
    worker->runs[worker->run_count++] = (struct sim_run){.task = item->task, .token = item->token, .makes = makes};
    worker->old[worker->old_count % 32] = (struct jq_held){item->task, item->token};
    worker->old_count += worker->old_count < 32;
    jq_agent_leased(worker->agent, item->task, item->token, true, sim->now_ms);
    jq_agent_started(worker->agent, item->token);
}

static void take_command(struct sim_worker *worker, const struct jq_command *command) {
    switch (command->type) {
    case JQ_COMMAND_CANCEL: jq_agent_cancel(worker->agent, command->token, command->grace_ms); break;
    case JQ_COMMAND_KILL: jq_agent_kill(worker->agent, command->token); break;
    case JQ_COMMAND_SEND_HELD: worker->held_asked = true; break;
    case JQ_COMMAND_DRAIN: break; /* it simply gets nothing more */
    }
}

static void take_answer(struct sim *sim, struct sim_worker *worker, const struct sim_request *request,
                        const struct jq_reply_effect *reply) {
    take_verdicts(sim, worker, request, reply);
    for (size_t i = 0; i < reply->u.lease.count; i++) {
        take_lease(sim, worker, &reply->u.lease.items[i]);
    }
    for (size_t i = 0; i < reply->u.lease.command_count; i++) {
        take_command(worker, &reply->u.lease.commands[i]);
    }
}

void worker_reply(struct sim *sim, struct sim_worker *worker, const struct jq_reply_effect *reply) {
    struct sim_request *request = worker->waiting;
    if (worker->silent_until_ms > sim->now_ms || !request || request->r.id != reply->request ||
        request->r.op != reply->op) {
        return; /* late, doubled, or to a lie */
    }
    worker->waiting = NULL;
    if (reply->status == JQ_REPLY_NOT_FOUND) {
        worker->registered = false;
    } else if (reply->status == JQ_REPLY_OK && reply->op == JQ_OP_REGISTER) {
        worker->registered = true;
        worker->session = reply->u.reg.session;
    } else if (reply->op == JQ_OP_BLOB_PUT && reply->status == JQ_REPLY_OK && reply->u.blob.whole) {
        take_put(worker, request);
    } else if (reply->op == JQ_OP_LEASE && (reply->status == JQ_REPLY_OK || reply->status == JQ_REPLY_DRAINING)) {
        take_answer(sim, worker, request, reply);
    }
    free(request);
}

void worker_survey(struct sim *sim, struct sim_worker *worker, uint64_t survey) {
    if (worker->silent_until_ms > sim->now_ms || !worker->registered) {
        worker->mute_ms = sim->now_ms;
        return;
    }
    struct jq_survey_response response = {.survey = (uint32_t)survey,
                                          .session = worker->session,
                                          .incarnation = worker->incarnation,
                                          .held_count = worker->run_count};
    for (uint32_t i = 0; i < worker->run_count; i++) {
        response.held_sum += jq_hash_u64(worker->runs[i].token.value);
    }
    net_send_response(sim, SIM_CLIENTS + worker->index, &response);
}

/* ---- time ---- */

static void fall_silent(struct sim *sim, struct sim_worker *worker) {
    worker->silent_until_ms = sim->now_ms + 1 + (int64_t)sim_detail(sim, 40000);
    worker->faultless = false;
    sim_say(sim, "%s falls silent until %" PRId64, worker->name, worker->silent_until_ms);
}

static void slow_down(struct sim *sim, struct sim_worker *worker) {
    struct sim_link *link = &sim->links[SIM_CLIENTS + worker->index];
    link->slow_until_ms = sim->now_ms + 1 + (int64_t)sim_detail(sim, 60000);
    link->lag_ms = 1000 + (int64_t)sim_detail(sim, 9000);
    worker->faultless = false;
    sim_say(sim, "%s is slow until %" PRId64, worker->name, link->slow_until_ms);
}

static void misbehave(struct sim *sim, struct sim_worker *worker) {
    if (sim_strikes(sim, SIM_SILENT)) {
        fall_silent(sim, worker);
    }
    if (sim_strikes(sim, SIM_SLOW)) {
        slow_down(sim, worker);
    }
    if (sim_strikes(sim, SIM_REBORN)) {
        sim_say(sim, "%s dies and is born again", worker->name);
        born(sim, worker);
    }
    if (worker->registered && sim_strikes(sim, SIM_LIE)) {
        lie(sim, worker);
    }
}

void worker_time(struct sim *sim, struct sim_worker *worker) {
    sim_add(sim, SIM_ACTOR_TIME, sim->now_ms + (int64_t)sim->swarm.tick_ms + (int64_t)sim_below(sim, 200))->actor =
        SIM_CLIENTS + worker->index;
    misbehave(sim, worker);
    if (sim->calm) {
        worker->silent_until_ms = 0;
    }
    runs_end(sim, worker);
    jq_agent_time(worker->agent, sim->now_ms);
    if (worker->silent_until_ms > sim->now_ms) {
        return;
    }
    if (worker->waiting) {
        if (worker->resend_ms <= sim->now_ms) {
            sim->counts.resent++;
            worker->resend_ms = sim->now_ms + PATIENCE_MS + POLL_WAIT_MS;
            net_send_request(sim, worker->waiting);
        }
        return;
    }
    if (worker->registered && !ask_put(sim, worker)) {
        ask_lease(sim, worker);
    } else if (!worker->registered) {
        ask_register(sim, worker);
    }
}
