/* query.c - reading: tasks, queues, workers, the server. Answers wait until what they tell is durable. */
#include <stdlib.h>

#include "broker/core/state.h"

enum { ROWS_MAX = 200, SCANNED_MAX = 10000, QUEUE_ROWS_MAX = 500, WORKER_ROWS_MAX = 300 };

static void lease_columns(const struct jq_core *core, const struct task *task, struct jq_task_row *row) {
    if (task->lease != 0) {
        row->worker = worker_at(core, lease_at(core, task->lease)->worker)->name;
    }
}

void task_row(const struct jq_core *core, const struct task *task, struct jq_task_row *ret_row) {
    const struct side *side = task_side_if(core, task);
    *ret_row = (struct jq_task_row){.id = {task->id},
                                    .state = task_shown(task),
                                    .outcome = (enum jq_outcome)task->outcome,
                                    .queue = core->queues[task->queue].name,
                                    .handler = core->classes[task->class_index].handler,
                                    .need = core->classes[task->class_index].need,
                                    .want = core->classes[task->class_index].want,
                                    .group = task->group ? group_at(core, task->group)->name : JQ_STR(""),
                                    .priority = task->priority,
                                    .attempts = task->attempts,
                                    .crashes = task->crashes,
                                    .first_ready_ms = task->first_ready_ms,
                                    .at_ms = task->at_ms,
                                    .wall_offset_ms = core->wall_ms - core->now_ms,
                                    .options = core->options[task->options].options,
                                    .progress_permille = -1,
                                    .version = side_version(side),
                                    .body = {task->body_lsn, task->body_size}};
    if (task->flags & TASK_FLAG_ETA) {
        ret_row->at_ms -= ret_row->wall_offset_ms; /* told in core time, like all others */
    }
    lease_columns(core, task, ret_row);
    if (side) {
        ret_row->losses = side->losses;
        ret_row->expires_wall_ms = side->expires_wall_ms;
        ret_row->last = (struct jq_body_ref){side->last_lsn, side->last_size};
        ret_row->error = jq_str_of(side->error);
        ret_row->files = task_files(core, task);
        if (side->progress_permille > 0 && task->lease != 0) {
            ret_row->progress_permille = side->progress_permille - 1;
            ret_row->progress = jq_str_of(side->progress);
        }
    }
}

static void tasks_reply(struct jq_core *core, const struct jq_request *request, const struct jq_task_row *rows,
                        size_t count, uint64_t next) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .u.tasks = {.rows = rows, .count = count, .next = next}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

void task_show_request(struct jq_core *core, const struct jq_request *request) {
    const uint32_t ref = task_find_within(core, &request->reach, request->u.task.id);
    if (ref == 0) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "id", "no such task: never submitted, or forgotten");
        return;
    }
    struct jq_task_row row;
    const struct node *node = node_if(core, task_at(core, ref));
    task_row(core, task_at(core, ref), &row);
    if (node) {
        row.flow = node->flow ? flow_at(core, node->flow)->first : 0;
        row.on = node->on;
        row.after = parents_room(core, node->edge_count);
        row.after_count = node_parents(core, task_at(core, ref), core->parents);
    }
    tasks_reply(core, request, &row, 1, 0);
}

/* ---- task.ls: a bounded stretch at a time ---- */

static bool wanted(const struct jq_core *core, const struct task *task, const struct jq_request *request) {
    const uint32_t states = request->u.list.states;
    const struct jq_str queue = request->u.list.queue, handler = request->u.list.handler;
    return (states == 0 || (states & 1u << task_shown(task))) && reach_has_task(core, &request->reach, task) &&
           (queue.size == 0 || jq_str_equal(queue, core->queues[task->queue].name)) &&
           (handler.size == 0 || jq_str_equal(handler, core->classes[task->class_index].handler));
}

/* Where this page starts. NULL, or why it cannot. */
static const char *page_begin(struct jq_core *core, const struct jq_request *request, const struct jq_where *where,
                              struct walk *ret_walk) {
    const jq_task_id after = request->u.list.after;
    const char *reason = walk_begin(core, where, ret_walk);
    if (reason) {
        return reason;
    }
    if (!ret_walk->dead && request->u.list.states == 1u << JQ_STATE_DEAD && ret_walk->key.size == 0) {
        ret_walk->dead = ret_walk->last > 0; /* found without looking at the living */
        ret_walk->ref = core->dead_head;
    }
    const uint32_t last = ret_walk->dead && after.value ? task_find(core, after) : 0;
    if (last != 0 && task_at(core, last)->state == JQ_STATE_DEAD) {
        ret_walk->ref = task_at(core, last)->next;
    }
    if (!ret_walk->dead && after.value >= ret_walk->id) {
        ret_walk->id = after.value + 1;
    }
    return NULL;
}

