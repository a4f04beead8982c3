/* Schedules: cron entries with a time zone each live in the broker, are journalled, and fire exactly once per due time across restarts;
 * a missed one follows its catch_up policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/record.h"
#include "common/civil.h"
#include "common/zone.h"
#include "tests/lib/lab.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

/* ---- the bench --------------------------------------------------------------------------------------------------- */

/* The zones of this machine, as long as the test lets them be. */
struct zones {
    struct jq_zone *berlin;
};

static const struct jq_zone *find_zone(void *ctx, struct jq_str name) {
    const struct zones *zones = ctx;
    return jq_str_equal(name, JQ_STR("Europe/Berlin")) ? zones->berlin : NULL;
}

static struct jq_zone *rule(const char *text) {
    struct jq_zone *zone = NULL;
    assert_int_equal(jq_zone_of_rule(jq_str_of(text), &zone, NULL), JQ_OK);
    return zone;
}

/* The clock on the wall shows `wall`, UTC. */
static struct lab *lab_at(struct zones *zones, const struct jq_civil *wall) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 64;
    config.classes_max = 64;
    config.options_max = 64;
    zones->berlin = rule("CET-1CEST,M3.5.0,M10.5.0/3");
    config.zone = find_zone;
    config.zone_ctx = zones;
    struct lab *lab = lab_new_with(&config);
    move_wall_ms(lab, jq_civil_to_s(wall) * 1000 - lab->wall_offset_ms);
    return lab;
}

/* Noon of a Thursday. */
static struct lab *lab_at_noon(struct zones *zones) {
    return lab_at(zones, &(struct jq_civil){2026, 1, 1, 12, 0, 0});
}

static void end(struct lab *lab, struct zones *zones) {
    expect_replay_matches_live(lab);
    lab_free(lab);
    jq_zone_free(zones->berlin);
}

static struct jq_schedule_def def_of(const char *name, const char *when) {
    static const uint8_t body[] = "payload and headers 0000-00-00T00:00:00Z";
    struct jq_schedule_def def = {.name = jq_str_of(name),
                                  .when = jq_str_of(when),
                                  .zone = JQ_STR("UTC"),
                                  .catch_up = JQ_CATCH_UP_LAST,
                                  .task = lab_item()};
    def.task.body = (struct jq_bytes){body, sizeof(body) - 1};
    return def;
}

static const struct jq_reply_effect *ask_to_set(struct lab *lab, const struct jq_schedule_def *def) {
    struct jq_request request = lab_request(lab, JQ_OP_SCHEDULE_SET);
    request.u.schedule.def = *def;
    return lab_ask(lab, &request);
}

static void set(struct lab *lab, const struct jq_schedule_def *def) {
    const struct jq_reply_effect *reply = ask_to_set(lab, def);
    assert_non_null(reply);
    if (reply->status != JQ_REPLY_OK)
        fail_msg("%s: %s", reply->field, reply->reason);
}

static void set_simply(struct lab *lab, const char *name, const char *when, enum jq_catch_up catch_up) {
    struct jq_schedule_def def = def_of(name, when);
    def.catch_up = catch_up;
    set(lab, &def);
}

static const struct jq_reply_effect *ask_about(struct lab *lab, enum jq_op op, const char *name, bool on) {
    struct jq_request request = lab_request(lab, op);
    request.u.named.name = jq_str_of(name);
    request.u.named.on = on;
    return lab_ask(lab, &request);
}

static const struct jq_schedule_row *show(struct lab *lab, const char *name) {
    const struct jq_reply_effect *reply = ask_about(lab, JQ_OP_SCHEDULE_SHOW, name, false);
    assert_non_null(reply);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    return &reply->u.schedules.rows[0];
}

static uint64_t queued(struct lab *lab) {
    struct jq_server_row row;
    jq_core_status(lab->core, &row);
    return row.tasks_live;
}

