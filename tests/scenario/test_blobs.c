/* Blobs: what is stored, who refers to it, and when it goes. The files themselves are the shell's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/core/files.h"
#include "tests/lib/lab.h"

enum { GRACE_MS = 60000, TTL_MS = 1000, SIZE = 100000, SEGMENT = 8 * 1024 };

static const uint8_t part[JQ_BLOB_HASH_SIZE] = {1, 2, 3};
static const uint8_t mesh[JQ_BLOB_HASH_SIZE] = {9, 8, 7};

static struct lab *lab_of(void) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = config.classes_max = config.options_max = 64;
    config.log_slack_bytes = SEGMENT;
    config.blob_grace_ms = GRACE_MS;
    config.blobs_max = 4;
    return lab_new_with(&config);
}

/* All of it has come and is on disk, as the shell tells. */
static const struct jq_reply_effect *store(struct lab *lab, const uint8_t *hash, uint32_t version) {
    struct jq_request request = lab_request(lab, JQ_OP_BLOB_PUT);
    request.u.blob.hash = hash;
    request.u.blob.size = SIZE;
    request.u.blob.version = version;
    request.u.blob.arrived = true;
    return lab_ask(lab, &request);
}

/* Somebody would put it: is it there? */
static bool asked_for(struct lab *lab, const uint8_t *hash) {
    struct jq_request request = lab_request(lab, JQ_OP_BLOB_PUT);
    request.u.blob.hash = hash;
    request.u.blob.size = SIZE;
    request.u.blob.on_disk = true;
    return lab_ask(lab, &request)->u.blob.whole;
}

static struct jq_blob_row row_of(struct lab *lab, const uint8_t *hash) {
    struct jq_request request = lab_request(lab, JQ_OP_BLOB_LS);
    request.u.blob.limit = 100;
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    for (size_t i = 0; i < reply->u.blobs.count; i++) {
        if (memcmp(reply->u.blobs.rows[i].hash, hash, JQ_BLOB_HASH_SIZE) == 0) {
            return reply->u.blobs.rows[i];
        }
    }
    return (struct jq_blob_row){.hash = NULL};
}

static struct jq_bytes files_of(struct jq_buf *buf, enum jq_file_kind kind, const char *name, const uint8_t *hash) {
    const struct jq_file file = {kind, jq_str_of(name), hash};
    jq_files_append(buf, &file);
    return jq_buf_bytes(buf);
}

static const struct jq_reply_effect *submit_with(struct lab *lab, const uint8_t *hash) {
    struct jq_submit_item item = lab_item();
    struct jq_buf buf;
    jq_buf_init(&buf, 1000);
    item.result_ttl_ms = TTL_MS;
    item.files = files_of(&buf, JQ_FILE_INPUT, "part", hash);
    const struct jq_reply_effect *reply = submit_items(lab, &item, 1);
    jq_buf_fini(&buf);
    return reply;
}

static void finish_with(struct lab *lab, const uint8_t *made) {
    struct jq_buf buf;
    jq_buf_init(&buf, 1000);
    const jq_lease_token token = lease_task(lab, "worker-1");
    const struct jq_report report = {.outcome = JQ_OUTCOME_SUCCESS, .made = files_of(&buf, JQ_FILE_MADE, "mesh", made)};
    assert_int_equal(report_as(lab, token, report), JQ_REPLY_OK);
    jq_buf_fini(&buf);
}

/* A blob stays as long as a task that is remembered refers to it, and then for its grace time: the record that it is gone comes first,
 * and its file with that. */
