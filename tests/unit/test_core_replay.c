/* What the core says of a log whose records contradict each other: each is refused as corrupt, in words, and nothing guessed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/schedules.h"
#include "tests/lib/lab.h"

/* A log with a task in each state that the records below speak of. */
struct world {
    struct lab *lab;
    jq_task_id ready, running, dead, waiting, kept;
    uint64_t next; /* an id that no task has */
};

static jq_task_id keyed(struct lab *lab) {
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("q");
    item.key = JQ_STR("k");
    item.priority = 1;
    return submit_item(lab, &item);
}

static jq_task_id behind(struct lab *lab, jq_task_id parent) {
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("q");
    item.after = &parent;
    item.after_count = 1;
    return submit_item(lab, &item);
}

static struct world world_new(void) {
    struct world world = {.lab = lab_new()};
    struct lab *lab = world.lab;
    world.dead = submit_task(lab, "q");
    report_failure(lab, lease_task(lab, "worker-1"), JQ_OUTCOME_INVALID_INPUT, false);
    world.running = submit_task(lab, "q");
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    world.ready = submit_task(lab, "q");
    world.waiting = behind(lab, world.ready);
    world.kept = keyed(lab);
    world.next = world.kept.value + 1;
    return world;
}

/* What a core says that has read the log of the world, whole or from its first prologue on, and then this record. */
static enum jq_err read_after(const struct world *world, const struct jq_record *record, bool partial,
                              struct jq_error *reterr) {
    struct jq_core *core;
    assert_int_equal(jq_core_new(&world->lab->config, 2, &core, NULL), JQ_OK);
    enum jq_err err = JQ_OK;
    if (partial) {
        const struct jq_record begin = {.type = JQ_RECORD_PROLOGUE_BEGIN, .lsn = 4096, .size = 3};
        jq_core_replay_from(core, begin.lsn);
        err = jq_core_replay(core, &begin, reterr);
    } else {
        err = corelog_replay(&world->lab->log, core, reterr);
    }
    assert_int_equal(err, JQ_OK);
    struct jq_record next = *record;
    next.lsn = world->lab->log.end_lsn + 8192;
    next.size = 32;
    next.time_ms = world->lab->now_ms;
    err = jq_core_replay(core, &next, reterr);
    jq_core_free(core);
    return err;
}

static void expect_corrupt(const struct world *world, struct jq_record record, const char *words) {
    struct jq_error error = {0};
    assert_int_equal(read_after(world, &record, false, &error), JQ_ERR_CORRUPT);
    if (!strstr(error.message, words)) {
        fail_msg("'%s' does not say '%s'", error.message, words);
    }
}

static void expect_corrupt_partial(const struct world *world, struct jq_record record, const char *words) {
    struct jq_error error = {0};
    assert_int_equal(read_after(world, &record, true, &error), JQ_ERR_CORRUPT);
    if (!strstr(error.message, words)) {
        fail_msg("'%s' does not say '%s'", error.message, words);
    }
}

/* To a replay that began behind what the record speaks of it is no news, and no damage. */
static void expect_skipped(const struct world *world, struct jq_record record) {
    struct jq_error error = {0};
    if (read_after(world, &record, true, &error) != JQ_OK) {
        fail_msg("%s", error.message);
    }
}

/* Of the world's queue, class and options; ready at once. */
static struct jq_record submitted(uint64_t id) {
    return (struct jq_record){.type = JQ_RECORD_TASK_SUBMITTED,
                              .u.task_submitted = {.task = {id}, .priority = 5, .body = {(const uint8_t *)"b", 1}}};
}

/* A submit names a queue, a class, options and a priority that exist, and an id that no task has. */
static void a_submit_that_cannot_be(void **state) {
    (void)state;
    const struct world world = world_new();
    static const char undefined[] = "its queue, class, options or priority are not defined";
    struct jq_record record = submitted(world.next);
    assert_int_equal(read_after(&world, &record, false, NULL), JQ_OK);
    record.u.task_submitted.queue = 9;
    expect_corrupt(&world, record, undefined);
    record = submitted(world.next);
    record.u.task_submitted.class_index = 9;
    expect_corrupt(&world, record, undefined);
    record = submitted(world.next);
    record.u.task_submitted.options = 9;
    expect_corrupt(&world, record, undefined);
    record = submitted(world.next);
    record.u.task_submitted.priority = 10;
    expect_corrupt(&world, record, undefined);
    expect_corrupt(&world, submitted(world.ready.value), "submitted twice");
    record = submitted(world.next);
    record.u.task_submitted.schedule = 3;
    expect_corrupt(&world, record, "schedule 3 fired, but is not known");
    record.u.task_submitted.schedule = 0;
    record.u.task_submitted.flow = world.next;
    expect_corrupt(&world, record, "not the next of a flow that is staged");
    lab_free(world.lab);
}

