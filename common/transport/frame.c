#include "common/transport/internal.h"

struct jq_frame *jq_frame_new(size_t size) {
    nng_msg *msg = NULL;
    return nng_msg_alloc(&msg, size) == 0 ? jq_frame_of(msg) : NULL;
}

struct jq_frame *jq_frame_copy(struct jq_bytes bytes) {
    struct jq_frame *frame = jq_frame_new(bytes.size);
    if (frame != NULL && bytes.size > 0) {
        memcpy(jq_frame_data(frame), bytes.data, bytes.size);
    }
    return frame;
}

void jq_frame_free(struct jq_frame *frame) {
    if (frame != NULL) {
        nng_msg_free(jq_frame_msg(frame));
    }
}

uint8_t *jq_frame_data(struct jq_frame *frame) {
    return nng_msg_body(jq_frame_msg(frame));
}

size_t jq_frame_size(const struct jq_frame *frame) {
    return nng_msg_len((const nng_msg *)frame);
}

struct jq_bytes jq_frame_bytes(const struct jq_frame *frame) {
    /* NNG's getter wants a non-const message, though it only reads. */
    return jq_msg_bytes((nng_msg *)(uintptr_t)frame);
}

void jq_frame_truncate(struct jq_frame *frame, size_t size) {
    const size_t present = jq_frame_size(frame);
    JQ_CHECK(size <= present);
    JQ_CHECK(nng_msg_chop(jq_frame_msg(frame), present - size) == 0);
}

void jq_frame_trim(struct jq_frame *frame, size_t size) {
    JQ_CHECK(nng_msg_trim(jq_frame_msg(frame), size) == 0);
}

enum jq_err jq_frame_append(struct jq_frame *frame, struct jq_bytes bytes) {
    return nng_msg_append(jq_frame_msg(frame), bytes.data, bytes.size) == 0 ? JQ_OK : JQ_ERR_NOMEM;
}
