/* Rules of the sandbox that serve one task after another: none reaches more by them than by rules of its own. */
#define _GNU_SOURCE
#include "tests/lib/exec_bed.h"
#include "worker/exec/sandbox.h"
#include "worker/exec/workdir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A folder with the work dirs of tasks. */
struct place {
    struct jq_sandbox *sandbox;
    char dir[64];
    int dir_fd;
    int fd_count;
};

static int set_up(void **state) {
    static struct place place;
    place = (struct place){.dir = "/tmp/jq-test-rules-XXXXXX", .fd_count = exec_bed_fd_count()};
    assert_non_null(mkdtemp(place.dir));
    place.dir_fd = open(place.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(place.dir_fd >= 0);
    assert_int_equal(jq_sandbox_new(NULL, &place.sandbox, NULL), JQ_OK);
    *state = &place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    jq_sandbox_free(place->sandbox);
    assert_int_equal(close(place->dir_fd), 0);
    assert_int_equal(exec_bed_fd_count(), place->fd_count);
    assert_true(jq_workdir_remove(AT_FDCWD, place->dir));
    return 0;
}

static void needs_landlock(const struct place *place) {
    if (jq_sandbox_landlock_abi(place->sandbox) == 0) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
}

static void write_file(const struct place *place, const char *name) {
    const int fd = openat(place->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
}

static int make_dir(const struct place *place, const char *name) {
    assert_int_equal(mkdirat(place->dir_fd, name, 0700), 0);
    const int fd = openat(place->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Rules for a task whose work dir is `name`, a new one. */
static struct jq_sandbox_rules *take(const struct place *place, const char *name, const struct jq_sandbox_paths *paths,
                                     bool network) {
    struct jq_sandbox_rules *rules = NULL;
    const int work_fd = make_dir(place, name);
    assert_int_equal(jq_sandbox_rules_take(place->sandbox, work_fd, paths, NULL, network, true, &rules, NULL), JQ_OK);
    assert_int_equal(close(work_fd), 0);
    assert_non_null(rules);
    return rules;
}

static void end(const struct place *place, struct jq_sandbox_rules *rules, const char *name) {
    assert_true(jq_workdir_remove(place->dir_fd, name));
    jq_sandbox_rules_give(place->sandbox, rules);
}

/* Whether a process that has entered the rules can read that file, or make one there. */
static bool can_open(const struct place *place, const struct jq_sandbox_rules *rules, const char *name, int flags) {
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const bool entered = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                             syscall(SYS_landlock_restrict_self, jq_sandbox_rules_fd(rules), 0) == 0;
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", place->dir, name);
        _exit(!entered ? 2 : open(path, flags | O_CLOEXEC, 0644) >= 0 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 2);
    return WEXITSTATUS(status) == 0;
}

/* One after the other: the second gets the first one's rules, and reaches its own work dir. Two at a time never share them. Not for ever:
 * they hold on to what is gone. */
static void rules_serve_one_task_after_another(void **state) {
    const struct place *place = *state;
    needs_landlock(place);
    for (unsigned i = 0; i < 2 * JQ_SANDBOX_RULES_DIRS_MAX; i++) {
        struct jq_sandbox_rules *rules = take(place, "work", NULL, false);
        assert_int_equal(jq_sandbox_rules_uses(rules), i % JQ_SANDBOX_RULES_DIRS_MAX + 1);
        assert_true(can_open(place, rules, "work/new", O_WRONLY | O_CREAT));
        if (i == 5) {
            struct jq_sandbox_rules *beside = take(place, "beside", NULL, false);
            assert_int_equal(jq_sandbox_rules_uses(beside), 1);
            assert_false(can_open(place, beside, "work/new", O_RDONLY));
            assert_true(jq_workdir_remove(place->dir_fd, "beside"));
            close(jq_sandbox_rules_steal(beside));
        }
        end(place, rules, "work");
    }
}

/* A work dir that could not be removed, or was set aside under another name to be removed later, is out of the next task's reach. */
static void what_a_task_left_is_out_of_the_next_ones_reach(void **state) {
    const struct place *place = *state;
    needs_landlock(place);
    struct jq_sandbox_rules *first = take(place, "first", NULL, false);
    write_file(place, "first/left");
    assert_true(can_open(place, first, "first/left", O_RDONLY));
    jq_sandbox_rules_give(place->sandbox, first);
    struct jq_sandbox_rules *second = take(place, "second", NULL, false);
    write_file(place, "second/left");
    assert_false(can_open(place, second, "first/left", O_RDONLY));
    assert_int_equal(renameat(place->dir_fd, "second", place->dir_fd, ".gone.1"), 0);
    jq_sandbox_rules_give(place->sandbox, second);
    struct jq_sandbox_rules *third = take(place, "third", NULL, false);
    assert_int_equal(jq_sandbox_rules_uses(third), 1);
    assert_false(can_open(place, third, "first/left", O_RDONLY));
    assert_false(can_open(place, third, ".gone.1/left", O_RDONLY));
    assert_true(can_open(place, third, "third/new", O_WRONLY | O_CREAT));
    end(place, third, "third");
    /* Another folder under an old name, when the rules have been used by somebody before. */
    struct jq_sandbox_rules *fourth = take(place, "fourth", NULL, false);
    assert_int_equal(jq_sandbox_rules_uses(fourth), 2);
    assert_int_equal(close(make_dir(place, "third")), 0);
    write_file(place, "third/other");
    assert_false(can_open(place, fourth, "third/other", O_RDONLY));
    end(place, fourth, "fourth");
}

/* Whoever has a work dir that served another task before has its rules, too; nobody else has rules that speak of one that is there. */
static void rules_go_with_a_work_dir_that_serves_again(void **state) {
    const struct place *place = *state;
    needs_landlock(place);
    struct jq_sandbox_rules *rules = NULL, *other = NULL;
    const int one = make_dir(place, "one"), two = make_dir(place, "two");
    for (unsigned i = 0; i < 2 * JQ_SANDBOX_RULES_DIRS_MAX; i++) {
        assert_int_equal(jq_sandbox_rules_take(place->sandbox, one, NULL, NULL, false, true, &rules, NULL), JQ_OK);
        assert_int_equal(jq_sandbox_rules_uses(rules), i + 1);
        jq_sandbox_rules_give(place->sandbox, rules);
    }
    assert_int_equal(jq_sandbox_rules_take(place->sandbox, two, NULL, NULL, false, true, &other, NULL), JQ_OK);
    assert_int_equal(jq_sandbox_rules_uses(other), 1);
    write_file(place, "one/file");
    assert_false(can_open(place, other, "one/file", O_RDONLY));
    assert_int_equal(jq_sandbox_rules_take(place->sandbox, one, NULL, NULL, false, true, &rules, NULL), JQ_OK);
    assert_int_equal(jq_sandbox_rules_uses(rules), 2 * JQ_SANDBOX_RULES_DIRS_MAX + 1);
    assert_true(can_open(place, rules, "one/file", O_RDONLY));
    assert_false(can_open(place, rules, "two/new", O_WRONLY | O_CREAT));
    assert_true(close(one) == 0 && close(two) == 0);
    end(place, rules, "one");
    end(place, other, "two");
}

/* Who may do something else gets other rules: other files, the same to change instead of to read, the network. */
static void other_rights_are_other_rules(void **state) {
    const struct place *place = *state;
    needs_landlock(place);
    write_file(place, "tool");
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/tool", place->dir);
    const char *const list[] = {path, NULL};
    const struct jq_sandbox_paths read = {.read = list}, write = {.write = list};
    end(place, take(place, "a", &write, false), "a");
    struct jq_sandbox_rules *reader = take(place, "b", &read, false);
    assert_int_equal(jq_sandbox_rules_uses(reader), 1);
    assert_true(can_open(place, reader, "tool", O_RDONLY));
    assert_false(can_open(place, reader, "tool", O_WRONLY));
    end(place, reader, "b");
    struct jq_sandbox_rules *nobody = take(place, "c", NULL, false);
    assert_int_equal(jq_sandbox_rules_uses(nobody), 1);
    assert_false(can_open(place, nobody, "tool", O_RDONLY));
    end(place, nobody, "c");
    struct jq_sandbox_rules *online = take(place, "d", &read, true);
    assert_int_equal(jq_sandbox_rules_uses(online), 1);
    end(place, online, "d");
    struct jq_sandbox_rules *again = take(place, "e", &write, false);
    assert_int_equal(jq_sandbox_rules_uses(again), 2);
    assert_true(can_open(place, again, "tool", O_WRONLY));
    end(place, again, "e");
}

/* A file that replaces the one that a handler names, or comes late, is the one that the next task reads. */
static void files_are_those_that_are_there_now(void **state) {
    const struct place *place = *state;
    needs_landlock(place);
    write_file(place, "tool");
    char tool[128], late[128];
    (void)snprintf(tool, sizeof(tool), "%s/tool", place->dir);
    (void)snprintf(late, sizeof(late), "%s/late", place->dir);
    const char *const list[] = {tool, late, NULL};
    const struct jq_sandbox_paths read = {.read = list};
    end(place, take(place, "a", &read, false), "a");
    write_file(place, "new");
    assert_int_equal(renameat(place->dir_fd, "new", place->dir_fd, "tool"), 0);
    struct jq_sandbox_rules *replaced = take(place, "b", &read, false);
    assert_int_equal(jq_sandbox_rules_uses(replaced), 1);
    assert_true(can_open(place, replaced, "tool", O_RDONLY));
    end(place, replaced, "b");
    write_file(place, "late");
    struct jq_sandbox_rules *later = take(place, "c", &read, false);
    assert_int_equal(jq_sandbox_rules_uses(later), 1);
    assert_true(can_open(place, later, "late", O_RDONLY));
    end(place, later, "c");
    assert_int_equal(unlinkat(place->dir_fd, "late", 0), 0);
    struct jq_sandbox_rules *without = take(place, "d", &read, false);
    assert_true(can_open(place, without, "tool", O_RDONLY));
    end(place, without, "d");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rules_serve_one_task_after_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_task_left_is_out_of_the_next_ones_reach, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rules_go_with_a_work_dir_that_serves_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_rights_are_other_rules, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_those_that_are_there_now, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
