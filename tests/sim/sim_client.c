/* sim_client.c - clients, some of which are operators: one request at a time, sent again under its id until it is answered. */
#include <stdio.h>
#include <stdlib.h>

#include "common/err.h"
#include "tests/sim/sim.h"

enum { RESEND_MS = 2000, ANSWER_MS_MAX = 120000, LATEST_MS = 120000 };

static void client_time(struct sim *sim, uint32_t actor);

void actors_init(struct sim *sim) {
    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        sim->clients[i].sender = sim_uuid(sim);
        sim_add(sim, SIM_ACTOR_TIME, sim->now_ms + 1 + i)->actor = i;
    }
    for (uint32_t i = 0; i < SIM_WORKERS; i++) {
        worker_init(sim, i);
    }
}

void actors_fini(struct sim *sim) {
    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        free(sim->clients[i].waiting);
    }
    for (uint32_t i = 0; i < SIM_WORKERS; i++) {
        worker_fini(&sim->workers[i]);
    }
}

void actor_time(struct sim *sim, uint32_t actor) {
    if (actor < SIM_CLIENTS) {
        client_time(sim, actor);
    } else {
        worker_time(sim, &sim->workers[actor - SIM_CLIENTS]);
    }
}

void actor_reply(struct sim *sim, uint32_t actor, const struct jq_reply_effect *reply) {
    if (actor >= SIM_CLIENTS) {
        worker_reply(sim, &sim->workers[actor - SIM_CLIENTS], reply);
        return;
    }
    struct sim_client *client = &sim->clients[actor];
    if (client->waiting && client->waiting->r.id == reply->request && client->waiting->r.op == reply->op) {
        ask_answered(client, reply);
        free(client->waiting);
        client->waiting = NULL;
    }
}

static void send(struct sim *sim, struct sim_client *client) {
    client->resend_ms = sim->now_ms + RESEND_MS + (client->waiting->r.op == JQ_OP_WAIT ? SIM_WAIT_MS : 0);
    net_send_request(sim, client->waiting);
}

/* Nothing is lost in a calm: whatever is asked is answered. */
static void send_again(struct sim *sim, struct sim_client *client) {
    int64_t since_ms = client->asked_ms > sim->calm_ms ? client->asked_ms : sim->calm_ms;
    since_ms = sim->broker.started_ms > since_ms ? sim->broker.started_ms : since_ms;
    if (sim->calm && sim->broker.up && since_ms + ANSWER_MS_MAX < sim->now_ms) {
        sim_fail(sim, "a %s is never answered", jq_op_name(client->waiting->r.op));
    }
    if (client->resend_ms <= sim->now_ms) {
        sim->counts.resent++;
        send(sim, client);
    }
}

/* A request is known again for so long, and no longer: whoever sends it later asks for something new. */
static bool gives_up(const struct sim *sim, const struct sim_client *client) {
    return client->asked_ms + sim->config.request_window_ms - LATEST_MS < sim->now_ms;
}

static void client_time(struct sim *sim, uint32_t actor) {
    struct sim_client *client = &sim->clients[actor];
    const int64_t pause_ms =
        sim->calm ? (sim->options->hours > 0 ? 60000 : 500) : 1 + (int64_t)sim_below(sim, sim->swarm.pause_ms);
    sim_add(sim, SIM_ACTOR_TIME, sim->now_ms + pause_ms)->actor = actor;
    if (sim_strikes(sim, SIM_FORGET)) {
        free(client->waiting);
        *client = (struct sim_client){.sender = sim_uuid(sim)};
    }
    if (client->waiting && gives_up(sim, client)) {
        free(client->waiting);
        client->waiting = NULL;
        client->staging = (struct sim_staging){.flow = 0};
    } else if (client->waiting) {
        send_again(sim, client);
    } else if (sim->calm || sim_strikes(sim, SIM_REQUEST)) {
        client->waiting = ask_new(sim, actor);
        client->asked_ms = sim->now_ms;
        send(sim, client);
    }
}
