#include "broker/journal/repair.h"

#include <stdlib.h>

#include "broker/journal/internal.h"

enum { COPY_SIZE = 1 << 20 };

struct copying {
    const struct jq_disk *disk;
    const char *from, *to;
    uint8_t *bytes; /* COPY_SIZE */
    struct jq_repair_report *report;
    struct jq_error *reterr;
};

static enum jq_err copy_bytes(struct copying *copying, struct jq_file *from, struct jq_file *to) {
    const struct jq_disk *disk = copying->disk;
    uint64_t at = 0;
    size_t got = COPY_SIZE;
    enum jq_err result = JQ_OK;
    while (result == JQ_OK && got == COPY_SIZE) {
        result = disk->read(disk->ctx, from, copying->bytes, COPY_SIZE, at, &got, copying->reterr);
        if (result == JQ_OK && got > 0)
            result = disk->write(disk->ctx, to, copying->bytes, got, at, copying->reterr);
        at += got;
    }
    copying->report->file_bytes += at;
    return result == JQ_OK ? disk->sync(disk->ctx, to, copying->reterr) : result;
}

static enum jq_err copy_file(void *ctx, const char *name) {
    struct copying *copying = ctx;
    const struct jq_disk *disk = copying->disk;
    char from_path[JQ_DISK_PATH_SIZE_MAX], to_path[JQ_DISK_PATH_SIZE_MAX];
    struct jq_file *from = NULL, *to = NULL;
    uint64_t base_lsn = 0;
    if (!jq_segment_name_parse(name, &base_lsn))
        return JQ_OK; /* the lock, and a spare, which holds nothing */
    enum jq_err result = jq_disk_path(from_path, copying->from, name, copying->reterr);
    if (result == JQ_OK)
        result = jq_disk_path(to_path, copying->to, name, copying->reterr);
    if (result == JQ_OK)
        result = disk->open(disk->ctx, from_path, JQ_DISK_READ, &from, copying->reterr);
    if (result == JQ_OK)
        result = disk->open(disk->ctx, to_path, JQ_DISK_CREATE, &to, copying->reterr);
    if (result == JQ_OK)
        result = copy_bytes(copying, from, to);
    disk->close(disk->ctx, from);
    disk->close(disk->ctx, to);
    copying->report->file_count += result == JQ_OK;
    return result;
}

static enum jq_err refuse_entry(void *ctx, const char *name) {
    const struct copying *copying = ctx;
    return jq_fail(copying->reterr, JQ_ERR_EXISTS, "%.160s: not empty, %.80s is in it", copying->to, name);
}

static enum jq_err copy_all(struct copying *copying) {
    const struct jq_disk *disk = copying->disk;
    enum jq_err result = disk->make_dir(disk->ctx, copying->to, copying->reterr);
    if (result == JQ_OK)
        result = disk->list(disk->ctx, copying->to, refuse_entry, copying, copying->reterr);
    if (result == JQ_OK)
        result = disk->list(disk->ctx, copying->from, copy_file, copying, copying->reterr);
    return result == JQ_OK ? disk->sync_dir(disk->ctx, copying->to, copying->reterr) : result;
}

/* With the lock held: a broker that runs would go on writing. */
static enum jq_err copy_journal(struct copying *copying) {
    const struct jq_disk *disk = copying->disk;
    char path[JQ_DISK_PATH_SIZE_MAX];
    struct jq_file *lock = NULL;
    enum jq_err result = jq_disk_path(path, copying->from, JQ_LOCK_NAME, copying->reterr);
    if (result == JQ_OK)
        result = disk->lock(disk->ctx, path, &lock, copying->reterr);
    if (result == JQ_OK)
        result = copy_all(copying);
    disk->close(disk->ctx, lock);
    return result;
}

enum jq_err jq_journal_repair(const struct jq_journal_config *config, const char *copy_dir,
                              struct jq_repair_report *ret_report, struct jq_error *reterr) {
    char dir[JQ_JOURNAL_DIR_SIZE_MAX];
    struct jq_repair_report report = {.file_count = 0};
    struct jq_journal_config cutting = *config;
    const struct jq_journal_replay nothing = {.ctx = NULL};
    struct jq_journal *journal = NULL;
    if (config->dir.size >= sizeof(dir))
        return jq_fail(reterr, JQ_ERR_INVALID, "journal: the folder's name is too long");
    memcpy(dir, config->dir.data, config->dir.size);
    dir[config->dir.size] = '\0';
    struct copying copying = {.disk = config->disk,
                              .from = dir,
                              .to = copy_dir,
                              .bytes = malloc(COPY_SIZE),
                              .report = &report,
                              .reterr = reterr};
    if (copying.bytes == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "repair: out of memory");
    enum jq_err result = copy_journal(&copying);
    free(copying.bytes);
    cutting.cut_damage = true;
    if (result == JQ_OK)
        result = jq_journal_open(&cutting, &nothing, &report.recovery, &journal, reterr);
    jq_journal_free(journal);
    if (result == JQ_OK)
        *ret_report = report;
    return result;
}
