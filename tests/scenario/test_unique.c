/* Uniqueness: how long a key stands for its task. none: for key_ttl. while_queued: until it runs. until_done: until it has ended. throttle:
 * for a window. debounce: while it waits, and a later submit takes its place. All of it holds over restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };
static const int64_t key_ttl_ms = 24 * (int64_t)HOUR;

/* Submits under the key "k"; the task that answers, a new one or not. */
static jq_task_id submit(struct lab *lab, enum jq_unique unique, int64_t unique_ms, bool *ret_new) {
    struct jq_submit_item item = lab_item();
    item.key = JQ_STR("k");
    item.unique = unique;
    item.unique_ms = unique_ms;
    item.delay_ms = unique == JQ_UNIQUE_DEBOUNCE ? unique_ms : 0;
    const struct jq_reply_effect *reply = submit_items(lab, &item, 1);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    *ret_new = reply->u.submit.exception_count == 0;
    if (*ret_new)
        return (jq_task_id){reply->u.submit.first};
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_OK);
    return reply->u.submit.exceptions[0].task;
}

static jq_task_id expect_new(struct lab *lab, enum jq_unique unique, int64_t unique_ms) {
    bool is_new = false;
    const jq_task_id task = submit(lab, unique, unique_ms, &is_new);
    assert_true(is_new);
    return task;
}

static void expect_same(struct lab *lab, enum jq_unique unique, int64_t unique_ms, jq_task_id task) {
    bool is_new = false;
    assert_int_equal(submit(lab, unique, unique_ms, &is_new).value, task.value);
    assert_false(is_new);
}

static void restart(struct lab *lab) {
    restart_broker(lab);
    for (size_t i = 0; i < lab->worker_count; i++)
        register_worker(lab, &lab->workers[i]);
}

static void end(struct lab *lab) {
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* none: the key gives the first task for key_ttl, though that has ended long ago; then it is free. */
static void none_stands_for_key_ttl(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    const jq_task_id first = expect_new(lab, JQ_UNIQUE_NONE, 0);
    assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
    advance_ms(lab, key_ttl_ms - 1);
    restart(lab);
    expect_same(lab, JQ_UNIQUE_NONE, 0, first);
    advance_ms(lab, 1);
    expect_new(lab, JQ_UNIQUE_NONE, 0);
    end(lab);
}

/* while_queued: as long as the task waits, however long, a second submit is answered with it; once it runs, the next is a new task. */
static void while_queued_ends_when_the_task_runs(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    const jq_task_id first = expect_new(lab, JQ_UNIQUE_WHILE_QUEUED, 0);
    advance_ms(lab, 3 * key_ttl_ms);
    restart(lab);
    expect_same(lab, JQ_UNIQUE_WHILE_QUEUED, 0, first);
    const jq_lease_token token = lease_task(lab, "worker-1");
    restart(lab);
    const jq_task_id second = expect_new(lab, JQ_UNIQUE_WHILE_QUEUED, 0);
    assert_int_equal(report_failure(lab, token, JQ_OUTCOME_PROCESS_FAILURE, false), JQ_REPLY_OK);
    expect_same(lab, JQ_UNIQUE_WHILE_QUEUED, 0, second); /* a retry does not take the key back */
    assert_int_equal(cancel_task(lab, second), JQ_REPLY_OK);
    expect_new(lab, JQ_UNIQUE_WHILE_QUEUED, 0);
    end(lab);
}

/* until_done: the key outlives key_ttl while the task lives, through retries and restarts; when it has ended, in whatever way, the
 * next submit is a new task. */
static void until_done_outlives_key_ttl(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    const jq_task_id first = expect_new(lab, JQ_UNIQUE_UNTIL_DONE, 0);
    advance_ms(lab, 2 * key_ttl_ms);
    jq_lease_token token = lease_task(lab, "worker-1");
    expect_same(lab, JQ_UNIQUE_UNTIL_DONE, 0, first);
    assert_int_equal(report_failure(lab, token, JQ_OUTCOME_PROCESS_FAILURE, false), JQ_REPLY_OK);
    restart(lab);
    expect_same(lab, JQ_UNIQUE_UNTIL_DONE, 0, first);
    advance_ms(lab, MINUTE);
    token = lease_task(lab, "worker-1");
    expect_same(lab, JQ_UNIQUE_UNTIL_DONE, 0, first);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    restart(lab);
    const jq_task_id second = expect_new(lab, JQ_UNIQUE_UNTIL_DONE, 0);
    assert_int_equal(report_failure(lab, lease_task(lab, "worker-1"), JQ_OUTCOME_INVALID_INPUT, false), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, second), JQ_STATE_DEAD);
    expect_new(lab, JQ_UNIQUE_UNTIL_DONE, 0);
    end(lab);
}

