#include "broker/journal/journal.h"

#include "broker/journal/internal.h"

#include <stdlib.h>

static enum jq_err check_config(const struct jq_journal_config *config, struct jq_error *reterr) {
    if (config->dir.size == 0 || config->dir.size >= JQ_JOURNAL_DIR_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_INVALID, "journal: path of the folder: %zu bytes, allowed are 1 to %d",
                       config->dir.size, JQ_JOURNAL_DIR_SIZE_MAX - 1);
    if (config->segment_size_bytes < JQ_SEGMENT_SIZE_MIN || config->first_segment_size_bytes < JQ_SEGMENT_SIZE_MIN)
        return jq_fail(reterr, JQ_ERR_INVALID, "journal: segments of less than %d bytes", JQ_SEGMENT_SIZE_MIN);
    return JQ_OK;
}

static enum jq_err journal_new(const struct jq_journal_config *config, struct jq_journal **ret_journal,
                               struct jq_error *reterr) {
    enum jq_err result = check_config(config, reterr);
    if (result != JQ_OK)
        return result;
    struct jq_journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "journal: out of memory");
    journal->disk = config->disk;
    memcpy(journal->dir, config->dir.data, config->dir.size);
    journal->segment_size_bytes = config->segment_size_bytes;
    journal->first_segment_size_bytes = config->first_segment_size_bytes;
    journal->cut_damage = config->cut_damage;
    journal->epoch_skip = config->epoch_skip;
    journal->random = config->random;
    journal->random_ctx = config->random_ctx;
    jq_segment_table_init(&journal->table);
    jq_spare_init(&journal->spare);
    result = jq_disk_path(journal->spare_path, journal->dir, JQ_SPARE_NAME, reterr);
    if (result != JQ_OK) {
        jq_journal_free(journal);
        return result;
    }
    *ret_journal = journal;
    return JQ_OK;
}

void jq_journal_free(struct jq_journal *journal) {
    if (journal == NULL)
        return;
    jq_segment_table_fini(&journal->table, journal->disk);
    jq_spare_fini(&journal->spare, journal->disk);
    journal->disk->close(journal->disk->ctx, journal->file);
    journal->disk->close(journal->disk->ctx, journal->lock_file);
    free(journal);
}

static enum jq_err lock_dir(struct jq_journal *journal, struct jq_error *reterr) {
    char path[JQ_DISK_PATH_SIZE_MAX];
    const struct jq_disk *disk = journal->disk;
    enum jq_err result = disk->make_dir(disk->ctx, journal->dir, reterr);
    if (result == JQ_OK)
        result = jq_disk_path(path, journal->dir, JQ_LOCK_NAME, reterr);
    if (result == JQ_OK)
        result = disk->lock(disk->ctx, path, &journal->lock_file, reterr);
    return result;
}

static enum jq_err write_header(struct jq_journal *journal, struct jq_segment_header *header, struct jq_error *reterr) {
    uint8_t bytes[JQ_SEGMENT_HEADER_SIZE];
    journal->random(journal->random_ctx, &header->salt, sizeof(header->salt));
    jq_segment_header_encode(header, bytes);
    return journal->disk->write(journal->disk->ctx, journal->spare.file, bytes, sizeof(bytes), 0, reterr);
}

/* The segment of a recovery is whole, the carried block in it, before it gets its name: a crash leaves the old log or
 * the new one. So it is made from an empty file, never from a spare that was left over. */
static enum jq_err make_first_segment(struct jq_journal *journal, struct jq_recovery *recovery,
                                      struct jq_error *reterr) {
    const struct jq_disk *disk = journal->disk;
    struct jq_spare *spare = &journal->spare;
    struct jq_segment_header *header = &recovery->header;
    const uint64_t size_min = JQ_SEGMENT_HEADER_SIZE + (uint64_t)header->carried_size;
    const uint64_t first = journal->first_segment_size_bytes;
    enum jq_err result = disk->open(disk->ctx, journal->spare_path, JQ_DISK_CREATE, &spare->file, reterr);
    if (result != JQ_OK)
        return result;
    spare->size_bytes = first > size_min ? first : size_min;
    result = disk->allocate(disk->ctx, spare->file, spare->size_bytes, reterr);
    if (result == JQ_OK)
        result = write_header(journal, header, reterr);
    if (result == JQ_OK && recovery->carried != NULL) {
        journal->chain_crc = jq_block_stamp(recovery->carried, header->salt, header->chain_crc);
        result = disk->write(disk->ctx, spare->file, recovery->carried, header->carried_size, JQ_SEGMENT_HEADER_SIZE,
                             reterr);
    }
    if (result == JQ_OK)
        result = jq_zero_fill(disk, spare->file, size_min, spare->size_bytes, reterr);
    if (result == JQ_OK)
        result = disk->sync(disk->ctx, spare->file, reterr);
    if (result == JQ_OK)
        result = jq_spare_enter_service(journal, header, reterr);
    return result;
}

