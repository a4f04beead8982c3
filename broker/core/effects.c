/* effects.c - short ways to say things. */
#include <stdlib.h>

#include "broker/core/state.h"

void reply_send(struct jq_core *core, const struct jq_reply_effect *reply, enum jq_effect_level level) {
    const struct jq_effect effect = {.type = JQ_EFFECT_REPLY, .level = level, .u.reply = *reply};
    core->output->effect(core->output->ctx, &effect);
}

void reply_refuse(struct jq_core *core, const struct jq_request *request, enum jq_reply status, const char *field,
                  const char *reason) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .status = status,
                                          .field = field,
                                          .reason = reason,
                                          .retry_after_ms = status == JQ_REPLY_BUSY ? 1000 : 0};
    core->totals.refused_total++;
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

void call_drop(struct jq_core *core, uint64_t call) {
    const struct jq_effect effect = {.type = JQ_EFFECT_DROP, .level = JQ_EFFECT_AT_ONCE, .u.drop_call = call};
    core->output->effect(core->output->ctx, &effect);
}

/* The union of an effect is larger than news: what is not theirs is left as it is. */
static void news_send(struct jq_core *core, const struct jq_news *news, const struct task *task) {
    struct jq_effect effect;
    effect.type = JQ_EFFECT_NEWS;
    effect.level = JQ_EFFECT_AT_ONCE;
    effect.u.news = *news;
    event_note(core, news, task);
    core->output->effect(core->output->ctx, &effect);
}

void news_task(struct jq_core *core, enum jq_news_type type, const struct task *task) {
    const struct side *side = task_side_if(core, task);
    const bool leased = task->lease != 0;
    const struct jq_news news = {
        .type = type,
        .task = {task->id},
        .name = leased ? worker_at(core, lease_at(core, task->lease)->worker)->name : core->queues[task->queue].name,
        .state = task_shown(task),
        .outcome = (enum jq_outcome)task->outcome,
        .number = (type == JQ_NEWS_TASK_RETRIED || type == JQ_NEWS_TASK_REVIVED) && task->at_ms > core->now_ms
                      ? task->at_ms - core->now_ms
                      : 0,
        .attempts = task->attempts,
        .crashes = task->crashes,
        .losses = side ? side->losses : 0u};
    news_send(core, &news, task);
}

void news_parent(struct jq_core *core, enum jq_news_type type, const struct task *task, const struct task *parent) {
    const struct jq_news news = {.type = type,
                                 .task = {task->id},
                                 .name = core->queues[task->queue].name,
                                 .state = (enum jq_state)task->state,
                                 .number = (int64_t)parent->id};
    news_send(core, &news, task);
}

void news_flow(struct jq_core *core, enum jq_news_type type, const struct flow *flow) {
    const struct jq_news news = {.type = type, .task = {flow->first}, .name = flow->name, .number = flow->total};
    news_send(core, &news, NULL);
}

void news_breaker(struct jq_core *core, const struct breaker *breaker) {
    const struct jq_news news = {.type = JQ_NEWS_BREAKER_SET,
                                 .name = breaker->name,
                                 .breaker_kind = (enum jq_breaker_kind)breaker->kind,
                                 .breaker_state = (enum jq_breaker_state)breaker->state,
                                 .by_operator = breaker->by_operator,
                                 .number = breaker->until_ms > 0 ? breaker->until_ms - core->now_ms : 0};
    news_send(core, &news, NULL);
}

void news_progress(struct jq_core *core, const struct task *task, uint32_t permille, struct jq_str text) {
    const struct jq_news news = {.type = JQ_NEWS_TASK_PROGRESS,
                                 .task = {task->id},
                                 .name = text,
                                 .state = task_shown(task),
                                 .outcome = (enum jq_outcome)task->outcome,
                                 .number = permille,
                                 .attempts = task->attempts,
                                 .crashes = task->crashes};
    news_send(core, &news, task);
}

void news_name(struct jq_core *core, enum jq_news_type type, struct jq_str name, int64_t number) {
    const struct jq_news news = {.type = type, .name = name, .number = number};
    news_send(core, &news, NULL);
}

void *array_grow(void *array, uint32_t count, uint32_t *capacity, size_t item_size) {
    if (count < *capacity) {
        return array;
    }
    const uint32_t larger = *capacity ? *capacity * 2 : 16;
    void *moved = realloc(array, larger * item_size);
    JQ_CHECK(moved != NULL && larger > *capacity);
    *capacity = larger;
    return moved;
}
