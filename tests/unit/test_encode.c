#include "broker/shell/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/codec_client.h"

/* A frame, the view that reads it, and the store of bodies. */
struct bench {
    struct jq_buf frame;
    struct jq_reply_view view;
    struct jq_buf body;
    uint64_t damaged_lsn; /* cannot be read; 0: all can */
    size_t unsent[512];   /* items, in the order told */
    enum jq_err unsent_why[512];
    size_t unsent_count;
};

static int set_up(void **state) {
    struct bench *bench = calloc(1, sizeof(*bench));
    jq_buf_init(&bench->frame, JQ_FRAME_SIZE_MAX);
    jq_buf_init(&bench->body, 2 * JQ_FRAME_SIZE_MAX);
    jq_reply_view_init(&bench->view);
    *state = bench;
    return 0;
}

static int tear_down(void **state) {
    struct bench *bench = *state;
    jq_reply_view_fini(&bench->view);
    jq_buf_fini(&bench->frame);
    jq_buf_fini(&bench->body);
    free(bench);
    return 0;
}

static struct jq_bytes repeated(size_t size) {
    static uint8_t bytes[JQ_FRAME_SIZE_MAX];
    memset(bytes, 'x', sizeof(bytes));
    return (struct jq_bytes){bytes, size};
}

/* Bodies below LSN 1000: payload and headers, with a payload of `size` bytes. From there on: details with such a
 * result. */
static bool read_body(void *ctx, struct jq_body_ref ref, struct jq_bytes *ret_body) {
    struct bench *bench = ctx;
    if (ref.lsn == bench->damaged_lsn)
        return false;
    jq_buf_clear(&bench->body);
    struct jq_pack pack = jq_pack_of(&bench->body);
    if (ref.lsn < 1000) {
        jq_pack_bin(&pack, repeated(ref.size));
        jq_pack_nil(&pack);
    } else {
        jq_pack_map(&pack, 1);
        jq_pack_field_bin(&pack, &jq_message_detail, JQ_AT_DETAIL_RESULT, repeated(ref.size));
    }
    *ret_body = jq_buf_bytes(&bench->body);
    return true;
}

static void note_unsent(void *ctx, size_t item, enum jq_err why) {
    struct bench *bench = ctx;
    bench->unsent[bench->unsent_count] = item;
    bench->unsent_why[bench->unsent_count++] = why;
}

static struct jq_view encode(struct bench *bench, const struct jq_reply_effect *reply) {
    const struct jq_encode_context context = {
        .durability = JQ_DURABILITY_WRITE, .ctx = bench, .body = read_body, .unsent = note_unsent};
    bench->unsent_count = 0;
    assert_int_equal(jq_encode_reply(&bench->frame, reply, &context, NULL), JQ_OK);
    assert_true(bench->frame.size <= JQ_FRAME_SIZE_MAX);
    assert_int_equal(jq_reply_view_read(&bench->view, jq_buf_bytes(&bench->frame), NULL), JQ_OK);
    assert_int_equal(bench->view.id, reply->request);
    assert_int_equal(bench->view.status, reply->status);
    return bench->view.body;
}

static void assert_str(struct jq_str text, const char *expected) {
    assert_int_equal(text.size, strlen(expected));
    if (text.size > 0)
        assert_memory_equal(text.data, expected, text.size);
}

/* The exceptions of a full batch always fit: reasons are shortened before any of them is left out, and never within a
 * character. */
