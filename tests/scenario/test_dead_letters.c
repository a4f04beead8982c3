/* Dead letters: edited, replayed at a rate, removed; and what two operators get who do it at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static jq_task_id dead_letter(struct lab *lab, const char *queue) {
    const jq_task_id task = submit_task(lab, queue);
    assert_int_equal(
        report_as(lab, lease_task(lab, "worker-1"),
                  (struct jq_report){.outcome = JQ_OUTCOME_INVALID_INPUT, .error = JQ_STR("no such file")}),
        JQ_REPLY_OK);
    assert_int_equal(task_state(lab, task), JQ_STATE_DEAD);
    return task;
}

static const struct jq_reply_effect *edit(struct lab *lab, jq_task_id task, uint64_t version, uint32_t given,
                                          const struct jq_submit_item *item) {
    struct jq_request request = lab_request(lab, JQ_OP_DEAD_EDIT);
    request.u.edit.id = task;
    request.u.edit.version = version;
    request.u.edit.given = given;
    request.u.edit.item = *item;
    return lab_ask(lab, &request);
}

static const struct jq_reply_effect *replay(struct lab *lab, const jq_task_id *tasks, size_t count,
                                            int64_t interval_us) {
    struct jq_request request = lab_request(lab, JQ_OP_DEAD_REPLAY);
    request.u.tasks.ids = tasks;
    request.u.tasks.count = count;
    request.u.tasks.interval_us = interval_us;
    return lab_ask(lab, &request);
}

static void expect_refused(const struct jq_reply_effect *reply, enum jq_reply status, const char *field,
                           const char *reason) {
    assert_int_equal(reply->status, status);
    assert_string_equal(reply->field, field);
    assert_string_equal(reply->reason, reason);
}

static const uint8_t other_body[] = {0x81, 0xa1, 'y', 2, 0xc0};

/* What is edited stays dead, with its cause, until it is replayed: then it runs as it was edited, with fresh counters. */
static void edited_letter_runs_as_edited(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = dead_letter(lab, "cad.in");
    const struct jq_task_row before = task_row_of(lab, task);
    const struct jq_submit_item item = {.queue = JQ_STR("cad.again"),
                                        .need = JQ_STR("cpu=2"),
                                        .handler = JQ_STR("mail"),
                                        .priority = 9,
                                        .retry_max = 7,
                                        .body = {other_body, sizeof(other_body)}};
    assert_int_equal(
        edit(lab, task, before.version,
             JQ_EDIT_QUEUE | JQ_EDIT_NEED | JQ_EDIT_HANDLER | JQ_EDIT_PRIORITY | JQ_EDIT_RETRY_MAX | JQ_EDIT_BODY,
             &item)
            ->status,
        JQ_REPLY_OK);
    restart_broker(lab);
    const struct jq_task_row row = task_row_of(lab, task);
    assert_int_equal(row.state, JQ_STATE_DEAD);
    assert_int_equal(row.outcome, JQ_OUTCOME_INVALID_INPUT);
    assert_true(jq_str_equal(row.error, JQ_STR("no such file")));
    assert_true(jq_str_equal(row.queue, JQ_STR("cad.again")));
    assert_true(jq_str_equal(row.handler, JQ_STR("mail")));
    assert_true(jq_str_equal(row.need, JQ_STR("cpu=2")));
    assert_int_equal(row.priority, 9);
    assert_int_equal(row.options.retry_max, 7);
    assert_int_equal(row.options.retry_base_ms, before.options.retry_base_ms);
    assert_true(row.body.lsn > before.body.lsn);
    assert_int_equal(replay(lab, &task, 1, 0)->status, JQ_REPLY_OK);
    struct jq_request poll = poll_of(lab, "worker-1", 1, 0);
    const struct jq_reply_effect *leased = lab_ask(lab, &poll);
    if (leased->status == JQ_REPLY_NOT_FOUND) {
        register_worker(lab, lab_worker(lab, "worker-1"));
        poll = poll_of(lab, "worker-1", 1, 0);
        leased = lab_ask(lab, &poll);
    }
    assert_int_equal(leased->u.lease.count, 1);
    assert_true(jq_str_equal(leased->u.lease.items[0].handler, JQ_STR("mail")));
    assert_int_equal(leased->u.lease.items[0].body.lsn, row.body.lsn);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Its group goes with it into the other queue, where it takes turns with those of that name. */
static void edited_letter_keeps_its_group(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("cad.in");
    item.group = JQ_STR("acme");
    const jq_task_id task = submit_item(lab, &item);
    report_failure(lab, lease_task(lab, "worker-1"), JQ_OUTCOME_INVALID_INPUT, false);
    item.queue = JQ_STR("cad.again");
    assert_int_equal(edit(lab, task, 0, JQ_EDIT_QUEUE, &item)->status, JQ_REPLY_OK);
    assert_true(jq_str_equal(task_row_of(lab, task).group, JQ_STR("acme")));
    assert_int_equal(replay(lab, &task, 1, 0)->status, JQ_REPLY_OK);
    restart_broker(lab);
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, task.value);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Only what is given changes; an edit of nothing but the priority leaves the body where it was. */
static void what_is_not_given_stays(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = dead_letter(lab, "q");
    const struct jq_task_row before = task_row_of(lab, task);
    const struct jq_submit_item item = {.priority = 1, .queue = JQ_STR("other"), .retry_max = 99};
    assert_int_equal(edit(lab, task, 0, JQ_EDIT_PRIORITY, &item)->status, JQ_REPLY_OK);
    const struct jq_task_row row = task_row_of(lab, task);
    assert_int_equal(row.priority, 1);
    assert_true(jq_str_equal(row.queue, JQ_STR("q")));
    assert_int_equal(row.options.retry_max, before.options.retry_max);
    assert_int_equal(row.body.lsn, before.body.lsn);
    lab_free(lab);
}

/* A task that waits, runs or has ended otherwise cannot be edited: `conflict`, and why. */
static void only_dead_letters_are_edited(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const struct jq_submit_item item = {.priority = 1};
    const jq_task_id task = submit_task(lab, "q");
    expect_refused(edit(lab, task, 0, JQ_EDIT_PRIORITY, &item), JQ_REPLY_CONFLICT, "id",
                   "it waits in its queue: replayed already, or never a dead letter");
    const jq_lease_token token = lease_task(lab, "worker-1");
    expect_refused(edit(lab, task, 0, JQ_EDIT_PRIORITY, &item), JQ_REPLY_CONFLICT, "id",
                   "it is running: replayed already, or never a dead letter");
    report_success(lab, token);
    expect_refused(edit(lab, task, 0, JQ_EDIT_PRIORITY, &item), JQ_REPLY_CONFLICT, "id",
                   "it has ended, and not as a dead letter");
    expect_refused(edit(lab, (jq_task_id){77}, 0, JQ_EDIT_PRIORITY, &item), JQ_REPLY_NOT_FOUND, "id",
                   "no such task: never submitted, or forgotten");
    lab_free(lab);
}

/* Two operators edit the same letter: whoever has not seen the other's edit is told so, and nothing of the first is lost. */
static void second_editor_is_told(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = dead_letter(lab, "q");
    const uint64_t seen = task_row_of(lab, task).version;
    const struct jq_submit_item item = {.body = {other_body, sizeof(other_body)}};
    assert_int_equal(edit(lab, task, seen, JQ_EDIT_BODY, &item)->status, JQ_REPLY_OK);
    const uint64_t first = task_row_of(lab, task).body.lsn, version = task_row_of(lab, task).version;
    expect_refused(edit(lab, task, seen, JQ_EDIT_BODY, &item), JQ_REPLY_CONFLICT, "version",
                   "somebody has edited it meanwhile: look again");
    assert_int_equal(task_row_of(lab, task).body.lsn, first);
    restart_broker(lab);
    assert_int_equal(edit(lab, task, version, JQ_EDIT_PRIORITY, &(struct jq_submit_item){.priority = 1})->status,
                     JQ_REPLY_OK); /* not of the body: an edit none the less */
    expect_refused(edit(lab, task, version, JQ_EDIT_BODY, &item), JQ_REPLY_CONFLICT, "version",
                   "somebody has edited it meanwhile: look again");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Edits that make no sense are refused by the field, and change nothing. */
static void bad_edits_are_refused(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = dead_letter(lab, "cad.in");
    const struct jq_submit_item moved = {.queue = JQ_STR("mail.out")};
    expect_refused(edit(lab, task, 0, JQ_EDIT_QUEUE, &moved), JQ_REPLY_INVALID, "queue",
                   "of another namespace: a task stays in its own");
    const struct jq_submit_item limits = {.soft_limit_ms = 2000, .hard_limit_ms = 1000};
    expect_refused(edit(lab, task, 0, JQ_EDIT_SOFT_LIMIT | JQ_EDIT_HARD_LIMIT, &limits), JQ_REPLY_INVALID,
                   "soft_limit_ms", "above hard_limit_ms");
    assert_true(jq_str_equal(task_row_of(lab, task).queue, JQ_STR("cad.in")));
    lab_free(lab);
}

/* The log keeps what an edited letter needs, and no more: its submit, its last report, its present body. */
static void log_keeps_the_edited_body(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = dead_letter(lab, "q");
    const uint64_t submitted = task_row_of(lab, task).body.lsn;
    const struct jq_submit_item item = {.body = {other_body, sizeof(other_body)}};
    for (int i = 0; i < 3; i++) {
        lab_prologue(lab);
        assert_int_equal(edit(lab, task, 0, JQ_EDIT_BODY, &item)->status, JQ_REPLY_OK);
    }
    lab_prologue(lab);
    assert_true(jq_core_needs_from(lab->core) <= submitted);
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    restart_broker(lab);
    assert_int_equal(replay(lab, &task, 1, 0)->status, JQ_REPLY_OK);
    report_success(lab, lease_task(lab, "worker-1"));
    advance_ms(lab, 2 * 86400000);
    assert_int_equal(task_state(lab, task), JQ_STATE_NONE);
    lab_prologue(lab);
    assert_true(jq_core_needs_from(lab->core) > submitted);
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Replayed at 10/s: the answer comes at once, and each letter is ready 100 ms after the one before it. */
static void replay_is_spread_over_time(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_task_id tasks[5];
    for (size_t i = 0; i < 5; i++) {
        tasks[i] = dead_letter(lab, "q");
    }
    const struct jq_reply_effect *reply = replay(lab, tasks, 5, 100000);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    assert_int_equal(reply->u.many.count, 5);
    restart_broker(lab); /* the times are in the log */
    for (size_t i = 0; i < 5; i++) {
        const jq_lease_token token = lease_task(lab, "worker-1");
        assert_int_not_equal(token.value, 0);
        report_success(lab, token);
        assert_int_equal(lease_task(lab, "worker-1").value, 0);
        advance_ms(lab, 99);
        assert_int_equal(lease_task(lab, "worker-1").value, 0);
        advance_ms(lab, 1);
    }
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* What waits for a dead letter waits on when it is replayed at a rate, and runs when it has succeeded. */
static void replayed_parent_frees_its_children(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id parents[] = {dead_letter(lab, "q"), submit_task(lab, "q")};
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("q");
    item.after = &parents[1];
    item.after_count = 1;
    const jq_task_id child = submit_item(lab, &item);
    report_failure(lab, lease_task(lab, "worker-1"), JQ_OUTCOME_INVALID_INPUT, false);
    assert_int_equal(task_state(lab, child), JQ_STATE_BLOCKED);
    assert_int_equal(edit(lab, parents[1], 0, JQ_EDIT_PRIORITY, &item)->status, JQ_REPLY_OK);
    assert_int_equal(replay(lab, parents, 2, 1000000)->u.many.count, 2);
    assert_int_equal(task_state(lab, child), JQ_STATE_WAITING);
    advance_ms(lab, 1000);
    report_success(lab, lease_task(lab, "worker-1"));
    report_success(lab, lease_task(lab, "worker-1"));
    assert_int_equal(task_state(lab, child), JQ_STATE_READY);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Two operators replay at once: their letters take places in one line, so the rate holds for both together. */
static void two_replays_share_one_line(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_task_id tasks[4];
    for (size_t i = 0; i < 4; i++) {
        tasks[i] = dead_letter(lab, "q");
    }
    assert_int_equal(replay(lab, tasks, 2, 1000000)->u.many.count, 2);
    assert_int_equal(replay(lab, tasks + 2, 2, 1000000)->u.many.count, 2);
    for (int64_t i = 0; i < 4; i++) {
        assert_int_equal(task_row_of(lab, tasks[i]).at_ms, lab->now_ms + 1000 * i);
    }
    assert_int_equal(task_state(lab, tasks[0]), JQ_STATE_READY);
    assert_int_equal(task_state(lab, tasks[3]), JQ_STATE_SCHEDULED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Replayed twice, or replayed and removed: the second is told `conflict`, and why; a request sent twice is answered as before. */
static void replayed_twice_is_a_conflict(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id tasks[] = {dead_letter(lab, "q"), dead_letter(lab, "q")};
    struct jq_request request = lab_request(lab, JQ_OP_DEAD_REPLAY);
    request.u.tasks.ids = tasks;
    request.u.tasks.count = 1;
    assert_int_equal(lab_ask(lab, &request)->u.many.count, 1);
    const struct jq_reply_effect *second = replay(lab, tasks, 2, 0);
    assert_int_equal(second->u.many.count, 1);
    assert_int_equal(second->u.many.exception_count, 1);
    assert_int_equal(second->u.many.exceptions[0].status, JQ_REPLY_CONFLICT);
    assert_string_equal(second->u.many.exceptions[0].reason,
                        "it waits in its queue: replayed already, or never a dead letter");
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_RM, tasks[0]), JQ_REPLY_CONFLICT);
    const struct jq_reply_effect *again = lab_ask(lab, &request); /* the transport's resend */
    assert_int_equal(again->u.many.count, 1);
    assert_int_equal(again->u.many.exception_count, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edited_letter_runs_as_edited),
        cmocka_unit_test(what_is_not_given_stays),
        cmocka_unit_test(edited_letter_keeps_its_group),
        cmocka_unit_test(only_dead_letters_are_edited),
        cmocka_unit_test(second_editor_is_told),
        cmocka_unit_test(bad_edits_are_refused),
        cmocka_unit_test(log_keeps_the_edited_body),
        cmocka_unit_test(replay_is_spread_over_time),
        cmocka_unit_test(two_replays_share_one_line),
        cmocka_unit_test(replayed_twice_is_a_conflict),
        cmocka_unit_test(replayed_parent_frees_its_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
