/* What dials lives long: its connections end in every way, by its own doing too, and leave nothing behind (see guard.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/transport/client.h"
#include "common/transport/notice.h"
#include "common/transport/server.h"
#include "tests/lib/event.h"
#include "tests/lib/rawpeer.h"
#include "tests/lib/rounds.h"

enum {
    STOP_COUNT = ROUNDS(60),
    EARLY_COUNT = ROUNDS(200),
    REDIAL_COUNT = ROUNDS(100),
    BAD_COUNT = ROUNDS(60),
    OUTSTANDING = 16,
    BODY_SIZE = 60000,
};

static uint8_t body[BODY_SIZE];

/* ---- a client that asks without end ---- */

struct asker {
    struct jq_conn *conn;
    struct event answered, lost;
};

static void ask_again(void *ctx, enum jq_err err, struct jq_bytes reply) {
    struct asker *asker = ctx;
    (void)reply;
    event_add(err == JQ_OK ? &asker->answered : &asker->lost);
    (void)jq_conn_request(asker->conn, (struct jq_bytes){body, BODY_SIZE}, -1, ask_again, asker, NULL);
}

/* Never freed: NNG's threads may still know it. */
static struct asker *asker_new(const char *url) {
    const struct jq_conn_config config = {.urls = &url, .url_count = 1, .reconnect_max_ms = 10};
    struct asker *asker = calloc(1, sizeof *asker);
    assert_non_null(asker);
    asker->answered = asker->lost = (struct event)EVENT_INIT;
    assert_int_equal(jq_conn_open(&config, &asker->conn, NULL), JQ_OK);
    for (int i = 0; i < OUTSTANDING; i++) {
        assert_int_equal(jq_conn_request(asker->conn, (struct jq_bytes){body, BODY_SIZE}, -1, ask_again, asker, NULL),
                         JQ_OK);
    }
    return asker;
}

/* ---- stopping ---- */

static void answer_same(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    (void)ctx;
    (void)peer;
    JQ_CHECK(jq_call_reply(call, frame) == JQ_OK);
}

static void expect_stops_leave_nothing(const char *url) {
    const struct jq_server_config config = {.urls = &url, .url_count = 1, .on_request = answer_same};
    struct jq_server *server = NULL;
    struct jq_error error = {0};
    size_t before = 0;
    if (jq_server_open(&config, &server, &error) != JQ_OK) {
        fail_msg("%s", error.message);
    }
    before = open_fd_count();
    for (int i = 0; i < STOP_COUNT; i++) {
        struct asker *asker = asker_new(jq_server_url(server, 0));
        assert_true(event_wait(&asker->answered, 1 + (uint64_t)random() % 20));
        jq_conn_stop(asker->conn);
    }
    assert_true(open_fds_fall_to(before));
    jq_server_stop(server);
}

/* A program that connects and disconnects again and again, in the middle of its requests, keeps no descriptor of it. */
static void stops_under_traffic_leave_nothing_behind(void **state) {
    (void)state;
    char url[96];
    ipc_test_url(url, sizeof url, "stops");
    expect_stops_leave_nothing("tcp://127.0.0.1:0");
    expect_stops_leave_nothing(url);
}

static void expect_early_stops_leave_nothing(const char *url) {
    const struct jq_server_config config = {.urls = &url, .url_count = 1, .on_request = answer_same};
    struct jq_server *server = NULL;
    assert_int_equal(jq_server_open(&config, &server, NULL), JQ_OK);
    const size_t before = open_fd_count();
    for (int i = 0; i < EARLY_COUNT; i++) {
        struct asker *asker = asker_new(jq_server_url(server, 0));
        for (atomic_int spins = (int)(random() % 100000); spins > 0; spins--) {
        }
        jq_conn_stop(asker->conn);
    }
    assert_true(open_fds_fall_to(before));
    jq_server_stop(server);
}

/* Nor does one that disconnects while it is still connecting, at any instant of it. */
static void stops_in_the_handshake_leave_nothing_behind(void **state) {
    (void)state;
    char url[96];
    ipc_test_url(url, sizeof url, "early");
    expect_early_stops_leave_nothing("tcp://127.0.0.1:0");
    expect_early_stops_leave_nothing(url);
}

/* ---- dialling anew ---- */

struct heard {
    struct event t, last;
};

static void count_notice(void *ctx, struct jq_str topic, struct jq_bytes payload) {
    struct heard *heard = ctx;
    (void)payload;
    event_add(jq_str_equal(topic, JQ_STR("last")) ? &heard->last : &heard->t);
}

static struct jq_notice_client *subscriber_new(const char *url, struct heard *heard) {
    const struct jq_notice_client_config config = {
        .urls = &url, .url_count = 1, .reconnect_max_ms = 10, .ctx = heard, .on_notice = count_notice};
    struct jq_notice_client *client = NULL;
    assert_int_equal(jq_notice_client_open(&config, &client, NULL), JQ_OK);
    assert_int_equal(jq_notice_subscribe(client, JQ_STR("t")), JQ_OK);
    assert_int_equal(jq_notice_subscribe(client, JQ_STR("last")), JQ_OK);
    return client;
}

