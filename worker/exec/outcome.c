#include "worker/exec/outcome.h"

#include <signal.h>
#include <stdio.h>

const char *jq_exec_signal_name(int number) {
    switch (number) {
    case SIGHUP: return "SIGHUP";
    case SIGINT: return "SIGINT";
    case SIGQUIT: return "SIGQUIT";
    case SIGILL: return "SIGILL";
    case SIGTRAP: return "SIGTRAP";
    case SIGABRT: return "SIGABRT";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    case SIGKILL: return "SIGKILL";
    case SIGSEGV: return "SIGSEGV";
    case SIGPIPE: return "SIGPIPE";
    case SIGALRM: return "SIGALRM";
    case SIGTERM: return "SIGTERM";
    case SIGXCPU: return "SIGXCPU";
    case SIGXFSZ: return "SIGXFSZ";
    case SIGSYS: return "SIGSYS";
    default: return "?";
    }
}

static struct jq_exec_verdict verdict(enum jq_outcome outcome, bool crash, const char *cause) {
    struct jq_exec_verdict made = {.outcome = outcome, .crash = crash};
    (void)snprintf(made.cause, sizeof(made.cause), "%s", cause);
    return made;
}

/* The worker ended it: what the handler then did with its last moments changes nothing. */
static struct jq_exec_verdict judge_reason(const struct jq_exec_end *end) {
    switch (end->reason) {
    case JQ_EXEC_REASON_CANCEL: return verdict(JQ_OUTCOME_CANCELLED, false, "cancelled");
    case JQ_EXEC_REASON_DRAIN: return verdict(JQ_OUTCOME_HANDED_BACK, false, "handed back by a draining worker");
    case JQ_EXEC_REASON_SOFT_LIMIT:
        return end->term_ignored ? verdict(JQ_OUTCOME_TIMEOUT, true, "soft time limit ignored, killed")
                                 : verdict(JQ_OUTCOME_TIMEOUT, false, "soft time limit");
    case JQ_EXEC_REASON_HARD_LIMIT: return verdict(JQ_OUTCOME_TIMEOUT, false, "hard time limit");
    case JQ_EXEC_REASON_STALL:
        return end->term_ignored ? verdict(JQ_OUTCOME_TIMEOUT, true, "stalled, SIGTERM ignored, killed")
                                 : verdict(JQ_OUTCOME_TIMEOUT, false, "stalled: no output, progress or cpu time");
    case JQ_EXEC_REASON_PIDS: return verdict(JQ_OUTCOME_PROCESS_FAILURE, true, "over its limit of processes");
    case JQ_EXEC_REASON_OUTPUT: return verdict(JQ_OUTCOME_PROCESS_FAILURE, false, "over its limit of output bytes");
    case JQ_EXEC_REASON_NOT_READY:
        return verdict(JQ_OUTCOME_PROCESS_FAILURE, false, "its process was not ready in time");
    case JQ_EXEC_REASON_GARBLED: return verdict(JQ_OUTCOME_PROCESS_FAILURE, false, "reply that is not the protocol");
    case JQ_EXEC_REASON_MEMORY:
    case JQ_EXEC_REASON_NONE:
    default: return verdict(JQ_OUTCOME_PROCESS_FAILURE, true, "over its memory reservation");
    }
}

static struct jq_exec_verdict judge_signal(int number) {
    struct jq_exec_verdict made = verdict(JQ_OUTCOME_PROCESS_FAILURE, true, "");
    (void)snprintf(made.cause, sizeof(made.cause), "signal %d (%s)", number, jq_exec_signal_name(number));
    return made;
}

static struct jq_exec_verdict judge_exit(const struct jq_exec_end *end) {
    struct jq_exec_verdict made = verdict(JQ_OUTCOME_PROCESS_FAILURE, false, "");
    if (end->code == JQ_EXEC_EXIT_INVALID_INPUT) {
        made.outcome = JQ_OUTCOME_INVALID_INPUT;
    } else if (end->code == JQ_EXEC_EXIT_NETWORK) {
        made.outcome = JQ_OUTCOME_NETWORK;
    } else if (end->code == JQ_EXEC_EXIT_RESOURCE_EXHAUSTED) {
        made.outcome = JQ_OUTCOME_RESOURCE_EXHAUSTED;
    }
    (void)snprintf(made.cause, sizeof(made.cause), "exit %d", end->code);
    return made;
}

/* It ended by exit 0: was there what there should be? */
static struct jq_exec_verdict judge_zero(const struct jq_exec_end *end) {
    if (end->result_too_big) {
        return verdict(JQ_OUTCOME_PROCESS_FAILURE, false, "result larger than 48 KiB");
    }
    if (end->garbled_reply) {
        return verdict(JQ_OUTCOME_PROCESS_FAILURE, false, "reply that is not the protocol");
    }
    if (end->needs_result && !end->has_result) {
        return verdict(JQ_OUTCOME_PROCESS_FAILURE, false, "exit 0 without a result");
    }
    return verdict(JQ_OUTCOME_SUCCESS, false, "");
}

struct jq_exec_verdict jq_exec_judge(const struct jq_exec_end *end) {
    if (end->reason == JQ_EXEC_REASON_CANCEL || end->reason == JQ_EXEC_REASON_DRAIN) {
        return judge_reason(end);
    }
    if (end->oom_killed) {
        return verdict(JQ_OUTCOME_PROCESS_FAILURE, true, "over its memory reservation");
    }
    if (end->reason != JQ_EXEC_REASON_NONE) {
        return judge_reason(end);
    }
    if (end->signaled) {
        return judge_signal(end->code);
    }
    if (!end->exited) {
        return verdict(JQ_OUTCOME_PROCESS_FAILURE, false, "exit status lost with its parent process");
    }
    if (end->reported != JQ_OUTCOME_NONE) {
        return verdict(end->reported, false, "");
    }
    return end->code == 0 ? judge_zero(end) : judge_exit(end);
}

enum jq_outcome jq_exec_judge_start(enum jq_err code) {
    switch (code) {
    case JQ_ERR_NOMEM:
    case JQ_ERR_NO_SPACE:
    case JQ_ERR_BUSY:
    case JQ_ERR_IO:
    case JQ_ERR_UNAVAILABLE: return JQ_OUTCOME_RESOURCE_EXHAUSTED;
    case JQ_ERR_INVALID:
    case JQ_ERR_TOO_BIG: return JQ_OUTCOME_INVALID_INPUT;
    default: return JQ_OUTCOME_PROCESS_FAILURE;
    }
}
