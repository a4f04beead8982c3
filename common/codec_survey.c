#include "common/codec_survey.h"

#include <inttypes.h>

#include "common/codec_fields.h"

static enum jq_err fail(const struct jq_fault *fault, struct jq_error *reterr) {
    const enum jq_err code = fault->status == JQ_REPLY_TOO_BIG ? JQ_ERR_TOO_BIG : JQ_ERR_INVALID;
    return jq_fail(reterr, code, "%s: %s", fault->field[0] ? fault->field : "message", fault->reason);
}

static enum jq_err unpack(struct jq_bytes frame, const struct jq_message *message, struct jq_values *ret_values,
                          struct jq_error *reterr) {
    msgpack_object root;
    struct jq_fault fault;
    const enum jq_err err = jq_unpack(jq_unpacker_of_thread(), frame, &root, reterr);
    if (err != JQ_OK)
        return err;
    return jq_fields_read(message, &root, ret_values, &fault) ? JQ_OK : fail(&fault, reterr);
}

static enum jq_err check_version(uint64_t version, struct jq_error *reterr) {
    if (version == JQ_PROTOCOL_VERSION)
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_VERSION, "version: %" PRIu64 " is not spoken here, only %d", version,
                   JQ_PROTOCOL_VERSION);
}

/* ---- surveys ----------------------------------------------------------------------------------------------------- */

void jq_survey_write(struct jq_buf *buf, const struct jq_survey *survey) {
    struct jq_pack pack = jq_pack_of(buf);
    jq_pack_array(&pack, JQ_COUNT_survey);
    jq_pack_uint(&pack, JQ_PROTOCOL_VERSION);
    jq_pack_uint(&pack, survey->survey);
    jq_pack_uint(&pack, survey->epoch);
}

enum jq_err jq_survey_read(struct jq_bytes frame, struct jq_survey *ret_survey, struct jq_error *reterr) {
    struct jq_values values;
    enum jq_err err = unpack(frame, &jq_message_survey, &values, reterr);
    if (err == JQ_OK)
        err = check_version(values.at[JQ_AT_SURVEY_VERSION].u, reterr);
    if (err != JQ_OK)
        return err;
    ret_survey->survey = (uint32_t)values.at[JQ_AT_SURVEY_SURVEY].u;
    ret_survey->epoch = values.at[JQ_AT_SURVEY_EPOCH].u;
    return JQ_OK;
}

static void pack_progress(struct jq_pack *pack, const struct jq_survey_progress *progress) {
    struct jq_str text = progress->text;
    if (text.size > JQ_PROGRESS_TEXT_SIZE_MAX)
        text.size = JQ_PROGRESS_TEXT_SIZE_MAX;
    jq_pack_array(pack, JQ_COUNT_progress);
    jq_pack_uint(pack, progress->task.value);
    jq_pack_uint(pack, progress->permille);
    if (text.size > 0)
        jq_pack_str(pack, text);
    else
        jq_pack_nil(pack);
}

void jq_survey_answer_write(struct jq_buf *buf, const struct jq_survey_answer *answer) {
    JQ_CHECK(answer->progress_count <= JQ_SURVEY_PROGRESS_COUNT_MAX);
    struct jq_pack pack = jq_pack_of(buf);
    jq_pack_array(&pack, JQ_COUNT_survey_response);
    jq_pack_uint(&pack, JQ_PROTOCOL_VERSION);
    jq_pack_uint(&pack, answer->survey);
    jq_pack_uuid(&pack, &answer->session);
    jq_pack_uint(&pack, answer->incarnation);
    jq_pack_uint(&pack, answer->held_count);
    jq_pack_uint(&pack, answer->held_sum);
    jq_pack_uint(&pack, answer->load_permille);
    jq_pack_uint(&pack, answer->memory_permille);
    jq_pack_array(&pack, answer->progress_count);
    for (size_t i = 0; i < answer->progress_count; i++)
        pack_progress(&pack, &answer->progress[i]);
}

static bool read_progress(const msgpack_object *list, struct jq_survey_answer *answer, struct jq_fault *fault) {
    answer->progress_count = list ? list->via.array.size : 0;
    for (size_t i = 0; i < answer->progress_count; i++) {
        struct jq_values values;
        if (!jq_fields_read(&jq_message_progress, &list->via.array.ptr[i], &values, fault))
            return jq_fault_within_element(fault, "progress", i);
        answer->progress[i] = (struct jq_survey_progress){
            .task = {values.at[JQ_AT_PROGRESS_TASK].u},
            .permille = (uint16_t)values.at[JQ_AT_PROGRESS_PERMILLE].u,
            .text = jq_value_text(&values, JQ_AT_PROGRESS_TEXT),
        };
    }
    return true;
}

