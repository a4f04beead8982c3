#define _GNU_SOURCE
#include "worker/shell/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text.h"

enum jq_err jq_make_dirs(const char *path, unsigned mode, struct jq_error *reterr) {
    char part[WORKER_PATH_MAX];
    const size_t size = strlen(path);
    if (size == 0 || size >= sizeof(part)) {
        return jq_fail(reterr, JQ_ERR_INVALID, "folder '%s': empty or too long", path);
    }
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, i == size ? (mode_t)mode : 0755) != 0 && errno != EEXIST) {
            return jq_fail_errno(reterr, errno, "cannot make the folder %s", part);
        }
    }
    return JQ_OK;
}

/* The folder itself is locked: a file for it would stand among those of tasks. */
enum jq_err jq_output_open(struct jq_worker_shell *worker, struct jq_error *reterr) {
    const char *path = worker->settings->output_dir;
    const enum jq_err err = jq_make_dirs(path, 0755, reterr);
    if (err != JQ_OK) {
        return err;
    }
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return jq_fail_errno(reterr, errno, "[worker] output_dir: %.160s", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const int lock_errno = errno;
        (void)close(fd);
        if (lock_errno == EWOULDBLOCK) {
            return jq_fail(reterr, JQ_ERR_LOCKED, "[worker] output_dir: another worker runs on %.160s", path);
        }
        JQ_LOG_WARN("output_dir cannot be locked: see to it that no other worker has it", JQ_F_STR("path", path),
                    JQ_F_INT("errno", lock_errno));
        return JQ_OK;
    }
    worker->output_lock = (struct jq_output_lock){.fd = fd, .held = true};
    return JQ_OK;
}

void jq_output_close(struct jq_worker_shell *worker) {
    if (worker->output_lock.held) {
        (void)close(worker->output_lock.fd);
        worker->output_lock.held = false;
    }
}

/* `path` lies in output_dir. */
static void remove_tree(struct jq_worker_shell *worker, const char *path) {
    const char *name = strrchr(path, '/');
    const int fd = open(worker->settings->output_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        if (name && !jq_exec_host_remove(worker->host, fd, name + 1)) {
            JQ_LOG_WARN("output cannot be removed", JQ_F_STR("path", path));
        }
        (void)close(fd);
    }
}

static enum jq_err path_in(const struct jq_worker_shell *worker, const char *name, char ret_path[WORKER_PATH_MAX],
                           struct jq_error *reterr) {
    const char *output_dir = worker->settings->output_dir;
    const int size = snprintf(ret_path, WORKER_PATH_MAX, "%s/%s", output_dir, name);
    return size < WORKER_PATH_MAX
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_INVALID, "output_dir: the path is too long: %.160s", output_dir);
}

enum jq_err jq_output_final(const struct jq_run *run, char ret_path[WORKER_PATH_MAX], struct jq_error *reterr) {
    char id[JQ_TASK_ID_TEXT_SIZE];
    return path_in(run->worker, jq_text_format_task_id(run->task, id), ret_path, reterr);
}

/* A rest of the same attempt is not taken for its own. */
static bool make_empty(struct jq_worker_shell *worker, const char *path) {
    if (mkdir(path, 0755) == 0) {
        return true;
    }
    if (errno != EEXIST) {
        return false;
    }
    remove_tree(worker, path);
    return mkdir(path, 0755) == 0;
}

enum jq_err jq_output_make(struct jq_run *run, struct jq_error *reterr) {
    struct jq_worker_shell *worker = run->worker;
    char id[JQ_TASK_ID_TEXT_SIZE];
    char name[JQ_TASK_ID_TEXT_SIZE + 16];
    char path[WORKER_PATH_MAX];
    if (run->handler->output_files_max_bytes == 0) {
        return JQ_OK;
    }
    (void)snprintf(name, sizeof(name), ".%s.%u", jq_text_format_task_id(run->task, id), run->attempt);
    const enum jq_err err = path_in(worker, name, path, reterr);
    if (err != JQ_OK) {
        return err;
    }
    if (!make_empty(worker, path)) {
        return jq_fail_errno(reterr, errno, "output folder %s", path);
    }
    if (worker->switch_user && chown(path, worker->uid, worker->gid) != 0) {
        const int chown_errno = errno;
        (void)rmdir(path);
        return jq_fail_errno(reterr, chown_errno, "output folder %s", path);
    }
    memcpy(run->output, path, sizeof(path));
    return JQ_OK;
}

void jq_output_discard(struct jq_run *run) {
    if (run->output[0] != '\0') {
        remove_tree(run->worker, run->output);
        run->output[0] = '\0';
    }
}

/* Files of an earlier success (the task was replayed) change places with these: whoever looks sees the ones or the others, whole. Where the
 * file system cannot do that, they are removed first. */
static bool put_in_place(struct jq_worker_shell *worker, const char *path, const char *final) {
    if (rename(path, final) == 0) {
        return true;
    }
    if (renameat2(AT_FDCWD, path, AT_FDCWD, final, RENAME_EXCHANGE) == 0) {
        remove_tree(worker, path);
        return true;
    }
    remove_tree(worker, final);
    return rename(path, final) == 0;
}

/* An empty folder says nothing. */
void jq_output_keep(struct jq_run *run) {
    char final[WORKER_PATH_MAX];
    if (run->output[0] == '\0' || rmdir(run->output) == 0) {
        run->output[0] = '\0';
        return;
    }
    if (jq_output_final(run, final, NULL) != JQ_OK || !put_in_place(run->worker, run->output, final)) {
        JQ_LOG_ERROR("output cannot be renamed", JQ_F_STR("from", run->output), JQ_F_STR("to", final),
                     JQ_F_INT("errno", errno));
    }
    run->output[0] = '\0';
}

void jq_output_clear_old(struct jq_worker_shell *worker) {
    const struct jq_worker_settings *settings = worker->settings;
    DIR *dir = opendir(settings->output_dir);
    const struct dirent *entry = dir ? readdir(dir) : NULL;
    while (entry) {
        char path[WORKER_PATH_MAX];
        const char *name = entry->d_name;
        if (name[0] == '.' && ((name[1] >= '0' && name[1] <= '9') || strncmp(name, ".pool-", 6) == 0 ||
                               strncmp(name, ".gone.", 6) == 0)) {
            (void)snprintf(path, sizeof(path), "%s/%s", settings->output_dir, name);
            remove_tree(worker, path);
        }
        entry = readdir(dir);
    }
    if (dir) {
        (void)closedir(dir);
    }
}
