#include "tools/jqctl/journal_tasks.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/map.h"
#include "tools/jqctl/payload.h"

enum { INDEX_COUNT = 65536, OPTIONS_MAX = 1 << 20, TEXTS_SIZE_MAX = 1 << 30 };

/* A text by its place in `texts`; 0: the empty one. */
typedef uint32_t text_ref;

struct kind {
    text_ref handler, need, want;
};

struct entry {
    uint64_t body_lsn; /* of the record that holds its payload */
    uint64_t flow;
    int64_t submitted_ms, since_ms;
    uint32_t kind, options;
    text_ref queue, group, key, error, worker;
    uint8_t state, outcome, attempts, priority;
    bool known, waits, held, files;
};

/* What numbers stand for: as last defined, and all that ever was. */
struct tables {
    text_ref queues[INDEX_COUNT], workers[INDEX_COUNT];
    uint32_t kind_of[INDEX_COUNT]; /* class -> kinds */
    struct kind *kinds;
    uint32_t kind_count;
    uint32_t *options_of; /* index -> options, OPTIONS_MAX */
    struct jq_options *options;
    uint32_t options_count;
};

struct tasks {
    const struct jqctl_past *past;
    const struct jq_where *where;
    int64_t now_wall_ms, offset_ms;
    uint64_t from_id; /* of this stretch */
    uint64_t next_id; /* the least one seen behind it; UINT64_MAX: none */
    struct entry *entries;
    struct tables tables;
    struct jq_buf texts; /* each with a NUL behind it */
    struct jq_strmap places;
    bool failed, stopped;
};

/* ---- texts and tables ---------------------------------------------------------------------------------------------------- */

static text_ref keep(struct tasks *tasks, struct jq_str text) {
    if (text.size == 0)
        return 0;
    const text_ref found = jq_strmap_get(&tasks->places, text, 0);
    if (found != 0)
        return found;
    const text_ref place = (text_ref)tasks->texts.size;
    jq_buf_append_text(&tasks->texts, text);
    jq_buf_append_u8(&tasks->texts, 0);
    tasks->failed = tasks->failed || tasks->texts.failed || !jq_strmap_put(&tasks->places, text, place);
    return tasks->failed ? 0 : place;
}

static struct jq_str text_at(const struct tasks *tasks, text_ref place) {
    return jq_str_of((const char *)tasks->texts.data + place);
}

/* Room for one more of an array that doubles. */
static void *grow(struct tasks *tasks, void *items, uint32_t count, size_t size) {
    if ((count & (count - 1)) != 0)
        return items;
    void *grown = realloc(items, (count == 0 ? 1 : 2 * (size_t)count) * size);
    if (grown == NULL) {
        tasks->failed = true;
        return items;
    }
    return grown;
}

static void define_class(struct tasks *tasks, const struct jq_record *record) {
    struct tables *tables = &tasks->tables;
    const struct kind kind = {.handler = keep(tasks, record->u.class_defined.handler),
                              .need = keep(tasks, record->u.class_defined.need),
                              .want = keep(tasks, record->u.class_defined.want)};
    uint32_t *of = &tables->kind_of[record->u.class_defined.class_index];
    if (memcmp(&tables->kinds[*of], &kind, sizeof(kind)) == 0)
        return; /* said again by a prologue */
    tables->kinds = grow(tasks, tables->kinds, tables->kind_count, sizeof(kind));
    if (tasks->failed)
        return;
    *of = tables->kind_count++;
    tables->kinds[*of] = kind;
}

static bool same_options(const struct jq_options *a, const struct jq_options *b) {
    return a->retry_max == b->retry_max && a->retry_base_ms == b->retry_base_ms && a->retry_cap_ms == b->retry_cap_ms &&
           a->soft_limit_ms == b->soft_limit_ms && a->hard_limit_ms == b->hard_limit_ms &&
           a->result_ttl_ms == b->result_ttl_ms;
}

static void define_options(struct tasks *tasks, const struct jq_record *record) {
    struct tables *tables = &tasks->tables;
    const struct jq_options *options = &record->u.options_defined.options;
    if (record->u.options_defined.index >= OPTIONS_MAX)
        return;
    uint32_t *of = &tables->options_of[record->u.options_defined.index];
    if (same_options(&tables->options[*of], options))
        return;
    tables->options = grow(tasks, tables->options, tables->options_count, sizeof(*options));
    if (tasks->failed)
        return;
    *of = tables->options_count++;
    tables->options[*of] = *options;
}

