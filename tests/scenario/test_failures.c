/* What follows from each error class: retries, backoff, crashes, dead letters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static jq_lease_token run_and_fail(struct lab *lab, enum jq_outcome outcome, bool crashed) {
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_not_equal(token.value, 0);
    assert_int_equal(report_failure(lab, token, outcome, crashed), JQ_REPLY_OK);
    return token;
}

/* Input that the handler refuses is dead at once. */
static void invalid_input_is_dead_at_once(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    run_and_fail(lab, JQ_OUTCOME_INVALID_INPUT, false);
    expect_trace(lab, "[0] task 1 dead: invalid_input\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Failure n is followed by a wait of [0.5, 1) times min(base * 2^(n-1), cap); the third failure of three is the end. */
static void failures_back_off_and_end_at_retry_max(void **state) {
    static const enum jq_outcome classes[] = {JQ_OUTCOME_PROCESS_FAILURE, JQ_OUTCOME_NETWORK, JQ_OUTCOME_TIMEOUT};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct lab *lab = lab_new();
        const jq_task_id task = submit_task(lab, "q");
        for (int64_t n = 1; n <= 2; n++) {
            run_and_fail(lab, classes[i], false);
            const struct jq_task_row row = task_row_of(lab, task);
            const int64_t wait_ms = row.at_ms - lab->now_ms;
            assert_int_equal(row.state, JQ_STATE_SCHEDULED);
            assert_true(wait_ms >= 500 * n && wait_ms < 1000 * n);
            advance_ms(lab, wait_ms - 1);
            assert_int_equal(lease_task(lab, "worker-1").value, 0);
            advance_ms(lab, 1);
        }
        run_and_fail(lab, classes[i], false);
        assert_int_equal(task_state(lab, task), JQ_STATE_DEAD);
        assert_int_equal(task_row_of(lab, task).outcome, classes[i]);
        expect_replay_matches_live(lab);
        lab_free(lab);
    }
}

/* The backoff is drawn from the task and its attempt: two brokers that see the same draw the same. */
static void backoff_is_the_same_in_every_run(void **state) {
    (void)state;
    int64_t due_ms[2];
    for (int i = 0; i < 2; i++) {
        struct lab *lab = lab_new();
        submit_task(lab, "q");
        run_and_fail(lab, JQ_OUTCOME_NETWORK, false);
        due_ms[i] = task_row_of(lab, (jq_task_id){1}).at_ms;
        lab_free(lab);
    }
    assert_int_equal(due_ms[0], due_ms[1]);
}

/* Crashes are counted apart from failures: the third is the end, whatever retry.max allows. */
static void poison_task_is_dead_after_three_crashes(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.retry_max = 100;
    item.retry_base_ms = 10;
    const jq_task_id task = submit_item(lab, &item);
    for (int i = 0; i < 3; i++) {
        run_and_fail(lab, JQ_OUTCOME_TIMEOUT, true);
        advance_ms(lab, 100);
    }
    assert_int_equal(task_row_of(lab, task).outcome, JQ_OUTCOME_CRASH_LIMIT);
    assert_int_equal(task_row_of(lab, task).crashes, 3);
    lab_free(lab);
}

/* A shortage of the host does not count as an attempt; the twenty-first in a row is the end. */
static void shortages_do_not_count_twenty_times(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.breaker.enabled = false; /* else the worker's opens at the tenth */
    struct lab *lab = lab_new_with(&config);
    struct jq_submit_item item = lab_item();
    item.retry_max = 1;
    item.retry_base_ms = 10;
    item.retry_cap_ms = 10;
    const jq_task_id task = submit_item(lab, &item);
    for (int i = 0; i < 20; i++) {
        run_and_fail(lab, JQ_OUTCOME_RESOURCE_EXHAUSTED, false);
        assert_int_equal(task_row_of(lab, task).attempts, 0);
        assert_int_equal(task_state(lab, task), JQ_STATE_SCHEDULED);
        advance_ms(lab, 10);
    }
    run_and_fail(lab, JQ_OUTCOME_RESOURCE_EXHAUSTED, false);
    assert_int_equal(task_state(lab, task), JQ_STATE_DEAD);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A worker that was short of something takes no task of that class for a while; another one may. */
static void short_worker_is_passed_over(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    run_and_fail(lab, JQ_OUTCOME_RESOURCE_EXHAUSTED, false);
    submit_task(lab, "q");
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_not_equal(lease_task(lab, "worker-2").value, 0);
    advance_ms(lab, 1000);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    lab_free(lab);
}

/* It remembers several such classes at a time: what it ran out of under one says nothing of another. */
static void short_worker_remembers_several_classes(void **state) {
    static const char *const handlers[] = {"work", "mail", "build"};
    (void)state;
    struct lab *lab = lab_new();
    for (int i = 0; i < 3; i++) {
        struct jq_submit_item item = lab_item();
        item.handler = jq_str_of(handlers[i]);
        submit_item(lab, &item);
        if (i < 2) {
            run_and_fail(lab, JQ_OUTCOME_RESOURCE_EXHAUSTED, false);
            submit_item(lab, &item); /* another of the class, ready at once */
        }
    }
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, 5); /* the one to build, and nothing else */
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, 0);
    assert_int_not_equal(lease_task_id(lab, "worker-2", &token).value, 0);
    assert_int_not_equal(lease_task_id(lab, "worker-2", &token).value, 0);
    advance_ms(lab, 1000);
    assert_int_not_equal(lease_task_id(lab, "worker-1", &token).value, 0);
    lab_free(lab);
}

