#include "worker/shell/outputs.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/libjq/flight.h"
#include "worker/shell/files.h"

enum {
    FLIGHTS_MAX = 8,     /* under way at one time */
    SERVE_EVERY_MS = 50, /* nothing is looked at more often */
    PAUSE_MS_FIRST = 250,
    PAUSE_MS_MAX = 4000,
    PAUSE_MS_FOLLOWED = 100,
    REPORT_WAITS_MS = 2000,
    TRY_MS = 5000,
};

enum { STREAMS = 2 };

/* The outcome of a child that goes on to serve others, with copies of all that it points to. */
struct kept {
    struct jq_exec_outcome outcome;
    uint8_t bytes[];
};

struct jq_run_output {
    struct jq_flight flight;
    bool flying, refused, ending;
    uint64_t sent[STREAMS]; /* bytes of each that were told, or are under way */
    int64_t pause_ms, next_ms, give_up_ms;
    struct kept *kept;
    enum jq_outcome outcome;
};

/* ---- what there is to tell ---- */

const struct jq_exec_outcome *jq_run_outcome(const struct jq_run *run) {
    if (run->told && run->told->kept) {
        return &run->told->kept->outcome;
    }
    return run->child ? jq_exec_child_outcome(run->child) : NULL;
}

/* The last bytes of a stream, and its length so far. */
static struct jq_bytes stream_of(const struct jq_run *run, int stream, uint64_t *ret_total) {
    if (run->told->kept) {
        const struct jq_exec_outcome *outcome = &run->told->kept->outcome;
        *ret_total = stream == 0 ? outcome->stdout_bytes : outcome->stderr_bytes;
        return stream == 0 ? outcome->stdout_tail : outcome->stderr_tail;
    }
    return jq_exec_child_output(run->child, stream, ret_total);
}

/* What has not been told of it, as much as fits one frame; *at: where that begins. */
static struct jq_bytes untold(const struct jq_run *run, int stream, uint64_t *at) {
    uint64_t total = 0;
    struct jq_bytes bytes = stream_of(run, stream, &total);
    const uint64_t oldest = total - bytes.size;
    *at = run->told->sent[stream] > oldest ? run->told->sent[stream] : oldest;
    bytes.data += bytes.size > 0 ? *at - oldest : 0;
    bytes.size = (size_t)(total - *at);
    bytes.size = bytes.size < JQ_OUTPUT_CHUNK_MAX ? bytes.size : JQ_OUTPUT_CHUNK_MAX;
    return bytes;
}

static bool has_untold(const struct jq_run *run) {
    uint64_t at = 0;
    return (run->child || run->told->kept) && (untold(run, 0, &at).size > 0 || untold(run, 1, &at).size > 0);
}

/* ---- telling ---- */

static void on_landed(void *ctx) {
    jq_link_wake(ctx);
}

static void send_untold(struct jq_run *run) {
    struct jq_run_output *told = run->told;
    struct jq_uuid session;
    struct jq_pack pack;
    uint64_t at[STREAMS];
    const struct jq_bytes bytes[STREAMS] = {untold(run, 0, &at[0]), untold(run, 1, &at[1])};
    struct jq_link *link = run->worker->link;
    if (!jq_link_session(link, &session) || jq_flight_begin(jq_link_client(link), &told->flight, "output.put",
                                                            jq_message_output_put.count, 0, &pack, NULL) != JQ_OK) {
        return; /* later */
    }
    jq_pack_field_uuid(&pack, &jq_message_output_put, JQ_AT_OUTPUT_PUT_SESSION, &session);
    jq_pack_field_uint(&pack, &jq_message_output_put, JQ_AT_OUTPUT_PUT_TASK, run->task.value);
    jq_pack_field_uint(&pack, &jq_message_output_put, JQ_AT_OUTPUT_PUT_TOKEN, run->token.value);
    jq_pack_field_uint(&pack, &jq_message_output_put, JQ_AT_OUTPUT_PUT_STDOUT_AT, at[0]);
    jq_pack_field_bin(&pack, &jq_message_output_put, JQ_AT_OUTPUT_PUT_STDOUT, bytes[0]);
    jq_pack_field_uint(&pack, &jq_message_output_put, JQ_AT_OUTPUT_PUT_STDERR_AT, at[1]);
    jq_pack_field_bin(&pack, &jq_message_output_put, JQ_AT_OUTPUT_PUT_STDERR, bytes[1]);
    for (int i = 0; i < STREAMS; i++) {
        told->sent[i] = at[i] + bytes[i].size;
    }
    told->flight.on_landed = on_landed;
    told->flight.ctx = link;
    told->flying = true;
    told->give_up_ms = jq_flight_now_ms() + TRY_MS;
    run->worker->output_flights++;
    jq_flight_send(&told->flight);
}

static void land(struct jq_run *run, int64_t now_ms) {
    struct jq_run_output *told = run->told;
    int64_t wake_ms = 0;
    struct jq_error error;
    const enum jq_err err = jq_flight_poll(&told->flight, told->give_up_ms, &wake_ms, &error);
    if (err == JQ_ERR_BUSY) {
        return;
    }
    /* Not taken: the broker is an older one, does not know the lease, or is not there. What was in it is not told again. */
    told->refused = err == JQ_OK && told->flight.view.status != JQ_REPLY_OK;
    const bool followed = err == JQ_OK && jq_view_bool(told->flight.view.body, "followed", false);
    jq_flight_end(&told->flight);
    told->flying = false;
    run->worker->output_flights--;
    told->pause_ms = followed                            ? PAUSE_MS_FOLLOWED
                     : told->pause_ms < PAUSE_MS_FIRST   ? PAUSE_MS_FIRST
                     : 2 * told->pause_ms < PAUSE_MS_MAX ? 2 * told->pause_ms
                                                         : PAUSE_MS_MAX;
    told->next_ms = now_ms + told->pause_ms;
}

