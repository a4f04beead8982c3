/* sim_oracle.c - what must hold, kept apart from the broker: a small fold of its own over the records, and what the outside was told. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/record.h"
#include "common/err.h"
#include "tests/sim/sim.h"

static struct sim_task *task_of(struct sim *sim, uint64_t id) {
    struct sim_oracle *oracle = &sim->oracle;
    uint32_t at = jq_map_get(&oracle->by_id, id, UINT32_MAX);
    if (at == UINT32_MAX) {
        if (oracle->task_count == oracle->task_capacity) {
            oracle->task_capacity = oracle->task_capacity ? oracle->task_capacity * 2 : 256;
            oracle->tasks = realloc(oracle->tasks, oracle->task_capacity * sizeof(*oracle->tasks));
            JQ_CHECK(oracle->tasks != NULL);
        }
        at = oracle->task_count++;
        oracle->tasks[at] = (struct sim_task){.id = id};
        JQ_CHECK(jq_map_put(&oracle->by_id, id, at));
    }
    return &oracle->tasks[at];
}

void oracle_fini(struct sim *sim) {
    jq_map_fini(&sim->oracle.by_id);
    free(sim->oracle.tasks);
    free(sim->oracle.answers);
}

uint64_t oracle_some_task(struct sim *sim) {
    return sim->oracle.task_count ? sim->oracle.tasks[sim_below(sim, sim->oracle.task_count)].id : 0;
}

/* ---- the records ---- */

void oracle_forget_records(struct sim *sim) {
    for (uint32_t i = 0; i < sim->oracle.task_count; i++) {
        sim->oracle.tasks[i].place = SIM_UNKNOWN;
    }
    memset(sim->oracle.leases, 0, sizeof(sim->oracle.leases));
}

static void submitted(struct sim *sim, const struct jq_record *record) {
    struct sim_task *task = task_of(sim, record->u.task_submitted.task.value);
    if (task->place != SIM_UNKNOWN) {
        sim_fail(sim, "task %" PRIu64 ": its id was issued twice", task->id);
    }
    task->place = SIM_QUEUED;
    task->state = JQ_STATE_READY;
}

static void leased(struct sim *sim, struct sim_task *task, const struct jq_record *record, bool replay) {
    const uint64_t token = record->u.task_leased.token.value;
    const uint32_t worker = record->u.task_leased.worker;
    if (task->place == SIM_LEASED) {
        sim_fail(sim, "task %" PRIu64 " has two live leases", task->id);
    }
    if (task->place != SIM_QUEUED) {
        sim_fail(sim, "task %" PRIu64 " was leased, but is not queued", task->id);
    }
    if (!replay && token <= sim->oracle.token_max) {
        sim_fail(sim, "token %" PRIu64 " was issued before", token);
    }
    sim->oracle.token_max = token > sim->oracle.token_max ? token : sim->oracle.token_max;
    task->place = SIM_LEASED;
    task->state = JQ_STATE_RUNNING;
    task->token = token;
    task->worker = worker % 64;
    sim->oracle.leases[task->worker]++;
    sim->leased += !replay;
}

static void left(struct sim *sim, struct sim_task *task) {
    if (task->place == SIM_LEASED) {
        sim->oracle.leases[task->worker]--;
    }
}

static void task_record(struct sim *sim, const struct jq_record *record, bool replay) {
    struct sim_task *task = task_of(sim, record->u.task_due.task.value);
    if (task->place == SIM_UNKNOWN) {
        return; /* older than the log */
    }
    switch (record->type) {
    case JQ_RECORD_TASK_LEASED: leased(sim, task, record, replay); break;
    case JQ_RECORD_TASK_RETRIED:
        left(sim, task);
        task->place = SIM_QUEUED;
        task->state = JQ_STATE_READY;
        break;
    case JQ_RECORD_TASK_REVIVED:
        if (task->succeeded && !replay) {
            sim_fail(sim, "task %" PRIu64 " succeeded, and is revived", task->id);
        }
        task->place = SIM_QUEUED;
        task->state = JQ_STATE_READY;
        break;
    case JQ_RECORD_TASK_ENDED:
        left(sim, task);
        if (task->place == SIM_FINAL) {
            sim_fail(sim, "task %" PRIu64 " ended twice", task->id);
        }
        task->place = SIM_FINAL;
        task->state = (enum jq_state)record->u.task_ended.state;
        sim->finished += !replay;
        break;
    case JQ_RECORD_TASK_FORGOTTEN:
        task->place = SIM_GONE;
        task->forgotten_once = true;
        break;
    default: break;
    }
}

