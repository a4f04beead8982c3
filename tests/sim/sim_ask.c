/* sim_ask.c - what clients and operators ask for. Everything is drawn from the strike that made them ask. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

enum { FLOW_TASKS_MAX = 12, RECENT = 60 };

static const char *const queues[] = {"a", "b", "b.c", "d"};
static const char *const workers[] = {"w0", "w1", "w2", "w3"};
static const char *const handlers[] = {"h0", "h1"};
static const char *const services[] = {"s0", "s1"};
static const char *const groups[] = {"g0", "g1", "g2"};
static const char *const scopes[] = {"queue:a",    "queue:b",    "queue:b.c", "handler:h0", "handler:h1",
                                     "group:a/g0", "group:b/g1", "group:a/*", "group:d/*"};
static const char *const schedules[] = {"n0", "n1", "n2"};

static struct jq_str pick(struct sim *sim, const char *const *texts, size_t count) {
    return jq_str_of(texts[sim_detail(sim, count)]);
}

/* ---- tasks ---- */

static void make_body(struct sim *sim, struct sim_request *request, size_t at) {
    request->items[at].body = cache_body(sim, request, at, false);
}

static void make_times(struct sim *sim, struct jq_submit_item *item) {
    const int64_t wall_ms = sim->now_ms + sim->wall_offset_ms;
    if (sim_detail(sim, 6) == 0) {
        item->delay_ms = (int64_t)sim_detail(sim, (uint64_t)sim->swarm.delay_max_ms);
    }
    if (sim_detail(sim, 8) == 0) {
        item->eta_wall_ms = wall_ms + (int64_t)sim_detail(sim, (uint64_t)sim->swarm.delay_max_ms) - 2000;
    }
    if (sim_detail(sim, 8) == 0) {
        item->expires_wall_ms = wall_ms + (int64_t)sim_detail(sim, 60000) - 2000;
    }
}

static void make_item(struct sim *sim, struct sim_request *request, size_t at) {
    static const char *const needs[] = {"", "", "cpu=1", "cpu=2 mem=2", "seat=1", "cpu=4|mem=4", "gpu=1", "zone==z1"};
    static const char *const wants[] = {"", "", "", "", "zone==z1:10", "zone==z1:-5"};
    struct jq_submit_item *item = &request->items[at];
    *item = (struct jq_submit_item){.queue = pick(sim, queues, 4),
                                    .handler = pick(sim, handlers, 2),
                                    .need = pick(sim, needs, 8),
                                    .want = pick(sim, wants, 6),
                                    .priority = (int)sim_detail(sim, JQ_PRIORITY_COUNT),
                                    .retry_max = 1 + (uint32_t)sim_detail(sim, 8),
                                    .retry_base_ms = 100,
                                    .retry_cap_ms = 2000,
                                    .result_ttl_ms = !sim->swarm.forgetful && sim_detail(sim, 3) ? 86400000 : 3000};
    if (sim_detail(sim, 2)) {
        item->group = pick(sim, groups, 3);
    }
    make_body(sim, request, at);
    if (sim->swarm.pure && sim_detail(sim, 2)) {
        item->handler = jq_str_of(handlers[0]);
        item->need = pick(sim, needs, 3);
        item->body = cache_body(sim, request, at, true);
    }
}

/* A task that was submitted not long ago, so that it has mostly not ended yet. */
static uint64_t recent_task(struct sim *sim) {
    const uint32_t count = sim->oracle.task_count;
    const uint32_t back = (uint32_t)sim_detail(sim, count < RECENT ? count : RECENT);
    return count ? sim->oracle.tasks[count - 1 - back].id : 0;
}

static void make_after(struct sim *sim, struct sim_request *request, size_t at) {
    struct jq_submit_item *item = &request->items[at];
    const size_t count = 1 + sim_detail(sim, SIM_AFTER_MAX);
    for (size_t i = 0; i < count; i++) {
        const uint64_t parent = recent_task(sim);
        bool known = parent == 0;
        for (size_t k = 0; k < item->after_count; k++) {
            known |= request->after[at][k].value == parent;
        }
        if (!known) {
            request->after[at][item->after_count++] = (jq_task_id){parent};
        }
    }
    item->on = (enum jq_on)(1 + sim_detail(sim, 3));
}

