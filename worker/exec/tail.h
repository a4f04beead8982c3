/* tail.h - the last JQ_OUTPUT_KEPT_MAX bytes of a stream, and how long it was. */
#ifndef JQ_WORKER_EXEC_TAIL_H
#define JQ_WORKER_EXEC_TAIL_H

#include "common/buf.h"
#include "common/types.h"

/* `kept` grows to twice of what is kept: what is too old is thrown away by halves, so that a byte is moved at most once. */
struct jq_exec_tail {
    uint64_t total_bytes;
    struct jq_buf kept;
};

static inline void jq_exec_tail_init(struct jq_exec_tail *tail) {
    tail->total_bytes = 0;
    jq_buf_init(&tail->kept, (size_t)2 * JQ_OUTPUT_KEPT_MAX);
}

/* As new, but keeps its memory. */
static inline void jq_exec_tail_renew(struct jq_exec_tail *tail) {
    tail->total_bytes = 0;
    jq_buf_clear(&tail->kept);
}

static inline struct jq_bytes jq_exec_tail_bytes(const struct jq_exec_tail *tail) {
    const size_t size = tail->kept.size < JQ_OUTPUT_KEPT_MAX ? tail->kept.size : JQ_OUTPUT_KEPT_MAX;
    return (struct jq_bytes){size > 0 ? tail->kept.data + (tail->kept.size - size) : NULL, size};
}

/* Without memory what was before is lost. */
static inline void jq_exec_tail_feed(struct jq_exec_tail *tail, struct jq_bytes bytes) {
    struct jq_buf *kept = &tail->kept;
    tail->total_bytes += bytes.size;
    if (bytes.size > JQ_OUTPUT_KEPT_MAX) {
        bytes.data += bytes.size - JQ_OUTPUT_KEPT_MAX;
        bytes.size = JQ_OUTPUT_KEPT_MAX;
    }
    if (kept->size + bytes.size > kept->size_max) {
        const struct jq_bytes last = jq_exec_tail_bytes(tail);
        if (last.size > 0) {
            memmove(kept->data, last.data, last.size);
        }
        kept->size = last.size;
    }
    jq_buf_append(kept, bytes.data, bytes.size);
    if (kept->failed) {
        jq_buf_clear(kept);
    }
}

#endif
