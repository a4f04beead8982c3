#include "broker/shell/engine.h"

#include <pthread.h>
#include <stdlib.h>

#include "broker/shell/engine_internal.h"
#include "broker/shell/threads.h"
#include "common/transport/guard.h"

enum {
    BATCH_COST_MAX = 64 * 1024, /* bytes of requests; then what was decided goes on its way to the disk */
    BATCH_ITEM_COST = 2048,     /* of any event, beside its bytes */
    TICK_MS = 1000,             /* the thread shows a sign of life, and marks an idle log */
    STOPPING_POLL_MS = 10,      /* while stopping: has everything been answered? */
    GUEST_TURNS_MAX = 8,
};

/* ---- one step ---- */

static void on_record(void *ctx, struct jq_record *record) {
    struct jq_engine *engine = ctx;
    jq_ledger_record(engine->ledger, record);
}

static void on_effect(void *ctx, const struct jq_effect *effect) {
    struct jq_engine *engine = ctx;
    const struct jq_engine_config *config = &engine->config;
    if (effect->type == JQ_EFFECT_SURVEY) {
        config->survey(config->ctx, effect->u.survey);
    } else if (effect->type == JQ_EFFECT_READ_LOG) {
        config->read_log(config->ctx, effect->u.read_log.from_lsn, effect->u.read_log.end_lsn);
    } else if (effect->type == JQ_EFFECT_RING) {
        config->ring(config->ctx, effect->u.ring.worker, effect->u.ring.doorbell);
    } else if (effect->type == JQ_EFFECT_NEWS) {
        config->news(config->ctx, &effect->u.news);
    } else if (effect->type == JQ_EFFECT_REPLY && effect->u.reply.call == JQ_CALL_SNAPSHOT) {
        jq_engine_snapshot_reply(engine, &effect->u.reply);
    } else {
        struct jq_release_item *item = config->effect(config->ctx, effect, engine->current);
        if (item != NULL)
            jq_ledger_effect(engine->ledger, effect->level, item);
    }
}

void jq_engine_step(struct jq_engine *engine, struct jq_event *event) {
    engine->step_lsn = jq_ledger_end_lsn(engine->ledger);
    event->now_ms = engine->now_ms;
    event->wall_ms = engine->wall_ms;
    jq_core_step(engine->config.core, event, &engine->output);
}

static void step_plain(struct jq_engine *engine, enum jq_event_type type) {
    struct jq_event event = {.type = type};
    jq_engine_step(engine, &event);
}

/* Reads the clocks, once for all events of a turn. Core time never goes back. */
static void read_clock(struct jq_engine *engine) {
    const int64_t now_ms = jq_core_clock_now_ms(&engine->config.clock);
    engine->now_ms = now_ms > engine->now_ms ? now_ms : engine->now_ms;
    engine->wall_ms = engine->now_ms + jq_core_clock_wall_offset_ms(&engine->config.clock);
    atomic_store_explicit(&engine->beat_ns, jq_clock_mono_ns(), memory_order_relaxed);
}

/* ---- the log ---- */

/* Everything that is not tied to one task is stated again at the head of the new segment. */
static void write_prologue(struct jq_engine *engine) {
    step_plain(engine, JQ_EVENT_SEGMENT);
    engine->prologue_end_lsn = jq_ledger_end_lsn(engine->ledger);
    engine->prologue_needs_lsn = jq_core_needs_from(engine->config.core);
}

/* Lease answers below this LSN have gone out. */
static void tell_written(struct jq_engine *engine, uint64_t durable_lsn) {
    const uint64_t unsent_lsn = engine->config.unsent_lsn(engine->config.ctx);
    const uint64_t written_lsn = durable_lsn < unsent_lsn ? durable_lsn : unsent_lsn;
    if (written_lsn <= engine->written_lsn)
        return;
    engine->written_lsn = written_lsn;
    struct jq_event event = {.type = JQ_EVENT_WRITTEN, .u.written.lsn = written_lsn};
    jq_engine_step(engine, &event);
}

/* What the core is to know of the log's progress to `durable_lsn`: what waited for that has been sent. */
static void follow_log(struct jq_engine *engine, uint64_t durable_lsn) {
    const uint32_t rotations = jq_commit_rotations(jq_ledger_commit(engine->ledger));
    tell_written(engine, durable_lsn);
    if (durable_lsn != engine->seen_durable_lsn)
        engine->moved_ms = engine->now_ms;
    engine->seen_durable_lsn = durable_lsn;
    if (rotations != engine->rotations) {
        engine->rotations = rotations;
        engine->config.rotated(engine->config.ctx);
        /* A prologue that is larger than a segment makes rotations itself: answered by prologues they would never end. */
        if (engine->prologue_end_lsn == 0 || durable_lsn >= engine->prologue_end_lsn)
            write_prologue(engine);
    } else if (engine->prologue_end_lsn == 0 && jq_core_prologue_is_due(engine->config.core)) {
        write_prologue(engine); /* A log that hardly grows would not rotate for days. */
    }
    /* An answer that was decided before the prologue may still have to read a body where it stood then. */
    if (engine->prologue_end_lsn != 0 && durable_lsn >= engine->prologue_end_lsn &&
        engine->config.unsent_lsn(engine->config.ctx) >= engine->prologue_end_lsn) {
        engine->prologue_end_lsn = 0;
        engine->config.disposable(engine->config.ctx, engine->prologue_needs_lsn);
    }
}

