/* fuzz_record.c - the bytes of one record. What is read as a record is written and read again as the same one. */
#include "broker/journal/block.h"
#include "broker/record.h"
#include "tests/fuzz/fuzz.h"

static bool read_record(uint8_t type, struct jq_bytes bytes, struct jq_record *ret_record, int64_t *ret_ms) {
    struct jq_error error;
    bool clock = false;
    *ret_ms = 1000;
    const enum jq_err err = jq_record_decode(type, bytes, ret_ms, ret_record, &clock, &error);
    JQ_CHECK(err == JQ_OK || err == JQ_ERR_CORRUPT || err == JQ_ERR_VERSION);
    return err == JQ_OK && !clock;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    const uint8_t type = fuzz_byte(&input);
    const struct jq_str text = fuzz_text(input.data, input.size);
    const struct jq_bytes bytes = {(const uint8_t *)text.data, text.size};
    struct jq_record record, again;
    struct jq_bytes body;
    int64_t time_ms;
    (void)jq_record_body(type, bytes, &body, NULL);
    if (read_record(type, bytes, &record, &time_ms)) {
        struct jq_buf first, second;
        jq_buf_init(&first, JQ_RECORD_BODY_SIZE_MAX);
        jq_buf_init(&second, JQ_RECORD_BODY_SIZE_MAX);
        jq_record_encode(&record, &first);
        JQ_CHECK(read_record(type, jq_buf_bytes(&first), &again, &time_ms));
        jq_record_encode(&again, &second);
        JQ_CHECK(first.size == second.size && (first.size == 0 || memcmp(first.data, second.data, first.size) == 0));
        jq_buf_fini(&first);
        jq_buf_fini(&second);
    }
    free((char *)(uintptr_t)text.data);
    return 0;
}
