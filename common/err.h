/* err.h - the error codes of jqmesh and the struct that carries their detail.
 *
 * A function that can fail returns `enum jq_err` and takes `struct jq_error *reterr` as its last parameter. `reterr`
 * may be NULL; it is written only on failure. Outputs named `ret_*` are set only on JQ_OK. Libraries never log: they
 * return. A refusal that is part of the protocol (a stale lease, a full queue) is no error but an `enum jq_reply`
 * (reply.h).
 */
#ifndef JQ_COMMON_ERR_H
#define JQ_COMMON_ERR_H

/* code, name in logs and JSON, text for people */
#define JQ_ERR_LIST(X)                                                                                                 \
    X(JQ_OK, "ok", "success")                                                                                          \
    X(JQ_ERR_NOMEM, "nomem", "out of memory")                                                                          \
    X(JQ_ERR_IO, "io", "input/output error")                                                                           \
    X(JQ_ERR_INVALID, "invalid", "invalid input")                                                                      \
    X(JQ_ERR_TOO_BIG, "too_big", "larger than its limit")                                                              \
    X(JQ_ERR_NOT_FOUND, "not_found", "not found")                                                                      \
    X(JQ_ERR_EXISTS, "exists", "exists already")                                                                       \
    X(JQ_ERR_BUSY, "busy", "busy, try again later")                                                                    \
    X(JQ_ERR_CORRUPT, "corrupt", "damaged data")                                                                       \
    X(JQ_ERR_VERSION, "version", "made by another version")                                                            \
    X(JQ_ERR_FOREIGN, "foreign", "belongs to another log")                                                             \
    X(JQ_ERR_LOCKED, "locked", "owned by a running process")                                                           \
    X(JQ_ERR_NO_SPACE, "no_space", "no space left")                                                                    \
    X(JQ_ERR_TIMEOUT, "timeout", "timed out")                                                                          \
    X(JQ_ERR_CLOSED, "closed", "closed")                                                                               \
    X(JQ_ERR_UNAVAILABLE, "unavailable", "not available")                                                              \
    X(JQ_ERR_DENIED, "denied", "permission denied")                                                                    \
    X(JQ_ERR_CONFLICT, "conflict", "conflicts with the present state")                                                 \
    X(JQ_ERR_PROTOCOL, "protocol", "not the protocol")                                                                 \
    X(JQ_ERR_UNSUPPORTED, "unsupported", "not supported here")                                                         \
    X(JQ_ERR_ADDRESS, "address", "address cannot be used")                                                             \
    X(JQ_ERR_CANCELED, "canceled", "canceled")

enum jq_err {
#define JQ_ERR_CODE(code, name, text) code,
    JQ_ERR_LIST(JQ_ERR_CODE)
#undef JQ_ERR_CODE
};

struct jq_error {
    enum jq_err code;
    int sys_errno;     /* errno of the system call that failed, or 0 */
    char message[256]; /* one line, names the thing and the reason, no trailing full stop or newline */
};

/* Short name ("not_found") and text ("not found") of a code. Static strings, never NULL. */
const char *jq_err_name(enum jq_err code);
const char *jq_err_text(enum jq_err code);

/* Fills *reterr (if not NULL) and returns `code`. `return jq_fail(reterr, JQ_ERR_INVALID, "queue: empty name");` */
enum jq_err jq_fail(struct jq_error *reterr, enum jq_err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: appends ": " and the text of `sys_errno`. ENOSPC/EDQUOT become JQ_ERR_NO_SPACE,
 * ENOMEM JQ_ERR_NOMEM, EACCES/EPERM JQ_ERR_DENIED, ENOENT JQ_ERR_NOT_FOUND; anything else JQ_ERR_IO. */
enum jq_err jq_fail_errno(struct jq_error *reterr, int sys_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A broken promise between our own functions: says file, line and expression on stderr and aborts, in every build. */
#define JQ_CHECK(expr) ((expr) ? (void)0 : jq_check_failed(#expr, __FILE__, __LINE__))
__attribute__((noreturn)) void jq_check_failed(const char *expr, const char *file, int line); /* C++ reads it, too */

#endif
