#include "broker/shell/ledger.h"

#include <stdlib.h>

#include "broker/record.h"

enum { SEALED_MAX = 8 };

struct jq_ledger {
    struct jq_log_ring *ring;
    struct jq_commit *commit;
    struct jq_journal *journal;
    uint64_t epoch;

    struct jq_buf body;     /* of the record that is being written */
    int64_t clock_ms;       /* time at which the next record of the block stands without a clock record */
    bool last_block_marked; /* the last block is empty: it covers the one before */

    /* Whole blocks that wait for the one under way. */
    struct jq_sealed_block sealed[SEALED_MAX];
    size_t sealed_first, sealed_count;

    /* Effects of this batch. */
    struct jq_release_item *effects;
    struct jq_release_item **last_effect;
};

/* ---- blocks ---- */

static void start_oldest_sealed(struct jq_ledger *ledger) {
    const struct jq_sealed_block *block = &ledger->sealed[ledger->sealed_first];
    jq_commit_start(ledger->commit, block);
    ledger->sealed_first = (ledger->sealed_first + 1) % SEALED_MAX;
    ledger->sealed_count--;
}

uint64_t jq_ledger_settle(struct jq_ledger *ledger) {
    const uint64_t durable_lsn = jq_commit_durable_lsn(ledger->commit);
    jq_log_ring_release(ledger->ring, durable_lsn);
    return durable_lsn;
}

/* Gives the oldest whole block to a commit thread that has nothing to do. */
static void pump(struct jq_ledger *ledger) {
    if (!jq_commit_idle(ledger->commit))
        return;
    (void)jq_ledger_settle(ledger);
    if (ledger->sealed_count > 0)
        start_oldest_sealed(ledger);
}

static void wait_for_room(struct jq_ledger *ledger) {
    jq_commit_wait(ledger->commit);
    pump(ledger);
}

/* The block under construction is full: the disk gets it now, or when it is done with those before. */
static void seal_full(struct jq_ledger *ledger) {
    while (ledger->sealed_count == SEALED_MAX)
        wait_for_room(ledger);
    ledger->sealed[(ledger->sealed_first + ledger->sealed_count++) % SEALED_MAX] = jq_log_ring_seal(ledger->ring);
    pump(ledger);
}

static void begin_block(struct jq_ledger *ledger, int64_t time_ms) {
    while (!jq_log_ring_begin(ledger->ring, ledger->epoch, time_ms))
        wait_for_room(ledger);
    ledger->clock_ms = time_ms;
}

/* ---- records ---- */

static uint64_t append(struct jq_ledger *ledger, uint8_t type, int64_t time_ms) {
    JQ_CHECK(!ledger->body.failed && ledger->body.size <= JQ_RECORD_BODY_SIZE_MAX);
    if (!jq_log_ring_building(ledger->ring))
        begin_block(ledger, time_ms);
    uint64_t lsn = jq_log_ring_append(ledger->ring, type, jq_buf_bytes(&ledger->body));
    if (lsn == 0) {
        seal_full(ledger);
        begin_block(ledger, time_ms);
        lsn = jq_log_ring_append(ledger->ring, type, jq_buf_bytes(&ledger->body));
    }
    JQ_CHECK(lsn != 0);
    return lsn;
}

/* The records of a batch whose time differs from that of its block stand behind a clock record. */
static void set_clock(struct jq_ledger *ledger, int64_t time_ms) {
    if (!jq_log_ring_building(ledger->ring) || ledger->clock_ms == time_ms)
        return;
    jq_buf_clear(&ledger->body);
    jq_record_encode_clock(ledger->clock_ms, time_ms, &ledger->body);
    (void)append(ledger, JQ_RECORD_CLOCK, ledger->clock_ms);
    ledger->clock_ms = time_ms;
}

