/* How fast is an echo through common/transport: the reference against which the other figures of the bench are held.
 *
 *     bench_echo [RUN_MS]
 *
 * A server process (this program, executed again) answers every request with its own bytes over loopback tcp. For each load one
 * line is printed, the median of 5 runs of RUN_MS (400) milliseconds:
 *
 *     echo outstanding=1 size=100 rate=6543 rate_min=6400 rate_max=6600 p50_us=150.2 p99_us=260.0
 *
 * outstanding=1 uses the blocking call, the others the asynchronous one. Where it says `clients`, so many threads make blocking calls,
 * each over a connection of its own. Rates are round trips per second. It is NNG as it comes: how
 * its threads hand work to each other is not mended here, as it is in jqbroker, jqworker and libjq (see guard_handover.h).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/transport/client.h"
#include "common/transport/server.h"
#include "tests/lib/event.h"

enum {
    RUN_COUNT = 5,
    RUN_MS = 400,
    SAMPLE_COUNT_MAX = 1 << 20,
    OUTSTANDING_MAX = 256,
    CLIENT_COUNT = 16,
};

static _Noreturn void die(const char *what, const struct jq_error *error) {
    fprintf(stderr, "bench_echo: %s: %s\n", what, error != NULL ? error->message : strerror(errno));
    _exit(1);
}

/* ---- the server process ---- */

static void answer_same(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    (void)ctx;
    (void)peer;
    if (jq_call_reply(call, frame) != JQ_OK) {
        jq_call_drop(call);
    }
}

/* Says on stdout where it listens, and echoes until it is killed or its parent is no more. */
static int serve(void) {
    const char *url = "tcp://127.0.0.1:0";
    const struct jq_server_config config = {.urls = &url, .url_count = 1, .on_request = answer_same};
    struct jq_server *server = NULL;
    struct jq_error error = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (jq_server_open(&config, &server, &error) != JQ_OK) {
        die("server", &error);
    }
    printf("%s\n", jq_server_url(server, 0));
    fflush(stdout);
    for (;;) {
        pause();
    }
}

static pid_t start_server(char *ret_url, int url_size) {
    extern char **environ;
    char name[] = "bench_echo";
    char verb[] = "serve";
    char *const argv[] = {name, verb, NULL};
    int fds[2];
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    if (pipe(fds) != 0 || posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO) != 0) {
        die("pipe", NULL);
    }
    errno = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ);
    if (errno != 0) {
        die("server process", NULL);
    }
    close(fds[1]);
    FILE *said = fdopen(fds[0], "r");
    if (said == NULL || fgets(ret_url, url_size, said) == NULL) {
        die("server process", NULL);
    }
    ret_url[strcspn(ret_url, "\n")] = '\0';
    fclose(said);
    return pid;
}

/* ---- one run ---- */

struct run {
    struct jq_conn *conn;
    struct jq_bytes frame;
    int64_t end_ns;
    atomic_size_t sample_count;
    float *samples_us; /* SAMPLE_COUNT_MAX */
    struct event slots_done;
};

struct slot {
    struct run *run;
    int64_t sent_ns;
};

static void note_sample(struct run *run, int64_t ns) {
    const size_t index = atomic_fetch_add(&run->sample_count, 1);
    if (index < SAMPLE_COUNT_MAX) {
        run->samples_us[index] = (float)ns / 1000;
    }
}

static void ask(struct slot *slot);

static void answered(void *ctx, enum jq_err err, struct jq_bytes reply) {
    struct slot *slot = ctx;
    const int64_t now_ns = jq_clock_mono_ns();
    if (err != JQ_OK || reply.size != slot->run->frame.size) {
        die(jq_err_text(err), NULL);
    }
    note_sample(slot->run, now_ns - slot->sent_ns);
    if (now_ns < slot->run->end_ns) {
        ask(slot);
    } else {
        event_add(&slot->run->slots_done);
    }
}

static void ask(struct slot *slot) {
    slot->sent_ns = jq_clock_mono_ns();
    if (jq_conn_request(slot->run->conn, slot->run->frame, 10000, answered, slot, NULL) != JQ_OK) {
        die("request", NULL);
    }
}

static void run_asynchronous(struct run *run, size_t outstanding) {
    static struct slot slots[OUTSTANDING_MAX];
    for (size_t i = 0; i < outstanding; i++) {
        slots[i].run = run;
        ask(&slots[i]);
    }
    if (!event_wait(&run->slots_done, outstanding)) {
        die("no answer", NULL);
    }
}

static void call_until_end(struct run *run, struct jq_conn *conn) {
    int64_t now_ns = jq_clock_mono_ns();
    while (now_ns < run->end_ns) {
        struct jq_frame *reply = NULL;
        struct jq_error error = {0};
        const int64_t sent_ns = now_ns;
        if (jq_conn_call(conn, run->frame, 10000, &reply, &error) != JQ_OK) {
            die("call", &error);
        }
        jq_frame_free(reply);
        now_ns = jq_clock_mono_ns();
        note_sample(run, now_ns - sent_ns);
    }
}

