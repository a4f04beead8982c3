/* restore.h - the broker's state from its journal: opens the log and feeds every record of it to the core. */
#ifndef JQ_BROKER_SHELL_RESTORE_H
#define JQ_BROKER_SHELL_RESTORE_H

#include "broker/core/core.h"
#include "broker/journal/journal.h"

struct jq_restored {
    struct jq_journal *journal;
    struct jq_recovery_report report;
    struct jq_uuid log_id; /* of the log since its birth: names the broker */
    int64_t last_ms;       /* core time of the last record; 0: there is none */
};

/* `config` without its source of randomness: the kernel's is used. `policy` is the core's. Errors are those of jq_journal_open();
 * JQ_ERR_CORRUPT naming the LSN of a record that cannot be understood or contradicts those before it; JQ_ERR_TOO_BIG, naming the key and the
 * value that is needed, where the policy allows fewer queues, classes or workers than the log holds. */
enum jq_err jq_restore(const struct jq_journal_config *config, const struct jq_core_config *policy,
                       struct jq_core *core, struct jq_restored *ret_restored, struct jq_error *reterr);

#endif
