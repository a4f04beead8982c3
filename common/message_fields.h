/* message_fields.h - the fields of every message, as X-macros: what message.c turns into tables, and the places of the
 * fields.
 *
 * A row: place, name on the wire, type, flags, least, most, message of the elements, help. What least and most bound
 * depends on the type (message.h). The order of rows is the order of a tuple's elements, so tuples may only grow at
 * their end; for maps it is the order in which we write keys. The rows are the protocol: a row changed is a new version
 * of the protocol.
 */
#ifndef JQ_COMMON_MESSAGE_FIELDS_H
#define JQ_COMMON_MESSAGE_FIELDS_H

#include "common/limit.h"

/* ---- the envelope ------------------------------------------------------------------------------------------------ */

#define JQ_FIELDS_REQUEST(X)                                                                                           \
    X(JQ_AT_REQUEST_VERSION, "version", UINT, REQUIRED, 0, ANY, NULL, "1")                                             \
    X(JQ_AT_REQUEST_OP, "op", TEXT, REQUIRED, 1, 32, NULL, "what is asked, below")                                     \
    X(JQ_AT_REQUEST_SENDER, "sender", UUID, REQUIRED, 0, 0, NULL,                                                      \
      "who asks: drawn at random once per client process, or kept for longer")                                         \
    X(JQ_AT_REQUEST_ID, "id", UINT, REQUIRED, 1, ANY, NULL,                                                            \
      "request id: ascending per sender, never reused for another request")                                            \
    X(JQ_AT_REQUEST_DONE, "done", UINT, REQUIRED, 0, ANY, NULL,                                                        \
      "every id of this sender below it has been answered; at most `id`")                                              \
    X(JQ_AT_REQUEST_TOKEN, "token", TEXT, 0, 0, 128, NULL, "the secret of the principal; nil without")                 \
    X(JQ_AT_REQUEST_BODY, "body", MAP, REQUIRED, 0, 0, NULL, "the fields of the op")

#define JQ_FIELDS_REPLY(X)                                                                                             \
    X(JQ_AT_REPLY_VERSION, "version", UINT, REQUIRED, 1, 1, NULL, "1")                                                 \
    X(JQ_AT_REPLY_STATUS, "status", UINT, REQUIRED, 0, 255, NULL, "0 is ok; every other is a refusal, below")          \
    X(JQ_AT_REPLY_ID, "id", UINT, REQUIRED, 0, ANY, NULL, "of the request; 0 where the frame was too broken to tell")  \
    X(JQ_AT_REPLY_BODY, "body", MAP, REQUIRED, 0, 0, NULL, "the answer's fields, or those of a refusal")

#define JQ_FIELDS_REFUSAL(X)                                                                                           \
    X(JQ_AT_REFUSAL_FIELD, "field", TEXT, 0, 0, ANY, NULL, "the field that was refused, as a path: `tasks[3].need`")   \
    X(JQ_AT_REFUSAL_REASON, "reason", TEXT, 0, 0, ANY, NULL, "one line for people")                                    \
    X(JQ_AT_REFUSAL_RETRY_AFTER, "retry_after_ms", UINT, 0, 0, ANY, NULL, "with busy: when to try again")

/* ---- hello ------------------------------------------------------------------------------------------------------- */

#define JQ_FIELDS_HELLO(X)                                                                                             \
    X(JQ_AT_HELLO_NAME, "name", TEXT, REQUIRED, 1, 64, NULL, "of the program, for people")                             \
    X(JQ_AT_HELLO_VERSION, "version", TEXT, REQUIRED, 0, 64, NULL, "of the program, for people")                       \
    X(JQ_AT_HELLO_CAPABILITIES, "capabilities", WORDS, 0, 0, 32, NULL, "reserved")

#define JQ_FIELDS_HELLO_REPLY(X)                                                                                       \
    X(JQ_AT_HELLO_REPLY_BROKER, "broker", UUID, REQUIRED, 0, 0, NULL, "the id of the broker's journal")                \
    X(JQ_AT_HELLO_REPLY_VERSION, "version", TEXT, REQUIRED, 0, 64, NULL, "of the broker")                              \
    X(JQ_AT_HELLO_REPLY_EPOCH, "epoch", UINT, REQUIRED, 0, ANY, NULL, "counts the broker's starts")                    \
    X(JQ_AT_HELLO_REPLY_FRAME_MAX, "frame_max", UINT, REQUIRED, 0, ANY, NULL, "bytes of a frame, in both directions")  \
    X(JQ_AT_HELLO_REPLY_PAYLOAD_MAX, "payload_max", UINT, REQUIRED, 0, ANY, NULL, "bytes of a payload or a result")    \
    X(JQ_AT_HELLO_REPLY_WAIT_MAX, "wait_max_ms", UINT, REQUIRED, 0, ANY, NULL, "a longer wait is cut to this")         \
    X(JQ_AT_HELLO_REPLY_DURABILITY, "durability", TEXT, REQUIRED, 1, 16, NULL,                                         \
      "fsync, write or memory: what an answered submit survives")                                                      \
    X(JQ_AT_HELLO_REPLY_TIME, "time_ms", UINT, REQUIRED, 0, ANY, NULL, "the broker's clock, UTC")

/* ---- register ---------------------------------------------------------------------------------------------------- */

#define JQ_FIELDS_REGISTER(X)                                                                                          \
    X(JQ_AT_REGISTER_ID, "id", UUID, REQUIRED, 0, 0, NULL, "of the worker: stays over its restarts")                   \
    X(JQ_AT_REGISTER_NAME, "name", NAME, REQUIRED, 0, 0, NULL, "for people, and the topic of its notices")             \
    X(JQ_AT_REGISTER_INCARNATION, "incarnation", UINT, REQUIRED, 0, ANY, NULL,                                         \
      "random at the worker's start; a new one ends the old one's leases")                                             \
    X(JQ_AT_REGISTER_OFFERS, "offers", AMOUNTS, 0, 0, 64, NULL, "totals of its consumables, in thousandths")           \
    X(JQ_AT_REGISTER_FACTS, "facts", TEXTS, 0, 0, 64, NULL,                                                            \
      "what needs may test: printable ASCII, 1 to 255 bytes each")                                                     \
    X(JQ_AT_REGISTER_HANDLERS, "handlers", LIST, REQUIRED, 0, 256, &jq_message_handler, "what it can run")             \
    X(JQ_AT_REGISTER_UNITS, "units", UNITS, 0, 0, 64, NULL,                                                            \
      "of offers whose units are told apart, as gpu=[0,1]: their numbers; as many as are offered")                     \
    X(JQ_AT_REGISTER_ACCEPT, "accept", WORDS, 0, 0, 16, NULL,                                                          \
      "names of its offers: it takes only tasks that reserve one of these; default: all tasks")                        \
    X(JQ_AT_REGISTER_DOORBELL, "doorbell", TEXT, 0, 1, JQ_DOORBELL_SIZE_MAX, NULL,                                     \
      "where it is woken when it sleeps: tcp://HOST:PORT or ipc:///PATH, to which the broker connects and closes")

#define JQ_FIELDS_HANDLER(X)                                                                                           \
    X(JQ_AT_HANDLER_NAME, "name", NAME, REQUIRED, 0, 0, NULL, "")                                                      \
    X(JQ_AT_HANDLER_VERSION, "version", TEXT, 0, 0, 64, NULL, "of the handler's code")                                 \
    X(JQ_AT_HANDLER_NEED, "need", NEED, 0, 0, 1024, NULL,                                                              \
      "added to a task's need for names that the task does not mention; at most 2 alternatives")                       \
    X(JQ_AT_HANDLER_SOFT_LIMIT, "soft_limit_ms", UINT, 0, 0, JQ_SPAN_MS_MAX, NULL, "0: none")                          \
    X(JQ_AT_HANDLER_HARD_LIMIT, "hard_limit_ms", UINT, 0, 0, JQ_SPAN_MS_MAX, NULL, "0: none; no task goes above it")   \
    X(JQ_AT_HANDLER_PURE, "pure", BOOL, 0, 0, 0, NULL, "the same input gives the same result")

#define JQ_FIELDS_REGISTER_REPLY(X)                                                                                    \
    X(JQ_AT_REGISTER_REPLY_SESSION, "session", UUID, REQUIRED, 0, 0, NULL,                                             \
      "named in every lease, report and survey response")

