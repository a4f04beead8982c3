/* sim_start.c - the broker's starts from what is on the disk, and its ends. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/record.h"
#include "tests/sim/sim.h"

enum { FIRST_SEGMENT_BYTES = JQ_SEGMENT_SIZE_MIN };

/* ---- replay ---- */

static enum jq_err on_block(void *ctx, const struct jq_block_info *info, struct jq_error *reterr) {
    struct sim_replay *replaying = ctx;
    (void)reterr;
    if (!replaying->begun) {
        replaying->begun = true;
        jq_core_replay_from(replaying->core, info->lsn);
        if (replaying->shadow) {
            jq_core_replay_from(replaying->shadow, info->lsn);
        }
    }
    replaying->time_ms = info->time_ms;
    return JQ_OK;
}

static enum jq_err replay(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    (void)heap_enter(true);
    const enum jq_err err = jq_core_replay(core, record, reterr);
    (void)heap_enter(false);
    return err;
}

static enum jq_err on_log_record(void *ctx, const struct jq_block_info *info, const struct jq_log_record *bytes,
                                 struct jq_error *reterr) {
    struct sim_replay *replaying = ctx;
    struct jq_record record;
    bool clock = false;
    (void)info;
    enum jq_err err = jq_record_decode(bytes->type, bytes->body, &replaying->time_ms, &record, &clock, reterr);
    if (err != JQ_OK || clock) {
        return err;
    }
    record.lsn = bytes->lsn;
    record.size = jq_record_size((uint32_t)bytes->body.size);
    replaying->end_lsn = record.lsn + record.size;
    err = replay(replaying->core, &record, reterr);
    if (err == JQ_OK && replaying->shadow) {
        err = replay(replaying->shadow, &record, reterr);
    }
    if (replaying->told) {
        oracle_record(replaying->sim, &record, true);
    }
    return err;
}

static void random_bytes(void *ctx, void *data, size_t size) {
    uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)jq_rng_next(&((struct sim *)ctx)->rng);
    }
}

enum jq_err replay_open(struct sim_replay *replaying, struct jq_simdisk *disk, struct jq_recovery_report *report,
                        struct jq_journal **ret_journal, struct jq_error *reterr) {
    struct sim *sim = replaying->sim;
    const struct jq_journal_config config = {.disk = jq_simdisk_disk(disk),
                                             .dir = JQ_STR("log"),
                                             .segment_size_bytes = sim->swarm.segment_bytes,
                                             .first_segment_size_bytes = FIRST_SEGMENT_BYTES,
                                             .wall_ms = sim->now_ms + sim->wall_offset_ms,
                                             .random = random_bytes,
                                             .random_ctx = sim};
    const struct jq_journal_replay replay = {.ctx = replaying, .on_block = on_block, .on_record = on_log_record};
    return jq_journal_open(&config, &replay, report, ret_journal, reterr);
}

/* ---- start ---- */

struct jq_core *core_make(struct sim *sim, uint64_t hash_seed) {
    struct jq_core *core = NULL;
    struct jq_error error;
    (void)heap_enter(true);
    const enum jq_err err = jq_core_new(&sim->config, hash_seed, &core, &error);
    (void)heap_enter(false);
    if (err != JQ_OK) {
        sim_fail(sim, "%s", error.message);
    }
    return core;
}

void core_end(struct jq_core *core) {
    (void)heap_enter(true);
    jq_core_free(core);
    (void)heap_enter(false);
}

/* What was recovered is what the broker was at some record, and no durable record is missing. */
static void check_recovered(struct sim *sim, uint64_t end_lsn) {
    struct sim_broker *broker = &sim->broker;
    const uint64_t digest = jq_core_digest(broker->core);
    if (digest != jq_core_digest(broker->shadow) || digest != jq_core_digest_slow(broker->core)) {
        sim_fail(sim, "two replays of one log differ");
    }
    if (broker->digest_count == 0) {
        broker_note_digest(sim, end_lsn);
    }
    for (size_t i = broker->digest_count; i > 0; i--) {
        if (broker->digests[i - 1].end_lsn == end_lsn) {
            if (broker->digests[i - 1].digest != digest) {
                sim_fail(sim, "a replay up to lsn %" PRIu64 " gives another state than the broker had", end_lsn);
            }
            broker->digests[0] = broker->digests[i - 1];
            broker->digest_count = 1;
            return;
        }
    }
    sim_fail(sim, "the log ends at lsn %" PRIu64 ", durable was %" PRIu64, end_lsn, broker->digests[0].end_lsn);
}

