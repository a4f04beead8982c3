/* units_worker.c - a worker of libjq for test_placement.py: gpu=[4,9], and each job's result is the number that is its own. */
#include <stdio.h>

#include "common/libjq/jq.h"

static enum jq_outcome tell(struct jq_job *job, void *ctx) {
    char text[32];
    size_t count = 0;
    const uint16_t *units = jq_job_units(job, "gpu", &count);
    (void)ctx;
    const int size = count == 1 ? snprintf(text, sizeof(text), "gpu %u", (unsigned)units[0])
                                : snprintf(text, sizeof(text), "%zu gpus", count);
    return jq_job_result(job, text, (size_t)size) == JQ_OK ? JQ_OUTCOME_SUCCESS : JQ_OUTCOME_PROCESS_FAILURE;
}

int main(void) {
    struct jq_worker *worker = NULL;
    struct jq_error error = {0};
    const struct jq_worker_config config = {
        .name = "units", .offers = "gpu=[4,9]", .accept = "gpu", .slots = 2, .threads = 2};
    if (jq_worker_new(&config, &worker, &error) != JQ_OK ||
        jq_worker_handle(worker, "tell", NULL, tell, NULL, &error) != JQ_OK || jq_worker_run(worker, &error) != JQ_OK) {
        fprintf(stderr, "worker: %s\n", error.message);
        return 1;
    }
    jq_worker_free(worker);
    return 0;
}
