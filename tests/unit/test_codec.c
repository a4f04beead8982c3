#include "common/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/codec_client.h"
#include "common/codec_fields.h"
#include "common/codec_survey.h"
#include "tests/lib/notation.h"

#define BYTES(...) ((struct jq_bytes){(const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})})

static void expect_refused(struct jq_bytes frame, enum jq_err code, const char *message) {
    struct jq_error error;
    assert_int_equal(jq_msgpack_check(frame, &error), code);
    assert_string_equal(error.message, message);
}

/* msgpack-c reserves what a frame announces: a frame that announces more than it holds never gets there. */
static void announced_sizes_are_checked_against_the_frame(void **state) {
    (void)state;
    expect_refused(BYTES(0xdd, 0xff, 0xff, 0xff, 0xff), JQ_ERR_PROTOCOL,
                   "frame: byte 5: a container longer than the frame");
    expect_refused(BYTES(0xdf, 0xff, 0xff, 0xff, 0xff, 0), JQ_ERR_PROTOCOL,
                   "frame: byte 5: a container longer than the frame");
    expect_refused(BYTES(0x91, 0xde, 0x00, 0x02, 0x01, 0x01, 0x01), JQ_ERR_PROTOCOL,
                   "frame: byte 4: a container longer than the frame");
    expect_refused(BYTES(0xc6, 0xff, 0xff, 0xff, 0xff, 1), JQ_ERR_PROTOCOL,
                   "frame: byte 5: the frame ends within an object");
    expect_refused(BYTES(0xda, 0x00), JQ_ERR_PROTOCOL, "frame: byte 1: the frame ends within an object");
    expect_refused(BYTES(0x92, 0xc0), JQ_ERR_PROTOCOL, "frame: byte 1: a container longer than the frame");
    expect_refused(BYTES(0x92, 0x91, 0xc0), JQ_ERR_PROTOCOL, "frame: byte 3: the frame ends before its last object");
    expect_refused((struct jq_bytes){NULL, 0}, JQ_ERR_PROTOCOL, "frame: empty");
}

/* One object, nothing behind it, no types of others, and no deeper than the protocol goes. */
static void only_the_forms_of_the_protocol_pass(void **state) {
    (void)state;
    expect_refused(BYTES(0xc0, 0xc0), JQ_ERR_PROTOCOL, "frame: byte 1: something stands after the end");
    expect_refused(BYTES(0x91, 0xc1), JQ_ERR_PROTOCOL, "frame: byte 2: a type that the protocol does not use");
    expect_refused(BYTES(0xd4, 0x01, 0x00), JQ_ERR_PROTOCOL, "frame: byte 1: a type that the protocol does not use");
    expect_refused(BYTES(0xc7, 0x00, 0x01), JQ_ERR_PROTOCOL, "frame: byte 1: a type that the protocol does not use");
    assert_int_equal(jq_msgpack_check(BYTES(0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0xc0), NULL), JQ_OK);
    expect_refused(BYTES(0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x90), JQ_ERR_PROTOCOL,
                   "frame: byte 9: containers are nested too deep");

    uint8_t *large = calloc(1, JQ_FRAME_SIZE_MAX + 1);
    expect_refused((struct jq_bytes){large, JQ_FRAME_SIZE_MAX + 1}, JQ_ERR_TOO_BIG,
                   "frame: 65537 bytes, at most 65536");
    free(large);
}

/* A frame that may be large holds large things, not many: no more objects than a small one, for each of which memory is taken. */
static void large_frames_hold_few_objects(void **state) {
    (void)state;
    struct jq_error error;
    struct jq_unpacker unpacker;
    msgpack_object object;
    uint8_t *bytes = calloc(1, JQ_LARGE_FRAME_SIZE_MAX + 1);
    struct jq_bytes frame = {bytes, JQ_LARGE_FRAME_SIZE_MAX};
    jq_unpacker_init(&unpacker);
    memcpy(bytes, (const uint8_t[]){0xc6, 0x00, 0x0f, 0xff, 0xfb}, 5); /* a bin of all that is left */
    assert_int_equal(jq_unpack_large(&unpacker, frame, &object, &error), JQ_OK);
    assert_int_equal(object.via.bin.size, JQ_LARGE_FRAME_SIZE_MAX - 5);
    assert_int_equal(jq_msgpack_check(frame, &error), JQ_ERR_TOO_BIG);
    frame.size++;
    assert_int_equal(jq_msgpack_check_large(frame, &error), JQ_ERR_TOO_BIG);
    frame.size = 5 + JQ_FRAME_SIZE_MAX + 1;
    memcpy(bytes, (const uint8_t[]){0xdd, 0x00, 0x01, 0x00, 0x01}, 5); /* an array of small integers */
    assert_int_equal(jq_msgpack_check_large(frame, &error), JQ_ERR_PROTOCOL);
    assert_non_null(strstr(error.message, "too many objects"));
    frame.size--;
    bytes[4] = 0;
    assert_int_equal(jq_msgpack_check_large(frame, &error), JQ_OK);
    jq_unpacker_fini(&unpacker);
    free(bytes);
}

