/* explain.c - jqctl task explain: why is it not running? One screen, the most decisive reason first. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/need.h"
#include "common/text.h"
#include "tools/jqctl/task.h"
#include "tools/jqctl/when.h"

enum { TEXT_SIZE_MAX = 128 * 1024 };

/* ---- JSON --------------------------------------------------------------------------------------------------------------- */

static const struct jqctl_column line_columns[] = {
    {"why", NULL, JQCTL_TEXT, 0, NULL},    {"worker", NULL, JQCTL_TEXT, 0, NULL},
    {"detail", NULL, JQCTL_TEXT, 0, NULL}, {"number", NULL, JQCTL_COUNT, 0, NULL},
    {"count", NULL, JQCTL_COUNT, 0, NULL},
};
static const struct jqctl_columns line_row = JQCTL_COLUMNS(line_columns);

static const struct jqctl_column explanation_columns[] = {
    {"task", NULL, JQCTL_MAP, 0, &jqctl_task_row},
    {"lines", NULL, JQCTL_LIST, 0, &line_row},
    {"left_out", NULL, JQCTL_COUNT, 0, NULL},
};
static const struct jqctl_columns explanation = JQCTL_COLUMNS(explanation_columns);

/* ---- sentences ---------------------------------------------------------------------------------------------------------- */

/* What a line is about. */
enum about { ABOUT_TASK, ABOUT_WORKERS, ABOUT_WORKER };

/* In a text, %d stands for the detail, %w for the worker, %n for the number, %t for it as a span, %a for it as an amount. A line
 * about workers begins with the name of one, or with how many they are and `many`. */
static const struct {
    const char *why;
    enum about about;
    const char *text;
    const char *many;
} sentences[] = {
    {"ended", ABOUT_TASK, "It has ended: %d.", NULL},
    {"running", ABOUT_TASK, "It runs on worker %w, for %t now.", NULL},
    {"parent_dead", ABOUT_TASK, "It is blocked by task %d: replay that (`jqctl dead replay`), or remove it.", NULL},
    {"waits_for", ABOUT_TASK, "It waits for task %d.", NULL},
    {"more_parents", ABOUT_TASK, "It waits for %n more.", NULL},
    {"held", ABOUT_TASK, "Somebody holds it; `jqctl task release` lets it go.", NULL},
    {"not_due", ABOUT_TASK, "It is not due for another %t (%d).", NULL},
    {"queue_paused", ABOUT_TASK, "Its queue is paused; `jqctl queue resume %d` lets it go on.", NULL},
    {"disk_full", ABOUT_TASK, "The broker's disk has %n bytes left: no room for the outcomes of more tasks.", NULL},
    {"limit_full", ABOUT_TASK, "The limit %d is full: %n may run at a time, and the next starts when there is room.",
     NULL},
    {"limit_rate", ABOUT_TASK, "The limit %d lets nothing start for another %t.", NULL},
    {"breaker_open", ABOUT_TASK, "The circuit breaker %d is open for another %t: too much failed there.", NULL},
    {"breaker_tripped", ABOUT_TASK,
     "The circuit breaker %d was opened by an operator; `jqctl breaker reset %d` closes it.", NULL},
    {"breaker_probing", ABOUT_TASK,
     "The circuit breaker %d is half-open, and waits for the tasks that try whether all is well.", NULL},
    {"no_worker_can", ABOUT_WORKERS, "No worker that the broker knows could ever run it:", NULL},
    {"no_worker_free", ABOUT_WORKERS, "There are workers that could run it, but none is free now:", NULL},
    {"next", ABOUT_WORKERS, "A worker is free for it.", NULL},
    {"holds_worker", ABOUT_TASK, "Worker %w is kept for it until it has room: %d is short by %a.", NULL},
    {"holds_room", ABOUT_TASK, "Worker %w is kept for it, and has room: it gets it when it asks.", NULL},
    {"worker_reserved", ABOUT_WORKER, "has room, but keeps it for task %d",
     "have room, but keep it for task %d (%w for one)"},
    {"worker_no_room", ABOUT_WORKER, "is short of %d by %a", "are short of %d; the least of all is %w, by %a"},
    {"worker_not_asking", ABOUT_WORKER, "is not asking for tasks", "are not asking for tasks (%w for one)"},
    {"worker_suspect", ABOUT_WORKER, "runs a task that may have killed a worker, and no other such beside it",
     "run a task that may have killed a worker, and no other such beside it (%w for one)"},
    {"worker_short", ABOUT_WORKER, "ran out of something under such a task, and takes none for another %t",
     "ran out of something under such a task; the first to take one again is %w, in %t"},
    {"worker_breaker", ABOUT_WORKER, "is given nothing: its circuit breaker, worker:%w, is open",
     "are given nothing: their circuit breakers are open (worker:%w for one)"},
    {"worker_draining", ABOUT_WORKER, "is draining", "are draining (%w for one)"},
    {"worker_asleep", ABOUT_WORKER, "sleeps; its doorbell was rung %n times", "sleep (%w for one)"},
    {"worker_accepts", ABOUT_WORKER, "accepts only tasks that reserve %d",
     "accept only tasks that reserve %d (%w for one)"},
    {"worker_fails_term", ABOUT_WORKER, "does not meet %d", "do not meet %d (%w for one)"},
    {"worker_lacks_handler", ABOUT_WORKER, "does not define the handler %d",
     "do not define the handler %d (%w for one)"},
    {"worker_silent", ABOUT_WORKER, "has not been heard of: dead, or gone",
     "have not been heard of: dead, or gone (%w for one)"},
    {"workers_more", ABOUT_WORKER, "cannot take it for yet other reasons", "cannot take it for yet other reasons"},
    {"group_turn", ABOUT_TASK, "Its group %d takes its turn behind at most %n others.", NULL},
    {"behind", ABOUT_TASK, "Before it in its queue: about %n.", NULL},
    {"expected", ABOUT_TASK, "At the rate of late it starts in about %t.", NULL},
    {"expected_unknown", ABOUT_TASK, "When it will start cannot be told: %d.", NULL},
};

