/* disk.h - the file system as the journal sees it: a table of functions, so that a simulated disk can take its place.
 *
 * Units:     offsets and sizes are bytes. Paths are NUL-terminated; a name in a message is the last part of the path.
 * Ownership: open() and lock() give a file that close() takes back; close(NULL) is a no-op.
 * Errors:    JQ_OK, or a code with detail in *reterr (JQ_ERR_NO_SPACE, JQ_ERR_NOT_FOUND, JQ_ERR_IO, ...). Nothing is
 *            retried in here but EINTR: whether a failed write or sync may be repeated is the journal's decision.
 * Threads:   every function may be called from any thread; one file is written by one thread at a time.
 *
 * What the journal takes for granted of a disk, and the simulated one (tests/lib/simdisk.h) lets happen:
 *  - a write that was not followed by a sync may be kept, lost, or torn into sectors, some kept, some garbled;
 *  - bytes outside a write are never changed by it (powersafe overwrite: a sector is written whole or not at all);
 *  - a file made, renamed or unlinked is so after a power failure only if its folder was synced since;
 *  - after a failed sync reads may still show the bytes that were lost.
 */
#ifndef JQ_BROKER_JOURNAL_DISK_H
#define JQ_BROKER_JOURNAL_DISK_H

#include "common/err.h"
#include "common/types.h"

struct jq_file; /* Opaque: an open file of one disk. */

enum jq_disk_mode {
    JQ_DISK_READ,   /* an existing file, to read */
    JQ_DISK_WRITE,  /* an existing file, to read and write */
    JQ_DISK_CREATE, /* a new or emptied file, to read and write */
};

enum { JQ_DISK_PATH_SIZE_MAX = 1024 }; /* with its NUL */

struct jq_disk {
    void *ctx; /* first argument of every function */

    enum jq_err (*open)(void *ctx, const char *path, enum jq_disk_mode mode, struct jq_file **ret_file,
                        struct jq_error *reterr);
    void (*close)(void *ctx, struct jq_file *file);

    /* *ret_size is less than `size` only at the end of the file. */
    enum jq_err (*read)(void *ctx, struct jq_file *file, void *data, size_t size, uint64_t offset, size_t *ret_size,
                        struct jq_error *reterr);
    /* All of it or an error; after an error any part of it may have been written. Grows the file. */
    enum jq_err (*write)(void *ctx, struct jq_file *file, const void *data, size_t size, uint64_t offset,
                         struct jq_error *reterr);
    /* Data and size of the file are on the medium (fdatasync). */
    enum jq_err (*sync)(void *ctx, struct jq_file *file, struct jq_error *reterr);
    /* Claims space for `size` bytes and makes the file that long; what was not written reads as zeros. */
    enum jq_err (*allocate)(void *ctx, struct jq_file *file, uint64_t size, struct jq_error *reterr);
    enum jq_err (*size)(void *ctx, struct jq_file *file, uint64_t *ret_size, struct jq_error *reterr);

    /* Atomic; replaces `to`. */
    enum jq_err (*rename)(void *ctx, const char *from, const char *to, struct jq_error *reterr);
    enum jq_err (*unlink)(void *ctx, const char *path, struct jq_error *reterr);
    /* Calls on_name for every entry but "." and "..", in no order; stops at its first error and returns it. */
    enum jq_err (*list)(void *ctx, const char *dir, enum jq_err (*on_name)(void *name_ctx, const char *name),
                        void *name_ctx, struct jq_error *reterr);
    /* Entries made, renamed and unlinked in `dir` are on the medium. */
    enum jq_err (*sync_dir)(void *ctx, const char *dir, struct jq_error *reterr);
    /* Makes the folder (not its parents), mode 0700, durably; no error if it exists. */
    enum jq_err (*make_dir)(void *ctx, const char *dir, struct jq_error *reterr);

    /* Holds `path` exclusively until close() or the end of the process, and writes the pid into it. JQ_ERR_LOCKED names
     * the pid of the holder. */
    enum jq_err (*lock)(void *ctx, const char *path, struct jq_file **ret_file, struct jq_error *reterr);
    /* Bytes that an unprivileged writer may still use on the file system of `dir`. */
    enum jq_err (*free_space)(void *ctx, const char *dir, uint64_t *ret_bytes, struct jq_error *reterr);
};

/* The operating system's files. Static; ctx is NULL. */
const struct jq_disk *jq_disk_posix(void);

/* Writes "dir/name" into path. JQ_ERR_INVALID when it does not fit. */
enum jq_err jq_disk_path(char path[JQ_DISK_PATH_SIZE_MAX], const char *dir, const char *name, struct jq_error *reterr);

#endif
