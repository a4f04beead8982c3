/* queue.c - jqctl queue: listed, shown, paused, resumed, drained, set. */
#include <stdio.h>

#include "common/clock.h"
#include "common/text.h"
#include "tools/jqctl/pages.h"
#include "tools/jqctl/when.h"

static const struct jqctl_column queue_columns[] = {
    {"name", "queue", JQCTL_TEXT, JQCTL_BOTH, NULL},
    {"paused", "paused", JQCTL_FLAG, JQCTL_BOTH, NULL},
    {"paused_until_ms", "until", JQCTL_TIME, JQCTL_SHEET, NULL},
    {"draining", "draining", JQCTL_FLAG, JQCTL_BOTH, NULL},
    {"waiting", "waiting", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"blocked", "blocked", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"scheduled", "scheduled", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"held", "held", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"ready", "ready", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"running", "running", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"dead", "dead", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"finished", "finished", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"drain_per_s", "per second", JQCTL_REAL, JQCTL_BOTH, NULL},
    {"oldest_ready_ms", "oldest", JQCTL_SPAN, JQCTL_BOTH, NULL},
    {"full", "full", JQCTL_FLAG, JQCTL_BOTH, NULL},
    {"withheld", "withheld", JQCTL_COUNT, JQCTL_BOTH, NULL},
    {"weight", "weight", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"depth_max", "takes", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"bytes", "bytes", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"bytes_max", "takes bytes", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"policy", "when full", JQCTL_TEXT, JQCTL_SHEET, NULL},
    {"shed_total", "shed", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"submitted_total", "submitted", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"ended_total", "ended", JQCTL_COUNT, JQCTL_SHEET, NULL},
};
static const struct jqctl_columns queue_row = JQCTL_COLUMNS(queue_columns);

int jqctl_queue_ls(struct jqctl *ctl) {
    const struct jqctl_pages pages = {.op = "queue.ls",
                                      .rows = "queues",
                                      .kind = "queue.list",
                                      .columns = &queue_row,
                                      .message = &jq_message_queue_ls,
                                      .after_place = JQ_AT_QUEUE_LS_AFTER};
    return jqctl_pages_list(ctl, &pages);
}

static void fill_name(struct jq_pack *pack, void *ctx) {
    jq_pack_field_str(pack, &jq_message_queue_ls, JQ_AT_QUEUE_LS_NAME, jq_str_of(ctx));
}

/* The queue of that name, or a failure that says that there is none. */
static int look_up(struct jqctl *ctl, const char *operand, struct jq_flight *flight) {
    char name[JQ_NAME_SIZE_MAX + 1];
    char what[JQ_NAME_SIZE_MAX + 16];
    snprintf(name, sizeof(name), "%s", operand);
    snprintf(what, sizeof(what), "queue %s", name);
    return jqctl_call(ctl, flight, what, "queue.ls", 1, fill_name, name);
}