static bool define(struct tasks *tasks, const struct jq_record *record) {
    switch (record->type) {
    case JQ_RECORD_WALL_OFFSET: tasks->offset_ms = record->u.wall_offset.offset_ms; return true;
    case JQ_RECORD_QUEUE_DEFINED:
        tasks->tables.queues[record->u.queue_defined.queue] = keep(tasks, record->u.queue_defined.name);
        return true;
    case JQ_RECORD_CLASS_DEFINED: define_class(tasks, record); return true;
    case JQ_RECORD_OPTIONS_DEFINED: define_options(tasks, record); return true;
    case JQ_RECORD_WORKER_REGISTERED:
        if (record->u.worker_registered.worker < INDEX_COUNT)
            tasks->tables.workers[record->u.worker_registered.worker] = keep(tasks, record->u.worker_registered.name);
        return true;
    default: return false;
    }
}

/* ---- what becomes of a task ---------------------------------------------------------------------------------------------- */

/* NULL: not of this stretch. */
static struct entry *entry_of(struct tasks *tasks, jq_task_id id) {
    if (id.value >= tasks->from_id && id.value - tasks->from_id < JQCTL_TASKS_SPAN)
        return &tasks->entries[id.value - tasks->from_id];
    if (id.value >= tasks->from_id && id.value < tasks->next_id)
        tasks->next_id = id.value;
    return NULL;
}

static void set_state(struct entry *entry, const struct tasks *tasks, enum jq_state state, int64_t time_ms) {
    entry->state = (uint8_t)state;
    entry->since_ms = time_ms + tasks->offset_ms;
    entry->worker = 0;
}

static void place(struct tasks *tasks, struct entry *entry, uint16_t queue, uint16_t class_index, uint32_t options) {
    entry->queue = tasks->tables.queues[queue];
    entry->kind = tasks->tables.kind_of[class_index];
    entry->options = options < OPTIONS_MAX ? tasks->tables.options_of[options] : 0;
}

static struct jq_str plain_key(struct jq_str scoped) {
    const char *end = scoped.size > 0 ? memchr(scoped.data, 0, scoped.size) : NULL;
    if (end == NULL)
        return scoped;
    return (struct jq_str){end + 1, scoped.size - (size_t)(end - scoped.data) - 1};
}

static void submitted(struct tasks *tasks, const struct jq_record *record, const struct jq_submit_fields *submit) {
    struct entry *entry = entry_of(tasks, submit->task);
    if (entry == NULL)
        return;
    const bool later = submit->eta || submit->ready_at_ms > record->time_ms;
    *entry = (struct entry){.body_lsn = record->lsn,
                            .flow = submit->flow,
                            .submitted_ms = record->time_ms + tasks->offset_ms,
                            .group = keep(tasks, submit->group),
                            .key = keep(tasks, plain_key(submit->key)),
                            .priority = submit->priority,
                            .known = true,
                            .waits = submit->on != 0,
                            .files = submit->files.size > 0};
    place(tasks, entry, submit->queue, submit->class_index, submit->options);
    set_state(entry, tasks,
              submit->on != 0 || submit->flow != 0 ? JQ_STATE_WAITING
              : later                              ? JQ_STATE_SCHEDULED
                                                   : JQ_STATE_READY,
              record->time_ms);
}

/* All of a task: for a journal that has left the rest behind. */
static void relocated(struct tasks *tasks, const struct jq_record *record) {
    struct entry *entry = entry_of(tasks, record->u.task_relocated.task);
    const uint64_t body_lsn = record->u.task_relocated.body_lsn != 0 ? record->u.task_relocated.body_lsn : record->lsn;
    if (entry == NULL)
        return;
    if (!entry->known) {
        submitted(tasks, record, &record->u.task_relocated.submit);
        entry->state = record->u.task_relocated.state;
        entry->outcome = record->u.task_relocated.outcome;
        entry->attempts = record->u.task_relocated.attempts;
        entry->held = record->u.task_relocated.held;
        entry->error = keep(tasks, record->u.task_relocated.error);
        entry->submitted_ms = entry->since_ms = record->u.task_relocated.first_ready_ms + tasks->offset_ms;
    }
    entry->body_lsn = body_lsn;
}

static void edited(struct tasks *tasks, const struct jq_record *record) {
    struct entry *entry = entry_of(tasks, record->u.task_edited.task);
    if (entry == NULL || !entry->known)
        return;
    place(tasks, entry, record->u.task_edited.queue, record->u.task_edited.class_index, record->u.task_edited.options);
    entry->priority = record->u.task_edited.priority;
    if (record->u.task_edited.body.size > 0)
        entry->body_lsn = record->lsn;
}

