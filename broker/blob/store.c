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
    struct upload uploads[UPLOADS_MAX];
};

/* ---- names ---- */

static bool tmp_path(const struct jq_store *store, const uint8_t *hash, uint64_t size, char path[BLOB_PATH_SIZE]) {
    char hex[BLOB_HEX_SIZE + 1];
    jq_text_format_hex((struct jq_bytes){hash, JQ_BLOB_HASH_SIZE}, hex);
    const int length = snprintf(path, BLOB_PATH_SIZE, "%s/tmp/%s.%llu", store->dir, hex, (unsigned long long)size);
    return length > 0 && length < BLOB_PATH_SIZE;
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

static struct upload *upload_find(struct jq_store *store, const uint8_t *hash, uint64_t size) {
    for (int i = 0; i < UPLOADS_MAX; i++) {
        struct upload *upload = &store->uploads[i];
        if (upload->fd >= 0 && (size == UINT64_MAX || upload->size == size) &&
            memcmp(upload->hash, hash, JQ_BLOB_HASH_SIZE) == 0) {
            return upload;
        }
    }
    return NULL;
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

static enum jq_err upload_get(struct jq_store *store, const uint8_t *hash, uint64_t size, int64_t now_ms,
                              struct upload **ret_upload, struct jq_error *reterr) {
    char path[BLOB_PATH_SIZE];
    struct upload *upload = upload_find(store, hash, size);
    if (upload) {
        upload->used_ms = now_ms;
        *ret_upload = upload;
        return JQ_OK;
    }
    upload = upload_place(store, now_ms);
    if (!upload) {
        return jq_fail(reterr, JQ_ERR_BUSY, "%d blobs are coming already", UPLOADS_MAX);
    }
    if (!tmp_path(store, hash, size, path)) {
        return jq_fail(reterr, JQ_ERR_IO, "%.200s: path too long", store->dir);
    }
    const bool begun = access(path, F_OK) == 0;
    if (!begun && (size > store->config.bytes_max || store->used_bytes > store->config.bytes_max - size)) {
        return jq_fail(reterr, JQ_ERR_NO_SPACE, "the store is full: %llu of %llu bytes",
                       (unsigned long long)store->used_bytes, (unsigned long long)store->config.bytes_max);
    }
    enum jq_err err = begun ? JQ_OK : check_disk(store, size, reterr);
    err = err == JQ_OK ? upload_open(upload, path, hash, size, reterr) : err;
    if (err == JQ_OK) {
        store->used_bytes += begun ? 0 : size;
        upload->used_ms = now_ms;
        *ret_upload = upload;
    }
    return err;
}

static void upload_discard(struct jq_store *store, struct upload *upload) {
    char path[BLOB_PATH_SIZE];
    if (tmp_path(store, upload->hash, upload->size, path) && unlink(path) == 0) {
        store->used_bytes -= upload->size;
    }
    upload_close(upload);
}

/* Renames it to its name. Whole, synced. */
static enum jq_err place_file(struct jq_store *store, const struct upload *upload, struct jq_error *reterr) {
    char from[BLOB_PATH_SIZE], to[BLOB_PATH_SIZE];
    uint64_t before = 0;
    const bool replaces = stored_size(store, upload->hash, &before);
    if (!tmp_path(store, upload->hash, upload->size, from) || !blob_path(store->dir, upload->hash, to)) {
        return jq_fail(reterr, JQ_ERR_IO, "%.200s: path too long", store->dir);
    }
    char *slash = strrchr(to, '/');
    *slash = '\0';
    const bool made = mkdir(to, 0700) == 0;
    *slash = '/';
    if (rename(from, to) != 0) {
        return jq_fail_errno(reterr, errno, "%.200s", to);
    }
    store->used_bytes -= replaces ? before : 0;
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
    const bool on_disk = stored_size(store, hash, &found) && (size == UINT64_MAX || found == size);
    if (size == UINT64_MAX) {
        upload = upload_find(store, hash, size);
    } else if (!on_disk) {
        err = upload_get(store, hash, size, now_ms, &upload, reterr);
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
    *ret_version = 0;
    /* A piece that comes after the last, of another who puts the same. */
    if (!upload_find(store, hash, size) && stored_size(store, hash, &found) && found == size) {
        *ret_have = size;
        return JQ_OK;
    }
    enum jq_err err = check_disk(store, piece->data.size, reterr);
    err = err == JQ_OK ? upload_get(store, hash, size, now_ms, &upload, reterr) : err;
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
    return upload_is_whole(upload) ? finish(store, upload, ret_version, reterr) : JQ_OK;
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
    }
}

static void look_at_begun(struct jq_store *store, int dir_fd, const char *file, void *ctx) {
    const char *dot = strchr(file, '.');
    const uint64_t size = dot ? strtoull(dot + 1, NULL, 10) : 0;
    (void)ctx;
    if (dot && size <= store->config.bytes_max) {
        store->used_bytes += size;
    } else {
        (void)unlinkat(dir_fd, file, 0);
    }
}

static bool is_open(const struct jq_store *store, const char *file) {
    for (int i = 0; i < UPLOADS_MAX; i++) {
        char path[BLOB_PATH_SIZE];
        const struct upload *upload = &store->uploads[i];
        if (upload->fd >= 0 && tmp_path(store, upload->hash, upload->size, path) &&
            strcmp(strrchr(path, '/') + 1, file) == 0) {
            return true;
        }
    }
    return false;
}

/* By the file's own clock: nobody has written to it for so long. */
static void sweep_begun(struct jq_store *store, int dir_fd, const char *file, void *ctx) {
    const int64_t *since_s = ctx;
    struct stat status;
    const char *dot = strchr(file, '.');
    if (is_open(store, file) || fstatat(dir_fd, file, &status, 0) != 0 || status.st_mtim.tv_sec > *since_s ||
        unlinkat(dir_fd, file, 0) != 0) {
        return;
    }
    const uint64_t size = dot ? strtoull(dot + 1, NULL, 10) : 0;
    store->used_bytes -= size < store->used_bytes ? size : store->used_bytes;
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
    free(store);
}
