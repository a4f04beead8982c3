/* limit_ops.c - what operators do with limits: set, list, remove. */
#include "broker/core/state.h"

enum { LIMIT_ROWS_MAX = 200 };

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
    if (limit_find(core, request->u.limit.scope) == 0) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "scope", "no such limit");
        return;
    }
    struct jq_record record = {.type = JQ_RECORD_LIMIT_REMOVED, .u.limit_removed = {.scope = request->u.limit.scope}};
    emit(core, &record);
    news_name(core, JQ_NEWS_LIMIT_SET, request->u.limit.scope, 0);
    many_done(core, request, 1);
}

static void limit_row(const struct jq_core *core, const struct limit *limit, struct jq_limit_row *ret_row) {
    *ret_row = (struct jq_limit_row){.scope = limit->scope,
                                     .concurrency = limit->concurrency,
                                     .rate = limit->rate,
                                     .burst = limit->burst,
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
