/* chord.c - a flow from a program: numbers are squared side by side, and a task behind all of them adds up what they gave.
 *
 *     example_chord [N]
 *
 * The worker runs in this program, too. Prints "sum: 385" for N = 10.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/libjq/jq.h"

enum { NUMBERS_MAX = 1000 };

static long number_of(struct jq_bytes text) {
    char copy[32];
    snprintf(copy, sizeof(copy), "%.*s", (int)text.size, (const char *)text.data);
    return strtol(copy, NULL, 10);
}

static enum jq_outcome give(struct jq_job *job, long number) {
    char text[32];
    const int size = snprintf(text, sizeof(text), "%ld", number);
    return jq_job_result(job, text, (size_t)size) == JQ_OK ? JQ_OUTCOME_SUCCESS : JQ_OUTCOME_PROCESS_FAILURE;
}

static enum jq_outcome square(struct jq_job *job, void *ctx) {
    const long number = number_of(jq_job_payload(job));
    (void)ctx;
    return give(job, number * number);
}

static void add(void *ctx, const struct jq_result *result) {
    *(long *)ctx += number_of(result->data);
}

/* What it waited for has ended: the results are only to be fetched. */
static enum jq_outcome sum(struct jq_job *job, void *ctx) {
    struct jq_client *client = ctx;
    struct jq_error error;
    size_t count = 0;
    long total = 0;
    const jq_task_id *parents = jq_job_parents(job, &count);
    if (jq_wait_all(client, parents, count, 10000, add, &total, &error) != JQ_OK) {
        jq_job_message(job, error.message);
        return JQ_OUTCOME_NETWORK;
    }
    return give(job, total);
}

static void *work(void *worker) {
    (void)jq_worker_run(worker, NULL);
    return NULL;
}

/* The id of the task that adds up. */
static enum jq_err submit(struct jq_client *client, size_t count, jq_task_id *ret_sum, struct jq_error *error) {
    static char texts[NUMBERS_MAX][16];
    static struct jq_task_spec squares[NUMBERS_MAX];
    const struct jq_task_spec callback = jq_task("sum");
    struct jq_flow *flow = NULL;
    size_t last = 0;
    jq_task_id id;
    for (size_t i = 0; i < count; i++) {
        squares[i] = jq_task("square");
        squares[i].payload_size = (size_t)snprintf(texts[i], sizeof(texts[i]), "%zu", i + 1);
        squares[i].payload = texts[i];
    }
    enum jq_err err = jq_flow_new("squares", &flow, error);
    if (err == JQ_OK) {
        err = jq_flow_chord(flow, squares, count, &callback, &last, error);
    }
    if (err == JQ_OK) {
        err = jq_flow_submit(client, flow, &id, error);
    }
    if (err == JQ_OK) {
        *ret_sum = jq_flow_task_id(flow, last);
    }
    jq_flow_free(flow);
    return err;
}

static enum jq_err run(struct jq_client *client, struct jq_worker *worker, size_t count, struct jq_error *error) {
    struct jq_result *result = NULL;
    jq_task_id last;
    pthread_t thread;
    enum jq_err err = jq_worker_handle(worker, "square", NULL, square, NULL, error);
    if (err == JQ_OK) {
        err = jq_worker_handle(worker, "sum", NULL, sum, client, error);
    }
    if (err != JQ_OK || pthread_create(&thread, NULL, work, worker) != 0) {
        return err;
    }
    err = submit(client, count, &last, error);
    if (err == JQ_OK) {
        err = jq_wait(client, last, 30000, &result, error);
    }
    if (err == JQ_OK) {
        printf("sum: %.*s\n", (int)result->data.size, (const char *)result->data.data);
    }
    jq_result_free(result);
    jq_worker_stop(worker);
    pthread_join(thread, NULL);
    return err;
}

int main(int argc, char **argv) {
    const size_t asked = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
    const size_t count = asked > NUMBERS_MAX ? NUMBERS_MAX : asked;
    const struct jq_worker_config config = {.name = "chord", .slots = 8, .threads = 4};
    struct jq_client *client = NULL;
    struct jq_worker *worker = NULL;
    struct jq_error error = {.code = JQ_OK};
    enum jq_err err = jq_connect(NULL, &client, &error);
    if (err == JQ_OK) {
        err = jq_worker_new(&config, &worker, &error);
    }
    if (err == JQ_OK) {
        err = run(client, worker, count, &error);
    }
    if (err != JQ_OK) {
        fprintf(stderr, "example_chord: %s\n", error.message);
    }
    jq_worker_free(worker);
    jq_disconnect(client);
    return err == JQ_OK ? 0 : 1;
}
