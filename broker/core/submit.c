/* submit.c - new tasks: each item of a batch gets its own verdict. */
#include "broker/core/submit.h"

#include <inttypes.h>

enum { RETRY_AFTER_UNKNOWN_MS = 1000, REASON_SIZE = 96, KEY_EXPIRES_NEVER = 1, DEBOUNCE_DELAYS_MAX = 10 };

static bool same_text(struct jq_str a, struct jq_str b) {
    return (a.data == b.data && a.size == b.size) || jq_str_equal(a, b);
}

static void refuse_item(struct jq_core *core, uint32_t index, enum jq_reply status, const char *field,
                        const char *reason, int64_t wait_ms) {
    core->totals.refused_total++;
    exception_add(core,
                  (struct jq_exception){
                      .index = index, .status = status, .retry_after_ms = wait_ms, .field = field, .reason = reason});
}

/* ---- interning ---- */

static enum jq_reply intern_options(struct jq_core *core, const struct jq_submit_item *item, struct batch *batch) {
    const struct jq_options values = {.retry_max = item->retry_max,
                                      .retry_base_ms = item->retry_base_ms,
                                      .retry_cap_ms = item->retry_cap_ms,
                                      .soft_limit_ms = item->soft_limit_ms,
                                      .hard_limit_ms = item->hard_limit_ms,
                                      .result_ttl_ms = item->result_ttl_ms};
    const struct jq_options *last = &batch->option_values;
    if (batch->options_known && last->retry_max == values.retry_max && last->retry_base_ms == values.retry_base_ms &&
        last->retry_cap_ms == values.retry_cap_ms && last->soft_limit_ms == values.soft_limit_ms &&
        last->hard_limit_ms == values.hard_limit_ms && last->result_ttl_ms == values.result_ttl_ms) {
        return JQ_REPLY_OK;
    }
    const enum jq_reply verdict = options_intern(core, &values, &batch->options);
    batch->options_known = verdict == JQ_REPLY_OK;
    batch->option_values = values;
    return verdict;
}

/* The item's queue, if tasks may go there: one that an earlier configuration declared may still stand in the log. */
static enum jq_reply intern_queue(struct jq_core *core, const struct jq_submit_item *item, struct batch *batch) {
    if (batch->queue_known && same_text(batch->queue_name, item->queue)) {
        return JQ_REPLY_OK;
    }
    enum jq_reply verdict = queue_intern(core, item->queue, &batch->queue);
    if (verdict == JQ_REPLY_OK && core->config.queues_declared && !core->queues[batch->queue].declared) {
        verdict = JQ_REPLY_NOT_FOUND;
    }
    batch->queue_known = verdict == JQ_REPLY_OK;
    batch->queue_name = item->queue;
    return verdict;
}

/* NULL, or the name of the table that is full. */
static const char *intern_class(struct jq_core *core, const struct jq_submit_item *item, struct batch *batch) {
    if (!batch->class_known || !same_text(batch->handler, item->handler) || !same_text(batch->need, item->need) ||
        !same_text(batch->want, item->want)) {
        batch->class_known =
            class_intern(core, item->handler, item->need, item->want, &batch->class_index) == JQ_REPLY_OK;
        batch->want = item->want;
        batch->handler = item->handler;
        batch->need = item->need;
        if (!batch->class_known) {
            return "classes_max reached";
        }
        batch->unmatched |= !class_is_possible(core, batch->class_index);
        batch->pure = core->classes[batch->class_index].pure_version.size > 0;
    }
    return intern_options(core, item, batch) == JQ_REPLY_OK ? NULL : "options_max reached";
}

/* A group is made by the record of the task that names it first: here it is only counted. */
bool group_has_room(const struct jq_core *core, struct jq_str group, uint16_t queue) {
    return group.size == 0 || core->groups.used_count < core->config.groups_max || group_find(core, queue, group) != 0;
}

