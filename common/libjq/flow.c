/* flow.c - flows to the broker, and what became of them. */
#include <stdio.h>
#include <stdlib.h>

#include "common/libjq/flow_graph.h"
#include "common/libjq/submit.h"

enum { FRAME_ROOM = JQ_FRAME_SIZE_MAX - 1024, WAIT_SLICE_MS = 20000, BUSY_WAIT_MIN_MS = 50, PARENT_SIZE = 9 };

/* ---- staging ---- */

struct staging {
    struct jq_client *client;
    const struct jq_flow *flow;
    uint64_t first;
    size_t at, count; /* turns of the frame under way */
};

static void fill_begin(struct jq_pack *pack, void *ctx) {
    const struct staging *staging = ctx;
    jq_pack_field_uint(pack, &jq_message_flow_begin, JQ_AT_FLOW_BEGIN_COUNT, staging->flow->count);
    if (staging->flow->name[0]) {
        jq_pack_field_str(pack, &jq_message_flow_begin, JQ_AT_FLOW_BEGIN_NAME, jq_str_of(staging->flow->name));
    }
}

static enum jq_err begin(struct staging *staging, struct jq_error *reterr) {
    struct jq_flight flight;
    const enum jq_err err = jq_client_call(staging->client, &flight, "flow.begin", staging->flow->name[0] ? 2 : 1,
                                           fill_begin, staging, 0, reterr);
    if (err == JQ_OK) {
        staging->first = jq_view_uint(flight.view.body, "flow", 0);
        jq_flight_end(&flight);
    }
    return err;
}

static uint32_t parent_count(const struct jq_flow *flow, uint32_t place) {
    return flow->parent_at[place + 1] - flow->parent_at[place];
}

/* How many tasks from `at` on a frame holds: one at least. */
static size_t frame_stretch(const struct staging *staging) {
    const struct jq_flow *flow = staging->flow;
    size_t size = 0, count = 0;
    while (staging->at + count < flow->count && count < JQ_SUBMIT_COUNT_MAX) {
        const uint32_t place = flow->order[staging->at + count];
        size += jq_task_size(&flow->tasks[place]) + PARENT_SIZE * parent_count(flow, place);
        if (count > 0 && size > FRAME_ROOM) {
            break;
        }
        count++;
    }
    return count;
}

static void pack_member(struct jq_pack *pack, const struct staging *staging, uint32_t place) {
    const struct jq_flow *flow = staging->flow;
    struct jq_task_spec task = flow->tasks[place];
    jq_task_id after[JQ_AFTER_COUNT_MAX];
    task.after = after;
    task.after_count = parent_count(flow, place);
    for (size_t i = 0; i < task.after_count; i++) {
        after[i] = (jq_task_id){staging->first + flow->turns[flow->parents[flow->parent_at[place] + i]]};
    }
    jq_task_pack(pack, &task);
}

static void fill_add(struct jq_pack *pack, void *ctx) {
    const struct staging *staging = ctx;
    jq_pack_field_uint(pack, &jq_message_flow_add, JQ_AT_FLOW_ADD_FLOW, staging->first);
    jq_pack_field_uint(pack, &jq_message_flow_add, JQ_AT_FLOW_ADD_AT, staging->at);
    jq_pack_key(pack, &jq_message_flow_add, JQ_AT_FLOW_ADD_TASKS);
    jq_pack_array(pack, staging->count);
    for (size_t i = 0; i < staging->count; i++) {
        pack_member(pack, staging, staging->flow->order[staging->at + i]);
    }
}

/* "invalid: tasks[3].need: .." names a place in the frame: tell which task that was. */
static enum jq_err name_task(const struct staging *staging, enum jq_err err, struct jq_error *reterr) {
    const char *at = reterr ? strstr(reterr->message, "tasks[") : NULL;
    const size_t index = at ? strtoul(at + strlen("tasks["), NULL, 10) : staging->count;
    if (index >= staging->count) {
        return err;
    }
    const char *rest = strchr(at, ']');
    struct jq_buf text;
    jq_buf_init(&text, 64 * 1024);
    jq_flow_label(staging->flow, staging->flow->order[staging->at + index], &text);
    jq_buf_append_format(&text, "%s%s", rest && rest[1] == '.' ? ": " : "",
                         rest ? rest + (rest[1] == '.' ? 2 : 1) : "");
    (void)jq_fail(reterr, err, "%.*s", JQ_STR_ARG(jq_buf_str(&text)));
    jq_buf_fini(&text);
    return err;
}

