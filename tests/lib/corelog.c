#include "tests/lib/corelog.h"

#include <stdlib.h>

#include "broker/journal/block.h"
#include "broker/record.h"

enum { FIRST_LSN = JQ_BLOCK_HEADER_SIZE, BYTES_MAX = 512 * 1024 * 1024 };

void corelog_init(struct corelog *log, const struct jq_core_config *config) {
    *log = (struct corelog){.end_lsn = FIRST_LSN};
    jq_buf_init(&log->bytes, BYTES_MAX);
    struct jq_error error;
    JQ_CHECK(jq_core_new(config, 2, &log->shadow, &error) == JQ_OK);
}

void corelog_fini(struct corelog *log) {
    free(log->entries);
    jq_buf_fini(&log->bytes);
    jq_core_free(log->shadow);
}

static void add(struct corelog *log, uint8_t type, struct jq_bytes body, int64_t time_ms) {
    if (log->count == log->capacity) {
        log->capacity = log->capacity ? log->capacity * 2 : 256;
        log->entries = realloc(log->entries, log->capacity * sizeof(*log->entries));
        JQ_CHECK(log->entries != NULL);
    }
    log->entries[log->count++] =
        (struct corelog_entry){log->end_lsn, (uint32_t)log->bytes.size, (uint32_t)body.size, type, time_ms};
    jq_buf_append(&log->bytes, body.data, body.size);
    JQ_CHECK(!log->bytes.failed);
    log->end_lsn += jq_record_size((uint32_t)body.size);
}

static enum jq_err apply(const struct corelog *log, const struct corelog_entry *entry, int64_t *time_ms,
                         struct jq_core *core, struct jq_error *reterr) {
    struct jq_record record;
    bool clock = false;
    const struct jq_bytes body = {log->bytes.data + entry->at, entry->size};
    const enum jq_err err = jq_record_decode(entry->type, body, time_ms, &record, &clock, reterr);
    if (err != JQ_OK || clock) {
        return err;
    }
    record.lsn = entry->lsn;
    record.size = jq_record_size(entry->size);
    return jq_core_replay(core, &record, reterr);
}

void corelog_append(struct corelog *log, struct jq_record *record) {
    struct jq_buf body;
    jq_buf_init(&body, JQ_RECORD_BODY_SIZE_MAX);
    if (record->time_ms != log->time_ms) {
        jq_record_encode_clock(log->time_ms, record->time_ms, &body);
        add(log, JQ_RECORD_CLOCK, jq_buf_bytes(&body), log->time_ms);
        log->time_ms = record->time_ms;
        jq_buf_clear(&body);
    }
    jq_record_encode(record, &body);
    JQ_CHECK(!body.failed);
    add(log, (uint8_t)record->type, jq_buf_bytes(&body), log->time_ms);
    jq_buf_fini(&body);
    const struct corelog_entry *entry = &log->entries[log->count - 1];
    record->lsn = entry->lsn;
    record->size = jq_record_size(entry->size);
    int64_t time_ms = log->time_ms;
    struct jq_error error;
    JQ_CHECK(apply(log, entry, &time_ms, log->shadow, &error) == JQ_OK);
}

enum jq_err corelog_replay(const struct corelog *log, struct jq_core *core, struct jq_error *reterr) {
    if (log->first > 0) {
        jq_core_replay_from(core, log->entries[log->first].lsn);
    }
    int64_t time_ms = log->first < log->count ? log->entries[log->first].time_ms : 0;
    for (size_t i = log->first; i < log->count; i++) {
        const enum jq_err err = apply(log, &log->entries[i], &time_ms, core, reterr);
        if (err != JQ_OK) {
            return err;
        }
    }
    return JQ_OK;
}

size_t corelog_read(const struct corelog *log, const uint8_t *bytes, uint64_t from_lsn, uint64_t end_lsn,
                    struct jq_record *records, size_t most, uint64_t *ret_next) {
    size_t count = 0, i = log->first;
    while (i < log->count && log->entries[i].lsn < from_lsn) {
        i++;
    }
    for (; i < log->count && log->entries[i].lsn < end_lsn && count < most; i++) {
        const struct corelog_entry *entry = &log->entries[i];
        int64_t time_ms = entry->time_ms;
        bool clock = false;
        struct jq_error error;
        const struct jq_bytes body = {bytes + entry->at, entry->size};
        JQ_CHECK(jq_record_decode(entry->type, body, &time_ms, &records[count], &clock, &error) == JQ_OK);
        if (!clock) {
            records[count].lsn = entry->lsn;
            records[count++].size = jq_record_size(entry->size);
        }
    }
    *ret_next = i < log->count && log->entries[i].lsn < end_lsn ? log->entries[i].lsn : end_lsn;
    return count;
}

void corelog_delete_below(struct corelog *log, uint64_t lsn) {
    while (log->first < log->count && log->entries[log->first].lsn < lsn) {
        log->first++;
    }
}
