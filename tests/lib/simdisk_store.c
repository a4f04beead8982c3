#include "tests/lib/simdisk_store.h"

#include <stdlib.h>

enum { SECTOR_SIZE = 512 };

void *sim_take(void *memory, size_t size) {
    void *taken = realloc(memory, size > 0 ? size : 1);
    JQ_CHECK(taken != NULL);
    return taken;
}

char *sim_copy_text(const char *text) {
    if (text == NULL)
        return NULL;
    const size_t size = strlen(text) + 1;
    return memcpy(sim_take(NULL, size), text, size);
}

size_t sim_grown(size_t count, size_t capacity) {
    return count < capacity ? capacity : capacity == 0 ? 8 : capacity * 2;
}

/* --- contents --- */

void sim_content_resize(struct sim_content *content, uint64_t size) {
    if (size > content->capacity) {
        content->capacity = size > 2 * content->capacity ? size : 2 * content->capacity;
        content->data = sim_take(content->data, content->capacity);
    }
    if (size > content->size)
        memset(content->data + content->size, 0, size - content->size);
    content->size = size;
}

static void content_copy(struct sim_content *to, const struct sim_content *from) {
    sim_content_resize(to, from->size);
    if (from->size > 0)
        memcpy(to->data, from->data, from->size);
}

struct sim_inode *sim_inode_new(void) {
    struct sim_inode *inode = sim_take(NULL, sizeof(*inode));
    *inode = (struct sim_inode){.refs = 0};
    return inode;
}

void sim_inode_unref(struct sim_inode *inode) {
    if (--inode->refs > 0)
        return;
    free(inode->cache.data);
    free(inode->medium.data);
    free(inode->dirty);
    free(inode);
}

static void add_dirty(struct sim_inode *inode, uint64_t offset, uint64_t size) {
    if (inode->dirty_count > 0) {
        struct sim_range *last = &inode->dirty[inode->dirty_count - 1];
        if (last->offset + last->size == offset) {
            last->size += size;
            return;
        }
    }
    inode->dirty_capacity = sim_grown(inode->dirty_count, inode->dirty_capacity);
    inode->dirty = sim_take(inode->dirty, inode->dirty_capacity * sizeof(*inode->dirty));
    inode->dirty[inode->dirty_count++] = (struct sim_range){offset, size};
}

struct sim_inode *sim_inode_copy(const struct sim_inode *inode) {
    struct sim_inode *copy = sim_inode_new();
    content_copy(&copy->cache, &inode->cache);
    content_copy(&copy->medium, &inode->medium);
    for (size_t i = 0; i < inode->dirty_count; i++)
        add_dirty(copy, inode->dirty[i].offset, inode->dirty[i].size);
    copy->truncated = inode->truncated;
    return copy;
}

void sim_inode_truncate(struct sim_inode *inode) {
    sim_inode_forget(inode);
    sim_content_resize(&inode->cache, 0);
    inode->truncated = true;
}

void sim_inode_write(struct sim_inode *inode, const void *data, size_t size, uint64_t offset) {
    if (size == 0)
        return;
    if (offset + size > inode->cache.size)
        sim_content_resize(&inode->cache, offset + size);
    memcpy(inode->cache.data + offset, data, size);
    add_dirty(inode, offset, size);
}

void sim_inode_sync(struct sim_inode *inode) {
    if (inode->truncated)
        content_copy(&inode->medium, &inode->cache);
    sim_content_resize(&inode->medium, inode->cache.size);
    for (size_t i = 0; i < inode->dirty_count; i++) {
        const struct sim_range *range = &inode->dirty[i];
        memcpy(inode->medium.data + range->offset, inode->cache.data + range->offset, range->size);
    }
    inode->dirty_count = 0;
    inode->truncated = false;
}

void sim_inode_forget(struct sim_inode *inode) {
    inode->dirty_count = 0;
    inode->truncated = false;
}

static void garble(struct jq_rng *rng, uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)jq_rng_next(rng);
}

enum fate { FATE_KEEP, FATE_LOSE, FATE_GARBLE };