static void open_session(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    const struct jq_output output = broker_output(sim);
    struct jq_journal_stat stat;
    jq_journal_stat(broker->journal, &stat);
    broker->room_bytes = stat.room_bytes;
    broker->durable_lsn = stat.durable_lsn;
    JQ_CHECK(jq_log_ring_new(JQ_LOG_RING_SIZE_MIN, stat.durable_lsn, &broker->ring, NULL) == JQ_OK);
    jq_release_init(&broker->release, stat.durable_lsn);
    broker->last_effect = &broker->steps_effects;
    broker->up = true;
    broker->serving = false;
    broker->run++;
    broker->started_ms = sim->now_ms;
    broker->live_most = broker->tasks_before = 0;
    broker->spare_failed = broker->stopping = false;
    broker->deleted_lsn = stat.first_lsn;
    broker->told_lsn = 0;
    reader_start(sim);
    sim->counts.starts++;
    (void)heap_enter(true);
    jq_core_start(broker->core, jq_journal_epoch(broker->journal), sim->now_ms, sim->now_ms + sim->wall_offset_ms,
                  &output);
    (void)heap_enter(false);
    blobs_open(sim);
    log_prologue(sim);
    log_commit_start(sim);
    blobs_tell(sim);
}

/* The disk did not let it start: again in a while, as a supervisor would. */
static void start_failed(struct sim *sim, const struct jq_error *error) {
    if (!log_may_fail(sim, error)) {
        sim_fail(sim, "the log cannot be opened: %s", error->message);
    }
    if (!jq_simdisk_power_is_off(sim->disk)) {
        sim_say(sim, "the broker cannot start: %s", error->message);
        sim->disk_faulty = sim->disk_faulty && sim->disk_full;
        sim->counts.refused_starts++;
    }
    broker_crash(sim, jq_simdisk_power_is_off(sim->disk));
}

void broker_start(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    struct jq_recovery_report report = {.epoch = 0};
    struct jq_error error = {.code = JQ_OK};
    struct sim_rot rot = {.tried = false};
    if (sim_strikes(sim, SIM_ROT)) {
        rot_try(sim, &rot);
    }
    broker->core = core_make(sim, sim->options->seed);
    broker->shadow = core_make(sim, ~sim->options->seed);
    oracle_forget_records(sim);
    struct sim_replay replaying = {.sim = sim, .core = broker->core, .shadow = broker->shadow, .told = true};
    if (replay_open(&replaying, sim->disk, &report, &broker->journal, &error) != JQ_OK) {
        start_failed(sim, &error);
        return;
    }
    check_recovered(sim, replaying.end_lsn);
    rot_check(sim, &rot, replaying.end_lsn, report.block_count);
    oracle_promises(sim);
    sim_say(sim, "broker starts: epoch %" PRIu64 ", %" PRIu64 " records from lsn %" PRIu64 " to %" PRIu64, report.epoch,
            report.record_count, report.first_lsn, report.end_lsn);
    open_session(sim);
}

/* ---- crash ---- */

static void drop_effects(struct sim_broker *broker) {
    while (broker->steps_effects) {
        struct kept *next = broker->steps_effects->next;
        kept_free(broker->steps_effects);
        broker->steps_effects = next;
    }
    broker->last_effect = &broker->steps_effects;
    if (!broker->ring) {
        return;
    }
    jq_release_advance(&broker->release, UINT64_MAX, UINT64_MAX); /* what waits goes nowhere */
    struct jq_release_item *item = jq_release_take_all(&broker->release);
    while (item) {
        struct jq_release_item *next = item->next;
        kept_free((struct kept *)item);
        item = next;
    }
}

static void drop_memory(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    drop_effects(broker);
    core_end(broker->core);
    core_end(broker->shadow);
    bounds_ended(sim);
    jq_log_ring_free(broker->ring);
    reader_free(broker);
    jq_journal_free(broker->journal);
    broker->core = broker->shadow = NULL;
    broker->ring = NULL;
    broker->journal = NULL;
    broker->up = broker->committing = false;
    broker->prologue_end_lsn = 0;
    broker->asleep_until_ms = 0;
    jq_map_fini(&broker->call_actor);
    jq_map_init(&broker->call_actor);
    for (size_t i = 0; i < broker->call_capacity; i++) {
        free(broker->call_requests[i]);
        broker->call_requests[i] = NULL;
    }
}

void broker_crash(struct sim *sim, bool power) {
    static const struct jq_simdisk_loss losses[] = {
        {.keep = 1}, {.lose = 1}, {.keep = 1, .lose = 1}, {.keep = 1, .lose = 1, .garble = 1, .unordered = true}};
    sim_say(sim, "broker crashes (%s)", power ? "power failure" : "killed");
    sim->counts.crashes++;
    drop_memory(sim);
    if (power) {
        jq_simdisk_crash(sim->disk, losses[sim_below(sim, 4)]);
        sim->disk_faulty = false;
    } else {
        jq_simdisk_kill(sim->disk);
    }
    int64_t away_ms = 1 + (int64_t)sim_below(sim, sim->calm ? 10 : 5000);
    if (sim_strikes(sim, SIM_AWAY)) {
        away_ms += (int64_t)sim_detail(sim, sim_detail(sim, 16) ? 300000 : 1300000);
    }
    sim_add(sim, SIM_START_BROKER, sim->now_ms + away_ms);
}

void broker_free(struct sim *sim) {
    drop_memory(sim);
    free(sim->broker.digests);
    free(sim->broker.call_requests);
    jq_map_fini(&sim->broker.call_actor);
    jq_buf_fini(&sim->broker.body);
}
