#include "tests/lib/examples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/shell/encode.h"
#include "common/codec_survey.h"
#include "common/hash.h"
#include "tests/lib/notation.h"

/* JQ_STR for static data. */
#define TEXT(literal)                                                                                                  \
    { (literal), sizeof(literal) - 1 }

/* ---- replies: what the core would say, encoded ------------------------------------------------------------------- */

/* Bodies of the examples by their LSN. */
static const char *const bodies[] = {
    [1] = "[h'81a466696c65a3612e62', {\"traceparent\": \"00-4bf9-00f0-01\"}]",
    [3] = "[{\"result\": h'2a', \"exit\": 0, \"duration_ms\": 1520, \"cpu_ms\": 1400, \"rss_bytes\": 52428800}]",
    [4] = "[{\"exit\": 1, \"message\": \"no such file: a.b\", \"stderr\": h'6e6f2073756368', \"duration_ms\": 12}]",
};

/* The elements of an array stand behind its first byte as a body holds them. */
static bool example_body(void *ctx, struct jq_body_ref ref, struct jq_bytes *ret_body) {
    struct jq_buf *buf = ctx;
    jq_buf_clear(buf);
    notation_pack(buf, bodies[ref.lsn]);
    *ret_body = (struct jq_bytes){buf->data + 1, buf->size - 1};
    return true;
}

static void encode(struct jq_buf *out, struct jq_reply_effect reply) {
    struct jq_buf body;
    jq_buf_init(&body, 1000);
    const struct jq_encode_context context = {.durability = JQ_DURABILITY_FSYNC, .ctx = &body, .body = example_body};
    assert_int_equal(jq_encode_reply(out, &reply, &context, NULL), JQ_OK);
    jq_buf_fini(&body);
}

static const struct jq_uuid session = {
    {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf}};
static const struct jq_uuid worker_id = {
    {0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf}};
static const struct jq_uuid broker_id = {
    {0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf}};

/* 2026-01-02 03:04:05 UTC. */
static const int64_t wall_ms = INT64_C(1767323045000);

/* Epoch 3, fifth token. */
static const uint64_t token = UINT64_C(3) << 44 | 5;

static void write_hello_reply(struct jq_buf *out) {
    const struct jq_hello hello = {.broker = broker_id,
                                   .wait_ms_max = JQ_WAIT_MS_MAX,
                                   .version = JQ_STR("0.1.0"),
                                   .epoch = 3,
                                   .durability = JQ_DURABILITY_FSYNC,
                                   .wall_ms = wall_ms};
    assert_int_equal(jq_encode_hello(out, 1, &hello, NULL), JQ_OK);
}

static void write_refusal(struct jq_buf *out) {
    assert_int_equal(
        jq_encode_refusal(out, 9, JQ_REPLY_INVALID, "op", "'task.frobnicate' is none of this protocol", 0, NULL),
        JQ_OK);
}

static void write_register_reply(struct jq_buf *out) {
    encode(out, (struct jq_reply_effect){.op = JQ_OP_REGISTER, .request = 1, .u.reg.session = session});
}

static void write_submit_reply(struct jq_buf *out) {
    static const struct jq_exception exceptions[] = {
        {.index = 1,
         .status = JQ_REPLY_INVALID,
         .field = "need",
         .reason = "column 5: quantity of mem: unknown unit 'X' (k, M, G or T)"},
        {.index = 2, .status = JQ_REPLY_OK, .task = {65536}},
    };
    encode(out,
           (struct jq_reply_effect){
               .op = JQ_OP_SUBMIT,
               .request = 2,
               .u.submit = {.first = 65537, .count = 3, .depth = 12, .exceptions = exceptions, .exception_count = 2}});
}

static void write_busy_reply(struct jq_buf *out) {
    encode(out, (struct jq_reply_effect){.op = JQ_OP_SUBMIT,
                                         .request = 2,
                                         .status = JQ_REPLY_BUSY,
                                         .reason = "the disk is below its mark",
                                         .retry_after_ms = 1500});
}

