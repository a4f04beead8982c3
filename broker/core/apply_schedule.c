/* apply_schedule.c - what each fact about a schedule changes. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

static void timer_moved(void *ctx, uint32_t ref, uint32_t position) {
    struct jq_core *core = ctx;
    core->schedules.items[ref].timer = position;
}

void schedules_init(struct jq_core *core) {
    struct schedules *schedules = &core->schedules;
    schedules->items = array_grow(NULL, 0, &schedules->capacity, sizeof(*schedules->items));
    schedules->items[0] = (struct schedule){0};
    schedules->count = 1;
    jq_strmap_init(&schedules->names, core->hash_seed);
    jq_heap_init(&schedules->timers, timer_moved, core);
}

void schedules_fini(struct jq_core *core) {
    for (uint32_t i = 1; i < core->schedules.count; i++) {
        free(core->schedules.items[i].bytes);
    }
    free(core->schedules.items);
    jq_strmap_fini(&core->schedules.names);
    jq_heap_fini(&core->schedules.timers);
}

uint32_t schedule_find(const struct jq_core *core, struct jq_str name) {
    return jq_strmap_get(&core->schedules.names, name, 0);
}

/* ---- hashes ---- */

static uint64_t hash_of(const struct jq_core *core, uint32_t index) {
    const struct schedule *schedule = &core->schedules.items[index];
    const struct jq_schedule_state *state = &schedule->state;
    uint64_t hash = jq_hash_combine(jq_hash_bytes(schedule->bytes, schedule->size, 0), index);
    hash = jq_hash_combine(hash, (uint64_t)state->anchor_wall_ms);
    hash = jq_hash_combine(hash, (uint64_t)state->settled_wall_ms);
    hash = jq_hash_combine(hash, (uint64_t)state->last_due_wall_ms);
    hash = jq_hash_combine(hash, state->last_task.value);
    hash = jq_hash_combine(hash, state->fired);
    hash = jq_hash_combine(hash, state->missed);
    return jq_hash_combine(hash, state->skipped << 1 | state->paused);
}

uint64_t schedules_digest(const struct jq_core *core) {
    uint64_t sum = 0;
    for (uint32_t i = 1; i < core->schedules.count; i++) {
        sum += core->schedules.items[i].used ? hash_of(core, i) : 0;
    }
    return sum;
}

/* ---- facts ---- */

/* Makes the entries up to `index`: in a log that has lost its beginning those before it may be gone. */
static bool place(struct jq_core *core, uint32_t index) {
    struct schedules *schedules = &core->schedules;
    if (index == 0 || index > JQ_SCHEDULES_MAX || (index > schedules->count && !core->partial)) {
        return false;
    }
    while (schedules->count <= index) {
        schedules->items =
            array_grow(schedules->items, schedules->count, &schedules->capacity, sizeof(*schedules->items));
        schedules->items[schedules->count++] = (struct schedule){0};
    }
    return true;
}

static void forget(struct jq_core *core, uint32_t index) {
    struct schedule *schedule = &core->schedules.items[index];
    core->digest -= hash_of(core, index);
    JQ_CHECK(jq_strmap_remove(&core->schedules.names, schedule->def.name));
    if (schedule->timer != 0) {
        jq_heap_remove(&core->schedules.timers, schedule->timer);
    }
    core->schedules.troubled -= schedule->trouble != NULL;
    core->schedules.bytes -= schedule->size;
    core->extra_bytes -= schedule->size;
    core->schedules.used_count--;
    files_refer(core, schedule->def.task.files, false);
    free(schedule->bytes);
    *schedule = (struct schedule){0};
}

