#include "broker/shell/decode.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/shell/decode_internal.h"
#include "common/codec_survey.h"

_Static_assert((int)JQ_OP_END == 55, "an op of the core has no row in JQ_OP_ROWS or in the table of readers below");

void jq_decode_config_init(struct jq_decode_config *config) {
    *config = (struct jq_decode_config){.retry_max = JQ_RETRY_MAX_DEFAULT,
                                        .retry_base_ms = JQ_RETRY_BASE_MS_DEFAULT,
                                        .retry_cap_ms = JQ_RETRY_CAP_MS_DEFAULT,
                                        .result_ttl_ms = JQ_RESULT_TTL_MS_DEFAULT,
                                        .wait_ms_max = JQ_WAIT_MS_MAX};
}

struct jq_decoder *jq_decoder_new(const struct jq_decode_config *config) {
    struct jq_decoder *decoder = calloc(1, sizeof(*decoder));
    if (!decoder)
        return NULL;
    if (config)
        decoder->config = *config;
    else
        jq_decode_config_init(&decoder->config);
    jq_arena_init(&decoder->arena);
    jq_buf_init(&decoder->bodies, SIZE_MAX);
    jq_need_cache_init(&decoder->needs);
    return decoder;
}

void jq_decoder_free(struct jq_decoder *decoder) {
    if (!decoder)
        return;
    jq_arena_fini(&decoder->arena);
    jq_buf_fini(&decoder->bodies);
    jq_need_cache_fini(&decoder->needs);
    free(decoder);
}

const struct jq_refusal *jq_decoder_refusal(const struct jq_decoder *decoder) {
    return &decoder->refusal;
}

/* ---- shared by the readers of bodies ----------------------------------------------------------------------------- */

static bool out_of_memory(struct jq_decoder *decoder) {
    return jq_fault_set(&decoder->fault, JQ_REPLY_UNAVAILABLE, "", "out of memory");
}

void *jq_decode_array(struct jq_decoder *decoder, size_t count, size_t element_size) {
    void *array = jq_arena_alloc(&decoder->arena, count > 0 ? count * element_size : 1);
    if (!array)
        out_of_memory(decoder);
    return array;
}

const char *jq_decode_reason(const struct jq_error *error, const char *prefix) {
    const size_t size = strlen(prefix);
    if (strncmp(error->message, prefix, size) == 0 && strncmp(error->message + size, ": ", 2) == 0)
        return error->message + size + 2;
    return error->message;
}

bool jq_decode_need(struct jq_decoder *decoder, struct jq_str text, const char *field, struct jq_str *ret_canonical) {
    *ret_canonical = text;
    if (text.size == 0)
        return true;
    struct jq_str canonical;
    struct jq_error error;
    const enum jq_err err = jq_need_cache_get(&decoder->needs, text, &canonical, &error);
    if (err == JQ_ERR_NOMEM)
        return out_of_memory(decoder);
    if (err != JQ_OK)
        return jq_fault_set(&decoder->fault, err == JQ_ERR_TOO_BIG ? JQ_REPLY_TOO_BIG : JQ_REPLY_INVALID, field, "%s",
                            jq_decode_reason(&error, "need"));
    if (jq_str_equal(text, canonical))
        return true;
    *ret_canonical = jq_arena_text(&decoder->arena, canonical);
    return ret_canonical->data ? true : out_of_memory(decoder);
}

bool jq_decode_limits(struct jq_decoder *decoder, uint64_t soft_ms, uint64_t hard_ms) {
    if (soft_ms == 0 || hard_ms == 0 || soft_ms <= hard_ms)
        return true;
    return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "soft_limit_ms",
                        "%" PRIu64 " is above hard_limit_ms, %" PRIu64, soft_ms, hard_ms);
}

bool jq_decode_where(struct jq_decoder *decoder, const struct jq_values *values, unsigned place,
                     const struct jq_where **ret_where) {
    struct jq_error error;
    *ret_where = NULL;
    if (!jq_given(values, place))
        return true;
    struct jq_where *where = jq_decode_array(decoder, 1, sizeof(*where));
    if (!where)
        return false;
    const enum jq_err err = jq_where_parse(jq_value_text(values, place), where, &error);
    if (err != JQ_OK)
        return jq_fault_set(&decoder->fault, err == JQ_ERR_TOO_BIG ? JQ_REPLY_TOO_BIG : JQ_REPLY_INVALID, "where", "%s",
                            jq_decode_reason(&error, "where"));
    *ret_where = where;
    return true;
}