static void say_record(struct sim *sim, const struct jq_record *record) {
    if (sim->verbose && record->type >= JQ_RECORD_TASK_SUBMITTED) {
        sim_say(sim, "task %" PRIu64 ": %s", record->u.task_due.task.value, jq_record_type_name((uint8_t)record->type));
    }
}

void oracle_record(struct sim *sim, const struct jq_record *record, bool replay) {
    if (!replay) {
        say_record(sim, record);
    }
    if (record->type == JQ_RECORD_TASK_SUBMITTED) {
        submitted(sim, record);
        sim->submitted += !replay;
    } else if (record->type > JQ_RECORD_TASK_SUBMITTED) {
        task_record(sim, record, replay);
    }
}

/* ---- what the outside was told ---- */

/* The same request must get the same answer, whenever it comes. */
static void same_answer(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply) {
    struct sim_oracle *oracle = &sim->oracle;
    for (uint32_t i = oracle->answer_count; i > 0; i--) {
        const struct sim_answer *known = &oracle->answers[i - 1];
        if (known->request == request->r.id && jq_uuid_equal(&known->sender, &request->r.sender)) {
            if (known->first != reply->u.submit.first || known->count != reply->u.submit.count ||
                known->exceptions != reply->u.submit.exception_count) {
                sim_fail(sim, "request %" PRIu64 ": first answered with task %" PRIu64 ", now with %" PRIu64,
                         request->r.id, known->first, reply->u.submit.first);
            }
            return;
        }
    }
    if (oracle->answer_count == oracle->answer_capacity) {
        oracle->answer_capacity = oracle->answer_capacity ? oracle->answer_capacity * 2 : 256;
        oracle->answers = realloc(oracle->answers, oracle->answer_capacity * sizeof(*oracle->answers));
        JQ_CHECK(oracle->answers != NULL);
    }
    oracle->answers[oracle->answer_count++] =
        (struct sim_answer){request->r.sender, request->r.id, reply->u.submit.first, reply->u.submit.count,
                            (uint32_t)reply->u.submit.exception_count};
}

static void acknowledged(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply) {
    const uint64_t accepted = reply->u.submit.count - reply->u.submit.exception_count;
    for (uint64_t i = 0; i < accepted; i++) {
        struct sim_task *task = task_of(sim, reply->u.submit.first + i);
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
        struct sim_task *task = task_of(sim, report->task.value);
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
static void items(struct sim *sim, const struct jq_reply_effect *reply) {
    for (size_t i = 0; i < reply->u.lease.count; i++) {
        const struct sim_task *task = task_of(sim, reply->u.lease.items[i].task.value);
        if (task->place == SIM_LEASED && task->token < reply->u.lease.items[i].token.value) {
            sim_fail(sim, "task %" PRIu64 " is handed out under a token that no record names", task->id);
        }
    }
}

void oracle_reply(struct sim *sim, const struct sim_request *request, const struct jq_reply_effect *reply) {
    if (reply->op != request->r.op || reply->request != request->r.id) {
        sim_fail(sim, "a %s is answered as a %s", jq_op_name(request->r.op), jq_op_name(reply->op));
    }
    if (reply->status != JQ_REPLY_OK) {
        return;
    }
    if (reply->op == JQ_OP_SUBMIT) {
        acknowledged(sim, request, reply);
    } else if (reply->op == JQ_OP_LEASE || reply->op == JQ_OP_REPORT) {
        verdicts(sim, request, reply);
        items(sim, reply);
    }
}

void oracle_promises(struct sim *sim) {
    for (uint32_t i = 0; i < sim->oracle.task_count; i++) {
        const struct sim_task *task = &sim->oracle.tasks[i];
        if (task->forgotten_once) {
            continue;
        }
        if (task->acknowledged && (task->place == SIM_UNKNOWN || task->place == SIM_GONE)) {
            sim_fail(sim, "task %" PRIu64 " was acknowledged, and is lost", task->id);
        }
        if (task->succeeded && task->state != JQ_STATE_SUCCEEDED) {
            sim_fail(sim, "task %" PRIu64 ": its accepted outcome is lost, it is %s", task->id,
                     jq_state_name(task->state));
        }
    }
    for (uint32_t i = 0; i < 64; i++) {
        if (sim->oracle.leases[i] > 4) {
            sim_fail(sim, "worker %u has %u leases in 4 slots", i, sim->oracle.leases[i]);
        }
    }
}

bool oracle_all_final(const struct sim *sim, uint64_t *ret_open) {
    for (uint32_t i = 0; i < sim->oracle.task_count; i++) {
        const struct sim_task *task = &sim->oracle.tasks[i];
        if (task->place == SIM_QUEUED || task->place == SIM_LEASED) {
            *ret_open = task->id;
            return false;
        }
    }
    return true;
}
