#define _GNU_SOURCE
#include "worker/exec/host.h"

#include "common/clock.h"
#include "common/entropy.h"
#include "common/hash.h"
#include "worker/exec/internal.h"
#include "worker/exec/sysfile.h"
#include "worker/exec/workdir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FREE_WAIT_MS = 5000, FREE_STEP_MS = 20, ORPHAN_LOOK_MS = 20, ORPHAN_LOOKS_MAX = 50, UNIQUE_NAME_SIZE = 64 };

static void on_orphans_due(struct jq_exec_timer *timer, int64_t now_ms);

/* --- making it ------------------------------------------------------------------------------------------------------ */

/* 0711: a task that runs as another user must be able to pass through to its work dir. */
static enum jq_err open_dir(const char *path, mode_t mode, int *ret_fd, struct jq_error *reterr) {
    if (mkdir(path, mode) != 0 && errno != EEXIST) {
        return jq_fail_errno(reterr, errno, "directory %.160s", path);
    }
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? JQ_OK : jq_fail_errno(reterr, errno, "directory %.160s", path);
}

static enum jq_err lock_state(struct jq_exec_host *host, const char *state_dir, struct jq_error *reterr) {
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.4000s/lock", state_dir);
    host->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (host->lock_fd < 0) {
        return jq_fail_errno(reterr, errno, "%.160s", path);
    }
    if (flock(host->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return jq_fail(reterr, JQ_ERR_LOCKED, "state directory %.160s: another worker runs on it", state_dir);
    }
    return JQ_OK;
}

/* Two workers of this machine may have one name, each of another broker; a state directory is one worker's alone. */
static void make_unique_name(const struct jq_exec_config *config, char name[UNIQUE_NAME_SIZE]) {
    const uint64_t state = jq_hash_bytes(config->state_dir, strlen(config->state_dir), 0);
    (void)snprintf(name, UNIQUE_NAME_SIZE, "%.48s-%08x", config->name, (unsigned)(state & UINT32_MAX));
}

static enum jq_err open_dirs(struct jq_exec_host *host, const struct jq_exec_config *config, struct jq_error *reterr) {
    int state_fd = -1;
    enum jq_err err = open_dir(config->state_dir, 0711, &state_fd, reterr);
    if (err != JQ_OK) {
        return err;
    }
    (void)close(state_fd);
    err = lock_state(host, config->state_dir, reterr);
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.4000s/children", config->state_dir);
    if (err == JQ_OK) {
        err = open_dir(path, 0700, &host->book.children_fd, reterr);
    }
    const char *parent = config->work_dir != NULL ? config->work_dir : config->state_dir;
    char name[UNIQUE_NAME_SIZE];
    make_unique_name(config, name);
    (void)snprintf(host->work_path, sizeof(host->work_path), "%.3900s/jqmesh-%s", parent, name);
    if (err == JQ_OK) {
        err = open_dir(host->work_path, 0711, &host->work_fd, reterr);
    }
    return err;
}

static void detect(struct jq_exec_host *host) {
    host->root = geteuid() == 0;
    host->subreaper = prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
    host->lists_children = access("/proc/thread-self/children", R_OK) == 0;
    jq_leftover_boot_id(host->boot_id);
}

static enum jq_err set_seed(struct jq_exec_host *host, struct jq_error *reterr) {
    uint8_t bytes[(JQ_MARKER_SEED_SIZE - 1) / 2];
    const enum jq_err err = jq_random_bytes(bytes, sizeof(bytes), reterr);
    if (err == JQ_OK) {
        (void)jq_text_format_hex((struct jq_bytes){bytes, sizeof(bytes)}, host->marker_seed);
    }
    return err;
}

static enum jq_err open_cgroups(struct jq_exec_host *host, const struct jq_exec_config *config,
                                struct jq_error *reterr) {
    char name[UNIQUE_NAME_SIZE];
    make_unique_name(config, name);
    return jq_cgroups_open(name, config->cgroup_root, &host->cgroups, reterr);
}

static enum jq_err open_all(struct jq_exec_host *host, const struct jq_exec_config *config, struct jq_error *reterr) {
    enum jq_err err = jq_exec_loop_init(&host->loop, reterr);
    if (err == JQ_OK) {
        err = jq_spawner_init(&host->spawner, reterr);
    }
    if (err == JQ_OK && config->sandbox) {
        const struct jq_sandbox_paths paths = {.read = config->read};
        err = jq_sandbox_new(&paths, &host->sandbox, reterr);
    }
    if (err == JQ_OK) {
        err = open_dirs(host, config, reterr);
    }
    if (err == JQ_OK) {
        err = set_seed(host, reterr);
    }
    host->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (err == JQ_OK && host->null_fd < 0) {
        err = jq_fail_errno(reterr, errno, "/dev/null");
    }
    if (err == JQ_OK) {
        /* Only with the lock held: these may be the children of a worker that runs. */
        host->leftovers = jq_leftover_kill(host->book.children_fd);
        err = open_cgroups(host, config, reterr);
    }
    if (err == JQ_OK) {
        jq_remover_take_all(&host->remover, host->work_fd);
    }
    return err;
}

enum jq_err jq_exec_host_new(const struct jq_exec_config *config, struct jq_exec_host **ret_host,
                             struct jq_error *reterr) {
    if (!jq_name_valid(jq_str_of(config->name)) || config->state_dir == NULL || config->state_dir[0] != '/') {
        return jq_fail(reterr, JQ_ERR_INVALID, "worker name or state directory (which must be absolute)");
    }
    struct jq_exec_host *host = calloc(1, sizeof(*host));
    if (host == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "host of children");
    }
    host->lock_fd = host->book.children_fd = host->work_fd = host->null_fd = -1;
    host->loop.epoll_fd = -1;
    jq_remover_init(&host->remover, false);
    host->self = getpid();
    host->count_max = config->child_count_max;
    jq_list_init(&host->children);
    jq_list_init(&host->done);
    jq_list_init(&host->turned);
    jq_list_init(&host->orphan_timer.link);
    host->orphan_timer.on_due = on_orphans_due;
    detect(host);
    const enum jq_err err = open_all(host, config, reterr);
    if (err != JQ_OK) {
        jq_exec_host_free(host);
        return err;
    }
    *ret_host = host;
    return JQ_OK;
}

