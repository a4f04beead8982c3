/* The log's size is bounded by live data: what is live is moved to the head, and nothing but its place changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

enum { SLACK = 8 * 1024, SEGMENT = 8 * 1024 };

static struct lab *lab_with_slack(uint64_t slack_bytes) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 64;
    config.classes_max = 64;
    config.options_max = 64;
    config.log_slack_bytes = slack_bytes;
    config.aging_interval_ms = INT64_C(1) << 50;
    return lab_new_with(&config);
}

static struct lab *lab_of(void) {
    return lab_with_slack(SLACK);
}

/* A new segment begins, and what its prologue says is needed no more is deleted. */
static void rotate(struct lab *lab) {
    lab_prologue(lab);
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
}

static uint64_t first_lsn(const struct lab *lab) {
    return lab->log.entries[lab->log.first].lsn;
}

static jq_task_id submit_key(struct lab *lab, const char *key) {
    struct jq_submit_item item = lab_item();
    item.key = jq_str_of(key);
    return submit_item(lab, &item);
}

static jq_task_id finish_next(struct lab *lab) {
    jq_lease_token token;
    const jq_task_id task = lease_task_id(lab, "worker-1", &token);
    assert_int_not_equal(token.value, 0);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    return task;
}

/* Tasks that come and go before all others, forgotten at once: the log grows, and nothing of it is live. */
static void churn(struct lab *lab, uint64_t bytes) {
    const uint64_t end_lsn = lab->log.end_lsn + bytes;
    uint64_t segment_end = lab->log.end_lsn + SEGMENT;
    while (lab->log.end_lsn < end_lsn) {
        struct jq_submit_item item = lab_item();
        item.priority = 9;
        item.result_ttl_ms = 0;
        submit_item(lab, &item);
        advance_ms(lab, 50);
        (void)finish_next(lab);
        if (lab->log.end_lsn >= segment_end) {
            rotate(lab);
            segment_end = lab->log.end_lsn + SEGMENT;
        }
    }
    rotate(lab);
}

/* Pushes whatever stands in the log now out of it, but for what is moved. */
static void churn_over(struct lab *lab) {
    const uint64_t end_lsn = lab->log.end_lsn;
    while (first_lsn(lab) < end_lsn) {
        churn(lab, SEGMENT);
    }
    restart_broker(lab);
    register_worker(lab, lab_worker(lab, "worker-1"));
}

/* ---- */

/* One task that waits for a week keeps no more of the log than itself: the log stays below twice what is live, and two segments. */
static void a_long_lived_task_does_not_keep_the_log(void **state) {
    struct lab *lab = lab_of();
    struct jq_submit_item item = lab_item();
    (void)state;
    item.delay_ms = INT64_C(7) * 86400000;
    const jq_task_id task = submit_item(lab, &item);
    for (int day = 0; day < 7; day++) {
        for (int part = 0; part < 8; part++) {
            churn(lab, SEGMENT);
            assert_in_range(lab->log.end_lsn - first_lsn(lab), 0, 2 * 4096 + SLACK + 2 * SEGMENT);
        }
        advance_ms(lab, 80000000);
        expect_replay_matches_live(lab);
    }
    restart_broker(lab);
    assert_int_equal(task_state(lab, task), JQ_STATE_SCHEDULED);
    advance_ms(lab, 86400000);
    jq_lease_token token;
    register_worker(lab, lab_worker(lab, "worker-1"));
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, task.value);
    lab_free(lab);
}

/* A log that is mostly live is left alone: nothing is moved for nothing. */
static void nothing_is_moved_where_most_is_live(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    for (int i = 0; i < 400; i++) {
        static const uint8_t body[400];
        struct jq_submit_item item = lab_item();
        item.body = (struct jq_bytes){body, sizeof(body)};
        submit_item(lab, &item);
        if (i % 50 == 0) {
            rotate(lab);
        }
    }
    rotate(lab);
    advance_ms(lab, 1000);
    assert_int_equal(lab->read_count, 0);
    lab_free(lab);
}

