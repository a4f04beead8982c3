/* Groups inside a queue: whose turn it is, and who goes first among queues, priorities and classes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

/* The task that is leased next; it ends at once. 0: none. */
static uint64_t run_one_at(struct lab *lab, const char *worker) {
    jq_lease_token token;
    const jq_task_id task = lease_task_id(lab, worker, &token);
    if (task.value != 0) {
        assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    }
    return task.value;
}

static void expect_order(struct lab *lab, const uint64_t *expected, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(run_one_at(lab, "worker-1"), expected[i]);
    }
}
#define EXPECT_ORDER(lab, ...)                                                                                         \
    expect_order(lab, (const uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static jq_task_id submit(struct lab *lab, const char *group, int priority, const char *handler) {
    struct jq_submit_item item = lab_item();
    item.group = jq_str_of(group);
    item.priority = priority;
    item.handler = jq_str_of(handler);
    return submit_item(lab, &item);
}

/* The groups of a queue take turns, however many tasks each has and whoever came first; within a group the first comes first. */
static void groups_take_turns(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    for (int i = 0; i < 4; i++) {
        submit_to_group(lab, "q", "large"); /* 1 .. 4 */
    }
    submit_to_group(lab, "q", "small"); /* 5, 6 */
    submit_to_group(lab, "q", "small");
    submit_to_group(lab, "q", "third"); /* 7 */
    EXPECT_ORDER(lab, 1, 5, 7, 2, 6, 3, 4, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Tasks that name no group take turns like one more group. */
static void tasks_of_no_group_are_one_more(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    for (int i = 0; i < 3; i++) {
        submit_task(lab, "q"); /* 1 .. 3 */
    }
    submit_to_group(lab, "q", "a"); /* 4, 5 */
    submit_to_group(lab, "q", "a");
    EXPECT_ORDER(lab, 1, 4, 2, 5, 3, 0);
    lab_free(lab);
}

/* A group that comes later gets no credit for the time before: it stands behind those that are there, and then takes turns. */
static void new_group_gets_no_credit(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    for (int i = 0; i < 4; i++) {
        submit_to_group(lab, "q", "a"); /* 1, 3, 5, 7 */
        submit_to_group(lab, "q", "b"); /* 2, 4, 6, 8 */
    }
    EXPECT_ORDER(lab, 1, 2, 3);
    submit_to_group(lab, "q", "c"); /* 9, 10 */
    submit_to_group(lab, "q", "c");
    EXPECT_ORDER(lab, 4, 5, 9, 6, 7, 10, 8, 0);
    lab_free(lab);
}

/* Whoever was served goes behind the others whatever the class of what it got: one group's many kinds of tasks are one group. */
static void turns_do_not_depend_on_the_class(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit(lab, "a", 5, "work"); /* 1 */
    submit(lab, "a", 5, "mail");
    submit(lab, "a", 5, "build");
    submit(lab, "b", 5, "work"); /* 4 */
    submit(lab, "b", 5, "mail");
    EXPECT_ORDER(lab, 1, 4, 2, 5, 3, 0);
    lab_free(lab);
}

/* Priority is strict inside the queue: turns are taken within a priority. */
static void priority_comes_before_turns(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit(lab, "a", 5, "work");
    submit(lab, "b", 5, "work");
    submit(lab, "a", 9, "work"); /* 3 */
    submit(lab, "a", 9, "work");
    submit(lab, "b", 9, "work"); /* 5 */
    EXPECT_ORDER(lab, 3, 5, 4, 2, 1, 0);
    lab_free(lab);
}

/* A worker that can run nothing of the group whose turn it is gets the next group's; the other keeps its turn. */
static void turn_waits_for_a_worker_that_can(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    lab_worker_unregistered(lab, "mailer")->handler_count = 2;
    lab_worker(lab, "mailer")->handlers[0].name = JQ_STR("other");
    register_worker(lab, lab_worker(lab, "mailer"));
    submit(lab, "a", 5, "work"); /* 1 */
    submit(lab, "a", 5, "work");
    submit(lab, "b", 5, "mail"); /* 3 */
    submit(lab, "b", 5, "mail");
    assert_int_equal(run_one_at(lab, "mailer"), 3);
    assert_int_equal(run_one_at(lab, "mailer"), 4);
    assert_int_equal(run_one_at(lab, "mailer"), 0);
    EXPECT_ORDER(lab, 1, 2);
    lab_free(lab);
}

/* A retry keeps its priority and its first-ready time, and so its place inside its group. */
static void retry_comes_first_in_its_group(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_to_group(lab, "q", "a"); /* 1, 2 */
    submit_to_group(lab, "q", "a");
    submit_to_group(lab, "q", "b"); /* 3 */
    const jq_lease_token lost = lease_task(lab, "worker-1");
    restart_worker(lab, "worker-1");
    (void)lost;
    EXPECT_ORDER(lab, 3, 1, 2, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A group is told with its task, is the same after a restart, and at most groups_max of them are known: beyond, busy names it. */
static void groups_are_told_kept_and_bounded(void **state) {
    struct jq_core_config config;
    (void)state;
    jq_core_config_init(&config);
    config.groups_max = 2;
    struct lab *lab = lab_new_with(&config);
    submit_to_group(lab, "q", "a");
    submit_to_group(lab, "other", "a"); /* not the same: of another queue */
    struct jq_submit_item item = lab_item();
    item.group = JQ_STR("b");
    const struct jq_reply_effect *reply = submit_items(lab, &item, 1);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_BUSY);
    assert_string_equal(reply->u.submit.exceptions[0].reason, "groups_max reached");
    submit_to_group(lab, "q", "a");
    restart_broker(lab);
    lab_prologue(lab);
    assert_true(jq_str_equal(task_row_of(lab, (jq_task_id){1}).group, JQ_STR("a")));
    assert_int_equal(cancel_task(lab, (jq_task_id){2}), JQ_REPLY_OK);
    advance_ms(lab, 86400000); /* its result_ttl: the task is forgotten, and with it the group */
    reply = submit_items(lab, &item, 1);
    assert_int_equal(reply->u.submit.exception_count, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Every eighth lease goes to the longest-ready task, whatever its group and priority; the turns of the others go on. */
static void aging_looks_past_groups(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit(lab, "old", 0, "work"); /* 1 */
    advance_ms(lab, lab->config.aging_interval_ms);
    for (int i = 0; i < 10; i++) {
        submit(lab, i % 2 ? "a" : "b", 9, "work"); /* 2 .. 11 */
    }
    EXPECT_ORDER(lab, 2, 3, 4, 5, 6, 7, 8, 1, 9, 10, 11, 0);
    lab_free(lab);
}

/* A worker passes over queues that have nothing for it, and gets from the fairest of those that have. */
static void worker_gets_from_the_fairest_queue_that_has_something(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    lab_worker_unregistered(lab, "mailer")->handler_count = 1;
    lab_worker(lab, "mailer")->handlers[0].name = JQ_STR("mail");
    register_worker(lab, lab_worker(lab, "mailer"));
    struct jq_submit_item item = lab_item();
    char name[16];
    for (int i = 0; i < 40; i++) { /* 1 .. 40: nothing for it */
        (void)snprintf(name, sizeof(name), "q%d", i);
        item.queue = jq_str_of(name);
        submit_item(lab, &item);
    }
    item.handler = JQ_STR("mail");
    for (int i = 0; i < 4; i++) { /* 41, 43 in q38, 42, 44 in q39 */
        item.queue = i % 2 ? JQ_STR("q39") : JQ_STR("q38");
        submit_item(lab, &item);
    }
    assert_int_equal(run_one_at(lab, "mailer"), 41);
    assert_int_equal(run_one_at(lab, "mailer"), 42);
    assert_int_equal(run_one_at(lab, "mailer"), 43);
    assert_int_equal(run_one_at(lab, "mailer"), 44);
    assert_int_equal(run_one_at(lab, "mailer"), 0);
    lab_free(lab);
}

/* A queue that was paused gets no credit for it: its share begins anew, and the weights hold from there. */
static void paused_queue_gets_no_credit(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    for (int i = 0; i < 20; i++) {
        submit_task(lab, "a"); /* odd */
        submit_task(lab, "b"); /* even */
    }
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "b", true), JQ_REPLY_OK);
    EXPECT_ORDER(lab, 1, 3, 5, 7, 9, 11);
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "b", false), JQ_REPLY_OK);
    int of_b = 0;
    for (int i = 0; i < 10; i++) {
        of_b += run_one_at(lab, "worker-1") % 2 == 0;
    }
    assert_in_range(of_b, 5, 6);
    lab_free(lab);
}

/* A task that becomes ready, and a queue that is resumed, go to a worker whose poll is parked, by whatever queue they came. */
static void resumed_queue_serves_parked_polls_of_every_kind(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    lab_worker_unregistered(lab, "mailer")->handler_count = 1;
    lab_worker(lab, "mailer")->handlers[0].name = JQ_STR("mail");
    register_worker(lab, lab_worker(lab, "mailer"));
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "default", true), JQ_REPLY_OK);
    submit(lab, "a", 5, "work");
    submit(lab, "a", 5, "mail");
    lab_worker_unregistered(lab, "worker-1")->handler_count = 1; /* work */
    register_worker(lab, lab_worker(lab, "worker-1"));
    struct jq_request mailer = poll_of(lab, "mailer", 4, 30000), worker = poll_of(lab, "worker-1", 4, 30000);
    assert_null(lab_ask(lab, &mailer));
    assert_null(lab_ask(lab, &worker));
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "default", false), JQ_REPLY_OK);
    assert_int_equal(lab_reply_to(lab, worker.call)->u.lease.count, 1);
    assert_int_equal(lab_reply_to(lab, mailer.call)->u.lease.count, 1);
    lab_free(lab);
}

