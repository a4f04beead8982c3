/* journal.h - walking the records of a journal's folder, read-only: that of a running broker too. */
#ifndef JQ_TOOLS_JQCTL_JOURNAL_H
#define JQ_TOOLS_JQCTL_JOURNAL_H

#include "broker/core/core.h"
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

/* The folder that the command names. */
const char *jqctl_journal_dir(const struct jqctl *ctl);

/* Walks that folder, compressed segments in it too, with those of --archive; the command has that option. Complains of what cannot be read, and of damage, which it goes
 * on behind: EX_DATAERR. The verdict is set unless the code is EX_NOINPUT or EX_IOERR. */
int jqctl_journal_walk(const struct jqctl *ctl, jqctl_walk_fn *on_record, void *ctx,
                       struct jq_journal_verdict *ret_verdict);
/* The same of a folder of that disk. */
int jqctl_journal_walk_dir(const struct jq_disk *disk, const char *dir, jqctl_walk_fn *on_record, void *ctx,
                           struct jq_journal_verdict *ret_verdict);

/* The broker's state as the fold of the records walked so far: the same fold that its recovery is. */
struct jqctl_fold {
    struct jq_core *core;
    int64_t until_ms; /* UTC; INT64_MAX: to the end */
    int64_t offset_ms;
    int64_t time_ms; /* core time of the last record folded */
    uint64_t lsn;    /* behind it */
    uint64_t records;
    bool begun, failed;
};

/* False: out of memory. */
bool jqctl_fold_init(struct jqctl_fold *fold);
void jqctl_fold_fini(struct jqctl_fold *fold);
/* A jqctl_walk_fn: `ctx` is the fold. Ends the walk behind until_ms, and where a record does not fit (`failed`, complained about). */
bool jqctl_fold_record(void *ctx, const struct jqctl_walked *walked);

#endif
