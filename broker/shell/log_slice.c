#include "broker/shell/log_slice.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/journal/scan.h"
#include "broker/record.h"

struct jq_slicer {
    const struct jq_disk *disk;
    const char *dir;
    struct jq_segment_list list; /* as it was when the scan began */
    struct jq_segment_list part; /* from the segment on in which it began: a view */
    struct jq_log_scan *scan;    /* NULL: none under way */
    uint64_t next_lsn;           /* where the last slice ended */

    /* The block in hand. */
    uint8_t *payload;
    bool in_block;
    struct jq_record_cursor cursor;
    int64_t time_ms; /* of the record that comes next */
};

enum jq_err jq_slicer_new(const struct jq_disk *disk, const char *dir, struct jq_slicer **ret_slicer,
                          struct jq_error *reterr) {
    struct jq_slicer *slicer = calloc(1, sizeof(*slicer));
    if (slicer != NULL)
        slicer->payload = malloc(JQ_BLOCK_PAYLOAD_SIZE_MAX);
    if (slicer == NULL || slicer->payload == NULL) {
        free(slicer);
        return jq_fail(reterr, JQ_ERR_NOMEM, "reader of the log");
    }
    slicer->disk = disk;
    slicer->dir = dir;
    *ret_slicer = slicer;
    return JQ_OK;
}

static void close_scan(struct jq_slicer *slicer) {
    if (slicer->scan == NULL)
        return;
    jq_log_scan_free(slicer->scan);
    jq_segment_list_fini(&slicer->list);
    slicer->scan = NULL;
    slicer->in_block = false;
}

void jq_slicer_free(struct jq_slicer *slicer) {
    if (slicer == NULL)
        return;
    close_scan(slicer);
    free(slicer->payload);
    free(slicer);
}

/* A scan that begins with the segment that holds `from_lsn`. */
static enum jq_err open_scan(struct jq_slicer *slicer, uint64_t from_lsn, struct jq_error *reterr) {
    enum jq_err err = jq_segment_list_load(slicer->disk, slicer->dir, &slicer->list, reterr);
    if (err != JQ_OK)
        return err;
    size_t first = 0;
    for (size_t i = 0; i < slicer->list.count; i++) {
        const struct jq_segment_entry *entry = &slicer->list.entries[i];
        if (entry->base_lsn <= from_lsn && !entry->superseded && entry->error.code == JQ_OK)
            first = i;
    }
    slicer->part = slicer->list;
    slicer->part.entries += first;
    slicer->part.count -= first;
    err = jq_log_scan_new(slicer->disk, slicer->dir, &slicer->part, &slicer->scan, reterr);
    if (err != JQ_OK)
        jq_segment_list_fini(&slicer->list);
    return err;
}

/* The next block with something at or behind `from_lsn`. *ret_end: it begins at or behind `end_lsn`. */
static enum jq_err next_block(struct jq_slicer *slicer, uint64_t from_lsn, uint64_t end_lsn, struct jq_log_slice *slice,
                              bool *ret_end, struct jq_error *reterr) {
    for (;;) {
        struct jq_scan_item item;
        const enum jq_err err = jq_log_scan_next(slicer->scan, &item, reterr);
        if (err != JQ_OK)
            return err;
        if (item.kind == JQ_SCAN_END)
            return jq_fail(reterr, JQ_ERR_NOT_FOUND, "the log ends before lsn %" PRIu64, end_lsn);
        if (item.kind == JQ_SCAN_DAMAGE) {
            slice->damaged++;
            slice->damage = item.error;
            continue;
        }
        *ret_end = item.block.lsn >= end_lsn;
        if (*ret_end || item.block.lsn + jq_block_size(item.block.payload_size) <= from_lsn) {
            if (*ret_end)
                return JQ_OK;
            continue;
        }
        memcpy(slicer->payload, item.data + JQ_BLOCK_HEADER_SIZE, item.block.payload_size);
        slicer->cursor = jq_record_cursor_of(&item.block, slicer->payload);
        slicer->time_ms = item.block.time_ms;
        slicer->in_block = true;
        return JQ_OK;
    }
}

