/* launch.c - a lease becomes a process: the handler's command with the task's parameters, its limits, its environment. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/codec.h"
#include "worker/exec/argv.h"
#include "worker/pool/order.h"
#include "worker/shell/files.h"
#include "worker/shell/freecad.h"
#include "worker/shell/output.h"
#include "worker/shell/pools.h"
#include "worker/shell/worker.h"

enum { ENV_OWN_MAX = 8 + JQ_OFFERS_COUNT_MAX, ENV_TEXT_MAX = 4200 };

/* ---- {param.X}: members of the payload, a msgpack map ---- */

struct params {
    struct jq_unpacker unpacker;
    msgpack_object payload;
    bool unpacked;
};

static bool append_value(const msgpack_object *value, struct jq_buf *buf) {
    switch (value->type) {
    case MSGPACK_OBJECT_STR: jq_buf_append(buf, value->via.str.ptr, value->via.str.size); return true;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        jq_buf_append_format(buf, "%llu", (unsigned long long)value->via.u64);
        return true;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: jq_buf_append_format(buf, "%lld", (long long)value->via.i64); return true;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: jq_buf_append_format(buf, "%.17g", value->via.f64); return true;
    case MSGPACK_OBJECT_BOOLEAN: jq_buf_append_format(buf, "%s", value->via.boolean ? "true" : "false"); return true;
    default: return false;
    }
}

static bool param_of(void *ctx, struct jq_str name, struct jq_buf *buf) {
    const struct params *params = ctx;
    if (!params->unpacked || params->payload.type != MSGPACK_OBJECT_MAP) {
        return false;
    }
    const msgpack_object_map *map = &params->payload.via.map;
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object *key = &map->ptr[i].key;
        if (key->type == MSGPACK_OBJECT_STR && jq_str_equal(jq_object_str(key), name)) {
            return append_value(&map->ptr[i].val, buf);
        }
    }
    return false;
}

static void params_init(struct params *params, struct jq_bytes payload) {
    *params = (struct params){.unpacked = false};
    jq_unpacker_init(&params->unpacker);
    if (payload.size > 0) {
        params->unpacked = jq_unpack(&params->unpacker, payload, &params->payload, NULL) == JQ_OK;
    }
}

static void params_fini(struct params *params) {
    jq_unpacker_fini(&params->unpacker);
}

/* ---- environment and limits ---- */

