/* table.c - the segments of an open journal: reading bodies from them, and deleting the oldest. */
#include "broker/journal/internal.h"

#include <stdlib.h>

void jq_segment_table_init(struct jq_segment_table *table) {
    *table = (struct jq_segment_table){0};
    JQ_CHECK(pthread_mutex_init(&table->lock, NULL) == 0);
}

static void slot_free(struct jq_segment_table *table, const struct jq_disk *disk, struct jq_segment_slot *slot) {
    if (slot->file != NULL)
        table->open_count--;
    disk->close(disk->ctx, slot->file);
    free(slot);
}

void jq_segment_table_fini(struct jq_segment_table *table, const struct jq_disk *disk) {
    for (size_t i = 0; i < table->count; i++)
        slot_free(table, disk, table->slots[i]);
    free(table->slots);
    pthread_mutex_destroy(&table->lock);
}

static enum jq_err add_locked(struct jq_segment_table *table, uint64_t base_lsn, uint64_t size_bytes) {
    struct jq_segment_slot *last = table->count > 0 ? table->slots[table->count - 1] : NULL;
    if (last != NULL && last->base_lsn == base_lsn) {
        JQ_CHECK(last->file == NULL); /* It was empty: nobody can have read from it. */
        last->size_bytes = size_bytes;
        return JQ_OK;
    }
    if (table->count == table->capacity) {
        const size_t capacity = table->capacity == 0 ? 16 : table->capacity * 2;
        struct jq_segment_slot **slots = realloc(table->slots, capacity * sizeof(struct jq_segment_slot *));
        if (slots == NULL)
            return JQ_ERR_NOMEM;
        table->slots = slots;
        table->capacity = capacity;
    }
    struct jq_segment_slot *slot = calloc(1, sizeof(*slot));
    if (slot == NULL)
        return JQ_ERR_NOMEM;
    slot->base_lsn = base_lsn;
    slot->size_bytes = size_bytes;
    table->slots[table->count++] = slot;
    return JQ_OK;
}

enum jq_err jq_segment_table_add(struct jq_segment_table *table, uint64_t base_lsn, uint64_t size_bytes,
                                 struct jq_error *reterr) {
    pthread_mutex_lock(&table->lock);
    const enum jq_err result = add_locked(table, base_lsn, size_bytes);
    pthread_mutex_unlock(&table->lock);
    return result == JQ_OK ? JQ_OK : jq_fail(reterr, result, "table of segments: out of memory");
}

/* Index of the last segment that begins at or below `lsn`, or count if all begin above. */
static size_t find_slot(const struct jq_segment_table *table, uint64_t lsn) {
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (table->slots[middle]->base_lsn <= lsn)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : table->count;
}

static void close_least_used(struct jq_segment_table *table, const struct jq_disk *disk) {
    struct jq_segment_slot *oldest = NULL;
    for (size_t i = 0; i < table->count; i++) {
        struct jq_segment_slot *slot = table->slots[i];
        if (slot->file != NULL && slot->users == 0 && (oldest == NULL || slot->used_at < oldest->used_at))
            oldest = slot;
    }
    if (oldest == NULL)
        return;
    disk->close(disk->ctx, oldest->file);
    oldest->file = NULL;
    table->open_count--;
}

static enum jq_err open_slot(struct jq_journal *journal, struct jq_segment_slot *slot, struct jq_error *reterr) {
    struct jq_segment_table *table = &journal->table;
    char name[JQ_SEGMENT_NAME_SIZE];
    char path[JQ_DISK_PATH_SIZE_MAX];
    jq_segment_name(slot->base_lsn, name);
    if (table->open_count >= JQ_OPEN_FILES_MAX)
        close_least_used(table, journal->disk);
    enum jq_err result = jq_disk_path(path, journal->dir, name, reterr);
    if (result == JQ_OK)
        result = journal->disk->open(journal->disk->ctx, path, JQ_DISK_READ, &slot->file, reterr);
    if (result == JQ_OK)
        table->open_count++;
    return result;
}

/* With the table's lock held: the open segment that holds [lsn, lsn + size), in use until give_back(). */
static enum jq_err take_slot(struct jq_journal *journal, uint64_t lsn, size_t size, struct jq_segment_slot **ret_slot,
                             struct jq_error *reterr) {
    struct jq_segment_table *table = &journal->table;
    const uint64_t written_lsn = jq_journal_written_lsn(journal);
    const size_t index = find_slot(table, lsn);
    if (index == table->count || lsn >= written_lsn || size > written_lsn - lsn)
        return jq_fail(reterr, JQ_ERR_NOT_FOUND, "journal: %zu bytes at lsn %llu: %s", size, (unsigned long long)lsn,
                       index == table->count ? "deleted" : "not written yet");
    if (index + 1 < table->count && size > table->slots[index + 1]->base_lsn - lsn)
        return jq_fail(reterr, JQ_ERR_INVALID, "journal: %zu bytes at lsn %llu cross the border of a segment", size,
                       (unsigned long long)lsn);
    struct jq_segment_slot *slot = table->slots[index];
    const enum jq_err result = slot->file != NULL ? JQ_OK : open_slot(journal, slot, reterr);
    if (result != JQ_OK)
        return result;
    slot->users++;
    slot->used_at = ++table->clock;
    *ret_slot = slot;
    return JQ_OK;
}

