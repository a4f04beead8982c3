/* A task whose body no longer reads as it was written: what the core does when the shell finds out on the way to the worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static void tell_damaged(struct lab *lab, jq_task_id task, jq_lease_token token) {
    struct jq_event event = {.type = JQ_EVENT_DAMAGED, .u.damaged = {.task = task, .token = token}};
    lab_step(lab, &event);
}

/* Nobody can run it: it is dead, with the cause, at once; who waits for it is told, and its worker has room again. */
static void a_damaged_task_is_dead_and_its_waiters_know(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    const jq_task_id task = submit_task(lab, "mail");
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, task.value);
    struct jq_request wait = lab_request(lab, JQ_OP_WAIT);
    wait.u.wait.ids = &task;
    wait.u.wait.count = 1;
    wait.u.wait.wait_ms = 10000;
    assert_null(lab_ask(lab, &wait));

    tell_damaged(lab, task, token);
    expect_trace(lab, "[0] task 1 dead: damaged\n");
    assert_non_null(lab_reply_to(lab, wait.call));
    assert_int_equal(report_success(lab, token), JQ_REPLY_STALE_LEASE);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* The news may come late: a lease that has ended, or another one of the same task, is left alone. */
static void late_news_of_damage_changes_nothing(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    const jq_task_id task = submit_task(lab, "mail");
    const jq_lease_token first = lease_task(lab, "worker-1");
    assert_int_equal(report_failure(lab, first, JQ_OUTCOME_HANDED_BACK, false), JQ_REPLY_OK);
    tell_damaged(lab, task, first);
    assert_int_equal(task_state(lab, task), JQ_STATE_READY);
    const jq_lease_token second = lease_task(lab, "worker-1");
    tell_damaged(lab, task, first);
    tell_damaged(lab, (jq_task_id){999}, second);
    assert_int_equal(task_state(lab, task), JQ_STATE_RUNNING);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Somebody wanted it gone before: it is cancelled. */
static void a_damaged_task_that_is_being_cancelled_is_cancelled(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    const jq_task_id task = submit_task(lab, "mail");
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_equal(cancel_task(lab, task), JQ_REPLY_OK);
    tell_damaged(lab, task, token);
    expect_trace(lab, "[0] task 1 cancelling\n[0] task 1 cancelled\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Its place goes to the next task: a worker whose poll is parked gets it in the same step. */
static void the_place_of_a_damaged_task_is_free_at_once(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    struct lab_worker *worker = lab_worker(lab, "worker-1");
    lab_offer(worker, "slots", 1000);
    register_worker(lab, worker);
    const jq_task_id task = submit_task(lab, "mail");
    submit_task(lab, "mail");
    const jq_lease_token token = lease_task(lab, "worker-1");
    struct jq_request poll = poll_of(lab, "worker-1", 1, 10000);
    assert_null(lab_ask(lab, &poll));
    tell_damaged(lab, task, token);
    const struct jq_reply_effect *reply = lab_reply_to(lab, poll.call);
    assert_non_null(reply);
    assert_int_equal(reply->u.lease.count, 1);
    lab_free(lab);
}

/* An answer never promises more than a frame holds, however many things a task reserves: the bound counts their names. */
static void an_answer_counts_what_its_tasks_reserve(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    struct lab_worker *worker = lab_worker(lab, "worker-1");
    static const char *const names[] = {"a-consumable-with-a-name-that-is-as-long-as-names-are-allowed-01",
                                        "a-consumable-with-a-name-that-is-as-long-as-names-are-allowed-02",
                                        "a-consumable-with-a-name-that-is-as-long-as-names-are-allowed-03"};
    for (int i = 0; i < 3; i++) {
        lab_offer(worker, names[i], 1000000);
    }
    lab_offer(worker, "slots", 100000);
    register_worker(lab, worker);
    struct jq_submit_item item = lab_item();
    item.need = JQ_STR("a-consumable-with-a-name-that-is-as-long-as-names-are-allowed-01=1 "
                       "a-consumable-with-a-name-that-is-as-long-as-names-are-allowed-02=1 "
                       "a-consumable-with-a-name-that-is-as-long-as-names-are-allowed-03=1");
    for (int i = 0; i < 20; i++) {
        submit_item(lab, &item);
    }
    struct jq_request poll = poll_of(lab, "worker-1", 20, 0);
    poll.u.lease.bytes_max = 2000;
    const struct jq_reply_effect *reply = lab_ask(lab, &poll);
    assert_non_null(reply);
    assert_in_range(reply->u.lease.count, 2, 2000 / (3 * 64));
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_task_is_dead_and_its_waiters_know),
        cmocka_unit_test(late_news_of_damage_changes_nothing),
        cmocka_unit_test(a_damaged_task_that_is_being_cancelled_is_cancelled),
        cmocka_unit_test(the_place_of_a_damaged_task_is_free_at_once),
        cmocka_unit_test(an_answer_counts_what_its_tasks_reserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
