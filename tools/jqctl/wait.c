/* wait.c - waiting for tasks: long polls on up to a thousand of them at a time. */
#include "tools/jqctl/wait.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"
#include "tools/jqctl/bar.h"
#include "tools/jqctl/payload.h"

enum {
    POLL_MS = 5000, /* of one long poll: shorter than libjq gives a try */
    HINT_AFTER_MS = 3000,
    POLL_BAR_MS = 400, /* where a bar is drawn between them */
    ANSWER_MS = 2000,  /* beyond the time that is left: for the answer that nothing has ended */
};

struct waiting {
    struct jqctl *ctl;
    jq_task_id *ids; /* a copy; those of [begin, count) have not ended */
    size_t begin, count;
    int64_t deadline_ms; /* mono clock */
    int64_t hint_ms;     /* when to say why it takes so long; 0: that was done */
    bool answered;       /* the broker, at least once */
    bool away;           /* it did not answer the last poll */
    struct jqctl_bar bar;
    void (*on_row)(struct waiting *waiting, struct jq_view row);
    struct jqctl_list list; /* of jqctl_wait_all() */
    size_t failed;
    int (*on_success)(void *then_ctx, struct jq_view row); /* of jqctl_wait_result_then() */
    void *then_ctx;
    int then_code;
};

/* ---- one poll ----------------------------------------------------------------------------------------------------------- */

struct poll {
    const jq_task_id *ids;
    size_t count;
    int64_t wait_ms;
};

static void fill_wait(struct jq_pack *pack, void *ctx) {
    const struct poll *poll = ctx;
    jq_pack_key(pack, &jq_message_wait, JQ_AT_WAIT_IDS);
    jq_pack_array(pack, poll->count);
    for (size_t i = 0; i < poll->count; i++)
        jq_pack_uint(pack, poll->ids[i].value);
    jq_pack_field_ms(pack, &jq_message_wait, JQ_AT_WAIT_WAIT, poll->wait_ms);
}

/* The task is no longer waited for. */
static bool take_off(struct waiting *waiting, uint64_t id) {
    for (size_t i = waiting->begin; i < waiting->count; i++) {
        if (waiting->ids[i].value == id) {
            waiting->ids[i] = waiting->ids[waiting->begin++];
            return true;
        }
    }
    return false;
}

/* A broker that has answered before is waited for as long as there is time: what it took is on its disk, and workers go on without it. */
static int call(struct waiting *waiting, struct jq_flight *flight, struct poll *poll, int64_t left_ms) {
    const int64_t call_ms = poll->wait_ms + JQCTL_TIMEOUT_DEFAULT_MS;
    const int64_t most_ms = left_ms > 0 ? left_ms : 0;
    struct jq_error error;
    const enum jq_err err = jq_client_call(waiting->ctl->client, flight, "wait", 2, fill_wait, poll,
                                           most_ms < call_ms - ANSWER_MS ? most_ms + ANSWER_MS : call_ms, &error);
    waiting->away = err != JQ_OK;
    if (err == JQ_OK) {
        waiting->answered = true;
        return JQCTL_DONE;
    }
    jqctl_bar_wipe(&waiting->bar);
    return waiting->answered && jqctl_outlasts(waiting->ctl, err) ? JQCTL_DONE : jqctl_fail_err("wait", &error);
}

