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

static void tell_progress(struct lab *lab, const struct lab_worker *worker, const struct jq_progress *progress) {
    struct jq_event event = {.type = JQ_EVENT_SURVEY_RESPONSE,
                             .u.survey = {.survey = lab->survey,
                                          .session = worker->session,
                                          .incarnation = worker->incarnation,
                                          .progress = progress,
                                          .progress_count = 1}};
    lab_step(lab, &event);
}

/* Progress is an event with its thousandths and its text, when it has moved; what was told before is not told again. */
static void progress_is_an_event(void **state) {
    (void)state;
    struct lab *lab = lab_with_events(64);
    const jq_task_id task = submit_task(lab, "cad");
    (void)lease_task(lab, "w");
    const uint64_t now = events_now(lab);
    for (int i = 0; i < 2; i++) {
        tell_progress(lab, lab_worker(lab, "w"), &(struct jq_progress){task, 250, JQ_STR("a quarter")});
    }
    tell_progress(lab, lab_worker(lab, "w"), &(struct jq_progress){task, 250, JQ_STR("still")});
    struct jq_request request = events_after(lab, now, 0);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->u.events.count, 2);
    assert_string_equal(reply->u.events.rows[0].event, "task.progress");
    assert_int_equal(reply->u.events.rows[0].number, 250);
    assert_true(jq_str_equal(reply->u.events.rows[0].name, JQ_STR("a quarter")));
    assert_true(jq_str_equal(reply->u.events.rows[1].name, JQ_STR("still")));
    assert_true(jq_str_equal(reply->u.events.rows[1].worker, JQ_STR("w")));
    lab_free(lab);
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

/* What is told when readers' time is up, their connection goes, or the broker stops: nothing, nothing more, and `draining`. */
static void readers_end_by_time_lost_connection_and_stop(void **state) {
    (void)state;
    struct lab *lab = lab_with_events(8);
    struct jq_request late = events_after(lab, 0, 1000), gone = events_after(lab, 0, 60000);
    struct jq_request other = events_after(lab, 0, 60000);
    gone.pipe = 7;
    assert_null(lab_ask(lab, &late));
    assert_null(lab_ask(lab, &other));
    assert_null(lab_ask(lab, &gone));
    advance_ms(lab, 1000);
    assert_int_equal(lab_reply_to(lab, late.call)->u.events.count, 0);
    struct jq_event lost = {.type = JQ_EVENT_PIPE_GONE, .u.pipe_gone.pipe = 7};
    lab_step(lab, &lost);
    assert_true(lab_dropped(lab, gone.call));
    assert_false(lab_dropped(lab, other.call));
    struct jq_event stop = {.type = JQ_EVENT_STOP};
    lab_step(lab, &stop);
    assert_int_equal(lab_reply_to(lab, other.call)->status, JQ_REPLY_DRAINING);
    assert_null(lab_reply_to(lab, gone.call));
    lab_free(lab);
}

/* A reader that waits while more happens in one step than is kept is told of the gap, and where it goes on. */
static void a_waiting_reader_is_told_of_a_gap(void **state) {
    (void)state;
    struct lab *lab = lab_with_events(2);
    struct jq_submit_item items[5];
    struct jq_request request = events_after(lab, 0, 60000);
    assert_null(lab_ask(lab, &request));
    for (size_t i = 0; i < 5; i++) {
        items[i] = lab_item();
    }
    submit_items(lab, items, 5);
    const struct jq_reply_effect *reply = lab_reply_to(lab, request.call);
    assert_int_equal(reply->u.events.count, 2);
    assert_true(reply->u.events.gap != 0 && reply->u.events.gap < reply->u.events.rows[0].seq);
    lab_free(lab);
}

/* A broker that keeps no events says so, by the setting's name. */
static void without_events_the_reader_is_told(void **state) {
    (void)state;
    struct lab *lab = lab_with_events(0);
    struct jq_request request = events_after(lab, 0, 1000);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->status, JQ_REPLY_UNAVAILABLE);
    assert_string_equal(reply->field, "events_max");
    submit_task(lab, "q");
    lab_free(lab);
}

/* Workers come, drain, work again and are lost; each is told by its name. */
static void events_of_workers_name_them(void **state) {
    (void)state;
    static const char *const expected[] = {"worker.registered", "worker.draining", "worker.undrained", "worker.dead"};
    struct lab *lab = lab_with_events(64);
    const uint64_t now = events_now(lab);
    struct jq_where where;
    assert_int_equal(jq_where_parse(JQ_STR("event~worker.*"), &where, NULL), JQ_OK);
    lab_worker(lab, "w");
    set_named(lab, JQ_OP_WORKER_DRAIN, "w", true);
    set_named(lab, JQ_OP_WORKER_DRAIN, "w", false);
    stop_answering_surveys(lab, "w");
    advance_ms(lab, 60000);
    struct jq_request request = events_after(lab, now, 0);
    request.u.events.where = &where;
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->u.events.count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < reply->u.events.count; i++) {
        assert_string_equal(reply->u.events.rows[i].event, expected[i]);
        assert_true(jq_str_equal(reply->u.events.rows[i].worker, JQ_STR("w")));
    }
    lab_free(lab);
}

