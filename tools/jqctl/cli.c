/* cli.c - reads the command line by the table of commands. */
#include "tools/jqctl/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/conf.h"

enum { CANDIDATES_MAX = 64 };

static bool same(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

/* ---- what may have been meant ------------------------------------------------------------------------------------------ */

struct candidates {
    const char *names[CANDIDATES_MAX];
    size_t count;
};

static void candidate(struct candidates *all, const char *name) {
    if (all->count < CANDIDATES_MAX)
        all->names[all->count++] = name;
}

/* "KIND `WORD` is unknown; did you mean `X`?", or where to look. */
static enum jq_err unknown(const char *kind, const char *dashes, struct jq_str word, const struct candidates *all,
                           const char *look, struct jq_error *reterr) {
    const char *meant = jq_conf_suggest(word, all->names, all->count);
    const struct jq_str shown = {word.data, word.size < 64 ? word.size : 64};
    if (meant)
        return jq_fail(reterr, JQ_ERR_INVALID, "unknown %s `%s%.*s`; did you mean `%s%s`?", kind, dashes,
                       JQ_STR_ARG(shown), dashes, meant);
    return jq_fail(reterr, JQ_ERR_INVALID, "unknown %s `%s%.*s`; see `jqctl %s%s--help`", kind, dashes,
                   JQ_STR_ARG(shown), look, look[0] ? " " : "");
}

static enum jq_err unknown_noun(const char *word, struct jq_error *reterr) {
    struct candidates all = {.count = 0};
    for (size_t i = 0; i < jqctl_nouns_count; i++)
        candidate(&all, jqctl_nouns[i].name);
    return unknown("command", "", jq_str_of(word), &all, "", reterr);
}

static enum jq_err unknown_verb(const char *noun, const char *word, struct jq_error *reterr) {
    struct candidates all = {.count = 0};
    for (size_t i = 0; i < jqctl_commands_count; i++) {
        if (same(jqctl_commands[i].noun, noun))
            candidate(&all, jqctl_commands[i].verb);
    }
    char kind[80];
    snprintf(kind, sizeof(kind), "verb of `jqctl %s`:", noun);
    return unknown(kind, "", jq_str_of(word), &all, noun, reterr);
}

static enum jq_err unknown_option(const struct jqctl_args *args, const char *dashes, struct jq_str word,
                                  struct jq_error *reterr) {
    struct candidates all = {.count = 0};
    char look[80] = "";
    if (args->command) {
        for (size_t i = 0; i < args->command->option_count; i++)
            candidate(&all, args->command->options[i].name);
        snprintf(look, sizeof(look), "%s %s", args->command->noun, args->command->verb);
    }
    for (size_t i = 0; i < jqctl_options_count; i++)
        candidate(&all, jqctl_options[i].name);
    return unknown("option", dashes, word, &all, look, reterr);
}

/* ---- words ------------------------------------------------------------------------------------------------------------- */

static const struct jqctl_option *find_in(const struct jqctl_option *options, size_t count, struct jq_str name,
                                          char letter) {
    for (size_t i = 0; i < count; i++) {
        if (letter ? options[i].letter == letter : jq_str_equal(jq_str_of(options[i].name), name))
            return &options[i];
    }
    return NULL;
}

/* By its name, or by its letter where that is not 0. */
static const struct jqctl_option *find_option(const struct jqctl_args *args, struct jq_str name, char letter) {
    const struct jqctl_option *found = find_in(jqctl_options, jqctl_options_count, name, letter);
    if (!found && args->command)
        found = find_in(args->command->options, args->command->option_count, name, letter);
    return found;
}

static const struct jqctl_command *find_command(const char *noun, const char *verb) {
    for (size_t i = 0; i < jqctl_commands_count; i++) {
        if (same(jqctl_commands[i].noun, noun) && same(jqctl_commands[i].verb, verb))
            return &jqctl_commands[i];
    }
    return NULL;
}

static bool find_noun(const char *word) {
    for (size_t i = 0; i < jqctl_nouns_count; i++) {
        if (same(jqctl_nouns[i].name, word))
            return true;
    }
    return false;
}

/* The words that are left. */
struct words {
    const char *const *at, *const *end;
};

static enum jq_err give(struct jqctl_args *args, const struct jqctl_option *option, const char *value,
                        struct jq_error *reterr) {
    if (args->given_count == JQCTL_GIVEN_MAX)
        return jq_fail(reterr, JQ_ERR_INVALID, "more than %d options", JQCTL_GIVEN_MAX);
    args->given[args->given_count].option = option;
    args->given[args->given_count++].value = value;
    args->help |= same(option->name, "help");
    args->version |= same(option->name, "version");
    return JQ_OK;
}

/* `value` is what stood behind the option in its own word, or NULL. */
static enum jq_err take_option(struct jqctl_args *args, const struct jqctl_option *option, const char *value,
                               struct words *words, struct jq_error *reterr) {
    if (!option->value)
        return value ? jq_fail(reterr, JQ_ERR_INVALID, "--%s takes no value", option->name)
                     : give(args, option, "", reterr);
    if (!value && words->at == words->end)
        return jq_fail(reterr, JQ_ERR_INVALID, "--%s wants a value: %s", option->name, option->value);
    return give(args, option, value ? value : *words->at++, reterr);
}

/* A noun that stands alone, or before options, may mean the most usual of its verbs. */
static void take_default(struct jqctl_args *args) {
    if (args->noun && !args->command && same(args->noun, "events"))
        args->command = find_command("events", "follow");
}

static const struct jqctl_option *option_of(struct jqctl_args *args, struct jq_str name, char letter) {
    if (!find_option(args, name, letter))
        take_default(args);
    return find_option(args, name, letter);
}

static enum jq_err long_option(struct jqctl_args *args, const char *word, struct words *words,
                               struct jq_error *reterr) {
    const char *equals = strchr(word, '=');
    const struct jq_str name = {word, equals ? (size_t)(equals - word) : strlen(word)};
    const struct jqctl_option *option = option_of(args, name, 0);
    if (!option)
        return unknown_option(args, "--", name, reterr);
    return take_option(args, option, equals ? equals + 1 : NULL, words, reterr);
}

static enum jq_err short_option(struct jqctl_args *args, const char *word, struct words *words,
                                struct jq_error *reterr) {
    const struct jqctl_option *option = option_of(args, JQ_STR(""), word[0]);
    if (!option)
        return unknown_option(args, "-", jq_str_of(word), reterr);
    return take_option(args, option, word[1] ? word + 1 : NULL, words, reterr);
}

static enum jq_err take_word(struct jqctl_args *args, const char *word, struct jq_error *reterr) {
    if (!args->noun && same(word, "help")) {
        args->help = true;
        return JQ_OK;
    }
    if (!args->noun && same(word, "version")) {
        args->version = true;
        return JQ_OK;
    }
    if (!args->noun) {
        args->noun = word;
        return find_noun(word) ? JQ_OK : unknown_noun(word, reterr);
    }
    if (!args->command) {
        args->command = find_command(args->noun, word);
        return args->command ? JQ_OK : unknown_verb(args->noun, word, reterr);
    }
    args->operands[args->operand_count++] = word;
    return JQ_OK;
}

/* ---- the line ---------------------------------------------------------------------------------------------------------- */

static enum jq_err check_counts(struct jqctl_args *args, struct jq_error *reterr) {
    take_default(args);
    const struct jqctl_command *command = args->command;
    if (!args->noun)
        return jq_fail(reterr, JQ_ERR_INVALID, "no command; see `jqctl --help`");
    if (!command)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s is no command without a verb; see `jqctl %s --help`", args->noun,
                       args->noun);
    if (args->operand_count < command->operands_min)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s is missing: jqctl %s %s %s", command->operands, command->noun,
                       command->verb, command->operands);
    if (args->operand_count > command->operands_max)
        return jq_fail(reterr, JQ_ERR_INVALID, "`%.64s` is too much: jqctl %s %s %s",
                       args->operands[command->operands_max], command->noun, command->verb, command->operands);
    return JQ_OK;
}

