#include "tools/jqctl/payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/rng.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum jq_err pack(const char *json, struct jq_buf *buf, struct jq_error *error) {
    jq_buf_init(buf, JQ_PAYLOAD_SIZE_MAX);
    return jqctl_payload_pack(jq_str_of(json), buf, error);
}

/* The JSON of msgpack bytes, NUL-terminated, in `text`. */
static const char *json_of(struct jq_bytes bytes, struct jq_buf *text) {
    struct jq_json json;
    jq_buf_init(text, 1 << 20);
    jq_json_init(&json, text);
    jqctl_payload_write(bytes, &json);
    assert_true(jq_json_complete(&json));
    jq_buf_append_u8(text, 0);
    assert_false(text->failed);
    return (const char *)text->data;
}

/* JSON that became msgpack comes back as the same JSON: what a person submits is what a person is shown. */
static void json_comes_back(void **state) {
    (void)state;
    static const char *const documents[] = {
        "{}",
        "[]",
        "null",
        "true",
        "-1",
        "-33",
        "-129",
        "-40000",
        "-3000000000",
        "-9223372036854775808",
        "127",
        "128",
        "255",
        "65535",
        "70000",
        "5000000000",
        "9223372036854775807",
        "0.5",
        "\"\"",
        "\"text with \\\"quotes\\\" and ü\"",
        "{\"a\":[1,[2,[3,{\"b\":null}]]],\"c\":{\"d\":{}}}",
        "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]",
        "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":10,\"k\":11}",
        "{\"a\":{},\"b\":{},\"c\":{},\"d\":{},\"e\":{},\"f\":{},\"g\":{},\"h\":{}}",
    };
    for (size_t i = 0; i < COUNT(documents); i++) {
        struct jq_buf packed, text;
        assert_int_equal(pack(documents[i], &packed, NULL), JQ_OK);
        assert_true(jqctl_payload_is_msgpack(jq_buf_bytes(&packed)) || packed.size == 1);
        assert_string_equal(json_of(jq_buf_bytes(&packed), &text), documents[i]);
        jq_buf_fini(&packed);
        jq_buf_fini(&text);
    }
}

/* What msgpack has and JSON has not is shown so that nothing is lost, and nothing is taken for something else. */
static void what_json_lacks_is_shown_all_the_same(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *json;
    } cases[] = {
        {"\xc4\x03\x00\x01\xff", 5, "\"AAH/\""},
        {"\xca\x3f\x80\x00\x00", 5, "1"},
        {"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", 9, "null"},
        {"\xd4\x05\xaa", 3, "{\"ext\":5,\"data\":\"qg==\"}"},
        {"\xc7\x02\xff\x01\x02", 5, "{\"ext\":-1,\"data\":\"AQI=\"}"},
        {"\x82\x01\xa1x\x92\x02\x03\xc0", 8, "{\"1\":\"x\",\"[2,3]\":null}"},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, "18446744073709551615"},
        {"\xd0\x80", 2, "-128"},
        {"\xd9\x02hi", 4, "\"hi\""},
        {"\xdc\x00\x01\xc3", 4, "[true]"},
        {"\xdf\x00\x00\x00\x01\xa1k\x01", 8, "{\"k\":1}"},
        {"\xde\x00\x01\x00\xc2", 5, "{\"0\":false}"},
        {"\xa1\xff", 2, "\"\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct jq_buf text;
        const struct jq_bytes bytes = {(const uint8_t *)cases[i].bytes, cases[i].size};
        assert_true(jqctl_payload_is_msgpack(bytes));
        assert_string_equal(json_of(bytes, &text), cases[i].json);
        jq_buf_fini(&text);
    }
}

/* A handler's plain output is not mistaken for msgpack, however short it is. */
static void text_is_no_msgpack(void **state) {
    (void)state;
    static const char *const texts[] = {"", "5", "a", "12", "ok\n", "hello", "{\"a\": 1}", "\n\n", "ü", "\xc3\xa4\xc3"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        const struct jq_str text = jq_str_of(texts[i]);
        assert_false(jqctl_payload_is_msgpack((struct jq_bytes){(const uint8_t *)text.data, text.size}));
    }
}

