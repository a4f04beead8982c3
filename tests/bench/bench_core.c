/* bench_core.c - what the core alone costs: submit, lease and report per task beside a backlog, and a lease over many kinds of tasks.
 *
 *     bench_core backlog COUNT     COUNT tasks wait in 1,000 queues of 100 groups each, under 1,000 limits
 *     bench_core classes QUEUES    1,000 kinds of tasks in so many queues, 1,000 workers of 10 kinds
 *
 * No log, no sockets: records are given a place and dropped. Prints key=value pairs; times are means unless named otherwise.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/core/core.h"
#include "common/rng.h"

enum {
    QUEUES = 1000,
    GROUPS = 100,
    LIMITS = 1000,
    HANDLERS = 100,
    CLASSES = 1000,
    WORKERS = 1000,
    KINDS = 10,
    BATCH = 16,
    FILL_BATCH = 1000,
    ROUNDS = 20000,
    EXPLAINED = 1000,
    POLLS = 20000,
    BACKLOG_AGE_MS = 11 * 60 * 1000, /* old enough for the guard against starvation */
    RECORD_SIZE = 150,
};

struct bench {
    struct jq_core *core;
    struct jq_rng rng;
    int64_t now_ms;
    uint64_t lsn, call, request, spent_ns;
    struct jq_uuid session[WORKERS];
    struct jq_report reports[BATCH];
    size_t held;
    uint64_t next_id;
};

static void on_record(void *ctx, struct jq_record *record) {
    struct bench *bench = ctx;
    record->lsn = bench->lsn;
    record->size = RECORD_SIZE;
    bench->lsn += RECORD_SIZE;
}

static void on_effect(void *ctx, const struct jq_effect *effect) {
    struct bench *bench = ctx;
    if (effect->type != JQ_EFFECT_REPLY) {
        return;
    }
    const struct jq_reply_effect *reply = &effect->u.reply;
    JQ_CHECK(reply->status == JQ_REPLY_OK);
    if (reply->op == JQ_OP_LEASE) {
        bench->held = reply->u.lease.count;
        for (size_t i = 0; i < bench->held; i++) {
            bench->reports[i] = (struct jq_report){.task = reply->u.lease.items[i].task,
                                                   .token = reply->u.lease.items[i].token,
                                                   .outcome = JQ_OUTCOME_SUCCESS};
        }
    } else if (reply->op == JQ_OP_SUBMIT) {
        JQ_CHECK(reply->u.submit.exception_count == 0);
        bench->next_id = reply->u.submit.first + reply->u.submit.count;
    }
}

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* others may have this machine too */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* One request in one step; the time it took. `who` keeps the senders apart. */
static uint64_t ask(struct bench *bench, struct jq_request *request, uint32_t who) {
    const struct jq_output output = {bench, on_record, on_effect};
    request->call = ++bench->call;
    request->id = ++bench->request;
    request->done = request->id;
    memcpy(request->sender.bytes, &who, sizeof(who));
    const struct jq_event event = {.type = JQ_EVENT_REQUEST,
                                   .now_ms = bench->now_ms,
                                   .wall_ms = bench->now_ms + INT64_C(1700000000000),
                                   .u.request = *request};
    const uint64_t start_ns = clock_ns();
    jq_core_step(bench->core, &event, &output);
    return clock_ns() - start_ns;
}

static struct bench *bench_new(void) {
    struct bench *bench = calloc(1, sizeof(*bench));
    struct jq_core_config config;
    struct jq_error error;
    JQ_CHECK(bench != NULL);
    jq_core_config_init(&config);
    config.memory_max = UINT64_C(16) << 30;
    jq_rng_init(&bench->rng, 1);
    JQ_CHECK(jq_core_new(&config, 1, &bench->core, &error) == JQ_OK);
    const struct jq_output output = {bench, on_record, on_effect};
    bench->lsn = 1;
    jq_core_start(bench->core, 1, 0, INT64_C(1700000000000), &output);
    return bench;
}

static uint32_t below(struct bench *bench, uint32_t bound) {
    return (uint32_t)jq_rng_below(&bench->rng, bound);
}

/* ---- requests ---- */

struct texts {
    char queue[16], group[16], handler[16], need[48];
};

static struct jq_submit_item item_of(const struct texts *texts) {
    static const uint8_t body[100];
    return (struct jq_submit_item){.queue = jq_str_of(texts->queue),
                                   .group = jq_str_of(texts->group),
                                   .handler = jq_str_of(texts->handler),
                                   .need = jq_str_of(texts->need),
                                   .priority = JQ_PRIORITY_DEFAULT,
                                   .retry_max = 3,
                                   .retry_base_ms = 1000,
                                   .retry_cap_ms = 600000,
                                   .body = {body, sizeof(body)}};
}

