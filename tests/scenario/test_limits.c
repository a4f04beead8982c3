/* Limits: how many may run at a time, and how fast they may start, per queue, handler and group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static uint64_t lease_one(struct lab *lab, jq_lease_token *ret_token) {
    return lease_task_id(lab, "worker-1", ret_token).value;
}

static uint64_t run_one(struct lab *lab) {
    jq_lease_token token;
    const uint64_t task = lease_one(lab, &token);
    if (task != 0) {
        assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    }
    return task;
}

static struct jq_limit_row limit_row_of(struct lab *lab, const char *scope) {
    struct jq_request request = lab_request(lab, JQ_OP_LIMIT_LS);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    for (size_t i = 0; i < reply->u.limits.count; i++) {
        if (jq_str_equal(reply->u.limits.rows[i].scope, jq_str_of(scope))) {
            return reply->u.limits.rows[i];
        }
    }
    fail_msg("no limit %s", scope);
    return (struct jq_limit_row){0};
}

static struct jq_why_line first_line(struct lab *lab, uint64_t task) {
    const struct jq_reply_effect *reply = explain_task(lab, (jq_task_id){task});
    assert_int_equal(reply->status, JQ_REPLY_OK);
    return reply->u.explain.lines[0];
}

/* A queue's concurrency: so many of its tasks run at a time, over a restart too; the end of one starts the next at once. */
static void queue_runs_so_many_at_a_time(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_lease_token first, token;
    assert_int_equal(set_limit(lab, "queue:q", 2, NULL), JQ_REPLY_OK); /* before there is such a queue */
    for (int i = 0; i < 4; i++) {
        submit_task(lab, "q");
    }
    submit_task(lab, "free"); /* 5 */
    assert_int_equal(lease_one(lab, &first), 1);
    assert_int_equal(lease_one(lab, &token), 5); /* its turn among queues */
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_equal(lease_one(lab, &token), 2);
    assert_int_equal(lease_one(lab, &token), 0);
    assert_int_equal(first_line(lab, 3).why, JQ_WHY_LIMIT_FULL);
    assert_int_equal(first_line(lab, 3).number, 2);
    assert_int_equal(limit_row_of(lab, "queue:q").running, 2);
    assert_int_equal(limit_row_of(lab, "queue:q").held, 1);
    restart_broker(lab);
    assert_int_equal(lease_one(lab, &token), 0);
    struct jq_request poll = poll_of(lab, "worker-1", 1, 30000);
    assert_null(lab_ask(lab, &poll));
    assert_int_equal(report_success(lab, first), JQ_REPLY_OK);
    assert_int_equal(lab_reply_to(lab, poll.call)->u.lease.items[0].task.value, 3);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A handler's limit holds for all its tasks, whatever their queue and need; other handlers go on. */
static void handler_limit_holds_over_queues_and_needs(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.handler = JQ_STR("mail");
    submit_item(lab, &item); /* 1 */
    assert_int_equal(set_limit(lab, "handler:mail", 1, NULL), JQ_REPLY_OK);
    item.need = JQ_STR("cpu=1");
    item.queue = JQ_STR("other");
    submit_item(lab, &item); /* 2: of another class */
    submit_task(lab, "third");
    jq_lease_token token, mail;
    assert_int_equal(lease_one(lab, &mail), 1);
    assert_int_equal(lease_one(lab, &token), 3);
    assert_int_equal(lease_one(lab, &token), 0);
    assert_int_equal(first_line(lab, 2).why, JQ_WHY_LIMIT_FULL);
    assert_true(jq_str_equal(first_line(lab, 2).detail, JQ_STR("handler:mail")));
    assert_int_equal(report_success(lab, mail), JQ_REPLY_OK);
    assert_int_equal(lease_one(lab, &token), 2);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A group's limit holds for that group of that queue; a limit of each group for all that have none of their own. */
static void group_limits_hold_for_one_and_for_each(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_lease_token token, of_b;
    submit_to_group(lab, "q", "a"); /* 1, 2, 3 */
    submit_to_group(lab, "q", "a");
    submit_to_group(lab, "q", "a");
    assert_int_equal(set_limit(lab, "group:q/a", 2, NULL), JQ_REPLY_OK);
    assert_int_equal(set_limit(lab, "group:q/*", 1, NULL), JQ_REPLY_OK);
    submit_to_group(lab, "q", "b"); /* 4, 5 */
    submit_to_group(lab, "q", "b");
    assert_int_equal(lease_one(lab, &token), 1);
    assert_int_equal(lease_one(lab, &of_b), 4);
    assert_int_equal(lease_one(lab, &token), 2);
    assert_int_equal(lease_one(lab, &token), 0);
    assert_true(jq_str_equal(first_line(lab, 5).detail, JQ_STR("group:q/*")));
    assert_true(jq_str_equal(first_line(lab, 3).detail, JQ_STR("group:q/a")));
    assert_int_equal(limit_row_of(lab, "group:q/*").groups, 1);
    restart_broker(lab);
    assert_int_equal(lease_one(lab, &token), 0);
    assert_int_equal(report_success(lab, of_b), JQ_REPLY_OK);
    assert_int_equal(lease_one(lab, &token), 5);
    assert_int_equal(remove_limit(lab, "group:q/a"), JQ_REPLY_OK); /* now that of each group holds for it: 2 of 1 run */
    assert_int_equal(lease_one(lab, &token), 0);
    assert_int_equal(remove_limit(lab, "group:q/*"), JQ_REPLY_OK);
    advance_ms(lab, 1);
    assert_int_equal(lease_one(lab, &token), 3);
    assert_int_equal(remove_limit(lab, "group:q/*"), JQ_REPLY_NOT_FOUND);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* 100/h lets one start every 36 s, not a millisecond before, and goes on where it was after a restart of the broker. */
static void rate_lets_one_start_in_its_time(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    assert_int_equal(set_limit(lab, "queue:q", 0, "100/h"), JQ_REPLY_OK);
    for (int i = 0; i < 4; i++) {
        submit_task(lab, "q");
    }
    assert_int_equal(run_one(lab), 1);
    assert_int_equal(run_one(lab), 0);
    assert_int_equal(first_line(lab, 2).why, JQ_WHY_LIMIT_RATE);
    assert_true(jq_str_equal(first_line(lab, 2).detail, JQ_STR("queue:q 100/h")));
    assert_int_equal(first_line(lab, 2).number, 36000);
    advance_ms(lab, 20000);
    restart_broker(lab);
    assert_int_equal(limit_row_of(lab, "queue:q").opens_in_ms, 16000);
    advance_ms(lab, 15999);
    assert_int_equal(run_one(lab), 0);
    struct jq_request poll = poll_of(lab, "worker-1", 1, 20000);
    assert_null(lab_ask(lab, &poll));
    advance_ms(lab, 1); /* a parked worker gets it then */
    assert_int_equal(lab_reply_to(lab, poll.call)->u.lease.items[0].task.value, 2);
    advance_ms(lab, 3600000); /* what is not used is not saved up */
    assert_int_equal(run_one(lab), 3);
    assert_int_equal(run_one(lab), 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* With a burst so many start at once after a rest; then the rate holds. */
static void burst_is_a_bucket_of_tokens(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_request request = lab_request(lab, JQ_OP_LIMIT_SET);
    request.u.limit.scope = JQ_STR("handler:work");
    request.u.limit.rate = (struct jq_rate){1, 1000};
    request.u.limit.burst = 3;
    assert_int_equal(lab_ask(lab, &request)->status, JQ_REPLY_OK);
    for (int i = 0; i < 8; i++) {
        submit_task(lab, "q");
    }
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(run_one(lab), i);
    }
    assert_int_equal(run_one(lab), 0);
    advance_ms(lab, 999);
    assert_int_equal(run_one(lab), 0);
    advance_ms(lab, 1);
    assert_int_equal(run_one(lab), 4);
    assert_int_equal(run_one(lab), 0);
    advance_ms(lab, 2000);
    assert_int_equal(run_one(lab), 5);
    assert_int_equal(run_one(lab), 6);
    assert_int_equal(run_one(lab), 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A rate of each group: every group has its own, and it holds though the group's tasks are forgotten meanwhile. */
static void each_group_has_its_own_rate(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.result_ttl_ms = 1;
    item.group = JQ_STR("a");
    assert_int_equal(set_limit(lab, "group:default/*", 0, "1/10s"), JQ_REPLY_OK);
    submit_item(lab, &item); /* 1 */
    item.group = JQ_STR("b");
    submit_item(lab, &item); /* 2 */
    assert_int_equal(run_one(lab), 1);
    assert_int_equal(run_one(lab), 2);
    advance_ms(lab, 5000);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_NONE); /* forgotten */
    item.group = JQ_STR("a");
    submit_item(lab, &item); /* 3 */
    assert_int_equal(run_one(lab), 0);
    restart_broker(lab);
    assert_int_equal(run_one(lab), 0);
    advance_ms(lab, 5000);
    assert_int_equal(run_one(lab), 3);
    advance_ms(lab, 60000);
    assert_int_equal(limit_row_of(lab, "group:default/*").groups, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A limit that is changed or removed holds, or holds no more, from then on: for what waits, and for parked polls. */
static void limit_is_changed_and_removed(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    for (int i = 0; i < 3; i++) {
        submit_task(lab, "q");
    }
    assert_int_equal(set_limit(lab, "queue:q", 1, NULL), JQ_REPLY_OK);
    struct jq_request poll = poll_of(lab, "worker-1", 3, 30000);
    assert_int_equal(lab_ask(lab, &poll)->u.lease.count, 1);
    poll = poll_of(lab, "worker-1", 3, 30000);
    assert_null(lab_ask(lab, &poll));
    assert_int_equal(set_limit(lab, "queue:q", 2, NULL), JQ_REPLY_OK);
    assert_int_equal(lab_reply_to(lab, poll.call)->u.lease.count, 1);
    poll = poll_of(lab, "worker-1", 3, 30000);
    assert_null(lab_ask(lab, &poll));
    assert_int_equal(remove_limit(lab, "queue:q"), JQ_REPLY_OK);
    assert_int_equal(lab_reply_to(lab, poll.call)->u.lease.count, 1);
    expect_trace(lab, "[0] limit queue:q set\n[0] limit queue:q set\n[0] limit queue:q removed\n");
    restart_broker(lab);
    struct jq_request request = lab_request(lab, JQ_OP_LIMIT_LS);
    assert_int_equal(lab_ask(lab, &request)->u.limits.count, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A limit set while more run than it allows stops none of them: nothing starts until so many have ended. */
static void limit_below_what_runs_waits(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_lease_token tokens[3], token;
    for (int i = 0; i < 4; i++) {
        submit_to_group(lab, "q", "a");
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lease_one(lab, &tokens[i]), i + 1);
    }
    assert_int_equal(set_limit(lab, "group:q/*", 2, NULL), JQ_REPLY_OK);
    advance_ms(lab, 1);
    assert_int_equal(report_success(lab, tokens[0]), JQ_REPLY_OK);
    assert_int_equal(lease_one(lab, &token), 0);
    assert_int_equal(report_success(lab, tokens[1]), JQ_REPLY_OK);
    assert_int_equal(lease_one(lab, &token), 4);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A pause and a limit are two reasons: the end of one does not lift the other. */
static void reasons_do_not_lift_each_other(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_lease_token held, token;
    submit_task(lab, "q");
    submit_task(lab, "q");
    assert_int_equal(set_limit(lab, "queue:q", 1, NULL), JQ_REPLY_OK);
    assert_int_equal(lease_one(lab, &held), 1);
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "q", true), JQ_REPLY_OK);
    assert_int_equal(report_success(lab, held), JQ_REPLY_OK);
    assert_int_equal(lease_one(lab, &token), 0);
    assert_int_equal(first_line(lab, 2).why, JQ_WHY_QUEUE_PAUSED);
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "q", false), JQ_REPLY_OK);
    assert_int_equal(lease_one(lab, &token), 2);
    lab_free(lab);
}

/* A lease that is lost counts no more: its place under the limit is free, and the attempt's start stays counted by the rate. */
static void lost_lease_gives_its_place_back(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_lease_token token;
    submit_task(lab, "q");
    assert_int_equal(set_limit(lab, "queue:q", 1, "1/m"), JQ_REPLY_OK);
    assert_int_equal(lease_one(lab, &token), 1);
    restart_worker(lab, "worker-1");
    assert_int_equal(limit_row_of(lab, "queue:q").running, 0);
    assert_int_equal(lease_one(lab, &token), 0);
    advance_ms(lab, 60000);
    register_worker(lab, lab_worker(lab, "worker-1"));
    assert_int_equal(lease_one(lab, &token), 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* At most limits_max limits: beyond, busy names it; one that is there can still be changed. */
static void limits_are_bounded(void **state) {
    struct jq_core_config config;
    (void)state;
    jq_core_config_init(&config);
    config.limits_max = 1;
    struct lab *lab = lab_new_with(&config);
    assert_int_equal(set_limit(lab, "queue:a", 1, NULL), JQ_REPLY_OK);
    assert_int_equal(set_limit(lab, "queue:b", 1, NULL), JQ_REPLY_BUSY);
    assert_int_equal(set_limit(lab, "queue:a", 2, NULL), JQ_REPLY_OK);
    lab_free(lab);
}

/* The log forgets tasks and segments, not what a rate has counted: a broker that starts from what is left of it goes on where it was. */
static void rate_outlives_the_segments_that_it_counted(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.result_ttl_ms = 1;
    item.queue = JQ_STR("q");
    assert_int_equal(set_limit(lab, "queue:q", 3, "1/m"), JQ_REPLY_OK);
    assert_int_equal(set_limit(lab, "handler:work", 0, "2/m"), JQ_REPLY_OK);
    submit_item(lab, &item); /* 1 */
    assert_int_equal(run_one(lab), 1);
    advance_ms(lab, 10000);
    lab_prologue(lab); /* 1 is forgotten: nothing needs what stands before */
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    assert_true(lab->log.first > 0);
    restart_broker(lab);
    assert_int_equal(limit_row_of(lab, "queue:q").opens_in_ms, 50000);
    assert_int_equal(limit_row_of(lab, "queue:q").concurrency, 3);
    const jq_task_id second = submit_item(lab, &item);
    assert_int_equal(run_one(lab), 0);
    advance_ms(lab, 50000);
    assert_int_equal(run_one(lab), second.value);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Nor does the rate of each group give a burst more to a broker that starts from what is left of the log: what cannot be known any
 * more is taken to have been used up, for those groups too of which nothing is left; and no longer than that could hold anybody back. */
static void each_groups_rate_outlives_the_segments_too(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.result_ttl_ms = 1;
    item.queue = JQ_STR("q");
    item.group = JQ_STR("acme");
    advance_ms(lab, 1000000);
    assert_int_equal(set_limit(lab, "group:q/*", 0, "1/m"), JQ_REPLY_OK);
    submit_item(lab, &item);
    assert_int_equal(run_one(lab), 1);
    advance_ms(lab, 10000);
    lab_prologue(lab);
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    assert_true(lab->log.first > 0);
    advance_ms(lab, 20000);
    restart_broker(lab);
    const jq_task_id second = submit_item(lab, &item);
    assert_int_equal(run_one(lab), 0);
    advance_ms(lab, 40000 - 1); /* a minute behind the first record that is left */
    assert_int_equal(run_one(lab), 0);
    advance_ms(lab, 1);
    assert_int_equal(run_one(lab), second.value);
    item.group = JQ_STR("new");
    const jq_task_id other = submit_item(lab, &item);
    assert_int_equal(run_one(lab), other.value);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* What is known of a group's starts comes on top of what is not known any more: a burst of which the log has only the last start is not
 * let through a second time. */
static void a_known_start_comes_on_top_of_what_is_forgotten(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.result_ttl_ms = 1;
    item.queue = JQ_STR("q");
    item.group = JQ_STR("acme");
    advance_ms(lab, 1000000);
    struct jq_request request = lab_request(lab, JQ_OP_LIMIT_SET);
    request.u.limit.scope = JQ_STR("group:q/*");
    request.u.limit.rate = (struct jq_rate){1, 60000};
    request.u.limit.burst = 3;
    assert_int_equal(lab_ask(lab, &request)->status, JQ_REPLY_OK);
    for (uint64_t i = 1; i <= 3; i++) {
        submit_item(lab, &item);
        assert_int_equal(run_one(lab), i);
    }
    advance_ms(lab, 10);
    lab_prologue(lab); /* they are forgotten */
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    assert_true(lab->log.first > 0);
    advance_ms(lab, 60000 - 10);
    submit_item(lab, &item);
    assert_int_equal(run_one(lab), 4);
    restart_broker(lab);
    const jq_task_id next = submit_item(lab, &item);
    advance_ms(lab, 60000 - 1);
    assert_int_equal(run_one(lab), 0);
    advance_ms(lab, 1);
    assert_int_equal(run_one(lab), next.value); /* and no later than by the last start alone */
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Where the log has a start, but nothing of the task that started, no group is let through a burst more for that. */
static void a_start_of_a_forgotten_task_counts_for_every_group(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.result_ttl_ms = 1;
    item.queue = JQ_STR("q");
    item.group = JQ_STR("acme");
    advance_ms(lab, 1000000);
    assert_int_equal(set_limit(lab, "group:q/*", 0, "1/m"), JQ_REPLY_OK);
    submit_item(lab, &item);
    lab_prologue(lab); /* what is left begins here */
    struct jq_submit_item later = lab_item();
    later.delay_ms = 100000000;
    submit_item(lab, &later);
    advance_ms(lab, 30000);
    assert_int_equal(run_one(lab), 1);
    advance_ms(lab, 10);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_NONE); /* forgotten */
    lab_prologue(lab);
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    assert_true(lab->log.first > 0);
    assert_int_equal(lab->log.entries[lab->log.first].type, JQ_RECORD_PROLOGUE_BEGIN);
    restart_broker(lab);
    const jq_task_id next = submit_item(lab, &item);
    advance_ms(lab, 60000 - 10 - 1);
    assert_int_equal(run_one(lab), 0);
    advance_ms(lab, 1);
    assert_int_equal(run_one(lab), next.value);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_runs_so_many_at_a_time),
        cmocka_unit_test(handler_limit_holds_over_queues_and_needs),
        cmocka_unit_test(group_limits_hold_for_one_and_for_each),
        cmocka_unit_test(rate_lets_one_start_in_its_time),
        cmocka_unit_test(burst_is_a_bucket_of_tokens),
        cmocka_unit_test(each_group_has_its_own_rate),
        cmocka_unit_test(limit_is_changed_and_removed),
        cmocka_unit_test(limit_below_what_runs_waits),
        cmocka_unit_test(reasons_do_not_lift_each_other),
        cmocka_unit_test(lost_lease_gives_its_place_back),
        cmocka_unit_test(limits_are_bounded),
        cmocka_unit_test(rate_outlives_the_segments_that_it_counted),
        cmocka_unit_test(each_groups_rate_outlives_the_segments_too),
        cmocka_unit_test(a_known_start_comes_on_top_of_what_is_forgotten),
        cmocka_unit_test(a_start_of_a_forgotten_task_counts_for_every_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
