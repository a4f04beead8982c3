#include "broker/record.h"

#include "broker/record_internal.h"
#include "common/crc32c.h"

/* One row a type: its name, how its fields become bytes and come back. */
struct codec {
    const char *name;
    void (*encode)(const struct jq_record *record, struct jq_buf *out);
    void (*decode)(struct jq_reader *in, struct jq_record *record);
    bool has_body;
};

/* ---- the log itself ---- */

static void encode_nothing(const struct jq_record *record, struct jq_buf *out) {
    (void)record;
    (void)out;
}
static void decode_nothing(struct jq_reader *in, struct jq_record *record) {
    (void)in;
    (void)record;
}

static void encode_prologue_end(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.prologue_end.needs_from);
    jq_buf_append_u64(out, record->u.prologue_end.digest);
}
static void decode_prologue_end(struct jq_reader *in, struct jq_record *record) {
    record->u.prologue_end.needs_from = jq_read_varint(in);
    record->u.prologue_end.digest = jq_read_u64(in);
}

static void encode_ids_reserved(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.ids_reserved.limit);
}
static void decode_ids_reserved(struct jq_reader *in, struct jq_record *record) {
    record->u.ids_reserved.limit = jq_read_varint(in);
}

static void encode_wall_offset(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_svarint(out, record->u.wall_offset.offset_ms);
}
static void decode_wall_offset(struct jq_reader *in, struct jq_record *record) {
    record->u.wall_offset.offset_ms = jq_read_svarint(in);
}

static void encode_keys_forgotten(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.keys_forgotten.below_lsn);
}
static void decode_keys_forgotten(struct jq_reader *in, struct jq_record *record) {
    record->u.keys_forgotten.below_lsn = jq_read_varint(in);
}

/* ---- queues, classes, options ---- */

static void encode_queue_defined(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.queue_defined.queue);
    jq_buf_append_str(out, record->u.queue_defined.name);
}
static void decode_queue_defined(struct jq_reader *in, struct jq_record *record) {
    record->u.queue_defined.queue = (uint16_t)get_bounded(in, UINT16_MAX);
    record->u.queue_defined.name = jq_read_str(in, JQ_NAME_SIZE_MAX);
}

/* Beside the index: a want follows. */
enum { CLASS_WANT = 1 << 16 };

static void encode_class_defined(const struct jq_record *record, struct jq_buf *out) {
    const struct jq_str want = record->u.class_defined.want;
    jq_buf_append_varint(out, (uint64_t)record->u.class_defined.class_index | (want.size > 0 ? CLASS_WANT : 0));
    jq_buf_append_str(out, record->u.class_defined.handler);
    jq_buf_append_str(out, record->u.class_defined.need);
    if (want.size > 0) {
        jq_buf_append_str(out, want);
    }
}
static void decode_class_defined(struct jq_reader *in, struct jq_record *record) {
    const uint64_t index = get_bounded(in, CLASS_WANT | UINT16_MAX);
    record->u.class_defined.class_index = (uint16_t)(index & UINT16_MAX);
    record->u.class_defined.handler = jq_read_str(in, JQ_NAME_SIZE_MAX);
    record->u.class_defined.need = jq_read_str(in, JQ_NEED_SIZE_MAX);
    if (index & CLASS_WANT) {
        record->u.class_defined.want = jq_read_str(in, JQ_NEED_SIZE_MAX);
    }
}

static void encode_options_defined(const struct jq_record *record, struct jq_buf *out) {
    const struct jq_options *options = &record->u.options_defined.options;
    jq_buf_append_varint(out, record->u.options_defined.index);
    jq_buf_append_varint(out, options->retry_max);
    jq_buf_append_varint(out, options->retry_base_ms);
    jq_buf_append_varint(out, options->retry_cap_ms);
    jq_buf_append_svarint(out, options->soft_limit_ms);
    jq_buf_append_svarint(out, options->hard_limit_ms);
    jq_buf_append_svarint(out, options->result_ttl_ms);
}
static void decode_options_defined(struct jq_reader *in, struct jq_record *record) {
    struct jq_options *options = &record->u.options_defined.options;
    record->u.options_defined.index = (uint32_t)get_bounded(in, UINT32_MAX);
    options->retry_max = (uint32_t)get_bounded(in, UINT32_MAX);
    options->retry_base_ms = (uint32_t)get_bounded(in, UINT32_MAX);
    options->retry_cap_ms = (uint32_t)get_bounded(in, UINT32_MAX);
    options->soft_limit_ms = jq_read_svarint(in);
    options->hard_limit_ms = jq_read_svarint(in);
    options->result_ttl_ms = jq_read_svarint(in);
}