static int find_sentence(struct jq_str why) {
    for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
        if (jq_str_equal(jq_str_of(sentences[i].why), why))
            return (int)i;
    }
    return -1;
}

static void append_placed(struct jq_buf *out, char what, struct jq_view line) {
    const uint64_t number = jq_view_uint(line, "number", 0);
    char span[JQCTL_SPAN_TEXT_SIZE];
    char amount[JQ_AMOUNT_TEXT_SIZE_MAX];
    switch (what) {
    case 'd': jqctl_append_safe(out, jq_view_str(line, "detail"), false); break;
    case 'w': jqctl_append_safe(out, jq_view_str(line, "worker"), false); break;
    case 't': jq_buf_append_format(out, "%s", jqctl_span_format((int64_t)(number & INT64_MAX), span)); break;
    case 'a':
        (void)jq_amount_format(number, amount);
        jq_buf_append_format(out, "%s", amount);
        break;
    default: jq_buf_append_format(out, "%" PRIu64, number); break;
    }
}

static void append_sentence(struct jq_buf *out, const char *text, struct jq_view line) {
    for (; *text; text++) {
        if (*text == '%')
            append_placed(out, *++text, line);
        else
            jq_buf_append_u8(out, (uint8_t)*text);
    }
    jq_buf_append_u8(out, '\n');
}

/* A word of a newer broker. */
static void append_unknown(struct jq_buf *out, struct jq_view line) {
    jqctl_append_safe(out, jq_view_str(line, "why"), false);
    append_sentence(out, " %d %w", line);
}

static void append_line(struct jq_buf *out, struct jq_view line) {
    const int at = find_sentence(jq_view_str(line, "why"));
    const uint64_t count = jq_view_uint(line, "count", 1);
    if (at < 0) {
        append_unknown(out, line);
    } else if (sentences[at].about != ABOUT_WORKER) {
        append_sentence(out, sentences[at].text, line);
    } else if (count > 1) {
        jq_buf_append_format(out, "  %" PRIu64 " workers ", count);
        append_sentence(out, sentences[at].many, line);
    } else {
        jq_buf_append_format(out, "  ");
        const struct jq_str worker = jq_view_str(line, "worker");
        jqctl_append_safe(out, worker.size > 0 ? worker : JQ_STR("1 worker"), false);
        jq_buf_append_u8(out, ' ');
        append_sentence(out, sentences[at].text, line);
    }
}

