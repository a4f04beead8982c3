/* archive_disk.c - compressed segments read as if they were files. */
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "broker/journal/archive.h"
#include "broker/journal/segment.h"

struct jq_archive_disk {
    struct jq_disk disk; /* what readers see */
    const struct jq_disk *under;
    const char *archive_dir; /* NULL: none */
};

/* What open() gives, as a struct jq_file. */
struct packed {
    struct jq_file *file;
    bool plain;    /* not compressed: everything below is unused */
    uint64_t size; /* of the content */
    uint64_t at;   /* content so far */
    ZSTD_DCtx *context;
    uint8_t *in;
    size_t in_capacity, in_size, in_at; /* of `in` */
    uint64_t read_at;                   /* in the file */
};

static struct packed *packed_of(struct jq_file *file) {
    return (struct packed *)(void *)file;
}

/* ---- reading ---- */

static void packed_close(void *ctx, struct jq_file *file) {
    const struct jq_archive_disk *archive = ctx;
    struct packed *packed = packed_of(file);
    if (packed == NULL)
        return;
    archive->under->close(archive->under->ctx, packed->file);
    ZSTD_freeDCtx(packed->context);
    free(packed->in);
    free(packed);
}

static void rewind_packed(struct packed *packed) {
    (void)ZSTD_DCtx_reset(packed->context, ZSTD_reset_session_only);
    packed->at = packed->read_at = 0;
    packed->in_size = packed->in_at = 0;
}

/* Decompresses up to `size` bytes of what comes next into `data`. *ret_size 0: the end. */
static enum jq_err unpack_some(const struct jq_archive_disk *archive, struct packed *packed, uint8_t *data, size_t size,
                               size_t *ret_size, struct jq_error *reterr) {
    const struct jq_disk *under = archive->under;
    ZSTD_outBuffer out = {.dst = data, .size = size};
    while (out.pos == 0) {
        if (packed->in_at == packed->in_size) {
            const enum jq_err err = under->read(under->ctx, packed->file, packed->in, packed->in_capacity,
                                                packed->read_at, &packed->in_size, reterr);
            if (err != JQ_OK)
                return err;
            packed->in_at = 0;
            packed->read_at += packed->in_size;
        }
        ZSTD_inBuffer in = {.src = packed->in, .size = packed->in_size, .pos = packed->in_at};
        const size_t left = ZSTD_decompressStream(packed->context, &out, &in);
        if (ZSTD_isError(left))
            return jq_fail(reterr, JQ_ERR_CORRUPT, "a compressed segment is damaged: %s", ZSTD_getErrorName(left));
        packed->in_at = in.pos;
        if (out.pos == 0 && packed->in_size == 0)
            return jq_fail(reterr, JQ_ERR_CORRUPT, "a compressed segment ends early");
    }
    packed->at += out.pos;
    *ret_size = out.pos;
    return JQ_OK;
}

static enum jq_err skip_to(const struct jq_archive_disk *archive, struct packed *packed, uint64_t offset,
                           struct jq_error *reterr) {
    uint8_t passed_over[16 * 1024];
    enum jq_err err = JQ_OK;
    if (offset < packed->at)
        rewind_packed(packed);
    while (err == JQ_OK && packed->at < offset) {
        const uint64_t left = offset - packed->at;
        size_t got = 0;
        err = unpack_some(archive, packed, passed_over, left < sizeof(passed_over) ? (size_t)left : sizeof(passed_over),
                          &got, reterr);
    }
    return err;
}

