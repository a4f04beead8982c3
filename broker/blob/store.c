#define _GNU_SOURCE
#include "broker/blob/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "broker/blob/internal.h"
#include "broker/blob/upload.h"
#include "common/map.h"
#include "common/text.h"

enum {
    UPLOADS_MAX = 64,
    UPLOAD_IDLE_MS = 10000, /* after so long another put may take its place; it can be gone on with all the same */
    PREFIXES = 256,
    SUMS_MAX = 4, /* made beside the writing; each keeps some pieces in memory */
};

struct jq_store {
    struct jq_store_config config;
    char dir[BLOB_PATH_SIZE];
    uint64_t used_bytes;
    uint32_t version;
    struct jq_map versions; /* of files of this run, by the first bytes of their hash */
    struct jq_map
        sizes; /* how many files of that size have the name of a hash, be they whole or coming; drafts do not count */
    struct upload uploads[UPLOADS_MAX];
};

/* ---- names ---- */

static struct coming coming_of(const struct upload *upload) {
    return (struct coming){upload->hash, upload->size, upload->draft};
}

/* Without memory one is not counted: then somebody sends as a draft what is stored already. */
static void count_size(struct jq_store *store, uint64_t size, bool more) {
    const uint32_t count = jq_map_get(&store->sizes, size, 0);
    if (more) {
        (void)jq_map_put(&store->sizes, size, count + 1);
    } else if (count > 1) {
        (void)jq_map_put(&store->sizes, size, count - 1);
    } else {
        (void)jq_map_remove(&store->sizes, size);
    }
}

/* Two that share their first bytes share a version: then a file may stay until the next start. */
static uint64_t version_key(const uint8_t *hash) {
    uint64_t key = 0;
    memcpy(&key, hash, sizeof(key));
    return key;
}

uint32_t jq_store_version(const struct jq_store *store, const uint8_t *hash) {
    return jq_map_get(&store->versions, version_key(hash), 0);
}

/* Size of the whole that DIR/XX/HASH holds; false: there is no such file. */
static bool stored_size(const struct jq_store *store, const uint8_t *hash, uint64_t *ret_size) {
    char path[BLOB_PATH_SIZE];
    const int fd = blob_path(store->dir, hash, path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    const bool found = fd >= 0 && blob_size_of(fd, ret_size, NULL) == JQ_OK;
    if (fd >= 0) {
        (void)close(fd);
    }
    return found;
}

bool jq_store_holds(const struct jq_store *store, const uint8_t *hash, uint64_t size) {
    uint64_t found = 0;
    return stored_size(store, hash, &found) && found == size;
}

static enum jq_err sync_dir(const char *path, struct jq_error *reterr) {
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool done = fd >= 0 && fsync(fd) == 0;
    const int failed = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    return done ? JQ_OK : jq_fail_errno(reterr, failed, "%.200s", path);
}

/* ---- what is coming ---- */

static struct upload *upload_find(struct jq_store *store, const struct coming *coming) {
    for (int i = 0; i < UPLOADS_MAX; i++) {
        struct upload *upload = &store->uploads[i];
        if (upload->fd >= 0 && upload->draft == coming->draft &&
            (coming->size == UINT64_MAX || upload->size == coming->size) &&
            memcmp(upload->hash, coming->hash, JQ_BLOB_HASH_SIZE) == 0) {
            return upload;
        }
    }
    return NULL;
}

/* Has any of it been put, now or before a restart? */
static bool has_begun(struct jq_store *store, const struct coming *coming) {
    char path[BLOB_PATH_SIZE];
    return upload_find(store, coming) || (blob_tmp_path(store->dir, coming, path) && access(path, F_OK) == 0);
}

/* A free place, or that of one that nobody goes on with. */
static struct upload *upload_place(struct jq_store *store, int64_t now_ms) {
    struct upload *oldest = &store->uploads[0];
    for (int i = 0; i < UPLOADS_MAX; i++) {
        if (store->uploads[i].fd < 0) {
            return &store->uploads[i];
        }
        oldest = store->uploads[i].used_ms < oldest->used_ms ? &store->uploads[i] : oldest;
    }
    if (now_ms - oldest->used_ms < UPLOAD_IDLE_MS) {
        return NULL;
    }
    upload_close(oldest);
    return oldest;
}

/* Is there room for `bytes` more beside what is to be left to the journal? */
static enum jq_err check_disk(const struct jq_store *store, uint64_t bytes, struct jq_error *reterr) {
    struct statvfs disk;
    if (statvfs(store->dir, &disk) != 0) {
        return jq_fail_errno(reterr, errno, "%.200s", store->dir);
    }
    const uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    const uint64_t least = store->config.disk_free_min;
    return free_bytes >= least && free_bytes - least >= bytes
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_BUSY, "the disk has %llu bytes left (disk_free_min: %llu)",
                         (unsigned long long)free_bytes, (unsigned long long)least);
}

