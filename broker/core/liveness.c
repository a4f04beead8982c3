/* liveness.c - surveys: who still answers, and do both sides know the same leases?
 *
 * A worker is dead when surveys sent over at least liveness_ms, and at least SILENT_SURVEYS_MIN of them, went unanswered while
 * the broker itself was awake. A poll or a report is a sign of life as good as a response. */
#include <stdlib.h>

#include "broker/core/state.h"

enum { SILENT_SURVEYS_MIN = 3, MISMATCHES_MAX = 2, SURVEY_ID_MASK = 0x7fffffff };

/* The last survey's id as it goes over the wire. */
static uint32_t survey_id(const struct jq_core *core) {
    return (uint32_t)(core->surveys_sent & SURVEY_ID_MASK);
}

static int64_t last_sign_ms(const struct jq_core *core, const struct worker *worker) {
    return worker->seen_ms > core->awake_ms ? worker->seen_ms : core->awake_ms;
}

static uint64_t unanswered(const struct jq_core *core, const struct worker *worker) {
    const uint64_t since = worker->seen_survey > core->awake_survey ? worker->seen_survey : core->awake_survey;
    return core->surveys_sent - since;
}

void workers_check_liveness(struct jq_core *core) {
    while (core->seen_oldest != 0) {
        const struct worker *worker = worker_at(core, core->seen_oldest);
        const int64_t silent_ms = CANARY(HASTY_DEATH) ? core->config.heartbeat_ms / 2 : core->config.liveness_ms;
        if (core->now_ms - last_sign_ms(core, worker) < silent_ms ||
            unanswered(core, worker) < (CANARY(HASTY_DEATH) ? 1 : SILENT_SURVEYS_MIN)) {
            break;
        }
        worker_dead(core, core->seen_oldest);
    }
}

int64_t liveness_deadline_ms(const struct jq_core *core) {
    if (core->seen_oldest == 0) {
        return INT64_MAX;
    }
    const struct worker *worker = worker_at(core, core->seen_oldest);
    const int64_t dead_ms = last_sign_ms(core, worker) + core->config.liveness_ms;
    const bool enough = unanswered(core, worker) >= SILENT_SURVEYS_MIN;
    return enough && dead_ms < core->next_survey_ms ? dead_ms : core->next_survey_ms;
}

void survey_send(struct jq_core *core) {
    if (core->seen_oldest == 0) {
        core->next_survey_ms = INT64_MAX;
        return;
    }
    if (core->now_ms < core->next_survey_ms) {
        return;
    }
    core->surveys_sent++;
    core->survey_written_lsn = core->written_lsn;
    core->next_survey_ms = core->now_ms + core->config.heartbeat_ms;
    const struct jq_effect effect = {.type = JQ_EFFECT_SURVEY, .level = JQ_EFFECT_AT_ONCE, .u.survey = survey_id(core)};
    core->output->effect(core->output->ctx, &effect);
}

/* ---- both sides' leases ---- */

/* True when a difference cannot be a lease or a verdict that is still on its way. */
static bool comparable(const struct jq_core *core, const struct worker *worker,
                       const struct jq_survey_response *response) {
    return response->survey == survey_id(core) && core->surveys_sent >= worker->stable_since_survey &&
           worker->grant_lsn < core->survey_written_lsn;
}

static void compare_leases(struct jq_core *core, uint32_t index, const struct jq_survey_response *response) {
    struct worker *worker = worker_at(core, index);
    if (!comparable(core, worker, response)) {
        return;
    }
    if (response->held_count == worker->lease_count && response->held_sum == worker->held_sum) {
        worker->mismatches = 0;
        return;
    }
    if (++worker->mismatches >= MISMATCHES_MAX) {
        worker->mismatches = 0;
        worker->held_wanted = true;
        if (worker->poll.call != 0) {
            poll_answer(core, index, 0);
        }
    }
}

bool jq_core_holds(struct jq_core *core, const struct jq_uuid *session, jq_task_id task, jq_lease_token token) {
    const uint32_t index = worker_of_session(core, session);
    const uint32_t ref = task_find(core, task);
    const uint32_t lease = index != 0 && ref != 0 ? task_at(core, ref)->lease : 0;
    return lease != 0 && lease_at(core, lease)->worker == index && lease_at(core, lease)->token == token.value;
}

static void progress_take(struct jq_core *core, uint32_t index, const struct jq_progress *progress) {
    const uint32_t ref = task_find(core, progress->task);
    if (ref == 0 || task_at(core, ref)->lease == 0 || lease_at(core, task_at(core, ref)->lease)->worker != index) {
        return;
    }
    struct side *side = task_side(core, task_at(core, ref));
    const uint16_t told = (uint16_t)(1 + (progress->permille > 1000 ? 1000 : progress->permille));
    const bool moved = told != side->progress_permille || !jq_str_equal(jq_str_of(side->progress), progress->text);
    side->progress_permille = told;
    free(side->progress);
    side->progress = (char *)(uintptr_t)text_copy(progress->text).data;
    if (moved) {
        news_progress(core, task_at(core, ref), told - 1U, progress->text);
    }
}

void survey_response(struct jq_core *core, const struct jq_survey_response *response) {
    const uint32_t index = worker_of_session(core, &response->session);
    if (index == 0 || worker_at(core, index)->asleep || worker_at(core, index)->incarnation != response->incarnation) {
        return; /* of a session that ended: it will be told at its next poll */
    }
    worker_heard(core, index);
    worker_at(core, index)->load_permille = response->load_permille;
    worker_at(core, index)->memory_permille = response->memory_permille;
    for (size_t i = 0; i < response->progress_count; i++) {
        progress_take(core, index, &response->progress[i]);
    }
    compare_leases(core, index, response);
}

/* ---- the list that settles a difference ---- */

static bool held_has(const struct jq_request *request, uint64_t token) {
    for (size_t i = 0; i < request->u.lease.held_count; i++) {
        if (request->u.lease.held[i].token.value == token) {
            return true;
        }
    }
    return false;
}

/* Leases that the worker does not hold were lost in flight: back to their queues, nobody's fault. A list that is not whole
 * names the newest tokens; older leases are judged by a later list. */
static void leases_return(struct jq_core *core, uint32_t index, const struct jq_request *request) {
    const uint64_t from =
        request->u.lease.held_whole || !request->u.lease.held_count ? 0 : request->u.lease.held[0].token.value;
    uint32_t ref = worker_at(core, index)->lease_head;
    while (ref != 0) {
        const struct lease *lease = lease_at(core, ref);
        const uint32_t next = lease->next, task = lease->task;
        if (lease->token >= from && lease->token <= worker_at(core, index)->held_asked_token &&
            !held_has(request, lease->token)) {
            attempt_returned(core, task);
        }
        ref = next;
    }
}

void held_list_check(struct jq_core *core, uint32_t index, const struct jq_request *request) {
    if (!worker_at(core, index)->held_asked) {
        return;
    }
    leases_return(core, index, request);
    worker_at(core, index)->held_asked = false;
    for (size_t i = 0; i < request->u.lease.held_count; i++) {
        const struct jq_held *held = &request->u.lease.held[i];
        const uint32_t ref = task_find(core, held->task);
        const uint32_t lease = ref ? task_at(core, ref)->lease : 0;
        if (lease == 0 || lease_at(core, lease)->token != held->token.value) {
            worker_command_kill(core, index, held);
        }
    }
}