void task_ls_request(struct jq_core *core, const struct jq_request *request) {
    static const struct jq_where everything = {.count = 0};
    const struct jq_where *where = request->u.list.where ? request->u.list.where : &everything;
    const uint32_t limit =
        request->u.list.limit > 0 && request->u.list.limit < ROWS_MAX ? request->u.list.limit : ROWS_MAX;
    struct jq_task_row rows[ROWS_MAX];
    struct walk walk;
    const char *reason = page_begin(core, request, where, &walk);
    if (reason) {
        reply_refuse(core, request, JQ_REPLY_INVALID, "where", reason);
        return;
    }
    size_t count = 0;
    uint32_t budget = SCANNED_MAX, ref = 0;
    while (count < limit && walk_next(core, where, &walk, &budget, &ref)) {
        if (wanted(core, task_at(core, ref), request)) {
            task_row(core, task_at(core, ref), &rows[count++]);
        }
    }
    uint64_t next = walk.id - 1;
    if (walk.dead && walk.ref != 0) { /* the letter before the one that is next */
        next = task_at(core, task_at(core, walk.ref)->prev)->id;
    }
    tasks_reply(core, request, rows, count, walk_over(&walk) ? 0 : next);
}

/* ---- queues ---- */

static int64_t oldest_ready_ms(struct jq_core *core, const struct queue *queue) {
    int64_t oldest_ms = INT64_MAX;
    for (int priority = 0; priority < LEVEL_COUNT; priority++) {
        for (uint32_t i = 0; i < queue->levels[priority].count; i++) {
            const struct level_entry *entry = &queue->levels[priority].entries[i];
            if (entry->oldest_ms < oldest_ms) {
                (void)bucket_oldest_lane(core, bucket_at(core, entry->bucket));
                oldest_ms = entry->oldest_ms < oldest_ms ? entry->oldest_ms : oldest_ms;
            }
        }
    }
    return oldest_ms == INT64_MAX ? -1 : core->now_ms - oldest_ms;
}

static void queue_row(struct jq_core *core, const struct queue *queue, struct jq_queue_row *ret_row) {
    *ret_row = (struct jq_queue_row){.name = queue->name,
                                     .place = (uint32_t)(queue - core->queues) + 1,
                                     .held = queue->held,
                                     .set = queue->set,
                                     .weight = queue_weight(queue),
                                     .scheduled = queue->scheduled,
                                     .ready = queue->ready,
                                     .running = queue->running,
                                     .dead = queue->dead,
                                     .finished = queue->finished,
                                     .waiting = queue->waiting,
                                     .blocked = queue->blocked,
                                     .depth_max = queue_depth_max(core, queue),
                                     .bytes = queue->queued_bytes,
                                     .bytes_max = queue_bytes_max(core, queue),
                                     .policy = queue->policy,
                                     .full = queue->full,
                                     .withheld = queue->withheld_count,
                                     .shed_total = queue->shed_total,
                                     .submitted_total = queue->submitted_total,
                                     .ended_total = queue->ended_total,
                                     .drain_per_s = queue->drain_per_s,
                                     .oldest_ready_ms = oldest_ready_ms(core, queue)};
}

static void queues_reply(struct jq_core *core, const struct jq_request *request, const struct jq_queue_row *rows,
                         size_t count, uint32_t next) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .u.queues = {.rows = rows, .count = count, .next = next}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

static void queue_show(struct jq_core *core, const struct jq_request *request) {
    struct jq_queue_row row;
    const int at = queue_find(core, request->u.named.name);
    if (at < 0) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "name", "no such queue");
        return;
    }
    queue_row(core, &core->queues[at], &row);
    queues_reply(core, request, &row, 1, 0);
}

