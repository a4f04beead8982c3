/* cli.h - the command line of jqctl: a table of commands, and what was given of one.
 *
 *     jqctl [OPTION..] NOUN VERB [OPTION..] [OPERAND..]
 *
 * The table (commands.c) is all there is: parsing, help and completion follow it. To add a command: a function, and a row.
 * Options that every command takes may stand anywhere; `--name VALUE` and `--name=VALUE` are the same; `--` ends the options.
 */
#ifndef JQ_TOOLS_JQCTL_CLI_H
#define JQ_TOOLS_JQCTL_CLI_H

#include "common/buf.h"
#include "common/err.h"
#include "common/types.h"

struct jqctl;

struct jqctl_option {
    const char *name;  /* without its two dashes */
    char letter;       /* a short form, or 0 */
    const char *value; /* what stands for the value in help: "FILE"; NULL: it takes none */
    const char *help;
    const char *words; /* the values there are, between blanks, for completion; NULL: any */
};

struct jqctl_noun {
    const char *name, *help;
};

struct jqctl_command {
    const char *noun, *verb;
    const char *operands; /* as help shows them: "ID.."; "": none */
    unsigned operands_min, operands_max;
    const char *help; /* a sentence */
    const struct jqctl_option *options;
    size_t option_count;
    int (*run)(struct jqctl *ctl); /* gives the exit code */
};

extern const struct jqctl_noun jqctl_nouns[];
extern const size_t jqctl_nouns_count;
extern const struct jqctl_command jqctl_commands[];
extern const size_t jqctl_commands_count;
/* Those of every command. */
extern const struct jqctl_option jqctl_options[];
extern const size_t jqctl_options_count;

enum { JQCTL_GIVEN_MAX = 256, JQCTL_OPERANDS_ANY = ~0U >> 1 };

/* Everything is borrowed from argv and the tables, but `operands`, an array that jqctl_args_fini() frees. */
struct jqctl_args {
    const char *noun;                    /* NULL: none was given */
    const struct jqctl_command *command; /* NULL: help was asked for before a verb was given */
    bool help, version;
    struct {
        const struct jqctl_option *option;
        const char *value; /* "" for one that takes none */
    } given[JQCTL_GIVEN_MAX];
    size_t given_count;
    const char **operands;
    size_t operand_count;
};

/* JQ_ERR_INVALID: what is unknown, missing or too much, with what may have been meant. *ret_args may be given to fini in any case. */
enum jq_err jqctl_args_parse(int argc, const char *const *argv, struct jqctl_args *ret_args, struct jq_error *reterr);
void jqctl_args_fini(struct jqctl_args *args);

/* The value given last, or NULL. The name must be in the tables. */
const char *jqctl_value(const struct jqctl_args *args, const char *name);
bool jqctl_given(const struct jqctl_args *args, const char *name);

/* The help of the whole (noun NULL), of a noun (command NULL), of a command. */
void jqctl_help(const char *noun, const struct jqctl_command *command, struct jq_buf *buf);

/* A completion script for a shell: bash, zsh, fish. False: no such shell. */
bool jqctl_completion(const char *shell, struct jq_buf *buf);

#endif