int64_t jq_decode_wait_ms(const struct jq_decoder *decoder, const struct jq_values *values, unsigned place) {
    const uint64_t wait_ms = jq_value_uint(values, place, 0);
    const uint64_t max_ms = (uint64_t)decoder->config.wait_ms_max;
    return (int64_t)(wait_ms < max_ms ? wait_ms : max_ms);
}

/* ---- bodies of the small requests -------------------------------------------------------------------------------- */

bool jq_decode_ids(struct jq_decoder *decoder, const msgpack_object *object, const jq_task_id **ret_ids,
                   size_t *ret_count) {
    const size_t count = object->via.array.size;
    jq_task_id *ids = jq_decode_array(decoder, count, sizeof(*ids));
    if (!ids)
        return false;
    for (size_t i = 0; i < count; i++)
        ids[i] = (jq_task_id){object->via.array.ptr[i].via.u64};
    *ret_ids = ids;
    *ret_count = count;
    return true;
}

static bool decode_wait(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.wait.wait_ms = jq_decode_wait_ms(decoder, values, JQ_AT_WAIT_WAIT);
    return jq_decode_ids(decoder, values->at[JQ_AT_WAIT_IDS].object, &request->u.wait.ids, &request->u.wait.count);
}

static bool decode_task_id(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.task.id.value = values->at[JQ_AT_TASK_ID_ID].u;
    return true;
}

static bool read_states(struct jq_decoder *decoder, const msgpack_object *object, uint32_t *ret_states) {
    uint32_t states = 0;
    for (uint32_t i = 0; object && i < object->via.array.size; i++) {
        const struct jq_str name = jq_object_str(&object->via.array.ptr[i]);
        enum jq_state state;
        if (!jq_state_of_name(name, &state) || state == JQ_STATE_NONE)
            return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "states", "'%.*s' is not a state", JQ_STR_ARG(name));
        states |= UINT32_C(1) << state;
    }
    *ret_states = states;
    return true;
}

static bool decode_task_ls(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.list.after.value = jq_value_uint(values, JQ_AT_TASK_LS_AFTER, 0);
    request->u.list.limit = (uint32_t)jq_value_uint(values, JQ_AT_TASK_LS_LIMIT, JQ_LIST_COUNT_DEFAULT);
    request->u.list.queue = jq_value_text(values, JQ_AT_TASK_LS_QUEUE);
    request->u.list.handler = jq_value_text(values, JQ_AT_TASK_LS_HANDLER);
    return read_states(decoder, jq_value_object(values, JQ_AT_TASK_LS_STATES), &request->u.list.states) &&
           jq_decode_where(decoder, values, JQ_AT_TASK_LS_WHERE, &request->u.list.where);
}

/* Which tasks: by their ids, or by what selects them. */
static bool read_tasks(struct jq_decoder *decoder, const struct jq_values *values, unsigned ids_place,
                       unsigned where_place, unsigned dry_run_place, struct jq_request *request) {
    const msgpack_object *ids = jq_value_object(values, ids_place);
    request->u.tasks.dry_run = jq_value_bool(values, dry_run_place);
    if (!jq_decode_where(decoder, values, where_place, &request->u.tasks.where))
        return false;
    if (ids && request->u.tasks.where)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "ids", "either ids or where");
    if (!ids && !request->u.tasks.where)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "ids", "missing: ids, or where");
    if (ids && request->u.tasks.dry_run)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "dry_run", "goes with where");
    return !ids || jq_decode_ids(decoder, ids, &request->u.tasks.ids, &request->u.tasks.count);
}

static bool decode_task_cancel(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.tasks.grace_ms = (uint32_t)jq_value_uint(values, JQ_AT_TASK_CANCEL_GRACE, JQ_GRACE_MS_DEFAULT);
    return read_tasks(decoder, values, JQ_AT_TASK_CANCEL_IDS, JQ_AT_TASK_CANCEL_WHERE, JQ_AT_TASK_CANCEL_DRY_RUN,
                      request);
}

