/* The two defects of NNG before 1.6 that strangers can use (see common/transport/guard.h): with the guard, the server lives. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/transport/client.h"
#include "common/transport/guard.h"
#include "common/transport/server.h"
#include "tests/lib/event.h"
#include "tests/lib/rawpeer.h"
#include "tests/lib/rounds.h"

enum {
    LEAVING_COUNT = ROUNDS(200),
    ROUND_COUNT = ROUNDS(50),
    PEERS_PER_ROUND = 3,
    OUTSTANDING = 4,
};

struct station {
    struct jq_server *server;
    struct event served;
    struct event gone;
    atomic_uint peers;
};

static void answer_same(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    struct station *station = ctx;
    (void)peer;
    JQ_CHECK(jq_call_reply(call, frame) == JQ_OK);
    event_add(&station->served);
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

static struct station *station_new(const char *url) {
    struct station *station = calloc(1, sizeof *station);
    assert_non_null(station);
    station->served = (struct event)EVENT_INIT;
    station->gone = (struct event)EVENT_INIT;
    const struct jq_server_config config = {
        .urls = &url,
        .url_count = 1,
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

/* ---- peers that leave during the handshake ---- */

static void close_with_reset(int fd) {
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static void leave_by_close(int fd) {
    close(fd);
}

static void leave_by_reset(int fd) {
    close_with_reset(fd);
}

static void leave_by_fin_and_reset(int fd) {
    shutdown(fd, SHUT_WR);
    close_with_reset(fd);
}

/* Waits for the server to hang up: it must not like what it was told. */
static void leave_after_garbage(int fd) {
    uint8_t hello[8];
    assert_int_equal(write(fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    while (recv(fd, hello, sizeof hello, 0) > 0) {
    }
    close(fd);
}

/* Waits for the server's hello, so that the server is certainly in the handshake. */
static void leave_after_half_a_hello(int fd) {
    uint8_t hello[8];
    assert_int_equal(write(fd, "\0SP", 3), 3);
    assert_int_equal(recv(fd, hello, sizeof hello, MSG_WAITALL), 8);
    close(fd);
}

static const struct {
    const char *name;
    void (*leave)(int fd);
} LEAVINGS[] = {
    {"close", leave_by_close},        {"reset", leave_by_reset},          {"fin and reset", leave_by_fin_and_reset},
    {"garbage", leave_after_garbage}, {"half", leave_after_half_a_hello},
};

static void expect_survives_leaving_peers(const char *url) {
    struct station *station = station_new(url);
    expect_served(station);
    for (size_t kind = 0; kind < sizeof LEAVINGS / sizeof LEAVINGS[0]; kind++) {
        const size_t before = open_fd_count();
        for (int i = 0; i < LEAVING_COUNT; i++) {
            LEAVINGS[kind].leave(rawpeer_connect(jq_server_url(station->server, 0), false));
        }
        assert_true(open_fds_fall_to(before));
        expect_served(station);
    }
    jq_server_stop(station->server);
}

/* Anybody can connect to a tcp port and leave again at any moment; the server goes on serving and keeps no descriptor. */
static void peers_that_leave_in_the_handshake_do_no_harm_tcp(void **state) {
    (void)state;
    expect_survives_leaving_peers("tcp://127.0.0.1:0");
}

/* The same over ipc, where a plain connect and close was enough to end NNG's listener. */
static void peers_that_leave_in_the_handshake_do_no_harm_ipc(void **state) {
    (void)state;
    char url[96];
    ipc_test_url(url, sizeof url, "leave");
    expect_survives_leaving_peers(url);
}

/* ---- peers that are killed with traffic in flight ---- */

struct asker {
    struct jq_conn *conn;
    struct jq_bytes frame;
};

static void ask_again(void *ctx, enum jq_err err, struct jq_bytes reply) {
    struct asker *asker = ctx;
    (void)err;
    (void)reply;
    jq_conn_request(asker->conn, asker->frame, -1, ask_again, asker, NULL);
}

/* On one processor a leaving peer is gone, as a rule, before NNG's threads have looked at it. They inherit this from main(). */
static void use_one_processor(void) {
    cpu_set_t allowed;
    cpu_set_t one;
    JQ_CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &allowed)) {
            CPU_SET(cpu, &one);
        }
    }
    JQ_CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}

