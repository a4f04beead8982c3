/* spare.c - the next segment: made and filled early, taken by a rotation. */
#include "broker/journal/internal.h"

void jq_spare_init(struct jq_spare *spare) {
    *spare = (struct jq_spare){0};
    JQ_CHECK(pthread_mutex_init(&spare->lock, NULL) == 0);
}

void jq_spare_fini(struct jq_spare *spare, const struct jq_disk *disk) {
    disk->close(disk->ctx, spare->file);
    pthread_mutex_destroy(&spare->lock);
}

enum jq_err jq_zero_fill(const struct jq_disk *disk, struct jq_file *file, uint64_t from, uint64_t to,
                         struct jq_error *reterr) {
    static const uint8_t zeros[JQ_ZERO_SIZE];
    enum jq_err result = JQ_OK;
    while (result == JQ_OK && from < to) {
        const size_t size = to - from < sizeof(zeros) ? (size_t)(to - from) : sizeof(zeros);
        result = disk->write(disk->ctx, file, zeros, size, from, reterr);
        from += size;
    }
    return result;
}

/* Without the file of a step that failed, the next step begins anew. */
static void abandon(struct jq_journal *journal) {
    journal->disk->close(journal->disk->ctx, journal->spare.file);
    journal->disk->unlink(journal->disk->ctx, journal->spare_path, NULL);
    journal->spare.file = NULL;
    journal->spare.size_bytes = journal->spare.filled_bytes = 0;
}

static enum jq_err make_spare(struct jq_journal *journal, uint64_t size_bytes, struct jq_error *reterr) {
    const struct jq_disk *disk = journal->disk;
    struct jq_spare *spare = &journal->spare;
    enum jq_err result = disk->open(disk->ctx, journal->spare_path, JQ_DISK_CREATE, &spare->file, reterr);
    if (result != JQ_OK)
        return result;
    result = disk->allocate(disk->ctx, spare->file, size_bytes, reterr);
    if (result != JQ_OK) {
        abandon(journal);
        return result;
    }
    spare->size_bytes = size_bytes;
    spare->filled_bytes = 0;
    return JQ_OK;
}

/* Segments grow from the first one, which is short, to their full size: the zeros of the next one then never outweigh by much what is
 * written meanwhile. */
static uint64_t next_size_bytes(const struct jq_journal *journal) {
    const uint64_t doubled = 2 * atomic_load(&journal->segment_bytes);
    return doubled < journal->segment_size_bytes ? doubled : journal->segment_size_bytes;
}

enum jq_err jq_spare_claim(struct jq_journal *journal, uint64_t size_min, struct jq_error *reterr) {
    struct jq_spare *spare = &journal->spare;
    enum jq_err result = JQ_OK;
    if (spare->file == NULL) {
        result = make_spare(journal, next_size_bytes(journal), reterr);
        if (result == JQ_ERR_NO_SPACE)
            result = make_spare(journal, journal->first_segment_size_bytes, reterr);
    }
    if (result == JQ_OK && spare->size_bytes < size_min) {
        result = journal->disk->allocate(journal->disk->ctx, spare->file, size_min, reterr);
        if (result == JQ_OK)
            spare->size_bytes = size_min;
    }
    return result;
}

enum jq_err jq_spare_enter_service(struct jq_journal *journal, const struct jq_segment_header *header,
                                   struct jq_error *reterr) {
    const struct jq_disk *disk = journal->disk;
    char name[JQ_SEGMENT_NAME_SIZE];
    char path[JQ_DISK_PATH_SIZE_MAX];
    jq_segment_name(header->base_lsn, name);
    enum jq_err result = jq_disk_path(path, journal->dir, name, reterr);
    if (result == JQ_OK)
        result = disk->rename(disk->ctx, journal->spare_path, path, reterr);
    if (result == JQ_OK)
        result = disk->sync_dir(disk->ctx, journal->dir, reterr);
    if (result == JQ_OK)
        result = jq_segment_table_add(&journal->table, header->base_lsn, journal->spare.size_bytes, reterr);
    if (result != JQ_OK)
        return result;
    disk->close(disk->ctx, journal->file);
    journal->file = journal->spare.file;
    journal->header = *header;
    atomic_store(&journal->segment_bytes, journal->spare.size_bytes);
    atomic_store(&journal->room_bytes, journal->spare.size_bytes - JQ_SEGMENT_HEADER_SIZE);
    journal->spare.file = NULL;
    journal->spare.size_bytes = journal->spare.filled_bytes = 0;
    return JQ_OK;
}

static enum jq_err fill_step(struct jq_journal *journal, size_t bytes_max, struct jq_error *reterr) {
    const struct jq_disk *disk = journal->disk;
    struct jq_spare *spare = &journal->spare;
    const uint64_t left = spare->size_bytes - spare->filled_bytes;
    const uint64_t step = left < bytes_max ? left : bytes_max;
    if (step == 0)
        return JQ_OK;
    enum jq_err result = jq_zero_fill(disk, spare->file, spare->filled_bytes, spare->filled_bytes + step, reterr);
    if (result == JQ_OK)
        result = disk->sync(disk->ctx, spare->file, reterr);
    if (result == JQ_OK)
        spare->filled_bytes += step;
    else
        abandon(journal);
    return result;
}

enum jq_err jq_journal_fill_spare_step(struct jq_journal *journal, size_t bytes_max, bool *ret_ready,
                                       struct jq_error *reterr) {
    struct jq_spare *spare = &journal->spare;
    enum jq_err result = JQ_OK;
    JQ_CHECK(bytes_max > 0);
    pthread_mutex_lock(&spare->lock);
    if (spare->file == NULL)
        result = make_spare(journal, next_size_bytes(journal), reterr);
    if (result == JQ_OK)
        result = fill_step(journal, bytes_max, reterr);
    if (result == JQ_OK)
        *ret_ready = spare->filled_bytes == spare->size_bytes;
    pthread_mutex_unlock(&spare->lock);
    return result;
}
