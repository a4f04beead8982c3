/* link_survey.c - answering surveys, on the transport's threads. */
#include <stdlib.h>

#include "common/codec_survey.h"
#include "common/libjq/link_internal.h"

/* What is to be said now; false: say nothing (no session yet, or the owner hangs). */
static bool answer_make(struct jq_link *link, uint32_t survey, struct jq_survey_answer *answer,
                        struct link_progress *texts) {
    pthread_mutex_lock(&link->lock);
    const bool speaks = link->registered && jq_flight_now_ms() - link->stepped_ms < link->config.stall_ms;
    *answer = (struct jq_survey_answer){.survey = survey,
                                        .session = link->session,
                                        .incarnation = link->incarnation,
                                        .held_count = link->held_count,
                                        .held_sum = link->held_sum,
                                        .load_permille = link->load_permille,
                                        .memory_permille = link->memory_permille,
                                        .progress_count = link->progress_count};
    memcpy(texts, link->progress, sizeof(link->progress));
    link->surveyed |= link->registered;
    if (speaks) {
        link->progress_count = 0;
    }
    pthread_mutex_unlock(&link->lock);
    for (size_t i = 0; i < answer->progress_count; i++) {
        answer->progress[i] = (struct jq_survey_progress){{texts[i].task}, texts[i].permille, jq_str_of(texts[i].text)};
    }
    return speaks;
}

static void on_survey(void *ctx, struct jq_survey_turn *turn, struct jq_bytes frame) {
    struct jq_link *link = ctx;
    struct jq_survey survey;
    struct jq_survey_answer answer;
    struct link_progress texts[JQ_SURVEY_PROGRESS_COUNT_MAX];
    struct jq_buf buf;
    jq_buf_init(&buf, JQ_FRAME_SIZE_MAX);
    bool answered = false;
    if (jq_survey_read(frame, &survey, NULL) == JQ_OK && answer_make(link, survey.survey, &answer, texts)) {
        jq_survey_answer_write(&buf, &answer);
        answered = !buf.failed && jq_survey_answer(turn, jq_buf_bytes(&buf)) == JQ_OK;
    }
    if (!answered) {
        jq_survey_skip(turn);
    }
    jq_buf_fini(&buf);
}

enum jq_err link_survey_open(struct jq_link *link, struct jq_error *reterr) {
    const char *from_environment = getenv("JQ_SURVEY");
    const char *url =
        link->config.survey_url ? link->config.survey_url : (from_environment ? from_environment : JQ_SURVEY_DEFAULT);
    const struct jq_survey_respondent_config config = {
        .urls = &url, .url_count = 1, .ctx = link, .on_survey = on_survey};
    return jq_survey_respondent_open(&config, &link->respondent, reterr);
}

bool jq_link_surveyed(struct jq_link *link) {
    pthread_mutex_lock(&link->lock);
    const bool surveyed = link->surveyed;
    pthread_mutex_unlock(&link->lock);
    return surveyed;
}

void jq_link_progress(struct jq_link *link, jq_task_id task, unsigned permille, struct jq_str text) {
    pthread_mutex_lock(&link->lock);
    size_t at = 0;
    while (at < link->progress_count && link->progress[at].task != task.value) {
        at++;
    }
    if (at == JQ_SURVEY_PROGRESS_COUNT_MAX) { /* the oldest gives way */
        memmove(link->progress, link->progress + 1, (at - 1) * sizeof(link->progress[0]));
        at--;
    } else if (at == link->progress_count) {
        link->progress_count++;
    }
    struct link_progress *progress = &link->progress[at];
    const size_t size = text.size < JQ_PROGRESS_TEXT_SIZE_MAX ? text.size : JQ_PROGRESS_TEXT_SIZE_MAX;
    *progress = (struct link_progress){.task = task.value, .permille = (uint16_t)(permille > 1000 ? 1000 : permille)};
    if (size > 0) {
        memcpy(progress->text, text.data, size);
    }
    pthread_mutex_unlock(&link->lock);
}
