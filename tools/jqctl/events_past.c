/* events_past.c - jqctl events past: what happened, out of the journal: the lines of `events follow` of all that has a record. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/core/effect.h"
#include "common/clock.h"
#include "common/map.h"
#include "tools/jqctl/events.h"
#include "tools/jqctl/journal.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/names.h"
#include "tools/jqctl/when.h"

enum { INDEX_COUNT = 65536, LINE_SIZE_MAX = 64 * 1024 };

struct past {
    const struct jqctl *ctl;
    struct jqctl_names queues, handlers, workers, schedules;
    bool *paused, *draining; /* of queues */
    struct jq_map tasks;     /* id -> queue << 16 | class */
    struct jq_map missed;    /* schedule -> due times passed over */
    bool in_prologue, filtered;
    struct jq_where where;
    int64_t from_wall_ms, now_wall_ms, offset_ms;
    uint64_t limit, printed;
    struct jqctl_made made;
    struct jq_buf line;
};

/* What a record says, as far as it is an event. */
struct told {
    const char *event;
    uint64_t task;
    enum jq_state state;
    enum jq_outcome outcome;
    uint32_t attempts;
    const char *queue, *handler, *worker;
    char name[JQ_SCOPE_SIZE_MAX + 1]; /* of what is no task: a breaker, limit, schedule, flow */
    int64_t number;
};

/* ---- from records to events ---- */

static void of_task(struct past *past, struct told *told, jq_task_id task) {
    const uint32_t both = jq_map_get(&past->tasks, task.value, UINT32_MAX);
    told->task = task.value;
    if (both != UINT32_MAX) {
        told->queue = jqctl_names_get(&past->queues, both >> 16);
        told->handler = jqctl_names_get(&past->handlers, both & 0xffff);
    }
}

static void submitted(struct past *past, const struct jq_record *record, struct told *told) {
    const uint32_t both = (uint32_t)record->u.task_submitted.queue << 16 | record->u.task_submitted.class_index;
    JQ_CHECK(jq_map_put(&past->tasks, record->u.task_submitted.task.value, both));
    of_task(past, told, record->u.task_submitted.task);
    told->event = jq_news_name(JQ_NEWS_TASK_SUBMITTED, 0);
}

static void moved(struct past *past, const struct jq_record *record, struct told *told) {
    const jq_task_id task = record->u.task_moved.task;
    const uint32_t both = jq_map_get(&past->tasks, task.value, UINT32_MAX);
    if (both != UINT32_MAX)
        JQ_CHECK(jq_map_put(&past->tasks, task.value, (uint32_t)record->u.task_moved.queue << 16 | (both & 0xffff)));
    of_task(past, told, task);
    told->event = jq_news_name(JQ_NEWS_TASK_MOVED, 0);
}

static void ended(struct past *past, const struct jq_record *record, struct told *told) {
    of_task(past, told, record->u.task_ended.task);
    told->event = jq_news_name(JQ_NEWS_TASK_ENDED, 0);
    told->state = (enum jq_state)record->u.task_ended.state;
    told->outcome = (enum jq_outcome)record->u.task_ended.outcome;
    told->attempts = record->u.task_ended.attempts;
}

static void retried(struct past *past, const struct jq_record *record, struct told *told) {
    of_task(past, told, record->u.task_retried.task);
    told->event = jq_news_name(JQ_NEWS_TASK_RETRIED, 0);
    told->state = record->u.task_retried.ready_at_ms > record->time_ms ? JQ_STATE_SCHEDULED : JQ_STATE_READY;
    told->outcome = (enum jq_outcome)record->u.task_retried.outcome;
    told->attempts = record->u.task_retried.attempts;
}

static void leased(struct past *past, const struct jq_record *record, struct told *told) {
    of_task(past, told, record->u.task_leased.task);
    told->event = jq_news_name(JQ_NEWS_TASK_LEASED, 0);
    told->state = JQ_STATE_RUNNING;
    told->worker = jqctl_names_get(&past->workers, record->u.task_leased.worker);
}

