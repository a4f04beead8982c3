/* Circuit breakers: what opens one, what an open one holds back, how it comes back, what operators do with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static jq_task_id submit_to(struct lab *lab, const char *handler) {
    struct jq_submit_item item = lab_item();
    item.handler = jq_str_of(handler);
    item.retry_max = 1;
    return submit_item(lab, &item);
}

/* A task of the handler runs on the worker and ends so. */
static void run(struct lab *lab, const char *worker, const char *handler, struct jq_report report) {
    submit_to(lab, handler);
    const jq_lease_token token = lease_task(lab, worker);
    assert_int_not_equal(token.value, 0);
    assert_int_equal(report_as(lab, token, report), JQ_REPLY_OK);
}

static void run_times(struct lab *lab, int times, const char *worker, const char *handler, enum jq_outcome outcome) {
    for (int i = 0; i < times; i++) {
        run(lab, worker, handler, (struct jq_report){.outcome = outcome});
    }
}

static const struct jq_report smtp_is_down = {.outcome = JQ_OUTCOME_NETWORK, .service = {"smtp", 4}};

/* Of different workers, so that none of them is to blame. */
static void fail_ten_times(struct lab *lab, const char *handler) {
    run_times(lab, 5, "worker-1", handler, JQ_OUTCOME_PROCESS_FAILURE);
    run_times(lab, 5, "worker-2", handler, JQ_OUTCOME_PROCESS_FAILURE);
}

static const struct jq_reply_effect *ask_breaker(struct lab *lab, enum jq_op op, enum jq_breaker_kind kind,
                                                 const char *name, int64_t for_ms) {
    struct jq_request request = lab_request(lab, op);
    request.u.breaker.kind = kind;
    request.u.breaker.name = jq_str_of(name);
    request.u.breaker.for_ms = for_ms;
    return lab_ask(lab, &request);
}

static enum jq_breaker_state state_of(struct lab *lab, enum jq_breaker_kind kind, const char *name) {
    const struct jq_reply_effect *reply = ask_breaker(lab, JQ_OP_BREAKER_SHOW, kind, name, 0);
    return reply->status == JQ_REPLY_OK ? reply->u.breakers.rows[0].state : JQ_BREAKER_CLOSED;
}

static void forget_trace(struct lab *lab) {
    jq_buf_clear(&lab->trace);
}

/* Ten calls in the last minute, half of them failed: the handler's breaker opens for 30 s, and its tasks wait in the queue with no
 * attempt spent, while those of others run. */
static void open_handler_holds_its_tasks_back(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    run_times(lab, 5, "worker-1", "work", JQ_OUTCOME_SUCCESS);
    run_times(lab, 4, "worker-2", "work", JQ_OUTCOME_TIMEOUT);
    forget_trace(lab);
    run_times(lab, 1, "worker-2", "work", JQ_OUTCOME_PROCESS_FAILURE);
    expect_trace(lab, "[0] task 10 dead: process_failure\n"
                      "[0] breaker handler:work open for 30000 ms\n");
    const jq_task_id held = submit_to(lab, "work");
    const jq_task_id other = submit_to(lab, "mail");
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, other.value);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, 0);
    advance_ms(lab, 29999);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, 0);
    assert_int_equal(task_row_of(lab, held).attempts, 0);
    assert_int_equal(task_state(lab, held), JQ_STATE_READY);
    advance_ms(lab, 1);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, held.value);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Half-open lets three probes through, and closes when all of them have succeeded: then all that waits is handed out. */
