/* vocab.h - the words that broker, worker, clients and logs share: each a small integer with one name.
 *
 * The integers are part of the wire protocol and of the journal: never renumber, only append.
 */
#ifndef JQ_COMMON_VOCAB_H
#define JQ_COMMON_VOCAB_H

#include <stdbool.h>

#include "common/types.h"

/* Status of a reply (PROTOCOL.md): number, name. A refusal is an ordinary reply. */
#define JQ_REPLY_LIST(X)                                                                                               \
    X(JQ_REPLY_OK, 0, "ok")                                                                                            \
    X(JQ_REPLY_BUSY, 1, "busy")                                                                                        \
    X(JQ_REPLY_MOVED, 2, "moved")                                                                                      \
    X(JQ_REPLY_NOT_LEADER, 3, "not_leader")                                                                            \
    X(JQ_REPLY_UNAUTHORIZED, 4, "unauthorized")                                                                        \
    X(JQ_REPLY_FORBIDDEN, 5, "forbidden")                                                                              \
    X(JQ_REPLY_INVALID, 6, "invalid")                                                                                  \
    X(JQ_REPLY_NOT_FOUND, 7, "not_found")                                                                              \
    X(JQ_REPLY_CONFLICT, 8, "conflict")                                                                                \
    X(JQ_REPLY_STALE_LEASE, 9, "stale_lease")                                                                          \
    X(JQ_REPLY_TOO_BIG, 10, "too_big")                                                                                 \
    X(JQ_REPLY_DRAINING, 11, "draining")                                                                               \
    X(JQ_REPLY_UNAVAILABLE, 12, "unavailable")

/* Where a task is in its life (README.md). Final are succeeded, dead, cancelled and expired. One that has not begun, and that
 * somebody holds, is shown as held. */
#define JQ_STATE_LIST(X)                                                                                               \
    X(JQ_STATE_NONE, 0, "none")                                                                                        \
    X(JQ_STATE_WAITING, 1, "waiting")                                                                                  \
    X(JQ_STATE_SCHEDULED, 2, "scheduled")                                                                              \
    X(JQ_STATE_READY, 3, "ready")                                                                                      \
    X(JQ_STATE_RUNNING, 4, "running")                                                                                  \
    X(JQ_STATE_CANCELLING, 5, "cancelling")                                                                            \
    X(JQ_STATE_SUCCEEDED, 6, "succeeded")                                                                              \
    X(JQ_STATE_DEAD, 7, "dead")                                                                                        \
    X(JQ_STATE_CANCELLED, 8, "cancelled")                                                                              \
    X(JQ_STATE_EXPIRED, 9, "expired")                                                                                  \
    X(JQ_STATE_BLOCKED, 10, "blocked") /* it waits for a task that is dead, and may be replayed */                     \
    X(JQ_STATE_HELD, 11, "held")

/* How an attempt ended: the error classes of PROTOCOL.md, and the three ends that are no error of the handler. */
#define JQ_OUTCOME_LIST(X)                                                                                             \
    X(JQ_OUTCOME_NONE, 0, "none")                                                                                      \
    X(JQ_OUTCOME_SUCCESS, 1, "success")                                                                                \
    X(JQ_OUTCOME_INVALID_INPUT, 2, "invalid_input")                                                                    \
    X(JQ_OUTCOME_RESOURCE_EXHAUSTED, 3, "resource_exhausted")                                                          \
    X(JQ_OUTCOME_PROCESS_FAILURE, 4, "process_failure")                                                                \
    X(JQ_OUTCOME_NETWORK, 5, "network")                                                                                \
    X(JQ_OUTCOME_TIMEOUT, 6, "timeout")                                                                                \
    X(JQ_OUTCOME_LOST, 7, "lost")                                                                                      \
    X(JQ_OUTCOME_CANCELLED, 8, "cancelled")                                                                            \
    X(JQ_OUTCOME_HANDED_BACK, 9, "handed_back")                                                                        \
    X(JQ_OUTCOME_EXPIRED, 10, "expired")                                                                               \
    X(JQ_OUTCOME_DAMAGED, 11, "damaged")                                                                               \
    X(JQ_OUTCOME_CRASH_LIMIT, 12, "crash_limit")                                                                       \
    X(JQ_OUTCOME_LOST_LIMIT, 13, "lost_limit")                                                                         \
    X(JQ_OUTCOME_PARENT_FAILED, 14, "parent_failed") /* cancelled: what it waited for will not come */                 \
    X(JQ_OUTCOME_NOT_NEEDED, 15, "not_needed")       /* cancelled: it was for a failure that did not happen */         \
    X(JQ_OUTCOME_SHED, 16, "shed")                   /* expired: a full queue dropped it for one of higher priority */ \
    X(JQ_OUTCOME_CACHED, 17, "cached") /* succeeded without a run: a pure handler gave this result before */

