/* commands.c - the table of commands: a row for each, and the options of those that have some. */
#include "tools/jqctl/jqctl.h"

#define OPTIONS(array) (array), sizeof(array) / sizeof((array)[0])
#define NO_OPTIONS     NULL, 0
#define ANY            JQCTL_OPERANDS_ANY

const struct jqctl_option jqctl_options[] = {
    {"server", 's', "URL", "The broker: tcp://HOST:PORT or ipc:///PATH, several between commas.", NULL},
    {"token-file", 0, "FILE", "A file with the token to show to the broker; else $JQ_TOKEN.", NULL},
    {"config", 'c', "FILE", "Read this instead of ~/.config/jqmesh/jqctl.conf or /etc/jqmesh/jqctl.conf.", NULL},
    {"timeout", 't', "DURATION", "Give up after so long (10s; waiting for tasks: never).", NULL},
    {"json", 0, NULL, "Print a JSON document: {\"version\":1,\"kind\":..}.", NULL},
    {"help", 'h', NULL, "Print help and do nothing.", NULL},
    {"version", 0, NULL, "Print the version and do nothing.", NULL},
};
const size_t jqctl_options_count = sizeof(jqctl_options) / sizeof(jqctl_options[0]);

#define WHERE_HELP "All that this selects, such as 'queue=cad state=dead age>1h error~OCC handler=cad.*'."
#define STATES     "waiting blocked scheduled held ready running cancelling succeeded dead cancelled expired"

static const struct jqctl_option submit_options[] = {
    {"payload", 'p', "JSON|@FILE|-",
     "What the handler is given: JSON becomes msgpack, @FILE is read (JSON if it ends in .json), - is stdin.", NULL},
    {"raw", 0, NULL, "Send the payload as it is, as bytes.", NULL},
    {"from-jsonl", 0, "FILE|-",
     "Submit a task for each line, a JSON object with its fields; the other options hold for all.", NULL},
    {"queue", 'q', "NAME", "The queue (default).", NULL},
    {"priority", 0, "LEVEL", "urgent, high, normal, low, background, or 0 to 9, 9 first (normal).",
     "urgent high normal low background"},
    {"need", 'n', "NEED", "Which workers may run it, such as 'cpu=2 mem=4G os==linux'.", NULL},
    {"want", 0, "WANT", "Which of them it would rather have, such as 'zone==lab1:50 gpu:-20'.", NULL},
    {"group", 'g', "TEXT", "Groups take turns inside a queue: a customer, a project.", NULL},
    {"key", 'k', "TEXT", "Idempotency: a second submit with the key gives the first task.", NULL},
    {"unique", 0, "MODE",
     "How long the key stands for the task: while_queued, until_done, throttle, debounce (none: a day).",
     "none while_queued until_done throttle debounce"},
    {"unique-for", 0, "DURATION",
     "Window of throttle; how long it must be quiet for debounce (which waits ten times as long at most).", NULL},
    {"delay", 0, "DURATION", "Not before so long from now.", NULL},
    {"eta", 0, "TIME", "Not before this time (RFC 3339), or this span from now (2h).", NULL},
    {"expires", 0, "TIME", "Not after this time (RFC 3339), or this span from now (2h).", NULL},
    {"retry", 0, "N", "Failed attempts after which it is dead (3).", NULL},
    {"soft-limit", 0, "DURATION", "SIGTERM after it.", NULL},
    {"hard-limit", 0, "DURATION", "SIGKILL to the whole tree after it.", NULL},
    {"result-ttl", 0, "DURATION", "How long the result is kept (1d).", NULL},
    {"after", 0, "ID[,ID..]", "Only when these tasks have ended.", NULL},
    {"on", 0, "HOW", "How those must end: succeeded, finished (in any way) or failed (succeeded).",
     "succeeded finished failed"},
    {"header", 'H', "NAME=VALUE", "Passed to the handler; may be given again and again.", NULL},
    {"param", 0, "NAME=VALUE", "A member of the payload, instead of --payload: JSON, or else text; again and again.",
     NULL},
    {"input", 'i', "NAME=FILE", "A file for the handler, or sha256:HASH of a stored one; again and again.", NULL},
    {"output", 'o', "NAME[=FILE]", "A file that the handler makes; with --wait it is saved; again and again.", NULL},
    {"no-cache", 0, NULL, "Run it, though its result may be cached (of handlers that are pure).", NULL},
    {"wait", 'w', NULL, "Wait for the end and print the result; --timeout is then how long to wait.", NULL},
};

