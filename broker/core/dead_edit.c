/* dead_edit.c - a dead letter is changed before it is replayed: what it carries, where it waits, what it needs. */
#include "broker/core/state.h"
#include "broker/core/submit.h"

/* What the task is to be: as it is, but for what the edit gives. */
struct edited {
    struct jq_str queue_name, handler, need, want;
    struct jq_options options;
    uint16_t queue, class_index;
    uint32_t options_index;
    uint8_t priority;
};

static bool refuse(struct jq_core *core, const struct jq_request *request, enum jq_reply status, const char *field,
                   const char *reason) {
    reply_refuse(core, request, status, field, reason);
    return false;
}

static bool given(const struct jq_request *request, enum jq_edit_field field) {
    return (request->u.edit.given & (uint32_t)field) != 0;
}

static struct jq_options merged_options(const struct jq_options *now, const struct jq_request *request) {
    const struct jq_submit_item *item = &request->u.edit.item;
    return (struct jq_options){
        .retry_max = given(request, JQ_EDIT_RETRY_MAX) ? item->retry_max : now->retry_max,
        .retry_base_ms = given(request, JQ_EDIT_RETRY_BASE) ? item->retry_base_ms : now->retry_base_ms,
        .retry_cap_ms = given(request, JQ_EDIT_RETRY_CAP) ? item->retry_cap_ms : now->retry_cap_ms,
        .soft_limit_ms = given(request, JQ_EDIT_SOFT_LIMIT) ? item->soft_limit_ms : now->soft_limit_ms,
        .hard_limit_ms = given(request, JQ_EDIT_HARD_LIMIT) ? item->hard_limit_ms : now->hard_limit_ms,
        .result_ttl_ms = given(request, JQ_EDIT_RESULT_TTL) ? item->result_ttl_ms : now->result_ttl_ms};
}

static struct edited merged(const struct jq_core *core, const struct task *task, const struct jq_request *request) {
    const struct jq_submit_item *item = &request->u.edit.item;
    const struct class_entry *entry = &core->classes[task->class_index];
    return (struct edited){.queue_name = given(request, JQ_EDIT_QUEUE) ? item->queue : core->queues[task->queue].name,
                           .handler = given(request, JQ_EDIT_HANDLER) ? item->handler : entry->handler,
                           .need = given(request, JQ_EDIT_NEED) ? item->need : entry->need,
                           .want = given(request, JQ_EDIT_WANT) ? item->want : entry->want,
                           .options = merged_options(&core->options[task->options].options, request),
                           .priority = given(request, JQ_EDIT_PRIORITY) ? (uint8_t)item->priority : task->priority};
}

/* The first part of a queue's name: keys and flows are unique inside of it. */
static struct jq_str namespace_of(struct jq_str queue) {
    size_t size = 0;
    while (size < queue.size && queue.data[size] != '.') {
        size++;
    }
    return (struct jq_str){queue.data, size};
}

/* False: refused. */
static bool check(struct jq_core *core, const struct jq_request *request, const struct task *task,
                  const struct edited *edited) {
    const struct side *side = task_side_if(core, task);
    const uint64_t version = request->u.edit.version;
    const struct jq_options *options = &edited->options;
    if (task->state != JQ_STATE_DEAD) {
        return refuse(core, request, JQ_REPLY_CONFLICT, "id", not_dead_reason((enum jq_state)task->state));
    }
    if (version != 0 && version != side_version(side)) {
        return refuse(core, request, JQ_REPLY_CONFLICT, "version", "somebody has edited it meanwhile: look again");
    }
    if (!jq_str_equal(namespace_of(edited->queue_name), namespace_of(core->queues[task->queue].name))) {
        return refuse(core, request, JQ_REPLY_INVALID, "queue", "of another namespace: a task stays in its own");
    }
    if (options->hard_limit_ms > 0 && options->soft_limit_ms > options->hard_limit_ms) {
        return refuse(core, request, JQ_REPLY_INVALID, "soft_limit_ms", "above hard_limit_ms");
    }
    return true;
}

/* False: refused. */
static bool intern(struct jq_core *core, const struct jq_request *request, struct edited *edited) {
    const enum jq_reply queue = queue_intern(core, edited->queue_name, &edited->queue);
    if (queue == JQ_REPLY_NOT_FOUND ||
        (queue == JQ_REPLY_OK && core->config.queues_declared && !core->queues[edited->queue].declared)) {
        return refuse(core, request, JQ_REPLY_NOT_FOUND, "queue", "not declared");
    }
    if (queue != JQ_REPLY_OK) {
        return refuse(core, request, JQ_REPLY_BUSY, "limits", "queues_max reached");
    }
    const struct task *task = task_at(core, task_find(core, request->u.edit.id));
    if (!group_has_room(core, task->group ? group_at(core, task->group)->name : JQ_STR(""), edited->queue)) {
        return refuse(core, request, JQ_REPLY_BUSY, "limits", "groups_max reached");
    }
    if (class_intern(core, edited->handler, edited->need, edited->want, &edited->class_index) != JQ_REPLY_OK) {
        return refuse(core, request, JQ_REPLY_BUSY, "limits", "classes_max reached");
    }
    if (options_intern(core, &edited->options, &edited->options_index) != JQ_REPLY_OK) {
        return refuse(core, request, JQ_REPLY_BUSY, "limits", "options_max reached");
    }
    return true;
}

void dead_edit_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    const uint32_t ref = task_find_within(core, &request->reach, request->u.edit.id);
    if (ref == 0) {
        (void)refuse(core, request, JQ_REPLY_NOT_FOUND, "id", "no such task: never submitted, or forgotten");
        return;
    }
    const struct task *task = task_at(core, ref);
    struct edited edited = merged(core, task, request);
    if (!check(core, request, task, &edited) || !intern(core, request, &edited)) {
        return;
    }
    struct jq_record record = {
        .type = JQ_RECORD_TASK_EDITED,
        .u.task_edited = {.task = {task->id},
                          .queue = edited.queue,
                          .class_index = edited.class_index,
                          .options = edited.options_index,
                          .priority = edited.priority,
                          .body = given(request, JQ_EDIT_BODY) ? request->u.edit.item.body : (struct jq_bytes){0}}};
    emit(core, &record);
    news_task(core, JQ_NEWS_TASK_EDITED, task);
    many_done(core, request, 1);
}
