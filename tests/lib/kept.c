#include "tests/lib/kept.h"

#include <stdlib.h>

#include "common/err.h"

struct kept_chunk {
    struct kept_chunk *next;
    uint64_t align;
};

static void *keep(struct kept *kept, const void *data, size_t size) {
    if (size == 0) {
        return NULL;
    }
    struct kept_chunk *chunk = malloc(sizeof(*chunk) + size);
    JQ_CHECK(chunk != NULL);
    chunk->next = kept->chunks;
    kept->chunks = chunk;
    return memcpy(chunk + 1, data, size);
}

static void keep_str(struct kept *kept, struct jq_str *text) {
    text->data = keep(kept, text->data, text->size);
}

static const char *keep_text(struct kept *kept, const char *text) {
    return text ? keep(kept, text, strlen(text) + 1) : NULL;
}

static const struct jq_exception *keep_exceptions(struct kept *kept, const struct jq_exception *from, size_t count) {
    struct jq_exception *copy = keep(kept, from, count * sizeof(*from));
    for (size_t i = 0; i < count; i++) {
        copy[i].field = keep_text(kept, from[i].field);
        copy[i].reason = keep_text(kept, from[i].reason);
    }
    return copy;
}

static void keep_lease(struct kept *kept, struct jq_reply_effect *reply) {
    struct jq_lease_item *items = keep(kept, reply->u.lease.items, reply->u.lease.count * sizeof(*items));
    for (size_t i = 0; i < reply->u.lease.count; i++) {
        keep_str(kept, &items[i].queue);
        keep_str(kept, &items[i].handler);
        struct jq_amount *reserved =
            keep(kept, items[i].reserved, items[i].reserved_count * sizeof(*items[i].reserved));
        for (size_t k = 0; k < items[i].reserved_count; k++) {
            keep_str(kept, &reserved[k].name);
        }
        items[i].reserved = reserved;
        items[i].units.data = keep(kept, items[i].units.data, items[i].units.size);
        items[i].after = keep(kept, items[i].after, items[i].after_count * sizeof(*items[i].after));
        items[i].files.data = keep(kept, items[i].files.data, items[i].files.size);
    }
    reply->u.lease.items = items;
    reply->u.lease.verdicts = keep_exceptions(kept, reply->u.lease.verdicts, reply->u.lease.verdict_count);
    reply->u.lease.commands =
        keep(kept, reply->u.lease.commands, reply->u.lease.command_count * sizeof(*reply->u.lease.commands));
}

static struct jq_task_row *keep_rows(struct kept *kept, const struct jq_task_row *from, size_t count) {
    struct jq_task_row *rows = keep(kept, from, count * sizeof(*from));
    for (size_t i = 0; i < count; i++) {
        keep_str(kept, &rows[i].queue);
        keep_str(kept, &rows[i].handler);
        keep_str(kept, &rows[i].need);
        keep_str(kept, &rows[i].want);
        keep_str(kept, &rows[i].group);
        keep_str(kept, &rows[i].worker);
        keep_str(kept, &rows[i].progress);
        rows[i].after = keep(kept, rows[i].after, rows[i].after_count * sizeof(*rows[i].after));
        rows[i].files.data = keep(kept, rows[i].files.data, rows[i].files.size);
        keep_str(kept, &rows[i].error);
    }
    return rows;
}

static void keep_explain(struct kept *kept, struct jq_reply_effect *reply) {
    struct jq_why_line *lines = keep(kept, reply->u.explain.lines, reply->u.explain.count * sizeof(*lines));
    for (size_t i = 0; i < reply->u.explain.count; i++) {
        keep_str(kept, &lines[i].worker);
        keep_str(kept, &lines[i].detail);
    }
    reply->u.explain.lines = lines;
    reply->u.explain.row = reply->u.explain.row ? keep_rows(kept, reply->u.explain.row, 1) : NULL;
}

static void keep_queues(struct kept *kept, struct jq_reply_effect *reply) {
    struct jq_queue_row *rows = keep(kept, reply->u.queues.rows, reply->u.queues.count * sizeof(*rows));
    for (size_t i = 0; i < reply->u.queues.count; i++) {
        keep_str(kept, &rows[i].name);
    }
    reply->u.queues.rows = rows;
}

static void keep_limits(struct kept *kept, struct jq_reply_effect *reply) {
    struct jq_limit_row *rows = keep(kept, reply->u.limits.rows, reply->u.limits.count * sizeof(*rows));
    for (size_t i = 0; i < reply->u.limits.count; i++) {
        keep_str(kept, &rows[i].scope);
    }
    reply->u.limits.rows = rows;
}

static void keep_amounts(struct kept *kept, struct jq_worker_row *row) {
    struct jq_amount *totals = keep(kept, row->totals, row->offer_count * sizeof(*totals));
    for (size_t i = 0; i < row->offer_count; i++) {
        keep_str(kept, &totals[i].name);
    }
    row->totals = totals;
    row->free = keep(kept, row->free, row->offer_count * sizeof(*row->free));
}

