/* worker.c - C functions as handlers: leased tasks wait in a queue, threads run them, the link's thread reports. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/entropy.h"
#include "common/libjq/flight.h"
#include "common/libjq/link.h"

enum { HANDLERS_MAX = 256, THREADS_MAX = 256, SLOTS_MAX = 100000, LEAVE_WAIT_MS = 1000, VERSION_SIZE_MAX = 64 };

struct jq_job {
    struct jq_job *next;
    struct jq_worker *worker;
    unsigned handler;
    unsigned attempt;
    jq_task_id id;
    jq_lease_token token;
    struct jq_bytes payload; /* behind the struct, in one block */
    struct jq_offers units;
    jq_task_id *parents;
    size_t parent_count;
    int64_t started_ms;
    _Atomic bool cancelled;
    enum jq_outcome outcome;
    struct jq_buf result;
    char message[256];
    char service[JQ_NAME_SIZE_MAX + 1];
};

struct handler {
    char name[JQ_NAME_SIZE_MAX + 1];
    char need[JQ_NEED_SIZE_MAX + 1];
    char version[VERSION_SIZE_MAX + 1]; /* of a pure one; else empty */
    jq_handler_fn *fn;
    void *ctx;
};

struct job_queue {
    struct jq_job *head, **tail;
};

struct jq_worker {
    struct jq_worker_config config;
    char name[JQ_NAME_SIZE_MAX + 1];
    struct jq_uuid id;
    struct handler handlers[HANDLERS_MAX];
    struct jq_link_handler link_handlers[HANDLERS_MAX];
    unsigned handler_count;
    struct jq_link *link;
    int stop_fds[2]; /* a pipe: jq_worker_stop() may be called by a signal handler */
    struct jq_error refused;
    pthread_mutex_t lock;
    pthread_cond_t work; /* jobs to run */
    struct job_queue todo, done;
    struct job_queue leased; /* the link's thread alone: on their way to `todo` */
    struct jq_job **running; /* by thread */
    bool no_more;
    bool woken; /* the link's thread has been told of `done` and has not looked yet */
};

/* ---- queues of jobs ---- */

static void queue_init(struct job_queue *queue) {
    queue->head = NULL;
    queue->tail = &queue->head;
}

static void queue_push(struct job_queue *queue, struct jq_job *job) {
    job->next = NULL;
    *queue->tail = job;
    queue->tail = &job->next;
}

static struct jq_job *queue_pop(struct job_queue *queue) {
    struct jq_job *job = queue->head;
    if (job) {
        queue->head = job->next;
        if (!queue->head) {
            queue->tail = &queue->head;
        }
    }
    return job;
}

static void job_free(struct jq_job *job) {
    jq_buf_fini(&job->result);
    jq_offers_fini(&job->units);
    free(job->parents);
    free(job);
}

/* ---- the handler's view ---- */

jq_task_id jq_job_id(const struct jq_job *job) {
    return job->id;
}

unsigned jq_job_attempt(const struct jq_job *job) {
    return job->attempt;
}

struct jq_str jq_job_handler(const struct jq_job *job) {
    return jq_str_of(job->worker->handlers[job->handler].name);
}

struct jq_bytes jq_job_payload(const struct jq_job *job) {
    return job->payload;
}

const uint16_t *jq_job_units(const struct jq_job *job, const char *offer, size_t *ret_count) {
    const struct jq_offer *units = jq_offers_find(&job->units, jq_str_of(offer));
    *ret_count = units ? units->index_count : 0;
    return units ? units->indexes : NULL;
}

const jq_task_id *jq_job_parents(const struct jq_job *job, size_t *ret_count) {
    *ret_count = job->parent_count;
    return job->parents;
}

bool jq_job_cancelled(const struct jq_job *job) {
    return atomic_load_explicit(&job->cancelled, memory_order_relaxed);
}