size_t jq_core_queue_rows(struct jq_core *core, uint32_t *at, struct jq_queue_row *ret_rows, size_t max) {
    size_t count = 0;
    for (; *at < core->queue_count && count < max; ++*at) {
        queue_row(core, &core->queues[*at], &ret_rows[count++]);
    }
    return count;
}

void queue_ls_request(struct jq_core *core, const struct jq_request *request) {
    struct jq_queue_row rows[QUEUE_ROWS_MAX];
    uint32_t at = request->u.named.after;
    if (request->u.named.name.size > 0) {
        queue_show(core, request);
        return;
    }
    const size_t count = jq_core_queue_rows(core, &at, rows, QUEUE_ROWS_MAX);
    queues_reply(core, request, rows, count, at < core->queue_count ? at : 0);
}

/* ---- workers ---- */

/* Totals and free amounts, side by side, in arrays that the caller frees. */
static void worker_offers(const struct jq_core *core, const struct worker *worker, struct jq_amount *totals,
                          uint64_t *free_amounts, struct jq_worker_row *row) {
    size_t count = 0;
    for (uint32_t i = 0; i < core->resource_count; i++) {
        if (worker->profile->totals[i] > 0) {
            totals[count] = (struct jq_amount){core->resources[i], (uint64_t)worker->profile->totals[i]};
            free_amounts[count++] = worker->free[i] > 0 ? (uint64_t)worker->free[i] : 0;
        }
    }
    row->totals = totals;
    row->free = free_amounts;
    row->offer_count = count;
}

struct worker_scratch {
    struct jq_amount totals[RESOURCES_MAX];
    uint64_t free_amounts[RESOURCES_MAX];
    struct jq_name_value facts[JQ_FACTS_COUNT_MAX];
};

static void worker_row(const struct jq_core *core, const struct worker *worker, struct worker_scratch *scratch,
                       bool whole, struct jq_worker_row *row) {
    *row = (struct jq_worker_row){.name = worker->name,
                                  .place = (uint32_t)(worker - core->workers),
                                  .id = worker->id,
                                  .draining = worker->draining,
                                  .registered = worker->profile != NULL,
                                  .asleep = worker->asleep,
                                  .doorbell = worker->doorbell,
                                  .alive = !worker->asleep && core->now_ms - worker->seen_ms < core->config.liveness_ms,
                                  .leases = worker->lease_count,
                                  .parked = worker->poll.call != 0,
                                  .seen_ms_ago = core->now_ms - worker->seen_ms,
                                  .load_permille = worker->load_permille,
                                  .memory_permille = worker->memory_permille};
    const struct reservation *kept = reservation_of_worker(core, (uint32_t)(worker - core->workers));
    row->kept_for.value = kept ? task_at(core, kept->task)->id : 0;
    if (!worker->profile) {
        return;
    }
    worker_offers(core, worker, scratch->totals, scratch->free_amounts, row);
    if (whole) {
        for (size_t i = 0; i < worker->profile->facts.count; i++) {
            scratch->facts[i] =
                (struct jq_name_value){worker->profile->facts.items[i].name, worker->profile->facts.items[i].text};
        }
        row->facts = scratch->facts;
        row->fact_count = worker->profile->facts.count;
        row->handlers = worker->profile->handlers;
        row->handler_count = worker->profile->handler_count;
    }
}

static void workers_reply(struct jq_core *core, const struct jq_request *request, const struct jq_worker_row *rows,
                          size_t count, uint32_t next) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .u.workers = {.rows = rows, .count = count, .next = next}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

/* What worker.show tells beside the row: units and what it accepts. */
struct units_scratch {
    struct jq_units all[RESOURCES_MAX], free[RESOURCES_MAX];
    uint16_t free_indexes[RESOURCES_MAX][JQ_OFFER_INDEXES_MAX];
    struct jq_str accept[RESOURCES_MAX];
};

static void worker_units(const struct jq_core *core, const struct worker *worker, struct units_scratch *scratch,
                         struct jq_worker_row *row) {
    for (uint32_t i = 0; worker->profile && i < core->resource_count; i++) {
        const struct jq_offer *offer = worker->profile->indexed[i];
        if (offer) {
            const size_t at = row->unit_count++;
            uint16_t *indexes = scratch->free_indexes[at];
            scratch->all[at] = (struct jq_units){offer->name, offer->indexes, offer->index_count};
            scratch->free[at] = (struct jq_units){offer->name, indexes, units_free(worker, (uint8_t)i, indexes)};
        }
        if (worker->profile->accept >> i & 1) {
            scratch->accept[row->accept_count++] = core->resources[i];
        }
    }
    row->units = scratch->all;
    row->units_free = scratch->free;
    row->accept = scratch->accept;
}

