/* bench_relocate.c - how long the core is at one thing while it moves what is live in the log's oldest part to its head.
 *
 *     bench_relocate COUNT SLICES     COUNT tasks of 100 bytes wait; so many slices of the oldest part are brought to it
 *
 * No log, no sockets: records are given a place and dropped, those with a body are remembered, and come back in slices as the shell
 * would bring them. Prints key=value pairs; times are the processor's, of one step each, prologues of new segments among them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/core/core.h"
#include "broker/shell/log_slice.h"

enum { FILL_BATCH = 1000, BODY_SIZE = 100, RECORD_SIZE = 150, SEGMENT_SIZE = 64 * 1024 * 1024, SLICES_MAX = 100000 };

struct place {
    uint64_t lsn, task;
};

struct bench {
    struct jq_core *core;
    int64_t now_ms;
    uint64_t lsn, segment_lsn; /* the log's end, and where its newest segment began */
    uint64_t request;
    struct place *places; /* of records with bodies, in the order of the log */
    size_t count, capacity, at;
    bool asked;
    uint64_t from_lsn, end_lsn; /* of the slice that was asked for */
    uint64_t moved;
};

static const uint8_t body[BODY_SIZE];

static void remember(struct bench *bench, uint64_t task) {
    if (bench->count == bench->capacity) {
        bench->capacity = bench->capacity == 0 ? 1 << 20 : 2 * bench->capacity;
        bench->places = realloc(bench->places, bench->capacity * sizeof(*bench->places));
        JQ_CHECK(bench->places != NULL);
    }
    bench->places[bench->count++] = (struct place){bench->lsn, task};
}

static void on_record(void *ctx, struct jq_record *record) {
    struct bench *bench = ctx;
    if (record->type == JQ_RECORD_TASK_SUBMITTED)
        remember(bench, record->u.task_submitted.task.value);
    if (record->type == JQ_RECORD_TASK_RELOCATED) {
        remember(bench, record->u.task_relocated.task.value);
        bench->moved++;
    }
    record->lsn = bench->lsn;
    record->size = RECORD_SIZE;
    bench->lsn += RECORD_SIZE;
}

static void on_effect(void *ctx, const struct jq_effect *effect) {
    struct bench *bench = ctx;
    if (effect->type == JQ_EFFECT_READ_LOG) {
        bench->asked = true;
        bench->from_lsn = effect->u.read_log.from_lsn;
        bench->end_lsn = effect->u.read_log.end_lsn;
    } else if (effect->type == JQ_EFFECT_REPLY) {
        JQ_CHECK(effect->u.reply.status == JQ_REPLY_OK);
    }
}

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* others may have this machine too */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t step(struct bench *bench, struct jq_event *event) {
    const struct jq_output output = {bench, on_record, on_effect};
    event->now_ms = bench->now_ms;
    event->wall_ms = bench->now_ms + INT64_C(1700000000000);
    const uint64_t start_ns = clock_ns();
    jq_core_step(bench->core, event, &output);
    return clock_ns() - start_ns;
}

/* A new segment begins where one is full: the time that its prologue took, or 0. */
static uint64_t rotate(struct bench *bench) {
    if (bench->lsn - bench->segment_lsn < SEGMENT_SIZE)
        return 0;
    bench->segment_lsn = bench->lsn;
    struct jq_event event = {.type = JQ_EVENT_SEGMENT};
    return step(bench, &event);
}

static void fill(struct bench *bench, uint64_t count) {
    static struct jq_submit_item items[FILL_BATCH];
    for (size_t i = 0; i < FILL_BATCH; i++)
        items[i] = (struct jq_submit_item){.queue = JQ_STR("default"),
                                           .handler = JQ_STR("noop"),
                                           .priority = JQ_PRIORITY_DEFAULT,
                                           .retry_max = 3,
                                           .retry_base_ms = 1000,
                                           .retry_cap_ms = 600000,
                                           .body = {body, sizeof(body)}};
    for (uint64_t done = 0; done < count; done += FILL_BATCH) {
        struct jq_event event = {
            .type = JQ_EVENT_REQUEST,
            .u.request = {.op = JQ_OP_SUBMIT, .call = 1, .u.submit = {.items = items, .count = FILL_BATCH}}};
        event.u.request.id = event.u.request.done = ++bench->request;
        event.u.request.sender.bytes[0] = 1;
        (void)step(bench, &event);
        (void)rotate(bench);
    }
}