/* How long its key stands. */
static void make_unique(struct sim *sim, struct jq_submit_item *item) {
    item->unique = (enum jq_unique)(sim_detail(sim, 2) ? 0 : sim_detail(sim, 5));
    if (item->unique == JQ_UNIQUE_THROTTLE) {
        item->unique_ms = 3000;
    } else if (item->unique == JQ_UNIQUE_DEBOUNCE) {
        item->unique_ms = item->delay_ms = 2000;
        item->eta_wall_ms = 0;
    }
}

/* The same as the first but for its group, or but for what it wants: one of those that compete for a place. */
static void make_twin(struct sim *sim, struct sim_request *request, size_t at) {
    struct jq_submit_item *item = &request->items[at];
    const struct jq_str want = item->want, group = item->group;
    *item = request->items[0];
    if (sim_detail(sim, 2)) {
        item->group = group;
    } else {
        item->want = want;
    }
    item->key = (struct jq_str){NULL, 0};
    item->after_count = 0;
    make_body(sim, request, at);
}

static void make_submit(struct sim *sim, struct sim_request *request) {
    request->r.op = JQ_OP_SUBMIT;
    request->r.u.submit.count = 1 + sim_detail(sim, SIM_ITEMS_MAX);
    request->r.u.submit.wait_ms = sim_detail(sim, 2) ? (int64_t)sim_detail(sim, SIM_WAIT_MS) : 0;
    const bool twins = sim_detail(sim, 4) == 0;
    for (size_t i = 0; i < request->r.u.submit.count; i++) {
        make_item(sim, request, i);
        if (twins && i > 0) {
            make_twin(sim, request, i);
            continue;
        }
        make_times(sim, &request->items[i]);
        if (sim_detail(sim, 4) == 0) {
            request->items[i].files = blobs_files(sim);
        }
        if (sim_detail(sim, 5) == 0) {
            (void)snprintf(request->keys[i], sizeof(request->keys[i]), "k%u",
                           (unsigned)sim_detail(sim, sim_detail(sim, 2) ? 6 : 50));
            request->items[i].key = jq_str_of(request->keys[i]);
            make_unique(sim, &request->items[i]);
        }
        if (request->items[i].unique != JQ_UNIQUE_DEBOUNCE && sim_detail(sim, 6) == 0) { /* the shell refuses both */
            make_after(sim, request, i);
        }
    }
}

/* ---- flows: begun, staged frame by frame, committed ---- */

static void begin_flow(struct sim *sim, struct sim_request *request) {
    request->r.op = JQ_OP_FLOW_BEGIN;
    request->r.u.flow.count = 1 + (uint32_t)sim_detail(sim, FLOW_TASKS_MAX);
    request->r.u.flow.name = JQ_STR("made");
}

static void add_to_flow(struct sim *sim, struct sim_request *request, const struct sim_staging *staging) {
    const uint32_t left = staging->room - staging->added;
    request->r.op = JQ_OP_FLOW_ADD;
    request->r.u.submit.flow = staging->flow;
    request->r.u.submit.at = staging->added;
    request->r.u.submit.count = left < SIM_ITEMS_MAX ? left : SIM_ITEMS_MAX;
    for (size_t i = 0; i < request->r.u.submit.count; i++) {
        struct jq_submit_item *item = &request->items[i];
        const uint64_t earlier = staging->added + i;
        make_item(sim, request, i);
        item->queue = jq_str_of(queues[1 + sim_detail(sim, 2)]); /* of one namespace */
        item->files = sim_detail(sim, 8) ? (struct jq_bytes){NULL, 0} : blobs_files(sim);
        if (earlier > 0 && sim_detail(sim, 3) > 0) {
            request->after[i][0] = (jq_task_id){staging->flow + sim_detail(sim, earlier)};
            item->after_count = 1;
            item->on = (enum jq_on)(1 + sim_detail(sim, 3));
        }
    }
}

static void go_on_with_flow(struct sim *sim, struct sim_request *request, const struct sim_staging *staging) {
    if (staging->added < staging->room) {
        add_to_flow(sim, request, staging);
    } else {
        request->r.op = JQ_OP_FLOW_COMMIT;
        request->r.u.flow.flow = staging->flow;
        request->r.u.flow.count = staging->added;
    }
}

void ask_answered(struct sim_client *client, const struct jq_reply_effect *reply) {
    struct sim_staging *staging = &client->staging;
    if (reply->op == JQ_OP_FLOW_BEGIN && reply->status == JQ_REPLY_OK) {
        *staging = (struct sim_staging){.flow = reply->u.stage.flow, .room = client->waiting->r.u.flow.count};
    } else if (reply->op == JQ_OP_FLOW_ADD && reply->status == JQ_REPLY_OK) {
        staging->added = reply->u.stage.count;
    } else if (reply->op == JQ_OP_FLOW_ADD || reply->op == JQ_OP_FLOW_COMMIT) {
        *staging = (struct sim_staging){.flow = 0}; /* done, or given up */
    }
}

