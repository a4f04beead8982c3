/* limit.c - how many may run at a time, and how fast they may start: per queue, handler and group.
 *
 * A limit is durable and named by its scope's text. What it holds for has a meter: how many run, and when the next start is due
 * by the rate (GCRA, the virtual scheduling algorithm of ITU-T I.371: a start at t moves the due time to max(due, t) + interval,
 * and is allowed while due - (burst - 1) * interval <= t). Both follow from the records of the tasks, so apply keeps them. A
 * queue, handler or group whose meter allows nothing is blocked (block.c) until a lease ends or a timer says that time is up:
 * nobody asks a meter before a lease.
 *
 * A group's meter under `group:QUEUE/<star>` is kept with the group and forgotten with it, but not before its due time; it is
 * worked out again from the log's leases, not durable by itself: a million could not be said again in a prologue. What was leased
 * before the log's first record is not known after a start, nor whose a lease is whose task stood there and is forgotten. A start at
 * t leaves a due time of at most t + burst * interval, so each group is taken to have that of the last unknown start's time, and what
 * is known of its later starts comes on top. So a rate is never passed, and a group waits for no more than one interval.
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

enum { SWEPT_PER_STEP = 2000, TIMERS_PER_STEP_MAX = 2000, US_PER_MS = 1000 };

/* ---- meters ---- */

static int64_t interval_us(const struct limit *limit) {
    return limit->rate.count > 0 ? jq_rate_interval_us(limit->rate) : 0;
}

/* When the meter's rate next allows a start; 0: it has none. */
static int64_t opens_us(const struct jq_core *core, const struct meter *meter) {
    const struct limit *limit = limit_at(core, meter->limit);
    return limit->rate.count > 0 ? meter->due_us - (int64_t)(limit->burst - 1) * interval_us(limit) : 0;
}

static int64_t ms_above(int64_t us) {
    return (us + US_PER_MS - 1) / US_PER_MS;
}

int64_t meter_opens_ms(const struct jq_core *core, const struct meter *meter) {
    return ms_above(opens_us(core, meter));
}

static void target_block(struct jq_core *core, const struct meter *meter, bool on) {
    if (meter->kind == JQ_SCOPE_QUEUE) {
        queue_block(core, (uint16_t)meter->target, BLOCK_LIMIT, on);
    } else if (meter->kind != JQ_SCOPE_HANDLER) {
        group_block(core, meter->target, BLOCK_LIMIT, on);
    } else {
        for (uint32_t at = meter->target; at != 0; at = core->classes[at - 1].meter_next) {
            class_block(core, (uint16_t)(at - 1), BLOCK_LIMIT, on);
        }
    }
}

static void meter_set_closed(struct jq_core *core, struct meter *meter, bool closed) {
    if (meter->closed != closed) {
        meter->closed = closed;
        struct limit *limit = limit_at(core, meter->limit);
        limit->closed_count = closed ? limit->closed_count + 1 : limit->closed_count - 1;
        if (meter->bound) {
            target_block(core, meter, closed);
        }
    }
}

static void meter_set_timer(struct jq_core *core, uint32_t ref, int64_t at_ms) {
    const struct meter *meter = meter_at(core, ref);
    if (at_ms <= core->now_ms) {
        if (meter->timer != 0) {
            jq_heap_remove(&core->limit_timers, meter->timer);
        }
    } else if (meter->timer != 0) {
        jq_heap_update(&core->limit_timers, meter->timer, at_ms);
    } else {
        JQ_CHECK(jq_heap_put(&core->limit_timers, at_ms, ref));
    }
}

/* Blocks or frees what the meter stands for. A replay has no present to compare with: jq_core_start() does it for all. */
static void meter_check(struct jq_core *core, uint32_t ref) {
    struct meter *meter = meter_at(core, ref);
    const struct limit *limit = limit_at(core, meter->limit);
    if (!core->started) {
        return;
    }
    const int64_t opens_ms = meter_opens_ms(core, meter);
    meter_set_timer(core, ref, opens_ms);
    meter_set_closed(core, meter,
                     opens_ms > core->now_ms ||
                         (limit->concurrency > 0 && meter->running >= limit->concurrency + CANARY(LIMIT_PLUS_ONE)));
}

