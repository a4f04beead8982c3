/* backup_blobs.h - the blobs of a backup: what the copied journal says is stored, fetched from the broker and laid beside it, as a broker
 * keeps it. */
#ifndef JQ_TOOLS_JQCTL_BACKUP_BLOBS_H
#define JQ_TOOLS_JQCTL_BACKUP_BLOBS_H

#include "broker/core/core.h"
#include "tools/jqctl/jqctl.h"

struct jqctl_blobs_report {
    uint64_t count, bytes;
    uint64_t gone; /* dropped by the broker meanwhile; no task of the copy refers to them */
};

/* `dir`: of the copy; the blobs go to its folder `blobs`. What is there already and belongs there is not fetched again. Complains, and
 * gives the exit code: not done also where one is gone that a task of the copy refers to. */
int jqctl_backup_blobs(struct jqctl *ctl, const struct jq_core *core, const char *dir,
                       struct jqctl_blobs_report *ret_report);

#endif