static bool decode_dead_replay(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.tasks.interval_us = (int64_t)jq_value_uint(values, JQ_AT_DEAD_REPLAY_INTERVAL, 0);
    return read_tasks(decoder, values, JQ_AT_DEAD_REPLAY_IDS, JQ_AT_DEAD_REPLAY_WHERE, JQ_AT_DEAD_REPLAY_DRY_RUN,
                      request);
}

static bool decode_task_ids(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    return read_tasks(decoder, values, JQ_AT_TASK_IDS_IDS, JQ_AT_TASK_IDS_WHERE, JQ_AT_TASK_IDS_DRY_RUN, request);
}

static bool decode_task_move(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.tasks.to = values->at[JQ_AT_TASK_MOVE_QUEUE].text;
    return read_tasks(decoder, values, JQ_AT_TASK_MOVE_IDS, JQ_AT_TASK_MOVE_WHERE, JQ_AT_TASK_MOVE_DRY_RUN, request);
}

_Static_assert(JQ_AT_WORKER_SHOW_NAME == 0 && JQ_AT_WORKER_DRAIN_NAME == 0 && JQ_AT_WORKER_DRAIN_DRAINING == 1 &&
                   JQ_AT_SCHEDULE_NAME_NAME == 0 && JQ_AT_SCHEDULE_PAUSE_NAME == 0 && JQ_AT_SCHEDULE_PAUSE_PAUSED == 1,
               "decode_named() reads all of them");

static bool decode_named(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.named.name = jq_value_text(values, JQ_AT_WORKER_DRAIN_NAME);
    request->u.named.on = jq_value_bool(values, JQ_AT_WORKER_DRAIN_DRAINING);
    return true;
}

static bool decode_worker_ls(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.named.after = (uint32_t)jq_value_uint(values, JQ_AT_WORKER_LS_AFTER, 0);
    return true;
}

static bool decode_queue_ls(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.named.name = jq_value_text(values, JQ_AT_QUEUE_LS_NAME);
    request->u.named.after = (uint32_t)jq_value_uint(values, JQ_AT_QUEUE_LS_AFTER, 0);
    return true;
}

static bool decode_queue_set(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    static const struct {
        unsigned place;
        enum jq_queue_setting setting;
    } settings[] = {
        {JQ_AT_QUEUE_SET_PAUSED, JQ_QUEUE_SETTING_PAUSED},     {JQ_AT_QUEUE_SET_UNTIL, JQ_QUEUE_SETTING_UNTIL},
        {JQ_AT_QUEUE_SET_DRAINING, JQ_QUEUE_SETTING_DRAINING}, {JQ_AT_QUEUE_SET_DEPTH_MAX, JQ_QUEUE_SETTING_DEPTH_MAX},
        {JQ_AT_QUEUE_SET_WEIGHT, JQ_QUEUE_SETTING_WEIGHT},     {JQ_AT_QUEUE_SET_BYTES_MAX, JQ_QUEUE_SETTING_BYTES_MAX},
        {JQ_AT_QUEUE_SET_POLICY, JQ_QUEUE_SETTING_POLICY}};
    struct jq_queue_set *set = &request->u.queue_set.set;
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        request->u.queue_set.given |= jq_given(values, settings[i].place) ? settings[i].setting : 0u;
    request->u.queue_set.name = jq_value_text(values, JQ_AT_QUEUE_SET_NAME);
    set->paused = jq_value_bool(values, JQ_AT_QUEUE_SET_PAUSED);
    set->draining = jq_value_bool(values, JQ_AT_QUEUE_SET_DRAINING);
    set->paused_until_wall_ms = (int64_t)jq_value_uint(values, JQ_AT_QUEUE_SET_UNTIL, 0);
    set->depth_max = jq_value_uint(values, JQ_AT_QUEUE_SET_DEPTH_MAX, 0);
    set->weight = (uint32_t)jq_value_uint(values, JQ_AT_QUEUE_SET_WEIGHT, 0);
    set->bytes_max = jq_value_uint(values, JQ_AT_QUEUE_SET_BYTES_MAX, 0);
    const struct jq_str policy = jq_value_text(values, JQ_AT_QUEUE_SET_POLICY);
    enum jq_queue_policy named = JQ_POLICY_REJECT;
    if (jq_policy_of_name(policy, &named))
        set->policy = (uint8_t)(1 + named);
    else if (policy.size > 0 && !jq_str_equal(policy, JQ_STR("configured")))
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "policy",
                            "'%.*s' is none of reject, shed_lowest, block, configured", JQ_STR_ARG(policy));
    if (request->u.queue_set.given == 0)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "paused", "nothing is set");
    if (set->paused_until_wall_ms > 0 && !set->paused)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "until_ms", "goes with paused: true");
    return true;
}