/* What is left to do of one that ended, then the report. */
static void finish(struct jq_run *run, enum jq_outcome outcome) {
    if (!jq_files_store(run)) {
        jq_run_ended(run, outcome);
    }
}

/* True while the report still has to wait. */
static bool report_waits(struct jq_run *run, int64_t now_ms) {
    struct jq_run_output *told = run->told;
    return !told->refused && now_ms < told->next_ms && (told->flying || has_untold(run));
}

static void serve_run(struct jq_run *run, int64_t now_ms) {
    struct jq_run_output *told = run->told;
    const bool ending = told->ending;
    const int64_t until_ms = told->next_ms; /* of one that ends: its report waits no longer */
    if (told->flying) {
        land(run, now_ms);
        told->next_ms = ending ? until_ms : told->next_ms;
    }
    const bool is_time = ending || now_ms >= told->next_ms;
    if (!told->flying && !told->refused && is_time && run->worker->output_flights < FLIGHTS_MAX && has_untold(run)) {
        send_untold(run);
    }
    if (ending && !report_waits(run, now_ms)) {
        told->ending = false;
        told->refused = true; /* no more of it: the lease ends with the report */
        run->worker->output_endings--;
        finish(run, told->outcome);
    }
}

static struct jq_run_output *told_of(struct jq_run *run) {
    if (!run->told) {
        run->told = calloc(1, sizeof(*run->told));
        JQ_CHECK(run->told != NULL);
    }
    return run->told;
}

/* When it wants to be looked at again. */
static int64_t due_ms_of(const struct jq_run *run, int64_t now_ms) {
    const struct jq_run_output *told = run->told;
    if (told->ending) {
        return now_ms + SERVE_EVERY_MS;
    }
    return !told->flying && !told->refused && has_untold(run) ? told->next_ms : INT64_MAX;
}

/* One that has run for a while and has written something is told of. */
static bool is_worth_it(const struct jq_run *run, int64_t now_ms) {
    uint64_t out = 0, err = 0;
    if (!run->child || now_ms - run->begun_ms < PAUSE_MS_FIRST) {
        return false;
    }
    (void)jq_exec_child_output(run->child, 0, &out);
    (void)jq_exec_child_output(run->child, 1, &err);
    return out + err > 0;
}

static void serve_all(struct jq_worker_shell *worker, int64_t now_ms) {
    worker->output_due_ms = INT64_MAX;
    for (uint32_t i = 0; i < worker->run_used; i++) {
        struct jq_run *run = worker->run_at[i];
        if (!run || (!run->told && !is_worth_it(run, now_ms))) {
            continue;
        }
        (void)told_of(run);
        serve_run(run, now_ms);
        const int64_t due_ms = due_ms_of(run, now_ms);
        worker->output_due_ms = due_ms < worker->output_due_ms ? due_ms : worker->output_due_ms;
    }
}

void jq_outputs_serve(struct jq_worker_shell *worker, int64_t now_ms) {
    if (now_ms >= worker->output_next_ms || worker->output_flights > 0 || worker->output_endings > 0) {
        worker->output_next_ms = now_ms + SERVE_EVERY_MS;
        serve_all(worker, now_ms);
    } else if (worker->output_next_ms < worker->output_due_ms) {
        worker->output_due_ms = worker->output_next_ms; /* something happened: it may have been output */
    }
}

/* ---- from begin to end ---- */

static uint8_t *copy_bytes(uint8_t *place, struct jq_bytes *bytes) {
    if (bytes->size > 0) {
        memcpy(place, bytes->data, bytes->size);
    }
    bytes->data = place;
    return place + bytes->size;
}

static struct kept *keep(const struct jq_exec_outcome *outcome) {
    const size_t size = outcome->result.size + outcome->stdout_tail.size + outcome->stderr_tail.size;
    struct kept *kept = malloc(sizeof(*kept) + size);
    JQ_CHECK(kept != NULL);
    kept->outcome = *outcome;
    uint8_t *place = copy_bytes(kept->bytes, &kept->outcome.result);
    place = copy_bytes(place, &kept->outcome.stdout_tail);
    (void)copy_bytes(place, &kept->outcome.stderr_tail);
    return kept;
}

static bool fits_report(const struct jq_run *run, const struct jq_exec_outcome *outcome) {
    return !run->told && outcome->stdout_bytes <= JQ_TAIL_SIZE_MAX && outcome->stderr_bytes <= JQ_TAIL_SIZE_MAX;
}

void jq_outputs_ended(struct jq_run *run, const struct jq_exec_outcome *outcome, bool lent) {
    const bool fits = fits_report(run, outcome);
    if (lent && (!fits || run->files)) {
        told_of(run)->kept = keep(outcome);
    }
    if (fits) {
        if (run->told) {
            run->told->refused = true; /* nothing has to be told */
        }
        finish(run, outcome->verdict.outcome);
        return;
    }
    struct jq_run_output *told = told_of(run);
    told->outcome = outcome->verdict.outcome;
    told->ending = true;
    told->next_ms = jq_clock_boot_ms() + REPORT_WAITS_MS;
    run->worker->output_endings++;
}

void jq_outputs_forget(struct jq_run *run) {
    struct jq_run_output *told = run->told;
    if (!told) {
        return;
    }
    if (told->flying) {
        jq_flight_end(&told->flight);
        run->worker->output_flights--;
    }
    run->worker->output_endings -= told->ending ? 1 : 0;
    free(told->kept);
    free(told);
    run->told = NULL;
}

int64_t jq_outputs_deadline_ms(const struct jq_worker_shell *worker) {
    return worker->output_due_ms;
}