void jq_ledger_record(struct jq_ledger *ledger, struct jq_record *record) {
    set_clock(ledger, record->time_ms);
    jq_buf_clear(&ledger->body);
    jq_record_encode(record, &ledger->body);
    record->lsn = append(ledger, (uint8_t)record->type, record->time_ms);
    record->size = jq_record_size((uint32_t)ledger->body.size);
}

const uint8_t *jq_ledger_find(const struct jq_ledger *ledger, uint64_t lsn, size_t size) {
    return jq_log_ring_find(ledger->ring, lsn, size);
}

uint64_t jq_ledger_end_lsn(const struct jq_ledger *ledger) {
    return jq_log_ring_end_lsn(ledger->ring);
}

/* ---- effects, and the end of a batch ---- */

void jq_ledger_effect(struct jq_ledger *ledger, enum jq_effect_level level, struct jq_release_item *item) {
    *item = (struct jq_release_item){.level = level, .lsn = jq_log_ring_end_lsn(ledger->ring)};
    *ledger->last_effect = item;
    ledger->last_effect = &item->next;
}

static void hold_effects(struct jq_ledger *ledger) {
    struct jq_release_item *effects = ledger->effects;
    if (effects == NULL)
        return;
    ledger->effects = NULL;
    ledger->last_effect = &ledger->effects;
    jq_commit_hold(ledger->commit, effects);
}

static void commit_block(struct jq_ledger *ledger, bool alone) {
    const struct jq_sealed_block block = jq_log_ring_seal(ledger->ring);
    ledger->last_block_marked = block.record_count == 0;
    if (alone) {
        jq_commit_run(ledger->commit, &block);
        (void)jq_ledger_settle(ledger);
    } else {
        jq_commit_start(ledger->commit, &block);
    }
}

void jq_ledger_flush(struct jq_ledger *ledger, bool alone) {
    hold_effects(ledger);
    pump(ledger);
    if (jq_commit_idle(ledger->commit) && jq_log_ring_record_count(ledger->ring) > 0)
        commit_block(ledger, alone);
}

void jq_ledger_mark_idle(struct jq_ledger *ledger, int64_t now_ms) {
    if (ledger->last_block_marked || !jq_commit_idle(ledger->commit) || ledger->sealed_count > 0 ||
        jq_log_ring_building(ledger->ring))
        return;
    begin_block(ledger, now_ms);
    commit_block(ledger, true);
}

bool jq_ledger_quiet(struct jq_ledger *ledger) {
    return jq_commit_idle(ledger->commit) && ledger->sealed_count == 0 && ledger->effects == NULL &&
           !jq_log_ring_building(ledger->ring) && jq_commit_waiting(ledger->commit) == 0;
}

struct jq_commit *jq_ledger_commit(struct jq_ledger *ledger) {
    return ledger->commit;
}

/* ---- beginning and end ---- */

enum jq_err jq_ledger_new(const struct jq_commit_config *commit, size_t ring_size_bytes, struct jq_ledger **ret_ledger,
                          struct jq_error *reterr) {
    struct jq_ledger *ledger = calloc(1, sizeof(*ledger));
    if (ledger == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "ledger");
    const uint64_t end_lsn = jq_journal_durable_lsn(commit->journal);
    ledger->journal = commit->journal;
    ledger->epoch = jq_journal_epoch(commit->journal);
    ledger->last_effect = &ledger->effects;
    jq_buf_init(&ledger->body, JQ_RECORD_BODY_SIZE_MAX);
    enum jq_err err = jq_log_ring_new(ring_size_bytes, end_lsn, &ledger->ring, reterr);
    if (err == JQ_OK)
        err = jq_commit_new(commit, &ledger->commit, reterr);
    if (err != JQ_OK) {
        jq_ledger_free(ledger);
        return err;
    }
    *ret_ledger = ledger;
    return JQ_OK;
}

void jq_ledger_free(struct jq_ledger *ledger) {
    if (ledger == NULL)
        return;
    jq_commit_free(ledger->commit);
    jq_log_ring_free(ledger->ring);
    jq_buf_fini(&ledger->body);
    free(ledger);
}
