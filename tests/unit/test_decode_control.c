/* The decoder, once more: what it makes of reports that failed, and of what operators ask of dead letters and breakers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/shell/decode.h"
#include "tests/lib/notation.h"

#define SESSION "\"session\": h'101112131415161718191a1b1c1d1e1f'"

struct bench {
    struct jq_decoder *decoder;
    struct jq_request request;
};

static int set_up(void **state) {
    struct bench *bench = calloc(1, sizeof(*bench));
    bench->decoder = jq_decoder_new(NULL);
    *state = bench;
    return bench->decoder ? 0 : 1;
}

static int tear_down(void **state) {
    struct bench *bench = *state;
    jq_decoder_free(bench->decoder);
    free(bench);
    return 0;
}

static enum jq_err decode(struct bench *bench, const char *op, const char *body) {
    char text[1024];
    struct jq_buf frame;
    struct jq_envelope envelope;
    (void)snprintf(text, sizeof(text), "[1, \"%s\", h'000102030405060708090a0b0c0d0e0f', 7, 5, null, %s]", op, body);
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    notation_pack(&frame, text);
    const enum jq_err err = jq_decode_request(bench->decoder, jq_buf_bytes(&frame), &bench->request, &envelope, NULL);
    jq_buf_fini(&frame); /* a request outlives its frame */
    return err;
}

static void expect_refusal(struct bench *bench, enum jq_err err, enum jq_err expected, enum jq_reply status,
                           const char *field, const char *reason) {
    const struct jq_refusal *refusal = jq_decoder_refusal(bench->decoder);
    assert_int_equal(err, expected);
    assert_int_equal(refusal->status, status);
    assert_string_equal(refusal->field ? refusal->field : "", field);
    assert_string_equal(refusal->reason, reason);
}

static void assert_str(struct jq_str text, const char *expected) {
    assert_int_equal(text.size, strlen(expected));
    if (text.size > 0) {
        assert_memory_equal(text.data, expected, text.size);
    }
}

/* What is kept in memory of a failure is one clean line: the message, and the last line of stderr that says something. */
static void error_text_is_one_short_line(void **state) {
    static const struct {
        const char *detail, *error, *service;
    } cases[] = {
        {"{}", "", ""},
        {"{\"message\": \" no such file \"}", "no such file", ""},
        {"{\"message\": \"exit 1\", \"stderr\": h'610a4f43432062726f6b650a200a'}", "exit 1: OCC broke", ""},
        {"{\"stderr\": h'1b5b306d00ff'}", "?[0m??", ""},
        {"{\"message\": \"down\", \"service\": \"SMTP:example.org\"}", "down", "smtp_example.org"},
    };
    struct bench *bench = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[512];
        snprintf(body, sizeof(body), "{" SESSION ", \"reports\": [[1, 2, 5, false, %s]]}", cases[i].detail);
        assert_int_equal(decode(bench, "report", body), JQ_OK);
        assert_str(bench->request.u.lease.reports[0].error, cases[i].error);
        assert_str(bench->request.u.lease.reports[0].service, cases[i].service);
    }
}

/* It is cut at a whole character; a success has none. */
static void error_text_is_cut_at_a_character(void **state) {
    struct bench *bench = *state;
    char message[JQ_ERROR_TEXT_SIZE_MAX + 8], body[512];
    memset(message, 'x', sizeof(message));
    memcpy(message + JQ_ERROR_TEXT_SIZE_MAX - 1, "\xc3\xa9", 3);
    snprintf(body, sizeof(body),
             "{" SESSION
             ", \"reports\": [[1, 2, 4, false, {\"message\": \"%s\"}], [3, 4, 1, false, {\"message\": \"m\"}]]}",
             message);
    assert_int_equal(decode(bench, "report", body), JQ_OK);
    assert_int_equal(bench->request.u.lease.reports[0].error.size, JQ_ERROR_TEXT_SIZE_MAX - 1);
    assert_int_equal(bench->request.u.lease.reports[1].error.size, 0);
}