/* Until one more is heard, so that the next ones are on their way. */
static void publish(struct jq_notice_server *server, struct jq_str topic, struct event *heard) {
    const uint64_t before = event_count(heard);
    while (event_count(heard) == before) {
        (void)jq_notice_publish(server, topic, (struct jq_bytes){body, BODY_SIZE});
        sched_yield();
    }
}

/* Who dials anew while messages arrive hears them again, every time, and keeps no descriptor of the connections before;
 * being impatient does no harm. */
static void dialling_anew_under_traffic_leaves_nothing_behind(void **state) {
    static struct heard heard = {EVENT_INIT, EVENT_INIT};
    const char *url = "tcp://127.0.0.1:0";
    const struct jq_notice_server_config config = {.urls = &url, .url_count = 1};
    struct jq_notice_server *server = NULL;
    (void)state;
    assert_int_equal(jq_notice_server_open(&config, &server, NULL), JQ_OK);
    const size_t before = open_fd_count();
    struct jq_notice_client *client = subscriber_new(jq_notice_server_url(server, 0), &heard);
    for (int i = 0; i < REDIAL_COUNT; i++) {
        publish(server, JQ_STR("t"), &heard.t);
        jq_notice_client_redial(client);
        jq_notice_client_redial(client); /* before NNG has noticed the first, as a rule */
    }
    publish(server, JQ_STR("last"), &heard.last);
    jq_notice_client_stop(client);
    assert_true(open_fds_fall_to(before));
    jq_notice_server_stop(server);
}

/* ---- servers that behave badly ---- */

struct bad_server {
    int fd;
    char url[64];
};

static struct bad_server bad_server_new(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct bad_server server = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(server.fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server.fd, 8), 0);
    assert_int_equal(getsockname(server.fd, (struct sockaddr *)&address, &size), 0);
    snprintf(server.url, sizeof server.url, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    return server;
}

static void say(int fd, const char *bytes, size_t size) {
    (void)send(fd, bytes, size, MSG_NOSIGNAL);
}

/* Takes a part of what was asked. */
static void sip(int fd) {
    static uint8_t bytes[BODY_SIZE];
    (void)recv(fd, bytes, 1 + (size_t)random() % sizeof bytes, 0);
}

static void shake_hands(int fd) {
    uint8_t hello[8];
    say(fd, "\0SP\0\0\x31\0\0", 8);
    (void)recv(fd, hello, sizeof hello, MSG_WAITALL);
    sip(fd);
}

static void cut_the_handshake(int fd) {
    say(fd, "\0SP", (size_t)random() % 4);
}

static void answer_by_half(int fd) {
    shake_hands(fd);
    say(fd, "\0\0\0\0\0\0\x01\0\x80\0", 10);
}

/* Too short for an answer, and something behind it. */
static void answer_garbage(int fd) {
    shake_hands(fd);
    say(fd, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    sip(fd);
}

static void announce_too_much(int fd) {
    shake_hands(fd);
    say(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    sip(fd);
}

/* To questions that nobody asked; and leaves with a reset, for there are bytes that it did not read. */
static void answer_others(int fd) {
    shake_hands(fd);
    for (int i = 0; i < 10; i++) {
        say(fd, "\0\0\0\0\0\0\0\4\x80\0\0\1", 12);
        sip(fd);
    }
}

static void (*const BAD_WAYS[])(int fd) = {cut_the_handshake, answer_by_half, answer_garbage, announce_too_much,
                                           answer_others};

/* Servers that leave in the handshake, answer by halves or with garbage, or hang up while they are asked, cost a client nothing that
 * lasts, and it dials again every time. */
static void bad_servers_leave_nothing_behind(void **state) {
    (void)state;
    const struct bad_server server = bad_server_new();
    const size_t before = open_fd_count();
    struct asker *asker = asker_new(server.url);
    for (int i = 0; i < BAD_COUNT; i++) {
        const int fd = accept(server.fd, NULL, NULL);
        assert_true(fd >= 0);
        BAD_WAYS[(size_t)i % (sizeof BAD_WAYS / sizeof BAD_WAYS[0])](fd);
        close(fd);
    }
    close(server.fd);
    jq_conn_stop(asker->conn);
    assert_true(open_fds_fall_to(before - 1));
    assert_int_equal(event_count(&asker->answered), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_under_traffic_leave_nothing_behind),
        cmocka_unit_test(stops_in_the_handshake_leave_nothing_behind),
        cmocka_unit_test(dialling_anew_under_traffic_leaves_nothing_behind),
        cmocka_unit_test(bad_servers_leave_nothing_behind),
    };
    srandom(7);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(NULL);
    _exit(failed); /* NNG's threads are still at work. */
}
