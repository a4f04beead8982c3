/* schedule_plan.c - when each schedule is due, and what happens then. */
#include "broker/core/state.h"
#include "common/civil.h"
#include "common/hash.h"

enum {
    STEP_COST_MAX = 256, /* of what one step does for schedules: a task costs 1, */
    TIMES_PER_COST = 16, /* and so many due times that are looked at */
    WALK_MAX = 2000,     /* due times of one schedule looked at in one step */
};

/* ---- plans ---- */

const struct jq_zone *schedule_zone(const struct jq_core *core, struct jq_str name) {
    if (jq_str_equal(name, JQ_STR("UTC"))) {
        return &jq_zone_utc;
    }
    return core->config.zone ? core->config.zone(core->config.zone_ctx, name) : NULL;
}

static void set_timer(struct jq_core *core, uint32_t index, int64_t wall_ms) {
    struct schedules *schedules = &core->schedules;
    if (schedules->items[index].timer != 0) {
        jq_heap_remove(&schedules->timers, schedules->items[index].timer);
    }
    if (wall_ms != 0) {
        JQ_CHECK(jq_heap_put(&schedules->timers, wall_ms, index));
    }
}

static void set_trouble(struct jq_core *core, uint32_t index, const char *trouble) {
    struct schedule *schedule = &core->schedules.items[index];
    core->schedules.troubled += (trouble != NULL) - (uint32_t)(schedule->trouble != NULL);
    schedule->trouble = trouble;
}

void schedule_plan(struct jq_core *core, uint32_t index) {
    struct schedule *schedule = &core->schedules.items[index];
    const struct jq_schedule_state *state = &schedule->state;
    const struct jq_zone *zone = schedule_zone(core, schedule->def.zone);
    const char *trouble = NULL;
    schedule->next_wall_ms = 0;
    if (!schedule->readable) {
        trouble = "this version cannot read when it is due";
    } else if (!zone) {
        trouble = "there is no such time zone here";
    } else if (!jq_cron_next(&schedule->cron, zone, state->anchor_wall_ms, state->settled_wall_ms,
                             &schedule->next_wall_ms)) {
        trouble = "it is never due";
    }
    set_trouble(core, index, trouble);
    set_timer(core, index, state->paused ? 0 : schedule->next_wall_ms);
}

void schedules_plan(struct jq_core *core) {
    for (uint32_t i = 1; i < core->schedules.count; i++) {
        if (core->schedules.items[i].used) {
            schedule_plan(core, i);
        }
    }
}

static void move_to(struct jq_core *core, uint32_t index, const struct jq_schedule_state *state) {
    struct jq_record record = {.type = JQ_RECORD_SCHEDULE_MOVED,
                               .u.schedule_moved = {.schedule = index, .state = *state}};
    emit(core, &record);
}

void schedules_set_back(struct jq_core *core) {
    for (uint32_t i = 1; i < core->schedules.count; i++) {
        struct jq_schedule_state state = core->schedules.items[i].state;
        if (!core->schedules.items[i].used || state.settled_wall_ms - core->wall_ms <= JQ_SCHEDULE_BACK_MS) {
            continue;
        }
        state.settled_wall_ms = core->wall_ms;
        state.anchor_wall_ms = state.anchor_wall_ms > core->wall_ms ? core->wall_ms : state.anchor_wall_ms;
        move_to(core, i, &state);
        schedule_plan(core, i);
    }
}

/* ---- one task ---- */

/* The same schedule and due time give the same. */
static int64_t jitter_ms(const struct jq_schedule_def *def, int64_t due_wall_ms) {
    const uint64_t hash = jq_hash_bytes(def->name.data, def->name.size, (uint64_t)due_wall_ms);
    return (int64_t)(hash % ((uint64_t)def->jitter_ms + 1));
}

bool schedule_submit(struct jq_core *core, uint32_t index, int64_t due_wall_ms, jq_task_id *ret_task,
                     struct jq_exception *ret_refused) {
    const struct schedule *schedule = &core->schedules.items[index];
    uint8_t body[JQ_SCHEDULE_BODY_SIZE_MAX];
    char due[JQ_CIVIL_TEXT_SIZE];
    struct jq_submit_item item = schedule->def.task;
    memcpy(body, item.body.data, item.body.size);
    jq_civil_format(due_wall_ms != 0 ? due_wall_ms : core->wall_ms, due);
    memcpy(body + item.body.size - JQ_SCHEDULE_DUE_SIZE, due, JQ_SCHEDULE_DUE_SIZE);
    item.body.data = body;
    struct jq_file missing;
    if (!files_are_stored(core, item.files, &missing)) {
        *ret_refused = (struct jq_exception){
            .status = JQ_REPLY_NOT_FOUND, .field = "inputs", .reason = "the blob of one of its inputs is not stored"};
        return false;
    }
    if (due_wall_ms != 0) {
        item.delay_ms += jitter_ms(&schedule->def, due_wall_ms);
    }
    return submit_scheduled(core, &item, index, due_wall_ms, ret_task, ret_refused);
}

