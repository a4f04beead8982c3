/* scan.c - the recovery table of broker/JOURNAL.md, as code. */
#include "broker/journal/scan.h"

#include "broker/journal/le.h"
#include "common/crc32c.h"

#include <stdlib.h>

enum {
    WINDOW_SIZE = 2 * 1024 * 1024, /* holds any block, whatever the window began with */
    SEARCH_SIZE = 64 * 1024,       /* one step of the search for a later block */
};

/* Why the bytes at a place are no block. */
enum fault {
    FAULT_NONE,
    FAULT_HEADER,  /* no header under this segment's salt: zeros, old bytes, or damage */
    FAULT_LSN,     /* a header of another place */
    FAULT_BEYOND,  /* runs over the end of the file or the base of the next segment */
    FAULT_PAYLOAD, /* the header holds, the payload does not */
    FAULT_CHAIN,   /* a valid block that does not follow the one before it */
};

static const char *const FAULT_TEXT[] = {
    [FAULT_NONE] = "valid",
    [FAULT_HEADER] = "no valid block header",
    [FAULT_LSN] = "a block header with the lsn of another place",
    [FAULT_BEYOND] = "a block that runs over the end of its segment",
    [FAULT_PAYLOAD] = "a block with a damaged payload (checksum)",
    [FAULT_CHAIN] = "a block that does not follow the one before it (chain)",
};

struct jq_log_scan {
    const struct jq_disk *disk;
    const char *dir;
    const struct jq_segment_list *list;
    size_t index; /* of the segment in hand, or of the next one if none is */

    struct jq_file *file; /* the segment in hand, or NULL */
    const struct jq_segment_entry *segment;
    uint64_t offset; /* of the next block */
    uint64_t limit;  /* offset at which the segment ends: the next one's base, or the end of the file */
    bool last;
    bool ended; /* nothing but the end is left to report */

    bool chain_known; /* false behind damage */
    uint32_t chain_crc;

    uint8_t *window;
    size_t window_capacity; /* at least the largest segment, or WINDOW_SIZE */
    uint64_t window_offset;
    size_t window_size;
};

enum jq_err jq_log_scan_new(const struct jq_disk *disk, const char *dir, const struct jq_segment_list *list,
                            struct jq_log_scan **ret_scan, struct jq_error *reterr) {
    size_t capacity = JQ_SEGMENT_HEADER_SIZE;
    for (size_t i = 0; i < list->count && capacity < WINDOW_SIZE; i++)
        if (list->entries[i].size_bytes > capacity)
            capacity = list->entries[i].size_bytes < WINDOW_SIZE ? (size_t)list->entries[i].size_bytes : WINDOW_SIZE;
    struct jq_log_scan *scan = calloc(1, sizeof(*scan));
    if (scan != NULL)
        scan->window = malloc(capacity);
    if (scan == NULL || scan->window == NULL) {
        free(scan);
        return jq_fail(reterr, JQ_ERR_NOMEM, "scan of the journal: out of memory");
    }
    scan->disk = disk;
    scan->dir = dir;
    scan->list = list;
    scan->window_capacity = capacity;
    *ret_scan = scan;
    return JQ_OK;
}

void jq_log_scan_free(struct jq_log_scan *scan) {
    if (scan == NULL)
        return;
    scan->disk->close(scan->disk->ctx, scan->file);
    free(scan->window);
    free(scan);
}

/* *ret_data holds `size` bytes of the file at `offset`, or is NULL if the file ends before. */
static enum jq_err fetch(struct jq_log_scan *scan, uint64_t offset, size_t size, const uint8_t **ret_data,
                         struct jq_error *reterr) {
    const uint64_t window_end = scan->window_offset + scan->window_size;
    if (offset < scan->window_offset || offset + size > window_end) {
        size_t kept = 0;
        if (offset >= scan->window_offset && offset < window_end) {
            kept = (size_t)(window_end - offset);
            memmove(scan->window, scan->window + scan->window_size - kept, kept);
        }
        size_t got = 0;
        const enum jq_err result = scan->disk->read(scan->disk->ctx, scan->file, scan->window + kept,
                                                    scan->window_capacity - kept, offset + kept, &got, reterr);
        scan->window_offset = offset;
        scan->window_size = result == JQ_OK ? kept + got : 0;
        if (result != JQ_OK)
            return result;
    }
    const size_t at = (size_t)(offset - scan->window_offset);
    *ret_data = scan->window_size - at >= size ? scan->window + at : NULL;
    return JQ_OK;
}

