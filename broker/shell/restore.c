#include "broker/shell/restore.h"

#include <inttypes.h>

#include "broker/journal/scan.h"
#include "broker/record.h"
#include "common/entropy.h"

struct restoring {
    struct jq_core *core;
    int64_t time_ms; /* of the record that comes next */
    int64_t last_ms;
    bool begun;
    bool small;                        /* a table is too small: only how large it must be is still of interest */
    uint32_t queues, classes, workers; /* places that the log needs */
};

static enum jq_err on_block(void *ctx, const struct jq_block_info *info, struct jq_error *reterr) {
    struct restoring *restoring = ctx;
    (void)reterr;
    if (!restoring->begun) {
        restoring->begun = true;
        jq_core_replay_from(restoring->core, info->lsn); /* above 0: the log has left its beginning behind */
    }
    restoring->time_ms = info->time_ms;
    return JQ_OK;
}

static enum jq_err refuse(struct jq_error *reterr, enum jq_err err, uint64_t lsn, const struct jq_error *why) {
    return jq_fail(reterr, err, "record at lsn %" PRIu64 ": %s", lsn, why->message);
}

static void need_places(uint32_t *most, uint32_t count) {
    *most = count > *most ? count : *most;
}

static void note_places(struct restoring *restoring, const struct jq_record *record) {
    switch (record->type) {
    case JQ_RECORD_QUEUE_DEFINED: need_places(&restoring->queues, record->u.queue_defined.queue + 1u); break;
    case JQ_RECORD_CLASS_DEFINED: need_places(&restoring->classes, record->u.class_defined.class_index + 1u); break;
    case JQ_RECORD_WORKER_REGISTERED: need_places(&restoring->workers, record->u.worker_registered.worker); break;
    default: break;
    }
}

static enum jq_err on_record(void *ctx, const struct jq_block_info *info, const struct jq_log_record *bytes,
                             struct jq_error *reterr) {
    struct restoring *restoring = ctx;
    struct jq_record record; /* Neither is cleared: there are millions of records. */
    struct jq_error why;
    bool clock = false;
    (void)info;
    enum jq_err err = jq_record_decode(bytes->type, bytes->body, &restoring->time_ms, &record, &clock, &why);
    restoring->last_ms = restoring->time_ms > restoring->last_ms ? restoring->time_ms : restoring->last_ms;
    if (err != JQ_OK)
        return refuse(reterr, err, bytes->lsn, &why);
    if (clock)
        return JQ_OK;
    record.lsn = bytes->lsn;
    record.size = jq_record_size((uint32_t)bytes->body.size);
    note_places(restoring, &record);
    if (restoring->small)
        return JQ_OK;
    err = jq_core_replay(restoring->core, &record, &why);
    restoring->small = err == JQ_ERR_TOO_BIG;
    return err == JQ_OK || restoring->small ? JQ_OK : refuse(reterr, err, bytes->lsn, &why);
}

/* Without randomness segments could be mistaken for one another: better no broker. */
static void random_bytes(void *ctx, void *data, size_t size) {
    (void)ctx;
    JQ_CHECK(jq_random_bytes(data, size, NULL) == JQ_OK);
}

/* The newest segment tells the log's id: recovery has just made it. */
static enum jq_err read_log_id(const struct jq_journal_config *config, struct jq_uuid *ret_id,
                               struct jq_error *reterr) {
    char dir[JQ_DISK_PATH_SIZE_MAX];
    struct jq_segment_list list;
    memcpy(dir, config->dir.data, config->dir.size); /* Its size was checked when the journal was opened. */
    dir[config->dir.size] = '\0';
    const enum jq_err err = jq_segment_list_load(config->disk, dir, &list, reterr);
    if (err != JQ_OK)
        return err;
    if (list.count > 0)
        *ret_id = list.entries[list.count - 1].header.log_id;
    jq_segment_list_fini(&list);
    return JQ_OK;
}

static enum jq_err refuse_small(const struct restoring *needed, const struct jq_core_config *policy,
                                struct jq_error *reterr) {
    const struct {
        const char *key;
        uint32_t max, needed;
    } tables[] = {{"queues_max", policy->queues_max, needed->queues},
                  {"classes_max", policy->classes_max, needed->classes},
                  {"workers_max", policy->workers_max, needed->workers}};
    size_t at = 0;
    while (at + 1 < sizeof(tables) / sizeof(tables[0]) && tables[at].needed <= tables[at].max)
        at++;
    return jq_fail(reterr, JQ_ERR_TOO_BIG,
                   "[limits] %s = %" PRIu32 " is less than the journal holds: set it to %" PRIu32 " at least",
                   tables[at].key, tables[at].max, tables[at].needed);
}

enum jq_err jq_restore(const struct jq_journal_config *config, const struct jq_core_config *policy,
                       struct jq_core *core, struct jq_restored *ret_restored, struct jq_error *reterr) {
    struct restoring restoring = {.core = core};
    struct jq_restored restored = {.last_ms = 0};
    struct jq_journal_config journal = *config;
    journal.random = random_bytes;
    const struct jq_journal_replay replay = {.ctx = &restoring, .on_block = on_block, .on_record = on_record};
    enum jq_err err = jq_journal_open(&journal, &replay, &restored.report, &restored.journal, reterr);
    if (err != JQ_OK)
        return err;
    err = restoring.small ? refuse_small(&restoring, policy, reterr) : read_log_id(config, &restored.log_id, reterr);
    if (err != JQ_OK) {
        jq_journal_free(restored.journal);
        return err;
    }
    const int64_t block_ms = restored.report.last_time_ms;
    restored.last_ms = restoring.last_ms > block_ms ? restoring.last_ms : block_ms;
    *ret_restored = restored;
    return JQ_OK;
}
