/* http.h - /healthz, /readyz and /metrics for supervisors and Prometheus, by libmicrohttpd on one thread of its own.
 *
 * GET only, at most 64 connections, 10 s each, no request body: everything else is answered 404 or 405. Beyond loopback
 * /metrics wants `Authorization: Bearer TOKEN`; /healthz and /readyz tell one word and stay open.
 *
 * Threads:   the callbacks run on the HTTP thread and may block it for a while (the core thread is asked for numbers).
 * Errors:    JQ_ERR_ADDRESS names the address and the reason.
 */
#ifndef JQ_BROKER_SHELL_HTTP_H
#define JQ_BROKER_SHELL_HTTP_H

#include "common/buf.h"
#include "common/err.h"
#include "common/types.h"

struct jq_http_config {
    const char *address; /* `HOST:PORT`, `[IPV6]:PORT`; port 0: a free one */
    void *ctx;           /* first argument of the callbacks */
    /* NULL: all is well; else one line of why not, which lives for the call. */
    const char *(*health)(void *ctx);
    const char *(*readiness)(void *ctx);
    /* Appends the metrics. False: the core does not answer. */
    bool (*metrics)(void *ctx, struct jq_buf *out);
    /* Asked beyond loopback only: may the holder of this token read metrics? */
    bool (*may_observe)(void *ctx, struct jq_str token);
};

struct jq_http; /* Opaque: jq_http_open() .. jq_http_free(). */

/* JQ_ERR_ADDRESS or JQ_OK; *ret_loopback: only this machine can reach it. */
enum jq_err jq_http_address_check(const char *address, bool *ret_loopback, struct jq_error *reterr);

enum jq_err jq_http_open(const struct jq_http_config *config, struct jq_http **ret_http, struct jq_error *reterr);
/* Ends the thread; waits for callbacks under way. */
void jq_http_free(struct jq_http *http);
/* The port that it listens on. */
uint16_t jq_http_port(const struct jq_http *http);

#endif
