#include "worker/shell/files.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "worker/shell/courier.h"
#include "worker/shell/outputs.h"

void jq_files_take(struct jq_run *run, const struct jq_link_task *task) {
    if (task->input_count + task->output_count == 0) {
        return;
    }
    struct jq_files *files = calloc(1, sizeof(*files));
    JQ_CHECK(files != NULL);
    files->input_count = task->input_count;
    files->output_count = task->output_count;
    for (size_t i = 0; i < task->input_count; i++) {
        (void)snprintf(files->input_names[i], sizeof(files->input_names[i]), "%.*s", JQ_STR_ARG(task->inputs[i].name));
        files->inputs[i] = task->inputs[i].blob;
    }
    for (size_t i = 0; i < task->output_count; i++) {
        (void)snprintf(files->output_names[i], sizeof(files->output_names[i]), "%.*s", JQ_STR_ARG(task->outputs[i]));
    }
    run->files = files;
}

void jq_files_free(struct jq_run *run) {
    if (run->files) {
        jq_courier_abandon(run->worker->courier, run->files);
        run->files = NULL;
    }
}

bool jq_files_begin(struct jq_run *run) {
    struct jq_files *files = run->files;
    if (!files || files->fetched || files->input_count == 0) {
        return false;
    }
    (void)snprintf(files->staged, sizeof(files->staged), "%s/.files.%llu.%u", jq_exec_host_work_path(run->worker->host),
                   (unsigned long long)run->task.value, run->attempt);
    jq_courier_send(run->worker->courier, files);
    return true;
}

const char *jq_files_inputs(const struct jq_run *run) {
    return run->files && run->files->fetched ? run->files->staged : NULL;
}

bool jq_files_asked(const struct jq_run *run) {
    return run->files && run->files->output_count > 0;
}

bool jq_files_store(struct jq_run *run) {
    struct jq_files *files = run->files;
    if (!files || files->output_count == 0 || jq_run_outcome(run)->verdict.outcome != JQ_OUTCOME_SUCCESS) {
        return false;
    }
    (void)snprintf(files->output, sizeof(files->output), "%s", run->output);
    files->storing = true;
    files->output_bytes_max = (uint64_t)run->handler->output_files_max_bytes;
    jq_courier_send(run->worker->courier, files);
    return true;
}

bool jq_files_under_way(const struct jq_run *run) {
    return run->files && run->files->waiting;
}

static enum jq_outcome outcome_of(const struct jq_files *files) {
    return files->error.code == JQ_OK ? JQ_OUTCOME_SUCCESS : jq_exec_judge_start(files->error.code);
}

void jq_files_report(const struct jq_run *run, struct jq_link_report *report) {
    const struct jq_files *files = run->files;
    if (!files || !files->stored) {
        return;
    }
    report->outcome = outcome_of(files);
    if (files->error.code != JQ_OK) {
        report->message = jq_str_of(files->error.message);
        report->result = (struct jq_bytes){NULL, 0};
        return;
    }
    report->outputs = files->made;
    report->output_count = files->made_count;
}

static void go_on(struct jq_run *run) {
    struct jq_files *files = run->files;
    if (files->storing) {
        files->stored = true;
        jq_run_ended(run, outcome_of(files));
        return;
    }
    files->fetched = true;
    if (files->error.code == JQ_OK) {
        jq_launch(run);
    } else {
        run->start_error = files->error;
        jq_launch_failed(run);
    }
}

void jq_files_serve(struct jq_worker_shell *worker) {
    for (uint32_t i = 0; i < worker->run_used; i++) {
        struct jq_run *run = worker->run_at[i];
        if (run && run->files && jq_courier_take(worker->courier, run->files)) {
            go_on(run);
        }
    }
}