/* How a task that another waits for must have ended. */
#define JQ_ON_LIST(X)                                                                                                  \
    X(JQ_ON_SUCCEEDED, 1, "succeeded")                                                                                 \
    X(JQ_ON_FINISHED, 2, "finished") /* in any way */                                                                  \
    X(JQ_ON_FAILED, 3, "failed")     /* dead, cancelled or expired */

/* What a principal may do (protocol.md, Security). */
#define JQ_ROLE_LIST(X)                                                                                                \
    X(JQ_ROLE_NONE, 0, "none")                                                                                         \
    X(JQ_ROLE_OBSERVER, 1, "observer")                                                                                 \
    X(JQ_ROLE_CLIENT, 2, "client")                                                                                     \
    X(JQ_ROLE_WORKER, 3, "worker")                                                                                     \
    X(JQ_ROLE_ADMIN, 4, "admin")                                                                                       \
    X(JQ_ROLE_EITHER, 5, "client or worker") /* nobody's: what some requests need */

/* How far on disk an answer waits to be (journal.md). */
#define JQ_DURABILITY_LIST(X)                                                                                          \
    X(JQ_DURABILITY_MEMORY, 0, "memory")                                                                               \
    X(JQ_DURABILITY_WRITE, 1, "write")                                                                                 \
    X(JQ_DURABILITY_FSYNC, 2, "fsync")

/* What a circuit breaker is about, and how it stands. */
#define JQ_BREAKER_KIND_LIST(X)                                                                                        \
    X(JQ_BREAKER_HANDLER, 0, "handler")                                                                                \
    X(JQ_BREAKER_WORKER, 1, "worker")                                                                                  \
    X(JQ_BREAKER_SERVICE, 2, "service")
#define JQ_BREAKER_STATE_LIST(X)                                                                                       \
    X(JQ_BREAKER_CLOSED, 0, "closed")                                                                                  \
    X(JQ_BREAKER_OPEN, 1, "open")                                                                                      \
    X(JQ_BREAKER_HALF_OPEN, 2, "half_open")
enum { JQ_BREAKER_KIND_COUNT = 3, JQ_BREAKER_STATE_COUNT = 3 };
/* What a key stands for. */
#define JQ_UNIQUE_LIST(X)                                                                                              \
    X(JQ_UNIQUE_NONE, 0, "none")                                                                                       \
    X(JQ_UNIQUE_WHILE_QUEUED, 1, "while_queued")                                                                       \
    X(JQ_UNIQUE_UNTIL_DONE, 2, "until_done")                                                                           \
    X(JQ_UNIQUE_THROTTLE, 3, "throttle")                                                                               \
    X(JQ_UNIQUE_DEBOUNCE, 4, "debounce")

/* Headers that the broker gives to each task of a schedule, and nobody else may give to one. */
#define JQ_HEADER_SCHEDULE JQ_STR("jq-schedule") /* its name */
#define JQ_HEADER_DUE      JQ_STR("jq-due")      /* RFC 3339, UTC */
static inline bool jq_is_schedule_header(struct jq_str name) {
    return jq_str_equal(name, JQ_HEADER_SCHEDULE) || jq_str_equal(name, JQ_HEADER_DUE);
}

