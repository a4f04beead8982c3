#include "common/libjq/flight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { LONG_MS = 60000, SHORT_MS = 20000 };

static struct jq_client *client;

/* Nobody listens there: what these tests are about happens before anything is sent. */
static int begin(void **state) {
    (void)state;
    const struct jq_connect_config config = {.server = "tcp://127.0.0.1:1"};
    return jq_connect(&config, &client, NULL) == JQ_OK ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    jq_disconnect(client);
    return 0;
}

/* A flight that lands before its sender returns: its request has no room in a frame. */
static void fly_and_land(void) {
    struct jq_flight flight;
    struct jq_pack pack;
    struct jq_error error;
    int64_t wake_ms = 0;
    const int64_t deadline_ms = jq_flight_now_ms() + LONG_MS;
    assert_int_equal(jq_flight_begin(client, &flight, "hello", 0, deadline_ms, &pack, &error), JQ_OK);
    flight.request.failed = true;
    jq_flight_send(&flight);
    assert_int_equal(jq_flight_poll(&flight, deadline_ms, &wake_ms, &error), JQ_ERR_TOO_BIG);
    jq_flight_end(&flight);
}

/* Nobody sleeps over an answer: what lands after the look at the flights and before the wait ends the wait at once. */
static void landing_before_the_wait_is_not_missed(void **state) {
    (void)state;
    const uint64_t seen = jq_client_landings(client);
    const int64_t begin_ms = jq_flight_now_ms();
    fly_and_land();
    jq_client_wait(client, seen, begin_ms + LONG_MS);
    assert_true(jq_flight_now_ms() < begin_ms + SHORT_MS);
    assert_int_equal(jq_client_landings(client), seen + 1);
}

/* A wait and a pause end by their time, and a pause is not cut short by what landed. */
static void wait_and_pause_end_by_time(void **state) {
    (void)state;
    const int64_t until_ms = jq_flight_now_ms() + 5;
    jq_client_wait(client, jq_client_landings(client), until_ms);
    assert_true(jq_flight_now_ms() >= until_ms);
    fly_and_land();
    jq_client_pause(client, until_ms + 5);
    assert_true(jq_flight_now_ms() >= until_ms + 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(landing_before_the_wait_is_not_missed, begin, end),
        cmocka_unit_test_setup_teardown(wait_and_pause_end_by_time, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
