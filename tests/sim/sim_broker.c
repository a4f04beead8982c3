/* sim_broker.c - the shell around a real core, in one thread: ring, journal, group commit in two phases, release of effects. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/record.h"
#include "common/buf.h"
#include "tests/sim/sim.h"

enum { FIRST_SEGMENT_BYTES = JQ_SEGMENT_SIZE_MIN };

/* ---- what the core puts out ---- */

static uint64_t append(struct sim *sim, uint8_t type, int64_t time_ms) {
    struct sim_broker *broker = &sim->broker;
    JQ_CHECK(!broker->body.failed);
    if (!jq_log_ring_building(broker->ring)) {
        JQ_CHECK(jq_log_ring_begin(broker->ring, jq_journal_epoch(broker->journal), time_ms));
        broker->clock_ms = time_ms;
    }
    const uint64_t lsn = jq_log_ring_append(broker->ring, type, jq_buf_bytes(&broker->body));
    JQ_CHECK(lsn != 0); /* no run comes near to a full block */
    return lsn;
}

static void note_digest(struct sim *sim, uint64_t end_lsn) {
    struct sim_broker *broker = &sim->broker;
    if (broker->digest_count == broker->digest_capacity) {
        broker->digest_capacity = broker->digest_capacity ? broker->digest_capacity * 2 : 1024;
        broker->digests = realloc(broker->digests, broker->digest_capacity * sizeof(*broker->digests));
        JQ_CHECK(broker->digests != NULL);
    }
    broker->digests[broker->digest_count++] = (struct sim_digest){end_lsn, jq_core_digest(broker->shadow)};
}

/* The shadow sees the bytes, not the struct. */
static void shadow_apply(struct sim *sim, uint8_t type, const struct jq_record *told) {
    struct jq_record record;
    struct jq_error error;
    bool clock = false;
    int64_t time_ms = told->time_ms;
    if (jq_record_decode(type, jq_buf_bytes(&sim->broker.body), &time_ms, &record, &clock, &error) != JQ_OK) {
        sim_fail(sim, "a record that was just encoded: %s", error.message);
    }
    record.lsn = told->lsn;
    record.size = told->size;
    if (jq_core_replay(sim->broker.shadow, &record, &error) != JQ_OK) {
        sim_fail(sim, "the shadow refuses %s: %s", jq_record_type_name(type), error.message);
    }
    oracle_record(sim, &record, false);
}

static void on_record(void *ctx, struct jq_record *record) {
    struct sim *sim = ctx;
    struct sim_broker *broker = &sim->broker;
    if (jq_log_ring_building(broker->ring) && broker->clock_ms != record->time_ms) {
        jq_buf_clear(&broker->body);
        jq_record_encode_clock(broker->clock_ms, record->time_ms, &broker->body);
        (void)append(sim, JQ_RECORD_CLOCK, broker->clock_ms);
        broker->clock_ms = record->time_ms;
    }
    jq_buf_clear(&broker->body);
    jq_record_encode(record, &broker->body);
    record->lsn = append(sim, (uint8_t)record->type, record->time_ms);
    record->size = jq_record_size((uint32_t)broker->body.size);
    shadow_apply(sim, (uint8_t)record->type, record);
    note_digest(sim, record->lsn + record->size);
}

static void on_effect(void *ctx, const struct jq_effect *effect) {
    struct sim *sim = ctx;
    struct sim_broker *broker = &sim->broker;
    if (effect->type == JQ_EFFECT_SURVEY) {
        net_send_survey(sim, effect->u.survey);
        return;
    }
    if (effect->type == JQ_EFFECT_NEWS || effect->type == JQ_EFFECT_NOTICE) {
        return;
    }
    struct kept *kept = kept_copy(effect);
    kept->item.lsn = jq_log_ring_end_lsn(broker->ring);
    *broker->last_effect = kept;
    broker->last_effect = &kept->next;
}

