/* A client (libjq in a user's program) outlives its servers, however often they are killed, and leaks nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/transport/client.h"
#include "common/transport/guard.h"
#include "common/transport/server.h"
#include "tests/lib/event.h"
#include "tests/lib/rawpeer.h"
#include "tests/lib/rounds.h"

enum {
    ROUND_COUNT = ROUNDS(25),
    LARGE_ROUND_COUNT = ROUNDS(3),
    OUTSTANDING = 16,
};

static void answer_same(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    (void)ctx;
    (void)peer;
    JQ_CHECK(jq_call_reply(call, frame) == JQ_OK);
}

/* The program of the server: echoes until it is killed. */
static int run_server(const char *url) {
    const struct jq_server_config config = {
        .urls = &url, .url_count = 1, .frame_size_max = JQ_LARGE_FRAME_SIZE_MAX, .on_request = answer_same};
    struct jq_server *server = NULL;
    struct jq_error error = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (jq_server_open(&config, &server, &error) != JQ_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    for (;;) {
        pause();
    }
}

static pid_t spawn_server(const char *url) {
    extern char **environ;
    char url_text[128];
    char name[] = "server";
    snprintf(url_text, sizeof url_text, "%s", url);
    char *const argv[] = {name, url_text, NULL};
    pid_t pid = 0;
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    return pid;
}

struct asker {
    struct jq_conn *conn;
    struct jq_bytes frame;
    struct event answered, lost;
};

static void ask_again(void *ctx, enum jq_err err, struct jq_bytes reply) {
    struct asker *asker = ctx;
    (void)reply;
    if (err == JQ_OK) {
        event_add(&asker->answered);
    } else {
        event_add(&asker->lost);
    }
    jq_conn_request(asker->conn, asker->frame, -1, ask_again, asker, NULL);
}

static void expect_answers_after_every_kill(size_t size, int round_count, unsigned answers_max) {
    static uint8_t bytes[JQ_LARGE_FRAME_SIZE_MAX];
    char url_text[96];
    snprintf(url_text, sizeof url_text, "ipc:///tmp/jq-test-%ld-kill.sock", (long)getpid());
    const char *url = url_text;
    const struct jq_conn_config config = {
        .urls = &url, .url_count = 1, .frame_size_max = JQ_LARGE_FRAME_SIZE_MAX, .reconnect_max_ms = 50};
    struct asker *asker = calloc(1, sizeof *asker);
    assert_non_null(asker);
    asker->frame = (struct jq_bytes){bytes, size};
    asker->answered = asker->lost = (struct event)EVENT_INIT;
    assert_int_equal(jq_conn_open(&config, &asker->conn, NULL), JQ_OK);
    for (int i = 0; i < OUTSTANDING; i++) {
        assert_int_equal(jq_conn_request(asker->conn, asker->frame, -1, ask_again, asker, NULL), JQ_OK);
    }
    srandom(7);
    const size_t before = open_fd_count();
    for (int round = 0; round < round_count; round++) {
        const pid_t pid = spawn_server(url);
        const bool answered =
            event_wait(&asker->answered, event_count(&asker->answered) + 1 + (uint64_t)random() % answers_max);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        assert_true(answered);
    }
    assert_true(event_wait(&asker->lost, (uint64_t)round_count));
    jq_conn_stop(asker->conn);
    assert_true(open_fds_fall_to(before));
    unlink(url + strlen("ipc://"));
}

/* However often its server is killed in the middle of requests and started again, a client is answered again, and every request
 * under way ends with an error; no connection and no attempt to connect keeps a descriptor. (NNG before 1.6 alone stops dialling
 * after a few rounds, and each attempt leaks.) */
static void a_client_survives_killed_servers(void **state) {
    (void)state;
    expect_answers_after_every_kill(100, ROUND_COUNT, 500);
}

/* The same with requests and answers that are cut off in the middle. */
static void a_client_survives_killed_servers_with_full_frames(void **state) {
    (void)state;
    expect_answers_after_every_kill(JQ_FRAME_SIZE_MAX, ROUND_COUNT, 500);
}

/* The same with frames as large as those of blobs. */
static void a_client_survives_killed_servers_with_large_frames(void **state) {
    (void)state;
    expect_answers_after_every_kill(JQ_LARGE_FRAME_SIZE_MAX, LARGE_ROUND_COUNT, 20);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[0], "server") == 0) {
        return run_server(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_survives_killed_servers),
        cmocka_unit_test(a_client_survives_killed_servers_with_full_frames),
        cmocka_unit_test(a_client_survives_killed_servers_with_large_frames),
    };
    jq_guard_own_process(); /* as the programs do */
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(NULL);
    _exit(failed); /* NNG's threads are still at work. */
}
