#define _GNU_SOURCE
#include "worker/pool/pool.h"

#include "common/buf.h"
#include "common/list.h"
#include "worker/exec/loop.h"
#include "worker/pool/order.h"
#include "worker/pool/pool_output.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { GRACE_MS = 2000, LABEL_SIZE = 40, WHY_SIZE = 192 };

enum state { STATE_STARTING, STATE_BUSY, STATE_RESTING, STATE_ENDING };

struct process {
    struct jq_list link;
    struct jq_pool *pool; /* NULL: it was freed */
    struct jq_exec_child *child;
    enum state state;
    bool renewed; /* another one takes its place */
    void *owner;  /* of the task in its turn */
    struct jq_exec_turn turn;
    uint64_t task_count;
    int64_t started_ms;
    int64_t rested_ms;
    char output_dir[PATH_MAX]; /* of the pool; empty: none */
    char label[LABEL_SIZE];
};

struct jq_pool {
    struct jq_exec_host *host;
    struct jq_pool_config config;
    struct jq_list processes; /* those that rest stand behind, the last of them rested last */
    struct jq_exec_timer timer;
    unsigned starts;
};

static void on_turn(struct jq_exec_child *child, int64_t now_ms);
static void on_done(struct jq_exec_child *child, int64_t now_ms);
static void on_due(struct jq_exec_timer *timer, int64_t now_ms);

/* --- time ----------------------------------------------------------------------------------------------------------- */

/* When something is due of this one: its readiness, or its age. */
static int64_t due_ms_of(const struct process *process) {
    const struct jq_pool_config *config = &process->pool->config;
    if (process->state == STATE_ENDING) {
        return INT64_MAX;
    }
    if (!jq_exec_warm_ready(process->child)) {
        return config->start_ms > 0 ? process->started_ms + config->start_ms : INT64_MAX;
    }
    const bool ages = process->state == STATE_RESTING && config->age_ms_max > 0;
    return ages ? process->started_ms + config->age_ms_max : INT64_MAX;
}

static void plan(struct jq_pool *pool) {
    int64_t due_ms = INT64_MAX;
    JQ_LIST_EACH(link, &pool->processes) {
        const int64_t its_ms = due_ms_of(JQ_CONTAINER_OF(link, struct process, link));
        due_ms = its_ms < due_ms ? its_ms : due_ms;
    }
    if (due_ms == INT64_MAX) {
        jq_exec_timer_stop(&pool->timer);
    } else {
        jq_exec_timer_set(jq_exec_host_loop(pool->host), &pool->timer, due_ms);
    }
}

static void end_process(struct process *process, enum jq_exec_reason reason, int64_t grace_ms, int64_t now_ms) {
    if (process->state == STATE_STARTING || process->state == STATE_RESTING) {
        process->state = STATE_ENDING;
    }
    jq_exec_kill(process->child, reason, grace_ms, now_ms);
}

static void on_due(struct jq_exec_timer *timer, int64_t now_ms) {
    struct jq_pool *pool = JQ_CONTAINER_OF(timer, struct jq_pool, timer);
    JQ_LIST_EACH(link, &pool->processes) {
        struct process *process = JQ_CONTAINER_OF(link, struct process, link);
        if (now_ms < due_ms_of(process)) {
            continue;
        }
        const bool ready = jq_exec_warm_ready(process->child);
        end_process(process, ready ? JQ_EXEC_REASON_DRAIN : JQ_EXEC_REASON_NOT_READY, ready ? GRACE_MS : 0, now_ms);
        if (process->state != STATE_ENDING) {
            process->started_ms = now_ms; /* told once; its task ends with it */
        }
    }
    plan(pool);
}

/* --- starting ------------------------------------------------------------------------------------------------------- */