/* A move changes the place and nothing else: the digest is the same before and after. */
static void a_move_does_not_change_the_digest(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    submit_task(lab, "default");
    (void)lab_worker(lab, "worker-1");
    uint64_t moved = 0;
    while (moved == 0) {
        struct jq_submit_item item = lab_item();
        item.result_ttl_ms = 0;
        item.priority = 9;
        submit_item(lab, &item);
        (void)finish_next(lab);
        advance_ms(lab, 1);
        const uint64_t reads = lab->read_count, digest = jq_core_digest(lab->core);
        struct jq_event time = {.type = JQ_EVENT_TIME};
        rotate(lab);
        assert_int_equal(jq_core_digest(lab->core), digest);
        lab_step(lab, &time);
        assert_int_equal(jq_core_digest(lab->core), digest);
        moved = lab->read_count - reads;
    }
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Tasks in every state come through moves and a restart as they were: due times, counters, reports, and the lease of one that runs. */
static void every_state_survives_its_move(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    struct jq_submit_item eta = lab_item(), low = lab_item(), expires = lab_item();
    eta.eta_wall_ms = LAB_WALL_MS + 900000000;
    low.priority = 0;
    low.group = JQ_STR("acme");
    expires.priority = 0;
    expires.expires_wall_ms = LAB_WALL_MS + INT64_C(8000000000);

    const jq_task_id runs = submit_task(lab, "default");
    const jq_lease_token lease = lease_task(lab, "worker-1");
    const jq_task_id dies = submit_task(lab, "default");
    const jq_lease_token deadly = lease_task(lab, "worker-1");
    assert_int_equal(report_failure(lab, deadly, JQ_OUTCOME_INVALID_INPUT, false), JQ_REPLY_OK);
    const jq_task_id ends = submit_task(lab, "default");
    assert_int_equal(finish_next(lab).value, ends.value);
    const jq_task_id cancelled = submit_task(lab, "default");
    const jq_lease_token stubborn = lease_task(lab, "worker-1");
    assert_int_equal(cancel_task(lab, cancelled), JQ_REPLY_OK);
    const jq_task_id later = submit_item(lab, &eta), ready = submit_item(lab, &low), waits = submit_item(lab, &expires);
    struct jq_submit_item again_item = lab_item();
    again_item.retry_base_ms = again_item.retry_cap_ms = INT64_C(2000000000);
    const jq_task_id again = submit_item(lab, &again_item);
    const jq_lease_token failing = lease_task(lab, "worker-1");
    assert_int_equal(report_failure(lab, failing, JQ_OUTCOME_TIMEOUT, true), JQ_REPLY_OK);

    const jq_task_id all[] = {runs, dies, ends, cancelled, later, ready, waits, again};
    struct jq_task_row before[sizeof(all) / sizeof(all[0])];
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        before[i] = task_row_of(lab, all[i]);
    }
    churn_over(lab);
    churn_over(lab); /* what was moved can be moved again */
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const struct jq_task_row row = task_row_of(lab, all[i]);
        assert_int_equal(row.state, before[i].state);
        assert_int_equal(row.outcome, before[i].outcome);
        assert_int_equal(row.attempts, before[i].attempts);
        assert_int_equal(row.crashes, before[i].crashes);
        assert_int_equal(row.at_ms, before[i].at_ms);
        assert_int_equal(row.first_ready_ms, before[i].first_ready_ms);
        assert_int_equal(row.expires_wall_ms, before[i].expires_wall_ms);
        assert_int_equal(row.last.size != 0, before[i].last.size != 0);
    }
    assert_int_equal(report_success(lab, lease), JQ_REPLY_OK);
    assert_int_equal(report_failure(lab, stubborn, JQ_OUTCOME_CANCELLED, false), JQ_REPLY_OK);
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_REPLAY, dies), JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A key outlives its task and the segment that both stood in: the second submit still gets the first task's id. */
static void keys_are_moved_too(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    const jq_task_id first = submit_key(lab, "order 17");
    (void)lab_worker(lab, "worker-1");
    assert_int_equal(finish_next(lab).value, first.value);
    churn_over(lab);
    struct jq_submit_item item = lab_item();
    item.key = JQ_STR("order 17");
    const struct jq_reply_effect *reply = submit_items(lab, &item, 1);
    assert_int_equal(reply->u.submit.exception_count, 1);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_OK);
    assert_int_equal(reply->u.submit.exceptions[0].task.value, first.value);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Keys that are bound to their task or stand for a window of their own come through as well. */