/* The log has stood still for a while: its last block is covered, and segments that nobody needs any more can go, which takes a
 * prologue that says so. */
static void rest(struct jq_engine *engine) {
    if (engine->prologue_end_lsn == 0 && jq_core_needs_from(engine->config.core) > engine->prologue_needs_lsn)
        write_prologue(engine);
    jq_ledger_mark_idle(engine->ledger, engine->now_ms);
}

/* ---- one turn ---- */

static void handle(struct jq_engine *engine, struct jq_inbound *inbound) {
    if (inbound->errand != NULL) {
        inbound->errand(inbound);
    } else if (inbound->unwanted == NULL || !inbound->unwanted(inbound)) {
        engine->current = inbound;
        jq_engine_step(engine, &inbound->event);
        engine->current = NULL;
        engine->stopping = engine->stopping || inbound->event.type == JQ_EVENT_STOP;
    }
    if (inbound->admitted_bytes > 0)
        jq_inbox_settle(&engine->inbox, inbound->admitted_bytes,
                        atomic_load_explicit(&engine->beat_ns, memory_order_relaxed));
    inbound->done(inbound);
}

/* Takes everything that waits, in batches: what was decided shall be on its way to the disk soon. */
static void handle_inbox(struct jq_engine *engine) {
    size_t cost = 0;
    struct jq_inbox_item *item = jq_inbox_take_all(&engine->inbox);
    while (item != NULL) {
        struct jq_inbound *inbound = JQ_CONTAINER_OF(item, struct jq_inbound, item);
        item = item->next; /* Before done() may free it. */
        cost += BATCH_ITEM_COST + inbound->admitted_bytes;
        handle(engine, inbound);
        if (cost >= BATCH_COST_MAX) {
            jq_ledger_end(engine->ledger);
            jq_ledger_begin(engine->ledger);
            cost = 0;
        }
    }
}

static void turn(struct jq_engine *engine) {
    struct jq_commit *commit = jq_ledger_commit(engine->ledger);
    const uint64_t durable_lsn = jq_commit_durable_lsn(commit);
    jq_commit_release_due(commit);
    read_clock(engine);
    jq_ledger_begin(engine->ledger);
    handle_inbox(engine);
    follow_log(engine, durable_lsn);
    if (jq_core_deadline_ms(engine->config.core) <= engine->now_ms)
        step_plain(engine, JQ_EVENT_TIME);
    if (engine->now_ms - engine->moved_ms >= TICK_MS)
        rest(engine);
    if (jq_inbox_empty(&engine->inbox))
        jq_ledger_end_here(engine->ledger);
    else
        jq_ledger_end(engine->ledger);
}

/* 0 when the log has moved since it was last looked at. */
static int64_t pause_us(const struct jq_engine *engine) {
    const int64_t us_per_ms = 1000;
    if (jq_commit_durable_lsn(jq_ledger_commit(engine->ledger)) != engine->seen_durable_lsn)
        return 0;
    const int64_t deadline_ms = jq_core_deadline_ms(engine->config.core);
    const int64_t most_ms = engine->stopping ? STOPPING_POLL_MS : TICK_MS;
    if (deadline_ms >= engine->now_ms + most_ms)
        return most_ms * us_per_ms;
    return deadline_ms > engine->now_ms ? (deadline_ms - engine->now_ms) * us_per_ms : us_per_ms;
}

static bool finished(struct jq_engine *engine) {
    return engine->stopping && jq_inbox_empty(&engine->inbox) && jq_ledger_quiet(engine->ledger) &&
           engine->config.unsent_lsn(engine->config.ctx) == UINT64_MAX &&
           engine->config.all_answered(engine->config.ctx);
}

/* A guest that finds more and more to do leaves it to the core thread: it is one of the network's. */
void jq_engine_bring(struct jq_engine *engine, struct jq_inbox_item *item) {
    if (!jq_inbox_bring(&engine->inbox, item))
        return;
    int64_t timeout_us = 0;
    for (unsigned turns = 0; turns < GUEST_TURNS_MAX && (timeout_us <= 0 || jq_inbox_waits(&engine->inbox)); turns++) {
        jq_guard_hand_over();
        jq_inbox_serve(&engine->inbox);
        turn(engine);
        timeout_us = pause_us(engine);
    }
    jq_inbox_leave(&engine->inbox, timeout_us);
}

static void announce(struct jq_engine *engine, bool *flag) {
    pthread_mutex_lock(&engine->lock);
    *flag = true;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
}

static void begin_session(struct jq_engine *engine) {
    read_clock(engine);
    jq_ledger_begin(engine->ledger);
    jq_core_start(engine->config.core, jq_journal_epoch(engine->config.journal), engine->now_ms, engine->wall_ms,
                  &engine->output);
    write_prologue(engine);
    jq_ledger_end(engine->ledger);
    jq_ledger_sync(engine->ledger);
    engine->moved_ms = engine->now_ms;
    announce(engine, &engine->started);
}

