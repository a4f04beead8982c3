/* archive_prune.c - an archive loses its old end. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/journal/archive.h"
#include "broker/journal/segment.h"

struct entry {
    uint64_t lsn, size;
};

struct pruning {
    const struct jq_disk *disk;
    struct jq_archive_disk *archive; /* reads through the compression */
    const char *dir;
    const struct jq_uuid *log_id;
    struct entry *entries; /* oldest first */
    size_t count, capacity;
    uint64_t bytes; /* of all */
    struct jq_error *reterr;
};

static enum jq_err path_of(const struct pruning *pruning, uint64_t lsn, char *path) {
    char name[JQ_SEGMENT_NAME_SIZE], with[JQ_SEGMENT_NAME_SIZE + sizeof(JQ_ARCHIVE_SUFFIX)];
    jq_segment_name(lsn, name);
    (void)snprintf(with, sizeof(with), "%s" JQ_ARCHIVE_SUFFIX, name);
    return jq_disk_path(path, pruning->dir, with, pruning->reterr);
}

static enum jq_err size_of(const struct pruning *pruning, uint64_t lsn, uint64_t *ret_size) {
    const struct jq_disk *disk = pruning->disk;
    char path[JQ_DISK_PATH_SIZE_MAX];
    struct jq_file *file = NULL;
    enum jq_err err = path_of(pruning, lsn, path);
    if (err == JQ_OK)
        err = disk->open(disk->ctx, path, JQ_DISK_READ, &file, pruning->reterr);
    if (err == JQ_OK)
        err = disk->size(disk->ctx, file, ret_size, pruning->reterr);
    disk->close(disk->ctx, file);
    return err;
}

/* Names come in order, each once. Files that are not compressed were not put there by a broker. */
static enum jq_err add_entry(void *ctx, const char *name) {
    struct pruning *pruning = ctx;
    struct entry entry = {.size = 0};
    JQ_CHECK(jq_segment_name_parse(name, &entry.lsn));
    const enum jq_err err = size_of(pruning, entry.lsn, &entry.size);
    if (err != JQ_OK)
        return err == JQ_ERR_NOT_FOUND ? JQ_OK : err;
    if (pruning->count == pruning->capacity) {
        const size_t capacity = pruning->capacity == 0 ? 64 : 2 * pruning->capacity;
        struct entry *entries = realloc(pruning->entries, capacity * sizeof(*entries));
        if (entries == NULL)
            return jq_fail(pruning->reterr, JQ_ERR_NOMEM, "archive: out of memory");
        pruning->entries = entries;
        pruning->capacity = capacity;
    }
    pruning->entries[pruning->count++] = entry;
    pruning->bytes += entry.size;
    return JQ_OK;
}

/* False: it cannot be read, or is another log's. */
static bool read_ours(const struct pruning *pruning, uint64_t lsn, struct jq_segment_header *ret_header) {
    const struct jq_disk *disk = jq_archive_disk(pruning->archive);
    uint8_t bytes[JQ_SEGMENT_HEADER_SIZE];
    char name[JQ_SEGMENT_NAME_SIZE], path[JQ_DISK_PATH_SIZE_MAX];
    struct jq_file *file = NULL;
    size_t got = 0;
    jq_segment_name(lsn, name);
    if (jq_disk_path(path, pruning->dir, name, NULL) != JQ_OK ||
        disk->open(disk->ctx, path, JQ_DISK_READ, &file, NULL) != JQ_OK)
        return false;
    const enum jq_err err = disk->read(disk->ctx, file, bytes, sizeof(bytes), 0, &got, NULL);
    disk->close(disk->ctx, file);
    return err == JQ_OK && got == sizeof(bytes) && jq_segment_header_decode(bytes, name, ret_header, NULL) == JQ_OK &&
           jq_uuid_equal(&ret_header->log_id, pruning->log_id);
}

/* The entry is not the newest. */
static bool too_much(const struct pruning *pruning, size_t at, const struct jq_archive_keep *keep, int64_t now_ms) {
    struct jq_segment_header next;
    if (keep->bytes > 0 && pruning->bytes > keep->bytes)
        return true;
    return keep->time_ms > 0 && read_ours(pruning, pruning->entries[at + 1].lsn, &next) &&
           now_ms - next.wall_ms >= keep->time_ms;
}

static enum jq_err prune(struct pruning *pruning, const struct jq_archive_keep *keep, int64_t now_ms,
                         uint32_t *ret_count) {
    const struct jq_disk *disk = pruning->disk;
    struct jq_segment_header header;
    char path[JQ_DISK_PATH_SIZE_MAX];
    enum jq_err err = JQ_OK;
    for (size_t i = 0; err == JQ_OK && i + 1 < pruning->count && too_much(pruning, i, keep, now_ms); i++) {
        if (!read_ours(pruning, pruning->entries[i].lsn, &header)) {
            pruning->bytes -= pruning->entries[i].size; /* It stays, so ours need not go for it. */
            continue;
        }
        err = path_of(pruning, pruning->entries[i].lsn, path);
        if (err == JQ_OK)
            err = disk->unlink(disk->ctx, path, pruning->reterr);
        if (err == JQ_OK) {
            pruning->bytes -= pruning->entries[i].size;
            ++*ret_count;
        }
    }
    return err == JQ_OK && *ret_count > 0 ? disk->sync_dir(disk->ctx, pruning->dir, pruning->reterr) : err;
}

enum jq_err jq_archive_prune(const struct jq_disk *disk, const char *archive_dir, const struct jq_uuid *log_id,
                             const struct jq_archive_keep *keep, int64_t now_ms, uint32_t *ret_count,
                             struct jq_error *reterr) {
    struct pruning pruning = {.disk = disk, .dir = archive_dir, .log_id = log_id, .reterr = reterr};
    *ret_count = 0;
    if (keep->time_ms == 0 && keep->bytes == 0)
        return JQ_OK;
    enum jq_err err = jq_archive_disk_new(disk, NULL, &pruning.archive, reterr);
    if (err != JQ_OK)
        return err;
    const struct jq_disk *names = jq_archive_disk(pruning.archive);
    err = names->list(names->ctx, archive_dir, add_entry, &pruning, reterr);
    if (err == JQ_OK)
        err = prune(&pruning, keep, now_ms, ret_count);
    jq_archive_disk_free(pruning.archive);
    free(pruning.entries);
    return err == JQ_ERR_NOT_FOUND ? JQ_OK : err;
}
