#define _GNU_SOURCE
/* Workers that sleep, and when their doorbell is rung. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

enum { GRACE_MS = 10000, PAUSE_MS = 3000, LIVENESS_MS = 15000 };

/* It has registered with a doorbell. */
static struct lab_worker *woken_by(struct lab *lab, const char *name) {
    struct lab_worker *worker = lab_worker_unregistered(lab, name);
    worker->doorbell = "ipc:///run/w.sock";
    register_worker(lab, worker);
    return worker;
}

static void sleeps(struct lab *lab, const char *name) {
    struct jq_request poll = poll_of(lab, name, 0, 0);
    poll.u.lease.sleep = true;
    const struct jq_reply_effect *reply = lab_ask(lab, &poll);
    assert_non_null(reply);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    assert_int_equal(reply->u.lease.count, 0);
    stop_answering_surveys(lab, name);
}

static void wakes(struct lab *lab, const char *name) {
    start_answering_surveys(lab, name);
    restart_worker(lab, name);
}

static jq_task_id submit_for(struct lab *lab, const char *handler) {
    struct jq_submit_item item = lab_item();
    item.handler = jq_str_of(handler);
    return submit_item(lab, &item);
}

static struct lab *new_lab(void) {
    struct lab *lab = lab_new();
    advance_ms(lab, GRACE_MS);
    return lab;
}

/* A worker that went to sleep is rung as soon as a task comes that only it could run; awake, it gets it. */
static void a_task_that_only_a_sleeper_can_run_wakes_it(void **state) {
    (void)state;
    struct lab *lab = new_lab();
    (void)woken_by(lab, "w");
    sleeps(lab, "w");
    assert_int_equal(lab->rings, 0);
    const jq_task_id task = submit_task(lab, "mail");
    assert_int_equal(lab->rings, 1);
    expect_trace(lab, "[10000] worker w asleep\n[10000] worker w rung: 1\n");
    wakes(lab, "w");
    assert_int_equal(report_success(lab, lease_task(lab, "w")), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, task), JQ_STATE_SUCCEEDED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Nobody is woken for what somebody who is awake can run, however busy that one is. */
static void sleepers_are_left_alone_while_others_can(void **state) {
    (void)state;
    struct lab *lab = new_lab();
    (void)lab_worker(lab, "awake");
    (void)woken_by(lab, "w");
    sleeps(lab, "w");
    for (int i = 0; i < 9; i++) {
        (void)submit_task(lab, "mail");
    }
    advance_ms(lab, 60000);
    assert_int_equal(lab->rings, 0);
    /* One that drains, or has died, is not awake. */
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "awake", true), JQ_REPLY_OK);
    assert_int_equal(lab->rings, 1);
    lab_free(lab);
}

/* Nor for what it cannot run, or for tasks that are held back by something else. */
static void sleepers_are_left_alone_where_they_are_no_help(void **state) {
    (void)state;
    struct lab *lab = new_lab();
    (void)woken_by(lab, "w");
    sleeps(lab, "w");
    (void)submit_for(lab, "unheard_of");
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "mail", true), JQ_REPLY_OK);
    const jq_task_id task = submit_task(lab, "mail");
    advance_ms(lab, 60000);
    assert_int_equal(lab->rings, 0);
    const struct jq_reply_effect *reply = explain_task(lab, task);
    bool asleep = false;
    for (size_t i = 0; i < reply->u.explain.count; i++) {
        asleep |= reply->u.explain.lines[i].why == JQ_WHY_WORKER_ASLEEP;
    }
    assert_true(asleep);
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "mail", false), JQ_REPLY_OK);
    assert_int_equal(lab->rings, 1);
    lab_free(lab);
}

/* Who does not come is rung again, ever more seldom; another who could do it as well is tried in between. */
static void rings_have_a_backoff(void **state) {
    (void)state;
    struct lab *lab = new_lab();
    (void)woken_by(lab, "w");
    sleeps(lab, "w");
    (void)submit_task(lab, "mail");
    advance_ms(lab, PAUSE_MS);
    assert_int_equal(lab->rings, 2);
    advance_ms(lab, 600000);
    assert_in_range(lab->rings, 12, 17); /* once a minute */
    const uint32_t before = lab->rings;
    (void)woken_by(lab, "v");
    sleeps(lab, "v");
    advance_ms(lab, 1000);
    assert_int_equal(lab->rings, before + 1);
    lab_free(lab);
}

/* A doorbell outlives the broker's restart; but those who are awake have time to register before anybody is rung. */
static void doorbells_are_remembered_over_a_restart(void **state) {
    (void)state;
    struct lab *lab = new_lab();
    (void)woken_by(lab, "w");
    sleeps(lab, "w");
    lab_prologue(lab);
    restart_broker(lab);
    (void)submit_task(lab, "mail");
    advance_ms(lab, 1000);
    assert_int_equal(lab->rings, 0);
    advance_ms(lab, GRACE_MS);
    assert_in_range(lab->rings, 1, 3);
    expect_replay_matches_live(lab);
    wakes(lab, "w");
    assert_int_equal(report_success(lab, lease_task(lab, "w")), JQ_REPLY_OK);
    lab_free(lab);
}