static void the_exceptions_of_a_full_batch_fit(void **state) {
    struct bench *bench = *state;
    static struct jq_exception exceptions[JQ_SUBMIT_COUNT_MAX];
    static const size_t counts[] = {1, 400, JQ_SUBMIT_COUNT_MAX};
    for (size_t i = 0; i < JQ_SUBMIT_COUNT_MAX; i++)
        exceptions[i] = (struct jq_exception){
            .index = (uint32_t)i,
            .status = JQ_REPLY_INVALID,
            .task = {UINT64_MAX},
            .retry_after_ms = INT64_MAX,
            .field = "soft_limit_ms",
            .reason =
                "-\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                "a reason as long as the longest of those that are told, and then some more of it, for it has to "
                "be cut when so many of them share a frame, and only then"};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const struct jq_reply_effect reply = {
            .op = JQ_OP_SUBMIT,
            .request = 3,
            .u.submit = {.first = UINT64_MAX, .exceptions = exceptions, .exception_count = counts[i]}};
        const struct jq_view list = jq_view_get(encode(bench, &reply), "exceptions");
        assert_int_equal(jq_view_count(list), counts[i]);
        const struct jq_view last = jq_view_at(list, counts[i] - 1);
        assert_int_equal(jq_view_to_uint(jq_view_at(last, JQ_AT_EXCEPTION_INDEX), 0), counts[i] - 1);
        assert_str(jq_view_to_str(jq_view_at(last, JQ_AT_EXCEPTION_FIELD)), "soft_limit_ms");
        const struct jq_str reason = jq_view_to_str(jq_view_at(last, JQ_AT_EXCEPTION_REASON));
        assert_in_range(reason.size, 10, strlen(exceptions[0].reason));
        if (counts[i] == 1)
            assert_int_equal(reason.size, strlen(exceptions[0].reason));
        if (counts[i] == JQ_SUBMIT_COUNT_MAX)
            assert_int_equal(reason.size % 2, 1); /* After the dash, characters of two bytes. */
    }
    assert_str(jq_view_str(bench->view.body, "durability"), "write");
}

static struct jq_lease_item lease_item(uint64_t lsn, uint32_t payload_size) {
    return (struct jq_lease_item){.task = {lsn},
                                  .token = {lsn},
                                  .attempt = 1,
                                  .queue = JQ_STR("q"),
                                  .handler = JQ_STR("h"),
                                  .body = {lsn, payload_size}};
}

/* Payload and headers travel as they were submitted, byte by byte; a task without has nil for both. */
static void a_lease_carries_the_bodies(void **state) {
    struct bench *bench = *state;
    const struct jq_lease_item items[] = {lease_item(1, 3), lease_item(2, 0)};
    const struct jq_reply_effect reply = {.op = JQ_OP_LEASE, .request = 3, .u.lease = {.items = items, .count = 2}};
    assert_true(jq_reply_has_bodies(&reply));
    const struct jq_view tasks = jq_view_get(encode(bench, &reply), "tasks");
    assert_int_equal(jq_view_count(tasks), 2);
    assert_int_equal(jq_view_to_bin(jq_view_at(jq_view_at(tasks, 0), JQ_AT_LEASED_PAYLOAD)).size, 3);
    assert_false(jq_view_given(jq_view_at(jq_view_at(tasks, 0), JQ_AT_LEASED_HEADERS)));
    assert_int_equal(jq_view_count(jq_view_at(tasks, 1)), JQ_AT_LEASED_INPUTS); /* without files they are left out */
    assert_false(jq_view_given(jq_view_at(jq_view_at(tasks, 1), JQ_AT_LEASED_PAYLOAD)));
    assert_int_equal(jq_view_count(bench->view.body), 1);
}

/* A body that the journal lost costs its own task, not those that share its answer; what does not fit is told too. */
static void a_lease_without_some_tasks_tells_which(void **state) {
    struct bench *bench = *state;
    const struct jq_lease_item items[] = {lease_item(1, 30000), lease_item(2, 10), lease_item(3, 40000),
                                          lease_item(4, 20)};
    const struct jq_reply_effect reply = {.op = JQ_OP_LEASE, .request = 3, .u.lease = {.items = items, .count = 4}};
    bench->damaged_lsn = 2;
    const struct jq_view tasks = jq_view_get(encode(bench, &reply), "tasks");
    bench->damaged_lsn = 0;
    assert_int_equal(jq_view_count(tasks), 2);
    assert_int_equal(jq_view_to_uint(jq_view_at(jq_view_at(tasks, 1), JQ_AT_LEASED_TASK), 0), 4);
    assert_int_equal(bench->unsent_count, 2);
    assert_int_equal(bench->unsent[0], 1);
    assert_int_equal(bench->unsent_why[0], JQ_ERR_CORRUPT);
    assert_int_equal(bench->unsent[1], 2);
    assert_int_equal(bench->unsent_why[1], JQ_ERR_TOO_BIG);
}

/* What jq_decode_request() leaves for tasks holds the largest of them, beside a verdict on every report; commands come
 * last, cut. */
