/* Cancelling in every state, and waiting for the end of tasks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

/* A task that waits for its turn or its time is cancelled at once; one that has ended cannot be; an unknown one is not found. */
static void waiting_tasks_are_cancelled_at_once(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.delay_ms = 1000;
    submit_task(lab, "q");
    submit_item(lab, &item);
    assert_int_equal(cancel_task(lab, (jq_task_id){1}), JQ_REPLY_OK);
    assert_int_equal(cancel_task(lab, (jq_task_id){2}), JQ_REPLY_OK);
    expect_trace(lab, "[0] task 1 cancelled\n[0] task 2 cancelled\n");
    assert_int_equal(cancel_task(lab, (jq_task_id){1}), JQ_REPLY_CONFLICT);
    assert_int_equal(cancel_task(lab, (jq_task_id){9}), JQ_REPLY_NOT_FOUND);
    advance_ms(lab, 2000);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* The worker of a running task is told at its next poll, or through the parked one; its word that all is gone ends the task. */
static void running_task_is_cancelled_by_its_worker(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    const jq_lease_token token = lease_task(lab, "worker-1");
    struct jq_request poll = poll_of(lab, "worker-1", 1, 30000);
    assert_null(lab_ask(lab, &poll));
    assert_int_equal(cancel_task(lab, (jq_task_id){1}), JQ_REPLY_OK);
    const struct jq_reply_effect *told = lab_reply_to(lab, poll.call);
    assert_non_null(told);
    assert_int_equal(told->u.lease.command_count, 1);
    assert_int_equal(told->u.lease.commands[0].type, JQ_COMMAND_CANCEL);
    assert_int_equal(told->u.lease.commands[0].token.value, token.value);
    assert_int_equal(lab->notices, 1);
    assert_int_equal(report_failure(lab, token, JQ_OUTCOME_CANCELLED, false), JQ_REPLY_OK);
    expect_trace(lab, "[0] task 1 cancelling\n[0] task 1 cancelled\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* An outcome that came about before the worker saw the command stands. */
static void outcome_before_the_command_stands(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_equal(cancel_task(lab, (jq_task_id){1}), JQ_REPLY_OK);
    restart_broker(lab);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_CANCELLING);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_SUCCEEDED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* After a restart of the broker the worker is told again: the command itself is not in the log, the wish is. */
static void cancel_is_told_again_after_a_restart(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    (void)lease_task(lab, "worker-1");
    assert_int_equal(cancel_task(lab, (jq_task_id){1}), JQ_REPLY_OK);
    restart_broker(lab);
    register_worker(lab, lab_worker(lab, "worker-1"));
    struct jq_request poll = poll_of(lab, "worker-1", 1, 30000);
    const struct jq_reply_effect *told = lab_ask(lab, &poll);
    assert_non_null(told);
    assert_int_equal(told->u.lease.command_count, 1);
    lab_free(lab);
}

/* A lease that ends without a word ends the cancelling task as cancelled: it is not tried again. */
static void lost_lease_ends_a_cancelling_task(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    (void)lease_task(lab, "worker-1");
    assert_int_equal(cancel_task(lab, (jq_task_id){1}), JQ_REPLY_OK);
    stop_answering_surveys(lab, "worker-1");
    advance_ms(lab, 15000);
    expect_trace(lab, "[0] task 1 cancelling\n"
                      "[15000] worker worker-1 dead: 7 surveys unanswered\n"
                      "[15000] task 1 cancelled: lost\n");
    lab_free(lab);
}

/* A task that is being cancelled keeps what it reserves until its worker says that nothing of it is left. */
static void cancelling_task_keeps_its_reservation(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.need = JQ_STR("cpu=4");
    submit_item(lab, &item);
    submit_item(lab, &item);
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_equal(cancel_task(lab, (jq_task_id){1}), JQ_REPLY_OK);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(report_failure(lab, token, JQ_OUTCOME_CANCELLED, false), JQ_REPLY_OK);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    lab_free(lab);
}

static const struct jq_reply_effect *wait_for(struct lab *lab, const jq_task_id *ids, size_t count, int64_t wait_ms,
                                              uint64_t *ret_call) {
    struct jq_request request = lab_request(lab, JQ_OP_WAIT);
    request.u.wait.ids = ids;
    request.u.wait.count = count;
    request.u.wait.wait_ms = wait_ms;
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    *ret_call = request.call;
    return reply;
}

/* A wait is answered as soon as one of its tasks has ended: at once for one that has, or that is not known. */
static void wait_ends_with_the_first_task(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id ids[2] = {submit_task(lab, "q"), submit_task(lab, "q")};
    uint64_t call = 0, other = 0;
    assert_null(wait_for(lab, ids, 2, 30000, &call));
    assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
    const struct jq_reply_effect *reply = lab_reply_to(lab, call);
    assert_non_null(reply);
    assert_int_equal(reply->u.tasks.count, 1);
    assert_int_equal(reply->u.tasks.rows[0].state, JQ_STATE_SUCCEEDED);
    assert_non_null(wait_for(lab, ids, 2, 30000, &other));
    const jq_task_id unknown = {99};
    const struct jq_reply_effect *none = wait_for(lab, &unknown, 1, 30000, &other);
    assert_non_null(none);
    assert_int_equal(none->u.tasks.rows[0].state, JQ_STATE_NONE);
    lab_free(lab);
}

/* A wait whose time is up is answered with nothing; a stop answers all waits with `draining`; a lost connection drops them. */
static void waits_end_by_time_stop_and_lost_connection(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = submit_task(lab, "q");
    uint64_t call = 0;
    assert_null(wait_for(lab, &task, 1, 1000, &call));
    advance_ms(lab, 1000);
    assert_int_equal(lab_reply_to(lab, call)->u.tasks.count, 0);
    assert_null(wait_for(lab, &task, 1, 1000, &call));
    struct jq_event gone = {.type = JQ_EVENT_PIPE_GONE, .u.pipe_gone.pipe = 1};
    lab_step(lab, &gone);
    assert_true(lab_dropped(lab, call));
    assert_null(wait_for(lab, &task, 1, 1000, &call));
    struct jq_request poll = poll_of(lab, "worker-1", 0, 1000);
    assert_null(lab_ask(lab, &poll));
    struct jq_event stop = {.type = JQ_EVENT_STOP};
    lab_step(lab, &stop);
    assert_int_equal(lab_reply_to(lab, call)->status, JQ_REPLY_DRAINING);
    assert_int_equal(lab_reply_to(lab, poll.call)->status, JQ_REPLY_DRAINING);
    const struct jq_submit_item item = lab_item();
    assert_int_equal(submit_items(lab, &item, 1)->status, JQ_REPLY_DRAINING);
    lab_free(lab);
}

/* A task expires in the very step in which its waiter's connection goes: the call is ended once. */
static void wait_ends_once_when_two_things_end_it(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.expires_wall_ms = LAB_WALL_MS + 1000;
    const jq_task_id task = submit_item(lab, &item);
    uint64_t call = 0;
    assert_null(wait_for(lab, &task, 1, 60000, &call));
    lab->now_ms = 1000;
    struct jq_event gone = {.type = JQ_EVENT_PIPE_GONE, .u.pipe_gone.pipe = 1};
    lab_step(lab, &gone);
    assert_true(lab_dropped(lab, call));
    assert_null(lab_reply_to(lab, call));
    lab_free(lab);
}

/* Two wait for a task that expires in the very step in which the first one's connection goes: the other is answered. */
static void others_hear_of_it_when_one_connection_goes(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.expires_wall_ms = LAB_WALL_MS + 1000;
    const jq_task_id task = submit_item(lab, &item);
    uint64_t call = 0;
    assert_null(wait_for(lab, &task, 1, 60000, &call));
    struct jq_request other = lab_request(lab, JQ_OP_WAIT);
    other.pipe = 2;
    other.u.wait.ids = &task;
    other.u.wait.count = 1;
    other.u.wait.wait_ms = 60000;
    assert_null(lab_ask(lab, &other));
    lab->now_ms = 1000;
    struct jq_event gone = {.type = JQ_EVENT_PIPE_GONE, .u.pipe_gone.pipe = 1};
    lab_step(lab, &gone);
    assert_true(lab_dropped(lab, call));
    assert_int_equal(lab_reply_to(lab, other.call)->u.tasks.rows[0].state, JQ_STATE_EXPIRED);
    lab_free(lab);
}

/* An answer holds as many tasks as a frame does; of the others the client asks again. */
static void wait_answers_as_much_as_a_frame_holds(void **state) {
    enum { COUNT = 200 };
    (void)state;
    struct lab *lab = lab_new();
    jq_task_id ids[COUNT];
    uint64_t call = 0;
    for (int i = 0; i < COUNT; i++) {
        ids[i] = submit_task(lab, "q");
        assert_int_equal(cancel_task(lab, ids[i]), JQ_REPLY_OK);
    }
    const struct jq_reply_effect *reply = wait_for(lab, ids, COUNT, 1000, &call);
    assert_in_range(reply->u.tasks.count, 100, COUNT - 1);
    const size_t told = reply->u.tasks.count;
    reply = wait_for(lab, ids + told, COUNT - told, 1000, &call);
    assert_int_equal(reply->u.tasks.count, COUNT - told);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_tasks_are_cancelled_at_once),
        cmocka_unit_test(running_task_is_cancelled_by_its_worker),
        cmocka_unit_test(outcome_before_the_command_stands),
        cmocka_unit_test(cancel_is_told_again_after_a_restart),
        cmocka_unit_test(lost_lease_ends_a_cancelling_task),
        cmocka_unit_test(cancelling_task_keeps_its_reservation),
        cmocka_unit_test(wait_ends_with_the_first_task),
        cmocka_unit_test(waits_end_by_time_stop_and_lost_connection),
        cmocka_unit_test(wait_ends_once_when_two_things_end_it),
        cmocka_unit_test(others_hear_of_it_when_one_connection_goes),
        cmocka_unit_test(wait_answers_as_much_as_a_frame_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
