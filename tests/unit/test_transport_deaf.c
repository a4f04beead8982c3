/* Peers that ask and do not read the answers (see common/transport/guard.h): however they end, they leave nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/transport/client.h"
#include "common/transport/guard.h"
#include "common/transport/server.h"
#include "tests/lib/event.h"
#include "tests/lib/rawpeer.h"
#include "tests/lib/rounds.h"

enum {
    PEER_COUNT = ROUNDS(150),
    PEER_CALLS_MAX = 12,
    BODY_SIZE = 60000,
    ASKED_COUNT = 4,
    STALL_MS_MAX = 3600000,
    SLOW_COUNT = 10, /* requests of a slow reader */
};

struct station {
    struct jq_server *server;
    struct event asked;
    struct event gone;
    atomic_uint peers;
    atomic_bool parks; /* answers nobody */
};

static void answer_same(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    struct station *station = ctx;
    (void)peer;
    if (!atomic_load(&station->parks)) {
        JQ_CHECK(jq_call_reply(call, frame) == JQ_OK);
    }
    event_add(&station->asked);
}

static bool count_peer(void *ctx, const struct jq_peer *peer) {
    struct station *station = ctx;
    (void)peer;
    atomic_fetch_add(&station->peers, 1);
    return true;
}

static void count_gone(void *ctx, uint32_t pipe_id) {
    struct station *station = ctx;
    (void)pipe_id;
    event_add(&station->gone);
}

static struct station *station_with(const char *url, int64_t stall_ms_max) {
    struct station *station = calloc(1, sizeof *station);
    assert_non_null(station);
    station->asked = (struct event)EVENT_INIT;
    station->gone = (struct event)EVENT_INIT;
    const struct jq_server_config config = {
        .urls = &url,
        .url_count = 1,
        .peer_calls_max = PEER_CALLS_MAX,
        .stall_ms_max = stall_ms_max,
        .ctx = station,
        .on_request = answer_same,
        .on_peer = count_peer,
        .on_gone = count_gone,
    };
    struct jq_error error = {0};
    if (jq_server_open(&config, &station->server, &error) != JQ_OK) {
        fail_msg("%s", error.message);
    }
    return station;
}

static struct station *station_new(const char *url) {
    return station_with(url, STALL_MS_MAX);
}

/* Does it serve a newcomer? */
static void expect_served(struct station *station) {
    const char *url = jq_server_url(station->server, 0);
    const struct jq_conn_config config = {.urls = &url, .url_count = 1};
    struct jq_conn *conn = NULL;
    struct jq_frame *reply = NULL;
    struct jq_error error = {0};
    assert_int_equal(jq_conn_open(&config, &conn, &error), JQ_OK);
    if (jq_conn_call(conn, (struct jq_bytes){(const uint8_t *)"hi", 2}, 5000, &reply, &error) != JQ_OK) {
        fail_msg("the server serves no more: %s", error.message);
    }
    jq_frame_free(reply);
    jq_conn_stop(conn);
    assert_true(event_wait(&station->gone, atomic_load(&station->peers)));
}

/* ---- a peer that speaks as NNG does, by hand ---- */

/* With the handshake of a REQ socket behind it. */
static int connect_peer(const char *url) {
    const int fd = rawpeer_connect(url, true);
    uint8_t hello[8];
    assert_int_equal(send(fd, "\0SP\0\0\x30\0\0", 8, MSG_NOSIGNAL), 8);
    assert_int_equal(recv(fd, hello, sizeof hello, MSG_WAITALL), 8);
    return fd;
}

/* Before a body: its size in 8 bytes, in front of which ipc has a byte more, and the number of the request. */
struct head {
    uint8_t bytes[13];
    size_t size;
};

static struct head head_of(bool ipc, uint32_t id, size_t body_size) {
    struct head head = {.size = ipc ? 13 : 12};
    uint8_t *at = head.bytes;
    const uint32_t size = htonl((uint32_t)(4 + body_size));
    const uint32_t number = htonl(0x80000000U | id);
    if (ipc) {
        *at++ = 1;
    }
    memcpy(at + 4, &size, 4);
    memcpy(at + 8, &number, 4);
    return head;
}

/* The body of each request differs from the others, and each of its bytes from the next. */
static void fill_body(uint8_t body[BODY_SIZE], uint32_t id) {
    for (size_t i = 0; i < BODY_SIZE; i++) {
        body[i] = (uint8_t)(i * 31 + i / 251 + id * 7);
    }
}

