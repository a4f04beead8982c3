/* fuzz_journal.c - a folder of segments, opened as the broker does. The first byte of the input says how it is made: from the
 * bytes as they are, or as blocks whose checksums hold, so that what is behind the checksums is reached too. */
#include "broker/core/core.h"
#include "broker/journal/journal.h"
#include "broker/journal/segment.h"
#include "broker/record.h"
#include "common/crc32c.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/simdisk.h"

enum { FILE_BYTES_MAX = 64 * 1024, SALT = 7 };

static void file_write(struct jq_simdisk *disk, const char *path, const uint8_t *data, size_t size) {
    const struct jq_disk *calls = jq_simdisk_disk(disk);
    struct jq_file *file = NULL;
    JQ_CHECK(calls->open(calls->ctx, path, JQ_DISK_CREATE, &file, NULL) == JQ_OK);
    JQ_CHECK(calls->write(calls->ctx, file, data, size, 0, NULL) == JQ_OK);
    calls->close(calls->ctx, file);
}

/* Blocks of the pieces of the input, each with as many records as its first byte says. */
static void write_blocks(struct jq_simdisk *disk, struct fuzz_input *input) {
    static uint8_t file[JQ_SEGMENT_HEADER_SIZE + FILE_BYTES_MAX];
    const struct jq_segment_header header = {.log_id = {{1}}, .epoch = 1, .salt = SALT};
    uint32_t chain = 0;
    size_t at = 0;
    memset(file, 0, sizeof(file));
    jq_segment_header_encode(&header, file);
    while (input->size > 0) {
        const uint32_t count = fuzz_byte(input);
        const struct jq_bytes payload = fuzz_piece(input);
        if (at + jq_block_size((uint32_t)payload.size) > FILE_BYTES_MAX || count > payload.size / 2) {
            break;
        }
        uint8_t *block = file + JQ_SEGMENT_HEADER_SIZE + at;
        const struct jq_block_header head = {
            .payload_size = (uint32_t)payload.size, .record_count = count, .lsn = at, .epoch = 1, .time_ms = 1000};
        jq_block_header_put(&head, block);
        if (payload.size > 0) {
            memcpy(block + JQ_BLOCK_HEADER_SIZE, payload.data, payload.size);
        }
        chain = jq_block_stamp(block, SALT, chain);
        at += jq_block_size((uint32_t)payload.size);
    }
    file_write(disk, "log/00000000000000000000.jql", file, sizeof(file));
}

struct replaying {
    struct jq_core *core;
    int64_t time_ms;
    int64_t last_ms; /* the highest: a log whose clock goes back is read by the broker, which goes on from there */
    uint64_t lsn;
};

static enum jq_err on_block(void *ctx, const struct jq_block_info *info, struct jq_error *reterr) {
    (void)reterr;
    ((struct replaying *)ctx)->time_ms = info->time_ms;
    return JQ_OK;
}

static enum jq_err on_log_record(void *ctx, const struct jq_block_info *info, const struct jq_log_record *bytes,
                                 struct jq_error *reterr) {
    struct replaying *replaying = ctx;
    struct jq_record record;
    bool clock = false;
    (void)info;
    const enum jq_err err = jq_record_decode(bytes->type, bytes->body, &replaying->time_ms, &record, &clock, reterr);
    replaying->last_ms = replaying->time_ms > replaying->last_ms ? replaying->time_ms : replaying->last_ms;
    if (err != JQ_OK || clock) {
        return err;
    }
    record.lsn = replaying->lsn = bytes->lsn;
    record.size = jq_record_size((uint32_t)bytes->body.size);
    return jq_core_replay(replaying->core, &record, reterr);
}

static void random_bytes(void *ctx, void *data, size_t size) {
    (void)ctx;
    memset(data, 5, size);
}

static void on_record(void *ctx, struct jq_record *record) {
    record->lsn = ((struct replaying *)ctx)->lsn += 64;
    record->size = 64;
}

static void on_effect(void *ctx, const struct jq_effect *effect) {
    (void)ctx;
    (void)effect;
}

static void open_log(struct jq_simdisk *disk, struct replaying *replaying) {
    const struct jq_journal_config config = {.disk = jq_simdisk_disk(disk),
                                             .dir = JQ_STR("log"),
                                             .segment_size_bytes = 16 * 1024,
                                             .first_segment_size_bytes = JQ_SEGMENT_SIZE_MIN,
                                             .random = random_bytes};
    const struct jq_journal_replay replay = {.ctx = replaying, .on_block = on_block, .on_record = on_log_record};
    const struct jq_output output = {replaying, on_record, on_effect};
    struct jq_recovery_report report;
    struct jq_journal *journal = NULL;
    struct jq_error error;
    if (jq_journal_open(&config, &replay, &report, &journal, &error) != JQ_OK) {
        JQ_CHECK(error.message[0] != '\0');
        return;
    }
    JQ_CHECK(jq_core_digest(replaying->core) == jq_core_digest_slow(replaying->core));
    const int64_t now_ms = replaying->last_ms;
    if (now_ms < INT64_MAX / 4) {
        const struct jq_event time = {.type = JQ_EVENT_TIME, .now_ms = now_ms, .wall_ms = now_ms};
        jq_core_start(replaying->core, jq_journal_epoch(journal), now_ms, now_ms, &output);
        jq_core_step(replaying->core, &time, &output);
        JQ_CHECK(jq_core_digest(replaying->core) == jq_core_digest_slow(replaying->core));
    }
    jq_journal_free(journal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    struct jq_simdisk *disk = jq_simdisk_new(1);
    struct replaying replaying = {.lsn = 0};
    struct jq_core_config config;
    jq_core_config_init(&config);
    fuzz_config(&config);
    JQ_CHECK(jq_core_new(&config, 1, &replaying.core, NULL) == JQ_OK);
    if (fuzz_byte(&input) & 1) {
        file_write(disk, "log/00000000000000000000.jql", input.data, input.size);
    } else {
        write_blocks(disk, &input);
    }
    open_log(disk, &replaying);
    jq_core_free(replaying.core);
    jq_simdisk_free(disk);
    return 0;
}
