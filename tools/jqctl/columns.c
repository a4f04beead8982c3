/* columns.c - fields as cells, as lines and as JSON: a writer of each for every kind. */
#include "tools/jqctl/columns.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/need.h"
#include "common/text.h"
#include "tools/jqctl/payload.h"
#include "tools/jqctl/when.h"

enum { DATA_SHOWN_MAX = 4096, AMOUNT_WIDTH_MAX = 7 };

/* ---- text --------------------------------------------------------------------------------------------------------------- */

void jqctl_append_safe(struct jq_buf *buf, struct jq_str text, bool lines) {
    char place[JQ_ESCAPE_SIZE_MAX];
    while (text.size > 0) {
        const char c = *text.data;
        const bool plain = c == '"' || c == '\\' || (lines && (c == '\n' || c == '\t'));
        const size_t size = jq_text_escape(&text, place);
        jq_buf_append(buf, plain ? &c : place, plain ? 1 : size);
    }
}

bool jqctl_is_text(struct jq_bytes bytes) {
    for (size_t i = 0; i < bytes.size; i++) {
        const uint8_t c = bytes.data[i];
        if ((c < ' ' && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
            return false;
    }
    return jq_text_utf8_valid((struct jq_str){(const char *)bytes.data, bytes.size});
}

static struct jq_str str_of_bytes(struct jq_bytes bytes) {
    return (struct jq_str){(const char *)bytes.data, bytes.size};
}

/* ---- kinds as text ------------------------------------------------------------------------------------------------------ */

static uint64_t uint_of(struct jq_view value) {
    return jq_view_to_uint(value, 0);
}

static int64_t ms_of(struct jq_view value) {
    return (int64_t)(uint_of(value) & INT64_MAX);
}

static void append_size(struct jq_buf *buf, uint64_t bytes) {
    static const char *const units[] = {"", "K", "M", "G", "T", "P", "E"};
    size_t unit = 0;
    double left = (double)bytes;
    for (; left >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        left /= 1024;
    jq_buf_append_format(buf, unit && left < 10 ? "%.1f%s" : "%.0f%s", left, units[unit]);
}

static void append_span(struct jq_buf *buf, int64_t ms) {
    char place[JQCTL_SPAN_TEXT_SIZE];
    jq_buf_append_format(buf, "%s", jqctl_span_format(ms, place));
}

/* Exact, but for what is large: nobody reads mem=24684096k. */
static void append_amount(struct jq_buf *buf, uint64_t amount) {
    char place[JQ_AMOUNT_TEXT_SIZE_MAX];
    const size_t size = jq_amount_format(amount, place);
    if (size > AMOUNT_WIDTH_MAX)
        append_size(buf, amount / JQ_AMOUNT_UNIT);
    else
        jq_buf_append(buf, place, size);
}

static void append_amounts(struct jq_buf *buf, struct jq_view map) {
    for (size_t i = 0; i < jq_view_count(map); i++) {
        jq_buf_append_format(buf, "%s", i ? " " : "");
        jqctl_append_safe(buf, jq_view_key_at(map, i), false);
        jq_buf_append_u8(buf, '=');
        append_amount(buf, uint_of(jq_view_value_at(map, i)));
    }
}

static void append_text(struct jq_buf *buf, struct jq_view map, size_t at) {
    jqctl_append_safe(buf, jq_view_key_at(map, at), false);
    jq_buf_append_u8(buf, '=');
    jqctl_append_safe(buf, jq_view_to_str(jq_view_value_at(map, at)), false);
}

static void append_texts(struct jq_buf *buf, struct jq_view map) {
    for (size_t i = 0; i < jq_view_count(map); i++) {
        jq_buf_append_format(buf, "%s", i ? " " : "");
        append_text(buf, map, i);
    }
}

/* Returns how many they are; none is appended where `buf` is NULL. */
static size_t append_headers(struct jq_buf *buf, struct jq_view map) {
    size_t count = 0;
    for (size_t i = 0; i < jq_view_count(map); i++) {
        if (jq_is_schedule_header(jq_view_key_at(map, i)))
            continue;
        if (buf) {
            jq_buf_append_format(buf, "%s", count ? " " : "");
            append_text(buf, map, i);
        }
        count++;
    }
    return count;
}

static void append_units(struct jq_buf *buf, struct jq_view map) {
    for (size_t i = 0; i < jq_view_count(map); i++) {
        const struct jq_view list = jq_view_value_at(map, i);
        jq_buf_append_format(buf, "%s", i ? " " : "");
        jqctl_append_safe(buf, jq_view_key_at(map, i), false);
        jq_buf_append_format(buf, "=[");
        for (size_t k = 0; k < jq_view_count(list); k++)
            jq_buf_append_format(buf, "%s%" PRIu64, k ? "," : "", uint_of(jq_view_at(list, k)));
        jq_buf_append_u8(buf, ']');
    }
}

static void append_ids(struct jq_buf *buf, struct jq_view list) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    for (size_t i = 0; i < jq_view_count(list); i++)
        jq_buf_append_format(buf, "%s%s", i ? " " : "",
                             jq_text_format_task_id((jq_task_id){jq_view_to_uint(jq_view_at(list, i), 0)}, place));
}

static void append_words(struct jq_buf *buf, struct jq_view list) {
    for (size_t i = 0; i < jq_view_count(list); i++) {
        jq_buf_append_format(buf, "%s", i ? " " : "");
        jqctl_append_safe(buf, jq_view_to_str(jq_view_at(list, i)), false);
    }
}

static void append_data(struct jq_buf *buf, struct jq_bytes bytes, bool lines) {
    const size_t start = buf->size;
    if (jqctl_payload_is_msgpack(bytes)) {
        struct jq_json json;
        jq_json_init(&json, buf);
        jqctl_payload_write(bytes, &json);
    } else if (jqctl_is_text(bytes)) {
        jqctl_append_safe(buf, str_of_bytes(bytes), lines);
    } else {
        jq_buf_append_format(buf, "%zu bytes that are neither text nor msgpack", bytes.size);
    }
    if (buf->size - start > DATA_SHOWN_MAX) {
        buf->size = start + DATA_SHOWN_MAX;
        while (buf->size > start && (buf->data[buf->size] & 0xc0) == 0x80)
            buf->size--;
        jq_buf_append_format(buf, "… (%zu bytes in all; --json shows everything)", bytes.size);
    }
}

static void append_time(struct jq_buf *buf, int64_t wall_ms, int64_t now_ms, bool whole) {
    if (!whole) {
        jqctl_when_append_age(buf, wall_ms, now_ms);
        return;
    }
    jqctl_when_append(buf, wall_ms);
    jq_buf_append_format(buf, " (");
    jqctl_when_append_age(buf, wall_ms, now_ms);
    jq_buf_append_format(buf, ")");
}

static void append_number(struct jq_buf *buf, enum jqctl_kind kind, struct jq_view value) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    switch (kind) {
    case JQCTL_ID: jq_buf_append_format(buf, "%s", jq_text_format_task_id((jq_task_id){uint_of(value)}, place)); break;
    case JQCTL_HEX: jq_buf_append_format(buf, "%016" PRIx64, uint_of(value)); break;
    case JQCTL_REAL: jq_buf_append_format(buf, "%.1f", jq_view_to_double(value, 0)); break;
    case JQCTL_FLAG: jq_buf_append_format(buf, "%s", jq_view_to_bool(value, false) ? "yes" : "no"); break;
    case JQCTL_SPAN:
    case JQCTL_LIMIT: append_span(buf, ms_of(value)); break;
    case JQCTL_SIZE: append_size(buf, uint_of(value)); break;
    case JQCTL_PERMILLE: jq_buf_append_format(buf, "%.0f %%", (double)uint_of(value) / 10); break;
    default: jq_buf_append_format(buf, "%" PRIu64, uint_of(value)); break;
    }
}

static void append_uuid(struct jq_buf *buf, struct jq_view value) {
    char place[JQ_UUID_TEXT_SIZE];
    const struct jq_uuid uuid = jq_view_to_uuid(value);
    jq_buf_append_format(buf, "%s", jq_text_format_uuid(&uuid, place));
}

static void append_hash(struct jq_buf *buf, struct jq_bytes hash) {
    for (size_t i = 0; i < hash.size; i++)
        jq_buf_append_format(buf, "%02x", hash.data[i]);
}

/* Those of its fields that are there, one behind the other. */
static void append_map(struct jq_buf *buf, const struct jqctl_columns *columns, struct jq_view map, int64_t now_ms) {
    const char *blank = "";
    for (size_t i = 0; i < columns->count; i++) {
        const struct jqctl_column *column = &columns->items[i];
        if (!(column->places & JQCTL_TABLE) || !jqctl_shown(column, map))
            continue;
        jq_buf_append_format(buf, "%s%s ", blank, column->label ? column->label : column->key);
        jqctl_append_cell(buf, column, map, now_ms);
        blank = ", ";
    }
}

static void append_list(struct jq_buf *buf, const struct jqctl_columns *columns, struct jq_view list, int64_t now_ms) {
    for (size_t i = 0; i < jq_view_count(list); i++) {
        jq_buf_append_format(buf, "%s", i ? "\n" : "");
        append_map(buf, columns, jq_view_at(list, i), now_ms);
    }
}

bool jqctl_shown(const struct jqctl_column *column, struct jq_view row) {
    const struct jq_view value = jq_view_get(row, column->key);
    switch (column->kind) {
    case JQCTL_TEXT:
    case JQCTL_STATE: return jq_view_to_str(value).size > 0;
    case JQCTL_DATA:
    case JQCTL_TAIL: return jq_view_to_bin(value).size > 0;
    case JQCTL_AMOUNTS:
    case JQCTL_TEXTS:
    case JQCTL_UNITS:
    case JQCTL_WORDS:
    case JQCTL_IDS:
    case JQCTL_MAP:
    case JQCTL_LIST: return jq_view_count(value) > 0;
    case JQCTL_HEADERS: return append_headers(NULL, value) > 0;
    case JQCTL_LIMIT: return uint_of(value) > 0;
    default: return jq_view_given(value);
    }
}

static void append_value(struct jq_buf *buf, const struct jqctl_column *column, struct jq_view value, int64_t now_ms,
                         bool whole) {
    switch (column->kind) {
    case JQCTL_TEXT:
    case JQCTL_STATE: jqctl_append_safe(buf, jq_view_to_str(value), whole); break;
    case JQCTL_TIME: append_time(buf, ms_of(value), now_ms, whole); break;
    case JQCTL_AMOUNTS: append_amounts(buf, value); break;
    case JQCTL_TEXTS: append_texts(buf, value); break;
    case JQCTL_HEADERS: (void)append_headers(buf, value); break;
    case JQCTL_UNITS: append_units(buf, value); break;
    case JQCTL_WORDS: append_words(buf, value); break;
    case JQCTL_IDS: append_ids(buf, value); break;
    case JQCTL_DATA: append_data(buf, jq_view_to_bin(value), whole); break;
    case JQCTL_TAIL: jqctl_append_safe(buf, str_of_bytes(jq_view_to_bin(value)), whole); break;
    case JQCTL_UUID: append_uuid(buf, value); break;
    case JQCTL_HASH: append_hash(buf, jq_view_to_bin(value)); break;
    case JQCTL_MAP: append_map(buf, column->of, value, now_ms); break;
    case JQCTL_LIST: append_list(buf, column->of, value, now_ms); break;
    default: append_number(buf, column->kind, value); break;
    }
}

void jqctl_append_cell(struct jq_buf *buf, const struct jqctl_column *column, struct jq_view row, int64_t now_ms) {
    if (jqctl_shown(column, row))
        append_value(buf, column, jq_view_get(row, column->key), now_ms, false);
    else
        jq_buf_append_u8(buf, '-');
}

void jqctl_append_field(struct jq_buf *buf, const struct jqctl_column *column, struct jq_view row, int64_t now_ms) {
    append_value(buf, column, jq_view_get(row, column->key), now_ms, true);
}

/* ---- kinds as JSON ------------------------------------------------------------------------------------------------------ */

/* Thousandths as a number: whole where it is. */
static void write_amounts(struct jq_json *json, struct jq_view map) {
    jq_json_object_begin(json);
    for (size_t i = 0; i < jq_view_count(map); i++) {
        const uint64_t amount = uint_of(jq_view_value_at(map, i));
        jq_json_key(json, jq_view_key_at(map, i));
        if (amount % 1000 == 0)
            jq_json_uint(json, amount / 1000);
        else
            jq_json_double(json, (double)amount / 1000);
    }
    jq_json_object_end(json);
}

static void write_texts(struct jq_json *json, struct jq_view map) {
    jq_json_object_begin(json);
    for (size_t i = 0; i < jq_view_count(map); i++) {
        jq_json_key(json, jq_view_key_at(map, i));
        jq_json_str(json, jq_view_to_str(jq_view_value_at(map, i)));
    }
    jq_json_object_end(json);
}

static void write_units(struct jq_json *json, struct jq_view map) {
    jq_json_object_begin(json);
    for (size_t i = 0; i < jq_view_count(map); i++) {
        const struct jq_view list = jq_view_value_at(map, i);
        jq_json_key(json, jq_view_key_at(map, i));
        jq_json_array_begin(json);
        for (size_t k = 0; k < jq_view_count(list); k++)
            jq_json_uint(json, uint_of(jq_view_at(list, k)));
        jq_json_array_end(json);
    }
    jq_json_object_end(json);
}

static void write_ids(struct jq_json *json, struct jq_view list) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    jq_json_array_begin(json);
    for (size_t i = 0; i < jq_view_count(list); i++)
        jq_json_str(json,
                    jq_str_of(jq_text_format_task_id((jq_task_id){jq_view_to_uint(jq_view_at(list, i), 0)}, place)));
    jq_json_array_end(json);
}

