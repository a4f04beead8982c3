#define _GNU_SOURCE
#include "worker/freecad/zygote.h"

#include "worker/freecad/wire.h"
#include "worker/freecad/zygote_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    START_MS = 60000,
    PING_MS = 2000,
    PING_INTERVAL_MS = 10000,
    RECYCLE_MS = 86400000,
    PAUSE_MS_MAX = 60000,
};

/* --- making it ------------------------------------------------------------------------------------------------------ */

static void free_zygote(struct jq_zygote *zygote) {
    jq_freecad_command_fini(&zygote->command);
    free(zygote);
}

static int64_t or_default(int64_t value, int64_t fallback) {
    return value > 0 ? value : fallback;
}

static void on_due(struct jq_exec_timer *timer, int64_t now_ms);

enum jq_err jq_zygote_new(struct jq_exec_host *host, const struct jq_zygote_config *config,
                          struct jq_zygote **ret_zygote, struct jq_error *reterr) {
    struct jq_zygote *zygote = calloc(1, sizeof(*zygote));
    if (zygote == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "zygote");
    }
    zygote->host = host;
    zygote->config = *config;
    zygote->config.start_ms = or_default(config->start_ms, START_MS);
    zygote->config.ping_ms = or_default(config->ping_ms, PING_MS);
    zygote->config.ping_interval_ms = or_default(config->ping_interval_ms, PING_INTERVAL_MS);
    zygote->config.recycle_ms = or_default(config->recycle_ms, RECYCLE_MS);
    (void)snprintf(zygote->name, sizeof(zygote->name), "%.24s", config->name);
    zygote->control = (struct jq_exec_watch){.fd = -1, .on_ready = jq_zygote_on_control};
    zygote->timer.on_due = on_due;
    zygote->pause_ms = JQ_ZYGOTE_PAUSE_MS_MIN;
    jq_list_init(&zygote->timer.link);
    jq_list_init(&zygote->orders);
    const enum jq_err err = jq_freecad_command_make(config->command, config->runner, &zygote->command, reterr);
    if (err != JQ_OK) {
        free_zygote(zygote);
        return err;
    }
    *ret_zygote = zygote;
    return JQ_OK;
}

void jq_zygote_plan(struct jq_zygote *zygote) {
    int64_t due_ms = INT64_MAX;
    switch (zygote->state) {
    case JQ_ZYGOTE_STARTING: due_ms = zygote->started_ms + zygote->config.start_ms; break;
    case JQ_ZYGOTE_READY:
    case JQ_ZYGOTE_RETIRING:
        due_ms = jq_zygote_earlier(jq_zygote_earlier(zygote->next_ping_ms, zygote->pong_by_ms), zygote->resend_ms);
        break;
    case JQ_ZYGOTE_FAILED: due_ms = zygote->retry_at_ms; break;
    case JQ_ZYGOTE_STOPPED:
    case JQ_ZYGOTE_ENDING:
    default: break;
    }
    if (due_ms == INT64_MAX) {
        jq_exec_timer_stop(&zygote->timer);
    } else {
        jq_exec_timer_set(jq_exec_host_loop(zygote->host), &zygote->timer, due_ms);
    }
}

/* --- its process ---------------------------------------------------------------------------------------------------- */

void jq_zygote_set_error(struct jq_zygote *zygote, const char *why) {
    (void)snprintf(zygote->last_error, sizeof(zygote->last_error), "%.191s", why);
}

/* The last line that it wrote: of a traceback the one that matters. */
static void set_error_of_process(struct jq_zygote *zygote) {
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(zygote->process);
    const struct jq_bytes tail = outcome->stderr_tail;
    size_t end = tail.size;
    while (end > 0 && tail.data[end - 1] <= ' ') {
        end--;
    }
    size_t start = end;
    while (start > 0 && tail.data[start - 1] != '\n' && end - start < 110) {
        start--;
    }
    char cause[40];
    if (outcome->end.signaled) {
        (void)snprintf(cause, sizeof(cause), "signal %d (%s)", outcome->end.code,
                       jq_exec_signal_name(outcome->end.code));
    } else {
        (void)snprintf(cause, sizeof(cause), "exit %d", outcome->end.code);
    }
    (void)snprintf(zygote->last_error, sizeof(zygote->last_error), "ended: %s%s%.*s", cause, end > start ? ": " : "",
                   (int)(end - start), (const char *)tail.data + start);
}