static uint32_t meter_make(struct jq_core *core, uint32_t limit, enum jq_scope_kind kind) {
    const uint32_t ref = jq_slab_take(&core->meters);
    const int64_t due_us = kind == JQ_SCOPE_EACH_GROUP ? limit_at(core, limit)->unknown_us : 0;
    *meter_at(core, ref) = (struct meter){.used = true, .limit = limit, .kind = (uint8_t)kind, .due_us = due_us};
    limit_at(core, limit)->group_count += kind == JQ_SCOPE_EACH_GROUP;
    return ref;
}

static void meter_bind(struct jq_core *core, uint32_t ref, uint32_t target, uint32_t running) {
    struct meter *meter = meter_at(core, ref);
    meter->bound = true;
    meter->target = target;
    meter->running = running;
    meter_check(core, ref);
    if (meter->closed) {
        target_block(core, meter, true); /* it was closed before it had this target */
    }
}

static void meter_unbind(struct jq_core *core, uint32_t ref) {
    struct meter *meter = meter_at(core, ref);
    if (meter->bound && meter->closed) {
        target_block(core, meter, false);
    }
    meter->bound = false;
    meter->target = 0;
    meter->running = 0;
}

static void limit_free(struct jq_core *core, uint32_t ref) {
    struct limit *limit = limit_at(core, ref);
    free((char *)(uintptr_t)limit->scope.data);
    limit->scope = JQ_STR("");
    jq_slab_give(&core->limits, ref);
}

static void meter_free(struct jq_core *core, uint32_t ref) {
    struct meter *meter = meter_at(core, ref);
    struct limit *limit = limit_at(core, meter->limit);
    meter_unbind(core, ref);
    meter_set_closed(core, meter, false);
    meter_set_timer(core, ref, INT64_MIN);
    if (meter->kind == JQ_SCOPE_EACH_GROUP && --limit->group_count == 0 && !limit->used) {
        limit_free(core, meter->limit);
    }
    meter->used = false;
    jq_slab_give(&core->meters, ref);
}

/* ---- limits ---- */

uint64_t limit_hash(const struct jq_core *core, const struct limit *limit) {
    uint64_t hash = jq_hash_bytes(limit->scope.data, limit->scope.size, 0);
    hash = jq_hash_combine(hash, (uint64_t)limit->concurrency << 32 | limit->burst);
    hash = jq_hash_combine(hash, (uint64_t)limit->rate.period_ms << 20 ^ limit->rate.count);
    hash += limit->configured;
    return jq_hash_combine(hash, limit->meter != 0 ? (uint64_t)meter_at(core, limit->meter)->due_us : 0);
}

/* What a group may have started of which the log has nothing. */
static int64_t unknown_us(const struct jq_core *core, const struct limit *limit) {
    return core->unknown_ms > 0 ? core->unknown_ms * US_PER_MS + (int64_t)limit->burst * interval_us(limit) : 0;
}

void unknown_until(struct jq_core *core, int64_t ms) {
    core->unknown_ms = ms > core->unknown_ms ? ms : core->unknown_ms;
}

/* When the next start is due after one at `now_us`. */
static int64_t due_after(const struct jq_core *core, const struct meter *meter, int64_t now_us) {
    const struct limit *limit = limit_at(core, meter->limit);
    const bool guessed = meter->kind == JQ_SCOPE_EACH_GROUP && !core->started;
    const int64_t least_us = guessed ? unknown_us(core, limit) : 0;
    const int64_t from_us = meter->due_us > least_us ? meter->due_us : least_us;
    const int64_t due_us = (from_us > now_us ? from_us : now_us) + interval_us(limit) / (CANARY(FAST_RATE) ? 2 : 1);
    const int64_t most_us = now_us + (int64_t)limit->burst * interval_us(limit);
    return guessed && due_us > most_us ? most_us : due_us;
}

/* The due time of a limit's own meter is in the digest. */
static void meter_take(struct jq_core *core, uint32_t ref, int64_t now_ms, bool starts) {
    struct meter *meter = meter_at(core, ref);
    const struct limit *limit = limit_at(core, meter->limit);
    meter->running++;
    if (starts && limit->rate.count > 0) {
        const bool own = limit->meter == ref;
        core->digest -= own ? limit_hash(core, limit) : 0;
        meter->due_us = due_after(core, meter, now_ms * US_PER_MS);
        core->digest += own ? limit_hash(core, limit) : 0;
    }
    meter_check(core, ref);
}

static void meter_give(struct jq_core *core, uint32_t ref) {
    meter_at(core, ref)->running--;
    meter_check(core, ref);
}

