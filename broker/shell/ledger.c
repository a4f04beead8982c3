#include "broker/shell/ledger.h"

#include <pthread.h>
#include <stdlib.h>

#include "broker/record.h"

enum { SEALED_MAX = 8, SMALL_MAX = 8 * 1024 };

struct jq_ledger {
    pthread_mutex_t lock; /* of all below: held by the core thread during a batch */
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

static struct jq_sealed_block seal(struct jq_ledger *ledger) {
    const struct jq_sealed_block block = jq_log_ring_seal(ledger->ring);
    ledger->last_block_marked = block.record_count == 0;
    return block;
}

/* The block that the disk is to get next: the oldest whole one, else what there is of the one under construction. */
static bool take_block(struct jq_ledger *ledger, struct jq_sealed_block *ret_block) {
    if (ledger->sealed_count > 0) {
        *ret_block = ledger->sealed[ledger->sealed_first];
        ledger->sealed_first = (ledger->sealed_first + 1) % SEALED_MAX;
        ledger->sealed_count--;
        return true;
    }
    if (jq_log_ring_record_count(ledger->ring) == 0)
        return false;
    *ret_block = seal(ledger);
    return true;
}

static void settle(struct jq_ledger *ledger) {
    jq_log_ring_release(ledger->ring, jq_journal_durable_lsn(ledger->journal));
}

/* Gives a block to a commit thread that has nothing to do. */
static void pump(struct jq_ledger *ledger) {
    struct jq_sealed_block block;
    if (!jq_commit_idle(ledger->commit))
        return;
    settle(ledger);
    if (take_block(ledger, &block))
        jq_commit_start(ledger->commit, &block);
}

/* From the commit thread, which does not wait for a batch under way: the core thread then starts the block at its end. */
static bool on_next(void *ctx, struct jq_sealed_block *ret_block) {
    struct jq_ledger *ledger = ctx;
    if (pthread_mutex_trylock(&ledger->lock) != 0)
        return false;
    settle(ledger);
    const bool more = take_block(ledger, ret_block);
    pthread_mutex_unlock(&ledger->lock);
    return more;
}

static void wait_for_room(struct jq_ledger *ledger) {
    jq_commit_release_due(ledger->commit);
    jq_commit_wait(ledger->commit);
    pump(ledger);
}

/* The block under construction is full: the disk gets it now, or when it is done with those before. */
static void seal_full(struct jq_ledger *ledger) {
    while (ledger->sealed_count == SEALED_MAX)
        wait_for_room(ledger);
    ledger->sealed[(ledger->sealed_first + ledger->sealed_count++) % SEALED_MAX] = seal(ledger);
    pump(ledger);
}

uint64_t jq_ledger_cut(struct jq_ledger *ledger) {
    if (jq_log_ring_building(ledger->ring))
        seal_full(ledger);
    return jq_log_ring_end_lsn(ledger->ring);
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

void jq_ledger_begin(struct jq_ledger *ledger) {
    pthread_mutex_lock(&ledger->lock);
}

void jq_ledger_end(struct jq_ledger *ledger) {
    hold_effects(ledger);
    pump(ledger);
    pthread_mutex_unlock(&ledger->lock);
    jq_commit_release_due(ledger->commit);
}

/* What is under construction is little, and nothing stands before it: this thread writes it sooner than another one wakes. */
static bool take_small(struct jq_ledger *ledger, struct jq_sealed_block *ret_block) {
    if (!jq_commit_idle(ledger->commit) || ledger->sealed_count > 0)
        return false;
    settle(ledger);
    return jq_log_ring_payload_size(ledger->ring) <= SMALL_MAX && take_block(ledger, ret_block);
}

void jq_ledger_end_here(struct jq_ledger *ledger) {
    struct jq_sealed_block block;
    hold_effects(ledger);
    const bool small = take_small(ledger, &block);
    if (!small)
        pump(ledger);
    pthread_mutex_unlock(&ledger->lock);
    if (small)
        jq_commit_run(ledger->commit, &block);
    jq_commit_release_due(ledger->commit);
}

/* Nothing waits for the disk but effects. */
static bool all_given(struct jq_ledger *ledger) {
    return jq_commit_idle(ledger->commit) && ledger->sealed_count == 0 && jq_log_ring_record_count(ledger->ring) == 0;
}

void jq_ledger_sync(struct jq_ledger *ledger) {
    bool given = false;
    while (!given) {
        jq_commit_wait(ledger->commit);
        jq_ledger_begin(ledger);
        given = all_given(ledger);
        jq_ledger_end(ledger);
    }
}

void jq_ledger_mark_idle(struct jq_ledger *ledger, int64_t now_ms) {
    if (ledger->last_block_marked || !all_given(ledger))
        return;
    settle(ledger);
    begin_block(ledger, now_ms);
    const struct jq_sealed_block block = seal(ledger);
    jq_commit_start(ledger->commit, &block);
}

bool jq_ledger_quiet(struct jq_ledger *ledger) {
    pthread_mutex_lock(&ledger->lock);
    const bool quiet = all_given(ledger) && ledger->effects == NULL && jq_commit_waiting(ledger->commit) == 0;
    pthread_mutex_unlock(&ledger->lock);
    return quiet;
}

struct jq_commit *jq_ledger_commit(struct jq_ledger *ledger) {
    return ledger->commit;
}

/* ---- beginning and end ---- */

enum jq_err jq_ledger_new(const struct jq_commit_config *config, size_t ring_size_bytes, struct jq_ledger **ret_ledger,
                          struct jq_error *reterr) {
    struct jq_ledger *ledger = calloc(1, sizeof(*ledger));
    if (ledger == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "ledger");
    struct jq_commit_config commit = *config;
    commit.next = on_next;
    commit.next_ctx = ledger;
    ledger->journal = config->journal;
    ledger->epoch = jq_journal_epoch(config->journal);
    ledger->last_effect = &ledger->effects;
    jq_buf_init(&ledger->body, JQ_RECORD_BODY_SIZE_MAX);
    JQ_CHECK(pthread_mutex_init(&ledger->lock, NULL) == 0);
    enum jq_err err = jq_log_ring_new(ring_size_bytes, jq_journal_durable_lsn(config->journal), &ledger->ring, reterr);
    if (err == JQ_OK)
        err = jq_commit_new(&commit, &ledger->commit, reterr);
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
    pthread_mutex_destroy(&ledger->lock);
    free(ledger);
}