static void fail(struct jq_zygote *zygote, int64_t now_ms);
static void start_or_fail(struct jq_zygote *zygote, int64_t now_ms);

static void on_process_done(struct jq_exec_child *process, int64_t now_ms) {
    struct jq_zygote *zygote = jq_exec_child_owner(process);
    if (zygote == NULL) {
        jq_exec_child_free(process); /* its zygote was freed */
        return;
    }
    const bool expected = zygote->state == JQ_ZYGOTE_ENDING;
    const bool was_starting = zygote->state == JQ_ZYGOTE_STARTING;
    if (zygote->control.fd >= 0) {
        jq_zygote_on_control(&zygote->control, 0, now_ms); /* its last words: exits of tasks */
    }
    if (!expected) {
        set_error_of_process(zygote);
    }
    jq_exec_loop_stop(jq_exec_host_loop(zygote->host), &zygote->control);
    jq_exec_child_free(process);
    zygote->process = NULL;
    zygote->pid = 0;
    zygote->state = JQ_ZYGOTE_STOPPED;
    jq_zygote_lose(zygote, false, "its zygote ended", now_ms);
    if (was_starting || zygote->start_failed) {
        fail(zygote, now_ms);
    } else if (zygote->wanted) {
        start_or_fail(zygote, now_ms);
    } else {
        jq_zygote_plan(zygote);
    }
}

static enum jq_err open_sockets(struct jq_zygote *zygote, int *ret_theirs, struct jq_error *reterr) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
        return jq_fail_errno(reterr, errno, "zygote: socket");
    }
    const enum jq_err err =
        jq_exec_loop_watch(jq_exec_host_loop(zygote->host), &zygote->control, fds[0], EPOLLIN, reterr);
    if (err != JQ_OK) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return err;
    }
    *ret_theirs = fds[1];
    return JQ_OK;
}

void jq_zygote_home(const struct jq_zygote *zygote, char *ret_path, size_t size) {
    (void)snprintf(ret_path, size, "%s/%s-%u", jq_exec_host_work_path(zygote->host), zygote->name, zygote->starts);
}

