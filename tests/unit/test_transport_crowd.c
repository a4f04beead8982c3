/* Strangers who take all the connections that there are (see common/transport/guard.h) leave the process its files. */
// link: guard
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
    snprintf(url, sizeof url, "ipc:///tmp/jq-test-%ld-crowd.sock", (long)getpid());
    expect_files_left("tcp://127.0.0.1:0");
    expect_files_left(url);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_leaves_descriptors_for_files),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(NULL);
    _exit(failed); /* NNG's threads are still at work. */
}