static void three_probes_close_it(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    fail_ten_times(lab, "work");
    forget_trace(lab);
    for (int i = 0; i < 5; i++) {
        submit_to(lab, "work");
    }
    advance_ms(lab, 30000);
    expect_trace(lab, "[30000] breaker handler:work half_open\n");
    const jq_lease_token probes[] = {lease_task(lab, "worker-1"), lease_task(lab, "worker-2"),
                                     lease_task(lab, "worker-1")};
    assert_int_equal(lease_task(lab, "worker-2").value, 0);
    assert_int_equal(report_success(lab, probes[0]), JQ_REPLY_OK);
    assert_int_equal(report_success(lab, probes[1]), JQ_REPLY_OK);
    assert_int_equal(lease_task(lab, "worker-2").value, 0);
    forget_trace(lab);
    assert_int_equal(report_success(lab, probes[2]), JQ_REPLY_OK);
    expect_trace(lab, "[30000] task 13 succeeded\n"
                      "[30000] breaker handler:work closed\n");
    assert_int_not_equal(lease_task(lab, "worker-2").value, 0);
    assert_int_not_equal(lease_task(lab, "worker-2").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A probe that fails opens it again for twice as long, and so on up to ten minutes. */
static void failed_probe_doubles_the_cool_down(void **state) {
    static const int64_t cool_downs_ms[] = {30000, 60000, 120000, 240000, 480000, 600000, 600000};
    (void)state;
    struct lab *lab = lab_new();
    fail_ten_times(lab, "work");
    for (size_t i = 0; i < sizeof(cool_downs_ms) / sizeof(cool_downs_ms[0]); i++) {
        submit_to(lab, "work");
        advance_ms(lab, cool_downs_ms[i] - 1);
        assert_int_equal(lease_task(lab, "worker-1").value, 0);
        advance_ms(lab, 1);
        const jq_lease_token probe = lease_task(lab, "worker-1");
        assert_int_not_equal(probe.value, 0);
        assert_int_equal(report_failure(lab, probe, JQ_OUTCOME_PROCESS_FAILURE, false), JQ_REPLY_OK);
    }
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A probe whose worker dies says nothing: another one is let through. */
static void lost_probe_is_replaced(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    fail_ten_times(lab, "work");
    for (int i = 0; i < 4; i++) {
        submit_to(lab, "work");
    }
    advance_ms(lab, 30000);
    for (int i = 0; i < 3; i++) {
        assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    }
    assert_int_equal(lease_task(lab, "worker-2").value, 0);
    restart_worker(lab, "worker-1");
    assert_int_not_equal(lease_task(lab, "worker-2").value, 0);
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_HALF_OPEN);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* What had begun before it opened ends as it ends: it neither closes the breaker nor opens it anew. */
static void late_reports_are_no_probes(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_to(lab, "work");
    submit_to(lab, "work");
    const jq_lease_token good = lease_task(lab, "worker-3"), bad = lease_task(lab, "worker-3");
    fail_ten_times(lab, "work");
    advance_ms(lab, 30000);
    forget_trace(lab);
    assert_int_equal(report_success(lab, good), JQ_REPLY_OK);
    assert_int_equal(report_failure(lab, bad, JQ_OUTCOME_TIMEOUT, false), JQ_REPLY_OK);
    expect_trace(lab, "[30000] task 1 succeeded\n"
                      "[30000] task 2 dead: timeout\n");
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_HALF_OPEN);
    lab_free(lab);
}

/* Input that is refused, a shortage of the host, a worker that was lost, a cancel: none of them is the handler's fault. */
static void not_every_end_counts_against_a_handler(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    run_times(lab, 20, "worker-1", "work", JQ_OUTCOME_INVALID_INPUT);
    for (int i = 0; i < 20; i++) {
        run(lab, i % 2 ? "worker-1" : "worker-2", "mail",
            (struct jq_report){.outcome = i % 2 ? JQ_OUTCOME_HANDED_BACK : JQ_OUTCOME_INVALID_INPUT});
        submit_to(lab, "build");
        assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
        restart_worker(lab, "worker-1");
    }
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_CLOSED);
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "mail"), JQ_BREAKER_CLOSED);
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "build"), JQ_BREAKER_CLOSED);
    assert_int_equal(state_of(lab, JQ_BREAKER_WORKER, "worker-1"), JQ_BREAKER_CLOSED);
    lab_free(lab);
}