/* Room for a new one in the quota, and on the disk? */
static enum jq_err check_room(const struct jq_store *store, uint64_t size, struct jq_error *reterr) {
    if (size > store->config.bytes_max || store->used_bytes > store->config.bytes_max - size) {
        return jq_fail(reterr, JQ_ERR_NO_SPACE, "the store is full: %llu of %llu bytes",
                       (unsigned long long)store->used_bytes, (unsigned long long)store->config.bytes_max);
    }
    return check_disk(store, size, reterr);
}

static void upload_begun(struct jq_store *store, const struct coming *coming) {
    store->used_bytes += coming->size;
    if (!coming->draft) {
        count_size(store, coming->size, true);
    }
}

static enum jq_err upload_get(struct jq_store *store, const struct coming *coming, int64_t now_ms,
                              struct upload **ret_upload, struct jq_error *reterr) {
    char path[BLOB_PATH_SIZE];
    struct upload *upload = upload_find(store, coming);
    if (upload) {
        upload->used_ms = now_ms;
        *ret_upload = upload;
        return JQ_OK;
    }
    upload = upload_place(store, now_ms);
    if (!upload) {
        return jq_fail(reterr, JQ_ERR_BUSY, "%d blobs are coming already", UPLOADS_MAX);
    }
    if (!blob_tmp_path(store->dir, coming, path)) {
        return jq_fail(reterr, JQ_ERR_IO, "%.200s: path too long", store->dir);
    }
    const bool begun = access(path, F_OK) == 0;
    enum jq_err err = begun ? JQ_OK : check_room(store, coming->size, reterr);
    err = err == JQ_OK ? upload_open(upload, path, coming->hash, coming->size, reterr) : err;
    if (err != JQ_OK) {
        return err;
    }
    if (!begun) {
        upload_begun(store, coming);
    }
    upload->draft = coming->draft;
    upload->used_ms = now_ms;
    *ret_upload = upload;
    return JQ_OK;
}

/* Its file, open or not. */
static void coming_discard(struct jq_store *store, const struct coming *coming) {
    char path[BLOB_PATH_SIZE];
    struct upload *upload = upload_find(store, coming);
    if (blob_tmp_path(store->dir, coming, path) && unlink(path) == 0) {
        store->used_bytes -= coming->size;
        if (!coming->draft) {
            count_size(store, coming->size, false);
        }
    }
    if (upload) {
        upload_close(upload);
    }
}

static void upload_discard(struct jq_store *store, struct upload *upload) {
    const struct coming coming = coming_of(upload);
    coming_discard(store, &coming);
}

/* Renames it to its name. Whole, synced. */
static enum jq_err place_file(struct jq_store *store, const struct upload *upload, struct jq_error *reterr) {
    char from[BLOB_PATH_SIZE], to[BLOB_PATH_SIZE];
    uint64_t before = 0;
    const bool replaces = stored_size(store, upload->hash, &before);
    const struct coming coming = coming_of(upload);
    if (!blob_tmp_path(store->dir, &coming, from) || !blob_path(store->dir, upload->hash, to)) {
        return jq_fail(reterr, JQ_ERR_IO, "%.200s: path too long", store->dir);
    }
    char *slash = strrchr(to, '/');
    *slash = '\0';
    const bool made = mkdir(to, 0700) == 0;
    *slash = '/';
    if (rename(from, to) != 0) {
        return jq_fail_errno(reterr, errno, "%.200s", to);
    }
    if (replaces) {
        store->used_bytes -= before;
        count_size(store, before, false);
    }
    *slash = '\0';
    enum jq_err err = sync_dir(to, reterr);
    if (err == JQ_OK && made) {
        err = sync_dir(store->dir, reterr);
    }
    return err;
}

static enum jq_err finish(struct jq_store *store, struct upload *upload, uint32_t *ret_version,
                          struct jq_error *reterr) {
    enum jq_err err = upload_finish(upload, reterr);
    if (err == JQ_OK) {
        err = place_file(store, upload, reterr);
    }
    if (err != JQ_OK) {
        upload_discard(store, upload);
        return err;
    }
    store->version++;
    if (!jq_map_put(&store->versions, version_key(upload->hash), store->version)) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "blob");
    }
    *ret_version = store->version;
    upload_close(upload);
    return JQ_OK;
}