/* What is changed of a dead letter is told field by field; payload and headers go together. */
static void an_edit_says_what_it_gives(void **state) {
    struct bench *bench = *state;
    assert_int_equal(
        decode(bench, "dead.edit",
               "{\"id\": 7, \"version\": 4096, \"queue\": \"cad.b\", \"priority\": 0, \"need\": \"mem=1024M\","
               " \"headers\": {\"a\": \"b\"}, \"retry\": {\"cap_ms\": 9}}"),
        JQ_OK);
    const struct jq_request *request = &bench->request;
    assert_int_equal(request->u.edit.id.value, 7);
    assert_int_equal(request->u.edit.version, 4096);
    assert_int_equal(request->u.edit.given,
                     JQ_EDIT_QUEUE | JQ_EDIT_PRIORITY | JQ_EDIT_NEED | JQ_EDIT_BODY | JQ_EDIT_RETRY_CAP);
    assert_str(request->u.edit.item.queue, "cad.b");
    assert_str(request->u.edit.item.need, "mem=1G");
    assert_int_equal(request->u.edit.item.retry_cap_ms, 9);
    assert_int_equal(request->u.edit.item.body.data[0], 0xc0); /* no payload */
    assert_int_equal(decode(bench, "dead.edit", "{\"id\": 7}"), JQ_OK);
    assert_int_equal(bench->request.u.edit.given, 0);
    assert_int_equal(decode(bench, "dead.edit", "{\"id\": 7, \"need\": \"mem=1X\"}"), JQ_ERR_INVALID);
    assert_int_equal(jq_decoder_refusal(bench->decoder)->status, JQ_REPLY_INVALID);
    assert_string_equal(jq_decoder_refusal(bench->decoder)->field, "need");
    assert_int_equal(decode(bench, "dead.replay", "{\"ids\": [7], \"interval_us\": 100000}"), JQ_OK);
    assert_int_equal(bench->request.u.tasks.interval_us, 100000);
    expect_refusal(bench, decode(bench, "dead.replay", "{\"ids\": [7], \"interval_us\": 0}"), JQ_ERR_INVALID,
                   JQ_REPLY_INVALID, "interval_us", "0 is below 1");
}

/* A breaker is named by what it is of and whose it is. */
static void a_breaker_is_named_by_kind_and_name(void **state) {
    static const char bad_kind[] = "a breaker is handler:NAME, worker:NAME or service:NAME";
    struct bench *bench = *state;
    assert_int_equal(decode(bench, "breaker.trip", "{\"name\": \"service:smtp\", \"for_ms\": 5}"), JQ_OK);
    assert_int_equal(bench->request.u.breaker.kind, JQ_BREAKER_SERVICE);
    assert_str(bench->request.u.breaker.name, "smtp");
    assert_int_equal(bench->request.u.breaker.for_ms, 5);
    assert_int_equal(decode(bench, "breaker.ls", "{\"not_closed\": true}"), JQ_OK);
    assert_true(bench->request.u.breaker.not_closed);
    expect_refusal(bench, decode(bench, "breaker.reset", "{\"name\": \"smtp\"}"), JQ_ERR_INVALID, JQ_REPLY_INVALID,
                   "name", bad_kind);
    expect_refusal(bench, decode(bench, "breaker.reset", "{\"name\": \"queue:smtp\"}"), JQ_ERR_INVALID,
                   JQ_REPLY_INVALID, "name", bad_kind);
    expect_refusal(bench, decode(bench, "breaker.show", "{\"name\": \"handler:A b\"}"), JQ_ERR_INVALID,
                   JQ_REPLY_INVALID, "name", "'A b' is not a name: [a-z0-9_.-]{1,64}");
    expect_refusal(bench, decode(bench, "breaker.show", "{\"name\": \"handler:\"}"), JQ_ERR_INVALID, JQ_REPLY_INVALID,
                   "name", "'' is not a name: [a-z0-9_.-]{1,64}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_text_is_one_short_line),
        cmocka_unit_test(error_text_is_cut_at_a_character),
        cmocka_unit_test(an_edit_says_what_it_gives),
        cmocka_unit_test(a_breaker_is_named_by_kind_and_name),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
