/* The cache of results: the same question of a pure handler is answered without a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/core/files.h"
#include "tests/lib/lab.h"

enum { TTL_MS = 1000, GRACE_MS = 60000, OUTPUT_SIZE = 100000, SEGMENT = 8 * 1024, RESULT_SIZE = 300 };

static const uint8_t part[JQ_BLOB_HASH_SIZE] = {1, 2, 3};
static const uint8_t other_part[JQ_BLOB_HASH_SIZE] = {3, 2, 1};
static const uint8_t mesh[JQ_BLOB_HASH_SIZE] = {9, 8, 7};

static struct lab *lab_of(void) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = config.classes_max = config.options_max = 64;
    config.log_slack_bytes = SEGMENT;
    config.blob_grace_ms = GRACE_MS;
    config.cache_entries_max = 3;
    config.cache_bytes_max = 4096;
    config.cache_output_bytes_max = 2 * OUTPUT_SIZE;
    return lab_new_with(&config);
}

/* ---- workers that have `work` as a pure handler ---- */

static void declare(struct lab *lab, const char *name, const char *version, bool pure) {
    struct lab_worker *worker = lab_worker(lab, name);
    worker->handlers[0].version = jq_str_of(version);
    worker->handlers[0].pure = pure;
    register_worker(lab, worker);
}

static struct lab *lab_with_pure_worker(void) {
    struct lab *lab = lab_of();
    declare(lab, "worker-1", "1", true);
    return lab;
}

/* ---- tasks ---- */

/* As the shell encodes them: the payload in a msgpack bin, then headers. */
static struct jq_bytes body_of(struct jq_buf *buf, const char *payload, const char *headers) {
    jq_buf_init(buf, 1000);
    jq_buf_append_u8(buf, 0xc4);
    jq_buf_append_u8(buf, (uint8_t)strlen(payload));
    jq_buf_append(buf, payload, strlen(payload));
    jq_buf_append(buf, headers, strlen(headers));
    return jq_buf_bytes(buf);
}

static jq_task_id submit_as(struct lab *lab, const char *payload, struct jq_submit_item item) {
    struct jq_buf buf;
    item.body = body_of(&buf, payload, "");
    const jq_task_id task = submit_item(lab, &item);
    jq_buf_fini(&buf);
    return task;
}

static jq_task_id ask(struct lab *lab, const char *payload) {
    return submit_as(lab, payload, lab_item());
}

/* What its worker says: a result of that size, by that version. */
static void report_result(struct lab *lab, jq_lease_token token, const char *version, size_t size,
                          struct jq_bytes made) {
    static const uint8_t result[64 * 1024];
    assert_int_not_equal(token.value, 0);
    const struct jq_report report = {
        .outcome = JQ_OUTCOME_SUCCESS, .body = {result, size}, .made = made, .version = jq_str_of(version)};
    assert_int_equal(report_as(lab, token, report), JQ_REPLY_OK);
}

static void run(struct lab *lab, const char *worker, const char *version) {
    report_result(lab, lease_task(lab, worker), version, RESULT_SIZE, (struct jq_bytes){NULL, 0});
}

static bool was_cached(struct lab *lab, jq_task_id task) {
    const struct jq_task_row row = task_row_of(lab, task);
    if (row.outcome == JQ_OUTCOME_CACHED) {
        assert_int_equal(row.state, JQ_STATE_SUCCEEDED);
    }
    return row.outcome == JQ_OUTCOME_CACHED;
}

static struct jq_cache_row stat_of(struct lab *lab) {
    struct jq_request request = lab_request(lab, JQ_OP_CACHE_STAT);
    return lab_ask(lab, &request)->u.cache;
}

static bool nothing_to_lease(struct lab *lab, const char *worker) {
    return lease_task(lab, worker).value == 0;
}

/* ---- */

/* A task of a pure handler that asks what another has asked ends at once, with that one's result, and is marked; nobody runs it. Its
 * headers change nothing; its payload does, what it needs, and another handler. It is so after a restart. */
