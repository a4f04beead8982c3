#define _GNU_SOURCE
#include "worker/exec/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/exec/sandbox_filter.h"
#include "worker/exec/sandbox_places.h"

/* Rights and scopes that Debian 12's headers do not know yet (landlock.rst). */
enum {
    FS_TRUNCATE_BIT = 14,
    FS_IOCTL_DEV_BIT = 15,
    NET_BIND_AND_CONNECT_TCP = 3,
    SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3,
    ABI_REFER = 2,
    ABI_TRUNCATE = 3,
    ABI_NET = 4,
    ABI_IOCTL_DEV = 5,
    ABI_SCOPE = 6,
};
#define RIGHT(bit)   (UINT64_C(1) << (bit))
#define READ_FILE    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE)
#define READ_ALL     (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_ABI_1 (RIGHT(13) - 1)
#define FILE_RIGHTS  (READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT(FS_TRUNCATE_BIT) | RIGHT(FS_IOCTL_DEV_BIT))

enum { FIRST_SAFE_FD = 10, IDLE_MAX = 64, FILES_MAX = 32 };

struct ruleset_attr { /* struct landlock_ruleset_attr of ABI 6 */
    uint64_t fs, net, scoped;
};

/* Which files the paths named when the rules were made; number 0: there was none. */
struct named_files {
    struct {
        dev_t dev;
        ino_t ino;
        bool write;
    } list[FILES_MAX];
    size_t count; /* above FILES_MAX: they are not all in the list */
};

struct jq_sandbox_rules {
    int fd;
    int work_fd; /* of rules that are used again: the work dir that they speak of last; those before are gone */
    dev_t work_dev;
    ino_t work_ino;
    unsigned work_dirs; /* that they speak of */
    bool network;
    unsigned uses;
    uint64_t generation; /* of the places */
    struct named_files files;
};

struct jq_sandbox {
    int abi;
    struct jq_sandbox_places places;         /* for every child */
    char **read, **write;                    /* the same, looked up anew for each; each list ends with NULL */
    uint64_t handled;                        /* rights that the rules speak of: all that this kernel knows */
    struct sock_fprog *filters[2];           /* without and with the network; NULL: the kernel has no seccomp */
    struct jq_sandbox_rules *idle[IDLE_MAX]; /* the one used last at the end */
    size_t idle_count;
};

/* ---- rules ---- */

static uint64_t rights_of(int abi) {
    uint64_t rights = RIGHTS_ABI_1;
    rights |= abi >= ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0;
    rights |= abi >= ABI_TRUNCATE ? RIGHT(FS_TRUNCATE_BIT) : 0;
    rights |= abi >= ABI_IOCTL_DEV ? RIGHT(FS_IOCTL_DEV_BIT) : 0;
    return rights;
}

