/* message_fields_control.h - the fields of messages about flows, limits, circuit breakers and schedules; see message_fields.h, which
 * says what the columns mean. Included by message.h alone. */
#ifndef JQ_COMMON_MESSAGE_FIELDS_CONTROL_H
#define JQ_COMMON_MESSAGE_FIELDS_CONTROL_H

/* ---- flows ------------------------------------------------------------------------------------------------------- */

#define JQ_FIELDS_FLOW_BEGIN(X)                                                                                        \
    X(JQ_AT_FLOW_BEGIN_COUNT, "count", UINT, REQUIRED, 1, JQ_FLOW_COUNT_MAX, NULL,                                     \
      "ids to draw: the flow has no more tasks than that")                                                             \
    X(JQ_AT_FLOW_BEGIN_NAME, "name", NAME, 0, 0, 0, NULL, "for people")

#define JQ_FIELDS_FLOW_ADD(X)                                                                                          \
    X(JQ_AT_FLOW_ADD_FLOW, "flow", UINT, REQUIRED, 1, ANY, NULL, "from flow.begin")                                    \
    X(JQ_AT_FLOW_ADD_AT, "at", UINT, REQUIRED, 0, JQ_FLOW_COUNT_MAX, NULL,                                             \
      "how many tasks were added before: the first of these gets the id `flow` + `at`")                                \
    X(JQ_AT_FLOW_ADD_TASKS, "tasks", LIST, REQUIRED, 1, JQ_SUBMIT_COUNT_MAX, &jq_message_task, "without `key`")

#define JQ_FIELDS_FLOW_COMMIT(X)                                                                                       \
    X(JQ_AT_FLOW_COMMIT_FLOW, "flow", UINT, REQUIRED, 1, ANY, NULL, "from flow.begin")                                 \
    X(JQ_AT_FLOW_COMMIT_COUNT, "count", UINT, REQUIRED, 1, JQ_FLOW_COUNT_MAX, NULL, "tasks that were added")

#define JQ_FIELDS_FLOW_STAGE_REPLY(X)                                                                                  \
    X(JQ_AT_FLOW_STAGE_REPLY_FLOW, "flow", UINT, REQUIRED, 1, ANY, NULL,                                               \
      "id of the flow, and of its first task; the others count up")                                                    \
    X(JQ_AT_FLOW_STAGE_REPLY_COUNT, "count", UINT, REQUIRED, 0, ANY, NULL,                                             \
      "begin: ids drawn; add: tasks so far; commit: tasks")                                                            \
    X(JQ_AT_FLOW_STAGE_REPLY_UNMATCHED, "unmatched", BOOL, 0, 0, 0, NULL,                                              \
      "add: true: no known worker could ever run one of these")

#define JQ_FIELDS_FLOW_CANCEL(X)                                                                                       \
    X(JQ_AT_FLOW_CANCEL_FLOW, "flow", UINT, REQUIRED, 1, ANY, NULL, "committed, or staged by the sender")              \
    X(JQ_AT_FLOW_CANCEL_GRACE, "grace_ms", UINT, 0, 0, JQ_BACKOFF_MS_MAX, NULL,                                        \
      "of running tasks: between SIGTERM and SIGKILL; default 5000")

#define JQ_FIELDS_FLOW_SHOW(X)                                                                                         \
    X(JQ_AT_FLOW_SHOW_FLOW, "flow", UINT, REQUIRED, 1, ANY, NULL, "")                                                  \
    X(JQ_AT_FLOW_SHOW_AT, "at", UINT, 0, 0, JQ_FLOW_COUNT_MAX, NULL, "tasks from this place on; default 0")            \
    X(JQ_AT_FLOW_SHOW_LIMIT, "limit", UINT, 0, 0, JQ_LIST_COUNT_MAX, NULL,                                             \
      "tasks at most; default 100; 0: none, only the flow. The broker may give fewer, and still say `next`")

#define JQ_FIELDS_FLOW_LS(X)                                                                                           \
    X(JQ_AT_FLOW_LS_AFTER, "after", UINT, 0, 0, ANY, NULL, "go on after this one; default 0")                          \
    X(JQ_AT_FLOW_LS_LIMIT, "limit", UINT, 0, 1, JQ_LIST_COUNT_MAX, NULL,                                               \
      "flows at most; default 100. The broker may give fewer, and still say `next`")

