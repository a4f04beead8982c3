/* courier_cache.c - blobs that were fetched, kept for other tasks within a quota: in the folder HASH, and HASH.part of what is on its way. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/shell/courier.h"

enum { NAME_SIZE = JQ_BLOB_TEXT_SIZE + 8, ENTRIES_MAX = 1024 * 1024 };

/* ---- claims ---- */

static bool is_claimed(const struct jq_courier *courier, const struct jq_blob *blob) {
    for (unsigned i = 0; i < courier->hand_count; i++) {
        const struct jq_blob *claimed = courier->hands[i].claimed;
        if (claimed && memcmp(claimed->hash, blob->hash, sizeof(blob->hash)) == 0) {
            return true;
        }
    }
    return false;
}

enum jq_err jq_cache_claim(struct jq_courier_hand *hand, const struct jq_blob *blob, struct jq_error *reterr) {
    struct jq_courier *courier = hand->courier;
    pthread_mutex_lock(&courier->lock);
    while (!hand->files->abandoned && is_claimed(courier, blob)) {
        pthread_cond_wait(&courier->released, &courier->lock);
    }
    const bool wanted = !hand->files->abandoned;
    hand->claimed = wanted ? blob : NULL;
    pthread_mutex_unlock(&courier->lock);
    return wanted ? JQ_OK : jq_courier_wanted(hand, reterr);
}

void jq_cache_release(struct jq_courier_hand *hand) {
    struct jq_courier *courier = hand->courier;
    pthread_mutex_lock(&courier->cache_lock);
    hand->reserved_bytes = 0;
    pthread_mutex_unlock(&courier->cache_lock);
    pthread_mutex_lock(&courier->lock);
    hand->claimed = NULL;
    pthread_cond_broadcast(&courier->released);
    pthread_mutex_unlock(&courier->lock);
}

/* ---- the quota ---- */

struct entry {
    char name[NAME_SIZE];
    uint64_t size_bytes;
    struct timespec used;
};

struct entries {
    struct entry *list;
    size_t count, capacity;
    uint64_t bytes; /* of these, and of what is claimed and stays */
};

static int by_use(const void *left, const void *right) {
    const struct timespec *a = &((const struct entry *)left)->used;
    const struct timespec *b = &((const struct entry *)right)->used;
    return a->tv_sec != b->tv_sec ? (a->tv_sec > b->tv_sec) - (a->tv_sec < b->tv_sec)
                                  : (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

/* Whose claim it is; NULL: nobody's. */
static const struct jq_courier_hand *claimer_of(struct jq_courier *courier, const char *name) {
    const struct jq_courier_hand *found = NULL;
    char hex[JQ_BLOB_TEXT_SIZE];
    pthread_mutex_lock(&courier->lock);
    for (unsigned i = 0; i < courier->hand_count && !found; i++) {
        const struct jq_blob *claimed = courier->hands[i].claimed;
        found =
            claimed && strncmp(jq_blob_format(claimed, hex), name, sizeof(hex) - 1) == 0 ? &courier->hands[i] : NULL;
    }
    pthread_mutex_unlock(&courier->lock);
    return found;
}

static struct entry *add(struct entries *entries) {
    if (entries->count == entries->capacity) {
        const size_t capacity = entries->capacity ? 2 * entries->capacity : 64;
        struct entry *list = capacity <= ENTRIES_MAX ? realloc(entries->list, capacity * sizeof(*list)) : NULL;
        if (!list) {
            return NULL;
        }
        entries->list = list;
        entries->capacity = capacity;
    }
    return &entries->list[entries->count++];
}

/* What may go is listed. What is on its way counts as large as it will be, by its reservation. */
static void read_entry(struct jq_courier *courier, int dir_fd, const char *name, struct entries *entries) {
    struct stat status;
    if (name[0] == '.' || strlen(name) >= NAME_SIZE || fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return;
    }
    const struct jq_courier_hand *claimer = claimer_of(courier, name);
    if (claimer && claimer->reserved_bytes > 0) {
        return;
    }
    entries->bytes += (uint64_t)status.st_size;
    struct entry *entry = claimer ? NULL : add(entries);
    if (entry) {
        memcpy(entry->name, name, strlen(name) + 1);
        entry->size_bytes = (uint64_t)status.st_size;
        entry->used = status.st_mtim;
    }
}

static void read_cache(struct jq_courier *courier, struct entries *entries) {
    DIR *dir = opendir(courier->cache);
    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        read_entry(courier, dirfd(dir), entry->d_name, entries);
    }
    if (dir) {
        (void)closedir(dir);
    }
    if (entries->count > 0) {
        qsort(entries->list, entries->count, sizeof(entries->list[0]), by_use);
    }
}

static bool drop(const struct jq_courier *courier, const char *name) {
    char path[WORKER_PATH_MAX + NAME_SIZE];
    (void)snprintf(path, sizeof(path), "%s/%s", courier->cache, name);
    return unlink(path) == 0;
}

/* True when no more than `bytes_max` is left of it. */
static bool shrink(struct jq_courier *courier, struct entries *entries, uint64_t bytes_max) {
    for (size_t i = 0; i < entries->count && entries->bytes > bytes_max; i++) {
        entries->bytes -= drop(courier, entries->list[i].name) ? entries->list[i].size_bytes : 0;
    }
    return entries->bytes <= bytes_max;
}

enum jq_err jq_cache_make_room(struct jq_courier_hand *hand, uint64_t size_bytes, struct jq_error *reterr) {
    struct jq_courier *courier = hand->courier;
    struct entries entries = {.count = 0};
    uint64_t left = courier->cache_bytes_max;
    bool fits = size_bytes <= left;
    if (fits) {
        pthread_mutex_lock(&courier->cache_lock);
        hand->reserved_bytes = size_bytes;
        for (unsigned i = 0; i < COURIERS_MAX; i++) {
            const uint64_t reserved = courier->hands[i].reserved_bytes;
            left -= reserved <= left ? reserved : left;
            fits = fits && reserved <= left + reserved;
        }
        read_cache(courier, &entries);
        fits = shrink(courier, &entries, left);
        hand->reserved_bytes = fits ? size_bytes : 0;
        pthread_mutex_unlock(&courier->cache_lock);
        free(entries.list);
    }
    return fits ? JQ_OK
                : jq_fail(reterr, JQ_ERR_TOO_BIG, "%llu bytes have no room in the cache",
                          (unsigned long long)size_bytes);
}