/* ---- what is due ---- */

/* The due times that have passed: the newest of them, as many as may be fired. */
struct passed {
    int64_t ring[JQ_SCHEDULE_CATCH_UP_MAX];
    uint32_t keep, count;
    bool more; /* there are even newer ones */
};

static int64_t passed_at(const struct passed *passed, uint32_t number) {
    return passed->ring[number % passed->keep];
}

static void walk(const struct jq_core *core, const struct schedule *schedule, struct passed *passed) {
    const struct jq_zone *zone = schedule_zone(core, schedule->def.zone);
    int64_t at_ms = schedule->next_wall_ms;
    passed->keep = schedule->def.catch_up == JQ_CATCH_UP_ALL || CANARY(CATCH_UP_BLIND) ? JQ_SCHEDULE_CATCH_UP_MAX : 1;
    passed->count = 0;
    passed->more = true;
    while (passed->more && passed->count < WALK_MAX) {
        passed->ring[passed->count++ % passed->keep] = at_ms;
        passed->more = zone && jq_cron_next(&schedule->cron, zone, schedule->state.anchor_wall_ms, at_ms, &at_ms) &&
                       at_ms <= core->wall_ms;
    }
}

static bool last_still_runs(const struct jq_core *core, const struct schedule *schedule) {
    const uint32_t ref = task_find((struct jq_core *)core, schedule->state.last_task);
    return ref != 0 && !jq_state_is_final((enum jq_state)task_at(core, ref)->state);
}

/* All up to `due_wall_ms` is done with. */
static void settle(struct jq_core *core, uint32_t index, int64_t due_wall_ms, uint64_t missed, uint64_t skipped) {
    struct jq_schedule_state state = core->schedules.items[index].state;
    state.settled_wall_ms = due_wall_ms;
    state.missed += CANARY(MISS_SILENT) ? 0 : missed;
    core->totals.schedules_missed_total += missed;
    state.skipped += skipped;
    move_to(core, index, &state);
    if (missed > 0) {
        news_name(core, JQ_NEWS_SCHEDULE_MISSED, core->schedules.items[index].def.name, (int64_t)missed);
    }
}

/* One due time has come. False: its task cannot be submitted now. */
static bool take(struct jq_core *core, uint32_t index, int64_t due_wall_ms) {
    struct schedule *schedule = &core->schedules.items[index];
    struct jq_exception refused;
    jq_task_id task;
    if (schedule->def.catch_up == JQ_CATCH_UP_NONE && core->wall_ms - due_wall_ms > JQ_SCHEDULE_LATE_MS) {
        settle(core, index, due_wall_ms, 1, 0);
        return true;
    }
    if (schedule->def.skip_overlap && last_still_runs(core, schedule)) {
        settle(core, index, due_wall_ms, 0, 1);
        return true;
    }
    if (schedule_submit(core, index, due_wall_ms, &task, &refused)) {
        return true;
    }
    schedule_plan(core, index);
    set_trouble(core, index, refused.reason);
    set_timer(core, index, core->wall_ms + JQ_SCHEDULE_RETRY_MS);
    return false;
}

/* Gives what it cost. */
static unsigned fire(struct jq_core *core, uint32_t index, unsigned cost_max) {
    struct passed passed;
    walk(core, &core->schedules.items[index], &passed);
    const uint32_t dropped = passed.count > passed.keep ? passed.count - passed.keep : 0;
    unsigned cost = 1 + passed.count / TIMES_PER_COST;
    if (dropped > 0) {
        settle(core, index, passed_at(&passed, dropped) - 1, dropped, 0);
    }
    for (uint32_t i = dropped; i < passed.count && !passed.more; i++) {
        if (i > dropped && cost >= cost_max) {
            break;
        }
        if (!take(core, index, passed_at(&passed, i))) {
            return cost;
        }
        cost++;
    }
    schedule_plan(core, index);
    return cost;
}

/* What is left over comes with the next step, which is wanted at once. */
void schedules_fire(struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->schedules.timers);
    unsigned cost = 0;
    while (!core->stopping && first && first->key <= core->wall_ms && cost < STEP_COST_MAX) {
        cost += fire(core, first->ref, STEP_COST_MAX - cost);
        first = jq_heap_min(&core->schedules.timers);
    }
}

int64_t schedules_deadline_wall_ms(const struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->schedules.timers);
    return first && !core->stopping ? first->key : INT64_MAX;
}
