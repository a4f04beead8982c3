#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/core/files.h"
#include "broker/record.h"
#include "common/rng.h"

enum { BYTES_MAX = 256 * 1024, NOW_MS = 5000 };

static const uint8_t body_bytes[] = "payload";
static const struct jq_bytes body = {body_bytes, sizeof(body_bytes)};

static const uint8_t after_bytes[] = {2, 7, 0x80, 2}; /* 1 before, 3 before and met, 128 before */

static const uint8_t hash_bytes[JQ_BLOB_HASH_SIZE] = {1, 2, 3, [JQ_BLOB_HASH_SIZE - 1] = 0xff};

/* An output that is asked for, and an input. */
static const uint8_t files_bytes[] = {JQ_FILE_OUTPUT,
                                      4,
                                      'm',
                                      'e',
                                      's',
                                      'h',
                                      JQ_FILE_INPUT,
                                      1,
                                      'p',
                                      1,
                                      2,
                                      3,
                                      4,
                                      5,
                                      6,
                                      7,
                                      8,
                                      9,
                                      10,
                                      11,
                                      12,
                                      13,
                                      14,
                                      15,
                                      16,
                                      17,
                                      18,
                                      19,
                                      20,
                                      21,
                                      22,
                                      23,
                                      24,
                                      25,
                                      26,
                                      27,
                                      28,
                                      29,
                                      30,
                                      31,
                                      32};

/* One record of each type, every field set to something that is not its default. */
static const uint8_t cache_key_bytes[JQ_CACHE_KEY_SIZE] = {JQ_CACHE_RUN, 1, 2, 3};
static const char cache_name[] = "0123456789abcdef0123456789abcdef"
                                 "v2";

