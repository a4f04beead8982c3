/* notice.h - hints to whoever listens: NNG PUB and SUB sockets.
 *
 * A notice is a topic and a payload: on the wire the topic's bytes, one zero byte, the payload. Nothing is promised: a notice may
 * be lost, and a subscriber that is not connected just now never sees it. The filter works at the subscriber, so that each notice
 * costs every connection a message (1,000 subscribers: about 10 ms of CPU): rare and small is what belongs here.
 *
 * Threads:   any function from any thread. on_notice runs on an NNG thread, one at a time, and must not block.
 * Lifetime:  servers and clients live as long as the process, for the reason given in server.h; _stop is the end.
 */
#ifndef JQ_COMMON_TRANSPORT_NOTICE_H
#define JQ_COMMON_TRANSPORT_NOTICE_H

#include "common/err.h"
#include "common/types.h"

enum { JQ_TOPIC_SIZE_MAX = 128 };

struct jq_notice_server; /* Opaque: jq_notice_server_open() .. end of the process. */
struct jq_notice_client; /* Opaque: jq_notice_client_open() .. end of the process. */

struct jq_notice_server_config {
    const char *const *urls; /* 1 to 8; see address.h */
    size_t url_count;
    size_t frame_size_max; /* bytes of topic, zero and payload; 0: JQ_FRAME_SIZE_MAX */
    size_t peers_max;      /* connections, each with a queue of 64 KiB; 0: no limit. Beyond: closed at once */
    unsigned ipc_mode;     /* of ipc sockets in the file system; 0: 0600 */
};

/* Errors as in jq_server_open(). */
enum jq_err jq_notice_server_open(const struct jq_notice_server_config *config, struct jq_notice_server **ret_server,
                                  struct jq_error *reterr);
/* Closes all connections, takes no new one, and removes ipc sockets from the file system. Idempotent. */
void jq_notice_server_stop(struct jq_notice_server *server);
/* The URL `index` as it can be dialled, or NULL: no such index. */
const char *jq_notice_server_url(const struct jq_notice_server *server, size_t index);
/* Connections. */
size_t jq_notice_server_peer_count(struct jq_notice_server *server);

/* Never waits: a subscriber that is 8,192 notices behind loses some. JQ_ERR_INVALID: a topic that is empty, too long or contains a
 * zero byte. JQ_ERR_TOO_BIG. JQ_ERR_NOMEM. */
enum jq_err jq_notice_publish(struct jq_notice_server *server, struct jq_str topic, struct jq_bytes payload);

struct jq_notice_client_config {
    const char *const *urls; /* 1 to 8, all of them dialled, again and again */
    size_t url_count;
    size_t frame_size_max; /* as the server's */
    int reconnect_min_ms;  /* 0: 10 */
    int reconnect_max_ms;  /* 0: 1000 */
    void *ctx;
    /* `topic` and `payload` are borrowed for the time of the call. Required. */
    void (*on_notice)(void *ctx, struct jq_str topic, struct jq_bytes payload);
};

/* Starts to dial; hears nothing until it subscribes. JQ_ERR_ADDRESS names the URL and what is wrong with it. */
enum jq_err jq_notice_client_open(const struct jq_notice_client_config *config, struct jq_notice_client **ret_client,
                                  struct jq_error *reterr);
/* Ends the connection and dials anew: for an owner who has heard nothing for suspiciously long. A pulled cable is noticed by nobody. */
void jq_notice_client_redial(struct jq_notice_client *client);
/* Closes the connection, soon. When it returns, no callback runs any more. Not inside on_notice. Idempotent. */
void jq_notice_client_stop(struct jq_notice_client *client);

/* Exactly this topic. JQ_ERR_INVALID as above; JQ_ERR_NOT_FOUND: was not subscribed. */
enum jq_err jq_notice_subscribe(struct jq_notice_client *client, struct jq_str topic);
enum jq_err jq_notice_unsubscribe(struct jq_notice_client *client, struct jq_str topic);
/* Every topic that begins so; empty: all. */
enum jq_err jq_notice_subscribe_prefix(struct jq_notice_client *client, struct jq_str prefix);

#endif