static enum jq_err packed_read(void *ctx, struct jq_file *file, void *data, size_t size, uint64_t offset,
                               size_t *ret_size, struct jq_error *reterr) {
    const struct jq_archive_disk *archive = ctx;
    struct packed *packed = packed_of(file);
    if (packed->plain)
        return archive->under->read(archive->under->ctx, packed->file, data, size, offset, ret_size, reterr);
    const uint64_t left = offset < packed->size ? packed->size - offset : 0;
    const size_t wanted = left < size ? (size_t)left : size;
    size_t done = 0;
    enum jq_err err = wanted > 0 ? skip_to(archive, packed, offset, reterr) : JQ_OK;
    while (err == JQ_OK && done < wanted) {
        size_t got = 0;
        err = unpack_some(archive, packed, (uint8_t *)data + done, wanted - done, &got, reterr);
        done += got;
    }
    if (err == JQ_OK)
        *ret_size = done;
    return err;
}

static enum jq_err packed_size(void *ctx, struct jq_file *file, uint64_t *ret_size, struct jq_error *reterr) {
    const struct jq_archive_disk *archive = ctx;
    const struct packed *packed = packed_of(file);
    if (packed->plain)
        return archive->under->size(archive->under->ctx, packed->file, ret_size, reterr);
    *ret_size = packed->size;
    return JQ_OK;
}

/* ---- opening ---- */

/* The frame's own word for the size of its content. */
static enum jq_err begin_frame(const struct jq_archive_disk *archive, struct packed *packed, const char *path,
                               struct jq_error *reterr) {
    packed->context = ZSTD_createDCtx();
    packed->in_capacity = ZSTD_DStreamInSize();
    packed->in = malloc(packed->in_capacity);
    if (packed->context == NULL || packed->in == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "compressed segment: out of memory");
    size_t got = 0;
    const enum jq_err err =
        archive->under->read(archive->under->ctx, packed->file, packed->in, packed->in_capacity, 0, &got, reterr);
    if (err != JQ_OK)
        return err;
    const unsigned long long size = ZSTD_getFrameContentSize(packed->in, got);
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
        return jq_fail(reterr, JQ_ERR_CORRUPT, "%.200s: no zstd frame that tells its size", path);
    packed->size = size;
    rewind_packed(packed);
    return JQ_OK;
}

static enum jq_err try_open(const struct jq_archive_disk *archive, const char *dir, const char *name, bool plain,
                            struct jq_file **ret_file, struct jq_error *reterr) {
    char path[JQ_DISK_PATH_SIZE_MAX], with[JQ_SEGMENT_NAME_SIZE + sizeof(JQ_ARCHIVE_SUFFIX)];
    struct packed *packed = calloc(1, sizeof(*packed));
    if (packed == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "segment: out of memory");
    packed->plain = plain;
    (void)snprintf(with, sizeof(with), "%.24s%s", name, plain ? "" : JQ_ARCHIVE_SUFFIX);
    enum jq_err err = jq_disk_path(path, dir, with, reterr);
    if (err == JQ_OK)
        err = archive->under->open(archive->under->ctx, path, JQ_DISK_READ, &packed->file, reterr);
    if (err == JQ_OK && !plain)
        err = begin_frame(archive, packed, path, reterr);
    if (err == JQ_OK)
        *ret_file = (struct jq_file *)(void *)packed;
    else
        packed_close((void *)(uintptr_t)archive, (struct jq_file *)(void *)packed);
    return err;
}

