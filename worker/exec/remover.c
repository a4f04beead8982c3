#define _GNU_SOURCE
#include "worker/exec/remover.h"

#include "common/clock.h"
#include "common/err.h"
#include "worker/exec/workdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What the loop can do in passing: a few milliseconds at the most. A file of so many blocks takes the kernel as long by itself. */
enum { AT_ONCE_MAX = 64, FILE_BLOCKS_MAX = 64 * 2048, NAMES_TRIED_MAX = 100000, CLOSE_WAIT_S = 2 };
#define NS_PER_S INT64_C(1000000000)

/* ---- the thread ---- */

static bool may_go_on(void *ctx, int dir_fd, const char *name) {
    struct jq_remover *remover = ctx;
    (void)dir_fd;
    (void)name;
    pthread_mutex_lock(&remover->lock);
    const bool hurry = remover->hurry;
    pthread_mutex_unlock(&remover->lock);
    return !hurry;
}

/* False: there is no more to do. The item stays in the ring until it is done with. */
static bool next_item(struct jq_remover *remover, struct jq_remover_item *ret_item) {
    pthread_mutex_lock(&remover->lock);
    while (remover->count == 0 && !remover->closing) {
        pthread_cond_wait(&remover->changed, &remover->lock);
    }
    const bool any = remover->count > 0 && !remover->hurry;
    *ret_item = remover->items[remover->first];
    pthread_mutex_unlock(&remover->lock);
    return any;
}

static void item_done(struct jq_remover *remover) {
    pthread_mutex_lock(&remover->lock);
    (void)close(remover->items[remover->first].root_fd);
    remover->first = (remover->first + 1) % JQ_REMOVER_WAITING_MAX;
    remover->count--;
    pthread_cond_broadcast(&remover->changed);
    pthread_mutex_unlock(&remover->lock);
}

static void *remover_thread(void *arg) {
    struct jq_remover *remover = arg;
    const struct jq_workdir_pace pace = {.go_on = may_go_on, .ctx = remover};
    struct jq_remover_item item;
    (void)prctl(PR_SET_NAME, "jq-remover");
    while (next_item(remover, &item)) {
        (void)jq_workdir_remove_paced(item.root_fd, item.name, &pace);
        item_done(remover);
    }
    return NULL;
}

/* The worker's signals are the loop's. */
static bool start(struct jq_remover *remover) {
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    remover->started = pthread_create(&remover->thread, NULL, remover_thread, remover) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return remover->started;
}

/* ---- taking ---- */

/* A name that is free: what an earlier run left may have some. */
static bool rename_away(struct jq_remover *remover, int root_fd, int dir_fd, const char *name,
                        char ret_name[JQ_REMOVER_NAME_SIZE]) {
    for (int i = 0; i < NAMES_TRIED_MAX; i++) {
        (void)snprintf(ret_name, JQ_REMOVER_NAME_SIZE, ".gone.%lu", remover->next++);
        if (renameat2(dir_fd, name, root_fd, ret_name, RENAME_NOREPLACE) == 0) {
            return true;
        }
        if (faccessat(root_fd, ret_name, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
            return false;
        }
    }
    return false;
}

static bool has_room(struct jq_remover *remover) {
    pthread_mutex_lock(&remover->lock);
    const bool room = remover->count < JQ_REMOVER_WAITING_MAX;
    pthread_mutex_unlock(&remover->lock);
    return room && (remover->held || remover->started || start(remover));
}

static bool hand_over(struct jq_remover *remover, int root_fd, int dir_fd, const char *name) {
    struct jq_remover_item item = {.root_fd = has_room(remover) ? fcntl(root_fd, F_DUPFD_CLOEXEC, 0) : -1};
    if (item.root_fd < 0) {
        return false;
    }
    if (!rename_away(remover, root_fd, dir_fd, name, item.name)) {
        (void)close(item.root_fd);
        return false;
    }
    pthread_mutex_lock(&remover->lock);
    remover->items[(remover->first + remover->count++) % JQ_REMOVER_WAITING_MAX] = item;
    pthread_cond_broadcast(&remover->changed);
    pthread_mutex_unlock(&remover->lock);
    return true;
}

static bool is_little(void *ctx, int dir_fd, const char *name) {
    unsigned *count = ctx;
    struct stat status;
    return ++*count <= AT_ONCE_MAX &&
           (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_blocks <= FILE_BLOCKS_MAX);
}

bool jq_remover_take(struct jq_remover *remover, int root_fd, int dir_fd, const char *name) {
    unsigned count = 0;
    const struct jq_workdir_pace pace = {.go_on = is_little, .ctx = &count};
    return jq_workdir_remove_paced(dir_fd, name, &pace) || hand_over(remover, root_fd, dir_fd, name) ||
           jq_workdir_remove(dir_fd, name);
}

void jq_remover_take_all(struct jq_remover *remover, int root_fd) {
    const int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL && fd >= 0) {
        (void)close(fd);
    }
    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(root_fd, entry->d_name, 0) != 0) {
            (void)jq_remover_take(remover, root_fd, root_fd, entry->d_name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

/* ---- its life ---- */

void jq_remover_init(struct jq_remover *remover, bool held) {
    pthread_condattr_t attributes;
    *remover = (struct jq_remover){.held = held};
    pthread_mutex_init(&remover->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&remover->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

void jq_remover_release(struct jq_remover *remover) {
    remover->held = false;
    if (remover->count > 0 && !remover->started) {
        (void)start(remover);
    }
}

static void wait_for_rest(struct jq_remover *remover) {
    const int64_t until_ns = jq_clock_mono_ns() + CLOSE_WAIT_S * NS_PER_S;
    const struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    pthread_mutex_lock(&remover->lock);
    remover->closing = true;
    pthread_cond_broadcast(&remover->changed);
    while (remover->count > 0 && pthread_cond_timedwait(&remover->changed, &remover->lock, &until) == 0) {
    }
    remover->hurry = true;
    pthread_mutex_unlock(&remover->lock);
}

void jq_remover_close(struct jq_remover *remover) {
    if (remover->started) {
        wait_for_rest(remover);
        (void)pthread_join(remover->thread, NULL);
    }
    for (; remover->count > 0; remover->count--) {
        (void)close(remover->items[remover->first].root_fd);
        remover->first = (remover->first + 1) % JQ_REMOVER_WAITING_MAX;
    }
    pthread_cond_destroy(&remover->changed);
    pthread_mutex_destroy(&remover->lock);
}