/* Empty or void segments behind the new one. The order does not matter: its epoch made them void. */
static enum jq_err remove_stale(struct jq_journal *journal, const struct jq_recovery *recovery,
                                struct jq_error *reterr) {
    enum jq_err result = JQ_OK;
    for (size_t i = 0; i < recovery->stale_count && result == JQ_OK; i++) {
        char name[JQ_SEGMENT_NAME_SIZE];
        char path[JQ_DISK_PATH_SIZE_MAX];
        if (recovery->stale[i] == recovery->header.base_lsn) /* the new one has taken its name */
            continue;
        jq_segment_name(recovery->stale[i], name);
        result = jq_disk_path(path, journal->dir, name, reterr);
        if (result == JQ_OK)
            result = journal->disk->unlink(journal->disk->ctx, path, reterr);
    }
    if (result == JQ_OK && recovery->stale_count > 0)
        result = journal->disk->sync_dir(journal->disk->ctx, journal->dir, reterr);
    return result;
}

static enum jq_err begin_epoch(struct jq_journal *journal, struct jq_recovery *recovery, struct jq_error *reterr) {
    enum jq_err result = make_first_segment(journal, recovery, reterr);
    if (result == JQ_OK)
        result = remove_stale(journal, recovery, reterr);
    if (result != JQ_OK)
        return result;
    const uint64_t end_lsn = recovery->header.base_lsn + recovery->header.carried_size;
    atomic_store(&journal->written_lsn, end_lsn);
    atomic_store(&journal->durable_lsn, end_lsn);
    atomic_fetch_sub(&journal->room_bytes, recovery->header.carried_size);
    journal->epoch = recovery->header.epoch;
    recovery->report.end_lsn = end_lsn;
    return JQ_OK;
}

enum jq_err jq_journal_open(const struct jq_journal_config *config, const struct jq_journal_replay *replay,
                            struct jq_recovery_report *ret_report, struct jq_journal **ret_journal,
                            struct jq_error *reterr) {
    struct jq_journal *journal = NULL;
    struct jq_recovery recovery = {.stale = NULL};
    enum jq_err result = journal_new(config, &journal, reterr);
    if (result == JQ_OK)
        result = lock_dir(journal, reterr);
    if (result == JQ_OK)
        result = jq_recovery_read(journal, replay, &recovery, reterr);
    if (result == JQ_OK) {
        recovery.header.wall_ms = config->wall_ms;
        result = begin_epoch(journal, &recovery, reterr);
    }
    if (result == JQ_OK) {
        *ret_report = recovery.report;
        *ret_journal = journal;
    } else {
        jq_journal_free(journal);
    }
    jq_recovery_fini(&recovery);
    return result;
}

/* From here on every write and sync gives this error. */
static enum jq_err fail_for_ever(struct jq_journal *journal, const struct jq_error *error, struct jq_error *reterr) {
    journal->failure = *error;
    atomic_store(&journal->failed, true);
    if (reterr != NULL)
        *reterr = *error;
    return error->code;
}

static enum jq_err failed_before(const struct jq_journal *journal, struct jq_error *reterr) {
    return jq_fail(reterr, journal->failure.code, "journal failed before: %.220s", journal->failure.message);
}

static enum jq_err rotate_locked(struct jq_journal *journal, const struct jq_sealed_block *block,
                                 struct jq_error *reterr) {
    struct jq_segment_header header = {
        .base_lsn = block->lsn,
        .log_id = journal->header.log_id,
        .epoch = journal->epoch,
        .wall_ms = block->time_ms,
        .chain_crc = journal->chain_crc,
    };
    enum jq_err result = jq_spare_claim(journal, JQ_SEGMENT_HEADER_SIZE + (uint64_t)block->size_bytes, reterr);
    if (result == JQ_OK)
        result = write_header(journal, &header, reterr);
    if (result == JQ_OK)
        result = journal->disk->sync(journal->disk->ctx, journal->spare.file, reterr);
    if (result == JQ_OK)
        result = jq_spare_enter_service(journal, &header, reterr);
    return result;
}

