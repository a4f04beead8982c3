/* main.c - jqworker: reads its command line and configuration, and runs the worker. */
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/transport/guard.h"
#include "common/version.h"
#include "worker/shell/check.h"
#include "worker/shell/worker.h"

enum { EXIT_USAGE_ERROR = 64, EXIT_IO = 74, EXIT_CONFIG = 78, HELP_SIZE_MAX = 256 * 1024 };

static int complain(const char *message, int status) {
    (void)fprintf(stderr, "jqworker: %s\n", message);
    return status;
}

static int print_action(enum jq_conf_action action) {
    struct jq_buf text;
    jq_buf_init(&text, HELP_SIZE_MAX);
    if (action == JQ_CONF_VERSION) {
        jq_buf_append_text(&text, JQ_STR("jqworker " JQ_VERSION "\n"));
    } else if (action == JQ_CONF_SAMPLE) {
        jq_conf_append_sample(&jq_worker_schema, &text);
    } else {
        jq_conf_append_help(&jq_worker_schema, &text);
    }
    const bool whole = !text.failed && fwrite(text.data, 1, text.size, stdout) == text.size && fflush(stdout) == 0;
    jq_buf_fini(&text);
    return whole ? 0 : complain("cannot write to standard output", EXIT_IO);
}

static int print_check(const struct jq_conf_args *args, const struct jq_worker_settings *settings) {
    const char *file = jq_conf_file(args, JQ_WORKER_CONF_FILE);
    const char *from = file != NULL ? file : "the defaults, and --set; there is no " JQ_WORKER_CONF_FILE;
    switch (jq_worker_check(settings, from, stdout, stderr)) {
    case JQ_CHECK_GOOD: return 0;
    case JQ_CHECK_WRONG: return EXIT_CONFIG;
    default: return complain("cannot write to standard output", EXIT_IO);
    }
}

int main(int argc, char **argv) {
    struct jq_conf_args args;
    struct jq_worker_settings settings = {.name = NULL};
    struct jq_error error;
    jq_guard_own_process();
    if (jq_conf_args_parse(argc, (const char *const *)argv, &args, &error) != JQ_OK) {
        return complain(error.message, EXIT_USAGE_ERROR);
    }
    if (args.action != JQ_CONF_RUN && args.action != JQ_CONF_CHECK) {
        return print_action(args.action);
    }
    if (jq_worker_settings_load(&args, &settings, &error) != JQ_OK) {
        return complain(error.message, EXIT_CONFIG);
    }
    if (args.action == JQ_CONF_CHECK) {
        return print_check(&args, &settings);
    }
    const struct jq_log_config log = {
        .level = (enum jq_log_level)settings.log_level, .target = JQ_LOG_TARGET_AUTO, .name = "jqworker"};
    jq_log_open(&log);
    const int status = jq_worker_shell_run(&args, &settings);
    (void)fflush(NULL);
    /* Threads of NNG may still run: nothing may be taken from under them. */
    _Exit(status);
}
