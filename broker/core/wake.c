/* wake.c - workers that sleep, and their doorbells.
 *
 * A worker that registers with a doorbell is not forgotten when it says that it goes to sleep, or dies: it is asleep. What it can run is
 * remembered as long as this process lives, the doorbell in the log. While tasks wait that no worker who is awake could ever take, the
 * doorbell of one that sleeps is rung; who has been rung and does not come is rung again after a pause that doubles.
 *
 * Each class of tasks is looked at when tasks of it come up, and again every LOOK_MS while they wait: never a task, and no more than
 * CLASSES_PER_STEP_MAX classes in one step. After a restart of the broker nobody is rung before those who are awake had
 * time to register again; one that slept through it may be able to run anything.
 */
#include <stdlib.h>

#include "broker/core/state.h"

enum {
    LOOK_MS = 500,
    CLASSES_PER_STEP_MAX = 16,
    RING_PAUSE_MS = 3000, /* doubles with each ring that was not answered */
    RING_PAUSE_MAX_MS = 60000,
    START_GRACE_HEARTBEATS = 2,
};

/* ---- who is awake, who sleeps ---- */

void worker_note_able(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    const bool able = worker->profile != NULL && !worker->asleep && worker->blocks == 0;
    if (able != worker->able) {
        worker->able = able;
        worker->profile->able_count += able ? 1u : UINT32_MAX;
        core->wake_look_ms = core->now_ms; /* a class may have lost the last that could run it */
    }
}

static void sleeper_add(struct jq_core *core, uint32_t index) {
    core->sleepers = array_grow(core->sleepers, core->sleeper_count, &core->sleeper_capacity, sizeof(*core->sleepers));
    core->sleepers[core->sleeper_count++] = index;
    worker_at(core, index)->sleeper_place = core->sleeper_count;
}

void sleeper_remove(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    if (worker->sleeper_place == 0) {
        return;
    }
    const uint32_t last = core->sleepers[--core->sleeper_count];
    core->sleepers[worker->sleeper_place - 1] = last;
    worker_at(core, last)->sleeper_place = worker->sleeper_place;
    worker->sleeper_place = 0;
}

enum jq_err apply_worker_doorbell(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    const uint32_t index = record->u.worker_doorbell.worker;
    if (index == 0 || index >= core->worker_count || !core->workers[index].used) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "doorbell of worker %u, which is not registered", index);
    }
    struct worker *worker = worker_at(core, index);
    const struct jq_str before = worker->doorbell;
    core->digest -= worker_hash(core, worker);
    worker->doorbell = text_copy(record->u.worker_doorbell.doorbell);
    worker->asleep = record->u.worker_doorbell.asleep;
    core->digest += worker_hash(core, worker);
    free((char *)(uintptr_t)before.data);
    sleeper_remove(core, index);
    if (worker->asleep) {
        sleeper_add(core, index);
    }
    return JQ_OK;
}

static void doorbell_set(struct jq_core *core, uint32_t index, struct jq_str doorbell, bool asleep) {
    struct jq_record record = {.type = JQ_RECORD_WORKER_DOORBELL,
                               .u.worker_doorbell = {.worker = index, .asleep = asleep, .doorbell = doorbell}};
    emit(core, &record);
}

void worker_take_doorbell(struct jq_core *core, uint32_t index, struct jq_str doorbell) {
    struct worker *worker = worker_at(core, index);
    worker->ring_count = 0;
    worker->ring_next_ms = 0;
    if (doorbell.size > 0) {
        doorbell_set(core, index, doorbell, false);
    }
}

void worker_falls_asleep(struct jq_core *core, uint32_t index) {
    doorbell_set(core, index, worker_at(core, index)->doorbell, true);
    worker_at(core, index)->ring_next_ms = 0;
    worker_note_able(core, index);
    news_name(core, JQ_NEWS_WORKER_ASLEEP, worker_at(core, index)->name, 0);
}

void sleepers_start(struct jq_core *core) {
    core->wake_from_ms = core->now_ms + START_GRACE_HEARTBEATS * core->config.heartbeat_ms;
}

/* ---- ringing ---- */