static enum jq_err parse_words(struct jqctl_args *args, struct words *words, struct jq_error *reterr) {
    bool options = true;
    while (words->at != words->end) {
        const char *word = *words->at++;
        enum jq_err err = JQ_OK;
        if (options && same(word, "--"))
            options = false;
        else if (options && word[0] == '-' && word[1] == '-')
            err = long_option(args, word + 2, words, reterr);
        else if (options && word[0] == '-' && word[1] != '\0')
            err = short_option(args, word + 1, words, reterr);
        else
            err = take_word(args, word, reterr);
        if (err != JQ_OK)
            return err;
    }
    return JQ_OK;
}

enum jq_err jqctl_args_parse(int argc, const char *const *argv, struct jqctl_args *ret_args, struct jq_error *reterr) {
    memset(ret_args, 0, sizeof(*ret_args));
    const size_t count = argc > 0 ? (size_t)argc : 1;
    ret_args->operands = calloc(count, sizeof(*ret_args->operands));
    if (!ret_args->operands)
        return jq_fail(reterr, JQ_ERR_NOMEM, "command line");
    struct words words = {argv + (argc > 0), argv + argc};
    const enum jq_err err = parse_words(ret_args, &words, reterr);
    if (err != JQ_OK || ret_args->help || ret_args->version)
        return err;
    return check_counts(ret_args, reterr);
}

void jqctl_args_fini(struct jqctl_args *args) {
    free(args->operands);
    args->operands = NULL;
}

const char *jqctl_value(const struct jqctl_args *args, const char *name) {
    JQ_CHECK(find_option(args, jq_str_of(name), 0));
    for (size_t i = args->given_count; i > 0; i--) {
        if (same(args->given[i - 1].option->name, name))
            return args->given[i - 1].value;
    }
    return NULL;
}

bool jqctl_given(const struct jqctl_args *args, const char *name) {
    return jqctl_value(args, name) != NULL;
}
