#include "broker/shell/broker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/shell/answers.h"
#include "broker/shell/broker_internal.h"
#include "broker/shell/news.h"
#include "broker/shell/policy.h"
#include "broker/shell/restore.h"
#include "common/entropy.h"
#include "common/log.h"
#include "common/version.h"

enum {
    STATUS_SIZE = 160,
    SILENT_MS_MAX = 30000, /* a core thread that shows no sign of life for so long is no longer reported as alive */
    SUPERVISE_MS = 1000,
};

/* ---- ends ---- */

enum jq_exit jq_broker_exit_of(const struct jq_error *error, enum jq_exit otherwise) {
    switch (error->code) {
    case JQ_ERR_LOCKED: return JQ_EXIT_TEMPFAIL;
    case JQ_ERR_CORRUPT:
    case JQ_ERR_VERSION:
    case JQ_ERR_FOREIGN: return JQ_EXIT_DATA;
    case JQ_ERR_IO:
    case JQ_ERR_NO_SPACE: return JQ_EXIT_IO;
    case JQ_ERR_NOMEM: return JQ_EXIT_SOFTWARE;
    case JQ_ERR_ADDRESS: return error->sys_errno == EADDRINUSE ? JQ_EXIT_TEMPFAIL : JQ_EXIT_CONFIG;
    default: return otherwise;
    }
}

static enum jq_exit give_up(const struct jq_error *error, enum jq_exit otherwise) {
    JQ_LOG_ERROR("cannot start", JQ_F_ERR(error));
    return jq_broker_exit_of(error, otherwise);
}

/* The log takes no more: what waits for it must never be answered, so the process ends here and now. */
static void on_failed(void *ctx, const struct jq_error *error) {
    (void)ctx;
    JQ_LOG_ERROR("the journal cannot be written: the broker stops, nothing that was answered is lost", JQ_F_ERR(error));
    _exit(JQ_EXIT_IO);
}

/* ---- callbacks of the engine ---- */

static void on_survey(void *ctx, uint32_t survey) {
    struct jq_broker *broker = ctx;
    struct jq_survey_shell *surveys = atomic_load(&broker->surveys);
    if (surveys != NULL)
        jq_survey_shell_ask(surveys, survey);
}

static void on_notice(void *ctx, struct jq_str worker) {
    struct jq_broker *broker = ctx;
    struct jq_survey_shell *surveys = atomic_load(&broker->surveys);
    if (surveys != NULL)
        jq_survey_shell_notice(surveys, worker);
}

static void damaged_done(struct jq_inbound *inbound) {
    free(inbound);
}

static void on_damaged(void *ctx, struct jq_held lease) {
    struct jq_broker *broker = ctx;
    struct jq_inbound *inbound = calloc(1, sizeof(*inbound));
    if (inbound == NULL)
        return; /* The lease is found lost, and the damage again. */
    inbound->event.type = JQ_EVENT_DAMAGED;
    inbound->event.u.damaged = lease;
    inbound->done = damaged_done;
    jq_inbox_push(jq_engine_inbox(broker->engine), &inbound->item);
}

static void on_drop_blob(void *ctx, const uint8_t *hash, uint32_t version) {
    struct jq_broker *broker = ctx;
    jq_blobs_drop(broker->blobs, hash, version);
}

static void on_read_log(void *ctx, uint64_t from_lsn, uint64_t end_lsn) {
    struct jq_broker *broker = ctx;
    jq_mover_ask(broker->mover, from_lsn, end_lsn);
}

static void on_ring(void *ctx, struct jq_str worker, struct jq_str doorbell) {
    struct jq_broker *broker = ctx;
    jq_ringer_ring(broker->ringer, worker, doorbell);
}

static void on_news(void *ctx, const struct jq_news *news) {
    struct jq_broker *broker = ctx;
    jq_news_tell(&broker->metrics, news);
}

