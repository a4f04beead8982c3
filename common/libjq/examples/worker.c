/* worker.c - a worker with one handler: what it is sent, in capitals. */
#include <ctype.h>
#include <stdio.h>

#include "common/libjq/jq.h"

static enum jq_outcome shout(struct jq_job *job, void *ctx) {
    char text[64];
    const struct jq_bytes payload = jq_job_payload(job);
    (void)ctx;
    for (size_t i = 0; i < payload.size && i < sizeof(text); i++) {
        text[i] = (char)toupper(payload.data[i]);
    }
    return jq_job_result(job, text, payload.size < sizeof(text) ? payload.size : sizeof(text)) == JQ_OK
               ? JQ_OUTCOME_SUCCESS
               : JQ_OUTCOME_PROCESS_FAILURE;
}

int main(void) {
    struct jq_worker *worker = NULL;
    struct jq_error error = {0};
    const struct jq_worker_config config = {.slots = 4};
    if (jq_worker_new(&config, &worker, &error) != JQ_OK ||
        jq_worker_handle(worker, "shout", NULL, shout, NULL, &error) != JQ_OK ||
        jq_worker_pure(worker, "shout", "1", &error) !=
            JQ_OK || /* the same text gives the same: it need not run again */
        jq_worker_run(worker, &error) != JQ_OK) {
        fprintf(stderr, "worker: %s\n", error.message);
        return 1;
    }
    jq_worker_free(worker);
    return 0;
}