/* ---- workers ---- */

static void encode_worker_registered(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.worker_registered.worker);
    put_uuid(out, &record->u.worker_registered.id);
    put_uuid(out, &record->u.worker_registered.session);
    jq_buf_append_u64(out, record->u.worker_registered.incarnation);
    jq_buf_append_str(out, record->u.worker_registered.name);
}
static void decode_worker_registered(struct jq_reader *in, struct jq_record *record) {
    record->u.worker_registered.worker = (uint32_t)get_bounded(in, UINT32_MAX);
    record->u.worker_registered.id = get_uuid(in);
    record->u.worker_registered.session = get_uuid(in);
    record->u.worker_registered.incarnation = jq_read_u64(in);
    record->u.worker_registered.name = jq_read_str(in, JQ_NAME_SIZE_MAX);
}

static void encode_worker_doorbell(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.worker_doorbell.worker);
    jq_buf_append_u8(out, record->u.worker_doorbell.asleep);
    jq_buf_append_str(out, record->u.worker_doorbell.doorbell);
}
static void decode_worker_doorbell(struct jq_reader *in, struct jq_record *record) {
    record->u.worker_doorbell.worker = (uint32_t)get_bounded(in, UINT32_MAX);
    record->u.worker_doorbell.asleep = jq_read_u8(in) != 0;
    record->u.worker_doorbell.doorbell = jq_read_str(in, JQ_DOORBELL_SIZE_MAX);
}

static void encode_worker_set(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.worker_set.worker);
    jq_buf_append_u8(out, record->u.worker_set.draining);
}
static void decode_worker_set(struct jq_reader *in, struct jq_record *record) {
    record->u.worker_set.worker = (uint32_t)get_bounded(in, UINT32_MAX);
    record->u.worker_set.draining = jq_read_u8(in) != 0;
}

static void encode_worker_gone(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.worker_gone.worker);
}
static void decode_worker_gone(struct jq_reader *in, struct jq_record *record) {
    record->u.worker_gone.worker = (uint32_t)get_bounded(in, UINT32_MAX);
}

/* ---- the request window ---- */

static void encode_request_answered(const struct jq_record *record, struct jq_buf *out) {
    const struct jq_verdict *verdict = &record->u.request_answered.verdict;
    put_uuid(out, &record->u.request_answered.sender);
    jq_buf_append_varint(out, record->u.request_answered.request);
    jq_buf_append_varint(out, record->u.request_answered.done);
    jq_buf_append_u8(out, verdict->op);
    jq_buf_append_u8(out, verdict->status);
    jq_buf_append_varint(out, verdict->first);
    jq_buf_append_varint(out, verdict->count);
    jq_buf_append_varint(out, verdict->exceptions.size);
    jq_buf_append(out, verdict->exceptions.data, verdict->exceptions.size);
}
static void decode_request_answered(struct jq_reader *in, struct jq_record *record) {
    struct jq_verdict *verdict = &record->u.request_answered.verdict;
    record->u.request_answered.sender = get_uuid(in);
    record->u.request_answered.request = jq_read_varint(in);
    record->u.request_answered.done = jq_read_varint(in);
    verdict->op = jq_read_u8(in);
    verdict->status = jq_read_u8(in);
    verdict->first = jq_read_varint(in);
    verdict->count = (uint32_t)get_bounded(in, UINT32_MAX);
    verdict->exceptions = jq_read_bytes(in, (size_t)get_bounded(in, 1 << 20));
}

static void encode_sender_trimmed(const struct jq_record *record, struct jq_buf *out) {
    put_uuid(out, &record->u.sender_trimmed.sender);
    jq_buf_append_varint(out, record->u.sender_trimmed.floor);
    jq_buf_append_u8(out, record->u.sender_trimmed.whole);
}
static void decode_sender_trimmed(struct jq_reader *in, struct jq_record *record) {
    record->u.sender_trimmed.sender = get_uuid(in);
    record->u.sender_trimmed.floor = jq_read_varint(in);
    record->u.sender_trimmed.whole = jq_read_u8(in) != 0;
}

/* ---- tasks: all begin with the id ---- */