static void write_words(struct jq_json *json, struct jq_view list) {
    jq_json_array_begin(json);
    for (size_t i = 0; i < jq_view_count(list); i++)
        jq_json_str(json, jq_view_to_str(jq_view_at(list, i)));
    jq_json_array_end(json);
}

static void write_data(struct jq_json *json, struct jq_bytes bytes) {
    if (jqctl_payload_is_msgpack(bytes)) {
        jqctl_payload_write(bytes, json);
        return;
    }
    jq_json_object_begin(json);
    if (jq_text_utf8_valid(str_of_bytes(bytes)))
        jq_json_put_str(json, "text", str_of_bytes(bytes));
    else
        jq_json_put_bytes(json, "base64", bytes);
    jq_json_object_end(json);
}

static void write_list(struct jq_json *json, const struct jqctl_columns *columns, struct jq_view list) {
    jq_json_array_begin(json);
    for (size_t i = 0; i < jq_view_count(list); i++)
        jqctl_write_row(json, columns, jq_view_at(list, i));
    jq_json_array_end(json);
}

/* What is text in JSON as well: as in a cell. */
static void write_as_cell(struct jq_json *json, const struct jqctl_column *column, struct jq_view value) {
    struct jq_buf text;
    jq_buf_init(&text, 256);
    append_value(&text, column, value, 0, false);
    jq_json_str(json, jq_buf_str(&text));
    jq_buf_fini(&text);
}

