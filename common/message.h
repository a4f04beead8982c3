/* message.h - the message table: every op, message and field of the protocol, once. PROTOCOL.md is the same for people.
 *
 * The decoder checks against it, the encoder takes its key names from it, PROTOCOL.md's tables and jqctl's help are
 * made of it. Adding a field: a row in message_fields.h. Adding an op: its messages there and in JQ_MESSAGE_LIST, a row
 * in JQ_OP_ROWS.
 *
 * Everything here is constant data and pure functions.
 */
#ifndef JQ_COMMON_MESSAGE_H
#define JQ_COMMON_MESSAGE_H

#include "common/message_fields.h"
#include "common/message_fields_control.h"
#include "common/types.h"
#include "common/vocab.h"
#include "common/where.h"

enum {
    JQ_PROTOCOL_VERSION = 1,
    JQ_SUBMIT_COUNT_MAX = 1000, /* tasks of one submit */
    JQ_REPORT_COUNT_MAX = 256,  /* reports of one lease or report */
    JQ_LEASE_COUNT_MAX = 256,   /* tasks of one lease answer */
    JQ_HELD_COUNT_MAX = 3000,
    JQ_IDS_COUNT_MAX = 1000,
    JQ_LIST_COUNT_MAX = 1000,
    JQ_FLOW_COUNT_MAX = 1000000, /* tasks of one flow */
    JQ_LIST_COUNT_DEFAULT = 100,
    JQ_HEADERS_COUNT_MAX = 256,
    JQ_OUTPUT_CHUNK_MAX = 24 * 1024, /* bytes of stdout, of stderr in one output.put or answer to task.logs */
    JQ_BACKUP_CHUNK_MAX = 56 * 1024, /* bytes of the journal in one answer: a frame with little else */
    JQ_FILES_COUNT_MAX = 64,         /* inputs of one task, and outputs */
    JQ_MESSAGE_TEXT_SIZE_MAX = 1024,
    JQ_PROGRESS_TEXT_SIZE_MAX = 120,
    JQ_WAIT_MS_MAX = 20000, /* a long poll is answered by then; its sender gives up 5 s later */
    JQ_GRACE_MS_DEFAULT = 5000,
    JQ_RETRY_MAX_DEFAULT = 3,
    JQ_RETRY_COUNT_MAX = 255, /* attempts, crashes and the like are counted so far */
    JQ_RETRY_BASE_MS_DEFAULT = 1000,
    JQ_RETRY_CAP_MS_DEFAULT = 600000,
    JQ_RESULT_TTL_MS_DEFAULT = 86400000,
    /* Bytes that a lease answer takes beside its tasks and verdicts, and that one of its verdicts takes at most. */
    JQ_LEASE_REPLY_OVERHEAD = 1024,
    JQ_VERDICT_SIZE_MAX = 24,
};
#define JQ_SPAN_MS_MAX     UINT64_C(315576000000)    /* ten years */
#define JQ_WALL_MS_MAX     UINT64_C(253402300799999) /* the end of the year 9999 */
#define JQ_INTERVAL_US_MAX UINT64_C(31622400000000)  /* a year */
#define JQ_BACKOFF_MS_MAX  UINT64_C(2592000000)      /* thirty days */
#define JQ_DEPTH_MAX       UINT64_C(1000000000)
#define JQ_QUEUE_BYTES_MAX (UINT64_C(1) << 50)
#define JQ_WEIGHT_MAX      UINT64_C(1000)
#define JQ_U32_MAX         UINT64_C(4294967295)
#define JQ_BLOB_SIZE_MAX   (UINT64_C(1) << 40)
#define JQ_UINT_ANY        UINT64_MAX

