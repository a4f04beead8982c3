/* reload.c - SIGHUP: the facts of this machine are found out anew and registered. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "worker/shell/worker.h"

struct jq_reload {
    const struct jq_worker_settings *settings;
    pthread_t thread;
    int fd;
    char *facts; /* NULL: could not be found out, as `error` says */
    struct jq_error error;
};

static void *find_out(void *ctx) {
    struct jq_reload *reload = ctx;
    if (jq_machine_facts(reload->settings, "", &reload->facts, &reload->error) != JQ_OK) {
        reload->facts = NULL;
    }
    (void)!write(reload->fd, &(uint64_t){1}, sizeof(uint64_t));
    return NULL;
}

void jq_reload_begin(struct jq_worker_shell *worker) {
    if (worker->reload) {
        JQ_LOG_INFO("facts are being found out already");
        return;
    }
    struct jq_reload *reload = calloc(1, sizeof(*reload));
    JQ_CHECK(reload != NULL);
    reload->settings = worker->settings;
    reload->fd = eventfd(0, EFD_CLOEXEC);
    const int failed = reload->fd < 0 ? errno : pthread_create(&reload->thread, NULL, find_out, reload);
    if (failed) {
        JQ_LOG_WARN("facts stay as they are: no thread to find them out", JQ_F_INT("errno", failed));
        if (reload->fd >= 0) {
            (void)close(reload->fd);
        }
        free(reload);
        return;
    }
    JQ_LOG_INFO("finding out the facts anew");
    worker->reload = reload;
}

int jq_reload_fd(const struct jq_worker_shell *worker) {
    return worker->reload ? worker->reload->fd : -1;
}

/* The old facts live until the link has its own copy of the new ones. */
static void take_facts(struct jq_worker_shell *worker, struct jq_reload *reload) {
    if (reload->facts && !worker->exiting && jq_link_refact(worker->link, reload->facts, &reload->error) == JQ_OK) {
        JQ_LOG_INFO("facts found out anew", JQ_F_STR("facts", reload->facts));
        free(worker->facts);
        worker->facts = reload->facts;
        reload->facts = NULL;
    } else if (!worker->exiting) {
        JQ_LOG_WARN("facts stay as they are", JQ_F_STR("why", reload->error.message));
    }
}

void jq_reload_end(struct jq_worker_shell *worker) {
    struct jq_reload *reload = worker->reload;
    if (!reload) {
        return;
    }
    (void)pthread_join(reload->thread, NULL);
    worker->reload = NULL;
    take_facts(worker, reload);
    (void)close(reload->fd);
    free(reload->facts);
    free(reload);
}
