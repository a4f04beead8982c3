/* prologue.c - what stands at the head of each segment: everything durable that is not tied to one task. */
#include "broker/core/state.h"

enum { COST = 8 }; /* a prologue out of turn writes at most the eighth part of what it lets go */

static void say_tables(struct jq_core *core) {
    for (uint32_t i = 0; i < core->queue_count; i++) {
        struct jq_record defined = {.type = JQ_RECORD_QUEUE_DEFINED,
                                    .u.queue_defined = {.queue = (uint16_t)i, .name = core->queues[i].name}};
        emit(core, &defined);
        if (queue_is_set(&core->queues[i])) {
            struct jq_record set = {.type = JQ_RECORD_QUEUE_SET,
                                    .u.queue_set = {.queue = (uint16_t)i, .set = core->queues[i].set}};
            emit(core, &set);
        }
    }
    for (uint32_t i = 0; i < core->class_count; i++) {
        struct jq_record defined = {.type = JQ_RECORD_CLASS_DEFINED,
                                    .u.class_defined = {.class_index = (uint16_t)i,
                                                        .handler = core->classes[i].handler,
                                                        .need = core->classes[i].need,
                                                        .want = core->classes[i].want}};
        emit(core, &defined);
    }
    for (uint32_t i = 0; i < core->options_count; i++) {
        struct jq_record defined = {.type = JQ_RECORD_OPTIONS_DEFINED,
                                    .u.options_defined = {.index = i, .options = core->options[i].options}};
        emit(core, &defined);
    }
}

static void say_limits(struct jq_core *core) {
    for (uint32_t ref = 1; ref < core->limits.fresh; ref++) {
        const struct limit *limit = limit_at(core, ref);
        if (limit->used) {
            struct jq_record set = {.type = JQ_RECORD_LIMIT_SET,
                                    .u.limit_set = {.scope = limit->scope,
                                                    .concurrency = limit->concurrency,
                                                    .rate = limit->rate,
                                                    .burst = limit->burst,
                                                    .due_us = limit->meter ? meter_at(core, limit->meter)->due_us : 0,
                                                    .configured = limit->configured}};
            emit(core, &set);
        }
    }
}

static void say_doorbell(struct jq_core *core, uint32_t worker, struct jq_str doorbell, bool asleep) {
    if (doorbell.size > 0) {
        struct jq_record record = {.type = JQ_RECORD_WORKER_DOORBELL,
                                   .u.worker_doorbell = {.worker = worker, .asleep = asleep, .doorbell = doorbell}};
        emit(core, &record);
    }
}

/* Applying a record frees the text that the worker has now. */
static struct jq_str text_keep(char *out, size_t size_max, struct jq_str text) {
    JQ_CHECK(text.size <= size_max);
    if (text.size > 0) {
        memcpy(out, text.data, text.size);
    }
    return (struct jq_str){out, text.size};
}

static void say_workers(struct jq_core *core) {
    for (uint32_t i = 1; i < core->worker_count; i++) {
        const struct worker *worker = worker_at(core, i);
        if (!worker->used) {
            continue;
        }
        char name_text[JQ_NAME_SIZE_MAX], doorbell_text[JQ_DOORBELL_SIZE_MAX];
        const struct jq_str name = text_keep(name_text, sizeof(name_text), worker->name);
        const struct jq_str doorbell = text_keep(doorbell_text, sizeof(doorbell_text), worker->doorbell);
        const bool asleep = worker->asleep;
        struct jq_record registered = {.type = JQ_RECORD_WORKER_REGISTERED,
                                       .u.worker_registered = {.worker = i,
                                                               .id = worker->id,
                                                               .session = worker->session,
                                                               .incarnation = worker->incarnation,
                                                               .name = name}};
        emit(core, &registered);
        say_doorbell(core, i, doorbell, asleep);
        if (worker_at(core, i)->draining) {
            struct jq_record set = {.type = JQ_RECORD_WORKER_SET, .u.worker_set = {.worker = i, .draining = true}};
            emit(core, &set);
        }
    }
}

static void say_senders(struct jq_core *core) {
    for (uint32_t at = core->lru_head; at != 0; at = core->senders[at].lru_next) {
        struct jq_record floor = {
            .type = JQ_RECORD_SENDER_TRIMMED,
            .u.sender_trimmed = {.sender = core->senders[at].id, .floor = core->senders[at].floor}};
        emit(core, &floor);
        for (uint32_t i = 0; i < core->senders[at].count && !CANARY(SHORT_PROLOGUE); i++) {
            const struct answer *answer = &core->senders[at].answers[i];
            struct jq_record answered = {.type = JQ_RECORD_REQUEST_ANSWERED,
                                         .u.request_answered = {.sender = core->senders[at].id,
                                                                .request = answer->request,
                                                                .done = core->senders[at].floor,
                                                                .verdict = answer->verdict}};
            emit(core, &answered);
        }
    }
}

static void say_flows(struct jq_core *core) {
    for (uint32_t ref = core->flow_head; ref != 0; ref = flow_at(core, ref)->next) {
        struct jq_record set = flow_record(flow_at(core, ref));
        emit(core, &set);
    }
}

void prologue_write(struct jq_core *core) {
    struct jq_record begin = {.type = JQ_RECORD_PROLOGUE_BEGIN};
    emit(core, &begin);
    struct jq_record ids = {.type = JQ_RECORD_IDS_RESERVED, .u.ids_reserved = {core->ids_limit}};
    emit(core, &ids);
    struct jq_record wall = {.type = JQ_RECORD_WALL_OFFSET, .u.wall_offset = {core->wall_offset_ms}};
    emit(core, &wall);
    say_tables(core);
    say_limits(core);
    say_workers(core);
    say_senders(core);
    say_flows(core);
    breakers_say(core);
    schedules_say(core);
    blobs_say(core);
    struct jq_record end = {.type = JQ_RECORD_PROLOGUE_END,
                            .u.prologue_end = {.needs_from = jq_core_needs_from(core), .digest = core->digest}};
    emit(core, &end);
    core->said_needs = end.u.prologue_end.needs_from;
    core->said_bytes = core->end_lsn - begin.lsn;
}

bool jq_core_prologue_is_due(const struct jq_core *core) {
    const uint64_t freed = jq_core_needs_from(core) - core->said_needs;
    const uint64_t slack = core->config.log_slack_bytes / 2;
    return freed > 0 && freed >= slack && freed / COST >= core->said_bytes && !CANARY(FILES_STAY);
}
