/* agent.h - the worker's decisions: what to start, kill, report, keep and give up, and when to ask for more. A pure state machine.
 *
 * Something happened (a call), and the agent says what to do about it (effects, through one callback, inside the call). No clock, no
 * process, no socket: the shell carries effects out and tells what became of them. An attempt lives from its lease to the verdict
 * on its report:
 *
 *     leased -> STARTING -> RUNNING -> [ENDING: a kill was ordered] -> REPORTED -> verdict: output kept or thrown away
 *
 * Attempts are named by their lease token. Times are milliseconds of one clock that does not go back.
 */
#ifndef JQ_WORKER_AGENT_AGENT_H
#define JQ_WORKER_AGENT_AGENT_H

#include "common/types.h"
#include "common/vocab.h"

enum jq_agent_effect_type {
    JQ_AGENT_START,   /* answered by jq_agent_started() or jq_agent_ended() */
    JQ_AGENT_KILL,    /* SIGTERM, SIGKILL after grace_ms; `why`. What has not started is given up: jq_agent_ended() */
    JQ_AGENT_REPORT,  /* tell the broker; of an attempt that never ran `outcome` and `message` are the agent's */
    JQ_AGENT_KEEP,    /* the outcome stands: its output becomes visible */
    JQ_AGENT_DISCARD, /* it does not: its output goes */
    JQ_AGENT_WANT,    /* lease so many at a time; 0: none */
    JQ_AGENT_EXIT     /* everything is reported: the process may end */
};

enum jq_agent_why { JQ_AGENT_CANCELLED = 1, JQ_AGENT_DRAINED };

struct jq_agent_effect {
    enum jq_agent_effect_type type;
    jq_task_id task;
    jq_lease_token token;
    enum jq_outcome outcome; /* REPORT: NONE where the attempt ran and its end says what to tell */
    const char *message;     /* REPORT: of the agent's own; NULL: none */
    enum jq_agent_why why;   /* KILL */
    int64_t grace_ms;        /* KILL */
    unsigned want;           /* WANT */
};

struct jq_agent_config {
    unsigned slots;
    unsigned slots_min;   /* above 0: how many of the slots are used follows the load, and begins with so many */
    int64_t grace_ms;     /* of kills that name none */
    int64_t drain_ms;     /* how long a stop waits for what runs */
    int64_t idle_exit_ms; /* 0: never */
    void *ctx;
    void (*effect)(void *ctx, const struct jq_agent_effect *effect);
};

struct jq_agent;

struct jq_agent *jq_agent_new(const struct jq_agent_config *config, int64_t now_ms); /* NULL: out of memory */
void jq_agent_free(struct jq_agent *agent);

/* A lease has arrived. `defined`: this worker has its handler. A token that is known is ignored. */
void jq_agent_leased(struct jq_agent *agent, jq_task_id task, jq_lease_token token, bool defined, int64_t now_ms);
/* A process runs now. A kill that was ordered before, and could not be carried out, is ordered again. */
void jq_agent_started(struct jq_agent *agent, jq_lease_token token);
/* Nothing of it is left; `outcome` is what will be reported (jq_exec_judge). */
void jq_agent_ended(struct jq_agent *agent, jq_lease_token token, enum jq_outcome outcome, int64_t now_ms);
/* The broker's answer to the report. */
void jq_agent_verdict(struct jq_agent *agent, jq_lease_token token, bool accepted, int64_t now_ms);
/* The broker's words. grace_ms 0: the default for a cancel, at once for a kill. */
void jq_agent_cancel(struct jq_agent *agent, jq_lease_token token, int64_t grace_ms);
void jq_agent_kill(struct jq_agent *agent, jq_lease_token token);
/* The host is short of memory (with hysteresis by the caller): nothing new until it is over. */
void jq_agent_pressure(struct jq_agent *agent, bool high);
/* How busy the cpus are: thousandths of the time that somebody waited for one. To be told at regular intervals where slots follow
 * the load: each time a quarter more are used if all are taken and cpus are idle, one less if tasks wait for one or half would do. */
void jq_agent_load(struct jq_agent *agent, unsigned wait_permille);
/* Other settings; what runs goes on. */
void jq_agent_configure(struct jq_agent *agent, unsigned slots, unsigned slots_min, int64_t grace_ms, int64_t drain_ms,
                        int64_t idle_exit_ms);
/* Stop: lease nothing more, wait for what runs, hand the rest back, exit. Said again: now. */
void jq_agent_drain(struct jq_agent *agent, int64_t now_ms);
/* Deadlines. */
void jq_agent_time(struct jq_agent *agent, int64_t now_ms);
int64_t jq_agent_deadline_ms(const struct jq_agent *agent); /* INT64_MAX: none */

/* Attempts that have not got their verdict; and those of them that run. */
size_t jq_agent_count(const struct jq_agent *agent);
size_t jq_agent_running_count(const struct jq_agent *agent);

#endif
