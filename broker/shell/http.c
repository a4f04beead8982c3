#include "broker/shell/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 64,
    CONNECTION_TIMEOUT_S = 10,
    CONNECTION_MEMORY_SIZE = 16 * 1024,
    BACKLOG = 64,
    ADDRESS_SIZE_MAX = 255,
    TEXT_SIZE_MAX = 512,
    METRICS_SIZE_MAX = 32 * 1024 * 1024,
};

struct jq_http {
    struct jq_http_config config;
    struct MHD_Daemon *daemon;
    bool loopback;
    uint16_t port;
};

/* ---- the address ---- */

struct host_port {
    char host[ADDRESS_SIZE_MAX + 1];
    const char *port;
};

static enum jq_err split_address(const char *address, struct host_port *ret_parts, struct jq_error *reterr) {
    const char *colon = strrchr(address, ':');
    const size_t host_size = colon != NULL ? (size_t)(colon - address) : 0;
    if (host_size == 0 || host_size > ADDRESS_SIZE_MAX || colon[1] == '\0')
        return jq_fail(reterr, JQ_ERR_ADDRESS, "http address '%s': not of the form HOST:PORT", address);
    const bool brackets = address[0] == '[' && address[host_size - 1] == ']';
    const size_t start = brackets ? 1 : 0;
    const size_t size = host_size - 2 * start;
    memcpy(ret_parts->host, address + start, size);
    ret_parts->host[size] = '\0';
    ret_parts->port = colon + 1;
    return JQ_OK;
}

static enum jq_err resolve(const char *address, struct addrinfo **ret_info, struct jq_error *reterr) {
    struct host_port parts;
    const enum jq_err err = split_address(address, &parts, reterr);
    if (err != JQ_OK)
        return err;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    const int rv = getaddrinfo(parts.host, parts.port, &hints, ret_info);
    return rv == 0 ? JQ_OK : jq_fail(reterr, JQ_ERR_ADDRESS, "http address '%s': %s", address, gai_strerror(rv));
}

static bool is_loopback(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof(v6));
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

enum jq_err jq_http_address_check(const char *address, bool *ret_loopback, struct jq_error *reterr) {
    struct addrinfo *info = NULL;
    const enum jq_err err = resolve(address, &info, reterr);
    if (err == JQ_OK) {
        *ret_loopback = is_loopback(info->ai_addr);
        freeaddrinfo(info);
    }
    return err;
}

/* ---- answers ---- */

static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response,
                                     const char *type) {
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET");
    if (status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    const enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, const char *text) {
    char line[TEXT_SIZE_MAX];
    const int size = snprintf(line, sizeof(line), "%s\n", text);
    const size_t sent = (size_t)size < sizeof(line) ? (size_t)size : sizeof(line) - 1;
    return send_response(connection, status, MHD_create_response_from_buffer(sent, line, MHD_RESPMEM_MUST_COPY),
                         "text/plain; charset=utf-8");
}

static enum MHD_Result send_state(struct MHD_Connection *connection, const char *trouble) {
    if (trouble != NULL)
        return send_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, trouble);
    return send_text(connection, MHD_HTTP_OK, "ok");
}

static bool may_observe(const struct jq_http *http, struct MHD_Connection *connection) {
    static const char scheme[] = "Bearer ";
    if (http->loopback)
        return true;
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (value == NULL || strncmp(value, scheme, sizeof(scheme) - 1) != 0 || http->config.may_observe == NULL)
        return false;
    return http->config.may_observe(http->config.ctx, jq_str_of(value + sizeof(scheme) - 1));
}

static enum MHD_Result send_metrics(struct jq_http *http, struct MHD_Connection *connection) {
    if (!may_observe(http, connection))
        return send_text(connection, MHD_HTTP_UNAUTHORIZED, "a token is needed: Authorization: Bearer TOKEN");
    struct jq_buf out;
    jq_buf_init(&out, METRICS_SIZE_MAX);
    if (!http->config.metrics(http->config.ctx, &out) || out.failed) {
        jq_buf_fini(&out);
        return send_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the broker does not answer");
    }
    /* libmicrohttpd frees the bytes with free(3), which is what jq_buf allocates for. */
    struct MHD_Response *response = MHD_create_response_from_buffer(out.size, out.data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        jq_buf_fini(&out);
    return send_response(connection, MHD_HTTP_OK, response, "text/plain; version=0.0.4; charset=utf-8");
}

static enum MHD_Result answer(struct jq_http *http, struct MHD_Connection *connection, const char *path) {
    if (strcmp(path, "/healthz") == 0)
        return send_state(connection, http->config.health(http->config.ctx));
    if (strcmp(path, "/readyz") == 0)
        return send_state(connection, http->config.readiness(http->config.ctx));
    if (strcmp(path, "/metrics") == 0)
        return send_metrics(http, connection);
    return send_text(connection, MHD_HTTP_NOT_FOUND, "not found: there are /healthz, /readyz and /metrics");
}

/* Called once when the headers are read, and again when the (empty) body is: the second time is answered. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **seen) {
    static int marker;
    (void)version;
    (void)upload;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only");
    if (*upload_size != 0)
        return send_text(connection, MHD_HTTP_CONTENT_TOO_LARGE, "no request body is taken");
    if (*seen == NULL) {
        *seen = &marker;
        return MHD_YES;
    }
    return answer(cls, connection, url);
}

/* ---- the server ---- */

static struct MHD_Daemon *start_on(struct jq_http *http, int fd) {
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET,
                            fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)CONNECTION_MEMORY_SIZE, MHD_OPTION_END);
}

static uint16_t port_of(int fd) {
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static enum jq_err listen_on(const struct addrinfo *info, const char *address, int *ret_fd, struct jq_error *reterr) {
    const int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return jq_fail_errno(reterr, errno, "http socket");
    const int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        (void)jq_fail_errno(reterr, errno, "http address '%s'", address);
        close(fd);
        if (reterr != NULL)
            reterr->code = JQ_ERR_ADDRESS;
        return JQ_ERR_ADDRESS;
    }
    *ret_fd = fd;
    return JQ_OK;
}

static enum jq_err serve(struct jq_http *http, struct jq_error *reterr) {
    struct addrinfo *info = NULL;
    int fd = -1;
    enum jq_err err = resolve(http->config.address, &info, reterr);
    if (err != JQ_OK)
        return err;
    http->loopback = is_loopback(info->ai_addr);
    err = listen_on(info, http->config.address, &fd, reterr);
    freeaddrinfo(info);
    if (err != JQ_OK)
        return err;
    http->port = port_of(fd);
    http->daemon = start_on(http, fd); /* Closes the socket when it stops. */
    if (http->daemon != NULL)
        return JQ_OK;
    close(fd);
    return jq_fail(reterr, JQ_ERR_NOMEM, "http server on '%s' cannot start", http->config.address);
}

enum jq_err jq_http_open(const struct jq_http_config *config, struct jq_http **ret_http, struct jq_error *reterr) {
    struct jq_http *http = calloc(1, sizeof(*http));
    if (http == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "http server");
    http->config = *config;
    const enum jq_err err = serve(http, reterr);
    if (err != JQ_OK) {
        free(http);
        return err;
    }
    *ret_http = http;
    return JQ_OK;
}

void jq_http_free(struct jq_http *http) {
    if (http == NULL)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}

uint16_t jq_http_port(const struct jq_http *http) {
    return http->port;
}