static bool carries_something(enum jq_record_type type) {
    switch (type) {
    case JQ_RECORD_TASK_SUBMITTED:
    case JQ_RECORD_TASK_RETRIED:
    case JQ_RECORD_TASK_ENDED:
    case JQ_RECORD_TASK_EDITED:
    case JQ_RECORD_TASK_RENEWED:
    case JQ_RECORD_TASK_RELOCATED:
    case JQ_RECORD_REPORT_RELOCATED:
    case JQ_RECORD_KEY_RELOCATED:
    case JQ_RECORD_CACHE_STORED: return true;
    default: return false;
    }
}

/* Takes records of the block in hand until it or the slice is full. A slice holds records of one block only: they lend its bytes. */
static enum jq_err take_records(struct jq_slicer *slicer, uint64_t from_lsn, uint64_t end_lsn,
                                struct jq_log_slice *slice, struct jq_error *reterr) {
    struct jq_log_record bytes;
    uint64_t taken_bytes = 0;
    while (slice->count < JQ_SLICE_RECORDS_MAX && taken_bytes < JQ_SLICE_BYTES_MAX &&
           jq_record_next(&slicer->cursor, &bytes)) {
        struct jq_record record = {.lsn = bytes.lsn};
        bool clock = false;
        if (bytes.lsn >= end_lsn) {
            slice->next_lsn = end_lsn;
            close_scan(slicer);
            return JQ_OK;
        }
        const enum jq_err err = jq_record_decode(bytes.type, bytes.body, &slicer->time_ms, &record, &clock, reterr);
        if (err != JQ_OK)
            return err;
        record.lsn = bytes.lsn;
        record.size = jq_record_size((uint32_t)bytes.body.size);
        slice->next_lsn = record.lsn + record.size;
        if (clock || bytes.lsn < from_lsn || !carries_something(record.type))
            continue;
        slice->records[slice->count++] = record;
        taken_bytes += record.size;
    }
    slicer->in_block = slicer->cursor.left > 0 && !slicer->cursor.failed;
    return JQ_OK;
}

static enum jq_err read_on(struct jq_slicer *slicer, uint64_t from_lsn, uint64_t end_lsn, struct jq_log_slice *slice,
                           struct jq_error *reterr) {
    bool end = false;
    while (slice->count == 0 && slice->next_lsn < end_lsn && !end) {
        enum jq_err err = JQ_OK;
        if (!slicer->in_block)
            err = next_block(slicer, from_lsn, end_lsn, slice, &end, reterr);
        if (err == JQ_OK && !end)
            err = take_records(slicer, from_lsn, end_lsn, slice, reterr);
        if (err != JQ_OK)
            return err;
    }
    if (end) { /* That block was not taken: begin anew from here. */
        slice->next_lsn = end_lsn;
        close_scan(slicer);
    }
    return JQ_OK;
}

enum jq_err jq_slicer_read(struct jq_slicer *slicer, uint64_t from_lsn, uint64_t end_lsn,
                           struct jq_log_slice *ret_slice, struct jq_error *reterr) {
    enum jq_err err = JQ_OK;
    ret_slice->count = 0;
    ret_slice->damaged = 0;
    ret_slice->next_lsn = from_lsn;
    if (slicer->scan != NULL && slicer->next_lsn != from_lsn)
        close_scan(slicer);
    const bool fresh = slicer->scan == NULL;
    if (fresh)
        err = open_scan(slicer, from_lsn, reterr);
    if (err == JQ_OK)
        err = read_on(slicer, from_lsn, end_lsn, ret_slice, reterr);
    if (err == JQ_ERR_NOT_FOUND && !fresh) { /* The list of segments is old. */
        close_scan(slicer);
        return jq_slicer_read(slicer, from_lsn, end_lsn, ret_slice, reterr);
    }
    if (err != JQ_OK)
        close_scan(slicer);
    slicer->next_lsn = ret_slice->next_lsn;
    return err;
}