/* A worker with a doorbell that dies is not forgotten, but rung for its own task: what its host lost, its host may have back. */
static void a_dead_worker_with_a_doorbell_is_rung(void **state) {
    (void)state;
    struct lab *lab = new_lab();
    (void)woken_by(lab, "w");
    const jq_task_id task = submit_task(lab, "mail");
    const jq_lease_token token = lease_task(lab, "w");
    stop_answering_surveys(lab, "w");
    advance_ms(lab, 2 * LIVENESS_MS);
    assert_true(lab->rings >= 1);
    assert_int_equal(report_by(lab, "w", task, token, JQ_OUTCOME_SUCCESS, false), JQ_REPLY_NOT_FOUND);
    wakes(lab, "w");
    assert_int_equal(report_success(lab, lease_task(lab, "w")), JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A lease that crossed the word that its worker goes is back in the queue at once, and no attempt is counted. */
static void what_was_given_to_one_that_goes_comes_back(void **state) {
    (void)state;
    struct lab *lab = new_lab();
    (void)woken_by(lab, "w");
    const jq_task_id task = submit_task(lab, "mail");
    (void)lease_task(lab, "w");
    sleeps(lab, "w");
    assert_int_equal(task_state(lab, task), JQ_STATE_READY);
    assert_int_equal(task_row_of(lab, task).attempts, 0);
    assert_int_equal(lab->rings, 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Without a doorbell nobody can be woken: who goes is gone, and what crossed its word is back in the queue at once. */
static void without_a_doorbell_who_goes_is_gone(void **state) {
    (void)state;
    struct lab *lab = new_lab();
    const jq_task_id task = submit_task(lab, "mail");
    const jq_lease_token token = lease_task(lab, "w");
    sleeps(lab, "w");
    assert_int_equal(task_state(lab, task), JQ_STATE_READY);
    assert_int_equal(task_row_of(lab, task).attempts, 0);
    assert_int_equal(report_by(lab, "w", task, token, JQ_OUTCOME_SUCCESS, false), JQ_REPLY_NOT_FOUND);
    advance_ms(lab, 2 * LIVENESS_MS);
    assert_int_equal(lab->rings, 0);
    expect_trace(lab, "[10000] task 1 ready: handed_back\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Those who sleep do not keep out those who are awake: where the table is full, one of them is forgotten. */
static void a_sleeper_gives_its_place_to_one_that_is_awake(void **state) {
    struct jq_core_config config;
    (void)state;
    jq_core_config_init(&config);
    config.workers_max = 2;
    struct lab *lab = lab_new_with(&config);
    (void)woken_by(lab, "w");
    (void)lab_worker(lab, "a");
    sleeps(lab, "w");
    const jq_task_id task = submit_task(lab, "mail");
    assert_int_equal(report_success(lab, lease_task(lab, "b")), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, task), JQ_STATE_SUCCEEDED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Of two that sleep one is rung at a time; who did not come gives way to who was not tried. */
static void sleepers_are_rung_one_after_the_other(void **state) {
    (void)state;
    struct lab *lab = new_lab();
    (void)woken_by(lab, "w");
    (void)woken_by(lab, "v");
    sleeps(lab, "w");
    sleeps(lab, "v");
    (void)submit_task(lab, "mail");
    jq_buf_clear(&lab->trace);
    advance_ms(lab, PAUSE_MS - 1);
    assert_int_equal(lab->rings, 1);
    advance_ms(lab, 1);
    expect_trace(lab, "[13000] worker v rung: 1\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* After a restart nobody knows what a sleeper could run: one that has registered since, and could, is rung before such. */
static void who_is_known_to_be_able_is_rung_first(void **state) {
    (void)state;
    struct lab *lab = new_lab();
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        (void)woken_by(lab, names[i]);
        sleeps(lab, names[i]);
    }
    restart_broker(lab);
    wakes(lab, "b");
    sleeps(lab, "b");
    (void)submit_task(lab, "mail");
    jq_buf_clear(&lab->trace);
    advance_ms(lab, GRACE_MS);
    assert_int_not_equal(lab->rings, 0);
    const struct jq_bytes trace = jq_buf_bytes(&lab->trace);
    const uint8_t *first = memmem(trace.data, trace.size, "worker ", 7);
    assert_non_null(first);
    assert_int_equal(first[7], 'b');
    lab_free(lab);
}

/* Of those who sleep, the one that was rung in vain most often goes first; one that an operator drains is not forgotten for that. */
static void who_was_rung_in_vain_gives_its_place_first(void **state) {
    struct jq_core_config config;
    (void)state;
    jq_core_config_init(&config);
    config.workers_max = 3;
    struct lab *lab = lab_new_with(&config);
    advance_ms(lab, GRACE_MS);
    (void)woken_by(lab, "kept");
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "kept", true), JQ_REPLY_OK);
    sleeps(lab, "kept");
    (void)woken_by(lab, "w");
    sleeps(lab, "w");
    (void)submit_task(lab, "mail");
    advance_ms(lab, 10 * PAUSE_MS); /* w does not come */
    assert_int_equal(cancel_task(lab, (jq_task_id){1}), JQ_REPLY_OK);
    (void)woken_by(lab, "v");
    sleeps(lab, "v");
    (void)lab_worker(lab, "awake");
    struct jq_request show = lab_request(lab, JQ_OP_WORKER_SHOW);
    show.u.named.name = JQ_STR("w");
    assert_int_equal(lab_ask(lab, &show)->status, JQ_REPLY_NOT_FOUND);
    for (const char *const *name = (const char *const[]){"kept", "v", "awake", NULL}; *name; name++) {
        show.u.named.name = jq_str_of(*name);
        assert_int_equal(lab_ask(lab, &show)->status, JQ_REPLY_OK);
    }
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A worker that calls itself by another's name. The test calls it `name`. */
static void registers_as(struct lab *lab, const char *name, const char *as, const char *doorbell) {
    struct lab_worker *worker = lab_worker_unregistered(lab, name);
    worker->doorbell = doorbell;
    (void)snprintf(worker->name, sizeof(worker->name), "%s", as);
    register_worker(lab, worker);
    (void)snprintf(worker->name, sizeof(worker->name), "%s", name);
}

/* What the newest event says, which is that one. */
static int64_t others_told(struct lab *lab) {
    struct jq_request request = lab_request(lab, JQ_OP_EVENTS_READ);
    const uint64_t last = lab_ask(lab, &request)->u.events.next;
    request = lab_request(lab, JQ_OP_EVENTS_READ);
    request.u.events.after = last - 1;
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->u.events.count, 1);
    assert_string_equal(reply->u.events.rows[0].event, "worker.registered");
    return reply->u.events.rows[0].number;
}

/* Who registers is warned of others under its name that are here: not of one that sleeps, nor of one that is dead and kept only for being
 * drained. */
static void others_of_its_name_are_those_that_are_here(void **state) {
    struct jq_core_config config;
    (void)state;
    jq_core_config_init(&config);
    config.events_max = 64;
    struct lab *lab = lab_new_with(&config);
    registers_as(lab, "first", "host", "ipc:///run/w.sock");
    sleeps(lab, "first");
    registers_as(lab, "second", "host", NULL);
    assert_int_equal(others_told(lab), 0);
    registers_as(lab, "third", "host", NULL);
    assert_int_equal(others_told(lab), 1);
    stop_answering_surveys(lab, "second");
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "host", true), JQ_REPLY_OK);
    advance_ms(lab, 2 * LIVENESS_MS);
    registers_as(lab, "fourth", "host", NULL);
    assert_int_equal(others_told(lab), 1); /* the third */
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* One that is not here when an operator lets it work again has one liveness to come back; not so one that sleeps, which comes when it is
 * rung. */
static void a_sleeper_that_may_work_again_sleeps_on(void **state) {
    (void)state;
    struct lab *lab = new_lab();
    (void)woken_by(lab, "w");
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "w", true), JQ_REPLY_OK);
    sleeps(lab, "w");
    restart_broker(lab);
    const jq_task_id task = submit_task(lab, "mail");
    advance_ms(lab, 2 * LIVENESS_MS);
    assert_int_equal(lab->rings, 0);
    assert_int_equal(cancel_task(lab, task), JQ_REPLY_OK);
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "w", false), JQ_REPLY_OK);
    jq_buf_clear(&lab->trace);
    advance_ms(lab, 2 * LIVENESS_MS);
    expect_trace(lab, "");
    (void)submit_task(lab, "mail");
    advance_ms(lab, GRACE_MS);
    assert_int_not_equal(lab->rings, 0);
    wakes(lab, "w");
    assert_int_equal(report_success(lab, lease_task(lab, "w")), JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_only_a_sleeper_can_run_wakes_it),
        cmocka_unit_test(sleepers_are_left_alone_while_others_can),
        cmocka_unit_test(sleepers_are_left_alone_where_they_are_no_help),
        cmocka_unit_test(rings_have_a_backoff),
        cmocka_unit_test(doorbells_are_remembered_over_a_restart),
        cmocka_unit_test(a_dead_worker_with_a_doorbell_is_rung),
        cmocka_unit_test(what_was_given_to_one_that_goes_comes_back),
        cmocka_unit_test(a_sleeper_gives_its_place_to_one_that_is_awake),
        cmocka_unit_test(without_a_doorbell_who_goes_is_gone),
        cmocka_unit_test(sleepers_are_rung_one_after_the_other),
        cmocka_unit_test(who_is_known_to_be_able_is_rung_first),
        cmocka_unit_test(who_was_rung_in_vain_gives_its_place_first),
        cmocka_unit_test(others_of_its_name_are_those_that_are_here),
        cmocka_unit_test(a_sleeper_that_may_work_again_sleeps_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