/* It waits for tasks that came before it, once for each. */
static void a_submit_behind_what_never_was(void **state) {
    (void)state;
    const struct world world = world_new();
    static const char words[] = "waits for a task that never was";
    static const uint8_t self[] = {0}, future[] = {0xff, 0xff, 0xff, 0x7f}, torn[] = {0x80}, gap[] = {2};
    struct jq_record record = submitted(world.next);
    record.u.task_submitted.on = JQ_ON_SUCCEEDED;
    record.u.task_submitted.after = (struct jq_bytes){self, sizeof(self)};
    expect_corrupt(&world, record, words);
    record.u.task_submitted.after = (struct jq_bytes){future, sizeof(future)};
    expect_corrupt(&world, record, words);
    record.u.task_submitted.after = (struct jq_bytes){torn, sizeof(torn)};
    expect_corrupt(&world, record, words);
    record.u.task_submitted.task.value = world.next + 5;
    record.u.task_submitted.after = (struct jq_bytes){gap, sizeof(gap)};
    expect_corrupt(&world, record, words);
    lab_free(world.lab);
}

/* Each fact fits some states of a task alone: {what, of which task}. Of a task that a shortened log has lost it is skipped. */
static void a_fact_that_does_not_fit_its_task(void **state) {
    (void)state;
    const struct world world = world_new();
    const struct {
        enum jq_record_type type;
        jq_task_id task;
    } rows[] = {
        {JQ_RECORD_TASK_DUE, world.ready},        {JQ_RECORD_TASK_LEASED, world.dead},
        {JQ_RECORD_TASK_RETRIED, world.ready},    {JQ_RECORD_TASK_CANCELLING, world.ready},
        {JQ_RECORD_TASK_ENDED, world.dead},       {JQ_RECORD_TASK_REVIVED, world.ready},
        {JQ_RECORD_TASK_REPLAYED, world.running}, {JQ_RECORD_TASK_EDITED, world.ready},
        {JQ_RECORD_TASK_RENEWED, world.ready},    {JQ_RECORD_TASK_RENEWED, world.running},
        {JQ_RECORD_TASK_FORGOTTEN, world.ready},  {JQ_RECORD_TASK_FREED, world.waiting},
        {JQ_RECORD_TASK_FREED, world.ready},      {JQ_RECORD_TASK_HELD, world.running},
        {JQ_RECORD_TASK_RELEASED, world.ready},   {JQ_RECORD_TASK_MOVED, world.waiting},
        {JQ_RECORD_EDGE_DECIDED, world.ready},    {JQ_RECORD_EDGE_DECIDED, world.waiting},
        {JQ_RECORD_TASK_ENDED, {world.next + 1}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct jq_record record = {.type = rows[i].type, .u.task_due.task = rows[i].task};
        expect_corrupt(&world, record, "does not fit task");
        expect_skipped(&world, record);
    }
    lab_free(world.lab);
}

/* A lease goes to a worker that is registered, with units that can be read. */
static void a_lease_to_nobody(void **state) {
    (void)state;
    const struct world world = world_new();
    static const uint8_t none[] = {3, 'g', 'p', 'u', 0}, beyond[] = {3, 'g', 'p', 'u', 1, 0xff, 0xff, 0x7f};
    struct jq_record record = {.type = JQ_RECORD_TASK_LEASED,
                               .u.task_leased = {.task = world.ready, .token = {99}, .worker = 1}};
    assert_int_equal(read_after(&world, &record, false, NULL), JQ_OK);
    record.u.task_leased.worker = 0;
    expect_corrupt(&world, record, "does not fit task");
    record.u.task_leased.worker = 2;
    expect_corrupt(&world, record, "does not fit task");
    record.u.task_leased.worker = 1;
    record.u.task_leased.units = (struct jq_bytes){none, sizeof(none)};
    expect_corrupt(&world, record, "does not fit task");
    record.u.task_leased.units = (struct jq_bytes){beyond, sizeof(beyond)};
    expect_corrupt(&world, record, "does not fit task");
    lab_free(world.lab);
}

/* What a task is edited, renewed or moved to exists. */
static void changed_to_what_is_not_defined(void **state) {
    (void)state;
    const struct world world = world_new();
    const struct jq_record edits[] = {
        {.type = JQ_RECORD_TASK_EDITED, .u.task_edited = {.task = world.dead, .queue = 9}},
        {.type = JQ_RECORD_TASK_EDITED, .u.task_edited = {.task = world.dead, .class_index = 9}},
        {.type = JQ_RECORD_TASK_EDITED, .u.task_edited = {.task = world.dead, .options = 9}},
        {.type = JQ_RECORD_TASK_EDITED, .u.task_edited = {.task = world.dead, .priority = 10}},
        {.type = JQ_RECORD_TASK_RENEWED, .u.task_renewed = {.task = world.kept, .queue = 9}},
        {.type = JQ_RECORD_TASK_RENEWED, .u.task_renewed = {.task = world.kept, .class_index = 9}},
        {.type = JQ_RECORD_TASK_RENEWED, .u.task_renewed = {.task = world.kept, .options = 9}},
        {.type = JQ_RECORD_TASK_RENEWED, .u.task_renewed = {.task = world.kept, .priority = 10}},
        {.type = JQ_RECORD_TASK_MOVED, .u.task_moved = {.task = world.kept, .queue = 9}},
        {.type = JQ_RECORD_TASK_ENDED, .u.task_ended = {.task = world.ready, .state = JQ_STATE_READY}},
        {.type = JQ_RECORD_TASK_ENDED, .u.task_ended = {.task = world.dead, .state = JQ_STATE_SUCCEEDED}},
    };
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        expect_corrupt(&world, edits[i], "does not fit task");
    }
    lab_free(world.lab);
}

