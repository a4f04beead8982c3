/* reload.c - SIGHUP: the configuration is read again, facts are found out anew, and both are registered. All of it or nothing: what is wrong,
 * or cannot change while the worker runs, leaves everything as it was.
 *
 * Tasks that run keep the settings under which they began: those are freed once nobody has them.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "worker/shell/worker.h"

struct jq_reload {
    const struct jq_conf_args *args;
    const struct jq_worker_settings *now;
    pthread_t thread;
    int fd;
    struct jq_worker_settings *settings; /* NULL: stays as it is, as `error` says */
    char *offers, *facts;
    char *more; /* facts that are known and stay: of FreeCAD, of the sandbox */
    bool knows_freecad;
    unsigned slots;
    struct jq_error error;
};

/* Settings that were in force before. */
struct jq_retired {
    struct jq_retired *next;
    struct jq_worker_settings *settings;
};

/* ---- finding out, on a thread of its own ---- */

static enum jq_err load(struct jq_reload *reload) {
    struct jq_worker_settings *settings = calloc(1, sizeof(*settings));
    JQ_CHECK(settings != NULL);
    enum jq_err err = jq_worker_settings_load(reload->args, settings, &reload->error);
    if (err != JQ_OK) {
        free(settings);
        return err;
    }
    err = jq_worker_settings_may_become(reload->now, settings, &reload->error);
    err = err == JQ_OK ? jq_machine_offers(settings, &reload->offers, &reload->slots, &reload->error) : err;
    err = err == JQ_OK ? jq_machine_facts(settings, reload->more, &reload->facts, &reload->error) : err;
    if (err != JQ_OK) {
        jq_worker_settings_fini(settings);
        free(settings);
        return err;
    }
    reload->settings = settings;
    return JQ_OK;
}

static void *find_out(void *ctx) {
    struct jq_reload *reload = ctx;
    (void)load(reload);
    (void)!write(reload->fd, &(uint64_t){1}, sizeof(uint64_t));
    return NULL;
}

/* A copy: the thread that finds out the others has it. */
static char *known_facts(const struct jq_worker_shell *worker) {
    const char *freecad = worker->freecad_facts ? worker->freecad_facts : "";
    const size_t size = strlen(freecad) + strlen(worker->lacks) + 1;
    char *text = malloc(size);
    JQ_CHECK(text != NULL);
    (void)snprintf(text, size, "%s%s", freecad, worker->lacks);
    return text;
}

void jq_reload_begin(struct jq_worker_shell *worker) {
    if (worker->reload) {
        JQ_LOG_INFO("the configuration is being read already");
        return;
    }
    struct jq_reload *reload = calloc(1, sizeof(*reload));
    JQ_CHECK(reload != NULL);
    reload->args = worker->args;
    reload->now = worker->settings;
    reload->more = known_facts(worker);
    reload->knows_freecad = worker->freecad_facts != NULL;
    reload->fd = eventfd(0, EFD_CLOEXEC);
    const int failed = reload->fd < 0 ? errno : pthread_create(&reload->thread, NULL, find_out, reload);
    if (failed) {
        JQ_LOG_WARN("the configuration stays as it is: no thread to read it", JQ_F_INT("errno", failed));
        if (reload->fd >= 0) {
            (void)close(reload->fd);
        }
        free(reload->more);
        free(reload);
        return;
    }
    JQ_LOG_INFO("reading the configuration, finding out the facts");
    worker->reload = reload;
}

int jq_reload_fd(const struct jq_worker_shell *worker) {
    return worker->reload ? worker->reload->fd : -1;
}

/* ---- taking what was found ---- */

static bool is_in_use(const struct jq_worker_shell *worker, const struct jq_worker_settings *settings) {
    for (uint32_t i = 0; i < worker->run_used; i++) {
        if (worker->run_at[i] && worker->run_at[i]->settings == settings) {
            return true;
        }
    }
    return false;
}

static void free_settings(struct jq_worker_settings *settings) {
    if (settings) {
        jq_worker_settings_fini(settings);
        free(settings);
    }
}

static void sweep_retired(struct jq_worker_shell *worker) {
    struct jq_retired **at = &worker->retired;
    while (*at) {
        struct jq_retired *retired = *at;
        if (is_in_use(worker, retired->settings)) {
            at = &retired->next;
            continue;
        }
        *at = retired->next;
        free_settings(retired->settings);
        free(retired);
    }
}