enum jq_err jq_job_result(struct jq_job *job, const void *data, size_t size) {
    if (size > JQ_PAYLOAD_SIZE_MAX) {
        return JQ_ERR_TOO_BIG;
    }
    jq_buf_clear(&job->result);
    jq_buf_append(&job->result, data, size);
    return job->result.failed ? JQ_ERR_NOMEM : JQ_OK;
}

void jq_job_message(struct jq_job *job, const char *text) {
    snprintf(job->message, sizeof(job->message), "%s", text);
}

void jq_job_service(struct jq_job *job, const char *name) {
    snprintf(job->service, sizeof(job->service), "%s", name);
}

void jq_job_progress(struct jq_job *job, double fraction, const char *text) {
    const double permille = fraction <= 0 ? 0 : fraction >= 1 ? 1000 : fraction * 1000;
    jq_link_progress(job->worker->link, job->id, (unsigned)permille, jq_str_of(text));
}

/* ---- running ---- */

static void run_job(struct jq_job *job) {
    const struct handler *handler = &job->worker->handlers[job->handler];
    job->started_ms = jq_flight_now_ms();
    const bool cancelled = jq_job_cancelled(job);
    job->outcome = cancelled ? JQ_OUTCOME_CANCELLED : handler->fn(job, handler->ctx);
    if (job->outcome < JQ_OUTCOME_SUCCESS || job->outcome > JQ_OUTCOME_HANDED_BACK || job->outcome == JQ_OUTCOME_LOST) {
        job->outcome = JQ_OUTCOME_PROCESS_FAILURE;
        jq_job_message(job, "the handler returned no outcome");
    }
}

struct runner {
    struct jq_worker *worker;
    unsigned index;
};

