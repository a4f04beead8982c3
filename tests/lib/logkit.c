#include "tests/lib/logkit.h"

#include "broker/journal/le.h"

#include <stdlib.h>

enum { NUMBER_SIZE = 8, BODY_SIZE_MAX = 64 * 1024 };

struct logkit *logkit_new(struct jq_simdisk *sim, uint64_t seed) {
    struct logkit *kit = calloc(1, sizeof(*kit));
    JQ_CHECK(kit != NULL);
    kit->sim = sim;
    kit->segment_size = 16 * 1024;
    kit->first_segment_size = 8 * 1024;
    jq_rng_init(&kit->rng, seed);
    return kit;
}

void logkit_close(struct logkit *kit) {
    jq_journal_free(kit->journal);
    jq_log_ring_free(kit->ring);
    kit->journal = NULL;
    kit->ring = NULL;
}

void logkit_free(struct logkit *kit) {
    if (kit == NULL)
        return;
    logkit_close(kit);
    jq_simdisk_free(kit->sim);
    free(kit);
}

static void random_bytes(void *ctx, void *data, size_t size) {
    struct jq_rng *rng = ctx;
    uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)jq_rng_next(rng);
}

static void make_body(uint8_t *body, uint64_t number, size_t size) {
    jq_le64_put(body, number);
    for (size_t i = NUMBER_SIZE; i < size; i++)
        body[i] = (uint8_t)(number * 31 + i);
}

static bool body_is(const uint8_t *body, uint64_t number, size_t size) {
    uint8_t expected[BODY_SIZE_MAX];
    make_body(expected, number, size);
    return memcmp(body, expected, size) == 0;
}

static enum jq_err on_record(void *ctx, const struct jq_block_info *info, const struct jq_log_record *record,
                             struct jq_error *reterr) {
    (void)reterr;
    struct logkit *kit = ctx;
    const bool sized = record->body.size >= NUMBER_SIZE && record->body.size <= BODY_SIZE_MAX;
    const uint64_t number = sized ? jq_le64_get(record->body.data) : UINT64_MAX;
    if (kit->first_seen == UINT64_MAX)
        kit->first_seen = kit->seen = number;
    if (!sized || number != kit->seen || number >= kit->written || kit->lsns[number] != record->lsn ||
        !body_is(record->body.data, number, record->body.size) || info->lsn >= record->lsn ||
        record->type != (uint8_t)number)
        kit->wrong = true;
    kit->seen++;
    return JQ_OK;
}

enum jq_err logkit_open(struct logkit *kit) {
    const struct jq_journal_config config = {
        .disk = jq_simdisk_disk(kit->sim),
        .dir = JQ_STR(LOGKIT_DIR),
        .segment_size_bytes = kit->segment_size,
        .first_segment_size_bytes = kit->first_segment_size,
        .wall_ms = 1000,
        .random = random_bytes,
        .random_ctx = &kit->rng,
    };
    const struct jq_journal_replay replay = {.ctx = kit, .on_record = on_record};
    kit->wrong = false;
    kit->first_seen = UINT64_MAX;
    kit->seen = 0;
    kit->error = (struct jq_error){.code = JQ_OK};
    const enum jq_err result = jq_journal_open(&config, &replay, &kit->report, &kit->journal, &kit->error);
    if (result != JQ_OK)
        return result;
    if (kit->first_seen == UINT64_MAX)
        kit->first_seen = 0;
    if (kit->first_seen > kit->deleted || kit->seen < kit->acked || kit->report.epoch <= kit->epoch ||
        kit->report.end_lsn != jq_journal_durable_lsn(kit->journal))
        kit->wrong = true;
    kit->epoch = kit->report.epoch;
    kit->acked = kit->written = kit->seen;
    return JQ_OK;
}

enum jq_err logkit_write(struct logkit *kit, uint32_t count, uint32_t body_size) {
    uint8_t body[BODY_SIZE_MAX];
    JQ_CHECK(kit->written + count <= LOGKIT_RECORDS_MAX && body_size >= NUMBER_SIZE && body_size <= BODY_SIZE_MAX);
    if (kit->ring == NULL) /* made at the first write: many tests only look */
        JQ_CHECK(jq_log_ring_new(JQ_LOG_RING_SIZE_MIN, kit->report.end_lsn, &kit->ring, NULL) == JQ_OK);
    JQ_CHECK(jq_log_ring_begin(kit->ring, kit->epoch, 5000 + (int64_t)kit->written));
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t number = kit->written++;
        make_body(body, number, body_size);
        kit->lsns[number] = jq_log_ring_append(kit->ring, (uint8_t)number, (struct jq_bytes){body, body_size});
        JQ_CHECK(kit->lsns[number] != 0);
    }
    const struct jq_sealed_block block = jq_log_ring_seal(kit->ring);
    const enum jq_err result = jq_journal_write_block(kit->journal, &block, &kit->error);
    jq_log_ring_release(kit->ring, block.lsn + block.size_bytes);
    return result;
}

enum jq_err logkit_sync(struct logkit *kit) {
    const enum jq_err result = jq_journal_sync(kit->journal, &kit->error);
    if (result == JQ_OK)
        kit->acked = kit->written;
    return result;
}

enum jq_err logkit_commit(struct logkit *kit, uint32_t count, uint32_t body_size) {
    const enum jq_err result = logkit_write(kit, count, body_size);
    return result == JQ_OK ? logkit_sync(kit) : result;
}

enum jq_err logkit_fill_spare(struct logkit *kit) {
    bool ready = false;
    enum jq_err result = JQ_OK;
    while (result == JQ_OK && !ready)
        result = jq_journal_fill_spare_step(kit->journal, 4096, &ready, &kit->error);
    return result;
}

enum jq_err logkit_delete_below(struct logkit *kit, uint64_t record) {
    if (record > kit->deleted)
        kit->deleted = record;
    return jq_journal_delete_below(kit->journal, kit->lsns[record], NULL, &kit->error);
}

bool logkit_reads_back(struct logkit *kit, uint64_t record, uint32_t body_size) {
    uint8_t body[BODY_SIZE_MAX];
    const uint32_t prefix_size = jq_record_size(body_size) - body_size;
    return jq_journal_read(kit->journal, kit->lsns[record] + prefix_size, body_size, body, &kit->error) == JQ_OK &&
           body_is(body, record, body_size);
}