static void expect_counts(struct lab *lab, const char *name, uint64_t fired, uint64_t missed, uint64_t skipped) {
    const struct jq_schedule_row *row = show(lab, name);
    if (row->state.fired != fired || row->state.missed != missed || row->state.skipped != skipped)
        fail_msg("%s: fired %llu, missed %llu, skipped %llu", name, (unsigned long long)row->state.fired,
                 (unsigned long long)row->state.missed, (unsigned long long)row->state.skipped);
}

static void expect_troubled(struct lab *lab, uint32_t count) {
    struct jq_server_row row;
    jq_core_status(lab->core, &row);
    assert_int_equal(row.schedules_troubled, count);
}

/* The broker is down for so long. */
static void down_ms(struct lab *lab, int64_t ms) {
    lab->now_ms += ms;
    restart_broker(lab);
    advance_ms(lab, 0);
}

/* ---- firing ------------------------------------------------------------------------------------------------------ */

/* A schedule submits one task each time it is due, in its own time zone, not a moment before. */
static void each_due_time_makes_one_task(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    struct jq_schedule_def def = def_of("report", "30 14 * * *");
    (void)state;
    def.zone = JQ_STR("Europe/Berlin"); /* 13:30 UTC */
    set(lab, &def);
    advance_ms(lab, 90 * MINUTE - 1);
    expect_trace(lab, "[0] schedule report on\n");
    advance_ms(lab, 1);
    expect_trace(lab, "");
    assert_int_equal(queued(lab), 1);
    advance_ms(lab, 3 * (int64_t)DAY);
    assert_int_equal(queued(lab), 4);
    expect_counts(lab, "report", 4, 0, 0);
    end(lab, &zones);
}

/* Its next times are told, five of them, and what its last task was. */
static void the_next_times_are_told(void **state) {
    struct zones zones;
    struct lab *lab = lab_at(&zones, &(struct jq_civil){2026, 3, 27, 12, 0, 0});
    struct jq_schedule_def def = def_of("report", "30 2 * * *");
    (void)state;
    def.zone = JQ_STR("Europe/Berlin");
    set(lab, &def);
    const struct jq_schedule_row *row = show(lab, "report");
    static const char *const times[] = {"2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z",
                                        "2026-03-31T00:30:00Z", "2026-04-01T00:30:00Z"};
    assert_int_equal(row->time_count, 5);
    for (size_t i = 0; i < 5; i++) {
        char place[JQ_CIVIL_TEXT_SIZE];
        assert_string_equal(jq_civil_format(row->times[i], place), times[i]);
    }
    advance_ms(lab, DAY);
    row = show(lab, "report");
    assert_int_equal(task_state(lab, row->state.last_task), JQ_STATE_READY);
    assert_true(row->state.last_due_wall_ms == row->times[0] - (int64_t)DAY + 30 * (int64_t)MINUTE);
    end(lab, &zones);
}

/* Every due time fires exactly once, however often the broker is killed and started. */
static void restarts_fire_nothing_twice_and_leave_nothing_out(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    set_simply(lab, "often", "@every 7s", JQ_CATCH_UP_ALL);
    for (int i = 0; i < 200; i++) {
        advance_ms(lab, 2500);
        if (i % 3 == 0)
            down_ms(lab, 1000 + i);
    }
    const int64_t passed = (lab->now_ms - lab->log.entries[0].time_ms) / 7000;
    assert_int_equal(queued(lab), (uint64_t)passed);
    expect_counts(lab, "often", (uint64_t)passed, 0, 0);
    end(lab, &zones);
}

