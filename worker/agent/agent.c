#include "worker/agent/agent.h"

#include <stdlib.h>

#include "common/err.h"
#include "common/map.h"

enum state { STATE_FREE, STATE_STARTING, STATE_RUNNING, STATE_REPORTED };

struct attempt {
    enum state state;
    jq_task_id task;
    jq_lease_token token;
    bool kill_ordered;
    enum jq_agent_why why;
    int64_t grace_ms;
    bool succeeded;
    uint32_t next_free;
};

struct jq_agent {
    struct jq_agent_config config;
    struct jq_map by_token; /* token -> index */
    struct attempt *attempts;
    uint32_t used, capacity, free_head; /* index 0 is none */
    size_t count, running;
    unsigned want_told;
    unsigned level; /* slots that are used; all of them unless they follow the load */
    bool pressure, draining, exited;
    int64_t drain_until_ms;
    bool drain_over;
    int64_t idle_since_ms;
};

/* ---- saying ---- */

static void say(struct jq_agent *agent, enum jq_agent_effect_type type, const struct attempt *attempt) {
    const struct jq_agent_effect effect = {.type = type,
                                           .task = attempt->task,
                                           .token = attempt->token,
                                           .why = attempt->why,
                                           .grace_ms = attempt->grace_ms};
    agent->config.effect(agent->config.ctx, &effect);
}

static void say_report(struct jq_agent *agent, const struct attempt *attempt, enum jq_outcome outcome,
                       const char *message) {
    const struct jq_agent_effect effect = {.type = JQ_AGENT_REPORT,
                                           .task = attempt->task,
                                           .token = attempt->token,
                                           .outcome = outcome,
                                           .message = message};
    agent->config.effect(agent->config.ctx, &effect);
}

/* The broker's account keeps it to its slots; to fewer it keeps itself. */
static unsigned wanted(const struct jq_agent *agent) {
    if (agent->pressure || agent->draining) {
        return 0;
    }
    if (agent->config.slots_min == 0) {
        return agent->config.slots;
    }
    return agent->count < agent->level ? agent->level - (unsigned)agent->count : 0;
}

static void update_want(struct jq_agent *agent) {
    const unsigned want = wanted(agent);
    if (want != agent->want_told) {
        agent->want_told = want;
        const struct jq_agent_effect effect = {.type = JQ_AGENT_WANT, .want = want};
        agent->config.effect(agent->config.ctx, &effect);
    }
}

static void exit_if_done(struct jq_agent *agent) {
    if (agent->draining && agent->count == 0 && !agent->exited) {
        agent->exited = true;
        const struct jq_agent_effect effect = {.type = JQ_AGENT_EXIT};
        agent->config.effect(agent->config.ctx, &effect);
    }
}

/* ---- the table ---- */

static struct attempt *attempt_find(struct jq_agent *agent, jq_lease_token token) {
    const uint32_t index = jq_map_get(&agent->by_token, token.value, 0);
    return index ? &agent->attempts[index] : NULL;
}

static struct attempt *attempt_add(struct jq_agent *agent, jq_task_id task, jq_lease_token token) {
    JQ_CHECK(agent->attempts != NULL);
    uint32_t index = agent->free_head;
    if (index) {
        agent->free_head = agent->attempts[index].next_free;
    } else {
        if (agent->used == agent->capacity) {
            const uint32_t capacity = agent->capacity * 2;
            struct attempt *attempts = realloc(agent->attempts, capacity * sizeof(*attempts));
            JQ_CHECK(attempts != NULL);
            agent->attempts = attempts;
            agent->capacity = capacity;
        }
        index = agent->used++;
    }
    agent->attempts[index] = (struct attempt){.state = STATE_STARTING, .task = task, .token = token};
    JQ_CHECK(jq_map_put(&agent->by_token, token.value, index));
    agent->count++;
    return &agent->attempts[index];
}

