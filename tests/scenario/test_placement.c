/* Which worker a task goes to, and what holds it back: needs, accounts, pauses, drains, limits, marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static jq_task_id submit_need(struct lab *lab, const char *need) {
    struct jq_submit_item item = lab_item();
    item.need = jq_str_of(need);
    return submit_item(lab, &item);
}

static enum jq_why first_why(struct lab *lab, jq_task_id task) {
    const struct jq_reply_effect *reply = explain_task(lab, task);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    assert_true(reply->u.explain.count > 0);
    return reply->u.explain.lines[0].why;
}

/* A need is reserved in the account of the worker's offers and given back by the report; every task takes a slot. */
static void account_reserves_and_gives_back(void **state) {
    (void)state;
    struct lab *lab = lab_new(); /* 4 slots, 4 cpu */
    submit_need(lab, "cpu=3");
    submit_need(lab, "cpu=3");
    for (int i = 0; i < 4; i++) {
        submit_need(lab, "");
    }
    const jq_lease_token large = lease_task(lab, "worker-1");
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, 3);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, 4);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, 5);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, 0); /* no slot */
    assert_int_equal(report_success(lab, large), JQ_REPLY_OK);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, 2);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* The account survives a restart of the broker: it is worked out again from the leases when the worker registers. */
static void account_survives_a_restart(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_need(lab, "cpu=3");
    submit_need(lab, "cpu=3");
    const jq_lease_token held = lease_task(lab, "worker-1");
    restart_broker(lab);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(report_success(lab, held), JQ_REPLY_OK);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    lab_free(lab);
}

/* The first alternative that fits is reserved. */
static void alternatives_are_tried_in_order(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_need(lab, "cpu=3|mem=1G");
    submit_need(lab, "cpu=3|mem=1G");
    struct jq_request poll = poll_of(lab, "worker-1", 2, 0);
    const struct jq_reply_effect *reply = lab_ask(lab, &poll);
    assert_int_equal(reply->u.lease.count, 2);
    assert_int_equal(reply->u.lease.items[0].reserved[0].amount, 3000);
    assert_int_equal(reply->u.lease.items[1].reserved[0].amount, UINT64_C(1000) << 30);
    lab_free(lab);
}

/* Of the parked workers that could take a task the one gets it whose scarcest offer has the least left over. */
static void task_goes_where_it_fits_best(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct lab_worker *small = lab_worker_unregistered(lab, "small");
    lab_offer(small, "cpu", 2000);
    register_worker(lab, small);
    struct jq_request large_poll = poll_of(lab, "large", 1, 30000), small_poll = poll_of(lab, "small", 1, 30000);
    assert_null(lab_ask(lab, &large_poll));
    assert_null(lab_ask(lab, &small_poll));
    submit_need(lab, "cpu=2");
    assert_non_null(lab_reply_to(lab, small_poll.call));
    assert_null(lab_reply_to(lab, large_poll.call));
    lab_free(lab);
}

/* What a worker says is free can lower the broker's account, never raise it. */
static void free_in_a_poll_only_lowers(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_need(lab, "cpu=2");
    submit_need(lab, "cpu=4");
    struct jq_amount told = {JQ_STR("cpu"), 1000};
    struct jq_request poll = poll_of(lab, "worker-1", 1, 0);
    poll.u.lease.free = &told;
    poll.u.lease.free_count = 1;
    assert_int_equal(lab_ask(lab, &poll)->u.lease.count, 0);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    told.amount = 100000;
    poll = poll_of(lab, "worker-1", 1, 0);
    poll.u.lease.free = &told;
    poll.u.lease.free_count = 1;
    assert_int_equal(lab_ask(lab, &poll)->u.lease.count, 0);
    lab_free(lab);
}

/* Explain tells a need that nobody could ever meet from one for which there is no room just now. */
static void explain_tells_never_from_not_now(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    (void)lab_worker(lab, "worker-1");
    submit_need(lab, "cpu=4");
    assert_int_equal(first_why(lab, submit_need(lab, "gpu=1")), JQ_WHY_NO_WORKER_CAN);
    (void)lease_task(lab, "worker-1");
    assert_int_equal(first_why(lab, submit_need(lab, "cpu=4")), JQ_WHY_NO_WORKER_FREE);
    assert_int_equal(first_why(lab, (jq_task_id){1}), JQ_WHY_RUNNING);
    assert_int_equal(explain_task(lab, (jq_task_id){77})->status, JQ_REPLY_NOT_FOUND);
    lab_free(lab);
}

