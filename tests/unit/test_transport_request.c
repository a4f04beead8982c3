/* Requests and answers over NNG: parking, lost peers, limits, cancelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/transport/address.h"
#include "common/transport/client.h"
#include "common/transport/server.h"
#include "tests/lib/event.h"

enum { CALLS_KEPT_MAX = 4096 };
#define WAIT_NS_MAX INT64_C(60000000000)

/* A server whose request handler is one of the functions below, and what it saw. */
struct station {
    struct jq_server *server;
    struct jq_peer last_peer;
    uint32_t last_gone;
    struct event arrived;
    struct event gone;
    pthread_mutex_t lock;
    size_t kept_count;
    struct jq_call *kept[CALLS_KEPT_MAX];
};

static struct jq_bytes bytes_of(const char *text) {
    return (struct jq_bytes){(const uint8_t *)text, strlen(text)};
}

static void answer_same(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    struct station *station = ctx;
    pthread_mutex_lock(&station->lock);
    station->last_peer = *peer;
    pthread_mutex_unlock(&station->lock);
    assert_int_equal(jq_call_reply(call, frame), JQ_OK);
}

static void keep_call(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    struct station *station = ctx;
    (void)frame;
    pthread_mutex_lock(&station->lock);
    station->last_peer = *peer;
    station->kept[station->kept_count++] = call;
    pthread_mutex_unlock(&station->lock);
    event_add(&station->arrived);
}

static void note_gone(void *ctx, uint32_t pipe_id) {
    struct station *station = ctx;
    station->last_gone = pipe_id;
    event_add(&station->gone);
}

static struct station *station_new(struct jq_server_config config, const char *url) {
    struct station *station = calloc(1, sizeof *station);
    assert_non_null(station);
    station->arrived = (struct event)EVENT_INIT;
    station->gone = (struct event)EVENT_INIT;
    assert_int_equal(pthread_mutex_init(&station->lock, NULL), 0);
    struct jq_error error = {0};
    config.urls = &url;
    config.url_count = 1;
    config.ctx = station;
    config.on_gone = note_gone;
    if (jq_server_open(&config, &station->server, &error) != JQ_OK) {
        fail_msg("%s", error.message);
    }
    return station;
}

static struct jq_conn *connect_to(const char *url, struct jq_conn_config config) {
    struct jq_conn *conn = NULL;
    struct jq_error error = {0};
    config.urls = &url;
    config.url_count = 1;
    assert_int_equal(jq_conn_open(&config, &conn, &error), JQ_OK);
    return conn;
}

static struct jq_conn *connect_station(struct station *station) {
    struct jq_conn *conn = connect_to(jq_server_url(station->server, 0), (struct jq_conn_config){0});
    assert_int_equal(jq_conn_wait(conn, 10000, NULL), JQ_OK);
    return conn;
}

/* The end of an asynchronous request, as its callback saw it. */
struct outcome {
    enum jq_err err;
    char text[64];
    struct event done;
};

static void note_reply(void *ctx, enum jq_err err, struct jq_bytes reply) {
    struct outcome *outcome = ctx;
    pthread_mutex_lock(&outcome->done.lock); /* Some tests let several requests end in one outcome. */
    outcome->err = err;
    snprintf(outcome->text, sizeof outcome->text, "%.*s", (int)reply.size, (const char *)reply.data);
    pthread_mutex_unlock(&outcome->done.lock);
    event_add(&outcome->done);
}

