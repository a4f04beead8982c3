/* workers.c - who works here: registration, the account of what is free, and losing a worker. */
#include <stdlib.h>

#include "broker/core/state.h"

uint32_t worker_of_session(const struct jq_core *core, const struct jq_uuid *session) {
    return jq_strmap_get(&core->worker_sessions, (struct jq_str){(const char *)session->bytes, 16}, 0);
}

/* ---- by name: not unique, the one that registered last comes first ---- */

uint32_t worker_of_name(const struct jq_core *core, struct jq_str name) {
    return jq_strmap_get(&core->worker_names, name, 0);
}

void worker_name_add(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    worker->name_next = worker_of_name(core, worker->name);
    JQ_CHECK(jq_strmap_put(&core->worker_names, worker->name, index));
}

void worker_name_remove(struct jq_core *core, uint32_t index) {
    const struct worker *worker = worker_at(core, index);
    uint32_t before = worker_of_name(core, worker->name);
    if (before == index && worker->name_next == 0) {
        JQ_CHECK(jq_strmap_remove(&core->worker_names, worker->name));
    } else if (before == index) {
        JQ_CHECK(jq_strmap_put(&core->worker_names, worker->name, worker->name_next));
    } else {
        while (worker_at(core, before)->name_next != index) {
            before = worker_at(core, before)->name_next;
        }
        worker_at(core, before)->name_next = worker->name_next;
    }
}

/* ---- the account ---- */

void worker_reserve(struct jq_core *core, struct worker *worker, const struct lease *lease, bool take) {
    if (!worker->profile) {
        return;
    }
    units_account(core, worker, units_of(lease), take);
    const struct plan *plan = profile_plan(core, worker->profile, task_at(core, lease->task)->class_index);
    if (lease->alternative >= plan->alternative_count || CANARY(OVERBOOK)) {
        return;
    }
    const struct plan_alternative *chosen = &plan->alternatives[lease->alternative];
    for (uint32_t i = 0; i < chosen->count; i++) {
        const struct plan_amount *amount = &plan->amounts[chosen->first + i];
        const int64_t change = take ? -(int64_t)amount->amount : (int64_t)amount->amount;
        worker->free[amount->resource] += change;
        worker->told[amount->resource] += change;
    }
}

static void account_open(struct jq_core *core, struct worker *worker) {
    memcpy(worker->free, worker->profile->totals, sizeof(worker->free));
    memcpy(worker->told, worker->profile->totals, sizeof(worker->told));
    memset(worker->taken, 0, sizeof(worker->taken));
    memset(worker->taken_count, 0, sizeof(worker->taken_count));
    for (uint32_t ref = worker->lease_head; ref != 0; ref = lease_at(core, ref)->next) {
        worker_reserve(core, worker, lease_at(core, ref), true);
    }
}

/* ---- what its host ran out of ---- */

int64_t worker_shuns_until_ms(const struct jq_core *core, const struct worker *worker, uint16_t class_index) {
    for (int i = 0; core->now_ms < worker->shuns_until_ms && i < SHUNS_MAX; i++) {
        if (worker->shuns[i].class_place == class_index + 1u && core->now_ms < worker->shuns[i].until_ms) {
            return worker->shuns[i].until_ms;
        }
    }
    return 0;
}

void worker_shun(struct jq_core *core, uint32_t index, uint16_t class_index, int64_t until_ms) {
    struct worker *worker = worker_at(core, index);
    struct shun *place = &worker->shuns[0];
    for (int i = 0; i < SHUNS_MAX; i++) {
        struct shun *shun = &worker->shuns[i];
        if (shun->class_place == class_index + 1u) {
            place = shun;
            break;
        }
        place = shun->until_ms < place->until_ms ? shun : place;
    }
    *place = (struct shun){class_index + 1u, until_ms};
    worker->shuns_until_ms = until_ms > worker->shuns_until_ms ? until_ms : worker->shuns_until_ms;
}

/* ---- heard of, last first ---- */

static void seen_remove(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    if (worker->seen_prev) {
        worker_at(core, worker->seen_prev)->seen_next = worker->seen_next;
    } else if (core->seen_oldest == index) {
        core->seen_oldest = worker->seen_next;
    }
    if (worker->seen_next) {
        worker_at(core, worker->seen_next)->seen_prev = worker->seen_prev;
    } else if (core->seen_newest == index) {
        core->seen_newest = worker->seen_prev;
    }
    worker->seen_prev = 0;
    worker->seen_next = 0;
}

