/* sim_client.c - clients, some of which are operators: one request at a time, sent again under its id until it is answered. */
#include <stdio.h>
#include <stdlib.h>

#include "common/err.h"
#include "tests/sim/sim.h"

enum { RESEND_MS = 2000, WAIT_MS = 3000, ANSWER_MS_MAX = 120000 };

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
        free(client->waiting);
        client->waiting = NULL;
    }
}

/* ---- what clients ask ---- */

static struct jq_str pick(struct sim *sim, const char *const *texts, size_t count) {
    return jq_str_of(texts[sim_detail(sim, count)]);
}

static void make_item(struct sim *sim, struct sim_request *request, size_t at) {
    static const char *const queues[] = {"a", "b", "b.c", "d"};
    static const char *const names[] = {"h0", "h1"};
    static const char *const needs[] = {"", "", "cpu=1", "cpu=2 mem=2", "seat=1", "cpu=4|mem=4"};
    static const uint8_t body[1024] = "payload";
    struct jq_submit_item *item = &request->items[at];
    *item = (struct jq_submit_item){.queue = pick(sim, queues, 4),
                                    .handler = pick(sim, names, 2),
                                    .need = pick(sim, needs, 6),
                                    .priority = (int)sim_detail(sim, JQ_PRIORITY_COUNT),
                                    .retry_max = 1 + (uint32_t)sim_detail(sim, 8),
                                    .retry_base_ms = 100,
                                    .retry_cap_ms = 2000,
                                    .result_ttl_ms = !sim->swarm.forgetful && sim_detail(sim, 3) ? 86400000 : 3000,
                                    .body = {body, sim_detail(sim, sim->swarm.body_bytes)}};
    if (sim_detail(sim, 6) == 0) {
        item->delay_ms = (int64_t)sim_detail(sim, 20000);
    }
    if (sim_detail(sim, 8) == 0) {
        item->eta_wall_ms = sim->now_ms + sim->wall_offset_ms + (int64_t)sim_detail(sim, 20000) - 2000;
    }
    if (sim_detail(sim, 8) == 0) {
        item->expires_wall_ms = sim->now_ms + sim->wall_offset_ms + (int64_t)sim_detail(sim, 60000) - 2000;
    }
    if (sim_detail(sim, 5) == 0) {
        (void)snprintf(request->keys[at], sizeof(request->keys[at]), "k%u", (unsigned)sim_detail(sim, 50));
        item->key = jq_str_of(request->keys[at]);
    }
}

static void make_submit(struct sim *sim, struct sim_request *request) {
    request->r.op = JQ_OP_SUBMIT;
    request->r.u.submit.count = 1 + sim_detail(sim, SIM_ITEMS_MAX);
    for (size_t i = 0; i < request->r.u.submit.count; i++) {
        make_item(sim, request, i);
    }
}

static void make_ids(struct sim *sim, struct sim_request *request, enum jq_op op) {
    const size_t count = 1 + sim_detail(sim, SIM_ITEMS_MAX);
    request->r.op = op;
    for (size_t i = 0; i < count; i++) {
        request->ids[i] = (jq_task_id){oracle_some_task(sim)};
    }
    if (op == JQ_OP_WAIT) {
        request->r.u.wait.count = count;
        request->r.u.wait.wait_ms = (int64_t)sim_detail(sim, WAIT_MS);
    } else {
        request->r.u.tasks.count = count;
    }
}

static void make_set(struct sim *sim, struct sim_request *request, enum jq_op op, struct jq_str name) {
    request->r.op = op;
    request->r.u.named.name = name;
    request->r.u.named.on = sim_detail(sim, 3) == 0;
}

static void make_operation(struct sim *sim, struct sim_request *request) {
    static const char *const queues[] = {"a", "b", "b.c", "d"};
    static const char *const workers[] = {"w0", "w1", "w2", "w3"};
    switch (sim_detail(sim, 9)) {
    case 0:
    case 1: make_ids(sim, request, JQ_OP_TASK_CANCEL); break;
    case 2: make_ids(sim, request, JQ_OP_DEAD_REPLAY); break;
    case 3: make_ids(sim, request, JQ_OP_DEAD_RM); break;
    case 4: make_set(sim, request, JQ_OP_QUEUE_SET, pick(sim, queues, 4)); break;
    case 5: make_set(sim, request, JQ_OP_WORKER_DRAIN, pick(sim, workers, 4)); break;
    case 6:
        request->r.op = JQ_OP_TASK_EXPLAIN;
        request->r.u.task.id = (jq_task_id){oracle_some_task(sim)};
        break;
    case 7: request->r.op = JQ_OP_TASK_LS; break;
    default: make_ids(sim, request, JQ_OP_WAIT); break;
    }
}

/* In a calm: queues run and workers take work, one after the other, so that all tasks can end. */
static void make_peace(struct sim *sim, struct sim_request *request, uint64_t turn) {
    static const char *const queues[] = {"a", "b", "b.c", "d"};
    static const char *const workers[] = {"w0", "w1", "w2", "w3"};
    make_set(sim, request, turn % 2 ? JQ_OP_QUEUE_SET : JQ_OP_WORKER_DRAIN,
             jq_str_of(turn % 2 ? queues[turn / 2 % 4] : workers[turn / 2 % 4]));
    request->r.u.named.on = false;
}

static struct sim_request *make_request(struct sim *sim, uint32_t actor) {
    struct sim_client *client = &sim->clients[actor];
    struct sim_request *request = calloc(1, sizeof(*request));
    JQ_CHECK(request != NULL);
    request->actor = actor;
    request->r =
        (struct jq_request){.sender = client->sender, .id = ++client->next_id, .done = client->next_id, .pipe = actor};
    if (sim->calm) {
        make_peace(sim, request, client->next_id);
    } else if (sim->oracle.task_count > 0 && sim_detail(sim, 100) < sim->swarm.operators) {
        make_operation(sim, request);
    } else {
        make_submit(sim, request);
    }
    return request;
}

static void send(struct sim *sim, struct sim_client *client) {
    client->resend_ms = sim->now_ms + RESEND_MS + (client->waiting->r.op == JQ_OP_WAIT ? WAIT_MS : 0);
    net_send_request(sim, client->waiting);
}

/* Nothing is lost in a calm: whatever is asked is answered. */
static void send_again(struct sim *sim, struct sim_client *client) {
    const int64_t since_ms = client->asked_ms > sim->calm_ms ? client->asked_ms : sim->calm_ms;
    if (sim->calm && since_ms + ANSWER_MS_MAX < sim->now_ms) {
        sim_fail(sim, "a %s is never answered", jq_op_name(client->waiting->r.op));
    }
    if (client->resend_ms <= sim->now_ms) {
        sim->counts.resent++;
        send(sim, client);
    }
}

static void client_time(struct sim *sim, uint32_t actor) {
    struct sim_client *client = &sim->clients[actor];
    const int64_t pause_ms = sim->calm ? 500 : 1 + (int64_t)sim_below(sim, sim->swarm.pause_ms);
    sim_add(sim, SIM_ACTOR_TIME, sim->now_ms + pause_ms)->actor = actor;
    if (sim_strikes(sim, SIM_FORGET)) {
        free(client->waiting);
        *client = (struct sim_client){.sender = sim_uuid(sim)};
    }
    if (client->waiting) {
        send_again(sim, client);
    } else if (sim->calm || sim_strikes(sim, SIM_REQUEST)) {
        client->waiting = make_request(sim, actor);
        client->asked_ms = sim->now_ms;
        send(sim, client);
    }
}
