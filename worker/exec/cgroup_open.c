/* Finding, making, sweeping and closing the worker's own sub-tree: see cgroup.h. */
#include "worker/exec/cgroup.h"
#include "worker/exec/cgroup_find.h"
#include "worker/exec/sysfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SWEEP_TRIES_MAX = 500, SWEEP_PAUSE_NS = 10000000, MOUNTINFO_SIZE_MAX = 256 * 1024 };

/* Kills and removes the groups of tasks that an earlier worker of this name left. True when none is left. */
static bool sweep_once(struct jq_cgroups *one) {
    const int fd = openat(one->list[0].dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return true;
    }
    bool clean = true;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.') {
            continue;
        }
        struct jq_cgroup group = JQ_CGROUP_NONE;
        group.made = true;
        (void)snprintf(group.name, sizeof(group.name), "%.47s", entry->d_name);
        group.dir_fds[0] = openat(one->list[0].dir_fd, group.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (group.dir_fds[0] >= 0) {
            jq_cgroup_kill(one, &group);
            clean = jq_cgroup_remove(one, &group) && clean;
            jq_cgroup_release(&group);
        }
    }
    (void)closedir(dir);
    return clean;
}

static void sweep(const struct jq_cgroup_hierarchy *hierarchy) {
    struct jq_cgroups one = {.list = {*hierarchy}, .count = 1, .controllers = hierarchy->controllers};
    const struct timespec pause = {.tv_nsec = SWEEP_PAUSE_NS};
    for (int tries = 0; tries < SWEEP_TRIES_MAX && !sweep_once(&one); tries++) {
        (void)nanosleep(&pause, NULL);
    }
}

static unsigned controllers_in(int dir_fd, const char *file) {
    char text[512] = " ";
    if (jq_sysfile_read(dir_fd, file, text + 1, sizeof(text) - 2) < 0) {
        return 0;
    }
    text[strcspn(text, "\n")] = ' ';
    return (strstr(text, " memory ") != NULL ? JQ_CGROUP_MEMORY : 0U) |
           (strstr(text, " pids ") != NULL ? JQ_CGROUP_PIDS : 0U) |
           (strstr(text, " cpu ") != NULL ? JQ_CGROUP_CPU : 0U);
}

static bool enable_v2(int dir_fd) {
    static const char *const words[] = {"+memory", "+pids", "+cpu"};
    bool busy = false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!jq_sysfile_write(dir_fd, "cgroup.subtree_control", words[i]) && errno == EBUSY) {
            busy = true;
        }
    }
    return !busy;
}

/* v2 lets a group have processes or controllers for its children, not both: the worker steps aside into a leaf of its own. */
static void enable_v2_stepping_aside(int base_fd, const char *name) {
    if (enable_v2(base_fd)) {
        return;
    }
    char leaf[96];
    (void)snprintf(leaf, sizeof(leaf), "%s.main", name);
    if (mkdirat(base_fd, leaf, 0755) != 0 && errno != EEXIST) {
        return;
    }
    (void)snprintf(leaf, sizeof(leaf), "%s.main/cgroup.procs", name);
    if (jq_sysfile_write(base_fd, leaf, "0") && !enable_v2(base_fd)) {
        /* Others live in our group: it was not given to us alone. */
        (void)jq_sysfile_write(base_fd, "cgroup.procs", "0");
        (void)snprintf(leaf, sizeof(leaf), "%s.main", name);
        (void)unlinkat(base_fd, leaf, AT_REMOVEDIR);
    }
}

static bool open_below(const char *base, const char *name, struct jq_cgroup_hierarchy *ret) {
    const int base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base_fd < 0) {
        return false;
    }
    if (ret->v2) {
        enable_v2_stepping_aside(base_fd, name);
    }
    const bool made = mkdirat(base_fd, name, 0755) == 0 || errno == EEXIST;
    ret->dir_fd = made ? openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    (void)close(base_fd);
    (void)snprintf(ret->path, sizeof(ret->path), "%.150s/%.70s", base, name);
    return ret->dir_fd >= 0 && faccessat(ret->dir_fd, "cgroup.procs", W_OK, 0) == 0;
}

static bool finish_v2(struct jq_cgroup_hierarchy *hierarchy) {
    (void)enable_v2(hierarchy->dir_fd);
    hierarchy->controllers = controllers_in(hierarchy->dir_fd, "cgroup.subtree_control");
    hierarchy->kill_file = faccessat(hierarchy->dir_fd, "cgroup.kill", W_OK, 0) == 0;
    return true;
}

static bool finish_v1(struct jq_cgroup_hierarchy *hierarchy, unsigned controllers) {
    hierarchy->controllers = controllers;
    return faccessat(hierarchy->dir_fd, "tasks", W_OK, 0) == 0;
}

