#include "common/json.h"

#include <math.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct jq_buf buf;
static struct jq_json json;

static int fresh_writer(void **state) {
    (void)state;
    jq_buf_init(&buf, 10000);
    jq_json_init(&json, &buf);
    return 0;
}

static int drop_writer(void **state) {
    (void)state;
    jq_buf_fini(&buf);
    return 0;
}

static void expect_written(const char *expected) {
    jq_buf_append_u8(&buf, 0);
    assert_false(buf.failed);
    assert_string_equal((const char *)buf.data, expected);
}

/* Commas and colons stand where they belong, at every level and in empty containers. */
static void commas_stand_where_they_belong(void **state) {
    (void)state;
    jq_json_object_begin(&json);
    jq_json_put_int(&json, "a", -1);
    jq_json_put_array(&json, "b");
    jq_json_uint(&json, UINT64_MAX);
    jq_json_object_begin(&json);
    jq_json_object_end(&json);
    jq_json_array_begin(&json);
    jq_json_array_end(&json);
    jq_json_null(&json);
    assert_false(jq_json_complete(&json));
    jq_json_array_end(&json);
    jq_json_put_object(&json, "c");
    jq_json_put_bool(&json, "d", true);
    jq_json_put_text(&json, "e", NULL);
    jq_json_object_end(&json);
    jq_json_put_bytes(&json, "f", (struct jq_bytes){(const uint8_t *)"foob", 4});
    jq_json_object_end(&json);
    assert_true(jq_json_complete(&json));
    expect_written(
        "{\"a\":-1,\"b\":[18446744073709551615,{},[],null],\"c\":{\"d\":true,\"e\":null},\"f\":\"Zm9vYg==\"}");
}

/* Text of any bytes becomes valid JSON: quotes and controls escaped, bad UTF-8 replaced. Keys too. */
static void any_bytes_become_valid_json(void **state) {
    (void)state;
    jq_json_object_begin(&json);
    jq_json_key(&json, JQ_STR("k\"\n"));
    jq_json_str(&json, JQ_STR("plain \xc3\xa4 \\ \x01 \xff end"));
    jq_json_object_end(&json);
    expect_written("{\"k\\\"\\n\":\"plain \xc3\xa4 \\\\ \\u0001 \xef\xbf\xbd end\"}");
}

/* A double is written as short as it reads back; what JSON has no word for becomes null. */
static void doubles_are_short_and_exact(void **state) {
    (void)state;
    static const double values[] = {0.1, 1.0 / 3, 1e300, -2.5, 0};
    jq_json_array_begin(&json);
    for (size_t i = 0; i < COUNT(values); i++)
        jq_json_double(&json, values[i]);
    jq_json_double(&json, (double)NAN);
    jq_json_double(&json, (double)-INFINITY);
    jq_json_array_end(&json);
    expect_written("[0.1,0.3333333333333333,1e+300,-2.5,0,null,null]");
}

/* Over its bound the writer stops, and the buffer says so. */
static void writer_obeys_the_bound_of_its_buffer(void **state) {
    (void)state;
    struct jq_buf small;
    jq_buf_init(&small, 10);
    jq_json_init(&json, &small);
    jq_json_str(&json, JQ_STR("longer than ten bytes"));
    assert_true(small.failed);
    assert_true(small.size <= 10);
    jq_buf_fini(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commas_stand_where_they_belong, fresh_writer, drop_writer),
        cmocka_unit_test_setup_teardown(any_bytes_become_valid_json, fresh_writer, drop_writer),
        cmocka_unit_test_setup_teardown(doubles_are_short_and_exact, fresh_writer, drop_writer),
        cmocka_unit_test_setup_teardown(writer_obeys_the_bound_of_its_buffer, fresh_writer, drop_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
