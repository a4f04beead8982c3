/* submit.c - tasks into frames, frames to the broker, verdicts back: several frames are under way at a time. */
#include <stdio.h>
#include <stdlib.h>

#include "common/libjq/flight.h"
#include "common/text.h"

enum {
    FRAMES_AT_A_TIME = 12,
    FRAME_ROOM = JQ_FRAME_SIZE_MAX - 512, /* what the envelope leaves */
    BUSY_WAIT_MIN_MS = 20,
    AFTER_ID_SIZE = 9,
    ANSWER_WAY_MS = 300,
    HOLD_MAX_MS = 20000, /* what brokers allow as shipped */
};

struct jq_task_spec jq_task(const char *handler) {
    return (struct jq_task_spec){.handler = handler, .priority = -1, .retry_max = -1};
}

/* ---- one task ---- */

size_t jq_task_size(const struct jq_task_spec *task) {
    size_t size = 256 + AFTER_ID_SIZE * task->after_count + task->payload_size + strlen(task->handler);
    size += (task->queue ? strlen(task->queue) : 0) + (task->need ? strlen(task->need) : 0) +
            (task->want ? strlen(task->want) : 0);
    size += task->key ? strlen(task->key) : 0;
    size += task->group ? strlen(task->group) : 0;
    for (size_t i = 0; i < task->input_count; i++) {
        size += 4 + JQ_BLOB_TEXT_SIZE + strlen(task->inputs[i].name);
    }
    for (size_t i = 0; i < task->output_count; i++) {
        size += 2 + strlen(task->outputs[i]);
    }
    for (size_t i = 0; i < task->header_count; i++) {
        size += 10 + strlen(task->headers[i].name) + strlen(task->headers[i].value);
    }
    return size;
}

/* A tight bound for the usual task, so that frames are filled. */
static size_t task_room(const struct jq_task_spec *task) {
    const bool plain = !task->key && !task->group && task->after_count == 0 && !task->need && !task->want &&
                       task->header_count == 0 && task->delay_ms == 0 && task->eta_ms == 0 && task->expires_ms == 0 &&
                       task->retry_max < 0 && task->input_count == 0 && task->output_count == 0;
    return plain ? 72 + task->payload_size + strlen(task->handler) + (task->queue ? strlen(task->queue) : 0)
                 : jq_task_size(task);
}

static bool has_retry(const struct jq_task_spec *task) {
    return task->retry_max >= 0 || task->retry_base_ms > 0 || task->retry_cap_ms > 0;
}

static size_t optional_ms(struct jq_pack *pack, unsigned place, int64_t value) {
    if (value == 0) {
        return 0;
    }
    jq_pack_field_ms(pack, &jq_message_task, place, value);
    return 1;
}

static size_t optional_text(struct jq_pack *pack, unsigned place, const char *value) {
    if (!value) {
        return 0;
    }
    jq_pack_field_str(pack, &jq_message_task, place, jq_str_of(value));
    return 1;
}

static void pack_retry(struct jq_pack *pack, const struct jq_task_spec *task) {
    jq_pack_key(pack, &jq_message_task, JQ_AT_TASK_RETRY);
    jq_pack_map(pack, (size_t)(task->retry_max >= 0) + (task->retry_base_ms > 0) + (task->retry_cap_ms > 0));
    if (task->retry_max >= 0) {
        jq_pack_field_uint(pack, &jq_message_retry, JQ_AT_RETRY_MAX, (uint64_t)task->retry_max);
    }
    if (task->retry_base_ms > 0) {
        jq_pack_field_ms(pack, &jq_message_retry, JQ_AT_RETRY_BASE, task->retry_base_ms);
    }
    if (task->retry_cap_ms > 0) {
        jq_pack_field_ms(pack, &jq_message_retry, JQ_AT_RETRY_CAP, task->retry_cap_ms);
    }
}

static void pack_headers(struct jq_pack *pack, const struct jq_task_spec *task) {
    jq_pack_key(pack, &jq_message_task, JQ_AT_TASK_HEADERS);
    jq_pack_map(pack, task->header_count);
    for (size_t i = 0; i < task->header_count; i++) {
        jq_pack_str(pack, jq_str_of(task->headers[i].name));
        jq_pack_str(pack, jq_str_of(task->headers[i].value));
    }
}

