/* fuzz_where.c - selections as operators write them. What does not parse says why. */
#include "common/where.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct jq_where where;
    struct jq_error error = {.code = JQ_OK};
    const struct jq_str text = fuzz_text(data, size);
    const enum jq_err err = jq_where_parse(text, &where, &error);
    JQ_CHECK(err == JQ_OK || (error.code == err && error.message[0] != '\0'));
    free((char *)(uintptr_t)text.data);
    return 0;
}