/* No task is tried for ever: what its counters hold is the end, whatever limit an older broker let through. */
static void counters_that_are_full_end_a_task(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.breaker.enabled = false;
    struct lab *lab = lab_new_with(&config);
    struct jq_submit_item item = lab_item();
    item.retry_max = 1000;
    item.retry_base_ms = 0;
    const jq_task_id task = submit_item(lab, &item);
    for (int i = 1; i < 255; i++) {
        run_and_fail(lab, JQ_OUTCOME_PROCESS_FAILURE, false);
    }
    assert_int_equal(task_state(lab, task), JQ_STATE_READY);
    run_and_fail(lab, JQ_OUTCOME_PROCESS_FAILURE, false);
    assert_int_equal(task_state(lab, task), JQ_STATE_DEAD);
    assert_int_equal(task_row_of(lab, task).attempts, 255);
    lab_free(lab);
}

/* A soft limit that was ignored is a crash beside being a failure; a limit that was obeyed is a failure alone. */
static void timeout_is_a_crash_if_the_soft_limit_was_ignored(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id obeyed = submit_task(lab, "q");
    run_and_fail(lab, JQ_OUTCOME_TIMEOUT, false);
    assert_int_equal(task_row_of(lab, obeyed).crashes, 0);
    assert_int_equal(task_row_of(lab, obeyed).attempts, 1);
    const jq_task_id ignored = submit_task(lab, "q");
    run_and_fail(lab, JQ_OUTCOME_TIMEOUT, true);
    assert_int_equal(task_row_of(lab, ignored).crashes, 1);
    assert_int_equal(task_row_of(lab, ignored).attempts, 1);
    lab_free(lab);
}

/* Lost alone on its worker: a crash, and no attempt; at once in the queue again, before what came after it. */
static void task_lost_alone_is_a_crash_and_goes_to_the_head(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id first = submit_task(lab, "q");
    lease_task(lab, "worker-1");
    advance_ms(lab, 1);
    submit_task(lab, "q");
    restart_worker(lab, "worker-1");
    const struct jq_task_row row = task_row_of(lab, first);
    assert_int_equal(row.state, JQ_STATE_READY);
    assert_int_equal(row.crashes, 1);
    assert_int_equal(row.losses, 0);
    assert_int_equal(row.attempts, 0);
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-2", &token).value, first.value);
    lab_free(lab);
}

