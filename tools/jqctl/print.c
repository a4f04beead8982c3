/* print.c - tables, sheets and JSON documents on stdout. */
#include "tools/jqctl/print.h"

#include <ctype.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/text.h"

enum {
    ROWS_HELD_MAX = 500,
    BUF_SIZE_MAX = 64 * 1024 * 1024,
    GAP = 2,     /* blanks between columns */
    CUT_MIN = 8, /* a column is not cut below it */
    LABEL_WIDTH = 14,
};

void jqctl_drain(struct jq_buf *buf) {
    jqctl_write(jq_buf_bytes(buf));
    jq_buf_clear(buf);
}

/* ---- tables ------------------------------------------------------------------------------------------------------------- */

static bool in_table(const struct jqctl_column *column) {
    return (column->places & JQCTL_TABLE) != 0;
}

/* Characters, each taken for one column of the terminal. */
static size_t width_of(struct jq_str text) {
    size_t width = 0;
    for (size_t i = 0; i < text.size; i++)
        width += (text.data[i] & 0xc0) != 0x80;
    return width;
}

static const char *label_of(const struct jqctl_column *column) {
    return column->label ? column->label : column->key;
}

static bool to_the_right(enum jqctl_kind kind) {
    return kind == JQCTL_COUNT || kind == JQCTL_REAL || kind == JQCTL_SPAN || kind == JQCTL_SIZE ||
           kind == JQCTL_PERMILLE || kind == JQCTL_ID || kind == JQCTL_LIMIT;
}

static const char *colour_of(struct jq_str text) {
    static const struct {
        const char *word, *colour;
    } colours[] = {{"succeeded", "\033[32m"},  {"running", "\033[36m"}, {"scheduled", "\033[33m"},
                   {"cancelling", "\033[33m"}, {"dead", "\033[31m"},    {"cancelled", "\033[90m"},
                   {"expired", "\033[35m"},    {"paused", "\033[33m"},  {"alive", "\033[32m"},
                   {"silent", "\033[31m"},     {"draining", "\033[33m"}};
    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++) {
        if (jq_str_equal(jq_str_of(colours[i].word), text))
            return colours[i].colour;
    }
    return NULL;
}

/* The text cut to `width` characters, the last one an ellipsis where something is missing. */
static void append_cut(struct jq_buf *out, struct jq_str text, size_t width) {
    if (width_of(text) <= width) {
        jq_buf_append_text(out, text);
        return;
    }
    size_t size = 0;
    for (size_t seen = 0; size < text.size; size++) {
        seen += (text.data[size] & 0xc0) != 0x80;
        if (seen == width)
            break;
    }
    jq_buf_append(out, text.data, size);
    jq_buf_append_format(out, "…");
}

static void append_padded(struct jq_buf *out, const struct jqctl *ctl, const struct jqctl_column *column,
                          struct jq_str text, size_t width, bool last) {
    const size_t own = width_of(text) < width ? width_of(text) : width;
    const char *colour = ctl->terminal.colour && column->kind == JQCTL_STATE ? colour_of(text) : NULL;
    const int pad = (int)(width - own);
    if (to_the_right(column->kind))
        jq_buf_append_format(out, "%*s", pad, "");
    jq_buf_append_format(out, "%s", colour ? colour : "");
    append_cut(out, text, width);
    jq_buf_append_format(out, "%s", colour ? "\033[0m" : "");
    if (!last)
        jq_buf_append_format(out, "%*s", to_the_right(column->kind) ? GAP : pad + GAP, "");
}

/* In the table, and not left out of it. */
static bool is_printed(const struct jqctl_list *list, size_t i) {
    return in_table(&list->columns->items[i]) && !(list->hidden >> i & 1);
}

static size_t last_column(const struct jqctl_list *list) {
    size_t last = 0;
    for (size_t i = 0; i < list->columns->count; i++)
        last = is_printed(list, i) ? i : last;
    return last;
}

/* Takes width away from the columns that are soft, or from the others, the last ones first. Gives the width that is left. */
static size_t cut_widths(struct jqctl_list *list, bool soft, size_t total) {
    const size_t room = list->ctl->terminal.columns;
    for (size_t i = list->columns->count; i > 0 && total > room; i--) {
        size_t *width = &list->widths[i - 1];
        const bool is_soft = (list->columns->items[i - 1].places & JQCTL_SOFT) != 0;
        if (!is_printed(list, i - 1) || is_soft != soft || *width <= CUT_MIN)
            continue;
        const size_t give = total - room < *width - CUT_MIN ? total - room : *width - CUT_MIN;
        *width -= give;
        total -= give;
    }
    return total;
}

