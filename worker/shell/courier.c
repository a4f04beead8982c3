#define _GNU_SOURCE
#include "worker/shell/courier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/sha256.h"
#include "worker/exec/workdir.h"

enum { COPIED_AT_A_TIME = 256 * 1024 };

struct jq_courier {
    struct jq_client *client;
    char cache[WORKER_PATH_MAX];
    uint64_t cache_bytes_max;
    bool switch_user;
    uid_t uid;
    gid_t gid;

    pthread_mutex_t lock; /* of the rest, and of `under_way`, `done`, `abandoned` of jobs */
    pthread_cond_t changed;
    struct jq_files *first, **last;
    struct jq_link *link; /* NULL: closed */
};

/* ---- copying ---- */

static bool write_all(int fd, const uint8_t *data, size_t size) {
    while (size > 0) {
        const ssize_t count = write(fd, data, size);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        data += count > 0 ? count : 0;
        size -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

/* JQ_ERR_CORRUPT: it does not hold what its name says. */
static enum jq_err copy_checked(int from, int to, const struct jq_blob *blob, struct jq_error *reterr) {
    uint8_t *data = malloc(COPIED_AT_A_TIME);
    struct jq_sha256 sum;
    struct jq_blob found;
    ssize_t count = data ? 1 : 0;
    jq_sha256_init(&sum);
    while (count > 0) {
        count = read(from, data, COPIED_AT_A_TIME);
        if (count > 0) {
            jq_sha256_add(&sum, data, (size_t)count);
            count = write_all(to, data, (size_t)count) ? count : -1;
        }
    }
    const int failed = errno;
    const bool had_memory = data != NULL;
    free(data);
    if (count < 0 || !had_memory) {
        return jq_fail_errno(reterr, had_memory ? failed : ENOMEM, "copy of a blob");
    }
    jq_sha256_end(&sum, found.hash);
    return memcmp(found.hash, blob->hash, sizeof(found.hash)) == 0
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_CORRUPT, "the copy in the cache is damaged");
}

static enum jq_err copy_from_cache(const char *cached, const char *target, const struct jq_blob *blob,
                                   struct jq_error *reterr) {
    const int from = open(cached, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        return jq_fail_errno(reterr, errno, "%.160s", cached);
    }
    const int to = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const enum jq_err err =
        to >= 0 ? copy_checked(from, to, blob, reterr) : jq_fail_errno(reterr, errno, "%.160s", target);
    (void)futimens(from, NULL); /* used now: the last to go */
    (void)close(from);
    if (to >= 0) {
        (void)close(to);
    }
    if (err == JQ_ERR_CORRUPT) {
        (void)unlink(cached);
    }
    return err;
}

/* ---- the cache ---- */

/* The one that was not used for longest; false: there is none. Counts the bytes of all. */
static bool oldest_in_cache(const struct jq_courier *courier, char ret_name[256], uint64_t *ret_bytes) {
    DIR *dir = opendir(courier->cache);
    struct timespec oldest = {0};
    bool found = false;
    *ret_bytes = 0;
    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        struct stat status;
        if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        *ret_bytes += (uint64_t)status.st_size;
        if (!found || status.st_mtim.tv_sec < oldest.tv_sec ||
            (status.st_mtim.tv_sec == oldest.tv_sec && status.st_mtim.tv_nsec < oldest.tv_nsec)) {
            oldest = status.st_mtim;
            (void)snprintf(ret_name, 256, "%s", entry->d_name);
            found = true;
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return found;
}

static void trim_cache(const struct jq_courier *courier) {
    char name[256], path[WORKER_PATH_MAX + 260];
    uint64_t bytes = 0;
    while (oldest_in_cache(courier, name, &bytes) && bytes > courier->cache_bytes_max) {
        (void)snprintf(path, sizeof(path), "%s/%s", courier->cache, name);
        if (unlink(path) != 0) {
            return;
        }
    }
}

/* ---- fetching ---- */

/* In vain for good: nobody has it. Anything else may go better at another time. */
static enum jq_err judge(enum jq_err err, const char *kind, const char *name, const struct jq_error *why,
                         struct jq_error *reterr) {
    const bool for_good = err == JQ_ERR_NOT_FOUND || err == JQ_ERR_CORRUPT || err == JQ_ERR_INVALID;
    const bool full = err == JQ_ERR_NO_SPACE || err == JQ_ERR_NOMEM || err == JQ_ERR_IO;
    return jq_fail(reterr,
                   for_good ? JQ_ERR_INVALID
                   : full   ? err
                            : JQ_ERR_UNAVAILABLE,
                   "%s %s: %s", kind, name, why->message);
}

static enum jq_err fetch_blob(struct jq_courier *courier, const struct jq_blob *blob, const char *target,
                              struct jq_error *reterr) {
    char hex[JQ_BLOB_TEXT_SIZE], cached[WORKER_PATH_MAX + JQ_BLOB_TEXT_SIZE];
    if (courier->cache_bytes_max == 0) {
        return jq_blob_get_file(courier->client, blob, target, reterr);
    }
    (void)snprintf(cached, sizeof(cached), "%s/%s", courier->cache, jq_blob_format(blob, hex));
    enum jq_err err = copy_from_cache(cached, target, blob, reterr);
    if (err != JQ_ERR_NOT_FOUND && err != JQ_ERR_CORRUPT) {
        return err;
    }
    err = jq_blob_get_file(courier->client, blob, cached, reterr);
    err = err == JQ_OK ? copy_from_cache(cached, target, blob, reterr) : err;
    trim_cache(courier);
    return err;
}

static enum jq_err fetch_one(struct jq_courier *courier, struct jq_files *files, size_t i, struct jq_error *reterr) {
    char target[WORKER_PATH_MAX + JQ_NAME_SIZE_MAX + 2];
    struct jq_error why = {0};
    (void)snprintf(target, sizeof(target), "%s/%s", files->staged, files->input_names[i]);
    const enum jq_err err = fetch_blob(courier, &files->inputs[i], target, &why);
    if (err != JQ_OK) {
        return judge(err, "input", files->input_names[i], &why, reterr);
    }
    if (courier->switch_user && chown(target, courier->uid, courier->gid) != 0) {
        return jq_fail_errno(reterr, errno, "%.160s", target);
    }
    return JQ_OK;
}

static enum jq_err fetch_all(struct jq_courier *courier, struct jq_files *files, struct jq_error *reterr) {
    if (mkdir(files->staged, 0700) != 0 && errno != EEXIST) {
        return jq_fail_errno(reterr, errno, "%.160s", files->staged);
    }
    for (size_t i = 0; i < files->input_count; i++) {
        const enum jq_err err = fetch_one(courier, files, i, reterr);
        if (err != JQ_OK) {
            return err;
        }
    }
    if (courier->switch_user && chown(files->staged, courier->uid, courier->gid) != 0) {
        return jq_fail_errno(reterr, errno, "%.160s", files->staged);
    }
    return JQ_OK;
}

/* ---- storing ---- */

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

static enum jq_err store_one(struct jq_courier *courier, struct jq_files *files, DIR *dir, size_t i,
                             struct jq_error *reterr) {
    char file[256] = "", path[64];
    struct jq_error why = {0};
    const char *name = files->output_names[i];
    if (!find_output(dir, name, files->output_count == 1, file)) {
        return jq_fail(reterr, JQ_ERR_NOT_FOUND, "output %s: the handler made no file of that name, or several", name);
    }
    const int fd = open_output(courier, dir, file);
    if (fd < 0) {
        return jq_fail(reterr, JQ_ERR_DENIED, "output %s: %s is no plain file of the task's own", name, file);
    }
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct jq_named_blob *made = &files->made[files->made_count];
    const enum jq_err err = jq_blob_put_file(courier->client, path, &made->blob, &why);
    (void)close(fd);
    if (err != JQ_OK) {
        return jq_fail(reterr, err == JQ_ERR_NO_SPACE ? err : JQ_ERR_UNAVAILABLE, "output %s: %s", name, why.message);
    }
    made->name = name;
    files->made_count++;
    return JQ_OK;
}

static enum jq_err store_all(struct jq_courier *courier, struct jq_files *files, struct jq_error *reterr) {
    DIR *dir = opendir(files->output);
    if (!dir) {
        return jq_fail_errno(reterr, errno, "%.160s", files->output);
    }
    enum jq_err err = JQ_OK;
    for (size_t i = 0; i < files->output_count && err == JQ_OK; i++) {
        err = store_one(courier, files, dir, i, reterr);
    }
    (void)closedir(dir);
    return err;
}

/* ---- the thread ---- */

static void job_free(struct jq_files *files) {
    char *slash = strrchr(files->staged, '/');
    if (slash) {
        *slash = '\0';
        const int fd = open(files->staged, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            (void)jq_workdir_remove(fd, slash + 1);
            (void)close(fd);
        }
    }
    free(files);
}

static void job_done(struct jq_courier *courier, struct jq_files *files) {
    pthread_mutex_lock(&courier->lock);
    files->under_way = false;
    files->done = true;
    const bool abandoned = files->abandoned;
    if (courier->link && !abandoned) {
        jq_link_wake(courier->link);
    }
    pthread_mutex_unlock(&courier->lock);
    if (abandoned) {
        job_free(files);
    }
}

static void *courier_thread(void *arg) {
    struct jq_courier *courier = arg;
    (void)prctl(PR_SET_NAME, "jq-courier");
    while (true) {
        pthread_mutex_lock(&courier->lock);
        while (!courier->first) {
            pthread_cond_wait(&courier->changed, &courier->lock);
        }
        struct jq_files *files = courier->first;
        courier->first = files->next;
        courier->last = courier->first ? courier->last : &courier->first;
        const bool wanted = !files->abandoned;
        pthread_mutex_unlock(&courier->lock);
        files->error = (struct jq_error){.code = JQ_OK};
        if (wanted) {
            (void)(files->storing ? store_all(courier, files, &files->error)
                                  : fetch_all(courier, files, &files->error));
        }
        job_done(courier, files);
    }
    return NULL;
}

/* ---- the loop's ---- */

void jq_courier_send(struct jq_courier *courier, struct jq_files *files) {
    pthread_mutex_lock(&courier->lock);
    files->under_way = true;
    files->done = false;
    files->next = NULL;
    *courier->last = files;
    courier->last = &files->next;
    pthread_cond_signal(&courier->changed);
    pthread_mutex_unlock(&courier->lock);
}

bool jq_courier_take(struct jq_courier *courier, struct jq_files *files) {
    pthread_mutex_lock(&courier->lock);
    const bool done = files->done;
    files->done = false;
    pthread_mutex_unlock(&courier->lock);
    return done;
}

void jq_courier_abandon(struct jq_courier *courier, struct jq_files *files) {
    pthread_mutex_lock(&courier->lock);
    files->abandoned = true;
    const bool under_way = files->under_way;
    pthread_mutex_unlock(&courier->lock);
    if (!under_way) {
        job_free(files);
    }
}

static enum jq_err start(struct jq_courier *courier, struct jq_error *reterr) {
    pthread_t thread;
    const int rv = pthread_create(&thread, NULL, courier_thread, courier);
    if (rv != 0) {
        return jq_fail_errno(reterr, rv, "thread of files");
    }
    (void)pthread_detach(thread);
    return JQ_OK;
}

enum jq_err jq_courier_open(struct jq_worker_shell *worker, const char *token, struct jq_courier **ret_courier,
                            struct jq_error *reterr) {
    struct jq_courier *courier = calloc(1, sizeof(*courier));
    if (!courier) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "courier");
    }
    const struct jq_connect_config connect = {
        .server = worker->settings->request_url, .token = token, .name = "jqworker"};
    courier->switch_user = worker->switch_user;
    courier->uid = worker->uid;
    courier->gid = worker->gid;
    courier->link = worker->link;
    courier->last = &courier->first;
    courier->cache_bytes_max = (uint64_t)worker->settings->blob_cache_bytes;
    pthread_mutex_init(&courier->lock, NULL);
    pthread_cond_init(&courier->changed, NULL);
    (void)snprintf(courier->cache, sizeof(courier->cache), "%s/blobs", worker->settings->state_dir);
    enum jq_err err = jq_make_dirs(courier->cache, 0700, reterr);
    err = err == JQ_OK ? jq_connect(&connect, &courier->client, reterr) : err;
    err = err == JQ_OK ? start(courier, reterr) : err;
    if (err != JQ_OK) {
        jq_disconnect(courier->client);
        free(courier);
        return err;
    }
    *ret_courier = courier;
    return JQ_OK;
}

void jq_courier_close(struct jq_courier *courier) {
    if (courier) {
        pthread_mutex_lock(&courier->lock);
        courier->link = NULL;
        pthread_mutex_unlock(&courier->lock);
    }
}
