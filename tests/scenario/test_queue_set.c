/* What operators set of queues at run time: pauses that end by themselves, draining, weight and depth; it stays over restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static enum jq_reply set_queue(struct lab *lab, const char *name, uint32_t given, struct jq_queue_set set) {
    struct jq_request request = lab_request(lab, JQ_OP_QUEUE_SET);
    request.u.queue_set.name = jq_str_of(name);
    request.u.queue_set.given = given;
    request.u.queue_set.set = set;
    return lab_ask(lab, &request)->status;
}

static struct jq_queue_row queue_row_of(struct lab *lab, const char *name) {
    struct jq_request request = lab_request(lab, JQ_OP_QUEUE_LS);
    request.u.named.name = jq_str_of(name);
    return lab_ask(lab, &request)->u.queues.rows[0];
}

static enum jq_reply verdict_of_submit(struct lab *lab, const char *queue) {
    struct jq_submit_item item = lab_item();
    item.queue = jq_str_of(queue);
    const struct jq_reply_effect *reply = submit_items(lab, &item, 1);
    return reply->u.submit.exception_count > 0 ? reply->u.submit.exceptions[0].status : reply->status;
}

/* A queue paused until a time goes on at that time by itself, over a restart; parked workers need not ask again. */
static void pause_ends_by_itself_over_a_restart(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const struct jq_queue_set until = {.paused = true, .paused_until_wall_ms = LAB_WALL_MS + 5000};
    submit_task(lab, "q");
    assert_int_equal(set_queue(lab, "q", JQ_QUEUE_SETTING_PAUSED | JQ_QUEUE_SETTING_UNTIL, until), JQ_REPLY_OK);
    restart_broker(lab);
    register_worker(lab, lab_worker(lab, "w"));
    struct jq_request poll = poll_of(lab, "w", 1, 20000);
    assert_null(lab_ask(lab, &poll));
    advance_ms(lab, 4999);
    assert_null(lab_reply_to(lab, poll.call));
    assert_true(queue_row_of(lab, "q").set.paused);
    advance_ms(lab, 1);
    assert_non_null(lab_reply_to(lab, poll.call));
    assert_int_equal(lab_reply_to(lab, poll.call)->u.lease.count, 1);
    take_leases(lab_worker(lab, "w"), lab_reply_to(lab, poll.call));
    assert_false(queue_row_of(lab, "q").set.paused);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A time that has passed is refused; a resume, or a pause without a time, takes the time away. */
static void end_of_a_pause_lies_ahead_and_goes_with_it(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const struct jq_queue_set past = {.paused = true, .paused_until_wall_ms = LAB_WALL_MS};
    const struct jq_queue_set until = {.paused = true, .paused_until_wall_ms = LAB_WALL_MS + 5000};
    assert_int_equal(set_queue(lab, "q", JQ_QUEUE_SETTING_PAUSED | JQ_QUEUE_SETTING_UNTIL, past), JQ_REPLY_INVALID);
    assert_int_equal(set_queue(lab, "q", JQ_QUEUE_SETTING_PAUSED | JQ_QUEUE_SETTING_UNTIL, until), JQ_REPLY_OK);
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "q", true), JQ_REPLY_OK);
    advance_ms(lab, 6000);
    assert_true(queue_row_of(lab, "q").set.paused);
    lab_free(lab);
}