static void the_same_question_is_answered_without_a_run(void **state) {
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    const jq_task_id first = ask(lab, "2+2");
    assert_int_equal(task_state(lab, first), JQ_STATE_READY);
    run(lab, "worker-1", "1");
    assert_int_equal(task_row_of(lab, first).outcome, JQ_OUTCOME_SUCCESS);
    const jq_task_id again = ask(lab, "2+2");
    assert_true(was_cached(lab, again));
    assert_true(task_row_of(lab, again).last.size >= RESULT_SIZE);
    assert_true(nothing_to_lease(lab, "worker-1"));

    struct jq_buf buf;
    struct jq_submit_item traced = lab_item();
    traced.body = body_of(&buf, "2+2", "traceparent");
    assert_true(was_cached(lab, submit_item(lab, &traced)));
    traced.need = JQ_STR("cpu=2");
    assert_false(was_cached(lab, submit_item(lab, &traced)));
    traced.need = JQ_STR("");
    traced.handler = JQ_STR("mail");
    assert_false(was_cached(lab, submit_item(lab, &traced)));
    jq_buf_fini(&buf);
    assert_false(was_cached(lab, ask(lab, "2+3")));
    expect_replay_matches_live(lab);

    restart_broker(lab);
    register_worker(lab, lab_worker(lab, "worker-1"));
    assert_true(was_cached(lab, ask(lab, "2+2")));
    assert_int_equal(stat_of(lab).entries, 1);
    lab_free(lab);
}

/* An answer is of the version on which all workers agree that are registered now. Where they differ, where one of them does not call
 * it pure, or where there is none, the task runs. */
static void an_answer_is_of_the_version_on_which_all_workers_agree(void **state) {
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    (void)ask(lab, "2+2");
    run(lab, "worker-1", "1");
    declare(lab, "worker-2", "2", true);
    assert_false(was_cached(lab, ask(lab, "2+2")));
    run(lab, "worker-2", "2");
    declare(lab, "worker-1", "2", true);
    assert_false(was_cached(lab, ask(lab, "2+2")));
    run(lab, "worker-2", "2");
    assert_true(was_cached(lab, ask(lab, "2+2")));
    declare(lab, "worker-1", "2", false);
    assert_false(was_cached(lab, ask(lab, "2+2")));
    run(lab, "worker-1", "2");
    declare(lab, "worker-1", "1", true);
    declare(lab, "worker-2", "1", true);
    assert_true(was_cached(lab, ask(lab, "2+2"))); /* what the old version gave is still known */
    restart_broker(lab);
    assert_false(was_cached(lab, ask(lab, "2+2"))); /* nobody has registered yet */
    lab_free(lab);
}

/* What is kept stands under the version that ran, by the word of its worker, whatever that has registered since. Without that word
 * nothing is kept, nor from a worker that calls it pure no more. */
static void the_version_that_ran_counts(void **state) {
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    (void)ask(lab, "2+2");
    const jq_lease_token token = lease_task(lab, "worker-1");
    declare(lab, "worker-1", "2", true);
    report_result(lab, token, "1", RESULT_SIZE, (struct jq_bytes){NULL, 0});
    assert_false(was_cached(lab, ask(lab, "2+2")));
    run(lab, "worker-1", "");
    assert_int_equal(stat_of(lab).entries, 1);
    declare(lab, "worker-1", "1", true);
    assert_true(was_cached(lab, ask(lab, "2+2")));
    (void)ask(lab, "2+3");
    const jq_lease_token impure = lease_task(lab, "worker-1");
    declare(lab, "worker-1", "1", false);
    report_result(lab, impure, "1", RESULT_SIZE, (struct jq_bytes){NULL, 0});
    assert_int_equal(stat_of(lab).entries, 1);
    lab_free(lab);
}

/* Only successes are kept: a failure is no answer for others. */
static void only_successes_are_kept(void **state) {
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    (void)ask(lab, "1/0");
    const struct jq_report failed = {.outcome = JQ_OUTCOME_INVALID_INPUT, .version = JQ_STR("1")};
    assert_int_equal(report_as(lab, lease_task(lab, "worker-1"), failed), JQ_REPLY_OK);
    assert_false(was_cached(lab, ask(lab, "1/0")));
    assert_int_equal(stat_of(lab).entries, 0);
    assert_int_equal(stat_of(lab).misses_total, 2);
    lab_free(lab);
}

