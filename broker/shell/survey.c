#include "broker/shell/survey.h"

#include <stdlib.h>

#include "broker/shell/parcels.h"
#include "common/codec_survey.h"
#include "common/log.h"
#include "common/transport/notice.h"
#include "common/transport/survey.h"

enum {
    POOL_MAX = 256,
    RESPONSE_OVERHEAD = 512, /* bytes in flight of a response beside its frame */
};

struct jq_survey_shell {
    struct jq_survey_shell_config config;
    struct jq_survey_server *surveys;
    struct jq_notice_server *notices;
    struct jq_parcels parcels;
};

/* ---- surveys ---- */

void jq_survey_shell_ask(struct jq_survey_shell *shell, uint32_t survey) {
    struct jq_buf frame;
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    jq_survey_write(&frame, &(struct jq_survey){.survey = survey, .epoch = shell->config.epoch});
    const enum jq_err err = jq_survey_send(shell->surveys, survey & JQ_SURVEY_ID_MAX, jq_buf_bytes(&frame));
    if (err == JQ_OK)
        jq_count(&shell->config.metrics->surveys, 1);
    else
        JQ_LOG_WARN("a survey was not sent", JQ_F_UINT("survey", survey), JQ_F_STR("reason", jq_err_text(err)));
    jq_buf_fini(&frame);
}

/* False: not the protocol, or there is no room: one lost response proves nothing to the core. */
static bool deliver(struct jq_survey_shell *shell, struct jq_parcel *parcel, struct jq_bytes response) {
    struct jq_error error;
    struct jq_inbound *inbound = &parcel->inbound;
    inbound->event.type = JQ_EVENT_SURVEY_RESPONSE;
    if (jq_decode_survey_response(parcel->decoder, response, &inbound->event.u.survey, &error) != JQ_OK) {
        jq_count(&shell->config.metrics->survey_invalid, 1);
        JQ_LOG_DEBUG("survey response refused", JQ_F_ERR(&error));
        return false;
    }
    const size_t size = response.size + RESPONSE_OVERHEAD;
    if (!jq_inbox_admit(shell->config.inbox, size))
        return false;
    inbound->admitted_bytes = size;
    jq_count(&shell->config.metrics->survey_responses, 1);
    jq_inbox_push(shell->config.inbox, &inbound->item);
    return true;
}

static void on_response(void *ctx, uint32_t survey_id, struct jq_bytes response, uint32_t pipe_id) {
    struct jq_survey_shell *shell = ctx;
    (void)survey_id;
    (void)pipe_id;
    struct jq_parcel *parcel = jq_parcels_take(&shell->parcels);
    if (parcel != NULL && !deliver(shell, parcel, response))
        jq_parcels_give(parcel);
}

/* ---- notices ---- */

void jq_survey_shell_notice(struct jq_survey_shell *shell, struct jq_str worker) {
    struct jq_buf frame;
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    jq_notice_write(&frame, &(struct jq_notice){.kind = 'w', .name = worker, .event = JQ_STR("command")});
    const uint8_t *zero = frame.failed ? NULL : memchr(frame.data, 0, frame.size);
    if (zero != NULL) {
        const size_t topic_size = (size_t)(zero - frame.data);
        const struct jq_str topic = {(const char *)frame.data, topic_size};
        const struct jq_bytes payload = {zero + 1, frame.size - topic_size - 1};
        (void)jq_notice_publish(shell->notices, topic, payload); /* A hint: the worker's poll is answered anyway. */
    }
    jq_buf_fini(&frame);
}

/* ---- sockets ---- */

static enum jq_err listen_surveys(struct jq_survey_shell *shell, struct jq_error *reterr) {
    const struct jq_survey_server_config config = {
        .urls = (const char *const *)shell->config.survey_urls.items,
        .url_count = shell->config.survey_urls.count,
        .ipc_mode = shell->config.ipc_mode,
        .peers_max = shell->config.connections_max,
        .ctx = shell,
        .on_response = on_response,
    };
    return jq_survey_server_open(&config, &shell->surveys, reterr);
}

static enum jq_err listen_notices(struct jq_survey_shell *shell, struct jq_error *reterr) {
    const struct jq_notice_server_config config = {
        .urls = (const char *const *)shell->config.notice_urls.items,
        .url_count = shell->config.notice_urls.count,
        .ipc_mode = shell->config.ipc_mode,
        .peers_max = shell->config.connections_max,
    };
    return jq_notice_server_open(&config, &shell->notices, reterr);
}

enum jq_err jq_survey_shell_open(const struct jq_survey_shell_config *config, struct jq_survey_shell **ret_shell,
                                 struct jq_error *reterr) {
    struct jq_survey_shell *shell = calloc(1, sizeof(*shell));
    if (shell == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "survey socket");
    shell->config = *config;
    jq_parcels_init(&shell->parcels, NULL, POOL_MAX);
    enum jq_err err = listen_notices(shell, reterr);
    if (err == JQ_OK)
        err = listen_surveys(shell, reterr);
    if (err != JQ_OK)
        return err; /* Left to the end of the process: NNG may still call back. */
    *ret_shell = shell;
    return JQ_OK;
}

void jq_survey_shell_stop(struct jq_survey_shell *shell) {
    jq_survey_server_stop(shell->surveys);
    jq_notice_server_stop(shell->notices);
}