static const struct jq_record examples[] = {
    {.type = JQ_RECORD_PROLOGUE_BEGIN},
    {.type = JQ_RECORD_PROLOGUE_END, .u.prologue_end = {77, UINT64_MAX}},
    {.type = JQ_RECORD_IDS_RESERVED, .u.ids_reserved = {65537}},
    {.type = JQ_RECORD_QUEUE_DEFINED, .u.queue_defined = {3, {"mail.out", 8}}},
    {.type = JQ_RECORD_CLASS_DEFINED, .u.class_defined = {4, {"work", 4}, {"cpu=1", 5}, {"", 0}}},
    {.type = JQ_RECORD_QUEUE_SET, .u.queue_set = {3, {.paused = true}}},
    {.type = JQ_RECORD_QUEUE_SET, .time_ms = 5000, .u.queue_set = {3, {true, true, 9000, 1000, 7, UINT64_MAX, 3}}},
    {.type = JQ_RECORD_OPTIONS_DEFINED, .u.options_defined = {5, {1, 2, UINT32_MAX, 4, 5, 6}}},
    {.type = JQ_RECORD_WORKER_REGISTERED, .u.worker_registered = {6, {{1}}, {{2}}, UINT64_MAX, {"w", 1}}},
    {.type = JQ_RECORD_WORKER_SET, .u.worker_set = {6, true}},
    {.type = JQ_RECORD_WORKER_GONE, .u.worker_gone = {6}},
    {.type = JQ_RECORD_WORKER_DOORBELL, .u.worker_doorbell = {6, true, {"ipc:///w", 8}}},
    {.type = JQ_RECORD_REQUEST_ANSWERED,
     .u.request_answered = {{{9}}, 10, 9, {1, 2, UINT64_MAX, 3, {body_bytes, sizeof(body_bytes)}}}},
    {.type = JQ_RECORD_SENDER_TRIMMED, .u.sender_trimmed = {{{9}}, 11, true}},
    {.type = JQ_RECORD_KEYS_FORGOTTEN, .u.keys_forgotten = {12}},
    {.type = JQ_RECORD_WALL_OFFSET, .u.wall_offset = {-13}},
    {.type = JQ_RECORD_TASK_SUBMITTED,
     .u.task_submitted = {.task = {UINT64_C(1) << 56},
                          .queue = 1,
                          .class_index = 2,
                          .options = 3,
                          .priority = 9,
                          .eta = true,
                          .ready_at_ms = 4000,
                          .expires_wall_ms = 6000,
                          .key_expires_ms = 7000,
                          .key = {"ns\0key", 6},
                          .group = {"acme", 4},
                          .body = {body_bytes, 8},
                          .flow = (UINT64_C(1) << 56) - 9,
                          .on = JQ_ON_FINISHED,
                          .after = {after_bytes, sizeof(after_bytes)},
                          .files = {files_bytes, sizeof(files_bytes)}}},
    {.type = JQ_RECORD_TASK_SUBMITTED, .u.task_submitted = {.task = {1}, .ready_at_ms = NOW_MS}},
    {.type = JQ_RECORD_TASK_DUE, .u.task_due = {{1}}},
    {.type = JQ_RECORD_TASK_LEASED, .u.task_leased = {{1}, {UINT64_MAX}, 2, 3, {NULL, 0}}},
    {.type = JQ_RECORD_TASK_RETRIED, .u.task_retried = {{1}, 2, 3, 4, 5, 6, 7777, {body_bytes, 8}, {NULL, 0}}},
    {.type = JQ_RECORD_TASK_RETRIED, .u.task_retried = {{1}, 2, 3, 4, 5, 6, 7777, {body_bytes, 8}, {"exit 1", 6}}},
    {.type = JQ_RECORD_TASK_CANCELLING, .u.task_cancelling = {{1}, 10000}},
    {.type = JQ_RECORD_TASK_ENDED, .u.task_ended = {{1}, 7, 2, 3, 4, {body_bytes, 8}, {NULL, 0}, 0, {NULL, 0}}},
    {.type = JQ_RECORD_TASK_ENDED,
     .u.task_ended = {{1}, 7, 2, 3, 4, {body_bytes, 8}, {"exit 1", 6}, 9, {files_bytes, sizeof(files_bytes)}}},
    {.type = JQ_RECORD_TASK_REVIVED, .u.task_revived = {{1}}},
    {.type = JQ_RECORD_TASK_FORGOTTEN, .u.task_forgotten = {{1}}},
    {.type = JQ_RECORD_CLASS_DEFINED, .u.class_defined = {UINT16_MAX, {"work", 4}, {"cpu=1", 5}, {"zone==a:5", 9}}},
    {.type = JQ_RECORD_TASK_LEASED, .u.task_leased = {{1}, {UINT64_MAX}, 2, 3, {body_bytes, 8}}},
    {.type = JQ_RECORD_FLOW_SET, .u.flow_set = {5, JQ_FLOW_COMMITTED, 10, 9, 4000, 7, {{3}}, {"nightly", 7}}},
    {.type = JQ_RECORD_FLOW_CUT, .u.flow_cut = {5, 3}},
    {.type = JQ_RECORD_FLOW_FORGOTTEN, .u.flow_forgotten = {5}},
    {.type = JQ_RECORD_EDGE_DECIDED, .u.edge_decided = {{9}, 5, JQ_EDGE_BLOCKED}},
    {.type = JQ_RECORD_TASK_FREED, .u.task_freed = {{9}}},
    {.type = JQ_RECORD_BREAKER_SET,
     .u.breaker_set = {2, 1, true, {"smtp", 4}, 4000, 9000, 30000, {"mail.send mail.bulk", 19}}},
    {.type = JQ_RECORD_TASK_EDITED, .u.task_edited = {{1}, 2, 3, 4, 5, {body_bytes, 8}}},
    {.type = JQ_RECORD_TASK_REPLAYED, .u.task_replayed = {{1}, 7777}},
    {.type = JQ_RECORD_TASK_SUBMITTED, .u.task_submitted = {.task = {1}, .schedule = 3, .due_wall_ms = 60000}},
    {.type = JQ_RECORD_TASK_SUBMITTED,
     .u.task_submitted = {.task = {1}, .priority = 9, .unique = 4, .key_expires_ms = 1, .key = {"ns\0key", 6}}},
    {.type = JQ_RECORD_TASK_RELOCATED,
     .u.task_relocated =
         {.task = {1},
          .submit = {.task = {1}, .queue = 2, .priority = 3, .ready_at_ms = 4000, .body = {body_bytes, 8}},
          .state = 3,
          .runs = 4,
          .held = true,
          .first_ready_ms = 5000}},
    {.type = JQ_RECORD_TASK_RELOCATED,
     .u.task_relocated = {.task = {9},
                          .submit = {.task = {9}, .flow = 8, .on = 1, .after = {after_bytes, 2}, .expires_wall_ms = 7},
                          .state = 4,
                          .outcome = 5,
                          .attempts = 6,
                          .crashes = 7,
                          .losses = 8,
                          .shortages = 9,
                          .body_lsn = 1000,
                          .body_size = 100,
                          .last_lsn = 2000,
                          .last_size = 200,
                          .grace_ms = 300,
                          .edits = 70000,
                          .worker = 2,
                          .alternative = 1,
                          .token = {UINT64_MAX},
                          .units = {body_bytes, 3},
                          .verdicts = {body_bytes, 2},
                          .error = {"exit 1", 6},
                          .made = {files_bytes, sizeof(files_bytes)}}},
    {.type = JQ_RECORD_REPORT_RELOCATED, .u.report_relocated = {{1}, {body_bytes, 8}}},
    {.type = JQ_RECORD_KEY_RELOCATED, .u.key_relocated = {{1}, 4, 1, {"ns\0key", 6}}},
    {.type = JQ_RECORD_KEY_FORGOTTEN, .u.key_forgotten = {{"ns\0key", 6}}},
    {.type = JQ_RECORD_TASK_RENEWED, .u.task_renewed = {{1}, 2, 3, 4, 5, 6000, 7000, {"acme", 4}, {body_bytes, 8}}},
    {.type = JQ_RECORD_SCHEDULE_SET,
     .u.schedule_set = {7, {1000, 2000, 3000, {4}, 5, 6, 7, true}, {body_bytes, sizeof(body_bytes)}}},
    {.type = JQ_RECORD_SCHEDULE_FORGOTTEN, .u.schedule_forgotten = {7}},
    {.type = JQ_RECORD_SCHEDULE_MOVED, .u.schedule_moved = {7, {1, -2, 3, {UINT64_MAX}, 5, 6, 7, false}}},
    {.type = JQ_RECORD_LIMIT_SET, .u.limit_set = {{"queue:q", 7}, 3, {100, 3600000}, 2, -5, false}},
    {.type = JQ_RECORD_LIMIT_SET, .u.limit_set = {{"queue:q", 7}, 3, {100, 3600000}, 2, -5, true}},
    {.type = JQ_RECORD_LIMIT_REMOVED, .u.limit_removed = {{"queue:q", 7}}},
    {.type = JQ_RECORD_BLOB_STORED, .u.blob_stored = {hash_bytes, UINT64_MAX}},
    {.type = JQ_RECORD_BLOB_DROPPED, .u.blob_dropped = {hash_bytes}},
    {.type = JQ_RECORD_TASK_SUBMITTED,
     .u.task_submitted = {.task = {1},
                          .priority = 9,
                          .unique = 4,
                          .key_expires_ms = 1,
                          .key = {"ns\0key", 6},
                          .cache = {cache_key_bytes, sizeof(cache_key_bytes)}}},
    {.type = JQ_RECORD_CACHE_STORED,
     .u.cache_stored = {{cache_name, 34}, {7}, 8000, 9, {files_bytes, sizeof(files_bytes)}, {body_bytes, 8}}},
    {.type = JQ_RECORD_CACHE_DROPPED, .u.cache_dropped = {{cache_name, 34}}},
    {.type = JQ_RECORD_TASK_HELD, .u.task_held = {{1}}},
    {.type = JQ_RECORD_TASK_RELEASED, .u.task_held = {{1}}},
    {.type = JQ_RECORD_TASK_MOVED, .u.task_moved = {{1}, 2}},
};
enum { EXAMPLE_COUNT = sizeof(examples) / sizeof(examples[0]) };