static void the_largest_task_fits_beside_all_verdicts(void **state) {
    struct bench *bench = *state;
    static struct jq_exception verdicts[JQ_REPORT_COUNT_MAX];
    static struct jq_command commands[500];
    for (uint32_t i = 0; i < JQ_REPORT_COUNT_MAX; i++)
        verdicts[i] = (struct jq_exception){.index = i, .status = JQ_REPLY_STALE_LEASE, .task = {UINT64_MAX}};
    for (uint32_t i = 0; i < 500; i++)
        commands[i] = (struct jq_command){JQ_COMMAND_KILL, {UINT64_MAX}, {UINT64_MAX}, UINT32_MAX};
    const struct jq_lease_item item = lease_item(1, JQ_TASK_SIZE_MAX - 4);
    const struct jq_reply_effect reply = {.op = JQ_OP_LEASE,
                                          .request = 3,
                                          .u.lease = {.items = &item,
                                                      .count = 1,
                                                      .verdicts = verdicts,
                                                      .verdict_count = JQ_REPORT_COUNT_MAX,
                                                      .commands = commands,
                                                      .command_count = 500}};
    const struct jq_view body = encode(bench, &reply);
    assert_int_equal(bench->unsent_count, 0);
    assert_int_equal(jq_view_count(jq_view_get(body, "tasks")), 1);
    assert_int_equal(jq_view_count(jq_view_get(body, "verdicts")), JQ_REPORT_COUNT_MAX);
    assert_in_range(jq_view_count(jq_view_get(body, "commands")), 1, 499);
}

/* Tasks leave room for the verdicts that stand behind them: a report without its verdict would be sent for ever. */
static void tasks_leave_room_for_the_verdicts(void **state) {
    struct bench *bench = *state;
    static struct jq_exception verdicts[JQ_REPORT_COUNT_MAX];
    static struct jq_lease_item items[JQ_LEASE_COUNT_MAX];
    for (uint32_t i = 0; i < JQ_REPORT_COUNT_MAX; i++) {
        verdicts[i] = (struct jq_exception){.index = i, .status = JQ_REPLY_STALE_LEASE, .task = {UINT64_MAX}};
        items[i] = lease_item(i + 1, 250);
    }
    const struct jq_reply_effect reply = {
        .op = JQ_OP_LEASE,
        .request = 3,
        .u.lease = {
            .items = items, .count = JQ_LEASE_COUNT_MAX, .verdicts = verdicts, .verdict_count = JQ_REPORT_COUNT_MAX}};
    const struct jq_view body = encode(bench, &reply);
    assert_int_equal(jq_view_count(jq_view_get(body, "verdicts")), JQ_REPORT_COUNT_MAX);
    assert_in_range(bench->unsent_count, 1, 100);
    assert_int_equal(jq_view_count(jq_view_get(body, "tasks")), JQ_LEASE_COUNT_MAX - bench->unsent_count);
}

static struct jq_task_row task_row(uint64_t id) {
    return (struct jq_task_row){.id = {id},
                                .state = JQ_STATE_READY,
                                .queue = JQ_STR("q"),
                                .handler = JQ_STR("h"),
                                .wall_offset_ms = 1000,
                                .first_ready_ms = -3,
                                .at_ms = 234,
                                .progress_permille = -1};
}

/* A page of rows that a frame cannot hold stops early, and says where to go on. */
static void a_long_page_says_where_to_go_on(void **state) {
    struct bench *bench = *state;
    static struct jq_task_row rows[JQ_LIST_COUNT_MAX];
    for (uint64_t i = 0; i < JQ_LIST_COUNT_MAX; i++)
        rows[i] = task_row(i + 10);
    struct jq_reply_effect reply = {
        .op = JQ_OP_TASK_LS, .request = 3, .u.tasks = {.rows = rows, .count = JQ_LIST_COUNT_MAX, .next = 9999}};
    const struct jq_view body = encode(bench, &reply);
    const size_t count = jq_view_count(jq_view_get(body, "tasks"));
    assert_in_range(count, 100, JQ_LIST_COUNT_MAX - 1);
    assert_int_equal(jq_view_uint(body, "next", 0), count + 9);
    const struct jq_view row = jq_view_at(jq_view_get(body, "tasks"), 0);
    assert_int_equal(jq_view_uint(row, "at_ms", 0), 1234);
    assert_int_equal(jq_view_uint(row, "first_ready_ms", 0), 997);

    reply.u.tasks.count = 2;
    assert_int_equal(jq_view_uint(encode(bench, &reply), "next", 0), 9999);
    reply.u.tasks.next = 0;
    assert_false(jq_view_given(jq_view_get(encode(bench, &reply), "next")));
}

