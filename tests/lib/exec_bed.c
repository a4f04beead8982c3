#define _GNU_SOURCE
#include "tests/lib/exec_bed.h"

#include "common/clock.h"
#include "worker/exec/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS_MAX = 90000, STEP_MS = 20, END_MS_MAX = 20000 };

int exec_bed_fd_count(void) {
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    int count = -1; /* the directory itself */
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    (void)closedir(dir);
    return count;
}

static struct exec_bed make(const char *cgroup_root, bool sandbox) {
    struct exec_bed bed = {.dir = "/tmp/jqmesh-test-XXXXXX", .fd_count = exec_bed_fd_count()};
    assert_non_null(mkdtemp(bed.dir));
    const struct jq_exec_config config = {
        .name = bed.dir + sizeof("/tmp/jqmesh-") - 1,
        .state_dir = bed.dir,
        .cgroup_root = cgroup_root,
        .child_count_max = 8,
        .sandbox = sandbox,
    };
    char name[32];
    (void)snprintf(name, sizeof(name), "test-%d", (int)getpid());
    struct jq_exec_config named = config;
    named.name = name;
    struct jq_error error;
    if (jq_exec_host_new(&named, &bed.host, &error) != JQ_OK) {
        fail_msg("%s", error.message);
    }
    return bed;
}

struct exec_bed exec_bed_make(const char *cgroup_root) {
    return make(cgroup_root, false);
}

struct exec_bed exec_bed_make_confined(const char *cgroup_root) {
    return make(cgroup_root, true);
}

static int entries_in(const char *dir_name, const char *name) {
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", dir_name, name);
    DIR *dir = opendir(path);
    int count = 0;
    for (const struct dirent *entry = dir != NULL ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir)) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return count;
}

/* Children of this process, zombies included: orphans of tasks that have not been reaped. */
static bool has_children(void) {
    char path[64];
    char text[64] = "";
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "r");
    const bool any = file != NULL && fgets(text, sizeof(text), file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    return any;
}

void exec_bed_remove(struct exec_bed *bed) {
    for (int64_t start_ms = jq_clock_boot_ms(); has_children() && jq_clock_boot_ms() - start_ms < WAIT_MS_MAX;) {
        exec_bed_serve(bed, STEP_MS);
    }
    assert_false(has_children());
    assert_int_equal(jq_exec_host_count(bed->host), 0);
    assert_int_equal(entries_in(jq_exec_host_work_path(bed->host), "."), 0);
    jq_exec_host_free(bed->host);
    assert_int_equal(entries_in(bed->dir, "children"), 0);
    assert_int_equal(exec_bed_fd_count(), bed->fd_count);
    assert_true(jq_workdir_remove(AT_FDCWD, bed->dir));
}

static int64_t now_of(const struct exec_bed *bed) {
    return jq_clock_boot_ms() + bed->ahead_ms;
}

void exec_bed_serve(struct exec_bed *bed, int wait_ms) {
    const int64_t due_ms = jq_exec_host_deadline_ms(bed->host);
    const int64_t left_ms = due_ms - now_of(bed);
    struct pollfd fd = {.fd = jq_exec_host_fd(bed->host), .events = POLLIN};
    (void)poll(&fd, 1, left_ms < wait_ms ? (left_ms > 0 ? (int)left_ms : 0) : wait_ms);
    jq_exec_host_run(bed->host, now_of(bed));
}

struct jq_exec_child *exec_bed_wait(struct exec_bed *bed) {
    const int64_t start_ms = jq_clock_boot_ms();
    struct jq_exec_child *done = jq_exec_host_next_done(bed->host);
    while (done == NULL) {
        if (jq_clock_boot_ms() - start_ms > WAIT_MS_MAX) {
            fail_msg("no child was done within %d ms", WAIT_MS_MAX);
        }
        exec_bed_serve(bed, WAIT_MS_MAX);
        done = jq_exec_host_next_done(bed->host);
    }
    return done;
}

void exec_bed_wait_for_file(struct exec_bed *bed, const char *name) {
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", bed->dir, name);
    const int64_t start_ms = jq_clock_boot_ms();
    while (access(path, F_OK) != 0) {
        if (jq_clock_boot_ms() - start_ms > WAIT_MS_MAX) {
            fail_msg("%s did not appear within %d ms", name, WAIT_MS_MAX);
        }
        exec_bed_serve(bed, STEP_MS);
    }
}

void exec_bed_wait_for_start(struct exec_bed *bed, const struct jq_exec_child *child) {
    const int64_t start_ms = jq_clock_boot_ms();
    while (jq_exec_child_pid(child) == 0) {
        if (jq_clock_boot_ms() - start_ms > WAIT_MS_MAX) {
            fail_msg("the child did not start within %d ms", WAIT_MS_MAX);
        }
        exec_bed_serve(bed, STEP_MS);
    }
}

struct jq_exec_child *exec_bed_start(struct exec_bed *bed, struct jq_exec_spec *spec, const char *script) {
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    char variable[80];
    (void)snprintf(variable, sizeof(variable), "BED=%s", bed->dir);
    const char *const env[] = {variable, NULL};
    struct jq_exec_spec filled = *spec;
    filled.task.value = spec->task.value != 0 ? spec->task.value : 17;
    filled.attempt = spec->attempt != 0 ? spec->attempt : 1;
    filled.argv = spec->argv != NULL ? spec->argv : argv;
    filled.env = spec->env != NULL ? spec->env : env;
    struct jq_exec_child *child = NULL;
    struct jq_error error;
    if (jq_exec_start(bed->host, &filled, now_of(bed), &child, &error) != JQ_OK) {
        fail_msg("%s", error.message);
    }
    return child;
}

struct jq_exec_child *exec_bed_run(struct exec_bed *bed, struct jq_exec_spec *spec, const char *script) {
    struct jq_exec_child *started = exec_bed_start(bed, spec, script);
    struct jq_exec_child *done = exec_bed_wait(bed);
    assert_ptr_equal(started, done);
    return done;
}

int exec_bed_read_number(const struct exec_bed *bed, const char *name) {
    char path[128];
    char text[32] = "";
    (void)snprintf(path, sizeof(path), "%s/%s", bed->dir, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    (void)fclose(file);
    return (int)strtol(text, NULL, 10);
}

bool exec_bed_ends(int pid) {
    const int pidfd = (int)syscall(SYS_pidfd_open, pid, 0U);
    if (pidfd < 0) {
        assert_int_equal(errno, ESRCH);
        return true;
    }
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    const bool ended = poll(&end, 1, END_MS_MAX) > 0;
    (void)close(pidfd);
    return ended;
}
