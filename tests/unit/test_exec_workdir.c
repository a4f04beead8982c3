/* Work dirs that serve one task after another: only those that the one before left as they were made. */
#define _GNU_SOURCE
#include "tests/lib/exec_bed.h"
#include "worker/exec/workdir_slot.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

struct place {
    struct jq_workdir_slots slots;
    char path[64];
    int fd, fd_count;
};

static const struct jq_workdir_owner ours = {.other = false};

static int set_up(void **state) {
    static struct place place;
    place = (struct place){.path = "/var/tmp/jq-test-workdir-XXXXXX", .fd_count = exec_bed_fd_count()};
    assert_non_null(mkdtemp(place.path));
    place.fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(place.fd >= 0);
    *state = &place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    jq_workdir_slots_fini(&place->slots, place->fd);
    assert_int_equal(close(place->fd), 0);
    assert_int_equal(exec_bed_fd_count(), place->fd_count);
    return rmdir(place->path); /* nothing stayed */
}

static struct jq_workdir take(struct place *place, const char *name, const struct jq_workdir_owner *owner) {
    struct stat by_name, by_fd;
    struct jq_workdir dir;
    assert_int_equal(jq_workdir_slots_take(&place->slots, place->fd, name, owner, &dir, NULL), JQ_OK);
    assert_int_equal(fstatat(place->fd, name, &by_name, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(fstat(dir.fd, &by_fd), 0);
    assert_true(by_name.st_ino == by_fd.st_ino && S_ISDIR(by_fd.st_mode) && (by_fd.st_mode & 07777) == 0700);
    return dir;
}

static void make_file(int dir_fd, const char *name) {
    const int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && close(fd) == 0);
}

/* What a task may have done to it. False: this file system cannot. */
static bool leaves_a_file(int fd) {
    make_file(fd, "left");
    return true;
}
static bool hides_a_file(int fd) {
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    const struct timespec times[] = {status.st_atim, status.st_mtim};
    make_file(fd, ".left");
    return futimens(fd, times) == 0;
}
static bool leaves_a_folder(int fd) {
    return mkdirat(fd, "left", 0700) == 0;
}
static bool had_a_file(int fd) {
    make_file(fd, "gone");
    return unlinkat(fd, "gone", 0) == 0;
}
static bool changes_its_mode(int fd) {
    return fchmod(fd, 0777) == 0;
}
static bool gives_it_away(int fd) {
    return geteuid() == 0 && fchown(fd, NOBODY, (gid_t)-1) == 0;
}
static bool gives_its_group_away(int fd) {
    return geteuid() == 0 && fchown(fd, (uid_t)-1, NOBODY) == 0;
}
static bool sets_its_time(int fd) {
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
    return futimens(fd, times) == 0;
}
static bool gives_it_an_attribute(int fd) {
    return fsetxattr(fd, "user.left", "x", 1, 0) == 0;
}
static bool gives_it_a_flag(int fd) {
    int flags = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) {
        return false;
    }
    flags |= FS_DIRSYNC_FL;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

/* Left as it was made it is the next task's, under that one's name. Whatever the task did to it, it is not. */
static void only_one_as_good_as_new_serves_again(void **state) {
    static bool (*const deeds[])(int fd) = {
        leaves_a_file,        hides_a_file,  leaves_a_folder,       had_a_file,      changes_its_mode, gives_it_away,
        gives_its_group_away, sets_its_time, gives_it_an_attribute, gives_it_a_flag,
    };
    struct place *place = *state;
    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
        struct jq_workdir first = take(place, "17.1", &ours);
        const ino_t number = first.seal.status.st_ino;
        assert_true(jq_workdir_slots_give(&place->slots, place->fd, "17.1", &first));
        assert_int_equal(first.fd, -1);
        assert_int_equal(faccessat(place->fd, "17.1", F_OK, 0), -1);
        struct jq_workdir second = take(place, "18.1", &ours);
        assert_true(second.seal.status.st_ino == number);
        if (!deeds[i](second.fd)) {
            print_message("deed %zu passed over: not to be done here\n", i);
        } else {
            assert_false(jq_workdir_slots_give(&place->slots, place->fd, "18.1", &second));
            assert_true(second.fd >= 0);
        }
        assert_int_equal(close(second.fd), 0);
        assert_true(jq_workdir_remove(place->fd, "18.1"));
    }
}

/* One at a time, and each its own user's. */
static void an_idle_one_goes_to_one_task_of_its_user(void **state) {
    struct place *place = *state;
    const struct jq_workdir_owner nobody = {.other = true, .uid = NOBODY, .gid = NOBODY};
    struct jq_workdir first = take(place, "17.1", &ours);
    const ino_t number = first.seal.status.st_ino;
    assert_true(jq_workdir_slots_give(&place->slots, place->fd, "17.1", &first));
    if (geteuid() == 0) {
        struct jq_workdir other = take(place, "18.1", &nobody);
        assert_true(other.seal.status.st_ino != number && other.seal.status.st_uid == NOBODY);
        assert_true(jq_workdir_slots_give(&place->slots, place->fd, "18.1", &other));
    }
    struct jq_workdir second = take(place, "19.1", &ours), third = take(place, "20.1", &ours);
    assert_true(second.seal.status.st_ino == number && third.seal.status.st_ino != number);
    assert_true(jq_workdir_slots_give(&place->slots, place->fd, "19.1", &second));
    assert_true(jq_workdir_slots_give(&place->slots, place->fd, "20.1", &third));
}

