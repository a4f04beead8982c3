/* tail.h - the last JQ_TAIL_SIZE_MAX bytes of a stream, and how long it was. */
#ifndef JQ_WORKER_EXEC_TAIL_H
#define JQ_WORKER_EXEC_TAIL_H

#include "common/types.h"

struct jq_exec_tail {
    uint64_t total_bytes;
    size_t size;
    uint8_t data[JQ_TAIL_SIZE_MAX];
};

static inline void jq_exec_tail_feed(struct jq_exec_tail *tail, struct jq_bytes bytes) {
    tail->total_bytes += bytes.size;
    if (bytes.size >= JQ_TAIL_SIZE_MAX) {
        memcpy(tail->data, bytes.data + bytes.size - JQ_TAIL_SIZE_MAX, JQ_TAIL_SIZE_MAX);
        tail->size = JQ_TAIL_SIZE_MAX;
        return;
    }
    const size_t kept = tail->size < JQ_TAIL_SIZE_MAX - bytes.size ? tail->size : JQ_TAIL_SIZE_MAX - bytes.size;
    memmove(tail->data, tail->data + (tail->size - kept), kept);
    memcpy(tail->data + kept, bytes.data, bytes.size);
    tail->size = kept + bytes.size;
}

#endif
