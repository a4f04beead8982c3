/* recover.c - reading the log at the start, and what the new segment must carry on from. */
#include "broker/journal/internal.h"
#include "broker/journal/le.h"
#include "broker/journal/scan.h"
#include "common/crc32c.h"

#include <stdlib.h>

/* Where the last valid block stands. */
struct last_block {
    bool found;
    char segment[JQ_SEGMENT_NAME_SIZE];
    uint64_t offset;
    uint32_t salt;
    struct jq_block_header header;
};

void jq_recovery_fini(struct jq_recovery *recovery) {
    free(recovery->carried);
    free(recovery->stale);
    *recovery = (struct jq_recovery){0};
}

static enum jq_err replay_block(const struct jq_journal_replay *replay, const struct jq_scan_item *item,
                                struct jq_recovery_report *report, struct last_block *last, struct jq_error *reterr) {
    const struct jq_block_info info = jq_block_info_of(&item->block);
    enum jq_err result = replay->on_block != NULL ? replay->on_block(replay->ctx, &info, reterr) : JQ_OK;
    if (result == JQ_OK)
        result = jq_scan_records(item, replay->on_record, replay->ctx, reterr);
    report->block_count++;
    report->record_count += info.record_count;
    report->block_bytes += info.size_bytes;
    report->end_lsn = info.lsn + info.size_bytes;
    report->last_time_ms = info.time_ms;
    last->found = true;
    memcpy(last->segment, item->segment->name, sizeof(last->segment));
    last->offset = item->offset;
    last->salt = item->segment->header.salt;
    last->header = item->block;
    return result;
}

static enum jq_err replay_log(struct jq_log_scan *scan, const struct jq_journal_replay *replay, bool cut_damage,
                              struct jq_recovery_report *report, struct last_block *last, struct jq_error *reterr) {
    for (;;) {
        struct jq_scan_item item;
        enum jq_err result = jq_log_scan_next(scan, &item, reterr);
        if (result != JQ_OK)
            return result;
        if (item.kind == JQ_SCAN_END) {
            report->torn_bytes = item.torn_bytes;
            return JQ_OK;
        }
        if (item.kind == JQ_SCAN_DAMAGE && cut_damage && item.error.code == JQ_ERR_CORRUPT) {
            report->cut = true;
            return JQ_OK;
        }
        if (item.kind == JQ_SCAN_DAMAGE)
            return jq_fail(reterr, item.error.code, "%s", item.error.message);
        result = replay_block(replay, &item, report, last, reterr);
        if (result != JQ_OK)
            return result;
    }
}

/* Reads the last block once more, to be written again. What changed since the scan read it is damage. */
static enum jq_err load_carried(struct jq_journal *journal, const struct last_block *last, uint8_t **ret_data,
                                struct jq_error *reterr) {
    const struct jq_disk *disk = journal->disk;
    const uint32_t size = jq_block_size(last->header.payload_size);
    char path[JQ_DISK_PATH_SIZE_MAX];
    struct jq_file *file = NULL;
    size_t got = 0;
    uint8_t *data = malloc(size);
    if (data == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "recovery of the last block: out of memory");
    enum jq_err result = jq_disk_path(path, journal->dir, last->segment, reterr);
    if (result == JQ_OK)
        result = disk->open(disk->ctx, path, JQ_DISK_READ, &file, reterr);
    if (result == JQ_OK)
        result = disk->read(disk->ctx, file, data, size, last->offset, &got, reterr);
    disk->close(disk->ctx, file);
    struct jq_block_header header;
    if (result == JQ_OK && (got < size || !jq_block_header_decode(data, last->salt, &header) ||
                            header.payload_crc != last->header.payload_crc ||
                            jq_crc32c(0, data + JQ_BLOCK_HEADER_SIZE, header.payload_size) != header.payload_crc))
        result = jq_fail(reterr, JQ_ERR_CORRUPT, "%s: offset %llu: the last block changed while it was read",
                         last->segment, (unsigned long long)last->offset);
    if (result != JQ_OK) {
        free(data);
        return result;
    }
    *ret_data = data;
    return JQ_OK;
}

/* Headers are judged before anything is replayed: a foreign or newer file is refused as such, not as a gap. */
static enum jq_err check_headers(const struct jq_segment_list *list, bool cut_damage, struct jq_error *reterr) {
    for (size_t i = 0; i < list->count; i++) {
        const struct jq_error *error = &list->entries[i].error;
        const bool cut = cut_damage && i > 0 && error->code == JQ_ERR_CORRUPT;
        if (error->code != JQ_OK && !cut)
            return jq_fail(reterr, error->code, "%s", error->message);
    }
    return JQ_OK;
}

