/* host_open.c - the place where children run: its folders, what holds them there, and what must. */
#include <stdio.h>

#include "common/log.h"
#include "worker/shell/output.h"
#include "worker/shell/worker.h"

enum { CHILDREN_MAX = 2 * 4096 + 16 }; /* of as many slots as can be: warm ones that rest, too */

static void tell_features(const struct jq_worker_shell *worker) {
    struct jq_exec_feature features[JQ_EXEC_FEATURE_COUNT_MAX];
    const size_t count = jq_exec_host_describe(worker->host, features);
    for (size_t i = 0; i < count; i++) {
        JQ_LOG_INFO(features[i].in_force ? "in force" : "not in force", JQ_F_STR("what", features[i].name),
                    JQ_F_STR("how", features[i].detail));
    }
}

/* The same for people elsewhere (`jqctl worker show`) and for tasks (`!sandbox.lacks`): a fact, where something is not in force. */
static void note_lacks(struct jq_worker_shell *worker) {
    struct jq_exec_feature features[JQ_EXEC_FEATURE_COUNT_MAX];
    const size_t count = jq_exec_host_describe(worker->host, features);
    size_t size = 0;
    for (size_t i = 0; i < count && size < sizeof(worker->lacks); i++) {
        if (!features[i].in_force) {
            size += (size_t)snprintf(worker->lacks + size, sizeof(worker->lacks) - size, "%s%s",
                                     size ? "," : " sandbox.lacks=", features[i].name);
        }
    }
}

/* `sandbox = require` asks for these; the log has just said what stands in the way. */
static enum jq_err check_sandbox(const struct jq_worker_shell *worker, struct jq_error *reterr) {
    static const char required[] = " memory pids kill user landlock seccomp ";
    struct jq_exec_feature features[JQ_EXEC_FEATURE_COUNT_MAX];
    const size_t count = jq_exec_host_describe(worker->host, features);
    char missing[sizeof(required)] = "";
    for (size_t i = 0; i < count; i++) {
        char word[sizeof(required)];
        (void)snprintf(word, sizeof(word), " %s ", features[i].name);
        if (!features[i].in_force && strstr(required, word)) {
            const size_t size = strlen(missing);
            (void)snprintf(missing + size, sizeof(missing) - size, " %s", features[i].name);
        }
    }
    return missing[0] == '\0'
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_UNSUPPORTED, "[worker] sandbox = require: not in force here:%s", missing);
}

enum jq_err jq_worker_open_host(struct jq_worker_shell *worker, struct jq_error *reterr) {
    const struct jq_worker_settings *settings = worker->settings;
    const struct jq_exec_config config = {.name = worker->name,
                                          .state_dir = settings->state_dir,
                                          .work_dir = settings->work_dir,
                                          .cgroup_root = settings->cgroup,
                                          .child_count_max = CHILDREN_MAX,
                                          .sandbox = settings->sandbox != JQ_SANDBOX_OFF,
                                          .read = (const char *const *)settings->read.items};
    enum jq_err err = jq_make_dirs(settings->work_dir, 0711, reterr);
    err = err == JQ_OK ? jq_exec_host_new(&config, &worker->host, reterr) : err;
    err = err == JQ_OK ? jq_output_open(worker, reterr) : err;
    if (err == JQ_OK) {
        tell_features(worker);
        note_lacks(worker);
        err = settings->sandbox == JQ_SANDBOX_REQUIRE ? check_sandbox(worker, reterr) : JQ_OK;
    }
    if (err == JQ_OK) {
        jq_output_clear_old(worker);
        err = jq_identity_load(settings->state_dir, &worker->id, reterr);
    }
    return err;
}
