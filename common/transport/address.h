/* address.h - the addresses that jqmesh listens on and dials, checked before NNG sees them.
 *
 * Accepted: `tcp://HOST:PORT` (HOST a name, an IPv4 address, an IPv6 address in brackets, or `*` for all interfaces; PORT 0 to
 * 65535, where 0 asks the system for a free one), `ipc:///ABSOLUTE/PATH` and, within one process, `inproc://NAME`.
 * NNG's ws:// and http are refused on purpose: its HTTP server is not safe. Pure functions but for jq_address_reason().
 */
#ifndef JQ_COMMON_TRANSPORT_ADDRESS_H
#define JQ_COMMON_TRANSPORT_ADDRESS_H

#include "common/err.h"
#include "common/types.h"

enum jq_address_kind {
    JQ_ADDRESS_TCP,
    JQ_ADDRESS_IPC,
    JQ_ADDRESS_INPROC,
};

enum {
    JQ_ADDRESS_SIZE_MAX = 127, /* bytes of a URL, as in NNG */
    JQ_ADDRESS_PATH_MAX = 107, /* bytes of an ipc path, as in sockaddr_un */
};

struct jq_address {
    enum jq_address_kind kind;
    bool loopback;                      /* only this machine can reach it: ipc, inproc, 127.0.0.0/8, [::1], localhost */
    char host[JQ_ADDRESS_SIZE_MAX + 1]; /* tcp: without brackets; ipc: the path; inproc: the name */
    char port[6];                       /* tcp only, decimal */
};

/* Takes `url` apart. JQ_ERR_ADDRESS names the URL and what is wrong with it. */
enum jq_err jq_address_parse(const char *url, struct jq_address *ret_address, struct jq_error *reterr);

/* Connects to `url` (tcp or ipc; at most `timeout_ms` an address of its host) and closes again. JQ_ERR_UNAVAILABLE: "URL: reason". Blocks. */
enum jq_err jq_address_knock(const char *url, int timeout_ms, struct jq_error *reterr);

/* Why can nobody be reached at `url` just now? Makes one attempt to connect (at most `timeout_ms`) and closes it again. Fills
 * *reterr with JQ_ERR_UNAVAILABLE and "URL: reason"; where the attempt succeeds the reason is "no answer". Blocks; for messages
 * to people after something else has failed. */
enum jq_err jq_address_reason(const char *url, int timeout_ms, struct jq_error *reterr);

#endif
