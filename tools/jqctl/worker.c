/* worker.c - jqctl worker: listed, shown, drained. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/jqctl/pages.h"

static const struct jqctl_column handler_columns[] = {
    {"name", "handler", JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"version", "version", JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"need", "needs", JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"soft_limit_ms", "soft limit", JQCTL_LIMIT, JQCTL_TABLE, NULL},
    {"hard_limit_ms", "hard limit", JQCTL_LIMIT, JQCTL_TABLE, NULL},
    {"pure", "pure", JQCTL_FLAG, 0, NULL},
};
static const struct jqctl_columns handler_row = JQCTL_COLUMNS(handler_columns);

#define ROW_COLUMNS                                                                                                    \
    {"name", "worker", JQCTL_TEXT, JQCTL_BOTH, NULL}, {"id", "id", JQCTL_UUID, JQCTL_SHEET, NULL},                     \
        {"alive", "alive", JQCTL_FLAG, JQCTL_BOTH, NULL}, {"registered", "registered", JQCTL_FLAG, JQCTL_SHEET, NULL}, \
        {"asleep", "asleep", JQCTL_FLAG, JQCTL_BOTH | JQCTL_SOFT, NULL},                                               \
        {"doorbell", "doorbell", JQCTL_TEXT, JQCTL_SHEET, NULL},                                                       \
        {"draining", "draining", JQCTL_FLAG, JQCTL_BOTH, NULL}, {"leases", "tasks", JQCTL_COUNT, JQCTL_BOTH, NULL},    \
        {"parked", "asking", JQCTL_COUNT, JQCTL_SHEET, NULL},                                                          \
        {"seen_ms_ago", "seen ago", JQCTL_SPAN, JQCTL_BOTH, NULL},                                                     \
        {"load_permille", "load", JQCTL_PERMILLE, JQCTL_BOTH, NULL},                                                   \
        {"memory_permille", "memory", JQCTL_PERMILLE, JQCTL_BOTH, NULL},                                               \
        {"offers", "offers", JQCTL_AMOUNTS, JQCTL_BOTH | JQCTL_SOFT, NULL},                                            \
        {"free", "free", JQCTL_AMOUNTS, JQCTL_BOTH | JQCTL_SOFT, NULL}, {                                              \
        "kept_for", "kept for task", JQCTL_ID, JQCTL_SHEET, NULL                                                       \
    }

static const struct jqctl_column row_columns[] = {ROW_COLUMNS};
static const struct jqctl_column whole_columns[] = {
    ROW_COLUMNS,
    {"units", "units", JQCTL_UNITS, JQCTL_SHEET, NULL},
    {"units_free", "free units", JQCTL_UNITS, JQCTL_SHEET, NULL},
    {"accept", "accepts only", JQCTL_WORDS, JQCTL_SHEET, NULL},
    {"facts", "facts", JQCTL_TEXTS, JQCTL_SHEET, NULL},
    {"handlers", "handlers", JQCTL_LIST, JQCTL_SHEET, &handler_row},
    {"left_out", "left out", JQCTL_COUNT, JQCTL_SHEET, NULL},
};
static const struct jqctl_columns worker_row = JQCTL_COLUMNS(row_columns);
static const struct jqctl_columns worker_whole = JQCTL_COLUMNS(whole_columns);

int jqctl_worker_ls(struct jqctl *ctl) {
    const struct jqctl_pages pages = {.op = "worker.ls",
                                      .rows = "workers",
                                      .kind = "worker.list",
                                      .columns = &worker_row,
                                      .message = &jq_message_worker_ls,
                                      .after_place = JQ_AT_WORKER_LS_AFTER};
    return jqctl_pages_list(ctl, &pages);
}

struct named {
    const char *name;
    bool draining;
};

static void fill_show(struct jq_pack *pack, void *ctx) {
    const struct named *named = ctx;
    jq_pack_field_str(pack, &jq_message_worker_show, JQ_AT_WORKER_SHOW_NAME, jq_str_of(named->name));
}

static void fill_drain(struct jq_pack *pack, void *ctx) {
    const struct named *named = ctx;
    jq_pack_field_str(pack, &jq_message_worker_drain, JQ_AT_WORKER_DRAIN_NAME, jq_str_of(named->name));
    jq_pack_field_bool(pack, &jq_message_worker_drain, JQ_AT_WORKER_DRAIN_DRAINING, named->draining);
}

int jqctl_worker_show(struct jqctl *ctl) {
    struct named named = {.name = ctl->args.operands[0]};
    char what[JQ_NAME_SIZE_MAX + 16];
    struct jq_flight flight;
    snprintf(what, sizeof(what), "worker %.64s", named.name);
    const int code = jqctl_call(ctl, &flight, what, "worker.show", 1, fill_show, &named);
    if (code != JQCTL_DONE)
        return code;
    jqctl_print_item(ctl, &worker_whole, "worker", jq_view_at(jq_view_get(flight.view.body, "workers"), 0));
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

int jqctl_worker_drain(struct jqctl *ctl) {
    const bool draining = !jqctl_given(&ctl->args, "undo");
    for (size_t i = 0; i < ctl->args.operand_count; i++) {
        struct named named = {ctl->args.operands[i], draining};
        char what[JQ_NAME_SIZE_MAX + 16];
        struct jq_flight flight;
        snprintf(what, sizeof(what), "worker %.64s", named.name);
        const int code = jqctl_call(ctl, &flight, what, "worker.drain", 2, fill_drain, &named);
        if (code != JQCTL_DONE)
            return code;
        const uint64_t count = jq_view_uint(flight.view.body, "count", 1);
        jq_flight_end(&flight);
        jqctl_note("%s %s", what, draining ? "drains: it is given nothing more" : "is given tasks again");
        if (count > 1)
            jqctl_note("%" PRIu64 " workers have that name: it holds for all of them", count);
    }
    return JQCTL_DONE;
}