/* A paused queue hands out nothing, over a restart; resumed, it serves the polls that are parked. */
static void paused_queue_hands_out_nothing(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "q", true), JQ_REPLY_OK);
    restart_broker(lab);
    register_worker(lab, lab_worker(lab, "worker-1"));
    struct jq_request poll = poll_of(lab, "worker-1", 1, 30000);
    assert_null(lab_ask(lab, &poll));
    assert_int_equal(first_why(lab, (jq_task_id){1}), JQ_WHY_QUEUE_PAUSED);
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "q", false), JQ_REPLY_OK);
    assert_int_equal(lab_reply_to(lab, poll.call)->u.lease.count, 1);
    expect_trace(lab, "[0] queue q paused\n[0] queue q resumed\n");
    lab_free(lab);
}

/* A draining worker is told so once and gets nothing more, over a restart, until an operator takes it back. */
static void draining_worker_gets_nothing(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_request poll = poll_of(lab, "worker-1", 1, 30000);
    assert_null(lab_ask(lab, &poll));
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "worker-1", true), JQ_REPLY_OK);
    assert_int_equal(lab_reply_to(lab, poll.call)->u.lease.commands[0].type, JQ_COMMAND_DRAIN);
    submit_task(lab, "q");
    restart_broker(lab);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "worker-1", false), JQ_REPLY_OK);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "nobody", true), JQ_REPLY_NOT_FOUND);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Two workers under one name, as clones of a machine are: its drain means both of them, and so does its end. */
static void a_drain_means_all_workers_of_the_name(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    (void)lab_worker(lab, "worker-1");
    struct lab_worker *clone = lab_worker_unregistered(lab, "clone");
    clone->incarnation = 2;
    (void)snprintf(clone->name, sizeof(clone->name), "worker-1");
    register_worker(lab, clone);
    (void)snprintf(clone->name, sizeof(clone->name), "clone"); /* as this test calls it */
    submit_task(lab, "q");
    submit_task(lab, "q");
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "worker-1", true), JQ_REPLY_OK);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(lease_task(lab, "clone").value, 0);
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "worker-1", false), JQ_REPLY_OK);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_not_equal(lease_task(lab, "clone").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A drained worker that dies is remembered for the operator's word; taken back, it is forgotten unless it returns. */
static void drained_worker_that_died_is_forgotten_when_taken_back(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    (void)lab_worker(lab, "worker-1");
    stop_answering_surveys(lab, "worker-1");
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "worker-1", true), JQ_REPLY_OK);
    advance_ms(lab, 60000);
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "worker-1", false), JQ_REPLY_OK);
    advance_ms(lab, 60000);
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "worker-1", true), JQ_REPLY_NOT_FOUND);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

static const struct jq_exception *refusal(struct lab *lab, const struct jq_submit_item *item) {
    const struct jq_reply_effect *reply = submit_items(lab, item, 1);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    return reply->u.submit.exception_count ? &reply->u.submit.exceptions[0] : NULL;
}

/* A full queue says `busy` and when to come again; what runs does not count, and other queues go on. */
static void full_queue_is_busy(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.depth_max = 2;
    struct lab *lab = lab_new_with(&config);
    struct jq_submit_item item = lab_item();
    submit_item(lab, &item);
    submit_item(lab, &item);
    const struct jq_exception *busy = refusal(lab, &item);
    assert_non_null(busy);
    assert_int_equal(busy->status, JQ_REPLY_BUSY);
    assert_true(busy->retry_after_ms > 0);
    submit_task(lab, "other");
    (void)lease_task(lab, "worker-1");
    submit_item(lab, &item);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Below disk_free_min submits are busy, outcomes are still taken; submits go on only at 9/8 of the mark. */
static void disk_mark_has_hysteresis(void **state) {
    static const struct {
        uint64_t eighths;
        bool busy;
    } steps[] = {{8, false}, {7, true}, {8, true}, {9, false}, {8, false}};
    (void)state;
    struct lab *lab = lab_new();
    const struct jq_submit_item item = lab_item();
    submit_item(lab, &item);
    const jq_lease_token token = lease_task(lab, "worker-1");
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct jq_event disk = {.type = JQ_EVENT_DISK};
        disk.u.disk.free_bytes = lab->config.disk_free_min / 8 * steps[i].eighths;
        lab_step(lab, &disk);
        assert_int_equal(refusal(lab, &item) != NULL, steps[i].busy);
        if (i == 1) {
            assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
        }
    }
    expect_trace(lab, "[0] disk_free_min reached\n[0] task 1 succeeded\n[0] disk_free_min clear again\n");
    lab_free(lab);
}

