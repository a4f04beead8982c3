#include "tests/lib/simdisk.h"

#include "common/rng.h"
#include "tests/lib/simdisk_store.h"

#include <errno.h>
#include <stdlib.h>

enum { FAULTS_MAX = 16 };

struct fault {
    enum jq_simdisk_op op;
    uint64_t at; /* value of the operation's count */
    int sys_errno;
};

struct jq_file {
    struct sim_inode *inode;
    struct jq_simdisk *sim;
    struct jq_file *next; /* of the open files */
    char *path;
    bool lock;
    bool dead;
};

struct jq_simdisk {
    struct jq_disk disk;
    struct jq_rng rng;
    struct sim_folder now;
    struct sim_folder medium;
    struct sim_change *changes;
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

/* --- changes of the folder --- */

static void add_change(struct jq_simdisk *sim, const char *from, const char *to, struct sim_inode *inode) {
    const struct sim_change change = sim_change_make(from, to, inode);
    sim_folder_apply(&sim->now, &change);
    sim->change_capacity = sim_grown(sim->change_count, sim->change_capacity);
    sim->changes = sim_take(sim->changes, sim->change_capacity * sizeof(*sim->changes));
    sim->changes[sim->change_count++] = change;
}

static void drop_changes(struct jq_simdisk *sim) {
    for (size_t i = 0; i < sim->change_count; i++)
        sim_change_fini(&sim->changes[i]);
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
        struct sim_change *change = &sim->changes[i];
        const char *name = NULL;
        if (is_in(change->to != NULL ? change->to : change->from, dir, &name)) {
            sim_folder_apply(&sim->medium, change);
            sim_change_fini(change);
        } else {
            sim->changes[kept++] = *change;
        }
    }
    sim->change_count = kept;
}

static void crash_changes(struct jq_simdisk *sim, struct jq_simdisk_loss loss) {
    bool kept = true;
    for (size_t i = 0; i < sim->change_count; i++) {
        const bool drawn = sim_kept(&sim->rng, loss);
        kept = drawn && (kept || loss.unordered);
        if (kept)
            sim_folder_apply(&sim->medium, &sim->changes[i]);
    }
    drop_changes(sim);
}

/* --- faults --- */

static bool is_change(enum jq_simdisk_op op) {
    return op >= JQ_SIMDISK_CREATE;
}

