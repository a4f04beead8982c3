#include <unistd.h>

#include "common/conf.h"

/* Is argv[*index] the option `name`? Then *ret_value is what stands behind its '=' or in the next argument, which is
 * taken; "" and *ret_missing where there is none. */
static bool take_option(int argc, const char *const *argv, int *index, const char *name, const char **ret_value,
                        bool *ret_missing) {
    const char *const argument = argv[*index];
    const size_t size = strlen(name);
    if (strncmp(argument, name, size) != 0 || (argument[size] != '\0' && argument[size] != '='))
        return false;
    *ret_missing = false;
    *ret_value = argument + size;
    if (argument[size] == '=')
        *ret_value = argument + size + 1;
    else if (*index + 1 < argc)
        *ret_value = argv[++*index];
    else
        *ret_missing = true;
    return true;
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

static enum jq_err fail_unknown(const char *argument, struct jq_error *reterr) {
    static const char *const options[] = {"--config", "-c", "--set", "--help", "--version", "--sample", "--check"};
    const char *const meant = jq_conf_suggest(jq_str_of(argument), options, sizeof options / sizeof options[0]);
    if (meant != NULL)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: unknown argument, did you mean %s?", argument, meant);
    return jq_fail(reterr, JQ_ERR_INVALID, "%s: unknown argument, see --help", argument);
}

/* One argument, or two. The value of --set is left for jq_conf_load(). */
static enum jq_err read_argument(int argc, const char *const *argv, int *index, struct jq_conf_args *args,
                                 struct jq_error *reterr) {
    const char *const argument = argv[*index];
    const char *value = NULL;
    bool missing = false;
    if (read_action(argument, &args->action))
        return JQ_OK;
    if (take_option(argc, argv, index, "--config", &value, &missing) ||
        take_option(argc, argv, index, "-c", &value, &missing))
        args->file = value;
    else if (!take_option(argc, argv, index, "--set", &value, &missing))
        return fail_unknown(argument, reterr);
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
        const char *value = NULL;
        bool missing = false;
        if (take_option(args->argc, args->argv, &i, "--set", &value, &missing))
            err = jq_conf_set(schema, settings, jq_str_of(value), reterr);
        else if (!take_option(args->argc, args->argv, &i, "--config", &value, &missing))
            /* The file of -c, too, is no argument of ours, whatever its name. */
            (void)take_option(args->argc, args->argv, &i, "-c", &value, &missing);
    }
    return err;
}

const char *jq_conf_file(const struct jq_conf_args *args, const char *standard_file) {
    if (args->file != NULL)
        return args->file;
    return standard_file != NULL && access(standard_file, F_OK) == 0 ? standard_file : NULL;
}

enum jq_err jq_conf_load(const struct jq_conf_schema *schema, const struct jq_conf_args *args,
                         const char *standard_file, void *settings, struct jq_error *reterr) {
    enum jq_err err = jq_conf_init(schema, settings, reterr);
    if (err != JQ_OK)
        return err;
    const char *file = jq_conf_file(args, standard_file);
    if (file != NULL)
        err = jq_conf_read_file(schema, settings, file, reterr);
    if (err == JQ_OK)
        err = apply_sets(schema, args, settings, reterr);
    if (err != JQ_OK)
        jq_conf_fini(schema, settings);
    return err;
}
