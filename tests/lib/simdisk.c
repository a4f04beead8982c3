#include "tests/lib/simdisk.h"

#include "common/rng.h"

#include <errno.h>
#include <stdlib.h>

enum { SECTOR_SIZE = 512, FAULTS_MAX = 16 };

struct range {
    uint64_t offset;
    uint64_t size;
};

struct content {
    uint8_t *data;
    uint64_t size;
    uint64_t capacity;
};

struct inode {
    struct content cache;
    struct content medium;
    struct range *dirty; /* written, not synced */
    size_t dirty_count;
    size_t dirty_capacity;
    bool truncated; /* since the last sync */
    unsigned refs;  /* names, pending changes and open files */
};

struct name {
    char *path;
    struct inode *inode;
};

struct folder {
    struct name *names;
    size_t count;
    size_t capacity;
};

/* A change of the folder that is not on the medium yet: `from` (may be NULL) goes, `to` (may be NULL) comes. */
struct change {
    char *from;
    char *to;
    struct inode *inode;
};

struct fault {
    enum jq_simdisk_op op;
    uint64_t at; /* value of the operation's count */
    int sys_errno;
};

struct jq_file {
    struct inode *inode;
    struct jq_simdisk *sim;
    struct jq_file *next; /* of the open files */
    char *path;
    bool lock;
    bool dead;
};

struct jq_simdisk {
    struct jq_disk disk;
    struct jq_rng rng;
    struct folder now;
    struct folder medium;
    struct change *changes;
    size_t change_count;
    size_t change_capacity;
    struct jq_file *files;
    struct fault faults[FAULTS_MAX];
    size_t fault_count;
    uint64_t op_counts[JQ_SIMDISK_OP_COUNT];
    uint64_t off_at; /* count of changes */
    bool off;
    uint64_t capacity;
};

/* --- memory: a simulated disk has no use for a failed malloc --- */

static void *take(void *memory, size_t size) {
    void *taken = realloc(memory, size > 0 ? size : 1);
    JQ_CHECK(taken != NULL);
    return taken;
}

static char *copy_text(const char *text) {
    if (text == NULL)
        return NULL;
    const size_t size = strlen(text) + 1;
    return memcpy(take(NULL, size), text, size);
}

static size_t grown(size_t count, size_t capacity) {
    return count < capacity ? capacity : capacity == 0 ? 8 : capacity * 2;
}

/* --- contents --- */

static void content_resize(struct content *content, uint64_t size) {
    if (size > content->capacity) {
        content->capacity = size > 2 * content->capacity ? size : 2 * content->capacity;
        content->data = take(content->data, content->capacity);
    }
    if (size > content->size)
        memset(content->data + content->size, 0, size - content->size);
    content->size = size;
}

static void content_copy(struct content *to, const struct content *from) {
    content_resize(to, from->size);
    if (from->size > 0)
        memcpy(to->data, from->data, from->size);
}

static struct inode *inode_new(void) {
    struct inode *inode = take(NULL, sizeof(*inode));
    *inode = (struct inode){.refs = 0};
    return inode;
}

static void inode_unref(struct inode *inode) {
    if (--inode->refs > 0)
        return;
    free(inode->cache.data);
    free(inode->medium.data);
    free(inode->dirty);
    free(inode);
}

static void add_dirty(struct inode *inode, uint64_t offset, uint64_t size) {
    if (inode->dirty_count > 0) {
        struct range *last = &inode->dirty[inode->dirty_count - 1];
        if (last->offset + last->size == offset) {
            last->size += size;
            return;
        }
    }
    inode->dirty_capacity = grown(inode->dirty_count, inode->dirty_capacity);
    inode->dirty = take(inode->dirty, inode->dirty_capacity * sizeof(*inode->dirty));
    inode->dirty[inode->dirty_count++] = (struct range){offset, size};
}

