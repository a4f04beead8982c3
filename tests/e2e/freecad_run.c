/* Runs handlers in a zygote of FreeCAD as the worker does, for test_freecad.py.
 *
 *     freecad_run STATE_DIR SCRIPTS_DIR IN_FLIGHT UID OUTPUT_DIR -- COMMAND...
 *
 * Each line on stdin is one task: SCRIPT TAB MEMORY_BYTES TAB SOFT_MS TAB HARD_MS TAB PAYLOAD (0: no limit). Each that ended makes one
 * line of JSON on stdout; the last line tells about the zygote. Tasks are numbered from 1 in the order of their lines,
 * and run as UID, or as the caller if it is 0.
 */
#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "worker/freecad/zygote.h"
#include "worker/shell/output.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* As much of a worker as its output folders need. */
struct program {
    struct jq_worker_shell worker;
    struct jq_worker_settings settings;
    struct jq_handler_settings handler;
    struct jq_zygote *zygote;
    const char *scripts_dir;
    uint64_t task;
};

enum { OUTPUT_BYTES_MAX = 16 << 20, FILE_BYTES_MAX = 64 << 20 };

static _Noreturn void die(const char *what, const struct jq_error *error) {
    fprintf(stderr, "freecad_run: %s: %s\n", what, error->message);
    exit(1);
}

static char *next_field(char **line) {
    char *field = *line != NULL ? strsep(line, "\t") : NULL;
    if (field == NULL) {
        fprintf(stderr, "freecad_run: too few fields\n");
        exit(1);
    }
    return field;
}

static struct jq_run *make_run(struct program *program, char final_dir[WORKER_PATH_MAX]) {
    struct jq_error error;
    struct jq_run *run = calloc(1, sizeof(*run));
    JQ_CHECK(run != NULL);
    run->worker = &program->worker;
    run->handler = &program->handler;
    run->task.value = ++program->task;
    run->attempt = 1;
    if (jq_output_make(run, &error) != JQ_OK || jq_output_final(run, final_dir, &error) != JQ_OK) {
        die("outputs", &error);
    }
    return run;
}

static void start_task(struct program *program, char *line) {
    struct jq_error error;
    char script[512];
    char final_dir[WORKER_PATH_MAX];
    struct jq_zygote_order order = {.script = script};
    line[strcspn(line, "\n")] = '\0';
    (void)snprintf(script, sizeof(script), "%s/%s", program->scripts_dir, next_field(&line));
    struct jq_run *run = make_run(program, final_dir);
    order.spec = (struct jq_exec_spec){.task = run->task, .attempt = 1, .reply = true, .pids_max = 64, .owner = run};
    order.spec.output_bytes_max = OUTPUT_BYTES_MAX;
    order.spec.file_bytes_max = FILE_BYTES_MAX;
    order.spec.memory_bytes_max = strtoull(next_field(&line), NULL, 10);
    order.spec.soft_limit_ms = strtoll(next_field(&line), NULL, 10);
    order.spec.hard_limit_ms = strtoll(next_field(&line), NULL, 10);
    order.spec.payload = (struct jq_bytes){(const uint8_t *)line, strlen(line)};
    order.spec.switch_user = program->worker.switch_user;
    order.spec.uid = program->worker.uid;
    order.spec.gid = program->worker.gid;
    char home[512];
    jq_zygote_home(program->zygote, home, sizeof(home));
    const char *const reads[] = {program->scripts_dir, program->settings.output_dir, home, NULL};
    order.spec.paths.read = reads;
    order.spec.output_dir = run->output;
    order.output_dir = run->output;
    order.final_dir = final_dir;
    if (jq_zygote_run(program->zygote, &order, jq_clock_boot_ms(), &run->child, &error) != JQ_OK) {
        die("run", &error);
    }
}