static uint64_t lsn_at(const struct jq_log_scan *scan, uint64_t offset) {
    return scan->segment->base_lsn + (offset - JQ_SEGMENT_HEADER_SIZE);
}

/* Judges the bytes at scan->offset. The block of *ret_item is set from FAULT_PAYLOAD on, its data too. */
static enum jq_err judge(struct jq_log_scan *scan, enum fault *ret_fault, struct jq_scan_item *ret_item,
                         struct jq_error *reterr) {
    const uint8_t *data = NULL;
    struct jq_block_header header;
    enum jq_err result = fetch(scan, scan->offset, JQ_BLOCK_HEADER_SIZE, &data, reterr);
    if (result != JQ_OK)
        return result;
    *ret_fault = FAULT_HEADER;
    if (data == NULL || !jq_block_header_decode(data, scan->segment->header.salt, &header))
        return JQ_OK;
    *ret_fault = FAULT_LSN;
    if (header.lsn != lsn_at(scan, scan->offset))
        return JQ_OK;
    *ret_fault = FAULT_BEYOND;
    const uint32_t size = jq_block_size(header.payload_size);
    if (scan->offset + size > scan->limit)
        return JQ_OK;
    result = fetch(scan, scan->offset, size, &data, reterr);
    if (result != JQ_OK || data == NULL)
        return result;
    ret_item->block = header;
    ret_item->data = data;
    if (jq_crc32c(0, data + JQ_BLOCK_HEADER_SIZE, header.payload_size) != header.payload_crc)
        *ret_fault = FAULT_PAYLOAD;
    else if (scan->chain_known && header.prev_crc != scan->chain_crc)
        *ret_fault = FAULT_CHAIN;
    else
        *ret_fault = FAULT_NONE;
    return JQ_OK;
}

/* First place at or behind `from` with a header of this salt and the LSN of that place; `limit` if there is none. */
static enum jq_err find_header(struct jq_log_scan *scan, uint64_t from, uint64_t *ret_offset, struct jq_error *reterr) {
    struct jq_block_header header;
    const uint64_t end = scan->limit < scan->segment->size_bytes ? scan->limit : scan->segment->size_bytes;
    for (uint64_t at = from; at + JQ_BLOCK_HEADER_SIZE <= end;) {
        const uint64_t left = end - at;
        const size_t size = left < SEARCH_SIZE ? (size_t)left : SEARCH_SIZE;
        const uint8_t *data = NULL;
        const enum jq_err result = fetch(scan, at, size, &data, reterr);
        if (result != JQ_OK)
            return result;
        if (data == NULL)
            break;
        size_t i = 0;
        for (; i + JQ_BLOCK_HEADER_SIZE <= size; i += JQ_BLOCK_ALIGN) {
            if (data[i] == 'J' && jq_block_header_decode(data + i, scan->segment->header.salt, &header) &&
                header.lsn == lsn_at(scan, at + i)) {
                *ret_offset = at + i;
                return JQ_OK;
            }
        }
        at += i;
    }
    *ret_offset = scan->limit;
    return JQ_OK;
}

/* How many bytes at the end of the log are the remains of a write: none if there are only zeros. One commit is in
 * flight at a time, so they reach no further than one block. */