/* A worker on which different handlers fail that run well elsewhere is handed nothing, and comes back through probes. */
static void open_worker_is_handed_nothing(void **state) {
    static const char *const handlers[] = {"work", "mail", "build"};
    (void)state;
    struct lab *lab = lab_new();
    for (int i = 0; i < 12; i++) {
        run(lab, "worker-2", handlers[i % 3], (struct jq_report){.outcome = JQ_OUTCOME_SUCCESS});
    }
    for (int i = 0; i < 9; i++) {
        run(lab, "worker-1", handlers[i % 3], (struct jq_report){.outcome = JQ_OUTCOME_TIMEOUT});
    }
    forget_trace(lab);
    run(lab, "worker-1", "work", (struct jq_report){.outcome = JQ_OUTCOME_PROCESS_FAILURE});
    expect_trace(lab, "[0] task 22 dead: process_failure\n"
                      "[0] breaker worker:worker-1 open for 30000 ms\n");
    for (int i = 0; i < 4; i++) {
        submit_to(lab, "work");
    }
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_not_equal(lease_task(lab, "worker-2").value, 0);
    restart_worker(lab, "worker-1"); /* it is the same worker still */
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    advance_ms(lab, 30000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
    }
    assert_int_equal(state_of(lab, JQ_BREAKER_WORKER, "worker-1"), JQ_BREAKER_CLOSED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A worker that takes another name while it runs a probe gives the probe back to the breaker of its old name. */
static void renamed_worker_gives_its_probes_back(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.breaker.probes = 1;
    struct lab *lab = lab_new_with(&config);
    struct lab_worker *probing = lab_worker(lab, "cad");
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_WORKER, "cad", 1000)->status, JQ_REPLY_OK);
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_WORKER, "mill", 1000)->status, JQ_REPLY_NOT_FOUND);
    advance_ms(lab, 1000);
    submit_to(lab, "work");
    const jq_lease_token probe = lease_task(lab, "cad");
    assert_int_not_equal(probe.value, 0);
    (void)snprintf(probing->name, sizeof(probing->name), "mill");
    register_worker(lab, probing);
    struct lab_worker *next = lab_worker_unregistered(lab, "cad"); /* another one has that name now */
    next->id.bytes[0]++;
    next->incarnation++;
    register_worker(lab, next);
    submit_to(lab, "work");
    assert_int_not_equal(lease_task(lab, "cad").value, 0);
    assert_int_equal(report_success(lab, probe), JQ_REPLY_OK);
    assert_int_equal(state_of(lab, JQ_BREAKER_WORKER, "cad"), JQ_BREAKER_HALF_OPEN);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A handler that fails wherever it runs does not take the workers with it. */
static void broken_handler_leaves_its_worker_closed(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    run_times(lab, 10, "worker-1", "work", JQ_OUTCOME_PROCESS_FAILURE);
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_OPEN);
    assert_int_equal(state_of(lab, JQ_BREAKER_WORKER, "worker-1"), JQ_BREAKER_CLOSED);
    submit_to(lab, "mail");
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    lab_free(lab);
}

/* A host that is short of something again and again is the worker's matter, not the handler's. */
static void shortages_count_against_the_worker(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.retry_base_ms = 0;
    submit_item(lab, &item);
    for (int i = 0; i < 10; i++) {
        const jq_lease_token token = lease_task(lab, "worker-1");
        assert_int_equal(report_failure(lab, token, JQ_OUTCOME_RESOURCE_EXHAUSTED, false), JQ_REPLY_OK);
    }
    assert_int_equal(state_of(lab, JQ_BREAKER_WORKER, "worker-1"), JQ_BREAKER_OPEN);
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_CLOSED);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_not_equal(lease_task(lab, "worker-2").value, 0);
    lab_free(lab);
}

/* A service that reports name as the one that failed: its breaker holds back the tasks of every handler that named it, and of no
 * other; neither the handlers' nor the workers' breakers take the blame. */