/* False: refused. */
bool batch_intern(struct jq_core *core, const struct jq_submit_item *item, uint32_t index, struct batch *batch) {
    const enum jq_reply verdict = intern_queue(core, item, batch);
    if (verdict == JQ_REPLY_NOT_FOUND) {
        refuse_item(core, index, JQ_REPLY_NOT_FOUND, "queue", "not declared", 0);
        return false;
    }
    if (verdict == JQ_REPLY_OK && core->queues[batch->queue].set.draining) {
        refuse_item(core, index, JQ_REPLY_DRAINING, "queue", "the queue is draining: it takes no new tasks", 0);
        return false;
    }
    const char *full = verdict == JQ_REPLY_OK ? intern_class(core, item, batch) : "queues_max reached";
    if (!full && !group_has_room(core, item->group, batch->queue)) {
        full = "groups_max reached";
    }
    if (full) {
        refuse_item(core, index, JQ_REPLY_BUSY, "limits", full, RETRY_AFTER_UNKNOWN_MS);
    }
    return !full;
}

/* ---- keys ---- */

static bool is_bound(enum jq_unique unique) {
    return unique != JQ_UNIQUE_NONE && unique != JQ_UNIQUE_THROTTLE;
}

/* The key that stands for a task now; NULL: none does. */
static const struct key *key_standing(const struct jq_core *core, struct jq_str text) {
    const uint32_t ref = key_find(core, text);
    const struct key *key = ref ? key_at(core, ref) : NULL;
    return !key || CANARY(KEY_BLIND) || (!is_bound((enum jq_unique)key->unique) && key->expires_ms <= core->now_ms)
               ? NULL
               : key;
}

bool submit_key_known(struct jq_core *core, const struct jq_submit_item *item) {
    char buffer[KEY_SCOPED_SIZE_MAX];
    return item->key.size > 0 && key_standing(core, key_scoped(item->queue, item->key, buffer)) != NULL;
}

/* Of debounce: until when others may take its task's place; of the other bound ones: nothing. */
static int64_t key_expires_ms(const struct jq_core *core, const struct jq_submit_item *item) {
    if (item->unique == JQ_UNIQUE_DEBOUNCE) {
        return core->now_ms + DEBOUNCE_DELAYS_MAX * item->delay_ms;
    }
    if (is_bound(item->unique)) {
        return KEY_EXPIRES_NEVER;
    }
    return core->now_ms + (item->unique == JQ_UNIQUE_THROTTLE ? item->unique_ms : core->config.key_ttl_ms);
}

static void answer_with(struct jq_core *core, uint32_t index, uint64_t task) {
    core->totals.duplicate_total++;
    exception_add(core, (struct jq_exception){.index = index, .status = JQ_REPLY_OK, .task = {task}});
}

/* ---- what it waits for ---- */

static enum jq_on on_of(const struct jq_submit_item *item) {
    return item->on ? item->on : JQ_ON_SUCCEEDED;
}

/* A text that lives until the next request. */
static const char *parent_reason(struct jq_core *core, jq_task_id parent, const char *what) {
    const size_t at = core->reasons.size;
    jq_buf_append_format(&core->reasons, "task %" PRIu64 ": %s", parent.value, what);
    jq_buf_append_u8(&core->reasons, '\0');
    JQ_CHECK(!core->reasons.failed);
    return (const char *)core->reasons.data + at;
}

bool same_namespace(struct jq_str a, struct jq_str b) {
    size_t at = 0;
    while (at < a.size && at < b.size && a.data[at] == b.data[at] && a.data[at] != '.') {
        at++;
    }
    return (at == a.size || a.data[at] == '.') && (at == b.size || b.data[at] == '.');
}

static bool parents_check(struct jq_core *core, const struct jq_submit_item *item, uint32_t index,
                          const struct batch *batch) {
    for (size_t i = 0; i < item->after_count; i++) {
        const uint32_t parent = task_find_within(core, &batch->reach, item->after[i]);
        if (parent == 0) {
            refuse_item(core, index, JQ_REPLY_NOT_FOUND, "after",
                        parent_reason(core, item->after[i], "never submitted, or forgotten"), 0);
            return false;
        }
        if (!same_namespace(core->queues[task_at(core, parent)->queue].name, core->queues[batch->queue].name)) {
            refuse_item(core, index, JQ_REPLY_INVALID, "after",
                        parent_reason(core, item->after[i], "its queue is of another namespace"), 0);
            return false;
        }
    }
    return true;
}

