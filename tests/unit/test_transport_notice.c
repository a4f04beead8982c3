/* Notices: who subscribed to a topic hears it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/transport/notice.h"
#include "tests/lib/event.h"

struct listener {
    struct jq_notice_client *client;
    struct event heard;
    char log[512]; /* "topic=payload;" of each notice */
};

static void note(void *ctx, struct jq_str topic, struct jq_bytes payload) {
    struct listener *listener = ctx;
    const size_t used = strlen(listener->log);
    snprintf(listener->log + used, sizeof listener->log - used, "%.*s=%.*s;", JQ_STR_ARG(topic), (int)payload.size,
             (const char *)payload.data);
    event_add(&listener->heard);
}

static struct jq_notice_server *open_server(void) {
    const char *url = "tcp://127.0.0.1:0";
    struct jq_notice_server *server = NULL;
    assert_int_equal(
        jq_notice_server_open(&(struct jq_notice_server_config){.urls = &url, .url_count = 1}, &server, NULL), JQ_OK);
    return server;
}

static struct listener *listen_to(struct jq_notice_server *server) {
    struct listener *listener = calloc(1, sizeof *listener);
    assert_non_null(listener);
    listener->heard = (struct event)EVENT_INIT;
    const char *url = jq_notice_server_url(server, 0);
    const struct jq_notice_client_config config = {.urls = &url, .url_count = 1, .ctx = listener, .on_notice = note};
    assert_int_equal(jq_notice_client_open(&config, &listener->client, NULL), JQ_OK);
    return listener;
}

static enum jq_err publish(struct jq_notice_server *server, const char *topic, const char *payload) {
    return jq_notice_publish(server, jq_str_of(topic), (struct jq_bytes){(const uint8_t *)payload, strlen(payload)});
}

/* Before the connection stands, notices reach nobody. */
static void wait_for_subscriber(struct jq_notice_server *server) {
    const int64_t deadline_ns = jq_clock_mono_ns() + EVENT_WAIT_MAX_S * INT64_C(1000000000);
    while (jq_notice_server_peer_count(server) == 0 && jq_clock_mono_ns() < deadline_ns) {
        sched_yield();
    }
    assert_int_equal(jq_notice_server_peer_count(server), 1);
}

/* A subscriber hears its topics, complete, in order, and no other: `cancel.w1` is not `cancel.w10`. */
static void a_subscriber_hears_its_topics_only(void **state) {
    (void)state;
    struct jq_notice_server *server = open_server();
    struct listener *listener = listen_to(server);
    assert_int_equal(jq_notice_subscribe(listener->client, JQ_STR("cancel.w1")), JQ_OK);
    assert_int_equal(jq_notice_subscribe(listener->client, JQ_STR("ready")), JQ_OK);
    wait_for_subscriber(server);
    assert_int_equal(publish(server, "ready", "yes"), JQ_OK);
    assert_true(event_wait(&listener->heard, 1));
    assert_int_equal(jq_notice_unsubscribe(listener->client, JQ_STR("ready")), JQ_OK);

    assert_int_equal(publish(server, "cancel.w10", "no"), JQ_OK);
    assert_int_equal(publish(server, "cancel.w1", "one"), JQ_OK);
    assert_int_equal(publish(server, "cancel", "no"), JQ_OK);
    assert_int_equal(publish(server, "ready", "no"), JQ_OK);
    assert_int_equal(publish(server, "cancel.w1", ""), JQ_OK);
    assert_int_equal(publish(server, "cancel.w1", "end"), JQ_OK);
    assert_true(event_wait(&listener->heard, 4));
    jq_notice_client_stop(listener->client);
    assert_string_equal(listener->log, "ready=yes;cancel.w1=one;cancel.w1=;cancel.w1=end;");
    jq_notice_server_stop(server);
}

/* A prefix subscribes to all topics that begin so. */
static void a_prefix_hears_all_of_its_topics(void **state) {
    (void)state;
    struct jq_notice_server *server = open_server();
    struct listener *listener = listen_to(server);
    assert_int_equal(jq_notice_subscribe_prefix(listener->client, JQ_STR("queue.")), JQ_OK);
    wait_for_subscriber(server);
    assert_int_equal(publish(server, "queue.mail", "1"), JQ_OK);
    assert_int_equal(publish(server, "other", "2"), JQ_OK);
    assert_int_equal(publish(server, "queue.cad", "3"), JQ_OK);
    assert_true(event_wait(&listener->heard, 2));
    jq_notice_client_stop(listener->client);
    assert_string_equal(listener->log, "queue.mail=1;queue.cad=3;");
    jq_notice_server_stop(server);
}

/* Bad topics and oversized notices are refused at the publisher and the subscriber. */
static void bad_notices_are_refused(void **state) {
    (void)state;
    static const uint8_t big[JQ_FRAME_SIZE_MAX];
    struct jq_notice_server *server = open_server();
    struct listener *listener = listen_to(server);
    assert_int_equal(jq_notice_publish(server, JQ_STR(""), (struct jq_bytes){big, 1}), JQ_ERR_INVALID);
    assert_int_equal(jq_notice_publish(server, JQ_STR("a\0b"), (struct jq_bytes){big, 1}), JQ_ERR_INVALID);
    assert_int_equal(jq_notice_publish(server, (struct jq_str){(const char *)big, 200}, (struct jq_bytes){big, 1}),
                     JQ_ERR_INVALID);
    assert_int_equal(jq_notice_publish(server, JQ_STR("a"), (struct jq_bytes){big, sizeof big - 1}), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_notice_publish(server, JQ_STR("a"), (struct jq_bytes){big, sizeof big - 2}), JQ_OK);
    assert_int_equal(jq_notice_subscribe(listener->client, JQ_STR("")), JQ_ERR_INVALID);
    assert_int_equal(jq_notice_unsubscribe(listener->client, JQ_STR("never")), JQ_ERR_NOT_FOUND);
    jq_notice_client_stop(listener->client);
    jq_notice_client_stop(listener->client);
    jq_notice_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscriber_hears_its_topics_only),
        cmocka_unit_test(a_prefix_hears_all_of_its_topics),
        cmocka_unit_test(bad_notices_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
