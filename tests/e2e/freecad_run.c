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
#include "common/text.h"
#include "worker/exec/outputs.h"
#include "worker/freecad/zygote.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct program {
    struct jq_exec_host *host;
    struct jq_zygote *zygote;
    const char *scripts_dir;
    const char *output_dir;
    uid_t uid;
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

static void start_task(struct program *program, char *line) {
    struct jq_error error;
    char script[512];
    char output_dir[512];
    char final_dir[512];
    struct jq_zygote_order order = {.script = script};
    line[strcspn(line, "\n")] = '\0';
    (void)snprintf(script, sizeof(script), "%s/%s", program->scripts_dir, next_field(&line));
    order.spec = (struct jq_exec_spec){.task = {++program->task}, .attempt = 1, .reply = true, .pids_max = 64};
    order.spec.output_bytes_max = OUTPUT_BYTES_MAX;
    order.spec.file_bytes_max = FILE_BYTES_MAX;
    order.spec.memory_bytes_max = strtoull(next_field(&line), NULL, 10);
    order.spec.soft_limit_ms = strtoll(next_field(&line), NULL, 10);
    order.spec.hard_limit_ms = strtoll(next_field(&line), NULL, 10);
    order.spec.payload = (struct jq_bytes){(const uint8_t *)line, strlen(line)};
    const struct jq_outputs_owner owner = {program->uid, program->uid};
    order.spec.switch_user = program->uid != 0;
    order.spec.uid = owner.uid;
    order.spec.gid = owner.gid;
    if (jq_outputs_begin(program->output_dir, order.spec.task, 1, program->uid != 0 ? &owner : NULL, output_dir,
                         sizeof(output_dir), &error) != JQ_OK ||
        jq_outputs_final(program->output_dir, order.spec.task, final_dir, sizeof(final_dir), &error) != JQ_OK) {
        die("outputs", &error);
    }
    char home[512];
    jq_zygote_home(program->zygote, home, sizeof(home));
    const char *const reads[] = {program->scripts_dir, program->output_dir, home, NULL};
    order.spec.paths.read = reads;
    order.spec.output_dir = output_dir;
    order.output_dir = output_dir;
    order.final_dir = final_dir;
    struct jq_exec_child *child = NULL;
    if (jq_zygote_run(program->zygote, &order, jq_clock_boot_ms(), &child, &error) != JQ_OK) {
        die("run", &error);
    }
    jq_exec_child_set_owner(child, (void *)(uintptr_t)program->task);
}

static void tell(struct program *program, const struct jq_exec_child *child) {
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    const jq_task_id task = {(uintptr_t)jq_exec_child_owner(child)};
    struct jq_buf line;
    struct jq_json json;
    struct jq_error error;
    const bool success = outcome->verdict.outcome == JQ_OUTCOME_SUCCESS;
    if (jq_outputs_end(program->output_dir, task, 1, success, &error) != JQ_OK) {
        die("outputs", &error);
    }
    jq_buf_init(&line, 1 << 20);
    jq_json_init(&json, &line);
    jq_json_object_begin(&json);
    jq_json_put_uint(&json, "task", task.value);
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

static void serve(struct program *program) {
    const int64_t left_ms = jq_exec_host_deadline_ms(program->host) - jq_clock_boot_ms();
    struct pollfd fd = {.fd = jq_exec_host_fd(program->host), .events = POLLIN};
    (void)poll(&fd, 1, left_ms > 1000 ? 1000 : left_ms > 0 ? (int)left_ms : 0);
    jq_exec_host_run(program->host, jq_clock_boot_ms());
    for (struct jq_exec_child *child = jq_exec_host_next_done(program->host); child != NULL;
         child = jq_exec_host_next_done(program->host)) {
        tell(program, child);
        jq_exec_child_free(child);
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
           jq_exec_host_count(program->host));
}

static void set_up(struct program *program, char **argv) {
    struct jq_error error;
    char runner[512];
    (void)snprintf(runner, sizeof(runner), "%s/runner.py", argv[2]);
    program->scripts_dir = argv[2];
    program->uid = (uid_t)strtoul(argv[4], NULL, 10);
    program->output_dir = argv[5];
    const struct jq_exec_config host = {
        .name = "freecad-run", .state_dir = argv[1], .child_count_max = 64, .sandbox = true};
    if (jq_exec_host_new(&host, &program->host, &error) != JQ_OK) {
        die("host", &error);
    }
    const struct jq_zygote_config zygote = {
        .name = "zygote", .command = (const char *const *)&argv[7], .runner = runner, .requires_freecad = true};
    if (jq_zygote_new(program->host, &zygote, &program->zygote, &error) != JQ_OK) {
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
    jq_exec_host_free(program.host);
    return 0;
}
