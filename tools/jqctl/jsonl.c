/* jsonl.c - many tasks, one a line of JSON: read a batch, submit it, tell its verdicts, read on. */
#include "tools/jqctl/jsonl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/payload.h"
#include "tools/jqctl/spec.h"
#include "tools/jqctl/wait.h"

enum {
    BATCH_COUNT_MAX = 8192,
    BATCH_SIZE_MAX = 16 * 1024 * 1024,
    COMPLAINTS_MAX = 20, /* lines that are told of one by one */
};

/* A line that never reaches the broker: its verdict waits for those of the lines before it. */
struct refusal {
    uint64_t line;
    struct jq_submitted verdict;
};

struct batch {
    struct jq_task_spec specs[BATCH_COUNT_MAX];
    struct jq_submitted submitted[BATCH_COUNT_MAX];
    uint64_t lines[BATCH_COUNT_MAX];
    struct refusal refusals[BATCH_COUNT_MAX];
    size_t count, refusal_count;
    struct jqctl_memory memory; /* of the specs */
};

struct loading {
    struct jqctl *ctl;
    const char *name; /* of the file */
    FILE *file;
    struct jq_buf line;
    uint64_t line_number;
    const struct jq_task_spec *common;
    struct batch *batch;
    /* So far: */
    uint64_t accepted, duplicates, refused;
    bool ids_kept; /* for --wait */
    jq_task_id *ids;
    size_t id_count, id_capacity;
    struct jqctl_list list;
    struct jqctl_made made;
    int code; /* what stopped it */
};

static const struct jqctl_column verdict_columns[] = {
    {"line", NULL, JQCTL_COUNT, 0, NULL},     {"id", NULL, JQCTL_ID, 0, NULL},
    {"duplicate", NULL, JQCTL_FLAG, 0, NULL}, {"status", NULL, JQCTL_TEXT, 0, NULL},
    {"reason", NULL, JQCTL_TEXT, 0, NULL},
};
static const struct jqctl_columns verdict_row = JQCTL_COLUMNS(verdict_columns);

/* ---- verdicts ----------------------------------------------------------------------------------------------------------- */

static void keep_id(struct loading *loading, jq_task_id id) {
    if (loading->id_count == loading->id_capacity) {
        const size_t capacity = loading->id_capacity ? 2 * loading->id_capacity : 1024;
        jq_task_id *ids = realloc(loading->ids, capacity * sizeof(*ids));
        JQ_CHECK(ids);
        loading->ids = ids;
        loading->id_capacity = capacity;
    }
    loading->ids[loading->id_count++] = id;
}

static void print_verdict(struct loading *loading, uint64_t line, const struct jq_submitted *verdict) {
    struct jqctl_made *made = &loading->made;
    char place[JQ_TASK_ID_TEXT_SIZE];
    if (loading->ids_kept) {
        if (verdict->status == JQ_REPLY_OK)
            keep_id(loading, verdict->id);
        return;
    }
    if (!loading->ctl->json) {
        if (verdict->status == JQ_REPLY_OK)
            (void)printf("%s\n", jq_text_format_task_id(verdict->id, place));
        return;
    }
    jqctl_made_begin(made);
    jqctl_made_uint(made, "line", line);
    if (verdict->status == JQ_REPLY_OK)
        jqctl_made_uint(made, "id", verdict->id.value);
    jqctl_made_bool(made, "duplicate", verdict->duplicate);
    jqctl_made_text(made, "status", jq_reply_name(verdict->status));
    if (verdict->reason[0])
        jqctl_made_text(made, "reason", verdict->reason);
    jqctl_list_row(&loading->list, jqctl_made_end(made));
}