static void open_service_holds_back_who_named_it(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    run(lab, "worker-1", "mail", smtp_is_down);
    for (int i = 0; i < 8; i++) {
        run(lab, "worker-1", "work", smtp_is_down);
    }
    forget_trace(lab);
    run(lab, "worker-1", "work", smtp_is_down);
    expect_trace(lab, "[0] task 10 dead: network\n"
                      "[0] breaker service:smtp open for 30000 ms\n");
    submit_to(lab, "work");
    submit_to(lab, "mail");
    const jq_task_id other = submit_to(lab, "build");
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, other.value);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, 0);
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_CLOSED);
    assert_int_equal(state_of(lab, JQ_BREAKER_WORKER, "worker-1"), JQ_BREAKER_CLOSED);
    advance_ms(lab, 30000); /* probes of any of its handlers */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
    }
    run(lab, "worker-1", "mail", (struct jq_report){.outcome = JQ_OUTCOME_SUCCESS});
    assert_int_equal(state_of(lab, JQ_BREAKER_SERVICE, "smtp"), JQ_BREAKER_CLOSED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Successes of its handlers count for a service: one failure in three does not open it. */
static void successes_count_for_a_service(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    for (int i = 0; i < 20; i++) {
        run(lab, "worker-1", "mail", smtp_is_down);
        run_times(lab, 2, "worker-1", "mail", JQ_OUTCOME_SUCCESS);
    }
    assert_int_equal(state_of(lab, JQ_BREAKER_SERVICE, "smtp"), JQ_BREAKER_CLOSED);
    lab_free(lab);
}

/* A handler that names an open service for the first time is held back from then on. */
static void open_service_takes_in_another_handler(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_to(lab, "build");
    const jq_lease_token running = lease_task(lab, "worker-1");
    for (int i = 0; i < 10; i++) {
        run(lab, "worker-1", "mail", smtp_is_down);
    }
    assert_int_equal(report_as(lab, running, smtp_is_down), JQ_REPLY_OK);
    submit_to(lab, "build");
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    const struct jq_reply_effect *reply = ask_breaker(lab, JQ_OP_BREAKER_SHOW, JQ_BREAKER_SERVICE, "smtp", 0);
    assert_true(jq_str_equal(reply->u.breakers.rows[0].handlers, JQ_STR("mail build")));
    restart_broker(lab);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* An open breaker is durable: the next broker, and the one after the log was cut, goes on where this one was. Counts are not. */
static void open_breakers_survive_a_restart(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    run_times(lab, 9, "worker-3", "build", JQ_OUTCOME_TIMEOUT);
    fail_ten_times(lab, "work");
    for (int i = 0; i < 10; i++) {
        run(lab, "worker-1", "mail", smtp_is_down);
    }
    submit_to(lab, "work");
    submit_to(lab, "mail");
    advance_ms(lab, 10000);
    restart_broker(lab);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    advance_ms(lab, 19999);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    advance_ms(lab, 1);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    run_times(lab, 1, "worker-3", "build", JQ_OUTCOME_TIMEOUT); /* the tenth, but the first that this broker saw */
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "build"), JQ_BREAKER_CLOSED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A breaker that is not closed is said again at the head of each segment: the log before it may go. That the live broker hears it
 * again too changes nothing: the probes that are out are still out. */
static void open_breakers_stand_at_the_head_of_each_segment(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    lab_worker(lab, "worker-1");
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_HANDLER, "work", 1000)->status, JQ_REPLY_OK);
    lab_prologue(lab);
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    restart_broker(lab);
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_OPEN);
    advance_ms(lab, 1000);
    for (int i = 0; i < 4; i++) {
        submit_to(lab, "work");
    }
    for (int i = 0; i < 3; i++) {
        assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    }
    lab_prologue(lab);
    submit_to(lab, "work");
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_HALF_OPEN);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A half-open one lets its probes through anew after a restart: those of the session before do not count. */
static void half_open_begins_its_probes_anew_after_a_restart(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    fail_ten_times(lab, "work");
    for (int i = 0; i < 8; i++) {
        submit_to(lab, "work");
    }
    advance_ms(lab, 30000);
    const jq_lease_token before = lease_task(lab, "worker-1");
    restart_broker(lab);
    assert_int_equal(report_success(lab, before), JQ_REPLY_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_HALF_OPEN);
        assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
    }
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_CLOSED);
    lab_free(lab);
}