/* Bytes that announce more than they hold, or nest for ever, are no msgpack; nothing is read beyond them and no stack is used up. */
static void hostile_bytes_are_no_msgpack(void **state) {
    (void)state;
    uint8_t deep[4096];
    memset(deep, 0x91, sizeof(deep));
    assert_false(jqctl_payload_is_msgpack((struct jq_bytes){deep, sizeof(deep)}));
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\xdd\xff\xff\xff\xff", 5},
        {"\xdf\xff\xff\xff\xff\x01", 6},
        {"\xdb\xff\xff\xff\xff", 5},
        {"\xc6\xff\xff\xff\xff", 5},
        {"\xc9\xff\xff\xff\xff", 5},
        {"\x81\x01", 2},
        {"\x92\x01", 2},
        {"\xcf\x01", 2},
        {"\xc1", 1},
        {"\x91\xc1", 2},
        {"\x90\x90", 2},
        {"\xd8\x01", 2},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_false(jqctl_payload_is_msgpack((struct jq_bytes){(const uint8_t *)cases[i].bytes, cases[i].size}));
}

/* Whatever passes for msgpack can be written: no bytes at all crash the writer. */
static void all_that_passes_can_be_written(void **state) {
    (void)state;
    struct jq_rng rng;
    size_t passed = 0;
    jq_rng_init(&rng, 7);
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[24];
        struct jq_buf text;
        const size_t size = 1 + (size_t)jq_rng_below(&rng, sizeof(bytes));
        for (size_t at = 0; at < size; at++)
            bytes[at] = (uint8_t)(jq_rng_below(&rng, 3) ? jq_rng_below(&rng, 256) : 0x80 + jq_rng_below(&rng, 0x60));
        if (!jqctl_payload_is_msgpack((struct jq_bytes){bytes, size}))
            continue;
        passed++;
        (void)json_of((struct jq_bytes){bytes, size}, &text);
        jq_buf_fini(&text);
    }
    assert_true(passed > 1000);
}

/* A payload is bounded by what a task may carry, in size and in depth; beyond, it is refused with the reason. */
static void too_much_is_refused(void **state) {
    (void)state;
    struct jq_buf packed;
    struct jq_error error;
    char deep[2 * JQCTL_PAYLOAD_DEPTH_MAX + 3];
    const size_t levels = JQCTL_PAYLOAD_DEPTH_MAX + 1;
    memset(deep, '[', levels);
    memset(deep + levels, ']', levels);
    deep[2 * levels] = '\0';
    assert_int_equal(pack(deep, &packed, &error), JQ_ERR_TOO_BIG);
    assert_non_null(strstr(error.message, "deeper than 24"));
    jq_buf_fini(&packed);

    char *large = malloc(JQ_PAYLOAD_SIZE_MAX + 3);
    assert_non_null(large);
    memset(large, 'x', JQ_PAYLOAD_SIZE_MAX + 2);
    large[0] = large[JQ_PAYLOAD_SIZE_MAX + 1] = '"';
    large[JQ_PAYLOAD_SIZE_MAX + 2] = '\0';
    assert_int_equal(pack(large, &packed, &error), JQ_ERR_TOO_BIG);
    assert_non_null(strstr(error.message, "49152"));
    jq_buf_fini(&packed);
    free(large);

    assert_int_equal(pack("{\"a\": 1, \"a\": 2}", &packed, &error), JQ_ERR_INVALID);
    jq_buf_fini(&packed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_comes_back),
        cmocka_unit_test(what_json_lacks_is_shown_all_the_same),
        cmocka_unit_test(text_is_no_msgpack),
        cmocka_unit_test(hostile_bytes_are_no_msgpack),
        cmocka_unit_test(all_that_passes_can_be_written),
        cmocka_unit_test(too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
