/* sim.c - one run: what the seed chooses, the events in the order of time, the faults, the calm at the end. */
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CALM_STEPS_MAX = 400000, CALM_MS_MAX = 3 * 3600 * 1000 };

/* ---- saying ---- */

void sim_say(struct sim *sim, const char *format, ...) {
    if (sim->verbose) {
        va_list args;
        va_start(args, format);
        printf("[%" PRId64 " #%" PRIu64 "] ", sim->now_ms, sim->step);
        (void)vprintf(format, args);
        printf("\n");
        va_end(args);
    }
}

void sim_fail(struct sim *sim, const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf("seed %" PRIu64 ", step %" PRIu64 ", %" PRId64 " ms: ", sim->seed, sim->step, sim->now_ms);
    (void)vprintf(format, args);
    printf("\nagain: jqsim --seed %" PRIu64 " --steps %" PRIu64 " --verbose\n0 passed, 1 failed\n", sim->seed,
           sim->steps_max);
    va_end(args);
    (void)fflush(stdout);
    exit(EXIT_FAILURE);
}

/* ---- chance ---- */

bool sim_of(struct sim *sim, uint32_t numerator, uint32_t denominator) {
    return !sim->calm && numerator > 0 && jq_rng_chance(&sim->rng, numerator, denominator);
}

uint64_t sim_below(struct sim *sim, uint64_t bound) {
    return bound > 1 ? jq_rng_below(&sim->rng, bound) : 0;
}

struct jq_uuid sim_uuid(struct sim *sim) {
    struct jq_uuid id;
    const uint64_t halves[2] = {jq_rng_next(&sim->rng), jq_rng_next(&sim->rng)};
    memcpy(id.bytes, halves, sizeof(id.bytes));
    return id;
}

/* Each fault is off in about half of the seeds: runs that are mild in one way go deeper in another. */
static uint32_t maybe(struct sim *sim, uint32_t most) {
    return sim_below(sim, 2) ? 0 : 1 + (uint32_t)sim_below(sim, most);
}

static void swarm_choose(struct sim *sim) {
    sim->swarm = (struct sim_swarm){.drop = maybe(sim, 150),
                                    .twice = maybe(sim, 150),
                                    .delay_max_ms = sim_below(sim, 3) ? 20 : 3000,
                                    .crash = maybe(sim, 60),
                                    .power = (uint32_t)sim_below(sim, 11),
                                    .torn = (uint32_t)sim_below(sim, 11),
                                    .silence = maybe(sim, 100),
                                    .reborn = maybe(sim, 100),
                                    .lies = maybe(sim, 1000),
                                    .wall = maybe(sim, 20),
                                    .sleep = maybe(sim, 20),
                                    .disk = maybe(sim, 30),
                                    .fail = maybe(sim, 60),
                                    .crashed = maybe(sim, 60),
                                    .operators = maybe(sim, 60),
                                    .run_max_ms = sim_below(sim, 2) ? 300 : 30000,
                                    .commit_max_ms = sim_below(sim, 2) ? 5 : 200,
                                    .segment_bytes = sim_below(sim, 3) ? 24 * 1024 : 48 * 1024,
                                    .body_bytes = sim_below(sim, 2) ? 32 : 1024,
                                    .forgetful = sim_below(sim, 2)};
}

static void config_choose(struct sim *sim) {
    struct jq_core_config *config = &sim->config;
    jq_core_config_init(config);
    config->queues_max = 3 + (uint32_t)sim_below(sim, 4);
    config->classes_max = 6 + (uint32_t)sim_below(sim, 20);
    config->options_max = 8 + (uint32_t)sim_below(sim, 20);
    config->workers_max = 8;
    config->senders_max = 40 + (uint32_t)sim_below(sim, 100);
    config->finished_max = sim_below(sim, 2) ? 1000000 : sim_below(sim, 50);
    config->depth_max = sim_below(sim, 3) ? 100000 : 10;
    config->key_ttl_ms = !sim->swarm.forgetful && sim_below(sim, 2) ? 86400000 : 10000;
    config->dead_ttl_ms = !sim->swarm.forgetful && sim_below(sim, 2) ? 0 : 5000;
    config->request_window_ms = 600000;
    config->aging_interval_ms = sim_below(sim, 2) ? 600000 : 2000;
}

/* ---- the heap of events ---- */