static void renewed(struct tasks *tasks, const struct jq_record *record) {
    struct entry *entry = entry_of(tasks, record->u.task_renewed.task);
    if (entry == NULL || !entry->known)
        return;
    place(tasks, entry, record->u.task_renewed.queue, record->u.task_renewed.class_index,
          record->u.task_renewed.options);
    entry->priority = record->u.task_renewed.priority;
    entry->group = keep(tasks, record->u.task_renewed.group);
    entry->body_lsn = record->lsn;
    set_state(entry, tasks, JQ_STATE_SCHEDULED, record->time_ms);
}

static void retried(struct tasks *tasks, const struct jq_record *record, struct entry *entry) {
    const bool later = record->u.task_retried.ready_at_ms > record->time_ms;
    entry->outcome = record->u.task_retried.outcome;
    entry->attempts = record->u.task_retried.attempts;
    entry->error = keep(tasks, record->u.task_retried.error);
    set_state(entry, tasks, later ? JQ_STATE_SCHEDULED : JQ_STATE_READY, record->time_ms);
}

static void ended(struct tasks *tasks, const struct jq_record *record, struct entry *entry) {
    entry->outcome = record->u.task_ended.outcome;
    entry->attempts = record->u.task_ended.attempts;
    entry->error = keep(tasks, record->u.task_ended.error);
    set_state(entry, tasks, (enum jq_state)record->u.task_ended.state, record->time_ms);
}

static void leased(struct tasks *tasks, const struct jq_record *record, struct entry *entry) {
    set_state(entry, tasks, JQ_STATE_RUNNING, record->time_ms);
    if (record->u.task_leased.worker < INDEX_COUNT)
        entry->worker = tasks->tables.workers[record->u.task_leased.worker];
}

static void revived(struct tasks *tasks, const struct jq_record *record, struct entry *entry, bool later) {
    entry->attempts = 0;
    entry->outcome = JQ_OUTCOME_NONE;
    entry->error = 0;
    set_state(entry, tasks, later ? JQ_STATE_SCHEDULED : JQ_STATE_READY, record->time_ms);
}

static void decided(struct tasks *tasks, const struct jq_record *record, struct entry *entry) {
    const bool blocked = record->u.edge_decided.verdict == JQ_EDGE_BLOCKED;
    if (blocked || entry->state == JQ_STATE_BLOCKED)
        set_state(entry, tasks, blocked ? JQ_STATE_BLOCKED : JQ_STATE_WAITING, record->time_ms);
}

/* The end of a flow that was never committed: these tasks never were. */
static void cut(struct tasks *tasks, const struct jq_record *record) {
    const uint64_t flow = record->u.flow_cut.flow;
    struct entry *entry = entry_of(tasks, (jq_task_id){flow + record->u.flow_cut.keep});
    const struct entry *end = tasks->entries + JQCTL_TASKS_SPAN;
    for (; entry != NULL && entry < end && entry->known && entry->flow == flow; entry++)
        entry->known = false;
}

/* Records that begin with their task, of one that is known. */
static void change(struct tasks *tasks, const struct jq_record *record) {
    struct entry *entry = entry_of(tasks, record->u.task_due.task);
    if (entry == NULL || !entry->known)
        return;
    switch (record->type) {
    case JQ_RECORD_TASK_DUE:
    case JQ_RECORD_TASK_FREED: set_state(entry, tasks, JQ_STATE_READY, record->time_ms); break;
    case JQ_RECORD_TASK_LEASED: leased(tasks, record, entry); break;
    case JQ_RECORD_TASK_RETRIED: retried(tasks, record, entry); break;
    case JQ_RECORD_TASK_CANCELLING: entry->state = JQ_STATE_CANCELLING; break;
    case JQ_RECORD_TASK_ENDED: ended(tasks, record, entry); break;
    case JQ_RECORD_TASK_REVIVED: revived(tasks, record, entry, false); break;
    case JQ_RECORD_TASK_REPLAYED:
        revived(tasks, record, entry, record->u.task_replayed.ready_at_ms > record->time_ms);
        break;
    case JQ_RECORD_TASK_HELD: entry->held = true; break;
    case JQ_RECORD_TASK_RELEASED: entry->held = false; break;
    case JQ_RECORD_EDGE_DECIDED: decided(tasks, record, entry); break;
    default: entry->queue = tasks->tables.queues[record->u.task_moved.queue]; break;
    }
}

