/* reply_copy.c - each copying function runs twice: first without memory, to learn how much it takes. */
#include "broker/shell/reply_copy.h"

#include <stdlib.h>

struct place {
    uint8_t *base; /* NULL: only measures */
    size_t at;
};

static void *put(struct place *place, const void *data, size_t size) {
    const size_t alignment = 16;
    void *copy = place->base != NULL ? place->base + place->at : NULL;
    if (copy != NULL && size > 0)
        memcpy(copy, data, size);
    place->at += (size + alignment - 1) & ~(alignment - 1);
    return copy;
}

static struct jq_str put_str(struct place *place, struct jq_str text) {
    return (struct jq_str){put(place, text.data, text.size), text.size};
}

static const char *put_text(struct place *place, const char *text) {
    return text != NULL ? put(place, text, strlen(text) + 1) : NULL;
}

static const struct jq_amount *put_amounts(struct place *place, const struct jq_amount *amounts, size_t count) {
    struct jq_amount *copy = put(place, amounts, count * sizeof(*amounts));
    for (size_t i = 0; i < count; i++) {
        const struct jq_str name = put_str(place, amounts[i].name);
        if (copy != NULL)
            copy[i].name = name;
    }
    return copy;
}

static const struct jq_lease_item *put_items(struct place *place, const struct jq_lease_item *items, size_t count) {
    struct jq_lease_item *copy = put(place, items, count * sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        struct jq_lease_item item = items[i];
        item.queue = put_str(place, items[i].queue);
        item.handler = put_str(place, items[i].handler);
        item.reserved = put_amounts(place, items[i].reserved, items[i].reserved_count);
        if (copy != NULL)
            copy[i] = item;
    }
    return copy;
}

static const struct jq_exception *put_exceptions(struct place *place, const struct jq_exception *exceptions,
                                                 size_t count) {
    struct jq_exception *copy = put(place, exceptions, count * sizeof(*exceptions));
    for (size_t i = 0; i < count; i++) {
        struct jq_exception exception = exceptions[i];
        exception.field = put_text(place, exceptions[i].field);
        exception.reason = put_text(place, exceptions[i].reason);
        if (copy != NULL)
            copy[i] = exception;
    }
    return copy;
}

static const struct jq_task_row *put_rows(struct place *place, const struct jq_task_row *rows, size_t count) {
    struct jq_task_row *copy = put(place, rows, count * sizeof(*rows));
    for (size_t i = 0; i < count; i++) {
        struct jq_task_row row = rows[i];
        row.queue = put_str(place, rows[i].queue);
        row.handler = put_str(place, rows[i].handler);
        row.need = put_str(place, rows[i].need);
        row.worker = put_str(place, rows[i].worker);
        row.progress = put_str(place, rows[i].progress);
        if (copy != NULL)
            copy[i] = row;
    }
    return copy;
}

static bool is_lease(const struct jq_reply_effect *reply) {
    return reply->op == JQ_OP_LEASE || reply->op == JQ_OP_REPORT;
}

static bool is_rows(const struct jq_reply_effect *reply) {
    return reply->op == JQ_OP_WAIT || reply->op == JQ_OP_TASK_SHOW || reply->op == JQ_OP_TASK_LS;
}

bool jq_reply_has_bodies(const struct jq_reply_effect *reply) {
    if (reply->status != JQ_REPLY_OK)
        return false;
    return (is_lease(reply) && reply->u.lease.count > 0) || (is_rows(reply) && reply->u.tasks.count > 0);
}

static struct jq_reply_effect *copy_into(struct place *place, const struct jq_reply_effect *reply) {
    struct jq_reply_effect *copy = put(place, reply, sizeof(*reply));
    struct jq_reply_effect fields = *reply;
    fields.field = put_text(place, reply->field);
    fields.reason = put_text(place, reply->reason);
    if (is_lease(reply)) {
        fields.u.lease.items = put_items(place, reply->u.lease.items, reply->u.lease.count);
        fields.u.lease.verdicts = put_exceptions(place, reply->u.lease.verdicts, reply->u.lease.verdict_count);
        fields.u.lease.commands =
            put(place, reply->u.lease.commands, reply->u.lease.command_count * sizeof(*reply->u.lease.commands));
    } else {
        fields.u.tasks.rows = put_rows(place, reply->u.tasks.rows, reply->u.tasks.count);
    }
    if (copy != NULL)
        *copy = fields;
    return copy;
}

struct jq_reply_effect *jq_reply_copy(const struct jq_reply_effect *reply) {
    struct place place = {.base = NULL};
    JQ_CHECK(jq_reply_has_bodies(reply));
    (void)copy_into(&place, reply);
    place = (struct place){.base = malloc(place.at)};
    return place.base != NULL ? copy_into(&place, reply) : NULL;
}

void jq_reply_each_body(const struct jq_reply_effect *reply, void (*visit)(void *ctx, struct jq_body_ref ref),
                        void *ctx) {
    if (!jq_reply_has_bodies(reply))
        return;
    if (is_lease(reply)) {
        for (size_t i = 0; i < reply->u.lease.count; i++)
            visit(ctx, reply->u.lease.items[i].body);
        return;
    }
    for (size_t i = 0; i < reply->u.tasks.count; i++) {
        visit(ctx, reply->u.tasks.rows[i].body);
        visit(ctx, reply->u.tasks.rows[i].last);
    }
}
