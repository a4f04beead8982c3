/* sim_log.c - the log of the simulated broker: group commit in two phases, one block under way; rotation, the next segment's
 * space, deletion; and the faults of the disk below. */
#include <errno.h>
#include <inttypes.h>

#include "tests/sim/sim.h"

enum { SPARE_STEP_BYTES = 16 * 1024 };

/* ---- what a fault excuses ---- */

bool log_may_fail(const struct sim *sim, const struct jq_error *error) {
    return jq_simdisk_power_is_off(sim->disk) || (sim->disk_faulty && error->sys_errno == EIO) ||
           (sim->disk_full && error->code == JQ_ERR_NO_SPACE);
}

/* The broker stops, as the shell does: nothing is tried again. */
void log_failed(struct sim *sim, const struct jq_error *error) {
    const bool power = jq_simdisk_power_is_off(sim->disk);
    if (!log_may_fail(sim, error)) {
        sim_fail(sim, "the journal failed: %s", error->message);
    }
    if (!power) {
        sim_say(sim, "the journal failed: %s", error->message);
        sim->disk_faulty = sim->disk_faulty && error->sys_errno != EIO;
    }
    broker_crash(sim, power);
}

/* ---- group commit ---- */

static int64_t disk_time(struct sim *sim) {
    return sim->now_ms + (int64_t)sim_below(sim, (uint64_t)(sim->calm ? 3 : sim->swarm.commit_max_ms));
}

/* True if there is a block to write. An empty one now and then, as after a second of idleness. */
static bool something_to_write(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    if (jq_log_ring_record_count(broker->ring) > 0) {
        return true;
    }
    if (jq_log_ring_building(broker->ring) || sim->calm || sim_below(sim, 50) > 0) {
        return false;
    }
    JQ_CHECK(jq_log_ring_begin(broker->ring, jq_journal_epoch(broker->journal), sim->now_ms));
    broker->clock_ms = sim->now_ms;
    return true;
}

static bool block_write(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    struct jq_error error;
    broker->block = jq_log_ring_seal(broker->ring);
    broker->committing = true;
    if (jq_journal_write_block(broker->journal, &broker->block, &error) != JQ_OK) {
        log_failed(sim, &error);
        return false;
    }
    return true;
}

void log_commit(struct sim *sim) {
    const struct sim_broker *broker = &sim->broker;
    if (!broker->committing && broker->serving && something_to_write(sim) && block_write(sim)) {
        sim_add(sim, SIM_WRITTEN, disk_time(sim))->number = broker->run;
    }
}

/* What a start emits is synced before anything is served. */
void log_commit_start(struct sim *sim) {
    sim->broker.serving = true;
    if (something_to_write(sim) && block_write(sim)) {
        log_synced(sim);
    }
}

void log_written(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    jq_release_advance(&broker->release, broker->block.lsn + broker->block.size_bytes, broker->durable_lsn);
    broker_release(sim);
    sim_add(sim, SIM_SYNCED, disk_time(sim))->number = broker->run;
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

/* ---- segments ---- */

void log_prologue(struct sim *sim) {
    struct jq_event event = {.type = JQ_EVENT_SEGMENT};
    const uint64_t begin_lsn = sim->oracle.end_lsn;
    broker_event(sim, &event);
    if (sim->broker.up) {
        sim->broker.prologue_bytes = sim->oracle.end_lsn - begin_lsn;
        sim->broker.prologue_end_lsn = jq_log_ring_end_lsn(sim->broker.ring);
        sim->broker.prologue_needs_lsn = jq_core_needs_from(sim->broker.core);
    }
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
        log_failed(sim, &error);
        return false;
    }
    broker->deleted_lsn = broker->prologue_needs_lsn;
    move_files(sim);
    return true;
}

static void tell_room(struct sim *sim, bool failed) {
    struct jq_event event = {.type = JQ_EVENT_DISK, .u.disk.free_bytes = failed ? 0 : UINT64_C(1) << 40};
    sim->broker.spare_failed = failed;
    broker_event(sim, &event);
}

/* Space for the next segment is claimed early: what is full is met before a task is accepted. */
static bool fill_spare(struct sim *sim) {
    struct jq_journal_stat stat;
    struct jq_error error;
    bool ready = false;
    jq_journal_stat(sim->broker.journal, &stat);
    if (stat.spare_ready) {
        return true;
    }
    const enum jq_err err = jq_journal_fill_spare_step(sim->broker.journal, SPARE_STEP_BYTES, &ready, &error);
    if (err != JQ_OK && (err != JQ_ERR_NO_SPACE || !log_may_fail(sim, &error))) {
        log_failed(sim, &error);
        return false;
    }
    if ((err != JQ_OK) != sim->broker.spare_failed) {
        tell_room(sim, err != JQ_OK);
    }
    return sim->broker.up;
}

void log_synced(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    struct jq_error error;
    if (jq_journal_sync(broker->journal, &error) != JQ_OK) {
        log_failed(sim, &error);
        return;
    }
    broker->committing = false;
    broker->durable_lsn = broker->block.lsn + broker->block.size_bytes;
    jq_log_ring_release(broker->ring, broker->durable_lsn);
    jq_release_advance(&broker->release, broker->durable_lsn, broker->durable_lsn);
    broker_release(sim);
    digests_trim(broker);
    const bool moved = rotated(broker);
    if (!delete_old(sim) || !fill_spare(sim)) {
        return;
    }
    broker->told_lsn = broker->durable_lsn;
    struct jq_event written = {.type = JQ_EVENT_WRITTEN, .u.written.lsn = broker->durable_lsn};
    broker_event(sim, &written);
    /* As in the broker: a prologue larger than a segment must not be answered by another. */
    if (broker->up && broker->prologue_end_lsn == 0 && (moved || jq_core_prologue_is_due(broker->core))) {
        log_prologue(sim);
    }
    move_settled(sim);
}

/* ---- faults ---- */

void disk_fail(struct sim *sim) {
    static const enum jq_simdisk_op ops[] = {JQ_SIMDISK_WRITE,  JQ_SIMDISK_SYNC,     JQ_SIMDISK_SYNC,
                                             JQ_SIMDISK_CREATE, JQ_SIMDISK_ALLOCATE, JQ_SIMDISK_RENAME,
                                             JQ_SIMDISK_UNLINK, JQ_SIMDISK_SYNC_DIR, JQ_SIMDISK_READ};
    if (!sim->disk_faulty) {
        sim->disk_faulty = true;
        jq_simdisk_fail(sim->disk, ops[sim_detail(sim, sizeof(ops) / sizeof(ops[0]))], sim_detail(sim, 4), EIO);
        sim_say(sim, "an operation of the disk is going to fail");
    }
}

void disk_fill(struct sim *sim) {
    struct jq_journal_stat stat;
    jq_journal_stat(sim->broker.journal, &stat);
    sim->disk_full = true;
    jq_simdisk_set_capacity(sim->disk, stat.file_bytes + sim_detail(sim, 2 * sim->swarm.segment_bytes));
    sim_add(sim, SIM_DISK_WELL, sim->now_ms + 1 + (int64_t)sim_detail(sim, 60000));
    sim_say(sim, "the disk fills up");
}

void disk_well(struct sim *sim) {
    sim->disk_full = false;
    jq_simdisk_set_capacity(sim->disk, UINT64_MAX);
}
