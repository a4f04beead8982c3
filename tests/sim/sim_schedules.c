/* sim_schedules.c - each due time of a schedule comes to one end: it made one task, or it counts as missed or skipped, as the
 * schedule's own word on catching up says. Due times are counted here by arithmetic, whatever the broker slept through. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/core/schedules.h"
#include "common/buf.h"
#include "tests/sim/sim.h"

enum { MINUTE_MS = 60000 };

static struct sim_schedule *schedule_at(struct sim *sim, uint32_t index) {
    if (index >= SIM_SCHEDULES_MAX) {
        sim_fail(sim, "schedule %" PRIu32 ": there are not so many", index);
    }
    return &sim->oracle.schedules[index];
}

static int64_t wall_ms(const struct sim *sim) {
    return sim->now_ms + sim->wall_offset_ms;
}

/* ---- due times: those that the clients of the simulator ask for ---- */

static void read_when(struct sim_schedule *schedule, struct jq_str when) {
    schedule->counted_from_anchor = when.size > 0 && when.data[0] == '@';
    if (schedule->counted_from_anchor) {
        schedule->every_ms = 1000 * (int64_t)strtol(when.data + strlen("@every "), NULL, 10);
    } else {
        schedule->every_ms = jq_str_equal(when, JQ_STR("* * * * *")) ? MINUTE_MS : 2 * MINUTE_MS;
    }
}

static int64_t base_ms(const struct sim_schedule *schedule) {
    return schedule->counted_from_anchor ? schedule->state.anchor_wall_ms : 0;
}

static int64_t next_due_ms(const struct sim_schedule *schedule, int64_t after_ms) {
    const int64_t base = base_ms(schedule);
    const int64_t passed = after_ms < base ? 0 : (after_ms - base) / schedule->every_ms;
    return base + (passed + 1) * schedule->every_ms;
}

/* Behind `after_ms`, up to and with `to_ms`. */
static uint64_t due_count(const struct sim_schedule *schedule, int64_t after_ms, int64_t to_ms) {
    const int64_t first_ms = next_due_ms(schedule, after_ms);
    return first_ms > to_ms ? 0 : 1 + (uint64_t)((to_ms - first_ms) / schedule->every_ms);
}

/* ---- fold ---- */

static void set(struct sim *sim, const struct jq_record *record) {
    struct sim_schedule *schedule = schedule_at(sim, record->u.schedule_set.schedule);
    struct jq_reader in = jq_reader_of(record->u.schedule_set.definition);
    (void)jq_read_u8(&in); /* version */
    (void)jq_read_str(&in, JQ_NAME_SIZE_MAX);
    read_when(schedule, jq_read_str(&in, UINT16_MAX));
    (void)jq_read_str(&in, UINT16_MAX); /* zone: it is UTC */
    schedule->catch_up = jq_read_u8(&in);
    schedule->skip_overlap = jq_read_u8(&in) != 0;
    JQ_CHECK(!in.failed);
    schedule->used = true;
    schedule->state = record->u.schedule_set.state;
}

void schedules_forget(struct sim *sim) {
    memset(sim->oracle.schedules, 0, sizeof(sim->oracle.schedules));
}

void schedules_record(struct sim *sim, const struct jq_record *record) {
    const uint64_t before = sim->oracle.schedule_records++;
    switch (record->type) {
    case JQ_RECORD_SCHEDULE_SET: set(sim, record); break;
    case JQ_RECORD_SCHEDULE_MOVED:
        schedule_at(sim, record->u.schedule_moved.schedule)->state = record->u.schedule_moved.state;
        break;
    case JQ_RECORD_SCHEDULE_FORGOTTEN:
        *schedule_at(sim, record->u.schedule_forgotten.schedule) = (struct sim_schedule){.used = false};
        break;
    case JQ_RECORD_TASK_SUBMITTED:
        if (record->u.task_submitted.schedule > 0 && record->u.task_submitted.due_wall_ms > 0) {
            schedule_at(sim, record->u.task_submitted.schedule)->state.settled_wall_ms =
                record->u.task_submitted.due_wall_ms;
        }
        break;
    default: sim->oracle.schedule_records = before; break;
    }
}

/* ---- what must hold ---- */

/* Late beyond its measure, or not the last one: then it is not to be made up for. */
static void check_catch_up(struct sim *sim, const struct sim_schedule *schedule, uint32_t index, int64_t due_ms) {
    if (schedule->catch_up == JQ_CATCH_UP_NONE && wall_ms(sim) - due_ms > JQ_SCHEDULE_LATE_MS) {
        sim_fail(sim, "schedule %" PRIu32 " fires for a time that it missed, and makes up for none", index);
    }
    if (schedule->catch_up == JQ_CATCH_UP_LAST && next_due_ms(schedule, due_ms) <= wall_ms(sim)) {
        sim_fail(sim, "schedule %" PRIu32 " fires for a time that is not the last that it missed", index);
    }
}

