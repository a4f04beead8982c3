#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "common/buf.h"
#include "worker/agent/agent.h"

enum { SAID_MAX = 4096 };

/* An agent, and what it said since the last look, in words. */
struct bench {
    struct jq_agent *agent;
    struct jq_buf said;
    int64_t idle_exit_ms;
};

static void on_effect(void *ctx, const struct jq_agent_effect *effect) {
    struct jq_buf *out = &((struct bench *)ctx)->said;
    const unsigned long long token = effect->token.value;
    switch (effect->type) {
    case JQ_AGENT_START: jq_buf_append_format(out, "start %llu. ", token); break;
    case JQ_AGENT_KILL:
        jq_buf_append_format(out, "kill %llu in %lld%s. ", token, (long long)effect->grace_ms,
                             effect->why == JQ_AGENT_DRAINED ? " (drained)" : "");
        break;
    case JQ_AGENT_REPORT:
        jq_buf_append_format(out, "report %llu%s%s. ", token, effect->outcome ? " " : "",
                             effect->outcome ? jq_outcome_name(effect->outcome) : "");
        break;
    case JQ_AGENT_KEEP: jq_buf_append_format(out, "keep %llu. ", token); break;
    case JQ_AGENT_DISCARD: jq_buf_append_format(out, "discard %llu. ", token); break;
    case JQ_AGENT_WANT: jq_buf_append_format(out, "want %u. ", effect->want); break;
    case JQ_AGENT_EXIT: jq_buf_append_format(out, "exit. "); break;
    }
}

static void expect_said(struct bench *bench, const char *text) {
    jq_buf_append_u8(&bench->said, '\0');
    assert_string_equal((const char *)bench->said.data, text);
    jq_buf_clear(&bench->said);
}

static struct bench *bench_new(int64_t idle_exit_ms) {
    struct bench *bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    jq_buf_init(&bench->said, SAID_MAX);
    const struct jq_agent_config config = {
        .slots = 2, .grace_ms = 500, .drain_ms = 3000, .idle_exit_ms = idle_exit_ms, .ctx = bench, .effect = on_effect};
    bench->agent = jq_agent_new(&config, 0);
    assert_non_null(bench->agent);
    expect_said(bench, "want 2. ");
    return bench;
}

static void bench_free(struct bench *bench) {
    jq_agent_free(bench->agent);
    jq_buf_fini(&bench->said);
    free(bench);
}

static const jq_task_id task = {7};
static const jq_lease_token one = {1}, two = {2};

static void run(struct bench *bench, jq_lease_token token) {
    jq_agent_leased(bench->agent, task, token, true, 0);
    jq_agent_started(bench->agent, token);
    jq_buf_clear(&bench->said);
}

/* Lease, start, end, report, verdict: only an accepted success is kept; a lease told twice runs once. */
static void attempt_is_started_reported_and_kept(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    jq_agent_leased(bench->agent, task, one, true, 0);
    jq_agent_leased(bench->agent, task, one, true, 0);
    expect_said(bench, "start 1. ");
    jq_agent_started(bench->agent, one);
    jq_agent_ended(bench->agent, one, JQ_OUTCOME_SUCCESS, 10);
    jq_agent_ended(bench->agent, one, JQ_OUTCOME_TIMEOUT, 11);
    expect_said(bench, "report 1. ");
    assert_int_equal(jq_agent_count(bench->agent), 1); /* named until the verdict */
    assert_int_equal(jq_agent_running_count(bench->agent), 0);
    jq_agent_verdict(bench->agent, one, true, 20);
    jq_agent_verdict(bench->agent, one, true, 21);
    expect_said(bench, "keep 1. ");
    assert_int_equal(jq_agent_count(bench->agent), 0);
    bench_free(bench);
}

/* The output of a failure, and of a success that the broker refuses, goes. */
static void refused_or_failed_output_goes(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    run(bench, one);
    run(bench, two);
    jq_agent_ended(bench->agent, one, JQ_OUTCOME_SUCCESS, 0);
    jq_agent_ended(bench->agent, two, JQ_OUTCOME_PROCESS_FAILURE, 0);
    jq_agent_verdict(bench->agent, one, false, 0);
    jq_agent_verdict(bench->agent, two, true, 0);
    expect_said(bench, "report 1. report 2. discard 1. discard 2. ");
    bench_free(bench);
}

