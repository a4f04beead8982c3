/* events.c - what has changed lately, for whoever follows: a ring of the last events, and long polls on it.
 *
 * An event costs one write into the ring; nobody else pays for a slow reader, who is told of the gap. The sequence of an event is
 * the LSN of its record, or, where that is taken or there is none, one more than that of the event before: it ascends always, over
 * restarts too. Rows are made, and a where is looked at, when somebody reads.
 */
#include <stdlib.h>

#include "broker/core/state.h"

enum { READERS_MAX = 64, EVENT_ROWS_MAX = 200, LOOKED_AT_MAX = 16384 };

struct event {
    uint64_t seq;
    uint64_t task; /* 0: none */
    int64_t wall_ms, number;
    char *name;                  /* owned; of an event that is of no task, and the text of progress, else NULL */
    uint32_t worker, worker_tag; /* its index; a hash of its id, as its place may be another's when it is read */
    uint16_t queue, class_index;
    uint8_t type, state, outcome, priority, attempts;
    bool of_task; /* else `task` may still say what a flow begins with */
};

struct event_reader {
    uint64_t call, request, pipe;
    uint64_t position;
    uint32_t limit;
    int64_t deadline_ms;
    bool filtered;
    struct jq_reach reach;
    struct jq_where where;
};

/* ---- the ring: events at positions oldest .. end, which only grow ---- */

static struct event *event_at(const struct jq_core *core, uint64_t position) {
    return &core->events[position % core->config.events_max];
}

static struct event *event_add(struct jq_core *core, enum jq_news_type type, int64_t number) {
    if (core->events_end - core->events_oldest == core->config.events_max) {
        core->events_gone_seq = event_at(core, core->events_oldest++)->seq;
    }
    struct event *event = event_at(core, core->events_end++);
    free(event->name);
    const uint64_t next_seq = core->event_seq + 1;
    core->event_seq = core->emitted_lsn > next_seq ? core->emitted_lsn : next_seq;
    *event = (struct event){.seq = core->event_seq, .wall_ms = core->wall_ms, .number = number, .type = (uint8_t)type};
    return event;
}

static void note_task(struct jq_core *core, struct event *event, const struct task *task) {
    event->of_task = true;
    event->queue = task->queue;
    event->class_index = task->class_index;
    event->state = (uint8_t)task_shown(task);
    event->outcome = task->outcome;
    event->priority = task->priority;
    event->attempts = task->attempts;
    if (task->lease != 0) {
        event->worker = lease_at(core, task->lease)->worker;
        event->worker_tag = worker_at(core, event->worker)->tag;
    }
}

void event_note(struct jq_core *core, const struct jq_news *news, const struct task *task) {
    if (!core->events) {
        return;
    }
    const bool breaker = news->type == JQ_NEWS_BREAKER_SET;
    struct event *event = event_add(core, news->type, breaker ? (int64_t)news->breaker_state : news->number);
    event->task = news->task.value;
    if (task) {
        note_task(core, event, task);
    }
    if (news->name.size > 0 && (!task || news->type == JQ_NEWS_TASK_PROGRESS)) {
        event->name = (char *)(uintptr_t)text_copy(news->name).data;
    }
}

/* A queue or a class gave its place to another: what the ring says of it would be told under a wrong name. */
void events_forget(struct jq_core *core) {
    core->events_oldest = core->events_end;
    core->events_gone_seq = core->event_seq;
}

void events_start(struct jq_core *core) {
    core->event_seq = core->end_lsn + 1; /* never 0, which is from now on */
    core->events_gone_seq = core->event_seq;
    if (core->config.events_max > 0) {
        core->events = calloc(core->config.events_max, sizeof(*core->events));
        JQ_CHECK(core->events != NULL);
    }
}

void events_free(struct jq_core *core) {
    for (uint32_t i = 0; core->events && i < core->config.events_max; i++) {
        free(core->events[i].name);
    }
    for (uint32_t i = 0; i < core->reader_count; i++) {
        free(core->readers[i]);
    }
    free(core->readers);
    free(core->events);
}

