#define _GNU_SOURCE
#include "worker/exec/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each level of descent holds a descriptor. What lies deeper is moved up to the root and removed from there. */
enum { DEPTH_MAX = 24, ROUNDS_MAX = 10000 };

/* One removal. */
struct removal {
    int root_fd;
    const struct jq_workdir_pace *pace; /* NULL: to the end */
    bool stopped;
};

static bool remove_entry(struct removal *removal, int dir_fd, const char *name, int depth);

static bool is_dots(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool goes_on(struct removal *removal, int dir_fd, const char *name) {
    removal->stopped = removal->stopped || (removal->pace && !removal->pace->go_on(removal->pace->ctx, dir_fd, name));
    return !removal->stopped;
}

static bool remove_entries(struct removal *removal, DIR *dir, int depth) {
    bool all_gone = true;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (is_dots(entry->d_name)) {
            continue;
        }
        if (!goes_on(removal, dirfd(dir), entry->d_name)) {
            return false;
        }
        all_gone = remove_entry(removal, dirfd(dir), entry->d_name, depth) && all_gone;
    }
    return all_gone;
}

static DIR *open_dir(int dir_fd, const char *name) {
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir_fd, name, flags);
    if (fd < 0 && errno == EACCES) {
        /* The owner took the rights from himself; a link cannot come in between, since his processes are gone. */
        fd = fchmodat(dir_fd, name, 0700, 0) == 0 ? openat(dir_fd, name, flags) : -1;
    }
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL && fd >= 0) {
        (void)close(fd);
    }
    return dir;
}

/* Gives a directory a free name in the root, where the next round finds it. */
static bool move_up(int root_fd, int dir_fd, const char *name) {
    static _Atomic unsigned counter;
    char target[32];
    (void)snprintf(target, sizeof(target), ".deep.%u", counter++);
    return renameat2(dir_fd, name, root_fd, target, RENAME_NOREPLACE) == 0;
}

static bool remove_dir(struct removal *removal, int dir_fd, const char *name, int depth) {
    if (depth >= DEPTH_MAX) {
        return move_up(removal->root_fd, dir_fd, name);
    }
    DIR *dir = open_dir(dir_fd, name);
    if (dir == NULL) {
        return errno == ENOENT;
    }
    /* Without write and search permission nothing in it can be removed. */
    (void)fchmod(dirfd(dir), 0700);
    (void)remove_entries(removal, dir, depth + 1);
    (void)closedir(dir);
    return unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

static bool remove_entry(struct removal *removal, int dir_fd, const char *name, int depth) {
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) {
        return true;
    }
    return (errno == EISDIR || errno == EPERM) && remove_dir(removal, dir_fd, name, depth);
}

/* True if it was empty; *ret_more: something was removed, and there may be more. */
static bool clear_once(struct removal *removal, bool *ret_more) {
    DIR *dir = open_dir(removal->root_fd, ".");
    unsigned found = 0;
    *ret_more = false;
    if (dir == NULL) {
        return false;
    }
    bool all_gone = true;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (is_dots(entry->d_name)) {
            continue;
        }
        found++;
        if (!goes_on(removal, removal->root_fd, entry->d_name)) {
            break;
        }
        all_gone = remove_entry(removal, removal->root_fd, entry->d_name, 0) && all_gone;
    }
    (void)closedir(dir);
    *ret_more = found > 0 && all_gone && !removal->stopped;
    return found == 0;
}

static bool clear(int root_fd, const struct jq_workdir_pace *pace) {
    struct removal removal = {.root_fd = root_fd, .pace = pace};
    bool more = true;
    bool empty = false;
    for (int round = 0; round < ROUNDS_MAX && more; round++) {
        empty = clear_once(&removal, &more);
    }
    return empty;
}

bool jq_workdir_clear(int root_fd) {
    return clear(root_fd, NULL);
}

bool jq_workdir_remove_paced(int root_fd, const char *name, const struct jq_workdir_pace *pace) {
    if (unlinkat(root_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        return true;
    }
    /* What is too deep is moved to the top of this very directory: each round ends, and the next finds it there. */
    DIR *dir = open_dir(root_fd, name);
    if (dir == NULL) {
        return false;
    }
    (void)fchmod(dirfd(dir), 0700);
    const bool cleared = clear(dirfd(dir), pace);
    (void)closedir(dir);
    return cleared && unlinkat(root_fd, name, AT_REMOVEDIR) == 0;
}

unsigned jq_workdir_count(int root_fd, const char *but, unsigned most) {
    const int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    unsigned count = 0;
    if (dir == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return most;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL && count < most; entry = readdir(dir)) {
        count += !is_dots(entry->d_name) && (but == NULL || strcmp(entry->d_name, but) != 0);
    }
    (void)closedir(dir);
    return count;
}

bool jq_workdir_remove(int root_fd, const char *name) {
    return jq_workdir_remove_paced(root_fd, name, NULL);
}

enum jq_err jq_workdir_make(int root_fd, const char *name, const struct jq_workdir_owner *owner, int *ret_fd,
                            struct jq_error *reterr) {
    if (mkdirat(root_fd, name, 0700) != 0) {
        if (errno != EEXIST || !jq_workdir_remove(root_fd, name) || mkdirat(root_fd, name, 0700) != 0) {
            return jq_fail_errno(reterr, errno, "work dir %s", name);
        }
    }
    const int fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || (owner->other && fchown(fd, owner->uid, owner->gid) != 0)) {
        const int open_errno = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        (void)unlinkat(root_fd, name, AT_REMOVEDIR);
        return jq_fail_errno(reterr, open_errno, "work dir %s", name);
    }
    *ret_fd = fd;
    return JQ_OK;
}
