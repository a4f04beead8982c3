#define _GNU_SOURCE
#include "worker/exec/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/exec/sandbox_filter.h"

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

enum { PLACES_MAX = 512, FIRST_SAFE_FD = 10 };

struct ruleset_attr { /* struct landlock_ruleset_attr of ABI 6 */
    uint64_t fs, net, scoped;
};

struct place {
    int fd;
    uint64_t rights; /* as rights_for() gave them: kernel and file are asked once */
};

/* A folder whose entries were opened. */
struct looked_at {
    const char *path;
    dev_t dev;
    ino_t ino;               /* another stands there after a mount over it */
    struct timespec changed; /* when it last was, before the look; 0: look again */
};

struct jq_sandbox {
    int abi;
    struct looked_at root, etc;
    char **read, **write;            /* for every child, looked up anew for each; each list ends with NULL */
    uint64_t handled;                /* rights that the rules speak of: all that this kernel knows */
    struct place places[PLACES_MAX]; /* of every child */
    size_t place_count;
    struct sock_fprog *filters[2]; /* without and with the network; NULL: the kernel has no seccomp */
};

/* ---- what the system is made of ---- */

static const char *const system_read[] = {"/usr",  "/bin", "/sbin", "/lib", "/lib32", "/lib64",  "/opt",
                                          "/proc", "/sys", "/snap", "/nix", "/gnu",   "/libx32", "/run/systemd/resolve",
                                          NULL};
static const char *const system_write[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", NULL};
/* Of /etc, which is read otherwise. */
static const char *const secrets[] = {
    "shadow", "shadow-",  "gshadow", "gshadow-",  "sudoers", "sudoers.d",      "ssl",         "ssh",
    "jqmesh", "security", "ppp",     "wireguard", "openvpn", "NetworkManager", "krb5.keytab", NULL};
static const char *const etc_ssl[] = {"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ssh/ssh_known_hosts", NULL};

static bool is_in(const char *const *list, const char *name) {
    while (*list != NULL && strcmp(*list, name) != 0) {
        list++;
    }
    return *list != NULL;
}

/* ---- rules ---- */

static uint64_t rights_of(int abi) {
    uint64_t rights = RIGHTS_ABI_1;
    rights |= abi >= ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0;
    rights |= abi >= ABI_TRUNCATE ? RIGHT(FS_TRUNCATE_BIT) : 0;
    rights |= abi >= ABI_IOCTL_DEV ? RIGHT(FS_IOCTL_DEV_BIT) : 0;
    return rights;
}

/* What can be said of a file is less than what can be said of a folder. */
static uint64_t rights_for(const struct jq_sandbox *sandbox, int fd, uint64_t rights) {
    struct stat status;
    const bool folder = fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
    return rights & sandbox->handled & (folder ? UINT64_MAX : FILE_RIGHTS);
}

static bool add_known_rule(int rules_fd, int fd, uint64_t rights) {
    const struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    return syscall(SYS_landlock_add_rule, rules_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

static bool add_rule(const struct jq_sandbox *sandbox, int rules_fd, int fd, uint64_t rights) {
    return add_known_rule(rules_fd, fd, rights_for(sandbox, fd, rights));
}

static void add_place(struct jq_sandbox *sandbox, const char *path, uint64_t rights) {
    const int fd = sandbox->place_count < PLACES_MAX ? open(path, O_PATH | O_CLOEXEC) : -1;
    if (fd >= 0) {
        sandbox->places[sandbox->place_count++] = (struct place){fd, rights_for(sandbox, fd, rights)};
    }
}

static void add_places(struct jq_sandbox *sandbox, const char *const *paths, uint64_t rights) {
    for (; paths != NULL && *paths != NULL; paths++) {
        add_place(sandbox, *paths, rights);
    }
}

static void add_etc(struct jq_sandbox *sandbox) {
    DIR *etc = opendir("/etc");
    if (etc == NULL) {
        return;
    }
    for (const struct dirent *entry = readdir(etc); entry != NULL; entry = readdir(etc)) {
        char path[sizeof("/etc/") + NAME_MAX];
        if (entry->d_name[0] != '.' && !is_in(secrets, entry->d_name)) {
            (void)snprintf(path, sizeof(path), "/etc/%s", entry->d_name);
            add_place(sandbox, path, READ_ALL);
        }
    }
    (void)closedir(etc);
    add_places(sandbox, etc_ssl, READ_ALL);
}

static void ask_kernel(struct jq_sandbox *sandbox) {
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    sandbox->abi = abi > 0 ? (int)abi : 0;
    sandbox->handled = sandbox->abi > 0 ? rights_of(sandbox->abi) : 0;
}

static void close_places(struct jq_sandbox *sandbox) {
    while (sandbox->place_count > 0) {
        (void)close(sandbox->places[--sandbox->place_count].fd);
    }
}

/* Whether entries came, went or were replaced since the last call. A change of this second may be followed by another that leaves
 * the same time. */
static bool has_changed(struct looked_at *folder) {
    struct stat status;
    const struct looked_at before = *folder;
    const int64_t now_s = jq_clock_wall_ms() / 1000;
    if (stat(folder->path, &status) != 0) {
        folder->changed = (struct timespec){0, 0};
        return true;
    }
    folder->dev = status.st_dev;
    folder->ino = status.st_ino;
    folder->changed = status.st_mtim.tv_sec < now_s - 1 ? status.st_mtim : (struct timespec){0, 0};
    return before.dev != status.st_dev || before.ino != status.st_ino ||
           before.changed.tv_sec != status.st_mtim.tv_sec || before.changed.tv_nsec != status.st_mtim.tv_nsec;
}

/* A rule holds for the file that was there when it was made: what replaces it later (a user is added, a name server changes) needs
 * a rule of its own. */
static void find_places(struct jq_sandbox *sandbox) {
    const bool root_changed = has_changed(&sandbox->root);
    if (has_changed(&sandbox->etc) || root_changed) {
        close_places(sandbox);
        add_places(sandbox, system_read, READ_ALL);
        add_places(sandbox, system_write, FILE_RIGHTS);
        add_etc(sandbox);
    }
}

static bool add_paths(const struct jq_sandbox *sandbox, int rules_fd, const char *const *paths, uint64_t rights) {
    bool done = true;
    for (; done && paths != NULL && *paths != NULL; paths++) {
        const int fd = open(*paths, O_PATH | O_CLOEXEC);
        if (fd >= 0) {
            done = add_rule(sandbox, rules_fd, fd, rights);
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
    bool done = work_fd < 0 || add_rule(sandbox, rules_fd, work_fd, UINT64_MAX);
    find_places(sandbox);
    for (size_t i = 0; done && i < sandbox->place_count; i++) {
        done = add_known_rule(rules_fd, sandbox->places[i].fd, sandbox->places[i].rights);
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
    sandbox->root.path = "/";
    sandbox->etc.path = "/etc";
    sandbox->read = copy_list(system != NULL ? system->read : NULL);
    sandbox->write = copy_list(system != NULL ? system->write : NULL);
    enum jq_err err =
        sandbox->read != NULL && sandbox->write != NULL ? JQ_OK : jq_fail(reterr, JQ_ERR_NOMEM, "sandbox");
    ask_kernel(sandbox);
    if (sandbox->abi > 0) {
        find_places(sandbox); /* a worker has its descriptors from its start */
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
    close_places(sandbox);
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