/* Every format of the specification, at its borders, comes back as it went. */
static void all_formats_come_back(void **state) {
    (void)state;
    static const char *const texts[] = {
        "[0, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 18446744073709551615]",
        "[-1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649]",
        "[null, true, false, 1.5, -0.5]",
        "{\"\": h'', \"a\": h'00ff', \"0123456789012345678901234567890123456789\": []}",
        "[[], {}, [[[[[[1]]]]]], {\"k\": {\"k\": [1, 2]}}]",
        "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]",
    };
    struct jq_unpacker *unpacker = jq_unpacker_of_thread();
    struct jq_buf frame, again, text;
    jq_buf_init(&frame, 10000);
    jq_buf_init(&again, 10000);
    jq_buf_init(&text, 10000);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        msgpack_object object;
        jq_buf_clear(&frame);
        jq_buf_clear(&again);
        jq_buf_clear(&text);
        notation_pack(&frame, texts[i]);
        assert_int_equal(jq_unpack(unpacker, jq_buf_bytes(&frame), &object, NULL), JQ_OK);
        notation_print(&text, &object);
        jq_buf_append_u8(&text, 0);
        notation_pack(&again, (const char *)text.data);
        assert_int_equal(again.size, frame.size);
        assert_memory_equal(again.data, frame.data, frame.size);
        assert_int_equal(jq_msgpack_first_size(jq_buf_bytes(&frame)), frame.size);
    }
    jq_buf_fini(&frame);
    jq_buf_fini(&again);
    jq_buf_fini(&text);
}

/* A list whose length is known only at its end, and one that was taken back because it did not fit. */
static void open_lists_get_their_length_at_the_end(void **state) {
    (void)state;
    struct jq_buf buf;
    jq_buf_init(&buf, 16);
    struct jq_pack pack = jq_pack_of(&buf);
    const size_t hole = jq_pack_array_begin(&pack);
    jq_pack_uint(&pack, 7);
    const size_t before = buf.size;
    jq_pack_str(&pack, JQ_STR("longer than the buffer"));
    assert_true(buf.failed);
    jq_pack_rewind(&pack, before);
    jq_pack_uint(&pack, 8);
    jq_pack_end(&pack, hole, 2);
    const uint8_t expected[] = {0xdc, 0x00, 0x02, 7, 8};
    assert_int_equal(buf.size, sizeof(expected));
    assert_memory_equal(buf.data, expected, sizeof(expected));
    jq_buf_fini(&buf);
}

struct bad {
    const struct jq_message *message;
    const char *text;
    enum jq_reply status;
    const char *field, *reason;
};