/* ---- operators ---- */

static void make_ids(struct sim *sim, struct sim_request *request, enum jq_op op) {
    const size_t count = 1 + sim_detail(sim, SIM_ITEMS_MAX);
    request->r.op = op;
    for (size_t i = 0; i < count; i++) {
        request->ids[i] = (jq_task_id){oracle_some_task(sim)};
    }
    if (op == JQ_OP_WAIT) {
        request->r.u.wait.count = count;
        request->r.u.wait.wait_ms = (int64_t)sim_detail(sim, SIM_WAIT_MS);
    } else {
        request->r.u.tasks.count = count;
        request->r.u.tasks.interval_us = op == JQ_OP_DEAD_REPLAY ? (int64_t)sim_detail(sim, 2) * 300000 : 0;
    }
}

static void make_set(struct sim *sim, struct sim_request *request, enum jq_op op, struct jq_str name) {
    request->r.op = op;
    const bool on = sim_detail(sim, 3) == 0;
    if (op == JQ_OP_QUEUE_SET) {
        request->r.u.queue_set.name = name;
        request->r.u.queue_set.given = JQ_QUEUE_SETTING_PAUSED;
        request->r.u.queue_set.set.paused = on;
    } else {
        request->r.u.named.name = name;
        request->r.u.named.on = on;
    }
}

static void make_queue_set(struct sim *sim, struct sim_request *request) {
    request->r.op = JQ_OP_QUEUE_SET;
    request->r.u.queue_set.name = pick(sim, queues, 4);
    request->r.u.queue_set.given = (uint32_t)sim_detail(sim, JQ_QUEUE_SETTING_END);
    request->r.u.queue_set.set = (struct jq_queue_set){.paused = sim_detail(sim, 3) == 0,
                                                       .draining = sim_detail(sim, 3) == 0,
                                                       .depth_max = sim_detail(sim, 2) * 20,
                                                       .weight = (uint32_t)sim_detail(sim, 4)};
    if (request->r.u.queue_set.set.paused && sim_detail(sim, 2)) {
        request->r.u.queue_set.set.paused_until_wall_ms = sim->now_ms + sim->wall_offset_ms + 4000;
    }
}

/* What operators do to tasks, by their ids or by what they are. */
static void make_selection(struct sim *sim, struct sim_request *request) {
    static const enum jq_op ops[] = {JQ_OP_TASK_CANCEL, JQ_OP_TASK_HOLD, JQ_OP_TASK_HOLD,  JQ_OP_TASK_RELEASE,
                                     JQ_OP_TASK_MOVE,   JQ_OP_TASK_RM,   JQ_OP_DEAD_REPLAY};
    static const char *const wheres[] = {"queue=a",    "priority<3 handler=h0",  "state=ready queue=b",
                                         "state=dead", "age>5s state=scheduled", "state=held",
                                         "group=g1",   "handler=h* priority>2",  "queue~b* attempts>0"};
    make_ids(sim, request, ops[sim_detail(sim, sizeof(ops) / sizeof(ops[0]))]);
    request->selects = sim_detail(sim, 4) == 0;
    request->r.u.tasks.dry_run = request->selects && sim_detail(sim, 4) == 0;
    request->r.u.tasks.to = pick(sim, queues, 4);
    if (request->selects) {
        request->r.u.tasks.count = 0;
        JQ_CHECK(jq_where_parse(pick(sim, wheres, 9), &request->where, NULL) == JQ_OK);
    }
}

static void make_breaker(struct sim *sim, struct sim_request *request, uint64_t which, bool trip) {
    request->r.op = trip ? JQ_OP_BREAKER_TRIP : JQ_OP_BREAKER_RESET;
    request->r.u.breaker.kind = which < 2 ? JQ_BREAKER_HANDLER : which < 6 ? JQ_BREAKER_WORKER : JQ_BREAKER_SERVICE;
    request->r.u.breaker.name = jq_str_of(which < 2   ? handlers[which]
                                          : which < 6 ? workers[which - 2]
                                                      : services[which - 6]);
    request->r.u.breaker.for_ms = trip ? (int64_t)sim_detail(sim, 2) * 5000 : 0;
}