static size_t pack_after(struct jq_pack *pack, const struct jq_task_spec *task) {
    if (task->after_count == 0) {
        return 0;
    }
    jq_pack_key(pack, &jq_message_task, JQ_AT_TASK_AFTER);
    jq_pack_array(pack, task->after_count);
    for (size_t i = 0; i < task->after_count; i++) {
        jq_pack_uint(pack, task->after[i].value);
    }
    return 1 + optional_text(pack, JQ_AT_TASK_ON, task->on ? jq_on_name(task->on) : NULL);
}

static size_t pack_files(struct jq_pack *pack, const struct jq_task_spec *task) {
    char text[JQ_BLOB_TEXT_SIZE];
    if (task->input_count > 0) {
        jq_pack_key(pack, &jq_message_task, JQ_AT_TASK_INPUTS);
        jq_pack_map(pack, task->input_count);
        for (size_t i = 0; i < task->input_count; i++) {
            jq_pack_str(pack, jq_str_of(task->inputs[i].name));
            jq_pack_str(pack, jq_str_of(jq_text_format_hex(
                                  (struct jq_bytes){task->inputs[i].blob.hash, JQ_BLOB_HASH_SIZE}, text)));
        }
    }
    if (task->output_count > 0) {
        jq_pack_key(pack, &jq_message_task, JQ_AT_TASK_OUTPUTS);
        jq_pack_array(pack, task->output_count);
        for (size_t i = 0; i < task->output_count; i++) {
            jq_pack_str(pack, jq_str_of(task->outputs[i]));
        }
    }
    return (size_t)(task->input_count > 0) + (size_t)(task->output_count > 0);
}

static size_t pack_rare(struct jq_pack *pack, const struct jq_task_spec *task) {
    size_t count = optional_ms(pack, JQ_AT_TASK_DELAY, task->delay_ms);
    count += optional_ms(pack, JQ_AT_TASK_ETA, task->eta_ms);
    count += optional_ms(pack, JQ_AT_TASK_EXPIRES, task->expires_ms);
    count += optional_text(pack, JQ_AT_TASK_NEED, task->need);
    count += optional_text(pack, JQ_AT_TASK_WANT, task->want);
    count += optional_text(pack, JQ_AT_TASK_KEY, task->key);
    count += optional_text(pack, JQ_AT_TASK_UNIQUE, task->unique);
    count += optional_ms(pack, JQ_AT_TASK_UNIQUE_MS, task->unique_ms);
    count += optional_text(pack, JQ_AT_TASK_GROUP, task->group);
    if (has_retry(task)) {
        pack_retry(pack, task);
        count++;
    }
    count += optional_ms(pack, JQ_AT_TASK_SOFT_LIMIT, task->soft_limit_ms);
    count += optional_ms(pack, JQ_AT_TASK_HARD_LIMIT, task->hard_limit_ms);
    count += optional_ms(pack, JQ_AT_TASK_RESULT_TTL, task->result_ttl_ms);
    if (task->header_count > 0) {
        pack_headers(pack, task);
        count++;
    }
    if (task->no_cache) {
        jq_pack_field_bool(pack, &jq_message_task, JQ_AT_TASK_NO_CACHE, true);
        count++;
    }
    return count + pack_files(pack, task) + pack_after(pack, task);
}

void jq_task_pack(struct jq_pack *pack, const struct jq_task_spec *task) {
    const size_t hole = jq_pack_map_begin(pack);
    size_t count = 1;
    jq_pack_field_str(pack, &jq_message_task, JQ_AT_TASK_HANDLER, jq_str_of(task->handler));
    count += optional_text(pack, JQ_AT_TASK_QUEUE, task->queue);
    if (task->payload_size > 0) {
        jq_pack_field_bin(pack, &jq_message_task, JQ_AT_TASK_PAYLOAD,
                          (struct jq_bytes){task->payload, task->payload_size});
        count++;
    }
    if (task->priority >= 0) {
        jq_pack_field_uint(pack, &jq_message_task, JQ_AT_TASK_PRIORITY, (uint64_t)task->priority);
        count++;
    }
    count += pack_rare(pack, task);
    jq_pack_end(pack, hole, count);
}

/* ---- one frame ---- */

/* The tasks of a batch that still have no verdict, by index; a frame takes a stretch of them. */
struct batch {
    struct jq_client *client;
    const struct jq_task_spec *tasks;
    struct jq_submitted *out;
    const size_t *todo; /* indexes into tasks */
    size_t todo_count, next;
    int64_t deadline_ms;
    int64_t busy_ms; /* longest wait that a full queue asked for */
};