struct client {
    pthread_t thread;
    struct run *run;
    struct jq_conn *conn;
};

static void *run_client(void *ctx) {
    struct client *client = ctx;
    call_until_end(client->run, client->conn);
    return NULL;
}

static void run_clients(struct run *run, struct jq_conn *const *conns) {
    struct client clients[CLIENT_COUNT];
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        clients[i].run = run;
        clients[i].conn = conns[i];
        if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0) {
            die("thread", NULL);
        }
    }
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        pthread_join(clients[i].thread, NULL);
    }
}

/* ---- medians ---- */

struct figures {
    double rate;
    double p50_us;
    double p99_us;
};

static int compare_float(const void *a, const void *b) {
    const float x = *(const float *)a;
    const float y = *(const float *)b;
    return (x > y) - (x < y);
}

static int compare_rate(const void *a, const void *b) {
    const double x = ((const struct figures *)a)->rate;
    const double y = ((const struct figures *)b)->rate;
    return (x > y) - (x < y);
}

/* A connection for each of `client_count`; for a single one, `outstanding` requests under way. */
struct load {
    struct jq_conn *const *conns;
    size_t client_count;
    size_t outstanding;
};

static struct figures run_once(const struct load *load, struct jq_bytes frame, int run_ms) {
    static float samples[SAMPLE_COUNT_MAX];
    struct run run = {.conn = load->conns[0], .frame = frame, .samples_us = samples, .slots_done = EVENT_INIT};
    const int64_t start_ns = jq_clock_mono_ns();
    run.end_ns = start_ns + run_ms * INT64_C(1000000);
    if (load->client_count > 1) {
        run_clients(&run, load->conns);
    } else if (load->outstanding == 1) {
        call_until_end(&run, run.conn);
    } else {
        run_asynchronous(&run, load->outstanding);
    }
    const double seconds = (double)(jq_clock_mono_ns() - start_ns) / 1e9;
    const size_t total = atomic_load(&run.sample_count);
    const size_t kept = total < SAMPLE_COUNT_MAX ? total : SAMPLE_COUNT_MAX;
    qsort(samples, kept, sizeof samples[0], compare_float);
    return (struct figures){(double)total / seconds, (double)samples[kept / 2], (double)samples[kept * 99 / 100]};
}

static void measure(const struct load *load, size_t size, int run_ms) {
    static uint8_t bytes[JQ_FRAME_SIZE_MAX];
    struct figures figures[RUN_COUNT];
    const struct jq_bytes frame = {bytes, size};
    run_once(load, frame, run_ms / 4); /* To warm up. */
    for (size_t i = 0; i < RUN_COUNT; i++) {
        figures[i] = run_once(load, frame, run_ms);
    }
    qsort(figures, RUN_COUNT, sizeof figures[0], compare_rate);
    const struct figures *median = &figures[RUN_COUNT / 2];
    const bool many = load->client_count > 1;
    printf("echo %s=%zu size=%zu rate=%.0f rate_min=%.0f rate_max=%.0f p50_us=%.1f p99_us=%.1f\n",
           many ? "clients" : "outstanding", many ? load->client_count : load->outstanding, size, median->rate,
           figures[0].rate, figures[RUN_COUNT - 1].rate, median->p50_us, median->p99_us);
    fflush(stdout);
}

static struct jq_conn *connect_to(const char *url) {
    const struct jq_conn_config config = {.urls = &url, .url_count = 1};
    struct jq_conn *conn = NULL;
    struct jq_error error = {0};
    if (jq_conn_open(&config, &conn, &error) != JQ_OK || jq_conn_wait(conn, 10000, &error) != JQ_OK) {
        die("connect", &error);
    }
    return conn;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "serve") == 0) {
        return serve();
    }
    const int run_ms = argc > 1 ? (int)strtol(argv[1], NULL, 10) : RUN_MS;
    if (argc > 2 || run_ms < 10 || run_ms > 60000) {
        fprintf(stderr, "usage: bench_echo [RUN_MS]   (10 to 60000)\n");
        return 64;
    }
    char url[128];
    const pid_t server = start_server(url, sizeof url);
    struct jq_conn *conns[CLIENT_COUNT];
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        conns[i] = connect_to(url);
    }
    static const size_t SIZES[] = {100, JQ_FRAME_SIZE_MAX};
    static const size_t OUTSTANDING[] = {1, 16, 64};
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < 3; j++) {
            const struct load load = {conns, 1, OUTSTANDING[j]};
            measure(&load, SIZES[i], run_ms);
        }
        const struct load clients = {conns, CLIENT_COUNT, 1};
        measure(&clients, SIZES[i], run_ms);
    }
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    fflush(NULL);
    _exit(0); /* NNG's threads are still at work. */
}
