/* worker.c - the loop: what the broker says, what the agent decides, what children do. */
#include "worker/shell/worker.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/libjq/flight.h"
#include "common/log.h"
#include "worker/shell/files.h"
#include "worker/shell/freecad.h"
#include "worker/shell/output.h"
#include "worker/shell/outputs.h"
#include "worker/shell/pools.h"

enum { PROGRESS_EVERY_MS = 200, PRESSURE_EVERY_MS = 2000, PRESSURE_EASE_PERMILLE = 50, LOOP_WAIT_MAX_MS = 1000 };
enum { EXIT_USAGE_ERROR = 64, EXIT_UNAVAILABLE = 69, EXIT_SOFTWARE = 70, EXIT_CANTCREAT = 73, EXIT_TEMPFAIL = 75 };
enum { EXIT_NOPERM = 77, EXIT_CONFIG = 78 };

/* ---- runs by token ---- */

static struct jq_run *run_find(struct jq_worker_shell *worker, jq_lease_token token) {
    const uint32_t index = jq_map_get(&worker->runs, token.value, UINT32_MAX);
    return index == UINT32_MAX ? NULL : worker->run_at[index];
}

static void run_place(struct jq_worker_shell *worker, struct jq_run *run) {
    uint32_t index = 0;
    while (index < worker->run_used && worker->run_at[index]) {
        index++;
    }
    if (index == worker->run_capacity) {
        worker->run_capacity = worker->run_capacity ? worker->run_capacity * 2 : 16;
        worker->run_at = realloc((void *)worker->run_at, worker->run_capacity * sizeof(struct jq_run *));
        JQ_CHECK(worker->run_at != NULL);
    }
    worker->run_used = index == worker->run_used ? index + 1 : worker->run_used;
    worker->run_at[index] = run;
    JQ_CHECK(jq_map_put(&worker->runs, run->token.value, index));
}

static void run_forget(struct jq_run *run) {
    struct jq_worker_shell *worker = run->worker;
    worker->run_at[jq_map_get(&worker->runs, run->token.value, 0)] = NULL;
    (void)jq_map_remove(&worker->runs, run->token.value);
    jq_outputs_forget(run);
    if (run->pool) {
        jq_pools_forget(run);
    } else {
        jq_exec_child_free(run->child);
    }
    jq_offers_fini(&run->units);
    jq_parents_free(run);
    jq_files_free(run);
    free(run->queue);
    free(run);
}

/* ---- what the broker says ---- */