static void write_lease_reply(struct jq_buf *out) {
    static const struct jq_amount reserved[] = {{TEXT("cpu"), 1000}, {TEXT("gpu"), 1000}, {TEXT("slots"), 1000}};
    static const uint8_t units[] = {3, 'g', 'p', 'u', 1, 0}; /* gpu 0 */
    static const struct jq_command commands[] = {{JQ_COMMAND_CANCEL, {65501}, {(UINT64_C(3) << 44) + 4}, 5000}};
    static const struct jq_exception verdicts[] = {{.index = 0, .status = JQ_REPLY_STALE_LEASE, .task = {65499}}};
    const struct jq_lease_item items[] = {{.task = {65537},
                                           .token = {token},
                                           .attempt = 1,
                                           .queue = JQ_STR("default"),
                                           .handler = JQ_STR("zstd"),
                                           .hard_limit_ms = 60000,
                                           .reserved = reserved,
                                           .reserved_count = 3,
                                           .units = {units, sizeof(units)},
                                           .body = {1, 1}}};
    encode(out, (struct jq_reply_effect){.op = JQ_OP_LEASE,
                                         .request = 3,
                                         .u.lease = {.items = items,
                                                     .count = 1,
                                                     .verdicts = verdicts,
                                                     .verdict_count = 1,
                                                     .report_count = 1,
                                                     .commands = commands,
                                                     .command_count = 1}});
}

static void write_report_reply(struct jq_buf *out) {
    encode(out, (struct jq_reply_effect){.op = JQ_OP_REPORT, .request = 4, .u.lease.report_count = 1});
}

static struct jq_task_row example_row(void) {
    return (struct jq_task_row){
        .id = {65537},
        .state = JQ_STATE_SUCCEEDED,
        .outcome = JQ_OUTCOME_SUCCESS,
        .queue = JQ_STR("default"),
        .handler = JQ_STR("zstd"),
        .need = JQ_STR("cpu=1"),
        .priority = 5,
        .first_ready_ms = 1000,
        .at_ms = 3000,
        .wall_offset_ms = wall_ms,
        .options = {.retry_max = 3, .retry_base_ms = 1000, .retry_cap_ms = 600000, .result_ttl_ms = 86400000},
        .progress_permille = -1,
    };
}

static void write_rows(struct jq_buf *out, enum jq_op op, struct jq_task_row row, uint64_t next) {
    encode(out, (struct jq_reply_effect){.op = op, .request = 5, .u.tasks = {.rows = &row, .count = 1, .next = next}});
}

static void write_wait_reply(struct jq_buf *out) {
    struct jq_task_row row = example_row();
    row.last = (struct jq_body_ref){3, 1};
    write_rows(out, JQ_OP_WAIT, row, 0);
}

static void write_show_reply(struct jq_buf *out) {
    struct jq_task_row row = example_row();
    row.state = JQ_STATE_DEAD;
    row.outcome = JQ_OUTCOME_PROCESS_FAILURE;
    row.attempts = 3;
    row.body = (struct jq_body_ref){1, 1};
    row.version = 1;
    row.last = (struct jq_body_ref){4, 1};
    write_rows(out, JQ_OP_TASK_SHOW, row, 0);
}

static void write_ls_reply(struct jq_buf *out) {
    struct jq_task_row row = example_row();
    row.state = JQ_STATE_RUNNING;
    row.outcome = JQ_OUTCOME_NONE;
    row.worker = JQ_STR("w1");
    row.progress_permille = 400;
    row.progress = JQ_STR("meshing");
    row.expires_wall_ms = wall_ms + 600000;
    write_rows(out, JQ_OP_TASK_LS, row, 65537);
}

static void write_explain_reply(struct jq_buf *out) {
    static const struct jq_why_line lines[] = {
        {.why = JQ_WHY_LIMIT_RATE, .detail = TEXT("queue:default 100/h"), .number = 21500},
        {.why = JQ_WHY_NO_WORKER_FREE},
        {.why = JQ_WHY_WORKER_NO_ROOM, .worker = TEXT("w1"), .detail = TEXT("cpu"), .number = 500, .count = 3}};
    struct jq_task_row row = example_row();
    row.state = JQ_STATE_READY;
    row.outcome = JQ_OUTCOME_NONE;
    encode(out, (struct jq_reply_effect){
                    .op = JQ_OP_TASK_EXPLAIN, .request = 6, .u.explain = {.row = &row, .lines = lines, .count = 3}});
}

static void write_cancel_reply(struct jq_buf *out) {
    static const struct jq_exception exceptions[] = {{.index = 1, .status = JQ_REPLY_NOT_FOUND, .task = {7}}};
    encode(out, (struct jq_reply_effect){.op = JQ_OP_TASK_CANCEL,
                                         .request = 7,
                                         .u.many = {.count = 1, .exceptions = exceptions, .exception_count = 1}});
}

static void write_replay_reply(struct jq_buf *out) {
    encode(out, (struct jq_reply_effect){.op = JQ_OP_DEAD_REPLAY, .request = 8, .u.many.count = 2});
}

