/* explain.c - why is this task not running? One screen: the most decisive reason first. */
#include "broker/core/explain.h"

#include <inttypes.h>

enum { PARENTS_TOLD_MAX = 8 };

struct jq_why_line *explain_add(struct explanation *out, enum jq_why why, struct jq_str detail, int64_t number) {
    const size_t at = out->count < EXPLAIN_LINES_MAX ? out->count++ : EXPLAIN_LINES_MAX;
    const size_t size = detail.size < EXPLAIN_DETAIL_BYTES ? detail.size : EXPLAIN_DETAIL_BYTES;
    if (size > 0) {
        memcpy(out->details[at], detail.data, size);
    }
    out->lines[at] = (struct jq_why_line){.why = why, .detail = {out->details[at], size}, .number = number};
    return &out->lines[at];
}

static void explain_parent(struct jq_core *core, const struct task *parent, enum jq_why why, struct explanation *out) {
    jq_buf_clear(&core->reasons);
    jq_buf_append_format(&core->reasons, "%" PRIu64 " %s", parent->id, jq_state_name((enum jq_state)parent->state));
    explain_add(out, why, jq_buf_str(&core->reasons), 0);
}

/* The tasks that it waits for: those that are dead first, and a few of the others. */
static void explain_parents(struct jq_core *core, const struct task *task, struct explanation *out) {
    const struct node *node = node_if(core, task);
    uint32_t told = 0;
    for (int dead = 1; dead >= 0; dead--) {
        for (uint32_t ref = node->edges; ref != 0 && told < PARENTS_TOLD_MAX; ref = edge_at(core, ref)->next_of) {
            const struct edge *edge = edge_at(core, ref);
            const uint32_t parent = task_find(core, (jq_task_id){edge->parent});
            if (edge->verdict == (dead ? JQ_EDGE_BLOCKED : JQ_EDGE_OPEN) && parent != 0) {
                explain_parent(core, task_at(core, parent), dead ? JQ_WHY_PARENT_DEAD : JQ_WHY_WAITS_FOR, out);
                told++;
            }
        }
    }
    if (told < node->undecided) {
        explain_add(out, JQ_WHY_MORE_PARENTS, JQ_STR(""), node->undecided - told);
    }
}

static void explain_breaker(const struct jq_core *core, uint32_t index, struct explanation *out) {
    const struct breaker *breaker = breaker_at(&core->breakers, index);
    if (index == 0 || breaker_lets_through(breaker, &core->config.breaker)) {
        return;
    }
    const enum jq_why why = breaker->state == JQ_BREAKER_HALF_OPEN ? JQ_WHY_BREAKER_PROBING
                            : breaker->by_operator                 ? JQ_WHY_BREAKER_TRIPPED
                                                                   : JQ_WHY_BREAKER_OPEN;
    explain_add(out, why, breaker->name, breaker->until_ms > 0 ? breaker->until_ms - core->now_ms : 0);
}

/* That of its handler, and those of the services that the handler has named. */
static void explain_breakers(const struct jq_core *core, uint16_t class_index, struct explanation *out) {
    const uint32_t handler = core->classes[class_index].breaker;
    explain_breaker(core, handler, out);
    for (uint32_t i = 0; handler != 0 && i < breaker_at(&core->breakers, handler)->service_count; i++) {
        explain_breaker(core, breaker_at(&core->breakers, handler)->services[i], out);
    }
}

/* What the task itself waits for. */
static void explain_task(struct jq_core *core, const struct task *task, struct explanation *out) {
    const bool eta = task->flags & TASK_FLAG_ETA, held = task->flags & TASK_FLAG_HELD;
    const int64_t left_ms = task->at_ms - (eta ? core->wall_ms : core->now_ms);
    if (held) {
        explain_add(out, JQ_WHY_HELD, JQ_STR(""), 0);
    }
    if (task->state == JQ_STATE_SCHEDULED && (left_ms > 0 || !held)) {
        explain_add(out, JQ_WHY_NOT_DUE, jq_str_of(task->attempts > 0 ? "backoff" : (eta ? "eta" : "delay")), left_ms);
    }
}

/* What a limit says of a task that it lets not start now: it is full, or its rate has not come round. */
static void explain_meter(struct jq_core *core, uint32_t ref, struct explanation *out) {
    const struct meter *meter = ref != 0 ? meter_at(core, ref) : NULL;
    if (!meter || !meter->closed) {
        return;
    }
    const struct limit *limit = limit_at(core, meter->limit);
    const int64_t opens_ms = meter_opens_ms(core, meter);
    if (limit->concurrency > 0 && meter->running >= limit->concurrency) {
        explain_add(out, JQ_WHY_LIMIT_FULL, limit->scope, limit->concurrency);
    }
    if (opens_ms > core->now_ms) {
        char rate[JQ_RATE_TEXT_SIZE];
        jq_buf_clear(&core->reasons);
        jq_buf_append_format(&core->reasons, "%.*s %s", JQ_STR_ARG(limit->scope), jq_rate_format(limit->rate, rate));
        explain_add(out, JQ_WHY_LIMIT_RATE, jq_buf_str(&core->reasons), opens_ms - core->now_ms);
    }
}

/* What an operator, the disk, a limit or a breaker put before it and its like: a line for each bit of enum block_reason. */
static void explain_blocks(struct jq_core *core, const struct task *task, struct explanation *out) {
    const struct queue *queue = &core->queues[task->queue];
    const struct class_entry *entry = &core->classes[task->class_index];
    if (queue->blocks & BLOCK_PAUSED) {
        explain_add(out, JQ_WHY_QUEUE_PAUSED, queue->name, 0);
    }
    if (!disk_has_room(core)) {
        explain_add(out, JQ_WHY_DISK_FULL, JQ_STR(""), (int64_t)core->disk_free_bytes);
    }
    explain_meter(core, queue->meter, out);
    explain_meter(core, entry->meter, out);
    explain_meter(core, task->group ? group_at(core, task->group)->meter : 0, out);
    explain_breakers(core, task->class_index, out);
}

static void explain(struct jq_core *core, const struct task *task, struct explanation *out) {
    if (jq_state_is_final(task->state)) {
        explain_add(out, JQ_WHY_ENDED, jq_str_of(jq_outcome_name((enum jq_outcome)task->outcome)), 0);
    } else if (task->lease != 0) {
        explain_add(out, JQ_WHY_RUNNING, JQ_STR(""), core->now_ms - task->at_ms)->worker =
            worker_at(core, lease_at(core, task->lease)->worker)->name;
    } else if (task->state == JQ_STATE_WAITING || task->state == JQ_STATE_BLOCKED) {
        explain_parents(core, task, out);
        explain_blocks(core, task, out);
    } else {
        explain_task(core, task, out);
        explain_blocks(core, task, out);
        explain_place(core, task, explain_workers(core, task, out), out);
    }
}

void explain_request(struct jq_core *core, const struct jq_request *request) {
    const uint32_t ref = task_find_within(core, &request->reach, request->u.task.id);
    if (ref == 0) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "id", "no such task: never submitted, or forgotten");
        return;
    }
    struct explanation out;
    struct jq_task_row row;
    out.count = 0;
    task_row(core, task_at(core, ref), &row);
    explain(core, task_at(core, ref), &out);
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .u.explain = {.row = &row, .lines = out.lines, .count = out.count}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}