static const struct jq_record *example_of(enum jq_record_type type) {
    size_t at = 0;
    while (examples[at].type != type) {
        at++;
    }
    return &examples[at];
}

static struct jq_buf encoded(const struct jq_record *example, int64_t time_ms) {
    struct jq_buf out;
    struct jq_record record = *example;
    record.time_ms = time_ms;
    jq_buf_init(&out, BYTES_MAX);
    jq_record_encode(&record, &out);
    assert_false(out.failed);
    return out;
}

static enum jq_err decode(uint8_t type, struct jq_bytes bytes, struct jq_record *ret_record) {
    int64_t time_ms = NOW_MS;
    bool clock = false;
    struct jq_error error;
    return jq_record_decode(type, bytes, &time_ms, ret_record, &clock, &error);
}

/* What is decoded encodes to the same bytes again: no field is lost on either way. */
static void every_type_survives_the_way_there_and_back(void **state) {
    bool seen[JQ_RECORD_TYPE_END] = {false};
    (void)state;
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        struct jq_buf first = encoded(&examples[i], NOW_MS);
        struct jq_record record;
        assert_int_equal(decode((uint8_t)examples[i].type, jq_buf_bytes(&first), &record), JQ_OK);
        assert_int_equal(record.type, examples[i].type);
        assert_int_equal(record.time_ms, NOW_MS);
        struct jq_buf second = encoded(&record, NOW_MS);
        assert_int_equal(first.size, second.size);
        assert_true(first.size == 0 || memcmp(first.data, second.data, first.size) == 0);
        seen[examples[i].type] = true;
        jq_buf_fini(&first);
        jq_buf_fini(&second);
    }
    for (int type = 0; type < JQ_RECORD_TYPE_END; type++) {
        assert_int_equal(seen[type], type > JQ_RECORD_CLOCK && strcmp(jq_record_type_name((uint8_t)type), "?") != 0);
    }
}

