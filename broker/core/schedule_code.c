/* schedule_code.c - the definition of a schedule as bytes: as the record carries it, and as the core keeps it.
 *
 * A version, then the fields in order; integers are varints, texts a varint length and bytes. Version 2 adds the files (files.h) at the end,
 * and is written where there are any.
 */
#include "broker/core/files.h"
#include "broker/core/schedules.h"

enum {
    VERSION = 1,
    VERSION_WITH_FILES = 2,
    FILES_SIZE_MAX = 16 * 1024,
    FLAG_SKIP_OVERLAP = 1,
    FLAG_NO_CACHE = 2,
    TEXT_MAX = 1024,
};

static void pack_task(const struct jq_submit_item *task, struct jq_buf *out) {
    jq_buf_append_str(out, task->queue);
    jq_buf_append_str(out, task->handler);
    jq_buf_append_str(out, task->need);
    jq_buf_append_str(out, task->want);
    jq_buf_append_str(out, task->group);
    jq_buf_append_str(out, task->group);
    jq_buf_append_varint(out, (uint64_t)task->priority);
    jq_buf_append_svarint(out, task->delay_ms);
    jq_buf_append_varint(out, task->retry_max);
    jq_buf_append_varint(out, task->retry_base_ms);
    jq_buf_append_varint(out, task->retry_cap_ms);
    jq_buf_append_svarint(out, task->soft_limit_ms);
    jq_buf_append_svarint(out, task->hard_limit_ms);
    jq_buf_append_svarint(out, task->result_ttl_ms);
    jq_buf_append_varint(out, task->body.size);
    jq_buf_append(out, task->body.data, task->body.size);
    if (task->files.size > 0) {
        jq_buf_append_varint(out, task->files.size);
        jq_buf_append(out, task->files.data, task->files.size);
    }
}

void schedule_def_pack(const struct jq_schedule_def *def, struct jq_buf *out) {
    jq_buf_append_u8(out, def->task.files.size > 0 ? VERSION_WITH_FILES : VERSION);
    jq_buf_append_str(out, def->name);
    jq_buf_append_str(out, def->when);
    jq_buf_append_str(out, def->zone);
    jq_buf_append_u8(out, (uint8_t)def->catch_up);
    jq_buf_append_u8(out,
                     (uint8_t)((def->skip_overlap ? FLAG_SKIP_OVERLAP : 0) | (def->task.no_cache ? FLAG_NO_CACHE : 0)));
    jq_buf_append_varint(out, (uint64_t)def->jitter_ms);
    pack_task(&def->task, out);
}

static uint32_t read_u32(struct jq_reader *in) {
    const uint64_t value = jq_read_varint(in);
    if (value > UINT32_MAX) {
        jq_reader_fail(in);
    }
    return in->failed ? 0 : (uint32_t)value;
}

static void unpack_task(struct jq_reader *in, uint8_t version, struct jq_submit_item *task) {
    task->queue = jq_read_str(in, JQ_NAME_SIZE_MAX);
    task->handler = jq_read_str(in, JQ_NAME_SIZE_MAX);
    task->need = jq_read_str(in, JQ_NEED_SIZE_MAX);
    task->want = jq_read_str(in, JQ_NEED_SIZE_MAX);
    task->group = jq_read_str(in, JQ_KEY_SIZE_MAX);
    task->group = jq_read_str(in, JQ_KEY_SIZE_MAX);
    task->priority = (int)(read_u32(in) % JQ_PRIORITY_COUNT);
    task->delay_ms = jq_read_svarint(in);
    task->retry_max = read_u32(in);
    task->retry_base_ms = read_u32(in);
    task->retry_cap_ms = read_u32(in);
    task->soft_limit_ms = jq_read_svarint(in);
    task->hard_limit_ms = jq_read_svarint(in);
    task->result_ttl_ms = jq_read_svarint(in);
    const struct jq_str body = jq_read_str(in, JQ_SCHEDULE_BODY_SIZE_MAX);
    task->body = (struct jq_bytes){(const uint8_t *)body.data, body.size};
    if (version == VERSION_WITH_FILES) {
        const struct jq_str files = jq_read_str(in, FILES_SIZE_MAX);
        task->files = (struct jq_bytes){(const uint8_t *)files.data, files.size};
    }
}

bool schedule_def_unpack(struct jq_bytes bytes, struct jq_schedule_def *ret_def) {
    struct jq_reader in = jq_reader_of(bytes);
    struct jq_schedule_def def = {.name.size = 0};
    const uint8_t version = jq_read_u8(&in);
    if (version != VERSION && version != VERSION_WITH_FILES) {
        return false;
    }
    def.name = jq_read_str(&in, JQ_NAME_SIZE_MAX);
    def.when = jq_read_str(&in, TEXT_MAX);
    def.zone = jq_read_str(&in, TEXT_MAX);
    def.catch_up = (enum jq_catch_up)jq_read_u8(&in);
    const uint8_t flags = jq_read_u8(&in);
    def.skip_overlap = flags & FLAG_SKIP_OVERLAP;
    def.task.no_cache = flags & FLAG_NO_CACHE;
    def.jitter_ms = (int64_t)(jq_read_varint(&in) & INT64_MAX);
    unpack_task(&in, version, &def.task);
    *ret_def = def;
    return !in.failed && def.name.size > 0 && def.catch_up <= JQ_CATCH_UP_ALL &&
           def.task.body.size >= JQ_SCHEDULE_DUE_SIZE && jq_files_valid(def.task.files);
}