static void learn(struct tasks *tasks, const struct jq_record *record) {
    if (define(tasks, record))
        return;
    switch (record->type) {
    case JQ_RECORD_TASK_SUBMITTED: submitted(tasks, record, &record->u.task_submitted); break;
    case JQ_RECORD_TASK_RELOCATED: relocated(tasks, record); break;
    case JQ_RECORD_TASK_EDITED: edited(tasks, record); break;
    case JQ_RECORD_TASK_RENEWED: renewed(tasks, record); break;
    case JQ_RECORD_FLOW_CUT: cut(tasks, record); break;
    case JQ_RECORD_TASK_DUE:
    case JQ_RECORD_TASK_FREED:
    case JQ_RECORD_TASK_LEASED:
    case JQ_RECORD_TASK_RETRIED:
    case JQ_RECORD_TASK_CANCELLING:
    case JQ_RECORD_TASK_ENDED:
    case JQ_RECORD_TASK_REVIVED:
    case JQ_RECORD_TASK_REPLAYED:
    case JQ_RECORD_TASK_HELD:
    case JQ_RECORD_TASK_RELEASED:
    case JQ_RECORD_EDGE_DECIDED:
    case JQ_RECORD_TASK_MOVED: change(tasks, record); break;
    default: break;
    }
}

static bool learn_record(void *ctx, const struct jqctl_walked *walked) {
    struct tasks *tasks = ctx;
    if (!walked->record)
        return true;
    struct jq_record record = *walked->record;
    record.lsn = walked->lsn;
    record.time_ms = walked->time_ms;
    learn(tasks, &record);
    return !tasks->failed;
}

/* ---- handing out --------------------------------------------------------------------------------------------------------- */

/* The body in a record that may hold one, whose it is, and the files with it. */
static bool body_of(const struct jq_record *record, jq_task_id *ret_task, struct jq_bytes *ret_body,
                    struct jq_bytes *ret_files) {
    *ret_files = (struct jq_bytes){NULL, 0};
    switch (record->type) {
    case JQ_RECORD_TASK_SUBMITTED:
        *ret_task = record->u.task_submitted.task;
        *ret_body = record->u.task_submitted.body;
        *ret_files = record->u.task_submitted.files;
        return true;
    case JQ_RECORD_TASK_RELOCATED:
        *ret_task = record->u.task_relocated.task;
        *ret_body = record->u.task_relocated.submit.body;
        *ret_files = record->u.task_relocated.submit.files;
        return true;
    case JQ_RECORD_TASK_EDITED:
        *ret_task = record->u.task_edited.task;
        *ret_body = record->u.task_edited.body;
        return true;
    case JQ_RECORD_TASK_RENEWED:
        *ret_task = record->u.task_renewed.task;
        *ret_body = record->u.task_renewed.body;
        return true;
    default: return false;
    }
}

static enum jq_state state_of(const struct entry *entry) {
    const bool queued =
        entry->state == JQ_STATE_WAITING || entry->state == JQ_STATE_SCHEDULED || entry->state == JQ_STATE_READY;
    return entry->held && queued ? JQ_STATE_HELD : (enum jq_state)entry->state;
}

static struct jqctl_past_task describe(const struct tasks *tasks, const struct entry *entry, jq_task_id id,
                                       struct jq_bytes body) {
    const struct kind *kind = &tasks->tables.kinds[entry->kind];
    const size_t payload = jqctl_payload_first_size(body);
    struct jqctl_past_task task = {.id = id,
                                   .flow = entry->flow,
                                   .waits = entry->waits,
                                   .state = state_of(entry),
                                   .outcome = (enum jq_outcome)entry->outcome,
                                   .priority = entry->priority,
                                   .attempts = entry->attempts,
                                   .queue = text_at(tasks, entry->queue),
                                   .handler = text_at(tasks, kind->handler),
                                   .need = text_at(tasks, kind->need),
                                   .want = text_at(tasks, kind->want),
                                   .group = text_at(tasks, entry->group),
                                   .key = text_at(tasks, entry->key),
                                   .error = text_at(tasks, entry->error),
                                   .worker = text_at(tasks, entry->worker),
                                   .submitted_ms = entry->submitted_ms,
                                   .since_ms = entry->since_ms,
                                   .options = tasks->tables.options[entry->options],
                                   .payload = {body.data, payload}};
    if (payload > 0 && body.size > payload)
        task.headers = (struct jq_bytes){body.data + payload, body.size - payload};
    return task;
}

static bool is_wanted(const struct tasks *tasks, const struct jqctl_past_task *task) {
    const struct jq_where_subject subject = {
        .id = task->id.value,
        .flow = task->flow,
        .state = task->state,
        .outcome = task->outcome,
        .priority = (int)task->priority,
        .attempts = task->attempts,
        .age_ms = tasks->now_wall_ms > task->since_ms ? tasks->now_wall_ms - task->since_ms : 0,
        .queue = task->queue,
        .handler = task->handler,
        .group = task->group,
        .key = task->key,
        .worker = task->worker,
        .error = task->error,
    };
    return tasks->where == NULL || jq_where_match(tasks->where, &subject);
}