struct frame {
    struct jq_flight flight;
    size_t first, count; /* of todo */
};

static size_t frame_stretch(const struct batch *batch) {
    size_t size = 0, count = 0;
    while (batch->next + count < batch->todo_count && count < JQ_SUBMIT_COUNT_MAX) {
        size += task_room(&batch->tasks[batch->todo[batch->next + count]]);
        if (count > 0 && size > FRAME_ROOM) {
            break;
        }
        count++;
    }
    return count;
}

/* A queue whose policy is block may hold the answer back for as long as the caller has, less what the way of the answer takes. */
static int64_t hold_ms(const struct batch *batch) {
    const int64_t left_ms = batch->deadline_ms - jq_flight_now_ms();
    const int64_t wait_ms = left_ms > 2 * ANSWER_WAY_MS ? left_ms - ANSWER_WAY_MS : left_ms / 2;
    return wait_ms < 0 ? 0 : wait_ms < HOLD_MAX_MS ? wait_ms : HOLD_MAX_MS;
}

static enum jq_err frame_pack(struct batch *batch, struct frame *frame, struct jq_error *reterr) {
    struct jq_pack pack;
    frame->first = batch->next;
    frame->count = frame_stretch(batch);
    const enum jq_err err =
        jq_flight_begin(batch->client, &frame->flight, "submit", 2, batch->deadline_ms, &pack, reterr);
    if (err != JQ_OK) {
        return err;
    }
    const int64_t wait_ms = hold_ms(batch);
    frame->flight.try_timeout_ms = wait_ms + JQ_POLL_EXTRA_MS;
    jq_pack_field_ms(&pack, &jq_message_submit, JQ_AT_SUBMIT_WAIT, wait_ms);
    jq_pack_key(&pack, &jq_message_submit, JQ_AT_SUBMIT_TASKS);
    jq_pack_array(&pack, frame->count);
    for (size_t i = 0; i < frame->count; i++) {
        jq_task_pack(&pack, &batch->tasks[batch->todo[frame->first + i]]);
    }
    batch->next += frame->count;
    return JQ_OK;
}

/* ---- verdicts ---- */

static void take_exception(struct batch *batch, struct jq_submitted *out, struct jq_view exception) {
    const struct jq_str field = jq_view_to_str(jq_view_at(exception, JQ_AT_EXCEPTION_FIELD));
    const struct jq_str reason = jq_view_to_str(jq_view_at(exception, JQ_AT_EXCEPTION_REASON));
    out->status = (enum jq_reply)jq_view_to_uint(jq_view_at(exception, JQ_AT_EXCEPTION_STATUS), JQ_REPLY_INVALID);
    out->id = (jq_task_id){jq_view_to_uint(jq_view_at(exception, JQ_AT_EXCEPTION_TASK), 0)};
    out->duplicate = out->status == JQ_REPLY_OK;
    if (out->status == JQ_REPLY_BUSY) {
        const int64_t wait_ms =
            (int64_t)jq_view_to_uint(jq_view_at(exception, JQ_AT_EXCEPTION_RETRY_AFTER), BUSY_WAIT_MIN_MS);
        batch->busy_ms = wait_ms > batch->busy_ms ? wait_ms : batch->busy_ms;
    }
    snprintf(out->reason, sizeof(out->reason), "%.*s%s%.*s", JQ_STR_ARG(field), field.size && reason.size ? ": " : "",
             JQ_STR_ARG(reason));
}

static void take_verdicts(struct batch *batch, const struct frame *frame) {
    const struct jq_view body = frame->flight.view.body;
    const struct jq_view exceptions = jq_view_get(body, "exceptions");
    const size_t exception_count = jq_view_count(exceptions);
    uint64_t id = jq_view_uint(body, "first", 0);
    const bool unmatched = jq_view_bool(body, "unmatched", false);
    size_t at = 0;
    for (size_t i = 0; i < frame->count; i++) {
        struct jq_submitted *out = &batch->out[batch->todo[frame->first + i]];
        const struct jq_view exception = jq_view_at(exceptions, at);
        *out = (struct jq_submitted){.status = JQ_REPLY_OK, .unmatched = unmatched};
        if (at < exception_count && jq_view_to_uint(jq_view_at(exception, JQ_AT_EXCEPTION_INDEX), UINT64_MAX) == i) {
            take_exception(batch, out, exception);
            at++;
        } else {
            out->id = (jq_task_id){id++};
        }
    }
}