static void inode_write(struct inode *inode, const void *data, size_t size, uint64_t offset) {
    if (size == 0)
        return;
    if (offset + size > inode->cache.size)
        content_resize(&inode->cache, offset + size);
    memcpy(inode->cache.data + offset, data, size);
    add_dirty(inode, offset, size);
}

static void inode_sync(struct inode *inode) {
    if (inode->truncated)
        content_copy(&inode->medium, &inode->cache);
    content_resize(&inode->medium, inode->cache.size);
    for (size_t i = 0; i < inode->dirty_count; i++) {
        const struct range *range = &inode->dirty[i];
        memcpy(inode->medium.data + range->offset, inode->cache.data + range->offset, range->size);
    }
    inode->dirty_count = 0;
    inode->truncated = false;
}

/* A failed sync: nobody will write these pages again, but the cache shows them. */
static void inode_forget(struct inode *inode) {
    inode->dirty_count = 0;
    inode->truncated = false;
}

static void garble(struct jq_simdisk *sim, uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)jq_rng_next(&sim->rng);
}

enum fate { FATE_KEEP, FATE_LOSE, FATE_GARBLE };

static enum fate draw_fate(struct jq_simdisk *sim, struct jq_simdisk_loss loss) {
    const uint64_t drawn = jq_rng_below(&sim->rng, (uint64_t)loss.keep + loss.lose + loss.garble);
    return drawn < loss.keep ? FATE_KEEP : drawn < (uint64_t)loss.keep + loss.lose ? FATE_LOSE : FATE_GARBLE;
}

static void crash_range(struct jq_simdisk *sim, struct inode *inode, const struct range *range,
                        struct jq_simdisk_loss loss) {
    const uint64_t end = range->offset + range->size;
    for (uint64_t at = range->offset; at < end;) {
        const uint64_t sector_end = (at / SECTOR_SIZE + 1) * SECTOR_SIZE;
        const size_t size = (size_t)((sector_end < end ? sector_end : end) - at);
        const enum fate fate = draw_fate(sim, loss);
        if (fate != FATE_LOSE) {
            if (at + size > inode->medium.size)
                content_resize(&inode->medium, at + size);
            memcpy(inode->medium.data + at, inode->cache.data + at, size);
        }
        if (fate == FATE_GARBLE)
            garble(sim, inode->medium.data + at, size);
        at += size;
    }
}

static void inode_crash(struct jq_simdisk *sim, struct inode *inode, struct jq_simdisk_loss loss) {
    if (inode->truncated && draw_fate(sim, loss) == FATE_KEEP)
        content_resize(&inode->medium, 0);
    for (size_t i = 0; i < inode->dirty_count; i++)
        crash_range(sim, inode, &inode->dirty[i], loss);
    if (inode->cache.size > inode->medium.size && draw_fate(sim, loss) == FATE_KEEP)
        content_resize(&inode->medium, inode->cache.size);
    inode_forget(inode);
    content_copy(&inode->cache, &inode->medium);
}

/* --- the folder --- */

static struct inode *folder_find(const struct folder *folder, const char *path) {
    for (size_t i = 0; i < folder->count; i++)
        if (strcmp(folder->names[i].path, path) == 0)
            return folder->names[i].inode;
    return NULL;
}

static void folder_remove(struct folder *folder, const char *path) {
    for (size_t i = 0; i < folder->count; i++) {
        if (strcmp(folder->names[i].path, path) != 0)
            continue;
        free(folder->names[i].path);
        inode_unref(folder->names[i].inode);
        folder->count--;
        memmove(&folder->names[i], &folder->names[i + 1], (folder->count - i) * sizeof(*folder->names));
        return;
    }
}

static void folder_put(struct folder *folder, const char *path, struct inode *inode) {
    inode->refs++;
    folder_remove(folder, path);
    folder->capacity = grown(folder->count, folder->capacity);
    folder->names = take(folder->names, folder->capacity * sizeof(*folder->names));
    folder->names[folder->count++] = (struct name){copy_text(path), inode};
}