static bool hand_out(void *ctx, const struct jqctl_walked *walked) {
    struct tasks *tasks = ctx;
    jq_task_id id;
    struct jq_bytes body, files;
    if (!walked->record || !body_of(walked->record, &id, &body, &files) || id.value < tasks->from_id ||
        id.value - tasks->from_id >= JQCTL_TASKS_SPAN)
        return true;
    const struct entry *entry = &tasks->entries[id.value - tasks->from_id];
    if (!entry->known || entry->body_lsn != walked->lsn)
        return true;
    struct jqctl_past_task task = describe(tasks, entry, id, body);
    task.files = files;
    task.files_missing = entry->files && files.size == 0;
    tasks->stopped = is_wanted(tasks, &task) && !tasks->past->on_task(tasks->past->ctx, &task);
    return !tasks->stopped;
}

/* ---- stretch by stretch -------------------------------------------------------------------------------------------------- */

static bool begin_stretch(struct tasks *tasks) {
    struct tables *tables = &tasks->tables;
    tasks->from_id = tasks->next_id;
    tasks->next_id = UINT64_MAX;
    tasks->offset_ms = 0;
    free(tasks->entries);
    tasks->entries = calloc(JQCTL_TASKS_SPAN, sizeof(*tasks->entries)); /* Pages are made as they are used. */
    memset(tables->queues, 0, sizeof(tables->queues));
    memset(tables->workers, 0, sizeof(tables->workers));
    memset(tables->kind_of, 0, sizeof(tables->kind_of));
    memset(tables->options_of, 0, OPTIONS_MAX * sizeof(*tables->options_of));
    tables->kind_count = tables->options_count = 1; /* Number 0 stands for what was never defined. */
    jq_strmap_fini(&tasks->places);
    jq_strmap_init(&tasks->places, (uint64_t)tasks->now_wall_ms);
    jq_buf_clear(&tasks->texts);
    jq_buf_append_u8(&tasks->texts, 0);
    return tasks->entries != NULL;
}

static int do_stretch(const struct jqctl *ctl, struct tasks *tasks) {
    struct jq_journal_verdict verdict;
    if (!begin_stretch(tasks))
        return jqctl_fail(EX_OSERR, "out of memory");
    const int learnt = jqctl_journal_walk(ctl, learn_record, tasks, &verdict);
    if (tasks->failed)
        return jqctl_fail(EX_OSERR, "out of memory");
    if (learnt != JQCTL_DONE && learnt != EX_DATAERR)
        return learnt;
    const int code = jqctl_journal_walk(ctl, hand_out, tasks, &verdict);
    if (tasks->past->on_stretch_end)
        tasks->past->on_stretch_end(tasks->past->ctx);
    return code;
}

static bool tasks_init(struct tasks *tasks) {
    struct tables *tables = &tasks->tables;
    tables->options_of = malloc(OPTIONS_MAX * sizeof(*tables->options_of));
    tables->kinds = calloc(1, sizeof(*tables->kinds));
    tables->options = calloc(1, sizeof(*tables->options));
    jq_buf_init(&tasks->texts, TEXTS_SIZE_MAX);
    jq_strmap_init(&tasks->places, 0);
    return tables->options_of != NULL && tables->kinds != NULL && tables->options != NULL;
}

static void tasks_free(struct tasks *tasks) {
    jq_strmap_fini(&tasks->places);
    jq_buf_fini(&tasks->texts);
    free(tasks->entries);
    free(tasks->tables.options_of);
    free(tasks->tables.kinds);
    free(tasks->tables.options);
    free(tasks);
}

int jqctl_journal_tasks(const struct jqctl *ctl, const struct jq_where *where, const struct jqctl_past *past) {
    struct tasks *tasks = calloc(1, sizeof(*tasks));
    if (tasks == NULL)
        return jqctl_fail(EX_OSERR, "out of memory");
    tasks->past = past;
    tasks->where = where;
    tasks->now_wall_ms = jq_clock_wall_ms();
    int code = tasks_init(tasks) ? JQCTL_DONE : jqctl_fail(EX_OSERR, "out of memory");
    while ((code == JQCTL_DONE || code == EX_DATAERR) && tasks->next_id != UINT64_MAX && !tasks->stopped) {
        const int stretch = do_stretch(ctl, tasks);
        code = stretch == JQCTL_DONE ? code : stretch;
    }
    tasks_free(tasks);
    return code;
}