static void write_hold_reply(struct jq_buf *out) {
    static const jq_task_id samples[] = {{65537}, {65538}};
    encode(out, (struct jq_reply_effect){
                    .op = JQ_OP_TASK_HOLD,
                    .request = 8,
                    .u.many = {.selection = true, .matched = 2, .samples = samples, .sample_count = 2}});
}

static void write_events_reply(struct jq_buf *out) {
    const struct jq_event_row row = {.seq = 41084,
                                     .wall_ms = wall_ms,
                                     .event = "task.ended",
                                     .task = {65537},
                                     .queue = JQ_STR("default"),
                                     .handler = JQ_STR("zstd"),
                                     .state = JQ_STATE_DEAD,
                                     .outcome = JQ_OUTCOME_PROCESS_FAILURE,
                                     .attempts = 3};
    encode(out, (struct jq_reply_effect){
                    .op = JQ_OP_EVENTS_READ, .request = 12, .u.events = {.rows = &row, .count = 1, .next = 41084}});
}

static void write_output_taken(struct jq_buf *out) {
    assert_int_equal(jq_encode_output_taken(out, 22, true, NULL), JQ_OK);
}

static void write_logs(struct jq_buf *out) {
    static const uint8_t text[] = {'s', 't', 'e', 'p', ' ', '2', '\n'};
    const struct jq_logs_data data = {.known = true,
                                      .token = {UINT64_C(52776558133253)},
                                      .at = {7, 0},
                                      .end = {14, 0},
                                      .bytes = {{text, sizeof(text)}, {NULL, 0}}};
    assert_int_equal(jq_encode_logs(out, 23, &data, NULL), JQ_OK);
}

static void write_backup_point(struct jq_buf *out) {
    const struct jq_backup_point point = {
        .end_lsn = 4194408, .digest = UINT64_C(0x1f2e3d4c5b6a7988), .epoch = 3, .wall_ms = wall_ms};
    assert_int_equal(jq_encode_backup_point(out, 20, &point, NULL), JQ_OK);
}

static void write_backup_data(struct jq_buf *out) {
    static const uint8_t bytes[8] = {'J', 'Q', 'B', 'K', 1, 2, 3, 4};
    const struct jq_backup_data data = {.segment = 4194304, .size = 4200, .next = 0, .data = {bytes, sizeof(bytes)}};
    assert_int_equal(jq_encode_backup_data(out, 21, &data, NULL), JQ_OK);
}

static void write_queues_reply(struct jq_buf *out) {
    static const struct jq_queue_row row = {.name = TEXT("default"),
                                            .ready = 12,
                                            .running = 2,
                                            .finished = 300,
                                            .depth_max = 1000000,
                                            .weight = 1,
                                            .submitted_total = 314,
                                            .ended_total = 300,
                                            .drain_per_s = 41.5,
                                            .oldest_ready_ms = 290};
    encode(out, (struct jq_reply_effect){.op = JQ_OP_QUEUE_LS, .request = 9, .u.queues = {.rows = &row, .count = 1}});
}

static struct jq_worker_row example_worker(void) {
    static const struct jq_amount totals[] = {{TEXT("cpu"), 2000}, {TEXT("gpu"), 2000}, {TEXT("slots"), 2000}};
    static const uint64_t free_amounts[] = {1000, 1000, 1000};
    static const uint16_t indexes[] = {0, 1};
    static const struct jq_units units[] = {{TEXT("gpu"), indexes, 2}};
    static const struct jq_units units_free[] = {{TEXT("gpu"), indexes + 1, 1}};
    static const struct jq_name_value facts[] = {{TEXT("os"), TEXT("linux")}};
    static const struct jq_handler_def handlers[] = {
        {.name = TEXT("zstd"), .version = TEXT("1"), .need = TEXT("cpu=1"), .hard_limit_ms = 60000, .pure = true}};
    return (struct jq_worker_row){.name = JQ_STR("w1"),
                                  .id = worker_id,
                                  .registered = true,
                                  .alive = true,
                                  .doorbell = JQ_STR("ipc:///run/jqmesh/worker-w1.sock"),
                                  .leases = 1,
                                  .parked = 1,
                                  .seen_ms_ago = 120,
                                  .load_permille = 310,
                                  .memory_permille = 420,
                                  .totals = totals,
                                  .free = free_amounts,
                                  .offer_count = 3,
                                  .units = units,
                                  .units_free = units_free,
                                  .unit_count = 1,
                                  .facts = facts,
                                  .fact_count = 1,
                                  .handlers = handlers,
                                  .handler_count = 1};
}

