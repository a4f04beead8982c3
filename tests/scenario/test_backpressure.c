/* A full queue says so, and never swallows: marks with hysteresis, and the three policies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static const struct jq_queue_config queues[] = {
    {.name = "ten", .depth_max = 10},
    {.name = "bytes", .bytes_max = 1000},
    {.name = "shed", .depth_max = 3, .policy = JQ_POLICY_SHED},
    {.name = "block", .depth_max = 2, .policy = JQ_POLICY_BLOCK},
    {.name = "both", .depth_max = 100, .bytes_max = 2000, .policy = JQ_POLICY_SHED},
};

static struct jq_core_config config_of(void) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 64;
    config.classes_max = 64;
    config.options_max = 64;
    config.queues = queues;
    config.queue_count = sizeof(queues) / sizeof(queues[0]);
    return config;
}

static struct lab *lab_of(void) {
    const struct jq_core_config config = config_of();
    return lab_new_with(&config);
}

static struct jq_submit_item item_for(const char *queue, int priority) {
    struct jq_submit_item item = lab_item();
    item.queue = jq_str_of(queue);
    item.priority = priority;
    return item;
}

/* What became of one task: NULL, it was accepted. */
static const struct jq_exception *refusal(struct lab *lab, const struct jq_submit_item *item) {
    const struct jq_reply_effect *reply = submit_items(lab, item, 1);
    assert_non_null(reply);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    return reply->u.submit.exception_count > 0 ? &reply->u.submit.exceptions[0] : NULL;
}

static void fill(struct lab *lab, const char *queue, int count) {
    for (int i = 0; i < count; i++) {
        submit_task(lab, queue);
    }
}

static jq_task_id finish_one(struct lab *lab) {
    jq_lease_token token;
    const jq_task_id task = lease_task_id(lab, "worker-1", &token);
    assert_int_not_equal(token.value, 0);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    return task;
}

static struct jq_queue_row queue_row_of(struct lab *lab, const char *name) {
    struct jq_request request = lab_request(lab, JQ_OP_QUEUE_LS);
    request.u.named.name = jq_str_of(name);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_non_null(reply);
    assert_int_equal(reply->u.queues.count, 1);
    return reply->u.queues.rows[0];
}

/* ---- marks ---- */

/* A queue that has reached its mark is busy, not only while it stands there, but until it is down at nine tenths of it; the answer names
 * the mark. */
static void a_full_queue_is_busy_down_to_its_low_mark(void **state) {
    struct lab *lab = lab_of();
    const struct jq_submit_item item = item_for("ten", 5);
    (void)state;
    fill(lab, "ten", 10);
    expect_trace(lab, "[0] queue ten full\n");
    assert_string_equal(refusal(lab, &item)->field, "depth_max");
    assert_true(queue_row_of(lab, "ten").full);
    finish_one(lab);
    expect_trace(lab, "[0] queue ten has room again\n[0] task 1 succeeded\n");
    assert_null(refusal(lab, &item));
    lab_free(lab);
}