static enum jq_err rotate(struct jq_journal *journal, const struct jq_sealed_block *block, struct jq_error *reterr) {
    pthread_mutex_lock(&journal->spare.lock);
    const enum jq_err result = rotate_locked(journal, block, reterr);
    pthread_mutex_unlock(&journal->spare.lock);
    return result;
}

enum jq_err jq_journal_write_block(struct jq_journal *journal, const struct jq_sealed_block *block,
                                   struct jq_error *reterr) {
    if (atomic_load(&journal->failed))
        return failed_before(journal, reterr);
    const uint64_t lsn = atomic_load(&journal->written_lsn);
    JQ_CHECK(block->lsn == lsn);
    JQ_CHECK(lsn == atomic_load(&journal->durable_lsn)); /* One commit in flight: the recovery table rests on it. */
    struct jq_error error = {.code = JQ_OK};
    enum jq_err result = JQ_OK;
    if (block->size_bytes > atomic_load(&journal->room_bytes))
        result = rotate(journal, block, &error);
    if (result != JQ_OK)
        return fail_for_ever(journal, &error, reterr);
    const uint64_t offset = JQ_SEGMENT_HEADER_SIZE + (lsn - journal->header.base_lsn);
    const uint32_t payload_crc = jq_block_stamp(block->data, journal->header.salt, journal->chain_crc);
    result = journal->disk->write(journal->disk->ctx, journal->file, block->data, block->size_bytes, offset, &error);
    if (result != JQ_OK)
        return fail_for_ever(journal, &error, reterr);
    journal->chain_crc = payload_crc;
    atomic_fetch_sub(&journal->room_bytes, block->size_bytes);
    atomic_store(&journal->written_lsn, lsn + block->size_bytes);
    return JQ_OK;
}

enum jq_err jq_journal_sync(struct jq_journal *journal, struct jq_error *reterr) {
    if (atomic_load(&journal->failed))
        return failed_before(journal, reterr);
    const uint64_t written_lsn = atomic_load(&journal->written_lsn);
    if (written_lsn == atomic_load(&journal->durable_lsn))
        return JQ_OK;
    struct jq_error error = {.code = JQ_OK};
    const enum jq_err result = journal->disk->sync(journal->disk->ctx, journal->file, &error);
    if (result != JQ_OK)
        return fail_for_ever(journal, &error, reterr);
    atomic_store(&journal->durable_lsn, written_lsn);
    return JQ_OK;
}

uint64_t jq_journal_written_lsn(const struct jq_journal *journal) {
    return atomic_load(&journal->written_lsn);
}

uint64_t jq_journal_durable_lsn(const struct jq_journal *journal) {
    return atomic_load(&journal->durable_lsn);
}

uint64_t jq_journal_epoch(const struct jq_journal *journal) {
    return journal->epoch;
}

void jq_journal_stat(struct jq_journal *journal, struct jq_journal_stat *ret_stat) {
    struct jq_journal_stat stat = {
        .epoch = jq_journal_epoch(journal),
        .written_lsn = jq_journal_written_lsn(journal),
        .durable_lsn = jq_journal_durable_lsn(journal),
        .segment_bytes = atomic_load(&journal->segment_bytes),
        .room_bytes = atomic_load(&journal->room_bytes),
        .failed = atomic_load(&journal->failed),
    };
    struct jq_segment_table *table = &journal->table;
    pthread_mutex_lock(&table->lock);
    stat.segment_count = table->count;
    stat.first_lsn = table->slots[0]->base_lsn;
    for (size_t i = 0; i < table->count; i++)
        stat.file_bytes += table->slots[i]->size_bytes;
    pthread_mutex_unlock(&table->lock);
    pthread_mutex_lock(&journal->spare.lock);
    stat.spare_bytes = journal->spare.size_bytes;
    stat.spare_filled_bytes = journal->spare.filled_bytes;
    stat.spare_ready = journal->spare.file != NULL && journal->spare.filled_bytes == journal->spare.size_bytes;
    pthread_mutex_unlock(&journal->spare.lock);
    stat.file_bytes += stat.spare_bytes;
    *ret_stat = stat;
}