static void write_worker_ls_reply(struct jq_buf *out) {
    const struct jq_worker_row row = example_worker();
    encode(out,
           (struct jq_reply_effect){.op = JQ_OP_WORKER_LS, .request = 10, .u.workers = {.rows = &row, .count = 1}});
}

static void write_worker_show_reply(struct jq_buf *out) {
    const struct jq_worker_row row = example_worker();
    encode(out,
           (struct jq_reply_effect){.op = JQ_OP_WORKER_SHOW, .request = 11, .u.workers = {.rows = &row, .count = 1}});
}

static void write_breakers_reply(struct jq_buf *out) {
    static const struct jq_breaker_row rows[] = {{.name = TEXT("service:smtp"),
                                                  .kind = JQ_BREAKER_SERVICE,
                                                  .state = JQ_BREAKER_OPEN,
                                                  .since_ms = 1000,
                                                  .until_ms = 31000,
                                                  .wall_offset_ms = wall_ms,
                                                  .cool_down_ms = 30000,
                                                  .handlers = TEXT("mail.send mail.bulk")},
                                                 {.name = TEXT("handler:zstd"), .calls = 12, .failures = 1}};
    encode(out,
           (struct jq_reply_effect){.op = JQ_OP_BREAKER_LS, .request = 13, .u.breakers = {.rows = rows, .count = 2}});
}

static void write_breaker_reply(struct jq_buf *out) {
    static const struct jq_breaker_row row = {.name = TEXT("handler:zstd"),
                                              .state = JQ_BREAKER_HALF_OPEN,
                                              .by_operator = true,
                                              .since_ms = 61000,
                                              .wall_offset_ms = wall_ms,
                                              .cool_down_ms = 60000,
                                              .probes_good = 2};
    encode(out,
           (struct jq_reply_effect){.op = JQ_OP_BREAKER_SHOW, .request = 14, .u.breakers = {.rows = &row, .count = 1}});
}

/* Every weekday at half past two in Berlin. */
static struct jq_schedule_row example_schedule(void) {
    static const uint8_t body[] = "\xc0\x82\xabjq-schedule\xa6report\xa6jq-due\xb4"
                                  "0000-00-00T00:00:00Z";
    return (struct jq_schedule_row){
        .def = {.name = JQ_STR("report"),
                .when = JQ_STR("30 2 * * mon-fri"),
                .zone = JQ_STR("Europe/Berlin"),
                .catch_up = JQ_CATCH_UP_LAST,
                .skip_overlap = true,
                .task = {.queue = JQ_STR("night"),
                         .handler = JQ_STR("zstd"),
                         .need = JQ_STR("cpu=1"),
                         .priority = 5,
                         .retry_max = 3,
                         .retry_base_ms = 1000,
                         .retry_cap_ms = 600000,
                         .result_ttl_ms = 86400000,
                         .body = {body, sizeof(body) - 1}}},
        .state = {.last_due_wall_ms = INT64_C(1767317400000), .last_task = {65537}, .fired = 12, .skipped = 1},
        .next_wall_ms = INT64_C(1767576600000),
        .place = 1};
}

static void write_schedules(struct jq_buf *out, enum jq_op op, struct jq_schedule_row row, uint64_t next) {
    encode(out,
           (struct jq_reply_effect){.op = op, .request = 14, .u.schedules = {.rows = &row, .count = 1, .next = next}});
}

static void write_schedule_ls_reply(struct jq_buf *out) {
    struct jq_schedule_row row = example_schedule();
    row.next_wall_ms = 0;
    row.trouble = "there is no such time zone here";
    write_schedules(out, JQ_OP_SCHEDULE_LS, row, 1);
}

static void write_schedule_show_reply(struct jq_buf *out) {
    struct jq_schedule_row row = example_schedule();
    row.times[row.time_count++] = row.next_wall_ms;
    row.times[row.time_count++] = row.next_wall_ms + 86400000;
    write_schedules(out, JQ_OP_SCHEDULE_SHOW, row, 0);
}

static void write_schedule_run_reply(struct jq_buf *out) {
    encode(out,
           (struct jq_reply_effect){.op = JQ_OP_SCHEDULE_RUN, .request = 13, .u.submit = {.first = 65540, .count = 1}});
}

