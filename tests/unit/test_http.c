#include "broker/shell/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ANSWER_SIZE_MAX = 64 * 1024 };

static struct jq_http *http;
static const char *trouble;
static bool has_numbers;
static char answer[ANSWER_SIZE_MAX];

static const char *health(void *ctx) {
    (void)ctx;
    return NULL;
}

static const char *readiness(void *ctx) {
    (void)ctx;
    return trouble;
}

static bool metrics(void *ctx, struct jq_buf *out) {
    (void)ctx;
    jq_buf_append_text(out, JQ_STR("a_metric 1\n"));
    return has_numbers;
}

static int begin(void **state) {
    (void)state;
    trouble = NULL;
    has_numbers = true;
    const struct jq_http_config config = {
        .address = "127.0.0.1:0", .health = health, .readiness = readiness, .metrics = metrics};
    struct jq_error error;
    return jq_http_open(&config, &http, &error) == JQ_OK ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    jq_http_free(http);
    return 0;
}

/* Sends bytes, closes that direction, and reads all that comes back into `answer`. */
static void send_raw(const char *request) {
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(jq_http_port(http)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    size_t size = 0;
    ssize_t got = 0;
    while (size < sizeof(answer) - 1 && (got = recv(fd, answer + size, sizeof(answer) - 1 - size, 0)) > 0)
        size += (size_t)got;
    answer[size] = '\0';
    close(fd);
}

/* The status of METHOD PATH. */
static int ask(const char *method, const char *path) {
    char request[256];
    int status = 0;
    (void)snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    send_raw(request);
    (void)sscanf(answer, "HTTP/1.1 %d", &status);
    return status;
}

/* 200 when all is well; 503 with the reason when the broker starts or drains, while it still lives. */
static void health_and_readiness_are_told_apart(void **state) {
    (void)state;
    assert_int_equal(ask("GET", "/healthz"), 200);
    assert_int_equal(ask("GET", "/readyz"), 200);
    trouble = "draining";
    assert_int_equal(ask("GET", "/readyz"), 503);
    assert_non_null(strstr(answer, "draining"));
    assert_int_equal(ask("GET", "/healthz"), 200);
}

/* Metrics have the content type that Prometheus asks for; a core that does not answer is 503, not half a page. */
static void metrics_are_told(void **state) {
    (void)state;
    assert_int_equal(ask("GET", "/metrics"), 200);
    assert_non_null(strstr(answer, "Content-Type: text/plain; version=0.0.4"));
    assert_non_null(strstr(answer, "a_metric 1\n"));
    has_numbers = false;
    assert_int_equal(ask("GET", "/metrics"), 503);
    assert_null(strstr(answer, "a_metric"));
}

/* GET only, and only what there is; a path does not lead anywhere else. */
static void everything_else_is_refused(void **state) {
    (void)state;
    assert_int_equal(ask("GET", "/"), 404);
    assert_int_equal(ask("GET", "/metrics/../../etc/passwd"), 404);
    assert_int_equal(ask("GET", "/healthz%"), 404);
    assert_int_equal(ask("POST", "/metrics"), 405);
    assert_int_equal(ask("DELETE", "/healthz"), 405);
    send_raw("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    assert_non_null(strstr(answer, " 405 "));
}

/* Garbage ends its own connection and nothing else. */
static void garbage_does_no_harm(void **state) {
    (void)state;
    send_raw("\x01\x02\x03\r\n\r\n");
    send_raw("GET");
    send_raw("");
    assert_int_equal(ask("GET", "/healthz"), 200);
}

/* Only addresses that this machine alone can reach count as loopback; what is no address is said. */
static void addresses_are_checked(void **state) {
    (void)state;
    bool loopback = false;
    struct jq_error error;
    assert_int_equal(jq_http_address_check("127.0.0.1:7780", &loopback, &error), JQ_OK);
    assert_true(loopback);
    assert_int_equal(jq_http_address_check("[::1]:7780", &loopback, &error), JQ_OK);
    assert_true(loopback);
    assert_int_equal(jq_http_address_check("0.0.0.0:7780", &loopback, &error), JQ_OK);
    assert_false(loopback);
    assert_int_equal(jq_http_address_check("7780", &loopback, &error), JQ_ERR_ADDRESS);
    assert_int_equal(jq_http_address_check("127.0.0.1:", &loopback, &error), JQ_ERR_ADDRESS);
    assert_int_equal(jq_http_address_check("127.0.0.1:http", &loopback, &error), JQ_ERR_ADDRESS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(health_and_readiness_are_told_apart, begin, end),
        cmocka_unit_test_setup_teardown(metrics_are_told, begin, end),
        cmocka_unit_test_setup_teardown(everything_else_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(garbage_does_no_harm, begin, end),
        cmocka_unit_test(addresses_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
