/* inbox.h - the way of events to the core thread: many threads push, one takes all that waits at once.
 *
 * Pushing never blocks and takes no lock; the receiver is woken only when it sleeps, so a busy broker makes no system call for
 * it. Order is kept per sender. Memory is bounded by the senders: each reserves the bytes of its event before it pushes
 * (admit), and is refused above the mark; the receiver gives them back (settle) when the core is done with the event.
 *
 * A sender may also do the receiver's work itself while that sleeps, as its guest: bring, serve and leave. To wake another thread takes
 * longer than most of that work. Who has the receiver's place is one word: the receiver, nobody, or a guest.
 *
 * Threads:   push, ring, bring, admit and the queries from any thread; take and settle from whoever has the place; wait from the one
 *            receiver; serve and leave from the guest.
 * Ownership: the item lies inside the sender's event, which is the receiver's from push on.
 */
#ifndef JQ_BROKER_SHELL_INBOX_H
#define JQ_BROKER_SHELL_INBOX_H

#include <stdatomic.h>

#include "common/types.h"

struct jq_inbox_item {
    struct jq_inbox_item *next;
};

enum jq_inbox_place {
    JQ_INBOX_TAKEN,        /* by the receiver */
    JQ_INBOX_FREE,         /* the receiver sleeps */
    JQ_INBOX_GUEST,        /* a guest has it */
    JQ_INBOX_GUEST_WANTED, /* the same, and the receiver waits for its end */
};

struct jq_inbox {
    _Atomic(struct jq_inbox_item *) newest; /* a stack: the receiver takes it whole and turns it round */
    atomic_uint place;                      /* enum jq_inbox_place; the word of a futex */
    atomic_uint rung;
    atomic_size_t in_flight_bytes;
    size_t in_flight_max;
    atomic_bool full;               /* above the mark, and not yet down at 7/8 of it */
    atomic_uint_fast64_t drain_bps; /* bytes settled in a second, of late; 0: not known */

    /* Of whoever has the place. */
    int64_t until_ns;  /* how long the receiver sleeps at most */
    int64_t window_ns; /* when what is counted began */
    uint64_t window_bytes;
};

/* `in_flight_max`: bytes of events that may wait or be under way. */
void jq_inbox_init(struct jq_inbox *inbox, size_t in_flight_max);

/* Reserves `size` bytes. False from the mark on until what waits is down at 7/8 of it: answer `busy` instead. An event is admitted to an
 * empty inbox whatever its size. */
bool jq_inbox_admit(struct jq_inbox *inbox, size_t size);
/* Gives back what was admitted. By the receiver. `now_ns` by any clock that never goes back. */
void jq_inbox_settle(struct jq_inbox *inbox, size_t size, int64_t now_ns);
/* When there will be room again at the rate at which the receiver gets on. */
int64_t jq_inbox_retry_ms(struct jq_inbox *inbox);

void jq_inbox_push(struct jq_inbox *inbox, struct jq_inbox_item *item);

/* Wakes the receiver without an event: something else that it looks at has changed. */
void jq_inbox_ring(struct jq_inbox *inbox);

/* All items, the oldest first, as a list that ends in NULL; NULL: none. */
struct jq_inbox_item *jq_inbox_take_all(struct jq_inbox *inbox);

/* Sleeps until there is an item, somebody rings, or `timeout_us` have passed (0 or less: does not sleep). A ring is used up. */
void jq_inbox_wait(struct jq_inbox *inbox, int64_t timeout_us);

/* Pushes. True: the caller is a guest now, until jq_inbox_leave(). */
bool jq_inbox_bring(struct jq_inbox *inbox, struct jq_inbox_item *item);
/* Before a guest looks at what there is: uses up a ring. */
void jq_inbox_serve(struct jq_inbox *inbox);
/* The receiver goes on sleeping if there is nothing to do for it, and nothing within `timeout_us` that comes before what it sleeps for. */
void jq_inbox_leave(struct jq_inbox *inbox, int64_t timeout_us);
/* Somebody has pushed or rung since. */
bool jq_inbox_waits(struct jq_inbox *inbox);

/* A look without obligation: true if nothing waits. */
bool jq_inbox_empty(struct jq_inbox *inbox);
size_t jq_inbox_in_flight_bytes(struct jq_inbox *inbox);

#endif