static bool decode_schedule_ls(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.list.after.value = jq_value_uint(values, JQ_AT_SCHEDULE_LS_AFTER, 0);
    request->u.list.limit = (uint32_t)jq_value_uint(values, JQ_AT_SCHEDULE_LS_LIMIT, JQ_LIST_COUNT_DEFAULT);
    return true;
}

static bool decode_events_read(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.events.after = jq_value_uint(values, JQ_AT_EVENTS_READ_AFTER, 0);
    request->u.events.limit = (uint32_t)jq_value_uint(values, JQ_AT_EVENTS_READ_LIMIT, JQ_LIST_COUNT_MAX);
    request->u.events.wait_ms = jq_decode_wait_ms(decoder, values, JQ_AT_EVENTS_READ_WAIT);
    return jq_decode_where(decoder, values, JQ_AT_EVENTS_READ_WHERE, &request->u.events.where);
}

static bool decode_backup_read(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.backup.oldest = !jq_given(values, JQ_AT_BACKUP_READ_SEGMENT);
    request->u.backup.segment = jq_value_uint(values, JQ_AT_BACKUP_READ_SEGMENT, 0);
    request->u.backup.offset = values->at[JQ_AT_BACKUP_READ_OFFSET].u;
    request->u.backup.end_lsn = values->at[JQ_AT_BACKUP_READ_END].u;
    return true;
}

static bool decode_output_put(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.output.session = jq_value_uuid(values, JQ_AT_OUTPUT_PUT_SESSION);
    request->u.output.task.value = values->at[JQ_AT_OUTPUT_PUT_TASK].u;
    request->u.output.token.value = values->at[JQ_AT_OUTPUT_PUT_TOKEN].u;
    request->u.output.at[0] = jq_value_uint(values, JQ_AT_OUTPUT_PUT_STDOUT_AT, 0);
    request->u.output.at[1] = jq_value_uint(values, JQ_AT_OUTPUT_PUT_STDERR_AT, 0);
    request->u.output.bytes[0] = jq_value_bytes(values, JQ_AT_OUTPUT_PUT_STDOUT);
    request->u.output.bytes[1] = jq_value_bytes(values, JQ_AT_OUTPUT_PUT_STDERR);
    return true;
}

static bool decode_task_logs(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.output.task.value = values->at[JQ_AT_TASK_LOGS_ID].u;
    request->u.output.at[0] = jq_value_uint(values, JQ_AT_TASK_LOGS_STDOUT_AT, 0);
    request->u.output.at[1] = jq_value_uint(values, JQ_AT_TASK_LOGS_STDERR_AT, 0);
    return true;
}

static bool decode_nothing(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    (void)values;
    (void)request;
    return true;
}

