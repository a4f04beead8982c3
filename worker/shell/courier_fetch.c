/* courier_fetch.c - inputs of a task, from the cache or the broker's store, into the folder that becomes `inputs` of its work dir. */
#include "worker/shell/courier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/libjq/blob.h"
#include "common/sha256.h"
#include "worker/exec/sysfile.h"

enum { COPIED_AT_A_TIME = 256 * 1024, DISK_BYTES_SPARED = 1024 * 1024 };

/* ---- copying ---- */

/* JQ_ERR_CORRUPT: it does not hold what its name says. */
static enum jq_err copy_checked(const struct jq_courier_hand *hand, int from, int to, const struct jq_blob *blob,
                                struct jq_error *reterr) {
    uint8_t *data = malloc(COPIED_AT_A_TIME);
    struct jq_sha256 sum;
    struct jq_blob found;
    ssize_t count = data ? 1 : 0;
    enum jq_err err = JQ_OK;
    jq_sha256_init(&sum);
    while (count > 0 && (err = jq_courier_wanted(hand, reterr)) == JQ_OK) {
        count = read(from, data, COPIED_AT_A_TIME);
        if (count > 0) {
            jq_sha256_add(&sum, data, (size_t)count);
            count = jq_sysfile_write_all(to, data, (size_t)count) ? count : -1;
        }
    }
    const int failed = errno;
    const bool had_memory = data != NULL;
    free(data);
    if (err != JQ_OK) {
        return err;
    }
    if (count < 0 || !had_memory) {
        return jq_fail_errno(reterr, had_memory ? failed : ENOMEM, "copy of a blob");
    }
    jq_sha256_end(&sum, found.hash);
    return memcmp(found.hash, blob->hash, sizeof(found.hash)) == 0
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_CORRUPT, "the copy in the cache is damaged");
}

static enum jq_err copy_from_cache(const struct jq_courier_hand *hand, const char *cached, const char *target,
                                   const struct jq_blob *blob, struct jq_error *reterr) {
    const int from = open(cached, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        return jq_fail_errno(reterr, errno, "%.160s", cached);
    }
    const int to = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const enum jq_err err =
        to >= 0 ? copy_checked(hand, from, to, blob, reterr) : jq_fail_errno(reterr, errno, "%.160s", target);
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

/* ---- fetching ---- */

/* In vain for good: nobody has it. Anything else may go better at another time. */
static enum jq_err judge(enum jq_err err, const char *kind, const char *name, const struct jq_error *why,
                         struct jq_error *reterr) {
    const bool for_good = err == JQ_ERR_NOT_FOUND || err == JQ_ERR_CORRUPT || err == JQ_ERR_INVALID;
    const bool full = err == JQ_ERR_NO_SPACE || err == JQ_ERR_NOMEM || err == JQ_ERR_IO || err == JQ_ERR_CANCELED;
    return jq_fail(reterr,
                   for_good ? JQ_ERR_INVALID
                   : full   ? err
                            : JQ_ERR_UNAVAILABLE,
                   "%s %s: %s", kind, name, why->message);
}

struct fetch {
    struct jq_courier_hand *hand;
    const char *folder; /* where it is written */
    bool cached;        /* that is the cache */
    bool begun;
};

static enum jq_err check_disk(const char *folder, uint64_t size_bytes, struct jq_error *reterr) {
    struct statvfs disk;
    if (statvfs(folder, &disk) != 0) {
        return JQ_OK; /* the write will tell */
    }
    const uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    return free_bytes > DISK_BYTES_SPARED && size_bytes <= free_bytes - DISK_BYTES_SPARED
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_NO_SPACE, "%llu bytes do not fit on the disk of %.120s",
                         (unsigned long long)size_bytes, folder);
}

static enum jq_err look(void *ctx, uint64_t size_bytes, struct jq_error *reterr) {
    struct fetch *fetch = ctx;
    enum jq_err err = jq_courier_wanted(fetch->hand, reterr);
    if (err != JQ_OK || fetch->begun) {
        return err;
    }
    fetch->begun = true;
    err = fetch->cached ? jq_cache_make_room(fetch->hand, size_bytes, reterr) : JQ_OK;
    return err == JQ_OK ? check_disk(fetch->folder, size_bytes, reterr) : err;
}