static void expect_call(struct jq_conn *conn, const char *text) {
    struct jq_frame *reply = NULL;
    struct jq_error error = {0};
    if (jq_conn_call(conn, bytes_of(text), 10000, &reply, &error) != JQ_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(jq_frame_size(reply), strlen(text));
    assert_memory_equal(jq_frame_data(reply), text, strlen(text));
    jq_frame_free(reply);
}

/* A path that no other test uses; the caller unlinks what it makes there. */
static void temporary_path(char *path, size_t size, const char *name) {
    snprintf(path, size, "/tmp/jq-test-%ld-%s", (long)getpid(), name);
}

/* An answer reaches the one who asked, whatever the transport; the server knows that a tcp peer on 127.0.0.1 is on this
 * machine, and which user is behind an ipc peer. */
static void every_transport_answers_and_names_its_peer(void **state) {
    (void)state;
    char path[64];
    char ipc[80];
    temporary_path(path, sizeof path, "answers.sock");
    snprintf(ipc, sizeof ipc, "ipc://%s", path);
    const char *urls[] = {"tcp://127.0.0.1:0", "inproc://answers", ipc};
    for (size_t i = 0; i < 3; i++) {
        struct station *station = station_new((struct jq_server_config){.on_request = answer_same}, urls[i]);
        struct jq_conn *conn = connect_station(station);
        expect_call(conn, "hello");
        expect_call(conn, "again");
        assert_true(station->last_peer.loopback);
        assert_int_equal(station->last_peer.is_ipc, i == 2);
        assert_int_equal(station->last_peer.uid_known, i == 2);
        assert_int_equal(station->last_peer.uid, i == 2 ? getuid() : 0);
        jq_server_stop(station->server);
    }
    assert_int_equal(access(path, F_OK), -1);
}

static void *answer_kept_backwards(void *arg) {
    struct station *station = arg;
    for (size_t i = station->kept_count; i-- > 0;) {
        char text[24];
        snprintf(text, sizeof text, "%zu", i);
        assert_int_equal(jq_call_reply(station->kept[i], bytes_of(text)), JQ_OK);
    }
    return NULL;
}

/* Requests can be parked in any number and answered in any order, by any thread; meanwhile 16 contexts stand ready, so that
 * later requests and departures are still seen. */
static void parked_calls_are_answered_in_any_order(void **state) {
    (void)state;
    enum { COUNT = 500 };
    struct station *station = station_new((struct jq_server_config){.on_request = keep_call}, "tcp://127.0.0.1:0");
    struct jq_conn *conn = connect_station(station);
    struct outcome *outcomes = calloc(COUNT, sizeof *outcomes);
    for (size_t i = 0; i < COUNT; i++) {
        outcomes[i].done = (struct event)EVENT_INIT;
        assert_int_equal(jq_conn_request(conn, bytes_of("park"), 20000, note_reply, &outcomes[i], NULL), JQ_OK);
        assert_true(event_wait(&station->arrived, i + 1));
    }
    struct jq_server_stats stats;
    jq_server_stats(station->server, &stats);
    assert_int_equal(stats.calls, COUNT);
    assert_true(stats.idle >= 16);

    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_kept_backwards, station), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < COUNT; i++) {
        char expected[24];
        snprintf(expected, sizeof expected, "%zu", i);
        assert_true(event_wait(&outcomes[i].done, 1));
        assert_int_equal(outcomes[i].err, JQ_OK);
        assert_string_equal(outcomes[i].text, expected);
    }
    jq_server_stats(station->server, &stats);
    assert_int_equal(stats.requests, COUNT);
    free(outcomes);
}

/* When the connection is lost, the requester learns it at once, not at the end of its time; the server hears of it, and knows
 * that the parked call's requester is gone. The next request finds a new connection by itself. */
static void a_lost_connection_ends_requests_at_once_and_comes_back(void **state) {
    (void)state;
    struct station *station = station_new((struct jq_server_config){.on_request = keep_call}, "tcp://127.0.0.1:0");
    struct jq_conn *conn = connect_station(station);
    struct outcome outcome = {.done = EVENT_INIT};
    assert_int_equal(jq_conn_request(conn, bytes_of("one"), -1, note_reply, &outcome, NULL), JQ_OK);
    assert_true(event_wait(&station->arrived, 1));
    const uint32_t pipe_id = station->last_peer.pipe_id;
    assert_false(jq_call_peer_gone(station->kept[0]));

    jq_server_disconnect(station->server, pipe_id);
    assert_true(event_wait(&outcome.done, 1));
    assert_int_equal(outcome.err, JQ_ERR_CLOSED);
    assert_true(event_wait(&station->gone, 1));
    assert_int_equal(station->last_gone, pipe_id);
    assert_true(jq_call_peer_gone(station->kept[0]));
    assert_int_equal(jq_call_reply(station->kept[0], bytes_of("to nobody")), JQ_OK);

    struct outcome second = {.done = EVENT_INIT};
    assert_int_equal(jq_conn_request(conn, bytes_of("two"), -1, note_reply, &second, NULL), JQ_OK);
    assert_true(event_wait(&station->arrived, 2));
    assert_int_equal(jq_call_reply(station->kept[1], bytes_of("late but well")), JQ_OK);
    assert_true(event_wait(&second.done, 1));
    assert_int_equal(second.err, JQ_OK);
    assert_string_equal(second.text, "late but well");
}