static jq_decode_body *const body_readers[JQ_OP_END] = {
    [JQ_OP_NONE] = decode_nothing,
    [JQ_OP_SUBMIT] = jq_decode_submit,
    [JQ_OP_REGISTER] = jq_decode_register,
    [JQ_OP_LEASE] = jq_decode_lease,
    [JQ_OP_REPORT] = jq_decode_report,
    [JQ_OP_WAIT] = decode_wait,
    [JQ_OP_TASK_SHOW] = decode_task_id,
    [JQ_OP_TASK_LS] = decode_task_ls,
    [JQ_OP_TASK_EXPLAIN] = decode_task_id,
    [JQ_OP_TASK_CANCEL] = decode_task_cancel,
    [JQ_OP_DEAD_REPLAY] = decode_dead_replay,
    [JQ_OP_DEAD_RM] = decode_task_ids,
    [JQ_OP_QUEUE_LS] = decode_queue_ls,
    [JQ_OP_QUEUE_SET] = decode_queue_set,
    [JQ_OP_WORKER_LS] = decode_worker_ls,
    [JQ_OP_WORKER_SHOW] = decode_named,
    [JQ_OP_WORKER_DRAIN] = decode_named,
    [JQ_OP_SERVER_STATUS] = decode_nothing,
    [JQ_OP_FLOW_BEGIN] = jq_decode_flow_begin,
    [JQ_OP_FLOW_ADD] = jq_decode_flow_add,
    [JQ_OP_FLOW_COMMIT] = jq_decode_flow_commit,
    [JQ_OP_FLOW_CANCEL] = jq_decode_flow_cancel,
    [JQ_OP_FLOW_SHOW] = jq_decode_flow_show,
    [JQ_OP_FLOW_LS] = jq_decode_flow_ls,
    [JQ_OP_FLOW_WAIT] = jq_decode_flow_wait,
    [JQ_OP_BREAKER_LS] = jq_decode_breaker_ls,
    [JQ_OP_BREAKER_SHOW] = jq_decode_breaker,
    [JQ_OP_BREAKER_TRIP] = jq_decode_breaker,
    [JQ_OP_BREAKER_RESET] = jq_decode_breaker,
    [JQ_OP_DEAD_EDIT] = jq_decode_dead_edit,
    [JQ_OP_SCHEDULE_SET] = jq_decode_schedule_set,
    [JQ_OP_SCHEDULE_RM] = decode_named,
    [JQ_OP_SCHEDULE_PAUSE] = decode_named,
    [JQ_OP_SCHEDULE_RUN] = decode_named,
    [JQ_OP_SCHEDULE_LS] = decode_schedule_ls,
    [JQ_OP_SCHEDULE_SHOW] = decode_named,
    [JQ_OP_LIMIT_SET] = jq_decode_limit_set,
    [JQ_OP_LIMIT_LS] = jq_decode_limit_ls,
    [JQ_OP_LIMIT_RM] = jq_decode_limit_rm,
    [JQ_OP_TASK_HOLD] = decode_task_ids,
    [JQ_OP_TASK_RELEASE] = decode_task_ids,
    [JQ_OP_TASK_MOVE] = decode_task_move,
    [JQ_OP_TASK_RM] = decode_task_ids,
    [JQ_OP_EVENTS_READ] = decode_events_read,
    [JQ_OP_BACKUP_BEGIN] = decode_nothing,
    [JQ_OP_BACKUP_READ] = decode_backup_read,
    [JQ_OP_BLOB_PUT] = jq_decode_blob_put,
    [JQ_OP_BLOB_GET] = jq_decode_blob_get,
    [JQ_OP_BLOB_STAT] = jq_decode_blob_stat,
    [JQ_OP_BLOB_LS] = jq_decode_blob_ls,
    [JQ_OP_BLOB_GC] = decode_nothing,
    [JQ_OP_OUTPUT_PUT] = decode_output_put,
    [JQ_OP_TASK_LOGS] = decode_task_logs,
    [JQ_OP_CACHE_STAT] = decode_nothing,
    [JQ_OP_CACHE_PURGE] = decode_nothing,
};

/* ---- the envelope ------------------------------------------------------------------------------------------------ */

/* Even of an envelope that is refused: the answer should name the request where it can. */
static uint64_t request_id_of(const msgpack_object *root) {
    if (root->type != MSGPACK_OBJECT_ARRAY || root->via.array.size <= JQ_AT_REQUEST_ID)
        return 0;
    const msgpack_object *id = &root->via.array.ptr[JQ_AT_REQUEST_ID];
    return id->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? id->via.u64 : 0;
}

/* First of all: another version may look different in everything behind it. */
static bool check_version(struct jq_decoder *decoder, const msgpack_object *root) {
    if (root->type != MSGPACK_OBJECT_ARRAY || root->via.array.size == 0)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "frame", "not the array of a request");
    const msgpack_object *version = &root->via.array.ptr[JQ_AT_REQUEST_VERSION];
    if (version->type == MSGPACK_OBJECT_POSITIVE_INTEGER && version->via.u64 != JQ_PROTOCOL_VERSION)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "version", "%" PRIu64 " is not spoken here, only %d",
                            version->via.u64, JQ_PROTOCOL_VERSION);
    return true;
}

