/* encode_copy.c - a reply effect that outlives its step. The same walk runs twice: once to measure, once to copy. */
#include <stdalign.h>
#include <stdlib.h>

#include "broker/shell/encode.h"

/* Where copies go. `base` NULL: only measure; then nothing is written and pointers stay what they were. */
struct sink {
    uint8_t *base;
    size_t size;
};

/* Room for a copy of `size` bytes at `from`; what to point to from now on. */
static const void *put(struct sink *sink, const void *from, size_t size, size_t align) {
    if (size == 0)
        return NULL;
    sink->size = (sink->size + align - 1) & ~(align - 1);
    const size_t at = sink->size;
    sink->size += size;
    if (!sink->base)
        return from;
    memcpy(sink->base + at, from, size);
    return sink->base + at;
}

static const void *put_array(struct sink *sink, const void *from, size_t count, size_t element_size) {
    return put(sink, from, count * element_size, alignof(max_align_t));
}

static void put_str(struct sink *sink, struct jq_str *text) {
    text->data = put(sink, text->data, text->size, 1);
}

static void put_bytes(struct sink *sink, struct jq_bytes *bytes) {
    bytes->data = put(sink, bytes->data, bytes->size, 1);
}

static void put_text(struct sink *sink, const char **text) {
    if (*text)
        *text = put(sink, *text, strlen(*text) + 1, 1);
}

/* The elements of an array that was put: ours to change when copying, a scratch copy of one when measuring. */
#define ELEMENT(sink, array, index, scratch)                                                                           \
    ((sink)->base ? (void *)((uintptr_t)(array) + (index) * sizeof(scratch)) : ((scratch) = (array)[index], &(scratch)))

static void put_amounts(struct sink *sink, const struct jq_amount **amounts, size_t count) {
    struct jq_amount scratch;
    *amounts = put_array(sink, *amounts, count, sizeof(**amounts));
    for (size_t i = 0; i < count; i++) {
        struct jq_amount *amount = ELEMENT(sink, *amounts, i, scratch);
        put_str(sink, &amount->name);
    }
}

static void put_exceptions(struct sink *sink, const struct jq_exception **exceptions, size_t count) {
    struct jq_exception scratch;
    *exceptions = put_array(sink, *exceptions, count, sizeof(**exceptions));
    for (size_t i = 0; i < count; i++) {
        struct jq_exception *exception = ELEMENT(sink, *exceptions, i, scratch);
        put_text(sink, &exception->field);
        put_text(sink, &exception->reason);
    }
}

static void put_lease(struct sink *sink, struct jq_reply_effect *reply) {
    struct jq_lease_item scratch;
    reply->u.lease.items = put_array(sink, reply->u.lease.items, reply->u.lease.count, sizeof(scratch));
    for (size_t i = 0; i < reply->u.lease.count; i++) {
        struct jq_lease_item *item = ELEMENT(sink, reply->u.lease.items, i, scratch);
        put_str(sink, &item->queue);
        put_str(sink, &item->handler);
        put_amounts(sink, &item->reserved, item->reserved_count);
        item->units.data = put_array(sink, item->units.data, item->units.size, 1);
        item->after = put_array(sink, item->after, item->after_count, sizeof(*item->after));
        put_bytes(sink, &item->files);
    }
    put_exceptions(sink, &reply->u.lease.verdicts, reply->u.lease.verdict_count);
    reply->u.lease.commands =
        put_array(sink, reply->u.lease.commands, reply->u.lease.command_count, sizeof(struct jq_command));
}

static void put_rows(struct sink *sink, const struct jq_task_row **rows, size_t count) {
    struct jq_task_row scratch;
    *rows = put_array(sink, *rows, count, sizeof(scratch));
    for (size_t i = 0; i < count; i++) {
        struct jq_task_row *row = ELEMENT(sink, *rows, i, scratch);
        put_str(sink, &row->queue);
        put_str(sink, &row->handler);
        put_str(sink, &row->need);
        put_str(sink, &row->want);
        put_str(sink, &row->worker);
        put_str(sink, &row->progress);
        row->after = put_array(sink, row->after, row->after_count, sizeof(*row->after));
        put_bytes(sink, &row->files);
        put_str(sink, &row->error);
    }
}

static void put_explain(struct sink *sink, struct jq_reply_effect *reply) {
    struct jq_why_line scratch;
    put_rows(sink, &reply->u.explain.row, 1);
    reply->u.explain.lines = put_array(sink, reply->u.explain.lines, reply->u.explain.count, sizeof(scratch));
    for (size_t i = 0; i < reply->u.explain.count; i++) {
        struct jq_why_line *line = ELEMENT(sink, reply->u.explain.lines, i, scratch);
        put_str(sink, &line->worker);
        put_str(sink, &line->detail);
    }
}

