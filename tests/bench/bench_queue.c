/* One load a call, against a running broker ($JQ_SERVER, $JQ_SURVEY), for run.py to put together. Each prints one line of numbers.
 *
 *     bench_queue disk DIR                 write+fdatasync of 200 bytes, one after another, into a zero-filled file
 *     bench_queue submit COUNT SIZE        jq_submit_many of COUNT tasks with SIZE-byte payloads, from one client
 *     bench_queue single MS CLIENTS        jq_submit, one at a time by each of CLIENTS threads with a client of its own
 *     bench_queue shared MS THREADS        the same by THREADS threads of one client
 *     bench_queue worker SLOTS             a worker with a handler that does nothing, until SIGTERM
 *     bench_queue ended COUNT              waits until COUNT tasks more have ended than had when it began
 *     bench_queue latency COUNT RATE       from the call of jq_submit to the start of the handler, at RATE tasks a second
 *     bench_queue cached COUNT             from the call of jq_submit to the result of a task whose answer is kept, one by one;
 *                                          a worker has `noop` as a pure handler
 *     bench_queue first                    a worker; says when (CLOCK_MONOTONIC, ns) its handler was first called, and ends
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/libjq/flight.h"

enum { SYNC_COUNT = 400, SYNC_SIZE = 200, SPAN = 100000, THREADS_MAX = 64, SAMPLES_MAX = 100000, POLL_MS = 5 };

static _Noreturn void die(const char *what, const struct jq_error *error) {
    fprintf(stderr, "bench_queue: %s: %s\n", what, error ? error->message : strerror(errno));
    _exit(1);
}

static long number(const char *text) {
    char *end = NULL;
    const long value = strtol(text, &end, 10);
    if (value < 0 || *end != '\0') {
        fprintf(stderr, "bench_queue: '%s' is no number\n", text);
        _exit(64);
    }
    return value;
}

static void pause_ms(int ms) {
    const struct timespec pause = {0, ms * 1000000};
    nanosleep(&pause, NULL);
}

static struct jq_client *connect_here(void) {
    struct jq_client *client = NULL;
    struct jq_error error;
    const struct jq_connect_config config = {.timeout_ms = 120000, .name = "bench"};
    if (jq_connect(&config, &client, &error) != JQ_OK) {
        die("connect", &error);
    }
    return client;
}

static int compare_ns(const void *a, const void *b) {
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static double percentile_us(int64_t *samples, size_t count, double share) {
    qsort(samples, count, sizeof(*samples), compare_ns);
    return (double)samples[(size_t)((double)(count - 1) * share)] / 1000;
}

/* ---- the disk ---- */

static int run_disk(const char *dir) {
    static int64_t samples[SYNC_COUNT];
    static const char zeros[1 << 20], line[SYNC_SIZE] = {1};
    char path[4096];
    snprintf(path, sizeof(path), "%s/bench_queue.sync", dir);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || pwrite(fd, zeros, sizeof(zeros), 0) != (ssize_t)sizeof(zeros) || fsync(fd) != 0) {
        die(path, NULL);
    }
    const int64_t start_ns = jq_clock_mono_ns();
    for (int i = 0; i < SYNC_COUNT; i++) {
        const int64_t before_ns = jq_clock_mono_ns();
        if (pwrite(fd, line, sizeof(line), (off_t)i * SYNC_SIZE) != SYNC_SIZE || fdatasync(fd) != 0) {
            die(path, NULL);
        }
        samples[i] = jq_clock_mono_ns() - before_ns;
    }
    const double seconds = (double)(jq_clock_mono_ns() - start_ns) / 1e9;
    close(fd);
    unlink(path);
    printf("rate=%.1f p50_us=%.1f p99_us=%.1f\n", (double)SYNC_COUNT / seconds, percentile_us(samples, SYNC_COUNT, 0.5),
           percentile_us(samples, SYNC_COUNT, 0.99));
    return 0;
}

/* ---- submitting ---- */