/* The whole request was refused: every task of the frame shares that. A full broker is asked again. */
static enum jq_err take_answer(struct batch *batch, struct frame *frame, struct jq_error *reterr) {
    const struct jq_reply_view *view = &frame->flight.view;
    if (view->status == JQ_REPLY_OK) {
        take_verdicts(batch, frame);
        return JQ_OK;
    }
    if (view->status != JQ_REPLY_BUSY) {
        return jq_refusal(view, reterr);
    }
    for (size_t i = 0; i < frame->count; i++) {
        struct jq_submitted *out = &batch->out[batch->todo[frame->first + i]];
        *out = (struct jq_submitted){.status = JQ_REPLY_BUSY};
        snprintf(out->reason, sizeof(out->reason), "%.*s", JQ_STR_ARG(view->reason));
    }
    const int64_t wait_ms = view->retry_after_ms > 0 ? view->retry_after_ms : BUSY_WAIT_MIN_MS;
    batch->busy_ms = wait_ms > batch->busy_ms ? wait_ms : batch->busy_ms;
    return JQ_OK;
}

/* ---- all frames of a round ---- */

struct fleet {
    struct frame frames[FRAMES_AT_A_TIME];
    bool used[FRAMES_AT_A_TIME];
};

static enum jq_err fleet_launch(struct batch *batch, struct fleet *fleet, struct jq_error *reterr) {
    for (int i = 0; i < FRAMES_AT_A_TIME && batch->next < batch->todo_count; i++) {
        if (!fleet->used[i]) {
            const enum jq_err err = frame_pack(batch, &fleet->frames[i], reterr);
            if (err != JQ_OK) {
                return err;
            }
            fleet->used[i] = true;
            jq_flight_send(&fleet->frames[i].flight);
        }
    }
    return JQ_OK;
}

/* Takes what has landed. *ret_open: frames still under way; *ret_landed: whether any ended. */
static enum jq_err fleet_poll(struct batch *batch, struct fleet *fleet, int *ret_open, bool *ret_landed,
                              int64_t *wake_ms, struct jq_error *reterr) {
    *ret_open = 0;
    *ret_landed = false;
    *wake_ms = batch->deadline_ms;
    for (int i = 0; i < FRAMES_AT_A_TIME; i++) {
        if (!fleet->used[i]) {
            continue;
        }
        int64_t frame_wake_ms = batch->deadline_ms;
        enum jq_err err = jq_flight_poll(&fleet->frames[i].flight, batch->deadline_ms, &frame_wake_ms, reterr);
        if (err == JQ_ERR_BUSY) {
            *wake_ms = frame_wake_ms < *wake_ms ? frame_wake_ms : *wake_ms;
            ++*ret_open;
            continue;
        }
        err = err == JQ_OK ? take_answer(batch, &fleet->frames[i], reterr) : err;
        jq_flight_end(&fleet->frames[i].flight);
        fleet->used[i] = false;
        *ret_landed = true;
        if (err != JQ_OK) {
            return err;
        }
    }
    return JQ_OK;
}

/* What fits one frame needs no fleet. */
static enum jq_err run_frame(struct batch *batch, struct jq_error *reterr) {
    struct frame frame;
    enum jq_err err = frame_pack(batch, &frame, reterr);
    if (err != JQ_OK) {
        return err;
    }
    err = jq_flight_fly(&frame.flight, batch->deadline_ms, reterr);
    if (err == JQ_OK) {
        err = take_answer(batch, &frame, reterr);
    }
    jq_flight_end(&frame.flight);
    return err;
}

