/* wait.c - clients that wait for tasks to end: a long poll, answered as soon as one of the tasks asked for has ended. */
#include <stdlib.h>

#include "broker/core/state.h"

enum { ROWS_BYTES_MAX = 54 * 1024, ROW_BYTES = 420 };

static struct waiter *waiter_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->waiters, ref);
}

/* The rows of those that ended or are unknown, as many as an answer holds. */
static size_t rows_make(struct jq_core *core, const struct jq_reach *reach, const jq_task_id *ids, size_t count,
                        struct jq_task_row *rows) {
    size_t made = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const uint32_t ref = task_find_within(core, reach, ids[i]);
        struct jq_task_row row = {.id = ids[i]};
        if (ref != 0 && !jq_state_is_final(task_at(core, ref)->state)) {
            continue;
        }
        if (ref != 0) {
            task_row(core, task_at(core, ref), &row);
        }
        bytes += ROW_BYTES + row.last.size;
        if (made > 0 && bytes > ROWS_BYTES_MAX) {
            break;
        }
        rows[made++] = row;
    }
    return made;
}

static void wait_reply(struct jq_core *core, const struct waiter *waiter, enum jq_reply status) {
    const size_t count = waiter->count;
    struct jq_task_row *rows = calloc(count + 1, sizeof(*rows));
    JQ_CHECK(rows != NULL);
    const struct jq_reply_effect reply = {
        .call = waiter->call,
        .request = waiter->request,
        .op = JQ_OP_WAIT,
        .status = status,
        .u.tasks = {.rows = rows, .count = rows_make(core, &waiter->reach, waiter->ids, count, rows)}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
    free(rows);
}

static void link_add(struct jq_core *core, uint32_t waiter, jq_task_id task) {
    const uint32_t ref = jq_slab_take(&core->wait_links);
    struct wait_link *link = jq_slab_at(&core->wait_links, ref);
    *link = (struct wait_link){.waiter = waiter, .next = jq_map_get(&core->wait_map, task.value, 0)};
    JQ_CHECK(jq_map_put(&core->wait_map, task.value, ref));
}

static void link_remove(struct jq_core *core, uint32_t waiter, jq_task_id task) {
    uint32_t ref = jq_map_get(&core->wait_map, task.value, 0), before = 0;
    while (ref != 0) {
        struct wait_link *link = jq_slab_at(&core->wait_links, ref);
        const uint32_t next = link->next;
        if (link->waiter != waiter) {
            before = ref;
        } else if (before != 0) {
            ((struct wait_link *)jq_slab_at(&core->wait_links, before))->next = next;
            jq_slab_give(&core->wait_links, ref);
        } else {
            jq_slab_give(&core->wait_links, ref);
            if (next != 0) {
                JQ_CHECK(jq_map_put(&core->wait_map, task.value, next));
            } else {
                JQ_CHECK(jq_map_remove(&core->wait_map, task.value));
            }
        }
        ref = next;
    }
}

static void due_remove(struct jq_core *core, uint32_t ref) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < core->waiters_due_count; i++) {
        if (core->waiters_due[i] != ref) {
            core->waiters_due[kept++] = core->waiters_due[i];
        }
    }
    core->waiters_due_count = kept;
}

static void waiter_remove(struct jq_core *core, uint32_t ref) {
    struct waiter *waiter = waiter_at(core, ref);
    if (waiter->due) { /* its connection went, or the broker stops, in the very step in which its task ended */
        due_remove(core, ref);
    }
    for (uint32_t i = 0; i < waiter->count; i++) {
        link_remove(core, ref, waiter->ids[i]);
    }
    if (waiter->prev) {
        waiter_at(core, waiter->prev)->next = waiter->next;
    } else {
        core->waiter_head = waiter->next;
    }
    if (waiter->next) {
        waiter_at(core, waiter->next)->prev = waiter->prev;
    } else {
        core->waiter_tail = waiter->prev;
    }
    jq_heap_remove(&core->wait_timers, waiter->timer);
    free(waiter->ids);
    jq_slab_give(&core->waiters, ref);
}