/* The segment with the submit of such a key stays as long as the key does: a log that has left its beginning behind still knows it. */
static void a_bound_key_keeps_its_segment(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    const jq_task_id first = expect_new(lab, JQ_UNIQUE_UNTIL_DONE, 0);
    for (int i = 0; i < 3; i++) {
        submit_task(lab, "other");
        lab_prologue(lab);
    }
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    restart(lab);
    expect_same(lab, JQ_UNIQUE_UNTIL_DONE, 0, first);
    assert_int_equal(cancel_task(lab, first), JQ_REPLY_OK);
    end(lab);
}

/* throttle: the first in a window runs, later ones in it answer with its id, whatever became of it; windows of different length end
 * each in its time. */
static void throttle_lets_one_through_in_a_window(void **state) {
    struct lab *lab = lab_new();
    struct jq_submit_item longer = lab_item();
    struct jq_server_row row;
    (void)state;
    longer.key = JQ_STR("longer");
    longer.unique = JQ_UNIQUE_THROTTLE;
    longer.unique_ms = HOUR;
    submit_item(lab, &longer);
    const jq_task_id first = expect_new(lab, JQ_UNIQUE_THROTTLE, MINUTE);
    assert_int_equal(cancel_task(lab, first), JQ_REPLY_OK);
    advance_ms(lab, MINUTE - 1);
    restart(lab);
    expect_same(lab, JQ_UNIQUE_THROTTLE, MINUTE, first);
    advance_ms(lab, 1);
    const jq_task_id second = expect_new(lab, JQ_UNIQUE_THROTTLE, MINUTE);
    expect_same(lab, JQ_UNIQUE_THROTTLE, MINUTE, second);
    advance_ms(lab, HOUR);
    jq_core_status(lab->core, &row);
    assert_int_equal(row.keys, 0); /* and are forgotten */
    end(lab);
}

/* debounce: a later submit replaces the one that waits, payload and all, and the delay begins anew; so the last of many runs, once,
 * when it has been quiet for so long. */
static void debounce_runs_the_last_of_many(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    const jq_task_id task = expect_new(lab, JQ_UNIQUE_DEBOUNCE, 10 * SECOND);
    const struct jq_body_ref first_body = task_row_of(lab, task).body;
    for (int i = 0; i < 5; i++) {
        advance_ms(lab, 9 * SECOND);
        if (i == 2)
            restart(lab);
        expect_same(lab, JQ_UNIQUE_DEBOUNCE, 10 * SECOND, task);
    }
    assert_true(task_row_of(lab, task).body.lsn > first_body.lsn);
    advance_ms(lab, 10 * SECOND - 1);
    assert_int_equal(task_state(lab, task), JQ_STATE_SCHEDULED);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    advance_ms(lab, 1);
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, task.value);
    const jq_task_id next = expect_new(lab, JQ_UNIQUE_DEBOUNCE, 10 * SECOND);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    expect_same(lab, JQ_UNIQUE_DEBOUNCE, 10 * SECOND, next);
    end(lab);
}

/* A stream of submits that never pauses delays the task to ten times the delay of the first, and no longer: then the last that came runs. */
static void debounce_does_not_wait_for_ever(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    const jq_task_id task = expect_new(lab, JQ_UNIQUE_DEBOUNCE, 10 * SECOND);
    for (int i = 0; i < 24; i++) {
        advance_ms(lab, 4 * SECOND);
        if (i == 12)
            restart(lab);
        assert_int_equal(lease_task(lab, "worker-1").value, 0);
        expect_same(lab, JQ_UNIQUE_DEBOUNCE, 10 * SECOND, task);
    }
    advance_ms(lab, 4 * SECOND);
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, task.value);
    (void)expect_new(lab, JQ_UNIQUE_DEBOUNCE, 10 * SECOND);
    end(lab);
}

/* What replaces it may be quite another task: queue, handler, priority and retries are those of the last submit. */
static void debounce_takes_all_of_the_last_submit(void **state) {
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    (void)state;
    const jq_task_id task = expect_new(lab, JQ_UNIQUE_DEBOUNCE, SECOND);
    item.queue = JQ_STR("default.two");
    item.handler = JQ_STR("mail");
    item.priority = 9;
    item.retry_max = 1;
    item.key = JQ_STR("k");
    item.unique = JQ_UNIQUE_DEBOUNCE;
    item.unique_ms = item.delay_ms = 2 * SECOND;
    const struct jq_reply_effect *reply = submit_items(lab, &item, 1);
    assert_int_equal(reply->u.submit.exceptions[0].task.value, task.value);
    const struct jq_task_row row = task_row_of(lab, task);
    assert_true(jq_str_equal(row.queue, JQ_STR("default.two")) && jq_str_equal(row.handler, JQ_STR("mail")));
    assert_int_equal(row.priority, 9);
    assert_int_equal(row.options.retry_max, 1);
    assert_int_equal(row.at_ms, 2 * SECOND);
    expect_trace(lab, "[0] task 1 renewed\n");
    end(lab);
}