/* ---- rows ---- */

static bool is_of_queue(enum jq_news_type type) {
    return type == JQ_NEWS_QUEUE_SET || type == JQ_NEWS_QUEUE_DRAINING || type == JQ_NEWS_QUEUE_TUNED ||
           type == JQ_NEWS_QUEUE_FULL;
}

static bool is_of_worker(enum jq_news_type type) {
    return type == JQ_NEWS_WORKER_REGISTERED || type == JQ_NEWS_WORKER_DEAD || type == JQ_NEWS_WORKER_DRAINING ||
           type == JQ_NEWS_WORKER_ASLEEP || type == JQ_NEWS_WORKER_RUNG;
}

static struct jq_event_row row_of(const struct jq_core *core, const struct event *event) {
    const enum jq_news_type type = (enum jq_news_type)event->type;
    struct jq_event_row row = {.seq = event->seq,
                               .wall_ms = event->wall_ms,
                               .event = jq_news_name(type, event->number),
                               .task = {event->task},
                               .number = event->number};
    if (!event->of_task) {
        const struct jq_str name = jq_str_of(event->name);
        *(is_of_queue(type) ? &row.queue : is_of_worker(type) ? &row.worker : &row.name) = name;
        return row;
    }
    row.name = jq_str_of(event->name);
    row.queue = core->queues[event->queue].name;
    row.handler = core->classes[event->class_index].handler;
    row.state = (enum jq_state)event->state;
    row.outcome = (enum jq_outcome)event->outcome;
    row.priority = event->priority;
    row.attempts = event->attempts;
    const struct worker *worker = event->worker < core->worker_count ? worker_at(core, event->worker) : NULL;
    if (event->worker != 0 && worker && worker->used && worker->tag == event->worker_tag) {
        row.worker = worker->name;
    }
    return row;
}

static bool row_matches(const struct jq_core *core, const struct jq_event_row *row, const struct jq_where *where) {
    const struct jq_where_subject subject = {.id = row->task.value,
                                             .state = row->state,
                                             .outcome = row->outcome,
                                             .priority = row->priority,
                                             .attempts = row->attempts,
                                             .age_ms = core->wall_ms - row->wall_ms,
                                             .queue = row->queue,
                                             .handler = row->handler,
                                             .worker = row->worker,
                                             .event = jq_str_of(row->event)};
    return jq_where_match(where, &subject);
}

/* Of workers, breakers and schedules everybody hears; of a flow that is forgotten whoever may hear of all. */
static bool row_within(const struct jq_core *core, const struct jq_event_row *row, const struct jq_reach *reach) {
    if (row->queue.size > 0 || row->task.value == 0) {
        return row->queue.size == 0 || reach_has_queue(reach, row->queue);
    }
    return !reach->limited || flow_find_within(core, reach, row->task.value) != NULL;
}

/* ---- reading ---- */

