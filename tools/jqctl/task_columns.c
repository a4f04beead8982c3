/* task_columns.c - the columns of a task. */
#include "tools/jqctl/task.h"

static const struct jqctl_column retry_columns[] = {
    {"max", "failures", JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"base_ms", "first after", JQCTL_SPAN, JQCTL_TABLE, NULL},
    {"cap_ms", "at most", JQCTL_SPAN, JQCTL_TABLE, NULL},
};
static const struct jqctl_columns retry = JQCTL_COLUMNS(retry_columns);

/* The last report. */
static const struct jqctl_column detail_columns[] = {
    {"worker", "ran on", JQCTL_TEXT, JQCTL_SHEET, NULL},    {"exit", "exit code", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"signal", "signal", JQCTL_COUNT, JQCTL_SHEET, NULL},   {"message", "message", JQCTL_TEXT, JQCTL_BOTH, NULL},
    {"service", "service", JQCTL_TEXT, JQCTL_SHEET, NULL},  {"duration_ms", "took", JQCTL_SPAN, JQCTL_BOTH, NULL},
    {"cpu_ms", "cpu", JQCTL_SPAN, JQCTL_SHEET, NULL},       {"outputs", "outputs", JQCTL_TEXTS, JQCTL_SHEET, NULL},
    {"rss_bytes", "memory", JQCTL_SIZE, JQCTL_SHEET, NULL}, {"result", "result", JQCTL_DATA, JQCTL_BOTH, NULL},
    {"stdout", "stdout", JQCTL_TAIL, JQCTL_SHEET, NULL},    {"stderr", "stderr", JQCTL_TAIL, JQCTL_SHEET, NULL},
    {"version", "version", JQCTL_TEXT, JQCTL_SHEET, NULL},
};
static const struct jqctl_columns detail = JQCTL_COLUMNS(detail_columns);

/* What every answer tells of a task. `table` is JQCTL_TABLE where the table has room for the whole of it, else 0. */
#define COMMON_COLUMNS(table)                                                                                          \
    {"id", "id", JQCTL_ID, JQCTL_BOTH, NULL}, {"state", "state", JQCTL_STATE, JQCTL_BOTH, NULL},                       \
        {"outcome", "outcome", JQCTL_TEXT, JQCTL_BOTH | JQCTL_SOFT, NULL},                                             \
        {"queue", "queue", JQCTL_TEXT, JQCTL_SHEET | (table) | JQCTL_SOFT, NULL},                                      \
        {"handler", "handler", JQCTL_TEXT, JQCTL_BOTH | JQCTL_SOFT, NULL},                                             \
        {"priority", "pri", JQCTL_COUNT, JQCTL_SHEET | (table), NULL},                                                 \
        {"group", "group", JQCTL_TEXT, JQCTL_SHEET, NULL}, {"need", "need", JQCTL_TEXT, JQCTL_SHEET, NULL},            \
        {"want", "want", JQCTL_TEXT, JQCTL_SHEET | JQCTL_SOFT, NULL},                                                  \
        {"attempts", "failed", JQCTL_COUNT, JQCTL_BOTH, NULL}, {"crashes", "crashes", JQCTL_COUNT, JQCTL_SHEET, NULL}, \
        {"losses", "losses", JQCTL_COUNT, JQCTL_SHEET, NULL},                                                          \
        {"first_ready_ms", "first ready", JQCTL_TIME, JQCTL_SHEET, NULL},                                              \
        {"at_ms", "since", JQCTL_TIME, JQCTL_SHEET | (table), NULL},                                                   \
        {"expires_ms", "expires", JQCTL_TIME, JQCTL_SHEET, NULL}, {"retry", "retry", JQCTL_MAP, JQCTL_SHEET, &retry},  \
        {"soft_limit_ms", "soft limit", JQCTL_LIMIT, JQCTL_SHEET, NULL},                                               \
        {"hard_limit_ms", "hard limit", JQCTL_LIMIT, JQCTL_SHEET, NULL},                                               \
        {"result_ttl_ms", "result kept", JQCTL_SPAN, JQCTL_SHEET, NULL},                                               \
        {"worker", "worker", JQCTL_TEXT, JQCTL_SHEET | (table) | JQCTL_SOFT, NULL},                                    \
        {"progress", "progress", JQCTL_PERMILLE, JQCTL_SHEET | (table), NULL},                                         \
        {"progress_text", "progress text", JQCTL_TEXT, JQCTL_SHEET, NULL}, {                                           \
        "error", "error", JQCTL_TEXT, JQCTL_SHEET | (table) | JQCTL_SOFT, NULL                                         \
    }

static const struct jqctl_column row_columns[] = {COMMON_COLUMNS(JQCTL_TABLE)};

static const struct jqctl_column whole_columns[] = {
    COMMON_COLUMNS(JQCTL_TABLE),
    {"flow", "flow", JQCTL_ID, JQCTL_SHEET, NULL},
    {"after", "after", JQCTL_IDS, JQCTL_SHEET, NULL},
    {"on", "once these", JQCTL_TEXT, JQCTL_SHEET, NULL},
    {"headers", "headers", JQCTL_TEXTS, JQCTL_SHEET, NULL},
    {"inputs", "inputs", JQCTL_TEXTS, JQCTL_SHEET, NULL},
    {"outputs", "outputs", JQCTL_WORDS, JQCTL_SHEET, NULL},
    {"payload", "payload", JQCTL_DATA, JQCTL_SHEET, NULL},
    {"damaged", "damaged", JQCTL_FLAG, JQCTL_SHEET, NULL},
    {"detail_left_out", "left out", JQCTL_FLAG, JQCTL_SHEET, NULL},
    {"detail", "report", JQCTL_MAP, JQCTL_SHEET, &detail},
};

static const struct jqctl_column ended_columns[] = {
    COMMON_COLUMNS(0),
    {"damaged", "damaged", JQCTL_FLAG, JQCTL_SHEET, NULL},
    {"detail", "report", JQCTL_MAP, JQCTL_BOTH | JQCTL_SOFT, &detail},
};

const struct jqctl_columns jqctl_task_row = JQCTL_COLUMNS(row_columns);
const struct jqctl_columns jqctl_task_whole = JQCTL_COLUMNS(whole_columns);
const struct jqctl_columns jqctl_task_ended = JQCTL_COLUMNS(ended_columns);
