/* The disk of the operating system: what it does, and that each refusal comes back as an error that names the file and says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/journal/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    char path[JQ_DISK_PATH_SIZE_MAX];
    const struct jq_disk *disk;
    struct jq_error error;
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/jqtest-XXXXXX");
    fixture->disk = jq_disk_posix();
    *state = fixture;
    return mkdtemp(fixture->dir) != NULL ? 0 : -1;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    static const char *const names[] = {"file", "other", "link", "lock", "folder"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)jq_disk_path(fixture->path, fixture->dir, names[i], NULL);
        (void)remove(fixture->path);
    }
    const bool empty = rmdir(fixture->dir) == 0;
    free(fixture);
    return empty ? 0 : -1;
}

static const char *path_of(struct fixture *fixture, const char *name) {
    assert_int_equal(jq_disk_path(fixture->path, fixture->dir, name, NULL), JQ_OK);
    return fixture->path;
}

static struct jq_file *opened(struct fixture *fixture, const char *path, enum jq_disk_mode mode) {
    struct jq_file *file = NULL;
    assert_int_equal(fixture->disk->open(NULL, path, mode, &file, &fixture->error), JQ_OK);
    return file;
}

static void make_file(struct fixture *fixture, const char *name, const char *text) {
    struct jq_file *file = opened(fixture, path_of(fixture, name), JQ_DISK_CREATE);
    assert_int_equal(fixture->disk->write(NULL, file, text, strlen(text), 0, NULL), JQ_OK);
    assert_int_equal(fixture->disk->sync(NULL, file, NULL), JQ_OK);
    fixture->disk->close(NULL, file);
}

static void expect_io_error(const struct fixture *fixture, enum jq_err err, int sys_errno, const char *words) {
    assert_int_equal(err, fixture->error.code);
    assert_int_not_equal(err, JQ_OK);
    assert_int_equal(fixture->error.sys_errno, sys_errno);
    if (!strstr(fixture->error.message, words)) {
        fail_msg("'%s' does not say '%s'", fixture->error.message, words);
    }
}

/* What was written is read back; a read beyond the end is short; a file has the size that was allocated. */
static void files_are_written_and_read(void **state) {
    struct fixture *fixture = *state;
    char data[16] = {0};
    size_t size = 99;
    uint64_t bytes = 0;
    make_file(fixture, "file", "0123456789");
    struct jq_file *file = opened(fixture, path_of(fixture, "file"), JQ_DISK_WRITE);
    assert_int_equal(fixture->disk->read(NULL, file, data, sizeof(data), 6, &size, NULL), JQ_OK);
    assert_int_equal(size, 4);
    assert_memory_equal(data, "6789", 4);
    assert_int_equal(fixture->disk->allocate(NULL, file, 8192, NULL), JQ_OK);
    assert_int_equal(fixture->disk->size(NULL, file, &bytes, NULL), JQ_OK);
    assert_int_equal(bytes, 8192);
    fixture->disk->close(NULL, file);
    fixture->disk->close(NULL, NULL);
    assert_int_equal(fixture->disk->free_space(NULL, fixture->dir, &bytes, NULL), JQ_OK);
    assert_true(bytes > 0);
}

/* A file that is missing, a link in its place, a folder, a disk that is full: each error has its errno, and names the file. */
static void refusals_of_files_are_errors(void **state) {
    struct fixture *fixture = *state;
    const struct jq_disk *disk = fixture->disk;
    struct jq_file *file = NULL;
    char data[16] = {0};
    size_t size = 0;
    expect_io_error(fixture, disk->open(NULL, path_of(fixture, "none"), JQ_DISK_READ, &file, &fixture->error), ENOENT,
                    "none: open");
    assert_int_equal(symlink("/etc/passwd", path_of(fixture, "link")), 0);
    expect_io_error(fixture, disk->open(NULL, fixture->path, JQ_DISK_WRITE, &file, &fixture->error), ELOOP, "link");
    file = opened(fixture, fixture->dir, JQ_DISK_READ);
    expect_io_error(fixture, disk->read(NULL, file, data, sizeof(data), 7, &size, &fixture->error), EISDIR,
                    "read at offset 7");
    disk->close(NULL, file);
    make_file(fixture, "file", "x");
    file = opened(fixture, path_of(fixture, "file"), JQ_DISK_READ);
    expect_io_error(fixture, disk->write(NULL, file, data, 3, 5, &fixture->error), EBADF,
                    "file: write of 3 bytes at offset 5");
    expect_io_error(fixture, disk->allocate(NULL, file, 4096, &fixture->error), EBADF, "file: allocate 4096 bytes");
    disk->close(NULL, file);
    file = opened(fixture, "/dev/full", JQ_DISK_WRITE);
    expect_io_error(fixture, disk->write(NULL, file, data, 3, 0, &fixture->error), ENOSPC, "full: write");
    expect_io_error(fixture, disk->sync(NULL, file, &fixture->error), EINVAL, "full: fdatasync");
    disk->close(NULL, file);
}