/* The first event behind `after`. *ret_gone: events behind it that the ring has lost. */
static uint64_t position_behind(const struct jq_core *core, uint64_t after, bool *ret_gone) {
    *ret_gone = after > core->event_seq || after < core->events_gone_seq;
    uint64_t low = core->events_oldest, high = core->events_end;
    if (*ret_gone) {
        return low;
    }
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (event_at(core, middle)->seq <= after) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Collects rows from where the reader stands. */
static size_t collect(const struct jq_core *core, struct event_reader *reader, struct jq_event_row *rows) {
    size_t count = 0;
    for (int looked_at = 0; reader->position < core->events_end && count < reader->limit && looked_at < LOOKED_AT_MAX;
         looked_at++) {
        rows[count] = row_of(core, event_at(core, reader->position++));
        count += row_within(core, &rows[count], &reader->reach) &&
                 (!reader->filtered || row_matches(core, &rows[count], &reader->where));
    }
    return count;
}

static void reader_reply(struct jq_core *core, const struct event_reader *reader, const struct jq_event_row *rows,
                         size_t count, bool gone, enum jq_reply status) {
    const bool any = reader->position > core->events_oldest;
    const struct jq_reply_effect reply = {
        .call = reader->call,
        .request = reader->request,
        .op = JQ_OP_EVENTS_READ,
        .status = status,
        .u.events = {.rows = rows,
                     .count = count,
                     .next = any ? event_at(core, reader->position - 1)->seq : core->events_gone_seq,
                     .gap = gone ? core->events_gone_seq : 0}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

/* True: the reader has its answer. */
static bool reader_serve(struct jq_core *core, struct event_reader *reader, bool gone, bool last) {
    struct jq_event_row rows[EVENT_ROWS_MAX];
    if (reader->position < core->events_oldest) {
        reader->position = core->events_oldest;
        gone = true;
    }
    const size_t count = collect(core, reader, rows);
    if (count == 0 && !gone && !last) {
        return false;
    }
    reader_reply(core, reader, rows, count, gone, JQ_REPLY_OK);
    return true;
}

static void reader_remove(struct jq_core *core, uint32_t at) {
    free(core->readers[at]);
    core->readers[at] = core->readers[--core->reader_count];
}

static void reader_park(struct jq_core *core, const struct event_reader *reader) {
    struct event_reader *parked = malloc(sizeof(*parked));
    JQ_CHECK(parked != NULL);
    *parked = *reader;
    core->readers = array_grow(core->readers, core->reader_count, &core->reader_capacity, sizeof(*core->readers));
    core->readers[core->reader_count++] = parked;
}

void events_request(struct jq_core *core, const struct jq_request *request) {
    const uint32_t limit = request->u.events.limit;
    struct event_reader reader = {.call = request->call,
                                  .request = request->id,
                                  .pipe = request->pipe,
                                  .position = core->events_end,
                                  .limit = limit > 0 && limit < EVENT_ROWS_MAX ? limit : EVENT_ROWS_MAX,
                                  .deadline_ms = core->now_ms + request->u.events.wait_ms,
                                  .filtered = request->u.events.where != NULL,
                                  .reach = request->reach};
    bool gone = false;
    if (!core->events) {
        reply_refuse(core, request, JQ_REPLY_UNAVAILABLE, "events_max", "the broker keeps no events");
        return;
    }
    if (request->u.events.after > 0) {
        reader.position = position_behind(core, request->u.events.after, &gone);
    }
    if (reader.filtered) {
        reader.where = *request->u.events.where;
    }
    const bool may_park = request->u.events.wait_ms > 0 && core->reader_count < READERS_MAX && !core->stopping;
    if (!reader_serve(core, &reader, gone, !may_park)) {
        reader_park(core, &reader);
    }
}

/* ---- parked readers ---- */

void events_flush(struct jq_core *core) {
    for (uint32_t i = 0; i < core->reader_count;) {
        struct event_reader *reader = core->readers[i];
        const bool due = reader->deadline_ms <= core->now_ms;
        if ((due || reader->position < core->events_end) && reader_serve(core, reader, false, due)) {
            reader_remove(core, i);
        } else {
            i++;
        }
    }
}

int64_t events_deadline_ms(const struct jq_core *core) {
    int64_t deadline_ms = INT64_MAX;
    for (uint32_t i = 0; i < core->reader_count; i++) {
        const struct event_reader *reader = core->readers[i];
        const int64_t at_ms = reader->position < core->events_end ? core->now_ms : reader->deadline_ms;
        deadline_ms = at_ms < deadline_ms ? at_ms : deadline_ms;
    }
    return deadline_ms;
}

void events_drop_pipe(struct jq_core *core, uint64_t pipe) {
    for (uint32_t i = 0; i < core->reader_count;) {
        if (core->readers[i]->pipe == pipe) {
            call_drop(core, core->readers[i]->call);
            reader_remove(core, i);
        } else {
            i++;
        }
    }
}

void events_stop(struct jq_core *core) {
    while (core->reader_count > 0) {
        reader_reply(core, core->readers[0], NULL, 0, false, JQ_REPLY_DRAINING);
        reader_remove(core, 0);
    }
}