static struct jq_output output_of(struct sim *sim) {
    return (struct jq_output){sim, on_record, on_effect};
}

/* ---- releasing ---- */

static struct sim_request *call_close(struct sim *sim, uint64_t call) {
    struct sim_broker *broker = &sim->broker;
    const uint32_t at = jq_map_get(&broker->call_actor, call, UINT32_MAX);
    if (at == UINT32_MAX) {
        sim_fail(sim, "call %" PRIu64 " is answered or dropped twice, or was never made", call);
    }
    (void)jq_map_remove(&broker->call_actor, call);
    struct sim_request *request = broker->call_requests[at];
    broker->call_requests[at] = NULL;
    return request;
}

static void check_level(struct sim *sim, const struct kept *kept) {
    const struct jq_journal *journal = sim->broker.journal;
    const uint64_t lsn = kept->item.lsn;
    if ((kept->effect.level == JQ_EFFECT_WRITTEN && jq_journal_written_lsn(journal) < lsn) ||
        (kept->effect.level == JQ_EFFECT_DURABLE && jq_journal_durable_lsn(journal) < lsn)) {
        sim_fail(sim, "an effect was released before the log came to lsn %" PRIu64, lsn);
    }
}

static void send_out(struct sim *sim, struct kept *kept) {
    check_level(sim, kept);
    if (kept->effect.type == JQ_EFFECT_DROP) {
        free(call_close(sim, kept->effect.u.drop_call));
        kept_free(kept);
        return;
    }
    struct sim_request *request = call_close(sim, kept->effect.u.reply.call);
    oracle_reply(sim, request, &kept->effect.u.reply);
    net_send_reply(sim, request->actor, kept);
    free(request);
}

static void release(struct sim *sim) {
    struct jq_release_item *item = jq_release_take_all(&sim->broker.release);
    while (item) {
        struct jq_release_item *next = item->next;
        send_out(sim, (struct kept *)item);
        item = next;
    }
}

/* ---- group commit: one block under way ---- */

static void commit_failed(struct sim *sim, const struct jq_error *error) {
    if (!jq_simdisk_power_is_off(sim->disk)) {
        sim_fail(sim, "the journal failed: %s", error->message);
    }
    broker_crash(sim, true);
}

static void commit_begin(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    if (broker->committing) {
        return;
    }
    if (jq_log_ring_record_count(broker->ring) == 0) {
        if (jq_log_ring_building(broker->ring) || !sim_of(sim, 1, 50)) {
            return; /* else: an empty block, as after a second of idleness */
        }
        JQ_CHECK(jq_log_ring_begin(broker->ring, jq_journal_epoch(broker->journal), sim->now_ms));
        broker->clock_ms = sim->now_ms;
    }
    struct jq_error error;
    broker->block = jq_log_ring_seal(broker->ring);
    broker->committing = true;
    if (jq_journal_write_block(broker->journal, &broker->block, &error) != JQ_OK) {
        commit_failed(sim, &error);
        return;
    }
    const uint64_t most_ms = (uint64_t)(sim->calm ? 3 : sim->swarm.commit_max_ms);
    sim_add(sim, SIM_WRITTEN, sim->now_ms + (int64_t)sim_below(sim, most_ms))->number = broker->run;
}

void broker_written(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    jq_release_advance(&broker->release, broker->block.lsn + broker->block.size_bytes, broker->durable_lsn);
    release(sim);
    const uint64_t most_ms = (uint64_t)(sim->calm ? 3 : sim->swarm.commit_max_ms);
    sim_add(sim, SIM_SYNCED, sim->now_ms + (int64_t)sim_below(sim, most_ms))->number = broker->run;
}

/* History below what is durable is of no use: no crash leads back there. */
static void digests_trim(struct sim_broker *broker) {
    size_t kept = 0;
    while (kept + 1 < broker->digest_count && broker->digests[kept + 1].end_lsn <= broker->durable_lsn) {
        kept++;
    }
    broker->digest_count -= kept;
    memmove(broker->digests, broker->digests + kept, broker->digest_count * sizeof(*broker->digests));
}