static const struct jqctl_option list_options[] = {
    {"queue", 'q', "NAME", "Only of this queue.", NULL},
    {"handler", 0, "NAME", "Only of this handler.", NULL},
    {"state", 0, "STATE[,STATE..]", "Only in one of these states.", STATES},
    {"where", 0, "TERMS", WHERE_HELP, NULL},
    {"limit", 'l', "N", "At most so many (100); 0: all.", NULL},
    {"after", 0, "ID", "Go on behind this task.", NULL},
};

static const struct jqctl_option dead_list_options[] = {
    {"where", 0, "TERMS", WHERE_HELP, NULL},
    {"queue", 'q', "NAME", "Only of this queue.", NULL},
    {"handler", 0, "NAME", "Only of this handler.", NULL},
    {"limit", 'l', "N", "At most so many (100); 0: all.", NULL},
    {"after", 0, "ID", "Go on behind this dead letter.", NULL},
};

static const struct jqctl_option dead_options[] = {
    {"where", 0, "TERMS", WHERE_HELP, NULL},
    {"dry-run", 0, NULL, "With --where: only count them, and show the first ids.", NULL},
    {"all", 'a', NULL, "All of them.", NULL},
    {"queue", 'q', "NAME", "With --all: only of this queue.", NULL},
    {"handler", 0, "NAME", "With --all: only of this handler.", NULL},
    {"yes", 'y', NULL, "Do not ask.", NULL},
};

static const struct jqctl_option replay_options[] = {
    {"rate", 0, "RATE", "Let them run one by one, at most so many: 10/s, 100/h; the broker spreads them.", NULL},
    {"where", 0, "TERMS", WHERE_HELP, NULL},
    {"dry-run", 0, NULL, "With --where: only count them, and show the first ids.", NULL},
    {"all", 'a', NULL, "All of them.", NULL},
    {"queue", 'q', "NAME", "With --all: only of this queue.", NULL},
    {"handler", 0, "NAME", "With --all: only of this handler.", NULL},
    {"yes", 'y', NULL, "Do not ask.", NULL},
};

static const struct jqctl_option edit_options[] = {
    {"payload", 'p', "JSON|@FILE|-", "What the handler is given, as for task submit.", NULL},
    {"raw", 0, NULL, "Send the payload as it is, as bytes.", NULL},
    {"header", 'H', "NAME=VALUE", "Passed to the handler, instead of all that were; may be given again and again.",
     NULL},
    {"queue", 'q', "NAME", "The queue, in the same namespace.", NULL},
    {"handler", 0, "NAME", "The handler.", NULL},
    {"priority", 0, "LEVEL", "urgent, high, normal, low, background, or 0 to 9, 9 first.",
     "urgent high normal low background"},
    {"need", 'n', "NEED", "Which workers may run it.", NULL},
    {"want", 0, "WANT", "Which of them it would rather have.", NULL},
    {"retry", 0, "N", "Failed attempts after which it is dead again.", NULL},
    {"soft-limit", 0, "DURATION", "SIGTERM after it; 0: the handler's.", NULL},
    {"hard-limit", 0, "DURATION", "SIGKILL to the whole tree after it; 0: the handler's.", NULL},
    {"result-ttl", 0, "DURATION", "How long the result is kept.", NULL},
};

static const struct jqctl_option breaker_list_options[] = {
    {"not-closed", 0, NULL, "Only those that are open or half-open.", NULL},
};

static const struct jqctl_option trip_options[] = {
    {"for", 0, "DURATION", "Let probes through after so long (never: until it is reset).", NULL},
};

static const struct jqctl_option wait_options[] = {
    {"result", 'r', NULL, "Of one task: print its result alone, as `task submit --wait` does.", NULL},
};

#define SELECT_OPTIONS                                                                                                 \
    {"where", 0, "TERMS", WHERE_HELP, NULL},                                                                           \
        {"dry-run", 0, NULL, "With --where: only count them, and show the first ids.", NULL}, {                        \
        "yes", 'y', NULL, "With --where: do not ask.", NULL                                                            \
    }

static const struct jqctl_option select_options[] = {SELECT_OPTIONS};