static enum jq_err measure_tail(struct jq_log_scan *scan, uint64_t *ret_size, struct jq_error *reterr) {
    const uint64_t left = scan->limit - scan->offset;
    size_t size = left < JQ_BLOCK_SIZE_MAX ? (size_t)left : JQ_BLOCK_SIZE_MAX;
    const uint8_t *data = NULL;
    const enum jq_err result = fetch(scan, scan->offset, size, &data, reterr);
    if (result != JQ_OK)
        return result;
    while (data != NULL && size > 0 && data[size - 1] == 0)
        size--;
    *ret_size = data != NULL ? size : 0;
    return JQ_OK;
}

static void set_damage(struct jq_log_scan *scan, const char *what, const char *but, uint64_t size,
                       struct jq_scan_item *item) {
    item->kind = JQ_SCAN_DAMAGE;
    item->damage_size_bytes = size;
    jq_fail(&item->error, JQ_ERR_CORRUPT, "%s: offset %llu, lsn %llu: %s, %s; %llu bytes in doubt", scan->segment->name,
            (unsigned long long)scan->offset, (unsigned long long)lsn_at(scan, scan->offset), what, but,
            (unsigned long long)size);
}

static enum jq_err judge_invalid(struct jq_log_scan *scan, enum fault fault, struct jq_scan_item *item,
                                 struct jq_error *reterr) {
    uint64_t found = scan->limit;
    const enum jq_err result = find_header(scan, scan->offset + JQ_BLOCK_ALIGN, &found, reterr);
    if (result != JQ_OK)
        return result;
    const uint64_t carried_end = JQ_SEGMENT_HEADER_SIZE + (uint64_t)scan->segment->header.carried_size;
    if (found < scan->limit) {
        set_damage(scan, FAULT_TEXT[fault], "yet a valid block header follows", found - scan->offset, item);
    } else if (!scan->last) {
        set_damage(scan, FAULT_TEXT[fault], "yet the next segment follows", found - scan->offset, item);
    } else if (scan->offset < carried_end) {
        scan->ended = true;
        set_damage(scan, FAULT_TEXT[fault], "where recovery had put the last block", carried_end - scan->offset, item);
        return JQ_OK;
    } else {
        scan->ended = true;
        item->kind = JQ_SCAN_END;
        item->torn_bytes = jq_block_size(item->block.payload_size);
        if (fault == FAULT_PAYLOAD)
            return JQ_OK;
        return measure_tail(scan, &item->torn_bytes, reterr);
    }
    scan->offset = found;
    scan->chain_known = false;
    return JQ_OK;
}

static enum jq_err scan_block(struct jq_log_scan *scan, struct jq_scan_item *item, struct jq_error *reterr) {
    enum fault fault = FAULT_NONE;
    const enum jq_err result = judge(scan, &fault, item, reterr);
    if (result != JQ_OK)
        return result;
    if (fault == FAULT_CHAIN) {
        set_damage(scan, FAULT_TEXT[fault], "though its own checksums hold", jq_block_size(item->block.payload_size),
                   item);
        scan->chain_known = false;
        return JQ_OK;
    }
    if (fault != FAULT_NONE)
        return judge_invalid(scan, fault, item, reterr);
    item->kind = JQ_SCAN_BLOCK;
    scan->offset += jq_block_size(item->block.payload_size);
    scan->chain_crc = item->block.payload_crc;
    scan->chain_known = true;
    return JQ_OK;
}

/* The segment that ends the one at `index`, or NULL. A foreign file ends none. */
static const struct jq_segment_entry *next_segment(const struct jq_log_scan *scan) {
    for (size_t i = scan->index + 1; i < scan->list->count; i++) {
        const struct jq_segment_entry *entry = &scan->list->entries[i];
        if (!entry->superseded && entry->error.code != JQ_ERR_FOREIGN)
            return entry;
    }
    return NULL;
}

