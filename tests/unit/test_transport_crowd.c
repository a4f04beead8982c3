/* Strangers who take all the connections that there are (see common/transport/guard.h) leave the process its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/transport/client.h"
#include "common/transport/guard.h"
#include "common/transport/notice.h"
#include "common/transport/server.h"
#include "tests/lib/rawpeer.h"

enum {
    FDS_MAX = 240,
    CROWD_MAX = FDS_MAX,
    FILES = 20, /* what a process needs beside its connections */
};

static void answer_same(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    (void)ctx;
    (void)peer;
    JQ_CHECK(jq_call_reply(call, frame) == JQ_OK);
}

static void limit_fds(rlim_t count) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* The server's hello, or its hanging up. */
static bool is_welcome(int fd) {
    uint8_t hello[8];
    return recv(fd, hello, sizeof hello, MSG_WAITALL) == (ssize_t)sizeof hello;
}

static size_t crowd_in(const char *url, int fds[CROWD_MAX]) {
    for (size_t count = 0; count < CROWD_MAX; count++) {
        fds[count] = rawpeer_connect(url, false);
        if (!is_welcome(fds[count])) {
            close(fds[count]);
            return count;
        }
    }
    fail_msg("there is no end to them");
    return 0;
}

static void expect_files_can_be_opened(void) {
    int files[FILES];
    for (int i = 0; i < FILES; i++) {
        files[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(files[i] >= 0);
    }
    for (int i = 0; i < FILES; i++) {
        close(files[i]);
    }
}

static void expect_served(const char *url) {
    const struct jq_conn_config config = {.urls = &url, .url_count = 1};
    struct jq_conn *conn = NULL;
    struct jq_frame *reply = NULL;
    assert_int_equal(jq_conn_open(&config, &conn, NULL), JQ_OK);
    assert_int_equal(jq_conn_call(conn, (struct jq_bytes){(const uint8_t *)"hi", 2}, 60000, &reply, NULL), JQ_OK);
    jq_frame_free(reply);
    jq_conn_stop(conn);
}

static void expect_files_left(const char *url) {
    const struct jq_server_config config = {.urls = &url, .url_count = 1, .on_request = answer_same};
    struct jq_server *server = NULL;
    int fds[CROWD_MAX];
    assert_int_equal(jq_server_open(&config, &server, NULL), JQ_OK);
    const char *bound = jq_server_url(server, 0);
    expect_served(bound);
    const size_t before = open_fd_count();
    limit_fds(FDS_MAX);
    const size_t count = crowd_in(bound, fds);
    assert_true(count > FDS_MAX / 4);
    expect_files_can_be_opened();
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
    assert_true(open_fds_fall_to(before));
    expect_served(bound);
    jq_server_stop(server);
}

/* Connections in whatever number take at most three quarters of the descriptors, so that the process can still open files; who
 * comes then is hung up on, and when they leave newcomers are served as before. */
static void a_crowd_leaves_descriptors_for_files(void **state) {
    (void)state;
    char url[96];
    if (!jq_guard_active()) {
        skip(); /* NNG is newer than what the guard is for. */
    }
    ipc_test_url(url, sizeof url, "crowd");
    expect_files_left("tcp://127.0.0.1:0");
    expect_files_left(url);
}

/* ---- a limit of connections ---- */

enum { PEERS_MAX = 3 };

/* With the handshake of a SUB socket behind it. */
static int subscribe(const char *url) {
    const int fd = rawpeer_connect(url, false);
    assert_int_equal(send(fd, "\0SP\0\0\x21\0\0", 8, MSG_NOSIGNAL), 8);
    assert_true(is_welcome(fd));
    return fd;
}

static bool is_hung_up_on(int fd) {
    uint8_t byte = 0;
    return recv(fd, &byte, 1, 0) <= 0;
}

static void wait_for_subscribers(struct jq_notice_server *server, size_t count) {
    const int64_t deadline_ns = jq_clock_mono_ns() + EVENT_WAIT_MAX_S * INT64_C(1000000000);
    while (jq_notice_server_peer_count(server) != count && jq_clock_mono_ns() < deadline_ns) {
        sched_yield();
    }
    assert_int_equal(jq_notice_server_peer_count(server), count);
}

/* Subscribers beyond the limit are hung up on; when one leaves, there is room for another. */
static void subscribers_are_bounded(void **state) {
    (void)state;
    const char *url = "tcp://127.0.0.1:0";
    const struct jq_notice_server_config config = {.urls = &url, .url_count = 1, .peers_max = PEERS_MAX};
    struct jq_notice_server *server = NULL;
    int fds[PEERS_MAX];
    assert_int_equal(jq_notice_server_open(&config, &server, NULL), JQ_OK);
    const char *bound = jq_notice_server_url(server, 0);
    for (size_t i = 0; i < PEERS_MAX; i++) {
        fds[i] = subscribe(bound);
        wait_for_subscribers(server, i + 1);
    }
    const int beyond = subscribe(bound);
    assert_true(is_hung_up_on(beyond));
    close(beyond);
    close(fds[0]);
    wait_for_subscribers(server, PEERS_MAX - 1);
    fds[0] = subscribe(bound);
    wait_for_subscribers(server, PEERS_MAX);
    for (size_t i = 0; i < PEERS_MAX; i++) {
        close(fds[i]);
    }
    jq_notice_server_stop(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subscribers_are_bounded),
        cmocka_unit_test(a_crowd_leaves_descriptors_for_files),
    };
    jq_guard_own_process();
    jq_guard_own_process(); /* as the programs do */
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(NULL);
    _exit(failed); /* NNG's threads are still at work. */
}