/* A request that found no connection in its time was certainly not executed, and the error says so; so does the message for
 * people, with the reason that the system gives. */
static void nobody_there_is_told_apart_from_no_answer(void **state) {
    (void)state;
    struct jq_conn *lonely = connect_to("ipc:///tmp/jq-test-no-such.sock", (struct jq_conn_config){0});
    struct jq_frame *reply = NULL;
    struct jq_error error = {0};
    assert_int_equal(jq_conn_call(lonely, bytes_of("hello"), 30, &reply, &error), JQ_ERR_UNAVAILABLE);
    assert_string_equal(error.message, "ipc:///tmp/jq-test-no-such.sock: no connection");
    assert_int_equal(jq_conn_wait(lonely, 10, &error), JQ_ERR_UNAVAILABLE);
    assert_string_equal(error.message, "ipc:///tmp/jq-test-no-such.sock: No such file or directory");
    assert_false(jq_conn_connected(lonely));

    struct station *station = station_new((struct jq_server_config){.on_request = keep_call}, "tcp://127.0.0.1:0");
    struct jq_conn *conn = connect_station(station);
    assert_int_equal(jq_conn_call(conn, bytes_of("hello"), 30, &reply, &error), JQ_ERR_TIMEOUT);
    assert_null(reply);
}

/* A request that waits for a server which is not up yet is sent as soon as it comes up. */
static void a_request_waits_for_its_server(void **state) {
    (void)state;
    char url[80];
    char path[64];
    temporary_path(path, sizeof path, "late.sock");
    snprintf(url, sizeof url, "ipc://%s", path);
    struct jq_conn *conn = connect_to(url, (struct jq_conn_config){.reconnect_max_ms = 20});
    struct outcome outcome = {.done = EVENT_INIT};
    assert_int_equal(jq_conn_request(conn, bytes_of("early"), -1, note_reply, &outcome, NULL), JQ_OK);
    struct station *station = station_new((struct jq_server_config){.on_request = answer_same}, url);
    assert_true(event_wait(&outcome.done, 1));
    assert_string_equal(outcome.text, "early");
    jq_server_stop(station->server);
}

/* A canceled request ends by its callback, once; its ticket then means nothing, even when its slot is in use again. */
static void cancel_ends_a_request_once(void **state) {
    (void)state;
    struct station *station = station_new((struct jq_server_config){.on_request = keep_call}, "tcp://127.0.0.1:0");
    struct jq_conn *conn = connect_station(station);
    struct outcome first = {.done = EVENT_INIT};
    struct outcome second = {.done = EVENT_INIT};
    jq_conn_ticket ticket = {0};
    jq_conn_cancel(conn, ticket);
    assert_int_equal(jq_conn_request(conn, bytes_of("one"), -1, note_reply, &first, &ticket), JQ_OK);
    assert_true(event_wait(&station->arrived, 1));
    jq_conn_cancel(conn, ticket);
    assert_true(event_wait(&first.done, 1));
    assert_int_equal(first.err, JQ_ERR_CANCELED);

    assert_int_equal(jq_conn_request(conn, bytes_of("two"), -1, note_reply, &second, NULL), JQ_OK);
    assert_true(event_wait(&station->arrived, 2));
    jq_conn_cancel(conn, ticket);
    assert_int_equal(jq_call_reply(station->kept[0], bytes_of("nobody waits")), JQ_OK);
    assert_int_equal(jq_call_reply(station->kept[1], bytes_of("fine")), JQ_OK);
    assert_true(event_wait(&second.done, 1));
    assert_int_equal(second.err, JQ_OK);
    assert_string_equal(second.text, "fine");
    assert_int_equal(event_count(&first.done), 1);
}

static void *call_for_ever(void *arg) {
    struct jq_frame *reply = NULL;
    const enum jq_err err = jq_conn_call(arg, bytes_of("wait"), -1, &reply, NULL);
    return (void *)(uintptr_t)err;
}