/* What a field may not be is said with its name and the reason. */
static void faults_name_the_field_and_the_reason(void **state) {
    (void)state;
    static const struct bad cases[] = {
        {&jq_message_task, "[]", JQ_REPLY_INVALID, "", "an array, not a map"},
        {&jq_message_task, "{}", JQ_REPLY_INVALID, "handler", "missing"},
        {&jq_message_task, "{\"handler\": null}", JQ_REPLY_INVALID, "handler", "missing"},
        {&jq_message_task, "{\"handler\": 7}", JQ_REPLY_INVALID, "handler", "a uint, not name"},
        {&jq_message_task, "{\"handler\": \"a/b\"}", JQ_REPLY_INVALID, "handler",
         "not a name (1 to 64 of a-z 0-9 _ . -)"},
        {&jq_message_task, "{\"handler\": \"\"}", JQ_REPLY_INVALID, "handler", "not a name (1 to 64 of a-z 0-9 _ . -)"},
        {&jq_message_task, "{\"handler\": \"h\", \"handler\": \"h\"}", JQ_REPLY_INVALID, "handler", "given twice"},
        {&jq_message_task, "{\"handler\": \"h\", \"priority\": 12}", JQ_REPLY_INVALID, "priority", "12 is above 9"},
        {&jq_message_task, "{\"handler\": \"h\", \"priority\": -1}", JQ_REPLY_INVALID, "priority",
         "a negative number, not uint"},
        {&jq_message_task, "{\"handler\": \"h\", \"priority\": 1.0}", JQ_REPLY_INVALID, "priority",
         "a float, not uint"},
        {&jq_message_task, "{\"handler\": \"h\", \"key\": \"\"}", JQ_REPLY_INVALID, "key", "0 bytes, at least 1"},
        {&jq_message_task, "{\"handler\": \"h\", \"payload\": \"text\"}", JQ_REPLY_INVALID, "payload",
         "a str, not bin"},
        {&jq_message_task, "{\"handler\": \"h\", \"headers\": {\"a\": 1}}", JQ_REPLY_INVALID, "headers",
         "entry 0: value: a uint, not a str without NUL"},
        {&jq_message_task_ids, "{\"ids\": []}", JQ_REPLY_INVALID, "ids", "0 entries, at least 1"},
        {&jq_message_task_ids, "{\"ids\": [1, 0]}", JQ_REPLY_INVALID, "ids[1]", "0 is below 1"},
        {&jq_message_task_ids, "{\"ids\": [1, \"x\"]}", JQ_REPLY_INVALID, "ids[1]", "a str, not uint"},
        {&jq_message_register, "{\"id\": h'00'}", JQ_REPLY_INVALID, "id", "1 bytes, not 16"},
        {&jq_message_register, "{\"offers\": {\"CPU\": 1}}", JQ_REPLY_INVALID, "offers",
         "entry 0: its key is not a name"},
        {&jq_message_register, "{\"offers\": {\"cpu\": true}}", JQ_REPLY_INVALID, "offers", "cpu: a bool, not uint"},
        {&jq_message_register, "{\"offers\": {\"cpu\": 1152921504606846977}}", JQ_REPLY_INVALID, "offers",
         "cpu: 1152921504606846977 thousandths, at most 2^60"},
        {&jq_message_held, "{}", JQ_REPLY_INVALID, "", "a map, not an array"},
        {&jq_message_held, "[1]", JQ_REPLY_INVALID, "token", "missing"},
        {&jq_message_queue_set, "{\"name\": \"q\", \"paused\": 1}", JQ_REPLY_INVALID, "paused", "a uint, not bool"},
        {&jq_message_detail, "{\"service\": \"01234567890123456789012345678901234567890123456789012345678901234\"}",
         JQ_REPLY_TOO_BIG, "service", "65 bytes, at most 64"},
    };
    struct jq_buf frame;
    jq_buf_init(&frame, 10000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        msgpack_object object;
        struct jq_values values;
        struct jq_fault fault;
        jq_buf_clear(&frame);
        notation_pack(&frame, cases[i].text);
        assert_int_equal(jq_unpack(jq_unpacker_of_thread(), jq_buf_bytes(&frame), &object, NULL), JQ_OK);
        assert_false(jq_fields_read(cases[i].message, &object, &values, &fault));
        assert_string_equal(fault.field, cases[i].field);
        assert_string_equal(fault.reason, cases[i].reason);
        assert_int_equal(fault.status, cases[i].status);
    }
    jq_buf_fini(&frame);
}

/* A newer client may say more than we know: unknown keys and further elements are passed over, nil is nothing said. */
static void what_is_unknown_is_passed_over(void **state) {
    (void)state;
    struct jq_buf frame;
    msgpack_object object;
    struct jq_values values;
    struct jq_fault fault;
    jq_buf_init(&frame, 10000);
    notation_pack(&frame, "{\"colour\": [1], \"priority\": null, \"queue\": \"q\", 5: 6, \"handler\": \"h\"}");
    assert_int_equal(jq_unpack(jq_unpacker_of_thread(), jq_buf_bytes(&frame), &object, NULL), JQ_OK);
    assert_true(jq_fields_read(&jq_message_task, &object, &values, &fault));
    assert_int_equal(values.given, 1U << JQ_AT_TASK_QUEUE | 1U << JQ_AT_TASK_HANDLER);
    assert_int_equal(jq_value_uint(&values, JQ_AT_TASK_PRIORITY, 5), 5);

    jq_buf_clear(&frame);
    notation_pack(&frame, "[8, 9, {\"more\": 1}, 10]");
    assert_int_equal(jq_unpack(jq_unpacker_of_thread(), jq_buf_bytes(&frame), &object, NULL), JQ_OK);
    assert_true(jq_fields_read(&jq_message_held, &object, &values, &fault));
    assert_int_equal(values.at[JQ_AT_HELD_TOKEN].u, 9);
    jq_buf_fini(&frame);
}