/* A handler that this worker does not define is reported as a failure without a start. */
static void unknown_handler_never_starts(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    jq_agent_leased(bench->agent, task, one, false, 0);
    expect_said(bench, "report 1 process_failure. ");
    assert_int_equal(jq_agent_running_count(bench->agent), 0);
    bench_free(bench);
}

/* A cancel that comes before the process runs is carried out when it does; a shorter grace wins, a longer one changes nothing; what
 * has ended is left alone. */
static void kill_is_ordered_once_and_hastened(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    jq_agent_leased(bench->agent, task, one, true, 0);
    jq_agent_cancel(bench->agent, one, 0);
    expect_said(bench, "start 1. kill 1 in 500. ");
    jq_agent_started(bench->agent, one);
    expect_said(bench, "kill 1 in 500. ");
    jq_agent_cancel(bench->agent, one, 9000);
    expect_said(bench, "");
    jq_agent_kill(bench->agent, one);
    expect_said(bench, "kill 1 in 0. ");
    jq_agent_ended(bench->agent, one, JQ_OUTCOME_CANCELLED, 0);
    jq_agent_kill(bench->agent, one);
    jq_agent_kill(bench->agent, two); /* unknown */
    expect_said(bench, "report 1. ");
    bench_free(bench);
}

/* What has not started yet, since its files are being fetched, is given up at once: it never runs. */
static void kill_before_the_start_is_an_end(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    jq_agent_leased(bench->agent, task, one, true, 0);
    jq_agent_drain(bench->agent, 0);
    jq_agent_drain(bench->agent, 0);
    expect_said(bench, "start 1. want 0. kill 1 in 500 (drained). ");
    jq_agent_ended(bench->agent, one, JQ_OUTCOME_HANDED_BACK, 0);
    jq_agent_verdict(bench->agent, one, true, 0);
    expect_said(bench, "report 1. discard 1. exit. ");
    bench_free(bench);
}

/* While the host is short of memory nothing new is wanted. */
static void pressure_stops_wanting(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    jq_agent_pressure(bench->agent, true);
    jq_agent_pressure(bench->agent, true);
    jq_agent_pressure(bench->agent, false);
    expect_said(bench, "want 0. want 2. ");
    bench_free(bench);
}

/* A stop wants nothing more, hands back what comes late, waits for what runs, and exits when all verdicts are in. */
static void drain_waits_for_what_runs(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    run(bench, one);
    jq_agent_drain(bench->agent, 100);
    assert_int_equal(jq_agent_deadline_ms(bench->agent), 3100);
    jq_agent_leased(bench->agent, task, two, true, 200);
    expect_said(bench, "want 0. report 2 handed_back. ");
    jq_agent_verdict(bench->agent, two, true, 300);
    expect_said(bench, "discard 2. ");
    jq_agent_ended(bench->agent, one, JQ_OUTCOME_SUCCESS, 400);
    jq_agent_verdict(bench->agent, one, true, 500);
    expect_said(bench, "report 1. keep 1. exit. ");
    assert_int_equal(jq_agent_deadline_ms(bench->agent), INT64_MAX);
    bench_free(bench);
}

/* A stop that takes too long, or is said again, kills what runs. */
static void drain_ends_by_time_or_when_said_again(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    run(bench, one);
    jq_agent_drain(bench->agent, 0);
    jq_agent_time(bench->agent, 2999);
    expect_said(bench, "want 0. ");
    jq_agent_time(bench->agent, 3000);
    expect_said(bench, "kill 1 in 500 (drained). ");
    bench_free(bench);
    bench = bench_new(0);
    run(bench, one);
    jq_agent_drain(bench->agent, 0);
    jq_agent_drain(bench->agent, 1);
    expect_said(bench, "want 0. kill 1 in 500 (drained). ");
    bench_free(bench);
}

