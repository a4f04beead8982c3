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

enum { FIRST_SAFE_FD = 10 };

struct ruleset_attr { /* struct landlock_ruleset_attr of ABI 6 */
    uint64_t fs, net, scoped;
};

struct jq_sandbox {
    int abi;
    struct jq_sandbox_places places; /* for every child */
    char **read, **write;            /* the same, looked up anew for each; each list ends with NULL */
    uint64_t handled;                /* rights that the rules speak of: all that this kernel knows */
    struct sock_fprog *filters[2];   /* without and with the network; NULL: the kernel has no seccomp */
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

static bool is_folder(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

static void ask_kernel(struct jq_sandbox *sandbox) {
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    sandbox->abi = abi > 0 ? (int)abi : 0;
    sandbox->handled = sandbox->abi > 0 ? rights_of(sandbox->abi) : 0;
}

static bool add_paths(const struct jq_sandbox *sandbox, int rules_fd, const char *const *paths, uint64_t rights) {
    bool done = true;
    for (; done && paths != NULL && *paths != NULL; paths++) {
        const int fd = open(*paths, O_PATH | O_CLOEXEC);
        if (fd >= 0) {
            done = add_rule(sandbox, rules_fd, fd, is_folder(fd), rights);
            (void)close(fd);
        }
    }
    return done;
}

static bool add_both(const struct jq_sandbox *sandbox, int rules_fd, const struct jq_sandbox_paths *paths) {
    return paths == NULL || (add_paths(sandbox, rules_fd, paths->read, READ_ALL) &&
                             add_paths(sandbox, rules_fd, paths->write, UINT64_MAX));
}

static bool fill_rules(struct jq_sandbox *sandbox, int rules_fd, int work_fd, const struct jq_sandbox_paths *paths,
                       const struct jq_sandbox_paths *more) {
    const struct jq_sandbox_paths always = {.read = (const char *const *)sandbox->read,
                                            .write = (const char *const *)sandbox->write};
    bool done = work_fd < 0 || add_rule(sandbox, rules_fd, work_fd, true, UINT64_MAX);
    jq_sandbox_places_find(&sandbox->places);
    for (size_t i = 0; done && i < sandbox->places.count; i++) {
        const struct jq_sandbox_place *place = &sandbox->places.list[i];
        done = add_rule(sandbox, rules_fd, place->fd, place->folder, place->device ? FILE_RIGHTS : READ_ALL);
    }
    return done && add_both(sandbox, rules_fd, &always) && add_both(sandbox, rules_fd, paths) &&
           add_both(sandbox, rules_fd, more);
}

enum jq_err jq_sandbox_rules(struct jq_sandbox *sandbox, int work_fd, const struct jq_sandbox_paths *paths,
                             const struct jq_sandbox_paths *more, bool network, int *ret_fd, struct jq_error *reterr) {
    *ret_fd = -1;
    if (sandbox->abi == 0) {
        return JQ_OK;
    }
    const struct ruleset_attr attr = {
        .fs = sandbox->handled,
        .net = sandbox->abi >= ABI_NET && !network ? NET_BIND_AND_CONNECT_TCP : 0,
        .scoped = sandbox->abi >= ABI_SCOPE ? SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS : 0,
    };
    const int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (fd < 0) {
        return jq_fail_errno(reterr, errno, "sandbox: rules");
    }
    /* Out of the way of the descriptors that the child gets. */
    *ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_SAFE_FD);
    (void)close(fd);
    if (*ret_fd >= 0 && fill_rules(sandbox, *ret_fd, work_fd, paths, more)) {
        return JQ_OK;
    }
    const int rule_errno = errno;
    if (*ret_fd >= 0) {
        (void)close(*ret_fd);
        *ret_fd = -1;
    }
    return jq_fail_errno(reterr, rule_errno, "sandbox: a rule");
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
