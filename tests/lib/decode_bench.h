/* decode_bench.h - for tests of the decoder: one, a frame to pack into, and what came of it. */
#ifndef JQ_TESTS_LIB_DECODE_BENCH_H
#define JQ_TESTS_LIB_DECODE_BENCH_H

#include <stdlib.h>

#include "broker/shell/decode.h"

struct bench {
    struct jq_decoder *decoder;
    struct jq_buf frame;
    struct jq_request request;
    struct jq_envelope envelope;
    struct jq_error error;
};

/* A set-up of cmocka's. `frame_room`: bytes that a test may pack. */
static inline int bench_make(void **state, size_t frame_room) {
    struct bench *bench = calloc(1, sizeof(*bench));
    bench->decoder = jq_decoder_new(NULL);
    jq_buf_init(&bench->frame, frame_room);
    *state = bench;
    return bench->decoder ? 0 : 1;
}

static inline int bench_remove(void **state) {
    struct bench *bench = *state;
    jq_decoder_free(bench->decoder);
    jq_buf_fini(&bench->frame);
    free(bench);
    return 0;
}

#endif