static void tell(const struct jq_run *run) {
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(run->child);
    struct jq_buf line;
    struct jq_json json;
    jq_buf_init(&line, 1 << 20);
    jq_json_init(&json, &line);
    jq_json_object_begin(&json);
    jq_json_put_uint(&json, "task", run->task.value);
    jq_json_put_text(&json, "outcome", jq_outcome_name(outcome->verdict.outcome));
    jq_json_put_bool(&json, "crash", outcome->verdict.crash);
    jq_json_put_text(&json, "message", outcome->message);
    jq_json_put_str(&json, "result", (struct jq_str){(const char *)outcome->result.data, outcome->result.size});
    jq_json_put_str(&json, "stderr",
                    (struct jq_str){(const char *)outcome->stderr_tail.data, outcome->stderr_tail.size});
    jq_json_put_int(&json, "duration_ms", outcome->duration_ms);
    jq_json_put_int(&json, "cpu_ms", outcome->cpu_ms);
    jq_json_put_uint(&json, "memory_peak_bytes", outcome->memory_peak_bytes);
    jq_json_object_end(&json);
    printf("%.*s\n", (int)line.size, (const char *)line.data);
    fflush(stdout);
    jq_buf_fini(&line);
}

static void end_run(struct jq_run *run) {
    if (jq_exec_child_outcome(run->child)->verdict.outcome == JQ_OUTCOME_SUCCESS) {
        jq_output_keep(run);
    } else {
        jq_output_discard(run);
    }
    tell(run);
    jq_exec_child_free(run->child);
    free(run);
}

static void serve(struct program *program) {
    struct jq_exec_host *host = program->worker.host;
    const int64_t left_ms = jq_exec_host_deadline_ms(host) - jq_clock_boot_ms();
    struct pollfd fd = {.fd = jq_exec_host_fd(host), .events = POLLIN};
    (void)poll(&fd, 1, left_ms > 1000 ? 1000 : left_ms > 0 ? (int)left_ms : 0);
    jq_exec_host_run(host, jq_clock_boot_ms());
    for (struct jq_exec_child *child = jq_exec_host_next_done(host); child != NULL;
         child = jq_exec_host_next_done(host)) {
        struct jq_run *run = jq_exec_child_owner(child);
        if (run != NULL) {
            end_run(run);
        } else {
            jq_exec_child_free(child); /* the zygote's */
        }
    }
}

static unsigned in_flight(const struct program *program) {
    struct jq_zygote_status status;
    jq_zygote_status(program->zygote, jq_clock_boot_ms(), &status);
    return status.in_flight;
}

static void tell_zygote(const struct program *program) {
    struct jq_zygote_status status;
    jq_zygote_status(program->zygote, jq_clock_boot_ms(), &status);
    printf("{\"restarts\":%u,\"version\":\"%s\",\"children\":%zu}\n", status.restarts, status.version,
           jq_exec_host_count(program->worker.host));
}

static void set_up(struct program *program, char **argv) {
    struct jq_error error;
    char runner[512];
    (void)snprintf(runner, sizeof(runner), "%s/runner.py", argv[2]);
    program->scripts_dir = argv[2];
    program->settings.output_dir = argv[5];
    program->handler.output_files_max_bytes = FILE_BYTES_MAX;
    program->worker.settings = &program->settings;
    program->worker.uid = (uid_t)strtoul(argv[4], NULL, 10);
    program->worker.gid = program->worker.uid;
    program->worker.switch_user = program->worker.uid != 0;
    const struct jq_exec_config host = {
        .name = "freecad-run", .state_dir = argv[1], .child_count_max = 64, .sandbox = true};
    if (jq_exec_host_new(&host, &program->worker.host, &error) != JQ_OK) {
        die("host", &error);
    }
    const struct jq_zygote_config zygote = {
        .name = "zygote", .command = (const char *const *)&argv[7], .runner = runner, .requires_freecad = true};
    if (jq_zygote_new(program->worker.host, &zygote, &program->zygote, &error) != JQ_OK) {
        die("zygote", &error);
    }
}

int main(int argc, char **argv) {
    struct program program = {.task = 0};
    if (argc < 8) {
        fprintf(stderr, "usage: freecad_run STATE_DIR SCRIPTS_DIR IN_FLIGHT UID OUTPUT_DIR -- COMMAND...\n");
        return 64;
    }
    set_up(&program, argv);
    const unsigned in_flight_max = (unsigned)strtoul(argv[3], NULL, 10);
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        start_task(&program, line);
        while (in_flight(&program) >= in_flight_max) {
            serve(&program);
        }
    }
    while (in_flight(&program) > 0) {
        serve(&program);
    }
    tell_zygote(&program);
    free(line);
    jq_zygote_free(program.zygote, jq_clock_boot_ms());
    jq_exec_host_free(program.worker.host);
    return 0;
}
