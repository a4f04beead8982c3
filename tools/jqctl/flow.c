/* flow.c - jqctl flow: submitted, mapped over a file, listed, shown, waited for, cancelled. */
#include "tools/jqctl/flow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"
#include "tools/jqctl/flow_doc.h"
#include "tools/jqctl/made.h"

enum { DRAWN_MAX = 500, TELLING_MAX = 20, PAGE_ROWS = 500, LIST_LIMIT_DEFAULT = 100, OUT_MAX = 16 * 1024 * 1024 };
enum { FLOW_TEXT_SIZE = JQ_TASK_ID_TEXT_SIZE + 8 };

#define FLOW_COLUMNS                                                                                                   \
    {"flow", "flow", JQCTL_ID, JQCTL_BOTH, NULL}, {"name", "name", JQCTL_TEXT, JQCTL_BOTH | JQCTL_SOFT, NULL},         \
        {"state", "state", JQCTL_STATE, JQCTL_BOTH, NULL}, {"total", "tasks", JQCTL_COUNT, JQCTL_BOTH, NULL},          \
        {"waiting", "waiting", JQCTL_COUNT, JQCTL_BOTH, NULL}, {"blocked", "blocked", JQCTL_COUNT, JQCTL_BOTH, NULL},  \
        {"queued", "queued", JQCTL_COUNT, JQCTL_BOTH, NULL}, {"running", "running", JQCTL_COUNT, JQCTL_BOTH, NULL},    \
        {"succeeded", "succeeded", JQCTL_COUNT, JQCTL_BOTH, NULL}, {"dead", "dead", JQCTL_COUNT, JQCTL_BOTH, NULL},    \
        {"cancelled", "cancelled", JQCTL_COUNT, JQCTL_SHEET, NULL},                                                    \
        {"expired", "expired", JQCTL_COUNT, JQCTL_SHEET, NULL},                                                        \
        {"not_needed", "not needed", JQCTL_COUNT, JQCTL_SHEET, NULL}, {                                                \
        "at_ms", "submitted", JQCTL_TIME, JQCTL_BOTH, NULL                                                             \
    }
static const struct jqctl_column flow_columns[] = {FLOW_COLUMNS};
static const struct jqctl_columns flow_row = JQCTL_COLUMNS(flow_columns);

static const struct jqctl_column member_columns[] = {
    {"id", NULL, JQCTL_ID, 0, NULL},        {"state", NULL, JQCTL_TEXT, 0, NULL},
    {"outcome", NULL, JQCTL_TEXT, 0, NULL}, {"handler", NULL, JQCTL_TEXT, 0, NULL},
    {"after", NULL, JQCTL_IDS, 0, NULL},    {"on", NULL, JQCTL_TEXT, 0, NULL},
};
static const struct jqctl_columns member_row = JQCTL_COLUMNS(member_columns);

static const struct jqctl_column submitted_columns[] = {
    {"flow", NULL, JQCTL_ID, JQCTL_BOTH, NULL},
    {"tasks", NULL, JQCTL_COUNT, JQCTL_BOTH, NULL},
};
static const struct jqctl_columns submitted_row = JQCTL_COLUMNS(submitted_columns);

/* "flow 17", for messages. */
static const char *flow_text(uint64_t flow, char place[FLOW_TEXT_SIZE]) {
    char id[JQ_TASK_ID_TEXT_SIZE];
    (void)snprintf(place, FLOW_TEXT_SIZE, "flow %s", jq_text_format_task_id((jq_task_id){flow}, id));
    return place;
}

