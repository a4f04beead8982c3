#include "common/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A duration is read as people write it, and printed in the same form: reading what was printed gives the same number. */
static void durations_come_back(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
        const char *printed;
    } cases[] = {
        {"0", 0, "0s"},
        {"0s", 0, "0s"},
        {"250ms", 250, "250ms"},
        {"5s", 5000, "5s"},
        {"10m", 600000, "10m"},
        {"1h30m", 5400000, "1h30m"},
        {"90m", 5400000, "1h30m"},
        {"2d1ms", 172800001, "2d1ms"},
        {"36500d", JQ_DURATION_MS_MAX, "36500d"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = -1;
        char place[JQ_DURATION_TEXT_SIZE];
        assert_int_equal(jq_text_parse_duration(jq_str_of(cases[i].text), &ms, NULL), JQ_OK);
        assert_true(ms == cases[i].ms);
        assert_string_equal(jq_text_format_duration(ms, place), cases[i].printed);
    }
    char place[JQ_DURATION_TEXT_SIZE];
    assert_string_equal(jq_text_format_duration(-1500, place), "-1s500ms");
    assert_string_equal(jq_text_format_duration(INT64_MIN, place), "-106751991167d7h12m55s808ms");
}

/* What is no duration is refused, with the reason, and the output is left alone. */
static void bad_durations_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum jq_err err;
        const char *message;
    } cases[] = {
        {"", JQ_ERR_INVALID, "'': not a duration such as 250ms, 5s or 1h30m"},
        {"s", JQ_ERR_INVALID, "'s': not a duration such as 250ms, 5s or 1h30m"},
        {"-5s", JQ_ERR_INVALID, "'-5s': not a duration such as 250ms, 5s or 1h30m"},
        {"5", JQ_ERR_INVALID, "'5': a duration needs a unit after each number: d, h, m, s or ms"},
        {"5 s", JQ_ERR_INVALID, "'5 s': a duration needs a unit after each number: d, h, m, s or ms"},
        {"1.5s", JQ_ERR_INVALID, "'1.5s': a duration needs a unit after each number: d, h, m, s or ms"},
        {"5s1m", JQ_ERR_INVALID, "'5s1m': units of a duration go from large to small, each once"},
        {"5s5s", JQ_ERR_INVALID, "'5s5s': units of a duration go from large to small, each once"},
        {"36500d1ms", JQ_ERR_TOO_BIG, "'36500d1ms': a duration is at most 36500d"},
        {"99999999999999999999s", JQ_ERR_TOO_BIG, "'99999999999999999999s': a duration is at most 36500d"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = -1;
        struct jq_error error;
        assert_int_equal(jq_text_parse_duration(jq_str_of(cases[i].text), &ms, &error), cases[i].err);
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(ms, -1);
    }
}

