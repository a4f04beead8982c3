/* mover.h - brings the core slices of the log's oldest part, on a thread of low priority (core: move.c).
 *
 * Threads:   one of its own; ask() from the core thread, and only when the answer to the last one has come.
 * Errors:    what cannot be read is logged as an alert; the core is told, and asks again later.
 */
#ifndef JQ_BROKER_SHELL_MOVER_H
#define JQ_BROKER_SHELL_MOVER_H

#include "broker/journal/disk.h"
#include "broker/shell/inbound.h"
#include "broker/shell/metrics.h"

struct jq_mover; /* Opaque: jq_mover_start() .. end of the process. */

struct jq_mover_config {
    const struct jq_disk *disk;
    const char *dir;
    struct jq_metrics *metrics;
    struct jq_inbox *inbox;
};

enum jq_err jq_mover_start(const struct jq_mover_config *config, struct jq_mover **ret_mover, struct jq_error *reterr);

/* JQ_EFFECT_READ_LOG: answered by JQ_EVENT_LOG_READ. */
void jq_mover_ask(struct jq_mover *mover, uint64_t from_lsn, uint64_t end_lsn);

#endif