#define JQ_FIELDS_FLOW_WAIT(X)                                                                                         \
    X(JQ_AT_FLOW_WAIT_FLOW, "flow", UINT, REQUIRED, 1, ANY, NULL,                                                      \
      "answered when nothing of it is queued or running any more; state `none`: no such flow, or forgotten")           \
    X(JQ_AT_FLOW_WAIT_WAIT, "wait_ms", UINT, 0, 0, ANY, NULL, "default 0: answered at once; cut to wait_max_ms")

#define JQ_FIELDS_FLOWS_REPLY(X)                                                                                       \
    X(JQ_AT_FLOWS_REPLY_NEXT, "next", UINT, 0, 0, ANY, NULL,                                                           \
      "flow.ls: ask on with `after` = next; flow.show: with `at` = next; absent: that was all")                        \
    X(JQ_AT_FLOWS_REPLY_FLOWS, "flows", LIST, REQUIRED, 0, ANY, &jq_message_flow, "")                                  \
    X(JQ_AT_FLOWS_REPLY_TASKS, "tasks", LIST, 0, 0, ANY, &jq_message_member, "flow.show")

#define JQ_FIELDS_FLOW(X)                                                                                              \
    X(JQ_AT_FLOW_FLOW, "flow", UINT, REQUIRED, 1, ANY, NULL, "id of its first task")                                   \
    X(JQ_AT_FLOW_NAME, "name", TEXT, 0, 0, JQ_NAME_SIZE_MAX, NULL, "absent: none")                                     \
    X(JQ_AT_FLOW_STATE, "state", TEXT, REQUIRED, 1, 16, NULL,                                                          \
      "`running`, `blocked`, `cancelling`, `succeeded`, `failed`, `cancelled`; `none`: not known")                     \
    X(JQ_AT_FLOW_AT, "at_ms", UINT, 0, 0, ANY, NULL, "UTC: when it was committed")                                     \
    X(JQ_AT_FLOW_TOTAL, "total", UINT, REQUIRED, 0, ANY, NULL,                                                         \
      "tasks; what is missing in the counts below has been forgotten")                                                 \
    X(JQ_AT_FLOW_WAITING, "waiting", UINT, REQUIRED, 0, ANY, NULL, "tasks that wait for others")                       \
    X(JQ_AT_FLOW_BLOCKED, "blocked", UINT, REQUIRED, 0, ANY, NULL, "tasks that wait for one that is dead")             \
    X(JQ_AT_FLOW_QUEUED, "queued", UINT, REQUIRED, 0, ANY, NULL, "tasks that are scheduled or ready")                  \
    X(JQ_AT_FLOW_RUNNING, "running", UINT, REQUIRED, 0, ANY, NULL, "tasks, those that are being cancelled with them")  \
    X(JQ_AT_FLOW_SUCCEEDED, "succeeded", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                        \
    X(JQ_AT_FLOW_DEAD, "dead", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                                  \
    X(JQ_AT_FLOW_CANCELLED, "cancelled", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                        \
    X(JQ_AT_FLOW_EXPIRED, "expired", UINT, REQUIRED, 0, ANY, NULL, "tasks")                                            \
    X(JQ_AT_FLOW_NOT_NEEDED, "not_needed", UINT, REQUIRED, 0, ANY, NULL,                                               \
      "tasks that were for a failure that did not happen")

#define JQ_FIELDS_MEMBER(X)                                                                                            \
    X(JQ_AT_MEMBER_ID, "id", UINT, REQUIRED, 1, ANY, NULL, "")                                                         \
    X(JQ_AT_MEMBER_STATE, "state", TEXT, REQUIRED, 1, 16, NULL, "by name, above")                                      \
    X(JQ_AT_MEMBER_OUTCOME, "outcome", TEXT, REQUIRED, 1, 32, NULL, "by name, above")                                  \
    X(JQ_AT_MEMBER_HANDLER, "handler", TEXT, REQUIRED, 1, JQ_NAME_SIZE_MAX, NULL, "")                                  \
    X(JQ_AT_MEMBER_AFTER, "after", TASKS, 0, 0, JQ_AFTER_COUNT_MAX, NULL, "nil: it waits for nobody")                  \
    X(JQ_AT_MEMBER_ON, "on", TEXT, 0, 0, 16, NULL, "how those must end; nil: it waits for nobody")
/* ---- limits ------------------------------------------------------------------------------------------------------ */

#define JQ_FIELDS_LIMIT_SET(X)                                                                                         \
    X(JQ_AT_LIMIT_SET_SCOPE, "scope", TEXT, REQUIRED, 1, JQ_SCOPE_SIZE_MAX, NULL,                                      \
      "`queue:NAME`, `handler:NAME`, `group:QUEUE/NAME`, or `group:QUEUE/*`: each group of the queue that has no "     \
      "limit of its own")                                                                                              \
    X(JQ_AT_LIMIT_SET_CONCURRENCY, "concurrency", UINT, 0, 1, JQ_U32_MAX, NULL, "so many may run at a time")           \
    X(JQ_AT_LIMIT_SET_RATE, "rate", TEXT, 0, 1, 64, NULL,                                                              \
      "so many may start in so long: `5/s`, `100/m`, `100/h`, `3/d`, `1/90s`; a token bucket that fills evenly")       \
    X(JQ_AT_LIMIT_SET_BURST, "burst", UINT, 0, 1, JQ_BURST_MAX, NULL,                                                  \
      "starts at once that the rate's bucket holds; default: what falls into 10 ms, at least 1")

#define JQ_FIELDS_LIMIT_LS(X)                                                                                          \
    X(JQ_AT_LIMIT_LS_AFTER, "after", UINT, 0, 0, JQ_U32_MAX, NULL, "`next` of the page before")

#define JQ_FIELDS_LIMIT_RM(X) X(JQ_AT_LIMIT_RM_SCOPE, "scope", TEXT, REQUIRED, 1, JQ_SCOPE_SIZE_MAX, NULL, "")

#define JQ_FIELDS_LIMITS_REPLY(X)                                                                                      \
    X(JQ_AT_LIMITS_REPLY_LIMITS, "limits", LIST, REQUIRED, 0, ANY, &jq_message_limit, "")                              \
    X(JQ_AT_LIMITS_REPLY_NEXT, "next", UINT, 0, 0, ANY, NULL, "there may be more: ask on with after = next")

#define JQ_FIELDS_LIMIT(X)                                                                                             \
    X(JQ_AT_LIMIT_SCOPE, "scope", TEXT, REQUIRED, 1, JQ_SCOPE_SIZE_MAX, NULL, "")                                      \
    X(JQ_AT_LIMIT_CONCURRENCY, "concurrency", UINT, 0, 0, ANY, NULL, "absent: none")                                   \
    X(JQ_AT_LIMIT_RATE, "rate", TEXT, 0, 0, ANY, NULL, "absent: none")                                                 \
    X(JQ_AT_LIMIT_BURST, "burst", UINT, 0, 0, ANY, NULL, "with a rate")                                                \
    X(JQ_AT_LIMIT_RUNNING, "running", UINT, 0, 0, ANY, NULL, "not of `group:QUEUE/*`")                                 \
    X(JQ_AT_LIMIT_OPENS, "opens_in_ms", UINT, 0, 0, ANY, NULL, "until its rate lets one start; absent: now")           \
    X(JQ_AT_LIMIT_GROUPS, "groups", UINT, 0, 0, ANY, NULL, "of `group:QUEUE/*`: that it counts for")                   \
    X(JQ_AT_LIMIT_HELD, "held", UINT, REQUIRED, 0, ANY, NULL,                                                          \
      "1 while nothing under it may start, of `group:QUEUE/*` the number of such groups")                              \
    X(JQ_AT_LIMIT_CONFIGURED, "configured", BOOL, 0, 0, 0, NULL,                                                       \
      "by the queue's section of the configuration; absent: by an operator")

/* ---- blobs ------------------------------------------------------------------------------------------------------- */

#define JQ_FIELDS_BLOB_PUT(X)                                                                                          \
    X(JQ_AT_BLOB_PUT_HASH, "hash", BIN, 0, JQ_BLOB_HASH_SIZE, JQ_BLOB_HASH_SIZE, NULL,                                 \
      "SHA-256 of the whole; absent: it comes as a draft")                                                             \
    X(JQ_AT_BLOB_PUT_SIZE, "size", UINT, REQUIRED, 0, JQ_BLOB_SIZE_MAX, NULL, "bytes of the whole")                    \
    X(JQ_AT_BLOB_PUT_OFFSET, "offset", UINT, 0, 0, JQ_BLOB_SIZE_MAX, NULL, "of `data`: a multiple of 49152")           \
    X(JQ_AT_BLOB_PUT_DATA, "data", BIN, 0, 0, JQ_BLOB_PIECE_MAX, NULL,                                                 \
      "49152 bytes or what is left, or a multiple up to `piece_max`; absent: only ask how much has come")              \
    X(JQ_AT_BLOB_PUT_DRAFT, "draft", BIN, 0, JQ_BLOB_HASH_SIZE, JQ_BLOB_HASH_SIZE, NULL,                               \
      "name of a draft, of the putter's choice; with `hash`, and without `data`: the draft is this blob")

#define JQ_FIELDS_BLOB_PUT_REPLY(X)                                                                                    \
    X(JQ_AT_BLOB_PUT_REPLY_HAVE, "have", UINT, REQUIRED, 0, ANY, NULL, "bytes that have come, from the start on")      \
    X(JQ_AT_BLOB_PUT_REPLY_WHOLE, "whole", BOOL, REQUIRED, 0, 0, NULL, "it is stored, checked and on disk")            \
    X(JQ_AT_BLOB_PUT_REPLY_PIECE_MAX, "piece_max", UINT, 0, JQ_BLOB_CHUNK_SIZE, JQ_BLOB_PIECE_MAX, NULL,               \
      "bytes of `data` that this connection carries for the next minute; absent: 49152")                               \
    X(JQ_AT_BLOB_PUT_REPLY_DRAFT, "draft", BOOL, 0, 0, 0, NULL, "true: the draft that was asked about is taken")

#define JQ_FIELDS_BLOB_GET(X)                                                                                          \
    X(JQ_AT_BLOB_GET_HASH, "hash", BIN, REQUIRED, JQ_BLOB_HASH_SIZE, JQ_BLOB_HASH_SIZE, NULL, "SHA-256 of the whole")  \
    X(JQ_AT_BLOB_GET_OFFSET, "offset", UINT, 0, 0, JQ_BLOB_SIZE_MAX, NULL, "a multiple of 49152; default 0")           \
    X(JQ_AT_BLOB_GET_PIECE_MAX, "piece_max", UINT, 0, JQ_BLOB_CHUNK_SIZE, JQ_BLOB_PIECE_MAX, NULL,                     \
      "bytes of `data` that may come: a frame larger than any other; default 49152")

#define JQ_FIELDS_BLOB_GET_REPLY(X)                                                                                    \
    X(JQ_AT_BLOB_GET_REPLY_SIZE, "size", UINT, REQUIRED, 0, ANY, NULL, "bytes of the whole")                           \
    X(JQ_AT_BLOB_GET_REPLY_DATA, "data", BIN, REQUIRED, 0, JQ_BLOB_PIECE_MAX, NULL,                                    \
      "49152 bytes or what is left, or a multiple up to `piece_max`")

#define JQ_FIELDS_BLOB_STAT(X)                                                                                         \
    X(JQ_AT_BLOB_STAT_HASH, "hash", BIN, REQUIRED, JQ_BLOB_HASH_SIZE, JQ_BLOB_HASH_SIZE, NULL, "SHA-256 of the whole")

#define JQ_FIELDS_BLOB_LS(X)                                                                                           \
    X(JQ_AT_BLOB_LS_AFTER, "after", UINT, 0, 0, JQ_U32_MAX, NULL, "`next` of the page before")                         \
    X(JQ_AT_BLOB_LS_LIMIT, "limit", UINT, 0, 1, JQ_LIST_COUNT_MAX, NULL, "rows at most; default 100")

#define JQ_FIELDS_BLOBS_REPLY(X)                                                                                       \
    X(JQ_AT_BLOBS_REPLY_BLOBS, "blobs", LIST, REQUIRED, 0, ANY, &jq_message_blob, "")                                  \
    X(JQ_AT_BLOBS_REPLY_TOTAL, "total", UINT, REQUIRED, 0, ANY, NULL, "blobs that are stored")                         \
    X(JQ_AT_BLOBS_REPLY_BYTES, "total_bytes", UINT, REQUIRED, 0, ANY, NULL, "of them")                                 \
    X(JQ_AT_BLOBS_REPLY_NEXT, "next", UINT, 0, 0, ANY, NULL, "there may be more: ask on with after = next")

#define JQ_FIELDS_BLOB(X)                                                                                              \
    X(JQ_AT_BLOB_HASH, "hash", BIN, REQUIRED, JQ_BLOB_HASH_SIZE, JQ_BLOB_HASH_SIZE, NULL, "SHA-256")                   \
    X(JQ_AT_BLOB_SIZE, "size", UINT, REQUIRED, 0, ANY, NULL, "0 while it is not stored")                               \
    X(JQ_AT_BLOB_STORED, "stored", BOOL, REQUIRED, 0, 0, NULL, "false: tasks refer to it, but its file is lost")       \
    X(JQ_AT_BLOB_REFS, "refs", UINT, REQUIRED, 0, ANY, NULL, "files of tasks that name it")                            \
    X(JQ_AT_BLOB_HAVE, "have", UINT, 0, 0, ANY, NULL, "blob.stat: bytes that have come")                               \
    X(JQ_AT_BLOB_IDLE, "idle_ms", UINT, 0, 0, ANY, NULL, "since nobody refers to it and nobody asked for it")

/* ---- the cache of results ---------------------------------------------------------------------------------------- */

#define JQ_FIELDS_CACHE_REPLY(X)                                                                                       \
    X(JQ_AT_CACHE_ENTRIES, "entries", UINT, REQUIRED, 0, ANY, NULL, "results that are kept")                           \
    X(JQ_AT_CACHE_ENTRIES_MAX, "entries_max", UINT, REQUIRED, 0, ANY, NULL, "0: none are kept")                        \
    X(JQ_AT_CACHE_BYTES, "bytes", UINT, REQUIRED, 0, ANY, NULL, "of memory")                                           \
    X(JQ_AT_CACHE_BYTES_MAX, "bytes_max", UINT, REQUIRED, 0, ANY, NULL, "")                                            \
    X(JQ_AT_CACHE_OUTPUT_BYTES, "output_bytes", UINT, REQUIRED, 0, ANY, NULL, "of the blobs that they hold fast")      \
    X(JQ_AT_CACHE_OUTPUT_BYTES_MAX, "output_bytes_max", UINT, REQUIRED, 0, ANY, NULL, "")                              \
    X(JQ_AT_CACHE_HITS, "hits_total", UINT, REQUIRED, 0, ANY, NULL,                                                    \
      "tasks answered; since the start, like all totals")                                                              \
    X(JQ_AT_CACHE_MISSES, "misses_total", UINT, REQUIRED, 0, ANY, NULL, "tasks that were looked up, and had to run")   \
    X(JQ_AT_CACHE_STORED, "stored_total", UINT, REQUIRED, 0, ANY, NULL, "results that were kept")                      \
    X(JQ_AT_CACHE_EVICTED, "evicted_total", UINT, REQUIRED, 0, ANY, NULL, "results that made room for others")

/* ---- circuit breakers -------------------------------------------------------------------------------------------- */

#define JQ_FIELDS_BREAKER_LS(X)                                                                                        \
    X(JQ_AT_BREAKER_LS_NOT_CLOSED, "not_closed", BOOL, 0, 0, 0, NULL, "only those that are open or half-open")

#define JQ_FIELDS_BREAKER_NAME(X)                                                                                      \
    X(JQ_AT_BREAKER_NAME_NAME, "name", TEXT, REQUIRED, 1, JQ_NAME_SIZE_MAX + 8, NULL,                                  \
      "`handler:NAME`, `worker:NAME` or `service:NAME`")

#define JQ_FIELDS_BREAKER_TRIP(X)                                                                                      \
    X(JQ_AT_BREAKER_TRIP_NAME, "name", TEXT, REQUIRED, 1, JQ_NAME_SIZE_MAX + 8, NULL, "as in breaker.show")            \
    X(JQ_AT_BREAKER_TRIP_FOR, "for_ms", UINT, 0, 0, JQ_SPAN_MS_MAX, NULL,                                              \
      "then it lets probes through; default 0: it stays open until it is reset")

#define JQ_FIELDS_BREAKERS_REPLY(X)                                                                                    \
    X(JQ_AT_BREAKERS_REPLY_BREAKERS, "breakers", LIST, REQUIRED, 0, ANY, &jq_message_breaker, "")                      \
    X(JQ_AT_BREAKERS_REPLY_LEFT_OUT, "left_out", UINT, 0, 0, ANY, NULL, "rows that the frame could not hold")

#define JQ_FIELDS_BREAKER(X)                                                                                           \
    X(JQ_AT_BREAKER_NAME, "name", TEXT, REQUIRED, 0, JQ_NAME_SIZE_MAX + 8, NULL, "`handler:NAME`, ..")                 \
    X(JQ_AT_BREAKER_STATE, "state", TEXT, REQUIRED, 1, 16, NULL, "closed, open or half_open")                          \
    X(JQ_AT_BREAKER_CALLS, "calls", UINT, REQUIRED, 0, ANY, NULL, "that ended in the window, while it is closed")      \
    X(JQ_AT_BREAKER_FAILURES, "failures", UINT, REQUIRED, 0, ANY, NULL, "of them")                                     \
    X(JQ_AT_BREAKER_OPERATOR, "by_operator", BOOL, REQUIRED, 0, 0, NULL, "it was tripped, by an operator")             \
    X(JQ_AT_BREAKER_SINCE, "since_ms", UINT, 0, 0, ANY, NULL, "UTC: of its state; absent: it was never but closed")    \
    X(JQ_AT_BREAKER_UNTIL, "until_ms", UINT, 0, 0, ANY, NULL, "UTC: open until then; absent: until it is reset")       \
    X(JQ_AT_BREAKER_COOL_DOWN, "cool_down_ms", UINT, 0, 0, ANY, NULL, "of this opening")                               \
    X(JQ_AT_BREAKER_PROBES, "probes_good", UINT, 0, 0, ANY, NULL, "half-open: probes that succeeded so far")           \
    X(JQ_AT_BREAKER_HANDLERS, "handlers", TEXT, 0, 0, ANY, NULL,                                                       \
      "of a service: the handlers that have named it, between blanks")
/* ---- output of tasks --------------------------------------------------------------------------------------------- */

#define JQ_FIELDS_OUTPUT_PUT(X)                                                                                        \
    X(JQ_AT_OUTPUT_PUT_SESSION, "session", UUID, REQUIRED, 0, 0, NULL, "")                                             \
    X(JQ_AT_OUTPUT_PUT_TASK, "task", UINT, REQUIRED, 1, ANY, NULL, "")                                                 \
    X(JQ_AT_OUTPUT_PUT_TOKEN, "token", UINT, REQUIRED, 1, ANY, NULL, "of its lease")                                   \
    X(JQ_AT_OUTPUT_PUT_STDOUT_AT, "stdout_at", UINT, 0, 0, ANY, NULL, "bytes that it had written before; default 0")   \
    X(JQ_AT_OUTPUT_PUT_STDOUT, "stdout", BIN, 0, 0, JQ_OUTPUT_CHUNK_MAX, NULL, "")                                     \
    X(JQ_AT_OUTPUT_PUT_STDERR_AT, "stderr_at", UINT, 0, 0, ANY, NULL, "")                                              \
    X(JQ_AT_OUTPUT_PUT_STDERR, "stderr", BIN, 0, 0, JQ_OUTPUT_CHUNK_MAX, NULL, "")

#define JQ_FIELDS_OUTPUT_TAKEN(X)                                                                                      \
    X(JQ_AT_OUTPUT_TAKEN_FOLLOWED, "followed", BOOL, REQUIRED, 0, 0, NULL, "somebody reads it: tell of it often")

#define JQ_FIELDS_TASK_LOGS(X)                                                                                         \
    X(JQ_AT_TASK_LOGS_ID, "id", UINT, REQUIRED, 1, ANY, NULL, "")                                                      \
    X(JQ_AT_TASK_LOGS_STDOUT_AT, "stdout_at", UINT, 0, 0, ANY, NULL, "from this byte on; default 0")                   \
    X(JQ_AT_TASK_LOGS_STDERR_AT, "stderr_at", UINT, 0, 0, ANY, NULL, "")

#define JQ_FIELDS_LOGS(X)                                                                                              \
    X(JQ_AT_LOGS_KNOWN, "known", BOOL, REQUIRED, 0, 0, NULL, "false: nothing is kept but the report's last bytes")     \
    X(JQ_AT_LOGS_TOKEN, "token", UINT, 0, 0, ANY, NULL, "of the lease that it is of: another one, another attempt")    \
    X(JQ_AT_LOGS_STDOUT_AT, "stdout_at", UINT, 0, 0, ANY, NULL, "where `stdout` begins; what was before is gone")      \
    X(JQ_AT_LOGS_STDOUT, "stdout", BIN, 0, 0, JQ_OUTPUT_CHUNK_MAX, NULL, "")                                           \
    X(JQ_AT_LOGS_STDOUT_END, "stdout_end", UINT, 0, 0, ANY, NULL, "bytes written in all, as far as is known here")     \
    X(JQ_AT_LOGS_STDERR_AT, "stderr_at", UINT, 0, 0, ANY, NULL, "")                                                    \
    X(JQ_AT_LOGS_STDERR, "stderr", BIN, 0, 0, JQ_OUTPUT_CHUNK_MAX, NULL, "")                                           \
    X(JQ_AT_LOGS_STDERR_END, "stderr_end", UINT, 0, 0, ANY, NULL, "")

/* ---- backups ----------------------------------------------------------------------------------------------------- */

#define JQ_FIELDS_BACKUP_POINT(X)                                                                                      \
    X(JQ_AT_BACKUP_POINT_END, "end_lsn", UINT, REQUIRED, 0, ANY, NULL,                                                 \
      "everything below is in the backup, and durable")                                                                \
    X(JQ_AT_BACKUP_POINT_DIGEST, "digest", UINT, REQUIRED, 0, ANY, NULL, "of the state at that moment")                \
    X(JQ_AT_BACKUP_POINT_EPOCH, "epoch", UINT, REQUIRED, 0, ANY, NULL, "of the broker's run")                          \
    X(JQ_AT_BACKUP_POINT_TIME, "time_ms", UINT, REQUIRED, 0, ANY, NULL, "UTC: of that moment")

#define JQ_FIELDS_BACKUP_READ(X)                                                                                       \
    X(JQ_AT_BACKUP_READ_SEGMENT, "segment", UINT, 0, 0, ANY, NULL, "LSN in the file's name; absent: the oldest")       \
    X(JQ_AT_BACKUP_READ_OFFSET, "offset", UINT, REQUIRED, 0, ANY, NULL, "in that file, whose header is 4096 bytes")    \
    X(JQ_AT_BACKUP_READ_END, "end_lsn", UINT, REQUIRED, 0, ANY, NULL, "what backup.begin answered")

#define JQ_FIELDS_BACKUP_DATA(X)                                                                                       \
    X(JQ_AT_BACKUP_DATA_SEGMENT, "segment", UINT, REQUIRED, 0, ANY, NULL, "LSN in the file's name")                    \
    X(JQ_AT_BACKUP_DATA_SIZE, "size", UINT, REQUIRED, 0, ANY, NULL, "bytes of that file that belong to the backup")    \
    X(JQ_AT_BACKUP_DATA_NEXT, "next", UINT, 0, 0, ANY, NULL, "the segment behind it; absent: that was the last")       \
    X(JQ_AT_BACKUP_DATA_DATA, "data", BIN, REQUIRED, 0, JQ_BACKUP_CHUNK_MAX, NULL, "from `offset` on")

/* ---- schedules --------------------------------------------------------------------------------------------------- */

#define JQ_FIELDS_SCHEDULE_SET(X)                                                                                      \
    X(JQ_AT_SCHEDULE_SET_NAME, "name", NAME, REQUIRED, 0, 0, NULL, "one that is there is replaced")                    \
    X(JQ_AT_SCHEDULE_SET_WHEN, "when", TEXT, REQUIRED, 1, 255, NULL,                                                   \
      "five fields as in crontab, `@daily` and the like, or `@every 90s`; below")                                      \
    X(JQ_AT_SCHEDULE_SET_ZONE, "zone", TEXT, 0, 1, 64, NULL,                                                           \
      "of the IANA data base, such as Europe/Berlin; default UTC")                                                     \
    X(JQ_AT_SCHEDULE_SET_CATCH_UP, "catch_up", TEXT, 0, 1, 16, NULL,                                                   \
      "of due times that were missed: `none`, `last` or `all`; default `last`")                                        \
    X(JQ_AT_SCHEDULE_SET_OVERLAP, "overlap", TEXT, 0, 1, 16, NULL,                                                     \
      "`allow`, or `skip`: nothing is submitted while its last task has not ended; default `allow`")                   \
    X(JQ_AT_SCHEDULE_SET_JITTER, "jitter_ms", UINT, 0, 0, 86400000, NULL, "each task is ready up to so much later")    \
    X(JQ_AT_SCHEDULE_SET_PAUSED, "paused", BOOL, 0, 0, 0, NULL, "default: as it was, or false")                        \
    X(JQ_AT_SCHEDULE_SET_TASK, "task", MAP, REQUIRED, 0, 0, &jq_message_task,                                          \
      "what is submitted; no key, no absolute times, no dependencies, at most 8192 bytes of payload and headers")

#define JQ_FIELDS_SCHEDULE_NAME(X) X(JQ_AT_SCHEDULE_NAME_NAME, "name", NAME, REQUIRED, 0, 0, NULL, "")

#define JQ_FIELDS_SCHEDULE_PAUSE(X)                                                                                    \
    X(JQ_AT_SCHEDULE_PAUSE_NAME, "name", NAME, REQUIRED, 0, 0, NULL, "")                                               \
    X(JQ_AT_SCHEDULE_PAUSE_PAUSED, "paused", BOOL, REQUIRED, 0, 0, NULL,                                               \
      "what comes due meanwhile is neither submitted nor made up for")

#define JQ_FIELDS_SCHEDULE_LS(X)                                                                                       \
    X(JQ_AT_SCHEDULE_LS_AFTER, "after", UINT, 0, 0, ANY, NULL, "`next` of the page before; default 0")                 \
    X(JQ_AT_SCHEDULE_LS_LIMIT, "limit", UINT, 0, 1, JQ_LIST_COUNT_MAX, NULL, "rows at most; default 100")

#define JQ_FIELDS_SCHEDULES_REPLY(X)                                                                                   \
    X(JQ_AT_SCHEDULES_REPLY_SCHEDULES, "schedules", LIST, REQUIRED, 0, ANY, &jq_message_schedule, "")                  \
    X(JQ_AT_SCHEDULES_REPLY_NEXT, "next", UINT, 0, 0, ANY, NULL, "ask on with `after` = next; absent: that was all")

#define JQ_FIELDS_SCHEDULE(X)                                                                                          \
    X(JQ_AT_SCHEDULE_NAME, "name", NAME, REQUIRED, 0, 0, NULL, "")                                                     \
    X(JQ_AT_SCHEDULE_WHEN, "when", TEXT, REQUIRED, 1, 255, NULL, "as it was set")                                      \
    X(JQ_AT_SCHEDULE_ZONE, "zone", TEXT, REQUIRED, 1, 64, NULL, "")                                                    \
    X(JQ_AT_SCHEDULE_CATCH_UP, "catch_up", TEXT, REQUIRED, 1, 16, NULL, "")                                            \
    X(JQ_AT_SCHEDULE_OVERLAP, "overlap", TEXT, REQUIRED, 1, 16, NULL, "")                                              \
    X(JQ_AT_SCHEDULE_JITTER, "jitter_ms", UINT, REQUIRED, 0, ANY, NULL, "")                                            \
    X(JQ_AT_SCHEDULE_PAUSED, "paused", BOOL, REQUIRED, 0, 0, NULL, "")                                                 \
    X(JQ_AT_SCHEDULE_QUEUE, "queue", NAME, REQUIRED, 0, 0, NULL, "of its task")                                        \
    X(JQ_AT_SCHEDULE_HANDLER, "handler", NAME, REQUIRED, 0, 0, NULL, "of its task")                                    \
    X(JQ_AT_SCHEDULE_NEXT, "next_ms", UINT, 0, 0, ANY, NULL, "UTC: due next; absent: not as it stands")                \
    X(JQ_AT_SCHEDULE_LAST_DUE, "last_due_ms", UINT, 0, 0, ANY, NULL, "UTC: the last due time that was submitted")      \
    X(JQ_AT_SCHEDULE_LAST_TASK, "last_task", UINT, 0, 0, ANY, NULL, "id of the last task that it submitted")           \
    X(JQ_AT_SCHEDULE_FIRED, "fired", UINT, REQUIRED, 0, ANY, NULL, "due times that were submitted")                    \
    X(JQ_AT_SCHEDULE_MISSED, "missed", UINT, REQUIRED, 0, ANY, NULL, "due times passed over by `catch_up`")            \
    X(JQ_AT_SCHEDULE_SKIPPED, "skipped", UINT, REQUIRED, 0, ANY, NULL, "due times passed over by `overlap`")           \
    X(JQ_AT_SCHEDULE_TROUBLE, "trouble", TEXT, 0, 1, 256, NULL, "why nothing is submitted, for people")                \
    X(JQ_AT_SCHEDULE_TIMES, "times", TASKS, 0, 0, 5, NULL, "schedule.show: UTC, the next times it is due")             \
    X(JQ_AT_SCHEDULE_TASK, "task", MAP, 0, 0, 0, &jq_message_task,                                                     \
      "schedule.show: what is submitted, with the headers that every task of it gets")

#endif