/* Workers are registered one after the other, and only such are drained or go; not while they hold leases. */
static void a_worker_that_is_none(void **state) {
    (void)state;
    const struct world world = world_new();
    struct jq_record record = {.type = JQ_RECORD_WORKER_REGISTERED, .u.worker_registered = {.name = JQ_STR("w")}};
    expect_corrupt(&world, record, "worker 0 registered out of turn");
    record.u.worker_registered.worker = 9;
    expect_corrupt(&world, record, "worker 9 registered out of turn");
    record = (struct jq_record){.type = JQ_RECORD_WORKER_SET, .u.worker_set = {.worker = 2}};
    expect_corrupt(&world, record, "worker 2 set but not registered");
    record = (struct jq_record){.type = JQ_RECORD_WORKER_GONE, .u.worker_gone = {.worker = 2}};
    expect_corrupt(&world, record, "unknown or with leases");
    record.u.worker_gone.worker = 1;
    expect_corrupt(&world, record, "unknown or with leases");
    lab_free(world.lab);
}

/* Tables are filled in order; what they hold is sound. */
static void a_table_that_is_not_in_order(void **state) {
    (void)state;
    const struct world world = world_new();
    static char long_name[JQ_NAME_SIZE_MAX + 2];
    static const uint8_t hash[JQ_BLOB_HASH_SIZE] = {1};
    memset(long_name, 'a', sizeof(long_name) - 1);
    const struct {
        struct jq_record record;
        const char *words;
    } rows[] = {
        {{.type = JQ_RECORD_QUEUE_DEFINED, .u.queue_defined = {.queue = 5, .name = JQ_STR("z")}}, "queue 5 defined"},
        {{.type = JQ_RECORD_QUEUE_SET, .u.queue_set = {.queue = 5}}, "queue 5 set but not defined"},
        {{.type = JQ_RECORD_QUEUE_SET, .u.queue_set = {.set = {.policy = 2 + JQ_POLICY_BLOCK}}},
         "a policy that there is not"},
        {{.type = JQ_RECORD_WORKER_DOORBELL, .u.worker_doorbell = {.worker = 2}}, "worker 2, which is not registered"},
        {{.type = JQ_RECORD_BLOB_DROPPED, .u.blob_dropped = {.hash = hash}}, "a blob is dropped that is not there"},
        {{.type = JQ_RECORD_CACHE_DROPPED, .u.cache_dropped = {.name = JQ_STR("none")}}, "a cached result is dropped"},
        {{.type = JQ_RECORD_CLASS_DEFINED, .u.class_defined = {.class_index = 5, .handler = JQ_STR("h")}},
         "class 5 defined out of turn"},
        {{.type = JQ_RECORD_CLASS_DEFINED, .u.class_defined = {.class_index = 1, .handler = jq_str_of(long_name)}},
         "class 1 defined out of turn"},
        {{.type = JQ_RECORD_CLASS_DEFINED,
          .u.class_defined = {.class_index = 1, .handler = JQ_STR("h"), .need = JQ_STR("cpu=")}},
         "class 1: "},
        {{.type = JQ_RECORD_CLASS_DEFINED,
          .u.class_defined = {.class_index = 1, .handler = JQ_STR("h"), .want = JQ_STR("a:1000")}},
         "class 1: "},
        {{.type = JQ_RECORD_OPTIONS_DEFINED, .u.options_defined = {.index = 5}}, "option set 5 defined out of turn"},
        {{.type = JQ_RECORD_LIMIT_SET, .u.limit_set = {.scope = JQ_STR("planet:x")}}, "a limit whose scope"},
        {{.type = JQ_RECORD_LIMIT_SET,
          .u.limit_set = {.scope = JQ_STR("queue:q"), .rate = {.count = 1, .period_ms = 1000}}},
         "a limit whose scope or burst is none"},
        {{.type = JQ_RECORD_LIMIT_REMOVED, .u.limit_removed = {.scope = JQ_STR("queue:q")}}, "that is not set"},
        {{.type = JQ_RECORD_BREAKER_SET, .u.breaker_set = {.kind = JQ_BREAKER_KIND_COUNT, .name = JQ_STR("h")}},
         "what no breaker can be"},
        {{.type = JQ_RECORD_BREAKER_SET, .u.breaker_set = {.state = JQ_BREAKER_STATE_COUNT, .name = JQ_STR("h")}},
         "what no breaker can be"},
        {{.type = JQ_RECORD_BREAKER_SET}, "what no breaker can be"},
        {{.type = JQ_RECORD_BREAKER_SET, .u.breaker_set = {.name = jq_str_of(long_name)}}, "what no breaker can be"},
        {{.type = JQ_RECORD_BREAKER_SET, .u.breaker_set = {.name = JQ_STR("h"), .handlers = JQ_STR("a  b")}},
         "what no breaker can be"},
        {{.type = JQ_RECORD_KEY_FORGOTTEN, .u.key_forgotten = {.key = JQ_STR("none")}}, "a key is forgotten"},
        {{.type = JQ_RECORD_PROLOGUE_END, .u.prologue_end = {.digest = 1}}, "replay gives digest"},
        {{.type = JQ_RECORD_SCHEDULE_SET, .u.schedule_set = {.schedule = 0}}, "schedule 0 cannot be set"},
        {{.type = JQ_RECORD_SCHEDULE_SET, .u.schedule_set = {.schedule = 2}}, "schedule 2 cannot be set"},
        {{.type = JQ_RECORD_SCHEDULE_SET, .u.schedule_set = {.schedule = 1}}, "schedule 1 cannot be set"},
        {{.type = JQ_RECORD_SCHEDULE_MOVED, .u.schedule_moved = {.schedule = 1}}, "schedule 1 is not known"},
        {{.type = JQ_RECORD_SCHEDULE_FORGOTTEN, .u.schedule_forgotten = {.schedule = 7}}, "schedule 7 is not known"},
        {{.type = JQ_RECORD_FLOW_SET, .u.flow_set = {.flow = 77, .phase = JQ_FLOW_COMMITTED}}, "flow 77"},
        {{.type = JQ_RECORD_FLOW_SET, .u.flow_set = {.flow = 77, .phase = JQ_FLOW_STAGED, .total = 2}}, "flow 77"},
        {{.type = JQ_RECORD_FLOW_CUT, .u.flow_cut = {.flow = 77}}, "does not fit flow 77"},
        {{.type = JQ_RECORD_FLOW_FORGOTTEN, .u.flow_forgotten = {.flow = 77}}, "does not fit flow 77"},
        {{.type = JQ_RECORD_REPORT_RELOCATED, .u.report_relocated = {.task = world.ready}}, "but it has none"},
        {{.type = JQ_RECORD_REPORT_RELOCATED, .u.report_relocated = {.task = {1000}}}, "but it has none"},
        {{.type = JQ_RECORD_KEY_RELOCATED, .u.key_relocated = {.task = {1000}, .key = JQ_STR("x")}}, "not known"},
        {{.type = JQ_RECORD_TASK_RELOCATED, .u.task_relocated = {.task = {1000}}}, "moved, but unknown"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_corrupt(&world, rows[i].record, rows[i].words);
    }
    lab_free(world.lab);
}

/* A log whose beginning has gone speaks of things that went with it: no damage. */
static void what_a_shortened_log_has_lost_is_skipped(void **state) {
    (void)state;
    const struct world world = world_new();
    const struct jq_record rows[] = {
        {.type = JQ_RECORD_KEY_FORGOTTEN, .u.key_forgotten = {.key = JQ_STR("none")}},
        {.type = JQ_RECORD_SCHEDULE_MOVED, .u.schedule_moved = {.schedule = 1}},
        {.type = JQ_RECORD_CACHE_DROPPED, .u.cache_dropped = {.name = JQ_STR("none")}},
        {.type = JQ_RECORD_FLOW_CUT, .u.flow_cut = {.flow = 77}},
        {.type = JQ_RECORD_FLOW_FORGOTTEN, .u.flow_forgotten = {.flow = 77}},
        {.type = JQ_RECORD_REPORT_RELOCATED, .u.report_relocated = {.task = {1000}}},
        {.type = JQ_RECORD_WORKER_REGISTERED, .u.worker_registered = {.worker = 3, .name = JQ_STR("w")}},
        {.type = JQ_RECORD_KEY_RELOCATED, .u.key_relocated = {.task = {1000}, .key = JQ_STR("x")}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_skipped(&world, rows[i]);
    }
    const struct jq_record key = {.type = JQ_RECORD_KEY_RELOCATED,
                                  .u.key_relocated = {.task = {1000}, .unique = 99, .key = JQ_STR("x")}};
    expect_corrupt_partial(&world, key, "a key was moved that is not known");
    lab_free(world.lab);
}

/* Queue 0, class 0 and options 0, as a prologue re-states them; then this record, and another unless it is NULL. */
static enum jq_err read_moved_and(const struct world *world, const struct jq_record *record,
                                  const struct jq_record *then, struct jq_error *reterr) {
    const struct jq_record before[] = {
        {.type = JQ_RECORD_PROLOGUE_BEGIN},
        {.type = JQ_RECORD_QUEUE_DEFINED, .u.queue_defined = {.name = JQ_STR("q")}},
        {.type = JQ_RECORD_CLASS_DEFINED, .u.class_defined = {.handler = JQ_STR("h")}},
        {.type = JQ_RECORD_OPTIONS_DEFINED, .u.options_defined = {.index = 0}},
        *record,
        then ? *then : *record,
    };
    const size_t count = sizeof(before) / sizeof(before[0]) - (then ? 0 : 1);
    struct jq_core *core;
    assert_int_equal(jq_core_new(&world->lab->config, 2, &core, NULL), JQ_OK);
    jq_core_replay_from(core, 4096);
    enum jq_err err = JQ_OK;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(err, JQ_OK);
        struct jq_record next = before[i];
        next.lsn = 4096 + 64 * i;
        next.size = 64;
        err = jq_core_replay(core, &next, reterr);
    }
    jq_core_free(core);
    return err;
}

static enum jq_err read_moved(const struct world *world, const struct jq_record *record, struct jq_error *reterr) {
    return read_moved_and(world, record, NULL, reterr);
}

static struct jq_record relocated(enum jq_state state) {
    struct jq_record record = {.type = JQ_RECORD_TASK_RELOCATED,
                               .u.task_relocated = {.task = {7}, .state = (uint8_t)state}};
    record.u.task_relocated.submit = submitted(7).u.task_submitted;
    return record;
}

static void expect_moved_corrupt(const struct world *world, const struct jq_record *record, const char *words) {
    struct jq_error error = {0};
    assert_int_equal(read_moved(world, record, &error), JQ_ERR_CORRUPT);
    if (!strstr(error.message, words)) {
        fail_msg("'%s' does not say '%s'", error.message, words);
    }
}

/* A task that was moved to the log's head brings all of itself: a state, a lease of a known worker, edges that can be, its flow. */
static void a_moved_task_that_cannot_be(void **state) {
    (void)state;
    const struct world world = world_new();
    struct jq_record record = relocated(JQ_STATE_READY);
    assert_int_equal(read_moved(&world, &record, NULL), JQ_OK);
    record.u.task_relocated.submit.queue = 9;
    expect_moved_corrupt(&world, &record, "are not defined");
    record = relocated(JQ_STATE_NONE);
    expect_moved_corrupt(&world, &record, "moved in state 0");
    record = relocated((enum jq_state)(JQ_STATE_BLOCKED + 1));
    expect_moved_corrupt(&world, &record, "moved in state");
    record = relocated(JQ_STATE_RUNNING);
    expect_moved_corrupt(&world, &record, "moved with a lease that cannot be");
    record.u.task_relocated.worker = 4;
    expect_moved_corrupt(&world, &record, "moved with a lease that cannot be");
    record = relocated(JQ_STATE_WAITING);
    expect_moved_corrupt(&world, &record, "moved, and waits for nobody");
    static const uint8_t parents[] = {2, 4}, verdicts[] = {JQ_EDGE_OPEN}, wild[] = {JQ_EDGE_OPEN, 9};
    record.u.task_relocated.submit.on = JQ_ON_SUCCEEDED;
    record.u.task_relocated.submit.after = (struct jq_bytes){parents, sizeof(parents)};
    record.u.task_relocated.verdicts = (struct jq_bytes){verdicts, sizeof(verdicts)};
    expect_moved_corrupt(&world, &record, "moved with edges that cannot be");
    record.u.task_relocated.verdicts = (struct jq_bytes){wild, sizeof(wild)};
    expect_moved_corrupt(&world, &record, "moved with edges that cannot be");
    record = relocated(JQ_STATE_WAITING);
    record.u.task_relocated.submit.flow = 5;
    expect_moved_corrupt(&world, &record, "moved, but not of that flow");
    lab_free(world.lab);
}

/* Where a log begins behind the place of a key that was given up later, a submit that took its task's place is still read. */
static void a_renewed_task_whose_key_the_log_has_lost(void **state) {
    (void)state;
    const struct world world = world_new();
    const struct jq_record record = relocated(JQ_STATE_READY);
    const struct jq_record renewed = {
        .type = JQ_RECORD_TASK_RENEWED,
        .u.task_renewed = {.task = {7}, .priority = 5, .body = {(const uint8_t *)"c", 1}},
    };
    assert_int_equal(read_moved_and(&world, &record, &renewed, NULL), JQ_OK);
    lab_free(world.lab);
}

/* Where a log begins between a key and its task, what becomes of the task ends the key: it stands for nothing any more. */
static void a_key_ends_with_a_task_that_the_log_has_lost(void **state) {
    (void)state;
    const struct {
        enum jq_record_type type;
        uint8_t unique;
        uint64_t keys;
    } rows[] = {{JQ_RECORD_TASK_LEASED, JQ_UNIQUE_WHILE_QUEUED, 0},
                {JQ_RECORD_TASK_LEASED, JQ_UNIQUE_UNTIL_DONE, 1},
                {JQ_RECORD_TASK_ENDED, JQ_UNIQUE_UNTIL_DONE, 0}};
    struct lab *lab = lab_new();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jq_core *core;
        struct jq_server_row numbers;
        const struct jq_record key = {
            .type = JQ_RECORD_KEY_RELOCATED,
            .lsn = 4096,
            .size = 64,
            .u.key_relocated = {.task = {7}, .unique = rows[i].unique, .expires_ms = 1, .key = JQ_STR("k")}};
        const struct jq_record begin = {.type = JQ_RECORD_PROLOGUE_BEGIN, .lsn = 4032, .size = 64};
        const struct jq_record fact = {.type = rows[i].type, .lsn = 4160, .size = 64, .u.task_due.task = {7}};
        assert_int_equal(jq_core_new(&lab->config, 2, &core, NULL), JQ_OK);
        jq_core_replay_from(core, 4032);
        assert_int_equal(jq_core_replay(core, &begin, NULL), JQ_OK);
        assert_int_equal(jq_core_replay(core, &key, NULL), JQ_OK);
        assert_int_equal(jq_core_replay(core, &fact, NULL), JQ_OK);
        jq_core_status(core, &numbers);
        assert_int_equal(numbers.keys, rows[i].keys);
        jq_core_free(core);
    }
    lab_free(lab);
}

