/* inbound.h - what waits in the inbox for the core thread: an event, or an errand that only this thread can do.
 *
 * Ownership: the sender fills it and pushes it; the core thread calls `done` when it has dealt with it, and the sender's module frees
 *            or reuses it there. What the event borrows must live until then.
 */
#ifndef JQ_BROKER_SHELL_INBOUND_H
#define JQ_BROKER_SHELL_INBOUND_H

#include "broker/core/event.h"
#include "broker/shell/inbox.h"

struct jq_call;

struct jq_inbound {
    struct jq_inbox_item item;
    struct jq_event event; /* without its times, which the core thread sets */
    struct jq_call *call;  /* of a request: what event.u.request.call names; else NULL */
    size_t admitted_bytes; /* given back to the inbox; 0: was not admitted */
    int64_t arrived_ns;    /* of a request, jq_clock_mono_ns() */
    /* Not an event but an errand, done between two steps. NULL: an event. */
    void (*errand)(struct jq_inbound *inbound);
    /* Asked before the step. True: nobody waits for it any more, and what it held besides its memory is given back. NULL: always wanted. */
    bool (*unwanted)(struct jq_inbound *inbound);
    void (*done)(struct jq_inbound *inbound);
};

#endif