enum {
    SUBMIT_ETA = 1,
    SUBMIT_EXPIRES = 2,
    SUBMIT_KEY = 4,
    SUBMIT_GROUP = 8,
    SUBMIT_FILES = 16,
    SUBMIT_FLOW = 32,
    SUBMIT_AFTER = 64,
    SUBMIT_SCHEDULE = 128
};
/* Beside the priority and what a key stands for: a cache key follows. */
enum { SUBMIT_CACHE = 0x80, SUBMIT_UNIQUE = 0x07 };
/* Of the parents of one task: what 1,000 varints take at most. */
enum { AFTER_SIZE_MAX = JQ_AFTER_COUNT_MAX * 10 };

static void encode_task(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.task_due.task.value);
}
static void decode_task(struct jq_reader *in, struct jq_record *record) {
    record->u.task_due.task = (jq_task_id){jq_read_varint(in)};
}

static void encode_flow_of(const struct jq_record *record, struct jq_buf *out) {
    if (record->u.task_submitted.flow > 0) {
        jq_buf_append_varint(out, record->u.task_submitted.task.value - record->u.task_submitted.flow);
    }
    if (record->u.task_submitted.on > 0) {
        jq_buf_append_u8(out, record->u.task_submitted.on);
        jq_buf_append_varint(out, record->u.task_submitted.after.size);
        jq_buf_append(out, record->u.task_submitted.after.data, record->u.task_submitted.after.size);
    }
}
/* A parent's distance is at least 1, and no more than the task's own id. */
static void check_after(struct jq_reader *in, const struct jq_record *record) {
    struct jq_reader parents = jq_reader_of(record->u.task_submitted.after);
    int count = 0;
    for (; !parents.failed && parents.at != parents.end; count++) {
        const uint64_t distance = jq_read_varint(&parents) >> 1;
        parents.failed |= distance == 0 || distance >= record->u.task_submitted.task.value;
    }
    const uint8_t on = record->u.task_submitted.on;
    if (parents.failed || count == 0 || count > JQ_AFTER_COUNT_MAX || on == 0 || on > JQ_ON_FAILED) {
        jq_reader_fail(in);
    }
}
static void decode_flow_of(struct jq_reader *in, uint8_t flags, struct jq_record *record) {
    if (flags & SUBMIT_FLOW) {
        record->u.task_submitted.flow =
            record->u.task_submitted.task.value - get_bounded(in, record->u.task_submitted.task.value);
    }
    if (flags & SUBMIT_AFTER) {
        record->u.task_submitted.on = jq_read_u8(in);
        record->u.task_submitted.after = jq_read_bytes(in, (size_t)get_bounded(in, AFTER_SIZE_MAX));
        check_after(in, record);
    }
}

