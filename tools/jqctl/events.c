/* events.c - jqctl events: what happens, line by line, as it happens. */
#include <inttypes.h>
#include <stdio.h>

#include "common/text.h"
#include "tools/jqctl/events.h"

enum { LINE_SIZE_MAX = 64 * 1024 };

static const struct jqctl_column event_columns[] = {
    {"seq", NULL, JQCTL_COUNT, 0, NULL},
    {"time_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"event", NULL, JQCTL_TEXT, 0, NULL},
    {"task", NULL, JQCTL_ID, JQCTL_TABLE, NULL},
    {"state", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"outcome", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"name", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"queue", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"handler", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"worker", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"attempts", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"number", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
};
static const struct jqctl_columns event_row = JQCTL_COLUMNS(event_columns);

struct following {
    struct jqctl *ctl;
    const char *where; /* NULL: all */
    uint64_t after, limit, printed;
    bool answered; /* by the broker, once */
    struct jq_buf line;
};

static void fill(struct jq_pack *pack, void *ctx) {
    const struct following *following = ctx;
    jq_pack_field_uint(pack, &jq_message_events_read, JQ_AT_EVENTS_READ_AFTER, following->after);
    jq_pack_field_uint(pack, &jq_message_events_read, JQ_AT_EVENTS_READ_WAIT, JQ_WAIT_MS_MAX);
    if (following->where)
        jq_pack_field_str(pack, &jq_message_events_read, JQ_AT_EVENTS_READ_WHERE, jq_str_of(following->where));
}

void jqctl_event_print(const struct jqctl *ctl, struct jq_buf *line, struct jq_view row) {
    char time[JQ_TIME_TEXT_SIZE];
    if (ctl->json) {
        struct jq_json json;
        jq_json_init(&json, line);
        jqctl_write_present(&json, &event_row, row);
    } else {
        const struct jq_str event = jq_view_str(row, "event");
        jq_buf_append_format(line, "%s  %-16.*s", jq_text_format_time((int64_t)jq_view_uint(row, "time_ms", 0), time),
                             JQ_STR_ARG(event));
        for (size_t i = 0; i < event_row.count; i++) {
            if (!(event_row.items[i].places & JQCTL_TABLE) || !jqctl_shown(&event_row.items[i], row))
                continue;
            jq_buf_append_format(line, " %s=", event_row.items[i].key);
            jqctl_append_cell(line, &event_row.items[i], row, 0);
        }
    }
    jq_buf_append_u8(line, '\n');
    jqctl_drain(line);
}

static void take_event(struct following *following, struct jq_view row) {
    jqctl_event_print(following->ctl, &following->line, row);
    following->printed++;
}

static bool enough(const struct following *following) {
    return following->limit > 0 && following->printed >= following->limit;
}

static int follow_once(struct following *following) {
    struct jq_flight flight;
    const size_t fields = 2U + (following->where != NULL);
    const int code = jqctl_follow(following->ctl, &flight, "events", "events.read", fields, fill, following,
                                  JQ_WAIT_MS_MAX, &following->answered);
    if (code != JQCTL_DONE)
        return code;
    const struct jq_view events = jq_view_get(flight.view.body, "events");
    if (jq_view_uint(flight.view.body, "gap", 0) > 0)
        jqctl_note("events up to %" PRIu64 " are gone: the broker keeps only the last ones",
                   jq_view_uint(flight.view.body, "gap", 0));
    for (size_t i = 0; i < jq_view_count(events) && !enough(following); i++)
        take_event(following, jq_view_at(events, i));
    (void)fflush(stdout);
    following->after = jq_view_uint(flight.view.body, "next", 0);
    jq_flight_end(&flight);
    return ferror(stdout) ? EX_IOERR : JQCTL_DONE;
}

int jqctl_events_follow(struct jqctl *ctl) {
    struct following following = {.ctl = ctl, .where = jqctl_value(&ctl->args, "where")};
    int code = jqctl_option_uint(ctl, "limit", UINT64_MAX / 2, &following.limit);
    code = code == JQCTL_DONE ? jqctl_option_uint(ctl, "after", UINT64_MAX - 1, &following.after) : code;
    code = code == JQCTL_DONE ? jqctl_connect(ctl) : code;
    if (code != JQCTL_DONE)
        return code;
    jq_buf_init(&following.line, LINE_SIZE_MAX);
    do {
        code = follow_once(&following);
    } while (code == JQCTL_DONE && !enough(&following));
    jq_buf_fini(&following.line);
    return code;
}
