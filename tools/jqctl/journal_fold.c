/* journal_fold.c - a journal's records folded into the state that they make. */
#include <inttypes.h>

#include "tools/jqctl/journal.h"

enum { TABLE_MAX = UINT16_MAX, MANY = 1000000 };

/* Tables as large as any broker's may have been: what does not fit would be taken for damage. */
bool jqctl_fold_init(struct jqctl_fold *fold) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = TABLE_MAX;
    config.classes_max = TABLE_MAX;
    config.options_max = MANY;
    config.workers_max = MANY;
    config.senders_max = MANY;
    *fold = (struct jqctl_fold){.until_ms = INT64_MAX};
    return jq_core_new(&config, 0, &fold->core, NULL) == JQ_OK;
}

void jqctl_fold_fini(struct jqctl_fold *fold) {
    jq_core_free(fold->core);
    fold->core = NULL;
}

bool jqctl_fold_record(void *ctx, const struct jqctl_walked *walked) {
    struct jqctl_fold *fold = ctx;
    struct jq_error error;
    if (!walked->record)
        return true; /* A clock record; or a fault, which has been complained about. */
    struct jq_record record = *walked->record;
    if (!fold->begun) {
        fold->begun = true;
        jq_core_replay_from(fold->core, walked->block->lsn);
    }
    if (record.type == JQ_RECORD_WALL_OFFSET)
        fold->offset_ms = record.u.wall_offset.offset_ms;
    if (fold->until_ms != INT64_MAX && walked->time_ms + fold->offset_ms > fold->until_ms)
        return false;
    record.lsn = walked->lsn;
    record.size = (uint32_t)walked->size_bytes;
    fold->failed = jq_core_replay(fold->core, &record, &error) != JQ_OK;
    if (fold->failed)
        jqctl_note("record at LSN %" PRIu64 ": %s", walked->lsn, error.message);
    fold->time_ms = walked->time_ms;
    fold->lsn = walked->lsn + walked->size_bytes;
    fold->records++;
    return !fold->failed;
}
