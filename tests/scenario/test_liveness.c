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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dead_workers_task_runs_again_and_its_late_report_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
