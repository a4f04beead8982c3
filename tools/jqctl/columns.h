/* columns.h - what is shown of an answer: its columns are listed once, and serve tables, sheets and JSON.
 *
 * An answer is a map (struct jq_view); so is everything else that jqctl shows, packed for it by sight.h. A column names a field of
 * that map. JSON has a member for every column, named as the field and null where it is absent; a table has those with
 * JQCTL_TABLE, a sheet (one thing, a line a field) those with JQCTL_SHEET that are there.
 * JSON is a stable document: fields are added to it, never changed.
 */
#ifndef JQ_TOOLS_JQCTL_COLUMNS_H
#define JQ_TOOLS_JQCTL_COLUMNS_H

#include "common/codec_client.h"
#include "common/json.h"

enum jqctl_kind {
    JQCTL_TEXT,
    JQCTL_STATE,    /* text, coloured by what it says */
    JQCTL_ID,       /* a task's; text in JSON too: "3-17" */
    JQCTL_COUNT,    /* uint */
    JQCTL_HEX,      /* uint; text of 16 digits in JSON too, which has no such numbers everywhere */
    JQCTL_REAL,     /* double */
    JQCTL_FLAG,     /* bool: "yes", "no" */
    JQCTL_TIME,     /* UTC ms: age in a table, RFC 3339 and age on a sheet */
    JQCTL_SPAN,     /* ms */
    JQCTL_LIMIT,    /* ms, 0: none */
    JQCTL_SIZE,     /* bytes */
    JQCTL_PERMILLE, /* "12 %" */
    JQCTL_AMOUNTS,  /* {name: thousandths}: "cpu=2 mem=4G" */
    JQCTL_TEXTS,    /* {str: str}: "a=b c=d" */
    JQCTL_HEADERS,  /* {str: str}: as TEXTS, but shown without those whose values the broker is yet to give */
    JQCTL_UNITS,    /* {name: [uint]}: "gpu=[0,1]" */
    JQCTL_WORDS,    /* [str]: "a b" */
    JQCTL_IDS,      /* [uint]: "17 18"; texts in JSON too */
    JQCTL_DATA, /* bin, shown as JSON where it is msgpack, else as text; JSON: the value, else {"text"} or {"base64"} */
    JQCTL_TAIL, /* bin: the end of an output, lines of its own; text in JSON */
    JQCTL_UUID,
    JQCTL_HASH, /* bin, shown in hexadecimal digits */
    JQCTL_MAP,  /* a map with columns of its own */
    JQCTL_LIST, /* a list of such maps */
};

enum { JQCTL_TABLE = 1, JQCTL_SHEET = 2, JQCTL_BOTH = 3, JQCTL_SOFT = 4 /* cut first where the terminal is narrow */ };

struct jqctl_columns;

struct jqctl_column {
    const char *key;   /* of the field, and of the member */
    const char *label; /* before a line of a sheet, in capitals over a table's column; NULL: the key */
    enum jqctl_kind kind;
    unsigned places;                /* JQCTL_TABLE, .. */
    const struct jqctl_columns *of; /* of MAP and LIST */
};

struct jqctl_columns {
    const struct jqctl_column *items;
    size_t count;
};

#define JQCTL_COLUMNS(array)                                                                                           \
    { (array), sizeof(array) / sizeof((array)[0]) }

/* True if the field is there, and not empty. */
bool jqctl_shown(const struct jqctl_column *column, struct jq_view row);

/* The cell of a table: one line, nothing in it that a terminal might obey. "-" where there is nothing. */
void jqctl_append_cell(struct jq_buf *buf, const struct jqctl_column *column, struct jq_view row, int64_t now_ms);

/* What a sheet shows of it: as the cell, with more where there is more to say, over several lines if need be. */
void jqctl_append_field(struct jq_buf *buf, const struct jqctl_column *column, struct jq_view row, int64_t now_ms);

/* One object with a member for every column; or for those that are there. */
void jqctl_write_row(struct jq_json *json, const struct jqctl_columns *columns, struct jq_view row);
void jqctl_write_present(struct jq_json *json, const struct jqctl_columns *columns, struct jq_view row);

/* Text with everything in it that a terminal might obey made visible; with `lines`, newlines and tabs stay. */
void jqctl_append_safe(struct jq_buf *buf, struct jq_str text, bool lines);

/* True for text that can be shown: UTF-8 without control characters other than newline, return and tab. */
bool jqctl_is_text(struct jq_bytes bytes);

#endif