/* type, word in PROTOCOL.md, what `min` and `max` bound */
#define JQ_FIELD_TYPE_LIST(X)                                                                                          \
    X(JQ_FIELD_UINT, "uint")            /* its value */                                                                \
    X(JQ_FIELD_NUMBER, "number")        /* nothing: an integer or a float */                                           \
    X(JQ_FIELD_BOOL, "bool")            /* nothing */                                                                  \
    X(JQ_FIELD_TEXT, "str")             /* its bytes; no NUL in it */                                                  \
    X(JQ_FIELD_NAME, "name")            /* nothing: [a-z0-9_.-]{1,64} */                                               \
    X(JQ_FIELD_NEED, "need")            /* its bytes, before it becomes canonical */                                   \
    X(JQ_FIELD_BIN, "bin")              /* its bytes */                                                                \
    X(JQ_FIELD_UUID, "bin 16")          /* nothing */                                                                  \
    X(JQ_FIELD_TASKS, "[uint]")         /* number of task ids, none of them 0 */                                       \
    X(JQ_FIELD_WORDS, "[str]")          /* number of words, 64 bytes each at most */                                   \
    X(JQ_FIELD_AMOUNTS, "{name: uint}") /* number of entries */                                                        \
    X(JQ_FIELD_TEXTS, "{str: str}")     /* number of entries */                                                        \
    X(JQ_FIELD_UNITS, "{name: [uint]}") /* number of entries; of each, 1 to 64 numbers up to 65535 */                  \
    X(JQ_FIELD_MAP, "map")              /* nothing; `of` names the message in it */                                    \
    X(JQ_FIELD_LIST, "list")            /* number of elements; `of` names the message in each */

enum jq_field_type {
#define JQ_FIELD_TYPE_ENUM(type, word) type,
    JQ_FIELD_TYPE_LIST(JQ_FIELD_TYPE_ENUM)
#undef JQ_FIELD_TYPE_ENUM
};

enum jq_field_flag {
    JQ_FIELD_REQUIRED = 1, /* must be given, and not be nil */
    JQ_FIELD_LATER = 2     /* known, but refused until a later version */
};

struct jq_message;

struct jq_field {
    const char *name;
    uint8_t name_size;
    uint8_t type;  /* enum jq_field_type */
    uint8_t flags; /* enum jq_field_flag */
    uint64_t min, max;
    const struct jq_message *of; /* NULL: opaque */
    const char *help;
};

enum { JQ_FIELDS_MAX = 64 }; /* of one message: a bit each */

struct jq_message {
    const char *name;
    bool tuple; /* an array with the fields in order, not a map; it may be longer, and shorter by fields not required */
    uint8_t count;
    uint64_t required; /* a bit per field */
    const struct jq_field *fields;
};

