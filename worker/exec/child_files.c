/* What a task leaves on disk: its result file, its work dir, its record. */
#include "worker/exec/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_whole(int fd, size_t size, struct jq_buf *result) {
    jq_buf_clear(result);
    if (size == 0 || !jq_buf_reserve(result, size)) {
        return size == 0;
    }
    ssize_t step = 0;
    while (result->size < size && (step = read(fd, result->data + result->size, size - result->size)) > 0) {
        result->size += (size_t)step;
    }
    return result->size == size;
}

bool jq_child_take_result_file(struct jq_exec_child *child) {
    char path[JQ_CHILD_NAME_SIZE + 16];
    (void)snprintf(path, sizeof(path), "%s/%s", child->name, child->result_file);
    /* What lies there is the task's doing: a link, a fifo, a device are not followed, waited for or read. */
    const int fd = openat(child->host->work_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    struct stat status;
    const bool is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (is_file && status.st_size > JQ_PAYLOAD_SIZE_MAX) {
        child->end.result_too_big = true;
        jq_buf_clear(&child->result);
    } else if (is_file && !read_whole(fd, (size_t)status.st_size, &child->result)) {
        child->end.garbled_reply = true;
    }
    (void)close(fd);
    return is_file;
}

/* One that no sandbox held could have left a way into it with anybody; one that is not done may still have a process in it. */
static void remove_work_dir(struct jq_exec_child *child) {
    struct jq_exec_host *host = child->host;
    const bool serves = child->rules != NULL && child->phase == JQ_CHILD_DONE;
    if (serves && jq_workdir_slots_give(&host->work_dirs, host->work_fd, child->name, &child->work)) {
        return;
    }
    (void)jq_remover_take(&host->remover, host->work_fd, host->work_fd, child->name);
    (void)close(child->work.fd);
    child->work.fd = -1;
}

void jq_child_remove_files(struct jq_exec_child *child) {
    struct jq_exec_host *host = child->host;
    if (child->work.fd >= 0) {
        remove_work_dir(child);
    }
    if (child->rules != NULL) {
        jq_sandbox_rules_give(host->sandbox, child->rules);
        child->rules = NULL;
    }
    jq_leftover_book_erase(&child->host->book, child->record_fd);
    child->record_fd = -1;
}
