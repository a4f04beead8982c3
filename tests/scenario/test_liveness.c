/* Who lives, who is dead, and what becomes of a dead worker's tasks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

/* A worker that leaves every survey unanswered for `liveness` loses its lease, not a millisecond before. The task goes back to
 * the head of its queue, and the late report cannot finish it twice. */
static void dead_workers_task_runs_again_and_its_late_report_is_refused(void **state) {
    struct lab *lab = lab_new(); /* heartbeat 2000, liveness 15000 */
    (void)state;
    submit_task(lab, "mail");
    const jq_lease_token silent = lease_task(lab, "worker-1");

    stop_answering_surveys(lab, "worker-1");
    advance_ms(lab, 14999);
    expect_trace(lab, "");
    advance_ms(lab, 1);
    expect_trace(lab, "[15000] worker worker-1 dead: 7 surveys unanswered\n"
                      "[15000] task 1 ready: lost, crash 1 of 3\n");

    const jq_lease_token active = lease_task(lab, "worker-2");
    assert_int_equal(report_success(lab, silent), JQ_REPLY_STALE_LEASE);
    assert_int_equal(report_success(lab, active), JQ_REPLY_OK);
    expect_trace(lab, "[15000] task 1 succeeded\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A worker that answers keeps its task for as long as it runs. */
static void living_worker_keeps_its_task(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    submit_task(lab, "mail");
    const jq_lease_token token = lease_task(lab, "worker-1");
    advance_ms(lab, 3600000);
    expect_trace(lab, "");
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    lab_free(lab);
}

/* A broker that did not run for a while blames nobody for what it could not hear: the count begins anew. */
static void sleeping_broker_declares_nobody_dead(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    submit_task(lab, "mail");
    (void)lease_task(lab, "worker-1");
    stop_answering_surveys(lab, "worker-1");
    advance_ms(lab, 14000);
    sleep_broker_ms(lab, 60000);
    expect_trace(lab, "");
    advance_ms(lab, 14999);
    expect_trace(lab, "");
    advance_ms(lab, 2000);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_READY);
    lab_free(lab);
}

/* After a start of the broker every lease gets a full liveness, however long its worker had been silent before. */
static void every_lease_gets_a_full_liveness_after_a_start(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    submit_task(lab, "mail");
    (void)lease_task(lab, "worker-1");
    stop_answering_surveys(lab, "worker-1");
    advance_ms(lab, 14000);
    restart_broker(lab);
    advance_ms(lab, 14999);
    expect_trace(lab, "");
    advance_ms(lab, 1);
    expect_trace(lab, "[29000] worker worker-1 dead: 7 surveys unanswered\n"
                      "[29000] task 1 ready: lost, crash 1 of 3\n");
    lab_free(lab);
}

/* A lease survives a restart of the broker: the worker goes on and reports to the new process. */
static void lease_survives_a_restart_of_the_broker(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    submit_task(lab, "mail");
    const jq_lease_token token = lease_task(lab, "worker-1");
    restart_broker(lab);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    lab_free(lab);
}

/* A worker that was born again says so by its incarnation: what the old one held is back at once. */
static void new_incarnation_ends_old_leases_at_once(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    submit_task(lab, "mail");
    (void)lease_task(lab, "worker-1");
    restart_worker(lab, "worker-1");
    expect_trace(lab, "[0] task 1 ready: lost, crash 1 of 3\n");
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A registration whose answer was lost is sent again. If one of an earlier life came late and took its place meanwhile, the worker is
 * not given that one's session, which has other leases, offers and handlers: it is told to register anew. */
static void a_late_registration_of_an_earlier_life_gives_nobody_its_session(void **state) {
    struct lab *lab = lab_new();
    struct lab_worker *worker = lab_worker(lab, "worker-1");
    (void)state;
    restart_worker(lab, "worker-1");
    struct jq_request again = {.op = JQ_OP_REGISTER,
                               .sender = worker->sender,
                               .id = worker->request,
                               .pipe = worker->pipe,
                               .u.reg = {.id = worker->id, .incarnation = worker->incarnation}};
    assert_true(jq_uuid_equal(&lab_ask(lab, &again)->u.reg.session, &worker->session));
    worker->incarnation--;
    register_worker(lab, worker);
    assert_int_equal(lab_ask(lab, &again)->status, JQ_REPLY_CONFLICT);
    worker->incarnation++;
    register_worker(lab, worker);
    submit_task(lab, "mail");
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

static const struct jq_reply_effect *poll_with_held(struct lab *lab, bool given) {
    struct jq_request poll = poll_of(lab, "worker-1", 0, 0);
    const struct lab_worker *worker = lab_worker(lab, "worker-1");
    poll.u.lease.held = worker->held;
    poll.u.lease.held_count = given ? worker->held_count : 0;
    poll.u.lease.held_given = given;
    poll.u.lease.held_whole = true;
    return lab_ask(lab, &poll);
}

/* A lease whose answer was lost shows as a difference at two successive surveys; the list of what is held settles it. */
static void lease_lost_in_flight_comes_back(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    submit_task(lab, "mail");
    (void)lease_task(lab, "worker-1");
    lab_worker(lab, "worker-1")->held_count = 0; /* the answer never arrived */
    advance_ms(lab, 2000);
    assert_int_equal(poll_with_held(lab, false)->u.lease.command_count, 0);
    advance_ms(lab, 4000);
    const struct jq_reply_effect *asked = poll_with_held(lab, false);
    assert_int_equal(asked->u.lease.command_count, 1);
    assert_int_equal(asked->u.lease.commands[0].type, JQ_COMMAND_SEND_HELD);
    expect_trace(lab, "");
    (void)poll_with_held(lab, true);
    expect_trace(lab, "[6000] task 1 ready: handed_back\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A token that the broker does not know is answered with `kill`. */
static void unknown_token_is_killed(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    struct lab_worker *worker = lab_worker(lab, "worker-1");
    worker->held[worker->held_count++] = (struct jq_held){{77}, {4711}};
    advance_ms(lab, 6000);
    assert_int_equal(poll_with_held(lab, false)->u.lease.commands[0].type, JQ_COMMAND_SEND_HELD);
    const struct jq_reply_effect *reply = poll_with_held(lab, true);
    assert_int_equal(reply->u.lease.command_count, 1);
    assert_int_equal(reply->u.lease.commands[0].type, JQ_COMMAND_KILL);
    assert_int_equal(reply->u.lease.commands[0].token.value, 4711);
    lab_free(lab);
}

/* A list of held leases that nobody asked for, or of before the question, takes no lease away. */
static void held_list_that_was_not_asked_for_is_ignored(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    submit_task(lab, "mail");
    (void)lease_task(lab, "worker-1");
    lab_worker(lab, "worker-1")->held_count = 0;
    (void)poll_with_held(lab, true);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_RUNNING);
    lab_free(lab);
}

/* A log whose beginning was deleted gives the same state: prologues state again what is not tied to a task. */
static void replay_of_a_shortened_log_gives_the_same_state(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct jq_submit_item item = lab_item();
        item.result_ttl_ms = 1000;
        item.key = i == 3 ? JQ_STR("kept") : JQ_STR("");
        submit_item(lab, &item);
        lab_prologue(lab);
        if (i < 2) {
            (void)report_success(lab, lease_task(lab, "worker-1"));
        }
    }
    advance_ms(lab, 2000);
    lab_prologue(lab);
    const uint64_t needs_lsn = jq_core_needs_from(lab->core);
    assert_true(needs_lsn > 100);
    corelog_delete_below(&lab->log, needs_lsn);
    expect_replay_matches_live(lab);
    restart_broker(lab);
    assert_int_equal(task_state(lab, (jq_task_id){3}), JQ_STATE_READY);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* What a worker sends beside its reports is taken from the session that holds the lease alone, and while it does. */
static void a_lease_is_held_by_one_session(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    jq_lease_token token;
    (void)submit_task(lab, "mail");
    const jq_task_id task = lease_task_id(lab, "worker-1", &token);
    const struct jq_uuid session = lab_worker(lab, "worker-1")->session;
    const struct jq_uuid other = lab_worker(lab, "worker-2")->session, nobody = {{1}};
    assert_true(jq_core_holds(lab->core, &session, task, token));
    assert_false(jq_core_holds(lab->core, &other, task, token));
    assert_false(jq_core_holds(lab->core, &nobody, task, token));
    assert_false(jq_core_holds(lab->core, &session, (jq_task_id){99}, token));
    assert_false(jq_core_holds(lab->core, &session, task, (jq_lease_token){token.value + 1}));
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_false(jq_core_holds(lab->core, &session, task, token));
    lab_free(lab);
}

/* Where surveys are seldom, `liveness` alone declares nobody dead: at least three went unanswered. */
static void three_surveys_at_least_went_unanswered(void **state) {
    struct jq_core_config config;
    (void)state;
    jq_core_config_init(&config);
    config.heartbeat_ms = 10000;
    struct lab *lab = lab_new_with(&config); /* liveness 15000 */
    const jq_task_id task = submit_task(lab, "mail");
    (void)lease_task(lab, "worker-1");
    stop_answering_surveys(lab, "worker-1");
    const uint32_t before = lab->survey;
    while (lab->survey < before + 3) {
        assert_int_equal(task_state(lab, task), JQ_STATE_RUNNING);
        advance_ms(lab, 1000);
    }
    assert_true(lab->now_ms > 15000);
    advance_ms(lab, 1);
    assert_int_equal(task_state(lab, task), JQ_STATE_READY);
    expect_trace(lab, "[30000] worker worker-1 dead: 3 surveys unanswered\n"
                      "[30000] task 1 ready: lost, crash 1 of 3\n");
    lab_free(lab);
}

/* A connection that is lost proves nothing about the worker; it only hastens the next survey, which the worker may answer. */
static void a_lost_connection_hastens_the_next_survey(void **state) {
    struct lab *lab = lab_new(); /* heartbeat 2000 */
    (void)state;
    const jq_task_id task = submit_task(lab, "mail");
    const jq_lease_token token = lease_task(lab, "worker-1");
    struct jq_request poll = poll_of(lab, "worker-1", 1, 20000);
    assert_null(lab_ask(lab, &poll));
    advance_ms(lab, 2000);
    const uint32_t survey = lab->survey;
    advance_ms(lab, 1);
    struct jq_event gone = {.type = JQ_EVENT_PIPE_GONE, .u.pipe_gone.pipe = poll.pipe};
    lab_step(lab, &gone);
    assert_true(lab_dropped(lab, poll.call));
    assert_int_equal(lab->survey, survey);
    advance_ms(lab, 500);
    assert_int_equal(lab->survey, survey + 1);
    advance_ms(lab, 60000);
    assert_int_equal(task_state(lab, task), JQ_STATE_RUNNING);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dead_workers_task_runs_again_and_its_late_report_is_refused),
        cmocka_unit_test(living_worker_keeps_its_task),
        cmocka_unit_test(sleeping_broker_declares_nobody_dead),
        cmocka_unit_test(every_lease_gets_a_full_liveness_after_a_start),
        cmocka_unit_test(lease_survives_a_restart_of_the_broker),
        cmocka_unit_test(new_incarnation_ends_old_leases_at_once),
        cmocka_unit_test(a_late_registration_of_an_earlier_life_gives_nobody_its_session),
        cmocka_unit_test(lease_lost_in_flight_comes_back),
        cmocka_unit_test(unknown_token_is_killed),
        cmocka_unit_test(held_list_that_was_not_asked_for_is_ignored),
        cmocka_unit_test(replay_of_a_shortened_log_gives_the_same_state),
        cmocka_unit_test(a_lease_is_held_by_one_session),
        cmocka_unit_test(three_surveys_at_least_went_unanswered),
        cmocka_unit_test(a_lost_connection_hastens_the_next_survey),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
