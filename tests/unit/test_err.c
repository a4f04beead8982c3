#include "common/err.h"
#include "common/types.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Every code has a name and a text, and a number that is no code has one too. */
static void every_code_has_a_name(void **state) {
    (void)state;
    assert_string_equal(jq_err_name(JQ_OK), "ok");
    assert_string_equal(jq_err_name(JQ_ERR_CANCELED), "canceled");
    assert_string_equal(jq_err_text(JQ_ERR_NOT_FOUND), "not found");
    assert_string_equal(jq_err_name((enum jq_err)999), "unknown");
    assert_string_equal(jq_err_text((enum jq_err) - 1), "unknown error");
}

/* A failure carries its code and message to whoever asks, and returns the same code to whoever does not. */
static void failure_carries_code_and_message(void **state) {
    (void)state;
    struct jq_error error = {.sys_errno = 7};
    assert_int_equal(jq_fail(&error, JQ_ERR_INVALID, "queue %s: empty", "mail"), JQ_ERR_INVALID);
    assert_int_equal(error.code, JQ_ERR_INVALID);
    assert_int_equal(error.sys_errno, 0);
    assert_string_equal(error.message, "queue mail: empty");
    assert_int_equal(jq_fail(NULL, JQ_ERR_BUSY, "x"), JQ_ERR_BUSY);
    assert_int_equal(jq_fail_errno(NULL, ENOENT, "x"), JQ_ERR_NOT_FOUND);
}

/* Names from outside may be long or hold line ends: the message stays one line within its bounds. */
static void message_is_one_bounded_line(void **state) {
    (void)state;
    struct jq_error error;
    char text[1000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    text[0] = '\n';
    text[1] = '\x1b';
    jq_fail(&error, JQ_ERR_INVALID, "%s", text);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
    assert_memory_equal(error.message, "??xx", 4);
    jq_fail_errno(&error, EIO, "%s", text);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
}

/* A new failure may quote the message of the one before it. */
static void message_may_quote_itself(void **state) {
    (void)state;
    struct jq_error error;
    jq_fail(&error, JQ_ERR_INVALID, "no value");
    jq_fail(&error, JQ_ERR_INVALID, "field 'need': %s", error.message);
    assert_string_equal(error.message, "field 'need': no value");
}

/* What the system said decides the code, and its text ends the message. */
static void system_errors_are_sorted(void **state) {
    (void)state;
    static const struct {
        int sys_errno;
        enum jq_err code;
    } cases[] = {{ENOSPC, JQ_ERR_NO_SPACE}, {EDQUOT, JQ_ERR_NO_SPACE}, {ENOMEM, JQ_ERR_NOMEM},
                 {EACCES, JQ_ERR_DENIED},   {EPERM, JQ_ERR_DENIED},    {ENOENT, JQ_ERR_NOT_FOUND},
                 {ECONNRESET, JQ_ERR_IO},   {123456, JQ_ERR_IO}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jq_error error;
        assert_int_equal(jq_fail_errno(&error, cases[i].sys_errno, "open"), cases[i].code);
        assert_int_equal(error.sys_errno, cases[i].sys_errno);
    }
    struct jq_error error;
    jq_fail_errno(&error, ENOENT, "open '%s'", "/x");
    assert_string_equal(error.message, "open '/x': No such file or directory");
}

/* Names of queues, handlers and workers are of [a-z0-9_.-], 1 to 64 of them; nothing else, NUL and slash least of all. */
static void names_are_checked(void **state) {
    (void)state;
    char longest[JQ_NAME_SIZE_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_true(jq_name_valid(JQ_STR("mail.out_1-b")));
    assert_true(jq_name_valid((struct jq_str){longest, JQ_NAME_SIZE_MAX}));
    assert_false(jq_name_valid((struct jq_str){longest, JQ_NAME_SIZE_MAX + 1}));
    assert_false(jq_name_valid(JQ_STR("")));
    assert_false(jq_name_valid(JQ_STR("Mail")));
    assert_false(jq_name_valid(JQ_STR("a/b")));
    assert_false(jq_name_valid(JQ_STR("a\0b")));
    assert_false(jq_name_valid(JQ_STR("\xc3\xa4")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name),       cmocka_unit_test(failure_carries_code_and_message),
        cmocka_unit_test(message_is_one_bounded_line), cmocka_unit_test(message_may_quote_itself),
        cmocka_unit_test(system_errors_are_sorted),    cmocka_unit_test(names_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