static void write_server_reply(struct jq_buf *out) {
    static const struct jq_server_row row = {.epoch = 3,
                                             .tasks_live = 14,
                                             .ready = 12,
                                             .running = 2,
                                             .submitted_total = 314,
                                             .leased_total = 302,
                                             .ended_total = {[JQ_STATE_SUCCEEDED] = 300},
                                             .queues = 1,
                                             .workers = 1,
                                             .workers_alive = 1,
                                             .memory_bytes = 1048576};
    encode(out, (struct jq_reply_effect){.op = JQ_OP_SERVER_STATUS, .request = 12, .u.server = row});
}

static void write_begin_reply(struct jq_buf *out) {
    encode(out,
           (struct jq_reply_effect){.op = JQ_OP_FLOW_BEGIN, .request = 13, .u.stage = {.flow = 65600, .count = 3}});
}

static void write_add_reply(struct jq_buf *out) {
    encode(out, (struct jq_reply_effect){
                    .op = JQ_OP_FLOW_ADD, .request = 14, .u.stage = {.flow = 65600, .count = 3, .unmatched = true}});
}

static struct jq_flow_row example_flow(void) {
    return (struct jq_flow_row){.flow = 65600,
                                .name = JQ_STR("nightly"),
                                .state = "running",
                                .at_ms = 3000,
                                .wall_offset_ms = wall_ms,
                                .total = 3,
                                .waiting = 1,
                                .running = 1,
                                .succeeded = 1};
}

static void write_flow_show_reply(struct jq_buf *out) {
    static const jq_task_id after[] = {{65600}, {65601}};
    static const struct jq_member_row members[] = {
        {.id = {65600}, .state = JQ_STATE_SUCCEEDED, .outcome = JQ_OUTCOME_SUCCESS, .handler = TEXT("zstd")},
        {.id = {65602},
         .state = JQ_STATE_WAITING,
         .handler = TEXT("report"),
         .on = JQ_ON_FINISHED,
         .after = after,
         .after_count = 2}};
    const struct jq_flow_row row = example_flow();
    encode(out, (struct jq_reply_effect){
                    .op = JQ_OP_FLOW_SHOW,
                    .request = 16,
                    .u.flows = {.rows = &row, .count = 1, .members = members, .member_count = 2, .next = 3}});
}

static void write_flow_ls_reply(struct jq_buf *out) {
    const struct jq_flow_row row = example_flow();
    encode(out, (struct jq_reply_effect){.op = JQ_OP_FLOW_LS, .request = 17, .u.flows = {.rows = &row, .count = 1}});
}

static void write_limits_reply(struct jq_buf *out) {
    static const struct jq_limit_row rows[] = {
        {.number = 1, .scope = TEXT("queue:cad.step"), .concurrency = 4, .running = 4, .held = 1},
        {.number = 2, .scope = TEXT("group:mail/*"), .rate = {100, 3600000}, .burst = 1, .groups = 31, .held = 2}};
    encode(out, (struct jq_reply_effect){.op = JQ_OP_LIMIT_LS, .request = 19, .u.limits = {.rows = rows, .count = 2}});
}

static const uint8_t blob_hash[JQ_BLOB_HASH_SIZE] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
                                                     0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
                                                     0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};

static void write_blob_put_reply(struct jq_buf *out) {
    encode(out, (struct jq_reply_effect){.op = JQ_OP_BLOB_PUT, .request = 22, .u.blob = {.have = 49152}});
}

static void write_blob_draft_reply(struct jq_buf *out) {
    encode(out, (struct jq_reply_effect){.op = JQ_OP_BLOB_PUT, .request = 22, .u.blob = {.draft = true}});
}

static void write_blob_get_reply(struct jq_buf *out) {
    static const uint8_t data[] = {0x73, 0x6f, 0x6c, 0x69, 0x64};
    encode(out, (struct jq_reply_effect){
                    .op = JQ_OP_BLOB_GET, .request = 23, .u.blob = {.have = 5, .data = {data, sizeof(data)}}});
}

static void write_blobs_reply(struct jq_buf *out) {
    const struct jq_blob_row rows[] = {
        {.number = 1, .hash = blob_hash, .size = 49157, .stored = true, .refs = 2, .idle_ms = -1}};
    encode(out, (struct jq_reply_effect){.op = JQ_OP_BLOB_LS,
                                         .request = 24,
                                         .u.blobs = {.rows = rows, .count = 1, .total = 1, .total_bytes = 49157}});
}

