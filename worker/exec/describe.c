/* Says what is in force on this machine and what is missing: jq_exec_host_describe() of host.h. */
#include "worker/exec/internal.h"

#include <stdarg.h>
#include <stdio.h>

static void say(struct jq_exec_feature *feature, const char *name, bool in_force, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void say(struct jq_exec_feature *feature, const char *name, bool in_force, const char *format, ...) {
    va_list args;
    va_start(args, format);
    feature->name = name;
    feature->in_force = in_force;
    (void)vsnprintf(feature->detail, sizeof(feature->detail), format, args);
    va_end(args);
}

static const struct jq_cgroup_hierarchy *hierarchy_of(const struct jq_cgroups *groups, unsigned controller) {
    for (unsigned i = 0; i < groups->count; i++) {
        if ((groups->list[i].controllers & controller) != 0) {
            return &groups->list[i];
        }
    }
    return NULL;
}

static void say_limit(struct jq_exec_feature *feature, const struct jq_cgroups *groups, const char *name,
                      unsigned controller, bool has_other_way, const char *other_way) {
    const struct jq_cgroup_hierarchy *hierarchy = hierarchy_of(groups, controller);
    if (hierarchy != NULL) {
        say(feature, name, true, "cgroup %s, %.160s", hierarchy->v2 ? "v2" : "v1", hierarchy->path);
    } else {
        say(feature, name, has_other_way, "no writable cgroup: %s", other_way);
    }
}

static void say_kill(struct jq_exec_feature *feature, const struct jq_cgroups *groups) {
    if (groups->count == 0) {
        say(feature, "kill", true, "no writable cgroup: session, descendants and marked orphans");
    } else {
        say(feature, "kill", true, "%s",
            groups->list[0].kill_file ? "cgroup.kill" : "list of the cgroup, until it is empty");
    }
}

static void say_sandbox(struct jq_exec_feature *landlock, struct jq_exec_feature *seccomp,
                        const struct jq_sandbox *sandbox) {
    const int abi = sandbox != NULL ? jq_sandbox_landlock_abi(sandbox) : 0;
    if (sandbox == NULL) {
        say(landlock, "landlock", false, "sandbox = off");
        say(seccomp, "seccomp", false, "sandbox = off");
        return;
    }
    if (abi > 0) {
        say(landlock, "landlock", true,
            "ABI %d: tasks read the system and what `read` names, and write to their own folders", abi);
    } else {
        say(landlock, "landlock", false, "kernel without Landlock");
    }
    const bool filters = jq_sandbox_filters(sandbox);
    say(seccomp, "seccomp", filters,
        filters ? "no sockets without network = yes; no ptrace, mounts, namespaces, keys, io_uring"
                : "kernel without seccomp");
}

size_t jq_exec_host_describe(const struct jq_exec_host *host,
                             struct jq_exec_feature ret_features[JQ_EXEC_FEATURE_COUNT_MAX]) {
    const struct jq_cgroups *groups = &host->cgroups;
    struct jq_exec_feature *next = ret_features;
    say_limit(next++, groups, "memory", JQ_CGROUP_MEMORY, true, "the tree's RSS is watched ten times a second");
    say_limit(next++, groups, "pids", JQ_CGROUP_PIDS, true, "the tree's processes are counted ten times a second");
    say_limit(next++, groups, "cpu", JQ_CGROUP_CPU, false, "cpu is not limited");
    say_kill(next++, groups);
    say(next++, "orphans", host->subreaper,
        host->subreaper ? "this worker is their reaper" : "kernel without PR_SET_CHILD_SUBREAPER");
    say(next++, "user", host->root,
        host->root ? "tasks can run as another user" : "not root: tasks run as the worker's user");
    say_sandbox(next, next + 1, host->sandbox);
    next += 2;
    say(next++, "leftovers", true, "%u processes of an earlier run killed", host->leftovers);
    return (size_t)(next - ret_features);
}