/* A lab whose log is that of `whole` as far as its first `count` records. */
static struct lab *lab_of_cut(struct lab *whole, struct zones *zones, size_t count) {
    struct lab *lab = lab_at_noon(zones);
    int64_t time_ms = 0;
    corelog_fini(&lab->log);
    corelog_init(&lab->log, &lab->config);
    for (size_t i = 0; i < count; i++) {
        const struct corelog_entry *entry = &whole->log.entries[i];
        const struct jq_bytes bytes = {whole->log.bytes.data + entry->at, entry->size};
        struct jq_record record;
        bool clock = false;
        assert_int_equal(jq_record_decode(entry->type, bytes, &time_ms, &record, &clock, NULL), JQ_OK);
        if (!clock)
            corelog_append(&lab->log, &record);
    }
    jq_core_free(lab->core);
    assert_int_equal(jq_core_new(&lab->config, 5, &lab->core, NULL), JQ_OK);
    assert_int_equal(corelog_replay(&lab->log, lab->core, NULL), JQ_OK);
    lab->epoch = whole->epoch;
    lab->now_ms = time_ms;
    lab->client_request = whole->client_request;
    restart_broker(lab);
    return lab;
}

/* The log may end after any record: a task and the step of its schedule are one, so there is no cut that has one of them alone. */
static void every_cut_fires_each_due_time_once(void **state) {
    struct zones zones;
    struct lab *whole = lab_at_noon(&zones);
    (void)state;
    set_simply(whole, "often", "@every 10s", JQ_CATCH_UP_ALL);
    const size_t set_count = whole->log.count;
    for (int i = 0; i < 3; i++) {
        advance_ms(whole, 25 * SECOND);
        submit_task(whole, "other");
        lab_prologue(whole);
    }
    for (size_t count = set_count; count <= whole->log.count; count++) {
        struct zones others;
        struct lab *lab = lab_of_cut(whole, &others, count);
        advance_ms(lab, 95 * SECOND - lab->now_ms);
        expect_counts(lab, "often", 9, 0, 0);
        const uint64_t by_hand = queued(lab) - 9;
        assert_in_range(by_hand, 0, 3);
        end(lab, &others);
    }
    end(whole, &zones);
}

/* A log that has left its beginning behind still knows every schedule: each prologue states them again. */
static void a_prologue_states_schedules_again(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    set_simply(lab, "gone", "@hourly", JQ_CATCH_UP_LAST);
    set_simply(lab, "kept", "@hourly", JQ_CATCH_UP_LAST);
    assert_int_equal(ask_about(lab, JQ_OP_SCHEDULE_RM, "gone", false)->status, JQ_REPLY_OK);
    advance_ms(lab, 10);
    lab_prologue(lab);
    lab_prologue(lab);
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    restart_broker(lab);
    advance_ms(lab, HOUR);
    assert_int_equal(queued(lab), 1);
    expect_counts(lab, "kept", 1, 0, 0);
    assert_int_equal(ask_about(lab, JQ_OP_SCHEDULE_SHOW, "gone", false)->status, JQ_REPLY_NOT_FOUND);
    end(lab, &zones);
}

/* ---- what was missed --------------------------------------------------------------------------------------------- */

/* Down for five and a half hours: `none` makes up for nothing, `last` for the last of the hours, `all` for each of them. */
static void what_was_missed_follows_the_policy(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    set_simply(lab, "none", "@hourly", JQ_CATCH_UP_NONE);
    set_simply(lab, "last", "@hourly", JQ_CATCH_UP_LAST);
    set_simply(lab, "all", "@hourly", JQ_CATCH_UP_ALL);
    down_ms(lab, 5 * HOUR + 30 * MINUTE);
    expect_counts(lab, "none", 0, 5, 0);
    expect_counts(lab, "last", 1, 4, 0);
    expect_counts(lab, "all", 5, 0, 0);
    advance_ms(lab, 30 * MINUTE);
    expect_counts(lab, "none", 1, 5, 0);
    expect_counts(lab, "last", 2, 4, 0);
    expect_counts(lab, "all", 6, 0, 0);
    assert_int_equal(queued(lab), 9);
    end(lab, &zones);
}