static void tell_disk(struct lab *lab, uint64_t free_bytes) {
    struct jq_event disk = {.type = JQ_EVENT_DISK, .u.disk = {.free_bytes = free_bytes}};
    lab_step(lab, &disk);
}

/* Space is kept for the outcomes of all that runs: no task is handed out that might not be able to end, and it is told why. */
static void disk_keeps_room_for_outcomes(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const struct jq_submit_item item = lab_item();
    jq_task_id last = {0};
    for (int i = 0; i < 3; i++) {
        last = submit_item(lab, &item);
    }
    tell_disk(lab, 2 * JQ_FRAME_SIZE_MAX);
    const jq_lease_token first = lease_task(lab, "worker-1");
    (void)lease_task(lab, "worker-1");
    struct jq_request poll = poll_of(lab, "worker-2", 1, 20000);
    assert_null(lab_ask(lab, &poll));
    const struct jq_reply_effect *why = explain_task(lab, last);
    assert_int_equal(why->u.explain.lines[0].why, JQ_WHY_DISK_FULL);
    assert_int_equal(why->u.explain.lines[0].number, 2 * JQ_FRAME_SIZE_MAX);
    assert_int_equal(report_success(lab, first), JQ_REPLY_OK);
    tell_disk(lab, 3 * JQ_FRAME_SIZE_MAX);
    assert_int_equal(lab_reply_to(lab, poll.call)->u.lease.count, 1);
    lab_free(lab);
}

/* At memory_max submits are busy, until enough was forgotten. */
static void memory_mark_stops_submits(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.memory_max = 40000;
    config.finished_max = 0;
    struct lab *lab = lab_new_with(&config);
    const struct jq_submit_item item = lab_item();
    int accepted = 0;
    while (!refusal(lab, &item)) {
        assert_true(++accepted < 1000);
    }
    for (int i = 0; i < accepted; i++) {
        assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
        advance_ms(lab, 1);
    }
    assert_null(refusal(lab, &item));
    lab_free(lab);
}

/* A table that is full of queues in use answers `busy`, naming the limit; a queue that is idle gives its place away. */
static void full_tables_are_busy(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 2;
    config.classes_max = 2;
    config.options_max = 2;
    config.finished_max = 0;
    struct lab *lab = lab_new_with(&config);
    struct jq_submit_item item = lab_item();
    submit_item(lab, &item);
    submit_task(lab, "second");
    item.queue = JQ_STR("third");
    assert_string_equal(refusal(lab, &item)->reason, "queues_max reached");
    item.queue = JQ_STR("second");
    item.handler = JQ_STR("mail");
    submit_item(lab, &item);
    item.handler = JQ_STR("build");
    assert_string_equal(refusal(lab, &item)->reason, "classes_max reached");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
        advance_ms(lab, 1);
    }
    item.queue = JQ_STR("third");
    item.result_ttl_ms = 5;
    submit_item(lab, &item);
    restart_broker(lab);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* ---- which of the parked workers ---- */

/* Parks a worker that the lab does not play, with so many cpus; returns its call. */
static uint64_t park_extra(struct lab *lab, uint8_t number, uint64_t cpus) {
    char name[16];
    const struct jq_amount offers[] = {{JQ_STR("cpu"), cpus * 1000}, {JQ_STR("slots"), 4000}};
    const struct jq_handler_def handler = {.name = JQ_STR("work")};
    const struct jq_uuid id = {{0xcc, number}};
    (void)snprintf(name, sizeof(name), "extra-%u", number);
    struct jq_request request = {.op = JQ_OP_REGISTER,
                                 .sender = id,
                                 .id = 1,
                                 .u.reg = {.id = id,
                                           .session = id,
                                           .incarnation = 1,
                                           .name = jq_str_of(name),
                                           .offers = offers,
                                           .offer_count = 2,
                                           .handlers = &handler,
                                           .handler_count = 1}};
    assert_int_equal(lab_ask(lab, &request)->status, JQ_REPLY_OK);
    struct jq_request poll = {
        .op = JQ_OP_LEASE, .sender = id, .id = 2, .u.lease = {.session = id, .want = 1, .wait_ms = 20000}};
    assert_null(lab_ask(lab, &poll));
    return poll.call;
}