static enum jq_err add_all(struct staging *staging, struct jq_error *reterr) {
    while (staging->at < staging->flow->count) {
        struct jq_flight flight;
        staging->count = frame_stretch(staging);
        const enum jq_err err = jq_client_call(staging->client, &flight, "flow.add", 3, fill_add, staging, 0, reterr);
        if (err != JQ_OK) {
            return name_task(staging, err, reterr);
        }
        jq_flight_end(&flight);
        staging->at += staging->count;
    }
    return JQ_OK;
}

/* ---- committing ---- */

static void fill_commit(struct jq_pack *pack, void *ctx) {
    const struct staging *staging = ctx;
    jq_pack_field_uint(pack, &jq_message_flow_commit, JQ_AT_FLOW_COMMIT_FLOW, staging->first);
    jq_pack_field_uint(pack, &jq_message_flow_commit, JQ_AT_FLOW_COMMIT_COUNT, staging->flow->count);
}

/* *ret_wait_ms: what a broker without room asks for. */
static enum jq_err commit_once(struct staging *staging, int64_t deadline_ms, int64_t *ret_wait_ms,
                               struct jq_error *reterr) {
    struct jq_flight flight;
    struct jq_pack pack;
    enum jq_err err = jq_flight_begin(staging->client, &flight, "flow.commit", 2, deadline_ms, &pack, reterr);
    if (err != JQ_OK) {
        return err;
    }
    fill_commit(&pack, staging);
    jq_flight_send(&flight);
    err = jq_flight_finish(&flight, deadline_ms, reterr);
    err = err == JQ_OK ? jq_refusal(&flight.view, reterr) : err;
    *ret_wait_ms = flight.view.retry_after_ms > BUSY_WAIT_MIN_MS ? flight.view.retry_after_ms : BUSY_WAIT_MIN_MS;
    jq_flight_end(&flight);
    return err;
}

/* The time that was asked for, and a random half more. */
static int64_t spread(struct jq_client *client, int64_t wait_ms) {
    pthread_mutex_lock(&client->lock);
    const int64_t more_ms = (int64_t)jq_rng_below(&client->rng, (uint64_t)wait_ms / 2 + 1);
    pthread_mutex_unlock(&client->lock);
    return wait_ms + more_ms;
}

/* Asks again while a queue is too full for all of it: each time under a new id, for the answer was an answer. */
static enum jq_err commit(struct staging *staging, struct jq_error *reterr) {
    struct jq_client *client = staging->client;
    const int64_t deadline_ms = jq_flight_now_ms() + client->timeout_ms;
    for (;;) {
        int64_t wait_ms = BUSY_WAIT_MIN_MS;
        const enum jq_err err = commit_once(staging, deadline_ms, &wait_ms, reterr);
        wait_ms = spread(client, wait_ms);
        if (err != JQ_ERR_BUSY || jq_flight_now_ms() + wait_ms >= deadline_ms) {
            return err;
        }
        if (client->on_retry) {
            client->on_retry(client->ctx, err, wait_ms);
        }
        jq_client_pause(client, jq_flight_now_ms() + wait_ms);
    }
}

enum jq_err jq_flow_submit(struct jq_client *client, struct jq_flow *flow, jq_task_id *ret_flow,
                           struct jq_error *reterr) {
    struct staging staging = {.client = client, .flow = flow};
    struct jq_error scratch = {.code = JQ_OK};
    struct jq_error *why = reterr ? reterr : &scratch;
    if (flow->count == 0) {
        return jq_fail(why, JQ_ERR_INVALID, "flow: no tasks");
    }
    enum jq_err err = jq_task_check(flow->tasks, flow->count, why);
    err = err == JQ_OK ? jq_flow_sort(flow, why) : err;
    err = err == JQ_OK ? begin(&staging, why) : err;
    if (err != JQ_OK) {
        return err;
    }
    err = add_all(&staging, why);
    err = err == JQ_OK ? commit(&staging, why) : err;
    if (err == JQ_OK) {
        flow->first = (jq_task_id){staging.first};
        *ret_flow = flow->first;
    } else {
        (void)jq_flow_cancel(client, (jq_task_id){staging.first}, 0, NULL); /* else it is dropped by its time */
    }
    return err;
}

/* ---- afterwards ---- */

struct wait_body {
    jq_task_id flow;
    int64_t wait_ms;
};

static void fill_wait(struct jq_pack *pack, void *ctx) {
    const struct wait_body *body = ctx;
    jq_pack_field_uint(pack, &jq_message_flow_wait, JQ_AT_FLOW_WAIT_FLOW, body->flow.value);
    jq_pack_field_ms(pack, &jq_message_flow_wait, JQ_AT_FLOW_WAIT_WAIT, body->wait_ms);
}

static void copy_text(char *out, size_t size, struct jq_str text) {
    snprintf(out, size, "%.*s", JQ_STR_ARG(text));
}