/* The answer to what was asked, as the shell's slicer would give it. */
static uint64_t bring(struct bench *bench) {
    static struct jq_record records[JQ_SLICE_RECORDS_MAX];
    size_t count = 0, bytes = 0;
    uint64_t next_lsn = bench->end_lsn;
    while (bench->places[bench->at].lsn < bench->from_lsn)
        bench->at++;
    for (size_t i = bench->at; i < bench->count && bench->places[i].lsn < bench->end_lsn; i++) {
        if (count == JQ_SLICE_RECORDS_MAX || bytes >= JQ_SLICE_BYTES_MAX) {
            next_lsn = bench->places[i].lsn;
            break;
        }
        records[count++] =
            (struct jq_record){.type = JQ_RECORD_TASK_SUBMITTED,
                               .lsn = bench->places[i].lsn,
                               .size = RECORD_SIZE,
                               .u.task_submitted = {.task = {bench->places[i].task}, .body = {body, sizeof(body)}}};
        bytes += RECORD_SIZE;
    }
    struct jq_event event = {
        .type = JQ_EVENT_LOG_READ,
        .u.log_read = {.from_lsn = bench->from_lsn, .next_lsn = next_lsn, .records = records, .count = count}};
    bench->asked = false;
    return step(bench, &event);
}

static int by_value(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static struct bench *bench_new(void) {
    struct bench *bench = calloc(1, sizeof(*bench));
    struct jq_core_config config;
    JQ_CHECK(bench != NULL);
    jq_core_config_init(&config);
    config.memory_max = UINT64_C(16) << 30;
    config.depth_max = UINT64_C(1) << 40;
    config.log_slack_bytes = SEGMENT_SIZE;
    JQ_CHECK(jq_core_new(&config, 1, &bench->core, NULL) == JQ_OK);
    const struct jq_output output = {bench, on_record, on_effect};
    bench->lsn = bench->now_ms = 1;
    jq_core_start(bench->core, 1, bench->now_ms, INT64_C(1700000000000), &output);
    struct jq_event event = {.type = JQ_EVENT_SEGMENT};
    (void)step(bench, &event);
    return bench;
}

static void run(uint64_t count, size_t slices) {
    static uint64_t took_ns[SLICES_MAX];
    struct bench *bench = bench_new();
    uint64_t prologue_ns = 0;
    size_t done = 0;
    fill(bench, count);
    /* As much again and more of what nobody needs any more: the log is longer than twice what is live in it. */
    bench->lsn += (count + 1) * 2 * RECORD_SIZE + 2 * (uint64_t)SEGMENT_SIZE;
    while (done < slices) {
        prologue_ns = prologue_ns > 0 ? prologue_ns : rotate(bench);
        struct jq_event event = {.type = JQ_EVENT_WRITTEN, .u.written.lsn = bench->lsn};
        (void)step(bench, &event);
        if (!bench->asked)
            break;
        took_ns[done++] = bring(bench);
        const uint64_t again_ns = rotate(bench);
        prologue_ns = again_ns > prologue_ns ? again_ns : prologue_ns;
        bench->now_ms++;
    }
    JQ_CHECK(done > 0);
    qsort(took_ns, done, sizeof(took_ns[0]), by_value);
    printf("queued=%" PRIu64 " slices=%zu moved=%" PRIu64 " slice_p50_ms=%.3f slice_max_ms=%.3f prologue_ms=%.3f\n",
           count, done, bench->moved, (double)took_ns[done / 2] / 1e6, (double)took_ns[done - 1] / 1e6,
           (double)prologue_ns / 1e6);
    jq_core_free(bench->core);
    free(bench->places);
    free(bench);
}

int main(int argc, char **argv) {
    const unsigned long slices = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (slices == 0 || slices > SLICES_MAX) {
        fprintf(stderr, "usage: bench_relocate COUNT SLICES\n");
        return 64;
    }
    run(strtoull(argv[1], NULL, 10), slices);
    return 0;
}