static void folder_clear(struct folder *folder) {
    while (folder->count > 0)
        folder_remove(folder, folder->names[folder->count - 1].path);
    free(folder->names);
    *folder = (struct folder){.count = 0};
}

static void folder_apply(struct folder *folder, const struct change *change) {
    if (change->from != NULL && folder_find(folder, change->from) == change->inode) {
        change->inode->refs++; /* outlives its old name */
        folder_remove(folder, change->from);
        change->inode->refs--;
    }
    if (change->to != NULL)
        folder_put(folder, change->to, change->inode);
}

static void change_fini(struct change *change) {
    free(change->from);
    free(change->to);
    inode_unref(change->inode);
}

static void add_change(struct jq_simdisk *sim, const char *from, const char *to, struct inode *inode) {
    const struct change change = {copy_text(from), copy_text(to), inode};
    inode->refs++;
    folder_apply(&sim->now, &change);
    sim->change_capacity = grown(sim->change_count, sim->change_capacity);
    sim->changes = take(sim->changes, sim->change_capacity * sizeof(*sim->changes));
    sim->changes[sim->change_count++] = change;
}

static void drop_changes(struct jq_simdisk *sim) {
    for (size_t i = 0; i < sim->change_count; i++)
        change_fini(&sim->changes[i]);
    sim->change_count = 0;
}

/* True if `path` is an entry of `dir`; *ret_name is its last part. */
static bool is_in(const char *path, const char *dir, const char **ret_name) {
    const size_t size = strlen(dir);
    if (strncmp(path, dir, size) != 0 || path[size] != '/' || strchr(path + size + 1, '/') != NULL)
        return false;
    *ret_name = path + size + 1;
    return true;
}

static void sync_changes(struct jq_simdisk *sim, const char *dir) {
    size_t kept = 0;
    for (size_t i = 0; i < sim->change_count; i++) {
        struct change *change = &sim->changes[i];
        const char *name = NULL;
        if (is_in(change->to != NULL ? change->to : change->from, dir, &name)) {
            folder_apply(&sim->medium, change);
            change_fini(change);
        } else {
            sim->changes[kept++] = *change;
        }
    }
    sim->change_count = kept;
}

static void crash_changes(struct jq_simdisk *sim, struct jq_simdisk_loss loss) {
    bool kept = true;
    for (size_t i = 0; i < sim->change_count; i++) {
        const bool drawn = draw_fate(sim, loss) == FATE_KEEP;
        kept = drawn && (kept || loss.unordered);
        if (kept)
            folder_apply(&sim->medium, &sim->changes[i]);
    }
    drop_changes(sim);
}

/* --- faults --- */

static bool is_change(enum jq_simdisk_op op) {
    return op >= JQ_SIMDISK_CREATE;
}

static bool fault_meets(const struct jq_simdisk *sim, const struct fault *fault, enum jq_simdisk_op op) {
    const bool kind = fault->op == op || fault->op == JQ_SIMDISK_ANY || (fault->op == JQ_SIMDISK_CHANGE && is_change(op));
    return kind && sim->op_counts[fault->op] == fault->at + 1;
}

/* Counts an operation. Returns the errno it must fail with, or 0. */
static int begin_op(struct jq_simdisk *sim, enum jq_simdisk_op op) {
    sim->op_counts[op]++;
    sim->op_counts[JQ_SIMDISK_ANY]++;
    sim->op_counts[JQ_SIMDISK_CHANGE] += is_change(op);
    if (sim->off)
        return EIO;
    if (is_change(op) && sim->op_counts[JQ_SIMDISK_CHANGE] > sim->off_at) {
        sim->off = true;
        return EIO;
    }
    for (size_t i = 0; i < sim->fault_count; i++) {
        if (!fault_meets(sim, &sim->faults[i], op))
            continue;
        const int sys_errno = sim->faults[i].sys_errno;
        sim->faults[i] = sim->faults[--sim->fault_count];
        return sys_errno;
    }
    return 0;
}

