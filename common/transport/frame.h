/* frame.h - one message on its way in or out, built in place so that it is sent without another copy.
 *
 * A frame is reserved at a size, written through jq_frame_data(), then cut to what was really written; or grown by appending.
 * Ownership: jq_frame_new() .. jq_frame_free(), or a function whose name ends in `_take`, which owns the frame once it has
 *            returned JQ_OK; on any other code the frame stays with its caller. jq_frame_free(NULL) is a no-op.
 * Threads:   a frame belongs to one thread at a time.
 */
#ifndef JQ_COMMON_TRANSPORT_FRAME_H
#define JQ_COMMON_TRANSPORT_FRAME_H

#include "common/err.h"
#include "common/types.h"

struct jq_frame; /* Opaque: an NNG message. */

/* A frame of `size` bytes, all zero. NULL: out of memory. */
struct jq_frame *jq_frame_new(size_t size);
/* A frame that holds a copy of `bytes`. NULL: out of memory. */
struct jq_frame *jq_frame_copy(struct jq_bytes bytes);
void jq_frame_free(struct jq_frame *frame);

uint8_t *jq_frame_data(struct jq_frame *frame);
size_t jq_frame_size(const struct jq_frame *frame);
struct jq_bytes jq_frame_bytes(const struct jq_frame *frame);

/* Cuts the end off, so that `size` bytes are left. More than there are is a programming error. */
void jq_frame_truncate(struct jq_frame *frame, size_t size);
/* Cuts `size` bytes off its beginning. More than there are is a programming error. */
void jq_frame_trim(struct jq_frame *frame, size_t size);
/* JQ_OK or JQ_ERR_NOMEM, which leaves the frame as it was. May move the data. */
enum jq_err jq_frame_append(struct jq_frame *frame, struct jq_bytes bytes);

#endif