static struct jq_release_item *on_effect(void *ctx, const struct jq_effect *effect, const struct jq_inbound *inbound) {
    struct jq_broker *broker = ctx;
    return jq_answers_effect(broker->answers, broker->engine, effect, inbound);
}

static void on_release(void *ctx, struct jq_release_item *items) {
    struct jq_broker *broker = ctx;
    jq_answers_release(broker->answers, items);
}

static uint64_t unsent_lsn(void *ctx) {
    struct jq_broker *broker = ctx;
    return jq_answers_unsent_lsn(broker->answers);
}

static void on_rotated(void *ctx) {
    struct jq_broker *broker = ctx;
    jq_keeper_rotated(broker->keeper);
}

static void on_disposable(void *ctx, uint64_t below_lsn) {
    struct jq_broker *broker = ctx;
    jq_remover_disposable(broker->remover, below_lsn);
}

static bool on_aside(void *ctx, struct jq_call *call, const struct jq_request *request) {
    struct jq_broker *broker = ctx;
    return jq_backup_ask(broker->backup, call, request) || jq_outputs_ask(broker->outputs, call, request);
}

static bool all_answered(void *ctx) {
    struct jq_broker *broker = ctx;
    struct jq_server_stats stats = {.calls = 0};
    jq_server_stats(jq_net_server(broker->net), &stats);
    return stats.calls == 0;
}

/* ---- coming up ---- */

static enum jq_exit restore(struct jq_broker *broker) {
    const struct jq_broker_settings *settings = broker->settings;
    struct jq_core_config policy;
    struct jq_error error;
    uint64_t hash_seed = 0;
    if (jq_policy_of(settings, &policy, &error) != JQ_OK || /* its queues live as long as the process */
        jq_zones_new(&broker->zones, &error) != JQ_OK ||
        jq_random_bytes(&hash_seed, sizeof(hash_seed), &error) != JQ_OK)
        return give_up(&error, JQ_EXIT_SOFTWARE);
    policy.zone = jq_zones_find;
    policy.zone_ctx = broker->zones;
    if (jq_core_new(&policy, hash_seed, &broker->core, &error) != JQ_OK)
        return give_up(&error, JQ_EXIT_SOFTWARE);
    const struct jq_journal_config journal = {
        .disk = jq_disk_posix(),
        .dir = jq_str_of(settings->data_dir),
        .segment_size_bytes = (uint64_t)settings->segment_size_bytes,
        .first_segment_size_bytes = (uint64_t)settings->first_segment_size_bytes,
        .wall_ms = jq_clock_wall_ms(),
    };
    const int64_t begin_ns = jq_clock_mono_ns();
    if (jq_restore(&journal, &policy, broker->core, &broker->restored, &error) != JQ_OK)
        return give_up(&error, error.code == JQ_ERR_TOO_BIG ? JQ_EXIT_CONFIG : JQ_EXIT_CANTCREAT);
    const struct jq_recovery_report *report = &broker->restored.report;
    JQ_LOG_INFO("journal recovered", JQ_F_STR("dir", settings->data_dir), JQ_F_UINT("epoch", report->epoch),
                JQ_F_UINT("segments", report->segment_count), JQ_F_UINT("records", report->record_count),
                JQ_F_UINT("bytes", report->block_bytes), JQ_F_UINT("torn_bytes", report->torn_bytes),
                JQ_F_INT("took_ms", (jq_clock_mono_ns() - begin_ns) / 1000000));
    return JQ_EXIT_OK;
}

