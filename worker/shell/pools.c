#include "worker/shell/pools.h"
#include "worker/exec/argv.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/pool/pool.h"
#include "worker/shell/freecad.h"
#include "worker/shell/outputs.h"

enum { ENV_MORE = 4, ENV_TEXT_SIZE = JQ_NAME_SIZE_MAX + 16 };

struct entry {
    const struct jq_handler_settings *handler;
    struct jq_pool *pool;
    char name[ENV_TEXT_SIZE];
    const char *env[JQ_EXEC_ENV_COUNT_MAX];
};

struct jq_pools {
    struct jq_worker_shell *worker;
    size_t count;
    struct entry entries[];
};

/* ---- what pools tell ---- */

/* The outcome is told to the broker, or copied, within the call; then the process is the pool's again. */
static void on_ended(void *ctx, const struct jq_pool_end *end) {
    struct jq_run *run = end->owner;
    (void)ctx;
    (void)snprintf(run->output, sizeof(run->output), "%s", end->output);
    jq_outputs_ended(run, jq_exec_child_outcome(end->child), true);
    run->child = NULL;
    run->pool = NULL;
}

static void on_lost(void *ctx, const char *name, const char *why) {
    (void)ctx;
    JQ_LOG_WARN("warm process ended", JQ_F_STR("handler", name), JQ_F_STR("why", why));
}

/* ---- setting up ---- */

static void env_fill(struct entry *entry) {
    size_t count = 0;
    (void)snprintf(entry->name, sizeof(entry->name), "JQ_HANDLER=%s", entry->handler->item.name);
    entry->env[count++] = "PATH=" JQ_TASK_PATH;
    entry->env[count++] = "LANG=C.UTF-8";
    entry->env[count++] = entry->name;
    for (size_t i = 0; i < entry->handler->env.count && count < JQ_EXEC_ENV_COUNT_MAX - ENV_MORE; i++) {
        entry->env[count++] = entry->handler->env.items[i];
    }
    entry->env[count] = NULL;
}

static enum jq_err open_pool(struct jq_worker_shell *worker, struct entry *entry, struct jq_error *reterr) {
    const struct jq_handler_settings *handler = entry->handler;
    env_fill(entry);
    const struct jq_pool_config config = {
        .name = handler->item.name,
        .output_dir = handler->output_files_max_bytes > 0 ? worker->settings->output_dir : NULL,
        .spec = {.argv = (const char *const *)handler->command.items,
                 .env = entry->env,
                 .pids_max = (uint64_t)handler->pids_max,
                 .file_bytes_max = (uint64_t)handler->file_size_max_bytes,
                 .switch_user = worker->switch_user,
                 .uid = worker->uid,
                 .gid = worker->gid,
                 .network = handler->network,
                 .paths = {.read = (const char *const *)handler->read.items,
                           .write = (const char *const *)handler->write.items}},
        .tasks_max = (uint64_t)handler->tasks_max,
        .rss_bytes_max = (uint64_t)handler->rss_max_bytes,
        .age_ms_max = handler->age_max_ms,
        .start_ms = handler->start_ms,
        .ctx = worker,
        .on_ended = on_ended,
        .on_lost = on_lost,
    };
    return jq_pool_new(worker->host, &config, &entry->pool, reterr);
}

static size_t pool_count(const struct jq_worker_settings *settings) {
    size_t count = 0;
    for (size_t i = 0; i < jq_worker_settings_handler_count(settings); i++) {
        count += jq_worker_settings_handler(settings, i)->kind == JQ_HANDLER_POOL ? 1 : 0;
    }
    return count;
}

enum jq_err jq_pools_open(struct jq_worker_shell *worker, struct jq_error *reterr) {
    const struct jq_worker_settings *settings = worker->settings;
    const size_t count = pool_count(settings);
    if (count == 0) {
        return JQ_OK;
    }
    struct jq_pools *pools = calloc(1, sizeof(*pools) + count * sizeof(pools->entries[0]));
    JQ_CHECK(pools != NULL);
    pools->worker = worker;
    worker->pools = pools;
    enum jq_err err = JQ_OK;
    for (size_t i = 0; i < jq_worker_settings_handler_count(settings) && err == JQ_OK; i++) {
        const struct jq_handler_settings *handler = jq_worker_settings_handler(settings, i);
        if (handler->kind == JQ_HANDLER_POOL) {
            struct entry *entry = &pools->entries[pools->count++];
            entry->handler = handler;
            err = open_pool(worker, entry, reterr);
        }
    }
    return err;
}

void jq_pools_close(struct jq_pools *pools) {
    for (size_t i = 0; pools != NULL && i < pools->count; i++) {
        jq_pool_free(pools->entries[i].pool, jq_clock_boot_ms());
    }
    free(pools);
}

/* ---- tasks ---- */

static struct entry *find_entry(struct jq_pools *pools, const struct jq_handler_settings *handler) {
    for (size_t i = 0; i < pools->count; i++) {
        if (strcmp(pools->entries[i].handler->item.name, handler->item.name) == 0) { /* it is the same after a reload */
            return &pools->entries[i];
        }
    }
    return NULL;
}

/* Room for one more process. What runs fits into the slots, so one of those beyond them rests. */
static void make_room(struct jq_pools *pools, const struct jq_pool *wanted) {
    size_t count = 0;
    struct jq_pool *longest = NULL;
    for (size_t i = 0; i < pools->count; i++) {
        struct jq_pool *pool = pools->entries[i].pool;
        count += jq_pool_count(pool);
        if (pool != wanted && jq_pool_rests_since_ms(pool) < (longest ? jq_pool_rests_since_ms(longest) : INT64_MAX)) {
            longest = pool;
        }
    }
    if (count >= pools->worker->slots && longest != NULL) {
        jq_pool_end_rested(longest, jq_clock_boot_ms());
    }
}

enum jq_err jq_pools_launch(struct jq_run *run, struct jq_error *reterr) {
    struct jq_pools *pools = run->worker->pools;
    const struct entry *entry = find_entry(pools, run->handler);
    const struct jq_exec_spec spec = jq_launch_spec(run);
    const struct jq_pool_task task = {.owner = run,
                                      .turn = {.task = run->task,
                                               .attempt = run->attempt,
                                               .parents = spec.parents,
                                               .inputs_dir = spec.inputs_dir,
                                               .memory_bytes_max = spec.memory_bytes_max,
                                               .cpu_milli_max = spec.cpu_milli_max,
                                               .output_bytes_max = spec.output_bytes_max,
                                               .soft_limit_ms = spec.soft_limit_ms,
                                               .hard_limit_ms = spec.hard_limit_ms,
                                               .grace_ms = spec.grace_ms,
                                               .stall_ms = spec.stall_ms},
                                      .queue = run->queue,
                                      .payload = run->payload,
                                      .units = &run->units};
    JQ_CHECK(entry != NULL);
    if (jq_pool_rests_since_ms(entry->pool) == INT64_MAX) {
        make_room(pools, entry->pool);
    }
    const enum jq_err err = jq_pool_run(entry->pool, &task, jq_clock_boot_ms(), &run->child, reterr);
    run->pool = err == JQ_OK ? entry->pool : NULL;
    return err;
}

void jq_pools_forget(struct jq_run *run) {
    jq_pool_forget(run->pool, run, jq_clock_boot_ms());
    run->child = NULL;
    run->pool = NULL;
}