static void write_prologue(struct sim *sim) {
    struct jq_event event = {.type = JQ_EVENT_SEGMENT};
    broker_event(sim, &event);
    if (!sim->broker.up) {
        return;
    }
    sim->broker.prologue_end_lsn = jq_log_ring_end_lsn(sim->broker.ring);
    sim->broker.prologue_needs_lsn = jq_core_needs_from(sim->broker.core);
}

static bool rotated(struct sim_broker *broker) {
    struct jq_journal_stat stat;
    jq_journal_stat(broker->journal, &stat);
    const bool moved = stat.room_bytes + broker->block.size_bytes != broker->room_bytes;
    broker->room_bytes = stat.room_bytes;
    return moved;
}

static bool delete_old(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    struct jq_error error;
    if (broker->prologue_end_lsn == 0 || broker->durable_lsn < broker->prologue_end_lsn) {
        return true;
    }
    broker->prologue_end_lsn = 0;
    if (jq_journal_delete_below(broker->journal, broker->prologue_needs_lsn, NULL, &error) != JQ_OK) {
        commit_failed(sim, &error);
        return false;
    }
    return true;
}

void broker_synced(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    struct jq_error error;
    if (jq_journal_sync(broker->journal, &error) != JQ_OK) {
        commit_failed(sim, &error);
        return;
    }
    broker->committing = false;
    broker->durable_lsn = broker->block.lsn + broker->block.size_bytes;
    jq_log_ring_release(broker->ring, broker->durable_lsn);
    jq_release_advance(&broker->release, broker->durable_lsn, broker->durable_lsn);
    release(sim);
    digests_trim(broker);
    const bool moved = rotated(broker);
    if (!delete_old(sim)) {
        return;
    }
    struct jq_event written = {.type = JQ_EVENT_WRITTEN, .u.written.lsn = broker->durable_lsn};
    broker_event(sim, &written);
    if (broker->up && moved) {
        write_prologue(sim);
    }
}

/* ---- steps ---- */

static void hold_effects(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    struct kept *kept = broker->steps_effects;
    broker->steps_effects = NULL;
    broker->last_effect = &broker->steps_effects;
    while (kept) {
        struct kept *next = kept->next;
        jq_release_push(&broker->release, &kept->item);
        kept = next;
    }
    release(sim);
}

static void check_digests(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    if (jq_core_digest(broker->core) != jq_core_digest(broker->shadow)) {
        sim_fail(sim, "the shadow that read the step's bytes is in another state than the core");
    }
    if (++broker->steps % 128 == 0 && (jq_core_digest(broker->core) != jq_core_digest_slow(broker->core) ||
                                       jq_core_digest(broker->shadow) != jq_core_digest_slow(broker->shadow))) {
        sim_fail(sim, "the digest that is kept is not the digest of the entries");
    }
}

void broker_event(struct sim *sim, struct jq_event *event) {
    struct sim_broker *broker = &sim->broker;
    if (!broker->up) {
        return;
    }
    const struct jq_output output = output_of(sim);
    event->now_ms = sim->now_ms;
    event->wall_ms = sim->now_ms + sim->wall_offset_ms;
    jq_core_step(broker->core, event, &output);
    check_digests(sim);
    hold_effects(sim);
    commit_begin(sim);
}

static void call_open(struct sim *sim, struct sim_request *request) {
    struct sim_broker *broker = &sim->broker;
    request->r.call = ++broker->calls;
    size_t at = 0;
    while (at < broker->call_capacity && broker->call_requests[at]) {
        at++;
    }
    if (at == broker->call_capacity) {
        broker->call_capacity = broker->call_capacity ? broker->call_capacity * 2 : 64;
        broker->call_requests = realloc(broker->call_requests, broker->call_capacity * sizeof(*broker->call_requests));
        JQ_CHECK(broker->call_requests != NULL);
        memset(broker->call_requests + at, 0, (broker->call_capacity - at) * sizeof(*broker->call_requests));
    }
    broker->call_requests[at] = request;
    JQ_CHECK(jq_map_put(&broker->call_actor, request->r.call, (uint32_t)at));
}

