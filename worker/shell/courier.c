/* courier.c - the threads that carry files, and the line of jobs before them. */
#define _GNU_SOURCE
#include "worker/shell/courier.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "worker/exec/workdir.h"

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

/* Waits for a job; true if it is still wanted. */
static bool take_job(struct jq_courier_hand *hand) {
    struct jq_courier *courier = hand->courier;
    pthread_mutex_lock(&courier->lock);
    courier->idle_count++;
    while (!courier->first) {
        pthread_cond_wait(&courier->changed, &courier->lock);
    }
    courier->idle_count--;
    courier->waiting_count--;
    hand->files = courier->first;
    courier->first = hand->files->next;
    courier->last = courier->first ? courier->last : &courier->first;
    const bool wanted = !hand->files->abandoned;
    pthread_mutex_unlock(&courier->lock);
    return wanted;
}

static enum jq_err connect_hand(struct jq_courier_hand *hand, struct jq_error *reterr) {
    const struct jq_connect_config connect = {
        .server = hand->courier->server, .token = hand->courier->token, .name = "jqworker"};
    return hand->client ? JQ_OK : jq_connect(&connect, &hand->client, reterr);
}

static void *hand_thread(void *arg) {
    struct jq_courier_hand *hand = arg;
    (void)prctl(PR_SET_NAME, "jq-courier");
    while (true) {
        const bool wanted = take_job(hand);
        struct jq_error *error = &hand->files->error;
        *error = (struct jq_error){.code = JQ_OK};
        if (wanted && connect_hand(hand, error) == JQ_OK) {
            (void)(hand->files->storing ? jq_courier_store(hand, error) : jq_courier_fetch(hand, error));
        }
        job_done(hand->courier, hand->files);
    }
    return NULL;
}

enum jq_err jq_courier_wanted(const struct jq_courier_hand *hand, struct jq_error *reterr) {
    pthread_mutex_lock(&hand->courier->lock);
    const bool wanted = !hand->files->abandoned;
    pthread_mutex_unlock(&hand->courier->lock);
    return wanted ? JQ_OK : jq_fail(reterr, JQ_ERR_CANCELED, "nobody waits for it any more");
}

/* ---- the loop's ---- */

/* False: not a single one can be had. The lock is held. */
static bool start_hand(struct jq_courier *courier) {
    pthread_t thread;
    struct jq_courier_hand *hand = &courier->hands[courier->hand_count];
    hand->courier = courier;
    if (pthread_create(&thread, NULL, hand_thread, hand) == 0) {
        (void)pthread_detach(thread);
        courier->hand_count++;
    }
    return courier->hand_count > 0;
}

void jq_courier_send(struct jq_courier *courier, struct jq_files *files) {
    pthread_mutex_lock(&courier->lock);
    const bool busy = courier->waiting_count >= courier->idle_count && courier->hand_count < courier->hand_count_max;
    files->waiting = true;
    files->next = NULL;
    if (busy && !start_hand(courier)) {
        files->done = true;
        (void)jq_fail(&files->error, JQ_ERR_NOMEM, "files: no thread can be started");
        jq_link_wake(courier->link);
    } else {
        files->under_way = true;
        files->done = false;
        courier->waiting_count++;
        *courier->last = files;
        courier->last = &files->next;
        pthread_cond_signal(&courier->changed);
    }
    pthread_mutex_unlock(&courier->lock);
}

bool jq_courier_take(struct jq_courier *courier, struct jq_files *files) {
    pthread_mutex_lock(&courier->lock);
    const bool done = files->done;
    files->done = false;
    pthread_mutex_unlock(&courier->lock);
    files->waiting = files->waiting && !done;
    return done;
}

void jq_courier_abandon(struct jq_courier *courier, struct jq_files *files) {
    pthread_mutex_lock(&courier->lock);
    files->abandoned = true;
    const bool under_way = files->under_way;
    pthread_cond_broadcast(&courier->released);
    pthread_mutex_unlock(&courier->lock);
    if (!under_way) {
        job_free(files);
    }
}

enum jq_err jq_courier_open(struct jq_worker_shell *worker, const char *token, struct jq_courier **ret_courier,
                            struct jq_error *reterr) {
    const struct jq_worker_settings *settings = worker->settings;
    struct jq_courier *courier = calloc(1, sizeof(*courier));
    if (!courier) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "courier");
    }
    courier->switch_user = worker->switch_user;
    courier->uid = worker->uid;
    courier->gid = worker->gid;
    courier->link = worker->link;
    courier->last = &courier->first;
    courier->cache_bytes_max = (uint64_t)settings->blob_cache_bytes;
    courier->hand_count_max = (unsigned)settings->couriers;
    pthread_mutex_init(&courier->lock, NULL);
    pthread_mutex_init(&courier->cache_lock, NULL);
    pthread_cond_init(&courier->changed, NULL);
    pthread_cond_init(&courier->released, NULL);
    courier->server = strdup(settings->request_url);
    courier->token = strdup(token);
    JQ_CHECK(courier->server != NULL && courier->token != NULL);
    (void)snprintf(courier->cache, sizeof(courier->cache), "%s/blobs", settings->state_dir);
    const enum jq_err err = jq_make_dirs(courier->cache, 0700, reterr);
    if (err != JQ_OK) {
        free(courier->server);
        free(courier->token);
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