static char *copy_text(struct jq_str text) {
    char *copy = malloc(text.size + 1);
    JQ_CHECK(copy != NULL);
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

static void on_task(void *ctx, const struct jq_link_task *task) {
    struct jq_worker_shell *worker = ctx;
    struct jq_run *run = calloc(1, sizeof(*run) + task->payload.size + 1);
    JQ_CHECK(run != NULL);
    uint8_t *payload = (uint8_t *)(run + 1);
    if (task->payload.size > 0) {
        memcpy(payload, task->payload.data, task->payload.size);
    }
    run->worker = worker;
    run->task = task->id;
    run->token = task->token;
    run->attempt = task->attempt;
    run->settings = worker->settings;
    run->handler = jq_worker_settings_find_handler(worker->settings, task->handler);
    run->queue = copy_text(task->queue);
    run->soft_limit_ms = task->soft_limit_ms;
    run->hard_limit_ms = task->hard_limit_ms;
    run->memory_bytes = task->memory_bytes;
    run->cpu_thousandths = task->cpu_thousandths;
    run->payload = (struct jq_bytes){payload, task->payload.size};
    run->progress_told = -1;
    run->begun_ms = jq_clock_boot_ms();
    if (task->units) {
        JQ_CHECK(jq_offers_build(task->units->items, task->units->count, &run->units, NULL) == JQ_OK);
    }
    jq_parents_take(run, task->after, task->after_count);
    jq_files_take(run, task);
    run_place(worker, run);
    jq_agent_leased(worker->agent, run->task, run->token, run->handler != NULL, jq_clock_boot_ms());
}

static void on_command(void *ctx, enum jq_link_command command, jq_task_id task, jq_lease_token token,
                       uint32_t grace_ms) {
    struct jq_worker_shell *worker = ctx;
    (void)task;
    if (command == JQ_LINK_CANCEL) {
        jq_agent_cancel(worker->agent, token, grace_ms);
    } else if (command == JQ_LINK_KILL) {
        jq_agent_kill(worker->agent, token);
    } else {
        JQ_LOG_INFO("drained by the broker: no new tasks");
    }
}

static void on_verdict(void *ctx, jq_task_id task, jq_lease_token token, enum jq_reply verdict) {
    struct jq_worker_shell *worker = ctx;
    if (verdict != JQ_REPLY_OK) {
        JQ_LOG_WARN("outcome not accepted", JQ_F_UINT("task", task.value), JQ_F_STR("why", jq_reply_name(verdict)));
    }
    jq_agent_verdict(worker->agent, token, verdict == JQ_REPLY_OK, jq_clock_boot_ms());
}

static void on_state(void *ctx, bool registered, const struct jq_error *error) {
    struct jq_worker_shell *worker = ctx;
    if (registered) {
        JQ_LOG_INFO("registered", JQ_F_STR("worker", worker->name), JQ_F_STR("offers", worker->offers));
        (void)sd_notify(0, "STATUS=Registered with the broker.");
    } else {
        worker->refused = *error;
    }
}

/* ---- what the agent decides ---- */

static struct jq_link_report report_base(const struct jq_run *run, enum jq_outcome outcome) {
    return (struct jq_link_report){.task = run->task,
                                   .token = run->token,
                                   .outcome = outcome,
                                   .exit_code = -1,
                                   .signal_number = -1,
                                   .duration_ms = -1,
                                   .cpu_ms = -1};
}

static struct jq_link_report report_of_child(const struct jq_run *run) {
    const struct jq_exec_outcome *outcome = jq_run_outcome(run);
    struct jq_link_report report = report_base(run, outcome->verdict.outcome);
    report.crashed = outcome->verdict.crash;
    report.result = outcome->result;
    report.exit_code = outcome->end.exited ? outcome->end.code : -1;
    report.signal_number = outcome->end.signaled ? outcome->end.code : -1;
    report.message = jq_str_of(outcome->message);
    const bool unnamed = report.outcome == JQ_OUTCOME_NETWORK && outcome->service[0] == '\0';
    report.service = jq_str_of(unnamed ? run->handler->service : outcome->service);
    report.stdout_tail = outcome->stdout_tail;
    report.stderr_tail = outcome->stderr_tail;
    report.duration_ms = outcome->duration_ms;
    report.cpu_ms = outcome->cpu_ms;
    report.rss_bytes = outcome->memory_peak_bytes;
    return report;
}

static void do_report(struct jq_run *run, const struct jq_agent_effect *effect) {
    struct jq_link_report report = report_base(run, effect->outcome);
    if (run->given_up != JQ_OUTCOME_NONE) {
        report.outcome = run->given_up;
        report.message =
            jq_str_of(run->given_up == JQ_OUTCOME_CANCELLED ? "cancelled" : "handed back by a draining worker");
    } else if (effect->outcome != JQ_OUTCOME_NONE) {
        report.message = jq_str_of(effect->message);
    } else if (jq_run_outcome(run)) {
        report = report_of_child(run);
        jq_files_report(run, &report);
        report.version = report.outcome == JQ_OUTCOME_SUCCESS ? jq_run_version(run) : (struct jq_str){NULL, 0};
    } else {
        report.outcome = jq_exec_judge_start(run->start_error.code);
        report.message = jq_str_of(run->start_error.message);
    }
    struct jq_error error;
    if (jq_link_report(run->worker->link, &report, &error) != JQ_OK) {
        report = report_base(run, JQ_OUTCOME_PROCESS_FAILURE);
        report.message = jq_str_of(error.message);
        (void)jq_link_report(run->worker->link, &report, NULL);
    }
    jq_link_flush(run->worker->link);
}

/* Nothing of it runs: what is fetched for it, or stored of it, is not waited for. */
static void give_up(struct jq_run *run, enum jq_agent_why why) {
    run->given_up = why == JQ_AGENT_CANCELLED ? JQ_OUTCOME_CANCELLED : JQ_OUTCOME_HANDED_BACK;
    run->fetching = false;
    jq_files_free(run);
    jq_run_ended(run, run->given_up);
}

static void do_kill(struct jq_run *run, const struct jq_agent_effect *effect) {
    if (run->fetching || jq_files_under_way(run)) {
        give_up(run, effect->why);
        return;
    }
    const enum jq_exec_reason reason = effect->why == JQ_AGENT_CANCELLED ? JQ_EXEC_REASON_CANCEL : JQ_EXEC_REASON_DRAIN;
    if (run->child) {
        jq_exec_kill(run->child, reason, effect->grace_ms, jq_clock_boot_ms());
    }
}

static void on_effect(void *ctx, const struct jq_agent_effect *effect) {
    struct jq_worker_shell *worker = ctx;
    struct jq_run *run = run_find(worker, effect->token);
    switch (effect->type) {
    case JQ_AGENT_START: jq_launch(run); break;
    case JQ_AGENT_KILL: do_kill(run, effect); break;
    case JQ_AGENT_REPORT: do_report(run, effect); break;
    case JQ_AGENT_KEEP:
        jq_output_keep(run);
        run_forget(run);
        break;
    case JQ_AGENT_DISCARD:
        jq_output_discard(run);
        run_forget(run);
        break;
    case JQ_AGENT_WANT:
        if (worker->link) {
            jq_link_want(worker->link, effect->want);
        }
        break;
    case JQ_AGENT_EXIT: worker->exiting = true; break;
    }
}

void jq_run_ended(struct jq_run *run, enum jq_outcome outcome) {
    jq_agent_ended(run->worker->agent, run->token, outcome, jq_clock_boot_ms());
}

/* ---- what children do ---- */

static void progress_tell_of(struct jq_run *run) {
    const char *text = "";
    const int32_t permille = run->child ? jq_exec_child_progress(run->child, &text) : -1;
    const size_t length = strlen(text);
    const size_t size = length < JQ_PROGRESS_TEXT_SIZE_MAX ? length : JQ_PROGRESS_TEXT_SIZE_MAX;
    const bool same_text = strlen(run->progress_text_told) == size && memcmp(text, run->progress_text_told, size) == 0;
    if (permille < 0 || (permille == run->progress_told && same_text)) {
        return;
    }
    run->progress_told = permille;
    memcpy(run->progress_text_told, text, size);
    run->progress_text_told[size] = '\0';
    jq_link_progress(run->worker->link, run->task, (unsigned)permille, (struct jq_str){text, size});
}

/* Surveys carry it: what is told here is only kept for the next one. */
static void progress_serve(struct jq_worker_shell *worker, int64_t now_ms) {
    if (now_ms < worker->progress_next_ms) {
        return;
    }
    worker->progress_next_ms = now_ms + PROGRESS_EVERY_MS;
    for (uint32_t i = 0; i < worker->run_used; i++) {
        if (worker->run_at[i]) {
            progress_tell_of(worker->run_at[i]);
        }
    }
}

static void children_serve(struct jq_worker_shell *worker) {
    jq_exec_host_run(worker->host, jq_clock_boot_ms());
    struct jq_exec_child *child = jq_exec_host_next_done(worker->host);
    while (child) {
        struct jq_run *run = jq_exec_child_owner(child);
        if (run) {
            jq_outputs_ended(run, jq_exec_child_outcome(child), false);
        } else {
            jq_freecad_child_done(worker->zygotes, child);
        }
        child = jq_exec_host_next_done(worker->host);
    }
}

static void pressure_serve(struct jq_worker_shell *worker, int64_t now_ms) {
    if (now_ms < worker->pressure_next_ms) {
        return;
    }
    worker->pressure_next_ms = now_ms + PRESSURE_EVERY_MS;
    unsigned memory = 0, stall = 0;
    jq_pressure_read(&memory, &stall);
    const unsigned ease = worker->pressure_high ? PRESSURE_EASE_PERMILLE : 0; /* hysteresis */
    const bool high = memory + ease > (unsigned)worker->settings->memory_pressure_percent * 10 ||
                      stall + ease > (unsigned)worker->settings->psi_pressure_percent * 10;
    if (high != worker->pressure_high) {
        worker->pressure_high = high;
        JQ_LOG_WARN(high ? "memory is short: no new tasks" : "memory is there again",
                    JQ_F_UINT("memory_permille", memory), JQ_F_UINT("stall_permille", stall));
        jq_agent_pressure(worker->agent, high);
    }
    jq_agent_load(worker->agent, jq_cpu_wait_read());
    jq_link_load(worker->link, jq_load_read(), memory);
}

/* ---- the loop ---- */

static void watchdog_serve(struct jq_worker_shell *worker, int64_t now_ms) {
    if (worker->watchdog_every_ms > 0 && now_ms >= worker->watchdog_next_ms) {
        worker->watchdog_next_ms = now_ms + worker->watchdog_every_ms;
        (void)sd_notify(0, "WATCHDOG=1");
    }
}

/* Up: a broker that is not there is waited for, which must not look like a start that fails. */
static void tell_manager(struct jq_worker_shell *worker) {
    uint64_t interval_us = 0;
    worker->watchdog_every_ms = sd_watchdog_enabled(0, &interval_us) > 0 ? (int64_t)(interval_us / 3000) : 0;
    (void)sd_notify(0, "READY=1\nSTATUS=Looking for the broker.");
}

static void signals_serve(struct jq_worker_shell *worker, int fd) {
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            jq_reload_begin(worker);
            continue;
        }
        JQ_LOG_INFO("stopping: finishing what runs", JQ_F_UINT("tasks", jq_agent_count(worker->agent)));
        (void)sd_notify(0, "STOPPING=1");
        jq_agent_drain(worker->agent, jq_clock_boot_ms());
    }
}