/* A new definition into a free place. False: its bytes say nothing. */
static bool define(struct jq_core *core, uint32_t index, struct jq_bytes definition) {
    struct schedule *schedule = &core->schedules.items[index];
    struct jq_schedule_def def;
    uint8_t *bytes = malloc(definition.size + 1);
    JQ_CHECK(bytes != NULL);
    if (definition.size > 0) {
        memcpy(bytes, definition.data, definition.size);
    }
    if (!schedule_def_unpack((struct jq_bytes){bytes, definition.size}, &def) || schedule_find(core, def.name) != 0) {
        free(bytes);
        return false;
    }
    *schedule = (struct schedule){.used = true, .bytes = bytes, .size = definition.size, .def = def};
    schedule->readable = jq_cron_parse(def.when, &schedule->cron, NULL) == JQ_OK;
    JQ_CHECK(jq_strmap_put(&core->schedules.names, def.name, index));
    core->schedules.bytes += definition.size;
    core->extra_bytes += definition.size;
    files_refer(core, def.task.files, true);
    core->schedules.used_count++;
    return true;
}

/* A prologue re-states what is there: then the bytes stay where they are, the record itself may have borrowed them. */
static enum jq_err apply_set(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    const uint32_t index = record->u.schedule_set.schedule;
    const struct jq_bytes definition = record->u.schedule_set.definition;
    bool fits = place(core, index);
    struct schedule *schedule = fits ? &core->schedules.items[index] : NULL;
    const bool same = fits && schedule->used && schedule->size == definition.size &&
                      memcmp(schedule->bytes, definition.data, definition.size) == 0;
    if (same) {
        core->digest -= hash_of(core, index);
    } else if (fits) {
        if (schedule->used) {
            forget(core, index);
        }
        fits = define(core, index, definition);
    }
    if (!fits) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "schedule %u cannot be set", index);
    }
    schedule->state = record->u.schedule_set.state;
    core->digest += hash_of(core, index);
    return JQ_OK;
}

static bool known(const struct jq_core *core, uint32_t index) {
    return index > 0 && index < core->schedules.count && core->schedules.items[index].used;
}

enum jq_err apply_schedule_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    if (record->type == JQ_RECORD_SCHEDULE_SET) {
        return apply_set(core, record, reterr);
    }
    const uint32_t index = record->u.schedule_moved.schedule; /* the first field of both */
    if (!known(core, index)) {
        return core->partial ? JQ_OK : jq_fail(reterr, JQ_ERR_CORRUPT, "schedule %u is not known", index);
    }
    if (record->type == JQ_RECORD_SCHEDULE_FORGOTTEN) {
        forget(core, index);
        return JQ_OK;
    }
    core->digest -= hash_of(core, index);
    core->schedules.items[index].state = record->u.schedule_moved.state;
    core->digest += hash_of(core, index);
    return JQ_OK;
}

enum jq_err apply_schedule_fired(struct jq_core *core, const struct jq_record *submitted, struct jq_error *reterr) {
    const uint32_t index = submitted->u.task_submitted.schedule;
    if (!known(core, index)) {
        return core->partial ? JQ_OK : jq_fail(reterr, JQ_ERR_CORRUPT, "schedule %u fired, but is not known", index);
    }
    struct jq_schedule_state *state = &core->schedules.items[index].state;
    const int64_t due_wall_ms = submitted->u.task_submitted.due_wall_ms;
    core->digest -= hash_of(core, index);
    state->last_task = submitted->u.task_submitted.task;
    if (due_wall_ms != 0) {
        state->settled_wall_ms = CANARY(SCHEDULE_TWICE) ? due_wall_ms - 1 : due_wall_ms;
        state->last_due_wall_ms = due_wall_ms;
        state->fired++;
    }
    core->digest += hash_of(core, index);
    return JQ_OK;
}

/* ---- the prologue ---- */

void schedules_say(struct jq_core *core) {
    for (uint32_t i = 1; i < core->schedules.count; i++) {
        const struct schedule *schedule = &core->schedules.items[i];
        if (schedule->used) {
            struct jq_record set = {.type = JQ_RECORD_SCHEDULE_SET,
                                    .u.schedule_set = {.schedule = i,
                                                       .state = schedule->state,
                                                       .definition = {schedule->bytes, schedule->size}}};
            emit(core, &set);
        }
    }
}
