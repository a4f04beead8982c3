/* core.c - making, starting and freeing a core; its digest. */
#include "broker/core/core.h"

#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

void jq_core_config_init(struct jq_core_config *config) {
    *config = (struct jq_core_config){.depth_max = 10 * 1000 * 1000,
                                      .memory_max = UINT64_C(4) << 30,
                                      .disk_free_min = UINT64_C(256) << 20,
                                      .classes_max = 4096,
                                      .queues_max = 10000,
                                      .groups_max = 1000 * 1000,
                                      .limits_max = 10000,
                                      .options_max = 65536,
                                      .workers_max = 10000,
                                      .senders_max = 65536,
                                      .answers_max = 1000 * 1000,
                                      .window_bytes_max = UINT64_C(128) << 20,
                                      .finished_max = 1000 * 1000,
                                      .parked_max = 20000,
                                      .log_slack_bytes = UINT64_C(64) << 20,
                                      .withheld_max = 1024,
                                      .withheld_bytes_max = UINT64_C(64) << 20,
                                      .heartbeat_ms = 2000,
                                      .liveness_ms = 15000,
                                      .crash_limit = 3,
                                      .lost_limit = 10,
                                      .shortage_limit = 20,
                                      .aging_interval_ms = 600000,
                                      .reserve_after_ms = 30000,
                                      .request_window_ms = 600000,
                                      .key_ttl_ms = 86400000,
                                      .flows_max = 65536,
                                      .flow_stage_ms = 600000,
                                      .blobs_max = 65536,
                                      .cache_entries_max = 100 * 1000,
                                      .cache_bytes_max = UINT64_C(64) << 20,
                                      .cache_output_bytes_max = UINT64_C(1) << 30,
                                      .blob_grace_ms = 3600000,
                                      .breaker = {.enabled = true,
                                                  .window_ms = 60000,
                                                  .min_calls = 10,
                                                  .failure_percent = 50,
                                                  .cool_down_ms = 30000,
                                                  .cool_down_max_ms = 600000,
                                                  .probes = 3},
                                      .slice_tasks = 4096,
                                      .events_max = 65536};
}

/* ---- where heaps keep the positions of their refs ---- */

static void task_moved(void *ctx, uint32_t ref, uint32_t position) {
    struct jq_core *core = ctx;
    task_at(core, ref)->timer = position;
}

static void queue_moved(void *ctx, uint32_t ref, uint32_t position) {
    struct jq_core *core = ctx;
    core->queues[ref].active_position = position;
}

static void options_moved(void *ctx, uint32_t ref, uint32_t position) {
    struct jq_core *core = ctx;
    core->options[ref].retain_position = position;
}

static void meter_moved(void *ctx, uint32_t ref, uint32_t position) {
    meter_at(ctx, ref)->timer = position;
}

static void poll_moved(void *ctx, uint32_t ref, uint32_t position) {
    struct jq_core *core = ctx;
    worker_at(core, ref)->poll_timer = position;
}

static void wait_moved(void *ctx, uint32_t ref, uint32_t position) {
    struct jq_core *core = ctx;
    ((struct waiter *)jq_slab_at(&core->waiters, ref))->timer = position;
}

static void flow_moved(void *ctx, uint32_t ref, uint32_t position) {
    struct jq_core *core = ctx;
    flow_at(core, ref)->timer = position;
}

static void withheld_moved(void *ctx, uint32_t ref, uint32_t position) {
    struct jq_core *core = ctx;
    ((struct withheld *)jq_slab_at(&core->withheld, ref))->timer = position;
}

/* ---- */

static void flows_init(struct jq_core *core) {
    jq_slab_init(&core->nodes, sizeof(struct node));
    jq_slab_init(&core->edges, sizeof(struct edge));
    jq_slab_init(&core->flows, sizeof(struct flow));
    jq_map_init(&core->flow_map);
    jq_heap_init(&core->flow_timers, flow_moved, core);
    jq_buf_init(&core->after, SIZE_MAX);
    jq_buf_init(&core->reasons, SIZE_MAX);
}

