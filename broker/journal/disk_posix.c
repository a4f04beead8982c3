/* disk_posix.c - disk.h by system calls. */
#include "broker/journal/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FILE_NAME_SIZE = 64 };

struct jq_file {
    int fd;
    char name[FILE_NAME_SIZE]; /* last part of the path, for messages; cut if longer */
};

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static enum jq_err file_of_fd(int fd, const char *path, struct jq_file **ret_file, struct jq_error *reterr) {
    struct jq_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        close(fd);
        return jq_fail(reterr, JQ_ERR_NOMEM, "%s: out of memory", name_of(path));
    }
    file->fd = fd;
    const char *name = name_of(path);
    memcpy(file->name, name, strnlen(name, FILE_NAME_SIZE - 1));
    *ret_file = file;
    return JQ_OK;
}

static enum jq_err posix_open(void *ctx, const char *path, enum jq_disk_mode mode, struct jq_file **ret_file,
                              struct jq_error *reterr) {
    (void)ctx;
    static const int FLAGS[] = {
        [JQ_DISK_READ] = O_RDONLY,
        [JQ_DISK_WRITE] = O_RDWR,
        [JQ_DISK_CREATE] = O_RDWR | O_CREAT | O_TRUNC,
    };
    int fd;
    do {
        fd = open(path, FLAGS[mode] | O_CLOEXEC | O_NOFOLLOW, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return jq_fail_errno(reterr, errno, "%s: open", name_of(path));
    return file_of_fd(fd, path, ret_file, reterr);
}

static void posix_close(void *ctx, struct jq_file *file) {
    (void)ctx;
    if (file == NULL)
        return;
    close(file->fd);
    free(file);
}

static enum jq_err posix_read(void *ctx, struct jq_file *file, void *data, size_t size, uint64_t offset,
                              size_t *ret_size, struct jq_error *reterr) {
    (void)ctx;
    size_t done = 0;
    while (done < size) {
        const ssize_t got = pread(file->fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return jq_fail_errno(reterr, errno, "%s: read at offset %llu", file->name,
                                 (unsigned long long)(offset + done));
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *ret_size = done;
    return JQ_OK;
}

static enum jq_err posix_write(void *ctx, struct jq_file *file, const void *data, size_t size, uint64_t offset,
                               struct jq_error *reterr) {
    (void)ctx;
    size_t done = 0;
    while (done < size) {
        const ssize_t put = pwrite(file->fd, (const uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return jq_fail_errno(reterr, put < 0 ? errno : EIO, "%s: write of %zu bytes at offset %llu", file->name,
                                 size, (unsigned long long)offset);
        done += (size_t)put;
    }
    return JQ_OK;
}

static enum jq_err posix_sync(void *ctx, struct jq_file *file, struct jq_error *reterr) {
    (void)ctx;
    /* EINTR is an error here too: nobody can say what became of the dirty pages. */
    if (fdatasync(file->fd) < 0)
        return jq_fail_errno(reterr, errno, "%s: fdatasync", file->name);
    return JQ_OK;
}

static enum jq_err posix_allocate(void *ctx, struct jq_file *file, uint64_t size, struct jq_error *reterr) {
    (void)ctx;
    int failed;
    do {
        failed = posix_fallocate(file->fd, 0, (off_t)size);
    } while (failed == EINTR);
    if (failed != 0)
        return jq_fail_errno(reterr, failed, "%s: allocate %llu bytes", file->name, (unsigned long long)size);
    return JQ_OK;
}

static enum jq_err posix_size(void *ctx, struct jq_file *file, uint64_t *ret_size, struct jq_error *reterr) {
    (void)ctx;
    struct stat status;
    if (fstat(file->fd, &status) < 0)
        return jq_fail_errno(reterr, errno, "%s: stat", file->name);
    *ret_size = (uint64_t)status.st_size;
    return JQ_OK;
}

static enum jq_err posix_rename(void *ctx, const char *from, const char *to, struct jq_error *reterr) {
    (void)ctx;
    if (rename(from, to) < 0)
        return jq_fail_errno(reterr, errno, "%s: rename to %s", name_of(from), name_of(to));
    return JQ_OK;
}

static enum jq_err posix_unlink(void *ctx, const char *path, struct jq_error *reterr) {
    (void)ctx;
    if (unlink(path) < 0)
        return jq_fail_errno(reterr, errno, "%s: unlink", name_of(path));
    return JQ_OK;
}

static enum jq_err posix_list(void *ctx, const char *dir, enum jq_err (*on_name)(void *name_ctx, const char *name),
                              void *name_ctx, struct jq_error *reterr) {
    (void)ctx;
    DIR *stream = opendir(dir);
    if (stream == NULL)
        return jq_fail_errno(reterr, errno, "%s: open folder", dir);
    enum jq_err result = JQ_OK;
    while (result == JQ_OK) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            if (errno != 0)
                result = jq_fail_errno(reterr, errno, "%s: read folder", dir);
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = on_name(name_ctx, entry->d_name);
    }
    closedir(stream);
    return result;
}

static enum jq_err posix_sync_dir(void *ctx, const char *dir, struct jq_error *reterr) {
    (void)ctx;
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return jq_fail_errno(reterr, errno, "%s: open folder", dir);
    const int failed = fsync(fd) < 0 ? errno : 0;
    close(fd);
    return failed != 0 ? jq_fail_errno(reterr, failed, "%s: fsync of folder", dir) : JQ_OK;
}

static enum jq_err posix_make_dir(void *ctx, const char *dir, struct jq_error *reterr) {
    struct stat status;
    if (mkdir(dir, 0700) < 0) {
        const int failed = errno;
        if (failed == EEXIST && stat(dir, &status) == 0 && S_ISDIR(status.st_mode))
            return JQ_OK;
        return jq_fail_errno(reterr, failed == EEXIST ? ENOTDIR : failed, "%s: make folder", dir);
    }
    char parent[JQ_DISK_PATH_SIZE_MAX] = ".";
    const char *slash = strrchr(dir, '/');
    if (slash != NULL) {
        const size_t size = slash == dir ? 1 : (size_t)(slash - dir);
        if (size >= sizeof(parent))
            return jq_fail(reterr, JQ_ERR_INVALID, "path of the folder is too long");
        memcpy(parent, dir, size);
        parent[size] = '\0';
    }
    return posix_sync_dir(ctx, parent, reterr);
}

/* The pid that a lock file names, for the message only; 0 if unreadable. */
static long lock_holder(int fd) {
    char text[24] = {0};
    if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
        return 0;
    const long pid = strtol(text, NULL, 10);
    return pid > 0 ? pid : 0;
}

static enum jq_err posix_lock(void *ctx, const char *path, struct jq_file **ret_file, struct jq_error *reterr) {
    (void)ctx;
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return jq_fail_errno(reterr, errno, "%s: open", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        const int failed = errno;
        const long pid = lock_holder(fd);
        close(fd);
        if (failed != EWOULDBLOCK)
            return jq_fail_errno(reterr, failed, "%s: lock", path);
        return jq_fail(reterr, JQ_ERR_LOCKED, "data directory %.*s is owned by a running broker (pid %ld)",
                       (int)(name_of(path) > path ? name_of(path) - path - 1 : 0), path, pid);
    }
    char text[24];
    const int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)size, 0) != size) {
        const int failed = errno;
        close(fd);
        return jq_fail_errno(reterr, failed, "%s: write the pid", path);
    }
    return file_of_fd(fd, path, ret_file, reterr);
}

static enum jq_err posix_free_space(void *ctx, const char *dir, uint64_t *ret_bytes, struct jq_error *reterr) {
    (void)ctx;
    struct statvfs status;
    if (statvfs(dir, &status) < 0)
        return jq_fail_errno(reterr, errno, "%s: statvfs", dir);
    *ret_bytes = (uint64_t)status.f_bavail * (uint64_t)status.f_frsize;
    return JQ_OK;
}

const struct jq_disk *jq_disk_posix(void) {
    static const struct jq_disk disk = {
        .open = posix_open,
        .close = posix_close,
        .read = posix_read,
        .write = posix_write,
        .sync = posix_sync,
        .allocate = posix_allocate,
        .size = posix_size,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .list = posix_list,
        .sync_dir = posix_sync_dir,
        .make_dir = posix_make_dir,
        .lock = posix_lock,
        .free_space = posix_free_space,
    };
    return &disk;
}

enum jq_err jq_disk_path(char path[JQ_DISK_PATH_SIZE_MAX], const char *dir, const char *name, struct jq_error *reterr) {
    const int size = snprintf(path, JQ_DISK_PATH_SIZE_MAX, "%s/%s", dir, name);
    if (size < 0 || size >= JQ_DISK_PATH_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_INVALID, "path of %s is longer than %d bytes", name, JQ_DISK_PATH_SIZE_MAX - 1);
    return JQ_OK;
}
