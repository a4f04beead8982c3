#include "worker/exec/cgroup.h"

#include "worker/exec/sysfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* The period of cpu throttling: the kernel's default. */
enum { CPU_PERIOD_US = 100000 };

static void close_one(int *fd) {
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void jq_cgroup_release(struct jq_cgroup *group) {
    if (!group->made) {
        return;
    }
    for (unsigned i = 0; i < JQ_CGROUP_HIERARCHY_COUNT_MAX; i++) {
        close_one(&group->dir_fds[i]);
        close_one(&group->join_fds[i]);
    }
    close_one(&group->pids_fd);
    close_one(&group->usage_fd);
    close_one(&group->peak_fd);
    close_one(&group->oom_fd);
    group->made = false;
}

/* memory.oom.group: the whole task dies together, as promised, not one process of it. */
static bool limit_memory(const struct jq_cgroup_hierarchy *hierarchy, int dir_fd, uint64_t bytes_max) {
    if (hierarchy->v2) {
        (void)jq_sysfile_write(dir_fd, "memory.oom.group", "1");
        (void)jq_sysfile_write(dir_fd, "memory.swap.max", "0");
        return jq_sysfile_write_u64(dir_fd, "memory.max", bytes_max);
    }
    const bool limited = jq_sysfile_write_u64(dir_fd, "memory.limit_in_bytes", bytes_max);
    /* Memory and swap together; absent where the kernel does not account swap. */
    (void)jq_sysfile_write_u64(dir_fd, "memory.memsw.limit_in_bytes", bytes_max);
    return limited;
}

static bool limit_cpu(const struct jq_cgroup_hierarchy *hierarchy, int dir_fd, uint64_t milli_max) {
    const uint64_t quota_us = milli_max * CPU_PERIOD_US / 1000;
    if (!hierarchy->v2) {
        return jq_sysfile_write_u64(dir_fd, "cpu.cfs_quota_us", quota_us);
    }
    char text[48];
    (void)snprintf(text, sizeof(text), "%llu %d", (unsigned long long)quota_us, CPU_PERIOD_US);
    return jq_sysfile_write(dir_fd, "cpu.max", text);
}

static bool apply_limits(const struct jq_cgroup_hierarchy *hierarchy, int dir_fd,
                         const struct jq_cgroup_limits *limits) {
    if ((hierarchy->controllers & JQ_CGROUP_MEMORY) != 0 && limits->memory_bytes_max > 0 &&
        !limit_memory(hierarchy, dir_fd, limits->memory_bytes_max)) {
        return false;
    }
    if ((hierarchy->controllers & JQ_CGROUP_PIDS) != 0 && limits->pids_max > 0 &&
        !jq_sysfile_write_u64(dir_fd, "pids.max", limits->pids_max)) {
        return false;
    }
    return (hierarchy->controllers & JQ_CGROUP_CPU) == 0 || limits->cpu_milli_max == 0 ||
           limit_cpu(hierarchy, dir_fd, limits->cpu_milli_max);
}

/* A v1 mount that carries nothing but cpu is of use only to a task with a cpu limit. */
static bool is_needed(const struct jq_cgroup_hierarchy *hierarchy, const struct jq_cgroup_limits *limits) {
    return hierarchy->v2 || hierarchy->controllers != JQ_CGROUP_CPU || limits->cpu_milli_max > 0;
}

static bool make_in(const struct jq_cgroup_hierarchy *hierarchy, const char *name,
                    const struct jq_cgroup_limits *limits, int *ret_fd) {
    if (mkdirat(hierarchy->dir_fd, name, 0755) != 0) {
        return false;
    }
    *ret_fd = openat(hierarchy->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 && apply_limits(hierarchy, *ret_fd, limits);
}

enum jq_err jq_cgroup_make(const struct jq_cgroups *groups, const char *name, const struct jq_cgroup_limits *limits,
                           struct jq_cgroup *ret_group, struct jq_error *reterr) {
    struct jq_cgroup made = JQ_CGROUP_NONE;
    made.made = groups->count > 0;
    made.limits = *limits;
    const int name_size = snprintf(made.name, sizeof(made.name), "%s", name);
    JQ_CHECK(name_size > 0 && (size_t)name_size < sizeof(made.name));
    for (unsigned i = 0; i < groups->count; i++) {
        if (is_needed(&groups->list[i], limits) && !make_in(&groups->list[i], name, limits, &made.dir_fds[i])) {
            const int make_errno = errno;
            (void)jq_cgroup_remove(groups, &made);
            jq_cgroup_release(&made);
            return jq_fail_errno(reterr, make_errno, "cgroup %s/%s", groups->list[i].path, name);
        }
    }
    *ret_group = made;
    return JQ_OK;
}

int jq_cgroup_clone_fd(const struct jq_cgroups *groups, const struct jq_cgroup *group) {
    for (unsigned i = 0; group->made && i < groups->count; i++) {
        if (groups->list[i].v2) {
            return group->dir_fds[i];
        }
    }
    return -1;
}

int jq_cgroup_join_fds(const struct jq_cgroups *groups, struct jq_cgroup *group, bool all,
                       int ret_fds[JQ_CGROUP_HIERARCHY_COUNT_MAX]) {
    int count = 0;
    for (unsigned i = 0; group->made && i < groups->count; i++) {
        const bool v2 = groups->list[i].v2;
        if (group->dir_fds[i] < 0 || (v2 && !all)) {
            continue;
        }
        if (group->join_fds[i] < 0) {
            group->join_fds[i] = openat(group->dir_fds[i], v2 ? "cgroup.procs" : "tasks", O_WRONLY | O_CLOEXEC);
        }
        if (group->join_fds[i] < 0) {
            return -1;
        }
        ret_fds[count++] = group->join_fds[i];
    }
    return count;
}

static void kill_listed(int dir_fd) {
    char text[16 * 1024]; /* about 2,000 pids; the next call takes the rest */
    if (jq_sysfile_read(dir_fd, "cgroup.procs", text, sizeof(text)) <= 0) {
        return;
    }
    char *rest = text;
    while (*rest != '\0') {
        char *end = NULL;
        const long pid = strtol(rest, &end, 10);
        /* The last line may be cut short: only a line that ends is a pid. */
        if (end == rest || *end != '\n') {
            return;
        }
        if (pid > 1) {
            (void)kill((pid_t)pid, SIGKILL);
        }
        rest = end + 1;
    }
}

void jq_cgroup_kill(const struct jq_cgroups *groups, struct jq_cgroup *group) {
    group->killed = true;
    for (unsigned i = 0; group->made && i < groups->count; i++) {
        const int dir_fd = group->dir_fds[i];
        if (dir_fd < 0 || (groups->list[i].kill_file && jq_sysfile_write(dir_fd, "cgroup.kill", "1"))) {
            continue;
        }
        if ((groups->list[i].controllers & JQ_CGROUP_PIDS) != 0) {
            /* A fork bomb would outrun the loop. */
            (void)jq_sysfile_write(dir_fd, "pids.max", "0");
        }
        kill_listed(dir_fd);
    }
}

bool jq_cgroup_remove(const struct jq_cgroups *groups, struct jq_cgroup *group) {
    bool all_gone = true;
    for (unsigned i = 0; group->made && i < groups->count; i++) {
        if (group->dir_fds[i] < 0) {
            continue;
        }
        if (unlinkat(groups->list[i].dir_fd, group->name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
            all_gone = false;
            continue;
        }
        close_one(&group->dir_fds[i]);
    }
    if (all_gone) {
        jq_cgroup_release(group);
    }
    return all_gone;
}

static int memory_dir(const struct jq_cgroups *groups, const struct jq_cgroup *group, bool *ret_v2) {
    for (unsigned i = 0; group->made && i < groups->count; i++) {
        if ((groups->list[i].controllers & JQ_CGROUP_MEMORY) != 0 && group->dir_fds[i] >= 0) {
            *ret_v2 = groups->list[i].v2;
            return group->dir_fds[i];
        }
    }
    return -1;
}

/* v1 keeps memory <= memory and swap: which of the two is written first depends on the direction. */
static bool set_memory(int dir_fd, bool v2, uint64_t bytes_max) {
    const int64_t used = jq_sysfile_number(dir_fd, v2 ? "memory.current" : "memory.usage_in_bytes");
    char text[32];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes_max);
    const char *value = bytes_max > 0 ? text : (v2 ? "max" : "-1");
    if (bytes_max > 0 && used >= 0 && (uint64_t)used > bytes_max) {
        return false;
    }
    if (v2) {
        (void)jq_sysfile_write(dir_fd, "memory.oom.group", "1");
        (void)jq_sysfile_write(dir_fd, "memory.swap.max", bytes_max > 0 ? "0" : "max");
        return jq_sysfile_write(dir_fd, "memory.max", value);
    }
    const bool first = jq_sysfile_write(dir_fd, "memory.limit_in_bytes", value);
    (void)jq_sysfile_write(dir_fd, "memory.memsw.limit_in_bytes", value);
    return first || jq_sysfile_write(dir_fd, "memory.limit_in_bytes", value);
}

static bool lift_cpu(int dir_fd, bool v2) {
    return v2 ? jq_sysfile_write(dir_fd, "cpu.max", "max") : jq_sysfile_write(dir_fd, "cpu.cfs_quota_us", "-1");
}

bool jq_cgroup_set(const struct jq_cgroups *groups, const struct jq_cgroup *group,
                   const struct jq_cgroup_limits *limits) {
    for (unsigned i = 0; group->made && i < groups->count; i++) {
        const struct jq_cgroup_hierarchy *hierarchy = &groups->list[i];
        const int dir_fd = group->dir_fds[i];
        if (dir_fd < 0) {
            continue;
        }
        if ((hierarchy->controllers & JQ_CGROUP_MEMORY) != 0 &&
            !set_memory(dir_fd, hierarchy->v2, limits->memory_bytes_max)) {
            return false;
        }
        if ((hierarchy->controllers & JQ_CGROUP_CPU) != 0 &&
            !(limits->cpu_milli_max > 0 ? limit_cpu(hierarchy, dir_fd, limits->cpu_milli_max)
                                        : lift_cpu(dir_fd, hierarchy->v2))) {
            return false;
        }
    }
    return true;
}

long jq_cgroup_process_count(const struct jq_cgroups *groups, const struct jq_cgroup *group) {
    char text[16 * 1024];
    for (unsigned i = 0; group->made && i < groups->count; i++) {
        if (group->dir_fds[i] < 0 || jq_sysfile_read(group->dir_fds[i], "cgroup.procs", text, sizeof(text)) < 0) {
            continue;
        }
        long count = 0;
        for (const char *at = strchr(text, '\n'); at != NULL; at = strchr(at + 1, '\n')) {
            count++;
        }
        return count;
    }
    return -1;
}

int64_t jq_cgroup_oom_kills(const struct jq_cgroups *groups, const struct jq_cgroup *group) {
    bool v2 = false;
    if (group->made && group->oom_fd >= 0) {
        return jq_sysfile_field_at(group->oom_fd, "oom_kill");
    }
    const int dir_fd = memory_dir(groups, group, &v2);
    return dir_fd < 0 ? -1 : jq_sysfile_field(dir_fd, v2 ? "memory.events" : "memory.oom_control", "oom_kill");
}

int64_t jq_cgroup_memory_peak(const struct jq_cgroups *groups, const struct jq_cgroup *group) {
    bool v2 = false;
    if (group->made && group->peak_fd >= 0) {
        return jq_sysfile_number_at(group->peak_fd);
    }
    const int dir_fd = memory_dir(groups, group, &v2);
    return dir_fd < 0 ? -1 : jq_sysfile_number(dir_fd, v2 ? "memory.peak" : "memory.max_usage_in_bytes");
}

int64_t jq_cgroup_cpu_us(const struct jq_cgroups *groups, const struct jq_cgroup *group) {
    const int dir_fd = jq_cgroup_clone_fd(groups, group);
    return dir_fd < 0 ? -1 : jq_sysfile_field(dir_fd, "cpu.stat", "usage_usec");
}