/* A broker that is late by seconds has missed nothing, whatever the policy. */
static void a_little_late_is_not_missed(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    set_simply(lab, "none", "@hourly", JQ_CATCH_UP_NONE);
    down_ms(lab, HOUR + 59 * SECOND);
    expect_counts(lab, "none", 1, 0, 0);
    down_ms(lab, HOUR + 2 * SECOND);
    expect_counts(lab, "none", 1, 1, 0);
    end(lab, &zones);
}

/* A year of minutes is not made up for: `all` has a bound, the oldest are passed over, and no step does more than a slice of it. */
static void making_up_is_bounded_and_comes_in_slices(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    set_simply(lab, "all", "* * * * *", JQ_CATCH_UP_ALL);
    set_simply(lab, "last", "* * * * *", JQ_CATCH_UP_LAST);
    const int64_t minutes = 30 * 24 * 60;
    lab->now_ms += minutes * MINUTE;
    restart_broker(lab);
    uint64_t before = 0;
    for (int steps = 0; jq_core_deadline_ms(lab->core) <= lab->now_ms; steps++) {
        sleep_broker_ms(lab, 0);
        assert_in_range(queued(lab) - before, 0, 2 * 256); /* it is two steps */
        before = queued(lab);
        assert_in_range(steps, 0, 200);
    }
    expect_counts(lab, "all", 1000, (uint64_t)minutes - 1000, 0);
    expect_counts(lab, "last", 1, (uint64_t)minutes - 1, 0);
    end(lab, &zones);
}

/* ---- the clock on the wall --------------------------------------------------------------------------------------- */

/* Set back, the clock shows the same times again: nothing is fired for them twice. */
static void a_clock_set_back_fires_nothing_twice(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    set_simply(lab, "hourly", "@hourly", JQ_CATCH_UP_ALL);
    advance_ms(lab, 3 * HOUR + MINUTE);
    expect_counts(lab, "hourly", 3, 0, 0);
    move_wall_ms(lab, -2 * HOUR);
    advance_ms(lab, 2 * HOUR);
    expect_counts(lab, "hourly", 3, 0, 0);
    restart_broker(lab);
    advance_ms(lab, HOUR);
    expect_counts(lab, "hourly", 4, 0, 0);
    end(lab, &zones);
}

/* Set forward, it leaves times out: they are missed. */
static void a_clock_set_forward_misses_what_lies_between(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    set_simply(lab, "last", "@hourly", JQ_CATCH_UP_LAST);
    move_wall_ms(lab, 3 * HOUR + MINUTE);
    expect_counts(lab, "last", 1, 2, 0);
    end(lab, &zones);
}

/* A clock that was years ahead and is put right does not hold a schedule for years. */
static void a_clock_that_was_far_ahead_is_put_right(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    set_simply(lab, "hourly", "@hourly", JQ_CATCH_UP_NONE);
    set_simply(lab, "often", "@every 1h", JQ_CATCH_UP_NONE);
    move_wall_ms(lab, 40 * (int64_t)DAY);
    advance_ms(lab, HOUR);
    expect_counts(lab, "hourly", 2, 959, 0); /* noon of the last of the days was not missed */
    move_wall_ms(lab, -40 * (int64_t)DAY);
    restart_broker(lab);
    advance_ms(lab, 2 * HOUR);
    expect_counts(lab, "hourly", 4, 959, 0);
    end(lab, &zones);
}

/* A zone that is no longer there: the schedule says so and waits, it never fires at a wrong time; when the zone is back, it goes on. */
static void a_zone_that_is_gone_is_told_and_waited_for(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    struct jq_schedule_def def = def_of("report", "@hourly");
    (void)state;
    def.zone = JQ_STR("Europe/Berlin");
    set(lab, &def);
    struct jq_zone *berlin = zones.berlin;
    zones.berlin = NULL;
    restart_broker(lab);
    advance_ms(lab, 2 * HOUR);
    assert_string_equal(show(lab, "report")->trouble, "there is no such time zone here");
    assert_true(show(lab, "report")->next_wall_ms == 0);
    expect_troubled(lab, 1);
    expect_counts(lab, "report", 0, 0, 0);
    zones.berlin = berlin;
    struct jq_event event = {.type = JQ_EVENT_ZONES};
    lab_step(lab, &event);
    advance_ms(lab, 0);
    assert_null(show(lab, "report")->trouble);
    expect_troubled(lab, 0);
    expect_counts(lab, "report", 1, 1, 0);
    end(lab, &zones);
}