/* ---- submit ------------------------------------------------------------------------------------------------------ */

#define JQ_FIELDS_SUBMIT(X)                                                                                            \
    X(JQ_AT_SUBMIT_TASKS, "tasks", LIST, REQUIRED, 1, JQ_SUBMIT_COUNT_MAX, &jq_message_task, "")                       \
    X(JQ_AT_SUBMIT_WAIT, "wait_ms", UINT, 0, 0, ANY, NULL,                                                             \
      "how long the answer may be held back where all tasks meet full queues whose policy is block; default 0; cut "   \
      "to "                                                                                                            \
      "wait_max_ms")

#define JQ_FIELDS_TASK(X)                                                                                              \
    X(JQ_AT_TASK_HANDLER, "handler", NAME, REQUIRED, 0, 0, NULL, "what the worker runs")                               \
    X(JQ_AT_TASK_QUEUE, "queue", NAME, 0, 0, 0, NULL, "where it waits; default `default`")                             \
    X(JQ_AT_TASK_PAYLOAD, "payload", BIN, 0, 0, JQ_PAYLOAD_SIZE_MAX, NULL, "opaque to the broker")                     \
    X(JQ_AT_TASK_PRIORITY, "priority", UINT, 0, 0, 9, NULL, "9 first; default 5")                                      \
    X(JQ_AT_TASK_DELAY, "delay_ms", UINT, 0, 0, JQ_SPAN_MS_MAX, NULL, "not before so long from now")                   \
    X(JQ_AT_TASK_ETA, "eta_ms", UINT, 0, 0, JQ_WALL_MS_MAX, NULL, "not before this time, UTC; instead of delay_ms")    \
    X(JQ_AT_TASK_EXPIRES, "expires_ms", UINT, 0, 0, JQ_WALL_MS_MAX, NULL, "not after this time, UTC; 0: never")        \
    X(JQ_AT_TASK_NEED, "need", NEED, 0, 0, JQ_NEED_SIZE_MAX, NULL, "which workers may run it, below")                  \
    X(JQ_AT_TASK_KEY, "key", TEXT, 0, 1, JQ_KEY_SIZE_MAX, NULL,                                                        \
      "idempotency: a second submit with it, in the same namespace (first part of the queue's name), gives the first " \
      "task's id")                                                                                                     \
    X(JQ_AT_TASK_RETRY, "retry", MAP, 0, 0, 0, &jq_message_retry, "")                                                  \
    X(JQ_AT_TASK_SOFT_LIMIT, "soft_limit_ms", UINT, 0, 0, JQ_SPAN_MS_MAX, NULL, "SIGTERM after it; 0: the handler's")  \
    X(JQ_AT_TASK_HARD_LIMIT, "hard_limit_ms", UINT, 0, 0, JQ_SPAN_MS_MAX, NULL, "SIGKILL after it; 0: the handler's")  \
    X(JQ_AT_TASK_RESULT_TTL, "result_ttl_ms", UINT, 0, 0, JQ_SPAN_MS_MAX, NULL,                                        \
      "how long the result is kept; default: the broker's, 86400000 as shipped")                                       \
    X(JQ_AT_TASK_HEADERS, "headers", TEXTS, 0, 0, JQ_HEADERS_COUNT_MAX, NULL,                                          \
      "passed to the handler untouched; at most 8192 bytes encoded")                                                   \
    X(JQ_AT_TASK_WANT, "want", TEXT, 0, 0, JQ_NEED_SIZE_MAX, NULL, "which of them it would rather have, below")        \
    X(JQ_AT_TASK_UNIQUE, "unique", TEXT, 0, 0, 32, NULL,                                                               \
      "how long the key stands for this task: `none` (a day, as shipped), `while_queued`, `until_done`, `throttle`, "  \
      "`debounce`; below")                                                                                             \
    X(JQ_AT_TASK_UNIQUE_MS, "unique_ms", UINT, 0, 1, JQ_SPAN_MS_MAX, NULL,                                             \
      "of throttle: the window; of debounce: how long nothing more must come")                                         \
    X(JQ_AT_TASK_GROUP, "group", TEXT, 0, 1, JQ_KEY_SIZE_MAX, NULL,                                                    \
      "a customer, a project: groups take turns inside a queue and priority, and may have limits of their own")        \
    X(JQ_AT_TASK_AFTER, "after", TASKS, 0, 0, JQ_AFTER_COUNT_MAX, NULL,                                                \
      "tasks that must end before it may run, of its own namespace; in flow.add: earlier ones of the flow")            \
    X(JQ_AT_TASK_ON, "on", TEXT, 0, 0, 16, NULL,                                                                       \
      "how they must end: `succeeded` (default), `finished` (in any way), `failed` (dead, cancelled or expired)")      \
    X(JQ_AT_TASK_INPUTS, "inputs", TEXTS, 0, 0, JQ_FILES_COUNT_MAX, NULL,                                              \
      "files that its handler reads: a name each, and the SHA-256 of a stored blob in hex; below")                     \
    X(JQ_AT_TASK_OUTPUTS, "outputs", WORDS, 0, 0, JQ_FILES_COUNT_MAX, NULL,                                            \
      "names of files that its handler makes, to be stored as blobs when it has succeeded")                            \
    X(JQ_AT_TASK_NO_CACHE, "no_cache", BOOL, 0, 0, 0, NULL,                                                            \
      "true: it runs, though the result of a pure handler is cached; its result takes that one's place")

#define JQ_FIELDS_RETRY(X)                                                                                             \
    X(JQ_AT_RETRY_MAX, "max", UINT, 0, 0, JQ_RETRY_COUNT_MAX, NULL,                                                    \
      "failed attempts after which it is dead; default: the broker's, 3 as shipped")                                   \
    X(JQ_AT_RETRY_BASE, "base_ms", UINT, 0, 0, JQ_BACKOFF_MS_MAX, NULL,                                                \
      "backoff after the first, then doubling; default: the broker's, 1000 as shipped")                                \
    X(JQ_AT_RETRY_CAP, "cap_ms", UINT, 0, 0, JQ_BACKOFF_MS_MAX, NULL,                                                  \
      "longest backoff; default: the broker's, 600000 as shipped")

#define JQ_FIELDS_SUBMIT_REPLY(X)                                                                                      \
    X(JQ_AT_SUBMIT_REPLY_FIRST, "first", UINT, REQUIRED, 0, ANY, NULL,                                                 \
      "id of the first accepted task; the others count up in order, exceptions left out")                              \
    X(JQ_AT_SUBMIT_REPLY_COUNT, "count", UINT, REQUIRED, 0, ANY, NULL, "tasks in the request")                         \
    X(JQ_AT_SUBMIT_REPLY_DEPTH, "depth", UINT, REQUIRED, 0, ANY, NULL, "tasks in the last task's queue now")           \
    X(JQ_AT_SUBMIT_REPLY_DURABILITY, "durability", TEXT, REQUIRED, 0, 16, NULL,                                        \
      "fsync, write or memory: what the tasks survive")                                                                \
    X(JQ_AT_SUBMIT_REPLY_EXCEPTIONS, "exceptions", LIST, 0, 0, ANY, &jq_message_exception,                             \
      "the tasks that were not simply accepted")                                                                       \
    X(JQ_AT_SUBMIT_REPLY_UNMATCHED, "unmatched", BOOL, 0, 0, 0, NULL,                                                  \
      "true: no known worker could ever run one of them; accepted all the same")

#define JQ_FIELDS_EXCEPTION(X)                                                                                         \
    X(JQ_AT_EXCEPTION_INDEX, "index", UINT, REQUIRED, 0, ANY, NULL, "in the request's list, from 0")                   \
    X(JQ_AT_EXCEPTION_STATUS, "status", UINT, REQUIRED, 0, 255, NULL,                                                  \
      "why; ok: the key was known, `task` is the first submit's")                                                      \
    X(JQ_AT_EXCEPTION_TASK, "task", UINT, REQUIRED, 0, ANY, NULL, "0: none")                                           \
    X(JQ_AT_EXCEPTION_RETRY_AFTER, "retry_after_ms", UINT, REQUIRED, 0, ANY, NULL, "with busy")                        \
    X(JQ_AT_EXCEPTION_FIELD, "field", TEXT, 0, 0, ANY, NULL, "the field that was refused; nil: none")                  \
    X(JQ_AT_EXCEPTION_REASON, "reason", TEXT, 0, 0, ANY, NULL,                                                         \
      "one line for people, shortened where many share a frame; nil: the status says all")