void limits_leased(struct jq_core *core, const struct task *task, int64_t now_ms, bool starts) {
    const uint32_t queue = core->queues[task->queue].meter, handler = core->classes[task->class_index].meter;
    core->classes[task->class_index].running++;
    if (queue != 0) {
        meter_take(core, queue, now_ms, starts);
    }
    if (handler != 0) {
        meter_take(core, handler, now_ms, starts);
    }
    if (task->group != 0) {
        struct group *group = group_at(core, task->group);
        group->running++;
        if (group->meter != 0) {
            meter_take(core, group->meter, now_ms, starts);
        }
    }
}

void limits_ended(struct jq_core *core, const struct task *task) {
    const uint32_t queue = core->queues[task->queue].meter, handler = core->classes[task->class_index].meter;
    core->classes[task->class_index].running--;
    if (queue != 0) {
        meter_give(core, queue);
    }
    if (handler != 0) {
        meter_give(core, handler);
    }
    if (task->group != 0) {
        struct group *group = group_at(core, task->group);
        group->running--;
        if (group->meter != 0) {
            meter_give(core, group->meter);
        }
    }
}

/* ---- which limit holds for what ---- */

static struct jq_str scope_text(char out[JQ_SCOPE_SIZE_MAX], const char *kind, struct jq_str name, struct jq_str rest) {
    const size_t kind_size = strlen(kind);
    JQ_CHECK(kind_size + name.size + rest.size + 1 <= JQ_SCOPE_SIZE_MAX);
    memcpy(out, kind, kind_size);
    memcpy(out + kind_size, name.data, name.size);
    size_t size = kind_size + name.size;
    if (rest.size > 0) {
        out[size++] = '/';
        memcpy(out + size, rest.data, rest.size);
        size += rest.size;
    }
    return (struct jq_str){out, size};
}

static uint32_t limit_of(const struct jq_core *core, const char *kind, struct jq_str name, struct jq_str rest) {
    char buffer[JQ_SCOPE_SIZE_MAX];
    return core->limit_count > 0 ? limit_find(core, scope_text(buffer, kind, name, rest)) : 0;
}

void limit_bind_queue(struct jq_core *core, uint16_t at) {
    struct queue *queue = &core->queues[at];
    const uint32_t limit = limit_of(core, "queue:", queue->name, JQ_STR(""));
    if (limit != 0) {
        queue->meter = limit_at(core, limit)->meter;
        meter_bind(core, queue->meter, at, (uint32_t)queue->running);
    }
}

void limit_unbind_queue(struct jq_core *core, uint16_t at) {
    if (core->queues[at].meter != 0) {
        meter_unbind(core, core->queues[at].meter);
        core->queues[at].meter = 0;
    }
}

/* One more class of a handler. */
void limit_bind_class(struct jq_core *core, uint16_t at) {
    struct class_entry *entry = &core->classes[at];
    const uint32_t limit = limit_of(core, "handler:", entry->handler, JQ_STR(""));
    if (limit == 0) {
        return;
    }
    entry->meter = limit_at(core, limit)->meter;
    struct meter *meter = meter_at(core, entry->meter);
    meter->bound = true;
    entry->meter_next = meter->target;
    meter->target = at + 1u;
    meter->running += entry->running;
    if (meter->closed) {
        class_block(core, at, BLOCK_LIMIT, true);
    }
    meter_check(core, entry->meter);
}

void limit_unbind_class(struct jq_core *core, uint16_t at) {
    struct class_entry *entry = &core->classes[at];
    if (entry->meter == 0) {
        return;
    }
    struct meter *meter = meter_at(core, entry->meter);
    uint32_t *link = &meter->target;
    while (*link != at + 1u) {
        link = &core->classes[*link - 1].meter_next;
    }
    *link = entry->meter_next;
    meter->running -= entry->running;
    class_block(core, at, BLOCK_LIMIT, false);
    entry->meter = 0;
    entry->meter_next = 0;
}

void limit_unbind_group(struct jq_core *core, uint32_t ref) {
    struct group *group = group_at(core, ref);
    const uint32_t meter = group->meter;
    group->meter = 0;
    if (meter != 0 && meter_at(core, meter)->kind == JQ_SCOPE_EACH_GROUP) {
        meter_free(core, meter);
    } else if (meter != 0) {
        meter_unbind(core, meter);
    }
}

