/* sim_oracle.c - what the records say, folded by code that shares nothing with the core, and what the outside was told. */
#include "broker/record.h"
#include "common/err.h"
#include "common/hash.h"
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void *oracle_grown(void *array, uint32_t count, uint32_t *capacity, size_t item_size) {
    if (count < *capacity) {
        return array;
    }
    *capacity = *capacity ? *capacity * 2 : 256;
    void *more = realloc(array, *capacity * item_size);
    JQ_CHECK(more != NULL);
    return more;
}

struct sim_task *oracle_task(struct sim *sim, uint64_t id) {
    struct sim_oracle *oracle = &sim->oracle;
    uint32_t at = jq_map_get(&oracle->by_id, id, UINT32_MAX);
    if (at == UINT32_MAX) {
        oracle->tasks = oracle_grown(oracle->tasks, oracle->task_count, &oracle->task_capacity, sizeof(*oracle->tasks));
        at = oracle->task_count++;
        oracle->tasks[at] = (struct sim_task){.id = id};
        JQ_CHECK(jq_map_put(&oracle->by_id, id, at));
    }
    return &oracle->tasks[at];
}

void oracle_fini(struct sim *sim) {
    jq_map_fini(&sim->oracle.by_id);
    jq_map_fini(&sim->oracle.answer_map);
    jq_map_fini(&sim->oracle.questions);
    jq_map_fini(&sim->oracle.cache_keys);
    free(sim->oracle.tasks);
    free(sim->oracle.queued);
    free(sim->oracle.leased);
    free(sim->oracle.keys);
    free(sim->oracle.cached);
    free(sim->oracle.flows);
    free(sim->oracle.calls);
    free(sim->oracle.started);
    free(sim->oracle.segments);
    free(sim->oracle.answers);
}

/* Drawn from the strike under way: a request or a lie is being made. */
uint64_t oracle_some_task(struct sim *sim) {
    return sim->oracle.task_count ? sim->oracle.tasks[sim_detail(sim, sim->oracle.task_count)].id : 0;
}

uint64_t oracle_some_flow(struct sim *sim) {
    return sim->oracle.flow_count ? sim->oracle.flows[sim_detail(sim, sim->oracle.flow_count)].id : 0;
}

/* ---- places ---- */

/* What it takes is kept with the lease: a class that nobody uses any more makes room for another. */
static void hold(struct sim *sim, struct sim_task *task, bool take) {
    struct sim_holder *holder = &sim->oracle.holders[task->worker];
    const uint32_t sign = take ? 1 : UINT32_MAX;
    if (take && !place_amounts(&sim->oracle.classes[task->class_index], task->alternative, &task->taken)) {
        task->taken = (struct sim_amounts){{0}};
    }
    holder->leases += sign;
    holder->suspects += task->losses > 0 ? sign : 0;
    holder->units = take ? holder->units | task->units : holder->units & ~task->units;
    for (int i = 0; i < SIM_RESOURCES; i++) {
        holder->taken.of[i] += sign * task->taken.of[i];
    }
}

void oracle_leave(struct sim *sim, struct sim_task *task) {
    struct sim_oracle *oracle = &sim->oracle;
    oracle->places[task->place]--;
    if (task->place == SIM_QUEUED || task->place == SIM_LEASED) {
        uint32_t *list = task->place == SIM_QUEUED ? oracle->queued : oracle->leased;
        const uint32_t last = list[oracle->places[task->place]];
        list[task->place_at] = last;
        oracle->tasks[last].place_at = task->place_at;
    }
    if (task->place == SIM_QUEUED) {
        oracle->depth[task->queue]--;
    } else if (task->place == SIM_WAITING) {
        oracle->depth[task->queue]--;
    } else if (task->place == SIM_LEASED) {
        hold(sim, task, false);
    } else if (task->place == SIM_FINAL) {
        oracle->dead -= task->state == JQ_STATE_DEAD;
    }
}

