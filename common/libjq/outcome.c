/* outcome.c - waiting for tasks, looking at them, cancelling them. */
#include <stdlib.h>

#include "common/libjq/flight.h"

enum { WAIT_SLICE_MS = 20000, IDS_MAX = 1000 };

/* ---- rows into results ---- */

static struct jq_bytes view_bytes(struct jq_view map, const char *key) {
    return jq_view_to_bin(jq_view_get(map, key));
}

/* A result that borrows from the view. */
static struct jq_result result_of(struct jq_view row) {
    const struct jq_view detail = jq_view_get(row, "detail");
    struct jq_result result = {.id = {jq_view_uint(row, "id", 0)},
                               .attempts = (unsigned)jq_view_uint(row, "attempts", 0),
                               .crashes = (unsigned)jq_view_uint(row, "crashes", 0),
                               .exit_code = (int)jq_view_uint(detail, "exit", UINT64_MAX),
                               .signal_number = (int)jq_view_uint(detail, "signal", UINT64_MAX),
                               .duration_ms = (int64_t)jq_view_uint(detail, "duration_ms", 0),
                               .progress_permille = (int)jq_view_uint(row, "progress", UINT64_MAX),
                               .data = view_bytes(detail, "result"),
                               .message = jq_view_str(detail, "message"),
                               .stdout_tail = view_bytes(detail, "stdout"),
                               .stderr_tail = view_bytes(detail, "stderr")};
    (void)jq_state_of_name(jq_view_str(row, "state"), &result.state);
    (void)jq_outcome_of_name(jq_view_str(row, "outcome"), &result.outcome);
    return result;
}

static uint8_t *place(uint8_t **at, const void *data, size_t size) {
    uint8_t *placed = *at;
    if (size > 0) {
        memcpy(placed, data, size);
    }
    placed[size] = '\0';
    *at += size + 1;
    return placed;
}

/* One block: the result, then its bytes, each with a NUL behind it. */
static struct jq_result *result_copy(const struct jq_result *from) {
    const size_t size = from->data.size + from->message.size + from->stdout_tail.size + from->stderr_tail.size + 4;
    struct jq_result *copy = malloc(sizeof(*copy) + size);
    if (!copy) {
        return NULL;
    }
    *copy = *from;
    uint8_t *at = (uint8_t *)(copy + 1);
    copy->data.data = place(&at, from->data.data, from->data.size);
    copy->message.data = (const char *)place(&at, from->message.data, from->message.size);
    copy->stdout_tail.data = place(&at, from->stdout_tail.data, from->stdout_tail.size);
    copy->stderr_tail.data = place(&at, from->stderr_tail.data, from->stderr_tail.size);
    return copy;
}

void jq_result_free(struct jq_result *result) {
    free(result);
}

/* ---- wait ---- */

struct wait_body {
    const jq_task_id *ids;
    size_t count;
    int64_t wait_ms;
};

static void fill_wait(struct jq_pack *pack, void *ctx) {
    const struct wait_body *body = ctx;
    jq_pack_key(pack, &jq_message_wait, JQ_AT_WAIT_IDS);
    jq_pack_array(pack, body->count);
    for (size_t i = 0; i < body->count; i++) {
        jq_pack_uint(pack, body->ids[i].value);
    }
    jq_pack_field_ms(pack, &jq_message_wait, JQ_AT_WAIT_WAIT, body->wait_ms);
}