static int run_submit(long count, long size) {
    struct jq_client *client = connect_here();
    struct jq_task_spec *tasks = calloc(SPAN, sizeof(*tasks));
    struct jq_submitted *submitted = calloc(SPAN, sizeof(*submitted));
    char *payload = calloc(1, (size_t)size + 1);
    struct jq_error error;
    for (long i = 0; i < SPAN; i++) {
        tasks[i] = jq_task("noop");
        tasks[i].payload = payload;
        tasks[i].payload_size = (size_t)size;
    }
    const int64_t start_ns = jq_clock_mono_ns();
    for (long done = 0; done < count; done += SPAN) {
        const size_t now = (size_t)(count - done < SPAN ? count - done : SPAN);
        if (jq_submit_many(client, tasks, now, submitted, &error) != JQ_OK) {
            die("submit", &error);
        }
        for (size_t i = 0; i < now; i++) {
            if (submitted[i].status != JQ_REPLY_OK) {
                fprintf(stderr, "bench_queue: refused: %s\n", submitted[i].reason);
                return 1;
            }
        }
    }
    printf("rate=%.0f\n", (double)count / ((double)(jq_clock_mono_ns() - start_ns) / 1e9));
    return 0;
}

struct single {
    pthread_t thread;
    struct jq_client *client;
    int64_t until_ns;
    long count;
};

static void *submit_one_by_one(void *ctx) {
    struct single *single = ctx;
    static const char payload[100];
    struct jq_error error;
    struct jq_task_spec task = jq_task("noop");
    task.payload = payload;
    task.payload_size = sizeof(payload);
    while (jq_clock_mono_ns() < single->until_ns) {
        jq_task_id id;
        if (jq_submit(single->client, &task, &id, &error) != JQ_OK) {
            die("submit", &error);
        }
        single->count++;
    }
    return NULL;
}

static int run_single(long ms, long threads, bool shared) {
    struct single singles[THREADS_MAX];
    if (threads < 1 || threads > THREADS_MAX) {
        return 64;
    }
    struct jq_client *client = shared ? connect_here() : NULL;
    const int64_t start_ns = jq_clock_mono_ns();
    for (long i = 0; i < threads; i++) {
        singles[i] = (struct single){.client = shared ? client : connect_here(), .until_ns = start_ns + ms * 1000000};
        pthread_create(&singles[i].thread, NULL, submit_one_by_one, &singles[i]);
    }
    long total = 0;
    for (long i = 0; i < threads; i++) {
        pthread_join(singles[i].thread, NULL);
        total += singles[i].count;
    }
    printf("rate=%.1f\n", (double)total / ((double)(jq_clock_mono_ns() - start_ns) / 1e9));
    return 0;
}

/* ---- workers ---- */

static struct jq_worker *the_worker;
static _Atomic int64_t first_ns;
static int64_t latencies[SAMPLES_MAX];
static _Atomic size_t latency_count;

static void on_term(int number_of_signal) {
    (void)number_of_signal;
    jq_worker_stop(the_worker);
}

static enum jq_outcome noop(struct jq_job *job, void *ctx) {
    (void)job;
    (void)ctx;
    int64_t none = 0;
    if (atomic_load_explicit(&first_ns, memory_order_relaxed) == 0 &&
        atomic_compare_exchange_strong(&first_ns, &none, jq_clock_mono_ns()) && ctx) {
        jq_worker_stop(the_worker);
    }
    return JQ_OUTCOME_SUCCESS;
}

static enum jq_outcome timed(struct jq_job *job, void *ctx) {
    (void)ctx;
    int64_t sent_ns = 0;
    const int64_t now_ns = jq_clock_mono_ns();
    memcpy(&sent_ns, jq_job_payload(job).data, sizeof(sent_ns));
    latencies[atomic_fetch_add(&latency_count, 1) % SAMPLES_MAX] = now_ns - sent_ns;
    return JQ_OUTCOME_SUCCESS;
}

static void make_worker(long slots, const char *handler, jq_handler_fn *fn, void *ctx) {
    struct jq_error error;
    const struct jq_worker_config config = {.slots = (unsigned)slots, .connect = {.name = "bench"}};
    if (jq_worker_new(&config, &the_worker, &error) != JQ_OK ||
        jq_worker_handle(the_worker, handler, NULL, fn, ctx, &error) != JQ_OK) {
        die("worker", &error);
    }
    signal(SIGTERM, on_term);
}

static void *work(void *ctx) {
    struct jq_error error;
    (void)ctx;
    if (jq_worker_run(the_worker, &error) != JQ_OK) {
        die("worker", &error);
    }
    return NULL;
}