/* An answer to a wait holds at least one whole result, however large, and counts what it had to leave out. */
static void a_wait_leaves_out_what_does_not_fit(void **state) {
    struct bench *bench = *state;
    struct jq_task_row rows[3];
    for (uint64_t i = 0; i < 3; i++) {
        rows[i] = task_row(i + 1);
        rows[i].last = (struct jq_body_ref){1000 + i, i == 2 ? 100 : JQ_PAYLOAD_SIZE_MAX};
    }
    const struct jq_reply_effect reply = {.op = JQ_OP_WAIT, .request = 3, .u.tasks = {.rows = rows, .count = 3}};
    assert_true(jq_reply_has_bodies(&reply));
    const struct jq_view body = encode(bench, &reply);
    const struct jq_view tasks = jq_view_get(body, "tasks");
    assert_int_equal(jq_view_count(tasks), 2);
    assert_int_equal(jq_view_uint(body, "left_out", 0), 1);
    assert_int_equal(jq_view_bin(jq_view_get(jq_view_at(tasks, 0), "detail"), "result").size, JQ_PAYLOAD_SIZE_MAX);
    assert_int_equal(jq_view_uint(jq_view_at(tasks, 1), "id", 0), 3);
    assert_false(jq_view_given(jq_view_get(jq_view_at(tasks, 0), "payload")));
}

/* task.show gives payload and detail; where a frame cannot hold both, the payload; wait has the detail. */
static void a_shown_task_is_never_too_big(void **state) {
    struct bench *bench = *state;
    struct jq_task_row row = task_row(1);
    row.body = (struct jq_body_ref){1, 100};
    row.last = (struct jq_body_ref){1000, 100};
    const struct jq_reply_effect reply = {.op = JQ_OP_TASK_SHOW, .request = 3, .u.tasks = {.rows = &row, .count = 1}};
    struct jq_view shown = jq_view_at(jq_view_get(encode(bench, &reply), "tasks"), 0);
    assert_int_equal(jq_view_bin(shown, "payload").size, 100);
    assert_int_equal(jq_view_bin(jq_view_get(shown, "detail"), "result").size, 100);
    assert_false(jq_view_bool(shown, "damaged", false));

    row.body.size = row.last.size = JQ_PAYLOAD_SIZE_MAX;
    shown = jq_view_at(jq_view_get(encode(bench, &reply), "tasks"), 0);
    assert_int_equal(jq_view_bin(shown, "payload").size, JQ_PAYLOAD_SIZE_MAX);
    assert_false(jq_view_given(jq_view_get(shown, "detail")));
    assert_true(jq_view_bool(shown, "detail_left_out", false));

    bench->damaged_lsn = 1;
    shown = jq_view_at(jq_view_get(encode(bench, &reply), "tasks"), 0);
    bench->damaged_lsn = 0;
    assert_true(jq_view_bool(shown, "damaged", false));
    assert_true(jq_view_given(jq_view_get(shown, "detail")));
    assert_false(jq_view_given(jq_view_get(shown, "payload")));
}

/* Lists of queues and workers that are too long are cut, and say where to go on; a worker's handlers, how many are left out. */
static void long_lists_say_how_they_go_on(void **state) {
    struct bench *bench = *state;
    static struct jq_queue_row queues[1000];
    static struct jq_handler_def handlers[256];
    for (size_t i = 0; i < 1000; i++)
        queues[i] = (struct jq_queue_row){
            .name = JQ_STR("q"), .place = (uint32_t)(i + 7), .oldest_ready_ms = -1, .depth_max = UINT64_MAX};
    struct jq_reply_effect reply = {.op = JQ_OP_QUEUE_LS, .u.queues = {.rows = queues, .count = 1000, .next = 5000}};
    struct jq_view body = encode(bench, &reply);
    const size_t count = jq_view_count(jq_view_get(body, "queues"));
    assert_in_range(count, 200, 999);
    assert_int_equal(jq_view_uint(body, "next", 0), count - 1 + 7);
    assert_false(jq_view_given(jq_view_get(jq_view_at(jq_view_get(body, "queues"), 0), "oldest_ready_ms")));

    for (size_t i = 0; i < 256; i++)
        handlers[i] = (struct jq_handler_def){.name = JQ_STR("h"), .need = {(const char *)repeated(1024).data, 1024}};
    const struct jq_worker_row worker = {.name = JQ_STR("w"), .handlers = handlers, .handler_count = 256};
    reply = (struct jq_reply_effect){.op = JQ_OP_WORKER_SHOW, .u.workers = {.rows = &worker, .count = 1}};
    body = jq_view_at(jq_view_get(encode(bench, &reply), "workers"), 0);
    const size_t shown = jq_view_count(jq_view_get(body, "handlers"));
    assert_in_range(shown, 50, 255);
    assert_int_equal(jq_view_uint(body, "left_out", 0), 256 - shown);
    reply.op = JQ_OP_WORKER_LS;
    body = jq_view_at(jq_view_get(encode(bench, &reply), "workers"), 0);
    assert_false(jq_view_given(jq_view_get(body, "handlers")));
}