static bool read_envelope(struct jq_decoder *decoder, const msgpack_object *root, struct jq_values *values,
                          struct jq_envelope *envelope) {
    if (!check_version(decoder, root) || !jq_fields_read(&jq_message_request, root, values, &decoder->fault))
        return false;
    const struct jq_str op = values->at[JQ_AT_REQUEST_OP].text;
    *envelope = (struct jq_envelope){.op = jq_op_find(op), .token = jq_value_text(values, JQ_AT_REQUEST_TOKEN)};
    if (!envelope->op)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "op", "'%.*s' is none of this protocol", JQ_STR_ARG(op));
    const uint64_t id = values->at[JQ_AT_REQUEST_ID].u;
    const uint64_t done = values->at[JQ_AT_REQUEST_DONE].u;
    if (done > id)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "done",
                            "%" PRIu64 " is above the request's id, %" PRIu64, done, id);
    return true;
}

/* A request of another op than `only` is refused; JQ_OP_END: none is. */
static bool read_request(struct jq_decoder *decoder, const msgpack_object *root, enum jq_op only,
                         struct jq_request *request, struct jq_envelope *envelope) {
    struct jq_values outer, body;
    if (!read_envelope(decoder, root, &outer, envelope))
        return false;
    if (only != JQ_OP_END && (enum jq_op)envelope->op->number != only)
        return jq_fault_set(&decoder->fault, JQ_REPLY_TOO_BIG, "frame", "more than %d bytes, and no piece of a blob",
                            JQ_FRAME_SIZE_MAX);
    if (!jq_fields_read(envelope->op->request, outer.at[JQ_AT_REQUEST_BODY].object, &body, &decoder->fault))
        return false;
    request->sender = jq_value_uuid(&outer, JQ_AT_REQUEST_SENDER);
    request->id = outer.at[JQ_AT_REQUEST_ID].u;
    request->done = outer.at[JQ_AT_REQUEST_DONE].u;
    request->op = (enum jq_op)envelope->op->number;
    if (request->op == JQ_OP_NONE) {
        envelope->peer_name = body.at[JQ_AT_HELLO_NAME].text;
        envelope->peer_version = body.at[JQ_AT_HELLO_VERSION].text;
    }
    return body_readers[request->op](decoder, &body, request);
}

/* Takes a copy of the frame, and room for bodies: each object that replaces nothing in the frame (a nil) is one byte,
 * and no more than three of them go with a task or a report, which has at least three bytes itself. */
static bool take_frame(struct jq_decoder *decoder, struct jq_bytes frame, struct jq_bytes *ret_copy) {
    uint8_t *copy = jq_arena_alloc(&decoder->arena, frame.size);
    if (!copy || !jq_buf_room(&decoder->bodies, frame.size * 2))
        return out_of_memory(decoder);
    memcpy(copy, frame.data, frame.size);
    *ret_copy = (struct jq_bytes){copy, frame.size};
    return true;
}

static bool unpack_fault(struct jq_decoder *decoder, enum jq_err err, const struct jq_error *error) {
    if (err == JQ_ERR_NOMEM)
        return out_of_memory(decoder);
    return jq_fault_set(&decoder->fault, err == JQ_ERR_TOO_BIG ? JQ_REPLY_TOO_BIG : JQ_REPLY_INVALID, "frame", "%s",
                        jq_decode_reason(error, "frame"));
}

static bool unpack_frame(struct jq_decoder *decoder, struct jq_bytes frame, bool large, msgpack_object *ret_root) {
    struct jq_error error;
    const enum jq_err err = (large ? jq_unpack_large : jq_unpack)(jq_unpacker_of_thread(), frame, ret_root, &error);
    return err == JQ_OK || unpack_fault(decoder, err, &error);
}

static enum jq_err refuse(struct jq_decoder *decoder, enum jq_err code, struct jq_error *reterr) {
    const struct jq_fault *fault = &decoder->fault;
    decoder->refusal.status = fault->status;
    decoder->refusal.field = fault->field[0] ? fault->field : NULL;
    decoder->refusal.reason = fault->reason;
    if (fault->status == JQ_REPLY_TOO_BIG)
        code = JQ_ERR_TOO_BIG;
    else if (fault->status == JQ_REPLY_UNAVAILABLE)
        code = JQ_ERR_NOMEM;
    return jq_fail(reterr, code, "%s%s%s", fault->field, fault->field[0] ? ": " : "", fault->reason);
}