/* Stopping a connection ends what is under way, blocking callers included, and refuses the rest. */
static void stop_cancels_everything(void **state) {
    (void)state;
    struct station *station = station_new((struct jq_server_config){.on_request = keep_call}, "tcp://127.0.0.1:0");
    struct jq_conn *conn = connect_station(station);
    struct outcome outcome = {.done = EVENT_INIT};
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(jq_conn_request(conn, bytes_of("one"), -1, note_reply, &outcome, NULL), JQ_OK);
    assert_int_equal(pthread_create(&thread, NULL, call_for_ever, conn), 0);
    assert_true(event_wait(&station->arrived, 2));
    jq_conn_stop(conn);
    assert_true(event_wait(&outcome.done, 1));
    assert_int_equal(outcome.err, JQ_ERR_CANCELED);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((uintptr_t)result, JQ_ERR_CANCELED);
    assert_int_equal(jq_conn_request(conn, bytes_of("two"), -1, note_reply, &outcome, NULL), JQ_ERR_CLOSED);
}

/* Sizes are checked before anything is sent, on both sides; a call whose answer was too big is still open. */
static void frames_beyond_the_limit_are_refused_before_sending(void **state) {
    (void)state;
    static uint8_t big[JQ_FRAME_SIZE_MAX + 1];
    const struct jq_bytes most = {big, JQ_FRAME_SIZE_MAX};
    const struct jq_bytes more = {big, JQ_FRAME_SIZE_MAX + 1};
    struct station *station = station_new((struct jq_server_config){.on_request = keep_call}, "tcp://127.0.0.1:0");
    struct jq_conn *conn = connect_station(station);
    struct outcome outcome = {.done = EVENT_INIT};
    struct jq_frame *reply = NULL;
    assert_int_equal(jq_conn_request(conn, more, -1, note_reply, &outcome, NULL), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_conn_call(conn, more, -1, &reply, NULL), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_conn_request(conn, most, -1, note_reply, &outcome, NULL), JQ_OK);
    assert_true(event_wait(&station->arrived, 1));
    assert_int_equal(jq_call_frame(station->kept[0]).size, JQ_FRAME_SIZE_MAX);
    assert_int_equal(jq_call_reply(station->kept[0], more), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_call_reply(station->kept[0], most), JQ_OK);
    assert_true(event_wait(&outcome.done, 1));
    assert_int_equal(outcome.err, JQ_OK);
}

static int raw_connect(const char *url) {
    struct jq_address address;
    assert_int_equal(jq_address_parse(url, &address, NULL), JQ_OK);
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(address.port, NULL, 10))};
    assert_int_equal(inet_pton(AF_INET, address.host, &target.sin_addr), 1);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&target, sizeof target), 0);
    return fd;
}