static const struct jq_units *keep_units(struct kept *kept, const struct jq_units *from, size_t count) {
    struct jq_units *units = keep(kept, from, count * sizeof(*units));
    for (size_t i = 0; i < count; i++) {
        keep_str(kept, &units[i].name);
        units[i].indexes = keep(kept, units[i].indexes, units[i].count * sizeof(*units[i].indexes));
    }
    return units;
}

/* What worker.show tells beside the row; of the handlers their names alone. */
static void keep_profile(struct kept *kept, struct jq_worker_row *row) {
    struct jq_name_value *facts = keep(kept, row->facts, row->fact_count * sizeof(*facts));
    for (size_t i = 0; i < row->fact_count; i++) {
        keep_str(kept, &facts[i].name);
        keep_str(kept, &facts[i].value);
    }
    row->facts = facts;
    struct jq_handler_def *handlers = keep(kept, row->handlers, row->handler_count * sizeof(*handlers));
    for (size_t i = 0; i < row->handler_count; i++) {
        const struct jq_str name = handlers[i].name;
        handlers[i] = (struct jq_handler_def){.name = name};
        keep_str(kept, &handlers[i].name);
    }
    row->handlers = handlers;
    row->units = keep_units(kept, row->units, row->unit_count);
    row->units_free = keep_units(kept, row->units_free, row->unit_count);
    struct jq_str *accept = keep(kept, row->accept, row->accept_count * sizeof(*accept));
    for (size_t i = 0; i < row->accept_count; i++) {
        keep_str(kept, &accept[i]);
    }
    row->accept = accept;
}

static void keep_workers(struct kept *kept, struct jq_reply_effect *reply) {
    struct jq_worker_row *rows = keep(kept, reply->u.workers.rows, reply->u.workers.count * sizeof(*rows));
    for (size_t i = 0; i < reply->u.workers.count; i++) {
        keep_str(kept, &rows[i].name);
        keep_str(kept, &rows[i].doorbell);
        keep_amounts(kept, &rows[i]);
        keep_profile(kept, &rows[i]);
    }
    reply->u.workers.rows = rows;
}

static void keep_flows(struct kept *kept, struct jq_reply_effect *reply) {
    struct jq_flow_row *rows = keep(kept, reply->u.flows.rows, reply->u.flows.count * sizeof(*rows));
    for (size_t i = 0; i < reply->u.flows.count; i++) {
        keep_str(kept, &rows[i].name);
    }
    reply->u.flows.rows = rows;
    const size_t count = reply->u.flows.member_count;
    struct jq_member_row *members = keep(kept, reply->u.flows.members, count * sizeof(*members));
    for (size_t i = 0; i < count; i++) {
        keep_str(kept, &members[i].handler);
        members[i].after = keep(kept, members[i].after, members[i].after_count * sizeof(*members[i].after));
    }
    reply->u.flows.members = members;
}

static void keep_breakers(struct kept *kept, struct jq_reply_effect *reply) {
    struct jq_breaker_row *rows = keep(kept, reply->u.breakers.rows, reply->u.breakers.count * sizeof(*rows));
    for (size_t i = 0; i < reply->u.breakers.count; i++) {
        keep_str(kept, &rows[i].name);
        keep_str(kept, &rows[i].handlers);
    }
    reply->u.breakers.rows = rows;
}

/* Of the task only what names it: no test reads the rest. */
static void keep_schedules(struct kept *kept, struct jq_reply_effect *reply) {
    struct jq_schedule_row *rows = keep(kept, reply->u.schedules.rows, reply->u.schedules.count * sizeof(*rows));
    for (size_t i = 0; i < reply->u.schedules.count; i++) {
        const struct jq_submit_item task = rows[i].def.task;
        keep_str(kept, &rows[i].def.name);
        keep_str(kept, &rows[i].def.when);
        keep_str(kept, &rows[i].def.zone);
        rows[i].def.task = (struct jq_submit_item){.queue = task.queue, .handler = task.handler};
        keep_str(kept, &rows[i].def.task.queue);
        keep_str(kept, &rows[i].def.task.handler);
    }
    reply->u.schedules.rows = rows;
}

static void keep_events(struct kept *kept, struct jq_reply_effect *reply) {
    struct jq_event_row *rows = keep(kept, reply->u.events.rows, reply->u.events.count * sizeof(*rows));
    for (size_t i = 0; i < reply->u.events.count; i++) {
        rows[i].event = keep_text(kept, rows[i].event);
        keep_str(kept, &rows[i].queue);
        keep_str(kept, &rows[i].handler);
        keep_str(kept, &rows[i].worker);
        keep_str(kept, &rows[i].name);
    }
    reply->u.events.rows = rows;
}