static int poll_once(struct waiting *waiting) {
    struct jq_flight flight;
    const size_t left = waiting->count - waiting->begin;
    const int64_t left_ms = waiting->deadline_ms - jq_flight_now_ms();
    const int64_t most_ms = waiting->bar.shown ? POLL_BAR_MS : waiting->hint_ms ? HINT_AFTER_MS : POLL_MS;
    struct poll poll = {.ids = waiting->ids + waiting->begin,
                        .count = left < JQ_IDS_COUNT_MAX ? left : JQ_IDS_COUNT_MAX,
                        .wait_ms = left_ms < most_ms ? left_ms : most_ms};
    poll.wait_ms =
        poll.wait_ms > 0 && waiting->answered ? poll.wait_ms : 0; /* the first: is it there, and ended already? */
    const int code = call(waiting, &flight, &poll, left_ms);
    if (code != JQCTL_DONE || waiting->away)
        return code;
    const struct jq_view tasks = jq_view_get(flight.view.body, "tasks");
    for (size_t i = 0; i < jq_view_count(tasks); i++) {
        const struct jq_view row = jq_view_at(tasks, i);
        if (!take_off(waiting, jq_view_uint(row, "id", 0)))
            continue;
        jqctl_bar_wipe(&waiting->bar);
        waiting->on_row(waiting, row);
    }
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

/* ---- the bar ------------------------------------------------------------------------------------------------------------ */

static void draw_row(void *ctx, struct jq_view row) {
    struct waiting *waiting = ctx;
    const struct jq_view progress = jq_view_get(row, "progress");
    const struct jq_str text = jq_view_str(row, "progress_text");
    if (jq_view_uint(row, "id", 0) == waiting->ids[waiting->begin].value)
        jqctl_bar_draw(&waiting->bar, jq_view_given(progress) ? (int)jq_view_to_uint(progress, 0) : -1,
                       text.size ? text : jq_view_str(row, "state"));
}

static void draw(struct waiting *waiting) {
    char text[64];
    if (!waiting->bar.shown)
        return;
    if (waiting->count == 1) { /* its row, but without the payload: from a page of one */
        const struct jqctl_filter filter = {.after = waiting->ids[0].value - 1, .limit = 1};
        uint64_t next = 0;
        (void)jqctl_task_page(waiting->ctl, &filter, draw_row, waiting, &next);
        return;
    }
    const int size = snprintf(text, sizeof(text), "%zu of %zu", waiting->begin, waiting->count);
    jqctl_bar_draw(&waiting->bar, (int)(waiting->begin * 1000 / waiting->count), (struct jq_str){text, (size_t)size});
}

static int still_waiting(const struct waiting *waiting) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    const size_t left = waiting->count - waiting->begin;
    const char *first = jq_text_format_task_id(waiting->ids[waiting->begin], place);
    const char *away = waiting->away ? "; the broker does not answer" : "";
    if (left == 1)
        return jqctl_fail(EX_TEMPFAIL, "task %s has not ended in time%s", first, away);
    return jqctl_fail(EX_TEMPFAIL, "%zu tasks have not ended in time, task %s among them%s", left, first, away);
}

/* Once, when it takes long: it may be that nothing will ever come of it. */
static void hint(struct waiting *waiting) {
    if (waiting->hint_ms == 0 || jq_flight_now_ms() < waiting->hint_ms)
        return;
    jqctl_bar_wipe(&waiting->bar);
    jqctl_explain_hint(waiting->ctl, waiting->ids[waiting->begin]);
    waiting->hint_ms = 0;
}

static int wait_loop(struct waiting *waiting) {
    while (waiting->begin < waiting->count) {
        const int code = poll_once(waiting);
        if (code != JQCTL_DONE) {
            jqctl_bar_wipe(&waiting->bar);
            return code;
        }
        if (waiting->begin == waiting->count)
            break;
        if (jq_flight_now_ms() >= waiting->deadline_ms) {
            jqctl_bar_wipe(&waiting->bar);
            return still_waiting(waiting);
        }
        if (!waiting->away) {
            hint(waiting);
            draw(waiting);
        }
    }
    jqctl_bar_wipe(&waiting->bar);
    return JQCTL_DONE;
}

static int waiting_run(struct waiting *waiting, struct jqctl *ctl, const jq_task_id *ids, size_t count) {
    int code = jqctl_connect(ctl);
    if (code != JQCTL_DONE)
        return code;
    waiting->ctl = ctl;
    waiting->count = count;
    waiting->deadline_ms = jqctl_deadline_ms(ctl);
    waiting->hint_ms = jq_flight_now_ms() + HINT_AFTER_MS;
    waiting->ids = calloc(count + 1, sizeof(*waiting->ids));
    if (!waiting->ids)
        return jqctl_fail(EX_OSERR, "out of memory");
    memcpy(waiting->ids, ids, count * sizeof(*ids));
    jqctl_bar_init(&waiting->bar, ctl);
    code = wait_loop(waiting);
    free(waiting->ids);
    return code;
}

/* ---- many --------------------------------------------------------------------------------------------------------------- */

static bool has_succeeded(struct jq_view row) {
    return jq_str_equal(jq_view_str(row, "state"), JQ_STR("succeeded"));
}

static bool is_known(struct jq_view row) {
    return !jq_str_equal(jq_view_str(row, "state"), JQ_STR("none"));
}

static int not_found(struct jq_view row) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    return jqctl_fail(JQCTL_FAILED, "task %s: not found: never submitted, or forgotten",
                      jq_text_format_task_id((jq_task_id){jq_view_uint(row, "id", 0)}, place));
}

static void list_ended(struct waiting *waiting, struct jq_view row) {
    waiting->failed += !has_succeeded(row);
    if (is_known(row) || waiting->ctl->json)
        jqctl_list_row(&waiting->list, row);
    if (!is_known(row))
        (void)not_found(row);
    if (waiting->bar.shown)
        jqctl_list_flush(&waiting->list);
}

