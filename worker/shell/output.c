/* output.c - where a task's files go: written under output_dir/.TASK.ATTEMPT, visible as output_dir/TASK once the outcome stands. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "worker/shell/worker.h"

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

enum jq_err jq_output_make(struct jq_run *run, struct jq_error *reterr) {
    const struct jq_worker_shell *worker = run->worker;
    if (run->handler->output_files_max_bytes == 0) {
        return JQ_OK;
    }
    (void)snprintf(run->output, sizeof(run->output), "%s/.%llu.%u", worker->settings->output_dir,
                   (unsigned long long)run->task.value, run->attempt);
    if (mkdir(run->output, 0755) != 0 && errno != EEXIST) {
        const int failed = errno;
        const enum jq_err err = jq_fail_errno(reterr, failed, "output folder %s", run->output);
        run->output[0] = '\0';
        return err;
    }
    if (worker->switch_user && chown(run->output, worker->uid, worker->gid) != 0) {
        return jq_fail_errno(reterr, errno, "output folder %s", run->output);
    }
    return JQ_OK;
}

void jq_output_discard(struct jq_run *run) {
    if (run->output[0] != '\0') {
        remove_tree(run->worker, run->output);
        run->output[0] = '\0';
    }
}

/* An empty folder says nothing. One of that name there already (the task was replayed) gives way. */
void jq_output_keep(struct jq_run *run) {
    char final[WORKER_PATH_MAX];
    if (run->output[0] == '\0' || rmdir(run->output) == 0) {
        return;
    }
    (void)snprintf(final, sizeof(final), "%s/%llu", run->worker->settings->output_dir,
                   (unsigned long long)run->task.value);
    if (rename(run->output, final) != 0) {
        remove_tree(run->worker, final);
        if (rename(run->output, final) != 0) {
            JQ_LOG_ERROR("output cannot be renamed", JQ_F_STR("from", run->output), JQ_F_STR("to", final),
                         JQ_F_INT("errno", errno));
        }
    }
    run->output[0] = '\0';
}

/* What attempts of a worker that was killed left: nobody else writes here, and their outcome was never accepted. */
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