/* ---- steering ---------------------------------------------------------------------------------------------------- */

/* While it is paused nothing is submitted, and nothing of that time is made up for. */
static void a_paused_schedule_waits(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    set_simply(lab, "hourly", "@hourly", JQ_CATCH_UP_ALL);
    assert_int_equal(ask_about(lab, JQ_OP_SCHEDULE_PAUSE, "hourly", true)->status, JQ_REPLY_OK);
    advance_ms(lab, 3 * HOUR);
    restart_broker(lab);
    advance_ms(lab, 30 * MINUTE);
    expect_counts(lab, "hourly", 0, 0, 0);
    assert_int_equal(ask_about(lab, JQ_OP_SCHEDULE_PAUSE, "hourly", false)->status, JQ_REPLY_OK);
    advance_ms(lab, 30 * MINUTE);
    expect_counts(lab, "hourly", 1, 0, 0);
    expect_trace(lab, "[0] schedule hourly on\n[0] schedule hourly paused\n[12600000] schedule hourly on\n");
    end(lab, &zones);
}

/* `overlap = skip`: nothing is submitted while the last task has not ended. */
static void a_task_that_still_runs_is_not_overlapped(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    struct jq_schedule_def def = def_of("backup", "@hourly");
    (void)state;
    def.skip_overlap = true;
    set(lab, &def);
    advance_ms(lab, 3 * HOUR);
    expect_counts(lab, "backup", 1, 0, 2);
    restart_broker(lab);
    register_worker(lab, lab_worker(lab, "worker-1"));
    assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
    advance_ms(lab, HOUR);
    expect_counts(lab, "backup", 2, 0, 2);
    end(lab, &zones);
}

/* `jitter`: each task is ready a little later, never more than said, and not all by the same. */
static void jitter_spreads_the_tasks(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    struct jq_schedule_def def = def_of("poll", "@hourly");
    int64_t least_ms = DAY, most_ms = 0;
    (void)state;
    def.jitter_ms = 10 * MINUTE;
    set(lab, &def);
    for (int i = 0; i < 20; i++) {
        advance_ms(lab, HOUR);
        const struct jq_schedule_row *row = show(lab, "poll");
        const int64_t late_ms =
            task_row_of(lab, row->state.last_task).at_ms + lab->wall_offset_ms - row->state.last_due_wall_ms;
        least_ms = late_ms < least_ms ? late_ms : least_ms;
        most_ms = late_ms > most_ms ? late_ms : most_ms;
    }
    assert_in_range(least_ms, 0, 3 * MINUTE);
    assert_in_range(most_ms, 7 * MINUTE, 10 * MINUTE);
    end(lab, &zones);
}

/* Set again with another definition it goes by that from now on, and keeps its history; with the same one nothing changes. */
static void a_schedule_is_replaced(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    set_simply(lab, "often", "@every 1h", JQ_CATCH_UP_LAST);
    advance_ms(lab, HOUR + 30 * MINUTE);
    set_simply(lab, "often", "@every 1h", JQ_CATCH_UP_LAST);
    advance_ms(lab, 30 * MINUTE);
    expect_counts(lab, "often", 2, 0, 0);
    set_simply(lab, "often", "@every 10m", JQ_CATCH_UP_LAST);
    advance_ms(lab, 25 * MINUTE);
    expect_counts(lab, "often", 4, 0, 0);
    const struct jq_schedule_row *row = show(lab, "often");
    assert_true(jq_str_equal(row->def.when, JQ_STR("@every 10m")));
    end(lab, &zones);
}

