/* jqctl.h - what every command of jqctl shares: its arguments, the broker it talks to, and how it ends.
 *
 * A command is a function that takes the context and gives an exit code (sysexits.h). Data goes to stdout, messages to stderr:
 * whoever finds that something went wrong says so by jqctl_fail() and returns the code that this gave.
 */
#ifndef JQ_TOOLS_JQCTL_JQCTL_H
#define JQ_TOOLS_JQCTL_JQCTL_H

#include <sysexits.h>

#include "common/libjq/flight.h"
#include "tools/jqctl/cli.h"

enum {
    JQCTL_DONE = 0,
    JQCTL_FAILED = 1, /* the task failed, was refused, or was not found */
    JQCTL_TIMEOUT_DEFAULT_MS = 10000,
};

/* What may be configured: [server] of jqctl.conf. */
struct jqctl_settings {
    char *url;        /* empty: $JQ_SERVER, or libjq's default */
    char *token_file; /* empty: none */
};

/* What stdout and stderr are. */
struct jqctl_terminal {
    bool out, err;    /* it is a terminal */
    bool colour;      /* on stdout: a terminal, and neither NO_COLOR nor TERM=dumb */
    unsigned columns; /* of the terminal; 0: stdout is none, nothing is cut */
};

struct jqctl {
    struct jqctl_args args;
    struct jqctl_settings settings;
    struct jqctl_terminal terminal;
    bool json;
    int64_t timeout_ms;       /* of --timeout; -1: not given */
    struct jq_client *client; /* NULL until jqctl_connect() */
    uint64_t told;            /* a bit per enum jq_err that on_retry has told of */
    bool told_away;           /* by jqctl_outlasts() */
};

