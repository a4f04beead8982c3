/* What one child may reach: the rules of sandbox.h from its spec. */
#include "worker/exec/internal.h"

#include <string.h>

enum { OWN_PATHS_MAX = JQ_EXEC_ARGV_COUNT_MAX + 2 };

/* A file that the command names is the operator's word, not the task's: what a parameter became is not looked at. */
static size_t paths_of_command(const char *const *argv, const char *program, const char **paths) {
    size_t count = 0;
    if (program != NULL) {
        paths[count++] = program;
    }
    for (size_t i = 0; argv != NULL && argv[i] != NULL && count < OWN_PATHS_MAX - 1; i++) {
        if (argv[i][0] == '/' && strchr(argv[i], '{') == NULL) {
            paths[count++] = argv[i];
        }
    }
    return count;
}

enum jq_err jq_child_confine(struct jq_exec_child *child, const struct jq_exec_spec *spec, const char *program,
                             struct jq_error *reterr) {
    const char *own[OWN_PATHS_MAX];
    const bool writes = spec->output_dir != NULL && spec->output_dir[0] != '\0';
    const char *const output[] = {writes ? spec->output_dir : NULL, NULL};
    const struct jq_sandbox_paths command = {.read = own, .write = output};
    if (child->host->sandbox == NULL || spec->trusted) {
        return JQ_OK;
    }
    own[paths_of_command(spec->argv, program, own)] = NULL;
    /* An output folder outlives its task. What a zygote forks enters its rules when we do not see it. */
    const bool again = !writes && spec->argv != NULL && !spec->warm;
    return jq_sandbox_rules_take(child->host->sandbox, child->work.fd, &command, &spec->paths, spec->network, again,
                                 &child->rules, reterr);
}