/* Shortages count only in a row: a failure of another kind between them begins the row anew. */
static void shortages_count_in_a_row(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.shortage_limit = 2;
    config.breaker.enabled = false;
    struct lab *lab = lab_new_with(&config);
    struct jq_submit_item item = lab_item();
    item.retry_base_ms = 0;
    const jq_task_id task = submit_item(lab, &item);
    for (int i = 0; i < 2; i++) {
        run_and_fail(lab, JQ_OUTCOME_RESOURCE_EXHAUSTED, false);
        run_and_fail(lab, JQ_OUTCOME_RESOURCE_EXHAUSTED, false);
        run_and_fail(lab, JQ_OUTCOME_PROCESS_FAILURE, false);
    }
    assert_int_equal(task_row_of(lab, task).attempts, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(task_state(lab, task), JQ_STATE_READY);
        run_and_fail(lab, JQ_OUTCOME_RESOURCE_EXHAUSTED, false);
    }
    assert_int_equal(task_row_of(lab, task).outcome, JQ_OUTCOME_RESOURCE_EXHAUSTED);
    assert_int_equal(task_state(lab, task), JQ_STATE_DEAD);
    lab_free(lab);
}

/* Of two tasks on a worker that died neither is known to be guilty: no crash, but suspects, and those go one to a worker. */
static void suspects_are_retried_one_to_a_worker(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    submit_task(lab, "q");
    lease_task(lab, "worker-1");
    lease_task(lab, "worker-1");
    stop_answering_surveys(lab, "worker-1");
    advance_ms(lab, 15000);
    expect_trace(lab, "[15000] worker worker-1 dead: 7 surveys unanswered\n"
                      "[15000] task 1 ready: lost, loss 1 of 10\n"
                      "[15000] task 2 ready: lost, loss 1 of 10\n");
    submit_task(lab, "q"); /* task 3 is no suspect */
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-2", &token).value, 1);
    assert_int_equal(lease_task_id(lab, "worker-2", &token).value, 3);
    assert_int_equal(lease_task_id(lab, "worker-2", &token).value, 0);
    assert_int_equal(lease_task_id(lab, "worker-3", &token).value, 2);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A worker with a suspect takes no second one, but all others, also those that stand behind a suspect. */
static void worker_with_a_suspect_takes_what_is_none(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    for (int i = 0; i < 3; i++) {
        submit_task(lab, "q");
    }
    lease_task(lab, "worker-1"); /* 1 and 2 will be lost together */
    lease_task(lab, "worker-1");
    const jq_lease_token third = lease_task(lab, "worker-3");
    stop_answering_surveys(lab, "worker-1");
    advance_ms(lab, 15000);
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-2", &token).value, 1);
    assert_int_equal(report_failure(lab, third, JQ_OUTCOME_NETWORK, false), JQ_REPLY_OK);
    advance_ms(lab, 1000);
    assert_int_equal(lease_task_id(lab, "worker-2", &token).value, 3);
    assert_int_equal(lease_task_id(lab, "worker-2", &token).value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* What went wrong is told in a short line, over restarts too, until an attempt ends without a word. */
static void error_text_is_kept_with_the_task(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = submit_task(lab, "q");
    report_as(lab, lease_task(lab, "worker-1"),
              (struct jq_report){.outcome = JQ_OUTCOME_PROCESS_FAILURE, .error = JQ_STR("exit 1: OCC broke")});
    restart_broker(lab);
    struct jq_task_row row = task_row_of(lab, task);
    assert_true(jq_str_equal(row.error, JQ_STR("exit 1: OCC broke")));
    advance_ms(lab, 1000);
    report_success(lab, lease_task(lab, "worker-1"));
    row = task_row_of(lab, task);
    assert_int_equal(row.error.size, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Of an attempt that was lost it is told with which worker; the dead letter has all its losses. */
static void lost_attempt_names_its_worker(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.lost_limit = 1;
    struct lab *lab = lab_new_with(&config);
    const jq_task_id task = submit_task(lab, "q");
    lease_task(lab, "worker-1");
    submit_task(lab, "company");
    lease_task(lab, "worker-1");
    restart_worker(lab, "worker-1");
    const struct jq_task_row row = task_row_of(lab, task);
    assert_int_equal(row.outcome, JQ_OUTCOME_LOST_LIMIT);
    assert_int_equal(row.losses, 1);
    assert_true(jq_str_equal(row.error, JQ_STR("lost with worker worker-1")));
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A task that keeps being lost in company is given up at lost_limit. */
static void lost_limit_ends_it(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.lost_limit = 2;
    struct lab *lab = lab_new_with(&config);
    const jq_task_id task = submit_task(lab, "q");
    for (int i = 0; i < 2; i++) {
        lease_task(lab, "worker-1");
        submit_task(lab, "company");
        lease_task(lab, "worker-1");
        restart_worker(lab, "worker-1");
    }
    assert_int_equal(task_row_of(lab, task).outcome, JQ_OUTCOME_LOST_LIMIT);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A dead letter waits for an operator: replayed it starts afresh, removed it is gone; others cannot be replayed. */
static void dead_letters_are_replayed_or_removed(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = submit_task(lab, "q");
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_REPLAY, task), JQ_REPLY_CONFLICT);
    run_and_fail(lab, JQ_OUTCOME_INVALID_INPUT, false);
    advance_ms(lab, 86400000);
    assert_int_equal(task_state(lab, task), JQ_STATE_DEAD);
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_REPLAY, task), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, task), JQ_STATE_READY);
    run_and_fail(lab, JQ_OUTCOME_INVALID_INPUT, false);
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_RM, task), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, task), JQ_STATE_NONE);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A task whose latest start passed while it ran is not started again: it expires instead of being tried again. */
static void expired_task_is_not_tried_again(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.expires_wall_ms = LAB_WALL_MS + 5000;
    item.retry_base_ms = 0;
    const jq_task_id task = submit_item(lab, &item);
    const jq_lease_token token = lease_task(lab, "worker-1");
    advance_ms(lab, 6000);
    assert_int_equal(task_state(lab, task), JQ_STATE_RUNNING);
    struct jq_request parked = poll_of(lab, "worker-2", 1, 20000); /* it would take the task at once */
    assert_null(lab_ask(lab, &parked));
    assert_int_equal(report_failure(lab, token, JQ_OUTCOME_NETWORK, false), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, task), JQ_STATE_EXPIRED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* However often a task has failed, it waits no longer than its cap. */
static void backoff_ends_at_its_cap(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.retry_max = 40;
    item.retry_base_ms = 1000;
    item.retry_cap_ms = 3000;
    const jq_task_id task = submit_item(lab, &item);
    for (int i = 0; i < 8; i++) {
        const int64_t failed_ms = lab->now_ms;
        assert_int_equal(report_failure(lab, lease_task(lab, "worker-1"), JQ_OUTCOME_PROCESS_FAILURE, false),
                         JQ_REPLY_OK);
        const int64_t wait_ms = task_row_of(lab, task).at_ms - failed_ms;
        assert_in_range(wait_ms, i == 0 ? 500 : i == 1 ? 1000 : 1500, i == 0 ? 1000 : i == 1 ? 2000 : 3000);
        advance_ms(lab, wait_ms);
    }
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invalid_input_is_dead_at_once),
        cmocka_unit_test(failures_back_off_and_end_at_retry_max),
        cmocka_unit_test(backoff_is_the_same_in_every_run),
        cmocka_unit_test(poison_task_is_dead_after_three_crashes),
        cmocka_unit_test(shortages_do_not_count_twenty_times),
        cmocka_unit_test(short_worker_is_passed_over),
        cmocka_unit_test(short_worker_remembers_several_classes),
        cmocka_unit_test(counters_that_are_full_end_a_task),
        cmocka_unit_test(timeout_is_a_crash_if_the_soft_limit_was_ignored),
        cmocka_unit_test(task_lost_alone_is_a_crash_and_goes_to_the_head),
        cmocka_unit_test(shortages_count_in_a_row),
        cmocka_unit_test(suspects_are_retried_one_to_a_worker),
        cmocka_unit_test(worker_with_a_suspect_takes_what_is_none),
        cmocka_unit_test(error_text_is_kept_with_the_task),
        cmocka_unit_test(lost_attempt_names_its_worker),
        cmocka_unit_test(lost_limit_ends_it),
        cmocka_unit_test(dead_letters_are_replayed_or_removed),
        cmocka_unit_test(expired_task_is_not_tried_again),
        cmocka_unit_test(backoff_ends_at_its_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
