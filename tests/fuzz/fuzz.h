/* fuzz.h - what the fuzz targets share. Each fuzz_NAME.c gets bytes from libFuzzer and gives them to one reader of hostile
 * input; corpus/NAME holds the inputs that reached something new so far. `zig build fuzz` builds and runs all of them.
 *
 * A target proves: no read or write out of bounds, no leak, no undefined behaviour (sanitizers), no JQ_CHECK that outsiders can
 * reach, and where a text has a canonical form, that this form is read as the same thing.
 */
#ifndef JQ_TESTS_FUZZ_FUZZ_H
#define JQ_TESTS_FUZZ_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "broker/core/core.h"
#include "common/err.h"
#include "common/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes bytes off the front. */
struct fuzz_input {
    const uint8_t *data;
    size_t size;
};
static inline uint8_t fuzz_byte(struct fuzz_input *input) {
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}
static inline struct jq_bytes fuzz_bytes(struct fuzz_input *input, size_t size) {
    const size_t taken = size < input->size ? size : input->size;
    const struct jq_bytes bytes = {input->data, taken};
    input->data += taken;
    input->size -= taken;
    return bytes;
}
/* A piece behind its length of two bytes. */
static inline struct jq_bytes fuzz_piece(struct fuzz_input *input) {
    const size_t low = fuzz_byte(input);
    return fuzz_bytes(input, low | (size_t)fuzz_byte(input) << 8);
}
/* A core that is made quickly: small tables. */
static inline void fuzz_config(struct jq_core_config *config) {
    config->queues_max = 16;
    config->classes_max = 64;
    config->options_max = 64;
    config->workers_max = 16;
    config->senders_max = 64;
}
/* The bytes as text at the end of their own memory, so that a read behind them is seen. Free ret.data. */
static inline struct jq_str fuzz_text(const uint8_t *data, size_t size) {
    char *copy = malloc(size > 0 ? size : 1);
    JQ_CHECK(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return (struct jq_str){copy, size};
}

#endif