/* A class that appears while its handler is held back is held back with it. */
static void new_classes_of_an_open_handler_wait_too(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    fail_ten_times(lab, "work");
    struct jq_submit_item item = lab_item();
    item.need = JQ_STR("cpu=2");
    submit_item(lab, &item);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    lab_free(lab);
}

/* A worker whose poll is parked gets what waits as soon as the breaker lets it through. */
static void parked_poll_gets_the_probe(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    fail_ten_times(lab, "work");
    submit_to(lab, "work");
    advance_ms(lab, 15000);
    struct jq_request poll = poll_of(lab, "worker-1", 1, 20000);
    assert_null(lab_ask(lab, &poll));
    advance_ms(lab, 15000);
    const struct jq_reply_effect *reply = lab_reply_to(lab, poll.call);
    assert_non_null(reply);
    assert_int_equal(reply->u.lease.count, 1);
    lab_free(lab);
}

/* An operator trips a breaker: it stays open until it is reset, or for as long as was said. */
static void operators_trip_and_reset(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_to(lab, "work");
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_HANDLER, "work", 0)->status, JQ_REPLY_OK);
    expect_trace(lab, "[0] breaker handler:work open, tripped\n");
    advance_ms(lab, 86400000);
    restart_broker(lab);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    forget_trace(lab);
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_RESET, JQ_BREAKER_HANDLER, "work", 0)->status, JQ_REPLY_OK);
    expect_trace(lab, "[86400000] breaker handler:work closed\n");
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_WORKER, "worker-1", 5000)->status, JQ_REPLY_OK);
    submit_to(lab, "mail");
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    advance_ms(lab, 5000);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Two operators at once: both are told ok, the last one counts; a request that is sent twice is done once. */
static void last_operator_counts(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_to(lab, "work");
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_HANDLER, "work", 1000)->status, JQ_REPLY_OK);
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_HANDLER, "work", 0)->status, JQ_REPLY_OK);
    advance_ms(lab, 2000);
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_OPEN);
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_RESET, JQ_BREAKER_HANDLER, "work", 0)->status, JQ_REPLY_OK);
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_RESET, JQ_BREAKER_HANDLER, "work", 0)->status, JQ_REPLY_OK);
    struct jq_request trip = lab_request(lab, JQ_OP_BREAKER_TRIP);
    trip.u.breaker.name = JQ_STR("work");
    assert_int_equal(lab_ask(lab, &trip)->status, JQ_REPLY_OK);
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_RESET, JQ_BREAKER_HANDLER, "work", 0)->status, JQ_REPLY_OK);
    assert_int_equal(lab_ask(lab, &trip)->status, JQ_REPLY_OK); /* the transport's resend */
    assert_int_equal(state_of(lab, JQ_BREAKER_HANDLER, "work"), JQ_BREAKER_CLOSED);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A name that nobody knows holds nothing back: it is told as not found. */
static void unknown_names_are_not_found(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    for (int kind = 0; kind < JQ_BREAKER_KIND_COUNT; kind++) {
        const struct jq_reply_effect *reply =
            ask_breaker(lab, JQ_OP_BREAKER_TRIP, (enum jq_breaker_kind)kind, "typo", 0);
        assert_int_equal(reply->status, JQ_REPLY_NOT_FOUND);
        assert_string_equal(reply->field, "name");
        reply = ask_breaker(lab, JQ_OP_BREAKER_SHOW, (enum jq_breaker_kind)kind, "typo", 0);
        assert_int_equal(reply->status, JQ_REPLY_NOT_FOUND);
    }
    lab_worker(lab, "worker-1");
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_HANDLER, "build", 0)->status, JQ_REPLY_OK);
    lab_free(lab);
}