/* A text that lives until the next request. */
static bool inputs_check(struct jq_core *core, const struct jq_submit_item *item, uint32_t index) {
    struct jq_file missing = {0};
    if (files_are_stored(core, item->files, &missing)) {
        return true;
    }
    const size_t at = core->reasons.size;
    jq_buf_append_format(&core->reasons, "%.*s: its blob is not stored", JQ_STR_ARG(missing.name));
    jq_buf_append_u8(&core->reasons, '\0');
    JQ_CHECK(!core->reasons.failed);
    refuse_item(core, index, JQ_REPLY_NOT_FOUND, "inputs", (const char *)core->reasons.data + at, 0);
    return false;
}

/* Those that have ended as wanted are met from the start: a log that has lost them can still tell. */
static struct jq_bytes parents_pack(struct jq_core *core, const struct jq_submit_item *item, jq_task_id id) {
    jq_buf_clear(&core->after);
    for (size_t i = 0; i < item->after_count; i++) {
        const struct task *parent = task_at(core, task_find_any(core, item->after[i]));
        const bool met = parent_is_met(parent, (uint8_t)on_of(item));
        jq_buf_append_varint(&core->after, (id.value - item->after[i].value) << 1 | met);
    }
    JQ_CHECK(!core->after.failed);
    return jq_buf_bytes(&core->after);
}

/* ---- one item ---- */

/* A whole reservation ahead, more than one block can use: a lease may leave before its block is synced, and an id that its worker
 * has heard of must not come again when power fails then. The shell syncs what a start emits before it serves. */
void ids_reserve(struct jq_core *core, uint32_t count) {
    const uint64_t ahead = CANARY(LATE_IDS) ? 0 : IDS_PER_RESERVATION;
    if (core->ids_limit < core->next_id + count + ahead) {
        struct jq_record record = {.type = JQ_RECORD_IDS_RESERVED,
                                   .u.ids_reserved = {core->next_id + count + ahead + IDS_PER_RESERVATION}};
        emit(core, &record);
    }
}

jq_task_id ids_draw(struct jq_core *core, uint32_t count) {
    ids_reserve(core, count);
    const uint64_t first = core->next_id;
    core->next_id += count;
    return (jq_task_id){first};
}

/* The record's `after` lies in core->after. */
struct jq_record batch_record(struct jq_core *core, const struct jq_submit_item *item, const struct batch *batch,
                              jq_task_id id) {
    const bool eta = item->eta_wall_ms > core->wall_ms;
    return (struct jq_record){
        .type = JQ_RECORD_TASK_SUBMITTED,
        .u.task_submitted = {.task = id,
                             .queue = batch->queue,
                             .class_index = batch->class_index,
                             .options = batch->options,
                             .priority = (uint8_t)item->priority,
                             .eta = eta,
                             .ready_at_ms = eta ? item->eta_wall_ms : core->now_ms + item->delay_ms,
                             .expires_wall_ms = item->expires_wall_ms,
                             .on = (uint8_t)(item->after_count > 0 ? on_of(item) : 0),
                             .after = parents_pack(core, item, id),
                             .group = item->group,
                             .body = item->body,
                             .files = item->files,
                             .cache = batch->pure ? cache_key(core, item) : (struct jq_bytes){NULL, 0}}};
}

static void accept_item(struct jq_core *core, const struct jq_submit_item *item, struct batch *batch,
                        struct jq_str key) {
    const jq_task_id id = ids_draw(core, 1);
    struct jq_record record = batch_record(core, item, batch, id);
    record.u.task_submitted.key = key;
    record.u.task_submitted.key_expires_ms = key.size ? key_expires_ms(core, item) : 0;
    record.u.task_submitted.unique = (uint8_t)(key.size ? item->unique : JQ_UNIQUE_NONE);
    record.u.task_submitted.schedule = batch->schedule;
    record.u.task_submitted.due_wall_ms = batch->due_wall_ms;
    emit(core, &record);
    core->totals.submitted_total++;
    core->queues[batch->queue].submitted_total++;
    if (batch->accepted++ == 0) {
        batch->first = id.value;
    }
    const uint32_t ref = task_find(core, id);
    news_task(core, JQ_NEWS_TASK_SUBMITTED, task_at(core, ref));
    if (item->expires_wall_ms > 0 && item->expires_wall_ms <= core->wall_ms) {
        task_end(core, ref, JQ_STATE_EXPIRED, JQ_OUTCOME_EXPIRED); /* before a parked worker can take it */
    } else if (record.u.task_submitted.cache.size > 0) {
        (void)cache_answers(core, ref, true);
    }
}