/* A draining queue takes no new tasks and says so; what is there is worked off; over a restart too, until it is undone. */
static void draining_queue_works_on_and_takes_nothing_new(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    assert_int_equal(set_queue(lab, "q", JQ_QUEUE_SETTING_DRAINING, (struct jq_queue_set){.draining = true}),
                     JQ_REPLY_OK);
    expect_trace(lab, "[0] queue q draining\n");
    restart_broker(lab);
    assert_int_equal(verdict_of_submit(lab, "q"), JQ_REPLY_DRAINING);
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "w", &token).value, 1);
    assert_int_equal(set_queue(lab, "q", JQ_QUEUE_SETTING_DRAINING, (struct jq_queue_set){.draining = false}),
                     JQ_REPLY_OK);
    assert_int_equal(verdict_of_submit(lab, "q"), JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Depth and weight that are set come before the configuration, over restarts and new segments; 0 asks the configuration again. */
static void depth_and_weight_are_set_at_run_time(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    assert_int_equal(set_queue(lab, "q", JQ_QUEUE_SETTING_DEPTH_MAX | JQ_QUEUE_SETTING_WEIGHT,
                               (struct jq_queue_set){.depth_max = 1, .weight = 7}),
                     JQ_REPLY_OK);
    submit_task(lab, "q");
    assert_int_equal(verdict_of_submit(lab, "q"), JQ_REPLY_BUSY);
    lab_prologue(lab);
    restart_broker(lab);
    assert_int_equal(queue_row_of(lab, "q").weight, 7);
    assert_int_equal(queue_row_of(lab, "q").depth_max, 1);
    assert_int_equal(set_queue(lab, "q", JQ_QUEUE_SETTING_DEPTH_MAX, (struct jq_queue_set){.depth_max = 0}),
                     JQ_REPLY_OK);
    assert_int_equal(queue_row_of(lab, "q").weight, 7);
    assert_int_equal(verdict_of_submit(lab, "q"), JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

static struct jq_submit_item item_of(int priority) {
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("q");
    item.priority = priority;
    return item;
}

/* bytes_max is set at run time like depth_max: by the bytes of the tasks' records. */
static void bytes_max_is_set_at_run_time(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    submit_task(lab, "q");
    assert_int_equal(set_queue(lab, "q", JQ_QUEUE_SETTING_BYTES_MAX,
                               (struct jq_queue_set){.bytes_max = queue_row_of(lab, "q").bytes}),
                     JQ_REPLY_OK);
    assert_int_equal(verdict_of_submit(lab, "q"), JQ_REPLY_BUSY);
    lab_prologue(lab);
    restart_broker(lab);
    assert_int_equal(verdict_of_submit(lab, "q"), JQ_REPLY_BUSY);
    assert_int_equal(set_queue(lab, "q", JQ_QUEUE_SETTING_BYTES_MAX, (struct jq_queue_set){.bytes_max = 0}),
                     JQ_REPLY_OK);
    assert_int_equal(verdict_of_submit(lab, "q"), JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* So many tasks in a queue, each behind one of another queue. Returns the last. */
static jq_task_id fill_queues(struct lab *lab, size_t count) {
    struct jq_submit_item items[1000];
    uint64_t last = 0;
    for (size_t i = 0; i < 1000; i++) {
        items[i] = i % 2 ? item_of(5) : lab_item();
    }
    for (size_t done = 0; done < count; done += 500) {
        last = submit_items(lab, items, 1000)->u.submit.first + 999;
    }
    return (jq_task_id){last};
}

static enum jq_reply set_policy(struct lab *lab, int policy, uint64_t depth_max) {
    return set_queue(lab, "q", JQ_QUEUE_SETTING_POLICY | JQ_QUEUE_SETTING_DEPTH_MAX,
                     (struct jq_queue_set){.policy = (uint8_t)(1 + policy), .depth_max = depth_max});
}

/* The policy is set at run time, too: what waits already is dropped like what comes later, and what left meanwhile is not looked for;
 * a queue that ceases to shed is full again. Over restarts and new segments. */
static void policy_is_set_at_run_time(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const struct jq_submit_item normal = item_of(5), high = item_of(9);
    const jq_task_id first = submit_item(lab, &normal);
    submit_task(lab, "other");
    submit_item(lab, &normal);
    submit_item(lab, &normal);
    assert_int_equal(set_policy(lab, JQ_POLICY_SHED, 3), JQ_REPLY_OK);
    submit_item(lab, &high);
    assert_int_equal(queue_row_of(lab, "q").shed_total, 1);
    lab_prologue(lab);
    restart_broker(lab);
    assert_int_equal(queue_row_of(lab, "q").policy, JQ_POLICY_SHED);
    submit_item(lab, &high);
    assert_int_equal(task_state(lab, first), JQ_STATE_READY); /* the oldest goes last */
    assert_int_equal(set_policy(lab, JQ_POLICY_REJECT, 3), JQ_REPLY_OK);
    assert_int_equal(cancel_task(lab, first), JQ_REPLY_OK);
    submit_item(lab, &high);
    assert_int_equal(submit_items(lab, &high, 1)->u.submit.exceptions[0].status, JQ_REPLY_BUSY);
    assert_int_equal(set_queue(lab, "q", JQ_QUEUE_SETTING_POLICY, (struct jq_queue_set){.policy = 0}), JQ_REPLY_OK);
    assert_int_equal(queue_row_of(lab, "q").policy, JQ_POLICY_REJECT);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Of many tasks a queue finds some in a step; meanwhile they come, go and are dropped, and the policy may change back. */
static void policy_changes_among_many_tasks(void **state) {
    enum { MANY = 20000 };
    (void)state;
    struct lab *lab = lab_new();
    lab->quiet = true;
    const jq_task_id last = fill_queues(lab, MANY), first = {2};
    const struct jq_submit_item high = item_of(9);
    assert_int_equal(set_policy(lab, JQ_POLICY_SHED, MANY), JQ_REPLY_OK);
    assert_true(jq_core_deadline_ms(lab->core) <= lab->now_ms); /* it has not found all */
    submit_item(lab, &high);
    assert_int_equal(cancel_task(lab, first), JQ_REPLY_OK);
    assert_int_equal(set_policy(lab, JQ_POLICY_REJECT, MANY), JQ_REPLY_OK);
    assert_int_equal(cancel_task(lab, (jq_task_id){last.value - 2}), JQ_REPLY_OK);
    assert_int_equal(set_policy(lab, JQ_POLICY_SHED, MANY / 2), JQ_REPLY_OK);
    advance_ms(lab, 1);
    assert_true(jq_core_deadline_ms(lab->core) > lab->now_ms);
    for (int i = 0; i < 200; i++) {
        (void)submit_items(lab, &high, 1);
    }
    assert_true(queue_row_of(lab, "q").shed_total >= MANY / 2 - 2);
    assert_int_equal(queue_row_of(lab, "q").ready, MANY / 2);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pause_ends_by_itself_over_a_restart),
        cmocka_unit_test(end_of_a_pause_lies_ahead_and_goes_with_it),
        cmocka_unit_test(draining_queue_works_on_and_takes_nothing_new),
        cmocka_unit_test(depth_and_weight_are_set_at_run_time),
        cmocka_unit_test(bytes_max_is_set_at_run_time),
        cmocka_unit_test(policy_is_set_at_run_time),
        cmocka_unit_test(policy_changes_among_many_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
