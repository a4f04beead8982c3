#include "tools/jqctl/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/where.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum jq_err parse(struct jqctl_args *args, struct jq_error *error, const char *const *words) {
    const char *argv[16] = {"jqctl"};
    int count = 1;
    for (; words[count - 1]; count++)
        argv[count] = words[count - 1];
    return jqctl_args_parse(count, argv, args, error);
}
#define PARSE(args, error, ...) parse((args), (error), (const char *const[]){__VA_ARGS__, NULL})

/* Options may stand before the noun, between the words and behind the operands, in each of their forms. */
static void options_stand_anywhere(void **state) {
    (void)state;
    struct jqctl_args args;
    assert_int_equal(PARSE(&args, NULL, "-sURL", "task", "--json", "wait", "17", "--timeout=5s", "18", "-r"), JQ_OK);
    assert_string_equal(args.command->verb, "wait");
    assert_int_equal(args.operand_count, 2);
    assert_string_equal(args.operands[1], "18");
    assert_string_equal(jqctl_value(&args, "server"), "URL");
    assert_string_equal(jqctl_value(&args, "timeout"), "5s");
    assert_true(jqctl_given(&args, "json"));
    assert_true(jqctl_given(&args, "result"));
    assert_null(jqctl_value(&args, "config"));
    jqctl_args_fini(&args);
}

/* The last value given counts; a value may look like an option; behind `--` nothing is one; a lone dash is a word. */
static void values_and_operands_keep_their_dashes(void **state) {
    (void)state;
    struct jqctl_args args;
    assert_int_equal(PARSE(&args, NULL, "task", "submit", "-p", "-", "-p", "--raw", "--", "--handler"), JQ_OK);
    assert_string_equal(jqctl_value(&args, "payload"), "--raw");
    assert_false(jqctl_given(&args, "raw"));
    assert_string_equal(args.operands[0], "--handler");
    jqctl_args_fini(&args);
}

/* An option belongs to its command alone. */
static void options_of_other_commands_are_unknown(void **state) {
    (void)state;
    struct jqctl_args args;
    struct jq_error error;
    assert_int_equal(PARSE(&args, &error, "queue", "ls", "--payload", "x"), JQ_ERR_INVALID);
    assert_non_null(strstr(error.message, "unknown option `--payload`"));
    jqctl_args_fini(&args);
    assert_int_equal(PARSE(&args, &error, "--payload", "x", "task", "submit"), JQ_ERR_INVALID);
    jqctl_args_fini(&args);
}

/* `jqctl events`, alone or before options of its own, follows; what is no option of it is not taken for one. */
static void events_alone_follow(void **state) {
    (void)state;
    struct jqctl_args args;
    struct jq_error error;
    assert_int_equal(PARSE(&args, NULL, "events"), JQ_OK);
    assert_string_equal(args.command->verb, "follow");
    jqctl_args_fini(&args);
    assert_int_equal(PARSE(&args, NULL, "events", "--json", "--where", "queue=q"), JQ_OK);
    assert_string_equal(jqctl_value(&args, "where"), "queue=q");
    jqctl_args_fini(&args);
    assert_int_equal(PARSE(&args, NULL, "events", "--json", "past"), JQ_OK);
    assert_string_equal(args.command->verb, "past");
    jqctl_args_fini(&args);
    assert_int_equal(PARSE(&args, &error, "events", "--payload", "x"), JQ_ERR_INVALID);
    assert_non_null(strstr(error.message, "unknown option `--payload`"));
    jqctl_args_fini(&args);
    assert_int_equal(PARSE(&args, &error, "queue"), JQ_ERR_INVALID);
    jqctl_args_fini(&args);
}

/* Help is given for as much as was named, whatever else is missing. */
static void help_needs_nothing_else(void **state) {
    (void)state;
    struct jqctl_args args;
    assert_int_equal(PARSE(&args, NULL, "--help"), JQ_OK);
    assert_true(args.help && !args.noun);
    jqctl_args_fini(&args);
    assert_int_equal(PARSE(&args, NULL, "task", "show", "-h"), JQ_OK);
    assert_true(args.help && args.command);
    jqctl_args_fini(&args);
    assert_int_equal(PARSE(&args, NULL, "help", "task"), JQ_OK);
    assert_true(args.help && args.noun && !args.command);
    jqctl_args_fini(&args);
}

