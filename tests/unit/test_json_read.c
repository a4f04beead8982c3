#include "common/json_read.h"

#include "common/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct jq_buf buf;

static int fresh_trace(void **state) {
    (void)state;
    jq_buf_init(&buf, 10000);
    return 0;
}

static int drop_trace(void **state) {
    (void)state;
    jq_buf_fini(&buf);
    return 0;
}

static void expect_trace(const char *expected) {
    jq_buf_append_u8(&buf, 0);
    assert_false(buf.failed);
    assert_string_equal((const char *)buf.data, expected);
}

/* Writes each part as one word into `buf`: the trace of a document. */
static enum jq_err note_part(void *ctx, const struct jq_json_part *part, struct jq_error *reterr) {
    assert_ptr_equal(ctx, &buf);
    switch (part->kind) {
    case JQ_JSON_NULL: jq_buf_append_format(&buf, "null "); break;
    case JQ_JSON_BOOL: jq_buf_append_format(&buf, part->boolean ? "true " : "false "); break;
    case JQ_JSON_INT: jq_buf_append_format(&buf, "%lld ", (long long)part->number); break;
    case JQ_JSON_DOUBLE: jq_buf_append_format(&buf, "%.2f ", part->real); break;
    case JQ_JSON_STR: jq_buf_append_format(&buf, "'%.*s' ", JQ_STR_ARG(part->text)); break;
    case JQ_JSON_KEY: jq_buf_append_format(&buf, "%.*s: ", JQ_STR_ARG(part->text)); break;
    case JQ_JSON_OBJECT_BEGIN: jq_buf_append_format(&buf, "{%zu ", part->count); break;
    case JQ_JSON_OBJECT_END: jq_buf_append_format(&buf, "} "); break;
    case JQ_JSON_ARRAY_BEGIN: jq_buf_append_format(&buf, "[%zu ", part->count); break;
    case JQ_JSON_ARRAY_END: jq_buf_append_format(&buf, "] "); break;
    }
    const bool refused = part->kind == JQ_JSON_STR && jq_str_equal(part->text, JQ_STR("refuse me"));
    return refused ? jq_fail(reterr, JQ_ERR_UNSUPPORTED, "refused") : JQ_OK;
}

static enum jq_err read_text(struct jq_str text, struct jq_error *reterr) {
    return jq_json_read(text, 1000, note_part, &buf, reterr);
}

/* A document is told part by part, in its own order, with the counts ahead that msgpack wants. */
static void document_is_told_in_order(void **state) {
    (void)state;
    const struct jq_str text =
        JQ_STR(" {\"z\": [1, -2.5, \"\\u00e4\\n\"], \"a\": {}, \"m\": null, \"b\": [true, false]} ");
    assert_int_equal(read_text(text, NULL), JQ_OK);
    expect_trace("{4 z: [3 1 -2.50 '\xc3\xa4\n' ] a: {0 } m: null b: [2 true false ] } ");
}

/* Any value may stand at the top, and the ends of int64_t are read exactly. */
static void any_value_may_stand_at_the_top(void **state) {
    (void)state;
    assert_int_equal(read_text(JQ_STR("-9223372036854775808"), NULL), JQ_OK);
    assert_int_equal(read_text(JQ_STR("9223372036854775807"), NULL), JQ_OK);
    assert_int_equal(read_text(JQ_STR("\"x\""), NULL), JQ_OK);
    expect_trace("-9223372036854775808 9223372036854775807 'x' ");
}

/* What is not JSON is refused with its place, before anything was told. */
static void bad_documents_are_refused_whole(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",      " ",      "{",      "[1,]",        "[1] 2",    "{\"a\":1,\"a\":2}", "{a:1}",
        "'x'",   "01",     "NaN",    "tru",         "\"\xff\"", "\"\\u0000\"",       "9223372036854775808",
        "1e999", "\"\n\"", "[1,2\\", "\"\\ud800\"",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct jq_error error = {0};
        assert_int_equal(read_text(jq_str_of(bad[i]), &error), JQ_ERR_INVALID);
        assert_memory_equal(error.message, "JSON: line ", 11);
    }
    assert_int_equal(read_text((struct jq_str){NULL, 0}, NULL), JQ_ERR_INVALID);
    expect_trace("");
}

static struct jq_str nested(char *place, size_t depth) {
    memset(place, '[', depth);
    memset(place + depth, ']', depth);
    return (struct jq_str){place, 2 * depth};
}

/* Size and depth are bounded: 32 levels are read, 33 are not, and brackets within strings are no levels. */
static void size_and_depth_are_bounded(void **state) {
    (void)state;
    char place[2000];
    struct jq_error error;
    assert_int_equal(read_text(nested(place, 32), NULL), JQ_OK);
    assert_int_equal(read_text(nested(place, 33), &error), JQ_ERR_TOO_BIG);
    assert_string_equal(error.message, "JSON: more than 32 levels deep");
    assert_int_equal(read_text(JQ_STR("\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\""), NULL), JQ_OK);
    assert_int_equal(read_text(nested(place, 600), &error), JQ_ERR_TOO_BIG);
    assert_string_equal(error.message, "JSON: 1200 bytes, at most 1000 are allowed");
}

/* Whoever listens can refuse, and the reading ends there with that error. */
static void listener_can_refuse(void **state) {
    (void)state;
    struct jq_error error;
    assert_int_equal(read_text(JQ_STR("{\"a\":[1,\"refuse me\",2]}"), &error), JQ_ERR_UNSUPPORTED);
    assert_string_equal(error.message, "refused");
    expect_trace("{1 a: [3 1 'refuse me' ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(document_is_told_in_order, fresh_trace, drop_trace),
        cmocka_unit_test_setup_teardown(any_value_may_stand_at_the_top, fresh_trace, drop_trace),
        cmocka_unit_test_setup_teardown(bad_documents_are_refused_whole, fresh_trace, drop_trace),
        cmocka_unit_test_setup_teardown(size_and_depth_are_bounded, fresh_trace, drop_trace),
        cmocka_unit_test_setup_teardown(listener_can_refuse, fresh_trace, drop_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