/* Every kind of event has its name, and no two have the same: a where that names one selects that one alone. */
static void every_event_has_a_name_of_its_own(void **state) {
    (void)state;
    static const struct {
        enum jq_news_type type;
        int64_t number;
        const char *name;
    } rows[] = {
        {JQ_NEWS_TASK_SUBMITTED, 0, "task.submitted"},
        {JQ_NEWS_TASK_READY, 0, "task.ready"},
        {JQ_NEWS_TASK_LEASED, 0, "task.leased"},
        {JQ_NEWS_TASK_RETRIED, 0, "task.retried"},
        {JQ_NEWS_TASK_CANCELLING, 0, "task.cancelling"},
        {JQ_NEWS_TASK_ENDED, 0, "task.ended"},
        {JQ_NEWS_TASK_REVIVED, 0, "task.revived"},
        {JQ_NEWS_TASK_FORGOTTEN, 0, "task.forgotten"},
        {JQ_NEWS_TASK_HELD, 0, "task.held"},
        {JQ_NEWS_TASK_RELEASED, 0, "task.released"},
        {JQ_NEWS_TASK_MOVED, 0, "task.moved"},
        {JQ_NEWS_TASK_BLOCKED, 0, "task.blocked"},
        {JQ_NEWS_TASK_UNBLOCKED, 0, "task.unblocked"},
        {JQ_NEWS_TASK_EDITED, 0, "task.edited"},
        {JQ_NEWS_TASK_RENEWED, 0, "task.renewed"},
        {JQ_NEWS_WORKER_REGISTERED, 0, "worker.registered"},
        {JQ_NEWS_WORKER_DEAD, 0, "worker.dead"},
        {JQ_NEWS_WORKER_ASLEEP, 0, "worker.asleep"},
        {JQ_NEWS_WORKER_RUNG, 1, "worker.rung"},
        {JQ_NEWS_WORKER_DRAINING, 1, "worker.draining"},
        {JQ_NEWS_WORKER_DRAINING, 0, "worker.undrained"},
        {JQ_NEWS_QUEUE_SET, 1, "queue.paused"},
        {JQ_NEWS_QUEUE_SET, 0, "queue.resumed"},
        {JQ_NEWS_QUEUE_DRAINING, 1, "queue.draining"},
        {JQ_NEWS_QUEUE_DRAINING, 0, "queue.undrained"},
        {JQ_NEWS_QUEUE_TUNED, 0, "queue.tuned"},
        {JQ_NEWS_QUEUE_FULL, 1, "queue.full"},
        {JQ_NEWS_QUEUE_FULL, 0, "queue.roomy"},
        {JQ_NEWS_FLOW_COMMITTED, 0, "flow.committed"},
        {JQ_NEWS_FLOW_CANCELLING, 0, "flow.cancelling"},
        {JQ_NEWS_FLOW_FORGOTTEN, 0, "flow.forgotten"},
        {JQ_NEWS_BREAKER_SET, JQ_BREAKER_CLOSED, "breaker.closed"},
        {JQ_NEWS_BREAKER_SET, JQ_BREAKER_OPEN, "breaker.open"},
        {JQ_NEWS_BREAKER_SET, JQ_BREAKER_HALF_OPEN, "breaker.half_open"},
        {JQ_NEWS_SCHEDULE_SET, 1, "schedule.set"},
        {JQ_NEWS_SCHEDULE_SET, 0, "schedule.paused"},
        {JQ_NEWS_SCHEDULE_GONE, 0, "schedule.removed"},
        {JQ_NEWS_SCHEDULE_MISSED, 0, "schedule.missed"},
        {JQ_NEWS_LIMIT_SET, 1, "limit.set"},
        {JQ_NEWS_LIMIT_SET, 0, "limit.removed"},
        {JQ_NEWS_MARK, 1, "mark.reached"},
        {JQ_NEWS_MARK, 0, "mark.cleared"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(jq_news_name(rows[i].type, rows[i].number), rows[i].name);
    }
}

/* A broker that ends without a word to its readers leaves nothing of them behind. */
static void readers_that_still_wait_are_forgotten_with_the_broker(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.events_max = 8;
    struct lab *lab = lab_new_with(&config);
    struct jq_request read = lab_request(lab, JQ_OP_EVENTS_READ);
    read.u.events.wait_ms = 20000;
    assert_null(lab_ask(lab, &read));
    restart_broker(lab);
    assert_null(lab_reply_to(lab, read.call));
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_is_an_event),
        cmocka_unit_test(progress_is_an_event),
        cmocka_unit_test(reader_hears_at_once_of_what_it_selects),
        cmocka_unit_test(reader_is_answered_when_its_time_is_up),
        cmocka_unit_test(slow_reader_is_told_of_the_gap),
        cmocka_unit_test(reader_of_before_a_restart_is_told_of_the_gap),
        cmocka_unit_test(readers_end_by_time_lost_connection_and_stop),
        cmocka_unit_test(a_waiting_reader_is_told_of_a_gap),
        cmocka_unit_test(without_events_the_reader_is_told),
        cmocka_unit_test(events_of_workers_name_them),
        cmocka_unit_test(every_event_has_a_name_of_its_own),
        cmocka_unit_test(readers_that_still_wait_are_forgotten_with_the_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