static void worker_show(struct jq_core *core, const struct jq_request *request) {
    const uint32_t index = worker_of_name(core, request->u.named.name);
    if (index == 0) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "name", "no such worker");
        return;
    }
    struct worker_scratch scratch;
    struct units_scratch units;
    struct jq_worker_row row;
    worker_row(core, worker_at(core, index), &scratch, true, &row);
    worker_units(core, worker_at(core, index), &units, &row);
    workers_reply(core, request, &row, 1, 0);
}

void worker_ls_request(struct jq_core *core, const struct jq_request *request) {
    if (request->op == JQ_OP_WORKER_SHOW) {
        worker_show(core, request);
        return;
    }
    struct worker_scratch *scratch = calloc(WORKER_ROWS_MAX, sizeof(*scratch));
    struct jq_worker_row *rows = calloc(WORKER_ROWS_MAX, sizeof(*rows));
    JQ_CHECK(scratch && rows);
    size_t count = 0;
    uint32_t at = request->u.named.after + (request->u.named.after < UINT32_MAX);
    for (; at < core->worker_count && count < WORKER_ROWS_MAX; at++) {
        if (core->workers[at].used) {
            worker_row(core, worker_at(core, at), &scratch[count], false, &rows[count]);
            count++;
        }
    }
    workers_reply(core, request, rows, count, at < core->worker_count ? at - 1 : 0);
    free(rows);
    free(scratch);
}

/* ---- the server ---- */

void jq_core_status(const struct jq_core *core, struct jq_server_row *ret_row) {
    *ret_row = core->totals;
    ret_row->epoch = core->epoch;
    ret_row->digest = core->digest;
    ret_row->scheduled = core->scheduled_count;
    ret_row->ready = core->ready_count;
    ret_row->running = core->running_count;
    ret_row->dead = core->dead_count;
    ret_row->waiting = core->waiting_count;
    ret_row->blocked = core->blocked_count;
    ret_row->flows = core->flows.used_count;
    ret_row->schedules = core->schedules.used_count;
    ret_row->schedules_troubled = core->schedules.troubled;
    ret_row->tasks_live =
        core->waiting_count + core->blocked_count + core->scheduled_count + core->ready_count + core->running_count;
    ret_row->tasks_finished = core->finished_count;
    ret_row->queues = core->queue_count;
    ret_row->classes = core->class_count;
    ret_row->workers = 0;
    ret_row->workers_alive = 0;
    for (uint32_t i = 1; i < core->worker_count; i++) {
        ret_row->workers += core->workers[i].used;
        ret_row->workers_alive += core->workers[i].used && core->workers[i].profile != NULL && !core->workers[i].asleep;
    }
    ret_row->parked_polls = core->parked_count;
    ret_row->parked_waits = core->waiters.used_count;
    ret_row->withheld = core->withheld.used_count;
    ret_row->senders = core->senders_used;
    ret_row->breakers_open = core->breakers.not_closed;
    ret_row->keys = core->keys.used_count;
    ret_row->memory_bytes = tasks_memory_bytes(core);
    ret_row->memory_max = core->config.memory_max;
    ret_row->disk_free_bytes = core->disk_free_bytes;
    ret_row->log_bytes = core->log_bytes;
    ret_row->stuck_tries = core->stuck_tries;
    ret_row->blobs = core->blob_count;
    ret_row->blob_bytes = core->blob_bytes;
    ret_row->needs_from_lsn = jq_core_needs_from(core);
    ret_row->cache_entries = core->cached.used_count;
    ret_row->cache_bytes = core->cached_bytes;
    ret_row->cache_output_bytes = core->cached_output_bytes;
    ret_row->draining = core->stopping;
    ret_row->memory_busy = core->memory_busy;
    ret_row->disk_busy = core->disk_busy;
}

void server_status_request(struct jq_core *core, const struct jq_request *request) {
    struct jq_reply_effect reply = {.call = request->call, .request = request->id, .op = request->op};
    jq_core_status(core, &reply.u.server);
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}
