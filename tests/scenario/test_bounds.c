/* Every table has its bound, and whoever meets it is told by its name; what does not fit a registration is refused in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static struct jq_core_config small_config(void) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 64;
    config.classes_max = 64;
    config.options_max = 64;
    return config;
}

static void expect_refused(const struct jq_reply_effect *reply, enum jq_reply status, const char *field,
                           const char *reason) {
    assert_non_null(reply);
    assert_int_equal(reply->status, status);
    assert_string_equal(reply->field ? reply->field : "", field);
    assert_string_equal(reply->reason, reason);
}

static jq_task_id dead_letter(struct lab *lab, const char *queue, const char *group) {
    const jq_task_id task = submit_to_group(lab, queue, group);
    report_failure(lab, lease_task(lab, "worker-1"), JQ_OUTCOME_INVALID_INPUT, false);
    return task;
}

/* ---- registrations ---- */

static const struct jq_reply_effect *ask_to_register(struct lab *lab, struct jq_request *request, const char *name) {
    request->u.reg.id.bytes[0] = (uint8_t)name[0];
    request->u.reg.session = request->u.reg.id;
    request->u.reg.incarnation = 7;
    request->u.reg.name = jq_str_of(name);
    return lab_ask(lab, request);
}

static void expect_registration(struct lab *lab, const struct jq_request *reg, const char *reason) {
    struct jq_request request = lab_request(lab, JQ_OP_REGISTER);
    request.u.reg = reg->u.reg;
    expect_refused(ask_to_register(lab, &request, "x"), JQ_REPLY_INVALID, "register", reason);
}