/* The limits are those of its first task, until the next turn sets others. */
static struct jq_exec_spec spec_of(const struct process *process, const struct jq_exec_turn *turn,
                                   const char *output_dir) {
    struct jq_exec_spec spec = process->pool->config.spec;
    spec.label = process->label;
    spec.reply = true;
    spec.warm = true;
    spec.memory_bytes_max = turn->memory_bytes_max;
    spec.cpu_milli_max = turn->cpu_milli_max;
    spec.output_bytes_max = turn->output_bytes_max;
    spec.grace_ms = turn->grace_ms;
    spec.output_dir = output_dir;
    spec.owner = (void *)(uintptr_t)process;
    spec.on_turn = on_turn;
    spec.on_done = on_done;
    return spec;
}

static enum jq_err start(struct jq_pool *pool, const struct jq_exec_turn *turn, int64_t now_ms,
                         struct process **ret_process, struct jq_error *reterr) {
    struct process *process = calloc(1, sizeof(*process));
    if (process == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "warm process");
    }
    char own[PATH_MAX] = "";
    process->pool = pool;
    process->turn = *turn;
    process->started_ms = now_ms;
    (void)snprintf(process->label, sizeof(process->label), "pool-%.20s-%u", pool->config.name, ++pool->starts);
    (void)snprintf(process->output_dir, sizeof(process->output_dir), "%s",
                   pool->config.output_dir != NULL ? pool->config.output_dir : "");
    const struct jq_exec_spec *base = &pool->config.spec;
    enum jq_err err = jq_pool_output_open(process->output_dir, process->label, base, own, sizeof(own), reterr);
    if (err == JQ_OK) {
        const struct jq_exec_spec spec = spec_of(process, turn, own);
        err = jq_exec_start(pool->host, &spec, now_ms, &process->child, reterr);
    }
    if (err != JQ_OK) {
        jq_pool_output_close(process->output_dir, process->label);
        free(process);
        return err;
    }
    jq_list_init(&process->link);
    jq_list_push_front(&pool->processes, &process->link);
    *ret_process = process;
    return JQ_OK;
}

/* The one that rested last: its memory is the warmest. One that starts, and waits for nobody, rests since ever. */
static struct process *find_free(const struct jq_pool *pool) {
    struct process *found = NULL;
    JQ_LIST_EACH(link, &pool->processes) {
        struct process *process = JQ_CONTAINER_OF(link, struct process, link);
        const bool is_free = process->state == STATE_RESTING || process->state == STATE_STARTING;
        if (is_free && jq_exec_warm_rests(process->child) &&
            (found == NULL || process->rested_ms >= found->rested_ms)) {
            found = process;
        }
    }
    return found;
}

/* --- a task --------------------------------------------------------------------------------------------------------- */

static enum jq_err say_order(struct process *process, const struct jq_pool_task *task, struct jq_error *reterr) {
    char folder[PATH_MAX + 64], output[PATH_MAX] = "", final[PATH_MAX] = "";
    struct jq_buf frame;
    jq_exec_turn_folder(process->child, folder, sizeof(folder));
    enum jq_err err = jq_pool_output_make(process->output_dir, process->label, &task->turn, &process->pool->config.spec,
                                          output, final, reterr);
    if (err != JQ_OK) {
        return err;
    }
    const struct jq_pool_order order = {.task = task->turn.task,
                                        .attempt = task->turn.attempt,
                                        .handler = process->pool->config.name,
                                        .queue = task->queue,
                                        .work_dir = folder,
                                        .output_dir = output[0] != '\0' ? output : NULL,
                                        .final_dir = final[0] != '\0' ? final : NULL,
                                        .soft_limit_ms = task->turn.soft_limit_ms,
                                        .hard_limit_ms = task->turn.hard_limit_ms,
                                        .units = task->units,
                                        .payload = task->payload};
    jq_buf_init(&frame, JQ_POOL_ORDER_SIZE_MAX);
    jq_pool_order_write(&frame, &order);
    if (frame.failed || !jq_exec_warm_say(process->child, jq_buf_bytes(&frame))) {
        err = jq_fail(reterr, JQ_ERR_TOO_BIG, "payload: cannot be told to a warm process");
    }
    jq_buf_fini(&frame);
    return err;
}