static bool has_line(const struct jq_reply_effect *reply, enum jq_why why, const char *detail, int64_t number) {
    for (size_t i = 0; i < reply->u.explain.count; i++) {
        const struct jq_why_line *line = &reply->u.explain.lines[i];
        if (line->why == why && line->number == number &&
            (jq_str_equal(line->detail, jq_str_of(detail)) || jq_str_equal(line->worker, jq_str_of(detail)))) {
            return true;
        }
    }
    return false;
}

/* `task explain` names the breaker that holds the task back, until when, and whether an operator did it. */
static void explain_names_the_breaker(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    fail_ten_times(lab, "work");
    advance_ms(lab, 10000);
    const jq_task_id task = submit_to(lab, "work");
    assert_true(has_line(explain_task(lab, task), JQ_WHY_BREAKER_OPEN, "handler:work", 20000));
    (void)ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_HANDLER, "work", 0);
    assert_true(has_line(explain_task(lab, task), JQ_WHY_BREAKER_TRIPPED, "handler:work", 0));
    (void)ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_WORKER, "worker-1", 7000);
    assert_true(has_line(explain_task(lab, task), JQ_WHY_WORKER_BREAKER, "worker-1", 7000));
    (void)ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_WORKER, "worker-1", 0);
    assert_true(has_line(explain_task(lab, task), JQ_WHY_WORKER_BREAKER, "worker-1", 0));
    (void)ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_HANDLER, "work", 1000);
    advance_ms(lab, 1000);
    for (int i = 0; i < 3; i++) {
        submit_to(lab, "work");
        assert_int_not_equal(lease_task(lab, "worker-2").value, 0);
    }
    const jq_task_id last = submit_to(lab, "work");
    assert_true(has_line(explain_task(lab, last), JQ_WHY_BREAKER_PROBING, "handler:work", 0));
    lab_free(lab);
}

/* Those that are not closed come first in the list; names that strangers make up do not make it grow without bound. */
static void list_is_bounded(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    fail_ten_times(lab, "work");
    for (int i = 0; i < 2000; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "service-%d", i);
        run(lab, "worker-1", "mail", (struct jq_report){.outcome = JQ_OUTCOME_NETWORK, .service = jq_str_of(name)});
        if (i % 100 == 0) {
            advance_ms(lab, 5000);
        }
        advance_ms(lab, 40);
    }
    struct jq_request request = lab_request(lab, JQ_OP_BREAKER_LS);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_true(jq_str_equal(reply->u.breakers.rows[0].name, JQ_STR("handler:work")));
    assert_true(reply->u.breakers.count + reply->u.breakers.left_out <= 1024 + 8);
    request = lab_request(lab, JQ_OP_BREAKER_LS);
    request.u.breaker.not_closed = true;
    assert_int_equal(lab_ask(lab, &request)->u.breakers.count, 1);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A worker that takes a name under probation while it runs something is on probation with that: no more is let through. */