/* --- ending it ------------------------------------------------------------------------------------------------------ */

static void free_done(struct jq_exec_host *host) {
    for (struct jq_exec_child *child = jq_exec_host_next_done(host); child != NULL;
         child = jq_exec_host_next_done(host)) {
        jq_exec_child_free(child);
    }
}

static void kill_all(struct jq_exec_host *host) {
    const int64_t start_ms = jq_clock_boot_ms();
    int64_t now_ms = start_ms;
    JQ_LIST_EACH(link, &host->children) {
        jq_exec_kill(JQ_CONTAINER_OF(link, struct jq_exec_child, link), JQ_EXEC_REASON_DRAIN, 0, now_ms);
    }
    while (!jq_list_empty(&host->children) && now_ms < start_ms + FREE_WAIT_MS) {
        struct pollfd fd = {.fd = host->loop.epoll_fd, .events = POLLIN};
        (void)poll(&fd, 1, FREE_STEP_MS);
        now_ms = jq_clock_boot_ms();
        jq_exec_host_run(host, now_ms);
    }
    free_done(host);
    JQ_LIST_EACH(rest, &host->children) {
        jq_exec_child_free(JQ_CONTAINER_OF(rest, struct jq_exec_child, link));
    }
}

static void close_if_open(int fd) {
    if (fd >= 0) {
        (void)close(fd);
    }
}

void jq_exec_host_free(struct jq_exec_host *host) {
    if (host == NULL) {
        return;
    }
    kill_all(host);
    jq_sandbox_free(host->sandbox);
    jq_cgroup_slots_fini(&host->slots, &host->cgroups);
    jq_cgroups_close(&host->cgroups);
    jq_procs_fini(&host->procs);
    jq_remover_close(&host->remover);
    jq_workdir_slots_fini(&host->work_dirs, host->work_fd);
    if (host->work_fd >= 0) {
        (void)rmdir(host->work_path);
    }
    close_if_open(host->work_fd);
    jq_leftover_book_fini(&host->book);
    close_if_open(host->book.children_fd);
    close_if_open(host->null_fd);
    close_if_open(host->lock_fd);
    jq_spawner_fini(&host->spawner);
    jq_exec_loop_fini(&host->loop);
    free(host);
}

/* --- running it ----------------------------------------------------------------------------------------------------- */

int jq_exec_host_fd(const struct jq_exec_host *host) {
    return host->loop.epoll_fd;
}

