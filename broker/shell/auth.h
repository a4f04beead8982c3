/* auth.h - may this peer ask that? Tokens (common/tokens.h) and, on ipc sockets, the uid that the kernel vouches for.
 *
 * A token that was sent decides alone: a wrong one is refused even where none would be needed. Without a token an ipc peer is an
 * admin if its uid is root's or the broker's own. With `auth = off` everybody is an admin: the broker then listens on loopback and
 * ipc only.
 *
 * Threads: any; constant after init.
 */
#ifndef JQ_BROKER_SHELL_AUTH_H
#define JQ_BROKER_SHELL_AUTH_H

#include "broker/core/event.h"
#include "common/message.h"
#include "common/tokens.h"
#include "common/transport/peer.h"

struct jq_authority {
    bool off;
    const struct jq_tokens *tokens; /* borrowed; NULL: none */
    uint32_t own_uid;
};

struct jq_principal {
    enum jq_role role;
    const struct jq_token *token; /* NULL: known by uid, or auth is off: all queues and handlers */
};

/* False: nobody that we know. */
bool jq_auth_identify(const struct jq_authority *auth, const struct jq_peer *peer, struct jq_str token,
                      struct jq_principal *ret_principal);

/* OK, or FORBIDDEN with field and reason, static texts. Sets how far the request reaches: tasks of other queues are not found by it. Tasks of a submit are judged one by one: those that the token may not send are
 * marked as refused, and the request is OK. */
enum jq_reply jq_auth_permit(const struct jq_principal *principal, const struct jq_op_info *op,
                             struct jq_request *request, const char **ret_field, const char **ret_reason);

#endif
