/* print.h - tables, sheets and JSON documents on stdout, made of rows and columns.
 *
 *     list_begin(&list, ctl, &columns, "task.list") { list_row(&list, row) .. } list_end(&list, ..)
 *
 * A table is aligned over a stretch of rows at a time, so that its memory is bounded; JSON is written row by row.
 * The documents: {"version":1,"kind":KIND,"items":[..]} of a list, {"version":1,"kind":KIND,"item":{..}} of one thing.
 */
#ifndef JQ_TOOLS_JQCTL_PRINT_H
#define JQ_TOOLS_JQCTL_PRINT_H

#include "tools/jqctl/columns.h"
#include "tools/jqctl/jqctl.h"

enum { JQCTL_DOCUMENT_VERSION = 1, JQCTL_COLUMNS_MAX = 64 };

struct jqctl_list {
    const struct jqctl *ctl;
    const struct jqctl_columns *columns;
    /* Of a table: the cells of rows not yet printed, each with a NUL behind it. Of JSON: what is not written. */
    struct jq_buf buf;
    struct jq_json json;
    size_t rows;  /* in buf */
    size_t total; /* in all */
    size_t widths[JQCTL_COLUMNS_MAX];
    uint64_t hidden; /* a bit for each column that had nothing in it: a terminal is narrow */
    bool head_printed;
    int64_t now_ms;
};

void jqctl_list_begin(struct jqctl_list *list, const struct jqctl *ctl, const struct jqctl_columns *columns,
                      const char *kind);
void jqctl_list_row(struct jqctl_list *list, struct jq_view row);
/* Prints what was held back. */
void jqctl_list_flush(struct jqctl_list *list);
/* `tail`, which may be NULL, writes members behind the items of a JSON document. */
void jqctl_list_end(struct jqctl_list *list, void (*tail)(struct jq_json *json, void *ctx), void *ctx);

/* Instead of the end, where it came to nothing: prints nothing more. */
void jqctl_list_drop(struct jqctl_list *list);

/* One thing: a sheet, or a document with an item. */
void jqctl_print_item(const struct jqctl *ctl, const struct jqctl_columns *columns, const char *kind,
                      struct jq_view row);
/* The lines of a sheet alone. */
void jqctl_print_sheet(const struct jqctl *ctl, const struct jqctl_columns *columns, struct jq_view row);

/* Writes what is in `buf` to stdout and empties it. */
void jqctl_drain(struct jq_buf *buf);

#endif
