/* parents.c - what a task waited for: fetched before it starts, as parents.json in its work dir.
 *
 * The worker asks, for the task itself may have no network. A document of one parent after the other: id, state, outcome, and its
 * result as text, or as base64 where it is none. Results beyond RESULTS_SIZE_MAX in all are left out, and say so.
 */
#include <stdlib.h>

#include "common/json.h"
#include "common/libjq/flight.h"
#include "common/text.h"
#include "worker/shell/worker.h"

enum { ASKED_MAX = 200, RESULTS_SIZE_MAX = 4 * 1024 * 1024, DOCUMENT_SIZE_MAX = 16 * 1024 * 1024, FETCH_MS = 30000 };

struct jq_parents {
    size_t count, left; /* of ids; those without an answer stand in front */
    struct jq_flight flight;
    bool flying, fetched;
    struct jq_buf text;
    struct jq_json json;
    size_t result_bytes;
    int64_t deadline_ms; /* of jq_flight_now_ms() */
    jq_task_id ids[];
};

void jq_parents_take(struct jq_run *run, const jq_task_id *ids, size_t count) {
    if (count == 0) {
        return;
    }
    struct jq_parents *parents = calloc(1, sizeof(*parents) + count * sizeof(*ids));
    JQ_CHECK(parents != NULL);
    memcpy(parents->ids, ids, count * sizeof(*ids));
    parents->count = count;
    parents->left = count;
    jq_buf_init(&parents->text, DOCUMENT_SIZE_MAX);
    run->parents = parents;
}

void jq_parents_free(struct jq_run *run) {
    struct jq_parents *parents = run->parents;
    if (!parents) {
        return;
    }
    if (parents->flying) {
        jq_flight_end(&parents->flight);
    }
    jq_buf_fini(&parents->text);
    free(parents);
    run->parents = NULL;
}

struct jq_bytes jq_parents_document(const struct jq_run *run) {
    return run->parents && run->parents->fetched ? jq_buf_bytes(&run->parents->text) : (struct jq_bytes){NULL, 0};
}

/* ---- asking ---- */

static void on_landed(void *ctx) {
    jq_link_wake(ctx);
}

/* False: too many requests are under way; later. */
static bool ask(struct jq_run *run) {
    struct jq_parents *parents = run->parents;
    struct jq_client *client = jq_link_client(run->worker->link);
    const size_t count = parents->left < ASKED_MAX ? parents->left : ASKED_MAX;
    struct jq_pack pack;
    if (jq_flight_begin(client, &parents->flight, "wait", 1, 0, &pack, NULL) != JQ_OK) {
        return false;
    }
    jq_pack_key(&pack, &jq_message_wait, JQ_AT_WAIT_IDS);
    jq_pack_array(&pack, count);
    for (size_t i = 0; i < count; i++) {
        jq_pack_uint(&pack, parents->ids[i].value);
    }
    parents->flight.on_landed = on_landed;
    parents->flight.ctx = run->worker->link;
    parents->flying = true;
    jq_flight_send(&parents->flight);
    return true;
}

/* ---- what came ---- */

static void write_result(struct jq_parents *parents, struct jq_view detail) {
    const struct jq_view result = jq_view_get(detail, "result");
    const struct jq_bytes bytes = jq_view_to_bin(result);
    const struct jq_str text = {(const char *)bytes.data, bytes.size};
    if (!jq_view_given(result)) {
        return;
    }
    parents->result_bytes += bytes.size;
    if (parents->result_bytes > RESULTS_SIZE_MAX) {
        jq_json_put_bool(&parents->json, "left_out", true);
    } else if (jq_text_utf8_valid(text)) {
        jq_json_put_str(&parents->json, "result", text);
    } else {
        jq_json_put_bytes(&parents->json, "result_base64", bytes);
    }
}

