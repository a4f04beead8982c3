/* segment_list.c - which segments a journal has, and which of them count. */
#include "broker/journal/scan.h"

#include <stdio.h>
#include <stdlib.h>

enum { SEGMENT_COUNT_MAX = 1 << 20 };

static enum jq_err add_name(void *name_ctx, const char *name) {
    struct jq_segment_list *list = name_ctx;
    uint64_t base_lsn = 0;
    if (!jq_segment_name_parse(name, &base_lsn))
        return JQ_OK;
    if (list->count == SEGMENT_COUNT_MAX)
        return JQ_ERR_TOO_BIG;
    if ((list->count & (list->count - 1)) == 0) {
        const size_t capacity = list->count == 0 ? 1 : list->count * 2;
        struct jq_segment_entry *entries = realloc(list->entries, capacity * sizeof(*entries));
        if (entries == NULL)
            return JQ_ERR_NOMEM;
        list->entries = entries;
    }
    struct jq_segment_entry *entry = &list->entries[list->count++];
    *entry = (struct jq_segment_entry){.base_lsn = base_lsn};
    memcpy(entry->name, name, JQ_SEGMENT_NAME_SIZE);
    return JQ_OK;
}

static int compare_base_lsn(const void *left, const void *right) {
    const struct jq_segment_entry *a = left;
    const struct jq_segment_entry *b = right;
    return a->base_lsn < b->base_lsn ? -1 : a->base_lsn > b->base_lsn;
}

static enum jq_err read_header(const struct jq_disk *disk, const char *dir, struct jq_segment_entry *entry,
                               struct jq_error *reterr) {
    char path[JQ_DISK_PATH_SIZE_MAX];
    uint8_t bytes[JQ_SEGMENT_HEADER_SIZE];
    struct jq_file *file = NULL;
    size_t size = 0;
    enum jq_err result = jq_disk_path(path, dir, entry->name, reterr);
    if (result == JQ_OK)
        result = disk->open(disk->ctx, path, JQ_DISK_READ, &file, reterr);
    if (result == JQ_OK)
        result = disk->size(disk->ctx, file, &entry->size_bytes, reterr);
    if (result == JQ_OK)
        result = disk->read(disk->ctx, file, bytes, sizeof(bytes), 0, &size, reterr);
    disk->close(disk->ctx, file);
    if (result != JQ_OK)
        return result;
    if (size < sizeof(bytes))
        jq_fail(&entry->error, JQ_ERR_CORRUPT, "%s: %zu bytes long, shorter than the header of a segment", entry->name,
                size);
    else
        jq_segment_header_decode(bytes, entry->name, &entry->header, &entry->error);
    return JQ_OK;
}

static void log_id_text(const struct jq_uuid *id, char text[33]) {
    for (size_t i = 0; i < sizeof(id->bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", id->bytes[i]);
}

/* All segments must be of the log that the first readable one belongs to. */
static void mark_foreign(struct jq_segment_list *list) {
    const struct jq_segment_entry *first = NULL;
    for (size_t i = 0; i < list->count; i++) {
        struct jq_segment_entry *entry = &list->entries[i];
        if (entry->error.code != JQ_OK)
            continue;
        if (first == NULL)
            first = entry;
        if (jq_uuid_equal(&entry->header.log_id, &first->header.log_id))
            continue;
        char ours[33];
        char theirs[33];
        log_id_text(&first->header.log_id, ours);
        log_id_text(&entry->header.log_id, theirs);
        jq_fail(&entry->error, JQ_ERR_FOREIGN, "%s: a foreign file: it is of log %s, %s of log %s", entry->name, theirs,
                first->name, ours);
    }
}

/* A recovery with epoch E whose new segment begins at B makes everything void that older epochs had from B on: a
 * segment of a lower epoch behind one of a higher epoch was left over by a crash in the midst of that recovery. */
static void mark_superseded(struct jq_segment_list *list) {
    uint64_t epoch_max = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct jq_segment_entry *entry = &list->entries[i];
        if (entry->error.code != JQ_OK)
            continue;
        entry->superseded = entry->header.epoch < epoch_max;
        if (!entry->superseded)
            epoch_max = entry->header.epoch;
    }
    list->epoch_max = epoch_max;
}

enum jq_err jq_segment_list_load(const struct jq_disk *disk, const char *dir, struct jq_segment_list *ret_list,
                                 struct jq_error *reterr) {
    struct jq_segment_list list = {0};
    struct jq_error error = {0};
    enum jq_err result = disk->list(disk->ctx, dir, add_name, &list, &error);
    if (result != JQ_OK && error.code == JQ_OK)
        jq_fail(&error, result, "%s: list of segments: %s", dir, jq_err_text(result));
    if (list.count > 0)
        qsort(list.entries, list.count, sizeof(*list.entries), compare_base_lsn);
    for (size_t i = 0; i < list.count && result == JQ_OK; i++)
        result = read_header(disk, dir, &list.entries[i], &error);
    if (result != JQ_OK) {
        jq_segment_list_fini(&list);
        if (reterr != NULL)
            *reterr = error;
        return result;
    }
    mark_foreign(&list);
    mark_superseded(&list);
    *ret_list = list;
    return JQ_OK;
}

void jq_segment_list_fini(struct jq_segment_list *list) {
    free(list->entries);
    *list = (struct jq_segment_list){0};
}
