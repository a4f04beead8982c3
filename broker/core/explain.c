/* explain.c - why is this task not running? One screen: the most decisive reason first, then each worker's. */
#include "broker/core/state.h"

enum { LINES_MAX = 64, DETAIL_BYTES = 128 };

struct explanation {
    struct jq_why_line lines[LINES_MAX];
    char details[LINES_MAX][DETAIL_BYTES];
    size_t count;
};

static struct jq_why_line *add(struct explanation *out, enum jq_why why, struct jq_str worker) {
    struct jq_why_line *line = &out->lines[out->count < LINES_MAX ? out->count++ : LINES_MAX - 1];
    *line = (struct jq_why_line){.why = why, .worker = worker};
    return line;
}

static void set_term(struct explanation *out, struct jq_why_line *line, const struct jq_need_term *term) {
    char *detail = out->details[line - out->lines];
    const size_t size = jq_need_term_format(term, detail, DETAIL_BYTES);
    line->detail = (struct jq_str){detail, size < DETAIL_BYTES ? size : DETAIL_BYTES - 1};
}

/* The first term of the first alternative that this kind of worker fails; NULL: it fails none. */
static const struct jq_need_term *failing_term(const struct jq_need *need, const struct profile *profile) {
    for (size_t i = 0; i < need->groups[0].count; i++) {
        if (!jq_need_term_holds(&need->groups[0].terms[i], &profile->facts, &profile->offers)) {
            return &need->groups[0].terms[i];
        }
    }
    return NULL;
}

static void impossible(struct jq_core *core, const struct task *task, const struct worker *worker,
                       struct explanation *out) {
    const struct class_entry *entry = &core->classes[task->class_index];
    const uint32_t handler = jq_strmap_get(&worker->profile->handler_names, entry->handler, UINT32_MAX);
    if (handler == UINT32_MAX) {
        add(out, JQ_WHY_WORKER_LACKS_HANDLER, worker->name)->detail = entry->handler;
        return;
    }
    struct jq_need need;
    if (jq_need_merge(&entry->parsed, &worker->profile->handler_needs[handler], &need) != JQ_OK) {
        return;
    }
    const struct jq_need_term *term = failing_term(&need, worker->profile);
    if (term) {
        set_term(out, add(out, JQ_WHY_WORKER_FAILS_TERM, worker->name), term);
    }
    jq_need_fini(&need);
}

static void no_room(struct jq_core *core, const struct worker *worker, const struct plan *plan,
                    struct explanation *out) {
    for (int a = 0; a < plan->alternative_count; a++) {
        const struct plan_alternative *alternative = &plan->alternatives[a];
        for (uint32_t i = 0; alternative->possible && i < alternative->count; i++) {
            const struct plan_amount *amount = &plan->amounts[alternative->first + i];
            const int64_t account = worker->free[amount->resource], told = worker->told[amount->resource];
            const int64_t left = told < account ? told : account;
            if (left < (int64_t)amount->amount) {
                struct jq_why_line *line = add(out, JQ_WHY_WORKER_NO_ROOM, worker->name);
                line->detail = core->resources[amount->resource];
                line->number = (int64_t)amount->amount - left;
                return;
            }
        }
    }
}

/* One line about one worker. Returns 2 if it could take the task now, 1 if it could ever, 0 if never. */
static int explain_worker(struct jq_core *core, const struct task *task, uint32_t index, struct explanation *out) {
    const struct worker *worker = worker_at(core, index);
    if (!worker->profile) {
        add(out, JQ_WHY_WORKER_SILENT, worker->name);
        return 0;
    }
    const struct plan *plan = profile_plan(core, worker->profile, task->class_index);
    if (!plan->possible) {
        impossible(core, task, worker, out);
        return 0;
    }
    if (worker->draining) {
        add(out, JQ_WHY_WORKER_DRAINING, worker->name);
    } else if (plan_fits(worker, plan) < 0) {
        no_room(core, worker, plan, out);
    } else if (worker->suspects > 0 && task_suspect(core, task)) {
        add(out, JQ_WHY_WORKER_SUSPECT, worker->name);
    } else if (worker->poll.call == 0 || worker->poll.want == 0) {
        add(out, JQ_WHY_WORKER_NOT_ASKING, worker->name);
    } else {
        return 2;
    }
    return 1;
}

