/* journal.h - walking the records of a journal's folder, read-only: that of a running broker too. */
#ifndef JQ_TOOLS_JQCTL_JOURNAL_H
#define JQ_TOOLS_JQCTL_JOURNAL_H

#include "broker/journal/verify.h"
#include "broker/record.h"
#include "tools/jqctl/jqctl.h"

#define JQCTL_JOURNAL_DIR "/var/lib/jqmesh"

/* One record on its way. `fault` tells what does not fit: bytes that are no record, or a body whose checksum does not hold; then
 * `record` is not set. */
struct jqctl_walked {
    const struct jq_block_info *block;
    uint64_t lsn;
    uint8_t type;
    size_t size_bytes;
    int64_t time_ms;
    const struct jq_record *record; /* NULL: a clock record, or a fault */
    const struct jq_error *fault;
};

/* False ends the walk. */
typedef bool jqctl_walk_fn(void *ctx, const struct jqctl_walked *walked);

/* Walks the folder that the command names (JQCTL_JOURNAL_DIR without). Complains of what cannot be read, and of damage, which it goes
 * on behind: EX_DATAERR. The verdict is set unless the code is EX_NOINPUT or EX_IOERR. */
int jqctl_journal_walk(const struct jqctl *ctl, jqctl_walk_fn *on_record, void *ctx,
                       struct jq_journal_verdict *ret_verdict);

#endif