static void what_a_renamed_worker_runs_is_its_probe(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.breaker.probes = 1;
    struct lab *lab = lab_new_with(&config);
    struct lab_worker *before = lab_worker_unregistered(lab, "mill");
    before->incarnation = 9;
    register_worker(lab, before);
    run(lab, "mill", "work", (struct jq_report){.outcome = JQ_OUTCOME_SUCCESS});
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_TRIP, JQ_BREAKER_WORKER, "mill", 1000)->status, JQ_REPLY_OK);
    struct jq_request goes = poll_of(lab, "mill", 0, 0);
    goes.u.lease.sleep = true;
    assert_int_equal(lab_ask(lab, &goes)->status, JQ_REPLY_OK);
    stop_answering_surveys(lab, "mill");
    advance_ms(lab, 1000);
    assert_int_equal(state_of(lab, JQ_BREAKER_WORKER, "mill"), JQ_BREAKER_HALF_OPEN);
    struct lab_worker *renamed = lab_worker(lab, "cad");
    submit_to(lab, "work");
    submit_to(lab, "work");
    const jq_lease_token token = lease_task(lab, "cad");
    assert_int_not_equal(token.value, 0);
    (void)snprintf(before->name, sizeof(before->name), "gone");
    (void)snprintf(renamed->name, sizeof(renamed->name), "mill");
    register_worker(lab, renamed);
    assert_int_equal(lease_task(lab, "mill").value, 0);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_equal(state_of(lab, JQ_BREAKER_WORKER, "mill"), JQ_BREAKER_CLOSED);
    assert_int_not_equal(lease_task(lab, "mill").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A task of the handler ends so, and is removed: nothing is left of it but what the breakers have counted. */
static void run_and_forget(struct lab *lab, const char *worker, const char *handler, struct jq_report report) {
    const jq_task_id task = submit_to(lab, handler);
    const jq_lease_token token = lease_task(lab, worker);
    assert_int_not_equal(token.value, 0);
    assert_int_equal(report_as(lab, token, report), JQ_REPLY_OK);
    assert_int_equal(ask_about_task(lab, JQ_OP_TASK_RM, task), JQ_REPLY_OK);
}

/* A handler that gave its place to others and comes again still belongs to the service that it named: that one, open, holds it back. */
static void a_service_remembers_a_handler_that_was_forgotten(void **state) {
    enum { WINDOW_MS = 60000 };
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.classes_max = 2;
    struct lab *lab = lab_new_with(&config);
    run_and_forget(lab, "worker-1", "work", smtp_is_down);
    advance_ms(lab, 2 * WINDOW_MS);
    run_and_forget(lab, "worker-1", "mail", (struct jq_report){.outcome = JQ_OUTCOME_SUCCESS});
    run_and_forget(lab, "worker-1", "build", (struct jq_report){.outcome = JQ_OUTCOME_SUCCESS});
    assert_int_equal(ask_breaker(lab, JQ_OP_BREAKER_SHOW, JQ_BREAKER_HANDLER, "work", 0)->status, JQ_REPLY_NOT_FOUND);
    advance_ms(lab, 2 * WINDOW_MS);
    for (int i = 0; i < 10; i++) {
        run_and_forget(lab, i % 2 ? "worker-1" : "worker-2", "work", smtp_is_down);
    }
    assert_int_equal(state_of(lab, JQ_BREAKER_SERVICE, "smtp"), JQ_BREAKER_OPEN);
    submit_to(lab, "work");
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_handler_holds_its_tasks_back),
        cmocka_unit_test(three_probes_close_it),
        cmocka_unit_test(failed_probe_doubles_the_cool_down),
        cmocka_unit_test(lost_probe_is_replaced),
        cmocka_unit_test(late_reports_are_no_probes),
        cmocka_unit_test(not_every_end_counts_against_a_handler),
        cmocka_unit_test(open_worker_is_handed_nothing),
        cmocka_unit_test(renamed_worker_gives_its_probes_back),
        cmocka_unit_test(broken_handler_leaves_its_worker_closed),
        cmocka_unit_test(shortages_count_against_the_worker),
        cmocka_unit_test(open_service_holds_back_who_named_it),
        cmocka_unit_test(successes_count_for_a_service),
        cmocka_unit_test(open_service_takes_in_another_handler),
        cmocka_unit_test(open_breakers_survive_a_restart),
        cmocka_unit_test(open_breakers_stand_at_the_head_of_each_segment),
        cmocka_unit_test(half_open_begins_its_probes_anew_after_a_restart),
        cmocka_unit_test(new_classes_of_an_open_handler_wait_too),
        cmocka_unit_test(parked_poll_gets_the_probe),
        cmocka_unit_test(operators_trip_and_reset),
        cmocka_unit_test(last_operator_counts),
        cmocka_unit_test(unknown_names_are_not_found),
        cmocka_unit_test(explain_names_the_breaker),
        cmocka_unit_test(list_is_bounded),
        cmocka_unit_test(what_a_renamed_worker_runs_is_its_probe),
        cmocka_unit_test(a_service_remembers_a_handler_that_was_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