/* `before` tasks stand before it: what holds it back only when some worker could take it now. */
static void explain_workers(struct jq_core *core, const struct task *task, int64_t before, struct explanation *out) {
    const size_t head = out->count;
    add(out, JQ_WHY_NO_WORKER_CAN, JQ_STR(""));
    int best = 0;
    for (uint32_t i = 1; i < core->worker_count && out->count < LINES_MAX; i++) {
        if (core->workers[i].used) {
            const int verdict = explain_worker(core, task, i, out);
            best = verdict > best ? verdict : best;
        }
    }
    out->lines[head].why = best == 2 ? JQ_WHY_NEXT : (best == 1 ? JQ_WHY_NO_WORKER_FREE : JQ_WHY_NO_WORKER_CAN);
    if (before > 0 && best == 2) {
        out->lines[head].why = JQ_WHY_BEHIND;
        out->lines[head].number = before;
    } else if (before > 0 && best == 1) {
        add(out, JQ_WHY_BEHIND, JQ_STR(""))->number = before;
    }
}

/* Tasks that go before it in its queue: whole buckets of higher priority, and an estimate inside its own. */
static int64_t tasks_before(const struct jq_core *core, const struct task *task) {
    const struct queue *queue = &core->queues[task->queue];
    int64_t before = 0;
    for (int priority = LEVEL_COUNT - 1; priority > task->priority; priority--) {
        for (uint32_t i = 0; i < queue->levels[priority].count; i++) {
            const struct bucket *bucket = jq_slab_at(&core->buckets, queue->levels[priority].buckets[i]);
            before += (int64_t)bucket->count;
        }
    }
    const struct level *level = &queue->levels[task->priority];
    for (uint32_t i = 0; i < level->count; i++) {
        const struct bucket *bucket = jq_slab_at(&core->buckets, level->buckets[i]);
        const uint32_t first = bucket_first(core, bucket, false);
        if (first != 0 && task_before(task_at(core, first), task)) {
            const uint64_t ahead = task->id - task_at(core, first)->id; /* ids and order mostly agree */
            before += (int64_t)(ahead < bucket->count ? ahead : bucket->count);
        }
    }
    return before;
}

static void explain_waiting(struct jq_core *core, const struct task *task, struct explanation *out) {
    if (task->state == JQ_STATE_SCHEDULED) {
        const int64_t now_ms = task->flags & TASK_FLAG_ETA ? core->wall_ms : core->now_ms;
        struct jq_why_line *line = add(out, JQ_WHY_NOT_DUE, JQ_STR(""));
        line->number = task->at_ms - now_ms;
        line->detail = jq_str_of(task->attempts > 0 ? "backoff" : (task->flags & TASK_FLAG_ETA ? "eta" : "delay"));
    }
    if (core->queues[task->queue].paused) {
        add(out, JQ_WHY_QUEUE_PAUSED, JQ_STR(""))->detail = core->queues[task->queue].name;
    }
    explain_workers(core, task, task->state == JQ_STATE_READY ? tasks_before(core, task) : 0, out);
}

void explain_request(struct jq_core *core, const struct jq_request *request) {
    const uint32_t ref = task_find(core, request->u.task.id);
    if (ref == 0) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "id", "no such task: never submitted, or forgotten");
        return;
    }
    const struct task *task = task_at(core, ref);
    struct explanation out = {.count = 0};
    struct jq_task_row row;
    task_row(core, task, &row);
    if (jq_state_is_final(task->state)) {
        add(&out, JQ_WHY_ENDED, JQ_STR(""))->detail = jq_str_of(jq_outcome_name((enum jq_outcome)task->outcome));
    } else if (task->lease != 0) {
        add(&out, JQ_WHY_RUNNING, row.worker)->number = core->now_ms - task->at_ms;
    } else {
        explain_waiting(core, task, &out);
    }
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .u.explain = {.row = &row, .lines = out.lines, .count = out.count}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}