/* A record with the whole of a queue's settings tells of what differs from the one before. */
static void queue_set(struct past *past, const struct jq_record *record, struct told *told) {
    const uint16_t at = record->u.queue_set.queue;
    const struct jq_queue_set *set = &record->u.queue_set.set;
    told->queue = jqctl_names_get(&past->queues, at);
    told->event = set->draining != past->draining[at] ? jq_news_name(JQ_NEWS_QUEUE_DRAINING, set->draining)
                  : set->paused != past->paused[at]   ? jq_news_name(JQ_NEWS_QUEUE_SET, set->paused)
                                                      : jq_news_name(JQ_NEWS_QUEUE_TUNED, 0);
    past->paused[at] = set->paused;
    past->draining[at] = set->draining;
}

static void worker_registered(struct past *past, const struct jq_record *record, struct told *told) {
    jqctl_names_set(&past->workers, record->u.worker_registered.worker, record->u.worker_registered.name);
    told->worker = jqctl_names_get(&past->workers, record->u.worker_registered.worker);
    told->event = jq_news_name(JQ_NEWS_WORKER_REGISTERED, 0);
}

static void put_name(struct told *told, const char *prefix, struct jq_str name) {
    (void)snprintf(told->name, sizeof(told->name), "%s%.*s", prefix, JQ_STR_ARG(name));
}

/* One that learns of a handler more is set anew, but has not changed. */
static void breaker_set(const struct jq_record *record, struct told *told) {
    char prefix[32];
    if (record->u.breaker_set.since_ms != record->time_ms)
        return;
    (void)snprintf(prefix, sizeof(prefix),
                   "%s:", jq_breaker_kind_name((enum jq_breaker_kind)record->u.breaker_set.kind));
    put_name(told, prefix, record->u.breaker_set.name);
    told->event = jq_news_name(JQ_NEWS_BREAKER_SET, record->u.breaker_set.state);
    told->number = record->u.breaker_set.state;
}

static void limit_set(struct jq_str scope, bool set, struct told *told) {
    put_name(told, "", scope);
    told->event = jq_news_name(JQ_NEWS_LIMIT_SET, set);
    told->number = set;
}

static void flow_set(const struct jq_record *record, struct told *told) {
    const uint8_t phase = record->u.flow_set.phase;
    if (phase != JQ_FLOW_COMMITTED && phase != JQ_FLOW_CANCELLING)
        return;
    told->event = jq_news_name(phase == JQ_FLOW_COMMITTED ? JQ_NEWS_FLOW_COMMITTED : JQ_NEWS_FLOW_CANCELLING, 0);
    told->task = record->u.flow_set.flow;
    told->number = record->u.flow_set.total;
    put_name(told, "", record->u.flow_set.name);
}

static void schedule_named(const struct past *past, uint32_t index, struct told *told) {
    const char *name = jqctl_names_get(&past->schedules, index);
    if (name)
        put_name(told, "", jq_str_of(name));
}

/* Set, paused, resumed; or its time has come, and some was passed over. A task that it submits has an event of its own. */
static void schedule_moved(struct past *past, uint32_t index, const struct jq_schedule_state *state, bool set,
                           struct told *told) {
    const uint32_t before = jq_map_get(&past->missed, index, UINT32_MAX);
    const uint32_t now = (uint32_t)state->missed << 1 | state->paused;
    JQ_CHECK(jq_map_put(&past->missed, index, now));
    if (set || (before != UINT32_MAX && (before & 1) != (now & 1))) {
        told->event = jq_news_name(JQ_NEWS_SCHEDULE_SET, !state->paused);
        told->number = !state->paused;
    } else if (before != UINT32_MAX && before >> 1 != now >> 1) {
        told->event = jq_news_name(JQ_NEWS_SCHEDULE_MISSED, 0);
        told->number = (now >> 1) - (before >> 1);
    }
    schedule_named(past, index, told);
}

static void schedule_set(struct past *past, const struct jq_record *record, struct told *told) {
    const uint32_t index = record->u.schedule_set.schedule;
    struct jq_reader in = jq_reader_of(record->u.schedule_set.definition);
    (void)jq_read_u8(&in); /* its version; the name comes first in each */
    jqctl_names_set(&past->schedules, index, jq_read_str(&in, JQ_NAME_SIZE_MAX));
    schedule_moved(past, index, &record->u.schedule_set.state, true, told);
}