/* The version is given for the word, too. */
static void version_is_a_word(void **state) {
    (void)state;
    struct jqctl_args args;
    assert_int_equal(PARSE(&args, NULL, "version"), JQ_OK);
    assert_true(args.version && !args.noun);
    jqctl_args_fini(&args);
}

/* Where tasks are selected, the help names each field that they can be selected by. */
static void help_of_selections_names_every_field(void **state) {
    (void)state;
    static const char *const fields[] = {
#define FIELD_NAME(field, name, kind) name,
        JQ_WHERE_FIELD_LIST(FIELD_NAME)
#undef FIELD_NAME
    };
    struct jqctl_args args;
    struct jq_buf text;
    assert_int_equal(PARSE(&args, NULL, "task", "cancel", "--help"), JQ_OK);
    jq_buf_init(&text, 65536);
    jqctl_help(args.noun, args.command, &text);
    jq_buf_append_u8(&text, '\0');
    const char *terms = strstr((const char *)text.data, "TERMS of --where");
    assert_non_null(terms);
    for (size_t i = 0; i < COUNT(fields); i++)
        assert_non_null(strstr(terms, fields[i]));
    jq_buf_fini(&text);
    jqctl_args_fini(&args);
}

/* More options than there is room for are an error, not an overflow. */
static void options_are_bounded(void **state) {
    (void)state;
    const char *argv[JQCTL_GIVEN_MAX + 2] = {"jqctl"};
    struct jqctl_args args;
    for (size_t i = 1; i < COUNT(argv); i++)
        argv[i] = "--json";
    assert_int_equal(jqctl_args_parse((int)COUNT(argv) - 1, argv, &args, NULL), JQ_ERR_INVALID); /* no command */
    assert_int_equal(args.given_count, JQCTL_GIVEN_MAX);
    jqctl_args_fini(&args);
    struct jq_error error;
    assert_int_equal(jqctl_args_parse((int)COUNT(argv), argv, &args, &error), JQ_ERR_INVALID);
    assert_non_null(strstr(error.message, "more than"));
    jqctl_args_fini(&args);
}

static bool one_of(const struct jqctl_option *options, size_t count, const char *name) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += strcmp(options[i].name, name) == 0;
    return found == 1;
}

/* The table holds together: each command has a noun and a function, and no option hides another. */
static void the_table_holds_together(void **state) {
    (void)state;
    for (size_t i = 0; i < jqctl_commands_count; i++) {
        const struct jqctl_command *command = &jqctl_commands[i];
        bool known = false;
        for (size_t n = 0; n < jqctl_nouns_count; n++)
            known |= strcmp(jqctl_nouns[n].name, command->noun) == 0;
        assert_true(known && command->run && command->help[0]);
        assert_true(command->operands_min <= command->operands_max);
        assert_int_equal(command->operands[0] == '\0', command->operands_max == 0);
        for (size_t o = 0; o < command->option_count; o++) {
            assert_true(one_of(command->options, command->option_count, command->options[o].name));
            assert_false(one_of(jqctl_options, jqctl_options_count, command->options[o].name));
            for (size_t c = 0; command->options[o].letter && c < jqctl_options_count; c++)
                assert_int_not_equal(command->options[o].letter, jqctl_options[c].letter);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(values_and_operands_keep_their_dashes),
        cmocka_unit_test(options_of_other_commands_are_unknown),
        cmocka_unit_test(events_alone_follow),
        cmocka_unit_test(help_needs_nothing_else),
        cmocka_unit_test(version_is_a_word),
        cmocka_unit_test(help_of_selections_names_every_field),
        cmocka_unit_test(options_are_bounded),
        cmocka_unit_test(the_table_holds_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
