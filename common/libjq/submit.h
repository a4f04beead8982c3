/* submit.h - how tasks get to the broker: one as the protocol carries it (task.c), many in frames (submit.c), those of several threads
 * in one request (gather.c). Private to libjq and jqctl.
 */
#ifndef JQ_COMMON_LIBJQ_SUBMIT_H
#define JQ_COMMON_LIBJQ_SUBMIT_H

#include "common/libjq/flight.h"

enum { JQ_SUBMIT_ROOM = JQ_FRAME_SIZE_MAX - 512 }; /* bytes of tasks in a frame: what the envelope leaves */

/* What a task takes of a frame at most; the same as a tight bound for the usual task, so that frames are filled. */
size_t jq_task_size(const struct jq_task_spec *task);
size_t jq_task_room(const struct jq_task_spec *task);
void jq_task_pack(struct jq_pack *pack, const struct jq_task_spec *task);
/* What can be known to be wrong before. JQ_ERR_INVALID, JQ_ERR_TOO_BIG. */
enum jq_err jq_task_check(const struct jq_task_spec *tasks, size_t count, struct jq_error *reterr);

/* jq_submit_many() of checked tasks with a time of its own. */
enum jq_err jq_submit_until(struct jq_client *client, const struct jq_task_spec *tasks, size_t count,
                            int64_t deadline_ms, struct jq_submitted *out, struct jq_error *reterr);

/* One request with tasks that fit a frame; several of them are not held back by a full queue of one. JQ_OK: `out` has a verdict for
 * each. Else *ret_refusal is what all of them were answered, or JQ_REPLY_OK where there was no answer. */
enum jq_err jq_submit_frame(struct jq_client *client, const struct jq_task_spec *tasks, size_t count,
                            int64_t deadline_ms, struct jq_submitted *out, enum jq_reply *ret_refusal,
                            struct jq_error *reterr);

#endif