static bool fault_meets(const struct jq_simdisk *sim, const struct fault *fault, enum jq_simdisk_op op) {
    const bool kind =
        fault->op == op || fault->op == JQ_SIMDISK_ANY || (fault->op == JQ_SIMDISK_CHANGE && is_change(op));
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

static bool has_room(const struct jq_simdisk *sim, const struct sim_inode *inode, uint64_t end) {
    return end <= inode->cache.size || used_bytes(sim) + (end - inode->cache.size) <= sim->capacity;
}

/* --- disk.h --- */

static struct jq_file *file_new(struct jq_simdisk *sim, struct sim_inode *inode, const char *path) {
    struct jq_file *file = sim_take(NULL, sizeof(*file));
    *file = (struct jq_file){.inode = inode, .sim = sim, .next = sim->files, .path = sim_copy_text(path)};
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
    struct sim_inode *inode = sim_folder_find(&sim->now, path);
    if (inode == NULL && mode != JQ_DISK_CREATE)
        return jq_fail_errno(reterr, ENOENT, "%s: open", path);
    if (inode == NULL) {
        inode = sim_inode_new();
        add_change(sim, NULL, path, inode);
    } else if (mode == JQ_DISK_CREATE) {
        sim_inode_truncate(inode);
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
    sim_inode_unref(file->inode);
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
    const struct sim_content *cache = &file->inode->cache;
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
    sim_inode_write(file->inode, data, done, offset);
    if (failed != 0)
        return jq_fail_errno(reterr, failed, "%s: write of %zu bytes at offset %llu", file->path, size,
                             (unsigned long long)offset);
    return JQ_OK;
}

static enum jq_err sim_sync(void *ctx, struct jq_file *file, struct jq_error *reterr) {
    struct jq_simdisk *sim = ctx;
    const int failed = begin_file_op(file, JQ_SIMDISK_SYNC);
    if (failed == 0 || (!file->dead && last_gasp(sim)))
        sim_inode_sync(file->inode);
    else if (!file->dead && !sim->off)
        sim_inode_forget(file->inode);
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
        sim_content_resize(&file->inode->cache, size);
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
    struct sim_inode *inode = sim_folder_find(&sim->now, from);
    if (inode != NULL && (failed == 0 || last_gasp(sim)))
        add_change(sim, from, to, inode);
    if (failed != 0 || inode == NULL)
        return jq_fail_errno(reterr, failed != 0 ? failed : ENOENT, "%s: rename to %s", from, to);
    return JQ_OK;
}

static enum jq_err sim_unlink(void *ctx, const char *path, struct jq_error *reterr) {
    struct jq_simdisk *sim = ctx;
    const int failed = begin_op(sim, JQ_SIMDISK_UNLINK);
    struct sim_inode *inode = sim_folder_find(&sim->now, path);
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
    struct sim_inode *inode = sim_folder_find(&sim->now, path);
    if (inode == NULL) {
        inode = sim_inode_new();
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
    struct jq_simdisk *sim = sim_take(NULL, sizeof(*sim));
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
    sim_folder_clear(&sim->now);
    sim_folder_clear(&sim->medium);
    free(sim);
}

/* The copy of `inode`: made at its first name, found by its place in `from` and `to` later. */
static struct sim_inode *clone_inode(const struct sim_inode *inode, const struct sim_inode **from,
                                     struct sim_inode **to, size_t *count) {
    for (size_t i = 0; i < *count; i++)
        if (from[i] == inode)
            return to[i];
    struct sim_inode *copy = sim_inode_copy(inode);
    from[*count] = inode;
    to[(*count)++] = copy;
    return copy;
}

struct jq_simdisk *jq_simdisk_clone(const struct jq_simdisk *sim, uint64_t seed) {
    struct jq_simdisk *clone = jq_simdisk_new(seed);
    const size_t most = sim->now.count + sim->medium.count + sim->change_count;
    const struct sim_inode **from = sim_take(NULL, most * sizeof(const struct sim_inode *));
    struct sim_inode **to = sim_take(NULL, most * sizeof(struct sim_inode *));
    size_t count = 0;
    for (size_t i = 0; i < sim->medium.count; i++)
        sim_folder_put(&clone->medium, sim->medium.names[i].path,
                       clone_inode(sim->medium.names[i].inode, from, to, &count));
    for (size_t i = 0; i < sim->medium.count; i++)
        sim_folder_put(&clone->now, clone->medium.names[i].path, clone->medium.names[i].inode);
    for (size_t i = 0; i < sim->change_count; i++)
        add_change(clone, sim->changes[i].from, sim->changes[i].to,
                   clone_inode(sim->changes[i].inode, from, to, &count));
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
    sim_folder_clear(&sim->now);
    for (size_t i = 0; i < sim->medium.count; i++) {
        sim_inode_crash(sim->medium.names[i].inode, &sim->rng, loss);
        sim_folder_put(&sim->now, sim->medium.names[i].path, sim->medium.names[i].inode);
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
    struct sim_inode *inode = sim_folder_find(&sim->now, path);
    if (inode == NULL || offset + size > inode->cache.size)
        return false;
    memcpy(inode->cache.data + offset, data, size);
    if (offset + size <= inode->medium.size)
        memcpy(inode->medium.data + offset, data, size);
    return true;
}

bool jq_simdisk_flip(struct jq_simdisk *sim, const char *path, uint64_t offset, uint8_t mask) {
    struct sim_inode *inode = sim_folder_find(&sim->now, path);
    if (inode == NULL || offset >= inode->cache.size)
        return false;
    inode->cache.data[offset] ^= mask;
    if (offset < inode->medium.size)
        inode->medium.data[offset] ^= mask;
    return true;
}

const uint8_t *jq_simdisk_peek(const struct jq_simdisk *sim, const char *path, uint64_t *ret_size) {
    const struct sim_inode *inode = sim_folder_find(&sim->now, path);
    if (inode == NULL)
        return NULL;
    *ret_size = inode->cache.size;
    return inode->cache.data;
}

bool jq_simdisk_truncate(struct jq_simdisk *sim, const char *path, uint64_t size) {
    struct sim_inode *inode = sim_folder_find(&sim->now, path);
    if (inode == NULL)
        return false;
    sim_inode_sync(inode);
    sim_content_resize(&inode->cache, size);
    sim_content_resize(&inode->medium, size);
    return true;
}
