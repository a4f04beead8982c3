/* sim_gates.c - circuit breakers, and units of offers: the oracle's fold of their records, and what must hold of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/core/units.h"
#include "tests/sim/sim.h"

/* ---- units ---- */

uint32_t gates_units(struct jq_bytes encoded) {
    struct jq_reader in = jq_reader_of(encoded);
    uint16_t indexes[JQ_OFFER_INDEXES_MAX];
    struct jq_units units;
    uint32_t bits = 0;
    while (jq_units_next(&in, indexes, &units)) {
        for (size_t i = 0; i < units.count; i++) {
            bits |= 1u << (indexes[i] % 32);
        }
    }
    return in.failed ? UINT32_MAX : bits;
}

static void check_units(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    const struct sim_holder *holder = &sim->oracle.holders[record->u.task_leased.worker];
    const uint32_t units = gates_units(record->u.task_leased.units);
    const bool wants = strcmp(sim->oracle.classes[task->class_index].need, "gpu=1") == 0;
    if (units & holder->units) {
        sim_fail(sim, "task %" PRIu64 " gets a gpu that another lease has", task->id);
    }
    if (units != 0 && (units & (units - 1) || units > 2)) {
        sim_fail(sim, "task %" PRIu64 " gets gpus %#" PRIx32 " of 0 and 1, and wanted one", task->id, units);
    }
    if ((units != 0) != wants) {
        sim_fail(sim, "task %" PRIu64 " gets gpus %#" PRIx32 ", and wanted %d", task->id, units, wants);
    }
}

/* ---- breakers ---- */

static struct sim_breaker *breaker_of(struct sim *sim, uint8_t kind, struct jq_str name) {
    struct sim_oracle *oracle = &sim->oracle;
    char text[8];
    (void)snprintf(text, sizeof(text), "%.*s", (int)name.size, name.data);
    for (uint32_t i = 0; i < oracle->breaker_count; i++) {
        if (oracle->breakers[i].kind == kind && strcmp(oracle->breakers[i].name, text) == 0) {
            return &oracle->breakers[i];
        }
    }
    if (oracle->breaker_count == SIM_BREAKERS_MAX) {
        sim_fail(sim, "there are more breakers than handlers, workers and services");
    }
    struct sim_breaker *breaker = &oracle->breakers[oracle->breaker_count++];
    *breaker = (struct sim_breaker){.kind = kind};
    memcpy(breaker->name, text, sizeof(text));
    return breaker;
}

static void breaker_set(struct sim *sim, const struct jq_record *record) {
    struct sim_breaker *breaker = breaker_of(sim, record->u.breaker_set.kind, record->u.breaker_set.name);
    const struct jq_str handlers = record->u.breaker_set.handlers;
    breaker->state = record->u.breaker_set.state;
    breaker->until_ms = record->u.breaker_set.until_ms;
    breaker->token = sim->oracle.token_max + 1;
    if (handlers.size > 0) {
        (void)snprintf(breaker->handlers, sizeof(breaker->handlers), "%.*s", (int)handlers.size, handlers.data);
    }
}

static bool concerns(const struct sim *sim, const struct sim_breaker *breaker, const struct sim_task *task,
                     uint32_t holder) {
    const char *handler = sim->oracle.classes[task->class_index].handler;
    switch (breaker->kind) {
    case JQ_BREAKER_HANDLER: return strcmp(breaker->name, handler) == 0;
    case JQ_BREAKER_WORKER: return strcmp(breaker->name, sim->workers[sim->oracle.holders[holder].worker].name) == 0;
    default: return strstr(breaker->handlers, handler) != NULL;
    }
}

/* Probes that are out, or came back good. */
static uint32_t probes_out(const struct sim *sim, const struct sim_breaker *breaker) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->oracle.places[SIM_LEASED]; i++) {
        const struct sim_task *task = &sim->oracle.tasks[sim->oracle.leased[i]];
        count += task->token >= breaker->token && concerns(sim, breaker, task, task->worker);
    }
    return count;
}

static void check_breakers(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    for (uint32_t i = 0; i < sim->oracle.breaker_count; i++) {
        const struct sim_breaker *breaker = &sim->oracle.breakers[i];
        if (breaker->state == JQ_BREAKER_CLOSED || !concerns(sim, breaker, task, record->u.task_leased.worker)) {
            continue;
        }
        if (breaker->state == JQ_BREAKER_OPEN) {
            sim_fail(sim, "task %" PRIu64 " is leased, but the breaker of %s is open", task->id, breaker->name);
        }
        if (probes_out(sim, breaker) >= sim->config.breaker.probes) {
            sim_fail(sim, "task %" PRIu64 " is leased, but the breaker of %s is half-open and has its probes out",
                     task->id, breaker->name);
        }
    }
}

/* A handler's breaker opens by itself only if enough of its calls went wrong within the window. */
static void check_opening(struct sim *sim, const struct jq_record *record) {
    const struct sim_breaker *breaker = breaker_of(sim, record->u.breaker_set.kind, record->u.breaker_set.name);
    const struct jq_breaker_config *config = &sim->config.breaker;
    uint32_t bad = 0;
    if (record->u.breaker_set.state != JQ_BREAKER_OPEN || record->u.breaker_set.by_operator ||
        breaker->state != JQ_BREAKER_CLOSED || breaker->kind != JQ_BREAKER_HANDLER) {
        return;
    }
    for (uint32_t i = sim->oracle.call_count; i > 0; i--) {
        const struct sim_call *call = &sim->oracle.calls[i - 1];
        if (call->at_ms < record->time_ms - config->window_ms) {
            break;
        }
        bad += call->bad && strcmp(call->handler, breaker->name) == 0;
    }
    if (bad * 100 < config->min_calls * config->failure_percent) {
        sim_fail(sim, "the breaker of %s opens after %" PRIu32 " failures", breaker->name, bad);
    }
}

static void note_call(struct sim *sim, uint64_t id, enum jq_outcome outcome, int64_t now_ms) {
    struct sim_oracle *oracle = &sim->oracle;
    const struct sim_task *task = oracle_task(sim, id);
    oracle->calls = oracle_grown(oracle->calls, oracle->call_count, &oracle->call_capacity, sizeof(*oracle->calls));
    struct sim_call *call = &oracle->calls[oracle->call_count++];
    *call = (struct sim_call){.at_ms = now_ms, .bad = outcome != JQ_OUTCOME_SUCCESS};
    memcpy(call->handler, oracle->classes[task->class_index].handler, sizeof(call->handler));
}

/* ---- */

void gates_forget(struct sim *sim) {
    sim->oracle.breaker_count = 0;
}

void gates_record(struct sim *sim, const struct jq_record *record) {
    switch (record->type) {
    case JQ_RECORD_BREAKER_SET: breaker_set(sim, record); break;
    case JQ_RECORD_TASK_RETRIED:
        note_call(sim, record->u.task_retried.task.value, (enum jq_outcome)record->u.task_retried.outcome,
                  record->time_ms);
        break;
    case JQ_RECORD_TASK_ENDED:
        note_call(sim, record->u.task_ended.task.value, (enum jq_outcome)record->u.task_ended.outcome, record->time_ms);
        break;
    default: break;
    }
}

void gates_check(struct sim *sim, const struct jq_record *record) {
    if (record->type == JQ_RECORD_BREAKER_SET) {
        check_opening(sim, record);
    }
}

void gates_check_leased(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    check_units(sim, task, record);
    check_breakers(sim, task, record);
}
