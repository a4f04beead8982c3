/* reply.h - what a handler says on its reply channel (freecad, pool): frames of u32 length (little-endian) and that many bytes of JSON.
 *
 *     {"type":"ready"}   once, before all else, by a warm process (pool)
 *     {"type":"progress","permille":500,"text":"12 of 24"}      any number of times; the text may be missing
 *     {"type":"result","result":"TEXT"}                         at most once; TEXT is at most JQ_PAYLOAD_SIZE_MAX bytes, by custom JSON
 *     {"type":"error","class":"invalid_input","message":"...","service":"..."}
 *                        at most once; class: invalid_input, resource_exhausted, process_failure, network (names its service)
 *
 * A frame may name its task as its order did ("task":"17"): progress of another task is then skipped, so that what a task left running cannot
 * speak for the next; a result or an error of another task garbles the reply.
 *
 * Members that are not known are skipped. What is not of this form makes the reply `garbled`; nothing after it is looked at.
 */
#ifndef JQ_WORKER_EXEC_REPLY_H
#define JQ_WORKER_EXEC_REPLY_H

#include "common/buf.h"
#include "common/text.h"
#include "common/types.h"
#include "common/vocab.h"

#include <stdbool.h>

enum { JQ_REPLY_TEXT_SIZE = 256 };

struct jq_exec_reply {
    struct jq_buf pending; /* bytes of a frame that is not complete yet */
    struct jq_buf result;
    char task[JQ_TASK_ID_TEXT_SIZE]; /* set after init or renew: whose turn it is; "": not looked at */
    bool takes_ready;                /* set after init: `ready` is no error */
    bool ready;
    bool beyond; /* with takes_ready: something came behind its word about the task, and was not looked at */
    bool has_result;
    bool result_too_big;
    bool garbled;
    char garbled_why[128];
    int32_t progress_permille; /* -1: none told */
    char progress_text[JQ_REPLY_TEXT_SIZE];
    enum jq_outcome error; /* JQ_OUTCOME_NONE: none told */
    char message[JQ_REPLY_TEXT_SIZE];
    char service[JQ_NAME_SIZE_MAX + 1];
};

/* `frame_size_max`: bytes of JSON in one frame. */
void jq_exec_reply_init(struct jq_exec_reply *reply, size_t frame_size_max);
void jq_exec_reply_fini(struct jq_exec_reply *reply);

/* Forgets what was said of one task, for the next; `ready` stays. */
void jq_exec_reply_renew(struct jq_exec_reply *reply);

/* There is a result (perhaps one that is too big) or an error. */
bool jq_exec_reply_has_word(const struct jq_exec_reply *reply);

/* Something was said besides `ready`, or has begun to be. */
bool jq_exec_reply_spoke(const struct jq_exec_reply *reply);

/* Takes the next bytes of the channel. */
void jq_exec_reply_feed(struct jq_exec_reply *reply, struct jq_bytes bytes);

/* The channel ended: a frame cut short is garbled. */
void jq_exec_reply_end(struct jq_exec_reply *reply);

#endif
