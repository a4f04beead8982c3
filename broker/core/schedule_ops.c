/* schedule_ops.c - what people do with schedules: set, remove, pause, run, look. */
#include <stdlib.h>

#include "broker/core/state.h"

enum { DEF_SIZE_MAX = 32 * 1024 };

/* ---- set ---- */

static enum jq_reply refuse_set(struct jq_core *core, const struct jq_request *request, enum jq_reply status,
                                const char *field, const char *reason) {
    reply_refuse(core, request, status, field, reason);
    return status;
}

/* Does it stand for something that will come? Else the request has had its answer. */
static enum jq_reply check_times(struct jq_core *core, const struct jq_request *request,
                                 const struct jq_schedule_def *def) {
    const struct jq_zone *zone = schedule_zone(core, def->zone);
    struct jq_cron cron;
    struct jq_error error;
    int64_t next_wall_ms = 0;
    if (jq_cron_parse(def->when, &cron, &error) != JQ_OK) {
        return refuse_set(core, request, JQ_REPLY_INVALID, "when", error.message);
    }
    if (!zone) {
        return refuse_set(core, request, JQ_REPLY_INVALID, "zone", "there is no such time zone here");
    }
    if (!jq_cron_next(&cron, zone, core->wall_ms, core->wall_ms, &next_wall_ms)) {
        return refuse_set(core, request, JQ_REPLY_INVALID, "when", "it is never due");
    }
    struct jq_file missing;
    if (!files_are_stored(core, def->task.files, &missing)) {
        return refuse_set(core, request, JQ_REPLY_NOT_FOUND, "task.inputs", "the blob of one is not stored");
    }
    if (core->config.queues_declared && !queue_config(core, def->task.queue)) {
        return refuse_set(core, request, JQ_REPLY_NOT_FOUND, "task.queue", "not declared");
    }
    return JQ_REPLY_OK;
}

/* Is there room for it? `index` 0: it is new. */
static enum jq_reply check_room(struct jq_core *core, const struct jq_request *request, uint32_t index, size_t size) {
    const struct schedules *schedules = &core->schedules;
    const uint64_t others = schedules->bytes - (index ? schedules->items[index].size : 0);
    if (index == 0 && schedules->used_count >= JQ_SCHEDULES_MAX) {
        return refuse_set(core, request, JQ_REPLY_BUSY, "limits", "10000 schedules are set already");
    }
    if (others + size > JQ_SCHEDULE_BYTES_MAX) {
        return refuse_set(core, request, JQ_REPLY_BUSY, "limits", "all schedules together may have 4 MiB");
    }
    return JQ_REPLY_OK;
}

static uint32_t free_place(const struct jq_core *core) {
    uint32_t index = 1;
    while (index < core->schedules.count && core->schedules.items[index].used) {
        index++;
    }
    return index;
}

/* Of what it was before, its history stays; a new definition begins anew with what comes due from now on. */
static struct jq_schedule_state state_for(const struct jq_core *core, uint32_t index, struct jq_bytes definition,
                                          const struct jq_request *request) {
    struct jq_schedule_state state = {.paused = false};
    bool changed = true;
    if (index != 0) {
        const struct schedule *old = &core->schedules.items[index];
        state = old->state;
        changed = old->size != definition.size || memcmp(old->bytes, definition.data, definition.size) != 0;
    }
    if (request->u.schedule.pause_given) {
        changed |= state.paused && !request->u.schedule.paused;
        state.paused = request->u.schedule.paused;
    }
    if (changed) {
        state.anchor_wall_ms = core->wall_ms;
        state.settled_wall_ms = core->wall_ms;
    }
    return state;
}

static void set_it(struct jq_core *core, const struct jq_request *request, struct jq_bytes definition) {
    const uint32_t index = schedule_find(core, request->u.schedule.def.name);
    if (check_room(core, request, index, definition.size) != JQ_REPLY_OK) {
        return;
    }
    const struct jq_schedule_state state = state_for(core, index, definition, request);
    struct jq_record record = {
        .type = JQ_RECORD_SCHEDULE_SET,
        .u.schedule_set = {.schedule = index ? index : free_place(core), .state = state, .definition = definition}};
    emit(core, &record);
    schedule_plan(core, record.u.schedule_set.schedule);
    news_name(core, JQ_NEWS_SCHEDULE_SET, request->u.schedule.def.name, !state.paused);
    many_done(core, request, 1);
}

void schedule_set_request(struct jq_core *core, const struct jq_request *request) {
    struct jq_buf bytes;
    if (answered_before(core, request) || check_times(core, request, &request->u.schedule.def) != JQ_REPLY_OK) {
        return;
    }
    if (core->stopping) {
        reply_refuse(core, request, JQ_REPLY_DRAINING, NULL, "the broker is stopping");
        return;
    }
    jq_buf_init(&bytes, DEF_SIZE_MAX);
    schedule_def_pack(&request->u.schedule.def, &bytes);
    JQ_CHECK(!bytes.failed); /* the decoder has bounded each field */
    set_it(core, request, jq_buf_bytes(&bytes));
    jq_buf_fini(&bytes);
}

/* ---- of one that is there ---- */