/* A registration that contradicts itself, or is too large, is refused by what is wrong with it; nothing of it is kept. */
static void registrations_that_cannot_be_are_refused(void **state) {
    (void)state;
    enum { MANY = 300 };
    static char names[MANY][8];
    static struct jq_amount offers[MANY];
    static struct jq_name_value facts[MANY];
    struct lab *lab = lab_new();
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "n%zu", i);
        offers[i] = (struct jq_amount){jq_str_of(names[i]), 1000};
        facts[i] = (struct jq_name_value){jq_str_of(names[i]), JQ_STR("1")};
    }
    const struct jq_handler_def twice[] = {{.name = JQ_STR("work")}, {.name = JQ_STR("work")}};
    struct jq_request reg = {.u.reg = {.handlers = twice, .handler_count = 2}};
    expect_registration(lab, &reg, "handlers: 'work' stands twice");
    const struct jq_str gold = JQ_STR("gold");
    reg = (struct jq_request){.u.reg = {.accept = &gold, .accept_count = 1}};
    expect_registration(lab, &reg, "accept: 'gold' is not among its offers");
    reg = (struct jq_request){.u.reg = {.offers = offers, .offer_count = MANY}};
    expect_registration(lab, &reg, "offers: more than 63");
    reg = (struct jq_request){.u.reg = {.facts = facts, .fact_count = MANY}};
    expect_registration(lab, &reg, "facts: more than 64");
    struct jq_request request = lab_request(lab, JQ_OP_REGISTER);
    request.u.reg.offers = offers;
    request.u.reg.offer_count = 20;
    assert_int_equal(ask_to_register(lab, &request, "a")->status, JQ_REPLY_OK);
    reg = (struct jq_request){.u.reg = {.offers = offers + 20, .offer_count = 20}}; /* of all workers together */
    expect_registration(lab, &reg, "offers: more than 32 different names in this mesh");
    request = lab_request(lab, JQ_OP_REGISTER);
    request.u.reg.offers = offers + 50;
    request.u.reg.offer_count = 11;
    assert_int_equal(ask_to_register(lab, &request, "b")->status, JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A handler's need that cannot be read is refused with the words of the need's grammar. */
static void a_handler_with_a_bad_need_is_refused(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const struct jq_handler_def handler = {.name = JQ_STR("work"), .need = JQ_STR("cpu=")};
    struct jq_request request = lab_request(lab, JQ_OP_REGISTER);
    request.u.reg.handlers = &handler;
    request.u.reg.handler_count = 1;
    const struct jq_reply_effect *reply = ask_to_register(lab, &request, "x");
    assert_int_equal(reply->status, JQ_REPLY_INVALID);
    assert_string_equal(reply->field, "register");
    lab_free(lab);
}

/* A worker that states no slots has as many as whole processors, and one if it has not even that. */
static void slots_follow_the_processors(void **state) {
    (void)state;
    static const struct {
        uint64_t cpu;
        uint32_t leases;
    } rows[] = {{500, 1}, {2700, 2}, {0, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lab *lab = lab_new();
        struct lab_worker *worker = lab_worker_unregistered(lab, "w");
        worker->offer_count = 0;
        if (rows[i].cpu > 0) {
            lab_offer(worker, "cpu", rows[i].cpu);
        }
        register_worker(lab, worker);
        for (int task = 0; task < 4; task++) {
            submit_task(lab, "q");
        }
        uint32_t leases = 0;
        while (lease_task(lab, "w").value != 0) {
            leases++;
        }
        assert_int_equal(leases, rows[i].leases);
        lab_free(lab);
    }
}

/* workers_max: one more is told so, and comes in when another has gone. */
static void workers_are_bounded(void **state) {
    (void)state;
    struct jq_core_config config = small_config();
    config.workers_max = 2;
    struct lab *lab = lab_new_with(&config);
    lab_worker(lab, "a");
    lab_worker(lab, "b");
    struct jq_request request = lab_request(lab, JQ_OP_REGISTER);
    expect_refused(ask_to_register(lab, &request, "x"), JQ_REPLY_BUSY, "workers", "workers_max reached");
    stop_answering_surveys(lab, "a");
    advance_ms(lab, 60000);
    request.id = ++lab->client_request;
    assert_int_equal(ask_to_register(lab, &request, "x")->status, JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Three workers of one name: each can go, whichever came first, and the name still finds those that are left. */
static void workers_of_one_name_go_one_by_one(void **state) {
    (void)state;
    static const int orders[][3] = {{0, 1, 2}, {1, 0, 2}, {2, 1, 0}, {1, 2, 0}};
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        struct lab *lab = lab_new();
        struct lab_worker *workers[3];
        for (int w = 0; w < 3; w++) {
            workers[w] = lab_worker_unregistered(lab, "box");
            workers[w]->id.bytes[1] = (uint8_t)(w + 1);
            register_worker(lab, workers[w]);
        }
        for (int gone = 0; gone < 3; gone++) {
            assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "box", false), JQ_REPLY_OK);
            workers[orders[i][gone]]->silent = true;
            advance_ms(lab, 60000);
        }
        assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "box", false), JQ_REPLY_NOT_FOUND);
        expect_replay_matches_live(lab);
        lab_free(lab);
    }
}

/* ---- what operators ask for ---- */

static const struct jq_reply_effect *edit(struct lab *lab, jq_task_id task, uint32_t given,
                                          const struct jq_submit_item *item) {
    struct jq_request request = lab_request(lab, JQ_OP_DEAD_EDIT);
    request.u.edit.id = task;
    request.u.edit.given = given;
    request.u.edit.item = *item;
    return lab_ask(lab, &request);
}

/* An edit that would need one more queue, group, class or set of options than there may be is refused by the bound's name. */
static void edits_meet_the_bounds_of_tables(void **state) {
    (void)state;
    struct jq_core_config config = small_config();
    config.queues_max = 3;
    config.groups_max = 2;
    config.classes_max = 2;
    config.options_max = 1;
    struct lab *lab = lab_new_with(&config);
    const jq_task_id task = dead_letter(lab, "a", "g");
    submit_to_group(lab, "b", "x");
    const struct jq_submit_item elsewhere = {.queue = JQ_STR("b")}, handler = {.handler = JQ_STR("mail")};
    assert_int_equal(lease_task(lab, "worker-1").value != 0, 1);
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("a");
    item.handler = JQ_STR("build");
    submit_item(lab, &item);
    const struct jq_submit_item options = {.retry_max = 99};
    expect_refused(edit(lab, task, JQ_EDIT_HANDLER, &handler), JQ_REPLY_BUSY, "limits", "classes_max reached");
    expect_refused(edit(lab, task, JQ_EDIT_RETRY_MAX, &options), JQ_REPLY_BUSY, "limits", "options_max reached");
    expect_refused(edit(lab, task, JQ_EDIT_QUEUE, &elsewhere), JQ_REPLY_INVALID, "queue",
                   "of another namespace: a task stays in its own");
    lab_free(lab);
}