/* Folders: what cannot be listed, synced, renamed, unlinked, measured or made says so. */
static void refusals_of_folders_are_errors(void **state) {
    struct fixture *fixture = *state;
    const struct jq_disk *disk = fixture->disk;
    struct jq_error *error = &fixture->error;
    uint64_t bytes = 0;
    const char *none = path_of(fixture, "none");
    expect_io_error(fixture, disk->unlink(NULL, none, error), ENOENT, "none: unlink");
    expect_io_error(fixture, disk->rename(NULL, none, none, error), ENOENT, "none: rename to none");
    expect_io_error(fixture, disk->list(NULL, none, NULL, NULL, error), ENOENT, "open folder");
    expect_io_error(fixture, disk->sync_dir(NULL, none, error), ENOENT, "open folder");
    expect_io_error(fixture, disk->free_space(NULL, none, &bytes, error), ENOENT, "statvfs");
    make_file(fixture, "file", "x");
    expect_io_error(fixture, disk->make_dir(NULL, fixture->path, error), ENOTDIR, "file: make folder");
    expect_io_error(fixture, disk->make_dir(NULL, path_of(fixture, "none/deeper"), error), ENOENT, "make folder");
    static const char alone[] = "no-such-file-here"; /* a name in the folder of the process */
    assert_int_equal(disk->unlink(NULL, alone, error), JQ_ERR_NOT_FOUND);
    assert_non_null(strstr(error->message, alone));
}

/* A folder is made once, and is there the second time; its parent is brought to the disk, also where it is that of the process. */
static void folders_are_made_where_they_are_missing(void **state) {
    struct fixture *fixture = *state;
    const struct jq_disk *disk = fixture->disk;
    struct stat status;
    assert_int_equal(disk->make_dir(NULL, path_of(fixture, "folder"), NULL), JQ_OK);
    assert_int_equal(disk->make_dir(NULL, fixture->path, NULL), JQ_OK);
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(rmdir(fixture->path), 0);
    const int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(before >= 0);
    assert_int_equal(chdir(fixture->dir), 0);
    const enum jq_err err = disk->make_dir(NULL, "folder", NULL);
    assert_int_equal(fchdir(before), 0);
    close(before);
    assert_int_equal(err, JQ_OK);
    assert_int_equal(stat(fixture->path, &status), 0);
}

static enum jq_err stop_at_first(void *ctx, const char *name) {
    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    ++*(int *)ctx;
    return JQ_ERR_TOO_BIG;
}

/* A listing ends with the first name that its reader refuses, and says what the reader said. */
static void listing_ends_with_its_reader(void **state) {
    struct fixture *fixture = *state;
    int names = 0;
    make_file(fixture, "file", "x");
    make_file(fixture, "other", "x");
    assert_int_equal(fixture->disk->list(NULL, fixture->dir, stop_at_first, &names, NULL), JQ_ERR_TOO_BIG);
    assert_int_equal(names, 1);
}

/* Paths that are longer than there is room for are refused, not cut. */
static void long_paths_are_refused(void **state) {
    struct fixture *fixture = *state;
    char name[JQ_DISK_PATH_SIZE_MAX + 1], path[JQ_DISK_PATH_SIZE_MAX];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(jq_disk_path(path, fixture->dir, name, &fixture->error), JQ_ERR_INVALID);
    char deep[JQ_DISK_PATH_SIZE_MAX + 128];
    size_t size = (size_t)snprintf(deep, sizeof(deep), "%s", fixture->dir);
    while (size < JQ_DISK_PATH_SIZE_MAX) {
        size += (size_t)snprintf(deep + size, sizeof(deep) - size, "/.");
    }
    snprintf(deep + size, sizeof(deep) - size, "/folder");
    assert_int_equal(fixture->disk->make_dir(NULL, deep, &fixture->error), JQ_ERR_INVALID);
    assert_non_null(strstr(fixture->error.message, "too long"));
}

/* One process has the folder: whoever comes second is told by which, also where the first has not written who it is. */
static void lock_is_for_one(void **state) {
    struct fixture *fixture = *state;
    const struct jq_disk *disk = fixture->disk;
    struct jq_file *first = NULL, *second = NULL;
    char words[160];
    const char *path = path_of(fixture, "lock");
    assert_int_equal(disk->lock(NULL, path, &first, NULL), JQ_OK);
    assert_int_equal(disk->lock(NULL, path, &second, &fixture->error), JQ_ERR_LOCKED);
    snprintf(words, sizeof(words), "%s is owned by a running broker (pid %ld)", fixture->dir, (long)getpid());
    assert_non_null(strstr(fixture->error.message, words));
    disk->close(NULL, first);
    const int fd = open(path, O_RDWR | O_CLOEXEC | O_TRUNC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(disk->lock(NULL, path, &second, &fixture->error), JQ_ERR_LOCKED);
    assert_non_null(strstr(fixture->error.message, "(pid 0)"));
    assert_int_equal(pwrite(fd, "-3\n", 3, 0), 3);
    assert_int_equal(disk->lock(NULL, path, &second, &fixture->error), JQ_ERR_LOCKED);
    assert_non_null(strstr(fixture->error.message, "(pid 0)"));
    close(fd);
}

/* A lock that cannot be made, or not be written to, is an error. */
static void refusals_of_the_lock_are_errors(void **state) {
    struct fixture *fixture = *state;
    struct jq_file *lock = NULL;
    expect_io_error(fixture, fixture->disk->lock(NULL, path_of(fixture, "none/lock"), &lock, &fixture->error), ENOENT,
                    "none/lock: open");
    expect_io_error(fixture, fixture->disk->lock(NULL, "/dev/full", &lock, &fixture->error), EINVAL, "write the pid");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_written_and_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_of_files_are_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_of_folders_are_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_are_made_where_they_are_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(listing_ends_with_its_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_paths_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lock_is_for_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_of_the_lock_are_errors, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
