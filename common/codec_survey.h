/* codec_survey.h - surveys, their answers, and notices: the small messages of the survey and the notice socket.
 *
 * A survey is the array [1, survey, broker epoch]; its answer is the tuple survey_response of the message table. A
 * notice is its topic ("w/NAME" or "q/NAME"), a NUL, and the map notice: subscribing to a topic with its NUL at the end
 * names exactly one.
 *
 * Ownership: what is read points into the frame.
 * Errors:    JQ_ERR_PROTOCOL, JQ_ERR_INVALID, JQ_ERR_TOO_BIG, JQ_ERR_NOMEM; "field: reason".
 */
#ifndef JQ_COMMON_CODEC_SURVEY_H
#define JQ_COMMON_CODEC_SURVEY_H

#include "common/buf.h"
#include "common/err.h"
#include "common/types.h"

struct jq_survey {
    uint32_t survey;
    uint64_t epoch; /* of the broker */
};

struct jq_survey_progress {
    jq_task_id task;
    uint16_t permille;
    struct jq_str text; /* <= JQ_PROGRESS_TEXT_SIZE_MAX */
};

struct jq_survey_answer {
    uint32_t survey;
    struct jq_uuid session;
    uint64_t incarnation;
    uint32_t held_count;
    uint64_t held_sum; /* sum of jq_hash_u64(token) over the leases held, modulo 2^64 */
    uint32_t load_permille, memory_permille;
    struct jq_survey_progress progress[JQ_SURVEY_PROGRESS_COUNT_MAX];
    size_t progress_count;
};

void jq_survey_write(struct jq_buf *buf, const struct jq_survey *survey);
enum jq_err jq_survey_read(struct jq_bytes frame, struct jq_survey *ret_survey, struct jq_error *reterr);

/* Longer texts of progress are cut. */
void jq_survey_answer_write(struct jq_buf *buf, const struct jq_survey_answer *answer);
enum jq_err jq_survey_answer_read(struct jq_bytes frame, struct jq_survey_answer *ret_answer, struct jq_error *reterr);

/* `kind` is 'w' for a worker, 'q' for a queue; `name` a valid name. */
struct jq_notice {
    char kind;
    struct jq_str name;
    struct jq_str event; /* "command" */
    jq_task_id task;     /* 0: not about one */
};

/* A whole frame: topic, NUL, map. */
void jq_notice_write(struct jq_buf *buf, const struct jq_notice *notice);
/* Topic (without its NUL) and map, as the transport takes them apart (common/transport/notice.h); and from a whole
 * frame. */
enum jq_err jq_notice_parse(struct jq_str topic, struct jq_bytes map, struct jq_notice *ret_notice,
                            struct jq_error *reterr);
enum jq_err jq_notice_read(struct jq_bytes frame, struct jq_notice *ret_notice, struct jq_error *reterr);

/* What to subscribe to, NUL included. */
void jq_notice_topic_write(struct jq_buf *buf, char kind, struct jq_str name);

#endif