/* Those of the start stay for good: warm processes were made by them. */
static void retire(struct jq_worker_shell *worker) {
    if (worker->reloaded) {
        struct jq_retired *retired = malloc(sizeof(*retired));
        JQ_CHECK(retired != NULL);
        *retired = (struct jq_retired){worker->retired, worker->reloaded};
        worker->retired = retired;
        worker->reloaded = NULL;
    }
}

static enum jq_err offer(struct jq_worker_shell *worker, struct jq_reload *reload,
                         const struct jq_link_handler *handlers) {
    const struct jq_link_offer all = {.offers = reload->offers,
                                      .facts = reload->facts,
                                      .accept = reload->settings->accept,
                                      .handlers = handlers,
                                      .handler_count = jq_worker_settings_handler_count(reload->settings)};
    return jq_link_offer_anew(worker->link, &all, &reload->error);
}

static void take_over(struct jq_worker_shell *worker, struct jq_reload *reload, struct jq_link_handler *handlers) {
    free(worker->handlers);
    free(worker->offers);
    free(worker->facts);
    retire(worker);
    worker->handlers = handlers;
    worker->offers = reload->offers;
    worker->facts = reload->facts;
    worker->slots = reload->slots;
    worker->reloaded = reload->settings;
    worker->settings = reload->settings;
    reload->offers = reload->facts = NULL;
    reload->settings = NULL;
    jq_agent_configure(worker->agent, worker->slots,
                       worker->settings->slots_max > 0 ? (unsigned)worker->settings->slots_min : 0,
                       worker->settings->grace_ms, worker->settings->drain_ms, worker->settings->idle_exit_ms);
    JQ_LOG_INFO("configuration read anew", JQ_F_STR("offers", worker->offers), JQ_F_STR("facts", worker->facts),
                JQ_F_UINT("handlers", jq_worker_settings_handler_count(worker->settings)));
}

static void take(struct jq_worker_shell *worker, struct jq_reload *reload) {
    struct jq_link_handler *handlers = reload->settings ? jq_worker_link_handlers(reload->settings) : NULL;
    if (handlers && offer(worker, reload, handlers) == JQ_OK) {
        const bool missed = worker->freecad_facts && !reload->knows_freecad;
        take_over(worker, reload, handlers);
        if (missed) {
            jq_reload_freecad(worker); /* found out while the rest was being read */
        }
        return;
    }
    free(handlers);
    JQ_LOG_ERROR("the configuration stays as it is", JQ_F_STR("why", reload->error.message));
}

void jq_reload_end(struct jq_worker_shell *worker) {
    struct jq_reload *reload = worker->reload;
    if (!reload) {
        return;
    }
    (void)pthread_join(reload->thread, NULL);
    worker->reload = NULL;
    if (!worker->exiting) {
        take(worker, reload);
        sweep_retired(worker);
    }
    (void)close(reload->fd);
    free_settings(reload->settings);
    free(reload->offers);
    free(reload->facts);
    free(reload->more);
    free(reload);
}

/* Probes of facts are not run again for it: what they said stands before, and the configuration before all. */
void jq_reload_freecad(struct jq_worker_shell *worker) {
    struct jq_buf text;
    struct jq_error error;
    jq_buf_init(&text, WORKER_TEXT_MAX);
    jq_buf_append_text(&text, jq_str_of(worker->facts));
    jq_facts_add_new(&text, worker->facts, worker->freecad_facts);
    jq_buf_append_u8(&text, 0);
    const struct jq_link_offer all = {.offers = worker->offers,
                                      .facts = (const char *)text.data,
                                      .accept = worker->settings->accept,
                                      .handlers = worker->handlers,
                                      .handler_count = jq_worker_settings_handler_count(worker->settings)};
    if (text.failed || jq_link_offer_anew(worker->link, &all, &error) != JQ_OK) {
        JQ_LOG_WARN("what FreeCAD is cannot be registered", JQ_F_STR("facts", worker->freecad_facts));
        jq_buf_fini(&text);
        return;
    }
    free(worker->facts);
    worker->facts = (char *)text.data; /* the buffer's memory is a malloc of its own */
    JQ_LOG_INFO("FreeCAD found out", JQ_F_STR("facts", worker->freecad_facts));
}

void jq_reload_free(struct jq_worker_shell *worker) {
    jq_reload_end(worker);
    retire(worker);
    sweep_retired(worker);
}