/* Opens the segment at `index`. */
static enum jq_err enter(struct jq_log_scan *scan, struct jq_error *reterr) {
    char path[JQ_DISK_PATH_SIZE_MAX];
    const struct jq_segment_entry *entry = &scan->list->entries[scan->index];
    enum jq_err result = jq_disk_path(path, scan->dir, entry->name, reterr);
    if (result == JQ_OK)
        result = scan->disk->open(scan->disk->ctx, path, JQ_DISK_READ, &scan->file, reterr);
    if (result != JQ_OK)
        return result;
    const struct jq_segment_entry *next = next_segment(scan);
    scan->segment = entry;
    scan->last = next == NULL;
    scan->limit = next != NULL ? JQ_SEGMENT_HEADER_SIZE + (next->base_lsn - entry->base_lsn) : entry->size_bytes;
    scan->offset = JQ_SEGMENT_HEADER_SIZE;
    scan->window_size = 0;
    return JQ_OK;
}

static void leave(struct jq_log_scan *scan) {
    scan->disk->close(scan->disk->ctx, scan->file);
    scan->file = NULL;
    scan->index++;
}

/* The chain between two segments: the header of the later one knows the last block of the earlier one. True if
 * damaged. */
static bool judge_chain(struct jq_log_scan *scan, struct jq_scan_item *item) {
    const bool broken = scan->chain_known && scan->chain_crc != scan->segment->header.chain_crc;
    scan->chain_crc = scan->segment->header.chain_crc;
    scan->chain_known = true;
    if (broken)
        set_damage(scan, "the segment does not follow the last block of the one before it", "(chain)", 0, item);
    return broken;
}

/* Takes the next segment in hand. *ret_done is true when there is an item to give first (damage, or the end). */
static enum jq_err advance(struct jq_log_scan *scan, struct jq_scan_item *item, bool *ret_done,
                           struct jq_error *reterr) {
    *ret_done = true;
    if (scan->index == scan->list->count) {
        scan->ended = true;
        return JQ_OK;
    }
    const struct jq_segment_entry *entry = &scan->list->entries[scan->index];
    if (entry->error.code != JQ_OK) {
        scan->index++;
        scan->chain_known = scan->chain_known && entry->error.code == JQ_ERR_FOREIGN;
        *item = (struct jq_scan_item){.kind = JQ_SCAN_DAMAGE, .segment = entry, .error = entry->error};
        return JQ_OK;
    }
    *ret_done = false;
    if (entry->superseded) {
        scan->index++;
        return JQ_OK;
    }
    const enum jq_err result = enter(scan, reterr);
    item->segment = entry;
    item->offset = scan->offset;
    if (result == JQ_OK)
        *ret_done = judge_chain(scan, item);
    return result;
}

enum jq_err jq_log_scan_next(struct jq_log_scan *scan, struct jq_scan_item *ret_item, struct jq_error *reterr) {
    struct jq_scan_item item = {.kind = JQ_SCAN_END, .segment = scan->segment, .offset = scan->offset};
    enum jq_err result = JQ_OK;
    bool done = scan->ended;
    if (scan->file != NULL && !scan->last && scan->offset == scan->limit)
        leave(scan);
    while (result == JQ_OK && !done && scan->file == NULL)
        result = advance(scan, &item, &done, reterr);
    if (result == JQ_OK && !done) {
        item.segment = scan->segment;
        item.offset = scan->offset;
        result = scan_block(scan, &item, reterr);
    }
    if (result == JQ_OK)
        *ret_item = item;
    return result;
}

enum jq_err jq_scan_records(const struct jq_scan_item *item, jq_on_record *on_record, void *ctx,
                            struct jq_error *reterr) {
    const struct jq_block_info info = jq_block_info_of(&item->block);
    struct jq_record_cursor cursor = jq_record_cursor_of(&item->block, item->data + JQ_BLOCK_HEADER_SIZE);
    struct jq_log_record record;
    while (jq_record_next(&cursor, &record)) {
        const enum jq_err result = on_record != NULL ? on_record(ctx, &info, &record, reterr) : JQ_OK;
        if (result != JQ_OK)
            return result;
    }
    if (cursor.failed)
        return jq_fail(reterr, JQ_ERR_CORRUPT,
                       "%s: offset %llu, lsn %llu: the records do not fill their block (made by a fault)",
                       item->segment->name, (unsigned long long)item->offset, (unsigned long long)info.lsn);
    return JQ_OK;
}