static void keys_of_other_modes_are_moved_too(void **state) {
    struct lab *lab = lab_of();
    struct jq_submit_item bound = lab_item(), window = lab_item();
    (void)state;
    bound.key = JQ_STR("bound");
    bound.unique = JQ_UNIQUE_UNTIL_DONE;
    bound.priority = 0;
    window.key = JQ_STR("window");
    window.unique = JQ_UNIQUE_THROTTLE;
    window.unique_ms = INT64_C(1) << 40;
    window.priority = 0;
    const jq_task_id first = submit_item(lab, &bound), other = submit_item(lab, &window);
    churn_over(lab);
    assert_int_equal(submit_items(lab, &bound, 1)->u.submit.exceptions[0].task.value, first.value);
    assert_int_equal(submit_items(lab, &window, 1)->u.submit.exceptions[0].task.value, other.value);
    assert_int_equal(finish_next(lab).value, first.value);
    assert_int_not_equal(submit_item(lab, &bound).value, first.value);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A move is no edit: whoever looked at a dead letter before it was moved may edit it, and an edit from before the move counts. */
static void a_move_is_no_edit(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    const jq_task_id task = submit_task(lab, "default");
    const struct jq_report report = {.outcome = JQ_OUTCOME_INVALID_INPUT};
    assert_int_equal(report_as(lab, lease_task(lab, "worker-1"), report), JQ_REPLY_OK);
    struct jq_request edit = lab_request(lab, JQ_OP_DEAD_EDIT);
    edit.u.edit.id = task;
    edit.u.edit.version = task_row_of(lab, task).version;
    edit.u.edit.given = JQ_EDIT_PRIORITY;
    assert_int_equal(lab_ask(lab, &edit)->status, JQ_REPLY_OK);
    const struct jq_task_row seen = task_row_of(lab, task);
    churn_over(lab);
    assert_int_not_equal(task_row_of(lab, task).body.lsn, seen.body.lsn);
    edit.id = ++lab->client_request;
    assert_int_equal(lab_ask(lab, &edit)->status, JQ_REPLY_CONFLICT);
    edit.id = ++lab->client_request;
    edit.u.edit.version = seen.version;
    assert_int_equal(lab_ask(lab, &edit)->status, JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Who waits for whom is kept: the child of a task that was moved runs when that has ended, and not before. */
static void dependencies_are_moved_with_their_tasks(void **state) {
    struct lab *lab = lab_of();
    struct jq_submit_item parent = lab_item(), child = lab_item();
    (void)state;
    parent.priority = 0;
    parent.retry_max = 0;
    const jq_task_id first = submit_item(lab, &parent), second = submit_item(lab, &parent);
    const jq_task_id after[] = {first, second};
    child.after = after;
    child.after_count = 2;
    const jq_task_id waits = submit_item(lab, &child);
    churn_over(lab);
    assert_int_equal(task_state(lab, waits), JQ_STATE_WAITING);
    assert_int_equal(finish_next(lab).value, first.value);
    assert_int_equal(task_state(lab, waits), JQ_STATE_WAITING);
    churn_over(lab);
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_equal(report_failure(lab, token, JQ_OUTCOME_INVALID_INPUT, false), JQ_REPLY_OK);
    advance_ms(lab, 1);
    assert_int_equal(task_state(lab, waits), JQ_STATE_BLOCKED);
    churn_over(lab);
    assert_int_equal(task_state(lab, waits), JQ_STATE_BLOCKED);
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_REPLAY, second), JQ_REPLY_OK);
    assert_int_equal(finish_next(lab).value, second.value);
    advance_ms(lab, 1);
    assert_int_equal(finish_next(lab).value, waits.value);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Whatever a crash cuts off: after every slice a new core replays what is there, and goes on. */
static void a_crash_between_slices_is_correct(void **state) {
    struct lab *lab = lab_of();
    (void)state;
    for (int i = 0; i < 60; i++) {
        struct jq_submit_item item = lab_item();
        item.priority = 0;
        submit_item(lab, &item);
    }
    uint64_t reads = 0;
    for (int i = 0; i < 40; i++) {
        churn(lab, 1024);
        if (lab->read_count != reads) {
            reads = lab->read_count;
            restart_broker(lab);
            register_worker(lab, lab_worker(lab, "worker-1"));
        }
    }
    assert_int_not_equal(reads, 0);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(finish_next(lab).value, (uint64_t)i + 1);
    }
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A dead letter whose body was replaced: what brings it into being is moved, its body stands in a later segment. */
static jq_task_id edited_dead_letter(struct lab *lab) {
    static const uint8_t body[] = "another";
    const jq_task_id task = submit_task(lab, "default");
    assert_int_equal(report_failure(lab, lease_task(lab, "worker-1"), JQ_OUTCOME_INVALID_INPUT, false), JQ_REPLY_OK);
    churn(lab, SEGMENT);
    struct jq_request request = lab_request(lab, JQ_OP_DEAD_EDIT);
    request.u.edit.id = task;
    request.u.edit.given = JQ_EDIT_BODY;
    request.u.edit.item.body = (struct jq_bytes){body, sizeof(body)};
    assert_int_equal(lab_ask(lab, &request)->status, JQ_REPLY_OK);
    rotate(lab);
    return task;
}

/* A broker that starts keeps of the log all that it needs: also a body that stands near the log's beginning while its task is brought
 * into being only by what was moved to the head. */
static void a_start_keeps_bodies_that_stand_before_their_tasks(void **state) {
    struct lab *lab = lab_with_slack(6 * SEGMENT);
    (void)state;
    const jq_task_id task = edited_dead_letter(lab);
    const uint64_t begin_lsn = first_lsn(lab);
    for (int i = 0; first_lsn(lab) == begin_lsn; i++) {
        assert_in_range(i, 0, 100);
        churn(lab, 512);
    }
    for (int i = 0; i < 4; i++) {
        restart_broker(lab);
        assert_in_range(task_row_of(lab, task).body.lsn, jq_core_needs_from(lab->core), lab->log.end_lsn);
        register_worker(lab, lab_worker(lab, "worker-1"));
        churn(lab, 512);
    }
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_REPLAY, task), JQ_REPLY_OK);
    assert_int_equal(finish_next(lab).value, task.value);
    lab_free(lab);
}