/* ---- lease and report -------------------------------------------------------------------------------------------- */

#define JQ_FIELDS_LEASE(X)                                                                                             \
    X(JQ_AT_LEASE_SESSION, "session", UUID, REQUIRED, 0, 0, NULL, "from register")                                     \
    X(JQ_AT_LEASE_WANT, "want", UINT, REQUIRED, 0, ANY, NULL,                                                          \
      "tasks it would take now, 256 at most are given; 0: only commands")                                              \
    X(JQ_AT_LEASE_BYTES_MAX, "bytes_max", UINT, 0, 0, ANY, NULL, "of tasks in the answer; default what a frame holds") \
    X(JQ_AT_LEASE_WAIT, "wait_ms", UINT, 0, 0, ANY, NULL,                                                              \
      "how long the broker may hold the answer back; default 0; cut to wait_max_ms")                                   \
    X(JQ_AT_LEASE_FREE, "free", AMOUNTS, 0, 0, 64, NULL,                                                               \
      "what is left by the worker's own account: can only lower the broker's")                                         \
    X(JQ_AT_LEASE_REPORTS, "reports", LIST, 0, 0, JQ_REPORT_COUNT_MAX, &jq_message_report_item, "ends of attempts")    \
    X(JQ_AT_LEASE_HELD, "held", LIST, 0, 0, JQ_HELD_COUNT_MAX, &jq_message_held,                                       \
      "all leases it holds, when the broker sent `send_held`")                                                         \
    X(JQ_AT_LEASE_SLEEP, "sleep", BOOL, 0, 0, 0, NULL,                                                                 \
      "I hold nothing and go: answered at once, the session ends; what has a doorbell may be rung")

#define JQ_FIELDS_REPORT_ITEM(X)                                                                                       \
    X(JQ_AT_REPORT_ITEM_TASK, "task", UINT, REQUIRED, 1, ANY, NULL, "")                                                \
    X(JQ_AT_REPORT_ITEM_TOKEN, "token", UINT, REQUIRED, 1, ANY, NULL, "of the lease")                                  \
    X(JQ_AT_REPORT_ITEM_OUTCOME, "outcome", UINT, REQUIRED, 1, 9, NULL, "a number of the outcomes, below; not `lost`") \
    X(JQ_AT_REPORT_ITEM_CRASHED, "crashed", BOOL, REQUIRED, 0, 0, NULL,                                                \
      "a signal, out of memory, or the soft limit ignored")                                                            \
    X(JQ_AT_REPORT_ITEM_DETAIL, "detail", MAP, 0, 0, 0, &jq_message_detail, "nil: nothing to add")

#define JQ_FIELDS_DETAIL(X)                                                                                            \
    X(JQ_AT_DETAIL_RESULT, "result", BIN, 0, 0, JQ_PAYLOAD_SIZE_MAX, NULL, "opaque to the broker")                     \
    X(JQ_AT_DETAIL_EXIT, "exit", UINT, 0, 0, 255, NULL, "exit code")                                                   \
    X(JQ_AT_DETAIL_SIGNAL, "signal", UINT, 0, 0, 255, NULL, "the signal that ended it")                                \
    X(JQ_AT_DETAIL_MESSAGE, "message", TEXT, 0, 0, JQ_MESSAGE_TEXT_SIZE_MAX, NULL, "what went wrong, for people")      \
    X(JQ_AT_DETAIL_SERVICE, "service", TEXT, 0, 0, 64, NULL, "with network: the service that failed")                  \
    X(JQ_AT_DETAIL_STDOUT, "stdout", BIN, 0, 0, JQ_TAIL_SIZE_MAX, NULL, "its last bytes")                              \
    X(JQ_AT_DETAIL_STDERR, "stderr", BIN, 0, 0, JQ_TAIL_SIZE_MAX, NULL, "its last bytes")                              \
    X(JQ_AT_DETAIL_DURATION, "duration_ms", UINT, 0, 0, ANY, NULL, "from start to end")                                \
    X(JQ_AT_DETAIL_CPU, "cpu_ms", UINT, 0, 0, ANY, NULL, "user and system time of the whole tree")                     \
    X(JQ_AT_DETAIL_RSS, "rss_bytes", UINT, 0, 0, ANY, NULL, "the most memory that the tree held")                      \
    X(JQ_AT_DETAIL_OUTPUTS, "outputs", TEXTS, 0, 0, JQ_FILES_COUNT_MAX, NULL,                                          \
      "with success: the files it made, a name each, and the SHA-256 of their blob in hex")                            \
    X(JQ_AT_DETAIL_VERSION, "version", TEXT, 0, 1, 64, NULL,                                                           \
      "of a pure handler: the one that ran; without it the result is not cached")                                      \
    X(JQ_AT_DETAIL_WORKER, "worker", TEXT, 0, 1, JQ_NAME_SIZE_MAX, NULL, "the worker, by its name")

#define JQ_FIELDS_HELD(X)                                                                                              \
    X(JQ_AT_HELD_TASK, "task", UINT, REQUIRED, 1, ANY, NULL, "")                                                       \
    X(JQ_AT_HELD_TOKEN, "token", UINT, REQUIRED, 1, ANY, NULL, "")

#define JQ_FIELDS_LEASE_REPLY(X)                                                                                       \
    X(JQ_AT_LEASE_REPLY_TASKS, "tasks", LIST, 0, 0, ANY, &jq_message_leased, "leased from now on")                     \
    X(JQ_AT_LEASE_REPLY_VERDICTS, "verdicts", LIST, 0, 0, ANY, &jq_message_exception,                                  \
      "reports that were not accepted; all others were")                                                               \
    X(JQ_AT_LEASE_REPLY_COMMANDS, "commands", LIST, 0, 0, ANY, &jq_message_command, "to be obeyed at once")

#define JQ_FIELDS_LEASED(X)                                                                                            \
    X(JQ_AT_LEASED_TASK, "task", UINT, REQUIRED, 1, ANY, NULL, "id")                                                   \
    X(JQ_AT_LEASED_TOKEN, "token", UINT, REQUIRED, 1, ANY, NULL, "fences the lease: named in its report")              \
    X(JQ_AT_LEASED_ATTEMPT, "attempt", UINT, REQUIRED, 1, ANY, NULL, "1 for the first")                                \
    X(JQ_AT_LEASED_QUEUE, "queue", NAME, REQUIRED, 0, 0, NULL, "")                                                     \
    X(JQ_AT_LEASED_HANDLER, "handler", NAME, REQUIRED, 0, 0, NULL, "")                                                 \
    X(JQ_AT_LEASED_SOFT_LIMIT, "soft_limit_ms", UINT, REQUIRED, 0, ANY, NULL, "0: none")                               \
    X(JQ_AT_LEASED_HARD_LIMIT, "hard_limit_ms", UINT, REQUIRED, 0, ANY, NULL, "0: none")                               \
    X(JQ_AT_LEASED_RESERVED, "reserved", AMOUNTS, 0, 0, ANY, NULL,                                                     \
      "what its offers are charged, in thousandths; nil: nothing")                                                     \
    X(JQ_AT_LEASED_PAYLOAD, "payload", BIN, 0, 0, JQ_PAYLOAD_SIZE_MAX, NULL, "nil: none")                              \
    X(JQ_AT_LEASED_HEADERS, "headers", TEXTS, 0, 0, ANY, NULL, "nil: none")                                            \
    X(JQ_AT_LEASED_UNITS, "units", UNITS, 0, 0, ANY, NULL,                                                             \
      "which units of these offers are its own until it ends; nil: none")                                              \
    X(JQ_AT_LEASED_AFTER, "after", TASKS, 0, 0, JQ_AFTER_COUNT_MAX, NULL, "the tasks that it waited for; nil: none")   \
    X(JQ_AT_LEASED_INPUTS, "inputs", TEXTS, 0, 0, ANY, NULL, "as submitted; nil or absent: none")                      \
    X(JQ_AT_LEASED_OUTPUTS, "outputs", WORDS, 0, 0, ANY, NULL, "as submitted; nil or absent: none")