/* The operation at which the power went off: was it still done? */
static bool last_gasp(struct jq_simdisk *sim) {
    return sim->off && sim->op_counts[JQ_SIMDISK_CHANGE] == sim->off_at + 1 && jq_rng_chance(&sim->rng, 1, 2);
}

static uint64_t used_bytes(const struct jq_simdisk *sim) {
    uint64_t used = 0;
    for (size_t i = 0; i < sim->now.count; i++)
        used += sim->now.names[i].inode->cache.size;
    return used;
}

static bool has_room(const struct jq_simdisk *sim, const struct inode *inode, uint64_t end) {
    return end <= inode->cache.size || used_bytes(sim) + (end - inode->cache.size) <= sim->capacity;
}

/* --- disk.h --- */

static struct jq_file *file_new(struct jq_simdisk *sim, struct inode *inode, const char *path) {
    struct jq_file *file = take(NULL, sizeof(*file));
    *file = (struct jq_file){.inode = inode, .sim = sim, .next = sim->files, .path = copy_text(path)};
    inode->refs++;
    sim->files = file;
    return file;
}

static enum jq_err sim_open(void *ctx, const char *path, enum jq_disk_mode mode, struct jq_file **ret_file,
                            struct jq_error *reterr) {
    struct jq_simdisk *sim = ctx;
    const int failed = begin_op(sim, mode == JQ_DISK_CREATE ? JQ_SIMDISK_CREATE : JQ_SIMDISK_OPEN);
    if (failed != 0 && !(mode == JQ_DISK_CREATE && last_gasp(sim)))
        return jq_fail_errno(reterr, failed, "%s: open", path);
    struct inode *inode = folder_find(&sim->now, path);
    if (inode == NULL && mode != JQ_DISK_CREATE)
        return jq_fail_errno(reterr, ENOENT, "%s: open", path);
    if (inode == NULL) {
        inode = inode_new();
        add_change(sim, NULL, path, inode);
    } else if (mode == JQ_DISK_CREATE) {
        inode_forget(inode);
        content_resize(&inode->cache, 0);
        inode->truncated = true;
    }
    if (failed != 0)
        return jq_fail_errno(reterr, failed, "%s: open", path);
    *ret_file = file_new(sim, inode, path);
    return JQ_OK;
}

static void sim_close(void *ctx, struct jq_file *file) {
    struct jq_simdisk *sim = ctx;
    if (file == NULL)
        return;
    for (struct jq_file **at = &sim->files; *at != NULL; at = &(*at)->next) {
        if (*at != file)
            continue;
        *at = file->next;
        break;
    }
    inode_unref(file->inode);
    free(file->path);
    free(file);
}

static int begin_file_op(struct jq_file *file, enum jq_simdisk_op op) {
    const int failed = begin_op(file->sim, op);
    return file->dead ? EIO : failed;
}

static enum jq_err sim_read(void *ctx, struct jq_file *file, void *data, size_t size, uint64_t offset, size_t *ret_size,
                            struct jq_error *reterr) {
    (void)ctx;
    const int failed = begin_file_op(file, JQ_SIMDISK_READ);
    if (failed != 0)
        return jq_fail_errno(reterr, failed, "%s: read at offset %llu", file->path, (unsigned long long)offset);
    const struct content *cache = &file->inode->cache;
    const uint64_t left = offset < cache->size ? cache->size - offset : 0;
    const size_t got = left < size ? (size_t)left : size;
    if (got > 0)
        memcpy(data, cache->data + offset, got);
    *ret_size = got;
    return JQ_OK;
}

static enum jq_err sim_write(void *ctx, struct jq_file *file, const void *data, size_t size, uint64_t offset,
                             struct jq_error *reterr) {
    struct jq_simdisk *sim = ctx;
    int failed = begin_file_op(file, JQ_SIMDISK_WRITE);
    size_t done = size;
    if (failed == 0 && !has_room(sim, file->inode, offset + size)) {
        failed = ENOSPC;
        done = 0;
    } else if (failed != 0) {
        const bool nothing = file->dead || (sim->off && !last_gasp(sim));
        done = nothing ? 0 : (size_t)jq_rng_below(&sim->rng, size + 1);
    }
    inode_write(file->inode, data, done, offset);
    if (failed != 0)
        return jq_fail_errno(reterr, failed, "%s: write of %zu bytes at offset %llu", file->path, size,
                             (unsigned long long)offset);
    return JQ_OK;
}

