#include "worker/exec/outcome.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    struct jq_exec_end end;
    enum jq_outcome outcome;
    bool crash;
    const char *cause;
} ends[] = {
    /* exit codes */
    {{.exited = true}, JQ_OUTCOME_SUCCESS, false, ""},
    {{.exited = true, .code = 1}, JQ_OUTCOME_PROCESS_FAILURE, false, "exit 1"},
    {{.exited = true, .code = 65}, JQ_OUTCOME_INVALID_INPUT, false, "exit 65"},
    {{.exited = true, .code = 69}, JQ_OUTCOME_NETWORK, false, "exit 69"},
    {{.exited = true, .code = 75}, JQ_OUTCOME_RESOURCE_EXHAUSTED, false, "exit 75"},
    /* a signal is a crash */
    {{.signaled = true, .code = SIGSEGV}, JQ_OUTCOME_PROCESS_FAILURE, true, "signal 11 (SIGSEGV)"},
    {{.signaled = true, .code = 40}, JQ_OUTCOME_PROCESS_FAILURE, true, "signal 40 (?)"},
    /* the task's own memory limit: whichever way its end looked, it was that */
    {{.signaled = true, .code = SIGKILL, .oom_killed = true},
     JQ_OUTCOME_PROCESS_FAILURE,
     true,
     "over its memory reservation"},
    {{.exited = true, .oom_killed = true}, JQ_OUTCOME_PROCESS_FAILURE, true, "over its memory reservation"},
    {{.signaled = true, .code = SIGKILL, .reason = JQ_EXEC_REASON_MEMORY},
     JQ_OUTCOME_PROCESS_FAILURE,
     true,
     "over its memory reservation"},
    /* limits of time: a crash only if the request to end was ignored */
    {{.exited = true, .reason = JQ_EXEC_REASON_SOFT_LIMIT}, JQ_OUTCOME_TIMEOUT, false, "soft time limit"},
    {{.signaled = true, .code = SIGKILL, .reason = JQ_EXEC_REASON_SOFT_LIMIT, .term_ignored = true},
     JQ_OUTCOME_TIMEOUT,
     true,
     "soft time limit ignored, killed"},
    {{.signaled = true, .code = SIGTERM, .reason = JQ_EXEC_REASON_STALL},
     JQ_OUTCOME_TIMEOUT,
     false,
     "stalled: no output, progress or cpu time"},
    {{.signaled = true, .code = SIGKILL, .reason = JQ_EXEC_REASON_STALL, .term_ignored = true},
     JQ_OUTCOME_TIMEOUT,
     true,
     "stalled, SIGTERM ignored, killed"},
    {{.signaled = true, .code = SIGKILL, .reason = JQ_EXEC_REASON_HARD_LIMIT},
     JQ_OUTCOME_TIMEOUT,
     false,
     "hard time limit"},
    /* what the worker was told to do stands above what the task did */
    {{.exited = true, .reason = JQ_EXEC_REASON_CANCEL}, JQ_OUTCOME_CANCELLED, false, "cancelled"},
    {{.signaled = true, .code = SIGKILL, .oom_killed = true, .reason = JQ_EXEC_REASON_CANCEL},
     JQ_OUTCOME_CANCELLED,
     false,
     "cancelled"},
    {{.signaled = true, .code = SIGKILL, .reason = JQ_EXEC_REASON_DRAIN},
     JQ_OUTCOME_HANDED_BACK,
     false,
     "handed back by a draining worker"},
    /* a handler with a reply channel succeeds by its word and by exit 0, not by one of them */
    {{.exited = true, .needs_result = true}, JQ_OUTCOME_PROCESS_FAILURE, false, "exit 0 without a result"},
    {{.exited = true, .needs_result = true, .has_result = true}, JQ_OUTCOME_SUCCESS, false, ""},
    {{.exited = true, .code = 1, .needs_result = true, .has_result = true},
     JQ_OUTCOME_PROCESS_FAILURE,
     false,
     "exit 1"},
    {{.signaled = true, .code = SIGABRT, .needs_result = true, .has_result = true},
     JQ_OUTCOME_PROCESS_FAILURE,
     true,
     "signal 6 (SIGABRT)"},
    {{.exited = true, .needs_result = true, .result_too_big = true},
     JQ_OUTCOME_PROCESS_FAILURE,
     false,
     "result larger than 48 KiB"},
    {{.exited = true, .needs_result = true, .has_result = true, .garbled_reply = true},
     JQ_OUTCOME_PROCESS_FAILURE,
     false,
     "reply that is not the protocol"},
    /* its own word about its failure */
    {{.exited = true, .code = 1, .reported = JQ_OUTCOME_NETWORK}, JQ_OUTCOME_NETWORK, false, ""},
    {{.exited = true, .code = 65, .reported = JQ_OUTCOME_INVALID_INPUT}, JQ_OUTCOME_INVALID_INPUT, false, ""},
    {{.signaled = true, .code = SIGSEGV, .reported = JQ_OUTCOME_INVALID_INPUT},
     JQ_OUTCOME_PROCESS_FAILURE,
     true,
     "signal 11 (SIGSEGV)"},
    /* nobody knows */
    {{.code = 0}, JQ_OUTCOME_PROCESS_FAILURE, false, "exit status lost with its parent process"},
};

/* The table of error classes: every end that can be told apart has one class, and counts as a crash or does not. */
static void every_end_has_its_class(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        const struct jq_exec_verdict verdict = jq_exec_judge(&ends[i].end);
        assert_string_equal(verdict.cause, ends[i].cause);
        assert_int_equal(verdict.outcome, ends[i].outcome);
        assert_int_equal(verdict.crash, ends[i].crash);
    }
}

/* A task that could not start for want of memory, space or a slot is no fault of its own: it goes back to the queue. */
static void shortage_of_the_host_is_not_the_tasks_fault(void **state) {
    (void)state;
    assert_int_equal(jq_exec_judge_start(JQ_ERR_NOMEM), JQ_OUTCOME_RESOURCE_EXHAUSTED);
    assert_int_equal(jq_exec_judge_start(JQ_ERR_NO_SPACE), JQ_OUTCOME_RESOURCE_EXHAUSTED);
    assert_int_equal(jq_exec_judge_start(JQ_ERR_BUSY), JQ_OUTCOME_RESOURCE_EXHAUSTED);
    assert_int_equal(jq_exec_judge_start(JQ_ERR_INVALID), JQ_OUTCOME_INVALID_INPUT);
    assert_int_equal(jq_exec_judge_start(JQ_ERR_TOO_BIG), JQ_OUTCOME_INVALID_INPUT);
    assert_int_equal(jq_exec_judge_start(JQ_ERR_NOT_FOUND), JQ_OUTCOME_PROCESS_FAILURE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_has_its_class),
        cmocka_unit_test(shortage_of_the_host_is_not_the_tasks_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