static void texts_draw(struct bench *bench, struct texts *texts) {
    const uint32_t queue = below(bench, QUEUES);
    (void)snprintf(texts->queue, sizeof(texts->queue), "q%" PRIu32, queue);
    (void)snprintf(texts->group, sizeof(texts->group), "g%" PRIu32, below(bench, GROUPS));
    (void)snprintf(texts->handler, sizeof(texts->handler), "h%" PRIu32, queue % HANDLERS);
}

static uint64_t submit(struct bench *bench, size_t count) {
    static struct texts texts[FILL_BATCH];
    static struct jq_submit_item items[FILL_BATCH];
    for (size_t i = 0; i < count; i++) {
        texts_draw(bench, &texts[i]);
        items[i] = item_of(&texts[i]);
    }
    struct jq_request request = {.op = JQ_OP_SUBMIT, .u.submit = {.items = items, .count = count}};
    return ask(bench, &request, 1);
}

static void set_limit(struct bench *bench, const char *format, uint32_t number, uint32_t concurrency,
                      struct jq_rate rate) {
    char scope[64];
    (void)snprintf(scope, sizeof(scope), format, number);
    struct jq_request request = {.op = JQ_OP_LIMIT_SET,
                                 .u.limit = {.scope = jq_str_of(scope),
                                             .concurrency = concurrency,
                                             .rate = rate,
                                             .burst = rate.count ? jq_rate_burst_default(rate) : 0}};
    (void)ask(bench, &request, 1);
}

static void set_limits(struct bench *bench) {
    const struct jq_rate none = {0}, fast = {1000000, 1000};
    for (uint32_t i = 0; i < HANDLERS; i++) {
        set_limit(bench, "handler:h%" PRIu32, i, 1000, none);
    }
    for (uint32_t i = 0; i < (LIMITS - HANDLERS) / 3; i++) {
        set_limit(bench, "queue:q%" PRIu32, i, 100, fast);
        set_limit(bench, "group:q%" PRIu32 "/*", i, 10, none);
        set_limit(bench, "group:q%" PRIu32 "/g7", i, 10, fast);
    }
}

static void enrol(struct bench *bench, uint32_t worker, const struct jq_handler_def *handlers, size_t handler_count,
                  const char *zone) {
    const struct jq_amount offers[] = {{JQ_STR("slots"), 4000000}, {JQ_STR("cpu"), 4000000}};
    const struct jq_name_value facts[] = {{JQ_STR("zone"), jq_str_of(zone)}};
    char name[16];
    (void)snprintf(name, sizeof(name), "w%" PRIu32, worker);
    struct jq_request request = {.op = JQ_OP_REGISTER,
                                 .u.reg = {.incarnation = 1,
                                           .name = jq_str_of(name),
                                           .offers = offers,
                                           .offer_count = 2,
                                           .facts = facts,
                                           .fact_count = 1,
                                           .handlers = handlers,
                                           .handler_count = handler_count}};
    memcpy(request.u.reg.id.bytes, &worker, sizeof(worker));
    memcpy(request.u.reg.session.bytes, &worker, sizeof(worker));
    bench->session[worker] = request.u.reg.session;
    (void)ask(bench, &request, 2 + worker);
}

static uint64_t report(struct bench *bench, uint32_t worker) {
    struct jq_request request = {
        .op = JQ_OP_REPORT,
        .u.lease = {.session = bench->session[worker], .reports = bench->reports, .report_count = bench->held}};
    return ask(bench, &request, 2 + worker);
}

static uint64_t lease(struct bench *bench, uint32_t worker, uint32_t want) {
    struct jq_request request = {.op = JQ_OP_LEASE, .u.lease = {.session = bench->session[worker], .want = want}};
    return ask(bench, &request, 2 + worker);
}

/* ---- beside a backlog ---- */

static void explain_some(struct bench *bench) {
    uint64_t worst_ns = 0;
    (void)submit(bench, BATCH); /* these wait for sure */
    for (int i = 0; i < EXPLAINED; i++) {
        struct jq_request request = {.op = JQ_OP_TASK_EXPLAIN};
        request.u.task.id.value = bench->next_id - 1 - below(bench, BATCH);
        const uint64_t took_ns = ask(bench, &request, 1);
        worst_ns = took_ns > worst_ns ? took_ns : worst_ns;
    }
    printf(" explain_worst_ms=%.3f", (double)worst_ns / 1e6);
}