int jqctl_queue_show(struct jqctl *ctl) {
    struct jq_flight flight;
    const int code = look_up(ctl, ctl->args.operands[0], &flight);
    if (code != JQCTL_DONE)
        return code;
    jqctl_print_item(ctl, &queue_row, "queue", jq_view_at(jq_view_get(flight.view.body, "queues"), 0));
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

/* ---- what is set --------------------------------------------------------------------------------------------------------- */

/* What is asked of each queue that is named: a field for each bit in `given`. */
struct setting {
    const char *name;
    unsigned given; /* by the place of the field */
    bool paused, draining;
    int64_t until_ms;
    uint64_t depth_max, weight, bytes_max;
    const char *policy;
};

static bool asks(const struct setting *setting, unsigned place) {
    return setting->given & 1U << place;
}

static void fill_set(struct jq_pack *pack, void *ctx) {
    const struct jq_message *message = &jq_message_queue_set;
    const struct setting *setting = ctx;
    jq_pack_field_str(pack, message, JQ_AT_QUEUE_SET_NAME, jq_str_of(setting->name));
    if (asks(setting, JQ_AT_QUEUE_SET_PAUSED))
        jq_pack_field_bool(pack, message, JQ_AT_QUEUE_SET_PAUSED, setting->paused);
    if (asks(setting, JQ_AT_QUEUE_SET_UNTIL))
        jq_pack_field_ms(pack, message, JQ_AT_QUEUE_SET_UNTIL, setting->until_ms);
    if (asks(setting, JQ_AT_QUEUE_SET_DRAINING))
        jq_pack_field_bool(pack, message, JQ_AT_QUEUE_SET_DRAINING, setting->draining);
    if (asks(setting, JQ_AT_QUEUE_SET_DEPTH_MAX))
        jq_pack_field_uint(pack, message, JQ_AT_QUEUE_SET_DEPTH_MAX, setting->depth_max);
    if (asks(setting, JQ_AT_QUEUE_SET_WEIGHT))
        jq_pack_field_uint(pack, message, JQ_AT_QUEUE_SET_WEIGHT, setting->weight);
    if (asks(setting, JQ_AT_QUEUE_SET_BYTES_MAX))
        jq_pack_field_uint(pack, message, JQ_AT_QUEUE_SET_BYTES_MAX, setting->bytes_max);
    if (asks(setting, JQ_AT_QUEUE_SET_POLICY))
        jq_pack_field_str(pack, message, JQ_AT_QUEUE_SET_POLICY, jq_str_of(setting->policy));
}

static int set_all(struct jqctl *ctl, struct setting *setting, const char *done) {
    for (size_t i = 0; i < ctl->args.operand_count; i++) {
        char what[JQ_NAME_SIZE_MAX + 16];
        struct jq_flight flight;
        setting->name = ctl->args.operands[i];
        snprintf(what, sizeof(what), "queue %.64s", setting->name);
        const int code = jqctl_call(ctl, &flight, what, "queue.set", 1 + (size_t)__builtin_popcount(setting->given),
                                    fill_set, setting);
        if (code != JQCTL_DONE)
            return code;
        jq_flight_end(&flight);
        jqctl_note("%s %s", what, done);
    }
    return JQCTL_DONE;
}

/* The same of queues that there are, all of them, or else nothing is done: a name that was mistyped would make a queue. Who wants just
 * that says --new. */
static int set_known(struct jqctl *ctl, struct setting *setting, bool has_new, const char *done) {
    const bool may_be_new = has_new && jqctl_given(&ctl->args, "new");
    for (size_t i = 0; i < ctl->args.operand_count && !may_be_new; i++) {
        struct jq_flight flight;
        const int code = look_up(ctl, ctl->args.operands[i], &flight);
        if (code == JQCTL_FAILED && has_new)
            jqctl_note("there is no queue %.64s yet: --new makes it", ctl->args.operands[i]);
        if (code != JQCTL_DONE)
            return code;
        jq_flight_end(&flight);
    }
    return set_all(ctl, setting, done);
}

enum { DONE_SIZE = 64 };

/* A moment, or a span from now on. */
static int option_until(const struct jqctl *ctl, struct setting *setting) {
    const char *text = jqctl_value(&ctl->args, "until");
    struct jq_error error;
    if (!text)
        return JQCTL_DONE;
    setting->given |= 1U << JQ_AT_QUEUE_SET_UNTIL;
    if (jqctl_when_parse_near(jq_str_of(text), jq_clock_wall_ms(), 1, &setting->until_ms, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--until: %s", error.message);
    return JQCTL_DONE;
}

int jqctl_queue_pause(struct jqctl *ctl) {
    struct setting setting = {.given = 1U << JQ_AT_QUEUE_SET_PAUSED, .paused = true};
    char done[DONE_SIZE] = "is paused";
    const int code = option_until(ctl, &setting);
    if (code != JQCTL_DONE)
        return code;
    if (setting.until_ms > 0) {
        struct jq_buf text;
        jq_buf_init(&text, DONE_SIZE);
        jqctl_when_append(&text, setting.until_ms);
        (void)snprintf(done, sizeof(done), "is paused until %.*s", JQ_STR_ARG(jq_buf_str(&text)));
        jq_buf_fini(&text);
    }
    return set_known(ctl, &setting, true, done);
}

int jqctl_queue_resume(struct jqctl *ctl) {
    struct setting setting = {.given = 1U << JQ_AT_QUEUE_SET_PAUSED};
    return set_known(ctl, &setting, false, "is resumed");
}

int jqctl_queue_drain(struct jqctl *ctl) {
    struct setting setting = {.given = 1U << JQ_AT_QUEUE_SET_DRAINING, .draining = !jqctl_given(&ctl->args, "undo")};
    return set_known(ctl, &setting, true, setting.draining ? "drains: it takes no new tasks" : "takes tasks again");
}

static int option_number(const struct jqctl *ctl, const char *name, uint64_t max, unsigned place,
                         struct setting *setting, uint64_t *ret_value) {
    if (jqctl_given(&ctl->args, name))
        setting->given |= 1U << place;
    return jqctl_option_uint(ctl, name, max, ret_value);
}

static int option_size(const struct jqctl *ctl, struct setting *setting) {
    const char *text = jqctl_value(&ctl->args, "bytes-max");
    struct jq_error error;
    if (!text)
        return JQCTL_DONE;
    setting->given |= 1U << JQ_AT_QUEUE_SET_BYTES_MAX;
    if (jq_text_parse_size(jq_str_of(text), &setting->bytes_max, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--bytes-max: %s", error.message);
    if (setting->bytes_max > JQ_QUEUE_BYTES_MAX)
        return jqctl_fail(EX_USAGE, "--bytes-max: at most 1024T");
    return JQCTL_DONE;
}

int jqctl_queue_set(struct jqctl *ctl) {
    struct setting setting = {.given = 0};
    int code = option_number(ctl, "weight", JQ_WEIGHT_MAX, JQ_AT_QUEUE_SET_WEIGHT, &setting, &setting.weight);
    if (code == JQCTL_DONE)
        code = option_number(ctl, "depth-max", JQ_DEPTH_MAX, JQ_AT_QUEUE_SET_DEPTH_MAX, &setting, &setting.depth_max);
    if (code == JQCTL_DONE)
        code = option_size(ctl, &setting);
    setting.policy = jqctl_value(&ctl->args, "policy");
    setting.given |= setting.policy ? 1U << JQ_AT_QUEUE_SET_POLICY : 0U;
    if (code == JQCTL_DONE && setting.given == 0)
        code = jqctl_fail(EX_USAGE, "what is to be set? --weight, --depth-max, --bytes-max, --policy");
    return code == JQCTL_DONE ? set_all(ctl, &setting, "is set") : code;
}