static bool queue_has_room(struct jq_core *core, const struct jq_submit_item *item, uint32_t index,
                           const struct batch *batch) {
    const char *mark = queue_refuses(core, batch->queue, item->priority, batch->woken);
    if (mark) {
        refuse_item(core, index, JQ_REPLY_BUSY, mark, "the queue is full",
                    queue_retry_ms(core, &core->queues[batch->queue]));
    }
    return !mark;
}

/* As long as others keep coming a task would wait for ever: there is a time at which it runs all the same. */
static int64_t renewed_ready_ms(const struct jq_core *core, const struct jq_submit_item *item, const struct key *key) {
    const int64_t ready_ms = core->now_ms + item->delay_ms;
    return key->expires_ms > KEY_EXPIRES_NEVER && key->expires_ms < ready_ms ? key->expires_ms : ready_ms;
}

/* Debounce: what waits becomes what this item says, and waits anew. */
static void renew_task(struct jq_core *core, const struct jq_submit_item *item, uint32_t index, struct batch *batch,
                       const struct key *key) {
    const jq_task_id id = {key->task};
    const uint32_t ref = task_find(core, id);
    if (!batch_intern(core, item, index, batch) ||
        (batch->queue != task_at(core, ref)->queue && !queue_has_room(core, item, index, batch))) {
        return;
    }
    struct jq_record record = {.type = JQ_RECORD_TASK_RENEWED,
                               .u.task_renewed = {.task = id,
                                                  .queue = batch->queue,
                                                  .class_index = batch->class_index,
                                                  .options = batch->options,
                                                  .priority = (uint8_t)item->priority,
                                                  .ready_at_ms = renewed_ready_ms(core, item, key),
                                                  .expires_wall_ms = item->expires_wall_ms,
                                                  .group = item->group,
                                                  .body = item->body}};
    emit(core, &record);
    batch->renewed = true;
    news_task(core, JQ_NEWS_TASK_RENEWED, task_at(core, ref));
    answer_with(core, index, id.value);
    if (item->expires_wall_ms > 0 && item->expires_wall_ms <= core->wall_ms) {
        task_end(core, ref, JQ_STATE_EXPIRED, JQ_OUTCOME_EXPIRED);
    }
}

/* True: its key stands for a task already, the item has its verdict. */
static bool key_answers(struct jq_core *core, const struct jq_submit_item *item, uint32_t index, struct batch *batch,
                        struct jq_str text) {
    const struct key *key = text.size ? key_standing(core, text) : NULL;
    if (!key) {
        return false;
    }
    const uint32_t ref = task_find(core, (jq_task_id){key->task});
    if (ref != 0 && !reach_has_task(core, &batch->reach, task_at(core, ref))) {
        refuse_item(core, index, JQ_REPLY_FORBIDDEN, "key", "its task is in a queue that the token does not allow", 0);
    } else if (key->unique == JQ_UNIQUE_DEBOUNCE && item->unique == JQ_UNIQUE_DEBOUNCE) {
        renew_task(core, item, index, batch, key);
    } else {
        answer_with(core, index, key->task);
    }
    return true;
}

static void submit_item(struct jq_core *core, const struct jq_submit_item *item, uint32_t index, struct batch *batch) {
    if (item->refused != JQ_REPLY_OK) {
        refuse_item(core, index, item->refused, item->field, item->reason, 0);
        return;
    }
    const char *reason = NULL;
    const char *mark = broker_refuses(core, &reason);
    if (mark) {
        refuse_item(core, index, JQ_REPLY_BUSY, mark, reason, RETRY_AFTER_UNKNOWN_MS);
        return;
    }
    char buffer[KEY_SCOPED_SIZE_MAX];
    const struct jq_str key = item->key.size ? key_scoped(item->queue, item->key, buffer) : (struct jq_str){NULL, 0};
    if (key_answers(core, item, index, batch, key)) {
        return;
    }
    if (!batch_intern(core, item, index, batch) || !parents_check(core, item, index, batch) ||
        !inputs_check(core, item, index)) {
        return;
    }
    if (queue_has_room(core, item, index, batch)) {
        accept_item(core, item, batch, key);
        (void)queue_note_full(core, batch->queue);
    }
}