static const struct jqctl_option move_options[] = {
    {"to", 0, "QUEUE", "The queue where they wait from now on.", NULL},
    SELECT_OPTIONS,
};

#define ARCHIVE_OPTION                                                                                                 \
    { "archive", 0, "FOLDER", "Begin with the segments that the broker has put there ([journal] archive).", NULL }

static const struct jqctl_option walk_options[] = {ARCHIVE_OPTION};

static const struct jqctl_option past_options[] = {
    {"where", 0, "TERMS", "Only those that this selects, such as 'event=task.ended state=dead queue=cad'.", NULL},
    {"since", 0, "TIME", "Only from this time on (RFC 3339), or of the last so long (1h).", NULL},
    {"limit", 'l', "N", "At most so many.", NULL},
    ARCHIVE_OPTION,
};

static const struct jqctl_option events_options[] = {
    {"where", 0, "TERMS", "Only those that this selects, such as 'event=task.ended state=dead queue=cad'.", NULL},
    {"after", 0, "SEQ", "Go on behind this event, as far back as the broker remembers (from now on).", NULL},
    {"limit", 'l', "N", "End after so many.", NULL},
};

static const struct jqctl_option logs_options[] = {
    {"follow", 'f', NULL, "Go on until the task has ended.", NULL},
};

static const struct jqctl_option purge_options[] = {
    {"dry-run", 0, NULL, "Only count them, and show the first ids.", NULL},
    {"yes", 'y', NULL, "Do not ask.", NULL},
};

static const struct jqctl_option cancel_options[] = {
    SELECT_OPTIONS,
    {"grace", 0, "DURATION", "Of running ones: between SIGTERM and SIGKILL.", NULL},
};

static const struct jqctl_option flow_cancel_options[] = {
    {"grace", 0, "DURATION", "Of running ones: between SIGTERM and SIGKILL.", NULL},
};

static const struct jqctl_option flow_submit_options[] = {
    {"wait", 'w', NULL, "Wait for its end; --timeout is then how long to wait. Fails unless it succeeded.", NULL},
};

static const struct jqctl_option flow_map_options[] = {
    {"queue", 'q', "NAME", "The queue (default).", NULL},
    {"name", 0, "NAME", "Of the flow.", NULL},
    {"then", 0, "HANDLER", "A task behind all of them, of at most 1000: it is told their ids and results.", NULL},
    {"on", 0, "HOW", "How they must have ended for it: succeeded, finished (in any way) or failed (succeeded).",
     "succeeded finished failed"},
    {"wait", 'w', NULL, "Wait for its end; --timeout is then how long to wait. Fails unless it succeeded.", NULL},
};

static const struct jqctl_option flow_list_options[] = {
    {"limit", 'l', "N", "At most so many (100); 0: all.", NULL},
};

static const struct jqctl_option limit_options[] = {
    {"concurrency", 0, "N", "At most so many run at a time.", NULL},
    {"rate", 'r', "N/TIME", "So many start in so long, evenly: 5/s, 100/m, 100/h, 3/d, 1/90s.", NULL},
    {"burst", 0, "N", "Starts at once that an unused rate saves up (1; at high rates those of 10 ms).", NULL},
};

static const struct jqctl_option drain_options[] = {
    {"undo", 0, NULL, "Give it tasks again.", NULL},
};