static void make_schedule(struct sim *sim, struct sim_request *request) {
    static const char *const whens[] = {"@every 1s", "@every 7s", "* * * * *", "*/2 * * * *"};
    struct jq_schedule_def *def = &request->r.u.schedule.def;
    request->r.op = JQ_OP_SCHEDULE_SET;
    make_item(sim, request, 0);
    def->name = pick(sim, schedules, 3);
    def->when = pick(sim, whens, 4);
    def->zone = JQ_STR("UTC");
    def->catch_up = (enum jq_catch_up)sim_detail(sim, 3);
    def->skip_overlap = sim_detail(sim, 3) == 0;
    def->jitter_ms = sim_detail(sim, 3) == 0 ? 500 : 0;
    def->task = request->items[0];
}

static void make_limit(struct sim *sim, struct sim_request *request) {
    request->r.op = sim_detail(sim, 4) ? JQ_OP_LIMIT_SET : JQ_OP_LIMIT_RM;
    request->r.u.limit.scope = pick(sim, scopes, sizeof(scopes) / sizeof(scopes[0]));
    if (sim_detail(sim, 3)) {
        request->r.u.limit.concurrency = 1 + (uint32_t)sim_detail(sim, 4);
    }
    if (request->r.u.limit.concurrency == 0 || sim_detail(sim, 2)) {
        request->r.u.limit.rate =
            (struct jq_rate){1 + (uint32_t)sim_detail(sim, 20), 100 + (int64_t)sim_detail(sim, 3000)};
        request->r.u.limit.burst = 1 + (uint32_t)sim_detail(sim, 5);
    }
}

static void make_edit(struct sim *sim, struct sim_request *request) {
    request->r.op = JQ_OP_DEAD_EDIT;
    make_item(sim, request, 0);
    request->r.u.edit.id = (jq_task_id){oracle_some_task(sim)};
    request->r.u.edit.given = (uint32_t)sim_detail(sim, 2 * JQ_EDIT_BODY);
    request->r.u.edit.item = request->items[0];
}

static void make_look(struct sim *sim, struct sim_request *request) {
    static const enum jq_op ops[] = {JQ_OP_TASK_EXPLAIN, JQ_OP_TASK_SHOW,  JQ_OP_TASK_LS,
                                     JQ_OP_QUEUE_LS,     JQ_OP_WORKER_LS,  JQ_OP_FLOW_LS,
                                     JQ_OP_FLOW_SHOW,    JQ_OP_BREAKER_LS, JQ_OP_SCHEDULE_LS};
    request->r.op = ops[sim_detail(sim, sizeof(ops) / sizeof(ops[0]))];
    if (sim->swarm.pure && sim_detail(sim, 6) == 0) {
        request->r.op = sim_detail(sim, 2) ? JQ_OP_CACHE_PURGE : JQ_OP_CACHE_STAT;
    }
    if (request->r.op == JQ_OP_TASK_EXPLAIN || request->r.op == JQ_OP_TASK_SHOW) {
        request->r.u.task.id = (jq_task_id){recent_task(sim)};
    } else if (request->r.op == JQ_OP_FLOW_SHOW) {
        request->r.u.flow.flow = oracle_some_flow(sim);
    }
}

static void cancel_flow(struct sim *sim, struct sim_request *request) {
    request->r.op = JQ_OP_FLOW_CANCEL;
    request->r.u.flow.flow = oracle_some_flow(sim);
    request->r.u.flow.grace_ms = 1000;
}

static void make_operation(struct sim *sim, struct sim_request *request) {
    switch (sim_detail(sim, 23)) {
    case 0:
    case 1: make_ids(sim, request, JQ_OP_TASK_CANCEL); break;
    case 2: make_ids(sim, request, JQ_OP_DEAD_REPLAY); break;
    case 3: make_ids(sim, request, JQ_OP_DEAD_RM); break;
    case 4: make_queue_set(sim, request); break;
    case 5: make_set(sim, request, JQ_OP_WORKER_DRAIN, pick(sim, workers, 4)); break;
    case 6: make_breaker(sim, request, sim_detail(sim, 8), sim_detail(sim, 2)); break;
    case 7: make_schedule(sim, request); break;
    case 8:
        make_set(sim, request, sim_detail(sim, 2) ? JQ_OP_SCHEDULE_PAUSE : JQ_OP_SCHEDULE_RM, pick(sim, schedules, 3));
        break;
    case 9: make_edit(sim, request); break;
    case 10: cancel_flow(sim, request); break;
    case 11: make_ids(sim, request, JQ_OP_WAIT); break;
    case 12:
    case 13: make_limit(sim, request); break;
    case 14:
    case 15:
    case 16:
    case 17:
    case 18: make_selection(sim, request); break;
    case 19:
    case 20:
    case 21: blobs_ask(sim, request); break;
    default: make_look(sim, request); break;
    }
}