static enum jq_err make_engine(struct jq_broker *broker, struct jq_error *reterr) {
    const struct jq_broker_settings *settings = broker->settings;
    const struct jq_answers_config answers = {
        .journal = broker->restored.journal,
        .metrics = &broker->metrics,
        .durability = (enum jq_durability)settings->durability,
        .ctx = broker,
        .notice = on_notice,
        .damaged = on_damaged,
        .drop_blob = on_drop_blob,
    };
    struct jq_engine_config engine = {
        .core = broker->core,
        .journal = broker->restored.journal,
        .metrics = &broker->metrics,
        .ring_size_bytes = JQ_LEDGER_RING_SIZE_DEFAULT,
        .in_flight_max = (size_t)settings->in_flight_max_bytes,
        .durable_when_written = settings->durability != JQ_DURABILITY_FSYNC,
        .ctx = broker,
        .survey = on_survey,
        .news = on_news,
        .ring = on_ring,
        .read_log = on_read_log,
        .effect = on_effect,
        .release = on_release,
        .unsent_lsn = unsent_lsn,
        .rotated = on_rotated,
        .disposable = on_disposable,
        .failed = on_failed,
        .all_answered = all_answered,
    };
    jq_core_clock_init(&engine.clock, broker->restored.last_ms, jq_clock_wall_ms(), jq_clock_boot_ms());
    enum jq_err err = jq_answers_new(&answers, &broker->answers, reterr);
    if (err == JQ_OK)
        err = jq_engine_new(&engine, &broker->engine, reterr);
    return err;
}

static enum jq_err start_mover(struct jq_broker *broker, struct jq_error *reterr) {
    const struct jq_mover_config mover = {
        .disk = jq_disk_posix(),
        .dir = broker->settings->data_dir,
        .metrics = &broker->metrics,
        .inbox = jq_engine_inbox(broker->engine),
    };
    return jq_mover_start(&mover, &broker->mover, reterr);
}

static enum jq_err open_blobs(struct jq_broker *broker, struct jq_error *reterr) {
    const struct jq_blobs_config blobs = {
        .data_dir = broker->settings->data_dir,
        .bytes_max = (uint64_t)broker->settings->blob_bytes_max,
        .disk_free_min = (uint64_t)broker->settings->disk_free_min_bytes,
        .idle_ms = broker->settings->blob_grace_ms,
        .core = broker->core,
        .inbox = jq_engine_inbox(broker->engine),
        .metrics = &broker->metrics,
    };
    atomic_store(&broker->metrics.blob_bytes_max, blobs.bytes_max);
    return jq_blobs_open(&blobs, &broker->blobs, reterr);
}

static enum jq_err start_keeper(struct jq_broker *broker, struct jq_error *reterr) {
    const struct jq_keeper_config keeper = {
        .journal = broker->restored.journal,
        .disk = jq_disk_posix(),
        .dir = broker->settings->data_dir,
        .metrics = &broker->metrics,
        .inbox = jq_engine_inbox(broker->engine),
        .failed = on_failed,
    };
    return jq_keeper_start(&keeper, &broker->keeper, reterr);
}

static enum jq_err start_remover(struct jq_broker *broker, struct jq_error *reterr) {
    const struct jq_broker_settings *settings = broker->settings;
    const struct jq_remover_config remover = {
        .journal = broker->restored.journal,
        .disk = jq_disk_posix(),
        .dir = settings->data_dir,
        .archive_dir = settings->archive_dir,
        .command = &settings->archive_command,
        .command_ms = settings->archive_command_ms,
        .keep = {.time_ms = settings->archive_keep_ms, .bytes = (uint64_t)settings->archive_bytes_max},
        .log_id = broker->restored.log_id,
        .retention = {.time_ms = settings->retention_ms, .bytes = (uint64_t)settings->retention_bytes},
        .metrics = &broker->metrics,
    };
    return jq_remover_start(&remover, &broker->remover, reterr);
}

static enum jq_err start_backup(struct jq_broker *broker, struct jq_error *reterr) {
    const struct jq_backup_config backup = {
        .journal = broker->restored.journal,
        .disk = jq_disk_posix(),
        .dir = broker->settings->data_dir,
        .engine = broker->engine,
        .remover = broker->remover,
        .metrics = &broker->metrics,
    };
    return jq_backup_start(&backup, &broker->backup, reterr);
}