void oracle_enter(struct sim *sim, struct sim_task *task, enum sim_place place) {
    struct sim_oracle *oracle = &sim->oracle;
    task->place = place;
    if (place == SIM_QUEUED) {
        const uint32_t at = oracle->places[SIM_QUEUED];
        oracle->queued = oracle_grown(oracle->queued, at, &oracle->queued_capacity, sizeof(*oracle->queued));
        oracle->queued[at] = (uint32_t)(task - oracle->tasks);
        task->place_at = at;
        oracle->depth[task->queue]++;
    } else if (place == SIM_WAITING) {
        oracle->depth[task->queue]++;
    } else if (place == SIM_LEASED) {
        const uint32_t at = oracle->places[SIM_LEASED];
        oracle->leased = oracle_grown(oracle->leased, at, &oracle->leased_capacity, sizeof(*oracle->leased));
        oracle->leased[at] = (uint32_t)(task - oracle->tasks);
        task->place_at = at;
        hold(sim, task, true);
    } else if (place == SIM_FINAL) {
        oracle->dead += task->state == JQ_STATE_DEAD;
    } else if (place == SIM_GONE) {
        blobs_gone(sim, task);
    }
    oracle->places[place]++;
}

void oracle_forget_records(struct sim *sim) {
    struct sim_oracle *oracle = &sim->oracle;
    for (uint32_t i = 0; i < oracle->task_count; i++) {
        oracle->tasks[i].place = SIM_UNKNOWN;
        oracle->tasks[i].body_hash = 0; /* what it was may be lost */
        oracle->tasks[i].body_size = oracle->tasks[i].report_size = 0;
    }
    memset(oracle->places, 0, sizeof(oracle->places));
    memset(oracle->depth, 0, sizeof(oracle->depth));
    memset(oracle->sets, 0, sizeof(oracle->sets));
    memset(oracle->holders, 0, sizeof(oracle->holders));
    oracle->dead = 0;
    oracle->key_count = 0;
    blobs_forget(sim);
    cache_forget(sim);
    gates_forget(sim);
    limits_forget(sim);
    move_forget(sim);
    turns_forget(sim);
    orders_forget(sim);
    schedules_forget(sim);
    for (uint32_t i = 0; i < oracle->flow_count; i++) {
        oracle->flows[i].phase = 0;
    }
}

/* ---- the records about tasks ---- */

static void text_take(char *out, size_t size, struct jq_str text) {
    (void)snprintf(out, size, "%.*s", (int)text.size, text.data);
}

static void submitted(struct sim *sim, const struct jq_record *record) {
    struct sim_task *task = oracle_task(sim, record->u.task_submitted.task.value);
    if (task->place != SIM_UNKNOWN) {
        sim_fail(sim, "task %" PRIu64 ": its id was issued twice", task->id);
    }
    text_take(task->group, sizeof(task->group), record->u.task_submitted.group);
    task->touched = sim->oracle.record_count;
    task->queue = record->u.task_submitted.queue;
    task->class_index = record->u.task_submitted.class_index;
    task->priority = record->u.task_submitted.priority;
    task->options = record->u.task_submitted.options;
    task->eta = record->u.task_submitted.eta;
    task->held = false;
    task->ready_ms = record->u.task_submitted.ready_at_ms;
    task->first_ready_ms = task->eta ? INT64_MAX : task->ready_ms;
    task->expires_wall_ms = record->u.task_submitted.expires_wall_ms;
    task->attempts = task->crashes = task->losses = task->shortages = 0;
    task->body_hash = jq_hash_bytes(record->u.task_submitted.body.data, record->u.task_submitted.body.size, 0);
    ties_submitted(sim, task, record);
}

static void leased(struct sim *sim, struct sim_task *task, const struct jq_record *record) {
    const uint64_t token = record->u.task_leased.token.value;
    sim->oracle.token_max = token > sim->oracle.token_max ? token : sim->oracle.token_max;
    oracle_leave(sim, task);
    task->token = token;
    task->worker = record->u.task_leased.worker;
    task->alternative = record->u.task_leased.alternative;
    task->units = gates_units(record->u.task_leased.units);
    oracle_enter(sim, task, SIM_LEASED);
}