static int64_t until(int64_t wait_ms, int64_t deadline_ms, int64_t now_ms) {
    const int64_t left_ms = deadline_ms == INT64_MAX ? INT64_MAX : deadline_ms - now_ms;
    return left_ms < wait_ms ? (left_ms < 0 ? 0 : left_ms) : wait_ms;
}

static void loop(struct jq_worker_shell *worker, int signal_fd) {
    while (!worker->refused.code) {
        const int64_t now_ms = jq_clock_boot_ms();
        jq_agent_time(worker->agent, now_ms);
        children_serve(worker);
        jq_parents_serve(worker);
        jq_files_serve(worker);
        pressure_serve(worker, now_ms);
        progress_serve(worker, now_ms);
        watchdog_serve(worker, now_ms);
        jq_tie_serve(worker);
        jq_outputs_serve(worker, jq_clock_boot_ms());
        const int64_t link_ms = jq_link_step(worker->link) - jq_flight_now_ms();
        int64_t wait_ms = link_ms < LOOP_WAIT_MAX_MS ? (link_ms < 0 ? 0 : link_ms) : LOOP_WAIT_MAX_MS;
        wait_ms = until(wait_ms, jq_exec_host_deadline_ms(worker->host), jq_clock_boot_ms());
        wait_ms = until(wait_ms, jq_outputs_deadline_ms(worker), jq_clock_boot_ms());
        wait_ms = until(wait_ms, jq_agent_deadline_ms(worker->agent), jq_clock_boot_ms());
        if (worker->exiting && jq_link_settled(worker->link)) {
            break;
        }
        struct pollfd fds[5] = {{.fd = jq_link_fd(worker->link), .events = POLLIN},
                                {.fd = jq_exec_host_fd(worker->host), .events = POLLIN},
                                {.fd = signal_fd, .events = POLLIN},
                                {.fd = jq_reload_fd(worker), .events = POLLIN},
                                {.fd = worker->doorbell_fd, .events = POLLIN}};
        (void)poll(fds, 5, (int)wait_ms);
        if (fds[2].revents & POLLIN) {
            signals_serve(worker, signal_fd);
        }
        if (fds[3].revents & POLLIN) {
            jq_reload_end(worker);
        }
        if (fds[4].revents & POLLIN) {
            jq_doorbell_answer(worker);
        }
    }
}