static enum jq_err sim_sync(void *ctx, struct jq_file *file, struct jq_error *reterr) {
    struct jq_simdisk *sim = ctx;
    const int failed = begin_file_op(file, JQ_SIMDISK_SYNC);
    if (failed == 0 || (!file->dead && last_gasp(sim)))
        inode_sync(file->inode);
    else if (!file->dead && !sim->off)
        inode_forget(file->inode);
    return failed != 0 ? jq_fail_errno(reterr, failed, "%s: fdatasync", file->path) : JQ_OK;
}

static enum jq_err sim_allocate(void *ctx, struct jq_file *file, uint64_t size, struct jq_error *reterr) {
    struct jq_simdisk *sim = ctx;
    int failed = begin_file_op(file, JQ_SIMDISK_ALLOCATE);
    if (failed == 0 && !has_room(sim, file->inode, size))
        failed = ENOSPC;
    if (failed != 0)
        return jq_fail_errno(reterr, failed, "%s: allocate %llu bytes", file->path, (unsigned long long)size);
    if (size > file->inode->cache.size)
        content_resize(&file->inode->cache, size);
    return JQ_OK;
}

static enum jq_err sim_size(void *ctx, struct jq_file *file, uint64_t *ret_size, struct jq_error *reterr) {
    (void)ctx;
    if (file->dead)
        return jq_fail_errno(reterr, EIO, "%s: stat", file->path);
    *ret_size = file->inode->cache.size;
    return JQ_OK;
}

static enum jq_err sim_rename(void *ctx, const char *from, const char *to, struct jq_error *reterr) {
    struct jq_simdisk *sim = ctx;
    const int failed = begin_op(sim, JQ_SIMDISK_RENAME);
    struct inode *inode = folder_find(&sim->now, from);
    if (inode != NULL && (failed == 0 || last_gasp(sim)))
        add_change(sim, from, to, inode);
    if (failed != 0 || inode == NULL)
        return jq_fail_errno(reterr, failed != 0 ? failed : ENOENT, "%s: rename to %s", from, to);
    return JQ_OK;
}

static enum jq_err sim_unlink(void *ctx, const char *path, struct jq_error *reterr) {
    struct jq_simdisk *sim = ctx;
    const int failed = begin_op(sim, JQ_SIMDISK_UNLINK);
    struct inode *inode = folder_find(&sim->now, path);
    if (inode != NULL && (failed == 0 || last_gasp(sim)))
        add_change(sim, path, NULL, inode);
    if (failed != 0 || inode == NULL)
        return jq_fail_errno(reterr, failed != 0 ? failed : ENOENT, "%s: unlink", path);
    return JQ_OK;
}

static enum jq_err sim_list(void *ctx, const char *dir, enum jq_err (*on_name)(void *name_ctx, const char *name),
                            void *name_ctx, struct jq_error *reterr) {
    const struct jq_simdisk *sim = ctx;
    if (sim->off)
        return jq_fail_errno(reterr, EIO, "%s: read folder", dir);
    enum jq_err result = JQ_OK;
    for (size_t i = 0; i < sim->now.count && result == JQ_OK; i++) {
        const char *name = NULL;
        if (is_in(sim->now.names[i].path, dir, &name))
            result = on_name(name_ctx, name);
    }
    return result;
}

static enum jq_err sim_sync_dir(void *ctx, const char *dir, struct jq_error *reterr) {
    struct jq_simdisk *sim = ctx;
    const int failed = begin_op(sim, JQ_SIMDISK_SYNC_DIR);
    if (failed == 0 || last_gasp(sim))
        sync_changes(sim, dir);
    return failed != 0 ? jq_fail_errno(reterr, failed, "%s: fsync of folder", dir) : JQ_OK;
}

