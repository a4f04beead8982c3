/* help.c - the texts of --help, made of the table of commands. */
#include "tools/jqctl/cli.h"

#include <stdio.h>

enum { LEFT_WIDTH = 26, COMMAND_WIDTH = 30 };

static void append_row(struct jq_buf *buf, const char *left, int width, const char *help) {
    if (strlen(left) > (size_t)width)
        jq_buf_append_format(buf, "  %s\n  %*s  %s\n", left, width, "", help);
    else
        jq_buf_append_format(buf, "  %-*s  %s\n", width, left, help);
}

static void append_option(struct jq_buf *buf, const struct jqctl_option *option) {
    char left[80];
    char letter[8] = "    ";
    if (option->letter)
        snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    snprintf(left, sizeof(left), "%s--%s%s%s", letter, option->name, option->value ? " " : "",
             option->value ? option->value : "");
    append_row(buf, left, LEFT_WIDTH, option->help);
}

static void append_common(struct jq_buf *buf) {
    jq_buf_append_format(buf, "\nOptions of every command:\n");
    for (size_t i = 0; i < jqctl_options_count; i++)
        append_option(buf, &jqctl_options[i]);
}

static void append_commands(struct jq_buf *buf, const char *noun) {
    for (size_t i = 0; i < jqctl_commands_count; i++) {
        const struct jqctl_command *command = &jqctl_commands[i];
        char left[80];
        if (strcmp(command->noun, noun) != 0)
            continue;
        snprintf(left, sizeof(left), "%s %s%s%s", noun, command->verb, command->operands[0] ? " " : "",
                 command->operands);
        append_row(buf, left, COMMAND_WIDTH, command->help);
    }
}

static void help_whole(struct jq_buf *buf) {
    jq_buf_append_format(buf,
                         "jqctl - shows and steers a jqmesh broker\n\nUsage: jqctl NOUN VERB [OPTION..] [OPERAND..]\n");
    for (size_t i = 0; i < jqctl_nouns_count; i++) {
        jq_buf_append_format(buf, "\n%s\n", jqctl_nouns[i].help);
        append_commands(buf, jqctl_nouns[i].name);
    }
    append_common(buf);
    jq_buf_append_format(
        buf,
        "\nThe broker is the one of --server, else $JQ_SERVER, else [server] url of ~/.config/jqmesh/jqctl.conf or\n"
        "/etc/jqmesh/jqctl.conf, else tcp://127.0.0.1:7710; the token is that of --token-file, else $JQ_TOKEN, else\n"
        "[server] token_file there. Data goes to stdout, messages to stderr.\n"
        "Exit: 0 done, 1 the task failed or was not found, 64 usage, 65 bad data, 66 no input, 69 no broker,\n"
        "74 input/output, 75 busy or not in time, 77 not allowed, 78 configuration.\n");
}

static void help_noun(const char *noun, struct jq_buf *buf) {
    jq_buf_append_format(buf, "Usage: jqctl %s VERB [OPTION..] [OPERAND..]\n\n", noun);
    append_commands(buf, noun);
    append_common(buf);
}

/* The grammar of common/where.h, for people. */
static const char where_help[] =
    "\nTERMS of --where: FIELD OP VALUE without blanks, blanks between terms; all of them must hold.\n"
    "  queue handler worker  = != ~ !~  names between commas; one with * or ? is a glob: handler=cad.*\n"
    "  state outcome         = !=       words between commas: state=ready,held\n"
    "  group error           = != ~ !~  as names; error~OCC finds it anywhere; in quotes: error~\"no space\"\n"
    "  age                   < > <= >=  how long it is in its state: age>1h\n"
    "  id flow               = != < >   ids of tasks: id>17\n"
    "  priority attempts     = != < >   numbers; a priority by its name, too\n"
    "  key                   =          a whole key; queue=NAME beside it\n"
    "  event                 = != ~ !~  of `jqctl events` alone: event=task.ended\n";

static bool has_where(const struct jqctl_command *command) {
    for (size_t i = 0; i < command->option_count; i++) {
        if (strcmp(command->options[i].name, "where") == 0)
            return true;
    }
    return false;
}

static void help_command(const struct jqctl_command *command, struct jq_buf *buf) {
    jq_buf_append_format(buf, "Usage: jqctl %s %s%s%s%s\n\n%s\n", command->noun, command->verb,
                         command->option_count ? " [OPTION..]" : "", command->operands[0] ? " " : "", command->operands,
                         command->help);
    if (command->option_count)
        jq_buf_append_format(buf, "\nOptions:\n");
    for (size_t i = 0; i < command->option_count; i++)
        append_option(buf, &command->options[i]);
    if (has_where(command))
        jq_buf_append_format(buf, "%s", where_help);
    append_common(buf);
}

void jqctl_help(const char *noun, const struct jqctl_command *command, struct jq_buf *buf) {
    if (command)
        help_command(command, buf);
    else if (noun)
        help_noun(noun, buf);
    else
        help_whole(buf);
}
