#include "broker/shell/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/codec.h"
#include "common/codec_survey.h"
#include "common/rng.h"
#include "tests/lib/decode_bench.h"
#include "tests/lib/examples.h"
#include "tests/lib/notation.h"

static int set_up(void **state) {
    return bench_make(state, 10 * JQ_FRAME_SIZE_MAX);
}

static enum jq_err decode_frame(struct bench *bench) {
    return jq_decode_request(bench->decoder, jq_buf_bytes(&bench->frame), &bench->request, &bench->envelope,
                             &bench->error);
}

static enum jq_err decode_text(struct bench *bench, const char *text) {
    jq_buf_clear(&bench->frame);
    notation_pack(&bench->frame, text);
    const enum jq_err err = decode_frame(bench);
    /* A request outlives its frame. */
    memset(bench->frame.data, 0xc1, bench->frame.size);
    return err;
}

static enum jq_err decode(struct bench *bench, const char *op, const char *body) {
    static char text[4096];
    snprintf(text, sizeof(text), "[1, \"%s\", h'000102030405060708090a0b0c0d0e0f', 7, 5, \"secret\", %s]", op, body);
    return decode_text(bench, text);
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
    if (text.size > 0)
        assert_memory_equal(text.data, expected, text.size);
}

/* The numbers and names of the table are those of the core: what a client asks is what the core is asked. */
static void ops_are_those_of_the_core(void **state) {
    (void)state;
    static const char *const names[] = {
#define CORE_OP(op, value, text) [value] = (text),
        JQ_OP_LIST(CORE_OP)
#undef CORE_OP
    };
    assert_int_equal(jq_ops_count, JQ_OP_END);
    for (int op = JQ_OP_SUBMIT; op < JQ_OP_END; op++)
        assert_string_equal(jq_ops[op].name, names[op]);
}

/* Whatever the body is about, the envelope says who asks, and for the how-manieth time. */
static void the_envelope_names_sender_and_request(void **state) {
    struct bench *bench = *state;
    assert_int_equal(decode(bench, "server.status", "{}"), JQ_OK);
    assert_int_equal(bench->request.op, JQ_OP_SERVER_STATUS);
    assert_int_equal(bench->request.id, 7);
    assert_int_equal(bench->request.done, 5);
    assert_int_equal(bench->request.sender.bytes[15], 15);
    assert_int_equal(bench->request.call, 0);
    assert_str(bench->envelope.token, "secret");
    assert_int_equal(bench->envelope.op->role, JQ_ROLE_OBSERVER);

    assert_int_equal(decode(bench, "hello", "{\"name\": \"x\", \"version\": \"9\", \"capabilities\": [\"a\"]}"), JQ_OK);
    assert_int_equal(bench->request.op, JQ_OP_NONE);
    assert_str(bench->envelope.peer_name, "x");
    assert_str(bench->envelope.peer_version, "9");
}

struct bad_frame {
    const char *text;
    uint64_t request;
    const char *field, *reason;
};

