/* One submit, one task; one outcome, accepted once: over resends, restarts and late reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

/* A report under the token of an attempt that was replaced is refused; so is a second report under the same token. */
static void outcome_is_accepted_exactly_once(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = submit_task(lab, "q");
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_equal(report_by(lab, "worker-1", task, token, JQ_OUTCOME_SUCCESS, false), JQ_REPLY_STALE_LEASE);
    assert_int_equal(report_by(lab, "worker-2", task, token, JQ_OUTCOME_SUCCESS, false), JQ_REPLY_STALE_LEASE);
    assert_int_equal(task_state(lab, task), JQ_STATE_SUCCEEDED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Only the worker that holds the lease may report under it, even if another one knows the token. */
static void another_workers_token_is_worth_nothing(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = submit_task(lab, "q");
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_equal(report_by(lab, "worker-2", task, token, JQ_OUTCOME_SUCCESS, false), JQ_REPLY_STALE_LEASE);
    assert_int_equal(task_state(lab, task), JQ_STATE_RUNNING);
    lab_free(lab);
}

/* The same report request sent twice gets the same verdict, not "stale": also from the broker's next process. */
static void resent_report_gets_the_same_verdict(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = submit_task(lab, "q");
    const jq_lease_token token = lease_task(lab, "worker-1");
    const struct jq_report report = {.task = task, .token = token, .outcome = JQ_OUTCOME_SUCCESS};
    struct lab_worker *worker = lab_worker(lab, "worker-1");
    struct jq_request request = poll_of(lab, "worker-1", 0, 0);
    request.op = JQ_OP_REPORT;
    request.u.lease.reports = &report;
    request.u.lease.report_count = 1;
    for (int i = 0; i < 3; i++) {
        const struct jq_reply_effect *reply = lab_ask(lab, &request);
        assert_int_equal(reply->status, JQ_REPLY_OK);
        assert_int_equal(reply->u.lease.verdict_count, 0);
        if (i == 1) {
            restart_broker(lab);
            register_worker(lab, worker);
            request.u.lease.session = worker->session;
        }
    }
    expect_trace(lab, "[0] task 1 succeeded\n");
    lab_free(lab);
}

static const struct jq_reply_effect *submit_as(struct lab *lab, uint64_t id, uint64_t done) {
    const struct jq_submit_item items[2] = {lab_item(), lab_item()};
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.id = id;
    request.done = done;
    request.u.submit.items = items;
    request.u.submit.count = 2;
    return lab_ask(lab, &request);
}

/* The same submit under the same request id makes its tasks once and gets the same ids, over a restart too. */
static void resent_submit_makes_one_task(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    assert_int_equal(submit_as(lab, 7, 0)->u.submit.first, 1);
    assert_int_equal(submit_as(lab, 7, 0)->u.submit.first, 1);
    restart_broker(lab);
    assert_int_equal(submit_as(lab, 7, 0)->u.submit.first, 1);
    assert_int_equal(task_state(lab, (jq_task_id){2}), JQ_STATE_READY);
    assert_int_equal(task_state(lab, (jq_task_id){3}), JQ_STATE_NONE);
    lab_free(lab);
}

/* What the sender says was answered (`done`) is forgotten: a resend of it is a conflict, never a second execution. */
static void forgotten_request_is_a_conflict(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    (void)submit_as(lab, 100, 0);
    (void)submit_as(lab, 101, 101);
    assert_int_equal(submit_as(lab, 100, 0)->status, JQ_REPLY_CONFLICT);
    assert_int_equal(submit_as(lab, 101, 0)->status, JQ_REPLY_OK);
    restart_broker(lab);
    assert_int_equal(submit_as(lab, 100, 0)->status, JQ_REPLY_CONFLICT);
    assert_int_equal(task_state(lab, (jq_task_id){4}), JQ_STATE_READY);
    assert_int_equal(task_state(lab, (jq_task_id){5}), JQ_STATE_NONE);
    lab_free(lab);
}

/* At most 64 answers of a sender are kept: the oldest becomes a conflict, not a second execution. */
static void window_keeps_sixty_four_answers(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    for (uint64_t i = 0; i < 65; i++) {
        assert_int_equal(submit_as(lab, 100 + i, 0)->status, JQ_REPLY_OK);
    }
    assert_int_equal(submit_as(lab, 100, 0)->status, JQ_REPLY_CONFLICT);
    assert_int_equal(submit_as(lab, 101, 0)->u.submit.first, 3);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* While the window is full of senders a new one is told to wait: forgetting another one could run its request twice. */
static void full_window_refuses_new_senders(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.senders_max = 2;
    struct lab *lab = lab_new_with(&config);
    assert_int_equal(submit_as(lab, 1, 0)->status, JQ_REPLY_OK);
    lab->client.bytes[0]++;
    assert_int_equal(submit_as(lab, 1, 0)->status, JQ_REPLY_OK);
    lab->client.bytes[0]++;
    assert_int_equal(submit_as(lab, 1, 0)->status, JQ_REPLY_BUSY);
    lab->client.bytes[0]--;
    assert_int_equal(submit_as(lab, 1, 0)->u.submit.first, 3);
    advance_ms(lab, config.request_window_ms);
    lab->client.bytes[0]++;
    assert_int_equal(submit_as(lab, 1, 0)->status, JQ_REPLY_OK);
    lab_free(lab);
}

/* `count` tasks of which only the last is sound: an answer of 21 bytes for each of the others has to be kept. */
static const struct jq_reply_effect *submit_faulty(struct lab *lab, uint64_t id, uint64_t done, size_t count) {
    static struct jq_submit_item items[1000];
    for (size_t i = 0; i < count; i++) {
        items[i] = lab_item();
        items[i].refused = i + 1 < count ? JQ_REPLY_INVALID : JQ_REPLY_OK;
    }
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.id = id;
    request.done = done;
    request.u.submit.items = items;
    request.u.submit.count = count;
    return lab_ask(lab, &request);
}

/* What is kept for one sender is bounded in bytes: it waits until it says what is done, and meanwhile loses nothing of what it may
 * send again. Others are not held up. */
static void a_senders_answers_are_bounded_in_bytes(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    lab->quiet = true;
    uint64_t id = 1;
    while (id < 64 && submit_faulty(lab, id, 0, 1000)->status == JQ_REPLY_OK) {
        id++;
    }
    assert_in_range(id, 5, 20);
    assert_int_equal(submit_as(lab, id, 0)->status, JQ_REPLY_BUSY);
    assert_int_equal(submit_faulty(lab, 1, 0, 1000)->u.submit.first, 1);
    lab->client.bytes[0]++;
    assert_int_equal(submit_as(lab, id, 0)->status, JQ_REPLY_OK);
    lab->client.bytes[0]--;
    restart_broker(lab);
    assert_int_equal(submit_as(lab, id, 0)->status, JQ_REPLY_BUSY);
    assert_int_equal(submit_as(lab, id, 2)->status, JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

static struct lab *lab_with_a_small_window(void) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.window_bytes_max = 40000;
    return lab_new_with(&config);
}

/* What is kept for all senders is bounded, too: then even those that are known wait, and what they say is done makes room for
 * others, whatever becomes of the request that says it. Nothing that may be sent again is forgotten. */
static void all_answers_are_bounded_in_bytes(void **state) {
    (void)state;
    struct lab *lab = lab_with_a_small_window();
    assert_int_equal(submit_as(lab, 1, 0)->status, JQ_REPLY_OK);
    lab->client.bytes[0]++;
    assert_int_equal(submit_faulty(lab, 1, 0, 700)->status, JQ_REPLY_OK);
    lab->client.bytes[0]++;
    assert_int_equal(submit_faulty(lab, 1, 0, 800)->status, JQ_REPLY_OK);
    lab->client.bytes[0]++;
    assert_int_equal(submit_as(lab, 1, 0)->status, JQ_REPLY_BUSY); /* a new one */
    lab->client.bytes[0] -= 3;
    assert_int_equal(submit_as(lab, 2, 2)->status, JQ_REPLY_BUSY); /* a known one */
    assert_int_equal(submit_as(lab, 1, 0)->status, JQ_REPLY_CONFLICT);
    lab->client.bytes[0]++;
    assert_int_equal(submit_faulty(lab, 1, 0, 700)->u.submit.first, 3);
    assert_int_equal(submit_as(lab, 2, 2)->status, JQ_REPLY_OK); /* makes room itself */
    lab->client.bytes[0]--;
    assert_int_equal(submit_as(lab, 2, 2)->status, JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* What clients leave behind does not keep outcomes from being accepted: a part of the window is for workers alone. */
static void full_window_takes_outcomes(void **state) {
    (void)state;
    struct lab *lab = lab_with_a_small_window();
    const jq_task_id task = submit_task(lab, "q");
    const jq_lease_token token = lease_task(lab, "worker-1");
    uint64_t id = 1;
    while (id < 64 && submit_faulty(lab, id, 0, 300)->status == JQ_REPLY_OK) {
        id++;
    }
    assert_int_equal(submit_as(lab, id, 0)->status, JQ_REPLY_BUSY);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, task), JQ_STATE_SUCCEEDED);
    assert_int_not_equal(lease_task(lab, "worker-2").value, 0);
    lab_free(lab);
}

/* The answers that are kept count as memory: a broker whose memory they fill says so. */
static void kept_answers_count_as_memory(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_server_row before, after;
    jq_core_status(lab->core, &before);
    (void)submit_faulty(lab, 1, 0, 1000);
    jq_core_status(lab->core, &after);
    assert_true(after.memory_bytes >= before.memory_bytes + 21 * 999);
    lab_free(lab);
}

static const struct jq_reply_effect *submit_key(struct lab *lab, const char *queue, const char *key) {
    struct jq_submit_item item = lab_item();
    item.queue = jq_str_of(queue);
    item.key = jq_str_of(key);
    return submit_items(lab, &item, 1);
}

/* A second submit with a key gets the first task's id, over a restart, even after the task has ended; another namespace and a key
 * that has expired make new tasks. */
static void idempotency_key_returns_the_first_task(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    assert_int_equal(submit_key(lab, "shop.mail", "order-1")->u.submit.first, 1);
    const struct jq_reply_effect *again = submit_key(lab, "shop.bill", "order-1");
    assert_int_equal(again->u.submit.exception_count, 1);
    assert_int_equal(again->u.submit.exceptions[0].status, JQ_REPLY_OK);
    assert_int_equal(again->u.submit.exceptions[0].task.value, 1);
    assert_int_equal(submit_key(lab, "other.mail", "order-1")->u.submit.first, 2);
    (void)report_success(lab, lease_task(lab, "worker-1"));
    restart_broker(lab);
    assert_int_equal(submit_key(lab, "shop.mail", "order-1")->u.submit.exceptions[0].task.value, 1);
    advance_ms(lab, lab->config.key_ttl_ms);
    assert_int_equal(submit_key(lab, "shop.mail", "order-1")->u.submit.exception_count, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A lease request that is resent (its answer was lost) gets the same tasks under the same tokens, also after a restart. */
static void resent_lease_request_gets_the_same_tasks(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    submit_task(lab, "q");
    struct jq_request request = poll_of(lab, "worker-1", 2, 0);
    const struct jq_reply_effect *first = lab_ask(lab, &request);
    assert_int_equal(first->u.lease.count, 2);
    take_leases(lab_worker(lab, "worker-1"), first);
    for (int i = 0; i < 2; i++) {
        const struct jq_reply_effect *again = lab_ask(lab, &request);
        assert_int_equal(again->u.lease.count, 2);
        assert_int_equal(again->u.lease.items[1].token.value, first->u.lease.items[1].token.value);
        restart_broker(lab);
        register_worker(lab, lab_worker(lab, "worker-1"));
        request.u.lease.session = lab_worker(lab, "worker-1")->session;
    }
    assert_int_equal(report_success(lab, first->u.lease.items[0].token), JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A poll that comes again takes the place of the parked one: the older call is dropped, the newer one answered. */
static void resent_poll_replaces_the_parked_one(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_request request = poll_of(lab, "worker-1", 1, 30000);
    assert_null(lab_ask(lab, &request));
    const uint64_t older = request.call;
    assert_null(lab_ask(lab, &request));
    assert_true(lab_dropped(lab, older));
    submit_task(lab, "q");
    assert_int_equal(lab_reply_to(lab, request.call)->u.lease.count, 1);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcome_is_accepted_exactly_once),
        cmocka_unit_test(another_workers_token_is_worth_nothing),
        cmocka_unit_test(resent_report_gets_the_same_verdict),
        cmocka_unit_test(resent_submit_makes_one_task),
        cmocka_unit_test(forgotten_request_is_a_conflict),
        cmocka_unit_test(window_keeps_sixty_four_answers),
        cmocka_unit_test(full_window_refuses_new_senders),
        cmocka_unit_test(a_senders_answers_are_bounded_in_bytes),
        cmocka_unit_test(all_answers_are_bounded_in_bytes),
        cmocka_unit_test(full_window_takes_outcomes),
        cmocka_unit_test(kept_answers_count_as_memory),
        cmocka_unit_test(idempotency_key_returns_the_first_task),
        cmocka_unit_test(resent_lease_request_gets_the_same_tasks),
        cmocka_unit_test(resent_poll_replaces_the_parked_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