#define JQ_FIELDS_COMMAND(X)                                                                                           \
    X(JQ_AT_COMMAND_TYPE, "type", UINT, REQUIRED, 1, 255, NULL,                                                        \
      "1 cancel, 2 kill, 3 drain, 4 send_held; ignore others")                                                         \
    X(JQ_AT_COMMAND_TASK, "task", UINT, REQUIRED, 0, ANY, NULL, "0 for drain and send_held")                           \
    X(JQ_AT_COMMAND_TOKEN, "token", UINT, REQUIRED, 0, ANY, NULL, "the lease that is meant")                           \
    X(JQ_AT_COMMAND_GRACE, "grace_ms", UINT, REQUIRED, 0, ANY, NULL, "cancel: between SIGTERM and SIGKILL")

#define JQ_FIELDS_REPORT(X)                                                                                            \
    X(JQ_AT_REPORT_SESSION, "session", UUID, REQUIRED, 0, 0, NULL, "from register")                                    \
    X(JQ_AT_REPORT_REPORTS, "reports", LIST, REQUIRED, 1, JQ_REPORT_COUNT_MAX, &jq_message_report_item,                \
      "ends of attempts")

#define JQ_FIELDS_REPORT_REPLY(X)                                                                                      \
    X(JQ_AT_REPORT_REPLY_COUNT, "count", UINT, REQUIRED, 0, ANY, NULL, "reports in the request")                       \
    X(JQ_AT_REPORT_REPLY_VERDICTS, "verdicts", LIST, 0, 0, ANY, &jq_message_exception,                                 \
      "reports that were not accepted; all others were")

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

#define JQ_FIELDS_WAIT(X)                                                                                              \
    X(JQ_AT_WAIT_IDS, "ids", TASKS, REQUIRED, 1, JQ_IDS_COUNT_MAX, NULL,                                               \
      "answered as soon as one of them has ended, with those that have")                                               \
    X(JQ_AT_WAIT_WAIT, "wait_ms", UINT, 0, 0, ANY, NULL, "default 0: answered at once; cut to wait_max_ms")

#define JQ_FIELDS_TASK_ID(X) X(JQ_AT_TASK_ID_ID, "id", UINT, REQUIRED, 1, ANY, NULL, "")

#define JQ_FIELDS_TASK_LS(X)                                                                                           \
    X(JQ_AT_TASK_LS_AFTER, "after", UINT, 0, 0, ANY, NULL, "go on after this one; default 0")                          \
    X(JQ_AT_TASK_LS_LIMIT, "limit", UINT, 0, 1, JQ_LIST_COUNT_MAX, NULL,                                               \
      "rows at most; default 100. The broker may give fewer, even none, and still say `next`")                         \
    X(JQ_AT_TASK_LS_QUEUE, "queue", NAME, 0, 0, 0, NULL, "only of this queue")                                         \
    X(JQ_AT_TASK_LS_HANDLER, "handler", NAME, 0, 0, 0, NULL, "only of this handler")                                   \
    X(JQ_AT_TASK_LS_STATES, "states", WORDS, 0, 0, 16, NULL,                                                           \
      "only in one of these states, by name; dead letters are `[\"dead\"]`")                                           \
    X(JQ_AT_TASK_LS_WHERE, "where", TEXT, 0, 1, JQ_WHERE_SIZE_MAX, NULL, "only those that this selects, below")

#define JQ_FIELDS_TASKS_REPLY(X)                                                                                       \
    X(JQ_AT_TASKS_REPLY_NEXT, "next", UINT, 0, 0, ANY, NULL, "ask on with `after` = next; absent: that was all")       \
    X(JQ_AT_TASKS_REPLY_LEFT_OUT, "left_out", UINT, 0, 0, ANY, NULL,                                                   \
      "wait: rows that the frame could not hold; ask for their ids again")                                             \
    X(JQ_AT_TASKS_REPLY_TASKS, "tasks", LIST, REQUIRED, 0, ANY, &jq_message_row, "")

#define JQ_FIELDS_ROW(X)                                                                                               \
    X(JQ_AT_ROW_ID, "id", UINT, REQUIRED, 1, ANY, NULL, "")                                                            \
    X(JQ_AT_ROW_STATE, "state", TEXT, REQUIRED, 1, 16, NULL,                                                           \
      "by name, above; `none`: no such task, or forgotten: then nothing else is told")                                 \
    X(JQ_AT_ROW_OUTCOME, "outcome", TEXT, 0, 1, 32, NULL, "of the last attempt, or of the end; `none`")                \
    X(JQ_AT_ROW_QUEUE, "queue", NAME, 0, 0, 0, NULL, "")                                                               \
    X(JQ_AT_ROW_HANDLER, "handler", NAME, 0, 0, 0, NULL, "")                                                           \
    X(JQ_AT_ROW_NEED, "need", TEXT, 0, 0, JQ_NEED_SIZE_MAX, NULL, "canonical")                                         \
    X(JQ_AT_ROW_WANT, "want", TEXT, 0, 0, JQ_NEED_SIZE_MAX, NULL, "canonical; absent: none")                           \
    X(JQ_AT_ROW_PRIORITY, "priority", UINT, 0, 0, 9, NULL, "")                                                         \
    X(JQ_AT_ROW_ATTEMPTS, "attempts", UINT, 0, 0, ANY, NULL, "that failed")                                            \
    X(JQ_AT_ROW_CRASHES, "crashes", UINT, 0, 0, ANY, NULL, "")                                                         \
    X(JQ_AT_ROW_LOSSES, "losses", UINT, 0, 0, ANY, NULL, "attempts whose worker died")                                 \
    X(JQ_AT_ROW_FIRST_READY, "first_ready_ms", UINT, 0, 0, ANY, NULL, "UTC")                                           \
    X(JQ_AT_ROW_AT, "at_ms", UINT, 0, 0, ANY, NULL, "UTC: due, ready, leased or ended since, by state")                \
    X(JQ_AT_ROW_EXPIRES, "expires_ms", UINT, 0, 0, ANY, NULL, "UTC; absent: never")                                    \
    X(JQ_AT_ROW_RETRY, "retry", MAP, 0, 0, 0, &jq_message_retry, "")                                                   \
    X(JQ_AT_ROW_SOFT_LIMIT, "soft_limit_ms", UINT, 0, 0, ANY, NULL, "0: the handler's")                                \
    X(JQ_AT_ROW_HARD_LIMIT, "hard_limit_ms", UINT, 0, 0, ANY, NULL, "0: the handler's")                                \
    X(JQ_AT_ROW_RESULT_TTL, "result_ttl_ms", UINT, 0, 0, ANY, NULL, "")                                                \
    X(JQ_AT_ROW_WORKER, "worker", TEXT, 0, 0, JQ_NAME_SIZE_MAX, NULL, "while it runs")                                 \
    X(JQ_AT_ROW_PROGRESS, "progress", UINT, 0, 0, 1000, NULL, "thousandths, as the handler tells")                     \
    X(JQ_AT_ROW_PROGRESS_TEXT, "progress_text", TEXT, 0, 0, JQ_PROGRESS_TEXT_SIZE_MAX, NULL, "as the handler tells")   \
    X(JQ_AT_ROW_PAYLOAD, "payload", BIN, 0, 0, JQ_PAYLOAD_SIZE_MAX, NULL, "task.show")                                 \
    X(JQ_AT_ROW_HEADERS, "headers", TEXTS, 0, 0, ANY, NULL, "task.show")                                               \
    X(JQ_AT_ROW_DETAIL, "detail", MAP, 0, 0, 0, &jq_message_detail, "wait and task.show: of the last report")          \
    X(JQ_AT_ROW_DETAIL_LEFT_OUT, "detail_left_out", BOOL, 0, 0, 0, NULL,                                               \
      "task.show: payload and detail do not fit one frame; wait gives the detail")                                     \
    X(JQ_AT_ROW_DAMAGED, "damaged", BOOL, 0, 0, 0, NULL,                                                               \
      "true: payload or detail cannot be read back from the journal")                                                  \
    X(JQ_AT_ROW_FLOW, "flow", UINT, 0, 1, ANY, NULL, "task.show: the flow that it belongs to")                         \
    X(JQ_AT_ROW_AFTER, "after", TASKS, 0, 0, JQ_AFTER_COUNT_MAX, NULL, "task.show: what it waits for, or waited for")  \
    X(JQ_AT_ROW_ON, "on", TEXT, 0, 0, 16, NULL, "task.show: how those must end")                                       \
    X(JQ_AT_ROW_ERROR, "error", TEXT, 0, 0, JQ_ERROR_TEXT_SIZE_MAX, NULL,                                              \
      "what went wrong, in one short line: the report's message and the last line of its stderr")                      \
    X(JQ_AT_ROW_VERSION, "version", UINT, 0, 0, ANY, NULL, "task.show: goes up by one with each edit, for dead.edit")  \
    X(JQ_AT_ROW_GROUP, "group", TEXT, 0, 1, JQ_KEY_SIZE_MAX, NULL, "absent: none")                                     \
    X(JQ_AT_ROW_INPUTS, "inputs", TEXTS, 0, 0, ANY, NULL, "task.show: as submitted")                                   \
    X(JQ_AT_ROW_OUTPUTS, "outputs", WORDS, 0, 0, ANY, NULL, "task.show: as submitted; those made are in `detail`")

