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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pause_ends_by_itself_over_a_restart),
        cmocka_unit_test(end_of_a_pause_lies_ahead_and_goes_with_it),
        cmocka_unit_test(draining_queue_works_on_and_takes_nothing_new),
        cmocka_unit_test(depth_and_weight_are_set_at_run_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
