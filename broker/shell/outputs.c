#include "broker/shell/outputs.h"

#include <stdlib.h>

#include "broker/shell/encode.h"
#include "broker/shell/output_store.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/message.h"

enum { FOLLOWED_MS = 5000 }; /* after the last question of a follower */

struct job {
    struct jq_inbound inbound;
    struct jq_outputs *outputs;
    struct jq_call *call;
    struct jq_request request;
    uint8_t bytes[]; /* what the request's streams point to */
};

struct jq_outputs {
    struct jq_engine *engine;
    struct jq_metrics *metrics;
    struct jq_inbox *inbox;
    struct jq_output_store *store; /* the core thread's */
};

static void answer(struct job *job, struct jq_buf *frame, enum jq_reply status) {
    jq_count(&job->outputs->metrics->replies[job->request.op][status], 1);
    if (frame->failed || jq_call_reply(job->call, jq_buf_bytes(frame)) != JQ_OK)
        jq_call_drop(job->call);
    jq_buf_fini(frame);
}

static void put(struct jq_inbound *inbound) {
    struct job *job = JQ_CONTAINER_OF(inbound, struct job, inbound);
    const struct jq_request *request = &job->request;
    struct jq_output_store *store = job->outputs->store;
    const jq_task_id task = request->u.output.task;
    struct jq_buf frame;
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    if (!jq_core_holds(jq_engine_core(job->outputs->engine), &request->u.output.session, task,
                       request->u.output.token)) {
        (void)jq_encode_refusal(&frame, request->id, JQ_REPLY_STALE_LEASE, NULL, "no lease of this worker", 0, NULL);
        answer(job, &frame, JQ_REPLY_STALE_LEASE);
        return;
    }
    for (int i = 0; i < JQ_OUTPUT_STREAMS; i++)
        jq_output_store_put(store, task, request->u.output.token, i, request->u.output.at[i],
                            request->u.output.bytes[i]);
    const int64_t read_ms = jq_output_store_read_ms(store, task);
    const bool followed = read_ms != 0 && jq_clock_boot_ms() - read_ms < FOLLOWED_MS;
    (void)jq_encode_output_taken(&frame, request->id, followed, NULL);
    answer(job, &frame, JQ_REPLY_OK);
}

static void read(struct jq_inbound *inbound) {
    struct job *job = JQ_CONTAINER_OF(inbound, struct job, inbound);
    const struct jq_request *request = &job->request;
    struct jq_output_store *store = job->outputs->store;
    const jq_task_id task = request->u.output.task;
    const bool within = jq_core_task_within(jq_engine_core(job->outputs->engine), &request->reach, task);
    struct jq_logs_data data = {.known = within};
    struct jq_buf frame;
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    if (within)
        data.token = jq_output_store_token(store, task);
    for (int i = 0; i < JQ_OUTPUT_STREAMS; i++) {
        data.at[i] = request->u.output.at[i];
        data.known = data.known && jq_output_store_get(store, task, i, JQ_OUTPUT_CHUNK_MAX, &data.at[i], &data.bytes[i],
                                                       &data.end[i]);
    }
    if (within)
        jq_output_store_set_read(store, task, jq_clock_boot_ms());
    (void)jq_encode_logs(&frame, request->id, &data, NULL);
    answer(job, &frame, JQ_REPLY_OK);
}

static void done(struct jq_inbound *inbound) {
    free(JQ_CONTAINER_OF(inbound, struct job, inbound));
}

/* The bytes that the request borrows are needed longer than the call. */
static struct job *job_of(const struct jq_request *request) {
    const size_t sizes[] = {request->u.output.bytes[0].size, request->u.output.bytes[1].size};
    struct job *job = calloc(1, sizeof(*job) + sizes[0] + sizes[1]);
    if (job == NULL)
        return NULL;
    job->request = *request;
    uint8_t *at = job->bytes;
    for (int i = 0; i < JQ_OUTPUT_STREAMS; i++) {
        if (sizes[i] > 0)
            memcpy(at, request->u.output.bytes[i].data, sizes[i]);
        job->request.u.output.bytes[i].data = at;
        at += sizes[i];
    }
    return job;
}

bool jq_outputs_ask(struct jq_outputs *outputs, struct jq_call *call, const struct jq_request *request) {
    if (request->op != JQ_OP_OUTPUT_PUT && request->op != JQ_OP_TASK_LOGS)
        return false;
    struct job *job = job_of(request);
    const size_t size = JQ_OUTPUT_CHUNK_MAX;
    if (job == NULL || !jq_inbox_admit(outputs->inbox, size)) {
        free(job);
        jq_call_drop(call); /* asked again */
        return true;
    }
    job->outputs = outputs;
    job->call = call;
    job->inbound = (struct jq_inbound){
        .errand = request->op == JQ_OP_OUTPUT_PUT ? put : read, .done = done, .admitted_bytes = size};
    jq_call_release_frame(call);
    jq_inbox_push(outputs->inbox, &job->inbound.item);
    return true;
}

enum jq_err jq_outputs_new(struct jq_engine *engine, struct jq_metrics *metrics, uint64_t bytes_max,
                           struct jq_outputs **ret_outputs, struct jq_error *reterr) {
    struct jq_outputs *outputs = calloc(1, sizeof(*outputs));
    struct jq_output_store *store = jq_output_store_new(bytes_max);
    if (outputs == NULL || store == NULL) {
        free(outputs);
        jq_output_store_free(store);
        return jq_fail(reterr, JQ_ERR_NOMEM, "store of output");
    }
    *outputs =
        (struct jq_outputs){.engine = engine, .metrics = metrics, .inbox = jq_engine_inbox(engine), .store = store};
    *ret_outputs = outputs;
    return JQ_OK;
}