static bool add_rule(const struct jq_sandbox *sandbox, int rules_fd, int fd, bool folder, uint64_t rights) {
    const struct landlock_path_beneath_attr rule = {
        /* What can be said of a file is less than what can be said of a folder. */
        .allowed_access = rights & sandbox->handled & (folder ? UINT64_MAX : FILE_RIGHTS),
        .parent_fd = fd,
    };
    return syscall(SYS_landlock_add_rule, rules_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

static void ask_kernel(struct jq_sandbox *sandbox) {
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    sandbox->abi = abi > 0 ? (int)abi : 0;
    sandbox->handled = sandbox->abi > 0 ? rights_of(sandbox->abi) : 0;
}

static void note_file(struct named_files *files, const struct stat *status, bool write) {
    if (files->count < FILES_MAX) {
        files->list[files->count].dev = status->st_dev;
        files->list[files->count].ino = status->st_ino;
        files->list[files->count].write = write;
    }
    files->count++;
}

static bool add_paths(const struct jq_sandbox *sandbox, struct jq_sandbox_rules *rules, const char *const *paths,
                      bool write) {
    bool done = true;
    for (; done && paths != NULL && *paths != NULL; paths++) {
        struct stat status = {.st_ino = 0};
        const int fd = open(*paths, O_PATH | O_CLOEXEC);
        if (fd >= 0) {
            done = fstat(fd, &status) == 0 &&
                   add_rule(sandbox, rules->fd, fd, S_ISDIR(status.st_mode), write ? UINT64_MAX : READ_ALL);
            (void)close(fd);
        }
        note_file(&rules->files, &status, write);
    }
    return done;
}

static bool add_both(const struct jq_sandbox *sandbox, struct jq_sandbox_rules *rules,
                     const struct jq_sandbox_paths *paths) {
    return paths == NULL ||
           (add_paths(sandbox, rules, paths->read, false) && add_paths(sandbox, rules, paths->write, true));
}

static struct jq_sandbox_paths paths_of_all(const struct jq_sandbox *sandbox) {
    return (struct jq_sandbox_paths){.read = (const char *const *)sandbox->read,
                                     .write = (const char *const *)sandbox->write};
}

static bool fill_rules(const struct jq_sandbox *sandbox, struct jq_sandbox_rules *rules,
                       const struct jq_sandbox_paths *paths, const struct jq_sandbox_paths *more) {
    const struct jq_sandbox_paths always = paths_of_all(sandbox);
    bool done = true;
    for (size_t i = 0; done && i < sandbox->places.count; i++) {
        const struct jq_sandbox_place *place = &sandbox->places.list[i];
        done = add_rule(sandbox, rules->fd, place->fd, place->folder, place->device ? FILE_RIGHTS : READ_ALL);
    }
    return done && add_both(sandbox, rules, &always) && add_both(sandbox, rules, paths) &&
           add_both(sandbox, rules, more);
}

static void close_if_open(int *fd) {
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

static void rules_free(struct jq_sandbox_rules *rules) {
    if (rules != NULL) {
        close_if_open(&rules->work_fd);
        close_if_open(&rules->fd);
    }
    free(rules);
}

static int create_ruleset(const struct jq_sandbox *sandbox, bool network) {
    const struct ruleset_attr attr = {
        .fs = sandbox->handled,
        .net = sandbox->abi >= ABI_NET && !network ? NET_BIND_AND_CONNECT_TCP : 0,
        .scoped = sandbox->abi >= ABI_SCOPE ? SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS : 0,
    };
    const int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    /* Out of the way of the descriptors that the child gets. */
    const int high_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, FIRST_SAFE_FD) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    return high_fd;
}

static enum jq_err make_rules(const struct jq_sandbox *sandbox, const struct jq_sandbox_paths *paths,
                              const struct jq_sandbox_paths *more, bool network, struct jq_sandbox_rules **ret_rules,
                              struct jq_error *reterr) {
    struct jq_sandbox_rules *rules = calloc(1, sizeof(*rules));
    if (rules == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "sandbox: rules");
    }
    rules->work_fd = -1;
    rules->network = network;
    rules->generation = sandbox->places.generation;
    rules->fd = create_ruleset(sandbox, network);
    if (rules->fd >= 0 && fill_rules(sandbox, rules, paths, more)) {
        *ret_rules = rules;
        return JQ_OK;
    }
    const enum jq_err err = jq_fail_errno(reterr, errno, "sandbox: rules");
    rules_free(rules);
    return err;
}

/* ---- rules that are used again ---- */

/* The paths name what they named when the rules were made. *at: the first of the files noted then; moves on. */
static bool are_same(const struct named_files *files, const char *const *paths, bool write, size_t *at) {
    for (; paths != NULL && *paths != NULL; paths++, ++*at) {
        struct stat status;
        if (stat(*paths, &status) != 0) {
            status = (struct stat){.st_ino = 0};
        }
        if (*at >= files->count || files->list[*at].ino != status.st_ino || files->list[*at].dev != status.st_dev ||
            files->list[*at].write != write) {
            return false;
        }
    }
    return true;
}

static bool are_both_same(const struct named_files *files, const struct jq_sandbox_paths *paths, size_t *at) {
    return paths == NULL || (are_same(files, paths->read, false, at) && are_same(files, paths->write, true, at));
}

static bool suits(const struct jq_sandbox *sandbox, const struct jq_sandbox_rules *rules,
                  const struct jq_sandbox_paths *paths, const struct jq_sandbox_paths *more, bool network) {
    const struct jq_sandbox_paths always = paths_of_all(sandbox);
    size_t at = 0;
    return rules->network == network && rules->generation == sandbox->places.generation &&
           are_both_same(&rules->files, &always, &at) && are_both_same(&rules->files, paths, &at) &&
           are_both_same(&rules->files, more, &at) && at == rules->files.count;
}

static struct jq_sandbox_rules *take_idle(struct jq_sandbox *sandbox, size_t index) {
    struct jq_sandbox_rules *rules = sandbox->idle[index];
    sandbox->idle_count--;
    for (size_t i = index; i < sandbox->idle_count; i++) {
        sandbox->idle[i] = sandbox->idle[i + 1];
    }
    return rules;
}

/* A folder that was removed, and has no name anywhere. */
static bool is_gone(int fd) {
    struct stat status;
    return fd >= 0 && fstat(fd, &status) == 0 && status.st_nlink == 0;
}

/* Rules that are held keep the number of their work dir from being another's. */
static bool speak_of(const struct jq_sandbox_rules *rules, const struct stat *work) {
    return rules->work_fd >= 0 && rules->work_ino == work->st_ino && rules->work_dev == work->st_dev;
}

static struct jq_sandbox_rules *find_idle(struct jq_sandbox *sandbox, const struct stat *work,
                                          const struct jq_sandbox_paths *paths, const struct jq_sandbox_paths *more,
                                          bool network) {
    for (size_t i = sandbox->idle_count; i > 0; i--) {
        const struct jq_sandbox_rules *rules = sandbox->idle[i - 1];
        if (speak_of(rules, work) && suits(sandbox, rules, paths, more, network)) {
            return take_idle(sandbox, i - 1);
        }
    }
    for (size_t i = sandbox->idle_count; i > 0; i--) {
        const struct jq_sandbox_rules *rules = sandbox->idle[i - 1];
        if (is_gone(rules->work_fd) && suits(sandbox, rules, paths, more, network)) {
            return take_idle(sandbox, i - 1);
        }
    }
    return NULL;
}

static bool add_work_dir(const struct jq_sandbox *sandbox, struct jq_sandbox_rules *rules, int work_fd,
                         const struct stat *work, bool again) {
    if (!add_rule(sandbox, rules->fd, work_fd, true, UINT64_MAX)) {
        return false;
    }
    close_if_open(&rules->work_fd);
    rules->work_fd = again && rules->files.count <= FILES_MAX ? fcntl(work_fd, F_DUPFD_CLOEXEC, FIRST_SAFE_FD) : -1;
    rules->work_dev = work->st_dev;
    rules->work_ino = work->st_ino;
    rules->work_dirs++;
    return true;
}

enum jq_err jq_sandbox_rules_take(struct jq_sandbox *sandbox, int work_fd, const struct jq_sandbox_paths *paths,
                                  const struct jq_sandbox_paths *more, bool network, bool again,
                                  struct jq_sandbox_rules **ret_rules, struct jq_error *reterr) {
    struct stat work = {.st_ino = 0};
    *ret_rules = NULL;
    if (sandbox->abi == 0) {
        return JQ_OK;
    }
    if (work_fd >= 0 && fstat(work_fd, &work) != 0) {
        return jq_fail_errno(reterr, errno, "sandbox: the work dir");
    }
    jq_sandbox_places_find(&sandbox->places);
    struct jq_sandbox_rules *rules = again ? find_idle(sandbox, &work, paths, more, network) : NULL;
    const enum jq_err err = rules != NULL ? JQ_OK : make_rules(sandbox, paths, more, network, &rules, reterr);
    if (err != JQ_OK) {
        return err;
    }
    if (work_fd >= 0 && !speak_of(rules, &work) && !add_work_dir(sandbox, rules, work_fd, &work, again)) {
        const int rule_errno = errno;
        rules_free(rules);
        return jq_fail_errno(reterr, rule_errno, "sandbox: the rule of the work dir");
    }
    rules->uses++;
    *ret_rules = rules;
    return JQ_OK;
}

void jq_sandbox_rules_give(struct jq_sandbox *sandbox, struct jq_sandbox_rules *rules) {
    if (rules == NULL || rules->work_fd < 0 || rules->work_dirs >= JQ_SANDBOX_RULES_DIRS_MAX) {
        rules_free(rules);
        return;
    }
    if (sandbox->idle_count == IDLE_MAX) {
        rules_free(take_idle(sandbox, 0));
    }
    sandbox->idle[sandbox->idle_count++] = rules;
}

int jq_sandbox_rules_fd(const struct jq_sandbox_rules *rules) {
    return rules != NULL ? rules->fd : -1;
}

unsigned jq_sandbox_rules_uses(const struct jq_sandbox_rules *rules) {
    return rules->uses;
}

int jq_sandbox_rules_steal(struct jq_sandbox_rules *rules) {
    const int fd = jq_sandbox_rules_fd(rules);
    if (rules != NULL) {
        rules->fd = -1;
    }
    rules_free(rules);
    return fd;
}

/* ---- the sandbox ---- */

static void free_list(char **list) {
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        free(list[i]);
    }
    free((void *)list);
}

