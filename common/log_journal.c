#include "common/log_sink.h"

#include <stdio.h>
#include <sys/uio.h>
#include <syslog.h>

/* Without this sd-journal adds the place in this very file to every entry. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

enum { OWN_FIELD_COUNT = 3, FIELDS_SIZE_MAX = 16 * 1024 };

/* Fields lie one behind the other in `data`, each "NAME=value". One that does not fit is left out. */
struct entry {
    char data[FIELDS_SIZE_MAX];
    size_t size;
    struct iovec parts[OWN_FIELD_COUNT + JQ_LOG_FIELD_COUNT_MAX];
    int part_count;
};

static int priority_of(enum jq_log_level level) {
    switch (level) {
    case JQ_LOG_LEVEL_DEBUG: return LOG_DEBUG;
    case JQ_LOG_LEVEL_INFO: return LOG_INFO;
    case JQ_LOG_LEVEL_WARN: return LOG_WARNING;
    case JQ_LOG_LEVEL_ERROR: break;
    }
    return LOG_ERR;
}

/* Names of the journal are of A-Z, 0-9 and _ (systemd.journal-fields(7)). */
static char field_char(char c) {
    if (c >= 'a' && c <= 'z')
        return (char)(c - 'a' + 'A');
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
}

static void add_field(struct entry *entry, const char *prefix, const char *key, struct jq_str value) {
    const size_t prefix_size = strlen(prefix);
    const size_t key_size = strlen(key);
    const size_t size = prefix_size + key_size + 1 + value.size;
    if (value.size > FIELDS_SIZE_MAX || size > FIELDS_SIZE_MAX - entry->size)
        return;
    char *at = entry->data + entry->size;
    entry->parts[entry->part_count++] = (struct iovec){at, size};
    entry->size += size;
    memcpy(at, prefix, prefix_size);
    at += prefix_size;
    for (size_t i = 0; i < key_size; i++)
        *at++ = field_char(key[i]);
    *at++ = '=';
    if (value.size > 0)
        memcpy(at, value.data, value.size);
}

/* Most people see only MESSAGE: it carries the values too, as a line of logfmt does. */
static void add_message(struct entry *entry, const char *message, const struct jq_log_field *fields, size_t count) {
    struct jq_log_line line;
    const size_t message_size = strlen(message);
    line.size = message_size > JQ_LOG_LINE_SIZE_MAX / 2 ? JQ_LOG_LINE_SIZE_MAX / 2 : message_size;
    line.cut = line.size < message_size;
    memcpy(line.data, message, line.size);
    jq_log_add_fields(&line, fields, count);
    add_field(entry, "", "MESSAGE", (struct jq_str){line.data, line.size});
}

bool jq_log_to_journal(const char *name, enum jq_log_level level, const char *message,
                       const struct jq_log_field *fields, size_t count) {
    struct entry entry;
    entry.size = 0;
    entry.part_count = 0;
    char number[JQ_LOG_NUMBER_SIZE];
    snprintf(number, sizeof(number), "%d", priority_of(level));
    add_message(&entry, message, fields, count);
    add_field(&entry, "", "PRIORITY", jq_str_of(number));
    if (name)
        add_field(&entry, "", "SYSLOG_IDENTIFIER", jq_str_of(name));
    for (size_t i = 0; i < count; i++)
        add_field(&entry, "JQ_", fields[i].key, jq_log_value_text(&fields[i], number));
    return sd_journal_sendv(entry.parts, entry.part_count) == 0;
}
