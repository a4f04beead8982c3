/* keeper.h - the housekeeping of the journal on a thread of low priority: fills the spare segment, deletes segments that nobody
 * needs any more, and measures the disk, once a second and after each rotation.
 *
 * Threads:   one of its own; disposable() and rotated() from any thread.
 * Errors:    a spare that cannot be made is no reason to stop: it is logged once, tried again, and the free space that the core is told of
 *            becomes 0, so that it takes no new tasks. Any other error of a spare ends in `failed`. A segment that cannot be deleted is logged and tried again.
 */
#ifndef JQ_BROKER_SHELL_KEEPER_H
#define JQ_BROKER_SHELL_KEEPER_H

#include "broker/journal/journal.h"
#include "broker/shell/inbound.h"
#include "broker/shell/metrics.h"

struct jq_keeper; /* Opaque: jq_keeper_start() .. end of the process. */

struct jq_keeper_config {
    struct jq_journal *journal;
    const struct jq_disk *disk;
    const char *dir;
    int64_t retention_ms;     /* how long what nobody needs is kept; 0: not for the sake of time */
    uint64_t retention_bytes; /* how much of it is kept; 0: as much as the time says */
    struct jq_metrics *metrics;
    struct jq_inbox *inbox;                                  /* where the core learns of the disk */
    void (*failed)(void *ctx, const struct jq_error *error); /* writing failed: does not return */
};

enum jq_err jq_keeper_start(const struct jq_keeper_config *config, struct jq_keeper **ret_keeper,
                            struct jq_error *reterr);

/* Segments wholly below `lsn` may go, as far as the retention allows. */
void jq_keeper_disposable(struct jq_keeper *keeper, uint64_t lsn);

/* No segment is deleted for so long from now, longer if a call before said so: somebody reads them. A deletion under way goes on. */
void jq_keeper_hold(struct jq_keeper *keeper, int64_t ms);
/* Waits for a deletion under way. */
void jq_keeper_settle(struct jq_keeper *keeper);

/* A new segment has begun: the spare is used up. */
void jq_keeper_rotated(struct jq_keeper *keeper);

#endif