/* The same for queues and groups, inside of one namespace. */
static void edits_and_moves_meet_the_bounds_of_queues(void **state) {
    (void)state;
    struct jq_core_config config = small_config();
    config.queues_max = 2;
    config.groups_max = 2;
    struct lab *lab = lab_new_with(&config);
    const jq_task_id task = dead_letter(lab, "n.a", "g");
    const jq_task_id waits = submit_to_group(lab, "n.b", "x");
    const struct jq_submit_item third = {.queue = JQ_STR("n.c")}, other = {.queue = JQ_STR("n.b")};
    expect_refused(edit(lab, task, JQ_EDIT_QUEUE, &third), JQ_REPLY_BUSY, "limits", "queues_max reached");
    expect_refused(edit(lab, task, JQ_EDIT_QUEUE, &other), JQ_REPLY_BUSY, "limits", "groups_max reached");
    struct jq_request move = lab_request(lab, JQ_OP_TASK_MOVE);
    move.u.tasks.ids = &waits;
    move.u.tasks.count = 1;
    move.u.tasks.to = JQ_STR("n.c");
    expect_refused(lab_ask(lab, &move), JQ_REPLY_BUSY, "queue", "queues_max reached");
    move.id = ++lab->client_request;
    move.u.tasks.to = JQ_STR("n.a");
    const struct jq_reply_effect *reply = lab_ask(lab, &move);
    assert_int_equal(reply->u.many.exceptions[0].status, JQ_REPLY_CONFLICT);
    assert_string_equal(reply->u.many.exceptions[0].reason, "groups_max reached");
    struct jq_where where;
    assert_int_equal(jq_where_parse(JQ_STR("queue=n.b"), &where, NULL), JQ_OK);
    struct jq_request many = lab_request(lab, JQ_OP_TASK_MOVE);
    many.u.tasks.where = &where;
    many.u.tasks.to = JQ_STR("n.c");
    expect_refused(lab_ask(lab, &many), JQ_REPLY_BUSY, "queue", "queues_max reached");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Where queues are declared, a letter is not edited into one that is not. */
static void edits_keep_to_declared_queues(void **state) {
    (void)state;
    static const struct jq_queue_config queues[] = {{.name = "n.a"}};
    struct jq_core_config config = small_config();
    config.queues = queues;
    config.queue_count = 1;
    config.queues_declared = true;
    struct lab *lab = lab_new_with(&config);
    const jq_task_id task = dead_letter(lab, "n.a", "g");
    const struct jq_submit_item other = {.queue = JQ_STR("n.b")};
    expect_refused(edit(lab, task, JQ_EDIT_QUEUE, &other), JQ_REPLY_NOT_FOUND, "queue", "not declared");
    lab_free(lab);
}

/* Replays at rates that would take more than a year together: what would come after it is told to ask again. */
static void replays_are_bounded_to_a_year(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_task_id tasks[2] = {dead_letter(lab, "q", "g"), dead_letter(lab, "q", "g")};
    struct jq_request request = lab_request(lab, JQ_OP_DEAD_REPLAY);
    request.u.tasks.ids = tasks;
    request.u.tasks.count = 2;
    request.u.tasks.interval_us = INT64_C(367) * 86400 * 1000000;
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->u.many.count, 1);
    assert_int_equal(reply->u.many.exceptions[0].status, JQ_REPLY_BUSY);
    assert_int_equal(task_state(lab, tasks[1]), JQ_STATE_DEAD);
    lab_free(lab);
}

