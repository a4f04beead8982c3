/* simdisk_store.h - what a simulated disk holds: contents of files (cache and medium), and the names of a folder.
 *
 * Memory:    a simulated disk has no use for a failed malloc: it aborts.
 * Ownership: an inode lives as long as something refers to it: names, changes not synced, open files (refs).
 */
#ifndef JQ_TESTS_LIB_SIMDISK_STORE_H
#define JQ_TESTS_LIB_SIMDISK_STORE_H

#include "common/rng.h"
#include "tests/lib/simdisk.h"

struct sim_content {
    uint8_t *data;
    uint64_t size;
    uint64_t capacity;
};

struct sim_range {
    uint64_t offset;
    uint64_t size;
};

struct sim_inode {
    struct sim_content cache;  /* what reads show */
    struct sim_content medium; /* what a power failure leaves */
    struct sim_range *dirty;   /* written, not synced */
    size_t dirty_count;
    size_t dirty_capacity;
    bool truncated; /* since the last sync */
    unsigned refs;
};

struct sim_name {
    char *path;
    struct sim_inode *inode;
};

struct sim_folder {
    struct sim_name *names;
    size_t count;
    size_t capacity;
};

/* A change of a folder: `from` (may be NULL) goes, `to` (may be NULL) comes. */
struct sim_change {
    char *from;
    char *to;
    struct sim_inode *inode;
};

/* realloc that never fails. */
void *sim_take(void *memory, size_t size);
char *sim_copy_text(const char *text);
/* Capacity for one more than `count`. */
size_t sim_grown(size_t count, size_t capacity);

/* Grows with zeros, or cuts. */
void sim_content_resize(struct sim_content *content, uint64_t size);

struct sim_inode *sim_inode_new(void); /* without references */
struct sim_inode *sim_inode_copy(const struct sim_inode *inode);
void sim_inode_unref(struct sim_inode *inode);
void sim_inode_write(struct sim_inode *inode, const void *data, size_t size, uint64_t offset);
void sim_inode_truncate(struct sim_inode *inode);
void sim_inode_sync(struct sim_inode *inode);
/* A failed sync: nobody will write these pages again, but the cache shows them. */
void sim_inode_forget(struct sim_inode *inode);
void sim_inode_crash(struct sim_inode *inode, struct jq_rng *rng, struct jq_simdisk_loss loss);

/* True if something that was not synced survives, by the weights. */
bool sim_kept(struct jq_rng *rng, struct jq_simdisk_loss loss);

struct sim_inode *sim_folder_find(const struct sim_folder *folder, const char *path);
void sim_folder_put(struct sim_folder *folder, const char *path, struct sim_inode *inode);
void sim_folder_apply(struct sim_folder *folder, const struct sim_change *change);
void sim_folder_clear(struct sim_folder *folder);
struct sim_change sim_change_make(const char *from, const char *to, struct sim_inode *inode);
void sim_change_fini(struct sim_change *change);

#endif