static enum jq_err sim_make_dir(void *ctx, const char *dir, struct jq_error *reterr) {
    const struct jq_simdisk *sim = ctx;
    return sim->off ? jq_fail_errno(reterr, EIO, "%s: make folder", dir) : JQ_OK;
}

static enum jq_err sim_lock(void *ctx, const char *path, struct jq_file **ret_file, struct jq_error *reterr) {
    struct jq_simdisk *sim = ctx;
    for (const struct jq_file *file = sim->files; file != NULL; file = file->next)
        if (file->lock && !file->dead && strcmp(file->path, path) == 0)
            return jq_fail(reterr, JQ_ERR_LOCKED, "%s is owned by a running broker (pid 1)", path);
    if (sim->off)
        return jq_fail_errno(reterr, EIO, "%s: lock", path);
    struct inode *inode = folder_find(&sim->now, path);
    if (inode == NULL) {
        inode = inode_new();
        add_change(sim, NULL, path, inode);
    }
    *ret_file = file_new(sim, inode, path);
    (*ret_file)->lock = true;
    return JQ_OK;
}

static enum jq_err sim_free_space(void *ctx, const char *dir, uint64_t *ret_bytes, struct jq_error *reterr) {
    const struct jq_simdisk *sim = ctx;
    if (sim->off)
        return jq_fail_errno(reterr, EIO, "%s: statvfs", dir);
    const uint64_t used = used_bytes(sim);
    *ret_bytes = used < sim->capacity ? sim->capacity - used : 0;
    return JQ_OK;
}

/* --- simdisk.h --- */

struct jq_simdisk *jq_simdisk_new(uint64_t seed) {
    struct jq_simdisk *sim = take(NULL, sizeof(*sim));
    *sim = (struct jq_simdisk){.off_at = UINT64_MAX, .capacity = UINT64_MAX};
    sim->disk = (struct jq_disk){
        .ctx = sim,
        .open = sim_open,
        .close = sim_close,
        .read = sim_read,
        .write = sim_write,
        .sync = sim_sync,
        .allocate = sim_allocate,
        .size = sim_size,
        .rename = sim_rename,
        .unlink = sim_unlink,
        .list = sim_list,
        .sync_dir = sim_sync_dir,
        .make_dir = sim_make_dir,
        .lock = sim_lock,
        .free_space = sim_free_space,
    };
    jq_rng_init(&sim->rng, seed);
    return sim;
}

void jq_simdisk_free(struct jq_simdisk *sim) {
    if (sim == NULL)
        return;
    JQ_CHECK(sim->files == NULL);
    drop_changes(sim);
    free(sim->changes);
    folder_clear(&sim->now);
    folder_clear(&sim->medium);
    free(sim);
}

/* The copy of `inode`: made at its first name, found by its place in `from` and `to` later. */
static struct inode *clone_inode(const struct inode *inode, const struct inode **from, struct inode **to, size_t *count) {
    for (size_t i = 0; i < *count; i++)
        if (from[i] == inode)
            return to[i];
    struct inode *copy = inode_new();
    content_copy(&copy->cache, &inode->cache);
    content_copy(&copy->medium, &inode->medium);
    for (size_t i = 0; i < inode->dirty_count; i++)
        add_dirty(copy, inode->dirty[i].offset, inode->dirty[i].size);
    copy->truncated = inode->truncated;
    from[*count] = inode;
    to[(*count)++] = copy;
    return copy;
}

