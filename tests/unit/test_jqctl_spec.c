#include "tools/jqctl/spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/jqctl/payload.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum jq_err read_line(const char *line, struct jqctl_memory *memory, struct jq_task_spec *spec,
                             struct jq_error *error) {
    *spec = jq_task("common");
    return jqctl_spec_of_json(jq_str_of(line), memory, spec, error);
}

/* Every field of a line arrives in its place, whichever way it was written. */
static void every_field_arrives(void **state) {
    (void)state;
    struct jqctl_memory memory = {.chunks = NULL};
    struct jq_task_spec spec;
    const char *line =
        "{\"handler\":\"h\",\"queue\":\"q\",\"payload\":{\"a\":[1]},\"priority\":\"low\",\"delay\":\"5s\","
        "\"expires\":\"1970-01-01T00:01:00Z\",\"need\":\"cpu=1\",\"key\":\"k\","
        "\"retry\":{\"max\":0,\"base_ms\":5,\"cap_ms\":6},\"soft_limit_ms\":7,\"hard_limit\":\"8s\","
        "\"result_ttl\":\"1m\",\"no_cache\":true,\"headers\":{\"x\":\"y\",\"z\":\"\"}}";
    assert_int_equal(read_line(line, &memory, &spec, NULL), JQ_OK);
    assert_string_equal(spec.handler, "h");
    assert_string_equal(spec.queue, "q");
    assert_true(jqctl_payload_is_msgpack((struct jq_bytes){spec.payload, spec.payload_size}));
    assert_int_equal(spec.priority, 3);
    assert_int_equal(spec.delay_ms, 5000);
    assert_int_equal(spec.expires_ms, 60000);
    assert_string_equal(spec.need, "cpu=1");
    assert_string_equal(spec.key, "k");
    assert_int_equal(spec.retry_max, 0);
    assert_int_equal(spec.retry_base_ms, 5);
    assert_int_equal(spec.retry_cap_ms, 6);
    assert_int_equal(spec.soft_limit_ms, 7);
    assert_int_equal(spec.hard_limit_ms, 8000);
    assert_int_equal(spec.result_ttl_ms, 60000);
    assert_true(spec.no_cache);
    assert_int_equal(spec.header_count, 2);
    assert_string_equal(spec.headers[0].name, "x");
    assert_string_equal(spec.headers[0].value, "y");
    jqctl_memory_free(&memory);
}

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Files are named as on the wire, or as on the command line; params are a payload that is an object. */
static void files_and_params_arrive(void **state) {
    (void)state;
    struct jqctl_memory memory = {.chunks = NULL};
    struct jq_task_spec spec;
    const char *line = "{\"inputs\":{\"part\":\"" HEX "\",\"table\":\"sha256:" HEX "\"},\"outputs\":[\"mesh\",\"log\"],"
                       "\"params\":{\"tolerance\":0.05},\"queue\":\"q\"}";
    assert_int_equal(read_line(line, &memory, &spec, NULL), JQ_OK);
    assert_int_equal(spec.input_count, 2);
    assert_string_equal(spec.inputs[0].name, "part");
    assert_string_equal(spec.inputs[1].name, "table");
    assert_int_equal(spec.inputs[0].blob.hash[15], 0xff);
    assert_memory_equal(spec.inputs[1].blob.hash, spec.inputs[0].blob.hash, JQ_BLOB_HASH_SIZE);
    assert_int_equal(spec.output_count, 2);
    assert_string_equal(spec.outputs[1], "log");
    assert_true(jqctl_payload_is_msgpack((struct jq_bytes){spec.payload, spec.payload_size}));
    assert_string_equal(spec.queue, "q");
    assert_int_equal(jqctl_spec_of_json(JQ_STR("{\"inputs\":{},\"outputs\":[]}"), &memory, &spec, NULL), JQ_OK);
    assert_int_equal(spec.input_count + spec.output_count, 0);
    jqctl_memory_free(&memory);
}

/* What a line does not say, or says null of, is left as it was for all lines. */
static void what_is_not_said_stays(void **state) {
    (void)state;
    struct jqctl_memory memory = {.chunks = NULL};
    struct jq_task_spec spec;
    assert_int_equal(read_line("{}", &memory, &spec, NULL), JQ_OK);
    assert_string_equal(spec.handler, "common");
    assert_int_equal(spec.priority, -1);
    assert_int_equal(read_line("{\"handler\":null,\"priority\":null,\"headers\":null,\"retry\":null,\"delay\":null}",
                               &memory, &spec, NULL),
                     JQ_OK);
    assert_string_equal(spec.handler, "common");
    assert_int_equal(spec.priority, -1);
    assert_int_equal(spec.retry_max, -1);
    spec = (struct jq_task_spec){.priority = -1};
    struct jq_error error;
    assert_int_equal(jqctl_spec_of_json(JQ_STR("{\"queue\":\"q\"}"), &memory, &spec, &error), JQ_ERR_INVALID);
    assert_string_equal(error.message, "handler: missing");
    jqctl_memory_free(&memory);
}

