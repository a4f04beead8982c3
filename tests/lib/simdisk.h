/* simdisk.h - a disk in memory that forgets, tears and fails as real ones do, by a seed: same calls, same disk.
 *
 * Every file has two contents: the cache (what reads show) and the medium (what a power failure leaves). A write goes
 * to the cache; sync() brings what was written since to the medium. The folder works the same way: making, renaming and
 * unlinking a file reach the medium with sync_dir(). Folders themselves always exist. A sync that fails loses what it
 * should have saved, while reads go on showing it, and no later sync saves it.
 *
 * Threads:   one at a time.
 * Ownership: a file that was open at a crash or kill is dead (JQ_ERR_IO), but must still be closed.
 */
#ifndef JQ_TESTS_LIB_SIMDISK_H
#define JQ_TESTS_LIB_SIMDISK_H

#include "broker/journal/disk.h"

struct jq_simdisk; /* Opaque. */

/* Operations for fault injection and counting. Changes are those from CREATE on. */
enum jq_simdisk_op {
    JQ_SIMDISK_ANY,    /* any of those below */
    JQ_SIMDISK_CHANGE, /* any that changes something: create, write, sync, allocate, rename, unlink, sync_dir */
    JQ_SIMDISK_READ,
    JQ_SIMDISK_OPEN,
    JQ_SIMDISK_CREATE,
    JQ_SIMDISK_WRITE,
    JQ_SIMDISK_SYNC,
    JQ_SIMDISK_ALLOCATE,
    JQ_SIMDISK_RENAME,
    JQ_SIMDISK_UNLINK,
    JQ_SIMDISK_SYNC_DIR,
    JQ_SIMDISK_OP_COUNT,
};

/* What a power failure does to each 512-byte piece of what was written and not synced, by weight. Only bytes that were
 * written are ever touched. Changes of the folder that were not synced: all kept if lose and garble are 0, all lost if
 * keep is 0, else the first so many of them, or any of them if `unordered`. */
struct jq_simdisk_loss {
    uint32_t keep;
    uint32_t lose;
    uint32_t garble; /* random bytes */
    bool unordered;
};

#define JQ_SIMDISK_KEEP   ((struct jq_simdisk_loss){.keep = 1})
#define JQ_SIMDISK_LOSE   ((struct jq_simdisk_loss){.lose = 1})
#define JQ_SIMDISK_TORN   ((struct jq_simdisk_loss){.keep = 1, .lose = 1})
#define JQ_SIMDISK_GARBLE ((struct jq_simdisk_loss){.keep = 1, .lose = 1, .garble = 1, .unordered = true})

struct jq_simdisk *jq_simdisk_new(uint64_t seed);
void jq_simdisk_free(struct jq_simdisk *sim);

/* Contents, names and what is not synced; without open files, locks and faults. */
struct jq_simdisk *jq_simdisk_clone(const struct jq_simdisk *sim, uint64_t seed);

/* The disk to hand to a journal; lives as long as `sim`. */
const struct jq_disk *jq_simdisk_disk(struct jq_simdisk *sim);

/* The power fails and comes back: every file is what its medium holds now. Faults and power_off are over. */
void jq_simdisk_crash(struct jq_simdisk *sim, struct jq_simdisk_loss loss);
/* The process dies, the machine does not: files are closed and locks released, the cache stays. */
void jq_simdisk_kill(struct jq_simdisk *sim);

/* The operation of that kind after the next `skip` ones fails once with sys_errno. A write may have written a part, a
 * sync has lost its data. At most 16 faults wait at a time. */
void jq_simdisk_fail(struct jq_simdisk *sim, enum jq_simdisk_op op, uint64_t skip, int sys_errno);
/* After `count` more changes the power is off: every operation fails until crash(). The first of them may have been
 * done in part or whole. */
void jq_simdisk_power_off_after(struct jq_simdisk *sim, uint64_t count);
bool jq_simdisk_power_is_off(const struct jq_simdisk *sim);

/* Operations of that kind so far, failed ones too. */
uint64_t jq_simdisk_op_count(const struct jq_simdisk *sim, enum jq_simdisk_op op);

/* All files together may not grow beyond; UINT64_MAX at first. */
void jq_simdisk_set_capacity(struct jq_simdisk *sim, uint64_t bytes);

/* Bit rot: flips the bits of `mask` in one byte, in cache and medium. False if there is no such byte. */
bool jq_simdisk_flip(struct jq_simdisk *sim, const char *path, uint64_t offset, uint8_t mask);
/* Overwrites bytes, in cache and medium. False if they do not exist. */
bool jq_simdisk_poke(struct jq_simdisk *sim, const char *path, uint64_t offset, const void *data, size_t size);
/* The cache's bytes and size of a file; NULL if there is none. Valid until the next operation on the file. */
const uint8_t *jq_simdisk_peek(const struct jq_simdisk *sim, const char *path, uint64_t *ret_size);
/* Cuts a file off, in cache and medium. False if there is no such file. */
bool jq_simdisk_truncate(struct jq_simdisk *sim, const char *path, uint64_t size);

#endif
