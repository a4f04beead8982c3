/* release.h - effects that wait until the log has come far enough: no effect is released before the durability that it names.
 *
 * An effect is pushed with its level and with the LSN at which the log ended when the core made it: everything that the core
 * had emitted until then, its own records or those of others, lies below. It is due when the mark of its level has come to that
 * LSN. Two marks advance: what is written, and what counts as durable (the caller decides what that means: synced, or with
 * `durability = write` written).
 *
 * Pure: no clock, no thread, no lock; the caller brings a lock where two threads meet. Nothing is allocated: the item lies inside
 * the caller's effect, is the caller's again once take() has given it, and may be freed then.
 */
#ifndef JQ_BROKER_SHELL_RELEASE_H
#define JQ_BROKER_SHELL_RELEASE_H

#include "broker/core/effect.h"

struct jq_release_item {
    struct jq_release_item *next;
    enum jq_effect_level level;
    uint64_t lsn;
    uint64_t order; /* of the push, over all levels */
};

struct jq_release_queue {
    struct jq_release_item *first;
    struct jq_release_item **last;
};

struct jq_release {
    struct jq_release_queue queues[JQ_EFFECT_DURABLE + 1];
    uint64_t marks[JQ_EFFECT_DURABLE + 1]; /* LSN that each level has come to */
    uint64_t pushed;
    size_t waiting; /* items pushed and not taken */
};

/* Both marks start at `lsn`: all of the log is on disk when a broker starts. The struct must not move afterwards. */
void jq_release_init(struct jq_release *release, uint64_t lsn);

/* The pusher has set `level` and `lsn`, which must not be below that of an earlier push of this level. */
void jq_release_push(struct jq_release *release, struct jq_release_item *item);

/* The log has come further. Marks never go back, and nothing is durable that is not written. */
void jq_release_advance(struct jq_release *release, uint64_t written_lsn, uint64_t durable_lsn);

/* Takes the due item that was pushed first, or gives NULL: nothing is due. */
struct jq_release_item *jq_release_take(struct jq_release *release);

/* Takes all that is due, in the order of the pushes, as a list that ends in NULL. */
struct jq_release_item *jq_release_take_all(struct jq_release *release);

#endif
