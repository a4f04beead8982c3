#define _GNU_SOURCE
#include "worker/exec/sandbox_filter.h"

#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILTER_LENGTH_MAX = 4096 };

/* What reaches into other processes, the kernel, or the machine: EPERM. */
static const int denied[] = {
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(syslog),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(vhangup),
    SCMP_SYS(lookup_dcookie),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(move_pages),
    SCMP_SYS(migrate_pages),
};

/* What programs try and can do without: ENOSYS, so that they take the older way. io_uring would be a way round the filter, and the
 * flags of clone3 cannot be looked at. */
static const int absent[] = {SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
                             SCMP_SYS(clone3)};

#define NEW_NAMESPACES                                                                                                 \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* A call that this machine's kernel never had needs no rule. */
static bool deny(scmp_filter_ctx context, int call, int number) {
    const int rc = seccomp_rule_add(context, SCMP_ACT_ERRNO((unsigned)number), call, 0);
    return rc == 0 || rc == -EDOM || rc == -EFAULT;
}

static bool deny_namespaces(scmp_filter_ctx context) {
    bool done = true;
    for (unsigned bit = 0; done && bit < 32; bit++) {
        const uint64_t flag = UINT64_C(1) << bit;
        if ((flag & NEW_NAMESPACES) != 0) {
            done = seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                    SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)) == 0;
        }
    }
    return done;
}

/* TIOCSTI puts words into the mouth of whoever owns the terminal. */
static bool deny_typing(scmp_filter_ctx context) {
    const uint64_t low_half = UINT32_MAX, tiocsti = 0x5412;
    return seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                            SCMP_A1(SCMP_CMP_MASKED_EQ, low_half, tiocsti)) == 0;
}

static bool add_rules(scmp_filter_ctx context, bool network) {
    bool done = deny_namespaces(context) && deny_typing(context);
    for (size_t i = 0; done && i < sizeof(denied) / sizeof(denied[0]); i++) {
        done = deny(context, denied[i], EPERM);
    }
    for (size_t i = 0; done && i < sizeof(absent) / sizeof(absent[0]); i++) {
        done = deny(context, absent[i], ENOSYS);
    }
    return done && (network || deny(context, SCMP_SYS(socket), EACCES));
}

static enum jq_err take_program(scmp_filter_ctx context, struct sock_fprog *filter, struct jq_error *reterr) {
    const size_t size_max = FILTER_LENGTH_MAX * sizeof(struct sock_filter);
    const int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0) {
        return jq_fail_errno(reterr, errno, "sandbox: filter");
    }
    const int rc = seccomp_export_bpf(context, fd);
    filter->filter = malloc(size_max);
    const ssize_t size = rc == 0 && filter->filter != NULL ? pread(fd, filter->filter, size_max, 0) : -1;
    (void)close(fd);
    if (size <= 0 || size == (ssize_t)size_max) {
        return jq_fail(reterr, JQ_ERR_UNSUPPORTED, "sandbox: libseccomp gives no filter (%d)", rc);
    }
    filter->len = (unsigned short)((size_t)size / sizeof(struct sock_filter));
    return JQ_OK;
}

enum jq_err jq_sandbox_filter_make(bool network, struct sock_fprog **ret_filter, struct jq_error *reterr) {
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
    struct sock_fprog *filter = calloc(1, sizeof(*filter));
    enum jq_err err = JQ_OK;
    if (context == NULL || filter == NULL) {
        err = jq_fail(reterr, JQ_ERR_NOMEM, "sandbox: filter");
    } else if (seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0 || !add_rules(context, network)) {
        err = jq_fail(reterr, JQ_ERR_UNSUPPORTED, "sandbox: libseccomp refuses a rule");
    } else {
        err = take_program(context, filter, reterr);
    }
    if (context != NULL) {
        seccomp_release(context);
    }
    if (err != JQ_OK) {
        jq_sandbox_filter_free(filter);
        return err;
    }
    *ret_filter = filter;
    return JQ_OK;
}

void jq_sandbox_filter_free(struct sock_fprog *filter) {
    if (filter != NULL) {
        free(filter->filter);
        free(filter);
    }
}