/* One long poll. On JQ_OK the caller ends the flight. */
static enum jq_err wait_once(struct jq_client *client, struct jq_flight *flight, struct wait_body *body,
                             int64_t deadline_ms, struct jq_error *reterr) {
    struct jq_pack pack;
    const int64_t now_ms = jq_flight_now_ms();
    body->wait_ms = deadline_ms - now_ms < WAIT_SLICE_MS ? deadline_ms - now_ms : WAIT_SLICE_MS;
    body->wait_ms = body->wait_ms < 0 ? 0 : body->wait_ms;
    const int64_t answer_by_ms = now_ms + body->wait_ms + client->timeout_ms;
    enum jq_err err = jq_flight_begin(client, flight, "wait", 2, answer_by_ms, &pack, reterr);
    if (err != JQ_OK) {
        return err;
    }
    fill_wait(&pack, body);
    flight->try_timeout_ms = body->wait_ms + JQ_POLL_EXTRA_MS;
    jq_flight_send(flight);
    err = jq_flight_finish(flight, answer_by_ms, reterr);
    err = err == JQ_OK ? jq_refusal(&flight->view, reterr) : err;
    if (err != JQ_OK) {
        jq_flight_end(flight);
    }
    return err;
}

enum jq_err jq_wait_any(struct jq_client *client, const jq_task_id *ids, size_t count, int64_t timeout_ms,
                        void (*on_ended)(void *ctx, const struct jq_result *result), void *ctx,
                        struct jq_error *reterr) {
    if (count == 0 || count > IDS_MAX) {
        return jq_fail(reterr, JQ_ERR_INVALID, "ids: %zu, not 1 to %d", count, IDS_MAX);
    }
    struct wait_body body = {.ids = ids, .count = count};
    const int64_t deadline_ms = timeout_ms < 0 ? INT64_MAX / 2 : jq_flight_now_ms() + timeout_ms;
    do {
        struct jq_flight flight;
        const enum jq_err err = wait_once(client, &flight, &body, deadline_ms, reterr);
        if (err != JQ_OK) {
            return err;
        }
        const struct jq_view tasks = jq_view_get(flight.view.body, "tasks");
        const size_t ended = jq_view_count(tasks);
        for (size_t i = 0; i < ended; i++) {
            const struct jq_result result = result_of(jq_view_at(tasks, i));
            on_ended(ctx, &result);
        }
        jq_flight_end(&flight);
        if (ended > 0) {
            return JQ_OK;
        }
    } while (jq_flight_now_ms() < deadline_ms);
    return jq_fail(reterr, JQ_ERR_TIMEOUT, "none of %zu tasks has ended", count);
}

static void keep_first(void *ctx, const struct jq_result *result) {
    struct jq_result **kept = ctx;
    if (!*kept) {
        *kept = result_copy(result);
    }
}

static enum jq_err known(struct jq_result *result, jq_task_id id, struct jq_result **ret_result,
                         struct jq_error *reterr) {
    if (!result) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "result");
    }
    if (result->state == JQ_STATE_NONE) {
        jq_result_free(result);
        return jq_fail(reterr, JQ_ERR_NOT_FOUND, "task %llu: never submitted, or forgotten",
                       (unsigned long long)id.value);
    }
    *ret_result = result;
    return JQ_OK;
}

enum jq_err jq_wait(struct jq_client *client, jq_task_id id, int64_t timeout_ms, struct jq_result **ret_result,
                    struct jq_error *reterr) {
    struct jq_result *result = NULL;
    const enum jq_err err = jq_wait_any(client, &id, 1, timeout_ms, keep_first, (void *)&result, reterr);
    return err == JQ_OK ? known(result, id, ret_result, reterr) : err;
}

/* ---- all of many ---- */

/* Those that have not ended yet are kept together at the front of `open`. */
struct waiting {
    jq_task_id *open;
    size_t count, asked; /* the first `asked` of them are waited for */
    void (*on_ended)(void *ctx, const struct jq_result *result);
    void *ctx;
};

static void one_ended(void *ctx, const struct jq_result *result) {
    struct waiting *waiting = ctx;
    for (size_t i = 0; i < waiting->asked; i++) {
        if (waiting->open[i].value == result->id.value) {
            waiting->asked--;
            waiting->open[i] = waiting->open[waiting->asked];
            waiting->open[waiting->asked] = waiting->open[--waiting->count];
            waiting->on_ended(waiting->ctx, result);
            return;
        }
    }
}