/* Tries one base directory; adds it to the list if tasks can have groups there. */
static bool try_base(struct jq_cgroups *groups, const char *base, const char *name, bool v2, unsigned controllers) {
    struct jq_cgroup_hierarchy hierarchy = {.dir_fd = -1, .v2 = v2};
    if (groups->count == JQ_CGROUP_HIERARCHY_COUNT_MAX || !open_below(base, name, &hierarchy) ||
        !(v2 ? finish_v2(&hierarchy) : finish_v1(&hierarchy, controllers))) {
        if (hierarchy.dir_fd >= 0) {
            (void)close(hierarchy.dir_fd);
        }
        return false;
    }
    groups->list[groups->count++] = hierarchy;
    groups->controllers |= hierarchy.controllers;
    return true;
}

static void drop_last(struct jq_cgroups *groups) {
    const struct jq_cgroup_hierarchy *last = &groups->list[--groups->count];
    (void)close(last->dir_fd);
    (void)rmdir(last->path);
}

/* v2 first, in the worker's own group; the hierarchy's root serves where the own group is shared with others. */
static void find_v2(struct jq_cgroups *groups, const struct jq_cgroup_place *place, const char *name) {
    if (try_base(groups, place->own, name, true, 0)) {
        if (groups->controllers != 0 || strcmp(place->own, place->mount) == 0) {
            return;
        }
        drop_last(groups);
    }
    (void)try_base(groups, place->mount, name, true, 0);
}

static void find_all(struct jq_cgroups *groups, const struct jq_cgroup_place *places, unsigned count,
                     const char *name) {
    for (unsigned i = 0; i < count; i++) {
        if (places[i].v2) {
            find_v2(groups, &places[i], name);
        }
    }
    const bool bare_v2 = groups->count > 0 && groups->controllers == 0;
    for (unsigned i = 0; i < count; i++) {
        if (!places[i].v2 && (places[i].controllers & ~groups->controllers) != 0) {
            (void)try_base(groups, places[i].own, name, false, places[i].controllers);
        }
    }
    /* Hybrid: v2 without a controller adds nothing that the v1 pids group does not do. */
    if (bare_v2 && (groups->controllers & JQ_CGROUP_PIDS) != 0) {
        const struct jq_cgroup_hierarchy unused = groups->list[0];
        memmove(&groups->list[0], &groups->list[1], (groups->count - 1) * sizeof(unused));
        groups->list[groups->count - 1] = unused;
        drop_last(groups);
    }
}

static enum jq_err find_mounted(struct jq_cgroups *groups, const char *name, struct jq_error *reterr) {
    char *mountinfo = malloc(MOUNTINFO_SIZE_MAX);
    if (mountinfo == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "mountinfo");
    }
    char own_groups[4096];
    struct jq_cgroup_place places[JQ_CGROUP_PLACE_COUNT_MAX];
    if (jq_sysfile_read(AT_FDCWD, "/proc/self/mountinfo", mountinfo, MOUNTINFO_SIZE_MAX) > 0 &&
        jq_sysfile_read(AT_FDCWD, "/proc/self/cgroup", own_groups, sizeof(own_groups)) > 0) {
        const unsigned count = jq_cgroup_find(mountinfo, own_groups, places, JQ_CGROUP_PLACE_COUNT_MAX);
        find_all(groups, places, count, name);
    }
    free(mountinfo);
    return JQ_OK;
}

enum jq_err jq_cgroups_open(const char *name, const char *root, struct jq_cgroups *ret_groups,
                            struct jq_error *reterr) {
    struct jq_cgroups groups = {.count = 0};
    char dir_name[JQ_NAME_SIZE_MAX + 8];
    (void)snprintf(dir_name, sizeof(dir_name), "jqmesh-%.64s", name);
    if (root != NULL && root[0] == '/') {
        if (!try_base(&groups, root, dir_name, true, 0)) {
            return jq_fail(reterr, JQ_ERR_UNAVAILABLE, "cgroup_root %s: not a writable cgroup v2 directory", root);
        }
    } else if (root == NULL || root[0] == '\0' || strcmp(root, "auto") == 0) {
        const enum jq_err err = find_mounted(&groups, dir_name, reterr);
        if (err != JQ_OK) {
            return err;
        }
    } else if (strcmp(root, "none") != 0) {
        return jq_fail(reterr, JQ_ERR_INVALID, "cgroup_root: neither auto, none nor a path: %.64s", root);
    }
    for (unsigned i = 0; i < groups.count; i++) {
        sweep(&groups.list[i]);
    }
    *ret_groups = groups;
    return JQ_OK;
}

void jq_cgroups_close(struct jq_cgroups *groups) {
    while (groups->count > 0) {
        drop_last(groups);
    }
    groups->controllers = 0;
}