/* Segments below the new one stay readable; those at or behind its base are void (they are empty, or superseded
 * already). */
static enum jq_err sort_segments(struct jq_journal *journal, const struct jq_segment_list *list,
                                 struct jq_recovery *recovery, struct jq_error *reterr) {
    enum jq_err result = JQ_OK;
    recovery->stale = calloc(list->count, sizeof(*recovery->stale));
    if (recovery->stale == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "recovery: out of memory");
    for (size_t i = 0; i < list->count && result == JQ_OK; i++) {
        const struct jq_segment_entry *entry = &list->entries[i];
        if (entry->base_lsn > recovery->header.base_lsn || entry->superseded)
            recovery->stale[recovery->stale_count++] = entry->base_lsn;
        else if (entry->base_lsn < recovery->header.base_lsn)
            result = jq_segment_table_add(&journal->table, entry->base_lsn, entry->size_bytes, reterr);
    }
    return result;
}

/* Segments whose epoch cannot be read. Each run made one at least, so no run had an epoch above the highest that can be read and
 * this number together. */
static uint64_t unreadable_count(const struct jq_segment_list *list) {
    uint64_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += list->entries[i].error.code != JQ_OK;
    return count;
}

static enum jq_err plan_new_segment(struct jq_journal *journal, const struct jq_segment_list *list,
                                    const struct last_block *last, struct jq_recovery *recovery,
                                    struct jq_error *reterr) {
    const struct jq_segment_entry *first = &list->entries[0];
    if (!last->found && first->base_lsn > 0)
        return jq_fail(reterr, JQ_ERR_CORRUPT, "%s: no valid block in a log that begins at lsn %llu", first->name,
                       (unsigned long long)first->base_lsn);
    recovery->header.log_id = first->header.log_id;
    recovery->header.epoch = list->epoch_max + 1 + unreadable_count(list) + journal->epoch_skip;
    recovery->report.first_lsn = first->base_lsn;
    if (last->found) {
        recovery->header.base_lsn = last->header.lsn;
        recovery->header.chain_crc = last->header.prev_crc;
        recovery->header.carried_size = jq_block_size(last->header.payload_size);
        const enum jq_err result = load_carried(journal, last, &recovery->carried, reterr);
        if (result != JQ_OK)
            return result;
    }
    return sort_segments(journal, list, recovery, reterr);
}

static void plan_birth(struct jq_journal *journal, struct jq_recovery *recovery) {
    recovery->report.born = true;
    recovery->header.epoch = 1;
    journal->random(journal->random_ctx, recovery->header.log_id.bytes, sizeof(recovery->header.log_id.bytes));
}

static enum jq_err read_list(struct jq_journal *journal, const struct jq_journal_replay *replay,
                             const struct jq_segment_list *list, struct jq_recovery *recovery,
                             struct jq_error *reterr) {
    struct last_block last = {.found = false};
    struct jq_log_scan *scan = NULL;
    enum jq_err result = check_headers(list, journal->cut_damage, reterr);
    if (result == JQ_OK)
        result = jq_log_scan_new(journal->disk, journal->dir, list, &scan, reterr);
    if (result == JQ_OK)
        result = replay_log(scan, replay, journal->cut_damage, &recovery->report, &last, reterr);
    jq_log_scan_free(scan);
    if (result == JQ_OK)
        result = plan_new_segment(journal, list, &last, recovery, reterr);
    return result;
}

enum jq_err jq_recovery_read(struct jq_journal *journal, const struct jq_journal_replay *replay,
                             struct jq_recovery *ret_recovery, struct jq_error *reterr) {
    struct jq_recovery recovery = {0};
    struct jq_segment_list list;
    enum jq_err result = jq_segment_list_load(journal->disk, journal->dir, &list, reterr);
    if (result != JQ_OK)
        return result;
    if (list.count == 0)
        plan_birth(journal, &recovery);
    else
        result = read_list(journal, replay, &list, &recovery, reterr);
    for (size_t i = 0; i < list.count; i++)
        recovery.report.segment_count += !list.entries[i].superseded;
    recovery.report.epoch = recovery.header.epoch;
    jq_segment_list_fini(&list);
    if (result == JQ_OK)
        *ret_recovery = recovery;
    else
        jq_recovery_fini(&recovery);
    return result;
}