static void use_all_processors(void) {
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
}

/* The program of a peer: asks without end, several requests under way, until it is killed. */
static int run_peer(const char *url, size_t size) {
    static uint8_t bytes[JQ_FRAME_SIZE_MAX];
    static struct asker asker;
    const struct jq_conn_config config = {.urls = &url, .url_count = 1};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    use_all_processors();
    asker.frame = (struct jq_bytes){bytes, size};
    if (jq_conn_open(&config, &asker.conn, NULL) != JQ_OK) {
        return 1;
    }
    for (int i = 0; i < OUTSTANDING; i++) {
        ask_again(&asker, JQ_OK, asker.frame);
    }
    for (;;) {
        pause();
    }
}

static pid_t spawn_peer(const char *url, size_t size) {
    extern char **environ;
    char size_text[24];
    char url_text[128];
    char name[] = "peer";
    snprintf(size_text, sizeof size_text, "%zu", size);
    snprintf(url_text, sizeof url_text, "%s", url);
    char *const argv[] = {name, url_text, size_text, NULL};
    pid_t pid = 0;
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    return pid;
}

static void kill_round(struct station *station, size_t size, unsigned served_count) {
    pid_t pids[PEERS_PER_ROUND];
    const uint64_t served_before = event_count(&station->served);
    for (int i = 0; i < PEERS_PER_ROUND; i++) {
        pids[i] = spawn_peer(jq_server_url(station->server, 0), size);
    }
    const bool served = event_wait(&station->served, served_before + served_count);
    for (int i = 0; i < PEERS_PER_ROUND; i++) {
        kill(pids[i], SIGKILL);
    }
    for (int i = 0; i < PEERS_PER_ROUND; i++) {
        waitpid(pids[i], NULL, 0);
    }
    assert_true(served);
}

static void expect_survives_kills(const char *url, size_t size) {
    struct station *station = station_new(url);
    const size_t before = open_fd_count();
    srandom(7);
    for (int round = 0; round < ROUND_COUNT; round++) {
        kill_round(station, size, 1 + (unsigned)random() % 300);
    }
    /* A peer may have been killed before it was accepted: no more can come now, and all that came must be seen to go. */
    assert_true(open_fds_fall_to(before));
    assert_true(event_wait(&station->gone, atomic_load(&station->peers)));
    struct jq_server_stats stats;
    jq_server_stats(station->server, &stats);
    assert_int_equal(stats.peers, 0);
    assert_true(stats.idle >= 16);
    expect_served(station);
    jq_server_stop(station->server);
}

/* Workers and clients are killed in the middle of their requests, small ones; their connections are all seen to end, nothing
 * leaks, and the next comer is served. */
static void killed_peers_leave_nothing_behind_tcp(void **state) {
    (void)state;
    expect_survives_kills("tcp://127.0.0.1:0", 100);
}

/* The same with the largest frames, which are cut off in the middle. */
static void killed_peers_with_large_frames_leave_nothing_behind_tcp(void **state) {
    (void)state;
    expect_survives_kills("tcp://127.0.0.1:0", JQ_FRAME_SIZE_MAX);
}

/* The same over ipc. */
static void killed_peers_leave_nothing_behind_ipc(void **state) {
    (void)state;
    char url[96];
    ipc_test_url(url, sizeof url, "kill");
    expect_survives_kills(url, JQ_FRAME_SIZE_MAX);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[0], "peer") == 0) {
        return run_peer(argv[1], strtoul(argv[2], NULL, 10));
    }
    use_one_processor();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_that_leave_in_the_handshake_do_no_harm_tcp),
        cmocka_unit_test(peers_that_leave_in_the_handshake_do_no_harm_ipc),
        cmocka_unit_test(killed_peers_leave_nothing_behind_tcp),
        cmocka_unit_test(killed_peers_with_large_frames_leave_nothing_behind_tcp),
        cmocka_unit_test(killed_peers_leave_nothing_behind_ipc),
    };
    jq_guard_own_process(); /* as the programs do */
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(NULL);
    _exit(failed); /* NNG's threads are still at work. */
}