static void retried(struct sim *sim, struct sim_task *task, const struct jq_record *record) {
    if (task->place == SIM_LEASED && record->u.task_retried.outcome == JQ_OUTCOME_RESOURCE_EXHAUSTED) {
        sim->oracle.holders[task->worker].short_of[task->class_index] = true;
    }
    oracle_leave(sim, task);
    task->attempts = record->u.task_retried.attempts;
    task->crashes = record->u.task_retried.crashes;
    task->losses = record->u.task_retried.losses;
    task->shortages = record->u.task_retried.shortages;
    task->ready_ms = record->u.task_retried.ready_at_ms;
    oracle_enter(sim, task, SIM_QUEUED);
}

static void revived(struct sim *sim, struct sim_task *task, int64_t ready_ms) {
    oracle_leave(sim, task);
    task->attempts = task->crashes = task->losses = task->shortages = 0;
    task->ready_ms = task->first_ready_ms = ready_ms;
    task->expires_wall_ms = 0;
    oracle_enter(sim, task, SIM_QUEUED);
}

/* It carries another body from now on. A lease of before may still be on its way out, with the body of then. */
static void body_changes(struct sim_task *task, struct jq_bytes body) {
    if (task->token > task->body_until) {
        task->body_before = task->body_hash;
        task->body_until = task->token;
    }
    task->body_hash = jq_hash_bytes(body.data, body.size, 0);
}

/* A later submit of its key has taken its place. */
static void renewed(struct sim *sim, struct sim_task *task, const struct jq_record *record) {
    oracle_leave(sim, task);
    text_take(task->group, sizeof(task->group), record->u.task_renewed.group);
    task->queue = record->u.task_renewed.queue;
    task->class_index = record->u.task_renewed.class_index;
    task->options = record->u.task_renewed.options;
    task->priority = record->u.task_renewed.priority;
    task->ready_ms = task->first_ready_ms = record->u.task_renewed.ready_at_ms;
    task->expires_wall_ms = record->u.task_renewed.expires_wall_ms;
    body_changes(task, record->u.task_renewed.body);
    oracle_enter(sim, task, SIM_QUEUED);
}

static void edited(struct sim_task *task, const struct jq_record *record) {
    task->queue = record->u.task_edited.queue;
    task->class_index = record->u.task_edited.class_index;
    task->options = record->u.task_edited.options;
    task->priority = record->u.task_edited.priority;
    if (record->u.task_edited.body.size > 0) {
        body_changes(task, record->u.task_edited.body);
    }
}

static void ended(struct sim *sim, struct sim_task *task, const struct jq_record *record) {
    oracle_leave(sim, task);
    task->state = (enum jq_state)record->u.task_ended.state;
    task->eta = task->held = false;
    task->ended_ms = record->time_ms;
    task->attempts = record->u.task_ended.attempts;
    task->crashes = record->u.task_ended.crashes;
    task->losses = record->u.task_ended.losses ? record->u.task_ended.losses : task->losses;
    task->ended_as |= 1u << task->state;
    oracle_enter(sim, task, SIM_FINAL);
}

static void due(struct sim_task *task, const struct jq_record *record) {
    task->eta = false;
    task->ready_ms = task->first_ready_ms = record->time_ms;
}

static void forgotten(struct sim *sim, struct sim_task *task) {
    oracle_leave(sim, task);
    oracle_enter(sim, task, SIM_GONE);
    move_gone(sim, task);
    task->forgotten_once = true;
}

/* It may come into being by a later move that leaves the body where it is; a crash may have taken another that it had. */
static void body_of_unknown(struct sim_task *task, const struct jq_record *record) {
    if (record->type == JQ_RECORD_TASK_RENEWED) {
        body_changes(task, record->u.task_renewed.body);
    } else if (record->type == JQ_RECORD_TASK_EDITED && record->u.task_edited.body.size > 0) {
        body_changes(task, record->u.task_edited.body);
    }
}