static int run_latency(long count, long rate) {
    pthread_t thread;
    make_worker(16, "timed", timed, NULL);
    pthread_create(&thread, NULL, work, NULL);
    struct jq_client *client = connect_here();
    struct jq_error error;
    struct jq_task_spec task = jq_task("timed");
    int64_t next_ns = jq_clock_mono_ns();
    for (long i = 0; i < count; i++, next_ns += 1000000000 / rate) {
        const struct timespec until = {next_ns / 1000000000, next_ns % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        uint8_t payload[100] = {0};
        const int64_t now_ns = jq_clock_mono_ns();
        jq_task_id id;
        memcpy(payload, &now_ns, sizeof(now_ns));
        task.payload = payload;
        task.payload_size = sizeof(payload);
        if (jq_submit(client, &task, &id, &error) != JQ_OK) {
            die("submit", &error);
        }
    }
    jq_worker_stop(the_worker);
    pthread_join(thread, NULL);
    const size_t seen = atomic_load(&latency_count);
    if (seen == 0) {
        return 1;
    }
    printf("count=%zu p50_us=%.1f p99_us=%.1f\n", seen, percentile_us(latencies, seen, 0.5),
           percentile_us(latencies, seen, 0.99));
    return 0;
}

/* Submits the same task and waits for its result. True: nobody ran it. */
static bool ask_again(struct jq_client *client, const struct jq_task_spec *task) {
    struct jq_result *result = NULL;
    struct jq_error error;
    jq_task_id id;
    if (jq_submit(client, task, &id, &error) != JQ_OK || jq_wait(client, id, -1, &result, &error) != JQ_OK) {
        die("cached", &error);
    }
    const bool cached = result->outcome == JQ_OUTCOME_CACHED;
    jq_result_free(result);
    return cached;
}

static int run_cached(long count) {
    struct jq_client *client = connect_here();
    const uint8_t payload[100] = {0};
    struct jq_task_spec task = jq_task("noop");
    task.payload = payload;
    task.payload_size = sizeof(payload);
    while (!ask_again(client, &task)) { /* runs until its worker is there */
    }
    long seen = 0;
    for (; seen < count && seen < SAMPLES_MAX; seen++) {
        const int64_t begin_ns = jq_clock_mono_ns();
        if (!ask_again(client, &task)) {
            return 1;
        }
        latencies[seen] = jq_clock_mono_ns() - begin_ns;
    }
    printf("count=%ld p50_us=%.1f p99_us=%.1f\n", seen, percentile_us(latencies, (size_t)seen, 0.5),
           percentile_us(latencies, (size_t)seen, 0.99));
    return 0;
}

/* ---- asking how far the broker is ---- */

static uint64_t ended_so_far(struct jq_client *client) {
    struct jq_flight flight;
    struct jq_error error;
    if (jq_client_call(client, &flight, "server.status", 0, NULL, NULL, 0, &error) != JQ_OK) {
        die("server.status", &error);
    }
    const uint64_t count = jq_view_uint(flight.view.body, "succeeded_total", 0);
    jq_flight_end(&flight);
    return count;
}

static int run_ended(long count) {
    struct jq_client *client = connect_here();
    const uint64_t begin = ended_so_far(client);
    printf("begun\n");
    fflush(stdout);
    while (ended_so_far(client) - begin < (uint64_t)count) {
        pause_ms(POLL_MS);
    }
    printf("at_ns=%lld\n", (long long)jq_clock_mono_ns());
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "disk") == 0 && argc == 3) {
        return run_disk(argv[2]);
    }
    if (strcmp(what, "submit") == 0 && argc == 4) {
        return run_submit(number(argv[2]), number(argv[3]));
    }
    if ((strcmp(what, "single") == 0 || strcmp(what, "shared") == 0) && argc == 4) {
        return run_single(number(argv[2]), number(argv[3]), strcmp(what, "shared") == 0);
    }
    if (strcmp(what, "worker") == 0 && argc == 3) {
        make_worker(number(argv[2]), "noop", noop, NULL);
        (void)work(NULL);
        _exit(0);
    }
    if (strcmp(what, "ended") == 0 && argc == 3) {
        return run_ended(number(argv[2]));
    }
    if (strcmp(what, "latency") == 0 && argc == 4) {
        return run_latency(number(argv[2]), number(argv[3]));
    }
    if (strcmp(what, "cached") == 0 && argc == 3) {
        return run_cached(number(argv[2]));
    }
    if (strcmp(what, "first") == 0) {
        make_worker(1, "noop", noop, &the_worker);
        (void)work(NULL);
        printf("at_ns=%lld\n", (long long)atomic_load(&first_ns));
        fflush(stdout);
        _exit(0);
    }
    fprintf(stderr, "usage: see the head of tests/bench/bench_queue.c\n");
    return 64;
}