/* Nothing of it is copied but what outlives the data. */
static bool read_large_request(struct jq_decoder *decoder, const msgpack_object *root, struct jq_request *request,
                               struct jq_envelope *envelope) {
    if (!read_request(decoder, root, JQ_OP_BLOB_PUT, request, envelope))
        return false;
    uint8_t *names = jq_decode_array(decoder, 2 * (size_t)JQ_BLOB_HASH_SIZE, 1);
    if (!names)
        return false;
    JQ_CHECK(request->u.blob.hash != NULL); /* a field that is required */
    memcpy(names, request->u.blob.hash, JQ_BLOB_HASH_SIZE);
    request->u.blob.hash = names;
    if (request->u.blob.named) {
        memcpy(names + JQ_BLOB_HASH_SIZE, request->u.blob.named, JQ_BLOB_HASH_SIZE);
        request->u.blob.named = names + JQ_BLOB_HASH_SIZE;
    }
    return true;
}

static enum jq_err decode(struct jq_decoder *decoder, struct jq_bytes frame, bool large, struct jq_request *ret_request,
                          struct jq_envelope *ret_envelope, struct jq_error *reterr) {
    struct jq_bytes bytes = frame;
    msgpack_object root;
    struct jq_request request;
    struct jq_envelope envelope;
    const bool copied = !large && frame.size > 0 && frame.size <= JQ_FRAME_SIZE_MAX; /* Else refused at once. */
    decoder->refusal.request = 0;
    jq_arena_reset(&decoder->arena);
    jq_buf_clear(&decoder->bodies);
    if (copied && !take_frame(decoder, frame, &bytes))
        return refuse(decoder, JQ_ERR_NOMEM, reterr);
    if (!unpack_frame(decoder, bytes, large, &root))
        return refuse(decoder, JQ_ERR_PROTOCOL, reterr);
    memset(&request, 0, sizeof(request));
    decoder->refusal.request = request_id_of(&root);
    if (!(large ? read_large_request(decoder, &root, &request, &envelope)
                : read_request(decoder, &root, JQ_OP_END, &request, &envelope)))
        return refuse(decoder, JQ_ERR_INVALID, reterr);
    *ret_request = request;
    *ret_envelope = envelope;
    return JQ_OK;
}

enum jq_err jq_decode_request(struct jq_decoder *decoder, struct jq_bytes frame, struct jq_request *ret_request,
                              struct jq_envelope *ret_envelope, struct jq_error *reterr) {
    return decode(decoder, frame, false, ret_request, ret_envelope, reterr);
}

enum jq_err jq_decode_large_request(struct jq_decoder *decoder, struct jq_bytes frame, struct jq_request *ret_request,
                                    struct jq_envelope *ret_envelope, struct jq_error *reterr) {
    return decode(decoder, frame, true, ret_request, ret_envelope, reterr);
}

/* ---- surveys ----------------------------------------------------------------------------------------------------- */

enum jq_err jq_decode_survey_response(struct jq_decoder *decoder, struct jq_bytes frame,
                                      struct jq_survey_response *ret_response, struct jq_error *reterr) {
    struct jq_survey_answer answer;
    const enum jq_err err = jq_survey_answer_read(frame, &answer, reterr);
    if (err != JQ_OK)
        return err;
    jq_arena_reset(&decoder->arena);
    struct jq_progress *progress = jq_decode_array(decoder, answer.progress_count, sizeof(*progress));
    if (!progress)
        return jq_fail(reterr, JQ_ERR_NOMEM, "survey: out of memory");
    for (size_t i = 0; i < answer.progress_count; i++) {
        const struct jq_survey_progress *from = &answer.progress[i];
        progress[i] = (struct jq_progress){from->task, from->permille, jq_arena_text(&decoder->arena, from->text)};
        if (!progress[i].text.data)
            return jq_fail(reterr, JQ_ERR_NOMEM, "survey: out of memory");
    }
    *ret_response = (struct jq_survey_response){
        .survey = answer.survey,
        .session = answer.session,
        .incarnation = answer.incarnation,
        .held_count = answer.held_count,
        .held_sum = answer.held_sum,
        .load_permille = answer.load_permille,
        .memory_permille = answer.memory_permille,
        .progress = progress,
        .progress_count = answer.progress_count,
    };
    return JQ_OK;
}