static int operand_flow(const struct jqctl *ctl, jq_task_id *ret_flow) {
    struct jq_error error;
    if (jq_text_parse_task_id(jq_str_of(ctl->args.operands[0]), ret_flow, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "flow: %s", error.message);
    return JQCTL_DONE;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------ */

static int told_end(struct jqctl *ctl, const struct jq_flow_info *info) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    const char *id = jq_text_format_task_id(info->id, place);
    jqctl_note("flow %s %s: %" PRIu32 " of %" PRIu32 " tasks succeeded, %" PRIu32 " dead, %" PRIu32 " blocked, %" PRIu32
               " cancelled, %" PRIu32 " expired, %" PRIu32 " not needed",
               id, info->state, info->succeeded, info->total, info->dead, info->blocked, info->cancelled, info->expired,
               info->not_needed);
    if (strcmp(info->state, "blocked") == 0)
        jqctl_note("`jqctl flow show %s` names the dead ones; `jqctl dead replay` lets it go on", id);
    (void)ctl;
    return strcmp(info->state, "succeeded") == 0 ? JQCTL_DONE : JQCTL_FAILED;
}

static int wait_flow(struct jqctl *ctl, jq_task_id flow) {
    struct jq_flow_info info = {.total = 0}; /* with a state once the broker has answered */
    struct jq_error error;
    const int64_t deadline_ms = jqctl_deadline_ms(ctl);
    const int connected = jqctl_connect(ctl);
    if (connected != JQCTL_DONE)
        return connected;
    enum jq_err err = jq_flow_wait(ctl->client, flow, 0, &info, &error); /* is it there, and ended already? */
    while (err == JQ_ERR_TIMEOUT && info.state[0] && jq_flight_now_ms() < deadline_ms) {
        err = jq_flow_wait(ctl->client, flow, deadline_ms == INT64_MAX ? -1 : deadline_ms - jq_flight_now_ms(), &info,
                           &error);
        if (err != JQ_OK && jq_flight_now_ms() < deadline_ms && jqctl_outlasts(ctl, err))
            err = JQ_ERR_TIMEOUT;
    }
    return err == JQ_OK ? told_end(ctl, &info) : jqctl_fail_err(NULL, &error);
}

int jqctl_flow_wait(struct jqctl *ctl) {
    jq_task_id flow = {0};
    const int code = operand_flow(ctl, &flow);
    return code == JQCTL_DONE ? wait_flow(ctl, flow) : code;
}

/* ---- submitting --------------------------------------------------------------------------------------------------------- */

static void print_submitted(const struct jqctl *ctl, jq_task_id flow, size_t tasks) {
    struct jqctl_made made;
    char place[JQ_TASK_ID_TEXT_SIZE];
    if (!ctl->json) {
        (void)printf("%s\n", jq_text_format_task_id(flow, place));
        return;
    }
    jqctl_made_init(&made);
    jqctl_made_begin(&made);
    jqctl_made_uint(&made, "flow", flow.value);
    jqctl_made_uint(&made, "tasks", tasks);
    jqctl_print_item(ctl, &submitted_row, "flow.submitted", jqctl_made_end(&made));
    jqctl_made_fini(&made);
}

static int submit(struct jqctl *ctl, struct jq_flow *flow) {
    jq_task_id id = {0};
    struct jq_error error;
    int code = jqctl_connect(ctl);
    if (code != JQCTL_DONE)
        return code;
    if (jq_flow_submit(ctl->client, flow, &id, &error) != JQ_OK)
        return jqctl_fail_err("flow", &error);
    print_submitted(ctl, id, jq_flow_count(flow));
    if (!jqctl_given(&ctl->args, "wait"))
        return JQCTL_DONE;
    (void)fflush(stdout);
    return wait_flow(ctl, id);
}

int jqctl_flow_submit(struct jqctl *ctl) {
    const char *path = ctl->args.operands[0];
    struct jqctl_memory memory = {.chunks = NULL};
    struct jq_flow *flow = NULL;
    struct jq_error error;
    struct jq_buf text;
    int code = jqctl_read_file(path, JQCTL_FLOW_SIZE_MAX, &text);
    if (code == JQCTL_DONE && jqctl_flow_read(jq_buf_bytes(&text), &memory, &flow, &error) != JQ_OK)
        code = jqctl_fail_err(strcmp(path, "-") == 0 ? "stdin" : path, &error);
    if (code == JQCTL_DONE)
        code = submit(ctl, flow);
    jq_flow_free(flow);
    jqctl_memory_free(&memory);
    jq_buf_fini(&text);
    return code;
}

/* HANDLER over the lines of FILE, and a task behind all of them with --then. */
static enum jq_err map_file(const struct jqctl *ctl, const struct jq_task_spec *spec, struct jq_flow *flow,
                            struct jq_error *reterr) {
    const char *then = jqctl_value(&ctl->args, "then");
    size_t first = 0, count = 0, last = 0;
    enum jq_err err = jq_flow_map_file(flow, ctl->args.operands[1], spec, &first, &count, reterr);
    if (err != JQ_OK || !then)
        return err;
    struct jq_task_spec callback = jq_task(then);
    callback.queue = spec->queue;
    callback.on = spec->on;
    err = jq_flow_add(flow, then, &callback, &last, reterr);
    return err == JQ_OK ? jq_flow_after_group(flow, last, first, count, reterr) : err;
}

int jqctl_flow_map(struct jqctl *ctl) {
    struct jq_task_spec spec = jq_task(ctl->args.operands[0]);
    const char *on = jqctl_value(&ctl->args, "on");
    struct jq_flow *flow = NULL;
    struct jq_error error;
    spec.queue = jqctl_value(&ctl->args, "queue");
    if (on && !jq_on_of_name(jq_str_of(on), &spec.on))
        return jqctl_fail(EX_USAGE, "--on: \"%.32s\" is none of succeeded, finished, failed", on);
    enum jq_err err = jq_flow_new(jqctl_value(&ctl->args, "name"), &flow, &error);
    err = err == JQ_OK ? map_file(ctl, &spec, flow, &error) : err;
    const int code = err == JQ_OK ? submit(ctl, flow) : jqctl_fail_err(NULL, &error);
    jq_flow_free(flow);
    return code;
}

/* ---- ls ----------------------------------------------------------------------------------------------------------------- */

struct page {
    uint64_t flow, at, limit;
};

static void fill_ls(struct jq_pack *pack, void *ctx) {
    const struct page *page = ctx;
    jq_pack_field_uint(pack, &jq_message_flow_ls, JQ_AT_FLOW_LS_AFTER, page->flow);
    jq_pack_field_uint(pack, &jq_message_flow_ls, JQ_AT_FLOW_LS_LIMIT, page->limit);
}

static int list_page(struct jqctl *ctl, struct page *page, struct jqctl_list *list) {
    struct jq_flight flight;
    const int code = jqctl_call(ctl, &flight, "flows", "flow.ls", 2, fill_ls, page);
    if (code != JQCTL_DONE)
        return code;
    const struct jq_view flows = jq_view_get(flight.view.body, "flows");
    for (size_t i = 0; i < jq_view_count(flows); i++)
        jqctl_list_row(list, jq_view_at(flows, i));
    page->flow = jq_view_uint(flight.view.body, "next", 0);
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

int jqctl_flow_ls(struct jqctl *ctl) {
    uint64_t limit = LIST_LIMIT_DEFAULT;
    struct jqctl_list list;
    struct page page = {0};
    int code = jqctl_option_uint(ctl, "limit", UINT64_MAX / 2, &limit);
    code = code == JQCTL_DONE ? jqctl_connect(ctl) : code;
    if (code != JQCTL_DONE)
        return code;
    jqctl_list_begin(&list, ctl, &flow_row, "flow.list");
    do {
        const uint64_t left = limit ? limit - list.total : PAGE_ROWS;
        page.limit = left < PAGE_ROWS ? left : PAGE_ROWS;
        code = list_page(ctl, &page, &list);
    } while (code == JQCTL_DONE && page.flow != 0 && (limit == 0 || list.total < limit));
    if (code != JQCTL_DONE && list.total == 0) {
        jqctl_list_drop(&list);
        return code;
    }
    jqctl_list_end(&list, NULL, NULL);
    if (code == JQCTL_DONE && page.flow != 0 && !ctl->json)
        jqctl_note("there are more: --limit 0 for all");
    return code;
}

/* ---- show --------------------------------------------------------------------------------------------------------------- */

static void fill_show(struct jq_pack *pack, void *ctx) {
    const struct page *page = ctx;
    jq_pack_field_uint(pack, &jq_message_flow_show, JQ_AT_FLOW_SHOW_FLOW, page->flow);
    jq_pack_field_uint(pack, &jq_message_flow_show, JQ_AT_FLOW_SHOW_AT, page->at);
    jq_pack_field_uint(pack, &jq_message_flow_show, JQ_AT_FLOW_SHOW_LIMIT, page->limit);
}

static void copy_text(char *out, size_t size, struct jq_view text) {
    const struct jq_str str = jq_view_to_str(text);
    snprintf(out, size, "%.*s", JQ_STR_ARG(str));
}

static void member_of(struct jq_view row, struct jqctl_member *member) {
    const struct jq_view after = jq_view_at(row, JQ_AT_MEMBER_AFTER);
    *member = (struct jqctl_member){.id = jq_view_to_uint(jq_view_at(row, JQ_AT_MEMBER_ID), 0),
                                    .after_count = jq_view_count(after)};
    copy_text(member->state, sizeof(member->state), jq_view_at(row, JQ_AT_MEMBER_STATE));
    copy_text(member->outcome, sizeof(member->outcome), jq_view_at(row, JQ_AT_MEMBER_OUTCOME));
    copy_text(member->handler, sizeof(member->handler), jq_view_at(row, JQ_AT_MEMBER_HANDLER));
    copy_text(member->on, sizeof(member->on), jq_view_at(row, JQ_AT_MEMBER_ON));
    member->after = calloc(member->after_count + 1, sizeof(*member->after));
    JQ_CHECK(member->after != NULL);
    for (size_t i = 0; i < member->after_count; i++)
        member->after[i] = jq_view_to_uint(jq_view_at(after, i), 0);
}

struct showing {
    struct jqctl *ctl;
    struct page page;
    struct jqctl_member *members;
    size_t count, capacity;
    struct jqctl_list list; /* with --json */
    struct jqctl_made made;
};

static void keep_member(struct showing *showing, struct jq_view row) {
    if (showing->count == showing->capacity) {
        showing->capacity = showing->capacity ? showing->capacity * 2 : 64;
        showing->members = realloc(showing->members, showing->capacity * sizeof(*showing->members));
        JQ_CHECK(showing->members != NULL);
    }
    member_of(row, &showing->members[showing->count++]);
}

/* A tuple as a map, which columns can show. */
static void write_member(struct showing *showing, struct jq_view row) {
    static const char *const keys[] = {"id", "state", "outcome", "handler", "after", "on"};
    struct jqctl_made *made = &showing->made;
    jqctl_made_begin(made);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const struct jq_view value = jq_view_at(row, i);
        if (jq_view_given(value))
            msgpack_pack_object(&jqctl_made_key(made, keys[i])->packer, *value.object);
    }
    jqctl_list_row(&showing->list, jqctl_made_end(made));
}

static bool needs_a_look(struct jq_view row) {
    static const char *const states[] = {"dead", "blocked", "running", "cancelling"};
    const struct jq_str state = jq_view_to_str(jq_view_at(row, JQ_AT_MEMBER_STATE));
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (jq_str_equal(state, jq_str_of(states[i])))
            return true;
    }
    return false;
}