static void backlog(uint64_t count) {
    static struct jq_handler_def handlers[HANDLERS];
    static char names[HANDLERS][8];
    struct bench *bench = bench_new();
    for (uint32_t i = 0; i < HANDLERS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "h%" PRIu32, i);
        handlers[i].name = jq_str_of(names[i]);
    }
    enrol(bench, 0, handlers, HANDLERS, "z0");
    set_limits(bench);
    for (uint64_t left = count; left > 0;) {
        const size_t batch = left < FILL_BATCH ? (size_t)left : FILL_BATCH;
        (void)submit(bench, batch);
        left -= batch;
    }
    bench->now_ms += BACKLOG_AGE_MS;
    uint64_t submit_ns = 0, lease_ns = 0, report_ns = 0;
    for (int round = -ROUNDS / 10; round < ROUNDS; round++) { /* the first ones warm up */
        const bool counts = round >= 0;
        bench->now_ms += round % 8 == 0;
        const uint64_t a = submit(bench, BATCH), b = lease(bench, 0, BATCH);
        JQ_CHECK(bench->held == BATCH);
        const uint64_t c = report(bench, 0);
        submit_ns += counts ? a : 0;
        lease_ns += counts ? b : 0;
        report_ns += counts ? c : 0;
    }
    const double tasks = (double)((uint64_t)ROUNDS * BATCH);
    printf("queued=%" PRIu64 " submit_ns=%.0f lease_ns=%.0f report_ns=%.0f all_ns=%.0f", count,
           (double)submit_ns / tasks, (double)lease_ns / tasks, (double)report_ns / tasks,
           (double)(submit_ns + lease_ns + report_ns) / tasks);
    explain_some(bench);
    printf("\n");
    jq_core_free(bench->core);
    free(bench);
}

/* ---- over many kinds of tasks ---- */

static int by_value(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void submit_class(struct bench *bench, uint32_t class_index, uint32_t queues) {
    struct texts texts = {.handler = "work"};
    (void)snprintf(texts.queue, sizeof(texts.queue), "q%" PRIu32, class_index % queues);
    (void)snprintf(texts.need, sizeof(texts.need), "cpu=0.%03" PRIu32 " zone==z%" PRIu32, class_index % 900 + 1,
                   class_index % KINDS);
    if (class_index >= 900) {
        (void)snprintf(texts.need, sizeof(texts.need), "cpu=1.%03" PRIu32 " zone==z%" PRIu32, class_index % 900 + 1,
                       class_index % KINDS);
    }
    const struct jq_submit_item item = item_of(&texts);
    struct jq_request request = {.op = JQ_OP_SUBMIT, .u.submit = {.items = &item, .count = 1}};
    (void)ask(bench, &request, 1);
}

/* Ten tasks of each class, a poll for one task by a worker drawn by lot, which reports before its next; the task is replaced. */
static void classes(uint32_t queues) {
    static const struct jq_handler_def handler = {.name = {"work", 4}};
    static uint64_t took_ns[POLLS];
    struct bench *bench = bench_new();
    uint64_t sum_ns = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        char zone[8];
        (void)snprintf(zone, sizeof(zone), "z%" PRIu32, i % KINDS);
        enrol(bench, i, &handler, 1, zone);
    }
    for (uint32_t i = 0; i < 10 * CLASSES; i++) {
        submit_class(bench, i % CLASSES, queues);
    }
    for (uint32_t i = 0; i < POLLS; i++) {
        const uint32_t worker = below(bench, WORKERS);
        bench->now_ms += i % 8 == 0;
        took_ns[i] = lease(bench, worker, 1);
        sum_ns += took_ns[i];
        JQ_CHECK(bench->held == 1);
        (void)report(bench, worker);
        submit_class(bench, below(bench, CLASSES / KINDS) * KINDS + worker % KINDS, queues);
    }
    qsort(took_ns, POLLS, sizeof(took_ns[0]), by_value);
    printf("classes=%d workers=%d queues=%" PRIu32 " lease_us=%.2f p99_us=%.2f\n", CLASSES, WORKERS, queues,
           (double)(sum_ns / POLLS) / 1000, (double)took_ns[POLLS - POLLS / 100] / 1000);
    jq_core_free(bench->core);
    free(bench);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "backlog") == 0) {
        backlog(strtoull(argv[2], NULL, 10));
    } else if (argc == 3 && strcmp(argv[1], "classes") == 0) {
        classes((uint32_t)strtoul(argv[2], NULL, 10));
    } else {
        fprintf(stderr, "usage: bench_core backlog COUNT | classes QUEUES\n");
        return 64;
    }
    return 0;
}