static void aim_pointers(struct sim_request *request) {
    switch (request->r.op) {
    case JQ_OP_SUBMIT:
        request->r.u.submit.items = request->items;
        for (size_t i = 0; i < request->r.u.submit.count; i++) {
            request->items[i].key.data = request->keys[i];
        }
        break;
    case JQ_OP_LEASE:
    case JQ_OP_REPORT:
        request->r.u.lease.reports = request->reports;
        request->r.u.lease.held = request->held;
        break;
    case JQ_OP_WAIT: request->r.u.wait.ids = request->ids; break;
    case JQ_OP_TASK_CANCEL:
    case JQ_OP_DEAD_REPLAY:
    case JQ_OP_DEAD_RM: request->r.u.tasks.ids = request->ids; break;
    default: break;
    }
}

void broker_deliver(struct sim *sim, struct sim_request *request) {
    if (!sim->broker.up) {
        free(request);
        return;
    }
    aim_pointers(request);
    call_open(sim, request);
    struct jq_event event = {.type = JQ_EVENT_REQUEST, .u.request = request->r};
    broker_event(sim, &event);
}

int64_t broker_deadline_ms(const struct sim *sim) {
    if (!sim->broker.up) {
        return INT64_MAX;
    }
    const int64_t deadline_ms = jq_core_deadline_ms(sim->broker.core);
    return deadline_ms > sim->broker.asleep_until_ms ? deadline_ms : sim->broker.asleep_until_ms;
}

/* ---- start ---- */

struct replaying {
    struct sim *sim;
    int64_t time_ms;
    bool begun;
    uint64_t end_lsn; /* of the last record */
};

static enum jq_err on_block(void *ctx, const struct jq_block_info *info, struct jq_error *reterr) {
    struct replaying *replaying = ctx;
    (void)reterr;
    if (!replaying->begun) {
        replaying->begun = true;
        jq_core_replay_from(replaying->sim->broker.core, info->lsn);
        jq_core_replay_from(replaying->sim->broker.shadow, info->lsn);
    }
    replaying->time_ms = info->time_ms;
    return JQ_OK;
}

static enum jq_err on_log_record(void *ctx, const struct jq_block_info *info, const struct jq_log_record *bytes,
                                 struct jq_error *reterr) {
    struct replaying *replaying = ctx;
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
    err = jq_core_replay(replaying->sim->broker.core, &record, reterr);
    if (err == JQ_OK) {
        err = jq_core_replay(replaying->sim->broker.shadow, &record, reterr);
    }
    oracle_record(replaying->sim, &record, true);
    return err;
}

static void random_bytes(void *ctx, void *data, size_t size) {
    uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)jq_rng_next(&((struct sim *)ctx)->rng);
    }
}

static void make_cores(struct sim *sim) {
    struct jq_error error;
    if (jq_core_new(&sim->config, sim->seed, &sim->broker.core, &error) != JQ_OK ||
        jq_core_new(&sim->config, ~sim->seed, &sim->broker.shadow, &error) != JQ_OK) {
        sim_fail(sim, "%s", error.message);
    }
}

/* Opens the log; false: the power failed again. */
static bool recover(struct sim *sim, struct replaying *replaying, struct jq_recovery_report *report) {
    const struct jq_journal_config config = {.disk = jq_simdisk_disk(sim->disk),
                                             .dir = JQ_STR("log"),
                                             .segment_size_bytes = sim->swarm.segment_bytes,
                                             .first_segment_size_bytes = FIRST_SEGMENT_BYTES,
                                             .wall_ms = sim->now_ms + sim->wall_offset_ms,
                                             .random = random_bytes,
                                             .random_ctx = sim};
    const struct jq_journal_replay replay = {.ctx = replaying, .on_block = on_block, .on_record = on_log_record};
    struct jq_error error = {.code = JQ_OK};
    if (jq_journal_open(&config, &replay, report, &sim->broker.journal, &error) == JQ_OK) {
        return true;
    }
    if (!jq_simdisk_power_is_off(sim->disk)) {
        sim_fail(sim, "the log cannot be opened: %s", error.message);
    }
    return false;
}

