#include "worker/exec/cgroup_slot.h"

#include "worker/exec/sysfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What an idle group may still account for: the kernel's own records of files, charged in lots. More would count against the next task. */
enum { USAGE_BYTES_MAX = 2 * 1024 * 1024 };

static bool limits_equal(const struct jq_cgroup_limits *left, const struct jq_cgroup_limits *right) {
    return left->memory_bytes_max == right->memory_bytes_max && left->pids_max == right->pids_max &&
           left->cpu_milli_max == right->cpu_milli_max;
}

/* ---- the files that tell whether a group is as good as new ---- */

static int open_in(const struct jq_cgroups *groups, const struct jq_cgroup *group, unsigned controller, const char *v1,
                   const char *v2, int flags) {
    for (unsigned i = 0; i < groups->count; i++) {
        if ((groups->list[i].controllers & controller) != 0 && group->dir_fds[i] >= 0) {
            return openat(group->dir_fds[i], groups->list[i].v2 ? v2 : v1, flags | O_CLOEXEC);
        }
    }
    return -1;
}

static int open_peak(const struct jq_cgroups *groups, const struct jq_cgroup *group) {
    return open_in(groups, group, JQ_CGROUP_MEMORY, "memory.max_usage_in_bytes", "memory.peak", O_RDWR);
}

static void open_counters(const struct jq_cgroups *groups, struct jq_cgroup *group) {
    group->pids_fd = open_in(groups, group, JQ_CGROUP_PIDS, "pids.current", "pids.current", O_RDONLY);
    group->usage_fd = open_in(groups, group, JQ_CGROUP_MEMORY, "memory.usage_in_bytes", "memory.current", O_RDONLY);
    group->oom_fd = open_in(groups, group, JQ_CGROUP_MEMORY, "memory.oom_control", "memory.events", O_RDONLY);
    /* On v2 the peak is set back for one open file: it is read through the same. */
    group->peak_fd = open_peak(groups, group);
    group->reusable = group->pids_fd >= 0 && group->usage_fd >= 0 && group->peak_fd >= 0;
}

bool jq_cgroup_renew_peak(const struct jq_cgroups *groups, struct jq_cgroup *group) {
    if (group->made && group->peak_fd < 0) {
        group->peak_fd = open_peak(groups, group);
    }
    return group->made && group->peak_fd >= 0 && pwrite(group->peak_fd, "0", 1, 0) == 1;
}

static bool has_groups_below(const struct jq_cgroup *group) {
    enum { LINKS_OF_A_LEAF = 2 };
    for (unsigned i = 0; i < JQ_CGROUP_HIERARCHY_COUNT_MAX; i++) {
        struct stat status;
        if (group->dir_fds[i] >= 0 && (fstat(group->dir_fds[i], &status) != 0 || status.st_nlink > LINKS_OF_A_LEAF)) {
            return true;
        }
    }
    return false;
}

static bool is_as_good_as_new(const struct jq_cgroups *groups, const struct jq_cgroup *group) {
    const int64_t usage_bytes = jq_sysfile_number_at(group->usage_fd);
    return group->reusable && !group->killed && jq_sysfile_number_at(group->pids_fd) == 0 && usage_bytes >= 0 &&
           usage_bytes <= USAGE_BYTES_MAX && !has_groups_below(group) && jq_cgroup_oom_kills(groups, group) <= 0 &&
           pwrite(group->peak_fd, "0", 1, 0) == 1;
}

/* ---- taking and giving ---- */

static struct jq_cgroup take_at(struct jq_cgroup_slots *slots, unsigned index) {
    const struct jq_cgroup group = slots->idle[index];
    slots->idle_count--;
    memmove(&slots->idle[index], &slots->idle[index + 1], (slots->idle_count - index) * sizeof(group));
    return group;
}

enum jq_err jq_cgroup_slots_take(struct jq_cgroup_slots *slots, const struct jq_cgroups *groups,
                                 const struct jq_cgroup_limits *limits, bool single, struct jq_cgroup *ret_group,
                                 struct jq_error *reterr) {
    /* The one that was used last is the most likely to be in the processor's caches. */
    for (unsigned i = slots->idle_count; !single && i > 0; i--) {
        if (limits_equal(&slots->idle[i - 1].limits, limits)) {
            *ret_group = take_at(slots, i - 1);
            return JQ_OK;
        }
    }
    char name[sizeof(ret_group->name)];
    (void)snprintf(name, sizeof(name), "slot-%llu", (unsigned long long)++slots->made_count);
    const enum jq_err err = jq_cgroup_make(groups, name, limits, ret_group, reterr);
    if (err == JQ_OK && !single && ret_group->made) {
        open_counters(groups, ret_group);
    }
    return err;
}

static void drop_at(struct jq_cgroup_slots *slots, const struct jq_cgroups *groups, unsigned index) {
    struct jq_cgroup group = take_at(slots, index);
    (void)jq_cgroup_remove(groups, &group);
    jq_cgroup_release(&group);
}

bool jq_cgroup_slots_give(struct jq_cgroup_slots *slots, const struct jq_cgroups *groups, struct jq_cgroup *group) {
    if (!group->made || !is_as_good_as_new(groups, group)) {
        return jq_cgroup_remove(groups, group);
    }
    if (slots->idle_count == JQ_CGROUP_IDLE_COUNT_MAX) {
        drop_at(slots, groups, 0);
    }
    slots->idle[slots->idle_count++] = *group;
    group->made = false;
    return true;
}

void jq_cgroup_slots_fini(struct jq_cgroup_slots *slots, const struct jq_cgroups *groups) {
    while (slots->idle_count > 0) {
        drop_at(slots, groups, slots->idle_count - 1);
    }
}
