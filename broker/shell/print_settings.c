#include "broker/shell/print_settings.h"

#include <inttypes.h>

#include "common/text.h"

static const void *field_of(const void *base, size_t offset) {
    return (const char *)base + offset;
}

static int64_t number_of(const void *field) {
    int64_t number;
    memcpy(&number, field, sizeof(number));
    return number;
}

static void append_list(const struct jq_conf_list *list, struct jq_buf *out) {
    for (size_t i = 0; i < list->count; i++)
        jq_buf_append_format(out, "%s%s", i > 0 ? " " : "", list->items[i]);
}

static void append_number(const struct jq_conf_key *key, int64_t number, struct jq_buf *out) {
    char duration[JQ_DURATION_TEXT_SIZE];
    char size[JQ_SIZE_TEXT_SIZE];
    switch (key->type) {
    case JQ_CONF_DURATION: jq_buf_append_text(out, jq_str_of(jq_text_format_duration(number, duration))); break;
    case JQ_CONF_SIZE: jq_buf_append_text(out, jq_str_of(jq_text_format_size((uint64_t)number, size))); break;
    case JQ_CONF_MODE: jq_buf_append_format(out, "%04" PRIo64, (uint64_t)number); break;
    case JQ_CONF_ENUM: jq_buf_append_text(out, jq_str_of(key->choices[number])); break;
    default: jq_buf_append_format(out, "%" PRId64, number);
    }
}

static void append_value(const struct jq_conf_key *key, const void *field, struct jq_buf *out) {
    switch (key->type) {
    case JQ_CONF_STRING:
    case JQ_CONF_PATH: {
        const char *text;
        memcpy(&text, field, sizeof(text));
        jq_buf_append_text(out, jq_str_of(text));
        break;
    }
    case JQ_CONF_BOOL: jq_buf_append_text(out, *(const bool *)field ? JQ_STR("yes") : JQ_STR("no")); break;
    case JQ_CONF_LIST:
    case JQ_CONF_WORDS: append_list(field, out); break;
    default: append_number(key, number_of(field), out);
    }
}

static void append_keys(const struct jq_conf_section *section, const void *base, struct jq_buf *out) {
    for (size_t i = 0; i < section->key_count; i++) {
        const struct jq_conf_key *key = &section->keys[i];
        jq_buf_append_format(out, "%s = ", key->name);
        append_value(key, field_of(base, key->offset), out);
        jq_buf_append_u8(out, '\n');
    }
}

static void append_items(const struct jq_conf_section *section, const struct jq_conf_items *items, struct jq_buf *out) {
    for (size_t i = 0; i < items->count; i++) {
        const struct jq_conf_item *item = field_of(items->data, i * section->item_size);
        jq_buf_append_format(out, "\n[%s %s]\n", section->name, item->name);
        append_keys(section, item, out);
    }
}

void jq_settings_append(const struct jq_conf_schema *schema, const void *settings, struct jq_buf *out) {
    for (size_t i = 0; i < schema->section_count; i++) {
        const struct jq_conf_section *section = &schema->sections[i];
        if (section->item_size > 0) {
            append_items(section, field_of(settings, section->offset), out);
            continue;
        }
        jq_buf_append_format(out, "%s[%s]\n", i > 0 ? "\n" : "", section->name);
        append_keys(section, settings, out);
    }
}