void encode_submitted(const struct jq_record *record, struct jq_buf *out) {
    const bool key = record->u.task_submitted.key_expires_ms > 0,
               expires = record->u.task_submitted.expires_wall_ms > 0, group = record->u.task_submitted.group.size > 0;
    jq_buf_append_varint(out, record->u.task_submitted.task.value);
    const bool flow = record->u.task_submitted.flow > 0, after = record->u.task_submitted.on > 0;
    jq_buf_append_u8(out,
                     (uint8_t)((record->u.task_submitted.eta ? SUBMIT_ETA : 0) | (expires ? SUBMIT_EXPIRES : 0) |
                               (key ? SUBMIT_KEY : 0) | (group ? SUBMIT_GROUP : 0) | (flow ? SUBMIT_FLOW : 0) |
                               (after ? SUBMIT_AFTER : 0) | (record->u.task_submitted.schedule ? SUBMIT_SCHEDULE : 0) |
                               (record->u.task_submitted.files.size > 0 ? SUBMIT_FILES : 0)));
    jq_buf_append_varint(out, record->u.task_submitted.queue);
    jq_buf_append_varint(out, record->u.task_submitted.class_index);
    jq_buf_append_varint(out, record->u.task_submitted.options);
    /* What a key stands for shares the byte of the priority. */
    const struct jq_bytes cache = record->u.task_submitted.cache;
    jq_buf_append_u8(out, (uint8_t)(record->u.task_submitted.priority | record->u.task_submitted.unique << 4 |
                                    (cache.size > 0 ? SUBMIT_CACHE : 0)));
    put_time(out, record->u.task_submitted.ready_at_ms, record->time_ms);
    if (expires) {
        put_time(out, record->u.task_submitted.expires_wall_ms, record->time_ms);
    }
    if (key) {
        put_time(out, record->u.task_submitted.key_expires_ms, record->time_ms);
        jq_buf_append_str(out, record->u.task_submitted.key);
    }
    if (group) {
        jq_buf_append_str(out, record->u.task_submitted.group);
    }
    encode_flow_of(record, out);
    if (record->u.task_submitted.schedule) {
        jq_buf_append_varint(out, record->u.task_submitted.schedule);
        jq_buf_append_svarint(out, record->u.task_submitted.due_wall_ms);
    }
    if (record->u.task_submitted.files.size > 0) {
        put_files(out, record->u.task_submitted.files);
    }
    jq_buf_append(out, cache.data, cache.size);
    put_body(out, record->u.task_submitted.body);
}
void decode_submitted(struct jq_reader *in, struct jq_record *record) {
    record->u.task_submitted.task = (jq_task_id){jq_read_varint(in)};
    const uint8_t flags = jq_read_u8(in);
    record->u.task_submitted.eta = flags & SUBMIT_ETA;
    record->u.task_submitted.queue = (uint16_t)get_bounded(in, UINT16_MAX);
    record->u.task_submitted.class_index = (uint16_t)get_bounded(in, UINT16_MAX);
    record->u.task_submitted.options = (uint32_t)get_bounded(in, UINT32_MAX);
    const uint8_t priority = jq_read_u8(in);
    record->u.task_submitted.priority = priority & 0x0f;
    record->u.task_submitted.unique = priority >> 4 & SUBMIT_UNIQUE;
    in->failed |= record->u.task_submitted.unique > JQ_UNIQUE_DEBOUNCE;
    record->u.task_submitted.ready_at_ms = get_time(in, record->time_ms);
    if (flags & SUBMIT_EXPIRES) {
        record->u.task_submitted.expires_wall_ms = get_time(in, record->time_ms);
    }
    if (flags & SUBMIT_KEY) {
        record->u.task_submitted.key_expires_ms = get_time(in, record->time_ms);
        record->u.task_submitted.key = jq_read_str(in, 2 * JQ_KEY_SIZE_MAX);
    }
    if (flags & SUBMIT_GROUP) {
        record->u.task_submitted.group = jq_read_str(in, JQ_KEY_SIZE_MAX);
    }
    decode_flow_of(in, flags, record);
    if (flags & SUBMIT_SCHEDULE) {
        record->u.task_submitted.schedule = (uint32_t)get_bounded(in, UINT32_MAX);
        record->u.task_submitted.due_wall_ms = jq_read_svarint(in);
    }
    if (flags & SUBMIT_FILES) {
        record->u.task_submitted.files = get_files(in);
    }
    if (priority & SUBMIT_CACHE) {
        record->u.task_submitted.cache = get_cache_key(in);
    }
    record->u.task_submitted.body = get_body(in);
}

/* Beside the alternative: units follow. */
enum { LEASED_UNITS = 0x80 };

static void encode_leased(const struct jq_record *record, struct jq_buf *out) {
    const struct jq_bytes units = record->u.task_leased.units;
    jq_buf_append_varint(out, record->u.task_leased.task.value);
    jq_buf_append_varint(out, record->u.task_leased.token.value);
    jq_buf_append_varint(out, record->u.task_leased.worker);
    jq_buf_append_u8(out, (uint8_t)(record->u.task_leased.alternative | (units.size > 0 ? LEASED_UNITS : 0)));
    if (units.size > 0) {
        jq_buf_append_varint(out, units.size);
        jq_buf_append(out, units.data, units.size);
    }
}
static void decode_leased(struct jq_reader *in, struct jq_record *record) {
    record->u.task_leased.task = (jq_task_id){jq_read_varint(in)};
    record->u.task_leased.token = (jq_lease_token){jq_read_varint(in)};
    record->u.task_leased.worker = (uint32_t)get_bounded(in, UINT32_MAX);
    const uint8_t alternative = jq_read_u8(in);
    record->u.task_leased.alternative = (uint8_t)(alternative & ~LEASED_UNITS);
    if (alternative & LEASED_UNITS) {
        record->u.task_leased.units = jq_read_bytes(in, (size_t)get_bounded(in, JQ_LEASE_UNITS_SIZE_MAX));
    }
}

