#include "worker/exec/leftover.h"

#include "worker/exec/sysfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS_MAX = 250, PAUSE_NS = 20000000 };

void jq_leftover_boot_id(char ret_boot_id[JQ_BOOT_ID_SIZE]) {
    if (jq_sysfile_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", ret_boot_id, JQ_BOOT_ID_SIZE) !=
        JQ_BOOT_ID_SIZE - 1) {
        (void)snprintf(ret_boot_id, JQ_BOOT_ID_SIZE, "?");
    }
}

/* A place among the spare ones for each file, so that none is ever turned away. */
static int new_file(struct jq_leftover_book *book) {
    int *spare = (int *)realloc(book->spare, (book->file_count + 1) * sizeof(*spare));
    if (spare == NULL) {
        return -1;
    }
    book->spare = spare;
    char name[24];
    (void)snprintf(name, sizeof(name), "%zu", book->file_count);
    const int fd = openat(book->children_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    book->file_count += fd >= 0 ? 1 : 0;
    return fd;
}

int jq_leftover_book_write(struct jq_leftover_book *book, const struct jq_leftover_record *record) {
    char text[256];
    const int size = snprintf(text, sizeof(text), "%d %llu %s %s\n", (int)record->pid,
                              (unsigned long long)record->start_ticks, record->boot_id, record->marker);
    const int fd = book->spare_count > 0 ? book->spare[--book->spare_count] : new_file(book);
    if (fd < 0 || pwrite(fd, text, (size_t)size, 0) == size) {
        return fd;
    }
    jq_leftover_book_erase(book, fd);
    return -1;
}

void jq_leftover_book_erase(struct jq_leftover_book *book, int fd) {
    if (fd >= 0) {
        (void)!pwrite(fd, "-\n", 2, 0);
        book->spare[book->spare_count++] = fd;
    }
}

void jq_leftover_book_fini(struct jq_leftover_book *book) {
    for (size_t i = 0; i < book->spare_count; i++) {
        (void)close(book->spare[i]);
    }
    /* A child that could not be ended keeps its file. */
    for (size_t i = 0; book->spare_count == book->file_count && i < book->file_count; i++) {
        char name[24];
        (void)snprintf(name, sizeof(name), "%zu", i);
        (void)unlinkat(book->children_fd, name, 0);
    }
    free(book->spare);
    *book = (struct jq_leftover_book){.children_fd = book->children_fd};
}

bool jq_leftover_parse(const char *text, struct jq_leftover_record *ret_record) {
    struct jq_leftover_record record = {.pid = 0};
    char *at = NULL;
    const long pid = strtol(text, &at, 10);
    if (at == text || *at != ' ' || pid <= 1 || pid > INT32_MAX) {
        return false;
    }
    const char *start = at + 1;
    record.start_ticks = strtoull(start, &at, 10);
    if (at == start || *at != ' ' || record.start_ticks == 0) {
        return false;
    }
    const size_t boot_size = strcspn(at + 1, " ");
    const char *marker = at + 1 + boot_size;
    const size_t marker_size = strcspn(marker, "\n");
    if (boot_size == 0 || boot_size >= JQ_BOOT_ID_SIZE || marker_size < 2 || marker_size > JQ_MARKER_SIZE_MAX) {
        return false;
    }
    record.pid = (pid_t)pid;
    memcpy(record.boot_id, at + 1, boot_size);
    memcpy(record.marker, marker + 1, marker_size - 1);
    *ret_record = record;
    return marker[marker_size] == '\n';
}

/* Marks in `procs` what belongs to the record; true if something lives. The number of the session proves nothing unless its leader
 * is the very process, or the process carries the marker. */
static bool mark(struct jq_procs *procs, const struct jq_leftover_record *record) {
    bool leader_lives = false;
    for (size_t i = 0; i < procs->count; i++) {
        const struct jq_proc *proc = &procs->list[i];
        leader_lives = leader_lives || (proc->pid == record->pid && proc->start_ticks == record->start_ticks);
    }
    bool any = false;
    const pid_t self = getpid();
    for (size_t i = 0; i < procs->count; i++) {
        struct jq_proc *proc = &procs->list[i];
        const bool in_session = leader_lives && (proc->pid == record->pid || proc->session == record->pid);
        proc->member = !proc->zombie && proc->pid != self &&
                       (in_session ||
                        (proc->start_ticks >= record->start_ticks && jq_procs_has_marker(proc->pid, record->marker)));
        any = any || proc->member;
    }
    return any;
}

static unsigned kill_one(struct jq_procs *procs, const struct jq_leftover_record *record) {
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    unsigned killed = 0;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (jq_procs_read(procs, NULL) != JQ_OK || !mark(procs, record)) {
            break;
        }
        for (size_t i = 0; round == 0 && i < procs->count; i++) {
            killed += procs->list[i].member ? 1U : 0U;
        }
        jq_procs_signal(procs, SIGKILL);
        (void)nanosleep(&pause, NULL);
    }
    return killed;
}

static unsigned kill_record(int children_fd, const char *name, struct jq_procs *procs, const char *boot_id) {
    char text[256];
    struct jq_leftover_record record;
    unsigned killed = 0;
    if (jq_sysfile_read(children_fd, name, text, sizeof(text)) > 0 && jq_leftover_parse(text, &record) &&
        strcmp(record.boot_id, boot_id) == 0) {
        killed = kill_one(procs, &record);
    }
    (void)unlinkat(children_fd, name, 0);
    return killed;
}

unsigned jq_leftover_kill(int children_fd) {
    const int fd = openat(children_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return 0;
    }
    char boot_id[JQ_BOOT_ID_SIZE];
    jq_leftover_boot_id(boot_id);
    struct jq_procs procs = {.list = NULL};
    unsigned killed = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            killed += kill_record(children_fd, entry->d_name, &procs, boot_id);
        }
    }
    jq_procs_fini(&procs);
    (void)closedir(dir);
    return killed;
}
