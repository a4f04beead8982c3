#include "broker/journal/verify.h"

static void add_damage(struct jq_journal_verdict *verdict, const struct jq_scan_item *item,
                       const struct jq_error *error) {
    if (verdict->damage_count++ >= JQ_VERIFY_DAMAGE_COUNT_MAX)
        return;
    struct jq_journal_damage *damage = &verdict->damages[verdict->damage_count - 1];
    memcpy(damage->segment, item->segment->name, sizeof(damage->segment));
    damage->offset = item->offset;
    damage->lsn = item->segment->base_lsn;
    if (item->offset > JQ_SEGMENT_HEADER_SIZE)
        damage->lsn += item->offset - JQ_SEGMENT_HEADER_SIZE;
    damage->size_bytes = item->damage_size_bytes;
    damage->error = *error;
}

static void count_segments(struct jq_journal_verdict *verdict, const struct jq_segment_list *list) {
    verdict->epoch = list->epoch_max;
    verdict->first_lsn = list->count > 0 ? list->entries[0].base_lsn : 0;
    for (size_t i = 0; i < list->count; i++) {
        verdict->segment_count += !list->entries[i].superseded;
        verdict->superseded_count += list->entries[i].superseded;
        verdict->file_bytes += list->entries[i].size_bytes;
    }
}

static enum jq_err count_block(struct jq_journal_verdict *verdict, const struct jq_scan_item *item,
                               jq_on_record *on_record, void *ctx, struct jq_error *reterr) {
    const struct jq_block_info info = jq_block_info_of(&item->block);
    if (verdict->block_count++ == 0)
        verdict->first_time_ms = info.time_ms;
    verdict->record_count += info.record_count;
    verdict->block_bytes += info.size_bytes;
    verdict->end_lsn = info.lsn + info.size_bytes;
    verdict->last_time_ms = info.time_ms;
    struct jq_error error = {0};
    const enum jq_err faulty = jq_scan_records(item, NULL, NULL, &error);
    if (faulty != JQ_OK) {
        add_damage(verdict, item, &error);
        return JQ_OK;
    }
    return on_record != NULL ? jq_scan_records(item, on_record, ctx, reterr) : JQ_OK;
}

static enum jq_err verify_items(struct jq_log_scan *scan, struct jq_journal_verdict *verdict, jq_on_record *on_record,
                                void *ctx, struct jq_error *reterr) {
    for (;;) {
        struct jq_scan_item item;
        enum jq_err result = jq_log_scan_next(scan, &item, reterr);
        if (result != JQ_OK)
            return result;
        if (item.kind == JQ_SCAN_END) {
            verdict->torn_bytes = item.torn_bytes;
            return JQ_OK;
        }
        if (item.kind == JQ_SCAN_DAMAGE)
            add_damage(verdict, &item, &item.error);
        else
            result = count_block(verdict, &item, on_record, ctx, reterr);
        if (result != JQ_OK)
            return result;
    }
}

enum jq_err jq_journal_verify(const struct jq_disk *disk, const char *dir, jq_on_record *on_record, void *ctx,
                              struct jq_journal_verdict *ret_verdict, struct jq_error *reterr) {
    struct jq_segment_list list;
    struct jq_log_scan *scan = NULL;
    enum jq_err result = jq_segment_list_load(disk, dir, &list, reterr);
    if (result != JQ_OK)
        return result;
    struct jq_journal_verdict verdict = {0};
    count_segments(&verdict, &list);
    result = jq_log_scan_new(disk, dir, &list, &scan, reterr);
    if (result == JQ_OK)
        result = verify_items(scan, &verdict, on_record, ctx, reterr);
    jq_log_scan_free(scan);
    jq_segment_list_fini(&list);
    if (result == JQ_OK)
        *ret_verdict = verdict;
    return result;
}