static enum jq_err run_round(struct batch *batch, struct jq_error *reterr) {
    if (frame_stretch(batch) == batch->todo_count) {
        return run_frame(batch, reterr);
    }
    struct fleet *fleet = calloc(1, sizeof(*fleet));
    if (!fleet) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "submit");
    }
    enum jq_err err = JQ_OK;
    int open = 0;
    do {
        bool landed = false;
        int64_t wake_ms = batch->deadline_ms;
        const uint64_t landings = jq_client_landings(batch->client);
        err = fleet_launch(batch, fleet, reterr);
        if (err == JQ_OK) {
            err = fleet_poll(batch, fleet, &open, &landed, &wake_ms, reterr);
        }
        if (err == JQ_OK && open > 0 && !landed) {
            jq_client_wait(batch->client, landings, wake_ms);
        }
    } while (err == JQ_OK && (open > 0 || batch->next < batch->todo_count));
    for (int i = 0; i < FRAMES_AT_A_TIME; i++) {
        if (fleet->used[i]) {
            jq_flight_end(&fleet->frames[i].flight);
        }
    }
    free(fleet);
    return err;
}

/* ---- the calls ---- */

enum jq_err jq_task_check(const struct jq_task_spec *tasks, size_t count, struct jq_error *reterr) {
    for (size_t i = 0; i < count; i++) {
        if (!tasks[i].handler) {
            return jq_fail(reterr, JQ_ERR_INVALID, "task %zu: handler: missing", i);
        }
        if (tasks[i].payload_size > JQ_PAYLOAD_SIZE_MAX) {
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "task %zu: payload: %zu bytes, at most %d", i, tasks[i].payload_size,
                           JQ_PAYLOAD_SIZE_MAX);
        }
        if (jq_task_size(&tasks[i]) > JQ_TASK_SIZE_MAX + 1024) {
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "task %zu: larger than %d bytes", i, JQ_TASK_SIZE_MAX);
        }
    }
    return JQ_OK;
}

/* Waits as long as the broker asked, and a random half more, but not beyond the deadline. */
static void wait_busy(struct batch *batch) {
    struct jq_client *client = batch->client;
    pthread_mutex_lock(&client->lock);
    const int64_t wait_ms =
        batch->busy_ms + (int64_t)jq_rng_below(&client->rng, (uint64_t)batch->busy_ms / 2 + BUSY_WAIT_MIN_MS);
    pthread_mutex_unlock(&client->lock);
    if (client->on_retry) {
        client->on_retry(client->ctx, JQ_ERR_BUSY, wait_ms);
    }
    const int64_t until_ms = jq_flight_now_ms() + wait_ms;
    jq_client_pause(client, until_ms < batch->deadline_ms ? until_ms : batch->deadline_ms);
}

static size_t collect_busy(const struct jq_submitted *out, size_t count, size_t *todo) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (out[i].status == JQ_REPLY_BUSY) {
            todo[found++] = i;
        }
    }
    return found;
}

enum jq_err jq_submit_many(struct jq_client *client, const struct jq_task_spec *tasks, size_t count,
                           struct jq_submitted *ret_submitted, struct jq_error *reterr) {
    enum jq_err err = jq_task_check(tasks, count, reterr);
    if (err != JQ_OK || count == 0) {
        return err;
    }
    size_t *todo = malloc(count * sizeof(*todo));
    if (!todo) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "submit");
    }
    for (size_t i = 0; i < count; i++) {
        todo[i] = i;
        ret_submitted[i] = (struct jq_submitted){.status = JQ_REPLY_UNAVAILABLE};
    }
    struct batch batch = {.client = client,
                          .tasks = tasks,
                          .out = ret_submitted,
                          .todo = todo,
                          .todo_count = count,
                          .deadline_ms = jq_flight_now_ms() + client->timeout_ms};
    for (;;) {
        err = run_round(&batch, reterr);
        if (err != JQ_OK || batch.busy_ms == 0) {
            break;
        }
        if (jq_flight_now_ms() + batch.busy_ms >= batch.deadline_ms) {
            break; /* still full: the verdicts say so */
        }
        wait_busy(&batch);
        batch.busy_ms = 0;
        batch.next = 0;
        batch.todo_count = collect_busy(ret_submitted, count, todo);
    }
    free(todo);
    return err;
}

enum jq_err jq_submit(struct jq_client *client, const struct jq_task_spec *task, jq_task_id *ret_id,
                      struct jq_error *reterr) {
    struct jq_submitted submitted;
    enum jq_err err = jq_submit_many(client, task, 1, &submitted, reterr);
    if (err == JQ_OK && submitted.status != JQ_REPLY_OK) {
        err = jq_fail(reterr, jq_err_of_reply(submitted.status), "%s: %s", jq_reply_name(submitted.status),
                      submitted.reason);
    }
    if (err == JQ_OK) {
        *ret_id = submitted.id;
    }
    return err;
}