/* 0: the request has had its answer. */
static uint32_t named(struct jq_core *core, const struct jq_request *request) {
    const uint32_t index = schedule_find(core, request->u.named.name);
    if (index == 0) {
        reply_refuse(core, request, JQ_REPLY_NOT_FOUND, "name", "no such schedule");
    }
    return index;
}

void schedule_rm_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    const uint32_t index = named(core, request);
    if (index == 0) {
        return;
    }
    struct jq_record record = {.type = JQ_RECORD_SCHEDULE_FORGOTTEN, .u.schedule_forgotten = {.schedule = index}};
    emit(core, &record);
    news_name(core, JQ_NEWS_SCHEDULE_GONE, request->u.named.name, 0);
    many_done(core, request, 1);
}

/* What comes due while it is paused is neither fired nor made up for. */
void schedule_pause_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    const uint32_t index = named(core, request);
    if (index == 0) {
        return;
    }
    struct jq_schedule_state state = core->schedules.items[index].state;
    if (state.paused && !request->u.named.on && state.settled_wall_ms < core->wall_ms) {
        state.settled_wall_ms = core->wall_ms;
    }
    state.paused = request->u.named.on;
    struct jq_record record = {.type = JQ_RECORD_SCHEDULE_MOVED,
                               .u.schedule_moved = {.schedule = index, .state = state}};
    emit(core, &record);
    schedule_plan(core, index);
    news_name(core, JQ_NEWS_SCHEDULE_SET, request->u.named.name, !state.paused);
    many_done(core, request, 1);
}

/* ---- run ---- */

static void run_reply(struct jq_core *core, const struct jq_request *request, jq_task_id task) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .u.submit = {.first = task.value, .count = 1}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

static void run_refused(struct jq_core *core, const struct jq_request *request, const struct jq_exception *refused) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .status = refused->status,
                                          .field = refused->field,
                                          .reason = refused->reason,
                                          .retry_after_ms = refused->retry_after_ms};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

static void run_it(struct jq_core *core, const struct jq_request *request, uint32_t index) {
    struct jq_exception refused;
    jq_task_id task;
    if (!schedule_submit(core, index, 0, &task, &refused)) {
        run_refused(core, request, &refused);
        return;
    }
    const struct jq_verdict verdict = {.op = JQ_OP_SCHEDULE_RUN, .first = task.value, .count = 1};
    window_record(core, &request->sender, request->id, request->done, &verdict);
    run_reply(core, request, task);
}

void schedule_run_request(struct jq_core *core, const struct jq_request *request) {
    const struct answer *answer = NULL;
    const enum window_verdict seen = window_look(core, request, &answer);
    if (seen == WINDOW_AGAIN) {
        core->totals.duplicate_total++;
        run_reply(core, request, (jq_task_id){answer->verdict.first});
        return;
    }
    if (window_refuses(core, request, seen)) {
        return;
    }
    if (core->stopping) {
        reply_refuse(core, request, JQ_REPLY_DRAINING, NULL, "the broker is stopping");
        return;
    }
    const uint32_t index = named(core, request);
    if (index != 0) {
        run_it(core, request, index);
    }
}

/* ---- ls, show ---- */

static void row_of(const struct schedule *schedule, struct jq_schedule_row *ret_row) {
    *ret_row = (struct jq_schedule_row){.def = schedule->def,
                                        .state = schedule->state,
                                        .next_wall_ms = schedule->state.paused ? 0 : schedule->next_wall_ms,
                                        .trouble = schedule->trouble};
}

static void rows_reply(struct jq_core *core, const struct jq_request *request, const struct jq_schedule_row *rows,
                       size_t count, uint64_t next) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = request->op,
                                          .u.schedules = {.rows = rows, .count = count, .next = next}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

void schedule_ls_request(struct jq_core *core, const struct jq_request *request) {
    const uint32_t limit = request->u.list.limit;
    struct jq_schedule_row *rows = calloc(limit, sizeof(*rows));
    JQ_CHECK(rows != NULL);
    const uint64_t after = request->u.list.after.value;
    uint32_t count = 0, index = after < core->schedules.count ? (uint32_t)after + 1 : core->schedules.count;
    for (; index < core->schedules.count && count < limit; index++) {
        if (core->schedules.items[index].used) {
            row_of(&core->schedules.items[index], &rows[count]);
            rows[count++].place = index;
        }
    }
    rows_reply(core, request, rows, count, index < core->schedules.count ? index - 1 : 0);
    free(rows);
}

/* The next times it is due, as long as there are any. */
static void look_ahead(const struct jq_core *core, const struct schedule *schedule, struct jq_schedule_row *row) {
    const struct jq_zone *zone = schedule_zone(core, schedule->def.zone);
    int64_t at_ms = schedule->next_wall_ms;
    bool found = at_ms != 0 && zone;
    while (found && row->time_count < JQ_SCHEDULE_TIMES) {
        row->times[row->time_count++] = at_ms;
        found = jq_cron_next(&schedule->cron, zone, schedule->state.anchor_wall_ms, at_ms, &at_ms);
    }
}

void schedule_show_request(struct jq_core *core, const struct jq_request *request) {
    const uint32_t index = named(core, request);
    if (index == 0) {
        return;
    }
    struct jq_schedule_row row;
    row_of(&core->schedules.items[index], &row);
    look_ahead(core, &core->schedules.items[index], &row);
    rows_reply(core, request, &row, 1, 0);
}