static enum jq_exit start_threads(struct jq_broker *broker) {
    struct jq_error error;
    enum jq_err err = make_engine(broker, &error);
    if (err == JQ_OK)
        err = start_keeper(broker, &error);
    if (err == JQ_OK)
        err = start_mover(broker, &error);
    if (err == JQ_OK)
        err = jq_ringer_start(&broker->ringer, &error);
    if (err == JQ_OK)
        err = start_remover(broker, &error);
    if (err == JQ_OK)
        err = start_backup(broker, &error);
    if (err == JQ_OK)
        err = open_blobs(broker, &error);
    if (err == JQ_OK)
        err = jq_outputs_new(broker->engine, &broker->metrics, (uint64_t)broker->settings->output_max_bytes,
                             &broker->outputs, &error);
    if (err == JQ_OK)
        err = jq_engine_start(broker->engine, &error);
    return err == JQ_OK ? JQ_EXIT_OK : give_up(&error, JQ_EXIT_SOFTWARE);
}

static enum jq_err listen_surveys(struct jq_broker *broker, struct jq_error *reterr) {
    const struct jq_survey_shell_config config = {
        .survey_urls = broker->settings->survey_urls,
        .notice_urls = broker->settings->notice_urls,
        .ipc_mode = (unsigned)broker->settings->ipc_mode,
        .connections_max = (size_t)broker->settings->connections_max,
        .epoch = broker->restored.report.epoch,
        .inbox = jq_engine_inbox(broker->engine),
        .metrics = &broker->metrics,
    };
    struct jq_survey_shell *surveys = NULL;
    const enum jq_err err = jq_survey_shell_open(&config, &surveys, reterr);
    if (err == JQ_OK)
        atomic_store(&broker->surveys, surveys);
    return err;
}

static enum jq_err listen_requests(struct jq_broker *broker, struct jq_error *reterr) {
    const struct jq_broker_settings *settings = broker->settings;
    const struct jq_net_config config = {
        .urls = (const char *const *)settings->request_urls.items,
        .url_count = settings->request_urls.count,
        .ipc_mode = (unsigned)settings->ipc_mode,
        .connections_max = (size_t)settings->connections_max,
        .authority = &broker->authority,
        .engine = broker->engine,
        .metrics = &broker->metrics,
        .blobs = broker->blobs,
        .decode = jq_policy_decode(settings),
        .hello = {.broker = broker->restored.log_id,
                  .version = JQ_STR(JQ_VERSION),
                  .epoch = broker->restored.report.epoch,
                  .durability = (enum jq_durability)settings->durability,
                  .wait_ms_max = settings->wait_max_ms},
        .ctx = broker,
        .aside = on_aside,
    };
    return jq_net_open(&config, &broker->net, reterr);
}

static enum jq_exit listen_all(struct jq_broker *broker) {
    struct jq_error error;
    if (listen_surveys(broker, &error) != JQ_OK || listen_requests(broker, &error) != JQ_OK)
        return give_up(&error, JQ_EXIT_SOFTWARE);
    for (size_t i = 0; jq_server_url(jq_net_server(broker->net), i) != NULL; i++)
        JQ_LOG_INFO("listening", JQ_F_STR("url", jq_server_url(jq_net_server(broker->net), i)));
    return JQ_EXIT_OK;
}

static enum jq_exit load_tokens(struct jq_broker *broker) {
    const struct jq_broker_settings *settings = broker->settings;
    struct jq_error error;
    broker->authority = (struct jq_authority){
        .off = settings->auth == JQ_AUTH_OFF, .tokens = &broker->tokens, .own_uid = (uint32_t)geteuid()};
    if (broker->authority.off || jq_tokens_read(settings->tokens_file, &broker->tokens, &error) == JQ_OK)
        return JQ_EXIT_OK;
    JQ_LOG_ERROR("cannot start: [broker] tokens_file: `jqctl token new` prints lines for it; on one machine auth = off "
                 "needs none",
                 JQ_F_ERR(&error));
    return JQ_EXIT_CONFIG;
}