struct jq_simdisk *jq_simdisk_clone(const struct jq_simdisk *sim, uint64_t seed) {
    struct jq_simdisk *clone = jq_simdisk_new(seed);
    const size_t most = sim->now.count + sim->medium.count + sim->change_count;
    const struct inode **from = take(NULL, most * sizeof(const struct inode *));
    struct inode **to = take(NULL, most * sizeof(struct inode *));
    size_t count = 0;
    for (size_t i = 0; i < sim->medium.count; i++)
        folder_put(&clone->medium, sim->medium.names[i].path, clone_inode(sim->medium.names[i].inode, from, to, &count));
    for (size_t i = 0; i < sim->medium.count; i++)
        folder_put(&clone->now, clone->medium.names[i].path, clone->medium.names[i].inode);
    for (size_t i = 0; i < sim->change_count; i++)
        add_change(clone, sim->changes[i].from, sim->changes[i].to, clone_inode(sim->changes[i].inode, from, to, &count));
    free(from);
    free(to);
    clone->capacity = sim->capacity;
    return clone;
}

const struct jq_disk *jq_simdisk_disk(struct jq_simdisk *sim) {
    return &sim->disk;
}

void jq_simdisk_kill(struct jq_simdisk *sim) {
    for (struct jq_file *file = sim->files; file != NULL; file = file->next)
        file->dead = true;
}

void jq_simdisk_crash(struct jq_simdisk *sim, struct jq_simdisk_loss loss) {
    jq_simdisk_kill(sim);
    crash_changes(sim, loss);
    folder_clear(&sim->now);
    for (size_t i = 0; i < sim->medium.count; i++) {
        inode_crash(sim, sim->medium.names[i].inode, loss);
        folder_put(&sim->now, sim->medium.names[i].path, sim->medium.names[i].inode);
    }
    sim->fault_count = 0;
    sim->off = false;
    sim->off_at = UINT64_MAX;
}

void jq_simdisk_fail(struct jq_simdisk *sim, enum jq_simdisk_op op, uint64_t skip, int sys_errno) {
    JQ_CHECK(sim->fault_count < FAULTS_MAX);
    sim->faults[sim->fault_count++] = (struct fault){.op = op, .at = sim->op_counts[op] + skip, .sys_errno = sys_errno};
}

void jq_simdisk_power_off_after(struct jq_simdisk *sim, uint64_t count) {
    sim->off_at = sim->op_counts[JQ_SIMDISK_CHANGE] + count;
}

bool jq_simdisk_power_is_off(const struct jq_simdisk *sim) {
    return sim->off;
}

uint64_t jq_simdisk_op_count(const struct jq_simdisk *sim, enum jq_simdisk_op op) {
    return sim->op_counts[op];
}

void jq_simdisk_set_capacity(struct jq_simdisk *sim, uint64_t bytes) {
    sim->capacity = bytes;
}

bool jq_simdisk_poke(struct jq_simdisk *sim, const char *path, uint64_t offset, const void *data, size_t size) {
    struct inode *inode = folder_find(&sim->now, path);
    if (inode == NULL || offset + size > inode->cache.size)
        return false;
    memcpy(inode->cache.data + offset, data, size);
    if (offset + size <= inode->medium.size)
        memcpy(inode->medium.data + offset, data, size);
    return true;
}

bool jq_simdisk_flip(struct jq_simdisk *sim, const char *path, uint64_t offset, uint8_t mask) {
    struct inode *inode = folder_find(&sim->now, path);
    if (inode == NULL || offset >= inode->cache.size)
        return false;
    inode->cache.data[offset] ^= mask;
    if (offset < inode->medium.size)
        inode->medium.data[offset] ^= mask;
    return true;
}

const uint8_t *jq_simdisk_peek(const struct jq_simdisk *sim, const char *path, uint64_t *ret_size) {
    const struct inode *inode = folder_find(&sim->now, path);
    if (inode == NULL)
        return NULL;
    *ret_size = inode->cache.size;
    return inode->cache.data;
}

bool jq_simdisk_truncate(struct jq_simdisk *sim, const char *path, uint64_t size) {
    struct inode *inode = folder_find(&sim->now, path);
    if (inode == NULL)
        return false;
    inode_sync(inode);
    content_resize(&inode->cache, size);
    content_resize(&inode->medium, size);
    return true;
}