/* A worker with nothing to do ends after idle_exit_ms, counted anew after each attempt. */
static void idle_worker_exits(void **state) {
    (void)state;
    struct bench *bench = bench_new(1000);
    jq_agent_time(bench->agent, 900);
    run(bench, one);
    assert_int_equal(jq_agent_deadline_ms(bench->agent), INT64_MAX);
    jq_agent_ended(bench->agent, one, JQ_OUTCOME_SUCCESS, 950);
    jq_agent_verdict(bench->agent, one, true, 2000);
    assert_int_equal(jq_agent_deadline_ms(bench->agent), 3000);
    jq_agent_time(bench->agent, 2999);
    jq_buf_clear(&bench->said);
    jq_agent_time(bench->agent, 3000);
    expect_said(bench, "want 0. exit. ");
    bench_free(bench);
}

/* However many leases there are, each attempt is its own; and a place that became free is used again. */
static void many_attempts_are_kept_apart(void **state) {
    (void)state;
    enum { ATTEMPT_COUNT = 100 };
    struct bench *bench = bench_new(0);
    for (uint64_t i = 1; i <= ATTEMPT_COUNT; i++) {
        run(bench, (jq_lease_token){i});
    }
    assert_int_equal(jq_agent_count(bench->agent), ATTEMPT_COUNT);
    jq_agent_cancel(bench->agent, (jq_lease_token){57}, 20);
    expect_said(bench, "kill 57 in 20. ");
    for (uint64_t i = 1; i <= ATTEMPT_COUNT; i += 2) {
        jq_agent_ended(bench->agent, (jq_lease_token){i}, JQ_OUTCOME_SUCCESS, 0);
        jq_buf_clear(&bench->said);
        jq_agent_verdict(bench->agent, (jq_lease_token){i}, true, 0);
    }
    assert_int_equal(jq_agent_running_count(bench->agent), ATTEMPT_COUNT / 2);
    run(bench, (jq_lease_token){1000});
    jq_agent_kill(bench->agent, (jq_lease_token){1000});
    jq_agent_kill(bench->agent, (jq_lease_token){57}); /* gone */
    jq_agent_kill(bench->agent, (jq_lease_token){58});
    expect_said(bench, "kill 1000 in 0. kill 58 in 0. ");
    bench_free(bench);
}

/* What is said of a lease that is unknown, or not in that state, changes nothing: news may come twice, or late. */
static void news_that_does_not_fit_changes_nothing(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    jq_agent_started(bench->agent, two);
    jq_agent_ended(bench->agent, two, JQ_OUTCOME_SUCCESS, 0);
    jq_agent_verdict(bench->agent, two, true, 0);
    jq_agent_cancel(bench->agent, two, 0);
    expect_said(bench, "");
    jq_agent_leased(bench->agent, task, one, true, 0);
    jq_agent_cancel(bench->agent, one, 700);
    jq_agent_started(bench->agent, one);
    jq_agent_started(bench->agent, one); /* killed once, besides before it started */
    expect_said(bench, "start 1. kill 1 in 700. kill 1 in 700. ");
    jq_agent_verdict(bench->agent, one, true, 0); /* of nothing that was reported */
    expect_said(bench, "");
    assert_int_equal(jq_agent_running_count(bench->agent), 1);
    bench_free(bench);
    jq_agent_free(NULL);
}

/* Whoever has said that it exits says so once, also if a lease comes after that: it is handed back. */
static void exit_is_said_once(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    jq_agent_drain(bench->agent, 0);
    expect_said(bench, "want 0. exit. ");
    jq_agent_leased(bench->agent, task, one, true, 0);
    jq_agent_verdict(bench->agent, one, true, 0);
    expect_said(bench, "report 1 handed_back. discard 1. ");
    assert_int_equal(jq_agent_deadline_ms(bench->agent), INT64_MAX);
    bench_free(bench);
}

/* An attempt that has not started when the drain is over is given up, and killed should it run all the same; those that have ended are left
 * alone. */
