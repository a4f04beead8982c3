/* breaker_ops.c - what operators ask of circuit breakers: to see them, to trip one, to reset one. */
#include <stdlib.h>

#include "broker/core/state.h"

enum { BREAKER_ROWS_MAX = 500 };

/* ---- seeing ---- */

static void row_of(struct jq_core *core, struct breaker *breaker, struct jq_breaker_row *ret_row) {
    breaker_window_move(&breaker->window, &core->config.breaker, core->now_ms);
    *ret_row = (struct jq_breaker_row){.name = breaker->name,
                                       .kind = (enum jq_breaker_kind)breaker->kind,
                                       .state = (enum jq_breaker_state)breaker->state,
                                       .by_operator = breaker->by_operator,
                                       .calls = breaker->window.calls_sum,
                                       .failures = breaker->window.bad_sum,
                                       .probes_good = breaker->probes_good,
                                       .since_ms = breaker->since_ms,
                                       .until_ms = breaker->until_ms,
                                       .wall_offset_ms = core->wall_ms - core->now_ms,
                                       .cool_down_ms = breaker->cool_down_ms,
                                       .handlers = breaker->handlers};
}

static void breakers_reply(struct jq_core *core, const struct jq_request *request, const struct jq_breaker_row *rows,
                           size_t count, size_t left_out) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .u.breakers = {.rows = rows, .count = count, .left_out = left_out}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

/* Those of which there is something to tell come first. */
static void list(struct jq_core *core, const struct jq_request *request) {
    struct jq_breaker_row *rows = calloc(BREAKER_ROWS_MAX, sizeof(*rows));
    JQ_CHECK(rows != NULL);
    size_t count = 0, left_out = 0;
    const int passes = request->u.breaker.not_closed ? 1 : 2;
    for (int closed = 0; closed < passes; closed++) {
        for (uint32_t i = 1; i < core->breakers.count; i++) {
            struct breaker *breaker = breaker_at(&core->breakers, i);
            if (!breaker->used || (breaker->state == JQ_BREAKER_CLOSED) != closed) {
                continue;
            }
            if (count < BREAKER_ROWS_MAX) {
                row_of(core, breaker, &rows[count++]);
            } else {
                left_out++;
            }
        }
    }
    breakers_reply(core, request, rows, count, left_out);
    free(rows);
}

void breaker_ls_request(struct jq_core *core, const struct jq_request *request) {
    if (request->op == JQ_OP_BREAKER_LS) {
        list(core, request);
        return;
    }
    const uint32_t index = breaker_find(core, request->u.breaker.kind, request->u.breaker.name);
    if (index == 0) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "name", "no such breaker: nothing was ever counted there");
        return;
    }
    struct jq_breaker_row row;
    row_of(core, breaker_at(&core->breakers, index), &row);
    breakers_reply(core, request, &row, 1, 0);
}

/* ---- setting ---- */

static bool handler_is_known(struct jq_core *core, struct jq_str name) {
    for (uint32_t i = 0; i < core->class_count; i++) {
        if (jq_str_equal(core->classes[i].handler, name)) {
            return true;
        }
    }
    for (uint32_t i = 1; i < core->worker_count; i++) {
        const struct profile *profile = core->workers[i].profile;
        if (profile && profile_handler(profile, name)) {
            return true;
        }
    }
    return false;
}

/* A breaker that was never asked for can be tripped, if what it would be of is known: a name mistyped holds nothing back. */
static bool is_known(struct jq_core *core, const struct jq_request *request) {
    const struct jq_str name = request->u.breaker.name;
    return breaker_find(core, request->u.breaker.kind, name) != 0 ||
           (request->u.breaker.kind == JQ_BREAKER_HANDLER && handler_is_known(core, name)) ||
           (request->u.breaker.kind == JQ_BREAKER_WORKER && worker_of_name(core, name) != 0);
}

static const char *unknown_reason(enum jq_breaker_kind kind) {
    return kind == JQ_BREAKER_HANDLER  ? "no such handler: no task and no worker names it"
           : kind == JQ_BREAKER_WORKER ? "no such worker"
                                       : "no such service: no report has named it";
}

static void reset(struct jq_core *core, uint32_t index) {
    struct breaker *breaker = breaker_at(&core->breakers, index);
    if (breaker->state == JQ_BREAKER_CLOSED) {
        breaker->window = (struct breaker_window){0};
        return;
    }
    const struct breaker_change change = {.state = JQ_BREAKER_CLOSED};
    breaker_change(core, index, &change);
}

static void trip(struct jq_core *core, uint32_t index, int64_t for_ms) {
    const struct breaker_change change = {.state = JQ_BREAKER_OPEN,
                                          .by_operator = true,
                                          .until_ms = for_ms > 0 ? core->now_ms + for_ms : 0,
                                          .cool_down_ms = core->config.breaker.cool_down_ms};
    breaker_change(core, index, &change);
}

void breaker_set_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    if (!is_known(core, request)) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "name", unknown_reason(request->u.breaker.kind));
        return;
    }
    const uint32_t index = breaker_make(core, request->u.breaker.kind, request->u.breaker.name);
    if (index == 0) {
        reply_refuse(core, request, JQ_REPLY_BUSY, "limits", "the table of breakers is full");
        return;
    }
    if (request->op == JQ_OP_BREAKER_TRIP) {
        trip(core, index, request->u.breaker.for_ms);
    } else {
        reset(core, index);
    }
    many_done(core, request, 1);
}