static void waiter_answer(struct jq_core *core, uint32_t ref, enum jq_reply status) {
    wait_reply(core, waiter_at(core, ref), status);
    waiter_remove(core, ref);
}

static void waiter_add(struct jq_core *core, const struct jq_request *request) {
    const size_t count = request->u.wait.count;
    const uint32_t ref = jq_slab_take(&core->waiters);
    struct waiter *waiter = waiter_at(core, ref);
    *waiter = (struct waiter){.call = request->call,
                              .request = request->id,
                              .pipe = request->pipe,
                              .reach = request->reach,
                              .ids = malloc(count * sizeof(jq_task_id)),
                              .count = (uint32_t)count,
                              .prev = core->waiter_tail};
    JQ_CHECK(waiter->ids != NULL);
    memcpy(waiter->ids, request->u.wait.ids, count * sizeof(jq_task_id));
    if (core->waiter_tail) {
        waiter_at(core, core->waiter_tail)->next = ref;
    } else {
        core->waiter_head = ref;
    }
    core->waiter_tail = ref;
    JQ_CHECK(jq_heap_put(&core->wait_timers, core->now_ms + request->u.wait.wait_ms, ref));
    for (size_t i = 0; i < count; i++) {
        link_add(core, ref, waiter->ids[i]);
    }
}

void wait_request(struct jq_core *core, const struct jq_request *request) {
    bool all_open = request->u.wait.count > 0;
    for (size_t i = 0; i < request->u.wait.count && all_open; i++) {
        const uint32_t ref = task_find_within(core, &request->reach, request->u.wait.ids[i]);
        all_open = ref != 0 && !jq_state_is_final(task_at(core, ref)->state);
    }
    if (all_open && request->u.wait.wait_ms > 0 && !core->stopping &&
        core->waiters.used_count < core->config.parked_max) {
        waiter_add(core, request);
        return;
    }
    const struct waiter now = {.call = request->call,
                               .request = request->id,
                               .reach = request->reach,
                               .ids = (jq_task_id *)(uintptr_t)request->u.wait.ids,
                               .count = (uint32_t)request->u.wait.count};
    wait_reply(core, &now, JQ_REPLY_OK);
}

void waiters_wake(struct jq_core *core, jq_task_id task) {
    if (jq_map_count(&core->wait_map) == 0) {
        return;
    }
    for (uint32_t ref = jq_map_get(&core->wait_map, task.value, 0); ref != 0;) {
        const struct wait_link *link = jq_slab_at(&core->wait_links, ref);
        struct waiter *waiter = waiter_at(core, link->waiter);
        if (!waiter->due) {
            waiter->due = true;
            core->waiters_due = array_grow(core->waiters_due, core->waiters_due_count, &core->waiters_due_capacity,
                                           sizeof(*core->waiters_due));
            core->waiters_due[core->waiters_due_count++] = link->waiter;
        }
        ref = link->next;
    }
}

void waiters_flush(struct jq_core *core) {
    for (uint32_t i = 0; i < core->waiters_due_count; i++) {
        waiter_at(core, core->waiters_due[i])->due = false;
        waiter_answer(core, core->waiters_due[i], JQ_REPLY_OK);
    }
    core->waiters_due_count = 0;
}

void waits_expire(struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->wait_timers);
    while (first && first->key <= core->now_ms) {
        waiter_answer(core, first->ref, JQ_REPLY_OK);
        first = jq_heap_min(&core->wait_timers);
    }
}

void waits_drop_pipe(struct jq_core *core, uint64_t pipe) {
    for (uint32_t ref = core->waiter_head; ref != 0;) {
        const uint32_t next = waiter_at(core, ref)->next;
        if (waiter_at(core, ref)->pipe == pipe) {
            call_drop(core, waiter_at(core, ref)->call);
            waiter_remove(core, ref);
        }
        ref = next;
    }
}

void waits_stop(struct jq_core *core) {
    while (core->waiter_head != 0) {
        waiter_answer(core, core->waiter_head, JQ_REPLY_DRAINING);
    }
}
