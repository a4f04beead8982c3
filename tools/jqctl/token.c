/* token.c - jqctl token new; and jqctl completion, which needs no broker either. */
#include <stdio.h>

#include "common/tokens.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/print.h"

enum { LINE_SIZE_MAX = 8192, SCRIPT_SIZE_MAX = 1 << 20 };

static const struct jqctl_column token_columns[] = {
    {"token", NULL, JQCTL_TEXT, JQCTL_SHEET, NULL},
    {"line", NULL, JQCTL_TEXT, JQCTL_SHEET, NULL},
};
static const struct jqctl_columns token_row = JQCTL_COLUMNS(token_columns);

static const char *or_else(const char *given, const char *otherwise) {
    return given ? given : otherwise;
}

/* The line as the broker will read it: a bad name or glob is found here. */
static int make_line(const struct jqctl *ctl, enum jq_role role, const char *token, struct jq_buf *line) {
    struct jq_tokens tokens = {.count = 0};
    struct jq_error error;
    jq_token_append_line(line, role, jq_str_of(token), or_else(jqctl_value(&ctl->args, "queues"), "*"),
                         or_else(jqctl_value(&ctl->args, "handlers"), "*"), jqctl_value(&ctl->args, "name"));
    if (line->failed)
        return jqctl_fail(EX_USAGE, "the line would be longer than %d bytes", LINE_SIZE_MAX);
    const enum jq_err err = jq_tokens_parse("the line", jq_buf_str(line), &tokens, &error);
    if (err != JQ_OK)
        return jqctl_fail(EX_USAGE, "%s", error.message);
    jq_tokens_fini(&tokens);
    return JQCTL_DONE;
}

static void print_token(const struct jqctl *ctl, const char *token, struct jq_str line) {
    struct jqctl_made made;
    while (line.size > 0 && line.data[line.size - 1] == '\n')
        line.size--;
    if (!ctl->json) {
        (void)printf("%s\n%.*s\n", token, JQ_STR_ARG(line));
        jqctl_note("above: the token, shown this once; below it: its line for the broker's tokens file");
        return;
    }
    jqctl_made_init(&made);
    jqctl_made_begin(&made);
    jqctl_made_text(&made, "token", token);
    jqctl_made_str(&made, "line", line);
    jqctl_print_item(ctl, &token_row, "token", jqctl_made_end(&made));
    jqctl_made_fini(&made);
}

int jqctl_token_new(struct jqctl *ctl) {
    const char *role_name = or_else(jqctl_value(&ctl->args, "role"), "client");
    char token[JQ_TOKEN_TEXT_SIZE];
    enum jq_role role = JQ_ROLE_NONE;
    struct jq_buf line;
    struct jq_error error;
    if (!jq_role_of_name(jq_str_of(role_name), &role) || role == JQ_ROLE_NONE)
        return jqctl_fail(EX_USAGE, "--role: \"%.32s\" is none of observer, client, worker, admin", role_name);
    if (!jqctl_value(&ctl->args, "name"))
        return jqctl_fail(EX_USAGE, "--name is missing: who is it for?");
    if (jq_token_new(token, &error) != JQ_OK)
        return jqctl_fail_err("token", &error);
    jq_buf_init(&line, LINE_SIZE_MAX);
    const int code = make_line(ctl, role, token, &line);
    if (code == JQCTL_DONE)
        print_token(ctl, token, jq_buf_str(&line));
    jq_buf_fini(&line);
    return code;
}

int jqctl_completion_print(struct jqctl *ctl) {
    struct jq_buf script;
    jq_buf_init(&script, SCRIPT_SIZE_MAX);
    const bool known = jqctl_completion(ctl->args.command->verb, &script);
    JQ_CHECK(known && !script.failed);
    jqctl_drain(&script);
    jq_buf_fini(&script);
    return JQCTL_DONE;
}