static void tables_init(struct jq_core *core) {
    jq_slab_init(&core->tasks, sizeof(struct task));
    jq_slab_init(&core->sides, sizeof(struct side));
    jq_slab_init(&core->leases, sizeof(struct lease));
    jq_slab_init(&core->waiters, sizeof(struct waiter));
    jq_slab_init(&core->wait_links, sizeof(struct wait_link));
    jq_slab_init(&core->buckets, sizeof(struct bucket));
    jq_slab_init(&core->shed_nodes, sizeof(struct shed_node));
    jq_slab_init(&core->withheld, sizeof(struct withheld));
    jq_strmap_init(&core->withheld_ids, core->hash_seed);
    jq_heap_init(&core->withheld_timers, withheld_moved, core);
    jq_slab_init(&core->lanes, sizeof(struct lane));
    jq_slab_init(&core->seats, sizeof(struct seat));
    jq_slab_init(&core->groups, sizeof(struct group));
    jq_slab_init(&core->limits, sizeof(struct limit));
    jq_slab_init(&core->meters, sizeof(struct meter));
    jq_slab_init(&core->blobs, sizeof(struct blob));
    jq_strmap_init(&core->blob_hashes, core->hash_seed);
    jq_slab_init(&core->cached, sizeof(struct cached));
    jq_strmap_init(&core->cached_names, core->hash_seed);
    jq_map_init(&core->id_pages);
    jq_map_init(&core->bucket_map);
    keys_init(core);
    jq_map_init(&core->lane_map);
    jq_map_init(&core->seat_map);
    jq_map_init(&core->wait_map);
    jq_strmap_init(&core->queue_names, core->hash_seed);
    jq_strmap_init(&core->class_names, core->hash_seed);
    jq_strmap_init(&core->options_names, core->hash_seed);
    jq_strmap_init(&core->group_names, core->hash_seed);
    jq_strmap_init(&core->limit_names, core->hash_seed);
    jq_strmap_init(&core->resource_names, core->hash_seed);
    jq_strmap_init(&core->profile_names, core->hash_seed);
    jq_strmap_init(&core->sender_ids, core->hash_seed);
    jq_strmap_init(&core->worker_ids, core->hash_seed);
    jq_strmap_init(&core->worker_sessions, core->hash_seed);
    jq_strmap_init(&core->worker_names, core->hash_seed);
    jq_heap_init(&core->timers, task_moved, core);
    jq_heap_init(&core->wall_timers, task_moved, core);
    jq_heap_init(&core->active, queue_moved, core);
    jq_heap_init(&core->retain, options_moved, core);
    jq_heap_init(&core->limit_timers, meter_moved, core);
    jq_heap_init(&core->poll_timers, poll_moved, core);
    jq_heap_init(&core->wait_timers, wait_moved, core);
    schedules_init(core);
}

enum jq_err jq_core_new(const struct jq_core_config *config, uint64_t hash_seed, struct jq_core **ret_core,
                        struct jq_error *reterr) {
    if (config->queues_max > UINT16_MAX || config->classes_max > UINT16_MAX) {
        return jq_fail(reterr, JQ_ERR_INVALID, "queues_max and classes_max: at most %d", UINT16_MAX);
    }
    struct jq_core *core = calloc(1, sizeof(*core));
    if (!core) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "core");
    }
    core->config = *config;
    core->hash_seed = hash_seed;
    core->id_page_free = UINT32_MAX;
    core->next_id = 1;
    core->ids_limit = 1;
    core->worker_count = 1; /* index 0 is none */
    core->sender_count = 1;
    core->next_survey_ms = INT64_MAX;
    core->queue_wake_wall_ms = INT64_MAX;
    core->disk_free_bytes = UINT64_MAX;
    tables_init(core);
    jq_buf_init(&core->units, JQ_LEASE_UNITS_SIZE_MAX);
    flows_init(core);
    breakers_init(core);
    core->queues = calloc(config->queues_max, sizeof(*core->queues));
    core->classes = calloc(config->classes_max, sizeof(*core->classes));
    core->options = calloc(config->options_max, sizeof(*core->options));
    core->hot = calloc(config->classes_max, sizeof(*core->hot));
    core->hot_queues = calloc(config->queues_max, sizeof(*core->hot_queues));
    core->open_classes = calloc(bit_words(config->classes_max), sizeof(*core->open_classes));
    core->searched = calloc(bit_words(config->classes_max), sizeof(*core->searched));
    core->wake_looked = calloc(bit_words(config->classes_max), sizeof(*core->wake_looked));
    core->workers = array_grow(NULL, 0, &core->worker_capacity, sizeof(*core->workers));
    core->senders = array_grow(NULL, 0, &core->sender_capacity, sizeof(*core->senders));
    core->segments = array_grow(NULL, 0, &core->segment_capacity, sizeof(*core->segments));
    JQ_CHECK(core->queues && core->classes && core->options && core->hot && core->hot_queues);
    JQ_CHECK(core->open_classes && core->searched && core->wake_looked);
    core->workers[0] = (struct worker){0};
    core->senders[0] = (struct sender){0};
    core->segments[core->segment_count++] = (struct segment){0};
    core->digest = jq_core_digest_slow(core);
    *ret_core = core;
    return JQ_OK;
}