/* Beside the outcome, in its byte: whether more follows the counters. Outcomes are small numbers. */
enum { OUTCOME_MASK = 0x3f, OUTCOME_LOSSES = 0x40, OUTCOME_ERROR = 0x80 };

static uint8_t outcome_byte(uint8_t outcome, struct jq_str error, uint8_t losses) {
    return (uint8_t)(outcome | (error.size > 0 ? OUTCOME_ERROR : 0) | (losses > 0 ? OUTCOME_LOSSES : 0));
}

static void put_error(struct jq_buf *out, struct jq_str error) {
    if (error.size > 0) {
        jq_buf_append_str(out, error);
    }
}

static struct jq_str get_error(struct jq_reader *in, uint8_t byte) {
    return byte & OUTCOME_ERROR ? jq_read_str(in, JQ_ERROR_TEXT_SIZE_MAX) : (struct jq_str){NULL, 0};
}

static void encode_retried(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.task_retried.task.value);
    jq_buf_append_u8(out, outcome_byte(record->u.task_retried.outcome, record->u.task_retried.error, 0));
    jq_buf_append_u8(out, record->u.task_retried.attempts);
    jq_buf_append_u8(out, record->u.task_retried.crashes);
    jq_buf_append_u8(out, record->u.task_retried.losses);
    jq_buf_append_u8(out, record->u.task_retried.shortages);
    put_time(out, record->u.task_retried.ready_at_ms, record->time_ms);
    put_error(out, record->u.task_retried.error);
    put_body(out, record->u.task_retried.body);
}
static void decode_retried(struct jq_reader *in, struct jq_record *record) {
    record->u.task_retried.task = (jq_task_id){jq_read_varint(in)};
    const uint8_t outcome = jq_read_u8(in);
    record->u.task_retried.outcome = outcome & OUTCOME_MASK;
    record->u.task_retried.attempts = jq_read_u8(in);
    record->u.task_retried.crashes = jq_read_u8(in);
    record->u.task_retried.losses = jq_read_u8(in);
    record->u.task_retried.shortages = jq_read_u8(in);
    record->u.task_retried.ready_at_ms = get_time(in, record->time_ms);
    record->u.task_retried.error = get_error(in, outcome);
    record->u.task_retried.body = get_body(in);
}

static void encode_cancelling(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.task_cancelling.task.value);
    jq_buf_append_varint(out, record->u.task_cancelling.grace_ms);
}
static void decode_cancelling(struct jq_reader *in, struct jq_record *record) {
    record->u.task_cancelling.task = (jq_task_id){jq_read_varint(in)};
    record->u.task_cancelling.grace_ms = (uint32_t)get_bounded(in, UINT32_MAX);
}

/* Beside the state, in its byte: outputs follow. */
enum { ENDED_MADE = 0x80 };

static void encode_ended(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.task_ended.task.value);
    const bool made = record->u.task_ended.made.size > 0;
    jq_buf_append_u8(out, (uint8_t)(record->u.task_ended.state | (made ? ENDED_MADE : 0)));
    jq_buf_append_u8(
        out, outcome_byte(record->u.task_ended.outcome, record->u.task_ended.error, record->u.task_ended.losses));
    jq_buf_append_u8(out, record->u.task_ended.attempts);
    jq_buf_append_u8(out, record->u.task_ended.crashes);
    if (record->u.task_ended.losses > 0) {
        jq_buf_append_u8(out, record->u.task_ended.losses);
    }
    put_error(out, record->u.task_ended.error);
    if (made) {
        put_files(out, record->u.task_ended.made);
    }
    put_body(out, record->u.task_ended.body);
}
static void decode_ended(struct jq_reader *in, struct jq_record *record) {
    record->u.task_ended.task = (jq_task_id){jq_read_varint(in)};
    const uint8_t state = jq_read_u8(in);
    record->u.task_ended.state = state & (uint8_t)~ENDED_MADE;
    const uint8_t outcome = jq_read_u8(in);
    record->u.task_ended.outcome = outcome & OUTCOME_MASK;
    record->u.task_ended.attempts = jq_read_u8(in);
    record->u.task_ended.crashes = jq_read_u8(in);
    record->u.task_ended.losses = outcome & OUTCOME_LOSSES ? jq_read_u8(in) : 0;
    record->u.task_ended.error = get_error(in, outcome);
    record->u.task_ended.made = state & ENDED_MADE ? get_files(in) : (struct jq_bytes){NULL, 0};
    record->u.task_ended.body = get_body(in);
}