int jqctl_wait_all(struct jqctl *ctl, const jq_task_id *ids, size_t count) {
    struct waiting waiting = {.on_row = list_ended};
    const int connected = jqctl_connect(ctl);
    if (connected != JQCTL_DONE)
        return connected;
    jqctl_list_begin(&waiting.list, ctl, &jqctl_task_ended, "task.outcomes");
    const int code = waiting_run(&waiting, ctl, ids, count);
    jqctl_list_end(&waiting.list, NULL, NULL);
    return code == JQCTL_DONE && waiting.failed > 0 ? JQCTL_FAILED : code;
}

/* ---- one ---------------------------------------------------------------------------------------------------------------- */

static void print_result(const struct jqctl *ctl, struct jq_bytes result) {
    struct jq_buf text;
    struct jq_json json;
    const bool msgpack = jqctl_payload_is_msgpack(result);
    if (!msgpack && !ctl->terminal.out) {
        jqctl_write(result);
        return;
    }
    if (!msgpack && !jqctl_is_text(result)) {
        jqctl_note("the result is %zu bytes that are no text: not shown on a terminal", result.size);
        return;
    }
    jq_buf_init(&text, 16 * (size_t)JQ_PAYLOAD_SIZE_MAX);
    jq_json_init(&json, &text);
    if (msgpack)
        jqctl_payload_write(result, &json);
    else
        jqctl_append_safe(&text, (struct jq_str){(const char *)result.data, result.size}, true);
    if (msgpack || (text.size > 0 && text.data[text.size - 1] != '\n'))
        jq_buf_append_u8(&text, '\n');
    jqctl_drain(&text);
    jq_buf_fini(&text);
}

/* What became of a task that did not succeed, for people: one line, and what it last wrote to stderr. */
static void complain(struct jq_view row) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    const struct jq_view detail = jq_view_get(row, "detail");
    const struct jq_str message = jq_view_str(detail, "message");
    const struct jq_bytes tail = jq_view_bin(detail, "stderr");
    struct jq_buf text;
    jqctl_note("task %s %.*s (%.*s)%s%.*s", jq_text_format_task_id((jq_task_id){jq_view_uint(row, "id", 0)}, place),
               JQ_STR_ARG(jq_view_str(row, "state")), JQ_STR_ARG(jq_view_str(row, "outcome")), message.size ? ": " : "",
               JQ_STR_ARG(message));
    if (tail.size == 0)
        return;
    jq_buf_init(&text, 16 * (size_t)JQ_TAIL_SIZE_MAX);
    jqctl_append_safe(&text, (struct jq_str){(const char *)tail.data, tail.size}, true);
    if (tail.data[tail.size - 1] != '\n')
        jq_buf_append_u8(&text, '\n');
    (void)fwrite(text.data, 1, text.size, stderr);
    jq_buf_fini(&text);
}

static void result_ended(struct waiting *waiting, struct jq_view row) {
    waiting->failed += !has_succeeded(row);
    if (!is_known(row)) {
        (void)not_found(row);
        return;
    }
    if (waiting->ctl->json)
        jqctl_print_item(waiting->ctl, &jqctl_task_ended, "task.outcome", row);
    else
        print_result(waiting->ctl, jq_view_bin(jq_view_get(row, "detail"), "result"));
    if (!has_succeeded(row))
        complain(row);
    else if (waiting->on_success)
        waiting->then_code = waiting->on_success(waiting->then_ctx, row);
}

int jqctl_wait_result_then(struct jqctl *ctl, jq_task_id id, int (*on_success)(void *then_ctx, struct jq_view row),
                           void *then_ctx) {
    struct waiting waiting = {.on_row = result_ended, .on_success = on_success, .then_ctx = then_ctx};
    const int code = waiting_run(&waiting, ctl, &id, 1);
    if (code != JQCTL_DONE)
        return code;
    return waiting.failed > 0 ? JQCTL_FAILED : waiting.then_code;
}

int jqctl_wait_result(struct jqctl *ctl, jq_task_id id) {
    return jqctl_wait_result_then(ctl, id, NULL, NULL);
}

int jqctl_task_wait(struct jqctl *ctl) {
    jq_task_id *ids = NULL;
    size_t count = 0;
    int code = jqctl_operand_ids(ctl, &ids, &count);
    if (code == JQCTL_DONE)
        code = jqctl_given(&ctl->args, "result") && count == 1 ? jqctl_wait_result(ctl, ids[0])
                                                               : jqctl_wait_all(ctl, ids, count);
    free(ids);
    return code;
}