static void take_verdict(struct loading *loading, uint64_t line, const struct jq_submitted *verdict) {
    print_verdict(loading, line, verdict);
    loading->accepted += verdict->status == JQ_REPLY_OK;
    loading->duplicates += verdict->duplicate;
    if (verdict->status == JQ_REPLY_OK)
        return;
    if (loading->refused++ < COMPLAINTS_MAX)
        jqctl_note("%s:%" PRIu64 ": %s%s%s", loading->name, line, jq_reply_name(verdict->status),
                   verdict->reason[0] ? ": " : "", verdict->reason);
    else if (loading->refused == COMPLAINTS_MAX + 1)
        jqctl_note("and more; the summary counts them%s", loading->ctl->json ? ", the document names them" : "");
}

/* ---- batches ------------------------------------------------------------------------------------------------------------ */

static void batch_empty(struct loading *loading) {
    jqctl_memory_free(&loading->batch->memory);
    loading->batch->count = 0;
    loading->batch->refusal_count = 0;
}

/* Verdicts in the order of the lines. */
static void batch_tell(struct loading *loading) {
    const struct batch *batch = loading->batch;
    size_t refused = 0;
    for (size_t i = 0; i <= batch->count; i++) {
        const uint64_t line = i < batch->count ? batch->lines[i] : UINT64_MAX;
        for (; refused < batch->refusal_count && batch->refusals[refused].line < line; refused++)
            take_verdict(loading, batch->refusals[refused].line, &batch->refusals[refused].verdict);
        if (i < batch->count)
            take_verdict(loading, line, &batch->submitted[i]);
    }
}

static bool batch_submit(struct loading *loading) {
    struct batch *batch = loading->batch;
    struct jq_error error;
    enum jq_err err = JQ_OK;
    if (batch->count > 0)
        err = jq_submit_many(loading->ctl->client, batch->specs, batch->count, batch->submitted, &error);
    batch_tell(loading);
    if (err != JQ_OK)
        loading->code = jqctl_fail_err("submit", &error);
    batch_empty(loading);
    return err == JQ_OK;
}

static bool batch_full(const struct loading *loading) {
    return loading->batch->count == BATCH_COUNT_MAX || loading->batch->refusal_count == BATCH_COUNT_MAX ||
           loading->batch->memory.size >= BATCH_SIZE_MAX;
}

static void refuse_line(struct loading *loading, const struct jq_error *error) {
    struct refusal *refusal = &loading->batch->refusals[loading->batch->refusal_count++];
    *refusal = (struct refusal){.line = loading->line_number};
    refusal->verdict.status = error->code == JQ_ERR_TOO_BIG ? JQ_REPLY_TOO_BIG : JQ_REPLY_INVALID;
    snprintf(refusal->verdict.reason, sizeof(refusal->verdict.reason), "%.119s", error->message);
}

/* libjq refuses a batch for one task that no frame could hold. */
static enum jq_err check_size(const struct jq_task_spec *spec, struct jq_error *reterr) {
    size_t size = 256 + spec->payload_size + strlen(spec->handler) + (spec->queue ? strlen(spec->queue) : 0) +
                  (spec->need ? strlen(spec->need) : 0) + (spec->want ? strlen(spec->want) : 0) +
                  (spec->key ? strlen(spec->key) : 0);
    for (size_t i = 0; i < spec->header_count; i++)
        size += 10 + strlen(spec->headers[i].name) + strlen(spec->headers[i].value);
    for (size_t i = 0; i < spec->input_count; i++)
        size += 4 + JQ_BLOB_TEXT_SIZE + strlen(spec->inputs[i].name);
    for (size_t i = 0; i < spec->output_count; i++)
        size += 4 + strlen(spec->outputs[i]);
    if (size > JQ_TASK_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "task: larger than %d bytes", JQ_TASK_SIZE_MAX);
    return JQ_OK;
}

static void take_line(struct loading *loading, struct jq_str line) {
    struct jq_error error;
    struct jq_task_spec spec = *loading->common;
    while (line.size > 0 && strchr(" \t\r", line.data[line.size - 1]))
        line.size--;
    if (line.size == 0)
        return;
    if (jqctl_spec_of_json(line, &loading->batch->memory, &spec, &error) != JQ_OK ||
        check_size(&spec, &error) != JQ_OK) {
        refuse_line(loading, &error);
        return;
    }
    loading->batch->lines[loading->batch->count] = loading->line_number;
    loading->batch->specs[loading->batch->count++] = spec;
}