/* No more breakers than handlers that may be known: a trip beyond is told so, unless one that nobody misses can make room. */
static void breakers_are_bounded(void **state) {
    (void)state;
    struct jq_core_config config = small_config();
    config.classes_max = 2;
    struct lab *lab = lab_new_with(&config);
    static const char *const names[] = {"work", "mail", "build"};
    const struct jq_reply_effect *reply = NULL;
    lab_worker(lab, "w");
    for (int i = 0; i < 3; i++) {
        struct jq_request request = lab_request(lab, JQ_OP_BREAKER_TRIP);
        request.u.breaker.kind = JQ_BREAKER_HANDLER;
        request.u.breaker.name = jq_str_of(names[i]);
        reply = lab_ask(lab, &request);
        assert_int_equal(reply->status, i < 2 ? JQ_REPLY_OK : JQ_REPLY_BUSY);
    }
    expect_refused(reply, JQ_REPLY_BUSY, "limits", "the table of breakers is full");
    struct jq_request reset = lab_request(lab, JQ_OP_BREAKER_RESET);
    reset.u.breaker.kind = JQ_BREAKER_HANDLER;
    reset.u.breaker.name = JQ_STR("work");
    assert_int_equal(lab_ask(lab, &reset)->status, JQ_REPLY_OK);
    struct jq_request trip = lab_request(lab, JQ_OP_BREAKER_TRIP);
    trip.u.breaker.kind = JQ_BREAKER_HANDLER;
    trip.u.breaker.name = JQ_STR("build");
    assert_int_equal(lab_ask(lab, &trip)->status, JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* ---- others ---- */

/* Tables larger than records can name are refused at once, by the settings' names. */
static void tables_larger_than_records_can_name(void **state) {
    (void)state;
    struct jq_core *core = NULL;
    struct jq_error error;
    struct jq_core_config config = small_config();
    config.queues_max = UINT16_MAX + 1;
    assert_int_equal(jq_core_new(&config, 1, &core, &error), JQ_ERR_INVALID);
    assert_string_equal(error.message, "queues_max and classes_max: at most 65535");
    config = small_config();
    config.classes_max = UINT16_MAX + 1;
    assert_int_equal(jq_core_new(&config, 1, &core, &error), JQ_ERR_INVALID);
    jq_core_free(NULL);
}

/* What the shell found wrong with one task of a submit is that task's verdict; the others are taken. */
static void verdicts_of_the_shell_are_passed_on(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item items[] = {lab_item(), lab_item(), lab_item()};
    items[1].refused = JQ_REPLY_TOO_BIG;
    items[1].field = "payload";
    items[1].reason = "more than 48 KiB";
    const struct jq_reply_effect *reply = submit_items(lab, items, 3);
    assert_int_equal(reply->u.submit.count, 3);
    assert_int_equal(reply->u.submit.exception_count, 1);
    assert_int_equal(reply->u.submit.exceptions[0].index, 1);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_TOO_BIG);
    assert_string_equal(reply->u.submit.exceptions[0].reason, "more than 48 KiB");
    struct jq_request unknown = lab_request(lab, JQ_OP_END);
    expect_refused(lab_ask(lab, &unknown), JQ_REPLY_INVALID, "op", "unknown");
    lab_free(lab);
}

/* A task's limits hold below those of its handler: the handler's where it has none, never above the handler's hard limit, and a soft
 * limit never above the hard one. */
static void limits_of_the_handler_bound_those_of_the_task(void **state) {
    (void)state;
    static const struct {
        int64_t soft_ms, hard_ms, lease_soft_ms, lease_hard_ms;
    } rows[] = {{0, 0, 2000, 5000}, {1000, 3000, 1000, 3000}, {1000, 9000, 1000, 5000}, {9000, 0, 5000, 5000}};
    struct lab *lab = lab_new();
    struct lab_worker *worker = lab_worker_unregistered(lab, "w");
    worker->handlers[0].soft_limit_ms = 2000;
    worker->handlers[0].hard_limit_ms = 5000;
    register_worker(lab, worker);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jq_submit_item item = lab_item();
        item.handler = worker->handlers[0].name;
        item.soft_limit_ms = rows[i].soft_ms;
        item.hard_limit_ms = rows[i].hard_ms;
        submit_item(lab, &item);
        struct jq_request poll = poll_of(lab, "w", 1, 0);
        const struct jq_reply_effect *reply = lab_ask(lab, &poll);
        assert_int_equal(reply->u.lease.count, 1);
        assert_int_equal(reply->u.lease.items[0].soft_limit_ms, rows[i].lease_soft_ms);
        assert_int_equal(reply->u.lease.items[0].hard_limit_ms, rows[i].lease_hard_ms);
    }
    lab_free(lab);
}