/* ---- setting up ---- */

static int hold_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static enum jq_err take_user(struct jq_worker_shell *worker, struct jq_error *reterr) {
    const char *name = worker->settings->run_as;
    if (geteuid() != 0 || name[0] == '\0') {
        return JQ_OK;
    }
    const struct passwd *user = getpwnam(name);
    if (!user) {
        return jq_fail(reterr, JQ_ERR_INVALID, "[worker] run_as: no user '%s' on this machine", name);
    }
    worker->switch_user = user->pw_uid != 0;
    worker->uid = user->pw_uid;
    worker->gid = user->pw_gid;
    return JQ_OK;
}

static enum jq_err take_name(struct jq_worker_shell *worker, struct jq_error *reterr) {
    const char *name = worker->settings->name;
    if (name[0] != '\0') {
        (void)snprintf(worker->name, sizeof(worker->name), "%s", name);
    } else if (gethostname(worker->name, sizeof(worker->name) - 1) != 0) {
        return jq_fail_errno(reterr, errno, "host name");
    }
    for (char *at = worker->name; *at; at++) {
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + ('a' - 'A') : *at);
    }
    return jq_name_valid(jq_str_of(worker->name))
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_INVALID, "[worker] name '%s': not [a-z0-9_.-]{1,64}", worker->name);
}

