/* repair.h - a damaged journal made usable again, by an operator's decision, for `jqctl journal repair`.
 *
 * The log is ended before its first damage: everything behind is void, though some of it may be whole. The bytes as they were are
 * kept in a copy, made and synced before anything is changed; a crash at any point leaves the damaged log or the repaired one.
 */
#ifndef JQ_BROKER_JOURNAL_REPAIR_H
#define JQ_BROKER_JOURNAL_REPAIR_H

#include "broker/journal/journal.h"

struct jq_repair_report {
    uint64_t file_count; /* copied */
    uint64_t file_bytes;
    struct jq_recovery_report recovery;
};

/* `copy_dir` is made; its parent must exist, and nothing may be in it. `config` is that of the journal; cut_damage is set here.
 * JQ_ERR_LOCKED: a broker owns the journal; JQ_ERR_EXISTS: the copy's folder is not empty; JQ_ERR_CORRUPT: there is nothing
 * before the damage. */
enum jq_err jq_journal_repair(const struct jq_journal_config *config, const char *copy_dir,
                              struct jq_repair_report *ret_report, struct jq_error *reterr);

#endif
