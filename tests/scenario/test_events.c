/* Events: every change of state is told to whoever follows, in order, and gaps are told as gaps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static struct lab *lab_with_events(uint32_t events_max) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 64;
    config.classes_max = 64;
    config.options_max = 64;
    config.events_max = events_max;
    return lab_new_with(&config);
}

static struct jq_request events_after(struct lab *lab, uint64_t after, int64_t wait_ms) {
    struct jq_request request = lab_request(lab, JQ_OP_EVENTS_READ);
    request.u.events.after = after;
    request.u.events.wait_ms = wait_ms;
    return request;
}

/* A reader who starts now. */
static uint64_t events_now(struct lab *lab) {
    struct jq_request request = events_after(lab, 0, 0);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->u.events.count, 0);
    return reply->u.events.next;
}

/* Each change of a task is an event with its queue, handler, state and outcome; what happened to a queue, too. */
static void every_change_is_an_event(void **state) {
    (void)state;
    static const char *const expected[] = {"task.submitted", "task.held",    "task.released", "task.leased",
                                           "task.ended",     "queue.paused", "queue.resumed"};
    struct lab *lab = lab_with_events(64);
    lab_worker(lab, "w");
    const uint64_t now = events_now(lab);
    const jq_task_id task = submit_task(lab, "cad");
    assert_int_equal(ask_about_task(lab, JQ_OP_TASK_HOLD, task), JQ_REPLY_OK);
    assert_int_equal(ask_about_task(lab, JQ_OP_TASK_RELEASE, task), JQ_REPLY_OK);
    assert_int_equal(report_success(lab, lease_task(lab, "w")), JQ_REPLY_OK);
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "cad", true), JQ_REPLY_OK);
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "cad", false), JQ_REPLY_OK);
    struct jq_request request = events_after(lab, now, 0);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->u.events.count, sizeof(expected) / sizeof(expected[0]));
    uint64_t seq = now;
    for (size_t i = 0; i < reply->u.events.count; i++) {
        const struct jq_event_row *row = &reply->u.events.rows[i];
        assert_string_equal(row->event, expected[i]);
        assert_true(jq_str_equal(row->queue, JQ_STR("cad")));
        assert_true(row->seq > seq);
        assert_int_equal(row->wall_ms, LAB_WALL_MS);
        seq = row->seq;
    }
    assert_int_equal(reply->u.events.rows[1].state, JQ_STATE_HELD);
    assert_true(jq_str_equal(reply->u.events.rows[3].worker, JQ_STR("w")));
    assert_int_equal(reply->u.events.rows[4].state, JQ_STATE_SUCCEEDED);
    assert_int_equal(reply->u.events.rows[4].task.value, task.value);
    assert_int_equal(reply->u.events.next, seq);
    assert_int_equal(reply->u.events.gap, 0);
    lab_free(lab);
}

/* Who waits is told as soon as something happens that he wants to hear of, and of nothing else. */
static void reader_hears_at_once_of_what_it_selects(void **state) {
    (void)state;
    struct lab *lab = lab_with_events(64);
    struct jq_where where;
    assert_int_equal(jq_where_parse(JQ_STR("event=task.ended state=cancelled queue=mail"), &where, NULL), JQ_OK);
    struct jq_request request = events_after(lab, 0, 20000);
    request.u.events.where = &where;
    assert_null(lab_ask(lab, &request));
    cancel_task(lab, submit_task(lab, "cad"));
    assert_null(lab_reply_to(lab, request.call));
    cancel_task(lab, submit_task(lab, "mail"));
    const struct jq_reply_effect *reply = lab_reply_to(lab, request.call);
    assert_non_null(reply);
    assert_int_equal(reply->u.events.count, 1);
    assert_int_equal(reply->u.events.rows[0].task.value, 2);
    lab_free(lab);
}

/* A wait in which nothing happens ends empty, at its time. */
static void reader_is_answered_when_its_time_is_up(void **state) {
    (void)state;
    struct lab *lab = lab_with_events(64);
    struct jq_request request = events_after(lab, 0, 5000);
    assert_null(lab_ask(lab, &request));
    advance_ms(lab, 4999);
    assert_null(lab_reply_to(lab, request.call));
    advance_ms(lab, 1);
    assert_non_null(lab_reply_to(lab, request.call));
    assert_int_equal(lab_reply_to(lab, request.call)->u.events.count, 0);
    lab_free(lab);
}

/* The broker keeps only the last events: who comes too late is told that some are gone, and goes on with the oldest there are. */
static void slow_reader_is_told_of_the_gap(void **state) {
    (void)state;
    struct lab *lab = lab_with_events(8);
    const uint64_t now = events_now(lab);
    for (int i = 0; i < 20; i++) {
        submit_task(lab, "cad");
    }
    struct jq_request request = events_after(lab, now, 20000);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_non_null(reply);
    assert_int_equal(reply->u.events.count, 8);
    assert_int_equal(reply->u.events.rows[0].task.value, 13);
    assert_true(reply->u.events.gap > now && reply->u.events.gap < reply->u.events.rows[0].seq);
    request = events_after(lab, reply->u.events.next, 0);
    reply = lab_ask(lab, &request);
    assert_int_equal(reply->u.events.count, 0);
    assert_int_equal(reply->u.events.gap, 0);
    lab_free(lab);
}

/* Events go on over a restart with a higher sequence; who was there before is told of the gap. */
static void reader_of_before_a_restart_is_told_of_the_gap(void **state) {
    (void)state;
    struct lab *lab = lab_with_events(64);
    const uint64_t now = events_now(lab);
    submit_task(lab, "cad");
    restart_broker(lab);
    submit_task(lab, "cad");
    struct jq_request request = events_after(lab, now, 0);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_true(reply->u.events.gap > now);
    assert_int_equal(reply->u.events.rows[0].task.value, task_row_of(lab, reply->u.events.rows[0].task).id.value);
    assert_true(reply->u.events.rows[0].seq > reply->u.events.gap);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_is_an_event),
        cmocka_unit_test(reader_hears_at_once_of_what_it_selects),
        cmocka_unit_test(reader_is_answered_when_its_time_is_up),
        cmocka_unit_test(slow_reader_is_told_of_the_gap),
        cmocka_unit_test(reader_of_before_a_restart_is_told_of_the_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
