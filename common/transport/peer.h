/* peer.h - what the transport knows of the other end of a connection. */
#ifndef JQ_COMMON_TRANSPORT_PEER_H
#define JQ_COMMON_TRANSPORT_PEER_H

#include "common/types.h"

struct jq_peer {
    uint32_t pipe_id; /* of this connection; not reused for a long time */
    bool is_ipc;
    bool loopback;    /* on this machine: ipc, inproc, or a tcp peer whose address is 127.0.0.0/8 or ::1 */
    bool uid_known;   /* ipc only */
    uint32_t uid;     /* as the kernel says, when the peer connected */
    char address[64]; /* for people: `127.0.0.1:40112`, `[::1]:40112`, `ipc`, `inproc` */
};

#endif