static bool could_run(struct jq_core *core, struct worker *worker, uint16_t class_index) {
    return worker->blocks == 0 &&
           (worker->profile == NULL || profile_plan(core, worker->profile, class_index)->possible);
}

static bool somebody_awake_can(struct jq_core *core, uint16_t class_index) {
    for (uint32_t i = 0; i < core->profile_count; i++) {
        struct profile *profile = core->profiles[i];
        if (profile && profile->able_count > 0 && profile_plan(core, profile, class_index)->possible) {
            return true;
        }
    }
    return false;
}

/* Of two that may be rung: known to be able, then the fewest rings in vain. */
static bool rings_better(const struct worker *a, const struct worker *b) {
    if ((a->profile != NULL) != (b->profile != NULL)) {
        return a->profile != NULL;
    }
    return a->ring_count < b->ring_count;
}

static void ring(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    const int64_t pause_ms = (int64_t)RING_PAUSE_MS << (worker->ring_count < 6 ? worker->ring_count : 6);
    worker->ring_count++;
    worker->ring_next_ms = core->now_ms + (pause_ms < RING_PAUSE_MAX_MS ? pause_ms : RING_PAUSE_MAX_MS);
    const struct jq_effect effect = {
        .type = JQ_EFFECT_RING, .level = JQ_EFFECT_AT_ONCE, .u.ring = {worker->name, worker->doorbell}};
    core->output->effect(core->output->ctx, &effect);
    news_name(core, JQ_NEWS_WORKER_RUNG, worker->name, worker->ring_count);
}

/* One at a time: nobody else is rung while somebody who was may still be on the way. */
static void ring_for(struct jq_core *core, uint16_t class_index) {
    uint32_t best = 0;
    for (uint32_t i = 0; i < core->sleeper_count; i++) {
        struct worker *worker = worker_at(core, core->sleepers[i]);
        if (!could_run(core, worker, class_index)) {
            continue;
        }
        if (worker->ring_count == 1 && core->now_ms < worker->ring_next_ms) {
            return;
        }
        if (core->now_ms >= worker->ring_next_ms && (best == 0 || rings_better(worker, worker_at(core, best)))) {
            best = core->sleepers[i];
        }
    }
    if (best != 0) {
        ring(core, best);
    }
}

/* ---- looking ---- */

static void look_at_word(struct jq_core *core, uint32_t word, int *left) {
    uint64_t fresh = core->open_classes[word] & ~core->wake_looked[word];
    for (; fresh != 0 && *left > 0; fresh &= fresh - 1, --*left) {
        const uint32_t bit = (uint32_t)__builtin_ctzll(fresh);
        const uint16_t class_index = (uint16_t)(word * 64 + bit);
        core->wake_looked[word] |= UINT64_C(1) << bit;
        if (!somebody_awake_can(core, class_index)) {
            ring_for(core, class_index);
        }
    }
}

void sleepers_wake(struct jq_core *core) {
    const size_t words = bit_words(core->class_count);
    core->wake_again = false;
    core->wake_wanted = false;
    if (core->sleeper_count == 0 || core->stopping || core->now_ms < core->wake_from_ms) {
        return;
    }
    const bool round = core->now_ms >= core->wake_look_ms;
    int left = CLASSES_PER_STEP_MAX;
    for (uint32_t word = 0; word < words; word++) {
        core->wake_looked[word] = round ? 0 : core->wake_looked[word] & core->open_classes[word];
        look_at_word(core, word, &left);
        core->wake_wanted |= core->open_classes[word] != 0;
        core->wake_again |= (core->open_classes[word] & ~core->wake_looked[word]) != 0;
    }
    core->wake_look_ms = round ? core->now_ms + LOOK_MS : core->wake_look_ms;
}

int64_t sleepers_deadline_ms(const struct jq_core *core) {
    if (core->sleeper_count == 0 || core->stopping) {
        return INT64_MAX;
    }
    if (core->now_ms < core->wake_from_ms) {
        return core->wake_from_ms;
    }
    return core->wake_again ? core->now_ms : (core->wake_wanted ? core->wake_look_ms : INT64_MAX);
}