static const struct jqctl_option schedule_set_options[] = {
    {"zone", 'z', "NAME", "The time zone of the expression, such as Europe/Berlin (UTC).", NULL},
    {"catch-up", 0, "POLICY", "Of times that were missed: none, last or all (last).", "none last all"},
    {"overlap", 0, "POLICY", "skip: nothing while its last task has not ended (allow).", "allow skip"},
    {"jitter", 0, "DURATION", "Each task is ready up to so much later.", NULL},
    {"paused", 0, NULL, "Set it paused.", NULL},
    {"payload", 'p', "JSON|@FILE|-", "What the handler is given, as with `task submit`.", NULL},
    {"raw", 0, NULL, "Send the payload as it is, as bytes.", NULL},
    {"param", 0, "NAME=VALUE", "A member of the payload, instead of --payload: JSON, or else text; again and again.",
     NULL},
    {"input", 'i', "NAME=FILE", "A file for the handler, stored now, or sha256:HASH of a stored one; again and again.",
     NULL},
    {"output", 'o', "NAME", "A file that the handler makes, to be stored; again and again.", NULL},
    {"queue", 'q', "NAME", "The queue (default).", NULL},
    {"priority", 0, "LEVEL", "urgent, high, normal, low, background, or 0 to 9, 9 first (normal).",
     "urgent high normal low background"},
    {"need", 'n', "NEED", "Which workers may run it, such as 'cpu=2 mem=4G os==linux'.", NULL},
    {"want", 0, "WANT", "Which of them it would rather have, such as 'zone==lab1:50 gpu:-20'.", NULL},
    {"group", 'g', "TEXT", "Groups take turns inside a queue: a customer, a project.", NULL},
    {"delay", 0, "DURATION", "Not before so long after it is due.", NULL},
    {"retry", 0, "N", "Failed attempts after which it is dead (3).", NULL},
    {"soft-limit", 0, "DURATION", "SIGTERM after it.", NULL},
    {"hard-limit", 0, "DURATION", "SIGKILL to the whole tree after it.", NULL},
    {"result-ttl", 0, "DURATION", "How long the result is kept (1d).", NULL},
    {"no-cache", 0, NULL, "Run it, though its result may be cached (of handlers that are pure).", NULL},
    {"header", 'H', "NAME=VALUE", "Passed to the handler; may be given again and again.", NULL},
};

static const struct jqctl_option schedule_next_options[] = {
    {"zone", 'z', "NAME", "The time zone of the expression, such as Europe/Berlin (UTC).", NULL},
    {"count", 0, "N", "So many times (5).", NULL},
    {"from", 0, "TIME", "After this time (RFC 3339), or this span from now (30d), instead of now.", NULL},
};

static const struct jqctl_option pause_options[] = {
    {"until", 'u', "TIME", "Resume by itself at this time (RFC 3339), or after this span (30m).", NULL},
    {"new", 0, NULL, "Also a queue that nobody has used yet.", NULL},
};

static const struct jqctl_option queue_drain_options[] = {
    {"undo", 0, NULL, "Take tasks again.", NULL},
    {"new", 0, NULL, "Also a queue that nobody has used yet.", NULL},
};

static const struct jqctl_option queue_set_options[] = {
    {"weight", 0, "N", "Its share of the leases beside other queues, 1 to 1000; 0: as configured.", NULL},
    {"depth-max", 0, "N", "Tasks it takes before it is busy; 0: as configured.", NULL},
    {"bytes-max", 0, "SIZE", "Bytes of tasks it takes before it is busy, such as 512M; 0: as configured.", NULL},
    {"policy", 0, "POLICY", "When it is full: reject, shed_lowest or block; configured: as configured.",
     "reject shed_lowest block configured"},
};

static const struct jqctl_option dump_options[] = {
    {"from", 0, "LSN", "Only records from there on.", NULL},
    {"type", 0, "TYPE", "Only records of this type, such as task_ended.", NULL},
    {"task", 0, "ID", "Only records of this task.", NULL},
    {"limit", 'l', "N", "At most so many; 0: all.", NULL},
    ARCHIVE_OPTION,
};

static const struct jqctl_option export_options[] = {
    {"tasks", 0, NULL, "A line a task, as it stood at the end, instead of a line a record.", NULL},
    {"where", 0, "TERMS", WHERE_HELP " Of tasks.", NULL},
    {"from", 0, "LSN", "Only records from there on.", NULL},
    {"type", 0, "TYPE", "Only records of this type, such as task_ended.", NULL},
    {"task", 0, "ID", "Only records of this task.", NULL},
    {"limit", 'l', "N", "At most so many; 0: all.", NULL},
    ARCHIVE_OPTION,
};

static const struct jqctl_option journal_replay_options[] = {
    {"where", 0, "TERMS", WHERE_HELP, NULL},
    {"dry-run", 0, NULL, "Only say how many there are, and the first of them.", NULL},
    {"rate", 0, "RATE", "So many in so long, such as 10/s or 100/m (as fast as the broker takes them).", NULL},
    {"queue", 'q', "NAME", "Into this queue instead of their own.", NULL},
    {"again", 0, "TEXT", "Again what was replayed before without it, or with another text.", NULL},
    {"unfinished", 0, NULL, "Those too that had not ended when the journal did.", NULL},
    {"limit", 'l', "N", "At most so many; 0: all.", NULL},
    ARCHIVE_OPTION,
};