/* The fields come back as they were: a decoder that mirrors a mistake of the encoder would not be seen otherwise. */
static void fields_come_back_as_they_were(void **state) {
    struct jq_record record;
    (void)state;
    struct jq_buf out = encoded(example_of(JQ_RECORD_TASK_SUBMITTED), NOW_MS);
    assert_int_equal(decode(JQ_RECORD_TASK_SUBMITTED, jq_buf_bytes(&out), &record), JQ_OK);
    assert_int_equal(record.u.task_submitted.task.value, UINT64_C(1) << 56);
    assert_int_equal(record.u.task_submitted.queue, 1);
    assert_int_equal(record.u.task_submitted.class_index, 2);
    assert_int_equal(record.u.task_submitted.options, 3);
    assert_int_equal(record.u.task_submitted.priority, 9);
    assert_true(record.u.task_submitted.eta);
    assert_int_equal(record.u.task_submitted.ready_at_ms, 4000);
    assert_int_equal(record.u.task_submitted.expires_wall_ms, 6000);
    assert_int_equal(record.u.task_submitted.key_expires_ms, 7000);
    assert_true(jq_str_equal(record.u.task_submitted.key, (struct jq_str){"ns\0key", 6}));
    assert_true(jq_str_equal(record.u.task_submitted.group, JQ_STR("acme")));
    assert_int_equal(record.u.task_submitted.body.size, 8);
    jq_buf_fini(&out);
}

/* The last example of a type: others may stand behind it. */
static const struct jq_record *last_example(enum jq_record_type type) {
    const struct jq_record *found = NULL;
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        found = examples[i].type == type ? &examples[i] : found;
    }
    assert_non_null(found);
    return found;
}

/* What few records have stands behind a flag: a class's want, a lease's units. */
static void wants_and_units_come_back(void **state) {
    struct jq_record record;
    (void)state;
    struct jq_buf out = encoded(last_example(JQ_RECORD_CLASS_DEFINED), NOW_MS);
    assert_int_equal(decode(JQ_RECORD_CLASS_DEFINED, jq_buf_bytes(&out), &record), JQ_OK);
    assert_int_equal(record.u.class_defined.class_index, UINT16_MAX);
    assert_true(jq_str_equal(record.u.class_defined.want, JQ_STR("zone==a:5")));
    jq_buf_fini(&out);
    out = encoded(last_example(JQ_RECORD_TASK_LEASED), NOW_MS);
    assert_int_equal(decode(JQ_RECORD_TASK_LEASED, jq_buf_bytes(&out), &record), JQ_OK);
    assert_int_equal(record.u.task_leased.alternative, 3);
    assert_int_equal(record.u.task_leased.units.size, 8);
    jq_buf_fini(&out);
}

/* Bytes cut short or with something after them are no record; a type that is not known says so. */
static void cut_or_longer_bytes_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        struct jq_buf out = encoded(&examples[i], NOW_MS);
        struct jq_record record;
        for (size_t size = 0; size < out.size; size++) {
            assert_int_equal(decode((uint8_t)examples[i].type, (struct jq_bytes){out.data, size}, &record),
                             JQ_ERR_CORRUPT);
        }
        jq_buf_append_u8(&out, 0);
        assert_int_equal(decode((uint8_t)examples[i].type, jq_buf_bytes(&out), &record), JQ_ERR_CORRUPT);
        assert_int_equal(decode(14, jq_buf_bytes(&out), &record), JQ_ERR_VERSION);
        assert_int_equal(decode(JQ_RECORD_TYPE_END, jq_buf_bytes(&out), &record), JQ_ERR_VERSION);
        jq_buf_fini(&out);
    }
}

