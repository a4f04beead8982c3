/* submit.c - jqctl task submit: one task. Many of them: jsonl.c. */
#include <stdio.h>

#include "common/text.h"
#include "tools/jqctl/files.h"
#include "tools/jqctl/jsonl.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/spec.h"
#include "tools/jqctl/wait.h"

static const struct jqctl_column submitted_columns[] = {
    {"id", NULL, JQCTL_ID, JQCTL_BOTH, NULL},
    {"duplicate", NULL, JQCTL_FLAG, JQCTL_BOTH, NULL},
};
static const struct jqctl_columns submitted_row = JQCTL_COLUMNS(submitted_columns);

static void print_submitted(const struct jqctl *ctl, const struct jq_submitted *submitted) {
    struct jqctl_made made;
    char place[JQ_TASK_ID_TEXT_SIZE];
    if (!ctl->json) {
        (void)printf("%s\n", jq_text_format_task_id(submitted->id, place));
        return;
    }
    jqctl_made_init(&made);
    jqctl_made_begin(&made);
    jqctl_made_uint(&made, "id", submitted->id.value);
    jqctl_made_bool(&made, "duplicate", submitted->duplicate);
    jqctl_print_item(ctl, &submitted_row, "task.submitted", jqctl_made_end(&made));
    jqctl_made_fini(&made);
}

static int refused(const struct jq_submitted *submitted) {
    return jqctl_fail(jqctl_exit_of(jq_err_of_reply(submitted->status)), "refused: %s%s%s",
                      jq_reply_name(submitted->status), submitted->reason[0] ? ": " : "", submitted->reason);
}

struct saving {
    struct jqctl *ctl;
    const struct jqctl_files *files;
    const struct jq_task_spec *spec;
};

static int save_outputs(void *then_ctx, struct jq_view row) {
    const struct saving *saving = then_ctx;
    return jqctl_files_get(saving->ctl, saving->files, saving->spec, row);
}

static int submit(struct jqctl *ctl, const struct jqctl_files *files, struct jq_task_spec *spec) {
    struct jq_submitted submitted;
    struct jq_error error;
    char place[JQ_TASK_ID_TEXT_SIZE];
    struct saving saving = {ctl, files, spec};
    int code = jqctl_connect(ctl);
    code = code == JQCTL_DONE ? jqctl_files_put(ctl, files, spec) : code;
    if (code != JQCTL_DONE)
        return code;
    if (jq_submit_many(ctl->client, spec, 1, &submitted, &error) != JQ_OK)
        return jqctl_fail_err("submit", &error);
    if (submitted.status != JQ_REPLY_OK)
        return refused(&submitted);
    if (submitted.duplicate)
        jqctl_note("the key was known: this is the task that was submitted first");
    else if (submitted.unmatched)
        jqctl_note("no worker known now could ever run it; it waits (see jqctl task explain)");
    if (!jqctl_given(&ctl->args, "wait")) {
        print_submitted(ctl, &submitted);
        return JQCTL_DONE;
    }
    jqctl_note("task %s", jq_text_format_task_id(submitted.id, place));
    return jqctl_wait_result_then(ctl, submitted.id, save_outputs, &saving);
}

/* Files of the command line hold for all lines that name none of that kind. */
static int submit_lines(struct jqctl *ctl, const struct jqctl_files *files, const char *lines,
                        struct jq_task_spec *common) {
    for (size_t i = 0; i < common->output_count; i++) {
        if (files->saves[i])
            return jqctl_fail(EX_USAGE, "--output %.64s: no FILE with --from-jsonl, where many tasks would make it",
                              common->outputs[i]);
    }
    int code = jqctl_connect(ctl);
    code = code == JQCTL_DONE ? jqctl_files_put(ctl, files, common) : code;
    return code == JQCTL_DONE ? jqctl_submit_lines(ctl, lines, common) : code;
}

int jqctl_task_submit(struct jqctl *ctl) {
    struct jqctl_memory memory = {.chunks = NULL};
    struct jqctl_files files = {.paths = NULL};
    struct jq_task_spec spec;
    const char *handler = ctl->args.operand_count > 0 ? ctl->args.operands[0] : NULL;
    const char *lines = jqctl_value(&ctl->args, "from-jsonl");
    int code = jqctl_spec_of_options(ctl, handler, &memory, &spec);
    code = code == JQCTL_DONE ? jqctl_spec_payload(ctl, &memory, &spec) : code;
    code = code == JQCTL_DONE ? jqctl_files_params(ctl, &memory, &spec) : code;
    code = code == JQCTL_DONE ? jqctl_files_of_options(ctl, &memory, &spec, &files) : code;
    if (code == JQCTL_DONE && lines)
        code = submit_lines(ctl, &files, lines, &spec);
    else if (code == JQCTL_DONE && !handler)
        code = jqctl_fail(EX_USAGE, "HANDLER is missing: jqctl task submit HANDLER");
    else if (code == JQCTL_DONE)
        code = submit(ctl, &files, &spec);
    jqctl_memory_free(&memory);
    return code;
}