/* ---- puts ---- */

enum jq_err jq_store_have(struct jq_store *store, const uint8_t *hash, uint64_t size, int64_t now_ms,
                          uint64_t *ret_have, bool *ret_on_disk, struct jq_error *reterr) {
    struct upload *upload = NULL;
    enum jq_err err = JQ_OK;
    uint64_t found = 0;
    const struct coming coming = {.hash = hash, .size = size};
    const bool on_disk = stored_size(store, hash, &found) && (size == UINT64_MAX || found == size);
    if (size == UINT64_MAX) {
        upload = upload_find(store, &coming);
    } else if (!on_disk) {
        err = upload_get(store, &coming, now_ms, &upload, reterr);
    }
    if (err == JQ_OK) {
        *ret_on_disk = on_disk;
        *ret_have = upload ? upload_have(upload) : 0;
    }
    return err;
}

/* One more sum may be made beside the writing. Those of puts that nobody goes on with make room. */
static bool room_beside(struct jq_store *store, const struct upload *upload, int64_t now_ms) {
    int count = 0;
    for (int i = 0; i < UPLOADS_MAX && !upload->hasher; i++) {
        struct upload *other = &store->uploads[i];
        if (now_ms - other->used_ms >= UPLOAD_IDLE_MS) {
            upload_rest(other);
        }
        count += other->hasher != NULL;
    }
    return count < SUMS_MAX;
}

static enum jq_err put_piece(struct jq_store *store, const uint8_t *hash, uint64_t size,
                             const struct jq_store_piece *piece, int64_t now_ms, uint64_t *ret_have,
                             uint32_t *ret_version, bool *ret_kept, struct jq_error *reterr) {
    struct upload *upload = NULL;
    uint64_t found = 0;
    const struct coming coming = {.hash = hash, .size = size, .draft = piece->draft};
    *ret_version = 0;
    if (piece->draft && !has_begun(store, &coming)) {
        return jq_fail(reterr, JQ_ERR_NOT_FOUND, "no such draft has begun");
    }
    /* A piece that comes after the last, of another who puts the same. */
    if (!piece->draft && !upload_find(store, &coming) && stored_size(store, hash, &found) && found == size) {
        *ret_have = size;
        return JQ_OK;
    }
    enum jq_err err = check_disk(store, piece->data.size, reterr);
    err = err == JQ_OK ? upload_get(store, &coming, now_ms, &upload, reterr) : err;
    if (err != JQ_OK) {
        return err;
    }
    if (size > 0) {
        const bool beside = piece->release && room_beside(store, upload, now_ms);
        err = upload_put(upload, piece, beside, ret_kept, reterr);
    }
    if (err != JQ_OK) {
        upload_discard(store, upload);
        return err;
    }
    *ret_have = upload_have(upload);
    return upload_is_whole(upload) && !upload->draft ? finish(store, upload, ret_version, reterr) : JQ_OK;
}

enum jq_err jq_store_put(struct jq_store *store, const uint8_t *hash, uint64_t size, const struct jq_store_piece *piece,
                         int64_t now_ms, uint64_t *ret_have, uint32_t *ret_version, struct jq_error *reterr) {
    bool kept = false;
    const enum jq_err err = put_piece(store, hash, size, piece, now_ms, ret_have, ret_version, &kept, reterr);
    if (piece->release && !kept) {
        piece->release(piece->ctx);
    }
    return err;
}

/* ---- drafts ---- */

enum jq_err jq_store_draft(struct jq_store *store, const uint8_t *name, uint64_t size, int64_t now_ms,
                           uint64_t *ret_have, bool *ret_taken, struct jq_error *reterr) {
    const struct coming coming = {.hash = name, .size = size, .draft = true};
    struct upload *upload = NULL;
    *ret_have = 0;
    *ret_taken = has_begun(store, &coming) || jq_map_get(&store->sizes, size, 0) == 0;
    const enum jq_err err = *ret_taken ? upload_get(store, &coming, now_ms, &upload, reterr) : JQ_OK;
    if (upload) {
        *ret_have = upload_have(upload);
    }
    return err;
}

/* From now on it comes under its hash. */
static enum jq_err rename_draft(struct jq_store *store, struct upload *upload, const uint8_t *hash,
                                struct jq_error *reterr) {
    char from[BLOB_PATH_SIZE], to[BLOB_PATH_SIZE];
    const struct coming draft = coming_of(upload), coming = {.hash = hash, .size = upload->size};
    if (!blob_tmp_path(store->dir, &draft, from) || !blob_tmp_path(store->dir, &coming, to) || rename(from, to) != 0) {
        return jq_fail_errno(reterr, errno, "%.200s: a draft cannot be named", store->dir);
    }
    memcpy(upload->hash, hash, sizeof(upload->hash));
    upload->draft = false;
    count_size(store, upload->size, true);
    return JQ_OK;
}