/* With a mark of 20 the low one is 18: at 19 it is still busy. */
static void between_the_marks_what_was_full_stays_full(void **state) {
    struct jq_core_config config = config_of();
    config.depth_max = 20;
    struct lab *lab = lab_new_with(&config);
    const struct jq_submit_item item = item_for("default", 5);
    (void)state;
    fill(lab, "default", 19);
    assert_false(queue_row_of(lab, "default").full); /* on the way up there is room at 19 */
    fill(lab, "default", 1);
    finish_one(lab);
    assert_int_equal(refusal(lab, &item)->status, JQ_REPLY_BUSY);
    finish_one(lab);
    assert_null(refusal(lab, &item));
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* bytes_max counts the bytes of what waits; a task that is larger than all of it still enters an empty queue. */
static void a_queue_is_full_by_bytes(void **state) {
    static const uint8_t body[1500];
    struct lab *lab = lab_of();
    struct jq_submit_item item = item_for("bytes", 5);
    (void)state;
    item.body = (struct jq_bytes){body, sizeof(body)};
    assert_null(refusal(lab, &item));
    assert_in_range(queue_row_of(lab, "bytes").bytes, 1500, 1600);
    const struct jq_exception *busy = refusal(lab, &item);
    assert_int_equal(busy->status, JQ_REPLY_BUSY);
    assert_string_equal(busy->field, "bytes_max");
    finish_one(lab);
    assert_int_equal(queue_row_of(lab, "bytes").bytes, 0);
    assert_null(refusal(lab, &item));
    lab_free(lab);
}

/* retry_after_ms is the time down to the low mark at the rate at which the queue drained of late. */
static void the_wait_is_told_from_the_measured_rate(void **state) {
    struct jq_core_config config = config_of();
    config.depth_max = 100;
    struct lab *lab = lab_new_with(&config);
    const struct jq_submit_item item = item_for("default", 5);
    (void)state;
    fill(lab, "default", 100);
    assert_int_equal(refusal(lab, &item)->retry_after_ms, 1000); /* nothing is known yet */
    for (int second = 0; second < 5; second++) {
        advance_ms(lab, 1000);
        finish_one(lab);
        assert_int_equal(refusal(lab, &item)->status, JQ_REPLY_BUSY);
    }
    const struct jq_exception *busy = refusal(lab, &item); /* at 95, one a second, 90 is the low mark */
    assert_in_range(busy->retry_after_ms, 4500, 6500);
    lab_free(lab);
}

/* ---- shed_lowest ---- */

/* A full queue drops, for a newcomer of higher priority, the youngest of the lowest that waits: visibly, as expired, shed. */
static void the_lowest_and_youngest_is_shed_for_a_higher_one(void **state) {
    struct lab *lab = lab_of();
    const struct jq_submit_item high = item_for("shed", 7), low = item_for("shed", 1), normal = item_for("shed", 5);
    (void)state;
    const jq_task_id older = submit_item(lab, &low), younger = submit_item(lab, &low);
    const jq_task_id kept = submit_item(lab, &normal);
    submit_item(lab, &high);
    const struct jq_task_row row = task_row_of(lab, younger);
    assert_int_equal(row.state, JQ_STATE_EXPIRED);
    assert_int_equal(row.outcome, JQ_OUTCOME_SHED);
    submit_item(lab, &high);
    assert_int_equal(task_state(lab, older), JQ_STATE_EXPIRED);
    assert_int_equal(task_state(lab, kept), JQ_STATE_READY);
    assert_int_equal(queue_row_of(lab, "shed").shed_total, 2);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Nothing is shed for one that is not of higher priority: it is answered busy. Nor is what runs. */
static void nothing_is_shed_for_its_equal(void **state) {
    struct lab *lab = lab_of();
    const struct jq_submit_item normal = item_for("shed", 5), high = item_for("shed", 9);
    (void)state;
    submit_item(lab, &normal);
    const jq_lease_token runs = lease_task(lab, "worker-1");
    for (int i = 0; i < 3; i++) {
        submit_item(lab, &normal);
    }
    const struct jq_exception *busy = refusal(lab, &normal);
    assert_int_equal(busy->status, JQ_REPLY_BUSY);
    assert_string_equal(busy->field, "depth_max");
    for (int i = 0; i < 3; i++) {
        submit_item(lab, &high);
    }
    assert_int_equal(refusal(lab, &high)->status, JQ_REPLY_BUSY);
    assert_int_equal(report_success(lab, runs), JQ_REPLY_OK);
    lab_free(lab);
}

/* What waits for its time can be shed like what is ready; and what is left of a queue is known again after a restart. */
static void scheduled_tasks_are_shed_too_and_over_restarts(void **state) {
    struct lab *lab = lab_of();
    struct jq_submit_item later = item_for("shed", 2);
    const struct jq_submit_item high = item_for("shed", 8);
    (void)state;
    later.delay_ms = 60000;
    const jq_task_id scheduled = submit_item(lab, &later);
    fill(lab, "shed", 2);
    restart_broker(lab);
    submit_item(lab, &high);
    assert_int_equal(task_row_of(lab, scheduled).outcome, JQ_OUTCOME_SHED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* At the mark of bytes, too, a lower one makes room for a higher one. */
static void bytes_are_shed_as_well(void **state) {
    static const uint8_t body[300];
    struct lab *lab = lab_of();
    struct jq_submit_item small = item_for("both", 1), high = item_for("both", 9);
    (void)state;
    small.body = (struct jq_bytes){body, sizeof(body)};
    do {
        submit_item(lab, &small);
    } while (queue_row_of(lab, "both").bytes < 2000);
    assert_null(refusal(lab, &high));
    assert_int_equal(queue_row_of(lab, "both").shed_total, 1);
    assert_true(queue_row_of(lab, "both").bytes < 2000);
    lab_free(lab);
}

/* ---- block ---- */

/* A submit that may wait `wait_ms`. The call; its answer may be out already. */
static uint64_t submit_waiting(struct lab *lab, const struct jq_submit_item *item, int64_t wait_ms) {
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.u.submit.items = item;
    request.u.submit.count = 1;
    request.u.submit.wait_ms = wait_ms;
    (void)lab_ask(lab, &request);
    return request.call;
}

static jq_task_id accepted(struct lab *lab, uint64_t call) {
    const struct jq_reply_effect *reply = lab_reply_to(lab, call);
    assert_non_null(reply);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    assert_int_equal(reply->u.submit.exception_count, 0);
    return (jq_task_id){reply->u.submit.first};
}

/* The answer is withheld until there is room, and given in the order in which the submits came. */
static void submits_wait_for_room_in_their_order(void **state) {
    struct lab *lab = lab_of();
    const struct jq_submit_item item = item_for("block", 5);
    (void)state;
    fill(lab, "block", 2);
    const uint64_t first = submit_waiting(lab, &item, 20000), second = submit_waiting(lab, &item, 20000);
    assert_null(lab_reply_to(lab, first));
    assert_int_equal(queue_row_of(lab, "block").withheld, 2);
    finish_one(lab);
    assert_int_equal(accepted(lab, first).value, 3);
    assert_null(lab_reply_to(lab, second));
    const uint64_t third = submit_waiting(lab, &item, 20000);
    finish_one(lab);
    assert_int_equal(accepted(lab, second).value, 4);
    finish_one(lab);
    assert_int_equal(accepted(lab, third).value, 5);
    assert_int_equal(queue_row_of(lab, "block").withheld, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Who comes while others wait does not overtake them, even if it would not wait itself. */
static void nobody_overtakes_those_that_wait(void **state) {
    struct lab *lab = lab_of();
    const struct jq_submit_item item = item_for("block", 5);
    (void)state;
    fill(lab, "block", 2);
    const struct jq_submit_item two[] = {item, item};
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.u.submit.items = two;
    request.u.submit.count = 2;
    request.u.submit.wait_ms = 20000;
    (void)lab_ask(lab, &request);
    assert_int_equal(refusal(lab, &item)->status, JQ_REPLY_BUSY);
    finish_one(lab);
    const struct jq_reply_effect *reply = lab_reply_to(lab, request.call);
    assert_non_null(reply); /* there was room for one of the two; the other is told to come again */
    assert_int_equal(reply->u.submit.exception_count, 1);
    assert_int_equal(reply->u.submit.exceptions[0].index, 1);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_BUSY);
    lab_free(lab);
}

/* When its time is over a submit is answered busy, and nothing of it is stored. */
static void a_withheld_submit_ends_with_its_time(void **state) {
    struct lab *lab = lab_of();
    const struct jq_submit_item item = item_for("block", 5);
    (void)state;
    fill(lab, "block", 2);
    const uint64_t call = submit_waiting(lab, &item, 5000);
    advance_ms(lab, 4999);
    assert_null(lab_reply_to(lab, call));
    advance_ms(lab, 1);
    const struct jq_reply_effect *reply = lab_reply_to(lab, call);
    assert_non_null(reply);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_BUSY);
    assert_string_equal(reply->u.submit.exceptions[0].field, "depth_max");
    assert_int_equal(queue_row_of(lab, "block").ready, 2);
    lab_free(lab);
}

/* The same submit sent again takes the place of the first, whose answer nobody awaits: there is one task, and one answer. */
static void a_resend_takes_the_place_of_the_first(void **state) {
    struct lab *lab = lab_of();
    const struct jq_submit_item item = item_for("block", 5);
    (void)state;
    fill(lab, "block", 2);
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.u.submit.items = &item;
    request.u.submit.count = 1;
    request.u.submit.wait_ms = 20000;
    (void)lab_ask(lab, &request);
    const uint64_t before = request.call;
    (void)lab_ask(lab, &request);
    assert_true(lab_dropped(lab, before));
    const uint64_t other = submit_waiting(lab, &item, 20000);
    finish_one(lab);
    assert_int_equal(accepted(lab, request.call).value, 3);
    assert_null(lab_reply_to(lab, other));
    const struct jq_reply_effect *again = lab_ask(lab, &request);
    assert_int_equal(again->u.submit.first, 3);
    assert_int_equal(queue_row_of(lab, "block").ready, 2);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* With its connection a withheld submit goes, and leaves nothing; the next in line gets the room. */
static void a_withheld_submit_goes_with_its_connection(void **state) {
    struct lab *lab = lab_of();
    const struct jq_submit_item item = item_for("block", 5);
    (void)state;
    fill(lab, "block", 2);
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.pipe = 77;
    request.u.submit.items = &item;
    request.u.submit.count = 1;
    request.u.submit.wait_ms = 20000;
    (void)lab_ask(lab, &request);
    const uint64_t next = submit_waiting(lab, &item, 20000);
    struct jq_event gone = {.type = JQ_EVENT_PIPE_GONE, .u.pipe_gone.pipe = 77};
    lab_step(lab, &gone);
    assert_true(lab_dropped(lab, request.call));
    finish_one(lab);
    assert_int_equal(accepted(lab, next).value, 3);
    lab_free(lab);
}

/* A broker that stops answers them `draining`; they are not in its log. */
static void a_stop_answers_what_is_withheld(void **state) {
    struct lab *lab = lab_of();
    const struct jq_submit_item item = item_for("block", 5);
    (void)state;
    fill(lab, "block", 2);
    const uint64_t call = submit_waiting(lab, &item, 20000);
    struct jq_event stop = {.type = JQ_EVENT_STOP};
    lab_step(lab, &stop);
    assert_int_equal(lab_reply_to(lab, call)->status, JQ_REPLY_DRAINING);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* How many are withheld is bounded, by count and by bytes: what is beyond is answered busy at once. */
static void withheld_submits_are_bounded(void **state) {
    struct jq_core_config config = config_of();
    config.withheld_max = 1;
    struct lab *lab = lab_new_with(&config);
    const struct jq_submit_item item = item_for("block", 5);
    (void)state;
    fill(lab, "block", 2);
    assert_null(lab_reply_to(lab, submit_waiting(lab, &item, 20000)));
    assert_int_equal(lab_reply_to(lab, submit_waiting(lab, &item, 20000))->u.submit.exceptions[0].status,
                     JQ_REPLY_BUSY);
    lab_free(lab);

    config.withheld_max = 10;
    config.withheld_bytes_max = 100;
    lab = lab_new_with(&config);
    fill(lab, "block", 2);
    assert_int_equal(lab_reply_to(lab, submit_waiting(lab, &item, 20000))->u.submit.exceptions[0].status,
                     JQ_REPLY_BUSY);
    lab_free(lab);
}

/* Only what can get nothing in at all waits: a task for another queue, a known key, or something invalid is answered at once. */
static void only_submits_that_can_get_nothing_in_wait(void **state) {
    struct lab *lab = lab_of();
    struct jq_submit_item item = item_for("block", 5);
    (void)state;
    item.key = JQ_STR("k");
    submit_item(lab, &item);
    fill(lab, "block", 1);
    const jq_task_id first = {1};
    const struct jq_reply_effect *reply = lab_reply_to(lab, submit_waiting(lab, &item, 20000));
    assert_non_null(reply);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_OK);
    assert_int_equal(reply->u.submit.exceptions[0].task.value, first.value);
    const struct jq_submit_item mixed[] = {item_for("block", 5), item_for("ten", 5)};
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.u.submit.items = mixed;
    request.u.submit.count = 2;
    request.u.submit.wait_ms = 20000;
    reply = lab_ask(lab, &request);
    assert_non_null(reply);
    assert_int_equal(reply->u.submit.exception_count, 1);
    assert_int_equal(reply->u.submit.exceptions[0].index, 0);
    lab_free(lab);
}

/* At the broker's own marks a queue that blocks withholds as well, and goes on when the mark is clear again. */
static void the_brokers_marks_withhold_too(void **state) {
    struct lab *lab = lab_of();
    const struct jq_submit_item item = item_for("block", 5);
    (void)state;
    submit_item(lab, &item);
    struct jq_event disk = {.type = JQ_EVENT_DISK, .u.disk = {.free_bytes = 1}};
    lab_step(lab, &disk);
    const uint64_t call = submit_waiting(lab, &item, 20000);
    assert_null(lab_reply_to(lab, call));
    disk.u.disk.free_bytes = UINT64_C(1) << 40;
    lab_step(lab, &disk);
    advance_ms(lab, 1);
    assert_int_equal(accepted(lab, call).value, 2);
    lab_free(lab);
}

/* Who no longer is to be kept waiting is answered when the policy of the queue is changed, not when his time is over. */
static void a_change_of_policy_answers_those_withheld(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    fill(lab, "block", 2);
    const struct jq_submit_item item = item_for("block", 5);
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.u.submit.items = &item;
    request.u.submit.count = 1;
    request.u.submit.wait_ms = 60000;
    assert_null(lab_ask(lab, &request));
    struct jq_request set = lab_request(lab, JQ_OP_QUEUE_SET);
    set.u.queue_set.name = JQ_STR("block");
    set.u.queue_set.given = JQ_QUEUE_SETTING_POLICY;
    set.u.queue_set.set.policy = 1 + JQ_POLICY_REJECT;
    assert_int_equal(lab_ask(lab, &set)->status, JQ_REPLY_OK);
    const struct jq_reply_effect *reply = lab_reply_to(lab, request.call);
    assert_non_null(reply);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_BUSY);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_is_busy_down_to_its_low_mark),
        cmocka_unit_test(between_the_marks_what_was_full_stays_full),
        cmocka_unit_test(a_queue_is_full_by_bytes),
        cmocka_unit_test(the_wait_is_told_from_the_measured_rate),
        cmocka_unit_test(the_lowest_and_youngest_is_shed_for_a_higher_one),
        cmocka_unit_test(nothing_is_shed_for_its_equal),
        cmocka_unit_test(scheduled_tasks_are_shed_too_and_over_restarts),
        cmocka_unit_test(bytes_are_shed_as_well),
        cmocka_unit_test(submits_wait_for_room_in_their_order),
        cmocka_unit_test(nobody_overtakes_those_that_wait),
        cmocka_unit_test(a_withheld_submit_ends_with_its_time),
        cmocka_unit_test(a_resend_takes_the_place_of_the_first),
        cmocka_unit_test(a_withheld_submit_goes_with_its_connection),
        cmocka_unit_test(a_stop_answers_what_is_withheld),
        cmocka_unit_test(withheld_submits_are_bounded),
        cmocka_unit_test(only_submits_that_can_get_nothing_in_wait),
        cmocka_unit_test(the_brokers_marks_withhold_too),
        cmocka_unit_test(a_change_of_policy_answers_those_withheld),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
