#include "worker/exec/procs.h"

#include "worker/exec/sysfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Numbers of the fields after the name in /proc/PID/stat, counted from the state, which is 0. */
enum { FIELD_PARENT = 1, FIELD_SESSION = 3, FIELD_CPU = 11, FIELD_START = 19, FIELD_RSS = 21, FIELD_COUNT = 22 };
enum { ENVIRON_SIZE_MAX = 128 * 1024 };

bool jq_procs_parse_stat(const char *text, uint64_t page_size_bytes, struct jq_proc *ret_proc) {
    /* The name may hold anything, parentheses too: the last one ends it. */
    const char *name_end = strrchr(text, ')');
    if (name_end == NULL || name_end[1] != ' ' || name_end[2] == '\0') {
        return false;
    }
    unsigned long long fields[FIELD_COUNT] = {0};
    const char *at = name_end + 3;
    for (int i = 1; i < FIELD_COUNT; i++) {
        char *end = NULL;
        fields[i] = strtoull(at, &end, 10);
        if (end == at) {
            return false;
        }
        at = end;
    }
    *ret_proc = (struct jq_proc){
        .pid = (pid_t)strtol(text, NULL, 10),
        .parent = (pid_t)fields[FIELD_PARENT],
        .session = (pid_t)fields[FIELD_SESSION],
        .zombie = name_end[2] == 'Z' || name_end[2] == 'X',
        .rss_bytes = (uint64_t)fields[FIELD_RSS] * page_size_bytes,
        .cpu_ticks = fields[FIELD_CPU] + fields[FIELD_CPU + 1] + fields[FIELD_CPU + 2] + fields[FIELD_CPU + 3],
        .start_ticks = (uint64_t)fields[FIELD_START],
    };
    return ret_proc->pid > 0;
}

static bool read_stat(int proc_fd, const char *pid_text, struct jq_proc *ret_proc) {
    char name[32];
    char text[1024];
    (void)snprintf(name, sizeof(name), "%.20s/stat", pid_text);
    return jq_sysfile_read(proc_fd, name, text, sizeof(text)) > 0 &&
           jq_procs_parse_stat(text, (uint64_t)sysconf(_SC_PAGESIZE), ret_proc);
}

static bool grow(struct jq_procs *procs) {
    if (procs->count < procs->capacity) {
        return true;
    }
    const size_t capacity = procs->capacity == 0 ? 256 : procs->capacity * 2;
    struct jq_proc *list = capacity <= JQ_PROCS_COUNT_MAX ? realloc(procs->list, capacity * sizeof(*list)) : NULL;
    if (list == NULL) {
        return false;
    }
    procs->list = list;
    procs->capacity = capacity;
    return true;
}

static int by_pid(const void *left, const void *right) {
    const pid_t a = ((const struct jq_proc *)left)->pid;
    const pid_t b = ((const struct jq_proc *)right)->pid;
    return (a > b) - (a < b);
}

enum jq_err jq_procs_read(struct jq_procs *procs, struct jq_error *reterr) {
    procs->count = 0;
    DIR *dir = opendir("/proc");
    if (dir == NULL) {
        return jq_fail_errno(reterr, errno, "/proc");
    }
    enum jq_err err = JQ_OK;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (jq_sysfile_parse(entry->d_name) <= 0) {
            continue;
        }
        if (!grow(procs)) {
            err = jq_fail(reterr, JQ_ERR_NOMEM, "list of processes");
            break;
        }
        /* One that ended since is no loss. */
        if (read_stat(dirfd(dir), entry->d_name, &procs->list[procs->count])) {
            procs->count++;
        }
    }
    (void)closedir(dir);
    if (procs->count > 0) {
        qsort(procs->list, procs->count, sizeof(procs->list[0]), by_pid);
    }
    return err;
}

void jq_procs_fini(struct jq_procs *procs) {
    free(procs->list);
    *procs = (struct jq_procs){.list = NULL};
}

static const struct jq_proc *find(const struct jq_procs *procs, pid_t pid) {
    const struct jq_proc key = {.pid = pid};
    return procs->count > 0 ? bsearch(&key, procs->list, procs->count, sizeof(key), by_pid) : NULL;
}

bool jq_procs_has_marker(pid_t pid, const char *marker) {
    char name[48];
    (void)snprintf(name, sizeof(name), "/proc/%d/environ", (int)pid);
    char *text = malloc(ENVIRON_SIZE_MAX);
    const long size = text != NULL ? jq_sysfile_read(AT_FDCWD, name, text, ENVIRON_SIZE_MAX) : -1;
    bool found = false;
    for (long at = 0; at < size && !found; at += (long)strlen(text + at) + 1) {
        found = strcmp(text + at, marker) == 0;
    }
    free(text);
    return found;
}

static bool is_root_of_tree(const struct jq_proc *proc, pid_t first, const char *marker, pid_t reaper) {
    if (proc->pid == first || proc->session == first) {
        return true;
    }
    return marker != NULL && proc->parent == reaper && !proc->zombie && jq_procs_has_marker(proc->pid, marker);
}

/* A child may have a smaller number than its parent, so passes are made until one finds nothing new. */
static void mark_descendants(struct jq_procs *procs, pid_t reaper) {
    for (bool found = true; found;) {
        found = false;
        for (size_t i = 0; i < procs->count; i++) {
            struct jq_proc *proc = &procs->list[i];
            const struct jq_proc *parent = proc->member || proc->parent == reaper ? NULL : find(procs, proc->parent);
            if (parent != NULL && parent->member) {
                proc->member = true;
                found = true;
            }
        }
    }
}

struct jq_procs_tree jq_procs_mark(struct jq_procs *procs, pid_t first, const char *marker, pid_t reaper) {
    JQ_CHECK(first > 1); /* the kernel's threads have session 0 */
    for (size_t i = 0; i < procs->count; i++) {
        procs->list[i].member = is_root_of_tree(&procs->list[i], first, marker, reaper);
    }
    mark_descendants(procs, reaper);
    struct jq_procs_tree tree = {.count = 0};
    for (size_t i = 0; i < procs->count; i++) {
        const struct jq_proc *proc = &procs->list[i];
        if (proc->member && proc->zombie && proc->parent == reaper && proc->pid != first) {
            (void)waitpid(proc->pid, NULL, WNOHANG);
        }
        if (!proc->member && !proc->zombie && proc->parent == reaper && proc->rss_bytes == 0) {
            tree.dying_count++;
        }
        if (proc->member && !proc->zombie) {
            tree.count++;
            tree.rss_bytes += proc->rss_bytes;
            tree.cpu_ticks += proc->cpu_ticks;
        }
    }
    return tree;
}

void jq_procs_signal(const struct jq_procs *procs, int number) {
    for (size_t i = 0; i < procs->count; i++) {
        if (procs->list[i].member && !procs->list[i].zombie) {
            (void)kill(procs->list[i].pid, number);
        }
    }
}

uint64_t jq_procs_start_ticks(pid_t pid) {
    char name[32];
    struct jq_proc proc;
    (void)snprintf(name, sizeof(name), "/proc/%d", (int)pid);
    return read_stat(AT_FDCWD, name, &proc) ? proc.start_ticks : 0;
}