/* A stranger who announces a message of 2^40 bytes loses its connection; nothing is allocated for it. */
static void an_announced_giant_closes_the_connection(void **state) {
    (void)state;
    static const uint8_t req_hello[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    static const uint8_t giant[8] = {0, 0, 1, 0, 0, 0, 0, 0};
    struct station *station = station_new((struct jq_server_config){.on_request = answer_same}, "tcp://127.0.0.1:0");
    const int fd = raw_connect(jq_server_url(station->server, 0));
    uint8_t buffer[64];
    assert_int_equal(write(fd, req_hello, 8), 8);
    assert_int_equal(recv(fd, buffer, 8, MSG_WAITALL), 8);
    assert_int_equal(write(fd, giant, 8), 8);
    assert_true(recv(fd, buffer, sizeof buffer, 0) <= 0);
    close(fd);
    assert_true(event_wait(&station->gone, 1));
    expect_call(connect_station(station), "still here");
}

/* The server may hear that NNG has sent an answer after its client has read it. */
static void wait_for_calls(struct jq_server *server, size_t count) {
    struct jq_server_stats stats;
    jq_server_stats(server, &stats);
    for (int64_t end_ns = jq_clock_mono_ns() + WAIT_NS_MAX; stats.calls != count && jq_clock_mono_ns() < end_ns;) {
        sched_yield();
        jq_server_stats(server, &stats);
    }
    assert_int_equal(stats.calls, count);
}

/* Beyond calls_max a request is answered by the refusal that the configuration gives, at once; when calls have been answered
 * there is room again. */
static void beyond_its_limit_the_server_refuses(void **state) {
    (void)state;
    struct station *station =
        station_new((struct jq_server_config){.on_request = keep_call, .calls_max = 2, .refusal = bytes_of("busy")},
                    "tcp://127.0.0.1:0");
    struct jq_conn *conn = connect_station(station);
    struct outcome outcomes[2] = {{.done = EVENT_INIT}, {.done = EVENT_INIT}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(jq_conn_request(conn, bytes_of("keep"), -1, note_reply, &outcomes[i], NULL), JQ_OK);
        assert_true(event_wait(&station->arrived, i + 1));
    }
    struct jq_frame *reply = NULL;
    assert_int_equal(jq_conn_call(conn, bytes_of("third"), 10000, &reply, NULL), JQ_OK);
    assert_memory_equal(jq_frame_data(reply), "busy", 4);
    jq_frame_free(reply);

    jq_call_drop(station->kept[0]);
    wait_for_calls(station->server, 1);
    struct outcome fourth = {.done = EVENT_INIT};
    assert_int_equal(jq_conn_request(conn, bytes_of("fourth"), -1, note_reply, &fourth, NULL), JQ_OK);
    assert_true(event_wait(&station->arrived, 3));
    struct jq_server_stats stats;
    jq_server_stats(station->server, &stats);
    assert_int_equal(stats.calls, 2);
    assert_int_equal(stats.refused, 1);
}

/* One peer that piles up requests cannot take the whole server: its connection is closed, others are served. */
static void one_peer_cannot_take_all(void **state) {
    (void)state;
    struct station *station =
        station_new((struct jq_server_config){.on_request = keep_call, .peer_calls_max = 3}, "tcp://127.0.0.1:0");
    struct jq_conn *greedy = connect_station(station);
    struct outcome outcome = {.done = EVENT_INIT};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(jq_conn_request(greedy, bytes_of("more"), -1, note_reply, &outcome, NULL), JQ_OK);
    }
    assert_true(event_wait(&outcome.done, 4));
    assert_int_equal(outcome.err, JQ_ERR_CLOSED);
    assert_true(event_wait(&station->gone, 1));
    struct jq_conn *modest = connect_station(station);
    struct outcome second = {.done = EVENT_INIT};
    assert_int_equal(jq_conn_request(modest, bytes_of("one"), -1, note_reply, &second, NULL), JQ_OK);
    assert_true(event_wait(&station->arrived, 4));
}

static bool refuse_everyone(void *ctx, const struct jq_peer *peer) {
    (void)ctx;
    return !peer->loopback;
}