/* NULL: out of memory. */
static char **copy_list(const char *const *list) {
    size_t count = 0;
    while (list != NULL && list[count] != NULL) {
        count++;
    }
    char **copy = (char **)calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = strdup(list[i]);
        if (copy[i] == NULL) {
            free_list(copy);
            return NULL;
        }
    }
    return copy;
}

enum jq_err jq_sandbox_new(const struct jq_sandbox_paths *system, struct jq_sandbox **ret_sandbox,
                           struct jq_error *reterr) {
    const unsigned action = SECCOMP_RET_ERRNO;
    struct jq_sandbox *sandbox = calloc(1, sizeof(*sandbox));
    if (sandbox == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "sandbox");
    }
    sandbox->read = copy_list(system != NULL ? system->read : NULL);
    sandbox->write = copy_list(system != NULL ? system->write : NULL);
    enum jq_err err =
        sandbox->read != NULL && sandbox->write != NULL ? JQ_OK : jq_fail(reterr, JQ_ERR_NOMEM, "sandbox");
    ask_kernel(sandbox);
    if (sandbox->abi > 0) {
        jq_sandbox_places_find(&sandbox->places); /* a worker has its descriptors from its start */
    }
    if (err == JQ_OK && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) {
        err = jq_sandbox_filter_make(false, &sandbox->filters[0], reterr);
        err = err == JQ_OK ? jq_sandbox_filter_make(true, &sandbox->filters[1], reterr) : err;
    }
    if (err != JQ_OK) {
        jq_sandbox_free(sandbox);
        return err;
    }
    *ret_sandbox = sandbox;
    return JQ_OK;
}

void jq_sandbox_free(struct jq_sandbox *sandbox) {
    if (sandbox == NULL) {
        return;
    }
    while (sandbox->idle_count > 0) {
        rules_free(take_idle(sandbox, sandbox->idle_count - 1));
    }
    jq_sandbox_places_close(&sandbox->places);
    free_list(sandbox->read);
    free_list(sandbox->write);
    jq_sandbox_filter_free(sandbox->filters[0]);
    jq_sandbox_filter_free(sandbox->filters[1]);
    free(sandbox);
}

int jq_sandbox_landlock_abi(const struct jq_sandbox *sandbox) {
    return sandbox->abi;
}

bool jq_sandbox_filters(const struct jq_sandbox *sandbox) {
    return sandbox->filters[0] != NULL;
}

const struct sock_fprog *jq_sandbox_filter(const struct jq_sandbox *sandbox, bool network) {
    return sandbox->filters[network ? 1 : 0];
}