/* The next line without its end, in loading->line; more than that takes of it is skipped, and marks the buffer failed. False: none. */
static bool next_line(struct loading *loading) {
    int c = getc_unlocked(loading->file);
    if (c == EOF)
        return false;
    jq_buf_clear(&loading->line);
    for (; c != EOF && c != '\n'; c = getc_unlocked(loading->file))
        jq_buf_append_u8(&loading->line, (uint8_t)c);
    loading->line_number++;
    return true;
}

static bool read_lines(struct loading *loading) {
    const struct jq_error too_big = {.code = JQ_ERR_TOO_BIG, .message = "the line is too long"};
    while (next_line(loading)) {
        if (loading->line.failed)
            refuse_line(loading, &too_big);
        else
            take_line(loading, jq_buf_str(&loading->line));
        if (batch_full(loading) && !batch_submit(loading))
            return false;
    }
    if (ferror(loading->file)) {
        loading->code = jqctl_fail(EX_IOERR, "%s: %s", loading->name, strerror(errno));
        return false;
    }
    return batch_submit(loading);
}

/* ---- the whole ---------------------------------------------------------------------------------------------------------- */

static void write_summary(struct jq_json *json, void *ctx) {
    const struct loading *loading = ctx;
    jq_json_put_uint(json, "accepted", loading->accepted);
    jq_json_put_uint(json, "duplicates", loading->duplicates);
    jq_json_put_uint(json, "refused", loading->refused);
}

static void summarize(const struct loading *loading) {
    jqctl_note("%" PRIu64 " tasks accepted (%" PRIu64 " of them known by their key), %" PRIu64 " refused",
               loading->accepted, loading->duplicates, loading->refused);
}

static void load(struct loading *loading) {
    const bool listed = loading->ctl->json && !loading->ids_kept;
    if (listed)
        jqctl_list_begin(&loading->list, loading->ctl, &verdict_row, "task.submitted.list");
    (void)read_lines(loading);
    if (listed)
        jqctl_list_end(&loading->list, write_summary, loading);
    (void)fflush(stdout);
    summarize(loading);
    if (loading->code == JQCTL_DONE && loading->ids_kept && loading->id_count > 0)
        loading->code = jqctl_wait_all(loading->ctl, loading->ids, loading->id_count);
    if (loading->code == JQCTL_DONE && loading->refused > 0)
        loading->code = JQCTL_FAILED;
}

static int open_lines(struct loading *loading, const char *path) {
    const bool is_stdin = strcmp(path, "-") == 0;
    loading->name = is_stdin ? "stdin" : path;
    loading->file = is_stdin ? stdin : fopen(path, "re");
    if (!loading->file)
        return jqctl_fail(EX_NOINPUT, "%s: %s", path, strerror(errno));
    return jqctl_connect(loading->ctl);
}

static void loading_fini(struct loading *loading) {
    if (loading->file && loading->file != stdin)
        (void)fclose(loading->file);
    batch_empty(loading);
    jqctl_made_fini(&loading->made);
    jq_buf_fini(&loading->line);
    free(loading->ids);
    free(loading->batch);
}

int jqctl_submit_lines(struct jqctl *ctl, const char *path, const struct jq_task_spec *common) {
    struct loading loading = {.ctl = ctl, .common = common, .ids_kept = jqctl_given(&ctl->args, "wait")};
    loading.batch = calloc(1, sizeof(*loading.batch));
    if (!loading.batch)
        return jqctl_fail(EX_OSERR, "out of memory");
    jqctl_made_init(&loading.made);
    jq_buf_init(&loading.line, JQCTL_PAYLOAD_JSON_SIZE_MAX);
    loading.code = open_lines(&loading, path);
    if (loading.code == JQCTL_DONE)
        load(&loading);
    loading_fini(&loading);
    return loading.code;
}