/* ---- what operators do to dead letters ---- */

static void encode_replayed(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.task_replayed.task.value);
    put_time(out, record->u.task_replayed.ready_at_ms, record->time_ms);
}
static void decode_replayed(struct jq_reader *in, struct jq_record *record) {
    record->u.task_replayed.task = (jq_task_id){jq_read_varint(in)};
    record->u.task_replayed.ready_at_ms = get_time(in, record->time_ms);
}

static void encode_edited(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.task_edited.task.value);
    jq_buf_append_varint(out, record->u.task_edited.queue);
    jq_buf_append_varint(out, record->u.task_edited.class_index);
    jq_buf_append_varint(out, record->u.task_edited.options);
    jq_buf_append_u8(out, record->u.task_edited.priority);
    put_body(out, record->u.task_edited.body);
}
static void decode_edited(struct jq_reader *in, struct jq_record *record) {
    record->u.task_edited.task = (jq_task_id){jq_read_varint(in)};
    record->u.task_edited.queue = (uint16_t)get_bounded(in, UINT16_MAX);
    record->u.task_edited.class_index = (uint16_t)get_bounded(in, UINT16_MAX);
    record->u.task_edited.options = (uint32_t)get_bounded(in, UINT32_MAX);
    record->u.task_edited.priority = jq_read_u8(in);
    record->u.task_edited.body = get_body(in);
}

/* ---- breakers ---- */

enum { BREAKER_HANDLERS_MAX = 4096 };

static void encode_breaker_set(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_u8(out, record->u.breaker_set.kind);
    jq_buf_append_u8(out, record->u.breaker_set.state);
    jq_buf_append_u8(out, record->u.breaker_set.by_operator);
    jq_buf_append_str(out, record->u.breaker_set.name);
    put_time(out, record->u.breaker_set.since_ms, record->time_ms);
    jq_buf_append_varint(out, (uint64_t)record->u.breaker_set.until_ms);
    jq_buf_append_varint(out, (uint64_t)record->u.breaker_set.cool_down_ms);
    jq_buf_append_str(out, record->u.breaker_set.handlers);
}
static void decode_breaker_set(struct jq_reader *in, struct jq_record *record) {
    record->u.breaker_set.kind = jq_read_u8(in);
    record->u.breaker_set.state = jq_read_u8(in);
    record->u.breaker_set.by_operator = jq_read_u8(in) != 0;
    record->u.breaker_set.name = jq_read_str(in, JQ_NAME_SIZE_MAX);
    record->u.breaker_set.since_ms = get_time(in, record->time_ms);
    record->u.breaker_set.until_ms = (int64_t)get_bounded(in, INT64_MAX);
    record->u.breaker_set.cool_down_ms = (int64_t)get_bounded(in, INT64_MAX);
    record->u.breaker_set.handlers = jq_read_str(in, BREAKER_HANDLERS_MAX);
}

static void encode_moved(const struct jq_record *record, struct jq_buf *out) {
    jq_buf_append_varint(out, record->u.task_moved.task.value);
    jq_buf_append_varint(out, record->u.task_moved.queue);
}
static void decode_moved(struct jq_reader *in, struct jq_record *record) {
    record->u.task_moved.task = (jq_task_id){jq_read_varint(in)};
    record->u.task_moved.queue = (uint16_t)get_bounded(in, UINT16_MAX);
}

/* ---- the table ---- */