static void task_record(struct sim *sim, const struct jq_record *record) {
    struct sim_task *task = oracle_task(sim, record->u.task_due.task.value);
    if (task->place == SIM_UNKNOWN) {
        body_of_unknown(task, record);
        return; /* older than the log */
    }
    task->touched = sim->oracle.record_count;
    switch (record->type) {
    case JQ_RECORD_TASK_DUE: due(task, record); break;
    case JQ_RECORD_TASK_LEASED: leased(sim, task, record); break;
    case JQ_RECORD_TASK_RETRIED: retried(sim, task, record); break;
    case JQ_RECORD_TASK_REVIVED: revived(sim, task, record->time_ms); break;
    case JQ_RECORD_TASK_REPLAYED: revived(sim, task, record->u.task_replayed.ready_at_ms); break;
    case JQ_RECORD_TASK_HELD: task->held = true; break;
    case JQ_RECORD_TASK_RELEASED: task->held = false; break;
    case JQ_RECORD_TASK_MOVED:
        oracle_leave(sim, task);
        task->queue = record->u.task_moved.queue;
        oracle_enter(sim, task, SIM_QUEUED);
        break;
    case JQ_RECORD_TASK_EDITED: edited(task, record); break;
    case JQ_RECORD_TASK_RENEWED: renewed(sim, task, record); break;
    case JQ_RECORD_TASK_ENDED: ended(sim, task, record); break;
    case JQ_RECORD_TASK_FORGOTTEN: forgotten(sim, task); break;
    default: break;
    }
}

/* ---- the other records ---- */

static void registered(struct sim *sim, const struct jq_record *record) {
    struct sim_holder *holder = &sim->oracle.holders[record->u.worker_registered.worker];
    for (uint32_t i = 0; i < SIM_WORKERS; i++) {
        if (jq_uuid_equal(&sim->workers[i].id, &record->u.worker_registered.id)) {
            holder->worker = i;
        }
    }
}

static void other_record(struct sim *sim, const struct jq_record *record) {
    struct sim_oracle *oracle = &sim->oracle;
    switch (record->type) {
    case JQ_RECORD_QUEUE_DEFINED:
        text_take(oracle->queues[record->u.queue_defined.queue], sizeof(oracle->queues[0]),
                  record->u.queue_defined.name);
        break;
    case JQ_RECORD_QUEUE_SET: oracle->sets[record->u.queue_set.queue] = record->u.queue_set.set; break;
    case JQ_RECORD_CLASS_DEFINED: {
        struct sim_class *entry = &oracle->classes[record->u.class_defined.class_index];
        text_take(entry->handler, sizeof(entry->handler), record->u.class_defined.handler);
        text_take(entry->need, sizeof(entry->need), record->u.class_defined.need);
        text_take(entry->want, sizeof(entry->want), record->u.class_defined.want);
        break;
    }
    case JQ_RECORD_OPTIONS_DEFINED:
        oracle->options[record->u.options_defined.index] = record->u.options_defined.options;
        break;
    case JQ_RECORD_WORKER_REGISTERED: registered(sim, record); break;
    default: break;
    }
}

static bool about_task(const struct jq_record *record) {
    return (record->type >= JQ_RECORD_TASK_SUBMITTED && record->type <= JQ_RECORD_TASK_FORGOTTEN) ||
           record->type == JQ_RECORD_TASK_EDITED || record->type == JQ_RECORD_TASK_REPLAYED ||
           record->type == JQ_RECORD_TASK_RENEWED || record->type == JQ_RECORD_TASK_HELD ||
           record->type == JQ_RECORD_TASK_RELEASED || record->type == JQ_RECORD_TASK_MOVED ||
           record->type == JQ_RECORD_EDGE_DECIDED || record->type == JQ_RECORD_TASK_FREED;
}

static void say_record(struct sim *sim, const struct jq_record *record) {
    if (record->type == JQ_RECORD_TASK_LEASED) {
        const struct sim_task *task = oracle_task(sim, record->u.task_leased.task.value);
        sim_say(sim, "task %" PRIu64 ": leased to %s, token %" PRIu64 ", need \"%s\" of %s, alternative %u", task->id,
                sim->workers[sim->oracle.holders[record->u.task_leased.worker].worker].name,
                record->u.task_leased.token.value, sim->oracle.classes[task->class_index].need,
                sim->oracle.classes[task->class_index].handler, record->u.task_leased.alternative);
    } else if (about_task(record)) {
        sim_say(sim, "task %" PRIu64 ": %s", record->u.task_due.task.value, jq_record_type_name((uint8_t)record->type));
    } else if (record->type != JQ_RECORD_REQUEST_ANSWERED && record->type != JQ_RECORD_SENDER_TRIMMED) {
        sim_say(sim, "%s", jq_record_type_name((uint8_t)record->type));
    }
}