/* A refusal is an answer: with the status, and what is known of the why. */
static void refusals_say_what_is_known(void **state) {
    struct bench *bench = *state;
    struct jq_reply_effect reply = {.op = JQ_OP_LEASE,
                                    .request = 8,
                                    .status = JQ_REPLY_BUSY,
                                    .field = "queue",
                                    .reason = "full",
                                    .retry_after_ms = 40};
    encode(bench, &reply);
    assert_str(bench->view.field, "queue");
    assert_str(bench->view.reason, "full");
    assert_int_equal(bench->view.retry_after_ms, 40);
    assert_false(jq_reply_has_bodies(&reply));

    assert_int_equal(jq_encode_refusal(&bench->frame, 0, JQ_REPLY_UNAUTHORIZED, NULL, NULL, 0, NULL), JQ_OK);
    assert_int_equal(jq_reply_view_read(&bench->view, jq_buf_bytes(&bench->frame), NULL), JQ_OK);
    assert_int_equal(bench->view.status, JQ_REPLY_UNAUTHORIZED);
    assert_int_equal(jq_view_count(bench->view.body), 0);
}

/* Every reason that explain knows has a word. */
static void every_why_has_a_word(void **state) {
    (void)state;
    for (int why = JQ_WHY_NONE; why < JQ_WHY_END; why++)
        assert_string_not_equal(jq_why_name((enum jq_why)why), "?");
    assert_string_equal(jq_why_name(JQ_WHY_END), "?");
}

/* Encodes a copy whose original is gone: the frame must be that of the original. */
static void expect_copy_encodes_alike(struct bench *bench, struct jq_reply_effect *reply) {
    encode(bench, reply);
    struct jq_buf original;
    jq_buf_init(&original, JQ_FRAME_SIZE_MAX);
    jq_buf_append(&original, bench->frame.data, bench->frame.size);
    struct jq_reply_effect *copy = jq_reply_copy(reply);
    assert_non_null(copy);
    memset(reply, 0xff, sizeof(*reply));
    encode(bench, copy);
    assert_int_equal(bench->frame.size, original.size);
    assert_memory_equal(bench->frame.data, original.data, original.size);
    jq_reply_copy_free(copy);
    jq_buf_fini(&original);
}

/* Text on the heap, so that the address sanitizer sees who still points to it. */
static struct jq_str heap_text(const char *text) {
    return (struct jq_str){strdup(text), strlen(text)};
}

/* A reply that waits for its bodies outlives its step: the copy borrows nothing. */
static void a_copy_outlives_the_step(void **state) {
    struct bench *bench = *state;
    struct jq_str text = heap_text("text");
    struct jq_amount *amount = calloc(1, sizeof(*amount));
    *amount = (struct jq_amount){text, 5};
    struct jq_exception exception = {.field = text.data, .reason = NULL};
    struct jq_lease_item item = {
        .queue = text, .handler = text, .reserved = amount, .reserved_count = 1, .body = {5, 6}};
    struct jq_command command = {.type = JQ_COMMAND_DRAIN};
    struct jq_reply_effect reply = {.op = JQ_OP_LEASE,
                                    .u.lease = {.items = &item,
                                                .count = 1,
                                                .verdicts = &exception,
                                                .verdict_count = 1,
                                                .commands = &command,
                                                .command_count = 1}};
    struct jq_reply_effect *copy = jq_reply_copy(&reply);
    memset((char *)(uintptr_t)text.data, '-', text.size);
    free((void *)(uintptr_t)text.data);
    free(amount);
    memset(&item, 0xff, sizeof(item));
    const struct jq_view body = encode(bench, copy);
    const struct jq_view task = jq_view_at(jq_view_get(body, "tasks"), 0);
    assert_str(jq_view_to_str(jq_view_at(task, JQ_AT_LEASED_HANDLER)), "text");
    assert_int_equal(jq_view_uint(jq_view_at(task, JQ_AT_LEASED_RESERVED), "text", 0), 5);
    assert_int_equal(jq_view_to_bin(jq_view_at(task, JQ_AT_LEASED_PAYLOAD)).size, 6);
    jq_reply_copy_free(copy);
    jq_reply_copy_free(NULL);
}