static void check_fired(struct sim *sim, const struct jq_record *record) {
    const uint32_t index = record->u.task_submitted.schedule;
    const struct sim_schedule *schedule = schedule_at(sim, index);
    const int64_t due_ms = record->u.task_submitted.due_wall_ms;
    if (due_ms == 0) {
        return; /* by hand */
    }
    if (due_ms > wall_ms(sim)) {
        sim_fail(sim, "schedule %" PRIu32 " fires before its time", index);
    }
    if (due_ms <= schedule->state.settled_wall_ms) {
        sim_fail(sim, "schedule %" PRIu32 " fires twice for one time", index);
    }
    if (!schedule->used || schedule->state.paused) {
        sim_fail(sim, "schedule %" PRIu32 " fires, and is paused or was removed", index);
    }
    if (next_due_ms(schedule, schedule->state.settled_wall_ms) != due_ms) {
        sim_fail(sim, "schedule %" PRIu32 " fires for a time that is not due, or has passed one over", index);
    }
    check_catch_up(sim, schedule, index, due_ms);
    sim->counts.fired++;
}

static void check_missed(struct sim *sim, const struct sim_schedule *schedule, uint32_t index,
                         const struct jq_schedule_state *state) {
    const uint64_t missed = state->missed - schedule->state.missed, skipped = state->skipped - schedule->state.skipped;
    if (due_count(schedule, schedule->state.settled_wall_ms, state->settled_wall_ms) != missed + skipped) {
        sim_fail(sim, "schedule %" PRIu32 " passes over other times than it counts as missed or skipped", index);
    }
    if (skipped > 0 && !schedule->skip_overlap) {
        sim_fail(sim, "schedule %" PRIu32 " skips a time because the last task runs, and was not told to", index);
    }
    if (schedule->catch_up == JQ_CATCH_UP_ALL && missed > 0 &&
        due_count(schedule, schedule->state.settled_wall_ms, wall_ms(sim)) <= JQ_SCHEDULE_CATCH_UP_MAX) {
        sim_fail(sim, "schedule %" PRIu32 " misses a time, and is to make up for all", index);
    }
    if (schedule->catch_up == JQ_CATCH_UP_LAST && missed > 0 &&
        next_due_ms(schedule, state->settled_wall_ms) > wall_ms(sim)) {
        sim_fail(sim, "schedule %" PRIu32 " misses the last of its times, and is to make up for that", index);
    }
    sim->counts.missed += missed;
}

static void check_moved(struct sim *sim, const struct jq_record *record) {
    const uint32_t index = record->u.schedule_moved.schedule;
    const struct sim_schedule *schedule = schedule_at(sim, index);
    const struct jq_schedule_state *state = &record->u.schedule_moved.state;
    const bool resumes = schedule->state.paused && !state->paused;
    if (state->settled_wall_ms < schedule->state.settled_wall_ms) {
        sim_fail(sim, "schedule %" PRIu32 " is set back behind a time that it is done with", index);
    }
    if (!resumes) {
        check_missed(sim, schedule, index, state);
    }
}

void schedules_check(struct sim *sim, const struct jq_record *record) {
    if (record->type == JQ_RECORD_SCHEDULE_MOVED) {
        check_moved(sim, record);
    } else if (record->type == JQ_RECORD_TASK_SUBMITTED && record->u.task_submitted.schedule > 0) {
        check_fired(sim, record);
    }
}

/* What is due is done in that step, as long as nothing is refused. */
void schedules_step(struct sim *sim, const struct jq_server_row *status) {
    struct sim_oracle *oracle = &sim->oracle;
    const bool quiet = oracle->schedule_records == oracle->schedule_mark;
    oracle->schedule_mark = oracle->schedule_records;
    if (!quiet || sim->broker.stopping || status->schedules_troubled > 0) {
        return;
    }
    for (uint32_t i = 0; i < SIM_SCHEDULES_MAX && status->schedules > 0; i++) {
        const struct sim_schedule *schedule = &oracle->schedules[i];
        if (schedule->used && !schedule->state.paused &&
            next_due_ms(schedule, schedule->state.settled_wall_ms) <= wall_ms(sim)) {
            sim_fail(sim, "schedule %" PRIu32 " is due, and nothing comes of it", i);
        }
    }
}