static const struct codec codecs[JQ_RECORD_TYPE_END] = {
    [JQ_RECORD_PROLOGUE_BEGIN] = {"prologue_begin", encode_nothing, decode_nothing, false},
    [JQ_RECORD_PROLOGUE_END] = {"prologue_end", encode_prologue_end, decode_prologue_end, false},
    [JQ_RECORD_IDS_RESERVED] = {"ids_reserved", encode_ids_reserved, decode_ids_reserved, false},
    [JQ_RECORD_QUEUE_DEFINED] = {"queue_defined", encode_queue_defined, decode_queue_defined, false},
    [JQ_RECORD_QUEUE_SET] = {"queue_set", encode_queue_set, decode_queue_set, false},
    [JQ_RECORD_CLASS_DEFINED] = {"class_defined", encode_class_defined, decode_class_defined, false},
    [JQ_RECORD_OPTIONS_DEFINED] = {"options_defined", encode_options_defined, decode_options_defined, false},
    [JQ_RECORD_WORKER_REGISTERED] = {"worker_registered", encode_worker_registered, decode_worker_registered, false},
    [JQ_RECORD_WORKER_SET] = {"worker_set", encode_worker_set, decode_worker_set, false},
    [JQ_RECORD_WORKER_GONE] = {"worker_gone", encode_worker_gone, decode_worker_gone, false},
    [JQ_RECORD_WORKER_DOORBELL] = {"worker_doorbell", encode_worker_doorbell, decode_worker_doorbell, false},
    [JQ_RECORD_REQUEST_ANSWERED] = {"request_answered", encode_request_answered, decode_request_answered, false},
    [JQ_RECORD_SENDER_TRIMMED] = {"sender_trimmed", encode_sender_trimmed, decode_sender_trimmed, false},
    [JQ_RECORD_KEYS_FORGOTTEN] = {"keys_forgotten", encode_keys_forgotten, decode_keys_forgotten, false},
    [JQ_RECORD_WALL_OFFSET] = {"wall_offset", encode_wall_offset, decode_wall_offset, false},
    [JQ_RECORD_TASK_SUBMITTED] = {"task_submitted", encode_submitted, decode_submitted, true},
    [JQ_RECORD_TASK_DUE] = {"task_due", encode_task, decode_task, false},
    [JQ_RECORD_TASK_LEASED] = {"task_leased", encode_leased, decode_leased, false},
    [JQ_RECORD_TASK_RETRIED] = {"task_retried", encode_retried, decode_retried, true},
    [JQ_RECORD_TASK_CANCELLING] = {"task_cancelling", encode_cancelling, decode_cancelling, false},
    [JQ_RECORD_TASK_ENDED] = {"task_ended", encode_ended, decode_ended, true},
    [JQ_RECORD_TASK_REVIVED] = {"task_revived", encode_task, decode_task, false},
    [JQ_RECORD_TASK_FORGOTTEN] = {"task_forgotten", encode_task, decode_task, false},
    [JQ_RECORD_TASK_RELOCATED] = {"task_relocated", encode_task_relocated, decode_task_relocated, true},
    [JQ_RECORD_REPORT_RELOCATED] = {"report_relocated", encode_report_relocated, decode_report_relocated, true},
    [JQ_RECORD_KEY_RELOCATED] = {"key_relocated", encode_key_relocated, decode_key_relocated, false},
    [JQ_RECORD_FLOW_SET] = {"flow_set", encode_flow_set, decode_flow_set, false},
    [JQ_RECORD_FLOW_CUT] = {"flow_cut", encode_flow_cut, decode_flow_cut, false},
    [JQ_RECORD_FLOW_FORGOTTEN] = {"flow_forgotten", encode_flow_forgotten, decode_flow_forgotten, false},
    [JQ_RECORD_EDGE_DECIDED] = {"edge_decided", encode_edge_decided, decode_edge_decided, false},
    [JQ_RECORD_TASK_FREED] = {"task_freed", encode_task, decode_task, false},
    [JQ_RECORD_BREAKER_SET] = {"breaker_set", encode_breaker_set, decode_breaker_set, false},
    [JQ_RECORD_TASK_EDITED] = {"task_edited", encode_edited, decode_edited, true},
    [JQ_RECORD_TASK_REPLAYED] = {"task_replayed", encode_replayed, decode_replayed, false},
    [JQ_RECORD_KEY_FORGOTTEN] = {"key_forgotten", encode_key_forgotten, decode_key_forgotten, false},
    [JQ_RECORD_TASK_RENEWED] = {"task_renewed", encode_renewed, decode_renewed, true},
    [JQ_RECORD_SCHEDULE_SET] = {"schedule_set", encode_schedule_set, decode_schedule_set, false},
    [JQ_RECORD_SCHEDULE_FORGOTTEN] = {"schedule_forgotten", encode_schedule_forgotten, decode_schedule_forgotten,
                                      false},
    [JQ_RECORD_SCHEDULE_MOVED] = {"schedule_moved", encode_schedule_moved, decode_schedule_moved, false},
    [JQ_RECORD_LIMIT_SET] = {"limit_set", encode_limit_set, decode_limit_set, false},
    [JQ_RECORD_LIMIT_REMOVED] = {"limit_removed", encode_limit_removed, decode_limit_removed, false},
    [JQ_RECORD_BLOB_STORED] = {"blob_stored", encode_blob_stored, decode_blob_stored, false},
    [JQ_RECORD_BLOB_DROPPED] = {"blob_dropped", encode_blob_dropped, decode_blob_dropped, false},
    [JQ_RECORD_CACHE_STORED] = {"cache_stored", encode_cache_stored, decode_cache_stored, true},
    [JQ_RECORD_CACHE_DROPPED] = {"cache_dropped", encode_cache_dropped, decode_cache_dropped, false},
    [JQ_RECORD_TASK_HELD] = {"task_held", encode_task, decode_task, false},
    [JQ_RECORD_TASK_RELEASED] = {"task_released", encode_task, decode_task, false},
    [JQ_RECORD_TASK_MOVED] = {"task_moved", encode_moved, decode_moved, false},
};