struct jq_link_handler *jq_worker_link_handlers(const struct jq_worker_settings *settings) {
    const size_t count = jq_worker_settings_handler_count(settings);
    struct jq_link_handler *handlers = calloc(count + 1, sizeof(*handlers));
    JQ_CHECK(handlers != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct jq_handler_settings *handler = jq_worker_settings_handler(settings, i);
        handlers[i] = (struct jq_link_handler){.name = handler->item.name,
                                               .version = handler->version,
                                               .need = handler->need,
                                               .soft_limit_ms = handler->soft_limit_ms,
                                               .hard_limit_ms = handler->hard_limit_ms,
                                               .pure = handler->pure};
    }
    return handlers;
}

static enum jq_err open_placement(struct jq_worker_shell *worker, struct jq_error *reterr) {
    char freecad_facts[WORKER_TEXT_MAX] = "";
    enum jq_err err = jq_freecad_open(worker, freecad_facts, sizeof(freecad_facts), reterr);
    err = err == JQ_OK ? jq_pools_open(worker, reterr) : err;
    const size_t size = strlen(freecad_facts);
    (void)snprintf(freecad_facts + size, sizeof(freecad_facts) - size, "%s", worker->lacks);
    return err == JQ_OK ? jq_machine_facts(worker->settings, freecad_facts, &worker->facts, reterr) : err;
}

static enum jq_err read_token(const char *path, char *out, size_t size, struct jq_error *reterr) {
    FILE *file = path[0] ? fopen(path, "re") : NULL;
    out[0] = '\0';
    if (path[0] && !file) {
        return jq_fail_errno(reterr, errno, "token file %s", path);
    }
    if (file) {
        const bool read = fgets(out, (int)size, file) != NULL;
        (void)fclose(file);
        out[strcspn(out, "\r\n")] = '\0';
        if (!read || out[0] == '\0') {
            return jq_fail(reterr, JQ_ERR_INVALID, "token file %s: no token in its first line", path);
        }
    }
    return JQ_OK;
}

static enum jq_err open_link(struct jq_worker_shell *worker, struct jq_error *reterr) {
    char token[128];
    enum jq_err err = read_token(worker->settings->token_file, token, sizeof(token), reterr);
    if (err != JQ_OK) {
        return err;
    }
    const struct jq_link_config config = {
        .connect = {.server = worker->settings->request_url, .token = token, .name = "jqworker"},
        .survey_url = worker->settings->survey_url,
        .id = worker->id,
        .name = worker->name,
        .offers = worker->offers,
        .facts = worker->facts,
        .accept = worker->settings->accept,
        .handlers = worker->handlers,
        .handler_count = jq_worker_settings_handler_count(worker->settings),
        .doorbell = worker->doorbell,
        .ctx = worker,
        .on_task = on_task,
        .on_command = on_command,
        .on_verdict = on_verdict,
        .on_state = on_state};
    err = jq_link_new(&config, &worker->link, reterr);
    return err == JQ_OK ? jq_courier_open(worker, token, &worker->courier, reterr) : err;
}

static enum jq_err open_agent(struct jq_worker_shell *worker, struct jq_error *reterr) {
    const bool follows = worker->settings->slots_max > 0;
    const struct jq_agent_config config = {.slots = worker->slots,
                                           .slots_min = follows ? (unsigned)worker->settings->slots_min : 0,
                                           .grace_ms = worker->settings->grace_ms,
                                           .drain_ms = worker->settings->drain_ms,
                                           .idle_exit_ms = worker->settings->idle_exit_ms,
                                           .ctx = worker,
                                           .effect = on_effect};
    worker->agent = jq_agent_new(&config, jq_clock_boot_ms());
    return worker->agent ? JQ_OK : jq_fail(reterr, JQ_ERR_NOMEM, "agent");
}