static void queues_configure(struct jq_core *core) {
    for (uint32_t i = 0; i < core->config.queue_count; i++) {
        const int at = queue_find(core, jq_str_of(core->config.queues[i].name));
        if (at >= 0) {
            queue_configure(core, (uint16_t)at, &core->config.queues[i]);
        }
    }
}

void jq_core_start(struct jq_core *core, uint64_t epoch, int64_t now_ms, int64_t wall_ms,
                   const struct jq_output *output) {
    JQ_CHECK(!core->started && epoch > 0 && epoch < UINT64_C(1) << (64 - TOKEN_COUNTER_BITS));
    JQ_CHECK(now_ms >= core->now_ms);
    if (core->replay_lsn > 0) {
        edges_relink(core);
    }
    core->started = true;
    core->partial = false;
    core->output = output;
    core->epoch = epoch;
    core->now_ms = now_ms;
    core->stepped_ms = now_ms;
    core->awake_ms = now_ms;
    events_start(core);
    core->wall_ms = wall_ms;
    if (!CANARY(LATE_IDS)) {
        ids_reserve(core, 0);
    }
    queues_configure(core);
    sheds_find(core);
    breakers_start(core);
    limits_start(core);
    blobs_start(core);
    limits_configure(core);
    for (uint32_t i = 1; i < core->worker_count; i++) {
        if (core->workers[i].used && !core->workers[i].asleep) {
            worker_heard(core, i);
        }
    }
    sleepers_start(core);
    schedules_plan(core);
    core->output = NULL;
}

uint64_t jq_core_digest(const struct jq_core *core) {
    return core->digest;
}

static uint64_t tables_digest(const struct jq_core *core) {
    uint64_t sum =
        jq_hash_combine(core->ids_limit, 4) + jq_hash_combine((uint64_t)core->wall_offset_ms, 5) + breakers_hash(core);
    for (uint32_t i = 0; i < core->queue_count; i++) {
        sum += queue_hash(core, (uint16_t)i);
    }
    for (uint32_t i = 0; i < core->class_count; i++) {
        sum += class_hash(core, (uint16_t)i);
    }
    for (uint32_t i = 0; i < core->options_count; i++) {
        sum += options_hash(core, i);
    }
    for (uint32_t i = 1; i < core->worker_count; i++) {
        sum += core->workers[i].used ? worker_hash(core, &core->workers[i]) : 0;
    }
    for (uint32_t ref = 1; ref < core->limits.fresh; ref++) {
        sum += limit_at(core, ref)->used ? limit_hash(core, limit_at(core, ref)) : 0;
    }
    for (uint32_t at = core->lru_head; at != 0; at = core->senders[at].lru_next) {
        sum += sender_hash(core, &core->senders[at]);
    }
    for (uint32_t ref = core->flow_head; ref != 0; ref = flow_at(core, ref)->next) {
        sum += flow_hash(flow_at(core, ref));
    }
    return sum + keys_digest(core) + schedules_digest(core) + blobs_digest(core) + cache_digest(core);
}

uint64_t jq_core_digest_slow(const struct jq_core *core) {
    uint64_t sum = tables_digest(core), cursor = 0, page = 0;
    uint32_t at = 0;
    while (jq_map_next(&core->id_pages, &cursor, &page, &at)) {
        for (int i = 0; i < ID_PAGE_COUNT; i++) {
            const uint32_t ref = core->id_page_at[at][i];
            sum += ref ? task_hash(core, task_at(core, ref)) + edges_hash(core, task_at(core, ref)) : 0;
        }
    }
    return sum;
}

/* ---- freeing ---- */

static void free_text(struct jq_str text) {
    free((char *)(uintptr_t)text.data);
}

static void free_tables(struct jq_core *core) {
    for (uint32_t i = 0; i < core->queue_count; i++) {
        free_text(core->queues[i].name);
        for (int priority = 0; priority < LEVEL_COUNT; priority++) {
            free(core->queues[i].levels[priority].entries);
        }
    }
    for (uint32_t i = 0; i < core->class_count; i++) {
        class_free(&core->classes[i]);
        jq_heap_fini(&core->classes[i].seats);
    }
    for (uint32_t i = 0; i < core->resource_count; i++) {
        free_text(core->resources[i]);
    }
    for (uint32_t at = core->lru_head; at != 0; at = core->senders[at].lru_next) {
        for (uint32_t i = 0; i < core->senders[at].count; i++) {
            free((uint8_t *)(uintptr_t)core->senders[at].answers[i].verdict.exceptions.data);
        }
        free(core->senders[at].answers);
    }
    cache_free(core);
    jobs_free(core);
    events_free(core);
}