/* Its own limit, or else that of each group of its queue. */
void limit_bind_group(struct jq_core *core, uint32_t ref) {
    struct group *group = group_at(core, ref);
    const struct jq_str queue = core->queues[group->queue].name;
    uint32_t limit = core->group_limits > 0 ? limit_of(core, "group:", queue, group->name) : 0;
    if (limit == 0 && core->group_limits > 0) {
        limit = limit_of(core, "group:", queue, JQ_STR("*"));
    }
    if (group->meter != 0 && meter_at(core, group->meter)->limit == limit) {
        meter_check(core, group->meter);
        return;
    }
    limit_unbind_group(core, ref);
    if (limit != 0) {
        const uint32_t own = limit_at(core, limit)->meter;
        group->meter = own != 0 ? own : meter_make(core, limit, JQ_SCOPE_EACH_GROUP);
        meter_bind(core, group->meter, ref, group->running);
    }
}

/* A group that no task names is kept while its rate remembers it: else its next task would start too early. */
bool limit_keeps_group(struct jq_core *core, uint32_t ref) {
    const uint32_t meter = group_at(core, ref)->meter;
    if (meter == 0 || meter_at(core, meter)->kind != JQ_SCOPE_EACH_GROUP) {
        return false;
    }
    const int64_t until_ms = ms_above(meter_at(core, meter)->due_us);
    if (!core->started || until_ms <= core->now_ms) {
        return !core->started;
    }
    meter_set_timer(core, meter, until_ms);
    return true;
}

/* ---- a limit comes or goes ---- */

static void bind_handler(struct jq_core *core, struct jq_str handler, bool on) {
    for (uint32_t i = 0; i < core->class_count; i++) {
        if (jq_str_equal(core->classes[i].handler, handler) && on) {
            limit_bind_class(core, (uint16_t)i);
        } else if (jq_str_equal(core->classes[i].handler, handler)) {
            limit_unbind_class(core, (uint16_t)i);
        }
    }
}

void limits_sweep(struct jq_core *core) {
    for (int i = 0; i < SWEPT_PER_STEP && core->group_sweep != 0; i++) {
        if (core->group_sweep >= core->groups.fresh) {
            core->group_sweep = 0;
            return;
        }
        const uint32_t ref = core->group_sweep++;
        if (group_at(core, ref)->used) {
            limit_bind_group(core, ref);
            (void)group_forget_unused(core, ref); /* what kept it may be gone */
        }
    }
}

/* The groups may have to change their meter, a stretch of them in each step: there may be a million. */
static void sweep_begin(struct jq_core *core) {
    core->group_sweep = 1;
    while (!core->started && core->group_sweep != 0) {
        limits_sweep(core);
    }
}

static void rebind(struct jq_core *core, const struct jq_scope *scope, bool on) {
    const int queue = scope->kind != JQ_SCOPE_HANDLER ? queue_find(core, scope->name) : -1;
    if (scope->kind == JQ_SCOPE_HANDLER) {
        bind_handler(core, scope->name, on);
    } else if (scope->kind == JQ_SCOPE_EACH_GROUP) {
        sweep_begin(core);
    } else if (scope->kind == JQ_SCOPE_GROUP) {
        const uint32_t group = queue >= 0 ? group_find(core, (uint16_t)queue, scope->group) : 0;
        if (group != 0) {
            limit_bind_group(core, group);
        }
    } else if (queue >= 0 && on) {
        limit_bind_queue(core, (uint16_t)queue);
    } else if (queue >= 0) {
        limit_unbind_queue(core, (uint16_t)queue);
    }
}

/* ---- what time brings ---- */

static void unknown_assume(struct jq_core *core) {
    for (uint32_t ref = 1; ref < core->limits.fresh; ref++) {
        struct limit *limit = limit_at(core, ref);
        if (limit->used && limit->meter == 0 && limit->rate.count > 0) {
            limit->unknown_us = unknown_us(core, limit);
        }
    }
    for (uint32_t ref = 1; ref < core->meters.fresh; ref++) {
        struct meter *meter = meter_at(core, ref);
        if (meter->used && meter->kind == JQ_SCOPE_EACH_GROUP &&
            meter->due_us < limit_at(core, meter->limit)->unknown_us) {
            meter->due_us = limit_at(core, meter->limit)->unknown_us;
        }
    }
}

void limits_start(struct jq_core *core) {
    if (core->unknown_ms > 0) {
        unknown_assume(core);
    }
    for (uint32_t ref = 1; ref < core->meters.fresh; ref++) {
        if (meter_at(core, ref)->used) {
            meter_check(core, ref);
        }
    }
    for (uint32_t ref = 1; ref < core->groups.fresh; ref++) {
        if (group_at(core, ref)->used) {
            group_forget_unused(core, ref);
        }
    }
}

