/* Large frames: who may send them, who may get them, and how much of them a server holds (see common/transport/server.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>

#include "common/clock.h"
#include "common/transport/client.h"
#include "common/transport/guard.h"
#include "common/transport/server.h"
#include "tests/lib/event.h"
#include "tests/lib/rawpeer.h"

enum {
    SMALL = 1000,
    LARGE = 500000,
    WAIT_MS = 1000 * EVENT_WAIT_MAX_S,
    MINUTE_MS = 60000,
};

struct station {
    struct jq_server *server;
    struct event gone;
    struct event asked;
    atomic_size_t request_max, reply_max; /* of the connection that asked last */
    atomic_bool floods;                   /* answers everything with as much as may be given */
};

static uint8_t bytes[LARGE + 1];

/* "+": enlarge. What comes is answered as it came, "?" with as much as may be. */
static void answer(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    struct station *station = ctx;
    (void)peer;
    if (frame.size > 0 && frame.data[0] == '+') {
        jq_call_enlarge(call);
    }
    const size_t most = jq_call_reply_max(call);
    atomic_store(&station->request_max, jq_call_request_max(call));
    atomic_store(&station->reply_max, most);
    const bool much = frame.size > 0 && (frame.data[0] == '?' || atomic_load(&station->floods));
    JQ_CHECK(jq_call_reply(call, much ? (struct jq_bytes){bytes, most} : frame) == JQ_OK);
    event_add(&station->asked);
}

static void count_gone(void *ctx, uint32_t pipe_id) {
    struct station *station = ctx;
    (void)pipe_id;
    event_add(&station->gone);
}

static struct station *station_new(const char *url, size_t large_peers_max) {
    struct station *station = calloc(1, sizeof *station);
    struct jq_error error = {0};
    assert_non_null(station);
    station->gone = (struct event)EVENT_INIT;
    station->asked = (struct event)EVENT_INIT;
    const struct jq_server_config config = {
        .urls = &url,
        .url_count = 1,
        .frame_size_max = SMALL,
        .large_size_max = LARGE,
        .large_peers_max = large_peers_max,
        .stall_ms_max = 60 * MINUTE_MS, /* nobody here is hung up on for that */
        .ctx = station,
        .on_request = answer,
        .on_gone = count_gone,
    };
    if (jq_server_open(&config, &station->server, &error) != JQ_OK) {
        fail_msg("%s", error.message);
    }
    return station;
}

static struct jq_conn *connect_to(const struct station *station) {
    const char *url = jq_server_url(station->server, 0);
    const struct jq_conn_config config = {.urls = &url, .url_count = 1, .frame_size_max = LARGE};
    struct jq_conn *conn = NULL;
    assert_int_equal(jq_conn_open(&config, &conn, NULL), JQ_OK);
    return conn;
}

/* Size of the answer; 0: the connection was lost. */
static size_t ask(struct jq_conn *conn, char what, size_t size) {
    struct jq_frame *reply = NULL;
    struct jq_error error = {0};
    bytes[0] = (uint8_t)what;
    const enum jq_err err = jq_conn_call(conn, (struct jq_bytes){bytes, size}, WAIT_MS, &reply, &error);
    if (err != JQ_OK && err != JQ_ERR_CLOSED) {
        fail_msg("%s", error.message);
    }
    const size_t got = err == JQ_OK ? jq_frame_size(reply) : 0;
    jq_frame_free(reply);
    return got;
}

static const char *const URLS[] = {"tcp://127.0.0.1:0", "ipc"};

static const char *url_at(size_t i, char text[96], const char *name) {
    ipc_test_url(text, 96, name);
    return strcmp(URLS[i], "ipc") == 0 ? text : URLS[i];
}

/* A connection carries small frames only, until it was enlarged; then large ones both ways, and others still do not. */
static void only_what_was_enlarged_carries_large_frames(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char text[96];
        struct station *station = station_new(url_at(i, text, "large"), 0);
        struct jq_conn *conn = connect_to(station);
        struct jq_conn *other = connect_to(station);
        assert_int_equal(ask(conn, '?', 1), SMALL);
        assert_int_equal(ask(conn, '-', SMALL + 1), 0);
        assert_int_equal(ask(conn, '+', 1), 1);
        assert_int_equal(ask(conn, '-', LARGE), LARGE);
        assert_int_equal(ask(conn, '?', SMALL), LARGE);
        assert_int_equal(ask(other, '-', SMALL), SMALL);
        assert_int_equal(ask(other, '-', SMALL + 1), 0);
        assert_int_equal(ask(conn, '-', LARGE), LARGE);
        jq_conn_stop(conn);
        jq_conn_stop(other);
        jq_server_stop(station->server);
    }
}