static enum jq_err begin(struct process *process, const struct jq_pool_task *task, int64_t now_ms,
                         struct jq_error *reterr) {
    enum jq_err err = jq_exec_turn_begin(process->child, &task->turn, now_ms, reterr);
    if (err == JQ_OK) {
        err = say_order(process, task, reterr);
    }
    if (err != JQ_OK) {
        end_process(process, JQ_EXEC_REASON_DRAIN, 0, now_ms);
        process->state = STATE_ENDING;
        return err;
    }
    process->state = STATE_BUSY;
    process->owner = task->owner;
    process->turn = task->turn;
    process->turn.parents = (struct jq_bytes){NULL, 0};
    process->turn.inputs_dir = NULL;
    process->task_count++;
    return JQ_OK;
}

enum jq_err jq_pool_run(struct jq_pool *pool, const struct jq_pool_task *task, int64_t now_ms,
                        struct jq_exec_child **ret_child, struct jq_error *reterr) {
    struct process *process = find_free(pool);
    /* One that rests may hold more memory than this task has reserved, or have spoilt its folder: then a fresh one serves it. */
    enum jq_err err = process != NULL && begin(process, task, now_ms, reterr) == JQ_OK ? JQ_OK : JQ_ERR_BUSY;
    if (err == JQ_ERR_BUSY) {
        err = start(pool, &task->turn, now_ms, &process, reterr);
        err = err == JQ_OK ? begin(process, task, now_ms, reterr) : err;
    }
    plan(pool);
    if (err == JQ_OK) {
        *ret_child = process->child;
    }
    return err;
}

/* --- what processes tell -------------------------------------------------------------------------------------------- */

static void tell_end(struct process *process) {
    char output[PATH_MAX] = "";
    jq_pool_output_take(process->output_dir, process->label, &process->turn, output);
    const struct jq_pool_end end = {.owner = process->owner, .child = process->child, .output = output};
    void *owner = process->owner;
    process->owner = NULL;
    if (owner != NULL && process->pool != NULL) {
        process->pool->config.on_ended(process->pool->config.ctx, &end);
    } else {
        jq_pool_output_drop(process->output_dir, &process->turn);
    }
}

static bool is_worn(const struct process *process, int64_t now_ms) {
    const struct jq_pool_config *config = &process->pool->config;
    return (config->age_ms_max > 0 && now_ms - process->started_ms >= config->age_ms_max) ||
           (config->tasks_max > 0 && process->task_count >= config->tasks_max) ||
           (config->rss_bytes_max > 0 && jq_exec_warm_rss(process->child) > config->rss_bytes_max);
}

static void on_turn(struct jq_exec_child *child, int64_t now_ms) {
    struct process *process = jq_exec_child_owner(child);
    if (process->state == STATE_BUSY && !jq_exec_warm_in_turn(child)) {
        tell_end(process);
        const bool goes_on = jq_exec_turn_end(child, now_ms);
        process->state = goes_on ? STATE_RESTING : STATE_ENDING;
        process->rested_ms = now_ms;
        if (!goes_on || (process->pool != NULL && is_worn(process, now_ms))) {
            process->state = STATE_ENDING;
            process->renewed = true;
            jq_exec_kill(child, JQ_EXEC_REASON_DRAIN, goes_on ? GRACE_MS : 0, now_ms);
        }
    } else if (process->state == STATE_STARTING) {
        process->state = STATE_RESTING;
        process->rested_ms = now_ms;
    }
    if (process->pool != NULL) {
        plan(process->pool);
    }
}

/* The last line that it wrote: of a traceback the one that matters. */
static void tell_lost(const struct process *process) {
    const struct jq_pool_config *config = &process->pool->config;
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(process->child);
    const char *tail = (const char *)outcome->stderr_tail.data;
    size_t end = outcome->stderr_tail.size;
    while (end > 0 && (unsigned char)tail[end - 1] <= ' ') {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && tail[begin - 1] != '\n' && end - begin < WHY_SIZE / 2) {
        begin--;
    }
    char why[WHY_SIZE];
    if (snprintf(why, sizeof(why), "%s%s%.*s", outcome->message, end > begin ? ": " : "", (int)(end - begin),
                 end > begin ? tail + begin : "") < 0) {
        why[0] = '\0'; /* too long is cut */
    }
    if (config->on_lost != NULL) {
        config->on_lost(config->ctx, config->name, why);
    }
}

