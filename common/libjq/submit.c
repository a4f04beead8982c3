/* submit.c - tasks into frames, frames to the broker, verdicts back: several frames are under way at a time. */
#include <stdio.h>
#include <stdlib.h>

#include "common/libjq/submit.h"

enum {
    FRAMES_AT_A_TIME = 12,
    BUSY_WAIT_MIN_MS = 20,
    ANSWER_WAY_MS = 300,
    HOLD_MAX_MS = 20000, /* what brokers allow as shipped */
};

/* ---- one frame ---- */

/* The tasks of a batch that still have no verdict, by index; a frame takes a stretch of them. */
struct batch {
    struct jq_client *client;
    const struct jq_task_spec *tasks;
    struct jq_submitted *out;
    const size_t *todo; /* indexes into tasks; NULL: all in their order */
    size_t todo_count, next;
    int64_t deadline_ms;
    int64_t hold_ms; /* how long a full queue may hold an answer back, at most */
    int64_t busy_ms; /* longest wait that a full queue asked for */
};

struct frame {
    struct jq_flight flight;
    size_t first, count; /* of todo */
};

static size_t todo_at(const struct batch *batch, size_t at) {
    return batch->todo ? batch->todo[at] : at;
}

static struct jq_submitted *verdict_at(const struct batch *batch, const struct frame *frame, size_t at) {
    return &batch->out[todo_at(batch, frame->first + at)];
}

static size_t frame_stretch(const struct batch *batch) {
    size_t size = 0, count = 0;
    while (batch->next + count < batch->todo_count && count < JQ_SUBMIT_COUNT_MAX) {
        size += jq_task_room(&batch->tasks[todo_at(batch, batch->next + count)]);
        if (count > 0 && size > JQ_SUBMIT_ROOM) {
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
    return wait_ms < 0 ? 0 : wait_ms < batch->hold_ms ? wait_ms : batch->hold_ms;
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
        jq_task_pack(&pack, &batch->tasks[todo_at(batch, frame->first + i)]);
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
        struct jq_submitted *out = verdict_at(batch, frame, i);
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
        struct jq_submitted *out = verdict_at(batch, frame, i);
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

/* Sends one frame, and waits for its answer in the calling thread. */
static enum jq_err fly_frame(struct batch *batch, struct frame *frame, struct jq_error *reterr) {
    enum jq_err err = frame_pack(batch, frame, reterr);
    if (err == JQ_OK) {
        err = jq_flight_fly(&frame->flight, batch->deadline_ms, reterr);
        if (err != JQ_OK) {
            jq_flight_end(&frame->flight);
        }
    }
    return err;
}

/* What fits one frame needs no fleet. */
static enum jq_err run_frame(struct batch *batch, struct jq_error *reterr) {
    struct frame frame;
    enum jq_err err = fly_frame(batch, &frame, reterr);
    if (err == JQ_OK) {
        err = take_answer(batch, &frame, reterr);
        jq_flight_end(&frame.flight);
    }
    return err;
}

enum jq_err jq_submit_frame(struct jq_client *client, const struct jq_task_spec *tasks, size_t count,
                            int64_t deadline_ms, struct jq_submitted *out, enum jq_reply *ret_refusal,
                            struct jq_error *reterr) {
    struct batch batch = {.client = client,
                          .tasks = tasks,
                          .out = out,
                          .todo_count = count,
                          .deadline_ms = deadline_ms,
                          .hold_ms = count == 1 ? HOLD_MAX_MS : 0};
    struct frame frame;
    *ret_refusal = JQ_REPLY_OK;
    enum jq_err err = fly_frame(&batch, &frame, reterr);
    if (err != JQ_OK) {
        return err;
    }
    err = jq_refusal(&frame.flight.view, reterr);
    if (err == JQ_OK) {
        take_verdicts(&batch, &frame);
    } else {
        *ret_refusal = frame.flight.view.status;
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

enum jq_err jq_submit_until(struct jq_client *client, const struct jq_task_spec *tasks, size_t count,
                            int64_t deadline_ms, struct jq_submitted *out, struct jq_error *reterr) {
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct jq_submitted){.status = JQ_REPLY_UNAVAILABLE};
    }
    size_t *todo = NULL;
    struct batch batch = {.client = client,
                          .tasks = tasks,
                          .out = out,
                          .todo_count = count,
                          .deadline_ms = deadline_ms,
                          .hold_ms = HOLD_MAX_MS};
    enum jq_err err = JQ_OK;
    for (;;) {
        err = run_round(&batch, reterr);
        if (err != JQ_OK || batch.busy_ms == 0) {
            break;
        }
        if (jq_flight_now_ms() + batch.busy_ms >= batch.deadline_ms) {
            break; /* still full: the verdicts say so */
        }
        todo = todo ? todo : malloc(count * sizeof(*todo));
        if (!todo) {
            return jq_fail(reterr, JQ_ERR_NOMEM, "submit");
        }
        wait_busy(&batch);
        batch.busy_ms = 0;
        batch.next = 0;
        batch.todo_count = collect_busy(out, count, todo);
        batch.todo = todo;
    }
    free(todo);
    return err;
}

enum jq_err jq_submit_many(struct jq_client *client, const struct jq_task_spec *tasks, size_t count,
                           struct jq_submitted *ret_submitted, struct jq_error *reterr) {
    const enum jq_err err = jq_task_check(tasks, count, reterr);
    if (err != JQ_OK || count == 0) {
        return err;
    }
    return jq_submit_until(client, tasks, count, jq_flight_now_ms() + client->timeout_ms, ret_submitted, reterr);
}
