/* select.c - what is done to all tasks that a --where selects: counted, agreed to, done, summed up. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/text.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/many.h"
#include "tools/jqctl/print.h"

/* The broker takes its time with millions of tasks, and serves others in between. */
enum { SELECT_TIMEOUT_MS = 600000, QUESTION_SIZE = 128 };

static const struct jqctl_column outcome_columns[] = {
    {"matched", "matched", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"done", "done", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"why", "others", JQCTL_TEXT, JQCTL_SHEET, NULL},
    {"first", "first", JQCTL_TEXT, JQCTL_SHEET, NULL},
};
static const struct jqctl_columns outcome_row = JQCTL_COLUMNS(outcome_columns);

struct selecting {
    const struct jqctl_many *many;
    const char *where;
    bool dry_run;
    struct jq_flight flight; /* of the last answer */
};

static void fill(struct jq_pack *pack, void *ctx) {
    const struct selecting *selecting = ctx;
    const struct jq_message *message = selecting->many->message;
    const int where = jq_message_place(message, JQ_STR("where"), 0);
    const int dry_run = jq_message_place(message, JQ_STR("dry_run"), 0);
    JQ_CHECK(where >= 0 && dry_run >= 0);
    jq_pack_field_str(pack, message, (unsigned)where, jq_str_of(selecting->where));
    jq_pack_field_bool(pack, message, (unsigned)dry_run, selecting->dry_run);
    jqctl_fill_many(pack, selecting->many);
}

/* On JQCTL_DONE the caller ends the flight. */
static int ask(struct jqctl *ctl, struct selecting *selecting, bool dry_run) {
    const int64_t timeout_ms = ctl->timeout_ms > 0 ? ctl->timeout_ms : SELECT_TIMEOUT_MS;
    const char *op = selecting->many->op;
    selecting->dry_run = dry_run;
    return jqctl_call_within(ctl, &selecting->flight, op, op, 2 + jqctl_many_fields(selecting->many), fill, selecting,
                             timeout_ms);
}

/* "17, 18, 3-19", with dots behind where there are more. */
static void list_ids(struct jq_buf *buf, struct jq_view ids, uint64_t matched) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    for (size_t i = 0; i < jq_view_count(ids); i++)
        jq_buf_append_format(buf, "%s%s", i ? ", " : "",
                             jq_text_format_task_id((jq_task_id){jq_view_to_uint(jq_view_at(ids, i), 0)}, place));
    if (matched > jq_view_count(ids) && jq_view_count(ids) > 0)
        jq_buf_append_text(buf, JQ_STR(", .."));
}

static void print_answer(const struct jqctl *ctl, const struct selecting *selecting, struct jq_view body) {
    const uint64_t matched = jq_view_uint(body, "matched", 0);
    const struct jq_str why = jq_view_str(body, "why");
    struct jqctl_made made;
    struct jq_buf first;
    jq_buf_init(&first, 4096);
    list_ids(&first, jq_view_get(body, "samples"), matched);
    jqctl_made_init(&made);
    jqctl_made_begin(&made);
    jqctl_made_uint(&made, "matched", matched);
    jqctl_made_uint(&made, "done", jq_view_uint(body, "count", 0));
    if (why.size > 0)
        jqctl_made_str(&made, "why", why);
    if (first.size > 0)
        jqctl_made_str(&made, "first", jq_buf_str(&first));
    jqctl_print_item(ctl, &outcome_row, selecting->dry_run ? "task.selection" : selecting->many->kind,
                     jqctl_made_end(&made));
    jqctl_made_fini(&made);
    jq_buf_fini(&first);
}

static int dry_run(struct jqctl *ctl, struct selecting *selecting) {
    const int code = ask(ctl, selecting, true);
    if (code != JQCTL_DONE)
        return code;
    print_answer(ctl, selecting, selecting->flight.view.body);
    jq_flight_end(&selecting->flight);
    return JQCTL_DONE;
}

/* Nothing is done to all of them unasked. JQCTL_DONE with *ret_none: there is nobody to ask about. */
static int agree(struct jqctl *ctl, struct selecting *selecting, bool *ret_none) {
    char question[QUESTION_SIZE];
    *ret_none = false;
    if (jqctl_given(&ctl->args, "yes"))
        return JQCTL_DONE;
    if (isatty(STDIN_FILENO) != 1 || !ctl->terminal.err)
        return jqctl_fail(EX_USAGE, "--yes is wanted where nobody can be asked; --dry-run tells what it would be");
    const int code = ask(ctl, selecting, true);
    if (code != JQCTL_DONE)
        return code;
    const uint64_t matched = jq_view_uint(selecting->flight.view.body, "matched", 0);
    jq_flight_end(&selecting->flight);
    *ret_none = matched == 0;
    snprintf(question, sizeof(question), "%s %" PRIu64 " task%s?", selecting->many->verb, matched,
             matched == 1 ? "" : "s");
    return matched == 0 || jqctl_confirm(question) ? JQCTL_DONE : jqctl_fail(JQCTL_FAILED, "nothing was done");
}

static void sum_up(const struct selecting *selecting, struct jq_view body) {
    const uint64_t matched = jq_view_uint(body, "matched", 0), done = jq_view_uint(body, "count", 0);
    const struct jq_str why = jq_view_str(body, "why");
    if (done == matched)
        jqctl_note("%" PRIu64 " %s", done, selecting->many->done);
    else
        jqctl_note("%" PRIu64 " of %" PRIu64 " %s; the others: %.*s", done, matched, selecting->many->done,
                   JQ_STR_ARG(why));
}

int jqctl_do_where(struct jqctl *ctl, const struct jqctl_many *many, const char *where) {
    struct selecting selecting = {.many = many, .where = where};
    bool none = false;
    if (jqctl_given(&ctl->args, "dry-run"))
        return dry_run(ctl, &selecting);
    int code = agree(ctl, &selecting, &none);
    if (code != JQCTL_DONE)
        return code;
    if (none) {
        jqctl_note("0 %s: no task is like that", many->done);
        return JQCTL_DONE;
    }
    code = ask(ctl, &selecting, false);
    if (code != JQCTL_DONE)
        return code;
    if (ctl->json)
        print_answer(ctl, &selecting, selecting.flight.view.body);
    sum_up(&selecting, selecting.flight.view.body);
    jq_flight_end(&selecting.flight);
    return JQCTL_DONE;
}
