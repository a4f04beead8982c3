/* journal_dump.c - jqctl journal dump: every record, as a line for people or as a line of JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/core/event.h"
#include "common/text.h"
#include "tools/jqctl/journal.h"
#include "tools/jqctl/journal_dump_blob.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/names.h"
#include "tools/jqctl/payload.h"
#include "tools/jqctl/print.h"

struct dump {
    const struct jqctl *ctl;
    struct jqctl_made made;
    struct jq_buf line;
    struct jqctl_names queues, handlers, workers;
    uint64_t from_lsn, limit, printed;
    const char *type; /* NULL: all */
    uint64_t task;    /* 0: all */
};

/* ---- columns: those that a record has, in this order -------------------------------------------------------------------- */

static const struct jqctl_column detail_columns[] = {
    {"exit", NULL, JQCTL_COUNT, 0, NULL},       {"signal", NULL, JQCTL_COUNT, 0, NULL},
    {"message", NULL, JQCTL_TEXT, 0, NULL},     {"service", NULL, JQCTL_TEXT, 0, NULL},
    {"duration_ms", NULL, JQCTL_SPAN, 0, NULL}, {"cpu_ms", NULL, JQCTL_SPAN, 0, NULL},
    {"rss_bytes", NULL, JQCTL_SIZE, 0, NULL},   {"result", NULL, JQCTL_DATA, 0, NULL},
    {"version", NULL, JQCTL_TEXT, 0, NULL},     {"stdout", NULL, JQCTL_TAIL, 0, NULL},
    {"stderr", NULL, JQCTL_TAIL, 0, NULL},      {"worker", NULL, JQCTL_TEXT, 0, NULL},
};
static const struct jqctl_columns detail = JQCTL_COLUMNS(detail_columns);

