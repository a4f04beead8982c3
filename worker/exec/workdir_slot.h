/* workdir_slot.h - work dirs that serve one task after another: to make and remove one costs a file system more than all else that a small
 * task does there, and on some ever more with the number of those removed lately (ext4 without a journal passes over their numbers).
 *
 * A work dir is used again when it is as good as new: it is empty, and its owner, mode, size, flags, project and time of change are those
 * that it was made with, and it has no more attributes (and so no access list) than then. Any other is for the caller to remove. Whoever
 * could still reach it by a descriptor would reach the next task's files: give only that of tasks whose processes are gone and could not
 * pass one on, that is, of those in a sandbox.
 *
 * Idle ones lie in the root as `.idle.N`; what a worker that was killed left of them its successor removes with all else there.
 */
#ifndef JQ_WORKER_EXEC_WORKDIR_SLOT_H
#define JQ_WORKER_EXEC_WORKDIR_SLOT_H

#include "worker/exec/workdir.h"

#include <stdint.h>
#include <sys/stat.h>

enum { JQ_WORKDIR_IDLE_COUNT_MAX = 64, JQ_WORKDIR_IDLE_NAME_SIZE = 32 };

/* What tells whether it is as good as new. */
struct jq_workdir_seal {
    struct stat status;
    int64_t attributes_size; /* of the list of their names; -1: the file system has none */
    uint32_t flags, project;
};

struct jq_workdir {
    int fd; /* -1: none */
    struct jq_workdir_owner owner;
    struct jq_workdir_seal seal;
};

/* Zeroed is empty. */
struct jq_workdir_slots {
    struct {
        struct jq_workdir dir;
        char name[JQ_WORKDIR_IDLE_NAME_SIZE];
    } idle[JQ_WORKDIR_IDLE_COUNT_MAX]; /* the longest idle first */
    unsigned idle_count;
    unsigned long next; /* of `.idle.N` */
};

/* `name` below root_fd, as jq_workdir_make() makes it: an idle one of that owner, else a new one. */
enum jq_err jq_workdir_slots_take(struct jq_workdir_slots *slots, int root_fd, const char *name,
                                  const struct jq_workdir_owner *owner, struct jq_workdir *ret_dir,
                                  struct jq_error *reterr);

/* True if `name` is idle from now on: dir->fd is -1 then. False: it is not as good as new, and the caller's to remove and to close. */
bool jq_workdir_slots_give(struct jq_workdir_slots *slots, int root_fd, const char *name, struct jq_workdir *dir);

/* Removes what is idle. */
void jq_workdir_slots_fini(struct jq_workdir_slots *slots, int root_fd);

#endif
