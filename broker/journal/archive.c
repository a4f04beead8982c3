#include "broker/journal/archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "broker/journal/segment.h"

enum { LEVEL = 3, NAME_SIZE = JQ_SEGMENT_NAME_SIZE + 16 };
#define HALF_SUFFIX ".zst.tmp"

struct packing {
    const struct jq_disk *disk;
    struct jq_file *from, *to;
    uint64_t size;   /* of the content */
    uint64_t put_at; /* in `to` */
    ZSTD_CCtx *context;
    uint8_t *in, *out;
    size_t in_size, out_size; /* capacities */
    struct jq_error *reterr;
};

static enum jq_err zstd_failed(size_t code, struct jq_error *reterr) {
    return jq_fail(reterr, ZSTD_isError(code) ? JQ_ERR_NOMEM : JQ_ERR_CORRUPT, "archive: compression: %s",
                   ZSTD_getErrorName(code));
}

/* One piece in, whatever comes out written. */
static enum jq_err pack_piece(struct packing *packing, size_t size, bool last) {
    ZSTD_inBuffer in = {.src = packing->in, .size = size};
    bool done = false;
    while (!done) {
        ZSTD_outBuffer out = {.dst = packing->out, .size = packing->out_size};
        const size_t left = ZSTD_compressStream2(packing->context, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return zstd_failed(left, packing->reterr);
        const enum jq_err err = packing->disk->write(packing->disk->ctx, packing->to, packing->out, out.pos,
                                                     packing->put_at, packing->reterr);
        if (err != JQ_OK)
            return err;
        packing->put_at += out.pos;
        done = last ? left == 0 : in.pos == in.size;
    }
    return JQ_OK;
}

static enum jq_err pack_all(struct packing *packing) {
    uint64_t at = 0;
    enum jq_err err = JQ_OK;
    while (err == JQ_OK && at < packing->size) {
        const uint64_t left = packing->size - at;
        const size_t size = left < packing->in_size ? (size_t)left : packing->in_size;
        size_t got = 0;
        err = packing->disk->read(packing->disk->ctx, packing->from, packing->in, size, at, &got, packing->reterr);
        if (err == JQ_OK && got < size)
            err = jq_fail(packing->reterr, JQ_ERR_CORRUPT, "archive: the segment's file ends early");
        at += got;
        if (err == JQ_OK)
            err = pack_piece(packing, got, at == packing->size);
    }
    return err == JQ_OK ? packing->disk->sync(packing->disk->ctx, packing->to, packing->reterr) : err;
}

static enum jq_err pack_file(struct packing *packing) {
    packing->in_size = ZSTD_CStreamInSize();
    packing->out_size = ZSTD_CStreamOutSize();
    packing->context = ZSTD_createCCtx();
    packing->in = malloc(packing->in_size);
    packing->out = malloc(packing->out_size);
    enum jq_err err = JQ_OK;
    if (packing->context == NULL || packing->in == NULL || packing->out == NULL ||
        ZSTD_isError(ZSTD_CCtx_setParameter(packing->context, ZSTD_c_compressionLevel, LEVEL)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(packing->context, ZSTD_c_checksumFlag, 1)) ||
        ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(packing->context, packing->size)))
        err = jq_fail(packing->reterr, JQ_ERR_NOMEM, "archive: out of memory");
    if (err == JQ_OK)
        err = pack_all(packing);
    ZSTD_freeCCtx(packing->context);
    free(packing->in);
    free(packing->out);
    return err;
}

static enum jq_err read_header(const struct jq_disk *disk, const char *dir, const char *name,
                               struct jq_segment_header *ret_header, struct jq_error *reterr) {
    uint8_t bytes[JQ_SEGMENT_HEADER_SIZE];
    char path[JQ_DISK_PATH_SIZE_MAX];
    struct jq_file *file = NULL;
    size_t got = 0;
    enum jq_err err = jq_disk_path(path, dir, name, reterr);
    if (err == JQ_OK)
        err = disk->open(disk->ctx, path, JQ_DISK_READ, &file, reterr);
    if (err == JQ_OK)
        err = disk->read(disk->ctx, file, bytes, sizeof(bytes), 0, &got, reterr);
    disk->close(disk->ctx, file);
    if (err == JQ_OK && got < sizeof(bytes))
        err = jq_fail(reterr, JQ_ERR_CORRUPT, "%s: shorter than the header of a segment", name);
    return err == JQ_OK ? jq_segment_header_decode(bytes, name, ret_header, reterr) : err;
}

/* What has the name there already was put there before a crash, and is replaced; unless it is another log's. What cannot be read is
 * nobody's: a whole file had been synced before it got its name. */