/* A path that is longer than its place keeps its outer end, which says where to look. */
static void long_paths_are_cut_at_their_inner_end(void **state) {
    (void)state;
    struct jq_fault fault;
    jq_fault_set(&fault, JQ_REPLY_INVALID, "innermost", "x");
    for (int i = 0; i < 12; i++)
        jq_fault_within_element(&fault, "level", (size_t)i);
    assert_memory_equal(fault.field, "level[11].level[10].level[9].", 29);
    assert_int_equal(strlen(fault.field), sizeof(fault.field) - 1);
    assert_string_equal(fault.field + strlen(fault.field) - 3, "...");
}

/* A client builds requests and reads answers without knowing msgpack, and is not shaken by what it does not find. */
static void answers_are_walked_by_views(void **state) {
    (void)state;
    struct jq_buf frame;
    jq_buf_init(&frame, 10000);
    notation_pack(&frame, "[1, 0, 77, {\"first\": 5, \"rate\": 1.5, \"on\": true, \"name\": \"n\", \"bin\": h'0102',"
                          " \"list\": [[1, 2], null], \"none\": null, \"id\": h'000102030405060708090a0b0c0d0e0f'}]");
    struct jq_reply_view view;
    jq_reply_view_init(&view);
    assert_int_equal(jq_reply_view_read(&view, jq_buf_bytes(&frame), NULL), JQ_OK);
    assert_int_equal(view.id, 77);
    assert_int_equal(view.status, JQ_REPLY_OK);
    assert_int_equal(jq_view_uint(view.body, "first", 0), 5);
    assert_int_equal(jq_view_uint(view.body, "name", 9), 9);
    assert_true(jq_view_double(view.body, "rate", 0) > 1.4);
    assert_true(jq_view_double(view.body, "first", 0) > 4.9);
    assert_true(jq_view_bool(view.body, "on", false));
    assert_true(jq_str_equal(jq_view_str(view.body, "name"), JQ_STR("n")));
    assert_int_equal(jq_view_bin(view.body, "bin").size, 2);
    assert_int_equal(jq_view_uuid(view.body, "id").bytes[15], 15);
    assert_int_equal(jq_view_count(jq_view_get(view.body, "list")), 2);
    assert_int_equal(jq_view_to_uint(jq_view_at(jq_view_at(jq_view_get(view.body, "list"), 0), 1), 0), 2);
    assert_false(jq_view_given(jq_view_at(jq_view_get(view.body, "list"), 1)));
    assert_false(jq_view_given(jq_view_at(jq_view_get(view.body, "list"), 2)));
    assert_false(jq_view_given(jq_view_get(view.body, "none")));
    assert_false(jq_view_given(jq_view_get(jq_view_get(view.body, "first"), "x")));
    assert_true(jq_str_equal(jq_view_key_at(view.body, 3), JQ_STR("name")));
    assert_int_equal(jq_view_to_uint(jq_view_value_at(view.body, 0), 0), 5);

    jq_buf_clear(&frame);
    notation_pack(&frame, "[1, 1, 78, {\"field\": \"queue\", \"reason\": \"full\", \"retry_after_ms\": 250}]");
    assert_int_equal(jq_reply_view_read(&view, jq_buf_bytes(&frame), NULL), JQ_OK);
    assert_int_equal(view.status, JQ_REPLY_BUSY);
    assert_true(jq_str_equal(view.field, JQ_STR("queue")) && jq_str_equal(view.reason, JQ_STR("full")));
    assert_int_equal(view.retry_after_ms, 250);

    struct jq_error error;
    jq_buf_clear(&frame);
    notation_pack(&frame, "[1, 0, 78]");
    assert_int_equal(jq_reply_view_read(&view, jq_buf_bytes(&frame), &error), JQ_ERR_PROTOCOL);
    assert_string_equal(error.message, "answer: body: missing");
    jq_reply_view_fini(&view);
    jq_reply_view_fini(&view);
    jq_buf_fini(&frame);
}