/* A task that is to run in any case runs, and its result takes the place of the one that was kept. */
static void a_forced_run_replaces_what_was_kept(void **state) {
    struct lab *lab = lab_with_pure_worker();
    struct jq_submit_item forced = lab_item();
    (void)state;
    (void)ask(lab, "2+2");
    run(lab, "worker-1", "1");
    forced.no_cache = true;
    assert_false(was_cached(lab, submit_as(lab, "2+2", forced)));
    report_result(lab, lease_task(lab, "worker-1"), "1", 2 * RESULT_SIZE, (struct jq_bytes){NULL, 0});
    const jq_task_id after = ask(lab, "2+2");
    assert_true(was_cached(lab, after));
    assert_true(task_row_of(lab, after).last.size >= 2 * RESULT_SIZE);
    assert_int_equal(stat_of(lab).entries, 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* The same question asked by many at once is run by those that workers take at once; who waits for a worker then gets the answer,
 * and the worker gets another task. */
static void who_waits_for_a_worker_is_answered_when_it_is_his_turn(void **state) {
    struct lab *lab = lab_with_pure_worker();
    jq_task_id same[3], later;
    jq_lease_token token;
    (void)state;
    for (int i = 0; i < 3; i++) {
        same[i] = ask(lab, "2+2");
    }
    const jq_task_id other = ask(lab, "2+3");
    run(lab, "worker-1", "1");
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, other.value);
    for (int i = 1; i < 3; i++) {
        assert_true(was_cached(lab, same[i]));
    }
    struct jq_submit_item delayed = lab_item();
    delayed.delay_ms = 5000;
    later = submit_as(lab, "2+2", delayed);
    advance_ms(lab, 4999);
    assert_int_equal(task_state(lab, later), JQ_STATE_SCHEDULED);
    advance_ms(lab, 1);
    assert_true(nothing_to_lease(lab, "worker-1"));
    assert_true(was_cached(lab, later));
    lab_free(lab);
}

/* One step answers a bounded number of tasks that wait; those beyond run, which is right as well. */
static void one_step_answers_a_bounded_number(void **state) {
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    const jq_task_id first = ask(lab, "2+2");
    for (int i = 0; i < 300; i++) {
        (void)ask(lab, "2+2");
    }
    run(lab, "worker-1", "1");
    assert_false(nothing_to_lease(lab, "worker-1"));
    assert_int_equal(stat_of(lab).hits_total, 256);
    assert_int_equal(task_state(lab, (jq_task_id){first.value + 256}), JQ_STATE_SUCCEEDED);
    assert_int_equal(task_state(lab, (jq_task_id){first.value + 257}), JQ_STATE_RUNNING);
    lab_free(lab);
}

/* ---- keys, edits, flows, schedules ---- */

/* A key stands for a task that was answered from the cache as for any other. */
static void a_key_stands_for_a_cached_task(void **state) {
    struct lab *lab = lab_with_pure_worker();
    struct jq_submit_item keyed = lab_item();
    (void)state;
    (void)ask(lab, "2+2");
    run(lab, "worker-1", "1");
    keyed.key = JQ_STR("order-7");
    const jq_task_id task = submit_as(lab, "2+2", keyed);
    assert_true(was_cached(lab, task));
    const struct jq_reply_effect *again = submit_items(lab, &keyed, 1);
    assert_int_equal(again->u.submit.exceptions[0].status, JQ_REPLY_OK);
    assert_int_equal(again->u.submit.exceptions[0].task.value, task.value);
    keyed.key = JQ_STR("order-8");
    keyed.unique = JQ_UNIQUE_UNTIL_DONE;
    const jq_task_id done = submit_as(lab, "2+2", keyed);
    assert_int_not_equal(submit_as(lab, "2+2", keyed).value, done.value);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Debounce: a task that becomes what a later submit says has no key of the cache any more: it runs. */
static void what_was_renewed_runs(void **state) {
    struct lab *lab = lab_with_pure_worker();
    struct jq_submit_item quiet = lab_item();
    (void)state;
    (void)ask(lab, "2+2");
    run(lab, "worker-1", "1");
    quiet.key = JQ_STR("save");
    quiet.unique = JQ_UNIQUE_DEBOUNCE;
    quiet.delay_ms = quiet.unique_ms = 1000;
    const jq_task_id task = submit_as(lab, "2+2", quiet);
    const struct jq_reply_effect *renewed = submit_items(lab, &quiet, 1);
    assert_int_equal(renewed->u.submit.exceptions[0].task.value, task.value);
    advance_ms(lab, 1000);
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, task.value);
    report_result(lab, token, "1", RESULT_SIZE, (struct jq_bytes){NULL, 0});
    assert_int_equal(stat_of(lab).stored_total, 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A held task stays held; released, it is answered when it is its turn. A task of a paused queue is answered: nobody is handed it. */
static void holds_and_pauses(void **state) {
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    (void)ask(lab, "2+2");
    const jq_task_id held = ask(lab, "2+2");
    assert_int_equal(ask_about_task(lab, JQ_OP_TASK_HOLD, held), JQ_REPLY_OK);
    run(lab, "worker-1", "1");
    assert_true(nothing_to_lease(lab, "worker-1"));
    assert_int_equal(task_state(lab, held), JQ_STATE_HELD);
    assert_int_equal(ask_about_task(lab, JQ_OP_TASK_RELEASE, held), JQ_REPLY_OK);
    assert_true(nothing_to_lease(lab, "worker-1"));
    assert_true(was_cached(lab, held));
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "default", true), JQ_REPLY_OK);
    assert_true(was_cached(lab, ask(lab, "2+2")));
    lab_free(lab);
}

static uint64_t begin_flow(struct lab *lab, uint32_t count) {
    struct jq_request request = lab_request(lab, JQ_OP_FLOW_BEGIN);
    request.u.flow.count = count;
    return lab_ask(lab, &request)->u.stage.flow;
}

static void add_task(struct lab *lab, uint64_t flow, uint32_t at) {
    const jq_task_id parent = {flow};
    struct jq_buf buf;
    struct jq_submit_item item = lab_item();
    item.body = body_of(&buf, "2+2", "");
    item.after = &parent;
    item.after_count = at;
    struct jq_request request = lab_request(lab, JQ_OP_FLOW_ADD);
    request.u.submit.flow = flow;
    request.u.submit.at = at;
    request.u.submit.items = &item;
    request.u.submit.count = 1;
    assert_int_equal(lab_ask(lab, &request)->status, JQ_REPLY_OK);
    jq_buf_fini(&buf);
}

/* A flow's first task is answered when the flow is committed, not before, and its child may run at once. The child itself runs though
 * it asks the same: it may read what its parent gave. */
static void a_flow_goes_on_from_a_cached_parent(void **state) {
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    (void)ask(lab, "2+2");
    run(lab, "worker-1", "1");
    const uint64_t flow = begin_flow(lab, 2);
    add_task(lab, flow, 0);
    add_task(lab, flow, 1);
    assert_int_equal(task_state(lab, (jq_task_id){flow}), JQ_STATE_NONE);
    struct jq_request commit = lab_request(lab, JQ_OP_FLOW_COMMIT);
    commit.u.flow.flow = flow;
    commit.u.flow.count = 2;
    assert_int_equal(lab_ask(lab, &commit)->status, JQ_REPLY_OK);
    advance_ms(lab, 0);
    assert_true(was_cached(lab, (jq_task_id){flow}));
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, flow + 1);
    report_result(lab, token, "1", RESULT_SIZE, (struct jq_bytes){NULL, 0});
    assert_int_equal(stat_of(lab).stored_total, 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* The task of a schedule is answered like any other: that it carries the time for which it is due, in its headers, changes nothing. */
static void a_schedules_task_is_answered(void **state) {
    struct lab *lab = lab_with_pure_worker();
    struct jq_buf buf;
    (void)state;
    (void)ask(lab, "2+2");
    run(lab, "worker-1", "1");
    struct jq_request set = lab_request(lab, JQ_OP_SCHEDULE_SET);
    set.u.schedule.def = (struct jq_schedule_def){.name = JQ_STR("nightly"),
                                                  .when = JQ_STR("@every 60s"),
                                                  .zone = JQ_STR("UTC"),
                                                  .catch_up = JQ_CATCH_UP_LAST,
                                                  .task = lab_item()};
    set.u.schedule.def.task.body = body_of(&buf, "2+2", "0000-00-00T00:00:00Z");
    assert_int_equal(lab_ask(lab, &set)->status, JQ_REPLY_OK);
    jq_buf_fini(&buf);
    advance_ms(lab, 60000);
    assert_int_equal(stat_of(lab).hits_total, 1);
    assert_true(nothing_to_lease(lab, "worker-1"));
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* ---- files ---- */

static void store(struct lab *lab, const uint8_t *hash, uint32_t version) {
    struct jq_request request = lab_request(lab, JQ_OP_BLOB_PUT);
    request.u.blob.hash = hash;
    request.u.blob.size = OUTPUT_SIZE;
    request.u.blob.version = version;
    request.u.blob.arrived = true;
    assert_true(lab_ask(lab, &request)->u.blob.whole);
}

static struct jq_blob_row blob_of(struct lab *lab, const uint8_t *hash) {
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

static void append_file(struct jq_buf *buf, enum jq_file_kind kind, const char *name, const uint8_t *hash) {
    const struct jq_file file = {kind, jq_str_of(name), hash};
    jq_files_append(buf, &file);
}

/* A part, the name of an output, and what it is called; in this order, or the other way round. */
static jq_task_id ask_for_mesh(struct lab *lab, const uint8_t *input, const char *output, bool turned) {
    struct jq_submit_item item = lab_item();
    struct jq_buf files;
    jq_buf_init(&files, 1000);
    if (turned) {
        append_file(&files, JQ_FILE_OUTPUT, output, NULL);
        append_file(&files, JQ_FILE_INPUT, "part", input);
    } else {
        append_file(&files, JQ_FILE_INPUT, "part", input);
        append_file(&files, JQ_FILE_OUTPUT, output, NULL);
    }
    item.files = jq_buf_bytes(&files);
    item.result_ttl_ms = TTL_MS;
    const jq_task_id task = submit_as(lab, "mesh it", item);
    jq_buf_fini(&files);
    return task;
}

static void run_and_make(struct lab *lab, const char *name, const uint8_t *hash) {
    struct jq_buf made;
    jq_buf_init(&made, 1000);
    append_file(&made, JQ_FILE_MADE, name, hash);
    report_result(lab, lease_task(lab, "worker-1"), "1", RESULT_SIZE, jq_buf_bytes(&made));
    jq_buf_fini(&made);
}

/* The contents of inputs and the names of outputs belong to the question, the order in which they are named does not. The answer has
 * the outputs, and they stay as long as it is kept, though all tasks that name them are forgotten. */
static void outputs_stay_as_long_as_the_answer(void **state) {
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    store(lab, part, 1);
    store(lab, other_part, 2);
    (void)ask_for_mesh(lab, part, "mesh", false);
    store(lab, mesh, 3);
    run_and_make(lab, "mesh", mesh);
    assert_int_equal(stat_of(lab).output_bytes, OUTPUT_SIZE);
    assert_true(was_cached(lab, ask_for_mesh(lab, part, "mesh", true)));
    assert_int_equal(blob_of(lab, mesh).refs, 3);
    advance_ms(lab, TTL_MS);
    advance_ms(lab, 2 * GRACE_MS);
    assert_int_equal(blob_of(lab, mesh).refs, 1);
    assert_null(blob_of(lab, part).hash);
    store(lab, part, 4);
    store(lab, other_part, 5);
    assert_true(was_cached(lab, ask_for_mesh(lab, part, "mesh", false)));
    assert_false(was_cached(lab, ask_for_mesh(lab, part, "picture", false)));
    assert_false(was_cached(lab, ask_for_mesh(lab, other_part, "mesh", false)));
    expect_replay_matches_live(lab);
    restart_broker(lab);
    assert_true(blob_of(lab, mesh).refs >= 1);

    struct jq_request purge = lab_request(lab, JQ_OP_CACHE_PURGE);
    assert_int_equal(lab_ask(lab, &purge)->u.many.count, 1);
    assert_int_equal(stat_of(lab).entries, 0);
    assert_int_equal(stat_of(lab).bytes, 0);
    assert_int_equal(stat_of(lab).output_bytes, 0);
    advance_ms(lab, TTL_MS);
    advance_ms(lab, 2 * GRACE_MS);
    assert_null(blob_of(lab, mesh).hash);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* An answer whose output is lost is none: the task runs, and what it makes is kept again. */
static void an_answer_with_a_lost_output_is_not_used(void **state) {
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    store(lab, part, 1);
    store(lab, mesh, 3);
    (void)ask_for_mesh(lab, part, "mesh", false);
    run_and_make(lab, "mesh", mesh);
    struct jq_event lost = {.type = JQ_EVENT_BLOB_LOST, .u.blob_lost = {.hash = mesh, .version = 3}};
    lab_step(lab, &lost);
    assert_false(was_cached(lab, ask_for_mesh(lab, part, "mesh", false)));
    assert_int_equal(stat_of(lab).entries, 0);
    store(lab, mesh, 4);
    run_and_make(lab, "mesh", mesh);
    assert_true(was_cached(lab, ask_for_mesh(lab, part, "mesh", false)));
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* ---- bounds ---- */

/* Beyond the number of results the one that was least lately used goes; what is larger than the cache is not kept. */
static void the_least_lately_used_goes_first(void **state) {
    struct lab *lab = lab_with_pure_worker();
    static const char *const questions[] = {"a", "b", "c"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        (void)ask(lab, questions[i]);
        run(lab, "worker-1", "1");
    }
    assert_true(was_cached(lab, ask(lab, "a")));
    (void)ask(lab, "d");
    run(lab, "worker-1", "1");
    assert_int_equal(stat_of(lab).entries, 3);
    assert_int_equal(stat_of(lab).evicted_total, 1);
    assert_true(was_cached(lab, ask(lab, "a")));
    assert_false(was_cached(lab, ask(lab, "b")));
    report_result(lab, lease_task(lab, "worker-1"), "1", 5000, (struct jq_bytes){NULL, 0});
    assert_int_equal(stat_of(lab).entries, 3);
    (void)ask(lab, "e");
    report_result(lab, lease_task(lab, "worker-1"), "1", 3500, (struct jq_bytes){NULL, 0});
    assert_true(stat_of(lab).bytes <= 4096);
    assert_int_equal(stat_of(lab).entries, 1);
    assert_true(was_cached(lab, ask(lab, "e")));
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A cache that may hold nothing holds nothing, and no task is given a key. */
static void a_cache_of_nothing(void **state) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = config.classes_max = config.options_max = 64;
    config.cache_entries_max = 0;
    struct lab *lab = lab_new_with(&config);
    (void)state;
    declare(lab, "worker-1", "1", true);
    (void)ask(lab, "2+2");
    run(lab, "worker-1", "1");
    assert_false(was_cached(lab, ask(lab, "2+2")));
    assert_int_equal(stat_of(lab).misses_total, 0);
    lab_free(lab);
}

/* Answers, and the keys of tasks that wait, outlive the log that told of them: both are moved to its head. */
static void answers_outlive_the_log_that_told_of_them(void **state) {
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    (void)ask(lab, "2+2");
    run(lab, "worker-1", "1");
    struct jq_submit_item late = lab_item();
    late.delay_ms = 3600000;
    const jq_task_id waiting = submit_as(lab, "2+2", late);
    for (int round = 0; round < 6; round++) {
        for (uint64_t until = lab->log.end_lsn + SEGMENT; lab->log.end_lsn < until;) {
            struct jq_submit_item other = lab_item();
            other.handler = JQ_STR("mail");
            other.result_ttl_ms = 0;
            (void)submit_item(lab, &other);
            advance_ms(lab, 50);
            assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
        }
        lab_prologue(lab);
        corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    }
    assert_true(lab->log.entries[lab->log.first].lsn > SEGMENT);
    restart_broker(lab);
    register_worker(lab, lab_worker(lab, "worker-1"));
    assert_true(was_cached(lab, ask(lab, "2+2")));
    advance_ms(lab, 3600000);
    assert_true(nothing_to_lease(lab, "worker-1"));
    assert_true(was_cached(lab, waiting));
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Whoever lists the same files in another order asks the same; who exchanges their contents does not. */
static void the_order_of_files_changes_nothing(void **state) {
    const struct jq_file ways[][3] = {
        {{JQ_FILE_INPUT, JQ_STR("a"), part},
         {JQ_FILE_INPUT, JQ_STR("ab"), other_part},
         {JQ_FILE_OUTPUT, JQ_STR("o"), NULL}},
        {{JQ_FILE_OUTPUT, JQ_STR("o"), NULL},
         {JQ_FILE_INPUT, JQ_STR("ab"), other_part},
         {JQ_FILE_INPUT, JQ_STR("a"), part}},
        {{JQ_FILE_INPUT, JQ_STR("a"), other_part},
         {JQ_FILE_INPUT, JQ_STR("ab"), part},
         {JQ_FILE_OUTPUT, JQ_STR("o"), NULL}},
    };
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    store(lab, part, 1);
    store(lab, other_part, 2);
    for (size_t i = 0; i < 3; i++) {
        struct jq_submit_item item = lab_item();
        struct jq_buf files;
        jq_buf_init(&files, 1000);
        for (size_t k = 0; k < 3; k++) {
            jq_files_append(&files, &ways[i][k]);
        }
        item.files = jq_buf_bytes(&files);
        assert_int_equal(was_cached(lab, submit_as(lab, "mesh it", item)), i == 1);
        if (i == 0) {
            run(lab, "worker-1", "1");
        }
        jq_buf_fini(&files);
    }
    lab_free(lab);
}

static jq_task_id submit_raw(struct lab *lab, const char *body, size_t size) {
    struct jq_submit_item item = lab_item();
    item.body = (struct jq_bytes){(const uint8_t *)body, size};
    return submit_item(lab, &item);
}

/* The payload is told from the headers behind it in whatever form it is packed: none at all, a short one, a long one. */
static void payloads_of_every_form_are_told_from_headers(void **state) {
    static const char none[] = "\xc0"
                               "x",
                      none_too[] = "\xc0"
                                   "y";
    static char longer[3 + 300 + 1] = "\xc5\x01\x2c";
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    (void)submit_raw(lab, none, 2);
    run(lab, "worker-1", "1");
    assert_true(was_cached(lab, submit_raw(lab, none_too, 2)));
    (void)submit_raw(lab, longer, sizeof(longer));
    run(lab, "worker-1", "1");
    longer[sizeof(longer) - 1] = 'y';
    assert_true(was_cached(lab, submit_raw(lab, longer, sizeof(longer))));
    longer[10] = 'y';
    assert_false(was_cached(lab, submit_raw(lab, longer, sizeof(longer))));
    lab_free(lab);
}

/* Two that ask the same before there is an answer both run; one answer is kept. A purge that is asked for again drops nothing more. */
static void of_two_answers_one_is_kept(void **state) {
    struct lab *lab = lab_with_pure_worker();
    (void)state;
    (void)ask(lab, "2+2");
    (void)ask(lab, "2+2");
    const jq_lease_token first = lease_task(lab, "worker-1"), second = lease_task(lab, "worker-1");
    report_result(lab, first, "1", RESULT_SIZE, (struct jq_bytes){NULL, 0});
    report_result(lab, second, "1", RESULT_SIZE, (struct jq_bytes){NULL, 0});
    assert_int_equal(stat_of(lab).entries, 1);
    struct jq_request purge = lab_request(lab, JQ_OP_CACHE_PURGE);
    assert_int_equal(lab_ask(lab, &purge)->u.many.count, 1);
    (void)ask(lab, "2+2");
    run(lab, "worker-1", "1");
    assert_int_equal(lab_ask(lab, &purge)->u.many.count, 1);
    assert_int_equal(stat_of(lab).entries, 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_question_is_answered_without_a_run),
        cmocka_unit_test(an_answer_is_of_the_version_on_which_all_workers_agree),
        cmocka_unit_test(the_version_that_ran_counts),
        cmocka_unit_test(only_successes_are_kept),
        cmocka_unit_test(a_forced_run_replaces_what_was_kept),
        cmocka_unit_test(who_waits_for_a_worker_is_answered_when_it_is_his_turn),
        cmocka_unit_test(one_step_answers_a_bounded_number),
        cmocka_unit_test(a_key_stands_for_a_cached_task),
        cmocka_unit_test(what_was_renewed_runs),
        cmocka_unit_test(holds_and_pauses),
        cmocka_unit_test(a_flow_goes_on_from_a_cached_parent),
        cmocka_unit_test(a_schedules_task_is_answered),
        cmocka_unit_test(outputs_stay_as_long_as_the_answer),
        cmocka_unit_test(an_answer_with_a_lost_output_is_not_used),
        cmocka_unit_test(the_least_lately_used_goes_first),
        cmocka_unit_test(a_cache_of_nothing),
        cmocka_unit_test(answers_outlive_the_log_that_told_of_them),
        cmocka_unit_test(the_order_of_files_changes_nothing),
        cmocka_unit_test(payloads_of_every_form_are_told_from_headers),
        cmocka_unit_test(of_two_answers_one_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