static enum jq_err check_name(const struct jq_disk *disk, const char *dir, const char *archive_dir, const char *name,
                              struct jq_error *reterr) {
    struct jq_archive_disk *archive = NULL;
    struct jq_segment_header ours, theirs;
    enum jq_err err = jq_archive_disk_new(disk, NULL, &archive, reterr);
    if (err != JQ_OK)
        return err;
    err = read_header(jq_archive_disk(archive), archive_dir, name, &theirs, NULL);
    jq_archive_disk_free(archive);
    if (err == JQ_ERR_NOT_FOUND || err == JQ_ERR_CORRUPT)
        return JQ_OK;
    if (err != JQ_OK)
        return jq_fail(reterr, err, "archive: %.100s: %s is there and cannot be read", archive_dir, name);
    err = read_header(disk, dir, name, &ours, reterr);
    if (err == JQ_OK && !jq_uuid_equal(&ours.log_id, &theirs.log_id))
        err = jq_fail(reterr, JQ_ERR_FOREIGN, "archive: %.100s: %s is a segment of another log", archive_dir, name);
    return err;
}

/* Paths of one archiving. */
struct places {
    char from[JQ_DISK_PATH_SIZE_MAX], half[JQ_DISK_PATH_SIZE_MAX], whole[JQ_DISK_PATH_SIZE_MAX];
};

static enum jq_err find_places(const char *dir, const char *archive_dir, const char *name, struct places *places,
                               struct jq_error *reterr) {
    char with[NAME_SIZE];
    enum jq_err err = jq_disk_path(places->from, dir, name, reterr);
    (void)snprintf(with, sizeof(with), "%s" HALF_SUFFIX, name);
    if (err == JQ_OK)
        err = jq_disk_path(places->half, archive_dir, with, reterr);
    (void)snprintf(with, sizeof(with), "%s" JQ_ARCHIVE_SUFFIX, name);
    return err == JQ_OK ? jq_disk_path(places->whole, archive_dir, with, reterr) : err;
}

static enum jq_err put(const struct jq_disk *disk, const struct places *places, uint64_t size,
                       struct jq_error *reterr) {
    struct packing packing = {.disk = disk, .size = size, .reterr = reterr};
    enum jq_err err = disk->open(disk->ctx, places->from, JQ_DISK_READ, &packing.from, reterr);
    if (err == JQ_OK)
        err = disk->open(disk->ctx, places->half, JQ_DISK_CREATE, &packing.to, reterr);
    if (err == JQ_OK)
        err = pack_file(&packing);
    disk->close(disk->ctx, packing.from);
    disk->close(disk->ctx, packing.to);
    if (err == JQ_OK)
        return disk->rename(disk->ctx, places->half, places->whole, reterr);
    (void)disk->unlink(disk->ctx, places->half, NULL);
    return err;
}

/* A deletion got as far as the unlink, and no further: the segment is here already. */
static bool moved_before(const struct jq_disk *disk, const struct places *places) {
    struct jq_file *from = NULL, *whole = NULL;
    const bool gone = disk->open(disk->ctx, places->from, JQ_DISK_READ, &from, NULL) == JQ_ERR_NOT_FOUND;
    const bool here = gone && disk->open(disk->ctx, places->whole, JQ_DISK_READ, &whole, NULL) == JQ_OK;
    disk->close(disk->ctx, from);
    disk->close(disk->ctx, whole);
    return here;
}

enum jq_err jq_archive_segment(const struct jq_disk *disk, const char *dir, const struct jq_journal_segment *segment,
                               const char *archive_dir, struct jq_error *reterr) {
    char name[JQ_SEGMENT_NAME_SIZE];
    struct places places;
    jq_segment_name(segment->base_lsn, name);
    enum jq_err err = find_places(dir, archive_dir, name, &places, reterr);
    if (err == JQ_OK)
        err = disk->make_dir(disk->ctx, archive_dir, reterr);
    if (err == JQ_OK)
        err = check_name(disk, dir, archive_dir, name, reterr);
    if (err == JQ_OK)
        err = put(disk, &places, JQ_SEGMENT_HEADER_SIZE + segment->end_lsn - segment->base_lsn, reterr);
    if (err == JQ_ERR_NOT_FOUND && moved_before(disk, &places))
        return JQ_OK;
    return err == JQ_OK ? disk->sync_dir(disk->ctx, archive_dir, reterr) : err;
}

/* ---- after a crash ---- */

struct tidying {
    const struct jq_disk *disk;
    const char *dir;
    struct jq_error *reterr;
};

static enum jq_err tidy_name(void *ctx, const char *name) {
    const struct tidying *tidying = ctx;
    const size_t size = strlen(name), suffix = strlen(HALF_SUFFIX);
    char path[JQ_DISK_PATH_SIZE_MAX];
    if (size != JQ_SEGMENT_NAME_SIZE - 1 + suffix || strcmp(name + size - suffix, HALF_SUFFIX) != 0)
        return JQ_OK;
    const enum jq_err err = jq_disk_path(path, tidying->dir, name, tidying->reterr);
    return err == JQ_OK ? tidying->disk->unlink(tidying->disk->ctx, path, tidying->reterr) : err;
}

enum jq_err jq_archive_tidy(const struct jq_disk *disk, const char *archive_dir, struct jq_error *reterr) {
    struct tidying tidying = {.disk = disk, .dir = archive_dir, .reterr = reterr};
    const enum jq_err err = disk->make_dir(disk->ctx, archive_dir, reterr);
    return err == JQ_OK ? disk->list(disk->ctx, archive_dir, tidy_name, &tidying, reterr) : err;
}
