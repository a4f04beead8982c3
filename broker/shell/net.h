/* net.h - the request socket: frames become events for the core thread, or are answered at once where the core has no say: hello,
 * frames that are not the protocol, those without permission, and all of them while too many bytes are in flight; or go `aside`, as
 * those of backups do.
 *
 * Threads:   decoding and checking happen on NNG's threads, side by side.
 * Ownership: a request's memory (a decoder) comes from a pool and goes back there when the core thread is done with it.
 * Lifetime:  as long as the process (common/transport/server.h).
 */
#ifndef JQ_BROKER_SHELL_NET_H
#define JQ_BROKER_SHELL_NET_H

#include "broker/shell/auth.h"
#include "broker/shell/blobs.h"
#include "broker/shell/decode.h"
#include "broker/shell/encode.h"
#include "broker/shell/engine.h"
#include "broker/shell/inbound.h"
#include "broker/shell/metrics.h"
#include "common/transport/server.h"

struct jq_net; /* Opaque: jq_net_open() .. end of the process. */

struct jq_net_config {
    const char *const *urls;
    size_t url_count;
    unsigned ipc_mode;
    size_t connections_max;
    const struct jq_authority *authority; /* borrowed */
    struct jq_engine *engine;             /* borrowed */
    struct jq_metrics *metrics;           /* borrowed */
    struct jq_blobs *blobs;               /* borrowed */
    struct jq_decode_config decode;
    struct jq_hello hello; /* without its time */
    void *ctx;
    /* A request of which the core knows nothing: true takes the call, false leaves it to the core. NULL: there are none. Must not
     * block; what `request` borrows lives for this call. */
    bool (*aside)(void *ctx, struct jq_call *call, const struct jq_request *request);
};

/* Listens. JQ_ERR_ADDRESS names the URL and the reason. */
enum jq_err jq_net_open(const struct jq_net_config *config, struct jq_net **ret_net, struct jq_error *reterr);

/* To be called about once a second: closes the connections of those who ask and do not read their answers. */
void jq_net_sweep(struct jq_net *net);

/* Refuses every request from now on, and waits until those under way are answered, at most `timeout_ms`. */
void jq_net_drain(struct jq_net *net, int64_t timeout_ms);
/* Closes all connections. */
void jq_net_stop(struct jq_net *net);

struct jq_server *jq_net_server(struct jq_net *net);

#endif
