/* outcome.h - how an attempt ended: the facts that the worker saw, and what they mean.
 *
 * The facts (`struct jq_exec_end`) come from child.c. jq_exec_judge() turns them into an outcome of PROTOCOL.md.
 * It is a pure function: no clock, no I/O.
 */
#ifndef JQ_WORKER_EXEC_OUTCOME_H
#define JQ_WORKER_EXEC_OUTCOME_H

#include "common/err.h"
#include "common/types.h"
#include "common/vocab.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit codes with a meaning of their own (sysexits.h: EX_DATAERR, EX_UNAVAILABLE, EX_TEMPFAIL). */
enum { JQ_EXEC_EXIT_INVALID_INPUT = 65, JQ_EXEC_EXIT_NETWORK = 69, JQ_EXEC_EXIT_RESOURCE_EXHAUSTED = 75 };

/* Why the worker put an end to a task, if it did. The first reason stays. */
enum jq_exec_reason {
    JQ_EXEC_REASON_NONE,
    JQ_EXEC_REASON_CANCEL,     /* the broker's word */
    JQ_EXEC_REASON_DRAIN,      /* the worker stops and hands the task back */
    JQ_EXEC_REASON_SOFT_LIMIT, /* SIGTERM was sent for time */
    JQ_EXEC_REASON_HARD_LIMIT, /* killed for time, without a soft limit before */
    JQ_EXEC_REASON_STALL,      /* SIGTERM was sent because nothing was seen of it for too long */
    JQ_EXEC_REASON_MEMORY,     /* over its own reservation */
    JQ_EXEC_REASON_PIDS,       /* more processes than allowed, seen where no cgroup refuses them */
    JQ_EXEC_REASON_OUTPUT,     /* wrote more to stdout and stderr than allowed */
    JQ_EXEC_REASON_NOT_READY,  /* a warm process that did not say in time that it is ready */
    JQ_EXEC_REASON_GARBLED,    /* what came on the reply channel is not the protocol */
};

struct jq_exec_end {
    enum jq_exec_reason reason;
    bool exited;              /* `code` is an exit code */
    bool signaled;            /* `code` is a signal; neither: the status was lost with the process's parent */
    int code;                 /* */
    bool oom_killed;          /* the kernel killed a process of the tree for the task's own memory limit */
    bool term_ignored;        /* SIGTERM was sent and SIGKILL had to follow */
    bool needs_result;        /* success takes a result frame (pool, freecad), not exit 0 alone */
    bool has_result;          /* such a frame came, well formed */
    bool result_too_big;      /* a result file or frame above JQ_PAYLOAD_SIZE_MAX */
    bool garbled_reply;       /* the reply channel carried something that is not the protocol */
    enum jq_outcome reported; /* the handler's own word about its failure, else JQ_OUTCOME_NONE */
};

struct jq_exec_verdict {
    enum jq_outcome
        outcome; /* SUCCESS, INVALID_INPUT, RESOURCE_EXHAUSTED, PROCESS_FAILURE, NETWORK, TIMEOUT, CANCELLED, HANDED_BACK */
    bool crash;     /* counts towards crash_limit */
    char cause[96]; /* one line for people: "signal 11 (SIGSEGV)", "exit 3", "over its memory reservation" */
};

/* `end` as the class that the broker acts on. */
struct jq_exec_verdict jq_exec_judge(const struct jq_exec_end *end);

/* The class of a task that could not be started: a shortage of the host is RESOURCE_EXHAUSTED, a payload without a
 * parameter of the command INVALID_INPUT, a missing command PROCESS_FAILURE. */
enum jq_outcome jq_exec_judge_start(enum jq_err code);

/* "SIGSEGV"; "?" for a number without a name. */
const char *jq_exec_signal_name(int number);

#endif