int64_t jq_exec_host_deadline_ms(const struct jq_exec_host *host) {
    return jq_list_empty(&host->done) ? jq_exec_loop_deadline_ms(&host->loop) : 0;
}

/* The next done child that has a callback, or has none. */
static struct jq_exec_child *take_done(struct jq_exec_host *host, bool has_callback) {
    JQ_LIST_EACH(link, &host->done) {
        struct jq_exec_child *child = JQ_CONTAINER_OF(link, struct jq_exec_child, link);
        if ((child->on_done != NULL) == has_callback) {
            jq_list_remove(link);
            return child;
        }
    }
    return NULL;
}

void jq_exec_host_run(struct jq_exec_host *host, int64_t now_ms) {
    jq_exec_loop_run(&host->loop, now_ms);
    jq_warm_tell(host, now_ms);
    /* Not where they are found done: whoever found it may still use the child. */
    for (struct jq_exec_child *child = take_done(host, true); child != NULL; child = take_done(host, true)) {
        child->on_done(child, now_ms);
    }
}

struct jq_exec_child *jq_exec_host_next_done(struct jq_exec_host *host) {
    return take_done(host, false);
}

bool jq_exec_host_remove(struct jq_exec_host *host, int dir_fd, const char *name) {
    return jq_remover_take(&host->remover, dir_fd, dir_fd, name);
}

const char *jq_exec_host_work_path(const struct jq_exec_host *host) {
    return host->work_path;
}

size_t jq_exec_host_count(const struct jq_exec_host *host) {
    return host->count;
}

struct jq_exec_loop *jq_exec_host_loop(struct jq_exec_host *host) {
    return &host->loop;
}

bool jq_host_read_procs(struct jq_exec_host *host, int64_t now_ms, int64_t age_ms) {
    if (age_ms > 0 && host->procs.count > 0 && now_ms - host->procs_read_ms < age_ms) {
        return true;
    }
    host->procs_read_ms = now_ms;
    return jq_procs_read(&host->procs, NULL) == JQ_OK;
}

static bool is_child_of_host(const struct jq_exec_host *host, pid_t pid) {
    JQ_LIST_EACH(link, &host->children) {
        const struct jq_exec_child *child = JQ_CONTAINER_OF(link, struct jq_exec_child, link);
        if (child->pid == pid) {
            return true;
        }
    }
    return false;
}

/* `text`: "PID PID ... " */
static bool reap_listed(const struct jq_exec_host *host, const char *text) {
    bool any_lives = false;
    for (char *end = NULL;; text = end) {
        const long pid = strtol(text, &end, 10);
        if (end == text || pid <= 0) {
            return any_lives;
        }
        if (!is_child_of_host(host, (pid_t)pid)) {
            any_lives = waitpid((pid_t)pid, NULL, WNOHANG) == 0 || any_lives;
        }
    }
}

/* Orphans are handed to the first thread of the process, children that we started belong to this one. */
static bool reap_of_thread(const struct jq_exec_host *host, pid_t thread) {
    char path[64];
    char text[16 * 1024];
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)thread);
    return jq_sysfile_read(AT_FDCWD, path, text, sizeof(text)) > 0 && reap_listed(host, text);
}

static bool reap_orphans(const struct jq_exec_host *host) {
    bool any_lives = reap_of_thread(host, host->self);
    const pid_t thread = gettid();
    if (thread != host->self) {
        any_lives = reap_of_thread(host, thread) || any_lives;
    }
    return any_lives;
}

bool jq_host_reap_orphans(struct jq_exec_host *host, int64_t now_ms) {
    if (!host->lists_children) {
        return true;
    }
    const bool any_lives = reap_orphans(host);
    if (any_lives) {
        /* They were killed, but the kernel takes its time. */
        host->orphan_looks = 0;
        jq_exec_timer_set(&host->loop, &host->orphan_timer, now_ms + ORPHAN_LOOK_MS);
    }
    return any_lives;
}

/* Children that somebody else started live on: it looks for a second, then no more. */
static void on_orphans_due(struct jq_exec_timer *timer, int64_t now_ms) {
    struct jq_exec_host *host = JQ_CONTAINER_OF(timer, struct jq_exec_host, orphan_timer);
    if (reap_orphans(host) && ++host->orphan_looks < ORPHAN_LOOKS_MAX) {
        jq_exec_timer_set(&host->loop, timer, now_ms + ORPHAN_LOOK_MS);
    }
}