static const struct jqctl_option state_options[] = {
    {"at", 0, "TIME", "The moment (RFC 3339), or so long ago (2h); without it, the end of the log.", NULL},
    ARCHIVE_OPTION,
};

static const struct jqctl_option repair_options[] = {
    {"copy", 0, "FOLDER", "Where the copy goes; made anew (DIR.before-repair-SECONDS).", NULL},
    {"yes", 'y', NULL, "Do not ask.", NULL},
};

static const struct jqctl_option token_options[] = {
    {"name", 0, "NAME", "Who it is for: [a-z0-9_.-], unique in the file.", NULL},
    {"role", 0, "ROLE", "observer, client, worker or admin (client).", "observer client worker admin"},
    {"queues", 0, "GLOBS", "The queues it may touch, between commas (*).", NULL},
    {"handlers", 0, "GLOBS", "The handlers it may touch, between commas (*).", NULL},
};

const struct jqctl_noun jqctl_nouns[] = {
    {"task", "Tasks"},
    {"flow", "Flows: graphs of tasks, taken and cancelled as a whole"},
    {"queue", "Queues"},
    {"blob", "Blobs: files in the broker's store, named by their SHA-256"},
    {"cache", "Results of pure handlers, kept to answer the same task again"},
    {"limit", "Limits: so many at a time, so many in so long, for a queue, a handler or a group"},
    {"worker", "Workers"},
    {"dead", "Dead letters: tasks that failed for good"},
    {"breaker", "Circuit breakers of handlers, workers and services: handler:NAME, worker:NAME, service:NAME"},
    {"schedule", "Schedules: tasks that are submitted by the clock"},
    {"events", "Events: every change of state"},
    {"journal", "The journal on disk, read without a broker; DIR is its folder (/var/lib/jqmesh)"},
    {"server", "The broker"},
    {"token", "Access tokens"},
    {"completion", "Completion of these words in a shell"},
};
const size_t jqctl_nouns_count = sizeof(jqctl_nouns) / sizeof(jqctl_nouns[0]);