/* Sizes are binary; reading what was printed gives the same number. */
static void sizes_come_back(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
        const char *printed;
    } cases[] = {{"0", 0, "0"},
                 {"4096", 4096, "4K"},
                 {"1000", 1000, "1000"},
                 {"64M", UINT64_C(64) << 20, "64M"},
                 {"64m", UINT64_C(64) << 20, "64M"},
                 {"4G", UINT64_C(4) << 30, "4G"},
                 {"2048T", UINT64_C(2048) << 40, "2048T"},
                 {"18446744073709551615", UINT64_MAX, "18446744073709551615"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t bytes = 1;
        char place[JQ_SIZE_TEXT_SIZE];
        assert_int_equal(jq_text_parse_size(jq_str_of(cases[i].text), &bytes, NULL), JQ_OK);
        assert_true(bytes == cases[i].bytes);
        assert_string_equal(jq_text_format_size(bytes, place), cases[i].printed);
    }
    uint64_t bytes;
    static const char *const bad[] = {"", "M", "4X", "4MB", "-4M", "4 M", "0x10"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(jq_text_parse_size(jq_str_of(bad[i]), &bytes, NULL), JQ_ERR_INVALID);
    assert_int_equal(jq_text_parse_size(JQ_STR("16777216T"), &bytes, NULL), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_text_parse_size(JQ_STR("18446744073709551616"), &bytes, NULL), JQ_ERR_TOO_BIG);
}

/* Whole numbers are read up to the very ends of their range, and refused one beyond. */
static void integers_are_bounded(void **state) {
    (void)state;
    int64_t value = 0;
    uint64_t natural = 0;
    struct jq_error error;
    assert_int_equal(jq_text_parse_int(JQ_STR("-9223372036854775808"), INT64_MIN, INT64_MAX, &value, NULL), JQ_OK);
    assert_true(value == INT64_MIN);
    assert_int_equal(jq_text_parse_int(JQ_STR("9223372036854775807"), INT64_MIN, INT64_MAX, &value, NULL), JQ_OK);
    assert_true(value == INT64_MAX);
    assert_int_equal(jq_text_parse_int(JQ_STR("9223372036854775808"), INT64_MIN, INT64_MAX, &value, NULL),
                     JQ_ERR_TOO_BIG);
    assert_int_equal(jq_text_parse_int(JQ_STR("10"), 0, 9, &value, &error), JQ_ERR_TOO_BIG);
    assert_string_equal(error.message, "'10': not between 0 and 9");
    assert_int_equal(jq_text_parse_int(JQ_STR("-"), -9, 9, &value, NULL), JQ_ERR_INVALID);
    assert_int_equal(jq_text_parse_int(JQ_STR("7x"), -9, 9, &value, NULL), JQ_ERR_INVALID);
    assert_int_equal(jq_text_parse_uint(JQ_STR("18446744073709551615"), UINT64_MAX, &natural, NULL), JQ_OK);
    assert_true(natural == UINT64_MAX);
    assert_int_equal(jq_text_parse_uint(JQ_STR("18446744073709551616"), UINT64_MAX, &natural, NULL), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_text_parse_uint(JQ_STR("65536"), 65535, &natural, &error), JQ_ERR_TOO_BIG);
    assert_string_equal(error.message, "'65536': more than 65535");
    assert_int_equal(jq_text_parse_uint(JQ_STR("-1"), 9, &natural, NULL), JQ_ERR_INVALID);
    assert_int_equal(jq_text_parse_uint(JQ_STR(""), 9, &natural, NULL), JQ_ERR_INVALID);
}

/* A long text is quoted by its start only. */
static void long_texts_are_quoted_short(void **state) {
    (void)state;
    char text[500];
    uint64_t value;
    struct jq_error error;
    memset(text, 'x', sizeof(text));
    jq_text_parse_uint((struct jq_str){text, sizeof(text)}, 9, &value, &error);
    assert_true(strlen(error.message) < 100);
    assert_non_null(strstr(error.message, "xxx...': not a whole number"));
}

/* Task ids name their group only when it is not the first, and come back from their text. */
static void task_ids_come_back(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } cases[] = {{"1", 1},
                 {"17", 17},
                 {"3-17", UINT64_C(3) << 56 | 17},
                 {"72057594037927935", (UINT64_C(1) << 56) - 1},
                 {"255-72057594037927935", UINT64_MAX}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        jq_task_id id = {0};
        char place[JQ_TASK_ID_TEXT_SIZE];
        assert_int_equal(jq_text_parse_task_id(jq_str_of(cases[i].text), &id, NULL), JQ_OK);
        assert_true(id.value == cases[i].value);
        assert_string_equal(jq_text_format_task_id(id, place), cases[i].text);
    }
    jq_task_id id;
    static const char *const bad[] = {"", "-", "3-", "-17", "3-17-1", "x", "1 ", "3--1"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(jq_text_parse_task_id(jq_str_of(bad[i]), &id, NULL), JQ_ERR_INVALID);
    static const char *const big[] = {"0", "3-0", "72057594037927936", "256-1", "99999999999999999999-1"};
    for (size_t i = 0; i < COUNT(big); i++)
        assert_int_equal(jq_text_parse_task_id(jq_str_of(big[i]), &id, NULL), JQ_ERR_TOO_BIG);
}

/* A UUID comes back from its text, in either case; anything else is refused. */
static void uuids_come_back(void **state) {
    (void)state;
    static const char text[] = "00112233-4455-6677-8899-aabbccddeeff";
    struct jq_uuid uuid;
    char place[JQ_UUID_TEXT_SIZE];
    assert_int_equal(jq_text_parse_uuid(JQ_STR("00112233-4455-6677-8899-AABBCCDDEEFF"), &uuid, NULL), JQ_OK);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(uuid.bytes[i], i * 0x11);
    assert_string_equal(jq_text_format_uuid(&uuid, place), text);
    static const char *const bad[] = {"", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeef",
                                      "00112233-4455-6677-8899-aabbccddeefg", "00112233+4455-6677-8899-aabbccddeeff"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(jq_text_parse_uuid(jq_str_of(bad[i]), &uuid, NULL), JQ_ERR_INVALID);
}

/* Hexadecimal digits come back as bytes, of exactly the size asked for. */
static void hex_comes_back(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0x00, 0x9f, 0xff};
    uint8_t read[3];
    char place[7];
    assert_string_equal(jq_text_format_hex((struct jq_bytes){bytes, 3}, place), "009fff");
    assert_int_equal(jq_text_parse_hex(JQ_STR("009FfF"), read, 3, NULL), JQ_OK);
    assert_memory_equal(read, bytes, 3);
    assert_int_equal(jq_text_parse_hex(JQ_STR("009ff"), read, 3, NULL), JQ_ERR_INVALID);
    assert_int_equal(jq_text_parse_hex(JQ_STR("009fff00"), read, 3, NULL), JQ_ERR_INVALID);
    assert_int_equal(jq_text_parse_hex(JQ_STR("009fgg"), read, 3, NULL), JQ_ERR_INVALID);
}

/* Base64 is that of RFC 4648, section 10. */
static void base64_is_the_standard_one(void **state) {
    (void)state;
    static const char *const expected[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    struct jq_buf buf;
    jq_buf_init(&buf, 100);
    for (size_t size = 0; size <= 6; size++) {
        jq_buf_clear(&buf);
        jq_text_append_base64(&buf, (struct jq_bytes){(const uint8_t *)"foobar", size});
        assert_true(jq_str_equal(jq_buf_str(&buf), jq_str_of(expected[size])));
    }
    jq_buf_fini(&buf);
}

/* UTF-8 is what RFC 3629 says: over-long forms, surrogates, numbers above U+10FFFF and cut characters are none. */
static void utf8_is_strict(void **state) {
    (void)state;
    static const char *const good[] = {
        "", "abc", "\xc3\xa4", "\xe2\x82\xac", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(jq_text_utf8_valid(jq_str_of(good[i])));
    static const char *const bad[] = {
        "\x80",         "\xc3",      "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xe2\x82",  "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff",         "a\xe2\x82z"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(jq_text_utf8_valid(jq_str_of(bad[i])));
}

/* What quotes bytes from outside goes back over the wire as a str: one line, and UTF-8 even where the quote is not. */
static void quoted_bytes_become_a_line(void **state) {
    (void)state;
    char text[] = "'a\n\x1b\x7f \xc3\xa4 \xff\xc3 \xe2\x82\xac \xe2\x82";
    jq_text_make_line(text);
    assert_string_equal(text, "'a??? \xc3\xa4 ?? \xe2\x82\xac ??");
    char empty[] = "";
    jq_text_make_line(empty);
    assert_string_equal(empty, "");
}

static struct jq_str escape_all(struct jq_str text, struct jq_buf *buf) {
    jq_buf_clear(buf);
    while (text.size > 0) {
        char place[JQ_ESCAPE_SIZE_MAX];
        const size_t size = jq_text_escape(&text, place);
        jq_buf_append(buf, place, size);
    }
    return jq_buf_str(buf);
}

/* Nothing that a terminal would obey passes unescaped: controls of both sets, DEL, and bytes that are not UTF-8. */
static void escapes_leave_nothing_dangerous(void **state) {
    (void)state;
    struct jq_buf buf;
    jq_buf_init(&buf, 1000);
    const struct jq_str text = escape_all(JQ_STR("a\"\\\n\r\t\x1b\x7f\0\xc2\x9b\xc3\xa4\xff\xe2\x82"), &buf);
    assert_true(jq_str_equal(text, JQ_STR("a\\\"\\\\\\n\\r\\t\\u001b\\u007f\\u0000\\u009b\xc3\xa4"
                                          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")));
    jq_buf_fini(&buf);
}

/* Times are UTC with milliseconds, also before 1970; a number that is no date is printed as it is. */
static void times_are_utc(void **state) {
    (void)state;
    char place[JQ_TIME_TEXT_SIZE];
    assert_string_equal(jq_text_format_time(0, place), "1970-01-01T00:00:00.000Z");
    assert_string_equal(jq_text_format_time(1709208000123, place), "2024-02-29T12:00:00.123Z");
    assert_string_equal(jq_text_format_time(-1, place), "1969-12-31T23:59:59.999Z");
    assert_string_equal(jq_text_format_time(253402300799999, place), "9999-12-31T23:59:59.999Z");
    assert_string_equal(jq_text_format_time(253402300800000, place), "253402300800000");
    assert_string_equal(jq_text_format_time(INT64_MAX, place), "9223372036854775807");
    assert_string_equal(jq_text_format_time(INT64_MIN, place), "-9223372036854775808");
}

/* Secrets are equal when all their bytes are. */
static void secrets_are_compared_whole(void **state) {
    (void)state;
    assert_true(jq_text_equal_secret("abcd", "abcd", 4));
    assert_true(jq_text_equal_secret("abcx", "abcy", 3));
    assert_false(jq_text_equal_secret("xbcd", "abcd", 4));
    assert_false(jq_text_equal_secret("abcx", "abcd", 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_come_back),
        cmocka_unit_test(bad_durations_are_refused),
        cmocka_unit_test(sizes_come_back),
        cmocka_unit_test(integers_are_bounded),
        cmocka_unit_test(long_texts_are_quoted_short),
        cmocka_unit_test(task_ids_come_back),
        cmocka_unit_test(uuids_come_back),
        cmocka_unit_test(hex_comes_back),
        cmocka_unit_test(base64_is_the_standard_one),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(quoted_bytes_become_a_line),
        cmocka_unit_test(escapes_leave_nothing_dangerous),
        cmocka_unit_test(times_are_utc),
        cmocka_unit_test(secrets_are_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