static void put_queues(struct sink *sink, struct jq_reply_effect *reply) {
    struct jq_queue_row scratch;
    reply->u.queues.rows = put_array(sink, reply->u.queues.rows, reply->u.queues.count, sizeof(scratch));
    for (size_t i = 0; i < reply->u.queues.count; i++) {
        struct jq_queue_row *row = ELEMENT(sink, reply->u.queues.rows, i, scratch);
        put_str(sink, &row->name);
    }
}

static void put_facts(struct sink *sink, struct jq_worker_row *row) {
    struct jq_name_value scratch;
    row->facts = put_array(sink, row->facts, row->fact_count, sizeof(scratch));
    for (size_t i = 0; i < row->fact_count; i++) {
        struct jq_name_value *fact = ELEMENT(sink, row->facts, i, scratch);
        put_str(sink, &fact->name);
        put_str(sink, &fact->value);
    }
}

static void put_handlers(struct sink *sink, struct jq_worker_row *row) {
    struct jq_handler_def scratch;
    row->handlers = put_array(sink, row->handlers, row->handler_count, sizeof(scratch));
    for (size_t i = 0; i < row->handler_count; i++) {
        struct jq_handler_def *handler = ELEMENT(sink, row->handlers, i, scratch);
        put_str(sink, &handler->name);
        put_str(sink, &handler->version);
        put_str(sink, &handler->need);
    }
}

static void put_units(struct sink *sink, const struct jq_units **units, size_t count) {
    struct jq_units scratch;
    *units = put_array(sink, *units, count, sizeof(scratch));
    for (size_t i = 0; i < count; i++) {
        struct jq_units *one = ELEMENT(sink, *units, i, scratch);
        put_str(sink, &one->name);
        one->indexes = put_array(sink, one->indexes, one->count, sizeof(*one->indexes));
    }
}

static void put_accept(struct sink *sink, struct jq_worker_row *row) {
    struct jq_str scratch;
    row->accept = put_array(sink, row->accept, row->accept_count, sizeof(scratch));
    for (size_t i = 0; i < row->accept_count; i++)
        put_str(sink, ELEMENT(sink, row->accept, i, scratch));
}

static void put_workers(struct sink *sink, struct jq_reply_effect *reply) {
    struct jq_worker_row scratch;
    reply->u.workers.rows = put_array(sink, reply->u.workers.rows, reply->u.workers.count, sizeof(scratch));
    for (size_t i = 0; i < reply->u.workers.count; i++) {
        struct jq_worker_row *row = ELEMENT(sink, reply->u.workers.rows, i, scratch);
        put_str(sink, &row->name);
        put_amounts(sink, &row->totals, row->offer_count);
        row->free = put_array(sink, row->free, row->offer_count, sizeof(*row->free));
        put_facts(sink, row);
        put_handlers(sink, row);
        put_units(sink, &row->units, row->unit_count);
        put_units(sink, &row->units_free, row->unit_count);
        put_accept(sink, row);
    }
}

static void put_flows(struct sink *sink, struct jq_reply_effect *reply) {
    struct jq_flow_row flow;
    struct jq_member_row member;
    reply->u.flows.rows = put_array(sink, reply->u.flows.rows, reply->u.flows.count, sizeof(flow));
    for (size_t i = 0; i < reply->u.flows.count; i++) {
        struct jq_flow_row *row = ELEMENT(sink, reply->u.flows.rows, i, flow);
        put_str(sink, &row->name);
    }
    reply->u.flows.members = put_array(sink, reply->u.flows.members, reply->u.flows.member_count, sizeof(member));
    for (size_t i = 0; i < reply->u.flows.member_count; i++) {
        struct jq_member_row *row = ELEMENT(sink, reply->u.flows.members, i, member);
        put_str(sink, &row->handler);
        row->after = put_array(sink, row->after, row->after_count, sizeof(*row->after));
    }
}

static void put_breakers(struct sink *sink, struct jq_reply_effect *reply) {
    struct jq_breaker_row scratch;
    reply->u.breakers.rows = put_array(sink, reply->u.breakers.rows, reply->u.breakers.count, sizeof(scratch));
    for (size_t i = 0; i < reply->u.breakers.count; i++) {
        struct jq_breaker_row *row = ELEMENT(sink, reply->u.breakers.rows, i, scratch);
        put_str(sink, &row->name);
        put_str(sink, &row->handlers);
    }
}

static void put_schedules(struct sink *sink, struct jq_reply_effect *reply) {
    struct jq_schedule_row scratch;
    reply->u.schedules.rows = put_array(sink, reply->u.schedules.rows, reply->u.schedules.count, sizeof(scratch));
    for (size_t i = 0; i < reply->u.schedules.count; i++) {
        struct jq_schedule_row *row = ELEMENT(sink, reply->u.schedules.rows, i, scratch);
        put_str(sink, &row->def.name);
        put_str(sink, &row->def.when);
        put_str(sink, &row->def.zone);
        put_str(sink, &row->def.task.queue);
        put_str(sink, &row->def.task.handler);
        put_str(sink, &row->def.task.need);
        put_str(sink, &row->def.task.want);
        put_str(sink, &row->def.task.group);
        put_bytes(sink, &row->def.task.body);
        put_text(sink, &row->trouble);
    }
}