/* In a calm: queues run, workers take work, breakers close, nobody holds anything and nothing new is begun, so that all tasks can
 * end. */
static void make_peace(struct sim *sim, struct sim_request *request, uint64_t turn) {
    const uint64_t which = turn / 6;
    switch (turn % 6) {
    case 0:
        request->r.op = JQ_OP_QUEUE_SET;
        request->r.u.queue_set.name = jq_str_of(queues[which % 4]);
        request->r.u.queue_set.given = JQ_QUEUE_SETTING_PAUSED | JQ_QUEUE_SETTING_DRAINING | JQ_QUEUE_SETTING_DEPTH_MAX;
        break;
    case 1: make_set(sim, request, JQ_OP_WORKER_DRAIN, jq_str_of(workers[which % 4])); break;
    case 2: make_set(sim, request, JQ_OP_SCHEDULE_RM, jq_str_of(schedules[which % 3])); break;
    case 3: make_breaker(sim, request, which % 8, false); return;
    case 4:
        if (which % 8 != 0) { /* it takes many steps where its slices are small */
            make_look(sim, request);
            return;
        }
        request->r.op = JQ_OP_TASK_RELEASE;
        request->selects = true;
        JQ_CHECK(jq_where_parse(JQ_STR("state=held"), &request->where, NULL) == JQ_OK);
        return;
    default:
        request->r.op = JQ_OP_LIMIT_RM;
        request->r.u.limit.scope = jq_str_of(scopes[which % (sizeof(scopes) / sizeof(scopes[0]))]);
        return;
    }
    if (request->r.op == JQ_OP_WORKER_DRAIN) {
        request->r.u.named.on = false;
    }
}

struct sim_request *ask_new(struct sim *sim, uint32_t actor) {
    struct sim_client *client = &sim->clients[actor];
    struct sim_request *request = calloc(1, sizeof(*request));
    JQ_CHECK(request != NULL);
    request->actor = actor;
    request->r =
        (struct jq_request){.sender = client->sender, .id = ++client->next_id, .done = client->next_id, .pipe = actor};
    if (sim->calm) {
        make_peace(sim, request, client->next_id);
    } else if (client->staging.flow != 0 && sim_detail(sim, 20) > 0) {
        go_on_with_flow(sim, request, &client->staging);
    } else if (sim->oracle.task_count > 0 && sim_detail(sim, 100) < sim->swarm.operators) {
        make_operation(sim, request);
    } else if (sim_detail(sim, 20) == 0) {
        begin_flow(sim, request);
    } else {
        make_submit(sim, request);
    }
    return request;
}

/* What the request points to lies in it: to be called for each copy. */
void ask_aim(struct sim_request *request) {
    for (size_t i = 0; i < SIM_ITEMS_MAX; i++) {
        request->items[i].body.data = request->bodies[i];
        request->items[i].after = request->after[i];
        request->items[i].key.data = request->keys[i];
    }
    switch (request->r.op) {
    case JQ_OP_SUBMIT:
    case JQ_OP_FLOW_ADD: request->r.u.submit.items = request->items; break;
    case JQ_OP_SCHEDULE_SET: request->r.u.schedule.def.task = request->items[0]; break;
    case JQ_OP_DEAD_EDIT: request->r.u.edit.item = request->items[0]; break;
    case JQ_OP_LEASE:
    case JQ_OP_REPORT:
        request->r.u.lease.reports = request->reports;
        for (size_t i = 0; i < request->r.u.lease.report_count; i++) {
            request->reports[i].body.data = request->results[i];
        }
        request->r.u.lease.held = request->held;
        break;
    case JQ_OP_WAIT: request->r.u.wait.ids = request->ids; break;
    case JQ_OP_TASK_CANCEL:
    case JQ_OP_TASK_HOLD:
    case JQ_OP_TASK_RELEASE:
    case JQ_OP_TASK_MOVE:
    case JQ_OP_TASK_RM:
    case JQ_OP_DEAD_REPLAY:
    case JQ_OP_DEAD_RM:
        request->r.u.tasks.ids = request->ids;
        request->r.u.tasks.where = request->selects ? &request->where : NULL;
        break;
    default: break;
    }
}