static void *run_jobs(void *ctx) {
    const struct runner *runner = ctx;
    struct jq_worker *worker = runner->worker;
    pthread_mutex_lock(&worker->lock);
    for (;;) {
        struct jq_job *job = queue_pop(&worker->todo);
        if (!job && worker->no_more) {
            break;
        }
        if (!job) {
            pthread_cond_wait(&worker->work, &worker->lock);
            continue;
        }
        worker->running[runner->index] = job;
        pthread_mutex_unlock(&worker->lock);
        run_job(job);
        pthread_mutex_lock(&worker->lock);
        worker->running[runner->index] = NULL;
        queue_push(&worker->done, job);
        if (!worker->woken) {
            worker->woken = true;
            pthread_mutex_unlock(&worker->lock);
            jq_link_wake(worker->link);
            pthread_mutex_lock(&worker->lock);
        }
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

/* ---- the link's callbacks ---- */

static unsigned handler_find(const struct jq_worker *worker, struct jq_str name) {
    for (unsigned i = 0; i < worker->handler_count; i++) {
        if (jq_str_equal(name, jq_str_of(worker->handlers[i].name))) {
            return i;
        }
    }
    return worker->handler_count;
}

static void hand_back(struct jq_worker *worker, const struct jq_link_task *task) {
    const struct jq_link_report report = {.task = task->id,
                                          .token = task->token,
                                          .outcome = JQ_OUTCOME_HANDED_BACK,
                                          .exit_code = -1,
                                          .signal_number = -1,
                                          .duration_ms = -1,
                                          .cpu_ms = -1};
    (void)jq_link_report(worker->link, &report, NULL);
}

/* What few tasks have. False: out of memory. */
static bool take_rare(struct jq_job *job, const struct jq_link_task *task) {
    if (task->units && jq_offers_build(task->units->items, task->units->count, &job->units, NULL) != JQ_OK) {
        return false;
    }
    if (task->after_count == 0) {
        return true;
    }
    job->parents = malloc(task->after_count * sizeof(*job->parents));
    if (job->parents) {
        memcpy(job->parents, task->after, task->after_count * sizeof(*job->parents));
        job->parent_count = task->after_count;
    }
    return job->parents != NULL;
}

static void on_task(void *ctx, const struct jq_link_task *task) {
    struct jq_worker *worker = ctx;
    const unsigned handler = handler_find(worker, task->handler);
    struct jq_job *job = handler < worker->handler_count ? calloc(1, sizeof(*job) + task->payload.size + 1) : NULL;
    if (!job) {
        hand_back(worker, task);
        return;
    }
    uint8_t *payload = (uint8_t *)(job + 1);
    if (task->payload.size > 0) {
        memcpy(payload, task->payload.data, task->payload.size);
    }
    job->worker = worker;
    job->handler = handler;
    job->attempt = task->attempt;
    job->id = task->id;
    job->token = task->token;
    job->payload = (struct jq_bytes){payload, task->payload.size};
    jq_buf_init(&job->result, JQ_PAYLOAD_SIZE_MAX);
    if (!take_rare(job, task)) {
        job_free(job);
        hand_back(worker, task);
        return;
    }
    queue_push(&worker->leased, job);
}

/* All that one answer brought, under one lock. */
static void hand_over(struct jq_worker *worker) {
    struct job_queue *leased = &worker->leased;
    if (!leased->head) {
        return;
    }
    pthread_mutex_lock(&worker->lock);
    *worker->todo.tail = leased->head;
    worker->todo.tail = leased->tail;
    if (leased->head->next) {
        pthread_cond_broadcast(&worker->work);
    } else {
        pthread_cond_signal(&worker->work);
    }
    pthread_mutex_unlock(&worker->lock);
    queue_init(leased);
}

/* Cancel and kill are the same to a function: it can only be asked. */
static void on_command(void *ctx, enum jq_link_command command, jq_task_id task, jq_lease_token token,
                       uint32_t grace_ms) {
    struct jq_worker *worker = ctx;
    (void)task;
    (void)grace_ms;
    if (command == JQ_LINK_DRAIN) {
        return; /* the broker gives nothing more */
    }
    hand_over(worker);
    pthread_mutex_lock(&worker->lock);
    for (struct jq_job *job = worker->todo.head; job; job = job->next) {
        if (job->token.value == token.value) {
            job->cancelled = true;
        }
    }
    for (unsigned i = 0; i < worker->config.threads; i++) {
        if (worker->running[i] && worker->running[i]->token.value == token.value) {
            worker->running[i]->cancelled = true;
        }
    }
    pthread_mutex_unlock(&worker->lock);
}

static void on_state(void *ctx, bool registered, const struct jq_error *error) {
    struct jq_worker *worker = ctx;
    if (!registered && error) {
        worker->refused = *error;
    }
}

/* ---- reporting ---- */

static void report_job(struct jq_worker *worker, const struct jq_job *job) {
    const struct jq_link_report report = {.task = job->id,
                                          .token = job->token,
                                          .outcome = job->outcome,
                                          .result = jq_buf_bytes(&job->result),
                                          .exit_code = -1,
                                          .signal_number = -1,
                                          .message = jq_str_of(job->message),
                                          .service = jq_str_of(job->service),
                                          .duration_ms = -1,
                                          .cpu_ms = -1,
                                          .version = jq_str_of(worker->handlers[job->handler].version)};
    (void)jq_link_report(worker->link, &report, NULL);
}

static void report_done(struct jq_worker *worker) {
    pthread_mutex_lock(&worker->lock);
    struct job_queue done = worker->done;
    if (done.head) {
        queue_init(&worker->done);
    }
    worker->woken = false;
    pthread_mutex_unlock(&worker->lock);
    while (done.head) {
        struct jq_job *job = done.head;
        done.head = job->next;
        report_job(worker, job);
        job_free(job);
    }
}

/* Hands back what has not begun. True: there was something. */
static bool abandon_todo(struct jq_worker *worker) {
    hand_over(worker);
    pthread_mutex_lock(&worker->lock);
    struct jq_job *job = queue_pop(&worker->todo);
    const bool any = job != NULL;
    while (job) {
        job->outcome = JQ_OUTCOME_HANDED_BACK;
        queue_push(&worker->done, job);
        job = queue_pop(&worker->todo);
    }
    worker->no_more = true;
    pthread_cond_broadcast(&worker->work);
    pthread_mutex_unlock(&worker->lock);
    return any;
}

/* True when nothing is left: no lease is held and every report has its verdict. */
static bool finished(struct jq_worker *worker) {
    return jq_link_held_count(worker->link) == 0 && jq_link_settled(worker->link);
}

/* One look at everything. Returns when to look again at the latest, 0: at once. */
static int64_t look(struct jq_worker *worker, bool stopping) {
    report_done(worker);
    const int64_t wake_ms = jq_link_step(worker->link);
    /* An answer that was on its way when the stop came may still bring tasks. */
    const bool returned = stopping && abandon_todo(worker);
    hand_over(worker);
    return returned ? 0 : wake_ms;
}

static void loop(struct jq_worker *worker) {
    bool stopping = false;
    for (;;) {
        const int64_t wait_ms = look(worker, stopping) - jq_flight_now_ms();
        if (worker->refused.code || (stopping && finished(worker))) {
            break;
        }
        struct pollfd fds[2] = {{.fd = jq_link_fd(worker->link), .events = POLLIN},
                                {.fd = stopping ? -1 : worker->stop_fds[0], .events = POLLIN}};
        (void)poll(fds, 2, wait_ms <= 0 ? 0 : (int)(wait_ms > 10000 ? 10000 : wait_ms));
        if (!stopping && (fds[1].revents & POLLIN)) {
            stopping = true;
            jq_link_want(worker->link, 0);
        }
    }
    (void)abandon_todo(worker);
    if (!worker->refused.code) {
        (void)jq_link_leave(worker->link, LEAVE_WAIT_MS);
    }
}

static enum jq_err start_link(struct jq_worker *worker, struct jq_error *reterr) {
    for (unsigned i = 0; i < worker->handler_count; i++) {
        const struct handler *handler = &worker->handlers[i];
        const bool pure = handler->version[0] != '\0';
        worker->link_handlers[i] = (struct jq_link_handler){
            .name = handler->name, .need = handler->need, .version = pure ? handler->version : NULL, .pure = pure};
    }
    const struct jq_link_config config = {.connect = worker->config.connect,
                                          .survey_url = worker->config.survey_url,
                                          .id = worker->id,
                                          .name = worker->name,
                                          .offers = worker->config.offers,
                                          .facts = worker->config.facts,
                                          .accept = worker->config.accept,
                                          .slots = worker->config.slots,
                                          .handlers = worker->link_handlers,
                                          .handler_count = worker->handler_count,
                                          .ctx = worker,
                                          .on_task = on_task,
                                          .on_command = on_command,
                                          .on_state = on_state};
    const enum jq_err err = jq_link_new(&config, &worker->link, reterr);
    if (err == JQ_OK) {
        jq_link_want(worker->link,
                     JQ_LEASE_COUNT_MAX < worker->config.slots ? JQ_LEASE_COUNT_MAX : worker->config.slots);
    }
    return err;
}

enum jq_err jq_worker_run(struct jq_worker *worker, struct jq_error *reterr) {
    pthread_t threads[THREADS_MAX];
    struct runner runners[THREADS_MAX];
    enum jq_err err = start_link(worker, reterr);
    if (err != JQ_OK) {
        return err;
    }
    unsigned started = 0;
    while (started < worker->config.threads) {
        runners[started] = (struct runner){worker, started};
        if (pthread_create(&threads[started], NULL, run_jobs, &runners[started]) != 0) {
            break;
        }
        started++;
    }
    if (started > 0) {
        loop(worker);
    } else {
        err = jq_fail(reterr, JQ_ERR_NOMEM, "worker: no thread could be started");
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    if (worker->refused.code) {
        err = jq_fail(reterr, worker->refused.code, "%s", worker->refused.message);
    }
    return err;
}

void jq_worker_stop(struct jq_worker *worker) {
    const int saved = errno;
    (void)!write(worker->stop_fds[1], "", 1);
    errno = saved;
}

/* ---- making ---- */

static void default_name(struct jq_worker *worker) {
    char host[40] = "host";
    (void)gethostname(host, sizeof(host) - 1);
    snprintf(worker->name, sizeof(worker->name), "%s-%d", host, (int)getpid());
    for (char *at = worker->name; *at; at++) {
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + ('a' - 'A') : *at);
    }
}

enum jq_err jq_worker_new(const struct jq_worker_config *config, struct jq_worker **ret_worker,
                          struct jq_error *reterr) {
    if (config->slots > SLOTS_MAX || config->threads > THREADS_MAX) {
        return jq_fail(reterr, JQ_ERR_INVALID, "worker: at most %d slots and %d threads", SLOTS_MAX, THREADS_MAX);
    }
    struct jq_worker *worker = calloc(1, sizeof(*worker));
    if (!worker || pipe(worker->stop_fds) != 0) {
        free(worker);
        return jq_fail(reterr, JQ_ERR_NOMEM, "worker");
    }
    worker->config = *config;
    worker->config.slots = config->slots ? config->slots : 1;
    worker->config.threads = config->threads ? config->threads : 1;
    queue_init(&worker->leased);
    queue_init(&worker->todo);
    queue_init(&worker->done);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->work, NULL);
    if (config->name) {
        snprintf(worker->name, sizeof(worker->name), "%s", config->name);
    } else {
        default_name(worker);
    }
    worker->running = calloc(worker->config.threads, sizeof(struct jq_job *));
    enum jq_err err = worker->running ? JQ_OK : jq_fail(reterr, JQ_ERR_NOMEM, "worker");
    err = err == JQ_OK ? jq_random_bytes(worker->id.bytes, sizeof(worker->id.bytes), reterr) : err;
    if (err != JQ_OK) {
        jq_worker_free(worker);
        return err;
    }
    *ret_worker = worker;
    return JQ_OK;
}

enum jq_err jq_worker_handle(struct jq_worker *worker, const char *name, const char *need, jq_handler_fn *fn, void *ctx,
                             struct jq_error *reterr) {
    if (worker->handler_count == HANDLERS_MAX) {
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "worker: more than %d handlers", HANDLERS_MAX);
    }
    if (!jq_name_valid(jq_str_of(name)) || (need && strlen(need) > JQ_NEED_SIZE_MAX)) {
        return jq_fail(reterr, JQ_ERR_INVALID, "handler '%s': not [a-z0-9_.-]{1,64}, or its need is too long", name);
    }
    struct handler *handler = &worker->handlers[worker->handler_count++];
    snprintf(handler->name, sizeof(handler->name), "%s", name);
    snprintf(handler->need, sizeof(handler->need), "%s", need ? need : "");
    handler->fn = fn;
    handler->ctx = ctx;
    return JQ_OK;
}