/* `run` submits its task now, besides: what is due stays due. The same request sent twice makes one task. */
static void a_schedule_is_run_by_hand(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    set_simply(lab, "hourly", "@hourly", JQ_CATCH_UP_LAST);
    struct jq_request request = lab_request(lab, JQ_OP_SCHEDULE_RUN);
    request.u.named.name = JQ_STR("hourly");
    const uint64_t task = lab_ask(lab, &request)->u.submit.first;
    assert_int_equal(lab_ask(lab, &request)->u.submit.first, task);
    restart_broker(lab);
    assert_int_equal(lab_ask(lab, &request)->u.submit.first, task);
    assert_int_equal(queued(lab), 1);
    advance_ms(lab, HOUR);
    assert_int_equal(queued(lab), 2);
    expect_counts(lab, "hourly", 1, 0, 0);
    end(lab, &zones);
}

/* A queue that is full refuses the task of a schedule too: it says why, tries again, and nothing is lost. */
static void a_full_queue_delays_a_schedule(void **state) {
    static const struct jq_queue_config small = {.name = "small", .depth_max = 1};
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    struct jq_schedule_def def = def_of("hourly", "@hourly");
    (void)state;
    lab->config.queues = &small;
    lab->config.queue_count = 1;
    restart_broker(lab);
    def.task.queue = JQ_STR("small");
    set(lab, &def);
    const jq_task_id in_the_way = submit_task(lab, "small");
    advance_ms(lab, HOUR + MINUTE);
    expect_counts(lab, "hourly", 0, 0, 0);
    assert_string_equal(show(lab, "hourly")->trouble, "the queue is full");
    assert_int_equal(cancel_task(lab, in_the_way), JQ_REPLY_OK);
    advance_ms(lab, 5 * SECOND);
    expect_counts(lab, "hourly", 1, 0, 0);
    assert_null(show(lab, "hourly")->trouble);
    end(lab, &zones);
}

