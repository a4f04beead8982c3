/* courier_store.c - outputs of a task that has succeeded, put into the broker's store. */
#include "worker/shell/courier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/libjq/blob.h"

static bool is_of(const char *file, const char *name) {
    const size_t size = strlen(name);
    return strncmp(file, name, size) == 0 && (file[size] == '\0' || file[size] == '.');
}

/* The file that an output's name means: one of that name, with any extension or none; where only one output is asked for and only one
 * file is there, that. */
static bool find_output(DIR *dir, const char *name, bool only, char ret_file[256]) {
    size_t named = 0, others = 0;
    char other[256] = "";
    rewinddir(dir);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (strcmp(entry->d_name, name) == 0) {
            (void)snprintf(ret_file, 256, "%s", name);
            return true;
        }
        (void)snprintf(is_of(entry->d_name, name) ? ret_file : other, 256, "%s", entry->d_name);
        *(is_of(entry->d_name, name) ? &named : &others) += 1;
    }
    if (named == 0 && only && others == 1) {
        memcpy(ret_file, other, sizeof(other));
        return true;
    }
    return named == 1;
}

/* What lies there is the task's doing: no link is followed, and nothing that is not its own is sent. */
static int open_output(const struct jq_courier *courier, DIR *dir, const char *file) {
    struct stat status;
    const int fd = openat(dirfd(dir), file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1 &&
        (!courier->switch_user || status.st_uid == courier->uid)) {
        return fd;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return -1;
}

struct store {
    const struct jq_courier_hand *hand;
    uint64_t stored_bytes; /* of the files before this one */
    bool over;
};

/* A file may still grow: somebody else may hold it open. */
static enum jq_err look(void *ctx, uint64_t size_bytes, struct jq_error *reterr) {
    struct store *store = ctx;
    const uint64_t most = store->hand->files->output_bytes_max;
    store->over = size_bytes > most || store->stored_bytes > most - size_bytes;
    return store->over
               ? jq_fail(reterr, JQ_ERR_DENIED, "the task's outputs are larger than output_files_max, %llu bytes",
                         (unsigned long long)most)
               : jq_courier_wanted(store->hand, reterr);
}

static enum jq_err judge(const struct store *store, enum jq_err err, const char *name, const struct jq_error *why,
                         struct jq_error *reterr) {
    const bool own = err == JQ_ERR_NO_SPACE || err == JQ_ERR_CANCELED || store->over;
    return jq_fail(reterr, own ? err : JQ_ERR_UNAVAILABLE, "output %s: %s", name, why->message);
}

static enum jq_err store_one(struct store *store, DIR *dir, size_t i, struct jq_error *reterr) {
    char file[256] = "", path[64];
    struct jq_error why = {0};
    struct stat status = {.st_size = 0};
    struct jq_files *files = store->hand->files;
    const char *name = files->output_names[i];
    if (!find_output(dir, name, files->output_count == 1, file)) {
        return jq_fail(reterr, JQ_ERR_NOT_FOUND, "output %s: the handler made no file of that name, or several", name);
    }
    const int fd = open_output(store->hand->courier, dir, file);
    if (fd < 0) {
        return jq_fail(reterr, JQ_ERR_DENIED, "output %s: %s is no plain file of the task's own", name, file);
    }
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct jq_named_blob *made = &files->made[files->made_count];
    const struct jq_blob_watch watch = {.look = look, .ctx = store};
    const enum jq_err err = jq_blob_put_watched(store->hand->client, path, &watch, &made->blob, &why);
    (void)fstat(fd, &status);
    (void)close(fd);
    if (err != JQ_OK) {
        return judge(store, err, name, &why, reterr);
    }
    store->stored_bytes += (uint64_t)status.st_size;
    made->name = name;
    files->made_count++;
    return JQ_OK;
}

enum jq_err jq_courier_store(struct jq_courier_hand *hand, struct jq_error *reterr) {
    struct jq_files *files = hand->files;
    struct store store = {.hand = hand};
    DIR *dir = opendir(files->output);
    if (!dir) {
        return jq_fail_errno(reterr, errno, "%.160s", files->output);
    }
    enum jq_err err = JQ_OK;
    for (size_t i = 0; i < files->output_count && err == JQ_OK; i++) {
        err = store_one(&store, dir, i, reterr);
    }
    (void)closedir(dir);
    return err;
}
