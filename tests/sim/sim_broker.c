/* sim_broker.c - the shell around a real core, in one thread: what goes in, what comes out, and when an answer may leave. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/record.h"
#include "common/buf.h"
#include "tests/sim/sim.h"

/* ---- what the core puts out ---- */

static uint64_t append(struct sim *sim, uint8_t type, int64_t time_ms) {
    struct sim_broker *broker = &sim->broker;
    JQ_CHECK(!broker->body.failed);
    if (!jq_log_ring_building(broker->ring)) {
        JQ_CHECK(jq_log_ring_begin(broker->ring, jq_journal_epoch(broker->journal), time_ms));
        broker->clock_ms = time_ms;
    }
    const uint64_t lsn = jq_log_ring_append(broker->ring, type, jq_buf_bytes(&broker->body));
    JQ_CHECK(lsn != 0); /* no run comes near to a full block */
    return lsn;
}

void broker_note_digest(struct sim *sim, uint64_t end_lsn) {
    struct sim_broker *broker = &sim->broker;
    if (broker->digest_count == broker->digest_capacity) {
        broker->digest_capacity = broker->digest_capacity ? broker->digest_capacity * 2 : 1024;
        broker->digests = realloc(broker->digests, broker->digest_capacity * sizeof(*broker->digests));
        JQ_CHECK(broker->digests != NULL);
    }
    broker->digests[broker->digest_count++] = (struct sim_digest){end_lsn, jq_core_digest(broker->shadow)};
}

/* The shadow sees the bytes, not the struct. */
static void shadow_apply(struct sim *sim, uint8_t type, const struct jq_record *told) {
    struct jq_record record;
    struct jq_error error;
    bool clock = false;
    int64_t time_ms = told->time_ms;
    if (jq_record_decode(type, jq_buf_bytes(&sim->broker.body), &time_ms, &record, &clock, &error) != JQ_OK) {
        sim_fail(sim, "a record that was just encoded: %s", error.message);
    }
    record.lsn = told->lsn;
    record.size = told->size;
    (void)heap_enter(true);
    const enum jq_err err = jq_core_replay(sim->broker.shadow, &record, &error);
    (void)heap_enter(false);
    if (err != JQ_OK) {
        sim_fail(sim, "the shadow refuses %s: %s", jq_record_type_name(type), error.message);
    }
    rules_record(sim, &record);
    oracle_record(sim, &record, false);
}

static void take_record(struct sim *sim, struct jq_record *record) {
    struct sim_broker *broker = &sim->broker;
    if (jq_log_ring_building(broker->ring) && broker->clock_ms != record->time_ms) {
        jq_buf_clear(&broker->body);
        jq_record_encode_clock(broker->clock_ms, record->time_ms, &broker->body);
        (void)append(sim, JQ_RECORD_CLOCK, broker->clock_ms);
        broker->clock_ms = record->time_ms;
    }
    jq_buf_clear(&broker->body);
    jq_record_encode(record, &broker->body);
    record->lsn = append(sim, (uint8_t)record->type, record->time_ms);
    record->size = jq_record_size((uint32_t)broker->body.size);
    shadow_apply(sim, (uint8_t)record->type, record);
    broker_note_digest(sim, record->lsn + record->size);
}

static void on_record(void *ctx, struct jq_record *record) {
    (void)heap_enter(false);
    take_record(ctx, record);
    (void)heap_enter(true);
}

static void take_effect(struct sim *sim, const struct jq_effect *effect) {
    struct sim_broker *broker = &sim->broker;
    rules_effect(sim, effect);
    if (effect->type == JQ_EFFECT_REPLY) {
        const uint32_t at = jq_map_get(&broker->call_actor, effect->u.reply.call, UINT32_MAX);
        if (at != UINT32_MAX) {
            orders_answered(sim, broker->call_requests[at], &effect->u.reply);
            blobs_answered(sim, broker->call_requests[at]);
        }
    }
    if (effect->type == JQ_EFFECT_SURVEY) {
        net_send_survey(sim, effect->u.survey);
        return;
    }
    if (effect->type == JQ_EFFECT_READ_LOG) {
        reader_asked(sim, effect->u.read_log.from_lsn, effect->u.read_log.end_lsn);
        return;
    }
    if (effect->type == JQ_EFFECT_NEWS || effect->type == JQ_EFFECT_NOTICE || effect->type == JQ_EFFECT_RING) {
        return;
    }
    const struct jq_effect own = effect->type == JQ_EFFECT_DROP_BLOB ? blobs_keep(effect) : *effect;
    struct kept *kept = kept_copy(&own);
    kept->item.lsn = jq_log_ring_end_lsn(broker->ring);
    *broker->last_effect = kept;
    broker->last_effect = &kept->next;
}

static void on_effect(void *ctx, const struct jq_effect *effect) {
    (void)heap_enter(false);
    take_effect(ctx, effect);
    (void)heap_enter(true);
}

struct jq_output broker_output(struct sim *sim) {
    return (struct jq_output){sim, on_record, on_effect};
}

/* ---- releasing ---- */

static struct sim_request *call_close(struct sim *sim, uint64_t call) {
    struct sim_broker *broker = &sim->broker;
    const uint32_t at = jq_map_get(&broker->call_actor, call, UINT32_MAX);
    if (at == UINT32_MAX) {
        sim_fail(sim, "call %" PRIu64 " is answered or dropped twice, or was never made", call);
    }
    (void)jq_map_remove(&broker->call_actor, call);
    struct sim_request *request = broker->call_requests[at];
    broker->call_requests[at] = NULL;
    return request;
}