static void write_value(struct jq_json *json, const struct jqctl_column *column, struct jq_view value) {
    switch (column->kind) {
    case JQCTL_TEXT:
    case JQCTL_STATE: jq_json_str(json, jq_view_to_str(value)); break;
    case JQCTL_ID:
    case JQCTL_HEX:
    case JQCTL_HASH:
    case JQCTL_UUID: write_as_cell(json, column, value); break;
    case JQCTL_REAL: jq_json_double(json, jq_view_to_double(value, 0)); break;
    case JQCTL_FLAG: jq_json_bool(json, jq_view_to_bool(value, false)); break;
    case JQCTL_AMOUNTS: write_amounts(json, value); break;
    case JQCTL_TEXTS:
    case JQCTL_HEADERS: write_texts(json, value); break;
    case JQCTL_UNITS: write_units(json, value); break;
    case JQCTL_WORDS: write_words(json, value); break;
    case JQCTL_IDS: write_ids(json, value); break;
    case JQCTL_DATA: write_data(json, jq_view_to_bin(value)); break;
    case JQCTL_TAIL: jq_json_str(json, str_of_bytes(jq_view_to_bin(value))); break;
    case JQCTL_MAP: jqctl_write_row(json, column->of, value); break;
    case JQCTL_LIST: write_list(json, column->of, value); break;
    default: jq_json_uint(json, uint_of(value)); break;
    }
}

void jqctl_write_row(struct jq_json *json, const struct jqctl_columns *columns, struct jq_view row) {
    jq_json_object_begin(json);
    for (size_t i = 0; i < columns->count; i++) {
        const struct jq_view value = jq_view_get(row, columns->items[i].key);
        jq_json_key(json, jq_str_of(columns->items[i].key));
        if (jq_view_given(value))
            write_value(json, &columns->items[i], value);
        else
            jq_json_null(json);
    }
    jq_json_object_end(json);
}

void jqctl_write_present(struct jq_json *json, const struct jqctl_columns *columns, struct jq_view row) {
    jq_json_object_begin(json);
    for (size_t i = 0; i < columns->count; i++) {
        const struct jq_view value = jq_view_get(row, columns->items[i].key);
        if (!jq_view_given(value))
            continue;
        jq_json_key(json, jq_str_of(columns->items[i].key));
        write_value(json, &columns->items[i], value);
    }
    jq_json_object_end(json);
}