/* Of what is no task. */
static void steered(struct past *past, const struct jq_record *record, struct told *told) {
    switch (record->type) {
    case JQ_RECORD_BREAKER_SET: breaker_set(record, told); break;
    case JQ_RECORD_LIMIT_SET: limit_set(record->u.limit_set.scope, true, told); break;
    case JQ_RECORD_LIMIT_REMOVED: limit_set(record->u.limit_removed.scope, false, told); break;
    case JQ_RECORD_FLOW_SET: flow_set(record, told); break;
    case JQ_RECORD_FLOW_FORGOTTEN:
        told->event = jq_news_name(JQ_NEWS_FLOW_FORGOTTEN, 0);
        told->task = record->u.flow_forgotten.flow;
        break;
    case JQ_RECORD_SCHEDULE_SET: schedule_set(past, record, told); break;
    case JQ_RECORD_SCHEDULE_MOVED:
        schedule_moved(past, record->u.schedule_moved.schedule, &record->u.schedule_moved.state, false, told);
        break;
    case JQ_RECORD_SCHEDULE_FORGOTTEN:
        told->event = jq_news_name(JQ_NEWS_SCHEDULE_GONE, 0);
        schedule_named(past, record->u.schedule_forgotten.schedule, told);
        break;
    default: break;
    }
}

/* Those that say no more than which task. */
static bool plain(struct past *past, const struct jq_record *record, struct told *told) {
    static const struct {
        enum jq_record_type record;
        enum jq_news_type news;
        enum jq_state state;
    } rows[] = {{JQ_RECORD_TASK_DUE, JQ_NEWS_TASK_READY, JQ_STATE_READY},
                {JQ_RECORD_TASK_CANCELLING, JQ_NEWS_TASK_CANCELLING, JQ_STATE_CANCELLING},
                {JQ_RECORD_TASK_REVIVED, JQ_NEWS_TASK_REVIVED, JQ_STATE_READY},
                {JQ_RECORD_TASK_FORGOTTEN, JQ_NEWS_TASK_FORGOTTEN, JQ_STATE_NONE},
                {JQ_RECORD_TASK_HELD, JQ_NEWS_TASK_HELD, JQ_STATE_HELD},
                {JQ_RECORD_TASK_RELEASED, JQ_NEWS_TASK_RELEASED, JQ_STATE_NONE}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].record != record->type)
            continue;
        of_task(past, told, record->u.task_due.task);
        told->event = jq_news_name(rows[i].news, 0);
        told->state = rows[i].state;
        if (record->type == JQ_RECORD_TASK_FORGOTTEN)
            (void)jq_map_remove(&past->tasks, told->task);
        return true;
    }
    return false;
}

/* Takes note of what the record says; `told` is an event if it names one. */
static void note(struct past *past, const struct jq_record *record, struct told *told) {
    switch (record->type) {
    case JQ_RECORD_PROLOGUE_BEGIN: past->in_prologue = true; break;
    case JQ_RECORD_PROLOGUE_END: past->in_prologue = false; break;
    case JQ_RECORD_WALL_OFFSET: past->offset_ms = record->u.wall_offset.offset_ms; break;
    case JQ_RECORD_QUEUE_DEFINED:
        jqctl_names_set(&past->queues, record->u.queue_defined.queue, record->u.queue_defined.name);
        break;
    case JQ_RECORD_CLASS_DEFINED:
        jqctl_names_set(&past->handlers, record->u.class_defined.class_index, record->u.class_defined.handler);
        break;
    case JQ_RECORD_QUEUE_SET: queue_set(past, record, told); break;
    case JQ_RECORD_WORKER_REGISTERED: worker_registered(past, record, told); break;
    case JQ_RECORD_TASK_SUBMITTED: submitted(past, record, told); break;
    case JQ_RECORD_TASK_MOVED: moved(past, record, told); break;
    case JQ_RECORD_TASK_LEASED: leased(past, record, told); break;
    case JQ_RECORD_TASK_RETRIED: retried(past, record, told); break;
    case JQ_RECORD_TASK_ENDED: ended(past, record, told); break;
    default:
        if (!plain(past, record, told))
            steered(past, record, told);
        break;
    }
}

/* ---- printing ---- */