static void attempt_remove(struct jq_agent *agent, struct attempt *attempt, int64_t now_ms) {
    (void)jq_map_remove(&agent->by_token, attempt->token.value);
    JQ_CHECK(agent->attempts != NULL);
    *attempt = (struct attempt){.next_free = agent->free_head};
    agent->free_head = (uint32_t)(attempt - agent->attempts);
    if (--agent->count == 0) {
        agent->idle_since_ms = now_ms;
    }
    update_want(agent);
    exit_if_done(agent);
}

/* ---- what happens ---- */

static void never_ran(struct jq_agent *agent, struct attempt *attempt, enum jq_outcome outcome, const char *message) {
    attempt->state = STATE_REPORTED;
    say_report(agent, attempt, outcome, message);
}

void jq_agent_leased(struct jq_agent *agent, jq_task_id task, jq_lease_token token, bool defined, int64_t now_ms) {
    (void)now_ms;
    if (attempt_find(agent, token)) {
        return;
    }
    struct attempt *attempt = attempt_add(agent, task, token);
    update_want(agent);
    if (agent->draining) {
        never_ran(agent, attempt, JQ_OUTCOME_HANDED_BACK, "the worker is stopping");
    } else if (!defined) {
        never_ran(agent, attempt, JQ_OUTCOME_PROCESS_FAILURE, "this worker does not define the handler");
    } else {
        agent->running++;
        say(agent, JQ_AGENT_START, attempt);
    }
}

void jq_agent_started(struct jq_agent *agent, jq_lease_token token) {
    struct attempt *attempt = attempt_find(agent, token);
    if (!attempt || attempt->state != STATE_STARTING) {
        return;
    }
    attempt->state = STATE_RUNNING;
    if (attempt->kill_ordered) {
        say(agent, JQ_AGENT_KILL, attempt);
    }
}

void jq_agent_ended(struct jq_agent *agent, jq_lease_token token, enum jq_outcome outcome, int64_t now_ms) {
    (void)now_ms;
    struct attempt *attempt = attempt_find(agent, token);
    if (!attempt || attempt->state == STATE_REPORTED) {
        return;
    }
    attempt->state = STATE_REPORTED;
    attempt->succeeded = outcome == JQ_OUTCOME_SUCCESS;
    agent->running--;
    say_report(agent, attempt, JQ_OUTCOME_NONE, NULL);
}

void jq_agent_verdict(struct jq_agent *agent, jq_lease_token token, bool accepted, int64_t now_ms) {
    struct attempt *attempt = attempt_find(agent, token);
    if (!attempt || attempt->state != STATE_REPORTED) {
        return;
    }
    say(agent, accepted && attempt->succeeded ? JQ_AGENT_KEEP : JQ_AGENT_DISCARD, attempt);
    attempt_remove(agent, attempt, now_ms);
}

static void order_kill(struct jq_agent *agent, struct attempt *attempt, enum jq_agent_why why, int64_t grace_ms) {
    if (attempt->state == STATE_REPORTED) {
        return; /* it has ended: what it came to stands */
    }
    if (!attempt->kill_ordered || grace_ms < attempt->grace_ms) {
        attempt->why = attempt->kill_ordered ? attempt->why : why; /* the first reason stays, a shorter grace wins */
        attempt->grace_ms = grace_ms;
        attempt->kill_ordered = true;
        say(agent, JQ_AGENT_KILL, attempt);
    }
}

void jq_agent_cancel(struct jq_agent *agent, jq_lease_token token, int64_t grace_ms) {
    struct attempt *attempt = attempt_find(agent, token);
    if (attempt) {
        order_kill(agent, attempt, JQ_AGENT_CANCELLED, grace_ms > 0 ? grace_ms : agent->config.grace_ms);
    }
}

void jq_agent_kill(struct jq_agent *agent, jq_lease_token token) {
    struct attempt *attempt = attempt_find(agent, token);
    if (attempt) {
        order_kill(agent, attempt, JQ_AGENT_CANCELLED, 0);
    }
}

void jq_agent_pressure(struct jq_agent *agent, bool high) {
    agent->pressure = high;
    update_want(agent);
}

enum { WAIT_LITTLE_PERMILLE = 200, WAIT_MUCH_PERMILLE = 500 };

