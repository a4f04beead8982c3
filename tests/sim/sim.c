/* sim.c - one run: what the seed chooses, the events in the order of time, the faults, the calm at the end. */
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/hash.h"

/* Whom a full table of senders keeps out comes in when the request window is over: that is many steps. */
enum { CALM_STEPS_MAX = 2000000, CALM_MS_MAX = 3 * 3600 * 1000 };

/* ---- saying ---- */

void sim_say(struct sim *sim, const char *format, ...) {
    if (sim->options->verbose) {
        va_list args;
        va_start(args, format);
        printf("[%" PRId64 " #%" PRIu64 "] ", sim->now_ms, sim->step);
        (void)vprintf(format, args);
        printf("\n");
        va_end(args);
    }
}

static void result_take(struct sim *sim) {
    struct sim_result *result = sim->result;
    result->step = sim->step;
    result->now_ms = sim->now_ms;
    result->counts = sim->counts;
    result->counts.events = sim->step;
    result->counts.simulated_s = (uint64_t)sim->now_ms / 1000;
    memcpy(result->struck, sim->chances.struck, sizeof(result->struck));
}

/* The words of the invariant without what is put into them: equal for every breach of it. */
void sim_fail(struct sim *sim, const char *format, ...) {
    va_list args;
    result_take(sim);
    sim->result->failed = true;
    sim->result->signature = jq_hash_bytes(format, strlen(format), 0);
    va_start(args, format);
    (void)vsnprintf(sim->result->message, sizeof(sim->result->message), format, args);
    va_end(args);
    printf("seed %" PRIu64 ", step %" PRIu64 ", %" PRId64 " ms: %s\nagain: jqsim ", sim->options->seed, sim->step,
           sim->now_ms, sim->result->message);
    faults_print(sim->options);
    printf(" --verbose\n0 passed, 1 failed\n");
    (void)fflush(stdout);
    exit(EXIT_FAILURE);
}

void counts_print(const struct sim_counts *counts) {
    printf("%" PRIu64 " seeds, %" PRIu64 " events in %" PRIu64 " h of simulated time: %" PRIu64
           " tasks submitted, %" PRIu64 " leases, %" PRIu64 " ends, %" PRIu64 " requests sent again\n",
           counts->seeds, counts->events, counts->simulated_s / 3600, counts->submitted, counts->leased,
           counts->finished, counts->resent);
    printf("%" PRIu64 " starts of the broker (%" PRIu64 " more refused by the disk), %" PRIu64 " crashes, %" PRIu64
           " flipped bits found, %" PRIu64 " bodies read back, %" PRIu64 " tasks moved in the log\n",
           counts->starts, counts->refused_starts, counts->crashes, counts->rots_caught, counts->bodies_read,
           counts->moved);
    printf("checked at leases: %" PRIu64 " orders, %" PRIu64 " turns, %" PRIu64 " wants, %" PRIu64
           " beside a reservation; %" PRIu64 " selections whole, %" PRIu64 " tasks by selection\n",
           counts->orders_checked, counts->turns_checked, counts->wants_checked, counts->holds_checked,
           counts->selections, counts->selected);
    printf("schedules: %" PRIu64 " times fired, %" PRIu64 " missed; cache: %" PRIu64 " results kept, %" PRIu64
           " tasks answered; %" PRIu64 " tasks left outputs\n",
           counts->fired, counts->missed, counts->kept_results, counts->cached, counts->made);
}

/* ---- chance ---- */

bool sim_strikes(struct sim *sim, enum sim_fault kind) {
    return !sim->calm && chances_strike(&sim->chances, kind);
}

