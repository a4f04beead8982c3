#include <unistd.h>

#include "common/conf.h"

/* The value of option `name` at argv[*index]: behind '=' or in the next argument. NULL: it is another option. */
static const char *option_value(int argc, const char *const *argv, int *index, const char *name, bool *ret_missing) {
    const char *const argument = argv[*index];
    const size_t size = strlen(name);
    if (strncmp(argument, name, size) != 0 || (argument[size] != '\0' && argument[size] != '='))
        return NULL;
    if (argument[size] == '=')
        return argument + size + 1;
    *ret_missing = *index + 1 == argc;
    return *ret_missing ? argument : argv[++*index];
}

static bool read_action(const char *argument, enum jq_conf_action *ret_action) {
    static const struct {
        const char *name;
        enum jq_conf_action action;
    } actions[] = {
        {"--help", JQ_CONF_HELP},     {"-h", JQ_CONF_HELP},       {"--version", JQ_CONF_VERSION},
        {"--sample", JQ_CONF_SAMPLE}, {"--check", JQ_CONF_CHECK},
    };
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(argument, actions[i].name) == 0) {
            *ret_action = actions[i].action;
            return true;
        }
    return false;
}

/* One argument, or two. The value of --set is left for jq_conf_load(). */
static enum jq_err read_argument(int argc, const char *const *argv, int *index, struct jq_conf_args *args,
                                 struct jq_error *reterr) {
    static const char *const options[] = {"--config", "-c", "--set", "--help", "--version", "--sample", "--check"};
    const char *const argument = argv[*index];
    bool missing = false;
    if (read_action(argument, &args->action))
        return JQ_OK;
    const char *file = option_value(argc, argv, index, "--config", &missing);
    if (file == NULL)
        file = option_value(argc, argv, index, "-c", &missing);
    if (file != NULL)
        args->file = file;
    else if (option_value(argc, argv, index, "--set", &missing) == NULL) {
        const char *const meant = jq_conf_suggest(jq_str_of(argument), options, sizeof options / sizeof options[0]);
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: unknown argument%s%s%s", argument,
                       meant != NULL ? ", did you mean " : "", meant != NULL ? meant : "",
                       meant != NULL ? "?" : ", see --help");
    }
    return missing ? jq_fail(reterr, JQ_ERR_INVALID, "%s: a value is missing", argument) : JQ_OK;
}

enum jq_err jq_conf_args_parse(int argc, const char *const *argv, struct jq_conf_args *ret_args,
                               struct jq_error *reterr) {
    struct jq_conf_args args = {.action = JQ_CONF_RUN, .argv = argv, .argc = argc};
    for (int i = 1; i < argc; i++) {
        const enum jq_err err = read_argument(argc, argv, &i, &args, reterr);
        if (err != JQ_OK)
            return err;
    }
    *ret_args = args;
    return JQ_OK;
}

static enum jq_err apply_sets(const struct jq_conf_schema *schema, const struct jq_conf_args *args, void *settings,
                              struct jq_error *reterr) {
    enum jq_err err = JQ_OK;
    for (int i = 1; err == JQ_OK && i < args->argc; i++) {
        bool missing = false;
        const char *const assignment = option_value(args->argc, args->argv, &i, "--set", &missing);
        if (assignment != NULL && !missing)
            err = jq_conf_set(schema, settings, jq_str_of(assignment), reterr);
        else if (strcmp(args->argv[i], "-c") == 0 || strcmp(args->argv[i], "--config") == 0)
            i++; /* A file that is called "--set" is a file. */
    }
    return err;
}

enum jq_err jq_conf_load(const struct jq_conf_schema *schema, const struct jq_conf_args *args,
                         const char *standard_file, void *settings, struct jq_error *reterr) {
    enum jq_err err = jq_conf_init(schema, settings, reterr);
    if (err != JQ_OK)
        return err;
    if (args->file != NULL)
        err = jq_conf_read_file(schema, settings, args->file, reterr);
    else if (standard_file != NULL && access(standard_file, F_OK) == 0)
        err = jq_conf_read_file(schema, settings, standard_file, reterr);
    if (err == JQ_OK)
        err = apply_sets(schema, args, settings, reterr);
    if (err != JQ_OK)
        jq_conf_fini(schema, settings);
    return err;
}
