/* fuzz_reply.c - what a handler, a warm process or a zygote says to its worker: frames in any pieces, and packets. */
#include "tests/fuzz/fuzz.h"
#include "worker/exec/reply.h"
#include "worker/freecad/wire.h"

enum { FRAME_MAX = 1024 * 1024 };

static void replies(struct fuzz_input *input, size_t step) {
    struct jq_exec_reply reply;
    jq_exec_reply_init(&reply, FRAME_MAX);
    while (input->size > 0) {
        jq_exec_reply_feed(&reply, fuzz_bytes(input, step));
    }
    jq_exec_reply_end(&reply);
    JQ_CHECK(reply.garbled == (reply.garbled_why[0] != '\0'));
    JQ_CHECK(reply.progress_permille >= -1 && reply.progress_permille <= 1000);
    jq_exec_reply_fini(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    const uint8_t kind = fuzz_byte(&input);
    if (kind > 0) {
        replies(&input, kind);
        return 0;
    }
    struct jq_wire_message message;
    struct jq_error error;
    const struct jq_str text = fuzz_text(input.data, input.size);
    if (jq_wire_parse(text, &message, &error) == JQ_OK) {
        JQ_CHECK(memchr(message.text, 0, sizeof(message.text)) && memchr(message.missing, 0, sizeof(message.missing)));
    }
    free((char *)(uintptr_t)text.data);
    return 0;
}
