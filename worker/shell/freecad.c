#include "worker/shell/freecad.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/freecad/probe.h"
#include "worker/freecad/zygote.h"
#include "worker/shell/output.h"

struct jq_zygotes {
    struct jq_zygote *zygote;
    char scripts_dir[WORKER_PATH_MAX];
};

static bool wants_freecad(const struct jq_worker_settings *settings) {
    for (size_t i = 0; i < jq_worker_settings_handler_count(settings); i++) {
        if (jq_worker_settings_handler(settings, i)->kind == JQ_HANDLER_FREECAD) {
            return true;
        }
    }
    return false;
}

/* All forks of a zygote share its filter of system calls; their rules are each task's own. */
static bool any_network(const struct jq_worker_settings *settings) {
    for (size_t i = 0; i < jq_worker_settings_handler_count(settings); i++) {
        const struct jq_handler_settings *handler = jq_worker_settings_handler(settings, i);
        if (handler->kind == JQ_HANDLER_FREECAD && handler->network) {
            return true;
        }
    }
    return false;
}

/* dir/name; an absolute name stays as it is. */
static enum jq_err join(const char *dir, const char *name, char out[WORKER_PATH_MAX], struct jq_error *reterr) {
    const bool absolute = name[0] == '/';
    const int size = snprintf(out, WORKER_PATH_MAX, "%s%s%s", absolute ? "" : dir, absolute ? "" : "/", name);
    return size >= 0 && size < WORKER_PATH_MAX
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_TOO_BIG, "path of %s: longer than %d bytes", name, WORKER_PATH_MAX - 1);
}

static enum jq_err find_file(const char *dir, const char *name, char out[WORKER_PATH_MAX], struct jq_error *reterr) {
    const enum jq_err err = join(dir, name, out, reterr);
    if (err == JQ_OK && access(out, R_OK) != 0) {
        return jq_fail(reterr, JQ_ERR_INVALID, "[freecad] scripts_dir: %s cannot be read; it comes with jqmesh", out);
    }
    return err;
}

static enum jq_err start_zygote(struct jq_worker_shell *worker, struct jq_zygotes *zygotes, struct jq_error *reterr) {
    const struct jq_worker_settings *settings = worker->settings;
    char runner[WORKER_PATH_MAX];
    enum jq_err err = find_file(zygotes->scripts_dir, "runner.py", runner, reterr);
    if (err != JQ_OK) {
        return err;
    }
    const struct jq_zygote_config config = {.name = "zygote-1",
                                            .command = (const char *const *)settings->freecad_command.items,
                                            .runner = runner,
                                            .start_ms = settings->freecad_start_ms,
                                            .ping_ms = settings->freecad_ping_ms,
                                            .recycle_ms = settings->freecad_recycle_ms,
                                            .network = any_network(settings),
                                            .requires_freecad = true};
    err = jq_zygote_new(worker->host, &config, &zygotes->zygote, reterr);
    return err == JQ_OK ? jq_zygote_start(zygotes->zygote, jq_clock_boot_ms(), reterr) : err;
}

/* At once where they are remembered, else when a FreeCAD that was started for it has told them. */
static void on_facts(void *ctx, const char *facts, const char *why, int64_t now_ms) {
    struct jq_worker_shell *worker = ctx;
    (void)now_ms;
    if (!facts) {
        JQ_LOG_WARN("what FreeCAD is could not be found out", JQ_F_STR("why", why));
        return;
    }
    worker->freecad_facts = strdup(facts);
    JQ_CHECK(worker->freecad_facts != NULL);
    if (worker->link && !worker->exiting) {
        jq_reload_freecad(worker);
    }
}

static enum jq_err start_probe(struct jq_worker_shell *worker, struct jq_error *reterr) {
    char script[WORKER_PATH_MAX];
    const struct jq_worker_settings *settings = worker->settings;
    const enum jq_err err = find_file(worker->zygotes->scripts_dir, "probe.py", script, reterr);
    if (err != JQ_OK) {
        return err;
    }
    const struct jq_freecad_probe probe = {.command = (const char *const *)settings->freecad_command.items,
                                           .script = script,
                                           .state_dir = settings->state_dir,
                                           .limit_ms = settings->freecad_start_ms,
                                           .on_facts = on_facts,
                                           .ctx = worker};
    return jq_freecad_probe(worker->host, &probe, jq_clock_boot_ms(), reterr);
}

enum jq_err jq_freecad_open(struct jq_worker_shell *worker, char *ret_facts, size_t facts_size,
                            struct jq_error *reterr) {
    if (!wants_freecad(worker->settings)) {
        return JQ_OK;
    }
    struct jq_zygotes *zygotes = calloc(1, sizeof(*zygotes));
    JQ_CHECK(zygotes != NULL);
    (void)snprintf(zygotes->scripts_dir, sizeof(zygotes->scripts_dir), "%s", worker->settings->freecad_scripts_dir);
    worker->zygotes = zygotes;
    enum jq_err err = start_zygote(worker, zygotes, reterr);
    err = err == JQ_OK ? start_probe(worker, reterr) : err;
    (void)snprintf(ret_facts, facts_size, "%s", worker->freecad_facts ? worker->freecad_facts : "");
    return err;
}

void jq_freecad_close(struct jq_zygotes *zygotes) {
    if (zygotes) {
        jq_zygote_free(zygotes->zygote, jq_clock_boot_ms());
        free(zygotes);
    }
}

/* What a task reads beside what its handler names: the folder of its script, and what the zygote has compiled. */
struct reads {
    char folder[WORKER_PATH_MAX], home[WORKER_PATH_MAX];
    const char *paths[JQ_CONF_WORDS_MAX + 3];
};

static void reads_fill(struct reads *reads, const struct jq_run *run, const char *script) {
    size_t count = 0;
    (void)snprintf(reads->folder, sizeof(reads->folder), "%.*s", (int)(strrchr(script, '/') - script), script);
    jq_zygote_home(run->worker->zygotes->zygote, reads->home, sizeof(reads->home));
    reads->paths[count++] = reads->folder;
    reads->paths[count++] = reads->home;
    for (size_t i = 0; i < run->handler->read.count; i++) {
        reads->paths[count++] = run->handler->read.items[i];
    }
    reads->paths[count] = NULL;
}

enum jq_err jq_freecad_launch(struct jq_run *run, struct jq_error *reterr) {
    const struct jq_zygotes *zygotes = run->worker->zygotes;
    char script[WORKER_PATH_MAX], final[WORKER_PATH_MAX];
    struct reads reads = {.folder = ""};
    enum jq_err err = join(zygotes->scripts_dir, run->handler->script, script, reterr);
    err = err == JQ_OK ? jq_output_final(run, final, reterr) : err;
    if (err != JQ_OK) {
        return err;
    }
    struct jq_zygote_order order = {.spec = jq_launch_spec(run),
                                    .script = script,
                                    .output_dir = run->output,
                                    .final_dir = final,
                                    .units = &run->units};
    reads_fill(&reads, run, script);
    order.spec.paths.read = reads.paths;
    order.spec.payload = run->payload;
    order.spec.reply = true;
    return jq_zygote_run(zygotes->zygote, &order, jq_clock_boot_ms(), &run->child, reterr);
}

void jq_freecad_child_done(struct jq_zygotes *zygotes, struct jq_exec_child *child) {
    (void)zygotes;
    jq_exec_child_free(child);
}
