#define _GNU_SOURCE
#include "worker/exec/outputs.h"

#include "common/text.h"
#include "worker/exec/workdir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 64 };

static enum jq_err open_parent(const char *output_dir, int *ret_fd, struct jq_error *reterr) {
    *ret_fd = open(output_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? JQ_OK : jq_fail_errno(reterr, errno, "output_dir %.160s", output_dir);
}

static void name_attempt(jq_task_id task, uint32_t attempt, char name[NAME_SIZE]) {
    char id[JQ_TASK_ID_TEXT_SIZE];
    (void)snprintf(name, NAME_SIZE, ".%s.%u", jq_text_format_task_id(task, id), attempt);
}

static enum jq_err put_path(const char *output_dir, const char *name, char *ret_path, size_t path_size,
                            struct jq_error *reterr) {
    const int size = snprintf(ret_path, path_size, "%s/%s", output_dir, name);
    return size > 0 && (size_t)size < path_size
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_TOO_BIG, "output_dir: path too long: %.160s", output_dir);
}

enum jq_err jq_outputs_final(const char *output_dir, jq_task_id task, char *ret_path, size_t path_size,
                             struct jq_error *reterr) {
    char id[JQ_TASK_ID_TEXT_SIZE];
    return put_path(output_dir, jq_text_format_task_id(task, id), ret_path, path_size, reterr);
}

enum jq_err jq_outputs_begin(const char *output_dir, jq_task_id task, uint32_t attempt,
                             const struct jq_outputs_owner *owner, char *ret_path, size_t path_size,
                             struct jq_error *reterr) {
    char name[NAME_SIZE];
    int parent_fd = -1;
    int dir_fd = -1;
    name_attempt(task, attempt, name);
    enum jq_err err = put_path(output_dir, name, ret_path, path_size, reterr);
    if (err == JQ_OK) {
        err = open_parent(output_dir, &parent_fd, reterr);
    }
    if (err != JQ_OK) {
        return err;
    }
    err = jq_workdir_make(parent_fd, name, owner != NULL, owner != NULL ? owner->uid : 0,
                          owner != NULL ? owner->gid : 0, &dir_fd, reterr);
    if (err == JQ_OK) {
        (void)close(dir_fd);
    }
    (void)close(parent_fd);
    return err;
}

/* 0755: the attempt's folder was its task's alone. */
static enum jq_err accept_attempt(int parent_fd, const char *attempt, const char *final, struct jq_error *reterr) {
    if (unlinkat(parent_fd, attempt, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        return JQ_OK;
    }
    if (renameat2(parent_fd, attempt, parent_fd, final, RENAME_NOREPLACE) != 0) {
        return errno == EEXIST ? jq_fail(reterr, JQ_ERR_EXISTS, "outputs of task %s are there already", final)
                               : jq_fail_errno(reterr, errno, "outputs of task %s", final);
    }
    return fchmodat(parent_fd, final, 0755, 0) == 0 ? JQ_OK : jq_fail_errno(reterr, errno, "outputs of task %s", final);
}

enum jq_err jq_outputs_end(const char *output_dir, jq_task_id task, uint32_t attempt, bool accepted,
                           struct jq_error *reterr) {
    char name[NAME_SIZE];
    char id[JQ_TASK_ID_TEXT_SIZE];
    int parent_fd = -1;
    enum jq_err err = open_parent(output_dir, &parent_fd, reterr);
    if (err != JQ_OK) {
        return err;
    }
    name_attempt(task, attempt, name);
    if (accepted) {
        err = accept_attempt(parent_fd, name, jq_text_format_task_id(task, id), reterr);
    } else if (!jq_workdir_remove(parent_fd, name)) {
        err = jq_fail_errno(reterr, errno, "outputs of task %s", name);
    }
    (void)close(parent_fd);
    return err;
}