void worker_heard(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    seen_remove(core, index);
    worker->seen_ms = core->now_ms;
    worker->seen_survey = core->surveys_sent;
    worker->seen_prev = core->seen_newest;
    if (core->seen_newest) {
        worker_at(core, core->seen_newest)->seen_next = index;
    } else {
        core->seen_oldest = index;
    }
    core->seen_newest = index;
    if (core->next_survey_ms == INT64_MAX) {
        core->next_survey_ms = core->now_ms + core->config.heartbeat_ms;
    }
}

/* What is between it and us. */
static void session_end(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    reservation_worker_left(core, index);
    poll_drop(core, index);
    worker->cancel_count = 0;
    worker->kill_count = 0;
    worker->held_wanted = false;
    worker->held_asked = false;
    worker->drain_told = false;
    worker->mismatches = 0;
}

/* What is known of it only while it is here. Its leases stay. */
void worker_forget_session(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    struct profile *profile = worker->profile;
    session_end(core, index);
    if (worker->able) {
        worker->able = false;
        profile->able_count--;
    }
    worker->profile = NULL;
    profile_release(core, profile);
}

void worker_lose_leases(struct jq_core *core, uint32_t index) {
    const bool alone = worker_at(core, index)->lease_count == 1;
    while (worker_at(core, index)->lease_head != 0) {
        attempt_lost(core, lease_at(core, worker_at(core, index)->lease_head)->task, alone);
    }
}

/* It is not here, and is not forgotten: what it can run is worth a ring of its doorbell. */
static void worker_rest(struct jq_core *core, uint32_t index) {
    session_end(core, index);
    seen_remove(core, index);
    worker_falls_asleep(core, index);
}

static void worker_forget(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    worker_forget_session(core, index);
    free(worker->cancels);
    free(worker->kills);
    struct jq_record record = {.type = JQ_RECORD_WORKER_GONE, .u.worker_gone = {index}};
    emit(core, &record);
}

/* Its leases have ended: it is forgotten unless it can be woken, or an operator's word (drain) must outlive it. */
static void worker_leave(struct jq_core *core, uint32_t index) {
    if (worker_at(core, index)->doorbell.size > 0) {
        worker_rest(core, index);
        return;
    }
    seen_remove(core, index);
    if (worker_at(core, index)->draining) {
        worker_forget_session(core, index);
    } else {
        worker_forget(core, index);
    }
}

/* It says that it goes, and holds nothing: what was given to it meanwhile goes back, nobody's fault. */
void worker_goes(struct jq_core *core, uint32_t index) {
    while (worker_at(core, index)->lease_head != 0) {
        attempt_returned(core, lease_at(core, worker_at(core, index)->lease_head)->task);
    }
    worker_leave(core, index);
}

void worker_dead(struct jq_core *core, uint32_t index) {
    const struct worker *worker = worker_at(core, index);
    const int64_t unanswered = (int64_t)(core->surveys_sent - worker->seen_survey);
    news_name(core, JQ_NEWS_WORKER_DEAD, worker->name, unanswered);
    worker_lose_leases(core, index);
    worker_leave(core, index);
}

/* ---- registration ---- */

static uint32_t place_for(const struct jq_core *core, const struct jq_uuid *id) {
    const uint32_t known = jq_strmap_get(&core->worker_ids, (struct jq_str){(const char *)id->bytes, 16}, 0);
    if (known != 0) {
        return known;
    }
    for (uint32_t i = 1; i < core->worker_count; i++) {
        if (!core->workers[i].used) {
            return i;
        }
    }
    return core->worker_count <= core->config.workers_max ? core->worker_count : 0;
}