static void *core_thread(void *arg) {
    struct jq_engine *engine = arg;
    jq_thread_name("jq-core");
    begin_session(engine);
    while (!finished(engine)) {
        jq_inbox_wait(&engine->inbox, pause_us(engine));
        turn(engine);
    }
    jq_ledger_begin(engine->ledger);
    jq_ledger_mark_idle(engine->ledger, engine->now_ms);
    jq_ledger_end(engine->ledger);
    jq_ledger_sync(engine->ledger);
    announce(engine, &engine->ended);
    return NULL;
}

/* ---- from other threads ---- */

struct jq_core *jq_engine_core(struct jq_engine *engine) {
    return engine->config.core;
}

struct jq_inbox *jq_engine_inbox(struct jq_engine *engine) {
    return &engine->inbox;
}

uint64_t jq_engine_step_lsn(const struct jq_engine *engine) {
    return engine->step_lsn;
}

const uint8_t *jq_engine_find(const struct jq_engine *engine, uint64_t lsn, size_t size) {
    return jq_ledger_find(engine->ledger, lsn, size);
}

struct jq_commit_point jq_engine_commit_point(struct jq_engine *engine) {
    return (struct jq_commit_point){.end_lsn = jq_ledger_cut(engine->ledger),
                                    .digest = jq_core_digest(engine->config.core),
                                    .wall_ms = engine->wall_ms};
}

void jq_engine_release_durable(struct jq_engine *engine, struct jq_release_item *item) {
    jq_ledger_effect(engine->ledger, JQ_EFFECT_DURABLE, item);
}

int64_t jq_engine_silent_ms(const struct jq_engine *engine) {
    const int64_t ns_per_ms = 1000000;
    return (jq_clock_mono_ns() - atomic_load_explicit(&engine->beat_ns, memory_order_relaxed)) / ns_per_ms;
}

static void keep(struct jq_inbound *inbound) {
    (void)inbound; /* It lies in the engine. */
}

void jq_engine_stop(struct jq_engine *engine) {
    engine->stop = (struct jq_inbound){.event.type = JQ_EVENT_STOP, .done = keep};
    jq_inbox_push(&engine->inbox, &engine->stop.item);
}

bool jq_engine_wait_end(struct jq_engine *engine, int64_t timeout_ms) {
    const struct timespec end = jq_thread_deadline(timeout_ms);
    pthread_mutex_lock(&engine->lock);
    int rv = 0;
    while (!engine->ended && rv == 0)
        rv = pthread_cond_timedwait(&engine->changed, &engine->lock, &end);
    const bool ended = engine->ended;
    pthread_mutex_unlock(&engine->lock);
    return ended;
}

enum jq_err jq_engine_start(struct jq_engine *engine, struct jq_error *reterr) {
    pthread_t thread;
    const int rv = pthread_create(&thread, NULL, core_thread, engine);
    if (rv != 0)
        return jq_fail_errno(reterr, rv, "core thread");
    (void)pthread_detach(thread);
    pthread_mutex_lock(&engine->lock);
    while (!engine->started)
        pthread_cond_wait(&engine->changed, &engine->lock);
    pthread_mutex_unlock(&engine->lock);
    return JQ_OK;
}

static void on_commit_done(void *ctx) {
    struct jq_engine *engine = ctx;
    jq_inbox_ring(&engine->inbox);
}

static void on_commit_release(void *ctx, struct jq_release_item *items) {
    struct jq_engine *engine = ctx;
    engine->config.release(engine->config.ctx, items);
}

static void on_commit_failed(void *ctx, const struct jq_error *error) {
    struct jq_engine *engine = ctx;
    engine->config.failed(engine->config.ctx, error);
}

enum jq_err jq_engine_new(const struct jq_engine_config *config, struct jq_engine **ret_engine,
                          struct jq_error *reterr) {
    struct jq_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "engine");
    engine->config = *config;
    engine->output = (struct jq_output){.ctx = engine, .record = on_record, .effect = on_effect};
    engine->beat_ns = jq_clock_mono_ns();
    engine->seen_durable_lsn = engine->written_lsn = jq_journal_durable_lsn(config->journal);
    jq_inbox_init(&engine->inbox, config->in_flight_max);
    JQ_CHECK(pthread_mutex_init(&engine->lock, NULL) == 0);
    jq_thread_cond_init(&engine->changed);
    const struct jq_commit_config commit = {
        .journal = config->journal,
        .metrics = config->metrics,
        .durable_when_written = config->durable_when_written,
        .ctx = engine,
        .release = on_commit_release,
        .done = on_commit_done,
        .failed = on_commit_failed,
    };
    const enum jq_err err = jq_ledger_new(&commit, config->ring_size_bytes, &engine->ledger, reterr);
    if (err != JQ_OK) {
        free(engine);
        return err;
    }
    *ret_engine = engine;
    return JQ_OK;
}
