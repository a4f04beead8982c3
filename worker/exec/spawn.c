#define _GNU_SOURCE
#include "worker/exec/spawn.h"

#include "worker/exec/spawn_child.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_SIZE_BYTES = 64 * 1024 };

static const char *step_text(int step) {
    switch (step) {
    case JQ_SPAWN_STEP_CGROUP: return "join the cgroup";
    case JQ_SPAWN_STEP_SESSION: return "setsid";
    case JQ_SPAWN_STEP_WORK_DIR: return "change to the work dir";
    case JQ_SPAWN_STEP_FDS: return "arrange descriptors";
    case JQ_SPAWN_STEP_RLIMITS: return "set rlimits";
    case JQ_SPAWN_STEP_USER: return "switch user";
    case JQ_SPAWN_STEP_PRCTL: return "prctl";
    case JQ_SPAWN_STEP_SANDBOX: return "enter the sandbox";
    default: return "execute";
    }
}

enum jq_err jq_spawner_init(struct jq_spawner *spawner, struct jq_error *reterr) {
    *spawner = (struct jq_spawner){.parent = getpid()};
    void *stack = mmap(NULL, STACK_SIZE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        return jq_fail_errno(reterr, errno, "stack for starting children");
    }
    void *report =
        mmap(NULL, sizeof(struct jq_spawn_report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED) {
        (void)munmap(stack, STACK_SIZE_BYTES);
        return jq_fail_errno(reterr, errno, "page for starting children");
    }
    spawner->stack = stack;
    spawner->report = report;
    return JQ_OK;
}

void jq_spawner_fini(struct jq_spawner *spawner) {
    if (spawner->stack != NULL) {
        (void)munmap(spawner->stack, STACK_SIZE_BYTES);
        (void)munmap(spawner->report, sizeof(struct jq_spawn_report));
        spawner->stack = NULL;
    }
}

/* CLONE_VFORK without CLONE_VM: a copy of our memory, and we wait until it calls execve all the same. */
static pid_t clone_into_cgroup(struct jq_spawn_call *call, int *ret_pidfd) {
    struct clone_args args = {
        .flags = CLONE_PIDFD | CLONE_VFORK | CLONE_INTO_CGROUP,
        .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = (unsigned)call->spec->clone_cgroup_fd,
    };
    const long pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0) {
        (void)jq_spawn_child_main(call);
    }
    return (pid_t)pid;
}

/* The child of a worker borrows its memory until it executes. ThreadSanitizer takes it for a child of fork(), which has its own: it would
 * change what is known of the parent's thread. */
#ifdef __SANITIZE_THREAD__
enum { MEMORY_FLAGS = 0 };
#else
enum { MEMORY_FLAGS = CLONE_VM };
#endif

static pid_t clone_child(struct jq_spawner *spawner, struct jq_spawn_call *call, int *ret_pidfd) {
    if (call->spec->clone_cgroup_fd >= 0) {
        return clone_into_cgroup(call, ret_pidfd);
    }
    /* Stacks grow down on every machine that Linux calls by clone(2) with a top. */
    char *top = (char *)spawner->stack + STACK_SIZE_BYTES;
    return clone(jq_spawn_child_main, top, MEMORY_FLAGS | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, call, ret_pidfd);
}

enum jq_err jq_spawn(struct jq_spawner *spawner, const struct jq_spawn_spec *spec, pid_t *ret_pid, int *ret_pidfd,
                     struct jq_error *reterr) {
    JQ_CHECK(spec->fd_count >= 3 && spec->fd_count <= JQ_SPAWN_FD_COUNT_MAX && spec->argv[0] != NULL);
    memset(spawner->report, 0, sizeof(*spawner->report));
    struct jq_spawn_call call = {.spec = spec, .report = spawner->report, .parent = spawner->parent};
    int pidfd = -1;

    /* No handler of ours may run in the child, in our memory. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t pid = clone_child(spawner, &call, &pidfd);
    const int clone_errno = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);

    if (pid < 0) {
        return jq_fail_errno(reterr, clone_errno, "start %s: clone", spec->path);
    }
    if (spawner->report->step != JQ_SPAWN_STEP_NONE) {
        (void)waitpid(pid, NULL, 0);
        (void)close(pidfd);
        return jq_fail_errno(reterr, spawner->report->sys_errno, "start %s: %s", spec->path,
                             step_text(spawner->report->step));
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return JQ_OK;
}