static void on_done(struct jq_exec_child *child, int64_t now_ms) {
    struct process *process = jq_exec_child_owner(child);
    struct jq_pool *pool = process->pool;
    const bool served = process->state == STATE_BUSY;
    const bool was_ready = jq_exec_warm_ready(child);
    const bool expected = process->state == STATE_ENDING;
    if (served) {
        tell_end(process);
    } else if (pool != NULL && !expected) {
        tell_lost(process);
    }
    jq_pool_output_close(process->output_dir, process->label);
    jq_list_remove(&process->link);
    struct process *fresh = NULL;
    if (pool != NULL && was_ready && (served || process->renewed)) {
        (void)start(pool, &process->turn, now_ms, &fresh, NULL); /* else the next task tries, and tells why not */
    }
    jq_exec_child_free(child);
    free(process);
    if (pool != NULL) {
        plan(pool);
    }
}

/* --- what the caller does ------------------------------------------------------------------------------------------- */

enum jq_err jq_pool_new(struct jq_exec_host *host, const struct jq_pool_config *config, struct jq_pool **ret_pool,
                        struct jq_error *reterr) {
    struct jq_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "pool %s", config->name);
    }
    pool->host = host;
    pool->config = *config;
    jq_list_init(&pool->processes);
    jq_list_init(&pool->timer.link);
    pool->timer.on_due = on_due;
    *ret_pool = pool;
    return JQ_OK;
}

void jq_pool_forget(struct jq_pool *pool, const void *owner, int64_t now_ms) {
    JQ_LIST_EACH(link, &pool->processes) {
        struct process *process = JQ_CONTAINER_OF(link, struct process, link);
        if (process->owner == owner) {
            process->owner = NULL;
            jq_exec_kill(process->child, JQ_EXEC_REASON_DRAIN, 0, now_ms);
        }
    }
}

struct jq_pool_status jq_pool_status(const struct jq_pool *pool) {
    struct jq_pool_status status = {.starts = pool->starts};
    JQ_LIST_EACH(link, &pool->processes) {
        const enum state state = JQ_CONTAINER_OF(link, struct process, link)->state;
        status.starting += state == STATE_STARTING ? 1U : 0U;
        status.busy += state == STATE_BUSY ? 1U : 0U;
        status.resting += state == STATE_RESTING ? 1U : 0U;
        status.ending += state == STATE_ENDING ? 1U : 0U;
    }
    return status;
}

size_t jq_pool_count(const struct jq_pool *pool) {
    const struct jq_pool_status status = jq_pool_status(pool);
    return status.starting + status.busy + status.resting;
}

static struct process *rests_longest(const struct jq_pool *pool) {
    struct process *found = NULL;
    JQ_LIST_EACH(link, &pool->processes) {
        struct process *process = JQ_CONTAINER_OF(link, struct process, link);
        const bool rests = process->state == STATE_RESTING || process->state == STATE_STARTING;
        if (rests && (found == NULL || process->rested_ms < found->rested_ms)) {
            found = process;
        }
    }
    return found;
}

int64_t jq_pool_rests_since_ms(const struct jq_pool *pool) {
    const struct process *process = rests_longest(pool);
    return process != NULL ? process->rested_ms : INT64_MAX;
}

void jq_pool_end_rested(struct jq_pool *pool, int64_t now_ms) {
    struct process *process = rests_longest(pool);
    if (process != NULL) {
        end_process(process, JQ_EXEC_REASON_DRAIN, GRACE_MS, now_ms);
        plan(pool);
    }
}

void jq_pool_free(struct jq_pool *pool, int64_t now_ms) {
    if (pool == NULL) {
        return;
    }
    jq_exec_timer_stop(&pool->timer);
    JQ_LIST_EACH(link, &pool->processes) {
        struct process *process = JQ_CONTAINER_OF(link, struct process, link);
        jq_list_remove(link);
        process->pool = NULL;
        end_process(process, JQ_EXEC_REASON_DRAIN, 0, now_ms);
    }
    free(pool);
}