/* Prints one line, "jqctl: ...", with everything in it that a terminal might obey made visible, and returns `exit_code`. */
int jqctl_fail(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same of an error, with the exit code that belongs to it. `what` was being done; NULL: the message says all. */
int jqctl_fail_err(const char *what, const struct jq_error *error);
/* A message that is no failure. */
void jqctl_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

int jqctl_exit_of(enum jq_err err);

/* Fills in settings, terminal and common options from args, environment and files. */
int jqctl_prepare(struct jqctl *ctl);

/* Connects, unless that was done. Does not need the broker to be there, but says so if it is not. */
int jqctl_connect(struct jqctl *ctl);

/* A request and its answer, by jq_client_call(). On JQCTL_DONE flight->view.body is the answer, and the caller ends the flight.
 * Anything else has been complained about, as "WHAT: reason". */
int jqctl_call(struct jqctl *ctl, struct jq_flight *flight, const char *what, const char *op, size_t field_count,
               void (*fill)(struct jq_pack *pack, void *ctx), void *ctx);

/* The same, within another time. */
int jqctl_call_within(struct jqctl *ctl, struct jq_flight *flight, const char *what, const char *op, size_t field_count,
                      void (*fill)(struct jq_pack *pack, void *ctx), void *ctx, int64_t timeout_ms);

/* The same, of who follows what happens: an answer may be `wait_ms` late, and a broker that has answered before (`*answered`, which is
 * set) is waited for however long it is away, unless --timeout says otherwise. */
int jqctl_follow(struct jqctl *ctl, struct jq_flight *flight, const char *what, const char *op, size_t field_count,
                 void (*fill)(struct jq_pack *pack, void *ctx), void *ctx, int64_t wait_ms, bool *answered);

/* How long a call may take: --timeout, or what stands for it. */
int64_t jqctl_call_ms(const struct jqctl *ctl);

/* When --timeout is over, by jq_flight_now_ms(); INT64_MAX: never. */
int64_t jqctl_deadline_ms(const struct jqctl *ctl);

/* True if a call failed because the broker is away, which one who waits for a task waits for, too: its tasks are on its disk, and
 * workers go on without it. Says so, once. */
bool jqctl_outlasts(struct jqctl *ctl, enum jq_err err);

/* Options by their form. On failure a message with the option's name is printed. An absent option leaves *ret untouched. */
int jqctl_option_duration(const struct jqctl *ctl, const char *name, int64_t *ret_ms);
int jqctl_option_uint(const struct jqctl *ctl, const char *name, uint64_t max, uint64_t *ret_value);

/* All operands as task ids, in an array that the caller frees. */
int jqctl_operand_ids(const struct jqctl *ctl, jq_task_id **ret_ids, size_t *ret_count);

/* Writes to stdout. Errors are kept by stdio until jqctl_finish(). */
void jqctl_write(struct jq_bytes bytes);
/* Flushes stdout: `exit_code`, or EX_IOERR where not everything could be written. */
int jqctl_finish(int exit_code);

/* True if they say yes on the terminal. Without a terminal, or with --yes, see dead.c. */
bool jqctl_confirm(const char *question);

/* Reads a whole file ("-": stdin) of at most `size_max` bytes into `buf`, which is initialized here and in any case the caller's to
 * fini. Prints what went wrong. */
int jqctl_read_file(const char *path, size_t size_max, struct jq_buf *buf);

/* ---- commands, by their file ------------------------------------------------------------------------------------------- */

int jqctl_task_submit(struct jqctl *ctl); /* submit.c */
int jqctl_task_ls(struct jqctl *ctl);     /* task.c */
int jqctl_task_show(struct jqctl *ctl);
int jqctl_task_explain(struct jqctl *ctl); /* explain.c */
int jqctl_task_logs(struct jqctl *ctl);    /* logs.c */
int jqctl_task_wait(struct jqctl *ctl);    /* wait.c */
int jqctl_task_cancel(struct jqctl *ctl);  /* many.c */
int jqctl_flow_submit(struct jqctl *ctl);  /* flow.c */
int jqctl_flow_map(struct jqctl *ctl);
int jqctl_flow_ls(struct jqctl *ctl);
int jqctl_flow_show(struct jqctl *ctl);
int jqctl_flow_wait(struct jqctl *ctl);
int jqctl_flow_cancel(struct jqctl *ctl);
int jqctl_task_retry(struct jqctl *ctl);
int jqctl_task_hold(struct jqctl *ctl);
int jqctl_task_release(struct jqctl *ctl);
int jqctl_task_move(struct jqctl *ctl);
int jqctl_task_rm(struct jqctl *ctl);
int jqctl_queue_purge(struct jqctl *ctl);
int jqctl_events_follow(struct jqctl *ctl); /* events.c */
int jqctl_events_past(struct jqctl *ctl);   /* events_past.c */
int jqctl_queue_ls(struct jqctl *ctl);      /* queue.c */
int jqctl_queue_show(struct jqctl *ctl);
int jqctl_queue_pause(struct jqctl *ctl);
int jqctl_queue_resume(struct jqctl *ctl);
int jqctl_blob_ls(struct jqctl *ctl); /* blob.c */
int jqctl_blob_put(struct jqctl *ctl);
int jqctl_blob_get(struct jqctl *ctl);
int jqctl_blob_gc(struct jqctl *ctl);
int jqctl_cache_stat(struct jqctl *ctl); /* cache.c */
int jqctl_cache_purge(struct jqctl *ctl);
int jqctl_limit_ls(struct jqctl *ctl); /* limit.c */
int jqctl_limit_set(struct jqctl *ctl);
int jqctl_limit_rm(struct jqctl *ctl);
int jqctl_queue_drain(struct jqctl *ctl);
int jqctl_queue_set(struct jqctl *ctl);
int jqctl_worker_ls(struct jqctl *ctl); /* worker.c */
int jqctl_worker_show(struct jqctl *ctl);
int jqctl_worker_drain(struct jqctl *ctl);
int jqctl_dead_ls(struct jqctl *ctl); /* dead.c */
int jqctl_dead_show(struct jqctl *ctl);
int jqctl_dead_edit(struct jqctl *ctl); /* dead_edit.c */
int jqctl_dead_replay(struct jqctl *ctl);
int jqctl_dead_rm(struct jqctl *ctl);
int jqctl_breaker_ls(struct jqctl *ctl); /* breaker.c */
int jqctl_breaker_show(struct jqctl *ctl);
int jqctl_breaker_trip(struct jqctl *ctl);
int jqctl_breaker_reset(struct jqctl *ctl);
int jqctl_schedule_ls(struct jqctl *ctl); /* schedule.c */
int jqctl_schedule_show(struct jqctl *ctl);
int jqctl_schedule_set(struct jqctl *ctl);
int jqctl_schedule_rm(struct jqctl *ctl);
int jqctl_schedule_pause(struct jqctl *ctl);
int jqctl_schedule_resume(struct jqctl *ctl);
int jqctl_schedule_run(struct jqctl *ctl);
int jqctl_schedule_next(struct jqctl *ctl);
int jqctl_journal_verify(struct jqctl *ctl); /* journal.c */
int jqctl_journal_stat(struct jqctl *ctl);
int jqctl_journal_dump(struct jqctl *ctl);   /* journal_dump.c */
int jqctl_journal_export(struct jqctl *ctl); /* journal_export.c */
int jqctl_journal_replay(struct jqctl *ctl); /* journal_replay.c */
int jqctl_journal_repair(struct jqctl *ctl); /* journal_repair.c */
int jqctl_journal_state(struct jqctl *ctl);  /* journal_state.c */
int jqctl_server_status(struct jqctl *ctl);  /* server.c */
int jqctl_server_wait(struct jqctl *ctl);
int jqctl_server_backup(struct jqctl *ctl);    /* server_backup.c */
int jqctl_token_new(struct jqctl *ctl);        /* token.c */
int jqctl_completion_print(struct jqctl *ctl); /* token.c */

#endif