static void a_blob_lives_as_long_as_its_tasks_and_a_grace_time(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    assert_true(store(lab, part, 1)->u.blob.whole);
    assert_int_equal(submit_with(lab, part)->u.submit.exception_count, 0);
    advance_ms(lab, 10 * GRACE_MS);
    assert_int_equal(row_of(lab, part).refs, 1);
    assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
    advance_ms(lab, TTL_MS);
    assert_int_equal(row_of(lab, part).refs, 0);
    advance_ms(lab, GRACE_MS - 1);
    assert_true(row_of(lab, part).stored);
    advance_ms(lab, 1);
    assert_null(row_of(lab, part).hash);
    assert_int_equal(lab->drops, 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* What nobody refers to stays for its grace time since it was put or asked for; a start begins it anew. */
static void asking_for_a_blob_keeps_it(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    (void)store(lab, part, 1);
    advance_ms(lab, GRACE_MS - 1);
    assert_true(asked_for(lab, part));
    advance_ms(lab, GRACE_MS - 1);
    assert_true(row_of(lab, part).stored);
    restart_broker(lab);
    advance_ms(lab, GRACE_MS - 1);
    assert_true(row_of(lab, part).stored);
    advance_ms(lab, 1);
    assert_null(row_of(lab, part).hash);
    assert_false(asked_for(lab, part));
    lab_free(lab);
}

/* A task that names a blob which is not stored is refused, naming the file; nothing of it is kept. */
static void a_task_without_its_blob_is_refused(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    const struct jq_reply_effect *reply = submit_with(lab, part);
    assert_int_equal(reply->u.submit.exception_count, 1);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_NOT_FOUND);
    assert_string_equal(reply->u.submit.exceptions[0].field, "inputs");
    assert_string_equal(reply->u.submit.exceptions[0].reason, "part: its blob is not stored");
    assert_null(row_of(lab, part).hash);
    lab_free(lab);
}

/* The worker is told of the files; what it has left is referred to by the task, but for what was collected meanwhile. */
static void outputs_are_kept_with_the_task(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    (void)store(lab, part, 1);
    (void)submit_with(lab, part);
    const struct jq_reply_effect *ended = submit_with(lab, part);
    assert_int_equal(ended->u.submit.exception_count, 0);
    (void)store(lab, mesh, 2);
    finish_with(lab, mesh);
    assert_int_equal(row_of(lab, mesh).refs, 1);
    assert_int_equal(row_of(lab, part).refs, 2);
    static const uint8_t unknown[JQ_BLOB_HASH_SIZE] = {5};
    finish_with(lab, unknown);
    assert_null(row_of(lab, unknown).hash);
    expect_replay_matches_live(lab);
    restart_broker(lab);
    assert_int_equal(row_of(lab, mesh).refs, 1);
    lab_free(lab);
}

static const struct jq_reply_effect *set_hourly(struct lab *lab, struct jq_bytes files) {
    static const uint8_t body[] = "payload and headers 0000-00-00T00:00:00Z";
    struct jq_request request = lab_request(lab, JQ_OP_SCHEDULE_SET);
    request.u.schedule.def = (struct jq_schedule_def){.name = JQ_STR("hourly"),
                                                      .when = JQ_STR("@hourly"),
                                                      .zone = JQ_STR("UTC"),
                                                      .catch_up = JQ_CATCH_UP_LAST,
                                                      .task = lab_item()};
    request.u.schedule.def.task.body = (struct jq_bytes){body, sizeof(body) - 1};
    request.u.schedule.def.task.files = files;
    return lab_ask(lab, &request);
}

static const struct jq_reply_effect *ask_about_hourly(struct lab *lab, enum jq_op op) {
    struct jq_request request = lab_request(lab, op);
    request.u.named.name = JQ_STR("hourly");
    return lab_ask(lab, &request);
}

/* What a schedule's task reads is there when it comes due: its blob is asked for when it is set, stays as long as the schedule does, through
 * restarts, and goes with it. One that is lost all the same is told of, and waited for. */
static void a_blob_lives_as_long_as_its_schedule(void **state) {
    enum { HOUR = 3600 * 1000 };
    struct lab *lab = lab_of();
    struct jq_buf buf;
    (void)state;
    jq_buf_init(&buf, 100);
    const struct jq_bytes files = files_of(&buf, JQ_FILE_INPUT, "part", part);
    assert_int_equal(set_hourly(lab, files)->status, JQ_REPLY_NOT_FOUND);
    assert_true(store(lab, part, 1)->u.blob.whole);
    assert_int_equal(set_hourly(lab, files)->status, JQ_REPLY_OK);
    advance_ms(lab, 3 * GRACE_MS);
    restart_broker(lab);
    advance_ms(lab, 5 * HOUR);
    assert_int_equal(row_of(lab, part).refs, 1 + 5);
    struct jq_event lost = {.type = JQ_EVENT_BLOB_LOST, .u.blob_lost = {.hash = part}}; /* a start knows no versions */
    lab_step(lab, &lost);
    advance_ms(lab, HOUR);
    assert_string_equal(ask_about_hourly(lab, JQ_OP_SCHEDULE_SHOW)->u.schedules.rows[0].trouble,
                        "the blob of one of its inputs is not stored");
    assert_true(store(lab, part, 2)->u.blob.whole);
    advance_ms(lab, HOUR);
    assert_int_equal(row_of(lab, part).refs, 1 + 7);
    assert_int_equal(ask_about_hourly(lab, JQ_OP_SCHEDULE_RM)->status, JQ_REPLY_OK);
    assert_int_equal(row_of(lab, part).refs, 7);
    jq_buf_fini(&buf);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A blob whose file is lost is no longer stored, but its tasks still name it: put again, it is as before. News of an older file of it
 * changes nothing. */
static void a_lost_blob_can_be_put_again(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    (void)store(lab, part, 1);
    (void)submit_with(lab, part);
    struct jq_event lost = {.type = JQ_EVENT_BLOB_LOST, .u.blob_lost = {.hash = part, .version = 1}};
    lab_step(lab, &lost);
    lab_step(lab, &lost); /* two came upon it */
    assert_false(row_of(lab, part).stored);
    assert_int_equal(row_of(lab, part).refs, 1);
    lost.u.blob_lost.hash = mesh; /* nobody has ever put it */
    lab_step(lab, &lost);
    lost.u.blob_lost.hash = part;
    assert_int_equal(submit_with(lab, part)->u.submit.exception_count, 1);
    (void)store(lab, part, 2);
    lab_step(lab, &lost);
    assert_true(row_of(lab, part).stored);
    assert_int_equal(submit_with(lab, part)->u.submit.exception_count, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

static enum jq_reply collect(struct lab *lab, uint32_t *ret_count) {
    struct jq_request request = lab_request(lab, JQ_OP_BLOB_GC);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    *ret_count = reply->u.many.count;
    return reply->status;
}

/* blob.gc does not wait for the grace time, and leaves what tasks refer to; beyond blobs_max a put is not begun. */
static void collecting_and_the_bound(void **state) {
    struct lab *lab = lab_of();
    uint32_t count = 0;
    (void)state;
    (void)store(lab, part, 1);
    (void)submit_with(lab, part);
    for (uint8_t i = 0; i < 3; i++) {
        const uint8_t hash[JQ_BLOB_HASH_SIZE] = {100, i};
        (void)store(lab, hash, i + 2u);
    }
    struct jq_request begin = lab_request(lab, JQ_OP_BLOB_PUT);
    begin.u.blob.hash = mesh;
    const struct jq_reply_effect *full = lab_ask(lab, &begin);
    assert_int_equal(full->status, JQ_REPLY_BUSY);
    assert_string_equal(full->field, "blobs_max");
    assert_int_equal(store(lab, mesh, 9)->status, JQ_REPLY_BUSY); /* nor is one kept whose pieces came unasked */
    assert_int_equal(lab->drops, 1);
    assert_int_equal(collect(lab, &count), JQ_REPLY_OK);
    assert_int_equal(count, 3);
    assert_int_equal(lab->drops, 4);
    assert_true(row_of(lab, part).stored);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Before it serves, the shell asks what should be on disk: all that is stored, and nothing that is only referred to. */
static void a_start_knows_what_should_be_on_disk(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    (void)store(lab, part, 1);
    (void)store(lab, mesh, 2);
    (void)submit_with(lab, part);
    struct jq_event lost = {.type = JQ_EVENT_BLOB_LOST, .u.blob_lost = {.hash = part, .version = 1}};
    lab_step(lab, &lost);
    struct jq_blob_row row;
    uint32_t at = 0;
    assert_true(jq_core_blob_next(lab->core, &at, &row));
    assert_memory_equal(row.hash, mesh, JQ_BLOB_HASH_SIZE);
    assert_false(jq_core_blob_next(lab->core, &at, &row));
    assert_true(jq_core_blob_known(lab->core, mesh));
    assert_false(jq_core_blob_known(lab->core, part));
    const uint8_t unknown[JQ_BLOB_HASH_SIZE] = {5};
    assert_false(jq_core_blob_known(lab->core, unknown));
    uint32_t count = 0;
    assert_int_equal(collect(lab, &count), JQ_REPLY_OK); /* the mesh, to which nobody refers */
    at = 0;
    assert_false(jq_core_blob_next(lab->core, &at, &row));
    lab_free(lab);
}

/* What tasks refer to, and what is stored, outlives the part of the log in which it stood: the submit, the end with its outputs, the
 * records of the blobs. */
static void references_outlive_the_log_that_told_of_them(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    (void)store(lab, part, 1);
    (void)store(lab, mesh, 2);
    struct jq_submit_item item = lab_item();
    struct jq_buf buf;
    jq_buf_init(&buf, 1000);
    item.files = files_of(&buf, JQ_FILE_INPUT, "part", part);
    (void)submit_item(lab, &item);
    finish_with(lab, mesh);
    item.delay_ms = INT64_C(1000000000);
    (void)submit_item(lab, &item);
    jq_buf_fini(&buf);
    const uint64_t end_lsn = lab->log.end_lsn;
    while (lab->log.entries[lab->log.first].lsn < end_lsn) {
        for (uint64_t until = lab->log.end_lsn + SEGMENT; lab->log.end_lsn < until;) {
            struct jq_submit_item other = lab_item();
            other.result_ttl_ms = 0;
            (void)submit_item(lab, &other);
            advance_ms(lab, 50);
            assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
        }
        lab_prologue(lab);
        corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    }
    restart_broker(lab);
    assert_int_equal(row_of(lab, part).refs, 2);
    assert_int_equal(row_of(lab, mesh).refs, 1);
    assert_true(row_of(lab, mesh).stored);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Content that is put twice is stored once, with the newer file: news that the older one is lost changes nothing. Who knows the hash
 * may ask how much of it is there. */
static void content_that_comes_twice_is_stored_once(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    struct jq_request ask = lab_request(lab, JQ_OP_BLOB_STAT);
    ask.u.blob.hash = part;
    ask.u.blob.have = 40;
    assert_int_equal(lab_ask(lab, &ask)->u.blobs.rows[0].have, 40); /* of it so much has come */
    assert_true(store(lab, part, 1)->u.blob.whole);
    const uint64_t end_lsn = lab->log.end_lsn;
    assert_true(store(lab, part, 2)->u.blob.whole);
    assert_int_equal(lab->log.end_lsn, end_lsn);
    struct jq_event lost = {.type = JQ_EVENT_BLOB_LOST, .u.blob_lost = {.hash = part, .version = 1}};
    lab_step(lab, &lost);
    const struct jq_reply_effect *reply = lab_ask(lab, &ask);
    assert_true(reply->u.blobs.rows[0].stored);
    assert_int_equal(reply->u.blobs.rows[0].have, SIZE);
    assert_int_equal(reply->u.blobs.total, 1);
    lab_free(lab);
}

/* The same collection asked for again is told the same, and collects nothing more. */
static void collecting_again_is_told_the_same(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    (void)store(lab, part, 1);
    struct jq_request request = lab_request(lab, JQ_OP_BLOB_GC);
    assert_int_equal(lab_ask(lab, &request)->u.many.count, 1);
    (void)store(lab, mesh, 2);
    assert_int_equal(lab_ask(lab, &request)->u.many.count, 1);
    assert_true(row_of(lab, mesh).stored);
    lab_free(lab);
}

/* Names of outputs that a task is to leave stand among its files without a content: they refer to nothing. */
static void outputs_to_be_made_refer_to_nothing(void **state) {
    struct lab *lab = lab_of();
    struct jq_submit_item item = lab_item();
    struct jq_buf buf;
    (void)state;
    (void)store(lab, part, 1);
    jq_buf_init(&buf, 1000);
    (void)files_of(&buf, JQ_FILE_INPUT, "part", part);
    item.files = files_of(&buf, JQ_FILE_OUTPUT, "mesh", NULL);
    const jq_task_id task = submit_item(lab, &item);
    assert_true(jq_files_valid(item.files));
    assert_int_equal(row_of(lab, part).refs, 1);
    assert_int_equal(task_row_of(lab, task).files.size, item.files.size);
    expect_replay_matches_live(lab);
    jq_buf_fini(&buf);
    lab_free(lab);
}

/* A flow whose task names content that is not stored is not taken, by the name of that task. */
static void a_flow_without_its_blob_is_refused(void **state) {
    struct lab *lab = lab_of();
    struct jq_submit_item item = lab_item();
    struct jq_buf buf;
    (void)state;
    struct jq_request begin = lab_request(lab, JQ_OP_FLOW_BEGIN);
    begin.u.flow.count = 1;
    struct jq_request add = lab_request(lab, JQ_OP_FLOW_ADD);
    add.u.submit.flow = lab_ask(lab, &begin)->u.stage.flow;
    jq_buf_init(&buf, 1000);
    item.files = files_of(&buf, JQ_FILE_INPUT, "part", part);
    add.u.submit.items = &item;
    add.u.submit.count = 1;
    const struct jq_reply_effect *reply = lab_ask(lab, &add);
    assert_int_equal(reply->status, JQ_REPLY_NOT_FOUND);
    assert_string_equal(reply->field, "tasks[0].inputs");
    jq_buf_fini(&buf);
    lab_free(lab);
}

/* A draft may have any name, that of a stored blob too: it is another thing, and its putter hears what the store says of it. Beyond
 * blobs_max none is begun. */
static void the_name_of_a_draft_is_no_hash(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    (void)store(lab, part, 1);
    struct jq_request begin = lab_request(lab, JQ_OP_BLOB_PUT);
    begin.u.blob.hash = part;
    begin.u.blob.draft = begin.u.blob.draft_taken = true;
    begin.u.blob.have = 40;
    const struct jq_reply_effect *reply = lab_ask(lab, &begin);
    assert_true(reply->u.blob.draft);
    assert_int_equal(reply->u.blob.have, 40);
    assert_false(reply->u.blob.whole);
    begin = lab_request(lab, JQ_OP_BLOB_PUT);
    begin.u.blob.hash = mesh;
    begin.u.blob.draft = true;
    assert_false(lab_ask(lab, &begin)->u.blob.draft);
    for (uint8_t i = 0; i < 3; i++) {
        const uint8_t hash[JQ_BLOB_HASH_SIZE] = {100, i};
        (void)store(lab, hash, i + 2u);
    }
    begin = lab_request(lab, JQ_OP_BLOB_PUT);
    begin.u.blob.hash = mesh;
    begin.u.blob.draft = begin.u.blob.draft_taken = true;
    assert_int_equal(lab_ask(lab, &begin)->status, JQ_REPLY_BUSY);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blob_lives_as_long_as_its_tasks_and_a_grace_time),
        cmocka_unit_test(asking_for_a_blob_keeps_it),
        cmocka_unit_test(a_task_without_its_blob_is_refused),
        cmocka_unit_test(outputs_are_kept_with_the_task),
        cmocka_unit_test(a_blob_lives_as_long_as_its_schedule),
        cmocka_unit_test(a_lost_blob_can_be_put_again),
        cmocka_unit_test(collecting_and_the_bound),
        cmocka_unit_test(references_outlive_the_log_that_told_of_them),
        cmocka_unit_test(content_that_comes_twice_is_stored_once),
        cmocka_unit_test(collecting_again_is_told_the_same),
        cmocka_unit_test(a_start_knows_what_should_be_on_disk),
        cmocka_unit_test(outputs_to_be_made_refer_to_nothing),
        cmocka_unit_test(a_flow_without_its_blob_is_refused),
        cmocka_unit_test(the_name_of_a_draft_is_no_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