/* The same for every other kind of answer. */
static void copies_encode_like_their_originals(void **state) {
    struct bench *bench = *state;
    struct jq_task_row row = task_row(7);
    row.worker = row.progress = row.need = JQ_STR("w");
    row.last = (struct jq_body_ref){1000, 5};
    const struct jq_why_line line = {.why = JQ_WHY_BEHIND, .worker = JQ_STR("w"), .detail = JQ_STR("d"), .number = 3};
    const struct jq_exception exception = {.index = 4, .status = JQ_REPLY_NOT_FOUND, .reason = "why"};
    const struct jq_queue_row queue = {.name = JQ_STR("q"), .ready = 4};
    const struct jq_amount total = {JQ_STR("cpu"), 2};
    const uint64_t left = 1;
    const struct jq_name_value fact = {JQ_STR("os"), JQ_STR("linux")};
    const struct jq_handler_def handler = {.name = JQ_STR("h"), .version = JQ_STR("1"), .need = JQ_STR("cpu=1")};
    const struct jq_worker_row worker = {.name = JQ_STR("w"),
                                         .totals = &total,
                                         .free = &left,
                                         .offer_count = 1,
                                         .facts = &fact,
                                         .fact_count = 1,
                                         .handlers = &handler,
                                         .handler_count = 1};
    struct jq_reply_effect replies[] = {
        {.op = JQ_OP_SUBMIT, .u.submit = {.exceptions = &exception, .exception_count = 1}},
        {.op = JQ_OP_REGISTER, .u.reg.session = {{7}}},
        {.op = JQ_OP_REPORT, .u.lease = {.verdicts = &exception, .verdict_count = 1}},
        {.op = JQ_OP_WAIT, .u.tasks = {.rows = &row, .count = 1}},
        {.op = JQ_OP_TASK_LS, .u.tasks = {.rows = &row, .count = 0}},
        {.op = JQ_OP_TASK_EXPLAIN, .u.explain = {.row = &row, .lines = &line, .count = 1}},
        {.op = JQ_OP_TASK_CANCEL, .u.many = {.exceptions = &exception, .exception_count = 1}},
        {.op = JQ_OP_QUEUE_LS, .u.queues = {.rows = &queue, .count = 1}},
        {.op = JQ_OP_QUEUE_SET, .u.many = {.count = 1}},
        {.op = JQ_OP_WORKER_SHOW, .u.workers = {.rows = &worker, .count = 1}},
        {.op = JQ_OP_SERVER_STATUS, .u.server = {.epoch = 9}},
        {.op = JQ_OP_WAIT, .status = JQ_REPLY_DRAINING, .field = "f", .reason = "r"},
    };
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
        expect_copy_encodes_alike(bench, &replies[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exceptions_of_a_full_batch_fit),
        cmocka_unit_test(a_lease_carries_the_bodies),
        cmocka_unit_test(a_lease_without_some_tasks_tells_which),
        cmocka_unit_test(the_largest_task_fits_beside_all_verdicts),
        cmocka_unit_test(tasks_leave_room_for_the_verdicts),
        cmocka_unit_test(a_long_page_says_where_to_go_on),
        cmocka_unit_test(a_wait_leaves_out_what_does_not_fit),
        cmocka_unit_test(a_shown_task_is_never_too_big),
        cmocka_unit_test(long_lists_say_how_they_go_on),
        cmocka_unit_test(refusals_say_what_is_known),
        cmocka_unit_test(every_why_has_a_word),
        cmocka_unit_test(a_copy_outlives_the_step),
        cmocka_unit_test(copies_encode_like_their_originals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
