/* remover.h - segments that nobody needs any more leave the journal, on a thread of low priority: as late as the retention says, the oldest
 * first, and into the archive before they are deleted, where there is one: a folder, a command of the operator's, or the command with
 * what was put into the folder. The folder loses its old end.
 *
 * Threads:   one of its own; everything here from any thread.
 * Errors:    a segment that cannot be archived or deleted is logged, kept, and tried again, after a second at first and
 *            after ten minutes in the end: the log grows meanwhile.
 */
#ifndef JQ_BROKER_SHELL_REMOVER_H
#define JQ_BROKER_SHELL_REMOVER_H

#include "broker/journal/archive.h"
#include "broker/journal/journal.h"
#include "broker/shell/metrics.h"
#include "common/conf.h"

struct jq_remover; /* Opaque: jq_remover_start() .. end of the process. */

/* How much of what nobody needs is kept. Both 0: nothing. */
struct jq_retention {
    int64_t time_ms; /* 0: not for the sake of time */
    uint64_t bytes;  /* 0: as much as the time says; else no more than this */
};

struct jq_remover_config {
    struct jq_journal *journal;
    const struct jq_disk *disk;
    const char *dir;
    const char *archive_dir;            /* "": none */
    const struct jq_conf_list *command; /* archive_command.h; no words: none */
    int64_t command_ms;                 /* that it may take */
    struct jq_retention retention;
    struct jq_archive_keep keep; /* of archive_dir */
    struct jq_uuid log_id;
    struct jq_metrics *metrics;
};

enum jq_err jq_remover_start(const struct jq_remover_config *config, struct jq_remover **ret_remover,
                             struct jq_error *reterr);

/* Segments wholly below `lsn` may go, as far as the retention allows. */
void jq_remover_disposable(struct jq_remover *remover, uint64_t lsn);

/* No segment is deleted for so long from now, longer if a call before said so: somebody reads them. A deletion under way goes on. */
void jq_remover_hold(struct jq_remover *remover, int64_t ms);
/* Waits for a deletion under way. */
void jq_remover_settle(struct jq_remover *remover);

/* How long after so many tries in vain, one after the other, a segment is tried again. */
int64_t jq_remover_pause_ms(uint32_t failures);

/* Does the retention let a segment go? It ends at `end_lsn`, where the one that was begun at `next_begun_ms` follows; nobody needs
 * anything below `disposable_lsn`. Times are UTC. */
bool jq_retention_is_over(const struct jq_retention *retention, uint64_t disposable_lsn, uint64_t end_lsn,
                          int64_t next_begun_ms, int64_t now_ms);

#endif