static bool wanted(const struct past *past, const struct told *told, int64_t wall_ms) {
    const struct jq_where_subject subject = {.id = told->task,
                                             .state = told->state,
                                             .outcome = told->outcome,
                                             .attempts = told->attempts,
                                             .age_ms = past->now_wall_ms - wall_ms,
                                             .queue = jq_str_of(told->queue),
                                             .handler = jq_str_of(told->handler),
                                             .worker = jq_str_of(told->worker),
                                             .event = jq_str_of(told->event)};
    return wall_ms >= past->from_wall_ms && (!past->filtered || jq_where_match(&past->where, &subject));
}

static void put(struct jqctl_made *made, const char *key, const char *value) {
    if (value && value[0])
        jqctl_made_text(made, key, value);
}

static void print(struct past *past, const struct told *told, uint64_t lsn, int64_t wall_ms) {
    struct jqctl_made *made = &past->made;
    jqctl_made_begin(made);
    jqctl_made_uint(made, "seq", lsn);
    jqctl_made_uint(made, "time_ms", wall_ms > 0 ? (uint64_t)wall_ms : 0);
    put(made, "event", told->event);
    if (told->task != 0)
        jqctl_made_uint(made, "task", told->task);
    put(made, "queue", told->queue);
    put(made, "handler", told->handler);
    if (told->state != JQ_STATE_NONE) {
        put(made, "state", jq_state_name(told->state));
        put(made, "outcome", jq_outcome_name(told->outcome));
        jqctl_made_uint(made, "attempts", told->attempts);
    }
    put(made, "worker", told->worker);
    put(made, "name", told->name);
    if (told->number > 0)
        jqctl_made_uint(made, "number", (uint64_t)told->number);
    jqctl_event_print(past->ctl, &past->line, jqctl_made_end(made));
    past->printed++;
}

static bool on_record(void *ctx, const struct jqctl_walked *walked) {
    struct past *past = ctx;
    struct told told = {.event = NULL};
    if (!walked->record)
        return true;
    const bool restated = past->in_prologue;
    note(past, walked->record, &told);
    const int64_t wall_ms = walked->time_ms + past->offset_ms;
    if (told.event && !restated && wanted(past, &told, wall_ms))
        print(past, &told, walked->lsn, wall_ms);
    return past->limit == 0 || past->printed < past->limit;
}

/* ---- the command ---- */

static int past_options(struct past *past) {
    const struct jqctl *ctl = past->ctl;
    const char *where = jqctl_value(&ctl->args, "where"), *since = jqctl_value(&ctl->args, "since");
    struct jq_error error;
    int code = jqctl_option_uint(ctl, "limit", UINT64_MAX / 2, &past->limit);
    past->now_wall_ms = jq_clock_wall_ms();
    if (since && jqctl_when_parse_near(jq_str_of(since), past->now_wall_ms, -1, &past->from_wall_ms, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--since: %s", error.message);
    past->filtered = where != NULL;
    if (code == JQCTL_DONE && where && jq_where_parse(jq_str_of(where), &past->where, &error) != JQ_OK)
        code = jqctl_fail(EX_USAGE, "--%s", error.message);
    return code;
}

int jqctl_events_past(struct jqctl *ctl) {
    struct past past = {
        .ctl = ctl, .paused = calloc(INDEX_COUNT, sizeof(bool)), .draining = calloc(INDEX_COUNT, sizeof(bool))};
    struct jq_journal_verdict verdict;
    struct jqctl_names *const names[] = {&past.queues, &past.handlers, &past.workers, &past.schedules};
    JQ_CHECK(past.paused && past.draining);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        jqctl_names_init(names[i]);
    jq_map_init(&past.missed);
    jq_map_init(&past.tasks);
    jqctl_made_init(&past.made);
    jq_buf_init(&past.line, LINE_SIZE_MAX);
    int code = past_options(&past);
    if (code == JQCTL_DONE)
        code = jqctl_journal_walk(ctl, on_record, &past, &verdict);
    jq_buf_fini(&past.line);
    jqctl_made_fini(&past.made);
    jq_map_fini(&past.tasks);
    jq_map_fini(&past.missed);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        jqctl_names_fini(names[i]);
    free(past.paused);
    free(past.draining);
    return code;
}
