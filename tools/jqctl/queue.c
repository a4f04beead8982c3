/* queue.c - jqctl queue: listed, shown, paused, resumed. */
#include <stdio.h>

#include "tools/jqctl/print.h"

static const struct jqctl_column queue_columns[] = {
    {"name", "queue", JQCTL_TEXT, JQCTL_BOTH, NULL},
    {"paused", "paused", JQCTL_FLAG, JQCTL_BOTH, NULL},
    {"waiting", "waiting", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"blocked", "blocked", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"scheduled", "scheduled", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"ready", "ready", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"running", "running", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"dead", "dead", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"finished", "finished", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"drain_per_s", "per second", JQCTL_REAL, JQCTL_BOTH, NULL},
    {"oldest_ready_ms", "oldest", JQCTL_SPAN, JQCTL_BOTH, NULL},
    {"full", "full", JQCTL_FLAG, JQCTL_BOTH, NULL},
    {"withheld", "withheld", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"depth_max", "takes", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"bytes", "bytes", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"bytes_max", "takes bytes", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"policy", "when full", JQCTL_TEXT, JQCTL_SHEET, NULL},
    {"shed_total", "shed", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"submitted_total", "submitted", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"ended_total", "ended", JQCTL_COUNT, JQCTL_SHEET, NULL},
};
static const struct jqctl_columns queue_row = JQCTL_COLUMNS(queue_columns);

static void fill_name(struct jq_pack *pack, void *ctx) {
    jq_pack_field_str(pack, &jq_message_queue_ls, JQ_AT_QUEUE_LS_NAME, jq_str_of(ctx));
}

int jqctl_queue_ls(struct jqctl *ctl) {
    struct jq_flight flight;
    struct jqctl_list list;
    const int code = jqctl_call(ctl, &flight, "queues", "queue.ls", 0, NULL, NULL);
    if (code != JQCTL_DONE)
        return code;
    const struct jq_view queues = jq_view_get(flight.view.body, "queues");
    const uint64_t left_out = jq_view_uint(flight.view.body, "left_out", 0);
    jqctl_list_begin(&list, ctl, &queue_row, "queue.list");
    for (size_t i = 0; i < jq_view_count(queues); i++)
        jqctl_list_row(&list, jq_view_at(queues, i));
    jqctl_list_end(&list, NULL, NULL);
    if (left_out > 0)
        jqctl_note("%llu queues more did not fit the answer", (unsigned long long)left_out);
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

int jqctl_queue_show(struct jqctl *ctl) {
    char name[JQ_NAME_SIZE_MAX + 1];
    char what[JQ_NAME_SIZE_MAX + 16];
    struct jq_flight flight;
    snprintf(name, sizeof(name), "%s", ctl->args.operands[0]);
    snprintf(what, sizeof(what), "queue %s", name);
    const int code = jqctl_call(ctl, &flight, what, "queue.ls", 1, fill_name, name);
    if (code != JQCTL_DONE)
        return code;
    jqctl_print_item(ctl, &queue_row, "queue", jq_view_at(jq_view_get(flight.view.body, "queues"), 0));
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

struct setting {
    const char *name;
    bool paused;
};

static void fill_set(struct jq_pack *pack, void *ctx) {
    const struct setting *setting = ctx;
    jq_pack_field_str(pack, &jq_message_queue_set, JQ_AT_QUEUE_SET_NAME, jq_str_of(setting->name));
    jq_pack_field_bool(pack, &jq_message_queue_set, JQ_AT_QUEUE_SET_PAUSED, setting->paused);
}

static int set_all(struct jqctl *ctl, bool paused) {
    for (size_t i = 0; i < ctl->args.operand_count; i++) {
        struct setting setting = {ctl->args.operands[i], paused};
        char what[JQ_NAME_SIZE_MAX + 16];
        struct jq_flight flight;
        snprintf(what, sizeof(what), "queue %.64s", setting.name);
        const int code = jqctl_call(ctl, &flight, what, "queue.set", 2, fill_set, &setting);
        if (code != JQCTL_DONE)
            return code;
        jq_flight_end(&flight);
        jqctl_note("%s is %s", what, paused ? "paused" : "resumed");
    }
    return JQCTL_DONE;
}

int jqctl_queue_pause(struct jqctl *ctl) {
    return set_all(ctl, true);
}

int jqctl_queue_resume(struct jqctl *ctl) {
    return set_all(ctl, false);
}