enum jq_err jq_worker_pure(struct jq_worker *worker, const char *name, const char *version, struct jq_error *reterr) {
    const unsigned at = handler_find(worker, jq_str_of(name));
    if (at == worker->handler_count) {
        return jq_fail(reterr, JQ_ERR_NOT_FOUND, "handler '%s': not registered", name);
    }
    if (version[0] == '\0' || strlen(version) > VERSION_SIZE_MAX) {
        return jq_fail(reterr, JQ_ERR_INVALID, "handler '%s': version: from 1 to %d characters", name,
                       VERSION_SIZE_MAX);
    }
    snprintf(worker->handlers[at].version, sizeof(worker->handlers[at].version), "%s", version);
    return JQ_OK;
}

void jq_worker_free(struct jq_worker *worker) {
    if (!worker) {
        return;
    }
    jq_link_free(worker->link);
    for (struct jq_job *job = queue_pop(&worker->todo); job; job = queue_pop(&worker->todo)) {
        job_free(job);
    }
    for (struct jq_job *job = queue_pop(&worker->done); job; job = queue_pop(&worker->done)) {
        job_free(job);
    }
    close(worker->stop_fds[0]);
    close(worker->stop_fds[1]);
    pthread_cond_destroy(&worker->work);
    pthread_mutex_destroy(&worker->lock);
    free((void *)worker->running);
    free(worker);
}