/* A stranger who only announces a large frame, whole or byte by byte, is hung up on before anything is made ready for it. */
static void a_stranger_cannot_announce_a_large_frame(void **state) {
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char text[96];
        const bool ipc = i % 2 == 1;
        struct station *station = station_new(url_at(i % 2, text, "announce"), 0);
        const int fd = rawpeer_connect(jq_server_url(station->server, 0), false);
        uint8_t hello[8], head[9] = {1};
        const uint32_t size = htonl(4 + SMALL + 1);
        assert_int_equal(send(fd, "\0SP\0\0\x30\0\0", 8, MSG_NOSIGNAL), 8);
        assert_int_equal(recv(fd, hello, sizeof hello, MSG_WAITALL), 8);
        memcpy(head + 5, &size, 4);
        for (size_t at = ipc ? 0 : 1, step = i < 2 ? 9 - at : 1; at < 9; at += step) {
            assert_int_equal(send(fd, head + at, step, MSG_NOSIGNAL), step);
        }
        assert_int_equal(recv(fd, hello, sizeof hello, 0), 0); /* its end */
        assert_true(event_wait(&station->gone, 1));
        close(fd);
        jq_server_stop(station->server);
    }
}

/* So many connections are enlarged at a time, and who leaves makes room. What is not used for a minute is small again, and a large
 * request ends it; who asks again has it again. */
static void few_are_enlarged_and_only_while_they_use_it(void **state) {
    (void)state;
    struct station *station = station_new("tcp://127.0.0.1:0", 1);
    struct jq_conn *first = connect_to(station);
    struct jq_conn *second = connect_to(station);
    assert_int_equal(ask(first, '+', 1), 1);
    assert_int_equal(ask(second, '+', 1), 1);
    assert_int_equal(atomic_load(&station->request_max), SMALL);
    assert_int_equal(atomic_load(&station->reply_max), SMALL);
    jq_conn_stop(first);
    assert_true(event_wait(&station->gone, 1));
    assert_int_equal(ask(second, '+', 1), 1);
    assert_int_equal(atomic_load(&station->request_max), LARGE);
    (void)jq_server_sweep(station->server, jq_clock_mono_ns());
    assert_int_equal(ask(second, '-', LARGE), LARGE);
    (void)jq_server_sweep(station->server, jq_clock_mono_ns() + (MINUTE_MS + 1) * INT64_C(1000000));
    assert_int_equal(ask(second, '?', 1), SMALL);
    assert_int_equal(ask(second, '-', LARGE), 0);
    assert_int_equal(ask(second, '+', 1), 1);
    assert_int_equal(ask(second, '-', LARGE), LARGE);
    jq_conn_stop(second);
    jq_server_stop(station->server);
}

/* One who asks for large answers and takes none is given small ones soon, whatever else he asks for. */
static void who_does_not_read_gets_small_answers(void **state) {
    (void)state;
    enum { MOST = 64 };
    struct station *station = station_new("tcp://127.0.0.1:0", 0);
    const int fd = rawpeer_connect(jq_server_url(station->server, 0), true);
    uint8_t hello[8];
    uint32_t asked = 0;
    assert_int_equal(send(fd, "\0SP\0\0\x30\0\0", 8, MSG_NOSIGNAL), 8);
    assert_int_equal(recv(fd, hello, sizeof hello, MSG_WAITALL), 8);
    atomic_store(&station->floods, true);
    do {
        const uint32_t head[3] = {0, htonl(4 + 1), htonl(0x80000000U | asked)};
        assert_int_equal(send(fd, head, sizeof head, MSG_NOSIGNAL), sizeof head);
        assert_int_equal(send(fd, "+", 1, MSG_NOSIGNAL), 1);
        assert_true(event_wait(&station->asked, ++asked));
    } while (asked < MOST && atomic_load(&station->reply_max) > SMALL);
    assert_in_range(asked, 2, MOST - 1);
    close(fd);
    assert_true(event_wait(&station->gone, 1));
    jq_server_stop(station->server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_enlarged_carries_large_frames),
        cmocka_unit_test(a_stranger_cannot_announce_a_large_frame),
        cmocka_unit_test(few_are_enlarged_and_only_while_they_use_it),
        cmocka_unit_test(who_does_not_read_gets_small_answers),
    };
    if (!jq_guard_active()) {
        return 0; /* There large requests are not taken, and the limit is NNG's own. */
    }
    jq_guard_own_process(); /* as the programs do */
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(NULL);
    _exit(failed); /* NNG's threads are still at work. */
}