static void check_level(struct sim *sim, const struct kept *kept) {
    const struct jq_journal *journal = sim->broker.journal;
    const uint64_t lsn = kept->item.lsn;
    if ((kept->effect.level == JQ_EFFECT_WRITTEN && jq_journal_written_lsn(journal) < lsn) ||
        (kept->effect.level == JQ_EFFECT_DURABLE && jq_journal_durable_lsn(journal) < lsn)) {
        sim_fail(sim, "an effect was released before the log came to lsn %" PRIu64, lsn);
    }
}

/* What the shell does where a body in the log does not hold: the lease is not handed out, and the core is told. */
static void drop_damaged(struct sim *sim, struct jq_reply_effect *reply) {
    struct jq_lease_item *items = (struct jq_lease_item *)(uintptr_t)reply->u.lease.items;
    size_t kept = 0;
    for (size_t i = 0; i < reply->u.lease.count; i++) {
        if (!sim_strikes(sim, SIM_DAMAGE)) {
            rules_body(sim, &items[i]);
            items[kept++] = items[i];
            continue;
        }
        sim_say(sim, "the body of task %" PRIu64 " is damaged", items[i].task.value);
        struct sim_event *event = sim_add(sim, SIM_DAMAGED, sim->now_ms);
        event->number = sim->broker.run;
        event->held = (struct jq_held){items[i].task, items[i].token};
    }
    reply->u.lease.count = kept;
}

static void send_out(struct sim *sim, struct kept *kept) {
    check_level(sim, kept);
    if (kept->effect.type == JQ_EFFECT_DROP_BLOB) {
        blobs_drop(sim, &kept->effect);
        kept_free(kept);
        return;
    }
    if (kept->effect.type == JQ_EFFECT_DROP) {
        free(call_close(sim, kept->effect.u.drop_call));
        kept_free(kept);
        return;
    }
    struct sim_request *request = call_close(sim, kept->effect.u.reply.call);
    if (kept->effect.u.reply.op == JQ_OP_LEASE) {
        drop_damaged(sim, &kept->effect.u.reply);
    }
    oracle_reply(sim, request, &kept->effect.u.reply);
    net_send_reply(sim, request->actor, kept);
    free(request);
}

void broker_release(struct sim *sim) {
    struct jq_release_item *item = jq_release_take_all(&sim->broker.release);
    while (item) {
        struct jq_release_item *next = item->next;
        send_out(sim, (struct kept *)item);
        item = next;
    }
}

/* ---- steps ---- */

static void hold_effects(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    struct kept *kept = broker->steps_effects;
    broker->steps_effects = NULL;
    broker->last_effect = &broker->steps_effects;
    while (kept) {
        struct kept *next = kept->next;
        jq_release_push(&broker->release, &kept->item);
        kept = next;
    }
    broker_release(sim);
}

static void check_digests(struct sim *sim) {
    struct sim_broker *broker = &sim->broker;
    if (jq_core_digest(broker->core) != jq_core_digest(broker->shadow)) {
        sim_fail(sim, "the shadow that read the step's bytes is in another state than the core");
    }
    if (++broker->steps % 128 == 0 && (jq_core_digest(broker->core) != jq_core_digest_slow(broker->core) ||
                                       jq_core_digest(broker->shadow) != jq_core_digest_slow(broker->shadow))) {
        sim_fail(sim, "the digest that is kept is not the digest of the entries");
    }
}

static void broker_step(struct sim *sim, struct jq_event *event) {
    struct sim_broker *broker = &sim->broker;
    const struct jq_output output = broker_output(sim);
    event->now_ms = sim->now_ms;
    event->wall_ms = sim->now_ms + sim->wall_offset_ms;
    (void)heap_enter(true);
    jq_core_step(broker->core, event, &output);
    (void)heap_enter(false);
    check_digests(sim);
    rules_step(sim);
}

static void broker_flush(struct sim *sim) {
    hold_effects(sim);
    log_commit(sim);
}

void broker_event(struct sim *sim, struct jq_event *event) {
    if (sim->broker.up) {
        broker_step(sim, event);
        broker_flush(sim);
    }
}

static void call_open(struct sim *sim, struct sim_request *request) {
    struct sim_broker *broker = &sim->broker;
    request->r.call = ++broker->calls;
    size_t at = 0;
    while (at < broker->call_capacity && broker->call_requests[at]) {
        at++;
    }
    if (at == broker->call_capacity) {
        broker->call_capacity = broker->call_capacity ? broker->call_capacity * 2 : 64;
        broker->call_requests = realloc(broker->call_requests, broker->call_capacity * sizeof(*broker->call_requests));
        JQ_CHECK(broker->call_requests != NULL);
        memset(broker->call_requests + at, 0, (broker->call_capacity - at) * sizeof(*broker->call_requests));
    }
    broker->call_requests[at] = request;
    JQ_CHECK(jq_map_put(&broker->call_actor, request->r.call, (uint32_t)at));
}

void broker_deliver(struct sim *sim, struct sim_request *request) {
    if (!sim->broker.up) {
        free(request);
        return;
    }
    ask_aim(request);
    oracle_asked(sim, request);
    call_open(sim, request);
    blobs_arrive(sim, &request->r);
    struct jq_event event = {.type = JQ_EVENT_REQUEST, .u.request = request->r};
    sim->broker.request = request;
    broker_step(sim, &event);
    sim->broker.request = NULL;
    broker_flush(sim);
}

int64_t broker_deadline_ms(const struct sim *sim) {
    if (!sim->broker.up) {
        return INT64_MAX;
    }
    const int64_t deadline_ms = jq_core_deadline_ms(sim->broker.core);
    return deadline_ms > sim->broker.asleep_until_ms ? deadline_ms : sim->broker.asleep_until_ms;
}