/* A survey's answer carries at most 32 tasks that moved, and the texts that a handler gives are cut, not refused. */
static void surveys_go_both_ways(void **state) {
    (void)state;
    static char text[200];
    memset(text, 't', sizeof(text));
    struct jq_buf frame;
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    jq_survey_write(&frame, &(struct jq_survey){.survey = 9, .epoch = 1000});
    struct jq_survey survey;
    assert_int_equal(jq_survey_read(jq_buf_bytes(&frame), &survey, NULL), JQ_OK);
    assert_int_equal(survey.survey, 9);
    assert_int_equal(survey.epoch, 1000);

    struct jq_survey_answer answer = {.survey = 9, .session = {{1}}, .held_sum = UINT64_MAX, .progress_count = 32};
    for (unsigned i = 0; i < 32; i++)
        answer.progress[i] = (struct jq_survey_progress){{i + 1}, (uint16_t)i, {text, i == 0 ? 0 : sizeof(text)}};
    jq_buf_clear(&frame);
    jq_survey_answer_write(&frame, &answer);
    struct jq_survey_answer read;
    assert_int_equal(jq_survey_answer_read(jq_buf_bytes(&frame), &read, NULL), JQ_OK);
    assert_int_equal(read.held_sum, UINT64_MAX);
    assert_int_equal(read.progress_count, 32);
    assert_int_equal(read.progress[31].task.value, 32);
    assert_int_equal(read.progress[0].text.size, 0);
    assert_int_equal(read.progress[31].text.size, JQ_PROGRESS_TEXT_SIZE_MAX);

    struct jq_error error;
    jq_buf_clear(&frame);
    notation_pack(&frame, "[2, 9, 1000]");
    assert_int_equal(jq_survey_read(jq_buf_bytes(&frame), &survey, &error), JQ_ERR_VERSION);
    assert_string_equal(error.message, "version: 2 is not spoken here, only 1");
    jq_buf_fini(&frame);
}

/* Topics end in a NUL: what is for worker `alpha` is not for `alphabet`. */
static void notices_name_exactly_one(void **state) {
    (void)state;
    struct jq_buf frame, topic;
    jq_buf_init(&frame, 1000);
    jq_buf_init(&topic, 1000);
    jq_notice_write(&frame, &(struct jq_notice){'w', JQ_STR("alphabet"), JQ_STR("command"), {3}});
    jq_notice_topic_write(&topic, 'w', JQ_STR("alpha"));
    assert_true(memcmp(frame.data, topic.data, topic.size) != 0);
    struct jq_notice notice;
    assert_int_equal(jq_notice_read(jq_buf_bytes(&frame), &notice, NULL), JQ_OK);
    assert_true(jq_str_equal(notice.name, JQ_STR("alphabet")) && jq_str_equal(notice.event, JQ_STR("command")));
    assert_int_equal(notice.kind, 'w');
    assert_int_equal(notice.task.value, 3);
    assert_int_equal(jq_notice_read(BYTES('w', '/', 0, 0x80), &notice, NULL), JQ_ERR_PROTOCOL);
    assert_int_equal(jq_notice_read(BYTES('w', '/', 'A', 0, 0x80), &notice, NULL), JQ_ERR_PROTOCOL);
    assert_int_equal(jq_notice_read(BYTES('w', '/', 'a'), &notice, NULL), JQ_ERR_PROTOCOL);
    assert_int_equal(jq_notice_read(BYTES('w', '/', 'a', 0), &notice, NULL), JQ_ERR_PROTOCOL);
    assert_int_equal(jq_notice_read(BYTES('w', '/', 'a', 0, 0x80), &notice, NULL), JQ_ERR_INVALID);
    jq_buf_fini(&frame);
    jq_buf_fini(&topic);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(announced_sizes_are_checked_against_the_frame),
        cmocka_unit_test(only_the_forms_of_the_protocol_pass),
        cmocka_unit_test(large_frames_hold_few_objects),
        cmocka_unit_test(all_formats_come_back),
        cmocka_unit_test(open_lists_get_their_length_at_the_end),
        cmocka_unit_test(faults_name_the_field_and_the_reason),
        cmocka_unit_test(what_is_unknown_is_passed_over),
        cmocka_unit_test(long_paths_are_cut_at_their_inner_end),
        cmocka_unit_test(answers_are_walked_by_views),
        cmocka_unit_test(surveys_go_both_ways),
        cmocka_unit_test(notices_name_exactly_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