/* name, fields, is a tuple */
#define JQ_MESSAGE_LIST(X)                                                                                             \
    X(request, JQ_FIELDS_REQUEST, true)                                                                                \
    X(reply, JQ_FIELDS_REPLY, true)                                                                                    \
    X(refusal, JQ_FIELDS_REFUSAL, false)                                                                               \
    X(hello, JQ_FIELDS_HELLO, false)                                                                                   \
    X(hello_reply, JQ_FIELDS_HELLO_REPLY, false)                                                                       \
    X(register, JQ_FIELDS_REGISTER, false)                                                                             \
    X(handler, JQ_FIELDS_HANDLER, false)                                                                               \
    X(register_reply, JQ_FIELDS_REGISTER_REPLY, false)                                                                 \
    X(submit, JQ_FIELDS_SUBMIT, false)                                                                                 \
    X(task, JQ_FIELDS_TASK, false)                                                                                     \
    X(retry, JQ_FIELDS_RETRY, false)                                                                                   \
    X(submit_reply, JQ_FIELDS_SUBMIT_REPLY, false)                                                                     \
    X(exception, JQ_FIELDS_EXCEPTION, true)                                                                            \
    X(lease, JQ_FIELDS_LEASE, false)                                                                                   \
    X(report_item, JQ_FIELDS_REPORT_ITEM, true)                                                                        \
    X(detail, JQ_FIELDS_DETAIL, false)                                                                                 \
    X(held, JQ_FIELDS_HELD, true)                                                                                      \
    X(lease_reply, JQ_FIELDS_LEASE_REPLY, false)                                                                       \
    X(leased, JQ_FIELDS_LEASED, true)                                                                                  \
    X(command, JQ_FIELDS_COMMAND, true)                                                                                \
    X(report, JQ_FIELDS_REPORT, false)                                                                                 \
    X(report_reply, JQ_FIELDS_REPORT_REPLY, false)                                                                     \
    X(wait, JQ_FIELDS_WAIT, false)                                                                                     \
    X(task_id, JQ_FIELDS_TASK_ID, false)                                                                               \
    X(task_ls, JQ_FIELDS_TASK_LS, false)                                                                               \
    X(tasks_reply, JQ_FIELDS_TASKS_REPLY, false)                                                                       \
    X(row, JQ_FIELDS_ROW, false)                                                                                       \
    X(explain_reply, JQ_FIELDS_EXPLAIN_REPLY, false)                                                                   \
    X(why, JQ_FIELDS_WHY, false)                                                                                       \
    X(task_cancel, JQ_FIELDS_TASK_CANCEL, false)                                                                       \
    X(task_ids, JQ_FIELDS_TASK_IDS, false)                                                                             \
    X(task_move, JQ_FIELDS_TASK_MOVE, false)                                                                           \
    X(many_reply, JQ_FIELDS_MANY_REPLY, false)                                                                         \
    X(queue_ls, JQ_FIELDS_QUEUE_LS, false)                                                                             \
    X(queues_reply, JQ_FIELDS_QUEUES_REPLY, false)                                                                     \
    X(queue, JQ_FIELDS_QUEUE, false)                                                                                   \
    X(queue_set, JQ_FIELDS_QUEUE_SET, false)                                                                           \
    X(events_read, JQ_FIELDS_EVENTS_READ, false)                                                                       \
    X(events_reply, JQ_FIELDS_EVENTS_REPLY, false)                                                                     \
    X(event, JQ_FIELDS_EVENT, false)                                                                                   \
    X(worker_ls, JQ_FIELDS_WORKER_LS, false)                                                                           \
    X(worker_show, JQ_FIELDS_WORKER_SHOW, false)                                                                       \
    X(worker_drain, JQ_FIELDS_WORKER_DRAIN, false)                                                                     \
    X(workers_reply, JQ_FIELDS_WORKERS_REPLY, false)                                                                   \
    X(worker, JQ_FIELDS_WORKER, false)                                                                                 \
    X(flow_begin, JQ_FIELDS_FLOW_BEGIN, false)                                                                         \
    X(flow_add, JQ_FIELDS_FLOW_ADD, false)                                                                             \
    X(flow_commit, JQ_FIELDS_FLOW_COMMIT, false)                                                                       \
    X(flow_stage_reply, JQ_FIELDS_FLOW_STAGE_REPLY, false)                                                             \
    X(flow_cancel, JQ_FIELDS_FLOW_CANCEL, false)                                                                       \
    X(flow_show, JQ_FIELDS_FLOW_SHOW, false)                                                                           \
    X(flow_ls, JQ_FIELDS_FLOW_LS, false)                                                                               \
    X(flow_wait, JQ_FIELDS_FLOW_WAIT, false)                                                                           \
    X(flows_reply, JQ_FIELDS_FLOWS_REPLY, false)                                                                       \
    X(flow, JQ_FIELDS_FLOW, false)                                                                                     \
    X(member, JQ_FIELDS_MEMBER, true)                                                                                  \
    X(dead_replay, JQ_FIELDS_DEAD_REPLAY, false)                                                                       \
    X(dead_edit, JQ_FIELDS_DEAD_EDIT, false)                                                                           \
    X(breaker_ls, JQ_FIELDS_BREAKER_LS, false)                                                                         \
    X(breaker_name, JQ_FIELDS_BREAKER_NAME, false)                                                                     \
    X(breaker_trip, JQ_FIELDS_BREAKER_TRIP, false)                                                                     \
    X(breakers_reply, JQ_FIELDS_BREAKERS_REPLY, false)                                                                 \
    X(breaker, JQ_FIELDS_BREAKER, false)                                                                               \
    X(schedule_set, JQ_FIELDS_SCHEDULE_SET, false)                                                                     \
    X(schedule_name, JQ_FIELDS_SCHEDULE_NAME, false)                                                                   \
    X(schedule_pause, JQ_FIELDS_SCHEDULE_PAUSE, false)                                                                 \
    X(schedule_ls, JQ_FIELDS_SCHEDULE_LS, false)                                                                       \
    X(schedules_reply, JQ_FIELDS_SCHEDULES_REPLY, false)                                                               \
    X(schedule, JQ_FIELDS_SCHEDULE, false)                                                                             \
    X(limit_set, JQ_FIELDS_LIMIT_SET, false)                                                                           \
    X(limit_ls, JQ_FIELDS_LIMIT_LS, false)                                                                             \
    X(limit_rm, JQ_FIELDS_LIMIT_RM, false)                                                                             \
    X(limits_reply, JQ_FIELDS_LIMITS_REPLY, false)                                                                     \
    X(limit, JQ_FIELDS_LIMIT, false)                                                                                   \
    X(output_put, JQ_FIELDS_OUTPUT_PUT, false)                                                                         \
    X(output_taken, JQ_FIELDS_OUTPUT_TAKEN, false)                                                                     \
    X(task_logs, JQ_FIELDS_TASK_LOGS, false)                                                                           \
    X(logs, JQ_FIELDS_LOGS, false)                                                                                     \
    X(backup_point, JQ_FIELDS_BACKUP_POINT, false)                                                                     \
    X(backup_read, JQ_FIELDS_BACKUP_READ, false)                                                                       \
    X(backup_data, JQ_FIELDS_BACKUP_DATA, false)                                                                       \
    X(blob_put, JQ_FIELDS_BLOB_PUT, false)                                                                             \
    X(blob_put_reply, JQ_FIELDS_BLOB_PUT_REPLY, false)                                                                 \
    X(blob_get, JQ_FIELDS_BLOB_GET, false)                                                                             \
    X(blob_get_reply, JQ_FIELDS_BLOB_GET_REPLY, false)                                                                 \
    X(blob_stat, JQ_FIELDS_BLOB_STAT, false)                                                                           \
    X(blob_ls, JQ_FIELDS_BLOB_LS, false)                                                                               \
    X(cache_reply, JQ_FIELDS_CACHE_REPLY, false)                                                                       \
    X(blobs_reply, JQ_FIELDS_BLOBS_REPLY, false)                                                                       \
    X(blob, JQ_FIELDS_BLOB, false)                                                                                     \
    X(server, JQ_FIELDS_SERVER, false)                                                                                 \
    X(survey, JQ_FIELDS_SURVEY, true)                                                                                  \
    X(survey_response, JQ_FIELDS_SURVEY_RESPONSE, true)                                                                \
    X(progress, JQ_FIELDS_PROGRESS, true)                                                                              \
    X(notice, JQ_FIELDS_NOTICE, false)