/* A configuration that allows less than the log holds is told apart from damage, by the name of its key. */
static void a_log_that_holds_more_than_is_allowed(void **state) {
    (void)state;
    const struct world world = world_new();
    (void)submit_task(world.lab, "another");
    (void)lab_worker(world.lab, "worker-2");
    struct jq_submit_item item = lab_item();
    item.handler = JQ_STR("mail");
    (void)submit_item(world.lab, &item);
    const struct {
        const char *words;
        uint32_t queues_max, classes_max, workers_max;
    } rows[] = {{"queues_max is 1,", 1, 64, 64}, {"classes_max is 1,", 64, 1, 64}, {"workers_max is 1,", 64, 64, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jq_core_config config = world.lab->config;
        struct jq_error error = {0};
        struct jq_core *core;
        config.queues_max = rows[i].queues_max;
        config.classes_max = rows[i].classes_max;
        config.workers_max = rows[i].workers_max;
        assert_int_equal(jq_core_new(&config, 2, &core, NULL), JQ_OK);
        assert_int_equal(corelog_replay(&world.lab->log, core, &error), JQ_ERR_TOO_BIG);
        assert_non_null(strstr(error.message, rows[i].words));
        jq_core_free(core);
    }
    lab_free(world.lab);
}

/* What a schedule submits is read with the bounds of its fields. */
static void a_schedule_with_a_number_that_is_too_large(void **state) {
    static const uint8_t most[] = {0xff, 0xff, 0xff, 0xff, 0x0f};
    (void)state;
    const struct world world = world_new();
    struct jq_schedule_def def = {
        .name = JQ_STR("s"), .when = JQ_STR("@daily"), .zone = JQ_STR("UTC"), .task = lab_item()};
    static const uint8_t due[] = "0000-00-00T00:00:00Z";
    def.task.body = (struct jq_bytes){due, sizeof(due) - 1};
    def.task.retry_max = UINT32_MAX;
    struct jq_buf buf;
    jq_buf_init(&buf, 4096);
    schedule_def_pack(&def, &buf);
    struct jq_record record = {.type = JQ_RECORD_SCHEDULE_SET,
                               .u.schedule_set = {.schedule = 1, .definition = jq_buf_bytes(&buf)}};
    assert_int_equal(read_after(&world, &record, false, NULL), JQ_OK);
    size_t at = 0;
    while (memcmp(buf.data + at, most, sizeof(most)) != 0) {
        at++;
        assert_true(at + sizeof(most) <= buf.size);
    }
    buf.data[at + 4] = 0x1f;
    expect_corrupt(&world, record, "schedule 1 cannot be set");
    jq_buf_fini(&buf);
    lab_free(world.lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_submit_that_cannot_be),
        cmocka_unit_test(a_submit_behind_what_never_was),
        cmocka_unit_test(a_fact_that_does_not_fit_its_task),
        cmocka_unit_test(a_lease_to_nobody),
        cmocka_unit_test(changed_to_what_is_not_defined),
        cmocka_unit_test(a_worker_that_is_none),
        cmocka_unit_test(a_table_that_is_not_in_order),
        cmocka_unit_test(what_a_shortened_log_has_lost_is_skipped),
        cmocka_unit_test(a_moved_task_that_cannot_be),
        cmocka_unit_test(a_renewed_task_whose_key_the_log_has_lost),
        cmocka_unit_test(a_key_ends_with_a_task_that_the_log_has_lost),
        cmocka_unit_test(a_log_that_holds_more_than_is_allowed),
        cmocka_unit_test(a_schedule_with_a_number_that_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