static void register_reply(struct jq_core *core, const struct jq_request *request, uint32_t index) {
    const struct jq_reply_effect reply = {
        .call = request->call, .request = request->id, .op = request->op, .u.reg = {worker_at(core, index)->session}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

/* The answer to it was lost. If what came late of an earlier life of the worker took its place meanwhile, that one's session is
 * not this one's: it has other leases, offers and handlers. */
static void register_again(struct jq_core *core, const struct jq_request *request, uint32_t index) {
    if (worker_at(core, index)->incarnation == request->u.reg.incarnation) {
        register_reply(core, request, index);
    } else {
        reply_refuse(core, request, JQ_REPLY_CONFLICT, "incarnation", "another has registered since: register anew");
    }
}

static void cancels_restore(struct jq_core *core, uint32_t index) {
    for (uint32_t ref = worker_at(core, index)->lease_head; ref != 0; ref = lease_at(core, ref)->next) {
        const struct task *task = task_at(core, lease_at(core, ref)->task);
        if (task->state == JQ_STATE_CANCELLING) {
            worker_command_cancel(core, index, (jq_task_id){task->id});
        }
    }
}

/* How many others are here under its name. */
static int64_t namesakes(const struct jq_core *core, uint32_t index) {
    int64_t count = 0;
    for (uint32_t at = worker_of_name(core, worker_at(core, index)->name); at != 0;
         at = worker_at(core, at)->name_next) {
        count += at != index && worker_at(core, at)->profile != NULL && !worker_at(core, at)->asleep;
    }
    return count;
}

static void enrol(struct jq_core *core, const struct jq_request *request, uint32_t index, struct profile *profile) {
    const bool known = index < core->worker_count && worker_at(core, index)->used;
    if (known && worker_at(core, index)->incarnation != request->u.reg.incarnation) {
        worker_lose_leases(core, index);
    }
    const bool renamed = known && !jq_str_equal(worker_at(core, index)->name, request->u.reg.name);
    if (renamed) {
        breakers_worker_leaves(core, index);
    }
    if (known) {
        worker_forget_session(core, index);
    }
    struct jq_record record = {.type = JQ_RECORD_WORKER_REGISTERED,
                               .u.worker_registered = {.worker = index,
                                                       .id = request->u.reg.id,
                                                       .session = request->u.reg.session,
                                                       .incarnation = request->u.reg.incarnation,
                                                       .name = request->u.reg.name}};
    emit(core, &record);
    struct worker *worker = worker_at(core, index);
    if (renamed) {
        breakers_worker_joins(core, index);
    }
    worker->profile = profile;
    account_open(core, worker);
    worker_take_doorbell(core, index, request->u.reg.doorbell);
    worker_note_able(core, index);
    cancels_restore(core, index);
    worker_heard(core, index);
    news_name(core, JQ_NEWS_WORKER_REGISTERED, worker->name, namesakes(core, index));
}

/* Makes room for one that is awake: of those who sleep, the one whose doorbell was rung in vain most often is forgotten. */
static bool forget_a_sleeper(struct jq_core *core) {
    uint32_t least = 0;
    for (uint32_t i = 0; i < core->sleeper_count; i++) {
        const struct worker *worker = worker_at(core, core->sleepers[i]);
        if (!worker->draining && (least == 0 || worker->ring_count > worker_at(core, least)->ring_count)) {
            least = core->sleepers[i];
        }
    }
    if (least != 0) {
        worker_forget(core, least);
    }
    return least != 0;
}

void worker_register(struct jq_core *core, const struct jq_request *request) {
    const struct answer *answer = NULL;
    const enum window_verdict seen = window_look(core, request, &answer);
    if (window_refuses(core, request, seen)) {
        return;
    }
    uint32_t index = place_for(core, &request->u.reg.id);
    if (seen == WINDOW_AGAIN && index < core->worker_count && worker_at(core, index)->used) {
        register_again(core, request, index);
        return;
    }
    if (index == 0 && forget_a_sleeper(core)) {
        index = place_for(core, &request->u.reg.id);
    }
    if (index == 0) {
        reply_refuse(core, request, JQ_REPLY_BUSY, "workers", "workers_max reached");
        return;
    }
    struct profile *profile = NULL;
    struct jq_error error;
    if (profile_make(core, request, &profile, &error) != JQ_OK) {
        reply_refuse(core, request, JQ_REPLY_INVALID, "register", error.message);
        return;
    }
    enrol(core, request, index, profile);
    const struct jq_verdict verdict = {.op = (uint8_t)request->op, .first = index};
    window_record(core, &request->sender, request->id, request->done, &verdict);
    register_reply(core, request, index);
}