static void put_many(struct sink *sink, struct jq_reply_effect *reply) {
    put_exceptions(sink, &reply->u.many.exceptions, reply->u.many.exception_count);
    put_text(sink, &reply->u.many.why);
    reply->u.many.samples =
        put_array(sink, reply->u.many.samples, reply->u.many.sample_count, sizeof(*reply->u.many.samples));
}

static void put_events(struct sink *sink, struct jq_reply_effect *reply) {
    struct jq_event_row scratch;
    reply->u.events.rows = put_array(sink, reply->u.events.rows, reply->u.events.count, sizeof(scratch));
    for (size_t i = 0; i < reply->u.events.count; i++) {
        struct jq_event_row *row = ELEMENT(sink, reply->u.events.rows, i, scratch);
        put_text(sink, &row->event);
        put_str(sink, &row->queue);
        put_str(sink, &row->handler);
        put_str(sink, &row->worker);
        put_str(sink, &row->name);
    }
}

static void put_blobs(struct sink *sink, struct jq_reply_effect *reply) {
    struct jq_blob_row scratch;
    reply->u.blobs.rows = put_array(sink, reply->u.blobs.rows, reply->u.blobs.count, sizeof(scratch));
    for (size_t i = 0; i < reply->u.blobs.count; i++) {
        struct jq_blob_row *row = ELEMENT(sink, reply->u.blobs.rows, i, scratch);
        row->hash = put(sink, row->hash, JQ_BLOB_HASH_SIZE, 1);
    }
}

static void put_answer(struct sink *sink, struct jq_reply_effect *reply) {
    switch (reply->op) {
    case JQ_OP_SCHEDULE_LS:
    case JQ_OP_SCHEDULE_SHOW: put_schedules(sink, reply); break;
    case JQ_OP_SCHEDULE_RUN:
    case JQ_OP_SUBMIT: put_exceptions(sink, &reply->u.submit.exceptions, reply->u.submit.exception_count); break;
    case JQ_OP_LEASE:
    case JQ_OP_REPORT: put_lease(sink, reply); break;
    case JQ_OP_WAIT:
    case JQ_OP_TASK_SHOW:
    case JQ_OP_TASK_LS: put_rows(sink, &reply->u.tasks.rows, reply->u.tasks.count); break;
    case JQ_OP_TASK_EXPLAIN: put_explain(sink, reply); break;
    case JQ_OP_BLOB_STAT:
    case JQ_OP_BLOB_LS: put_blobs(sink, reply); break;
    case JQ_OP_BLOB_GET: put_bytes(sink, &reply->u.blob.data); break;
    case JQ_OP_CACHE_STAT:
    case JQ_OP_BLOB_PUT: break;
    case JQ_OP_QUEUE_LS: put_queues(sink, reply); break;
    case JQ_OP_WORKER_LS:
    case JQ_OP_WORKER_SHOW: put_workers(sink, reply); break;
    case JQ_OP_BREAKER_LS:
    case JQ_OP_BREAKER_SHOW: put_breakers(sink, reply); break;
    case JQ_OP_FLOW_SHOW:
    case JQ_OP_FLOW_LS:
    case JQ_OP_FLOW_WAIT: put_flows(sink, reply); break;
    case JQ_OP_FLOW_BEGIN:
    case JQ_OP_FLOW_ADD:
    case JQ_OP_FLOW_COMMIT:
    case JQ_OP_REGISTER:
    case JQ_OP_SERVER_STATUS: break; /* They borrow nothing. */
    case JQ_OP_EVENTS_READ: put_events(sink, reply); break;
    case JQ_OP_BLOB_GC:
    case JQ_OP_CACHE_PURGE:
    default: put_many(sink, reply); break;
    }
}

static void put_reply(struct sink *sink, struct jq_reply_effect *reply) {
    put_text(sink, &reply->field);
    put_text(sink, &reply->reason);
    if (reply->status == JQ_REPLY_OK)
        put_answer(sink, reply);
}

struct jq_reply_effect *jq_reply_copy(const struct jq_reply_effect *reply) {
    struct jq_reply_effect scratch = *reply;
    struct sink sink = {.base = NULL, .size = sizeof(scratch)};
    put_reply(&sink, &scratch);
    uint8_t *memory = malloc(sink.size);
    if (!memory)
        return NULL;
    struct jq_reply_effect *copy = (struct jq_reply_effect *)memory;
    *copy = *reply;
    const size_t measured = sink.size;
    sink = (struct sink){.base = memory, .size = sizeof(*copy)};
    put_reply(&sink, copy);
    JQ_CHECK(sink.size == measured);
    return copy;
}

void jq_reply_copy_free(struct jq_reply_effect *copy) {
    free(copy);
}