/* What is no request of ours is refused by name, and with its id where there is one to read. */
static void bad_envelopes_are_refused_by_name(void **state) {
    struct bench *bench = *state;
    static const struct bad_frame cases[] = {
        {"{}", 0, "frame", "not the array of a request"},
        {"[]", 0, "frame", "not the array of a request"},
        {"[1]", 0, "op", "missing"},
        {"[2, 5, 6, 77]", 77, "version", "2 is not spoken here, only 1"},
        {"[\"1\"]", 0, "version", "a str, not uint"},
        {"[1, \"x\", h'00', 8, 8, null, {}]", 8, "sender", "1 bytes, not 16"},
        {"[1, \"nope\", h'000102030405060708090a0b0c0d0e0f', 8, 8, null, {}]", 8, "op",
         "'nope' is none of this protocol"},
        {"[1, \"wait\", h'000102030405060708090a0b0c0d0e0f', 8, 9, null, {}]", 8, "done",
         "9 is above the request's id, 8"},
        {"[1, \"wait\", h'000102030405060708090a0b0c0d0e0f', 0, 0, null, {}]", 0, "id", "0 is below 1"},
        {"[1, \"wait\", h'000102030405060708090a0b0c0d0e0f', 8, 8, 5, {}]", 8, "token", "a uint, not str"},
        {"[1, \"wait\", h'000102030405060708090a0b0c0d0e0f', 8, 8, null]", 8, "body", "missing"},
        {"[1, \"wait\", h'000102030405060708090a0b0c0d0e0f', 8, 8, null, []]", 8, "body", "an array, not map"},
        {"[1, \"wait\", h'000102030405060708090a0b0c0d0e0f', 8, 8, null, {}]", 8, "ids", "missing"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_refusal(bench, decode_text(bench, cases[i].text), JQ_ERR_INVALID, JQ_REPLY_INVALID, cases[i].field,
                       cases[i].reason);
        assert_int_equal(jq_decoder_refusal(bench->decoder)->request, cases[i].request);
    }
    jq_buf_clear(&bench->frame);
    jq_buf_append_u8(&bench->frame, 0xc1);
    expect_refusal(bench, decode_frame(bench), JQ_ERR_PROTOCOL, JQ_REPLY_INVALID, "frame",
                   "byte 1: a type that the protocol does not use");
    assert_string_equal(bench->error.message, "frame: byte 1: a type that the protocol does not use");
    jq_buf_room(&bench->frame, JQ_FRAME_SIZE_MAX);
    bench->frame.size = JQ_FRAME_SIZE_MAX + 1;
    expect_refusal(bench, decode_frame(bench), JQ_ERR_TOO_BIG, JQ_REPLY_TOO_BIG, "frame", "65537 bytes, at most 65536");
    bench->frame.size = 0;
    expect_refusal(bench, decode_frame(bench), JQ_ERR_PROTOCOL, JQ_REPLY_INVALID, "frame", "empty");
}

/* What a task does not say is what jqbroker.conf says, and its body is payload and headers, nil for none. */
static void a_task_gets_its_defaults(void **state) {
    struct bench *bench = *state;
    assert_int_equal(decode(bench, "submit", "{\"tasks\": [{\"handler\": \"zip\"}]}"), JQ_OK);
    assert_int_equal(bench->request.u.submit.count, 1);
    const struct jq_submit_item *item = &bench->request.u.submit.items[0];
    assert_int_equal(item->refused, JQ_REPLY_OK);
    assert_str(item->handler, "zip");
    assert_str(item->queue, "default");
    assert_str(item->need, "");
    assert_str(item->key, "");
    assert_int_equal(item->priority, 5);
    assert_int_equal(item->retry_max, 3);
    assert_int_equal(item->retry_base_ms, 1000);
    assert_int_equal(item->retry_cap_ms, 600000);
    assert_int_equal(item->result_ttl_ms, 86400000);
    assert_int_equal(item->delay_ms | item->eta_wall_ms | item->expires_wall_ms, 0);
    assert_int_equal(item->soft_limit_ms | item->hard_limit_ms, 0);
    assert_int_equal(item->body.size, 2);
    assert_memory_equal(item->body.data, "\xc0\xc0", 2);
}

/* Everything that a task says arrives, its need in the canonical form that makes equal needs one class. */
static void a_task_arrives_whole(void **state) {
    struct bench *bench = *state;
    assert_int_equal(decode(bench, "submit",
                            "{\"tasks\": [{\"headers\": {\"a\": \"b\"}, \"handler\": \"zip\", \"queue\": \"q\","
                            " \"payload\": h'010203', \"priority\": 9, \"eta_ms\": 1700000000000,"
                            " \"expires_ms\": 1800000000000, \"need\": \"memory=1024M  cpu=0.50\", \"key\": \"k\","
                            " \"want\": \"  zone==lab1:50 memory:-7\","
                            " \"retry\": {\"max\": 0, \"cap_ms\": 7}, \"soft_limit_ms\": 5, \"hard_limit_ms\": 6,"
                            " \"result_ttl_ms\": 0}]}"),
                     JQ_OK);
    const struct jq_submit_item *item = &bench->request.u.submit.items[0];
    assert_int_equal(item->refused, JQ_REPLY_OK);
    assert_str(item->queue, "q");
    assert_str(item->need, "cpu=0.5 mem=1G");
    assert_str(item->want, "zone==lab1:50 mem:-7");
    assert_str(item->key, "k");
    assert_int_equal(item->priority, 9);
    assert_int_equal(item->eta_wall_ms, INT64_C(1700000000000));
    assert_int_equal(item->expires_wall_ms, INT64_C(1800000000000));
    assert_int_equal(item->retry_max, 0);
    assert_int_equal(item->retry_base_ms, 1000);
    assert_int_equal(item->retry_cap_ms, 7);
    assert_int_equal(item->soft_limit_ms, 5);
    assert_int_equal(item->hard_limit_ms, 6);
    assert_int_equal(item->result_ttl_ms, 0);
    assert_int_equal(item->body.size, 10);
    assert_memory_equal(item->body.data,
                        "\xc4\x03\x01\x02\x03\x81\xa1"
                        "a\xa1"
                        "b",
                        10);
}

struct bad_task {
    const char *task;
    enum jq_reply status;
    const char *field, *reason;
};

/* In a batch every task has its own verdict: a bad one is named, and its neighbours are taken. */
static void a_bad_task_does_not_refuse_its_neighbours(void **state) {
    struct bench *bench = *state;
    static const struct bad_task cases[] = {
        {"7", JQ_REPLY_INVALID, "", "a uint, not a map"},
        {"{}", JQ_REPLY_INVALID, "handler", "missing"},
        {"{\"handler\": \"h\", \"need\": \"mem=1X\"}", JQ_REPLY_INVALID, "need",
         "column 5: quantity of mem: unknown unit 'X' (k, M, G or T)"},
        {"{\"handler\": \"h\", \"retry\": {\"max\": 1001}}", JQ_REPLY_INVALID, "retry.max", "1001 is above 255"},
        {"{\"handler\": \"h\", \"retry\": []}", JQ_REPLY_INVALID, "retry", "an array, not map"},
        {"{\"handler\": \"h\", \"want\": \"gpu:101\"}", JQ_REPLY_INVALID, "want",
         "column 5: the weight is not a number from -100 to 100"},
        {"{\"handler\": \"h\", \"after\": [0]}", JQ_REPLY_INVALID, "after[0]", "0 is below 1"},
        {"{\"handler\": \"h\", \"after\": [1], \"on\": \"failure\"}", JQ_REPLY_INVALID, "on",
         "'failure' is not succeeded, finished or failed"},
        {"{\"handler\": \"h\", \"unique\": \"throttle\"}", JQ_REPLY_INVALID, "unique", "given without key"},
        {"{\"handler\": \"h\", \"key\": \"k\", \"unique\": \"once\"}", JQ_REPLY_INVALID, "unique",
         "'once' is none of none, while_queued, until_done, throttle, debounce"},
        {"{\"handler\": \"h\", \"key\": \"k\", \"unique\": \"throttle\"}", JQ_REPLY_INVALID, "unique_ms", "missing"},
        {"{\"handler\": \"h\", \"key\": \"k\", \"unique\": \"until_done\", \"unique_ms\": 5}", JQ_REPLY_INVALID,
         "unique_ms", "only throttle and debounce have one"},
        {"{\"handler\": \"h\", \"key\": \"k\", \"unique\": \"debounce\", \"unique_ms\": 5, \"delay_ms\": 1}",
         JQ_REPLY_INVALID, "unique",
         "debounce says itself when the task starts: no delay_ms, eta_ms or after beside it"},
        {"{\"handler\": \"h\", \"delay_ms\": 5, \"eta_ms\": 6}", JQ_REPLY_INVALID, "eta_ms",
         "given together with delay_ms"},
        {"{\"handler\": \"h\", \"soft_limit_ms\": 7, \"hard_limit_ms\": 6}", JQ_REPLY_INVALID, "soft_limit_ms",
         "7 is above hard_limit_ms, 6"},
        {"{\"handler\": \"h\", \"queue\": \"a b\"}", JQ_REPLY_INVALID, "queue",
         "not a name (1 to 64 of a-z 0-9 _ . -)"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[512];
        snprintf(body, sizeof(body),
                 "{\"tasks\": [{\"handler\": \"a\", \"payload\": h'01'}, %s, {\"handler\": \"b\"}]}", cases[i].task);
        assert_int_equal(decode(bench, "submit", body), JQ_OK);
        const struct jq_submit_item *items = bench->request.u.submit.items;
        assert_int_equal(bench->request.u.submit.count, 3);
        assert_int_equal(items[0].refused, JQ_REPLY_OK);
        assert_str(items[0].handler, "a");
        assert_memory_equal(items[0].body.data, "\xc4\x01\x01\xc0", 4);
        assert_int_equal(items[1].refused, cases[i].status);
        assert_string_equal(items[1].field ? items[1].field : "", cases[i].field);
        assert_string_equal(items[1].reason, cases[i].reason);
        assert_int_equal(items[2].refused, JQ_REPLY_OK);
        assert_str(items[2].handler, "b");
    }
}

/* One task with `payload` bytes of payload and a header of `header` bytes (0: none). */
static void pack_large_task(struct bench *bench, size_t payload, size_t header) {
    static char bytes[JQ_FRAME_SIZE_MAX];
    jq_buf_clear(&bench->frame);
    notation_pack(&bench->frame, "[1, \"submit\", h'000102030405060708090a0b0c0d0e0f', 7, 5, null, 0]");
    bench->frame.size--;
    struct jq_pack pack = jq_pack_of(&bench->frame);
    jq_pack_map(&pack, 1);
    jq_pack_key(&pack, &jq_message_submit, JQ_AT_SUBMIT_TASKS);
    jq_pack_array(&pack, 1);
    jq_pack_map(&pack, header > 0 ? 3 : 2);
    jq_pack_field_str(&pack, &jq_message_task, JQ_AT_TASK_HANDLER, JQ_STR("h"));
    jq_pack_field_bin(&pack, &jq_message_task, JQ_AT_TASK_PAYLOAD,
                      (struct jq_bytes){(const uint8_t *)memset(bytes, 'x', sizeof(bytes)), payload});
    if (header > 0) {
        jq_pack_key(&pack, &jq_message_task, JQ_AT_TASK_HEADERS);
        jq_pack_map(&pack, 1);
        jq_pack_str(&pack, JQ_STR("h"));
        jq_pack_str(&pack, (struct jq_str){bytes, header});
    }
}

/* Sizes are bounded, one byte sharp, and what is too big is told with its limit. */
static void a_task_too_big_names_its_limit(void **state) {
    struct bench *bench = *state;
    const struct jq_submit_item *item;
    pack_large_task(bench, JQ_PAYLOAD_SIZE_MAX, 8192 - 6);
    assert_int_equal(decode_frame(bench), JQ_OK);
    item = &bench->request.u.submit.items[0];
    assert_int_equal(item->refused, JQ_REPLY_TOO_BIG); /* 48 and 8 KiB, and a few bytes. */
    assert_string_equal(item->reason, "the task has 57355 bytes, at most 57344");

    pack_large_task(bench, JQ_PAYLOAD_SIZE_MAX, 8000);
    assert_int_equal(decode_frame(bench), JQ_OK);
    item = &bench->request.u.submit.items[0];
    assert_int_equal(item->refused, JQ_REPLY_OK);
    assert_int_equal(item->body.size, JQ_PAYLOAD_SIZE_MAX + 3 + 8000 + 6);

    pack_large_task(bench, JQ_PAYLOAD_SIZE_MAX + 1, 0);
    assert_int_equal(decode_frame(bench), JQ_OK);
    item = &bench->request.u.submit.items[0];
    assert_int_equal(item->refused, JQ_REPLY_TOO_BIG);
    assert_string_equal(item->field, "payload");
    assert_string_equal(item->reason, "49153 bytes, at most 49152");

    pack_large_task(bench, 0, 8192 - 5);
    assert_int_equal(decode_frame(bench), JQ_OK);
    item = &bench->request.u.submit.items[0];
    assert_int_equal(item->refused, JQ_REPLY_TOO_BIG);
    assert_string_equal(item->field, "headers");
    assert_string_equal(item->reason, "8193 bytes, at most 8192");
}

/* A batch is bounded too: the request as a whole is refused, for nothing of it was looked at. */
static void too_many_tasks_refuse_the_request(void **state) {
    struct bench *bench = *state;
    jq_buf_clear(&bench->frame);
    notation_pack(&bench->frame, "[1, \"submit\", h'000102030405060708090a0b0c0d0e0f', 7, 5, null, 0]");
    bench->frame.size--;
    struct jq_pack pack = jq_pack_of(&bench->frame);
    jq_pack_map(&pack, 1);
    jq_pack_key(&pack, &jq_message_submit, JQ_AT_SUBMIT_TASKS);
    jq_pack_array(&pack, JQ_SUBMIT_COUNT_MAX + 1);
    for (int i = 0; i <= JQ_SUBMIT_COUNT_MAX; i++)
        jq_pack_nil(&pack);
    expect_refusal(bench, decode_frame(bench), JQ_ERR_TOO_BIG, JQ_REPLY_TOO_BIG, "tasks", "1001 entries, at most 1000");
    expect_refusal(bench, decode(bench, "submit", "{\"tasks\": []}"), JQ_ERR_INVALID, JQ_REPLY_INVALID, "tasks",
                   "0 entries, at least 1");
}

/* A batch of needs costs a parse for each text that was not among the last few, and gets the right one each time. */
static void needs_are_not_mixed_up(void **state) {
    struct bench *bench = *state;
    for (int round = 0; round < 3; round++) {
        struct jq_buf body;
        jq_buf_init(&body, 4096);
        jq_buf_append_format(&body, "{\"tasks\": [{\"handler\": \"h\", \"need\": \"cpu=1\"}, ");
        for (int i = 0; i < 12; i++)
            jq_buf_append_format(&body, "%s{\"handler\": \"h\", \"need\": \"cpu=1 mem=%dM\"}", i > 0 ? ", " : "",
                                 1 + i % 6);
        jq_buf_append(&body, "]}", sizeof("]}"));
        assert_int_equal(decode(bench, "submit", (const char *)body.data), JQ_OK);
        for (int i = 0; i < 12; i++) {
            char need[32];
            snprintf(need, sizeof(need), "cpu=1 mem=%dM", 1 + i % 6);
            assert_str(bench->request.u.submit.items[i + 1].need, need);
        }
        jq_buf_fini(&body);
    }
}

/* A worker arrives with what it offers, under canonical names. */
static void a_registration_arrives_whole(void **state) {
    struct bench *bench = *state;
    assert_int_equal(decode(bench, "register",
                            "{\"id\": h'101112131415161718191a1b1c1d1e1f', \"name\": \"w\", \"incarnation\": 99,"
                            " \"offers\": {\"memory\": 4000, \"cpu\": 2000}, \"facts\": {\"os\": \"linux x\"},"
                            " \"units\": {\"cpu\": [7, 65535]}, \"accept\": [\"memory\"],"
                            " \"handlers\": [{\"name\": \"h\", \"need\": \"memory=1\", \"pure\": true},"
                            " {\"name\": \"i\", \"version\": \"2\", \"soft_limit_ms\": 1, \"hard_limit_ms\": 2}]}"),
                     JQ_OK);
    assert_int_equal(bench->request.u.reg.incarnation, 99);
    assert_int_equal(bench->request.u.reg.id.bytes[0], 0x10);
    assert_int_equal(bench->request.u.reg.offer_count, 2);
    assert_str(bench->request.u.reg.offers[0].name, "mem");
    assert_int_equal(bench->request.u.reg.offers[0].amount, 4000);
    assert_int_equal(bench->request.u.reg.unit_count, 1);
    assert_str(bench->request.u.reg.units[0].name, "cpu");
    assert_int_equal(bench->request.u.reg.units[0].count, 2);
    assert_int_equal(bench->request.u.reg.units[0].indexes[1], 65535);
    assert_int_equal(bench->request.u.reg.accept_count, 1);
    assert_str(bench->request.u.reg.accept[0], "mem");
    assert_int_equal(bench->request.u.reg.fact_count, 1);
    assert_str(bench->request.u.reg.facts[0].value, "linux x");
    assert_int_equal(bench->request.u.reg.handler_count, 2);
    assert_str(bench->request.u.reg.handlers[0].need, "mem=1");
    assert_true(bench->request.u.reg.handlers[0].pure);
    assert_str(bench->request.u.reg.handlers[1].version, "2");
    assert_int_equal(bench->request.u.reg.handlers[1].hard_limit_ms, 2);
}

struct bad_body {
    const char *op, *body, *field, *reason;
};

#define WORKER  "\"id\": h'101112131415161718191a1b1c1d1e1f', \"name\": \"w\", \"incarnation\": 1"
#define SESSION "\"session\": h'101112131415161718191a1b1c1d1e1f'"

/* A fault deep in a message is told with the whole way to it. */
static void faults_are_told_with_their_path(void **state) {
    struct bench *bench = *state;
    static const struct bad_body cases[] = {
        {"register", "{" WORKER ", \"handlers\": [{\"name\": \"h\"}, {\"name\": \"i\", \"need\": \"cpu=\"}]}",
         "handlers[1].need", "column 5: quantity of cpu: not a number"},
        {"register", "{" WORKER ", \"handlers\": [{\"name\": \"h\"}, {\"name\": \"h\"}]}", "handlers[1].name",
         "'h' stands twice"},
        {"register", "{" WORKER ", \"handlers\": [], \"offers\": {\"mem\": 1, \"memory\": 1}}", "offers", NULL},
        {"register", "{" WORKER ", \"handlers\": [], \"offers\": {\"gpu\": 3000}, \"units\": {\"gpu\": [0, 1]}}",
         "offers", NULL},
        {"register", "{" WORKER ", \"handlers\": [], \"offers\": {\"gpu\": 2000}, \"units\": {\"gpu\": [1, 1]}}",
         "offers", NULL},
        {"register", "{" WORKER ", \"handlers\": [], \"offers\": {\"gpu\": 1000}, \"units\": {\"gpu\": [65536]}}",
         "units", "gpu: not a list of 1 to 64 numbers, each up to 65535"},
        {"register", "{" WORKER ", \"handlers\": [], \"units\": {\"gpu\": [0]}}", "units",
         "'gpu' is not offered, or stands twice"},
        {"register", "{" WORKER ", \"handlers\": [], \"accept\": [\"gpu\"]}", "accept", "'gpu' is not offered"},
        {"register", "{" WORKER ", \"handlers\": [], \"facts\": {\"os\": \"\"}}", "facts", NULL},
        {"register", "{" WORKER ", \"handlers\": [], \"facts\": {\"O S\": \"x\"}}", "facts", NULL},
        {"lease", "{" SESSION ", \"want\": 1, \"reports\": [[1, 2, 1, false], [1, 2, 7, false]]}", "reports[1].outcome",
         "lost is for the broker to say"},
        {"lease", "{" SESSION ", \"want\": 1, \"reports\": [[1, 2, 1, false, {\"exit\": 256}]]}",
         "reports[0].detail.exit", "256 is above 255"},
        {"lease", "{" SESSION ", \"want\": 1, \"held\": [[1, 2], [3]]}", "held[1].token", "missing"},
        {"report", "{" SESSION ", \"reports\": [5]}", "reports[0]", "a uint, not an array"},
        {"task.ls", "{\"states\": [\"ready\", \"asleep\"]}", "states", "'asleep' is not a state"},
        {"task.ls", "{\"limit\": 0}", "limit", "0 is below 1"},
        {"queue.set", "{\"name\": \"../q\", \"paused\": true}", "name", "not a name (1 to 64 of a-z 0-9 _ . -)"},
        {"limit.set", "{\"scope\": \"queue:q\"}", "concurrency", "neither it nor a rate is given"},
        {"limit.set", "{\"scope\": \"queue:q\", \"concurrency\": 0}", "concurrency", "0 is below 1"},
        {"limit.set", "{\"scope\": \"queue:q\", \"rate\": \"0/s\"}", "rate",
         "\"0/s\": a rate of zero lets nothing run; pause the queue instead"},
        {"limit.set", "{\"scope\": \"all\", \"concurrency\": 1}", "scope",
         "\"all\" is none of queue:NAME, handler:NAME, group:QUEUE/NAME, group:QUEUE/*"},
        {"limit.set", "{\"scope\": \"queue:q\", \"concurrency\": 1, \"burst\": 2}", "burst", "given without a rate"},
        {"limit.rm", "{\"scope\": \"group:q\"}", "scope", "\"group:q\" lacks the / between queue and group"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(decode(bench, cases[i].op, cases[i].body), JQ_ERR_INVALID);
        const struct jq_refusal *refusal = jq_decoder_refusal(bench->decoder);
        assert_string_equal(refusal->field, cases[i].field);
        if (cases[i].reason)
            assert_string_equal(refusal->reason, cases[i].reason);
        assert_int_equal(refusal->request, 7);
    }
    expect_refusal(bench,
                   decode(bench, "register", "{" WORKER ", \"handlers\": [{\"name\": \"h\", \"need\": \"a|b|c\"}]}"),
                   JQ_ERR_TOO_BIG, JQ_REPLY_TOO_BIG, "handlers[0].need", "3 alternatives, a handler has at most 2");
}

/* What a task does not say is the broker's to say; what it says counts. */
static void what_a_task_leaves_open_is_the_brokers(void **state) {
    struct bench *bench = *state;
    const struct jq_decode_config config = {
        .retry_max = 9, .retry_base_ms = 20, .retry_cap_ms = 300, .result_ttl_ms = 4000, .wait_ms_max = 50};
    jq_decoder_free(bench->decoder);
    bench->decoder = jq_decoder_new(&config);
    assert_int_equal(decode(bench, "submit",
                            "{\"tasks\": [{\"handler\": \"h\"}, {\"handler\": \"h\", "
                            "\"retry\": {\"cap_ms\": 7}, \"result_ttl_ms\": 5}]}"),
                     JQ_OK);
    const struct jq_submit_item *items = bench->request.u.submit.items;
    assert_int_equal(items[0].retry_max, 9);
    assert_int_equal(items[0].retry_base_ms, 20);
    assert_int_equal(items[0].retry_cap_ms, 300);
    assert_int_equal(items[0].result_ttl_ms, 4000);
    assert_int_equal(items[1].retry_max, 9);
    assert_int_equal(items[1].retry_cap_ms, 7);
    assert_int_equal(items[1].result_ttl_ms, 5);
    assert_int_equal(decode(bench, "wait", "{\"ids\": [1], \"wait_ms\": 1000}"), JQ_OK);
    assert_int_equal(bench->request.u.wait.wait_ms, 50);
    jq_decoder_free(bench->decoder);
    bench->decoder = jq_decoder_new(NULL);
}

/* Wishes beyond the protocol's limits are cut, not refused: a worker may ask for more than is ever given. */
static void a_lease_is_cut_to_the_limits(void **state) {
    struct bench *bench = *state;
    assert_int_equal(decode(bench, "lease",
                            "{" SESSION ", \"want\": 100000, \"wait_ms\": 3600000, \"free\": {\"memory\": 5},"
                            " \"reports\": [[1, 2, 1, false], [3, 4, 6, true, {}]]}"),
                     JQ_OK);
    assert_int_equal(bench->request.u.lease.want, JQ_LEASE_COUNT_MAX);
    assert_int_equal(bench->request.u.lease.wait_ms, JQ_WAIT_MS_MAX);
    assert_int_equal(bench->request.u.lease.bytes_max,
                     JQ_FRAME_SIZE_MAX - JQ_LEASE_REPLY_OVERHEAD - 2 * JQ_VERDICT_SIZE_MAX);
    assert_str(bench->request.u.lease.free[0].name, "mem");
    assert_int_equal(bench->request.u.lease.report_count, 2);
    assert_int_equal(bench->request.u.lease.reports[1].outcome, JQ_OUTCOME_TIMEOUT);
    assert_true(bench->request.u.lease.reports[1].crashed);
    assert_int_equal(bench->request.u.lease.reports[1].body.size, 0);
    assert_false(bench->request.u.lease.held_given);

    assert_int_equal(decode(bench, "lease", "{" SESSION ", \"want\": 2, \"bytes_max\": 900, \"held\": []}"), JQ_OK);
    assert_int_equal(bench->request.u.lease.want, 2);
    assert_int_equal(bench->request.u.lease.wait_ms, 0);
    assert_int_equal(bench->request.u.lease.bytes_max, 900);
    assert_true(bench->request.u.lease.held_given);
    assert_int_equal(bench->request.u.lease.held_count, 0);
}

/* Of a report's detail we keep what we know, in our order: the journal holds nothing that a worker made up. */
static void a_detail_is_kept_without_what_is_unknown(void **state) {
    struct bench *bench = *state;
    assert_int_equal(decode(bench, "report",
                            "{" SESSION ", \"reports\": [[1, 2, 4, true, {\"colour\": {\"a\": [1]}, \"message\": \"m\","
                            " \"exit\": 3, \"stdout\": h'00'}], [1, 2, 1, false, {\"colour\": 1}]]}"),
                     JQ_OK);
    const struct jq_report *reports = bench->request.u.lease.reports;
    struct jq_buf expected;
    jq_buf_init(&expected, 1000);
    notation_pack(&expected, "{\"exit\": 3, \"message\": \"m\", \"stdout\": h'00'}");
    assert_int_equal(reports[0].body.size, expected.size);
    assert_memory_equal(reports[0].body.data, expected.data, expected.size);
    assert_int_equal(reports[1].body.size, 0);
    jq_buf_fini(&expected);
}

/* The small requests. */
static void the_other_requests_arrive(void **state) {
    struct bench *bench = *state;
    assert_int_equal(decode(bench, "wait", "{\"ids\": [5, 72057594037927937], \"wait_ms\": 3}"), JQ_OK);
    assert_int_equal(bench->request.u.wait.count, 2);
    assert_int_equal(bench->request.u.wait.ids[1].value, UINT64_C(72057594037927937));
    assert_int_equal(bench->request.u.wait.wait_ms, 3);
    assert_int_equal(decode(bench, "task.ls", "{\"after\": 4, \"handler\": \"h\", \"states\": [\"dead\"]}"), JQ_OK);
    assert_int_equal(bench->request.u.list.after.value, 4);
    assert_int_equal(bench->request.u.list.limit, 100);
    assert_int_equal(bench->request.u.list.states, 1U << JQ_STATE_DEAD);
    assert_str(bench->request.u.list.handler, "h");
    assert_str(bench->request.u.list.queue, "");
    assert_int_equal(decode(bench, "task.cancel", "{\"ids\": [9]}"), JQ_OK);
    assert_int_equal(bench->request.u.tasks.ids[0].value, 9);
    assert_int_equal(bench->request.u.tasks.grace_ms, JQ_GRACE_MS_DEFAULT);
    assert_int_equal(decode(bench, "task.explain", "{\"id\": 9}"), JQ_OK);
    assert_int_equal(bench->request.u.task.id.value, 9);
    assert_int_equal(decode(bench, "worker.drain", "{\"name\": \"w\", \"draining\": true}"), JQ_OK);
    assert_str(bench->request.u.named.name, "w");
    assert_true(bench->request.u.named.on);
    assert_int_equal(decode(bench, "queue.ls", "{}"), JQ_OK);
    assert_int_equal(bench->request.u.named.name.size, 0);
}

/* A worker's answer to a survey becomes the core's event, and outlives its frame. */
static void survey_responses_arrive(void **state) {
    struct bench *bench = *state;
    const struct jq_survey_answer answer = {
        .survey = 4, .session = {{9}}, .held_count = 2, .progress = {{{5}, 700, JQ_STR("half")}}, .progress_count = 1};
    struct jq_survey_response response;
    jq_buf_clear(&bench->frame);
    jq_survey_answer_write(&bench->frame, &answer);
    assert_int_equal(jq_decode_survey_response(bench->decoder, jq_buf_bytes(&bench->frame), &response, &bench->error),
                     JQ_OK);
    memset(bench->frame.data, 0, bench->frame.size);
    assert_int_equal(response.survey, 4);
    assert_int_equal(response.session.bytes[0], 9);
    assert_int_equal(response.held_count, 2);
    assert_int_equal(response.progress_count, 1);
    assert_int_equal(response.progress[0].permille, 700);
    assert_str(response.progress[0].text, "half");
    jq_buf_clear(&bench->frame);
    notation_pack(&bench->frame, "[1, 4, h'00']");
    assert_int_equal(jq_decode_survey_response(bench->decoder, jq_buf_bytes(&bench->frame), &response, &bench->error),
                     JQ_ERR_INVALID);
    assert_string_equal(bench->error.message, "session: 1 bytes, not 16");
}

static uint64_t touch_str(struct jq_str text) {
    uint64_t sum = text.size;
    for (size_t i = 0; i < text.size; i++)
        sum += (uint8_t)text.data[i];
    return sum;
}

/* Reads everything that a request points to: under the address sanitizer, a wrong pointer does not survive it. */
static uint64_t touch(const struct jq_request *request) {
    uint64_t sum = 0;
    for (size_t i = 0; request->op == JQ_OP_SUBMIT && i < request->u.submit.count; i++) {
        const struct jq_submit_item *item = &request->u.submit.items[i];
        if (item->refused) {
            sum += touch_str(jq_str_of(item->field)) + touch_str(jq_str_of(item->reason));
            continue;
        }
        sum += touch_str(item->need) + touch_str(item->key) + touch_str(item->queue) + touch_str(item->handler);
        sum += touch_str((struct jq_str){(const char *)item->body.data, item->body.size});
        assert_true(item->body.size <= JQ_TASK_SIZE_MAX && jq_msgpack_first_size(item->body) < item->body.size);
    }
    const bool reports = request->op == JQ_OP_LEASE || request->op == JQ_OP_REPORT;
    for (size_t i = 0; reports && i < request->u.lease.report_count; i++) {
        const struct jq_bytes body = request->u.lease.reports[i].body;
        sum += touch_str((struct jq_str){(const char *)body.data, body.size});
        assert_int_equal(jq_msgpack_first_size(body), body.size);
    }
    return sum;
}

static void mutate(struct jq_rng *rng, struct jq_buf *frame) {
    const uint64_t kind = jq_rng_below(rng, 4);
    if (frame->size == 0)
        return;
    uint8_t *at = &frame->data[jq_rng_below(rng, frame->size)];
    if (kind == 0)
        *at ^= (uint8_t)(1U << jq_rng_below(rng, 8));
    else if (kind == 1)
        *at = (uint8_t)jq_rng_next(rng);
    else if (kind == 2)
        frame->size = (size_t)(at - frame->data);
    else
        memmove(at, frame->data + jq_rng_below(rng, frame->size), 1); /* a byte from elsewhere */
}

/* Whatever bytes come, they are decoded or refused with a reason; nothing else happens. */
static void any_bytes_are_survived(void **state) {
    struct bench *bench = *state;
    struct jq_rng rng;
    size_t decoded = 0, refused = 0;
    jq_buf_clear(&bench->frame);
    bench->frame.size_max = JQ_FRAME_SIZE_MAX;
    jq_rng_init(&rng, 20260102);
    for (int round = 0; round < 20000; round++) {
        example_frame(&examples[jq_rng_below(&rng, examples_count)], &bench->frame);
        for (uint64_t i = jq_rng_below(&rng, 4); i > 0; i--)
            mutate(&rng, &bench->frame);
        if (decode_frame(bench) == JQ_OK) {
            decoded += touch(&bench->request) < UINT64_MAX;
            continue;
        }
        refused++;
        assert_true(jq_decoder_refusal(bench->decoder)->status != JQ_REPLY_OK);
        assert_true(strlen(jq_decoder_refusal(bench->decoder)->reason) > 0);
        struct jq_survey_response response;
        jq_decode_survey_response(bench->decoder, jq_buf_bytes(&bench->frame), &response, NULL);
    }
    assert_true(decoded > 2000 && refused > 5000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_are_those_of_the_core),
        cmocka_unit_test(the_envelope_names_sender_and_request),
        cmocka_unit_test(bad_envelopes_are_refused_by_name),
        cmocka_unit_test(a_task_gets_its_defaults),
        cmocka_unit_test(a_task_arrives_whole),
        cmocka_unit_test(a_bad_task_does_not_refuse_its_neighbours),
        cmocka_unit_test(a_task_too_big_names_its_limit),
        cmocka_unit_test(too_many_tasks_refuse_the_request),
        cmocka_unit_test(needs_are_not_mixed_up),
        cmocka_unit_test(a_registration_arrives_whole),
        cmocka_unit_test(faults_are_told_with_their_path),
        cmocka_unit_test(what_a_task_leaves_open_is_the_brokers),
        cmocka_unit_test(a_lease_is_cut_to_the_limits),
        cmocka_unit_test(a_detail_is_kept_without_what_is_unknown),
        cmocka_unit_test(the_other_requests_arrive),
        cmocka_unit_test(survey_responses_arrive),
        cmocka_unit_test(any_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, set_up, bench_remove);
}