/* A wrong line is refused with the field and the reason. */
static void wrong_lines_name_the_field(void **state) {
    (void)state;
    static const struct {
        const char *line, *named;
    } cases[] = {
        {"[]", "not an object"},
        {"5", "not an object"},
        {"{\"handlr\":\"x\"}", "handlr: no such field; did you mean handler?"},
        {"{\"prio\":1}", "prio: no such field; did you mean priority?"},
        {"{\"inputs\":[]}", "inputs: not an object of hashes"},
        {"{\"inputs\":{\"part\":\"bracket.step\"}}", "inputs.part: not a SHA-256 in 64 hex digits"},
        {"{\"inputs\":{\"part\":7}}", "inputs.part: not a SHA-256 in 64 hex digits"},
        {"{\"outputs\":{}}", "outputs: not an array of names"},
        {"{\"outputs\":[\"mesh\",7]}", "outputs: not an array of names"},
        {"{\"params\":7}", "params: not an object"},
        {"{\"params\":{},\"payload\":1}", "payload: payload and params exclude each other"},
        {"{\"retry\":{\"mx\":1}}", "mx: no such field; did you mean max?"},
        {"{\"handler\":5}", "handler: not a text"},
        {"{\"priority\":10}", "priority: 10 is not within"},
        {"{\"priority\":-1}", "priority: -1 is not within"},
        {"{\"priority\":\"asap\"}", "priority: not one of"},
        {"{\"priority\":[1]}", "priority: not a whole number"},
        {"{\"delay_ms\":1.5}", "delay_ms: not a whole number"},
        {"{\"delay_ms\":\"5s\"}", "delay_ms: not a whole number"},
        {"{\"delay\":5}", "delay: not a text such as"},
        {"{\"delay\":\"soon\"}", "delay: "},
        {"{\"eta\":\"tomorrow\"}", "eta: "},
        {"{\"retry\":\"3\"}", "retry: not a whole number"},
        {"{\"retry\":{\"max\":{}}}", "retry.max: not a whole number"},
        {"{\"headers\":[1]}", "headers: not an object of texts"},
        {"{\"headers\":{\"x\":{\"y\":1}}}", "headers.x: not a text"},
        {"{\"queue\":{\"payload\":1}}", "queue: not a text"},
        {"{\"key\":\"a\\u0000b\"}", "JSON"},
        {"{\"key\":\"a\"} x", "JSON"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct jqctl_memory memory = {.chunks = NULL};
        struct jq_task_spec spec;
        struct jq_error error;
        assert_int_equal(read_line(cases[i].line, &memory, &spec, &error), JQ_ERR_INVALID);
        if (!strstr(error.message, cases[i].named))
            fail_msg("%s: \"%s\" does not name \"%s\"", cases[i].line, error.message, cases[i].named);
        jqctl_memory_free(&memory);
    }
}

/* A payload may be any value, and may hold the names of fields without being taken for them. */
static void payloads_are_any_value(void **state) {
    (void)state;
    static const char *const values[] = {"1", "null", "\"x\"", "[]", "{\"handler\":{\"queue\":[{}]},\"headers\":1}"};
    for (size_t i = 0; i < COUNT(values); i++) {
        struct jqctl_memory memory = {.chunks = NULL};
        struct jq_task_spec spec;
        struct jq_buf line, text;
        struct jq_json json;
        jq_buf_init(&line, 1024);
        jq_buf_init(&text, 1024);
        jq_buf_append_format(&line, "{\"payload\":%s,\"queue\":\"after\"}", values[i]);
        jq_buf_append_u8(&line, 0);
        assert_int_equal(read_line((const char *)line.data, &memory, &spec, NULL), JQ_OK);
        assert_string_equal(spec.queue, "after");
        jq_json_init(&json, &text);
        jqctl_payload_write((struct jq_bytes){spec.payload, spec.payload_size}, &json);
        assert_true(jq_str_equal(jq_buf_str(&text), jq_str_of(values[i])));
        jq_buf_fini(&line);
        jq_buf_fini(&text);
        jqctl_memory_free(&memory);
    }
}

/* Memory is given back all at once, and what was taken does not move meanwhile. */
static void memory_does_not_move(void **state) {
    (void)state;
    struct jqctl_memory memory = {.chunks = NULL};
    char *first = jqctl_memory_take(&memory, 3);
    memcpy(first, "ab", 3);
    for (int i = 0; i < 1000; i++) {
        char *more = jqctl_memory_take(&memory, 1000);
        assert_non_null(more);
        assert_int_equal((uintptr_t)more % _Alignof(max_align_t), 0);
        memset(more, 'x', 1000);
    }
    char *large = jqctl_memory_take(&memory, 1 << 20);
    memset(large, 'y', 1 << 20);
    assert_string_equal(first, "ab");
    assert_true(memory.size >= 1000 * 1000 + (1 << 20));
    jqctl_memory_free(&memory);
    assert_int_equal(memory.size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_arrives),    cmocka_unit_test(files_and_params_arrive),
        cmocka_unit_test(what_is_not_said_stays), cmocka_unit_test(wrong_lines_name_the_field),
        cmocka_unit_test(payloads_are_any_value), cmocka_unit_test(memory_does_not_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
