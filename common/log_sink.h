/* log_sink.h - what the two writers of the log share. Only log.c and log_journal.c include it. */
#ifndef JQ_COMMON_LOG_SINK_H
#define JQ_COMMON_LOG_SINK_H

#include "common/log.h"

enum { JQ_LOG_NUMBER_SIZE = 32 };

/* Start with size 0 and not cut. */
struct jq_log_line {
    char data[JQ_LOG_LINE_SIZE_MAX];
    size_t size;
    bool cut; /* something did not fit */
};

/* The value as text: the field's own, or its number printed into `place`. */
struct jq_str jq_log_value_text(const struct jq_log_field *field, char place[JQ_LOG_NUMBER_SIZE]);

/* Appends " key=value" for each field, and the mark of a line that was cut; leaves room for a line end. Called once,
 * last. */
void jq_log_add_fields(struct jq_log_line *line, const struct jq_log_field *fields, size_t count);

/* False when the journal could not be reached. */
bool jq_log_to_journal(const char *name, enum jq_log_level level, const char *message,
                       const struct jq_log_field *fields, size_t count);

#endif