/* Whom on_peer turns away never gets a request through. */
static void a_peer_can_be_turned_away(void **state) {
    (void)state;
    struct station *station = station_new(
        (struct jq_server_config){.on_request = answer_same, .on_peer = refuse_everyone}, "tcp://127.0.0.1:0");
    const int fd = raw_connect(jq_server_url(station->server, 0));
    static const uint8_t req_hello[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    uint8_t buffer[64];
    assert_int_equal(write(fd, req_hello, 8), 8);
    assert_int_equal(recv(fd, buffer, sizeof buffer, MSG_WAITALL), 8); /* The hello, then the end. */
    close(fd);
    struct jq_server_stats stats;
    jq_server_stats(station->server, &stats);
    assert_int_equal(stats.requests, 0);
}

static void *call_many_times(void *arg) {
    for (int i = 0; i < 300; i++) {
        char text[40];
        snprintf(text, sizeof text, "%p %d", (void *)&text, i);
        expect_call(arg, text);
    }
    return NULL;
}

/* Many threads share one connection, and every one gets its own answers. */
static void threads_share_a_connection(void **state) {
    (void)state;
    struct station *station = station_new((struct jq_server_config){.on_request = answer_same}, "tcp://127.0.0.1:0");
    struct jq_conn *conn = connect_station(station);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_many_times, conn), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

/* The bound on requests under way is an error, not a queue that grows. */
static void outstanding_requests_are_bounded(void **state) {
    (void)state;
    struct jq_conn *conn = connect_to("inproc://nobody", (struct jq_conn_config){.outstanding_max = 2});
    struct outcome outcome = {.done = EVENT_INIT};
    assert_int_equal(jq_conn_request(conn, bytes_of("1"), -1, note_reply, &outcome, NULL), JQ_OK);
    assert_int_equal(jq_conn_request(conn, bytes_of("2"), -1, note_reply, &outcome, NULL), JQ_OK);
    assert_int_equal(jq_conn_request(conn, bytes_of("3"), -1, note_reply, &outcome, NULL), JQ_ERR_BUSY);
    jq_conn_stop(conn);
    assert_true(event_wait(&outcome.done, 2));
}

static void *drop_first_kept(void *arg) {
    struct station *station = arg;
    jq_call_drop(station->kept[0]);
    return NULL;
}

/* A server that drains refuses newcomers and waits for the calls that it has; when the last has ended it is done. */
static void a_draining_server_waits_for_its_calls(void **state) {
    (void)state;
    struct station *station = station_new(
        (struct jq_server_config){.on_request = keep_call, .refusal = bytes_of("draining")}, "tcp://127.0.0.1:0");
    struct jq_conn *conn = connect_station(station);
    struct outcome outcome = {.done = EVENT_INIT};
    assert_int_equal(jq_conn_request(conn, bytes_of("1"), -1, note_reply, &outcome, NULL), JQ_OK);
    assert_true(event_wait(&station->arrived, 1));
    assert_int_equal(jq_server_drain(station->server, 1), JQ_ERR_TIMEOUT);

    struct jq_frame *reply = NULL;
    assert_int_equal(jq_conn_call(conn, bytes_of("2"), 10000, &reply, NULL), JQ_OK);
    assert_memory_equal(jq_frame_data(reply), "draining", 8);
    jq_frame_free(reply);

    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drop_first_kept, station), 0);
    assert_int_equal(jq_server_drain(station->server, 20000), JQ_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    jq_server_stop(station->server);
    jq_conn_stop(conn);
    assert_true(event_wait(&outcome.done, 1));
}

static void note_state(void *ctx, bool connected) {
    struct event *events = ctx;
    event_add(&events[connected ? 1 : 0]);
}

/* The owner of a connection hears when it comes and when it goes. */
static void the_state_of_a_connection_is_told(void **state) {
    (void)state;
    struct station *station = station_new((struct jq_server_config){.on_request = keep_call}, "tcp://127.0.0.1:0");
    struct event events[2] = {EVENT_INIT, EVENT_INIT};
    struct jq_conn *conn =
        connect_to(jq_server_url(station->server, 0), (struct jq_conn_config){.on_state = note_state, .ctx = events});
    assert_true(event_wait(&events[1], 1));
    struct outcome outcome = {.done = EVENT_INIT};
    assert_int_equal(jq_conn_request(conn, bytes_of("1"), -1, note_reply, &outcome, NULL), JQ_OK);
    assert_true(event_wait(&station->arrived, 1));
    jq_server_disconnect(station->server, station->last_peer.pipe_id);
    assert_true(event_wait(&events[0], 1));
    assert_true(event_wait(&events[1], 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transport_answers_and_names_its_peer),
        cmocka_unit_test(parked_calls_are_answered_in_any_order),
        cmocka_unit_test(a_lost_connection_ends_requests_at_once_and_comes_back),
        cmocka_unit_test(nobody_there_is_told_apart_from_no_answer),
        cmocka_unit_test(a_request_waits_for_its_server),
        cmocka_unit_test(cancel_ends_a_request_once),
        cmocka_unit_test(stop_cancels_everything),
        cmocka_unit_test(frames_beyond_the_limit_are_refused_before_sending),
        cmocka_unit_test(an_announced_giant_closes_the_connection),
        cmocka_unit_test(beyond_its_limit_the_server_refuses),
        cmocka_unit_test(one_peer_cannot_take_all),
        cmocka_unit_test(a_peer_can_be_turned_away),
        cmocka_unit_test(threads_share_a_connection),
        cmocka_unit_test(outstanding_requests_are_bounded),
        cmocka_unit_test(a_draining_server_waits_for_its_calls),
        cmocka_unit_test(the_state_of_a_connection_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