/* A key whose submit cannot be read any more is not moved, but those behind it are; the order in which they are let go stays. */
static void keys_behind_a_damaged_one_are_moved(void **state) {
    struct lab *lab = lab_of();
    struct jq_server_row numbers;
    (void)state;
    (void)submit_key(lab, "lost");
    lab->damaged_below = lab->log.end_lsn;
    for (const char *const *key = (const char *const[]){"a", "b", "c", NULL}; *key; key++) {
        (void)submit_key(lab, *key);
    }
    for (int i = 0; i < 4; i++) {
        (void)finish_next(lab);
    }
    advance_ms(lab, 2 * INT64_C(60000));
    churn(lab, 4 * SEGMENT);
    assert_int_not_equal(lab->read_count, 0);
    expect_replay_matches_live(lab);
    jq_core_status(lab->core, &numbers);
    assert_int_equal(numbers.keys, 4);
    advance_ms(lab, INT64_C(25) * 3600000);
    jq_core_status(lab->core, &numbers);
    assert_int_equal(numbers.keys, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A segment in which something stands that cannot be read is not looked through again and again, but once a minute; a slice that was not
 * asked for changes nothing. */
static void a_damaged_segment_is_looked_at_seldom(void **state) {
    struct lab *lab = lab_of();
    struct jq_submit_item item = lab_item();
    (void)state;
    item.delay_ms = INT64_C(7) * 86400000;
    (void)submit_item(lab, &item);
    lab->damaged_below = UINT64_MAX;
    churn(lab, 4 * SEGMENT);
    const uint64_t reads = lab->read_count;
    assert_int_not_equal(reads, 0);
    for (int i = 0; i < 50; i++) {
        advance_ms(lab, 100);
    }
    assert_int_equal(lab->read_count, reads);
    const uint64_t end_lsn = lab->log.end_lsn;
    struct jq_event stray = {.type = JQ_EVENT_LOG_READ, .u.log_read = {.from_lsn = 1, .next_lsn = end_lsn}};
    lab_step(lab, &stray);
    assert_int_equal(lab->log.end_lsn, end_lsn);
    lab->damaged_below = 0;
    advance_ms(lab, 60000);
    assert_true(lab->read_count > reads);
    churn_over(lab);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_lived_task_does_not_keep_the_log),
        cmocka_unit_test(nothing_is_moved_where_most_is_live),
        cmocka_unit_test(a_move_does_not_change_the_digest),
        cmocka_unit_test(every_state_survives_its_move),
        cmocka_unit_test(keys_are_moved_too),
        cmocka_unit_test(keys_of_other_modes_are_moved_too),
        cmocka_unit_test(a_move_is_no_edit),
        cmocka_unit_test(dependencies_are_moved_with_their_tasks),
        cmocka_unit_test(a_crash_between_slices_is_correct),
        cmocka_unit_test(a_start_keeps_bodies_that_stand_before_their_tasks),
        cmocka_unit_test(keys_behind_a_damaged_one_are_moved),
        cmocka_unit_test(a_damaged_segment_is_looked_at_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