static void keep_blobs(struct kept *kept, struct jq_reply_effect *reply) {
    struct jq_blob_row *rows = keep(kept, reply->u.blobs.rows, reply->u.blobs.count * sizeof(*rows));
    for (size_t i = 0; i < reply->u.blobs.count; i++) {
        rows[i].hash = keep(kept, rows[i].hash, JQ_BLOB_HASH_SIZE);
    }
    reply->u.blobs.rows = rows;
}

static void keep_reply(struct kept *kept, struct jq_reply_effect *reply) {
    reply->field = keep_text(kept, reply->field);
    reply->reason = keep_text(kept, reply->reason);
    switch (reply->op) {
    case JQ_OP_SCHEDULE_RUN:
    case JQ_OP_SUBMIT:
        reply->u.submit.exceptions = keep_exceptions(kept, reply->u.submit.exceptions, reply->u.submit.exception_count);
        break;
    case JQ_OP_LEASE:
    case JQ_OP_REPORT: keep_lease(kept, reply); break;
    case JQ_OP_WAIT:
    case JQ_OP_TASK_SHOW:
    case JQ_OP_TASK_LS: reply->u.tasks.rows = keep_rows(kept, reply->u.tasks.rows, reply->u.tasks.count); break;
    case JQ_OP_TASK_EXPLAIN: keep_explain(kept, reply); break;
    case JQ_OP_QUEUE_LS: keep_queues(kept, reply); break;
    case JQ_OP_LIMIT_LS: keep_limits(kept, reply); break;
    case JQ_OP_BLOB_STAT:
    case JQ_OP_BLOB_LS: keep_blobs(kept, reply); break;
    case JQ_OP_WORKER_LS:
    case JQ_OP_WORKER_SHOW: keep_workers(kept, reply); break;
    case JQ_OP_BREAKER_LS:
    case JQ_OP_BREAKER_SHOW: keep_breakers(kept, reply); break;
    case JQ_OP_SCHEDULE_LS:
    case JQ_OP_SCHEDULE_SHOW: keep_schedules(kept, reply); break;
    case JQ_OP_EVENTS_READ: keep_events(kept, reply); break;
    case JQ_OP_BLOB_GC:
    case JQ_OP_CACHE_PURGE:
    case JQ_OP_TASK_CANCEL:
    case JQ_OP_DEAD_REPLAY:
    case JQ_OP_DEAD_RM:
    case JQ_OP_QUEUE_SET:
    case JQ_OP_WORKER_DRAIN:
    case JQ_OP_FLOW_CANCEL:
    case JQ_OP_BREAKER_TRIP:
    case JQ_OP_BREAKER_RESET:
    case JQ_OP_DEAD_EDIT:
    case JQ_OP_SCHEDULE_SET:
    case JQ_OP_SCHEDULE_RM:
    case JQ_OP_SCHEDULE_PAUSE:
    case JQ_OP_LIMIT_SET:
    case JQ_OP_LIMIT_RM:
    case JQ_OP_TASK_HOLD:
    case JQ_OP_TASK_RELEASE:
    case JQ_OP_TASK_MOVE:
    case JQ_OP_TASK_RM:
        reply->u.many.why = keep_text(kept, reply->u.many.why);
        reply->u.many.samples =
            keep(kept, reply->u.many.samples, reply->u.many.sample_count * sizeof(*reply->u.many.samples));
        reply->u.many.exceptions = keep_exceptions(kept, reply->u.many.exceptions, reply->u.many.exception_count);
        break;
    case JQ_OP_FLOW_SHOW:
    case JQ_OP_FLOW_LS:
    case JQ_OP_FLOW_WAIT: keep_flows(kept, reply); break;
    default: break;
    }
}

struct kept *kept_copy(const struct jq_effect *effect) {
    struct kept *kept = calloc(1, sizeof(*kept));
    JQ_CHECK(kept != NULL);
    kept->effect = *effect;
    kept->item.level = effect->level;
    if (effect->type == JQ_EFFECT_REPLY) {
        keep_reply(kept, &kept->effect.u.reply);
    } else if (effect->type == JQ_EFFECT_NOTICE) {
        keep_str(kept, &kept->effect.u.notice_worker);
    } else if (effect->type == JQ_EFFECT_NEWS) {
        keep_str(kept, &kept->effect.u.news.name);
    } else if (effect->type == JQ_EFFECT_RING) {
        keep_str(kept, &kept->effect.u.ring.worker);
        keep_str(kept, &kept->effect.u.ring.doorbell);
    }
    return kept;
}

void kept_free(struct kept *kept) {
    while (kept && kept->chunks) {
        struct kept_chunk *chunk = kept->chunks;
        kept->chunks = chunk->next;
        free(chunk);
    }
    free(kept);
}