static void give_back(struct jq_journal *journal, struct jq_segment_slot *slot) {
    pthread_mutex_lock(&journal->table.lock);
    slot->users--;
    if (slot->gone && slot->users == 0)
        slot_free(&journal->table, journal->disk, slot);
    pthread_mutex_unlock(&journal->table.lock);
}

enum jq_err jq_journal_read(struct jq_journal *journal, uint64_t lsn, size_t size, void *ret_data,
                            struct jq_error *reterr) {
    struct jq_segment_slot *slot = NULL;
    size_t got = 0;
    pthread_mutex_lock(&journal->table.lock);
    enum jq_err result = take_slot(journal, lsn, size, &slot, reterr);
    pthread_mutex_unlock(&journal->table.lock);
    if (result != JQ_OK)
        return result;
    const uint64_t offset = JQ_SEGMENT_HEADER_SIZE + (lsn - slot->base_lsn);
    result = journal->disk->read(journal->disk->ctx, slot->file, ret_data, size, offset, &got, reterr);
    if (result == JQ_OK && got < size)
        result = jq_fail(reterr, JQ_ERR_CORRUPT, "journal: the file of lsn %llu ends early", (unsigned long long)lsn);
    give_back(journal, slot);
    return result;
}

enum jq_err jq_journal_segment_from(struct jq_journal *journal, uint64_t lsn, struct jq_journal_segment *ret_segment,
                                    struct jq_error *reterr) {
    struct jq_segment_table *table = &journal->table;
    const uint64_t written_lsn = jq_journal_written_lsn(journal);
    pthread_mutex_lock(&table->lock);
    size_t at = find_slot(table, lsn);
    at = at == table->count ? 0 : at + (table->slots[at]->base_lsn < lsn);
    const bool found = at < table->count;
    if (found) {
        const bool current = at + 1 == table->count;
        const uint64_t base_lsn = table->slots[at]->base_lsn;
        const uint64_t end_lsn = current ? written_lsn : table->slots[at + 1]->base_lsn;
        *ret_segment = (struct jq_journal_segment){
            .base_lsn = base_lsn, .end_lsn = end_lsn > base_lsn ? end_lsn : base_lsn, .current = current};
    }
    pthread_mutex_unlock(&table->lock);
    return found ? JQ_OK
                 : jq_fail(reterr, JQ_ERR_NOT_FOUND, "journal: no segment at or behind lsn %llu",
                           (unsigned long long)lsn);
}

/* True, and the oldest segment's LSN, if it lies below `lsn` and a durable block stands behind it. */
static bool oldest_below(struct jq_journal *journal, uint64_t lsn, uint64_t *ret_base_lsn) {
    struct jq_segment_table *table = &journal->table;
    bool below = false;
    pthread_mutex_lock(&table->lock);
    if (table->count >= 2) {
        const uint64_t end_lsn = table->slots[1]->base_lsn;
        below = end_lsn <= lsn && end_lsn < jq_journal_durable_lsn(journal);
        *ret_base_lsn = table->slots[0]->base_lsn;
    }
    pthread_mutex_unlock(&table->lock);
    return below;
}

static void drop_oldest(struct jq_journal *journal) {
    struct jq_segment_table *table = &journal->table;
    pthread_mutex_lock(&table->lock);
    struct jq_segment_slot *slot = table->slots[0];
    table->count--;
    memmove(table->slots, table->slots + 1, table->count * sizeof(struct jq_segment_slot *));
    slot->gone = true;
    if (slot->users == 0)
        slot_free(table, journal->disk, slot);
    pthread_mutex_unlock(&table->lock);
}

enum jq_err jq_journal_delete_below(struct jq_journal *journal, uint64_t lsn, uint32_t *ret_count,
                                    struct jq_error *reterr) {
    const struct jq_disk *disk = journal->disk;
    enum jq_err result = JQ_OK;
    uint64_t base_lsn = 0;
    uint32_t count = 0;
    while (result == JQ_OK && oldest_below(journal, lsn, &base_lsn)) {
        char name[JQ_SEGMENT_NAME_SIZE];
        char path[JQ_DISK_PATH_SIZE_MAX];
        jq_segment_name(base_lsn, name);
        result = jq_disk_path(path, journal->dir, name, reterr);
        if (result == JQ_OK)
            result = disk->unlink(disk->ctx, path, reterr);
        if (result == JQ_ERR_NOT_FOUND) /* an earlier call got this far, and no further */
            result = JQ_OK;
        /* One by one: were two unlinks to reach the medium in the wrong order, the log would have a gap. */
        if (result == JQ_OK)
            result = disk->sync_dir(disk->ctx, journal->dir, reterr);
        if (result != JQ_OK)
            break;
        drop_oldest(journal);
        count++;
    }
    if (ret_count != NULL)
        *ret_count = count;
    return result;
}
