/* journal_export.c - jqctl journal export: records or tasks as lines of JSON, for other programs. */
#include <stdio.h>

#include "tools/jqctl/journal_tasks.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/print.h"

enum { LINE_SIZE_MAX = 1 << 20 };

struct exporting {
    const struct jqctl *ctl;
    struct jqctl_made made;
    struct jq_buf line;
    uint64_t limit, printed;
};

static const struct jqctl_column task_columns[] = {
    {"id", NULL, JQCTL_ID, 0, NULL},
    {"state", NULL, JQCTL_TEXT, 0, NULL},
    {"outcome", NULL, JQCTL_TEXT, 0, NULL},
    {"attempts", NULL, JQCTL_COUNT, 0, NULL},
    {"error", NULL, JQCTL_TEXT, 0, NULL},
    {"worker", NULL, JQCTL_TEXT, 0, NULL},
    {"submitted_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"since_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"flow", NULL, JQCTL_ID, 0, NULL},
    {"handler", NULL, JQCTL_TEXT, 0, NULL},
    {"queue", NULL, JQCTL_TEXT, 0, NULL},
    {"priority", NULL, JQCTL_COUNT, 0, NULL},
    {"need", NULL, JQCTL_TEXT, 0, NULL},
    {"want", NULL, JQCTL_TEXT, 0, NULL},
    {"group", NULL, JQCTL_TEXT, 0, NULL},
    {"key", NULL, JQCTL_TEXT, 0, NULL},
    {"retry_max", NULL, JQCTL_COUNT, 0, NULL},
    {"retry_base_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"retry_cap_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"soft_limit_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"hard_limit_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"result_ttl_ms", NULL, JQCTL_COUNT, 0, NULL},
    {"payload", NULL, JQCTL_DATA, 0, NULL},
    {"headers", NULL, JQCTL_TEXTS, 0, NULL},
};
static const struct jqctl_columns task_row = JQCTL_COLUMNS(task_columns);

static void put(struct jqctl_made *made, const char *key, struct jq_str text) {
    if (text.size > 0)
        jqctl_made_str(made, key, text);
}

static void put_ms(struct jqctl_made *made, const char *key, int64_t ms) {
    if (ms > 0)
        jqctl_made_uint(made, key, (uint64_t)ms);
}

static void made_origin(struct jqctl_made *made, const struct jqctl_past_task *task) {
    jqctl_made_uint(made, "id", task->id.value);
    jqctl_made_text(made, "state", jq_state_name(task->state));
    if (task->outcome != JQ_OUTCOME_NONE)
        jqctl_made_text(made, "outcome", jq_outcome_name(task->outcome));
    jqctl_made_uint(made, "attempts", task->attempts);
    put(made, "error", task->error);
    put(made, "worker", task->worker);
    put_ms(made, "submitted_ms", task->submitted_ms);
    put_ms(made, "since_ms", task->since_ms);
    if (task->flow != 0)
        jqctl_made_uint(made, "flow", task->flow);
}

static void made_task(struct jqctl_made *made, const struct jqctl_past_task *task) {
    put(made, "handler", task->handler);
    put(made, "queue", task->queue);
    jqctl_made_uint(made, "priority", task->priority);
    put(made, "need", task->need);
    put(made, "want", task->want);
    put(made, "group", task->group);
    put(made, "key", task->key);
    jqctl_made_uint(made, "retry_max", task->options.retry_max);
    jqctl_made_uint(made, "retry_base_ms", task->options.retry_base_ms);
    jqctl_made_uint(made, "retry_cap_ms", task->options.retry_cap_ms);
    put_ms(made, "soft_limit_ms", task->options.soft_limit_ms);
    put_ms(made, "hard_limit_ms", task->options.hard_limit_ms);
    put_ms(made, "result_ttl_ms", task->options.result_ttl_ms);
    if (task->payload.size > 0)
        jq_pack_raw(jqctl_made_key(made, "payload"), task->payload);
    if (task->headers.size > 0)
        jq_pack_raw(jqctl_made_key(made, "headers"), task->headers);
}

static bool print_task(void *ctx, const struct jqctl_past_task *task) {
    struct exporting *exporting = ctx;
    struct jqctl_made *made = &exporting->made;
    struct jq_json json;
    jqctl_made_begin(made);
    made_origin(made, task);
    made_task(made, task);
    jq_buf_clear(&exporting->line);
    jq_json_init(&json, &exporting->line);
    jqctl_write_present(&json, &task_row, jqctl_made_end(made));
    jq_buf_append_u8(&exporting->line, '\n');
    jqctl_drain(&exporting->line);
    exporting->printed++;
    return (exporting->limit == 0 || exporting->printed < exporting->limit) && !ferror(stdout);
}

static int export_tasks(const struct jqctl *ctl) {
    const char *text = jqctl_value(&ctl->args, "where");
    struct exporting exporting = {.ctl = ctl};
    const struct jqctl_past past = {.on_task = print_task, .ctx = &exporting};
    struct jq_where where;
    struct jq_error error;
    int code = jqctl_option_uint(ctl, "limit", UINT64_MAX / 2, &exporting.limit);
    if (code == JQCTL_DONE && text && jq_where_parse(jq_str_of(text), &where, &error) != JQ_OK)
        code = jqctl_fail(EX_USAGE, "--%s", error.message);
    if (code != JQCTL_DONE)
        return code;
    jqctl_made_init(&exporting.made);
    jq_buf_init(&exporting.line, LINE_SIZE_MAX);
    code = jqctl_journal_tasks(ctl, text ? &where : NULL, &past);
    jq_buf_fini(&exporting.line);
    jqctl_made_fini(&exporting.made);
    return code;
}

int jqctl_journal_export(struct jqctl *ctl) {
    if (jqctl_given(&ctl->args, "tasks")) {
        for (size_t i = 0; i < 3; i++) {
            static const char *const of_records[] = {"from", "type", "task"};
            if (jqctl_given(&ctl->args, of_records[i]))
                return jqctl_fail(EX_USAGE, "--%s is of records, not of --tasks", of_records[i]);
        }
        return export_tasks(ctl);
    }
    if (jqctl_given(&ctl->args, "where"))
        return jqctl_fail(EX_USAGE, "--where is of --tasks");
    ctl->json = true;
    return jqctl_journal_dump(ctl);
}
