#include "tools/jqctl/backup_blobs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "broker/blob/store.h"

enum { PATH_SIZE = 1200 };

struct fetching {
    struct jqctl *ctl;
    const struct jq_core *core;
    struct jq_store *store;
    char path[PATH_SIZE]; /* where a blob is fetched to, before it goes into the store */
    struct jqctl_blobs_report report;
    struct jq_error error;
};

/* Of a blob that an attempt that was cut off has left in the folder. */
static bool is_known(void *ctx, const uint8_t *hash) {
    const struct fetching *fetching = ctx;
    return jq_core_blob_known(fetching->core, hash);
}

/* The file's pieces into the store, which checks the SHA-256 of the whole, and syncs it. */
static enum jq_err put_pieces(struct fetching *fetching, int fd, const struct jq_blob_row *row) {
    uint8_t data[JQ_BLOB_CHUNK_SIZE];
    uint64_t have = 0, at = 0;
    uint32_t version = 0;
    enum jq_err err = JQ_OK;
    do {
        const ssize_t size = pread(fd, data, sizeof(data), (off_t)at);
        if (size < 0 || (size == 0 && at < row->size))
            return jq_fail(&fetching->error, JQ_ERR_IO, "%.160s cannot be read", fetching->path);
        const struct jq_store_piece piece = {.offset = at, .data = {data, (size_t)size}};
        err = jq_store_put(fetching->store, row->hash, row->size, &piece, 0, &have, &version, &fetching->error);
        at += (uint64_t)size;
    } while (err == JQ_OK && at < row->size);
    if (err == JQ_OK && version == 0 && !jq_store_holds(fetching->store, row->hash, row->size))
        err = jq_fail(&fetching->error, JQ_ERR_CORRUPT, "a blob did not come whole");
    return err;
}

static enum jq_err put_file(struct fetching *fetching, const struct jq_blob_row *row) {
    const int fd = open(fetching->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return jq_fail(&fetching->error, JQ_ERR_IO, "%.160s cannot be opened", fetching->path);
    const enum jq_err err = put_pieces(fetching, fd, row);
    (void)close(fd);
    (void)unlink(fetching->path);
    return err;
}

static enum jq_err fetch(struct fetching *fetching, const struct jq_blob_row *row) {
    struct jq_blob blob;
    if (jq_store_holds(fetching->store, row->hash, row->size))
        return JQ_OK;
    memcpy(blob.hash, row->hash, sizeof(blob.hash));
    const enum jq_err err = jq_blob_get_file(fetching->ctl->client, &blob, fetching->path, &fetching->error);
    if (err == JQ_ERR_NOT_FOUND && row->refs == 0) {
        fetching->report.gone++;
        return JQ_OK;
    }
    return err == JQ_OK ? put_file(fetching, row) : err;
}

static enum jq_err fetch_all(struct fetching *fetching) {
    struct jq_blob_row row;
    uint32_t at = 0;
    enum jq_err err = JQ_OK;
    while (err == JQ_OK && jq_core_blob_next(fetching->core, &at, &row)) {
        err = fetch(fetching, &row);
        fetching->report.count++;
        fetching->report.bytes += row.size;
    }
    fetching->report.count -= fetching->report.gone;
    return err;
}

int jqctl_backup_blobs(struct jqctl *ctl, const struct jq_core *core, const char *dir,
                       struct jqctl_blobs_report *ret_report) {
    struct fetching fetching = {.ctl = ctl, .core = core};
    struct jq_blob_row row;
    uint32_t at = 0;
    char folder[PATH_SIZE];
    *ret_report = fetching.report;
    if (!jq_core_blob_next(core, &at, &row))
        return JQCTL_DONE;
    (void)snprintf(folder, sizeof(folder), "%s/blobs", dir);
    (void)snprintf(fetching.path, sizeof(fetching.path), "%s/blob.tmp", dir);
    const struct jq_store_config config = {
        .dir = folder, .bytes_max = UINT64_MAX / 2, .idle_ms = INT64_MAX / 2, .ctx = &fetching, .known = is_known};
    enum jq_err err = jq_store_open(&config, &fetching.store, &fetching.error);
    if (err == JQ_OK) {
        err = fetch_all(&fetching);
        jq_store_close(fetching.store);
    }
    *ret_report = fetching.report;
    return err == JQ_OK ? JQCTL_DONE : jqctl_fail_err("blobs", &fetching.error);
}