enum jq_err jq_store_name(struct jq_store *store, const uint8_t *name, const uint8_t *hash, uint64_t size,
                          int64_t now_ms, uint64_t *ret_have, bool *ret_on_disk, uint32_t *ret_version,
                          struct jq_error *reterr) {
    const struct coming draft = {.hash = name, .size = size, .draft = true}, coming = {.hash = hash, .size = size};
    struct upload *upload = NULL;
    *ret_version = 0;
    *ret_on_disk = false;
    if (jq_store_holds(store, hash, size) || has_begun(store, &coming)) {
        coming_discard(store, &draft); /* others were quicker */
    }
    if (!has_begun(store, &draft)) {
        return jq_store_have(store, hash, size, now_ms, ret_have, ret_on_disk, reterr);
    }
    enum jq_err err = upload_get(store, &draft, now_ms, &upload, reterr);
    err = err == JQ_OK ? rename_draft(store, upload, hash, reterr) : err;
    if (err != JQ_OK) {
        return err;
    }
    *ret_have = upload_have(upload);
    return upload_is_whole(upload) ? finish(store, upload, ret_version, reterr) : JQ_OK;
}

/* ---- removing ---- */

static enum jq_err remove_file(struct jq_store *store, const uint8_t *hash, struct jq_error *reterr) {
    char path[BLOB_PATH_SIZE];
    struct stat status;
    uint64_t size = 0;
    if (!blob_path(store->dir, hash, path) || stat(path, &status) != 0) {
        return JQ_OK;
    }
    if (!stored_size(store, hash, &size)) {
        size = (uint64_t)status.st_size; /* damaged: about as much */
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        return jq_fail_errno(reterr, errno, "%.200s", path);
    }
    store->used_bytes -= size < store->used_bytes ? size : store->used_bytes;
    count_size(store, size, false);
    (void)jq_map_remove(&store->versions, version_key(hash));
    return JQ_OK;
}

enum jq_err jq_store_drop(struct jq_store *store, const uint8_t *hash, uint32_t version, struct jq_error *reterr) {
    return jq_store_version(store, hash) == version ? remove_file(store, hash, reterr) : JQ_OK;
}

bool jq_store_drop_inode(struct jq_store *store, const uint8_t *hash, uint64_t inode) {
    char path[BLOB_PATH_SIZE];
    struct stat status;
    return blob_path(store->dir, hash, path) && stat(path, &status) == 0 && status.st_ino == inode &&
           remove_file(store, hash, NULL) == JQ_OK;
}

uint64_t jq_store_used_bytes(const struct jq_store *store) {
    return store->used_bytes;
}

/* ---- looking through the folders ---- */

/* `DIR/name`, and everything in it. */
static enum jq_err each_in(struct jq_store *store, const char *name,
                           void (*look)(struct jq_store *store, int dir_fd, const char *file, void *ctx), void *ctx,
                           struct jq_error *reterr) {
    char path[BLOB_PATH_SIZE];
    if (snprintf(path, sizeof(path), "%s/%s", store->dir, name) >= (int)sizeof(path)) {
        return jq_fail(reterr, JQ_ERR_IO, "%.200s: path too long", store->dir);
    }
    DIR *dir = opendir(path);
    if (!dir) {
        return errno == ENOENT ? JQ_OK : jq_fail_errno(reterr, errno, "%.200s", path);
    }
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            look(store, dirfd(dir), entry->d_name, ctx);
        }
    }
    (void)closedir(dir);
    return JQ_OK;
}

static void look_at_blob(struct jq_store *store, int dir_fd, const char *file, void *ctx) {
    uint8_t hash[JQ_BLOB_HASH_SIZE];
    uint64_t size = 0;
    (void)ctx;
    if (jq_text_parse_hex(jq_str_of(file), hash, sizeof(hash), NULL) != JQ_OK) {
        return; /* not ours */
    }
    const int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
    const enum jq_err err = fd >= 0 ? blob_size_of(fd, &size, NULL) : JQ_ERR_IO;
    if (fd >= 0) {
        (void)close(fd);
    }
    /* One that cannot be read today may be read tomorrow. */
    if (!store->config.known(store->config.ctx, hash) || err == JQ_ERR_CORRUPT) {
        (void)unlinkat(dir_fd, file, 0);
    } else {
        store->used_bytes += size;
        count_size(store, size, true);
    }
}