bool submit_scheduled(struct jq_core *core, const struct jq_submit_item *item, uint32_t schedule, int64_t due_wall_ms,
                      jq_task_id *ret_task, struct jq_exception *ret_refused) {
    struct batch batch = {.schedule = schedule, .due_wall_ms = due_wall_ms};
    core->exception_count = 0;
    submit_item(core, item, 0, &batch);
    if (batch.accepted == 0) {
        *ret_refused = core->exceptions[0];
    }
    core->exception_count = 0;
    *ret_task = (jq_task_id){batch.first};
    return batch.accepted > 0;
}

/* ---- the request ---- */

static void submit_reply(struct jq_core *core, const struct jq_request *request, const struct batch *batch) {
    const int queue = queue_find(core, request->u.submit.count ? request->u.submit.items[0].queue : JQ_STR(""));
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = JQ_OP_SUBMIT,
                                          .u.submit = {.first = batch->first,
                                                       .count = (uint32_t)request->u.submit.count,
                                                       .exceptions = core->exceptions,
                                                       .exception_count = core->exception_count,
                                                       .depth = queue < 0 ? 0 : queue_depth(&core->queues[queue]),
                                                       .unmatched = batch->unmatched}};
    reply_send(core, &reply, CANARY(EARLY_ANSWER) ? JQ_EFFECT_AT_ONCE : JQ_EFFECT_DURABLE);
}

/* The reasons of refusals are not kept in the window: the items that come with a resend say them again. */
static void reasons_restore(struct jq_core *core, const struct jq_request *request) {
    for (uint32_t i = 0; i < core->exception_count; i++) {
        struct jq_exception *exception = &core->exceptions[i];
        if (exception->index < request->u.submit.count) {
            exception->field = request->u.submit.items[exception->index].field;
            exception->reason = request->u.submit.items[exception->index].reason;
        }
    }
}

static void submit_again(struct jq_core *core, const struct jq_request *request, const struct answer *answer) {
    const struct batch batch = {.first = answer->verdict.first};
    core->totals.duplicate_total++;
    exceptions_unpack(core, answer->verdict.exceptions);
    reasons_restore(core, request);
    submit_reply(core, request, &batch);
}

/* False: answered. */
static bool submit_is_new(struct jq_core *core, const struct jq_request *request) {
    const struct answer *answer = NULL;
    const enum window_verdict seen = window_look(core, request, &answer);
    if (seen == WINDOW_AGAIN) {
        submit_again(core, request, answer);
        return false;
    }
    return !window_refuses(core, request, seen);
}

static void decide(struct jq_core *core, const struct jq_request *request, bool woken) {
    core->exception_count = 0;
    jq_buf_clear(&core->reasons);
    JQ_CHECK(jq_buf_room(&core->reasons, request->u.submit.count * REASON_SIZE)); /* it must not move */
    struct batch batch = {.woken = woken, .reach = request->reach};
    for (uint32_t i = 0; i < request->u.submit.count; i++) {
        submit_item(core, &request->u.submit.items[i], i, &batch);
    }
    if (batch.accepted > 0 || batch.renewed) {
        const struct jq_verdict verdict = {.op = JQ_OP_SUBMIT,
                                           .first = batch.first,
                                           .count = (uint32_t)request->u.submit.count,
                                           .exceptions =
                                               exceptions_pack(core, core->exceptions, core->exception_count)};
        window_record(core, &request->sender, request->id, request->done, &verdict);
    }
    submit_reply(core, request, &batch);
}

/* Its sender may have sent so much meanwhile that this one is forgotten. */
void submit_decide(struct jq_core *core, const struct jq_request *request, bool woken) {
    if (submit_is_new(core, request)) {
        decide(core, request, woken);
    }
}

void submit_request(struct jq_core *core, const struct jq_request *request) {
    if (!submit_is_new(core, request)) {
        return;
    }
    if (core->stopping) {
        reply_refuse(core, request, JQ_REPLY_DRAINING, NULL, "the broker is stopping");
    } else if (!submit_withhold(core, request)) {
        decide(core, request, false);
    }
}