/* What will never come, or cannot be understood here, is refused, naming the field and the reason; nothing of it is kept. */
static void what_never_fires_is_refused(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    (void)state;
    static const struct {
        const char *when, *zone, *field, *reason;
    } cases[] = {
        {"0 0 30 2 *", "UTC", "when", "it is never due"},
        {"0 25 * * *", "UTC", "when", "hour: 25 is above 23"},
        {"@daily", "Europe/Berln", "zone", "there is no such time zone here"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jq_schedule_def def = def_of("bad", cases[i].when);
        def.zone = jq_str_of(cases[i].zone);
        const struct jq_reply_effect *reply = ask_to_set(lab, &def);
        assert_int_equal(reply->status, JQ_REPLY_INVALID);
        assert_string_equal(reply->field, cases[i].field);
        assert_string_equal(reply->reason, cases[i].reason);
    }
    static const enum jq_op ops[] = {JQ_OP_SCHEDULE_SHOW, JQ_OP_SCHEDULE_RM, JQ_OP_SCHEDULE_PAUSE, JQ_OP_SCHEDULE_RUN};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        assert_int_equal(ask_about(lab, ops[i], "bad", true)->status, JQ_REPLY_NOT_FOUND);
    end(lab, &zones);
}

/* All schedules together are bounded, since each prologue states them all: the one too many is told so, and a smaller one still fits. */
static void schedules_are_bounded(void **state) {
    static uint8_t body[JQ_SCHEDULE_BODY_SIZE_MAX];
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    const struct jq_reply_effect *reply = NULL;
    char name[] = "s000";
    (void)state;
    do {
        struct jq_schedule_def def = def_of(name, "@daily");
        def.task.body = (struct jq_bytes){body, sizeof(body)};
        reply = ask_to_set(lab, &def);
        for (int digit = 3; ++name[digit] > '9' && digit > 0; digit--)
            name[digit] = '0';
    } while (reply->status == JQ_REPLY_OK);
    assert_int_equal(reply->status, JQ_REPLY_BUSY);
    assert_string_equal(reply->reason, "all schedules together may have 4 MiB");
    assert_int_equal(name[1], '5'); /* five hundred and a few */
    set_simply(lab, "small", "@daily", JQ_CATCH_UP_LAST);
    restart_broker(lab);
    end(lab, &zones);
}

/* A thousand schedules that are due at the same moment all fire, in slices. */
static void many_at_once_come_in_slices(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    uint64_t before = 0;
    char name[] = "s000";
    (void)state;
    for (int i = 0; i < 1000; i++) {
        set_simply(lab, name, "0 13 * * *", JQ_CATCH_UP_NONE);
        for (int digit = 3; ++name[digit] > '9' && digit > 0; digit--)
            name[digit] = '0';
    }
    lab->now_ms += HOUR;
    for (int steps = 0; jq_core_deadline_ms(lab->core) <= lab->now_ms; steps++) {
        sleep_broker_ms(lab, 0);
        assert_in_range(queued(lab) - before, 0, 2 * 256);
        before = queued(lab);
        assert_in_range(steps, 0, 20);
    }
    assert_int_equal(queued(lab), 1000);
    end(lab, &zones);
}

/* Schedules are listed a page at a time, each once. */
static void schedules_are_listed_by_pages(void **state) {
    struct zones zones;
    struct lab *lab = lab_at_noon(&zones);
    uint64_t after = 0, seen = 0;
    (void)state;
    for (char name[] = "s0"; name[1] <= '9'; name[1]++)
        set_simply(lab, name, "@daily", JQ_CATCH_UP_LAST);
    assert_int_equal(ask_about(lab, JQ_OP_SCHEDULE_RM, "s4", false)->status, JQ_REPLY_OK);
    do {
        struct jq_request request = lab_request(lab, JQ_OP_SCHEDULE_LS);
        request.u.list.after.value = after;
        request.u.list.limit = 4;
        const struct jq_reply_effect *reply = lab_ask(lab, &request);
        for (size_t i = 0; i < reply->u.schedules.count; i++)
            seen |= UINT64_C(1) << (reply->u.schedules.rows[i].def.name.data[1] - '0');
        after = reply->u.schedules.next;
    } while (after != 0);
    assert_int_equal(seen, 0x3ef);
    end(lab, &zones);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_due_time_makes_one_task),
        cmocka_unit_test(the_next_times_are_told),
        cmocka_unit_test(restarts_fire_nothing_twice_and_leave_nothing_out),
        cmocka_unit_test(every_cut_fires_each_due_time_once),
        cmocka_unit_test(a_prologue_states_schedules_again),
        cmocka_unit_test(what_was_missed_follows_the_policy),
        cmocka_unit_test(a_little_late_is_not_missed),
        cmocka_unit_test(making_up_is_bounded_and_comes_in_slices),
        cmocka_unit_test(a_clock_set_back_fires_nothing_twice),
        cmocka_unit_test(a_clock_set_forward_misses_what_lies_between),
        cmocka_unit_test(a_clock_that_was_far_ahead_is_put_right),
        cmocka_unit_test(a_zone_that_is_gone_is_told_and_waited_for),
        cmocka_unit_test(a_paused_schedule_waits),
        cmocka_unit_test(a_task_that_still_runs_is_not_overlapped),
        cmocka_unit_test(jitter_spreads_the_tasks),
        cmocka_unit_test(a_schedule_is_replaced),
        cmocka_unit_test(a_schedule_is_run_by_hand),
        cmocka_unit_test(a_full_queue_delays_a_schedule),
        cmocka_unit_test(what_never_fires_is_refused),
        cmocka_unit_test(schedules_are_bounded),
        cmocka_unit_test(many_at_once_come_in_slices),
        cmocka_unit_test(schedules_are_listed_by_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