void limits_expire(struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->limit_timers);
    for (int i = 0; first && first->key <= core->now_ms && i < TIMERS_PER_STEP_MAX; i++) {
        const uint32_t ref = first->ref;
        const struct meter *meter = meter_at(core, ref);
        const bool of_group = meter->kind == JQ_SCOPE_EACH_GROUP;
        const uint32_t target = meter->target;
        jq_heap_remove(&core->limit_timers, 1);
        meter_check(core, ref);
        if (of_group) {
            (void)group_forget_unused(core, target); /* or it sets a timer of its own */
        }
        first = jq_heap_min(&core->limit_timers);
    }
}

int64_t limits_deadline_ms(const struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->limit_timers);
    return core->group_sweep != 0 ? core->now_ms : first ? first->key : INT64_MAX;
}

/* ---- the records ---- */

static uint32_t limit_make(struct jq_core *core, struct jq_str text, const struct jq_scope *scope) {
    const uint32_t ref = jq_slab_take(&core->limits);
    struct limit *limit = limit_at(core, ref);
    *limit = (struct limit){.used = true, .scope = text_copy(text), .kind = (uint8_t)scope->kind};
    limit->meter = scope->kind == JQ_SCOPE_EACH_GROUP ? 0 : meter_make(core, ref, scope->kind);
    core->limit_count++;
    core->group_limits += scope->kind == JQ_SCOPE_GROUP || scope->kind == JQ_SCOPE_EACH_GROUP;
    JQ_CHECK(jq_strmap_put(&core->limit_names, text, ref));
    return ref;
}

uint32_t limit_find(const struct jq_core *core, struct jq_str scope) {
    return jq_strmap_get(&core->limit_names, scope, 0);
}

static enum jq_err apply_set(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    struct jq_scope scope;
    const enum jq_err err = jq_scope_parse(record->u.limit_set.scope, &scope, reterr);
    if (err != JQ_OK || (record->u.limit_set.rate.count > 0 && record->u.limit_set.burst == 0)) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "a limit whose scope or burst is none");
    }
    uint32_t ref = limit_find(core, record->u.limit_set.scope);
    const bool known = ref != 0;
    ref = known ? ref : limit_make(core, record->u.limit_set.scope, &scope);
    struct limit *limit = limit_at(core, ref);
    core->digest -= known ? limit_hash(core, limit) : 0;
    const bool same = known && limit->concurrency == record->u.limit_set.concurrency &&
                      limit->burst == record->u.limit_set.burst &&
                      limit->rate.count == record->u.limit_set.rate.count &&
                      limit->rate.period_ms == record->u.limit_set.rate.period_ms;
    limit->concurrency = record->u.limit_set.concurrency;
    limit->rate = record->u.limit_set.rate;
    limit->burst = record->u.limit_set.burst;
    limit->configured = record->u.limit_set.configured;
    if (limit->meter != 0) {
        meter_at(core, limit->meter)->due_us = record->u.limit_set.due_us;
    }
    core->digest += limit_hash(core, limit);
    if (!known || (!same && limit->meter == 0)) {
        rebind(core, &scope, true);
    } else if (limit->meter != 0) {
        meter_check(core, limit->meter);
    }
    return JQ_OK;
}

/* What it held back may go on. A limit of each group stays in the table, unused, until the sweep has been to all its groups. */
static enum jq_err apply_removed(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    const uint32_t ref = limit_find(core, record->u.limit_removed.scope);
    struct jq_scope scope;
    if (ref == 0 || jq_scope_parse(limit_at(core, ref)->scope, &scope, reterr) != JQ_OK) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "a limit removed that is not set");
    }
    struct limit *limit = limit_at(core, ref);
    core->digest -= limit_hash(core, limit);
    JQ_CHECK(jq_strmap_remove(&core->limit_names, limit->scope));
    core->limit_count--;
    core->group_limits -= scope.kind == JQ_SCOPE_GROUP || scope.kind == JQ_SCOPE_EACH_GROUP;
    limit->used = false;
    limit->group_count++; /* the last group to leave must not free it under our hands */
    rebind(core, &scope, false);
    if (limit->meter != 0) {
        meter_free(core, limit->meter);
    }
    if (--limit->group_count == 0) {
        limit_free(core, ref);
    }
    return JQ_OK;
}

enum jq_err apply_limit_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    return record->type == JQ_RECORD_LIMIT_SET ? apply_set(core, record, reterr) : apply_removed(core, record, reterr);
}
