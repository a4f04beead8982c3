/* Tasks that wait for others: when they run, when they are blocked, when they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static jq_task_id submit_after(struct lab *lab, jq_task_id parent, enum jq_on on) {
    struct jq_submit_item item = lab_item();
    item.after = &parent;
    item.after_count = 1;
    item.on = on;
    return submit_item(lab, &item);
}

static void run_to(struct lab *lab, enum jq_outcome outcome) {
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_not_equal(token.value, 0);
    assert_int_equal(outcome == JQ_OUTCOME_SUCCESS ? report_success(lab, token)
                                                   : report_failure(lab, token, outcome, false),
                     JQ_REPLY_OK);
}

/* A task waits until the last of those it comes after has succeeded; then it is handed out, and told which they were. */
static void task_waits_for_all_of_its_parents(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id parents[2] = {submit_task(lab, "default"), submit_task(lab, "default")};
    struct jq_submit_item item = lab_item();
    item.after = parents;
    item.after_count = 2;
    const jq_task_id child = submit_item(lab, &item);
    assert_int_equal(task_state(lab, child), JQ_STATE_WAITING);
    run_to(lab, JQ_OUTCOME_SUCCESS);
    assert_int_equal(task_state(lab, child), JQ_STATE_WAITING);
    run_to(lab, JQ_OUTCOME_SUCCESS);
    expect_trace(lab, "[0] task 1 succeeded\n[0] task 2 succeeded\n[0] task 3 ready\n");
    struct jq_request poll = poll_of(lab, "worker-1", 1, 0);
    const struct jq_reply_effect *reply = lab_ask(lab, &poll);
    assert_int_equal(reply->u.lease.count, 1);
    assert_int_equal(reply->u.lease.items[0].task.value, child.value);
    assert_int_equal(reply->u.lease.items[0].after_count, 2);
    assert_int_equal(reply->u.lease.items[0].after[1].value, parents[1].value);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* The place of a queue is given away only when no task is in it, in whatever state: one that waits stays where it was submitted. */
static void queue_of_a_waiting_task_is_not_given_away(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 2;
    config.classes_max = 64;
    config.options_max = 64;
    struct lab *lab = lab_new_with(&config);
    const jq_task_id parent = submit_task(lab, "cad.first");
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("cad.second");
    item.after = &parent;
    item.after_count = 1;
    const jq_task_id child = submit_item(lab, &item);
    assert_int_equal(task_state(lab, child), JQ_STATE_WAITING);
    struct jq_submit_item third = lab_item();
    third.queue = JQ_STR("cad.third");
    const struct jq_reply_effect *reply = submit_items(lab, &third, 1);
    assert_int_equal(reply->u.submit.exception_count, 1);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_BUSY);
    struct jq_request show = lab_request(lab, JQ_OP_TASK_SHOW);
    show.u.task.id = child;
    reply = lab_ask(lab, &show);
    assert_true(jq_str_equal(reply->u.tasks.rows[0].queue, JQ_STR("cad.second")));
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A parent that has ended counts by how it ended; one that nobody knows is refused by its name, and so is another namespace's. */
static void parents_that_have_ended_count_by_their_outcome(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id parent = submit_task(lab, "default");
    run_to(lab, JQ_OUTCOME_SUCCESS);
    assert_int_equal(task_state(lab, submit_after(lab, parent, JQ_ON_SUCCEEDED)), JQ_STATE_READY);
    assert_int_equal(task_state(lab, submit_after(lab, parent, JQ_ON_FINISHED)), JQ_STATE_READY);
    assert_int_equal(task_state(lab, submit_after(lab, parent, JQ_ON_FAILED)), JQ_STATE_CANCELLED);
    const jq_task_id unknown = {77}, elsewhere = submit_task(lab, "cad.big");
    struct jq_submit_item items[2] = {lab_item(), lab_item()};
    items[0].after = &unknown;
    items[1].after = &elsewhere;
    items[0].after_count = items[1].after_count = 1;
    const struct jq_reply_effect *reply = submit_items(lab, items, 2);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_NOT_FOUND);
    assert_string_equal(reply->u.submit.exceptions[0].field, "after");
    assert_string_equal(reply->u.submit.exceptions[0].reason, "task 77: never submitted, or forgotten");
    assert_int_equal(reply->u.submit.exceptions[1].status, JQ_REPLY_INVALID);
    assert_string_equal(reply->u.submit.exceptions[1].reason, "task 5: its queue is of another namespace");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A parent that is dead blocks its children, visibly; replayed it makes them wait again, and they go on when it succeeds. */
static void dead_parent_blocks_until_it_is_replayed(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id parent = submit_task(lab, "default"), child = submit_after(lab, parent, JQ_ON_SUCCEEDED);
    const jq_task_id grandchild = submit_after(lab, child, JQ_ON_SUCCEEDED);
    run_to(lab, JQ_OUTCOME_INVALID_INPUT);
    assert_int_equal(task_state(lab, child), JQ_STATE_BLOCKED);
    assert_int_equal(task_state(lab, grandchild), JQ_STATE_WAITING);
    const struct jq_reply_effect *why = explain_task(lab, child);
    assert_int_equal(why->u.explain.lines[0].why, JQ_WHY_PARENT_DEAD);
    assert_true(jq_str_equal(why->u.explain.lines[0].detail, JQ_STR("1 dead")));
    restart_broker(lab);
    assert_int_equal(task_state(lab, child), JQ_STATE_BLOCKED);
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_REPLAY, parent), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, child), JQ_STATE_WAITING);
    why = explain_task(lab, grandchild);
    assert_int_equal(why->u.explain.lines[0].why, JQ_WHY_WAITS_FOR);
    assert_true(jq_str_equal(why->u.explain.lines[0].detail, JQ_STR("2 waiting")));
    run_to(lab, JQ_OUTCOME_SUCCESS);
    run_to(lab, JQ_OUTCOME_SUCCESS);
    run_to(lab, JQ_OUTCOME_SUCCESS);
    expect_trace(lab, "[0] task 1 dead: invalid_input\n[0] task 2 blocked by task 1\n[0] task 1 revived\n"
                      "[0] task 2 waiting for task 1\n[0] task 1 succeeded\n[0] task 2 ready\n[0] task 2 succeeded\n"
                      "[0] task 3 ready\n[0] task 3 succeeded\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A parent that is cancelled takes with it what needs its success, and so on downwards; what comes after its end in any way, and what
 * is for its failure, runs. */
static void cancelled_parent_ends_what_needs_it(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id parent = submit_task(lab, "default"), needs = submit_after(lab, parent, JQ_ON_SUCCEEDED);
    (void)submit_after(lab, needs, JQ_ON_SUCCEEDED);
    (void)submit_after(lab, parent, JQ_ON_FINISHED);
    (void)submit_after(lab, parent, JQ_ON_FAILED);
    assert_int_equal(cancel_task(lab, parent), JQ_REPLY_OK);
    expect_trace(lab, "[0] task 1 cancelled\n[0] task 2 cancelled: parent_failed\n[0] task 4 ready\n[0] task 5 ready\n"
                      "[0] task 3 cancelled: parent_failed\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* What was for a failure that did not happen is not needed, nor what comes after it; a dead parent is failure enough to run it. */
static void failure_handler_runs_only_after_a_failure(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id good = submit_task(lab, "default"), unused = submit_after(lab, good, JQ_ON_FAILED);
    const jq_task_id behind = submit_after(lab, unused, JQ_ON_SUCCEEDED);
    run_to(lab, JQ_OUTCOME_SUCCESS);
    assert_int_equal(task_row_of(lab, unused).outcome, JQ_OUTCOME_NOT_NEEDED);
    assert_int_equal(task_row_of(lab, behind).outcome, JQ_OUTCOME_NOT_NEEDED);
    const jq_task_id bad = submit_task(lab, "default"), cleanup = submit_after(lab, bad, JQ_ON_FAILED);
    run_to(lab, JQ_OUTCOME_INVALID_INPUT);
    assert_int_equal(task_state(lab, cleanup), JQ_STATE_READY);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A dead letter that is removed, or whose time is over, can no more be replayed: what waits for it ends as if it had been cancelled. */
static void removed_dead_letter_ends_what_waits_for_it(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id parent = submit_task(lab, "default"), child = submit_after(lab, parent, JQ_ON_SUCCEEDED);
    run_to(lab, JQ_OUTCOME_INVALID_INPUT);
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_RM, parent), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, parent), JQ_STATE_CANCELLED);
    assert_int_equal(task_row_of(lab, child).outcome, JQ_OUTCOME_PARENT_FAILED);
    expect_replay_matches_live(lab);
    lab_free(lab);
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.dead_ttl_ms = 1000;
    lab = lab_new_with(&config);
    (void)submit_after(lab, submit_task(lab, "default"), JQ_ON_SUCCEEDED);
    run_to(lab, JQ_OUTCOME_INVALID_INPUT);
    advance_ms(lab, 1000);
    assert_int_equal(task_row_of(lab, (jq_task_id){2}).outcome, JQ_OUTCOME_PARENT_FAILED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A waiting task can be cancelled and can expire; a delay is counted from the submit; a task that waits takes room in its queue. */
static void waiting_task_is_cancelled_and_expires(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id parent = submit_task(lab, "default"), child = submit_after(lab, parent, JQ_ON_SUCCEEDED);
    assert_int_equal(cancel_task(lab, child), JQ_REPLY_OK);
    struct jq_submit_item item = lab_item();
    item.after = &parent;
    item.after_count = 1;
    item.expires_wall_ms = LAB_WALL_MS + 500;
    const jq_task_id late = submit_item(lab, &item);
    item.expires_wall_ms = 0;
    item.delay_ms = 2000;
    const jq_task_id delayed = submit_item(lab, &item);
    advance_ms(lab, 500);
    assert_int_equal(task_state(lab, late), JQ_STATE_EXPIRED);
    run_to(lab, JQ_OUTCOME_SUCCESS);
    assert_int_equal(task_state(lab, delayed), JQ_STATE_SCHEDULED);
    expect_replay_matches_live(lab);
    advance_ms(lab, 1500);
    assert_int_equal(task_state(lab, delayed), JQ_STATE_READY);
    lab_free(lab);
}

/* A result that is kept for no time at all: its task is not forgotten before all that wait for it have been told. */
static void parent_is_remembered_until_all_is_decided(void **state) {
    (void)state;
    enum { CHILDREN = 1700 };
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.result_ttl_ms = 0;
    const jq_task_id parent = submit_item(lab, &item);
    for (int i = 0; i < CHILDREN; i++) {
        (void)submit_after(lab, parent, JQ_ON_SUCCEEDED);
    }
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, (jq_task_id){parent.value + CHILDREN}), JQ_STATE_WAITING); /* a slice at a time */
    restart_broker(lab); /* in the middle of it */
    advance_ms(lab, 1);
    assert_int_equal(task_state(lab, (jq_task_id){parent.value + CHILDREN}), JQ_STATE_READY);
    assert_int_equal(task_state(lab, parent), JQ_STATE_NONE);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A log that has lost the parent still tells what became of the child. */
static void log_without_the_parent_is_understood(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item brief = lab_item();
    brief.result_ttl_ms = 0;
    const jq_task_id parent = submit_item(lab, &brief);
    lab_prologue(lab);
    const jq_task_id child = submit_after(lab, parent, JQ_ON_SUCCEEDED);
    run_to(lab, JQ_OUTCOME_SUCCESS);
    advance_ms(lab, 10);
    assert_int_equal(task_state(lab, parent), JQ_STATE_NONE);
    lab_prologue(lab);
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    assert_true(lab->log.first > 0);
    restart_broker(lab);
    assert_int_equal(task_state(lab, child), JQ_STATE_READY);
    lab_free(lab);
}

/* A task that others have still to hear of is not removed: it is once each of them has heard. */
static void a_task_is_kept_until_all_have_heard_of_its_end(void **state) {
    enum { CHILDREN = 3000, BATCH = 1000 };
    static struct jq_submit_item items[BATCH];
    (void)state;
    struct lab *lab = lab_new();
    lab->quiet = true;
    const jq_task_id parent = submit_task(lab, "default");
    for (int i = 0; i < CHILDREN; i += BATCH) {
        for (int k = 0; k < BATCH; k++) {
            items[k] = lab_item();
            items[k].after = &parent;
            items[k].after_count = 1;
        }
        assert_int_equal(submit_items(lab, items, BATCH)->u.submit.exception_count, 0);
    }
    run_to(lab, JQ_OUTCOME_SUCCESS);
    assert_int_equal(ask_about_task(lab, JQ_OP_TASK_RM, parent), JQ_REPLY_CONFLICT);
    advance_ms(lab, 1);
    assert_int_equal(ask_about_task(lab, JQ_OP_TASK_RM, parent), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, parent), JQ_STATE_NONE);
    assert_int_equal(task_state(lab, (jq_task_id){parent.value + CHILDREN}), JQ_STATE_READY);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A task may be held while it waits for others: when they have ended it is not handed out, until it is released. */
static void a_waiting_task_may_be_held(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id parent = submit_task(lab, "default"), child = submit_after(lab, parent, JQ_ON_SUCCEEDED);
    assert_int_equal(ask_about_task(lab, JQ_OP_TASK_HOLD, child), JQ_REPLY_OK);
    restart_broker(lab);
    run_to(lab, JQ_OUTCOME_SUCCESS);
    assert_int_equal(task_state(lab, child), JQ_STATE_HELD);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(ask_about_task(lab, JQ_OP_TASK_RELEASE, child), JQ_REPLY_OK);
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, child.value);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* While the many children of one parent are told, a slice a step, the only child of another that waits for its turn is cancelled: of that
 * parent there is nothing left to tell, and the rest goes on. */
static void a_parent_with_nothing_left_to_tell_gives_up_its_turn(void **state) {
    enum { MANY = 4500 };
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id parent = submit_task(lab, "default"), other = submit_task(lab, "default");
    const jq_lease_token token = lease_task(lab, "worker-1"), other_token = lease_task(lab, "worker-1");
    const jq_task_id only = submit_after(lab, other, JQ_ON_SUCCEEDED);
    jq_task_id last = {0};
    for (int i = 0; i < MANY; i++) {
        last = submit_after(lab, parent, JQ_ON_SUCCEEDED);
    }
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_equal(report_success(lab, other_token), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, only), JQ_STATE_WAITING);
    assert_int_equal(ask_about_task(lab, JQ_OP_TASK_CANCEL, only), JQ_REPLY_OK);
    advance_ms(lab, 0);
    advance_ms(lab, 1);
    assert_int_equal(task_state(lab, only), JQ_STATE_CANCELLED);
    assert_int_equal(task_state(lab, last), JQ_STATE_READY);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parent_with_nothing_left_to_tell_gives_up_its_turn),
        cmocka_unit_test(task_waits_for_all_of_its_parents),
        cmocka_unit_test(queue_of_a_waiting_task_is_not_given_away),
        cmocka_unit_test(parents_that_have_ended_count_by_their_outcome),
        cmocka_unit_test(dead_parent_blocks_until_it_is_replayed),
        cmocka_unit_test(cancelled_parent_ends_what_needs_it),
        cmocka_unit_test(failure_handler_runs_only_after_a_failure),
        cmocka_unit_test(removed_dead_letter_ends_what_waits_for_it),
        cmocka_unit_test(waiting_task_is_cancelled_and_expires),
        cmocka_unit_test(parent_is_remembered_until_all_is_decided),
        cmocka_unit_test(log_without_the_parent_is_understood),
        cmocka_unit_test(a_task_is_kept_until_all_have_heard_of_its_end),
        cmocka_unit_test(a_waiting_task_may_be_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