/* What becomes of a schedule's due times that were missed. */
#define JQ_CATCH_UP_LIST(X)                                                                                            \
    X(JQ_CATCH_UP_NONE, 0, "none")                                                                                     \
    X(JQ_CATCH_UP_LAST, 1, "last")                                                                                     \
    X(JQ_CATCH_UP_ALL, 2, "all")

/* What a full queue does with a newcomer: answers busy, drops the lowest task that waits for one of higher priority, or holds the
 * answer back until there is room. */
#define JQ_POLICY_LIST(X)                                                                                              \
    X(JQ_POLICY_REJECT, 0, "reject")                                                                                   \
    X(JQ_POLICY_SHED, 1, "shed_lowest")                                                                                \
    X(JQ_POLICY_BLOCK, 2, "block")

#define JQ_VOCAB_ENUM(name, number, text) name = (number),
enum jq_reply { JQ_REPLY_LIST(JQ_VOCAB_ENUM) };
enum jq_state { JQ_STATE_LIST(JQ_VOCAB_ENUM) };
enum jq_on { JQ_ON_LIST(JQ_VOCAB_ENUM) };
enum jq_outcome { JQ_OUTCOME_LIST(JQ_VOCAB_ENUM) JQ_OUTCOME_END };
enum jq_queue_policy { JQ_POLICY_LIST(JQ_VOCAB_ENUM) };
enum jq_role { JQ_ROLE_LIST(JQ_VOCAB_ENUM) };
enum jq_durability { JQ_DURABILITY_LIST(JQ_VOCAB_ENUM) };
enum jq_breaker_kind { JQ_BREAKER_KIND_LIST(JQ_VOCAB_ENUM) };
enum jq_breaker_state { JQ_BREAKER_STATE_LIST(JQ_VOCAB_ENUM) };
enum jq_unique { JQ_UNIQUE_LIST(JQ_VOCAB_ENUM) };
enum jq_catch_up { JQ_CATCH_UP_LIST(JQ_VOCAB_ENUM) };
#undef JQ_VOCAB_ENUM

/* Names; "?" for a number that is none of them. */
const char *jq_reply_name(enum jq_reply reply);
const char *jq_state_name(enum jq_state state);
const char *jq_outcome_name(enum jq_outcome outcome);
const char *jq_on_name(enum jq_on on);
const char *jq_role_name(enum jq_role role);
const char *jq_durability_name(enum jq_durability durability);
const char *jq_breaker_kind_name(enum jq_breaker_kind kind);
const char *jq_breaker_state_name(enum jq_breaker_state state);
const char *jq_unique_name(enum jq_unique unique);
const char *jq_catch_up_name(enum jq_catch_up catch_up);
const char *jq_policy_name(enum jq_queue_policy policy);

/* The number of a name; false if there is none such. */
bool jq_state_of_name(struct jq_str name, enum jq_state *ret_state);
bool jq_outcome_of_name(struct jq_str name, enum jq_outcome *ret_outcome);
bool jq_on_of_name(struct jq_str name, enum jq_on *ret_on);
bool jq_role_of_name(struct jq_str name, enum jq_role *ret_role);
bool jq_breaker_kind_of_name(struct jq_str name, enum jq_breaker_kind *ret_kind);
bool jq_unique_of_name(struct jq_str name, enum jq_unique *ret_unique);
bool jq_policy_of_name(struct jq_str name, enum jq_queue_policy *ret_policy);
bool jq_catch_up_of_name(struct jq_str name, enum jq_catch_up *ret_catch_up);

static inline bool jq_state_is_final(enum jq_state state) {
    return state >= JQ_STATE_SUCCEEDED && state <= JQ_STATE_EXPIRED;
}

/* Priorities by name: urgent 9, high 7, normal 5, low 3, background 1, or one digit. -1 if neither. */
int jq_priority_of_name(struct jq_str name);

#endif