static void write_parent(struct jq_parents *parents, jq_task_id id, struct jq_view row) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    jq_json_object_begin(&parents->json);
    jq_json_put_text(&parents->json, "id", jq_text_format_task_id(id, place));
    if (jq_view_given(row)) {
        jq_json_put_str(&parents->json, "state", jq_view_str(row, "state"));
        jq_json_put_str(&parents->json, "outcome", jq_view_str(row, "outcome"));
        write_result(parents, jq_view_get(row, "detail"));
    } else {
        jq_json_put_text(&parents->json, "state", NULL); /* it was dead, and runs again */
    }
    jq_json_object_end(&parents->json);
}

/* True if it was one of those that were asked for. */
static bool take_off(struct jq_parents *parents, uint64_t id) {
    for (size_t i = 0; i < parents->left; i++) {
        if (parents->ids[i].value == id) {
            memmove(&parents->ids[i], &parents->ids[i + 1], (parents->left - i - 1) * sizeof(parents->ids[0]));
            parents->left--;
            return true;
        }
    }
    return false;
}

static void finish(struct jq_parents *parents) {
    for (size_t i = 0; i < parents->left; i++) {
        write_parent(parents, parents->ids[i], (struct jq_view){NULL});
    }
    parents->left = 0;
    jq_json_array_end(&parents->json);
    jq_json_object_end(&parents->json);
    parents->fetched = true;
}

/* An answer without anything new: the others have not ended. */
static void take_rows(struct jq_parents *parents) {
    const struct jq_view tasks = jq_view_get(parents->flight.view.body, "tasks");
    size_t taken = 0;
    for (size_t i = 0; i < jq_view_count(tasks); i++) {
        const struct jq_view row = jq_view_at(tasks, i);
        const jq_task_id id = {jq_view_uint(row, "id", 0)};
        if (take_off(parents, id.value)) {
            write_parent(parents, id, row);
            taken++;
        }
    }
    if (taken == 0 || parents->left == 0) {
        finish(parents);
    }
}

/* ---- from START to the launch ---- */

bool jq_parents_begin(struct jq_run *run) {
    struct jq_parents *parents = run->parents;
    if (!parents || parents->fetched) {
        return false;
    }
    jq_json_init(&parents->json, &parents->text);
    jq_json_object_begin(&parents->json);
    jq_json_put_array(&parents->json, "parents");
    parents->deadline_ms = jq_flight_now_ms() + FETCH_MS;
    (void)ask(run);
    return true;
}

/* True when the run can be launched, or has failed (err). */
static bool serve(struct jq_run *run, enum jq_err *ret_err) {
    struct jq_parents *parents = run->parents;
    int64_t wake_ms = 0;
    if (!parents->flying && !ask(run)) {
        return false;
    }
    enum jq_err err = jq_flight_poll(&parents->flight, parents->deadline_ms, &wake_ms, &run->start_error);
    if (err == JQ_ERR_BUSY) {
        return false;
    }
    err = err == JQ_OK ? jq_refusal(&parents->flight.view, &run->start_error) : err;
    if (err == JQ_OK) {
        take_rows(parents);
    }
    jq_flight_end(&parents->flight);
    parents->flying = false;
    if (err == JQ_OK && parents->fetched && parents->text.failed) {
        err = jq_fail(&run->start_error, JQ_ERR_NOMEM, "parents.json: larger than %d bytes", DOCUMENT_SIZE_MAX);
    }
    *ret_err = err;
    return err != JQ_OK || parents->fetched;
}

void jq_parents_serve(struct jq_worker_shell *worker) {
    for (uint32_t i = 0; i < worker->run_used; i++) {
        struct jq_run *run = worker->run_at[i];
        enum jq_err err = JQ_OK;
        if (!run || !run->parents || !run->fetching || !serve(run, &err)) {
            continue;
        }
        run->fetching = false;
        if (err == JQ_OK) {
            jq_launch(run);
        } else {
            jq_launch_failed(run);
        }
    }
}