static void look_at_begun(struct jq_store *store, int dir_fd, const char *file, void *ctx) {
    struct coming coming = {.hash = NULL};
    (void)ctx;
    if (blob_tmp_parse(file, &coming.size, &coming.draft) && coming.size <= store->config.bytes_max) {
        upload_begun(store, &coming);
    } else {
        (void)unlinkat(dir_fd, file, 0);
    }
}

static bool is_open(const struct jq_store *store, const char *file) {
    for (int i = 0; i < UPLOADS_MAX; i++) {
        char path[BLOB_PATH_SIZE];
        const struct upload *upload = &store->uploads[i];
        const struct coming coming = coming_of(upload);
        if (upload->fd >= 0 && blob_tmp_path(store->dir, &coming, path) && strcmp(strrchr(path, '/') + 1, file) == 0) {
            return true;
        }
    }
    return false;
}

/* By the file's own clock: nobody has written to it for so long. */
static void sweep_begun(struct jq_store *store, int dir_fd, const char *file, void *ctx) {
    const int64_t *since_s = ctx;
    struct stat status;
    uint64_t size = 0;
    bool draft = false;
    if (is_open(store, file) || fstatat(dir_fd, file, &status, 0) != 0 || status.st_mtim.tv_sec > *since_s ||
        unlinkat(dir_fd, file, 0) != 0) {
        return;
    }
    const bool ours = blob_tmp_parse(file, &size, &draft);
    store->used_bytes -= size < store->used_bytes ? size : store->used_bytes;
    if (ours && !draft) {
        count_size(store, size, false);
    }
}

void jq_store_sweep(struct jq_store *store, int64_t now_ms, int64_t wall_ms) {
    int64_t since_s = (wall_ms - store->config.idle_ms) / 1000;
    for (int i = 0; i < UPLOADS_MAX; i++) {
        if (store->uploads[i].fd >= 0 && now_ms - store->uploads[i].used_ms >= store->config.idle_ms) {
            upload_close(&store->uploads[i]);
        }
    }
    (void)each_in(store, "tmp", sweep_begun, &since_s, NULL);
}

/* ---- opening ---- */

static enum jq_err scan(struct jq_store *store, struct jq_error *reterr) {
    enum jq_err err = each_in(store, "tmp", look_at_begun, NULL, reterr);
    for (unsigned i = 0; i < PREFIXES && err == JQ_OK; i++) {
        char name[3];
        (void)snprintf(name, sizeof(name), "%02x", i & 0xff);
        err = each_in(store, name, look_at_blob, NULL, reterr);
    }
    return err;
}

static enum jq_err make_dirs(const struct jq_store *store, struct jq_error *reterr) {
    char path[BLOB_PATH_SIZE];
    if (mkdir(store->dir, 0700) != 0 && errno != EEXIST) {
        return jq_fail_errno(reterr, errno, "%.200s", store->dir);
    }
    if (snprintf(path, sizeof(path), "%s/tmp", store->dir) >= (int)sizeof(path)) {
        return jq_fail(reterr, JQ_ERR_IO, "%.200s: path too long", store->dir);
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return jq_fail_errno(reterr, errno, "%.200s", path);
    }
    return sync_dir(store->dir, reterr);
}

enum jq_err jq_store_open(const struct jq_store_config *config, struct jq_store **ret_store, struct jq_error *reterr) {
    struct jq_store *store = calloc(1, sizeof(*store));
    if (!store) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "blob store");
    }
    store->config = *config;
    jq_map_init(&store->versions);
    jq_map_init(&store->sizes);
    for (int i = 0; i < UPLOADS_MAX; i++) {
        store->uploads[i].fd = -1;
    }
    enum jq_err err = snprintf(store->dir, sizeof(store->dir), "%s", config->dir) < (int)sizeof(store->dir)
                          ? make_dirs(store, reterr)
                          : jq_fail(reterr, JQ_ERR_INVALID, "%.200s: path too long", config->dir);
    if (err == JQ_OK) {
        err = scan(store, reterr);
    }
    if (err != JQ_OK) {
        jq_store_close(store);
        return err;
    }
    *ret_store = store;
    return JQ_OK;
}

void jq_store_close(struct jq_store *store) {
    if (!store) {
        return;
    }
    for (int i = 0; i < UPLOADS_MAX; i++) {
        if (store->uploads[i].fd >= 0) {
            upload_close(&store->uploads[i]);
        }
    }
    jq_map_fini(&store->versions);
    jq_map_fini(&store->sizes);
    free(store);
}