/* True: of one small worker and `others` large ones, all parked, the small one, which it fits best, got the task. */
static bool small_one_gets_it(uint8_t others, bool shifted) {
    struct lab *lab = lab_new();
    const uint64_t small = park_extra(lab, 0, 1);
    for (uint8_t i = 1; i <= others; i++) {
        (void)park_extra(lab, i, 4);
    }
    struct jq_submit_item item = lab_item();
    item.need = JQ_STR("cpu=100");
    if (shifted) { /* it is looked for from another place on each time */
        (void)submit_item(lab, &item);
    }
    item.need = JQ_STR("cpu=1");
    (void)submit_item(lab, &item);
    const bool got = lab_reply_to(lab, small) != NULL;
    lab_free(lab);
    return got;
}

/* A task that becomes ready goes to the best of at most 64 parked workers that could take it: among 64 the best is always found; among
 * more it may be one that was not looked at. */
static void at_most_64_parked_workers_are_weighed(void **state) {
    (void)state;
    assert_true(small_one_gets_it(63, false) && small_one_gets_it(63, true));
    assert_true(small_one_gets_it(64, false) != small_one_gets_it(64, true));
}

static struct lab_worker *with_slots(struct lab *lab, const char *name, uint64_t slots) {
    struct lab_worker *worker = lab_worker_unregistered(lab, name);
    lab_offer(worker, "slots", slots * 1000);
    register_worker(lab, worker);
    return worker;
}

static bool idle_one_gets_it(bool idle_parks_first) {
    struct lab *lab = lab_new();
    (void)with_slots(lab, "busy", 7);
    submit_task(lab, "q");
    submit_task(lab, "q");
    assert_int_not_equal(lease_task(lab, "busy").value, 0);
    assert_int_not_equal(lease_task(lab, "busy").value, 0);
    (void)with_slots(lab, "idle", 3); /* of which a task leaves as large a share as of the other's seven */
    struct jq_request idle = poll_of(lab, "idle", 1, 20000), busy = poll_of(lab, "busy", 1, 20000);
    if (idle_parks_first) {
        assert_null(lab_ask(lab, &idle));
    }
    assert_null(lab_ask(lab, &busy));
    if (!idle_parks_first) {
        assert_null(lab_ask(lab, &idle));
    }
    submit_task(lab, "q");
    const bool got = lab_reply_to(lab, idle.call) != NULL;
    assert_true(got || lab_reply_to(lab, busy.call) != NULL);
    lab_free(lab);
    return got;
}

/* Where fit and wants are the same the worker with fewer leases gets it. */
static void of_two_that_fit_alike_the_less_loaded_gets_it(void **state) {
    (void)state;
    assert_true(idle_one_gets_it(true));
    assert_true(idle_one_gets_it(false));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(account_reserves_and_gives_back),
        cmocka_unit_test(account_survives_a_restart),
        cmocka_unit_test(alternatives_are_tried_in_order),
        cmocka_unit_test(task_goes_where_it_fits_best),
        cmocka_unit_test(free_in_a_poll_only_lowers),
        cmocka_unit_test(explain_tells_never_from_not_now),
        cmocka_unit_test(paused_queue_hands_out_nothing),
        cmocka_unit_test(draining_worker_gets_nothing),
        cmocka_unit_test(a_drain_means_all_workers_of_the_name),
        cmocka_unit_test(drained_worker_that_died_is_forgotten_when_taken_back),
        cmocka_unit_test(full_queue_is_busy),
        cmocka_unit_test(disk_mark_has_hysteresis),
        cmocka_unit_test(disk_keeps_room_for_outcomes),
        cmocka_unit_test(memory_mark_stops_submits),
        cmocka_unit_test(full_tables_are_busy),
        cmocka_unit_test(at_most_64_parked_workers_are_weighed),
        cmocka_unit_test(of_two_that_fit_alike_the_less_loaded_gets_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