static void write_cache_reply(struct jq_buf *out) {
    encode(out, (struct jq_reply_effect){.op = JQ_OP_CACHE_STAT,
                                         .request = 25,
                                         .u.cache = {.entries = 2,
                                                     .entries_max = 100000,
                                                     .bytes = 1240,
                                                     .bytes_max = 67108864,
                                                     .output_bytes = 49157,
                                                     .output_bytes_max = 1073741824,
                                                     .hits_total = 7,
                                                     .misses_total = 3,
                                                     .stored_total = 3,
                                                     .evicted_total = 1}});
}

static void write_survey(struct jq_buf *out) {
    jq_buf_clear(out);
    jq_survey_write(out, &(struct jq_survey){.survey = 71, .epoch = 3});
}

static void write_survey_response(struct jq_buf *out) {
    const struct jq_survey_answer answer = {.survey = 71,
                                            .session = session,
                                            .incarnation = 4242,
                                            .held_count = 1,
                                            .held_sum = jq_hash_u64(token),
                                            .load_permille = 310,
                                            .memory_permille = 420,
                                            .progress = {{{65537}, 400, JQ_STR("meshing")}},
                                            .progress_count = 1};
    jq_buf_clear(out);
    jq_survey_answer_write(out, &answer);
}

static void write_notice(struct jq_buf *out) {
    jq_buf_clear(out);
    jq_notice_write(out, &(struct jq_notice){'w', JQ_STR("w1"), JQ_STR("command"), {0}});
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

/* One line each: the table reads best so. */
/* clang-format off */
#define SENDER    "h'000102030405060708090a0b0c0d0e0f'"
#define SESSION   "h'a0a1a2a3a4a5a6a7a8a9aaabacadaeaf'"
#define WORKER_ID "h'b0b1b2b3b4b5b6b7b8b9babbbcbdbebf'"
#define ASK(op, id, body) "[1, \"" op "\", " SENDER ", " id ", " id ", null, " body "]"

#define REQUEST(op, id, message, body) {op, EXAMPLE_REQUEST, ASK(op, id, body), NULL, &jq_message_##message}
#define REPLY(name, write, message)    {name, EXAMPLE_REPLY, NULL, write, &jq_message_##message}
#define OTHER(name, write, message)    {name, EXAMPLE_OTHER, NULL, write, &jq_message_##message}

const struct example examples[] = {
    REQUEST("hello", "1", hello, "{\"name\": \"jqctl\", \"version\": \"0.1.0\"}"),
    REPLY("hello reply", write_hello_reply, hello_reply),
    REPLY("refusal", write_refusal, refusal),
    REQUEST("register", "1", register,
        "{\"id\": " WORKER_ID ", \"name\": \"w1\", \"incarnation\": 4242, \"offers\": {\"cpu\": 2000, \"gpu\": 2000, \"slots\": 2000},"
        " \"units\": {\"gpu\": [0, 1]}, \"facts\": {\"os\": \"linux\"}, \"handlers\": [{\"name\": \"zstd\", \"version\": \"1\", \"need\": \"cpu=1\","
        " \"hard_limit_ms\": 60000, \"pure\": true}], \"doorbell\": \"ipc:///run/jqmesh/worker-w1.sock\"}"),
    REPLY("register reply", write_register_reply, register_reply),
    REQUEST("submit", "2", submit,
        "{\"tasks\": [{\"handler\": \"zstd\", \"payload\": h'81a466696c65a3612e62', \"need\": \"cpu=1\","
        " \"headers\": {\"traceparent\": \"00-4bf9-00f0-01\"}}, {\"handler\": \"zstd\", \"need\": \"mem=1X\"},"
        " {\"handler\": \"zstd\", \"queue\": \"night\", \"group\": \"acme\", \"priority\": 3, \"delay_ms\": 5000, \"key\": \"a.b\","
        " \"retry\": {\"max\": 5}}]}"),
    REPLY("submit reply", write_submit_reply, submit_reply),
    REPLY("submit refused", write_busy_reply, refusal),
    REQUEST("lease", "3", lease,
        "{\"session\": " SESSION ", \"want\": 1, \"wait_ms\": 20000, \"reports\": [[65499, 52776558133251, 1, false,"
        " {\"result\": h'2a', \"exit\": 0, \"duration_ms\": 1520}]]}"),
    REPLY("lease reply", write_lease_reply, lease_reply),
    REQUEST("report", "4", report,
        "{\"session\": " SESSION ", \"reports\": [[65537, 52776558133253, 4, false, {\"exit\": 1,"
        " \"message\": \"no such file: a.b\", \"stderr\": h'6e6f2073756368', \"duration_ms\": 12}]]}"),
    REPLY("report reply", write_report_reply, report_reply),
    REQUEST("wait", "5", wait, "{\"ids\": [65537, 65538], \"wait_ms\": 20000}"),
    REPLY("wait reply", write_wait_reply, tasks_reply),
    REQUEST("task.show", "5", task_id, "{\"id\": 65537}"),
    REPLY("task.show reply", write_show_reply, tasks_reply),
    REQUEST("task.ls", "5", task_ls, "{\"limit\": 1, \"queue\": \"default\", \"states\": [\"ready\", \"running\"]}"),
    REPLY("task.ls reply", write_ls_reply, tasks_reply),
    REQUEST("task.explain", "6", task_id, "{\"id\": 65537}"),
    REPLY("task.explain reply", write_explain_reply, explain_reply),
    REQUEST("task.cancel", "7", task_cancel, "{\"ids\": [65537, 7], \"grace_ms\": 5000}"),
    REPLY("task.cancel reply", write_cancel_reply, many_reply),
    REQUEST("dead.replay", "8", dead_replay, "{\"ids\": [65537, 65538], \"interval_us\": 100000}"),
    REPLY("dead.replay reply", write_replay_reply, many_reply),
    REQUEST("dead.rm", "8", task_ids, "{\"ids\": [65537, 65538]}"),
    REQUEST("dead.edit", "8", dead_edit,
        "{\"id\": 65537, \"version\": 4096, \"payload\": h'81a466696c65a3612e63', \"priority\": 7, \"retry\": {\"max\": 5}}"),
    REQUEST("task.hold", "8", task_ids, "{\"where\": \"queue=cad state=ready handler=cad.*\", \"dry_run\": true}"),
    REPLY("task.hold reply", write_hold_reply, many_reply),
    REQUEST("task.release", "8", task_ids, "{\"ids\": [65537]}"),
    REQUEST("task.move", "8", task_move, "{\"where\": \"queue=cad age>1h\", \"queue\": \"night\"}"),
    REQUEST("task.rm", "8", task_ids, "{\"where\": \"state=dead error~OCC\"}"),
    REQUEST("queue.ls", "9", queue_ls, "{}"),
    REPLY("queue.ls reply", write_queues_reply, queues_reply),
    REQUEST("queue.set", "9", queue_set,
        "{\"name\": \"default\", \"paused\": true, \"until_ms\": 1767326645000, \"weight\": 3, \"policy\": "
        "\"block\"}"),
    REQUEST("worker.ls", "10", worker_ls, "{}"),
    REPLY("worker.ls reply", write_worker_ls_reply, workers_reply),
    REQUEST("worker.show", "11", worker_show, "{\"name\": \"w1\"}"),
    REPLY("worker.show reply", write_worker_show_reply, workers_reply),
    REQUEST("worker.drain", "11", worker_drain, "{\"name\": \"w1\", \"draining\": true}"),
    REQUEST("breaker.ls", "13", breaker_ls, "{\"not_closed\": false}"),
    REPLY("breaker.ls reply", write_breakers_reply, breakers_reply),
    REQUEST("breaker.show", "14", breaker_name, "{\"name\": \"handler:zstd\"}"),
    REPLY("breaker.show reply", write_breaker_reply, breakers_reply),
    REQUEST("breaker.trip", "15", breaker_trip, "{\"name\": \"service:smtp\", \"for_ms\": 600000}"),
    REQUEST("breaker.reset", "16", breaker_name, "{\"name\": \"service:smtp\"}"),
    REQUEST("schedule.set", "13", schedule_set,
        "{\"name\": \"report\", \"when\": \"30 2 * * mon-fri\", \"zone\": \"Europe/Berlin\", \"overlap\": \"skip\","
        " \"task\": {\"handler\": \"zstd\", \"queue\": \"night\", \"need\": \"cpu=1\"}}"),
    REQUEST("schedule.rm", "13", schedule_name, "{\"name\": \"report\"}"),
    REQUEST("schedule.pause", "13", schedule_pause, "{\"name\": \"report\", \"paused\": true}"),
    REQUEST("schedule.run", "13", schedule_name, "{\"name\": \"report\"}"),
    REPLY("schedule.run reply", write_schedule_run_reply, submit_reply),
    REQUEST("schedule.ls", "14", schedule_ls, "{\"limit\": 1}"),
    REPLY("schedule.ls reply", write_schedule_ls_reply, schedules_reply),
    REQUEST("schedule.show", "14", schedule_name, "{\"name\": \"report\"}"),
    REPLY("schedule.show reply", write_schedule_show_reply, schedules_reply),
    REQUEST("events.read", "12", events_read, "{\"after\": 40960, \"wait_ms\": 20000, \"where\": \"state=dead\"}"),
    REPLY("events.read reply", write_events_reply, events_reply),
    REQUEST("backup.begin", "20", none, "{}"),
    REPLY("backup.begin reply", write_backup_point, backup_point),
    REQUEST("backup.read", "21", backup_read, "{\"segment\": 4194304, \"offset\": 4096, \"end_lsn\": 4194408}"),
    REPLY("backup.read reply", write_backup_data, backup_data),
    REQUEST("output.put", "22", output_put,
        "{\"session\": " SESSION ", \"task\": 65537, \"token\": 52776558133253, \"stdout_at\": 7, \"stdout\": h'7374657020320a'}"),
    REPLY("output.put reply", write_output_taken, output_taken),
    REQUEST("task.logs", "23", task_logs, "{\"id\": 65537, \"stdout_at\": 7}"),
    REPLY("task.logs reply", write_logs, logs),
    REQUEST("server.status", "12", none, "{}"),
    REPLY("server.status reply", write_server_reply, server),
    REQUEST("flow.begin", "13", flow_begin, "{\"count\": 3, \"name\": \"nightly\"}"),
    REPLY("flow.begin reply", write_begin_reply, flow_stage_reply),
    REQUEST("flow.add", "14", flow_add,
        "{\"flow\": 65600, \"at\": 0, \"tasks\": [{\"handler\": \"zstd\"}, {\"handler\": \"zstd\"}, {\"handler\": \"report\","
        " \"after\": [65600, 65601], \"on\": \"finished\"}]}"),
    REPLY("flow.add reply", write_add_reply, flow_stage_reply),
    REQUEST("flow.commit", "15", flow_commit, "{\"flow\": 65600, \"count\": 3}"),
    REQUEST("flow.cancel", "15", flow_cancel, "{\"flow\": 65600, \"grace_ms\": 5000}"),
    REQUEST("flow.show", "16", flow_show, "{\"flow\": 65600, \"limit\": 100}"),
    REPLY("flow.show reply", write_flow_show_reply, flows_reply),
    REQUEST("flow.ls", "17", flow_ls, "{\"after\": 0}"),
    REPLY("flow.ls reply", write_flow_ls_reply, flows_reply),
    REQUEST("flow.wait", "18", flow_wait, "{\"flow\": 65600, \"wait_ms\": 20000}"),
    REQUEST("limit.set", "19", limit_set, "{\"scope\": \"group:mail/*\", \"rate\": \"100/h\"}"),
    REQUEST("limit.ls", "19", limit_ls, "{}"),
    REPLY("limit.ls reply", write_limits_reply, limits_reply),
    REQUEST("limit.rm", "20", limit_rm, "{\"scope\": \"group:mail/*\"}"),
    REQUEST("blob.put", "22", blob_put,
        "{\"hash\": h'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', \"size\": 49157,"
        " \"offset\": 49152, \"data\": h'736f6c6964'}"),
    REPLY("blob.put reply", write_blob_put_reply, blob_put_reply),
    REPLY("blob.put reply to a draft", write_blob_draft_reply, blob_put_reply),
    REQUEST("blob.get", "23", blob_get,
        "{\"hash\": h'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', \"offset\": 0}"),
    REPLY("blob.get reply", write_blob_get_reply, blob_get_reply),
    REQUEST("blob.stat", "24", blob_stat,
        "{\"hash\": h'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'}"),
    REQUEST("blob.ls", "24", blob_ls, "{\"limit\": 100}"),
    REPLY("blob.ls reply", write_blobs_reply, blobs_reply),
    REQUEST("blob.gc", "25", none, "{}"),
    REQUEST("cache.stat", "25", none, "{}"),
    REPLY("cache.stat reply", write_cache_reply, cache_reply),
    REQUEST("cache.purge", "26", none, "{}"),
    OTHER("survey", write_survey, survey),
    OTHER("survey response", write_survey_response, survey_response),
    OTHER("notice", write_notice, notice),
};
/* clang-format on */
const size_t examples_count = sizeof(examples) / sizeof(examples[0]);

void example_frame(const struct example *example, struct jq_buf *out) {
    jq_buf_clear(out);
    if (example->text)
        notation_pack(out, example->text);
    else
        example->write(out);
}
