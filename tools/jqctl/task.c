/* task.c - jqctl task ls and show, and the pages that others walk too. */
#include "tools/jqctl/task.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"

enum { PAGE_ROWS = 200, LIST_LIMIT_DEFAULT = 100, WORD_COUNT_MAX = 16 };

/* ---- pages -------------------------------------------------------------------------------------------------------------- */

static size_t word_count(const char *words) {
    size_t count = words != NULL;
    for (; words && *words; words++)
        count += (size_t)(*words == ',');
    return count;
}

static void fill_states(struct jq_pack *pack, const char *states) {
    jq_pack_key(pack, &jq_message_task_ls, JQ_AT_TASK_LS_STATES);
    jq_pack_array(pack, word_count(states));
    while (states) {
        const char *comma = strchr(states, ',');
        jq_pack_str(pack, (struct jq_str){states, comma ? (size_t)(comma - states) : strlen(states)});
        states = comma ? comma + 1 : NULL;
    }
}

static void fill_page(struct jq_pack *pack, void *ctx) {
    const struct jqctl_filter *filter = ctx;
    jq_pack_field_uint(pack, &jq_message_task_ls, JQ_AT_TASK_LS_AFTER, filter->after);
    jq_pack_field_uint(pack, &jq_message_task_ls, JQ_AT_TASK_LS_LIMIT, filter->limit);
    if (filter->queue)
        jq_pack_field_str(pack, &jq_message_task_ls, JQ_AT_TASK_LS_QUEUE, jq_str_of(filter->queue));
    if (filter->handler)
        jq_pack_field_str(pack, &jq_message_task_ls, JQ_AT_TASK_LS_HANDLER, jq_str_of(filter->handler));
    if (filter->states)
        fill_states(pack, filter->states);
    if (filter->where)
        jq_pack_field_str(pack, &jq_message_task_ls, JQ_AT_TASK_LS_WHERE, jq_str_of(filter->where));
}