static enum fate draw_fate(struct jq_rng *rng, struct jq_simdisk_loss loss) {
    const uint64_t drawn = jq_rng_below(rng, (uint64_t)loss.keep + loss.lose + loss.garble);
    return drawn < loss.keep ? FATE_KEEP : drawn < (uint64_t)loss.keep + loss.lose ? FATE_LOSE : FATE_GARBLE;
}

static void crash_range(struct sim_inode *inode, struct jq_rng *rng, const struct sim_range *range,
                        struct jq_simdisk_loss loss) {
    const uint64_t end = range->offset + range->size;
    for (uint64_t at = range->offset; at < end;) {
        const uint64_t sector_end = (at / SECTOR_SIZE + 1) * SECTOR_SIZE;
        const size_t size = (size_t)((sector_end < end ? sector_end : end) - at);
        const enum fate fate = draw_fate(rng, loss);
        if (fate != FATE_LOSE) {
            if (at + size > inode->medium.size)
                sim_content_resize(&inode->medium, at + size);
            memcpy(inode->medium.data + at, inode->cache.data + at, size);
        }
        if (fate == FATE_GARBLE)
            garble(rng, inode->medium.data + at, size);
        at += size;
    }
}

void sim_inode_crash(struct sim_inode *inode, struct jq_rng *rng, struct jq_simdisk_loss loss) {
    if (inode->truncated && draw_fate(rng, loss) == FATE_KEEP)
        sim_content_resize(&inode->medium, 0);
    for (size_t i = 0; i < inode->dirty_count; i++)
        crash_range(inode, rng, &inode->dirty[i], loss);
    if (inode->cache.size > inode->medium.size && draw_fate(rng, loss) == FATE_KEEP)
        sim_content_resize(&inode->medium, inode->cache.size);
    sim_inode_forget(inode);
    content_copy(&inode->cache, &inode->medium);
}

bool sim_kept(struct jq_rng *rng, struct jq_simdisk_loss loss) {
    return draw_fate(rng, loss) == FATE_KEEP;
}

/* --- the folder --- */

struct sim_inode *sim_folder_find(const struct sim_folder *folder, const char *path) {
    for (size_t i = 0; i < folder->count; i++)
        if (strcmp(folder->names[i].path, path) == 0)
            return folder->names[i].inode;
    return NULL;
}

static void folder_remove(struct sim_folder *folder, const char *path) {
    for (size_t i = 0; i < folder->count; i++) {
        if (strcmp(folder->names[i].path, path) != 0)
            continue;
        free(folder->names[i].path);
        sim_inode_unref(folder->names[i].inode);
        folder->count--;
        memmove(&folder->names[i], &folder->names[i + 1], (folder->count - i) * sizeof(*folder->names));
        return;
    }
}

void sim_folder_put(struct sim_folder *folder, const char *path, struct sim_inode *inode) {
    inode->refs++;
    folder_remove(folder, path);
    folder->capacity = sim_grown(folder->count, folder->capacity);
    folder->names = sim_take(folder->names, folder->capacity * sizeof(*folder->names));
    folder->names[folder->count++] = (struct sim_name){sim_copy_text(path), inode};
}

void sim_folder_clear(struct sim_folder *folder) {
    while (folder->count > 0)
        folder_remove(folder, folder->names[folder->count - 1].path);
    free(folder->names);
    *folder = (struct sim_folder){.count = 0};
}

void sim_folder_apply(struct sim_folder *folder, const struct sim_change *change) {
    if (change->from != NULL && sim_folder_find(folder, change->from) == change->inode) {
        change->inode->refs++; /* outlives its old name */
        folder_remove(folder, change->from);
        change->inode->refs--;
    }
    if (change->to != NULL)
        sim_folder_put(folder, change->to, change->inode);
}

void sim_change_fini(struct sim_change *change) {
    free(change->from);
    free(change->to);
    sim_inode_unref(change->inode);
}

struct sim_change sim_change_make(const char *from, const char *to, struct sim_inode *inode) {
    inode->refs++;
    return (struct sim_change){sim_copy_text(from), sim_copy_text(to), inode};
}