enum jq_err jq_wait_all(struct jq_client *client, const jq_task_id *ids, size_t count, int64_t timeout_ms,
                        void (*on_ended)(void *ctx, const struct jq_result *result), void *ctx,
                        struct jq_error *reterr) {
    struct waiting waiting = {.count = count, .on_ended = on_ended, .ctx = ctx};
    const int64_t deadline_ms = timeout_ms < 0 ? INT64_MAX / 2 : jq_flight_now_ms() + timeout_ms;
    enum jq_err err = JQ_OK;
    waiting.open = malloc((count + 1) * sizeof(*waiting.open));
    if (!waiting.open) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "wait");
    }
    for (size_t i = 0; i < count; i++) {
        waiting.open[i] = ids[i];
    }
    while (waiting.count > 0 && err == JQ_OK) {
        const int64_t left_ms = deadline_ms - jq_flight_now_ms();
        waiting.asked = waiting.count < IDS_MAX ? waiting.count : IDS_MAX;
        err = jq_wait_any(client, waiting.open, waiting.asked, left_ms > 0 ? left_ms : 0, one_ended, &waiting, reterr);
    }
    free(waiting.open);
    return err;
}

/* ---- status and cancel ---- */

static void fill_id(struct jq_pack *pack, void *ctx) {
    const jq_task_id *id = ctx;
    jq_pack_field_uint(pack, &jq_message_task_id, JQ_AT_TASK_ID_ID, id->value);
}

enum jq_err jq_status(struct jq_client *client, jq_task_id id, struct jq_result **ret_result, struct jq_error *reterr) {
    struct jq_flight flight;
    const enum jq_err err = jq_client_call(client, &flight, "task.show", 1, fill_id, &id, 0, reterr);
    if (err != JQ_OK) {
        return err;
    }
    const struct jq_result result = result_of(jq_view_at(jq_view_get(flight.view.body, "tasks"), 0));
    struct jq_result *copy = result_copy(&result);
    jq_flight_end(&flight);
    return known(copy, id, ret_result, reterr);
}

struct cancel_body {
    const jq_task_id *ids;
    size_t count;
    int64_t grace_ms;
};

static void fill_cancel(struct jq_pack *pack, void *ctx) {
    const struct cancel_body *body = ctx;
    jq_pack_key(pack, &jq_message_task_cancel, JQ_AT_TASK_CANCEL_IDS);
    jq_pack_array(pack, body->count);
    for (size_t i = 0; i < body->count; i++) {
        jq_pack_uint(pack, body->ids[i].value);
    }
    if (body->grace_ms > 0) {
        jq_pack_field_ms(pack, &jq_message_task_cancel, JQ_AT_TASK_CANCEL_GRACE, body->grace_ms);
    }
}

enum jq_err jq_cancel(struct jq_client *client, const jq_task_id *ids, size_t count, int64_t grace_ms,
                      struct jq_error *reterr) {
    struct cancel_body body = {ids, count, grace_ms};
    struct jq_flight flight;
    enum jq_err err = jq_client_call(client, &flight, "task.cancel", 1 + (grace_ms > 0), fill_cancel, &body, 0, reterr);
    if (err != JQ_OK) {
        return err;
    }
    const struct jq_view first = jq_view_at(jq_view_get(flight.view.body, "exceptions"), 0);
    if (jq_view_given(first)) {
        const struct jq_str reason = jq_view_to_str(jq_view_at(first, JQ_AT_EXCEPTION_REASON));
        const uint64_t status = jq_view_to_uint(jq_view_at(first, JQ_AT_EXCEPTION_STATUS), 0);
        err = jq_fail(reterr, jq_err_of_reply((enum jq_reply)status), "task %llu: %.*s",
                      (unsigned long long)jq_view_to_uint(jq_view_at(first, JQ_AT_EXCEPTION_TASK), 0),
                      JQ_STR_ARG(reason));
    }
    jq_flight_end(&flight);
    return err;
}