static void info_of(struct jq_view row, struct jq_flow_info *info) {
    *info = (struct jq_flow_info){.id = {jq_view_uint(row, "flow", 0)},
                                  .total = (uint32_t)jq_view_uint(row, "total", 0),
                                  .waiting = (uint32_t)jq_view_uint(row, "waiting", 0),
                                  .blocked = (uint32_t)jq_view_uint(row, "blocked", 0),
                                  .queued = (uint32_t)jq_view_uint(row, "queued", 0),
                                  .running = (uint32_t)jq_view_uint(row, "running", 0),
                                  .succeeded = (uint32_t)jq_view_uint(row, "succeeded", 0),
                                  .dead = (uint32_t)jq_view_uint(row, "dead", 0),
                                  .cancelled = (uint32_t)jq_view_uint(row, "cancelled", 0),
                                  .expired = (uint32_t)jq_view_uint(row, "expired", 0),
                                  .not_needed = (uint32_t)jq_view_uint(row, "not_needed", 0),
                                  .committed_ms = (int64_t)jq_view_uint(row, "at_ms", 0)};
    copy_text(info->name, sizeof(info->name), jq_view_str(row, "name"));
    copy_text(info->state, sizeof(info->state), jq_view_str(row, "state"));
}

/* One long poll. */
static enum jq_err wait_once(struct jq_client *client, struct wait_body *body, struct jq_flow_info *info,
                             struct jq_error *reterr) {
    struct jq_flight flight;
    struct jq_pack pack;
    const int64_t answer_by_ms = jq_flight_now_ms() + body->wait_ms + client->timeout_ms;
    enum jq_err err = jq_flight_begin(client, &flight, "flow.wait", 2, answer_by_ms, &pack, reterr);
    if (err != JQ_OK) {
        return err;
    }
    fill_wait(&pack, body);
    flight.try_timeout_ms = body->wait_ms + JQ_POLL_EXTRA_MS;
    jq_flight_send(&flight);
    err = jq_flight_finish(&flight, answer_by_ms, reterr);
    err = err == JQ_OK ? jq_refusal(&flight.view, reterr) : err;
    if (err == JQ_OK) {
        info_of(jq_view_at(jq_view_get(flight.view.body, "flows"), 0), info);
    }
    jq_flight_end(&flight);
    return err;
}

static bool is_over(const struct jq_flow_info *info) {
    return strcmp(info->state, "running") != 0 && strcmp(info->state, "cancelling") != 0;
}

enum jq_err jq_flow_wait(struct jq_client *client, jq_task_id flow, int64_t timeout_ms, struct jq_flow_info *ret_info,
                         struct jq_error *reterr) {
    struct wait_body body = {.flow = flow};
    struct jq_flow_info info;
    const int64_t deadline_ms = timeout_ms < 0 ? INT64_MAX / 2 : jq_flight_now_ms() + timeout_ms;
    do {
        const int64_t left_ms = deadline_ms - jq_flight_now_ms();
        body.wait_ms = left_ms < 0 ? 0 : left_ms < WAIT_SLICE_MS ? left_ms : WAIT_SLICE_MS;
        const enum jq_err err = wait_once(client, &body, &info, reterr);
        if (err != JQ_OK) {
            return err;
        }
        if (strcmp(info.state, "none") == 0) {
            return jq_fail(reterr, JQ_ERR_NOT_FOUND, "flow %llu: never committed, or forgotten",
                           (unsigned long long)flow.value);
        }
        *ret_info = info;
        if (is_over(&info)) {
            return JQ_OK;
        }
    } while (jq_flight_now_ms() < deadline_ms);
    return jq_fail(reterr, JQ_ERR_TIMEOUT, "flow %llu has not ended", (unsigned long long)flow.value);
}

struct cancel_body {
    jq_task_id flow;
    int64_t grace_ms;
};

static void fill_cancel(struct jq_pack *pack, void *ctx) {
    const struct cancel_body *body = ctx;
    jq_pack_field_uint(pack, &jq_message_flow_cancel, JQ_AT_FLOW_CANCEL_FLOW, body->flow.value);
    if (body->grace_ms > 0) {
        jq_pack_field_ms(pack, &jq_message_flow_cancel, JQ_AT_FLOW_CANCEL_GRACE, body->grace_ms);
    }
}

enum jq_err jq_flow_cancel(struct jq_client *client, jq_task_id flow, int64_t grace_ms, struct jq_error *reterr) {
    struct cancel_body body = {flow, grace_ms};
    struct jq_flight flight;
    const enum jq_err err =
        jq_client_call(client, &flight, "flow.cancel", 1 + (grace_ms > 0), fill_cancel, &body, 0, reterr);
    if (err == JQ_OK) {
        jq_flight_end(&flight);
    }
    return err;
}