int jqctl_task_page(struct jqctl *ctl, const struct jqctl_filter *filter, void (*on_row)(void *ctx, struct jq_view row),
                    void *ctx, uint64_t *ret_next) {
    struct jqctl_filter copy = *filter;
    struct jq_flight flight;
    const size_t fields =
        2U + (filter->queue != NULL) + (filter->handler != NULL) + (filter->states != NULL) + (filter->where != NULL);
    const int code = jqctl_call(ctl, &flight, "tasks", "task.ls", fields, fill_page, &copy);
    if (code != JQCTL_DONE)
        return code;
    const struct jq_view tasks = jq_view_get(flight.view.body, "tasks");
    for (size_t i = 0; i < jq_view_count(tasks); i++)
        on_row(ctx, jq_view_at(tasks, i));
    *ret_next = jq_view_uint(flight.view.body, "next", 0);
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

/* ---- ls ----------------------------------------------------------------------------------------------------------------- */

static void list_row(void *ctx, struct jq_view row) {
    jqctl_list_row(ctx, row);
}

static void write_next(struct jq_json *json, void *ctx) {
    const uint64_t *next = ctx;
    char place[JQ_TASK_ID_TEXT_SIZE];
    jq_json_put_text(json, "next", *next ? jq_text_format_task_id((jq_task_id){*next}, place) : NULL);
}

static int check_states(const char *states) {
    if (word_count(states) > WORD_COUNT_MAX)
        return jqctl_fail(EX_USAGE, "--state: more than %d states", WORD_COUNT_MAX);
    while (states) {
        const char *comma = strchr(states, ',');
        const struct jq_str word = {states, comma ? (size_t)(comma - states) : strlen(states)};
        enum jq_state state;
        if (!jq_state_of_name(word, &state) || state == JQ_STATE_NONE)
            return jqctl_fail(
                EX_USAGE,
                "--state: no state \"%.*s\"; there are waiting, blocked, scheduled, held, ready, running, cancelling, "
                "succeeded, dead, cancelled and expired",
                (int)(word.size < 64 ? word.size : 64), word.data);
        states = comma ? comma + 1 : NULL;
    }
    return JQCTL_DONE;
}

static int option_after(const struct jqctl *ctl, uint64_t *ret_after) {
    const char *after = jqctl_value(&ctl->args, "after");
    jq_task_id id = {0};
    struct jq_error error;
    if (after && jq_text_parse_task_id(jq_str_of(after), &id, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--after: %s", error.message);
    *ret_after = id.value;
    return JQCTL_DONE;
}

/* Page after page, until `limit` rows (0: no limit) or the end. *next: where it would go on. */
static int walk_pages(struct jqctl *ctl, struct jqctl_filter *filter, uint64_t limit, struct jqctl_list *list,
                      uint64_t *next) {
    do {
        const uint64_t left = limit ? limit - list->total : PAGE_ROWS;
        filter->limit = left < PAGE_ROWS ? left : PAGE_ROWS;
        const int code = jqctl_task_page(ctl, filter, list_row, list, next);
        if (code != JQCTL_DONE)
            return code;
        filter->after = *next;
    } while (*next != 0 && (limit == 0 || list->total < limit));
    return JQCTL_DONE;
}

int jqctl_task_list(struct jqctl *ctl, const char *states, const char *kind) {
    uint64_t limit = LIST_LIMIT_DEFAULT, next = 0;
    struct jqctl_filter filter = {.queue = jqctl_value(&ctl->args, "queue"),
                                  .handler = jqctl_value(&ctl->args, "handler"),
                                  .states = states,
                                  .where = jqctl_value(&ctl->args, "where")};
    struct jqctl_list list;
    int code = jqctl_option_uint(ctl, "limit", UINT64_MAX / 2, &limit);
    code = code == JQCTL_DONE ? option_after(ctl, &filter.after) : code;
    code = code == JQCTL_DONE ? check_states(states) : code;
    code = code == JQCTL_DONE ? jqctl_connect(ctl) : code;
    if (code != JQCTL_DONE)
        return code;
    jqctl_list_begin(&list, ctl, &jqctl_task_row, kind);
    code = walk_pages(ctl, &filter, limit, &list, &next);
    if (code != JQCTL_DONE && list.total == 0) {
        jqctl_list_drop(&list);
        return code;
    }
    jqctl_list_end(&list, write_next, &next);
    if (next && code == JQCTL_DONE && !ctl->json) {
        char place[JQ_TASK_ID_TEXT_SIZE];
        jqctl_note("there are more: --after %s, or --limit 0 for all",
                   jq_text_format_task_id((jq_task_id){next}, place));
    }
    return code;
}

int jqctl_task_ls(struct jqctl *ctl) {
    return jqctl_task_list(ctl, jqctl_value(&ctl->args, "state"), "task.list");
}

/* ---- show --------------------------------------------------------------------------------------------------------------- */

static void fill_id(struct jq_pack *pack, void *ctx) {
    const jq_task_id *id = ctx;
    jq_pack_field_uint(pack, &jq_message_task_id, JQ_AT_TASK_ID_ID, id->value);
}

/* A task in this state, or in any (NULL). */
static int show(struct jqctl *ctl, jq_task_id id, const char *name, const char *state) {
    char what[64];
    struct jq_flight flight;
    snprintf(what, sizeof(what), "task %.32s", name);
    const int code = jqctl_call(ctl, &flight, what, "task.show", 1, fill_id, &id);
    if (code != JQCTL_DONE)
        return code;
    const struct jq_view row = jq_view_at(jq_view_get(flight.view.body, "tasks"), 0);
    const struct jq_str is = jq_view_str(row, "state");
    if (state && !jq_str_equal(is, jq_str_of(state))) {
        const int refusal = jqctl_fail(JQCTL_FAILED, "task %.32s is %.*s, not %s; see `jqctl task show %.32s`", name,
                                       JQ_STR_ARG(is), state, name);
        jq_flight_end(&flight);
        return refusal;
    }
    jqctl_print_item(ctl, &jqctl_task_whole, "task", row);
    if (jq_view_bool(row, "detail_left_out", false))
        jqctl_note("payload and report do not fit one answer: `jqctl task wait %.32s` gives the report", name);
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

int jqctl_task_show_in(struct jqctl *ctl, const char *state) {
    jq_task_id *ids = NULL;
    size_t count = 0;
    int code = jqctl_operand_ids(ctl, &ids, &count);
    if (code == JQCTL_DONE)
        code = show(ctl, ids[0], ctl->args.operands[0], state);
    free(ids);
    return code;
}

int jqctl_task_show(struct jqctl *ctl) {
    return jqctl_task_show_in(ctl, NULL);
}
