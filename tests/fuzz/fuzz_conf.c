/* fuzz_conf.c - configuration files and single assignments of broker, worker and handlers; and the values inside them. */
#include "broker/settings.h"
#include "common/text.h"
#include "tests/fuzz/fuzz.h"
#include "worker/settings.h"

static void read_settings(const struct jq_conf_schema *schema, size_t settings_size, struct jq_str text, bool assign) {
    struct jq_error error;
    void *settings = calloc(1, settings_size);
    JQ_CHECK(settings != NULL);
    JQ_CHECK(jq_conf_init(schema, settings, &error) == JQ_OK);
    const enum jq_err err = assign ? jq_conf_set(schema, settings, text, &error)
                                   : jq_conf_read_text(schema, settings, "fuzz", text, &error);
    JQ_CHECK(err == JQ_OK || error.message[0] != '\0');
    jq_conf_fini(schema, settings);
    free(settings);
}

/* What is read and written again is the same. */
static void values(struct jq_str text) {
    char place[64];
    int64_t ms = 0, again_ms = 0;
    uint64_t bytes = 0, again_bytes = 0;
    jq_task_id id, again_id;
    if (jq_text_parse_duration(text, &ms, NULL) == JQ_OK) {
        (void)jq_text_format_duration(ms, place);
        JQ_CHECK(jq_text_parse_duration(jq_str_of(place), &again_ms, NULL) == JQ_OK && ms == again_ms);
    }
    if (jq_text_parse_size(text, &bytes, NULL) == JQ_OK) {
        (void)jq_text_format_size(bytes, place);
        JQ_CHECK(jq_text_parse_size(jq_str_of(place), &again_bytes, NULL) == JQ_OK && bytes == again_bytes);
    }
    if (jq_text_parse_task_id(text, &id, NULL) == JQ_OK) {
        (void)jq_text_format_task_id(id, place);
        JQ_CHECK(jq_text_parse_task_id(jq_str_of(place), &again_id, NULL) == JQ_OK && id.value == again_id.value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    const uint8_t kind = fuzz_byte(&input);
    const struct jq_str text = fuzz_text(input.data, input.size);
    switch (kind % 7) {
    case 0:
    case 1: read_settings(&jq_broker_schema, sizeof(struct jq_broker_settings), text, kind % 7); break;
    case 2:
    case 3: read_settings(&jq_worker_schema, sizeof(struct jq_worker_settings), text, kind % 7 == 3); break;
    case 4:
    case 5: read_settings(&jq_handler_schema, sizeof(struct jq_worker_settings), text, kind % 7 == 5); break;
    default: values(text); break;
    }
    free((char *)(uintptr_t)text.data);
    return 0;
}
