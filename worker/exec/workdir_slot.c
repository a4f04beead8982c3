#define _GNU_SOURCE
#include "worker/exec/workdir_slot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- as good as new ---- */

/* What a file system does not know of it cannot be changed there, either. */
static bool read_seal(int fd, struct jq_workdir_seal *ret_seal) {
    struct fsxattr project = {.fsx_xflags = 0};
    int flags = 0;
    (void)ioctl(fd, FS_IOC_GETFLAGS, &flags);
    (void)ioctl(fd, FS_IOC_FSGETXATTR, &project);
    *ret_seal = (struct jq_workdir_seal){
        .attributes_size = flistxattr(fd, NULL, 0), .flags = (uint32_t)flags, .project = project.fsx_projid};
    return fstat(fd, &ret_seal->status) == 0;
}

static bool times_same(const struct timespec *left, const struct timespec *right) {
    return left->tv_sec == right->tv_sec && left->tv_nsec == right->tv_nsec;
}

static bool seals_same(const struct jq_workdir_seal *left, const struct jq_workdir_seal *right) {
    const struct stat *a = &left->status, *b = &right->status;
    return a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid && a->st_nlink == b->st_nlink &&
           a->st_size == b->st_size && times_same(&a->st_mtim, &b->st_mtim) &&
           left->attributes_size == right->attributes_size && left->flags == right->flags &&
           left->project == right->project;
}

static bool is_as_good_as_new(const struct jq_workdir *dir) {
    struct jq_workdir_seal now;
    return read_seal(dir->fd, &now) && seals_same(&now, &dir->seal) &&
           jq_workdir_count(dir->fd, NULL, 1) == 0; /* the time of its change can be set to what it was */
}

/* ---- taking and giving ---- */

static bool owners_same(const struct jq_workdir_owner *left, const struct jq_workdir_owner *right) {
    return left->other == right->other && (!left->other || (left->uid == right->uid && left->gid == right->gid));
}

static void take_at(struct jq_workdir_slots *slots, unsigned index) {
    slots->idle_count--;
    memmove(&slots->idle[index], &slots->idle[index + 1], (slots->idle_count - index) * sizeof(slots->idle[0]));
}

static void drop_at(struct jq_workdir_slots *slots, int root_fd, unsigned index) {
    (void)unlinkat(root_fd, slots->idle[index].name, AT_REMOVEDIR);
    (void)close(slots->idle[index].dir.fd);
    take_at(slots, index);
}

static bool rename_to(int root_fd, const char *from, const char *to) {
    return renameat2(root_fd, from, root_fd, to, RENAME_NOREPLACE) == 0;
}

/* One that somebody else removed is given up. What stands in the way of the name is not its fault. */
static bool take_idle(struct jq_workdir_slots *slots, int root_fd, const char *name,
                      const struct jq_workdir_owner *owner, struct jq_workdir *ret_dir) {
    for (unsigned i = slots->idle_count; i > 0; i--) {
        if (!owners_same(&slots->idle[i - 1].dir.owner, owner)) {
            continue;
        }
        if (rename_to(root_fd, slots->idle[i - 1].name, name)) {
            *ret_dir = slots->idle[i - 1].dir;
            take_at(slots, i - 1);
            return true;
        }
        if (errno == EEXIST) {
            return false;
        }
        drop_at(slots, root_fd, i - 1);
    }
    return false;
}

enum jq_err jq_workdir_slots_take(struct jq_workdir_slots *slots, int root_fd, const char *name,
                                  const struct jq_workdir_owner *owner, struct jq_workdir *ret_dir,
                                  struct jq_error *reterr) {
    if (take_idle(slots, root_fd, name, owner, ret_dir)) {
        return JQ_OK;
    }
    *ret_dir = (struct jq_workdir){.fd = -1, .owner = *owner};
    const enum jq_err err = jq_workdir_make(root_fd, name, owner, &ret_dir->fd, reterr);
    if (err == JQ_OK) {
        (void)read_seal(ret_dir->fd, &ret_dir->seal);
    }
    return err;
}

bool jq_workdir_slots_give(struct jq_workdir_slots *slots, int root_fd, const char *name, struct jq_workdir *dir) {
    char idle[JQ_WORKDIR_IDLE_NAME_SIZE];
    (void)snprintf(idle, sizeof(idle), ".idle.%lu", ++slots->next);
    if (dir->fd < 0 || !is_as_good_as_new(dir) || !rename_to(root_fd, name, idle)) {
        return false;
    }
    if (slots->idle_count == JQ_WORKDIR_IDLE_COUNT_MAX) {
        drop_at(slots, root_fd, 0);
    }
    slots->idle[slots->idle_count].dir = *dir;
    memcpy(slots->idle[slots->idle_count].name, idle, sizeof(idle));
    slots->idle_count++;
    dir->fd = -1;
    return true;
}

void jq_workdir_slots_fini(struct jq_workdir_slots *slots, int root_fd) {
    while (slots->idle_count > 0) {
        drop_at(slots, root_fd, slots->idle_count - 1);
    }
}