/* Any bytes at all give a record or an error, and never a read outside of them. */
static void any_bytes_give_a_record_or_an_error(void **state) {
    struct jq_rng rng;
    (void)state;
    jq_rng_init(&rng, 1);
    for (int round = 0; round < 20000; round++) {
        const struct jq_record *example = &examples[jq_rng_below(&rng, EXAMPLE_COUNT)];
        struct jq_buf out = encoded(example, NOW_MS);
        struct jq_record record;
        for (uint64_t n = jq_rng_below(&rng, 4); n > 0 && out.size > 0; n--) {
            out.data[jq_rng_below(&rng, out.size)] = (uint8_t)jq_rng_next(&rng);
        }
        (void)decode((uint8_t)jq_rng_below(&rng, JQ_RECORD_TYPE_END + 2), jq_buf_bytes(&out), &record);
        (void)decode((uint8_t)jq_rng_below(&rng, JQ_RECORD_TYPE_END + 1), jq_buf_bytes(&out), &record);
        jq_buf_fini(&out);
    }
}

/* A clock record moves the time by its difference, either way, and is no record of the core. */
static void clock_record_moves_the_time(void **state) {
    (void)state;
    struct jq_buf out;
    struct jq_record record;
    bool clock = false;
    int64_t time_ms = NOW_MS;
    jq_buf_init(&out, BYTES_MAX);
    jq_record_encode_clock(NOW_MS, 4990, &out);
    assert_int_equal(jq_record_decode(JQ_RECORD_CLOCK, jq_buf_bytes(&out), &time_ms, &record, &clock, NULL), JQ_OK);
    assert_true(clock);
    assert_int_equal(time_ms, 4990);
    jq_buf_fini(&out);
}

/* A body is given only if its own checksum holds: one changed bit in it is found. */
static void damaged_body_is_found(void **state) {
    (void)state;
    struct jq_buf out = encoded(example_of(JQ_RECORD_TASK_SUBMITTED), NOW_MS);
    struct jq_bytes found;
    assert_int_equal(jq_record_body(JQ_RECORD_TASK_SUBMITTED, jq_buf_bytes(&out), &found, NULL), JQ_OK);
    assert_int_equal(found.size, 8);
    assert_memory_equal(found.data, body.data, 8);
    assert_int_equal(jq_record_body(JQ_RECORD_TASK_SUBMITTED, (struct jq_bytes){out.data, 3}, &found, NULL),
                     JQ_ERR_CORRUPT);
    out.data[out.size - 6] ^= 1;
    assert_int_equal(jq_record_body(JQ_RECORD_TASK_SUBMITTED, jq_buf_bytes(&out), &found, NULL), JQ_ERR_CORRUPT);
    jq_buf_fini(&out);
    out = encoded(example_of(JQ_RECORD_TASK_DUE), NOW_MS);
    assert_int_equal(jq_record_body(JQ_RECORD_TASK_DUE, jq_buf_bytes(&out), &found, NULL), JQ_OK);
    assert_int_equal(found.size, 0);
    jq_buf_fini(&out);
    out = encoded(example_of(JQ_RECORD_CACHE_STORED), NOW_MS);
    assert_int_equal(jq_record_body(JQ_RECORD_CACHE_STORED, jq_buf_bytes(&out), &found, NULL), JQ_OK);
    assert_true(found.size > 0);
    jq_buf_fini(&out);
}

/* Every type has a name for dumps; others have a question mark. */
static void types_have_names(void **state) {
    (void)state;
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        assert_string_not_equal(jq_record_type_name((uint8_t)examples[i].type), "?");
    }
    assert_string_equal(jq_record_type_name(JQ_RECORD_CLOCK), "clock");
    assert_string_equal(jq_record_type_name(14), "?");
    assert_string_equal(jq_record_type_name(255), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_survives_the_way_there_and_back),
        cmocka_unit_test(fields_come_back_as_they_were),
        cmocka_unit_test(wants_and_units_come_back),
        cmocka_unit_test(cut_or_longer_bytes_are_refused),
        cmocka_unit_test(any_bytes_give_a_record_or_an_error),
        cmocka_unit_test(clock_record_moves_the_time),
        cmocka_unit_test(damaged_body_is_found),
        cmocka_unit_test(types_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