static void free_workers(struct jq_core *core) {
    for (uint32_t i = 1; i < core->worker_count; i++) {
        struct worker *worker = &core->workers[i];
        if (worker->used) {
            free_text(worker->name);
            free_text(worker->doorbell);
            profile_release(core, worker->profile);
            free(worker->cancels);
            free(worker->kills);
        }
    }
    free(core->profiles);
    free(core->workers);
}

static void free_buckets(struct jq_core *core) {
    uint64_t cursor = 0, key = 0;
    uint32_t ref = 0;
    while (jq_map_next(&core->bucket_map, &cursor, &key, &ref)) {
        jq_heap_fini(&bucket_at(core, ref)->turns);
        jq_heap_fini(&bucket_at(core, ref)->ages);
    }
    struct jq_str name;
    uint32_t at = 0;
    while (jq_strmap_next(&core->group_names, &at, &name, &ref)) {
        free_text(group_at(core, ref)->name);
    }
    for (ref = 1; ref < core->limits.fresh; ref++) {
        if (limit_at(core, ref)->used || limit_at(core, ref)->group_count > 0) {
            free_text(limit_at(core, ref)->scope);
        }
    }
}

static void free_tasks(struct jq_core *core) {
    for (uint32_t ref = 1; ref < core->sides.fresh; ref++) {
        side_drop_files(core, jq_slab_at(&core->sides, ref));
        free(((struct side *)jq_slab_at(&core->sides, ref))->progress);
        free(((struct side *)jq_slab_at(&core->sides, ref))->error);
    }
    for (uint32_t ref = core->waiter_head; ref != 0;) {
        const struct waiter *waiter = jq_slab_at(&core->waiters, ref);
        free(waiter->ids);
        ref = waiter->next;
    }
    for (uint32_t ref = 1; ref < core->leases.fresh; ref++) {
        free(lease_at(core, ref)->units);
    }
    for (uint32_t i = 0; i < core->id_page_count; i++) {
        free(core->id_page_at[i]);
    }
    free(core->id_page_at);
    free(core->id_page_live);
}

static void free_containers(struct jq_core *core) {
    struct jq_slab *slabs[] = {&core->tasks,    &core->sides,  &core->leases, &core->waiters, &core->wait_links,
                               &core->buckets,  &core->nodes,  &core->edges,  &core->flows,   &core->lanes,
                               &core->seats,    &core->groups, &core->limits, &core->meters,  &core->shed_nodes,
                               &core->withheld, &core->blobs,  &core->cached};
    struct jq_map *maps[] = {&core->id_pages, &core->bucket_map, &core->lane_map,
                             &core->seat_map, &core->wait_map,   &core->flow_map};
    struct jq_strmap *texts[] = {&core->queue_names,   &core->class_names, &core->options_names, &core->resource_names,
                                 &core->profile_names, &core->sender_ids,  &core->worker_ids,    &core->worker_sessions,
                                 &core->worker_names,  &core->group_names, &core->limit_names,   &core->withheld_ids,
                                 &core->blob_hashes,   &core->cached_names};
    struct jq_heap *heaps[] = {&core->timers,      &core->wall_timers,  &core->active,
                               &core->retain,      &core->poll_timers,  &core->wait_timers,
                               &core->flow_timers, &core->limit_timers, &core->withheld_timers};
    for (size_t i = 0; i < sizeof(slabs) / sizeof(slabs[0]); i++) {
        jq_slab_fini(slabs[i]);
    }
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        jq_map_fini(maps[i]);
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        jq_strmap_fini(texts[i]);
    }
    for (size_t i = 0; i < sizeof(heaps) / sizeof(heaps[0]); i++) {
        jq_heap_fini(heaps[i]);
    }
}

void jq_core_free(struct jq_core *core) {
    if (!core) {
        return;
    }
    free_tables(core);
    free_workers(core);
    free_tasks(core);
    flows_free(core);
    withheld_free(core);
    free_buckets(core);
    free_containers(core);
    breakers_fini(core);
    keys_fini(core);
    schedules_fini(core);
    free(core->queues);
    free(core->classes);
    free(core->options);
    free(core->senders);
    free(core->hot);
    free(core->hot_queues);
    free(core->open_classes);
    free(core->wake_looked);
    free(core->sleepers);
    free(core->lane_places);
    free(core->searched);
    free(core->asking);
    free(core->parked);
    free(core->refills);
    free(core->commanded);
    free(core->gathering);
    free(core->waiters_due);
    free(core->segments);
    free(core->roomy);
    free(core->exceptions);
    free(core->verdict_bytes);
    jq_buf_fini(&core->units);
    free(core->flows_changed);
    free(core->flow_waits);
    free(core->parents);
    jq_buf_fini(&core->after);
    jq_buf_fini(&core->reasons);
    free(core);
}