const struct jqctl_command jqctl_commands[] = {
    {"task", "submit", "[HANDLER]", 0, 1, "Submit a task, or many from a file; prints their ids.",
     OPTIONS(submit_options), jqctl_task_submit},
    {"task", "ls", "", 0, 0, "List tasks by ascending id.", OPTIONS(list_options), jqctl_task_ls},
    {"task", "show", "ID", 1, 1, "Show all of one task.", NO_OPTIONS, jqctl_task_show},
    {"task", "logs", "ID", 1, 1, "Print what a task writes, or wrote, to stdout and stderr: the last 64 KiB of each.",
     OPTIONS(logs_options), jqctl_task_logs},
    {"task", "explain", "ID", 1, 1, "Say why a task is not running.", NO_OPTIONS, jqctl_task_explain},
    {"task", "wait", "ID..", 1, ANY, "Wait until tasks have ended; fails unless all succeeded.", OPTIONS(wait_options),
     jqctl_task_wait},
    {"task", "cancel", "[ID..]", 0, ANY, "Cancel tasks, running ones too.", OPTIONS(cancel_options), jqctl_task_cancel},
    {"task", "retry", "[ID..]", 0, ANY, "Put dead tasks back into their queues.", OPTIONS(select_options),
     jqctl_task_retry},
    {"task", "hold", "[ID..]", 0, ANY, "Keep tasks that wait from being handed out.", OPTIONS(select_options),
     jqctl_task_hold},
    {"task", "release", "[ID..]", 0, ANY, "Let held tasks go.", OPTIONS(select_options), jqctl_task_release},
    {"task", "move", "[ID..]", 0, ANY, "Move tasks that wait into another queue.", OPTIONS(move_options),
     jqctl_task_move},
    {"task", "rm", "[ID..]", 0, ANY, "Forget tasks that have ended.", OPTIONS(select_options), jqctl_task_rm},
    {"flow", "submit", "FILE|-", 1, 1, "Submit a flow, a document of JSON or msgpack; prints its id.",
     OPTIONS(flow_submit_options), jqctl_flow_submit},
    {"flow", "map", "HANDLER FILE", 2, 2,
     "Submit a task for each line of a file, as one flow; the line is its payload.", OPTIONS(flow_map_options),
     jqctl_flow_map},
    {"flow", "ls", "", 0, 0, "List flows.", OPTIONS(flow_list_options), jqctl_flow_ls},
    {"flow", "show", "ID", 1, 1, "Draw a flow with the states of its tasks.", NO_OPTIONS, jqctl_flow_show},
    {"flow", "wait", "ID", 1, 1, "Wait until a flow has ended, or is blocked; fails unless it succeeded.", NO_OPTIONS,
     jqctl_flow_wait},
    {"flow", "cancel", "ID", 1, 1, "Cancel all of a flow, running tasks too.", OPTIONS(flow_cancel_options),
     jqctl_flow_cancel},
    {"queue", "ls", "", 0, 0, "List queues.", NO_OPTIONS, jqctl_queue_ls},
    {"queue", "show", "NAME", 1, 1, "Show one queue.", NO_OPTIONS, jqctl_queue_show},
    {"queue", "pause", "NAME..", 1, ANY, "Hand nothing of a queue out.", OPTIONS(pause_options), jqctl_queue_pause},
    {"queue", "resume", "NAME..", 1, ANY, "Hand it out again.", NO_OPTIONS, jqctl_queue_resume},
    {"queue", "drain", "NAME..", 1, ANY, "Take no new tasks; what is there is worked off.",
     OPTIONS(queue_drain_options), jqctl_queue_drain},
    {"queue", "purge", "NAME", 1, 1, "Cancel all that waits in a queue.", OPTIONS(purge_options), jqctl_queue_purge},
    {"queue", "set", "NAME..", 1, ANY, "Change what a queue is given; it stays over restarts.",
     OPTIONS(queue_set_options), jqctl_queue_set},
    {"blob", "ls", "", 0, 0, "List blobs, and how many files of tasks they are.", NO_OPTIONS, jqctl_blob_ls},
    {"blob", "put", "FILE..", 1, ANY, "Store files; prints their SHA-256.", NO_OPTIONS, jqctl_blob_put},
    {"blob", "get", "SHA256 FILE", 2, 2, "Fetch one into a file; - is stdout.", NO_OPTIONS, jqctl_blob_get},
    {"blob", "gc", "", 0, 0, "Drop blobs that no task refers to, without waiting for their time.", NO_OPTIONS,
     jqctl_blob_gc},
    {"cache", "stat", "", 0, 0, "Show what is kept of results of pure handlers, and how often it served.", NO_OPTIONS,
     jqctl_cache_stat},
    {"cache", "purge", "", 0, 0, "Forget all of these results.", NO_OPTIONS, jqctl_cache_purge},
    {"limit", "ls", "", 0, 0, "List limits, and what they hold back.", NO_OPTIONS, jqctl_limit_ls},
    {"limit", "set", "SCOPE", 1, 1,
     "Limit queue:NAME, handler:NAME, group:QUEUE/NAME, or each group by 'group:QUEUE/*'.", OPTIONS(limit_options),
     jqctl_limit_set},
    {"limit", "rm", "SCOPE..", 1, ANY, "Limit it no more.", NO_OPTIONS, jqctl_limit_rm},
    {"worker", "ls", "", 0, 0, "List workers.", NO_OPTIONS, jqctl_worker_ls},
    {"worker", "show", "NAME", 1, 1, "Show one worker, with its facts and handlers.", NO_OPTIONS, jqctl_worker_show},
    {"worker", "drain", "NAME..", 1, ANY, "Give a worker nothing more.", OPTIONS(drain_options), jqctl_worker_drain},
    {"dead", "ls", "", 0, 0, "List dead letters.", OPTIONS(dead_list_options), jqctl_dead_ls},
    {"dead", "show", "ID", 1, 1, "Show one: cause, message, its last output.", NO_OPTIONS, jqctl_dead_show},
    {"dead", "edit", "ID", 1, 1, "Change a dead letter before it is replayed.", OPTIONS(edit_options), jqctl_dead_edit},
    {"dead", "replay", "[ID..]", 0, ANY, "Put dead letters back into their queues.", OPTIONS(replay_options),
     jqctl_dead_replay},
    {"dead", "rm", "[ID..]", 0, ANY, "Forget dead letters.", OPTIONS(dead_options), jqctl_dead_rm},
    {"breaker", "ls", "", 0, 0, "List circuit breakers, those that are not closed first.",
     OPTIONS(breaker_list_options), jqctl_breaker_ls},
    {"breaker", "show", "NAME", 1, 1, "Show one.", NO_OPTIONS, jqctl_breaker_show},
    {"breaker", "trip", "NAME..", 1, ANY, "Open one: what depends on it waits in the queue.", OPTIONS(trip_options),
     jqctl_breaker_trip},
    {"breaker", "reset", "NAME..", 1, ANY, "Close one.", NO_OPTIONS, jqctl_breaker_reset},
    {"schedule", "ls", "", 0, 0, "List schedules.", NO_OPTIONS, jqctl_schedule_ls},
    {"schedule", "show", "NAME", 1, 1, "Show one, its task, and when it is due next.", NO_OPTIONS, jqctl_schedule_show},
    {"schedule", "set", "NAME WHEN HANDLER", 3, 3,
     "Submit a task by the clock: WHEN is '30 2 * * mon-fri', @daily, '@every 90s'; replaces one of that name.",
     OPTIONS(schedule_set_options), jqctl_schedule_set},
    {"schedule", "rm", "NAME..", 1, ANY, "Forget schedules; their tasks stay.", NO_OPTIONS, jqctl_schedule_rm},
    {"schedule", "pause", "NAME..", 1, ANY, "Submit nothing for a schedule, and make up for nothing.", NO_OPTIONS,
     jqctl_schedule_pause},
    {"schedule", "resume", "NAME..", 1, ANY, "Go on with what comes due from now on.", NO_OPTIONS,
     jqctl_schedule_resume},
    {"schedule", "run", "NAME", 1, 1, "Submit its task now, besides; prints its id.", NO_OPTIONS, jqctl_schedule_run},
    {"schedule", "next", "WHEN", 1, 1, "Print when an expression is due, without a broker.",
     OPTIONS(schedule_next_options), jqctl_schedule_next},
    {"events", "follow", "", 0, 0, "Print what happens, as it happens; with --json a JSON object a line.",
     OPTIONS(events_options), jqctl_events_follow},
    {"events", "past", "[DIR]", 0, 1, "Print what happened, out of the journal; DIR is its folder.",
     OPTIONS(past_options), jqctl_events_past},
    {"journal", "verify", "[DIR]", 0, 1, "Check every block and record; fails if one is damaged.",
     OPTIONS(walk_options), jqctl_journal_verify},
    {"journal", "dump", "[DIR]", 0, 1, "Print every record; with --json a JSON object a line.", OPTIONS(dump_options),
     jqctl_journal_dump},
    {"journal", "stat", "[DIR]", 0, 1, "Count what is in it.", OPTIONS(walk_options), jqctl_journal_stat},
    {"journal", "state", "[DIR]", 0, 1, "What the broker knew at a moment: how many tasks, in which queues and states.",
     OPTIONS(state_options), jqctl_journal_state},
    {"journal", "export", "[DIR]", 0, 1, "Print every record, or every task, as a JSON object a line.",
     OPTIONS(export_options), jqctl_journal_export},
    {"journal", "replay", "[DIR]", 0, 1, "Submit tasks that a journal tells of to a broker, as new ones.",
     OPTIONS(journal_replay_options), jqctl_journal_replay},
    {"journal", "repair", "[DIR]", 0, 1, "End a damaged log before its damage; a copy of it is kept.",
     OPTIONS(repair_options), jqctl_journal_repair},
    {"server", "status", "", 0, 0, "Show the broker's numbers; those from submitted to held back count from its start.",
     NO_OPTIONS, jqctl_server_status},
    {"server", "backup", "DIR", 1, 1,
     "Copy the running broker's journal and blobs into a new folder, as they are at one moment.", NO_OPTIONS,
     jqctl_server_backup},
    {"server", "wait", "", 0, 0, "Wait until the broker answers (30s).", NO_OPTIONS, jqctl_server_wait},
    {"token", "new", "", 0, 0, "Make a token; prints it, once, and its line for the broker's tokens file.",
     OPTIONS(token_options), jqctl_token_new},
    {"completion", "bash", "", 0, 0, "Print the script for bash.", NO_OPTIONS, jqctl_completion_print},
    {"completion", "zsh", "", 0, 0, "Print the script for zsh.", NO_OPTIONS, jqctl_completion_print},
    {"completion", "fish", "", 0, 0, "Print the script for fish.", NO_OPTIONS, jqctl_completion_print},
};
const size_t jqctl_commands_count = sizeof(jqctl_commands) / sizeof(jqctl_commands[0]);