/* One request. False: the server has hung up. */
static bool ask(int fd, bool ipc, uint32_t id) {
    static uint8_t body[BODY_SIZE];
    struct head head = head_of(ipc, id, BODY_SIZE);
    struct iovec parts[2] = {{head.bytes, head.size}, {body, BODY_SIZE}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    fill_body(body, id);
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)(head.size + BODY_SIZE);
}

/* ---- peers that do not read ---- */

/* Reads what there is, and takes note of nothing. */
static void drink(int fd) {
    static uint8_t bytes[1 << 16];
    while (recv(fd, bytes, sizeof bytes, 0) > 0) {
    }
}

/* Makes room for some of the answers, so that one is cut in two by what comes next. */
static void sip(int fd) {
    static uint8_t bytes[BODY_SIZE];
    (void)recv(fd, bytes, 1 + (size_t)random() % BODY_SIZE, 0);
}

/* Goes on until the server hangs up. */
static void end_by_asking_on(int fd, bool ipc) {
    uint32_t id = ASKED_COUNT;
    while (ask(fd, ipc, id)) {
        id++;
    }
}

/* A message that no client of NNG sends: too short to be a request. The server hangs up, while its answers are taken at last. */
static void end_by_garbage(int fd, bool ipc) {
    static const uint8_t empty[9] = {1};
    sip(fd);
    (void)send(fd, empty + (ipc ? 0 : 1), ipc ? 9 : 8, MSG_NOSIGNAL);
    drink(fd);
}

/* Says that it will ask no more, and takes its answers at last. */
static void end_by_half_close(int fd, bool ipc) {
    (void)ipc;
    sip(fd);
    shutdown(fd, SHUT_WR);
    drink(fd);
}

static void end_by_close(int fd, bool ipc) {
    (void)fd;
    (void)ipc;
}

static void (*const ENDS[])(int fd, bool ipc) = {end_by_asking_on, end_by_garbage, end_by_half_close, end_by_close};

static void be_deaf(struct station *station, bool ipc, size_t kind) {
    const int fd = connect_peer(jq_server_url(station->server, 0));
    for (uint32_t id = 0; id < ASKED_COUNT; id++) {
        assert_true(ask(fd, ipc, id));
    }
    ENDS[kind](fd, ipc);
    close(fd);
}

static void expect_survives_deaf_peers(const char *url) {
    struct station *station = station_new(url);
    const bool ipc = strncmp(url, "ipc", 3) == 0;
    expect_served(station);
    const size_t before = open_fd_count();
    for (size_t kind = 0; kind < sizeof ENDS / sizeof ENDS[0]; kind++) {
        for (int i = 0; i < PEER_COUNT; i++) {
            be_deaf(station, ipc, kind);
        }
        assert_true(open_fds_fall_to(before));
        expect_served(station);
    }
    jq_server_stop(station->server);
}

/* Clients that ask and do not read their answers are cut off, or leave in whatever way; nothing of them stays, and the next
 * comer is served. */
static void deaf_peers_leave_nothing_behind_tcp(void **state) {
    (void)state;
    expect_survives_deaf_peers("tcp://127.0.0.1:0");
}

/* The same over ipc. */
static void deaf_peers_leave_nothing_behind_ipc(void **state) {
    (void)state;
    char url[96];
    ipc_test_url(url, sizeof url, "deaf");
    expect_survives_deaf_peers(url);
}

/* ---- peers that do not read, and stay ---- */

static int64_t later_ns(int64_t ms) {
    return jq_clock_mono_ns() + ms * 1000000;
}

static void expect_stalled_peer_ended(const char *url) {
    struct station *station = station_new(url);
    const bool ipc = strncmp(url, "ipc", 3) == 0;
    const int fd = connect_peer(jq_server_url(station->server, 0));
    struct jq_server_stats stats;
    uint32_t id = 0;
    do { /* Until an answer waits. */
        assert_true(ask(fd, ipc, id++));
        assert_true(event_wait(&station->asked, id));
        assert_int_equal(jq_server_sweep(station->server, later_ns(STALL_MS_MAX / 2)), 0);
    } while (jq_server_sweep(station->server, later_ns(STALL_MS_MAX + 1)) == 0);
    assert_true(event_wait(&station->gone, 1));
    close(fd);
    jq_server_stats(station->server, &stats);
    assert_int_equal(stats.peers, 0);
    jq_server_stop(station->server);
}

/* A client for which answers wait, and which takes none for so long, loses its connection, and with it its share of the calls.
 * Before that time it keeps it. */
static void who_takes_no_answer_is_hung_up_on(void **state) {
    (void)state;
    char url[96];
    ipc_test_url(url, sizeof url, "stall");
    expect_stalled_peer_ended("tcp://127.0.0.1:0");
    expect_stalled_peer_ended(url);
}