/* JQCTL_TABLE: on the line for people, behind LSN, time and type. */
static const struct jqctl_column record_columns[] = {
    {"lsn", NULL, JQCTL_COUNT, 0, NULL},
    {"time_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"epoch", NULL, JQCTL_COUNT, 0, NULL},
    {"type", NULL, JQCTL_TEXT, 0, NULL},
    {"fault", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"task", NULL, JQCTL_ID, JQCTL_TABLE, NULL},
    {"name", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"queue", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"queue_index", NULL, JQCTL_COUNT, 0, NULL},
    {"handler", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"class_index", NULL, JQCTL_COUNT, 0, NULL},
    {"need", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"want", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"options", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"priority", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"breaker", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"state", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"by_operator", NULL, JQCTL_FLAG, JQCTL_TABLE, NULL},
    {"since_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"until_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"cool_down_ms", NULL, JQCTL_SPAN, JQCTL_TABLE, NULL},
    {"handlers", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"outcome", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"attempts", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"crashes", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"losses", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"error", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"shortages", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"eta", NULL, JQCTL_FLAG, JQCTL_TABLE, NULL},
    {"ready_in_ms", NULL, JQCTL_SPAN, JQCTL_TABLE, NULL},
    {"ready_at_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"expires_ms", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"key", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"key_scope", NULL, JQCTL_TEXT, 0, NULL},
    {"unique", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"worker", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"worker_index", NULL, JQCTL_COUNT, 0, NULL},
    {"id", NULL, JQCTL_UUID, JQCTL_TABLE, NULL},
    {"incarnation", NULL, JQCTL_HEX, JQCTL_TABLE, NULL},
    {"token", NULL, JQCTL_HEX, JQCTL_TABLE, NULL},
    {"alternative", NULL, JQCTL_COUNT, 0, NULL},
    {"schedule", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"when", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"due_ms", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"settled_ms", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"fired", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"missed", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"skipped", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"paused", NULL, JQCTL_FLAG, JQCTL_TABLE, NULL},
    {"draining", NULL, JQCTL_FLAG, JQCTL_TABLE, NULL},
    {"paused_until_ms", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"depth_max", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"weight", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"grace_ms", NULL, JQCTL_SPAN, JQCTL_TABLE, NULL},
    {"sender", NULL, JQCTL_UUID, JQCTL_TABLE, NULL},
    {"request", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"done", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"op", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"status", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"first", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"count", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"floor", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"whole", NULL, JQCTL_FLAG, JQCTL_TABLE, NULL},
    {"limit", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"below_lsn", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"offset_ms", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"needs_from", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"digest", NULL, JQCTL_HEX, JQCTL_TABLE, NULL},
    {"retry_max", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"retry_base_ms", NULL, JQCTL_SPAN, JQCTL_TABLE, NULL},
    {"retry_cap_ms", NULL, JQCTL_SPAN, JQCTL_TABLE, NULL},
    {"soft_limit_ms", NULL, JQCTL_LIMIT, JQCTL_TABLE, NULL},
    {"hard_limit_ms", NULL, JQCTL_LIMIT, JQCTL_TABLE, NULL},
    {"result_ttl_ms", NULL, JQCTL_SPAN, JQCTL_TABLE, NULL},
    {"blob", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"size", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"inputs", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"outputs", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"made", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"cache_key", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"no_cache", NULL, JQCTL_FLAG, JQCTL_TABLE, NULL},
    {"version", NULL, JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"output_bytes", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"body_bytes", NULL, JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"payload", NULL, JQCTL_DATA, 0, NULL},
    {"headers", NULL, JQCTL_TEXTS, 0, NULL},
    {"detail", NULL, JQCTL_MAP, 0, &detail},
};
static const struct jqctl_columns record_row = JQCTL_COLUMNS(record_columns);

/* ---- names -------------------------------------------------------------------------------------------------------------- */

/* The name where it is known, and the index always. */
static void made_name(struct jqctl_made *made, const struct jqctl_names *names, const char *key, const char *index_key,
                      uint32_t index) {
    const char *name = jqctl_names_get(names, index);
    if (name)
        jqctl_made_text(made, key, name);
    jqctl_made_uint(made, index_key, index);
}

/* ---- fields of records -------------------------------------------------------------------------------------------------- */

static void made_ms(struct jqctl_made *made, const char *key, int64_t ms) {
    jqctl_made_uint(made, key, ms > 0 ? (uint64_t)ms : 0);
}

static void made_task(struct jqctl_made *made, jq_task_id task) {
    jqctl_made_uint(made, "task", task.value);
}

/* Payload and headers, packed behind each other. */
static void made_submit_body(struct jqctl_made *made, struct jq_bytes body) {
    const size_t payload = jqctl_payload_first_size(body);
    jqctl_made_uint(made, "body_bytes", body.size);
    if (payload == 0)
        return;
    const struct jq_bytes rest = {body.data + payload, body.size - payload};
    jq_pack_raw(jqctl_made_key(made, "payload"), (struct jq_bytes){body.data, payload});
    if (rest.size > 0 && jqctl_payload_first_size(rest) == rest.size)
        jq_pack_raw(jqctl_made_key(made, "headers"), rest);
}

static void made_report_body(struct jqctl_made *made, struct jq_bytes body) {
    jqctl_made_uint(made, "body_bytes", body.size);
    if (body.size > 0 && jqctl_payload_first_size(body) == body.size)
        jq_pack_raw(jqctl_made_key(made, "detail"), body);
}

/* Scope, NUL, key. */
static void made_key(struct jqctl_made *made, struct jq_str scoped) {
    const char *end = scoped.size > 0 ? memchr(scoped.data, 0, scoped.size) : NULL;
    if (!end)
        return;
    const size_t scope = (size_t)(end - scoped.data);
    jqctl_made_str(made, "key", (struct jq_str){end + 1, scoped.size - scope - 1});
    jqctl_made_str(made, "key_scope", (struct jq_str){scoped.data, scope});
}

static void made_after(struct jqctl_made *made, const struct jq_record *record) {
    struct jq_reader in = jq_reader_of(record->u.task_submitted.after);
    struct jq_buf text;
    jq_buf_init(&text, JQ_AFTER_COUNT_MAX * 24);
    while (in.at != in.end)
        jq_buf_append_format(&text, "%s%llu", text.size > 0 ? "," : "",
                             (unsigned long long)(record->u.task_submitted.task.value - (jq_read_varint(&in) >> 1)));
    jqctl_made_str(made, "after", jq_buf_str(&text));
    jqctl_made_text(made, "on", jq_on_name((enum jq_on)record->u.task_submitted.on));
    jq_buf_fini(&text);
}

static void fields_of_submitted(struct dump *dump, const struct jq_record *record) {
    struct jqctl_made *made = &dump->made;
    made_task(made, record->u.task_submitted.task);
    made_name(made, &dump->queues, "queue", "queue_index", record->u.task_submitted.queue);
    made_name(made, &dump->handlers, "handler", "class_index", record->u.task_submitted.class_index);
    jqctl_made_uint(made, "options", record->u.task_submitted.options);
    jqctl_made_uint(made, "priority", record->u.task_submitted.priority);
    if (record->u.task_submitted.eta)
        jqctl_made_bool(made, "eta", true);
    if (record->u.task_submitted.ready_at_ms > record->time_ms)
        made_ms(made, "ready_in_ms", record->u.task_submitted.ready_at_ms - record->time_ms);
    made_ms(made, "ready_at_ms", record->u.task_submitted.ready_at_ms);
    if (record->u.task_submitted.expires_wall_ms > 0)
        made_ms(made, "expires_ms", record->u.task_submitted.expires_wall_ms);
    if (record->u.task_submitted.flow > 0)
        jqctl_made_uint(made, "flow", record->u.task_submitted.flow);
    if (record->u.task_submitted.on > 0)
        made_after(made, record);
    made_key(made, record->u.task_submitted.key);
    if (record->u.task_submitted.unique != JQ_UNIQUE_NONE)
        jqctl_made_text(made, "unique", jq_unique_name((enum jq_unique)record->u.task_submitted.unique));
    if (record->u.task_submitted.schedule != 0)
        jqctl_made_uint(made, "schedule", record->u.task_submitted.schedule);
    if (record->u.task_submitted.due_wall_ms != 0)
        made_ms(made, "due_ms", record->u.task_submitted.due_wall_ms);
    if (record->u.task_submitted.group.size > 0)
        jqctl_made_str(made, "group", record->u.task_submitted.group);
    jqctl_dump_files(made, record->u.task_submitted.files);
    jqctl_dump_cache_key(made, record->u.task_submitted.cache);
    made_submit_body(made, record->u.task_submitted.body);
}

static void fields_of_leased(struct dump *dump, const struct jq_record *record) {
    made_task(&dump->made, record->u.task_leased.task);
    made_name(&dump->made, &dump->workers, "worker", "worker_index", record->u.task_leased.worker);
    jqctl_made_uint(&dump->made, "token", record->u.task_leased.token.value);
    jqctl_made_uint(&dump->made, "alternative", record->u.task_leased.alternative);
}

static void made_error(struct jqctl_made *made, struct jq_str error) {
    if (error.size > 0)
        jqctl_made_str(made, "error", error);
}

static void fields_of_retried(struct dump *dump, const struct jq_record *record) {
    struct jqctl_made *made = &dump->made;
    made_task(made, record->u.task_retried.task);
    jqctl_made_text(made, "outcome", jq_outcome_name((enum jq_outcome)record->u.task_retried.outcome));
    jqctl_made_uint(made, "attempts", record->u.task_retried.attempts);
    jqctl_made_uint(made, "crashes", record->u.task_retried.crashes);
    jqctl_made_uint(made, "losses", record->u.task_retried.losses);
    jqctl_made_uint(made, "shortages", record->u.task_retried.shortages);
    made_ms(made, "ready_in_ms", record->u.task_retried.ready_at_ms - record->time_ms);
    made_ms(made, "ready_at_ms", record->u.task_retried.ready_at_ms);
    made_error(made, record->u.task_retried.error);
    made_report_body(made, record->u.task_retried.body);
}

static void fields_of_ended(struct dump *dump, const struct jq_record *record) {
    struct jqctl_made *made = &dump->made;
    made_task(made, record->u.task_ended.task);
    jqctl_made_text(made, "state", jq_state_name((enum jq_state)record->u.task_ended.state));
    jqctl_made_text(made, "outcome", jq_outcome_name((enum jq_outcome)record->u.task_ended.outcome));
    jqctl_made_uint(made, "attempts", record->u.task_ended.attempts);
    jqctl_made_uint(made, "crashes", record->u.task_ended.crashes);
    if (record->u.task_ended.losses > 0)
        jqctl_made_uint(made, "losses", record->u.task_ended.losses);
    made_error(made, record->u.task_ended.error);
    jqctl_dump_files(made, record->u.task_ended.made);
    made_report_body(made, record->u.task_ended.body);
}

static void fields_of_edited(struct dump *dump, const struct jq_record *record) {
    struct jqctl_made *made = &dump->made;
    made_task(made, record->u.task_edited.task);
    made_name(made, &dump->queues, "queue", "queue_index", record->u.task_edited.queue);
    made_name(made, &dump->handlers, "handler", "class_index", record->u.task_edited.class_index);
    jqctl_made_uint(made, "options", record->u.task_edited.options);
    jqctl_made_uint(made, "priority", record->u.task_edited.priority);
    if (record->u.task_edited.body.size > 0)
        made_submit_body(made, record->u.task_edited.body);
}

static void fields_of_breaker(struct dump *dump, const struct jq_record *record) {
    struct jqctl_made *made = &dump->made;
    const struct jq_str name = record->u.breaker_set.name;
    char place[JQ_NAME_SIZE_MAX + 16];
    (void)snprintf(place, sizeof(place), "%s:%.*s",
                   jq_breaker_kind_name((enum jq_breaker_kind)record->u.breaker_set.kind), JQ_STR_ARG(name));
    jqctl_made_text(made, "breaker", place);
    jqctl_made_text(made, "state", jq_breaker_state_name((enum jq_breaker_state)record->u.breaker_set.state));
    jqctl_made_bool(made, "by_operator", record->u.breaker_set.by_operator);
    made_ms(made, "since_ms", record->u.breaker_set.since_ms);
    if (record->u.breaker_set.until_ms > 0)
        made_ms(made, "until_ms", record->u.breaker_set.until_ms);
    made_ms(made, "cool_down_ms", record->u.breaker_set.cool_down_ms);
    if (record->u.breaker_set.handlers.size > 0)
        jqctl_made_str(made, "handlers", record->u.breaker_set.handlers);
}

static void fields_of_worker(struct dump *dump, const struct jq_record *record) {
    struct jqctl_made *made = &dump->made;
    jqctl_names_set(&dump->workers, record->u.worker_registered.worker, record->u.worker_registered.name);
    made_name(made, &dump->workers, "worker", "worker_index", record->u.worker_registered.worker);
    jqctl_made_uuid(made, "id", &record->u.worker_registered.id);
    jqctl_made_uint(made, "incarnation", record->u.worker_registered.incarnation);
}

static void fields_of_answer(struct dump *dump, const struct jq_record *record) {
    struct jqctl_made *made = &dump->made;
    const struct jq_verdict *verdict = &record->u.request_answered.verdict;
    const struct jq_op_info *op = verdict->op < jq_ops_count ? &jq_ops[verdict->op] : NULL;
    jqctl_made_uuid(made, "sender", &record->u.request_answered.sender);
    jqctl_made_uint(made, "request", record->u.request_answered.request);
    jqctl_made_uint(made, "done", record->u.request_answered.done);
    jqctl_made_text(made, "op", op ? op->name : "?");
    jqctl_made_text(made, "status", jq_reply_name((enum jq_reply)verdict->status));
    jqctl_made_uint(made, "first", verdict->first);
    jqctl_made_uint(made, "count", verdict->count);
    jqctl_made_uint(made, "body_bytes", verdict->exceptions.size);
}

static void fields_of_options(struct dump *dump, const struct jq_record *record) {
    struct jqctl_made *made = &dump->made;
    const struct jq_options *options = &record->u.options_defined.options;
    jqctl_made_uint(made, "options", record->u.options_defined.index);
    jqctl_made_uint(made, "retry_max", options->retry_max);
    jqctl_made_uint(made, "retry_base_ms", options->retry_base_ms);
    jqctl_made_uint(made, "retry_cap_ms", options->retry_cap_ms);
    made_ms(made, "soft_limit_ms", options->soft_limit_ms);
    made_ms(made, "hard_limit_ms", options->hard_limit_ms);
    made_ms(made, "result_ttl_ms", options->result_ttl_ms);
}

static void fields_of_class(struct dump *dump, const struct jq_record *record) {
    const uint16_t index = record->u.class_defined.class_index;
    jqctl_names_set(&dump->handlers, index, record->u.class_defined.handler);
    made_name(&dump->made, &dump->handlers, "handler", "class_index", index);
    jqctl_made_str(&dump->made, "need", record->u.class_defined.need);
    if (record->u.class_defined.want.size > 0)
        jqctl_made_str(&dump->made, "want", record->u.class_defined.want);
}

static void made_queue_set(struct jqctl_made *made, const struct jq_queue_set *set) {
    jqctl_made_bool(made, "paused", set->paused);
    jqctl_made_bool(made, "draining", set->draining);
    if (set->paused_until_wall_ms > 0)
        made_ms(made, "paused_until_ms", set->paused_until_wall_ms);
    if (set->depth_max > 0)
        jqctl_made_uint(made, "depth_max", set->depth_max);
    if (set->weight > 0)
        jqctl_made_uint(made, "weight", set->weight);
    if (set->bytes_max > 0)
        jqctl_made_uint(made, "bytes_max", set->bytes_max);
    if (set->policy > 0)
        jqctl_made_text(made, "policy", jq_policy_name((enum jq_queue_policy)(set->policy - 1)));
}

static void fields_of_queue(struct dump *dump, const struct jq_record *record) {
    if (record->type == JQ_RECORD_QUEUE_DEFINED)
        jqctl_names_set(&dump->queues, record->u.queue_defined.queue, record->u.queue_defined.name);
    made_name(&dump->made, &dump->queues, "queue", "queue_index", record->u.queue_defined.queue);
    if (record->type == JQ_RECORD_QUEUE_SET)
        made_queue_set(&dump->made, &record->u.queue_set.set);
}

static void fields_of_trim(struct dump *dump, const struct jq_record *record) {
    jqctl_made_uuid(&dump->made, "sender", &record->u.sender_trimmed.sender);
    jqctl_made_uint(&dump->made, "floor", record->u.sender_trimmed.floor);
    jqctl_made_bool(&dump->made, "whole", record->u.sender_trimmed.whole);
}

static void fields_of_offset(struct dump *dump, const struct jq_record *record) {
    char place[JQ_DURATION_TEXT_SIZE];
    jqctl_made_text(&dump->made, "offset_ms", jq_text_format_duration(record->u.wall_offset.offset_ms, place));
}

static void made_state(struct jqctl_made *made, const struct jq_schedule_state *state) {
    jqctl_made_bool(made, "paused", state->paused);
    made_ms(made, "settled_ms", state->settled_wall_ms);
    jqctl_made_uint(made, "fired", state->fired);
    jqctl_made_uint(made, "missed", state->missed);
    jqctl_made_uint(made, "skipped", state->skipped);
}

static void fields_of_schedule(struct dump *dump, const struct jq_record *record) {
    jqctl_made_uint(&dump->made, "schedule", record->u.schedule_moved.schedule);
    if (record->type == JQ_RECORD_SCHEDULE_SET) {
        struct jq_reader in = jq_reader_of(record->u.schedule_set.definition);
        (void)jq_read_u8(&in); /* its version; the name and the expression come first in each */
        jqctl_made_str(&dump->made, "name", jq_read_str(&in, JQ_NAME_SIZE_MAX));
        jqctl_made_str(&dump->made, "when", jq_read_str(&in, JQ_NAME_SIZE_MAX * 4));
        jqctl_made_uint(&dump->made, "body_bytes", record->u.schedule_set.definition.size);
        made_state(&dump->made, &record->u.schedule_set.state);
    } else if (record->type == JQ_RECORD_SCHEDULE_MOVED) {
        made_state(&dump->made, &record->u.schedule_moved.state);
    }
}

static void fields_of_edge(struct jqctl_made *made, const struct jq_record *record) {
    static const char *const verdicts[] = {
        [JQ_EDGE_OPEN] = "open", [JQ_EDGE_MET] = "met", [JQ_EDGE_BLOCKED] = "blocked"};
    made_task(made, record->u.edge_decided.task);
    jqctl_made_uint(made, "parent", record->u.edge_decided.parent);
    jqctl_made_text(made, "verdict", verdicts[record->u.edge_decided.verdict]);
}

static void fields_of_flow(struct dump *dump, const struct jq_record *record) {
    static const char *const phases[] = {[JQ_FLOW_STAGED] = "staged",
                                         [JQ_FLOW_DROPPED] = "dropped",
                                         [JQ_FLOW_COMMITTED] = "committed",
                                         [JQ_FLOW_CANCELLING] = "cancelling",
                                         [JQ_FLOW_CANCELLED] = "cancelled"};
    jqctl_made_uint(&dump->made, "flow", record->u.flow_set.flow);
    jqctl_made_text(&dump->made, "phase", phases[record->u.flow_set.phase]);
    jqctl_made_uint(&dump->made, "total", record->u.flow_set.total);
    if (record->u.flow_set.name.size > 0)
        jqctl_made_str(&dump->made, "name", record->u.flow_set.name);
}

static void fields_of_renewed(struct dump *dump, const struct jq_record *record) {
    struct jqctl_made *made = &dump->made;
    made_task(made, record->u.task_renewed.task);
    made_name(made, &dump->queues, "queue", "queue_index", record->u.task_renewed.queue);
    made_name(made, &dump->handlers, "handler", "class_index", record->u.task_renewed.class_index);
    jqctl_made_uint(made, "options", record->u.task_renewed.options);
    jqctl_made_uint(made, "priority", record->u.task_renewed.priority);
    made_ms(made, "ready_at_ms", record->u.task_renewed.ready_at_ms);
    made_submit_body(made, record->u.task_renewed.body);
}

static void fields_of_limit(struct jqctl_made *made, const struct jq_record *record) {
    char rate[JQ_RATE_TEXT_SIZE];
    jqctl_made_str(made, "scope", record->u.limit_set.scope);
    if (record->u.limit_set.concurrency > 0)
        jqctl_made_uint(made, "concurrency", record->u.limit_set.concurrency);
    if (record->u.limit_set.rate.count > 0) {
        jqctl_made_text(made, "rate", jq_rate_format(record->u.limit_set.rate, rate));
        jqctl_made_uint(made, "burst", record->u.limit_set.burst);
    }
    if (record->u.limit_set.configured)
        jqctl_made_bool(made, "configured", true);
}

/* A task that was moved to the log's head, as it stood then. */
static void fields_of_moved(struct dump *dump, const struct jq_record *record) {
    const struct jq_record submit = {.type = JQ_RECORD_TASK_SUBMITTED,
                                     .time_ms = record->time_ms,
                                     .u.task_submitted = record->u.task_relocated.submit};
    fields_of_submitted(dump, &submit);
    jqctl_made_text(&dump->made, "state", jq_state_name(record->u.task_relocated.state));
    jqctl_made_text(&dump->made, "outcome", jq_outcome_name(record->u.task_relocated.outcome));
    jqctl_made_uint(&dump->made, "attempts", record->u.task_relocated.attempts);
    jqctl_made_uint(&dump->made, "crashes", record->u.task_relocated.crashes);
    if (record->u.task_relocated.worker > 0)
        made_name(&dump->made, &dump->workers, "worker", "worker_index", record->u.task_relocated.worker);
}

/* Of the records that have one or two. */
static void fields_of_small(struct dump *dump, const struct jq_record *record) {
    struct jqctl_made *made = &dump->made;
    switch (record->type) {
    case JQ_RECORD_PROLOGUE_END:
        jqctl_made_uint(made, "needs_from", record->u.prologue_end.needs_from);
        jqctl_made_uint(made, "digest", record->u.prologue_end.digest);
        break;
    case JQ_RECORD_IDS_RESERVED: jqctl_made_uint(made, "limit", record->u.ids_reserved.limit); break;
    case JQ_RECORD_KEY_FORGOTTEN: made_key(made, record->u.key_forgotten.key); break;
    case JQ_RECORD_KEYS_FORGOTTEN: jqctl_made_uint(made, "below_lsn", record->u.keys_forgotten.below_lsn); break;
    case JQ_RECORD_WORKER_SET:
    case JQ_RECORD_WORKER_GONE:
        made_name(made, &dump->workers, "worker", "worker_index", record->u.worker_gone.worker);
        if (record->type == JQ_RECORD_WORKER_SET)
            jqctl_made_bool(made, "draining", record->u.worker_set.draining);
        break;
    case JQ_RECORD_WORKER_DOORBELL:
        made_name(made, &dump->workers, "worker", "worker_index", record->u.worker_doorbell.worker);
        jqctl_made_str(made, "doorbell", record->u.worker_doorbell.doorbell);
        jqctl_made_bool(made, "asleep", record->u.worker_doorbell.asleep);
        break;
    case JQ_RECORD_LIMIT_SET: fields_of_limit(made, record); break;
    case JQ_RECORD_CACHE_STORED:
        made_task(made, record->u.cache_stored.task);
        jqctl_dump_cached(made, record);
        made_report_body(made, record->u.cache_stored.body);
        break;
    case JQ_RECORD_CACHE_DROPPED: jqctl_dump_cached(made, record); break;
    case JQ_RECORD_BLOB_STORED:
    case JQ_RECORD_BLOB_DROPPED: jqctl_dump_blob(made, record); break;
    case JQ_RECORD_LIMIT_REMOVED: jqctl_made_str(made, "scope", record->u.limit_removed.scope); break;
    case JQ_RECORD_TASK_CANCELLING:
        made_task(made, record->u.task_cancelling.task);
        jqctl_made_uint(made, "grace_ms", record->u.task_cancelling.grace_ms);
        break;
    case JQ_RECORD_TASK_REPLAYED:
        made_task(made, record->u.task_replayed.task);
        made_ms(made, "ready_in_ms", record->u.task_replayed.ready_at_ms - record->time_ms);
        made_ms(made, "ready_at_ms", record->u.task_replayed.ready_at_ms);
        break;
    case JQ_RECORD_TASK_MOVED:
        made_task(made, record->u.task_moved.task);
        made_name(made, &dump->queues, "queue", "queue_index", record->u.task_moved.queue);
        break;
    case JQ_RECORD_REPORT_RELOCATED:
        made_task(made, record->u.report_relocated.task);
        jqctl_made_uint(made, "body_bytes", record->u.report_relocated.body.size);
        break;
    case JQ_RECORD_KEY_RELOCATED:
        made_task(made, record->u.key_relocated.task);
        made_key(made, record->u.key_relocated.key);
        break;
    case JQ_RECORD_TASK_DUE:
    case JQ_RECORD_TASK_REVIVED:
    case JQ_RECORD_TASK_FREED:
    case JQ_RECORD_TASK_HELD:
    case JQ_RECORD_TASK_RELEASED:
    case JQ_RECORD_TASK_FORGOTTEN: made_task(made, record->u.task_due.task); break;
    case JQ_RECORD_EDGE_DECIDED: fields_of_edge(made, record); break;
    case JQ_RECORD_FLOW_CUT:
        jqctl_made_uint(made, "flow", record->u.flow_cut.flow);
        jqctl_made_uint(made, "keep", record->u.flow_cut.keep);
        break;
    case JQ_RECORD_FLOW_FORGOTTEN: jqctl_made_uint(made, "flow", record->u.flow_forgotten.flow); break;
    default: break;
    }
}

static void made_fields(struct dump *dump, const struct jq_record *record) {
    static void (*const writers[JQ_RECORD_TYPE_END])(struct dump * dump, const struct jq_record *record) = {
        [JQ_RECORD_FLOW_SET] = fields_of_flow,           [JQ_RECORD_QUEUE_DEFINED] = fields_of_queue,
        [JQ_RECORD_QUEUE_SET] = fields_of_queue,         [JQ_RECORD_CLASS_DEFINED] = fields_of_class,
        [JQ_RECORD_OPTIONS_DEFINED] = fields_of_options, [JQ_RECORD_WORKER_REGISTERED] = fields_of_worker,
        [JQ_RECORD_REQUEST_ANSWERED] = fields_of_answer, [JQ_RECORD_SENDER_TRIMMED] = fields_of_trim,
        [JQ_RECORD_WALL_OFFSET] = fields_of_offset,      [JQ_RECORD_TASK_SUBMITTED] = fields_of_submitted,
        [JQ_RECORD_TASK_LEASED] = fields_of_leased,      [JQ_RECORD_TASK_RETRIED] = fields_of_retried,
        [JQ_RECORD_TASK_ENDED] = fields_of_ended,        [JQ_RECORD_TASK_EDITED] = fields_of_edited,
        [JQ_RECORD_BREAKER_SET] = fields_of_breaker,     [JQ_RECORD_SCHEDULE_SET] = fields_of_schedule,
        [JQ_RECORD_SCHEDULE_MOVED] = fields_of_schedule, [JQ_RECORD_SCHEDULE_FORGOTTEN] = fields_of_schedule,
        [JQ_RECORD_TASK_RENEWED] = fields_of_renewed,    [JQ_RECORD_TASK_RELOCATED] = fields_of_moved,
    };
    if (writers[record->type])
        writers[record->type](dump, record);
    else
        fields_of_small(dump, record);
}

/* ---- lines -------------------------------------------------------------------------------------------------------------- */

/* Spans are printed with their unit: "grace=5s". */
static int key_size(const struct jqctl_column *column) {
    const int size = (int)strlen(column->key);
    return column->kind == JQCTL_SPAN || column->kind == JQCTL_LIMIT ? size - 3 : size;
}

/* "LSN  TIME  TYPE  key=value ..". */
static void append_people(struct dump *dump, const struct jqctl_walked *walked, struct jq_view row) {
    struct jq_buf *line = &dump->line;
    char time[JQ_TIME_TEXT_SIZE];
    jq_buf_append_format(line, "%10" PRIu64 "  %s  %-17s", walked->lsn, jq_text_format_time(walked->time_ms, time),
                         jq_record_type_name(walked->type));
    for (size_t i = 0; i < record_row.count; i++) {
        const struct jqctl_column *column = &record_row.items[i];
        if (!(column->places & JQCTL_TABLE) || !jqctl_shown(column, row))
            continue;
        jq_buf_append_format(line, " %.*s=", key_size(column), column->key);
        jqctl_append_cell(line, column, row, 0);
    }
}

static void print_record(struct dump *dump, const struct jqctl_walked *walked) {
    struct jqctl_made *made = &dump->made;
    struct jq_json json;
    const struct jq_view row = jqctl_made_end(made);
    jq_buf_clear(&dump->line);
    if (dump->ctl->json) {
        jq_json_init(&json, &dump->line);
        jqctl_write_present(&json, &record_row, row);
    } else {
        append_people(dump, walked, row);
    }
    jq_buf_append_u8(&dump->line, '\n');
    jqctl_drain(&dump->line);
    dump->printed++;
}

static bool wanted(const struct dump *dump, const struct jqctl_walked *walked, struct jq_view row) {
    return walked->lsn >= dump->from_lsn &&
           (!dump->type || strcmp(dump->type, jq_record_type_name(walked->type)) == 0) &&
           (dump->task == 0 || jq_view_uint(row, "task", 0) == dump->task);
}

/* Definitions are taken in also where they are not wanted. */
static bool dump_record(void *ctx, const struct jqctl_walked *walked) {
    struct dump *dump = ctx;
    struct jqctl_made *made = &dump->made;
    if (!walked->record && !walked->fault)
        return true; /* of the clock: every line tells the time */
    jqctl_made_begin(made);
    jqctl_made_uint(made, "lsn", walked->lsn);
    jqctl_made_uint(made, "time_ms", (uint64_t)walked->time_ms);
    jqctl_made_uint(made, "epoch", walked->block->epoch);
    jqctl_made_text(made, "type", jq_record_type_name(walked->type));
    if (walked->record)
        made_fields(dump, walked->record);
    else
        jqctl_made_text(made, "fault", walked->fault->message);
    if (wanted(dump, walked, jqctl_made_end(made)))
        print_record(dump, walked);
    return dump->limit == 0 || dump->printed < dump->limit;
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

static int check_type(const char *type) {
    for (unsigned i = 0; type && i < JQ_RECORD_TYPE_END; i++) {
        if (strcmp(type, jq_record_type_name((uint8_t)i)) == 0)
            return JQCTL_DONE;
    }
    return type ? jqctl_fail(EX_USAGE, "--type: no records of type \"%.32s\"", type) : JQCTL_DONE;
}

static int dump_options(struct dump *dump) {
    const char *task = jqctl_value(&dump->ctl->args, "task");
    jq_task_id id = {0};
    struct jq_error error;
    dump->type = jqctl_value(&dump->ctl->args, "type");
    int code = check_type(dump->type);
    code = code == JQCTL_DONE ? jqctl_option_uint(dump->ctl, "from", UINT64_MAX / 2, &dump->from_lsn) : code;
    code = code == JQCTL_DONE ? jqctl_option_uint(dump->ctl, "limit", UINT64_MAX / 2, &dump->limit) : code;
    if (code == JQCTL_DONE && task && jq_text_parse_task_id(jq_str_of(task), &id, &error) != JQ_OK)
        code = jqctl_fail(EX_USAGE, "--task: %s", error.message);
    dump->task = id.value;
    return code;
}

static int dump_walk(struct dump *dump) {
    struct jq_journal_verdict *verdict = calloc(1, sizeof(*verdict));
    struct jqctl_names *const names[] = {&dump->queues, &dump->handlers, &dump->workers};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        jqctl_names_init(names[i]);
    const int code =
        verdict ? jqctl_journal_walk(dump->ctl, dump_record, dump, verdict) : jqctl_fail(EX_OSERR, "out of memory");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        jqctl_names_fini(names[i]);
    free(verdict);
    return code;
}

int jqctl_journal_dump(struct jqctl *ctl) {
    struct dump dump = {.ctl = ctl};
    int code = dump_options(&dump);
    if (code != JQCTL_DONE)
        return code;
    jqctl_made_init(&dump.made);
    jq_buf_init(&dump.line, 1 << 20);
    code = dump_walk(&dump);
    jq_buf_fini(&dump.line);
    jqctl_made_fini(&dump.made);
    return code;
}