/* The place of each field in its message: JQ_AT_TASK_HANDLER is 0. */
#define JQ_FIELD_PLACE(place, ...)             place,
#define JQ_MESSAGE_PLACES(name, fields, tuple) enum { fields(JQ_FIELD_PLACE) JQ_COUNT_##name };
JQ_MESSAGE_LIST(JQ_MESSAGE_PLACES)

/* jq_message_task and so on; jq_message_none has no fields. */
#define JQ_MESSAGE_DECLARE(name, fields, tuple) extern const struct jq_message jq_message_##name;
JQ_MESSAGE_LIST(JQ_MESSAGE_DECLARE)
extern const struct jq_message jq_message_none;

/* All of them, in the order of JQ_MESSAGE_LIST. */
extern const struct jq_message *const jq_messages[];
extern const size_t jq_messages_count;

/* number (that of broker/core/event.h; hello, which the core never sees, is 0), name, role, changes something, request,
 * reply, help */
#define JQ_OP_ROWS(X)                                                                                                  \
    X(0, "hello", NONE, false, hello, hello_reply, "who are you, and what are your limits?")                           \
    X(1, "submit", CLIENT, true, submit, submit_reply, "take these tasks")                                             \
    X(2, "register", WORKER, true, register, register_reply, "I am a worker, and this is what I offer")                \
    X(3, "lease", WORKER, true, lease, lease_reply, "give me tasks; here are my reports (a long poll)")                \
    X(4, "report", WORKER, true, report, report_reply, "reports alone, while a lease poll is parked")                  \
    X(5, "wait", OBSERVER, false, wait, tasks_reply, "tell me when one of these has ended (a long poll)")              \
    X(6, "task.show", OBSERVER, false, task_id, tasks_reply, "one task, with payload and last report")                 \
    X(7, "task.ls", OBSERVER, false, task_ls, tasks_reply, "a page of tasks by ascending id")                          \
    X(8, "task.explain", OBSERVER, false, task_id, explain_reply, "why is it not running?")                            \
    X(9, "task.cancel", CLIENT, true, task_cancel, many_reply, "cancel tasks, running ones too")                       \
    X(10, "dead.replay", ADMIN, true, dead_replay, many_reply, "dead letters back into their queues")                  \
    X(11, "dead.rm", ADMIN, true, task_ids, many_reply, "forget dead letters")                                         \
    X(12, "queue.ls", OBSERVER, false, queue_ls, queues_reply, "a page of queues, or one")                             \
    X(13, "queue.set", ADMIN, true, queue_set, many_reply, "pause, drain or tune a queue")                             \
    X(14, "worker.ls", OBSERVER, false, worker_ls, workers_reply, "a page of workers")                                 \
    X(15, "worker.show", OBSERVER, false, worker_show, workers_reply, "one worker, with facts and handlers")           \
    X(16, "worker.drain", ADMIN, true, worker_drain, many_reply, "give a worker nothing more, or again")               \
    X(17, "server.status", OBSERVER, false, none, server, "the broker's numbers")                                      \
    X(18, "flow.begin", CLIENT, true, flow_begin, flow_stage_reply,                                                    \
      "a flow of tasks comes in, to be taken as a whole")                                                              \
    X(19, "flow.add", CLIENT, true, flow_add, flow_stage_reply, "these are its next tasks")                            \
    X(20, "flow.commit", CLIENT, true, flow_commit, flow_stage_reply, "that was all: begin")                           \
    X(21, "flow.cancel", CLIENT, true, flow_cancel, many_reply, "cancel all of a flow, running tasks too")             \
    X(22, "flow.show", OBSERVER, false, flow_show, flows_reply, "one flow, and a page of its tasks")                   \
    X(23, "flow.ls", OBSERVER, false, flow_ls, flows_reply, "a page of flows")                                         \
    X(24, "flow.wait", OBSERVER, false, flow_wait, flows_reply, "tell me when a flow has ended (a long poll)")         \
    X(25, "breaker.ls", OBSERVER, false, breaker_ls, breakers_reply,                                                   \
      "circuit breakers, those that are not closed first")                                                             \
    X(26, "breaker.show", OBSERVER, false, breaker_name, breakers_reply, "one circuit breaker")                        \
    X(27, "breaker.trip", ADMIN, true, breaker_trip, many_reply, "open a circuit breaker")                             \
    X(28, "breaker.reset", ADMIN, true, breaker_name, many_reply, "close a circuit breaker")                           \
    X(29, "dead.edit", ADMIN, true, dead_edit, many_reply, "change a dead letter before it is replayed")               \
    X(30, "schedule.set", ADMIN, true, schedule_set, many_reply, "submit this task by the clock; or: from now on so")  \
    X(31, "schedule.rm", ADMIN, true, schedule_name, many_reply, "forget a schedule; its tasks stay")                  \
    X(32, "schedule.pause", ADMIN, true, schedule_pause, many_reply, "pause or resume a schedule")                     \
    X(33, "schedule.run", ADMIN, true, schedule_name, submit_reply, "submit its task now, besides")                    \
    X(34, "schedule.ls", OBSERVER, false, schedule_ls, schedules_reply, "a page of schedules")                         \
    X(35, "schedule.show", OBSERVER, false, schedule_name, schedules_reply, "one schedule, its task, its next times")  \
    X(36, "limit.set", ADMIN, true, limit_set, many_reply, "so many at a time, so many in so long; replaces")          \
    X(37, "limit.ls", OBSERVER, false, limit_ls, limits_reply, "a page of limits")                                     \
    X(38, "limit.rm", ADMIN, true, limit_rm, many_reply, "no limit any more")                                          \
    X(39, "task.hold", ADMIN, true, task_ids, many_reply, "keep tasks that wait from being handed out")                \
    X(40, "task.release", ADMIN, true, task_ids, many_reply, "let held tasks go")                                      \
    X(41, "task.move", ADMIN, true, task_move, many_reply, "tasks that wait into another queue")                       \
    X(42, "task.rm", ADMIN, true, task_ids, many_reply, "forget tasks that have ended")                                \
    X(43, "events.read", OBSERVER, false, events_read, events_reply, "what has changed (a long poll)")                 \
    X(44, "backup.begin", ADMIN, false, none, backup_point, "a moment to which the journal shall be copied")           \
    X(45, "backup.read", ADMIN, false, backup_read, backup_data, "a piece of the journal's files, up to that moment")  \
    X(46, "blob.put", EITHER, false, blob_put, blob_put_reply, "a piece of a blob; the last one stores it")            \
    X(47, "blob.get", OBSERVER, false, blob_get, blob_get_reply, "a piece of a blob")                                  \
    X(48, "blob.stat", OBSERVER, false, blob_stat, blobs_reply, "what is known of a blob")                             \
    X(49, "blob.ls", OBSERVER, false, blob_ls, blobs_reply, "a page of blobs")                                         \
    X(50, "blob.gc", ADMIN, true, none, many_reply, "drop blobs that nobody refers to, 1000 at most")                  \
    X(51, "output.put", WORKER, false, output_put, output_taken, "a running task of mine has written this")            \
    X(52, "task.logs", OBSERVER, false, task_logs, logs, "what has a task written?")                                   \
    X(53, "cache.stat", OBSERVER, false, none, cache_reply, "the cache of results in numbers")                         \
    X(54, "cache.purge", ADMIN, true, none, many_reply, "drop cached results, 1000 at most")

struct jq_op_info {
    uint8_t number;
    uint8_t name_size;
    const char *name;
    enum jq_role role; /* least that is needed, see jq_role_allows() */
    bool changes;      /* goes through the request window */
    const struct jq_message *request, *reply;
    const char *help;
};

/* Indexed by number. */
extern const struct jq_op_info jq_ops[];
extern const size_t jq_ops_count;

/* NULL: no such op. */
const struct jq_op_info *jq_op_find(struct jq_str name);

/* The place of a field by its name on the wire, or -1. Looks from place `from` on first: whoever writes the fields in
 * our order is served at the first look. */
int jq_message_place(const struct jq_message *message, struct jq_str name, unsigned from);

/* The word of PROTOCOL.md for a type. */
const char *jq_field_type_word(enum jq_field_type type);

/* May somebody of role `held` do what needs `needed`? Everybody may do what needs none; an admin everything; a client
 * and a worker also what an observer may. */
bool jq_role_allows(enum jq_role held, enum jq_role needed);

#endif
