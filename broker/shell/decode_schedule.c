/* decode_schedule.c - a schedule that somebody sets: what can be checked without its zone, and the task that it submits. */
#include "broker/shell/decode_internal.h"
#include "common/cron.h"

static bool read_words(struct jq_decoder *decoder, const struct jq_values *values, struct jq_schedule_def *def) {
    const struct jq_str catch_up = jq_value_text(values, JQ_AT_SCHEDULE_SET_CATCH_UP);
    const struct jq_str overlap = jq_value_text(values, JQ_AT_SCHEDULE_SET_OVERLAP);
    def->catch_up = JQ_CATCH_UP_LAST;
    def->skip_overlap = jq_str_equal(overlap, JQ_STR("skip"));
    if (catch_up.size > 0 && !jq_catch_up_of_name(catch_up, &def->catch_up))
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "catch_up", "'%.*s' is none of none, last, all",
                            JQ_STR_ARG(catch_up));
    if (overlap.size > 0 && !def->skip_overlap && !jq_str_equal(overlap, JQ_STR("allow")))
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "overlap", "'%.*s' is none of allow, skip",
                            JQ_STR_ARG(overlap));
    return true;
}

static bool check_when(struct jq_decoder *decoder, struct jq_str when) {
    struct jq_cron cron;
    struct jq_error error;
    return jq_cron_parse(when, &cron, &error) == JQ_OK ||
           jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "when", "%s", error.message);
}

/* What a schedule keeps of a task. Everything else is of one task alone: a key, an absolute time, dependencies. */
static bool is_kept(unsigned place) {
    switch (place) {
    case JQ_AT_TASK_HANDLER:
    case JQ_AT_TASK_QUEUE:
    case JQ_AT_TASK_PAYLOAD:
    case JQ_AT_TASK_PRIORITY:
    case JQ_AT_TASK_DELAY:
    case JQ_AT_TASK_NEED:
    case JQ_AT_TASK_WANT:
    case JQ_AT_TASK_GROUP:
    case JQ_AT_TASK_RETRY:
    case JQ_AT_TASK_SOFT_LIMIT:
    case JQ_AT_TASK_HARD_LIMIT:
    case JQ_AT_TASK_RESULT_TTL:
    case JQ_AT_TASK_HEADERS:
    case JQ_AT_TASK_INPUTS:
    case JQ_AT_TASK_OUTPUTS:
    case JQ_AT_TASK_NO_CACHE: return true;
    default: return false;
    }
}

static bool check_task(struct jq_decoder *decoder, const struct jq_values *task) {
    for (unsigned place = 0; place < jq_message_task.count; place++) {
        if (jq_given(task, place) && !is_kept(place))
            return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, jq_message_task.fields[place].name,
                                "not of a task that is scheduled");
    }
    return true;
}

/* Each task is told whose it is, and, in the very last bytes, for which time. False: the fault is set. */
static bool pack_headers(struct jq_decoder *decoder, struct jq_pack *pack, const msgpack_object *given,
                         struct jq_str schedule) {
    const uint32_t count = given ? given->via.map.size : 0;
    jq_pack_map(pack, count + 2);
    for (uint32_t i = 0; i < count; i++) {
        const struct jq_str name = jq_object_str(&given->via.map.ptr[i].key);
        if (jq_is_schedule_header(name))
            return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "headers", "'%.*s' is set by the broker",
                                JQ_STR_ARG(name));
        msgpack_pack_object(&pack->packer, given->via.map.ptr[i].key);
        msgpack_pack_object(&pack->packer, given->via.map.ptr[i].val);
    }
    jq_pack_str(pack, JQ_HEADER_SCHEDULE);
    jq_pack_str(pack, schedule);
    jq_pack_str(pack, JQ_HEADER_DUE);
    jq_pack_str(pack, JQ_STR("0000-00-00T00:00:00Z"));
    return true;
}

/* Payload and headers behind each other, as those of other tasks; this is the last body of its request. */
static bool pack_body(struct jq_decoder *decoder, const struct jq_values *task, struct jq_schedule_def *def) {
    struct jq_pack pack = jq_pack_of(&decoder->bodies);
    const size_t start = decoder->bodies.size;
    if (jq_given(task, JQ_AT_TASK_PAYLOAD))
        jq_pack_bin(&pack, task->at[JQ_AT_TASK_PAYLOAD].bytes);
    else
        jq_pack_nil(&pack);
    if (!pack_headers(decoder, &pack, jq_value_object(task, JQ_AT_TASK_HEADERS), def->name))
        return false;
    if (decoder->bodies.failed)
        return jq_fault_set(&decoder->fault, JQ_REPLY_UNAVAILABLE, "", "out of memory");
    def->task.body = (struct jq_bytes){decoder->bodies.data + start, decoder->bodies.size - start};
    if (def->task.body.size > JQ_SCHEDULE_BODY_SIZE_MAX)
        return jq_fault_set(&decoder->fault, JQ_REPLY_TOO_BIG, "", "payload and headers take %zu bytes, at most %d",
                            def->task.body.size, JQ_SCHEDULE_BODY_SIZE_MAX);
    return true;
}

static bool read_task(struct jq_decoder *decoder, const msgpack_object *object, struct jq_schedule_def *def) {
    struct jq_values task;
    memset(&def->task, 0, sizeof(def->task));
    if (!jq_fields_read(&jq_message_task, object, &task, &decoder->fault) || !check_task(decoder, &task) ||
        !jq_decode_task(decoder, &task, &def->task) || !jq_decode_files(decoder, &task, &def->task) ||
        !pack_body(decoder, &task, def))
        return jq_fault_within(&decoder->fault, "task");
    return true;
}

bool jq_decode_schedule_set(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    struct jq_schedule_def *def = &request->u.schedule.def;
    const bool zoned = jq_given(values, JQ_AT_SCHEDULE_SET_ZONE);
    def->name = values->at[JQ_AT_SCHEDULE_SET_NAME].text;
    def->when = values->at[JQ_AT_SCHEDULE_SET_WHEN].text;
    def->zone = zoned ? values->at[JQ_AT_SCHEDULE_SET_ZONE].text : JQ_STR("UTC");
    def->jitter_ms = (int64_t)jq_value_uint(values, JQ_AT_SCHEDULE_SET_JITTER, 0);
    request->u.schedule.pause_given = jq_given(values, JQ_AT_SCHEDULE_SET_PAUSED);
    request->u.schedule.paused = jq_value_bool(values, JQ_AT_SCHEDULE_SET_PAUSED);
    return check_when(decoder, def->when) && read_words(decoder, values, def) &&
           read_task(decoder, values->at[JQ_AT_SCHEDULE_SET_TASK].object, def);
}