#define JQ_FIELDS_EXPLAIN_REPLY(X)                                                                                     \
    X(JQ_AT_EXPLAIN_REPLY_TASK, "task", MAP, REQUIRED, 0, 0, &jq_message_row, "")                                      \
    X(JQ_AT_EXPLAIN_REPLY_LINES, "lines", LIST, REQUIRED, 0, ANY, &jq_message_why, "the most decisive first")          \
    X(JQ_AT_EXPLAIN_REPLY_LEFT_OUT, "left_out", UINT, 0, 0, ANY, NULL, "lines that the frame could not hold")

#define JQ_FIELDS_WHY(X)                                                                                               \
    X(JQ_AT_WHY_WHY, "why", TEXT, REQUIRED, 1, 32, NULL, "a word, below")                                              \
    X(JQ_AT_WHY_WORKER, "worker", TEXT, 0, 0, JQ_NAME_SIZE_MAX, NULL,                                                  \
      "running: where; of the worker lines: one of the workers, for worker_no_room the one that is short of least")    \
    X(JQ_AT_WHY_DETAIL, "detail", TEXT, 0, 0, ANY, NULL, "the term, the offer, the queue, ...: by the word")           \
    X(JQ_AT_WHY_NUMBER, "number", UINT, 0, 0, ANY, NULL,                                                               \
      "behind: tasks before it; not_due, limit_rate, expected, worker_short: ms to go; running: ms so far; "           \
      "worker_no_room: thousandths short; limit_full: how many may run; group_turn: groups before it, at most; "       \
      "disk_full: bytes free; "                                                                                        \
      "breaker_open, breaker_tripped, worker_breaker: ms until probes are let through, absent: until it is reset")     \
    X(JQ_AT_WHY_COUNT, "count", UINT, 0, 1, ANY, NULL, "of the worker lines: workers of which it is true")

#define JQ_FIELDS_TASK_CANCEL(X)                                                                                       \
    X(JQ_AT_TASK_CANCEL_IDS, "ids", TASKS, 0, 1, JQ_IDS_COUNT_MAX, NULL, "these tasks")                                \
    X(JQ_AT_TASK_CANCEL_GRACE, "grace_ms", UINT, 0, 0, JQ_BACKOFF_MS_MAX, NULL,                                        \
      "of running ones: between SIGTERM and SIGKILL; default 5000")                                                    \
    X(JQ_AT_TASK_CANCEL_WHERE, "where", TEXT, 0, 1, JQ_WHERE_SIZE_MAX, NULL, "or all that this selects, below")        \
    X(JQ_AT_TASK_CANCEL_DRY_RUN, "dry_run", BOOL, 0, 0, 0, NULL, "with where: only count them, do nothing")

#define JQ_FIELDS_TASK_IDS(X)                                                                                          \
    X(JQ_AT_TASK_IDS_IDS, "ids", TASKS, 0, 1, JQ_IDS_COUNT_MAX, NULL, "these tasks")                                   \
    X(JQ_AT_TASK_IDS_WHERE, "where", TEXT, 0, 1, JQ_WHERE_SIZE_MAX, NULL, "or all that this selects, below")           \
    X(JQ_AT_TASK_IDS_DRY_RUN, "dry_run", BOOL, 0, 0, 0, NULL, "with where: only count them, do nothing")

#define JQ_FIELDS_TASK_MOVE(X)                                                                                         \
    X(JQ_AT_TASK_MOVE_IDS, "ids", TASKS, 0, 1, JQ_IDS_COUNT_MAX, NULL, "these tasks")                                  \
    X(JQ_AT_TASK_MOVE_WHERE, "where", TEXT, 0, 1, JQ_WHERE_SIZE_MAX, NULL, "or all that this selects, below")          \
    X(JQ_AT_TASK_MOVE_DRY_RUN, "dry_run", BOOL, 0, 0, 0, NULL, "with where: only count them, do nothing")              \
    X(JQ_AT_TASK_MOVE_QUEUE, "queue", NAME, REQUIRED, 0, 0, NULL, "where they wait from now on")

#define JQ_FIELDS_DEAD_REPLAY(X)                                                                                       \
    X(JQ_AT_DEAD_REPLAY_IDS, "ids", TASKS, 0, 1, JQ_IDS_COUNT_MAX, NULL, "these tasks")                                \
    X(JQ_AT_DEAD_REPLAY_INTERVAL, "interval_us", UINT, 0, 1, JQ_INTERVAL_US_MAX, NULL,                                 \
      "they become ready one by one, so many microseconds apart, behind those of earlier replays with an interval; "   \
      "default: all at once")                                                                                          \
    X(JQ_AT_DEAD_REPLAY_WHERE, "where", TEXT, 0, 1, JQ_WHERE_SIZE_MAX, NULL, "or all that this selects, below")        \
    X(JQ_AT_DEAD_REPLAY_DRY_RUN, "dry_run", BOOL, 0, 0, 0, NULL, "with where: only count them, do nothing")

#define JQ_FIELDS_DEAD_EDIT(X)                                                                                         \
    X(JQ_AT_DEAD_EDIT_ID, "id", UINT, REQUIRED, 1, ANY, NULL, "what is not given stays as it is")                      \
    X(JQ_AT_DEAD_EDIT_VERSION, "version", UINT, 0, 0, ANY, NULL,                                                       \
      "as task.show told it: `conflict` if it was edited since")                                                       \
    X(JQ_AT_DEAD_EDIT_QUEUE, "queue", NAME, 0, 0, 0, NULL, "in the same namespace")                                    \
    X(JQ_AT_DEAD_EDIT_HANDLER, "handler", NAME, 0, 0, 0, NULL, "")                                                     \
    X(JQ_AT_DEAD_EDIT_PAYLOAD, "payload", BIN, 0, 0, JQ_PAYLOAD_SIZE_MAX, NULL,                                        \
      "payload and headers go together: whoever gives one gives both, or clears the other")                            \
    X(JQ_AT_DEAD_EDIT_HEADERS, "headers", TEXTS, 0, 0, JQ_HEADERS_COUNT_MAX, NULL, "")                                 \
    X(JQ_AT_DEAD_EDIT_PRIORITY, "priority", UINT, 0, 0, 9, NULL, "")                                                   \
    X(JQ_AT_DEAD_EDIT_NEED, "need", NEED, 0, 0, JQ_NEED_SIZE_MAX, NULL, "")                                            \
    X(JQ_AT_DEAD_EDIT_WANT, "want", TEXT, 0, 0, JQ_NEED_SIZE_MAX, NULL, "")                                            \
    X(JQ_AT_DEAD_EDIT_RETRY, "retry", MAP, 0, 0, 0, &jq_message_retry, "")                                             \
    X(JQ_AT_DEAD_EDIT_SOFT_LIMIT, "soft_limit_ms", UINT, 0, 0, JQ_SPAN_MS_MAX, NULL, "0: the handler's")               \
    X(JQ_AT_DEAD_EDIT_HARD_LIMIT, "hard_limit_ms", UINT, 0, 0, JQ_SPAN_MS_MAX, NULL, "0: the handler's")               \
    X(JQ_AT_DEAD_EDIT_RESULT_TTL, "result_ttl_ms", UINT, 0, 0, JQ_SPAN_MS_MAX, NULL, "")

