/* Reports of a worker (see common/libjq/link.h), before a broker whose answers the test gives by hand. */
#include "common/libjq/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>

#include "common/libjq/flight.h"
#include "tests/lib/by_hand.h"
#include "tests/lib/event.h"

/* The requests of a test, in their order. */
enum { REGISTRATION, POLL, FIRST, SECOND };

static struct jq_link *link;
static size_t verdict_count;
static enum jq_reply verdicts[8];

static void note_verdict(void *ctx, jq_task_id task, jq_lease_token token, enum jq_reply verdict) {
    (void)ctx;
    assert_int_equal(task.value, token.value);
    verdicts[verdict_count++] = verdict;
}

static void step(void) {
    const int64_t wake_ms = jq_link_step(link) - jq_flight_now_ms();
    struct pollfd fd = {.fd = jq_link_fd(link), .events = POLLIN};
    (void)poll(&fd, 1, wake_ms < 0 ? 0 : wake_ms < 100 ? (int)wake_ms : 100);
}

static bool has_session(void) {
    struct jq_uuid session;
    return jq_link_session(link, &session);
}

static bool is_settled(void) {
    return jq_link_settled(link);
}

static bool has_verdict(void) {
    return verdict_count > 0;
}

static void serve_until(bool (*is_so)(void)) {
    const int64_t until_ms = jq_flight_now_ms() + EVENT_WAIT_MAX_S * 1000;
    while (!is_so() && jq_flight_now_ms() < until_ms) {
        step();
    }
    assert_true(is_so());
}

/* Serves the link until the broker has had a request of that number, from 0. */
static const struct by_hand_request *serve_until_asked(size_t at) {
    const int64_t until_ms = jq_flight_now_ms() + EVENT_WAIT_MAX_S * 1000;
    while (by_hand_count() <= at && jq_flight_now_ms() < until_ms) {
        step();
    }
    return by_hand_wait(at);
}

static void report(uint64_t task) {
    const struct jq_link_report ended = {.task = {task},
                                         .token = {task},
                                         .outcome = JQ_OUTCOME_SUCCESS,
                                         .exit_code = -1,
                                         .signal_number = -1,
                                         .duration_ms = -1,
                                         .cpu_ms = -1};
    assert_int_equal(jq_link_report(link, &ended, NULL), JQ_OK);
}

/* How many reports it brings. */
static size_t count_of(const struct by_hand_request *request) {
    assert_true(jq_str_equal(request->op, JQ_STR("report")));
    return jq_view_count(jq_view_get(request->body, "reports"));
}

static void accept_all(const struct by_hand_request *request) {
    struct jq_buf buf;
    (void)by_hand_reply_begin(&buf, request, JQ_REPLY_OK, 0);
    by_hand_reply_end(&buf, request);
}

static int begin(void **state) {
    static const struct jq_link_handler handler = {.name = "h"};
    const struct jq_uuid session = {{1, 2, 3}};
    struct jq_buf buf;
    (void)state;
    by_hand_open();
    verdict_count = 0;
    const struct jq_link_config config = {.connect = {.server = by_hand_url()},
                                          .survey_url = "tcp://127.0.0.1:1",
                                          .name = "w",
                                          .offers = "slots=4",
                                          .handlers = &handler,
                                          .handler_count = 1,
                                          .on_verdict = note_verdict};
    assert_int_equal(jq_link_new(&config, &link, NULL), JQ_OK);
    const struct by_hand_request *registration = serve_until_asked(REGISTRATION);
    assert_true(jq_str_equal(registration->op, JQ_STR("register")));
    struct jq_pack pack = by_hand_reply_begin(&buf, registration, JQ_REPLY_OK, 1);
    jq_pack_field_uuid(&pack, &jq_message_register_reply, JQ_AT_REGISTER_REPLY_SESSION, &session);
    by_hand_reply_end(&buf, registration);
    serve_until(has_session);
    (void)serve_until_asked(POLL); /* which stays without an answer */
    return 0;
}

static int end(void **state) {
    (void)state;
    jq_link_free(link);
    by_hand_close();
    return 0;
}

/* A report that is flushed goes at once where none is on its way. Those that follow it wait for its verdict and then go together. */
static void those_that_end_meanwhile_go_together(void **state) {
    (void)state;
    report(1);
    jq_link_flush(link);
    const struct by_hand_request *first = by_hand_wait(FIRST); /* and nobody has stepped */
    assert_int_equal(count_of(first), 1);
    for (uint64_t task = 2; task <= 4; task++) {
        report(task);
        jq_link_flush(link);
    }
    accept_all(first);
    const struct by_hand_request *second = serve_until_asked(SECOND);
    assert_int_equal(count_of(second), 3);
    accept_all(second);
    serve_until(is_settled);
    assert_int_equal(verdict_count, 4);
    for (size_t i = 0; i < verdict_count; i++) {
        assert_int_equal(verdicts[i], JQ_REPLY_OK);
    }
}

/* They do not wait for a broker that takes its time: after 2 ms they go all the same. */
static void nobody_waits_long_for_a_slow_verdict(void **state) {
    (void)state;
    report(1);
    jq_link_flush(link);
    const struct by_hand_request *first = by_hand_wait(FIRST);
    report(2);
    jq_link_flush(link);
    const struct by_hand_request *second = serve_until_asked(SECOND);
    assert_int_equal(count_of(second), 1);
    accept_all(second);
    serve_until(has_verdict);
    accept_all(first);
    serve_until(is_settled);
    assert_int_equal(verdict_count, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(those_that_end_meanwhile_go_together, begin, end),
        cmocka_unit_test_setup_teardown(nobody_waits_long_for_a_slow_verdict, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