/* ---- schedules ---- */

static const struct jq_reply_effect *set_schedule(struct lab *lab, const char *queue, bool paused) {
    static const uint8_t body[] = "payload and headers 0000-00-00T00:00:00Z";
    struct jq_request request = lab_request(lab, JQ_OP_SCHEDULE_SET);
    request.u.schedule.def = (struct jq_schedule_def){.name = JQ_STR("s"),
                                                      .when = JQ_STR("@every 1h"),
                                                      .zone = JQ_STR("UTC"),
                                                      .catch_up = JQ_CATCH_UP_ALL,
                                                      .task = lab_item()};
    request.u.schedule.def.task.queue = jq_str_of(queue);
    request.u.schedule.def.task.body = (struct jq_bytes){body, sizeof(body) - 1};
    request.u.schedule.pause_given = true;
    request.u.schedule.paused = paused;
    return lab_ask(lab, &request);
}

static const struct jq_reply_effect *run_schedule(struct lab *lab) {
    struct jq_request request = lab_request(lab, JQ_OP_SCHEDULE_RUN);
    request.u.named.name = JQ_STR("s");
    return lab_ask(lab, &request);
}

/* A schedule that is set anew without its pause begins anew: what came due while it was paused is not made up for. */
static void a_schedule_set_without_its_pause_begins_anew(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    assert_int_equal(set_schedule(lab, "q", true)->status, JQ_REPLY_OK);
    advance_ms(lab, 5 * 3600000);
    assert_int_equal(set_schedule(lab, "q", false)->status, JQ_REPLY_OK);
    struct jq_server_row row;
    jq_core_status(lab->core, &row);
    assert_int_equal(row.tasks_live, 0);
    advance_ms(lab, 3600000);
    jq_core_status(lab->core, &row);
    assert_int_equal(row.tasks_live, 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Run by hand it meets its queue's bounds like any submit; a broker that stops takes none. */
static void a_schedule_run_by_hand_meets_the_bounds(void **state) {
    (void)state;
    struct jq_core_config config = small_config();
    config.depth_max = 1;
    struct lab *lab = lab_new_with(&config);
    assert_int_equal(set_schedule(lab, "q", false)->status, JQ_REPLY_OK);
    assert_int_equal(run_schedule(lab)->status, JQ_REPLY_OK);
    const struct jq_reply_effect *reply = run_schedule(lab);
    assert_int_equal(reply->status, JQ_REPLY_BUSY);
    assert_string_equal(reply->field, "depth_max");
    struct jq_event stop = {.type = JQ_EVENT_STOP};
    lab_step(lab, &stop);
    assert_int_equal(run_schedule(lab)->status, JQ_REPLY_DRAINING);
    assert_int_equal(set_schedule(lab, "q", true)->status, JQ_REPLY_DRAINING);
    lab_free(lab);
}

/* Where queues are declared, so is that of a schedule. */
static void schedules_keep_to_declared_queues(void **state) {
    (void)state;
    static const struct jq_queue_config queues[] = {{.name = "n.a"}};
    struct jq_core_config config = small_config();
    config.queues = queues;
    config.queue_count = 1;
    config.queues_declared = true;
    struct lab *lab = lab_new_with(&config);
    expect_refused(set_schedule(lab, "q", false), JQ_REPLY_NOT_FOUND, "task.queue", "not declared");
    assert_int_equal(set_schedule(lab, "n.a", false)->status, JQ_REPLY_OK);
    lab_free(lab);
}

/* What a restart leaves no room for waits: submits that are withheld are decided a bounded number of tasks a step. */
static void withheld_submits_are_decided_in_slices(void **state) {
    (void)state;
    enum { ITEM_COUNT = 1500, REQUEST_COUNT = 3 };
    static const struct jq_queue_config queues[] = {{.name = "b", .depth_max = 1, .policy = JQ_POLICY_BLOCK}};
    static struct jq_submit_item items[ITEM_COUNT];
    struct jq_core_config config = small_config();
    config.queues = queues;
    config.queue_count = 1;
    config.withheld_bytes_max = UINT64_C(1) << 30;
    struct lab *lab = lab_new_with(&config);
    lab->quiet = true;
    submit_task(lab, "b");
    uint64_t calls[REQUEST_COUNT];
    for (int i = 0; i < REQUEST_COUNT; i++) {
        for (size_t k = 0; k < ITEM_COUNT; k++) {
            items[k] = lab_item();
            items[k].queue = JQ_STR("b");
        }
        struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
        request.u.submit.items = items;
        request.u.submit.count = ITEM_COUNT;
        request.u.submit.wait_ms = 20000;
        assert_null(lab_ask(lab, &request));
        calls[i] = request.call;
    }
    struct jq_request more = lab_request(lab, JQ_OP_QUEUE_SET);
    more.u.queue_set.name = JQ_STR("b");
    more.u.queue_set.given = JQ_QUEUE_SETTING_DEPTH_MAX;
    more.u.queue_set.set.depth_max = 10000;
    assert_int_equal(lab_ask(lab, &more)->status, JQ_REPLY_OK);
    advance_ms(lab, 0);
    for (int i = 0; i < REQUEST_COUNT; i++) {
        assert_int_equal(lab_reply_to(lab, calls[i])->u.submit.exception_count, 0);
    }
    struct jq_server_row row;
    jq_core_status(lab->core, &row);
    assert_int_equal(row.tasks_live, 1 + REQUEST_COUNT * ITEM_COUNT);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A worker may say only so much of itself: a registration that is larger is refused, and nothing of it is kept. */
static void a_registration_has_a_size(void **state) {
    enum { HANDLERS = 5000 };
    static struct jq_handler_def handlers[HANDLERS];
    static char names[HANDLERS][JQ_NAME_SIZE_MAX + 1];
    static const char long_name[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
    static char need[300];
    (void)state;
    struct lab *lab = lab_new();
    (void)snprintf(need, sizeof(need), "%.60s %.60s %.60s %.60s", long_name, long_name + 1, long_name + 2,
                   long_name + 3);
    for (int i = 0; i < HANDLERS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "h%d", i);
        handlers[i] = (struct jq_handler_def){.name = jq_str_of(names[i]), .need = jq_str_of(need)};
    }
    const struct jq_uuid id = {{7}};
    struct jq_request request = {.op = JQ_OP_REGISTER,
                                 .sender = id,
                                 .id = 1,
                                 .u.reg = {.id = id,
                                           .session = id,
                                           .incarnation = 1,
                                           .name = JQ_STR("w"),
                                           .handlers = handlers,
                                           .handler_count = HANDLERS}};
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    expect_refused(reply, JQ_REPLY_INVALID, "register", "registration: larger than 1048576 bytes");
    struct jq_server_row numbers;
    jq_core_status(lab->core, &numbers);
    assert_int_equal(numbers.workers, 0);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registrations_that_cannot_be_are_refused),
        cmocka_unit_test(a_handler_with_a_bad_need_is_refused),
        cmocka_unit_test(slots_follow_the_processors),
        cmocka_unit_test(workers_are_bounded),
        cmocka_unit_test(workers_of_one_name_go_one_by_one),
        cmocka_unit_test(edits_meet_the_bounds_of_tables),
        cmocka_unit_test(edits_and_moves_meet_the_bounds_of_queues),
        cmocka_unit_test(edits_keep_to_declared_queues),
        cmocka_unit_test(replays_are_bounded_to_a_year),
        cmocka_unit_test(breakers_are_bounded),
        cmocka_unit_test(tables_larger_than_records_can_name),
        cmocka_unit_test(verdicts_of_the_shell_are_passed_on),
        cmocka_unit_test(limits_of_the_handler_bound_those_of_the_task),
        cmocka_unit_test(a_schedule_set_without_its_pause_begins_anew),
        cmocka_unit_test(a_schedule_run_by_hand_meets_the_bounds),
        cmocka_unit_test(schedules_keep_to_declared_queues),
        cmocka_unit_test(withheld_submits_are_decided_in_slices),
        cmocka_unit_test(a_registration_has_a_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