/* The same request sent twice replaces once: what came between is not undone. */
static void a_resent_debounce_does_not_come_again(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    const jq_task_id task = expect_new(lab, JQ_UNIQUE_DEBOUNCE, 10 * SECOND);
    struct jq_submit_item item = lab_item();
    item.key = JQ_STR("k");
    item.unique = JQ_UNIQUE_DEBOUNCE;
    item.unique_ms = item.delay_ms = 10 * SECOND;
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.u.submit.items = &item;
    request.u.submit.count = 1;
    assert_int_equal(lab_ask(lab, &request)->u.submit.exceptions[0].task.value, task.value);
    expect_same(lab, JQ_UNIQUE_DEBOUNCE, 10 * SECOND, task);
    const struct jq_body_ref body = task_row_of(lab, task).body;
    restart(lab);
    assert_int_equal(lab_ask(lab, &request)->u.submit.exceptions[0].task.value, task.value);
    assert_true(task_row_of(lab, task).body.lsn == body.lsn);
    end(lab);
}

/* While a key stands for a task it does so for every submit, whatever that says itself; and another namespace has its own keys. */
static void the_holder_says_how_long(void **state) {
    struct lab *lab = lab_new();
    struct jq_submit_item other = lab_item();
    (void)state;
    const jq_task_id first = expect_new(lab, JQ_UNIQUE_UNTIL_DONE, 0);
    expect_same(lab, JQ_UNIQUE_NONE, 0, first);
    expect_same(lab, JQ_UNIQUE_THROTTLE, SECOND, first);
    expect_same(lab, JQ_UNIQUE_DEBOUNCE, SECOND, first);
    other.queue = JQ_STR("other");
    other.key = JQ_STR("k");
    other.unique = JQ_UNIQUE_UNTIL_DONE;
    assert_int_not_equal(submit_item(lab, &other).value, first.value);
    end(lab);
}

/* A submit of debounce whose time is over already takes the waiting task's place all the same: the task expires. */
static void debounce_by_one_that_is_over_expires_the_task(void **state) {
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    (void)state;
    const jq_task_id task = expect_new(lab, JQ_UNIQUE_DEBOUNCE, MINUTE);
    item.key = JQ_STR("k");
    item.unique = JQ_UNIQUE_DEBOUNCE;
    item.unique_ms = item.delay_ms = MINUTE;
    item.expires_wall_ms = LAB_WALL_MS;
    assert_int_equal(submit_items(lab, &item, 1)->u.submit.exceptions[0].task.value, task.value);
    assert_int_equal(task_state(lab, task), JQ_STATE_EXPIRED);
    (void)expect_new(lab, JQ_UNIQUE_DEBOUNCE, MINUTE);
    end(lab);
}

/* A submit of debounce that would bring the task into a queue that is full is refused, and the task stays as it is. */
static void debounce_into_a_full_queue_is_refused(void **state) {
    struct jq_core_config config;
    struct jq_submit_item item = lab_item();
    (void)state;
    jq_core_config_init(&config);
    config.queues_max = config.classes_max = config.options_max = 64;
    config.depth_max = 2;
    struct lab *lab = lab_new_with(&config);
    item.key = JQ_STR("k");
    item.unique = JQ_UNIQUE_DEBOUNCE;
    item.unique_ms = item.delay_ms = MINUTE;
    item.queue = JQ_STR("n.a");
    const jq_task_id task = submit_item(lab, &item);
    submit_task(lab, "n.b");
    submit_task(lab, "n.b");
    item.queue = JQ_STR("n.b");
    const struct jq_reply_effect *reply = submit_items(lab, &item, 1);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_BUSY);
    assert_true(jq_str_equal(task_row_of(lab, task).queue, JQ_STR("n.a")));
    end(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_stands_for_key_ttl),
        cmocka_unit_test(while_queued_ends_when_the_task_runs),
        cmocka_unit_test(until_done_outlives_key_ttl),
        cmocka_unit_test(a_bound_key_keeps_its_segment),
        cmocka_unit_test(throttle_lets_one_through_in_a_window),
        cmocka_unit_test(debounce_runs_the_last_of_many),
        cmocka_unit_test(debounce_does_not_wait_for_ever),
        cmocka_unit_test(debounce_takes_all_of_the_last_submit),
        cmocka_unit_test(a_resent_debounce_does_not_come_again),
        cmocka_unit_test(the_holder_says_how_long),
        cmocka_unit_test(debounce_by_one_that_is_over_expires_the_task),
        cmocka_unit_test(debounce_into_a_full_queue_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
