/* breaker.c - jqctl breaker: circuit breakers listed, shown, tripped, reset. */
#include <stdio.h>

#include "tools/jqctl/print.h"

enum { WHAT_SIZE = JQ_NAME_SIZE_MAX + 32 };

static const struct jqctl_column breaker_columns[] = {
    {"name", "breaker", JQCTL_TEXT, JQCTL_BOTH, NULL},
    {"state", "state", JQCTL_STATE, JQCTL_BOTH, NULL},
    {"calls", "calls", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"failures", "failed", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"by_operator", "by operator", JQCTL_FLAG, JQCTL_BOTH, NULL},
    {"since_ms", "since", JQCTL_TIME, JQCTL_BOTH, NULL},
    {"until_ms", "open until", JQCTL_TIME, JQCTL_BOTH, NULL},
    {"cool_down_ms", "cool-down", JQCTL_SPAN, JQCTL_SHEET, NULL},
    {"probes_good", "probes that succeeded", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"handlers", "handlers", JQCTL_TEXT, JQCTL_BOTH | JQCTL_SOFT, NULL},
};
static const struct jqctl_columns breaker_row = JQCTL_COLUMNS(breaker_columns);

struct naming {
    const char *name;
    int64_t for_ms;
};

static void fill_ls(struct jq_pack *pack, void *ctx) {
    const bool *not_closed = ctx;
    jq_pack_field_bool(pack, &jq_message_breaker_ls, JQ_AT_BREAKER_LS_NOT_CLOSED, *not_closed);
}

static void fill_name(struct jq_pack *pack, void *ctx) {
    const struct naming *naming = ctx;
    jq_pack_field_str(pack, &jq_message_breaker_name, JQ_AT_BREAKER_NAME_NAME, jq_str_of(naming->name));
}

static void fill_trip(struct jq_pack *pack, void *ctx) {
    const struct naming *naming = ctx;
    jq_pack_field_str(pack, &jq_message_breaker_trip, JQ_AT_BREAKER_TRIP_NAME, jq_str_of(naming->name));
    jq_pack_field_ms(pack, &jq_message_breaker_trip, JQ_AT_BREAKER_TRIP_FOR, naming->for_ms);
}

int jqctl_breaker_ls(struct jqctl *ctl) {
    bool not_closed = jqctl_given(&ctl->args, "not-closed");
    struct jq_flight flight;
    struct jqctl_list list;
    const int code = jqctl_call(ctl, &flight, "breakers", "breaker.ls", 1, fill_ls, &not_closed);
    if (code != JQCTL_DONE)
        return code;
    const struct jq_view breakers = jq_view_get(flight.view.body, "breakers");
    const uint64_t left_out = jq_view_uint(flight.view.body, "left_out", 0);
    jqctl_list_begin(&list, ctl, &breaker_row, "breaker.list");
    for (size_t i = 0; i < jq_view_count(breakers); i++)
        jqctl_list_row(&list, jq_view_at(breakers, i));
    jqctl_list_end(&list, NULL, NULL);
    if (left_out > 0)
        jqctl_note("%llu breakers more did not fit the answer", (unsigned long long)left_out);
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

int jqctl_breaker_show(struct jqctl *ctl) {
    struct naming naming = {.name = ctl->args.operands[0]};
    char what[WHAT_SIZE];
    struct jq_flight flight;
    snprintf(what, sizeof(what), "breaker %.72s", naming.name);
    const int code = jqctl_call(ctl, &flight, what, "breaker.show", 1, fill_name, &naming);
    if (code != JQCTL_DONE)
        return code;
    jqctl_print_item(ctl, &breaker_row, "breaker", jq_view_at(jq_view_get(flight.view.body, "breakers"), 0));
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

static int set_all(struct jqctl *ctl, bool trip, int64_t for_ms) {
    for (size_t i = 0; i < ctl->args.operand_count; i++) {
        struct naming naming = {ctl->args.operands[i], for_ms};
        char what[WHAT_SIZE];
        struct jq_flight flight;
        snprintf(what, sizeof(what), "breaker %.72s", naming.name);
        const int code = trip ? jqctl_call(ctl, &flight, what, "breaker.trip", 2, fill_trip, &naming)
                              : jqctl_call(ctl, &flight, what, "breaker.reset", 1, fill_name, &naming);
        if (code != JQCTL_DONE)
            return code;
        jq_flight_end(&flight);
        jqctl_note("%s is %s", what, !trip ? "closed" : for_ms > 0 ? "open" : "open until it is reset");
    }
    return JQCTL_DONE;
}

int jqctl_breaker_trip(struct jqctl *ctl) {
    int64_t for_ms = 0;
    const int code = jqctl_option_duration(ctl, "for", &for_ms);
    return code == JQCTL_DONE ? set_all(ctl, true, for_ms) : code;
}

int jqctl_breaker_reset(struct jqctl *ctl) {
    return set_all(ctl, false, 0);
}