#define JQ_FIELDS_MANY_REPLY(X)                                                                                        \
    X(JQ_AT_MANY_REPLY_COUNT, "count", UINT, REQUIRED, 0, ANY, NULL, "that were done")                                 \
    X(JQ_AT_MANY_REPLY_EXCEPTIONS, "exceptions", LIST, 0, 0, ANY, &jq_message_exception, "that were not")              \
    X(JQ_AT_MANY_REPLY_MATCHED, "matched", UINT, 0, 0, ANY, NULL, "with where: tasks that it selected")                \
    X(JQ_AT_MANY_REPLY_WHY, "why", TEXT, 0, 0, ANY, NULL,                                                              \
      "with where: why the first of those that were not done was not")                                                 \
    X(JQ_AT_MANY_REPLY_SAMPLES, "samples", TASKS, 0, 0, ANY, NULL, "with where: the first ids; absent after a resend")

/* ---- queues and workers ------------------------------------------------------------------------------------------ */

#define JQ_FIELDS_QUEUE_LS(X)                                                                                          \
    X(JQ_AT_QUEUE_LS_NAME, "name", NAME, 0, 0, 0, NULL, "only this queue")                                             \
    X(JQ_AT_QUEUE_LS_AFTER, "after", UINT, 0, 0, JQ_U32_MAX, NULL, "go on behind this place; default 0")

#define JQ_FIELDS_QUEUES_REPLY(X)                                                                                      \
    X(JQ_AT_QUEUES_REPLY_QUEUES, "queues", LIST, REQUIRED, 0, ANY, &jq_message_queue, "")                              \
    X(JQ_AT_QUEUES_REPLY_NEXT, "next", UINT, 0, 0, ANY, NULL, "ask on with `after` = next; absent: that was all")