static void let_answers_wait(struct station *station, int fd) {
    struct jq_server_stats stats;
    uint32_t id = 0;
    do {
        assert_true(ask(fd, false, id++));
        assert_true(event_wait(&station->asked, id));
        jq_server_stats(station->server, &stats);
    } while (stats.calls < 2);
}

/* A client that takes no answer does not hold up a server that stops. */
static void who_takes_no_answer_holds_up_no_stop(void **state) {
    (void)state;
    struct station *station = station_with("tcp://127.0.0.1:0", 1);
    const int fd = connect_peer(jq_server_url(station->server, 0));
    let_answers_wait(station, fd);
    assert_int_equal(jq_server_drain(station->server, 1000 * (int64_t)EVENT_WAIT_MAX_S), JQ_OK);
    jq_server_stop(station->server);
    close(fd);
}

/* Who is idle, or has a call parked, is not taken for one that does not read. */
static void who_waits_is_not_hung_up_on(void **state) {
    (void)state;
    struct station *station = station_new("tcp://127.0.0.1:0");
    atomic_store(&station->parks, true);
    const int idle = connect_peer(jq_server_url(station->server, 0));
    const int waiting = connect_peer(jq_server_url(station->server, 0));
    assert_true(ask(waiting, false, 1));
    assert_true(event_wait(&station->asked, 1));
    assert_int_equal(jq_server_sweep(station->server, later_ns(1000 * (int64_t)STALL_MS_MAX)), 0);
    assert_int_equal(event_count(&station->gone), 0);
    close(idle);
    close(waiting);
    jq_server_stop(station->server);
}

/* ---- peers that read slowly ---- */

static void read_in_pieces(int fd, uint8_t *bytes, size_t size) {
    while (size > 0) {
        const size_t wanted = 1 + (size_t)random() % 3000;
        const ssize_t got = recv(fd, bytes, wanted < size ? wanted : size, 0);
        assert_true(got > 0);
        bytes += got;
        size -= (size_t)got;
    }
}

static void expect_answer(int fd, bool ipc, bool seen[SLOW_COUNT]) {
    static uint8_t body[BODY_SIZE];
    static uint8_t expected[BODY_SIZE];
    struct head head = {.size = ipc ? 13 : 12};
    uint32_t id = 0;
    read_in_pieces(fd, head.bytes, head.size);
    memcpy(&id, head.bytes + head.size - 4, 4);
    id = ntohl(id) & 0x7fffffffU;
    assert_in_range(id, 0, SLOW_COUNT - 1);
    assert_false(seen[id]);
    seen[id] = true;
    assert_memory_equal(head.bytes, head_of(ipc, id, BODY_SIZE).bytes, head.size);
    read_in_pieces(fd, body, BODY_SIZE);
    fill_body(expected, id);
    assert_memory_equal(body, expected, BODY_SIZE);
}

static void expect_slow_peer_served(const char *url) {
    struct station *station = station_new(url);
    const bool ipc = strncmp(url, "ipc", 3) == 0;
    const int fd = connect_peer(jq_server_url(station->server, 0));
    bool seen[SLOW_COUNT] = {false};
    for (uint32_t id = 0; id < SLOW_COUNT; id++) {
        assert_true(ask(fd, ipc, id));
    }
    for (int i = 0; i < SLOW_COUNT; i++) {
        expect_answer(fd, ipc, seen);
    }
    assert_int_equal(event_count(&station->gone), 0);
    close(fd);
    assert_true(event_wait(&station->gone, 1));
    jq_server_stop(station->server);
}

/* A client that reads in small pieces, behind its requests, keeps its connection and gets every byte of every answer. */
static void slow_peers_get_all_their_answers(void **state) {
    (void)state;
    char url[96];
    ipc_test_url(url, sizeof url, "slow");
    expect_slow_peer_served("tcp://127.0.0.1:0");
    expect_slow_peer_served(url);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deaf_peers_leave_nothing_behind_tcp), cmocka_unit_test(deaf_peers_leave_nothing_behind_ipc),
        cmocka_unit_test(who_takes_no_answer_is_hung_up_on),   cmocka_unit_test(who_takes_no_answer_holds_up_no_stop),
        cmocka_unit_test(who_waits_is_not_hung_up_on),         cmocka_unit_test(slow_peers_get_all_their_answers),
    };
    srandom(7);
    jq_guard_own_process(); /* as the programs do */
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(NULL);
    _exit(failed); /* NNG's threads are still at work. */
}
