#define _GNU_SOURCE
#include "worker/exec/spawn_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The child runs on a stack and in memory of the parent's: instrumentation would write down its frames as the parent's own. Wrappers of
 * libc are avoided where they do more than the system call (setresuid() signals every thread, sigaction() guards its own signals). */
#define IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined"), noinline))

enum { KERNEL_SIGNAL_SET_SIZE = 8, KERNEL_SIGNAL_COUNT = 64, FIRST_SAFE_FD = 10 };

static const unsigned long zeros[8]; /* a kernel_sigaction of SIG_DFL, and an empty signal set */

IN_CHILD static bool join_cgroups(const struct jq_spawn_spec *spec) {
    for (unsigned i = 0; i < spec->join_count; i++) {
        if (syscall(SYS_write, spec->join_fds[i], "0", 1) != 1) {
            return false;
        }
    }
    return true;
}

IN_CHILD static void reset_signals(void) {
    for (int number = 1; number <= KERNEL_SIGNAL_COUNT; number++) {
        (void)syscall(SYS_rt_sigaction, number, zeros, NULL, KERNEL_SIGNAL_SET_SIZE);
    }
}

/* A source below `fd_count` would be overwritten before it is used: it is moved out of the way first. */
IN_CHILD static bool arrange_fds(const struct jq_spawn_spec *spec) {
    long fds[JQ_SPAWN_FD_COUNT_MAX];
    for (unsigned i = 0; i < spec->fd_count; i++) {
        fds[i] = spec->fds[i];
        if (fds[i] < (long)spec->fd_count) {
            fds[i] = syscall(SYS_fcntl, spec->fds[i], F_DUPFD_CLOEXEC, FIRST_SAFE_FD);
        }
        if (fds[i] < 0) {
            return false;
        }
    }
    for (unsigned i = 0; i < spec->fd_count; i++) {
        if (syscall(SYS_dup3, fds[i], (int)i, 0) < 0) {
            return false;
        }
    }
    return true;
}

IN_CHILD static bool limit(int resource, uint64_t max) {
    const struct rlimit64 both = {.rlim_cur = max, .rlim_max = max};
    return syscall(SYS_prlimit64, 0, resource, &both, NULL) == 0;
}

IN_CHILD static bool set_rlimits(const struct jq_spawn_spec *spec) {
    return limit(RLIMIT_CORE, 0) && (spec->file_bytes_max == 0 || limit(RLIMIT_FSIZE, spec->file_bytes_max)) &&
           (spec->cpu_seconds_max == 0 || limit(RLIMIT_CPU, spec->cpu_seconds_max)) &&
           (spec->fds_max == 0 || limit(RLIMIT_NOFILE, spec->fds_max));
}

/* A wish, not a condition: /proc may be absent. */
IN_CHILD static void set_oom_score(int score) {
    char text[4] = {(char)('0' + score / 100 % 10), (char)('0' + score / 10 % 10), (char)('0' + score % 10), 0};
    const long fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        (void)syscall(SYS_write, fd, text, 3);
        (void)syscall(SYS_close, fd);
    }
}

IN_CHILD static bool switch_user(const struct jq_spawn_spec *spec) {
    return syscall(SYS_setgroups, 0, NULL) == 0 && syscall(SYS_setresgid, spec->gid, spec->gid, spec->gid) == 0 &&
           syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) == 0;
}

/* PDEATHSIG comes after the change of user, which clears it; a parent that died before it leaves another parent. */
IN_CHILD static bool set_process_flags(const struct jq_spawn_call *call) {
    if (!call->spec->may_outlive_parent) {
        if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
            return false;
        }
        if (syscall(SYS_getppid) != call->parent) {
            (void)syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
        }
    }
    return syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* The filter comes last: what it forbids is not needed any more. */
IN_CHILD static bool enter_sandbox(const struct jq_spawn_spec *spec) {
    if (spec->rules_fd >= 0 && syscall(SYS_landlock_restrict_self, spec->rules_fd, 0) != 0) {
        return false;
    }
    /* Everything of ours has CLOEXEC; this is for what a library may have opened without it. Kernels before 5.9 lack it. */
    (void)syscall(SYS_close_range, spec->fd_count, ~0U, 0);
    return spec->filter == NULL || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, spec->filter) == 0;
}

IN_CHILD static enum jq_spawn_step prepare(const struct jq_spawn_call *call) {
    const struct jq_spawn_spec *spec = call->spec;
    if (!join_cgroups(spec)) {
        return JQ_SPAWN_STEP_CGROUP;
    }
    if (syscall(SYS_setsid) < 0) {
        return JQ_SPAWN_STEP_SESSION;
    }
    reset_signals();
    if (spec->work_dir_fd >= 0 && syscall(SYS_fchdir, spec->work_dir_fd) != 0) {
        return JQ_SPAWN_STEP_WORK_DIR;
    }
    if (!arrange_fds(spec)) {
        return JQ_SPAWN_STEP_FDS;
    }
    if (!set_rlimits(spec)) {
        return JQ_SPAWN_STEP_RLIMITS;
    }
    if (spec->oom_score_adj > 0) {
        set_oom_score(spec->oom_score_adj);
    }
    if (spec->switch_user && !switch_user(spec)) {
        return JQ_SPAWN_STEP_USER;
    }
    if (!set_process_flags(call)) {
        return JQ_SPAWN_STEP_PRCTL;
    }
    return enter_sandbox(spec) ? JQ_SPAWN_STEP_NONE : JQ_SPAWN_STEP_SANDBOX;
}

IN_CHILD int jq_spawn_child_main(void *call_pointer) {
    const struct jq_spawn_call *call = call_pointer;
    enum jq_spawn_step step = prepare(call);
    if (step == JQ_SPAWN_STEP_NONE) {
        (void)syscall(SYS_umask, 022);
        (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, zeros, NULL, KERNEL_SIGNAL_SET_SIZE);
        (void)syscall(SYS_execve, call->spec->path, call->spec->argv, call->spec->env);
        step = JQ_SPAWN_STEP_EXEC;
    }
    call->report->sys_errno = errno;
    call->report->step = (int)step;
    for (;;) {
        (void)syscall(SYS_exit_group, 127);
    }
}
