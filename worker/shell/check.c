/* check.c - `jqworker --check`: whether what the settings name is there. Makes nothing, and disturbs no worker that runs. */
#include "worker/shell/check.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/exec/argv.h"
#include "worker/shell/worker.h"

enum { TEXT_SIZE_MAX = 4 * 1024 * 1024 };

/* Lines about what was looked at and is good, and about what is not. */
struct check {
    struct jq_buf looked;
    struct jq_buf wrong;
};

__attribute__((format(printf, 2, 3))) static void complain(struct check *check, const char *format, ...) {
    char text[WORKER_PATH_MAX + 512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    jq_buf_append_format(&check->wrong, "jqworker: %s\n", text);
}

static void tell(struct check *check, const char *what, const char *name, const char *found) {
    jq_buf_append_format(&check->looked, "  %-10s %s%s%s\n", what, name, name[0] != '\0' ? ": " : "", found);
}

/* ---- programs and scripts ---- */

/* NULL: it can be run. */
static const char *why_no_program(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) {
        return strerror(errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return "no file";
    }
    return access(path, X_OK) == 0 ? NULL : "not executable";
}

static void check_program(struct check *check, const char *what, const struct jq_conf_item *item, const char *name,
                          const char *search) {
    if (name[0] == '/') {
        const char *why = why_no_program(name);
        if (why != NULL) {
            complain(check, "%s: [%s %s] command: %s: %s", item->origin, what, item->name, name, why);
        } else {
            tell(check, what, item->name, name);
        }
        return;
    }
    char *found = jq_argv_find(name, search);
    if (found == NULL) {
        complain(check, "%s: [%s %s] command: %s: no such program in PATH=%s", item->origin, what, item->name, name,
                 search);
    } else {
        tell(check, what, item->name, found);
    }
    free(found);
}

/* For what the worker runs itself. */
static const char *own_path(void) {
    const char *path = getenv("PATH");
    return path != NULL ? path : JQ_TASK_PATH;
}

/* Its own PATH, the last that it gives, or that of all tasks. */
static const char *path_of(const struct jq_handler_settings *handler) {
    const char *path = JQ_TASK_PATH;
    for (size_t i = 0; i < handler->env.count; i++) {
        path = strncmp(handler->env.items[i], "PATH=", 5) == 0 ? handler->env.items[i] + 5 : path;
    }
    return path;
}

static void check_script(struct check *check, const struct jq_worker_settings *settings,
                         const struct jq_handler_settings *handler) {
    char path[WORKER_PATH_MAX];
    const bool whole = handler->script[0] == '/';
    (void)snprintf(path, sizeof(path), "%s%s%s", whole ? "" : settings->freecad_scripts_dir, whole ? "" : "/",
                   handler->script);
    if (access(path, R_OK) != 0) {
        complain(check, "%s: [handler %s] script: %s: %s", handler->item.origin, handler->item.name, path,
                 strerror(errno));
    } else {
        tell(check, "handler", handler->item.name, path);
    }
}

static void check_freecad(struct check *check, const struct jq_worker_settings *settings) {
    const char *name = settings->freecad_command.items[0];
    char *found = jq_argv_find(name, own_path());
    if (found == NULL) {
        complain(check, "[freecad] command: %s: no such program, and a handler is of kind freecad", name);
    } else {
        tell(check, "freecad", "", found);
    }
    free(found);
}

static void check_handlers(struct check *check, const struct jq_worker_settings *settings) {
    const size_t count = jq_worker_settings_handler_count(settings);
    bool freecad = false;
    for (size_t i = 0; i < count; i++) {
        const struct jq_handler_settings *handler = jq_worker_settings_handler(settings, i);
        if (handler->kind == JQ_HANDLER_FREECAD) {
            freecad = true;
            check_script(check, settings, handler);
        } else {
            check_program(check, "handler", &handler->item, handler->command.items[0], path_of(handler));
        }
    }
    if (freecad) {
        check_freecad(check, settings);
    }
    if (count == 0) {
        tell(check, "handler", "", "none, so no task will come here");
    }
}

static void check_facts(struct check *check, const struct jq_worker_settings *settings) {
    for (size_t i = 0; i < jq_worker_settings_probe_count(settings); i++) {
        const struct jq_fact_probe *probe = jq_worker_settings_probe(settings, i);
        check_program(check, "fact", &probe->item, probe->command.items[0], own_path());
    }
}

/* ---- folders, files, users ---- */

/* Cuts the last name off. False: there is none. */
static bool go_up(char *path) {
    char *slash = strrchr(path, '/');
    if (slash == NULL || path[1] == '\0') {
        return false;
    }
    slash[slash == path ? 1 : 0] = '\0';
    return true;
}

/* A folder that is missing is made at the start: in the nearest above it that is there. */
static void check_folder(struct check *check, const char *key, const char *wanted) {
    char path[WORKER_PATH_MAX];
    struct stat status = {.st_mode = 0};
    (void)snprintf(path, sizeof(path), "%s", wanted);
    while (stat(path, &status) != 0 && errno == ENOENT && go_up(path)) {
    }
    const bool there = strcmp(path, wanted) == 0;
    if (status.st_mode == 0 || !S_ISDIR(status.st_mode)) {
        complain(check, "[worker] %s: %s: %s", key, path, status.st_mode == 0 ? strerror(errno) : "no folder");
    } else if (access(path, W_OK | X_OK) != 0) {
        complain(check, "[worker] %s: %s: %s", key, path, strerror(errno));
    } else {
        tell(check, key, "", wanted);
        if (!there) {
            jq_buf_append_format(&check->looked, "  %-10s is missing, and will be made\n", "");
        }
    }
}

static void check_rest(struct check *check, const struct jq_worker_settings *settings) {
    check_folder(check, "state_dir", settings->state_dir);
    check_folder(check, "work_dir", settings->work_dir);
    check_folder(check, "output_dir", settings->output_dir);
    if (settings->token_file[0] != '\0' && access(settings->token_file, R_OK) != 0) {
        complain(check, "[worker] token_file: %s: %s", settings->token_file, strerror(errno));
    } else {
        tell(check, "token_file", "", settings->token_file[0] != '\0' ? settings->token_file : "none");
    }
    if (geteuid() == 0 && settings->run_as[0] != '\0' && getpwnam(settings->run_as) == NULL) {
        complain(check, "[worker] run_as: no user '%s' on this machine", settings->run_as);
    } else {
        tell(check, "run_as", "", geteuid() == 0 && settings->run_as[0] != '\0' ? settings->run_as : "as the worker");
    }
}

enum jq_check_result jq_worker_check(const struct jq_worker_settings *settings, const char *file, FILE *out,
                                     FILE *err) {
    struct check check;
    jq_buf_init(&check.looked, TEXT_SIZE_MAX);
    jq_buf_init(&check.wrong, TEXT_SIZE_MAX);
    check_handlers(&check, settings);
    check_facts(&check, settings);
    check_rest(&check, settings);
    const bool good = check.wrong.size == 0;
    (void)fprintf(out, "jqworker: the settings %s: %s\n", good ? "are good" : "can be read, but are not good", file);
    const bool whole = !check.looked.failed && !check.wrong.failed &&
                       fwrite(check.looked.data, 1, check.looked.size, out) == check.looked.size && fflush(out) == 0 &&
                       fwrite(check.wrong.data, 1, check.wrong.size, err) == check.wrong.size;
    jq_buf_fini(&check.looked);
    jq_buf_fini(&check.wrong);
    return !whole ? JQ_CHECK_UNTOLD : good ? JQ_CHECK_GOOD : JQ_CHECK_WRONG;
}
