#define _GNU_SOURCE
#include "worker/pool/pool_output.h"

#include "common/text.h"
#include "worker/exec/workdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 64 };

static int open_dir(int dir_fd, const char *path) {
    return openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* output_dir may be a link; what lies in it is ours. */
static int open_own(const char *output_dir, const char *label) {
    char name[NAME_SIZE];
    const int root_fd = open(output_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)snprintf(name, sizeof(name), ".%s", label);
    const int fd = root_fd >= 0 ? open_dir(root_fd, name) : -1;
    const int open_errno = errno;
    if (root_fd >= 0) {
        (void)close(root_fd);
    }
    errno = open_errno;
    return fd;
}

static enum jq_err make_in(int dir_fd, const char *name, const struct jq_exec_spec *spec, struct jq_error *reterr) {
    int fd = -1;
    if (dir_fd < 0) {
        return jq_fail_errno(reterr, errno, "output folder %s", name);
    }
    const struct jq_workdir_owner owner = {.other = spec->switch_user, .uid = spec->uid, .gid = spec->gid};
    const enum jq_err err = jq_workdir_make(dir_fd, name, &owner, &fd, reterr);
    if (err == JQ_OK) {
        (void)fchmod(fd, 0755);
        (void)close(fd);
    }
    (void)close(dir_fd);
    return err;
}

static void name_of(const struct jq_exec_turn *turn, const char *prefix, char ret_name[NAME_SIZE]) {
    char id[JQ_TASK_ID_TEXT_SIZE];
    (void)snprintf(ret_name, NAME_SIZE, "%s%s.%u", prefix, jq_text_format_task_id(turn->task, id), turn->attempt);
}

static void remove_in(const char *output_dir, const char *name) {
    const int fd = open(output_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)jq_workdir_remove(fd, name);
        (void)close(fd);
    }
}

enum jq_err jq_pool_output_open(const char *output_dir, const char *label, const struct jq_exec_spec *spec,
                                char *ret_path, size_t size, struct jq_error *reterr) {
    char name[NAME_SIZE];
    ret_path[0] = '\0';
    if (output_dir[0] == '\0') {
        return JQ_OK;
    }
    (void)snprintf(name, sizeof(name), ".%s", label);
    (void)snprintf(ret_path, size, "%s/%s", output_dir, name);
    return make_in(open(output_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), name, spec, reterr);
}

void jq_pool_output_close(const char *output_dir, const char *label) {
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof(name), ".%s", label);
    if (output_dir[0] != '\0') {
        remove_in(output_dir, name);
    }
}

enum jq_err jq_pool_output_make(const char *output_dir, const char *label, const struct jq_exec_turn *turn,
                                const struct jq_exec_spec *spec, char ret_path[PATH_MAX], char ret_final[PATH_MAX],
                                struct jq_error *reterr) {
    char name[NAME_SIZE];
    char id[JQ_TASK_ID_TEXT_SIZE];
    ret_path[0] = ret_final[0] = '\0';
    if (output_dir[0] == '\0') {
        return JQ_OK;
    }
    name_of(turn, "", name);
    (void)snprintf(ret_path, PATH_MAX, "%.3900s/.%s/%s", output_dir, label, name);
    (void)snprintf(ret_final, PATH_MAX, "%.3900s/%s", output_dir, jq_text_format_task_id(turn->task, id));
    return make_in(open_own(output_dir, label), name, spec, reterr);
}

void jq_pool_output_take(const char *output_dir, const char *label, const struct jq_exec_turn *turn,
                         char ret_path[PATH_MAX]) {
    char from[NAME_SIZE];
    char name[NAME_SIZE];
    struct stat status;
    ret_path[0] = '\0';
    const int own_fd = output_dir[0] != '\0' ? open_own(output_dir, label) : -1;
    if (own_fd < 0) {
        return;
    }
    name_of(turn, "", from);
    name_of(turn, ".", name);
    (void)snprintf(ret_path, PATH_MAX, "%.3900s/%s", output_dir, name);
    const bool moved = renameat(own_fd, from, AT_FDCWD, ret_path) == 0;
    (void)close(own_fd);
    /* A task may have put a link there; here nobody can exchange it any more. */
    if (!moved || lstat(ret_path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        (void)unlink(ret_path);
        ret_path[0] = '\0';
    }
}

void jq_pool_output_drop(const char *output_dir, const struct jq_exec_turn *turn) {
    char name[NAME_SIZE];
    name_of(turn, ".", name);
    if (output_dir[0] != '\0') {
        remove_in(output_dir, name);
    }
}
