/* log.h - one line a fact, with a level, a message and named values.
 *
 *     JQ_LOG_INFO("listening", JQ_F_STR("url", url), JQ_F_INT("port", 7710));
 *     ts=2024-02-29T12:00:00.000Z level=info msg=listening url=tcp://127.0.0.1:7710 port=7710
 *
 * Written as logfmt, one write(2) a line of at most JQ_LOG_LINE_SIZE_MAX bytes (a longer one is cut, and says
 * truncated=true); or to the journal of systemd, with each value as a field of its own (JQ_URL=, JQ_PORT=) beside
 * MESSAGE and PRIORITY, when standard error is connected to it (JOURNAL_STREAM, systemd.exec(5)). Control characters
 * and bad UTF-8 are escaped: nobody outside can forge a line. Any thread may log, at any time; errno is kept. Only
 * programs log: libraries return errors.
 */
#ifndef JQ_COMMON_LOG_H
#define JQ_COMMON_LOG_H

#include "common/err.h"
#include "common/types.h"

enum { JQ_LOG_LINE_SIZE_MAX = 4096, JQ_LOG_FIELD_COUNT_MAX = 24 };

enum jq_log_level {
    JQ_LOG_LEVEL_DEBUG,
    JQ_LOG_LEVEL_INFO,
    JQ_LOG_LEVEL_WARN,
    JQ_LOG_LEVEL_ERROR,
};

enum jq_log_target {
    JQ_LOG_TARGET_AUTO,    /* the journal when standard error is connected to it, else logfmt */
    JQ_LOG_TARGET_LOGFMT,  /* to `fd` */
    JQ_LOG_TARGET_JOURNAL, /* logfmt to `fd` where the journal cannot be reached */
};

struct jq_log_config {
    enum jq_log_level level; /* the least that is written */
    enum jq_log_target target;
    const char *name; /* of the program (SYSLOG_IDENTIFIER), static; NULL: the journal finds one */
    int fd;           /* for logfmt; the caller's. 0 means 2, standard error */
};

enum jq_log_kind { JQ_LOG_KIND_STR, JQ_LOG_KIND_INT, JQ_LOG_KIND_UINT, JQ_LOG_KIND_DOUBLE, JQ_LOG_KIND_BOOL };

struct jq_log_field {
    const char *key; /* [a-z0-9_.], a literal of the program */
    enum jq_log_kind kind;
    union {
        struct jq_str text; /* any bytes; borrowed for the call */
        int64_t integer;
        uint64_t natural;
        double real;
        bool boolean;
    };
};

/* Before other threads log. Without it: logfmt to standard error, from level info. */
void jq_log_open(const struct jq_log_config *config);

/* At any time, by any thread. */
void jq_log_set_level(enum jq_log_level level);
bool jq_log_enabled(enum jq_log_level level);

/* "debug", "info", "warn", "error". */
const char *jq_log_level_name(enum jq_log_level level);
enum jq_err jq_log_parse_level(struct jq_str text, enum jq_log_level *ret_level, struct jq_error *reterr);

/* At most JQ_LOG_FIELD_COUNT_MAX fields; more are dropped. */
void jq_log(enum jq_log_level level, const char *message, const struct jq_log_field *fields, size_t count);

static inline struct jq_log_field jq_log_str(const char *key, struct jq_str text) {
    return (struct jq_log_field){.key = key, .kind = JQ_LOG_KIND_STR, .text = text};
}
static inline struct jq_log_field jq_log_int(const char *key, int64_t value) {
    return (struct jq_log_field){.key = key, .kind = JQ_LOG_KIND_INT, .integer = value};
}
static inline struct jq_log_field jq_log_uint(const char *key, uint64_t value) {
    return (struct jq_log_field){.key = key, .kind = JQ_LOG_KIND_UINT, .natural = value};
}
static inline struct jq_log_field jq_log_double(const char *key, double value) {
    return (struct jq_log_field){.key = key, .kind = JQ_LOG_KIND_DOUBLE, .real = value};
}
static inline struct jq_log_field jq_log_bool(const char *key, bool value) {
    return (struct jq_log_field){.key = key, .kind = JQ_LOG_KIND_BOOL, .boolean = value};
}

/* Fields: of a C string (NULL: empty), of a struct jq_str, of numbers, of the message of a struct jq_error *. */
#define JQ_F_STR(key, value)    jq_log_str((key), jq_str_of(value))
#define JQ_F_TEXT(key, ...)     jq_log_str((key), (__VA_ARGS__))
#define JQ_F_INT(key, value)    jq_log_int((key), (value))
#define JQ_F_UINT(key, value)   jq_log_uint((key), (value))
#define JQ_F_DOUBLE(key, value) jq_log_double((key), (value))
#define JQ_F_BOOL(key, value)   jq_log_bool((key), (value))
#define JQ_F_ERR(error)         jq_log_str("error", jq_str_of((error)->message))

/* Message, then up to 12 fields, which are only evaluated when the level is enabled. */
#define JQ_LOG_DEBUG(...) JQ_LOG_AT(JQ_LOG_LEVEL_DEBUG, __VA_ARGS__)
#define JQ_LOG_INFO(...)  JQ_LOG_AT(JQ_LOG_LEVEL_INFO, __VA_ARGS__)
#define JQ_LOG_WARN(...)  JQ_LOG_AT(JQ_LOG_LEVEL_WARN, __VA_ARGS__)
#define JQ_LOG_ERROR(...) JQ_LOG_AT(JQ_LOG_LEVEL_ERROR, __VA_ARGS__)

#define JQ_LOG_AT(level, ...)                                                                                          \
    (jq_log_enabled(level) ? JQ_LOG_PICK(__VA_ARGS__, M, M, M, M, M, M, M, M, M, M, M, M, S, 0)(level, __VA_ARGS__)    \
                           : (void)0)
#define JQ_LOG_PICK(_0, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, suffix, ...) JQ_LOG_WITH_##suffix

#define JQ_LOG_WITH_S(level, message) jq_log((level), (message), NULL, 0)
#define JQ_LOG_WITH_M(level, message, ...)                                                                             \
    jq_log((level), (message), (const struct jq_log_field[]){__VA_ARGS__},                                             \
           sizeof((const struct jq_log_field[]){__VA_ARGS__}) / sizeof(struct jq_log_field))

#endif
