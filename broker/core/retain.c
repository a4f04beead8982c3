/* retain.c - tasks that have ended: remembered for their result_ttl, and at most finished_max of them; dead letters apart.
 *
 * Finished tasks of one option set share one result_ttl, so a list per set is in the order of forgetting, and a heap holds the
 * sets by their first.
 */
#include "broker/core/state.h"

enum { FORGOTTEN_PER_STEP_MAX = 1000 };

static void chain_append(struct jq_core *core, uint32_t *head, uint32_t *tail, uint32_t ref) {
    struct task *task = task_at(core, ref);
    task->prev = *tail;
    task->next = 0;
    if (*tail != 0) {
        task_at(core, *tail)->next = ref;
    } else {
        *head = ref;
    }
    *tail = ref;
}

static void chain_remove(struct jq_core *core, uint32_t *head, uint32_t *tail, uint32_t ref) {
    struct task *task = task_at(core, ref);
    if (task->prev != 0) {
        task_at(core, task->prev)->next = task->next;
    } else {
        *head = task->next;
    }
    if (task->next != 0) {
        task_at(core, task->next)->prev = task->prev;
    } else {
        *tail = task->prev;
    }
    task->prev = 0;
    task->next = 0;
}

static int64_t forget_ms(const struct jq_core *core, const struct options_entry *entry) {
    return task_at(core, entry->head)->at_ms + entry->options.result_ttl_ms;
}

void finished_add(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    if (task->state == JQ_STATE_DEAD) {
        chain_append(core, &core->dead_head, &core->dead_tail, ref);
        core->dead_count++;
        core->queues[task->queue].dead++;
        return;
    }
    struct options_entry *entry = &core->options[task->options];
    chain_append(core, &entry->head, &entry->tail, ref);
    core->finished_count++;
    core->queues[task->queue].finished++;
    if (entry->retain_position == 0) {
        JQ_CHECK(jq_heap_put(&core->retain, forget_ms(core, entry), task->options));
    }
}

void finished_remove(struct jq_core *core, uint32_t ref) {
    const struct task *task = task_at(core, ref);
    if (task->state == JQ_STATE_DEAD) {
        walks_pass(core, ref);
        chain_remove(core, &core->dead_head, &core->dead_tail, ref);
        core->dead_count--;
        core->queues[task->queue].dead--;
        return;
    }
    struct options_entry *entry = &core->options[task->options];
    chain_remove(core, &entry->head, &entry->tail, ref);
    core->finished_count--;
    core->queues[task->queue].finished--;
    if (entry->head == 0) {
        jq_heap_remove(&core->retain, entry->retain_position);
    } else {
        jq_heap_update(&core->retain, entry->retain_position, forget_ms(core, entry));
    }
}

void task_forget(struct jq_core *core, uint32_t ref) {
    news_task(core, JQ_NEWS_TASK_FORGOTTEN, task_at(core, ref));
    struct jq_record record = {.type = JQ_RECORD_TASK_FORGOTTEN, .u.task_forgotten = {{task_at(core, ref)->id}}};
    emit(core, &record);
}

/* Those that wait for it would wait for ever. */
void dead_remove(struct jq_core *core, uint32_t ref) {
    if (node_is_waited_for(core, task_at(core, ref))) {
        task_end(core, ref, JQ_STATE_CANCELLED, JQ_OUTCOME_CANCELLED);
    } else {
        task_forget(core, ref);
    }
}

void finished_expire(struct jq_core *core) {
    for (int i = 0; i < FORGOTTEN_PER_STEP_MAX; i++) {
        const struct jq_heap_entry *first = jq_heap_min(&core->retain);
        const int64_t late_ms = CANARY(EARLY_FORGET) ? 1000 : 0;
        if (!first || (first->key > core->now_ms + late_ms && core->finished_count <= core->config.finished_max)) {
            break;
        }
        if (node_is_waited_for(core, task_at(core, core->options[first->ref].head))) {
            break; /* a few steps more, and all is decided */
        }
        task_forget(core, core->options[first->ref].head);
    }
    for (int i = 0; i < FORGOTTEN_PER_STEP_MAX && core->config.dead_ttl_ms > 0 && core->dead_head != 0; i++) {
        if (task_at(core, core->dead_head)->at_ms + core->config.dead_ttl_ms > core->now_ms) {
            break;
        }
        dead_remove(core, core->dead_head);
    }
}

int64_t finished_deadline_ms(const struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->retain);
    int64_t deadline_ms = first ? first->key : INT64_MAX;
    if (core->config.dead_ttl_ms > 0 && core->dead_head != 0) {
        const int64_t dead_ms = task_at(core, core->dead_head)->at_ms + core->config.dead_ttl_ms;
        deadline_ms = dead_ms < deadline_ms ? dead_ms : deadline_ms;
    }
    return core->finished_count > core->config.finished_max ? core->now_ms : deadline_ms;
}
