#include "common/log.h"

#include "common/clock.h"
#include "common/log_sink.h"
#include "common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};
enum { LEVEL_COUNT = sizeof(level_names) / sizeof(level_names[0]) };

static struct jq_log_config config = {.level = JQ_LOG_LEVEL_INFO, .target = JQ_LOG_TARGET_LOGFMT, .fd = 2};
static atomic_int level_min = JQ_LOG_LEVEL_INFO;

/* JOURNAL_STREAM holds device and inode of the journal's stream; a redirected standard error has others. */
static bool stderr_is_journal(void) {
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    if (!stream || fstat(STDERR_FILENO, &status) != 0)
        return false;
    char actual[64];
    snprintf(actual, sizeof(actual), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(actual, stream) == 0;
}

void jq_log_open(const struct jq_log_config *wanted) {
    config = *wanted;
    if (config.fd == 0)
        config.fd = STDERR_FILENO;
    if (config.target == JQ_LOG_TARGET_AUTO)
        config.target = stderr_is_journal() ? JQ_LOG_TARGET_JOURNAL : JQ_LOG_TARGET_LOGFMT;
    jq_log_set_level(config.level);
}

void jq_log_set_level(enum jq_log_level level) {
    atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

bool jq_log_enabled(enum jq_log_level level) {
    return (int)level >= atomic_load_explicit(&level_min, memory_order_relaxed);
}

const char *jq_log_level_name(enum jq_log_level level) {
    return (size_t)level < LEVEL_COUNT ? level_names[level] : "unknown";
}

enum jq_err jq_log_parse_level(struct jq_str text, enum jq_log_level *ret_level, struct jq_error *reterr) {
    for (size_t i = 0; i < LEVEL_COUNT; i++) {
        if (jq_str_equal(text, jq_str_of(level_names[i]))) {
            *ret_level = (enum jq_log_level)i;
            return JQ_OK;
        }
    }
    return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s': not a log level (debug, info, warn, error)",
                   (int)(text.size > 40 ? 40 : text.size), text.data);
}

struct jq_str jq_log_value_text(const struct jq_log_field *field, char place[JQ_LOG_NUMBER_SIZE]) {
    switch (field->kind) {
    case JQ_LOG_KIND_STR: return field->text;
    case JQ_LOG_KIND_INT: snprintf(place, JQ_LOG_NUMBER_SIZE, "%" PRId64, field->integer); break;
    case JQ_LOG_KIND_UINT: snprintf(place, JQ_LOG_NUMBER_SIZE, "%" PRIu64, field->natural); break;
    case JQ_LOG_KIND_DOUBLE: snprintf(place, JQ_LOG_NUMBER_SIZE, "%.6g", field->real); break;
    case JQ_LOG_KIND_BOOL: return field->boolean ? JQ_STR("true") : JQ_STR("false");
    }
    return jq_str_of(place);
}

/* What a cut line still needs: the closing quote, this mark, the end of the line. */
#define CUT_MARK " truncated=true"
enum { LINE_SIZE_MAX = JQ_LOG_LINE_SIZE_MAX - sizeof("\"" CUT_MARK "\n") };

/* All or nothing, so that no character or escape is cut in half; after the first refusal nothing more. */
static void add(struct jq_log_line *line, const char *data, size_t size) {
    if (line->cut || size > LINE_SIZE_MAX - line->size) {
        line->cut = true;
        return;
    }
    memcpy(line->data + line->size, data, size);
    line->size += size;
}

static void add_str(struct jq_log_line *line, struct jq_str text) {
    if (text.size > 0)
        add(line, text.data, text.size);
}

/* Only these stand without quotes: a reader of logfmt needs no more than its first "=" and the next blank. */
static bool is_bare(struct jq_str value) {
    for (size_t i = 0; i < value.size; i++) {
        const char c = value.data[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return value.size > 0;
}

static void add_quoted(struct jq_log_line *line, struct jq_str value) {
    add(line, "\"", 1);
    if (line->cut)
        return;
    while (value.size > 0 && !line->cut) {
        char escaped[JQ_ESCAPE_SIZE_MAX];
        const size_t size = jq_text_escape(&value, escaped);
        add(line, escaped, size);
    }
    /* Past the limit if need be: room for it is kept. */
    line->data[line->size++] = '"';
}

static void add_value(struct jq_log_line *line, struct jq_str value) {
    if (is_bare(value) && value.size <= LINE_SIZE_MAX - line->size)
        add_str(line, value);
    else
        add_quoted(line, value);
}

static void add_pair(struct jq_log_line *line, const char *key, struct jq_str value) {
    /* Blank, key, '=' and at least one quoted character, or nothing of the pair. */
    const size_t least = strlen(key) + 1 + 1 + JQ_ESCAPE_SIZE_MAX;
    if (line->cut || least > LINE_SIZE_MAX - line->size) {
        line->cut = true;
        return;
    }
    if (line->size > 0)
        add(line, " ", 1);
    add(line, key, strlen(key));
    add(line, "=", 1);
    add_value(line, value);
}

void jq_log_add_fields(struct jq_log_line *line, const struct jq_log_field *fields, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char place[JQ_LOG_NUMBER_SIZE];
        add_pair(line, fields[i].key, jq_log_value_text(&fields[i], place));
    }
    if (line->cut) {
        memcpy(line->data + line->size, CUT_MARK, sizeof(CUT_MARK) - 1);
        line->size += sizeof(CUT_MARK) - 1;
    }
}

static void write_line(const struct jq_log_line *line) {
    size_t written = 0;
    while (written < line->size) {
        const ssize_t got = write(config.fd, line->data + written, line->size - written);
        if (got < 0 && errno == EINTR)
            continue;
        /* There is nobody left to tell. */
        if (got <= 0)
            return;
        written += (size_t)got;
    }
}

static void log_to_fd(enum jq_log_level level, const char *message, const struct jq_log_field *fields, size_t count) {
    struct jq_log_line line;
    char time[JQ_TIME_TEXT_SIZE];
    line.size = 0;
    line.cut = false;
    add_pair(&line, "ts", jq_str_of(jq_text_format_time(jq_clock_wall_ms(), time)));
    add_pair(&line, "level", jq_str_of(jq_log_level_name(level)));
    add_pair(&line, "msg", jq_str_of(message));
    jq_log_add_fields(&line, fields, count);
    line.data[line.size++] = '\n';
    write_line(&line);
}

void jq_log(enum jq_log_level level, const char *message, const struct jq_log_field *fields, size_t count) {
    if (!jq_log_enabled(level))
        return;
    const int saved_errno = errno;
    if (count > JQ_LOG_FIELD_COUNT_MAX)
        count = JQ_LOG_FIELD_COUNT_MAX;
    if (config.target != JQ_LOG_TARGET_JOURNAL || !jq_log_to_journal(config.name, level, message, fields, count))
        log_to_fd(level, message, fields, count);
    errno = saved_errno;
}
