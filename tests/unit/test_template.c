#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/template.h"

/* `x` is "1 2", `dash` is "-rf", `nul` has a NUL byte, and there is no other. */
static bool give_param(void *ctx, struct jq_str name, struct jq_buf *buf) {
    (void)ctx;
    if (jq_str_equal(name, JQ_STR("x")))
        jq_buf_append_text(buf, JQ_STR("1 2"));
    else if (jq_str_equal(name, JQ_STR("dash")))
        jq_buf_append_text(buf, JQ_STR("-rf"));
    else if (jq_str_equal(name, JQ_STR("nul")))
        jq_buf_append(buf, "a\0b", 3);
    else
        return false;
    return true;
}

static void expect_expanded(const char *word, const char *expected) {
    struct jq_buf buf;
    jq_buf_init(&buf, 64);
    assert_int_equal(jq_template_expand(jq_str_of(word), give_param, NULL, &buf, NULL), JQ_OK);
    assert_true(jq_str_equal(jq_buf_str(&buf), jq_str_of(expected)));
    jq_buf_fini(&buf);
}

static void expect_refused(const char *word, enum jq_err code, const char *message) {
    struct jq_buf buf;
    struct jq_error error = {0};
    jq_buf_init(&buf, 64);
    assert_int_equal(jq_template_expand(jq_str_of(word), give_param, NULL, &buf, &error), code);
    assert_string_equal(error.message, message);
    jq_buf_fini(&buf);
}

/* A parameter takes the place of its braces and stays one word; all else stays for those who know it. */
static void parameters_take_the_place_of_their_braces(void **state) {
    (void)state;
    expect_expanded("{param.x}", "1 2");
    expect_expanded("--level={param.x}{param.x}", "--level=1 21 2");
    expect_expanded("--exclude={param.dash}", "--exclude=-rf");
    expect_expanded("{input} {print $1} {} { {{param.x}}", "{input} {print $1} {} { {1 2}");
}

/* A task cannot make an option of a parameter, nor end a word early, nor leave one out. */
static void hostile_parameters_are_refused(void **state) {
    (void)state;
    expect_refused("{param.dash}", JQ_ERR_INVALID, "payload: parameter 'dash' begins with '-'");
    expect_refused("a{param.nul}", JQ_ERR_INVALID, "payload: parameter 'nul' has a NUL byte");
    expect_refused("{param.other}", JQ_ERR_INVALID, "payload: parameter 'other' is missing");
    expect_refused("0123456789012345678901234567890123456789012345678901234567890{param.x}x", JQ_ERR_TOO_BIG,
                   "command: too long");
    expect_refused("01234567890123456789012345678901234567890123456789012345678901{param.x}", JQ_ERR_TOO_BIG,
                   "payload: parameter 'x' is too large");
}

/* What looks like a placeholder and is none is a slip. */
static void unknown_placeholders_are_refused(void **state) {
    (void)state;
    struct jq_error error = {0};
    assert_int_equal(jq_template_check(JQ_STR("-o {output} {input.part} {output.mesh} {param.x} {print $1} {}"), NULL),
                     JQ_OK);
    assert_int_equal(jq_template_check(JQ_STR("{payload}"), &error), JQ_ERR_INVALID);
    assert_string_equal(
        error.message,
        "{payload} is none of {input} {output} {input.NAME} {output.NAME} {work_dir} {task} {attempt} {param.NAME}");
    assert_int_equal(jq_template_check(JQ_STR("{param.}"), NULL), JQ_ERR_INVALID);
    assert_true(jq_template_has_params(JQ_STR("a{param.x}")));
    assert_false(jq_template_has_params(JQ_STR("a{input}")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_take_the_place_of_their_braces),
        cmocka_unit_test(hostile_parameters_are_refused),
        cmocka_unit_test(unknown_placeholders_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