static const struct codec *codec_of(uint8_t type) {
    return type < JQ_RECORD_TYPE_END && codecs[type].name ? &codecs[type] : NULL;
}

void jq_record_encode(const struct jq_record *record, struct jq_buf *out) {
    const struct codec *codec = codec_of((uint8_t)record->type);
    JQ_CHECK(codec != NULL);
    codec->encode(record, out);
}

void jq_record_encode_clock(int64_t from_ms, int64_t to_ms, struct jq_buf *out) {
    jq_buf_append_svarint(out, to_ms - from_ms);
}

enum jq_err jq_record_decode(uint8_t type, struct jq_bytes bytes, int64_t *time_ms, struct jq_record *ret_record,
                             bool *ret_clock, struct jq_error *reterr) {
    struct jq_reader in = jq_reader_of(bytes);
    if (type == JQ_RECORD_CLOCK) {
        const int64_t at_ms = get_time(&in, *time_ms);
        if (in.failed || in.at != in.end) {
            return jq_fail(reterr, JQ_ERR_CORRUPT, "clock record: bad length");
        }
        *time_ms = at_ms;
        *ret_clock = true;
        return JQ_OK;
    }
    const struct codec *codec = codec_of(type);
    if (!codec) {
        return jq_fail(reterr, JQ_ERR_VERSION, "record type %u is not known to this version", type);
    }
    struct jq_record record = {.type = (enum jq_record_type)type, .time_ms = *time_ms};
    codec->decode(&in, &record);
    if (in.failed || in.at != in.end) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "%s record: bad length or value", codec->name);
    }
    *ret_record = record;
    *ret_clock = false;
    return JQ_OK;
}

static struct jq_bytes body_of(const struct jq_record *record) {
    switch (record->type) {
    case JQ_RECORD_TASK_SUBMITTED: return record->u.task_submitted.body;
    case JQ_RECORD_TASK_RETRIED: return record->u.task_retried.body;
    case JQ_RECORD_TASK_EDITED: return record->u.task_edited.body;
    case JQ_RECORD_TASK_RENEWED: return record->u.task_renewed.body;
    case JQ_RECORD_TASK_RELOCATED: return record->u.task_relocated.submit.body;
    case JQ_RECORD_REPORT_RELOCATED: return record->u.report_relocated.body;
    case JQ_RECORD_CACHE_STORED: return record->u.cache_stored.body;
    default: return record->u.task_ended.body;
    }
}

enum jq_err jq_record_body(uint8_t type, struct jq_bytes bytes, struct jq_bytes *ret_body, struct jq_error *reterr) {
    const struct codec *codec = codec_of(type);
    if (!codec || !codec->has_body) {
        *ret_body = (struct jq_bytes){NULL, 0};
        return JQ_OK;
    }
    struct jq_record record = {.type = (enum jq_record_type)type};
    struct jq_reader in = jq_reader_of(bytes);
    codec->decode(&in, &record);
    if (in.failed || in.at != in.end) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "%s record: bad length or value", codec->name);
    }
    const struct jq_bytes body = body_of(&record);
    struct jq_reader tail = jq_reader_of((struct jq_bytes){bytes.data + bytes.size - 4, 4});
    if (jq_read_u32(&tail) != jq_crc32c(0, body.data, body.size)) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "body of a %s record: checksum mismatch", codec->name);
    }
    *ret_body = body;
    return JQ_OK;
}

const char *jq_record_type_name(uint8_t type) {
    const struct codec *codec = codec_of(type);
    return codec ? codec->name : type == JQ_RECORD_CLOCK ? "clock" : "?";
}
