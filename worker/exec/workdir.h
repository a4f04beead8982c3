/* workdir.h - a fresh directory for each task, and its removal whatever the task left in it.
 *
 * Removal follows no symbolic link, survives any depth and any mode of what lies there, and never leaves the directory.
 */
#ifndef JQ_WORKER_EXEC_WORKDIR_H
#define JQ_WORKER_EXEC_WORKDIR_H

#include "common/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whose it is to be: the worker's own, or with `other` that user's. */
struct jq_workdir_owner {
    bool other;
    uid_t uid;
    gid_t gid;
};

/* Makes `name` (mode 0700) below root_fd; an old one of that name is removed first. The caller closes *ret_fd. */
enum jq_err jq_workdir_make(int root_fd, const char *name, const struct jq_workdir_owner *owner, int *ret_fd,
                            struct jq_error *reterr);

/* Removes `name` with all that is in it. True when it is gone. */
bool jq_workdir_remove(int root_fd, const char *name);

/* Asked before each entry is removed; false ends it there. The entry is `name` in dir_fd. */
struct jq_workdir_pace {
    bool (*go_on)(void *ctx, int dir_fd, const char *name);
    void *ctx;
};
bool jq_workdir_remove_paced(int root_fd, const char *name, const struct jq_workdir_pace *pace);

/* How many entries it has beside `but` (NULL: all count), counted no further than `most`; `most` if it cannot be read. */
unsigned jq_workdir_count(int root_fd, const char *but, unsigned most);

/* Removes everything below root_fd. True when it is empty. */
bool jq_workdir_clear(int root_fd);

#endif