static void fit_widths(struct jqctl_list *list) {
    size_t total = 0;
    for (size_t i = 0; i < list->columns->count; i++)
        total += is_printed(list, i) ? list->widths[i] + GAP : 0;
    total = cut_widths(list, true, total - (total >= GAP ? GAP : 0));
    (void)cut_widths(list, false, total);
}

static void print_head(struct jqctl_list *list, struct jq_buf *out) {
    const size_t last = last_column(list);
    jq_buf_append_format(out, "%s", list->ctl->terminal.colour ? "\033[1m" : "");
    for (size_t i = 0; i < list->columns->count; i++) {
        const struct jqctl_column *column = &list->columns->items[i];
        char label[64];
        size_t size = 0;
        if (!is_printed(list, i))
            continue;
        for (; label_of(column)[size] && size < sizeof(label); size++)
            label[size] = (char)toupper((unsigned char)label_of(column)[size]);
        const struct jqctl_column plain = {.kind = column->kind == JQCTL_STATE ? JQCTL_TEXT : column->kind};
        append_padded(out, list->ctl, &plain, (struct jq_str){label, size}, list->widths[i], i == last);
    }
    jq_buf_append_format(out, "%s\n", list->ctl->terminal.colour ? "\033[0m" : "");
    list->head_printed = true;
}

/* The next cell of those held. */
static struct jq_str next_cell(const struct jq_buf *cells, size_t *at) {
    const struct jq_str cell = jq_str_of((const char *)cells->data + *at);
    *at += cell.size + 1;
    return cell;
}

/* Widths over the rows that are held. What stands in no row of the first stretch is left out on a terminal. */
static void measure(struct jqctl_list *list) {
    uint64_t filled = 0;
    size_t at = 0;
    for (size_t i = 0; !list->head_printed && i < list->columns->count; i++)
        list->widths[i] = strlen(label_of(&list->columns->items[i]));
    for (size_t row = 0; row < list->rows; row++) {
        for (size_t i = 0; i < list->columns->count; i++) {
            if (!in_table(&list->columns->items[i]))
                continue;
            const struct jq_str cell = next_cell(&list->buf, &at);
            const size_t width = width_of(cell);
            list->widths[i] = width > list->widths[i] ? width : list->widths[i];
            filled |= (uint64_t)!jq_str_equal(cell, JQ_STR("-")) << i;
        }
    }
    if (list->ctl->terminal.columns == 0)
        return;
    if (!list->head_printed)
        list->hidden = ~filled;
    fit_widths(list);
}

static void print_cells(struct jqctl_list *list, struct jq_buf *out) {
    const size_t last = last_column(list);
    size_t at = 0;
    for (size_t row = 0; row < list->rows; row++) {
        for (size_t i = 0; i < list->columns->count; i++) {
            if (!in_table(&list->columns->items[i]))
                continue;
            const struct jq_str cell = next_cell(&list->buf, &at);
            if (is_printed(list, i))
                append_padded(out, list->ctl, &list->columns->items[i], cell, list->widths[i], i == last);
        }
        jq_buf_append_u8(out, '\n');
    }
}

static void flush_table(struct jqctl_list *list) {
    struct jq_buf out;
    if (list->rows == 0 || list->buf.failed)
        return;
    jq_buf_init(&out, BUF_SIZE_MAX);
    measure(list);
    if (!list->head_printed)
        print_head(list, &out);
    print_cells(list, &out);
    jqctl_drain(&out);
    jq_buf_fini(&out);
    jq_buf_clear(&list->buf);
    list->rows = 0;
}

/* ---- lists -------------------------------------------------------------------------------------------------------------- */

static void document_begin(struct jq_json *json, const char *kind) {
    jq_json_object_begin(json);
    jq_json_put_int(json, "version", JQCTL_DOCUMENT_VERSION);
    jq_json_put_text(json, "kind", kind);
}

void jqctl_list_begin(struct jqctl_list *list, const struct jqctl *ctl, const struct jqctl_columns *columns,
                      const char *kind) {
    JQ_CHECK(columns->count <= JQCTL_COLUMNS_MAX);
    *list = (struct jqctl_list){.ctl = ctl, .columns = columns, .now_ms = jq_clock_wall_ms()};
    jq_buf_init(&list->buf, BUF_SIZE_MAX);
    if (!ctl->json)
        return;
    jq_json_init(&list->json, &list->buf);
    document_begin(&list->json, kind);
    jq_json_put_array(&list->json, "items");
}