static void append_head(struct jq_buf *out, const char *name, struct jq_view task) {
    const int64_t now_ms = jq_clock_wall_ms();
    const struct jq_str need = jq_view_str(task, "need");
    const uint64_t attempts = jq_view_uint(task, "attempts", 0);
    jq_buf_append_format(out, "Task %s (handler ", name);
    jqctl_append_safe(out, jq_view_str(task, "handler"), false);
    jq_buf_append_format(out, ", queue ");
    jqctl_append_safe(out, jq_view_str(task, "queue"), false);
    jq_buf_append_format(out, ") is ");
    jqctl_append_safe(out, jq_view_str(task, "state"), false);
    jq_buf_append_format(out, jq_str_equal(jq_view_str(task, "state"), JQ_STR("scheduled")) ? " for " : " since ");
    jqctl_when_append(out, (int64_t)(jq_view_uint(task, "at_ms", 0) & INT64_MAX));
    jq_buf_append_format(out, " (");
    jqctl_when_append_age(out, (int64_t)(jq_view_uint(task, "at_ms", 0) & INT64_MAX), now_ms);
    jq_buf_append_format(out, ").\n");
    if (attempts > 0)
        jq_buf_append_format(out, "Attempts that failed: %" PRIu64 ".\n", attempts);
    if (need.size > 0) {
        jq_buf_append_format(out, "It needs ");
        jqctl_append_safe(out, need, false);
        jq_buf_append_format(out, ".\n");
    }
}

/* What ended it, and where to look further. */
static void append_death(struct jq_buf *out, const char *name, struct jq_view task) {
    const struct jq_str error = jq_view_str(task, "error");
    if (!jq_str_equal(jq_view_str(task, "state"), JQ_STR("dead")))
        return;
    if (error.size > 0) {
        jq_buf_append_format(out, "Its error: ");
        jqctl_append_safe(out, error, false);
        jq_buf_append_u8(out, '\n');
    }
    jq_buf_append_format(out, "`jqctl dead show %s` has its last output; `jqctl dead replay %s` runs it again.\n", name,
                         name);
}

static void print_sentences(const char *name, struct jq_view body) {
    const struct jq_view lines = jq_view_get(body, "lines");
    const uint64_t left_out = jq_view_uint(body, "left_out", 0);
    struct jq_buf out;
    jq_buf_init(&out, TEXT_SIZE_MAX);
    append_head(&out, name, jq_view_get(body, "task"));
    for (size_t i = 0; i < jq_view_count(lines); i++)
        append_line(&out, jq_view_at(lines, i));
    append_death(&out, name, jq_view_get(body, "task"));
    if (left_out > 0)
        jq_buf_append_format(&out, "  and %" PRIu64 " lines more\n", left_out);
    jqctl_drain(&out);
    jq_buf_fini(&out);
}

static void fill_id(struct jq_pack *pack, void *ctx) {
    const jq_task_id *id = ctx;
    jq_pack_field_uint(pack, &jq_message_task_id, JQ_AT_TASK_ID_ID, id->value);
}

static int explain(struct jqctl *ctl, jq_task_id id, const char *name) {
    char what[64];
    struct jq_flight flight;
    snprintf(what, sizeof(what), "task %.32s", name);
    const int code = jqctl_call(ctl, &flight, what, "task.explain", 1, fill_id, &id);
    if (code != JQCTL_DONE)
        return code;
    if (ctl->json)
        jqctl_print_item(ctl, &explanation, "task.explanation", flight.view.body);
    else
        print_sentences(name, flight.view.body);
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

static bool is_grave(struct jq_str why) {
    return jq_str_equal(why, JQ_STR("queue_paused")) || jq_str_equal(why, JQ_STR("no_worker_can")) ||
           jq_str_equal(why, JQ_STR("breaker_open")) || jq_str_equal(why, JQ_STR("breaker_tripped"));
}

void jqctl_explain_hint(struct jqctl *ctl, jq_task_id id) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    struct jq_flight flight;
    if (jqctl_connect(ctl) != JQCTL_DONE ||
        jq_client_call(ctl->client, &flight, "task.explain", 1, fill_id, &id, jqctl_call_ms(ctl), NULL) != JQ_OK)
        return;
    const struct jq_view lines = jq_view_get(flight.view.body, "lines");
    for (size_t i = 0; i < jq_view_count(lines); i++) {
        const struct jq_str why = jq_view_str(jq_view_at(lines, i), "why");
        if (is_grave(why)) {
            jqctl_note("task %s is not running: %.*s; see `jqctl task explain %s`", jq_text_format_task_id(id, place),
                       JQ_STR_ARG(why), place);
            break;
        }
    }
    jq_flight_end(&flight);
}

int jqctl_task_explain(struct jqctl *ctl) {
    jq_task_id *ids = NULL;
    size_t count = 0;
    int code = jqctl_operand_ids(ctl, &ids, &count);
    if (code == JQCTL_DONE)
        code = explain(ctl, ids[0], ctl->args.operands[0]);
    free(ids);
    return code;
}