static void drain_kills_what_starts_late(void **state) {
    (void)state;
    struct bench *bench = bench_new(1000);
    run(bench, one);
    jq_agent_leased(bench->agent, task, two, true, 0);
    jq_agent_ended(bench->agent, one, JQ_OUTCOME_SUCCESS, 0);
    jq_agent_drain(bench->agent, 0);
    jq_buf_clear(&bench->said);
    jq_agent_time(bench->agent, 3000);
    assert_int_equal(jq_agent_deadline_ms(bench->agent), INT64_MAX);
    jq_agent_time(bench->agent, 9000); /* once is enough */
    expect_said(bench, "kill 2 in 500 (drained). ");
    jq_agent_started(bench->agent, two);
    expect_said(bench, "kill 2 in 500 (drained). ");
    jq_agent_pressure(bench->agent, true); /* nothing was wanted before */
    expect_said(bench, "");
    bench_free(bench);
}

/* Slots that follow the load: begun with the least, all taken and cpus idle make more, waiting for a cpu makes fewer; shortage of memory
 * none at all, and no more than the least afterwards. What is used counts: each task that comes lowers what is wanted. */
static void slots_follow_the_load(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    jq_agent_configure(bench->agent, 8, 2, 500, 3000, 0);
    expect_said(bench, "");
    jq_agent_load(bench->agent, 0); /* nothing runs: no reason for more */
    expect_said(bench, "");
    for (uint64_t token = 1; token <= 2; token++) {
        jq_agent_leased(bench->agent, (jq_task_id){token}, (jq_lease_token){token}, true, 0);
    }
    expect_said(bench, "want 1. start 1. want 0. start 2. ");
    jq_agent_load(bench->agent, 300); /* busy enough */
    expect_said(bench, "");
    jq_agent_load(bench->agent, 100);
    expect_said(bench, "want 1. ");
    jq_agent_leased(bench->agent, (jq_task_id){3}, (jq_lease_token){3}, true, 0);
    expect_said(bench, "want 0. start 3. ");
    for (int i = 0; i < 9; i++) {
        jq_agent_load(bench->agent, 100); /* 4; then one is free */
    }
    expect_said(bench, "want 1. ");
    jq_agent_load(bench->agent, 600);
    expect_said(bench, "want 0. ");
    jq_agent_pressure(bench->agent, true);
    for (int i = 0; i < 9; i++) {
        jq_agent_load(bench->agent, 0);
    }
    jq_agent_ended(bench->agent, (jq_lease_token){1}, JQ_OUTCOME_SUCCESS, 1);
    jq_agent_verdict(bench->agent, (jq_lease_token){1}, true, 1);
    expect_said(bench, "report 1. keep 1. ");
    jq_agent_pressure(bench->agent, false);
    expect_said(bench, ""); /* two run, which is the least */
    bench_free(bench);
}

/* Other settings are in force at once; what runs goes on. */
static void settings_change_while_tasks_run(void **state) {
    (void)state;
    struct bench *bench = bench_new(0);
    jq_agent_leased(bench->agent, (jq_task_id){1}, (jq_lease_token){1}, true, 0);
    expect_said(bench, "start 1. ");
    jq_agent_configure(bench->agent, 5, 0, 700, 3000, 0);
    expect_said(bench, "want 5. ");
    jq_agent_started(bench->agent, (jq_lease_token){1});
    jq_agent_cancel(bench->agent, (jq_lease_token){1}, 0);
    expect_said(bench, "kill 1 in 700. ");
    bench_free(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_follow_the_load),
        cmocka_unit_test(settings_change_while_tasks_run),
        cmocka_unit_test(attempt_is_started_reported_and_kept),
        cmocka_unit_test(refused_or_failed_output_goes),
        cmocka_unit_test(unknown_handler_never_starts),
        cmocka_unit_test(kill_is_ordered_once_and_hastened),
        cmocka_unit_test(kill_before_the_start_is_an_end),
        cmocka_unit_test(pressure_stops_wanting),
        cmocka_unit_test(drain_waits_for_what_runs),
        cmocka_unit_test(drain_ends_by_time_or_when_said_again),
        cmocka_unit_test(idle_worker_exits),
        cmocka_unit_test(many_attempts_are_kept_apart),
        cmocka_unit_test(news_that_does_not_fit_changes_nothing),
        cmocka_unit_test(exit_is_said_once),
        cmocka_unit_test(drain_kills_what_starts_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
