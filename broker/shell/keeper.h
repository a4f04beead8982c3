/* keeper.h - the housekeeping of the journal on a thread of low priority: fills the spare segment, and measures the disk, once a second
 * and after each rotation.
 *
 * Threads:   one of its own; rotated() from any thread.
 * Errors:    a spare that cannot be made is no reason to stop: it is logged once, tried again, and the free space that the core is told of
 *            becomes 0, so that it takes no new tasks. Any other error of a spare ends in `failed`.
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
    struct jq_metrics *metrics;
    struct jq_inbox *inbox;                                  /* where the core learns of the disk */
    void (*failed)(void *ctx, const struct jq_error *error); /* writing failed: does not return */
};

enum jq_err jq_keeper_start(const struct jq_keeper_config *config, struct jq_keeper **ret_keeper,
                            struct jq_error *reterr);

/* A new segment has begun: the spare is used up. */
void jq_keeper_rotated(struct jq_keeper *keeper);

#endif
