/* stopping_worker.c - a worker of libjq for test_libjq.py: it stops at its hundredth task, while more are on their way to it. */
#include <stdatomic.h>
#include <stdio.h>

#include "common/libjq/jq.h"

enum { TASK_COUNT = 100, SLOT_COUNT = 1000 };

struct count {
    struct jq_worker *worker;
    atomic_uint tasks;
};

static enum jq_outcome count_task(struct jq_job *job, void *ctx) {
    struct count *count = ctx;
    (void)job;
    if (atomic_fetch_add(&count->tasks, 1) + 1 == TASK_COUNT) {
        jq_worker_stop(count->worker);
    }
    return JQ_OUTCOME_SUCCESS;
}

int main(void) {
    struct count count = {.worker = NULL};
    struct jq_error error = {0};
    const struct jq_worker_config config = {.name = "stopping", .slots = SLOT_COUNT};
    if (jq_worker_new(&config, &count.worker, &error) != JQ_OK ||
        jq_worker_handle(count.worker, "count", NULL, count_task, &count, &error) != JQ_OK ||
        jq_worker_run(count.worker, &error) != JQ_OK) {
        fprintf(stderr, "worker: %s\n", error.message);
        return 1;
    }
    jq_worker_free(count.worker);
    return 0;
}