static enum jq_err fetch_into(struct fetch *fetch, const struct jq_blob *blob, const char *path,
                              struct jq_error *reterr) {
    const struct jq_blob_watch watch = {.look = look, .ctx = fetch};
    return jq_blob_get_watched(fetch->hand->client, blob, path, &watch, reterr);
}

/* JQ_ERR_TOO_BIG: the cache has no room for it. */
static enum jq_err fetch_by_cache(struct jq_courier_hand *hand, const struct jq_blob *blob, const char *target,
                                  struct jq_error *reterr) {
    char hex[JQ_BLOB_TEXT_SIZE], cached[WORKER_PATH_MAX + JQ_BLOB_TEXT_SIZE + 8];
    struct fetch fetch = {.hand = hand, .folder = hand->courier->cache, .cached = true};
    (void)snprintf(cached, sizeof(cached), "%s/%s", hand->courier->cache, jq_blob_format(blob, hex));
    enum jq_err err = copy_from_cache(hand, cached, target, blob, reterr);
    if (err != JQ_ERR_NOT_FOUND && err != JQ_ERR_CORRUPT) {
        return err;
    }
    err = fetch_into(&fetch, blob, cached, reterr);
    if (err == JQ_OK) {
        return copy_from_cache(hand, cached, target, blob, reterr);
    }
    if (err == JQ_ERR_TOO_BIG) {
        (void)snprintf(cached, sizeof(cached), "%s/%s.part", hand->courier->cache, hex);
        (void)unlink(cached);
    }
    return err;
}

/* What is too large for the cache goes past it. */
static enum jq_err fetch_blob(struct jq_courier_hand *hand, const struct jq_blob *blob, const char *target,
                              struct jq_error *reterr) {
    struct fetch past = {.hand = hand, .folder = hand->files->staged};
    if (hand->courier->cache_bytes_max == 0) {
        return fetch_into(&past, blob, target, reterr);
    }
    enum jq_err err = jq_cache_claim(hand, blob, reterr);
    if (err != JQ_OK) {
        return err;
    }
    err = fetch_by_cache(hand, blob, target, reterr);
    jq_cache_release(hand);
    return err == JQ_ERR_TOO_BIG ? fetch_into(&past, blob, target, reterr) : err;
}

static enum jq_err fetch_one(struct jq_courier_hand *hand, size_t i, struct jq_error *reterr) {
    const struct jq_courier *courier = hand->courier;
    const struct jq_files *files = hand->files;
    char target[WORKER_PATH_MAX + JQ_NAME_SIZE_MAX + 2];
    struct jq_error why = {0};
    (void)snprintf(target, sizeof(target), "%s/%s", files->staged, files->input_names[i]);
    const enum jq_err err = fetch_blob(hand, &files->inputs[i], target, &why);
    if (err != JQ_OK) {
        return judge(err, "input", files->input_names[i], &why, reterr);
    }
    if (courier->switch_user && chown(target, courier->uid, courier->gid) != 0) {
        return jq_fail_errno(reterr, errno, "%.160s", target);
    }
    return JQ_OK;
}

enum jq_err jq_courier_fetch(struct jq_courier_hand *hand, struct jq_error *reterr) {
    const struct jq_courier *courier = hand->courier;
    const struct jq_files *files = hand->files;
    if (mkdir(files->staged, 0700) != 0 && errno != EEXIST) {
        return jq_fail_errno(reterr, errno, "%.160s", files->staged);
    }
    for (size_t i = 0; i < files->input_count; i++) {
        const enum jq_err err = fetch_one(hand, i, reterr);
        if (err != JQ_OK) {
            return err;
        }
    }
    if (courier->switch_user && chown(files->staged, courier->uid, courier->gid) != 0) {
        return jq_fail_errno(reterr, errno, "%.160s", files->staged);
    }
    return JQ_OK;
}