static unsigned level_after(const struct jq_agent *agent, unsigned wait_permille) {
    const unsigned level = agent->level, least = agent->config.slots_min, most = agent->config.slots;
    if (agent->pressure || wait_permille > WAIT_MUCH_PERMILLE || agent->count < level / 2) {
        return level > least ? level - 1 : least;
    }
    if (agent->count >= level && wait_permille < WAIT_LITTLE_PERMILLE) {
        const unsigned more = level + (level + 3) / 4;
        return more < most ? more : most;
    }
    return level;
}

void jq_agent_load(struct jq_agent *agent, unsigned wait_permille) {
    if (agent->config.slots_min > 0) {
        agent->level = level_after(agent, wait_permille);
        update_want(agent);
    }
}

static unsigned level_within(const struct jq_agent *agent) {
    const unsigned least = agent->config.slots_min, most = agent->config.slots;
    if (least == 0) {
        return most;
    }
    return agent->level < least ? least : (agent->level > most ? most : agent->level);
}

void jq_agent_configure(struct jq_agent *agent, unsigned slots, unsigned slots_min, int64_t grace_ms, int64_t drain_ms,
                        int64_t idle_exit_ms) {
    agent->config.slots = slots;
    agent->config.slots_min = slots_min;
    agent->config.grace_ms = grace_ms;
    agent->config.drain_ms = drain_ms;
    agent->config.idle_exit_ms = idle_exit_ms;
    agent->level = level_within(agent);
    update_want(agent);
}

static void give_up_running(struct jq_agent *agent) {
    agent->drain_over = true;
    for (uint32_t i = 1; i < agent->used; i++) {
        struct attempt *attempt = &agent->attempts[i];
        if (attempt->state == STATE_STARTING || attempt->state == STATE_RUNNING) {
            order_kill(agent, attempt, JQ_AGENT_DRAINED, agent->config.grace_ms);
        }
    }
}

void jq_agent_drain(struct jq_agent *agent, int64_t now_ms) {
    if (agent->draining) {
        give_up_running(agent);
        return;
    }
    agent->draining = true;
    agent->drain_until_ms = now_ms + agent->config.drain_ms;
    update_want(agent);
    exit_if_done(agent);
}

void jq_agent_time(struct jq_agent *agent, int64_t now_ms) {
    if (agent->draining && !agent->drain_over && now_ms >= agent->drain_until_ms) {
        give_up_running(agent);
    }
    if (!agent->draining && agent->config.idle_exit_ms > 0 && agent->count == 0 &&
        now_ms - agent->idle_since_ms >= agent->config.idle_exit_ms) {
        jq_agent_drain(agent, now_ms);
    }
}

int64_t jq_agent_deadline_ms(const struct jq_agent *agent) {
    if (agent->draining) {
        return agent->drain_over || agent->exited ? INT64_MAX : agent->drain_until_ms;
    }
    return agent->config.idle_exit_ms > 0 && agent->count == 0 ? agent->idle_since_ms + agent->config.idle_exit_ms
                                                               : INT64_MAX;
}

/* ---- */

size_t jq_agent_count(const struct jq_agent *agent) {
    return agent->count;
}

size_t jq_agent_running_count(const struct jq_agent *agent) {
    return agent->running;
}

struct jq_agent *jq_agent_new(const struct jq_agent_config *config, int64_t now_ms) {
    struct jq_agent *agent = calloc(1, sizeof(*agent));
    if (agent) {
        agent->config = *config;
        agent->used = 1;
        agent->idle_since_ms = now_ms;
        agent->level = level_within(agent);
        jq_map_init(&agent->by_token);
        agent->capacity = 16;
        agent->attempts = calloc(agent->capacity, sizeof(*agent->attempts));
        JQ_CHECK(agent->attempts != NULL);
        update_want(agent);
    }
    return agent;
}

void jq_agent_free(struct jq_agent *agent) {
    if (agent) {
        jq_map_fini(&agent->by_token);
        free(agent->attempts);
        free(agent);
    }
}