static enum jq_exit come_up(struct jq_broker *broker) {
    enum jq_exit status = load_tokens(broker);
    if (status == JQ_EXIT_OK)
        status = jq_broker_open_http(broker);
    if (status == JQ_EXIT_OK)
        status = restore(broker);
    if (status == JQ_EXIT_OK)
        status = start_threads(broker);
    if (status == JQ_EXIT_OK)
        status = listen_all(broker);
    return status;
}

/* ---- serving, and going down ---- */

static void say_ready(struct jq_broker *broker) {
    char status[STATUS_SIZE];
    (void)snprintf(status, sizeof(status), "serving at %s, epoch %llu", jq_server_url(jq_net_server(broker->net), 0),
                   (unsigned long long)broker->restored.report.epoch);
    atomic_store(&broker->state, JQ_BROKER_SERVING);
    jq_service_notify_ready(status);
    JQ_LOG_INFO("ready", JQ_F_STR("version", JQ_VERSION),
                JQ_F_STR("durability", jq_durability_name((enum jq_durability)broker->settings->durability)));
}

static void supervise(struct jq_broker *broker) {
    const int64_t watchdog_ms = jq_service_watchdog_ms();
    const int64_t pause_ms = watchdog_ms > 0 && watchdog_ms < SUPERVISE_MS ? watchdog_ms : SUPERVISE_MS;
    while (true) {
        const enum jq_service_signal signal = jq_service_wait(pause_ms);
        if (signal == JQ_SERVICE_STOP)
            return;
        if (signal == JQ_SERVICE_HANGUP) {
            JQ_LOG_INFO("SIGHUP: time zones are read anew; restart the broker for a new configuration");
            jq_zones_reload(broker->zones, jq_engine_inbox(broker->engine));
        }
        jq_net_sweep(broker->net);
        if (watchdog_ms > 0 && jq_engine_silent_ms(broker->engine) < SILENT_MS_MAX)
            jq_service_notify_alive();
    }
}

/* A second signal ends the wait. */
static void *watch_for_second_signal(void *arg) {
    (void)arg;
    while (jq_service_wait(SUPERVISE_MS) != JQ_SERVICE_STOP)
        jq_service_notify_alive();
    JQ_LOG_WARN("second signal: the broker stops at once; what was answered is safe in the journal");
    _exit(JQ_EXIT_OK);
}

static void go_down(struct jq_broker *broker) {
    pthread_t thread;
    JQ_LOG_INFO("draining", JQ_F_INT("at_most_ms", broker->settings->drain_ms));
    atomic_store(&broker->state, JQ_BROKER_DRAINING);
    jq_service_notify_stopping("draining");
    if (pthread_create(&thread, NULL, watch_for_second_signal, NULL) == 0)
        (void)pthread_detach(thread);
    const int64_t end_ms = jq_clock_boot_ms() + broker->settings->drain_ms;
    jq_engine_stop(broker->engine);
    jq_net_drain(broker->net, broker->settings->drain_ms);
    if (jq_engine_wait_end(broker->engine, end_ms - jq_clock_boot_ms()))
        JQ_LOG_INFO("stopped", JQ_F_UINT("durable_lsn", jq_journal_durable_lsn(broker->restored.journal)));
    else
        JQ_LOG_WARN("stopped before all was answered: what was answered is safe in the journal");
    jq_net_stop(broker->net);
    jq_survey_shell_stop(atomic_load(&broker->surveys));
}

enum jq_exit jq_broker_run(const struct jq_broker_settings *settings) {
    /* Threads that nobody joins use it until the process ends. */
    static struct jq_broker broker;
    broker.settings = settings;
    broker.begin_ns = jq_clock_mono_ns();
    const enum jq_exit status = come_up(&broker);
    if (status != JQ_EXIT_OK)
        return status;
    say_ready(&broker);
    supervise(&broker);
    go_down(&broker);
    return JQ_EXIT_OK;
}