static const struct jq_why_line *line_of(const struct jq_reply_effect *reply, enum jq_why why) {
    for (size_t i = 0; i < reply->u.explain.count; i++) {
        if (reply->u.explain.lines[i].why == why) {
            return &reply->u.explain.lines[i];
        }
    }
    fail_msg("no such line: %d", (int)why);
    return NULL;
}

/* `task explain` says that other groups have their turn first, and how many tasks that makes. */
static void explain_tells_of_turns(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    (void)lab_worker(lab, "worker-1");
    for (int i = 0; i < 10; i++) {
        submit_to_group(lab, "q", "a"); /* 1 .. 10 */
    }
    submit_to_group(lab, "q", "b"); /* 11, 12 */
    const struct jq_reply_effect *reply = explain_task(lab, submit_to_group(lab, "q", "b"));
    assert_int_equal(line_of(reply, JQ_WHY_GROUP_TURN)->number, 1);
    assert_true(jq_str_equal(line_of(reply, JQ_WHY_GROUP_TURN)->detail, JQ_STR("b")));
    assert_int_equal(line_of(reply, JQ_WHY_BEHIND)->number, 3); /* one of its own, two of a: not nine */
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_take_turns),
        cmocka_unit_test(tasks_of_no_group_are_one_more),
        cmocka_unit_test(new_group_gets_no_credit),
        cmocka_unit_test(turns_do_not_depend_on_the_class),
        cmocka_unit_test(priority_comes_before_turns),
        cmocka_unit_test(turn_waits_for_a_worker_that_can),
        cmocka_unit_test(retry_comes_first_in_its_group),
        cmocka_unit_test(groups_are_told_kept_and_bounded),
        cmocka_unit_test(aging_looks_past_groups),
        cmocka_unit_test(worker_gets_from_the_fairest_queue_that_has_something),
        cmocka_unit_test(paused_queue_gets_no_credit),
        cmocka_unit_test(resumed_queue_serves_parked_polls_of_every_kind),
        cmocka_unit_test(explain_tells_of_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