void jqctl_list_row(struct jqctl_list *list, struct jq_view row) {
    list->total++;
    if (list->ctl->json) {
        jqctl_write_row(&list->json, list->columns, row);
        jqctl_drain(&list->buf);
        return;
    }
    for (size_t i = 0; i < list->columns->count; i++) {
        if (!in_table(&list->columns->items[i]))
            continue;
        jqctl_append_cell(&list->buf, &list->columns->items[i], row, list->now_ms);
        jq_buf_append_u8(&list->buf, 0);
    }
    if (++list->rows == ROWS_HELD_MAX)
        flush_table(list);
}

void jqctl_list_flush(struct jqctl_list *list) {
    if (list->ctl->json)
        jqctl_drain(&list->buf);
    else
        flush_table(list);
    (void)fflush(stdout);
}

void jqctl_list_end(struct jqctl_list *list, void (*tail)(struct jq_json *json, void *ctx), void *ctx) {
    if (list->ctl->json) {
        jq_json_array_end(&list->json);
        if (tail)
            tail(&list->json, ctx);
        jq_json_object_end(&list->json);
        jq_buf_append_u8(&list->buf, '\n');
    }
    jqctl_list_flush(list);
    jq_buf_fini(&list->buf);
}

void jqctl_list_drop(struct jqctl_list *list) {
    jq_buf_fini(&list->buf);
}

/* ---- one thing ---------------------------------------------------------------------------------------------------------- */

/* "label:  first line", the others below it; an output's tail gets lines of its own. */
static void append_line(struct jq_buf *out, const struct jqctl *ctl, const char *label, struct jq_str text,
                        const struct jqctl_column *column) {
    const char *colour = ctl->terminal.colour && column->kind == JQCTL_STATE ? colour_of(text) : NULL;
    const bool apart = column->kind == JQCTL_TAIL;
    const int pad = strlen(label) < LABEL_WIDTH ? (int)(LABEL_WIDTH - strlen(label)) : 1;
    jq_buf_append_format(out, "%s:%*s", label, apart ? 0 : pad, "");
    jq_buf_append_format(out, "%s", colour ? colour : "");
    for (bool first = !apart; text.size > 0; first = false) {
        const char *end = memchr(text.data, '\n', text.size);
        const size_t size = end ? (size_t)(end - text.data) : text.size;
        if (apart)
            jq_buf_append_text(out, JQ_STR("\n  | "));
        else if (!first)
            jq_buf_append_format(out, "\n%*s", LABEL_WIDTH + 1, "");
        jq_buf_append(out, text.data, size);
        text.data += size + (end != NULL);
        text.size -= size + (end != NULL);
    }
    jq_buf_append_format(out, "%s\n", colour ? "\033[0m" : "");
}

static bool on_sheet(const struct jqctl_columns *columns) {
    for (size_t i = 0; i < columns->count; i++) {
        if (columns->items[i].places & JQCTL_SHEET)
            return true;
    }
    return false;
}

/* A map with lines of its own gives those; any other is one line. */
static void append_sheet(struct jq_buf *out, const struct jqctl *ctl, const struct jqctl_columns *columns,
                         struct jq_view row) {
    const int64_t now_ms = jq_clock_wall_ms();
    struct jq_buf text;
    jq_buf_init(&text, BUF_SIZE_MAX);
    for (size_t i = 0; i < columns->count; i++) {
        const struct jqctl_column *column = &columns->items[i];
        if (!(column->places & JQCTL_SHEET) || !jqctl_shown(column, row))
            continue;
        if (column->kind == JQCTL_MAP && on_sheet(column->of)) {
            append_sheet(out, ctl, column->of, jq_view_get(row, column->key));
            continue;
        }
        jq_buf_clear(&text);
        jqctl_append_field(&text, column, row, now_ms);
        append_line(out, ctl, label_of(column), jq_buf_str(&text), column);
    }
    jq_buf_fini(&text);
}

void jqctl_print_sheet(const struct jqctl *ctl, const struct jqctl_columns *columns, struct jq_view row) {
    struct jq_buf out;
    jq_buf_init(&out, BUF_SIZE_MAX);
    append_sheet(&out, ctl, columns, row);
    jqctl_drain(&out);
    jq_buf_fini(&out);
}

void jqctl_print_item(const struct jqctl *ctl, const struct jqctl_columns *columns, const char *kind,
                      struct jq_view row) {
    struct jq_buf out;
    struct jq_json json;
    if (!ctl->json) {
        jqctl_print_sheet(ctl, columns, row);
        return;
    }
    jq_buf_init(&out, BUF_SIZE_MAX);
    jq_json_init(&json, &out);
    document_begin(&json, kind);
    jq_json_key(&json, JQ_STR("item"));
    jqctl_write_row(&json, columns, row);
    jq_json_object_end(&json);
    jq_buf_append_u8(&out, '\n');
    jqctl_drain(&out);
    jq_buf_fini(&out);
}