uint64_t sim_detail(struct sim *sim, uint64_t bound) {
    return chances_detail(&sim->chances, bound);
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

static void swarm_choose(struct sim *sim) {
    sim->swarm = (struct sim_swarm){.operators = sim_below(sim, 3) ? 1 + (uint32_t)sim_below(sim, 60) : 0,
                                    .pause_ms = sim_below(sim, 3) ? 400 : 60,
                                    .run_max_ms = sim_below(sim, 2) ? 300 : 30000,
                                    .tick_ms = 20,
                                    .delay_max_ms = 20000,
                                    .commit_max_ms = sim_below(sim, 2) ? 5 : 200,
                                    .segment_bytes = sim_below(sim, 3) ? 48 * 1024 : 160 * 1024,
                                    .body_bytes = sim_below(sim, 2) ? 32 : 1024,
                                    .forgetful = sim_below(sim, 2),
                                    .choosy = sim_below(sim, 4) == 0,
                                    .pure = sim_below(sim, 3) > 0};
}

static void config_choose(struct sim *sim) {
    struct jq_core_config *config = &sim->config;
    jq_core_config_init(config);
    config->queues_max = 3 + (uint32_t)sim_below(sim, 4);
    config->classes_max = 6 + (uint32_t)sim_below(sim, 20);
    config->options_max = 8 + (uint32_t)sim_below(sim, 20);
    config->workers_max = 8;
    config->senders_max = 30 + (uint32_t)sim_below(sim, 60);
    config->finished_max = sim_below(sim, 2) ? 1000000 : sim_below(sim, 50);
    config->depth_max = sim_below(sim, 3) ? 100000 : 10;
    config->key_ttl_ms = !sim->swarm.forgetful && sim_below(sim, 2) ? 86400000 : 10000;
    config->dead_ttl_ms = !sim->swarm.forgetful && sim_below(sim, 2) ? 0 : 5000;
    config->request_window_ms = 600000;
    if (sim_below(sim, 2)) {
        sim->queue_configs[0] = (struct jq_queue_config){.name = "a", .depth_max = 8, .policy = JQ_POLICY_SHED};
        sim->queue_configs[1] =
            (struct jq_queue_config){.name = "d", .depth_max = 6, .bytes_max = 4096, .policy = JQ_POLICY_BLOCK};
        sim->queue_configs[2] = (struct jq_queue_config){.name = "b.c", .weight = 3};
        config->queues = sim->queue_configs;
        config->queue_count = 3;
    }
    config->memory_max = sim_below(sim, 6) ? UINT64_C(4) << 30 : 6000 + sim_below(sim, 10000);
    config->flow_stage_ms = 20000;
    config->slice_tasks = sim_below(sim, 2) ? 8 + (uint32_t)sim_below(sim, 60) : config->slice_tasks;
    config->breaker.window_ms = 12000;
    config->breaker.min_calls = 2 + (uint32_t)sim_below(sim, 9);
    config->breaker.cool_down_ms = 500 + (int64_t)sim_below(sim, 5000);
    config->breaker.cool_down_max_ms = 20000;
    config->crash_limit = 1 + (uint32_t)sim_below(sim, 3);
    config->lost_limit = 1 + (uint32_t)sim_below(sim, 10);
    config->shortage_limit = 1 + (uint32_t)sim_below(sim, 20);
    config->aging_interval_ms = sim_below(sim, 2) ? 600000 : 2000;
    config->log_slack_bytes =
        sim_below(sim, 2) ? sim->swarm.segment_bytes / 2 : 8 * 1024; /* the first: as the broker has it */
    config->blob_grace_ms = sim_below(sim, 2) ? 600000 : 3000;
    config->cache_entries_max = sim_below(sim, 8) ? 1 + sim_below(sim, 40) : 0;
    config->cache_bytes_max = sim_below(sim, 2) ? UINT64_C(64) << 20 : 500 + sim_below(sim, 4000);
    config->cache_output_bytes_max = sim_below(sim, 2) ? UINT64_C(1) << 30 : sim_below(sim, 1000);
    config->reserve_after_ms = config->aging_interval_ms == 2000 ? 1000 : 30000;
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

static bool broker_sleeps(const struct sim *sim) {
    return sim->broker.up && sim->now_ms < sim->broker.asleep_until_ms;
}

/* It waits before a sleeping broker. */
static void put_off(struct sim *sim, const struct sim_event *event) {
    struct sim_event *later = sim_add(sim, event->type, sim->broker.asleep_until_ms);
    const uint64_t order = later->order;
    const int64_t at_ms = later->at_ms;
    *later = *event;
    later->order = order;
    later->at_ms = at_ms;
}

static void core_event(struct sim *sim, const struct sim_event *event) {
    struct jq_event told = {.type = JQ_EVENT_SURVEY_RESPONSE, .u.survey = event->response};
    if (event->type == SIM_DAMAGED) {
        told = (struct jq_event){.type = JQ_EVENT_DAMAGED, .u.damaged = event->held};
    }
    broker_event(sim, &told);
}

/* What the broker's own process would do: nothing, if it is no more. */
static void own_event(struct sim *sim, const struct sim_event *event) {
    if (!sim->broker.up || event->number != sim->broker.run) {
        return;
    }
    switch (event->type) {
    case SIM_WRITTEN: log_written(sim); break;
    case SIM_SYNCED: log_synced(sim); break;
    case SIM_DAMAGED: core_event(sim, event); break;
    case SIM_LOG_READ: reader_reads(sim); break;
    case SIM_BLOB_LOST: blobs_lost(sim, event->actor); break;
    default: broker_crash(sim, false); break;
    }
}

static bool for_broker(enum sim_event_type type) {
    return type == SIM_TO_BROKER || type == SIM_SURVEY_RESPONSE || type == SIM_WRITTEN || type == SIM_SYNCED ||
           type == SIM_DAMAGED || type == SIM_BLOB_LOST || type == SIM_LOG_READ;
}

static void handle(struct sim *sim, struct sim_event *event) {
    if (for_broker(event->type) && broker_sleeps(sim)) {
        put_off(sim, event);
        return;
    }
    switch (event->type) {
    case SIM_TO_BROKER: broker_deliver(sim, event->request); break;
    case SIM_SURVEY_RESPONSE: core_event(sim, event); break;
    case SIM_TO_ACTOR:
        actor_reply(sim, event->actor, &event->kept->effect.u.reply);
        kept_free(event->kept);
        break;
    case SIM_SURVEY: worker_survey(sim, &sim->workers[event->actor - SIM_CLIENTS], event->number); break;
    case SIM_ACTOR_TIME: actor_time(sim, event->actor); break;
    case SIM_WRITTEN:
    case SIM_SYNCED:
    case SIM_DAMAGED:
    case SIM_BLOB_LOST:
    case SIM_LOG_READ:
    case SIM_STOPPED: own_event(sim, event); break;
    case SIM_START_BROKER: broker_start(sim); break;
    case SIM_DISK_WELL: disk_well(sim); break;
    }
}

/* The next event, or the core's own deadline if that comes first. */
void sim_next(struct sim *sim) {
    const int64_t deadline_ms = broker_deadline_ms(sim);
    sim->result->step = ++sim->step; /* for whoever finds this process dead */
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

static void disk_event(struct sim *sim, uint64_t free_bytes) {
    struct jq_event event = {.type = JQ_EVENT_DISK, .u.disk = {.free_bytes = free_bytes}};
    broker_event(sim, &event);
}

static void ask_to_stop(struct sim *sim) {
    struct jq_event event = {.type = JQ_EVENT_STOP};
    sim_say(sim, "the broker is asked to stop");
    sim->broker.stopping = true;
    sim_add(sim, SIM_STOPPED, sim->now_ms + 1 + (int64_t)sim_detail(sim, 5000))->number = sim->broker.run;
    broker_event(sim, &event);
}

static void close_pipe(struct sim *sim) {
    const bool worker = sim_detail(sim, 2);
    struct jq_event event = {.type = JQ_EVENT_PIPE_GONE,
                             .u.pipe_gone.pipe =
                                 worker ? 100 + sim_detail(sim, SIM_WORKERS) : sim_detail(sim, SIM_CLIENTS)};
    broker_event(sim, &event);
}

static void lose_power(struct sim *sim) {
    if (sim_detail(sim, 2)) {
        jq_simdisk_power_off_after(sim->disk, 1 + sim_detail(sim, 20)); /* in the middle of some write to come */
    } else {
        broker_crash(sim, true);
    }
}

/* An awake broker's. */
static void faults_of_broker(struct sim *sim) {
    if (sim_strikes(sim, SIM_MARK)) {
        disk_event(sim, sim_detail(sim, 2) ? UINT64_C(1) << 40 : 0);
    }
    if (sim->broker.up && sim_strikes(sim, SIM_PIPE)) {
        close_pipe(sim);
    }
    if (sim->broker.up && sim_strikes(sim, SIM_BLOB)) {
        blobs_lose(sim);
    }
    if (sim->broker.up && sim_strikes(sim, SIM_STOP)) {
        ask_to_stop(sim);
    }
    if (sim->broker.up && sim_strikes(sim, SIM_SLEEP)) {
        sim->broker.asleep_until_ms = sim->now_ms + (int64_t)sim_detail(sim, 40000);
        sim_say(sim, "the broker sleeps until %" PRId64, sim->broker.asleep_until_ms);
    }
}

static void faults_of_machine(struct sim *sim) {
    if (sim_strikes(sim, SIM_WALL)) {
        const int64_t jump_ms = (int64_t)sim_detail(sim, 120000) - 60000;
        sim_say(sim, "the wall clock jumps by %" PRId64 " ms", jump_ms);
        sim->wall_offset_ms += jump_ms;
    }
    if (sim_strikes(sim, SIM_EIO)) {
        disk_fail(sim);
    }
    if (sim->broker.up && sim_strikes(sim, SIM_FULL)) {
        disk_fill(sim);
    }
    if (sim->broker.up && sim_strikes(sim, SIM_KILL)) {
        broker_crash(sim, false);
    }
    if (sim->broker.up && sim_strikes(sim, SIM_POWER)) {
        lose_power(sim);
    }
}

static void faults(struct sim *sim) {
    faults_of_machine(sim);
    if (sim->broker.up && !broker_sleeps(sim)) {
        faults_of_broker(sim);
    }
    if (sim_strikes(sim, SIM_CUT)) {
        net_cut(sim);
    }
}

/* ---- a run ---- */

/* The run is over: what the broker itself says of the task may change what it likes. */
static void on_last_record(void *ctx, struct jq_record *record) {
    record->lsn = ++((struct sim *)ctx)->oracle.end_lsn;
    record->size = 1;
}

static void on_explanation(void *ctx, const struct jq_effect *effect) {
    (void)ctx;
    for (size_t i = 0; effect->type == JQ_EFFECT_REPLY && effect->u.reply.op == JQ_OP_TASK_EXPLAIN &&
                       effect->u.reply.status == JQ_REPLY_OK && i < effect->u.reply.u.explain.count;
         i++) {
        const struct jq_why_line *line = &effect->u.reply.u.explain.lines[i];
        printf("  why %d: %.*s %.*s %" PRId64 "\n", (int)line->why, JQ_STR_ARG(line->worker), JQ_STR_ARG(line->detail),
               line->number);
    }
}

static _Noreturn void stuck(struct sim *sim, uint64_t id) {
    const struct sim_task *task = oracle_task(sim, id);
    const struct sim_class *entry = &sim->oracle.classes[task->class_index];
    const struct jq_output output = {sim, on_last_record, on_explanation};
    const struct jq_event event = {.type = JQ_EVENT_REQUEST,
                                   .now_ms = sim->now_ms,
                                   .wall_ms = sim->now_ms + sim->wall_offset_ms,
                                   .u.request = {.op = JQ_OP_TASK_EXPLAIN, .call = UINT64_MAX, .u.task.id = {id}}};
    if (sim->broker.up) {
        jq_core_step(sim->broker.core, &event, &output);
    }
    sim_fail(sim, "the faults stopped, but task %" PRIu64 " comes to no end (place %d, %s of queue %s, need \"%s\")",
             id, (int)task->place, entry->handler, sim->oracle.queues[task->queue], entry->need);
}

static void calm(struct sim *sim) {
    const int64_t begin_ms = sim->now_ms;
    const uint64_t begin_step = sim->step;
    const uint64_t calm_steps = CALM_STEPS_MAX * (sim->options->hours > 0 ? 100 : 1);
    uint64_t open = 0;
    sim->calm = true;
    sim->calm_ms = sim->now_ms;
    sim_say(sim, "calm");
    memset(sim->links, 0, sizeof(sim->links));
    disk_well(sim);
    disk_event(sim, UINT64_C(1) << 40);
    while (!sim->broker.up || !oracle_all_final(sim, &open)) {
        for (int i = 0; i < 200; i++) {
            sim_next(sim);
        }
        if (sim->step - begin_step > calm_steps || sim->now_ms - begin_ms > CALM_MS_MAX + sim->swarm.delay_max_ms) {
            stuck(sim, open);
        }
    }
}

/* A last restart: what is on disk gives what the broker was. */
static void restart_at_end(struct sim *sim) {
    broker_crash(sim, false);
    while (!sim->broker.up) {
        sim_next(sim);
    }
    oracle_promises(sim);
}

static void sim_init(struct sim *sim, const struct sim_options *options, struct sim_result *result) {
    *sim = (struct sim){.options = options, .result = result, .now_ms = 1000, .wall_offset_ms = INT64_C(1700000000000)};
    jq_rng_init(&sim->rng, options->seed);
    chances_init(&sim->chances, options);
    swarm_choose(sim);
    config_choose(sim);
    if (options->hours > 0) {
        week_choose(sim);
    }
    heap_reset();
    blobs_init();
    sim->disk = jq_simdisk_new(jq_rng_next(&sim->rng));
    jq_buf_init(&sim->broker.body, JQ_RECORD_BODY_SIZE_MAX);
    jq_map_init(&sim->broker.call_actor);
    jq_map_init(&sim->oracle.by_id);
    jq_map_init(&sim->oracle.answer_map);
    jq_map_init(&sim->oracle.questions);
    jq_map_init(&sim->oracle.cache_keys);
    sim->broker.last_effect = &sim->broker.steps_effects;
}

static void sim_fini(struct sim *sim) {
    broker_free(sim);
    actors_fini(sim);
    events_free(sim);
    oracle_fini(sim);
    jq_simdisk_free(sim->disk);
    free(sim);
}

struct sim *sim_open(const struct sim_options *options, struct sim_result *result) {
    struct sim *sim = malloc(sizeof(*sim));
    JQ_CHECK(sim != NULL);
    sim_init(sim, options, result);
    broker_start(sim);
    actors_init(sim);
    return sim;
}

void sim_close(struct sim *sim) {
    calm(sim);
    restart_at_end(sim);
    result_take(sim);
    sim_fini(sim);
}

void sim_run(const struct sim_options *options, struct sim_result *result) {
    struct sim *sim = sim_open(options, result);
    while (sim->step < options->steps) {
        sim_next(sim);
        faults(sim);
    }
    sim_close(sim);
}