void oracle_record(struct sim *sim, const struct jq_record *record, bool replay) {
    if (!replay && sim->options->verbose) {
        say_record(sim, record);
    }
    if (!replay) {
        sim->counts.submitted += record->type == JQ_RECORD_TASK_SUBMITTED;
        sim->counts.leased += record->type == JQ_RECORD_TASK_LEASED;
        sim->counts.finished += record->type == JQ_RECORD_TASK_ENDED;
    }
    sim->oracle.record_count++;
    if (record->type == JQ_RECORD_TASK_SUBMITTED) {
        submitted(sim, record);
    } else if (about_task(record)) {
        task_record(sim, record);
    } else {
        other_record(sim, record);
    }
    blobs_record(sim, record, replay);
    keys_record(sim, record);
    limits_record(sim, record);
    ties_record(sim, record);
    gates_record(sim, record);
    schedules_record(sim, record);
    move_record(sim, record);
    cache_record(sim, record, replay);
    turns_record(sim, record, replay);
}

/* ---- what the outside was told ---- */

/* The same request must get the same answer, whenever it comes within the window. */
static void same_answer(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply) {
    struct sim_oracle *oracle = &sim->oracle;
    const uint64_t name = jq_hash_combine(jq_hash_bytes(request->r.sender.bytes, 16, 0), request->r.id);
    const uint32_t at = jq_map_get(&oracle->answer_map, name, 0);
    if (at != 0 && sim->now_ms - oracle->answers[at - 1].at_ms < sim->config.request_window_ms) {
        struct sim_answer *known = &oracle->answers[at - 1];
        if (known->first != reply->u.submit.first || known->count != reply->u.submit.count ||
            known->exceptions != reply->u.submit.exception_count) {
            sim_fail(sim, "request %" PRIu64 ": first answered with task %" PRIu64 ", now with %" PRIu64, request->r.id,
                     known->first, reply->u.submit.first);
        }
        known->at_ms = sim->now_ms;
        return;
    }
    oracle->answers =
        oracle_grown(oracle->answers, oracle->answer_count, &oracle->answer_capacity, sizeof(*oracle->answers));
    oracle->answers[oracle->answer_count++] = (struct sim_answer){request->r.sender,
                                                                  request->r.id,
                                                                  reply->u.submit.first,
                                                                  reply->u.submit.count,
                                                                  (uint32_t)reply->u.submit.exception_count,
                                                                  sim->now_ms};
    JQ_CHECK(jq_map_put(&oracle->answer_map, name, oracle->answer_count));
}

static void acknowledged(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply) {
    const uint64_t accepted = reply->u.submit.count - reply->u.submit.exception_count;
    for (uint64_t i = 0; i < accepted; i++) {
        struct sim_task *task = oracle_task(sim, reply->u.submit.first + i);
        if (task->place == SIM_UNKNOWN && !task->forgotten_once) {
            sim_fail(sim, "task %" PRIu64 " is acknowledged, but was never submitted", task->id);
        }
        task->acknowledged = true;
    }
    if (accepted > 0) {
        same_answer(sim, request, reply);
    }
}

static bool refused(const struct jq_reply_effect *reply, uint32_t index) {
    for (size_t i = 0; i < reply->u.lease.verdict_count; i++) {
        if (reply->u.lease.verdicts[i].index == index) {
            return true;
        }
    }
    return false;
}