struct environment {
    char texts[ENV_OWN_MAX][ENV_TEXT_MAX];
    const char *items[ENV_OWN_MAX + JQ_EXEC_ENV_COUNT_MAX];
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void env_add(struct environment *env, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(env->texts[env->count], ENV_TEXT_MAX, format, args);
    va_end(args);
    env->items[env->count] = env->texts[env->count];
    env->count++;
}

/* JQ_GPU=0,1 */
static void env_add_units(struct environment *env, const struct jq_offer *units) {
    char variable[JQ_UNIT_VARIABLE_SIZE];
    char numbers[8 * JQ_OFFER_INDEXES_MAX] = "";
    int size = 0;
    for (size_t i = 0; i < units->index_count; i++) {
        size +=
            snprintf(numbers + size, sizeof(numbers) - (size_t)size, "%s%u", i ? "," : "", (unsigned)units->indexes[i]);
    }
    env_add(env, "%s=%s", jq_unit_variable(units->name, variable), numbers);
}

static void env_make(const struct jq_run *run, struct environment *env) {
    env->count = 0;
    env_add(env, "PATH=" JQ_TASK_PATH);
    env_add(env, "JQ_HANDLER=%s", run->handler->item.name);
    env_add(env, "JQ_QUEUE=%s", run->queue);
    if (run->output[0] != '\0') {
        env_add(env, "JQ_OUTPUT_DIR=%s", run->output);
    }
    if (run->parents) {
        env_add(env, "JQ_PARENTS=%s", JQ_EXEC_PARENTS_FILE);
    }
    if (jq_files_inputs(run)) {
        env_add(env, "JQ_INPUTS=%s", JQ_EXEC_INPUTS_DIR);
    }
    for (size_t i = 0; i < run->units.count; i++) {
        env_add_units(env, &run->units.items[i]);
    }
    const struct jq_conf_list *more = &run->handler->env;
    for (size_t i = 0; i < more->count && env->count < JQ_EXEC_ENV_COUNT_MAX - 8; i++) {
        env->items[env->count++] = more->items[i];
    }
    env->items[env->count] = NULL;
}

struct jq_exec_spec jq_launch_spec(struct jq_run *run) {
    const struct jq_handler_settings *handler = run->handler;
    const struct jq_worker_shell *worker = run->worker;
    return (struct jq_exec_spec){
        .task = run->task,
        .attempt = run->attempt,
        .payload = handler->input == JQ_HANDLER_INPUT_PAYLOAD ? run->payload : (struct jq_bytes){NULL, 0},
        .memory_bytes_max = run->memory_bytes,
        .cpu_milli_max = run->cpu_thousandths,
        .pids_max = (uint64_t)handler->pids_max,
        .file_bytes_max = (uint64_t)handler->file_size_max_bytes,
        .output_bytes_max = (uint64_t)handler->output_max_bytes,
        .switch_user = worker->switch_user,
        .uid = worker->uid,
        .gid = worker->gid,
        .network = handler->network,
        .paths = {.read = (const char *const *)handler->read.items, .write = (const char *const *)handler->write.items},
        .output_dir = run->output,
        .parents = jq_parents_document(run),
        .inputs_dir = jq_files_inputs(run),
        .soft_limit_ms = run->soft_limit_ms,
        .hard_limit_ms = run->hard_limit_ms,
        .grace_ms = worker->settings->grace_ms,
        .stall_ms = handler->stall_ms,
        .owner = run};
}

/* ---- starting ---- */

void jq_launch_failed(struct jq_run *run) {
    jq_run_ended(run, jq_exec_judge_start(run->start_error.code));
}

/* `json` holds what the payload of `spec` is then. */
static enum jq_err payload_as_json(struct jq_exec_spec *spec, const struct jq_run *run, struct jq_buf *json,
                                   struct jq_error *reterr) {
    if (!jq_pool_params(json, run->payload)) {
        return jq_fail(reterr, JQ_ERR_INVALID, "the payload is neither a msgpack map nor an object of JSON");
    }
    spec->payload = jq_buf_bytes(json);
    return JQ_OK;
}

static enum jq_err launch_exec(struct jq_run *run, struct jq_error *reterr) {
    struct params params;
    struct jq_buf json;
    struct environment *env = malloc(sizeof(*env));
    JQ_CHECK(env != NULL);
    struct jq_exec_spec spec = jq_launch_spec(run);
    params_init(&params, run->payload);
    env_make(run, env);
    spec.argv = (const char *const *)run->handler->command.items;
    spec.param = param_of;
    spec.param_ctx = &params;
    spec.env = env->items;
    jq_buf_init(&json, 0);
    enum jq_err err = run->handler->input == JQ_HANDLER_INPUT_JSON ? payload_as_json(&spec, run, &json, reterr) : JQ_OK;
    err = err == JQ_OK ? jq_exec_start(run->worker->host, &spec, jq_clock_boot_ms(), &run->child, reterr) : err;
    jq_buf_fini(&json);
    params_fini(&params);
    free(env);
    return err;
}

static void launched(struct jq_run *run, enum jq_err err) {
    if (err != JQ_OK) {
        jq_launch_failed(run);
    } else {
        jq_agent_started(run->worker->agent, run->token);
    }
}

static bool asks_in_vain(struct jq_run *run) {
    if (!jq_files_asked(run) || run->handler->output_files_max_bytes > 0) {
        return false;
    }
    (void)jq_fail(&run->start_error, JQ_ERR_INVALID, "outputs: handler %s makes no files: output_files_max is 0",
                  run->handler->item.name);
    return true;
}

void jq_launch(struct jq_run *run) {
    if (asks_in_vain(run)) {
        jq_launch_failed(run);
        return;
    }
    if (jq_parents_begin(run)) {
        run->fetching = true;
        return;
    }
    if (jq_files_begin(run)) {
        return;
    }
    if (run->handler->kind == JQ_HANDLER_POOL) {
        launched(run, jq_pools_launch(run, &run->start_error));
        return;
    }
    enum jq_err err = jq_output_make(run, &run->start_error);
    if (err == JQ_OK && run->handler->kind == JQ_HANDLER_FREECAD) {
        err = jq_freecad_launch(run, &run->start_error);
    } else if (err == JQ_OK) {
        err = launch_exec(run, &run->start_error);
    }
    launched(run, err);
}