/* A home of its own: of many starts at once in one home, some read a half-written user.cfg. One thread, so that it can fork. */
static enum jq_err start_process(struct jq_zygote *zygote, int theirs, int64_t now_ms, struct jq_error *reterr) {
    char label[48];
    char home[PATH_MAX + 64] = "FREECAD_USER_HOME=";
    (void)snprintf(label, sizeof(label), "%s-%u", zygote->name, zygote->starts);
    jq_zygote_home(zygote, home + strlen(home), sizeof(home) - strlen(home));
    const char *const env[] = {
        home, "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "QT_QPA_PLATFORM=offscreen", "PYTHONNOUSERSITE=1", NULL};
    const struct jq_exec_spec spec = {
        .label = label,
        .argv = (const char *const *)zygote->command.words,
        .env = env,
        .extra_fd = theirs,
        .network = zygote->config.network,
        .trusted = true,
        .owner = zygote,
        .on_done = on_process_done,
    };
    return jq_exec_start(zygote->host, &spec, now_ms, &zygote->process, reterr);
}

static enum jq_err start(struct jq_zygote *zygote, int64_t now_ms, struct jq_error *reterr) {
    int theirs = -1;
    enum jq_err err = open_sockets(zygote, &theirs, reterr);
    if (err != JQ_OK) {
        return err;
    }
    zygote->starts++;
    zygote->program = jq_freecad_command_stat(&zygote->command);
    err = start_process(zygote, theirs, now_ms, reterr);
    (void)close(theirs);
    if (err != JQ_OK) {
        jq_exec_loop_stop(jq_exec_host_loop(zygote->host), &zygote->control);
        return err;
    }
    zygote->wanted = true;
    zygote->state = JQ_ZYGOTE_STARTING;
    zygote->started_ms = now_ms;
    zygote->pong_by_ms = INT64_MAX;
    zygote->resend_ms = INT64_MAX;
    zygote->start_failed = false;
    jq_zygote_plan(zygote);
    return JQ_OK;
}

/* For last_error; the next try is made later, and each later than the one before. */
static void fail(struct jq_zygote *zygote, int64_t now_ms) {
    zygote->state = JQ_ZYGOTE_FAILED;
    zygote->retry_at_ms = now_ms + zygote->pause_ms;
    zygote->pause_ms = jq_zygote_earlier(zygote->pause_ms * 2, PAUSE_MS_MAX);
    jq_zygote_lose(zygote, true, zygote->last_error, now_ms);
    jq_zygote_plan(zygote);
}

static void start_or_fail(struct jq_zygote *zygote, int64_t now_ms) {
    struct jq_error error;
    if (start(zygote, now_ms, &error) != JQ_OK) {
        jq_zygote_set_error(zygote, error.message);
        fail(zygote, now_ms);
    }
}

/* With `why` it is at fault and killed after grace_ms; without, it is told to go. Goes on in on_process_done(). */
void jq_zygote_end(struct jq_zygote *zygote, const char *why, int64_t grace_ms, int64_t now_ms) {
    zygote->start_failed = zygote->state == JQ_ZYGOTE_STARTING;
    zygote->state = JQ_ZYGOTE_ENDING;
    if (why != NULL) {
        jq_zygote_set_error(zygote, why);
    } else {
        (void)jq_wire_send(zygote->control.fd, (struct jq_bytes){(const uint8_t *)"{\"op\":\"exit\"}", 13}, NULL, 0,
                           NULL);
    }
    jq_zygote_plan(zygote);
    /* It ends by itself when it reads the word; SIGTERM may come before, and does the same. */
    jq_exec_kill(zygote->process, JQ_EXEC_REASON_DRAIN, grace_ms, now_ms);
}

/* --- time ----------------------------------------------------------------------------------------------------------- */

static bool program_changed(const struct jq_zygote *zygote) {
    const struct stat now = jq_freecad_command_stat(&zygote->command);
    /* While a package is being replaced there may be none; the next look sees the new one. */
    return now.st_ino != 0 && !jq_freecad_stat_same(&now, &zygote->program);
}

static void ping(struct jq_zygote *zygote, int64_t now_ms) {
    static const char packet[] = "{\"op\":\"ping\",\"id\":0}";
    zygote->next_ping_ms = now_ms + zygote->config.ping_interval_ms;
    zygote->pong_by_ms = jq_zygote_earlier(zygote->pong_by_ms, now_ms + zygote->config.ping_ms);
    /* A full socket is a zygote that does not read: pong_by_ms ends that too. */
    (void)jq_wire_send(zygote->control.fd, (struct jq_bytes){(const uint8_t *)packet, sizeof(packet) - 1}, NULL, 0,
                       NULL);
    if (now_ms - zygote->started_ms >= zygote->config.recycle_ms || program_changed(zygote)) {
        jq_zygote_retire(zygote, now_ms);
    }
}

static void on_due(struct jq_exec_timer *timer, int64_t now_ms) {
    struct jq_zygote *zygote = JQ_CONTAINER_OF(timer, struct jq_zygote, timer);
    char why[80];
    if (zygote->state == JQ_ZYGOTE_FAILED) {
        start_or_fail(zygote, now_ms);
        return;
    }
    if (zygote->state == JQ_ZYGOTE_STARTING) {
        (void)snprintf(why, sizeof(why), "said nothing within %lld ms of its start",
                       (long long)zygote->config.start_ms);
        jq_zygote_end(zygote, why, 0, now_ms);
        return;
    }
    const int64_t late_ms = now_ms - zygote->pong_by_ms;
    if (late_ms >= zygote->config.ping_ms) {
        /* So late only if we did not run ourselves (the machine slept): it did not have its time to answer. */
        zygote->pong_by_ms = now_ms + zygote->config.ping_ms;
    } else if (late_ms >= 0) {
        (void)snprintf(why, sizeof(why), "no answer to a ping within %lld ms", (long long)zygote->config.ping_ms);
        jq_zygote_end(zygote, why, 0, now_ms);
        return;
    }
    if (now_ms >= zygote->resend_ms) {
        jq_zygote_send(zygote, now_ms);
    }
    if (now_ms >= zygote->next_ping_ms && zygote->state != JQ_ZYGOTE_ENDING) {
        ping(zygote, now_ms);
    }
    jq_zygote_plan(zygote);
}

/* --- what the caller does ------------------------------------------------------------------------------------------- */

enum jq_err jq_zygote_start(struct jq_zygote *zygote, int64_t now_ms, struct jq_error *reterr) {
    zygote->wanted = true;
    if (zygote->state == JQ_ZYGOTE_FAILED && now_ms < zygote->retry_at_ms) {
        return jq_fail(reterr, JQ_ERR_UNAVAILABLE, "freecad %s: %s", zygote->name, zygote->last_error);
    }
    if (zygote->state != JQ_ZYGOTE_STOPPED && zygote->state != JQ_ZYGOTE_FAILED) {
        return JQ_OK;
    }
    struct jq_error error;
    const enum jq_err err = start(zygote, now_ms, &error);
    if (err != JQ_OK) {
        jq_zygote_set_error(zygote, error.message);
        fail(zygote, now_ms);
        return jq_fail(reterr, err, "freecad %s: %s", zygote->name, error.message);
    }
    return JQ_OK;
}

void jq_zygote_stop(struct jq_zygote *zygote, int64_t now_ms) {
    zygote->wanted = false;
    if (zygote->state == JQ_ZYGOTE_FAILED) {
        zygote->state = JQ_ZYGOTE_STOPPED;
        jq_zygote_plan(zygote);
    } else if (zygote->process != NULL && zygote->state != JQ_ZYGOTE_ENDING && zygote->order_count == 0) {
        jq_zygote_end(zygote, NULL, JQ_ZYGOTE_GRACE_MS, now_ms);
    }
}

void jq_zygote_retire(struct jq_zygote *zygote, int64_t now_ms) {
    if (zygote->state == JQ_ZYGOTE_READY) {
        zygote->state = JQ_ZYGOTE_RETIRING;
        jq_zygote_end_if_idle(zygote, now_ms);
        jq_zygote_plan(zygote);
    }
}

void jq_zygote_status(const struct jq_zygote *zygote, int64_t now_ms, struct jq_zygote_status *ret_status) {
    *ret_status = (struct jq_zygote_status){
        .state = zygote->state,
        .in_flight = zygote->order_count,
        .restarts = zygote->starts > 0 ? zygote->starts - 1 : 0,
        .pid = zygote->pid,
        .age_ms = zygote->process != NULL ? now_ms - zygote->started_ms : 0,
        .version = zygote->version,
        .last_error = zygote->last_error,
    };
}

void jq_zygote_free(struct jq_zygote *zygote, int64_t now_ms) {
    if (zygote == NULL) {
        return;
    }
    zygote->wanted = false;
    jq_exec_timer_stop(&zygote->timer);
    jq_exec_loop_stop(jq_exec_host_loop(zygote->host), &zygote->control);
    jq_zygote_lose(zygote, true, "its worker stops", now_ms);
    if (zygote->process != NULL) {
        jq_exec_child_set_owner(zygote->process, NULL);
        jq_exec_kill(zygote->process, JQ_EXEC_REASON_DRAIN, 0, now_ms);
    }
    free_zygote(zygote);
}
