/* limit.c - jqctl limit: set, listed, removed. */
#include <stdio.h>

#include "tools/jqctl/pages.h"
#include "tools/jqctl/print.h"

static const struct jqctl_column limit_columns[] = {
    {"scope", "scope", JQCTL_TEXT, JQCTL_BOTH, NULL},
    {"concurrency", "at a time", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"rate", "rate", JQCTL_TEXT, JQCTL_BOTH, NULL},
    {"burst", "burst", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"running", "running", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"groups", "groups", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"held", "held back", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"opens_in_ms", "opens in", JQCTL_SPAN, JQCTL_BOTH, NULL},
    {"configured", "configured", JQCTL_FLAG, JQCTL_BOTH, NULL},
};
static const struct jqctl_columns limit_row = JQCTL_COLUMNS(limit_columns);

int jqctl_limit_ls(struct jqctl *ctl) {
    const struct jqctl_pages pages = {.op = "limit.ls",
                                      .message = &jq_message_limit_ls,
                                      .after_place = JQ_AT_LIMIT_LS_AFTER,
                                      .rows = "limits",
                                      .columns = &limit_row,
                                      .kind = "limit.list"};
    return jqctl_pages_list(ctl, &pages);
}

struct setting {
    const char *scope, *rate;
    uint64_t concurrency, burst;
};

static void fill_set(struct jq_pack *pack, void *ctx) {
    const struct setting *setting = ctx;
    jq_pack_field_str(pack, &jq_message_limit_set, JQ_AT_LIMIT_SET_SCOPE, jq_str_of(setting->scope));
    if (setting->concurrency > 0)
        jq_pack_field_uint(pack, &jq_message_limit_set, JQ_AT_LIMIT_SET_CONCURRENCY, setting->concurrency);
    if (setting->rate)
        jq_pack_field_str(pack, &jq_message_limit_set, JQ_AT_LIMIT_SET_RATE, jq_str_of(setting->rate));
    if (setting->burst > 0)
        jq_pack_field_uint(pack, &jq_message_limit_set, JQ_AT_LIMIT_SET_BURST, setting->burst);
}

static int read_setting(struct jqctl *ctl, struct setting *setting) {
    int code = jqctl_option_uint(ctl, "concurrency", JQ_U32_MAX, &setting->concurrency);
    code = code == JQCTL_DONE ? jqctl_option_uint(ctl, "burst", JQ_BURST_MAX, &setting->burst) : code;
    setting->rate = jqctl_value(&ctl->args, "rate");
    if (code != JQCTL_DONE)
        return code;
    if (jqctl_given(&ctl->args, "concurrency") && setting->concurrency == 0)
        return jqctl_fail(EX_USAGE, "--concurrency: 0 lets nothing run; pause the queue instead");
    if (jqctl_given(&ctl->args, "burst") && setting->burst == 0)
        return jqctl_fail(EX_USAGE, "--burst: 0 lets nothing start");
    if (!setting->rate && setting->concurrency == 0)
        return jqctl_fail(EX_USAGE, "neither --concurrency nor --rate is given");
    return JQCTL_DONE;
}

int jqctl_limit_set(struct jqctl *ctl) {
    struct setting setting = {.scope = ctl->args.operands[0]};
    struct jq_flight flight;
    char what[128];
    int code = read_setting(ctl, &setting);
    if (code != JQCTL_DONE)
        return code;
    snprintf(what, sizeof(what), "limit %.96s", setting.scope);
    const size_t count = 1U + (setting.concurrency > 0) + (setting.rate != NULL) + (setting.burst > 0);
    code = jqctl_call(ctl, &flight, what, "limit.set", count, fill_set, &setting);
    if (code != JQCTL_DONE)
        return code;
    jq_flight_end(&flight);
    jqctl_note("%s is set", what);
    return JQCTL_DONE;
}

static void fill_rm(struct jq_pack *pack, void *ctx) {
    jq_pack_field_str(pack, &jq_message_limit_rm, JQ_AT_LIMIT_RM_SCOPE, jq_str_of(ctx));
}

int jqctl_limit_rm(struct jqctl *ctl) {
    for (size_t i = 0; i < ctl->args.operand_count; i++) {
        char what[128];
        struct jq_flight flight;
        snprintf(what, sizeof(what), "limit %.96s", ctl->args.operands[i]);
        char scope[JQ_SCOPE_SIZE_MAX + 1];
        snprintf(scope, sizeof(scope), "%s", ctl->args.operands[i]);
        const int code = jqctl_call(ctl, &flight, what, "limit.rm", 1, fill_rm, scope);
        if (code != JQCTL_DONE)
            return code;
        jq_flight_end(&flight);
        jqctl_note("%s is removed", what);
    }
    return JQCTL_DONE;
}
