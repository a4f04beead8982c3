/* sim_limits.c - limits of concurrency and rate: never more at once than a limit says, never more in any stretch of time than its rate
 * and its burst let through. Counted from the starts themselves, not as the core does it. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/sim.h"

enum { STARTS_LOOKED_AT = 400 };

/* ---- fold ---- */

static struct sim_limit *limit_of(struct sim *sim, struct jq_str scope) {
    struct sim_oracle *oracle = &sim->oracle;
    char text[24];
    (void)snprintf(text, sizeof(text), "%.*s", (int)scope.size, scope.data);
    for (uint32_t i = 0; i < oracle->limit_count; i++) {
        if (strcmp(oracle->limits[i].scope, text) == 0) {
            return &oracle->limits[i];
        }
    }
    if (oracle->limit_count == SIM_LIMITS_MAX) {
        sim_fail(sim, "there are more limits than scopes");
    }
    struct sim_limit *limit = &oracle->limits[oracle->limit_count++];
    *limit = (struct sim_limit){.set = false};
    memcpy(limit->scope, text, sizeof(text));
    return limit;
}

/* Groups come under another limit when one of their own is set or removed: what is counted for those begins anew. */
static void since_now(struct sim *sim, struct sim_limit *changed) {
    changed->since = sim->oracle.started_count;
    for (uint32_t i = 0; i < sim->oracle.limit_count && strncmp(changed->scope, "group:", 6) == 0; i++) {
        struct sim_limit *limit = &sim->oracle.limits[i];
        limit->since = strchr(limit->scope, '*') ? sim->oracle.started_count : limit->since;
    }
}

static void limit_set(struct sim *sim, const struct jq_record *record) {
    struct sim_limit *limit = limit_of(sim, record->u.limit_set.scope);
    const struct jq_rate rate = record->u.limit_set.rate;
    const int64_t interval_us = rate.count > 0 ? (rate.period_ms * 1000 + rate.count - 1) / rate.count : 0;
    if (!limit->set || limit->interval_us != interval_us || limit->burst != record->u.limit_set.burst) {
        since_now(sim, limit);
    }
    limit->set = true;
    limit->concurrency = record->u.limit_set.concurrency;
    limit->interval_us = interval_us;
    limit->burst = record->u.limit_set.burst;
}

static void started(struct sim *sim, const struct jq_record *record) {
    struct sim_oracle *oracle = &sim->oracle;
    const struct sim_task *task = oracle_task(sim, record->u.task_leased.task.value);
    oracle->started =
        oracle_grown(oracle->started, oracle->started_count, &oracle->started_capacity, sizeof(*oracle->started));
    struct sim_start *start = &oracle->started[oracle->started_count++];
    *start = (struct sim_start){.at_ms = record->time_ms, .queue = task->queue};
    memcpy(start->handler, oracle->classes[task->class_index].handler, sizeof(start->handler));
    memcpy(start->group, task->group, sizeof(start->group));
}

void limits_record(struct sim *sim, const struct jq_record *record) {
    if (record->type == JQ_RECORD_LIMIT_SET) {
        limit_set(sim, record);
    } else if (record->type == JQ_RECORD_LIMIT_REMOVED) {
        struct sim_limit *limit = limit_of(sim, record->u.limit_removed.scope);
        since_now(sim, limit);
        limit->set = false;
    } else if (record->type == JQ_RECORD_TASK_LEASED) {
        started(sim, record);
    }
}

void limits_forget(struct sim *sim) {
    sim->oracle.limit_count = 0;
    sim->oracle.started_count = 0;
}

/* ---- what must hold ---- */

static bool own_limit(const struct sim *sim, const char *scope) {
    for (uint32_t i = 0; i < sim->oracle.limit_count; i++) {
        if (sim->oracle.limits[i].set && strcmp(sim->oracle.limits[i].scope, scope) == 0) {
            return true;
        }
    }
    return false;
}

static bool holds_for(const struct sim *sim, const struct sim_limit *limit, const struct sim_start *start) {
    const char *queue = sim->oracle.queues[start->queue];
    char text[24];
    (void)snprintf(text, sizeof(text), "queue:%s", queue);
    if (strcmp(limit->scope, text) == 0) {
        return true;
    }
    (void)snprintf(text, sizeof(text), "handler:%s", start->handler);
    if (strcmp(limit->scope, text) == 0) {
        return true;
    }
    (void)snprintf(text, sizeof(text), "group:%s/%s", queue, start->group);
    if (start->group[0] == '\0' || strcmp(limit->scope, text) == 0 || own_limit(sim, text)) {
        return start->group[0] != '\0' && strcmp(limit->scope, text) == 0;
    }
    (void)snprintf(text, sizeof(text), "group:%s/*", queue);
    return strcmp(limit->scope, text) == 0;
}

/* Under a limit for each group, only what is of the same group counts together. */
static bool counts_with(const struct sim *sim, const struct sim_limit *limit, const struct sim_start *start,
                        const struct sim_start *other) {
    return holds_for(sim, limit, other) && (!strchr(limit->scope, '*') || strcmp(start->group, other->group) == 0);
}

static struct sim_start start_of(const struct sim *sim, const struct sim_task *task) {
    struct sim_start start = {.queue = task->queue};
    memcpy(start.handler, sim->oracle.classes[task->class_index].handler, sizeof(start.handler));
    memcpy(start.group, task->group, sizeof(start.group));
    return start;
}

static void check_concurrency(struct sim *sim, const struct sim_limit *limit, const struct sim_start *start) {
    uint32_t running = 1;
    for (uint32_t i = 0; limit->concurrency > 0 && i < sim->oracle.places[SIM_LEASED]; i++) {
        const struct sim_start other = start_of(sim, &sim->oracle.tasks[sim->oracle.leased[i]]);
        running += counts_with(sim, limit, start, &other);
    }
    if (limit->concurrency > 0 && running > limit->concurrency) {
        sim_fail(sim, "%s lets %" PRIu32 " run at once, and %" PRIu32 " do", limit->scope, limit->concurrency, running);
    }
}

/* In the stretch from any start to this one there are no more than the burst and what the rate gives back in that time. */
static void check_rate(struct sim *sim, const struct sim_limit *limit, const struct sim_start *start, int64_t now_ms) {
    const struct sim_oracle *oracle = &sim->oracle;
    int64_t count = 1;
    for (uint32_t back = 1; back <= oracle->started_count - limit->since && back <= STARTS_LOOKED_AT; back++) {
        const struct sim_start *other = &oracle->started[oracle->started_count - back];
        count += counts_with(sim, limit, start, other);
        const int64_t most = (int64_t)limit->burst + (now_ms - other->at_ms) * 1000 / limit->interval_us;
        if (count > most) {
            sim_fail(sim, "%s lets %" PRId64 " start in %" PRId64 " ms, and %" PRId64 " do", limit->scope, most,
                     now_ms - other->at_ms, count);
        }
    }
}

void limits_check_leased(struct sim *sim, const struct sim_task *task, const struct jq_record *record) {
    const struct sim_start start = start_of(sim, task);
    for (uint32_t i = 0; i < sim->oracle.limit_count; i++) {
        const struct sim_limit *limit = &sim->oracle.limits[i];
        if (!limit->set || !holds_for(sim, limit, &start)) {
            continue;
        }
        check_concurrency(sim, limit, &start);
        if (limit->interval_us > 0) {
            check_rate(sim, limit, &start, record->time_ms);
        }
    }
}