/* What was recovered is what the broker was at some record, and no durable record is missing. */
static void check_recovered(struct sim *sim, uint64_t end_lsn) {
    struct sim_broker *broker = &sim->broker;
    if (jq_core_digest(broker->core) != jq_core_digest(broker->shadow) ||
        jq_core_digest(broker->core) != jq_core_digest_slow(broker->core)) {
        sim_fail(sim, "two replays of one log differ");
    }
    if (broker->digest_count == 0) {
        note_digest(sim, end_lsn);
    }
    for (size_t i = broker->digest_count; i > 0; i--) {
        if (broker->digests[i - 1].end_lsn == end_lsn) {
            if (broker->digests[i - 1].digest != jq_core_digest(broker->core)) {
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
    const struct jq_output output = output_of(sim);
    struct jq_journal_stat stat;
    jq_journal_stat(broker->journal, &stat);
    broker->room_bytes = stat.room_bytes;
    broker->durable_lsn = stat.durable_lsn;
    JQ_CHECK(jq_log_ring_new(JQ_LOG_RING_SIZE_MIN, stat.durable_lsn, &broker->ring, NULL) == JQ_OK);
    jq_release_init(&broker->release, stat.durable_lsn);
    broker->last_effect = &broker->steps_effects;
    broker->up = true;
    broker->run++;
    broker->starts++;
    jq_core_start(broker->core, jq_journal_epoch(broker->journal), sim->now_ms, sim->now_ms + sim->wall_offset_ms,
                  &output);
    write_prologue(sim);
}

void broker_start(struct sim *sim) {
    struct replaying replaying = {.sim = sim};
    struct jq_recovery_report report;
    make_cores(sim);
    oracle_forget_records(sim);
    if (!recover(sim, &replaying, &report)) {
        broker_crash(sim, true);
        return;
    }
    check_recovered(sim, replaying.end_lsn);
    oracle_promises(sim);
    sim_say(sim, "broker starts: epoch %" PRIu64 ", %" PRIu64 " records from lsn %" PRIu64 " to %" PRIu64, report.epoch,
            report.record_count, report.first_lsn, report.end_lsn);
    open_session(sim);
}

/* ---- crash ---- */

static void drop_memory(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    while (broker->steps_effects) {
        struct kept *next = broker->steps_effects->next;
        kept_free(broker->steps_effects);
        broker->steps_effects = next;
    }
    broker->last_effect = &broker->steps_effects;
    if (broker->ring) { /* what waits goes nowhere */
        jq_release_advance(&broker->release, UINT64_MAX, UINT64_MAX);
        struct jq_release_item *item = jq_release_take_all(&broker->release);
        while (item) {
            struct jq_release_item *next = item->next;
            kept_free((struct kept *)item);
            item = next;
        }
    }
    jq_core_free(broker->core);
    jq_core_free(broker->shadow);
    jq_log_ring_free(broker->ring);
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
    sim->crashes++;
    drop_memory(sim);
    if (power) {
        jq_simdisk_crash(sim->disk, losses[sim_below(sim, 4)]);
    } else {
        jq_simdisk_kill(sim->disk);
    }
    sim_add(sim, SIM_START_BROKER, sim->now_ms + (int64_t)sim_below(sim, sim->calm ? 10 : 5000));
}

void broker_free(struct sim *sim) {
    drop_memory(sim);
    free(sim->broker.digests);
    free(sim->broker.call_requests);
    jq_map_fini(&sim->broker.call_actor);
    jq_buf_fini(&sim->broker.body);
}