#define JQ_FIELDS_QUEUE(X)                                                                                             \
    X(JQ_AT_QUEUE_NAME, "name", NAME, REQUIRED, 0, 0, NULL, "")                                                        \
    X(JQ_AT_QUEUE_PAUSED, "paused", BOOL, REQUIRED, 0, 0, NULL, "nothing of it is leased")                             \
    X(JQ_AT_QUEUE_SCHEDULED, "scheduled", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                       \
    X(JQ_AT_QUEUE_READY, "ready", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                               \
    X(JQ_AT_QUEUE_RUNNING, "running", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                           \
    X(JQ_AT_QUEUE_DEAD, "dead", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                                 \
    X(JQ_AT_QUEUE_FINISHED, "finished", UINT, REQUIRED, 0, ANY, NULL, "tasks still remembered")                        \
    X(JQ_AT_QUEUE_DEPTH_MAX, "depth_max", UINT, REQUIRED, 0, ANY, NULL, "tasks it takes before it is busy")            \
    X(JQ_AT_QUEUE_BYTES, "bytes", UINT, REQUIRED, 0, ANY, NULL, "of the records of its tasks that have not begun")     \
    X(JQ_AT_QUEUE_BYTES_MAX, "bytes_max", UINT, REQUIRED, 0, ANY, NULL, "bytes it takes before it is busy; 0: any")    \
    X(JQ_AT_QUEUE_POLICY, "policy", TEXT, REQUIRED, 1, 16, NULL, "when full: reject, shed_lowest or block")            \
    X(JQ_AT_QUEUE_FULL, "full", BOOL, REQUIRED, 0, 0, NULL, "above a mark, and not yet down at 9/10 of it")            \
    X(JQ_AT_QUEUE_WITHHELD, "withheld", UINT, REQUIRED, 0, ANY, NULL, "submits that wait for room in it")              \
    X(JQ_AT_QUEUE_SHED, "shed_total", UINT, REQUIRED, 0, ANY, NULL, "tasks dropped for others of higher priority")     \
    X(JQ_AT_QUEUE_SUBMITTED, "submitted_total", UINT, REQUIRED, 0, ANY, NULL, "since the broker's start")              \
    X(JQ_AT_QUEUE_ENDED, "ended_total", UINT, REQUIRED, 0, ANY, NULL, "since the broker's start")                      \
    X(JQ_AT_QUEUE_DRAIN, "drain_per_s", NUMBER, REQUIRED, 0, 0, NULL, "tasks that leave it in a second, of late")      \
    X(JQ_AT_QUEUE_OLDEST, "oldest_ready_ms", UINT, 0, 0, ANY, NULL, "age of its oldest ready task; absent: none")      \
    X(JQ_AT_QUEUE_WAITING, "waiting", UINT, REQUIRED, 0, ANY, NULL, "tasks that wait for others")                      \
    X(JQ_AT_QUEUE_BLOCKED, "blocked", UINT, REQUIRED, 0, ANY, NULL, "tasks that wait for one that is dead")            \
    X(JQ_AT_QUEUE_UNTIL, "paused_until_ms", UINT, 0, 0, ANY, NULL, "UTC: the pause ends then; absent: on resume")      \
    X(JQ_AT_QUEUE_DRAINING, "draining", BOOL, 0, 0, 0, NULL, "it takes no new tasks")                                  \
    X(JQ_AT_QUEUE_WEIGHT, "weight", UINT, 0, 0, ANY, NULL, "its share of the leases beside other queues")              \
    X(JQ_AT_QUEUE_HELD, "held", UINT, 0, 0, ANY, NULL, "tasks of `scheduled` that somebody holds")

#define JQ_FIELDS_QUEUE_SET(X)                                                                                         \
    X(JQ_AT_QUEUE_SET_NAME, "name", NAME, REQUIRED, 0, 0, NULL, "")                                                    \
    X(JQ_AT_QUEUE_SET_PAUSED, "paused", BOOL, 0, 0, 0, NULL, "nothing of it is leased")                                \
    X(JQ_AT_QUEUE_SET_UNTIL, "until_ms", UINT, 0, 1, JQ_WALL_MS_MAX, NULL,                                             \
      "with paused: the pause ends by itself then, UTC, over restarts too")                                            \
    X(JQ_AT_QUEUE_SET_DRAINING, "draining", BOOL, 0, 0, 0, NULL, "it takes no new tasks, and works on")                \
    X(JQ_AT_QUEUE_SET_DEPTH_MAX, "depth_max", UINT, 0, 0, JQ_DEPTH_MAX, NULL,                                          \
      "tasks it takes before it is busy; 0: as configured")                                                            \
    X(JQ_AT_QUEUE_SET_WEIGHT, "weight", UINT, 0, 0, JQ_WEIGHT_MAX, NULL,                                               \
      "its share of the leases beside other queues; 0: as configured")                                                 \
    X(JQ_AT_QUEUE_SET_BYTES_MAX, "bytes_max", UINT, 0, 0, JQ_QUEUE_BYTES_MAX, NULL,                                    \
      "bytes of tasks it takes before it is busy; 0: as configured")                                                   \
    X(JQ_AT_QUEUE_SET_POLICY, "policy", TEXT, 0, 1, 16, NULL,                                                          \
      "when it is full: `reject`, `shed_lowest`, `block`; `configured`: as configured")

#define JQ_FIELDS_WORKER_LS(X)                                                                                         \
    X(JQ_AT_WORKER_LS_AFTER, "after", UINT, 0, 0, JQ_U32_MAX, NULL, "go on behind this place; default 0")

#define JQ_FIELDS_WORKER_SHOW(X) X(JQ_AT_WORKER_SHOW_NAME, "name", NAME, REQUIRED, 0, 0, NULL, "")

#define JQ_FIELDS_WORKER_DRAIN(X)                                                                                      \
    X(JQ_AT_WORKER_DRAIN_NAME, "name", NAME, REQUIRED, 0, 0, NULL, "")                                                 \
    X(JQ_AT_WORKER_DRAIN_DRAINING, "draining", BOOL, REQUIRED, 0, 0, NULL, "true: it is given nothing more")

#define JQ_FIELDS_WORKERS_REPLY(X)                                                                                     \
    X(JQ_AT_WORKERS_REPLY_WORKERS, "workers", LIST, REQUIRED, 0, ANY, &jq_message_worker, "")                          \
    X(JQ_AT_WORKERS_REPLY_NEXT, "next", UINT, 0, 0, ANY, NULL, "ask on with `after` = next; absent: that was all")

#define JQ_FIELDS_WORKER(X)                                                                                            \
    X(JQ_AT_WORKER_NAME, "name", NAME, REQUIRED, 0, 0, NULL, "")                                                       \
    X(JQ_AT_WORKER_ID, "id", UUID, REQUIRED, 0, 0, NULL, "")                                                           \
    X(JQ_AT_WORKER_REGISTERED, "registered", BOOL, REQUIRED, 0, 0, NULL, "since the broker's start")                   \
    X(JQ_AT_WORKER_ALIVE, "alive", BOOL, REQUIRED, 0, 0, NULL, "")                                                     \
    X(JQ_AT_WORKER_DRAINING, "draining", BOOL, REQUIRED, 0, 0, NULL, "")                                               \
    X(JQ_AT_WORKER_LEASES, "leases", UINT, REQUIRED, 0, ANY, NULL, "it holds")                                         \
    X(JQ_AT_WORKER_PARKED, "parked", UINT, REQUIRED, 0, ANY, NULL, "polls that wait for a task")                       \
    X(JQ_AT_WORKER_SEEN, "seen_ms_ago", UINT, REQUIRED, 0, ANY, NULL, "")                                              \
    X(JQ_AT_WORKER_LOAD, "load_permille", UINT, REQUIRED, 0, ANY, NULL, "load average over its processors")            \
    X(JQ_AT_WORKER_MEMORY, "memory_permille", UINT, REQUIRED, 0, ANY, NULL, "of its memory in use")                    \
    X(JQ_AT_WORKER_OFFERS, "offers", AMOUNTS, REQUIRED, 0, ANY, NULL, "totals, in thousandths")                        \
    X(JQ_AT_WORKER_FREE, "free", AMOUNTS, REQUIRED, 0, ANY, NULL, "left by the broker's account, in thousandths")      \
    X(JQ_AT_WORKER_ASLEEP, "asleep", BOOL, 0, 0, 0, NULL, "it went, and is woken by its doorbell; absent: no")         \
    X(JQ_AT_WORKER_DOORBELL, "doorbell", TEXT, 0, 1, ANY, NULL, "where it is woken; absent: nowhere")                  \
    X(JQ_AT_WORKER_KEPT_FOR, "kept_for", UINT, 0, 1, ANY, NULL,                                                        \
      "the task that gets what room there is before all others; absent: none")                                         \
    X(JQ_AT_WORKER_UNITS, "units", UNITS, 0, 0, ANY, NULL, "worker.show: as registered")                               \
    X(JQ_AT_WORKER_UNITS_FREE, "units_free", UNITS, 0, 0, ANY, NULL, "worker.show: those that no task has")            \
    X(JQ_AT_WORKER_ACCEPT, "accept", WORDS, 0, 0, ANY, NULL, "worker.show: as registered; absent: all tasks")          \
    X(JQ_AT_WORKER_FACTS, "facts", TEXTS, 0, 0, ANY, NULL, "worker.show")                                              \
    X(JQ_AT_WORKER_HANDLERS, "handlers", LIST, 0, 0, ANY, &jq_message_handler, "worker.show")                          \
    X(JQ_AT_WORKER_LEFT_OUT, "left_out", UINT, 0, 0, ANY, NULL, "worker.show: handlers that the frame could not hold")

/* ---- the broker itself ------------------------------------------------------------------------------------------- */

#define JQ_FIELDS_SERVER(X)                                                                                            \
    X(JQ_AT_SERVER_EPOCH, "epoch", UINT, REQUIRED, 0, ANY, NULL, "counts the broker's starts")                         \
    X(JQ_AT_SERVER_DIGEST, "digest", UINT, REQUIRED, 0, ANY, NULL, "of the durable state")                             \
    X(JQ_AT_SERVER_TASKS_LIVE, "tasks_live", UINT, REQUIRED, 0, ANY, NULL, "not ended")                                \
    X(JQ_AT_SERVER_TASKS_FINISHED, "tasks_finished", UINT, REQUIRED, 0, ANY, NULL, "ended and remembered")             \
    X(JQ_AT_SERVER_SCHEDULED, "scheduled", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                      \
    X(JQ_AT_SERVER_READY, "ready", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                              \
    X(JQ_AT_SERVER_RUNNING, "running", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                          \
    X(JQ_AT_SERVER_DEAD, "dead", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                                \
    X(JQ_AT_SERVER_SUBMITTED, "submitted_total", UINT, REQUIRED, 0, ANY, NULL, "since the start, like all totals")     \
    X(JQ_AT_SERVER_LEASED, "leased_total", UINT, REQUIRED, 0, ANY, NULL, "")                                           \
    X(JQ_AT_SERVER_SUCCEEDED, "succeeded_total", UINT, REQUIRED, 0, ANY, NULL, "")                                     \
    X(JQ_AT_SERVER_DIED, "dead_total", UINT, REQUIRED, 0, ANY, NULL, "")                                               \
    X(JQ_AT_SERVER_CANCELLED, "cancelled_total", UINT, REQUIRED, 0, ANY, NULL, "")                                     \
    X(JQ_AT_SERVER_EXPIRED, "expired_total", UINT, REQUIRED, 0, ANY, NULL, "")                                         \
    X(JQ_AT_SERVER_REFUSED, "refused_total", UINT, REQUIRED, 0, ANY, NULL, "")                                         \
    X(JQ_AT_SERVER_DUPLICATE, "duplicate_total", UINT, REQUIRED, 0, ANY, NULL, "requests and keys seen twice")         \
    X(JQ_AT_SERVER_STALE, "stale_total", UINT, REQUIRED, 0, ANY, NULL, "reports under leases no longer current")       \
    X(JQ_AT_SERVER_RETRIED, "retried_total", UINT, REQUIRED, 0, ANY, NULL, "")                                         \
    X(JQ_AT_SERVER_LOST, "lost_total", UINT, REQUIRED, 0, ANY, NULL, "leases whose worker died")                       \
    X(JQ_AT_SERVER_CRASHED, "crashed_total", UINT, REQUIRED, 0, ANY, NULL, "")                                         \
    X(JQ_AT_SERVER_SHED, "shed_total", UINT, REQUIRED, 0, ANY, NULL, "tasks dropped by full queues")                   \
    X(JQ_AT_SERVER_WITHHELD_TOTAL, "withheld_total", UINT, REQUIRED, 0, ANY, NULL, "submits that waited for room")     \
    X(JQ_AT_SERVER_WITHHELD, "withheld", UINT, REQUIRED, 0, ANY, NULL, "submits that wait for room now")               \
    X(JQ_AT_SERVER_QUEUES, "queues", UINT, REQUIRED, 0, ANY, NULL, "")                                                 \
    X(JQ_AT_SERVER_CLASSES, "classes", UINT, REQUIRED, 0, ANY, NULL, "distinct pairs of need and handler")             \
    X(JQ_AT_SERVER_WORKERS, "workers", UINT, REQUIRED, 0, ANY, NULL, "known")                                          \
    X(JQ_AT_SERVER_WORKERS_ALIVE, "workers_alive", UINT, REQUIRED, 0, ANY, NULL, "")                                   \
    X(JQ_AT_SERVER_PARKED_POLLS, "parked_polls", UINT, REQUIRED, 0, ANY, NULL, "")                                     \
    X(JQ_AT_SERVER_PARKED_WAITS, "parked_waits", UINT, REQUIRED, 0, ANY, NULL, "")                                     \
    X(JQ_AT_SERVER_SENDERS, "senders", UINT, REQUIRED, 0, ANY, NULL, "in the request window")                          \
    X(JQ_AT_SERVER_KEYS, "keys", UINT, REQUIRED, 0, ANY, NULL, "idempotency keys remembered")                          \
    X(JQ_AT_SERVER_MEMORY, "memory_bytes", UINT, REQUIRED, 0, ANY, NULL, "of the core")                                \
    X(JQ_AT_SERVER_MEMORY_MAX, "memory_max", UINT, REQUIRED, 0, ANY, NULL, "at which submits are refused")             \
    X(JQ_AT_SERVER_DISK_FREE, "disk_free_bytes", UINT, REQUIRED, 0, ANY, NULL, "")                                     \
    X(JQ_AT_SERVER_LOG, "log_bytes", UINT, REQUIRED, 0, ANY, NULL, "of the journal on disk")                           \
    X(JQ_AT_SERVER_NEEDS_FROM, "needs_from_lsn", UINT, REQUIRED, 0, ANY, NULL, "the journal is needed from here on")   \
    X(JQ_AT_SERVER_IS_DRAINING, "draining", BOOL, REQUIRED, 0, 0, NULL, "the broker stops")                            \
    X(JQ_AT_SERVER_MEMORY_BUSY, "memory_busy", BOOL, REQUIRED, 0, 0, NULL, "above the memory mark")                    \
    X(JQ_AT_SERVER_DISK_BUSY, "disk_busy", BOOL, REQUIRED, 0, 0, NULL, "below the disk mark")                          \
    X(JQ_AT_SERVER_WAITING, "waiting", UINT, REQUIRED, 0, ANY, NULL, "tasks that wait for others")                     \
    X(JQ_AT_SERVER_BLOCKED, "blocked", UINT, REQUIRED, 0, ANY, NULL, "tasks that wait for one that is dead")           \
    X(JQ_AT_SERVER_FLOWS, "flows", UINT, REQUIRED, 0, ANY, NULL, "remembered, or being staged")                        \
    X(JQ_AT_SERVER_BREAKERS_OPEN, "breakers_open", UINT, REQUIRED, 0, ANY, NULL, "circuit breakers open or half-open") \
    X(JQ_AT_SERVER_SCHEDULES, "schedules", UINT, REQUIRED, 0, ANY, NULL, "")                                           \
    X(JQ_AT_SERVER_TROUBLED, "schedules_troubled", UINT, REQUIRED, 0, ANY, NULL, "schedules that cannot submit")       \
    X(JQ_AT_SERVER_MISSED, "schedules_missed_total", UINT, REQUIRED, 0, ANY, NULL, "due times that were passed over")  \
    X(JQ_AT_SERVER_STUCK, "log_stuck_tries", UINT, REQUIRED, 0, ANY, NULL, "in vain, to let the oldest segment go")

/* ---- events ------------------------------------------------------------------------------------------------------ */

#define JQ_FIELDS_EVENTS_READ(X)                                                                                       \
    X(JQ_AT_EVENTS_READ_AFTER, "after", UINT, 0, 0, ANY, NULL, "events behind this one; 0 or absent: from now on")     \
    X(JQ_AT_EVENTS_READ_LIMIT, "limit", UINT, 0, 1, JQ_LIST_COUNT_MAX, NULL, "rows at most; the broker gives 200")     \
    X(JQ_AT_EVENTS_READ_WAIT, "wait_ms", UINT, 0, 0, ANY, NULL, "default 0: answered at once; cut to wait_max_ms")     \
    X(JQ_AT_EVENTS_READ_WHERE, "where", TEXT, 0, 1, JQ_WHERE_SIZE_MAX, NULL, "only those that this selects, above")

#define JQ_FIELDS_EVENTS_REPLY(X)                                                                                      \
    X(JQ_AT_EVENTS_REPLY_EVENTS, "events", LIST, REQUIRED, 0, ANY, &jq_message_event, "in order")                      \
    X(JQ_AT_EVENTS_REPLY_NEXT, "next", UINT, REQUIRED, 0, ANY, NULL, "ask on with `after` = next")                     \
    X(JQ_AT_EVENTS_REPLY_GAP, "gap", UINT, 0, 0, ANY, NULL,                                                            \
      "events behind `after` up to this one are gone: the broker keeps only the last; absent: none are missing")

#define JQ_FIELDS_EVENT(X)                                                                                             \
    X(JQ_AT_EVENT_SEQ, "seq", UINT, REQUIRED, 0, ANY, NULL,                                                            \
      "ascending, over restarts too: the LSN of its record, or one more than that of the event before")                \
    X(JQ_AT_EVENT_TIME, "time_ms", UINT, REQUIRED, 0, ANY, NULL, "UTC")                                                \
    X(JQ_AT_EVENT_EVENT, "event", TEXT, REQUIRED, 1, 32, NULL, "what happened, such as `task.ended`")                  \
    X(JQ_AT_EVENT_TASK, "task", UINT, 0, 1, ANY, NULL, "its id; of a flow: the id of the flow")                        \
    X(JQ_AT_EVENT_QUEUE, "queue", TEXT, 0, 0, ANY, NULL, "")                                                           \
    X(JQ_AT_EVENT_HANDLER, "handler", TEXT, 0, 0, ANY, NULL, "")                                                       \
    X(JQ_AT_EVENT_STATE, "state", TEXT, 0, 1, 16, NULL, "of the task, afterwards")                                     \
    X(JQ_AT_EVENT_OUTCOME, "outcome", TEXT, 0, 1, 32, NULL, "of the last attempt, or of the end")                      \
    X(JQ_AT_EVENT_ATTEMPTS, "attempts", UINT, 0, 0, ANY, NULL, "that failed")                                          \
    X(JQ_AT_EVENT_WORKER, "worker", TEXT, 0, 0, ANY, NULL, "while it runs; of the worker's own events")                \
    X(JQ_AT_EVENT_NAME, "name", TEXT, 0, 0, ANY, NULL,                                                                 \
      "of a mark, breaker, schedule, limit or flow; the text of task.progress")                                        \
    X(JQ_AT_EVENT_NUMBER, "number", UINT, 0, 0, ANY, NULL,                                                             \
      "task.retried: ready in so many ms; task.progress: thousandths; and others")

/* ---- the other two sockets --------------------------------------------------------------------------------------- */

#define JQ_FIELDS_SURVEY(X)                                                                                            \
    X(JQ_AT_SURVEY_VERSION, "version", UINT, REQUIRED, 0, ANY, NULL, "1")                                              \
    X(JQ_AT_SURVEY_SURVEY, "survey", UINT, REQUIRED, 0, JQ_U32_MAX, NULL, "number of the survey")                      \
    X(JQ_AT_SURVEY_EPOCH, "epoch", UINT, REQUIRED, 0, ANY, NULL, "of the broker")

#define JQ_FIELDS_SURVEY_RESPONSE(X)                                                                                   \
    X(JQ_AT_SURVEY_RESPONSE_VERSION, "version", UINT, REQUIRED, 0, ANY, NULL, "1")                                     \
    X(JQ_AT_SURVEY_RESPONSE_SURVEY, "survey", UINT, REQUIRED, 0, JQ_U32_MAX, NULL, "the one that is answered")         \
    X(JQ_AT_SURVEY_RESPONSE_SESSION, "session", UUID, REQUIRED, 0, 0, NULL, "from register")                           \
    X(JQ_AT_SURVEY_RESPONSE_INCARNATION, "incarnation", UINT, REQUIRED, 0, ANY, NULL, "as registered")                 \
    X(JQ_AT_SURVEY_RESPONSE_HELD_COUNT, "held_count", UINT, REQUIRED, 0, JQ_U32_MAX, NULL, "leases it holds")          \
    X(JQ_AT_SURVEY_RESPONSE_HELD_SUM, "held_sum", UINT, REQUIRED, 0, ANY, NULL,                                        \
      "sum of hash(token) over them, modulo 2^64, below")                                                              \
    X(JQ_AT_SURVEY_RESPONSE_LOAD, "load_permille", UINT, REQUIRED, 0, JQ_U32_MAX, NULL,                                \
      "load average over its processors")                                                                              \
    X(JQ_AT_SURVEY_RESPONSE_MEMORY, "memory_permille", UINT, REQUIRED, 0, JQ_U32_MAX, NULL, "of its memory in use")    \
    X(JQ_AT_SURVEY_RESPONSE_PROGRESS, "progress", LIST, 0, 0, JQ_SURVEY_PROGRESS_COUNT_MAX, &jq_message_progress,      \
      "of tasks that moved; nil: none")

#define JQ_FIELDS_PROGRESS(X)                                                                                          \
    X(JQ_AT_PROGRESS_TASK, "task", UINT, REQUIRED, 1, ANY, NULL, "")                                                   \
    X(JQ_AT_PROGRESS_PERMILLE, "permille", UINT, REQUIRED, 0, 1000, NULL, "")                                          \
    X(JQ_AT_PROGRESS_TEXT, "text", TEXT, 0, 0, JQ_PROGRESS_TEXT_SIZE_MAX, NULL, "nil: none")

#define JQ_FIELDS_NOTICE(X)                                                                                            \
    X(JQ_AT_NOTICE_EVENT, "event", TEXT, REQUIRED, 1, 32, NULL,                                                        \
      "`command` (to a worker: poll, a command waits); ignore others")                                                 \
    X(JQ_AT_NOTICE_TASK, "task", UINT, 0, 0, ANY, NULL, "where it is about one task")

#endif
