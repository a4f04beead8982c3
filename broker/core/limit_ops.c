/* limit_ops.c - what operators do with limits: set, list, remove; and those that the configuration sets for queues. */
#include "broker/core/state.h"

enum { LIMIT_ROWS_MAX = 200 };

/* ---- what the configuration says of queues ---- */

#define QUEUE_SCOPE "queue:"
enum { PREFIX_SIZE = sizeof(QUEUE_SCOPE) - 1 };

static struct jq_str scope_of(char out[JQ_SCOPE_SIZE_MAX], const struct jq_queue_config *queue) {
    const size_t size = strlen(queue->name);
    JQ_CHECK(PREFIX_SIZE + size <= JQ_SCOPE_SIZE_MAX);
    memcpy(out, QUEUE_SCOPE, PREFIX_SIZE);
    memcpy(out + PREFIX_SIZE, queue->name, size);
    return (struct jq_str){out, PREFIX_SIZE + size};
}

/* Sets what the queue's section says, unless an operator has said otherwise, or it is so already. */
static void limit_configure(struct jq_core *core, const struct jq_queue_config *queue) {
    char text[JQ_SCOPE_SIZE_MAX];
    const struct jq_str scope = scope_of(text, queue);
    const uint32_t ref = limit_find(core, scope);
    const struct limit *limit = ref ? limit_at(core, ref) : NULL;
    const uint32_t burst = queue->rate.count > 0 ? jq_rate_burst_default(queue->rate) : 0;
    if (limit && (!limit->configured ||
                  (limit->concurrency == queue->concurrency && limit->burst == burst &&
                   limit->rate.count == queue->rate.count && limit->rate.period_ms == queue->rate.period_ms))) {
        return;
    }
    struct jq_record record = {.type = JQ_RECORD_LIMIT_SET,
                               .u.limit_set = {.scope = scope,
                                               .concurrency = queue->concurrency,
                                               .rate = queue->rate,
                                               .burst = burst,
                                               .due_us = limit ? meter_at(core, limit->meter)->due_us : 0,
                                               .configured = true}};
    emit(core, &record);
    news_name(core, JQ_NEWS_LIMIT_SET, scope, 1);
}

static bool has_limit(const struct jq_queue_config *queue) {
    return queue->concurrency > 0 || queue->rate.count > 0;
}

/* The section that sets this limit; NULL: none. */
static const struct jq_queue_config *section_of(const struct jq_core *core, struct jq_str scope) {
    if (scope.size <= PREFIX_SIZE || memcmp(scope.data, QUEUE_SCOPE, PREFIX_SIZE) != 0) {
        return NULL;
    }
    const struct jq_queue_config *queue =
        queue_config(core, (struct jq_str){scope.data + PREFIX_SIZE, scope.size - PREFIX_SIZE});
    return queue && has_limit(queue) ? queue : NULL;
}

static void limit_remove(struct jq_core *core, struct jq_str scope) {
    struct jq_record record = {.type = JQ_RECORD_LIMIT_REMOVED, .u.limit_removed = {.scope = scope}};
    emit(core, &record);
    news_name(core, JQ_NEWS_LIMIT_SET, scope, 0);
}

/* A section that is there no more takes its limit with it. */
void limits_configure(struct jq_core *core) {
    for (uint32_t ref = 1; ref < core->limits.fresh; ref++) {
        const struct limit *limit = limit_at(core, ref);
        if (limit->used && limit->configured && !section_of(core, limit->scope)) {
            char text[JQ_SCOPE_SIZE_MAX];
            memcpy(text, limit->scope.data, limit->scope.size);
            limit_remove(core, (struct jq_str){text, limit->scope.size});
        }
    }
    for (uint32_t i = 0; i < core->config.queue_count; i++) {
        if (has_limit(&core->config.queues[i])) {
            limit_configure(core, &core->config.queues[i]);
        }
    }
}

/* ---- requests ---- */

void limit_set_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    if (limit_find(core, request->u.limit.scope) == 0 && core->limit_count >= core->config.limits_max) {
        reply_refuse(core, request, JQ_REPLY_BUSY, "limits", "limits_max reached");
        return;
    }
    struct jq_record record = {.type = JQ_RECORD_LIMIT_SET,
                               .u.limit_set = {.scope = request->u.limit.scope,
                                               .concurrency = request->u.limit.concurrency,
                                               .rate = request->u.limit.rate,
                                               .burst = request->u.limit.burst}};
    emit(core, &record);
    news_name(core, JQ_NEWS_LIMIT_SET, request->u.limit.scope, 1);
    many_done(core, request, 1);
}

void limit_rm_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    const uint32_t ref = limit_find(core, request->u.limit.scope);
    if (ref == 0) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "scope", "no such limit");
        return;
    }
    if (limit_at(core, ref)->configured) {
        reply_refuse(core, request, JQ_REPLY_CONFLICT, "scope",
                     "the broker's configuration sets it: set another, or change that");
        return;
    }
    const struct jq_queue_config *section = section_of(core, request->u.limit.scope);
    limit_remove(core, request->u.limit.scope);
    if (section) {
        limit_configure(core, section); /* what the operator had said otherwise */
    }
    many_done(core, request, 1);
}

static void limit_row(const struct jq_core *core, const struct limit *limit, struct jq_limit_row *ret_row) {
    *ret_row = (struct jq_limit_row){.scope = limit->scope,
                                     .concurrency = limit->concurrency,
                                     .rate = limit->rate,
                                     .burst = limit->burst,
                                     .configured = limit->configured,
                                     .held = limit->closed_count,
                                     .groups = limit->group_count};
    if (limit->meter != 0) {
        const struct meter *meter = meter_at(core, limit->meter);
        const int64_t opens_ms = meter_opens_ms(core, meter);
        ret_row->running = meter->running;
        ret_row->opens_in_ms = opens_ms > core->now_ms ? opens_ms - core->now_ms : 0;
    }
}

void limit_ls_request(struct jq_core *core, const struct jq_request *request) {
    struct jq_limit_row rows[LIMIT_ROWS_MAX];
    size_t count = 0;
    uint64_t ref = request->u.page.after + 1;
    for (; ref < core->limits.fresh && count < LIMIT_ROWS_MAX; ref++) {
        const struct limit *limit = limit_at(core, (uint32_t)ref);
        if (limit->used) {
            limit_row(core, limit, &rows[count]);
            rows[count++].number = ref;
        }
    }
    const struct jq_reply_effect reply = {
        .call = request->call,
        .request = request->id,
        .op = request->op,
        .u.limits = {.rows = rows, .count = count, .next = ref < core->limits.fresh ? ref - 1 : 0}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}