static void verdicts(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply) {
    for (uint32_t i = 0; i < reply->u.lease.report_count; i++) {
        const struct jq_report *report = &request->reports[i];
        if (report->outcome != JQ_OUTCOME_SUCCESS || refused(reply, i)) {
            continue;
        }
        struct sim_task *task = oracle_task(sim, report->task.value);
        if (task->place == SIM_FINAL && task->token != report->token.value) {
            sim_fail(sim, "task %" PRIu64 ": an outcome was accepted under token %" PRIu64 ", its lease was %" PRIu64,
                     task->id, report->token.value, task->token);
        }
        if (task->succeeded && task->success_token != report->token.value) {
            sim_fail(sim, "task %" PRIu64 ": two outcomes were accepted, under tokens %" PRIu64 " and %" PRIu64,
                     task->id, task->success_token, report->token.value);
        }
        task->succeeded = true;
        task->success_token = report->token.value;
        sim_say(sim, "task %" PRIu64 ": success is accepted under token %" PRIu64, task->id, report->token.value);
    }
}

/* A lease that is handed out is the one that stands, to the worker that it stands for. */
static void items(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply) {
    for (size_t i = 0; i < reply->u.lease.count; i++) {
        const struct sim_task *task = oracle_task(sim, reply->u.lease.items[i].task.value);
        const uint64_t token = reply->u.lease.items[i].token.value;
        if (task->place != SIM_LEASED) {
            continue;
        }
        if (task->token < token) {
            sim_fail(sim, "task %" PRIu64 " is handed out under a token that no record names", task->id);
        }
        if (task->token == token && sim->oracle.holders[task->worker].worker + SIM_CLIENTS != request->actor) {
            sim_fail(sim, "task %" PRIu64 " is handed to a worker that does not hold it", task->id);
        }
    }
}

/* Whoever asks for tasks to be removed may get that: in later steps too, where a selection names many. */
void oracle_asked(struct sim *sim, const struct sim_request *request) {
    orders_asked(sim, request);
    if (request->r.op != JQ_OP_TASK_RM) {
        return;
    }
    for (size_t i = 0; i < request->r.u.tasks.count; i++) {
        oracle_task(sim, request->ids[i].value)->rm_asked = true;
    }
    for (uint32_t i = 0; i < sim->oracle.task_count && request->selects; i++) {
        sim->oracle.tasks[i].rm_asked = true;
    }
}

void oracle_reply(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply) {
    if (reply->op != request->r.op || reply->request != request->r.id) {
        sim_fail(sim, "a %s is answered as a %s", jq_op_name(request->r.op), jq_op_name(reply->op));
    }
    if (reply->status != JQ_REPLY_OK) {
        return;
    }
    if (reply->op == JQ_OP_FLOW_COMMIT) {
        ties_acknowledged(sim, reply->u.stage.flow, reply->u.stage.count);
    } else if (reply->op == JQ_OP_SUBMIT) {
        acknowledged(sim, request, reply);
    } else if (reply->op == JQ_OP_LEASE || reply->op == JQ_OP_REPORT) {
        verdicts(sim, request, reply);
        items(sim, request, reply);
    }
}

void oracle_promises(struct sim *sim) {
    ties_promises(sim);
    for (uint32_t i = 0; i < sim->oracle.task_count; i++) {
        const struct sim_task *task = &sim->oracle.tasks[i];
        if (task->forgotten_once) {
            continue;
        }
        if (task->acknowledged && (task->place == SIM_UNKNOWN || task->place == SIM_GONE)) {
            sim_fail(sim, "task %" PRIu64 " was acknowledged, and is lost", task->id);
        }
        if (task->succeeded && (task->place != SIM_FINAL || task->state != JQ_STATE_SUCCEEDED)) {
            sim_fail(sim, "task %" PRIu64 ": its accepted outcome is lost", task->id);
        }
    }
}

bool oracle_all_final(struct sim *sim, uint64_t *ret_open) {
    sim->oracle.looks++;
    for (uint32_t i = 0; i < sim->oracle.task_count; i++) {
        struct sim_task *task = &sim->oracle.tasks[i];
        if (task->place == SIM_QUEUED || task->place == SIM_LEASED || task->place == SIM_STAGED ||
            (task->place == SIM_WAITING && ties_stuck(sim, task))) {
            *ret_open = task->id;
            return false;
        }
    }
    return true;
}