static enum jq_err set_up(struct jq_worker_shell *worker, struct jq_error *reterr) {
    enum jq_err err = jq_doorbell_open(worker, reterr);
    err = err == JQ_OK ? take_name(worker, reterr) : err;
    err = err == JQ_OK ? take_user(worker, reterr) : err;
    if (err == JQ_OK) {
        worker->handlers = jq_worker_link_handlers(worker->settings);
    }
    err = err == JQ_OK ? jq_machine_offers(worker->settings, &worker->offers, &worker->slots, reterr) : err;
    err = err == JQ_OK ? jq_worker_open_host(worker, reterr) : err;
    err = err == JQ_OK ? open_placement(worker, reterr) : err;
    err = err == JQ_OK ? open_link(worker, reterr) : err;
    return err == JQ_OK ? open_agent(worker, reterr) : err;
}

static int exit_code_of(enum jq_err err) {
    switch (err) {
    case JQ_OK: return 0;
    case JQ_ERR_INVALID:
    case JQ_ERR_UNSUPPORTED:
    case JQ_ERR_ADDRESS: return EXIT_CONFIG;
    case JQ_ERR_DENIED: return EXIT_NOPERM;
    case JQ_ERR_LOCKED: return EXIT_TEMPFAIL;
    case JQ_ERR_IO:
    case JQ_ERR_NO_SPACE: return EXIT_CANTCREAT;
    case JQ_ERR_NOT_FOUND: /* a program, FreeCAD for one */
    case JQ_ERR_UNAVAILABLE: return EXIT_UNAVAILABLE;
    default: return EXIT_SOFTWARE;
    }
}

static void tear_down(struct jq_worker_shell *worker) {
    for (uint32_t i = 0; i < worker->run_used; i++) {
        if (worker->run_at[i]) {
            jq_output_discard(worker->run_at[i]);
            run_forget(worker->run_at[i]);
        }
    }
    worker->exiting = true;
    jq_reload_end(worker);
    jq_freecad_close(worker->zygotes);
    jq_pools_close(worker->pools);
    jq_courier_close(worker->courier);
    jq_link_free(worker->link);
    jq_exec_host_free(worker->host);
    jq_output_close(worker);
    jq_agent_free(worker->agent);
    jq_map_fini(&worker->runs);
    free((void *)worker->run_at);
    free(worker->handlers);
    free(worker->offers);
    free(worker->facts);
    free(worker->freecad_facts);
    jq_reload_free(worker);
}

static void tell_started(const struct jq_worker_shell *worker) {
    const struct jq_worker_settings *settings = worker->settings;
    const size_t handlers = jq_worker_settings_handler_count(settings);
    JQ_LOG_INFO("started", JQ_F_STR("worker", worker->name), JQ_F_STR("broker", settings->request_url),
                JQ_F_UINT("handlers", handlers));
    if (handlers == 0) {
        JQ_LOG_WARN("there is no handler: no task will come here", JQ_F_STR("handlers_dir", settings->handlers_dir));
    }
}

int jq_worker_shell_run(const struct jq_conf_args *args, const struct jq_worker_settings *settings) {
    struct jq_worker_shell worker = {.args = args, .settings = settings};
    struct jq_error error = {.code = JQ_OK};
    jq_map_init(&worker.runs);
    const int signal_fd = hold_signals();
    enum jq_err err = signal_fd < 0 ? jq_fail_errno(&error, errno, "signalfd") : set_up(&worker, &error);
    if (err == JQ_OK) {
        tell_started(&worker);
        tell_manager(&worker);
        loop(&worker, signal_fd);
        jq_worker_leave(&worker);
        err = worker.refused.code;
        error = worker.refused;
    }
    if (err != JQ_OK) {
        JQ_LOG_ERROR("worker cannot run", JQ_F_STR("why", error.message));
    }
    tear_down(&worker);
    if (err == JQ_OK) {
        JQ_LOG_INFO("stopped", JQ_F_STR("worker", worker.name));
    }
    return exit_code_of(err);
}