/* What stands in the way of the name is removed, as for a new one; an idle one that somebody removed is made anew. */
static void names_in_the_way_and_idle_ones_gone_do_no_harm(void **state) {
    struct place *place = *state;
    struct jq_workdir first = take(place, "17.1", &ours);
    assert_true(jq_workdir_slots_give(&place->slots, place->fd, "17.1", &first));
    assert_int_equal(mkdirat(place->fd, "17.2", 0700), 0);
    struct jq_workdir second = take(place, "17.2", &ours);
    leaves_a_file(second.fd);
    assert_false(jq_workdir_slots_give(&place->slots, place->fd, "17.2", &second));
    assert_int_equal(close(second.fd), 0);
    assert_true(jq_workdir_clear(place->fd));
    struct jq_workdir third = take(place, "17.3", &ours);
    assert_true(jq_workdir_slots_give(&place->slots, place->fd, "17.3", &third));
    assert_int_equal(place->slots.idle_count, 1);
}

/* No more of them lie idle than there is room for. */
static void idle_ones_are_bounded(void **state) {
    enum { MANY = JQ_WORKDIR_IDLE_COUNT_MAX + 3 };
    struct place *place = *state;
    struct jq_workdir dirs[MANY];
    char name[16];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "%d.1", i);
        dirs[i] = take(place, name, &ours);
    }
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "%d.1", i);
        assert_true(jq_workdir_slots_give(&place->slots, place->fd, name, &dirs[i]));
    }
    assert_int_equal(place->slots.idle_count, JQ_WORKDIR_IDLE_COUNT_MAX);
}

/* ---- tasks ---- */

static unsigned long run_in(struct exec_bed *bed, jq_task_id task, const char *script) {
    char text[256];
    struct jq_exec_spec spec = {
        .task = task, .attempt = 1, .switch_user = geteuid() == 0, .uid = NOBODY, .gid = NOBODY};
    (void)snprintf(text, sizeof(text), "stat -c %%i . && test \"$(pwd)\" = \"$JQ_WORK_DIR\" && %s", script);
    struct jq_exec_child *child = exec_bed_run(bed, &spec, text);
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_SUCCESS);
    assert_true(outcome->result.size > 0 && outcome->result.size < sizeof(text));
    memcpy(text, outcome->result.data, outcome->result.size);
    text[outcome->result.size] = '\0';
    jq_exec_child_free(child);
    return strtoul(text, NULL, 10);
}

static jq_task_id task_of(uint64_t value) {
    return (jq_task_id){value};
}

static int count_in(const char *path) {
    DIR *dir = opendir(path);
    int count = 0;
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 ? 1 : 0;
    }
    (void)closedir(dir);
    return count;
}

static bool has_landlock(const struct exec_bed *bed) {
    struct jq_exec_feature features[JQ_EXEC_FEATURE_COUNT_MAX];
    const size_t count = jq_exec_host_describe(bed->host, features);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(features[i].name, "landlock") == 0) {
            return features[i].in_force;
        }
    }
    return false;
}

/* In the sandbox a task that wrote nothing leaves its work dir to the next one, which can write there; one that wrote does not. */
static void tasks_in_the_sandbox_have_them_in_turn(void **state) {
    (void)state;
    struct exec_bed bed = exec_bed_make_confined(NULL);
    assert_int_equal(chmod(bed.dir, 0755), 0);
    if (has_landlock(&bed)) {
        const unsigned long first = run_in(&bed, task_of(1), "true");
        assert_int_equal(count_in(jq_exec_host_work_path(bed.host)), 1);
        assert_int_equal(run_in(&bed, task_of(2), "echo x > file && cat file > /dev/null"), first);
        assert_int_equal(count_in(jq_exec_host_work_path(bed.host)), 0);
        const unsigned long third = run_in(&bed, task_of(3), "test -z \"$(ls -A)\"");
        assert_int_equal(run_in(&bed, task_of(4), "true"), third);
    }
    exec_bed_remove(&bed);
}

/* One that is given up while it runs may still have a process in its own. */
static void none_serves_again_before_its_task_is_done(void **state) {
    (void)state;
    struct exec_bed bed = exec_bed_make_confined(NULL);
    struct jq_exec_spec spec = {.task = {1}, .attempt = 1};
    struct jq_exec_child *child = exec_bed_start(&bed, &spec, "exec sleep 60");
    assert_int_equal(count_in(jq_exec_host_work_path(bed.host)), 1);
    const pid_t pid = jq_exec_child_pid(child);
    jq_exec_child_free(child);
    assert_int_equal(count_in(jq_exec_host_work_path(bed.host)), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid); /* it was killed without waiting */
    exec_bed_remove(&bed);
}

/* A task that no sandbox holds may have left a way into its own with anybody. */
static void without_a_sandbox_none_serves_again(void **state) {
    (void)state;
    struct exec_bed bed = exec_bed_make(NULL);
    assert_int_equal(chmod(bed.dir, 0755), 0);
    (void)run_in(&bed, task_of(1), "true");
    assert_int_equal(count_in(jq_exec_host_work_path(bed.host)), 0);
    exec_bed_remove(&bed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_one_as_good_as_new_serves_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_idle_one_goes_to_one_task_of_its_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_in_the_way_and_idle_ones_gone_do_no_harm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(idle_ones_are_bounded, set_up, tear_down),
        cmocka_unit_test(tasks_in_the_sandbox_have_them_in_turn),
        cmocka_unit_test(none_serves_again_before_its_task_is_done),
        cmocka_unit_test(without_a_sandbox_none_serves_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