static enum jq_err packed_open(void *ctx, const char *path, enum jq_disk_mode mode, struct jq_file **ret_file,
                               struct jq_error *reterr) {
    const struct jq_archive_disk *archive = ctx;
    char dir[JQ_DISK_PATH_SIZE_MAX] = ".";
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    JQ_CHECK(mode == JQ_DISK_READ && strlen(name) < JQ_SEGMENT_NAME_SIZE);
    if (slash != NULL)
        (void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
    enum jq_err err = try_open(archive, dir, name, true, ret_file, reterr);
    if (err == JQ_ERR_NOT_FOUND)
        err = try_open(archive, dir, name, false, ret_file, reterr);
    if (err == JQ_ERR_NOT_FOUND && archive->archive_dir != NULL)
        err = try_open(archive, archive->archive_dir, name, true, ret_file, reterr);
    if (err == JQ_ERR_NOT_FOUND && archive->archive_dir != NULL)
        err = try_open(archive, archive->archive_dir, name, false, ret_file, reterr);
    return err;
}

/* ---- names ---- */

struct names {
    uint64_t *lsns;
    size_t count, capacity;
};

static enum jq_err add_name(void *name_ctx, const char *name) {
    struct names *names = name_ctx;
    char plain[JQ_SEGMENT_NAME_SIZE];
    uint64_t lsn = 0;
    const size_t size = strlen(name), suffix = strlen(JQ_ARCHIVE_SUFFIX);
    const bool compressed = size > suffix && strcmp(name + size - suffix, JQ_ARCHIVE_SUFFIX) == 0;
    if (size - (compressed ? suffix : 0) != JQ_SEGMENT_NAME_SIZE - 1)
        return JQ_OK;
    memcpy(plain, name, JQ_SEGMENT_NAME_SIZE - 1);
    plain[JQ_SEGMENT_NAME_SIZE - 1] = '\0';
    if (!jq_segment_name_parse(plain, &lsn))
        return JQ_OK;
    if (names->count == names->capacity) {
        const size_t capacity = names->capacity == 0 ? 64 : 2 * names->capacity;
        uint64_t *lsns = realloc(names->lsns, capacity * sizeof(*lsns));
        if (lsns == NULL)
            return JQ_ERR_NOMEM;
        names->lsns = lsns;
        names->capacity = capacity;
    }
    names->lsns[names->count++] = lsn;
    return JQ_OK;
}

static int compare_lsn(const void *left, const void *right) {
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Each once: a crash may have left a segment in both places. */
static enum jq_err tell_names(struct names *names, enum jq_err (*on_name)(void *name_ctx, const char *name),
                              void *name_ctx) {
    enum jq_err err = JQ_OK;
    if (names->count > 0)
        qsort(names->lsns, names->count, sizeof(*names->lsns), compare_lsn);
    for (size_t i = 0; i < names->count && err == JQ_OK; i++) {
        char name[JQ_SEGMENT_NAME_SIZE];
        jq_segment_name(names->lsns[i], name);
        if (i == 0 || names->lsns[i] != names->lsns[i - 1])
            err = on_name(name_ctx, name);
    }
    return err;
}

static enum jq_err packed_list(void *ctx, const char *dir, enum jq_err (*on_name)(void *name_ctx, const char *name),
                               void *name_ctx, struct jq_error *reterr) {
    const struct jq_archive_disk *archive = ctx;
    const struct jq_disk *under = archive->under;
    struct names names = {.count = 0};
    struct jq_error error = {.code = JQ_OK};
    enum jq_err err = under->list(under->ctx, dir, add_name, &names, &error);
    if (err == JQ_OK && archive->archive_dir != NULL)
        err = under->list(under->ctx, archive->archive_dir, add_name, &names, &error);
    if (err != JQ_OK)
        jq_fail(reterr, err, "%s", error.code != JQ_OK ? error.message : jq_err_text(err));
    else
        err = tell_names(&names, on_name, name_ctx);
    free(names.lsns);
    return err;
}

/* ---- beginning and end ---- */

enum jq_err jq_archive_disk_new(const struct jq_disk *under, const char *archive_dir, struct jq_archive_disk **ret_disk,
                                struct jq_error *reterr) {
    struct jq_archive_disk *archive = calloc(1, sizeof(*archive));
    if (archive == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "archive: out of memory");
    archive->under = under;
    archive->archive_dir = archive_dir;
    archive->disk = (struct jq_disk){.ctx = archive,
                                     .open = packed_open,
                                     .close = packed_close,
                                     .read = packed_read,
                                     .size = packed_size,
                                     .list = packed_list};
    *ret_disk = archive;
    return JQ_OK;
}

void jq_archive_disk_free(struct jq_archive_disk *archive) {
    free(archive);
}

const struct jq_disk *jq_archive_disk(const struct jq_archive_disk *archive) {
    return &archive->disk;
}
