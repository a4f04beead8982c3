/* Who goes first, and when: priorities, aging, delay, eta, expiry, forgetting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static jq_task_id submit_priority(struct lab *lab, int priority) {
    struct jq_submit_item item = lab_item();
    item.priority = priority;
    return submit_item(lab, &item);
}

static uint64_t run_one(struct lab *lab) {
    jq_lease_token token;
    const jq_task_id task = lease_task_id(lab, "worker-1", &token);
    if (task.value != 0) {
        assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    }
    return task.value;
}

/* The highest priority first; within one, the order of submission. */
static void priority_is_strict_then_first_come(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_priority(lab, 1);
    submit_priority(lab, 5);
    submit_priority(lab, 9);
    submit_priority(lab, 5);
    const uint64_t expected[] = {3, 2, 4, 1, 0};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(run_one(lab), expected[i]);
    }
    lab_free(lab);
}

/* Every eighth lease of a queue goes to the task that has been ready for longest, once that is aging_interval. */
static void eighth_lease_goes_to_the_oldest(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_priority(lab, 0);
    advance_ms(lab, lab->config.aging_interval_ms);
    for (int i = 0; i < 20; i++) {
        submit_priority(lab, 9);
    }
    for (uint64_t n = 1; n <= 7; n++) {
        assert_int_equal(run_one(lab), n + 1);
        if (n == 6) { /* one that looks and can take nothing changes nothing */
            lab_worker_unregistered(lab, "idle")->handler_count = 1;
            lab_worker(lab, "idle")->handlers[0].name = JQ_STR("other");
            register_worker(lab, lab_worker(lab, "idle"));
            assert_int_equal(lease_task(lab, "idle").value, 0);
        }
    }
    assert_int_equal(lease_task(lab, "idle").value, 0);
    assert_int_equal(run_one(lab), 1);
    assert_int_equal(run_one(lab), 9);
    lab_free(lab);
}

/* A delayed task is leased when its delay is over, not a millisecond before, and keeps that over a restart. */
static void delay_holds_to_the_millisecond(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.delay_ms = 5000;
    submit_item(lab, &item);
    advance_ms(lab, 2000);
    restart_broker(lab);
    advance_ms(lab, 2999);
    assert_int_equal(run_one(lab), 0);
    advance_ms(lab, 1);
    assert_int_equal(run_one(lab), 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* An eta is wall time: when the wall clock moves back the task waits on, when it moves ahead the task is due. */
static void eta_follows_the_wall_clock(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.eta_wall_ms = LAB_WALL_MS + 60000;
    submit_item(lab, &item);
    move_wall_ms(lab, -3600000);
    advance_ms(lab, 60000);
    assert_int_equal(run_one(lab), 0);
    move_wall_ms(lab, 3600000);
    expect_trace(lab, "[60000] task 1 ready\n");
    restart_broker(lab);
    assert_int_equal(run_one(lab), 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A task that did not start until its expiry ends as expired; one that runs is left alone; one that is late already never runs. */
static void expiry_is_the_latest_start(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.expires_wall_ms = LAB_WALL_MS + 1000;
    submit_item(lab, &item);
    submit_item(lab, &item);
    const jq_lease_token running = lease_task(lab, "worker-1");
    advance_ms(lab, 1000);
    expect_trace(lab, "[1000] task 2 expired\n");
    assert_int_equal(report_success(lab, running), JQ_REPLY_OK);
    struct jq_request poll = poll_of(lab, "worker-1", 1, 1000);
    assert_null(lab_ask(lab, &poll));
    assert_int_equal(submit_item(lab, &item).value, 3);
    expect_trace(lab, "[1000] task 1 succeeded\n[1000] task 3 expired\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A result is kept for its result_ttl. */
static void results_are_forgotten_after_their_ttl(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.result_ttl_ms = 1000;
    submit_item(lab, &item);
    assert_int_equal(run_one(lab), 1);
    advance_ms(lab, 999);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_SUCCEEDED);
    advance_ms(lab, 1);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_NONE);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* At most finished_max finished tasks are remembered, the oldest going first; dead letters are not among them. */
static void only_so_many_finished_tasks_are_remembered(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.finished_max = 2;
    struct lab *lab = lab_new_with(&config);
    submit_task(lab, "q");
    report_failure(lab, lease_task(lab, "worker-1"), JQ_OUTCOME_INVALID_INPUT, false);
    for (uint64_t i = 2; i <= 5; i++) {
        submit_task(lab, "q");
        assert_int_equal(run_one(lab), i);
    }
    advance_ms(lab, 1);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_DEAD);
    assert_int_equal(task_state(lab, (jq_task_id){3}), JQ_STATE_NONE);
    assert_int_equal(task_state(lab, (jq_task_id){4}), JQ_STATE_SUCCEEDED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Tasks that come back into their queue in any order are handed out by key, whichever of them are cancelled meanwhile. */
static void tasks_that_come_back_in_any_order_keep_theirs(void **state) {
    (void)state;
    enum { TASK_COUNT = 61, STEP = 23 }; /* prime to each other */
    struct lab *lab = lab_new();
    for (int i = 0; i < TASK_COUNT; i++) {
        assert_int_equal(ask_about_task(lab, JQ_OP_TASK_HOLD, submit_priority(lab, 5)), JQ_REPLY_OK);
    }
    const jq_task_id newest = submit_priority(lab, 5);
    for (uint64_t i = 0; i < TASK_COUNT; i++) {
        assert_int_equal(ask_about_task(lab, JQ_OP_TASK_RELEASE, (jq_task_id){i * STEP % TASK_COUNT + 1}), JQ_REPLY_OK);
    }
    for (uint64_t i = 0; i < TASK_COUNT; i += 2) {
        assert_int_equal(cancel_task(lab, (jq_task_id){i * STEP % TASK_COUNT + 1}), JQ_REPLY_OK);
    }
    uint64_t before = 0, count = 0;
    for (uint64_t id = run_one(lab); id != 0; id = run_one(lab)) {
        assert_true(id > before);
        before = id;
        count++;
    }
    assert_int_equal(before, newest.value);
    assert_int_equal(count, TASK_COUNT / 2 + 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priority_is_strict_then_first_come),
        cmocka_unit_test(eighth_lease_goes_to_the_oldest),
        cmocka_unit_test(delay_holds_to_the_millisecond),
        cmocka_unit_test(eta_follows_the_wall_clock),
        cmocka_unit_test(expiry_is_the_latest_start),
        cmocka_unit_test(results_are_forgotten_after_their_ttl),
        cmocka_unit_test(only_so_many_finished_tasks_are_remembered),
        cmocka_unit_test(tasks_that_come_back_in_any_order_keep_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