/* One page; with `all` every task is kept, else those that need a look. */
static int show_page(struct showing *showing, bool all) {
    struct jq_flight flight;
    char what[FLOW_TEXT_SIZE];
    const int code = jqctl_call(showing->ctl, &flight, flow_text(showing->page.flow, what), "flow.show", 3, fill_show,
                                &showing->page);
    if (code != JQCTL_DONE)
        return code;
    const struct jq_view tasks = jq_view_get(flight.view.body, "tasks");
    for (size_t i = 0; i < jq_view_count(tasks); i++) {
        const struct jq_view row = jq_view_at(tasks, i);
        if (showing->ctl->json)
            write_member(showing, row);
        else if (all || (needs_a_look(row) && showing->count < TELLING_MAX))
            keep_member(showing, row);
    }
    showing->page.at = jq_view_uint(flight.view.body, "next", 0);
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

static int show_pages(struct showing *showing, bool all) {
    int code = JQCTL_DONE;
    showing->page.limit = PAGE_ROWS;
    do {
        code = show_page(showing, all);
    } while (code == JQCTL_DONE && showing->page.at != 0 &&
             (all || showing->ctl->json || showing->count < TELLING_MAX));
    return code;
}

static void draw(struct showing *showing, uint64_t total, bool all) {
    struct jq_buf out;
    jq_buf_init(&out, OUT_MAX);
    jq_buf_append_u8(&out, '\n');
    if (all)
        jqctl_flow_draw(showing->ctl, showing->members, showing->count, &out);
    for (size_t i = 0; !all && i < showing->count; i++)
        jqctl_flow_draw(showing->ctl, &showing->members[i], 1, &out);
    jqctl_drain(&out);
    jq_buf_fini(&out);
    if (!all)
        jqctl_note("%" PRIu64 " tasks are too many to draw; %s; --json has all", total,
                   showing->count > 0 ? "above are the first that run, are dead or blocked"
                                      : "none runs, is dead or blocked");
}

static void write_flow(struct jq_json *json, void *ctx) {
    jq_json_key(json, JQ_STR("flow"));
    jqctl_write_row(json, &flow_row, *(const struct jq_view *)ctx);
}

static int show(struct showing *showing, struct jq_view row) {
    const uint64_t total = jq_view_uint(row, "total", 0);
    const bool all = total <= DRAWN_MAX;
    if (!showing->ctl->json) {
        jqctl_print_sheet(showing->ctl, &flow_row, row);
        const int code = show_pages(showing, all);
        if (code == JQCTL_DONE)
            draw(showing, total, all);
        return code;
    }
    jqctl_made_init(&showing->made);
    jqctl_list_begin(&showing->list, showing->ctl, &member_row, "flow");
    const int code = show_pages(showing, true);
    jqctl_list_end(&showing->list, write_flow, &row);
    jqctl_made_fini(&showing->made);
    return code;
}

int jqctl_flow_show(struct jqctl *ctl) {
    struct showing showing = {.ctl = ctl};
    struct jq_flight flight;
    char what[FLOW_TEXT_SIZE];
    jq_task_id flow = {0};
    int code = operand_flow(ctl, &flow);
    showing.page.flow = flow.value;
    if (code == JQCTL_DONE)
        code = jqctl_call(ctl, &flight, flow_text(flow.value, what), "flow.show", 3, fill_show, &showing.page);
    if (code != JQCTL_DONE)
        return code;
    code = show(&showing, jq_view_at(jq_view_get(flight.view.body, "flows"), 0));
    jq_flight_end(&flight);
    for (size_t i = 0; i < showing.count; i++)
        free(showing.members[i].after);
    free(showing.members);
    return code;
}

/* ---- cancel ------------------------------------------------------------------------------------------------------------- */

int jqctl_flow_cancel(struct jqctl *ctl) {
    jq_task_id flow = {0};
    int64_t grace_ms = 0;
    char what[FLOW_TEXT_SIZE];
    struct jq_error error;
    int code = operand_flow(ctl, &flow);
    code = code == JQCTL_DONE ? jqctl_option_duration(ctl, "grace", &grace_ms) : code;
    code = code == JQCTL_DONE ? jqctl_connect(ctl) : code;
    if (code != JQCTL_DONE)
        return code;
    if (jq_flow_cancel(ctl->client, flow, grace_ms, &error) != JQ_OK)
        return jqctl_fail_err(flow_text(flow.value, what), &error);
    jqctl_note("flow %s is being cancelled", ctl->args.operands[0]);
    return JQCTL_DONE;
}