enum jq_err jq_survey_answer_read(struct jq_bytes frame, struct jq_survey_answer *ret_answer, struct jq_error *reterr) {
    struct jq_values values;
    struct jq_fault fault;
    enum jq_err err = unpack(frame, &jq_message_survey_response, &values, reterr);
    if (err == JQ_OK)
        err = check_version(values.at[JQ_AT_SURVEY_RESPONSE_VERSION].u, reterr);
    if (err != JQ_OK)
        return err;
    struct jq_survey_answer answer = {
        .survey = (uint32_t)values.at[JQ_AT_SURVEY_RESPONSE_SURVEY].u,
        .session = jq_value_uuid(&values, JQ_AT_SURVEY_RESPONSE_SESSION),
        .incarnation = values.at[JQ_AT_SURVEY_RESPONSE_INCARNATION].u,
        .held_count = (uint32_t)values.at[JQ_AT_SURVEY_RESPONSE_HELD_COUNT].u,
        .held_sum = values.at[JQ_AT_SURVEY_RESPONSE_HELD_SUM].u,
        .load_permille = (uint32_t)values.at[JQ_AT_SURVEY_RESPONSE_LOAD].u,
        .memory_permille = (uint32_t)values.at[JQ_AT_SURVEY_RESPONSE_MEMORY].u,
    };
    if (!read_progress(jq_value_object(&values, JQ_AT_SURVEY_RESPONSE_PROGRESS), &answer, &fault))
        return fail(&fault, reterr);
    *ret_answer = answer;
    return JQ_OK;
}

/* ---- notices ----------------------------------------------------------------------------------------------------- */

void jq_notice_topic_write(struct jq_buf *buf, char kind, struct jq_str name) {
    const uint8_t begin[2] = {(uint8_t)kind, '/'};
    jq_buf_append(buf, begin, sizeof(begin));
    jq_buf_append_text(buf, name);
    jq_buf_append_u8(buf, 0);
}

void jq_notice_write(struct jq_buf *buf, const struct jq_notice *notice) {
    jq_notice_topic_write(buf, notice->kind, notice->name);
    struct jq_pack pack = jq_pack_of(buf);
    jq_pack_map(&pack, notice->task.value ? 2 : 1);
    jq_pack_field_str(&pack, &jq_message_notice, JQ_AT_NOTICE_EVENT, notice->event);
    if (notice->task.value)
        jq_pack_field_uint(&pack, &jq_message_notice, JQ_AT_NOTICE_TASK, notice->task.value);
}

enum jq_err jq_notice_parse(struct jq_str topic, struct jq_bytes map, struct jq_notice *ret_notice,
                            struct jq_error *reterr) {
    struct jq_values values;
    if (topic.size < 3 || topic.data[1] != '/' || !jq_name_valid((struct jq_str){topic.data + 2, topic.size - 2}))
        return jq_fail(reterr, JQ_ERR_PROTOCOL, "notice: no topic");
    const enum jq_err err = unpack(map, &jq_message_notice, &values, reterr);
    if (err != JQ_OK)
        return err;
    *ret_notice = (struct jq_notice){
        .kind = topic.data[0],
        .name = {topic.data + 2, topic.size - 2},
        .event = values.at[JQ_AT_NOTICE_EVENT].text,
        .task = {jq_value_uint(&values, JQ_AT_NOTICE_TASK, 0)},
    };
    return JQ_OK;
}

enum jq_err jq_notice_read(struct jq_bytes frame, struct jq_notice *ret_notice, struct jq_error *reterr) {
    const uint8_t *nul = frame.size > 0 ? memchr(frame.data, 0, frame.size) : NULL;
    if (!nul)
        return jq_fail(reterr, JQ_ERR_PROTOCOL, "notice: no topic");
    const size_t size = (size_t)(nul - frame.data);
    return jq_notice_parse((struct jq_str){(const char *)frame.data, size},
                           (struct jq_bytes){nul + 1, frame.size - size - 1}, ret_notice, reterr);
}