static bool before(const struct sim_event *a, const struct sim_event *b) {
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static size_t sift_up(struct sim *sim, size_t at, struct sim_event event) {
    while (at > 0 && before(&event, &sim->events[(at - 1) / 2])) {
        sim->events[at] = sim->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->events[at] = event;
    return at;
}

struct sim_event *sim_add(struct sim *sim, enum sim_event_type type, int64_t at_ms) {
    if (sim->event_count == sim->event_capacity) {
        sim->event_capacity = sim->event_capacity ? sim->event_capacity * 2 : 256;
        sim->events = realloc(sim->events, sim->event_capacity * sizeof(*sim->events));
        JQ_CHECK(sim->events != NULL);
    }
    const struct sim_event event = {.at_ms = at_ms, .order = ++sim->order, .type = type};
    return &sim->events[sift_up(sim, sim->event_count++, event)];
}

static struct sim_event take_first(struct sim *sim) {
    const struct sim_event first = sim->events[0];
    const struct sim_event last = sim->events[--sim->event_count];
    size_t at = 0;
    for (size_t child = 1; child < sim->event_count; child = 2 * at + 1) {
        if (child + 1 < sim->event_count && before(&sim->events[child + 1], &sim->events[child])) {
            child++;
        }
        if (!before(&sim->events[child], &last)) {
            break;
        }
        sim->events[at] = sim->events[child];
        at = child;
    }
    sim->events[at] = last;
    return first;
}

static void events_free(struct sim *sim) {
    for (size_t i = 0; i < sim->event_count; i++) {
        free(sim->events[i].request);
        kept_free(sim->events[i].kept);
    }
    free(sim->events);
}

/* ---- what happens ---- */

static bool broker_hears(struct sim *sim, struct sim_event *event) {
    if (sim->broker.up && sim->now_ms < sim->broker.asleep_until_ms) { /* it waits before a sleeping broker */
        struct sim_event *later = sim_add(sim, event->type, sim->broker.asleep_until_ms);
        later->request = event->request;
        later->response = event->response;
        later->number = event->number;
        return false;
    }
    return true;
}

static void on_response(struct sim *sim, const struct jq_survey_response *response) {
    struct jq_event event = {.type = JQ_EVENT_SURVEY_RESPONSE, .u.survey = *response};
    broker_event(sim, &event);
}

static void on_disk(struct sim *sim, const struct sim_event *event) {
    if (!sim->broker.up || event->number != sim->broker.run) {
        return; /* of a broker that is no more */
    }
    if (event->type == SIM_WRITTEN) {
        broker_written(sim);
    } else {
        broker_synced(sim);
    }
}

static void handle(struct sim *sim, struct sim_event *event) {
    switch (event->type) {
    case SIM_TO_BROKER:
        if (broker_hears(sim, event)) {
            broker_deliver(sim, event->request);
        }
        break;
    case SIM_SURVEY_RESPONSE:
        if (broker_hears(sim, event)) {
            on_response(sim, &event->response);
        }
        break;
    case SIM_TO_ACTOR:
        actor_reply(sim, event->actor, &event->kept->effect.u.reply);
        kept_free(event->kept);
        break;
    case SIM_SURVEY: worker_survey(sim, &sim->workers[event->actor - SIM_CLIENTS], event->number); break;
    case SIM_ACTOR_TIME: actor_time(sim, event->actor); break;
    case SIM_WRITTEN:
    case SIM_SYNCED:
        if (broker_hears(sim, event)) {
            on_disk(sim, event);
        }
        break;
    case SIM_START_BROKER: broker_start(sim); break;
    }
}

/* The next event, or the core's own deadline if that comes first. */
static void next(struct sim *sim) {
    const int64_t deadline_ms = broker_deadline_ms(sim);
    sim->step++;
    if (sim->event_count == 0 || deadline_ms < sim->events[0].at_ms) {
        sim->now_ms = deadline_ms > sim->now_ms ? deadline_ms : sim->now_ms;
        struct jq_event time = {.type = JQ_EVENT_TIME};
        broker_event(sim, &time);
        return;
    }
    struct sim_event event = take_first(sim);
    sim->now_ms = event.at_ms > sim->now_ms ? event.at_ms : sim->now_ms;
    handle(sim, &event);
}

/* ---- faults of the broker's machine ---- */

static void lose_broker(struct sim *sim) {
    const bool power = sim_below(sim, 10) < sim->swarm.power;
    if (power && sim_below(sim, 10) < sim->swarm.torn) {
        jq_simdisk_power_off_after(sim->disk, 1 + sim_below(sim, 20)); /* in the middle of some write to come */
    } else {
        broker_crash(sim, power);
    }
}

static void disk_event(struct sim *sim, uint64_t free_bytes) {
    struct jq_event event = {.type = JQ_EVENT_DISK, .u.disk = {.free_bytes = free_bytes}};
    broker_event(sim, &event);
}

static void faults(struct sim *sim) {
    if (sim->broker.up && sim_of(sim, sim->swarm.crash, 10000)) {
        lose_broker(sim);
    }
    if (sim_of(sim, sim->swarm.wall, 10000)) {
        sim->wall_offset_ms += (int64_t)sim_below(sim, 120000) - 60000;
    }
    if (sim->broker.up && sim_of(sim, sim->swarm.sleep, 10000)) {
        sim->broker.asleep_until_ms = sim->now_ms + (int64_t)sim_below(sim, 40000);
    }
    if (sim->broker.up && sim->now_ms >= sim->broker.asleep_until_ms && sim_of(sim, sim->swarm.disk, 10000)) {
        disk_event(sim, sim_below(sim, 2) ? UINT64_C(1) << 40 : 0);
    }
    if (sim->broker.up && sim_of(sim, 20, 10000)) {
        struct jq_event event = {.type = JQ_EVENT_PIPE_GONE,
                                 .u.pipe_gone.pipe = sim_below(sim, 2) ? 100 + sim_below(sim, SIM_WORKERS)
                                                                       : sim_below(sim, SIM_CLIENTS)};
        if (sim->now_ms >= sim->broker.asleep_until_ms) {
            broker_event(sim, &event);
        }
    }
}

/* ---- a run ---- */

static void calm(struct sim *sim) {
    const int64_t begin_ms = sim->now_ms;
    const uint64_t begin_step = sim->step;
    uint64_t open = 0;
    sim->calm = true;
    sim_say(sim, "calm");
    disk_event(sim, UINT64_C(1) << 40);
    while (!sim->broker.up || !oracle_all_final(sim, &open)) {
        for (int i = 0; i < 200; i++) {
            next(sim);
        }
        if (sim->step - begin_step > CALM_STEPS_MAX || sim->now_ms - begin_ms > CALM_MS_MAX) {
            sim_fail(sim, "the faults stopped, but task %" PRIu64 " comes to no end", open);
        }
    }
}

/* A last restart: what is on disk gives what the broker was. */
static void restart_at_end(struct sim *sim) {
    broker_crash(sim, false);
    while (!sim->broker.up) {
        next(sim);
    }
    oracle_promises(sim);
}

static void sim_init(struct sim *sim, uint64_t seed, uint64_t steps, bool verbose) {
    *sim = (struct sim){
        .seed = seed, .steps_max = steps, .verbose = verbose, .now_ms = 1000, .wall_offset_ms = INT64_C(1700000000000)};
    jq_rng_init(&sim->rng, seed);
    swarm_choose(sim);
    config_choose(sim);
    sim->disk = jq_simdisk_new(jq_rng_next(&sim->rng));
    jq_buf_init(&sim->broker.body, JQ_RECORD_BODY_SIZE_MAX);
    jq_map_init(&sim->broker.call_actor);
    jq_map_init(&sim->oracle.by_id);
    sim->broker.last_effect = &sim->broker.steps_effects;
}

void sim_run_seed(uint64_t seed, uint64_t steps, bool verbose) {
    struct sim *sim = malloc(sizeof(*sim));
    JQ_CHECK(sim != NULL);
    sim_init(sim, seed, steps, verbose);
    broker_start(sim);
    actors_init(sim);
    while (sim->step < steps) {
        next(sim);
        faults(sim);
    }
    calm(sim);
    restart_at_end(sim);
    sim_say(sim,
            "%" PRIu64 " submitted, %" PRIu64 " leased, %" PRIu64 " ended, %" PRIu64 " crashes, %" PRIu64 " resent",
            sim->submitted, sim->leased, sim->finished, sim->crashes, sim->resent);
    broker_free(sim);
    actors_fini(sim);
    events_free(sim);
    oracle_fini(sim);
    jq_simdisk_free(sim->disk);
    free(sim);
}
